//! The light around a scene: an equirectangular picture with a table to draw directions from.
//! Row 0 is +Y; u = 0.5 + atan2(z, x) / 2π, v = acos(y) / π. Knows no scene.

use super::alias;
use super::decoder::guarded;
use super::fault::{SceneError, malformed, missing, too_large, unsupported};
use super::notes::Notes;
use super::radiance::{self, Picture};
use crate::asset::{Asset, ReadError};
use exr::prelude::{ReadChannels, ReadLayers};
use shaders::EnvironmentTexel;
use std::f64::consts::PI;
use std::io::Cursor;

/// Widest and highest picture that is read, in pixels.
pub const WIDTH_MAX: u64 = 8192;
pub const HEIGHT_MAX: u64 = 4096;
/// Most texels kept: they fill a 128 MiB storage buffer.
pub const TEXELS_MAX: usize = (128 << 20) / size_of::<EnvironmentTexel>();
/// Largest environment file, in bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 30;
/// Brightest radiance; more is cut.
const RADIANCE_MAX: f32 = 1e9;
/// Dimmest radiance; less is zero, which keeps denormals away from the shaders.
const RADIANCE_MIN: f32 = 1e-20;

/// Radiance by direction, with a Vose alias table over luminance × solid angle; a texel is
/// uniform in solid angle.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    pub width: u32,
    pub height: u32,
    /// Rows from the top.
    pub texels: Vec<EnvironmentTexel>,
}

impl Environment {
    /// The same radiance from everywhere: one texel.
    pub fn constant(radiance: [f32; 3]) -> Self {
        Self::from_picture(&Picture { width: 1, height: 1, pixels: vec![radiance] })
    }

    /// Whether it gives no light at all.
    pub fn is_black(&self) -> bool {
        self.texels.iter().all(|texel| texel.radiance == [0.0; 3])
    }

    /// Reads a Radiance .hdr or an OpenEXR file; errors name the file.
    pub fn read(asset: &Asset, notes: &mut Notes) -> Result<Self, SceneError> {
        let path = asset.path();
        let name = path
            .file_name()
            .map_or(path.display().to_string(), |name| name.to_string_lossy().into_owned());
        let name = format!("environment `{}`", name.escape_debug());
        let bytes = read_limited(asset).map_err(|error| error.within(&name))?;
        Self::decode(&bytes, &name, notes).map_err(|error| error.within(&name))
    }

    fn decode(bytes: &[u8], name: &str, notes: &mut Notes) -> Result<Self, SceneError> {
        let mut picture = match bytes {
            [b'#', b'?', ..] => radiance::decode(bytes, allow)?,
            [0x76, 0x2f, 0x31, 0x01, ..] => guarded("the picture", || decode_exr(bytes))?,
            _ => return Err(unsupported("not a Radiance .hdr or OpenEXR .exr picture")),
        };
        let cleaned = clean(&mut picture.pixels);
        if cleaned > 0 {
            notes.say(format!("{name}: {cleaned} pixels below 0, above 1e9 or no number were cut"));
        }
        let (width, height) = (picture.width, picture.height);
        while picture.pixels.len() > TEXELS_MAX {
            picture = halve(&picture);
        }
        if picture.width != width {
            notes.say(format!(
                "{name} was made smaller, from {width}×{height} to {}×{}: it may have \
                 {TEXELS_MAX} texels",
                picture.width, picture.height
            ));
        }
        Ok(Self::from_picture(&picture))
    }

    /// Builds the table over clean pixels.
    pub fn from_picture(picture: &Picture) -> Self {
        let (width, height) = (picture.width as usize, picture.height as usize);
        let angles: Vec<f64> = (0..height).map(|row| solid_angle(row, width, height)).collect();
        let weigh = |luminance: &dyn Fn([f32; 3]) -> f64| -> Vec<f64> {
            let rows = picture.pixels.chunks_exact(width).zip(&angles);
            rows.flat_map(|(row, angle)| row.iter().map(move |p| luminance(*p) * angle)).collect()
        };
        let mut weights = weigh(&luminance);
        let rows = alias::table(&weights).or_else(|| {
            weights = weigh(&|_| 1.0);
            alias::table(&weights)
        });
        let rows = rows.expect("solid angles are positive");
        let total: f64 = weights.iter().sum();
        let texels = (0..picture.pixels.len()).map(|at| EnvironmentTexel {
            radiance: picture.pixels[at],
            pdf: super::matrix::single(weights[at] / total / angles[at / width]),
            threshold: rows[at].threshold,
            alias: rows[at].alias,
            pad: [0; 2],
        });
        Self { width: picture.width, height: picture.height, texels: texels.collect() }
    }
}

