//! A job's receipt: which entries of the public log concern a job, and what they come to, followed
//! without the rest of the log. It proves what is in it; that nothing was left out is for the proof
//! of the whole log.

use crate::audit::{self, Opinion, Verdict};
use crate::digest::Digest;
use crate::entry::{Entry, Fact, Reason};
use crate::id::{AccountId, JobId, LeaseId, WorkerId};
use crate::job::Spec;
use crate::layout;
use crate::model::Licence;
use crate::money::{Amount, Price};
use crate::proof::Breach;
use crate::view::JobState;
use std::collections::{BTreeMap, BTreeSet};

/// Tells the entries that concern one job, as they come in order.
#[derive(Debug)]
pub struct Concern {
    job: JobId,
    /// By slot, the epoch of the job's newest lease there.
    leases: BTreeMap<u32, u32>,
    /// Who was heard about its tiles.
    auditors: BTreeSet<WorkerId>,
}

impl Concern {
    /// Of this job nothing has been seen yet.
    pub fn of(job: JobId) -> Self {
        Self { job, leases: BTreeMap::new(), auditors: BTreeSet::new() }
    }

    fn is_own(&self, lease: LeaseId) -> bool {
        self.leases.get(&lease.slot) == Some(&lease.epoch)
    }

    /// Whether the next entry of the log says something of the job.
    pub fn takes(&mut self, fact: &Fact) -> bool {
        match fact {
            Fact::JobOpened { job, .. }
            | Fact::JobEnded { job, .. }
            | Fact::FrameStored { job, .. }
            | Fact::JobChained { job, .. }
            | Fact::ModelUsed { job, .. }
            | Fact::Outdated { job, .. }
            | Fact::JobSealed { job, .. }
            | Fact::Committed { job, .. } => *job == self.job,
            Fact::Leased { lease, job, .. } => {
                let own = *job == self.job;
                if own {
                    self.leases.insert(lease.slot, lease.epoch);
                } else {
                    self.leases.remove(&lease.slot);
                }
                own
            }
            Fact::AuditDrawn { lease, .. }
            | Fact::Verdict { lease, .. }
            | Fact::Fed { lease, .. }
            | Fact::KeyWrapped { lease, .. } => self.is_own(*lease),
            Fact::Opinion { lease, auditor, .. } => {
                let own = self.is_own(*lease);
                if own {
                    self.auditors.insert(*auditor);
                }
                own
            }
            // Wherever a liar was found out, what it said of this job's open claims is struck.
            Fact::Refuted { worker, lease } => {
                self.is_own(*lease) || self.auditors.contains(worker)
            }
            Fact::Transfer { reason, .. } => job_of(*reason) == Some(self.job),
            Fact::AccountOpened { .. }
            | Fact::WorkerEnrolled { .. }
            | Fact::SecretCommitted { .. }
            | Fact::SecretRevealed { .. }
            | Fact::WorkerOnline { .. }
            | Fact::WorkerOffline { .. }
            | Fact::ClaimDropped { .. }
            | Fact::AuditorDrawn { .. }
            | Fact::AuditMissed { .. }
            | Fact::ModelPublished { .. }
            | Fact::ModelWithdrawn { .. } => false,
            Fact::ScoresCommitted { .. }
            | Fact::ScoresRevealed { .. }
            | Fact::RoundEnded { .. } => false,
            Fact::Reinstated { .. } => false,
            // What comes of a review the artist sees only if the tile is forfeit.
            Fact::ReviewOpened { lease, .. } => {
                self.leases.remove(&lease.slot);
                false
            }
        }
    }
}

fn job_of(reason: Reason) -> Option<JobId> {
    match reason {
        Reason::TopUp
        | Reason::Staked
        | Reason::Unstaked
        | Reason::Bonded
        | Reason::Unbonded
        | Reason::Scored(_) => None,
        Reason::Submit(job)
        | Reason::Tile(job, _)
        | Reason::Maturity(job, _)
        | Reason::Probation(job, _)
        | Reason::Released(job, _)
        | Reason::Lapsed(job, _)
        | Reason::Fee(job, _)
        | Reason::Audit(job, _)
        | Reason::Forfeit(job, _)
        | Reason::Refund(job)
        | Reason::Reopen(job)
        | Reason::Deposit(job, _)
        | Reason::Returned(job, _)
        | Reason::Kept(job, _)
        | Reason::Outdated(job, _)
        | Reason::Spoilt(job, _)
        | Reason::Vouched(job, _)
        | Reason::Unvouched(job, _)
        | Reason::StakeLost(job, _)
        | Reason::Royalty(job, _)
        | Reason::RoyaltyFinal(job, _)
        | Reason::RoyaltyReturned(job, _)
        | Reason::Amends(job, _) => Some(job),
    }
}

