//! Calls of clients: keys, orders, pages, repeats, and refusals with their reasons.

use crate::hand::Hand;
use crate::house::{House, PATIENCE, reason, spec};
use farm::digest::Digest;
use proto::convert::wire_digest;
use proto::v1;
use tonic::{Code, Status};

#[tokio::test]
async fn a_call_without_a_known_key_is_refused() {
    let house = House::open().await;
    let stranger = house.at("girih_nobody").await;
    let refused = stranger.jobs().list_jobs(v1::ListJobsRequest::default()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::Unauthenticated, "KEY_UNKNOWN".into()));
    let linked = stranger.workers().link(tokio_stream::empty()).await.unwrap_err();
    assert_eq!(reason(&linked), "KEY_UNKNOWN");
    let uploaded = stranger.upload(b"x").await.unwrap_err();
    assert_eq!(reason(&uploaded), "KEY_UNKNOWN");
    let channel = tonic::transport::Endpoint::from_shared(house.running.url.clone()).unwrap();
    let mut keyless = v1::jobs_client::JobsClient::new(channel.connect().await.unwrap());
    let refused = keyless.list_jobs(v1::ListJobsRequest::default()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::Unauthenticated, "KEY_MISSING".into()));
}

#[tokio::test]
async fn keys_are_stored_hashed_and_clients_are_no_operators() {
    let house = House::open().await;
    let client = house.client("client", 5).await;
    let refused = client.top_up(client.account, 1, 9).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::PermissionDenied, "OPERATORS_ONLY".into())
    );
    let ask = v1::CreateAccountRequest { name: "x".into(), role: v1::Role::Operator.into() };
    let refused = client.accounts().create_account(ask).await.unwrap_err();
    assert_eq!(reason(&refused), "OPERATORS_ONLY");
    let key = client.key.clone();
    let house = house.again().await;
    assert_eq!(house.at(&key).await.account, client.account, "the key outlives a restart");
    let mut files = vec![house.dir.path().to_path_buf()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            let key = key.as_bytes();
            let found = bytes.windows(key.len()).any(|window| window == key);
            assert!(!found, "{}: the key stands there", path.display());
        }
    }
}

#[tokio::test]
async fn jobs_are_listed_by_the_page_newest_first() {
    let house = House::open().await;
    let artist = house.artist().await;
    let other = house.client("other", 1 << 40).await;
    let mut jobs = Vec::new();
    for n in 0..5 {
        jobs.insert(0, artist.order(n, spec(1)).await.unwrap().job_id);
        other.order(n, spec(1)).await.unwrap();
    }
    let (mut found, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let ask = v1::ListJobsRequest { page_size: 2, page_token: token };
        let page = artist.jobs().list_jobs(ask).await.unwrap().into_inner();
        assert!(page.jobs.len() <= 2);
        found.extend(page.jobs.iter().map(|job| job.job_id));
        (token, pages) = (page.next_page_token, pages + 1);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((found, pages), (jobs, 3));
    let ask = v1::ListJobsRequest { page_size: 0, page_token: String::new() };
    let all = house.operator().await.jobs().list_jobs(ask).await.unwrap().into_inner();
    assert_eq!(all.jobs.len(), 10, "an operator sees every job");
    let ask = v1::ListJobsRequest { page_size: 2, page_token: "next".into() };
    let refused = artist.jobs().list_jobs(ask).await.unwrap_err();
    assert_eq!(reason(&refused), "PAGE_TOKEN_INVALID");
    let theirs = v1::GetJobRequest { job_id: all.jobs[0].job_id };
    let refused = artist.jobs().get_job(theirs).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::NotFound, "UNKNOWN_JOB".into()));
}

#[tokio::test]
async fn the_same_request_gives_the_same_answer_before_and_after_a_restart() {
    let house = House::open().await;
    let artist = house.artist().await;
    let key = artist.key.clone();
    let job = artist.order(7, spec(2)).await.unwrap();
    assert_eq!(artist.order(7, spec(2)).await.unwrap(), job);
    let before = artist.balance().await;
    let house = house.again().await;
    let artist = house.at(&key).await;
    assert_eq!(artist.order(7, spec(2)).await.unwrap(), job);
    assert_eq!(artist.balance().await, before);
    let refused = artist.order(7, spec(1)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::AlreadyExists, "REQUEST_REUSED".into()));
    // The credits that `client` gave the artist came by request 1.
    let operator = house.operator().await;
    let available = operator.top_up(artist.account, 1 << 40, 1).await.unwrap();
    assert_eq!(available, before.available);
    let refused = operator.top_up(artist.account, 5, 1).await.unwrap_err();
    assert_eq!(reason(&refused), "REQUEST_REUSED");
    assert_eq!(operator.top_up(artist.account, 5, 2).await.unwrap(), before.available + 5);
}

