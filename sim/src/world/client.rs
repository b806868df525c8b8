//! What the workers of the world do: they dial, compute, report, answer and renew, each after its
//! own manner. Knows no farm.

use super::{ENGINE, Event, Message, POLICY, SECOND, World};
use crate::actor::{Conduct, Finished};
use crate::network::Way;
use crate::shell::Asker;
use farm::Reject;
use farm::agent::Work;
use farm::command::{Command, Connect};
use farm::id::{JobId, LeaseId};
use farm::leaf;
use farm::money::{Amount, CREDIT};
use farm::time::Time;

impl World {
    /// A worker opens a stream and says hello.
    pub(super) fn dial(&mut self, at: usize) {
        let actor = &mut self.actors[at];
        if actor.online || actor.out {
            return;
        }
        for lease in actor.results.keys() {
            if !actor.agent.has(*lease) {
                // Its file says what it is; here nobody asks again.
                let work = Work { job: JobId(0), tile: 0, leaves: Vec::new(), inputs: Vec::new() };
                actor.agent.restore(*lease, work);
            }
        }
        actor.stream += 1;
        let boasts = actor.conduct == Conduct::Overstater;
        let connect = Connect {
            key: actor.key,
            owner: actor.owner,
            engines: vec![ENGINE],
            device: "simulated".into(),
            slots: if boasts { 64 } else { 1 + at as u32 % 2 },
            units_per_second: if boasts { 1_000_000 } else { 1_000 },
            leases: actor.agent.hello(),
            groups: Vec::new(),
        };
        let stream = actor.stream;
        self.say(at, Command::Connect(Box::new(connect)));
        let patience = self.now + 3 * SECOND + self.chance.below(SECOND);
        self.later(patience, Event::Doubt(at, stream));
    }

    /// Owners of every kind stake now and then, and want it back when it may not be.
    pub(super) fn stake(&mut self) -> anyhow::Result<()> {
        let workers = self.shell.farm.workers(None, None, usize::MAX);
        if workers.is_empty() || !self.chance.percent(10) {
            return Ok(());
        }
        let drawn = &workers[self.chance.below(workers.len() as u64) as usize];
        let (account, worker) = (drawn.owner, drawn.worker);
        let command = match self.chance.percent(50) {
            true => Command::Unstake { account, worker },
            false => {
                let amount = Amount((1 + self.chance.below(3)) * CREDIT);
                let request = u128::from(self.chance.bits());
                Command::Stake { account, worker, amount, request }
            }
        };
        self.command(command, Asker::Nobody)?;
        Ok(())
    }

    /// Validators look at the log, commit and reveal.
    pub(super) fn score(&mut self) -> anyhow::Result<()> {
        let round = self.shell.farm.round().round;
        let workers = self.actors.len() as u32;
        for at in 0..self.validators.len() {
            self.validators[at].follow(self.shell.published());
            if let Some(command) = self.validators[at].acts(round, workers, &mut self.chance) {
                self.command(command, Asker::Nobody)?;
            }
        }
        Ok(())
    }

    fn say(&mut self, at: usize, command: Command) {
        let stream = self.actors[at].stream;
        self.send(at, Way::Up, Event::ToFarm(at, stream, command));
    }

    pub(super) fn receive(&mut self, at: usize, message: Message) {
        let now = self.local(at);
        let actor = &mut self.actors[at];
        match message {
            Message::Welcome(worker, live) => {
                actor.id = Some(worker);
                actor.online = true;
                for lease in actor.agent.welcome(&live, POLICY.lease_ms, now) {
                    actor.results.remove(&lease);
                }
                let stream = actor.stream;
                self.hand_in(at);
                self.later(self.now + SECOND, Event::Renew(at, stream));
            }
            Message::Refused(Reject::WorkerRefuted) => actor.out = true,
            // Another try will come.
            Message::Refused(_) => {}
            Message::Grant(lease, work) => {
                actor.agent.grant(lease, work);
                self.work(at);
            }
            Message::Challenge(lease, leaves) => self.open(at, lease, &leaves),
            Message::Over(lease) => {
                actor.agent.revoke(lease);
                actor.results.remove(&lease);
                self.work(at);
            }
            Message::Answer(lease, settled, refused) => {
                if actor.agent.acknowledged(lease, settled, refused) {
                    actor.results.remove(&lease);
                }
            }
        }
    }

    /// What the worker's own clock shows.
    fn local(&self, at: usize) -> Time {
        Time(self.now * self.actors[at].clock / 1_000)
    }

