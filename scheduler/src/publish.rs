//! Publishing: durable entries become tile files and a signed checkpoint, on a thread of its own.
//! Snapshots pass through here too, so that none is ahead of the log.

use crate::journal::Snapshot;
use crate::tiles::{Tiles, replace};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use farm::entry::Entry;
use signed_note::{Note, StandardSigner, key_id};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Between two checkpoints.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(200);
/// Between two points from which recovery can go on.
const SYNC_EVERY: Duration = Duration::from_secs(10);
/// Batches of entries that may wait; beyond it the journal waits.
const BATCHES_WAITING_MAX: usize = 64;
/// Algorithm byte of Ed25519 in signed notes.
const ED25519: u8 = 1;

enum Work {
    Append(Vec<Entry>),
    Snapshot(Box<Snapshot>, PathBuf),
    Flush(oneshot::Sender<()>),
    Stop,
}

/// The newest checkpoint, for those who serve it.
#[derive(Clone, Debug, Default)]
pub struct Newest {
    note: Arc<RwLock<(u64, String)>>,
}

impl Newest {
    /// Entries it covers, and its note.
    pub fn get(&self) -> (u64, String) {
        self.note.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, size: u64, note: String) {
        *self.note.write().unwrap_or_else(PoisonError::into_inner) = (size, note);
    }
}

/// The way to the publisher's thread.
#[derive(Clone, Debug)]
pub struct Publisher {
    sender: SyncSender<Work>,
}

impl Publisher {
    /// Hands over entries; waits when many wait already. An error means that the log cannot be
    /// written any more.
    pub fn append(&self, entries: Vec<Entry>) -> io::Result<()> {
        let stopped = |_| io::Error::other("the public log cannot be written; see above");
        self.sender.send(Work::Append(entries)).map_err(stopped)
    }

    /// Has a snapshot written as soon as the log is synced up to it.
    pub fn snapshot(&self, snapshot: Snapshot, dir: PathBuf) {
        self.sender.send(Work::Snapshot(Box::new(snapshot), dir)).ok();
    }

    /// Ends the thread after everything before is on disk.
    pub fn stop(&self) {
        self.sender.send(Work::Stop).ok();
    }

    /// Waits until all that was appended is on show.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.sender.try_send(Work::Flush(done)).is_ok() {
            flushed.await.ok();
        }
    }
}

/// Starts the thread; it ends when it is told to.
pub fn start(
    tiles: Tiles,
    dir: &Path,
    signer: Signer,
) -> io::Result<(Publisher, Newest, std::thread::JoinHandle<()>)> {
    let (sender, receiver) = sync_channel(BATCHES_WAITING_MAX);
    let newest = Newest::default();
    let mut desk = Desk {
        tiles,
        signer,
        checkpoint: dir.join("checkpoint"),
        newest: newest.clone(),
        shown: None,
        synced: Instant::now(),
    };
    desk.show()?;
    let thread = std::thread::Builder::new().name("publish".into()).spawn(move || {
        if let Err(error) = desk.run(&receiver) {
            tracing::error!("the public log cannot be written: {error}; the scheduler stops");
        }
    })?;
    Ok((Publisher { sender }, newest, thread))
}

struct Desk {
    tiles: Tiles,
    signer: Signer,
    checkpoint: PathBuf,
    newest: Newest,
    /// Size of the newest checkpoint.
    shown: Option<u64>,
    synced: Instant,
}

impl Desk {
    fn run(&mut self, work: &Receiver<Work>) -> io::Result<()> {
        let mut due = Instant::now() + CHECKPOINT_EVERY;
        loop {
            match work.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Work::Append(entries)) => {
                    for entry in entries {
                        self.tiles.append(&entry.to_bytes())?;
                    }
                }
                Ok(Work::Snapshot(snapshot, dir)) => {
                    self.sync()?;
                    if let Err(error) = snapshot.write(&dir) {
                        tracing::warn!("no snapshot taken: {error}");
                    }
                }
                Ok(Work::Flush(done)) => {
                    self.show()?;
                    done.send(()).ok();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Work::Stop) | Err(RecvTimeoutError::Disconnected) => return self.sync(),
            }
            if Instant::now() >= due {
                self.show()?;
                if self.synced.elapsed() >= SYNC_EVERY {
                    self.sync()?;
                }
                due = Instant::now() + CHECKPOINT_EVERY;
            }
        }
    }

    /// Writes partial tiles and signs the checkpoint over all entries.
    fn show(&mut self) -> io::Result<()> {
        let size = self.tiles.size();
        if self.shown == Some(size) {
            return Ok(());
        }
        self.tiles.write_partial()?;
        let note = self.signer.checkpoint(size, &self.tiles.root())?;
        replace(&self.checkpoint, note.as_bytes())?;
        self.newest.set(size, note);
        self.shown = Some(size);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.show()?;
        self.tiles.sync()?;
        self.synced = Instant::now();
        Ok(())
    }
}

/// Signs checkpoints under the log's name.
pub struct Signer {
    origin: String,
    signer: StandardSigner,
    /// The verifier key in the form of C2SP signed notes.
    pub verifier: String,
}

