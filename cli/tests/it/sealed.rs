//! Sealed scenes: nothing of them lies anywhere in the clear, only leases bring keys, and the
//! picture is the same.

use crate::farm::{Farm, has_device, scene, wait_for};
use proto::v1;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use worker::channel::{Address, Trust};

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).into_iter().flatten() {
        let path = file.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// Bytes that mark the scene: its name, as the manifest has it, and pieces of its files.
fn marks() -> Vec<Vec<u8>> {
    let mut marks = vec![b"courtyard.glb".to_vec()];
    for path in scene() {
        let bytes = std::fs::read(path).unwrap();
        let places = (0..16).map(|nth| 64 + nth * (bytes.len() - 128) / 16);
        let pieces = places.map(|at| bytes[at..at + 32].to_vec());
        marks.extend(pieces.filter(|piece| piece.iter().collect::<BTreeSet<_>>().len() > 12));
    }
    assert!(marks.len() > 12, "{} marks", marks.len());
    marks
}

/// The files below these folders in which a mark stands.
fn betrayed(farm: &Farm, folders: &[&str], marks: &[Vec<u8>]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for path in folders.iter().flat_map(|folder| files(&farm.path(folder))) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        let has = |mark: &Vec<u8>| bytes.windows(mark.len()).any(|piece| piece == mark);
        if marks.iter().any(has) {
            found.insert(path);
        }
    }
    found
}

/// What anybody with an account gets for a digest.
fn downloaded(farm: &Farm, key: &str, digest: &str) -> Result<Vec<u8>, tonic::Status> {
    asked(farm, key, digest, None)
}

/// What an artist gets for an image of a job.
pub fn image(farm: &Farm, key: &str, digest: &str, job: u64) -> Result<Vec<u8>, tonic::Status> {
    asked(farm, key, digest, Some(job))
}

fn asked(
    farm: &Farm,
    key: &str,
    digest: &str,
    job_id: Option<u64>,
) -> Result<Vec<u8>, tonic::Status> {
    let address =
        Address { server: farm.server.clone(), key: Some(key.to_owned()), trust: Trust::System };
    let digest = farm::digest::Digest::parse(digest).unwrap();
    let digest = proto::convert::wire_digest(&digest);
    let ask = v1::DownloadRequest { digest, job_id, ..Default::default() };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let keyed = address.connect().await.unwrap();
        let mut client = v1::assets_client::AssetsClient::new(keyed);
        let mut stream = client.download(ask).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(part) = stream.message().await? {
            bytes.extend_from_slice(&part.data);
        }
        Ok(bytes)
    })
}

#[test]
fn a_sealed_scene_is_nowhere_in_the_clear_and_its_picture_is_the_same() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start_with("maturity_ms = 500\n");
    let artist = farm.account("artist", "100");
    farm.ask(&farm.operator, &["account", "top-up", "10", "--account", "0"]);
    let (marks, folders) = (marks(), ["state", "ada", "bob", "cyd"]);
    let cut = ["--tile-size", "16", "--frames", "1-2"];
    let job = farm.submit(&artist, &cut);
    assert_eq!(farm.job(&artist, job)["sealed"], true);
    farm.kill_and_restart_scheduler();
    let keys = farm.start_owners(&["ada", "bob"]);
    // With a stake nothing is to be looked at again later, when there is more to lose.
    for key in &keys {
        let account = farm.ask(key, &["account", "show"])["account_id"].to_string();
        farm.ask(&farm.operator, &["account", "top-up", "1", "--account", &account]);
        let worker = farm.ask(key, &["workers"])["workers"][0]["worker_id"].to_string();
        farm.ask(key, &["stake", &worker, "1"]);
    }
    // Does nothing, and so gets no key.
    farm.start_worker("cyd", &farm.account("cyd", "0"), &["--engine", "null"]);
    farm.wait_for_workers(3);
    let claimed = |farm: &Farm| {
        let job = farm.job(&artist, job);
        job["tiles_accepted"].as_u64().unwrap() + job["tiles_claimed"].as_u64().unwrap()
    };
    wait_for("the first claims", || (claimed(&farm) > 2).then_some(()));
    assert_eq!(betrayed(&farm, &folders, &marks), BTreeSet::new());
    farm.kill_and_restart_scheduler();
    farm.kill_worker("ada");
    farm.start_worker("ada", &keys[0], &[]);
    let frames = farm.finish(&artist, job);
    assert_eq!(betrayed(&farm, &folders, &marks), BTreeSet::new());
    strangers_get_nothing(&farm, &marks);
    readers_are_those_with_a_lease(&farm, job);
    farm.verify();

    // The same scene again: the farm has it already, sealed as it is.
    let stored = || files(&farm.path("state/blobs")).into_iter().collect::<BTreeSet<_>>();
    let before = stored();
    let again = farm.submit(&artist, &["--tile-size", "64"]);
    assert_eq!(stored(), before);
    assert!(farm.finish(&artist, again)[0] == frames[0], "the cut changes no pixel");

    let open = farm.submit(&artist, &[&cut[..], &["--unsealed"]].concat());
    assert_eq!(farm.job(&artist, open)["sealed"], false);
    assert!(farm.finish(&artist, open) == frames, "sealed or not, the bits are the same");
    // So what was looked for can be found.
    assert!(betrayed(&farm, &folders[..1], &marks).len() > 2);
    // Even so workers write nothing down in the clear, and what they made the farm does not either.
    assert_eq!(betrayed(&farm, &folders[1..], &marks), BTreeSet::new());
    let middle = frames[0].len() / 2;
    let picture = [frames[0][middle..middle + 64].to_vec()];
    assert_eq!(betrayed(&farm, &[&format!("job-{job}")], &picture).len(), 1);
    assert_eq!(betrayed(&farm, &folders, &picture), BTreeSet::new());
    farm.verify();
    keys_are_forgotten(&mut farm);
}

