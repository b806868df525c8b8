//! Uploads of assets: proven by their digest, resumable, refused when they lie.

use crate::house::{Caller, House, PATIENCE, reason};
use farm::digest::Digest;
use proto::convert::wire_digest;
use proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

const CHUNK: usize = 1 << 20;

/// Where an upload of this goes on; `None` if the farm has it all.
pub async fn offset(caller: &Caller, digest: &Digest) -> Option<u64> {
    let ask = v1::FindMissingRequest { digests: vec![wire_digest(digest)] };
    let answer = caller.assets().find_missing(ask).await.unwrap().into_inner();
    answer.missing.first().map(|missing| missing.offset)
}

/// Uploads `data[offset..]` under a digest, in chunks.
pub async fn send(
    caller: &Caller,
    digest: &Digest,
    data: &[u8],
    offset: u64,
) -> Result<(), Status> {
    let mut requests: Vec<v1::UploadRequest> = data[offset as usize..]
        .chunks(CHUNK)
        .map(|chunk| v1::UploadRequest { data: chunk.to_vec().into(), ..Default::default() })
        .collect();
    requests[0].digest = wire_digest(digest);
    requests[0].size = data.len() as u64;
    requests[0].offset = offset;
    caller.assets().upload(tokio_stream::iter(requests)).await?;
    Ok(())
}

pub async fn download(caller: &Caller, digest: &Digest, offset: u64) -> Result<Vec<u8>, Status> {
    let ask = v1::DownloadRequest { digest: wire_digest(digest), offset, ..Default::default() };
    let mut chunks = caller.assets().download(ask).await?.into_inner();
    let mut data = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        assert!(chunk.data.len() <= CHUNK);
        data.extend_from_slice(&chunk.data);
    }
    Ok(data)
}

fn some_bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * 31 / 8) as u8).collect()
}

#[tokio::test]
async fn bytes_of_another_digest_are_refused_and_forgotten() {
    let house = House::open().await;
    let artist = house.client("artist", 0).await;
    let (data, other) = (some_bytes(3 * CHUNK), Digest::of(b"something else"));
    let refused = send(&artist, &other, &data, 0).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(reason(&refused), "DIGEST_MISMATCH");
    assert_eq!(offset(&artist, &other).await, Some(0));
    assert_eq!(offset(&artist, &Digest::of(&data)).await, Some(0));
    let missing = download(&artist, &other, 0).await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing)), (Code::NotFound, "ASSET_MISSING".into()));
    assert!(std::fs::read_dir(house.config.state.join("blobs")).unwrap().next().is_none());
    assert!(std::fs::read_dir(house.config.state.join("uploads")).unwrap().next().is_none());
}

#[tokio::test]
async fn an_upload_that_was_cut_goes_on_where_it_stopped() {
    let house = House::open().await;
    let artist = house.client("artist", 0).await;
    let data = some_bytes(4 * CHUNK + 17);
    let digest = Digest::of(&data);
    let (say, said) = mpsc::channel(8);
    let mut assets = artist.assets();
    let upload = tokio::spawn(async move { assets.upload(ReceiverStream::new(said)).await });
    let first = v1::UploadRequest {
        digest: wire_digest(&digest),
        size: data.len() as u64,
        offset: 0,
        data: data[..CHUNK].to_vec().into(),
    };
    say.send(first).await.unwrap();
    let second =
        v1::UploadRequest { data: data[CHUNK..2 * CHUNK].to_vec().into(), ..Default::default() };
    say.send(second).await.unwrap();
    let arrived = async { while offset(&artist, &digest).await != Some(2 * CHUNK as u64) {} };
    tokio::time::timeout(PATIENCE, arrived).await.expect("two chunks arrive");
    let meanwhile = send(&artist, &digest, &data, 2 * CHUNK as u64).await.unwrap_err();
    assert_eq!(reason(&meanwhile), "UPLOAD_IN_PROGRESS");
    upload.abort();
    drop(say);

    let wrong = until_free(|| send(&artist, &digest, &data, CHUNK as u64)).await.unwrap_err();
    assert_eq!(reason(&wrong), "OFFSET_MISMATCH");
    let from = offset(&artist, &digest).await.unwrap();
    assert_eq!(from, 2 * CHUNK as u64);
    until_free(|| send(&artist, &digest, &data, from)).await.unwrap();
    assert_eq!(offset(&artist, &digest).await, None);
    assert_eq!(download(&artist, &digest, 0).await.unwrap(), data);
    assert_eq!(download(&artist, &digest, 3_000_000).await.unwrap(), data[3_000_000..]);
    // What is there need not be sent again.
    send(&artist, &digest, &data, 0).await.unwrap();
}

/// Tries until the server has noticed that the upload before was cut.
async fn until_free<F: Future<Output = Result<(), Status>>>(
    attempt: impl Fn() -> F,
) -> Result<(), Status> {
    let tries = async {
        loop {
            match attempt().await {
                Err(status) if reason(&status) == "UPLOAD_IN_PROGRESS" => {}
                outcome => return outcome,
            }
        }
    };
    tokio::time::timeout(PATIENCE, tries).await.expect("the cut is noticed")
}

#[tokio::test]
async fn sizes_and_chunks_beyond_their_limits_are_refused() {
    let house = House::with(|config| config.asset_bytes_max = 1000).await;
    let artist = house.client("artist", 0).await;
    let data = some_bytes(1001);
    let large = send(&artist, &Digest::of(&data), &data, 0).await.unwrap_err();
    assert_eq!((large.code(), reason(&large)), (Code::InvalidArgument, "TOO_LARGE".into()));
    let first = v1::UploadRequest {
        digest: wire_digest(&Digest::of(b"x")),
        size: 10,
        offset: 0,
        data: some_bytes(11).into(),
    };
    let more = artist.assets().upload(tokio_stream::iter([first.clone()])).await.unwrap_err();
    assert_eq!(reason(&more), "SIZE_MISMATCH");
    let fewer = v1::UploadRequest { data: some_bytes(3).into(), ..first.clone() };
    let fewer = artist.assets().upload(tokio_stream::iter([fewer])).await.unwrap_err();
    assert_eq!(reason(&fewer), "SIZE_MISMATCH");
    let chunk = v1::UploadRequest { data: some_bytes(CHUNK + 1).into(), ..first };
    let chunk = artist.assets().upload(tokio_stream::iter([chunk])).await.unwrap_err();
    assert_eq!(reason(&chunk), "CHUNK_TOO_LARGE");
    let none: [v1::UploadRequest; 0] = [];
    let none = artist.assets().upload(tokio_stream::iter(none)).await.unwrap_err();
    assert_eq!(reason(&none), "MALFORMED");
}

#[tokio::test]
async fn a_disk_with_too_little_room_takes_no_upload() {
    let house = House::with(|config| config.disk_free_bytes_min = u64::MAX).await;
    let artist = house.client("artist", 0).await;
    let refused = artist.upload(b"anything").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::ResourceExhausted, "DISK_FULL".into()));
}
