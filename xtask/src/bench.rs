//! Measurements, built in release.

use crate::run::{cargo, run};

/// Runs a measurement by name.
pub fn bench(name: &str, rest: &[String]) -> anyhow::Result<()> {
    let mut command = cargo();
    match name {
        "core" => command.args(["run", "--release", "--package", "sim", "--", "--bench", "core"]),
        "dispatch" => {
            command.args(["run", "--release", "--package", "cli", "--example", "dispatch", "--"])
        }
        other => anyhow::bail!("no measurement `{other}`: there are core and dispatch"),
    };
    run(command.args(rest))
}
