//! The world: one seed, one farm, its actors, and a network that delays, loses and cuts off. Every
//! log entry is followed by the public proof; the farm's own checks run after every command.

use crate::Chance;
use crate::actor::{Actor, Conduct, output_of, truth};
use anyhow::{Context, ensure};
use farm::command::{Command, Connect, Submit};
use farm::digest::Digest;
use farm::id::{AccountId, JobId, LeaseId, WorkerId};
use farm::job::Spec;
use farm::leaf::{self, Opening};
use farm::money::{Amount, CREDIT, Price};
use farm::proof::Books;
use farm::time::Time;
use farm::view::JobState;
use farm::{Effect, Farm, Policy, Reject, Reply};
use std::collections::BTreeMap;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub commands: u64,
    pub entries: u64,
    pub tiles: u64,
    pub refuted: u32,
}

/// Something that will happen.
#[derive(Debug)]
enum Event {
    Tick,
    Connect(usize),
    Cut(usize),
    /// The process dies: what it computes is lost, what it finished is on its disk.
    Crash(usize),
    Finish(usize, LeaseId),
    Renew(usize),
    ToFarm(usize, u32, Command),
    ToActor(usize, u32, Message),
    Stored(Command),
    Cancel(JobId),
}

#[derive(Debug)]
enum Message {
    Grant(LeaseId, JobId, u64, Vec<u32>),
    Challenge(LeaseId, Vec<u32>),
    Over(LeaseId),
    Answer(LeaseId, bool, &'static str),
}

struct World {
    chance: Chance,
    now: u64,
    count: u64,
    events: BTreeMap<(u64, u64), Event>,
    farm: Farm,
    journal: Vec<(Time, Command)>,
    books: Books,
    actors: Vec<Actor>,
    specs: Vec<Spec>,
    outputs: BTreeMap<(JobId, u64), Digest>,
    /// Faults still happen.
    faulty: bool,
}

const ENGINE: Digest = Digest([7; 32]);
const SECOND: u64 = 1_000_000;
/// Faults happen for this long; then everything heals.
const TROUBLE: u64 = 120 * SECOND;
/// By then every job must have ended.
const END: u64 = 1_200 * SECOND;
const POLICY: Policy = Policy { maturity_tiles: 8, maturity_ms: 60_000, lease_ms: 5_000 };

/// Runs the world of this seed to its end and judges it.
pub fn run(seed: u64) -> anyhow::Result<Summary> {
    let mut world = World::new(seed)?;
    while let Some(((at, _), event)) = world.events.pop_first() {
        world.now = world.now.max(at);
        if world.now > TROUBLE && world.faulty {
            world.heal();
        }
        if world.now > END || world.is_over() {
            break;
        }
        world.happen(event)?;
    }
    world.judge()
}

impl World {
    fn new(seed: u64) -> anyhow::Result<Self> {
        let mut world = Self {
            chance: Chance::new(seed),
            now: SECOND,
            count: 0,
            events: BTreeMap::new(),
            farm: Farm::new(POLICY),
            journal: Vec::new(),
            books: Books::new(),
            actors: Vec::new(),
            specs: Vec::new(),
            outputs: BTreeMap::new(),
            faulty: true,
        };
        world.found()?;
        world.populate();
        Ok(world)
    }

    fn found(&mut self) -> anyhow::Result<()> {
        self.command(Command::Secret { next: [1; 32] })?;
        let accounts = 8;
        for n in 0..accounts {
            let key = Digest::of(&[n]);
            self.command(Command::OpenAccount { key, operator: n == 0, name: format!("a{n}") })?;
        }
        for n in 0..2 {
            let (account, amount) = (Some(AccountId(n)), Amount(1_000 * CREDIT));
            self.command(Command::TopUp { account, amount, request: 1 })?;
        }
        let pot = Amount(100 * CREDIT);
        self.command(Command::TopUp { account: None, amount: pot, request: 1 })?;
        let jobs = 1 + self.chance.below(4);
        for n in 0..jobs {
            self.submit(100 + u128::from(n))?;
        }
        Ok(())
    }

