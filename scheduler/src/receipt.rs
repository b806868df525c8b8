//! Receipts: what the public log says of one job, read from the log's own files, with the hashes
//! that lead to a signed root. Reads; decides nothing.

use crate::tiles::{self, Nodes, TILE};
use bytes::Bytes;
use farm::entry::Entry;
use farm::excerpt;
use farm::layout::Layout;
use farm::receipt::Concern;
use farm::time::Time;
use farm::view::JobView;
use proto::v1;
use std::io;
use std::path::PathBuf;

/// Entries in one part, and hashes.
const PART_ITEMS: usize = 512;

/// A receipt to be written.
#[derive(Debug)]
pub struct Order {
    /// The log's folder.
    pub dir: PathBuf,
    /// The entries that the checkpoint covers, and its note.
    pub size: u64,
    pub checkpoint: String,
    pub job: JobView,
    /// Entries after this time do not concern the job any more.
    pub until: Option<Time>,
}

impl Order {
    /// Gives the receipt part by part until it is whole or nobody takes any more.
    pub fn write(&self, mut give: impl FnMut(v1::Receipt) -> bool) -> io::Result<()> {
        let mut spec = Vec::new();
        self.job.spec.put(&mut spec);
        let head = v1::Receipt {
            checkpoint: self.checkpoint.clone(),
            job_id: u64::from(self.job.job.0),
            spec: spec.into(),
            ..v1::Receipt::default()
        };
        if !give(head) {
            return Ok(());
        }
        let Some(wanted) = self.entries(&mut give)? else { return Ok(()) };
        let mut nodes = Nodes::new(&self.dir, self.size);
        let hashes = excerpt::siblings(self.size, &wanted, |level, at| nodes.node(level, at))?;
        for hashes in hashes.chunks(PART_ITEMS) {
            let hashes = hashes.iter().map(|hash| Bytes::copy_from_slice(hash)).collect();
            if !give(v1::Receipt { hashes, ..v1::Receipt::default() }) {
                break;
            }
        }
        Ok(())
    }

    /// Gives the entries that concern the job; their places, or `None` if nobody takes any more.
    fn entries(&self, give: &mut impl FnMut(v1::Receipt) -> bool) -> io::Result<Option<Vec<u64>>> {
        let mut concern = Concern::of(self.job.job);
        let (mut wanted, mut part) = (Vec::new(), Vec::new());
        'log: for bundle in self.first_bundle()?..self.size.div_ceil(TILE) {
            let bytes = tiles::read_bundle(&self.dir, bundle, self.size)?;
            for (index, text) in (bundle * TILE..self.size).zip(tiles::entries(&bytes)) {
                let Some(entry) = Entry::from_bytes(text) else { continue };
                if self.until.is_some_and(|until| entry.time > until) {
                    break 'log;
                }
                if concern.takes(&entry.fact) {
                    wanted.push(index);
                    part.push(v1::LogEntry { index, entry: Bytes::copy_from_slice(text) });
                }
            }
            if part.len() >= PART_ITEMS && !give(of_entries(&mut part)) {
                return Ok(None);
            }
        }
        Ok(give(of_entries(&mut part)).then_some(wanted))
    }

    /// The bundle in which the job may have been opened: the last that begins before it, since time
    /// never falls in the log.
    fn first_bundle(&self) -> io::Result<u64> {
        let (mut from, mut to) = (0, self.size.div_ceil(TILE));
        while to - from > 1 {
            let middle = from.midpoint(to);
            let bytes = tiles::read_bundle(&self.dir, middle, self.size)?;
            let first = tiles::entries(&bytes).next().and_then(Entry::from_bytes);
            match first {
                Some(entry) if entry.time < self.job.created => from = middle,
                _ => to = middle,
            }
        }
        Ok(from)
    }
}

fn of_entries(part: &mut Vec<v1::LogEntry>) -> v1::Receipt {
    v1::Receipt { entries: std::mem::take(part), ..v1::Receipt::default() }
}
