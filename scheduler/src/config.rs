//! What a scheduler is told: defaults < file < environment < flags. Knows no file but its own.

use anyhow::Context;
use farm::{Policy, limit};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A scheduler's settings; each has a default, so `Config::default()` runs on loopback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where everything lives: journal, blobs, log, keys.
    pub state: PathBuf,
    /// Port 0 takes any free one.
    pub listen: SocketAddr,
    /// Allows plaintext on an address that is not loopback.
    pub insecure_plaintext: bool,
    /// PEM files; without them a non-loopback address gets a self-signed certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Names a self-signed certificate is made out to, beside the listen address.
    pub tls_names: Vec<String>,
    /// The key under which keys to sealed assets are kept; in the state directory unless it is to
    /// lie apart from what it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault_key: Option<PathBuf>,
    /// Name of the public log: the origin line of its checkpoints.
    pub origin: String,
    /// Micro-credits for a million work units.
    pub price_per_million_units: u64,
    /// The largest asset taken, in bytes.
    pub asset_bytes_max: u64,
    /// Uploads stop when the disk has less than this free.
    pub disk_free_bytes_min: u64,
    /// The largest frame assembled, in pixels: 12 bytes of memory each; fewer with AOVs, so that
    /// a frame takes no more memory.
    pub frame_pixels_max: u64,
    /// Bytes of a journal segment, preallocated.
    pub journal_segment_bytes: u64,
    /// The journal stops the scheduler rather than grow beyond this; 0: no limit but the disk.
    pub journal_bytes_max: u64,
    /// Records between snapshots.
    pub snapshot_records: u64,
    /// Rules of a farm founded now; an existing farm keeps its own.
    pub maturity_tiles: u32,
    pub maturity_ms: u64,
    pub lease_ms: u64,
    pub round_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state: PathBuf::from("girih-state"),
            listen: SocketAddr::from(([127, 0, 0, 1], 7447)),
            insecure_plaintext: false,
            tls_certificate: None,
            tls_key: None,
            tls_names: vec!["localhost".into()],
            vault_key: None,
            origin: "girih.local/log".into(),
            price_per_million_units: 1000,
            asset_bytes_max: 4 << 30,
            disk_free_bytes_min: 64 << 20,
            frame_pixels_max: 1 << 27,
            journal_segment_bytes: 64 << 20,
            journal_bytes_max: 0,
            snapshot_records: 500_000,
            maturity_tiles: limit::MATURITY_TILES,
            maturity_ms: limit::MATURITY_MS,
            lease_ms: limit::LEASE_MS,
            round_ms: limit::ROUND_MS,
        }
    }
}

impl Config {
    /// Defaults, then the file if there is one, then `GIRIH_<FIELD>` variables. Flags come after,
    /// by setting fields.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        Self::layered(file, std::env::vars())
    }

    fn layered(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let mut table = toml::Table::new();
        if let Some(file) = file {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("{}: cannot read the configuration", file.display()))?;
            table = text
                .parse()
                .with_context(|| format!("{}: not a TOML configuration", file.display()))?;
        }
        for (name, value) in variables {
            let field = name.strip_prefix("GIRIH_").map(str::to_lowercase);
            if let Some(field) = field.filter(|field| FIELDS.contains(&field.as_str())) {
                table.insert(field, literal(&value));
            }
        }
        table.try_into().context("the configuration has a wrong or unknown field")
    }

    /// The rules a new farm is founded with.
    pub fn policy(&self) -> Policy {
        Policy {
            maturity_tiles: self.maturity_tiles,
            maturity_ms: self.maturity_ms,
            lease_ms: self.lease_ms,
            round_ms: self.round_ms,
        }
    }
}

/// Fields that a variable may set.
const FIELDS: [&str; 19] = [
    "state",
    "listen",
    "insecure_plaintext",
    "tls_certificate",
    "tls_key",
    "tls_names",
    "vault_key",
    "origin",
    "price_per_million_units",
    "asset_bytes_max",
    "disk_free_bytes_min",
    "frame_pixels_max",
    "journal_segment_bytes",
    "journal_bytes_max",
    "snapshot_records",
    "maturity_tiles",
    "maturity_ms",
    "lease_ms",
    "round_ms",
];

/// A number, flag or list where it reads as one, otherwise a text.
fn literal(value: &str) -> toml::Value {
    let typed = format!("value = {value}").parse::<toml::Table>().ok();
    let typed = typed.and_then(|mut table| table.remove("value"));
    match typed {
        Some(typed @ (toml::Value::Integer(_) | toml::Value::Boolean(_))) => typed,
        Some(typed @ toml::Value::Array(_)) => typed,
        _ => toml::Value::String(value.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_outdoes_the_file_and_the_file_the_default() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "lease_ms = 5000\nmaturity_ms = 7\n").unwrap();
        let variables = [("GIRIH_LEASE_MS", "6000"), ("GIRIH_STATE", "/x"), ("GIRIH_KEY", "?")];
        let variables = variables.map(|(name, value)| (name.to_string(), value.to_string()));
        let config = Config::layered(Some(file.path()), variables.into_iter()).unwrap();
        assert_eq!((config.lease_ms, config.maturity_ms), (6000, 7));
        assert_eq!(config.state, PathBuf::from("/x"));
        assert_eq!(config.origin, Config::default().origin);
    }

    #[test]
    fn an_unknown_field_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "leese_ms = 5000\n").unwrap();
        assert!(Config::layered(Some(file.path()), std::iter::empty()).is_err());
    }

    #[test]
    fn the_settings_that_are_deployed_are_read() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd/scheduler.toml");
        let config = Config::layered(Some(&file), std::iter::empty()).unwrap();
        assert!(!config.listen.ip().is_loopback());
    }
}
