//! Lengths of lines, functions and files; and that a file opens by saying what it is.

use super::Fault;
use std::path::Path;

const COLUMNS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 60;
/// Tests apart.
const FILE_LINES_MAX: usize = 600;

/// Checks one source, formatted by rustfmt.
pub fn check(file: &Path, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(Fault::new(
            file,
            1,
            "a file opens with `//!`: what it is, what it does not know",
        ));
    }
    for (at, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > COLUMNS_MAX {
            let rule = format!("{columns} columns; at most {COLUMNS_MAX}");
            faults.push(Fault::new(file, at + 1, rule));
        }
    }
    let lines: Vec<&str> = text.lines().collect();
    let own = lines.iter().position(|line| *line == "#[cfg(test)]").unwrap_or(lines.len());
    let tests = file.components().any(|part| part.as_os_str() == "tests")
        || file.file_stem().is_some_and(|name| name == "tests");
    if own > FILE_LINES_MAX && !tests {
        let rule = format!("{own} lines without tests; at most {FILE_LINES_MAX}");
        faults.push(Fault::new(file, own, rule));
    }
    faults.extend(functions(file, &lines));
    faults
}

/// A function ends at the first line with a closing brace at its own indentation.
fn functions(file: &Path, lines: &[&str]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_function(line)) {
        let indent = line.len() - line.trim_start().len();
        let end = format!("{}}}", &line[..indent]);
        let body = lines[at..].iter().position(|line| *line == end || ends(line, indent));
        let length = body.map_or(0, |body| body + 1);
        if length > FUNCTION_LINES_MAX {
            let rule = format!("a function of {length} lines; at most {FUNCTION_LINES_MAX}");
            faults.push(Fault::new(file, at + 1, rule));
        }
    }
    faults
}

/// A declaration without a body, or a body on its line.
fn ends(line: &str, indent: usize) -> bool {
    line.len() - line.trim_start().len() == indent && (line.ends_with(';') || line.ends_with("}"))
}

fn is_function(line: &str) -> bool {
    let mut words = line.trim_start().split(' ');
    let first = words.find(|word| {
        !matches!(*word, "pub" | "const" | "async" | "unsafe" | "extern")
            && !word.starts_with("pub(")
    });
    first == Some("fn")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(file: &str, text: &str) -> Vec<String> {
        check(Path::new(file), text).into_iter().map(|fault| fault.rule).collect()
    }

    #[test]
    fn every_length_bites() {
        assert!(rules("a.rs", "//! A noun.\nfn f() {}\n").is_empty());
        assert_eq!(rules("a.rs", "fn f() {}\n").len(), 1);
        let wide = format!("//! A noun.\n// {}\n", "x".repeat(98));
        assert_eq!(rules("a.rs", &wide), ["101 columns; at most 100"]);
        let body = "    x();\n".repeat(59);
        let long = format!("//! A noun.\npub async fn f() {{\n{body}}}\n");
        assert_eq!(rules("a.rs", &long), ["a function of 61 lines; at most 60"]);
        let short = format!("//! A noun.\nfn f() {{\n{}}}\n", "    x();\n".repeat(58));
        assert!(rules("a.rs", &short).is_empty());
        let file = format!("//! A noun.\n{}", "const X: u8 = 1;\n".repeat(600));
        assert_eq!(rules("a.rs", &file), ["601 lines without tests; at most 600"]);
        let tested = format!("//! A noun.\n#[cfg(test)]\n{}", "const X: u8 = 1;\n".repeat(600));
        assert!(rules("a.rs", &tested).is_empty());
        assert!(rules("cli/tests/it/a.rs", &file).is_empty());
    }
}
