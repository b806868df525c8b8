//! A running scheduler: starts the threads, serves, drains.

use crate::api::{Api, Parts};
use crate::auth::Keys;
use crate::blobs::Blobs;
use crate::config::Config;
use crate::driver::{self, Door, Request, Threads};
use crate::frames::{Assembler, News, Stores};
use crate::handout::{Handout, Release};
use crate::kin::Kin;
use crate::made::Made;
use crate::publish::{self, Publisher, Signer};
use crate::published::Published;
use crate::recover::{self, Recovered};
use crate::terms::Terms;
use crate::vault::{self, Vault};
use crate::watch::Watchers;
use crate::{metrics, tls, web};
use anyhow::Context;
use farm::{Command, Farm};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot, watch};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// Between two looks at the clock for the farm.
const TICK_EVERY: Duration = Duration::from_millis(250);
/// Ticks between two secrets that audits are drawn from: a minute.
const TICKS_PER_SECRET: u64 = 240;
/// How long open calls may take to end when the scheduler drains.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// Between two signs of life on a quiet connection.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
/// Receipts read from the log at a time.
const RECEIPTS_MAX: usize = 4;

/// A scheduler that serves.
#[derive(Debug)]
pub struct Running {
    /// Where it listens; the port is the real one.
    pub address: SocketAddr,
    /// `http://…` or `https://…` for clients.
    pub url: String,
    /// Fingerprint of a self-signed certificate.
    pub fingerprint: Option<String>,
    /// Verifier key of the public log.
    pub verifier: String,
    drain: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
    clock: tokio::task::JoinHandle<()>,
    forgetting: tokio::task::JoinHandle<()>,
    engine: Engine,
}

/// The threads behind the API.
#[derive(Debug)]
struct Engine {
    door: Door,
    publisher: Publisher,
    ended: oneshot::Receiver<()>,
    threads: Threads,
    publishing: JoinHandle<()>,
    framing: JoinHandle<()>,
}

/// Serves until `shutdown`, then drains; an error if the journal or the log fails first.
pub async fn serve(config: Config, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut running = Running::start(config).await?;
    tracing::info!("serving on {}", running.url);
    tokio::select! {
        () = shutdown => {}
        () = running.failed() => {}
    }
    running.stop().await
}

impl Running {
    /// Recovers and starts to serve.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        metrics::install();
        let state = config.clone();
        let recovered = tokio::task::spawn_blocking(move || recover::recover(&state)).await??;
        let incoming = TcpIncoming::bind(config.listen)
            .map_err(|error| anyhow::anyhow!("cannot listen on {}: {error}", config.listen))?
            .with_nodelay(Some(true));
        let address = incoming.local_addr()?;
        let tls = tls::set_up(&config)?;
        let signer = Signer::open(&config.state, &config.origin)?;
        let verifier = signer.verifier.clone();
        let (drain, draining) = watch::channel(false);
        let (engine, parts) = start_engine(config, recovered, signer, draining.clone()).await?;

        let forgetting = vault::keep_looking(Arc::clone(&parts.vault), engine.door.clone());
        let forgetting = tokio::spawn(forgetting);
        let (log, newest) = (parts.config.state.join("log"), parts.newest.clone());
        let router = Api::new(parts).routes().await?.into_axum_router();
        let routes = Routes::from(web::add(router, log, verifier.clone(), newest));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let fingerprint = tls.as_ref().and_then(|tls| tls.fingerprint.clone());
        let mut server =
            Server::builder().accept_http1(true).http2_keepalive_interval(Some(KEEPALIVE_EVERY));
        if let Some(tls) = tls {
            server = server.tls_config(tls.config)?;
        }
        let mut stop = draining;
        let stop = async move {
            stop.wait_for(|draining| *draining).await.ok();
        };
        let router = server.add_routes(routes);
        let serving = tokio::spawn(router.serve_with_incoming_shutdown(incoming, stop));
        let clock = tokio::spawn(tick(engine.door.clone()));
        let url = format!("{scheme}://{address}");
        Ok(Self { address, url, fingerprint, verifier, drain, serving, clock, forgetting, engine })
    }

    /// Waits until the journal or the log has failed.
    pub async fn failed(&mut self) {
        (&mut self.engine.ended).await.ok();
    }

    /// Drains: takes on nothing new, makes everything durable, takes a snapshot and closes. An
    /// error if the journal or the log had failed.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.drain.send_replace(true);
        let mut serving = self.serving;
        if tokio::time::timeout(DRAIN_WITHIN, &mut serving).await.is_err() {
            serving.abort();
        }
        self.clock.abort();
        self.forgetting.abort();
        let Engine { door, publisher, threads, publishing, framing, .. } = self.engine;
        door.send(Request::Stop).await.ok();
        tokio::task::spawn_blocking(move || {
            let died = |_| anyhow::anyhow!("a thread of the scheduler died; see above");
            threads.driver.join().map_err(died)?;
            let journal = threads.journal.join().map_err(died)?;
            publisher.stop();
            publishing.join().map_err(died)?;
            framing.join().map_err(died)?;
            journal
        })
        .await?
    }
}

