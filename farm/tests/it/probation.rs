//! Stories of probation. A0 orders; A1 to A3 own workers; A4 operates the farm. A tile earns 640,
//! of which the farm takes 32.

use crate::money::follow;
use crate::table::{Table, play};
use farm::entry::{Book, Cause, Entry, Fact, Reason};
use farm::id::{JobId, WorkerId};
use farm::money::Amount;

const OPEN: &str = "
    secret x -> ok
    account a0 -> A0
    account a1 -> A1
    account a2 -> A2
    account a3 -> A3
    account op operator -> A4
    top-up A0 1000 -> 1000000000
    top-up A1 1 -> 1000000
    top-up audits 1 -> 1000000
    connect W0 owner=A1 -> W0
    connect W1 owner=A2 -> W1
";

/// W0 computes tiles of one job each, and W1 all of them again.
fn compute(table: &mut Table, tiles: std::ops::Range<u32>) {
    for tile in tiles {
        let name = format!("J{tile}/0");
        assert_eq!(table.line("submit A0 tiles=1 cap=1"), format!("J{tile}: grant W0 {name}"));
        let reported = table.line(&format!("report W0 {name}"));
        if reported.ends_with(&format!("challenge W0 {name}")) {
            table.line(&format!("open W0 {name}"));
        }
        table.line(&format!("report W1 {name}"));
        assert_eq!(table.line(&format!("stored J{tile} 1")), "ok");
    }
}

/// Held, on probation, payable.
fn money(table: &Table, worker: u32) -> [u64; 3] {
    let worker = table.farm.worker(WorkerId(worker)).unwrap();
    [worker.held.0, worker.probation.0, worker.payable.0]
}

fn first_looks(table: &Table) -> Vec<u64> {
    let looks = table.entries.iter().filter_map(|entry| match &entry.fact {
        Fact::ReviewOpened { job, cause: Cause::Unsecured, .. } => Some(u64::from(job.0)),
        _ => None,
    });
    looks.collect()
}

/// A newcomer with ten tiles, the first three of which W2 looks at again.
fn with_standing() -> Table {
    let mut table = play(OPEN);
    compute(&mut table, 0..9);
    assert_eq!(table.line("wait 61000"), "ok");
    assert_eq!(money(&table, 0), [0, 9 * 608, 0], "final for the jobs, not for the worker");
    // Whoever had vouched for them waits for the first three, and was paid for the others.
    assert_eq!(money(&table, 1), [3 * 640, 0, 6 * 640]);
    assert_eq!(first_looks(&table), [] as [u64; 0], "there is less to lose than ten");
    compute(&mut table, 9..10);
    assert_eq!(first_looks(&table), [0, 1, 2]);
    table.line("wait 61000");
    assert_eq!(money(&table, 0), [0, 10 * 608, 0], "ten tiles' pay stays behind it");
    let looks = "W2: grant W2 J0/0, grant W2 J1/0, grant W2 J2/0";
    assert_eq!(table.line("connect W2 owner=A3"), looks);
    table
}

#[test]
fn a_newcomers_first_tiles_are_looked_at_again_before_it_is_paid() {
    let mut table = with_standing();
    let why = table.farm.explain_worker(WorkerId(0)).join("; ");
    assert!(why.contains("0.006080 credits are on probation"), "{why}");
    assert!(why.contains("3 of its tiles, which it reported when it had less than 3"), "{why}");
    assert_eq!(table.line("report W2 J0/0"), "settled");
    assert_eq!(money(&table, 1)[0], 2 * 640);
    assert_eq!(money(&table, 2), [0, 0, 640]);
    assert_eq!(table.line("disconnect W2"), "ok");
    compute(&mut table, 10..12);
    assert_eq!(table.line("wait 61000"), "ok: revoke W2 J1/0, revoke W2 J2/0");
    // What nobody looked at again yet stays; later tiles do not wait for that.
    assert_eq!(money(&table, 0), [0, 10 * 608, 2 * 608]);
    let released = |table: &Table| {
        let released = table.entries.iter().filter_map(|entry| match &entry.fact {
            Fact::Transfer { reason: Reason::Released(job, _), .. } => Some(job.0),
            _ => None,
        });
        released.collect::<Vec<_>>()
    };
    assert_eq!(released(&table), [0, 3]);
    assert_eq!(table.line("connect W2 owner=A3"), "W2");
    assert_eq!(table.line("wait 1001"), "ok: grant W2 J1/0, grant W2 J2/0");
    assert_eq!(table.line("report W2 J1/0"), "settled");
    assert_eq!(table.line("report W2 J2/0"), "settled");
    assert_eq!(money(&table, 1)[0], 0);
    assert_eq!(table.line("disconnect W2"), "ok");
    compute(&mut table, 12..13);
    assert_eq!(table.line("wait 61000"), "ok");
    assert_eq!((money(&table, 0), released(&table)), ([0, 10 * 608, 3 * 608], vec![0, 3, 1]));
    // Who says nothing for a fortnight has left: all of it is its own.
    assert_eq!(table.line("disconnect W0"), "ok");
    assert_eq!(table.line("wait 1210000000"), "ok");
    assert_eq!(money(&table, 0), [0, 0, 13 * 608]);
    assert_eq!(table.line("secret longer"), "ok");
    assert!(follow(&table.entries).is_ok());
}

