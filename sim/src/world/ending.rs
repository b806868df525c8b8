//! The end of a world: what must be true of it.

use super::{Summary, World};
use crate::actor::{Actor, Conduct, output_of, truth};
use crate::model::needed;
use anyhow::{Context, ensure};
use farm::digest::Digest;
use farm::entry::{Book, Cause, Fact, Reason};
use farm::id::{JobId, WorkerId};
use farm::receipt::{Concern, Receipt};
use farm::view::{JobState, JobView};
use std::collections::BTreeMap;

/// What became of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub conduct: Conduct,
    /// Leases about which it said something false.
    pub lies: u64,
    pub refuted: bool,
    /// Micro-credits held back for it and its own.
    pub earned: u64,
}

impl World {
    /// Stakes that were lost and made good: no earnings.
    fn made_good(&self, worker: WorkerId) -> u64 {
        let (mut lost, mut made_good) = (0, 0);
        for entry in self.shell.published() {
            match &entry.fact {
                Fact::Transfer { debit, amount, reason: Reason::StakeLost(..), .. }
                    if *debit == Book::Stake(worker) =>
                {
                    lost = amount.0;
                }
                Fact::Reinstated { worker: id, .. } if *id == worker => {
                    made_good += std::mem::take(&mut lost);
                }
                _ => {}
            }
        }
        made_good
    }

    /// What became of each worker that was ever let in.
    pub(super) fn census(&self) -> Vec<Seen> {
        let seen = |actor: &Actor| {
            let worker = self.shell.farm.worker(actor.id?)?;
            let (conduct, lies) = (actor.conduct, actor.lies.len() as u64);
            let all = worker.held.0 + worker.probation.0 + worker.payable.0;
            let earned = all - self.made_good(worker.worker);
            Some(Seen { conduct, lies, refuted: worker.refuted, earned })
        };
        self.actors.iter().filter_map(seen).collect()
    }

    /// Every job ended, the books close, what was delivered is true, replay gives the same farm.
    pub(super) fn judge(&mut self) -> anyhow::Result<Summary> {
        for release in self.shell.sync(&mut self.chance) {
            self.release(release);
        }
        let jobs = self.shell.farm.jobs(None, None, usize::MAX);
        for job in &jobs {
            let ended = job.state != JobState::Open && job.tiles_claimed == 0;
            ensure!(ended, "{} has not ended: {}", job.job, self.explain(job));
            let gave_up = job.state == JobState::Failed;
            let excused = self.swarm.is_hard() || self.is_anybody_slow() || self.swarm.conspires();
            ensure!(
                !gave_up || excused || self.is_cut_off(job),
                "{} failed: {}",
                job.job,
                job.failure
            );
            self.judge_outputs(job.job, job.state)?;
            self.judge_receipt(job).with_context(|| format!("the receipt of {}", job.job))?;
        }
        let wronged = self.wronged();
        ensure!(wronged.is_empty(), "{wronged:?} never lied and are out");
        self.shell.close().context("at the end")?;
        let workers = self.shell.farm.workers(None, None, usize::MAX);
        let log = self.shell.published();
        let said =
            |what: fn(&Fact) -> bool| log.iter().filter(|entry| what(&entry.fact)).count() as u64;
        Ok(Summary {
            events: self.count,
            entries: self.shell.entries(),
            tiles: jobs.iter().map(|job| job.tiles_accepted).sum(),
            refuted: workers.iter().filter(|worker| worker.refuted).count() as u64,
            appeals: said(|fact| {
                matches!(fact, Fact::Transfer { reason: Reason::Deposit(..), .. })
            }),
            unstaked: said(|fact| matches!(fact, Fact::Transfer { reason: Reason::Unstaked, .. })),
            stakes_lost: said(|fact| {
                matches!(fact, Fact::Transfer { reason: Reason::StakeLost(..), .. })
            }),
            reinstated: said(|fact| matches!(fact, Fact::Reinstated { .. })),
            scored: said(|fact| matches!(fact, Fact::Transfer { reason: Reason::Scored(_), .. })),
            looked: said(|fact| matches!(fact, Fact::ReviewOpened { cause: Cause::Unsecured, .. })),
            released: said(|fact| {
                matches!(fact, Fact::Transfer { reason: Reason::Released(..), .. })
            }),
            lapsed: said(|fact| matches!(fact, Fact::Transfer { reason: Reason::Lapsed(..), .. })),
            outdated: said(|fact| matches!(fact, Fact::Outdated { .. })),
            royalties: said(|fact| {
                matches!(fact, Fact::Transfer { reason: Reason::Royalty(..), .. })
            }),
            royalties_returned: said(|fact| {
                matches!(fact, Fact::Transfer { reason: Reason::RoyaltyReturned(..), .. })
            }),
            deaths: self.deaths,
        })
    }

