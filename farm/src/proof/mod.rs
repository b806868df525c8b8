//! Proof: follows the public log entry by entry, with nothing but the entries, and says which is
//! the first that does not follow from those before it. Trusts no farm.

mod appeal;
mod chain;
mod model;
mod money;
mod probation;
mod score;
mod seal;
mod stake;
mod trial;

use crate::audit::{self, Answer, Opinion, Verdict};
use crate::digest::Digest;
use crate::entry::{Book, Cause, Entry, Extra, Fact, Reason, Tried};
use crate::id::{AccountId, JobId, LeaseId, WorkerId};
use crate::leaf::{Commitment, Indices};
use crate::ledger::Ledger;
use crate::limit;
use crate::model::Licence;
use crate::money::{Amount, Price};
use crate::standing::Standing;
use crate::time::Time;
use appeal::Appeals;
use chain::Chains;
use model::Models;
use score::Rounds;
use seal::Keys;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// The first entry that does not follow, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    pub entry: u64,
    pub why: &'static str,
}

impl fmt::Display for Breach {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "entry {} does not follow: {}", self.entry, self.why)
    }
}

impl std::error::Error for Breach {}

/// A lie that the log proves: others computed the same and agreed on something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lie {
    pub entry: u64,
    pub worker: WorkerId,
    pub job: JobId,
    pub tile: u64,
    /// Whether the lie was the worker's own tile, not what it said about another's.
    pub claimed: bool,
    /// Results that agreed with each other against the worker.
    pub against: u32,
}

#[derive(Debug)]
struct Job {
    account: AccountId,
    price: Price,
    cap: Amount,
    spent: u64,
    tiles: u64,
    engine: Digest,
    scene: Digest,
    private: bool,
    /// The model that it uses and what it owes for that; whether a tile was leased.
    licence: Option<Licence>,
    leased: bool,
    ended: Option<u8>,
    accepted: BTreeSet<u64>,
    /// The job that it is made of, and whether others are made of it.
    upstream: Option<JobId>,
    feeds: bool,
    /// What was accepted last, as long as it may feed others.
    outputs: BTreeMap<u64, Digest>,
    /// What commits to the key of its assets.
    seal: Option<Digest>,
}

#[derive(Debug, Default)]
struct Worker {
    owner: AccountId,
    arbiter: bool,
    standing: Standing,
    refuted: bool,
    engines: Vec<Digest>,
    groups: Vec<Digest>,
    /// Scenes it worked on last, newest first.
    warm: VecDeque<Digest>,
    /// Those last drawn to audit it.
    auditors: VecDeque<WorkerId>,
    /// Claims it was drawn for and got no lease of yet.
    queued: BTreeSet<LeaseId>,
    /// When it last committed to a tile or was heard.
    spoke: Time,
}

/// The latest lease of a slot.
#[derive(Debug)]
struct Slot {
    epoch: u32,
    worker: WorkerId,
    job: JobId,
    tile: u64,
    /// The claim that it is an audit of.
    audit: Option<LeaseId>,
    claim: Option<Claim>,
    judged: bool,
    /// It is looked at again.
    review: bool,
}

#[derive(Clone, Debug)]
struct Claim {
    output: Digest,
    root: Digest,
    units: u64,
    answer: Option<Digest>,
    opinions: Vec<Opinion<Digest>>,
    /// Work units of the question, and what each auditor was paid for them.
    asked: u64,
    paid: BTreeMap<WorkerId, u64>,
    extra: Extra,
    /// Whether all of the tile is asked for.
    whole: bool,
    /// The question's draw: its epoch, the clean tiles and the leaves it was drawn from.
    drawn: (u32, u64, u32),
    /// Auditors who were drawn and have not answered; how many ever were.
    auditors: Vec<WorkerId>,
    asks: u32,
    silent: Vec<(AccountId, Time)>,
    /// A deposit was put down for it.
    appealed: bool,
    /// Its worker had little to lose as it committed to it.
    unsecured: bool,
    /// Those who had vouched for it before, where others are to.
    before: Vec<WorkerId>,
}

impl Claim {
    fn is_contested(&self) -> bool {
        self.appealed || self.opinions.iter().any(|opinion| opinion.contrary.is_some())
    }

