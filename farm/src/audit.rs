//! Audits: which results get a second opinion, and what opinions mean. Knows no money.

use crate::digest::Digest;
use crate::entry::{Extra, Tried};
use crate::farm::Secret;
use crate::id::{AccountId, LeaseId, WorkerId};
use crate::leaf::{Commitment, Indices, Leaf};
use crate::limit;
use crate::prng::{self, Draws};
use crate::time::Time;
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

/// The answer to a question. Answers are compared as they are; only the public log wants digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Whole`]; see [`Answer::to_whole`].
    Whole(Digest),
    /// To [`Question::Leaves`], in its order: no more than can be drawn.
    Leaves(Vec<Leaf>),
}

impl Answer {
    /// The answer to [`Question::Whole`]: a digest over the output and the commitment.
    pub fn to_whole(output: &Digest, commitment: &Commitment) -> Self {
        let mut bytes = [0; 72];
        bytes[..32].copy_from_slice(&output.0);
        bytes[32..64].copy_from_slice(&commitment.root.0);
        bytes[64..].copy_from_slice(&commitment.units.to_le_bytes());
        Self::Whole(Digest::of(&bytes))
    }

    /// What the public log says of it: of leaves a digest over all of them.
    pub fn digest(&self) -> Digest {
        let leaves = match self {
            Self::Whole(digest) => return *digest,
            Self::Leaves(leaves) => leaves,
        };
        let mut bytes = ArrayVec::<u8, { Leaf::BYTES * limit::LEAVES_DRAWN_MAX as usize }>::new();
        for leaf in leaves {
            bytes.try_extend_from_slice(&leaf.to_bytes()).expect("no more than can be drawn");
        }
        Digest::of(&bytes)
    }
}

/// What one auditor says of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opinion<V> {
    pub worker: WorkerId,
    pub owner: AccountId,
    /// Its answer, unless that is the claim's own.
    pub contrary: Option<V>,
    /// It is an arbiter's.
    pub decides: bool,
    /// It was judged before, and paid for.
    pub paid: bool,
}

/// What is drawn for a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    pub question: Question,
    pub lot: Lot,
    pub extra: Extra,
}

/// The lot of the first auditor, drawn along with the question: one keyed hash serves for both.
/// It counts in its own epoch only, while nobody outside can know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lot {
    pub epoch: u32,
    pub draw: u64,
}

impl Lot {
    /// Of no epoch.
    pub const NONE: Self = Self { epoch: u32::MAX, draw: 0 };

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
    /// The outputs that the tile was made of where an upstream feeds its job.
    pub inputs: Vec<Digest>,
    pub question: Question,
    pub lot: Lot,
    pub extra: Extra,
    /// The claim's own answer to the question; for leaves known once they are opened.
    pub answer: Option<Answer>,
    /// Work units of the question, for the auditors' pay.
    pub units_asked: u64,
    pub opinions: SmallVec<[Opinion<Answer>; 1]>,
    /// Auditors drawn who have not answered yet.
    pub asked: SmallVec<[WorkerId; 4]>,
    /// Auditors still to be drawn, and how many ever were.
    pub wanted: u32,
    pub asks: u32,
    /// Owners that were asked and gave no answer, and when.
    pub silent: Vec<(AccountId, Time)>,
    /// Somebody put down a deposit for it: nobody but an arbiter is asked.
    pub appealed: bool,
    /// Its worker had little to lose as it reported it.
    pub unsecured: bool,
    /// Those who had vouched for it before, where others are to.
    pub before: Vec<WorkerId>,
}

impl Claim {
    /// A question about what is reported that nobody was heard about yet.
    pub fn new(
        output: Digest,
        commitment: Commitment,
        inputs: Vec<Digest>,
        question: Question,
    ) -> Self {
        let answer = match &question {
            Question::Whole => Some(Answer::to_whole(&output, &commitment)),
            Question::Leaves(_) => None,
        };
        Self {
            output,
            commitment,
            leaves: 0,
            inputs,
            question,
            lot: Lot::NONE,
            extra: Extra::Nothing,
            answer,
            units_asked: commitment.units,
            opinions: SmallVec::new(),
            asked: SmallVec::new(),
            wanted: 1,
            asks: 0,
            silent: Vec::new(),
            appealed: false,
            unsecured: false,
            before: Vec::new(),
        }
    }

    /// Whether an arbiter is called for.
    pub fn is_contested(&self) -> bool {
        self.appealed || !self.is_agreed()
    }

    /// Whether one is, and none was heard.
    pub fn is_undecided(&self) -> bool {
        self.is_contested() && !self.is_decided()
    }

    /// Whether all who were heard agree with it.
    pub fn is_agreed(&self) -> bool {
        self.opinions.iter().all(|opinion| opinion.contrary.is_none())
    }

