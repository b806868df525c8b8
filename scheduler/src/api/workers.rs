//! Workers: the link, output bytes, lists and explanations.

use super::assets::{check_chunk, check_size, no_first};
use super::{Api, id, page_size, page_token, status};
use crate::outbox::OutboxStream;
use farm::appeal::Matter;
use farm::digest::Digest;
use farm::id::WorkerId;
use farm::money::Amount;
use farm::{Command, Reject, Reply};
use proto::aov::TILE_BYTES_MAX;
use proto::{convert, v1};
use tonic::{Code, Request, Response, Status, Streaming};

#[tonic::async_trait]
impl v1::workers_server::Workers for Api {
    type LinkStream = OutboxStream;

    async fn link(
        &self,
        request: Request<Streaming<v1::LinkRequest>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let caller = self.caller(&request)?;
        self.still_open()?;
        let address = request.remote_addr().map(|address| address.ip());
        super::link::open(self.clone(), caller, address, request.into_inner()).map(Response::new)
    }

    async fn upload_output(
        &self,
        request: Request<Streaming<v1::UploadOutputRequest>>,
    ) -> Result<Response<v1::UploadOutputResponse>, Status> {
        let caller = self.caller(&request)?;
        self.still_open()?;
        let mut chunks = request.into_inner();
        let first = chunks.message().await?.ok_or_else(no_first)?;
        let digest = convert::digest("digest", &first.digest).map_err(status::malformed)?;
        check_size(first.size, TILE_BYTES_MAX)?;
        let owner = caller.account;
        let works = self.read(move |farm| !farm.workers(Some(owner), None, 1).is_empty());
        if !works.await? {
            return Err(status::reject(Reject::LeaseUnknown));
        }
        let mut bytes = Vec::with_capacity(first.size as usize);
        let mut data = first.data;
        loop {
            check_chunk(&data)?;
            check_size((bytes.len() + data.len()) as u64, first.size)?;
            bytes.extend_from_slice(&data);
            match chunks.message().await? {
                Some(chunk) => data = chunk.data,
                None => break,
            }
        }
        if Digest::of(&bytes) != digest {
            return Err(status::blob(crate::blobs::BlobError::DigestMismatch(digest)));
        }
        if !bytes.is_empty() && !self.made.has(&digest).await.map_err(status::blob)? {
            self.made.put(&bytes).await.map_err(status::blob)?;
        }
        Ok(Response::new(v1::UploadOutputResponse {}))
    }

    async fn list_workers(
        &self,
        request: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        let caller = self.caller(&request)?;
        let wire = request.get_ref();
        if wire.all && !caller.operator {
            return Err(status::operators_only());
        }
        let owner = (!wire.all).then_some(caller.account);
        let size = page_size(wire.page_size);
        let after = page_token(&wire.page_token)?.map(WorkerId);
        let views = self.read(move |farm| farm.workers(owner, after, size)).await?;
        let next_page_token = match views.last() {
            Some(last) if views.len() == size => last.worker.0.to_string(),
            _ => String::new(),
        };
        let workers = views.iter().map(convert::wire_worker).collect();
        Ok(Response::new(v1::ListWorkersResponse { workers, next_page_token }))
    }

    async fn appeal_refutation(
        &self,
        request: Request<v1::AppealRefutationRequest>,
    ) -> Result<Response<v1::Appeal>, Status> {
        let caller = self.caller(&request)?;
        let worker = WorkerId(id(request.get_ref().worker_id));
        self.appeal(caller, Matter::Refutation(worker)).await.map(Response::new)
    }

    async fn stake_worker(
        &self,
        request: Request<v1::StakeWorkerRequest>,
    ) -> Result<Response<v1::StakeWorkerResponse>, Status> {
        let account = self.caller(&request)?.account;
        let wire = request.into_inner();
        let worker = WorkerId(id(wire.worker_id));
        let request = convert::request_id(&wire.request_id).map_err(status::malformed)?;
        let command = Command::Stake { account, worker, amount: Amount(wire.amount), request };
        let Reply::Staked { stake, .. } = self.apply(command).await? else {
            unreachable!("a stake is answered with what is staked");
        };
        Ok(Response::new(v1::StakeWorkerResponse { stake: stake.0 }))
    }

    async fn unstake_worker(
        &self,
        request: Request<v1::UnstakeWorkerRequest>,
    ) -> Result<Response<v1::UnstakeWorkerResponse>, Status> {
        let account = self.caller(&request)?.account;
        let worker = WorkerId(id(request.get_ref().worker_id));
        let command = Command::Unstake { account, worker };
        let Reply::Staked { returned, .. } = self.apply(command).await? else {
            unreachable!("a stake that is taken back is answered with what it was");
        };
        Ok(Response::new(v1::UnstakeWorkerResponse { returned: returned.0 }))
    }

    async fn explain_worker(
        &self,
        request: Request<v1::ExplainWorkerRequest>,
    ) -> Result<Response<v1::Explanation>, Status> {
        let caller = self.caller(&request)?;
        let worker = WorkerId(id(request.get_ref().worker_id));
        let view = self.read(move |farm| farm.worker(worker)).await?;
        if !view.is_some_and(|view| caller.may_see(view.owner)) {
            return Err(status::because(
                Code::NotFound,
                Reject::UnknownWorker.reason(),
                "the account has no such worker",
            ));
        }
        let lines = self.read(move |farm| farm.explain_worker(worker)).await?;
        Ok(Response::new(v1::Explanation { lines }))
    }
}
