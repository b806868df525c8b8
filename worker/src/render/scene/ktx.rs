//! KTX2 files with Basis Universal textures (KHR_texture_basisu): the first level of a 2D picture.
//! Knows no other image formats.

use super::fault::{SceneError, malformed, unsupported};
use basisu::{DecodeFlags, SourceFormat, TargetFormat, Transcoder};

/// The identifier of KTX 2.0 (KTX File Format 2.0, section 3.1).
const IDENTIFIER: [u8; 12] = *b"\xabKTX 20\xbb\r\n\x1a\n";
/// Where the header has the width, the height, and whether there is more than one picture.
const WIDTH_AT: usize = 20;
const DEPTH_AT: usize = 28;
const FACES_AT: usize = 36;
const LEVELS_AT: usize = 40;
/// Where the index of levels begins, and the bytes of its rows.
const INDEX_AT: usize = 80;
const INDEX_BYTES: usize = 24;
/// Most levels of detail: as many as the longest side allows.
const LEVELS_MAX: u32 = 16;
/// Most bytes of an inflated level for each pixel of the first one.
const LEVEL_BYTES_MAX: u64 = 4;

/// Width and height of the first level. Refuses what is not one plain picture.
pub fn size(bytes: &[u8], thing: &str) -> Result<(u32, u32), SceneError> {
    let word = |at: usize| {
        let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
        four.map(u32::from_le_bytes)
            .ok_or_else(|| malformed(format!("{thing} is cut off in its KTX2 header")))
    };
    if !bytes.starts_with(&IDENTIFIER) {
        return Err(unsupported(format!("{thing} is not KTX 2.0; convert it to KTX2 or PNG")));
    }
    let (width, height) = (word(WIDTH_AT)?, word(WIDTH_AT + 4)?);
    let (depth, layers) = (word(DEPTH_AT)?, word(DEPTH_AT + 4)?);
    if depth > 1 || layers > 1 || word(FACES_AT)? != 1 {
        return Err(unsupported(format!("{thing} holds more than one picture")));
    }
    let levels = word(LEVELS_AT)?;
    if levels > LEVELS_MAX {
        return Err(malformed(format!("{thing} has {levels} levels of detail")));
    }
    let blocks = u64::from(width.div_ceil(4)) * u64::from(height.div_ceil(4));
    for level in 0..levels.max(1) as usize {
        let at = INDEX_AT + level * INDEX_BYTES + 16;
        let inflated = u64::from(word(at)?) | u64::from(word(at + 4)?) << 32;
        if inflated > blocks * 16 * LEVEL_BYTES_MAX {
            return Err(malformed(format!("{thing}: level {level} is larger than its picture")));
        }
    }
    Ok((width, height))
}

/// RGBA8 of the first level; its [`size`] is known.
pub fn decode(bytes: &[u8], thing: &str) -> Result<Vec<u8>, SceneError> {
    let wrong = |error: basisu::Error| malformed(format!("{thing} is damaged: {error:?}"));
    let transcoder = Transcoder::new(bytes).map_err(wrong)?;
    if !matches!(transcoder.source_format(), SourceFormat::Etc1s | SourceFormat::UastcLdr) {
        return Err(unsupported(format!("{thing} is neither ETC1S nor UASTC; convert it")));
    }
    transcoder.transcode(0, TargetFormat::Rgba32, DecodeFlags::NONE).map_err(wrong)
}