#[tokio::test]
async fn whoever_watches_a_job_sees_it_end() {
    let house = House::open().await;
    let artist = house.artist().await;
    for (n, cancelled) in [(1, true), (2, false)] {
        let job_id = artist.order(n, spec(4)).await.unwrap().job_id;
        let watch = artist.jobs().watch_job(v1::WatchJobRequest { job_id }).await;
        let mut seen = watch.unwrap().into_inner();
        let first = seen.message().await.unwrap().unwrap();
        assert_eq!((first.job_id, first.state()), (job_id, v1::JobState::Open));
        let due = if cancelled {
            artist.jobs().cancel_job(v1::CancelJobRequest { job_id }).await.unwrap();
            v1::JobState::Cancelled
        } else {
            for seed in [1, 2] {
                let owner = house.client("owner", 0).await;
                let hand = Hand::enter(&owner, seed, 4, Vec::new()).await;
                tokio::spawn(hand.work(&[]));
            }
            v1::JobState::Done
        };
        let end = async {
            let mut last = first;
            while let Some(job) = seen.message().await.unwrap() {
                assert!(job.tiles_accepted >= last.tiles_accepted, "it goes forward");
                last = job;
            }
            last
        };
        let last = tokio::time::timeout(PATIENCE, end).await.expect("the job ends");
        assert_eq!(last.state(), due);
        assert!(last.end_time >= last.create_time && last.create_time > 0);
        let again = artist.jobs().watch_job(v1::WatchJobRequest { job_id }).await.unwrap();
        assert_eq!(again.into_inner().message().await.unwrap().unwrap().state(), due);
    }
}

/// Orders this spec with so much to spend.
async fn refused_order(
    artist: &crate::house::Caller,
    spec: Option<v1::JobSpec>,
    max_spend: u64,
    priority: u32,
) -> Status {
    let request_id = crate::house::request_id(99);
    let ask = v1::CreateJobRequest { request_id, spec, max_spend, priority, ..Default::default() };
    artist.jobs().create_job(ask).await.unwrap_err()
}

#[tokio::test]
async fn an_order_that_cannot_be_filled_is_refused_before_any_money_is_held() {
    let house = House::with(|config| config.frame_pixels_max = 1 << 12).await;
    let artist = house.artist().await;
    let absent = artist.upload(b"girih-bundle 1\nnot a line of a manifest\n").await.unwrap();
    let lacking = concat!(
        "girih-bundle 1\n",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef 5 wood.png\n"
    );
    let lacking = artist.upload(lacking.as_bytes()).await.unwrap();
    let with_scene = |scene: &Digest| Some(v1::JobSpec { scene: wire_digest(scene), ..spec(1) });
    let with_cut = |tile_size, cut| Some(v1::JobSpec { tile_size, cut, ..spec(4) });
    let cases = [
        (Some(spec(1)), 1, 0, "BUDGET_TOO_SMALL"),
        (Some(spec(1)), 1 << 50, 0, "INSUFFICIENT_CREDIT"),
        (Some(spec(1)), 1 << 30, 3, "PRIORITY_DENIED"),
        (Some(spec(100)), 1 << 30, 0, "FRAME_TOO_LARGE"),
        (Some(v1::JobSpec { aovs: vec![1, 99], ..spec(1) }), 1 << 30, 0, "MALFORMED"),
        (Some(v1::JobSpec { aovs: vec![1, 2, 3], ..spec(8) }), 1 << 30, 0, "FRAME_TOO_LARGE"),
        (Some(v1::JobSpec { tile_size: 7, ..spec(1) }), 1 << 30, 0, "SPEC_INVALID"),
        (with_cut(8, vec![1 << 16 | 1]), 1 << 30, 0, "SPEC_INVALID"),
        (with_cut(0, vec![4 << 16 | 1]), 1 << 30, 0, "SPEC_INVALID"),
        (with_cut(0, vec![1 << 16 | 2]), 1 << 30, 0, "SPEC_INVALID"),
        (with_cut(0, vec![1 << 16 | 1; 1024]), 1 << 30, 0, "MALFORMED"),
        (Some(v1::JobSpec { samples: 0, ..spec(1) }), 1 << 30, 0, "SPEC_INVALID"),
        (Some(v1::JobSpec { engine: vec![1].into(), ..spec(1) }), 1 << 30, 0, "MALFORMED"),
        (None, 1 << 30, 0, "MALFORMED"),
        (with_scene(&Digest::of(b"nowhere")), 1 << 30, 0, "ASSET_MISSING"),
        (with_scene(&absent), 1 << 30, 0, "BUNDLE_MALFORMED"),
        (with_scene(&lacking), 1 << 30, 0, "ASSET_MISSING"),
    ];
    let before = artist.balance().await;
    for (spec, max_spend, priority, due) in cases {
        let refused = refused_order(&artist, spec, max_spend, priority).await;
        assert_eq!(reason(&refused), due, "{refused:?}");
        assert_eq!(artist.balance().await, before, "{due}");
        if due == "ASSET_MISSING" && refused.message().contains("of the scene") {
            assert!(refused.message().contains("wood.png"), "{refused:?}");
        }
    }
    let ask = v1::CreateJobRequest { request_id: "7".into(), ..Default::default() };
    let unnamed = artist.jobs().create_job(ask).await.unwrap_err();
    assert_eq!(reason(&unnamed), "MALFORMED");
}

