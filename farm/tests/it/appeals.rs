//! Stories of arbiters and appeals. A0 orders; A1 to A4 own workers; A5 operates the farm.

use crate::table::{Table, play};
use farm::entry::{Book, Entry, Fact};
use farm::id::{AccountId, JobId, WorkerId};
use farm::view::JobState;

const OPEN: &str = "
    secret x -> ok
    account a0 -> A0
    account a1 -> A1
    account a2 -> A2
    account a3 -> A3
    account a4 -> A4
    account op operator -> A5
    top-up A0 1000 -> 1000000000
    top-up audits 10 -> 10000000
";

fn story(rest: &str) -> Table {
    play(&format!("{OPEN}{rest}"))
}

/// W0 has earned a tile that W1 vouched for; its next is found false by W1 and W2, who collude.
const CONVICTED: &str = "
    connect W0 owner=A1 -> W0
    connect W1 owner=A2 -> W1
    submit A0 tiles=2 -> J0: grant W0 J0/0, grant W0 J0/1
    report W0 J0/0 -> kept: deliver J0/0, grant W1 J0/0
    report W1 J0/0 -> settled: settle W0 J0/0
    report W0 J0/1 -> kept: deliver J0/1, store J0 frame 1, grant W1 J0/1
    connect W2 owner=A3 -> W2
    report W1 J0/1 as=lie -> settled: grant W2 J0/1
    report W2 J0/1 as=lie -> settled: settle W0 J0/1, grant W2 J0/0, grant W2 J0/1
";

fn convicted(rest: &str) -> Table {
    story(&format!("{CONVICTED}{rest}"))
}

pub fn reinstated() -> Table {
    convicted(
        "appeal W0 by=A1 -> reject no_arbiter
         connect W3 owner=A5 -> W3
         appeal W0 by=A2 -> reject unknown_worker
         appeal W1 by=A2 -> reject not_refuted
         appeal W0 by=A1 -> reject deposit_too_small
         top-up A1 1 -> 1000000
         appeal W0 by=A1 -> deposit 640: grant W3 J0/1
         appeal W0 by=A1 -> reject being_reviewed
         report W3 J0/1 -> settled: revoke W2 J0/1, revoke W2 J0/0, grant W0 J0/0, grant W0 J0/1
         secret yy -> ok",
    )
}

#[test]
fn where_opinions_differ_an_arbiter_decides_and_two_who_collude_do_not() {
    let table = story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         submit A0 tiles=1 -> J0: grant W0 J0/0
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
         connect W2 owner=A3 -> W2
         connect W3 owner=A4 -> W3
         connect W4 owner=A5 -> W4
         report W1 J0/0 as=lie -> settled: grant W4 J0/0
         report W4 J0/0 -> settled: settle W0 J0/0",
    );
    assert!(table.farm.worker(WorkerId(1)).unwrap().refuted);
    assert!(!table.farm.worker(WorkerId(0)).unwrap().refuted);
}

#[test]
fn an_arbiter_that_is_silent_is_replaced() {
    story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         submit A0 tiles=1 -> J0: grant W0 J0/0
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
         connect W2 owner=A5 -> W2
         report W1 J0/0 as=lie -> settled: grant W2 J0/0
         connect W3 owner=A3 -> W3
         wait 1100 -> ok: revoke W2 J0/0, grant W3 J0/0
         report W3 J0/0 -> settled: settle W0 J0/0",
    );
}

#[test]
fn who_told_the_truth_is_reinstated_and_who_accused_it_is_out() {
    let table = reinstated();
    let worker = |id| table.farm.worker(WorkerId(id)).unwrap();
    assert!(!worker(0).refuted && worker(1).refuted && worker(2).refuted);
    // The tile that it had earned, from the farm.
    assert_eq!((worker(0).tiles_clean, worker(0).payable.0), (1, 640));
    assert_eq!(table.farm.balance(AccountId(1)).unwrap().available.0, 1_000_000);
    assert_eq!(table.farm.book(Book::Deposit(AccountId(1))).0, 0);
    assert!(table.entries.iter().any(|entry| matches!(entry.fact, Fact::Reinstated { .. })));
}

