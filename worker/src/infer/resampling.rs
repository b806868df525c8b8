//! Weighted sums along one dimension: what linear and cubic resizing are, one dimension after the
//! other; and elements chosen by numbers in a tensor.

use super::kernel::{Dispatch, Kernel, in_a_row};
use super::region::{Held, Region, Span, elements};
use super::twin::OUTSIDE;

/// Along one dimension each place is a sum over some places.
#[derive(Clone, Debug, PartialEq)]
pub struct Resampling {
    pub axis: usize,
    /// What stands where a list is empty.
    pub outside: f32,
    /// For each place written: places read and their weights, all lists equally long or empty.
    pub lists: Vec<Vec<(usize, f32)>>,
}

impl Resampling {
    pub fn needs(&self, shape: &[usize], out: &[Span]) -> Region {
        let mut region = out.to_vec();
        let span = out[self.axis];
        let places = self.lists[span.first..span.end].iter().flatten().map(|(place, _)| *place);
        let (low, high) =
            places.fold((usize::MAX, 0), |(low, high), place| (low.min(place), high.max(place)));
        let low = low.min(high);
        region[self.axis] = Span::clipped(low as i64, high as i64, shape[self.axis]);
        region
    }

    fn terms(&self) -> usize {
        self.lists.iter().map(Vec::len).max().unwrap_or_default()
    }

    pub fn work(&self, out: &[Span]) -> u64 {
        elements(out) as u64 * self.terms() as u64
    }

    pub fn dispatch(&self, input: Held<'_>, out: Held<'_>) -> Dispatch {
        let steps = input.strides();
        let (mut rows, mut base) = (Vec::new(), 0);
        for (at, span) in out.region.iter().enumerate() {
            if at == self.axis {
                rows.extend([span.len() as u32, 0]);
            } else {
                rows.extend([span.len() as u32, steps[at] as u32]);
                base += (span.first - input.region[at].first) * steps[at];
            }
        }
        let (terms, span) = (self.terms(), out.region[self.axis]);
        let (mut places, mut weights) = (Vec::new(), Vec::new());
        for list in &self.lists[span.first..span.end] {
            let from = input.region[self.axis].first;
            let missing = terms - list.len();
            places.extend(list.iter().map(|(place, _)| (place - from) as u32));
            places.extend(std::iter::repeat_n(OUTSIDE, missing));
            weights.extend(list.iter().map(|(_, weight)| weight.to_bits()));
            weights.extend(std::iter::repeat_n(0, missing));
        }
        let first = 9 + rows.len();
        let mut parameters = [
            elements(out.region),
            out.region.len(),
            terms,
            base,
            self.axis,
            steps[self.axis],
            first,
            first + places.len(),
        ]
        .map(|word| word as u32)
        .to_vec();
        parameters.push(self.outside.to_bits());
        parameters.extend(rows);
        parameters.extend(places);
        parameters.extend(weights);
        let constants = vec![in_a_row(out.region.last().map_or(1, |span| span.len()))];
        Dispatch { kernel: Kernel::Resample, constants, parameters, reads: vec![0] }
    }
}

/// Elements along a dimension, by the numbers that the second input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gathering {
    pub axis: usize,
    /// Whether each element written has a number of its own (GatherElements).
    pub each: bool,
}

impl Gathering {
    pub fn dispatch(&self, inputs: &[Held<'_>], out: Held<'_>) -> Dispatch {
        let data = inputs[0].shape;
        let inner: usize = data[self.axis + 1..].iter().product();
        let outer: usize = data[..self.axis].iter().product();
        let written = elements(out.region) / (inner * outer).max(1);
        let words = [elements(out.region), inner, written, data[self.axis], usize::from(self.each)];
        let parameters = words.map(|word| word as u32).to_vec();
        Dispatch { kernel: Kernel::Gather, constants: vec![], parameters, reads: vec![0, 1] }
    }
}