/// Starts the threads, does what is owed, and founds what is missing.
async fn start_engine(
    config: Config,
    recovered: Recovered,
    signer: Signer,
    draining: watch::Receiver<bool>,
) -> anyhow::Result<(Engine, Parts)> {
    let Recovered { farm, journal, tiles } = recovered;
    let log = config.state.join("log");
    let (publisher, newest, publishing) =
        publish::start(tiles, &log, signer).with_context(|| log.display().to_string())?;
    let blobs = Arc::new(Blobs::open(&config.state, config.disk_free_bytes_min)?);
    let (door, requests) = driver::door();
    let (terms, published) = (terms_of(&farm), Published::of(&farm));
    let key_file = config.vault_key.as_deref();
    let vault = Arc::new(Vault::open(&config.state, key_file, &farm.seals())?);
    let secret = vault.secret_for("made");
    let made = Arc::new(Made::open(&config.state, config.disk_free_bytes_min, secret)?);
    let stores = Stores { blobs: blobs.clone(), made: made.clone(), vault: vault.clone() };
    let (news, framing) = start_frames(stores, &terms, &door)?;
    let (failed, watchers) = (Arc::new(AtomicBool::new(false)), Arc::new(Watchers::default()));
    let (alive, ended) = oneshot::channel();
    let mut handout =
        Handout::new(news, publisher.clone(), watchers.clone(), failed.clone(), alive);
    handout.release(farm.outstanding().into_iter().map(Release::Effect).collect());
    let (keys, owed, accounts) = (Keys::of(&farm), recover::owed(&farm)?, farm.accounts().len());
    let every = config.snapshot_records;
    let threads = driver::start(farm, journal, handout, Arc::clone(&terms), requests, every)?;
    for command in owed {
        door.apply(command).await?;
    }
    recover::found(&config.state, &door, &keys, accounts).await?;
    let kin = Kin::open(&config.state)?;
    let engine = Engine {
        door: door.clone(),
        publisher: publisher.clone(),
        ended,
        threads,
        publishing,
        framing,
    };
    let receipts = Arc::new(Semaphore::new(RECEIPTS_MAX));
    let parts = Parts {
        config,
        door,
        keys,
        kin,
        blobs,
        made,
        published,
        terms,
        vault,
        watchers,
        newest,
        publisher,
        receipts,
        failed,
        draining,
    };
    Ok((engine, parts))
}

fn terms_of(farm: &Farm) -> Arc<Terms> {
    let terms = Terms::default();
    for view in farm.jobs(None, None, usize::MAX) {
        terms.insert(view.job, view.spec, (view.seal, view.watermark));
    }
    Arc::new(terms)
}

fn start_frames(
    stores: Stores,
    terms: &Arc<Terms>,
    door: &Door,
) -> std::io::Result<(Sender<Vec<News>>, JoinHandle<()>)> {
    let (news, heard) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Handle::current();
    let frames = Assembler::new(stores, Arc::clone(terms), door.clone(), runtime);
    let thread = std::thread::Builder::new().name("frames".into());
    let work = move || {
        yield_processor();
        frames.run(&heard);
    };
    Ok((news, thread.spawn(work)?))
}

/// Lower priority for this thread: a picture may come later, an answer to a worker may not.
fn yield_processor() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), 10) {
        tracing::debug!("priority: {error}");
    }
}

/// Tells the farm the time, and now and then a new secret.
async fn tick(door: Door) {
    let mut interval = tokio::time::interval(TICK_EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    for count in 1u64.. {
        interval.tick().await;
        let secret = count.is_multiple_of(TICKS_PER_SECRET).then(recover::new_secret);
        let command = secret.and_then(Result::ok).unwrap_or(Command::Tick);
        if door.apply(command).await.is_err() {
            return;
        }
    }
}
