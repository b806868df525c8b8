//! Stories of validators. A0 orders; A1 to A3 own workers and score; A4 watches.

use crate::table::{Table, play};
use farm::entry::{Book, Entry, Fact, Reason};
use farm::id::{AccountId, WorkerId};
use farm::proof::Books;
use farm::watcher::Watcher;

const OPEN: &str = "
    secret x -> ok
    account a0 -> A0
    account a1 -> A1
    account a2 -> A2
    account a3 -> A3
    account a4 -> A4
    top-up A0 1000 -> 1000000000
    top-up A1 50 -> 50000000
    top-up A2 50 -> 50000000
    top-up A3 50 -> 50000000
    top-up audits 1 -> 1000000
    connect W0 owner=A1 slots=4 -> W0
    connect W1 owner=A2 -> W1
    bond A1 20 -> staked 20000000
    bond A2 20 -> staked 20000000
    bond A3 10 -> staked 10000000
";

/// The story so far: five rounds in which all three agree on both workers, but for their own.
fn admitted(rest: &str) -> Table {
    let mut story = OPEN.to_string();
    for round in 1..=6 {
        for ballot in ["A1 N W1=300", "A2 N W0=950", "A3 N W0=950 W1=300"] {
            let now = ballot.replace('N', &round.to_string());
            let then = ballot.replace('N', &(round - 1).to_string());
            story += &format!("commit {now} -> ok\n");
            if round > 1 {
                story += &format!("reveal {then} -> ok\n");
            }
        }
        story += "wait 10000 -> ok\n";
    }
    play(&format!("{story}{rest}"))
}

fn available(table: &Table, account: u32) -> u64 {
    table.farm.balance(AccountId(account)).unwrap().available.0
}

#[test]
fn bonds_come_and_go() {
    let table = play(&format!(
        "{OPEN}
         bond A4 10 -> reject stake_too_large
         bond A3 1 request=7 -> staked 11000000
         bond A3 1 request=7 -> staked 11000000
         bond A3 2 request=7 -> reject request_reused
         bond A9 10 -> reject unknown_account
         unbond A3 -> returned 11000000
         unbond A3 -> reject no_validator
         bond A3 9 -> reject bond_too_small
         commit A3 1 W0=5 -> reject no_validator"
    ));
    assert_eq!(
        (available(&table, 3), table.farm.book(Book::Bond(AccountId(3))).0),
        (50_000_000, 0)
    );
}

#[test]
fn an_unreliable_worker_holds_one_lease_and_is_told_why() {
    let table = admitted(
        "submit A0 tiles=8 cap=900 -> J0: grant W0 J0/0, grant W0 J0/1, grant W0 J0/2, \
         grant W0 J0/3, grant W1 J0/4",
    );
    let score = |id| table.farm.worker(WorkerId(id)).unwrap().score;
    assert_eq!((score(0), score(1)), (Some(950), Some(300)));
    let why = table.farm.explain_worker(WorkerId(1)).join("; ");
    assert!(why.contains("validators score it 300 of 1000"), "{why}");
    assert!(why.contains("it holds as many leases as a worker may"), "{why}");
}

#[test]
fn nobody_shows_what_it_did_not_commit_to() {
    play(&format!(
        "{OPEN}
         commit A1 1 W1=300 -> ok
         commit A2 1 W1=300 as=A1 -> ok # A copy of what A1 committed to.
         commit A1 1 W1=301 -> reject ballot_repeated
         commit A3 2 W1=300 -> reject round_over
         reveal A1 1 W1=300 -> reject round_over
         wait 10000 -> ok
         reveal A1 1 W1=301 -> reject ballot_mismatch
         reveal A1 1 W1=300 -> ok
         reveal A1 1 W1=300 -> ok
         reveal A2 1 W1=300 -> reject ballot_mismatch
         reveal A3 1 W1=300 -> reject ballot_unknown"
    ));
}

/// A round with fees: W0's tile matures, and a tenth of the farm's share goes to the validators.
pub fn paid() -> Table {
    admitted(
        "reveal A3 6 W0=950 W1=300 -> ok
         reveal A1 6 W1=300 -> ok
         submit A0 tiles=1 price=90000000 -> J0: grant W0 J0/0
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0
         wait 60000 -> ok
         secret y -> ok",
    )
}

#[test]
fn validators_that_agree_share_a_part_of_the_fees_by_bond() {
    let table = paid();
    let scored = |entry: &Entry| match &entry.fact {
        Fact::Transfer { credit, amount, reason: Reason::Scored(_), .. } => {
            Some((*credit, amount.0))
        }
        _ => None,
    };
    let paid: Vec<(Book, u64)> = table.entries.iter().filter_map(scored).collect();
    // The tile earned 64 leaves of 10 units at 90 credits a million: 57,600, of which 2,880 is
    // the farm's, and a tenth of that is theirs; A1 has put down twice as much as A3.
    let due = [(Book::Available(AccountId(1)), 192), (Book::Available(AccountId(3)), 96)];
    assert_eq!(paid, due);
}

