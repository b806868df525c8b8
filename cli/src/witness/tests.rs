//! Logs that grow, and logs that contradict themselves.

use super::*;
use crate::verify::note::WitnessKey;
use crate::verify::tests::{ORIGIN, bytes, honest, publish, signer as log_signer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn log_key() -> LogKey {
    LogKey::parse(&note::testing::verifier(ORIGIN, &log_signer())).unwrap()
}

fn open(dir: &Path) -> Shared {
    Arc::new(Mutex::new(Witness::open(dir, Some("witness.example/w1"), log_key()).unwrap()))
}

async fn look_at(log: &Path, witness: &Shared) -> Result<bool, String> {
    let seen = look(&mut Source::Folder(log.into()), witness).await;
    seen.map_err(|error| {
        assert!(is_breach(&error), "{error:#}");
        error.to_string()
    })
}

/// A real farm's log that at entry 2 tells another story.
fn forked(accounts: u32) -> Vec<Vec<u8>> {
    let mut entries = honest(accounts);
    entries[2].time.0 -= 1;
    bytes(&entries)
}

#[tokio::test]
async fn a_log_that_grows_is_signed_and_the_signature_is_kept() {
    let (log, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let entries = bytes(&honest(400));
    for size in [1, 7, 256, 300, 513, 513, 800] {
        publish(log.path(), &entries[..size]);
        let witness = open(state.path());
        let grown = witness.lock().unwrap().size() < size as u64;
        assert_eq!(look_at(log.path(), &witness).await, Ok(grown), "{size} entries");
        let verifier = std::fs::read_to_string(state.path().join("witness.vkey")).unwrap();
        let note = std::fs::read_to_string(state.path().join("checkpoint")).unwrap();
        assert!(WitnessKey::parse(&verifier).unwrap().cosigned(&note).is_some());
        assert_eq!(log_key().open(&note).unwrap().size, size as u64);
    }
}

#[tokio::test]
async fn forks_and_rollbacks_are_refused_and_what_proves_them_is_kept() {
    for (size, why) in [(300, "forked"), (310, "does not begin"), (200, "rolled back")] {
        let (log, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        publish(log.path(), &bytes(&honest(200))[..300]);
        let witness = open(state.path());
        look_at(log.path(), &witness).await.unwrap();
        publish(log.path(), &forked(200)[..size]);
        let said = look_at(log.path(), &witness).await.unwrap_err();
        assert!(said.contains(why), "{said}");
        let kept = std::fs::read_to_string(state.path().join("contradiction")).unwrap();
        assert_eq!(log_key().open(&kept).unwrap().size, size as u64);
        assert_eq!(open(state.path()).lock().unwrap().size(), 300, "what was signed stays");
    }
}

/// One call of the protocol over a socket: its status, and the body.
async fn post_checkpoint(server: std::net::SocketAddr, body: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(server).await.unwrap();
    let head = format!(
        "POST /add-checkpoint HTTP/1.1\r\nHost: witness\r\nContent-Type: text/plain\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn the_door_answers_as_the_protocol_says() {
    let (log, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let witness = open(state.path());
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    let router = door(Arc::clone(&witness));
    tokio::spawn(async move { axum::serve(socket, router).await });
    let entries = bytes(&honest(60));
    let mut source = Source::Folder(log.path().into());
    let mut shown = async |entries: &[Vec<u8>], old: u64| {
        publish(log.path(), entries);
        let note = std::fs::read_to_string(log.path().join("checkpoint")).unwrap();
        let proof = source.consistency(old, entries.len() as u64).await.unwrap();
        let lines: String = proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
        format!("old {old}\n{lines}\n{note}")
    };
    let first = shown(&entries[..50], 0).await;
    let (code, line) = post_checkpoint(server, &first).await;
    assert!(code == 200 && line.starts_with("\u{2014} witness.example/w1 "), "{code} {line}");
    assert_eq!(post_checkpoint(server, &first).await, (409, "50\n".to_owned()));
    let second = shown(&entries[..90], 50).await;
    assert_eq!(post_checkpoint(server, &second.replacen("old 50", "old 91", 1)).await.0, 400);
    assert_eq!(post_checkpoint(server, &second.replacen("\n\n", "\nAAAA\n\n", 1)).await.0, 400);
    assert_eq!(post_checkpoint(server, &second.replace(ORIGIN, "other/log")).await.0, 404);
    assert_eq!(post_checkpoint(server, &second.replace("\n90\n", "\n91\n")).await.0, 403);
    let fork = shown(&forked(60)[..90], 50).await;
    assert_eq!(post_checkpoint(server, &fork).await.0, 422);
    assert_eq!(post_checkpoint(server, &second).await.0, 200);
    assert_eq!(witness.lock().unwrap().size(), 90);
}
