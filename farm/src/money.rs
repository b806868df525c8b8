//! Money: whole micro-credits, 1 credit = 1,000,000 of them.

use crate::limit;
use std::fmt;

/// An amount in micro-credits; never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Amount(pub u64);

/// Micro-credits in a credit.
pub const CREDIT: u64 = 1_000_000;
/// No amount, sum or cap is larger: it keeps every balance far inside an i64.
pub const AMOUNT_MAX: u64 = 1 << 60;

impl Amount {
    /// The farm's share of what a tile earns.
    pub fn fee(self) -> Self {
        let (thousands, rest) = (self.0 / 1000, self.0 % 1000);
        Self(thousands * limit::FEE_PERMILLE + rest * limit::FEE_PERMILLE / 1000)
    }

    /// What its worker gets of it.
    pub fn after_fee(self) -> Self {
        Self(self.0 - self.fee().0)
    }
}

/// Price in micro-credits for a million work units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Price(pub u64);

impl Price {
    /// What so many work units cost, rounded up, so that no work is free; at most [`AMOUNT_MAX`].
    pub fn of(self, units: u64) -> Amount {
        // Division of 128 bits is slow, and hardly any cost needs it.
        let cost = match self.0.checked_mul(units) {
            Some(cost) => Some(cost.div_ceil(CREDIT)),
            None => {
                let cost = u128::from(self.0) * u128::from(units);
                u64::try_from(cost.div_ceil(u128::from(CREDIT))).ok()
            }
        };
        Amount(cost.unwrap_or(AMOUNT_MAX).min(AMOUNT_MAX))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{:06}", self.0 / CREDIT, self.0 % CREDIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farms_share_never_wraps() {
        let share = |amount: u64| (u128::from(amount) * 50 / 1000) as u64;
        for amount in [0, 1, 19, 20, 640, 999, 1_001, AMOUNT_MAX] {
            assert_eq!(Amount(amount).fee(), Amount(share(amount)));
            assert_eq!(Amount(amount).after_fee(), Amount(amount - share(amount)));
        }
    }

    #[test]
    fn costs_are_rounded_up_and_never_wrap() {
        assert_eq!(Price(1).of(0), Amount(0));
        assert_eq!(Price(1).of(1), Amount(1));
        assert_eq!(Price(3).of(1_000_000), Amount(3));
        assert_eq!(Price(3).of(1_000_001), Amount(4));
        // The product is 2^68 or more; the cost is small, then as much as there can be.
        assert_eq!(Price(1 << 34).of(1 << 34), Amount((1_u128 << 68).div_ceil(1_000_000) as u64));
        assert_eq!(Price(u64::MAX).of(u64::MAX), Amount(AMOUNT_MAX));
    }
}
