//! Chains: a job whose frames are made of another job's. Which tiles feed which, when a tile may be
//! leased, and what becomes of it when one that fed it turns out false. Knows no pixels.

use crate::command::Submit;
use crate::cut::Area;
use crate::digest::Digest;
use crate::effect::{Effect, Effects};
use crate::entry::{Book, Fact, Reason};
use crate::farm::Farm;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::job::{Again, Job, Spec};
use crate::lease::Role;
use crate::model::Royalty;
use crate::money::Amount;
use crate::reject::Reject;
use crate::settle::HeldTile;
use crate::tile::Tile;
use crate::view::JobState;
use crate::{layout_struct, limit};

/// The job that a job's frames are made of, and how much of a frame each tile takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Upstream {
    pub job: JobId,
    /// Pixels of a side for one of the upstream's.
    pub scale: u32,
    /// How many pixels of the upstream's frame around what a tile shows it is made of, too.
    pub halo: u32,
    /// AOVs of the upstream that are taken besides its light: bits that only the shells understand.
    pub planes: u32,
}

layout_struct!(Upstream { job, scale, halo, planes });

/// An accepted tile that feeds other jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    /// What it was when it was last accepted: all that was made of it was made of this.
    pub output: Digest,
    /// It is accepted; otherwise it is being computed afresh.
    pub stands: bool,
    /// Its pay is final, so that it cannot come back.
    pub settled: bool,
}

layout_struct!(Feed { output, stands, settled });

/// A tile that the account's own worker was paid for while what it was made of may still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnPaid {
    pub worker: WorkerId,
    pub units: u64,
    pub amount: Amount,
}

layout_struct!(OwnPaid { worker, units, amount });

/// A rectangle of pixels: first column and row, and those after the last.
type Rect = [u64; 4];

impl Upstream {
    /// Whether every number is within its limit.
    pub(crate) fn is_valid(&self) -> bool {
        (1..=limit::SCALE_MAX).contains(&self.scale) && self.halo <= limit::SIDE_MAX
    }

    /// What of the upstream's frame a tile is made of; it may reach out of the frame.
    fn under(&self, tile: &Tile) -> Rect {
        let (scale, halo) = (u64::from(self.scale), u64::from(self.halo));
        let first = |at: u32| (u64::from(at) / scale).saturating_sub(halo);
        let end = |at: u32, side: u32| (u64::from(at) + u64::from(side)).div_ceil(scale) + halo;
        [first(tile.x), first(tile.y), end(tile.x, tile.width), end(tile.y, tile.height)]
    }

    /// Of which pixels a tile of the upstream's is a part: the other way round.
    fn over(&self, tile: &Tile) -> Rect {
        let (scale, halo) = (u64::from(self.scale), u64::from(self.halo));
        let first = |at: u32| u64::from(at).saturating_sub(halo) * scale;
        let end = |at: u32, side: u32| (u64::from(at) + u64::from(side) + halo) * scale;
        [first(tile.x), first(tile.y), end(tile.x, tile.width), end(tile.y, tile.height)]
    }
}

impl Spec {
    /// The tiles of the upstream's that this tile is made of, in order.
    pub fn feeders(&self, upstream: &Spec, index: u64) -> Vec<u64> {
        let Some(link) = &self.upstream else { return Vec::new() };
        let tile = self.tile(index);
        upstream.tiles_in(tile.nth_frame, link.under(&tile))
    }

    /// The tiles that an upstream's tile is a part of, in order.
    pub fn fed_by(&self, upstream: &Spec, index: u64) -> Vec<u64> {
        let Some(link) = &self.upstream else { return Vec::new() };
        let tile = upstream.tile(index);
        self.tiles_in(tile.nth_frame, link.over(&tile))
    }

