//! Scores: bonds belong to those who put them down, ballots are what was committed to, and what a
//! round came to, and who is paid for it, follows from them.

use super::{Books, Follows, demand};
use crate::digest::Digest;
use crate::entry::{Book, Fact};
use crate::id::{AccountId, WorkerId};
use crate::limit;
use crate::money::Amount;
use crate::scores::{self, Scores, Scoring};
use std::collections::BTreeMap;

/// Validators, the fees taken in their round, and what the last one owes them.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    pub scoring: Scoring,
    pub fees: Amount,
    /// The round, and what was not paid yet.
    owed: (u32, BTreeMap<AccountId, Amount>),
}

impl Rounds {
    /// In the end every validator is paid.
    pub(super) fn finish(&self) -> Follows {
        demand(self.owed.1.is_empty(), "a validator that agreed was not paid")
    }
}

impl Books {
    /// Who scores workers.
    pub fn scoring(&self) -> &Scoring {
        &self.rounds.scoring
    }

    pub(super) fn bonds(&mut self, debit: Book, credit: Book, amount: Amount) -> Follows {
        let Book::Bond(account) = credit else { return Err("a bond is put down as one") };
        demand(debit == Book::Available(account), "the bond is another account's money")?;
        let scoring = &mut self.rounds.scoring;
        if !scoring.is_bonded(account) {
            demand(amount.0 >= limit::BOND_MIN, "too small a bond")?;
            demand(scoring.bonded().count() < limit::VALIDATORS_MAX, "too many validators")?;
        }
        if scoring.joins(account) {
            self.rounds.fees = Amount(0);
        }
        Ok(())
    }

    pub(super) fn unbonds(&mut self, debit: Book, credit: Book, amount: Amount) -> Follows {
        let Book::Bond(account) = debit else { return Err("there is no bond there") };
        demand(credit == Book::Available(account), "the bond is another account's")?;
        demand(amount == self.ledger.balance(debit), "not all of the bond")?;
        self.rounds.scoring.leaves(account);
        Ok(())
    }

    pub(super) fn about_scores(&mut self, fact: &Fact) -> Follows {
        match fact {
            Fact::ScoresCommitted { account, round, commitment } => {
                self.scores_committed(*account, *round, *commitment)
            }
            Fact::ScoresRevealed { account, round, salt, scores } => {
                self.scores_revealed(*account, *round, salt, scores)
            }
            Fact::RoundEnded { round, scores, agreed } => self.round_ended(*round, scores, agreed),
            _ => Err("it says nothing of scores"),
        }
    }

    fn scores_committed(&mut self, account: AccountId, round: u32, commitment: Digest) -> Follows {
        let weight = self.ledger.balance(Book::Bond(account));
        match self.rounds.scoring.commit(account, round, commitment, weight) {
            Ok(true) => Ok(()),
            Ok(false) => Err("the ballot was committed to before"),
            Err(_) => Err("the account may commit to no ballot for this round"),
        }
    }

    fn scores_revealed(
        &mut self,
        account: AccountId,
        round: u32,
        salt: &[u8; 32],
        scores: &Scores,
    ) -> Follows {
        let workers = &self.workers;
        let owner = |worker: WorkerId| workers.get(worker.0 as usize).map(|worker| worker.owner);
        match self.rounds.scoring.reveal(account, round, (salt, scores), owner) {
            Ok(true) => Ok(()),
            Ok(false) => Err("the ballot was revealed before"),
            Err(_) => Err("not the ballot that the account committed to in the round before"),
        }
    }

    fn round_ended(&mut self, round: u32, scores: &Scores, agreed: &[(AccountId, u16)]) -> Follows {
        demand(round == self.rounds.scoring.round(), "rounds follow one another")?;
        self.rounds.finish()?;
        let workers = &self.workers;
        let combined = self.rounds.scoring.turn(|worker| workers[worker.0 as usize].owner);
        demand(combined.scores == *scores, "not the medians of the ballots that were revealed")?;
        demand(combined.agreed == *agreed, "not how far the validators agreed")?;
        let fees = std::mem::take(&mut self.rounds.fees);
        let purse = scores::purse(fees, self.ledger.balance(Book::Fees));
        self.rounds.owed = (round, combined.pay(purse).into_iter().collect());
        Ok(())
    }

    pub(super) fn pays_validator(
        &mut self,
        round: u32,
        debit: Book,
        credit: Book,
        amount: Amount,
    ) -> Follows {
        demand(debit == Book::Fees, "validators are paid from the fees")?;
        let Book::Available(account) = credit else { return Err("it goes to no account") };
        let due = self.rounds.owed.1.remove(&account);
        let due = due.filter(|_| self.rounds.owed.0 == round).ok_or("the round owes it nothing")?;
        demand(amount == due, "not the validator's share of the fees")
    }
}
