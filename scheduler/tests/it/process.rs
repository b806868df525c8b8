//! Schedulers in processes of their own, which meet a full disk or are killed. A test here starts
//! its own executable again: the second time, told so by a variable, it is the scheduler.

use crate::house::{Caller, House, config, reason};
use scheduler::Running;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use tempfile::TempDir;
use tonic::Code;

/// Names the state directory to the process that is the scheduler.
const STATE: &str = "GIRIH_TEST_STATE";
/// Bytes that a file may have in a process whose disk is full.
const FILE_BYTES_MAX: u64 = 12 << 10;

/// Where the scheduler is to live, if this process is to be one.
fn state() -> Option<PathBuf> {
    std::env::var_os(STATE).map(PathBuf::from)
}

/// A scheduler in another process.
struct Other {
    process: Child,
    said: BufReader<ChildStdout>,
    url: String,
}

impl Other {
    /// Starts it as this test, and waits for its address.
    fn start(test: &str, state: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--test-threads", "1"])
            .env(STATE, state)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        let url = loop {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended before it served");
            if let Some((_, url)) = line.split_once("serving at ") {
                break url.trim().to_string();
            }
        };
        Self { process, said, url }
    }

    async fn operator(&self, state: &Path) -> Caller {
        let key = std::fs::read_to_string(state.join("operator.key")).unwrap();
        Caller::at(&self.url, key.trim()).await
    }
}

/// The scheduler's side of a test: serves until the journal fails, and says how it ended.
fn serve(state: &Path, full: bool) {
    use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
    use tokio::signal::unix::{SignalKind, signal};
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut running = Running::start(config(state)).await.unwrap();
        // A write beyond the limit is cut short and then fails, as on a disk without room.
        let _heard = signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).unwrap();
        if full {
            let most = Some(FILE_BYTES_MAX);
            setrlimit(Resource::Fsize, Rlimit { current: most, maximum: most }).unwrap();
        }
        println!("serving at {}", running.url);
        running.failed().await;
        println!("ended: {:#}", running.stop().await.unwrap_err());
    });
}

/// The same state with room on its disk, in this process.
async fn with_room(state: &Path, dir: TempDir) -> House {
    House::start(config(state), dir).await.unwrap()
}

#[test]
fn a_full_disk_stops_it_cleanly_and_keeps_what_was_acknowledged() {
    if let Some(state) = state() {
        return serve(&state, true);
    }
    let test = "process::a_full_disk_stops_it_cleanly_and_keeps_what_was_acknowledged";
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().to_path_buf();
        let mut other = Other::start(test, &state);
        let operator = other.operator(&state).await;
        let client = operator.found("client", 0, &other.url).await;
        let (mut available, mut n) = (0, 1);
        let refused = loop {
            match operator.top_up(client.account, 10, n).await {
                Ok(now) => available = now,
                Err(status) => break status,
            }
            n += 1;
            assert!(n < 2000, "the disk never fills");
        };
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!(reason(&refused), "JOURNAL_FAILED");
        assert_eq!(available, 10 * u64::from(n - 1), "each of the earlier ones was kept");
        let ended = tokio::task::spawn_blocking(move || {
            let mut rest = String::new();
            other.said.read_to_string(&mut rest).unwrap();
            (other.process.wait().unwrap(), rest)
        });
        let (status, said) = ended.await.unwrap();
        assert!(status.success(), "it stopped cleanly: {said}");
        assert!(said.contains(".journal: File too large"), "{said}");

        let house = with_room(&state, dir).await;
        let operator = house.operator().await;
        let client = house.at(&client.key).await;
        assert_eq!(client.balance().await.available, available);
        for _ in 0..2 {
            let again = operator.top_up(client.account, 10, n).await.unwrap();
            assert_eq!(again, available + 10, "what was refused is made good, once");
        }
    });
}

#[test]
fn killed_at_any_moment_it_has_what_it_acknowledged() {
    if let Some(state) = state() {
        return serve(&state, false);
    }
    let test = "process::killed_at_any_moment_it_has_what_it_acknowledged";
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().to_path_buf();
        let (mut acknowledged, mut asked, mut key) = (0, 0, String::new());
        for round in 1..=3u32 {
            let mut other = Other::start(test, &state);
            let operator = other.operator(&state).await;
            if round == 1 {
                key = operator.found("client", 0, &other.url).await.key;
            }
            let client = Caller::at(&other.url, &key).await;
            let available = client.balance().await.available;
            assert!((acknowledged..=asked).contains(&available), "{available} of {asked}");
            acknowledged = available;
            asked = available;
            // Several at once, so that the kill falls between asking and answering.
            let calls: Vec<_> = (0..40u32)
                .map(|n| {
                    let (operator, account) = (operator.clone(), client.account);
                    tokio::spawn(async move { operator.top_up(account, 1, round << 16 | n).await })
                })
                .collect();
            asked += calls.len() as u64;
            let mut done = 0;
            for call in calls {
                acknowledged += u64::from(call.await.unwrap().is_ok());
                done += 1;
                if done == 10 * round {
                    other.process.kill().unwrap();
                }
            }
            other.process.wait().unwrap();
        }
        let house = with_room(&state, dir).await;
        let available = house.at(&key).await.balance().await.available;
        assert!(
            (acknowledged..=asked).contains(&available),
            "{available}: {acknowledged}..{asked}"
        );
        assert!(acknowledged >= 60, "some were acknowledged: {acknowledged}");
    });
}

#[tokio::test]
async fn a_journal_at_its_limit_stops_the_scheduler_cleanly() {
    let house = House::with(|config| {
        config.journal_segment_bytes = 4 << 10;
        config.journal_bytes_max = 8 << 10;
    })
    .await;
    let operator = house.operator().await;
    let client = house.client("client", 0).await;
    let mut n = 1;
    let refused = loop {
        match operator.top_up(client.account, 10, n).await {
            Ok(_) => n += 1,
            Err(status) => break status,
        }
        assert!(n < 1000, "the limit is never met");
    };
    assert_eq!((refused.code(), reason(&refused)), (Code::Unavailable, "JOURNAL_FAILED".into()));
    let House { mut running, mut config, dir } = house;
    running.failed().await;
    let ended = format!("{:#}", running.stop().await.unwrap_err());
    assert!(ended.contains("limit of 8192 bytes"), "{ended}");
    config.journal_bytes_max = 0;
    let house = House::start(config, dir).await.unwrap();
    let client = house.at(&client.key).await;
    assert_eq!(client.balance().await.available, 10 * u64::from(n - 1));
}

/// Every file of a directory.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[tokio::test]
async fn a_journal_that_lost_what_the_public_log_shows_is_refused() {
    let house = House::open().await;
    house.client("client", 10).await;
    let House { running, config, dir } = house;
    running.stop().await.unwrap();
    let journal = dir.path().join("journal");
    for entry in std::fs::read_dir(&journal).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("snapshot") => std::fs::remove_file(path).unwrap(),
            Some("journal") => {
                let file = std::fs::File::options().write(true).open(path).unwrap();
                file.set_len(540).unwrap();
            }
            _ => {}
        }
    }
    let before = files(&journal);
    let outcome = Running::start(config).await;
    let Err(refused) = outcome else { panic!("it started") };
    let refused = refused.to_string();
    assert!(refused.contains("entries of the public log, which has"), "{refused}");
    assert!(files(&journal) == before, "nothing was changed");
    assert!(refused.contains("restore the journal from a copy"), "{refused}");
}