/// The digests that a store's files are called by. What a killed scheduler was writing has none, so
/// nobody can ask for it.
fn named(store: &Path) -> Vec<String> {
    let names =
        files(store).into_iter().filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
    names.filter(|name| farm::digest::Digest::parse(name).is_some()).collect()
}

/// Whoever downloads what the farm stores has nothing to read.
fn strangers_get_nothing(farm: &Farm, marks: &[Vec<u8>]) {
    let stranger = farm.account("eve", "0");
    let mut names = 0;
    for name in named(&farm.path("state/blobs")) {
        let bytes = downloaded(farm, &stranger, &name).unwrap();
        assert!(!marks.iter().any(|mark| bytes.windows(mark.len()).any(|piece| piece == mark)));
        names += 1;
    }
    assert!(names > 3, "manifest, scene, sky and keyring are there");
    // The log names tiles and images, and whoever has an account can ask.
    for name in named(&farm.path("state/made/blobs")) {
        let refused = downloaded(farm, &stranger, &name);
        assert_eq!(refused.unwrap_err().code(), tonic::Code::NotFound);
    }
    let bytes = std::fs::read(&scene()[0]).unwrap();
    let plain = farm::digest::Digest::of(&bytes).to_string();
    let refused = downloaded(farm, &stranger, &plain).unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound, "{refused}");
}

/// The receipt names who could read the scene: those that had leases, the idle one not.
fn readers_are_those_with_a_lease(farm: &Farm, job: u64) {
    let receipt = farm.path(&format!("job-{job}")).join(format!("job_{job}.receipt"));
    let log = std::fs::read_to_string(farm.path("state").join("log.vkey")).unwrap();
    let receipt = receipt.to_str().unwrap();
    let proven = farm.ask("", &["verify", "--receipt", receipt, "--log-key", log.trim()]);
    assert_eq!((&proven["sealed"], proven["readers"].as_array().unwrap().len()), (&true.into(), 2));
}

/// Once all pay is final nothing can be computed again, and the keys go.
fn keys_are_forgotten(farm: &mut Farm) {
    let vault = farm.path("state/vault");
    assert!(!files(&vault).is_empty());
    wait_for("the keys to be forgotten", || {
        farm.kill_and_restart_scheduler();
        files(&vault).is_empty().then_some(())
    });
}

#[test]
fn a_seal_that_does_not_open_is_refused_before_any_money_is_held() {
    let farm = Farm::start();
    let artist = farm.account("artist", "100");
    let job = farm.submit(&artist, &[]);
    let before = farm.ask(&artist, &["balance"]);
    // The farm's disk loses the scene, and with it what its locks open.
    for path in files(&farm.path("state/blobs")) {
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, vec![0; bytes.len()]).unwrap();
    }
    let [scene, _] = scene();
    let words = ["submit", scene.to_str().unwrap(), "--size", "96x64", "--max-spend", "2"];
    let again = farm.fail(&artist, &words);
    assert!(again.1.contains("chunk 0 does not open"), "{again:?}");
    assert_eq!(farm.ask(&artist, &["balance"]), before);
    farm.ask(&artist, &["cancel", &job.to_string()]);
    farm.verify();
}
