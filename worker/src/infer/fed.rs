//! Images that are put together from the tiles of another job's frame, as far as a tile needs them.
//! The same numbers come out as stand in that frame's OpenEXR file. Knows no job and no network.

use super::color::Color;
use super::image::{Image, PIXELS_MAX, Samples};
use crate::engine::{Assets, EngineError, Feed, Part};
use farm::digest::Digest;
use proto::aov::{self, Aov, Word};
use std::str::FromStr;

/// What of a rendered frame an input takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plane {
    Light,
    Albedo,
    Normal,
}

impl Plane {
    /// All of them, as they are called.
    pub const ALL: [(&str, Self); 3] =
        [("light", Self::Light), ("albedo", Self::Albedo), ("normal", Self::Normal)];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, own)| *own == self).map_or("light", |(name, _)| name)
    }

    /// The AOV that has it; light every frame has.
    pub fn aov(self) -> Option<Aov> {
        match self {
            Self::Light => None,
            Self::Albedo => Some(Aov::Albedo),
            Self::Normal => Some(Aov::Normal),
        }
    }

    /// The plane that an input of this name takes, and what its numbers are to mean: networks that
    /// denoise call theirs by these names. The first input takes light.
    pub fn of_input(name: &str, first: bool, light: Color) -> Option<(Self, Color)> {
        match name.to_lowercase().as_str() {
            own if own.contains("albedo") => Some((Self::Albedo, Color::Linear)),
            own if own.contains("normal") => Some((Self::Normal, Color::Normal)),
            _ if first => Some((Self::Light, light)),
            _ => None,
        }
    }
}

impl FromStr for Plane {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.iter().find(|(own, _)| *own == name).map(|(_, plane)| *plane).ok_or(())
    }
}

/// What a frame's images were put together from so far.
#[derive(Debug, Default)]
pub struct Placed(Vec<Part>);

/// A black image of the feeding frame's size.
pub fn blank(feed: &Feed) -> Result<Image, EngineError> {
    let pixels = u64::from(feed.width) * u64::from(feed.height);
    if pixels > PIXELS_MAX {
        let (width, height) = (feed.width, feed.height);
        let what = format!("a frame of {width}×{height}: up to {PIXELS_MAX} pixels are meant");
        return Err(EngineError::Scene(what));
    }
    let samples = Samples::Floats(vec![0.0; pixels as usize * 3]);
    Ok(Image { width: feed.width, height: feed.height, samples })
}

impl Placed {
    /// Reads the parts that are not in the images yet; each image shows its plane.
    pub fn place(
        &mut self,
        feed: &Feed,
        planes: &[Plane],
        images: &mut [&mut Image],
        assets: &dyn Assets,
    ) -> Result<(), EngineError> {
        for part in &feed.parts {
            if self.0.contains(part) {
                continue;
            }
            let inside = part.x.checked_add(part.width).is_some_and(|end| end <= feed.width)
                && part.y.checked_add(part.height).is_some_and(|end| end <= feed.height);
            if !inside {
                return Err(EngineError::Scene("a part reaches out of its frame".into()));
            }
            let bytes = read(assets, &part.output, feed.aovs, part)?;
            self.0.retain(|other| !other.meets(part));
            for (plane, image) in planes.iter().zip(images.iter_mut()) {
                show(feed, part, *plane, &bytes, image)?;
            }
            self.0.push(*part);
        }
        Ok(())
    }
}

impl Part {
    fn meets(&self, other: &Part) -> bool {
        self.shared([other.x, other.y, other.x + other.width, other.y + other.height]) > 0
    }

    /// How many pixels it shares with a rectangle: its first column and row, and those after its
    /// last.
    fn shared(&self, [x, y, end_x, end_y]: [u32; 4]) -> u64 {
        let along = |first: u32, end: u32, own: u32, side: u32| {
            u64::from(end.min(own + side).saturating_sub(first.max(own)))
        };
        along(x, end_x, self.x, self.width) * along(y, end_y, self.y, self.height)
    }
}

/// Whether a rectangle of the frame lies in the parts, which do not overlap.
pub fn covers(feed: &Feed, [x, y, end_x, end_y]: [u32; 4]) -> bool {
    let due = u64::from(end_x - x) * u64::from(end_y - y);
    feed.parts.iter().map(|part| part.shared([x, y, end_x, end_y])).sum::<u64>() == due
}

fn read(
    assets: &dyn Assets,
    output: &Digest,
    aovs: u32,
    part: &Part,
) -> Result<Vec<u8>, EngineError> {
    let due = aov::tile_bytes(aovs, u64::from(part.width) * u64::from(part.height));
    let read = assets.asset(output)?.read(due);
    let what = match read {
        Ok(bytes) if bytes.len() as u64 == due => return Ok(bytes),
        Ok(bytes) => format!("it has {} bytes, {due} are due", bytes.len()),
        Err(error) => error.to_string(),
    };
    Err(EngineError::Scene(format!("tile {output} of the frames before: {what}")))
}

