//! Blobs: bytes by their BLAKE3 digest, in an object store below the state directory. Uploads
//! gather in partial files until they are whole and proven.

use farm::digest::Digest;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use proto::seal::SealError;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Bytes of one part of a large put, and of one read.
const PART_BYTES: usize = 8 << 20;

/// Why an upload or a read failed.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("the farm does not have {0}; upload it first")]
    Missing(Digest),
    #[error("{0} is being uploaded by somebody else; try again")]
    Busy(Digest),
    #[error("the upload of {digest} goes on at byte {have}, not {offset}")]
    WrongOffset { digest: Digest, have: u64, offset: u64 },
    #[error("the bytes sent for {0} have another digest; they were discarded")]
    DigestMismatch(Digest),
    #[error("{digest} was announced with {size} bytes; {got} came")]
    SizeMismatch { digest: Digest, size: u64, got: u64 },
    #[error("the farm's disk has {free} bytes free and keeps {least}; ask its operator for room")]
    DiskFull { free: u64, least: u64 },
    #[error("{0} was damaged on the farm's disk: {1}")]
    Damaged(Digest, SealError),
    #[error("storage: {0}")]
    Store(#[from] object_store::Error),
    #[error("storage: {0}")]
    Io(#[from] std::io::Error),
}

/// The store.
#[derive(Debug)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    partial: PathBuf,
    disk_free_bytes_min: u64,
    uploading: Mutex<BTreeSet<Digest>>,
}

fn key(digest: &Digest) -> Key {
    let name = digest.to_string();
    Key::from(format!("{}/{name}", &name[..2]))
}

impl Blobs {
    /// Opens or founds the store in the state directory.
    pub fn open(state: &Path, disk_free_bytes_min: u64) -> Result<Self, BlobError> {
        let (blobs, partial) = (state.join("blobs"), state.join("uploads"));
        std::fs::create_dir_all(&blobs)?;
        std::fs::create_dir_all(&partial)?;
        let store = Arc::new(LocalFileSystem::new_with_prefix(blobs)?.with_fsync(true));
        Ok(Self { store, partial, disk_free_bytes_min, uploading: Mutex::default() })
    }

