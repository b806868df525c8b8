//! The worker's asset cache: bytes by digest, on disk, under a size cap. What a running tile uses
//! is never evicted. Sealed assets lie there as they came; others are sealed as they come, under a
//! secret of the worker's. Knows no scene: it fetches what an engine asks for.

use crate::asset::{Asset, hash_file, hash_opened};
use crate::channel::Keyed;
use crate::engine::{Assets, EngineError};
use farm::digest::Digest;
use proto::seal::{
    CHUNK_BYTES, KEYRING_BYTES_MAX, Key, Keyring, Lock, Seal, TAG_BYTES, sealed_bytes,
};
use proto::v1;
use proto::v1::assets_client::AssetsClient;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// Attempts at one asset before the tile is given back.
const ATTEMPTS_MAX: u32 = 5;
/// Longest wait of a tile for one asset.
const FETCH_TIME_MAX: Duration = Duration::from_secs(600);

/// Why an asset is not there.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    #[error("asset {0}: the farm does not have it")]
    Unknown(Digest),
    #[error("asset {digest}: the farm refuses it: {why}")]
    Refused { digest: Digest, why: String },
    #[error("asset {digest}: {size} bytes are more than the whole cache of {cap}; raise --cache")]
    TooLarge { digest: Digest, size: u64, cap: u64 },
    #[error("asset {0}: what the farm sent does not match the digest")]
    Mismatch(Digest),
    #[error("asset {digest}: {why}")]
    Transfer { digest: Digest, why: String },
    #[error("asset cache: {0}")]
    Disk(#[from] io::Error),
}

/// How an asset comes from the farm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comes {
    Sealed,
    Open,
}

/// A directory of assets.
pub struct Cache {
    dir: PathBuf,
    cap: u64,
    secret: Key,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many running tiles use an asset.
    pins: BTreeMap<Digest, u32>,
    /// Assets on their way; a second asker waits for the first.
    arriving: BTreeMap<Digest, Arc<tokio::sync::Mutex<()>>>,
}

impl Cache {
    /// Opens the directory, made if need be. `cap`: bytes that may lie there.
    pub fn open(dir: PathBuf, cap: u64, secret: Key) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, cap, secret, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes open has another name than what comes sealed: their files are not alike.
    fn file(&self, digest: &Digest, comes: Comes) -> PathBuf {
        self.dir.join(match comes {
            Comes::Sealed => digest.to_string(),
            Comes::Open => format!("{digest}.own"),
        })
    }

    fn part(&self, digest: &Digest, comes: Comes) -> PathBuf {
        let mut path = self.file(digest, comes).into_os_string();
        path.push(".part");
        path.into()
    }

    /// What opens the file of an asset that came open.
    fn lock(&self, digest: &Digest) -> Lock {
        Lock { sealed: Digest::default(), key: self.secret.of(digest) }
    }

    /// The asset's file, if it is here; counts as a use.
    pub fn find(&self, digest: &Digest, comes: Comes) -> Option<PathBuf> {
        let path = self.file(digest, comes);
        let file = fs::File::open(&path).ok()?;
        let _ = file.set_modified(SystemTime::now());
        Some(path)
    }

    /// The asset's file, fetched if it is not here.
    pub async fn ensure(
        &self,
        digest: &Digest,
        comes: Comes,
        farm: &Keyed,
    ) -> Result<PathBuf, AssetError> {
        if let Some(path) = self.find(digest, comes) {
            return Ok(path);
        }
        let turn = self.state().arriving.entry(*digest).or_default().clone();
        let held = turn.lock().await;
        let outcome = match self.find(digest, comes) {
            Some(path) => Ok(path),
            None => self.fetch(digest, comes, farm).await,
        };
        drop(held);
        let mut state = self.state();
        if Arc::strong_count(&turn) == 2 {
            state.arriving.remove(digest);
        }
        outcome
    }

