//! Who may import whom: between crates by their manifests, within `farm` by its `use` lines.

use super::Fault;
use std::path::Path;

/// Crate, and the crates of ours it may import.
const CRATES: [(&str, &[&str]); 8] = [
    ("farm", &[]),
    ("shaders", &[]),
    ("xtask", &[]),
    ("proto", &["farm"]),
    ("scheduler", &["farm", "proto"]),
    ("worker", &["farm", "proto", "shaders"]),
    ("sim", &["farm"]),
    ("cli", &["farm", "proto", "scheduler", "worker"]),
];

/// File of `farm`, and a module that it must never name.
const WITHIN_FARM: [(&str, &str); 5] = [
    ("ledger.rs", "tile"),
    ("audit.rs", "money"),
    ("agent.rs", "farm"),
    ("log.rs", "entry"),
    ("log.rs", "ledger"),
];

/// Checks every crate's manifest against the table.
pub fn manifests(root: &Path) -> anyhow::Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for (name, allowed) in CRATES {
        let file = Path::new(name).join("Cargo.toml");
        let text = std::fs::read_to_string(root.join(&file))?;
        faults.extend(manifest(&file, &text, allowed));
    }
    Ok(faults)
}

fn manifest(file: &Path, text: &str, allowed: &[&str]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut section = "";
    for (at, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            section = line;
        }
        let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
        let ours = CRATES.iter().any(|(ours, _)| *ours == name);
        if section.contains("dependencies") && ours && !allowed.contains(&name) {
            let rule = format!("must not import `{name}`: see the import table");
            faults.push(Fault::new(file, at + 1, rule));
        }
    }
    faults
}

/// Checks the `use` lines of a file of `farm`.
pub fn within_farm(file: &Path, text: &str) -> Vec<Fault> {
    let Ok(name) = file.strip_prefix("farm/src") else { return Vec::new() };
    let banned = WITHIN_FARM.iter().filter(|(of, _)| Path::new(of) == name);
    let banned: Vec<&str> = banned.map(|(_, module)| *module).collect();
    let mut faults = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for module in &banned {
            let path = format!("crate::{module}");
            let named = line.match_indices(&path).any(|(start, _)| {
                !line[start + path.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
            });
            if named && !line.trim_start().starts_with("//") {
                let rule = format!("`{}` must not know `{module}`", name.display());
                faults.push(Fault::new(file, at + 1, rule));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_outside_the_table_bites() {
        let file = Path::new("worker/Cargo.toml");
        let text = "[dependencies]\nfarm.workspace = true\nscheduler = { path = \"..\" }\n";
        let faults = manifest(file, text, &["farm", "proto"]);
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [3]);
        assert!(manifest(file, "[features]\nscheduler = []\n", &[]).is_empty());
        assert_eq!(manifest(file, "[dev-dependencies]\ncli.workspace = true\n", &[]).len(), 1);
    }

    #[test]
    fn a_forbidden_module_bites_within_the_farm() {
        let bites = |file: &str, text: &str| !within_farm(Path::new(file), text).is_empty();
        assert!(bites("farm/src/audit.rs", "use crate::money::Amount;"));
        assert!(bites("farm/src/agent.rs", "let farm = crate::farm::Farm::new();"));
        assert!(!bites("farm/src/audit.rs", "use crate::moneyless::Amount;"));
        assert!(!bites("farm/src/settle.rs", "use crate::money::Amount;"));
        assert!(!bites("worker/src/audit.rs", "use crate::money::Amount;"));
    }
}
