//! A job's assets as the scheduler reads them: those that its keyring names are sealed. What was
//! sealed is opened in memory only. Knows no scene.

use crate::blobs::{BlobError, Blobs};
use bytes::Bytes;
use farm::digest::Digest;
use proto::seal::{
    CHUNK_BYTES, KEYRING_BYTES_MAX, Keyring, Lock, Seal, SealError, TAG_BYTES, open, sealed_bytes,
};

/// Why an asset cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("{0}: {1}")]
    Sealed(Digest, SealError),
}

/// What a job is made of.
#[derive(Debug)]
pub struct Assets<'a> {
    blobs: &'a Blobs,
    keyring: Keyring,
}

impl<'a> Assets<'a> {
    /// The assets of a job with this lock, or of one with none.
    pub async fn of(blobs: &'a Blobs, lock: Option<&Lock>) -> Result<Self, AssetError> {
        let Some(lock) = lock else { return Ok(Self { blobs, keyring: Keyring::default() }) };
        let sealed = blobs.get(&lock.sealed, sealed_bytes(KEYRING_BYTES_MAX)).await?;
        let keyring = Keyring::open(&lock.key, &sealed);
        let keyring = keyring.map_err(|error| AssetError::Sealed(lock.sealed, error))?;
        Ok(Self { blobs, keyring })
    }

    /// What the store calls an asset.
    pub fn stored<'b>(&'b self, digest: &'b Digest) -> (&'b Digest, Option<&'b Lock>) {
        match self.keyring.0.get(digest) {
            Some(lock) => (&lock.sealed, Some(lock)),
            None => (digest, None),
        }
    }

    pub async fn has(&self, digest: &Digest) -> Result<bool, AssetError> {
        Ok(self.blobs.has(self.stored(digest).0).await?)
    }

    /// Its first `count` bytes, or all if there are fewer; `count` lie within a chunk.
    pub async fn head(&self, digest: &Digest, count: u64) -> Result<Bytes, AssetError> {
        let (name, lock) = self.stored(digest);
        let size = self.blobs.size(name).await?;
        let Some(lock) = lock else {
            let count = count.min(size);
            let nothing = count == 0;
            return Ok(if nothing {
                Bytes::new()
            } else {
                self.blobs.part(name, 0, count).await?
            });
        };
        let wrong = |error| AssetError::Sealed(*digest, error);
        let seal = Seal::of_sealed(&lock.key, size).map_err(wrong)?;
        let first = self.blobs.part(name, 0, size.min((CHUNK_BYTES + TAG_BYTES) as u64)).await?;
        let mut first = first.to_vec();
        let plain = seal.open(0, &mut first).map_err(wrong)?;
        Ok(Bytes::copy_from_slice(&plain[..plain.len().min(count as usize)]))
    }

    /// All of its bytes, if they are at most so many and what its digest says.
    pub async fn get(&self, digest: &Digest, most: u64) -> Result<Bytes, AssetError> {
        let (name, lock) = self.stored(digest);
        let Some(lock) = lock else { return Ok(self.blobs.get(name, most).await?) };
        let sealed = self.blobs.get(name, sealed_bytes(most)).await?;
        let plain =
            open(&lock.key, &sealed).and_then(|plain| match Digest::of(&plain) == *digest {
                true => Ok(plain),
                false => Err(SealError::Content),
            });
        Ok(plain.map_err(|error| AssetError::Sealed(*digest, error))?.into())
    }
}
