//! A worker's standing: what is behind it on its present device, for each engine apart. Another
//! device, or an engine that it did not offer before, begins with nothing.

use crate::digest::Digest;
use crate::layout_struct;
use crate::time::Time;

/// What became of a worker's leases of one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub engine: Digest,
    /// Clean tiles since the last fault.
    pub clean: u64,
    /// Tiles it reported, their work units, and the microseconds from lease to report.
    pub reported: u64,
    pub units: u64,
    pub leased_us: u64,
    /// Leases that ran out, and that it lost or gave up: its host's faults, never lies.
    pub late: u32,
    pub lost: u32,
}

/// All that a worker has behind it on its device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    device: Digest,
    records: Vec<Record>,
}

layout_struct!(Record { engine, clean, reported, units, leased_us, late, lost });
layout_struct!(Standing { device, records });

impl Standing {
    /// The worker is there with this device and these engines. What is behind it on another device,
    /// or with an engine that it offers no longer, counts no more.
    pub fn offers(&mut self, device: Digest, engines: &[Digest]) {
        if self.device != device {
            self.records.clear();
        }
        self.device = device;
        self.records.retain(|record| engines.contains(&record.engine));
    }

    /// The device that it is on, as a digest of its name.
    pub fn device(&self) -> Digest {
        self.device
    }

    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Clean tiles of this engine.
    pub fn clean(&self, engine: &Digest) -> u64 {
        let found = self.records.iter().find(|record| record.engine == *engine);
        found.map_or(0, |record| record.clean)
    }

    /// Clean tiles of all its engines.
    pub fn clean_in_all(&self) -> u64 {
        self.records.iter().map(|record| record.clean).sum()
    }

    /// What is behind it with this engine.
    pub fn of(&mut self, engine: &Digest) -> &mut Record {
        let at = self.records.iter().position(|record| record.engine == *engine);
        let at = at.unwrap_or_else(|| {
            self.records.push(Record { engine: *engine, ..Record::default() });
            self.records.len() - 1
        });
        &mut self.records[at]
    }

    /// It lied: nothing that was clean counts. What that was, should it turn out to be wronged.
    pub fn lose(&mut self) -> Lost {
        let each = |record: &mut Record| (record.engine, std::mem::take(&mut record.clean));
        self.records.iter_mut().map(each).collect()
    }

    /// It had told the truth.
    pub fn regain(&mut self, lost: &Lost) {
        for (engine, clean) in lost {
            self.of(engine).clean = *clean;
        }
    }
}

/// By engine, clean tiles that a worker lost.
pub type Lost = Vec<(Digest, u64)>;

impl Record {
    /// A tile of so many units that was leased at `granted` is reported.
    pub fn reports(&mut self, units: u64, granted: Time, now: Time) {
        self.reported += 1;
        self.units = self.units.saturating_add(units);
        let took_us = now.0.saturating_sub(granted.0);
        self.leased_us = self.leased_us.saturating_add(took_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_has_its_own_record_and_another_device_has_none() {
        let (render, infer) = (Digest([1; 32]), Digest([2; 32]));
        let mut standing = Standing::default();
        standing.offers(Digest([9; 32]), &[render, infer]);
        standing.of(&render).clean = 70;
        standing.of(&infer).clean = 3;
        assert_eq!((standing.clean(&render), standing.clean(&infer)), (70, 3));
        let lost = standing.lose();
        assert_eq!(standing.clean_in_all(), 0);
        standing.regain(&lost);
        assert_eq!(standing.clean_in_all(), 73);
        standing.offers(Digest([9; 32]), &[render]);
        standing.offers(Digest([9; 32]), &[render, infer]);
        assert_eq!((standing.clean(&render), standing.clean(&infer)), (70, 0));
        standing.offers(Digest([8; 32]), &[render, infer]);
        assert_eq!(standing.clean_in_all(), 0);
    }
}