    /// Downloads, going on where an earlier attempt stopped.
    async fn fetch(
        &self,
        digest: &Digest,
        comes: Comes,
        farm: &Keyed,
    ) -> Result<PathBuf, AssetError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.download(digest, comes, farm).await {
                Err(AssetError::Transfer { digest, why }) if attempt < ATTEMPTS_MAX => {
                    tracing::debug!("asset {digest}: {why}; attempt {attempt}");
                    tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        let (part, asset) = (self.part(digest, comes), self.lock(digest));
        let found = tokio::task::spawn_blocking(move || match comes {
            Comes::Sealed => hash_file(&part),
            Comes::Open => hash_opened(&part, &asset.key),
        });
        let found = found.await.map_err(io::Error::other)??;
        if found != *digest {
            fs::remove_file(self.part(digest, comes))?;
            return Err(AssetError::Mismatch(*digest));
        }
        let path = self.file(digest, comes);
        fs::rename(self.part(digest, comes), &path)?;
        Ok(path)
    }

    async fn download(
        &self,
        digest: &Digest,
        comes: Comes,
        farm: &Keyed,
    ) -> Result<(), AssetError> {
        let transfer = |status: tonic::Status| match status.code() {
            tonic::Code::NotFound => AssetError::Unknown(*digest),
            tonic::Code::PermissionDenied => {
                AssetError::Refused { digest: *digest, why: status.message().to_owned() }
            }
            _ => AssetError::Transfer { digest: *digest, why: status.message().to_owned() },
        };
        let key = (comes == Comes::Open).then(|| self.lock(digest).key);
        let mut part = Part::open(&self.part(digest, comes), key)?;
        let offset = part.offset;
        let name = proto::convert::wire_digest(digest);
        let ask = v1::DownloadRequest { digest: name, offset, ..Default::default() };
        let mut client = AssetsClient::new(farm.clone());
        let mut stream = client.download(ask).await.map_err(transfer)?.into_inner();
        let (mut size, mut written) = (None, offset);
        while let Some(chunk) = stream.message().await.map_err(transfer)? {
            let whole = match size {
                Some(size) => size,
                None => {
                    self.make_room(digest, chunk.size, offset)?;
                    *size.insert(chunk.size)
                }
            };
            written += chunk.data.len() as u64;
            if written > whole {
                fs::remove_file(self.part(digest, comes))?;
                return Err(AssetError::Mismatch(*digest));
            }
            part.write(&chunk.data, whole)?;
        }
        if size != Some(written) {
            let why = "the transfer ended early".to_owned();
            return Err(AssetError::Transfer { digest: *digest, why });
        }
        part.finish(written)?;
        Ok(())
    }

    /// Removes assets, the longest unused first, until `size` bytes more fit.
    fn make_room(&self, digest: &Digest, size: u64, have: u64) -> Result<(), AssetError> {
        if size > self.cap {
            return Err(AssetError::TooLarge { digest: *digest, size, cap: self.cap });
        }
        let mut files = self.files()?;
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        let state = self.state();
        for (_, bytes, path) in files {
            if total.saturating_sub(have).saturating_add(size) <= self.cap {
                break;
            }
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let named = Digest::parse(name.split('.').next().unwrap_or_default());
            let busy = named.is_some_and(|digest| {
                state.pins.contains_key(&digest) || state.arriving.contains_key(&digest)
            });
            if !busy {
                fs::remove_file(&path)?;
                total -= bytes;
            }
        }
        Ok(())
    }

    fn files(&self) -> io::Result<Vec<(SystemTime, u64, PathBuf)>> {
        let mut files = Vec::new();
        for file in fs::read_dir(&self.dir)? {
            let file = file?;
            let about = file.metadata()?;
            files.push((about.modified()?, about.len(), file.path()));
        }
        Ok(files)
    }
}

/// A file of what has come of an asset so far.
struct Part {
    file: fs::File,
    /// What it is sealed with as it comes.
    key: Option<Key>,
    /// Where the download goes on.
    offset: u64,
    /// Chunks in the file, and bytes of the next one.
    chunks: u64,
    chunk: Vec<u8>,
}

impl Part {
    fn open(path: &Path, key: Option<Key>) -> io::Result<Self> {
        const SEALED_BYTES: u64 = (CHUNK_BYTES + TAG_BYTES) as u64;
        let file = fs::OpenOptions::new().create(true).append(true).open(path)?;
        let have = file.metadata()?.len();
        let (mut offset, mut chunks) = (have, 0);
        if key.is_some() {
            // The last chunk may have been of less than there is now.
            chunks = have / SEALED_BYTES;
            file.set_len(chunks * SEALED_BYTES)?;
            offset = chunks * CHUNK_BYTES as u64;
        }
        Ok(Self { file, key, offset, chunks, chunk: Vec::new() })
    }

