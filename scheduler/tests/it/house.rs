//! A scheduler under test: a real one with a directory of its own, served in this process over
//! loopback; and those who call it.

use farm::digest::Digest;
use proto::convert::wire_digest;
use proto::v1;
use proto::v1::accounts_client::AccountsClient;
use proto::v1::assets_client::AssetsClient;
use proto::v1::jobs_client::JobsClient;
use proto::v1::ledger_client::LedgerClient;
use proto::v1::models_client::ModelsClient;
use proto::v1::workers_client::WorkersClient;
use scheduler::{Config, Running};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt;

/// Longest wait for anything that must come.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// A manifest of no files: the scene of every job here.
pub const SCENE: &[u8] = b"girih-bundle 1\n";
/// Names of requests for credits begin here: an account's requests share their names.
const TOP_UPS: u32 = 1 << 30;
/// The engine of every job here.
pub const ENGINE: Digest = Digest([7; 32]);

/// Settings of a small scheduler.
pub fn config(state: &Path) -> Config {
    Config {
        state: state.to_path_buf(),
        listen: "127.0.0.1:0".parse().unwrap(),
        price_per_million_units: 1_000_000_000,
        journal_segment_bytes: 64 << 10,
        ..Config::default()
    }
}

/// A running scheduler.
pub struct House {
    pub running: Running,
    pub config: Config,
    /// Goes with the last who uses it.
    pub dir: TempDir,
}

impl House {
    pub async fn open() -> Self {
        Self::with(|_| {}).await
    }

    /// A new one with settings of its own.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        change(&mut config);
        Self::start(config, dir).await.unwrap()
    }

    pub async fn start(config: Config, dir: TempDir) -> anyhow::Result<Self> {
        let running = Running::start(config.clone()).await?;
        Ok(Self { running, config, dir })
    }

    /// Drains it, and starts another in the same directory.
    pub async fn again(self) -> Self {
        let Self { running, config, dir } = self;
        running.stop().await.unwrap();
        Self::start(config, dir).await.unwrap()
    }

    /// A caller with this key.
    pub async fn at(&self, key: &str) -> Caller {
        Caller::at(&self.running.url, key).await
    }

    pub async fn operator(&self) -> Caller {
        let key = std::fs::read_to_string(self.config.state.join("operator.key")).unwrap();
        self.at(key.trim()).await
    }

    /// A new client with so many micro-credits.
    pub async fn client(&self, name: &str, credits: u64) -> Caller {
        self.operator().await.found(name, credits, &self.running.url).await
    }

    /// An artist with credits, whose scene is uploaded; the pot for audits is full.
    pub async fn artist(&self) -> Caller {
        self.operator().await.top_up(0, 1 << 40, 1).await.unwrap();
        let artist = self.client("artist", 1 << 40).await;
        artist.upload(SCENE).await.unwrap();
        artist
    }
}

/// Puts an API key into every call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Bearer {
    pub fn new(key: &str) -> Self {
        Self(format!("Bearer {key}").parse().unwrap())
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

pub type Keyed = InterceptedService<Channel, Bearer>;

/// Who calls: a key and a connection.
#[derive(Clone)]
pub struct Caller {
    pub key: String,
    pub account: u64,
    keyed: Keyed,
}

impl Caller {
    pub async fn at(url: &str, key: &str) -> Self {
        let channel = Endpoint::from_shared(url.to_string()).unwrap().connect().await.unwrap();
        let keyed = InterceptedService::new(channel, Bearer::new(key));
        let mut caller = Self { key: key.into(), account: u64::MAX, keyed };
        if let Ok(own) = caller.accounts().get_account(v1::GetAccountRequest {}).await {
            caller.account = own.into_inner().account_id;
        }
        caller
    }

    pub fn jobs(&self) -> JobsClient<Keyed> {
        JobsClient::new(self.keyed.clone())
    }

    pub fn assets(&self) -> AssetsClient<Keyed> {
        AssetsClient::new(self.keyed.clone())
    }

    pub fn workers(&self) -> WorkersClient<Keyed> {
        WorkersClient::new(self.keyed.clone())
    }

    pub fn accounts(&self) -> AccountsClient<Keyed> {
        AccountsClient::new(self.keyed.clone())
    }

    pub fn models(&self) -> ModelsClient<Keyed> {
        ModelsClient::new(self.keyed.clone())
    }

    pub fn ledger(&self) -> LedgerClient<Keyed> {
        LedgerClient::new(self.keyed.clone())
    }

    /// As an operator: opens an account and fills it.
    pub async fn found(&self, name: &str, credits: u64, url: &str) -> Self {
        let ask = v1::CreateAccountRequest { name: name.into(), role: v1::Role::Client.into() };
        let made = self.accounts().create_account(ask).await.unwrap().into_inner();
        let caller = Self::at(url, &made.api_key).await;
        if credits > 0 {
            self.top_up(caller.account, credits, 1).await.unwrap();
        }
        caller
    }

    /// As an operator: credits enter; gives what the account has then.
    pub async fn top_up(&self, account_id: u64, amount: u64, n: u32) -> Result<u64, Status> {
        let request_id = request_id(TOP_UPS + n);
        let ask = v1::TopUpRequest { request_id, account_id, amount };
        Ok(self.accounts().top_up(ask).await?.into_inner().available)
    }

    pub async fn balance(&self) -> v1::Balance {
        self.ledger().get_balance(v1::GetBalanceRequest {}).await.unwrap().into_inner()
    }

    /// Uploads an asset in one message; gives its digest.
    pub async fn upload(&self, data: &'static [u8]) -> Result<Digest, Status> {
        let digest = Digest::of(data);
        let first = v1::UploadRequest {
            digest: wire_digest(&digest),
            size: data.len() as u64,
            offset: 0,
            data: data.into(),
        };
        self.assets().upload(tokio_stream::iter([first])).await?;
        Ok(digest)
    }

    /// Orders a job; the same `n` is the same request.
    pub async fn order(&self, n: u32, spec: v1::JobSpec) -> Result<v1::Job, Status> {
        let ask = v1::CreateJobRequest {
            request_id: request_id(n),
            spec: Some(spec),
            max_spend: 1 << 30,
            ..Default::default()
        };
        Ok(self.jobs().create_job(ask).await?.into_inner())
    }

    pub async fn job(&self, job_id: u64) -> v1::Job {
        self.jobs().get_job(v1::GetJobRequest { job_id }).await.unwrap().into_inner()
    }
}

/// A job of one frame, cut into `side` times `side` tiles of 8 pixels.
pub fn spec(side: u32) -> v1::JobSpec {
    v1::JobSpec {
        engine: wire_digest(&ENGINE),
        scene: wire_digest(&Digest::of(SCENE)),
        environment: bytes::Bytes::new(),
        frame_first: 1,
        frame_last: 1,
        frame_step: 1,
        fps: 24,
        width: 8 * side,
        height: 8 * side,
        tile_size: 8,
        samples: 4,
        depth: 1,
        seed: 0,
        aovs: Vec::new(),
        noise: 0,
        cut: Vec::new(),
        work_per_pixel: 0,
        upstream: None,
    }
}

/// A request's name, as UUIDs are written.
pub fn request_id(n: u32) -> String {
    format!("{n:08x}-0000-4000-8000-000000000000")
}

/// The reason of a refusal. Every refusal has one, in UPPER_SNAKE, and a sentence.
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "girih.v1", "{status:?}");
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    assert!(!info.reason.is_empty() && info.reason.chars().all(upper), "{}", info.reason);
    assert!(status.message().len() > 10, "{status:?}");
    info.reason.clone()
}
