//! Recovery: how long a scheduler takes from the start of its process until the farm is as it was:
//! from the journal alone, from the oldest snapshot that there would be, and from one of the end.
//! `cargo xtask bench recovery [RECORDS]`.

use anyhow::{Context, bail, ensure};
use farm::command::{Command, Connect, Outcome, Submit};
use farm::digest::Digest;
use farm::id::AccountId;
use farm::job::Spec;
use farm::leaf::{self, Commitment, Leaf, Opening};
use farm::money::{Amount, CREDIT, Price};
use farm::time::Time;
use farm::{Effect, Farm, Policy};
use rustix::time::{ClockId, clock_gettime};
use scheduler::journal::{Journal, Options, Snapshot};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Records of the journal unless another number is given.
const RECORDS: u64 = 10_000_000;
/// Tiles along each side of a frame, and frames of a job: about a million tiles.
const SIDE_TILES: u32 = 32;
const FRAMES: u32 = 1000;
const WORKERS: u8 = 64;
const SLOTS: u32 = 4;
/// Bytes of one group commit.
const GROUP_BYTES: usize = 256 << 10;
/// Commands from one tick to the next.
const TICK_EVERY: u64 = 10_000;
/// Microseconds of the farm's time between two commands.
const STEP: u64 = 25;
/// Times that each recovery is measured; the median counts.
const TIMES: usize = 3;
const OPTIONS: Options = Options { segment_bytes: 64 << 20, bytes_max: 0 };

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let first = words.next();
    if first.as_deref() == Some("--recover") {
        return recover(&PathBuf::from(words.next().context("--recover DIR")?));
    }
    let records = match first {
        Some(text) => text.parse().context("a number of records is meant")?,
        None => RECORDS,
    };
    let dir = std::env::temp_dir().join(format!("girih-recovery-{}", std::process::id()));
    let outcome = measure(&dir, records);
    std::fs::remove_dir_all(&dir)?;
    outcome
}

/// The process that is measured: it opens the journal as a scheduler does.
fn recover(dir: &Path) -> anyhow::Result<()> {
    let (journal, farm) =
        Journal::open(dir, OPTIONS, Policy::default(), None, &mut farm::effect::Done)?;
    let cpu = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    println!("{} {} {seconds}", journal.position().sequence, farm.entries());
    Ok(())
}

fn measure(dir: &Path, records: u64) -> anyhow::Result<()> {
    let every = scheduler::Config::default().snapshot_records;
    let mut load = Load::new(dir)?;
    load.drive(records.saturating_sub(every))?;
    let oldest = load.snapshot();
    load.drive(records)?;
    let (bytes, expected) = (load.bytes, format!("{records} {}", load.farm.entries()));
    let newest = load.snapshot();
    drop(load);
    println!("{records} records of {} bytes on average", bytes / records);
    let took = median(dir, &expected)?;
    println!(
        "recovery from the journal alone: {took}, {:.0} records/s",
        records as f64 / took.wall
    );
    oldest.write(dir)?;
    let took = median(dir, &expected)?;
    println!("recovery with a snapshot {} records ago: {took}", records.min(every));
    newest.write(dir)?;
    let size = newest.image.len() as f64 / f64::from(1 << 20);
    let took = median(dir, &expected)?;
    println!("recovery with a snapshot of the end, {size:.1} MiB: {took}");
    Ok(())
}

/// What a recovery took, in seconds.
struct Took {
    wall: f64,
    /// Of the thread that applies: what a busy machine does not stretch.
    applying: f64,
}

impl std::fmt::Display for Took {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:.3} s ({:.3} s of processor time applying)", self.wall, self.applying)
    }
}

/// The median of times from the start of a process to its end, with the farm recovered.
fn median(dir: &Path, expected: &str) -> anyhow::Result<Took> {
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        let begun = Instant::now();
        let output = command.arg("--recover").arg(dir).output()?;
        let wall = begun.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stdout);
        let (found, applying) = said.trim().rsplit_once(' ').unwrap_or_default();
        ensure!(
            output.status.success() && found == expected,
            "recovered `{found}`, not `{expected}`: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        times.push(Took { wall, applying: applying.parse()? });
    }
    times.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    Ok(times.swap_remove(TIMES / 2))
}

/// A farm whose every command is journaled, and the answers that its workers owe.
struct Load {
    farm: Farm,
    journal: Journal,
    records: Vec<u8>,
    count: u32,
    bytes: u64,
    written: u64,
    effects: Vec<Effect>,
    owed: VecDeque<Command>,
    leaf: Leaf,
    commitment: Commitment,
}

