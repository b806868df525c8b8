//! Orders: a job is submitted, its images are stored, it ends.

use crate::command::Submit;
use crate::cut::Cut;
use crate::digest::Digest;
use crate::effect::{Effect, Effects, Reply};
use crate::entry::{Book, Fact, Reason};
use crate::farm::{Farm, Request};
use crate::id::{JobId, LeaseId};
use crate::job::{Image, Job, Spec, tile_cost_max};
use crate::layout::Layout;
use crate::lease::Role;
use crate::limit;
use crate::model::Licence;
use crate::money::{AMOUNT_MAX, Amount, Price};
use crate::ranges::Ranges;
use crate::reject::Reject;
use crate::view::JobState;

/// No price is higher.
const PRICE_MAX: u64 = 1 << 40;

impl Farm {
    pub(crate) fn submit(
        &mut self,
        submit: Submit,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        let account = submit.account;
        let open = self.accounts.get(account.0 as usize).ok_or(Reject::UnknownAccount)?.jobs_open;
        if let Some(earlier) = self.requested(&submit) {
            return earlier.map(Reply::Job);
        }
        let licence = self.judge_order(&submit, open)?;
        let job = JobId(self.jobs.len() as u32);
        let request = (u64::from(account.0), submit.request);
        self.requests.insert(request, Request::Job(job, terms(&submit)));
        self.transfer(
            Book::Available(account),
            Book::Hold(job),
            submit.cap,
            Reason::Submit(job),
            effects,
        );
        let opened = Fact::JobOpened {
            job,
            account,
            cap: submit.cap,
            price: submit.price,
            tiles: submit.spec.tiles(),
            spec: submit.spec.digest(),
            engine: Box::new(submit.spec.engine),
            scene: Box::new(Digest::of(&submit.spec.scene.0)),
            private: submit.private,
        };
        self.log(opened, effects);
        if let Some(seal) = submit.seal {
            self.log(Fact::JobSealed { job, seal }, effects);
        }
        let lane = self.queue.lane(submit.spec.engine, submit.private.then_some(account));
        self.jobs.push(Job::new(submit, licence, self.now, lane));
        self.accounts[account.0 as usize].jobs_open += 1;
        if let Some(Licence { model, owner, royalty }) = licence {
            self.log(Fact::ModelUsed { job, model, owner, royalty }, effects);
        }
        self.chain(job, effects);
        self.refresh(job, effects);
        Ok(Reply::Job(job))
    }

    /// The answer that this request id got before.
    fn requested(&self, submit: &Submit) -> Option<Result<JobId, Reject>> {
        let earlier = self.requests.get(&(u64::from(submit.account.0), submit.request))?;
        Some(match earlier {
            Request::Job(job, same) if *same == terms(submit) => Ok(*job),
            _ => Err(Reject::RequestReused),
        })
    }

    /// Whether the order is one, and on which terms it uses a model.
    fn judge_order(&self, submit: &Submit, jobs_open: u32) -> Result<Option<Licence>, Reject> {
        if !submit.spec.is_valid() {
            return Err(Reject::SpecInvalid);
        }
        if submit.priority > limit::PRIORITY_MAX {
            return Err(Reject::PriorityInvalid);
        }
        if submit.cap.0 == 0 || submit.cap.0 > AMOUNT_MAX {
            return Err(Reject::AmountInvalid);
        }
        if submit.price.0 == 0 || submit.price.0 > PRICE_MAX {
            return Err(Reject::PriceInvalid);
        }
        if jobs_open >= limit::JOBS_OPEN_MAX {
            return Err(Reject::TooManyJobs);
        }
        self.judge_upstream(submit)?;
        let licence = self.licence(submit.account, submit.model, submit.private)?;
        let royalty = licence.map_or(Price(0), |licence| licence.royalty);
        if submit.cap < tile_cost_max(&submit.spec, submit.price, royalty) {
            return Err(Reject::BudgetTooSmall);
        }
        if submit.cap > self.ledger.balance(Book::Available(submit.account)) {
            return Err(Reject::InsufficientCredit);
        }
        Ok(licence)
    }

