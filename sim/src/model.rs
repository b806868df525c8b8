//! The judge: an independent account of what a farm may do, kept from its public log and its
//! effects alone. It shares no code with the farm: money is a map, a tile is a few flags. Knows who
//! lied, which the farm does not.

mod probation;
mod royalty;

use crate::rounds::Rounds;
use anyhow::{Context, ensure};
use farm::Effect;
use farm::digest::Digest;
use farm::entry::{Book, Cause, Entry, Fact, Reason};
use farm::id::{AccountId, JobId, LeaseId, ModelId, WorkerId};
use farm::job::Spec;
use farm::time::Time;
use probation::Bare;
use royalty::Published;
use std::collections::{BTreeMap, BTreeSet};

/// What the judge knows of a tile.
#[derive(Debug, Default)]
struct Tile {
    /// Who computes it, who claims to have computed it.
    computing: Option<LeaseId>,
    claimed: Option<LeaseId>,
    /// What it earned and to whom, while that can come back.
    earned: Option<(Book, i128)>,
    /// Its pay was made final.
    paid_out: bool,
    /// How far its worker is to be believed, and what is kept for that.
    trust: Bare,
    /// Work units that were accepted, and what a model's owner got for them, while that can come
    /// back and for good.
    units: u64,
    royalty: Option<i128>,
    royalty_kept: bool,
    accepted: bool,
    /// What was committed to, and what was accepted last.
    output: Option<Digest>,
    stood: Option<Digest>,
    /// The outputs of another job's tiles that it was made of when it was leased.
    made_of: Vec<(u64, Digest)>,
}

/// A lease that was given out.
#[derive(Debug)]
struct Lease {
    worker: WorkerId,
    tile: (JobId, u64),
    audit: bool,
    live: bool,
    review: bool,
    /// A review of what was reported with little to lose; of what somebody appealed against.
    looks: bool,
    appeal: bool,
}

#[derive(Debug)]
struct Job {
    account: AccountId,
    cap: i128,
    price: i128,
    spent: i128,
    spec: Spec,
    seal: Option<Digest>,
    done: bool,
    private: bool,
    model: Option<ModelId>,
}

/// The tiles of another job's frame that a tile is made of: those with a pixel near enough.
pub fn needed(spec: &Spec, upstream: &Spec, tile: u64) -> Vec<u64> {
    let Some(link) = &spec.upstream else { return Vec::new() };
    let own = spec.tile(tile);
    let scale = i64::from(link.scale);
    let near = |first: u32, side: u32, other: u32, length: u32| {
        let (first, end) = (i64::from(first), i64::from(first) + i64::from(side));
        (i64::from(other)..i64::from(other) + i64::from(length)).any(|at| {
            // How far this pixel, enlarged, lies before or after what the tile shows.
            let off = (first.div_euclid(scale) - at).max(at - (end - 1).div_euclid(scale));
            off <= i64::from(link.halo)
        })
    };
    let per_frame = upstream.tiles_per_frame();
    let first = u64::from(own.nth_frame) * per_frame;
    let meets = |index: &u64| {
        let other = upstream.tile(*index);
        near(own.x, own.width, other.x, other.width)
            && near(own.y, own.height, other.y, other.height)
    };
    (first..first + per_frame).filter(meets).collect()
}

/// The judge's books.
#[derive(Debug, Default)]
pub struct Model {
    now: Time,
    money: BTreeMap<Book, i128>,
    tiles: BTreeMap<(JobId, u64), Tile>,
    leases: BTreeMap<LeaseId, Lease>,
    jobs: BTreeMap<JobId, Job>,
    owners: BTreeMap<WorkerId, AccountId>,
    operators: BTreeSet<AccountId>,
    models: BTreeMap<ModelId, Published>,
    refuted: BTreeSet<WorkerId>,
    heard: BTreeSet<(LeaseId, WorkerId)>,
    verdicts: BTreeSet<LeaseId>,
    /// Secrets promised and not yet shown.
    promised: u32,
    /// What was ordered last: its spec, the model that it is to use, and the seal of its assets.
    pub ordered: Option<(Spec, Option<ModelId>, Option<Digest>)>,
    /// A job of which must be said that it uses the model that was ordered with it.
    unused: Option<JobId>,
    /// A job of which must be said that it is sealed.
    unsealed: Option<(JobId, Digest)>,
    /// A lease that must bring its worker the key of its job.
    keyless: Option<(LeaseId, WorkerId, Digest)>,
    /// A lease of which must be said what its tile is made of.
    hungry: Option<LeaseId>,
    rounds: Rounds,
}

