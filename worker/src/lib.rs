//! A worker: a link to the scheduler plus engines behind one small trait.

pub mod asset;
pub mod assets;
pub mod channel;
pub mod cost;
pub mod cut;
pub mod engine;
pub mod engines;
pub mod identity;
pub mod infer;
pub mod link;
pub mod machine;
mod measure;
pub mod null;
pub mod probe;
pub mod render;
pub mod results;
pub mod slot;
pub mod upload;
pub mod vulkan;

use channel::Address;
use link::{Link, Offer, Parts};
use machine::{EngineKind, Machine};
use slot::{Slot, Supplies};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// How a worker is to run.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    pub address: Address,
    /// Key, results, assets and measurements live here.
    pub data_dir: PathBuf,
    /// Bytes that the asset cache may take.
    pub cache_bytes: u64,
    /// Indexes or parts of names; empty: every GPU, or the software device if there is none.
    pub devices: Vec<String>,
    pub engine: EngineKind,
    /// A way to lie, for tests and demonstrations.
    pub cheat: Option<String>,
}

/// Why a worker stopped before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("{0}")]
    NoDevice(String),
    #[error("every device failed too often and was given up; `girih doctor` may say why")]
    DevicesGivenUp,
    #[error("the farm refuses this worker: {0}")]
    Refused(String),
    #[error("{dir}: {source}; name another place with --data-dir", dir = dir.display())]
    Disk { dir: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Config(String),
}

/// Runs a worker until `shutdown` turns true; then it finishes what it has and hands it in.
pub async fn run(config: WorkerConfig, shutdown: watch::Receiver<bool>) -> Result<(), WorkerError> {
    let disk = |source| WorkerError::Disk { dir: config.data_dir.clone(), source };
    std::fs::create_dir_all(&config.data_dir).map_err(disk)?;
    let lock = lock(&config.data_dir).map_err(disk)?;
    let identity = identity::Identity::open(&config.data_dir).map_err(disk)?;
    let dir = config.data_dir.clone();
    let chosen = config.clone();
    let machine = tokio::task::spawn_blocking(move || Machine::open(&chosen, &dir));
    let machine = machine.await.map_err(|error| WorkerError::Config(error.to_string()))??;
    let dir = config.data_dir.join("assets");
    let cache = assets::Cache::open(dir, config.cache_bytes, identity.secret_for("assets"));
    let dir = config.data_dir.join("results");
    let results = results::Results::open(dir, identity.secret_for("results")).map_err(disk)?;
    let (farm, channel) = watch::channel(None);
    let (say, events) = mpsc::unbounded_channel();
    let supplies = Supplies {
        cache: Arc::new(cache.map_err(disk)?),
        results: results.clone(),
        farm: channel,
        events: say,
    };
    let mut slots = Vec::new();
    for (number, plan) in machine.plans.into_iter().enumerate() {
        let slot = Slot::start(number, plan.maker, plan.polite, supplies.clone());
        slots.push(slot.map_err(disk)?);
    }
    drop(supplies);
    let offer = Offer {
        engines: machine.engines,
        device: machine.device,
        units_per_second: machine.units_per_second,
    };
    let address = config.address.clone();
    let parts = Parts { address, identity, offer, results, slots, events, farm, shutdown };
    let outcome = Link::new(parts).map_err(disk)?.run().await;
    drop(lock);
    outcome
}

/// Two workers in one directory would hand in each other's results.
fn lock(dir: &std::path::Path) -> std::io::Result<std::fs::File> {
    let file = std::fs::File::create(dir.join("lock"))?;
    file.try_lock().map_err(|_| std::io::Error::other("another worker runs in this directory"))?;
    Ok(file)
}

/// Digest of the render engine that this program carries.
pub fn render_digest() -> farm::digest::Digest {
    farm::digest::Digest(shaders::spirv::render_digest())
}
