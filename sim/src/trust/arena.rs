//! The arena: the real farm, one worker to watch, its auditors, and what some of them agreed on.
//! Everybody answers at once and nothing is lost: what remains is who is asked and what is said.

use crate::Chance;
use anyhow::{Context, ensure};
use farm::command::{Command, Connect, Outcome, Submit};
use farm::digest::Digest;
use farm::effect::Effects;
use farm::entry::{Book, Entry, Fact, Reason};
use farm::id::{AccountId, JobId, LeaseId, WorkerId};
use farm::job::Spec;
use farm::leaf::{self, Commitment, Leaf, Opening};
use farm::money::{Amount, CREDIT, Price};
use farm::time::Time;
use farm::{Effect, Farm, Policy, Reply, limit};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Workers besides the one that is watched, each of an owner of its own.
pub const AUDITORS: u32 = 40;
/// Leaves of a tile of 64 by 64 pixels and this many samples.
pub const LEAVES: usize = 256;
const SAMPLES: u32 = 16;
/// The worker that is watched: it gets every tile that is ordered alone.
pub const FORGER: WorkerId = WorkerId(0);
const SCENE: Digest = Digest([7; 32]);
const MILLISECOND: u64 = 1_000;

/// A frame of so many tiles in a row and in a column.
fn frame(side: u32, samples: u32) -> Spec {
    Spec {
        engine: SCENE,
        scene: SCENE,
        frame_first: 1,
        frame_last: 1,
        frame_step: 1,
        fps: 24,
        width: 64 * side,
        height: 64 * side,
        tile_size: 64,
        samples,
        depth: 4,
        ..Spec::default()
    }
}

/// What is counted from the public log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Tiles that were forged.
    pub forged: u32,
    pub audits: u64,
    /// Work units that auditors computed, and that workers committed to.
    pub audit_units: u64,
    pub tile_units: u64,
    /// Micro-credits that the ring was paid for saying what the forger said.
    pub vouching_pay: u64,
    /// Micro-credits that the watched worker got for audits that it computed.
    pub audit_pay: u64,
}

/// Effects, and the log's counts.
struct Tally<'a> {
    effects: Vec<Effect>,
    counts: &'a mut Counts,
    ring: &'a BTreeSet<WorkerId>,
    forged: &'a BTreeMap<(JobId, u64), Arc<Work>>,
    /// Leases of audits.
    audits: &'a mut BTreeSet<LeaseId>,
}

impl Effects for Tally<'_> {
    fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn log(&mut self, _number: u64, entry: impl FnOnce() -> Entry) {
        match entry().fact {
            Fact::Opinion { units, .. } => {
                self.counts.audits += 1;
                self.counts.audit_units += units;
            }
            Fact::Committed { units, .. } => self.counts.tile_units += units,
            Fact::Leased { lease, audit: Some(_), .. } => drop(self.audits.insert(lease)),
            Fact::Transfer {
                credit: Book::Payable(FORGER) | Book::Held(FORGER),
                amount,
                reason: Reason::Audit(..),
                ..
            } => self.counts.audit_pay += amount.0,
            Fact::Transfer {
                credit: Book::Payable(worker),
                amount,
                reason: Reason::Audit(job, tile) | Reason::Vouched(job, tile),
                ..
            } if self.ring.contains(&worker) && self.forged.contains_key(&(job, tile)) => {
                self.counts.vouching_pay += amount.0;
            }
            _ => {}
        }
    }
}

/// A tile as somebody computed it.
pub struct Work {
    leaves: Vec<Leaf>,
    commitment: Commitment,
    /// Every leaf's opening, where many are asked for.
    openings: Vec<Opening>,
}

impl Work {
    fn of(leaves: Vec<Leaf>) -> Self {
        let commitment = leaf::commit(&leaves).expect("a tile has leaves");
        Self { leaves, commitment, openings: Vec::new() }
    }

    /// The true tile of so many samples.
    fn truth(samples: u32) -> Self {
        let leaf = |at: u32| Leaf { hash: Digest::of(&at.to_le_bytes()), units: 1_000 };
        let count = LEAVES as u32 / SAMPLES * samples;
        let mut work = Self::of((0..count).map(leaf).collect());
        if samples == SAMPLES {
            let all: Vec<u32> = (0..count).collect();
            work.openings = work.open(&all);
        }
        work
    }

