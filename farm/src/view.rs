//! What the farm shows of itself: plain copies for shells to read. Changes nothing.

use crate::appeal::Refutation;
use crate::digest::Digest;
use crate::entry::Book;
use crate::farm::Farm;
use crate::id::{AccountId, JobId, LeaseId, WorkerId};
use crate::job::{Job, Spec};
use crate::leaf::Indices;
use crate::lease::{Lease, Role};
use crate::limit;
use crate::model::Licence;
use crate::money::{Amount, Price};
use crate::scores::Standing;
use crate::time::Time;
use std::collections::BTreeSet;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum JobState {
    Open = 1,
    Done = 2,
    Cancelled = 3,
    Failed = 4,
    OutOfBudget = 5,
}

/// A job as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    pub job: JobId,
    pub account: AccountId,
    pub spec: Spec,
    pub state: JobState,
    pub failure: String,
    pub tiles_total: u64,
    pub tiles_accepted: u64,
    pub tiles_leased: u64,
    pub tiles_claimed: u64,
    pub tiles_refuted: u64,
    pub cap: Amount,
    pub price: Price,
    /// Paid for accepted tiles, and how much of that as royalties.
    pub spent: Amount,
    pub royalties: Amount,
    pub licence: Option<Licence>,
    pub units: u64,
    /// Workers that compute or audit tiles of it now.
    pub workers: u32,
    pub priority: u8,
    pub private: bool,
    pub created: Time,
    pub ended: Option<Time>,
    pub frames: Vec<FrameView>,
    /// What commits to the key of its assets, if these are sealed.
    pub seal: Option<Digest>,
    pub watermark: bool,
}

/// A stored frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameView {
    pub frame: u32,
    pub exr: Digest,
    pub png: Digest,
    pub proven: bool,
    /// The pay of all its tiles is final: none can come back.
    pub settled: bool,
}

/// A worker as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerView {
    pub worker: WorkerId,
    pub owner: AccountId,
    pub key: [u8; 32],
    pub device: String,
    pub online: bool,
    pub tiles_clean: u64,
    pub faults: u32,
    pub refuted: bool,
    pub leases: u32,
    pub held: Amount,
    pub payable: Amount,
    /// Final for its jobs, and to be lost if it is found lying.
    pub probation: Amount,
    pub stake: Amount,
    /// What validators scored it last, 0 to 1000.
    pub score: Option<u16>,
}

/// Who would work on a job now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CapacityView {
    pub workers: u32,
    pub slots: u32,
    pub units_per_second: u64,
}

/// An account's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BalanceView {
    pub available: Amount,
    pub on_hold: Amount,
    pub held: Amount,
    pub payable: Amount,
    /// Final for its jobs, and to be lost if its worker is found lying.
    pub probation: Amount,
    /// Behind its workers.
    pub staked: Amount,
    /// Royalties of its models: for tiles that may still turn out false, and its own.
    pub royalties_held: Amount,
    pub royalties: Amount,
    /// Put down to be a validator.
    pub bond: Amount,
}

/// A validator as everybody may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidatorView {
    pub standing: Standing,
    pub bond: Amount,
}

/// The round of scores: its number (0: there was none yet), when it began, and who scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundView {
    pub round: u32,
    pub began: Time,
    pub validators: Vec<ValidatorView>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    pub account: AccountId,
    pub key: Digest,
    pub operator: bool,
    pub name: String,
}

impl Farm {
    pub fn accounts(&self) -> Vec<AccountView> {
        let view = |(at, account): (usize, &crate::farm::Account)| AccountView {
            account: AccountId(at as u32),
            key: account.key,
            operator: account.operator,
            name: account.name.clone(),
        };
        self.accounts.iter().enumerate().map(view).collect()
    }

    /// An account's money; `None` if there is no such account.
    pub fn balance(&self, account: AccountId) -> Option<BalanceView> {
        self.accounts.get(account.0 as usize)?;
        let available = self.ledger.balance(Book::Available(account));
        let royalties_held = self.ledger.balance(Book::RoyaltyHeld(account));
        let royalties = self.ledger.balance(Book::Royalty(account));
        let bond = self.ledger.balance(Book::Bond(account));
        let none = BalanceView::default();
        let mut view = BalanceView { available, royalties_held, royalties, bond, ..none };
        for (at, _) in self.jobs.iter().enumerate().filter(|(_, job)| job.account == account) {
            view.on_hold.0 += self.ledger.balance(Book::Hold(JobId(at as u32))).0;
        }
        for (id, _) in self.roster.iter().filter(|(_, worker)| worker.owner == account) {
            view.held.0 += self.ledger.balance(Book::Held(id)).0;
            view.payable.0 += self.ledger.balance(Book::Payable(id)).0;
            view.probation.0 += self.ledger.balance(Book::Probation(id)).0;
            view.staked.0 += self.ledger.balance(Book::Stake(id)).0;
        }
        Some(view)
    }

