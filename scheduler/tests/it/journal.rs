//! The journal after a crash: cut anywhere, zeroed anywhere, flipped anywhere, with snapshots sound
//! and damaged. Replay gives what was acknowledged or refuses, and never guesses.

use crate::story::{Chapter, OPTIONS, Story, open};
use farm::Policy;
use scheduler::journal::{Journal, JournalError, replay};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Bytes at the end of the journal that are cut one by one.
const LAST_BYTES: u64 = 1500;

/// Why the journal is not replayed.
fn refusal(dir: &Path) -> String {
    match replay(dir) {
        Ok(replayed) => panic!("it was replayed up to {:?}", replayed.end),
        Err(error) => error.to_string(),
    }
}

/// A told story, closed, and its last segment as it is on disk.
struct Told {
    dir: TempDir,
    chapters: Vec<Chapter>,
    last: PathBuf,
    bytes: Vec<u8>,
    /// Where the last frame ends.
    end: u64,
}

fn told() -> Told {
    let dir = tempfile::tempdir().unwrap();
    let story = Story::tell(dir.path());
    for part in ["job", "tile", "leaf audit", "challenge", "frame", "settled"] {
        assert!(story.told.contains(&part), "the story has no {part}");
    }
    let chapters = story.chapters;
    let position = story.journal.position();
    let last = segments(dir.path()).pop().unwrap();
    let bytes = std::fs::read(&last).unwrap();
    assert!(segments(dir.path()).len() > 2, "the story fills several segments");
    assert!(position.offset > LAST_BYTES + 512, "the last segment holds the last records");
    Told { dir, chapters, last, bytes, end: position.offset }
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "journal")).collect();
    found.sort();
    found
}

impl Told {
    /// The chapters that end in the last segment.
    fn in_last(&self) -> impl Iterator<Item = &Chapter> {
        let segment = self.chapters[self.chapters.len() - 1].end.segment;
        self.chapters.iter().filter(move |chapter| chapter.end.segment == segment)
    }

    /// What was acknowledged when the last segment was written up to this byte.
    fn acknowledged(&self, cut: u64) -> &Chapter {
        self.in_last().filter(|chapter| chapter.end.offset <= cut).last().unwrap()
    }

    fn check(&self, cut: u64, how: &str) {
        let replayed =
            replay(self.dir.path()).unwrap_or_else(|error| panic!("{how} {cut}: {error}"));
        let due = self.acknowledged(cut);
        assert_eq!(replayed.end, due.end, "{how} {cut}");
        assert!(replayed.farm.image() == due.image, "{how} {cut}: another state");
    }

    /// Flips a byte and gives the refusal.
    fn flip(&self, path: &Path, at: usize) -> String {
        let whole = std::fs::read(path).unwrap();
        let mut flipped = whole.clone();
        flipped[at] ^= 0x20;
        std::fs::write(path, &flipped).unwrap();
        let refused = replay(self.dir.path()).err();
        std::fs::write(path, &whole).unwrap();
        let refused = refused.unwrap_or_else(|| panic!("byte {at} flipped and nobody noticed"));
        assert!(matches!(refused, JournalError::Damaged { .. }), "byte {at}: {refused}");
        refused.to_string()
    }
}

#[test]
fn cut_at_every_byte_of_its_last_records_it_is_what_was_acknowledged() {
    let told = told();
    for cut in told.end - LAST_BYTES..=told.end {
        std::fs::write(&told.last, &told.bytes[..cut as usize]).unwrap();
        told.check(cut, "cut at");
        let mut zeroed = told.bytes[..cut as usize].to_vec();
        zeroed.resize(told.bytes.len(), 0);
        std::fs::write(&told.last, &zeroed).unwrap();
        told.check(cut, "zeroed from");
    }
}

#[test]
fn it_goes_on_after_a_cut_as_if_nothing_had_been() {
    let told = told();
    let ends: Vec<u64> = told.in_last().map(|chapter| chapter.end.offset).collect();
    let middle = ends[ends.len() - 2] + 40;
    for cut in [ends[ends.len() - 2], ends[ends.len() - 2] + 1, middle, told.end - 1] {
        std::fs::write(&told.last, &told.bytes[..cut as usize]).unwrap();
        let mut story = Story::open(told.dir.path());
        assert!(story.farm.image() == told.acknowledged(cut).image);
        let next = farm::Command::Secret { next: [cut as u8; 32] };
        story.apply(next);
        story.commit();
        let image = story.farm.image();
        drop(story);
        assert!(replay(told.dir.path()).unwrap().farm.image() == image, "gone on from {cut}");
    }
}

#[test]
fn a_cut_before_the_last_segment_is_refused_by_name_and_place() {
    let told = told();
    let paths = segments(told.dir.path());
    let path = &paths[1];
    let whole = std::fs::read(path).unwrap();
    let ends: Vec<u64> = told
        .chapters
        .iter()
        .filter(|c| path.to_string_lossy().contains(&format!("{:020}.", c.end.segment)))
        .map(|chapter| chapter.end.offset)
        .collect();
    let end = ends[ends.len() - 1];
    for cut in (0..end).step_by(61).chain(ends[..ends.len() - 1].iter().copied()) {
        std::fs::write(path, &whole[..cut as usize]).unwrap();
        let refused = refusal(told.dir.path());
        // A cut between two frames shows at the next segment, which starts too late.
        let between = ends.contains(&cut) || (64..=512).contains(&cut);
        let named = if between { &paths[2] } else { path };
        assert!(refused.contains(&named.display().to_string()), "cut at {cut}: {refused}");
        assert!(refused.contains("damaged at byte"), "cut at {cut}: {refused}");
    }
    std::fs::write(path, &whole).unwrap();
    std::fs::remove_file(path).unwrap();
    let refused = refusal(told.dir.path());
    assert!(refused.contains(&paths[2].display().to_string()), "{refused}");
}

