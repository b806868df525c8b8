//! The render engine: an exact path tracer whose bits do not depend on the device.

pub mod adaptive;
pub mod albedo;
pub mod aov;
pub mod canvas;
pub mod cheat;
pub mod exact;
pub mod grid;
pub mod scene;
pub mod stage;
pub mod wide;

use crate::engine::{Assets, Engine, EngineError, Forecast, Output, TileSpec};
use crate::vulkan::{Device, VulkanError};
use canvas::{Canvas, Traced};
use farm::digest::Digest;
use farm::leaf::Leaf;
use proto::aov::Aov;
use scene::bundle::MANIFEST_BYTES_MAX;
use scene::{Bundle, Scene, View};
use stage::{Pipelines, Stage, StageError};
use std::collections::BTreeMap;

/// Largest side of a tile, pixels.
pub const TILE_SIDE_MAX: u32 = 4096;
/// Most bytes of a tile.
pub const OUTPUT_BYTES_MAX: u64 = 12 * (TILE_SIDE_MAX as u64).pow(2);
/// Most samples per pixel.
pub const SAMPLES_MAX: u32 = 1 << 16;
/// Longest path, segments.
pub const DEPTH_MAX: u32 = 64;
/// Largest side of a frame, pixels.
pub const FRAME_SIDE_MAX: u32 = 1 << 16;

/// Blocks whose pilot leaves are kept at a time.
const BLOCKS_AT_ONCE: usize = 256;

/// What a loaded scene was loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    scene: Digest,
    environment: Option<Digest>,
    view: View,
}

/// The path tracer on one device. The last scene stays on the device between tiles.
pub struct PathTracer {
    stage: Option<(Key, Stage)>,
    pipelines: Pipelines,
    device: Device,
}

impl PathTracer {
    /// Shaders are compiled when a scene needs them.
    pub fn new(device: Device) -> Result<Self, EngineError> {
        Ok(Self { stage: None, pipelines: Pipelines::new(&device), device })
    }

    /// Puts the scene of a tile on the device, unless it is there already.
    fn warm(&mut self, spec: &TileSpec, assets: &dyn Assets) -> Result<&mut Stage, EngineError> {
        let view = View {
            frame: spec.frame,
            fps: spec.fps,
            width: spec.frame_width,
            height: spec.frame_height,
            neighbours: spec.aovs & Aov::Motion.bit() != 0,
        };
        let key = Key { scene: spec.scene, environment: spec.environment, view };
        if self.stage.as_ref().is_none_or(|(held, _)| *held != key) {
            // The old scene goes first: two may not fit.
            self.stage = None;
            let scene = load(&key, assets)?;
            self.stage = Some((key, Stage::new(&self.device, &scene)?));
        }
        Ok(&mut self.stage.as_mut().expect("the scene was just put on the device").1)
    }
}

impl Engine for PathTracer {
    fn name(&self) -> &'static str {
        "render"
    }

    fn digest(&self) -> Digest {
        Digest(shaders::spirv::render_digest())
    }

    fn run(
        &mut self,
        spec: &TileSpec,
        assets: &dyn Assets,
        stop: &dyn Fn() -> bool,
    ) -> Result<Output, EngineError> {
        check(spec)?;
        self.warm(spec, assets)?;
        let (_, stage) = self.stage.as_mut().expect("the scene is on the device");
        draw(stage, &mut self.pipelines, spec, stop)
    }

    fn forecast(
        &mut self,
        spec: &TileSpec,
        leaves: &[u32],
        assets: &dyn Assets,
    ) -> Result<Forecast, EngineError> {
        check(spec)?;
        self.warm(spec, assets)?;
        let (_, stage) = self.stage.as_mut().expect("the scene is on the device");
        forecast(stage, &mut self.pipelines, spec, leaves)
    }

    fn audit(
        &mut self,
        spec: &TileSpec,
        leaves: &[u32],
        assets: &dyn Assets,
    ) -> Result<Vec<Leaf>, EngineError> {
        check(spec)?;
        self.warm(spec, assets)?;
        let (_, stage) = self.stage.as_mut().expect("the scene is on the device");
        recompute(stage, &mut self.pipelines, spec, leaves)
    }
}