impl Load {
    fn new(dir: &Path) -> anyhow::Result<Self> {
        let leaf = Leaf { hash: Digest([1; 32]), units: 64 };
        let (journal, farm) =
            Journal::open(dir, OPTIONS, Policy::default(), None, &mut farm::effect::Done)?;
        let mut load = Self {
            farm,
            journal,
            records: Vec::with_capacity(2 * GROUP_BYTES),
            count: 0,
            bytes: 0,
            written: 0,
            effects: Vec::new(),
            owed: VecDeque::new(),
            leaf,
            commitment: leaf::commit(&[leaf]).context("one leaf has a root")?,
        };
        load.apply(Command::Secret { next: [9; 32] })?;
        for n in 0..=WORKERS {
            let key = Digest::of(&[n]);
            load.apply(Command::OpenAccount { key, operator: false, name: String::new() })?;
        }
        let amount = Amount(1_000_000_000 * CREDIT);
        for account in [Some(AccountId(0)), None] {
            load.apply(Command::TopUp { account, amount, request: 0 })?;
        }
        for n in 1..=WORKERS {
            load.apply(Command::Connect(Box::new(Connect {
                key: [n; 32],
                owner: AccountId(u32::from(n)),
                engines: vec![Digest([7; 32])],
                device: "a device".into(),
                slots: SLOTS,
                units_per_second: 1_000_000_000,
                leases: Vec::new(),
                groups: Vec::new(),
            })))?;
        }
        Ok(load)
    }

    /// Goes on until the journal has so many records, every one of them durable.
    fn drive(&mut self, records: u64) -> anyhow::Result<()> {
        while self.written < records {
            let owed = match self.written.is_multiple_of(TICK_EVERY) {
                true => Some(Command::Tick),
                false => self.owed.pop_front(),
            };
            let command = owed.unwrap_or_else(|| self.order());
            self.apply(command)?;
        }
        self.flush()
    }

    fn order(&self) -> Command {
        let digest = Digest([7; 32]);
        Command::Submit(Box::new(Submit {
            account: AccountId(0),
            request: u128::from(self.written),
            spec: Spec {
                engine: digest,
                scene: digest,
                environment: None,
                frame_first: 1,
                frame_last: FRAMES,
                frame_step: 1,
                fps: 24,
                width: 8 * SIDE_TILES,
                height: 8 * SIDE_TILES,
                tile_size: 8,
                samples: 4,
                depth: 1,
                seed: 0,
                aovs: 0,
                noise: 0,
                cut: farm::cut::Cut::default(),
                work_per_pixel: 0,
                upstream: None,
            },
            cap: Amount(1_000_000 * CREDIT),
            price: Price(1_000_000),
            priority: 0,
            private: false,
            audit_own: false,
            model: None,
            seal: None,
            watermark: false,
        }))
    }

    fn apply(&mut self, command: Command) -> anyhow::Result<()> {
        let at = Time(self.farm.now().0 + STEP);
        let start = self.records.len();
        self.records.extend_from_slice(&[0; 4]);
        proto::record::encode(at, &command, &mut self.records);
        let length = (self.records.len() - start - 4) as u32;
        self.records[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.farm.apply(at, command, &mut self.effects)?;
        self.count += 1;
        self.written += 1;
        self.owe()?;
        if self.records.len() >= GROUP_BYTES { self.flush() } else { Ok(()) }
    }

    /// What the workers answer to the effects of the last command.
    fn owe(&mut self) -> anyhow::Result<()> {
        for effect in self.effects.drain(..) {
            let command = match effect {
                Effect::Grant { worker, lease, leaves, .. } if leaves.is_empty() => {
                    let (output, commitment) = (Digest([2; 32]), self.commitment);
                    Command::Report { worker, lease, outcome: Outcome::Done { output, commitment } }
                }
                Effect::Grant { worker, lease, leaves, .. } => {
                    let outcome = Outcome::Leaves(vec![self.leaf; leaves.len()]);
                    Command::Report { worker, lease, outcome }
                }
                Effect::Challenge { worker, lease, leaves } => {
                    let opening = Opening { leaf: self.leaf, path: Vec::new() };
                    let openings = vec![opening; leaves.len()];
                    Command::Open { worker, lease, openings }
                }
                Effect::Store { job, frame, made_of } => {
                    let image = Digest([3; 32]);
                    Command::Stored { job, frame, exr: image, png: image, made_of }
                }
                Effect::Revoke { worker, lease } => bail!("{worker} lost {lease}"),
                _ => continue,
            };
            self.owed.push_back(command);
        }
        Ok(())
    }

    fn snapshot(&self) -> Snapshot {
        let (farm, position) = (self.journal.farm_id(), self.journal.position());
        Snapshot { farm, position, image: self.farm.image() }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.journal.append(&self.records, self.count)?;
        self.bytes += self.records.len() as u64;
        self.records.clear();
        self.count = 0;
        Ok(())
    }
}
