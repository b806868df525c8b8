//! Stories of jobs that are made of others' frames. A0 orders; A1 to A4 own workers.

use crate::table::{Table, play};
use farm::digest::Digest;
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
    top-up A0 1000 -> 1000000000
";

fn story(rest: &str) -> Table {
    play(&format!("{OPEN}{rest}"))
}

#[test]
fn a_tile_is_leased_when_what_it_is_made_of_is_accepted() {
    let table = story(
        "connect W0 owner=A0 -> W0
         submit A0 tiles=3 private cap=10 -> J0: grant W0 J0/0, grant W0 J0/1
         submit A0 tiles=3 after=0 halo=1 private cap=100 -> J1
         submit A0 tiles=3 after=1 scale=1 private cap=100 -> J2
         report W0 J0/1 -> settled: deliver J0/1, grant W0 J0/2
         report W0 J0/0 as=red -> settled: deliver J0/0, grant W0 J1/0
         report W0 J1/0 -> settled: deliver J1/0, grant W0 J2/0
         report W0 J0/2 -> settled: deliver J0/2, store J0 frame 1, grant W0 J1/1
         stored J0 1 -> ok",
    );
    let [red, truth] = ["red", "truth"].map(|value| Digest::of(value.as_bytes()));
    assert_eq!(table.inputs["W0 J1/0"], [red, truth]);
    assert_eq!(table.inputs["W0 J1/1"], [red, truth, truth]);
    assert_eq!(table.farm.job(JobId(0)).unwrap().state, JobState::Done);
    let why = table.farm.explain_tile(JobId(2), 2).join("; ");
    assert!(why.contains("it waits for frame 1 of job J1: tile 2 there is not proven"), "{why}");
}

/// W0 hands in J0/0 as NAME, which W1 vouches for; W1 and W2 make J1/0 of that and J2/0 of this.
/// Then W0 is found to have lied about J0/1, and J0/0 is computed afresh by W1, truly.
fn found_out(name: &str) -> String {
    format!(
        "top-up audits 10 -> 10000000
         connect W0 owner=A1 -> W0
         submit A0 tiles=2 cap=10 -> J0: grant W0 J0/0, grant W0 J0/1
         submit A0 tiles=2 after=0 cap=100 -> J1
         submit A0 tiles=2 after=1 scale=1 cap=100 -> J2
         drain W0 -> ok
         connect W1 owner=A2 -> W1
         report W0 J0/0 as={name} -> kept: deliver J0/0, grant W1 J0/0
         report W1 J0/0 as={name} -> settled: settle W0 J0/0, grant W1 J1/0
         connect W2 owner=A3 -> W2
         report W1 J1/0 -> kept: deliver J1/0, grant W2 J1/0
         report W2 J1/0 -> settled: settle W1 J1/0, grant W1 J2/0
         report W1 J2/0 -> kept: deliver J2/0, grant W2 J2/0
         report W2 J2/0 -> settled: settle W1 J2/0
         report W0 J0/1 as=false -> kept: deliver J0/1, store J0 frame 1, grant W2 J0/1
         report W2 J0/1 -> settled: grant W1 J0/1
         connect W3 owner=A4 -> W3: grant W3 J0/1
         report W3 J0/1 -> settled
         report W1 J0/1 -> settled: settle W0 J0/1, grant W1 J0/0, grant W1 J0/1
         report W1 J0/0 -> kept: deliver J0/0, grant W3 J0/0
"
    )
}

/// J0/0 was a lie: J1/0 and J2/0 are made again.
pub fn outdated() -> String {
    format!(
        "{OPEN}{}
         report W3 J0/0 -> settled: settle W1 J0/0, grant W1 J1/0
         report W1 J1/0 as=redo -> kept: deliver J1/0, grant W2 J1/0
         report W2 J1/0 as=redo -> settled: settle W1 J1/0, grant W1 J2/0
         report W1 J2/0 as=redo -> kept: deliver J2/0, grant W3 J2/0
         report W3 J2/0 as=redo -> settled: settle W1 J2/0",
        found_out("lie")
    )
}

