//! A worker's outbox: what the scheduler has to tell one worker stream, gathered until the stream
//! takes it, so that one message carries many items. Bounded: a stream too slow to take it is
//! dropped; its worker connects again and names its leases.

use crate::api::status;
use crate::terms::Terms;
use crate::vault::Vault;
use farm::digest::Digest;
use farm::id::{JobId, LeaseId};
use farm::leaf::Indices;
use futures::Stream;
use proto::seal::{Lock, Wrapper};
use proto::{convert, v1};
use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;
use tonic::Status;
use v1::link_response::Kind;

/// Items that may wait for a stream.
const ITEMS_MAX: usize = 1 << 16;

/// One thing to tell a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Welcome(v1::Welcome),
    Ack { lease: LeaseId, settled: bool, refused: &'static str },
    Lease { lease: LeaseId, job: JobId, tile: u64, leaves: Indices, inputs: Vec<Digest> },
    Challenge { lease: LeaseId, leaves: Indices },
    Revoke(LeaseId),
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    waker: Option<Waker>,
    /// How the stream ends, once it does.
    end: Option<Option<Status>>,
}

/// The scheduler's end.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    closed: Notify,
    /// What wraps keys for this worker, and what it is told for that; from its hello on.
    wrapper: OnceLock<(Wrapper, [u8; 32])>,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on keys can be wrapped for the worker.
    pub fn greet(&self, wrapper: Wrapper, public: [u8; 32]) {
        self.wrapper.set((wrapper, public)).ok();
    }

    /// Adds an item without waking the stream; says whether the stream is still open.
    pub fn push(&self, item: Item) -> bool {
        let mut waiting = self.lock();
        if waiting.end.is_some() {
            return false;
        }
        if waiting.items.len() >= ITEMS_MAX {
            waiting.end = Some(Some(status::link_too_slow()));
            waiting.items.clear();
            self.closed.notify_one();
            return false;
        }
        waiting.items.push_back(item);
        true
    }

    /// Wakes the stream.
    pub fn wake(&self) {
        let waker = self.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ends the stream after what is waiting, with an error if there is one.
    pub fn close(&self, status: Option<Status>) {
        self.lock().end.get_or_insert(status);
        self.closed.notify_one();
        self.wake();
    }

    /// Waits until the stream is to end; for the one task that reads what comes in.
    pub async fn closed(&self) {
        self.closed.notified().await;
    }
}

/// The worker's end: batches as they come.
#[derive(Debug)]
pub struct OutboxStream {
    outbox: Arc<Outbox>,
    terms: Arc<Terms>,
    vault: Arc<Vault>,
    /// Jobs whose terms this stream has carried.
    told: BTreeSet<JobId>,
    ready: VecDeque<v1::LinkResponse>,
}

impl OutboxStream {
    /// A stream that starts with `first`.
    pub fn new(
        outbox: Arc<Outbox>,
        terms: Arc<Terms>,
        vault: Arc<Vault>,
        first: v1::LinkResponse,
    ) -> Self {
        Self { outbox, terms, vault, told: BTreeSet::new(), ready: VecDeque::from([first]) }
    }

    /// Turns waiting items into messages, one of each kind.
    fn pack(&mut self, items: VecDeque<Item>) {
        let mut acks = Vec::new();
        let mut leases = v1::Leases::default();
        let mut challenges = Vec::new();
        let mut revoked = Vec::new();
        for item in items {
            match item {
                Item::Welcome(mut welcome) => {
                    let public = self.outbox.wrapper.get().map(|(_, public)| public.to_vec());
                    welcome.wrap_key = public.unwrap_or_default().into();
                    self.ready(Kind::Welcome(welcome));
                }
                Item::Ack { lease, settled, refused } => {
                    let (lease, refused) = (lease.to_u64(), refused.to_string());
                    acks.push(v1::Ack { lease, settled, refused });
                }
                Item::Lease { lease, job, tile, leaves, inputs } => {
                    self.tell(job, &mut leases.jobs);
                    let (lease, job_id) = (lease.to_u64(), u64::from(job.0));
                    let (leaves, key) = (leaves.to_vec(), self.key(lease, job));
                    let inputs = inputs.iter().map(convert::wire_digest).collect();
                    leases.leases.push(v1::Lease { lease, job_id, tile, leaves, inputs, key });
                }
                Item::Challenge { lease, leaves } => {
                    let leaves = leaves.to_vec();
                    challenges.push(v1::Challenge { lease: lease.to_u64(), leaves });
                }
                Item::Revoke(lease) => revoked.push(lease.to_u64()),
            }
        }
        if !acks.is_empty() {
            self.ready(Kind::Acks(v1::Acks { acks }));
        }
        if !leases.leases.is_empty() {
            self.ready(Kind::Leases(leases));
        }
        if !challenges.is_empty() {
            self.ready(Kind::Challenges(v1::Challenges { challenges }));
        }
        if !revoked.is_empty() {
            self.ready(Kind::Revoked(v1::Revoked { leases: revoked }));
        }
    }