    fn open(&self, asked: &[u32]) -> Vec<Opening> {
        let known = asked.iter().map(|at| self.openings.get(*at as usize).cloned());
        let known: Option<Vec<Opening>> = known.collect();
        known.unwrap_or_else(|| leaf::open(&self.leaves, asked).expect("leaves of the tile"))
    }

    fn outcome(&self, asked: &[u32]) -> Outcome {
        let Self { leaves, commitment, .. } = self;
        match asked.is_empty() {
            true => Outcome::Done { output: commitment.root, commitment: *commitment },
            false => Outcome::Leaves(asked.iter().map(|at| leaves[*at as usize]).collect()),
        }
    }
}

/// A farm, and what its workers owe it.
pub struct Arena {
    pub farm: Farm,
    pub counts: Counts,
    /// Auditors that say what the forger says.
    pub ring: BTreeSet<WorkerId>,
    at: u64,
    owed: VecDeque<Command>,
    truth: Arc<Work>,
    /// What the ring says of honest tiles, if it accuses.
    lie: Option<Arc<Work>>,
    /// Forged tiles, and what was answered for each lease.
    forged: BTreeMap<(JobId, u64), Arc<Work>>,
    answered: BTreeMap<LeaseId, Arc<Work>>,
    /// Leases of audits.
    audits: BTreeSet<LeaseId>,
    /// Leaves of a tile that are forged from now on.
    pub forges: usize,
    samples: u32,
    chance: Chance,
}

impl Arena {
    fn with(farm: Farm, at: u64, truth: Arc<Work>, seed: u64) -> Self {
        Self {
            farm,
            counts: Counts::default(),
            ring: BTreeSet::new(),
            at,
            owed: VecDeque::new(),
            truth,
            lie: None,
            forged: BTreeMap::new(),
            answered: BTreeMap::new(),
            audits: BTreeSet::new(),
            forges: 0,
            samples: SAMPLES,
            chance: Chance::new(seed),
        }
    }

    /// A farm with money in its pots and an account that orders.
    fn open() -> anyhow::Result<Self> {
        let farm = Farm::new(Policy::default());
        let mut arena = Self::with(farm, 0, Arc::new(Work::truth(SAMPLES)), 0);
        arena.apply(Command::Secret { next: [9; 32] })?;
        arena.account(false)?;
        let amount = Amount(100_000_000_000 * CREDIT);
        for account in [Some(AccountId(0)), None] {
            arena.apply(Command::TopUp { account, amount, request: 0 })?;
        }
        Ok(arena)
    }

    fn account(&mut self, operator: bool) -> anyhow::Result<AccountId> {
        let key = Digest::of(&self.at.to_le_bytes());
        match self.apply(Command::OpenAccount { key, operator, name: String::new() })? {
            Reply::Account(account) => Ok(account),
            other => anyhow::bail!("an account was answered by {other:?}"),
        }
    }

    /// A worker of a new owner; an operator's is an arbiter.
    pub fn enrol(&mut self, operator: bool) -> anyhow::Result<WorkerId> {
        let owner = self.account(operator)?;
        self.connect(owner)
    }

    fn connect(&mut self, owner: AccountId) -> anyhow::Result<WorkerId> {
        let connect = Connect {
            key: Digest::of(&owner.0.to_le_bytes()).0,
            owner,
            engines: vec![SCENE],
            device: String::new(),
            slots: 1,
            units_per_second: 0,
            leases: Vec::new(),
            groups: Vec::new(),
        };
        match self.apply(Command::Connect(Box::new(connect)))? {
            Reply::Connected { worker, .. } => Ok(worker),
            other => anyhow::bail!("a hello was answered by {other:?}"),
        }
    }

    /// Clean tiles of a worker.
    pub fn clean(&self, worker: WorkerId) -> u64 {
        self.farm.worker(worker).map_or(0, |worker| worker.tiles_clean)
    }

    pub fn is_refuted(&self, worker: WorkerId) -> bool {
        self.farm.worker(worker).is_some_and(|worker| worker.refuted)
    }