/// Steradians of a texel: 2π/width times the height of its row's band on the unit sphere.
pub fn solid_angle(row: usize, width: usize, height: usize) -> f64 {
    let cosine = |edge: usize| libm::cos(PI * edge as f64 / height as f64);
    2.0 * PI / width as f64 * (cosine(row) - cosine(row + 1))
}

/// Luminance of linear RGB (ITU-R BT.709).
pub fn luminance([r, g, b]: [f32; 3]) -> f64 {
    0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b)
}

fn allow(width: u64, height: u64) -> Result<(), SceneError> {
    if width == 0 || height == 0 || width > WIDTH_MAX || height > HEIGHT_MAX {
        return Err(too_large(format!(
            "it has {width}×{height} pixels; at most {WIDTH_MAX}×{HEIGHT_MAX} are read: make it \
             smaller"
        )));
    }
    Ok(())
}

fn read_limited(asset: &Asset) -> Result<Vec<u8>, SceneError> {
    asset.read(FILE_BYTES_MAX).map_err(|error| match error {
        ReadError::TooLarge { most, .. } => too_large(format!("it has more than {most} bytes")),
        error => missing(format!("cannot be read: {error}")),
    })
}

fn decode_exr(bytes: &[u8]) -> Result<Picture, SceneError> {
    use exr::compression::Compression::{B44, B44A, PIZ, PXR24, RLE, Uncompressed, ZIP1, ZIP16};
    let damaged = |error: exr::error::Error| malformed(format!("it cannot be decoded: {error}"));
    let about = exr::meta::MetaData::read_from_buffered(Cursor::new(bytes), false);
    for header in &about.map_err(damaged)?.headers {
        allow(header.layer_size.0 as u64, header.layer_size.1 as u64)?;
        let known = [Uncompressed, RLE, ZIP1, ZIP16, PIZ, PXR24, B44, B44A];
        if !known.contains(&header.compression) {
            return Err(unsupported(format!(
                "{} is not supported; save it with ZIP or PIZ compression",
                header.compression
            )));
        }
    }
    let image = exr::prelude::read()
        .no_deep_data()
        .largest_resolution_level()
        .rgba_channels(
            |size, _| (size.0, vec![[0.0; 3]; size.0 * size.1]),
            |(width, pixels): &mut (usize, Vec<[f32; 3]>),
             at,
             (r, g, b, _): (f32, f32, f32, f32)| {
                pixels[at.1 * *width + at.0] = [r, g, b];
            },
        )
        .first_valid_layer()
        .all_attributes()
        .from_buffered(Cursor::new(bytes))
        .map_err(damaged)?;
    let size = image.layer_data.size;
    let (_, pixels) = image.layer_data.channel_data.pixels;
    Ok(Picture { width: size.0 as u32, height: size.1 as u32, pixels })
}

/// Cuts what is no radiance; gives the number of pixels cut.
pub fn clean(pixels: &mut [[f32; 3]]) -> usize {
    let mut cleaned = 0;
    for pixel in pixels {
        let before = *pixel;
        for channel in pixel.iter_mut() {
            *channel = if channel.is_nan() { 0.0 } else { channel.clamp(0.0, RADIANCE_MAX) };
            if *channel < RADIANCE_MIN {
                *channel = 0.0;
            }
        }
        let cut = |(old, new): (&f32, &f32)| old.is_nan() || (old - new).abs() > RADIANCE_MIN;
        cleaned += usize::from(before.iter().zip(pixel.iter()).any(cut));
    }
    cleaned
}

/// Means of 2×2 pixels; a last odd row or column is left out.
fn halve(from: &Picture) -> Picture {
    let (width, height) = ((from.width / 2).max(1), (from.height / 2).max(1));
    let at = |x: u32, y: u32| {
        let (x, y) = (x.min(from.width - 1), y.min(from.height - 1));
        from.pixels[(y * from.width + x) as usize]
    };
    let mut pixels = Vec::with_capacity((width * height) as usize);
    for y in 0..height {
        for x in 0..width {
            let (a, b) = (at(2 * x, 2 * y), at(2 * x + 1, 2 * y));
            let (c, d) = (at(2 * x, 2 * y + 1), at(2 * x + 1, 2 * y + 1));
            pixels.push([0, 1, 2].map(|i| ((a[i] + b[i]) + (c[i] + d[i])) * 0.25));
        }
    }
    Picture { width, height, pixels }
}
