//! The one door between the wire and the farm: everything that comes in is checked here for form,
//! never for meaning. Knows no connection and no caller.

use crate::aov::{self, Aov};
use crate::v1;
use bytes::Bytes;
use farm::Policy;
use farm::chain::Upstream;
use farm::command::Outcome;
use farm::cut::Cut;
use farm::digest::Digest;
use farm::entry::{Book, Reason};
use farm::id::{AccountId, JobId, LeaseId, ModelId, WorkerId};
use farm::job::Spec;
use farm::leaf::{Commitment, Leaf, Opening};
use farm::limit;
use farm::model::{Model, Offer, Rights};
use farm::money::Price;
use farm::scores::Scores;
use farm::view::{JobState, JobView, RoundView, ValidatorView, WorkerView};

/// A message whose form is wrong; says which field and what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {must_be}")]
pub struct Malformed {
    pub field: &'static str,
    pub must_be: &'static str,
}

/// A shorthand for the error.
pub(crate) fn malformed(field: &'static str, must_be: &'static str) -> Malformed {
    Malformed { field, must_be }
}

/// 32 bytes.
pub fn bytes32(field: &'static str, bytes: &[u8]) -> Result<[u8; 32], Malformed> {
    bytes.try_into().map_err(|_| malformed(field, "32 bytes"))
}

/// A digest of 32 bytes.
pub fn digest(field: &'static str, bytes: &[u8]) -> Result<Digest, Malformed> {
    bytes32(field, bytes).map(Digest)
}

/// The wire's form of a digest.
pub fn wire_digest(digest: &Digest) -> Bytes {
    Bytes::copy_from_slice(&digest.0)
}

/// A UUID in its usual text form, with or without hyphens.
pub fn request_id(text: &str) -> Result<u128, Malformed> {
    let must = malformed("request_id", "a UUID, like 0b4f6a52-3a0e-4f7e-9d1c-5a1c2b3d4e5f");
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(must);
    }
    u128::from_str_radix(&digits, 16).map_err(|_| must)
}

/// A job's spec; its sizes are judged by the farm.
pub fn spec(wire: &v1::JobSpec) -> Result<Spec, Malformed> {
    let environment = match wire.environment.is_empty() {
        true => None,
        false => Some(digest("spec.environment", &wire.environment)?),
    };
    Ok(Spec {
        engine: digest("spec.engine", &wire.engine)?,
        scene: digest("spec.scene", &wire.scene)?,
        environment,
        frame_first: wire.frame_first,
        frame_last: wire.frame_last,
        frame_step: wire.frame_step,
        fps: wire.fps,
        width: wire.width,
        height: wire.height,
        tile_size: wire.tile_size,
        samples: wire.samples,
        depth: wire.depth,
        seed: wire.seed,
        aovs: aov::with_noise(aovs(&wire.aovs)?, wire.noise),
        noise: wire.noise,
        cut: cut(&wire.cut)?,
        work_per_pixel: wire.work_per_pixel,
        upstream: wire.upstream.as_ref().map(upstream).transpose()?,
    })
}

fn upstream(wire: &v1::Upstream) -> Result<Upstream, Malformed> {
    let job = u32::try_from(wire.job_id).map(JobId);
    Ok(Upstream {
        job: job.map_err(|_| malformed("spec.upstream.job_id", "a job's number"))?,
        scale: wire.scale,
        halo: wire.halo,
        planes: aovs(&wire.planes)?,
    })
}

fn wire_upstream(link: &Upstream) -> v1::Upstream {
    v1::Upstream {
        job_id: u64::from(link.job.0),
        scale: link.scale,
        halo: link.halo,
        planes: wire_aovs(link.planes),
    }
}

/// What a worker may know of the job that feeds the one it works on.
pub fn wire_upstream_spec(spec: &Spec) -> v1::JobSpec {
    wire_spec(&Spec { scene: Digest::default(), environment: None, upstream: None, ..spec.clone() })
}

fn wire_aovs(bits: u32) -> Vec<i32> {
    aov::asked(bits).map(|aov| wire_aov(aov).into()).collect()
}

fn cut(wire: &[u32]) -> Result<Cut, Malformed> {
    if wire.len() as u64 >= limit::CUT_TILES_MAX {
        return Err(malformed("spec.cut", "a list of fewer than 1024 splits"));
    }
    Ok(Cut::of_words(wire.to_vec()))
}

/// The bits of AOVs by their numbers on the wire.
fn aovs(wire: &[i32]) -> Result<u32, Malformed> {
    wire.iter().try_fold(0, |bits, number| {
        let found = Aov::ALL.into_iter().find(|aov| i32::from(wire_aov(*aov)) == *number);
        let must = malformed("spec.aovs", "a list of values of girih.v1.Aov other than 0");
        found.map(|aov| bits | aov.bit()).ok_or(must)
    })
}

