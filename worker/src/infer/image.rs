//! Images as jobs carry them: decoded by whoever orders, so that no worker's decoder decides a bit.
//! A line of text, then rows from the top: bytes in sRGB, or linear f32 in little-endian.

use super::ModelError;

/// Most pixels of an image.
pub const PIXELS_MAX: u64 = 1 << 26;
const MAGIC: &str = "girih-image 1";

/// The samples of an image, three a pixel.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// Encoded by sRGB.
    Bytes(Vec<u8>),
    /// Linear.
    Floats(Vec<f32>),
}

/// An image of three channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    pub width: u32,
    pub height: u32,
    pub samples: Samples,
}

impl Image {
    /// The bytes of the asset.
    pub fn to_bytes(&self) -> Vec<u8> {
        let kind = if matches!(self.samples, Samples::Bytes(_)) { "u8" } else { "f32" };
        let mut bytes = format!("{MAGIC} {kind} {} {}\n", self.width, self.height).into_bytes();
        match &self.samples {
            Samples::Bytes(samples) => bytes.extend_from_slice(samples),
            Samples::Floats(samples) => {
                bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
            }
        }
        bytes
    }

    /// Reads an asset.
    pub fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        let wrong = || ModelError::new("an image of the job is not as `girih infer` writes them");
        let end = bytes.iter().take(80).position(|byte| *byte == b'\n').ok_or_else(wrong)?;
        let line = std::str::from_utf8(&bytes[..end]).map_err(|_| wrong())?;
        let words = line.strip_prefix(MAGIC).ok_or_else(wrong)?;
        let mut words = words.split_ascii_whitespace();
        let kind = words.next().ok_or_else(wrong)?;
        let mut side = || words.next().and_then(|word| word.parse::<u32>().ok()).ok_or_else(wrong);
        let (width, height) = (side()?, side()?);
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 || pixels > PIXELS_MAX {
            let what = format!("an image of {width}×{height}: up to {PIXELS_MAX} pixels are meant");
            return Err(ModelError::new(what));
        }
        let (rest, count) = (&bytes[end + 1..], pixels as usize * 3);
        let samples = match kind {
            "u8" if rest.len() == count => Samples::Bytes(rest.to_vec()),
            "f32" if rest.len() == count * 4 => {
                let words = rest.as_chunks::<4>().0.iter();
                Samples::Floats(words.map(|word| f32::from_le_bytes(*word)).collect())
            }
            _ => return Err(wrong()),
        };
        Ok(Self { width, height, samples })
    }
}
