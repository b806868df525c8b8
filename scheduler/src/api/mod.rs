//! The API: gRPC methods that authenticate, convert, send, convert back. Decides nothing.

mod accounts;
mod assets;
mod jobs;
mod ledger;
mod link;
mod models;
pub mod status;
mod validators;
mod workers;

use crate::auth::{Caller, Keys};
use crate::blobs::Blobs;
use crate::config::Config;
use crate::driver::{Door, Refusal};
use crate::kin::Kin;
use crate::made::Made;
use crate::publish::{Newest, Publisher};
use crate::published::Published;
use crate::terms::Terms;
use crate::vault::Vault;
use crate::watch::Watchers;
use farm::appeal::Matter;
use farm::{Command, Farm, Reply};
use proto::v1;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Semaphore, watch};
use tonic::service::Routes;
use tonic::{Request, Status};

/// What every method works with.
#[derive(Clone, Debug)]
pub struct Api {
    parts: Arc<Parts>,
}

/// The parts of a running scheduler that the API sees.
#[derive(Debug)]
pub struct Parts {
    pub config: Config,
    pub door: Door,
    pub keys: Keys,
    pub kin: Kin,
    pub blobs: Arc<Blobs>,
    pub made: Arc<Made>,
    pub published: Published,
    pub terms: Arc<Terms>,
    pub vault: Arc<Vault>,
    pub watchers: Arc<Watchers>,
    pub newest: Newest,
    pub publisher: Publisher,
    /// Receipts that may be read from the log at a time.
    pub receipts: Arc<Semaphore>,
    /// The journal failed.
    pub failed: Arc<AtomicBool>,
    /// True once the scheduler drains.
    pub draining: watch::Receiver<bool>,
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Api {
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// Every service, with reflection and health.
    pub async fn routes(&self) -> anyhow::Result<Routes> {
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<v1::jobs_server::JobsServer<Self>>().await;
        health.set_serving::<v1::workers_server::WorkersServer<Self>>().await;
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        Ok(Routes::new(health_service)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .add_service(v1::jobs_server::JobsServer::new(self.clone()))
            .add_service(v1::assets_server::AssetsServer::new(self.clone()))
            .add_service(v1::workers_server::WorkersServer::new(self.clone()))
            .add_service(v1::models_server::ModelsServer::new(self.clone()))
            .add_service(v1::accounts_server::AccountsServer::new(self.clone()))
            .add_service(v1::validators_server::ValidatorsServer::new(self.clone()))
            .add_service(v1::ledger_server::LedgerServer::new(self.clone()))
            .add_service(v1::log_server::LogServer::new(self.clone())))
    }

    fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        self.keys.caller(request.metadata()).map_err(status::auth)
    }

    fn operator<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let caller = self.caller(request)?;
        if caller.operator { Ok(caller) } else { Err(status::operators_only()) }
    }

    async fn apply(&self, command: Command) -> Result<Reply, Status> {
        self.door.apply(command).await.map_err(|refusal| self.refused(refusal))
    }

    /// Puts down a deposit and has an arbiter decide.
    async fn appeal(&self, caller: Caller, matter: Matter) -> Result<v1::Appeal, Status> {
        let command = Command::Appeal { account: caller.account, matter };
        let Reply::Appealed { deposit } = self.apply(command).await? else {
            unreachable!("an appeal is answered with its deposit");
        };
        Ok(v1::Appeal { deposit: deposit.0 })
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Farm) -> T + Send + 'static,
    ) -> Result<T, Status> {
        self.door.read(question).await.map_err(|refusal| self.refused(refusal))
    }

    fn refused(&self, refusal: Refusal) -> Status {
        match refusal {
            Refusal::Reject(reject) => status::reject(reject),
            Refusal::Stopped => status::stopped(self.failed.load(Ordering::Acquire)),
        }
    }

    /// Nothing new is begun by a scheduler that drains.
    fn still_open(&self) -> Result<(), Status> {
        match *self.draining.borrow() {
            true => Err(status::stopped(self.failed.load(Ordering::Acquire))),
            false => Ok(()),
        }
    }
}

/// Items on a page: what was asked, 50 if nothing, at most 1000.
fn page_size(asked: u32) -> usize {
    match asked {
        0 => 50,
        asked => asked.min(1000) as usize,
    }
}

/// A page token: where the last page ended.
fn page_token<T: std::str::FromStr>(token: &str) -> Result<Option<T>, Status> {
    match token {
        "" => Ok(None),
        token => token.parse().map(Some).map_err(|_| status::page_token()),
    }
}

/// A 32-bit id; others are of nothing.
fn id(wire: u64) -> u32 {
    u32::try_from(wire).unwrap_or(u32::MAX)
}
