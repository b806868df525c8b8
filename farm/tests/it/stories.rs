//! Stories: what a job, a worker and an owner live through. A0 orders; A1 to A5 own workers.

use crate::table::play;
use farm::entry::{Entry, Extra, Fact};
use farm::id::{JobId, WorkerId};
use farm::view::JobState;

const OPEN: &str = "
    secret x -> ok
    account a0 -> A0
    account a1 -> A1
    account a2 -> A2
    account a3 -> A3
    account a4 -> A4
    top-up A0 1000 -> 1000000000
";

fn story(rest: &str) -> crate::table::Table {
    play(&format!("{OPEN}{rest}"))
}

#[test]
fn a_private_job_is_paid_without_audits() {
    let table = story(
        "connect W0 owner=A0 -> W0
         submit A0 tiles=2 private -> J0: grant W0 J0/0, grant W0 J0/1
         report W0 J0/0 -> settled: deliver J0/0
         report W0 J0/1 -> settled: deliver J0/1, store J0 frame 1
         stored J0 1 stale -> reject frame_outdated
         stored J0 1 -> ok
         stored J0 9 -> reject frame_unknown",
    );
    let job = table.farm.job(JobId(0)).unwrap();
    assert_eq!((job.state, job.spent.0), (JobState::Done, 2 * 640));
    assert!(job.frames[0].proven);
    assert_eq!(table.farm.worker(WorkerId(0)).unwrap().payable.0, 2 * 640);
}

#[test]
fn a_job_cut_in_unequal_parts_holds_what_the_largest_may_cost() {
    let table = story(
        "connect W0 owner=A0 -> W0
         submit A0 tiles=4 cut=3/1 price=4000000000 cap=300 -> reject budget_too_small
         submit A0 tiles=4 cut=4/1 private -> reject spec_invalid
         submit A0 tiles=4 cut=3/2 private -> reject spec_invalid
         submit A0 tiles=4 cut=3/1 request=5 private -> J0: grant W0 J0/0, grant W0 J0/1
         submit A0 tiles=4 cut=2/1 request=5 private -> J0
         submit A0 tiles=4 tile-size=16 request=5 private -> J0
         report W0 J0/0 -> settled: deliver J0/0
         report W0 J0/1 -> settled: deliver J0/1, store J0 frame 1
         stored J0 1 -> ok",
    );
    let job = table.farm.job(JobId(0)).unwrap();
    assert_eq!((job.state, job.tiles_total), (JobState::Done, 2));
    assert_eq!(job.spec.tile(0).width, 24);
    assert_eq!((job.spec.tile(1).x, job.spec.tile(1).width), (24, 8));
    let price = job.price;
    assert_eq!(job.spec.tile_cost_max(price), price.of(job.spec.units_max(&job.spec.tile(0))));
}

#[test]
fn a_newcomers_tile_is_computed_twice_and_then_paid() {
    let table = story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         submit A0 tiles=1 -> J0: grant W0 J0/0
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0
         stored J0 1 -> ok
         wait 61000 -> ok",
    );
    let worker = table.farm.worker(WorkerId(0)).unwrap();
    assert_eq!((worker.tiles_clean, worker.held.0, worker.probation.0), (1, 0, 640 - 32));
    assert_eq!(table.farm.job(JobId(0)).unwrap().state, JobState::Done);
}

#[test]
fn a_liar_is_outvoted_loses_what_is_held_and_its_tiles_are_done_again() {
    let table = story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         submit A0 tiles=2 -> J0: grant W0 J0/0, grant W0 J0/1
         report W0 J0/0 -> kept: deliver J0/0, grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0
         report W0 J0/1 as=lie -> kept: deliver J0/1, store J0 frame 1, grant W1 J0/1
         connect W2 owner=A3 -> W2
         report W1 J0/1 -> settled: grant W2 J0/1
         report W2 J0/1 -> settled: settle W0 J0/1, grant W2 J0/0, grant W2 J0/1
         connect W0 owner=A1 -> reject worker_refuted",
    );
    let liar = table.farm.worker(WorkerId(0)).unwrap();
    assert!(liar.refuted && liar.held.0 == 0 && liar.payable.0 == 0);
    let job = table.farm.job(JobId(0)).unwrap();
    assert_eq!((job.tiles_refuted, job.tiles_accepted, job.spent.0), (2, 0, 0));
}

