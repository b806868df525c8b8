//! Ballots, medians, agreement and trust; no money and no log.

use super::*;
use proptest::prelude::*;

/// Validators A0.. score workers W0.., each other's only: worker n belongs to account 100 + n.
fn owner(worker: WorkerId) -> AccountId {
    AccountId(100 + worker.0)
}

fn scores(given: &[u16]) -> Scores {
    (0..).map(WorkerId).zip(given.iter().copied()).collect()
}

/// Each validator's bond and ballot, committed to in one round and revealed in the next.
fn rounds(scoring: &mut Scoring, ballots: &[(u64, Scores)], count: u32) -> Combined {
    let account = |at: usize| AccountId(at as u32);
    (0..ballots.len()).for_each(|at| {
        scoring.joins(account(at));
    });
    let mut last = Combined::default();
    for _ in 0..count {
        let round = scoring.round();
        for (at, (bond, given)) in ballots.iter().enumerate() {
            let seal = commitment(account(at), round, &[7; 32], given);
            assert_eq!(scoring.commit(account(at), round, seal, Amount(*bond)), Ok(true));
        }
        scoring.turn(owner);
        for (at, (_, given)) in ballots.iter().enumerate() {
            let owner = |worker| Some(owner(worker));
            assert_eq!(scoring.reveal(account(at), round, (&[7; 32], given), owner), Ok(true));
        }
        // No ballots are committed to in between, to keep the rounds apart.
        last = scoring.turn(owner);
    }
    last
}

#[test]
fn the_median_by_bond_holds_and_less_than_half_moves_nothing() {
    let honest = scores(&[990, 300]);
    let boosters = scores(&[0, 1000]);
    let ballots = [(51, honest.clone()), (49, boosters)];
    assert_eq!(rounds(&mut Scoring::default(), &ballots, 1).scores, honest);
    // With just half it takes no less than the higher score, with more than half they decide.
    let ballots = [(50, scores(&[900])), (50, scores(&[100]))];
    assert_eq!(rounds(&mut Scoring::default(), &ballots, 1).scores, scores(&[900]));
    let ballots = [(49, scores(&[900])), (51, scores(&[100]))];
    assert_eq!(rounds(&mut Scoring::default(), &ballots, 1).scores, scores(&[100]));
}

#[test]
fn a_worker_that_less_than_half_scores_is_not_scored() {
    let some = vec![(WorkerId(0), 800), (WorkerId(1), 10)];
    let ballots = [(60, scores(&[800])), (40, some)];
    assert_eq!(rounds(&mut Scoring::default(), &ballots, 1).scores, scores(&[800]));
}

#[test]
fn who_agrees_is_admitted_after_some_rounds_and_who_calls_all_perfect_is_not() {
    let truth = scores(&[990, 980, 200, 970, 0]);
    let lazy = scores(&[1000; 5]);
    let mut scoring = Scoring::default();
    let ballots = [(100, truth.clone()), (100, truth.clone()), (90, lazy)];
    let first = rounds(&mut scoring, &ballots, 1);
    assert_eq!(first.scores, truth);
    assert!(first.shares.is_empty(), "nobody is paid before being admitted");
    rounds(&mut scoring, &ballots, 4);
    let admitted: Vec<bool> = scoring.standings().iter().map(|found| found.admitted).collect();
    assert_eq!(admitted, [true, true, false]);
    let paid = rounds(&mut scoring, &ballots, 1).pay(Amount(1_001));
    assert_eq!(paid, [(AccountId(0), Amount(500)), (AccountId(1), Amount(500))]);
}

#[test]
fn an_admitted_validator_that_drifts_is_cut_off_and_comes_back_by_agreeing() {
    let (truth, drifted) = (scores(&[990, 100, 950]), scores(&[100, 990, 950]));
    let mut scoring = Scoring::default();
    let agree = [(50, truth.clone()), (50, truth.clone()), (40, truth.clone())];
    rounds(&mut scoring, &agree, 6);
    assert!(scoring.standings().iter().all(|found| found.admitted));
    let drift = [(50, truth.clone()), (50, truth.clone()), (40, drifted)];
    rounds(&mut scoring, &drift, 4);
    assert!(!scoring.standings()[2].admitted);
    let unheard = rounds(&mut scoring, &drift, 1);
    assert_eq!((unheard.scores, unheard.shares.len()), (truth, 2));
    // Leaving and coming back changes nothing; agreeing does.
    scoring.leaves(AccountId(2));
    rounds(&mut scoring, &drift[..2], 1);
    rounds(&mut scoring, &agree, 1);
    assert!(!scoring.standings()[2].admitted);
    rounds(&mut scoring, &agree, 5);
    assert!(scoring.standings()[2].admitted);
}

