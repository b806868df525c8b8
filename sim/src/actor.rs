//! Actors: workers of the simulated world around the real agent, honest, clumsy, or attackers of
//! every kind that the farm must stand.

use crate::Chance;
use farm::agent::{Agent, Work};
use farm::command::Outcome;
use farm::digest::Digest;
use farm::id::{AccountId, JobId, LeaseId, WorkerId};
use farm::job::Spec;
use farm::leaf::{self, Leaf};
use std::collections::{BTreeMap, BTreeSet};

/// How a worker behaves. What a false pixel looks like does not matter here, only which leaves are
/// false, and whether two who cheat in the same way get the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    Honest,
    /// Computes the first groups of samples and repeats them: the later half of every block.
    CopiedSamples,
    /// Fewer samples than asked; the rest is scaled up: all but a few leaves.
    FewerSamples,
    /// Renders small or briefly and makes it look right: no leaf is true.
    Upscaled,
    Denoised,
    WrongSeed,
    ModelSwapped,
    RandomBytes,
    /// Leaves out so many blocks in a hundred and fills them from their neighbours.
    SkippedBlocks(u64),
    /// Hands in the same place of another frame, or another place.
    PreviousFrame,
    OtherTile,
    /// One leaf of each tile is false.
    OneBlock,
    /// True leaves that claim more work than there was.
    Inflator,
    /// Never opens what it committed to.
    Withholder,
    /// Reports only when its lease is long gone, and renews none.
    Late,
    /// Says everything twice.
    Repeater,
    /// Sends again, much later, what it once said.
    Replayer,
    /// Reports leases of others as its own.
    Thief,
    /// Hands in another worker's tile where it has seen one.
    Copier,
    /// Answers audits without computing: whatever it saw last.
    LazyAuditor,
    /// Honest tiles, false opinions.
    FalseAccuser,
    /// The same, in a ring of several owners: they all say the same false thing.
    Accomplice,
    /// A ring of several owners that forge every tile alike, and say of every tile what they would
    /// have forged.
    Clan,
    /// Answers no audit.
    Mute,
    /// Forges every tile and vouches for what others of its owner forged.
    Colluder,
    /// Forges only after so many honest tiles.
    TurnsBad(u32),
    /// Claims a thousand times its speed and 64 slots.
    Overstater,
}

impl Conduct {
    /// One that is not honest.
    pub fn draw(chance: &mut Chance) -> Self {
        const SIMPLE: [Conduct; 23] = [
            Conduct::CopiedSamples,
            Conduct::FewerSamples,
            Conduct::Upscaled,
            Conduct::Denoised,
            Conduct::WrongSeed,
            Conduct::ModelSwapped,
            Conduct::RandomBytes,
            Conduct::PreviousFrame,
            Conduct::OtherTile,
            Conduct::OneBlock,
            Conduct::Inflator,
            Conduct::Withholder,
            Conduct::Late,
            Conduct::Repeater,
            Conduct::Replayer,
            Conduct::Thief,
            Conduct::Copier,
            Conduct::LazyAuditor,
            Conduct::FalseAccuser,
            Conduct::Accomplice,
            Conduct::Mute,
            Conduct::Colluder,
            Conduct::Overstater,
        ];
        match chance.below(SIMPLE.len() as u64 + 2) {
            0 => Self::SkippedBlocks(1 + chance.below(99)),
            1 => Self::TurnsBad(chance.below(20) as u32),
            n => SIMPLE[n as usize - 2],
        }
    }

    /// Whether some of what it forges may go unseen, as it forges so little.
    pub fn is_subtle(self) -> bool {
        let all = [Self::Upscaled, Self::Denoised, Self::WrongSeed, Self::ModelSwapped];
        let harmless = [Self::Honest, Self::Withholder, Self::Late, Self::Repeater, Self::Thief];
        let quiet = [Self::Replayer, Self::LazyAuditor, Self::FalseAccuser, Self::Accomplice];
        let mute = [Self::Mute];
        let whole = [Self::RandomBytes, Self::PreviousFrame, Self::OtherTile, Self::Overstater];
        ![&all[..], &harmless, &quiet, &mute, &whole].concat().contains(&self)
    }
}

