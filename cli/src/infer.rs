//! `girih infer`: a network over images, as a job of the farm. The model is read as a worker would
//! read it and its work counted exactly, before anything is uploaded or money held; of a published
//! model, which is not here, what its owner says of it is taken.

use crate::args::Infer;
use crate::config::Access;
use crate::exit::{BadInput, BadUsage, Exit};
use crate::model::{self, Published};
use crate::output::{Form, credits};
use crate::submit::{Bytes, Order, Terms, place};
use farm::digest::Digest;
use farm::job::Spec;
use farm::limit;
use farm::money::Price;
use proto::v1;
use proto::v1::jobs_client::JobsClient;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use worker::engines::Engines;
use worker::infer::batch;
use worker::infer::color::Color;
use worker::infer::image::{Image, Samples};
use worker::infer::model::Model;
use worker::infer::network::{BLOCK, Network, units};
use worker::infer::order::{self, Role};
use worker::infer::picture;

/// Side of a tile where nothing else is asked for.
pub const TILE_DEFAULT: u32 = 256;
/// What else is tried where such tiles compute much that their neighbours compute too.
const TILES_LARGER: [u32; 2] = [512, 1024];
/// The least that a spec takes; networks have no samples.
pub const SAMPLES: u32 = 4;
/// Work of all tiles that is accepted, in hundredths of the whole image's.
const WORK_MAX: u64 = 150;
/// What any device binds as one piece: `maxStorageBufferRange` is at least this (Vulkan 1.2,
/// "Required Limits").
const PIECE_MAX: u64 = 1 << 27;

/// `girih infer`.
pub async fn run(access: &Access, form: Form, what: Infer) -> anyhow::Result<Exit> {
    let address = access.address_with_key()?;
    let (asked, max_spend) = (what.clone(), what.max_spend);
    let published = match model::named(&what.model) {
        Some(name) => Some(Arc::new(model::find(&address.connect().await?, name).await?)),
        None => None,
    };
    let known = published.clone();
    let prepared = tokio::task::spawn_blocking(move || {
        let subject = match known {
            Some(model) => Subject::Published(model),
            None => Subject::read(&asked.model)?,
        };
        prepare(&asked, subject)
    });
    let (order, notes, work) = prepared.await??;
    notes.iter().for_each(|note| form.remark(&format!("note: {note}")));
    let keyed = address.connect().await?;
    let engine = order.spec.engine.0.to_vec().into();
    let ask = v1::GetMarketRequest { engine, private: what.private };
    let market = JobsClient::new(keyed.clone()).get_market(ask).await?.into_inner();
    let cost = Price(market.price).of(work).0;
    let royalty = published.as_ref().map_or(0, |model| model.royalty.of(work).0);
    let price = {
        let owed = published.as_ref().map(|model| format!(" and {}", model.royalty_said(work)));
        let (owed, cost) = (owed.unwrap_or_default(), credits(cost));
        format!("{work} work units: {cost} credits at today's price{owed}")
    };
    let Some(max_spend) = max_spend else {
        let frames = order.spec.frames();
        let value = || json!({ "units": work, "cost": cost, "royalty": royalty, "frames": frames });
        form.say(|| format!("{price}; order it with --max-spend"), value)?;
        return Ok(Exit::Ok);
    };
    form.remark(&price);
    let terms = Terms {
        max_spend,
        priority: what.priority,
        private: what.private,
        audit_own: what.audit_own,
        request_id: what.request_id.clone(),
        model: published.map(|model| model.id),
        out: what.wait.then(|| what.out.clone()),
        unsealed: what.unsealed,
        watermark: what.watermark,
    };
    place(&keyed, form, &order, json!({ "notes": notes }), terms).await
}

pub fn unusable(path: &Path, error: impl std::fmt::Display) -> BadInput {
    BadInput(format!("{}: {error}", path.display()))
}

/// The model that is ordered.
enum Subject {
    File(Vec<u8>, Box<Model>),
    Published(Arc<Published>),
}

