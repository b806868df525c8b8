//! `girih submit`: loads the scene as a worker would, uploads what the farm lacks, holds the money,
//! and, if asked, stays until the frames are here. A bad scene is refused before any of that.

use crate::args::{LightUnitName, SceneSettings, Shot, Submit, TileSize};
use crate::config::Access;
use crate::exit::{BadInput, BadUsage, Exit};
use crate::output::{Form, credits};
use crate::parcel::{self, Parcel};
use crate::tried::Tried;
use crate::{chain, cut, fetch, jobs, money, quote};
use farm::cut::Cut;
use farm::digest::Digest;
use farm::job::Spec;
use proto::aov::{self, Aov};
use proto::seal::Lock;
use proto::v1;
use proto::v1::jobs_client::JobsClient;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use worker::asset::Asset;
use worker::channel::Keyed;
use worker::render::scene::{self, Bundle, LightUnit, Settings, View};

/// An asset's bytes: in memory or in a file.
#[derive(Clone)]
pub enum Bytes {
    Memory(bytes::Bytes),
    File(PathBuf, u64),
}

impl Bytes {
    pub fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, size) => *size,
        }
    }
}

/// What is ordered: frames of a scene, and everything that makes it up.
pub struct Order {
    pub spec: Spec,
    pub assets: BTreeMap<Digest, Bytes>,
}

/// How a job is ordered, whatever it is.
pub struct Terms {
    pub max_spend: u64,
    pub priority: u32,
    pub private: bool,
    pub audit_own: bool,
    pub request_id: Option<String>,
    /// The published model that it uses.
    pub model: Option<u64>,
    /// Where its frames go; `None`: nobody waits for them.
    pub out: Option<PathBuf>,
    /// Its assets leave this machine as they are.
    pub unsealed: bool,
    /// Its frames carry a mark until their pay is final.
    pub watermark: bool,
}

impl Terms {
    /// What leaves this machine of an order.
    pub async fn parcel(&self, order: &Order) -> anyhow::Result<Parcel> {
        if self.unsealed {
            return Ok(Parcel::open(&order.assets));
        }
        let assets = order.assets.clone();
        let seal = move || Parcel::sealed(&parcel::secret()?, &assets);
        tokio::task::spawn_blocking(seal).await?
    }
}

/// `girih submit`.
pub async fn run(access: &Access, form: Form, what: Submit) -> anyhow::Result<Exit> {
    access.address_with_key()?;
    what.request_id.as_deref().map(money::request_id_of).transpose()?;
    let terms = Terms {
        max_spend: what.max_spend,
        priority: what.priority,
        private: what.shot.private,
        audit_own: what.audit_own,
        request_id: what.request_id.clone(),
        model: None,
        out: what.wait.then(|| what.out.clone()),
        unsealed: what.unsealed,
        watermark: what.watermark,
    };
    let (private, spec) = (what.shot.private, spec(&what.shot)?);
    let steps = chain::steps(what.shot.denoise, what.shot.upscale);
    let prepared = tokio::task::spawn_blocking(move || prepare(form, &what.shot, spec));
    let Prepared { mut order, notes, tried } = prepared.await??;
    let keyed = access.address_with_key()?.connect().await?;
    let mut even = None;
    if let Some(tried) = tried {
        let market = quote::market(&keyed, &order.spec.engine, private).await?;
        even = cut::by_cost(&mut order.spec, &tried, &market, Some(terms.max_spend));
    }
    form.remark(&format!("tiles: {}", cut::said(&order.spec, even.as_ref())));
    let more = serde_json::json!({
        "notes": notes,
        "cut": cut::to_json(&order.spec, even.as_ref()),
    });
    if steps.is_empty() {
        return place(&keyed, form, &order, more, terms).await;
    }
    // Tiles are planned, which takes a while for large frames.
    let rendered = order.spec.clone();
    let stages = tokio::task::spawn_blocking(move || chain::stages(&steps, &rendered)).await??;
    chain::place(&keyed, form, &order, stages, more, terms).await
}