#[test]
fn a_forged_first_tile_costs_a_newcomer_all_that_followed() {
    let mut table = play(OPEN);
    assert_eq!(table.line("submit A0 tiles=1 cap=1"), "J0: grant W0 J0/0");
    table.line("report W0 J0/0 as=lie");
    assert_eq!(table.line("report W1 J0/0 as=lie"), "settled: settle W0 J0/0");
    assert_eq!(table.line("stored J0 1"), "ok");
    compute(&mut table, 1..10);
    assert_eq!(table.line("wait 61000"), "ok");
    assert_eq!(money(&table, 0), [0, 10 * 608, 0]);
    // Not before whoever had vouched for it, and an arbiter decides.
    println!(
        "{:?} {:?}",
        first_looks(&table),
        table.entries.iter().rev().take(40).collect::<Vec<_>>()
    );
    let looks = "W2: grant W2 J0/0, grant W2 J1/0, grant W2 J2/0";
    assert_eq!(table.line("connect W2 owner=A3"), looks);
    assert_eq!(table.line("report W2 J0/0"), "settled");
    assert_eq!(table.line("connect W3 owner=A4"), "W3: grant W3 J0/0");
    let before = table.farm.book(Book::Audits).0;
    assert!(table.line("report W3 J0/0").starts_with("settled"));
    assert!(table.farm.worker(WorkerId(0)).unwrap().refuted);
    assert_eq!(money(&table, 0), [0, 0, 0]);
    // Those who vouched for the three that nobody looked at again get nothing either.
    assert_eq!(money(&table, 1), [0, 0, 7 * 640]);
    let paid = 2 * 640;
    assert_eq!(table.farm.book(Book::Audits).0, before + 10 * 608 + 3 * 640 - paid);
    assert_eq!(table.line("secret longer"), "ok");
    assert!(follow(&table.entries).is_ok());
}

#[test]
fn who_leaves_early_gets_nothing_for_what_nobody_looked_at_again() {
    let mut table = play(OPEN);
    compute(&mut table, 0..5);
    table.line("wait 61000");
    assert_eq!(money(&table, 0), [0, 5 * 608, 0]);
    let pot = table.farm.book(Book::Audits).0;
    table.line("wait 1210000000");
    assert_eq!(money(&table, 0), [0, 0, 2 * 608]);
    assert_eq!(money(&table, 1), [0, 0, 2 * 640], "nor do those who vouched for it");
    assert_eq!(table.farm.book(Book::Audits).0 - pot, 3 * (608 + 640));
    table.line("secret longer");
    assert!(follow(&table.entries).is_ok());
}

#[test]
fn a_stake_takes_the_place_of_waiting() {
    let mut table = play(OPEN);
    assert_eq!(table.line("stake W0 6080 by=A1"), "staked 6080");
    compute(&mut table, 0..1);
    table.line("wait 61000");
    assert_eq!((money(&table, 0), money(&table, 1)), ([0, 0, 608], [0, 0, 640]));
    assert_eq!(table.line("unstake W0 by=A1"), "returned 6080");
    // Now it has nothing to lose, and is watched like a newcomer again.
    compute(&mut table, 1..2);
    table.line("wait 61000");
    assert_eq!(money(&table, 0), [0, 608, 608]);
}

#[test]
fn no_job_waits_for_a_look_at_its_tile() {
    let mut table = play(OPEN);
    compute(&mut table, 0..1);
    assert_eq!(table.line("stake W0 6080 by=A1"), "staked 6080");
    assert_eq!(table.line("wait 1"), "ok");
    assert_eq!(first_looks(&table), [0]);
    assert_eq!(table.line("wait 61000"), "ok");
    assert_eq!(money(&table, 0), [0, 608, 0], "final for its job, and nobody is there to look");
    assert_eq!(table.line("connect W2 owner=A3"), "W2: grant W2 J0/0");
    assert_eq!(table.line("report W2 J0/0"), "settled");
    assert_eq!((money(&table, 0), money(&table, 1)), ([0, 0, 608], [0, 0, 640]));
}

/// What the proof says of this log with something changed.
fn fault(log: &[Entry], change: impl Fn(&mut Vec<Entry>)) -> &'static str {
    let mut log = log.to_vec();
    change(&mut log);
    follow(&log).unwrap_err().why
}

fn position(log: &[Entry], what: impl Fn(&Fact) -> bool) -> usize {
    log.iter().position(|entry| what(&entry.fact)).unwrap()
}

/// A newcomer's log up to the first tile that is its own.
fn of_a_newcomer() -> Vec<Entry> {
    let mut table = with_standing();
    table.line("report W2 J0/0");
    table.line("disconnect W2");
    compute(&mut table, 10..11);
    table.line("secret longer");
    assert!(follow(&table.entries).is_ok());
    table.entries
}