    /// What an auditor of the whole tile has to say if it agrees.
    fn to_whole(&self) -> Digest {
        let commitment = Commitment { root: self.root, units: self.units };
        Answer::to_whole(&self.output, &commitment).digest()
    }

    /// Whether an arbiter has said what it is.
    fn is_decided(&self) -> bool {
        self.opinions.iter().any(|opinion| opinion.decides)
    }

    /// Whether those who say what it is are paid once its tile's pay is final: `afresh` says that
    /// it is computed again if this is false.
    fn is_vouched_for(&self, afresh: bool) -> bool {
        let stands = audit::judge(&self.opinions) == Verdict::Truth(None);
        self.whole && !self.is_decided() && (stands || afresh)
    }

    fn spoke_truth(&self, auditor: WorkerId) -> bool {
        let verdict = audit::judge(&self.opinions);
        let truth = |opinion: &Opinion<_>| verdict == Verdict::Truth(opinion.contrary);
        self.opinions.iter().any(|opinion| opinion.worker == auditor && truth(opinion))
    }

    /// Whether this auditor spoke the truth and was not paid for it in an earlier trial.
    fn owes(&self, auditor: WorkerId) -> bool {
        let unpaid = |opinion: &Opinion<_>| opinion.worker == auditor && !opinion.paid;
        self.opinions.iter().any(unpaid) && self.spoke_truth(auditor)
    }

    /// Whether everyone who spoke the truth got `due`.
    fn all_paid(&self, due: Amount) -> bool {
        let paid = |worker: &WorkerId| self.paid.get(worker).copied().unwrap_or(0);
        let unpaid = self.opinions.iter().filter(|opinion| !opinion.paid);
        let mut auditors = unpaid.map(|opinion| opinion.worker);
        auditors.all(|auditor| !self.spoke_truth(auditor) || paid(&auditor) == due.0)
    }
}

/// A draw to be checked when its epoch's secret is revealed.
#[derive(Debug)]
struct Drawn {
    entry: u64,
    lease: LeaseId,
    root: Digest,
    clean: u64,
    count: u32,
    leaves: Indices,
    extra: Extra,
}

/// An auditor's draw, to be checked then too.
#[derive(Debug)]
struct Asked {
    entry: u64,
    lease: LeaseId,
    root: Digest,
    ask: u32,
    count: u32,
    tried: Tried,
    /// The clean tiles and leaves of the question, if its lot counts.
    lot: Option<(u64, u32)>,
}

/// What a tile earned and what of that was moved on.
#[derive(Debug)]
struct Earned {
    worker: WorkerId,
    amount: Amount,
    /// Micro-credits that the model's owner got with it.
    royalty: u64,
    /// What an auditor of the whole of it had to say.
    answer: Option<Digest>,
    matured: bool,
    /// What was said about it, unless it is looked at again.
    claim: Option<Claim>,
    /// Why it must be looked at again.
    due: Option<Cause>,
    /// It is to be looked at again when its worker has more to lose, or is being so.
    unsecured: bool,
    looked: bool,
    /// It is final for its job: the amount is on probation.
    settled: bool,
}

/// What an accepted tile is to be paid.
#[derive(Debug)]
struct Owed {
    to: Book,
    worker: WorkerId,
    amount: Amount,
    /// Micro-credits for the model's owner.
    royalty: u64,
    lease: LeaseId,
}

/// An auditor, what it said that a whole tile is, and micro-credits held back for that.
type Vouch = (WorkerId, Digest, u64);

/// All that follows from the entries so far.
#[derive(Debug, Default)]
pub struct Books {
    next: u64,
    now: Time,
    /// The entry at fault when it is an earlier one than that which shows it.
    blame: Option<u64>,
    /// Which accounts run arbiters.
    operators: Vec<bool>,
    workers: Vec<Worker>,
    /// Workers that take leases, in the order in which they came.
    working: Vec<WorkerId>,
    jobs: Vec<Job>,
    /// A submit's hold, between its transfer and the job it opens.
    opening: Option<(JobId, AccountId, Amount)>,
    /// A job that goes on: the next entry holds again what it may still cost.
    reopening: Option<JobId>,
    slots: BTreeMap<u32, Slot>,
    /// Slots with a claim to a tile.
    claims: BTreeSet<(JobId, u64, u32)>,
    /// Accepted tiles whose transfer has not come yet.
    owed: BTreeMap<(JobId, u64), Owed>,
    earned: BTreeMap<(JobId, u64), Earned>,
    vouched: BTreeMap<(JobId, u64), Vec<Vouch>>,
    secret: Option<(u32, Digest)>,
    drawn: Vec<Drawn>,
    asked: Vec<Asked>,
    lies: Vec<Lie>,
    appeals: Appeals,
    chains: Chains,
    models: Models,
    keys: Keys,
    rounds: Rounds,
    books: BTreeSet<Book>,
    ledger: Ledger,
}

