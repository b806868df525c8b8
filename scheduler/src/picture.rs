//! A frame's channels, and their files: OpenEXR (32-bit float, lossless) and PNG (8-bit sRGB).
//! The same channels give the same bytes. What they show it does not know.

use crate::header;
use anyhow::Context;
use exr::meta::attribute::{AttributeValue, Text};
use exr::prelude::{
    AnyChannel, AnyChannels, Encoding, FlatSamples, Image, Layer, LayerAttributes, WritableImage,
};
use farm::tile::Tile;
use proto::aov::{self, Aov, Word};
use proto::cryptomatte;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

/// Pixels between two strokes of a mark: at least so many, and on the shorter side so many strokes.
const MARK_PERIOD_MIN: usize = 24;
const MARK_PERIODS: usize = 12;

/// One number of each pixel, row by row.
#[derive(Clone, Debug, PartialEq)]
struct Channel {
    name: String,
    word: Word,
    values: Vec<f32>,
}

/// Linear R, G and B, then the channels of the AOVs asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    width: usize,
    height: usize,
    channels: Vec<Channel>,
    aovs: u32,
}

impl Picture {
    /// All zeros.
    pub fn new(width: u32, height: u32, aovs: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        let light = ["R", "G", "B"].map(|name| aov::Channel { name: name.into(), word: Word::Sum });
        let besides = aov::asked(aovs).flat_map(Aov::channels);
        let channels = light.into_iter().chain(besides).map(|aov::Channel { name, word }| {
            Channel { name, word, values: vec![0.0; width * height] }
        });
        Self { width, height, channels: channels.collect(), aovs }
    }

    /// Places a tile as it was delivered, of pixels with so many samples unless it says otherwise.
    pub fn place(&mut self, tile: &Tile, bytes: &[u8], samples: u32) {
        let pixels = tile.width as usize * tile.height as usize;
        let words = bytes.as_chunks::<4>().0;
        let (light, besides) = words.split_at(words.len().min(pixels * 3));
        let own = self.channels.iter().skip(3).position(|channel| channel.word == Word::Samples);
        let own = own.and_then(|nth| besides.chunks_exact(pixels).nth(nth));
        let counts: Vec<f32> = match own {
            Some(words) => words.iter().map(|word| f32::from_le_bytes(*word)).collect(),
            None => vec![samples as f32; pixels],
        };
        let (light_channels, channels) = self.channels.split_at_mut(3);
        for (first, channel) in light_channels.iter_mut().enumerate() {
            let words = light.iter().skip(first).step_by(3);
            channel.place(self.width, tile, words, &counts);
        }
        for (channel, words) in channels.iter_mut().zip(besides.chunks_exact(pixels)) {
            channel.place(self.width, tile, words.iter(), &counts);
        }
    }

    /// The same with a lattice over it: strokes of white between black, and of nothing in the
    /// channels besides light. What lies under a stroke is gone.
    pub fn marked(&self) -> Self {
        let mut marked = self.clone();
        let period = MARK_PERIOD_MIN.max(self.width.min(self.height) / MARK_PERIODS);
        let stroke = period / 6;
        for at in 0..self.width * self.height {
            let (x, y) = (at % self.width, at / self.width);
            let falling = (x + y) % period;
            let rising = (x + period - y % period) % period;
            let nearest = falling.min(rising);
            if nearest < stroke {
                let edge = nearest * 4 < stroke || nearest * 4 >= stroke * 3;
                for (nth, channel) in marked.channels.iter_mut().enumerate() {
                    channel.values[at] = if nth < 3 && !edge { 1.0 } else { 0.0 };
                }
            }
        }
        marked
    }

    /// What the file says of its Cryptomattes; `names` are those of their ids, by layer.
    fn attributes(&self, names: &BTreeMap<String, BTreeSet<String>>) -> LayerAttributes {
        let mut attributes = LayerAttributes::default();
        for layer in aov::asked(self.aovs).filter_map(Aov::cryptomatte) {
            let none = BTreeSet::new();
            let names = names.get(layer).unwrap_or(&none);
            let texts = cryptomatte::attributes(layer, names).into_iter().map(|(name, text)| {
                let value = AttributeValue::Text(Text::from(text.as_str()));
                (Text::from(name.as_str()), value)
            });
            attributes.other.extend(texts);
        }
        attributes
    }

    /// An OpenEXR file, 32-bit float, ZIP; `names` are what ids stand for, by layer.
    pub fn into_exr(self, names: &BTreeMap<String, BTreeSet<String>>) -> anyhow::Result<Vec<u8>> {
        let attributes = self.attributes(names);
        let channels = self.channels.into_iter().map(|channel| {
            AnyChannel::new(channel.name.as_str(), FlatSamples::F32(channel.values))
        });
        let channels = AnyChannels::sort(channels.collect());
        let encoding = Encoding::SMALL_LOSSLESS;
        let size = (self.width, self.height);
        let layer = Layer::new(size, attributes, encoding, channels);
        let mut bytes = Cursor::new(Vec::new());
        let image = Image::from_layer(layer);
        image.write().non_parallel().to_buffered(&mut bytes).context("OpenEXR")?;
        header::sort(&mut bytes.get_mut()[..]).context("OpenEXR's header")?;
        Ok(bytes.into_inner())
    }

