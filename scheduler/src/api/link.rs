//! A worker's link: nonce, hello, then reports in and leases out. One task reads the stream; what
//! goes out gathers in the outbox.

use super::{Api, id, status};
use crate::auth::Caller;
use crate::driver;
use crate::outbox::{Item, Outbox, OutboxStream};
use ed25519_dalek::{Signature, VerifyingKey};
use farm::Command;
use farm::command::{Connect, Outcome};
use farm::digest::Digest;
use farm::id::{AccountId, LeaseId, WorkerId};
use proto::seal::Half;
use proto::{convert, signing, v1};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tonic::{Code, Status, Streaming};
use v1::link_request::Kind;

/// How long a worker may take to say hello.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Reports, openings or leases in one message.
const ITEMS_MAX: usize = 4096;
/// Bytes of a worker's version text.
const VERSION_BYTES_MAX: usize = 64;

/// Opens the link: the stream out at once, a task for the stream in.
pub fn open(
    api: Api,
    caller: Caller,
    address: Option<IpAddr>,
    requests: Streaming<v1::LinkRequest>,
) -> Result<OutboxStream, Status> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce)
        .map_err(|error| status::because(Code::Internal, "NO_ENTROPY", error.to_string()))?;
    let outbox = Arc::new(Outbox::default());
    let kind = v1::link_response::Kind::Nonce(bytes::Bytes::copy_from_slice(&nonce));
    let first = v1::LinkResponse { kind: Some(kind) };
    let stream = {
        let (terms, vault) = (Arc::clone(&api.terms), Arc::clone(&api.vault));
        OutboxStream::new(Arc::clone(&outbox), terms, vault, first)
    };
    let link = Link { api, caller, address, nonce, outbox, requests };
    tokio::spawn(link.run());
    Ok(stream)
}

struct Link {
    api: Api,
    caller: Caller,
    /// Where it comes from.
    address: Option<IpAddr>,
    nonce: [u8; 32],
    outbox: Arc<Outbox>,
    requests: Streaming<v1::LinkRequest>,
}

impl Link {
    async fn run(mut self) {
        let mut draining = self.api.draining.clone();
        let joined = tokio::select! {
            joined = self.join() => joined,
            _ = draining.wait_for(|draining| *draining) => Err(status::stopped(false)),
        };
        let (worker, key) = match joined {
            Ok(joined) => joined,
            Err(status) => return self.outbox.close(Some(status)),
        };
        let outbox = Arc::clone(&self.outbox);
        let ended = tokio::select! {
            ended = self.listen(worker, &key) => ended,
            // A newer stream of this key took over, or this one is no longer read.
            () = outbox.closed() => Ok(()),
            _ = draining.wait_for(|draining| *draining) => Err(status::stopped(false)),
        };
        self.api.door.send(driver::Request::Leave { worker, outbox }).await.ok();
        self.outbox.close(ended.err());
    }

    /// Hears the hello, proves it and has the farm welcome the worker.
    async fn join(&mut self) -> Result<(WorkerId, VerifyingKey), Status> {
        let late = |_| status::because(Code::DeadlineExceeded, "HELLO_LATE", "no hello came");
        let first = tokio::time::timeout(HELLO_WITHIN, self.requests.message()).await;
        let first = first.map_err(late)??.and_then(|request| request.kind);
        let Some(Kind::Hello(hello)) = first else {
            let message = "a link begins with hello";
            return Err(status::because(Code::InvalidArgument, "HELLO_MISSING", message));
        };
        let key = self.prove(&hello)?;
        let half = Half::new();
        let public = half.public;
        let wrapper = half.agree(&hello.wrap_key).ok_or_else(|| {
            let message = "hello.wrap_key is no X25519 key";
            status::because(Code::InvalidArgument, "KEY_INVALID", message)
        })?;
        self.outbox.greet(wrapper, public);
        let engines = hello.engines.iter().map(|engine| convert::digest("hello.engines", engine));
        if hello.version.len() > VERSION_BYTES_MAX || hello.leases.len() > ITEMS_MAX {
            let message = "hello names at most 4096 leases and a version of 64 bytes";
            return Err(status::because(Code::InvalidArgument, "OFFER_INVALID", message));
        }
        let machine = match hello.machine.is_empty() {
            true => None,
            false => Some(convert::bytes32("hello.machine", &hello.machine)),
        };
        let machine = machine.transpose().map_err(status::malformed)?;
        let connect = Connect {
            key: key.to_bytes(),
            owner: AccountId(id(hello.account_id)),
            engines: engines.collect::<Result<_, _>>().map_err(status::malformed)?,
            device: hello.device,
            slots: hello.slots,
            units_per_second: hello.units_per_second,
            leases: hello.leases.into_iter().map(LeaseId::from_u64).collect(),
            groups: self.api.kin.groups(self.address, machine),
        };
        let (answer, answered) = oneshot::channel();
        let outbox = Arc::clone(&self.outbox);
        let request = driver::Request::Connect { connect, outbox, answer };
        self.api.door.send(request).await.map_err(|refusal| self.api.refused(refusal))?;
        let stopped = |_| self.api.refused(driver::Refusal::Stopped);
        let worker = answered.await.map_err(stopped)?.map_err(status::reject)?;
        Ok((worker, key))
    }