    /// The tiles of a frame that have pixels in a rectangle, in order.
    fn tiles_in(&self, nth_frame: u32, [x, y, end_x, end_y]: Rect) -> Vec<u64> {
        let (end_x, end_y) = (end_x.min(self.width.into()), end_y.min(self.height.into()));
        let first = u64::from(nth_frame) * self.tiles_per_frame();
        if x >= end_x || y >= end_y {
            return Vec::new();
        }
        if !self.cut.is_none() {
            // A cut lies on blocks of 8 pixels.
            let meets = |area: Area| {
                let (left, top) = (u64::from(area.x) * 8, u64::from(area.y) * 8);
                let (right, bottom) =
                    (left + u64::from(area.width) * 8, top + u64::from(area.height) * 8);
                left < end_x && right > x && top < end_y && bottom > y
            };
            let frame = Area::of_frame(self.width, self.height);
            let places = self.cut.tiles_that(frame, meets);
            return places.into_iter().map(|place| first + u64::from(place)).collect();
        }
        let side = u64::from(self.tile_size);
        let across = u64::from(self.width).div_ceil(side);
        let columns = x / side..end_x.div_ceil(side);
        let rows = y / side..end_y.div_ceil(side);
        let row = |row: u64| columns.clone().map(move |column| first + row * across + column);
        rows.flat_map(row).collect()
    }

    /// The most tiles of the upstream's that one tile is made of, or more.
    fn feeders_max(&self, upstream: &Spec) -> u64 {
        let Some(link) = &self.upstream else { return 0 };
        let whole = upstream.tiles_per_frame();
        if !upstream.cut.is_none() {
            return whole;
        }
        let along = |side: u32| {
            let under = u64::from(side.div_ceil(link.scale)) + 2 * u64::from(link.halo) + 2;
            under.div_ceil(upstream.tile_size.into()) + 1
        };
        let tile = self.tile(0);
        whole.min(along(tile.width).saturating_mul(along(tile.height)))
    }
}

/// Numbers in rising order as pairs: the first of a run, and how many follow one another.
pub(crate) fn runs(numbers: &[u64]) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == *number => *count += 1,
            _ => runs.push((*number, 1)),
        }
    }
    runs
}

/// The digest over the outputs that a tile is made of, in order.
pub(crate) fn made_of(inputs: &[Digest]) -> Digest {
    let bytes: Vec<[u8; 32]> = inputs.iter().map(|input| input.0).collect();
    Digest::of(bytes.as_flattened())
}

impl Job {
    /// A tile that was never leased and may be.
    pub(crate) fn fresh(&self) -> Option<u64> {
        match &self.ready {
            None => (self.next < self.tiles).then_some(self.next),
            Some(ready) => ready.first(),
        }
    }
}

impl Farm {
    /// Whether the order's upstream can feed it.
    pub(crate) fn judge_upstream(&self, submit: &Submit) -> Result<(), Reject> {
        let spec = &submit.spec;
        let Some(link) = &spec.upstream else { return Ok(()) };
        let found = self.jobs.get(link.job.0 as usize);
        let found = found.filter(|found| found.account == submit.account);
        let found = found.ok_or(Reject::UpstreamUnknown)?;
        if !found.is_open() || found.reopened {
            return Err(Reject::UpstreamEnded);
        }
        let from = &found.spec;
        let frames = |spec: &Spec| (spec.frame_first, spec.frame_last, spec.frame_step);
        let scaled = |side: u32| u64::from(side) * u64::from(link.scale);
        if frames(from) != frames(spec)
            || scaled(from.width) != u64::from(spec.width)
            || scaled(from.height) != u64::from(spec.height)
        {
            return Err(Reject::UpstreamMismatch);
        }
        if from.aovs & link.planes != link.planes {
            return Err(Reject::PlaneMissing);
        }
        let depth = std::iter::successors(Some(found), |job| {
            Some(&self.jobs[job.spec.upstream?.job.0 as usize])
        });
        if depth.count() >= limit::CHAIN_MAX || found.dependents.len() >= limit::DEPENDENTS_MAX {
            return Err(Reject::ChainTooLong);
        }
        if spec.feeders_max(from) > limit::INPUTS_MAX {
            return Err(Reject::TooManyInputs);
        }
        Ok(())
    }

