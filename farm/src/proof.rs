//! Proof: follows the public log entry by entry, with nothing but the entries, and says which is
//! the first that does not follow from those before it. Trusts no farm.

use crate::audit::{self, Opinion, Verdict};
use crate::digest::Digest;
use crate::entry::{Book, Entry, Fact, Reason};
use crate::farm::Secret;
use crate::id::{AccountId, JobId, LeaseId, WorkerId};
use crate::leaf::Indices;
use crate::ledger::Ledger;
use crate::limit;
use crate::money::{Amount, Price};
use crate::time::Time;
use crate::view::JobState;
use std::collections::{BTreeMap, BTreeSet};
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
    tiles: u64,
    ended: Option<u8>,
    accepted: BTreeSet<u64>,
}

#[derive(Debug)]
struct Worker {
    owner: AccountId,
    clean: u64,
    refuted: bool,
}

/// The latest lease of a slot.
#[derive(Debug)]
struct Slot {
    epoch: u32,
    worker: WorkerId,
    job: JobId,
    tile: u64,
    audit: bool,
    claim: Option<Claim>,
    judged: bool,
}

#[derive(Debug)]
struct Claim {
    root: Digest,
    units: u64,
    answer: Option<Digest>,
    opinions: Vec<Opinion<Digest>>,
    /// Work units of the question, and what each auditor was paid for them.
    asked: u64,
    paid: BTreeMap<WorkerId, u64>,
}

impl Claim {
    fn spoke_truth(&self, auditor: WorkerId) -> bool {
        let verdict = audit::judge(&self.opinions);
        let truth = |opinion: &Opinion<_>| verdict == Verdict::Truth(opinion.contrary);
        self.opinions.iter().any(|opinion| opinion.worker == auditor && truth(opinion))
    }

    /// Whether everyone who spoke the truth got `due`.
    fn all_paid(&self, due: Amount) -> bool {
        let paid = |worker: &WorkerId| self.paid.get(worker).copied().unwrap_or(0);
        let mut auditors = self.opinions.iter().map(|opinion| opinion.worker);
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
}

/// What a tile earned and what of that was moved on.
#[derive(Debug)]
struct Earned {
    worker: WorkerId,
    amount: Amount,
    matured: bool,
}

/// All that follows from the entries so far.
#[derive(Debug, Default)]
pub struct Books {
    next: u64,
    now: Time,
    /// The entry at fault when it is an earlier one than that which shows it.
    blame: Option<u64>,
    accounts: u32,
    workers: Vec<Worker>,
    jobs: Vec<Job>,
    /// A submit's hold, between its transfer and the job it opens.
    opening: Option<(JobId, AccountId, Amount)>,
    slots: BTreeMap<u32, Slot>,
    claims: BTreeMap<(JobId, u64), u32>,
    /// Accepted tiles whose transfer has not come yet.
    owed: BTreeMap<(JobId, u64), (Book, WorkerId, Amount)>,
    earned: BTreeMap<(JobId, u64), Earned>,
    secret: Option<(u32, Digest)>,
    drawn: Vec<Drawn>,
    lies: Vec<Lie>,
    books: BTreeSet<Book>,
    ledger: Ledger,
}

type Follows = Result<(), &'static str>;

fn demand(holds: bool, why: &'static str) -> Follows {
    if holds { Ok(()) } else { Err(why) }
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
            .and_then(|()| self.fact(&entry.fact));
        follows.map_err(|why| Breach { entry: self.blame.take().unwrap_or(index), why })?;
        self.next += 1;
        self.now = entry.time;
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
        let shared = demand(!half, "a mature tile's fee was not taken");
        paid.and(opened).and(refunded).and(shared).map_err(|why| Breach { entry: self.next, why })
    }