    /// A book's balance.
    pub fn book(&self, book: Book) -> Amount {
        self.ledger.balance(book)
    }

    pub fn job(&self, id: JobId) -> Option<JobView> {
        let job = self.jobs.get(id.0 as usize)?;
        let mut workers: Vec<WorkerId> = Vec::new();
        if job.computing + job.claims > 0 {
            let works = |role: &Role| matches!(role, Role::Computing | Role::Audit(_));
            let busy = |lease: &Lease| lease.job == id && works(&lease.role);
            let busy = self.leases.iter().filter(|(_, lease)| busy(lease));
            workers = busy.map(|(_, lease)| lease.worker).collect();
            workers.sort_unstable();
            workers.dedup();
        }
        let whole = job.tiles_per_frame;
        let frames = job.images.iter().map(|(nth, image)| FrameView {
            frame: job.spec.frame(*nth),
            exr: image.exr,
            png: image.png,
            proven: job.frames.get(nth).map_or(image.proven, |frame| frame.proven == whole)
                && self.is_frame_fed(id, *nth),
            settled: image.proven && !job.frames.contains_key(nth),
        });
        Some(JobView {
            job: id,
            account: job.account,
            spec: job.spec.clone(),
            state: job.state,
            failure: job.failure.clone(),
            tiles_total: job.tiles,
            tiles_accepted: job.accepted,
            tiles_leased: job.computing,
            tiles_claimed: job.claims,
            tiles_refuted: job.refuted,
            cap: job.cap,
            price: job.price,
            spent: job.spent,
            royalties: job.royalties,
            licence: job.licence,
            units: job.units,
            workers: workers.len() as u32,
            priority: job.priority,
            private: job.private,
            created: job.created,
            ended: job.ended,
            frames: frames.collect(),
            seal: job.seal,
            watermark: job.watermark,
        })
    }

    /// Whether a worker of this account has a lease of a tile that is made of this output.
    pub fn feeds_worker_of(&self, owner: AccountId, output: &Digest) -> bool {
        let feeds = |lease: &Lease| match &lease.role {
            Role::Computing => self.inputs(lease.job, lease.tile).contains(output),
            Role::Claimed(claim) | Role::Reviewed(claim) => claim.inputs.contains(output),
            Role::Audit(of) => {
                self.leases.claim(*of).is_some_and(|claim| claim.inputs.contains(output))
            }
        };
        let own = self.leases.iter().filter(|(_, lease)| self.roster[lease.worker].owner == owner);
        own.into_iter().any(|(_, lease)| feeds(lease))
    }

    /// The seals whose keys may still be wanted: of jobs of which something may be computed again,
    /// be it for an appeal.
    pub fn seals(&self) -> BTreeSet<Digest> {
        let mut wanted: Vec<bool> = self.jobs.iter().map(Job::is_open).collect();
        let leased = self.leases.iter().map(|(_, lease)| lease.job);
        let held = self.held.iter().flatten().filter(|held| held.unsecured || !held.settled);
        let held = held.map(|held| held.job);
        let open = |found: &&Refutation| self.now <= found.at.after_ms(limit::APPEAL_MS);
        let appealable = self.refutations.values().filter(open).map(|found| found.trial.job);
        for job in leased.chain(held).chain(appealable) {
            wanted[job.0 as usize] = true;
        }
        let mut seals = BTreeSet::new();
        for (at, job) in self.jobs.iter().enumerate() {
            let unpaid = !job.frames.is_empty() || !job.own_paid.is_empty();
            // What it is made of may still change.
            let upstream = job.spec.upstream.is_some_and(|link| wanted[link.job.0 as usize]);
            wanted[at] |= unpaid || upstream;
            seals.extend(job.seal.filter(|_| wanted[at]));
        }
        seals
    }

