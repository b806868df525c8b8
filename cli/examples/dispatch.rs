//! Dispatch, in the honest category: one scheduler process with a durable journal and escrow, and
//! simulated workers with an engine that computes nothing, over real gRPC streams on loopback.
//! `cargo xtask bench dispatch [WORKERS] [SLOTS] [FRAMES]`; a frame has 16,384 tiles. A run writes
//! and removes some 40,000 log files; for minutes afterwards ext4 is slow to make new ones, so let
//! five minutes pass between two runs.

use anyhow::{Context, ensure};
use ed25519_dalek::{Signer, SigningKey};
use farm::digest::Digest;
use farm::leaf::{Leaf, commit, payload};
use proto::v1;
use proto::v1::link_request::Kind as Say;
use proto::v1::link_response::Kind as Hear;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use worker::channel::{Address, Keyed, Trust};
use worker::engine::Engine;
use worker::null::NullEngine;

const SIDE: u32 = 1024;
const TILE: u32 = 8;
const TILES_PER_FRAME: u64 = (SIDE as u64 / TILE as u64).pow(2);
/// Kernel clock ticks a second, as `/proc` counts (USER_HZ).
const TICKS: f64 = 100.0;
/// HyperQueue 0.26 on two cores, zero-work, neither durable nor paid: tasks a second, and the
/// range of its server's CPU time a task in microseconds.
const HYPERQUEUE: (f64, f64, f64) = (39_100.0, 3.5, 17.0);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let first = words.next();
    if first.as_deref() == Some("--serve") {
        return serve(words.next().context("--serve DIR")?.into()).await;
    }
    let number = |text: Option<String>, default: u32| match text {
        Some(text) => text.parse::<u32>().context("a number is meant"),
        None => Ok(default),
    };
    let workers = number(first, 64)?;
    let (slots, frames) = (number(words.next(), 16)?, number(words.next(), 64)?);
    let dir = std::env::temp_dir().join(format!("girih-dispatch-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let mut scheduler = Command::new(std::env::current_exe()?).arg("--serve").arg(&dir).spawn()?;
    let outcome = measure(&dir, scheduler.id(), workers, slots, frames).await;
    scheduler.kill()?;
    scheduler.wait()?;
    std::fs::remove_dir_all(&dir)?;
    outcome
}

/// The scheduler process; ends with its parent.
async fn serve(dir: PathBuf) -> anyhow::Result<()> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let config = scheduler::Config {
        state: dir.join("state"),
        listen: "127.0.0.1:0".parse()?,
        price_per_million_units: 1_000_000_000,
        ..scheduler::Config::default()
    };
    let mut running = scheduler::Running::start(config).await?;
    std::fs::write(dir.join("address.new"), &running.url)?;
    std::fs::rename(dir.join("address.new"), dir.join("address"))?;
    running.failed().await;
    running.stop().await
}

/// What all simulated workers share.
#[derive(Default)]
struct Crowd {
    slots: u32,
    leases: Waits,
    acks: Waits,
}

/// How long each batch of reports waited for something, in microseconds.
#[derive(Default)]
struct Waits(std::sync::Mutex<Vec<u32>>);

impl Waits {
    fn add(&self, sent: Option<Instant>) {
        let Some(sent) = sent else { return };
        let wait = u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.0.lock().expect("no thread panics holding it").push(wait);
    }

    /// Median and 99th percentile in milliseconds; forgets them.
    fn take(&self) -> (f64, f64) {
        let mut waits = std::mem::take(&mut *self.0.lock().expect("no thread panics holding it"));
        waits.sort_unstable();
        let at = |part: f64| {
            let place = (waits.len() as f64 * part) as usize;
            let wait = waits.get(place.min(waits.len().saturating_sub(1)));
            wait.map_or(0.0, |wait| f64::from(*wait) / 1000.0)
        };
        (at(0.5), at(0.99))
    }
}