impl Subject {
    fn read(path: &Path) -> Result<Self, BadInput> {
        let bytes = std::fs::read(path).map_err(|error| unusable(path, error))?;
        let model = Model::read(&bytes).map_err(|error| unusable(path, error))?;
        Ok(Self::File(bytes, Box::new(model)))
    }

    /// Its inputs that are images.
    fn images(&self) -> Vec<&str> {
        match self {
            Self::File(_, model) => {
                let images = model.inputs.iter().filter(|input| input.shape.len() == 4);
                images.map(|input| input.name.as_str()).collect()
            }
            Self::Published(model) => model.facts.inputs.iter().map(String::as_str).collect(),
        }
    }

    /// An order's sizes for images of this size.
    fn sized(&self, base: &Spec, size: (u32, u32), what: &Infer) -> anyhow::Result<Sized> {
        let model = match self {
            Self::Published(model) => return model.facts.sized(base, size, what.tile_size),
            Self::File(_, model) => model,
        };
        let network = Network::new(model, size.0 as usize, size.1 as usize)
            .map_err(|error| unusable(&what.model, error))?;
        sized(&network, base, what.tile_size, &what.model)
    }
}

/// What is ordered, what there is to say about it, and its work units.
fn prepare(what: &Infer, subject: Subject) -> anyhow::Result<(Order, Vec<String>, u64)> {
    let mut roles = roles(what, subject.images())?;
    let mut assets = BTreeMap::new();
    let mut add = |bytes: Vec<u8>| {
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        assets.insert(digest, Bytes::Memory(bytes.into()));
        (digest, size)
    };
    let (mut frames, mut size) = (Vec::new(), None);
    for frame in 0..roles[0].1.len() {
        let mut images = Vec::new();
        for (_, sources) in &mut roles {
            let (path, image) = sources[frame].take()?;
            same_size(&mut size, &image, &path)?;
            images.push(add(image.to_bytes()));
        }
        frames.push(images);
    }
    let Some((width, height)) = size else { return Err(BadUsage("no images".into()).into()) };
    let model = match &subject {
        Subject::File(bytes, _) => add(bytes.clone()),
        Subject::Published(model) => (model.asset, model.facts.bytes),
    };
    let manifest = order::Order {
        model,
        output: what.output_color.unwrap_or(roles[0].0.color),
        roles: roles.iter().map(|(role, _)| role.clone()).collect(),
        frames,
    };
    let scene = add(manifest.to_text().into_bytes()).0;
    let frames = manifest.frames.len() as u32;
    let base = Spec {
        engine: Engines::digests()[1],
        scene,
        frame_first: 1,
        frame_last: frames,
        frame_step: 1,
        fps: 24,
        ..Spec::default()
    };
    let found = subject.sized(&base, (width, height), what)?;
    let work = found.work.saturating_mul(u64::from(frames));
    Ok((Order { spec: found.spec, assets }, vec![found.note], work))
}

fn same_size(size: &mut Option<(u32, u32)>, image: &Image, path: &Path) -> Result<(), BadInput> {
    let own = (image.width, image.height);
    match size.replace(own) {
        Some(other) if other != own => Err(unusable(
            path,
            format!(
                "{}×{}, but others are {}×{}; order images of one size at a time",
                own.0, own.1, other.0, other.1
            ),
        )),
        _ => Ok(()),
    }
}

/// Where a frame's image comes from.
enum Source {
    /// A file of its own, read when its turn comes.
    Picture(PathBuf),
    /// One of a batch.
    Tensor(PathBuf, Image),
}

impl Source {
    /// Everything in a file; of a batch that holds several tensors the one with this name.
    fn all(path: PathBuf, name: &str) -> Result<Vec<Self>, BadInput> {
        if !batch::is_batch(&path) {
            return Ok(vec![Self::Picture(path)]);
        }
        let images = batch::open(&path, name).map_err(BadInput)?;
        Ok(images.into_iter().map(|image| Self::Tensor(path.clone(), image)).collect())
    }