/// A log that was changed at one entry, and what the proof says of it.
fn tampered(change: impl Fn(&mut Fact) -> bool) -> String {
    let mut changed = false;
    let mut books = Books::new();
    for (index, mut entry) in (0..).zip(paid().entries) {
        changed |= !changed && change(&mut entry.fact);
        if let Err(breach) = books.follow(index, &entry) {
            assert!(changed);
            return breach.to_string();
        }
    }
    books.finish().unwrap_err().to_string()
}

#[test]
fn the_log_convicts_a_farm_that_counts_falsely() {
    let moved = tampered(|fact| match fact {
        Fact::RoundEnded { scores, .. } if scores.len() == 2 => {
            scores[1].1 = 990;
            true
        }
        _ => false,
    });
    assert!(moved.contains("not the medians"), "{moved}");
    let flattered = tampered(|fact| match fact {
        Fact::RoundEnded { agreed, .. } if !agreed.is_empty() => {
            agreed[0].1 -= 1;
            true
        }
        _ => false,
    });
    assert!(flattered.contains("not how far"), "{flattered}");
    let paid = tampered(|fact| match fact {
        Fact::Transfer { amount, reason: Reason::Scored(_), .. } => {
            amount.0 += 1;
            true
        }
        _ => false,
    });
    assert!(paid.contains("not the validator's share"), "{paid}");
    let other = tampered(|fact| match fact {
        Fact::ScoresRevealed { scores, .. } => {
            scores[0].1 += 1;
            true
        }
        _ => false,
    });
    assert!(other.contains("not the ballot"), "{other}");
}

#[test]
fn a_validator_left_unpaid_shows_in_the_end() {
    let mut books = Books::new();
    let entries = paid().entries;
    let last = entries
        .iter()
        .rposition(|entry| matches!(&entry.fact, Fact::Transfer { reason: Reason::Scored(_), .. }));
    for (index, entry) in (0..).zip(&entries[..last.unwrap()]) {
        books.follow(index, entry).unwrap();
    }
    let breach = books.finish().unwrap_err().to_string();
    assert!(breach.contains("a validator that agreed was not paid"), "{breach}");
}

/// What someone who watches would score, from a story's log.
fn watched(story: &str, account: u32) -> Vec<(u32, u16)> {
    let mut watcher = Watcher::new();
    play(&format!("{OPEN}{story}")).entries.iter().for_each(|entry| watcher.follow(entry));
    let ballot = watcher.ballot(AccountId(account));
    ballot.into_iter().map(|(worker, score)| (worker.0, score)).collect()
}

#[test]
fn the_log_shows_how_prompt_workers_are() {
    let quick = "submit A0 tiles=1 -> J0: grant W0 J0/0
        report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
        report W1 J0/0 -> settled: settle W0 J0/0";
    assert_eq!(watched(quick, 3), [(0, 999), (1, 999)]);
    assert_eq!(watched(quick, 2), [(0, 999)], "nobody scores its own");
    // W0 lets a lease run out; what a cancelled job leaves behind is nobody's delay.
    let lost = "submit A0 tiles=1 -> J0: grant W0 J0/0
        wait 2000 -> ok: revoke W0 J0/0, grant W1 J0/0
        cancel J0 -> ok: revoke W1 J0/0";
    assert_eq!(watched(lost, 3), [(0, 0)]);
    let silent = "submit A0 tiles=1 -> J0: grant W0 J0/0
        report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
        wait 1000 -> ok: revoke W1 J0/0";
    assert_eq!(watched(silent, 3), [(0, 999), (1, 0)]);
}

#[test]
fn an_audit_that_ends_with_its_claim_is_nobodys_delay() {
    // W0 lies about one tile; what W2 still audits of its others ends with it.
    let story = "account op operator -> A5
        connect W2 owner=A5 slots=4 -> W2
        submit A0 tiles=2 cap=900 -> J0: grant W0 J0/0, grant W0 J0/1
        report W0 J0/0 as=lie -> kept: deliver J0/0, grant W1 J0/0
        report W0 J0/1 -> kept: deliver J0/1, store J0 frame 1, grant W2 J0/1
        report W1 J0/0 -> settled: grant W2 J0/0
        report W2 J0/0 -> settled: settle W0 J0/0, revoke W2 J0/1, revoke W0 J0/1, \
        grant W1 J0/0, grant W1 J0/1";
    assert_eq!(watched(story, 3), [(1, 999), (2, 999)]);
}