    /// A job just opened hangs on its upstream: what is accepted there already feeds it.
    pub(crate) fn chain(&mut self, id: JobId, effects: &mut impl Effects) {
        let Some(link) = self.jobs[id.0 as usize].spec.upstream else { return };
        self.jobs[id.0 as usize].ready = Some(Default::default());
        self.log(Fact::JobChained { job: id, upstream: link.job }, effects);
        if self.jobs[link.job.0 as usize].dependents.is_empty() {
            self.begin_feeding(link.job);
        }
        let upstream = &mut self.jobs[link.job.0 as usize];
        upstream.dependents.push(id);
        let fed: Vec<u64> = upstream.feeds.keys().copied().collect();
        for tile in fed {
            self.offer(id, link.job, tile);
        }
    }

    /// Lists what is accepted of a job that nobody hung on before.
    fn begin_feeding(&mut self, id: JobId) {
        let of_job = |lease: &&crate::lease::Lease| {
            lease.job == id && matches!(lease.role, Role::Claimed(_))
        };
        let claimed: Vec<u64> =
            self.leases.iter().map(|(_, l)| l).filter(of_job).map(|lease| lease.tile).collect();
        let held = self.held.iter().flatten().filter(|held| held.job == id && !held.settled);
        let held: Vec<u64> = held.map(|held| held.tile).collect();
        let job = &mut self.jobs[id.0 as usize];
        for (nth, frame) in &job.frames {
            let first = u64::from(*nth) * job.tiles_per_frame;
            for (place, output) in frame.outputs() {
                let tile = first + place;
                if !claimed.contains(&tile) {
                    let settled = !held.contains(&tile);
                    job.feeds.insert(tile, Feed { output, stands: true, settled });
                }
            }
        }
    }

    /// The outputs that this tile is made of; empty where it is made of none.
    pub(crate) fn inputs(&self, id: JobId, tile: u64) -> Vec<Digest> {
        let spec = &self.jobs[id.0 as usize].spec;
        let Some(link) = &spec.upstream else { return Vec::new() };
        let upstream = &self.jobs[link.job.0 as usize];
        let feeders = spec.feeders(&upstream.spec, tile);
        feeders.iter().filter_map(|feeder| Some(upstream.feeds.get(feeder)?.output)).collect()
    }

    /// Says in the log what a leased tile is made of.
    pub(crate) fn log_inputs(
        &mut self,
        lease: LeaseId,
        (id, tile): (JobId, u64),
        inputs: &[Digest],
        effects: &mut impl Effects,
    ) {
        let spec = &self.jobs[id.0 as usize].spec;
        let Some(link) = &spec.upstream else { return };
        let feeders = spec.feeders(&self.jobs[link.job.0 as usize].spec, tile);
        let fed = Fact::Fed { lease, tiles: runs(&feeders), made_of: made_of(inputs) };
        self.log(fed, effects);
    }

    /// Whether all that this tile is made of is accepted. What was accepted last is looked at
    /// first, for tiles come in rising order.
    pub(crate) fn is_fed(&self, id: JobId, tile: u64) -> bool {
        self.unfed(id, tile).is_none()
    }

    /// A tile of the upstream's that this one still waits for.
    pub(crate) fn unfed(&self, id: JobId, tile: u64) -> Option<(JobId, u64)> {
        let spec = &self.jobs[id.0 as usize].spec;
        let link = spec.upstream.as_ref()?;
        let upstream = &self.jobs[link.job.0 as usize];
        let mut feeders = spec.feeders(&upstream.spec, tile).into_iter().rev();
        let unfed = feeders.find(|tile| !upstream.feeds.get(tile).is_some_and(|feed| feed.stands));
        unfed.map(|tile| (link.job, tile))
    }

