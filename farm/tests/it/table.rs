//! The table language. A line is a command, `->`, its outcome, and the effects it must have, all of
//! them: `report W1 J0/0 -> kept: challenge W1 J0/0, grant W1 J0/1`. Log entries are followed by
//! the proof; changes of jobs are not listed. Tiles have one block and their leaves one truth;
//! `as=x` says that a worker claims or finds the value x instead. Of a tile named `blank` every
//! leaf but the first is without work units.

use farm::appeal::Matter;
use farm::chain::Upstream;
use farm::command::{Command, Connect, Outcome, Submit};
use farm::cut::{Cut, Split};
use farm::digest::Digest;
use farm::entry::Entry;
use farm::id::{AccountId, JobId, LeaseId, ModelId, WorkerId};
use farm::job::Spec;
use farm::leaf::{self, Indices, Leaf};
use farm::model::{Offer, Rights};
use farm::money::{Amount, CREDIT, Price};
use farm::proof::Books;
use farm::scores::{self, Scores};
use farm::time::Time;
use farm::{Effect, Farm, Policy, Reject, Reply};
use std::collections::BTreeMap;

pub const ENGINE: Digest = Digest([1; 32]);
const POLICY: Policy =
    Policy { maturity_tiles: 2, maturity_ms: 60_000, lease_ms: 1_000, round_ms: 10_000 };

pub struct Table {
    pub farm: Farm,
    pub books: Books,
    pub entries: Vec<Entry>,
    now: u64,
    requests: u128,
    /// Live leases by the words that name them: worker, job and tile.
    leases: BTreeMap<String, LeaseId>,
    names: BTreeMap<LeaseId, String>,
    asked: BTreeMap<LeaseId, Indices>,
    claimed: BTreeMap<LeaseId, Vec<Leaf>>,
    /// What a lease's tile is made of, by the lease's name.
    pub inputs: BTreeMap<String, Vec<Digest>>,
}

/// Runs a story from a fresh farm and gives the farm it ends with.
pub fn play(story: &str) -> Table {
    let mut table = Table {
        farm: Farm::new(POLICY),
        books: Books::new(),
        entries: Vec::new(),
        now: 1_000_000,
        requests: 0,
        leases: BTreeMap::new(),
        names: BTreeMap::new(),
        asked: BTreeMap::new(),
        claimed: BTreeMap::new(),
        inputs: BTreeMap::new(),
    };
    for (at, line) in story.lines().enumerate() {
        let line = line.split('#').next().unwrap().trim();
        if !line.is_empty() {
            let (asked, want) = line.split_once("->").expect("a line has a ->");
            let got = table.line(asked.trim());
            assert_eq!(got, want.trim(), "line {}: {line}", at + 1);
        }
    }
    table.books.finish().unwrap();
    table
}

fn number(word: &str) -> u32 {
    word.trim_start_matches(char::is_alphabetic).parse().unwrap_or_else(|_| panic!("{word}?"))
}

/// `J0/1`: a tile; `W2`: the refutation of a worker.
fn matter(word: &str) -> Matter {
    match word.split_once('/') {
        Some((job, tile)) => Matter::Tile(JobId(number(job)), u64::from(number(tile))),
        None => Matter::Refutation(WorkerId(number(word))),
    }
}

/// `commit A1 3 W0=990 W2=7 [salt=5]`: A1's ballot of round 3; `reveal` shows it.
fn ballot(words: &[&str]) -> Command {
    let (account, round) = (AccountId(number(words[1])), number(words[2]));
    let salt = [value(words, "salt").map_or(0, number) as u8; 32];
    let scores = words.iter().filter(|word| word.starts_with('W'));
    let scores = scores.map(|word| word.split_once('=').expect("WORKER=SCORE"));
    let scores: Scores =
        scores.map(|(worker, score)| (WorkerId(number(worker)), number(score) as u16)).collect();
    if words[0] == "reveal" {
        return Command::RevealScores { account, round, salt, scores };
    }
    let named = value(words, "as").map_or(account, |other| AccountId(number(other)));
    let commitment = scores::commitment(named, round, &salt, &scores);
    Command::CommitScores { account, round, commitment }
}

/// The value behind `key=` among the words.
fn value<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn is_cut(word: &&str) -> bool {
    word.starts_with("cut=")
}