    /// Takes the next bytes of an asset of so many.
    fn write(&mut self, mut data: &[u8], size: u64) -> io::Result<()> {
        if self.key.is_none() {
            return self.file.write_all(data);
        }
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(CHUNK_BYTES - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            data = later;
            if self.chunk.len() == CHUNK_BYTES {
                self.seal(size)?;
            }
        }
        Ok(())
    }

    fn seal(&mut self, size: u64) -> io::Result<()> {
        if let Some(key) = &self.key {
            Seal::new(key, size).seal(self.chunks, &mut self.chunk);
            self.file.write_all(&self.chunk)?;
            self.chunks += 1;
            self.chunk.clear();
        }
        Ok(())
    }

    /// All of the asset's bytes have come.
    fn finish(mut self, size: u64) -> io::Result<()> {
        if !self.chunk.is_empty() || self.chunks == 0 {
            self.seal(size)?;
        }
        self.file.sync_data()
    }
}

/// What one tile sees of the cache: it fetches what is missing and pins what it used until dropped.
pub struct Desk {
    cache: Arc<Cache>,
    farm: watch::Receiver<Option<Keyed>>,
    runtime: tokio::runtime::Handle,
    /// What opens the list of the job's locks, and that list once it was asked for.
    lock: Option<Lock>,
    keyring: OnceLock<Keyring>,
    used: Mutex<BTreeSet<Digest>>,
    starved: AtomicBool,
}

impl Desk {
    /// `farm`: the channel of the moment, none while there is no connection. `lock`: of the job's
    /// keyring, if its assets are sealed.
    pub fn new(
        cache: Arc<Cache>,
        farm: watch::Receiver<Option<Keyed>>,
        runtime: tokio::runtime::Handle,
        lock: Option<Lock>,
    ) -> Self {
        let (keyring, used) = (OnceLock::new(), Mutex::default());
        Self { cache, farm, runtime, lock, keyring, used, starved: AtomicBool::new(false) }
    }

    /// Whether a tile failed for want of an asset: then its device is not to blame.
    pub fn starved(&self) -> bool {
        self.starved.load(Ordering::Relaxed)
    }

    /// Waits for a connection, fetches; a connection that breaks is waited for again.
    async fn fetch(&self, digest: &Digest, comes: Comes) -> Result<PathBuf, AssetError> {
        let mut connection = self.farm.clone();
        loop {
            let Ok(farm) = connection.wait_for(Option::is_some).await.map(|farm| farm.clone())
            else {
                let why = "the worker is stopping".to_owned();
                return Err(AssetError::Transfer { digest: *digest, why });
            };
            let Some(farm) = farm else { continue };
            match self.cache.ensure(digest, comes, &farm).await {
                Err(AssetError::Transfer { why, .. }) => {
                    tracing::info!("asset {digest}: {why}; asking again");
                }
                outcome => return outcome,
            }
        }
    }
}

impl Assets for Desk {
    fn asset(&self, digest: &Digest) -> Result<Asset, EngineError> {
        match self.keyring()?.and_then(|keyring| keyring.0.get(digest)) {
            None => {
                let path = self.path(digest, Comes::Open)?;
                Ok(Asset::sealed(path, *digest, self.cache.lock(digest)))
            }
            Some(lock) => {
                let path = self.path(&lock.sealed, Comes::Sealed)?;
                Ok(Asset::sealed(path, *digest, lock.clone()))
            }
        }
    }
}

impl Desk {
    /// The locks of the job's assets.
    fn keyring(&self) -> Result<Option<&Keyring>, EngineError> {
        let Some(lock) = &self.lock else { return Ok(None) };
        if let Some(keyring) = self.keyring.get() {
            return Ok(Some(keyring));
        }
        let wrong = |why: String| EngineError::Scene(format!("the job's keyring: {why}"));
        let sealed = Asset::from(self.path(&lock.sealed, Comes::Sealed)?)
            .read(sealed_bytes(KEYRING_BYTES_MAX));
        let sealed = sealed.map_err(|error| wrong(error.to_string()))?;
        let keyring =
            Keyring::open(&lock.key, &sealed).map_err(|error| wrong(error.to_string()))?;
        Ok(Some(self.keyring.get_or_init(|| keyring)))
    }

