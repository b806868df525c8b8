//! Convolution (ONNX Conv, ConvInteger), where networks spend their time; and its twin.

use super::kernel::{Dispatch, Kernel, signed};
use super::region::{Held, Region, Span, lengths};
use super::tensor::strides;
use crate::render::exact::tame;
use rayon::prelude::*;

/// Places in a row that an invocation computes.
const PIXELS: usize = 4;

/// How many of a group's channels are computed together: weights lie in blocks of so many.
pub fn block(channels: usize) -> usize {
    if channels.next_multiple_of(4).is_multiple_of(8) { 8 } else { 4 }
}

/// What follows the sum, in the same pass.
#[derive(Clone, Debug, PartialEq)]
pub enum After {
    Nothing,
    /// Negative values times the slope of their channel (PRelu, LeakyRelu, Relu).
    Slopes(Vec<f32>),
    Clamp(f32, f32),
}

/// A convolution over two dimensions. Inputs: the image, weights as
/// `[group][channels / block][channel read][row][column][block]`, a bias for each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    pub groups: usize,
    /// Channels written.
    pub channels: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Rows above and columns to the left that do not exist.
    pub padding: [usize; 2],
    pub after: After,
    /// Of whole numbers.
    pub whole: bool,
}

impl Convolution {
    pub fn needs(&self, nth: usize, shape: &[usize], out: &[Span]) -> Region {
        if nth > 0 {
            return super::region::whole(shape);
        }
        let mut region = vec![out[0], Span::whole(shape[1])];
        for d in 0..2 {
            let first = |place: usize| (place * self.stride[d]) as i64 - self.padding[d] as i64;
            let reach = ((self.kernel[d] - 1) * self.dilation[d]) as i64;
            let (from, to) = (first(out[2 + d].first), first(out[2 + d].end - 1) + reach);
            region.push(Span::clipped(from, to, shape[2 + d]));
        }
        region
    }

    /// Multiply-adds for this part of the output.
    pub fn work(&self, shape: &[usize], out: &[Span]) -> u64 {
        let terms = shape[1] / self.groups * self.kernel[0] * self.kernel[1];
        super::region::elements(out) as u64 * terms as u64
    }

