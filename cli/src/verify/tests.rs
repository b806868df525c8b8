//! Logs that were tampered with, each in its own way; every one is caught and named.

use super::note::testing::{checkpoint, verifier};
use super::*;
use ed25519_dalek::SigningKey;
use farm::digest::Digest;
use farm::effect::Effect;
use farm::entry::Fact;
use farm::id::AccountId;
use farm::time::Time;
use farm::{Command, Farm, Policy};

pub const ORIGIN: &str = "farm.example/log";

pub fn signer() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

/// A real farm's log: accounts and top-ups, more than one bundle.
pub fn honest(accounts: u32) -> Vec<Entry> {
    let mut farm =
        Farm::new(Policy { maturity_tiles: 64, maturity_ms: 1, lease_ms: 1, round_ms: 1 });
    let mut effects = Vec::new();
    let mut at = 1_000_000;
    for number in 0..accounts {
        let key = Digest::of(&number.to_le_bytes());
        let open = Command::OpenAccount { key, operator: false, name: "artist".into() };
        let pay = Command::TopUp {
            account: Some(AccountId(number)),
            amount: Amount(1_000 + u64::from(number)),
            request: u128::from(number) + 1,
        };
        for command in [open, pay] {
            at += 1;
            farm.apply(Time(at), command, &mut effects).unwrap();
        }
    }
    let entry = |effect| if let Effect::Log(entry) = effect { Some(entry) } else { None };
    effects.into_iter().filter_map(entry).collect()
}

/// Writes the entries as a log's files, signed.
pub fn publish(dir: &Path, entries: &[Vec<u8>]) {
    let write = |name: String, bytes: &[u8]| {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let name = |n: usize, width: usize| match width {
        256 => format!("{n:03}"),
        _ => format!("{n:03}.p/{width}"),
    };
    for (n, bundle) in entries.chunks(256).enumerate() {
        let mut bytes = Vec::new();
        for entry in bundle {
            bytes.extend_from_slice(&(entry.len() as u16).to_be_bytes());
            bytes.extend_from_slice(entry);
        }
        write(format!("tile/entries/{}", name(n, bundle.len())), &bytes);
    }
    let mut nodes: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    let root = farm::log::root_of(&nodes);
    for level in 0.. {
        if nodes.is_empty() {
            break;
        }
        for (n, tile) in nodes.chunks(256).enumerate() {
            write(format!("tile/{level}/{}", name(n, tile.len())), &tile.concat());
        }
        nodes = nodes.chunks_exact(256).map(farm::log::root_of).collect();
    }
    let note = checkpoint(ORIGIN, &signer(), entries.len() as u64, &root);
    write("checkpoint".into(), note.as_bytes());
}

async fn verdict(dir: &Path, since: Option<&str>) -> Result<Verified, String> {
    let key = LogKey::parse(&verifier(ORIGIN, &signer())).unwrap();
    let mut source = Source::Folder(dir.into());
    let older: Vec<Checkpoint> = since.map(|text| key.open(text).unwrap()).into_iter().collect();
    let checked = check(&mut source, &key, &older, Form::Json).await;
    checked.map(|(verified, _)| verified).map_err(|error| {
        assert!(error.is::<Breach>(), "{error:#}");
        error.to_string()
    })
}

pub fn bytes(entries: &[Entry]) -> Vec<Vec<u8>> {
    entries.iter().map(Entry::to_bytes).collect()
}

#[tokio::test]
async fn an_honest_log_gives_every_balance() {
    let dir = tempfile::tempdir().unwrap();
    let entries = honest(200);
    assert!(entries.len() > 256);
    publish(dir.path(), &bytes(&entries));
    let verified = verdict(dir.path(), None).await.unwrap();
    let balance = |book| verified.balances.iter().find(|row| row.0 == book).unwrap().1;
    assert_eq!(balance(Book::Available(AccountId(7))), Amount(1_007));
    let half = farm::log::root_of(
        &entries[..100].iter().map(|entry| leaf_hash(&entry.to_bytes())).collect::<Vec<_>>(),
    );
    let older = checkpoint(ORIGIN, &signer(), 100, &half);
    assert_eq!(verdict(dir.path(), Some(&older)).await.unwrap().since, Some(100));
}

#[tokio::test]
async fn a_dropped_entry_is_named_even_if_the_log_signs_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut entries = honest(4);
    let opened =
        |entry: &Entry| matches!(entry.fact, Fact::AccountOpened { account, .. } if account.0 == 2);
    let at = entries.iter().position(opened);
    entries.remove(at.unwrap());
    publish(dir.path(), &bytes(&entries));
    let why = verdict(dir.path(), None).await.unwrap_err();
    assert!(why.contains("does not follow: accounts are numbered in order"), "{why}");
}