#[test]
fn a_false_accuser_is_outvoted_and_the_accused_is_paid() {
    let table = story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         submit A0 tiles=1 -> J0: grant W0 J0/0
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
         report W1 J0/0 as=lie -> settled
         connect W2 owner=A3 -> W2: grant W2 J0/0
         report W2 J0/0 -> settled: settle W0 J0/0",
    );
    assert!(table.farm.worker(WorkerId(1)).unwrap().refuted);
    let honest = table.farm.worker(WorkerId(0)).unwrap();
    assert!(!honest.refuted && honest.held.0 == 640);
}

#[test]
fn without_a_second_owner_the_picture_comes_and_the_money_waits() {
    let table = story(
        "connect W0 owner=A1 -> W0
         submit A0 tiles=1 -> J0: grant W0 J0/0
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1
         stored J0 1 -> ok",
    );
    let job = table.farm.job(JobId(0)).unwrap();
    assert_eq!((job.state, job.tiles_claimed), (JobState::Open, 1));
    assert!(!job.frames[0].proven);
    let why = table.farm.explain_tile(JobId(0), 0).join("; ");
    assert!(why.contains("it waits for 1 auditors of other owners"), "{why}");
}

#[test]
fn a_late_report_is_fenced_and_the_tile_goes_elsewhere() {
    story(
        "connect W0 owner=A1 -> W0
         submit A0 tiles=1 -> J0: grant W0 J0/0
         wait 900 -> ok
         renew W0 J0/0 -> ok
         wait 900 -> ok
         wait 200 -> ok: revoke W0 J0/0, grant W0 J0/0
         connect W1 owner=A2 -> W1
         report W1 J0/0 of=W0 -> reject lease_unknown
         report W0 J0/7 -> reject lease_unknown
         wait 1100 -> ok: revoke W0 J0/0, grant W1 J0/0
         report W0 J0/0 -> reject lease_expired",
    );
}

#[test]
fn a_report_counts_once() {
    story(
        "connect W0 owner=A1 -> W0
         submit A0 tiles=1 -> J0: grant W0 J0/0
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1
         report W0 J0/0 -> reject report_repeated
         open W0 J0/0 -> reject not_challenged",
    );
}

#[test]
fn a_tile_that_fails_on_three_owners_stops_its_job_with_the_error() {
    let table = story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         connect W2 owner=A3 -> W2
         submit A0 tiles=1 -> J0: grant W0 J0/0
         fail W0 J0/0 -> settled: grant W1 J0/0
         fail W1 J0/0 -> settled: grant W2 J0/0
         fail W2 J0/0 -> settled",
    );
    let job = table.farm.job(JobId(0)).unwrap();
    assert_eq!(job.state, JobState::Failed);
    assert_eq!(job.failure, "frame 1, tile 0: bad mesh");
    assert_eq!(table.farm.balance(job.account).unwrap().available.0, 1_000_000_000);
}

#[test]
fn a_worker_that_comes_back_keeps_what_it_names_and_loses_the_rest() {
    story(
        "connect W0 owner=A1 -> W0
         submit A0 tiles=3 -> J0: grant W0 J0/0, grant W0 J0/1
         disconnect W0 -> ok
         connect W0 owner=A1 has=J0/1 -> W0 W0 J0/1: revoke W0 J0/0, grant W0 J0/0
         report W0 J0/1 -> kept: deliver J0/1, grant W0 J0/2",
    );
}

#[test]
fn cancelling_calls_back_what_is_computed_and_pays_what_is_claimed() {
    let table = story(
        "connect W0 owner=A1 -> W0
         submit A0 tiles=4 -> J0: grant W0 J0/0, grant W0 J0/1
         report W0 J0/0 -> kept: deliver J0/0, grant W0 J0/2
         cancel J0 -> ok: revoke W0 J0/1, revoke W0 J0/2
         connect W1 owner=A2 -> W1: grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0
         cancel J0 -> ok
         cancel J9 -> reject unknown_job",
    );
    let job = table.farm.job(JobId(0)).unwrap();
    assert_eq!((job.state, job.spent.0), (JobState::Cancelled, 640));
    assert_eq!(table.farm.balance(job.account).unwrap().available.0, 1_000_000_000 - 640);
}

