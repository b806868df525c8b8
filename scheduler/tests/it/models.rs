//! Published models: who gets their bytes, and by which ways nobody does.

use crate::hand::{Hand, honest, upload_output};
use crate::house::{Caller, House, reason, request_id, spec};
use crate::uploads::{download, offset, send};
use farm::digest::Digest;
use proto::convert::wire_digest;
use proto::v1;
use tonic::{Code, Status};

/// The bytes of every model here; as many as a tile of 8×8 pixels without layers has.
const MODEL: &[u8] = &[7; 8 * 8 * 12];

fn digest() -> Digest {
    Digest::of(MODEL)
}

fn offer(name: &str) -> v1::Offer {
    v1::Offer {
        name: name.into(),
        asset: wire_digest(&digest()),
        card: wire_digest(&Digest::of(b"a card")),
        facts: wire_digest(&Digest::of(b"facts")),
        licence: "CC-BY-4.0".into(),
        royalty: 1_000_000,
        ..Default::default()
    }
}

async fn publish(owner: &Caller, offer: v1::Offer) -> Result<v1::Model, Status> {
    let ask = v1::PublishModelRequest { offer: Some(offer) };
    Ok(owner.models().publish_model(ask).await?.into_inner())
}

/// An owner whose model is on offer.
async fn owner(house: &House, more: v1::Offer) -> Caller {
    let owner = house.client("owner", 0).await;
    for data in [MODEL, b"a card", b"facts"] {
        owner.upload(data).await.unwrap();
    }
    publish(&owner, more).await.unwrap();
    owner
}

/// Uploads a bundle that names these bytes so; an order of it, of a network or of a scene.
async fn bundle(caller: &Caller, path: &str, is_network: bool) -> v1::JobSpec {
    let text = format!("girih-bundle 1\n{} {} {path}\n", digest(), MODEL.len());
    let scene = Digest::of(text.as_bytes());
    send(caller, &scene, text.as_bytes(), 0).await.unwrap();
    let sizes = if is_network { (16, 20) } else { (8, 0) };
    v1::JobSpec {
        scene: wire_digest(&scene),
        width: 16,
        height: 16,
        tile_size: sizes.0,
        work_per_pixel: sizes.1,
        ..spec(1)
    }
}

async fn order(
    caller: &Caller,
    n: u32,
    spec: v1::JobSpec,
    model_id: Option<u64>,
) -> Result<v1::Job, Status> {
    let (request_id, spec) = (request_id(n), Some(spec));
    let max_spend = 1 << 30;
    let ask = v1::CreateJobRequest { request_id, spec, max_spend, model_id, ..Default::default() };
    Ok(caller.jobs().create_job(ask).await?.into_inner())
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.unwrap_err();
    (status.code(), reason(&status))
}

fn protected() -> (Code, String) {
    (Code::PermissionDenied, "MODEL_PROTECTED".into())
}

#[tokio::test]
async fn a_models_bytes_are_for_its_owner_and_whom_he_names() {
    let house = House::open().await;
    let friend = house.client("friend", 0).await;
    let named = v1::Offer { copy_accounts: vec![friend.account], ..offer("style") };
    let owner = owner(&house, named).await;
    let (other, operator) = (house.client("other", 0).await, house.operator().await);
    assert_eq!(download(&owner, &digest(), 0).await.unwrap(), MODEL);
    assert_eq!(download(&friend, &digest(), 0).await.unwrap(), MODEL);
    for caller in [&other, &operator] {
        for from in [0, MODEL.len() as u64 - 1] {
            assert_eq!(refused(download(caller, &digest(), from).await), protected());
        }
    }
    // What comes with it is for everybody.
    assert_eq!(download(&other, &Digest::of(b"a card"), 0).await.unwrap(), b"a card");
    let ask = v1::WithdrawModelRequest { model_id: 0 };
    let gone = owner.models().withdraw_model(ask).await.unwrap().into_inner();
    assert!(gone.withdraw_time > 0);
    let house = house.again().await;
    let other = house.at(&other.key).await;
    assert_eq!(refused(download(&other, &digest(), 0).await), protected());
}

#[tokio::test]
async fn who_has_a_model_shows_it_by_sending_all_of_it() {
    let house = House::open().await;
    let owner = owner(&house, offer("style")).await;
    let other = house.client("other", 1 << 40).await;
    assert_eq!(offset(&owner, &digest()).await, None);
    assert_eq!(offset(&other, &digest()).await, Some(0), "as if it were not there");
    let part = send(&other, &digest(), MODEL, 700).await;
    assert_eq!(refused(part), (Code::FailedPrecondition, "OFFSET_MISMATCH".into()));
    let forged = [&MODEL[1..], &[8]].concat();
    let forged = send(&other, &digest(), &forged, 0).await;
    assert_eq!(refused(forged), (Code::InvalidArgument, "DIGEST_MISMATCH".into()));
    assert_eq!(refused(download(&other, &digest(), 0).await), protected());
    let plain = bundle(&other, "model.onnx", true).await;
    assert_eq!(refused(order(&other, 1, plain.clone(), None).await), protected());

    send(&other, &digest(), MODEL, 0).await.unwrap();
    assert_eq!(offset(&other, &digest()).await, None);
    assert_eq!(download(&other, &digest(), 0).await.unwrap(), MODEL);
    let job = order(&other, 1, plain, None).await.unwrap();
    assert_eq!((job.model_id, job.royalty), (None, 0), "its own bytes owe nothing");
}