    fn open(&mut self, at: usize, lease: LeaseId, leaves: &[u32]) {
        let actor = &self.actors[at];
        let (Some(worker), Some(result)) = (actor.id, actor.results.get(&lease)) else { return };
        let openings = leaf::open(&result.leaves, leaves);
        let Some(openings) = openings.filter(|_| actor.conduct != Conduct::Withholder) else {
            return;
        };
        self.speak(at, Command::Open { worker, lease, openings });
    }

    /// Says something after the worker's own manner.
    fn speak(&mut self, at: usize, command: Command) {
        match self.actors[at].conduct {
            Conduct::Repeater => self.say(at, command.clone()),
            Conduct::Replayer => {
                let (again, stream) = (self.now + 7 * SECOND, self.actors[at].stream);
                self.later(again, Event::ToFarm(at, stream, command.clone()));
            }
            Conduct::Thief => {
                if let Command::Report { worker, lease, outcome } = &command {
                    let (worker, slot) = (*worker, lease.slot.wrapping_add(1));
                    let lease = LeaseId { slot, ..*lease };
                    // If it is its own after all, this is a false report.
                    self.shell.liars.insert(worker);
                    self.actors[at].lies.insert(lease);
                    self.say(at, Command::Report { worker, lease, outcome: outcome.clone() });
                }
            }
            _ => {}
        }
        self.say(at, command);
    }

    /// Starts what waits, as many at once as there are slots for.
    fn work(&mut self, at: usize) {
        while let Some((lease, work)) = self.actors[at].agent.start() {
            let conduct = self.actors[at].conduct;
            if conduct == Conduct::Mute && !work.leaves.is_empty() {
                continue;
            }
            let slow = self.trouble && self.chance.percent(self.swarm.slow);
            let mut most = if slow { 20 * SECOND } else { SECOND };
            if conduct == Conduct::Late {
                most = 30 * SECOND;
            }
            let done = self.now + 10_000 + self.chance.below(most);
            self.later(done, Event::Finish(at, lease, work));
        }
    }

    pub(super) fn finish(&mut self, at: usize, lease: LeaseId, work: &Work) {
        let actor = &mut self.actors[at];
        let has = actor.agent.has(lease) || actor.conduct == Conduct::Late;
        if !has || actor.results.contains_key(&lease) {
            return;
        }
        let (chance, gossip) = (&mut self.chance, &mut self.gossip);
        let result = actor.compute(chance, gossip, &self.specs, work);
        let late = !actor.agent.finish(lease, false);
        let (id, outcome) = (actor.id, result.outcome.clone());
        if !late {
            actor.results.insert(lease, result);
            return self.hand_in(at);
        }
        // A process that died meanwhile has nothing to hand in; one that is late tries.
        if let Some(worker) = id.filter(|_| self.actors[at].conduct == Conduct::Late) {
            self.note_lie(at, lease, &result);
            self.say(at, Command::Report { worker, lease, outcome });
        }
    }

    fn note_lie(&mut self, at: usize, lease: LeaseId, result: &Finished) {
        let actor = &mut self.actors[at];
        if let Some(worker) = actor.id.filter(|_| result.false_) {
            actor.lies.insert(lease);
            self.shell.liars.insert(worker);
        }
    }

    fn hand_in(&mut self, at: usize) {
        if !self.actors[at].online {
            return;
        }
        for lease in self.actors[at].agent.uploads() {
            self.actors[at].agent.uploaded(lease);
        }
        for lease in self.actors[at].agent.reports() {
            let actor = &self.actors[at];
            let (Some(worker), Some(result)) = (actor.id, actor.results.get(&lease).cloned())
            else {
                continue;
            };
            self.note_lie(at, lease, &result);
            self.speak(at, Command::Report { worker, lease, outcome: result.outcome });
        }
    }

    pub(super) fn renew(&mut self, at: usize, stream: u32) {
        let now = self.local(at);
        let actor = &mut self.actors[at];
        let Some(worker) = actor.id.filter(|_| actor.online && actor.stream == stream) else {
            return;
        };
        let mut leases = actor.agent.renewals(now);
        if matches!(actor.conduct, Conduct::Late | Conduct::Mute) {
            leases.clear();
        }
        if !leases.is_empty() {
            self.say(at, Command::Renew { worker, leases });
        }
        self.later(self.now + SECOND / 2, Event::Renew(at, stream));
    }
}
