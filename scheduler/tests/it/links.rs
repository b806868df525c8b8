//! Links of workers: who may speak, and what a word about a lease is worth.

use crate::hand::{Hand, honest, output_named, upload_output};
use crate::house::{House, reason, spec};
use farm::digest::Digest;
use proto::v1;
use tonic::Code;
use v1::link_request::Kind as Say;
use v1::link_response::Kind as Hear;

#[tokio::test]
async fn a_hello_recorded_on_one_link_is_refused_on_another() {
    let house = House::open().await;
    let owner = house.client("owner", 0).await;
    let first = Hand::knock(&owner, 1).await;
    let recorded = first.hello(1, Vec::new());
    first.tell(Say::Hello(recorded.clone())).await;
    let second = Hand::knock(&owner, 1).await;
    assert_ne!(first.nonce, second.nonce);
    second.tell(Say::Hello(recorded)).await;
    let refused = second.end().await;
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(reason(&refused), "SIGNATURE_INVALID");
}

#[tokio::test]
async fn a_hello_for_another_account_or_twice_or_of_no_key_is_refused() {
    let house = House::open().await;
    let (owner, other) = (house.client("owner", 0).await, house.client("other", 0).await);
    let hand = Hand::knock(&owner, 1).await;
    let foreign = v1::Hello { account_id: other.account, ..hand.hello(1, Vec::new()) };
    hand.tell(Say::Hello(foreign)).await;
    assert_eq!(reason(&hand.end().await), "ACCOUNT_MISMATCH");

    let hand = Hand::knock(&owner, 1).await;
    let keyless = v1::Hello { key: vec![1; 31].into(), ..hand.hello(1, Vec::new()) };
    hand.tell(Say::Hello(keyless)).await;
    assert_eq!(reason(&hand.end().await), "MALFORMED");

    let hand = Hand::knock(&owner, 1).await;
    let idle = hand.hello(0, Vec::new());
    hand.tell(Say::Hello(idle)).await;
    assert_eq!(reason(&hand.end().await), "OFFER_INVALID");

    let hand = Hand::enter(&owner, 1, 1, Vec::new()).await;
    let again = hand.hello(1, Vec::new());
    hand.tell(Say::Hello(again)).await;
    assert_eq!(reason(&hand.end().await), "HELLO_REPEATED");

    let hand = Hand::knock(&owner, 1).await;
    hand.tell(Say::Drain(v1::Drain {})).await;
    assert_eq!(reason(&hand.end().await), "HELLO_MISSING");

    // The key is enrolled by its owner; another account cannot take it over.
    let hand = Hand::knock(&other, 1).await;
    let taken = hand.hello(1, Vec::new());
    hand.tell(Say::Hello(taken)).await;
    assert_eq!(reason(&hand.end().await), "WORKER_OF_ANOTHER");
}

#[tokio::test]
async fn a_report_for_somebody_elses_lease_changes_nothing() {
    let house = House::open().await;
    let artist = house.artist().await;
    let (one, two) = (house.client("one", 0).await, house.client("two", 0).await);
    let job = artist.order(1, spec(1)).await.unwrap().job_id;
    let mut honest_hand = Hand::enter(&one, 1, 1, Vec::new()).await;
    let lease = honest_hand.leases().await.remove(0);
    let before = artist.job(job).await;

    let mut thief = Hand::enter(&two, 2, 1, Vec::new()).await;
    let refused = thief.reported(honest(&lease, &[])).await;
    assert_eq!((refused.refused.as_str(), refused.settled), ("LEASE_UNKNOWN", false));
    let never = v1::Lease { lease: 77 << 32 | 77, ..lease.clone() };
    assert_eq!(thief.reported(honest(&never, &[])).await.refused, "LEASE_UNKNOWN");
    let opened = v1::Opened { lease: lease.lease, openings: Vec::new() };
    thief.tell(Say::Openings(v1::Openings { opened: vec![opened] })).await;
    assert_eq!(thief.ack(lease.lease).await.refused, "LEASE_UNKNOWN");
    assert_eq!(artist.job(job).await, before);
    let (first, second) = (one.balance().await, two.balance().await);
    assert_eq!((first.held, first.payable, second.held, second.payable), (0, 0, 0, 0));

    // The lease is as good as before.
    let kept = honest_hand.reported(honest(&lease, &[])).await;
    assert_eq!((kept.refused.as_str(), kept.settled), ("", false));
    assert_eq!(artist.job(job).await.tiles_claimed, 1);
}