    pub fn dispatch(&self, inputs: &[Held<'_>], out: Held<'_>) -> Dispatch {
        let image = inputs[0];
        let (read, written) = (lengths(image.region), lengths(out.region));
        let channels = self.channels / self.groups;
        let block = block(channels);
        let pieces = (written[2] * written[3].div_ceil(PIXELS)).div_ceil(64);
        let items = written[0] * self.groups * channels.div_ceil(block) * pieces;
        let first = |d: usize| {
            let place = (out.region[2 + d].first * self.stride[d]) as i64;
            signed(place - self.padding[d] as i64 - image.region[2 + d].first as i64)
        };
        let skipped = out.region[0].first - image.region[0].first;
        let (least, most) = match self.after {
            After::Clamp(least, most) => (tame(least), tame(most)),
            _ => (0.0, 0.0),
        };
        let mut parameters = [
            items,
            image.shape[1] / self.groups,
            channels,
            self.groups,
            read[2],
            read[3],
            written[2],
            written[3],
            self.stride[0],
            self.dilation[0],
        ]
        .map(|word| word as u32)
        .to_vec();
        parameters.extend([first(0), first(1), (skipped * strides(&read)[0]) as u32]);
        parameters.extend([least.to_bits(), most.to_bits(), 16]);
        let mut after = 0;
        match &self.after {
            After::Nothing => {}
            After::Clamp(..) => after = 2,
            After::Slopes(slopes) => {
                after = 1;
                parameters.extend(slopes.iter().map(|slope| tame(*slope).to_bits()));
            }
        }
        let [rows, columns] = self.kernel.map(|length| length as u32);
        let (stride, dilation) = (self.stride[1] as u32, self.dilation[1] as u32);
        let whole = u32::from(self.whole);
        // The last is how many are computed together where images are read in fours of words.
        let together = if channels.div_ceil(block).is_multiple_of(2) { 2 * block } else { block };
        let [block, together] = [block, together].map(|channels| channels as u32);
        let constants = vec![rows, columns, stride, dilation, after, whole, block, together];
        Dispatch { kernel: Kernel::Convolve, constants, parameters, reads: vec![0, 1, 2] }
    }
}

/// The kernel `convolve` in plain Rust: a plane of the output at a time, term after term, so that
/// each place gets its terms in the kernel's order.
pub fn twin(p: &[u32], constants: &[u32], inputs: [&[u32]; 3], output: &mut [u32]) {
    let n = |at: usize| p[at] as usize;
    let plane = n(6) * n(7);
    let written = n(2) * n(3);
    output.par_chunks_mut(plane).enumerate().for_each(|(nth, words)| {
        let (image, channel) = (nth / written, nth % written);
        let part = Part { p, constants, inputs, image, channel };
        if constants[5] == 1 {
            let mut sums = vec![0_u32; plane];
            part.each_term(|at, value, weight| {
                sums[at] = sums[at].wrapping_add(value.wrapping_mul(weight));
            });
            words.copy_from_slice(&sums);
            return;
        }
        let mut sums = vec![f32::from_bits(inputs[2][channel]); plane];
        part.each_term(|at, value, weight| {
            sums[at] += f32::from_bits(weight) * f32::from_bits(value);
        });
        for (word, sum) in words.iter_mut().zip(sums) {
            *word = tame(part.after(tame(sum))).to_bits();
        }
    });
}

/// One channel of one image.
struct Part<'a> {
    p: &'a [u32],
    constants: &'a [u32],
    inputs: [&'a [u32]; 3],
    image: usize,
    channel: usize,
}

impl Part<'_> {
    fn n(&self, at: usize) -> usize {
        self.p[at] as usize
    }

    fn after(&self, sum: f32) -> f32 {
        let [least, most] = [13, 14].map(|at| f32::from_bits(self.p[at]));
        match self.constants[4] {
            1 if sum < 0.0 => sum * f32::from_bits(self.p[self.n(15) + self.channel]),
            2 => sum.max(least).min(most),
            _ => sum,
        }
    }

    /// Calls with the place written, the value read and the weight.
    fn each_term(&self, mut term: impl FnMut(usize, u32, u32)) {
        let [rows, columns, stride_x, dilation_x] =
            [0, 1, 2, 3].map(|at| self.constants[at] as usize);
        let (channels, height, width) = (self.n(1), self.n(4), self.n(5));
        let (group, own) = (self.channel / self.n(2), self.channel % self.n(2));
        let block = self.constants[6] as usize;
        let blocks = self.n(2).div_ceil(block);
        let from = self.n(12) + (self.image * self.n(3) + group) * channels * height * width;
        let before = (group * blocks + own / block) * channels * rows * columns;
        let first_weight = before * block + own % block;
        let (top, left) = (self.p[10] as i32 as i64, self.p[11] as i32 as i64);
        for i in 0..channels {
            for ky in 0..rows {
                for kx in 0..columns {
                    let at = first_weight + ((i * rows + ky) * columns + kx) * block;
                    let weight = self.inputs[1][at];
                    for y in 0..self.n(6) {
                        let row = top + (y * self.n(8) + ky * self.n(9)) as i64;
                        if !(0..height as i64).contains(&row) {
                            continue;
                        }
                        let start = from + (i * height + row as usize) * width;
                        for x in 0..self.n(7) {
                            let column = left + (x * stride_x + kx * dilation_x) as i64;
                            if (0..width as i64).contains(&column) {
                                let value = self.inputs[0][start + column as usize];
                                term(y * self.n(7) + x, value, weight);
                            }
                        }
                    }
                }
            }
        }
    }
}