fn wire_aov(aov: Aov) -> v1::Aov {
    match aov {
        Aov::Albedo => v1::Aov::Albedo,
        Aov::Normal => v1::Aov::Normal,
        Aov::Depth => v1::Aov::Depth,
        Aov::ObjectId => v1::Aov::ObjectId,
        Aov::MaterialId => v1::Aov::MaterialId,
        Aov::Motion => v1::Aov::Motion,
        Aov::Samples => v1::Aov::Samples,
    }
}

/// The wire's form of a spec.
pub fn wire_spec(spec: &Spec) -> v1::JobSpec {
    v1::JobSpec {
        engine: wire_digest(&spec.engine),
        scene: wire_digest(&spec.scene),
        environment: spec.environment.as_ref().map(wire_digest).unwrap_or_default(),
        frame_first: spec.frame_first,
        frame_last: spec.frame_last,
        frame_step: spec.frame_step,
        fps: spec.fps,
        width: spec.width,
        height: spec.height,
        tile_size: spec.tile_size,
        samples: spec.samples,
        depth: spec.depth,
        seed: spec.seed,
        aovs: wire_aovs(spec.aovs),
        noise: spec.noise,
        cut: spec.cut.words().to_vec(),
        work_per_pixel: spec.work_per_pixel,
        upstream: spec.upstream.as_ref().map(wire_upstream),
    }
}

/// The wire's form of a job's state.
pub fn wire_state(state: JobState) -> v1::JobState {
    match state {
        JobState::Open => v1::JobState::Open,
        JobState::Done => v1::JobState::Done,
        JobState::Cancelled => v1::JobState::Cancelled,
        JobState::Failed => v1::JobState::Failed,
        JobState::OutOfBudget => v1::JobState::OutOfBudget,
    }
}

/// The wire's form of a job.
pub fn wire_job(job: &JobView) -> v1::Job {
    let frames = job.frames.iter().map(|frame| v1::Frame {
        frame: frame.frame,
        exr: wire_digest(&frame.exr),
        png: wire_digest(&frame.png),
        proven: frame.proven,
        settled: frame.settled,
        marked: job.watermark && !frame.settled,
    });
    v1::Job {
        job_id: u64::from(job.job.0),
        spec: Some(wire_spec(&job.spec)),
        state: wire_state(job.state).into(),
        failure: job.failure.clone(),
        tiles_total: job.tiles_total,
        tiles_accepted: job.tiles_accepted,
        tiles_leased: job.tiles_leased,
        tiles_claimed: job.tiles_claimed,
        tiles_refuted: job.tiles_refuted,
        max_spend: job.cap.0,
        spent: job.spent.0,
        units: job.units,
        workers: job.workers,
        create_time: job.created.0,
        end_time: job.ended.map_or(0, |time| time.0),
        frames: frames.collect(),
        priority: u32::from(job.priority),
        private: job.private,
        sealed: job.seal.is_some(),
        watermark: job.watermark,
        model_id: job.licence.map(|licence| u64::from(licence.model.0)),
        royalty: job.licence.map_or(0, |licence| licence.royalty.0),
        royalties: job.royalties.0,
    }
}

/// An offer of a model; its texts and numbers are judged by the farm.
pub fn offer(wire: &v1::Offer) -> Result<Offer, Malformed> {
    let accounts = |ids: &[u64]| ids.iter().map(|id| AccountId(known(*id))).collect();
    Ok(Offer {
        name: wire.name.clone(),
        asset: digest("offer.asset", &wire.asset)?,
        card: digest("offer.card", &wire.card)?,
        facts: digest("offer.facts", &wire.facts)?,
        licence: wire.licence.clone(),
        royalty: Price(wire.royalty),
        rights: Rights {
            orders: accounts(&wire.order_accounts),
            owners: accounts(&wire.compute_accounts),
            workers: wire.compute_workers.iter().map(|id| WorkerId(known(*id))).collect(),
            copies: accounts(&wire.copy_accounts),
        },
    })
}

/// A 32-bit id; others are of nothing.
fn known(id: u64) -> u32 {
    u32::try_from(id).unwrap_or(u32::MAX)
}