    fn fact(&mut self, fact: &Fact) -> Follows {
        match fact {
            Fact::AccountOpened { account } => {
                demand(account.0 == self.accounts, "accounts are numbered in order")?;
                self.accounts += 1;
                Ok(())
            }
            Fact::WorkerEnrolled { worker, owner, .. } => self.enrolled(*worker, *owner),
            Fact::JobOpened { job, account, cap, price, tiles, .. } => {
                let held = self.opening.take() == Some((*job, *account, *cap));
                demand(held, "a job is opened by the hold of its cap")?;
                let accepted = BTreeSet::new();
                let (account, price, cap, tiles) = (*account, *price, *cap, *tiles);
                self.jobs.push(Job { account, price, cap, tiles, ended: None, accepted });
                Ok(())
            }
            Fact::JobEnded { job, state } => {
                self.job(*job)?.ended = Some(*state);
                Ok(())
            }
            Fact::Leased { lease, worker, job, tile, audit } => {
                self.leased(*lease, *worker, *job, *tile, *audit)
            }
            Fact::Committed { lease, job, tile, root, units, .. } => {
                self.committed(*lease, *job, *tile, *root, *units)
            }
            Fact::AuditDrawn { lease, epoch, clean, count, leaves } => {
                self.audit_drawn(*lease, *epoch, *clean, *count, leaves)
            }
            Fact::Opinion { lease, auditor, value, claim, units } => {
                self.opinion(*lease, *auditor, *value, *claim, *units)
            }
            Fact::Verdict { lease, worker, job, tile, accepted, units } => {
                self.verdict(*lease, (*worker, *job, *tile, *units), *accepted)
            }
            Fact::Refuted { worker, lease } => self.refuted(*worker, *lease),
            Fact::Transfer { debit, credit, amount, reason } => {
                self.transfer(*debit, *credit, *amount, *reason)
            }
            Fact::SecretCommitted { epoch, commitment } => {
                let next = self.secret.map_or(1, |(epoch, _)| epoch + 1);
                demand(*epoch == next, "epochs follow one another")?;
                demand(self.drawn.is_empty(), "the last epoch's secret was not revealed")?;
                self.secret = Some((*epoch, *commitment));
                Ok(())
            }
            Fact::SecretRevealed { epoch, secret } => self.revealed(*epoch, secret),
            // What it is made of, a job's receipt compares with the outputs committed to.
            Fact::FrameStored { job, .. } => self.job(*job).map(|_| ()),
        }
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
        demand(owner.0 < self.accounts, "its owner has no account")?;
        self.workers.push(Worker { owner, clean: 0, refuted: false });
        Ok(())
    }

    fn leased(
        &mut self,
        lease: LeaseId,
        worker: WorkerId,
        job: JobId,
        tile: u64,
        audit: bool,
    ) -> Follows {
        let refuted = self.worker(worker)?.refuted;
        demand(!refuted, "a refuted worker gets no lease")?;
        let found = self.job(job)?;
        demand(tile < found.tiles, "its job has no such tile")?;
        demand(audit || found.ended.is_none(), "an ended job leases no tile")?;
        demand(audit || !found.accepted.contains(&tile), "the tile is accepted already")?;
        let before = self.slots.get(&lease.slot).map_or(0, |slot| slot.epoch);
        demand(lease.epoch == before + 1, "a slot's epochs follow one another")?;
        let (claim, judged) = (None, false);
        let slot = Slot { epoch: lease.epoch, worker, job, tile, audit, claim, judged };
        self.slots.insert(lease.slot, slot);
        Ok(())
    }

    fn committed(
        &mut self,
        lease: LeaseId,
        job: JobId,
        tile: u64,
        root: Digest,
        units: u64,
    ) -> Follows {
        let slot = self.slot(lease)?;
        let same = slot.job == job && slot.tile == tile && !slot.audit;
        demand(same, "the lease is for another tile")?;
        demand(slot.claim.is_none(), "the lease was reported before")?;
        let (answer, opinions, asked, paid) = (None, Vec::new(), 0, BTreeMap::new());
        slot.claim = Some(Claim { root, units, answer, opinions, asked, paid });
        self.claims.insert((job, tile), lease.slot);
        Ok(())
    }

