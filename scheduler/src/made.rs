//! What the farm's workers made, tiles and images, by digest: sealed at rest under a secret of the
//! farm's, and given to those it is for only, since the public log names the digests. Knows nobody.

use crate::blobs::{BlobError, Blobs};
use bytes::Bytes;
use farm::digest::Digest;
use proto::seal::{CHUNK_BYTES, Key, Seal, SealError, TAG_BYTES, seal};
use std::path::Path;

/// Bytes of a chunk as it is stored.
const SEALED_BYTES: u64 = (CHUNK_BYTES + TAG_BYTES) as u64;

/// The store. A name stands for the same bytes always, so that its key seals nothing else.
#[derive(Debug)]
pub struct Made {
    blobs: Blobs,
    secret: Key,
}

/// What an image is called while it carries a mark; the log does not know it.
pub fn marked(image: &Digest) -> Digest {
    Digest::of(&[b"girih.v1 marked", &image.0[..]].concat())
}

impl Made {
    pub fn open(state: &Path, disk_free_bytes_min: u64, secret: Key) -> Result<Self, BlobError> {
        Ok(Self { blobs: Blobs::open(&state.join("made"), disk_free_bytes_min)?, secret })
    }

    /// Whether it is there. Nothing at all is always there.
    pub async fn has(&self, name: &Digest) -> Result<bool, BlobError> {
        self.blobs.has(name).await
    }

    /// Puts bytes; gives their digest.
    pub async fn put(&self, bytes: &[u8]) -> Result<Digest, BlobError> {
        let digest = Digest::of(bytes);
        self.put_as(&digest, bytes).await?;
        Ok(digest)
    }

    /// Puts bytes that follow from this name.
    pub async fn put_as(&self, name: &Digest, bytes: &[u8]) -> Result<(), BlobError> {
        self.blobs.put_as(name, seal(&self.secret.of(name), bytes)).await
    }

    /// Its size in bytes.
    pub async fn size(&self, name: &Digest) -> Result<u64, BlobError> {
        let sealed = self.blobs.size(name).await?;
        let chunks = sealed.div_ceil(SEALED_BYTES);
        let size = sealed.checked_sub(chunks * TAG_BYTES as u64);
        size.ok_or(BlobError::Damaged(*name, SealError::Size))
    }

    /// Part of its bytes.
    pub async fn part(&self, name: &Digest, from: u64, to: u64) -> Result<Bytes, BlobError> {
        if from >= to {
            return Ok(Bytes::new());
        }
        let damaged = |error| BlobError::Damaged(*name, error);
        let size = self.blobs.size(name).await?;
        let seal = Seal::of_sealed(&self.secret.of(name), size).map_err(damaged)?;
        let first = from / CHUNK_BYTES as u64;
        let end = size.min(to.div_ceil(CHUNK_BYTES as u64) * SEALED_BYTES);
        let sealed = self.blobs.part(name, first * SEALED_BYTES, end).await?;
        let mut bytes = Vec::with_capacity(sealed.len());
        for (nth, chunk) in (first..).zip(sealed.chunks(SEALED_BYTES as usize)) {
            bytes.extend_from_slice(seal.open(nth, &mut chunk.to_vec()).map_err(damaged)?);
        }
        let begin = (from - first * CHUNK_BYTES as u64) as usize;
        let end = bytes.len().min(begin + (to - from) as usize);
        Ok(Bytes::from(bytes).slice(begin.min(end)..end))
    }

    /// All of its bytes, if they are at most so many.
    pub async fn get(&self, name: &Digest, most: u64) -> Result<Bytes, BlobError> {
        let size = self.size(name).await?;
        if size > most {
            return Err(BlobError::SizeMismatch { digest: *name, size: most, got: size });
        }
        self.part(name, 0, size).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn any_part_of_what_was_made_comes_back_and_the_disk_has_none_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let made = Made::open(dir.path(), 0, Key::random()).unwrap();
        let bytes: Vec<u8> = (0..200_000_u32).map(|at| (at * 7 / 3) as u8).collect();
        let digest = made.put(&bytes).await.unwrap();
        assert_eq!(digest, Digest::of(&bytes));
        assert_eq!(made.size(&digest).await.unwrap(), 200_000);
        for (from, to) in [(0, 200_000), (0, 1), (65_535, 65_537), (65_536, 131_072), (7, 7)] {
            let part = made.part(&digest, from, to).await.unwrap();
            assert!(part == bytes[from as usize..to as usize], "{from}..{to}");
        }
        assert!(made.get(&digest, 200_000).await.unwrap() == bytes);
        assert!(made.get(&digest, 199_999).await.is_err());
        let name = digest.to_string();
        let file = dir.path().join("made/blobs").join(&name[..2]).join(&name);
        let mut stored = std::fs::read(&file).unwrap();
        assert!(!stored.windows(64).any(|piece| piece == &bytes[..64]));
        stored[70_000] ^= 1;
        std::fs::write(&file, stored).unwrap();
        assert!(made.part(&digest, 0, 10).await.is_ok());
        let damaged = made.get(&digest, 200_000).await.unwrap_err();
        assert!(matches!(damaged, BlobError::Damaged(_, SealError::Chunk(1))), "{damaged}");
        let nothing = made.put(&[]).await.unwrap();
        assert_eq!(made.get(&nothing, 0).await.unwrap(), Bytes::new());
    }
}
