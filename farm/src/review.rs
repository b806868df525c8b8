//! Reviews: an accepted tile whose pay is still held back is put before auditors once more, because
//! a liar had vouched for it, or to try an auditor by a question whose answer is known.

use crate::audit::{Answer, Claim, Lot, Question};
use crate::effect::Effects;
use crate::entry::{Cause, Extra, Fact};
use crate::farm::Farm;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::leaf::Commitment;
use crate::lease::{Lease, Role};
use crate::settle::{Doubt, HeldTile};
use smallvec::SmallVec;

impl HeldTile {
    /// What an auditor of the whole of it has to say.
    pub(crate) fn answer(&self) -> Answer {
        let commitment = Commitment { root: self.root, units: self.units };
        Answer::to_whole(&self.output, &commitment)
    }

    /// Its whole as a claim that nobody was heard about yet.
    pub(crate) fn as_claim(&self) -> Box<Claim> {
        Box::new(Claim {
            output: self.output,
            commitment: Commitment { root: self.root, units: self.units },
            leaves: 0,
            inputs: self.inputs.clone(),
            question: Question::Whole,
            lot: Lot::NONE,
            extra: Extra::Nothing,
            answer: Some(self.answer()),
            units_asked: self.units,
            opinions: SmallVec::new(),
            asked: SmallVec::new(),
            wanted: 1,
            asks: 0,
            silent: Vec::new(),
            appealed: false,
        })
    }
}

impl Farm {
    /// This worker's word is worth nothing any more: what it vouched for is to be looked at again.
    /// Says which tiles.
    pub(crate) fn doubt(&mut self, liar: WorkerId) -> Vec<(WorkerId, JobId, u64)> {
        let mut doubted = Vec::new();
        for (at, held) in self.held.iter_mut().enumerate() {
            for tile in held.iter_mut().filter(|tile| tile.auditors.contains(&liar)) {
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

    /// The review of this tile is over; what becomes of its worker is the verdict's matter.
    pub(crate) fn end_review(&mut self, lease: LeaseId, worker: WorkerId, claim: &Claim) {
        let under = |held: &&mut HeldTile| {
            held.again.as_ref().is_some_and(|doubt| doubt.review == Some(lease))
        };
        if let Some(held) = self.held[worker.0 as usize].iter_mut().find(under) {
            held.again = None;
            held.auditors = claim.vouched().collect();
        }
    }
}