/// Puts a plane of a delivered tile into its image.
fn show(
    feed: &Feed,
    part: &Part,
    plane: Plane,
    bytes: &[u8],
    image: &mut Image,
) -> Result<(), EngineError> {
    let pixels = part.width as usize * part.height as usize;
    let words = bytes.as_chunks::<4>().0;
    let word = |at: usize| f32::from_le_bytes(words[at]);
    // Where the channels of an AOV begin.
    let begin = |wanted: Aov| {
        let before = aov::asked(feed.aovs).take_while(|aov| *aov != wanted);
        let there = feed.aovs & wanted.bit() != 0;
        there.then(|| pixels * (3 + before.map(Aov::words).sum::<u64>() as usize))
    };
    let counts = begin(Aov::Samples);
    let own = plane.aov().map(|aov| {
        let named = aov.channels().iter().all(|channel| channel.word == Word::Sum);
        begin(aov).filter(|_| named)
    });
    if own == Some(None) {
        let what = format!("the frames before have no {}; order them with --aov", plane.name());
        return Err(EngineError::Scene(what));
    }
    let Samples::Floats(values) = &mut image.samples else { return Ok(()) };
    for at in 0..pixels {
        let samples = counts.map_or(feed.samples as f32, |first| word(first + at));
        let (x, y) = (part.x as usize + at % part.width as usize, at / part.width as usize);
        let to = ((part.y as usize + y) * feed.width as usize + x) * 3;
        for channel in 0..3 {
            let sum = match own {
                Some(Some(first)) => word(first + channel * pixels + at),
                _ => word(at * 3 + channel),
            };
            values[to + channel] = sum / samples;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::Asset;
    use std::collections::BTreeMap;

    struct Dir(tempfile::TempDir);

    impl Assets for Dir {
        fn asset(&self, digest: &Digest) -> Result<Asset, EngineError> {
            Ok(self.0.path().join(digest.to_string()).into())
        }
    }

    impl Dir {
        /// A tile of one value a channel.
        fn tile(&self, part: [u32; 4], channels: &[f32]) -> Part {
            let [x, y, width, height] = part;
            let pixels = (width * height) as usize;
            let light = channels[..3].iter().flat_map(|value| value.to_le_bytes());
            let mut bytes = light.collect::<Vec<u8>>().repeat(pixels);
            for value in &channels[3..] {
                bytes.extend(value.to_le_bytes().repeat(pixels));
            }
            let output = Digest::of(&bytes);
            std::fs::write(self.0.path().join(output.to_string()), bytes).unwrap();
            Part { x, y, width, height, output }
        }
    }

    fn at(image: &Image, x: usize, y: usize) -> [f32; 3] {
        let Samples::Floats(values) = &image.samples else { panic!() };
        let first = (y * image.width as usize + x) * 3;
        values[first..first + 3].try_into().unwrap()
    }

    #[test]
    fn parts_make_up_the_planes_and_another_output_takes_a_parts_place() {
        let dir = Dir(tempfile::tempdir().unwrap());
        let aovs = Aov::Normal.bit() | Aov::Depth.bit() | Aov::Samples.bit();
        let words =
            |light: f32, count: f32| [light, 2.0 * light, light, -light, light, 0.0, 9.0, count];
        let one = dir.tile([0, 0, 8, 8], &words(8.0, 4.0));
        let two = dir.tile([8, 0, 4, 8], &words(8.0, 16.0));
        let mut feed = Feed { width: 12, height: 8, samples: 64, aovs, parts: vec![one, two] };
        let planes = [Plane::Light, Plane::Normal];
        let mut images = [blank(&feed).unwrap(), blank(&feed).unwrap()];
        let mut placed = Placed::default();
        let mut place = |feed: &Feed, images: &mut [Image; 2]| {
            let [light, normal] = images;
            placed.place(feed, &planes, &mut [light, normal], &dir)
        };
        place(&feed, &mut images).unwrap();
        assert_eq!((at(&images[0], 7, 7), at(&images[0], 8, 0)), ([2., 4., 2.], [0.5, 1., 0.5]));
        assert_eq!(at(&images[1], 0, 3), [-2.0, 2.0, 0.0]);
        feed.parts[0] = dir.tile([0, 0, 8, 8], &words(4.0, 4.0));
        place(&feed, &mut images).unwrap();
        assert_eq!((at(&images[0], 7, 7), at(&images[0], 8, 0)), ([1., 2., 1.], [0.5, 1., 0.5]));
        // Of another grid: what it lies over is read again afterwards.
        let first = feed.parts[0];
        feed.parts = vec![dir.tile([4, 0, 8, 8], &words(16.0, 4.0))];
        place(&feed, &mut images).unwrap();
        feed.parts = vec![first];
        place(&feed, &mut images).unwrap();
        assert_eq!(at(&images[0], 7, 7), [1., 2., 1.]);
        feed.aovs = Aov::Albedo.bit();
        feed.parts = vec![dir.tile([0, 0, 8, 8], &[1.0; 6])];
        let said = place(&feed, &mut images).unwrap_err().to_string();
        assert!(said.contains("no normal"), "{said}");
        feed.aovs = aovs;
        let said = place(&feed, &mut images).unwrap_err().to_string();
        assert!(said.contains("bytes"), "{said}");
    }

    #[test]
    fn what_the_parts_cover_is_known() {
        let part = |x, y| Part { x, y, width: 8, height: 8, output: Digest::default() };
        let parts = vec![part(0, 0), part(8, 0), part(0, 8)];
        let feed = Feed { width: 32, height: 32, samples: 4, aovs: 0, parts };
        let cases = BTreeMap::from([
            ([0, 0, 16, 8], true),
            ([3, 2, 9, 8], true),
            ([0, 0, 8, 16], true),
            ([0, 0, 9, 9], false),
            ([15, 0, 17, 1], false),
        ]);
        for (rectangle, due) in cases {
            assert_eq!(covers(&feed, rectangle), due, "{rectangle:?}");
        }
    }
}
