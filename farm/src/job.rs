//! A job: what was ordered, what it may cost, how far it is.

use crate::chain::{Feed, OwnPaid, Upstream};
use crate::command::Submit;
use crate::cut::Cut;
use crate::digest::Digest;
use crate::id::{AccountId, JobId};
use crate::layout::{self, Layout};
use crate::model::{Licence, Royalty};
use crate::money::{Amount, Price};
use crate::ranges::Ranges;
use crate::time::Time;
use crate::view::JobState;
use crate::{layout_enum, layout_struct, limit};
use std::collections::BTreeMap;

/// What is to be rendered. Immutable; together with a tile's place it decides every byte.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Spec {
    pub engine: Digest,
    pub scene: Digest,
    pub environment: Option<Digest>,
    /// Frames `first, first + step, ...` up to `last`, inclusive.
    pub frame_first: u32,
    pub frame_last: u32,
    pub frame_step: u32,
    pub fps: u32,
    pub width: u32,
    pub height: u32,
    /// Side of a tile in pixels, a multiple of a block's side; 0 where there is a cut.
    pub tile_size: u32,
    /// Samples per pixel, a multiple of 4.
    pub samples: u32,
    /// Longest path in segments.
    pub depth: u32,
    pub seed: u32,
    /// What is wanted besides the picture: bits that only the shells understand.
    pub aovs: u32,
    /// Noise, in millionths, at which a block of pixels gets no more samples; 0: all are taken.
    pub noise: u32,
    /// How each frame is parted into tiles, unless into a grid.
    pub cut: Cut,
    /// Inference: the most work units that a tile may take for each of its pixels. 0: a renderer's
    /// work, which samples and depth bound.
    pub work_per_pixel: u32,
    /// The job whose frames these are made of.
    pub upstream: Option<Upstream>,
}

impl Spec {
    /// Whether every size is within its limit.
    pub fn is_valid(&self) -> bool {
        let side = 1..=limit::SIDE_MAX;
        self.frame_step > 0
            && self.frame_first <= self.frame_last
            && (self.frame_last - self.frame_first) / self.frame_step < limit::FRAMES_MAX
            && (1..=1000).contains(&self.fps)
            && side.contains(&self.width)
            && side.contains(&self.height)
            && (4..=limit::SAMPLES_MAX).contains(&self.samples)
            && self.samples.is_multiple_of(4)
            && (1..=limit::DEPTH_MAX).contains(&self.depth)
            && self.noise <= limit::NOISE_MAX
            && self.upstream.is_none_or(|link| link.is_valid() && self.work_per_pixel > 0)
            && self.is_cut_within_limits()
    }

    /// Frames of the job.
    pub fn frames(&self) -> u32 {
        (self.frame_last - self.frame_first) / self.frame_step + 1
    }
    /// Frame number of the n-th frame.
    pub fn frame(&self, n: u32) -> u32 {
        self.frame_first + n * self.frame_step
    }
}

layout_struct!(Spec {
    engine,
    scene,
    environment,
    frame_first,
    frame_last,
    frame_step,
    fps,
    width,
    height,
    tile_size,
    samples,
    depth,
    seed,
    aovs,
    noise,
    work_per_pixel,
    cut,
    upstream,
});

impl Spec {
    /// Reads a spec in its fixed layout; those of old receipts end before `upstream`.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let old = || layout::read(&[bytes, &[0]].concat());
        layout::read(bytes).or_else(old)
    }

    /// Digest of the spec in its fixed layout. It ends before `upstream` if there is none, then
    /// before `cut`, or before the first of the words before that from which on there are only
    /// zeros, so that what old public logs say of jobs can be derived again.
    pub fn digest(&self) -> Digest {
        let mut bytes = Vec::with_capacity(160 + size_of_val(self.cut.words()));
        self.put(&mut bytes);
        if self.upstream.is_some() {
            return Digest::of(&bytes);
        }
        bytes.truncate(bytes.len() - size_of::<bool>());
        if self.cut.is_none() {
            let last = [self.work_per_pixel, self.noise, self.aovs];
            let zeros = last.iter().take_while(|word| **word == 0).count();
            bytes.truncate(bytes.len() - size_of::<u64>() - zeros * size_of::<u32>());
        }
        Digest::of(&bytes)
    }
}