/// Traces a whole tile of the scene on stage.
pub fn draw(
    stage: &mut Stage,
    pipelines: &mut Pipelines,
    spec: &TileSpec,
    stop: &dyn Fn() -> bool,
) -> Result<Output, EngineError> {
    check(spec)?;
    let pilot = adaptive::pilot(spec);
    let mut canvas = Canvas::new(spec);
    for first in (0..spec.blocks()).step_by(BLOCKS_AT_ONCE) {
        let blocks: Vec<u32> = (first..spec.blocks()).take(BLOCKS_AT_ONCE).collect();
        let (groups, pilots) = plan(stage, pipelines, spec, &blocks, stop)?;
        let groups_of = |leaf: u32| groups[(leaf / spec.groups() - first) as usize];
        let rest = blocks.iter().zip(&groups).flat_map(|(block, groups)| {
            (pilot..*groups).map(move |group| block * spec.groups() + group)
        });
        let rest: Vec<u32> = rest.collect();
        let mut pilots = pilots.into_iter().peekable();
        stage.trace(pipelines, spec, &rest, stop, |traced| {
            while let Some(before) = pilots.next_if(|pilot| pilot.leaf < traced.leaf) {
                canvas.add(&before, groups_of(before.leaf));
            }
            canvas.add(&traced, groups_of(traced.leaf));
        })?;
        pilots.for_each(|after| canvas.add(&after, groups_of(after.leaf)));
    }
    Ok(canvas.into_output())
}

/// How many groups each of some blocks gets, and the leaves that decide it, in order.
fn plan(
    stage: &mut Stage,
    pipelines: &mut Pipelines,
    spec: &TileSpec,
    blocks: &[u32],
    stop: &dyn Fn() -> bool,
) -> Result<(Vec<u32>, Vec<Traced>), EngineError> {
    let pilot = adaptive::pilot(spec);
    if pilot == 0 {
        return Ok((vec![spec.groups(); blocks.len()], Vec::new()));
    }
    let leaves =
        blocks.iter().flat_map(|block| (0..pilot).map(move |at| block * spec.groups() + at));
    let leaves: Vec<u32> = leaves.collect();
    let mut pilots = Vec::with_capacity(leaves.len());
    stage.trace(pipelines, spec, &leaves, stop, |traced| pilots.push(traced))?;
    let lights = pilots.chunks_exact(pilot as usize);
    let groups = blocks.iter().zip(lights).map(|(block, pilots)| {
        let lights: Vec<&[u8]> = pilots.iter().map(Traced::light).collect();
        adaptive::groups(spec, *block, &lights)
    });
    Ok((groups.collect(), pilots))
}

/// Traces the named leaves of a tile of the scene on stage.
pub fn recompute(
    stage: &mut Stage,
    pipelines: &mut Pipelines,
    spec: &TileSpec,
    leaves: &[u32],
) -> Result<Vec<Leaf>, EngineError> {
    check(spec)?;
    let blocks = blocks_of(spec, leaves)?;
    // What is not traced is a leaf of nothing.
    let mut found: BTreeMap<u32, Leaf> = leaves.iter().map(|at| (*at, Leaf::default())).collect();
    let mut left = Vec::new();
    for blocks in blocks.chunks(BLOCKS_AT_ONCE) {
        let (groups, pilots) = plan(stage, pipelines, spec, blocks, &|| false)?;
        for pilot in &pilots {
            found.entry(pilot.leaf).and_modify(|leaf| *leaf = pilot.to_leaf());
        }
        let pilot = adaptive::pilot(spec);
        for (block, groups) in blocks.iter().zip(groups) {
            let first = block * spec.groups();
            let asked = found.range(first + pilot..first + groups);
            left.extend(asked.map(|(leaf, _)| *leaf));
        }
    }
    stage.trace(pipelines, spec, &left, &|| false, |traced| {
        found.insert(traced.leaf, traced.to_leaf());
    })?;
    Ok(leaves.iter().map(|leaf| found[leaf]).collect())
}

/// The blocks that the named leaves are of, in order.
fn blocks_of(spec: &TileSpec, leaves: &[u32]) -> Result<Vec<u32>, EngineError> {
    if let Some(leaf) = leaves.iter().find(|leaf| **leaf >= spec.leaves()) {
        let leaves = spec.leaves();
        return Err(EngineError::Scene(format!("leaf {leaf} of a tile of {leaves} leaves")));
    }
    let mut blocks: Vec<u32> = leaves.iter().map(|leaf| leaf / spec.groups()).collect();
    blocks.sort_unstable();
    blocks.dedup();
    Ok(blocks)
}

/// What the blocks of some leaves of the scene on stage will take: each leaf stands for its block,
/// or, where the first leaves of a block decide how many it has, these for all.
fn forecast(
    stage: &mut Stage,
    pipelines: &mut Pipelines,
    spec: &TileSpec,
    leaves: &[u32],
) -> Result<Forecast, EngineError> {
    let blocks = blocks_of(spec, leaves)?;
    let pilot = adaptive::pilot(spec);
    if pilot == 0 {
        let found = recompute(stage, pipelines, spec, leaves)?;
        let units = found.iter().map(|leaf| leaf.units * u64::from(spec.groups())).collect();
        return Ok(Forecast { units, spent: found.iter().map(|leaf| leaf.units).sum() });
    }
    let (mut of, mut spent) = (BTreeMap::new(), 0);
    for blocks in blocks.chunks(BLOCKS_AT_ONCE) {
        let (groups, pilots) = plan(stage, pipelines, spec, blocks, &|| false)?;
        let pilots = pilots.chunks_exact(pilot as usize);
        for ((block, groups), pilots) in blocks.iter().zip(groups).zip(pilots) {
            let seen: u64 = pilots.iter().map(|leaf| leaf.to_leaf().units).sum();
            of.insert(*block, seen * u64::from(groups) / u64::from(pilot));
            spent += seen;
        }
    }
    let units = leaves.iter().map(|leaf| of[&(leaf / spec.groups())]).collect();
    Ok(Forecast { units, spent })
}

