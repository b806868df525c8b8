//! Reviews: an accepted tile whose pay is not its worker's yet is put before auditors once more,
//! because a liar had vouched for it, or its worker had little to lose, or to try an auditor by a
//! question whose answer is known.

use crate::audit::{Answer, Claim, Question};
use crate::effect::Effects;
use crate::entry::{Cause, Fact};
use crate::farm::Farm;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::leaf::Commitment;
use crate::lease::{Lease, Role};
use crate::settle::{Doubt, HeldTile};

impl HeldTile {
    /// What an auditor of the whole of it has to say.
    pub(crate) fn answer(&self) -> Answer {
        let commitment = Commitment { root: self.root, units: self.units };
        Answer::to_whole(&self.output, &commitment)
    }

    /// Its whole as a claim that nobody was heard about yet.
    pub(crate) fn as_claim(&self) -> Box<Claim> {
        let commitment = Commitment { root: self.root, units: self.units };
        Box::new(Claim::new(self.output, commitment, self.inputs.clone(), Question::Whole))
    }
}

impl Farm {
    /// This worker's word is worth nothing any more: what it vouched for is to be looked at again.
    /// Says which tiles.
    pub(crate) fn doubt(&mut self, liar: WorkerId) -> Vec<(WorkerId, JobId, u64)> {
        let mut doubted = Vec::new();
        for (at, held) in self.held.iter_mut().enumerate() {
            let open = held.iter_mut().filter(|tile| tile.unsecured || !tile.settled);
            for tile in open.filter(|tile| tile.auditors.contains(&liar)) {
                tile.auditors.retain(|auditor| *auditor != liar);
                let asked = tile.again.as_ref().is_some_and(|doubt| doubt.review.is_some());
                if !asked {
                    let doubt = Doubt { cause: Cause::Vouched, claim: None, review: None };
                    tile.again = Some(Box::new(doubt));
                    doubted.push((WorkerId(at as u32), tile.job, tile.tile));
                }
            }
        }
        doubted
    }

    /// Puts a doubted tile before auditors: what was asked of it, or, where a liar had vouched for
    /// it, the whole.
    pub(crate) fn review(
        &mut self,
        worker: WorkerId,
        (job, tile): (JobId, u64),
        effects: &mut impl Effects,
    ) {
        let mut held = self.held[worker.0 as usize].iter_mut().rev();
        let Some(held) = held.find(|held| (held.job, held.tile) == (job, tile)) else { return };
        let whole = held.as_claim();
        let Some(doubt) = held.again.as_mut().filter(|doubt| doubt.review.is_none()) else {
            return;
        };
        let mut claim = doubt.claim.take().unwrap_or(whole);
        claim.wanted = 1;
        let (cause, granted) = (doubt.cause, self.now);
        let lease = Lease { worker, job, tile, granted, role: Role::Reviewed(claim) };
        let lease = self.leases.grant(lease, None);
        doubt.review = Some(lease);
        self.log(Fact::ReviewOpened { lease, worker, job, tile, cause }, effects);
        self.seek(lease, effects);
    }

    /// The accepted tile that is looked at again under this lease.
    fn under_review(&mut self, lease: LeaseId, worker: WorkerId) -> Option<&mut HeldTile> {
        let mut held = self.held[worker.0 as usize].iter_mut();
        let under = |doubt: &Doubt| doubt.review == Some(lease);
        held.find(|held| held.again.as_deref().is_some_and(under))
    }

    /// The review of this tile is over; what becomes of its worker is the verdict's matter. Who
    /// vouched for a tile that was looked at once more, and is final for its job, is paid.
    pub(crate) fn end_review(
        &mut self,
        lease: LeaseId,
        worker: WorkerId,
        (claim, accepted): (&Claim, bool),
        effects: &mut impl Effects,
    ) {
        let Some(held) = self.under_review(lease, worker) else { return };
        let looked = held.again.take().is_some_and(|doubt| doubt.cause == Cause::Unsecured);
        held.auditors = claim.vouched().collect();
        if !held.unsecured || !accepted || !looked && !claim.is_decided() {
            return;
        }
        held.unsecured = false;
        let final_for = held.settled.then(|| (held.job, held.tile, held.answer()));
        self.roster[worker].unsecured -= 1;
        if let Some((job, tile, answer)) = final_for {
            self.settle_vouches((job, tile), Some(answer), effects);
        }
    }

    /// The review under this lease ends without a verdict: nobody vouches for its tile any more.
    pub(crate) fn forget_review(&mut self, lease: LeaseId, worker: WorkerId) {
        if let Some(held) = self.under_review(lease, worker) {
            held.again = None;
            held.auditors.clear();
        }
    }
}
