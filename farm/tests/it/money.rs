//! Money: budgets, idempotency, and what a tampered log cannot hide.

use crate::table::{Table, play};
use crate::{appeals, models, stakes};
use farm::Farm;
use farm::digest::Digest;
use farm::entry::{Entry, Fact};
use farm::id::JobId;
use farm::proof::{Books, Breach};
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

/// Follows the entries and closes the books.
pub fn follow(entries: &[Entry]) -> Result<(), Breach> {
    let mut books = Books::new();
    for (index, entry) in entries.iter().enumerate() {
        books.follow(index as u64, entry)?;
    }
    books.finish()
}

/// A farm with a liar, an honest worker, an auditor's pay, a maturity and a refund in its log.
pub fn honest_farm() -> Table {
    play(
        "secret x -> ok
         account a0 -> A0
         account a1 -> A1
         account a2 -> A2
         account a3 -> A3
         top-up A0 10000 -> 10000000000
         top-up audits 10 -> 10000000
         connect W0 owner=A1 -> W0
         connect W1 owner=A2 -> W1
         submit A0 tiles=1 -> J0: grant W0 J0/0
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1, grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0
         stored J0 1 -> ok
         wait 61000 -> ok
         connect W2 owner=A3 -> W2
         submit A0 tiles=1 -> J1: grant W0 J1/0
         report W0 J1/0 as=lie -> kept: deliver J1/0, store J1 frame 1, grant W2 J1/0
         report W2 J1/0 -> settled: grant W1 J1/0
         report W1 J1/0 -> settled: settle W0 J1/0, grant W1 J1/0
         secret xx -> ok
         cancel J1 -> ok: revoke W1 J1/0",
    )
}

#[test]
fn no_transfer_can_be_altered_repeated_or_left_out() {
    let logs = [honest_farm(), appeals::reinstated(), appeals::disputed()];
    let logs = logs.into_iter().chain([stakes::lost(), stakes::made_good()]);
    let logs = logs.chain([models::paid(), models::returned()]);
    let moves = logs.map(|table| {
        no_transfer_of_this_log_can_be_altered(&table.entries);
        table
            .entries
            .into_iter()
            .filter(|entry| matches!(entry.fact, Fact::Transfer { .. }))
            .count()
    });
    let moves: Vec<usize> = moves.collect();
    assert!(moves.iter().all(|count| *count >= 8), "the stories move money: {moves:?}");
}

fn no_transfer_of_this_log_can_be_altered(log: &[Entry]) {
    follow(log).unwrap();
    let transfers: Vec<usize> =
        (0..log.len()).filter(|at| matches!(log[*at].fact, Fact::Transfer { .. })).collect();
    for at in transfers {
        let mut twice = log.to_vec();
        twice.insert(at, log[at].clone());
        let topped_up =
            matches!(log[at].fact, Fact::Transfer { debit: farm::entry::Book::Outside, .. });
        assert!(topped_up || follow(&twice).is_err(), "entry {at} repeated: {:?}", log[at]);
        for step in [1, u64::MAX] {
            let mut other = log.to_vec();
            if let Fact::Transfer { amount, .. } = &mut other[at].fact {
                amount.0 = amount.0.wrapping_add(step);
            }
            assert!(topped_up || follow(&other).is_err(), "entry {at} altered: {:?}", log[at]);
        }
        let mut without = log.to_vec();
        without.remove(at);
        assert!(topped_up || follow(&without).is_err(), "entry {at} left out: {:?}", log[at]);
    }
}

#[test]
fn no_verdict_opinion_or_draw_can_be_altered() {
    let logs = [honest_farm(), appeals::reinstated(), appeals::disputed()];
    for table in logs.into_iter().chain([models::paid(), models::returned()]) {
        nothing_of_this_log_can_be_altered(&table.entries);
    }
}

fn nothing_of_this_log_can_be_altered(log: &[Entry]) {
    for at in 0..log.len() {
        let mut other = log.to_vec();
        match &mut other[at].fact {
            Fact::Verdict { accepted, .. } => *accepted = !*accepted,
            Fact::Opinion { value, .. } if at % 2 == 0 => *value = Digest([9; 32]),
            Fact::Opinion { decides, .. } => *decides = !*decides,
            Fact::Reinstated { worker, .. } => worker.0 += 1,
            Fact::ReviewOpened { worker, .. } => worker.0 += 1,
            Fact::AuditDrawn { leaves, .. } => leaves.push(3),
            Fact::Committed { units, .. } => *units += 1,
            Fact::SecretCommitted { commitment, .. } if at == 0 => *commitment = Digest([9; 32]),
            Fact::Refuted { worker, .. } => worker.0 += 1,
            Fact::AuditorDrawn { auditor, .. } => auditor.0 = 3 - auditor.0,
            Fact::ModelPublished { royalty, .. } => royalty.0 += 1,
            Fact::ModelUsed { royalty, .. } if at % 2 == 0 => royalty.0 += 1,
            Fact::ModelUsed { owner, .. } => owner.0 += 1,
            _ => continue,
        }
        let breach = follow(&other).expect_err(&format!("entry {at}: {:?}", log[at]));
        assert!(breach.entry >= at as u64, "{breach}");
    }
}