#[test]
fn what_is_made_of_a_false_tile_is_made_again_and_nobody_honest_loses() {
    let table = play(&outdated());
    let [truth, redo] = ["truth", "redo"].map(|value| Digest::of(value.as_bytes()));
    assert_eq!((&table.inputs["W1 J1/0"], &table.inputs["W1 J2/0"]), (&vec![truth], &vec![redo]));
    for job in [1, 2] {
        let job = table.farm.job(JobId(job)).unwrap();
        assert_eq!((job.tiles_accepted, job.spent.0), (1, 640), "paid once");
    }
    let outdated = |entry: &&Entry| matches!(entry.fact, Fact::Outdated { .. });
    assert_eq!(table.entries.iter().filter(outdated).count(), 2);
    // What it holds for the tiles that stand, and from the farm's pot what it lost with the others;
    // of its two audits the one that found the lie, as it had vouched for the false tile.
    let worker = table.farm.worker(WorkerId(1)).unwrap();
    let (stand, audits, made_up) = (2 * 640 + (640 - 32), 640, 2 * (640 - 32));
    let earned = worker.held.0 + worker.probation.0 + worker.payable.0;
    assert_eq!(earned, stand + audits + made_up);
}

#[test]
fn what_is_made_of_a_true_tile_stands_though_a_liar_had_computed_it() {
    let doubted = story(&found_out("truth"));
    let why = doubted.farm.explain_tile(JobId(1), 1).join("; ");
    assert!(why.contains("it waits for frame 1 of job J0: tile 1"), "{why}");
    let settled = "report W3 J0/0 -> settled: settle W1 J0/0";
    let table = story(&format!("{}{settled}", found_out("truth")));
    assert_eq!(table.farm.job(JobId(1)).unwrap().tiles_accepted, 1);
    assert!(!table.entries.iter().any(|entry| matches!(entry.fact, Fact::Outdated { .. })));
}

#[test]
fn pay_is_final_only_after_the_pay_of_what_it_is_made_of() {
    let made = "connect W0 owner=A1 -> W0
         submit A0 tiles=4 tile-size=32 cap=10 -> J0: grant W0 J0/0
         submit A0 tiles=4 after=0 cap=100 -> J1
         drain W0 -> ok
         connect W1 owner=A2 slots=2 -> W1
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0, grant W1 J1/0, grant W1 J1/1, grant W1 J1/2, \
         grant W1 J1/3
         connect W2 owner=A3 slots=4 -> W2
         drain W0 -> ok
         report W1 J1/0 -> kept: deliver J1/0, grant W2 J1/0
         report W2 J1/0 -> settled: settle W1 J1/0
         report W1 J1/1 -> kept: deliver J1/1, grant W2 J1/1
         report W2 J1/1 -> settled: settle W1 J1/1
         report W1 J1/2 -> kept: deliver J1/2, grant W2 J1/2
         report W2 J1/2 -> settled: settle W1 J1/2
         report W1 J1/3 -> kept: deliver J1/3, store J1 frame 1, grant W2 J1/3
         report W2 J1/3 -> settled: settle W1 J1/3
         stored J0 1 -> ok
         stored J1 1 -> ok";
    // Two later tiles would do elsewhere; here J0/0 is not final.
    let table = story(made);
    assert_eq!(table.farm.worker(WorkerId(1)).unwrap().held.0, 4 * 640);
    let table = story(&format!("{made}\nwait 61000 -> ok\nwait 1000 -> ok"));
    assert_eq!(table.farm.worker(WorkerId(1)).unwrap().held.0, 0);
}