#[tokio::test]
async fn a_digest_is_no_way_around_the_royalty() {
    let house = House::open().await;
    let owner = owner(&house, offer("style")).await;
    let artist = house.artist().await;
    for (n, path) in (1..).zip(["model.onnx", "1/0", "textures/wood.png"]) {
        let plain = bundle(&artist, path, path != "textures/wood.png").await;
        assert_eq!(refused(order(&artist, n, plain, None).await), protected(), "{path}");
    }
    let as_scene = v1::JobSpec { scene: wire_digest(&digest()), ..spec(1) };
    assert_eq!(refused(order(&artist, 5, as_scene, None).await), protected());
    let as_sky = v1::JobSpec { environment: wire_digest(&digest()), ..spec(1) };
    assert_eq!(refused(order(&artist, 6, as_sky, None).await), protected());

    let not_named = order(&artist, 7, spec(1), Some(0)).await;
    assert_eq!(refused(not_named), (Code::InvalidArgument, "MODEL_NOT_IN_BUNDLE".into()));
    let rendered = bundle(&artist, "model.onnx", false).await;
    let no_network = order(&artist, 8, rendered, Some(0)).await;
    assert_eq!(refused(no_network), (Code::InvalidArgument, "MODEL_NOT_IN_BUNDLE".into()));
    let network = bundle(&artist, "model.onnx", true).await;
    let unknown = order(&artist, 9, network.clone(), Some(9)).await;
    assert_eq!(refused(unknown), (Code::NotFound, "MODEL_UNKNOWN".into()));
    let job = order(&artist, 10, network, Some(0)).await.unwrap();
    assert_eq!((job.model_id, job.royalty, job.royalties), (Some(0), 1_000_000, 0));
    let own = bundle(&owner, "model.onnx", true).await;
    assert_eq!(refused(order(&owner, 1, own, Some(0)).await).1, "INSUFFICIENT_CREDIT");
}

#[tokio::test]
async fn a_worker_gets_a_model_while_it_holds_a_lease_of_a_job_that_uses_it() {
    let house = House::open().await;
    let owner = owner(&house, offer("style")).await;
    let artist = house.artist().await;
    let worker = house.client("worker", 0).await;
    let mut hand = Hand::enter(&worker, 1, 1, Vec::new()).await;
    assert_eq!(refused(download(&worker, &digest(), 0).await), protected());
    let network = bundle(&artist, "model.onnx", true).await;
    let job = order(&artist, 1, network.clone(), Some(0)).await.unwrap().job_id;
    let lease = hand.leases().await.remove(0);
    let ask = v1::WithdrawModelRequest { model_id: 0 };
    owner.models().withdraw_model(ask).await.unwrap();
    assert_eq!(download(&worker, &digest(), 0).await.unwrap(), MODEL, "though it was withdrawn");
    assert_eq!(refused(download(&artist, &digest(), 0).await), protected(), "who only ordered");
    let again = order(&artist, 2, network, Some(0)).await;
    assert_eq!(refused(again), (Code::FailedPrecondition, "MODEL_WITHDRAWN".into()));

    let done = hand.reported(honest(&lease, &[])).await;
    assert_eq!(done.refused, "");
    assert_eq!(refused(download(&worker, &digest(), 0).await), protected(), "its lease is over");
    let auditor = house.client("auditor", 0).await;
    let mut second = Hand::enter(&auditor, 2, 1, Vec::new()).await;
    let audit = second.leases().await.remove(0);
    assert_eq!(download(&auditor, &digest(), 0).await.unwrap(), MODEL);
    second.reported(honest(&audit, &[])).await;
    assert_eq!(refused(download(&auditor, &digest(), 0).await), protected());
    let view = artist.job(job).await;
    assert_eq!((view.tiles_accepted, view.spent, view.royalties), (1, 1001, 1));
    let balance = owner.balance().await;
    assert_eq!((balance.royalties_held, balance.royalties), (1, 0));
    let ask = v1::ListTransfersRequest::default();
    let transfers = owner.ledger().list_transfers(ask).await.unwrap().into_inner().transfers;
    let royalty = transfers.iter().find(|transfer| transfer.reason == "royalty").unwrap();
    assert_eq!((royalty.debit.as_str(), royalty.amount), ("hold:0", 1));
    assert_eq!(royalty.credit, format!("royalty-held:{}", owner.account));
}

