//! Jobs: create, look at, list, watch, cancel, explain.

use super::models::named;
use super::{Api, id, page_size, page_token, status};
use crate::auth::Caller;
use crate::sealed::Assets;
use farm::appeal::Matter;
use farm::command::Submit;
use farm::digest::Digest;
use farm::id::{AccountId, JobId, ModelId};
use farm::job::Spec;
use farm::money::{Amount, Price};
use farm::view::{JobState, JobView};
use farm::{Command, Reject, Reply};
use futures::Stream;
use proto::seal::{Key, Lock};
use proto::{aov, convert, v1};
use std::pin::Pin;
use std::sync::Arc;
use tonic::{Code, Request, Response, Status};

impl Api {
    /// The caller's job; to others it does not exist.
    pub(super) async fn own_job(&self, caller: Caller, job: u64) -> Result<JobView, Status> {
        let job = JobId(id(job));
        let view = self.read(move |farm| farm.job(job)).await?;
        view.filter(|view| caller.may_see(view.account))
            .ok_or_else(|| status::reject(Reject::UnknownJob))
    }

    /// Every file of the job is here, before any money is held.
    async fn check_assets(
        &self,
        account: AccountId,
        spec: &Spec,
        lock: Option<&Lock>,
        model: Option<ModelId>,
    ) -> Result<(), Status> {
        let assets = Assets::of(&self.blobs, lock).await.map_err(status::asset)?;
        check_asset(&assets, &spec.scene, "").await?;
        let named = named(&assets, &spec.scene, spec.environment).await?;
        for file in &named {
            check_asset(&assets, &file.digest, &file.path).await?;
        }
        self.check_models(account, spec, &named, model).await
    }

    /// Puts the lock of a job's assets into the vault; gives what commits to it.
    async fn keep(&self, lock: Lock) -> Result<Digest, Status> {
        let vault = Arc::clone(&self.vault);
        let kept = tokio::task::spawn_blocking(move || vault.keep(&lock)).await;
        let kept = kept.map_err(std::io::Error::other).and_then(|kept| kept);
        kept.map_err(|error| status::blob(error.into()))
    }

    fn check_frame(&self, spec: &Spec) -> Result<(), Status> {
        let pixels = u64::from(spec.width) * u64::from(spec.height);
        // AOVs take a frame's memory as pixels do.
        let most =
            self.config.frame_pixels_max.saturating_mul(aov::words(0)) / aov::words(spec.aovs);
        if pixels <= most {
            return Ok(());
        }
        let with = if spec.aovs == 0 { "" } else { " with these AOVs" };
        let message =
            format!("a frame of {pixels} pixels is too large; this farm takes {most}{with}");
        Err(status::because(Code::InvalidArgument, "FRAME_TOO_LARGE", message))
    }
}

async fn check_asset(assets: &Assets<'_>, digest: &Digest, path: &str) -> Result<(), Status> {
    if assets.has(digest).await.map_err(status::asset)? {
        return Ok(());
    }
    let name = if path.is_empty() { String::new() } else { format!("`{path}` of the scene: ") };
    let message = format!("{name}the farm does not have {digest}; upload it first");
    Err(status::because(Code::FailedPrecondition, "ASSET_MISSING", message))
}

/// What opens the job's assets, if they are sealed.
fn lock(seal: &v1::Seal) -> Result<Lock, Status> {
    let sealed = convert::digest("seal.keyring", &seal.keyring).map_err(status::malformed)?;
    let key = Key::from_bytes(&seal.key).ok_or_else(|| {
        let message = "seal.key must have 32 bytes";
        status::because(Code::InvalidArgument, "MALFORMED", message)
    })?;
    Ok(Lock { sealed, key })
}

#[tonic::async_trait]
impl v1::jobs_server::Jobs for Api {
    type WatchJobStream = Pin<Box<dyn Stream<Item = Result<v1::Job, Status>> + Send>>;

    async fn create_job(
        &self,
        request: Request<v1::CreateJobRequest>,
    ) -> Result<Response<v1::Job>, Status> {
        let caller = self.caller(&request)?;
        self.still_open()?;
        let wire = request.into_inner();
        let missing = "spec must be present";
        let spec = wire
            .spec
            .as_ref()
            .ok_or_else(|| status::because(Code::InvalidArgument, "MALFORMED", missing))?;
        let spec = convert::spec(spec).map_err(status::malformed)?;
        let request = convert::request_id(&wire.request_id).map_err(status::malformed)?;
        if wire.priority > 0 && !caller.operator {
            let message = "only an operator may raise a job's priority; leave it 0";
            return Err(status::because(Code::PermissionDenied, "PRIORITY_DENIED", message));
        }
        if !spec.is_valid() {
            return Err(status::reject(Reject::SpecInvalid));
        }
        self.check_frame(&spec)?;
        let lock = wire.seal.as_ref().map(lock).transpose()?;
        let model = wire.model_id.map(|model| ModelId(id(model)));
        self.check_assets(caller.account, &spec, lock.as_ref(), model).await?;
        // It is kept before there is a job that wants it.
        let seal = match lock {
            Some(lock) => Some(self.keep(lock).await?),
            None => None,
        };
        let submit = Submit {
            account: caller.account,
            request,
            spec,
            cap: Amount(wire.max_spend),
            price: Price(self.config.price_per_million_units),
            priority: u8::try_from(wire.priority).unwrap_or(u8::MAX),
            private: wire.private,
            audit_own: wire.audit_own,
            model,
            seal,
            watermark: wire.watermark,
        };
        let Reply::Job(job) = self.apply(Command::Submit(Box::new(submit))).await? else {
            unreachable!("an order is answered with its job");
        };
        let view = self.own_job(caller, u64::from(job.0)).await?;
        Ok(Response::new(convert::wire_job(&view)))
    }

