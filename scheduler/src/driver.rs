//! THE loop: it takes a batch, stamps, applies, and hands the records to the journal together with
//! the answers and effects, which leave only once the records are durable. It alone has the farm.
//! It applies the next batch while the last one is made durable.

use crate::handout::{Handout, Release};
use crate::journal::{Journal, Snapshot};
use crate::metrics::DriverMetrics;
use crate::outbox::{Item, Outbox};
use crate::terms::Terms;
use farm::command::{Connect, Outcome};
use farm::entry::Entry;
use farm::id::{LeaseId, WorkerId};
use farm::time::Time;
use farm::{Command, Effect, Farm, Reject, Reply};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait for the driver; beyond it callers wait.
const REQUESTS_WAITING_MAX: usize = 4096;
/// Requests taken in one batch.
const BATCH_REQUESTS_MAX: usize = 1024;
/// Batches waiting for the journal while one is made durable.
const BATCHES_WAITING_MAX: usize = 1;
/// Bytes of records in one group commit.
const GROUP_BYTES_MAX: usize = 32 << 20;

/// A question to the farm; gives what to do once what it saw is durable.
type Read = Box<dyn FnOnce(&Farm) -> Box<dyn FnOnce() + Send> + Send>;

/// What the driver is asked.
pub enum Request {
    Command {
        command: Command,
        answer: oneshot::Sender<Result<Reply, Reject>>,
    },
    /// Commands of a connected worker; answers go to its outbox.
    Worker {
        commands: Vec<(WorkerId, Command)>,
    },
    Connect {
        connect: Connect,
        outbox: Arc<Outbox>,
        answer: oneshot::Sender<Connected>,
    },
    /// The worker's stream with this outbox has ended.
    Leave {
        worker: WorkerId,
        outbox: Arc<Outbox>,
    },
    Read(Read),
    /// Make everything durable, take a snapshot and end.
    Stop,
}

/// The answer to a connection.
pub type Connected = Result<WorkerId, Reject>;

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Reject(Reject),
    #[error("the scheduler is stopping, or its journal failed; try again")]
    Stopped,
}

/// The way to the driver.
#[derive(Clone, Debug)]
pub struct Door {
    sender: mpsc::Sender<Request>,
}

impl Door {
    /// Sends a request; an error means that the driver has stopped.
    pub async fn send(&self, request: Request) -> Result<(), Refusal> {
        self.sender.send(request).await.map_err(|_| Refusal::Stopped)
    }

    /// Applies a command and waits until it is durable.
    pub async fn apply(&self, command: Command) -> Result<Reply, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Command { command, answer }).await?;
        answered.await.map_err(|_| Refusal::Stopped)?.map_err(Refusal::Reject)
    }

    /// As `apply`, from a thread outside the runtime.
    pub fn apply_blocking(&self, command: Command) -> Result<Reply, Refusal> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Command { command, answer };
        self.sender.blocking_send(request).map_err(|_| Refusal::Stopped)?;
        answered.blocking_recv().map_err(|_| Refusal::Stopped)?.map_err(Refusal::Reject)
    }

    /// Reads the farm; the answer comes once all that it shows is durable.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Farm) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        let read: Read = Box::new(move |farm| {
            let value = question(farm);
            Box::new(move || drop(answer.send(value)))
        });
        self.send(Request::Read(read)).await?;
        answered.await.map_err(|_| Refusal::Stopped)
    }
}

/// What must be durable before its releases happen.
#[derive(Default)]
struct Batch {
    records: Vec<u8>,
    count: u32,
    releases: Vec<Release>,
    entries: Vec<Entry>,
    /// The farm's image after this batch.
    image: Option<Vec<u8>>,
}

/// The two threads: one applies, one makes durable and hands out.
#[derive(Debug)]
pub struct Threads {
    pub driver: std::thread::JoinHandle<()>,
    pub journal: std::thread::JoinHandle<anyhow::Result<()>>,
}

/// What was asked through the door, in order.
pub type Requests = mpsc::Receiver<Request>;

/// A door, and what comes in by it.
pub fn door() -> (Door, Requests) {
    let (sender, requests) = mpsc::channel(REQUESTS_WAITING_MAX);
    (Door { sender }, requests)
}

