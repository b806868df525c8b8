//! Image files: PNG, JPEG, WebP (EXT_texture_webp) and KTX2 (KHR_texture_basisu) as RGBA8 texels.
//! Sizes are read and limited before anything is decoded. Knows no textures.

use super::decoder::guarded;
use super::fault::{SceneError, malformed, too_large, unsupported};
use super::ktx;
use image::ImageDecoder;
use std::io::Cursor;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Longest side of an image, in pixels.
pub const SIDE_MAX: u32 = 16384;
/// Most pixels of one image before it is made smaller.
pub const IMAGE_PIXELS_MAX: u64 = 1 << 26;

/// A decoded image.
pub struct Pixels {
    pub width: u32,
    pub height: u32,
    /// RGBA8 with R in the low byte, rows from the top.
    pub texels: Vec<u32>,
}

/// Width and height from the header alone, known to be within the limits.
pub fn size(bytes: &[u8], thing: &str) -> Result<(u32, u32), SceneError> {
    let (width, height) = guarded(thing, || read_size(bytes, thing))?;
    if width == 0 || height == 0 {
        return Err(malformed(format!("{thing} has no pixels")));
    }
    let pixels = u64::from(width) * u64::from(height);
    if width > SIDE_MAX || height > SIDE_MAX || pixels > IMAGE_PIXELS_MAX {
        return Err(too_large(format!(
            "{thing} has {width}×{height} pixels; the limit is {SIDE_MAX} a side and \
             {IMAGE_PIXELS_MAX} in all: make it smaller"
        )));
    }
    Ok((width, height))
}

/// Decodes an image whose [`size`] is known.
pub fn decode(
    bytes: &[u8],
    (width, height): (u32, u32),
    thing: &str,
) -> Result<Pixels, SceneError> {
    let bytes = guarded(thing, || match kind(bytes) {
        Kind::Png => decode_png(bytes, thing),
        Kind::Jpeg => decode_jpeg(bytes, thing),
        Kind::WebP => decode_webp(bytes, thing),
        Kind::Ktx => ktx::decode(bytes, thing),
        Kind::Other => Err(unknown(thing)),
    })?;
    if bytes.len() as u64 != u64::from(width) * u64::from(height) * 4 {
        return Err(malformed(format!("{thing} does not have the size it says")));
    }
    let texels = bytes.as_chunks::<4>().0.iter().map(|rgba| u32::from_le_bytes(*rgba)).collect();
    Ok(Pixels { width, height, texels })
}

enum Kind {
    Png,
    Jpeg,
    WebP,
    Ktx,
    Other,
}

fn kind(bytes: &[u8]) -> Kind {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Kind::Png,
        [0xff, 0xd8, 0xff, ..] => Kind::Jpeg,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Kind::WebP,
        [0xab, b'K', b'T', b'X', ..] => Kind::Ktx,
        _ => Kind::Other,
    }
}

fn unknown(thing: &str) -> SceneError {
    unsupported(format!("{thing} is of an unknown format; save it as PNG, JPEG, WebP or KTX2"))
}

fn read_size(bytes: &[u8], thing: &str) -> Result<(u32, u32), SceneError> {
    match kind(bytes) {
        Kind::Png => Ok(png(bytes, thing)?.dimensions()),
        Kind::Jpeg => {
            let mut decoder = jpeg(bytes);
            decoder.decode_headers().map_err(|error| damaged(thing, error))?;
            let (width, height) = decoder.dimensions().unwrap_or_default();
            Ok((width as u32, height as u32))
        }
        Kind::WebP => Ok(webp(bytes, thing)?.dimensions()),
        Kind::Ktx => ktx::size(bytes, thing),
        Kind::Other => Err(unknown(thing)),
    }
}

fn damaged(thing: &str, error: impl std::fmt::Debug) -> SceneError {
    let mut why = format!("{error:?}");
    why.truncate(why.floor_char_boundary(200));
    malformed(format!("{thing} is damaged: {why}"))
}

type PngDecoder<'a> = image::codecs::png::PngDecoder<Cursor<&'a [u8]>>;

fn png<'a>(bytes: &'a [u8], thing: &str) -> Result<PngDecoder<'a>, SceneError> {
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(IMAGE_PIXELS_MAX * 8 + (64 << 20));
    PngDecoder::with_limits(Cursor::new(bytes), limits).map_err(|error| damaged(thing, error))
}

fn decode_png(bytes: &[u8], thing: &str) -> Result<Vec<u8>, SceneError> {
    let image = image::DynamicImage::from_decoder(png(bytes, thing)?);
    Ok(image.map_err(|error| damaged(thing, error))?.into_rgba8().into_raw())
}

/// A decoder on its portable paths, so that every machine gets the same texels.
fn jpeg(bytes: &[u8]) -> JpegDecoder<ZCursor<&[u8]>> {
    let options = DecoderOptions::default()
        .set_use_unsafe(false)
        .set_strict_mode(false)
        .set_max_width(SIDE_MAX as usize)
        .set_max_height(SIDE_MAX as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGBA);
    JpegDecoder::new_with_options(ZCursor::new(bytes), options)
}

fn decode_jpeg(bytes: &[u8], thing: &str) -> Result<Vec<u8>, SceneError> {
    jpeg(bytes).decode().map_err(|error| damaged(thing, error))
}

type WebpDecoder<'a> = image::codecs::webp::WebPDecoder<Cursor<&'a [u8]>>;

fn webp<'a>(bytes: &'a [u8], thing: &str) -> Result<WebpDecoder<'a>, SceneError> {
    let decoder = WebpDecoder::new(Cursor::new(bytes)).map_err(|error| damaged(thing, error))?;
    if decoder.has_animation() {
        return Err(unsupported(format!("{thing} is an animated WebP; save one picture of it")));
    }
    Ok(decoder)
}

fn decode_webp(bytes: &[u8], thing: &str) -> Result<Vec<u8>, SceneError> {
    let image = image::DynamicImage::from_decoder(webp(bytes, thing)?);
    Ok(image.map_err(|error| damaged(thing, error))?.into_rgba8().into_raw())
}