/// An account with credits for anything.
struct Account {
    id: u64,
    address: Address,
}

/// The farm under measurement.
struct Bench {
    scheduler: u32,
    operator: Keyed,
    server: String,
    crowd: Arc<Crowd>,
    workers: u32,
}

async fn measure(
    dir: &Path,
    scheduler: u32,
    workers: u32,
    slots: u32,
    frames: u32,
) -> anyhow::Result<()> {
    let server = address(dir).await?;
    let key = std::fs::read_to_string(dir.join("state/operator.key"))?.trim().to_owned();
    let operator = at(&server, &key).connect().await?;
    let crowd = Arc::new(Crowd { slots, ..Crowd::default() });
    let bench = Bench { scheduler, operator, server, crowd, workers };
    let artist = bench.account("artist").await?;

    println!("{workers} workers x {slots} slots, all of the job's own account, so without audits");
    let mut own = JoinSet::new();
    for number in 0..workers {
        bench.simulate(&mut own, number, &artist);
    }
    bench.linked().await?;
    bench.run(&artist, frames, true).await?;
    let cores = std::thread::available_parallelism()?.get();
    println!("and with {cores} engines computing, at the priority of software devices");
    let busy = Busy::start(cores)?;
    bench.run(&artist, frames.div_ceil(4), true).await?;
    drop(busy);
    own.shutdown().await;

    println!("{workers} workers x {slots} slots of {workers} owners, every tile proven by another");
    bench.fund_audits().await?;
    let mut strangers = JoinSet::new();
    for number in workers..2 * workers {
        let owner = bench.account(&format!("owner {number}")).await?;
        bench.simulate(&mut strangers, number, &owner);
    }
    bench.linked().await?;
    bench.run(&artist, frames.div_ceil(4), false).await?;
    strangers.shutdown().await;
    Ok(())
}

fn at(server: &str, key: &str) -> Address {
    Address { server: server.to_owned(), key: Some(key.to_owned()), trust: Trust::System }
}

impl Bench {
    async fn account(&self, name: &str) -> anyhow::Result<Account> {
        let mut client = v1::accounts_client::AccountsClient::new(self.operator.clone());
        let ask = v1::CreateAccountRequest { name: name.into(), role: v1::Role::Client.into() };
        let made = client.create_account(ask).await?.into_inner();
        let id = made.account.context("no account came back")?.account_id;
        let request_id = uuid::Uuid::new_v4().to_string();
        let top_up = v1::TopUpRequest { request_id, account_id: id, amount: 1 << 50 };
        client.top_up(top_up).await?;
        Ok(Account { id, address: at(&self.server, &made.api_key) })
    }

    /// What auditors are paid from: account 0 is the farm.
    async fn fund_audits(&self) -> anyhow::Result<()> {
        let mut client = v1::accounts_client::AccountsClient::new(self.operator.clone());
        let request_id = uuid::Uuid::new_v4().to_string();
        client.top_up(v1::TopUpRequest { request_id, account_id: 0, amount: 1 << 50 }).await?;
        Ok(())
    }

    fn simulate(&self, workers: &mut JoinSet<()>, number: u32, owner: &Account) {
        let (crowd, address, owner) = (Arc::clone(&self.crowd), owner.address.clone(), owner.id);
        workers.spawn(async move {
            if let Err(error) = simulate(&crowd, &address, owner, number).await {
                eprintln!("worker {number}: {error:#}");
            }
        });
    }

