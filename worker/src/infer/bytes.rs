//! Whole numbers of one byte, four channels to a word, as convolutions of bytes read them.

use super::kernel::{Dispatch, Kernel, in_a_row};
use super::region::{Held, Region, Span, elements};
use rayon::prelude::*;

/// Channels in a word.
pub const BYTES: usize = 4;

/// Four numbers of -128 to 127, or what becomes such, in a word; the first is the lowest byte.
pub fn word(numbers: [u32; BYTES]) -> u32 {
    u32::from_le_bytes(numbers.map(|number| number as u8))
}

/// The sum of four products of signed bytes.
pub fn dot(a: u32, b: u32) -> u32 {
    let signed = |word: u32| word.to_le_bytes().map(|byte| i32::from(byte as i8));
    let pairs = signed(a).into_iter().zip(signed(b));
    pairs.map(|(x, y)| x * y).sum::<i32>() as u32
}

/// Joins the second dimension of a tensor of up to four, each fourth place beginning a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// What is added to each number before its lowest byte is taken.
    pub offset: u32,
}

impl Packing {
    pub fn needs(shape: &[usize], out: &[Span]) -> Region {
        let mut region = out.to_vec();
        let channels = out[1].first * BYTES..shape[1].min(out[1].end * BYTES);
        region[1] = Span::new(channels.start, channels.end);
        region
    }

    pub fn dispatch(&self, input: Held<'_>, out: Held<'_>) -> Dispatch {
        let steps = input.strides();
        let ahead = |at: usize| {
            let first = out.region[at].first * if at == 1 { BYTES } else { 1 };
            (first - input.region[at].first) * steps[at]
        };
        let base: usize = (0..steps.len()).map(ahead).sum();
        // Rows and columns that a tensor of fewer dimensions does not have are one long.
        let length = |at: usize| out.region.get(at).map_or(1, |span| span.len());
        let step = |at: usize| steps.get(at).copied().unwrap_or_default();
        let channels = Self::needs(input.shape, out.region)[1].len();
        let parameters = [
            elements(out.region),
            length(1),
            length(2),
            length(3),
            channels,
            step(0),
            step(1),
            step(2),
            step(3),
            base,
        ];
        let mut parameters = parameters.map(|word| word as u32).to_vec();
        parameters.push(self.offset);
        let constants = vec![in_a_row(length(3))];
        Dispatch { kernel: Kernel::Pack, constants, parameters, reads: vec![0] }
    }
}

/// The kernel `pack` in plain Rust.
pub fn twin(p: &[u32], input: &[u32], output: &mut [u32]) {
    let n = |at: usize| p[at] as usize;
    output[..n(0)].par_iter_mut().enumerate().for_each(|(at, word_out)| {
        let (x, rest) = (at % n(3), at / n(3));
        let (y, rest) = (rest % n(2), rest / n(2));
        let channel = rest % n(1) * BYTES;
        let from = n(9) + rest / n(1) * n(5) + channel * n(6) + y * n(7) + x * n(8);
        *word_out = word([0, 1, 2, 3].map(|k| match channel + k < n(4) {
            true => input[from + k * n(6)].wrapping_add(p[10]),
            false => 0,
        }));
    });
}