#[test]
fn a_liar_that_appeals_loses_its_deposit_and_is_not_heard_again() {
    let table = story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         submit A0 tiles=1 -> J0: grant W0 J0/0
         report W0 J0/0 as=lie -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
         connect W2 owner=A3 -> W2
         report W1 J0/0 -> settled: grant W2 J0/0
         report W2 J0/0 -> settled: settle W0 J0/0, grant W2 J0/0
         connect W3 owner=A5 -> W3
         top-up A1 1 -> 1000000
         appeal W0 by=A1 -> deposit 640: grant W3 J0/0
         report W3 J0/0 -> settled
         appeal W0 by=A1 -> reject arbiter_heard",
    );
    assert!(table.farm.worker(WorkerId(0)).unwrap().refuted);
    assert_eq!(table.farm.balance(AccountId(1)).unwrap().available.0, 1_000_000 - 640);
    // Two auditors and the arbiter were paid, and the liar paid for one of them.
    assert_eq!(table.farm.book(Book::Audits).0, 10_000_000 - 2 * 640);
}

/// W0 forges a tile and W1 vouches for it.
const VOUCHED: &str = "
    connect W0 owner=A1 -> W0
    connect W1 owner=A2 -> W1
    submit A0 tiles=1 -> J0: grant W0 J0/0
    report W0 J0/0 as=lie -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
    report W1 J0/0 as=lie -> settled: settle W0 J0/0
    stored J0 1 -> ok
    connect W2 owner=A5 -> W2
";

pub fn disputed() -> Table {
    story(&format!(
        "{VOUCHED}
         appeal J0/0 by=A1 -> reject unknown_job
         appeal J0/0 by=A0 -> deposit 640: grant W2 J0/0
         appeal J0/0 by=A0 -> reject being_reviewed
         report W2 J0/0 -> settled: grant W1 J0/0
         secret yy -> ok"
    ))
}

#[test]
fn an_artist_that_doubts_a_false_tile_gets_it_anew_and_the_deposit_back() {
    let table = disputed();
    assert!(table.farm.worker(WorkerId(0)).unwrap().refuted);
    let job = table.farm.job(JobId(0)).unwrap();
    assert_eq!((job.state, job.tiles_accepted, job.spent.0), (JobState::Open, 0, 0));
    let held = job.cap.0;
    let available = table.farm.balance(AccountId(0)).unwrap().available.0;
    assert_eq!(available + held, 1_000_000_000);
}

#[test]
fn an_artist_that_doubts_a_true_tile_pays_for_the_arbiter() {
    let table = story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         submit A0 tiles=1 -> J0: grant W0 J0/0
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0
         stored J0 1 -> ok
         connect W2 owner=A5 -> W2
         appeal J0/0 by=A0 -> deposit 640: grant W2 J0/0
         wait 61000 -> ok: revoke W2 J0/0
         wait 1000 -> ok: grant W2 J0/0
         report W2 J0/0 -> settled
         appeal J0/0 by=A0 -> reject pay_final",
    );
    assert_eq!(table.farm.worker(WorkerId(0)).unwrap().probation.0, 640 - 32);
    assert_eq!(table.farm.book(Book::Audits).0, 10_000_000 - 640);
}

#[test]
fn a_dispute_about_somebody_cast_out_meanwhile_is_paid_back() {
    let table = story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         submit A0 tiles=2 cap=900 -> J0: grant W0 J0/0, grant W0 J0/1
         report W0 J0/0 -> kept: deliver J0/0, grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0
         report W0 J0/1 as=lie -> kept: deliver J0/1, store J0 frame 1, grant W1 J0/1
         connect W2 owner=A5 -> W2
         appeal J0/0 by=A0 -> deposit 640: grant W2 J0/0
         report W1 J0/1 -> settled: grant W2 J0/1
         report W2 J0/1 -> settled: settle W0 J0/1, revoke W2 J0/0, grant W1 J0/0, grant W1 J0/1",
    );
    assert_eq!(table.farm.book(Book::Deposit(AccountId(0))).0, 0);
    let available = table.farm.balance(AccountId(0)).unwrap().available.0;
    assert_eq!(available + table.farm.job(JobId(0)).unwrap().cap.0, 1_000_000_000);
}