    /// A PNG file, 8 bits, sRGB.
    pub fn png(&self) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let (width, height) = (self.width as u32, self.height as u32);
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_source_srgb(png::SrgbRenderingIntent::RelativeColorimetric);
        encoder.set_compression(png::Compression::Fast);
        let light = &self.channels[..3];
        let encoded: Vec<u8> = (0..self.width * self.height)
            .flat_map(|at| light.iter().map(move |channel| srgb(channel.values[at])))
            .collect();
        let mut writer = encoder.write_header().context("PNG")?;
        writer.write_image_data(&encoded).context("PNG")?;
        writer.finish().context("PNG")?;
        Ok(bytes)
    }
}

impl Channel {
    /// Places a tile's words, row by row, in an image of this width; `samples` are its pixels'.
    fn place<'a>(
        &mut self,
        width: usize,
        tile: &Tile,
        words: impl Iterator<Item = &'a [u8; 4]>,
        samples: &[f32],
    ) {
        let mut words = words.zip(samples);
        for row in 0..tile.height as usize {
            let start = (tile.y as usize + row) * width + tile.x as usize;
            let values = &mut self.values[start..start + tile.width as usize];
            for (value, (word, samples)) in values.iter_mut().zip(&mut words) {
                *value = meaning(self.word, *word, *samples);
            }
        }
    }
}

/// What a word of a pixel says, for a pixel with so many samples.
fn meaning(word: Word, bytes: [u8; 4], samples: f32) -> f32 {
    match word {
        Word::Sum => f32::from_le_bytes(bytes) / samples,
        Word::Least | Word::Id | Word::Samples => f32::from_le_bytes(bytes),
        Word::Count => u32::from_le_bytes(bytes) as f32 / samples,
    }
}