    /// The hello is signed for this very stream, by its key, for the caller's account.
    fn prove(&self, hello: &v1::Hello) -> Result<VerifyingKey, Status> {
        if hello.account_id != u64::from(self.caller.account.0) {
            let message = "hello.account_id is not the account of the API key";
            return Err(status::because(Code::PermissionDenied, "ACCOUNT_MISMATCH", message));
        }
        let bytes = convert::bytes32("hello.key", &hello.key).map_err(status::malformed)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| {
            status::because(Code::InvalidArgument, "KEY_INVALID", "hello.key is no Ed25519 key")
        })?;
        let (owner, wrap_key) = (hello.account_id, &hello.wrap_key);
        let signed = signing::hello_bytes(&self.nonce, &hello.key, owner, wrap_key);
        verify(&key, &signed, &hello.signature, "hello was not signed for this stream's nonce")?;
        Ok(key)
    }

    async fn listen(&mut self, worker: WorkerId, key: &VerifyingKey) -> Result<(), Status> {
        while let Some(request) = self.requests.message().await? {
            let commands = match request.kind {
                Some(Kind::Reports(reports)) => self.reports(worker, key, &reports).await?,
                Some(Kind::Openings(openings)) => self.openings(worker, &openings)?,
                Some(Kind::Renew(renew)) => {
                    check_items(renew.leases.len())?;
                    let leases = renew.leases.into_iter().map(LeaseId::from_u64).collect();
                    vec![(worker, Command::Renew { worker, leases })]
                }
                Some(Kind::Drain(_)) => vec![(worker, Command::Drain { worker })],
                Some(Kind::Hello(_)) => {
                    let message = "a link has one hello; open another link";
                    return Err(status::because(Code::InvalidArgument, "HELLO_REPEATED", message));
                }
                None => continue,
            };
            let request = driver::Request::Worker { commands };
            self.api.door.send(request).await.map_err(|refusal| self.api.refused(refusal))?;
        }
        Ok(())
    }

    /// Proves a batch of reports; those without their output are refused here.
    async fn reports(
        &self,
        worker: WorkerId,
        key: &VerifyingKey,
        reports: &v1::Reports,
    ) -> Result<Vec<(WorkerId, Command)>, Status> {
        check_items(reports.reports.len())?;
        let signed = signing::reports_bytes(&self.nonce, &reports.reports);
        verify(key, &signed, &reports.signature, "the reports were not signed for this stream")?;
        let mut commands = Vec::with_capacity(reports.reports.len());
        for report in &reports.reports {
            let (lease, outcome) = convert::report(report).map_err(status::malformed)?;
            if let Outcome::Done { output, .. } = &outcome
                && !self.has_output(output).await?
            {
                let refused = "OUTPUT_MISSING";
                self.outbox.push(Item::Ack { lease, settled: false, refused });
                self.outbox.wake();
                continue;
            }
            commands.push((worker, Command::Report { worker, lease, outcome }));
        }
        Ok(commands)
    }

    async fn has_output(&self, output: &Digest) -> Result<bool, Status> {
        Ok(*output == EMPTY || self.api.made.has(output).await.map_err(status::blob)?)
    }

    fn openings(
        &self,
        worker: WorkerId,
        openings: &v1::Openings,
    ) -> Result<Vec<(WorkerId, Command)>, Status> {
        check_items(openings.opened.len())?;
        let open = |opened| {
            let (lease, openings) = convert::opened(opened).map_err(status::malformed)?;
            Ok((worker, Command::Open { worker, lease, openings }))
        };
        openings.opened.iter().map(open).collect()
    }
}

/// BLAKE3 of nothing: the output of an engine that draws nothing.
const EMPTY: Digest = Digest([
    0xaf, 0x13, 0x49, 0xb9, 0xf5, 0xf9, 0xa1, 0xa6, 0xa0, 0x40, 0x4d, 0xea, 0x36, 0xdc, 0xc9, 0x49,
    0x9b, 0xcb, 0x25, 0xc9, 0xad, 0xc1, 0x12, 0xb7, 0xcc, 0x9a, 0x93, 0xca, 0xe4, 0x1f, 0x32, 0x62,
]);

fn check_items(count: usize) -> Result<(), Status> {
    if count <= ITEMS_MAX {
        return Ok(());
    }
    let message = "a message has at most 4096 items";
    Err(status::because(Code::InvalidArgument, "TOO_MANY_ITEMS", message))
}

fn verify(
    key: &VerifyingKey,
    signed: &[u8],
    signature: &[u8],
    otherwise: &'static str,
) -> Result<(), Status> {
    Signature::from_slice(signature)
        .and_then(|signature| key.verify_strict(signed, &signature))
        .map_err(|_| status::because(Code::Unauthenticated, "SIGNATURE_INVALID", otherwise))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_digest_is_that_of_nothing() {
        assert_eq!(EMPTY, Digest::of(&[]));
    }
}