impl Signer {
    /// Reads the log's key from the state directory, or founds it there; writes the public part
    /// beside it as `log.vkey`.
    pub fn open(state: &Path, origin: &str) -> anyhow::Result<Self> {
        let path = state.join("log.key");
        let secret = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = new_key(origin)?;
                crate::secret::write(&path, &text)?;
                text
            }
            Err(error) => return Err(anyhow::anyhow!("{}: {error}", path.display())),
        };
        let secret = secret.trim();
        let broken = || anyhow::anyhow!("{}: not a signed-note key", path.display());
        let signer = StandardSigner::new(secret).map_err(|_| broken())?;
        let mut parts = secret.splitn(5, '+').skip(2);
        let name = parts.next().ok_or_else(broken)?.to_string();
        let data = STANDARD.decode(parts.nth(1).ok_or_else(broken)?)?;
        let seed = data.get(1..).and_then(|seed| seed.try_into().ok()).ok_or_else(broken)?;
        let verifier = verifier_key(&name, &SigningKey::from_bytes(&seed));
        replace(&state.join("log.vkey"), format!("{verifier}\n").as_bytes())?;
        Ok(Self { origin: name, signer, verifier })
    }

    fn checkpoint(&self, size: u64, root: &[u8; 32]) -> io::Result<String> {
        let text = format!("{}\n{size}\n{}\n", self.origin, STANDARD.encode(root));
        let note = Note::new(text.as_bytes(), &[]).and_then(|mut note| {
            note.add_sigs(&[&self.signer])?;
            Ok(note.to_bytes())
        });
        let bytes = note.map_err(|error| io::Error::other(format!("checkpoint: {error}")))?;
        String::from_utf8(bytes).map_err(io::Error::other)
    }
}

fn public_data(key: &SigningKey) -> Vec<u8> {
    [&[ED25519], &key.verifying_key().to_bytes()[..]].concat()
}

fn verifier_key(name: &str, key: &SigningKey) -> String {
    let data = public_data(key);
    format!("{name}+{:08x}+{}", key_id(name, &data), STANDARD.encode(data))
}

fn new_key(name: &str) -> anyhow::Result<String> {
    anyhow::ensure!(
        signed_note::is_key_name_valid(name),
        "origin `{name}`: the name of a log has no spaces and no plus"
    );
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let key = SigningKey::from_bytes(&seed);
    let id = key_id(name, &public_data(&key));
    let data = STANDARD.encode([&[ED25519], &seed[..]].concat());
    Ok(format!("PRIVATE+KEY+{name}+{id:08x}+{data}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::TILE;
    use farm::log::leaf_hash;
    use signed_note::{StandardVerifier, VerifierList};
    use tlog_tiles::{Hash, Tile, TileHashReader, TileReader};

    /// The log's folder, as somebody else's library asks for it.
    struct Folder(PathBuf);

    impl TileReader for Folder {
        fn height(&self) -> u8 {
            TILE.ilog2() as u8
        }

        fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
            // C2SP tlog-tiles leaves out the height that this library writes.
            let read =
                |tile: &Tile| std::fs::read(self.0.join(tile.path().replacen("/8/", "/", 1)));
            tiles.iter().map(|tile| Ok(read(tile).unwrap())).collect()
        }

        fn save_tiles(&self, _tiles: &[Tile], _data: &[Vec<u8>]) {}
    }

    #[test]
    fn an_independent_implementation_reads_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let signer = Signer::open(dir.path(), "farm.example/log").unwrap();
        let log = dir.path().join("log");
        let mut tiles = Tiles::open(&log).unwrap();
        let mut grown = Vec::new();
        for n in 0..1_234_u32 {
            tiles.append(&n.to_be_bytes()).unwrap();
            if [300, 1_233].contains(&n) {
                tiles.write_partial().unwrap();
                let note = signer.checkpoint(tiles.size(), &tiles.root()).unwrap();
                grown.push(opened(&note, &signer.verifier));
            }
        }
        let folder = Folder(log);
        let [older, newest] = [&grown[0], &grown[1]];
        let (size, root) = (newest.size(), *newest.hash());
        let reader = TileHashReader::new(size, root, &folder);
        for n in [0, 255, 256, 1_023, 1_233_u64] {
            let proof = tlog_tiles::prove_record(size, n, &reader).unwrap();
            let leaf = Hash(leaf_hash(&(n as u32).to_be_bytes()));
            tlog_tiles::check_record(&proof, size, root, n, leaf).unwrap();
        }
        let proof = tlog_tiles::prove_tree(size, older.size(), &reader).unwrap();
        tlog_tiles::check_tree(&proof, size, root, older.size(), *older.hash()).unwrap();
    }

    fn opened(note: &str, verifier: &str) -> tlog_tiles::Checkpoint {
        let key = StandardVerifier::new(verifier).unwrap();
        let note = Note::from_bytes(note.as_bytes()).unwrap();
        note.verify(&VerifierList::new(vec![Box::new(key)])).unwrap();
        tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap()
    }
}