/// Uploads what the farm lacks, opens the job and, if asked, stays until its frames are here.
/// `more` is said of the job, for programs, beside what the farm says.
pub async fn place(
    keyed: &Keyed,
    form: Form,
    order: &Order,
    more: Value,
    terms: Terms,
) -> anyhow::Result<Exit> {
    let request_id = match &terms.request_id {
        Some(id) => money::request_id_of(id)?,
        None => uuid::Uuid::new_v4().to_string(),
    };
    let parcel = terms.parcel(order).await?;
    parcel.upload(keyed, form).await?;
    let ask = (request_id, terms.max_spend);
    let job = create(keyed, &order.spec, &terms, parcel.lock.as_ref(), ask).await?;
    let tiles = job.tiles_total;
    form.remark(&format!(
        "job {}: {tiles} tiles, at most {} credits",
        job.job_id,
        credits(terms.max_spend)
    ));
    let with_more = |job: &v1::Job, files: &[PathBuf]| {
        let mut value = jobs::to_json(job);
        value["files"] = serde_json::json!(files);
        for (name, said) in more.as_object().into_iter().flatten() {
            value[name] = said.clone();
        }
        value
    };
    let Some(out) = terms.out else {
        let watch = || format!("{}\nfollow it with: girih watch {0}", job.job_id);
        form.say(watch, || with_more(&job, &[]))?;
        return Ok(Exit::Ok);
    };
    let job = jobs::follow(keyed, form, job.job_id).await?;
    let files = fetch::frames(keyed, form, &job, &out).await?;
    let receipt = fetch::receipt(keyed, job.job_id, &out).await?;
    let lines = || {
        let files = files.iter().map(|path| path.display().to_string());
        let last = [fetch::checked_by(&receipt), jobs::summary(&job)];
        files.chain(fetch::marks(&job)).chain(last).collect::<Vec<_>>().join("\n")
    };
    form.say(lines, || with_more(&job, &files))?;
    Ok(jobs::exit(&job))
}

/// Opens a job that may cost so much, once its assets are there; `lock` opens the sealed ones.
pub async fn create(
    keyed: &Keyed,
    spec: &Spec,
    terms: &Terms,
    lock: Option<&Lock>,
    (request_id, max_spend): (String, u64),
) -> Result<v1::Job, tonic::Status> {
    let ask = v1::CreateJobRequest {
        request_id,
        spec: Some(proto::convert::wire_spec(spec)),
        max_spend,
        priority: terms.priority,
        private: terms.private,
        audit_own: terms.audit_own,
        seal: lock.map(|lock| v1::Seal {
            keyring: proto::convert::wire_digest(&lock.sealed),
            key: lock.key.bytes().to_vec().into(),
        }),
        watermark: terms.watermark,
        model_id: terms.model,
    };
    Ok(JobsClient::new(keyed.clone()).create_job(ask).await?.into_inner())
}

/// An order ready to be uploaded, what is to be known of it, and what trying it showed.
struct Prepared {
    order: Order,
    notes: Vec<String>,
    tried: Option<Tried>,
}

/// Loads the scene as a worker would, and tries its frames if they are to be cut by cost. Where
/// nothing can be tried, and nobody asked for it, the grid will do.
fn prepare(form: Form, what: &Shot, spec: Spec) -> anyhow::Result<Prepared> {
    let env = what.env.as_deref();
    let (bundle, unnamed) = open(what)?.with_ids(spec.aovs).map_err(unusable)?;
    let mut notes = check(&spec, &bundle, env)?;
    notes.extend(unnamed);
    let is_by_cost = cut::is_by_cost(what.tile_size, &spec);
    let order = gather(spec, &bundle, env)?;
    let mut tried = None;
    if is_by_cost {
        form.remark("trying a few pixels here, to cut frames by cost; --tile-size 64 skips that");
        match Tried::of(&order, None) {
            Ok(found) => tried = Some(found),
            Err(error) if what.tile_size.is_some() || error.is::<BadInput>() => return Err(error),
            Err(error) => notes.push(format!("frames are cut into a grid, not by cost: {error}")),
        }
    }
    notes.iter().for_each(|note| form.remark(&format!("note: {note}")));
    Ok(Prepared { order, notes, tried })
}

