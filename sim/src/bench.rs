//! Figures of the core: the farm alone, one thread, no journal. Every worker is honest and answers
//! at once.

use anyhow::Context;
use farm::command::{Command, Connect, Outcome, Submit};
use farm::digest::Digest;
use farm::id::{AccountId, JobId};
use farm::job::Spec;
use farm::leaf::{self, Commitment, Leaf, Opening};
use farm::money::{Amount, CREDIT, Price};
use farm::time::Time;
use farm::{Effect, Farm, Policy, Reply, limit};
use std::collections::VecDeque;
use std::time::Instant;

/// HyperQueue 0.26, 32 workers × 40 resource classes, on a two-core machine.
const HYPERQUEUE_TILES_PER_SECOND: f64 = 1_000.0;

/// A farm and the answers that its workers owe.
struct Load {
    farm: Farm,
    at: u64,
    effects: Vec<Effect>,
    owed: VecDeque<Command>,
    leaf: Leaf,
    commitment: Commitment,
    commands: u64,
}

fn spec(engine: u8, side: u32) -> Spec {
    Spec {
        engine: Digest([engine; 32]),
        scene: Digest([engine; 32]),
        environment: None,
        frame_first: 1,
        frame_last: 1,
        frame_step: 1,
        fps: 24,
        width: side,
        height: side,
        tile_size: 8,
        samples: 4,
        depth: 1,
        seed: 0,
        aovs: 0,
        noise: 0,
        cut: farm::cut::Cut::default(),
        work_per_pixel: 0,
        upstream: None,
    }
}

impl Load {
    /// A farm with so many workers, each of its own owner and with so many slots and engines.
    fn new(workers: u8, slots: u32, engines: u8) -> anyhow::Result<Self> {
        let leaf = Leaf { hash: Digest([1; 32]), units: 64 };
        let commitment = leaf::commit(&[leaf]).context("one leaf has a root")?;
        let mut load = Self {
            farm: Farm::new(Policy::default()),
            at: 0,
            effects: Vec::new(),
            owed: VecDeque::new(),
            leaf,
            commitment,
            commands: 0,
        };
        load.apply(Command::Secret { next: [9; 32] })?;
        for n in 0..=workers {
            let key = Digest::of(&[n]);
            load.apply(Command::OpenAccount { key, operator: false, name: String::new() })?;
        }
        let amount = Amount(1_000_000_000 * CREDIT);
        let account = Some(AccountId(0));
        load.apply(Command::TopUp { account, amount, request: 0 })?;
        load.apply(Command::TopUp { account: None, amount, request: 0 })?;
        for n in 1..=workers {
            load.apply(Command::Connect(Box::new(Connect {
                key: [n; 32],
                owner: AccountId(u32::from(n)),
                engines: (0..engines).map(|engine| Digest([engine; 32])).collect(),
                device: String::new(),
                slots,
                units_per_second: 0,
                leases: Vec::new(),
                groups: Vec::new(),
            })))?;
        }
        Ok(load)
    }

