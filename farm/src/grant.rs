//! Grants: workers come and go, are given tiles and audits, and lose what they do not keep up.

use crate::audit::Question;
use crate::command::Connect;
use crate::digest::Digest;
use crate::effect::{Effect, Effects, Reply};
use crate::entry::Fact;
use crate::farm::Farm;
use crate::id::{AccountId, JobId, LeaseId, WorkerId};
use crate::job::Again;
use crate::leaf::Indices;
use crate::lease::{Lease, Role};
use crate::limit;
use crate::reject::Reject;
use crate::roster::Worker;

/// Tiles that came back looked at for one that may go to a worker.
const AGAIN_LOOKS: usize = 8;

impl Farm {
    pub(crate) fn connect(
        &mut self,
        connect: Connect,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        if self.accounts.get(connect.owner.0 as usize).is_none() {
            return Err(Reject::UnknownAccount);
        }
        let offers = 1..=limit::ENGINES_PER_WORKER_MAX;
        if connect.slots == 0
            || connect.slots > limit::SLOTS_MAX
            || !offers.contains(&connect.engines.len())
            || connect.device.len() > limit::NAME_BYTES_MAX
            || connect.groups.len() > limit::GROUPS_MAX
        {
            return Err(Reject::OfferInvalid);
        }
        let known = self.roster.find(&connect.key);
        if let Some(worker) = known.map(|id| &self.roster[id]) {
            if worker.owner != connect.owner {
                return Err(Reject::WorkerOfAnother);
            }
            if worker.refuted {
                return Err(Reject::WorkerRefuted);
            }
        }
        let id = known.unwrap_or_else(|| self.enrol(&connect, effects));
        let live = self.welcome(id, connect, effects);
        self.seek_again(effects);
        self.fill(id, effects);
        Ok(Reply::Connected { worker: id, live })
    }

    fn enrol(&mut self, connect: &Connect, effects: &mut impl Effects) -> WorkerId {
        let Connect { key, owner, .. } = *connect;
        let arbiter = self.accounts[owner.0 as usize].operator;
        let worker = self.roster.enrol(Worker { key, owner, arbiter, ..Worker::default() });
        self.held.push(Default::default());
        self.log(Fact::WorkerEnrolled { worker, owner, key }, effects);
        worker
    }

    /// Brings the worker's offer up to date and settles which leases are still its own: those it
    /// names. What it does not name was lost on the way or with its disk.
    fn welcome(
        &mut self,
        id: WorkerId,
        connect: Connect,
        effects: &mut impl Effects,
    ) -> Vec<LeaseId> {
        // An arbiter computes nobody's tiles but its own account's.
        let market = (!self.roster[id].arbiter).then_some(None);
        let scopes = [market, Some(Some(connect.owner))];
        let lanes = connect
            .engines
            .iter()
            .flat_map(|engine| scopes.into_iter().flatten().map(move |scope| (*engine, scope)));
        let lanes = lanes.map(|(engine, scope)| self.queue.lane(engine, scope)).collect();
        let worker = &mut self.roster[id];
        let device = Digest::of(connect.device.as_bytes());
        worker.standing.offers(device, &connect.engines);
        worker.engines = connect.engines;
        worker.device = connect.device;
        worker.slots = connect.slots;
        worker.units_per_second = connect.units_per_second;
        worker.lanes = lanes;
        worker.online = true;
        worker.draining = false;
        worker.groups = connect.groups;
        let (engines, groups) = (worker.engines.clone(), worker.groups.clone());
        if !self.roster.working.contains(&id) {
            self.roster.working.push(id);
        }
        self.log(Fact::WorkerOnline { worker: id, device, engines, groups }, effects);
        let own: Vec<LeaseId> =
            self.leases.iter().filter(|(_, l)| l.worker == id).map(|(l, _)| l).collect();
        let named = |lease: &LeaseId| connect.leases.contains(lease);
        for lease in own.iter().filter(|lease| !named(lease)) {
            self.lose(*lease, effects);
        }
        let live: Vec<LeaseId> =
            own.into_iter().filter(|l| named(l) && self.leases.get(*l).is_some()).collect();
        for lease in &live {
            self.resume(*lease, effects);
        }
        live
    }

