//! The farm: one value that owns all state. `apply` is the only way to change it.

use crate::appeal::{Deposit, Refutation};
use crate::command::{Command, RequestId};
use crate::digest::Digest;
use crate::effect::{Effects, Reply};
use crate::entry::{Book, Entry, Fact, Reason};
use crate::id::{AccountId, JobId, LeaseId, WorkerId};
use crate::job::{Image, Job};
use crate::layout::{self, Layout};
use crate::lease::{Leases, Role};
use crate::ledger::Ledger;
use crate::model::Models;
use crate::money::{AMOUNT_MAX, Amount};
use crate::place::Queue;
use crate::reject::Reject;
use crate::roster::Roster;
use crate::scores::Scoring;
use crate::settle::{HeldTile, Vouch};
use crate::time::Time;
use crate::{layout_enum, layout_struct, limit};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Rules that a farm is founded with; they never change afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub maturity_tiles: u32,
    pub maturity_ms: u64,
    pub lease_ms: u64,
    /// Of a round of scores.
    pub round_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            maturity_tiles: limit::MATURITY_TILES,
            maturity_ms: limit::MATURITY_MS,
            lease_ms: limit::LEASE_MS,
            round_ms: limit::ROUND_MS,
        }
    }
}

/// Who owns money and keys.
#[derive(Debug)]
pub(crate) struct Account {
    pub key: Digest,
    pub operator: bool,
    pub name: String,
    pub jobs_open: u32,
}

/// The secret that audits are drawn from, and its epoch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Secret {
    pub epoch: u32,
    pub secret: [u8; 32],
}

/// What a request id was used for, so that asking again gives the same answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Job(JobId, Digest),
    TopUp(Option<AccountId>, Amount),
    Stake(WorkerId, Amount),
    Bond(Amount),
}

/// The farm.
#[derive(Debug)]
pub struct Farm {
    pub(crate) policy: Policy,
    pub(crate) now: Time,
    pub(crate) entries: u64,
    pub(crate) accounts: Vec<Account>,
    pub(crate) keys: BTreeMap<Digest, AccountId>,
    pub(crate) requests: BTreeMap<(u64, RequestId), Request>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) models: Models,
    pub(crate) queue: Queue,
    pub(crate) roster: Roster,
    pub(crate) leases: Leases,
    pub(crate) ledger: Ledger,
    /// Accepted tiles whose pay is held back, by worker, oldest first.
    pub(crate) held: Vec<VecDeque<HeldTile>>,
    /// What auditors are paid for vouching for whole tiles whose pay is not final.
    pub(crate) vouched: BTreeMap<(JobId, u64), Vec<Vouch>>,
    pub(crate) secret: Secret,
    /// Claims for which no auditor could be drawn.
    pub(crate) waiting: BTreeSet<LeaseId>,
    /// By lease, what was put down for the review there.
    pub(crate) deposits: BTreeMap<LeaseId, Deposit>,
    /// The trials of refuted workers.
    pub(crate) refutations: BTreeMap<WorkerId, Refutation>,
    /// Who scores workers, when their round began, and what fees were taken in it.
    pub(crate) scoring: Scoring,
    pub(crate) round_began: Time,
    pub(crate) round_fees: Amount,
    /// Work arrived in this command: idle workers are served before it ends.
    pub(crate) work_arrived: bool,
}

layout_struct!(Policy { maturity_tiles, maturity_ms, lease_ms, round_ms });
layout_struct!(Account { key, operator, name, jobs_open });
layout_struct!(Secret { epoch, secret });
layout_enum!(Request {
    0 = Job(job, digest),
    1 = TopUp(account, amount),
    2 = Stake(worker, amount),
    3 = Bond(amount),
});
layout_struct!(Farm {
    policy,
    now,
    entries,
    accounts,
    keys,
    requests,
    jobs,
    models,
    queue,
    roster,
    leases,
    ledger,
    held,
    vouched,
    secret,
    waiting,
    deposits,
    refutations,
    scoring,
    round_began,
    round_fees,
    work_arrived,
});

