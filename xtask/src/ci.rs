//! The tests, and everything else that must pass.

use crate::run::{cargo, exists, root, run};
use crate::{setup, shader, tidy};
use anyhow::Context;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Sets up, then runs every test.
pub fn test() -> anyhow::Result<()> {
    setup::setup()?;
    tests()
}

fn tests() -> anyhow::Result<()> {
    if exists("cargo-nextest", "--version") {
        run(cargo().args(["nextest", "run", "--workspace", "--no-fail-fast"]))?;
        // nextest runs no examples in documentation.
        return run(cargo().args(["test", "--workspace", "--doc", "--quiet"]));
    }
    plain_tests()
}

/// Without nextest: cargo's own runner, its many results summed up.
fn plain_tests() -> anyhow::Result<()> {
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).stdout(Stdio::piped());
    eprintln!("$ cargo test --workspace --no-fail-fast");
    let mut child = command.spawn().context("cargo test")?;
    let mut totals = Totals::default();
    for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
        let line = line?;
        println!("{line}");
        totals.add(&line);
    }
    let Totals { passed, failed } = totals;
    println!("tests: {passed} passed, {failed} failed");
    let status = child.wait()?;
    anyhow::ensure!(status.success(), "tests failed ({status})");
    Ok(())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
}

impl Totals {
    /// Adds a line like `test result: ok. 3 passed; 0 failed; ...`.
    fn add(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        let words: Vec<&str> = counts.split([' ', ';']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let count = pair[0].parse::<u64>().unwrap_or(0);
            match pair[1] {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                _ => {}
            }
        }
    }
}

/// Everything that must pass before a change goes in.
pub fn ci() -> anyhow::Result<()> {
    setup::setup()?;
    run(cargo().args(["fmt", "--all", "--check"]))?;
    tidy::tidy()?;
    shader::shaders(true)?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    tests()?;
    run(cargo()
        .args(["doc", "--workspace", "--no-deps", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings"))?;
    if exists("cargo-deny", "--version") {
        let mut deny = Command::new("cargo-deny");
        deny.current_dir(root()).args(["check", "licenses", "bans", "sources"]);
        run(&mut deny)?;
    } else {
        eprintln!("skipped: cargo-deny is not installed, so licences were not checked");
    }
    eprintln!("ci: all is well");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_many_binaries_are_summed() {
        let mut totals = Totals::default();
        totals.add("test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out");
        totals.add("test result: FAILED. 2 passed; 1 failed; 0 ignored");
        totals.add("test a ... ok");
        assert_eq!(totals, Totals { passed: 14, failed: 1 });
    }
}
