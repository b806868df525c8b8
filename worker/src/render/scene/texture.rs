//! Textures (glTF 2.0 §3.8): images as RGBA8 texels in one buffer, and every use of them. Sizes are
//! read and limited before anything is decoded. Knows no image formats.

use super::buffer::Buffers;
use super::bundle::Bundle;
use super::fault::{SceneError, malformed, too_large, unsupported};
use super::gltf::{self, Document, Sampler, TextureRef, item};
use super::material;
use super::notes::Notes;
use super::picture::{self, Pixels};
use super::texture_use::{Placement, Slots};
use super::uri::{self, Target};
use rayon::prelude::*;
use shaders::{NONE, Texture, WRAP_CLAMP, WRAP_MIRROR, WRAP_REPEAT};
use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Most pixels of all images before they are made smaller.
pub const DECODED_PIXELS_MAX: u64 = 1 << 29;
/// Most texels kept: they fill a 128 MiB storage buffer.
pub const TEXELS_MAX: u64 = 1 << 25;

/// Most uses of textures by materials.
pub const TEXTURES_MAX: usize = 1 << 18;

/// Texels of all images that materials use, and every use of them.
#[derive(Debug, Default)]
pub struct Images {
    pub textures: Vec<Texture>,
    pub texels: Vec<u32>,
    uses: BTreeMap<Use, u32>,
}

impl Images {
    /// Where a texture of a material lies in `textures`; [`NONE`] without one. Only textures listed
    /// by [`material::references`] are there.
    pub fn texture_use(
        &self,
        material: &gltf::Material,
        texture: Option<&TextureRef>,
        srgb: bool,
    ) -> u32 {
        let Some(texture) = texture else { return NONE };
        let wanted = Use::of(texture, srgb, &Slots::of(material));
        self.uses.get(&wanted).copied().unwrap_or(NONE)
    }
}

/// What tells two uses of a texture apart; the transform by its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    texture: u32,
    srgb: bool,
    slot: u32,
    transform: [u32; 6],
}

impl Use {
    fn of(texture: &TextureRef, srgb: bool, slots: &Slots) -> Self {
        let placement = Placement::of(texture, slots);
        Self {
            texture: texture.index,
            srgb,
            slot: placement.slot,
            transform: placement.transform.map(f32::to_bits),
        }
    }
}

/// An image before decoding: its file's bytes and what it is called in errors.
struct Source<'a> {
    bytes: Cow<'a, [u8]>,
    thing: String,
    width: u32,
    height: u32,
    halvings: u32,
}

/// Loads every image that a material uses.
pub fn load(
    document: &Document,
    buffers: &Buffers<'_>,
    bundle: &Bundle,
    notes: &mut Notes,
) -> Result<Images, SceneError> {
    let uses = all_uses(document)?;
    let mut sources: BTreeMap<u32, Source<'_>> = BTreeMap::new();
    for used in &uses {
        let image = image_of(document, used.texture)?;
        if let Entry::Vacant(new) = sources.entry(image) {
            let thing = format!("texture {}", used.texture);
            new.insert(Source::of(document, buffers, bundle, image, thing)?);
        }
    }
    let mut all: Vec<_> = sources.values_mut().collect();
    shrink(&mut all, notes)?;
    let decoded: Vec<Pixels> = all.par_iter().map(|s| decode(s)).collect::<Result<_, _>>()?;
    let mut images = Images::default();
    let mut firsts = BTreeMap::new();
    for (image, pixels) in sources.keys().zip(decoded) {
        firsts.insert(*image, (images.texels.len() as u32, pixels.width, pixels.height));
        images.texels.extend(pixels.texels);
    }
    for used in uses {
        images.uses.insert(used, images.textures.len() as u32);
        let place = firsts[&image_of(document, used.texture)?];
        images.textures.push(texture(document, &used, place)?);
    }
    Ok(images)
}

/// Every use once, in the order of the materials.
fn all_uses(document: &Document) -> Result<Vec<Use>, SceneError> {
    let mut seen = BTreeSet::new();
    let mut uses = Vec::new();
    for entry in &*document.materials {
        let slots = Slots::of(entry);
        for (texture, srgb) in material::references(entry) {
            let used = Use::of(texture, srgb, &slots);
            if seen.insert(used) {
                uses.push(used);
            }
        }
        if uses.len() > TEXTURES_MAX {
            return Err(too_large(format!(
                "its materials use textures in more than {TEXTURES_MAX} ways"
            )));
        }
    }
    Ok(uses)
}

/// The entry of a use; its image's first texel, width and height are known.
fn texture(
    document: &Document,
    used: &Use,
    (first, width, height): (u32, u32, u32),
) -> Result<Texture, SceneError> {
    let entry = item(&document.textures, used.texture, "texture", "a material")?;
    let owner = format!("texture {}", used.texture);
    let sampler = match entry.sampler {
        Some(index) => item(&document.samplers, index, "sampler", &owner)?,
        None => &Sampler::default(),
    };
    let transform = used.transform.map(f32::from_bits);
    Ok(Texture {
        first,
        width,
        height,
        wrap_s: wrap(sampler.wrap_s, &owner)?,
        wrap_t: wrap(sampler.wrap_t, &owner)?,
        nearest: u32::from(sampler.mag_filter == Some(9728)),
        srgb: u32::from(used.srgb),
        uv_slot: used.slot,
        transform,
        transformed: u32::from(transform != Placement::IDENTITY),
        pad: 0,
    })
}