/// What a worker bound itself to, and what others said of it.
#[derive(Debug)]
struct Claim {
    tile: u64,
    output: Digest,
    units: u64,
    opinions: Vec<Opinion<Digest>>,
}

impl Claim {
    fn to(tile: u64, output: Digest, units: u64) -> Self {
        Self { tile, output, units, opinions: Vec::new() }
    }
}

/// A tile that was accepted.
#[derive(Debug)]
struct Accepted {
    output: Digest,
    units: u64,
    paid: Option<Amount>,
    royalty: Option<Amount>,
    /// Nobody else looked at it: the job's own account computed it.
    alone: bool,
}

/// A stored frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub frame: u32,
    /// BLAKE3 digests of its files.
    pub exr: Digest,
    pub png: Digest,
    /// Whether its every tile is accepted and these files are made of just those.
    pub proven: bool,
}

/// What a receipt comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub state: JobState,
    pub tiles: u64,
    pub accepted: u64,
    /// Tiles of those that nobody but the job's own account computed.
    pub alone: u64,
    pub units: u64,
    pub cap: Amount,
    /// Paid for accepted tiles, and how much of that as royalties.
    pub spent: Amount,
    pub royalties: Amount,
    /// The model that it used, and what it owed for that.
    pub licence: Option<Licence>,
    pub refunded: Amount,
    pub frames: Vec<Stored>,
    /// Whether its assets were sealed, and the workers that got the key to them.
    pub sealed: bool,
    pub readers: BTreeSet<WorkerId>,
}

/// A receipt being followed.
#[derive(Debug)]
pub struct Receipt {
    job: JobId,
    spec: Spec,
    terms: Option<(Amount, Price)>,
    licence: Option<Licence>,
    /// A tile that was taken back, and its royalty that follows.
    returning: Option<(u64, Amount)>,
    state: JobState,
    claims: BTreeMap<LeaseId, Claim>,
    accepted: BTreeMap<u64, Accepted>,
    refunded: Amount,
    /// By frame: digests of the files, and of the outputs that they were made of.
    frames: BTreeMap<u32, (Digest, Digest, Digest)>,
    seal: Option<Digest>,
    readers: BTreeSet<WorkerId>,
}

type Follows = Result<(), &'static str>;

fn demand(holds: bool, why: &'static str) -> Follows {
    if holds { Ok(()) } else { Err(why) }
}

impl Receipt {
    /// The receipt of a job that is said to have ordered `spec`.
    pub fn new(job: JobId, spec: Spec) -> Self {
        Self {
            job,
            spec,
            terms: None,
            licence: None,
            returning: None,
            state: JobState::Open,
            claims: BTreeMap::new(),
            accepted: BTreeMap::new(),
            refunded: Amount(0),
            frames: BTreeMap::new(),
            seal: None,
            readers: BTreeSet::new(),
        }
    }

    /// Follows the next entry that concerns the job.
    pub fn follow(&mut self, index: u64, entry: &Entry) -> Result<(), Breach> {
        self.fact(&entry.fact).map_err(|why| Breach { entry: index, why })
    }

    fn fact(&mut self, fact: &Fact) -> Follows {
        match fact {
            Fact::JobOpened { job, cap, price, tiles, spec, .. } => {
                demand(*job == self.job && self.terms.is_none(), "another job was opened")?;
                let same = *spec == self.spec.digest() && *tiles == self.spec.tiles();
                demand(same, "what was ordered is not what the receipt says")?;
                self.terms = Some((*cap, *price));
                Ok(())
            }
            Fact::JobEnded { state, .. } => {
                self.state = layout::read(&[*state]).ok_or("a job cannot end like that")?;
                Ok(())
            }
            Fact::JobSealed { .. } | Fact::KeyWrapped { .. } => self.about_keys(fact),
            Fact::FrameStored { frame, exr, png, made_of, .. } => {
                self.frames.insert(*frame, (*exr, *png, *made_of));
                Ok(())
            }
            Fact::Committed { lease, tile, output, units, .. } => {
                self.claims.insert(*lease, Claim::to(*tile, *output, *units));
                Ok(())
            }
            Fact::Opinion { lease, auditor, value, claim, decides, .. } => {
                let contrary = (value != claim).then_some(*value);
                self.opinion(*lease, *auditor, contrary, *decides)
            }
            Fact::Verdict { lease, tile, accepted, units, .. } => {
                self.verdict(*lease, *tile, *accepted, *units)
            }
            Fact::Transfer { amount, reason, .. } => self.transfer(*amount, *reason),
            Fact::Refuted { worker, .. } => self.strike(*worker),
            Fact::JobChained { upstream, .. } => {
                let ordered = self.spec.upstream.is_some_and(|link| link.job == *upstream);
                demand(ordered, "the receipt's order is made of no such job")
            }
            Fact::ModelUsed { model, owner, royalty, .. } => {
                self.licensed(Licence { model: *model, owner: *owner, royalty: *royalty })
            }
            Fact::Outdated { tile, .. } => self.outdated(*tile),
            Fact::Leased { .. }
            | Fact::Fed { .. }
            | Fact::AuditDrawn { .. }
            | Fact::AccountOpened { .. }
            | Fact::WorkerEnrolled { .. }
            | Fact::SecretCommitted { .. }
            | Fact::SecretRevealed { .. }
            | Fact::WorkerOnline { .. }
            | Fact::WorkerOffline { .. }
            | Fact::ClaimDropped { .. }
            | Fact::AuditorDrawn { .. }
            | Fact::AuditMissed { .. }
            | Fact::ReviewOpened { .. }
            | Fact::ModelPublished { .. }
            | Fact::ModelWithdrawn { .. }
            | Fact::Reinstated { .. } => Ok(()),
            _ => Ok(()), // It says nothing of what the job came to.
        }
    }

