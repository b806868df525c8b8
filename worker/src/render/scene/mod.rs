//! A scene ready for the GPU: what a glTF file, its buffers and images become for one frame.
//! Knows no Vulkan and no farm; it depends on files and the view only, never on thread counts.

pub mod accessor;
pub mod alias;
pub mod animation;
pub mod buffer;
pub mod bundle;
pub mod bvh;
pub mod camera;
pub mod cube;
pub mod decoder;
pub mod deform;
pub mod draco;
pub mod emission;
pub mod environment;
pub mod exporter;
pub mod fault;
pub mod glb;
pub mod gltf;
pub mod instances;
pub mod ktx;
pub mod layers;
pub mod light;
pub mod material;
pub mod matrix;
pub mod mesh;
pub mod meshopt;
pub mod moment;
pub mod motion;
pub mod names;
pub mod node;
pub mod notes;
pub mod picture;
pub mod pointer;
pub mod pose;
pub mod radiance;
pub mod repeated;
pub mod settings;
pub mod tangent;
pub mod texture;
pub mod texture_use;
pub mod triangle;
pub mod uri;
pub mod variant;

use crate::asset::Asset;

pub use bundle::Bundle;
pub use emission::Emission;
pub use environment::Environment;
pub use fault::SceneError;
pub use motion::Moving;
pub use repeated::Repeated;
pub use settings::{LightUnit, Settings};

use notes::Notes;

/// What is drawn: the frame's time is `frame / fps` seconds; size in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    pub frame: u32,
    pub fps: u32,
    pub width: u32,
    pub height: u32,
    /// Whether the frames before and after are looked at too, for motion vectors.
    pub neighbours: bool,
}

/// Everything the path tracer reads. Never empty of triangles, surfaces, nodes or materials;
/// textures, texels and lights may be empty.
#[derive(Clone, Debug)]
pub struct Scene {
    /// BVH2; node 0 is the root, depth at most [`bvh::DEPTH_MAX`].
    pub nodes: Vec<shaders::Node>,
    /// In BVH order.
    pub triangles: Vec<shaders::Triangle>,
    /// Meshes that are drawn many times.
    pub repeated: Repeated,
    /// By primitive: the order of the file. Then those of what is drawn many times.
    pub surfaces: Vec<shaders::Surface>,
    /// Second texture places and vertex colours, of the surfaces that have them.
    pub extras: Vec<shaders::SurfaceExtra>,
    pub materials: Vec<shaders::Material>,
    /// What few materials have.
    pub layers: Vec<shaders::Layers>,
    pub textures: Vec<shaders::Texture>,
    /// Texels of all textures, RGBA8 with R in the low byte.
    pub texels: Vec<u32>,
    /// Those of every key (see [`motion`]) after those of the one before.
    pub lights: Vec<shaders::Light>,
    pub emission: Emission,
    pub environment: Environment,
    /// By key.
    pub cameras: Vec<shaders::Camera>,
    pub moving: Moving,
    /// The most radiance that one path may bring indirectly.
    pub clamp: Option<f32>,
    /// What the artist should be told: things left out, assumed or changed.
    pub notes: Vec<String>,
}

/// Loads the scene of a bundle for one view, lit by an environment file (.hdr or .exr) if given.
/// Errors open with the file at fault and carry the thing in it and the way out.
pub fn load(bundle: &Bundle, environment: Option<&Asset>, view: View) -> Result<Scene, SceneError> {
    let mut notes = Notes::default();
    let sky = environment.map(|asset| Environment::read(asset, &mut notes)).transpose()?;
    assemble(bundle, sky, view, notes).map_err(|error| error.within(bundle.main()))
}

fn assemble(
    bundle: &Bundle,
    sky: Option<Environment>,
    view: View,
    mut notes: Notes,
) -> Result<Scene, SceneError> {
    if view.width == 0 || view.height == 0 || view.fps == 0 {
        return Err(fault::malformed("the frame's width, height and rate must not be zero"));
    }
    let main = bundle.read_main()?;
    let (json, chunk) = glb::split(&main)?;
    let document = gltf::Document::parse(json)?;
    document.note_unsupported(&mut notes);
    let buffers = buffer::Buffers::read(&document, chunk, bundle)?;
    let settings = bundle.settings();
    let file = moment::File { document: &document, json, buffers: &buffers, settings };
    let now = file.at(f64::from(view.frame) / f64::from(view.fps), &mut notes)?;
    let document = now.document(&document);
    let variant = variant::chosen(document, settings.variant.as_deref(), &mut notes)?;
    let meshes = mesh::read(&file.reader(&now), variant, &mut notes)?;
    let keys = file.keys(&now, &meshes, view, &mut notes)?;
    let images = texture::load(document, &buffers, bundle, &mut notes)?;
    let (materials, layers) = material::convert(document, &images, &mut notes)?;
    exporter::note_dropped(document, now.placed(), sky.is_some(), &mut notes);
    let moment::Keys { geometry, repeated, moving, lights, cameras } = keys;
    let lit = !lights.is_empty() || materials.iter().any(|m| m.emissive.iter().any(|c| *c > 0.0));
    let own = cube::of_scene(document, settings.scene.as_deref())?;
    if own.is_some() && sky.is_some() {
        notes.say("the environment that is given counts, not the scene's image-based light");
    }
    let own = own.filter(|_| sky.is_none());
    let own = own.map(|light| light.environment(document, &buffers, bundle)).transpose()?;
    let environment = sky.or(own).unwrap_or_else(|| default_sky(lit, &mut notes));
    let texture::Images { textures, texels, .. } = images;
    let emission = Emission::of(&geometry.triangles, &materials, &textures, &texels, &mut notes);
    let (nodes, triangles) = bvh::build(&geometry.triangles, &moving);
    Ok(Scene {
        nodes,
        triangles,
        repeated,
        surfaces: geometry.surfaces,
        extras: geometry.extras,
        materials,
        layers,
        textures,
        texels,
        lights,
        emission,
        environment,
        cameras,
        moving,
        clamp: settings.clamp,
        notes: notes.into_vec(),
    })
}

/// What is around a scene that brings nothing: darkness, if it has light of its own.
fn default_sky(lit: bool, notes: &mut Notes) -> Environment {
    if lit {
        return Environment::constant([0.0; 3]);
    }
    notes.say("no lights, no environment, nothing emissive: lit by an even grey sky");
    Environment::constant([0.5; 3])
}
