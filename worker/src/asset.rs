//! One asset on a disk: plain at the artist's, sealed in a worker's cache. Opened it is only ever
//! in memory. Knows no network.

use farm::digest::Digest;
use proto::seal::{self, CHUNK_BYTES, Key, Lock, Seal, SealError, TAG_BYTES};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Why an asset cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{0}")]
    Disk(#[from] io::Error),
    #[error("it has {bytes} bytes, not up to {most}")]
    TooLarge { bytes: u64, most: u64 },
    #[error("{0}")]
    Sealed(#[from] SealError),
    #[error("it was damaged on this disk, and is removed")]
    Damaged,
}

/// Where an asset's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    path: PathBuf,
    /// If it is sealed: its digest, and what opens it.
    sealed: Option<(Digest, Lock)>,
}

impl From<PathBuf> for Asset {
    fn from(path: PathBuf) -> Self {
        Self { path, sealed: None }
    }
}

impl From<&Path> for Asset {
    fn from(path: &Path) -> Self {
        path.to_path_buf().into()
    }
}

impl From<&str> for Asset {
    fn from(path: &str) -> Self {
        PathBuf::from(path).into()
    }
}

impl Asset {
    /// The asset of this digest in a file as it was sealed.
    pub fn sealed(path: PathBuf, digest: Digest, lock: Lock) -> Self {
        Self { path, sealed: Some((digest, lock)) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes, if there are no more than that. What was sealed is opened chunk by chunk, and is
    /// what its digest says.
    pub fn read(&self, most: u64) -> Result<Vec<u8>, ReadError> {
        let mut file = File::open(&self.path)?;
        let size = file.metadata()?.len();
        let Some((digest, lock)) = &self.sealed else {
            let mut bytes = Vec::new();
            file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
            return within(bytes, size, most);
        };
        if size > seal::sealed_bytes(most) {
            return Err(ReadError::TooLarge { bytes: size, most });
        }
        match open(&mut file, size, lock, digest) {
            Err(ReadError::Sealed(SealError::Chunk(_))) if is_damaged(&self.path, lock)? => {
                std::fs::remove_file(&self.path)?;
                Err(ReadError::Damaged)
            }
            opened => opened,
        }
    }
}

fn within(bytes: Vec<u8>, size: u64, most: u64) -> Result<Vec<u8>, ReadError> {
    match bytes.len() as u64 > most {
        true => Err(ReadError::TooLarge { bytes: size, most }),
        false => Ok(bytes),
    }
}

fn open(file: &mut File, size: u64, lock: &Lock, digest: &Digest) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::with_capacity(size as usize);
    each_chunk(file, size, &lock.key, |chunk| bytes.extend_from_slice(chunk))?;
    match Digest::of(&bytes) == *digest {
        true => Ok(bytes),
        false => Err(SealError::Content.into()),
    }
}

/// Opens a sealed file of so many bytes chunk by chunk.
fn each_chunk(
    file: &mut File,
    size: u64,
    key: &Key,
    mut each: impl FnMut(&[u8]),
) -> Result<(), ReadError> {
    let seal = Seal::of_sealed(key, size)?;
    let mut chunk = Vec::with_capacity(CHUNK_BYTES + TAG_BYTES);
    for nth in 0..seal.chunks() {
        chunk.clear();
        file.take((CHUNK_BYTES + TAG_BYTES) as u64).read_to_end(&mut chunk)?;
        each(seal.open(nth, &mut chunk)?);
    }
    Ok(())
}

/// The digest of what is in a sealed file.
pub fn hash_opened(path: &Path, key: &Key) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let opened = each_chunk(&mut file, size, key, |chunk| {
        hasher.update(chunk);
    });
    opened.map_err(io::Error::other)?;
    Ok(Digest(*hasher.finalize().as_bytes()))
}

/// Whether the file is no longer what came from the farm.
fn is_damaged(path: &Path, lock: &Lock) -> io::Result<bool> {
    Ok(hash_file(path)? != lock.sealed)
}

/// The digest of a file.
pub fn hash_file(path: &Path) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(Digest(*hasher.finalize().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_asset_is_read_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let plain = vec![5; 100_000];
        let (digest, key) = (Digest::of(&plain), Key::random());
        let sealed = seal::seal(&key, &plain);
        let lock = Lock { sealed: Digest::of(&sealed), key: key.clone() };
        let path = dir.path().join("x");
        let written = |bytes: &[u8], lock: &Lock, digest| {
            std::fs::write(&path, bytes).unwrap();
            Asset::sealed(path.clone(), digest, lock.clone())
        };
        assert_eq!(written(&sealed, &lock, digest).read(100_000).unwrap(), plain);
        let large = written(&sealed, &lock, digest).read(99_999);
        assert!(matches!(large, Err(ReadError::TooLarge { .. })));
        let other = written(&sealed, &lock, Digest::of(b"other")).read(100_000);
        assert!(matches!(other, Err(ReadError::Sealed(SealError::Content))));
        let wrong = Lock { key: Key::random(), ..lock.clone() };
        let closed = written(&sealed, &wrong, digest).read(100_000);
        assert!(matches!(closed, Err(ReadError::Sealed(SealError::Chunk(0)))) && path.exists());
        let mut flipped = sealed;
        flipped[70_000] ^= 1;
        let damaged = written(&flipped, &lock, digest).read(100_000);
        assert!(matches!(damaged, Err(ReadError::Damaged)) && !path.exists());
    }
}