    /// Whether what this tile is made of cannot change any more.
    pub(crate) fn is_fed_for_good(&self, id: JobId, tile: u64) -> bool {
        let spec = &self.jobs[id.0 as usize].spec;
        let Some(link) = &spec.upstream else { return true };
        let upstream = &self.jobs[link.job.0 as usize];
        if self.is_over(link.job) {
            return true;
        }
        let mut feeders = spec.feeders(&upstream.spec, tile).into_iter().rev();
        feeders.all(|tile| upstream.feeds.get(&tile).is_none_or(|feed| feed.settled))
    }

    /// Notes an accepted tile for those who hang on its job; says what it was before.
    pub(crate) fn note_feed(&mut self, id: JobId, tile: u64) -> Option<Feed> {
        let job = &mut self.jobs[id.0 as usize];
        let (nth, place) = job.place(tile);
        let output = job.frames.get(&nth)?.output(place)?;
        job.feeds.insert(tile, Feed { output, stands: true, settled: false })
    }

    /// An accepted tile feeds what is made of it. Whatever was made of something else in its place
    /// is made afresh.
    pub(crate) fn feed(
        &mut self,
        id: JobId,
        tile: u64,
        before: Option<Feed>,
        effects: &mut impl Effects,
    ) {
        let job = &self.jobs[id.0 as usize];
        let Some(output) = job.feeds.get(&tile).map(|feed| feed.output) else { return };
        let changed = before.filter(|before| before.output != output).is_some();
        for dependent in job.dependents.clone() {
            let state = self.jobs[dependent.0 as usize].state;
            if changed && matches!(state, JobState::Open | JobState::Done) {
                for fed in self.fed_by(dependent, id, tile) {
                    self.remake(dependent, fed, effects);
                }
            }
            self.offer(dependent, id, tile);
            self.refresh(dependent, effects);
        }
    }

    fn fed_by(&self, dependent: JobId, id: JobId, tile: u64) -> Vec<u64> {
        self.jobs[dependent.0 as usize].spec.fed_by(&self.jobs[id.0 as usize].spec, tile)
    }

    /// Tiles of a dependent that this tile is a part of may be leased if nothing else is missing.
    fn offer(&mut self, dependent: JobId, id: JobId, tile: u64) {
        if !self.jobs[dependent.0 as usize].is_open() {
            return;
        }
        for fed in self.fed_by(dependent, id, tile) {
            if self.is_fed(dependent, fed) && !self.is_begun(dependent, fed) {
                let job = &mut self.jobs[dependent.0 as usize];
                job.ready.get_or_insert_default().insert(fed);
            }
        }
    }

    /// Whether a tile was leased and is not to wait for what it is made of.
    fn is_begun(&self, id: JobId, tile: u64) -> bool {
        let job = &self.jobs[id.0 as usize];
        if job.next == 0 {
            return false;
        }
        let (nth, place) = job.place(tile);
        job.again.contains_key(&tile)
            || job.frames.get(&nth).is_some_and(|frame| frame.output(place).is_some())
            || job.computing > 0 && self.lease_of(id, tile).is_some()
    }

    /// Whoever computes this tile or claims to have computed it.
    fn lease_of(&self, id: JobId, tile: u64) -> Option<LeaseId> {
        let mut leases = self.leases.iter();
        let found = leases.find(|(_, lease)| {
            let holds = matches!(lease.role, Role::Computing | Role::Claimed(_));
            lease.job == id && lease.tile == tile && holds
        });
        found.map(|(lease, _)| lease)
    }

    /// A tile that feeds others is to be computed afresh: no tile is leased that waits for it. What
    /// is made of it already may well be right, and is looked at when it is accepted again.
    pub(crate) fn starve(&mut self, id: JobId, tile: u64, effects: &mut impl Effects) {
        let job = &mut self.jobs[id.0 as usize];
        let Some(feed) = job.feeds.get_mut(&tile) else { return };
        (feed.stands, feed.settled) = (false, false);
        for dependent in job.dependents.clone() {
            for fed in self.fed_by(dependent, id, tile) {
                let job = &mut self.jobs[dependent.0 as usize];
                if let Some(ready) = &mut job.ready {
                    ready.remove(fed);
                }
                if job.again.remove(&fed).is_some() {
                    job.next -= 1;
                }
            }
            self.refresh(dependent, effects);
            effects.push(Effect::JobChanged { job: dependent });
        }
    }