impl Model {
    /// Looks at what one command did. `balance` is the farm's own word, `lied` the world's.
    pub fn step(
        &mut self,
        effects: &[Effect],
        balance: impl Fn(Book) -> u64,
        lied: impl Fn(WorkerId) -> bool,
    ) -> anyhow::Result<()> {
        let mut touched = BTreeSet::new();
        for effect in effects {
            match effect {
                Effect::Log(entry) => {
                    self.entry(entry, &lied).with_context(|| format!("{entry:?}"))?;
                    if let Fact::Transfer { debit, credit, .. } = &entry.fact {
                        touched.extend([*debit, *credit]);
                    }
                }
                Effect::Revoke { lease, .. } => self.over(*lease),
                Effect::Settle { lease, .. } => {
                    self.leases.get_mut(lease).context("no such lease")?.live = false;
                }
                Effect::Grant { worker, lease, job, tile, .. } => {
                    let found = self.leases.get(lease).context("a grant that was not logged")?;
                    let same = found.worker == *worker && found.tile == (*job, *tile);
                    ensure!(same && found.live, "{lease} is granted otherwise than logged");
                }
                Effect::Challenge { worker, lease, .. } => {
                    let claimed = self.leases.get(lease).is_some_and(|of| of.worker == *worker);
                    ensure!(claimed, "{lease} is challenged at the wrong worker");
                }
                Effect::Deliver { .. } | Effect::Store { .. } | Effect::JobChanged { .. } => {}
            }
        }
        for book in touched {
            let own = self.money.get(&book).copied().unwrap_or(0);
            let own = if book == Book::Outside { -own } else { own };
            ensure!(own == i128::from(balance(book)), "{book:?} has {own}, the farm says else");
        }
        Ok(())
    }

    /// A worker gave a lease up: it failed.
    pub fn over(&mut self, lease: LeaseId) {
        let Some(found) = self.leases.get_mut(&lease) else { return };
        found.live = false;
        let tile = self.tiles.entry(found.tile).or_default();
        tile.computing = tile.computing.filter(|at| *at != lease);
        tile.claimed = tile.claimed.filter(|at| *at != lease);
    }

    fn entry(&mut self, entry: &Entry, lied: &impl Fn(WorkerId) -> bool) -> anyhow::Result<()> {
        self.comes_next(entry)?;
        let fact = &entry.fact;
        self.about_probation(fact)?;
        if self.about_job(fact)? || self.about_model(fact)? || self.about_scores(fact)? {
            return Ok(());
        }
        match fact {
            Fact::WorkerEnrolled { worker, owner, .. } => {
                ensure!(self.owners.insert(*worker, *owner).is_none(), "enrolled twice");
            }
            Fact::Leased { lease, worker, job, tile, audit } => {
                self.leased(*lease, *worker, (*job, *tile), audit.is_some())?;
            }
            Fact::ReviewOpened { lease, worker, job, tile, cause } => {
                self.reviewed(*lease, *worker, (*job, *tile), *cause)?;
            }
            Fact::Committed { lease, job, tile, output, .. } => {
                self.committed(*lease, (*job, *tile), *output)?;
            }
            Fact::Opinion { lease, auditor, .. } => self.opinion(*lease, *auditor)?,
            Fact::Verdict { lease, worker, job, tile, accepted, units } => {
                ensure!(*accepted || lied(*worker), "{worker} did not lie");
                self.verdict(*lease, (*job, *tile), *accepted, *units)?;
            }
            Fact::Refuted { worker, .. } => {
                ensure!(lied(*worker), "{worker} was refuted and never lied");
                self.found_out(*worker)?;
            }
            Fact::Transfer { debit, credit, amount, reason } => {
                self.transfer(*debit, *credit, i128::from(amount.0), *reason)?;
            }
            Fact::Reinstated { worker, .. } => {
                ensure!(self.refuted.remove(worker), "{worker} was not refuted");
            }
            Fact::SecretCommitted { .. } => self.promise()?,
            Fact::SecretRevealed { .. } => self.promised -= 1,
            Fact::AuditorDrawn { lease, auditor, .. } => {
                let claim = self.leases.get(lease).context("an auditor for no lease")?;
                ensure!(*auditor != claim.worker, "{auditor} is to audit itself");
                ensure!(!self.refuted.contains(auditor), "{auditor} was refuted");
            }
            // Followed above, or no matter of money, leases and truth.
            _ => {}
        }
        Ok(())
    }