    async fn get_job(
        &self,
        request: Request<v1::GetJobRequest>,
    ) -> Result<Response<v1::Job>, Status> {
        let caller = self.caller(&request)?;
        let view = self.own_job(caller, request.get_ref().job_id).await?;
        Ok(Response::new(convert::wire_job(&view)))
    }

    async fn list_jobs(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        let caller = self.caller(&request)?;
        let size = page_size(request.get_ref().page_size);
        let before = page_token(&request.get_ref().page_token)?.map(JobId);
        let account = (!caller.operator).then_some(caller.account);
        let views = self.read(move |farm| farm.jobs(account, before, size)).await?;
        let next_page_token = match views.last() {
            Some(last) if views.len() == size && last.job.0 > 0 => last.job.0.to_string(),
            _ => String::new(),
        };
        let jobs = views.iter().map(|view| {
            let mut job = convert::wire_job(view);
            job.spec.iter_mut().for_each(|spec| spec.cut.clear());
            job
        });
        let jobs = jobs.collect();
        Ok(Response::new(v1::ListJobsResponse { jobs, next_page_token }))
    }

    async fn cancel_job(
        &self,
        request: Request<v1::CancelJobRequest>,
    ) -> Result<Response<v1::Job>, Status> {
        let caller = self.caller(&request)?;
        let job = self.own_job(caller, request.get_ref().job_id).await?.job;
        self.apply(Command::Cancel { job }).await?;
        let view = self.own_job(caller, u64::from(job.0)).await?;
        Ok(Response::new(convert::wire_job(&view)))
    }

    async fn watch_job(
        &self,
        request: Request<v1::WatchJobRequest>,
    ) -> Result<Response<Self::WatchJobStream>, Status> {
        let caller = self.caller(&request)?;
        let job = self.own_job(caller, request.get_ref().job_id).await?.job;
        let seen = self.watchers.watch(job, &self.door);
        let draining = self.draining.clone();
        let jobs = futures::stream::unfold(Some((seen, draining)), async |watching| {
            let (mut seen, mut draining) = watching?;
            tokio::select! {
                changed = seen.changed() => changed.ok()?,
                _ = draining.wait_for(|draining| *draining) => {
                    return Some((Err(status::stopped(false)), None));
                }
            }
            let view = seen.borrow_and_update().clone()?;
            let going = view.state == JobState::Open;
            Some((Ok(convert::wire_job(&view)), going.then_some((seen, draining))))
        });
        Ok(Response::new(Box::pin(jobs)))
    }

    async fn get_market(
        &self,
        request: Request<v1::GetMarketRequest>,
    ) -> Result<Response<v1::Market>, Status> {
        let caller = self.caller(&request)?;
        let asked = request.get_ref();
        let engine = convert::digest("engine", &asked.engine).map_err(status::malformed)?;
        let owner = asked.private.then_some(caller.account);
        let able = self.read(move |farm| farm.capacity(&engine, owner)).await?;
        Ok(Response::new(v1::Market {
            price: self.config.price_per_million_units,
            workers: able.workers,
            slots: able.slots,
            units_per_second: able.units_per_second,
        }))
    }

    async fn appeal_tile(
        &self,
        request: Request<v1::AppealTileRequest>,
    ) -> Result<Response<v1::Appeal>, Status> {
        let caller = self.caller(&request)?;
        let v1::AppealTileRequest { job_id, tile } = request.into_inner();
        let matter = Matter::Tile(JobId(id(job_id)), tile);
        self.appeal(caller, matter).await.map(Response::new)
    }

    async fn explain_tile(
        &self,
        request: Request<v1::ExplainTileRequest>,
    ) -> Result<Response<v1::Explanation>, Status> {
        let caller = self.caller(&request)?;
        let job = self.own_job(caller, request.get_ref().job_id).await?.job;
        let tile = request.get_ref().tile;
        let lines = self.read(move |farm| farm.explain_tile(job, tile)).await?;
        Ok(Response::new(v1::Explanation { lines }))
    }
}