#[test]
fn a_ballot_is_what_its_own_account_committed_to_in_the_round_before() {
    let (me, other) = (AccountId(0), AccountId(1));
    let owner = |worker| Some(owner(worker)).filter(|_| worker < WorkerId(5));
    let mine = scores(&[900, 800]);
    let mut scoring = Scoring::default();
    let seal = commitment(me, 1, &[1; 32], &mine);
    assert_eq!(scoring.commit(me, 1, seal, Amount(1)), Err(Reject::NoValidator));
    scoring.joins(me);
    scoring.joins(other);
    assert_eq!(scoring.commit(me, 2, seal, Amount(1)), Err(Reject::RoundOver));
    assert_eq!(scoring.commit(me, 1, seal, Amount(1)), Ok(true));
    assert_eq!(scoring.commit(me, 1, seal, Amount(1)), Ok(false));
    assert_eq!(scoring.commit(me, 1, Digest([1; 32]), Amount(1)), Err(Reject::BallotRepeated));
    // The same commitment, copied.
    assert_eq!(scoring.commit(other, 1, seal, Amount(1)), Ok(true));
    let shows = |scoring: &mut Scoring, account, round, scores: &Scores| {
        scoring.reveal(account, round, (&[1; 32], scores), owner)
    };
    assert_eq!(shows(&mut scoring, me, 1, &mine), Err(Reject::RoundOver), "too early");
    scoring.turn(|_| me);
    assert_eq!(shows(&mut scoring, me, 1, &scores(&[900])), Err(Reject::BallotMismatch));
    assert_eq!(shows(&mut scoring, me, 1, &mine), Ok(true));
    assert_eq!(shows(&mut scoring, me, 1, &mine), Ok(false));
    assert_eq!(shows(&mut scoring, other, 1, &mine), Err(Reject::BallotMismatch));
    scoring.turn(|_| me);
    assert_eq!(shows(&mut scoring, me, 1, &mine), Err(Reject::RoundOver), "too late");
    assert_eq!(shows(&mut scoring, me, 2, &mine), Err(Reject::BallotUnknown));
}

#[test]
fn ballots_out_of_bounds_are_refused() {
    let me = AccountId(100);
    let owner = |worker| Some(owner(worker)).filter(|_| worker < WorkerId(5));
    for wrong in [
        vec![(WorkerId(1), 1001)],
        vec![(WorkerId(0), 5)],
        vec![(WorkerId(9), 5)],
        vec![(WorkerId(2), 5), (WorkerId(1), 5)],
        vec![(WorkerId(1), 5), (WorkerId(1), 6)],
    ] {
        let mut scoring = Scoring::default();
        scoring.joins(me);
        let seal = commitment(me, 1, &[0; 32], &wrong);
        scoring.commit(me, 1, seal, Amount(1)).unwrap();
        scoring.turn(|_| me);
        let said = scoring.reveal(me, 1, (&[0; 32], &wrong), owner);
        assert_eq!(said, Err(Reject::ScoresInvalid), "{wrong:?}");
    }
}

proptest! {
    /// By its definition: those with half of the weight gave a median or more, and no higher score
    /// has that.
    #[test]
    fn medians_are_medians(
        ballots in proptest::collection::vec((1u64..1 << 50, [0u16..=1000, 0..=1000]), 1..9)
    ) {
        let cast: Vec<(u64, Scores)> =
            ballots.iter().map(|(bond, given)| (*bond, scores(given))).collect();
        let combined = rounds(&mut Scoring::default(), &cast, 1);
        let all: u128 = ballots.iter().map(|(bond, _)| u128::from(*bond)).sum();
        for (worker, score) in combined.scores.iter().copied() {
            let reach = |least: u16| -> u128 {
                let given = |ballot: &&(u64, [u16; 2])| ballot.1[worker.0 as usize] >= least;
                ballots.iter().filter(given).map(|(bond, _)| u128::from(*bond)).sum()
            };
            prop_assert!(reach(score) * 2 >= all);
            prop_assert!(score == PERFECT || reach(score + 1) * 2 < all);
        }
        let paid: u64 = combined.pay(Amount(1 << 59)).iter().map(|(_, amount)| amount.0).sum();
        prop_assert!(paid <= 1 << 59);
    }
}