    /// Jobs of the account (`None`: all), newest first, older than `before`.
    pub fn jobs(
        &self,
        account: Option<AccountId>,
        before: Option<JobId>,
        most: usize,
    ) -> Vec<JobView> {
        let end = before.map_or(self.jobs.len(), |job| self.jobs.len().min(job.0 as usize));
        (0..end)
            .rev()
            .filter(|at| account.is_none_or(|account| self.jobs[*at].account == account))
            .take(most)
            .filter_map(|at| self.job(JobId(at as u32)))
            .collect()
    }

    /// What a live lease asks for: job, tile, and the leaves of an audit of some leaves only.
    pub fn lease(&self, id: LeaseId) -> Option<(JobId, u64, Indices)> {
        let lease = self.leases.get(id)?;
        let leaves = match &lease.role {
            Role::Computing | Role::Claimed(_) | Role::Reviewed(_) => Indices::new(),
            Role::Audit(of) => self.leases.claim(*of)?.question.leaves(),
        };
        Some((lease.job, lease.tile, leaves))
    }

    /// Leases that workers of this owner compute under, audits among them.
    fn working(&self, owner: AccountId) -> impl Iterator<Item = &Lease> {
        let works = move |lease: &&Lease| {
            let works = matches!(lease.role, Role::Computing | Role::Audit(_));
            works && self.roster[lease.worker].owner == owner
        };
        self.leases.iter().map(|(_, lease)| lease).filter(works)
    }

    /// Scene, environment and seal of each job that workers of this owner compute.
    pub fn scenes_at(
        &self,
        owner: AccountId,
    ) -> BTreeSet<(Digest, Option<Digest>, Option<Digest>)> {
        let jobs = self.working(owner).map(|lease| &self.jobs[lease.job.0 as usize]);
        jobs.map(|job| (job.spec.scene, job.spec.environment, job.seal)).collect()
    }

    /// Whether workers of this owner compute with the model that has these bytes.
    pub fn computes_with(&self, owner: AccountId, digest: &Digest) -> bool {
        let made_with = |lease: &Lease| {
            let licence = self.jobs[lease.job.0 as usize].licence;
            let model = licence.and_then(|licence| self.models.get(licence.model));
            model.is_some_and(|model| model.offer.asset == *digest)
        };
        self.working(owner).any(made_with)
    }

    pub fn worker(&self, id: WorkerId) -> Option<WorkerView> {
        let worker = self.roster.get(id)?;
        Some(WorkerView {
            worker: id,
            owner: worker.owner,
            key: worker.key,
            device: worker.device.clone(),
            online: worker.online,
            tiles_clean: worker.standing.clean_in_all(),
            faults: worker.faults,
            refuted: worker.refuted,
            leases: worker.computing,
            held: self.ledger.balance(Book::Held(id)),
            payable: self.ledger.balance(Book::Payable(id)),
            probation: self.ledger.balance(Book::Probation(id)),
            stake: self.ledger.balance(Book::Stake(id)),
            score: worker.score,
        })
    }

    /// Who scores workers, and the round.
    pub fn round(&self) -> RoundView {
        let bond = |account| self.ledger.balance(Book::Bond(account));
        let view = |standing: Standing| ValidatorView { standing, bond: bond(standing.account) };
        let validators = self.scoring.standings().into_iter().map(view).collect();
        RoundView { round: self.scoring.round(), began: self.round_began, validators }
    }

    /// The workers that may be given tiles of this engine; of one owner, or of all.
    pub fn capacity(&self, engine: &Digest, owner: Option<AccountId>) -> CapacityView {
        let workers = self.roster.working.iter().map(|id| &self.roster[*id]);
        let able = workers.filter(|worker| {
            worker.works()
                && worker.engines.contains(engine)
                && owner.map_or(!worker.arbiter, |owner| worker.owner == owner)
        });
        able.fold(CapacityView::default(), |sum, worker| CapacityView {
            workers: sum.workers + 1,
            slots: sum.slots.saturating_add(worker.slots),
            units_per_second: sum.units_per_second.saturating_add(worker.units_per_second),
        })
    }

    /// Workers of the owner (`None`: all), after `after`.
    pub fn workers(
        &self,
        owner: Option<AccountId>,
        after: Option<WorkerId>,
        most: usize,
    ) -> Vec<WorkerView> {
        self.roster
            .iter()
            .filter(|(id, worker)| {
                after.is_none_or(|after| *id > after)
                    && owner.is_none_or(|owner| worker.owner == owner)
            })
            .take(most)
            .filter_map(|(id, _)| self.worker(id))
            .collect()
    }
}