    /// Those who agree with it.
    pub fn vouched(&self) -> impl Iterator<Item = WorkerId> {
        let agree = self.opinions.iter().filter(|opinion| opinion.contrary.is_none());
        agree.map(|opinion| opinion.worker)
    }

    /// Whether those who vouch for it are paid only once its tile's pay is final: what they were
    /// asked is as much work as the tile, and no arbiter has decided.
    pub fn is_vouched_for(&self) -> bool {
        self.question == Question::Whole && !self.is_decided()
    }

    /// Whether an arbiter has said what it is.
    pub fn is_decided(&self) -> bool {
        self.opinions.iter().any(|opinion| opinion.decides)
    }

    /// Whether this owner was asked a moment ago and gave no answer.
    pub fn is_silent(&self, owner: AccountId, now: Time) -> bool {
        let lately = |at: Time| now < at.after_ms(limit::AUDIT_AGAIN_MS);
        self.silent.iter().any(|(silent, at)| *silent == owner && lately(*at))
    }
}

layout_enum!(Question { 0 = Whole, 1 = Leaves(leaves) });
layout_struct!(Lot { epoch, draw });
layout_enum!(Answer { 0 = Whole(digest), 1 = Leaves(leaves) });
layout_struct!(Opinion<Answer> { worker, owner, contrary, decides, paid });
layout_struct!(Commitment { root, units });
layout_struct!(Claim {
    output,
    commitment,
    leaves,
    inputs,
    question,
    lot,
    extra,
    answer,
    units_asked,
    opinions,
    asked,
    wanted,
    asks,
    silent,
    appealed,
    unsecured,
    before,
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
    let whole = draws.happens(replica_parts(clean) as u32);
    let lot = Lot { epoch: secret.epoch, draw: draws.next() };
    let extra = match draws.below(1_000_000) {
        parts if parts < limit::TWICE_PARTS => Extra::Twice,
        parts if parts < limit::TWICE_PARTS + limit::RINGER_PARTS => Extra::Ringer,
        _ => Extra::Nothing,
    };
    if whole {
        return Drawn { question: Question::Whole, lot, extra };
    }
    let leaves = draws.distinct(leaves_drawn(clean) as u32, leaves);
    Drawn { question: Question::Leaves(leaves), lot, extra }
}

/// Of a million tiles of a worker with so many clean ones, those that are computed in full again.
pub(crate) fn replica_parts(clean: u64) -> u64 {
    let parts = (limit::REPLICAS_FIRST.pow(2) * 1_000_000).checked_div(clean.saturating_mul(clean));
    parts.unwrap_or(1_000_000).clamp(limit::REPLICA_PARTS_MIN, 1_000_000)
}

/// Leaves drawn of its other tiles.
pub(crate) fn leaves_drawn(clean: u64) -> u64 {
    let wanted = limit::LEAVES_DRAWN_MAX * 64 / clean.saturating_add(64);
    wanted.clamp(limit::LEAVES_DRAWN_MIN, limit::LEAVES_DRAWN_MAX)
}

/// How well somebody fits as an auditor, the best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// May not audit this claim.
    No,
    /// May, but was among the worker's last auditors; has the scene at hand or not.
    Stale,
    StaleWarm,
    Fresh,
    FreshWarm,
}

impl Fit {
    /// Of somebody who may audit.
    pub fn of(fresh: bool, warm: bool) -> Self {
        match (fresh, warm) {
            (false, false) => Self::Stale,
            (false, true) => Self::StaleWarm,
            (true, false) => Self::Fresh,
            (true, true) => Self::FreshWarm,
        }
    }
}

/// The places that are drawn for a claim's auditor, one after the other: the first for a claim that
/// nobody was asked about yet is the `lot` drawn with its question.
pub(crate) fn places<'a>(
    secret: &'a Secret,
    lease: LeaseId,
    root: &'a Digest,
    (ask, lot): (u32, Option<u64>),
    count: u32,
) -> impl Iterator<Item = u32> + 'a {
    let later = std::iter::once_with(move || {
        let mut subject = [0; 44];
        subject[..8].copy_from_slice(&lease.to_u64().to_le_bytes());
        subject[8..40].copy_from_slice(&root.0);
        subject[40..].copy_from_slice(&ask.to_le_bytes());
        let mut draws = Draws::new(&secret.secret, &subject);
        std::iter::repeat_with(move || draws.next())
    });
    let draws = lot.into_iter().chain(later.flatten());
    draws.map(move |draw| prng::scaled(draw, count)).take(limit::AUDITOR_DRAWS)
}

