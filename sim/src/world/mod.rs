//! The world: one seed, one scheduler, its workers, and everything that goes wrong between them.
//! After a while all faults heal, and then every job must end.

mod client;
mod ending;
mod orders;

pub use ending::Seen;

use crate::Chance;
use crate::actor::{Actor, Conduct, Gossip};
use crate::network::{Network, Way};
use crate::shell::{Asker, Release, Shell};
use crate::swarm::{ACCOUNTS, Swarm};
use crate::validators::Validator;
use anyhow::{Context, ensure};
use farm::agent::Work;
use farm::appeal::Matter;
use farm::command::Command;
use farm::digest::Digest;
use farm::entry::Book;
use farm::id::{AccountId, JobId, LeaseId, ModelId, WorkerId};
use farm::job::Spec;
use farm::money::{Amount, CREDIT};
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
    pub appeals: u64,
    pub reinstated: u64,
    /// Stakes that came back, and that liars lost.
    pub unstaked: u64,
    pub stakes_lost: u64,
    /// Accepted tiles that were made again since what they were made of was false.
    pub outdated: u64,
    /// Reports with little to lose that were looked at again, and were paid or not.
    pub looked: u64,
    pub released: u64,
    pub lapsed: u64,
    /// Royalties that were owed, and those that went back.
    pub royalties: u64,
    pub royalties_returned: u64,
    /// Times that a validator was paid.
    pub scored: u64,
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
    /// A model's owner withdraws it.
    Withdraw(AccountId, ModelId),
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
    validators: Vec<Validator>,
    /// By worker id: the actor, and the stream that the scheduler writes to.
    streams: BTreeMap<WorkerId, (usize, u32)>,
    /// What was ordered, job by job.
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
pub const POLICY: Policy =
    Policy { maturity_tiles: 8, maturity_ms: 60_000, lease_ms: 5_000, round_ms: 3_000 };

/// Runs the world of this seed to its end and judges it; `agents` asks for a crowd.
pub fn run(seed: u64, agents: Option<u32>) -> anyhow::Result<Summary> {
    Ok(end(seed, agents)?.1)
}

/// Runs the world of this seed to its end, judges it, and says what became of each worker.
pub fn census(seed: u64) -> anyhow::Result<Vec<Seen>> {
    Ok(end(seed, None)?.0.census())
}