#[tokio::test]
async fn every_other_refusal_names_its_reason() {
    let house = House::open().await;
    let (operator, client) = (house.operator().await, house.client("client", 0).await);
    let unknown = operator.top_up(77, 1, 9).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown)), (Code::NotFound, "UNKNOWN_ACCOUNT".into()));
    let nothing = operator.top_up(client.account, 0, 9).await.unwrap_err();
    assert_eq!(reason(&nothing), "AMOUNT_INVALID");
    let name = "a name that goes on and on beyond what any name of an account should ever take";
    let ask = v1::CreateAccountRequest { name: name.into(), role: v1::Role::Client.into() };
    let long = operator.accounts().create_account(ask).await.unwrap_err();
    assert_eq!(reason(&long), "NAME_TOO_LONG");
    let ask = v1::GetJobRequest { job_id: u64::MAX };
    assert_eq!(reason(&client.jobs().get_job(ask).await.unwrap_err()), "UNKNOWN_JOB");
    let ask = v1::CancelJobRequest { job_id: 3 };
    assert_eq!(reason(&client.jobs().cancel_job(ask).await.unwrap_err()), "UNKNOWN_JOB");
    let ask = v1::WatchJobRequest { job_id: 3 };
    assert_eq!(reason(&client.jobs().watch_job(ask).await.unwrap_err()), "UNKNOWN_JOB");
    let ask = v1::ExplainTileRequest { job_id: 3, tile: 0 };
    assert_eq!(reason(&client.jobs().explain_tile(ask).await.unwrap_err()), "UNKNOWN_JOB");
    let ask = v1::ExplainWorkerRequest { worker_id: 3 };
    let refused = client.workers().explain_worker(ask).await.unwrap_err();
    assert_eq!(reason(&refused), "UNKNOWN_WORKER");
    let ask = v1::ListWorkersRequest { all: true, ..Default::default() };
    let refused = client.workers().list_workers(ask).await.unwrap_err();
    assert_eq!(reason(&refused), "OPERATORS_ONLY");
    let ask = v1::ListTransfersRequest { page_token: "-1".into(), ..Default::default() };
    let refused = client.ledger().list_transfers(ask).await.unwrap_err();
    assert_eq!(reason(&refused), "PAGE_TOKEN_INVALID");
    let ask = v1::FindMissingRequest { digests: vec![vec![1; 31].into()] };
    assert_eq!(reason(&client.assets().find_missing(ask).await.unwrap_err()), "MALFORMED");
    let ask = v1::FindMissingRequest { digests: vec![vec![1; 32].into(); 10_001] };
    assert_eq!(reason(&client.assets().find_missing(ask).await.unwrap_err()), "TOO_MANY_DIGESTS");
    let ask = v1::DownloadRequest { digest: vec![1; 32].into(), ..Default::default() };
    assert_eq!(reason(&client.assets().download(ask).await.unwrap_err()), "ASSET_MISSING");
}
