//! A worker by hand: it says on its link what a test has it say, and hears what comes.

use crate::house::{Caller, ENGINE, PATIENCE};
use ed25519_dalek::{Signer, SigningKey};
use farm::digest::Digest;
use farm::leaf::{Leaf, commit};
use proto::convert::{wire_digest, wire_leaf};
use proto::{signing, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use v1::link_request::Kind as Say;
use v1::link_response::Kind as Hear;
use v1::report::Outcome;

/// One link of a worker's key.
pub struct Hand {
    key: SigningKey,
    account: u64,
    pub nonce: bytes::Bytes,
    say: mpsc::Sender<v1::LinkRequest>,
    hear: Streaming<v1::LinkResponse>,
    pub worker: u64,
    pub live: Vec<u64>,
    /// Leases that came while something else was awaited.
    waiting: Vec<v1::Lease>,
}

impl Hand {
    /// Opens a link and waits for its nonce.
    pub async fn knock(caller: &Caller, seed: u8) -> Self {
        let (say, said) = mpsc::channel(64);
        let link = caller.workers().link(ReceiverStream::new(said)).await;
        let mut hand = Self {
            key: SigningKey::from_bytes(&[seed; 32]),
            account: caller.account,
            nonce: bytes::Bytes::new(),
            say,
            hear: link.unwrap().into_inner(),
            worker: u64::MAX,
            live: Vec::new(),
            waiting: Vec::new(),
        };
        let Ok(Hear::Nonce(nonce)) = hand.next().await else { panic!("no nonce") };
        assert_eq!(nonce.len(), 32);
        hand.nonce = nonce;
        hand
    }

    /// Opens a link, says hello with these leases, and is welcomed.
    pub async fn enter(caller: &Caller, seed: u8, slots: u32, leases: Vec<u64>) -> Self {
        let mut hand = Self::knock(caller, seed).await;
        let hello = hand.hello(slots, leases);
        hand.tell(Say::Hello(hello)).await;
        let Ok(Hear::Welcome(welcome)) = hand.next().await else { panic!("no welcome") };
        (hand.worker, hand.live) = (welcome.worker_id, welcome.live);
        hand
    }

    /// A hello signed for this link.
    pub fn hello(&self, slots: u32, leases: Vec<u64>) -> v1::Hello {
        let key = self.key.verifying_key().to_bytes();
        let wrap_key = proto::seal::Half::new().public;
        let signed = signing::hello_bytes(&self.nonce, &key, self.account, &wrap_key);
        v1::Hello {
            key: key.to_vec().into(),
            signature: self.key.sign(&signed).to_bytes().to_vec().into(),
            engines: vec![wire_digest(&ENGINE)],
            device: "by hand".into(),
            slots,
            units_per_second: 1000,
            leases,
            account_id: self.account,
            version: "0".into(),
            wrap_key: wrap_key.to_vec().into(),
            machine: Vec::new().into(),
        }
    }

    pub async fn tell(&self, kind: Say) {
        self.say.send(v1::LinkRequest { kind: Some(kind) }).await.unwrap();
    }

    /// What comes next, or how the link ended.
    pub async fn next(&mut self) -> Result<Hear, Status> {
        let message = tokio::time::timeout(PATIENCE, self.hear.message()).await;
        let message = message.expect("something comes")?;
        Ok(message.and_then(|message| message.kind).unwrap_or(Hear::Nonce(Default::default())))
    }

    /// How the link ends, whatever comes before.
    pub async fn end(mut self) -> Status {
        loop {
            match self.next().await {
                Err(status) => return status,
                Ok(Hear::Nonce(_)) => panic!("the link ended without a word"),
                Ok(_) => {}
            }
        }
    }

    /// The next leases.
    pub async fn leases(&mut self) -> Vec<v1::Lease> {
        while self.waiting.is_empty() {
            if let Hear::Leases(leases) = self.next().await.unwrap() {
                self.waiting = leases.leases;
            }
        }
        std::mem::take(&mut self.waiting)
    }

    /// The next word about this lease.
    pub async fn ack(&mut self, lease: u64) -> v1::Ack {
        loop {
            match self.next().await.unwrap() {
                Hear::Acks(acks) => {
                    if let Some(ack) = acks.acks.into_iter().find(|ack| ack.lease == lease) {
                        return ack;
                    }
                }
                Hear::Leases(leases) => self.waiting.extend(leases.leases),
                _ => {}
            }
        }
    }

    /// Signed reports for this link.
    pub fn signed(&self, reports: Vec<v1::Report>) -> v1::Reports {
        let signed = signing::reports_bytes(&self.nonce, &reports);
        let signature = self.key.sign(&signed).to_bytes().to_vec().into();
        v1::Reports { reports, signature }
    }

    pub async fn report(&self, reports: Vec<v1::Report>) {
        self.tell(Say::Reports(self.signed(reports))).await;
    }

    /// Reports one lease and hears what becomes of it.
    pub async fn reported(&mut self, report: v1::Report) -> v1::Ack {
        let lease = report.lease;
        self.report(vec![report]).await;
        self.ack(lease).await
    }

    /// Answers everything as an honest worker does, until the link ends.
    pub async fn work(mut self, output: &[u8]) {
        let all = |leases: &[v1::Lease]| leases.iter().map(|lease| honest(lease, output)).collect();
        self.report(all(&self.waiting)).await;
        while let Ok(message) = self.next().await {
            match message {
                Hear::Leases(leases) => self.report(all(&leases.leases)).await,
                Hear::Challenges(challenges) => {
                    let opened = challenges.challenges.iter().map(|challenge| {
                        let leaf = Some(wire_leaf(&the_leaf(output)));
                        let opening = v1::Opening { leaf, path: Vec::new() };
                        let openings = vec![opening; challenge.leaves.len()];
                        v1::Opened { lease: challenge.lease, openings }
                    });
                    let openings = v1::Openings { opened: opened.collect() };
                    self.tell(Say::Openings(openings)).await;
                }
                Hear::Acks(acks) => {
                    let refused = acks.acks.iter().find(|ack| !ack.refused.is_empty());
                    assert!(refused.is_none(), "{refused:?}");
                }
                Hear::Nonce(_) => return,
                Hear::Welcome(_) | Hear::Revoked(_) => {}
            }
        }
    }
}

/// The one leaf of a tile with these bytes.
fn the_leaf(output: &[u8]) -> Leaf {
    Leaf { hash: farm::leaf::payload(output), units: 1 }
}

/// What an honest worker reports of a lease, if every tile comes out as `output`.
pub fn honest(lease: &v1::Lease, output: &[u8]) -> v1::Report {
    let leaf = the_leaf(output);
    let outcome = match lease.leaves.len() {
        0 => {
            let commitment = commit(&[leaf]).unwrap();
            Outcome::Done(v1::Done {
                output: wire_digest(&Digest::of(output)),
                root: wire_digest(&commitment.root),
                units: commitment.units,
            })
        }
        count => Outcome::Leaves(v1::LeavesDone { leaves: vec![wire_leaf(&leaf); count] }),
    };
    v1::Report { lease: lease.lease, outcome: Some(outcome) }
}

/// Sends a tile's bytes.
pub async fn upload_output(caller: &Caller, lease: u64, data: Vec<u8>) -> Result<(), Status> {
    let digest = Digest::of(&data);
    output_named(caller, lease, &digest, data).await
}

/// Sends a tile's bytes under a digest that need not be theirs.
pub async fn output_named(
    caller: &Caller,
    lease: u64,
    digest: &Digest,
    data: Vec<u8>,
) -> Result<(), Status> {
    let size = data.len() as u64;
    let digest = wire_digest(digest);
    let first = v1::UploadOutputRequest { lease, digest, size, data: data.into() };
    caller.workers().upload_output(tokio_stream::iter([first])).await?;
    Ok(())
}
