//! Where the farm is and who we are there: defaults < file < environment < flags.

use crate::exit::BadUsage;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use worker::channel::{Address, Trust, parse_fingerprint};

/// The address when nothing else is said: a farm on this machine.
pub const SERVER_DEFAULT: &str = "http://127.0.0.1:7447";

/// Flags, and through clap the environment.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Access {
    /// The farm, like `https://farm.example:7447`
    #[arg(long, global = true, env = "GIRIH_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// The account's API key
    #[arg(long, global = true, env = "GIRIH_KEY", hide_env_values = true, value_name = "KEY")]
    pub key: Option<String>,
    /// Trust the certificates of this PEM file
    #[arg(long, global = true, env = "GIRIH_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Trust the one certificate with this SHA-256 fingerprint
    #[arg(long, global = true, env = "GIRIH_PIN", value_name = "HEX", conflicts_with = "ca")]
    pub pin: Option<String>,
    /// The configuration file [default: ~/.config/girih/config.toml]
    #[arg(long, global = true, env = "GIRIH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// Verifier key of the farm's public log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_key: Option<String>,
}

impl File {
    /// Reads the file; an absent one is empty.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(BadUsage(format!("{}: {error}", path.display())).into()),
        };
        toml::from_str(&text)
            .map_err(|error| BadUsage(format!("{}: {}", path.display(), error.message())).into())
    }

    /// Writes the file, readable by its owner only.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let fresh = path.with_extension("new");
        let mut options = std::fs::OpenOptions::new();
        let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        out.write_all(toml::to_string(self)?.as_bytes())?;
        Ok(std::fs::rename(&fresh, path)?)
    }
}

impl Access {
    /// The configuration file's place.
    pub fn file(&self) -> PathBuf {
        let default = || base("XDG_CONFIG_HOME", ".config").join("girih").join("config.toml");
        self.config.clone().unwrap_or_else(default)
    }

    /// The farm's address from all sources.
    pub fn address(&self) -> anyhow::Result<Address> {
        let path = self.file();
        let file = File::read(&path)?;
        // Trust belongs to the address: a file's certificate says nothing about another server.
        let own = set(&self.server).is_none();
        let ca = self.ca.clone().or(file.ca.filter(|_| own && self.pin.is_none()));
        let pin = self.pin.clone().or(file.pin.filter(|_| own && self.ca.is_none()));
        let trust = match (ca, pin) {
            (Some(ca), _) => Trust::Authority(ca),
            (None, Some(pin)) => Trust::Pinned(parse_fingerprint(&pin).ok_or_else(|| {
                BadUsage(format!("`{pin}` is no SHA-256 fingerprint: 64 hexadecimal digits"))
            })?),
            (None, None) => Trust::System,
        };
        let server = set(&self.server).or(file.server).unwrap_or(SERVER_DEFAULT.into());
        Ok(Address { server, key: set(&self.key).or(file.key), trust })
    }

    /// The address of the farm whose log is named; `--pin` and `--ca` are about that farm where no
    /// `--server` is given.
    pub fn address_of(&self, log: Option<&str>) -> anyhow::Result<Address> {
        let farm = self.address()?;
        let url = log.filter(|log| log.contains("://") && set(&self.server).is_none());
        match url.map(server_of).filter(|server| farm.server.trim_end_matches('/') != *server) {
            Some(server) => Self { server: Some(server.into()), ..self.clone() }.address(),
            None => Ok(farm),
        }
    }

    /// The log's key as the file has it, if the file's farm is meant.
    pub fn log_key(&self) -> anyhow::Result<Option<String>> {
        Ok(File::read(&self.file())?.log_key.filter(|_| set(&self.server).is_none()))
    }

    /// The same, where a key is needed.
    pub fn address_with_key(&self) -> anyhow::Result<Address> {
        let address = self.address()?;
        if address.key.is_none() {
            let text = format!(
                "no API key: give --key, set GIRIH_KEY, or write `key = \"...\"` in {}; an \
                 operator makes one with `girih account create NAME`, and `girih up` makes one of \
                 its own",
                self.file().display()
            );
            return Err(BadUsage(text).into());
        }
        Ok(address)
    }
}

/// A value, if it is not empty: an empty variable is an unset one.
fn set(value: &Option<String>) -> Option<String> {
    value.clone().filter(|value| !value.is_empty())
}

/// A URL up to its path.
pub fn server_of(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |at| &url[..host + at])
}

/// Where this program keeps what it must remember.
pub fn data_dir() -> PathBuf {
    base("XDG_DATA_HOME", ".local/share").join("girih")
}

fn base(variable: &str, under_home: &str) -> PathBuf {
    let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    set.unwrap_or_else(|| {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_else(|| "/".into());
        home.join(under_home)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_outrank_the_file_and_trust_stays_with_its_server() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let pin = "ab".repeat(32);
        let file = File {
            server: Some("https://a:1".into()),
            key: Some("k".into()),
            pin: Some(pin),
            ca: None,
            log_key: None,
        };
        file.write(&path).unwrap();
        let mut access = Access { config: Some(path), ..Access::default() };
        let address = access.address().unwrap();
        assert_eq!(address.server, "https://a:1");
        assert_eq!(address.trust, Trust::Pinned([0xab; 32]));
        access.server = Some("https://b:1".into());
        let address = access.address().unwrap();
        assert_eq!((address.server.as_str(), address.trust), ("https://b:1", Trust::System));
        let log = |access: &Access, url| access.address_of(Some(url)).unwrap().trust;
        assert_eq!(log(&access, "https://c:1/log"), Trust::System);
        access.server = None;
        assert_eq!(log(&access, "https://a:1/log"), Trust::Pinned([0xab; 32]));
        assert_eq!(log(&access, "https://c:1/log"), Trust::System);
        access.pin = Some("cd".repeat(32));
        assert_eq!(log(&access, "https://c:1/log"), Trust::Pinned([0xcd; 32]));
    }

    #[test]
    fn a_wrong_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, "sever = 1").unwrap();
        let access = Access { config: Some(path.clone()), ..Access::default() };
        let error = access.address().unwrap_err();
        assert!(error.to_string().contains("config.toml") && error.is::<BadUsage>());
    }
}
