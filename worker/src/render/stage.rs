//! A scene on a device, ready to have leaves traced. Knows no files and no farm.

use super::canvas::Traced;
use super::grid::{self, GridError};
use super::scene::{Scene, layers};
use super::{albedo, aov, exact};
use crate::engine::TileSpec;
use crate::vulkan::{Binding, Buffer, Device, DeviceKind, Pass, Pipeline, Running};
use crate::vulkan::{Texel, VulkanError};
use shaders::spirv::Variant;
use shaders::{AOV_LEAF_WORDS, Camera, Emitter, LEAF_WORDS, Material, MotionKey, PathParameters};
use shaders::{FEATURE_CLAMP, FEATURE_COVERAGE, FEATURE_EMITTERS, FEATURE_ENVIRONMENT};
use shaders::{FEATURE_LENS, FEATURE_LIGHTS, FEATURE_MOTION, FEATURE_SHEEN, FEATURE_TEXTURES};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

/// What the path tracer reads, by binding; what it writes follows.
const READS: [Texel; 15] = {
    use Texel::{FourWords, Word};
    [
        FourWords, FourWords, FourWords, FourWords, FourWords, Word, FourWords, FourWords, Word,
        FourWords, FourWords, Word, Word, FourWords, Word,
    ]
};
/// Most leaves in one dispatch.
const CHUNK_MAX: usize = 2048;
/// Leaves in the first dispatch of a scene, before its speed is known.
const CHUNK_FIRST: usize = 4;
/// What a dispatch should take: short enough for drivers that reset a device that hangs, and for
/// `stop` to be heard.
const DISPATCH_TIME: Duration = Duration::from_millis(120);
/// Bytes of light in a leaf's payload: 64 pixels of 3 f32. The words of its AOVs follow.
pub const LIGHT_BYTES: usize = 768;

/// Why no leaves were traced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    #[error(transparent)]
    Vulkan(#[from] VulkanError),
    #[error(transparent)]
    Grid(#[from] GridError),
    #[error("stopped")]
    Stopped,
}

/// Which shader a scene needs: the path tracer with its features (`shaders::FEATURE_*`), or that
/// for AOVs, which has none; and for what it is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    features: Option<u32>,
    variant: Variant,
}

/// The shaders compiled for a device, once for each set of features that scenes asked for.
pub struct Pipelines {
    device: Device,
    made: BTreeMap<Kind, Pipeline>,
}

impl Pipelines {
    /// Nothing is compiled before a scene needs it.
    pub fn new(device: &Device) -> Self {
        Self { device: device.clone(), made: BTreeMap::new() }
    }

    /// The shader of this kind.
    pub fn of(&mut self, kind: Kind) -> Result<&Pipeline, VulkanError> {
        match self.made.entry(kind) {
            Entry::Occupied(made) => Ok(made.into_mut()),
            Entry::Vacant(empty) => {
                let Kind { features, variant } = kind;
                let layered = |features| features & shaders::FEATURE_LAYERS != 0;
                let words = shaders::spirv::words(match features {
                    Some(features) => shaders::spirv::path(layered(features), variant),
                    None => shaders::spirv::aov(variant),
                });
                let read = |texel| match variant.texels {
                    true => Binding::Texels(texel),
                    false => Binding::Storage,
                };
                let written = [Binding::Storage];
                let bindings: Vec<_> = READS.map(read).into_iter().chain(written).collect();
                let parameters = size_of::<PathParameters>() as u32;
                let constants = features.as_slice();
                let pipeline =
                    Pipeline::new(&self.device, &words, &bindings, parameters, constants)?;
                Ok(empty.insert(pipeline))
            }
        }
    }
}

/// What one dispatch reads and writes of its own.
struct Lane {
    leaves: Buffer,
    sums: Buffer,
    /// What the shader for AOVs writes, once it was asked for.
    aovs: Option<Buffer>,
}

/// Leaves that the device is at.
struct Flight<'a> {
    lane: usize,
    leaves: &'a [u32],
    light: Running,
    seen: Option<Running>,
    began: Instant,
}