#[tokio::test]
async fn reports_signed_for_another_link_end_the_link() {
    let house = House::open().await;
    let artist = house.artist().await;
    let owner = house.client("owner", 0).await;
    let job = artist.order(1, spec(1)).await.unwrap().job_id;
    let mut first = Hand::enter(&owner, 1, 1, Vec::new()).await;
    let lease = first.leases().await.remove(0);
    let recorded = first.signed(vec![honest(&lease, &[])]);
    let second = Hand::enter(&owner, 1, 1, vec![lease.lease]).await;
    second.tell(Say::Reports(recorded)).await;
    let refused = second.end().await;
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(reason(&refused), "SIGNATURE_INVALID");
    assert_eq!(artist.job(job).await.tiles_claimed, 0);
}

#[tokio::test]
async fn a_report_without_its_output_is_refused_and_may_be_made_good() {
    let house = House::open().await;
    let artist = house.artist().await;
    let owner = house.client("owner", 0).await;
    artist.order(1, spec(1)).await.unwrap();
    let stranger = upload_output(&owner, 1, vec![5; 768]).await.unwrap_err();
    assert_eq!(reason(&stranger), "LEASE_UNKNOWN", "no output without a worker");
    let mut hand = Hand::enter(&owner, 1, 1, Vec::new()).await;
    let lease = hand.leases().await.remove(0);
    let report = honest(&lease, &[5; 768]);
    assert_eq!(hand.reported(report.clone()).await.refused, "OUTPUT_MISSING");
    let other = Digest::of(&[5; 768]);
    let wrong = output_named(&owner, lease.lease, &other, vec![6; 768]).await.unwrap_err();
    assert_eq!((reason(&wrong), wrong.code()), ("DIGEST_MISMATCH".into(), Code::InvalidArgument));
    assert_eq!(hand.reported(report.clone()).await.refused, "OUTPUT_MISSING");
    upload_output(&owner, lease.lease, vec![5; 768]).await.unwrap();
    assert_eq!(hand.reported(report).await.refused, "");
}

#[tokio::test]
async fn a_worker_is_fenced_when_its_lease_has_expired() {
    let house = House::with(|config| config.lease_ms = 300).await;
    let artist = house.artist().await;
    let owner = house.client("owner", 0).await;
    let mut hand = Hand::enter(&owner, 1, 1, Vec::new()).await;
    let job = artist.order(1, spec(1)).await.unwrap().job_id;
    let late = hand.leases().await.remove(0);
    let revoked = loop {
        if let Hear::Revoked(revoked) = hand.next().await.unwrap() {
            break revoked.leases;
        }
    };
    assert_eq!(revoked, [late.lease]);
    let refused = hand.reported(honest(&late, &[])).await;
    assert_eq!((refused.refused.as_str(), refused.settled), ("LEASE_EXPIRED", false));
    let view = artist.job(job).await;
    assert_eq!((view.tiles_claimed, view.tiles_accepted, view.spent), (0, 0, 0));
}

#[tokio::test]
async fn of_two_links_of_one_key_the_newer_wins_and_nothing_is_paid_twice() {
    let house = House::open().await;
    let artist = house.artist().await;
    let private = v1::CreateJobRequest {
        request_id: crate::house::request_id(1),
        spec: Some(spec(1)),
        max_spend: 1 << 30,
        private: true,
        ..Default::default()
    };
    let job = artist.jobs().create_job(private).await.unwrap().into_inner().job_id;
    let mut older = Hand::enter(&artist, 1, 1, Vec::new()).await;
    let lease = older.leases().await.remove(0);
    let mut newer = Hand::enter(&artist, 1, 1, vec![lease.lease]).await;
    assert_eq!((newer.worker, &newer.live), (older.worker, &vec![lease.lease]));
    // What the older one still says is heard no more.
    let words = older.signed(vec![honest(&lease, &[])]);
    let replaced = older.end().await;
    assert_eq!(replaced.code(), Code::Aborted);
    assert_eq!(reason(&replaced), "LINK_REPLACED");
    newer.tell(Say::Renew(v1::Renew { leases: vec![lease.lease] })).await;

    let done = newer.reported(honest(&lease, &[])).await;
    assert_eq!((done.refused.as_str(), done.settled), ("", true));
    let again = newer.reported(honest(&lease, &[])).await;
    assert_eq!((again.refused.as_str(), again.settled), ("LEASE_EXPIRED", false));
    newer.tell(Say::Reports(words)).await;
    assert_eq!(reason(&newer.end().await), "SIGNATURE_INVALID");
    let view = artist.job(job).await;
    assert_eq!((view.tiles_accepted, view.units, view.spent), (1, 1, 1000));
    let ask = v1::ListTransfersRequest::default();
    let transfers = artist.ledger().list_transfers(ask).await.unwrap().into_inner().transfers;
    assert_eq!(transfers.iter().filter(|transfer| transfer.reason == "tile").count(), 1);
}
