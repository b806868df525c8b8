//! The house rules that a program can check. Each says the file, the line and the rule.

mod commands;
mod imports;
mod shape;
mod words;

use crate::run::root;
use std::path::{Path, PathBuf};

/// A place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: PathBuf,
    pub line: usize,
    pub rule: String,
}

impl Fault {
    fn new(file: &Path, line: usize, rule: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, rule: rule.into() }
    }
}

/// Checks every rule.
pub fn tidy() -> anyhow::Result<()> {
    let faults = check(&root())?;
    for Fault { file, line, rule } in &faults {
        eprintln!("{}:{line}: {rule}", file.display());
    }
    anyhow::ensure!(faults.is_empty(), "tidy: {} faults", faults.len());
    eprintln!("tidy: all is well");
    Ok(())
}

fn check(root: &Path) -> anyhow::Result<Vec<Fault>> {
    let mut faults = imports::manifests(root)?;
    let mut files = Vec::new();
    gather(root, root, &mut files)?;
    files.sort();
    faults.extend(commands::check(root, &files));
    for file in files {
        let text = std::fs::read_to_string(root.join(&file))?;
        faults.extend(imports::within_farm(&file, &text));
        faults.extend(words::check(&file, &text));
        faults.extend(shape::check(&file, &text));
    }
    faults.extend(named_files(root, "ARCHITECTURE.md"));
    Ok(faults)
}

/// Every Rust source, relative to the root.
fn gather(root: &Path, dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            if name != "target" && !name.starts_with('.') {
                gather(root, &path, files)?;
            }
        } else if name.ends_with(".rs") {
            files.push(path.strip_prefix(root).unwrap_or(&path).to_owned());
        }
    }
    Ok(())
}

/// Paths in backticks that a document names must exist.
fn named_files(root: &Path, document: &str) -> Vec<Fault> {
    let Ok(text) = std::fs::read_to_string(root.join(document)) else {
        return vec![Fault::new(Path::new(document), 1, "the document is missing")];
    };
    let mut faults = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let quoted = line.split('`').skip(1).step_by(2);
        for path in quoted.filter(|path| is_path(path)) {
            if !exists(root, path) {
                let rule = format!("`{path}` does not exist");
                faults.push(Fault::new(Path::new(document), at + 1, rule));
            }
        }
    }
    faults
}

/// Something with a slash or a file's ending, and nothing that a path has not.
fn is_path(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-{},".contains(c);
    let ending = [".rs", ".proto", ".md", ".toml", ".glsl", ".comp"];
    let like = text.contains('/') || ending.iter().any(|end| text.ends_with(end));
    like && text.chars().all(plain) && !text.starts_with(['/', '.', '-']) && !text.contains("//")
}

/// Braces stand for each of their names: `src/{job,tile}.rs`.
fn exists(root: &Path, path: &str) -> bool {
    match path.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?))) {
        Some((head, (names, tail))) => {
            names.split(',').all(|name| exists(root, &format!("{head}{name}{tail}")))
        }
        None => root.join(path).exists(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_tidy_in_what_a_test_can_promise() {
        let mut files = Vec::new();
        gather(&root(), &root(), &mut files).unwrap();
        assert!(files.iter().any(|file| file == Path::new("farm/src/farm.rs")));
    }

    #[test]
    fn a_document_that_names_a_missing_file_is_a_fault() {
        let dir = std::env::temp_dir().join(format!("girih-tidy-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("farm/src")).unwrap();
        std::fs::write(dir.join("farm/src/job.rs"), "").unwrap();
        let text = "`farm/src/job.rs`\n`farm/src/{job,tile}.rs` and `Farm::apply`, `a -> b`\n";
        std::fs::write(dir.join("A.md"), text).unwrap();
        let faults = named_files(&dir, "A.md");
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(faults.len(), 1);
        assert_eq!((faults[0].line, named_files(&dir, "B.md").len()), (2, 1));
    }
}
