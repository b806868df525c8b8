//! Stakes: what an owner puts behind a worker. A newcomer gets more leases for it; who is found
//! lying loses it to the pot that pays audits and makes amends.

use crate::command::RequestId;
use crate::effect::{Effects, Reply};
use crate::entry::{Book, Reason};
use crate::farm::{Farm, Request};
use crate::id::{AccountId, JobId, WorkerId};
use crate::limit;
use crate::money::Amount;
use crate::reject::Reject;
use crate::settle::Vouch;

impl Farm {
    /// Puts money of the owner's behind its worker.
    pub(crate) fn stake(
        &mut self,
        account: AccountId,
        worker: WorkerId,
        amount: Amount,
        request: RequestId,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        self.own_worker(account, worker)?;
        let (asked, name) = (Request::Stake(worker, amount), (u64::from(account.0), request));
        match self.requests.get(&name) {
            Some(earlier) if *earlier == asked => return Ok(self.staked(worker)),
            Some(_) => return Err(Reject::RequestReused),
            None => {}
        }
        if self.roster[worker].refuted {
            return Err(Reject::WorkerRefuted);
        }
        if amount.0 == 0 {
            return Err(Reject::AmountInvalid);
        }
        if amount > self.ledger.balance(Book::Available(account)) {
            return Err(Reject::StakeTooLarge);
        }
        self.requests.insert(name, asked);
        let (from, to) = (Book::Available(account), Book::Stake(worker));
        self.transfer(from, to, amount, Reason::Staked, effects);
        self.fill(worker, effects);
        Ok(self.staked(worker))
    }

    /// Gives a stake back, once nothing that its worker said can turn out false any more.
    pub(crate) fn unstake(
        &mut self,
        account: AccountId,
        worker: WorkerId,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        self.own_worker(account, worker)?;
        let stake = self.ledger.balance(Book::Stake(worker));
        if stake.0 == 0 {
            return Err(Reject::NothingStaked);
        }
        if self.is_bound(worker) {
            return Err(Reject::StakeBound);
        }
        let (from, to) = (Book::Stake(worker), Book::Available(account));
        self.transfer(from, to, stake, Reason::Unstaked, effects);
        Ok(Reply::Staked { stake: Amount(0), returned: stake })
    }

    fn own_worker(&self, account: AccountId, worker: WorkerId) -> Result<(), Reject> {
        let owner = self.roster.get(worker).map(|worker| worker.owner);
        owner.filter(|owner| *owner == account).map(|_| ()).ok_or(Reject::UnknownWorker)
    }

    fn staked(&self, worker: WorkerId) -> Reply {
        Reply::Staked { stake: self.ledger.balance(Book::Stake(worker)), returned: Amount(0) }
    }

    /// Whether something that the worker said within the maturity period, or something whose pay
    /// is not final, may still turn out false.
    pub(crate) fn is_bound(&self, id: WorkerId) -> bool {
        let worker = &self.roster[id];
        let lately = worker.bound.after_ms(self.policy.maturity_ms) > self.now;
        let mut own = self.held[id.0 as usize].iter();
        if lately || worker.computing + worker.claims > 0 || own.any(|held| !held.settled) {
            return true;
        }
        let heard = |claim: &crate::audit::Claim| claim.opinions.iter().any(|o| o.worker == id);
        let mut claims = self.leases.iter().filter_map(|(at, _)| self.leases.claim(at));
        let held = || self.held.iter().flatten();
        let open = |place: &(JobId, u64)| {
            held().any(|held| held.settled && (held.job, held.tile) == *place)
        };
        let vouches = |all: &[Vouch]| all.iter().any(|vouch| vouch.auditor == id);
        let mut vouched = self.vouched.iter();
        claims.any(heard)
            || held().any(|held| !held.settled && held.auditors.contains(&id))
            || vouched.any(|(place, all)| vouches(all) && !open(place))
    }

    /// A liar's stake is lost; says how much that was.
    pub(crate) fn lose_stake(
        &mut self,
        worker: WorkerId,
        (job, tile): (JobId, u64),
        effects: &mut impl Effects,
    ) -> Amount {
        let stake = self.ledger.balance(Book::Stake(worker));
        let reason = Reason::StakeLost(job, tile);
        self.transfer(Book::Stake(worker), Book::Audits, stake, reason, effects);
        stake
    }

    /// Leases that a worker may hold at once: those of its slots, and as a newcomer no more than
    /// any newcomer and its stake allows; hardly any where validators find it unreliable.
    pub(crate) fn leases_max(&self, id: WorkerId) -> u32 {
        let worker = &self.roster[id];
        if worker.is_unreliable() {
            return limit::LOW_LEASES;
        }
        let slots = worker.slots * limit::LEASES_PER_SLOT;
        if !worker.is_newcomer() || slots <= limit::NEWCOMER_LEASES {
            return slots;
        }
        let staked = self.ledger.balance(Book::Stake(id)).0 / limit::STAKE_PER_LEASE;
        let more = u32::try_from(staked).unwrap_or(u32::MAX);
        slots.min(limit::NEWCOMER_LEASES.saturating_add(more))
    }

    /// Whether the worker has room for another tile, if it works at all.
    pub(crate) fn has_room(&self, id: WorkerId) -> bool {
        let worker = &self.roster[id];
        worker.computing < self.leases_max(id) && worker.claims < limit::CLAIMS_WAITING_MAX
    }
}
