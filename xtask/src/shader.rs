//! The committed SPIR-V and its compiler. What is compiled, and how, stands in `shaders`.

use crate::run::{cargo, run};
use std::process::Command;

/// The compiler's version whose output is committed; another one gives other words.
const VERSION: &str = "11:12.0.0";

/// Compiles every shader; with `check`, compares instead of writing.
pub fn shaders(check: bool) -> anyhow::Result<()> {
    let found = version();
    if found.as_deref() != Some(VERSION) {
        let found = found.as_deref().unwrap_or("none");
        let what = format!("glslangValidator {VERSION} is needed, {found} is here");
        anyhow::ensure!(check, "{what}; Debian 12's package glslang-tools has it");
        eprintln!("skipped: {what}, so the committed shaders were not compared");
        return Ok(());
    }
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "shaders", "--"]);
    run(command.args(check.then_some("--check")))
}

fn version() -> Option<String> {
    let output = Command::new("glslangValidator").arg("--version").output().ok()?;
    version_in(&String::from_utf8_lossy(&output.stdout))
}

fn version_in(text: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Glslang Version: "));
    lines.next().map(|version| version.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_says_its_version() {
        let text = "Glslang Version: 11:12.0.0\nESSL Version: OpenGL ES GLSL 3.20";
        assert_eq!(version_in(text).as_deref(), Some(VERSION));
        assert_eq!(version_in("something else"), None);
    }
}
