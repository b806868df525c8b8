//! Probation, as the judge knows it: what each tile's worker had to lose as it reported it, who has
//! looked at it since, and whose its pay is.

use super::Model;
use anyhow::{Context, ensure};
use farm::entry::{Book, Cause, Fact, Reason};
use farm::id::{JobId, LeaseId, WorkerId};

/// Times a tile's pay that its worker must have to lose to be believed, and after it is paid.
const BELIEVED: i128 = 3;
const BEHIND: i128 = 10;

/// What the judge knows of a reported tile.
#[derive(Debug, Default)]
pub(super) struct Bare {
    /// Its worker had too little to lose.
    pub bare: bool,
    /// It was looked at again, when there was more, or an arbiter has said what it is.
    pub looked: bool,
    /// Those who said that it is as reported.
    said: Vec<WorkerId>,
    /// Micro-credits that are on probation for it.
    pub kept: Option<(WorkerId, i128)>,
}

impl Model {
    fn has_to_lose(&self, worker: WorkerId) -> i128 {
        let books = [Book::Held(worker), Book::Probation(worker), Book::Stake(worker)];
        books.iter().filter_map(|book| self.money.get(book)).sum()
    }

    /// Who reports, vouches and looks again.
    pub(super) fn about_probation(&mut self, fact: &Fact) -> anyhow::Result<()> {
        match fact {
            Fact::Committed { lease, job, tile, units, .. } => {
                let worker = self.leases.get(lease).context("no such lease")?.worker;
                let found = self.jobs.get(job).context("no such job")?;
                // Rounded up, less a twentieth.
                let cost = (found.price * i128::from(*units) + 999_999) / 1_000_000;
                let pay = cost - cost / 20;
                let bare = !found.private && self.has_to_lose(worker) < BELIEVED * pay;
                let fresh = Bare { bare, ..Bare::default() };
                self.tiles.entry((*job, *tile)).or_default().trust = fresh;
            }
            Fact::Opinion { lease, auditor, value, claim, decides, .. } => {
                self.said(*lease, *auditor, value == claim, *decides)?;
            }
            Fact::Verdict { lease, job, tile, accepted: true, .. } => {
                let looks = self.leases.get(lease).is_some_and(|lease| lease.looks);
                self.tiles.entry((*job, *tile)).or_default().trust.looked |= looks;
            }
            Fact::Refuted { worker, .. } => {
                let all = self.tiles.values_mut();
                all.for_each(|place| place.trust.said.retain(|by| by != worker));
            }
            // What is asked afresh, or not answered, is nobody's word any more.
            Fact::ReviewOpened { job, tile, cause: Cause::Vouched | Cause::Disputed, .. } => {
                self.tiles.entry((*job, *tile)).or_default().trust.said.clear();
            }
            Fact::ClaimDropped { lease } => {
                if let Some(found) = self.leases.get(lease).filter(|found| !found.appeal) {
                    self.tiles.entry(found.tile).or_default().trust.said.clear();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn said(
        &mut self,
        lease: LeaseId,
        auditor: WorkerId,
        agrees: bool,
        decides: bool,
    ) -> anyhow::Result<()> {
        let found = self.leases.get(&lease).context("no such lease")?;
        let (looks, of_now) = (found.looks, found.live || found.review);
        let trust = &mut self.tiles.entry(found.tile).or_default().trust;
        ensure!(!looks || !trust.said.contains(&auditor), "{auditor} looks at it a second time");
        if of_now && agrees && !found.appeal {
            trust.looked |= decides;
            trust.said.push(auditor);
        }
        Ok(())
    }

    /// A tile's pay is its worker's own: it was looked at, and enough is left to lose.
    fn may_be_paid(
        &self,
        tile: (JobId, u64),
        worker: WorkerId,
        amount: i128,
    ) -> anyhow::Result<()> {
        let trust = &self.tiles.get(&tile).context("no such tile")?.trust;
        ensure!(!trust.bare || trust.looked, "nobody has looked at it again");
        let left = self.has_to_lose(worker);
        ensure!(left >= BEHIND * amount, "{worker} has only {left} left to lose");
        Ok(())
    }

    /// A job pays for a tile.
    pub(super) fn pays_tile(
        &mut self,
        (job, tile): (JobId, u64),
        credit: Book,
        amount: i128,
    ) -> anyhow::Result<()> {
        let place = self.tiles.entry((job, tile)).or_default();
        ensure!(place.accepted, "a tile is paid without a verdict");
        ensure!(place.earned.is_none() && !place.paid_out, "a tile is paid twice");
        place.paid_out = matches!(credit, Book::Payable(_));
        place.earned = Some((credit, amount));
        let found = self.jobs.get_mut(&job).context("no such job")?;
        found.spent += amount;
        ensure!(found.spent <= found.cap, "{job} costs more than its cap");
        Ok(())
    }

    /// The pay of a tile that is final for its job.
    pub(super) fn moves_pay(
        &mut self,
        (debit, credit): (Book, Book),
        amount: i128,
        reason: Reason,
    ) -> anyhow::Result<()> {
        match (reason, credit) {
            (Reason::Maturity(job, tile), Book::Payable(worker)) => {
                self.matures((job, tile), debit, amount)?;
                self.may_be_paid((job, tile), worker, amount)
            }
            (Reason::Probation(job, tile), Book::Probation(worker)) => {
                ensure!(debit == Book::Held(worker), "another worker earned it");
                self.matures((job, tile), debit, amount)?;
                let trust = &mut self.tiles.entry((job, tile)).or_default().trust;
                ensure!(trust.kept.replace((worker, amount)).is_none(), "kept twice");
                Ok(())
            }
            (Reason::Released(job, tile) | Reason::Lapsed(job, tile), _) => {
                self.ends_probation((job, tile), (debit, credit), amount)
            }
            _ => anyhow::bail!("{credit:?} gets a tile's pay"),
        }
    }

    /// What is on probation goes to its worker, or back to the farm.
    fn ends_probation(
        &mut self,
        tile: (JobId, u64),
        (debit, credit): (Book, Book),
        amount: i128,
    ) -> anyhow::Result<()> {
        let kept = self.tiles.entry(tile).or_default().trust.kept.take();
        let (worker, left) = kept.context("nothing is on probation for it")?;
        ensure!(debit == Book::Probation(worker) && amount == left, "not what is kept for it");
        match credit {
            Book::Payable(to) => {
                ensure!(to == worker, "it goes to another worker");
                self.may_be_paid(tile, worker, amount)
            }
            Book::Audits => {
                ensure!(self.refuted.contains(&worker), "{worker} did not lie");
                Ok(())
            }
            _ => anyhow::bail!("{credit:?} gets what is on probation"),
        }
    }
}
