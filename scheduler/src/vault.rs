//! The vault: what opens the sealed assets of jobs, as long as something of these may be computed.
//! One file each, named by what commits to it in public, sealed under a key of the farm's own.

use crate::driver::Door;
use crate::secret;
use anyhow::Context;
use farm::digest::Digest;
use proto::seal::{Key, Lock, open_at_rest, seal_at_rest};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two looks for what nobody wants any more.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The locks of jobs' keyrings.
#[derive(Debug)]
pub struct Vault {
    dir: PathBuf,
    secret: Key,
    kept: Mutex<Kept>,
    /// One writes at a time, and nobody who only reads waits for a disk.
    writing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Kept {
    locks: BTreeMap<Digest, Lock>,
    /// What nobody wanted at the last look. An order keeps its lock before there is a job.
    unwanted: BTreeSet<Digest>,
}

impl Vault {
    /// Opens the vault of a state directory. Its key lies in `key_file`, and is made the first
    /// time. What no job wants is forgotten.
    pub fn open(
        state: &Path,
        key_file: Option<&Path>,
        wanted: &BTreeSet<Digest>,
    ) -> anyhow::Result<Self> {
        let dir = state.join("vault");
        std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        let key_file = key_file.map_or_else(|| state.join("vault.key"), Path::to_path_buf);
        let secret = farm_key(&key_file).with_context(|| key_file.display().to_string())?;
        let vault = Self { dir, secret, kept: Mutex::default(), writing: Mutex::default() };
        for file in std::fs::read_dir(&vault.dir)? {
            let path = file?.path();
            let named = path.file_name().and_then(|name| name.to_str()).and_then(Digest::parse);
            let Some(seal) = named.filter(|seal| wanted.contains(seal)) else {
                std::fs::remove_file(&path)?;
                continue;
            };
            let lock = vault.read(&path).filter(|lock| lock.commitment() == seal);
            let lock = lock.with_context(|| {
                let (path, key) = (path.display(), key_file.display());
                format!("{path} does not open with {key}; bring back the key it was sealed with")
            })?;
            vault.kept().locks.insert(seal, lock);
        }
        Ok(vault)
    }

    /// The secret that the farm's key has for some purpose.
    pub fn secret_for(&self, purpose: &str) -> Key {
        self.secret.secret_for(purpose)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, path: &Path) -> Option<Lock> {
        let bytes = open_at_rest(&self.secret, &std::fs::read(path).ok()?).ok()?;
        let (sealed, key) = bytes.split_first_chunk::<32>()?;
        Some(Lock { sealed: Digest(*sealed), key: Key::from_bytes(key)? })
    }

    /// Keeps a lock; it is durable when this returns. Gives what commits to it.
    pub fn keep(&self, lock: &Lock) -> std::io::Result<Digest> {
        let seal = lock.commitment();
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.kept().unwanted.remove(&seal);
        if self.get(&seal).is_none() {
            let bytes = [lock.sealed.0, *lock.key.bytes()];
            let bytes = seal_at_rest(&self.secret, bytes.as_flattened());
            secret::write(&self.dir.join(seal.to_string()), bytes)?;
            self.kept().locks.insert(seal, lock.clone());
        }
        Ok(seal)
    }

    pub fn get(&self, seal: &Digest) -> Option<Lock> {
        self.kept().locks.get(seal).cloned()
    }

    /// Forgets what is wanted neither now nor was at the last look.
    pub fn look(&self, wanted: &BTreeSet<Digest>) -> std::io::Result<()> {
        let mut kept = self.kept();
        let unwanted: BTreeSet<Digest> =
            kept.locks.keys().filter(|seal| !wanted.contains(seal)).copied().collect();
        for seal in unwanted.intersection(&kept.unwanted.clone()) {
            std::fs::remove_file(self.dir.join(seal.to_string()))?;
            kept.locks.remove(seal);
        }
        kept.unwanted = unwanted;
        Ok(())
    }
}

/// Looks now and then, until the farm has stopped.
pub async fn keep_looking(vault: Arc<Vault>, door: Door) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Ok(wanted) = door.read(|farm| farm.seals()).await else { return };
        if let Err(error) = vault.look(&wanted) {
            tracing::warn!("vault: {error}");
        }
    }
}

/// The farm's own key: 64 hexadecimal digits.
fn farm_key(file: &Path) -> anyhow::Result<Key> {
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let digits = Digest::parse(text.trim()).context("no key of 64 hexadecimal digits")?;
            Ok(Key::from_bytes(&digits.0).context("no key of 32 bytes")?)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = Key::random();
            secret::write(file, Digest(*key.bytes()).to_string())?;
            Ok(key)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &Path) -> Vec<Vec<u8>> {
        let files = std::fs::read_dir(dir.join("vault")).unwrap();
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn locks_are_kept_sealed_and_found_again_while_they_are_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path(), None, &BTreeSet::new()).unwrap();
        let lock = Lock { sealed: Digest([7; 32]), key: Key::random() };
        let seal = vault.keep(&lock).unwrap();
        assert_eq!(vault.keep(&lock).unwrap(), seal);
        let file = files(dir.path()).remove(0);
        for secret in [&lock.sealed.0, lock.key.bytes(), vault.secret.bytes()] {
            assert!(!file.windows(32).any(|bytes| bytes == secret));
        }
        let wanted = BTreeSet::from([seal]);
        let open = |key: Option<&Path>| Vault::open(dir.path(), key, &wanted);
        assert_eq!(open(None).unwrap().get(&seal), Some(lock));
        let other = dir.path().join("other.key");
        let said = format!("{:#}", open(Some(&other)).unwrap_err());
        assert!(said.contains("bring back the key"), "{said}");
        std::fs::write(&other, "short").unwrap();
        let said = format!("{:#}", open(Some(&other)).unwrap_err());
        assert!(said.contains("other.key: no key of 64"), "{said}");
        let vault = Vault::open(dir.path(), None, &BTreeSet::new()).unwrap();
        assert!(vault.get(&seal).is_none() && files(dir.path()).is_empty());
    }

    #[test]
    fn a_lock_is_forgotten_at_the_second_look_and_not_while_it_is_ordered() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path(), None, &BTreeSet::new()).unwrap();
        let lock = Lock { sealed: Digest([7; 32]), key: Key::random() };
        let seal = vault.keep(&lock).unwrap();
        let none = BTreeSet::new();
        vault.look(&none).unwrap();
        vault.keep(&lock).unwrap();
        vault.look(&none).unwrap();
        vault.look(&BTreeSet::from([seal])).unwrap();
        vault.look(&none).unwrap();
        assert!(vault.get(&seal).is_some());
        vault.look(&none).unwrap();
        assert!(vault.get(&seal).is_none() && files(dir.path()).is_empty());
    }
}
