//! Sums, means, products and extremes over some dimensions, and products of matrices.

use super::kernel::{Dispatch, Kernel};
use super::region::{Held, Region, Span, elements};

/// What is done with the terms; the numbers are those of `shaders/glsl/infer/reduce.comp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Over {
    Sum = 0,
    Mean = 1,
    Product = 2,
    Greatest = 3,
    Least = 4,
    PlaceOfGreatest = 5,
    PlaceOfLeast = 6,
    WholeSum = 7,
    WholeGreatest = 8,
    WholeLeast = 9,
    WholeProduct = 10,
}

/// A reduction; the dimensions reduced become one place long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduction {
    pub over: Over,
    pub axes: Vec<usize>,
}

impl Reduction {
    pub fn needs(&self, shape: &[usize], out: &[Span]) -> Region {
        let span = |(at, span): (usize, &Span)| {
            if self.axes.contains(&at) { Span::whole(shape[at]) } else { *span }
        };
        out.iter().enumerate().map(span).collect()
    }

    pub fn dispatch(&self, input: Held<'_>, out: Held<'_>) -> Dispatch {
        let strides = input.strides();
        let (mut kept, mut reduced) = (Vec::new(), Vec::new());
        let (mut base, mut terms, mut counts) = (0, 1, [0; 2]);
        for (at, stride) in strides.into_iter().enumerate() {
            if self.axes.contains(&at) {
                reduced.extend([input.shape[at] as u32, stride as u32]);
                terms *= input.shape[at];
                counts[1] += 1;
            } else {
                kept.extend([out.region[at].len() as u32, stride as u32]);
                base += (out.region[at].first - input.region[at].first) * stride;
                counts[0] += 1;
            }
        }
        let mut parameters = vec![elements(out.region) as u32, terms as u32];
        parameters.extend(counts);
        parameters.push(base as u32);
        parameters.extend(kept);
        parameters.extend(reduced);
        let constants = vec![self.over as u32];
        Dispatch { kernel: Kernel::Reduce, constants, parameters, reads: vec![0] }
    }
}

/// Products of the last two dimensions; those before are broadcast. Both have the same rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Of whole numbers.
    pub whole: bool,
}

impl Product {
    pub fn needs(nth: usize, shape: &[usize], out: &[Span]) -> Region {
        let rank = shape.len();
        // The last but one of the first, and the last of the second, are those written.
        let terms = if nth == 0 { rank - 1 } else { rank - 2 };
        let span = |at: usize| match at {
            _ if at == terms => Span::whole(shape[at]),
            _ if at + 2 < rank && shape[at] == 1 => Span::whole(1),
            _ => out[at],
        };
        (0..rank).map(span).collect()
    }

    pub fn dispatch(&self, inputs: &[Held<'_>], out: Held<'_>) -> Dispatch {
        let rank = out.shape.len();
        let (left, right) = (inputs[0], inputs[1]);
        let (a, b) = (left.strides(), right.strides());
        let batch = rank - 2;
        let ahead = |held: Held<'_>, at: usize| out.region[at].first - held.region[at].first;
        let mut bases = [ahead(left, batch) * a[batch], ahead(right, batch + 1) * b[batch + 1]];
        let mut rows = Vec::new();
        for at in 0..batch {
            let mut row = [out.region[at].len() as u32, 0, 0];
            for (nth, (held, strides)) in [(left, &a), (right, &b)].into_iter().enumerate() {
                if held.shape[at] != 1 {
                    row[nth + 1] = strides[at] as u32;
                    bases[nth] += ahead(held, at) * strides[at];
                }
            }
            rows.extend(row);
        }
        let mut parameters: Vec<u32> = [
            elements(out.region),
            out.region[batch + 1].len(),
            left.shape[batch + 1],
            bases[0],
            bases[1],
            a[batch],
            a[batch + 1],
            b[batch],
            b[batch + 1],
            batch,
            out.region[batch].len(),
        ]
        .map(|word| word as u32)
        .to_vec();
        parameters.extend(rows);
        let constants = vec![u32::from(self.whole)];
        Dispatch { kernel: Kernel::Product, constants, parameters, reads: vec![0, 1] }
    }
}