    pub(crate) fn cancel(
        &mut self,
        job: JobId,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        let found = self.jobs.get(job.0 as usize).ok_or(Reject::UnknownJob)?;
        if found.is_open() {
            self.end_job(job, JobState::Cancelled, String::new(), effects);
        }
        Ok(Reply::Done)
    }

    pub(crate) fn stored(
        &mut self,
        id: JobId,
        frame: u32,
        image: Image,
        made_of: Digest,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        let job = self.jobs.get_mut(id.0 as usize).ok_or(Reject::UnknownJob)?;
        let nth = frame.wrapping_sub(job.spec.frame_first) / job.spec.frame_step;
        let Some(state) = job.frames.get(&nth).filter(|_| job.spec.frame(nth) == frame) else {
            return Err(Reject::FrameUnknown);
        };
        let whole = state.delivered == job.tiles_per_frame;
        if !whole || !effects.replayed() && state.made_of() != made_of {
            return Err(Reject::FrameOutdated);
        }
        job.images.insert(nth, image);
        let Image { exr, png, .. } = image;
        self.log(Fact::FrameStored { job: id, frame, exr, png, made_of }, effects);
        self.forget_settled(id, nth);
        effects.push(Effect::JobChanged { job: id });
        self.end_if_done(id, effects);
        Ok(Reply::Done)
    }

    /// Forgets a stored frame's outputs once none of its tiles can come back.
    pub(crate) fn forget_settled(&mut self, id: JobId, nth: u32) {
        let job = &mut self.jobs[id.0 as usize];
        let whole = job.tiles_per_frame;
        let settled = job.frames.get(&nth).is_some_and(|frame| frame.settled == whole);
        if let Some(image) = job.images.get_mut(&nth).filter(|_| settled) {
            image.proven = true;
            job.frames.remove(&nth);
            let upstream = job.spec.upstream.map(|link| link.job);
            self.forget_feeds(id, nth);
            if let Some(upstream) = upstream {
                self.forget_feeds(upstream, nth);
            }
        }
    }

    /// Ends a job whose every tile is accepted and whose every frame is stored.
    pub(crate) fn end_if_done(&mut self, id: JobId, effects: &mut impl Effects) {
        let job = &self.jobs[id.0 as usize];
        let stored = job.images.len() as u64 == u64::from(job.spec.frames());
        if job.is_open() && job.accepted == job.tiles && stored {
            self.end_job(id, JobState::Done, String::new(), effects);
        }
    }

    /// Ends a job: tiles being computed are called back, claims still get their verdict and their
    /// pay, the rest of the hold returns.
    pub(crate) fn end_job(
        &mut self,
        id: JobId,
        state: JobState,
        failure: String,
        effects: &mut impl Effects,
    ) {
        let job = &mut self.jobs[id.0 as usize];
        job.state = state;
        job.failure = failure;
        job.ended = Some(self.now);
        job.again.clear();
        job.failures.clear();
        job.ready = job.ready.take().map(|_| Ranges::default());
        let images = &job.images;
        job.frames.retain(|nth, _| images.contains_key(nth));
        self.accounts[job.account.0 as usize].jobs_open -= 1;
        let computing = job.computing;
        self.log(Fact::JobEnded { job: id, state: state as u8 }, effects);
        if computing > 0 {
            self.call_back(id, effects);
        }
        self.refund(id, effects);
        self.refresh(id, effects);
        effects.push(Effect::JobChanged { job: id });
        let how = match state {
            JobState::Open | JobState::Done => return,
            JobState::Cancelled => "was cancelled",
            JobState::Failed => "failed",
            JobState::OutOfBudget => "ran out of budget",
        };
        self.forget_vouches(id, effects);
        self.end_dependents(id, how, effects);
    }

    fn call_back(&mut self, id: JobId, effects: &mut impl Effects) {
        let of_job =
            |lease: &crate::lease::Lease| lease.job == id && matches!(lease.role, Role::Computing);
        let leases: Vec<LeaseId> =
            self.leases.iter().filter(|(_, lease)| of_job(lease)).map(|(at, _)| at).collect();
        for lease in leases {
            self.take_back(lease, effects);
        }
    }

