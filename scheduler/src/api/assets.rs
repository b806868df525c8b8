//! Assets: what is missing, upload, download.

use super::{Api, status};
use crate::auth::Caller;
use crate::blobs::BlobError;
use crate::made;
use farm::Command;
use farm::digest::Digest;
use farm::view::FrameView;
use futures::Stream;
use proto::convert::{self, wire_digest};
use proto::v1;
use std::pin::Pin;
use tonic::{Code, Request, Response, Status, Streaming};

/// Bytes of a chunk.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Digests in one question.
const DIGESTS_MAX: usize = 10_000;

/// A chunk of acceptable size.
pub fn check_chunk(data: &[u8]) -> Result<(), Status> {
    if data.len() <= CHUNK_BYTES_MAX {
        return Ok(());
    }
    let message = "data must be at most 1 MiB a message";
    Err(status::because(Code::InvalidArgument, "CHUNK_TOO_LARGE", message))
}

/// A size within its limit.
pub fn check_size(size: u64, most: u64) -> Result<(), Status> {
    if size <= most {
        return Ok(());
    }
    let message = format!("size must be at most {most} bytes, not {size}");
    Err(status::because(Code::InvalidArgument, "TOO_LARGE", message))
}

/// The first message of a stream that has none.
pub fn no_first() -> Status {
    status::because(Code::InvalidArgument, "MALFORMED", "the stream must have a first message")
}

#[tonic::async_trait]
impl v1::assets_server::Assets for Api {
    type DownloadStream = Pin<Box<dyn Stream<Item = Result<v1::DownloadResponse, Status>> + Send>>;

    async fn find_missing(
        &self,
        request: Request<v1::FindMissingRequest>,
    ) -> Result<Response<v1::FindMissingResponse>, Status> {
        let account = self.caller(&request)?.account;
        let digests = request.into_inner().digests;
        if digests.len() > DIGESTS_MAX {
            let message = "digests must be at most 10,000; ask in parts";
            return Err(status::because(Code::InvalidArgument, "TOO_MANY_DIGESTS", message));
        }
        let mut missing = Vec::new();
        for bytes in digests {
            let digest = convert::digest("digests", &bytes).map_err(status::malformed)?;
            if !self.owns(account, digest).await? {
                // Whoever has a published model shows it by sending all of it.
                missing.push(v1::MissingAsset { digest: bytes, offset: 0 });
            } else if !self.blobs.has(&digest).await.map_err(status::blob)? {
                let offset = self.blobs.offset(&digest).await;
                missing.push(v1::MissingAsset { digest: bytes, offset });
            }
        }
        Ok(Response::new(v1::FindMissingResponse { missing }))
    }

    async fn upload(
        &self,
        request: Request<Streaming<v1::UploadRequest>>,
    ) -> Result<Response<v1::UploadResponse>, Status> {
        let account = self.caller(&request)?.account;
        self.still_open()?;
        let mut chunks = request.into_inner();
        let first = chunks.message().await?.ok_or_else(no_first)?;
        let digest = convert::digest("digest", &first.digest).map_err(status::malformed)?;
        check_size(first.size, self.config.asset_bytes_max)?;
        let response = v1::UploadResponse { digest: wire_digest(&digest) };
        let owns = self.owns(account, digest).await?;
        if owns && self.blobs.has(&digest).await.map_err(status::blob)? {
            return Ok(Response::new(response));
        }
        // What somebody else has sent of it shows nothing.
        let offset = if owns { first.offset } else { 0 };
        if offset != first.offset {
            let (have, offset) = (0, first.offset);
            return Err(status::blob(BlobError::WrongOffset { digest, have, offset }));
        }
        let upload = self.blobs.upload(digest, first.size, offset).await;
        let mut upload = upload.map_err(status::blob)?;
        let mut data = first.data;
        loop {
            check_chunk(&data)?;
            upload.write(&data).await.map_err(status::blob)?;
            match chunks.message().await {
                Ok(Some(chunk)) => data = chunk.data,
                Ok(None) => break,
                Err(interrupted) => {
                    upload.pause().await;
                    return Err(interrupted);
                }
            }
        }
        upload.finish().await.map_err(status::blob)?;
        if !owns {
            self.apply(Command::Show { account, asset: digest }).await?;
        }
        Ok(Response::new(response))
    }

    async fn download(
        &self,
        request: Request<v1::DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        let caller = self.caller(&request)?;
        let wire = request.into_inner();
        let digest = convert::digest("digest", &wire.digest).map_err(status::malformed)?;
        let what = self.downloaded(caller, digest, wire.job_id, wire.marked).await?;
        let size = match &what {
            Stored::Asset(digest) => self.blobs.size(digest).await,
            Stored::Made(name) => self.made.size(name).await,
        };
        let size = size.map_err(status::blob)?;
        let api = self.clone();
        let start = Some((wire.offset.min(size), true));
        let chunks = futures::stream::unfold(start, move |at| {
            let api = api.clone();
            async move {
                let (from, first) = at?;
                if from == size && !first {
                    return None;
                }
                let to = size.min(from + CHUNK_BYTES_MAX as u64);
                let data = api.chunk(&what, from, to).await;
                let size = if first { size } else { 0 };
                let next = data.is_ok().then_some((to, false));
                let response = data.map(|data| v1::DownloadResponse { size, data });
                Some((response.map_err(status::blob), next))
            }
        });
        Ok(Response::new(Box::pin(chunks)))
    }
}

/// Where bytes are that are downloaded.
#[derive(Clone, Copy)]
enum Stored {
    Asset(Digest),
    Made(Digest),
}

impl Api {
    /// What a caller gets for a digest: an image of a job of its own, what its workers' leases are
    /// made of, or an asset.
    async fn downloaded(
        &self,
        caller: Caller,
        digest: Digest,
        job: Option<u64>,
        marked: bool,
    ) -> Result<Stored, Status> {
        if let Some(job) = job {
            let job = self.own_job(caller, job).await?;
            let image = |frame: &&FrameView| frame.exr == digest || frame.png == digest;
            let frame = job.frames.iter().find(image);
            let frame = frame.ok_or_else(|| status::blob(BlobError::Missing(digest)))?;
            return match marked {
                true => Ok(Stored::Made(made::marked(&digest))),
                false if job.watermark && !frame.settled => Err(status::marked(frame.frame)),
                false => Ok(Stored::Made(digest)),
            };
        }
        if self.made.has(&digest).await.map_err(status::blob)? {
            let owner = caller.account;
            if self.read(move |farm| farm.feeds_worker_of(owner, &digest)).await? {
                return Ok(Stored::Made(digest));
            }
        }
        self.may_download(caller, digest).await?;
        Ok(Stored::Asset(digest))
    }

    async fn chunk(&self, what: &Stored, from: u64, to: u64) -> Result<bytes::Bytes, BlobError> {
        match what {
            _ if from == to => Ok(bytes::Bytes::new()),
            Stored::Asset(digest) => self.blobs.part(digest, from, to).await,
            Stored::Made(name) => self.made.part(name, from, to).await,
        }
    }
}