/// A job's life. Waiting tiles are the numbers from `next` to the end; only tiles that came back
/// are listed.
#[derive(Debug)]
pub struct Job {
    pub account: AccountId,
    pub spec: Spec,
    pub cap: Amount,
    pub price: Price,
    pub priority: u8,
    pub private: bool,
    pub audit_own: bool,
    /// The published model that it uses, and what it owes for that.
    pub licence: Option<Licence>,
    pub seal: Option<Digest>,
    pub watermark: bool,
    /// Tiles in all and of one frame, and the most that one can cost: they follow from the spec
    /// and the price, and every command asks for them.
    pub tiles: u64,
    pub tiles_per_frame: u64,
    pub tile_cost_max: Amount,
    pub state: JobState,
    pub failure: String,
    pub created: Time,
    pub ended: Option<Time>,
    /// Where it waits in the queue, and whether it does.
    pub lane: u32,
    pub queued: bool,
    /// The first tile that was never leased. Where an upstream feeds the job: how many tiles were,
    /// but for those that wait for it again.
    pub next: u64,
    /// Where an upstream feeds the job, the tiles that may be leased and never were.
    pub ready: Option<Ranges>,
    /// Tiles to be leased again.
    pub again: BTreeMap<u64, Again>,
    /// Failures of tiles that are not accepted yet.
    pub failures: BTreeMap<u64, Failures>,
    /// Tiles being computed; tiles reported; what the reported ones cost.
    pub computing: u64,
    pub claims: u64,
    pub claims_cost: Amount,
    pub accepted: u64,
    pub refuted: u64,
    pub units: u64,
    /// Paid for accepted tiles, and how much of that as royalties.
    pub spent: Amount,
    pub royalties: Amount,
    /// Frames with a delivered tile, until nothing about them can change, by place in the job.
    pub frames: BTreeMap<u32, Frame>,
    /// Stored images by place in the job.
    pub images: BTreeMap<u32, Image>,
    /// Jobs that are made of its frames, and the tiles that feed them.
    pub dependents: Vec<JobId>,
    pub feeds: BTreeMap<u64, Feed>,
    /// Accepted tiles of the account's own workers, as long as what they are made of may change.
    pub own_paid: BTreeMap<u64, OwnPaid>,
    /// It was done once, and went on.
    pub reopened: bool,
}

/// A tile that waits to be leased again: owners it should rather not go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Again {
    pub avoid: Vec<AccountId>,
}

/// How often a tile failed, and on whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    pub owners: Vec<AccountId>,
    pub count: u32,
    pub undecided: u32,
}

/// A frame with delivered tiles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Output of each delivered tile, by its place in the frame; as long as the last of them.
    outputs: Vec<Option<Digest>>,
    pub delivered: u64,
    pub proven: u64,
    /// Tiles whose payment is final, so that they cannot come back.
    pub settled: u64,
}

impl Frame {
    /// Puts a tile's output in its place, instead of an earlier one.
    pub fn deliver(&mut self, place: u64, output: Digest) {
        let place = place as usize;
        if self.outputs.len() <= place {
            self.outputs.resize(place + 1, None);
        }
        self.delivered += u64::from(self.outputs[place].replace(output).is_none());
    }
    /// Takes a tile's output out.
    pub fn withdraw(&mut self, place: u64) {
        let taken = self.outputs.get_mut(place as usize).and_then(Option::take);
        self.delivered -= u64::from(taken.is_some());
    }
    /// The output in a place, if it is delivered.
    pub fn output(&self, place: u64) -> Option<Digest> {
        self.outputs.get(place as usize).copied().flatten()
    }
    /// The delivered outputs and their places, in order.
    pub fn outputs(&self) -> impl Iterator<Item = (u64, Digest)> {
        let places = (0..).zip(&self.outputs);
        places.filter_map(|(place, output)| Some((place, (*output)?)))
    }
    /// Digest over the outputs in order.
    pub fn made_of(&self) -> Digest {
        let outputs: Vec<[u8; 32]> = self.outputs().map(|(_, output)| output.0).collect();
        Digest::of(outputs.as_flattened())
    }
}

/// Stored images of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    pub exr: Digest,
    pub png: Digest,
    pub proven: bool,
}

layout_enum!(JobState { 1 = Open, 2 = Done, 3 = Cancelled, 4 = Failed, 5 = OutOfBudget });
layout_struct!(Again { avoid });
layout_struct!(Failures { owners, count, undecided });
layout_struct!(Frame { outputs, delivered, proven, settled });
layout_struct!(Image { exr, png, proven });
layout_struct!(Job {
    account,
    spec,
    cap,
    price,
    priority,
    private,
    audit_own,
    licence,
    tiles,
    tiles_per_frame,
    tile_cost_max,
    state,
    failure,
    created,
    ended,
    lane,
    queued,
    next,
    again,
    failures,
    computing,
    claims,
    claims_cost,
    accepted,
    refuted,
    units,
    spent,
    royalties,
    frames,
    images,
    ready,
    dependents,
    feeds,
    own_paid,
    reopened,
    seal,
    watermark,
});

