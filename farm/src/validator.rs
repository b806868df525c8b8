//! Validators and money: bonds come and go, rounds end with the passing of time, and a share of the
//! farm's fees goes to those who agreed.

use crate::command::RequestId;
use crate::digest::Digest;
use crate::effect::{Effects, Reply};
use crate::entry::{Book, Fact, Reason};
use crate::farm::{Farm, Request};
use crate::id::AccountId;
use crate::limit;
use crate::money::Amount;
use crate::reject::Reject;
use crate::scores::{self, Scores};

impl Farm {
    /// Puts down a bond, or adds to it: the account is a validator.
    pub(crate) fn bond(
        &mut self,
        account: AccountId,
        amount: Amount,
        request: RequestId,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        if self.accounts.get(account.0 as usize).is_none() {
            return Err(Reject::UnknownAccount);
        }
        let (asked, name) = (Request::Bond(amount), (u64::from(account.0), request));
        match self.requests.get(&name) {
            Some(earlier) if *earlier == asked => return Ok(self.bonded(account)),
            Some(_) => return Err(Reject::RequestReused),
            None => {}
        }
        let least = if self.scoring.is_bonded(account) { 1 } else { limit::BOND_MIN };
        if amount.0 < least {
            return Err(Reject::BondTooSmall);
        }
        if amount > self.ledger.balance(Book::Available(account)) {
            return Err(Reject::StakeTooLarge);
        }
        if !self.scoring.is_bonded(account) {
            self.make_way(amount, effects)?;
        }
        self.requests.insert(name, asked);
        let (from, to) = (Book::Available(account), Book::Bond(account));
        self.transfer(from, to, amount, Reason::Bonded, effects);
        if self.scoring.joins(account) {
            (self.round_began, self.round_fees) = (self.now, Amount(0));
        }
        Ok(self.bonded(account))
    }

    /// Where there are as many validators as there may be, the least bond gives way to a larger.
    fn make_way(&mut self, amount: Amount, effects: &mut impl Effects) -> Result<(), Reject> {
        if self.scoring.bonded().count() < limit::VALIDATORS_MAX {
            return Ok(());
        }
        let bond = |account: &AccountId| self.ledger.balance(Book::Bond(*account));
        let least = self.scoring.bonded().min_by_key(bond);
        let least = least.filter(|account| bond(account) < amount).ok_or(Reject::ValidatorsFull)?;
        self.give_back_bond(least, effects);
        Ok(())
    }

    /// Gives a bond back.
    pub(crate) fn unbond(
        &mut self,
        account: AccountId,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        if !self.scoring.is_bonded(account) {
            return Err(Reject::NoValidator);
        }
        let returned = self.give_back_bond(account, effects);
        Ok(Reply::Staked { stake: Amount(0), returned })
    }

    fn give_back_bond(&mut self, account: AccountId, effects: &mut impl Effects) -> Amount {
        let bond = self.ledger.balance(Book::Bond(account));
        let (from, to) = (Book::Bond(account), Book::Available(account));
        self.transfer(from, to, bond, Reason::Unbonded, effects);
        self.scoring.leaves(account);
        bond
    }

    fn bonded(&self, account: AccountId) -> Reply {
        Reply::Staked { stake: self.ledger.balance(Book::Bond(account)), returned: Amount(0) }
    }

    pub(crate) fn commit_scores(
        &mut self,
        account: AccountId,
        round: u32,
        commitment: Digest,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        let weight = self.ledger.balance(Book::Bond(account));
        if self.scoring.commit(account, round, commitment, weight)? {
            self.log(Fact::ScoresCommitted { account, round, commitment }, effects);
        }
        Ok(Reply::Done)
    }

    pub(crate) fn reveal_scores(
        &mut self,
        account: AccountId,
        round: u32,
        (salt, scores): ([u8; 32], Scores),
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        let roster = &self.roster;
        let owner = |worker| roster.get(worker).map(|worker| worker.owner);
        if self.scoring.reveal(account, round, (&salt, &scores), owner)? {
            self.log(Fact::ScoresRevealed { account, round, salt, scores }, effects);
        }
        Ok(Reply::Done)
    }

    /// Ends the round if it is time: what was revealed in it holds from now on, and those who
    /// agreed get their share of the fees.
    pub(crate) fn turn_round(&mut self, effects: &mut impl Effects) {
        let due = self.round_began.after_ms(self.policy.round_ms) <= self.now;
        if !due || self.scoring.bonded().next().is_none() {
            return;
        }
        self.round_began = self.now;
        let (round, roster) = (self.scoring.round(), &self.roster);
        let combined = self.scoring.turn(|worker| roster[worker].owner);
        for (worker, score) in &combined.scores {
            self.roster[*worker].score = Some(*score);
        }
        let fees = std::mem::take(&mut self.round_fees);
        let purse = scores::purse(fees, self.ledger.balance(Book::Fees));
        let due = combined.pay(purse);
        let (scores, agreed) = (combined.scores, combined.agreed);
        self.log(Fact::RoundEnded { round, scores, agreed }, effects);
        for (account, amount) in due {
            let to = Book::Available(account);
            self.transfer(Book::Fees, to, amount, Reason::Scored(round), effects);
        }
    }
}
