//! A whole job among strangers: audited, paid once a tile, its frame stored; and the same across
//! restarts of the scheduler.

use crate::hand::{Hand, honest, upload_output};
use crate::house::{Caller, House, PATIENCE, spec};
use proto::v1;
use std::collections::BTreeSet;

/// A tile's bytes: 64 pixels, each the sum of four samples of a half.
fn grey() -> Vec<u8> {
    2.0f32.to_le_bytes().repeat(8 * 8 * 3)
}

/// Waits for the job to be done.
async fn done(artist: &Caller, job_id: u64) -> v1::Job {
    let ask = v1::WatchJobRequest { job_id };
    let mut seen = artist.jobs().watch_job(ask).await.unwrap().into_inner();
    let end = async {
        let mut last = v1::Job::default();
        while let Some(job) = seen.message().await.unwrap() {
            last = job;
        }
        last
    };
    let job = tokio::time::timeout(PATIENCE, end).await.expect("the job ends");
    assert_eq!(job.state(), v1::JobState::Done, "{job:?}");
    job
}

/// The tiles that were paid for, each named once.
async fn paid(artist: &Caller, job_id: u64) -> BTreeSet<u64> {
    let ask = v1::ListTransfersRequest { page_size: 1000, ..Default::default() };
    let answer = artist.ledger().list_transfers(ask).await.unwrap().into_inner();
    let mut tiles = BTreeSet::new();
    for transfer in answer.transfers {
        if transfer.reason == "tile" && transfer.job_id == job_id {
            assert!(tiles.insert(transfer.tile), "tile {} was paid twice", transfer.tile);
        }
    }
    tiles
}

#[tokio::test]
async fn a_job_among_strangers_is_audited_paid_and_stored() {
    let house = House::open().await;
    let artist = house.artist().await;
    let before = artist.balance().await;
    let owners = [house.client("one", 0).await, house.client("two", 0).await];
    let mut hands = Vec::new();
    for (seed, owner) in (1..).zip(&owners) {
        hands.push(Hand::enter(owner, seed, 4, Vec::new()).await);
    }
    upload_output(&owners[0], 0, grey()).await.unwrap();
    let job_id = artist.order(1, spec(7)).await.unwrap().job_id;
    for hand in hands {
        tokio::spawn(async move { hand.work(&grey()).await });
    }
    let job = done(&artist, job_id).await;
    assert_eq!((job.tiles_total, job.tiles_accepted, job.tiles_refuted), (49, 49, 0));
    assert_eq!((job.units, job.spent), (49, 49 * 1000));
    assert_eq!(paid(&artist, job_id).await, (0..49).collect());
    let after = artist.balance().await;
    assert_eq!((after.available, after.on_hold), (before.available - 49_000, 0));
    let mut earned = 0;
    for owner in &owners {
        let balance = owner.balance().await;
        earned += balance.held + balance.payable;
    }
    // The fee is 50 in a thousand; each audit is paid on top, out of the pot.
    assert!(earned > 49 * 950, "{earned}");
    picture(&artist, job_id).await;
}

/// The frame is stored, and every pixel is the grey that was reported.
async fn picture(artist: &Caller, job_id: u64) {
    let stored = async {
        loop {
            let job = artist.job(job_id).await;
            if let Some(frame) = job.frames.first().filter(|frame| frame.proven) {
                return frame.clone();
            }
        }
    };
    let frame = tokio::time::timeout(PATIENCE, stored).await.expect("the frame is stored");
    let ask = v1::DownloadRequest { digest: frame.png, job_id: Some(job_id), ..Default::default() };
    let mut chunks = artist.assets().download(ask).await.unwrap().into_inner();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        bytes.extend_from_slice(&chunk.data);
    }
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height), (56, 56));
    let rgb = info.buffer_size() / (56 * 56);
    assert!(pixels.chunks(rgb).all(|pixel| pixel[..3] == [188; 3]), "{:?}", &pixels[..8]);
}

#[tokio::test]
async fn workers_go_on_after_a_restart_and_nothing_is_lost_or_paid_twice() {
    let house = House::open().await;
    let artist = house.artist().await;
    let owners = [house.client("one", 0).await, house.client("two", 0).await];
    let job_id = artist.order(1, spec(5)).await.unwrap().job_id;
    let mut first = Hand::enter(&owners[0], 1, 4, Vec::new()).await;
    let leases = first.leases().await;
    assert_eq!(leases.len(), 4, "four slots, and no more than a newcomer may hold");
    assert_eq!(first.reported(honest(&leases[0], &[])).await.refused, "");
    let keys: Vec<String> = [&artist, &owners[0], &owners[1]].map(|who| who.key.clone()).into();
    let house = house.again().await;

    let artist = house.at(&keys[0]).await;
    let owners = [house.at(&keys[1]).await, house.at(&keys[2]).await];
    assert_eq!(artist.job(job_id).await.tiles_claimed, 1, "what was acknowledged is there");
    let held: Vec<u64> = leases.iter().map(|lease| lease.lease).collect();
    let mut back = Hand::enter(&owners[0], 1, 4, held.clone()).await;
    assert_eq!(back.live.iter().collect::<BTreeSet<_>>(), held.iter().collect());
    let again = back.reported(honest(&leases[0], &[])).await;
    assert_eq!(again.refused, "REPORT_REPEATED");
    let finished = leases[1..].iter().map(|lease| honest(lease, &[])).collect();
    back.report(finished).await;
    tokio::spawn(back.work(&[]));
    let second = Hand::enter(&owners[1], 2, 4, Vec::new()).await;
    tokio::spawn(second.work(&[]));
    assert_eq!(done(&artist, job_id).await.tiles_refuted, 0);
    assert_eq!(paid(&artist, job_id).await, (0..25).collect());
}