    /// A lease that its worker no longer knows of.
    fn lose(&mut self, id: LeaseId, effects: &mut impl Effects) {
        let Some(lease) = self.leases.get(id) else { return };
        if matches!(lease.role, Role::Computing | Role::Audit(_)) {
            let engine = &self.jobs[lease.job.0 as usize].spec.engine;
            self.roster[lease.worker].standing.of(engine).lost += 1;
        }
        match &lease.role {
            Role::Computing => self.take_back(id, effects),
            Role::Claimed(claim) if claim.answer.is_none() => self.drop_claim(id, effects),
            Role::Claimed(_) | Role::Reviewed(_) => {}
            Role::Audit(_) => self.miss_audit(id, effects),
        }
    }

    /// A lease that its worker still has after a new connection.
    fn resume(&mut self, id: LeaseId, effects: &mut impl Effects) {
        let Some(lease) = self.leases.get(id) else { return };
        let deadline = self.deadline(lease);
        match &lease.role {
            Role::Computing | Role::Audit(_) => self.leases.set_deadline(id, Some(deadline)),
            Role::Claimed(claim) => {
                if let (None, Question::Leaves(leaves)) = (&claim.answer, &claim.question) {
                    let (worker, leaves) = (lease.worker, leaves.clone());
                    self.leases.set_deadline(id, Some(deadline));
                    effects.push(Effect::Challenge { worker, lease: id, leaves });
                }
            }
            Role::Reviewed(_) => {}
        }
    }

    pub(crate) fn disconnect(
        &mut self,
        id: WorkerId,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        self.roster.get(id).ok_or(Reject::UnknownWorker)?;
        self.roster[id].online = false;
        self.rest(id, effects);
        Ok(Reply::Done)
    }

    pub(crate) fn drain(
        &mut self,
        id: WorkerId,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        self.roster.get(id).ok_or(Reject::UnknownWorker)?;
        self.roster[id].draining = true;
        self.rest(id, effects);
        Ok(Reply::Done)
    }

    pub(crate) fn renew(&mut self, worker: WorkerId, leases: &[LeaseId]) -> Result<Reply, Reject> {
        self.roster.get(worker).ok_or(Reject::UnknownWorker)?;
        for id in leases {
            let Ok(lease) = self.leases.own(worker, *id) else { continue };
            let works = matches!(lease.role, Role::Computing | Role::Audit(_));
            if works && self.leases.has_deadline(*id) {
                let deadline = self.deadline(lease);
                self.leases.set_deadline(*id, Some(deadline));
            }
        }
        Ok(Reply::Done)
    }

    /// When a lease renewed now is taken back.
    fn deadline(&self, lease: &Lease) -> crate::time::Time {
        let oldest = lease.granted.after_ms(limit::LEASE_AGE_MS_MAX);
        self.now.after_ms(self.policy.lease_ms).min(oldest)
    }

    /// Serves every idle worker that has found work.
    pub(crate) fn serve_idle(&mut self, effects: &mut impl Effects) {
        let idle: Vec<WorkerId> = self.roster.idle.iter().copied().collect();
        for worker in idle {
            self.fill(worker, effects);
        }
    }

    /// Gives the worker audits, then tiles, up to its room.
    pub(crate) fn fill(&mut self, id: WorkerId, effects: &mut impl Effects) {
        if !self.roster.idle.is_empty() {
            self.roster.idle.remove(&id);
        }
        if !self.roster[id].works() {
            return;
        }
        while self.roster[id].has_room_for_audit() {
            let Some(claim) = self.roster[id].audits.pop_front() else { break };
            self.grant_audit(id, claim, effects);
        }
        while self.has_room(id) {
            let Some(job) = self.pick(id) else {
                self.roster.idle.insert(id);
                break;
            };
            self.grant_tile(id, job, effects);
        }
    }

    fn pick(&self, id: WorkerId) -> Option<JobId> {
        let worker = &self.roster[id];
        self.queue.pick(&worker.lanes, |job| {
            let found = &self.jobs[job.0 as usize];
            let has = found.fresh().is_some() || self.again_for(job, worker.owner).is_some();
            let fits = has && self.may_compute(id, job);
            fits.then(|| worker.warm.contains(&found.spec.scene))
        })
    }

    /// A tile that came back and may go to this owner: one it did not fail on, or one that nobody
    /// else could take.
    fn again_for(&self, id: JobId, owner: AccountId) -> Option<u64> {
        let job = &self.jobs[id.0 as usize];
        let mut looks = job.again.iter().take(AGAIN_LOOKS);
        let fits =
            |again: &Again| !again.avoid.contains(&owner) || !self.others_could(id, &again.avoid);
        looks.find(|(_, again)| fits(again)).map(|(tile, _)| *tile)
    }

