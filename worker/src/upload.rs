//! The bytes of a finished tile on their way to the farm.

use crate::channel::Keyed;
use crate::results::{Product, Results};
use bytes::Bytes;
use farm::digest::Digest;
use farm::id::LeaseId;
use proto::v1;
use tonic::{Code, Status};

/// Bytes in one message.
const CHUNK_BYTES: usize = 1 << 20;

/// Sends the output of this lease.
pub async fn send(results: Results, lease: LeaseId, farm: Keyed) -> Result<(), Status> {
    let product = tokio::task::spawn_blocking(move || results.get(lease)).await;
    let output = match product {
        Ok(Ok((_, Product::Tile { output, .. }))) => Bytes::from(output),
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => return Err(Status::not_found(error.to_string())),
        Err(error) => return Err(Status::internal(error.to_string())),
    };
    let mut client = v1::workers_client::WorkersClient::new(farm);
    client.upload_output(tokio_stream::iter(messages(lease, &output))).await.map(|_| ())
}

/// The messages that carry an output: the first names it.
pub fn messages(lease: LeaseId, output: &Bytes) -> Vec<v1::UploadOutputRequest> {
    let mut messages = vec![v1::UploadOutputRequest {
        lease: lease.to_u64(),
        digest: proto::convert::wire_digest(&Digest::of(output)),
        size: output.len() as u64,
        data: output.slice(..output.len().min(CHUNK_BYTES)),
    }];
    let mut at = CHUNK_BYTES;
    while at < output.len() {
        let data = output.slice(at..output.len().min(at + CHUNK_BYTES));
        messages.push(v1::UploadOutputRequest { data, ..Default::default() });
        at += CHUNK_BYTES;
    }
    messages
}

/// Whether the farm will not take this output, however often it is sent.
pub fn is_refusal(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::NotFound | Code::FailedPrecondition | Code::InvalidArgument | Code::PermissionDenied
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_cut_into_messages_that_give_it_back() {
        for size in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let output = Bytes::from(vec![5; size]);
            let messages = messages(LeaseId { slot: 1, epoch: 2 }, &output);
            assert_eq!(messages[0].size, size as u64);
            let whole: Vec<u8> = messages.iter().flat_map(|message| message.data.clone()).collect();
            assert_eq!(whole, output);
            assert!(messages.iter().all(|message| message.data.len() <= CHUNK_BYTES));
        }
    }
}