/// Starts the loop over a recovered farm.
pub fn start(
    farm: Farm,
    journal: Journal,
    handout: Handout,
    terms: Arc<Terms>,
    requests: Requests,
    snapshot_records: u64,
) -> std::io::Result<Threads> {
    let (to_journal, batches) = sync_channel(BATCHES_WAITING_MAX);
    let driver = Driver {
        last: farm.now(),
        farm,
        requests,
        to_journal,
        terms,
        streams: Vec::new(),
        effects: Vec::new(),
        batch: Batch::default(),
        snapshot_records,
        since_snapshot: 0,
        metrics: DriverMetrics::new(),
    };
    let driver = std::thread::Builder::new().name("driver".into()).spawn(|| driver.run())?;
    let journal = std::thread::Builder::new()
        .name("journal".into())
        .spawn(move || make_durable(journal, handout, &batches))?;
    Ok(Threads { driver, journal })
}

/// The journal thread: a group of batches to disk, then what waited for it.
fn make_durable(
    mut journal: Journal,
    mut handout: Handout,
    batches: &Receiver<Batch>,
) -> anyhow::Result<()> {
    while let Ok(mut batch) = batches.recv() {
        while batch.records.len() < GROUP_BYTES_MAX && batch.image.is_none() {
            let Ok(next) = batches.try_recv() else { break };
            batch.records.extend_from_slice(&next.records);
            batch.count += next.count;
            batch.releases.extend(next.releases);
            batch.entries.extend(next.entries);
            batch.image = next.image;
        }
        if batch.count > 0 {
            let began = std::time::Instant::now();
            if let Err(error) = journal.append(&batch.records, batch.count) {
                handout.fail();
                return Err(error.into());
            }
            handout.synced(began.elapsed());
        }
        if let Err(error) = handout.publish(batch.entries) {
            handout.fail();
            return Err(error.into());
        }
        handout.release(batch.releases);
        if let Some(image) = batch.image {
            let (farm, position) = (journal.farm_id(), journal.position());
            let snapshot = Snapshot { farm, position, image };
            handout.snapshot(snapshot, journal.dir());
        }
    }
    Ok(())
}

struct Driver {
    farm: Farm,
    last: Time,
    requests: mpsc::Receiver<Request>,
    to_journal: SyncSender<Batch>,
    terms: Arc<Terms>,
    /// The newest stream of each worker.
    streams: Vec<Option<Arc<Outbox>>>,
    effects: Vec<Effect>,
    batch: Batch,
    snapshot_records: u64,
    since_snapshot: u64,
    metrics: DriverMetrics,
}

