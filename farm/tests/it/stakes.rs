//! Stories of stakes. A0 orders; A1 to A3 own workers; A4 operates the farm.

use crate::table::{Table, play};
use farm::entry::{Book, Entry, Fact};
use farm::id::{AccountId, WorkerId};

const OPEN: &str = "
    secret x -> ok
    account a0 -> A0
    account a1 -> A1
    account a2 -> A2
    account a3 -> A3
    account op operator -> A4
    top-up A0 1000 -> 1000000000
    top-up A1 5 -> 5000000
    top-up audits 1 -> 1000000
";

fn story(rest: &str) -> Table {
    play(&format!("{OPEN}{rest}"))
}

#[test]
fn a_newcomer_with_many_slots_gets_more_leases_for_a_stake() {
    let table = story(
        "connect W0 owner=A1 slots=8 -> W0
         submit A0 tiles=20 cap=900 -> J0: grant W0 J0/0, grant W0 J0/1, grant W0 J0/2, \
         grant W0 J0/3
         stake W0 99999 by=A1 -> staked 99999
         stake W0 1 by=A1 request=3 -> staked 100000: grant W0 J0/4
         stake W0 1 by=A1 request=3 -> staked 100000
         stake W0 2 by=A1 request=3 -> reject request_reused
         stake W0 1 by=A2 -> reject unknown_worker
         stake W7 1 by=A1 -> reject unknown_worker
         stake W0 0 by=A1 -> reject amount_invalid
         stake W0 4900001 by=A1 -> reject stake_too_large",
    );
    let why = table.farm.explain_worker(WorkerId(0)).join("; ");
    assert!(why.contains("the 5 leases that a newcomer with its stake may hold"), "{why}");
    assert!(why.contains("0.100000 credits are staked for it, bound"), "{why}");
    assert_eq!(table.farm.balance(AccountId(1)).unwrap().staked.0, 100_000);
}

#[test]
fn a_stake_is_free_once_nothing_that_its_worker_said_can_turn_out_false() {
    let table = story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         unstake W0 by=A1 -> reject nothing_staked
         stake W0 1000000 by=A1 -> staked 1000000
         unstake W0 by=A2 -> reject unknown_worker
         wait 60000 -> ok
         submit A0 tiles=1 -> J0: grant W0 J0/0
         unstake W0 by=A1 -> reject stake_bound
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
         wait 500 -> ok
         unstake W0 by=A1 -> reject stake_bound
         report W1 J0/0 -> settled: settle W0 J0/0
         wait 59600 -> ok
         unstake W0 by=A1 -> reject stake_bound # The period is over, its pay is not final.
         wait 500 -> ok
         unstake W0 by=A1 -> returned 1000000
         unstake W0 by=A1 -> reject nothing_staked",
    );
    assert_eq!(table.farm.balance(AccountId(1)).unwrap().available.0, 5_000_000);
    let auditor = table.farm.book(Book::Payable(WorkerId(1)));
    assert_eq!((auditor.0, table.farm.book(Book::Stake(WorkerId(0))).0), (640, 0));
}

#[test]
fn an_auditors_stake_is_bound_by_what_it_vouched_for() {
    story(
        "top-up A2 1 -> 1000000
         connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         stake W1 5 by=A2 -> staked 5
         submit A0 tiles=1 -> J0: grant W0 J0/0
         wait 900 -> ok
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0
         wait 59999 -> ok
         unstake W1 by=A2 -> reject stake_bound
         wait 1 -> ok
         unstake W1 by=A2 -> returned 5",
    );
}

/// W0 stakes, is found lying by W1 and an arbiter that W1's stake had not bought.
pub fn lost() -> Table {
    story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         stake W0 2000000 by=A1 -> staked 2000000
         stake W0 1000000 by=A1 -> staked 3000000
         submit A0 tiles=1 -> J0: grant W0 J0/0
         report W0 J0/0 as=lie -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
         connect W2 owner=A3 -> W2
         report W1 J0/0 -> settled: grant W2 J0/0
         report W2 J0/0 -> settled: settle W0 J0/0, grant W2 J0/0
         stake W0 1 by=A1 -> reject worker_refuted
         unstake W0 by=A1 -> reject nothing_staked
         secret yy -> ok",
    )
}

#[test]
fn a_liars_stake_is_lost_to_the_pot_that_pays_audits() {
    let table = lost();
    assert_eq!(table.farm.balance(AccountId(1)).unwrap().available.0, 2_000_000);
    assert_eq!(table.farm.book(Book::Audits).0, 1_000_000 + 3_000_000 - 2 * 640);
}

/// W0's tile was true; who colluded against it pays for its stake.
pub fn made_good() -> Table {
    story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         stake W0 3000000 by=A1 -> staked 3000000
         submit A0 tiles=1 -> J0: grant W0 J0/0
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
         connect W2 owner=A3 -> W2
         report W1 J0/0 as=lie -> settled: grant W2 J0/0
         report W2 J0/0 as=lie -> settled: settle W0 J0/0, grant W2 J0/0
         connect W3 owner=A4 -> W3
         appeal W0 by=A1 -> deposit 640: grant W3 J0/0
         report W3 J0/0 -> settled: revoke W2 J0/0, grant W0 J0/0
         secret yy -> ok",
    )
}

#[test]
fn a_worker_that_told_the_truth_gets_its_stake_back() {
    let worker = made_good().farm.worker(WorkerId(0)).unwrap();
    assert!(!worker.refuted);
    assert_eq!((worker.stake.0, worker.payable.0), (0, 3_000_000));
}

#[test]
fn what_auditors_are_held_back_is_lost_with_their_standing() {
    let table = story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         submit A0 tiles=2 cap=900 -> J0: grant W0 J0/0, grant W0 J0/1
         report W0 J0/0 -> kept: deliver J0/0, grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0
         report W0 J0/1 -> kept: deliver J0/1, store J0 frame 1, grant W1 J0/1
         report W1 J0/1 as=lie -> settled
         connect W2 owner=A3 -> W2: grant W2 J0/1
         report W2 J0/1 -> settled: settle W0 J0/1, grant W2 J0/0
         report W2 J0/0 -> settled",
    );
    let money = |id| {
        let worker = table.farm.worker(WorkerId(id)).unwrap();
        (worker.held.0, worker.payable.0)
    };
    assert_eq!((money(1), money(2)), ((0, 0), (2 * 640, 0)));
    let lost = |entry: &&Entry| {
        matches!(&entry.fact, Fact::Transfer { debit: Book::Held(_), credit: Book::Audits, .. })
    };
    assert_eq!(table.entries.iter().filter(lost).count(), 1);
}
