//! Recovery: the newest snapshot, then every later record through `apply`. One thread reads ahead
//! and checks sums, another decodes and applies. It stops at a torn end and refuses anything else.

use super::frame::{self, Found};
use super::segment::{self, Header};
use super::{JournalError, Position, at, snapshot};
use farm::Farm;
use farm::effect::{self, Effects};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Bytes of a segment read at once, and how many such pieces are read ahead: what waits to be
/// applied should still be in the processor's cache.
const PIECE_BYTES: u64 = 2 << 20;
const PIECES_AHEAD: usize = 2;

/// A recovered farm, and where its journal goes on.
#[derive(Debug)]
pub struct Replayed {
    pub farm: Farm,
    pub end: Position,
    pub header: Header,
}

/// Replays the journal in `dir` from its newest snapshot; changes no file.
pub fn replay(dir: &Path) -> Result<Replayed, JournalError> {
    replay_from(dir, None, &mut effect::Done)
}

/// Replays; a snapshot that is ahead of the `published` entries of the public log is not used. A
/// journal that ends before its newest snapshot has lost what was acknowledged, and is refused.
pub fn replay_from(
    dir: &Path,
    published: Option<u64>,
    effects: &mut impl Effects,
) -> Result<Replayed, JournalError> {
    let segments = segment::list(dir)?;
    let Some((_, first_path, _)) = segments.first() else {
        let what = "there is no journal here".into();
        return Err(JournalError::Damaged { path: dir.into(), offset: 0, what });
    };
    let header = read_header(first_path)?;
    let start = Position { sequence: 0, segment: 0, offset: segment::HEADER_BYTES };
    let newest = snapshot::newest(dir, &header.farm)?;
    let proven = newest.as_ref().map_or(0, |(_, at)| at.sequence);
    let fitting = newest.filter(|(farm, at)| {
        published.is_none_or(|known| farm.entries() <= known) && starts_in(&segments, at)
    });
    let (mut farm, from) = fitting.unwrap_or_else(|| (Farm::new(header.policy), start));
    let (sender, receiver) = sync_channel(PIECES_AHEAD);
    let (emptied, spare) = channel();
    let reader = Reader { header, segments, sender, spare };
    let (read, applied) = std::thread::scope(|scope| {
        let reading = scope.spawn(move || reader.read(from));
        let applied = apply(&mut farm, from.sequence, (receiver, emptied), effects);
        (reading.join(), applied)
    });
    applied?;
    let (end, header) = read.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    if end.sequence < proven {
        let (path, offset) = (segment::path(dir, end.segment), end.offset);
        let what = format!("it ends before record {proven}, where a snapshot was taken");
        return Err(JournalError::Damaged { path, offset, what });
    }
    Ok(Replayed { farm, end, header })
}

fn starts_in(segments: &[(u64, PathBuf, u64)], at: &Position) -> bool {
    segments.iter().any(|(first, _, bytes)| *first == at.segment && at.offset <= *bytes)
}

fn read_header(path: &Path) -> Result<Header, JournalError> {
    let mut bytes = Vec::with_capacity(segment::HEADER_BYTES as usize);
    let file = File::open(path).map_err(at(path))?;
    file.take(segment::HEADER_BYTES).read_to_end(&mut bytes).map_err(at(path))?;
    Header::from_bytes(&bytes).ok_or_else(|| JournalError::Damaged {
        path: path.into(),
        offset: 0,
        what: "no journal header of this version".into(),
    })
}

/// Sound frames of a part of one segment, not yet decoded.
struct Piece {
    path: PathBuf,
    bytes: Vec<u8>,
    frames: Vec<Frame>,
}

/// Where a frame stands in its segment, and its payload in the piece.
struct Frame {
    offset: u64,
    payload: Range<usize>,
    count: u32,
}

fn apply(
    farm: &mut Farm,
    mut sequence: u64,
    (pieces, emptied): (Receiver<Piece>, Sender<Vec<u8>>),
    effects: &mut impl Effects,
) -> Result<(), JournalError> {
    for Piece { path, bytes, frames } in pieces {
        for Frame { offset, payload, count } in frames {
            let damaged = |what: String| JournalError::Damaged { path: path.clone(), offset, what };
            let mut seen = 0;
            for record in frame::records(&bytes[payload]) {
                let record =
                    record.ok_or_else(|| damaged("a record's length does not fit".into()))?;
                let replay = |time, command| farm.apply(time, command, effects).map(drop);
                proto::record::read(record, replay)
                    .map_err(|error| damaged(format!("record {seen} of the frame: {error}")))?
                    .map_err(|reject| JournalError::Refused { sequence, reject })?;
                sequence += 1;
                seen += 1;
            }
            if seen != count {
                return Err(damaged(format!("{seen} records where {count} are due")));
            }
        }
        // The reader may have ended.
        let _ = emptied.send(bytes);
    }
    Ok(())
}

