//! Audits: which results get a second opinion, and what opinions mean. Knows no money.

use crate::digest::Digest;
use crate::farm::Secret;
use crate::id::{AccountId, LeaseId, WorkerId};
use crate::leaf::{Commitment, Indices, Leaf};
use crate::limit;
use crate::prng::Draws;
use crate::{layout_enum, layout_struct};
use arrayvec::ArrayVec;
use smallvec::SmallVec;

/// What is computed a second time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    Whole,
    Leaves(Indices),
}

impl Question {
    /// The leaves asked for; none for the whole tile.
    pub fn leaves(&self) -> Indices {
        match self {
            Self::Whole => Indices::new(),
            Self::Leaves(leaves) => leaves.clone(),
        }
    }
}

/// One auditor's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opinion {
    pub worker: WorkerId,
    pub owner: AccountId,
    pub value: Digest,
}

/// What is drawn for a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    pub question: Question,
    pub lot: Lot,
}

/// The lot of the first auditor, drawn along with the question: one keyed hash serves for both.
/// It counts in its own epoch only, while nobody outside can know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lot {
    pub epoch: u32,
    pub draw: u64,
}

impl Lot {
    /// The draw, if this is still its epoch.
    pub fn draw_in(&self, epoch: u32) -> Option<u64> {
        (self.epoch == epoch).then_some(self.draw)
    }
}

/// A reported tile on its way to a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub output: Digest,
    pub commitment: Commitment,
    /// Leaves of its tile.
    pub leaves: u32,
    pub question: Question,
    pub lot: Lot,
    /// The claim's own answer to the question; for leaves known once they are opened.
    pub answer: Option<Digest>,
    /// Work units of the question, for the auditors' pay.
    pub units_asked: u64,
    pub opinions: SmallVec<[Opinion; 1]>,
    /// Auditors drawn who have not answered yet.
    pub asked: SmallVec<[WorkerId; 4]>,
    /// Auditors still to be drawn.
    pub wanted: u32,
    /// Owners that were asked and gave no answer.
    pub silent: Vec<AccountId>,
}

impl Claim {
    /// Whether nobody was asked about it yet.
    pub fn is_unheard(&self) -> bool {
        self.opinions.is_empty() && self.asked.is_empty() && self.silent.is_empty()
    }
}

layout_enum!(Question { 0 = Whole, 1 = Leaves(leaves) });
layout_struct!(Lot { epoch, draw });
layout_struct!(Opinion { worker, owner, value });
layout_struct!(Commitment { root, units });
layout_struct!(Claim {
    output,
    commitment,
    leaves,
    question,
    lot,
    answer,
    units_asked,
    opinions,
    asked,
    wanted,
    silent,
});

/// Draws the question for a report: full replicas for newcomers and now and then for everyone,
/// else leaves, fewer the longer the worker has been clean. `clean` counts its clean tiles.
pub(crate) fn draw(
    secret: &Secret,
    lease: LeaseId,
    root: &Digest,
    clean: u64,
    leaves: u32,
) -> Drawn {
    let mut subject = [0; 40];
    subject[..8].copy_from_slice(&lease.to_u64().to_le_bytes());
    subject[8..].copy_from_slice(&root.0);
    let mut draws = Draws::new(&secret.secret, &subject);
    let parts = match clean {
        0 => 1_000_000,
        _ => (limit::REPLICAS_FIRST * 1_000_000 / clean).clamp(limit::REPLICA_PARTS_MIN, 1_000_000),
    };
    let whole = draws.happens(parts as u32);
    let lot = Lot { epoch: secret.epoch, draw: draws.next() };
    if whole {
        return Drawn { question: Question::Whole, lot };
    }
    let wanted = limit::LEAVES_DRAWN_MAX * 64 / (64 + clean);
    let wanted = wanted.clamp(limit::LEAVES_DRAWN_MIN, limit::LEAVES_DRAWN_MAX);
    Drawn { question: Question::Leaves(draws.distinct(wanted as u32, leaves)), lot }
}

