//! A snapshot: the farm's image at a place of the journal, so that recovery need not read all of
//! it. Losing one costs time, never state.
//!
//! Layout, little-endian: magic (16), farm id (16), sequence, segment, offset (8 each), image,
//! BLAKE3 of all before (32).

use super::{JournalError, Position, at, sync_dir};
use farm::Farm;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 16] = b"girih snapshot1\n";
const HEAD_BYTES: usize = 56;

/// An image and where in the journal it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub farm: [u8; 16],
    pub position: Position,
    pub image: Vec<u8>,
}

impl Snapshot {
    /// Writes the snapshot beside the journal, durable before it takes its name, and forgets older
    /// ones.
    pub fn write(&self, dir: &Path) -> Result<(), JournalError> {
        let Position { sequence, segment, offset } = self.position;
        let path = dir.join(format!("{sequence:020}.snapshot"));
        let fresh = path.with_extension("new");
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&self.farm);
        for number in [sequence, segment, offset] {
            head.extend_from_slice(&number.to_le_bytes());
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&head).update(&self.image);
        let hash = hasher.finalize();
        let mut file = File::create(&fresh).map_err(at(&fresh))?;
        for part in [&head[..], &self.image, hash.as_bytes()] {
            file.write_all(part).map_err(at(&fresh))?;
        }
        file.sync_all().map_err(at(&fresh))?;
        std::fs::rename(&fresh, &path).map_err(at(&path))?;
        sync_dir(dir)?;
        for older in list(dir)?.into_iter().filter(|other| *other < path) {
            std::fs::remove_file(&older).map_err(at(&older))?;
        }
        Ok(())
    }
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(at(dir))? {
        let path = entry.map_err(at(dir))?.path();
        if path.extension().is_some_and(|extension| extension == "snapshot") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The newest sound snapshot of this farm. A bad one is passed over with a warning.
pub fn newest(dir: &Path, id: &[u8; 16]) -> Result<Option<(Farm, Position)>, JournalError> {
    for path in list(dir)?.iter().rev() {
        let bytes = std::fs::read(path).map_err(at(path))?;
        if let Some(found) = read(&bytes, id) {
            return Ok(Some(found));
        }
        tracing::warn!("{}: not a sound snapshot of this farm; passed over", path.display());
    }
    Ok(None)
}

fn read(bytes: &[u8], id: &[u8; 16]) -> Option<(Farm, Position)> {
    let (body, hash) = bytes.split_last_chunk::<32>()?;
    let head = body.get(..HEAD_BYTES)?;
    if head[..16] != *MAGIC || head[16..32] != *id || blake3::hash(body) != *hash {
        return None;
    }
    let number = |at: usize| head[at..].first_chunk().map(|b| u64::from_le_bytes(*b));
    let position = Position { sequence: number(32)?, segment: number(40)?, offset: number(48)? };
    Some((Farm::from_image(&body[HEAD_BYTES..])?, position))
}
