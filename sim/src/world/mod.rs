//! The world: one seed, one scheduler, its workers, and everything that goes wrong between them.
//! After a while all faults heal, and then every job must end.

use crate::Chance;
use crate::actor::{Actor, Conduct, Finished, Gossip, output_of, truth};
use crate::network::{Network, Way};
use crate::shell::{Asker, Release, Shell};
use crate::swarm::{ACCOUNTS, Swarm};
use anyhow::{Context, ensure};
use farm::agent::Work;
use farm::command::{Command, Connect, Submit};
use farm::digest::Digest;
use farm::id::{AccountId, JobId, LeaseId, WorkerId};
use farm::job::Spec;
use farm::leaf::{self, Opening};
use farm::money::{Amount, CREDIT, Price};
use farm::time::Time;
use farm::view::JobState;
use farm::{Effect, Policy, Reject};
use std::collections::BTreeMap;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub events: u64,
    pub entries: u64,
    pub tiles: u64,
    pub refuted: u64,
    /// Times that the scheduler died and started again.
    pub deaths: u64,
}

/// Something that will happen.
#[derive(Clone, Debug)]
enum Event {
    Tick,
    Sync,
    /// The scheduler's process dies.
    Death,
    /// Its clock jumps.
    Jump(i64),
    Dial(usize),
    /// A worker that got no welcome on this stream gives it up.
    Doubt(usize, u32),
    Cut(usize),
    /// The process dies: what it computes is lost, what it finished is on its disk.
    Crash(usize),
    /// Some workers cannot reach the farm, or can again.
    Part(u64),
    Mend,
    Finish(usize, LeaseId, Work),
    Renew(usize, u32),
    ToFarm(usize, u32, Command),
    ToActor(usize, u32, Message),
    Stored(Command),
    Cancel(JobId),
}

/// What the farm says to a worker.
#[derive(Clone, Debug)]
pub enum Message {
    Welcome(WorkerId, Vec<LeaseId>),
    Refused(Reject),
    Grant(LeaseId, Work),
    Challenge(LeaseId, Vec<u32>),
    Over(LeaseId),
    Answer(LeaseId, bool, &'static str),
}

struct World {
    chance: Chance,
    swarm: Swarm,
    now: u64,
    count: u64,
    events: BTreeMap<(u64, u64), Event>,
    shell: Shell,
    syncing: bool,
    network: Network,
    gossip: Gossip,
    actors: Vec<Actor>,
    /// By worker id: the actor, and the stream that the scheduler writes to.
    streams: BTreeMap<WorkerId, (usize, u32)>,
    specs: Vec<Spec>,
    outputs: BTreeMap<(JobId, u64), Digest>,
    deaths: u64,
    /// Faults still happen.
    trouble: bool,
}

const ENGINE: Digest = Digest([7; 32]);
const SECOND: u64 = 1_000_000;
/// Faults happen for this long; then everything heals.
const TROUBLE: u64 = 60 * SECOND;
/// By then every job must have ended.
const END: u64 = 2_400 * SECOND;
pub const POLICY: Policy = Policy { maturity_tiles: 8, maturity_ms: 60_000, lease_ms: 5_000 };

/// Runs the world of this seed to its end and judges it; `agents` asks for a crowd.
pub fn run(seed: u64, agents: Option<u32>) -> anyhow::Result<Summary> {
    let mut world = World::new(seed, agents)?;
    while let Some(((at, _), event)) = world.events.pop_first() {
        world.now = world.now.max(at);
        if world.now > TROUBLE && world.trouble {
            world.heal()?;
        }
        if world.now > END || !world.trouble && world.is_over() {
            break;
        }
        world.happen(event)?;
    }
    world.judge()
}

impl World {
    fn new(seed: u64, agents: Option<u32>) -> anyhow::Result<Self> {
        let mut chance = Chance::new(seed);
        let swarm = Swarm::draw(&mut chance, agents);
        let mut world = Self {
            chance,
            swarm,
            now: SECOND,
            count: 0,
            events: BTreeMap::new(),
            shell: Shell::new(),
            syncing: false,
            network: Network::default(),
            gossip: Gossip::default(),
            actors: Vec::new(),
            streams: BTreeMap::new(),
            specs: Vec::new(),
            outputs: BTreeMap::new(),
            deaths: 0,
            trouble: true,
        };
        world.found(agents.unwrap_or(8))?;
        world.populate();
        world.plan();
        Ok(world)
    }

