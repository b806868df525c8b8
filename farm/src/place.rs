//! Placement: which worker gets which job's tile. Priority first, then fair share between
//! accounts, then a scene that the worker holds warm. Knows queues, not leases or money.

use crate::digest::Digest;
use crate::id::{AccountId, JobId};
use crate::layout_struct;
use crate::limit;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Where work waits: one lane for each engine and, for private jobs, each account.
#[derive(Debug, Default)]
pub struct Queue {
    lanes: Vec<Lane>,
    by_terms: BTreeMap<(Digest, Option<AccountId>), u32>,
    shares: BTreeMap<AccountId, Share>,
    /// Steps of the account served last: a newly busy account starts here, not at nothing.
    floor: u64,
}

/// Jobs of one engine (and scope) that have tiles to lease.
#[derive(Debug, Default)]
struct Lane {
    order: BTreeSet<(Rank, AccountId)>,
    jobs: BTreeMap<(u8, AccountId), BTreeSet<JobId>>,
}

/// Who is served first: higher priority, then fewer steps of work had so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(Reverse<u8>, u64);

/// What an account has had, and where it waits.
#[derive(Debug, Default)]
struct Share {
    tiles: u64,
    places: BTreeSet<(u32, u8)>,
}

impl crate::layout::Layout for Rank {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.0.put(out);
        self.1.put(out);
    }
    fn get(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self(Reverse(u8::get(bytes)?), u64::get(bytes)?))
    }
}

layout_struct!(Queue { lanes, by_terms, shares, floor });
layout_struct!(Lane { order, jobs });
layout_struct!(Share { tiles, places });

impl Share {
    fn steps(&self) -> u64 {
        self.tiles / limit::SHARE_TILES
    }
}

impl Queue {
    /// The lane of an engine, for everyone or for one account's own workers.
    pub fn lane(&mut self, engine: Digest, scope: Option<AccountId>) -> u32 {
        let next = self.lanes.len() as u32;
        let lane = *self.by_terms.entry((engine, scope)).or_insert(next);
        if lane == next {
            self.lanes.push(Lane::default());
        }
        lane
    }

    /// The job has tiles to lease.
    pub fn insert(&mut self, lane: u32, priority: u8, account: AccountId, job: JobId) {
        let share = self.shares.entry(account).or_default();
        if share.places.is_empty() {
            share.tiles = share.tiles.max(self.floor * limit::SHARE_TILES);
        }
        share.places.insert((lane, priority));
        let rank = Rank(Reverse(priority), share.steps());
        let lane = &mut self.lanes[lane as usize];
        lane.order.insert((rank, account));
        lane.jobs.entry((priority, account)).or_default().insert(job);
    }

    /// The job has none for now.
    pub fn remove(&mut self, at: u32, priority: u8, account: AccountId, job: JobId) {
        let share = self.shares.entry(account).or_default();
        let lane = &mut self.lanes[at as usize];
        let Some(jobs) = lane.jobs.get_mut(&(priority, account)) else { return };
        jobs.remove(&job);
        if jobs.is_empty() {
            lane.jobs.remove(&(priority, account));
            lane.order.remove(&(Rank(Reverse(priority), share.steps()), account));
            share.places.remove(&(at, priority));
        }
    }

    /// The account was given a tile.
    pub fn charge(&mut self, account: AccountId) {
        let share = self.shares.entry(account).or_default();
        let before = share.steps();
        share.tiles += 1;
        let after = share.steps();
        self.floor = self.floor.max(before);
        if before != after {
            for (lane, priority) in &share.places {
                let order = &mut self.lanes[*lane as usize].order;
                order.remove(&(Rank(Reverse(*priority), before), account));
                order.insert((Rank(Reverse(*priority), after), account));
            }
        }
    }

    /// The job that a worker of these lanes should have a tile of. `fits` says whether a job has a
    /// tile for this worker and, if so, whether its scene is warm there.
    pub fn pick(&self, lanes: &[u32], fits: impl Fn(JobId) -> Option<bool>) -> Option<JobId> {
        let mut tried = Vec::new();
        loop {
            let heads = lanes
                .iter()
                .filter(|lane| !tried.contains(*lane))
                .filter_map(|lane| Some((self.lanes[*lane as usize].order.first()?, *lane)));
            let (head, lane) = heads.min()?;
            if let Some(job) = self.lanes[lane as usize].pick(head, &fits) {
                return Some(job);
            }
            tried.push(lane);
        }
    }
}

impl Lane {
    /// The job to have a tile of, `head` being who comes first in order.
    fn pick(
        &self,
        (rank, account): &(Rank, AccountId),
        fits: &impl Fn(JobId) -> Option<bool>,
    ) -> Option<JobId> {
        // Nearly always the first job will do, and no walk has to begin.
        let first = self.jobs.get(&(rank.0.0, *account)).and_then(BTreeSet::first);
        if let Some(job) = first.filter(|job| fits(**job) == Some(true)) {
            return Some(*job);
        }
        let mut cold: Option<(Rank, JobId)> = None;
        let candidates = self.order.iter().flat_map(|(rank, account)| {
            let jobs = self.jobs.get(&(rank.0.0, *account));
            jobs.into_iter().flatten().map(|job| (*rank, *job))
        });
        for (looked, (rank, job)) in candidates.enumerate() {
            let enough = cold.is_some_and(|(first, _)| rank != first)
                || (looked >= limit::WARM_LOOKS && cold.is_some());
            if enough {
                break;
            }
            match fits(job) {
                Some(true) => return Some(job),
                Some(false) if cold.is_none() => cold = Some((rank, job)),
                Some(false) | None => {}
            }
        }
        cold.map(|(_, job)| job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: AccountId = AccountId(0);
    const B: AccountId = AccountId(1);

    #[test]
    fn priority_then_share_then_warmth() {
        let mut queue = Queue::default();
        let lane = queue.lane(Digest::default(), None);
        let cold = |_| Some(false);
        queue.insert(lane, 0, A, JobId(0));
        queue.insert(lane, 0, A, JobId(1));
        queue.insert(lane, 0, B, JobId(2));
        assert_eq!(queue.pick(&[lane], cold), Some(JobId(0)));
        assert_eq!(queue.pick(&[lane], |job| Some(job == JobId(2))), Some(JobId(2)), "warm");
        assert_eq!(queue.pick(&[lane], |job| (job != JobId(0)).then_some(false)), Some(JobId(1)));
        for _ in 0..limit::SHARE_TILES {
            queue.charge(A);
        }
        assert_eq!(queue.pick(&[lane], |job| Some(job == JobId(0))), Some(JobId(2)), "share");
        queue.insert(lane, 5, A, JobId(3));
        assert_eq!(queue.pick(&[lane], cold), Some(JobId(3)), "priority");
        queue.remove(lane, 5, A, JobId(3));
        queue.remove(lane, 0, B, JobId(2));
        assert_eq!(queue.pick(&[lane], cold), Some(JobId(0)));
    }

    #[test]
    fn an_account_that_was_away_does_not_starve_the_others() {
        let mut queue = Queue::default();
        let lane = queue.lane(Digest::default(), None);
        queue.insert(lane, 0, A, JobId(0));
        for _ in 0..100 * limit::SHARE_TILES {
            queue.charge(A);
        }
        queue.insert(lane, 0, B, JobId(1));
        for _ in 0..3 * limit::SHARE_TILES {
            queue.charge(B);
        }
        assert_eq!(queue.pick(&[lane], |_| Some(false)), Some(JobId(0)));
    }
}