    /// Whether its numbers are a tensor's, which a network gets as they are.
    fn is_tensor(&self) -> bool {
        matches!(self, Self::Tensor(_, Image { samples: Samples::Floats(_), .. }))
    }

    fn take(&mut self) -> Result<(PathBuf, Image), BadInput> {
        match std::mem::replace(self, Self::Picture(PathBuf::new())) {
            Self::Picture(path) => {
                picture::open(&path).map(|image| (path, image)).map_err(BadInput)
            }
            Self::Tensor(path, image) => Ok((path, image)),
        }
    }
}

/// The inputs of the model and what goes into each, frame by frame.
fn roles(what: &Infer, names: Vec<&str>) -> anyhow::Result<Vec<(Role, Vec<Source>)>> {
    let Some(first) = names.first() else {
        return Err(unusable(&what.model, "no input is an image ([1, 3, H, W])").into());
    };
    let mut found: BTreeMap<&str, Vec<Source>> = BTreeMap::new();
    for given in &what.input {
        let (name, pattern) = match given.split_once('=') {
            Some((name, pattern)) if names.contains(&name) => (name, pattern),
            _ => (*first, given.as_str()),
        };
        for file in files(pattern)? {
            found.entry(name).or_default().extend(Source::all(file, name)?);
        }
    }
    let count = found.values().map(Vec::len).max().unwrap_or_default();
    let mut roles = Vec::new();
    for name in names {
        let Some(sources) = found.remove(name).filter(|sources| sources.len() == count) else {
            let what = format!(
                "the model's input `{name}` needs {count} images; name them with \
                 --input '{name}=FILES'"
            );
            return Err(BadUsage(what).into());
        };
        let color = match name.to_lowercase().as_str() {
            _ if sources.iter().any(Source::is_tensor) => what.color.unwrap_or(Color::Linear),
            own if own.contains("albedo") => Color::Linear,
            own if own.contains("normal") => Color::Normal,
            _ => what.color.unwrap_or_default(),
        };
        roles.push((Role { name: name.to_owned(), color, plane: None }, sources));
    }
    if count == 0 || count as u64 > u64::from(limit::FRAMES_MAX) {
        return Err(BadUsage(format!("{count} images are none, or too many")).into());
    }
    Ok(roles)
}