/// A scene's buffers on a device.
pub struct Stage {
    device: Device,
    scene: Vec<Buffer>,
    /// The device is at one while the leaves of the other are taken in.
    lanes: [Lane; 2],
    sizes: PathParameters,
    kind: Kind,
    /// Leaves in the next dispatch.
    chunk: usize,
    /// When the last dispatch ended.
    ended: Instant,
}

impl Lane {
    fn new(device: &Device) -> Result<Self, VulkanError> {
        let sums = CHUNK_MAX as u64 * u64::from(LEAF_WORDS) * 4;
        Ok(Self {
            leaves: Buffer::output(device, "the list of leaves", CHUNK_MAX as u64 * 4)?,
            sums: Buffer::output(device, "the sums", sums)?,
            aovs: None,
        })
    }
}

impl Stage {
    /// Copies a scene to the device.
    pub fn new(device: &Device, scene: &Scene) -> Result<Self, StageError> {
        let Scene { nodes, triangles, materials, moving, repeated, .. } = scene;
        let laid = grid::lay(nodes, triangles, materials, moving, repeated)?;
        let features = features(scene);
        let constants = constants(features);
        let motions = motions(&scene.cameras, &laid.moving.keys);
        let environment = &scene.environment;
        let filled = |what, bytes: &[u8]| Buffer::filled(device, what, bytes);
        let mut buffers = vec![
            filled("the hierarchy", bytemuck::cast_slice(&laid.nodes))?,
            filled("the triangles", bytemuck::cast_slice(&laid.triangles))?,
            filled("the surfaces", bytemuck::cast_slice(&scene.surfaces))?,
            filled("the materials", bytemuck::cast_slice(&scene.materials))?,
            filled("the list of textures", bytemuck::cast_slice(&scene.textures))?,
            filled("the texels of all textures", bytemuck::cast_slice(&scene.texels))?,
            filled("the lights", bytemuck::cast_slice(&scene.lights))?,
            filled("the environment", bytemuck::cast_slice(&environment.texels))?,
            filled("the constants", bytemuck::cast_slice(&constants))?,
            filled("the extra places and colours", bytemuck::cast_slice(&scene.extras))?,
            filled("the emitters", bytemuck::cast_slice(&emitters(&scene.emission.emitters)))?,
            filled("the emitters' densities", bytemuck::cast_slice(&scene.emission.densities))?,
            filled("the layers of materials", bytemuck::cast_slice(&scene.layers))?,
            filled("what moves", bytemuck::cast_slice(&motions))?,
        ];
        let sizes = PathParameters {
            triangle_count: laid.triangles.len() as u32,
            light_count: (scene.lights.len() / scene.cameras.len()) as u32,
            emitter_count: scene.emission.emitters.len() as u32,
            environment_width: environment.width,
            environment_height: environment.height,
            padding: laid.padding,
            clamp: scene.clamp.unwrap_or_default(),
            motion_steps: scene.moving.steps as u32,
            motion_keys: scene.cameras.len() as u32,
            ..PathParameters::default()
        };
        let mut lanes = [Lane::new(device)?, Lane::new(device)?];
        let list = READS[buffers.len()];
        let lists = lanes.iter_mut().map(|lane| (&mut lane.leaves, list));
        let texels = read_as_texels(device, buffers.iter_mut().zip(READS).chain(lists).collect())?;
        Ok(Self {
            device: device.clone(),
            scene: buffers,
            lanes,
            sizes,
            kind: Kind {
                features: Some(features),
                variant: Variant {
                    texels,
                    motion: scene.moving.steps > 0,
                    instanced: !scene.repeated.places.is_empty(),
                },
            },
            chunk: CHUNK_FIRST,
            ended: Instant::now(),
        })
    }

    /// Compiles what tracing this scene needs, unless it is there.
    pub fn prepare(&self, pipelines: &mut Pipelines) -> Result<(), VulkanError> {
        pipelines.of(self.kind).map(|_| ())
    }

