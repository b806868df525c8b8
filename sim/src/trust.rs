//! What forging costs, measured on the real farm: a worker of long standing forges a share of the
//! leaves of every tile from now on, some of its auditors agree with whatever it says, and others
//! recompute. Everybody answers at once.

use crate::Chance;
use anyhow::{Context, ensure};
use farm::command::{Command, Connect, Outcome, Submit};
use farm::digest::Digest;
use farm::effect::Effects;
use farm::entry::Entry;
use farm::id::{AccountId, JobId, LeaseId, WorkerId};
use farm::job::Spec;
use farm::leaf::{self, Commitment, Leaf, Opening};
use farm::limit;
use farm::money::{Amount, CREDIT, Price};
use farm::time::Time;
use farm::{Effect, Farm, Policy, Reply};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// Workers besides the forger, each of an owner of its own, and arbiters where there are any.
const AUDITORS: u32 = 40;
/// Clean tiles of the forger before it turns bad.
const STANDING: u64 = 2_000;
/// Forgers for each line of the table, and the tiles after which one has got away with it.
const TRIALS: u64 = 400;
const TILES_MAX: u32 = 2_000;
const FORGER: WorkerId = WorkerId(0);
const SCENE: Digest = Digest([7; 32]);
const MICROSECONDS: u64 = 1_000;

/// A tile of 64 by 64 pixels and 16 samples: 256 leaves.
fn spec() -> Spec {
    Spec {
        engine: SCENE,
        scene: SCENE,
        frame_first: 1,
        frame_last: 1,
        frame_step: 1,
        fps: 24,
        width: 64,
        height: 64,
        tile_size: 64,
        samples: 16,
        depth: 4,
        ..Spec::default()
    }
}

/// Effects without the public log.
#[derive(Default)]
struct Quiet(Vec<Effect>);

impl Effects for Quiet {
    fn push(&mut self, effect: Effect) {
        self.0.push(effect);
    }

    fn log(&mut self, _number: u64, _entry: impl FnOnce() -> Entry) {}
}

/// A tile as somebody computed it.
struct Work {
    leaves: Vec<Leaf>,
    commitment: Commitment,
    output: Digest,
}

impl Work {
    fn of(leaves: Vec<Leaf>) -> Self {
        let commitment = leaf::commit(&leaves).expect("a tile has leaves");
        Self { leaves, commitment, output: commitment.root }
    }

    fn open(&self, asked: &[u32]) -> Vec<Opening> {
        let open = |index: &u32| leaf::open(&self.leaves, *index).expect("a leaf of the tile");
        asked.iter().map(open).collect()
    }

    fn outcome(&self, asked: &[u32]) -> Outcome {
        match asked.is_empty() {
            true => Outcome::Done { output: self.output, commitment: self.commitment },
            false => Outcome::Leaves(asked.iter().map(|at| self.leaves[*at as usize]).collect()),
        }
    }
}

/// A farm, and what its workers owe it.
struct Arena {
    farm: Farm,
    at: u64,
    owed: VecDeque<Command>,
    truth: Rc<Work>,
    /// Forged tiles by job, and what was answered for each lease.
    forged: BTreeMap<JobId, Rc<Work>>,
    answered: BTreeMap<LeaseId, Rc<Work>>,
    /// Leaves of a tile that are forged from now on.
    forges: usize,
    /// The first so many auditors speak for the forger.
    colluders: u32,
    chance: Chance,
}

impl Arena {
    /// Everybody holds the scene, and the forger has its standing.
    fn new(standing: u64, arbiters: u32) -> anyhow::Result<Self> {
        let leaf = |at: u32| Leaf { hash: Digest::of(&at.to_le_bytes()), units: 1_000 };
        let mut arena = Self::with(Farm::new(Policy::default()), 0, 0, 0);
        arena.truth = Rc::new(Work::of((0..256).map(leaf).collect()));
        arena.apply(Command::Secret { next: [9; 32] })?;
        for n in 0..AUDITORS + 2 + arbiters {
            let (key, operator) = (Digest::of(&n.to_le_bytes()), n > AUDITORS + 1);
            arena.apply(Command::OpenAccount { key, operator, name: String::new() })?;
        }
        let amount = Amount(1_000_000_000 * CREDIT);
        for account in [Some(AccountId(0)), None] {
            arena.apply(Command::TopUp { account, amount, request: 0 })?;
        }
        for n in 0..=AUDITORS + arbiters {
            let key = Digest::of(&n.to_le_bytes()).0;
            arena.apply(Command::Connect(Box::new(Connect {
                key,
                owner: AccountId(n + 1),
                engines: vec![SCENE],
                device: String::new(),
                slots: 1,
                units_per_second: 0,
                leases: Vec::new(),
                groups: Vec::new(),
            })))?;
        }
        // A frame of as many tiles as give everybody some.
        let side = 64 * 16;
        arena.order(Spec { width: side, height: side, ..spec() })?;
        while arena.clean() < standing {
            arena.order(spec())?;
        }
        Ok(arena)
    }

