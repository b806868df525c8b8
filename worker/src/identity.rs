//! A worker's identity: its Ed25519 key, made once and kept in the data directory.

use ed25519_dalek::{Signer, SigningKey};
use proto::seal::Key;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The key that names a worker and signs what it says.
pub struct Identity(SigningKey);

impl Identity {
    /// Reads `worker.key` in the directory, or makes it, readable by its owner only.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let file = dir.join("worker.key");
        match OpenOptions::new().read(true).open(&file) {
            Ok(mut open) => {
                let mut seed = [0; 32];
                let mut rest = [0; 1];
                open.read_exact(&mut seed).map_err(|_| damaged(&file))?;
                match open.read(&mut rest)? {
                    0 => Ok(Self(SigningKey::from_bytes(&seed))),
                    _ => Err(damaged(&file)),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(dir, &file),
            Err(error) => Err(error),
        }
    }

    fn create(dir: &Path, file: &Path) -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
        let fresh = dir.join("worker.key.new");
        let mut out =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        out.write_all(&seed)?;
        out.sync_all()?;
        std::fs::rename(&fresh, file)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// The public key: the worker's name in the log.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The secret under which what this worker writes is kept, for some purpose.
    pub fn secret_for(&self, purpose: &str) -> Key {
        let key = Key::from_bytes(self.0.as_bytes()).expect("a key has 32 bytes");
        key.secret_for(purpose)
    }

    /// An Ed25519 signature of the bytes.
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

/// What tells this machine from others, the same for every worker on it: a digest of the system's
/// machine id, which is not to leave the machine itself (machine-id(5)); `None` without one.
pub fn machine() -> Option<[u8; 32]> {
    let id = std::fs::read_to_string("/etc/machine-id").ok()?;
    let id = id.trim();
    (!id.is_empty()).then(|| blake3::derive_key("girih.v1 worker machine", id.as_bytes()))
}

fn damaged(file: &Path) -> io::Error {
    let why = format!(
        "{} is not a worker key of 32 bytes; restore it, or remove it to start as a new worker",
        file.display()
    );
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = Identity::open(dir.path()).unwrap().public();
        assert_eq!(Identity::open(dir.path()).unwrap().public(), first);
        let mode = std::fs::metadata(dir.path().join("worker.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(dir.path().join("worker.key"), b"short").unwrap();
        assert!(Identity::open(dir.path()).is_err());
    }
}