/// Whether the entry moves money for a reason like this.
fn moved(wanted: impl Fn(&Reason) -> bool) -> impl Fn(&Fact) -> bool {
    move |fact| matches!(fact, Fact::Transfer { reason, .. } if wanted(reason))
}

/// Changes where money goes, and why.
fn divert(entry: &mut Entry, to: Book, why: fn(JobId, u64) -> Reason) {
    let Fact::Transfer { credit, reason, .. } = &mut entry.fact else { panic!("no transfer") };
    let (Reason::Probation(job, tile) | Reason::Released(job, tile)) = *reason else { panic!() };
    (*credit, *reason) = (to, why(job, tile));
}

/// Where the pay of this job's tile is put on probation, and where the first is released.
fn probation_of(log: &[Entry], job: u32) -> usize {
    position(log, moved(|reason| matches!(reason, Reason::Probation(of, _) if of.0 == job)))
}

fn release(log: &[Entry]) -> usize {
    position(log, moved(|reason| matches!(reason, Reason::Released(..))))
}

#[test]
fn a_farm_that_pays_early_or_favours_is_named() {
    let log = of_a_newcomer();
    let payable = Book::Payable(WorkerId(0));
    let early = |job| {
        fault(&log, |log| {
            let at = probation_of(log, job);
            divert(&mut log[at], payable, Reason::Maturity);
        })
    };
    assert_eq!(early(0), "nobody has looked at the tile again");
    assert_eq!(early(3), "it leaves the worker too little to lose");
    let vouched = fault(&log, |log| {
        let paid = moved(|reason| matches!(reason, Reason::Vouched(job, _) if job.0 == 0));
        let entry = log.remove(position(log, paid));
        let at = probation_of(log, 0);
        log.insert(at, Entry { time: log[at].time, ..entry });
    });
    assert_eq!(vouched, "what was vouched for it is settled, and it is to be looked at again");
    let trusted = fault(&log, |log| {
        let is_draw = |at: &usize| matches!(log[*at].fact, Fact::AuditDrawn { .. });
        let second = (0..log.len()).filter(is_draw).nth(1).unwrap();
        let Fact::AuditDrawn { clean, .. } = &mut log[second].fact else { panic!() };
        *clean = 1;
    });
    assert_eq!(trusted, "the worker's clean tiles are counted wrongly");
    let lapsed = fault(&log, |log| {
        let at = release(log);
        divert(&mut log[at], Book::Audits, Reason::Lapsed);
    });
    assert_eq!(lapsed, "the worker has neither lied nor left");
    let altered = fault(&log, |log| {
        let at = release(log);
        let Fact::Transfer { amount, .. } = &mut log[at].fact else { panic!() };
        *amount = Amount(amount.0 + 1);
    });
    assert_eq!(altered, "not what is on probation for the tile");
}

#[test]
fn a_farm_that_skips_a_look_or_hurries_it_is_named() {
    let log = of_a_newcomer();
    let opened = |log: &[Entry]| position(log, |fact| matches!(fact, Fact::ReviewOpened { .. }));
    let skipped = fault(&log, |log| {
        let (entry, at) = (log[release(log)].clone(), opened(log));
        log.insert(at, Entry { time: log[at].time, ..entry });
    });
    assert_eq!(skipped, "nobody has looked at the tile again");
    let soon = fault(&log, |log| {
        let (entry, at) = (log[opened(log)].clone(), probation_of(log, 0));
        log.insert(at, Entry { time: log[at].time, ..entry });
    });
    assert_eq!(soon, "it is looked at while its worker has little to lose");
    let needless = fault(&log, |log| {
        let at = opened(log);
        let Fact::ReviewOpened { job, .. } = &mut log[at].fact else { panic!() };
        job.0 = 5;
    });
    assert_eq!(needless, "its worker had enough to lose as it committed to it");
}

#[test]
fn a_liar_keeps_nothing_on_probation() {
    let mut table = play(OPEN);
    compute(&mut table, 0..2);
    table.line("wait 61000");
    table.line("connect W2 owner=A3");
    table.line("connect W3 owner=A4");
    table.line("submit A0 tiles=1 cap=1");
    let asked = table.line("report W0 J2/0 as=lie");
    let by = asked.split("grant ").last().unwrap()[..2].to_string();
    table.line(&format!("report {by} J2/0"));
    table.line("report W3 J2/0");
    assert!(table.farm.worker(WorkerId(0)).unwrap().refuted);
    assert_eq!(money(&table, 0), [0, 0, 0]);
    table.line("secret longer");
    let log = table.entries;
    assert!(follow(&log).is_ok());
    let kept = fault(&log, |log| {
        log.retain(|entry| match &entry.fact {
            Fact::Transfer { reason, .. } => {
                !matches!(reason, Reason::Lapsed(..) | Reason::Unvouched(..))
            }
            _ => true,
        });
    });
    assert_eq!(kept, "a refuted worker has pay on probation still");
}