    fn promise(&mut self) -> anyhow::Result<()> {
        self.promised += 1;
        ensure!(self.promised == 1, "two secrets at once");
        Ok(())
    }

    fn found_out(&mut self, liar: WorkerId) -> anyhow::Result<()> {
        ensure!(self.refuted.insert(liar), "refuted twice");
        // What it said of open claims is struck, and somebody else may be asked.
        self.heard.retain(|(of, by)| *by != liar || self.verdicts.contains(of));
        Ok(())
    }

    /// Whether this may be the next entry at all.
    fn comes_next(&mut self, entry: &Entry) -> anyhow::Result<()> {
        ensure!(entry.time >= self.now, "time runs backwards");
        self.now = entry.time;
        let fed = matches!(&entry.fact, Fact::Fed { lease, .. } if Some(*lease) == self.hungry);
        ensure!(fed || self.hungry.is_none(), "a lease does not say what its tile is made of");
        let sealed = matches!(&entry.fact, Fact::JobSealed { .. });
        ensure!(sealed || self.unsealed.is_none(), "a job does not say that it is sealed");
        let keyed = fed || matches!(&entry.fact, Fact::KeyWrapped { .. });
        ensure!(keyed || self.keyless.is_none(), "a lease brings no key");
        Ok(())
    }

