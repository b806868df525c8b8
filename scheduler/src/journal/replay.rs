//! Recovery: the newest snapshot, then every later record through `apply`. It reads and decodes
//! on one thread and applies on another. It stops at a torn end and refuses anything else.

use super::frame::{self, Found};
use super::segment::{self, Header};
use super::{JournalError, Position, at, snapshot};
use farm::time::Time;
use farm::{Command, Effect, Farm};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Records handed from the reader to the applier at once.
const GROUP: usize = 4096;
/// Groups read ahead.
const GROUPS_AHEAD: usize = 4;

/// A recovered farm, and where its journal goes on.
#[derive(Debug)]
pub struct Replayed {
    pub farm: Farm,
    pub end: Position,
    pub header: Header,
}

/// Replays the journal in `dir` from its newest snapshot; changes no file.
pub fn replay(dir: &Path) -> Result<Replayed, JournalError> {
    replay_from(dir, u64::MAX, &mut |_, _| {})
}

/// Replays; a snapshot that is ahead of the `published` entries of the public log is not used.
pub fn replay_from(
    dir: &Path,
    published: u64,
    visit: &mut dyn FnMut(u64, &[Effect]),
) -> Result<Replayed, JournalError> {
    let segments = segment::list(dir)?;
    let Some((_, first_path, _)) = segments.first() else {
        let what = "there is no journal here".into();
        return Err(JournalError::Damaged { path: dir.into(), offset: 0, what });
    };
    let header = read_header(first_path)?;
    let start = Position { sequence: 0, segment: 0, offset: segment::HEADER_BYTES };
    let fitting = snapshot::newest(dir, &header.farm)?
        .filter(|(farm, at)| farm.entries() <= published && starts_in(&segments, at));
    let (mut farm, from) = fitting.unwrap_or_else(|| (Farm::new(header.policy), start));
    let (sender, receiver) = sync_channel(GROUPS_AHEAD);
    let reader = Reader { header, segments, sender, group: Vec::with_capacity(GROUP) };
    let (read, applied) = std::thread::scope(|scope| {
        let reading = scope.spawn(move || reader.read(from));
        let applied = apply(&mut farm, from.sequence, receiver, visit);
        (reading.join(), applied)
    });
    applied?;
    let (end, header) = read.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
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

fn apply(
    farm: &mut Farm,
    mut sequence: u64,
    groups: Receiver<Vec<(Time, Command)>>,
    visit: &mut dyn FnMut(u64, &[Effect]),
) -> Result<(), JournalError> {
    let mut effects = Vec::new();
    for group in groups {
        for (time, command) in group {
            let entries = farm.entries();
            farm.apply(time, command, &mut effects)
                .map_err(|reject| JournalError::Refused { sequence, reject })?;
            visit(entries, &effects);
            effects.clear();
            sequence += 1;
        }
    }
    Ok(())
}

/// Reads segments in order and sends decoded records.
struct Reader {
    header: Header,
    segments: Vec<(u64, PathBuf, u64)>,
    sender: SyncSender<Vec<(Time, Command)>>,
    group: Vec<(Time, Command)>,
}

impl Reader {
    fn read(mut self, from: Position) -> Result<(Position, Header), JournalError> {
        let segments = std::mem::take(&mut self.segments);
        let last = segments.len() - 1;
        let (mut position, mut bytes) = (from, Vec::new());
        for (nth, (first, path, _)) in segments.iter().enumerate() {
            if *first < from.segment {
                continue;
            }
            bytes.clear();
            let read = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
            read.map_err(at(path))?;
            self.header = self.check_header(path, &bytes, *first)?;
            if *first != from.segment {
                if *first != position.sequence {
                    let what = format!("it starts at record {first}, {} is due", position.sequence);
                    return Err(JournalError::Damaged { path: path.clone(), offset: 0, what });
                }
                position = Position { segment: *first, offset: segment::HEADER_BYTES, ..position };
            }
            position = self.read_segment(path, &bytes, position, nth == last)?;
        }
        self.flush();
        Ok((position, self.header))
    }

    fn check_header(&self, path: &Path, bytes: &[u8], first: u64) -> Result<Header, JournalError> {
        let header = Header::from_bytes(bytes);
        let ours = |header: &Header| {
            header.farm == self.header.farm
                && header.policy == self.header.policy
                && header.first == first
        };
        header.filter(ours).ok_or_else(|| JournalError::Damaged {
            path: path.into(),
            offset: 0,
            what: "its header is not this journal's".into(),
        })
    }

    fn read_segment(
        &mut self,
        path: &Path,
        bytes: &[u8],
        mut position: Position,
        is_last: bool,
    ) -> Result<Position, JournalError> {
        loop {
            let offset = position.offset;
            let damaged = |what: String| JournalError::Damaged { path: path.into(), offset, what };
            match frame::read(&self.header.farm, bytes, offset as usize, position.sequence) {
                Found::Frame { count, payload, bytes } => {
                    self.decode(payload, count).map_err(damaged)?;
                    position.sequence += u64::from(count);
                    position.offset += bytes as u64;
                }
                Found::End => return Ok(position),
                Found::Torn if is_last => {
                    tracing::warn!(
                        "{}: a write was cut short at byte {offset}; nobody was told of it, it is \
                         dropped",
                        path.display()
                    );
                    return Ok(position);
                }
                Found::Torn => return Err(damaged("cut short, but segments follow".into())),
                Found::Damaged(what) => return Err(damaged(what)),
            }
        }
    }

    fn decode(&mut self, payload: &[u8], count: u32) -> Result<(), String> {
        let mut seen = 0;
        for record in frame::records(payload) {
            let record = record.ok_or("a record's length does not fit")?;
            let decoded = proto::record::decode(record);
            self.group
                .push(decoded.map_err(|error| format!("record {seen} of the frame: {error}"))?);
            seen += 1;
            if self.group.len() == GROUP {
                self.flush();
            }
        }
        if seen == count { Ok(()) } else { Err(format!("{seen} records where {count} are due")) }
    }

    /// Sends what is decoded. If the applier has given up, its error is the one that counts.
    fn flush(&mut self) {
        let group = std::mem::replace(&mut self.group, Vec::with_capacity(GROUP));
        self.sender.send(group).ok();
    }
}