    /// Whether the store has it. Nothing at all is always there.
    pub async fn has(&self, digest: &Digest) -> Result<bool, BlobError> {
        if *digest == Digest::of(&[]) {
            return Ok(true);
        }
        match self.store.head(&key(digest)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Its size in bytes.
    pub async fn size(&self, digest: &Digest) -> Result<u64, BlobError> {
        match self.store.head(&key(digest)).await {
            Ok(meta) => Ok(meta.size),
            Err(object_store::Error::NotFound { .. }) if *digest == Digest::of(&[]) => Ok(0),
            Err(object_store::Error::NotFound { .. }) => Err(BlobError::Missing(*digest)),
            Err(error) => Err(error.into()),
        }
    }

    /// Part of its bytes.
    pub async fn part(
        &self,
        digest: &Digest,
        from: u64,
        to: u64,
    ) -> Result<bytes::Bytes, BlobError> {
        Ok(self.store.get_range(&key(digest), from..to).await?)
    }

    /// All of its bytes, if they are at most so many.
    pub async fn get(&self, digest: &Digest, most: u64) -> Result<bytes::Bytes, BlobError> {
        let size = self.size(digest).await?;
        if size > most {
            return Err(BlobError::SizeMismatch { digest: *digest, size: most, got: size });
        }
        if size == 0 {
            return Ok(bytes::Bytes::new());
        }
        Ok(self.store.get(&key(digest)).await?.bytes().await?)
    }

    /// Puts bytes that are at hand under a name that stands for them.
    pub async fn put_as(&self, name: &Digest, bytes: Vec<u8>) -> Result<(), BlobError> {
        self.check_disk()?;
        self.store.put(&key(name), PutPayload::from(bytes)).await?;
        Ok(())
    }

    /// Where an interrupted upload goes on.
    pub async fn offset(&self, digest: &Digest) -> u64 {
        let path = self.partial.join(digest.to_string());
        tokio::fs::metadata(path).await.map_or(0, |meta| meta.len())
    }

    /// Starts or goes on with an upload; nobody else can upload the same at the same time.
    pub async fn upload(
        self: &Arc<Self>,
        digest: Digest,
        size: u64,
        offset: u64,
    ) -> Result<Upload, BlobError> {
        self.check_disk()?;
        let path = self.partial.join(digest.to_string());
        let claim = Claim::of(self, digest)?;
        let have = self.offset(&digest).await;
        if offset != have && offset != 0 {
            return Err(BlobError::WrongOffset { digest, have, offset });
        }
        let options = File::options().create(true).append(true).clone();
        let file = options.open(&path).await?;
        file.set_len(offset).await?;
        Ok(Upload { claim, path, file, size, got: offset, checked: offset })
    }

    fn check_disk(&self) -> Result<(), BlobError> {
        let disk = rustix::fs::statvfs(&self.partial).map_err(std::io::Error::from)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let least = self.disk_free_bytes_min;
        if free < least { Err(BlobError::DiskFull { free, least }) } else { Ok(()) }
    }

    async fn put_file(&self, digest: &Digest, path: &Path) -> Result<(), BlobError> {
        let mut file = File::open(path).await?;
        let mut upload = self.store.put_multipart(&key(digest)).await?;
        loop {
            let mut part = Vec::with_capacity(PART_BYTES);
            (&mut file).take(PART_BYTES as u64).read_to_end(&mut part).await?;
            if part.is_empty() {
                break;
            }
            upload.put_part(PutPayload::from(part)).await?;
        }
        upload.complete().await?;
        Ok(())
    }
}

/// The right to be the only one uploading a digest.
#[derive(Debug)]
struct Claim {
    blobs: Arc<Blobs>,
    digest: Digest,
}

impl Claim {
    fn of(blobs: &Arc<Blobs>, digest: Digest) -> Result<Self, BlobError> {
        let mut uploading = blobs.uploading.lock().unwrap_or_else(PoisonError::into_inner);
        if !uploading.insert(digest) {
            return Err(BlobError::Busy(digest));
        }
        Ok(Self { blobs: Arc::clone(blobs), digest })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut uploading = self.blobs.uploading.lock().unwrap_or_else(PoisonError::into_inner);
        uploading.remove(&self.digest);
    }
}

/// An upload under way. What has come stays for later if it is dropped.
#[derive(Debug)]
pub struct Upload {
    claim: Claim,
    path: PathBuf,
    file: File,
    size: u64,
    got: u64,
    /// Where free room on the disk was last looked at.
    checked: u64,
}

impl Upload {
    /// Takes the next bytes.
    pub async fn write(&mut self, data: &[u8]) -> Result<(), BlobError> {
        let (digest, size) = (self.claim.digest, self.size);
        self.got += data.len() as u64;
        if self.got > size {
            self.discard().await;
            return Err(BlobError::SizeMismatch { digest, size, got: self.got });
        }
        if self.got - self.checked > PART_BYTES as u64 {
            self.claim.blobs.check_disk()?;
            self.checked = self.got;
        }
        Ok(self.file.write_all(data).await?)
    }

    /// Makes what has come readable for a later upload, after an interruption.
    pub async fn pause(mut self) {
        self.file.flush().await.ok();
    }

    /// Proves the bytes and stores them. Bytes of another digest are discarded.
    pub async fn finish(mut self) -> Result<(), BlobError> {
        let (digest, size, got) = (self.claim.digest, self.size, self.got);
        self.file.flush().await?;
        if got != size {
            return Err(BlobError::SizeMismatch { digest, size, got });
        }
        let path = self.path.clone();
        let found = tokio::task::spawn_blocking(move || digest_of(&path)).await;
        if found.map_err(std::io::Error::other)?? != digest {
            self.discard().await;
            return Err(BlobError::DigestMismatch(digest));
        }
        self.claim.blobs.put_file(&digest, &self.path).await?;
        self.discard().await;
        Ok(())
    }

    async fn discard(&mut self) {
        tokio::fs::remove_file(&self.path).await.ok();
    }
}

fn digest_of(path: &Path) -> std::io::Result<Digest> {
    let mut file = std::fs::File::open(path)?;
    let (mut hasher, mut part) = (blake3::Hasher::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut part)? {
            0 => return Ok(Digest(*hasher.finalize().as_bytes())),
            read => hasher.update_rayon(&part[..read]),
        };
    }
}
