//! Stories of sealed jobs. A0 orders; A1 to A3 own workers; A4 operates the farm.

use crate::table::{Table, play};
use farm::digest::Digest;
use farm::entry::{Entry, Fact};
use farm::id::WorkerId;
use farm::proof::Books;

const OPEN: &str = "
    secret x -> ok
    account a0 -> A0
    account a1 -> A1
    account a2 -> A2
    account a3 -> A3
    top-up A0 1000 -> 1000000000
    top-up audits 1 -> 1000000
    connect W0 owner=A1 -> W0
    connect W1 owner=A2 -> W1
    connect W2 owner=A3 -> W2
";

/// W0 computes a sealed tile, W2 audits it; the key goes to just these.
const AUDITED: &str = "
    submit A0 tiles=1 sealed cap=10 -> J0: grant W0 J0/0
    report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W2 J0/0
    report W2 J0/0 -> settled: settle W0 J0/0
    stored J0 1 -> ok
";

fn story(rest: &str) -> Table {
    play(&format!("{OPEN}{rest}"))
}

fn keys(log: &[Entry]) -> Vec<WorkerId> {
    let worker = |entry: &Entry| match &entry.fact {
        Fact::KeyWrapped { worker, .. } => Some(*worker),
        _ => None,
    };
    log.iter().filter_map(worker).collect()
}

#[test]
fn a_key_goes_with_each_lease_and_nowhere_else() {
    let table = story(AUDITED);
    assert_eq!(keys(&table.entries), [WorkerId(0), WorkerId(2)]);
    let open = story(&AUDITED.replace(" sealed", ""));
    assert!(keys(&open.entries).is_empty() && open.farm.seals().is_empty());
}

#[test]
fn a_key_is_kept_until_nothing_of_its_job_can_be_computed_again() {
    let seals = |rest: &str| story(&format!("{AUDITED}{rest}")).farm.seals();
    assert_eq!(seals("").into_iter().collect::<Vec<_>>(), [Digest::of(b"seal")]);
    // As long as its tile is to be looked at again, which is until its worker has left.
    assert_eq!(seals("wait 7300000 -> ok").len(), 1);
    assert_eq!(seals("wait 1210000000 -> ok").len(), 0);
    let staked = AUDITED.replacen("submit", "stake W0 1920 by=A1 -> staked 1920\nsubmit", 1);
    let staked = format!("top-up A1 1 -> 1000000\n{staked}wait 7300000 -> ok");
    assert_eq!(story(&staked).farm.seals().len(), 0);
    let open = "submit A0 tiles=1 sealed cap=10 -> J0: grant W0 J0/0\n";
    assert_eq!(story(&format!("{open} wait 1 -> ok")).farm.seals().len(), 1);
    assert_eq!(story(&format!("{open} cancel J0 -> ok: revoke W0 J0/0")).farm.seals().len(), 0);
}

/// What the proof says of a log with something changed.
fn fault(change: impl Fn(&mut Vec<Entry>, usize)) -> &'static str {
    let mut log = story(AUDITED).entries;
    let is_key = |entry: &Entry| matches!(entry.fact, Fact::KeyWrapped { .. });
    let at = log.iter().position(is_key).unwrap();
    change(&mut log, at);
    let mut books = Books::new();
    let mut entries = (0..).zip(&log);
    entries.find_map(|(at, entry)| books.follow(at, entry).err()).unwrap().why
}

#[test]
fn the_proof_names_keys_that_are_missing_or_go_astray() {
    let missing = fault(|log, at| drop(log.remove(at)));
    assert_eq!(missing, "the key that a lease calls for was not given");
    let twice = fault(|log, at| log.insert(at, log[at].clone()));
    assert_eq!(twice, "a key was given without a lease of its job");
    let later = fault(|log, at| {
        let key = log.remove(at);
        log.push(Entry { time: log.last().unwrap().time, ..key });
    });
    assert_eq!(later, "the key that a lease calls for was not given");
    for stray in 0..3 {
        let other = fault(|log, at| {
            let Fact::KeyWrapped { lease, worker, seal } = &mut log[at].fact else { panic!() };
            match stray {
                0 => worker.0 = 1,
                1 => lease.epoch += 1,
                _ => *seal = Digest::of(b"another"),
            }
        });
        assert_eq!(other, "not the key that its lease calls for");
    }
    let unsaid = fault(|log, _| {
        log.retain(|entry| !matches!(entry.fact, Fact::JobSealed { .. }));
    });
    assert_eq!(unsaid, "a key was given without a lease of its job");
    let late = fault(|log, at| {
        let is_seal = |entry: &Entry| matches!(entry.fact, Fact::JobSealed { .. });
        let seal = log.remove(log.iter().position(is_seal).unwrap());
        log.insert(at + 1, Entry { time: log[at].time, ..seal });
    });
    assert_eq!(late, "a key was given without a lease of its job");
}