type Follows = Result<(), &'static str>;

fn demand(holds: bool, why: &'static str) -> Follows {
    if holds { Ok(()) } else { Err(why) }
}

/// The job that goes on by this transfer.
fn reopens(fact: &Fact) -> Option<JobId> {
    match fact {
        Fact::Transfer { reason: Reason::Reopen(job), .. } => Some(*job),
        _ => None,
    }
}

impl Books {
    pub fn new() -> Self {
        Self::default()
    }

    /// Entries followed so far.
    pub fn entries(&self) -> u64 {
        self.next
    }

    /// Every lie so far, in the order in which they were found out.
    pub fn lies(&self) -> &[Lie] {
        &self.lies
    }

    /// Every book that was ever used, with its balance; `outside` is what came in.
    pub fn balances(&self) -> Vec<(Book, Amount)> {
        self.books.iter().map(|book| (*book, self.ledger.balance(*book))).collect()
    }

    /// Follows the next entry.
    pub fn follow(&mut self, index: u64, entry: &Entry) -> Result<(), Breach> {
        let follows = demand(index == self.next, "it is not the next entry")
            .and_then(|()| demand(entry.time >= self.now, "its time is before the last entry's"))
            .and_then(|()| {
                self.now = entry.time;
                self.fact(&entry.fact)
            });
        follows.map_err(|why| Breach { entry: self.blame.take().unwrap_or(index), why })?;
        self.next += 1;
        Ok(())
    }

    /// What must hold when no more entries come: every accepted tile was paid, ended jobs keep
    /// nothing.
    pub fn finish(&self) -> Result<(), Breach> {
        let paid = demand(self.owed.is_empty(), "an accepted tile before it was not paid");
        let opened = demand(self.opening.is_none(), "money was held for a job that was not opened");
        let kept = |(at, job): (usize, &Job)| {
            let id = JobId(at as u32);
            job.ended.is_some() && self.ledger.balance(Book::Hold(id)).0 > self.claimed(id)
        };
        let kept = self.jobs.iter().enumerate().any(kept);
        let refunded = demand(!kept, "an ended job keeps money that no claim needs");
        let half = self.earned.values().any(|earned| earned.matured);
        let lied = |earned: &Earned| self.workers[earned.worker.0 as usize].refuted;
        let kept_by_liar = self.earned.values().any(|earned| earned.settled && lied(earned));
        let shared = demand(!half, "a mature tile's fee was not taken");
        let taken = demand(!kept_by_liar, "a refuted worker has pay on probation still");
        let appealed = self.appeals.finish();
        let follows = paid.and(opened).and(refunded).and(shared).and(taken).and(appealed);
        let follows =
            follows.and_then(|()| self.vouches_finish()).and_then(|()| self.stakes_finish());
        let follows =
            follows.and_then(|()| self.chains_finish()).and_then(|()| self.models.finish());
        let follows = follows.and_then(|()| self.keys.finish());
        let follows = follows.and_then(|()| self.rounds.finish());
        follows.map_err(|why| Breach { entry: self.next, why })
    }

