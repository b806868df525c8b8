//! What follows a render in one submission: a denoiser over its frames, an upscaler over what that
//! gives. Each is a job of its own that the farm feeds from the one before, tile by tile.

use crate::exit::{BadUsage, Exit};
use crate::infer::sized;
use crate::output::{Form, credits};
use crate::parcel::Parcel;
use crate::submit::{self, Bytes, Order, Terms};
use crate::{fetch, jobs, money, quote};
use anyhow::Context;
use farm::chain::Upstream;
use farm::digest::Digest;
use farm::id::JobId;
use farm::job::Spec;
use farm::money::Price;
use proto::aov::Aov;
use proto::v1;
use proto::v1::jobs_client::JobsClient;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use worker::channel::Keyed;
use worker::engines::Engines;
use worker::infer::color::Color;
use worker::infer::fed::Plane;
use worker::infer::model::Model;
use worker::infer::network::Network;
use worker::infer::order::{self, Role};

/// Open Image Denoise's network for HDR with albedo and normal (`models/ATTRIBUTION.md`).
const DENOISER: &[u8] = include_bytes!("../../models/oidn_rt_hdr_alb_nrm.onnx");
/// SPAN, twice as large.
const UPSCALER: &[u8] = include_bytes!("../../models/spanx2_ch48.onnx");
/// Tiles that may be computed at once on the money set aside for them.
const AT_ONCE: u64 = 16;

/// What is made of the frames before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Denoise,
    Upscale,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Denoise => "denoise",
            Self::Upscale => "upscale",
        }
    }

    fn model(self) -> &'static [u8] {
        match self {
            Self::Denoise => DENOISER,
            Self::Upscale => UPSCALER,
        }
    }

    /// What the network's numbers mean.
    fn color(self) -> Color {
        match self {
            Self::Denoise => Color::Pu,
            Self::Upscale => Color::Srgb,
        }
    }

    fn note(self) -> Option<&'static str> {
        let clips = "the upscaler is made for pictures as they are shown: what is brighter than 1 \
                     is 1 in its frames; those of the job before keep it";
        (self == Self::Upscale).then_some(clips)
    }
}

/// The steps in their order.
pub fn steps(denoise: bool, upscale: Option<u32>) -> Vec<Step> {
    let steps = [denoise.then_some(Step::Denoise), upscale.map(|_| Step::Upscale)];
    steps.into_iter().flatten().collect()
}

/// AOVs that the first of these steps takes of the render.
pub fn planes(steps: &[Step]) -> u32 {
    match steps.first() {
        Some(Step::Denoise) => Aov::Albedo.bit() | Aov::Normal.bit(),
        Some(Step::Upscale) | None => 0,
    }
}

/// A step as an order that lacks only the number of the job before.
pub struct Stage {
    step: Step,
    order: Order,
    /// Work units of all its frames, exactly.
    work: u64,
}

impl Stage {
    /// What it costs, and the most that is set aside for it.
    fn costs(&self, price: Price) -> (u64, u64) {
        let (spec, cost) = (&self.order.spec, price.of(self.work).0);
        let tile = spec.tile_cost_max(price).0;
        // Each tile's price is rounded up.
        let whole = cost.saturating_add(spec.tiles());
        let cap = whole.saturating_add(tile.saturating_mul(AT_ONCE.min(spec.tiles())));
        (cost, cap.min(tile.saturating_mul(spec.tiles()).max(whole)))
    }
}

/// The steps as orders, each fed by the one before; the first by frames of this spec.
pub fn stages(steps: &[Step], rendered: &Spec) -> anyhow::Result<Vec<Stage>> {
    let mut stages: Vec<Stage> = Vec::new();
    for step in steps {
        let before = stages.last().map_or(rendered, |stage| &stage.order.spec);
        stages.push(stage(*step, before)?);
    }
    Ok(stages)
}

fn stage(step: Step, before: &Spec) -> anyhow::Result<Stage> {
    let name = Path::new(step.name());
    let model = Model::read(step.model()).context("a model that comes with the program")?;
    let network = Network::new(&model, before.width as usize, before.height as usize)?;
    let role = |(at, name): (usize, &String)| {
        let (plane, color) = Plane::of_input(name, at == 0, step.color())?;
        Some(Role { name: name.clone(), color, plane: Some(plane) })
    };
    let names = model.inputs.iter().map(|input| &input.name);
    let roles: Option<Vec<Role>> = names.enumerate().map(role).collect();
    let roles = roles.context("a model that takes what no frame has")?;
    let planes = roles.iter().filter_map(|role| role.plane?.aov());
    let planes = planes.fold(0, |bits, aov| bits | aov.bit());
    let model = (Digest::of(step.model()), step.model().len() as u64);
    let manifest = order::Order { model, output: step.color(), roles, frames: Vec::new() };
    let manifest = manifest.to_text().into_bytes();
    let scene = Digest::of(&manifest);
    let base = Spec {
        engine: Engines::digests()[1],
        scene,
        frame_first: before.frame_first,
        frame_last: before.frame_last,
        frame_step: before.frame_step,
        fps: before.fps,
        ..Spec::default()
    };
    let found = sized(&network, &base, None, name)?;
    let (mut spec, scale) = (found.spec, network.proportions.scale as u32);
    spec.upstream = Some(Upstream { job: JobId::default(), scale, halo: found.halo, planes });
    let assets = BTreeMap::from([
        (scene, Bytes::Memory(manifest.into())),
        (model.0, Bytes::Memory(bytes::Bytes::from_static(step.model()))),
    ]);
    let work = found.work.saturating_mul(u64::from(spec.frames()));
    Ok(Stage { step, order: Order { spec, assets }, work })
}