    fn audit_drawn(
        &mut self,
        lease: LeaseId,
        epoch: u32,
        clean: u64,
        count: u32,
        leaves: &Indices,
    ) -> Follows {
        let entry = self.next;
        let slot = self.slot(lease)?;
        let claim = slot.claim.as_ref().ok_or("nothing was committed to under this lease")?;
        let (root, worker) = (claim.root, slot.worker);
        let known = self.worker(worker)?.clean;
        demand(clean == known, "the worker's clean tiles are counted wrongly")?;
        let committed = self.secret.map_or(epoch == 0, |(current, _)| current == epoch);
        demand(committed, "the draw is of another epoch")?;
        if epoch > 0 {
            let leaves = leaves.clone();
            self.drawn.push(Drawn { entry, lease, root, clean, count, leaves });
        }
        Ok(())
    }

    fn opinion(
        &mut self,
        lease: LeaseId,
        worker: WorkerId,
        value: Digest,
        answer: Digest,
        units: u64,
    ) -> Follows {
        let owner = self.worker(worker)?.owner;
        let (claimant, job) = {
            let slot = self.slot(lease)?;
            (slot.worker, slot.job)
        };
        let (other, account) = (self.worker(claimant)?.owner, self.job(job)?.account);
        demand(worker != claimant, "a worker audits itself")?;
        demand(owner != other || owner == account, "the auditor is of the same owner")?;
        let claim = self.slot(lease)?.claim.as_mut().ok_or("nothing was claimed")?;
        demand(claim.answer.is_none_or(|known| known == answer), "the claim's answer changed")?;
        let again = claim.opinions.iter().any(|opinion| opinion.worker == worker);
        demand(!again, "the auditor was heard before")?;
        demand(units <= claim.units, "the question is dearer than the tile")?;
        demand(claim.opinions.is_empty() || claim.asked == units, "the question's price changed")?;
        claim.answer = Some(answer);
        claim.asked = units;
        let contrary = (value != answer).then_some(value);
        claim.opinions.push(Opinion { worker, owner, contrary });
        Ok(())
    }

    fn verdict(
        &mut self,
        lease: LeaseId,
        (worker, job, tile, units): (WorkerId, JobId, u64, u64),
        accepted: bool,
    ) -> Follows {
        let slot = self.slot(lease)?;
        let same = slot.worker == worker && slot.job == job && slot.tile == tile && !slot.judged;
        demand(same, "the verdict is about another claim")?;
        let claim = slot.claim.as_ref().ok_or("the verdict is about nothing")?;
        demand(claim.units == units, "the work units are not those committed to")?;
        let judged = claim.answer.map(|_| audit::judge(&claim.opinions));
        slot.judged = true;
        let owner = self.worker(worker)?.owner;
        let own = owner == self.job(job)?.account;
        match judged {
            None => demand(own && accepted, "nobody was asked about the claim")?,
            Some(Verdict::Truth(truth)) => {
                demand(accepted == truth.is_none(), "the opinions say the opposite")?;
            }
            Some(Verdict::Escalate | Verdict::Undecided) => {
                return Err("the opinions have no majority");
            }
        }
        self.claims.remove(&(job, tile));
        self.auditors_paid(lease, job)?;
        if accepted {
            self.worker(worker)?.clean += 1;
            let found = self.job(job)?;
            demand(found.accepted.insert(tile), "the tile was accepted before")?;
            let amount = found.price.of(units);
            let direct = own && judged.is_none();
            let to = if direct { Book::Payable(worker) } else { Book::Held(worker) };
            if amount.0 > 0 {
                self.owed.insert((job, tile), (to, worker, amount));
            }
        }
        Ok(())
    }

    /// Before its verdict a claim's truthful auditors are paid, as far as the farm's pots go.
    fn auditors_paid(&mut self, lease: LeaseId, job: JobId) -> Follows {
        let empty = [Book::Audits, Book::Fees].iter().all(|pot| self.ledger.balance(*pot).0 == 0);
        let price = self.job(job)?.price;
        let claim = self.slot(lease)?.claim.as_ref();
        let paid = claim.is_none_or(|claim| claim.all_paid(price.of(claim.asked)));
        demand(empty || paid, "an auditor who spoke the truth was not paid")
    }