    fn fact(&mut self, fact: &Fact) -> Follows {
        // A tile's royalty goes back before its job goes on.
        if !self.models.expects(fact)? {
            let as_due = self.reopening.take() == reopens(fact);
            demand(as_due, "a job that goes on holds again its rest")?;
        }
        self.chains.expects(fact)?;
        self.keys.expects(fact)?;
        match fact {
            Fact::AccountOpened { account, operator } => self.account_opened(*account, *operator),
            Fact::WorkerEnrolled { worker, owner, .. } => self.enrolled(*worker, *owner),
            Fact::JobOpened { .. } => self.job_opened(fact),
            Fact::JobEnded { job, state } => self.job_ended(*job, *state),
            Fact::Leased { lease, worker, job, tile, audit } => {
                self.leased(*lease, *worker, *job, *tile, *audit)
            }
            Fact::Committed { lease, job, tile, output, root, units } => {
                self.committed(*lease, (*job, *tile), (*output, *root), *units)
            }
            Fact::AuditDrawn { lease, epoch, clean, count, leaves, extra } => {
                self.audit_drawn(*lease, *epoch, (*clean, *count), leaves, *extra)
            }
            Fact::Opinion { lease, auditor, value, claim, units, decides } => {
                self.opinion(*lease, (*auditor, *decides), *value, *claim, *units)
            }
            Fact::Verdict { lease, worker, job, tile, accepted, units } => {
                self.verdict(*lease, (*worker, *job, *tile, *units), *accepted)
            }
            Fact::Refuted { worker, lease } => self.refuted(*worker, *lease),
            Fact::Transfer { debit, credit, amount, reason } => {
                self.transfer(*debit, *credit, *amount, *reason)
            }
            Fact::SecretCommitted { epoch, commitment } => self.promised(*epoch, *commitment),
            Fact::SecretRevealed { epoch, secret } => self.revealed(*epoch, secret),
            // What it is made of, a job's receipt compares with the outputs committed to.
            Fact::FrameStored { job, .. } => self.job(*job).map(|_| ()),
            Fact::WorkerOnline { worker, device, engines, groups } => {
                self.online(*worker, *device, (engines, groups))
            }
            Fact::WorkerOffline { worker } => self.offline(*worker),
            Fact::ClaimDropped { lease } => self.dropped(*lease),
            Fact::AuditorDrawn { lease, epoch, ask, auditor, tried } => {
                self.auditor_drawn(*lease, (*epoch, *ask), *auditor, tried)
            }
            Fact::AuditMissed { audit } => self.missed(*audit),
            Fact::ReviewOpened { lease, worker, job, tile, cause } => {
                self.review_opened(*lease, *worker, (*job, *tile), *cause)
            }
            Fact::Reinstated { worker, lease } => self.reinstated(*worker, *lease),
            Fact::JobChained { job, upstream } => self.chained(*job, *upstream),
            Fact::Fed { lease, tiles, made_of } => self.fed(*lease, tiles, *made_of),
            Fact::Outdated { job, tile } => self.outdated(*job, *tile),
            Fact::ModelPublished { .. } | Fact::ModelWithdrawn { .. } | Fact::ModelUsed { .. } => {
                self.about_model(fact)
            }
            // A key is the one that its lease called for.
            Fact::JobSealed { .. } | Fact::KeyWrapped { .. } => self.about_keys(fact),
            _ => self.about_scores(fact),
        }
    }

    fn account_opened(&mut self, account: AccountId, operator: bool) -> Follows {
        self.operators.push(operator);
        let count = self.operators.len();
        demand(account.0 as usize + 1 == count, "accounts are numbered in order")
    }