    fn ready(&mut self, kind: Kind) {
        self.ready.push_back(v1::LinkResponse { kind: Some(kind) });
    }

    /// The lock of the job's keyring, if its assets are sealed.
    fn lock(&self, job: JobId) -> Option<Lock> {
        let lock = self.vault.get(&self.terms.seal(job)?);
        if lock.is_none() {
            tracing::error!("{job}: the key to its assets is not in the vault");
        }
        lock
    }

    /// That lock's key, wrapped for a lease.
    fn key(&self, lease: u64, job: JobId) -> bytes::Bytes {
        let wrapped = self.lock(job).and_then(|lock| {
            let (wrapper, _) = self.outbox.wrapper.get()?;
            Some(wrapper.wrap(lease, &lock.key))
        });
        wrapped.unwrap_or_default().into()
    }

    fn tell(&mut self, job: JobId, jobs: &mut Vec<v1::JobTerms>) {
        if !self.told.contains(&job)
            && let Some(spec) = self.terms.get(job)
        {
            self.told.insert(job);
            let upstream = spec.upstream.and_then(|link| self.terms.get(link.job));
            let upstream = upstream.map(|spec| convert::wire_upstream_spec(&spec));
            let (job_id, spec) = (u64::from(job.0), Some(convert::wire_spec(&spec)));
            let keyring = self.lock(job).map(|lock| convert::wire_digest(&lock.sealed));
            let keyring = keyring.unwrap_or_default();
            jobs.push(v1::JobTerms { job_id, spec, upstream, keyring });
        }
    }
}

impl Stream for OutboxStream {
    type Item = Result<v1::LinkResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(message) = self.ready.pop_front() {
            return Poll::Ready(Some(Ok(message)));
        }
        let outbox = Arc::clone(&self.outbox);
        let mut waiting = outbox.lock();
        if !waiting.items.is_empty() {
            let items = std::mem::take(&mut waiting.items);
            drop(waiting);
            self.pack(items);
            return Poll::Ready(self.ready.pop_front().map(Ok));
        }
        match waiting.end.take() {
            Some(end) => {
                waiting.end = Some(None);
                Poll::Ready(end.map(Err))
            }
            None => {
                waiting.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for OutboxStream {
    /// The worker is gone: nothing more need be kept for it.
    fn drop(&mut self) {
        self.outbox.close(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    fn stream(outbox: &Arc<Outbox>) -> OutboxStream {
        let dir = tempfile::tempdir().unwrap();
        let vault = Arc::new(Vault::open(dir.path(), None, &BTreeSet::new()).unwrap());
        OutboxStream::new(Arc::clone(outbox), Arc::default(), vault, v1::LinkResponse::default())
    }

    #[tokio::test]
    async fn many_items_leave_in_one_message_of_each_kind() {
        let outbox = Arc::new(Outbox::default());
        let mut stream = stream(&outbox);
        assert_eq!(stream.next().await.unwrap().unwrap().kind, None);
        for slot in 0..3 {
            let lease = LeaseId { slot, epoch: 1 };
            outbox.push(Item::Revoke(lease));
            outbox.push(Item::Ack { lease, settled: true, refused: "" });
        }
        outbox.close(None);
        let Some(Kind::Acks(acks)) = stream.next().await.unwrap().unwrap().kind else { panic!() };
        assert_eq!(acks.acks.len(), 3);
        let Some(Kind::Revoked(r)) = stream.next().await.unwrap().unwrap().kind else { panic!() };
        assert_eq!(r.leases.len(), 3);
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn a_stream_that_does_not_read_is_dropped() {
        let outbox = Arc::new(Outbox::default());
        let mut stream = stream(&outbox);
        let lease = LeaseId { slot: 0, epoch: 1 };
        while outbox.push(Item::Revoke(lease)) {}
        stream.next().await;
        assert!(stream.next().await.unwrap().is_err());
        assert!(stream.next().await.is_none());
    }
}
