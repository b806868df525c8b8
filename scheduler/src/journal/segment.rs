//! A segment: one preallocated file of frames, after a header that says whose it is.
//!
//! Header of 512 bytes, little-endian: magic (16), farm id (16), sequence of the first record (8),
//! policy (4, 8, 8, 8), CRC32C of these 68 bytes (4), zeros.

use super::{JournalError, Position, at, sync_dir};
use crc32c::crc32c;
use farm::Policy;
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 16] = b"girih journal 6\n";
/// Bytes before the first frame.
pub const HEADER_BYTES: u64 = 512;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub farm: [u8; 16],
    pub first: u64,
    pub policy: Policy,
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER_BYTES as usize] {
        let mut bytes = [0; HEADER_BYTES as usize];
        bytes[..16].copy_from_slice(MAGIC);
        bytes[16..32].copy_from_slice(&self.farm);
        bytes[32..40].copy_from_slice(&self.first.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.policy.maturity_tiles.to_le_bytes());
        bytes[44..52].copy_from_slice(&self.policy.maturity_ms.to_le_bytes());
        bytes[52..60].copy_from_slice(&self.policy.lease_ms.to_le_bytes());
        bytes[60..68].copy_from_slice(&self.policy.round_ms.to_le_bytes());
        let crc = crc32c(&bytes[..68]);
        bytes[68..72].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` if the bytes do not start with one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..72)?;
        let u64_at = |at: usize| bytes[at..].first_chunk().map(|b| u64::from_le_bytes(*b));
        let u32_at = |at: usize| bytes[at..].first_chunk().map(|b| u32::from_le_bytes(*b));
        if bytes[..16] != *MAGIC || u32_at(68)? != crc32c(&bytes[..68]) {
            return None;
        }
        Some(Self {
            farm: *bytes[16..].first_chunk()?,
            first: u64_at(32)?,
            policy: Policy {
                maturity_tiles: u32_at(40)?,
                maturity_ms: u64_at(44)?,
                lease_ms: u64_at(52)?,
                round_ms: u64_at(60)?,
            },
        })
    }
}

/// A segment open for appending.
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
    file: File,
    offset: u64,
    bytes: u64,
}

impl Segment {
    /// A new segment, durable under its name before it is used.
    pub fn create(dir: &Path, header: Header, bytes: u64) -> Result<Self, JournalError> {
        let path = path(dir, header.first);
        let fresh = path.with_extension("new");
        let options = File::options().create(true).truncate(true).write(true).clone();
        let file = options.open(&fresh).map_err(at(&fresh))?;
        reserve(&file, bytes).map_err(at(&fresh))?;
        file.write_all_at(&header.to_bytes(), 0).map_err(at(&fresh))?;
        file.sync_all().map_err(at(&fresh))?;
        std::fs::rename(&fresh, &path).map_err(at(&path))?;
        sync_dir(dir)?;
        Ok(Self { path, file, offset: HEADER_BYTES, bytes })
    }

    /// The last segment, to go on at its end. What a torn write left there is wiped.
    pub fn resume(dir: &Path, end: Position, bytes: u64) -> Result<Self, JournalError> {
        let path = path(dir, end.segment);
        let file = File::options().write(true).open(&path).map_err(at(&path))?;
        let bytes = bytes.max(end.offset);
        file.set_len(end.offset).map_err(at(&path))?;
        reserve(&file, bytes).map_err(at(&path))?;
        file.sync_all().map_err(at(&path))?;
        Ok(Self { path, file, offset: end.offset, bytes })
    }

    pub fn has_room(&self, bytes: u64) -> bool {
        self.offset + bytes <= self.bytes
    }

    /// Writes the bytes and waits until they are durable.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        self.file.write_all_at(bytes, self.offset).map_err(at(&self.path))?;
        self.file.sync_data().map_err(at(&self.path))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }
}

/// Reserves the file's room on disk, so that a full disk shows before a write does.
fn reserve(file: &File, bytes: u64) -> std::io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(bytes),
        Err(error) => Err(error.into()),
    }
}

/// Where the segment that starts with this record lies.
pub fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.journal"))
}

/// First record, path and size of each segment, in order.
pub fn list(dir: &Path) -> Result<Vec<(u64, PathBuf, u64)>, JournalError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(at(dir))? {
        let entry = entry.map_err(at(dir))?;
        let path = entry.path();
        let first =
            path.file_name().and_then(|name| name.to_str()?.strip_suffix(".journal")?.parse().ok());
        if let Some(first) = first {
            let bytes = entry.metadata().map_err(at(&path))?.len();
            found.push((first, path, bytes));
        }
    }
    found.sort();
    Ok(found)
}

/// Founds a journal: a first segment with a random farm id.
pub fn found(dir: &Path, policy: Policy, bytes: u64) -> Result<(), JournalError> {
    let mut farm = [0; 16];
    getrandom::fill(&mut farm).map_err(|error| at(dir)(std::io::Error::other(error)))?;
    let bytes = bytes.max(HEADER_BYTES);
    Segment::create(dir, Header { farm, first: 0, policy }, bytes).map(drop)
}