    fn licensed(&mut self, licence: Licence) -> Follows {
        let first = self.licence.replace(licence).is_none() && self.claims.is_empty();
        demand(first, "another model was used")
    }

    /// What a liar had said counts for nothing.
    fn strike(&mut self, liar: WorkerId) -> Follows {
        for claim in self.claims.values_mut() {
            claim.opinions.retain(|opinion| opinion.worker != liar);
        }
        Ok(())
    }

    /// That the job's assets are sealed, or who got the key to them.
    fn about_keys(&mut self, fact: &Fact) -> Follows {
        match fact {
            Fact::JobSealed { seal, .. } => self.seal = Some(*seal),
            Fact::KeyWrapped { worker, seal, .. } if self.seal == Some(*seal) => {
                self.readers.insert(*worker);
            }
            _ => return Err("the key of another job's assets was given"),
        }
        Ok(())
    }

    /// What a tile was made of has changed. The transfer that follows takes it out, or, where it
    /// was paid nothing, this.
    fn outdated(&mut self, tile: u64) -> Follows {
        let unpaid = self.accepted.get(&tile).is_some_and(|found| found.paid.is_none());
        if unpaid {
            self.accepted.remove(&tile);
            self.state = JobState::Open;
        }
        Ok(())
    }

    fn opinion(
        &mut self,
        lease: LeaseId,
        worker: WorkerId,
        contrary: Option<Digest>,
        decides: bool,
    ) -> Follows {
        let claim = self.claims.get_mut(&lease).ok_or("an opinion on no claim of the receipt")?;
        let again = claim.opinions.iter().any(|opinion| opinion.worker == worker);
        demand(!again, "the auditor was heard before")?;
        // Whose the auditor is stands elsewhere in the log; the verdict does not ask.
        let owner = AccountId(u32::MAX);
        claim.opinions.push(Opinion { worker, owner, contrary, decides, paid: false });
        Ok(())
    }

    fn verdict(&mut self, lease: LeaseId, tile: u64, accepted: bool, units: u64) -> Follows {
        let claim = self.claims.remove(&lease).ok_or("a verdict on no claim of the receipt")?;
        let same = claim.tile == tile && claim.units == units && tile < self.spec.tiles();
        demand(same, "the verdict is about another claim")?;
        let alone = claim.opinions.is_empty();
        let follows = match audit::judge(&claim.opinions) {
            Verdict::Truth(truth) => accepted == truth.is_none(),
            Verdict::Escalate | Verdict::Undecided => alone && accepted,
        };
        demand(follows, "the verdict does not follow from the opinions")?;
        if accepted {
            let output = claim.output;
            let tile_accepted = Accepted { output, units, paid: None, royalty: None, alone };
            let before = self.accepted.insert(tile, tile_accepted);
            demand(before.is_none(), "the tile was accepted before")?;
        }
        Ok(())
    }