    /// Opens a finished job again because a tile of it turned out false, and holds again what it
    /// may still cost, as far as its account goes.
    pub(crate) fn reopen(&mut self, id: JobId, effects: &mut impl Effects) {
        let job = &mut self.jobs[id.0 as usize];
        if job.state == JobState::Done {
            job.state = JobState::Open;
            job.ended = None;
            job.reopened = true;
            self.accounts[job.account.0 as usize].jobs_open += 1;
            let (account, left) = (Book::Available(job.account), job.cap.0 - job.spent.0);
            let rest = left.saturating_sub(self.ledger.balance(Book::Hold(id)).0);
            let amount = Amount(rest.min(self.ledger.balance(account).0));
            self.transfer(account, Book::Hold(id), amount, Reason::Reopen(id), effects);
        }
    }

    /// Puts the job into the queue or out of it, as its work and its money allow; ends it when it
    /// has work left that nothing can pay for any more.
    pub(crate) fn refresh(&mut self, id: JobId, effects: &mut impl Effects) {
        let hold = self.ledger.balance(Book::Hold(id));
        let job = &mut self.jobs[id.0 as usize];
        let wants = job.is_open() && job.has_work();
        let queued = wants && job.affords_tile(hold);
        if queued != job.queued {
            job.queued = queued;
            let (lane, priority, account) = (job.lane, job.priority, job.account);
            if queued {
                self.queue.insert(lane, priority, account, id);
                self.work_arrived = true;
            } else {
                self.queue.remove(lane, priority, account, id);
            }
        }
        let job = &self.jobs[id.0 as usize];
        if wants && !queued && job.computing + job.claims == 0 {
            let spent = format!(
                "{} of {} credits are spent and a tile may cost up to {}; submit again with a \
                 higher max_spend",
                job.spent, job.cap, job.tile_cost_max
            );
            self.end_job(id, JobState::OutOfBudget, spent, effects);
        }
    }

    /// Returns what an ended job's hold no longer needs, once its computing tiles are called back.
    pub(crate) fn refund(&mut self, id: JobId, effects: &mut impl Effects) {
        let job = &self.jobs[id.0 as usize];
        if job.is_open() || job.computing > 0 {
            return;
        }
        let rest = self.ledger.balance(Book::Hold(id)).0 - job.reserved().0;
        let account = Book::Available(job.account);
        self.transfer(Book::Hold(id), account, Amount(rest), Reason::Refund(id), effects);
    }

    /// What a shell that has just started owes the world: deliveries and stores of unfinished
    /// frames. Leases need nothing: workers reconnect and name them.
    pub fn outstanding(&self) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (at, job) in self.jobs.iter().enumerate().filter(|(_, job)| job.is_open()) {
            let (id, whole) = (JobId(at as u32), job.tiles_per_frame);
            let unstored = job.frames.iter().filter(|(nth, _)| !job.images.contains_key(nth));
            for (nth, frame) in unstored {
                let first = u64::from(*nth) * whole;
                effects.extend(frame.outputs().map(|(place, output)| Effect::Deliver {
                    job: id,
                    tile: first + place,
                    output,
                }));
                if frame.delivered == whole {
                    let made_of = frame.made_of();
                    effects.push(Effect::Store { job: id, frame: job.spec.frame(*nth), made_of });
                }
            }
        }
        effects
    }
}

/// What a request id stands for. How frames are parted is left out: it changes no pixel, and
/// whoever asks again may have measured again.
fn terms(submit: &Submit) -> Digest {
    let mut bytes = Vec::with_capacity(200);
    let spec = Spec { tile_size: 0, cut: Cut::default(), ..submit.spec.clone() };
    spec.put(&mut bytes);
    submit.cap.put(&mut bytes);
    submit.priority.put(&mut bytes);
    submit.private.put(&mut bytes);
    submit.audit_own.put(&mut bytes);
    submit.model.put(&mut bytes);
    submit.seal.put(&mut bytes);
    submit.watermark.put(&mut bytes);
    Digest::of(&bytes)
}
