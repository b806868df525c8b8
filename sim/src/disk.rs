//! The scheduler's disk: what was synced stays; of what was only written, a crash keeps some first
//! part, and tears the record after it. Knows commands, not what they do.

use crate::Chance;
use farm::Command;
use farm::time::Time;

/// A record as it lies on the disk.
#[derive(Clone, Debug)]
pub struct Record {
    pub at: Time,
    pub command: Command,
    /// Its checksum fits: it was written to the end.
    whole: bool,
}

/// A journal on a disk.
#[derive(Debug, Default)]
pub struct Disk {
    records: Vec<Record>,
    /// Of these, the first so many are synced.
    synced: usize,
}

impl Disk {
    pub fn write(&mut self, at: Time, command: Command) {
        self.records.push(Record { at, command, whole: true });
    }

    pub fn sync(&mut self) {
        self.synced = self.records.len();
    }

    /// Records that are safe.
    pub fn synced(&self) -> usize {
        self.synced
    }

    /// Power fails. What was not synced is there up to some record, and that one is torn.
    pub fn crash(&mut self, chance: &mut Chance) {
        let written = self.records.len() - self.synced;
        let kept = self.synced + chance.below(written as u64 + 1) as usize;
        self.records.truncate(kept + 1);
        if let Some(torn) = self.records.get_mut(kept) {
            torn.whole = false;
        }
    }

    /// What a scheduler finds that starts: all records up to the first torn one, which goes.
    pub fn read(&mut self) -> &[Record] {
        let whole = self.records.iter().take_while(|record| record.whole).count();
        self.records.truncate(whole);
        self.synced = whole;
        &self.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_keeps_what_was_synced_and_a_first_part_of_the_rest() {
        let mut kept = [0; 4];
        for seed in 0..200 {
            let mut disk = Disk::default();
            (0..2).for_each(|at| disk.write(Time(at), Command::Tick));
            disk.sync();
            (2..5).for_each(|at| disk.write(Time(at), Command::Tick));
            disk.crash(&mut Chance::new(seed));
            let found = disk.read();
            assert!(found.iter().zip(0..).all(|(record, at)| record.at == Time(at)));
            kept[found.len() - 2] += 1;
        }
        assert!(kept.iter().all(|count| *count > 20), "{kept:?}");
    }
}
