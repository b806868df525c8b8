//! Commands that documents name: whoever types one must find what it runs.

use super::Fault;
use crate::bench;
use std::path::{Path, PathBuf};

/// Documents whose commands are looked at.
const DOCUMENTS: [&str; 3] = ["README.md", "ARCHITECTURE.md", "docs/attacks.md"];
/// What `cargo xtask` knows.
const TASKS: [&str; 7] = ["setup", "demo", "test", "ci", "tidy", "shaders", "sim"];

/// Checks every command in backticks.
pub fn check(root: &Path, sources: &[PathBuf]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for document in DOCUMENTS.map(Path::new) {
        let Ok(text) = std::fs::read_to_string(root.join(document)) else {
            faults.push(Fault::new(document, 1, "the document is missing"));
            continue;
        };
        for (at, line) in text.lines().enumerate() {
            let quoted = line.split('`').skip(1).step_by(2);
            for command in quoted.filter(|command| command.starts_with("cargo ")) {
                if let Some(rule) = fault(root, sources, command) {
                    faults.push(Fault::new(document, at + 1, rule));
                }
            }
        }
    }
    faults
}

/// What is wrong with a command.
fn fault(root: &Path, sources: &[PathBuf], command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[1..] {
        ["xtask", "bench", name, ..] => {
            let known = bench::NAMES.contains(&name);
            (!known).then(|| format!("`{command}`: there is no measurement `{name}`"))
        }
        ["xtask", task, ..] => {
            let known = TASKS.contains(&task);
            (!known).then(|| format!("`{command}`: there is no task `{task}`"))
        }
        ["test", "-p", package, ref rest @ ..] => {
            test_fault(root, sources, package, rest).map(|what| format!("`{command}`: {what}"))
        }
        _ => None,
    }
}

/// What is wrong with a test's filter: the part of a module's or a test's name.
fn test_fault(root: &Path, sources: &[PathBuf], package: &str, rest: &[&str]) -> Option<String> {
    if !root.join(package).join("Cargo.toml").exists() {
        return Some(format!("there is no package `{package}`"));
    }
    let filter = rest.iter().rfind(|word| !word.starts_with('-') && **word != "it")?;
    let found = sources.iter().filter(|file| file.starts_with(package)).any(|file| {
        let module = file.file_stem().is_some_and(|name| name.to_string_lossy().contains(filter));
        let folder = file.iter().any(|part| part == *filter);
        module || folder || has_test(&root.join(file), filter)
    });
    (!found).then(|| format!("no test of `{package}` has `{filter}` in its name"))
}

fn has_test(file: &Path, filter: &str) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else { return false };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.windows(2).any(|pair| {
        let name = pair[1].trim_start_matches("async ").strip_prefix("fn ");
        pair[0].contains("test]") && name.is_some_and(|name| name.contains(filter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::root;

    #[test]
    fn a_command_that_runs_nothing_is_a_fault() {
        let sources = [PathBuf::from("xtask/src/tidy/commands.rs")];
        let fault = |command: &str| fault(&root(), &sources, command);
        assert_eq!(fault("cargo xtask bench trust"), None);
        assert_eq!(fault("cargo xtask sim --seeds 10"), None);
        assert_eq!(fault("cargo test -p xtask runs_nothing"), None);
        assert_eq!(fault("cargo test -p xtask"), None);
        assert!(fault("cargo xtask bench thrust").is_some());
        assert!(fault("cargo xtask simulate").is_some());
        assert!(fault("cargo test -p xtask --test it runs_everything").is_some());
        assert!(fault("cargo test -p nobody").is_some());
    }
}