    fn job(&mut self, id: JobId) -> Result<&mut Job, &'static str> {
        self.jobs.get_mut(id.0 as usize).ok_or("it names a job that was not opened")
    }

    fn worker(&mut self, id: WorkerId) -> Result<&mut Worker, &'static str> {
        self.workers.get_mut(id.0 as usize).ok_or("it names a worker that was not enrolled")
    }

    fn slot(&mut self, lease: LeaseId) -> Result<&mut Slot, &'static str> {
        let slot = self.slots.get_mut(&lease.slot).filter(|slot| slot.epoch == lease.epoch);
        slot.ok_or("it names a lease that is not the latest of its slot")
    }

    fn enrolled(&mut self, worker: WorkerId, owner: AccountId) -> Follows {
        demand(worker.0 as usize == self.workers.len(), "workers are numbered in order")?;
        let arbiter = *self.operators.get(owner.0 as usize).ok_or("its owner has no account")?;
        self.workers.push(Worker { owner, arbiter, ..Worker::default() });
        Ok(())
    }

    fn leased(
        &mut self,
        lease: LeaseId,
        worker: WorkerId,
        job: JobId,
        tile: u64,
        audit: Option<LeaseId>,
    ) -> Follows {
        let refuted = self.worker(worker)?.refuted;
        demand(!refuted, "a refuted worker gets no lease")?;
        let found = self.job(job)?;
        let (scene, seal) = (found.scene, found.seal);
        found.leased = true;
        demand(tile < found.tiles, "its job has no such tile")?;
        let may = self.may_compute(worker, &self.jobs[job.0 as usize]);
        demand(may, "the model's owner does not let this worker compute it")?;
        let found = &self.jobs[job.0 as usize];
        if let Some(of) = audit {
            let claim = self.slot(of)?;
            demand((claim.job, claim.tile) == (job, tile), "an audit of another tile's claim")?;
            let drawn = self.worker(worker)?.queued.remove(&of);
            demand(drawn, "the auditor was not drawn")?;
        } else {
            demand(found.ended.is_none(), "an ended job leases no tile")?;
            demand(!found.accepted.contains(&tile), "the tile is accepted already")?;
            if found.upstream.is_some() {
                self.chains.leased(lease);
            }
        }
        self.keys.leased(lease, worker, seal);
        let warm = &mut self.worker(worker)?.warm;
        warm.retain(|known| *known != scene);
        warm.push_front(scene);
        warm.truncate(limit::WARM_SCENES);
        let (claim, judged, review, epoch) = (None, false, false, lease.epoch);
        self.occupy(lease, Slot { epoch, worker, job, tile, audit, claim, judged, review })
    }

    /// A slot's next lease.
    fn occupy(&mut self, lease: LeaseId, slot: Slot) -> Follows {
        let before = self.slots.get(&lease.slot).map_or(0, |slot| slot.epoch);
        demand(lease.epoch == before + 1, "a slot's epochs follow one another")?;
        self.slots.insert(lease.slot, slot);
        Ok(())
    }

    fn job_opened(&mut self, fact: &Fact) -> Follows {
        let Fact::JobOpened { job, account, cap, price, tiles, engine, scene, private, .. } = fact
        else {
            return Err("it opens no job");
        };
        let held = self.opening.take() == Some((*job, *account, *cap));
        demand(held, "a job is opened by the hold of its cap")?;
        let (account, price, cap, tiles) = (*account, *price, *cap, *tiles);
        let (engine, scene, private) = (**engine, **scene, *private);
        let (ended, accepted) = (None, BTreeSet::new());
        let spent = 0;
        self.jobs.push(Job {
            account,
            price,
            cap,
            spent,
            tiles,
            engine,
            scene,
            private,
            licence: None,
            leased: false,
            ended,
            accepted,
            upstream: None,
            feeds: false,
            outputs: BTreeMap::new(),
            seal: None,
        });
        self.keys.opened(*job);
        Ok(())
    }

    fn job_ended(&mut self, job: JobId, state: u8) -> Follows {
        let job = self.job(job)?;
        job.ended = Some(state);
        if !job.feeds {
            job.outputs.clear();
        }
        Ok(())
    }

    fn promised(&mut self, epoch: u32, commitment: Digest) -> Follows {
        let next = self.secret.map_or(1, |(epoch, _)| epoch + 1);
        demand(epoch == next, "epochs follow one another")?;
        let shown = self.drawn.is_empty() && self.asked.is_empty();
        demand(shown, "the last epoch's secret was not revealed")?;
        self.secret = Some((epoch, commitment));
        Ok(())
    }

    fn committed(
        &mut self,
        lease: LeaseId,
        (job, tile): (JobId, u64),
        (output, root): (Digest, Digest),
        units: u64,
    ) -> Follows {
        let now = self.now;
        let slot = self.slot(lease)?;
        let worker = slot.worker;
        let same = slot.job == job && slot.tile == tile && slot.audit.is_none() && !slot.review;
        demand(same, "the lease is for another tile")?;
        demand(slot.claim.is_none(), "the lease was reported before")?;
        let (answer, opinions, asked, paid) = (None, Vec::new(), 0, BTreeMap::new());
        let (drawn, auditors, asks, silent) = ((0, 0, 0), Vec::new(), 0, Vec::new());
        let (extra, whole, appealed, unsecured) = (Extra::Nothing, false, false, false);
        slot.claim = Some(Claim {
            output,
            root,
            units,
            answer,
            opinions,
            asked,
            paid,
            extra,
            whole,
            drawn,
            auditors,
            asks,
            silent,
            appealed,
            unsecured,
            before: Vec::new(),
        });
        self.claims.insert((job, tile, lease.slot));
        self.worker(worker)?.spoke = now;
        Ok(())
    }
}