    fn submit(&mut self, request: u128) -> anyhow::Result<()> {
        let chance = &mut self.chance;
        let spec = Spec {
            engine: ENGINE,
            scene: Digest::of(&[chance.below(3) as u8]),
            environment: None,
            frame_first: 1,
            frame_last: 1 + chance.below(3) as u32,
            frame_step: 1,
            fps: 24,
            width: 8 * (1 + chance.below(8) as u32),
            height: 8 * (1 + chance.below(8) as u32),
            tile_size: 8 * (1 + chance.below(2) as u32),
            samples: 4 * (1 + chance.below(8) as u32),
            depth: 4,
            seed: 0,
            aovs: 0,
            noise: 0,
        };
        let price = Price(1_000 + chance.below(100_000));
        let most = spec.tile_cost_max(price).0;
        let cap = Amount(most * (1 + chance.below(200)));
        let account = AccountId(chance.below(2) as u32);
        let priority = chance.below(3) as u8;
        let job = JobId(self.specs.len() as u32);
        self.specs.push(spec.clone());
        let (private, audit_own) = (false, false);
        let submit = Submit { account, request, spec, cap, price, priority, private, audit_own };
        self.command(Command::Submit(Box::new(submit)))?;
        if self.chance.percent(10) {
            let at = self.now + self.chance.below(20 * SECOND);
            self.later(at, Event::Cancel(job));
        }
        Ok(())
    }

    /// Honest owners 0 and 2 to 5, of one to three workers; up to two workers that are not honest.
    fn populate(&mut self) {
        for owner in [0, 2, 3, 4, 5] {
            for _ in 0..1 + self.chance.below(3) {
                self.enter(owner, Conduct::Honest);
            }
        }
        for owner in [6, 7] {
            let conduct = match self.chance.below(6) {
                0 => Conduct::Forger(100),
                1 => Conduct::Forger(1 + self.chance.below(99)),
                2 => Conduct::FalseAccuser,
                3 => Conduct::Withholder,
                4 => Conduct::TurnsBad(self.chance.below(20) as u32),
                _ => continue,
            };
            self.enter(owner, conduct);
        }
        self.later(self.now, Event::Tick);
    }

    fn enter(&mut self, owner: u32, conduct: Conduct) {
        let at = self.actors.len();
        self.actors.push(Actor {
            key: [at as u8 + 1; 32],
            owner: AccountId(owner),
            id: None,
            conduct,
            agent: Default::default(),
            online: false,
            stream: 0,
            results: BTreeMap::new(),
            tiles_done: 0,
        });
        let soon = self.now + self.chance.below(SECOND);
        self.later(soon, Event::Connect(at));
        for _ in 0..self.chance.below(4) {
            let when = self.now + self.chance.below(TROUBLE);
            let event = if self.chance.percent(50) { Event::Cut(at) } else { Event::Crash(at) };
            self.later(when, event);
        }
    }

    fn later(&mut self, at: u64, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    /// A message's way: some time, and while there is trouble it may be lost with its stream.
    fn send(&mut self, actor: usize, event: Event) {
        if self.faulty && self.chance.below(2_000) == 0 {
            return self.later(self.now, Event::Cut(actor));
        }
        let delay = 1_000 + self.chance.below(50_000);
        self.later(self.now + delay, event);
    }

    fn heal(&mut self) {
        self.faulty = false;
        for at in 0..self.actors.len() {
            if !self.actors[at].online {
                self.later(self.now, Event::Connect(at));
            }
        }
    }

    fn is_over(&self) -> bool {
        self.farm.jobs(None, None, 100).iter().all(|job| {
            job.state != JobState::Open && job.tiles_claimed == 0 && job.tiles_leased == 0
        })
    }

    fn happen(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Tick => {
                self.command(Command::Tick)?;
                if self.chance.percent(2) {
                    let next = Digest::of(&self.chance.bits().to_le_bytes()).0;
                    self.command(Command::Secret { next })?;
                }
                self.later(self.now + SECOND / 4, Event::Tick);
            }
            Event::Connect(at) => self.connect(at)?,
            Event::Cut(at) => self.cut(at)?,
            Event::Crash(at) => {
                self.cut(at)?;
                let actor = &mut self.actors[at];
                actor.agent = Default::default();
            }
            Event::Finish(at, lease) => self.finish(at, lease),
            Event::Renew(at) => self.renew(at),
            Event::ToFarm(at, stream, command) => self.arrive(at, stream, command)?,
            Event::ToActor(at, stream, message) => {
                if self.actors[at].online && self.actors[at].stream == stream {
                    self.receive(at, message);
                }
            }
            Event::Stored(command) => drop(self.command(command)),
            Event::Cancel(job) => drop(self.command(Command::Cancel { job })?),
        }
        Ok(())
    }

    /// Applies a command, follows its log entries and sends its effects on their way.
    fn command(&mut self, command: Command) -> Result<Reply, anyhow::Error> {
        self.now += 1;
        let mut effects = Vec::new();
        let kept = command.clone();
        let reply = self.farm.apply(Time(self.now), command, &mut effects)?;
        self.journal.push((Time(self.now), kept));
        for effect in effects {
            self.perform(effect)?;
        }
        Ok(reply)
    }