/// The wire's form of a model.
pub fn wire_model(id: ModelId, model: &Model) -> v1::Model {
    let accounts = |ids: &[AccountId]| ids.iter().map(|id| u64::from(id.0)).collect();
    let Offer { name, asset, card, facts, licence, royalty, rights } = &model.offer;
    let offer = v1::Offer {
        name: name.clone(),
        asset: wire_digest(asset),
        card: wire_digest(card),
        facts: wire_digest(facts),
        licence: licence.clone(),
        royalty: royalty.0,
        order_accounts: accounts(&rights.orders),
        compute_accounts: accounts(&rights.owners),
        compute_workers: rights.workers.iter().map(|id| u64::from(id.0)).collect(),
        copy_accounts: accounts(&rights.copies),
    };
    v1::Model {
        model_id: u64::from(id.0),
        account_id: u64::from(model.owner.0),
        offer: Some(offer),
        publish_time: model.published.0,
        withdraw_time: model.withdrawn.map_or(0, |time| time.0),
    }
}

/// The wire's form of a worker.
pub fn wire_worker(worker: &WorkerView) -> v1::Worker {
    v1::Worker {
        worker_id: u64::from(worker.worker.0),
        account_id: u64::from(worker.owner.0),
        key: Bytes::copy_from_slice(&worker.key),
        device: worker.device.clone(),
        online: worker.online,
        tiles_clean: worker.tiles_clean,
        faults: worker.faults,
        refuted: worker.refuted,
        leases: worker.leases,
        held: worker.held.0,
        payable: worker.payable.0,
        stake: worker.stake.0,
        score: worker.score.map(u32::from),
        probation: worker.probation.0,
    }
}

/// The wire's form of a leaf.
pub fn wire_leaf(leaf: &Leaf) -> v1::Leaf {
    v1::Leaf { hash: wire_digest(&leaf.hash), units: leaf.units }
}

fn leaf(wire: &v1::Leaf) -> Result<Leaf, Malformed> {
    Ok(Leaf { hash: digest("leaf.hash", &wire.hash)?, units: wire.units })
}

/// A report of a worker.
pub fn report(wire: &v1::Report) -> Result<(LeaseId, Outcome), Malformed> {
    use v1::report::Outcome as Wire;
    let outcome = match &wire.outcome {
        Some(Wire::Done(done)) => Outcome::Done {
            output: digest("report.output", &done.output)?,
            commitment: Commitment { root: digest("report.root", &done.root)?, units: done.units },
        },
        Some(Wire::Leaves(leaves)) => {
            Outcome::Leaves(leaves.leaves.iter().map(leaf).collect::<Result<_, _>>()?)
        }
        Some(Wire::Failed(failed)) => {
            if failed.why.len() > limit::WHY_BYTES_MAX {
                return Err(malformed("report.why", "at most 500 bytes"));
            }
            Outcome::Failed { scene: failed.scene, why: failed.why.clone() }
        }
        None => return Err(malformed("report.outcome", "present")),
    };
    Ok((LeaseId::from_u64(wire.lease), outcome))
}

/// The wire's form of a worker's report.
pub fn wire_report(lease: LeaseId, outcome: &Outcome) -> v1::Report {
    use v1::report::Outcome as Wire;
    let outcome = match outcome {
        Outcome::Done { output, commitment } => Wire::Done(v1::Done {
            output: wire_digest(output),
            root: wire_digest(&commitment.root),
            units: commitment.units,
        }),
        Outcome::Leaves(leaves) => {
            Wire::Leaves(v1::LeavesDone { leaves: leaves.iter().map(wire_leaf).collect() })
        }
        Outcome::Failed { scene, why } => {
            Wire::Failed(v1::Failed { scene: *scene, why: why.clone() })
        }
    };
    v1::Report { lease: lease.to_u64(), outcome: Some(outcome) }
}

/// A worker's answer to a challenge.
pub fn opened(wire: &v1::Opened) -> Result<(LeaseId, Vec<Opening>), Malformed> {
    let openings = wire.openings.iter().map(|opening| {
        let own = opening.leaf.as_ref().ok_or(malformed("opening.leaf", "present"))?;
        if opening.path.len() > 32 {
            return Err(malformed("opening.path", "at most 32 nodes"));
        }
        let path = opening.path.iter().map(leaf).collect::<Result<_, _>>()?;
        Ok(Opening { leaf: leaf(own)?, path })
    });
    Ok((LeaseId::from_u64(wire.lease), openings.collect::<Result<_, _>>()?))
}

/// The wire's form of the answer to a challenge.
pub fn wire_opened(lease: LeaseId, openings: &[Opening]) -> v1::Opened {
    let openings = openings.iter().map(|opening| v1::Opening {
        leaf: Some(wire_leaf(&opening.leaf)),
        path: opening.path.iter().map(wire_leaf).collect(),
    });
    v1::Opened { lease: lease.to_u64(), openings: openings.collect() }
}

