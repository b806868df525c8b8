//! The worker's asset cache: bytes by digest, on disk, under a size cap. What a running tile uses
//! is never evicted. Sealed assets lie there sealed. Knows no scene: it fetches what an engine asks
//! for.

use crate::asset::{Asset, hash_file};
use crate::channel::Keyed;
use crate::engine::{Assets, EngineError};
use farm::digest::Digest;
use proto::seal::{KEYRING_BYTES_MAX, Keyring, Lock, sealed_bytes};
use proto::v1;
use proto::v1::assets_client::AssetsClient;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
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
    #[error("asset {digest}: {size} bytes are more than the whole cache of {cap}; raise --cache")]
    TooLarge { digest: Digest, size: u64, cap: u64 },
    #[error("asset {0}: what the farm sent does not match the digest")]
    Mismatch(Digest),
    #[error("asset {digest}: {why}")]
    Transfer { digest: Digest, why: String },
    #[error("asset cache: {0}")]
    Disk(#[from] io::Error),
}

/// A directory of assets.
pub struct Cache {
    dir: PathBuf,
    cap: u64,
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
    pub fn open(dir: PathBuf, cap: u64) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, cap, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, digest: &Digest) -> PathBuf {
        self.dir.join(digest.to_string())
    }

    fn part(&self, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{digest}.part"))
    }

    /// The asset's file, if it is here; counts as a use.
    pub fn find(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.file(digest);
        let file = fs::File::open(&path).ok()?;
        let _ = file.set_modified(SystemTime::now());
        Some(path)
    }

    /// The asset's file, fetched if it is not here.
    pub async fn ensure(&self, digest: &Digest, farm: &Keyed) -> Result<PathBuf, AssetError> {
        if let Some(path) = self.find(digest) {
            return Ok(path);
        }
        let turn = self.state().arriving.entry(*digest).or_default().clone();
        let held = turn.lock().await;
        let outcome = match self.find(digest) {
            Some(path) => Ok(path),
            None => self.fetch(digest, farm).await,
        };
        drop(held);
        let mut state = self.state();
        if Arc::strong_count(&turn) == 2 {
            state.arriving.remove(digest);
        }
        outcome
    }

    /// Downloads, going on where an earlier attempt stopped.
    async fn fetch(&self, digest: &Digest, farm: &Keyed) -> Result<PathBuf, AssetError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.download(digest, farm).await {
                Err(AssetError::Transfer { digest, why }) if attempt < ATTEMPTS_MAX => {
                    tracing::debug!("asset {digest}: {why}; attempt {attempt}");
                    tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        let part = self.part(digest);
        let found = tokio::task::spawn_blocking(move || hash_file(&part))
            .await
            .map_err(io::Error::other)??;
        if found != *digest {
            fs::remove_file(self.part(digest))?;
            return Err(AssetError::Mismatch(*digest));
        }
        let path = self.file(digest);
        fs::rename(self.part(digest), &path)?;
        Ok(path)
    }

    async fn download(&self, digest: &Digest, farm: &Keyed) -> Result<(), AssetError> {
        let transfer = |status: tonic::Status| match status.code() {
            tonic::Code::NotFound => AssetError::Unknown(*digest),
            _ => AssetError::Transfer { digest: *digest, why: status.message().to_owned() },
        };
        let mut part = fs::OpenOptions::new().create(true).append(true).open(self.part(digest))?;
        let offset = part.metadata()?.len();
        let ask = v1::DownloadRequest { digest: proto::convert::wire_digest(digest), offset };
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
                fs::remove_file(self.part(digest))?;
                return Err(AssetError::Mismatch(*digest));
            }
            part.write_all(&chunk.data)?;
        }
        if size != Some(written) {
            let why = "the transfer ended early".to_owned();
            return Err(AssetError::Transfer { digest: *digest, why });
        }
        part.sync_data()?;
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
            let named = Digest::parse(name.trim_end_matches(".part"));
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
    async fn fetch(&self, digest: &Digest) -> Result<PathBuf, AssetError> {
        let mut connection = self.farm.clone();
        loop {
            let Ok(farm) = connection.wait_for(Option::is_some).await.map(|farm| farm.clone())
            else {
                let why = "the worker is stopping".to_owned();
                return Err(AssetError::Transfer { digest: *digest, why });
            };
            let Some(farm) = farm else { continue };
            match self.cache.ensure(digest, &farm).await {
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
            None => self.path(digest).map(Asset::from),
            Some(lock) => Ok(Asset::sealed(self.path(&lock.sealed)?, *digest, lock.clone())),
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
        let sealed = Asset::from(self.path(&lock.sealed)?).read(sealed_bytes(KEYRING_BYTES_MAX));
        let sealed = sealed.map_err(|error| wrong(error.to_string()))?;
        let keyring =
            Keyring::open(&lock.key, &sealed).map_err(|error| wrong(error.to_string()))?;
        Ok(Some(self.keyring.get_or_init(|| keyring)))
    }

    /// The file of what has this digest, as it came from the farm.
    fn path(&self, digest: &Digest) -> Result<PathBuf, EngineError> {
        if self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest) {
            *self.cache.state().pins.entry(*digest).or_default() += 1;
        }
        if let Some(path) = self.cache.find(digest) {
            return Ok(path);
        }
        let fetched = self
            .runtime
            .block_on(async { tokio::time::timeout(FETCH_TIME_MAX, self.fetch(digest)).await });
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
        let cache = Arc::new(Cache::open(dir.path().into(), 100).unwrap());
        let digests: Vec<Digest> = (0..4u8).map(|n| Digest::of(&[n])).collect();
        for (age, digest) in digests.iter().enumerate() {
            let path = cache.file(digest);
            fs::write(&path, [0; 25]).unwrap();
            let when = SystemTime::UNIX_EPOCH + Duration::from_secs(age as u64);
            fs::File::open(&path).unwrap().set_modified(when).unwrap();
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (_farm, channel) = watch::channel(None);
        let desk = Desk::new(cache.clone(), channel, runtime.handle().clone(), None);
        desk.path(&digests[0]).unwrap();
        fs::File::open(cache.file(&digests[0]))
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
        let wanted = Digest::of(b"wanted");
        cache.make_room(&wanted, 50, 0).unwrap();
        let here: Vec<bool> = digests.iter().map(|digest| cache.find(digest).is_some()).collect();
        assert_eq!(here, [true, false, false, true]);
        drop(desk);
        cache.make_room(&wanted, 100, 0).unwrap();
        assert!(digests.iter().all(|digest| cache.find(digest).is_none()));
        assert!(matches!(cache.make_room(&wanted, 101, 0), Err(AssetError::TooLarge { .. })));
    }

    #[test]
    fn a_worker_that_stops_leaves_no_tile_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::open(dir.path().into(), 100).unwrap());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (farm, channel) = watch::channel(None);
        let desk = Desk::new(cache, channel, runtime.handle().clone(), None);
        drop(farm);
        let missing = desk.path(&Digest::of(b"missing"));
        assert!(matches!(missing, Err(EngineError::Device(_))));
        assert!(desk.starved());
    }
}