#[tokio::test]
async fn an_altered_amount_is_found_by_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let mut entries = honest(4);
    publish(dir.path(), &bytes(&entries));
    let honest_note = std::fs::read(dir.path().join("checkpoint")).unwrap();
    let honest_hashes = {
        let count = entries.len();
        let path = dir.path().join(format!("tile/0/000.p/{count}"));
        (path.clone(), std::fs::read(path).unwrap())
    };
    let moved = |entry: &Entry| matches!(entry.fact, Fact::Transfer { .. });
    let at = entries.iter().rposition(moved).unwrap();
    if let Fact::Transfer { amount, .. } = &mut entries[at].fact {
        amount.0 += 1;
    }
    publish(dir.path(), &bytes(&entries));
    std::fs::write(dir.path().join("checkpoint"), honest_note).unwrap();
    std::fs::write(honest_hashes.0, honest_hashes.1).unwrap();
    let why = verdict(dir.path(), None).await.unwrap_err();
    assert!(why.contains(&format!("the first to differ is entry {at}")), "{why}");
}

#[tokio::test]
async fn a_rollback_and_a_fork_are_caught_by_an_older_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let entries = bytes(&honest(6));
    publish(dir.path(), &entries);
    let seen = std::fs::read_to_string(dir.path().join("checkpoint")).unwrap();
    publish(dir.path(), &entries[..4]);
    let why = verdict(dir.path(), Some(&seen)).await.unwrap_err();
    assert!(why.contains("rolled back"), "{why}");
    let mut other = honest(7);
    other[0].time = Time(other[0].time.0 - 1);
    publish(dir.path(), &bytes(&other));
    let why = verdict(dir.path(), Some(&seen)).await.unwrap_err();
    assert!(why.contains("forked"), "{why}");
}

/// A log that grows while it is read: tiles that were not whole have become so and replaced what
/// they were.
#[tokio::test]
async fn a_checkpoint_that_the_log_has_outgrown_is_verified_still() {
    let dir = tempfile::tempdir().unwrap();
    let entries = bytes(&honest(300));
    publish(dir.path(), &entries[..100]);
    let path = dir.path().join("checkpoint");
    let seen = std::fs::read(&path).unwrap();
    for level in ["entries", "0"] {
        std::fs::remove_dir_all(dir.path().join("tile").join(level).join("000.p")).unwrap();
    }
    publish(dir.path(), &entries);
    std::fs::write(&path, seen).unwrap();
    assert_eq!(verdict(dir.path(), None).await.unwrap().checkpoint.size, 100);
}

#[tokio::test]
async fn a_false_hash_tile_and_a_missing_bundle_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let entries = bytes(&honest(150));
    publish(dir.path(), &entries);
    let path = dir.path().join("tile/0/000");
    let mut tile = std::fs::read(&path).unwrap();
    tile[40] ^= 1;
    std::fs::write(&path, tile).unwrap();
    let why = verdict(dir.path(), None).await.unwrap_err();
    assert!(why.contains("hash tile 0 of level 0"), "{why}");
    std::fs::remove_file(dir.path().join("tile/entries/000")).unwrap();
    let why = verdict(dir.path(), None).await.unwrap_err();
    assert!(why.contains("entries/000"), "{why}");
}

#[tokio::test]
async fn a_checkpoint_of_another_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), &bytes(&honest(2)));
    let path = dir.path().join("checkpoint");
    let note = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, note.replacen("\n4\n", "\n3\n", 1).replacen("\n5\n", "\n4\n", 1))
        .unwrap();
    let why = verdict(dir.path(), None).await.unwrap_err();
    assert!(why.contains("not signed"), "{why}");
}