/// Reads segments in order and sends their sound frames.
struct Reader {
    header: Header,
    segments: Vec<(u64, PathBuf, u64)>,
    sender: SyncSender<Piece>,
    /// Buffers of pieces that are applied.
    spare: Receiver<Vec<u8>>,
}

impl Reader {
    fn read(mut self, from: Position) -> Result<(Position, Header), JournalError> {
        let segments = std::mem::take(&mut self.segments);
        let last = segments.len() - 1;
        let mut position = from;
        for (nth, (first, path, _)) in segments.into_iter().enumerate() {
            if first < from.segment {
                continue;
            }
            self.header = self.check_header(&path, first)?;
            if first != from.segment {
                if first != position.sequence {
                    let what = format!("it starts at record {first}, {} is due", position.sequence);
                    return Err(JournalError::Damaged { path, offset: 0, what });
                }
                position = Position { segment: first, offset: segment::HEADER_BYTES, ..position };
            }
            if !self.read_segment(&path, &mut position, nth == last)? {
                break;
            }
        }
        Ok((position, self.header))
    }

    fn check_header(&self, path: &Path, first: u64) -> Result<Header, JournalError> {
        let ours = |header: &Header| {
            header.farm == self.header.farm
                && header.policy == self.header.policy
                && header.first == first
        };
        Some(read_header(path)?).filter(ours).ok_or_else(|| JournalError::Damaged {
            path: path.into(),
            offset: 0,
            what: "its header is not this journal's".into(),
        })
    }

    /// Sends the sound frames from `position` on and moves it to their end; false if they are not
    /// wanted any more, because the applier has an error to tell.
    fn read_segment(
        &self,
        path: &Path,
        position: &mut Position,
        is_last: bool,
    ) -> Result<bool, JournalError> {
        let mut rest = Rest::open(path, position.offset).map_err(at(path))?;
        let mut bytes = Vec::new();
        let mut wanted = PIECE_BYTES;
        loop {
            rest.read(wanted, &mut bytes).map_err(at(path))?;
            let mut piece = Piece { path: path.into(), bytes, frames: Vec::new() };
            let (used, found) = self.find_frames(&mut piece, position);
            // Only with all that follows can be said what something other than a frame means.
            wanted = if used > 0 { PIECE_BYTES } else { rest.left };
            bytes = self.spare.try_recv().unwrap_or_default();
            bytes.clear();
            bytes.extend_from_slice(&piece.bytes[used..]);
            // What is sound is applied before what is not is reported.
            let going = piece.frames.is_empty() || self.sender.send(piece).is_ok();
            if rest.left == 0 {
                expect_end(found, path, position.offset, is_last)?;
            }
            if rest.left == 0 || !going {
                return Ok(going);
            }
        }
    }

    /// Finds the frames of a piece that starts at `position`, which it moves to their end. Gives
    /// their bytes, and what follows them.
    fn find_frames(&self, piece: &mut Piece, position: &mut Position) -> (usize, Found) {
        let mut start = 0;
        loop {
            let rest = piece.bytes.get(start..).unwrap_or_default();
            let (offset, sequence) = (position.offset, position.sequence);
            match frame::read(&self.header.farm, rest, offset, sequence) {
                Found::Frame { count, payload, bytes } => {
                    let payload = start + payload.start..start + payload.end;
                    piece.frames.push(Frame { offset, payload, count });
                    position.sequence += u64::from(count);
                    position.offset += bytes as u64;
                    start += bytes;
                }
                other => return (start, other),
            }
        }
    }
}

/// What may stand behind the last frame of a segment.
fn expect_end(found: Found, path: &Path, offset: u64, is_last: bool) -> Result<(), JournalError> {
    let damaged = |what: String| Err(JournalError::Damaged { path: path.into(), offset, what });
    match found {
        Found::End | Found::Frame { .. } => Ok(()),
        Found::Torn if is_last => {
            tracing::warn!(
                "{}: a write was cut short at byte {offset}; nobody was told of it, it is dropped",
                path.display()
            );
            Ok(())
        }
        Found::Torn => damaged("cut short, but segments follow".into()),
        Found::Damaged(what) => damaged(what),
    }
}

/// What of a segment is still to be read.
struct Rest {
    file: File,
    left: u64,
}

impl Rest {
    fn open(path: &Path, offset: u64) -> std::io::Result<Self> {
        let mut file = File::open(path)?;
        let left = file.metadata()?.len().saturating_sub(offset);
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self { file, left })
    }

    /// Appends the next bytes, so many if there are.
    fn read(&mut self, wanted: u64, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        let wanted = wanted.min(self.left);
        bytes.reserve_exact(usize::try_from(wanted).map_err(std::io::Error::other)?);
        let read = (&mut self.file).take(wanted).read_to_end(bytes)? as u64;
        // A file that shrinks meanwhile has ended.
        self.left = if read < wanted { 0 } else { self.left - read };
        Ok(())
    }
}