    fn refuted(&mut self, worker: WorkerId, lease: LeaseId) -> Follows {
        let entry = self.next;
        let slot = self.slot(lease)?;
        let claim = slot.claim.as_ref().ok_or("nothing was claimed under this lease")?;
        demand(claim.answer.is_some(), "nobody was asked about the claim")?;
        let claimed = slot.worker == worker;
        let mut opinions = claim.opinions.iter();
        let said = match claimed {
            true => Some(None),
            false => opinions.find(|opinion| opinion.worker == worker).map(|said| said.contrary),
        };
        let verdict = audit::judge(&claim.opinions);
        let Verdict::Truth(truth) = verdict else { return Err("the opinions have no majority") };
        demand(said.is_some_and(|said| said != truth), "the worker said nothing false about it")?;
        let said = claim.opinions.iter().map(|opinion| opinion.contrary).chain([None]);
        let against = said.filter(|contrary| *contrary == truth).count() as u32;
        let lie = Lie { entry, worker, job: slot.job, tile: slot.tile, claimed, against };
        let found = self.worker(worker)?;
        demand(!found.refuted, "the worker was refuted before")?;
        found.refuted = true;
        found.clean = 0;
        self.lies.push(lie);
        let undecided = self.slots.values_mut().filter(|slot| !slot.judged);
        for claim in undecided.filter_map(|slot| slot.claim.as_mut()) {
            claim.opinions.retain(|opinion| opinion.worker != worker);
        }
        Ok(())
    }

    fn transfer(&mut self, debit: Book, credit: Book, amount: Amount, reason: Reason) -> Follows {
        let has = self.ledger.balance(debit) >= amount;
        demand(debit == Book::Outside || has, "the debited book has less than that")?;
        demand(amount.0 > 0 && amount.0 <= crate::money::AMOUNT_MAX, "the amount is no amount")?;
        match reason {
            Reason::TopUp => {
                let into = matches!(credit, Book::Available(_) | Book::Audits);
                demand(debit == Book::Outside && into, "a top-up comes from outside")?;
            }
            Reason::Submit(job) => self.submits(job, debit, credit, amount)?,
            Reason::Tile(job, tile) => self.pays_tile(job, tile, debit, credit, amount)?,
            Reason::Maturity(job, tile) => {
                let earned = self.earned.get_mut(&(job, tile)).ok_or("the tile earned nothing")?;
                let books = (Book::Held(earned.worker), Book::Payable(earned.worker));
                let rest = earned.amount.0 - fee(earned.amount);
                demand((debit, credit) == books, "the tile is another worker's")?;
                demand(!earned.matured && amount.0 == rest, "not what is left of its pay")?;
                earned.matured = true;
                if fee(earned.amount) == 0 {
                    self.earned.remove(&(job, tile));
                }
            }
            Reason::Fee(job, tile) => {
                let earned = self.earned.remove(&(job, tile)).ok_or("the tile earned nothing")?;
                let books = (Book::Held(earned.worker), Book::Fees);
                demand((debit, credit) == books, "a fee is taken from what was held back")?;
                let due = earned.matured || earned.amount.0 == fee(earned.amount);
                demand(due && amount.0 == fee(earned.amount), "not the farm's share")?;
            }
            Reason::Audit(job, tile) => self.pays_auditor(job, tile, debit, credit, amount)?,
            Reason::Forfeit(job, tile) => self.forfeits(job, tile, debit, credit, amount)?,
            Reason::Refund(job) => self.refunds(job, debit, credit, amount)?,
        }
        self.books.extend([debit, credit]);
        self.ledger.post(debit, credit, amount);
        Ok(())
    }

    fn submits(&mut self, job: JobId, debit: Book, credit: Book, amount: Amount) -> Follows {
        demand(job.0 as usize == self.jobs.len(), "jobs are numbered in order")?;
        demand(credit == Book::Hold(job), "the cap is not held for the job")?;
        let Book::Available(account) = debit else { return Err("the cap comes from no account") };
        demand(self.opening.replace((job, account, amount)).is_none(), "two holds, one job")
    }

