//! The link to the scheduler: hello, leases in, results out, and again after every break. Knows
//! leases as names of work; what they mean is the agent's and the engines' business.

use crate::WorkerError;
use crate::channel::{Address, Keyed};
use crate::engine::{Feed, Part, TileSpec};
use crate::identity::Identity;
use crate::results::{Product, Results};
use crate::slot::{Event, Slot};
use crate::upload;
use farm::agent::{Agent, Work};
use farm::digest::Digest;
use farm::id::{JobId, LeaseId};
use farm::job::Spec;
use farm::leaf;
use farm::tile::Tile;
use farm::time::Time;
use proto::seal::{Half, Lock, Wrapper};
use proto::v1;
use proto::v1::link_request::Kind as Say;
use proto::v1::link_response::Kind as Hear;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tonic::{Code, Status};

/// First and longest pause before the next attempt to reach the farm.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// How long a leaving worker still answers challenges.
const LINGER: Duration = Duration::from_secs(3);
/// How long a leaving worker tries to reach a farm that is away; the results stay on disk.
const LEAVE_WITHOUT_FARM: Duration = Duration::from_secs(5);
/// Outputs on their way at once.
const UPLOADS_MAX: usize = 4;

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{0}")]
    Channel(#[from] crate::channel::ChannelError),
    #[error("{}", .0.message())]
    Status(#[from] Status),
    #[error("the farm closed the link")]
    Closed,
    #[error("the farm said {0} where it should not")]
    Protocol(&'static str),
    #[error("a device was given up")]
    FewerSlots,
    #[error("{0}")]
    Disk(#[from] std::io::Error),
}

impl Broken {
    /// Whether trying again cannot help.
    fn is_final(&self) -> bool {
        use crate::channel::ChannelError as C;
        match self {
            Self::Channel(error) => !matches!(error, C::Unreachable { .. } | C::Untrusted { .. }),
            Self::Status(status) => matches!(
                status.code(),
                Code::Unauthenticated
                    | Code::PermissionDenied
                    | Code::InvalidArgument
                    | Code::FailedPrecondition
                    | Code::Unimplemented
            ),
            _ => false,
        }
    }
}

/// What the worker offers, apart from its slots.
pub struct Offer {
    pub engines: Vec<Digest>,
    pub device: String,
    pub units_per_second: u64,
}

/// The whole of a running worker.
pub struct Link {
    address: Address,
    identity: Identity,
    offer: Offer,
    results: Results,
    slots: Vec<Slot>,
    events: mpsc::UnboundedReceiver<Event>,
    farm: watch::Sender<Option<Keyed>>,
    shutdown: watch::Receiver<bool>,
    agent: Agent,
    specs: BTreeMap<JobId, Spec>,
    /// By job, how the frames are parted of the one that feeds it.
    upstreams: BTreeMap<JobId, Spec>,
    /// By job, the digest of its sealed keyring.
    keyrings: BTreeMap<JobId, Digest>,
    /// What leases brought that are not begun. A key is kept as long as its lease is computed.
    locks: BTreeMap<LeaseId, Lock>,
    uploading: BTreeSet<LeaseId>,
    started: Instant,
}

/// One stream's own things.
struct Stream {
    say: mpsc::Sender<v1::LinkRequest>,
    nonce: Vec<u8>,
    keyed: Keyed,
    wrapper: Wrapper,
    uploaded: mpsc::UnboundedSender<(LeaseId, Result<(), Status>)>,
    drained: bool,
}

impl Stream {
    async fn say(&self, kind: Say) -> Result<(), Broken> {
        let said = self.say.send(v1::LinkRequest { kind: Some(kind) }).await;
        said.map_err(|_| Broken::Closed)
    }
}

/// What the greetings of a stream give.
struct Greeted {
    hear: tonic::Streaming<v1::LinkResponse>,
    nonce: Vec<u8>,
    wrapper: Wrapper,
}

/// What [`Link::new`] needs.
pub struct Parts {
    pub address: Address,
    pub identity: Identity,
    pub offer: Offer,
    pub results: Results,
    pub slots: Vec<Slot>,
    pub events: mpsc::UnboundedReceiver<Event>,
    pub farm: watch::Sender<Option<Keyed>>,
    pub shutdown: watch::Receiver<bool>,
}

impl Link {
    /// A link that holds the results found on disk.
    pub fn new(parts: Parts) -> std::io::Result<Self> {
        let mut agent = Agent::default();
        for (lease, work) in parts.results.all()? {
            agent.restore(lease, work);
        }
        Ok(Self {
            address: parts.address,
            identity: parts.identity,
            offer: parts.offer,
            results: parts.results,
            slots: parts.slots,
            events: parts.events,
            farm: parts.farm,
            shutdown: parts.shutdown,
            agent,
            specs: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            keyrings: BTreeMap::new(),
            locks: BTreeMap::new(),
            uploading: BTreeSet::new(),
            started: Instant::now(),
        })
    }

    /// Works until told to stop; then finishes what it has, hands it in and returns.
    pub async fn run(mut self) -> Result<(), WorkerError> {
        let mut pause = PAUSE_FIRST;
        let mut leaving: Option<Instant> = None;
        loop {
            let begun = Instant::now();
            let outcome = self.stream().await;
            self.farm.send_replace(None);
            self.uploading.clear();
            let broken = match outcome {
                Ok(()) => return Ok(()),
                Err(broken) => broken,
            };
            if self.slots.iter().all(|slot| slot.given_up) {
                return Err(WorkerError::DevicesGivenUp);
            }
            if broken.is_final() {
                return Err(WorkerError::Refused(broken.to_string()));
            }
            if *self.shutdown.borrow() {
                let since = *leaving.get_or_insert_with(Instant::now);
                let computing = self.slots.iter().any(|slot| slot.running.is_some());
                if self.agent.is_empty() || (!computing && since.elapsed() > LEAVE_WITHOUT_FARM) {
                    return Ok(());
                }
            }
            if begun.elapsed() > PAUSE_MAX {
                pause = PAUSE_FIRST;
            }
            tracing::warn!("{broken}; trying again in {:.1} s", pause.as_secs_f64());
            self.wait(jittered(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Between streams: the engines go on.
    async fn wait(&mut self, pause: Duration) {
        let until = tokio::time::Instant::now() + pause;
        loop {
            self.dispatch();
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                Some(event) = self.events.recv() => self.happened(event),
            }
        }
    }

    /// One stream, from hello to its end. `Ok`: the worker was told to leave, and may.
    async fn stream(&mut self) -> Result<(), Broken> {
        let keyed = self.address.connect().await?;
        let (say, outbox) = mpsc::channel(64);
        let (uploaded, mut uploads) = mpsc::unbounded_channel();
        let Greeted { mut hear, nonce, wrapper } = self.hello(&keyed, &say, outbox).await?;
        self.farm.send_replace(Some(keyed.clone()));
        let mut stream = Stream { say, nonce, keyed, wrapper, uploaded, drained: false };
        let mut beat = tokio::time::interval(Duration::from_secs(1));
        let mut linger: Option<Instant> = None;
        loop {
            self.dispatch();
            self.hand_in(&mut stream).await?;
            if stream.drained && self.agent.is_idle() {
                let since = *linger.get_or_insert_with(Instant::now);
                if self.agent.is_empty() || since.elapsed() > LINGER {
                    return Ok(());
                }
            }
            let stopping = *self.shutdown.borrow();
            tokio::select! {
                heard = hear.message() => match heard?.and_then(|message| message.kind) {
                    Some(kind) => self.heard(kind, &stream).await?,
                    None => return Err(Broken::Closed),
                },
                Some(event) = self.events.recv() => {
                    let fewer = matches!(event, Event::GivenUp { .. });
                    self.happened(event);
                    if fewer {
                        return Err(Broken::FewerSlots);
                    }
                }
                Some((lease, outcome)) = uploads.recv() => self.arrived(lease, outcome)?,
                _ = beat.tick() => self.renew(&stream).await?,
                _ = self.shutdown.changed(), if !stopping => {}
            }
        }
    }

    async fn hello(
        &mut self,
        keyed: &Keyed,
        say: &mpsc::Sender<v1::LinkRequest>,
        outbox: mpsc::Receiver<v1::LinkRequest>,
    ) -> Result<Greeted, Broken> {
        let mut accounts = v1::accounts_client::AccountsClient::new(keyed.clone());
        let account = accounts.get_account(v1::GetAccountRequest {}).await?.into_inner();
        let mut client = v1::workers_client::WorkersClient::new(keyed.clone())
            .max_decoding_message_size(crate::channel::MESSAGE_BYTES_MAX);
        let outbox = tokio_stream::wrappers::ReceiverStream::new(outbox);
        let mut hear = client.link(outbox).await?.into_inner();
        let Some(Hear::Nonce(nonce)) = next(&mut hear).await? else {
            return Err(Broken::Protocol("something before the nonce"));
        };
        let key = self.identity.public();
        let half = Half::new();
        let wrap_key = half.public;
        let signed = proto::signing::hello_bytes(&nonce, &key, account.account_id, &wrap_key);
        let slots = self.slots.iter().filter(|slot| !slot.given_up).count();
        let hello = v1::Hello {
            key: key.to_vec().into(),
            signature: self.identity.sign(&signed).to_vec().into(),
            engines: self.offer.engines.iter().map(proto::convert::wire_digest).collect(),
            device: self.offer.device.clone(),
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
            units_per_second: self.offer.units_per_second,
            leases: self.agent.hello().iter().map(|lease| lease.to_u64()).collect(),
            account_id: account.account_id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            wrap_key: wrap_key.to_vec().into(),
            machine: crate::identity::machine().map(Vec::from).unwrap_or_default().into(),
        };
        let hello = v1::LinkRequest { kind: Some(Say::Hello(hello)) };
        say.send(hello).await.map_err(|_| Broken::Closed)?;
        let Some(Hear::Welcome(welcome)) = next(&mut hear).await? else {
            return Err(Broken::Protocol("something before the welcome"));
        };
        let wrapper = half.agree(&welcome.wrap_key);
        let wrapper = wrapper.ok_or(Broken::Protocol("a welcome without a key to agree on"))?;
        let live: Vec<LeaseId> = welcome.live.iter().map(|bits| LeaseId::from_u64(*bits)).collect();
        for gone in self.agent.welcome(&live, welcome.lease_ms.into(), self.now()) {
            self.forget(gone)?;
        }
        let (id, server) = (welcome.worker_id, &self.address.server);
        tracing::info!("worker W{id} of account A{} linked to {server}", account.account_id);
        Ok(Greeted { hear, nonce: nonce.to_vec(), wrapper })
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    async fn heard(&mut self, kind: Hear, stream: &Stream) -> Result<(), Broken> {
        match kind {
            Hear::Leases(leases) => self.granted(leases, &stream.wrapper),
            Hear::Challenges(asked) => {
                let opened = asked.challenges.iter().filter_map(|asked| self.open(asked));
                let opened: Vec<_> = opened.collect();
                if !opened.is_empty() {
                    stream.say(Say::Openings(v1::Openings { opened })).await?;
                }
                Ok(())
            }
            Hear::Acks(acks) => acks.acks.iter().try_for_each(|ack| {
                let lease = LeaseId::from_u64(ack.lease);
                if !ack.refused.is_empty() {
                    tracing::warn!("report of {lease} refused: {}", ack.refused);
                }
                if self.agent.acknowledged(lease, ack.settled, &ack.refused) {
                    self.forget(lease)?;
                }
                Ok(())
            }),
            Hear::Revoked(revoked) => revoked.leases.iter().try_for_each(|bits| {
                let lease = LeaseId::from_u64(*bits);
                self.agent.revoke(lease);
                self.forget(lease)
            }),
            Hear::Nonce(_) => Err(Broken::Protocol("a second nonce")),
            Hear::Welcome(_) => Err(Broken::Protocol("a second welcome")),
        }
    }

    fn granted(&mut self, leases: v1::Leases, wrapper: &Wrapper) -> Result<(), Broken> {
        for terms in leases.jobs {
            let (Ok(job), Some(spec)) = (u32::try_from(terms.job_id), terms.spec) else {
                return Err(Broken::Protocol("a job without id or spec"));
            };
            let read = |spec: &_| {
                let spec = proto::convert::spec(spec).ok().filter(Spec::is_valid);
                spec.ok_or(Broken::Protocol("a spec out of range"))
            };
            self.specs.insert(JobId(job), read(&spec)?);
            if let Some(upstream) = &terms.upstream {
                self.upstreams.insert(JobId(job), read(upstream)?);
            }
            if !terms.keyring.is_empty() {
                let keyring = proto::convert::digest("keyring", &terms.keyring);
                let keyring = keyring.map_err(|_| Broken::Protocol("a keyring of no digest"))?;
                self.keyrings.insert(JobId(job), keyring);
            }
        }
        for lease in leases.leases {
            let job = u32::try_from(lease.job_id).map(JobId).unwrap_or_default();
            let spec = self.specs.get(&job).ok_or(Broken::Protocol("a lease of no known job"))?;
            if lease.tile >= spec.tiles() {
                return Err(Broken::Protocol("a tile that the job does not have"));
            }
            let inputs = lease.inputs.iter().map(|input| proto::convert::digest("input", input));
            let inputs = inputs.collect::<Result<Vec<Digest>, _>>();
            let inputs = inputs.map_err(|_| Broken::Protocol("an input that is no digest"))?;
            let id = LeaseId::from_u64(lease.lease);
            let key = wrapper.unwrap(lease.lease, &lease.key);
            if let (Some(sealed), Some(key)) = (self.keyrings.get(&job), key) {
                self.locks.insert(id, Lock { sealed: *sealed, key });
            }
            let work = Work { job, tile: lease.tile, leaves: lease.leaves, inputs };
            self.agent.grant(id, work);
        }
        Ok(())
    }

    fn open(&self, asked: &v1::Challenge) -> Option<v1::Opened> {
        let lease = LeaseId::from_u64(asked.lease);
        if !self.agent.has(lease) {
            return None;
        }
        let Ok((_, Product::Tile { leaves, .. })) = self.results.get(lease) else { return None };
        let openings = leaf::open(&leaves, &asked.leaves)?;
        Some(proto::convert::wire_opened(lease, &openings))
    }

    /// A slot spoke.
    fn happened(&mut self, event: Event) {
        match event {
            Event::Finished { slot, lease, output } => {
                self.slots[slot].running = None;
                if !self.agent.finish(lease, output)
                    && let Err(error) = self.results.forget(lease)
                {
                    tracing::warn!("{error}");
                }
            }
            Event::Stopped { slot, lease } => {
                self.slots[slot].running = None;
                self.agent.revoke(lease);
            }
            Event::GivenUp { slot, why } => {
                self.slots[slot].given_up = true;
                tracing::error!("slot {slot}: device given up after {why}; see `girih doctor`");
            }
        }
    }

    /// An upload ended.
    fn arrived(&mut self, lease: LeaseId, outcome: Result<(), Status>) -> Result<(), Broken> {
        self.uploading.remove(&lease);
        match outcome {
            Ok(()) => self.agent.uploaded(lease),
            Err(status) if upload::is_refusal(&status) => {
                tracing::warn!("output of {lease} refused: {}", status.message());
                self.agent.revoke(lease);
                self.forget(lease)?;
            }
            Err(status) => return Err(status.into()),
        }
        Ok(())
    }

    fn forget(&mut self, lease: LeaseId) -> Result<(), Broken> {
        self.slots.iter().for_each(|slot| slot.stop(lease));
        self.locks.remove(&lease);
        Ok(self.results.forget(lease)?)
    }

    /// Gives waiting leases to free slots.
    fn dispatch(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.is_free()) {
            let Some((lease, work)) = self.agent.start() else { return };
            let Some(spec) = self.specs.get(&work.job) else {
                self.agent.revoke(lease);
                continue;
            };
            let mut tile = tile_spec(spec, work.tile);
            let upstream = self.upstreams.get(&work.job);
            tile.feed = upstream.map(|upstream| feed(spec, upstream, &work));
            let spec = tile;
            slot.give(lease, work, spec, self.locks.remove(&lease));
        }
    }

    /// Uploads, reports, and says farewell when it is time.
    async fn hand_in(&mut self, stream: &mut Stream) -> Result<(), Broken> {
        if *self.shutdown.borrow() && !stream.drained {
            stream.say(Say::Drain(v1::Drain {})).await?;
            stream.drained = true;
        }
        for lease in self.agent.uploads() {
            if self.uploading.len() < UPLOADS_MAX && self.uploading.insert(lease) {
                let (results, keyed) = (self.results.clone(), stream.keyed.clone());
                let done = stream.uploaded.clone();
                tokio::spawn(async move {
                    let _ = done.send((lease, upload::send(results, lease, keyed).await));
                });
            }
        }
        let mut reports = Vec::new();
        for lease in self.agent.reports() {
            let outcome = self.results.get(lease).ok().and_then(|(_, product)| product.outcome());
            match outcome {
                Some(outcome) => reports.push(proto::convert::wire_report(lease, &outcome)),
                None => {
                    tracing::error!("the result of {lease} is gone from the disk");
                    self.agent.revoke(lease);
                }
            }
        }
        if reports.is_empty() {
            return Ok(());
        }
        let signed = proto::signing::reports_bytes(&stream.nonce, &reports);
        let signature = self.identity.sign(&signed).to_vec().into();
        stream.say(Say::Reports(v1::Reports { reports, signature })).await
    }

    async fn renew(&mut self, stream: &Stream) -> Result<(), Broken> {
        let leases = self.agent.renewals(self.now());
        if leases.is_empty() {
            return Ok(());
        }
        let leases = leases.iter().map(|lease| lease.to_u64()).collect();
        stream.say(Say::Renew(v1::Renew { leases })).await
    }
}

async fn next(hear: &mut tonic::Streaming<v1::LinkResponse>) -> Result<Option<Hear>, Broken> {
    Ok(hear.message().await?.ok_or(Broken::Closed)?.kind)
}

/// What an engine computes for this tile of the job.
pub fn tile_spec(spec: &Spec, index: u64) -> TileSpec {
    let tile = spec.tile(index);
    TileSpec {
        scene: spec.scene,
        environment: spec.environment,
        frame: tile.frame,
        fps: spec.fps,
        frame_width: spec.width,
        frame_height: spec.height,
        x: tile.x,
        y: tile.y,
        width: tile.width,
        height: tile.height,
        samples: spec.samples,
        depth: spec.depth,
        seed: spec.seed,
        aovs: spec.aovs,
        noise: spec.noise,
        work_per_pixel: spec.work_per_pixel,
        feed: None,
    }
}

/// The tiles of the upstream's frame that this work is made of.
fn feed(spec: &Spec, upstream: &Spec, work: &Work) -> Feed {
    let feeders = spec.feeders(upstream, work.tile);
    let part = |(index, output): (&u64, &Digest)| {
        let Tile { x, y, width, height, .. } = upstream.tile(*index);
        Part { x, y, width, height, output: *output }
    };
    Feed {
        width: upstream.width,
        height: upstream.height,
        // Networks give values, renderers sums over samples.
        samples: if upstream.work_per_pixel > 0 { 1 } else { upstream.samples },
        aovs: upstream.aovs,
        parts: feeders.iter().zip(&work.inputs).map(part).collect(),
    }
}

/// Between half the pause and the whole of it, so that many workers do not come back at once.
fn jittered(pause: Duration) -> Duration {
    let draw = getrandom::u32().unwrap_or(u32::MAX);
    pause / 2 + (pause / 2).mul_f64(f64::from(draw) / f64::from(u32::MAX))
}
