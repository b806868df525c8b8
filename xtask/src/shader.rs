//! Compiles `shaders/glsl` to `shaders/spirv`, by the table in `shaders/src/spirv.rs`.

use crate::run::{exists, root, run};
use anyhow::Context;
use std::path::Path;
use std::process::{Command, Stdio};

/// One row of the table: source, names to define, output.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    source: String,
    defines: Vec<String>,
    output: String,
}

/// Compiles every shader; with `check`, compares instead of writing.
pub fn shaders(check: bool) -> anyhow::Result<()> {
    let shaders = root().join("shaders");
    let table = std::fs::read_to_string(shaders.join("src/spirv.rs"))?;
    let rows = rows(&table);
    anyhow::ensure!(!rows.is_empty(), "shaders/src/spirv.rs has no table SOURCES");
    if !exists("glslangValidator", "--version") {
        anyhow::ensure!(check, "glslangValidator is missing: run `cargo xtask setup`");
        eprintln!("skipped: no glslangValidator, so the committed shaders were not compared");
        return Ok(());
    }
    let scratch = std::env::temp_dir().join(format!("girih-shaders-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let outcome = compile_all(&shaders, &scratch, &rows, check);
    std::fs::remove_dir_all(&scratch)?;
    outcome
}

fn compile_all(shaders: &Path, scratch: &Path, rows: &[Row], check: bool) -> anyhow::Result<()> {
    let mut stale = Vec::new();
    for row in rows {
        let fresh = scratch.join(&row.output);
        let mut command = Command::new("glslangValidator");
        command.current_dir(shaders.join("glsl")).stdout(Stdio::null());
        command.args(["--target-env", "vulkan1.1", "-V", "-I."]);
        command.args(row.defines.iter().map(|name| format!("-D{name}")));
        run(command.arg(&row.source).arg("-o").arg(&fresh))?;
        let committed = shaders.join("spirv").join(&row.output);
        let bytes = std::fs::read(&fresh).with_context(|| row.output.clone())?;
        let same = std::fs::read(&committed).is_ok_and(|old| code(&old) == code(&bytes));
        if !same && check {
            stale.push(row.output.as_str());
        } else if !same {
            std::fs::write(&committed, bytes)?;
        }
    }
    anyhow::ensure!(
        stale.is_empty(),
        "not what the sources give: {}; run `cargo xtask shaders` and commit the result",
        stale.join(", ")
    );
    eprintln!("shaders: {} are fresh", rows.len());
    Ok(())
}

/// The module without the word that names its compiler's version.
fn code(spirv: &[u8]) -> Option<(&[u8], &[u8])> {
    Some((spirv.get(..8)?, spirv.get(12..)?))
}

/// Reads the rows `("source", &["NAME", ...], "output")` of the table.
fn rows(table: &str) -> Vec<Row> {
    let Some((_, after)) = table.split_once("SOURCES") else { return Vec::new() };
    let body = after.split_once('=').and_then(|(_, body)| body.split_once("];"));
    let Some((body, _)) = body else { return Vec::new() };
    body.split('(').skip(1).filter_map(row).collect()
}

fn row(text: &str) -> Option<Row> {
    let text = text.split_once(')').map_or(text, |(row, _)| row);
    let mut strings = text.split('"').skip(1).step_by(2).map(str::to_owned);
    let source = strings.next()?;
    let mut defines: Vec<String> = strings.collect();
    let output = defines.pop()?;
    Some(Row { source, defines, output })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let table = r#"pub const SOURCES: &[(&str, &[&str], &str)] = &[
            ("exact.comp", &[], "exact.spv"),
            ("trace.comp", &["AUDIT", "DEEP"], "audit.spv"),
        ];"#;
        let row = |source: &str, defines: &[&str], output: &str| Row {
            source: source.into(),
            defines: defines.iter().map(|name| (*name).to_owned()).collect(),
            output: output.into(),
        };
        let expected = [
            row("exact.comp", &[], "exact.spv"),
            row("trace.comp", &["AUDIT", "DEEP"], "audit.spv"),
        ];
        assert_eq!(rows(table), expected);
        assert_eq!(rows("nothing"), []);
    }
}