    fn found(&mut self, agents: u32) -> anyhow::Result<()> {
        self.must(Command::Secret { next: [1; 32] })?;
        for n in 0..ACCOUNTS {
            let key = Digest::of(&n.to_le_bytes());
            self.must(Command::OpenAccount { key, operator: n == 0, name: format!("a{n}") })?;
        }
        for account in [Some(AccountId(0)), Some(AccountId(1)), None] {
            let amount = Amount(100_000 * CREDIT);
            self.must(Command::TopUp { account, amount, request: 1 })?;
        }
        for n in 0..self.swarm.jobs {
            self.submit(100 + u128::from(n), agents)?;
        }
        Ok(())
    }

    fn submit(&mut self, request: u128, agents: u32) -> anyhow::Result<()> {
        let chance = &mut self.chance;
        let frames = 1 + chance.below(u64::from(3.max(agents / 8))) as u32;
        let spec = Spec {
            engine: ENGINE,
            scene: Digest::of(&[chance.below(3) as u8]),
            frame_first: 1,
            frame_last: frames,
            frame_step: 1,
            fps: 24,
            width: 8 * (1 + chance.below(8) as u32),
            height: 8 * (1 + chance.below(8) as u32),
            tile_size: 8 * (1 + chance.below(2) as u32),
            samples: 4 * (1 + chance.below(8) as u32),
            depth: 4,
            ..Spec::default()
        };
        let price = Price(1_000 + chance.below(100_000));
        let most = spec.tile_cost_max(price).0;
        let cap = Amount(most * (1 + chance.below(u64::from(200.max(agents)))));
        let account = AccountId(chance.below(2) as u32);
        let priority = chance.below(3) as u8;
        let job = JobId(self.specs.len() as u32);
        self.specs.push(spec.clone());
        let (private, audit_own) = (false, self.chance.percent(20));
        let submit = Submit { account, request, spec, cap, price, priority, private, audit_own };
        self.must(Command::Submit(Box::new(submit)))?;
        if self.chance.percent(10) {
            let at = self.now + self.chance.below(20 * SECOND);
            self.later(at, Event::Cancel(job));
        }
        Ok(())
    }

    fn populate(&mut self) {
        for (at, (owner, conduct)) in self.swarm.workers.clone().into_iter().enumerate() {
            let clock = 1_000 + self.chance.below(self.swarm.drift + 1);
            self.actors.push(Actor::new(at, owner, conduct, clock));
            let soon = self.now + self.chance.below(SECOND);
            self.later(soon, Event::Dial(at));
            for (most, event) in
                [(self.swarm.cuts, Event::Cut(at)), (self.swarm.crashes, Event::Crash(at))]
            {
                for _ in 0..self.chance.below(most + 1) {
                    let when = self.now + self.chance.below(TROUBLE);
                    self.later(when, event.clone());
                }
            }
        }
    }

    /// The faults that strike the scheduler and the network as a whole.
    fn plan(&mut self) {
        self.later(self.now, Event::Tick);
        for _ in 0..self.swarm.deaths {
            self.sometime(Event::Death);
        }
        for _ in 0..self.swarm.partitions {
            let share = self.chance.below(100);
            self.sometime(Event::Part(share));
        }
        for _ in 0..self.swarm.jumps {
            let by = self.chance.below(120 * SECOND) as i64 - 60 * SECOND as i64;
            self.sometime(Event::Jump(by));
        }
    }

    fn sometime(&mut self, event: Event) {
        let at = self.now + self.chance.below(TROUBLE);
        self.later(at, event);
    }