impl Farm {
    /// An empty farm.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            now: Time(0),
            entries: 0,
            accounts: Vec::new(),
            keys: BTreeMap::new(),
            requests: BTreeMap::new(),
            jobs: Vec::new(),
            models: Models::default(),
            queue: Queue::default(),
            roster: Roster::default(),
            leases: Leases::default(),
            ledger: Ledger::default(),
            held: Vec::new(),
            vouched: BTreeMap::new(),
            secret: Secret::default(),
            waiting: BTreeSet::new(),
            deposits: BTreeMap::new(),
            refutations: BTreeMap::new(),
            scoring: Scoring::default(),
            round_began: Time(0),
            round_fees: Amount(0),
            work_arrived: false,
        }
    }

    /// Applies one command. `at` must be later than at the last accepted command. A refusal changes
    /// nothing and leaves `effects` as it was.
    pub fn apply(
        &mut self,
        at: Time,
        command: Command,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        if at <= self.now {
            return Err(Reject::TimeNotRising);
        }
        let before = std::mem::replace(&mut self.now, at);
        let result = self.route(command, effects);
        if result.is_err() {
            self.now = before;
        } else if std::mem::take(&mut self.work_arrived) {
            self.serve_idle(effects);
        }
        #[cfg(debug_assertions)]
        self.check();
        result
    }

    fn route(&mut self, command: Command, effects: &mut impl Effects) -> Result<Reply, Reject> {
        match command {
            Command::OpenAccount { key, operator, name } => {
                self.open_account(key, operator, name, effects)
            }
            Command::TopUp { account, amount, request } => {
                self.top_up(account, amount, request, effects)
            }
            Command::Submit(submit) => self.submit(*submit, effects),
            Command::Cancel { job } => self.cancel(job, effects),
            Command::Connect(connect) => self.connect(*connect, effects),
            Command::Disconnect { worker } => self.disconnect(worker, effects),
            Command::Report { worker, lease, outcome } => {
                self.report(worker, lease, outcome, effects)
            }
            Command::Open { worker, lease, openings } => {
                self.open(worker, lease, &openings, effects)
            }
            Command::Renew { worker, leases } => self.renew(worker, &leases),
            Command::Drain { worker } => self.drain(worker, effects),
            Command::Secret { next } => Ok(self.turn_epoch(next, effects)),
            Command::Stored { job, frame, exr, png, made_of } => {
                self.stored(job, frame, Image { exr, png, proven: false }, made_of, effects)
            }
            Command::Appeal { account, matter } => self.appeal(account, matter, effects),
            Command::Stake { account, worker, amount, request } => {
                self.stake(account, worker, amount, request, effects)
            }
            Command::Unstake { account, worker } => self.unstake(account, worker, effects),
            Command::Publish { account, offer } => self.publish(account, *offer, effects),
            Command::Withdraw { account, model } => self.withdraw_model(account, model, effects),
            Command::Show { account, asset } => self.show(account, asset),
            Command::Bond { account, amount, request } => {
                self.bond(account, amount, request, effects)
            }
            Command::Unbond { account } => self.unbond(account, effects),
            Command::CommitScores { account, round, commitment } => {
                self.commit_scores(account, round, commitment, effects)
            }
            Command::RevealScores { account, round, salt, scores } => {
                self.reveal_scores(account, round, (salt, scores), effects)
            }
            Command::Tick => Ok(self.tick(effects)),
        }
    }

    /// Appends to the public log.
    pub(crate) fn log(&mut self, fact: Fact, effects: &mut impl Effects) {
        effects.log(self.entries, || Entry { time: self.now, fact });
        self.entries += 1;
    }

    /// Moves money and says so in the log. Nothing is not moved.
    pub(crate) fn transfer(
        &mut self,
        debit: Book,
        credit: Book,
        amount: Amount,
        reason: Reason,
        effects: &mut impl Effects,
    ) {
        if amount.0 > 0 {
            self.ledger.post(debit, credit, amount);
            self.log(Fact::Transfer { debit, credit, amount, reason }, effects);
        }
    }

    fn open_account(
        &mut self,
        key: Digest,
        operator: bool,
        name: String,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        if self.keys.contains_key(&key) {
            return Err(Reject::KeyTaken);
        }
        if name.len() > limit::NAME_BYTES_MAX {
            return Err(Reject::NameTooLong);
        }
        let account = AccountId(self.accounts.len() as u32);
        self.accounts.push(Account { key, operator, name, jobs_open: 0 });
        self.keys.insert(key, account);
        self.log(Fact::AccountOpened { account, operator }, effects);
        Ok(Reply::Account(account))
    }

    fn top_up(
        &mut self,
        account: Option<AccountId>,
        amount: Amount,
        request: RequestId,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        let book = account.map_or(Book::Audits, Book::Available);
        if account.is_some_and(|account| self.accounts.get(account.0 as usize).is_none()) {
            return Err(Reject::UnknownAccount);
        }
        let outside = self.ledger.balance(Book::Outside);
        if amount.0 == 0 || amount.0 > AMOUNT_MAX - outside.0 {
            return Err(Reject::AmountInvalid);
        }
        let asked = Request::TopUp(account, amount);
        let name = (account.map_or(u64::MAX, |account| u64::from(account.0)), request);
        match self.requests.get(&name) {
            Some(earlier) if *earlier == asked => {}
            Some(_) => return Err(Reject::RequestReused),
            None => {
                self.requests.insert(name, asked);
                self.transfer(Book::Outside, book, amount, Reason::TopUp, effects);
            }
        }
        Ok(Reply::Available(self.ledger.balance(book)))
    }

    fn turn_epoch(&mut self, next: [u8; 32], effects: &mut impl Effects) -> Reply {
        let Secret { epoch, secret } = self.secret;
        if epoch > 0 {
            self.log(Fact::SecretRevealed { epoch, secret }, effects);
        }
        self.secret = Secret { epoch: epoch + 1, secret: next };
        let commitment = Digest::of(&next);
        self.log(Fact::SecretCommitted { epoch: epoch + 1, commitment }, effects);
        Reply::Done
    }

    fn tick(&mut self, effects: &mut impl Effects) -> Reply {
        for lease in self.leases.overdue(self.now) {
            self.expire(lease, effects);
        }
        for worker in 0..self.held.len() as u32 {
            self.mature(WorkerId(worker), effects);
            self.look_again(WorkerId(worker), effects);
        }
        self.seek_again(effects);
        self.turn_round(effects);
        Reply::Done
    }

    /// Time of the last accepted command.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The rules it was founded with.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Entries of the public log so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The whole state in a fixed layout, for snapshots and for comparing farms.
    pub fn image(&self) -> Vec<u8> {
        let mut bytes = IMAGE_VERSION.to_vec();
        self.put(&mut bytes);
        bytes
    }

    /// The farm that gave this image; `None` if the bytes are not an image of this version.
    pub fn from_image(image: &[u8]) -> Option<Self> {
        layout::read(image.strip_prefix(IMAGE_VERSION)?)
    }

    /// What must hold after every command; a failure is a bug in the farm.
    pub fn check(&self) {
        self.ledger.check();
        let mut computing = vec![0; self.jobs.len()];
        let mut claims = vec![0; self.jobs.len()];
        let mut busy = vec![0; self.roster.count() as usize];
        for (_, lease) in self.leases.iter() {
            match &lease.role {
                Role::Computing => computing[lease.job.0 as usize] += 1,
                Role::Claimed(_) => claims[lease.job.0 as usize] += 1,
                Role::Audit(of) => assert!(self.leases.claim(*of).is_some(), "audit of nothing"),
                Role::Reviewed(_) => {}
            }
            let works = matches!(lease.role, Role::Computing | Role::Audit(_));
            busy[lease.worker.0 as usize] += u32::from(works);
        }
        for (at, job) in self.jobs.iter().enumerate() {
            assert_eq!((job.computing, job.claims), (computing[at], claims[at]), "J{at}");
            let hold = self.ledger.balance(Book::Hold(JobId(at as u32)));
            assert!(job.reserved() <= hold, "J{at}: {:?} of {hold:?}", job.reserved());
            let known = job.computing + job.claims + job.accepted + job.again.len() as u64;
            assert!(!job.is_open() || known == job.next, "J{at}: every tile is somewhere");
        }
        for at in 0..self.accounts.len() as u32 {
            let own = self.deposits.values().filter(|deposit| deposit.account.0 == at);
            let down = Amount(own.map(|deposit| deposit.amount.0).sum());
            assert_eq!(self.ledger.balance(Book::Deposit(AccountId(at))), down, "A{at}");
        }
        let mut royalties = vec![0; self.accounts.len()];
        for royalty in self.held.iter().flatten().filter_map(|held| held.royalty) {
            royalties[royalty.owner.0 as usize] += royalty.amount.0;
        }
        for (at, due) in (0..).zip(royalties) {
            let held = self.ledger.balance(Book::RoyaltyHeld(AccountId(at)));
            assert_eq!(held, Amount(due), "A{at}");
        }
        let mut held_back = vec![0; self.roster.count() as usize];
        for vouch in self.vouched.values().flatten() {
            held_back[vouch.auditor.0 as usize] += vouch.amount.0;
        }
        for (id, worker) in self.roster.iter() {
            assert_eq!(worker.computing, busy[id.0 as usize], "{id}");
            let sum = |settled| {
                let tiles = self.held[id.0 as usize].iter().filter(|held| held.settled == settled);
                tiles.map(|held| held.amount.0).sum::<u64>()
            };
            let all = sum(false) + held_back[id.0 as usize];
            assert_eq!(self.ledger.balance(Book::Held(id)), Amount(all), "{id}");
            assert_eq!(self.ledger.balance(Book::Probation(id)), Amount(sum(true)), "{id}");
            let unsecured = self.held[id.0 as usize].iter().filter(|held| held.unsecured).count();
            assert_eq!(worker.unsecured as usize, unsecured, "{id}");
        }
    }
}

/// Changes whenever the layout of the state does.
const IMAGE_VERSION: &[u8] = b"girih farm image 14\n";