    fn perform(&mut self, effect: Effect) -> anyhow::Result<()> {
        match effect {
            Effect::Grant { worker, lease, job, tile, leaves } => {
                self.tell(worker, Message::Grant(lease, job, tile, leaves.to_vec()));
            }
            Effect::Challenge { worker, lease, leaves } => {
                self.tell(worker, Message::Challenge(lease, leaves.to_vec()));
            }
            Effect::Settle { worker, lease } | Effect::Revoke { worker, lease } => {
                self.tell(worker, Message::Over(lease));
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
            Effect::JobChanged { .. } => {}
            Effect::Log(entry) => {
                let bytes = entry.to_bytes();
                let same = farm::entry::Entry::from_bytes(&bytes).as_ref() == Some(&entry);
                ensure!(same, "{entry:?} does not survive its bytes");
                let index = self.books.entries();
                self.books.follow(index, &entry).with_context(|| format!("{entry:?}"))?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, worker: WorkerId, message: Message) {
        let Some(at) = self.actors.iter().position(|actor| actor.id == Some(worker)) else {
            return;
        };
        let stream = self.actors[at].stream;
        self.send(at, Event::ToActor(at, stream, message));
    }

    fn connect(&mut self, at: usize) -> anyhow::Result<()> {
        let Actor { agent, results, online, .. } = &mut self.actors[at];
        if *online {
            return Ok(());
        }
        for lease in results.keys() {
            if agent.has(*lease) {
                continue;
            }
            let work = farm::agent::Work { job: JobId(0), tile: 0, leaves: Vec::new() };
            agent.restore(*lease, work);
        }
        let actor = &mut self.actors[at];
        actor.stream += 1;
        actor.online = true;
        let connect = Connect {
            key: actor.key,
            owner: actor.owner,
            engines: vec![ENGINE],
            device: "simulated".into(),
            slots: 1 + at as u32 % 2,
            units_per_second: 1_000,
            leases: actor.agent.hello(),
        };
        // The id must be known before the effects of connecting are sent.
        let known = self.farm.workers(None, None, usize::MAX);
        let next = known.iter().find(|worker| worker.key == connect.key).map(|w| w.worker);
        self.actors[at].id = Some(next.unwrap_or(WorkerId(known.len() as u32)));
        match self.command(Command::Connect(Box::new(connect))) {
            Ok(Reply::Connected { live, .. }) => {
                let gone = self.actors[at].agent.welcome(&live, POLICY.lease_ms, Time(self.now));
                for lease in gone {
                    self.actors[at].results.remove(&lease);
                }
                self.hand_in(at);
                self.later(self.now + SECOND, Event::Renew(at));
            }
            Err(refusal) if refusal.downcast_ref() == Some(&Reject::WorkerRefuted) => {
                self.actors[at].online = false;
            }
            other => drop(other?),
        }
        Ok(())
    }

    fn cut(&mut self, at: usize) -> anyhow::Result<()> {
        if !self.actors[at].online {
            return Ok(());
        }
        self.actors[at].online = false;
        if let Some(worker) = self.actors[at].id {
            self.command(Command::Disconnect { worker })?;
        }
        let back = self.now + self.chance.below(10 * SECOND);
        self.later(back, Event::Connect(at));
        Ok(())
    }

    fn receive(&mut self, at: usize, message: Message) {
        let actor = &mut self.actors[at];
        match message {
            Message::Grant(lease, job, tile, leaves) => {
                actor.agent.grant(lease, farm::agent::Work { job, tile, leaves });
                self.work(at);
            }
            Message::Challenge(lease, leaves) => {
                let Some((all, _)) = actor.results.get(&lease) else { return };
                let open = |leaf: &u32| leaf::open(all, *leaf);
                let Some(openings) = leaves.iter().map(open).collect::<Option<Vec<Opening>>>()
                else {
                    return;
                };
                if actor.conduct != Conduct::Withholder
                    && let Some(worker) = actor.id
                {
                    self.say(at, Command::Open { worker, lease, openings });
                }
            }
            Message::Over(lease) => {
                actor.agent.revoke(lease);
                actor.results.remove(&lease);
            }
            Message::Answer(lease, settled, refused) => {
                if actor.agent.acknowledged(lease, settled, refused) {
                    actor.results.remove(&lease);
                }
            }
        }
    }

    fn say(&mut self, at: usize, command: Command) {
        let stream = self.actors[at].stream;
        self.send(at, Event::ToFarm(at, stream, command));
    }

    fn work(&mut self, at: usize) {
        while let Some((lease, _)) = self.actors[at].agent.start() {
            let slow = self.faulty && self.chance.percent(1);
            let most = if slow { 20 * SECOND } else { SECOND };
            let done = self.now + 10_000 + self.chance.below(most);
            self.later(done, Event::Finish(at, lease));
        }
    }

    fn finish(&mut self, at: usize, lease: LeaseId) {
        if !self.actors[at].agent.has(lease) || self.actors[at].results.contains_key(&lease) {
            return;
        }
        let Some((job, tile, leaves)) = self.asked(lease) else { return };
        let spec = &self.specs[job.0 as usize];
        let result = self.actors[at].compute(&mut self.chance, spec, (job, tile), &leaves);
        self.actors[at].results.insert(lease, result);
        self.actors[at].agent.finish(lease, false);
        if self.actors[at].online {
            self.hand_in(at);
        }
    }

    /// What a lease asks for, as the farm granted it.
    fn asked(&self, lease: LeaseId) -> Option<(JobId, u64, Vec<u32>)> {
        let (job, tile, leaves) = self.farm.lease(lease)?;
        Some((job, tile, leaves.to_vec()))
    }

    fn hand_in(&mut self, at: usize) {
        for lease in self.actors[at].agent.uploads() {
            self.actors[at].agent.uploaded(lease);
        }
        for lease in self.actors[at].agent.reports() {
            let actor = &self.actors[at];
            let (Some(worker), Some((_, outcome))) = (actor.id, actor.results.get(&lease)) else {
                continue;
            };
            let outcome = outcome.clone();
            self.say(at, Command::Report { worker, lease, outcome });
        }
    }

    fn renew(&mut self, at: usize) {
        let actor = &self.actors[at];
        if let (true, Some(worker)) = (actor.online, actor.id) {
            let leases = actor.agent.hello();
            self.say(at, Command::Renew { worker, leases });
            self.later(self.now + SECOND, Event::Renew(at));
        }
    }

    /// A command reaches the farm; what it answers goes back on the same stream.
    fn arrive(&mut self, at: usize, stream: u32, command: Command) -> anyhow::Result<()> {
        if !self.actors[at].online || self.actors[at].stream != stream {
            return Ok(());
        }
        let lease = match &command {
            Command::Report { lease, .. } => Some(*lease),
            _ => None,
        };
        let before = self.farm.image();
        let answer = match self.command(command) {
            Ok(Reply::Reported { settled }) => Some((settled, "")),
            Ok(_) => None,
            Err(refusal) => {
                let Some(reject) = refusal.downcast_ref::<Reject>() else { return Err(refusal) };
                ensure!(self.farm.image() == before, "a refused command changed the farm");
                Some((false, reject.reason()))
            }
        };
        if let (Some(lease), Some((settled, refused))) = (lease, answer) {
            let stream = self.actors[at].stream;
            self.send(at, Event::ToActor(at, stream, Message::Answer(lease, settled, refused)));
        }
        Ok(())
    }

    /// Nobody honest was refuted, every job ended, the books close, replay gives the same farm.
    fn judge(mut self) -> anyhow::Result<Summary> {
        self.books.finish()?;
        let workers = self.farm.workers(None, None, usize::MAX);
        for worker in &workers {
            let actor = self.actors.iter().find(|actor| actor.key == worker.key);
            let honest = actor.is_some_and(|actor| actor.conduct == Conduct::Honest);
            ensure!(!(honest && worker.refuted), "honest {} was refuted", worker.worker);
        }
        let jobs = self.farm.jobs(None, None, 100);
        for job in &jobs {
            let ended = job.state != JobState::Open && job.tiles_claimed == 0;
            ensure!(ended, "{} has not ended: {job:?}", job.job);
            ensure!(job.state != JobState::Failed, "{} failed: {}", job.job, job.failure);
            ensure!(job.spent <= job.cap, "{} cost more than its cap", job.job);
            self.judge_outputs(job.job, job.state)?;
        }
        let image = self.farm.image();
        let mut again = Farm::new(POLICY);
        for (at, command) in self.journal.drain(..) {
            again.apply(at, command, &mut Vec::new())?;
        }
        ensure!(again.image() == image, "replay differs from life");
        let back = Farm::from_image(&image).context("the image is not read back")?;
        ensure!(back.image() == image, "the image does not survive");
        Ok(Summary {
            commands: self.count,
            entries: self.books.entries(),
            tiles: jobs.iter().map(|job| job.tiles_accepted).sum(),
            refuted: workers.iter().filter(|worker| worker.refuted).count() as u32,
        })
    }

    /// Where nobody forged a little, every tile of a finished job is the true one.
    fn judge_outputs(&self, job: JobId, state: JobState) -> anyhow::Result<()> {
        let subtle = |actor: &Actor| matches!(actor.conduct, Conduct::Forger(parts) if parts < 100);
        if state != JobState::Done || self.actors.iter().any(subtle) {
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
