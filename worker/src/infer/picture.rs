//! Reads the pictures that an artist orders with: PNG, JPEG and OpenEXR. Runs where the order is
//! made, never on a stranger's worker.

use super::image::{Image, PIXELS_MAX, Samples};
use crate::render::exact::power;
use exr::prelude::{ReadChannels, ReadLayers};
use std::path::Path;

/// Reads a picture; the error names the file.
pub fn open(path: &Path) -> Result<Image, String> {
    let named = |why: String| format!("{}: {why}", path.display());
    let bytes = std::fs::read(path).map_err(|error| named(error.to_string()))?;
    let read = if bytes.starts_with(&[0x76, 0x2f, 0x31, 0x01]) { open_exr } else { open_coded };
    read(&bytes).map_err(named)
}

fn within(width: u64, height: u64) -> Result<(), String> {
    match width.checked_mul(height) {
        Some(pixels) if pixels > 0 && pixels <= PIXELS_MAX => Ok(()),
        _ => Err(format!("{width}×{height} pixels: up to {PIXELS_MAX} are meant")),
    }
}

fn open_coded(bytes: &[u8]) -> Result<Image, String> {
    let reader = image::ImageReader::new(std::io::Cursor::new(bytes));
    let reader = reader.with_guessed_format().map_err(|error| error.to_string())?;
    let (width, height) = reader.into_dimensions().map_err(|error| error.to_string())?;
    within(width.into(), height.into())?;
    let decoded = image::load_from_memory(bytes).map_err(|error| error.to_string())?;
    let deep = decoded.color().bytes_per_pixel() / decoded.color().channel_count() > 1;
    let samples = match deep {
        false => Samples::Bytes(decoded.into_rgb8().into_raw()),
        true => Samples::Floats(decoded.into_rgb16().iter().map(|x| linear_of(*x)).collect()),
    };
    Ok(Image { width, height, samples })
}

/// The linear value of 16 bits encoded by sRGB.
fn linear_of(word: u16) -> f32 {
    let encoded = f32::from(word) / 65_535.0;
    if encoded <= 0.040_45 { encoded / 12.92 } else { power((encoded + 0.055) / 1.055, 2.4) }
}

fn open_exr(bytes: &[u8]) -> Result<Image, String> {
    let said = |error: exr::error::Error| error.to_string();
    let meta = exr::meta::MetaData::read_from_buffered(bytes, false).map_err(said)?;
    for header in &meta.headers {
        within(header.layer_size.width() as u64, header.layer_size.height() as u64)?;
    }
    let read = exr::prelude::read().no_deep_data().largest_resolution_level();
    let read = read.all_channels().first_valid_layer().all_attributes();
    let layer = read.from_buffered(std::io::Cursor::new(bytes)).map_err(said)?.layer_data;
    let (width, height) = (layer.size.width(), layer.size.height());
    let channel = |names: [&str; 3]| {
        let mut list = layer.channel_data.list.iter();
        let found = list.find(|own| names.iter().any(|name| own.name.eq_case_insensitive(name)));
        found.map(|own| own.sample_data.values_as_f32().collect::<Vec<f32>>())
    };
    let channels = [["R", "X", "Y"], ["G", "Y", "Y"], ["B", "Z", "Y"]].map(channel);
    let [Some(r), Some(g), Some(b)] = channels else {
        return Err("has no channels R, G and B (or Y, or X, Y and Z)".into());
    };
    let pixels = r.iter().zip(&g).zip(&b).flat_map(|((r, g), b)| [*r, *g, *b]);
    let samples = Samples::Floats(pixels.collect());
    Ok(Image { width: width as u32, height: height as u32, samples })
}