    /// Waits until all workers of a crowd are here, and no other.
    async fn linked(&self) -> anyhow::Result<()> {
        let mut client = v1::workers_client::WorkersClient::new(self.operator.clone());
        let ask = v1::ListWorkersRequest { page_size: 1000, all: true, ..Default::default() };
        loop {
            let listed = client.list_workers(ask.clone()).await?.into_inner().workers;
            if listed.iter().filter(|worker| worker.online).count() == self.workers as usize {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Orders so many frames and waits until every tile of them is settled.
    async fn run(&self, artist: &Account, frames: u32, private: bool) -> anyhow::Result<()> {
        let total = TILES_PER_FRAME * u64::from(frames);
        let keyed = artist.address.connect().await?;
        let mut jobs = v1::jobs_client::JobsClient::new(keyed.clone());
        let cpu = cpu_seconds(self.scheduler)?;
        let begun = Instant::now();
        let job = order(&keyed, frames, private).await?;
        let ordered = begun.elapsed().as_secs_f64() * 1e3;
        while jobs.get_job(v1::GetJobRequest { job_id: job }).await?.into_inner().tiles_accepted
            < total
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let micros = (cpu_seconds(self.scheduler)? - cpu) * 1e6 / total as f64;
        let rate = total as f64 / seconds;
        let (lease, lease_last) = self.crowd.leases.take();
        let (ack, ack_last) = self.crowd.acks.take();
        let (peer, low, high) = HYPERQUEUE;
        println!(
            "  {total} tiles leased, reported and settled in {seconds:.2} s: {rate:.0} tiles/s"
        );
        println!("  submit of all of them: {ordered:.1} ms");
        println!("  from report to next lease: p50 {lease:.1} ms, p99 {lease_last:.1} ms");
        println!("  from report to acknowledgement: p50 {ack:.1} ms, p99 {ack_last:.1} ms");
        println!("  scheduler CPU: {micros:.2} us a tile");
        println!(
            "  HyperQueue 0.26, as published for zero-work tasks, neither durable nor paid: \
             {peer:.0}/s at {low} to {high} us; ratio {:.2}",
            rate / peer
        );
        Ok(())
    }
}

/// Threads that do nothing but compute, and yield to everything else as the worker's do.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn start(count: usize) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..count {
            let stop = Arc::clone(&stop);
            let spin = move || {
                let thread = rustix::thread::gettid();
                let _ = rustix::process::setpriority_process(Some(thread), 19);
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            };
            std::thread::Builder::new().spawn(spin)?;
        }
        Ok(Self(stop))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn address(dir: &Path) -> anyhow::Result<String> {
    let begun = Instant::now();
    loop {
        if let Ok(text) = std::fs::read_to_string(dir.join("address")) {
            return Ok(text);
        }
        ensure!(begun.elapsed() < Duration::from_secs(60), "the scheduler does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Orders frames; gives the job's id.
async fn order(keyed: &Keyed, frames: u32, private: bool) -> anyhow::Result<u64> {
    let scene = bytes::Bytes::from_static(b"girih-bundle 1\n");
    let digest = proto::convert::wire_digest(&Digest::of(&scene));
    let upload = v1::UploadRequest {
        digest: digest.clone(),
        size: scene.len() as u64,
        offset: 0,
        data: scene,
    };
    let mut assets = v1::assets_client::AssetsClient::new(keyed.clone());
    assets.upload(tokio_stream::iter([upload])).await?;
    let spec = v1::JobSpec {
        engine: proto::convert::wire_digest(&NullEngine.digest()),
        scene: digest,
        environment: bytes::Bytes::new(),
        frame_first: 1,
        frame_last: frames,
        frame_step: 1,
        fps: 24,
        width: SIDE,
        height: SIDE,
        tile_size: TILE,
        samples: 4,
        depth: 1,
        seed: 0,
        aovs: Vec::new(),
        noise: 0,
        cut: Vec::new(),
        work_per_pixel: 0,
        upstream: None,
    };
    let ask = v1::CreateJobRequest {
        request_id: uuid::Uuid::new_v4().to_string(),
        spec: Some(spec),
        max_spend: 1 << 46,
        private,
        ..Default::default()
    };
    let job = v1::jobs_client::JobsClient::new(keyed.clone()).create_job(ask).await?;
    Ok(job.into_inner().job_id)
}

/// One worker: answers each batch of leases with one signed batch of reports.
async fn simulate(crowd: &Crowd, address: &Address, owner: u64, number: u32) -> anyhow::Result<()> {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    let key = SigningKey::from_bytes(&seed);
    let keyed = address.connect().await?;
    let (say, outbox) = tokio::sync::mpsc::channel(64);
    let mut client = v1::workers_client::WorkersClient::new(keyed);
    let outbox = tokio_stream::wrappers::ReceiverStream::new(outbox);
    let mut hear = client.link(outbox).await?.into_inner();
    let Some(Hear::Nonce(nonce)) = hear.message().await?.and_then(|message| message.kind) else {
        anyhow::bail!("no nonce");
    };
    let public = key.verifying_key().to_bytes();
    let wrap_key = proto::seal::Half::new().public;
    let signed = proto::signing::hello_bytes(&nonce, &public, owner, &wrap_key);
    let hello = v1::Hello {
        key: public.to_vec().into(),
        signature: key.sign(&signed).to_bytes().to_vec().into(),
        engines: vec![proto::convert::wire_digest(&NullEngine.digest())],
        device: "null".into(),
        slots: crowd.slots,
        account_id: owner,
        wrap_key: wrap_key.to_vec().into(),
        ..Default::default()
    };
    say.send(v1::LinkRequest { kind: Some(Say::Hello(hello)) }).await?;
    let mut sent: Option<Instant> = None;
    while let Some(message) = hear.message().await? {
        match message.kind {
            Some(Hear::Leases(leases)) => {
                crowd.leases.add(sent);
                let reports: Vec<_> = leases.leases.iter().map(report).collect();
                let signed = proto::signing::reports_bytes(&nonce, &reports);
                let signature = key.sign(&signed).to_bytes().to_vec().into();
                let reports = v1::Reports { reports, signature };
                sent = Some(Instant::now());
                say.send(v1::LinkRequest { kind: Some(Say::Reports(reports)) }).await?;
            }
            Some(Hear::Challenges(asked)) => {
                let opened = asked.challenges.iter().map(open).collect();
                let openings = Say::Openings(v1::Openings { opened });
                say.send(v1::LinkRequest { kind: Some(openings) }).await?;
            }
            Some(Hear::Acks(acks)) => {
                let refused = acks.acks.iter().find(|ack| !ack.refused.is_empty());
                ensure!(refused.is_none(), "refused: {refused:?}");
                crowd.acks.add(sent);
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a lease comes to: the whole tile, or the leaves of an audit.
fn report(lease: &v1::Lease) -> v1::Report {
    let outcome = match lease.leaves.len() {
        0 => v1::report::Outcome::Done(nothing()),
        count => {
            let leaf = proto::convert::wire_leaf(&leaf());
            v1::report::Outcome::Leaves(v1::LeavesDone { leaves: vec![leaf; count] })
        }
    };
    v1::Report { lease: lease.lease, outcome: Some(outcome) }
}

fn open(asked: &v1::Challenge) -> v1::Opened {
    let opening = v1::Opening { leaf: Some(proto::convert::wire_leaf(&leaf())), path: Vec::new() };
    v1::Opened { lease: asked.lease, openings: vec![opening; asked.leaves.len()] }
}

/// The one leaf of a tile of one block: no bytes, one work unit.
fn leaf() -> Leaf {
    Leaf { hash: payload(&[]), units: 1 }
}

/// What the null engine's output comes to.
fn nothing() -> v1::Done {
    let commitment = commit(&[leaf()]).unwrap_or_default();
    v1::Done {
        output: proto::convert::wire_digest(&Digest::of(&[])),
        root: proto::convert::wire_digest(&commitment.root),
        units: commitment.units,
    }
}

/// User and system time of a process so far.
fn cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("/proc/stat is malformed")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    Ok((ticks(11).context("utime")? + ticks(12).context("stime")?) / TICKS)
}
