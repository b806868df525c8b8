//! Convolution (ONNX Conv, ConvInteger, QLinearConv), where networks spend their time; and its
//! twin.

use super::bytes::{BYTES, dot};
use super::kernel::{Dispatch, Form, Kernel, signed};
use super::map::Function;
use super::region::{Held, Region, Span, lengths};
use super::tensor::strides;
use super::twin::{of_one, of_two};
use crate::render::exact::tame;
use rayon::prelude::*;

/// Places in a row that are read and written together where they lie in fours of words.
const FOUR: usize = 4;
/// Most functions that follow a sum.
pub const FOLLOWERS_MAX: usize = 4;
/// What the shader calls OTHER and OWN.
const OTHER: u32 = 4;
const OWN: u32 = 5;
/// Where the parameters of what follows begin, and where its lists do.
const FOLLOW: usize = 13;
const LISTS: usize = 29;
/// The first of the constants that say what follows, and the word that stands outside.
const FUNCTIONS: usize = 11;
const NOTHING: usize = 23;

/// How many of a group's channels are computed together: weights lie in blocks of so many.
pub fn block(channels: usize) -> usize {
    if channels.next_multiple_of(4).is_multiple_of(8) { 8 } else { 4 }
}

/// What a function that follows takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// The sum (0), or what the n-th that follows made.
    Made(usize),
    /// The fourth input's place.
    Other,
    /// A number for each channel.
    Own(Vec<f32>),
}

/// A function that follows the sum place by place, in the same pass; of one argument the second
/// counts for nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Follower {
    pub function: Function,
    pub alpha: u32,
    pub beta: u32,
    pub takes: [Taken; 2],
}

/// A convolution over two dimensions. Inputs: the image, weights as
/// `[group][channels / block][channel read][row][column][block]`, a bias for each channel; a
/// fourth, as large as what is written, if something that follows takes it.
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
    pub followers: Vec<Follower>,
    /// Of whole numbers.
    pub whole: bool,
    /// Words of image and weights hold signed bytes of four channels; this one stands outside.
    pub bytes: Option<u32>,
}

