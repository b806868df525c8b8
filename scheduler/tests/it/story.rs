//! A story: commands of one small farm through its whole life, written by the real journal, with
//! the farm's image after each group commit. Every worker is honest and answers at once.

use farm::command::{Command, Connect, Outcome, Submit};
use farm::digest::Digest;
use farm::id::{AccountId, LeaseId, WorkerId};
use farm::job::Spec;
use farm::leaf::{self, Leaf, Opening};
use farm::money::{Amount, CREDIT, Price};
use farm::time::Time;
use farm::{Effect, Farm, Policy, Reply};
use scheduler::journal::{Journal, Options, Position, Snapshot};
use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;

/// Small, so that a story fills several.
pub const SEGMENT_BYTES: u64 = 8 << 10;
pub const OPTIONS: Options = Options { segment_bytes: SEGMENT_BYTES, bytes_max: 0 };
/// Groups of a whole story, at least.
const GROUPS: usize = 150;
/// Where in its last segment a story ends: there is something before and room after.
const MIDDLE: Range<u64> = 3 << 10..6 << 10;
const WORKERS: u8 = 3;
/// The one leaf of every tile.
const LEAF: Leaf = Leaf { hash: Digest([1; 32]), units: 64 };

/// What is so after a group commit.
#[derive(Clone, PartialEq, Eq)]
pub struct Chapter {
    pub end: Position,
    pub image: Vec<u8>,
}

/// A farm, its journal, and the answers its workers owe.
pub struct Story {
    pub farm: Farm,
    pub journal: Journal,
    /// The state before anything, then after each group.
    pub chapters: Vec<Chapter>,
    records: Vec<u8>,
    count: u32,
    owed: VecDeque<Command>,
    leases: Vec<(WorkerId, LeaseId)>,
    effects: Vec<Effect>,
    /// What the farm decided, to show that the story has everything in it.
    pub told: Vec<&'static str>,
}

/// Opens a journal with the story's layout.
pub fn open(dir: &Path) -> (Journal, Farm) {
    Journal::open(dir, OPTIONS, Policy::default(), None, &mut farm::effect::Done).unwrap()
}

impl Story {
    /// A new journal, or one that goes on.
    pub fn open(dir: &Path) -> Self {
        let (journal, farm) = open(dir);
        let chapter = Chapter { end: journal.position(), image: farm.image() };
        Self {
            farm,
            journal,
            chapters: vec![chapter],
            records: Vec::new(),
            count: 0,
            owed: VecDeque::new(),
            leases: Vec::new(),
            effects: Vec::new(),
            told: Vec::new(),
        }
    }

    /// The whole story, in groups of one to three records.
    pub fn tell(dir: &Path) -> Self {
        let mut story = Self::open(dir);
        story.found();
        let in_the_middle = |story: &Self| MIDDLE.contains(&story.journal.position().offset);
        while story.chapters.len() <= GROUPS || !in_the_middle(&story) {
            let n = story.chapters.len();
            for _ in 0..=n % 3 {
                let next = story.next(n);
                story.apply(next);
            }
            story.commit();
        }
        story
    }

    /// Takes a snapshot of now.
    pub fn snapshot(&self) -> Snapshot {
        let (farm, position) = (self.journal.farm_id(), self.journal.position());
        Snapshot { farm, position, image: self.farm.image() }
    }

    fn found(&mut self) {
        self.apply(Command::Secret { next: [9; 32] });
        for n in 0..=WORKERS {
            let (key, name) = (Digest::of(&[n]), format!("account {n}"));
            self.apply(Command::OpenAccount { key, operator: n == 0, name });
        }
        for account in [Some(AccountId(0)), None] {
            let amount = Amount(1000 * CREDIT);
            self.apply(Command::TopUp { account, amount, request: 1 });
        }
        (1..=WORKERS).for_each(|n| self.connect(n, Vec::new()));
        self.commit();
    }

