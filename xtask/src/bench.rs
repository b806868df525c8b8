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
        "recovery" => {
            let example = ["--package", "scheduler", "--example", "recovery", "--"];
            command.args(["run", "--release"]).args(example)
        }
        other => anyhow::bail!("no measurement `{other}`: there are core, dispatch and recovery"),
    };
    run(command.args(rest))
}
