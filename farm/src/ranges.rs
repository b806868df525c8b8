//! A set of numbers that mostly follow one another, kept as ranges: what lies between costs
//! nothing.

use crate::layout_struct;
use std::collections::BTreeMap;

/// First number of each range, and the number after its last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    ends: BTreeMap<u64, u64>,
}

layout_struct!(Ranges { ends });

impl Ranges {
    /// The least number.
    pub fn first(&self) -> Option<u64> {
        self.ends.keys().next().copied()
    }

    pub fn contains(&self, number: u64) -> bool {
        self.around(number).is_some()
    }

    fn around(&self, number: u64) -> Option<(u64, u64)> {
        let (first, end) = self.ends.range(..=number).next_back()?;
        (number < *end).then_some((*first, *end))
    }

    /// Adds a number.
    pub fn insert(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        let end = self.ends.remove(&(number + 1)).unwrap_or(number + 1);
        let before = self.ends.range_mut(..number).next_back();
        match before.filter(|(_, before)| **before == number) {
            Some((_, before)) => *before = end,
            None => drop(self.ends.insert(number, end)),
        }
    }

    /// Takes a number out; says whether it was there.
    pub fn remove(&mut self, number: u64) -> bool {
        let Some((first, end)) = self.around(number) else { return false };
        self.ends.remove(&first);
        if first < number {
            self.ends.insert(first, number);
        }
        if number + 1 < end {
            self.ends.insert(number + 1, end);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_hold_what_a_set_holds(
            steps in prop::collection::vec((any::<bool>(), 0_u64..24), 0..200),
        ) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (adds, number) in steps {
                if adds {
                    ranges.insert(number);
                    set.insert(number);
                } else {
                    prop_assert_eq!(ranges.remove(number), set.remove(&number));
                }
                prop_assert_eq!(ranges.first(), set.first().copied());
                let gaps = (0..24).filter(|n| set.contains(n) && !set.contains(&(n + 1)));
                prop_assert_eq!(ranges.ends.len(), gaps.count());
                prop_assert!((0..24).all(|n| ranges.contains(n) == set.contains(&n)));
            }
        }
    }
}