/// The order's sizes, without its digests; refused here if the farm would refuse them.
pub fn spec(what: &Shot) -> Result<Spec, BadUsage> {
    let spec = Spec {
        engine: Digest(shaders_digest()),
        scene: Digest::default(),
        environment: None,
        frame_first: what.frames.first,
        frame_last: what.frames.last,
        frame_step: what.frames.step,
        fps: what.fps,
        width: what.size.0,
        height: what.size.1,
        tile_size: match what.tile_size {
            Some(TileSize::Side(side)) => side,
            Some(TileSize::Auto) | None => cut::GRID,
        },
        samples: what.samples,
        depth: what.depth,
        seed: what.seed,
        aovs: aov::with_noise(
            what.aovs.iter().fold(0, |bits, aov| bits | aov.bit())
                | chain::planes(&chain::steps(what.denoise, what.upscale)),
            what.noise.unwrap_or_default(),
        ),
        noise: what.noise.unwrap_or_default(),
        cut: Cut::default(),
        work_per_pixel: 0,
        upstream: None,
    };
    match spec.is_valid() {
        true => Ok(spec),
        false => Err(BadUsage(farm::Reject::SpecInvalid.to_string())),
    }
}

fn shaders_digest() -> [u8; 32] {
    worker::render_digest().0
}

fn settings(asked: &SceneSettings) -> Settings {
    let unit = |name| match name {
        LightUnitName::Watts => LightUnit::Watts,
        LightUnitName::Lumens => LightUnit::Lumens,
    };
    Settings {
        light_unit: asked.light_unit.map(unit),
        variant: asked.variant.clone(),
        clip: asked.clip.clone(),
        camera: asked.camera.clone(),
        scene: asked.scene_name.clone(),
        f_stop: asked.f_stop,
        focus: asked.focus,
        clamp: asked.clamp,
        shutter: asked.shutter,
        motion_steps: asked.motion_steps,
    }
}

fn unusable(error: scene::SceneError) -> BadInput {
    BadInput(error.to_string())
}

/// The scene file and what it names, with the settings asked for.
pub fn open(what: &Shot) -> Result<Bundle, BadInput> {
    let bundle = Bundle::open(&what.scene);
    bundle.and_then(|bundle| bundle.with(settings(&what.draw))).map_err(unusable)
}

/// Pre-flight: the worker's own loader, on the first and the last frame. Gives its notes.
fn check(spec: &Spec, bundle: &Bundle, env: Option<&Path>) -> Result<Vec<String>, BadInput> {
    let view = |frame| View {
        frame,
        fps: spec.fps,
        width: spec.width,
        height: spec.height,
        neighbours: spec.aovs & Aov::Motion.bit() != 0,
    };
    let env = env.map(Asset::from);
    let mut notes =
        scene::load(bundle, env.as_ref(), view(spec.frame_first)).map_err(unusable)?.notes;
    let last = spec.frame(spec.frames() - 1);
    if last != spec.frame_first {
        for note in scene::load(bundle, env.as_ref(), view(last)).map_err(unusable)?.notes {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    Ok(notes)
}

/// Everything that the frames are made of, by digest; the spec names them then.
pub fn gather(mut spec: Spec, bundle: &Bundle, env: Option<&Path>) -> anyhow::Result<Order> {
    let (manifest, entries) = bundle.manifest().map_err(unusable)?;
    let mut assets = BTreeMap::new();
    spec.scene = Digest::of(&manifest);
    assets.insert(spec.scene, Bytes::Memory(manifest.into()));
    for entry in entries {
        assets.insert(entry.digest, Bytes::File(entry.path, entry.bytes_total));
    }
    if let Some(env) = env {
        let bytes =
            std::fs::read(env).map_err(|error| BadInput(format!("{}: {error}", env.display())))?;
        let digest = Digest::of(&bytes);
        spec.environment = Some(digest);
        assets.insert(digest, Bytes::Memory(bytes.into()));
    }
    Ok(Order { spec, assets })
}