impl Driver {
    fn run(mut self) {
        let mut taken = Vec::with_capacity(BATCH_REQUESTS_MAX);
        let mut going = true;
        while going && self.requests.blocking_recv_many(&mut taken, BATCH_REQUESTS_MAX) > 0 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.last = self.last.max(Time(now.as_micros() as u64));
            for request in taken.drain(..) {
                going &= !matches!(request, Request::Stop);
                self.serve(request);
            }
            let mut batch = std::mem::take(&mut self.batch);
            self.since_snapshot += u64::from(batch.count);
            if self.since_snapshot >= self.snapshot_records || !going {
                batch.image = Some(self.farm.image());
                self.since_snapshot = 0;
            }
            self.metrics.batch(batch.count, batch.entries.len());
            if self.to_journal.send(batch).is_err() {
                break;
            }
        }
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Command { command, answer } => {
                let result = self.serve_command(command);
                self.batch.releases.push(Release::Answer(answer, result));
                self.release_effects();
            }
            Request::Worker { commands } => {
                for (worker, command) in commands {
                    self.serve_worker(worker, command);
                }
            }
            Request::Connect { connect, outbox, answer } => self.connect(connect, outbox, answer),
            Request::Leave { worker, outbox } => self.leave(worker, &outbox),
            Request::Read(read) => {
                let release = read(&self.farm);
                self.batch.releases.push(Release::Run(release));
            }
            Request::Stop => {}
        }
    }

    /// Applies a command; its record joins the batch, its effects wait in `self.effects`.
    fn apply(&mut self, command: Command) -> Result<Reply, Reject> {
        let at = Time(self.last.0.max(self.farm.now().0) + 1);
        let start = self.batch.records.len();
        self.batch.records.extend_from_slice(&[0; 4]);
        proto::record::encode(at, &command, &mut self.batch.records);
        let result = self.farm.apply(at, command, &mut self.effects);
        match &result {
            Ok(_) => {
                let length = (self.batch.records.len() - start - 4) as u32;
                self.batch.records[start..start + 4].copy_from_slice(&length.to_le_bytes());
                self.batch.count += 1;
            }
            Err(reject) => {
                self.batch.records.truncate(start);
                self.metrics.reject(*reject);
            }
        }
        result
    }

    fn release_effects(&mut self) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Log(entry) => self.batch.entries.push(entry),
                Effect::Grant { .. } => {
                    self.metrics.grants += 1;
                    self.batch.releases.push(Release::Effect(effect));
                }
                effect => self.batch.releases.push(Release::Effect(effect)),
            }
        }
    }

    fn serve_worker(&mut self, worker: WorkerId, command: Command) {
        let about = match &command {
            Command::Report { lease, outcome, .. } => {
                self.metrics.reports += u64::from(matches!(outcome, Outcome::Done { .. }));
                Some(*lease)
            }
            Command::Open { lease, .. } => Some(*lease),
            _ => None,
        };
        let result = self.apply(command);
        if let Some(ack) = about.and_then(|lease| ack(lease, &result)) {
            self.batch.releases.push(Release::Tell { worker, item: ack });
        }
        self.release_effects();
    }

    fn serve_command(&mut self, command: Command) -> Result<Reply, Reject> {
        let terms = match &command {
            Command::Submit(submit) => Some((submit.spec.clone(), (submit.seal, submit.watermark))),
            _ => None,
        };
        let result = self.apply(command);
        if let (Ok(Reply::Job(job)), Some((spec, looks))) = (&result, terms)
            && self.terms.get(*job).is_none()
        {
            self.terms.insert(*job, spec, looks);
        }
        result
    }

    /// A stream ended. If a newer one has taken its place, the worker is still here.
    fn leave(&mut self, worker: WorkerId, outbox: &Arc<Outbox>) {
        let current = self.streams.get_mut(worker.0 as usize);
        let Some(current) = current.filter(|current| same(current, outbox)) else { return };
        *current = None;
        self.batch.releases.push(Release::Detach { worker });
        if self.apply(Command::Disconnect { worker }).is_ok() {
            self.release_effects();
        }
    }

    fn connect(
        &mut self,
        connect: Connect,
        outbox: Arc<Outbox>,
        answer: oneshot::Sender<Connected>,
    ) {
        let result = match self.apply(Command::Connect(Box::new(connect))) {
            Ok(Reply::Connected { worker, live }) => {
                let welcome = proto::v1::Welcome {
                    worker_id: u64::from(worker.0),
                    live: live.iter().map(|lease| lease.to_u64()).collect(),
                    lease_ms: u32::try_from(self.farm.policy().lease_ms).unwrap_or(u32::MAX),
                    // Its outbox knows.
                    wrap_key: Default::default(),
                };
                let at = worker.0 as usize;
                self.streams.resize(self.streams.len().max(at + 1), None);
                self.streams[at] = Some(Arc::clone(&outbox));
                self.batch.releases.push(Release::Attach { worker, outbox });
                self.batch.releases.push(Release::Tell { worker, item: Item::Welcome(welcome) });
                Ok(worker)
            }
            Ok(_) => unreachable!("a connection is answered with Connected"),
            Err(reject) => Err(reject),
        };
        self.batch.releases.push(Release::Joined(answer, result));
        self.release_effects();
    }
}

fn same(current: &Option<Arc<Outbox>>, outbox: &Arc<Outbox>) -> bool {
    current.as_ref().is_some_and(|current| Arc::ptr_eq(current, outbox))
}

/// What a worker hears of its report or opening. A kept opening needs no word: the lease settles
/// later.
fn ack(lease: LeaseId, result: &Result<Reply, Reject>) -> Option<Item> {
    match result {
        Ok(Reply::Reported { settled }) => {
            Some(Item::Ack { lease, settled: *settled, refused: "" })
        }
        Ok(_) => None,
        Err(reject) => Some(Item::Ack { lease, settled: false, refused: reject.reason() }),
    }
}