    /// What a tile was made of has changed: whoever computes it starts again, and if it was
    /// accepted that ends.
    fn remake(&mut self, id: JobId, tile: u64, effects: &mut impl Effects) {
        let lease = self.lease_of(id, tile);
        match lease.and_then(|at| Some((at, &self.leases.get(at)?.role))) {
            Some((lease, Role::Computing)) => self.take_back(lease, effects),
            Some((lease, _)) => self.drop_claim(lease, effects),
            None => self.unaccept(id, tile, effects),
        }
    }

    /// An accepted tile was made of something false: what it was paid goes back to its job, and the
    /// farm, whose audits did not see it, pays its worker as far as its pots go.
    fn unaccept(&mut self, id: JobId, tile: u64, effects: &mut impl Effects) {
        let job = &self.jobs[id.0 as usize];
        let (nth, place) = job.place(tile);
        if job.frames.get(&nth).and_then(|frame| frame.output(place)).is_none() {
            return;
        }
        let Some((from, paid, royalty)) = self.unpay(id, tile, effects) else { return };
        let OwnPaid { worker, units, amount } = paid;
        self.log(Fact::Outdated { job: id, tile }, effects);
        self.transfer(from, Book::Hold(id), amount, Reason::Outdated(id, tile), effects);
        self.return_royalty((id, tile), royalty, effects);
        let job = &mut self.jobs[id.0 as usize];
        job.accepted -= 1;
        job.units -= units;
        job.spent.0 -= amount.0;
        if let Some(frame) = job.frames.get_mut(&nth) {
            frame.proven -= 1;
        }
        self.reopen(id, effects);
        if from == Book::Held(worker) {
            self.compensate(worker, (id, tile), amount, effects);
        }
        self.withdraw(id, tile, effects);
        if !self.jobs[id.0 as usize].dependents.is_empty() {
            self.starve(id, tile, effects);
        }
        effects.push(Effect::JobChanged { job: id });
        self.mature(worker, effects);
    }

    /// Where a tile's pay lies that is not final, whose it is, and its royalty; it is forgotten
    /// there.
    fn unpay(
        &mut self,
        id: JobId,
        tile: u64,
        effects: &mut impl Effects,
    ) -> Option<(Book, OwnPaid, Option<Royalty>)> {
        for at in 0..self.held.len() {
            let held = &mut self.held[at];
            let same = |held: &HeldTile| (held.job, held.tile) == (id, tile) && !held.settled;
            let Some(place) = held.iter().position(same) else { continue };
            let held = held.remove(place)?;
            self.settle_vouches((id, tile), Some(held.answer()), effects);
            let worker = WorkerId(at as u32);
            self.roster[worker].unsecured -= u32::from(held.unsecured);
            if let Some(review) = held.again.and_then(|doubt| doubt.review) {
                self.drop_claim(review, effects);
            }
            let (units, amount) = (held.units, held.amount);
            return Some((Book::Held(worker), OwnPaid { worker, units, amount }, held.royalty));
        }
        let paid = self.jobs[id.0 as usize].own_paid.remove(&tile)?;
        Some((Book::Payable(paid.worker), paid, None))
    }

    /// Pays out of the farm's pots what an honest worker lost through another's lie.
    fn compensate(
        &mut self,
        worker: WorkerId,
        (id, tile): (JobId, u64),
        amount: Amount,
        effects: &mut impl Effects,
    ) {
        let mut owed = amount.after_fee().0;
        for pot in [Book::Audits, Book::Fees] {
            let part = Amount(owed.min(self.ledger.balance(pot).0));
            self.transfer(pot, Book::Payable(worker), part, Reason::Spoilt(id, tile), effects);
            owed -= part.0;
        }
    }