/// The sRGB transfer (IEC 61966-2-1), clamped to 0..=255; not a number is black.
fn srgb(linear: f32) -> u8 {
    let linear = f64::from(linear);
    let encoded = if linear <= 0.003_130_8 {
        12.92 * linear
    } else {
        1.055 * libm::pow(linear, 1.0 / 2.4) - 0.055
    };
    (encoded * 255.0).round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(x: u32, y: u32, width: u32, height: u32) -> Tile {
        Tile { nth_frame: 0, frame: 0, x, y, width, height }
    }

    fn sums(value: f32, pixels: usize) -> Vec<u8> {
        value.to_le_bytes().repeat(pixels * 3)
    }

    #[test]
    fn srgb_meets_the_standard_at_its_corners() {
        let pairs = [(0.0, 0), (1.0, 255), (2.0, 255), (-1.0, 0), (f32::NAN, 0), (0.5, 188)];
        for (linear, byte) in pairs {
            assert_eq!(srgb(linear), byte, "{linear}");
        }
        assert_eq!(srgb(0.003_130_8), 10);
    }

    #[test]
    fn tiles_in_any_order_give_the_same_bytes_and_the_right_pixels() {
        let parts = [(tile(0, 0, 8, 8), 4.0), (tile(8, 0, 2, 8), 1.0), (tile(0, 8, 8, 1), 0.1)];
        let make = |order: &[usize]| {
            let mut picture = Picture::new(10, 9, 0);
            for part in order {
                let (tile, value) = &parts[*part];
                picture.place(tile, &sums(*value, (tile.width * tile.height) as usize), 4);
            }
            picture
        };
        let (one, two) = (make(&[0, 1, 2]), make(&[2, 0, 1]));
        assert_eq!(one.png().unwrap(), two.png().unwrap());
        let file = one.clone().into_exr(&BTreeMap::new()).unwrap();
        assert_eq!(file, two.into_exr(&BTreeMap::new()).unwrap());
        let read = channels_of(&file);
        assert_eq!(read.keys().collect::<Vec<_>>(), ["B", "G", "R"]);
        for channel in &one.channels {
            assert_eq!(read[&channel.name], channel.values);
        }
        assert_eq!((read["R"][0], read["G"][8], read["B"][80]), (1.0, 0.25, 0.1 / 4.0));
    }

    #[test]
    fn a_mark_is_all_over_the_frame_and_in_every_channel() {
        let mut picture = Picture::new(500, 300, picture_bits());
        let mut bytes = sums(3.0, 500 * 300);
        bytes.extend(1.5_f32.to_le_bytes().repeat(4 * 500 * 300));
        picture.place(&tile(0, 0, 500, 300), &bytes, 4);
        let marked = picture.marked();
        assert_ne!(marked.png().unwrap(), picture.png().unwrap());
        for (clean, channel) in picture.channels.iter().zip(&marked.channels) {
            let gone = |at: &usize| channel.values[*at] != clean.values[*at];
            let share = (0..500 * 300).filter(gone).count() as f64 / (500.0 * 300.0);
            assert!((0.2..0.4).contains(&share), "{}: {share}", channel.name);
            // No square of 48 pixels is without it.
            for corner in (0..300 - 48).step_by(12).flat_map(|y| [y * 500, y * 500 + 450]) {
                let row = |y: usize| (0..48).map(move |x| corner + y * 500 + x);
                assert!((0..48).flat_map(row).any(|at| gone(&at)), "{}", channel.name);
            }
        }
        let small = Picture::new(1, 1, 0);
        assert_eq!(small.marked().channels.len(), 3);
    }

    #[test]
    fn channels_besides_light_have_their_names_and_their_own_division() {
        let mut picture = Picture::new(16, 8, picture_bits());
        for x in [8, 0] {
            let (mut bytes, left) = (sums(1.0, 64), x as f32);
            for word in [left, 2.0, 3.0, left] {
                bytes.extend(word.to_le_bytes().repeat(64));
            }
            assert_eq!(bytes.len() as u64, aov::tile_bytes(picture_bits(), 64));
            picture.place(&tile(x, 0, 8, 8), &bytes, 4);
        }
        let read = channels_of(&picture.into_exr(&BTreeMap::new()).unwrap());
        assert_eq!(read.keys().collect::<Vec<_>>(), ["B", "G", "N.X", "N.Y", "N.Z", "R", "Z"]);
        let at = |name: &str| [read[name][7], read[name][8], read[name][16 * 7]];
        assert_eq!(at("N.X"), [0.0, 2.0, 0.0]);
        assert_eq!((at("N.Y"), at("N.Z")), ([0.5; 3], [0.75; 3]));
        assert_eq!((at("Z"), at("G")), ([0.0, 8.0, 0.0], [0.25; 3]));
    }

    #[test]
    fn pixels_are_divided_by_their_own_samples() {
        let aovs = Aov::Albedo.bit() | Aov::Samples.bit();
        let mut picture = Picture::new(8, 8, aovs);
        let mut bytes = sums(6.0, 64);
        bytes.extend(12.0_f32.to_le_bytes().repeat(3 * 64));
        for pixel in 0..64 {
            bytes.extend((if pixel < 8 { 4.0_f32 } else { 24.0 }).to_le_bytes());
        }
        assert_eq!(bytes.len() as u64, aov::tile_bytes(aovs, 64));
        picture.place(&tile(0, 0, 8, 8), &bytes, 64);
        let read = channels_of(&picture.into_exr(&BTreeMap::new()).unwrap());
        let at = |name: &str| [read[name][7], read[name][8]];
        assert_eq!((at("G"), at("albedo.R")), ([1.5, 0.25], [3.0, 0.5]));
        assert_eq!(at("samples"), [4.0, 24.0]);
    }

    #[test]
    fn ids_keep_their_bits_and_the_header_says_what_they_are() {
        let mut picture = Picture::new(8, 8, Aov::ObjectId.bit());
        let mut bytes = sums(1.0, 64);
        let (one, other) = (cryptomatte::id("Cube"), cryptomatte::id("Lamp"));
        for word in [one, 3, other, 1, 0, 0, 0, 0, 0, 0, 0, 0] {
            bytes.extend(word.to_le_bytes().repeat(64));
        }
        picture.place(&tile(0, 0, 8, 8), &bytes, 4);
        let known = BTreeSet::from(["Cube", "Lamp"].map(str::to_owned));
        let names = BTreeMap::from([("CryptoObject".to_owned(), known.clone())]);
        let file = picture.clone().into_exr(&names).unwrap();
        // The order of a file's attributes is not that of a map in memory.
        for _ in 0..8 {
            assert_eq!(picture.clone().into_exr(&names).unwrap(), file);
        }
        let read = channels_of(&file);
        let at = |letter: &str| read[&format!("CryptoObject00.{letter}")][5];
        assert_eq!([at("r").to_bits(), at("b").to_bits()], [one, other]);
        assert_eq!([at("g"), at("a")], [0.75, 0.25]);
        assert_eq!(read.keys().filter(|name| name.starts_with("CryptoObject")).count(), 12);
        let said = read_file(&file).attributes.other;
        for (name, text) in cryptomatte::attributes("CryptoObject", &known) {
            let found = &said[&Text::from(name.as_str())];
            assert_eq!(*found, AttributeValue::Text(Text::from(text.as_str())), "{name}");
        }
    }

    fn picture_bits() -> u32 {
        Aov::Normal.bit() | Aov::Depth.bit()
    }

    /// A file's only layer.
    fn read_file(file: &[u8]) -> Layer<AnyChannels<FlatSamples>> {
        use exr::prelude::{ReadChannels, ReadLayers};
        let read = exr::prelude::read().no_deep_data().largest_resolution_level();
        let read = read.all_channels().first_valid_layer().all_attributes();
        read.from_buffered(Cursor::new(file)).unwrap().layer_data
    }

    /// Its channels by name.
    fn channels_of(file: &[u8]) -> std::collections::BTreeMap<String, Vec<f32>> {
        let channels = read_file(file).channel_data.list.into_iter();
        let values = |channel: AnyChannel<FlatSamples>| {
            (channel.name.to_string(), channel.sample_data.values_as_f32().collect())
        };
        channels.map(values).collect()
    }
}
