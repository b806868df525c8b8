//! A frame's pixels, and their files: OpenEXR (32-bit float RGB, lossless) and PNG (8-bit sRGB).
//! The same pixels give the same bytes.

use anyhow::Context;
use exr::prelude::{
    Encoding, Image, Layer, LayerAttributes, SpecificChannels, Vec2, WritableImage,
};
use farm::tile::Tile;
use std::io::Cursor;

/// Linear RGB, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<[f32; 3]>,
}

impl Picture {
    /// All black.
    pub fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self { width, height, pixels: vec![[0.0; 3]; width * height] }
    }

    /// Places a tile: `width × height` pixels of three little-endian f32 sums over `samples`.
    pub fn place(&mut self, tile: &Tile, sums: &[u8], samples: u32) {
        let samples = samples as f32;
        let width = tile.width as usize;
        for (row, line) in sums.chunks_exact(width * 12).take(tile.height as usize).enumerate() {
            let start = (tile.y as usize + row) * self.width + tile.x as usize;
            let pixels = &mut self.pixels[start..start + width];
            for (pixel, sums) in pixels.iter_mut().zip(line.chunks_exact(12)) {
                for (value, sum) in pixel.iter_mut().zip(sums.chunks_exact(4)) {
                    *value = f32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]) / samples;
                }
            }
        }
    }

    /// An OpenEXR file, 32-bit float, ZIP.
    pub fn exr(&self) -> anyhow::Result<Vec<u8>> {
        let channels = SpecificChannels::rgb(|Vec2(x, y): Vec2<usize>| {
            let [r, g, b] = self.pixels[y * self.width + x];
            (r, g, b)
        });
        let encoding = Encoding::SMALL_LOSSLESS;
        let size = (self.width, self.height);
        let layer = Layer::new(size, LayerAttributes::default(), encoding, channels);
        let mut bytes = Cursor::new(Vec::new());
        let image = Image::from_layer(layer);
        image.write().non_parallel().to_buffered(&mut bytes).context("OpenEXR")?;
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
        let encoded: Vec<u8> = self.pixels.as_flattened().iter().map(|x| srgb(*x)).collect();
        let mut writer = encoder.write_header().context("PNG")?;
        writer.write_image_data(&encoded).context("PNG")?;
        writer.finish().context("PNG")?;
        Ok(bytes)
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
            let mut picture = Picture::new(10, 9);
            for part in order {
                let (tile, value) = &parts[*part];
                picture.place(tile, &sums(*value, (tile.width * tile.height) as usize), 4);
            }
            picture
        };
        let (one, two) = (make(&[0, 1, 2]), make(&[2, 0, 1]));
        assert_eq!(one.exr().unwrap(), two.exr().unwrap());
        assert_eq!(one.png().unwrap(), two.png().unwrap());
        let read = exr::prelude::read_first_rgba_layer_from_file;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), one.exr().unwrap()).unwrap();
        let image = read(
            file.path(),
            |size: Vec2<usize>, _: &_| vec![[0f32; 3]; size.width() * size.height()],
            |pixels: &mut Vec<[f32; 3]>, at: Vec2<usize>, (r, g, b, _): (f32, f32, f32, f32)| {
                pixels[at.y() * 10 + at.x()] = [r, g, b];
            },
        );
        let pixels = image.unwrap().layer_data.channel_data.pixels;
        assert_eq!(pixels, one.pixels);
        assert_eq!((pixels[0][0], pixels[8][1], pixels[80][2]), (1.0, 0.25, 0.1 / 4.0));
    }
}
