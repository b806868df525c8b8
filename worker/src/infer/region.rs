//! Regions: the part of a tensor that is wanted, or held. One span for each dimension.

/// Places `first` to `end`, without `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: usize,
    pub end: usize,
}

impl Span {
    pub fn new(first: usize, end: usize) -> Self {
        Self { first, end }
    }
    pub fn whole(length: usize) -> Self {
        Self { first: 0, end: length }
    }
    pub fn len(self) -> usize {
        self.end - self.first
    }
    pub fn is_empty(self) -> bool {
        self.first >= self.end
    }
    /// What of the places from `first` to `last` (both meant) lies in a tensor so long; one place
    /// at least, so that there is always something to bind.
    pub fn clipped(first: i64, last: i64, length: usize) -> Self {
        let top = length as i64 - 1;
        let first = first.clamp(0, top.max(0));
        Self::new(first as usize, (last.clamp(first, top.max(0)) + 1) as usize)
    }
    /// The least span around both.
    pub fn around(self, other: Self) -> Self {
        Self::new(self.first.min(other.first), self.end.max(other.end))
    }
}

/// A part of a tensor.
pub type Region = Vec<Span>;

/// All of a tensor.
pub fn whole(shape: &[usize]) -> Region {
    shape.iter().map(|length| Span::whole(*length)).collect()
}

/// Elements in a region.
pub fn elements(region: &[Span]) -> usize {
    region.iter().map(|span| span.len()).product()
}

/// The lengths of a region.
pub fn lengths(region: &[Span]) -> Vec<usize> {
    region.iter().map(|span| span.len()).collect()
}

/// A tensor's shape, and the part of it at hand, which lies row-major.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    pub shape: &'a [usize],
    pub region: &'a [Span],
}

impl Held<'_> {
    /// Steps of each dimension.
    pub fn strides(&self) -> Vec<usize> {
        super::tensor::strides(&lengths(self.region))
    }
    pub fn is_whole(&self) -> bool {
        self.shape.iter().zip(self.region).all(|(length, span)| span.len() == *length)
    }
}