/// `cut=3/1`: three blocks from the left are the near part, of one tile.
fn split(word: &str) -> Split {
    let (at, near) = word[4..].split_once('/').expect("cut=AT/NEAR");
    Split { down: false, at: number(at), near: number(near) }
}

/// Leaves of a one-block tile of `samples`: those of the truth, or of another value.
fn leaves(count: u32, value: &str, blank: bool) -> Vec<Leaf> {
    let units = |n: u32| if blank && n > 0 { 0 } else { 10 };
    let hash = |n: u32| Digest::of(format!("{value}{n}").as_bytes());
    (0..count).map(|n| Leaf { hash: hash(n), units: units(n) }).collect()
}

/// `publish A1 style royalty=500000 for=A0+A2 owners=A3 workers=W0 copies=A2`: its bytes are its
/// name's, or those of `bytes`.
fn publish(words: &[&str]) -> Command {
    fn named<T>(words: &[&str], key: &str, id: fn(u32) -> T) -> Vec<T> {
        let names = value(words, key).into_iter().flat_map(|names| names.split('+'));
        names.map(|name| id(number(name))).collect()
    }
    let digest = |text: &str| Digest::of(text.as_bytes());
    let offer = Offer {
        name: words[2].into(),
        asset: digest(value(words, "bytes").unwrap_or(words[2])),
        card: digest("card"),
        facts: digest("facts"),
        licence: value(words, "licence").unwrap_or("CC-BY-4.0").into(),
        royalty: Price(value(words, "royalty").map_or(500_000, |word| word.parse().unwrap())),
        rights: Rights {
            orders: named(words, "for", AccountId),
            owners: named(words, "owners", AccountId),
            workers: named(words, "workers", WorkerId),
            copies: named(words, "copies", AccountId),
        },
    };
    Command::Publish { account: AccountId(number(words[1])), offer: Box::new(offer) }
}

impl Table {
    /// What one command gives: its outcome and its effects.
    pub fn line(&mut self, asked: &str) -> String {
        let words: Vec<&str> = asked.split_whitespace().collect();
        if words[0] == "wait" {
            self.now += u64::from(number(words[1])) * 1_000;
            return self.command(Command::Tick);
        }
        let command = self.read(&words);
        self.command(command)
    }

    fn command(&mut self, command: Command) -> String {
        self.now += 1;
        let before = self.farm.image();
        let mut effects = Vec::new();
        let outcome = match self.farm.apply(Time(self.now), command, &mut effects) {
            Ok(reply) => self.say_reply(reply),
            Err(reject) => {
                assert_eq!(self.farm.image(), before, "a refused command changed the farm");
                assert!(effects.is_empty(), "a refused command had effects");
                format!("reject {}", reject.reason().to_lowercase())
            }
        };
        let said: Vec<String> =
            effects.into_iter().filter_map(|effect| self.say_effect(effect)).collect();
        if said.is_empty() { outcome } else { format!("{outcome}: {}", said.join(", ")) }
    }

    fn say_reply(&self, reply: Reply) -> String {
        match reply {
            Reply::Done => "ok".into(),
            Reply::Account(account) => account.to_string(),
            Reply::Available(amount) => amount.0.to_string(),
            Reply::Job(job) => job.to_string(),
            Reply::Model(model) => model.to_string(),
            Reply::Staked { stake, returned } if returned.0 == 0 => format!("staked {}", stake.0),
            Reply::Staked { returned, .. } => format!("returned {}", returned.0),
            Reply::Appealed { deposit } => format!("deposit {}", deposit.0),
            Reply::Connected { worker, live } => {
                let live = live.iter().map(|lease| format!(" {}", self.names[lease]));
                format!("{worker}{}", live.collect::<String>())
            }
            Reply::Reported { settled } => if settled { "settled" } else { "kept" }.into(),
        }
    }