    fn later(&mut self, at: u64, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    /// Puts a message on its way.
    fn send(&mut self, worker: usize, way: Way, event: Event) {
        if self.actors[worker].cut_off {
            return;
        }
        let Self { network, chance, swarm, trouble, now, .. } = self;
        for at in network.send(chance, swarm, *trouble, *now, (worker, way)) {
            self.later(at, event.clone());
        }
    }

    /// No more faults: the network is whole, clocks run, every stream is opened afresh.
    fn heal(&mut self) -> anyhow::Result<()> {
        self.trouble = false;
        self.mend();
        for at in 0..self.actors.len() {
            self.hang_up(at)?;
            self.later(self.now, Event::Dial(at));
        }
        Ok(())
    }

    fn mend(&mut self) {
        self.actors.iter_mut().for_each(|actor| actor.cut_off = false);
    }

    fn is_over(&self) -> bool {
        let ended = |job: &farm::view::JobView| {
            job.state != JobState::Open && job.tiles_claimed == 0 && job.tiles_leased == 0
        };
        self.shell.farm.jobs(None, None, usize::MAX).iter().all(ended)
    }

    fn happen(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Tick => self.tick()?,
            Event::Sync => {
                self.syncing = false;
                for release in self.shell.sync(&mut self.chance) {
                    self.release(release);
                }
            }
            Event::Death if self.trouble => self.die()?,
            Event::Jump(by) if self.trouble => self.shell.skew += by,
            Event::Cut(at) if self.trouble => self.cut(at)?,
            Event::Crash(at) if self.trouble => {
                self.cut(at)?;
                self.actors[at].agent = Default::default();
            }
            Event::Part(share) if self.trouble => {
                for actor in &mut self.actors {
                    actor.cut_off = self.chance.percent(share);
                }
                let whole = self.now + self.chance.below(15 * SECOND);
                self.later(whole, Event::Mend);
            }
            Event::Death | Event::Jump(_) | Event::Cut(_) | Event::Crash(_) | Event::Part(_) => {}
            Event::Mend => {
                for at in 0..self.actors.len() {
                    if std::mem::take(&mut self.actors[at].cut_off) {
                        self.cut(at)?;
                    }
                }
            }
            Event::Dial(at) => self.dial(at),
            Event::Doubt(at, stream) => {
                if !self.actors[at].online && self.actors[at].stream == stream {
                    self.dial(at);
                }
            }
            Event::Finish(at, lease, work) => self.finish(at, lease, &work),
            Event::Renew(at, stream) => self.renew(at, stream),
            Event::ToFarm(at, stream, command) => self.arrive(at, stream, command)?,
            Event::ToActor(at, stream, message) => {
                if self.actors[at].stream == stream && !self.actors[at].cut_off {
                    self.receive(at, message);
                }
            }
            Event::Stored(command) => drop(self.command(command, Asker::Nobody)?),
            Event::Cancel(job) => self.must(Command::Cancel { job })?,
        }
        Ok(())
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        self.must(Command::Tick)?;
        if self.chance.percent(2) {
            let next = Digest::of(&self.chance.bits().to_le_bytes()).0;
            self.must(Command::Secret { next })?;
        }
        self.later(self.now + SECOND / 4, Event::Tick);
        Ok(())
    }

    /// Applies a command; a sync will follow.
    fn command(&mut self, command: Command, asker: Asker) -> anyhow::Result<bool> {
        let result = self.shell.apply(self.now, command, asker)?;
        if !self.syncing {
            self.syncing = true;
            let done = self.now + 100 + self.chance.below(20_000);
            self.later(done, Event::Sync);
        }
        Ok(result.is_ok())
    }

    fn must(&mut self, command: Command) -> anyhow::Result<()> {
        let name = format!("{command:?}");
        ensure!(self.command(command, Asker::Nobody)?, "refused: {name}");
        Ok(())
    }

    /// Something durable leaves the scheduler.
    fn release(&mut self, release: Release) {
        match release {
            Release::Answer(at, stream, message) => self.tell(at, stream, message),
            Release::Welcome(at, stream, worker, live) => {
                self.streams.insert(worker, (at, stream));
                self.tell(at, stream, Message::Welcome(worker, live));
            }
            Release::Refused(at, stream, reject) => {
                self.tell(at, stream, Message::Refused(reject));
            }
            Release::Effect(effect) => self.perform(effect),
        }
    }