    /// The file of what has this digest, as it came from the farm.
    fn path(&self, digest: &Digest, comes: Comes) -> Result<PathBuf, EngineError> {
        if self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest) {
            *self.cache.state().pins.entry(*digest).or_default() += 1;
        }
        if let Some(path) = self.cache.find(digest, comes) {
            return Ok(path);
        }
        let fetched = self.runtime.block_on(async {
            tokio::time::timeout(FETCH_TIME_MAX, self.fetch(digest, comes)).await
        });
        let why = match fetched {
            Ok(Ok(path)) => return Ok(path),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("asset {digest}: no answer from the farm for {FETCH_TIME_MAX:?}"),
        };
        self.starved.store(true, Ordering::Relaxed);
        Err(EngineError::Device(why))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let used = std::mem::take(self.used.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut state = self.cache.state();
        for digest in used {
            if let Some(pins) = state.pins.get_mut(&digest) {
                *pins -= 1;
                if *pins == 0 {
                    state.pins.remove(&digest);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_goes_first_and_never_what_a_tile_uses() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::open(dir.path().into(), 100, Key::random()).unwrap());
        let digests: Vec<Digest> = (0..4u8).map(|n| Digest::of(&[n])).collect();
        for (age, digest) in digests.iter().enumerate() {
            let path = cache.file(digest, Comes::Open);
            fs::write(&path, [0; 25]).unwrap();
            let when = SystemTime::UNIX_EPOCH + Duration::from_secs(age as u64);
            fs::File::open(&path).unwrap().set_modified(when).unwrap();
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (_farm, channel) = watch::channel(None);
        let desk = Desk::new(cache.clone(), channel, runtime.handle().clone(), None);
        desk.path(&digests[0], Comes::Open).unwrap();
        fs::File::open(cache.file(&digests[0], Comes::Open))
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
        let wanted = Digest::of(b"wanted");
        cache.make_room(&wanted, 50, 0).unwrap();
        let here: Vec<bool> =
            digests.iter().map(|digest| cache.find(digest, Comes::Open).is_some()).collect();
        assert_eq!(here, [true, false, false, true]);
        drop(desk);
        cache.make_room(&wanted, 100, 0).unwrap();
        assert!(digests.iter().all(|digest| cache.find(digest, Comes::Open).is_none()));
        assert!(matches!(cache.make_room(&wanted, 101, 0), Err(AssetError::TooLarge { .. })));
    }

    #[test]
    fn what_comes_open_is_sealed_as_it_comes_and_goes_on_where_it_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part");
        let bytes: Vec<u8> = (0..300_000_u32).map(|at| (at * 5 / 3) as u8).collect();
        for size in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 300_000] {
            let plain = &bytes[..size];
            let (key, size) = (Key::random().of(&Digest::of(plain)), size as u64);
            for stop in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 200_000] {
                let _ = fs::remove_file(&path);
                let mut part = Part::open(&path, Some(key.clone())).unwrap();
                plain[..stop.min(plain.len())].chunks(9_999).for_each(|piece| {
                    part.write(piece, size).unwrap();
                });
                drop(part);
                let mut part = Part::open(&path, Some(key.clone())).unwrap();
                let rest = &plain[part.offset as usize..];
                part.write(rest, size).unwrap();
                part.finish(size).unwrap();
                assert!(fs::read(&path).unwrap() == proto::seal::seal(&key, plain), "{stop}");
                assert_eq!(hash_opened(&path, &key).unwrap(), Digest::of(plain));
            }
        }
    }

    #[test]
    fn a_worker_that_stops_leaves_no_tile_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::open(dir.path().into(), 100, Key::random()).unwrap());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (farm, channel) = watch::channel(None);
        let desk = Desk::new(cache, channel, runtime.handle().clone(), None);
        drop(farm);
        let missing = desk.path(&Digest::of(b"missing"), Comes::Open);
        assert!(matches!(missing, Err(EngineError::Device(_))));
        assert!(desk.starved());
    }
}