#[tokio::test]
async fn a_job_that_was_ordered_before_the_model_was_published_goes_on() {
    let house = House::open().await;
    let artist = house.artist().await;
    artist.upload(MODEL).await.unwrap();
    let plain = bundle(&artist, "model.onnx", true).await;
    order(&artist, 1, plain, None).await.unwrap();
    owner(&house, offer("style")).await;
    let worker = house.client("worker", 0).await;
    let mut hand = Hand::enter(&worker, 1, 1, Vec::new()).await;
    hand.leases().await;
    assert_eq!(download(&worker, &digest(), 0).await.unwrap(), MODEL);
    assert_eq!(refused(download(&artist, &digest(), 0).await), protected());
}

#[tokio::test]
async fn a_model_is_nobodys_picture() {
    let house = House::open().await;
    owner(&house, offer("style")).await;
    let thief = house.artist().await;
    let private = v1::CreateJobRequest {
        request_id: request_id(1),
        spec: Some(spec(1)),
        max_spend: 1 << 30,
        private: true,
        ..Default::default()
    };
    thief.jobs().create_job(private).await.unwrap();
    let mut hand = Hand::enter(&thief, 1, 1, Vec::new()).await;
    let lease = hand.leases().await.remove(0);
    // The farm has these bytes, and they would make a frame.
    let ack = hand.reported(honest(&lease, MODEL)).await;
    assert_eq!((ack.refused.as_str(), ack.settled), ("OUTPUT_MISSING", false));
    // Whose tile it is indeed has sent it, and nobody can keep it from the picture.
    upload_output(&thief, lease.lease, MODEL.to_vec()).await.unwrap();
    let ack = hand.reported(honest(&lease, MODEL)).await;
    assert_eq!((ack.refused.as_str(), ack.settled), ("", true));
}

#[tokio::test]
async fn models_are_found_by_name_and_number_and_listed_in_pages() {
    let house = House::open().await;
    let owner = owner(&house, offer("style")).await;
    let other = house.client("other", 0).await;
    let ask = |model| v1::GetModelRequest { model: Some(model) };
    use v1::get_model_request::Model as By;
    let by_name = other.models().get_model(ask(By::Name("style".into()))).await.unwrap();
    let by_number = other.models().get_model(ask(By::ModelId(0))).await.unwrap();
    assert_eq!(by_name.get_ref(), by_number.get_ref());
    assert_eq!(by_number.get_ref().account_id, owner.account);
    assert_eq!(by_number.get_ref().offer.as_ref(), Some(&offer("style")));
    let none = other.models().get_model(ask(By::Name("stile".into()))).await;
    assert_eq!(refused(none), (Code::NotFound, "MODEL_UNKNOWN".into()));
    let foreign = other.models().withdraw_model(v1::WithdrawModelRequest { model_id: 0 }).await;
    assert_eq!(refused(foreign), (Code::NotFound, "MODEL_UNKNOWN".into()));
    assert_eq!(refused(publish(&other, offer("mine")).await).1, "MODEL_TAKEN");

    other.upload(b"another").await.unwrap();
    let another = v1::Offer { asset: wire_digest(&Digest::of(b"another")), ..offer("another") };
    publish(&other, another.clone()).await.unwrap();
    let third: &[u8] = b"third";
    other.upload(third).await.unwrap();
    let third = v1::Offer { asset: wire_digest(&Digest::of(third)), ..offer("third") };
    let with_card = |card| v1::Offer { card, ..third.clone() };
    for card in [another.asset.clone(), third.asset.clone()] {
        let refused = refused(publish(&other, with_card(card)).await);
        assert_eq!(refused, (Code::InvalidArgument, "MODEL_IS_TEXT".into()));
    }
    let a_card = v1::Offer { asset: wire_digest(&Digest::of(b"a card")), ..third.clone() };
    let a_card = v1::Offer { card: third.facts.clone(), ..a_card };
    assert_eq!(refused(publish(&other, a_card).await).1, "MODEL_IS_TEXT", "others' card");
    let missing = v1::Offer { asset: wire_digest(&Digest::of(b"no such")), ..offer("third") };
    assert_eq!(refused(publish(&other, missing).await).1, "ASSET_MISSING");
    let mut names = Vec::new();
    let mut ask = v1::ListModelsRequest { page_size: 1, ..Default::default() };
    loop {
        let page = other.models().list_models(ask.clone()).await.unwrap().into_inner();
        names.extend(page.models.into_iter().map(|model| model.offer.unwrap().name));
        ask.page_token = page.next_page_token;
        if ask.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["another", "style"]);
}