/// A result on a worker's disk: the leaves behind a commitment, and the report.
#[derive(Clone, Debug)]
pub struct Finished {
    pub leaves: Vec<Leaf>,
    pub outcome: Outcome,
    /// Something in it is not as an honest worker would say.
    pub false_: bool,
}

/// A worker's process.
#[derive(Debug)]
pub struct Actor {
    pub key: [u8; 32],
    pub owner: AccountId,
    pub id: Option<WorkerId>,
    pub conduct: Conduct,
    pub agent: Agent,
    /// Its stream is open and was welcomed.
    pub online: bool,
    /// Counts streams: what was sent to an earlier one does not arrive.
    pub stream: u32,
    /// The farm will not have it back.
    pub out: bool,
    pub cut_off: bool,
    /// How fast its clock runs, per mille.
    pub clock: u64,
    pub results: BTreeMap<LeaseId, Finished>,
    pub tiles_done: u32,
    /// Leases about which it said something false.
    pub lies: BTreeSet<LeaseId>,
    /// The leaves it computed or saw last.
    pub seen: Vec<Leaf>,
}

/// What the worker world knows: what the honest handed in, and what colluders tell their friends.
#[derive(Debug, Default)]
pub struct Gossip {
    forged: BTreeMap<(JobId, u64, AccountId), Vec<Leaf>>,
    honest: BTreeMap<(JobId, u64), Vec<Leaf>>,
}

/// The true leaves of a tile that is made of these outputs of another job, or of none.
pub fn truth(spec: &Spec, job: JobId, tile: u64, inputs: &[Digest]) -> Vec<Leaf> {
    let count = spec.leaves(&spec.tile(tile));
    let inputs: Vec<u8> = inputs.iter().flat_map(|input| input.0).collect();
    let leaf = |index: u32| {
        let mut bytes = vec![0; 16];
        bytes[..4].copy_from_slice(&job.0.to_le_bytes());
        bytes[4..12].copy_from_slice(&tile.to_le_bytes());
        bytes[12..].copy_from_slice(&index.to_le_bytes());
        bytes.extend_from_slice(&inputs);
        Leaf { hash: Digest::of(&bytes), units: 100 + u64::from(index % 7) }
    };
    (0..count).map(leaf).collect()
}

/// The true output of a tile: a digest over its leaves.
pub fn output_of(leaves: &[Leaf]) -> Digest {
    let bytes: Vec<u8> = leaves.iter().flat_map(|leaf| leaf.hash.0).collect();
    Digest::of(&bytes)
}

/// What a clan makes of true leaves.
fn as_the_clan(truth: &[Leaf]) -> Vec<Leaf> {
    let bent = |leaf: &Leaf| Digest::of(&[&leaf.hash.0[..], b"clan"].concat());
    truth.iter().map(|leaf| Leaf { hash: bent(leaf), units: leaf.units }).collect()
}

/// The leaves of the tile so many before this one.
fn another(spec: &Spec, job: JobId, tile: u64, before: u64) -> Vec<Leaf> {
    truth(spec, job, (tile + spec.tiles() - before % spec.tiles()) % spec.tiles(), &[])
}