#[test]
fn a_trusted_workers_leaves_are_drawn_opened_and_audited() {
    let mut table = story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1",
    );
    for job in 0..60 {
        let tile = format!("J{job}/0");
        assert_eq!(table.line("submit A0 tiles=1 cap=1"), format!("J{job}: grant W0 {tile}"));
        let reported = table.line(&format!("report W0 {tile}"));
        if reported.contains("challenge") {
            assert!(!reported.contains("W1"), "nobody else knows the question yet");
            let falsely = table.line(&format!("open W0 {tile} falsely"));
            assert_eq!(falsely, "reject opening_false");
            assert_eq!(table.line(&format!("open W1 {tile} of=W0")), "reject lease_unknown");
            assert_eq!(table.line(&format!("open W0 {tile}")), format!("ok: audit W1 {tile}"));
            let audited = table.line(&format!("report W1 {tile}"));
            assert_eq!(audited, format!("settled: settle W0 {tile}"));
            assert!(job > 10, "the first ten are computed in full");
            assert_eq!(table.line("secret longer"), "ok", "the draw follows from its secret");
            return;
        }
        assert!(reported.ends_with(&format!("grant W1 {tile}")), "{reported}");
        table.line(&format!("report W1 {tile}"));
    }
    panic!("no leaves were drawn in 60 tiles");
}

/// Two rings of one forger and one accomplice, where nobody else audits at first.
#[test]
fn who_vouches_for_a_whole_tile_is_paid_once_that_is_final() {
    let begun = "top-up audits 10 -> 10000000
         connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         submit A0 tiles=2 cap=900 -> J0: grant W0 J0/0, grant W0 J0/1
         report W0 J0/0 as=lie -> kept: deliver J0/0, grant W1 J0/0
         report W1 J0/0 as=lie -> settled: settle W0 J0/0";
    let money = |table: &crate::table::Table, worker| {
        let worker = table.farm.worker(WorkerId(worker)).unwrap();
        (worker.held.0, worker.probation.0 + worker.payable.0)
    };
    let table = story(begun);
    assert_eq!((money(&table, 0), money(&table, 1)), ((640, 0), (640, 0)));
    let table = story(&format!(
        "{begun}
wait 61000 -> ok: revoke W0 J0/1, grant W1 J0/1"
    ));
    // Final for its job, and to be looked at again once there is more to lose.
    assert_eq!((money(&table, 0), money(&table, 1)), ((0, 640 - 32), (640, 0)));
    let found_out = format!(
        "{begun}
         report W0 J0/1 as=lie -> kept: deliver J0/1, store J0 frame 1, grant W1 J0/1
         disconnect W1 -> ok
         connect W2 owner=A3 -> W2
         connect W3 owner=A4 -> W3
         wait 1100 -> ok: revoke W1 J0/1, grant W3 J0/1
         report W3 J0/1 -> settled: grant W2 J0/1
         report W2 J0/1 -> settled: settle W0 J0/1, grant W2 J0/0, grant W2 J0/1"
    );
    // The forger is out: what its accomplice waits for depends on what the tile turns out to be.
    let table = story(&found_out);
    assert_eq!((money(&table, 0), money(&table, 1)), ((0, 0), (640, 0)));
    let table = story(&format!(
        "{found_out}
         report W2 J0/0 -> kept: deliver J0/0, grant W3 J0/0
         report W3 J0/0 -> settled: settle W2 J0/0
         wait 61000 -> ok: revoke W2 J0/1, grant W3 J0/1"
    ));
    // Neither is paid; the accomplice waits as long as the tile is to be looked at again.
    assert_eq!((money(&table, 0), money(&table, 1)), ((0, 0), (640, 0)));
    // Two found the lie, and W3 vouched for the tile that stands; all that waits for a look at it.
    assert_eq!((money(&table, 2), money(&table, 3)), ((640, 640 - 32), (2 * 640, 0)));
    let told = story(&format!(
        "{found_out}
cancel J0 -> ok: revoke W2 J0/1, revoke W2 J0/0"
    ));
    assert_eq!(money(&told, 1), (0, 0), "nobody computes the tile again");
}

/// What is affordable is one tile at a time, and who is served first opens nothing.
#[test]
fn a_tile_that_was_committed_to_and_not_opened_goes_to_another_owner() {
    let mut table = story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1",
    );
    for job in 0..60 {
        let tile = format!("J{job}/0");
        assert_eq!(table.line("submit A0 tiles=1 cap=1"), format!("J{job}: grant W0 {tile}"));
        if table.line(&format!("report W0 {tile}")).contains("challenge") {
            let late = format!("ok: revoke W0 {tile}, grant W1 {tile}");
            assert_eq!(table.line("wait 1100"), late);
            assert!(!table.farm.worker(WorkerId(0)).unwrap().refuted);
            return;
        }
        table.line(&format!("report W1 {tile}"));
    }
    panic!("no leaves were drawn in 60 tiles");
}