    fn say_effect(&mut self, effect: Effect) -> Option<String> {
        Some(match effect {
            Effect::Grant { worker, lease, job, tile, leaves, inputs } => {
                let name = format!("{worker} {job}/{tile}");
                let audits =
                    self.leases.get(&name).is_some_and(|old| self.farm.lease(*old).is_some());
                assert!(!audits, "{name} is leased twice");
                self.leases.insert(name.clone(), lease);
                self.names.insert(lease, name.clone());
                let what = if leaves.is_empty() { "grant" } else { "audit" };
                self.asked.insert(lease, leaves);
                self.inputs.insert(name.clone(), inputs);
                format!("{what} {name}")
            }
            Effect::Challenge { lease, leaves, .. } => {
                self.asked.insert(lease, leaves);
                format!("challenge {}", self.names[&lease])
            }
            Effect::Settle { lease, .. } => format!("settle {}", self.names[&lease]),
            Effect::Revoke { lease, .. } => format!("revoke {}", self.names[&lease]),
            Effect::Deliver { job, tile, .. } => format!("deliver {job}/{tile}"),
            Effect::Store { job, frame, .. } => format!("store {job} frame {frame}"),
            Effect::JobChanged { .. } => return None,
            Effect::Log(entry) => {
                let index = self.books.entries();
                self.books.follow(index, &entry).unwrap_or_else(|no| panic!("{no}: {entry:?}"));
                self.entries.push(entry);
                return None;
            }
        })
    }

    fn read(&mut self, words: &[&str]) -> Command {
        let worker = || WorkerId(number(words[1]));
        match words[0] {
            "secret" => Command::Secret { next: [words[1].len() as u8; 32] },
            "account" => Command::OpenAccount {
                key: Digest::of(words[1].as_bytes()),
                operator: words.contains(&"operator"),
                name: words[1].into(),
            },
            "top-up" => {
                let account = (words[1] != "audits").then(|| AccountId(number(words[1])));
                let amount = Amount(u64::from(number(words[2])) * CREDIT);
                Command::TopUp { account, amount, request: self.request(words) }
            }
            "submit" => self.submit(words),
            "cancel" => Command::Cancel { job: JobId(number(words[1])) },
            "connect" => self.connect(words),
            "disconnect" => Command::Disconnect { worker: worker() },
            "drain" => Command::Drain { worker: worker() },
            "renew" => Command::Renew { worker: worker(), leases: vec![self.lease(words)] },
            "report" => self.report(words),
            "open" => self.open(words),
            "fail" => {
                let outcome = Outcome::Failed { scene: true, why: "bad mesh".into() };
                Command::Report { worker: worker(), lease: self.lease(words), outcome }
            }
            "appeal" => Command::Appeal {
                account: AccountId(number(value(words, "by").unwrap())),
                matter: matter(words[1]),
            },
            "stake" | "unstake" => {
                let account = AccountId(number(value(words, "by").unwrap()));
                let worker = worker();
                if words[0] == "unstake" {
                    return Command::Unstake { account, worker };
                }
                let (amount, request) = (Amount(u64::from(number(words[2]))), self.request(words));
                Command::Stake { account, worker, amount, request }
            }
            "publish" => publish(words),
            "withdraw" => Command::Withdraw {
                account: AccountId(number(value(words, "by").unwrap())),
                model: ModelId(number(words[1])),
            },
            "show" => Command::Show {
                account: AccountId(number(words[1])),
                asset: Digest::of(words[2].as_bytes()),
            },
            "bond" => Command::Bond {
                account: AccountId(number(words[1])),
                amount: Amount(u64::from(number(words[2])) * CREDIT),
                request: self.request(words),
            },
            "unbond" => Command::Unbond { account: AccountId(number(words[1])) },
            "commit" | "reveal" => ballot(words),
            "stored" => self.stored(words),
            other => panic!("{other}?"),
        }
    }

    fn request(&mut self, words: &[&str]) -> u128 {
        self.requests += 1;
        value(words, "request").map_or(1_000 + self.requests, |word| u128::from(number(word)))
    }

    /// `report W0 J0/1 [by W2]`: the lease that words 2 names, of worker 1 or of another.
    fn lease(&self, words: &[&str]) -> LeaseId {
        let whose = value(words, "of").unwrap_or(words[1]);
        let name = format!("{whose} {}", words[2]);
        self.leases.get(&name).copied().unwrap_or_default()
    }