impl Actor {
    pub fn new(at: usize, owner: u32, conduct: Conduct, clock: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&(at as u64 + 1).to_le_bytes());
        Self {
            key,
            owner: AccountId(owner),
            id: None,
            conduct,
            agent: Agent::default(),
            online: false,
            stream: 0,
            out: false,
            cut_off: false,
            clock,
            results: BTreeMap::new(),
            tiles_done: 0,
            lies: BTreeSet::new(),
            seen: Vec::new(),
        }
    }

    /// Computes a lease after its own manner.
    pub fn compute(
        &mut self,
        chance: &mut Chance,
        gossip: &mut Gossip,
        specs: &[Spec],
        work: &Work,
    ) -> Finished {
        let Work { job, tile, leaves: asked, inputs } = work;
        let (job, tile) = (*job, *tile);
        let spec = &specs[job.0 as usize];
        let truth = truth(spec, job, tile, inputs);
        if !asked.is_empty() {
            return self.answer(chance, gossip, (job, tile), &truth, asked);
        }
        let mut leaves = self.forge(chance, gossip, spec, (job, tile), truth.clone());
        leaves.resize(truth.len(), Leaf { hash: Digest::default(), units: 100 });
        let false_ = leaves != truth;
        self.tiles_done += 1;
        self.seen.clone_from(&leaves);
        match self.conduct {
            Conduct::Honest => drop(gossip.honest.insert((job, tile), leaves.clone())),
            Conduct::Colluder => {
                gossip.forged.insert((job, tile, self.owner), leaves.clone());
            }
            _ => {}
        }
        let commitment = leaf::commit(&leaves).expect("every tile has a leaf");
        let outcome = Outcome::Done { output: output_of(&leaves), commitment };
        Finished { leaves, outcome, false_ }
    }

    /// An audit's answer.
    fn answer(
        &mut self,
        chance: &mut Chance,
        gossip: &Gossip,
        (job, tile): (JobId, u64),
        truth: &[Leaf],
        asked: &[u32],
    ) -> Finished {
        let pick = |from: &[Leaf]| -> Vec<Leaf> {
            asked.iter().map(|at| from.get(*at as usize).copied().unwrap_or_default()).collect()
        };
        let right = pick(truth);
        let mut answer = right.clone();
        match self.conduct {
            Conduct::Clan => answer = pick(&as_the_clan(truth)),
            Conduct::FalseAccuser => answer[0].hash = Digest::of(&chance.bits().to_le_bytes()),
            Conduct::Accomplice => {
                let bytes = [&right[0].hash.0[..], b"accomplices"].concat();
                answer[0].hash = Digest::of(&bytes);
            }
            Conduct::LazyAuditor => answer = pick(&self.seen),
            Conduct::Colluder => {
                let friend = gossip.forged.get(&(job, tile, self.owner));
                answer = friend.map_or(answer, |forged| pick(forged));
            }
            _ => self.seen = truth.to_vec(),
        }
        let false_ = answer != right;
        Finished { leaves: Vec::new(), outcome: Outcome::Leaves(answer), false_ }
    }

    /// The leaves that it hands in for a tile.
    fn forge(
        &self,
        chance: &mut Chance,
        gossip: &Gossip,
        spec: &Spec,
        (job, tile): (JobId, u64),
        mut leaves: Vec<Leaf>,
    ) -> Vec<Leaf> {
        let count = leaves.len();
        // Two owners that cheat in the same way get different leaves here.
        let own = [self.owner.0 as u8, 77];
        let bend = |leaf: &mut Leaf| leaf.hash = Digest::of(&[&leaf.hash.0[..], &own].concat());
        match self.conduct {
            Conduct::CopiedSamples => leaves[count.div_ceil(2)..].iter_mut().for_each(bend),
            Conduct::FewerSamples => leaves[count.div_ceil(8)..].iter_mut().for_each(bend),
            Conduct::SkippedBlocks(parts) => {
                leaves.iter_mut().filter(|_| chance.percent(parts)).for_each(bend);
            }
            Conduct::OneBlock => bend(&mut leaves[chance.below(count as u64) as usize]),
            Conduct::Inflator => leaves.iter_mut().for_each(|leaf| leaf.units += 50),
            Conduct::PreviousFrame => {
                leaves = another(spec, job, tile, spec.tiles_per_frame());
                leaves.iter_mut().for_each(bend);
            }
            Conduct::OtherTile => {
                leaves = another(spec, job, tile, 1);
                leaves.iter_mut().for_each(bend);
            }
            Conduct::Copier => {
                if !gossip.honest.contains_key(&(job, tile))
                    && let Some(other) = gossip.honest.values().next()
                {
                    leaves = other.clone();
                    leaves.iter_mut().for_each(bend);
                }
            }
            Conduct::Clan => leaves = as_the_clan(&leaves),
            Conduct::TurnsBad(after) if self.tiles_done < after => {}
            Conduct::RandomBytes => {
                for leaf in &mut leaves {
                    leaf.hash = Digest::of(&chance.bits().to_le_bytes());
                }
            }
            Conduct::Upscaled
            | Conduct::Denoised
            | Conduct::WrongSeed
            | Conduct::ModelSwapped
            | Conduct::Colluder
            | Conduct::TurnsBad(_) => leaves.iter_mut().for_each(bend),
            _ => {}
        }
        leaves
    }
}