/// Refuses a tile that no honest job asks for, before any memory is taken.
fn check(spec: &TileSpec) -> Result<(), EngineError> {
    let refuse = |what: String| Err(EngineError::Scene(what));
    let (right, bottom) = (spec.x.checked_add(spec.width), spec.y.checked_add(spec.height));
    let inside = right.is_some_and(|right| right <= spec.frame_width)
        && bottom.is_some_and(|bottom| bottom <= spec.frame_height);
    let aligned = |from: u32, length: u32, whole: u32| {
        from.is_multiple_of(8) && (length.is_multiple_of(8) || from + length == whole)
    };
    if spec.frame_width > FRAME_SIDE_MAX || spec.frame_height > FRAME_SIDE_MAX {
        return refuse(format!("the frame is larger than {FRAME_SIDE_MAX} pixels on a side"));
    }
    if spec.width == 0 || spec.height == 0 || !inside {
        return refuse("the tile is empty or reaches out of the frame".into());
    }
    if spec.width > TILE_SIDE_MAX || spec.height > TILE_SIDE_MAX {
        return refuse(format!("the tile is larger than {TILE_SIDE_MAX} pixels on a side"));
    }
    if !aligned(spec.x, spec.width, spec.frame_width)
        || !aligned(spec.y, spec.height, spec.frame_height)
    {
        return refuse("the tile does not lie on blocks of 8 pixels".into());
    }
    let samples = spec.samples;
    if samples == 0 || !samples.is_multiple_of(shaders::GROUP) || samples > SAMPLES_MAX {
        return refuse(format!("{samples} samples: a multiple of 4 up to {SAMPLES_MAX} is meant"));
    }
    if spec.depth == 0 || spec.depth > DEPTH_MAX {
        return refuse(format!("depth {}: 1 to {DEPTH_MAX} is meant", spec.depth));
    }
    let pixels = u64::from(spec.width) * u64::from(spec.height);
    if !proto::aov::are_known(spec.aovs) {
        return refuse(format!("AOVs {:#b}: this engine knows fewer", spec.aovs));
    }
    if proto::aov::with_noise(spec.aovs, spec.noise) != spec.aovs {
        return refuse("a noise threshold without the AOV of samples".into());
    }
    if proto::aov::tile_bytes(spec.aovs, pixels) > OUTPUT_BYTES_MAX {
        return refuse("the tile has too many pixels for its AOVs; make tiles smaller".into());
    }
    if u64::from(spec.blocks()) * u64::from(spec.groups()) > u64::from(u32::MAX / 2) {
        return refuse("the tile has too many leaves; make tiles smaller".into());
    }
    Ok(())
}

fn load(key: &Key, assets: &dyn Assets) -> Result<Scene, EngineError> {
    let manifest = assets.asset(&key.scene)?.read(MANIFEST_BYTES_MAX as u64);
    let manifest =
        manifest.map_err(|error| EngineError::Scene(format!("the scene's manifest: {error}")))?;
    let mut absent = None;
    let bundle = Bundle::read(&manifest, |digest| {
        assets.asset(digest).map_err(|error| {
            let text = error.to_string();
            absent.get_or_insert(error);
            text
        })
    });
    // An asset that the worker lacks is not the artist's fault.
    if let Some(error) = absent {
        return Err(error);
    }
    let scene_fault = |error: scene::SceneError| EngineError::Scene(error.to_string());
    let bundle = bundle.map_err(scene_fault)?;
    let environment = key.environment.map(|digest| assets.asset(&digest)).transpose()?;
    scene::load(&bundle, environment.as_ref(), key.view).map_err(scene_fault)
}

impl From<VulkanError> for EngineError {
    fn from(error: VulkanError) -> Self {
        EngineError::Device(error.to_string())
    }
}

impl From<StageError> for EngineError {
    fn from(error: StageError) -> Self {
        match error {
            StageError::Vulkan(error) => error.into(),
            StageError::Grid(error) => EngineError::Scene(error.to_string()),
            StageError::Stopped => EngineError::Stopped,
        }
    }
}