    /// A job's life and what it is made of; whether that was all that the entry says.
    fn about_job(&mut self, fact: &Fact) -> anyhow::Result<bool> {
        match fact {
            Fact::JobOpened { job, account, cap, price, private, .. } => {
                let (spec, model, seal) = self.ordered.take().context("nobody ordered it")?;
                let (account, cap, private) = (*account, i128::from(cap.0), *private);
                let (spent, done) = (0, false);
                let price = i128::from(price.0);
                let opened = Job { account, cap, price, spent, spec, seal, done, private, model };
                self.jobs.insert(*job, opened);
                self.unused = model.map(|_| *job);
                self.unsealed = seal.map(|seal| (*job, seal));
            }
            Fact::JobChained { job, upstream } => {
                let link = self.jobs.get(job).and_then(|job| job.spec.upstream);
                ensure!(link.is_some_and(|link| link.job == *upstream), "it was not ordered so");
            }
            Fact::JobSealed { job, seal } => {
                ensure!(self.unsealed.take() == Some((*job, *seal)), "it was not ordered so");
            }
            Fact::KeyWrapped { lease, worker, seal } => {
                let due = self.keyless.take();
                ensure!(due == Some((*lease, *worker, *seal)), "a key that no lease calls for");
            }
            Fact::Fed { lease, tiles, .. } => self.fed(*lease, tiles)?,
            Fact::Outdated { job, tile } => {
                ensure!(self.changed(*job, *tile), "nothing that it is made of has changed");
                let place = self.tiles.entry((*job, *tile)).or_default();
                ensure!(std::mem::take(&mut place.accepted), "it was not accepted");
            }
            Fact::FrameStored { job, .. } => {
                ensure!(self.jobs.contains_key(job), "a frame of no job is stored");
            }
            Fact::JobEnded { job, state } => {
                let found = self.jobs.get_mut(job).context("no such job")?;
                found.done = *state == 2;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Validators' words; whether that was all that the entry says.
    fn about_scores(&mut self, fact: &Fact) -> anyhow::Result<bool> {
        match fact {
            Fact::ScoresCommitted { account, round, .. } => {
                self.rounds.committed(*account, *round)?;
            }
            Fact::ScoresRevealed { account, round, scores, .. } => {
                self.rounds.revealed(*account, *round, scores, &self.owners)?;
            }
            Fact::RoundEnded { round, scores, agreed } => {
                self.rounds.ended(*round, scores, agreed, &self.owners)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn reviewed(
        &mut self,
        lease: LeaseId,
        worker: WorkerId,
        tile: (JobId, u64),
        cause: Cause,
    ) -> anyhow::Result<()> {
        let place = self.tiles.entry(tile).or_default();
        let looks = cause == Cause::Unsecured;
        let appeal = matches!(cause, Cause::Appealed(_));
        let held = place.accepted && !place.paid_out;
        let due = place.accepted && place.trust.bare && !place.trust.looked;
        ensure!(held || appeal || due, "a review of what is final: {place:?}");
        ensure!(!looks || due, "it need not be looked at again: {place:?}");
        let given = Lease { worker, tile, audit: false, live: true, review: true, looks, appeal };
        ensure!(self.leases.insert(lease, given).is_none(), "{lease} is no new lease");
        Ok(())
    }

    /// A tile is leased once all that it is made of is accepted.
    fn fed(&mut self, lease: LeaseId, tiles: &[(u64, u64)]) -> anyhow::Result<()> {
        ensure!(self.hungry.take() == Some(lease), "{lease} is made of nothing");
        let (job, tile) = self.leases.get(&lease).context("no such lease")?.tile;
        let spec = &self.jobs.get(&job).context("no such job")?.spec;
        let upstream = spec.upstream.context("its job is made of no other")?.job;
        let from = &self.jobs.get(&upstream).context("no such job")?.spec;
        let named: Vec<u64> = tiles.iter().flat_map(|(at, count)| *at..at + count).collect();
        ensure!(named == needed(spec, from, tile), "it is made of other tiles");
        let mut made_of = Vec::new();
        for feeder in named {
            let place = self.tiles.entry((upstream, feeder)).or_default();
            ensure!(place.accepted, "tile {feeder} of {upstream} is not proven yet");
            made_of.push((feeder, place.stood.context("accepted without an output")?));
        }
        self.tiles.entry((job, tile)).or_default().made_of = made_of;
        Ok(())
    }

    /// Whether something else was accepted in the place of what a tile was made of.
    fn changed(&self, job: JobId, tile: u64) -> bool {
        let upstream = self.jobs.get(&job).and_then(|job| job.spec.upstream);
        let (Some(link), Some(place)) = (upstream, self.tiles.get(&(job, tile))) else {
            return false;
        };
        let now = |tile: u64| self.tiles.get(&(link.job, tile)).and_then(|place| place.stood);
        place.made_of.iter().any(|(tile, output)| now(*tile) != Some(*output))
    }

    fn committed(
        &mut self,
        lease: LeaseId,
        tile: (JobId, u64),
        output: Digest,
    ) -> anyhow::Result<()> {
        let found = self.leases.get(&lease).context("no such lease")?;
        ensure!(found.live && !found.audit, "a report without a live lease counts");
        let place = self.tiles.entry(tile).or_default();
        ensure!(place.computing == Some(lease), "somebody else computes it");
        ensure!(place.claimed.is_none(), "two claims to one tile");
        (place.computing, place.claimed) = (None, Some(lease));
        place.output = Some(output);
        Ok(())
    }

    fn verdict(
        &mut self,
        lease: LeaseId,
        tile: (JobId, u64),
        accepted: bool,
        units: u64,
    ) -> anyhow::Result<()> {
        ensure!(self.verdicts.insert(lease), "two verdicts on one claim");
        if self.leases.get(&lease).is_some_and(|lease| lease.review) {
            return Ok(());
        }
        let place = self.tiles.entry(tile).or_default();
        ensure!(place.claimed.take() == Some(lease), "a verdict about no claim");
        ensure!(!place.accepted, "accepted twice");
        place.accepted = accepted;
        if accepted {
            place.stood = place.output;
            place.units = units;
        }
        Ok(())
    }

    fn leased(
        &mut self,
        lease: LeaseId,
        worker: WorkerId,
        tile: (JobId, u64),
        audit: bool,
    ) -> anyhow::Result<()> {
        ensure!(!self.refuted.contains(&worker), "{worker} was refuted and gets a lease");
        ensure!(self.is_trusted(worker, tile.0), "{worker} is not trusted with {}'s model", tile.0);
        let (looks, appeal) = (false, false);
        let given = Lease { worker, tile, audit, live: true, review: false, looks, appeal };
        ensure!(self.leases.insert(lease, given).is_none(), "{lease} was given out before");
        let seal = self.jobs.get(&tile.0).context("no such job")?.seal;
        self.keyless = seal.map(|seal| (lease, worker, seal));
        if !audit {
            let place = self.tiles.entry(tile).or_default();
            let free = place.computing.is_none() && place.claimed.is_none() && !place.accepted;
            ensure!(free, "the tile is somebody's already: {place:?}");
            place.computing = Some(lease);
            let job = self.jobs.get(&tile.0).context("no such job")?;
            self.hungry = job.spec.upstream.map(|_| lease);
        }
        Ok(())
    }

    fn opinion(&mut self, lease: LeaseId, auditor: WorkerId) -> anyhow::Result<()> {
        let claim = self.leases.get(&lease).context("an opinion about no lease")?;
        let of = |worker: &WorkerId| self.owners.get(worker).copied().context("not enrolled");
        let (claimant, own) = (of(&claim.worker)?, of(&auditor)?);
        let job = self.jobs.get(&claim.tile.0).context("no such job")?;
        ensure!(auditor != claim.worker, "{auditor} audits itself");
        ensure!(own != claimant || own == job.account, "{auditor} audits its own owner's work");
        for (_, other) in self.heard.range((lease, WorkerId(0))..=(lease, WorkerId(u32::MAX))) {
            let another = *other != auditor && (of(other)? != own || own == job.account);
            ensure!(another, "{auditor} and {other} are one owner's");
        }
        self.heard.insert((lease, auditor));
        Ok(())
    }

    fn transfer(
        &mut self,
        debit: Book,
        credit: Book,
        amount: i128,
        reason: Reason,
    ) -> anyhow::Result<()> {
        ensure!(amount > 0, "an amount is more than nothing");
        *self.money.entry(debit).or_default() -= amount;
        *self.money.entry(credit).or_default() += amount;
        let left = self.money.get(&debit).copied().unwrap_or(0);
        ensure!(debit == Book::Outside || left >= 0, "{debit:?} is overdrawn: {left}");
        match reason {
            Reason::Tile(job, tile) => self.pays_tile((job, tile), credit, amount)?,
            Reason::Maturity(..)
            | Reason::Probation(..)
            | Reason::Released(..)
            | Reason::Lapsed(..) => self.moves_pay((debit, credit), amount, reason)?,
            Reason::Fee(job, tile) => {
                self.matures((job, tile), debit, amount)?;
                self.rounds.fee(amount);
            }
            Reason::Forfeit(job, tile) => {
                let place = self.tiles.entry((job, tile)).or_default();
                ensure!(!place.paid_out, "what was paid out is forfeit");
                place.accepted = false;
                self.taken_back((job, tile), debit, amount)?;
            }
            Reason::Outdated(job, tile) => self.taken_back((job, tile), debit, amount)?,
            Reason::Vouched(job, tile) => self.vouched((job, tile))?,
            Reason::Unstaked => self.unstaked(debit)?,
            Reason::Royalty(..) | Reason::RoyaltyFinal(..) | Reason::RoyaltyReturned(..) => {
                self.moves_royalty((debit, credit), amount, reason)?;
            }
            Reason::Bonded | Reason::Unbonded | Reason::Scored(_) => {
                self.scoring(debit, credit, amount, reason)?;
            }
            Reason::TopUp
            | Reason::Staked
            | Reason::StakeLost(..)
            | Reason::Unvouched(..)
            | Reason::Submit(_)
            | Reason::Audit(..)
            | Reason::Refund(_)
            | Reason::Reopen(_)
            | Reason::Deposit(..)
            | Reason::Returned(..)
            | Reason::Kept(..)
            | Reason::Spoilt(..)
            | Reason::Amends(..) => {}
        }
        Ok(())
    }

    /// A part of what was held back for a tile is paid out.
    fn matures(&mut self, tile: (JobId, u64), debit: Book, amount: i128) -> anyhow::Result<()> {
        let place = self.tiles.entry(tile).or_default();
        let (from, left) = place.earned.context("it earned nothing")?;
        ensure!(from == debit && left >= amount, "more comes out than it earned");
        place.earned = Some((from, left - amount)).filter(|(_, left)| *left > 0);
        place.paid_out = true;
        Ok(())
    }

    /// Who vouched for a tile is paid.
    fn vouched(&self, tile: (JobId, u64)) -> anyhow::Result<()> {
        let accepted = self.tiles.get(&tile).is_some_and(|place| place.accepted);
        ensure!(accepted, "who vouched for a tile is paid, and nobody accepted it");
        let trust = self.tiles.get(&tile).map(|place| !place.trust.bare || place.trust.looked);
        let known = trust == Some(true) || self.changed(tile.0, tile.1);
        ensure!(known, "who vouched for a tile is paid, and nobody has looked at it again");
        Ok(())
    }

    /// The pay of a tile that stands no longer goes back to its job.
    fn taken_back(
        &mut self,
        (job, tile): (JobId, u64),
        debit: Book,
        amount: i128,
    ) -> anyhow::Result<()> {
        let place = self.tiles.entry((job, tile)).or_default();
        ensure!(!place.accepted, "what stands is taken back");
        ensure!(place.earned.take() == Some((debit, amount)), "not what it earned");
        place.paid_out = false;
        self.jobs.get_mut(&job).context("no such job")?.spent -= amount;
        Ok(())
    }

    /// Money of validators.
    fn scoring(
        &mut self,
        debit: Book,
        credit: Book,
        amount: i128,
        reason: Reason,
    ) -> anyhow::Result<()> {
        match (reason, debit, credit) {
            (Reason::Bonded, Book::Available(from), Book::Bond(to)) if from == to => {
                self.rounds.bonded(to, amount);
                Ok(())
            }
            (Reason::Unbonded, Book::Bond(from), Book::Available(to)) if from == to => {
                self.rounds.unbonded(to, amount)
            }
            (Reason::Scored(_), Book::Fees, Book::Available(to)) => self.rounds.paid(to, amount),
            _ => anyhow::bail!("{debit:?} to {credit:?} is no validator's money"),
        }
    }

    /// A stake goes back: nothing is open about its worker.
    fn unstaked(&self, debit: Book) -> anyhow::Result<()> {
        let Book::Stake(worker) = debit else { anyhow::bail!("{debit:?} is no stake") };
        ensure!(!self.refuted.contains(&worker), "{worker} lied and gets its stake back");
        let by = |lease: LeaseId| self.leases.get(&lease).is_some_and(|of| of.worker == worker);
        let busy = |place: &Tile| {
            let held = place.earned.is_some_and(|(book, _)| book == Book::Held(worker));
            held || place.computing.or(place.claimed).is_some_and(by)
        };
        ensure!(!self.tiles.values().any(busy), "{worker} may still turn out a liar");
        Ok(())
    }

    /// The world is at rest: nothing is owed, nothing is kept.
    pub fn finish(&self) -> anyhow::Result<()> {
        ensure!(self.money.values().sum::<i128>() == 0, "debits are not credits");
        for (book, left) in &self.money {
            let hold = matches!(book, Book::Hold(_));
            ensure!(!hold || *left == 0, "{book:?} still holds {left}");
            let of_liars = match book {
                Book::Stake(worker) | Book::Probation(worker) => self.refuted.contains(worker),
                _ => false,
            };
            ensure!(!of_liars || *left == 0, "a liar's {book:?} still has {left}");
        }
        ensure!(self.hungry.is_none(), "a lease does not say what its tile is made of");
        ensure!(self.keyless.is_none(), "a lease brings no key");
        for ((job, tile), place) in &self.tiles {
            let done = self.jobs.get(job).is_some_and(|job| job.done);
            let stale = done && place.accepted && self.changed(*job, *tile);
            ensure!(!stale, "tile {tile} of {job} is made of what gave way to something else");
        }
        ensure!(self.unused.is_none(), "a job does not say that it uses a model");
        for ((job, tile), place) in &self.tiles {
            let owes = place.accepted && place.units > 0;
            let due = self.royalty(*job, place.units).filter(|_| owes).map(|(_, due)| due);
            let kept = due.filter(|_| place.royalty_kept).or(place.royalty);
            ensure!(kept == due, "tile {tile} of {job} owes {due:?} of royalty: {place:?}");
        }
        for (tile, place) in &self.tiles {
            let idle = place.computing.is_none() && place.claimed.is_none();
            ensure!(idle, "{tile:?} is still in somebody's hands: {place:?}");
        }
        Ok(())
    }
}
