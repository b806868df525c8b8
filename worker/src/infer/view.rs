//! Elements moved, none computed: each dimension of what is written has a table that says how far
//! its places move in what is read. Slices, paddings, transpositions and shuffles are such tables.

use super::kernel::{Dispatch, Kernel, in_a_row};
use super::region::{Held, Region, Span, elements};
use super::tensor::strides;
use super::twin::OUTSIDE;

/// Places of one dimension written: for each, how far it moves along some dimensions read.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Dimensions read.
    pub along: Vec<usize>,
    /// For each place, a number for each of `along`; `None` lies outside.
    pub places: Vec<Option<Vec<i64>>>,
}

impl Axis {
    /// A dimension of that which is read, place by place.
    pub fn of(along: usize, places: impl IntoIterator<Item = Option<i64>>) -> Self {
        let places = places.into_iter().map(|place| place.map(|place| vec![place])).collect();
        Self { along: vec![along], places }
    }

    /// As it is.
    pub fn same(along: usize, length: usize) -> Self {
        Self::of(along, (0..length as i64).map(Some))
    }

    /// Every place the same: a dimension of length one, or repeated.
    pub fn still(length: usize) -> Self {
        Self { along: vec![], places: vec![Some(vec![]); length] }
    }

    /// From the least to the greatest move along each dimension over a span; `None` if all lie
    /// outside.
    fn reach(&self, span: Span) -> Option<Vec<(i64, i64)>> {
        let mut inside = self.places[span.first..span.end].iter().flatten();
        let first: Vec<_> = inside.next()?.iter().map(|place| (*place, *place)).collect();
        Some(inside.fold(first, |reach, places| {
            let pairs = reach.into_iter().zip(places);
            pairs.map(|((low, high), place)| (low.min(*place), high.max(*place))).collect()
        }))
    }
}

/// Such a move of elements.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The word that stands outside.
    pub outside: u32,
    /// For each dimension read, where moves begin.
    pub begin: Vec<i64>,
    pub axes: Vec<Axis>,
}

impl View {
    /// Of a tensor with so many dimensions.
    pub fn new(rank: usize, axes: Vec<Axis>) -> Self {
        Self { outside: 0, begin: vec![0; rank], axes }
    }

    /// What is needed; `None`: nothing.
    pub fn needs(&self, shape: &[usize], out: &[Span]) -> Option<Region> {
        let mut reach: Vec<(i64, i64)> = self.begin.iter().map(|begin| (*begin, *begin)).collect();
        for (axis, span) in self.axes.iter().zip(out) {
            for (along, (low, high)) in axis.along.iter().zip(axis.reach(*span)?) {
                reach[*along].0 += low;
                reach[*along].1 += high;
            }
        }
        let spans = reach.into_iter().zip(shape);
        Some(spans.map(|((low, high), length)| Span::clipped(low, high, *length)).collect())
    }

    pub fn dispatch(&self, input: Held<'_>, out: Held<'_>) -> Dispatch {
        let to = out.strides();
        self.placed(input, out.region, &to, 0)
    }

    /// Writes the region to a place of a larger tensor with these strides.
    pub fn placed(&self, input: Held<'_>, out: &[Span], to: &[usize], base: usize) -> Dispatch {
        let from = input.strides();
        let begin = self.begin.iter().zip(input.region).zip(&from);
        let mut begin: i64 =
            begin.map(|((begin, span), stride)| (begin - span.first as i64) * *stride as i64).sum();
        // Length, stride written and table of each dimension; one that is 1 long needs none.
        let mut rows: Vec<(usize, usize, Vec<u32>)> = Vec::new();
        for ((axis, span), to) in self.axes.iter().zip(out).zip(to) {
            let moved = |places: &Vec<i64>| -> i64 {
                let each = axis.along.iter().zip(places);
                each.map(|(along, by)| by * from[*along] as i64).sum()
            };
            match &axis.places[span.first..span.end] {
                [Some(places)] => begin += moved(places),
                all => {
                    let word = |places: &Option<Vec<i64>>| match places {
                        Some(places) => moved(places) as i32 as u32,
                        None => OUTSIDE,
                    };
                    rows.push((span.len(), *to, all.iter().map(word).collect()));
                }
            }
        }
        if rows.is_empty() {
            rows.push((1, 1, vec![0]));
        }
        let mut parameters = vec![elements(out) as u32, rows.len() as u32, self.outside];
        parameters.extend([begin as i32 as u32, base as u32]);
        let mut table = parameters.len() + rows.len() * 3;
        for (length, to, own) in &rows {
            parameters.extend([*length as u32, *to as u32, table as u32]);
            table += own.len();
        }
        let (reads, writes) = in_fours(&rows, begin, base);
        let per = in_a_row(rows.last().map_or(1, |row| row.0));
        let constants = vec![per, u32::from(reads), u32::from(writes)];
        parameters.extend(rows.into_iter().flat_map(|row| row.2));
        Dispatch { kernel: Kernel::View, constants, parameters, reads: vec![0] }
    }
}