    /// Traces leaves of a tile; `each` gets every leaf, in the order asked, while the device is at
    /// the next ones. Every index must be below the tile's number of leaves. AOVs come from a pass
    /// of their own, so that the picture has the same bits with and without them.
    pub fn trace(
        &mut self,
        pipelines: &mut Pipelines,
        spec: &TileSpec,
        leaves: &[u32],
        stop: &dyn Fn() -> bool,
        mut each: impl FnMut(Traced),
    ) -> Result<(), StageError> {
        let parameters = PathParameters {
            tile_x: spec.x,
            tile_y: spec.y,
            blocks_across: spec.width.div_ceil(shaders::BLOCK),
            groups: spec.groups(),
            frame_width: spec.frame_width,
            frame_height: spec.frame_height,
            frame: spec.frame,
            seed: spec.seed,
            depth: spec.depth,
            ..self.sizes
        };
        let with_aovs = aov::traced(spec.aovs) != 0;
        let mut left = leaves;
        let mut ahead: Option<Flight<'_>> = None;
        while ahead.is_some() || !left.is_empty() {
            let mut next = None;
            if !left.is_empty() {
                if stop() {
                    return Err(StageError::Stopped);
                }
                let (now, later) = left.split_at(self.chunk.min(left.len()));
                left = later;
                let lane = ahead.as_ref().map_or(0, |flight| 1 - flight.lane);
                next = Some(self.depart(pipelines, &parameters, now, lane, with_aovs)?);
            }
            if let Some(flight) = ahead {
                self.arrive(flight, spec.aovs, &mut each)?;
            }
            ahead = next;
        }
        Ok(())
    }

    /// Hands leaves to the device, in a lane that is free.
    fn depart<'a>(
        &mut self,
        pipelines: &mut Pipelines,
        parameters: &PathParameters,
        leaves: &'a [u32],
        lane: usize,
        with_aovs: bool,
    ) -> Result<Flight<'a>, VulkanError> {
        let own = &mut self.lanes[lane];
        own.leaves.write(bytemuck::cast_slice(leaves));
        if with_aovs && own.aovs.is_none() {
            let bytes = CHUNK_MAX as u64 * u64::from(AOV_LEAF_WORDS) * 4;
            own.aovs = Some(Buffer::output(&self.device, "the AOVs", bytes)?);
        }
        let own = &self.lanes[lane];
        let reads: Vec<&Buffer> = self.scene.iter().chain([&own.leaves]).collect();
        let began = Instant::now();
        let light = Pass {
            name: "trace leaves",
            pipeline: pipelines.of(self.kind)?,
            reads: &reads,
            writes: &[&own.sums],
            parameters: bytemuck::bytes_of(parameters),
            workgroups: leaves.len() as u32,
        }
        .begin(&self.device)?;
        let motion = self.sizes.motion_keys > 1;
        let kind = Kind { features: None, variant: Variant { motion, ..self.kind.variant } };
        let see = |aovs: &Buffer| {
            Pass {
                name: "trace what the camera sees first",
                pipeline: pipelines.of(kind)?,
                reads: &reads,
                writes: &[aovs],
                parameters: bytemuck::bytes_of(parameters),
                workgroups: leaves.len() as u32,
            }
            .begin(&self.device)
        };
        let seen = own.aovs.as_ref().filter(|_| with_aovs).map(see).transpose()?;
        Ok(Flight { lane, leaves, light, seen, began })
    }

    /// Waits for leaves and takes them in.
    fn arrive(
        &mut self,
        flight: Flight<'_>,
        aovs: u32,
        each: &mut impl FnMut(Traced),
    ) -> Result<(), VulkanError> {
        let Flight { lane, leaves, light, seen, began } = flight;
        let lane = &mut self.lanes[lane];
        light.wait()?;
        let mut light = vec![0_u32; leaves.len() * LEAF_WORDS as usize];
        lane.sums.read(bytemuck::cast_slice_mut(&mut light));
        let mut besides = Vec::new();
        if let (Some(seen), Some(written)) = (seen, &mut lane.aovs) {
            seen.wait()?;
            besides.resize(leaves.len() * AOV_LEAF_WORDS as usize, 0_u32);
            written.read(bytemuck::cast_slice_mut(&mut besides));
        }
        // Before that the device was at the dispatch before.
        let took = began.max(self.ended).elapsed();
        self.ended = Instant::now();
        self.pace(leaves.len(), took);
        let mut seen = besides.chunks_exact(AOV_LEAF_WORDS as usize);
        for (leaf, words) in leaves.iter().zip(light.chunks_exact(LEAF_WORDS as usize)) {
            let (sums, rays) = words.split_at(LIGHT_BYTES / 4);
            let (besides, more) = seen.next().map(|leaf| aov::chosen(aovs, leaf)).unzip();
            let words = sums.iter().chain(besides.iter().flatten());
            let payload: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
            each(Traced { leaf: *leaf, payload, rays: rays[0] + more.unwrap_or(0) });
        }
        Ok(())
    }

    /// Steers the size of dispatches towards [`DISPATCH_TIME`].
    fn pace(&mut self, leaves: usize, took: Duration) {
        let wished = leaves as f64 * DISPATCH_TIME.as_secs_f64() / took.as_secs_f64().max(1e-6);
        self.chunk = (wished as usize).clamp(1, self.chunk * 2).clamp(1, CHUNK_MAX);
    }
}

