//! Actors: workers of the simulated world, honest and otherwise, around the real agent.

use crate::Chance;
use farm::agent::Agent;
use farm::command::Outcome;
use farm::digest::Digest;
use farm::id::{AccountId, JobId, LeaseId, WorkerId};
use farm::job::Spec;
use farm::leaf::{self, Leaf};
use std::collections::BTreeMap;

/// How a worker behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    Honest,
    /// Forges about so many leaves in a hundred of every tile.
    Forger(u64),
    /// Honest tiles, false opinions.
    FalseAccuser,
    /// Never opens what it committed to.
    Withholder,
    /// Forges only after this many honest tiles.
    TurnsBad(u32),
}

/// A worker's process.
#[derive(Debug)]
pub struct Actor {
    pub key: [u8; 32],
    pub owner: AccountId,
    pub id: Option<WorkerId>,
    pub conduct: Conduct,
    pub agent: Agent,
    pub online: bool,
    /// Counts streams: what was sent on an earlier one does not arrive.
    pub stream: u32,
    /// Kept results: the leaves behind each commitment, and the report.
    pub results: BTreeMap<LeaseId, (Vec<Leaf>, Outcome)>,
    pub tiles_done: u32,
}

/// The true leaves of a tile.
pub fn truth(spec: &Spec, job: JobId, tile: u64) -> Vec<Leaf> {
    let count = spec.leaves(&spec.tile(tile));
    let leaf = |index: u32| {
        let mut bytes = job.0.to_le_bytes().to_vec();
        bytes.extend_from_slice(&tile.to_le_bytes());
        bytes.extend_from_slice(&index.to_le_bytes());
        Leaf { hash: Digest::of(&bytes), units: 100 + u64::from(index % 7) }
    };
    (0..count).map(leaf).collect()
}

/// The true output of a tile: a digest over its leaves.
pub fn output_of(leaves: &[Leaf]) -> Digest {
    let bytes: Vec<u8> = leaves.iter().flat_map(|leaf| leaf.hash.0).collect();
    Digest::of(&bytes)
}

impl Actor {
    /// Computes a lease after its own manner.
    pub fn compute(
        &mut self,
        chance: &mut Chance,
        spec: &Spec,
        (job, tile): (JobId, u64),
        asked: &[u32],
    ) -> (Vec<Leaf>, Outcome) {
        let mut leaves = truth(spec, job, tile);
        if !asked.is_empty() {
            let mut answer: Vec<Leaf> = asked.iter().map(|leaf| leaves[*leaf as usize]).collect();
            if self.conduct == Conduct::FalseAccuser {
                answer[0].hash = Digest::of(&chance.bits().to_le_bytes());
            }
            return (Vec::new(), Outcome::Leaves(answer));
        }
        let forged = match self.conduct {
            Conduct::Forger(parts) => parts,
            Conduct::TurnsBad(after) if self.tiles_done >= after => 100,
            _ => 0,
        };
        for leaf in &mut leaves {
            if chance.percent(forged) {
                leaf.hash = Digest::of(&chance.bits().to_le_bytes());
            }
        }
        self.tiles_done += 1;
        let commitment = leaf::commit(&leaves).expect("every tile has a leaf");
        let outcome = Outcome::Done { output: output_of(&leaves), commitment };
        (leaves, outcome)
    }
}