    fn tell(&mut self, at: usize, stream: u32, message: Message) {
        self.send(at, Way::Down, Event::ToActor(at, stream, message));
    }

    fn tell_worker(&mut self, worker: WorkerId, message: Message) {
        if let Some((at, stream)) = self.streams.get(&worker).copied() {
            self.tell(at, stream, message);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Grant { worker, lease, job, tile, leaves } => {
                let work = Work { job, tile, leaves: leaves.to_vec() };
                self.tell_worker(worker, Message::Grant(lease, work));
            }
            Effect::Challenge { worker, lease, leaves } => {
                self.tell_worker(worker, Message::Challenge(lease, leaves.to_vec()));
            }
            Effect::Settle { worker, lease } | Effect::Revoke { worker, lease } => {
                self.tell_worker(worker, Message::Over(lease));
            }
            Effect::Deliver { job, tile, output } => {
                self.outputs.insert((job, tile), output);
            }
            Effect::Store { job, frame, made_of } => {
                let (exr, png) = (made_of, made_of);
                let stored = Command::Stored { job, frame, exr, png, made_of };
                let at = self.now + self.chance.below(SECOND);
                self.later(at, Event::Stored(stored));
            }
            Effect::JobChanged { .. } | Effect::Log(_) => {}
        }
    }

    /// The scheduler dies and starts again; no stream outlives it.
    fn die(&mut self) -> anyhow::Result<()> {
        self.deaths += 1;
        let owed = self.shell.die(&mut self.chance)?;
        self.streams.clear();
        for at in 0..self.actors.len() {
            if self.actors[at].stream > 0 {
                self.actors[at].online = false;
                let back = self.now + self.chance.below(5 * SECOND);
                self.later(back, Event::Dial(at));
            }
        }
        for worker in self.shell.farm.workers(None, None, usize::MAX) {
            if worker.online {
                self.must(Command::Disconnect { worker: worker.worker })?;
            }
        }
        let next = Digest::of(&self.chance.bits().to_le_bytes()).0;
        self.must(Command::Secret { next })?;
        owed.into_iter().for_each(|release| self.release(release));
        Ok(())
    }