#[test]
fn a_flipped_byte_is_refused_by_name_and_place() {
    let told = told();
    let ends: Vec<u64> = told.in_last().map(|chapter| chapter.end.offset).collect();
    let (from, until) = (ends[ends.len() - 4], told.end);
    for at in from..until {
        let refused = told.flip(&told.last, at as usize);
        let frame = ends.iter().rfind(|end| **end <= at).unwrap();
        let place = format!("{}: damaged at byte {frame}", told.last.display());
        assert!(refused.contains(&place), "byte {at}: {refused}");
        assert!(refused.contains("restore the file from a copy"), "{refused}");
    }
    let first = &segments(told.dir.path())[0];
    for at in (0..64).chain([600, 1000, 2000]) {
        let refused = told.flip(first, at);
        assert!(refused.contains(&first.display().to_string()), "byte {at}: {refused}");
    }
}

#[test]
fn what_no_crash_leaves_behind_is_refused() {
    let told = told();
    let mut bytes = told.bytes.clone();
    bytes[told.end as usize..][..60].fill(7);
    std::fs::write(&told.last, bytes).unwrap();
    let refused = refusal(told.dir.path());
    assert!(refused.contains(&format!("damaged at byte {}", told.end)), "{refused}");

    let ends: Vec<u64> = told.in_last().map(|chapter| chapter.end.offset).collect();
    let (from, until) = (ends[ends.len() - 4], ends[ends.len() - 3]);
    let mut bytes = told.bytes.clone();
    bytes[from as usize..until as usize].fill(0);
    std::fs::write(&told.last, bytes).unwrap();
    let refused = refusal(told.dir.path());
    assert!(refused.contains(&format!("damaged at byte {from}")), "{refused}");
}

/// A story with a snapshot some groups before its end; the end of the journal at the snapshot.
fn told_with_snapshot() -> (Told, u64, PathBuf) {
    let mut told = told();
    let mut story = Story::open(told.dir.path());
    let snapshot = story.snapshot();
    snapshot.write(told.dir.path()).unwrap();
    let at = snapshot.position.offset;
    told.chapters.extend(story.chapters.clone());
    for n in 0..8 {
        story.apply(farm::Command::Secret { next: [n; 32] });
        story.commit();
        told.chapters.push(story.chapters[story.chapters.len() - 1].clone());
    }
    told.end = story.journal.position().offset;
    assert_eq!(story.journal.position().segment, snapshot.position.segment);
    drop(story);
    told.bytes = std::fs::read(&told.last).unwrap();
    let path = told.dir.path().join(format!("{:020}.snapshot", snapshot.position.sequence));
    assert!(path.exists());
    (told, at, path)
}

#[test]
fn with_a_snapshot_a_cut_after_it_is_what_was_acknowledged_and_before_it_refused() {
    let (told, snapshot, _) = told_with_snapshot();
    for cut in snapshot..=told.end {
        std::fs::write(&told.last, &told.bytes[..cut as usize]).unwrap();
        told.check(cut, "cut at");
    }
    for cut in (snapshot - 300)..snapshot {
        std::fs::write(&told.last, &told.bytes[..cut as usize]).unwrap();
        let refused = refusal(told.dir.path());
        let place = format!("{}: damaged at byte", told.last.display());
        assert!(refused.contains(&place), "cut at {cut}: {refused}");
        assert!(refused.contains("snapshot"), "cut at {cut}: {refused}");
    }
}

#[test]
fn a_damaged_snapshot_is_put_aside_and_the_journal_replayed() {
    let (told, _, path) = told_with_snapshot();
    let whole = std::fs::read(&path).unwrap();
    let journal = std::fs::read(&told.last).unwrap();
    let step = whole.len() / 40 + 1;
    for at in (0..64).chain((64..whole.len()).step_by(step)).chain([whole.len() - 1]) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        told.check(told.end, "snapshot flipped at byte");
        std::fs::write(&path, &whole[..at]).unwrap();
        told.check(told.end, "snapshot cut");
    }
    // A sound image under a sound hash, but of another farm.
    let other = tempfile::tempdir().unwrap();
    let foreign = Story::tell(other.path()).snapshot();
    foreign.write(told.dir.path()).unwrap();
    told.check(told.end, "snapshot of another farm");
    assert_eq!(journal, std::fs::read(&told.last).unwrap(), "the journal is left alone");
}

#[test]
fn a_snapshot_ahead_of_the_public_log_is_not_used() {
    let (told, _, _) = told_with_snapshot();
    let mut seen: Vec<farm::Effect> = Vec::new();
    let opened = Journal::open(told.dir.path(), OPTIONS, Policy::default(), Some(5), &mut seen);
    let (_, farm) = opened.unwrap();
    let seen = seen.iter().filter(|effect| matches!(effect, farm::Effect::Log(_))).count();
    assert_eq!(seen as u64, farm.entries(), "every entry of the log was given again");
}

#[test]
fn one_scheduler_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let held = open(dir.path());
    let second =
        Journal::open(dir.path(), OPTIONS, Policy::default(), None, &mut farm::effect::Done);
    let refused = second.unwrap_err();
    assert!(matches!(refused, JournalError::Locked(_)), "{refused}");
    drop(held);
    open(dir.path());
}
