//! The journal: accepted commands in order, in one directory of one scheduler. Knows the farm's
//! commands only as bytes, but for replay, which applies them.

mod frame;
mod replay;
mod segment;
mod snapshot;

pub use replay::{Replayed, replay};
pub use snapshot::Snapshot;

use farm::{Effects, Farm, Policy, Reject};
use rustix::fs::{FlockOperation, flock};
use segment::{Header, Segment};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Why a journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("{0}: another scheduler has this journal; stop it, or choose another state directory")]
    Locked(PathBuf),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{path}: damaged at byte {offset}: {what}; restore the file from a copy, nothing was \
         changed"
    )]
    Damaged { path: PathBuf, offset: u64, what: String },
    #[error("{path}: the journal would grow beyond its limit of {limit} bytes; raise the limit")]
    Full { path: PathBuf, limit: u64 },
    #[error(
        "{path}: the journal gives {entries} entries of the public log, which has {published}; \
         restore the journal from a copy, nothing was changed"
    )]
    Behind { path: PathBuf, entries: u64, published: u64 },
    #[error(
        "record {sequence} was accepted once and is refused now: {reject}; use the version \
             that wrote it"
    )]
    Refused { sequence: u64, reject: Reject },
}

/// Attaches the path to an I/O error.
fn at(path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_path_buf();
    move |source| JournalError::Io { path, source }
}

/// How a journal is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub segment_bytes: u64,
    /// 0: no limit.
    pub bytes_max: u64,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Position {
    /// Records before it.
    pub sequence: u64,
    /// First record of its segment.
    pub segment: u64,
    /// Byte in the segment.
    pub offset: u64,
}

/// A journal open for appending.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    /// Held, not read: the lock lasts as long as the file is open.
    _lock: File,
    header: Header,
    segment: Segment,
    sequence: u64,
    /// Bytes of all segments.
    bytes: u64,
    options: Options,
    frame: Vec<u8>,
}

impl Journal {
    /// Opens the journal, founding it if the directory has none, and replays it. `published` is
    /// how many entries the public log has, if there is one; `effects` are given those from there
    /// on, and maybe earlier ones. No file is changed before all is known to be there.
    pub fn open(
        dir: &Path,
        options: Options,
        policy: Policy,
        published: Option<u64>,
        effects: &mut impl Effects,
    ) -> Result<(Self, Farm), JournalError> {
        std::fs::create_dir_all(dir).map_err(at(dir))?;
        let lock = lock(dir)?;
        if segment::list(dir)?.is_empty() {
            segment::found(dir, policy, options.segment_bytes)?;
        }
        let Replayed { farm, end, header } = replay::replay_from(dir, published, effects)?;
        let entries = farm.entries();
        if let Some(published) = published.filter(|published| *published > entries) {
            return Err(JournalError::Behind { path: dir.into(), entries, published });
        }
        let segment = Segment::resume(dir, end, options.segment_bytes)?;
        let bytes = segment::list(dir)?.iter().map(|(_, _, bytes)| bytes).sum();
        let frame = Vec::with_capacity(1 << 20);
        let sequence = end.sequence;
        let dir = dir.to_path_buf();
        let journal = Self { dir, _lock: lock, header, segment, sequence, bytes, options, frame };
        Ok((journal, farm))
    }

    /// Appends `count` records, each after its length, and returns when they are durable. After
    /// an error nothing more may be appended.
    pub fn append(&mut self, records: &[u8], count: u32) -> Result<(), JournalError> {
        frame::encode(&self.header.farm, self.sequence, count, records, &mut self.frame);
        if !self.segment.has_room(self.frame.len() as u64) {
            self.roll()?;
        }
        self.segment.append(&self.frame)?;
        self.sequence += u64::from(count);
        Ok(())
    }

    fn roll(&mut self) -> Result<(), JournalError> {
        let least = segment::HEADER_BYTES + self.frame.len() as u64;
        let bytes = self.options.segment_bytes.max(least);
        let limit = self.options.bytes_max;
        if limit > 0 && self.bytes + bytes > limit {
            return Err(JournalError::Full { path: self.dir.clone(), limit });
        }
        let header = Header { first: self.sequence, ..self.header };
        self.segment = Segment::create(&self.dir, header, bytes)?;
        self.header = header;
        self.bytes += bytes;
        Ok(())
    }

    /// Where the next record goes.
    pub fn position(&self) -> Position {
        let segment = self.header.first;
        Position { sequence: self.sequence, segment, offset: self.segment.offset() }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Which farm this is: 16 random bytes of its founding.
    pub fn farm_id(&self) -> [u8; 16] {
        self.header.farm
    }
}

fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join("lock");
    let options = File::options().create(true).truncate(false).write(true).clone();
    let file = options.open(&path).map_err(at(&path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::Locked(dir.into())),
        Err(error) => Err(at(&path)(error.into())),
    }
}

/// Makes the directory's own entries durable.
fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}