#[test]
fn draining_and_idle_workers_are_explained() {
    let table = story(
        "connect W0 owner=A1 -> W0
         drain W0 -> ok
         submit A0 tiles=1 -> J0",
    );
    let lines = table.farm.explain_worker(WorkerId(0)).join("; ");
    assert!(lines.contains("asked for no more leases"), "{lines}");
    let lines = table.farm.explain_tile(JobId(0), 0).join("; ");
    assert!(lines.contains("no worker is online with its engine"), "{lines}");
}

#[test]
fn kin_do_not_audit_one_another() {
    let table = story(
        "connect W0 owner=A1 group=x -> W0
         connect W1 owner=A2 group=x -> W1
         connect W2 owner=A1 -> W2
         submit A0 tiles=1 -> J0: grant W0 J0/0
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1
         wait 500 -> ok
         connect W3 owner=A3 group=y -> W3: grant W3 J0/0
         report W3 J0/0 -> settled: settle W0 J0/0",
    );
    assert_eq!(table.farm.worker(WorkerId(0)).unwrap().tiles_clean, 1);
}

#[test]
fn the_last_auditors_are_not_asked_again_while_there_are_others() {
    story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         connect W2 owner=A3 -> W2
         submit A0 tiles=2 -> J0: grant W0 J0/0, grant W0 J0/1
         report W0 J0/0 -> kept: deliver J0/0, grant W2 J0/0
         report W2 J0/0 -> settled: settle W0 J0/0
         report W0 J0/1 -> kept: deliver J0/1, store J0 frame 1, grant W1 J0/1
         report W1 J0/1 -> settled: settle W0 J0/1
         disconnect W2 -> ok
         top-up A0 1000 -> 1000000000
         submit A0 tiles=1 -> J1: grant W0 J1/0
         report W0 J1/0 -> kept: deliver J1/0, store J1 frame 1, grant W1 J1/0",
    );
}

#[test]
fn what_a_liar_vouched_for_is_audited_again() {
    story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         submit A0 tiles=2 -> J0: grant W0 J0/0, grant W0 J0/1
         report W0 J0/0 -> kept: deliver J0/0, grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0
         report W0 J0/1 -> kept: deliver J0/1, store J0 frame 1, grant W1 J0/1
         report W1 J0/1 as=lie -> settled
         connect W2 owner=A3 -> W2: grant W2 J0/1
         report W2 J0/1 -> settled: settle W0 J0/1, grant W2 J0/0
         report W2 J0/0 -> settled",
    );
}

#[test]
fn what_a_liar_said_of_an_open_claim_is_struck() {
    let table = story(
        "connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         submit A0 tiles=2 cap=900 -> J0: grant W0 J0/0, grant W0 J0/1
         report W0 J0/0 -> kept: deliver J0/0, grant W1 J0/0
         report W1 J0/0 as=lie -> settled
         disconnect W1 -> ok
         connect W2 owner=A3 -> W2: grant W2 J0/0
         report W0 J0/1 as=lie -> kept: deliver J0/1, store J0 frame 1, grant W2 J0/1
         report W2 J0/1 -> settled
         connect W1 owner=A2 -> W1: grant W1 J0/1
         connect W3 owner=A4 -> W3: grant W3 J0/0, grant W3 J0/1
         report W1 J0/1 as=lie -> settled # Two say that it is as claimed, one that it is not.
         report W2 J0/0 -> settled
         report W3 J0/0 -> settled: settle W0 J0/0
         report W3 J0/1 -> settled: settle W0 J0/1, grant W3 J0/0, grant W3 J0/1",
    );
    let refuted = |id| table.farm.worker(WorkerId(id)).unwrap().refuted;
    assert_eq!([0, 1, 2, 3].map(refuted), [true, true, false, false]);
}