/// Has the buffers read as texels where that is faster and all of them fit.
fn read_as_texels(
    device: &Device,
    buffers: Vec<(&mut Buffer, Texel)>,
) -> Result<bool, VulkanError> {
    let info = device.info();
    let texels = info.kind == DeviceKind::Cpu
        && info.texel_buffers_max as usize >= READS.len()
        && buffers.iter().all(|(buffer, texel)| buffer.fits(*texel));
    if texels {
        buffers.into_iter().try_for_each(|(buffer, texel)| buffer.view(texel))?;
    }
    Ok(texels)
}

/// What of the path tracer the scene needs.
fn features(scene: &Scene) -> u32 {
    let feature = |is_there: bool, bit: u32| if is_there { bit } else { 0 };
    feature(!scene.environment.is_black(), FEATURE_ENVIRONMENT)
        | feature(!scene.lights.is_empty(), FEATURE_LIGHTS)
        | feature(!scene.emission.emitters.is_empty(), FEATURE_EMITTERS)
        | feature(scene.cameras.iter().any(|camera| camera.lens_radius > 0.0), FEATURE_LENS)
        | feature(scene.moving.steps > 0, FEATURE_MOTION)
        | feature(scene.clamp.is_some(), FEATURE_CLAMP)
        | feature(scene.materials.iter().any(is_passed), FEATURE_COVERAGE)
        | feature(!scene.textures.is_empty(), FEATURE_TEXTURES)
        | layers::features(&scene.layers)
}

fn is_passed(material: &Material) -> bool {
    material.alpha_mode != shaders::ALPHA_OPAQUE
}

/// Emitters lie where their triangles are traced.
fn emitters(given: &[Emitter]) -> Vec<Emitter> {
    let on_grid = |emitter: &Emitter| Emitter {
        corner: emitter.corner.map(grid::gridded),
        edge1: emitter.edge1.map(grid::gridded),
        edge2: emitter.edge2.map(grid::gridded),
        ..*emitter
    };
    given.iter().map(on_grid).collect()
}

/// The cameras, then each moving triangle, at all keys, as `motion.glsl` has them.
fn motions(cameras: &[Camera], keys: &[MotionKey]) -> Vec<u32> {
    let cameras: &[u32] = bytemuck::cast_slice(cameras);
    [cameras, bytemuck::cast_slice(keys)].concat()
}

/// The table that decodes sRGB bytes (IEC 61966-2-1), and the tables of directional albedo, as
/// `layout.glsl` has them.
fn constants(features: u32) -> Vec<u32> {
    let mut words: Vec<u32> = (0..=255).map(|byte| exact::linear(byte).to_bits()).collect();
    words.extend(albedo::facets().map(f32::to_bits));
    if features & FEATURE_SHEEN != 0 {
        words.extend(albedo::sheens().map(f32::to_bits));
    }
    words
}