/// Chooses an auditor's place among `count`: the best of those drawn, if it is not stale; else the
/// first one in order from the first drawn. Says which places it looked at by draw.
pub(crate) fn choose(
    places: impl Iterator<Item = u32>,
    count: u32,
    fit: impl Fn(u32) -> Fit,
) -> Option<(u32, Tried)> {
    let mut tried = Tried::new();
    let mut best = (Fit::No, 0);
    for place in places {
        tried.push(place);
        let found = fit(place);
        if found > best.0 {
            best = (found, place);
        }
        if found == Fit::FreshWarm {
            break;
        }
    }
    let first = *tried.first()?;
    if best.0 >= Fit::Fresh {
        return Some((best.1, tried));
    }
    for place in (first..count).chain(0..first) {
        let found = fit(place);
        if found >= Fit::Fresh {
            return Some((place, tried));
        }
        if found > best.0 {
            best = (found, place);
        }
    }
    (best.0 > Fit::No).then_some((best.1, tried))
}

/// Chooses an auditor as [`choose`] does; where opinions differ, among the arbiters, if any of them
/// may be asked.
pub(crate) fn appoint<P: Iterator<Item = u32>>(
    places: impl Fn() -> P,
    count: u32,
    contested: bool,
    is_arbiter: impl Fn(u32) -> bool,
    fit: impl Fn(u32) -> Fit,
) -> Option<(u32, Tried)> {
    let arbiter = |place| if is_arbiter(place) { fit(place) } else { Fit::No };
    let arbiter = contested.then(|| choose(places(), count, arbiter)).flatten();
    arbiter.or_else(|| choose(places(), count, fit))
}

/// What opinions mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<V> {
    /// The truth is this value, or (`None`) the claim's own.
    Truth(Option<V>),
    /// More opinions are needed.
    Escalate,
    /// No majority among as many as may be asked.
    Undecided,
}

/// Judges a claim by the opinions on it, once all who were asked have answered. An arbiter's is the
/// truth. Otherwise one agreeing opinion is enough; once two differ, it takes three and a strict
/// majority, the claim's own answer counted in.
pub fn judge<V: Clone + Eq>(opinions: &[Opinion<V>]) -> Verdict<V> {
    if let Some(arbiter) = opinions.iter().find(|opinion| opinion.decides) {
        return Verdict::Truth(arbiter.contrary.clone());
    }
    if !opinions.is_empty() && opinions.iter().all(|opinion| opinion.contrary.is_none()) {
        return Verdict::Truth(None);
    }
    let values = || opinions.iter().map(|opinion| opinion.contrary.as_ref()).chain([None]);
    let count = values().count();
    let majority = values().find(|value| values().filter(|v| v == value).count() * 2 > count);
    match majority {
        Some(value) if count >= 3 => Verdict::Truth(value.cloned()),
        _ if opinions.len() + limit::ESCALATION > limit::OPINIONS_MAX => Verdict::Undecided,
        _ => Verdict::Escalate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(claim: u8, opinions: &[u8]) -> Verdict<u8> {
        // From 100 on an arbiter says it.
        let contrary = |v: &u8| Some(*v % 100).filter(|v| *v != claim);
        let opinion = |v| Opinion {
            worker: WorkerId(0),
            owner: AccountId(0),
            contrary: contrary(v),
            decides: *v >= 100,
            paid: false,
        };
        judge(&opinions.iter().map(opinion).collect::<Vec<_>>())
    }

    #[test]
    fn opinions_mean_what_they_should() {
        let claimed = Verdict::Truth(None);
        assert_eq!(judged(1, &[]), Verdict::Escalate);
        assert_eq!(judged(1, &[1]), claimed);
        assert_eq!(judged(1, &[2]), Verdict::Escalate);
        assert_eq!(judged(2, &[1]), Verdict::Escalate);
        assert_eq!(judged(2, &[1, 1]), Verdict::Truth(Some(1)));
        assert_eq!(judged(1, &[2, 1]), claimed);
        assert_eq!(judged(1, &[2, 3]), Verdict::Escalate);
        assert_eq!(judged(1, &[2, 1, 1]), claimed);
        assert_eq!(judged(1, &[2, 2, 1]), Verdict::Escalate);
        assert_eq!(judged(1, &[2, 3, 4, 5, 6, 7]), Verdict::Undecided);
        assert_eq!(judged(1, &[2, 101]), claimed);
        assert_eq!(judged(1, &[2, 2, 101]), claimed);
        assert_eq!(judged(1, &[1, 1, 103]), Verdict::Truth(Some(3)));
    }

    #[test]
    fn the_log_says_of_leaves_a_digest_over_all_of_them() {
        let leaf = |n: u8| Leaf { hash: Digest([n; 32]), units: u64::from(n) };
        let leaves: Vec<Leaf> = (0..limit::LEAVES_DRAWN_MAX as u8).map(leaf).collect();
        let bytes: Vec<u8> = leaves.iter().flat_map(Leaf::to_bytes).collect();
        assert_eq!(Answer::Leaves(leaves).digest(), Digest::of(&bytes));
        let whole = Answer::to_whole(&leaf(1).hash, &Commitment { root: leaf(2).hash, units: 3 });
        let bytes = [&[1; 32][..], &[2; 32], &3_u64.to_le_bytes()].concat();
        assert_eq!(whole.digest(), Digest::of(&bytes));
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