    fn apply(&mut self, command: Command) -> anyhow::Result<Reply> {
        self.at += 1;
        self.commands += 1;
        self.effects.clear();
        let reply = self.farm.apply(Time(self.at), command, &mut self.effects)?;
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Grant { worker, lease, leaves, .. } => {
                    let outcome = match leaves.is_empty() {
                        true => {
                            let commitment = self.commitment;
                            Outcome::Done { output: Digest([2; 32]), commitment }
                        }
                        false => Outcome::Leaves(vec![self.leaf; leaves.len()]),
                    };
                    self.owed.push_back(Command::Report { worker, lease, outcome });
                }
                Effect::Challenge { worker, lease, leaves } => {
                    let opening = Opening { leaf: self.leaf, path: Vec::new() };
                    let openings = vec![opening; leaves.len()];
                    self.owed.push_back(Command::Open { worker, lease, openings });
                }
                _ => {}
            }
        }
        Ok(reply)
    }

    /// Puts enough behind each worker for all of its leases.
    fn stake(&mut self) -> anyhow::Result<()> {
        for worker in self.farm.workers(None, None, usize::MAX) {
            let (account, worker) = (worker.owner, worker.worker);
            let leases = u64::from(limit::SLOTS_MAX * limit::LEASES_PER_SLOT);
            let amount = Amount(leases * limit::STAKE_PER_LEASE);
            self.apply(Command::TopUp { account: Some(account), amount, request: 1 })?;
            self.apply(Command::Stake { account, worker, amount, request: 2 })?;
        }
        Ok(())
    }

    fn submit(&mut self, engine: u8, side: u32) -> anyhow::Result<JobId> {
        let submit = Submit {
            account: AccountId(0),
            request: u128::from(self.at),
            spec: spec(engine, side),
            cap: Amount(1_000_000 * CREDIT),
            price: Price(1_000_000),
            priority: 0,
            private: false,
            audit_own: false,
            model: None,
            seal: None,
            watermark: false,
        };
        match self.apply(Command::Submit(Box::new(submit)))? {
            Reply::Job(job) => Ok(job),
            other => anyhow::bail!("submit answered {other:?}"),
        }
    }

    /// Answers what is owed until so many tiles of the jobs are accepted; gives the tiles and the
    /// processor seconds.
    fn drive(&mut self, tiles: u64) -> anyhow::Result<(u64, f64)> {
        let start = processor_seconds()?;
        let mut verdicts = 0;
        while verdicts < tiles {
            let Some(command) = self.owed.pop_front() else { break };
            self.apply(command)?;
            if self.commands.is_multiple_of(65_536) {
                verdicts = self.accepted();
            }
        }
        Ok((self.accepted(), processor_seconds()? - start))
    }

    fn accepted(&self) -> u64 {
        self.farm.jobs(None, None, usize::MAX).iter().map(|job| job.tiles_accepted).sum()
    }
}

/// Seconds that this thread has run on a processor: what a busy machine does not stretch.
fn processor_seconds() -> anyhow::Result<f64> {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = times.split_whitespace().next().context("schedstat names the time run")?;
    Ok(nanoseconds.parse::<f64>()? * 1e-9)
}

/// Resident memory of this process in bytes.
fn resident() -> anyhow::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split_whitespace().nth(1).context("statm names resident pages")?;
    Ok(pages.parse::<u64>()? * 4096)
}

/// Prints the figures of the core.
pub fn core() -> anyhow::Result<()> {
    let mut load = Load::new(64, 4, 1)?;
    let start = Instant::now();
    load.submit(0, 8 * 1000)?;
    println!("submit of a million tiles: {:.3} ms", start.elapsed().as_secs_f64() * 1e3);
    let before = load.commands;
    let (tiles, seconds) = load.drive(600_000)?;
    let commands = load.commands - before;
    println!(
        "apply, audited mix: {:.0} commands/s, {:.0} tiles/s ({commands} commands, {tiles} tiles)",
        commands as f64 / seconds,
        tiles as f64 / seconds
    );
    let mut load = Load::new(32, 4, 40)?;
    for engine in 0..40 {
        load.submit(engine, 8 * 128)?;
    }
    let (tiles, seconds) = load.drive(500_000)?;
    let rate = tiles as f64 / seconds;
    println!(
        "32 workers, 40 kinds of job: {rate:.0} tiles/s; HyperQueue about 1,000 (ratio {:.0})",
        rate / HYPERQUEUE_TILES_PER_SECOND
    );
    memory()
}

fn memory() -> anyhow::Result<()> {
    let mut load = Load::new(250, 256, 1)?;
    load.stake()?;
    let before = resident()?;
    load.submit(0, 8 * 3200)?;
    let leases = load.owed.len() as u64;
    let owed = load.owed.capacity() * size_of::<Command>();
    let grown = resident()?.saturating_sub(before + owed as u64);
    println!("active leases: {leases}, {} bytes each", grown / leases.max(1));
    let before = resident()?;
    for _ in 0..100 {
        load.submit(0, 8 * 3200)?;
    }
    let waiting = 100 * 3200 * 3200;
    let grown = resident()?.saturating_sub(before);
    println!("waiting tiles: {waiting}, {} bytes in all, {} each", grown, grown / waiting);
    Ok(())
}
