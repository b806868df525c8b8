//! The engine `infer`: tiles of what a network makes of images. Knows no job and no money.

use super::ModelError;
use super::color::Color;
use super::device::{RunError, Runner, Weights};
use super::fed::{self, Placed, Plane};
use super::image::Image;
use super::model::{BYTES_MAX, Model};
use super::network::{BLOCK, Network, units};
use super::order::{self, Order};
use super::plan::Plan;
use crate::engine::{Assets, Engine, EngineError, Feed, Forecast, Output, TileSpec};
use crate::vulkan::{Device, VulkanError};
use farm::digest::Digest;
use farm::leaf::{self, Leaf};

/// Bytes of a leaf's payload: a block of the output, three little-endian f32 a pixel.
const PAYLOAD_BYTES: usize = (BLOCK * BLOCK * 12) as usize;

/// The images of a frame by the input that they go to.
pub type Images = Vec<(String, Color, Image)>;

/// A network on a device, and the images of the last frame.
struct Loaded {
    scene: Digest,
    frame: u32,
    order: Order,
    model: Digest,
    network: Network,
    weights: Weights,
    images: Images,
    /// What the images were put together from, where another job's tiles feed them.
    placed: Placed,
}

/// Networks on one device. The last one stays there between tiles.
pub struct Networks {
    runner: Runner,
    loaded: Option<Loaded>,
}

/// What an engine may alter about a network before it runs; honest ones alter nothing.
pub type Alteration<'a> = &'a dyn Fn(&mut Network);

impl Networks {
    pub fn new(device: &Device) -> Result<Self, EngineError> {
        Ok(Self { runner: Runner::new(device)?, loaded: None })
    }

    /// Puts the network and the images of a tile on the device, unless they are there.
    fn warm(
        &mut self,
        spec: &TileSpec,
        assets: &dyn Assets,
        alter: Alteration<'_>,
    ) -> Result<(), EngineError> {
        let size = spec.feed.as_ref().map(|feed| (feed.width, feed.height));
        let is_warm = self.loaded.as_ref().is_some_and(|held| {
            let image = &held.images[0].2;
            let same = size.is_none_or(|size| size == (image.width, image.height));
            (held.scene, held.frame) == (spec.scene, spec.frame) && same
        });
        if !is_warm {
            self.load(spec, assets, alter)?;
        }
        let Some(feed) = &spec.feed else { return Ok(()) };
        let held = self.loaded.as_mut().expect("it was just put there");
        let planes = held.order.roles.iter().map(|role| role.plane.unwrap_or(Plane::Light));
        let planes: Vec<Plane> = planes.collect();
        let mut images: Vec<&mut Image> = held.images.iter_mut().map(|own| &mut own.2).collect();
        held.placed.place(feed, &planes, &mut images, assets)
    }

    /// The same, with nothing at hand or something else.
    fn load(
        &mut self,
        spec: &TileSpec,
        assets: &dyn Assets,
        alter: Alteration<'_>,
    ) -> Result<(), EngineError> {
        let order = Order::read(&bytes(assets, &spec.scene, order::BYTES_MAX)?)?;
        let images = images(&order, spec, assets)?;
        let (width, height) = (images[0].2.width as usize, images[0].2.height as usize);
        let model = order.model.0;
        let fits = |held: &Loaded| {
            let same = (held.network.width, held.network.height) == (width, height);
            held.model == model && same && held.scene == spec.scene
        };
        if !self.loaded.as_ref().is_some_and(fits) {
            self.loaded = None;
            let model = Model::read(&bytes(assets, &model, BYTES_MAX as u64)?)?;
            let mut network = Network::new(&model, width, height)?;
            alter(&mut network);
            let weights = self.runner.load(&network.program)?;
            let (scene, frame) = (spec.scene, spec.frame);
            let model = order.model.0;
            let (images, placed) = (vec![], Placed::default());
            let loaded = Loaded { scene, frame, order, model, network, weights, images, placed };
            self.loaded = Some(loaded);
        }
        let held = self.loaded.as_mut().expect("it was just put there");
        (held.frame, held.images, held.placed) = (spec.frame, images, Placed::default());
        Ok(())
    }

