//! Brings finished frames and the job's receipt here: downloads, checks, renames into place.

use crate::config::Access;
use crate::exit::Exit;
use crate::jobs;
use crate::output::{Form, Progress};
use crate::verify::receipt::RECEIPT_BYTES_MAX;
use farm::digest::Digest;
use prost::Message;
use proto::v1;
use proto::v1::assets_client::AssetsClient;
use proto::v1::jobs_client::JobsClient;
use proto::v1::log_client::LogClient;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use worker::channel::Keyed;

/// `girih fetch`.
pub async fn run(access: &Access, form: Form, job_id: u64, out: &Path) -> anyhow::Result<Exit> {
    let keyed = access.address_with_key()?.connect().await?;
    let mut client = JobsClient::new(keyed.clone());
    let job = client.get_job(v1::GetJobRequest { job_id }).await?.into_inner();
    let files = frames(&keyed, form, &job, out).await?;
    let receipt = receipt(&keyed, job_id, out).await?;
    let marked = job.frames.iter().filter(|frame| frame.marked).count();
    let unproven = job.frames.iter().filter(|frame| !frame.proven).count();
    let lines = || {
        let mut lines: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
        if unproven > 0 {
            lines.push(format!("{unproven} frames are not proven yet: audits are still under way"));
        }
        lines.extend(marks(&job));
        if files.is_empty() {
            lines.push(format!("no finished frame yet; {}", jobs::summary(&job)));
        }
        lines.push(checked_by(&receipt));
        lines.join("\n")
    };
    let value =
        || json!({ "files": files, "receipt": receipt, "unproven": unproven, "marked": marked });
    form.say(lines, value)?;
    Ok(Exit::Ok)
}

/// Name of a frame's file.
pub fn frame_name(frame: u32, end: &str) -> String {
    format!("frame_{frame:04}.{end}")
}

/// What is to be said of frames that carry a mark.
pub fn marks(job: &v1::Job) -> Option<String> {
    let marked = job.frames.iter().filter(|frame| frame.marked).count();
    let (all, id) = (job.frames.len(), job.job_id);
    (marked > 0).then(|| {
        format!(
            "{marked} of {all} frames carry a mark, and nothing proves them: their pay is not \
             final. Bring them later without it: girih fetch {id}"
        )
    })
}

/// Downloads every stored frame of the job; files that are there already stay. A frame that carries
/// a mark has names of its own, so that nobody takes it for what the farm's log says.
pub async fn frames(
    keyed: &Keyed,
    form: Form,
    job: &v1::Job,
    out: &Path,
) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(out)
        .map_err(|error| anyhow::anyhow!("{}: {error}; name another --out", out.display()))?;
    let mut progress = Progress::new(form, job.frames.len() as u64);
    let mut files = Vec::new();
    for (done, frame) in (0..).zip(&job.frames) {
        progress.at(done, "frames fetched");
        for (bytes, end) in [(&frame.exr, "exr"), (&frame.png, "png")] {
            let clean = out.join(frame_name(frame.frame, end));
            let marked = out.join(frame_name(frame.frame, &format!("marked.{end}")));
            let digest = proto::convert::digest("frame.digest", bytes)?;
            let path = if frame.marked { &marked } else { &clean };
            download(keyed, job.job_id, &digest, frame.marked, path).await?;
            if !frame.marked && marked.exists() {
                std::fs::remove_file(&marked)?;
            }
            files.push(path.clone());
        }
    }
    progress.finish();
    Ok(files)
}

/// How a receipt is checked.
pub fn checked_by(receipt: &Path) -> String {
    let path = receipt.display();
    format!("{path}: what was proven and paid; check it with `girih verify --receipt {path}`")
}

/// Downloads the job's receipt and puts it beside the frames.
pub async fn receipt(keyed: &Keyed, job_id: u64, out: &Path) -> anyhow::Result<PathBuf> {
    let path = out.join(format!("job_{job_id}.receipt"));
    let part = path.with_extension("part");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&part)?);
    let ask = v1::GetReceiptRequest { job_id };
    let mut stream = LogClient::new(keyed.clone()).get_receipt(ask).await?.into_inner();
    let mut bytes_total = 0;
    while let Some(part) = stream.message().await? {
        let bytes = part.encode_to_vec();
        bytes_total += bytes.len() as u64;
        anyhow::ensure!(
            bytes_total <= RECEIPT_BYTES_MAX,
            "the receipt is too large to be read back"
        );
        file.write_all(&bytes)?;
    }
    file.into_inner()?.sync_all()?;
    std::fs::rename(&part, &path)?;
    Ok(path)
}

/// A small asset, checked.
pub async fn bytes(keyed: &Keyed, digest: &Digest, most: u64) -> anyhow::Result<Vec<u8>> {
    let mut client = AssetsClient::new(keyed.clone());
    let ask = v1::DownloadRequest {
        digest: proto::convert::wire_digest(digest),
        offset: 0,
        ..Default::default()
    };
    let mut stream = client.download(ask).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.message().await? {
        bytes.extend_from_slice(&chunk.data);
        anyhow::ensure!(bytes.len() as u64 <= most, "{digest} is larger than {most} bytes");
    }
    anyhow::ensure!(Digest::of(&bytes) == *digest, "the farm sent other bytes than {digest}");
    Ok(bytes)
}

/// Downloads an image to this path, unless the same bytes are there. One with a mark has another
/// digest than the log says, and none that could be checked.
async fn download(
    keyed: &Keyed,
    job_id: u64,
    digest: &Digest,
    marked: bool,
    path: &Path,
) -> anyhow::Result<()> {
    if !marked && std::fs::read(path).is_ok_and(|bytes| Digest::of(&bytes) == *digest) {
        return Ok(());
    }
    let mut client = AssetsClient::new(keyed.clone());
    let name = proto::convert::wire_digest(digest);
    let ask = v1::DownloadRequest { digest: name, offset: 0, job_id: Some(job_id), marked };
    let mut stream = client.download(ask).await?.into_inner();
    let part = path.with_extension("part");
    let mut file = std::fs::File::create(&part)?;
    let mut hasher = blake3::Hasher::new();
    while let Some(chunk) = stream.message().await? {
        hasher.update(&chunk.data);
        file.write_all(&chunk.data)?;
    }
    if !marked && Digest(*hasher.finalize().as_bytes()) != *digest {
        std::fs::remove_file(&part)?;
        anyhow::bail!("{}: the farm sent other bytes than it promised", path.display());
    }
    Ok(std::fs::rename(&part, path)?)
}