#[test]
fn a_slot_that_a_reinstated_worker_fills_is_not_that_of_the_trial() {
    let table = convicted(
        "top-up A0 1000 -> 1000000000
         connect W3 owner=A5 -> W3
         top-up A1 1 -> 1000000
         submit A0 tiles=4 -> J1: grant W1 J1/0, grant W1 J1/1
         appeal W0 by=A1 -> deposit 640: grant W3 J0/1
         report W3 J0/1 -> settled: revoke W1 J1/0, revoke W1 J1/1, revoke W2 J0/1, \
         revoke W2 J0/0, grant W0 J0/0, grant W0 J0/1",
    );
    assert!(!table.farm.worker(WorkerId(0)).unwrap().refuted);
}

/// Two who collude find a trusted worker's leaves false; nothing was traced for any of them.
#[test]
fn an_appeal_about_leaves_without_work_units_still_asks_for_a_deposit() {
    let mut table = story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         top-up A1 1 -> 1000000
         stake W0 1000000 by=A1 -> staked 1000000",
    );
    let traced = |entry: &Entry| match &entry.fact {
        Fact::AuditDrawn { leaves, .. } => Some(leaves.is_empty() || leaves.contains(&0)),
        _ => None,
    };
    let untraced = (0..60).map(|job| format!("J{job}/0")).find(|tile| {
        let job = tile.trim_end_matches("/0");
        assert_eq!(table.line("submit A0 tiles=1 cap=1"), format!("{job}: grant W0 {tile}"));
        table.line(&format!("report W0 {tile} blank"));
        if table.entries.iter().rev().find_map(traced) == Some(false) {
            return true;
        }
        table.line(&format!("open W0 {tile}"));
        table.line(&format!("report W1 {tile} blank"));
        false
    });
    let tile = untraced.expect("in 60 tiles some leaves without units are drawn");
    table.line(&format!("open W0 {tile}"));
    table.line(&format!("report W1 {tile} blank as=lie"));
    let accused = table.line("connect W2 owner=A3");
    assert_eq!(accused, format!("W2: audit W2 {tile}"));
    table.line(&format!("report W2 {tile} blank as=lie"));
    assert!(table.farm.worker(WorkerId(0)).unwrap().refuted);
    table.line("connect W3 owner=A5");
    assert_eq!(table.line("appeal W0 by=A1"), "reject deposit_too_small");
    table.line("top-up A1 1");
    let appealed = table.line("appeal W0 by=A1");
    assert_eq!(appealed, format!("deposit 1: audit W3 {tile}"));
    table.line(&format!("report W3 {tile} blank"));
    assert!(!table.farm.worker(WorkerId(0)).unwrap().refuted);
    assert_eq!(table.farm.balance(AccountId(1)).unwrap().available.0, 1_000_000);
}

/// Three who collude outvote W0, whose tile was true, and W3, who said so.
const OUTVOTED: &str = "
    account a6 -> A6
    connect W0 owner=A1 -> W0
    connect W1 owner=A2 -> W1
    submit A0 tiles=1 -> J0: grant W0 J0/0
    report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
    connect W2 owner=A3 -> W2
    connect W3 owner=A4 -> W3
    report W1 J0/0 as=lie -> settled: grant W2 J0/0, grant W3 J0/0
    report W2 J0/0 as=lie -> settled
    report W3 J0/0 -> settled
    connect W4 owner=A6 -> W4: grant W4 J0/0
    report W4 J0/0 as=lie -> settled: settle W0 J0/0, grant W4 J0/0
    cancel J0 -> ok: revoke W4 J0/0
    top-up A1 1 -> 1000000
    top-up A4 1 -> 1000000
    connect W5 owner=A5 slots=4 -> W5
";