    fn with(farm: Farm, at: u64, seed: u64, forges: usize) -> Self {
        Self {
            farm,
            at,
            owed: VecDeque::new(),
            truth: Rc::new(Work::of(vec![Leaf::default()])),
            forged: BTreeMap::new(),
            answered: BTreeMap::new(),
            forges,
            colluders: 0,
            chance: Chance::new(seed),
        }
    }

    fn clean(&self) -> u64 {
        self.farm.worker(FORGER).map_or(0, |worker| worker.tiles_clean)
    }

    fn is_refuted(&self, worker: WorkerId) -> bool {
        self.farm.worker(worker).is_some_and(|worker| worker.refuted)
    }

    /// What the forger holds back and may take out.
    fn earnings(&self) -> u64 {
        self.farm.worker(FORGER).map_or(0, |worker| worker.held.0 + worker.payable.0)
    }

    /// Orders a frame and lets everybody answer until nobody owes anything.
    fn order(&mut self, spec: Spec) -> anyhow::Result<()> {
        let submit = Submit {
            account: AccountId(0),
            request: u128::from(self.at),
            spec,
            cap: Amount(1_000 * CREDIT),
            price: Price(1_000_000),
            priority: 0,
            private: false,
            audit_own: false,
        };
        self.apply(Command::Submit(Box::new(submit)))?;
        while let Some(command) = self.owed.pop_front() {
            self.apply(command)?;
        }
        Ok(())
    }

