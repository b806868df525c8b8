//! Handing out: what may leave once its batch is durable. Runs on the journal's thread and never
//! waits for a reader.

use crate::driver::Connected;
use crate::frames::News;
use crate::journal::Snapshot;
use crate::outbox::{Item, Outbox};
use crate::publish::Publisher;
use crate::watch::Watchers;
use farm::entry::Entry;
use farm::id::WorkerId;
use farm::{Effect, Reject, Reply};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::sync::oneshot;

/// One thing that waits for its batch.
pub enum Release {
    Answer(oneshot::Sender<Result<Reply, Reject>>, Result<Reply, Reject>),
    Joined(oneshot::Sender<Connected>, Connected),
    Run(Box<dyn FnOnce() + Send>),
    /// The worker's stream is this one from now on.
    Attach {
        worker: WorkerId,
        outbox: Arc<Outbox>,
    },
    Detach {
        worker: WorkerId,
    },
    Tell {
        worker: WorkerId,
        item: Item,
    },
    Effect(Effect),
}

/// Where everything goes.
#[derive(Debug)]
pub struct Handout {
    outboxes: Vec<Option<Arc<Outbox>>>,
    touched: Vec<WorkerId>,
    news: Vec<News>,
    frames: Sender<Vec<News>>,
    publisher: Publisher,
    watchers: Arc<Watchers>,
    failed: Arc<AtomicBool>,
    /// Dropped when the journal's thread ends, for those who wait for that.
    _ended: oneshot::Sender<()>,
    sync_seconds: metrics::Histogram,
}

impl Handout {
    pub fn new(
        frames: Sender<Vec<News>>,
        publisher: Publisher,
        watchers: Arc<Watchers>,
        failed: Arc<AtomicBool>,
        ended: oneshot::Sender<()>,
    ) -> Self {
        Self {
            outboxes: Vec::new(),
            touched: Vec::new(),
            news: Vec::new(),
            frames,
            publisher,
            watchers,
            failed,
            _ended: ended,
            sync_seconds: metrics::histogram!("girih_journal_sync_seconds"),
        }
    }

    /// Notes how long a group commit took.
    pub fn synced(&self, took: Duration) {
        self.sync_seconds.record(took);
    }

    /// Sends entries to the public log. Waits when the log is far behind.
    pub fn publish(&self, entries: Vec<Entry>) -> std::io::Result<()> {
        if entries.is_empty() { Ok(()) } else { self.publisher.append(entries) }
    }

    /// Has the snapshot written once the log has all entries up to it.
    pub fn snapshot(&self, snapshot: Snapshot, dir: &Path) {
        self.publisher.snapshot(snapshot, dir.to_path_buf());
    }

    pub fn release(&mut self, releases: Vec<Release>) {
        for release in releases {
            match release {
                Release::Answer(answer, result) => drop(answer.send(result)),
                Release::Joined(answer, result) => drop(answer.send(result)),
                Release::Run(run) => run(),
                Release::Attach { worker, outbox } => self.attach(worker, outbox),
                Release::Detach { worker } => {
                    if let Some(gone) = self.outboxes.get_mut(worker.0 as usize) {
                        *gone = None;
                    }
                }
                Release::Tell { worker, item } => self.tell(worker, item),
                Release::Effect(effect) => self.perform(effect),
            }
        }
        self.touched.sort_unstable();
        self.touched.dedup();
        for worker in self.touched.drain(..) {
            if let Some(outbox) = &self.outboxes[worker.0 as usize] {
                outbox.wake();
            }
        }
        if !self.news.is_empty() {
            self.frames.send(std::mem::take(&mut self.news)).ok();
        }
    }

    fn attach(&mut self, worker: WorkerId, outbox: Arc<Outbox>) {
        let at = worker.0 as usize;
        self.outboxes.resize(self.outboxes.len().max(at + 1), None);
        if let Some(older) = self.outboxes[at].replace(outbox) {
            older.close(Some(crate::api::status::link_replaced()));
        }
    }

    fn tell(&mut self, worker: WorkerId, item: Item) {
        let outbox = self.outboxes.get(worker.0 as usize).and_then(Option::as_ref);
        if outbox.is_some_and(|outbox| outbox.push(item)) && self.touched.last() != Some(&worker) {
            self.touched.push(worker);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Grant { worker, lease, job, tile, leaves, inputs } => {
                self.tell(worker, Item::Lease { lease, job, tile, leaves, inputs });
            }
            Effect::Challenge { worker, lease, leaves } => {
                self.tell(worker, Item::Challenge { lease, leaves });
            }
            Effect::Settle { worker, lease } => {
                self.tell(worker, Item::Ack { lease, settled: true, refused: "" });
            }
            Effect::Revoke { worker, lease } => self.tell(worker, Item::Revoke(lease)),
            Effect::Deliver { job, tile, output } => {
                self.news.push(News::Deliver { job, tile, output });
            }
            Effect::Store { job, frame, made_of } => {
                self.news.push(News::Store { job, frame, made_of });
            }
            Effect::JobChanged { job } => self.watchers.changed(job),
            Effect::Log(_) => unreachable!("entries travel apart"),
        }
    }

    /// The journal failed: nothing of the last batch leaves, and every stream ends.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        for outbox in self.outboxes.iter().flatten() {
            outbox.close(Some(crate::api::status::stopped(true)));
        }
    }
}