impl Convolution {
    pub fn needs(&self, nth: usize, shape: &[usize], out: &[Span]) -> Region {
        match nth {
            0 => {}
            3 => return out.to_vec(),
            _ => return super::region::whole(shape),
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
        let each = if self.bytes.is_some() { BYTES } else { 1 };
        super::region::elements(out) as u64 * (terms * each) as u64
    }

    /// Whole fours of columns, as far as there are such, so that they can be written together.
    pub fn widened(columns: Span, length: usize) -> Span {
        let first = columns.first / FOUR * FOUR;
        Span::new(first, columns.end.next_multiple_of(FOUR).min(length))
    }

    pub fn dispatch(&self, inputs: &[Held<'_>], out: Held<'_>) -> Dispatch {
        let image = inputs[0];
        let (read, written) = (lengths(image.region), lengths(out.region));
        let channels = self.channels / self.groups;
        let block = block(channels);
        let first = |d: usize| {
            let place = (out.region[2 + d].first * self.stride[d]) as i64;
            place - self.padding[d] as i64 - image.region[2 + d].first as i64
        };
        let skipped = out.region[0].first - image.region[0].first;
        let mut parameters = [
            written[0] * self.groups,
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
        parameters.extend([0, 1].map(|d| signed(first(d))));
        parameters.push((skipped * strides(&read)[0]) as u32);
        let (follow, lists) = self.follow();
        parameters.extend(follow);
        let (other, in_fours) = beside(inputs.get(3), out);
        parameters.extend(other);
        parameters.extend(lists);
        let aligned = self.stride[1] == 1 && read[3].is_multiple_of(FOUR);
        let phase = if aligned { first(1).rem_euclid(FOUR as i64) as u32 } else { FOUR as u32 };
        // How many places in a row are computed together where images are read in fours of words.
        let pixels = if self.stride[1] == 1 && written[3] > FOUR { 2 * FOUR } else { FOUR };
        let [rows, columns] = self.kernel.map(|length| length as u32);
        let mut constants = vec![rows, columns];
        constants
            .extend([self.stride[1], self.dilation[1], self.followers.len()].map(|n| n as u32));
        constants.push(u32::from(self.whole));
        constants.extend([block, pixels].map(|n| n as u32));
        constants.push(phase);
        constants.extend([written[3].is_multiple_of(FOUR), in_fours].map(u32::from));
        constants.extend(self.functions());
        constants.push(self.bytes.unwrap_or_default());
        let kernel = if self.bytes.is_some() { Kernel::Bytes } else { Kernel::Convolve };
        let reads = (0..inputs.len()).collect();
        Dispatch { kernel, constants, parameters, reads }
    }

    /// Of each that may follow its two numbers and where its channels' numbers begin; and these.
    fn follow(&self) -> (Vec<u32>, Vec<u32>) {
        let (mut follow, mut lists) = (vec![0; 3 * FOLLOWERS_MAX], Vec::new());
        for (own, words) in self.followers.iter().zip(follow.chunks_exact_mut(3)) {
            words.copy_from_slice(&[own.alpha, own.beta, (LISTS + lists.len()) as u32]);
            for taken in &own.takes {
                if let Taken::Own(numbers) = taken {
                    lists.extend(numbers.iter().map(|number| tame(*number).to_bits()));
                }
            }
        }
        (follow, lists)
    }

    /// Of each that may follow its function and what it takes.
    fn functions(&self) -> Vec<u32> {
        let mut constants = vec![0; 3 * FOLLOWERS_MAX];
        for (own, words) in self.followers.iter().zip(constants.chunks_exact_mut(3)) {
            let [left, right] = own.takes.each_ref().map(|taken| match taken {
                Taken::Made(nth) => *nth as u32,
                Taken::Other => OTHER,
                Taken::Own(_) => OWN,
            });
            words.copy_from_slice(&[own.function as u32, left, right]);
        }
        constants
    }
}

/// Base and strides of the fourth input, and whether what is written by fours can be read so of it.
fn beside(other: Option<&Held<'_>>, out: Held<'_>) -> ([u32; 4], bool) {
    let Some(other) = other else { return ([0; 4], false) };
    let steps = other.strides();
    let ahead = |at: usize| out.region[at].first - other.region[at].first;
    let base: usize = (0..4).map(|at| ahead(at) * steps[at]).sum();
    let in_fours = ahead(3).is_multiple_of(FOUR) && steps[2].is_multiple_of(FOUR);
    ([base, steps[0], steps[1], steps[2]].map(|word| word as u32), in_fours)
}

/// Workgroups of 64 that a dispatch asks for.
pub fn workgroups(dispatch: &Dispatch, form: Form) -> u32 {
    let p = &dispatch.parameters;
    let [block, pixels] = [6, 7].map(|at| dispatch.constants[at]);
    let pixels = if form == Form::Shared { pixels } else { FOUR as u32 };
    p[0] * p[2].div_ceil(block) * (p[6] * p[7].div_ceil(pixels)).div_ceil(64)
}

/// The kernels `convolve` and `bytes` in plain Rust: a plane of the output at a time, term after
/// term, so that each place gets its terms in the kernel's order.
pub fn twin(dispatch: &Dispatch, inputs: [&[u32]; 4], output: &mut [u32]) {
    let (p, constants) = (&dispatch.parameters[..], &dispatch.constants[..]);
    let times = |value: u32, weight: u32| match dispatch.kernel {
        Kernel::Bytes => dot(value, weight),
        _ => value.wrapping_mul(weight),
    };
    let n = |at: usize| p[at] as usize;
    let plane = n(6) * n(7);
    let written = n(2) * n(3);
    output.par_chunks_mut(plane).enumerate().for_each(|(nth, words)| {
        let (image, channel) = (nth / written, nth % written);
        let part = Part { p, constants, inputs, image, channel };
        if constants[5] == 1 {
            let mut sums = vec![inputs[2][channel]; plane];
            part.each_term(|at, value, weight| {
                sums[at] = sums[at].wrapping_add(times(value, weight));
            });
            words.copy_from_slice(&sums);
            return;
        }
        let mut sums = vec![f32::from_bits(inputs[2][channel]); plane];
        part.each_term(|at, value, weight| {
            sums[at] += f32::from_bits(weight) * f32::from_bits(value);
        });
        for (place, (word, sum)) in words.iter_mut().zip(sums).enumerate() {
            *word = part.followed(tame(sum), place).to_bits();
        }
    });
}

/// One channel of one image.
struct Part<'a> {
    p: &'a [u32],
    constants: &'a [u32],
    inputs: [&'a [u32]; 4],
    image: usize,
    channel: usize,
}

impl Part<'_> {
    fn n(&self, at: usize) -> usize {
        self.p[at] as usize
    }

    /// What a sum comes to at a place of the plane.
    fn followed(&self, sum: f32, place: usize) -> f32 {
        let mut made = vec![sum];
        for nth in 0..self.constants[4] as usize {
            let constants = &self.constants[FUNCTIONS + nth * 3..][..3];
            let numbers = &self.p[FOLLOW + nth * 3..][..3];
            let taken = |which: u32| match which {
                OTHER => self.other(place),
                OWN => f32::from_bits(self.p[numbers[2] as usize + self.channel]),
                nth => made[nth as usize],
            };
            let (x, y) = (taken(constants[1]), taken(constants[2]));
            let [alpha, beta] = [0, 1].map(|at| f32::from_bits(numbers[at]));
            let value = match constants[0] {
                function @ ..40 => of_one(function, x, alpha, beta),
                function => of_two(function, x, y),
            };
            made.push(tame(value));
        }
        made[made.len() - 1]
    }

    /// The fourth tensor's word there.
    fn other(&self, place: usize) -> f32 {
        let fourth = LISTS - 4;
        let (y, x) = (place / self.n(7), place % self.n(7));
        let steps = [self.image, self.channel, y].into_iter().zip(1..);
        let at: usize = steps.map(|(along, nth)| along * self.n(fourth + nth)).sum();
        f32::from_bits(self.inputs[3][self.n(fourth) + at + x])
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
        let nothing = self.constants[NOTHING];
        let (top, left) = (self.p[10] as i32 as i64, self.p[11] as i32 as i64);
        for i in 0..channels {
            for ky in 0..rows {
                for kx in 0..columns {
                    let at = first_weight + ((i * rows + ky) * columns + kx) * block;
                    let weight = self.inputs[1][at];
                    for y in 0..self.n(6) {
                        let row = top + (y * self.n(8) + ky * self.n(9)) as i64;
                        let there = (0..height as i64).contains(&row);
                        if !there && nothing == 0 {
                            continue;
                        }
                        let start = from + i * height * width + row.max(0) as usize * width;
                        for x in 0..self.n(7) {
                            let column = left + (x * stride_x + kx * dilation_x) as i64;
                            let inside = there && (0..width as i64).contains(&column);
                            if inside {
                                let value = self.inputs[0][start + column as usize];
                                term(y * self.n(7) + x, value, weight);
                            } else if nothing != 0 {
                                term(y * self.n(7) + x, nothing, weight);
                            }
                        }
                    }
                }
            }
        }
    }
}