    /// Linear light of a rectangle of the frame.
    fn compute(
        &mut self,
        plan: &Plan,
        feed: Option<&Feed>,
        rectangle: [usize; 4],
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<f32>, EngineError> {
        let held = self.loaded.as_ref().expect("a tile is warmed first");
        let network = &held.network;
        let covered = |feed| network.reads(plan).into_iter().all(|part| fed::covers(feed, part));
        if !feed.is_none_or(covered) {
            return Err(EngineError::Scene(
                "the tile needs more of the frames before than the job says; its halo is too small"
                    .into(),
            ));
        }
        let inputs = network.inputs(plan, &held.images)?;
        let (program, output) = (&network.program, network.output);
        let words = self.runner.run(program, &held.weights, plan, output, &inputs, stop)?;
        Ok(network.written(plan, &words, held.order.output, rectangle))
    }

    fn check(&self, spec: &TileSpec) -> Result<Plan, EngineError> {
        let held = self.loaded.as_ref().expect("a tile is warmed first");
        let refuse = |what: String| Err(EngineError::Scene(what));
        let [width, height] = held.network.size();
        if [spec.frame_width, spec.frame_height] != [width as u32, height as u32] {
            return refuse(format!("the network makes {width}×{height} of the images"));
        }
        let inside = spec.x.checked_add(spec.width).is_some_and(|end| end <= spec.frame_width)
            && spec.y.checked_add(spec.height).is_some_and(|end| end <= spec.frame_height);
        if !inside || spec.width == 0 || spec.height == 0 {
            return refuse("the tile is empty or reaches out of the frame".into());
        }
        let [x, y, width, height] = rectangle(spec);
        let plan = held.network.plan(x, y, width, height)?;
        let (units, pixels) = (units(plan.work), u64::from(spec.width) * u64::from(spec.height));
        if units > pixels * u64::from(spec.work_per_pixel) {
            return refuse(format!(
                "the tile takes {units} work units, the job says at most {} a pixel",
                spec.work_per_pixel
            ));
        }
        Ok(plan)
    }

    /// Computes a tile of a network that may have been altered.
    pub fn run_altered(
        &mut self,
        spec: &TileSpec,
        assets: &dyn Assets,
        stop: &dyn Fn() -> bool,
        alter: Alteration<'_>,
    ) -> Result<Output, EngineError> {
        self.warm(spec, assets, alter)?;
        let plan = self.check(spec)?;
        let pixels = self.compute(&plan, spec.feed.as_ref(), rectangle(spec), stop)?;
        Ok(committed(spec, &pixels, units(plan.work)))
    }

    /// The images of a tile's frame, and the tile's work units.
    pub fn images(
        &mut self,
        spec: &TileSpec,
        assets: &dyn Assets,
    ) -> Result<(&Images, u64), EngineError> {
        self.warm(spec, assets, &|_| ())?;
        let work = self.check(spec)?.work;
        Ok((&self.loaded.as_ref().expect("it was just put there").images, units(work)))
    }

    /// Forgets the network, so that the next tile loads it anew.
    pub fn forget(&mut self) {
        self.loaded = None;
    }
}

fn rectangle(spec: &TileSpec) -> [usize; 4] {
    [spec.x, spec.y, spec.width, spec.height].map(|side| side as usize)
}

/// The work of a leaf: the tile's, shared out evenly, so that an auditor knows it beforehand.
fn share(units: u64, leaf: u32, leaves: u32) -> u64 {
    let until =
        |leaf: u32| (u128::from(units) * u128::from(leaf) / u128::from(leaves.max(1))) as u64;
    until(leaf + 1) - until(leaf)
}

/// A tile's bytes and leaves.
pub fn committed(spec: &TileSpec, pixels: &[f32], units: u64) -> Output {
    let blocks = spec.leaves();
    let leaves = (0..blocks).map(|block| {
        let [x, y, ..] = place(spec, block);
        let width = spec.width as usize;
        let payload = payload(|column, row| {
            let (column, row) = (x - spec.x as usize + column, y - spec.y as usize + row);
            let inside = column < width && row < spec.height as usize;
            inside.then(|| &pixels[(row * width + column) * 3..][..3])
        });
        Leaf { hash: leaf::payload(&payload), units: share(units, block, blocks) }
    });
    let leaves = leaves.collect();
    Output { bytes: pixels.iter().flat_map(|value| value.to_le_bytes()).collect(), leaves }
}

/// A block's place in the frame and its size there.
fn place(spec: &TileSpec, block: u32) -> [usize; 4] {
    let across = spec.width.div_ceil(BLOCK);
    let (x, y) = (block % across * BLOCK, block / across * BLOCK);
    let (width, height) = (BLOCK.min(spec.width - x), BLOCK.min(spec.height - y));
    [spec.x + x, spec.y + y, width, height].map(|side| side as usize)
}

/// The bytes of a block; zeros outside the tile.
fn payload<'a>(at: impl Fn(usize, usize) -> Option<&'a [f32]>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PAYLOAD_BYTES);
    for row in 0..BLOCK as usize {
        for column in 0..BLOCK as usize {
            let pixel = at(column, row).unwrap_or(&[0.0; 3]);
            bytes.extend(pixel.iter().flat_map(|value| value.to_le_bytes()));
        }
    }
    bytes
}