impl Job {
    /// A job just ordered. Who owes a royalty does not count the work that it is paid for.
    pub fn new(submit: Submit, licence: Option<Licence>, created: Time, lane: u32) -> Self {
        let royalty = licence.map_or(Price(0), |licence| licence.royalty);
        Self {
            account: submit.account,
            tiles: submit.spec.tiles(),
            tiles_per_frame: submit.spec.tiles_per_frame(),
            tile_cost_max: tile_cost_max(&submit.spec, submit.price, royalty),
            spec: submit.spec,
            cap: submit.cap,
            price: submit.price,
            priority: submit.priority,
            private: submit.private,
            audit_own: submit.audit_own || royalty.0 > 0,
            licence,
            seal: submit.seal,
            watermark: submit.watermark,
            state: JobState::Open,
            failure: String::new(),
            created,
            ended: None,
            lane,
            queued: false,
            next: 0,
            again: BTreeMap::new(),
            failures: BTreeMap::new(),
            computing: 0,
            claims: 0,
            claims_cost: Amount(0),
            accepted: 0,
            refuted: 0,
            units: 0,
            spent: Amount(0),
            royalties: Amount(0),
            frames: BTreeMap::new(),
            images: BTreeMap::new(),
            ready: None,
            dependents: Vec::new(),
            feeds: BTreeMap::new(),
            own_paid: BTreeMap::new(),
            reopened: false,
        }
    }

    pub fn is_open(&self) -> bool {
        self.state == JobState::Open
    }
    /// A tile's frame, by place in the job, and the tile's place in that frame.
    pub fn place(&self, tile: u64) -> (u32, u64) {
        ((tile / self.tiles_per_frame) as u32, tile % self.tiles_per_frame)
    }
    /// The royalty for so many work units, if any is owed.
    pub fn royalty_of(&self, units: u64) -> Option<Royalty> {
        let Licence { owner, royalty, .. } = self.licence?;
        Some(Royalty { owner, amount: royalty.of(units) }).filter(|royalty| royalty.amount.0 > 0)
    }
    /// What so many work units cost, royalty included.
    pub fn cost_of(&self, units: u64) -> Amount {
        let royalty = self.royalty_of(units).map_or(0, |royalty| royalty.amount.0);
        Amount(self.price.of(units).0 + royalty)
    }
    /// Has tiles to lease.
    pub fn has_work(&self) -> bool {
        self.fresh().is_some() || !self.again.is_empty()
    }
    /// What of its hold is spoken for: the most its computing tiles can cost, and its claims.
    pub fn reserved(&self) -> Amount {
        let most = self.tile_cost_max.0;
        Amount(self.claims_cost.0.saturating_add(self.computing.saturating_mul(most)))
    }
    /// Whether the hold covers one more tile.
    pub fn affords_tile(&self, hold: Amount) -> bool {
        let most = self.tile_cost_max.0;
        self.reserved().0.saturating_add(most) <= hold.0
    }
}

/// The most that a tile can cost, royalty included.
pub(crate) fn tile_cost_max(spec: &Spec, price: Price, royalty: Price) -> Amount {
    Amount(spec.tile_cost_max(price).0 + spec.tile_cost_max(royalty).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cut::Split;

    /// The layout of the first farms: nothing after the seed.
    fn first_layout(spec: &Spec) -> Vec<u8> {
        let mut bytes = Vec::new();
        spec.put(&mut bytes);
        let last = size_of::<bool>() + size_of::<u64>() + 3 * size_of::<u32>();
        bytes.truncate(bytes.len() - last);
        bytes
    }

    #[test]
    fn what_old_logs_say_of_jobs_follows_still_and_every_cut_is_another_job() {
        let grid = Spec { width: 64, height: 64, tile_size: 8, ..Spec::default() };
        let mut bytes = first_layout(&grid);
        assert_eq!(bytes.len(), 32 + 32 + 1 + 10 * 4);
        assert_eq!(grid.digest(), Digest::of(&bytes));
        let mut whole = Vec::new();
        grid.put(&mut whole);
        let cut_off = [&whole[..], &whole[..whole.len() - 1], &whole[..whole.len() - 2]];
        let read = cut_off.map(Spec::read);
        assert_eq!(read, [Some(grid.clone()), Some(grid.clone()), None]);
        let upstream = Some(Upstream { scale: 2, ..Upstream::default() });
        let made = Spec { upstream, ..grid.clone() };
        assert_ne!(made.digest(), grid.digest());
        bytes.extend([5_u32.to_le_bytes(), 7_u32.to_le_bytes()].as_flattened());
        assert_eq!(Spec { aovs: 5, noise: 7, ..grid.clone() }.digest(), Digest::of(&bytes));
        let cut = |at| Cut::of([Split { down: true, at, near: 1 }]);
        let cuts = [Cut::default(), cut(1), cut(2)];
        let digests = cuts.map(|cut| Spec { cut, ..grid.clone() }.digest());
        assert!(digests[0] != digests[1] && digests[1] != digests[2]);
    }
}