    /// Honest workers that are out.
    pub fn wronged(&self) -> u64 {
        let workers = self.farm.workers(None, None, usize::MAX).into_iter();
        let liar = |id| id == FORGER && self.counts.forged > 0 || self.ring.contains(&id);
        workers.filter(|worker| worker.refuted && !liar(worker.worker)).count() as u64
    }

    /// Micro-credits that a worker holds back and may take out.
    fn earnings(&self, worker: WorkerId) -> u64 {
        let worker = self.farm.worker(worker);
        worker.map_or(0, |worker| worker.held.0 + worker.probation.0 + worker.payable.0)
    }

    pub fn forger_earnings(&self) -> u64 {
        self.earnings(FORGER)
    }

    /// The watched worker's owner puts so much behind it.
    pub fn stake(&mut self, amount: Amount) -> anyhow::Result<()> {
        let account = self.farm.worker(FORGER).context("nobody is watched")?.owner;
        let request = 1;
        self.apply(Command::TopUp { account: Some(account), amount, request })?;
        self.apply(Command::Stake { account, worker: FORGER, amount, request: 2 })?;
        Ok(())
    }

    /// Nobody does anything until all tiles are final for their jobs.
    pub fn rest(&mut self) -> anyhow::Result<()> {
        self.sleep(limit::MATURITY_MS)
    }

    /// Nobody does anything for so long that all have left, and what is theirs is theirs.
    pub fn leave(&mut self) -> anyhow::Result<()> {
        self.sleep(limit::LEFT_MS)
    }

    fn sleep(&mut self, ms: u64) -> anyhow::Result<()> {
        self.at += ms * MILLISECOND;
        self.apply(Command::Tick)?;
        self.drive()
    }

    /// From now on the ring says one false thing of honest tiles.
    pub fn accuse(&mut self) {
        let bend = |leaf: &Leaf| Leaf { hash: Digest::of(&leaf.hash.0), ..*leaf };
        self.lie = Some(Arc::new(Work::of(self.truth.leaves.iter().map(bend).collect())));
    }

    /// From now on tiles have so many samples.
    pub fn sample(&mut self, samples: u32) {
        self.samples = samples;
        self.truth = Arc::new(Work::truth(samples));
    }

    /// A new epoch, with the next secret by chance.
    pub fn turn_epoch(&mut self) -> anyhow::Result<()> {
        let next = Digest::of(&self.chance.bits().to_le_bytes()).0;
        self.apply(Command::Secret { next }).map(drop)
    }

    /// Orders a square frame with so many tiles a side and lets everybody answer until nobody owes
    /// anything, or the forger is found out. A frame of one tile is the watched worker's, if it is
    /// there.
    pub fn order(&mut self, side: u32) -> anyhow::Result<()> {
        let submit = Submit {
            account: AccountId(0),
            request: u128::from(self.at),
            spec: frame(side, self.samples),
            cap: Amount(100_000 * CREDIT),
            price: Price(1_000_000),
            priority: 0,
            private: false,
            audit_own: false,
            model: None,
            seal: None,
            watermark: false,
        };
        self.apply(Command::Submit(Box::new(submit)))?;
        self.drive()
    }

    /// Everybody answers until nobody owes anything, or the forger is found out.
    fn drive(&mut self) -> anyhow::Result<()> {
        while let Some(command) = self.owed.pop_front() {
            self.apply(command)?;
            if self.counts.forged > 0 && self.is_refuted(FORGER) {
                break;
            }
        }
        self.answered.clear();
        self.audits.clear();
        Ok(())
    }

    fn apply(&mut self, command: Command) -> anyhow::Result<Reply> {
        self.at += MILLISECOND;
        let Self { counts, ring, forged, audits, .. } = self;
        let mut tally = Tally { effects: Vec::new(), counts, ring, forged, audits };
        let reply = self.farm.apply(Time(self.at), command, &mut tally)?;
        for effect in tally.effects {
            match effect {
                Effect::Grant { worker, lease, job, tile, leaves, .. } => {
                    let audits = self.audits.contains(&lease);
                    let work = self.compute(worker, (job, tile), audits);
                    let outcome = work.outcome(&leaves);
                    self.answered.insert(lease, work);
                    self.owed.push_back(Command::Report { worker, lease, outcome });
                }
                Effect::Challenge { worker, lease, leaves } => {
                    let work = self.answered.get(&lease).context("a challenge of nothing")?;
                    let openings = work.open(&leaves);
                    self.owed.push_back(Command::Open { worker, lease, openings });
                }
                // What it still owed is no longer wanted.
                Effect::Revoke { lease, .. } => self.owed.retain(|owed| lease_of(owed) != lease),
                Effect::Log(_)
                | Effect::Deliver { .. }
                | Effect::Settle { .. }
                | Effect::Store { .. }
                | Effect::JobChanged { .. } => {}
            }
        }
        Ok(reply)
    }

