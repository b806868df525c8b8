//! The judge of scores: what a round must come to, by definition and not by the farm's own code.

use anyhow::{Context, ensure};
use farm::id::{AccountId, WorkerId};
use std::collections::{BTreeMap, BTreeSet};

type Ballot = BTreeMap<WorkerId, i64>;

/// What the judge knows of validators.
#[derive(Debug, Default)]
pub struct Rounds {
    round: u32,
    bonds: BTreeMap<AccountId, i128>,
    trust: BTreeMap<AccountId, (i64, bool)>,
    /// Bonds behind the ballots of this round and of the last.
    sealed: BTreeMap<AccountId, i128>,
    last: BTreeMap<AccountId, i128>,
    shown: BTreeMap<AccountId, Ballot>,
    fees: i128,
    /// What validators may still get for the last round, and who.
    purse: i128,
    entitled: BTreeSet<AccountId>,
}

impl Rounds {
    pub fn bonded(&mut self, account: AccountId, amount: i128) {
        if self.bonds.is_empty() {
            self.fees = 0;
        }
        self.round = self.round.max(1);
        *self.bonds.entry(account).or_default() += amount;
    }

    pub fn unbonded(&mut self, account: AccountId, amount: i128) -> anyhow::Result<()> {
        ensure!(self.bonds.remove(&account) == Some(amount), "not the bond");
        self.sealed.remove(&account);
        self.last.remove(&account);
        self.shown.remove(&account);
        Ok(())
    }

    pub fn fee(&mut self, amount: i128) {
        self.fees += amount;
    }

    pub fn committed(&mut self, account: AccountId, round: u32) -> anyhow::Result<()> {
        ensure!(round == self.round, "a ballot for another round");
        let bond = *self.bonds.get(&account).context("it has no bond")?;
        ensure!(self.sealed.insert(account, bond).is_none(), "two ballots in one round");
        Ok(())
    }

    pub fn revealed(
        &mut self,
        account: AccountId,
        round: u32,
        scores: &[(WorkerId, u16)],
        owners: &BTreeMap<WorkerId, AccountId>,
    ) -> anyhow::Result<()> {
        ensure!(round + 1 == self.round, "a ballot is shown too early or too late");
        ensure!(self.last.contains_key(&account), "it committed to no ballot");
        let own = scores.iter().any(|(worker, _)| owners.get(worker) == Some(&account));
        ensure!(!own, "{account} scores its own worker");
        let ballot: Ballot = scores.iter().map(|(at, score)| (*at, i64::from(*score))).collect();
        ensure!(ballot.values().all(|score| *score <= 1000), "more than perfect");
        ensure!(self.shown.insert(account, ballot).is_none(), "shown twice");
        Ok(())
    }

    pub fn ended(
        &mut self,
        round: u32,
        scores: &[(WorkerId, u16)],
        agreed: &[(AccountId, u16)],
        owners: &BTreeMap<WorkerId, AccountId>,
    ) -> anyhow::Result<()> {
        ensure!(round == self.round, "not the round that was");
        let admitted = |account: &AccountId| self.trust.get(account).is_some_and(|(_, in_)| *in_);
        let anybody = self.bonds.keys().any(admitted);
        let said: Ballot = scores.iter().map(|(at, score)| (*at, i64::from(*score))).collect();
        let named: BTreeSet<WorkerId> =
            self.shown.values().flat_map(|ballot| ballot.keys().copied()).collect();
        for worker in named {
            let voters =
                self.shown.iter().filter(|(account, _)| owners.get(&worker) != Some(account));
            let voters = voters.filter(|(account, _)| !anybody || admitted(account));
            let voters: Vec<(i128, Option<i64>)> = voters
                .map(|(account, ballot)| (self.last[account], ballot.get(&worker).copied()))
                .collect();
            let weight = |counts: &dyn Fn(Option<i64>) -> bool| -> i128 {
                voters.iter().filter(|(_, score)| counts(*score)).map(|(bond, _)| bond).sum()
            };
            let (all, heard) = (weight(&|_| true), weight(&|score| score.is_some()));
            let reaches = |least: i64| weight(&|score| score.is_some_and(|score| score >= least));
            let highest = (0..=1000).rev().find(|least| reaches(*least) * 2 >= heard);
            let due = highest.filter(|_| heard > 0 && heard * 2 >= all);
            ensure!(said.get(&worker).copied() == due, "{worker} is scored other than {due:?}");
        }
        let shown = self.shown.keys().copied();
        self.entitled = shown.filter(admitted).collect();
        self.judge(&said, agreed, owners)?;
        self.purse = self.fees / 10;
        (self.fees, self.round) = (0, self.round + 1);
        self.shown.clear();
        self.last = std::mem::take(&mut self.sealed);
        Ok(())
    }

    /// How far each agreed: the common part of what workers are said to fall short, and 50 more.
    fn judge(
        &mut self,
        said: &Ballot,
        agreed: &[(AccountId, u16)],
        owners: &BTreeMap<WorkerId, AccountId>,
    ) -> anyhow::Result<()> {
        let mut agreed = agreed.iter();
        for (account, ballot) in &self.shown {
            let others = said.iter().filter(|(worker, _)| owners.get(worker) != Some(account));
            let pairs = others.map(|(worker, score)| {
                (1050 - score, 1050 - ballot.get(worker).copied().unwrap_or(0))
            });
            let (mut low, mut high) = (0, 0);
            pairs.for_each(|(a, b)| (low, high) = (low + a.min(b), high + a.max(b)));
            if high == 0 {
                continue;
            }
            let share = low * 1000 / high;
            let (by, word) = agreed.next().context("it is not said how far it agreed")?;
            ensure!((*by, i64::from(*word)) == (*account, share), "{account} agreed by {share}");
            let (trust, in_) = self.trust.entry(*account).or_default();
            *trust = (*trust * 3 + share) / 4;
            *in_ = *trust >= if *in_ { 500 } else { 750 };
        }
        ensure!(agreed.next().is_none(), "more agreed than showed a ballot");
        Ok(())
    }

    pub fn paid(&mut self, account: AccountId, amount: i128) -> anyhow::Result<()> {
        ensure!(self.entitled.remove(&account), "{account} is paid for nothing, or twice");
        self.purse -= amount;
        ensure!(self.purse >= 0, "validators get more than their part of the fees");
        Ok(())
    }
}