fn end(seed: u64, agents: Option<u32>) -> anyhow::Result<(World, Summary)> {
    let mut world = World::new(seed, agents)?;
    let ran = world.run();
    let who = |actor: &Actor| format!("{:?} of {}", actor.conduct, actor.owner);
    let judged = ran.and_then(|()| world.judge()).with_context(|| {
        let named = world.actors.iter().filter(|actor| actor.conduct != Conduct::Honest);
        let named = named.filter_map(|actor| Some(format!("{} is {}", actor.id?, who(actor))));
        format!("after {} s: {}", world.now / SECOND, named.collect::<Vec<_>>().join(", "))
    })?;
    Ok((world, judged))
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
            validators: Vec::new(),
            streams: BTreeMap::new(),
            specs: Vec::new(),
            outputs: BTreeMap::new(),
            deaths: 0,
            trouble: true,
        };
        world.shell.conspired = world.swarm.conspires();
        world.found(agents.unwrap_or(8))?;
        world.populate();
        world.plan();
        Ok(world)
    }

    fn run(&mut self) -> anyhow::Result<()> {
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = self.now.max(at);
            if self.now > TROUBLE && self.trouble {
                self.heal()?;
            }
            if self.now > END || !self.trouble && self.is_over() {
                break;
            }
            self.happen(event)?;
        }
        Ok(())
    }

    fn found(&mut self, agents: u32) -> anyhow::Result<()> {
        self.must(Command::Secret { next: [1; 32] })?;
        for n in 0..ACCOUNTS {
            let key = Digest::of(&n.to_le_bytes());
            self.must(Command::OpenAccount { key, operator: n == 0, name: format!("a{n}") })?;
        }
        for account in (0..ACCOUNTS).map(|account| Some(AccountId(account))).chain([None]) {
            let amount = Amount(100_000 * CREDIT);
            self.must(Command::TopUp { account, amount, request: 1 })?;
        }
        self.publish()?;
        for n in 0..self.swarm.jobs {
            self.submit(100 + u128::from(n), agents)?;
        }
        // Who ordered has had an answer: no death takes that back.
        let released = self.shell.sync(&mut self.chance);
        released.into_iter().for_each(|release| self.release(release));
        Ok(())
    }

    fn populate(&mut self) {
        if self.chance.percent(50) {
            let accounts = (0..ACCOUNTS).map(AccountId);
            self.validators = accounts.map(|own| Validator::draw(own, &mut self.chance)).collect();
        }
        for (at, (owner, conduct)) in self.swarm.workers.clone().into_iter().enumerate() {
            let clock = 1_000 + self.chance.below(self.swarm.drift + 1);
            self.actors.push(Actor::new(at, owner, conduct, clock));
            // Where owners conspire, the farm's arbiters come only in the end.
            let late = owner == 0 && self.swarm.conspires();
            let soon = self.now + self.chance.below(SECOND);
            self.later(if late { TROUBLE } else { soon }, Event::Dial(at));
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
        let down = |account| self.shell.farm.book(Book::Deposit(AccountId(account))).0;
        let appealed = (0..ACCOUNTS).all(|account| down(account) == 0) && self.wronged().is_empty();
        appealed && self.shell.farm.jobs(None, None, usize::MAX).iter().all(ended)
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
            Event::Withdraw(account, model) => self.withdraw(account, model)?,
        }
        Ok(())
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        self.must(Command::Tick)?;
        if self.chance.percent(2) {
            let next = Digest::of(&self.chance.bits().to_le_bytes()).0;
            self.must(Command::Secret { next })?;
        }
        self.appeal()?;
        self.stake()?;
        self.score()?;
        self.let_in_again();
        self.later(self.now + SECOND / 4, Event::Tick);
        Ok(())
    }

    /// Who was turned away and is refuted no longer is started again by its owner.
    fn let_in_again(&mut self) {
        for at in 0..self.actors.len() {
            let Some(id) = self.actors[at].id.filter(|_| self.actors[at].out) else { continue };
            if self.shell.farm.worker(id).is_some_and(|worker| !worker.refuted) {
                self.actors[at].out = false;
                self.later(self.now, Event::Dial(at));
            }
        }
    }

    /// Refuted workers that never lied.
    fn wronged(&self) -> Vec<WorkerId> {
        let workers = self.shell.farm.workers(None, None, usize::MAX).into_iter();
        let refuted = workers.filter(|worker| worker.refuted).map(|worker| worker.worker);
        refuted.filter(|worker| !self.shell.liars.contains(worker)).collect()
    }

    /// Owners of the wronged appeal, liars try now and then, and so do artists who doubt a tile.
    fn appeal(&mut self) -> anyhow::Result<()> {
        for worker in self.shell.farm.workers(None, None, usize::MAX) {
            let patience = if self.shell.liars.contains(&worker.worker) { 2 } else { 20 };
            if worker.refuted && self.chance.percent(patience) {
                let matter = Matter::Refutation(worker.worker);
                self.command(Command::Appeal { account: worker.owner, matter }, Asker::Nobody)?;
            }
        }
        if self.trouble && self.chance.percent(10) {
            let at = self.chance.below(self.specs.len() as u64);
            let tile = self.chance.below(self.specs[at as usize].tiles());
            let job = JobId(at as u32);
            let account = self.shell.farm.job(job).map(|job| job.account).unwrap_or_default();
            let matter = Matter::Tile(job, tile);
            self.command(Command::Appeal { account, matter }, Asker::Nobody)?;
        }
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
            Effect::Grant { worker, lease, job, tile, leaves, inputs } => {
                let work = Work { job, tile, leaves: leaves.to_vec(), inputs };
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
}