    fn connect(&mut self, n: u8, leases: Vec<LeaseId>) {
        self.apply(Command::Connect(Box::new(Connect {
            key: [n; 32],
            owner: AccountId(u32::from(n)),
            engines: vec![Digest([7; 32])],
            device: "a device".into(),
            slots: 2,
            units_per_second: 1000,
            leases,
            groups: Vec::new(),
        })));
    }

    fn order(&self) -> Command {
        let digest = Digest([7; 32]);
        Command::Submit(Box::new(Submit {
            account: AccountId(0),
            request: u128::from(self.farm.now().0),
            spec: Spec {
                engine: digest,
                scene: digest,
                environment: None,
                frame_first: 1,
                frame_last: 3,
                frame_step: 1,
                fps: 24,
                width: 32,
                height: 24,
                tile_size: 8,
                samples: 4,
                depth: 1,
                seed: 0,
                aovs: 0,
                noise: 0,
                cut: farm::cut::Cut::default(),
                work_per_pixel: 0,
                upstream: None,
            },
            cap: Amount(100 * CREDIT),
            price: Price(1_000_000),
            priority: 0,
            private: false,
            audit_own: false,
            model: None,
            seal: None,
            watermark: false,
        }))
    }

    /// Mostly what is owed, and now and then something else that happens.
    fn next(&mut self, n: usize) -> Command {
        match n {
            20 => return self.order(),
            40 => return Command::Secret { next: [4; 32] },
            60 => {
                let own = self.leases.iter().filter(|(worker, _)| worker.0 == 0);
                let leases = own.map(|(_, lease)| *lease).collect();
                return Command::Renew { worker: WorkerId(0), leases };
            }
            80 => return Command::Cancel { job: farm::id::JobId(1) },
            100 => return Command::Disconnect { worker: WorkerId(2) },
            _ if n.is_multiple_of(25) => return Command::Tick,
            _ => {}
        }
        self.owed.pop_front().unwrap_or_else(|| self.order())
    }

    /// Applies a command if the farm takes it, and notes its record.
    pub fn apply(&mut self, command: Command) {
        let at = Time(self.farm.now().0 + 1000);
        let mut record = Vec::new();
        proto::record::encode(at, &command, &mut record);
        let Ok(reply) = self.farm.apply(at, command, &mut self.effects) else { return };
        self.records.extend_from_slice(&(record.len() as u32).to_le_bytes());
        self.records.extend_from_slice(&record);
        self.count += 1;
        if let Reply::Job(_) = reply {
            self.told.push("job");
        }
        for effect in std::mem::take(&mut self.effects) {
            let answer = self.answer(effect);
            self.owed.extend(answer);
        }
    }

    fn answer(&mut self, effect: Effect) -> Option<Command> {
        match effect {
            Effect::Grant { worker, lease, leaves, .. } if leaves.is_empty() => {
                self.leases.push((worker, lease));
                self.told.push("tile");
                let commitment = leaf::commit(&[LEAF]).unwrap();
                let outcome = Outcome::Done { output: Digest([2; 32]), commitment };
                Some(Command::Report { worker, lease, outcome })
            }
            Effect::Grant { worker, lease, leaves, .. } => {
                self.told.push("leaf audit");
                let outcome = Outcome::Leaves(vec![LEAF; leaves.len()]);
                Some(Command::Report { worker, lease, outcome })
            }
            Effect::Challenge { worker, lease, leaves } => {
                self.told.push("challenge");
                let opening = Opening { leaf: LEAF, path: Vec::new() };
                let openings = vec![opening; leaves.len()];
                Some(Command::Open { worker, lease, openings })
            }
            Effect::Store { job, frame, made_of } => {
                self.told.push("frame");
                let image = Digest([3; 32]);
                Some(Command::Stored { job, frame, exr: image, png: image, made_of })
            }
            Effect::Settle { .. } => {
                self.told.push("settled");
                None
            }
            _ => None,
        }
    }

    /// Makes the group durable.
    pub fn commit(&mut self) {
        if self.count > 0 {
            self.journal.append(&self.records, self.count).unwrap();
        }
        self.records.clear();
        self.count = 0;
        self.chapters.push(Chapter { end: self.journal.position(), image: self.farm.image() });
    }
}