/// What the steps add to a quote.
pub struct Added {
    lines: Vec<String>,
    value: Vec<Value>,
    /// Micro-credits that must be allowed for them.
    pub max_spend: u64,
}

impl Added {
    pub fn of(stages: &[Stage], price: Price) -> Self {
        let mut added = Self { lines: Vec::new(), value: Vec::new(), max_spend: 0 };
        for stage in stages {
            let (cost, cap) = stage.costs(price);
            let (name, work) = (stage.step.name(), stage.work);
            added.max_spend = added.max_spend.saturating_add(cap);
            added.lines.push(format!("{name:<10}{work} units, {} credits", credits(cost)));
            added.value.push(json!({ "step": name, "units": work, "cost": cost }));
        }
        added
    }

    pub fn lines(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    pub fn to_json(&self) -> Value {
        Value::Array(self.value.clone())
    }
}

/// Uploads what the farm lacks, opens all jobs of the chain and, if asked, stays until the last
/// one's frames are here.
pub async fn place(
    keyed: &Keyed,
    form: Form,
    render: &Order,
    stages: Vec<Stage>,
    more: Value,
    terms: Terms,
) -> anyhow::Result<Exit> {
    let private = terms.private;
    let market = quote::market(keyed, &Engines::digests()[1], private).await?;
    let price = Price(market.price);
    let after: u64 = stages.iter().map(|stage| stage.costs(price).1).sum();
    let Some(left) = terms.max_spend.checked_sub(after).filter(|left| *left > 0) else {
        let what = format!(
            "what follows the render alone takes up to {} credits; raise --max-spend",
            credits(after)
        );
        return Err(BadUsage(what).into());
    };
    stages.iter().filter_map(|stage| stage.step.note()).for_each(|note| {
        form.remark(&format!("note: {note}"));
    });
    let parcel = terms.parcel(render).await?;
    parcel.upload(keyed, form).await?;
    for stage in &stages {
        // Models that come with the program are no secret.
        Parcel::open(&stage.order.assets).upload(keyed, form).await?;
    }
    let base = match &terms.request_id {
        Some(id) => money::request_id_of(id)?,
        None => uuid::Uuid::new_v4().to_string(),
    };
    let ask = (base.clone(), left);
    let first = submit::create(keyed, &render.spec, &terms, parcel.lock.as_ref(), ask).await?;
    form.remark(&format!("render: job {}, {} tiles", first.job_id, first.tiles_total));
    let mut chain = vec![first.job_id];
    for stage in stages {
        let id = derived(&base, chain.len());
        match follow_up(keyed, stage, &chain, &terms, (id, price)).await {
            Ok((step, job)) => {
                form.remark(&format!("{}: job {}, {} tiles", step, job.job_id, job.tiles_total));
                chain.push(job.job_id);
            }
            Err(error) => {
                // What hangs on it ends with it.
                let cancel = v1::CancelJobRequest { job_id: chain[0] };
                JobsClient::new(keyed.clone()).cancel_job(cancel).await?;
                return Err(error);
            }
        }
    }
    finish(keyed, form, &chain, more, terms.out).await
}

/// Opens the next job of the chain.
async fn follow_up(
    keyed: &Keyed,
    stage: Stage,
    chain: &[u64],
    terms: &Terms,
    (id, price): (String, Price),
) -> anyhow::Result<(&'static str, v1::Job)> {
    let (_, cap) = stage.costs(price);
    let mut spec = stage.order.spec;
    let before = chain.last().copied().unwrap_or_default();
    if let Some(upstream) = &mut spec.upstream {
        upstream.job = JobId(u32::try_from(before).context("a job's number")?);
    }
    let job = submit::create(keyed, &spec, terms, None, (id, cap)).await?;
    Ok((stage.step.name(), job))
}

/// A request id of its own for each job, the same for the same order.
fn derived(base: &str, nth: usize) -> String {
    let digest = Digest::of(format!("{base} {nth}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.0[..16]);
    uuid::Uuid::from_bytes(bytes).to_string()
}

/// Follows one job after the other, and fetches the last one's frames.
async fn finish(
    keyed: &Keyed,
    form: Form,
    chain: &[u64],
    more: Value,
    out: Option<PathBuf>,
) -> anyhow::Result<Exit> {
    let last = chain.last().copied().unwrap_or_default();
    let with_more = |job: &v1::Job, files: &[PathBuf]| {
        let mut value = jobs::to_json(job);
        value["files"] = json!(files);
        value["chain"] = json!(chain);
        for (name, said) in more.as_object().into_iter().flatten() {
            value[name] = said.clone();
        }
        value
    };
    let Some(out) = out else {
        let mut client = JobsClient::new(keyed.clone());
        let job = client.get_job(v1::GetJobRequest { job_id: last }).await?.into_inner();
        let watch = || format!("{last}\nfollow it with: girih watch {last}");
        form.say(watch, || with_more(&job, &[]))?;
        return Ok(Exit::Ok);
    };
    let mut job = v1::Job::default();
    for id in chain {
        form.remark(&format!("job {id}"));
        job = jobs::follow(keyed, form, *id).await?;
    }
    let files = fetch::frames(keyed, form, &job, &out).await?;
    let mut lines: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    for id in chain {
        lines.push(fetch::checked_by(&fetch::receipt(keyed, *id, &out).await?));
    }
    lines.extend(fetch::marks(&job));
    lines.push(jobs::summary(&job));
    form.say(|| lines.join("\n"), || with_more(&job, &files))?;
    Ok(jobs::exit(&job))
}