impl Engine for Networks {
    fn name(&self) -> &'static str {
        "infer"
    }

    fn digest(&self) -> Digest {
        Digest(shaders::spirv::infer_digest())
    }

    fn run(
        &mut self,
        spec: &TileSpec,
        assets: &dyn Assets,
        stop: &dyn Fn() -> bool,
    ) -> Result<Output, EngineError> {
        self.run_altered(spec, assets, stop, &|_| ())
    }

    /// What a network takes is known from its plan; nothing is tried.
    fn forecast(
        &mut self,
        spec: &TileSpec,
        leaves: &[u32],
        assets: &dyn Assets,
    ) -> Result<Forecast, EngineError> {
        self.warm(spec, assets, &|_| ())?;
        let (units, count) = (units(self.check(spec)?.work), spec.leaves());
        let share_of = |leaf: &u32| (*leaf < count).then(|| share(units, *leaf, count));
        let shares: Option<Vec<u64>> = leaves.iter().map(share_of).collect();
        let none = || EngineError::Scene(format!("a leaf beyond the {count} of its tile"));
        Ok(Forecast { units: shares.ok_or_else(none)?, spent: 0 })
    }

    /// Each block by itself with what it needs around it, or, where these overlap too much, all in
    /// one piece: what a place holds does not depend on that.
    fn audit(
        &mut self,
        spec: &TileSpec,
        leaves: &[u32],
        assets: &dyn Assets,
    ) -> Result<Vec<Leaf>, EngineError> {
        self.warm(spec, assets, &|_| ())?;
        let whole = self.check(spec)?;
        let count = spec.leaves();
        if let Some(leaf) = leaves.iter().find(|leaf| **leaf >= count) {
            return Err(EngineError::Scene(format!("leaf {leaf} of a tile of {count} leaves")));
        }
        let units = units(whole.work);
        let plan = |engine: &Self, [x, y, width, height]: [usize; 4]| {
            let held = engine.loaded.as_ref().expect("a tile is warmed first");
            held.network.plan(x, y, width, height)
        };
        let mut plans = Vec::new();
        for block in leaves {
            plans.push(plan(self, place(spec, *block))?);
        }
        let apart: u64 = plans.iter().map(|plan| plan.work).sum();
        let together = (apart > whole.work)
            .then(|| self.compute(&whole, spec.feed.as_ref(), rectangle(spec), &|| false))
            .transpose()?;
        if let Some(pixels) = together {
            let all = committed(spec, &pixels, units).leaves;
            return Ok(leaves.iter().map(|leaf| all[*leaf as usize]).collect());
        }
        let mut found = Vec::with_capacity(leaves.len());
        for (block, plan) in leaves.iter().zip(&plans) {
            let own = place(spec, *block);
            let pixels = self.compute(plan, spec.feed.as_ref(), own, &|| false)?;
            let payload = payload(|column, row| {
                let inside = column < own[2] && row < own[3];
                inside.then(|| &pixels[(row * own[2] + column) * 3..][..3])
            });
            let units = share(units, *block, count);
            found.push(Leaf { hash: leaf::payload(&payload), units });
        }
        Ok(found)
    }
}

/// The images of a tile's frame: read, or still black where another job's tiles feed them.
fn images(order: &Order, spec: &TileSpec, assets: &dyn Assets) -> Result<Images, EngineError> {
    let is_fed = order.roles.iter().any(|role| role.plane.is_some());
    let mut images = Images::new();
    match (&spec.feed, is_fed) {
        (Some(feed), true) => {
            for role in &order.roles {
                images.push((role.name.clone(), role.color, fed::blank(feed)?));
            }
        }
        (None, false) => {
            let frame = (spec.frame as usize).checked_sub(1).and_then(|at| order.frames.get(at));
            let none = || EngineError::Scene(format!("the job has no frame {}", spec.frame));
            for (role, (digest, _)) in order.roles.iter().zip(frame.ok_or_else(none)?) {
                let image = Image::read(&bytes(assets, digest, u64::MAX)?)?;
                images.push((role.name.clone(), role.color, image));
            }
        }
        _ => {
            let what = "the job's bundle names images, and another job feeds it; or neither";
            return Err(EngineError::Scene(what.into()));
        }
    }
    Ok(images)
}

/// An asset's bytes, if there are no more than that.
fn bytes(assets: &dyn Assets, digest: &Digest, most: u64) -> Result<Vec<u8>, EngineError> {
    let most = most.min(super::image::PIXELS_MAX * 12 + 80);
    let read = assets.asset(digest)?.read(most);
    read.map_err(|error| EngineError::Scene(format!("asset {digest}: {error}")))
}

impl From<ModelError> for EngineError {
    fn from(error: ModelError) -> Self {
        EngineError::Scene(error.to_string())
    }
}

impl From<RunError> for EngineError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Stopped => EngineError::Stopped,
            // What is too large for this device may fit another one.
            RunError::Vulkan(error) => match error {
                VulkanError::TooLarge { .. } => EngineError::Scene(format!(
                    "{error}: make tiles smaller with --tile-size, or images"
                )),
                other => other.into(),
            },
        }
    }
}