#[test]
fn a_job_that_ends_badly_ends_what_is_made_of_it() {
    let table = story(
        "submit A0 tiles=2 cap=10 -> J0
         submit A0 tiles=2 after=0 cap=100 -> J1
         submit A0 tiles=2 after=1 scale=1 cap=100 -> J2
         cancel J0 -> ok
         submit A0 tiles=2 after=0 cap=100 -> reject upstream_ended",
    );
    for (job, why) in [(1, "job 0, whose frames it is made of, was cancelled"), (2, "job 1, whose")]
    {
        let job = table.farm.job(JobId(job)).unwrap();
        assert_eq!(job.state, JobState::Failed);
        assert!(job.failure.starts_with(why), "{}", job.failure);
    }
    assert_eq!(table.farm.book(Book::Available(AccountId(0))).0, 1_000_000_000);
}

#[test]
fn what_cannot_be_made_of_a_job_is_refused_before_money_is_held() {
    story(
        "top-up A1 100 -> 100000000
         submit A0 tiles=2 cap=10 aovs=1 -> J0
         submit A1 tiles=2 after=0 -> reject upstream_unknown
         submit A0 tiles=2 after=9 -> reject upstream_unknown
         submit A0 tiles=2 after=1 -> reject upstream_unknown
         submit A0 tiles=2 frames=2 after=0 -> reject upstream_mismatch
         submit A0 tiles=4 after=0 -> reject upstream_mismatch
         submit A0 tiles=2 after=0 planes=3 -> reject plane_missing
         submit A0 tiles=2 after=0 scale=0 -> reject spec_invalid
         submit A0 tiles=2 after=0 halo=65537 -> reject spec_invalid
         submit A0 tiles=2 after=0 planes=1 cap=10 -> J1
         submit A0 tiles=2 after=1 scale=1 cap=10 -> J2
         submit A0 tiles=2 after=2 scale=1 cap=10 -> J3
         submit A0 tiles=2 after=3 scale=1 cap=10 -> J4
         submit A0 tiles=2 after=4 scale=1 cap=10 -> J5
         submit A0 tiles=2 after=5 scale=1 cap=10 -> J6
         submit A0 tiles=2 after=6 scale=1 cap=10 -> J7
         submit A0 tiles=2 after=7 scale=1 cap=10 -> reject chain_too_long
         submit A0 tiles=4096 cap=10 -> J8
         submit A0 tiles=4096 after=8 halo=60000 cap=10 -> reject too_many_inputs",
    );
}

#[test]
fn a_second_look_is_at_what_the_tile_was_made_of_even_if_that_is_forgotten() {
    let table = story(
        "connect W0 owner=A1 -> W0
         submit A0 tiles=1 frames=2 cap=10 -> J0: grant W0 J0/0, grant W0 J0/1
         submit A0 tiles=1 frames=2 after=0 cap=100 -> J1
         drain W0 -> ok
         connect W1 owner=A2 -> W1
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0, grant W1 J1/0
         stored J0 1 -> ok
         wait 500 -> ok
         connect W2 owner=A3 -> W2
         report W1 J1/0 -> kept: deliver J1/0, store J1 frame 1, grant W2 J1/0
         report W2 J1/0 -> settled: settle W1 J1/0
         stored J1 1 -> ok
         cancel J0 -> ok: revoke W0 J0/1
         wait 59600 -> ok
         drain W1 -> ok
         submit A0 tiles=1 cap=10 -> J2: grant W2 J2/0
         connect W3 owner=A4 -> W3
         connect W1 owner=A2 -> W1
         report W2 J2/0 as=lie -> kept: deliver J2/0, store J2 frame 1, grant W1 J2/0
         report W1 J2/0 -> settled: grant W3 J2/0
         report W3 J2/0 -> settled: settle W2 J2/0, grant W3 J1/0, grant W3 J2/0",
    );
    // W2 had vouched for J1/0, whose pay is held; that of J0/0 is final, and J0 has ended.
    assert_eq!(table.inputs["W3 J1/0"], [Digest::of(b"truth")]);
}