    fn apply(&mut self, command: Command) -> anyhow::Result<Reply> {
        self.at += MICROSECONDS;
        let mut effects = Quiet::default();
        let reply = self.farm.apply(Time(self.at), command, &mut effects)?;
        for effect in effects.0 {
            match effect {
                Effect::Grant { worker, lease, job, leaves, .. } => {
                    let work = self.compute(worker, job, &leaves);
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
                _ => {}
            }
        }
        Ok(reply)
    }

    /// The forger forges what it is given first; a colluder says what the forger said.
    fn compute(&mut self, worker: WorkerId, job: JobId, asked: &[u32]) -> Rc<Work> {
        if worker == FORGER && asked.is_empty() && self.forges > 0 {
            let mut leaves = self.truth.leaves.clone();
            let mut left = self.forges as u64;
            for (at, leaf) in leaves.iter_mut().enumerate() {
                // So many of those that remain, each set of them as likely.
                if self.chance.below(256 - at as u64) < left {
                    leaf.hash = Digest::of(&self.chance.bits().to_le_bytes());
                    left -= 1;
                }
            }
            self.forged.insert(job, Rc::new(Work::of(leaves)));
        }
        let lies = worker == FORGER || (1..=self.colluders).contains(&worker.0);
        self.forged.get(&job).filter(|_| lies).unwrap_or(&self.truth).clone()
    }
}

fn lease_of(owed: &Command) -> LeaseId {
    match owed {
        Command::Report { lease, .. } | Command::Open { lease, .. } => *lease,
        // Workers owe nothing else.
        _ => LeaseId { slot: u32::MAX, epoch: 0 },
    }
}

/// A farm to begin from: its image and time, the true tile, and what one earns.
struct Founded {
    image: Vec<u8>,
    at: u64,
    truth: Rc<Work>,
    pay: f64,
    standing: u64,
    arbiters: u32,
}

impl Founded {
    fn new(standing: u64, arbiters: u32) -> anyhow::Result<Self> {
        let mut arena = Arena::new(standing, arbiters)?;
        let (image, at, before) = (arena.farm.image(), arena.at, arena.earnings());
        arena.order(spec())?;
        let pay = (arena.earnings() - before) as f64;
        ensure!(pay > 0.0, "a tile earns something");
        Ok(Self { image, at, truth: arena.truth, pay, standing, arbiters })
    }
}

/// What became of the forgers of one line.
struct Line {
    colluders: u32,
    arbiters: u32,
    forges: usize,
    /// What the formula says of one forged tile.
    due: f64,
    tiles: Vec<u32>,
    caught: u64,
    /// In tiles' pay: what they kept, and the work they saved, less what honest work had brought.
    gain: f64,
    accused: u64,
}

/// Prints the table.
pub fn table() -> anyhow::Result<()> {
    println!("forger of {STANDING} clean tiles, {AUDITORS} auditors, {TRIALS} forgers a line");
    println!(
        "forged  colluding  arbiters  caught per tile (due)     tiles until caught      gain       \
         honest"
    );
    println!(
        "                                                       mean   99 %   most  in tiles' pay  \
         accused"
    );
    for arbiters in [0, 1] {
        let founded = Founded::new(STANDING, arbiters)?;
        for colluders in [0, 8, 12] {
            for forges in [3, 13, 64, 128, 256] {
                founded.measure(colluders, forges, TRIALS)?.say();
            }
        }
    }
    Ok(())
}

impl Founded {
    /// Sends forgers of so many leaves among so many colluders, each until it is caught.
    fn measure(&self, colluders: u32, forges: usize, trials: u64) -> anyhow::Result<Line> {
        let arbiters = self.arbiters;
        let share = f64::from(colluders) / f64::from(AUDITORS + arbiters);
        let (due, tiles) = (due(self.standing, share, forges), Vec::new());
        let (caught, gain, accused) = (0, 0.0, 0);
        let mut line = Line { colluders, arbiters, forges, due, tiles, caught, gain, accused };
        for trial in 0..trials {
            let farm = Farm::from_image(&self.image).context("an image of this version")?;
            let seed = trial << 32 | u64::from(colluders) << 16 | forges as u64;
            let truth = self.truth.clone();
            let fresh = Arena::with(farm, self.at, seed, forges);
            let mut arena = Arena { truth, colluders, ..fresh };
            let next = Digest::of(&seed.to_le_bytes()).0;
            arena.apply(Command::Secret { next })?;
            let before = arena.earnings() as f64;
            let mut tiles = 0;
            while tiles < TILES_MAX && !arena.is_refuted(FORGER) {
                arena.order(spec())?;
                tiles += 1;
            }
            let kept = (arena.earnings() as f64 - before) / self.pay;
            let saved = f64::from(tiles) * forges as f64 / 256.0;
            line.gain += (kept + saved - f64::from(tiles)) / trials as f64;
            line.caught += u64::from(arena.is_refuted(FORGER));
            let mut honest = (colluders + 1..=AUDITORS).map(WorkerId);
            line.accused += u64::from(honest.any(|worker| arena.is_refuted(worker)));
            line.tiles.push(tiles);
        }
        line.tiles.sort_unstable();
        Ok(line)
    }
}

/// How likely one forged tile is caught: it is replicated, or a forged leaf is among those drawn,
/// and its first auditor is honest.
fn due(standing: u64, colluding: f64, forges: usize) -> f64 {
    let least = limit::REPLICA_PARTS_MIN as f64 / 1e6;
    let replicas = (limit::REPLICAS_FIRST as f64 / standing as f64).powi(2).clamp(least, 1.0);
    let drawn = limit::LEAVES_DRAWN_MAX * 64 / (64 + standing);
    let drawn = drawn.clamp(limit::LEAVES_DRAWN_MIN, limit::LEAVES_DRAWN_MAX) as usize;
    // Leaves are drawn without putting back.
    let missed = (0..drawn).map(|at| (256 - forges).saturating_sub(at) as f64 / (256 - at) as f64);
    (1.0 - colluding) * (1.0 - (1.0 - replicas) * missed.product::<f64>())
}

impl Line {
    /// Forged tiles that were caught, and the standard error: forgers are caught after
    /// geometrically many.
    fn rate(&self) -> (f64, f64) {
        let tiles: u64 = self.tiles.iter().map(|tiles| u64::from(*tiles)).sum();
        let rate = self.caught as f64 / tiles as f64;
        (rate, rate * ((1.0 - rate) / self.caught.max(1) as f64).sqrt())
    }

    fn say(&self) {
        let (rate, error) = self.rate();
        let count = self.tiles.len();
        let mean = self.tiles.iter().map(|tiles| f64::from(*tiles)).sum::<f64>() / count as f64;
        println!(
            "{:5.1} %   {:5.0} %  {:8}    {rate:.4} ±{:.4} ({:.4})  {mean:6.1} {:6} {:6}   \
             {:9.1}   {:6}",
            self.forges as f64 / 2.56,
            f64::from(self.colluders) / f64::from(AUDITORS) * 100.0,
            self.arbiters,
            1.96 * error,
            self.due,
            self.tiles[count * 99 / 100],
            self.tiles[count - 1],
            self.gain,
            self.accused,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgers_are_caught_as_often_as_the_formula_says_and_lose() {
        for (colluders, arbiters, forges) in [(0, 0, 13), (8, 0, 64), (12, 1, 64)] {
            let founded = Founded::new(300, arbiters).unwrap();
            let line = founded.measure(colluders, forges, 80).unwrap();
            let (rate, error) = line.rate();
            println!(
                "{forges} of 256 leaves, {colluders} colluders: {rate} ±{error}, {}",
                line.due
            );
            assert!((rate - line.due).abs() < 4.0 * error, "{rate} ±{error} for {}", line.due);
            assert_eq!((line.caught, line.gain < -30.0), (80, true), "{}", line.gain);
            let safe = colluders == 0 || arbiters > 0;
            assert!(!safe || line.accused == 0, "honest auditors were accused");
        }
    }
}
