//! Money: whole micro-credits, 1 credit = 1,000,000 of them.

use std::fmt;

/// An amount in micro-credits; never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Amount(pub u64);

/// Micro-credits in a credit.
pub const CREDIT: u64 = 1_000_000;
/// No amount, sum or cap is larger: it keeps every balance far inside an i64.
pub const AMOUNT_MAX: u64 = 1 << 60;

/// Price in micro-credits for a million work units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Price(pub u64);

impl Price {
    /// What so many work units cost, rounded up, so that no work is free; at most [`AMOUNT_MAX`].
    pub fn of(self, units: u64) -> Amount {
        let cost = u128::from(self.0) * u128::from(units);
        let cost = cost.div_ceil(1_000_000);
        Amount(u64::try_from(cost).unwrap_or(AMOUNT_MAX).min(AMOUNT_MAX))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{:06}", self.0 / CREDIT, self.0 % CREDIT)
    }
}