    fn pays_tile(
        &mut self,
        job: JobId,
        tile: u64,
        debit: Book,
        credit: Book,
        amount: Amount,
    ) -> Follows {
        let owed = self.owed.remove(&(job, tile)).ok_or("no verdict owes this")?;
        let (to, worker, price) = owed;
        demand(debit == Book::Hold(job), "a tile is paid from its job's hold")?;
        demand(credit == to, "the tile is another worker's")?;
        demand(amount == price, "not price times work units")?;
        let cap = self.job(job)?.cap;
        demand(amount <= cap, "more than the job's cap")?;
        if to == Book::Held(worker) {
            self.earned.insert((job, tile), Earned { worker, amount, matured: false });
        }
        Ok(())
    }

    fn pays_auditor(
        &mut self,
        job: JobId,
        tile: u64,
        debit: Book,
        credit: Book,
        amount: Amount,
    ) -> Follows {
        demand(matches!(debit, Book::Audits | Book::Fees), "audits are paid by the farm")?;
        let rest = self.ledger.balance(Book::Audits);
        demand(debit == Book::Audits || rest.0 == 0, "fees pay only what the audits' pot cannot")?;
        let price = self.job(job)?.price;
        let slot = self.claims.get(&(job, tile)).and_then(|slot| self.slots.get_mut(slot));
        let claim = slot.and_then(|slot| slot.claim.as_mut()).ok_or("there was no audit")?;
        let Book::Payable(auditor) = credit else { return Err("an auditor is paid at once") };
        demand(claim.spoke_truth(auditor), "the paid worker did not say the truth about it")?;
        let paid = claim.paid.entry(auditor).or_default();
        let due = price.of(claim.asked).0.saturating_sub(*paid);
        let most = due.min(self.ledger.balance(debit).0);
        demand(amount.0 == most, "not price times the question's work units")?;
        *paid += amount.0;
        Ok(())
    }

    fn refunds(&mut self, job: JobId, debit: Book, credit: Book, amount: Amount) -> Follows {
        let hold = self.ledger.balance(Book::Hold(job));
        let found = self.jobs.get(job.0 as usize).ok_or("it names a job that was not opened")?;
        demand(found.ended.is_some(), "the job has not ended")?;
        let books = (Book::Hold(job), Book::Available(found.account));
        demand((debit, credit) == books, "a refund goes to the job's account")?;
        demand(
            amount.0 >= hold.0.saturating_sub(self.claimed(job)),
            "less than what no claim needs",
        )
    }

    /// The most that a job's claims without a verdict can cost.
    fn claimed(&self, job: JobId) -> u64 {
        let price = self.jobs[job.0 as usize].price;
        let claims = self.claims.range((job, 0)..=(job, u64::MAX));
        let claims = claims.filter_map(|(_, slot)| self.slots.get(slot)?.claim.as_ref());
        claims.map(|claim| price.of(claim.units).0).sum()
    }

    fn forfeits(
        &mut self,
        job: JobId,
        tile: u64,
        debit: Book,
        credit: Book,
        amount: Amount,
    ) -> Follows {
        let earned = self.earned.remove(&(job, tile)).ok_or("the tile earned nothing")?;
        let refuted = self.worker(earned.worker)?.refuted;
        demand(refuted, "only a refuted worker forfeits")?;
        let books = (Book::Held(earned.worker), Book::Hold(job));
        demand((debit, credit) == books, "a forfeit goes back to its job")?;
        demand(amount == earned.amount && !earned.matured, "not what the tile earned")?;
        let found = self.job(job)?;
        found.accepted.remove(&tile);
        found.ended = found.ended.filter(|state| *state != JobState::Done as u8);
        Ok(())
    }

    fn revealed(&mut self, epoch: u32, secret: &[u8; 32]) -> Follows {
        let same = self.secret == Some((epoch, Digest::of(secret)));
        demand(same, "the secret is not the one committed to")?;
        let secret = Secret { epoch, secret: *secret };
        for drawn in std::mem::take(&mut self.drawn) {
            let Drawn { lease, root, clean, count, .. } = drawn;
            let question = audit::draw(&secret, lease, &root, clean, count).question;
            if question.leaves() != drawn.leaves {
                self.blame = Some(drawn.entry);
                return Err("the audit was not drawn from the epoch's secret");
            }
        }
        Ok(())
    }
}

fn fee(amount: Amount) -> u64 {
    amount.0 * limit::FEE_PERMILLE / 1000
}