#[test]
fn a_tile_is_looked_at_as_often_as_those_who_vouched_for_it_turn_out_liars() {
    let table = story(
        "connect W0 owner=A1 -> W0
         submit A0 tiles=3 cap=900 -> J0: grant W0 J0/0, grant W0 J0/1
         connect W1 owner=A4 -> W1: grant W1 J0/2
         connect W2 owner=A2 -> W2
         disconnect W1 -> ok
         report W0 J0/0 -> kept: deliver J0/0, grant W2 J0/0
         report W2 J0/0 -> settled: settle W0 J0/0
         report W0 J0/1 -> kept: deliver J0/1, grant W2 J0/1
         report W2 J0/1 as=lie -> settled
         connect W3 owner=A3 -> W3: grant W3 J0/1
         report W3 J0/1 -> settled: settle W0 J0/1, grant W3 J0/0
         report W3 J0/0 -> settled
         disconnect W0 -> ok
         connect W1 owner=A4 has=J0/2 -> W1 W1 J0/2
         report W1 J0/2 -> kept: deliver J0/2, store J0 frame 1, grant W3 J0/2
         report W3 J0/2 as=lie -> settled
         connect W0 owner=A1 -> W0: grant W0 J0/2
         report W0 J0/2 -> settled: settle W1 J0/2, grant W1 J0/0, grant W1 J0/1
         report W1 J0/0 -> settled
         wait 61000 -> ok: revoke W1 J0/1
         wait 1001 -> ok: grant W1 J0/1
         report W1 J0/1 -> settled",
    );
    let worker = table.farm.worker(WorkerId(0)).unwrap();
    assert_eq!((worker.tiles_clean, worker.held.0, worker.probation.0), (2, 0, 2 * (640 - 32)));
}

/// A claim is accepted against W1's word and then tries W2, which has something in common with W1.
#[test]
fn a_ringer_knows_nothing_of_what_a_liar_had_said() {
    let rung = |entry: &Entry| matches!(entry.fact, Fact::AuditDrawn { extra: Extra::Ringer, .. });
    let opening = |secret: usize| {
        let table = story(&format!(
            "connect W0 owner=A1 -> W0
             connect W1 owner=A2 group=x -> W1
             top-up A1 1 -> 1000000
             stake W0 1920 by=A1 -> staked 1920
             secret {} -> ok
             submit A0 tiles=1 -> J0: grant W0 J0/0
             report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
             report W1 J0/0 as=lie -> settled",
            "x".repeat(secret)
        ));
        Some(table).filter(|table| table.entries.iter().any(rung))
    };
    let mut table = (1..256).find_map(opening).expect("one claim in fifty is a ringer");
    assert_eq!(table.line("connect W2 owner=A4 group=x"), "W2");
    assert_eq!(table.line("connect W3 owner=A3"), "W3: grant W3 J0/0");
    let settled = "settled: settle W0 J0/0, grant W2 J0/0";
    assert_eq!(table.line("report W3 J0/0"), settled);
    assert_eq!(table.line("report W2 J0/0 as=lie"), "settled");
    let refuted = |id| table.farm.worker(WorkerId(id)).unwrap().refuted;
    assert_eq!([0, 1, 2, 3].map(refuted), [false, true, true, false]);
}

#[test]
fn on_another_device_a_worker_begins_anew() {
    let story = |back: &str| {
        let table = play(&format!(
            "secret x -> ok
             account a0 -> A0
             account a1 -> A1
             account a2 -> A2
             top-up A0 1000 -> 1000000000
             top-up audits 1 -> 1000000
             connect W0 owner=A1 -> W0
             connect W1 owner=A2 -> W1
             top-up A1 1 -> 1000000
             stake W0 1920 by=A1 -> staked 1920
             submit A0 tiles=1 cap=100 -> J0: grant W0 J0/0
             report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
             report W1 J0/0 -> settled: settle W0 J0/0
             disconnect W0 -> ok
             connect W0 owner=A1 {back} -> W0
             disconnect W1 -> ok
             submit A0 tiles=1 cap=100 -> J1: grant W0 J1/0
             report W0 J1/0 -> kept: deliver J1/0, store J1 frame 1"
        ));
        let drawn = |entry: &Entry| match &entry.fact {
            Fact::AuditDrawn { clean, .. } => Some(*clean),
            _ => None,
        };
        let drawn: Vec<u64> = table.entries.iter().filter_map(drawn).collect();
        (drawn, table.farm.worker(WorkerId(0)).unwrap().tiles_clean)
    };
    assert_eq!(story(""), (vec![0, 1], 1));
    assert_eq!(story("device=other"), (vec![0, 0], 0));
}