    /// A worker opens a stream and says hello.
    fn dial(&mut self, at: usize) {
        let actor = &mut self.actors[at];
        if actor.online || actor.out {
            return;
        }
        for lease in actor.results.keys() {
            if !actor.agent.has(*lease) {
                // Its file says what it is; here nobody asks again.
                let work = Work { job: JobId(0), tile: 0, leaves: Vec::new() };
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
        };
        let stream = actor.stream;
        self.say(at, Command::Connect(Box::new(connect)));
        let patience = self.now + 3 * SECOND + self.chance.below(SECOND);
        self.later(patience, Event::Doubt(at, stream));
    }

    /// Both ends learn that a stream is gone.
    fn hang_up(&mut self, at: usize) -> anyhow::Result<()> {
        let actor = &mut self.actors[at];
        actor.online = false;
        actor.stream += 1;
        if let Some(worker) = actor.id.filter(|id| self.streams.remove(id).is_some()) {
            self.command(Command::Disconnect { worker }, Asker::Nobody)?;
        }
        Ok(())
    }

    fn cut(&mut self, at: usize) -> anyhow::Result<()> {
        if self.actors[at].online {
            self.hang_up(at)?;
            let back = self.now + self.chance.below(10 * SECOND);
            self.later(back, Event::Dial(at));
        }
        Ok(())
    }

    fn say(&mut self, at: usize, command: Command) {
        let stream = self.actors[at].stream;
        self.send(at, Way::Up, Event::ToFarm(at, stream, command));
    }

    fn receive(&mut self, at: usize, message: Message) {
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
        let open = |leaf: &u32| leaf::open(&result.leaves, *leaf);
        let openings = leaves.iter().map(open).collect::<Option<Vec<Opening>>>();
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

    fn finish(&mut self, at: usize, lease: LeaseId, work: &Work) {
        let actor = &mut self.actors[at];
        let has = actor.agent.has(lease) || actor.conduct == Conduct::Late;
        if !has || actor.results.contains_key(&lease) {
            return;
        }
        let (chance, gossip) = (&mut self.chance, &mut self.gossip);
        let place = (work.job, work.tile);
        let result = actor.compute(chance, gossip, &self.specs, place, &work.leaves);
        let late = !actor.agent.finish(lease, false);
        let (id, outcome) = (actor.id, result.outcome.clone());
        if !late {
            actor.results.insert(lease, result);
            return self.hand_in(at);
        }
        // A process that died meanwhile has nothing to hand in; one that is late tries.
        if let Some(worker) = id.filter(|_| self.actors[at].conduct == Conduct::Late) {
            self.note_lie(at, &result);
            self.say(at, Command::Report { worker, lease, outcome });
        }
    }

    fn note_lie(&mut self, at: usize, result: &Finished) {
        if let Some(worker) = self.actors[at].id.filter(|_| result.false_) {
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
            self.note_lie(at, &result);
            self.speak(at, Command::Report { worker, lease, outcome: result.outcome });
        }
    }

    fn renew(&mut self, at: usize, stream: u32) {
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

    /// A command reaches the scheduler. The farm must stand what a stream would not let through:
    /// repeated, old and overtaken messages.
    fn arrive(&mut self, at: usize, stream: u32, command: Command) -> anyhow::Result<()> {
        if self.actors[at].cut_off {
            return Ok(());
        }
        let asker = match &command {
            // A hello is signed for one stream and comes once.
            Command::Connect(_) if self.actors[at].stream != stream => return Ok(()),
            Command::Connect(_) if self.actors[at].online => return Ok(()),
            Command::Connect(_) => Asker::Hello(at, stream),
            Command::Report { lease, .. } | Command::Open { lease, .. } => {
                Asker::Lease(at, stream, *lease)
            }
            _ => Asker::Nobody,
        };
        self.command(command, asker)?;
        Ok(())
    }

    /// Every job ended, the books close, what was delivered is true, replay gives the same farm.
    fn judge(mut self) -> anyhow::Result<Summary> {
        for release in self.shell.sync(&mut self.chance) {
            self.release(release);
        }
        let jobs = self.shell.farm.jobs(None, None, usize::MAX);
        for job in &jobs {
            let ended = job.state != JobState::Open && job.tiles_claimed == 0;
            ensure!(ended, "{} has not ended: {job:?}", job.job);
            let gave_up = job.state == JobState::Failed;
            let excused = self.swarm.is_hard() || self.is_anybody_slow();
            ensure!(!gave_up || excused, "{} failed: {}", job.job, job.failure);
            self.judge_outputs(job.job, job.state)?;
        }
        self.shell.close().context("at the end")?;
        let workers = self.shell.farm.workers(None, None, usize::MAX);
        Ok(Summary {
            events: self.count,
            entries: self.shell.entries(),
            tiles: jobs.iter().map(|job| job.tiles_accepted).sum(),
            refuted: workers.iter().filter(|worker| worker.refuted).count() as u64,
            deaths: self.deaths,
        })
    }

    fn is_anybody_slow(&self) -> bool {
        self.actors.iter().any(|actor| matches!(actor.conduct, Conduct::Late))
    }

    /// Where nobody forged a little, every tile of a finished job is the true one.
    fn judge_outputs(&self, job: JobId, state: JobState) -> anyhow::Result<()> {
        if state != JobState::Done || self.actors.iter().any(|actor| actor.conduct.is_subtle()) {
            return Ok(());
        }
        let spec = &self.specs[job.0 as usize];
        for tile in 0..spec.tiles() {
            let output = self.outputs.get(&(job, tile));
            let right = output_of(&truth(spec, job, tile));
            ensure!(output == Some(&right), "{job} tile {tile} is not the true one");
        }
        Ok(())
    }
}