    /// What the log says of a job alone proves what the farm says of it.
    fn judge_receipt(&self, job: &JobView) -> anyhow::Result<()> {
        let mut concern = Concern::of(job.job);
        let mut receipt = Receipt::new(job.job, job.spec.clone());
        for (index, entry) in (0..).zip(self.shell.published()) {
            if concern.takes(&entry.fact) {
                receipt.follow(index, entry).with_context(|| format!("{entry:?}"))?;
            }
        }
        let account = receipt.finish().map_err(anyhow::Error::msg)?;
        let proven = (account.state, account.accepted, account.spent, account.units);
        let said = (job.state, job.tiles_accepted, job.spent, job.units);
        let (licence, owed) = (account.licence, account.royalties);
        ensure!((licence, owed) == (job.licence, job.royalties), "it proves {owed:?} of royalties");
        ensure!(proven == said, "it proves {proven:?}, the farm says {said:?}");
        Ok(())
    }

    /// What its tiles wait for.
    fn explain(&self, job: &JobView) -> String {
        let why = |tile: u64| self.shell.farm.explain_tile(job.job, tile).join(", ");
        let whys = (0..job.tiles_total).map(|tile| format!("tile {tile}: {}", why(tile)));
        whys.filter(|why| !why.ends_with("paid for")).collect::<Vec<_>>().join("; ")
    }

    fn is_anybody_slow(&self) -> bool {
        self.actors.iter().any(|actor| matches!(actor.conduct, Conduct::Late))
    }

    /// Where nobody forged a little, every tile of a finished job is the true one.
    fn judge_outputs(&self, job: JobId, state: JobState) -> anyhow::Result<()> {
        if state != JobState::Done || self.actors.iter().any(|actor| actor.conduct.is_subtle()) {
            return Ok(());
        }
        let mut known = BTreeMap::new();
        for tile in 0..self.specs[job.0 as usize].tiles() {
            let output = self.outputs.get(&(job, tile));
            let right = self.true_output(job, tile, &mut known);
            ensure!(output == Some(&right), "{job} tile {tile} is not the true one");
        }
        Ok(())
    }

    /// What a tile is where all that it is made of is true.
    fn true_output(
        &self,
        job: JobId,
        tile: u64,
        known: &mut BTreeMap<(JobId, u64), Digest>,
    ) -> Digest {
        if let Some(output) = known.get(&(job, tile)) {
            return *output;
        }
        let spec = &self.specs[job.0 as usize];
        let feeders = match &spec.upstream {
            Some(link) => needed(spec, &self.specs[link.job.0 as usize], tile),
            None => Vec::new(),
        };
        let upstream = spec.upstream.map_or(job, |link| link.job);
        let inputs = feeders.into_iter().map(|tile| self.true_output(upstream, tile, known));
        let inputs: Vec<Digest> = inputs.collect();
        let output = output_of(&truth(spec, job, tile, &inputs));
        known.insert((job, tile), output);
        output
    }

    /// Whether it failed because the job did that it is made of.
    fn is_cut_off(&self, job: &JobView) -> bool {
        let Some(link) = &job.spec.upstream else { return false };
        let before = self.shell.farm.job(link.job).map(|job| job.state);
        let ended = before.is_some_and(|state| !matches!(state, JobState::Open | JobState::Done));
        ended && job.failure.contains("whose frames it is made of")
    }
}