#[test]
fn a_trial_is_held_again_once_for_all_whom_it_wronged() {
    let table = story(&format!(
        "{OUTVOTED}
         appeal W3 by=A4 -> deposit 640: grant W5 J0/0
         connect W6 owner=A5 -> W6
         appeal W0 by=A1 -> reject being_reviewed
         report W5 J0/0 -> settled
         secret yy -> ok"
    ));
    let refuted = |id| table.farm.worker(WorkerId(id)).unwrap().refuted;
    assert_eq!([0, 1, 2, 3, 4].map(refuted), [false, true, true, false, true]);
    // Its opinion was one, and is paid once.
    assert_eq!(table.farm.worker(WorkerId(3)).unwrap().payable.0, 640);
}

#[test]
fn no_appeal_is_decided_without_an_arbiter_whatever_becomes_of_the_accusers() {
    let table = story(&format!(
        "{OUTVOTED}
         appeal W3 by=A4 -> deposit 640: grant W5 J0/0
         submit A0 tiles=3 -> J1: grant W1 J1/0, grant W1 J1/1, grant W2 J1/2
         report W1 J1/0 as=lie -> kept: deliver J1/0, grant W4 J1/0
         report W4 J1/0 -> settled: grant W5 J1/0
         report W5 J1/0 -> settled: settle W1 J1/0, revoke W1 J1/1, grant W2 J1/0, grant W4 J1/1
         report W2 J1/2 as=lie -> kept: deliver J1/2, grant W4 J1/2
         report W4 J1/2 -> settled: grant W5 J1/2
         report W5 J1/2 -> settled: settle W2 J1/2, revoke W2 J1/0, grant W4 J1/0
         report W4 J1/1 as=lie -> kept: deliver J1/1, grant W5 J1/1, grant W4 J1/2
         report W5 J1/1 -> settled: settle W4 J1/1, revoke W4 J1/0, revoke W4 J1/2
         wait 1100 -> ok: revoke W5 J0/0
         wait 1001 -> ok: grant W5 J0/0
         report W5 J0/0 -> settled: grant W0 J1/0, grant W0 J1/1, grant W3 J1/2"
    ));
    let refuted = |id| table.farm.worker(WorkerId(id)).unwrap().refuted;
    assert_eq!([0, 1, 2, 3, 4].map(refuted), [false, true, true, false, true]);
}

#[test]
fn what_a_liar_earned_is_forfeit_before_anything_follows_from_its_leaving() {
    let table = story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A3 -> W1
         submit A0 tiles=4 cap=900 -> J0: grant W0 J0/0, grant W0 J0/1, grant W1 J0/2, grant W1 J0/3
         disconnect W1 -> ok
         connect W2 owner=A2 -> W2
         report W0 J0/0 -> kept: deliver J0/0, grant W2 J0/0
         report W2 J0/0 -> settled: settle W0 J0/0
         disconnect W0 -> ok
         connect W1 owner=A3 has=J0/2+J0/3 -> W1 W1 J0/2 W1 J0/3
         report W1 J0/2 -> kept: deliver J0/2, grant W2 J0/2
         report W2 J0/2 as=lie -> settled
         connect W0 owner=A1 has=J0/1 -> W0 W0 J0/1: grant W0 J0/2
         connect W3 owner=A5 -> W3: grant W3 J0/2
         report W3 J0/2 -> settled # W0 is asked, too.
         report W0 J0/1 as=lie -> kept: deliver J0/1, grant W1 J0/1
         report W1 J0/1 -> settled: grant W3 J0/1
         report W3 J0/1 -> settled: settle W0 J0/1, revoke W0 J0/2, settle W1 J0/2, grant W1 J0/0",
    );
    let refuted = |id| table.farm.worker(WorkerId(id)).unwrap().refuted;
    assert_eq!([0, 1, 2].map(refuted), [true, false, true]);
    // W2 had vouched for W0's first tile, which is computed afresh and not looked at again.
    let opened = |entry: &Entry| matches!(entry.fact, Fact::ReviewOpened { .. });
    assert!(!table.entries.iter().any(opened));
}