fn wrap(mode: Option<u32>, owner: &str) -> Result<u32, SceneError> {
    match mode {
        None | Some(10497) => Ok(WRAP_REPEAT),
        Some(33071) => Ok(WRAP_CLAMP),
        Some(33648) => Ok(WRAP_MIRROR),
        Some(mode) => Err(malformed(format!("{owner} has the unknown wrap mode {mode}"))),
    }
}

fn image_of(document: &Document, texture: u32) -> Result<u32, SceneError> {
    let entry = item(&document.textures, texture, "texture", "a material")?;
    entry.image().ok_or_else(|| {
        unsupported(format!("texture {texture} has no image that is known; convert it to PNG"))
    })
}

impl<'a> Source<'a> {
    /// The image of a thing that has this name in errors.
    fn of(
        document: &Document,
        buffers: &'a Buffers<'_>,
        bundle: &Bundle,
        image: u32,
        thing: String,
    ) -> Result<Self, SceneError> {
        let entry = item(&document.images, image, "image", &thing)?;
        let (bytes, thing) = match (&entry.uri, entry.buffer_view) {
            (Some(uri), _) => match uri::resolve(uri, &thing)? {
                Target::Embedded(bytes) => (Cow::Owned(bytes), thing),
                Target::File(path) => {
                    let bytes = bundle.read_file(&path, &thing)?;
                    (Cow::Owned(bytes), format!("{thing} (`{path}`)"))
                }
            },
            (None, Some(view)) => (Cow::Borrowed(buffers.view(document, view, &thing)?.0), thing),
            (None, None) => return Err(malformed(format!("{thing}: image {image} has no data"))),
        };
        let (width, height) = picture::size(&bytes, &thing)?;
        Ok(Self { bytes, thing, width, height, halvings: 0 })
    }
}

/// The texels of one image that no material uses; `allow` judges its width and height first.
pub fn image(
    document: &Document,
    buffers: &Buffers<'_>,
    bundle: &Bundle,
    (index, thing): (u32, String),
    allow: impl FnOnce(u32, u32) -> Result<(), SceneError>,
) -> Result<Pixels, SceneError> {
    let source = Source::of(document, buffers, bundle, index, thing)?;
    allow(source.width, source.height)?;
    decode(&source)
}

/// Halves the largest image, the first among equals, until all fit.
fn shrink(sources: &mut [&mut Source<'_>], notes: &mut Notes) -> Result<(), SceneError> {
    let decoded: u64 =
        sources.iter().map(|source| u64::from(source.width) * u64::from(source.height)).sum();
    if decoded > DECODED_PIXELS_MAX {
        return Err(too_large(format!(
            "its images have {decoded} pixels, more than {DECODED_PIXELS_MAX}: make them smaller"
        )));
    }
    while sources.iter().map(|source| texels(source)).sum::<u64>() > TEXELS_MAX {
        let mut largest = 0;
        for at in 1..sources.len() {
            if texels(sources[at]) > texels(sources[largest]) {
                largest = at;
            }
        }
        sources[largest].halvings += 1;
    }
    for source in sources.iter().filter(|source| source.halvings > 0) {
        let (width, height) = halved(source.width, source.height, source.halvings);
        notes.say(format!(
            "{} was made smaller, from {}×{} to {width}×{height}: all textures together may have \
             {TEXELS_MAX} texels",
            source.thing, source.width, source.height
        ));
    }
    Ok(())
}

fn halved(width: u32, height: u32, times: u32) -> (u32, u32) {
    ((width >> times).max(1), (height >> times).max(1))
}

fn texels(source: &Source<'_>) -> u64 {
    let (width, height) = halved(source.width, source.height, source.halvings);
    u64::from(width) * u64::from(height)
}

fn decode(source: &Source<'_>) -> Result<Pixels, SceneError> {
    let mut pixels = picture::decode(&source.bytes, (source.width, source.height), &source.thing)?;
    for _ in 0..source.halvings {
        pixels = halve(&pixels);
    }
    Ok(pixels)
}

/// Box filter over 2×2 texels in integers, rounded half up; a last odd row or column is left out.
fn halve(from: &Pixels) -> Pixels {
    let (width, height) = halved(from.width, from.height, 1);
    let at = |x: u32, y: u32| {
        let (x, y) = (x.min(from.width - 1), y.min(from.height - 1));
        from.texels[(y * from.width + x) as usize].to_le_bytes()
    };
    let texel = |x: u32, y: u32| {
        let four = [at(2 * x, 2 * y), at(2 * x + 1, 2 * y), at(2 * x, 2 * y + 1), {
            at(2 * x + 1, 2 * y + 1)
        }];
        let mean = |c: usize| (four.iter().map(|t| u32::from(t[c])).sum::<u32>() + 2) / 4;
        u32::from_le_bytes([0, 1, 2, 3].map(|c| mean(c) as u8))
    };
    let texels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    Pixels { width, height, texels: texels.map(|(x, y)| texel(x, y)).collect() }
}