    /// The forger forges its tiles; the ring says what the forger said, and computes its own.
    fn compute(&mut self, worker: WorkerId, place: (JobId, u64), audits: bool) -> Arc<Work> {
        if worker == FORGER && !audits && self.forges > 0 {
            let mut leaves = self.truth.leaves.clone();
            let mut left = self.forges as u64;
            for (at, leaf) in leaves.iter_mut().enumerate() {
                // So many of those that remain, each set of them as likely.
                if self.chance.below((LEAVES - at) as u64) < left {
                    leaf.hash = Digest::of(&self.chance.bits().to_le_bytes());
                    left -= 1;
                }
            }
            self.forged.insert(place, Arc::new(Work::of(leaves)));
            self.counts.forged += 1;
        }
        let conspires = self.ring.contains(&worker);
        match self.forged.get(&place) {
            Some(forged) if conspires && audits || worker == FORGER => forged.clone(),
            None if conspires && audits => self.lie.clone().unwrap_or_else(|| self.truth.clone()),
            _ => self.truth.clone(),
        }
    }
}

fn lease_of(owed: &Command) -> LeaseId {
    match owed {
        Command::Report { lease, .. } | Command::Open { lease, .. } => *lease,
        // Workers owe nothing else.
        _ => LeaseId { slot: u32::MAX, epoch: 0 },
    }
}

/// A farm to begin from: its image and time, what a tile earns, and the watched worker's standing.
pub struct Founded {
    image: Vec<u8>,
    at: u64,
    truth: Arc<Work>,
    /// Micro-credits for a tile.
    pub pay: f64,
    pub standing: u64,
    pub arbiters: u32,
}

impl Founded {
    /// Everybody holds the scene, and the watched worker has so many clean tiles.
    pub fn new(standing: u64, arbiters: u32) -> anyhow::Result<Self> {
        let mut arena = Arena::open()?;
        let owner = arena.account(false)?;
        ensure!(arena.connect(owner)? == FORGER, "the watched worker is the first");
        arena.enrol(false)?;
        // Most of a long standing among the two, in frames of many tiles.
        while arena.clean(FORGER) + 80 < standing {
            arena.order(8)?;
        }
        arena.apply(Command::Disconnect { worker: FORGER })?;
        for _ in 1..AUDITORS {
            arena.enrol(false)?;
        }
        for _ in 0..arbiters {
            arena.enrol(true)?;
        }
        arena.order(16)?;
        arena.connect(owner)?;
        while arena.clean(FORGER) < standing {
            arena.order(1)?;
        }
        let (image, at, before) = (arena.farm.image(), arena.at, arena.forger_earnings());
        arena.order(1)?;
        let pay = (arena.forger_earnings() - before) as f64;
        ensure!(pay > 0.0, "a tile earns something");
        Ok(Self { image, at, truth: arena.truth, pay, standing, arbiters })
    }

    /// The farm as it was founded, and an own epoch for this seed: the watched worker forges so
    /// many leaves of each tile, and so many auditors drawn by chance conspire with it.
    pub fn arena(&self, seed: u64, forges: usize, colluders: u32) -> anyhow::Result<Arena> {
        let farm = Farm::from_image(&self.image).context("an image of this version")?;
        let mut arena = Arena::with(farm, self.at, self.truth.clone(), seed);
        arena.forges = forges;
        while arena.ring.len() < colluders as usize {
            let drawn = 1 + arena.chance.below(u64::from(AUDITORS)) as u32;
            arena.ring.insert(WorkerId(drawn));
        }
        arena.turn_epoch()?;
        Ok(arena)
    }
}
