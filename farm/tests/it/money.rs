//! Money: budgets, idempotency, and what a tampered log cannot hide.

use crate::table::play;
use farm::Farm;
use farm::id::JobId;
use farm::view::JobState;

#[test]
fn orders_that_cannot_be_paid_hold_nothing() {
    let table = play(
        "secret x -> ok
         account a0 -> A0
         account a0 -> reject key_taken
         submit A0 -> reject insufficient_credit
         submit A7 -> reject unknown_account
         top-up A0 10 request=5 -> 10000000
         top-up A0 10 request=5 -> 10000000
         top-up A0 11 request=5 -> reject request_reused
         top-up A9 1 -> reject unknown_account
         top-up A0 0 -> reject amount_invalid
         submit A0 cap=11 -> reject insufficient_credit
         submit A0 cap=1 price=100000000 -> reject budget_too_small
         submit A0 tile-size=12 -> reject spec_invalid
         submit A0 samples=6 -> reject spec_invalid
         submit A0 priority=10 -> reject priority_invalid
         submit A0 cap=2 request=6 -> J0
         submit A0 cap=2 request=6 -> J0
         submit A0 cap=3 request=6 -> reject request_reused",
    );
    let balance = table.farm.balance(farm::id::AccountId(0)).unwrap();
    assert_eq!((balance.available.0, balance.on_hold.0), (8_000_000, 2_000_000));
}

#[test]
fn a_job_never_costs_more_than_its_cap() {
    // A tile of 8×8 pixels, 256 samples and one segment may take 32,768 rays: 0.032768 credits.
    let table = play(
        "secret x -> ok
         account a0 -> A0
         top-up A0 10 -> 10000000
         connect W0 owner=A0 slots=4 -> W0
         submit A0 tiles=100 cap=1 price=20000000 private -> J0: grant W0 J0/0
         report W0 J0/0 -> settled: deliver J0/0, grant W0 J0/1",
    );
    let job = table.farm.job(JobId(0)).unwrap();
    assert_eq!(job.tiles_leased, 1, "one tile at a time while the hold covers only one");
    let mut story = String::from(
        "secret x -> ok
         account a0 -> A0
         top-up A0 10 -> 10000000
         connect W0 owner=A0 -> W0
         submit A0 tiles=100 cap=1 price=20000000 private -> J0: grant W0 J0/0\n",
    );
    for tile in 0..26 {
        let next = tile + 1;
        story +=
            &format!("report W0 J0/{tile} -> settled: deliver J0/{tile}, grant W0 J0/{next}\n");
    }
    story += "report W0 J0/26 -> settled: deliver J0/26\n";
    let table = play(&story);
    let job = table.farm.job(JobId(0)).unwrap();
    assert_eq!((job.state, job.tiles_accepted), (JobState::OutOfBudget, 27));
    assert_eq!(job.spent.0, 27 * 12_800);
    assert!(job.failure.contains("higher max_spend"), "{}", job.failure);
}

#[test]
fn an_image_is_read_back_to_the_last_byte() {
    let table = play(
        "secret x -> ok
         account a0 -> A0
         account a1 -> A1
         top-up A0 10 -> 10000000
         connect W0 owner=A1 slots=2 -> W0
         submit A0 tiles=9 cap=1 -> J0: grant W0 J0/0, grant W0 J0/1, grant W0 J0/2, grant W0 J0/3
         report W0 J0/2 -> kept: deliver J0/2, grant W0 J0/4",
    );
    let image = table.farm.image();
    assert_eq!(Farm::from_image(&image).unwrap().image(), image);
    for cut in 0..image.len() {
        assert!(Farm::from_image(&image[..cut]).is_none(), "cut at {cut}");
    }
}