    fn others_could(&self, job: JobId, avoid: &[AccountId]) -> bool {
        let engine = &self.jobs[job.0 as usize].spec.engine;
        self.roster.working.iter().map(|id| (*id, &self.roster[*id])).any(|(id, worker)| {
            let able = worker.engines.contains(engine) && !worker.arbiter;
            able && !avoid.contains(&worker.owner) && self.may_compute(id, job)
        })
    }

    fn grant_tile(&mut self, worker: WorkerId, id: JobId, effects: &mut impl Effects) {
        let again = self.again_for(id, self.roster[worker].owner);
        let job = &mut self.jobs[id.0 as usize];
        let Some(tile) = again.or_else(|| job.fresh()) else { return };
        match again {
            Some(tile) => drop(job.again.remove(&tile)),
            None => {
                job.next += 1;
                if let Some(ready) = &mut job.ready {
                    ready.remove(tile);
                }
            }
        }
        job.computing += 1;
        let (account, scene) = (job.account, job.spec.scene);
        self.queue.charge(account);
        self.roster[worker].warmed(&scene);
        let inputs = self.inputs(id, tile);
        self.grant(worker, id, tile, Role::Computing, (Indices::new(), inputs), effects);
        self.refresh(id, effects);
    }

    /// Leases a tile or an audit to the worker.
    pub(crate) fn grant(
        &mut self,
        worker: WorkerId,
        job: JobId,
        tile: u64,
        role: Role,
        (leaves, inputs): (Indices, Vec<Digest>),
        effects: &mut impl Effects,
    ) {
        let audit = if let Role::Audit(of) = role { Some(of) } else { None };
        let deadline = self.now.after_ms(self.policy.lease_ms);
        let lease = Lease { worker, job, tile, granted: self.now, role };
        let lease = self.leases.grant(lease, Some(deadline));
        self.roster[worker].computing += 1;
        self.log(Fact::Leased { lease, worker, job, tile, audit }, effects);
        if audit.is_none() {
            self.log_inputs(lease, (job, tile), &inputs, effects);
        }
        if let Some(seal) = self.jobs[job.0 as usize].seal {
            self.log(Fact::KeyWrapped { lease, worker, seal }, effects);
        }
        effects.push(Effect::Grant { worker, lease, job, tile, leaves, inputs });
    }

    /// Ends a tile's computing lease and puts the tile back.
    pub(crate) fn take_back(&mut self, id: LeaseId, effects: &mut impl Effects) {
        let Some(lease) = self.leases.end(id) else { return };
        self.roster[lease.worker].computing -= 1;
        self.jobs[lease.job.0 as usize].computing -= 1;
        effects.push(Effect::Revoke { worker: lease.worker, lease: id });
        self.put_back(lease.job, lease.tile, Again::default(), effects);
    }

    /// Puts a tile back to be leased again, if its job still wants it.
    pub(crate) fn put_back(
        &mut self,
        id: JobId,
        tile: u64,
        again: Again,
        effects: &mut impl Effects,
    ) {
        if self.jobs[id.0 as usize].is_open() {
            self.put_among_waiting(id, tile, again, effects);
        } else {
            self.settle_vouches((id, tile), None, effects);
        }
        self.refund(id, effects);
        self.refresh(id, effects);
    }

    /// A lease whose deadline has passed.
    pub(crate) fn expire(&mut self, id: LeaseId, effects: &mut impl Effects) {
        let Some(lease) = self.leases.get(id) else { return };
        let (worker, job, tile) = (lease.worker, lease.job, lease.tile);
        let engine = &self.jobs[job.0 as usize].spec.engine;
        self.roster[worker].standing.of(engine).late += 1;
        match &lease.role {
            Role::Computing => {
                self.leases.end(id);
                self.roster[worker].computing -= 1;
                self.jobs[job.0 as usize].computing -= 1;
                effects.push(Effect::Revoke { worker, lease: id });
                self.fail_tile(worker, job, tile, "no worker finished it in time", effects);
            }
            Role::Claimed(_) => self.withhold(id, effects),
            Role::Audit(_) => self.miss_audit(id, effects),
            Role::Reviewed(_) => {}
        }
        self.fill(worker, effects);
    }
}