    fn transfer(&mut self, amount: Amount, reason: Reason) -> Follows {
        match reason {
            Reason::Tile(_, tile) => {
                let (_, price) = self.terms.ok_or("the job was not opened")?;
                let found = self.accepted.get_mut(&tile).ok_or("the tile was not accepted")?;
                demand(amount == price.of(found.units), "not the price of the tile's work units")?;
                demand(found.paid.replace(amount).is_none(), "the tile was paid before")
            }
            Reason::Royalty(_, tile) => {
                let licence = self.licence.ok_or("the job uses no model")?;
                let found = self.accepted.get_mut(&tile).ok_or("the tile was not accepted")?;
                demand(amount == licence.royalty.of(found.units), "not the tile's royalty")?;
                demand(found.royalty.replace(amount).is_none(), "the royalty was paid before")
            }
            Reason::RoyaltyReturned(_, tile) => {
                let due = self.returning.take() == Some((tile, amount));
                demand(due, "not the royalty of the tile that was taken back")
            }
            Reason::Forfeit(_, tile) | Reason::Outdated(_, tile) => {
                let found = self.accepted.remove(&tile).ok_or("the tile was not accepted")?;
                if self.state == JobState::Done {
                    self.state = JobState::Open;
                }
                self.returning = found.royalty.map(|royalty| (tile, royalty));
                demand(found.paid == Some(amount), "not what the tile was paid")
            }
            Reason::Refund(_) => {
                self.refunded.0 = self.refunded.0.checked_add(amount.0).ok_or("too much")?;
                Ok(())
            }
            Reason::Reopen(_) => {
                let rest = self.refunded.0.checked_sub(amount.0);
                self.refunded.0 = rest.ok_or("more was held again than had been returned")?;
                Ok(())
            }
            // The hold comes before the job that it opens; the others are not the artist's money.
            Reason::TopUp
            | Reason::Submit(_)
            | Reason::Maturity(..)
            | Reason::Probation(..)
            | Reason::Released(..)
            | Reason::Lapsed(..)
            | Reason::Fee(..)
            | Reason::Audit(..)
            | Reason::Deposit(..)
            | Reason::Returned(..)
            | Reason::Kept(..)
            | Reason::Spoilt(..)
            | Reason::Vouched(..)
            | Reason::Unvouched(..)
            | Reason::Staked
            | Reason::Unstaked
            | Reason::StakeLost(..)
            | Reason::RoyaltyFinal(..)
            | Reason::Bonded
            | Reason::Unbonded
            | Reason::Scored(_)
            | Reason::Amends(..) => Ok(()),
        }
    }

    /// What all of it comes to, once no more entries follow.
    pub fn finish(&self) -> Result<Account, &'static str> {
        let (cap, _) = self.terms.ok_or("the job's opening is missing")?;
        let sum = |paid: fn(&Accepted) -> Option<Amount>| {
            let paid = self.accepted.values().filter_map(paid);
            paid.fold(0_u64, |sum, amount| sum.saturating_add(amount.0))
        };
        let royalties = sum(|tile| tile.royalty);
        let spent = sum(|tile| tile.paid).saturating_add(royalties);
        let owes = self.licence.is_some_and(|licence| licence.royalty.0 > 0);
        let owed = |tile: &Accepted| owes && tile.paid.is_some() && tile.royalty.is_none();
        let settled = !self.accepted.values().any(owed) && self.returning.is_none();
        demand(settled, "a royalty did not go as the pay of its tile")?;
        let out = spent.checked_add(self.refunded.0).is_some_and(|out| out <= cap.0);
        demand(out, "more was spent and returned than was held")?;
        let done = self.state == JobState::Done;
        let whole = self.accepted.len() as u64 == self.spec.tiles();
        demand(whole || !done, "the job is done and a tile of it is not accepted")?;
        let frames = self.frames.iter().map(|(frame, (exr, png, made_of))| Stored {
            frame: *frame,
            exr: *exr,
            png: *png,
            proven: self.made_of(*frame).as_ref() == Some(made_of),
        });
        Ok(Account {
            state: self.state,
            tiles: self.spec.tiles(),
            accepted: self.accepted.len() as u64,
            alone: self.accepted.values().filter(|tile| tile.alone).count() as u64,
            units: self.accepted.values().fold(0, |sum, tile| tile.units.saturating_add(sum)),
            cap,
            spent: Amount(spent),
            royalties: Amount(royalties),
            licence: self.licence,
            refunded: self.refunded,
            frames: frames.collect(),
            sealed: self.seal.is_some(),
            readers: self.readers.clone(),
        })
    }

    /// The digest over the accepted outputs of a frame; `None` unless all are there.
    fn made_of(&self, frame: u32) -> Option<Digest> {
        let nth = frame.checked_sub(self.spec.frame_first)? / self.spec.frame_step;
        let whole = self.spec.tiles_per_frame();
        let first = u64::from(nth) * whole;
        let tiles = self.accepted.range(first..first + whole);
        let outputs: Vec<[u8; 32]> = tiles.map(|(_, tile)| tile.output.0).collect();
        (outputs.len() as u64 == whole).then(|| Digest::of(outputs.as_flattened()))
    }
}