/// The answer to [`Question::Whole`].
pub fn value_of_tile(output: &Digest, commitment: &Commitment) -> Digest {
    let mut bytes = [0; 72];
    bytes[..32].copy_from_slice(&output.0);
    bytes[32..64].copy_from_slice(&commitment.root.0);
    bytes[64..].copy_from_slice(&commitment.units.to_le_bytes());
    Digest::of(&bytes)
}

/// The answer to [`Question::Leaves`]: a digest over the leaves in the question's order, which are
/// no more than can be drawn.
pub fn value_of_leaves<'a>(leaves: impl Iterator<Item = &'a Leaf>) -> Digest {
    let mut bytes = ArrayVec::<u8, { Leaf::BYTES * limit::LEAVES_DRAWN_MAX as usize }>::new();
    for leaf in leaves {
        bytes.try_extend_from_slice(&leaf.to_bytes()).expect("no more than can be drawn");
    }
    Digest::of(&bytes)
}

/// What opinions mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This value is the truth.
    Value(Digest),
    /// More opinions are needed.
    Escalate,
    /// No majority among as many as may be asked.
    Undecided,
}

/// Judges a claim's answer and the opinions on it. One agreeing opinion is enough; once two
/// differ, it takes three and a strict majority.
pub fn judge(answer: Digest, opinions: &[Opinion]) -> Verdict {
    if !opinions.is_empty() && opinions.iter().all(|opinion| opinion.value == answer) {
        return Verdict::Value(answer);
    }
    let values = || opinions.iter().map(|opinion| opinion.value).chain([answer]);
    let count = values().count();
    let majority = values().find(|value| values().filter(|v| v == value).count() * 2 > count);
    match majority {
        Some(value) if count >= 3 => Verdict::Value(value),
        _ if opinions.len() + limit::ESCALATION > limit::OPINIONS_MAX => Verdict::Undecided,
        _ => Verdict::Escalate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(claim: u8, opinions: &[u8]) -> Verdict {
        let value = |v: u8| Digest([v; 32]);
        let opinion =
            |v: &u8| Opinion { worker: WorkerId(0), owner: AccountId(0), value: value(*v) };
        judge(value(claim), &opinions.iter().map(opinion).collect::<Vec<_>>())
    }

    #[test]
    fn opinions_mean_what_they_should() {
        let truth = Verdict::Value(Digest([1; 32]));
        assert_eq!(judged(1, &[]), Verdict::Escalate);
        assert_eq!(judged(1, &[1]), truth);
        assert_eq!(judged(1, &[2]), Verdict::Escalate);
        assert_eq!(judged(2, &[1]), Verdict::Escalate);
        assert_eq!(judged(2, &[1, 1]), truth);
        assert_eq!(judged(1, &[2, 1]), truth);
        assert_eq!(judged(1, &[2, 3]), Verdict::Escalate);
        assert_eq!(judged(1, &[2, 1, 1]), truth);
        assert_eq!(judged(1, &[2, 2, 1]), Verdict::Escalate);
        assert_eq!(judged(1, &[2, 3, 4, 5, 6, 7]), Verdict::Undecided);
    }

    #[test]
    fn newcomers_are_replicated_and_the_trusted_are_sampled() {
        let question = |clean, n: u32| {
            let secret = Secret { epoch: 1, secret: [7; 32] };
            let lease = LeaseId { slot: n, epoch: 1 };
            draw(&secret, lease, &Digest([3; 32]), clean, 256).question
        };
        assert!((0..200).all(|n| question(9, n) == Question::Whole));
        let whole = (0..20_000).filter(|n| question(1_000_000, *n) == Question::Whole).count();
        assert!((50..150).contains(&whole), "about 100 of 20,000, not {whole}");
        for n in 0..200 {
            if let Question::Leaves(leaves) = question(100_000, n) {
                assert_eq!(leaves.len(), 4);
                assert!(leaves.iter().all(|leaf| *leaf < 256));
            }
            if let Question::Leaves(leaves) = question(64, n) {
                assert_eq!(leaves.len(), 8);
            }
        }
    }
}