    fn submit(&mut self, words: &[&str]) -> Command {
        let or = |key, default| value(words, key).map_or(default, number);
        let tiles = or("tiles", 4);
        // `after=0`: made of J0's frames, a tile of 16 pixels of each of 8, or of those around it.
        let after = value(words, "after").map(|job| JobId(number(job)));
        let side = if after.is_some() { 16 } else { 8 };
        let (scale, halo, planes) = (or("scale", 2), or("halo", 0), or("planes", 0));
        let spec = Spec {
            engine: ENGINE,
            scene: Digest([2; 32]),
            environment: None,
            frame_first: 1,
            frame_last: or("frames", 1),
            frame_step: 1,
            fps: 24,
            width: side * tiles,
            height: side,
            tile_size: if words.iter().any(is_cut) { 0 } else { or("tile-size", side) },
            samples: or("samples", 256),
            depth: 1,
            seed: 0,
            aovs: or("aovs", 0),
            noise: 0,
            cut: Cut::of(words.iter().filter(|word| is_cut(word)).map(|word| split(word))),
            work_per_pixel: if after.is_some() { 100 } else { 0 },
            upstream: after.map(|job| Upstream { job, scale, halo, planes }),
        };
        Command::Submit(Box::new(Submit {
            account: AccountId(number(words[1])),
            request: self.request(words),
            spec,
            cap: Amount(u64::from(or("cap", 1_000)) * CREDIT),
            price: Price(u64::from(or("price", 1_000_000))),
            priority: or("priority", 0) as u8,
            private: words.contains(&"private"),
            audit_own: words.contains(&"audit-own"),
            model: value(words, "model").map(|model| ModelId(number(model))),
            seal: words.contains(&"sealed").then(|| Digest::of(b"seal")),
            watermark: false,
        }))
    }

    fn connect(&mut self, words: &[&str]) -> Command {
        let or = |key, default| value(words, key).map_or(default, number);
        let named = value(words, "has").into_iter().flat_map(|names| names.split('+'));
        let leases = named.map(|name| self.leases[&format!("{} {name}", words[1])]).collect();
        Command::Connect(Box::new(Connect {
            key: [or("key", number(words[1])) as u8; 32],
            owner: AccountId(or("owner", number(words[1]))),
            engines: vec![ENGINE],
            device: value(words, "device").unwrap_or("test").into(),
            slots: or("slots", 1),
            units_per_second: 0,
            leases,
            groups: value(words, "group")
                .map(|group| Digest::of(group.as_bytes()))
                .into_iter()
                .collect(),
        }))
    }

    fn report(&mut self, words: &[&str]) -> Command {
        let (worker, lease) = (WorkerId(number(words[1])), self.lease(words));
        let job = self.farm.job(JobId(number(words[2].split('/').next().unwrap())));
        let count = job.map_or(1, |job| job.spec.samples / 4);
        let blank = words.contains(&"blank");
        let all = leaves(count, value(words, "as").unwrap_or("truth"), blank);
        let asked = self.asked.get(&lease).cloned().unwrap_or_default();
        if !asked.is_empty() {
            let answer = asked.iter().map(|leaf| all[*leaf as usize]).collect();
            return Command::Report { worker, lease, outcome: Outcome::Leaves(answer) };
        }
        let commitment = leaf::commit(&all).unwrap();
        let output = Digest::of(value(words, "as").unwrap_or("truth").as_bytes());
        self.claimed.insert(lease, all);
        Command::Report { worker, lease, outcome: Outcome::Done { output, commitment } }
    }

    fn open(&mut self, words: &[&str]) -> Command {
        let lease = self.lease(words);
        let all = &self.claimed[&lease];
        let mut openings = leaf::open(all, &self.asked[&lease]).unwrap();
        if words.contains(&"falsely") {
            openings[0].leaf.units += 1;
        }
        Command::Open { worker: WorkerId(number(words[1])), lease, openings }
    }

    /// `stored J0 1`: images of the outputs there are, or (`stale`) of others.
    fn stored(&mut self, words: &[&str]) -> Command {
        let job = JobId(number(words[1]));
        let made_of = self.farm.outstanding().into_iter().find_map(|effect| match effect {
            Effect::Store { job: of, frame, made_of } if of == job && frame == number(words[2]) => {
                Some(made_of)
            }
            _ => None,
        });
        let made_of = made_of.filter(|_| !words.contains(&"stale")).unwrap_or_default();
        let frame = number(words[2]);
        Command::Stored { job, frame, exr: Digest([3; 32]), png: Digest([4; 32]), made_of }
    }
}

/// Every reason is different and in capitals.
#[test]
fn reasons_are_distinct() {
    let reasons = [Reject::LeaseExpired.reason(), Reject::LeaseUnknown.reason()];
    assert_ne!(reasons[0], reasons[1]);
    assert!(
        reasons.iter().all(|reason| reason.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
    );
}