/// A ballot's scores.
pub fn scores(scores: &[v1::Score]) -> Result<Scores, Malformed> {
    if scores.len() > limit::SCORES_MAX {
        return Err(malformed("scores", "at most 4096"));
    }
    let score = |wire: &v1::Score| {
        let worker = WorkerId(u32::try_from(wire.worker_id).ok()?);
        Some((worker, u16::try_from(wire.score).ok()?))
    };
    let scores = scores.iter().map(score).collect::<Option<Scores>>();
    scores.ok_or(malformed("scores", "ids of workers and scores of 0 to 1000"))
}

/// A round of scores as everybody may see it.
pub fn wire_round(view: &RoundView, policy: Policy) -> v1::Round {
    let validators = view.validators.iter().map(|ValidatorView { standing, bond }| v1::Validator {
        account_id: u64::from(standing.account.0),
        bond: bond.0,
        trust: u32::from(standing.trust),
        admitted: standing.admitted,
        committed: standing.committed,
        revealed: standing.revealed,
    });
    v1::Round {
        round: view.round,
        began: view.began.0,
        ends: view.began.after_ms(policy.round_ms).0,
        validators: validators.collect(),
    }
}

/// A book's name as statements show it.
pub fn book_name(book: Book) -> String {
    match book {
        Book::Available(account) => format!("available:{}", account.0),
        Book::Hold(job) => format!("hold:{}", job.0),
        Book::Held(worker) => format!("held:{}", worker.0),
        Book::Payable(worker) => format!("payable:{}", worker.0),
        Book::Probation(worker) => format!("probation:{}", worker.0),
        Book::Fees => "farm:fees".into(),
        Book::Audits => "farm:audits".into(),
        Book::Deposit(account) => format!("deposit:{}", account.0),
        Book::Bond(account) => format!("bond:{}", account.0),
        Book::Stake(worker) => format!("stake:{}", worker.0),
        Book::RoyaltyHeld(account) => format!("royalty-held:{}", account.0),
        Book::Royalty(account) => format!("royalty:{}", account.0),
        Book::Outside => "outside".into(),
    }
}

/// A reason's word, job and tile as statements show them.
pub fn reason_parts(reason: Reason) -> (&'static str, u64, u64) {
    match reason {
        Reason::TopUp => ("top-up", 0, 0),
        Reason::Submit(job) => ("submit", u64::from(job.0), 0),
        Reason::Tile(job, tile) => ("tile", u64::from(job.0), tile),
        Reason::Maturity(job, tile) => ("maturity", u64::from(job.0), tile),
        Reason::Probation(job, tile) => ("probation", u64::from(job.0), tile),
        Reason::Released(job, tile) => ("released", u64::from(job.0), tile),
        Reason::Lapsed(job, tile) => ("lapsed", u64::from(job.0), tile),
        Reason::Fee(job, tile) => ("fee", u64::from(job.0), tile),
        Reason::Audit(job, tile) => ("audit", u64::from(job.0), tile),
        Reason::Forfeit(job, tile) => ("forfeit", u64::from(job.0), tile),
        Reason::Refund(job) => ("refund", u64::from(job.0), 0),
        Reason::Reopen(job) => ("reopen", u64::from(job.0), 0),
        Reason::Deposit(job, tile) => ("deposit", u64::from(job.0), tile),
        Reason::Returned(job, tile) => ("deposit-returned", u64::from(job.0), tile),
        Reason::Kept(job, tile) => ("deposit-kept", u64::from(job.0), tile),
        Reason::Amends(job, tile) => ("amends", u64::from(job.0), tile),
        Reason::Outdated(job, tile) => ("outdated", u64::from(job.0), tile),
        Reason::Spoilt(job, tile) => ("spoilt", u64::from(job.0), tile),
        Reason::Vouched(job, tile) => ("vouched", u64::from(job.0), tile),
        Reason::Staked => ("staked", 0, 0),
        Reason::Unstaked => ("unstaked", 0, 0),
        Reason::Bonded => ("bonded", 0, 0),
        Reason::Unbonded => ("unbonded", 0, 0),
        Reason::Scored(_) => ("scored", 0, 0),
        Reason::StakeLost(job, tile) => ("stake-lost", u64::from(job.0), tile),
        Reason::Unvouched(job, tile) => ("unvouched", u64::from(job.0), tile),
        Reason::Royalty(job, tile) => ("royalty", u64::from(job.0), tile),
        Reason::RoyaltyFinal(job, tile) => ("royalty-final", u64::from(job.0), tile),
        Reason::RoyaltyReturned(job, tile) => ("royalty-returned", u64::from(job.0), tile),
    }
}
