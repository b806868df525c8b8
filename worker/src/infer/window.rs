//! Windows that slide (ONNX MaxPool, AveragePool, LpPool), and transposed convolution.

use super::kernel::{Dispatch, Kernel, signed};
use super::region::{Held, Region, Span, elements, lengths, whole};
use super::tensor::strides;

/// What is done with a window; the numbers are those of `shaders/glsl/infer/pool.comp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Within {
    Greatest = 0,
    Mean = 1,
    Sum = 2,
}

/// A window over three dimensions; those that a tensor lacks are one long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    pub within: Within,
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    pub dilation: [usize; 3],
    /// Places before the first and after the last that do not exist.
    pub padding: [[usize; 2]; 3],
    /// Whether a mean counts these.
    pub counts_padding: bool,
}

impl Pool {
    pub fn needs(&self, shape: &[usize], out: &[Span]) -> Region {
        let mut region = out[..2].to_vec();
        for d in 0..3 {
            let first = |at: usize| (at * self.stride[d]) as i64 - self.padding[d][0] as i64;
            let reach = ((self.kernel[d] - 1) * self.dilation[d]) as i64;
            let (from, to) = (first(out[2 + d].first), first(out[2 + d].end - 1) + reach);
            region.push(Span::clipped(from, to, shape[2 + d]));
        }
        region
    }

    pub fn work(&self, out: &[Span]) -> u64 {
        elements(out) as u64 * self.kernel.iter().product::<usize>() as u64
    }

    pub fn dispatch(&self, input: Held<'_>, out: Held<'_>) -> Dispatch {
        let (read, written) = (lengths(input.region), lengths(out.region));
        let steps = strides(&read);
        let ahead = |d: usize| (out.region[d].first - input.region[d].first) * steps[d];
        let mut parameters =
            vec![elements(out.region) as u32, u32::from(self.counts_padding), 0, 0];
        // Planes lie one after the other only if all channels are there.
        let images = ahead(0) + ahead(1);
        parameters[3] = images as u32;
        for d in 0..3 {
            let begin = -(input.region[2 + d].first as i64);
            let first = (out.region[2 + d].first * self.stride[d]) as i64
                - self.padding[d][0] as i64
                + begin;
            parameters.extend([read[2 + d], written[2 + d], self.kernel[d]].map(|n| n as u32));
            parameters.extend([self.stride[d], self.dilation[d]].map(|n| n as u32));
            let end = (input.shape[2 + d] + self.padding[d][1]) as i64 + begin;
            let before = begin - self.padding[d][0] as i64;
            parameters.extend([signed(first), signed(before), signed(end)]);
        }
        parameters.push(steps[1] as u32);
        let constants = vec![self.within as u32];
        Dispatch { kernel: Kernel::Pool, constants, parameters, reads: vec![0] }
    }
}

/// A transposed convolution. Inputs: the image, weights as ONNX has them
/// (`[channel read][channel of the group][row][column]`), a bias for each channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    pub groups: usize,
    /// Channels written.
    pub channels: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Rows and columns that are cut off at the beginning.
    pub padding: [usize; 2],
}

impl Spread {
    pub fn needs(&self, nth: usize, shape: &[usize], out: &[Span]) -> Region {
        if nth > 0 {
            return whole(shape);
        }
        let mut region = vec![out[0], Span::whole(shape[1])];
        for d in 0..2 {
            let stride = self.stride[d] as i64;
            let reach = ((self.kernel[d] - 1) * self.dilation[d]) as i64;
            let place = |at: usize| (at + self.padding[d]) as i64;
            let from = (place(out[2 + d].first) - reach).div_euclid(stride);
            let to = place(out[2 + d].end - 1).div_euclid(stride);
            region.push(Span::clipped(from, to, shape[2 + d]));
        }
        region
    }

    pub fn work(&self, shape: &[usize], out: &[Span]) -> u64 {
        let terms = |d: usize| self.kernel[d].div_ceil(self.stride[d]);
        let terms = shape[1] / self.groups * terms(0) * terms(1);
        elements(out) as u64 * terms as u64
    }

    pub fn dispatch(&self, inputs: &[Held<'_>], out: Held<'_>) -> Dispatch {
        let image = inputs[0];
        let (read, written) = (lengths(image.region), lengths(out.region));
        let skipped = (out.region[0].first - image.region[0].first) * strides(&read)[0];
        let parameters = [
            elements(out.region),
            image.shape[1] / self.groups,
            self.channels / self.groups,
            self.groups,
            read[2],
            read[3],
            written[2],
            written[3],
            self.kernel[0],
            self.kernel[1],
            self.stride[0],
            self.stride[1],
            self.dilation[0],
            self.dilation[1],
            out.region[2].first + self.padding[0],
            out.region[3].first + self.padding[1],
            image.region[2].first,
            image.region[3].first,
            skipped,
        ];
        let parameters = parameters.map(|word| word as u32).to_vec();
        Dispatch { kernel: Kernel::Spread, constants: vec![], parameters, reads: vec![0, 1, 2] }
    }
}