/// The files that a pattern names, in order: `*` in a file's name stands for anything.
fn files(pattern: &str) -> Result<Vec<PathBuf>, BadInput> {
    let path = Path::new(pattern);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains('*') {
        return Ok(vec![path.to_owned()]);
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(dir).map_err(|error| unusable(dir, error))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let own =
        |path: &PathBuf| path.file_name().is_some_and(|own| matches(&name, &own.to_string_lossy()));
    let mut found: Vec<PathBuf> = paths.filter(own).collect();
    found.sort();
    if found.is_empty() { Err(BadInput(format!("`{pattern}` names no file"))) } else { Ok(found) }
}

/// Whether a name is as the pattern says.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// A network's frames as an order: its spec, and what there is to know of it.
#[derive(Debug)]
pub struct Sized {
    pub spec: Spec,
    /// Work units of a frame.
    pub work: u64,
    /// Memory of the largest tile.
    pub bytes: u64,
    /// Bytes of its largest piece.
    pub piece: u64,
    /// Pixels of the images that a tile needs around what it shows.
    pub halo: u32,
    pub note: String,
}

/// Plans every tile of a frame.
fn cut(network: &Network, mut spec: Spec, model: &Path) -> anyhow::Result<Sized> {
    spec.work_per_pixel = 1;
    if !spec.is_valid() {
        return Err(BadUsage(farm::Reject::SpecInvalid.to_string()).into());
    }
    let (mut work, mut work_per_pixel, mut halo) = (0_u64, 0, 0);
    let (mut bytes, mut piece) = (0, 0);
    for tile in 0..spec.tiles_per_frame() {
        let tile = spec.tile(tile);
        let rectangle = [tile.x, tile.y, tile.width, tile.height];
        let [x, y, width, height] = rectangle.map(|side| side as usize);
        let plan = network.plan(x, y, width, height);
        let plan = plan.map_err(|error| unusable(model, error))?;
        let own = units(plan.work);
        let pixels = u64::from(tile.width) * u64::from(tile.height);
        work_per_pixel = own.div_ceil(pixels).max(work_per_pixel);
        work = work.saturating_add(own);
        bytes = plan.bytes(&network.program).max(bytes);
        piece = plan.largest().max(piece);
        halo = network.halo(&plan, rectangle).max(halo);
    }
    spec.work_per_pixel = u32::try_from(work_per_pixel)
        .map_err(|_| BadInput("the model takes too much work for each place".into()))?;
    Ok(Sized { spec, work, bytes, piece, halo, note: String::new() })
}

/// The order's sizes beside what `base` says, in tiles that waste little unless a side is given.
pub fn sized(
    network: &Network,
    base: &Spec,
    tile_size: Option<u32>,
    model: &Path,
) -> anyhow::Result<Sized> {
    let [width, height] = network.size().map(|side| side as u32);
    let of_size = |tile_size: u32| {
        let spec = Spec { width, height, tile_size, samples: SAMPLES, depth: 1, ..base.clone() };
        cut(network, spec, model)
    };
    let whole = network.plan(0, 0, width as usize, height as usize);
    let whole = units(whole.map_err(|error| unusable(model, error))?.work);
    let mut found = of_size(tile_size.unwrap_or(TILE_DEFAULT).next_multiple_of(BLOCK))?;
    let largest = width.max(height).next_multiple_of(BLOCK).min(limit::TILE_SIDE_MAX);
    for side in TILES_LARGER.map(|side| side.min(largest)) {
        let is_enough = found.work.saturating_mul(100) <= whole.saturating_mul(WORK_MAX);
        if tile_size.is_some() || is_enough || found.spec.tile_size >= side {
            break;
        }
        let larger = of_size(side)?;
        if larger.piece > PIECE_MAX.max(found.piece) {
            break;
        }
        found = larger;
    }
    found.note = format!(
        "tiles of {} pixels: {} MiB of memory for one, {:.2} times the work of the whole image",
        found.spec.tile_size,
        found.bytes.div_ceil(1 << 20),
        found.work as f64 / whole as f64
    );
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_of_large_frames_waste_little_and_fit_any_device() {
        let base =
            Spec { frame_first: 1, frame_last: 1, frame_step: 1, fps: 24, ..Spec::default() };
        for (name, tile_size, most) in
            [("spanx2_ch48.onnx", 512, 1.5), ("oidn_rt_hdr_alb_nrm.onnx", 512, 1.5)]
        {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name);
            let model = Model::read(&std::fs::read(&path).unwrap()).unwrap();
            let network = Network::new(&model, 1920, 1080).unwrap();
            let found = sized(&network, &base, None, &path).unwrap();
            let [width, height] = network.size();
            let whole = units(network.plan(0, 0, width, height).unwrap().work);
            assert_eq!(found.spec.tile_size, tile_size, "{name}");
            assert!(found.work as f64 <= whole as f64 * most, "{name}: {} of {whole}", found.work);
            assert!(found.piece <= PIECE_MAX, "{name}: {}", found.piece);
            let asked = sized(&network, &base, Some(64), &path).unwrap();
            assert_eq!(asked.spec.tile_size, 64, "{name}");
        }
    }

    #[test]
    fn patterns_name_files() {
        for (pattern, name, due) in [
            ("*.png", "a.png", true),
            ("*.png", "a.png.txt", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c", false),
            ("a*", "a", true),
            ("*", "anything", true),
        ] {
            assert_eq!(matches(pattern, name), due, "{pattern} {name}");
        }
    }
}