/// Whether fours of places in a row are read from words that begin at a multiple of four, and
/// whether they are written to such.
fn in_fours(rows: &[(usize, usize, Vec<u32>)], begin: i64, base: usize) -> (bool, bool) {
    let Some(((_, step, table), outer)) = rows.split_last() else { return (false, false) };
    let fours = |word: &u32| *word == OUTSIDE || word.is_multiple_of(4);
    let first = begin as i32 as u32;
    let reads = table.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1))
        && table.first().is_some_and(|own| first.wrapping_add(*own).is_multiple_of(4))
        && !table.contains(&OUTSIDE)
        && outer.iter().all(|(_, _, own)| own.iter().all(fours));
    let writes =
        *step == 1 && base.is_multiple_of(4) && outer.iter().all(|(_, to, _)| to.is_multiple_of(4));
    (reads, writes)
}

/// Dimensions read and written that belong together in a change of shape: as many elements, and one
/// dimension on either side.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    read: std::ops::Range<usize>,
    written: std::ops::Range<usize>,
}

/// Longest dimension for which a change of shape is written down as a table.
const TABLE_MAX: usize = 1 << 16;

/// Whether a part of a change of shape needs only a part: else it is made as a whole.
pub fn divides(from: &[usize], to: &[usize]) -> bool {
    to.iter().all(|length| *length <= TABLE_MAX) && groups(from, to).is_some()
}

/// The same elements in the same order under another shape, as a move; `None` if none is made of
/// tables.
pub fn reshaped(from: &[usize], to: &[usize]) -> Option<View> {
    let groups = groups(from, to)?;
    let mut axes = Vec::with_capacity(to.len());
    for Group { read, written } in groups {
        let (inner, outer) = (strides(&from[read.clone()]), strides(&to[written.clone()]));
        let along: Vec<usize> = read.clone().collect();
        for (at, step) in written.clone().zip(outer) {
            let place = |n: usize| {
                let flat = n * step;
                let each = inner.iter().zip(&from[read.clone()]);
                Some(each.map(|(stride, length)| (flat / stride % length) as i64).collect())
            };
            axes.push(Axis { along: along.clone(), places: (0..to[at]).map(place).collect() });
        }
    }
    Some(View::new(from.len(), axes))
}

fn groups(from: &[usize], to: &[usize]) -> Option<Vec<Group>> {
    let (mut groups, mut read, mut written) = (Vec::new(), 0, 0);
    while read < from.len() || written < to.len() {
        let begin = (read, written);
        let (mut left, mut right) = (1, 1);
        loop {
            let exhausted = (read == from.len(), written == to.len());
            if left == right && (read, written) != begin {
                break;
            }
            if (left <= right && !exhausted.0) || exhausted.1 {
                left *= from.get(read)?;
                read += 1;
            } else {
                right *= to.get(written)?;
                written += 1;
            }
            if left == right && read > begin.0 && written > begin.1 {
                break;
            }
        }
        let long = |shape: &[usize]| shape.iter().filter(|length| **length > 1).count();
        let group = Group { read: begin.0..read, written: begin.1..written };
        if long(&from[group.read.clone()]) > 1 && long(&to[group.written.clone()]) > 1 {
            return None;
        }
        groups.push(group);
    }
    Some(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_changed_by_splitting_and_joining() {
        let view = reshaped(&[2, 12], &[2, 3, 4]).unwrap();
        let part = [Span::new(1, 2), Span::new(1, 3), Span::new(0, 4)];
        assert_eq!(view.needs(&[2, 12], &part), Some(vec![Span::new(1, 2), Span::new(4, 12)]));
        let view = reshaped(&[2, 3, 4], &[6, 4]).unwrap();
        let part = [Span::new(3, 5), Span::new(2, 3)];
        let needs = vec![Span::new(1, 2), Span::new(0, 2), Span::new(2, 3)];
        assert_eq!(view.needs(&[2, 3, 4], &part), Some(needs));
        assert!(reshaped(&[4, 6], &[3, 8]).is_none());
        assert!(reshaped(&[1, 5, 1], &[5]).is_some() && reshaped(&[], &[1, 1]).is_some());
        assert!(reshaped(&[5], &[1, 5, 1]).is_some());
    }
}