    /// An upstream's tile is final: so are those of the account's own workers that only waited for
    /// that. Others' pay is looked at by the clock.
    pub(crate) fn settle_feed(&mut self, id: JobId, tile: u64) {
        let job = &mut self.jobs[id.0 as usize];
        let Some(feed) = job.feeds.get_mut(&tile) else { return };
        feed.settled = true;
        for dependent in job.dependents.clone() {
            if self.jobs[dependent.0 as usize].own_paid.is_empty() {
                continue;
            }
            for fed in self.fed_by(dependent, id, tile) {
                let waits = self.jobs[dependent.0 as usize].own_paid.contains_key(&fed);
                if waits && self.is_fed_for_good(dependent, fed) {
                    self.jobs[dependent.0 as usize].own_paid.remove(&fed);
                    self.settle_tile(dependent, fed);
                }
            }
        }
    }

    /// Forgets what a frame fed once nothing that is made of it can come back.
    pub(crate) fn forget_feeds(&mut self, id: JobId, nth: u32) {
        let job = &self.jobs[id.0 as usize];
        let settled = |id: &JobId| {
            let job = &self.jobs[id.0 as usize];
            let image = job.images.get(&nth).is_some_and(|image| image.proven);
            self.is_over(*id) || image && !job.frames.contains_key(&nth)
        };
        if !job.feeds.is_empty() && settled(&id) && job.dependents.iter().all(settled) {
            let (first, whole) = (u64::from(nth) * job.tiles_per_frame, job.tiles_per_frame);
            let job = &mut self.jobs[id.0 as usize];
            let gone: Vec<u64> = job.feeds.range(first..first + whole).map(|(at, _)| *at).collect();
            for tile in gone {
                job.feeds.remove(&tile);
            }
        }
    }

    /// A job that did not end well feeds nobody any more: those who hang on it end, too.
    pub(crate) fn end_dependents(&mut self, id: JobId, how: &str, effects: &mut impl Effects) {
        for dependent in self.jobs[id.0 as usize].dependents.clone() {
            if self.jobs[dependent.0 as usize].is_open() {
                let why = format!("job {}, whose frames it is made of, {how}", id.0);
                self.end_job(dependent, JobState::Failed, why, effects);
            }
        }
    }

    /// Whether a frame's every tile is made of what is accepted now.
    pub(crate) fn is_frame_fed(&self, id: JobId, nth: u32) -> bool {
        let Some(link) = self.jobs[id.0 as usize].spec.upstream else { return true };
        let upstream = &self.jobs[link.job.0 as usize];
        let (first, whole) = (u64::from(nth) * upstream.tiles_per_frame, upstream.tiles_per_frame);
        upstream.feeds.range(first..first + whole).all(|(_, feed)| feed.stands)
    }

    /// Puts a tile back that its job still wants: to be leased again, or to wait for what it is
    /// made of.
    pub(crate) fn put_among_waiting(
        &mut self,
        id: JobId,
        tile: u64,
        again: Again,
        effects: &mut impl Effects,
    ) {
        let unfed = self.unfed(id, tile).map(|(upstream, _)| upstream);
        let job = &mut self.jobs[id.0 as usize];
        let Some(upstream) = unfed else {
            job.again.insert(tile, again);
            self.work_arrived = true;
            return;
        };
        job.next -= 1;
        if self.is_over(upstream) {
            let why = format!("job {}, whose frames it is made of, ended unproven", upstream.0);
            self.end_job(id, JobState::Failed, why, effects);
        }
    }

    /// A job that did not end well is never opened again.
    fn is_over(&self, id: JobId) -> bool {
        let job = &self.jobs[id.0 as usize];
        !job.is_open() && job.state != JobState::Done
    }
}
