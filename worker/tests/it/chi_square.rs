//! Chi-square tests, as standard deviations (Wilson and Hilferty 1931).

/// A sum of so many squares of standard normal numbers.
pub fn z_of_chi_square(chi_square: f64, freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    ((chi_square / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// Counts against probabilities. Bins that expect little are one; even if that expects next to
/// nothing, a draw that nothing allows is seen.
pub fn z_of_counts(counts: &[f64], shares: &[f64]) -> f64 {
    const LITTLE: f64 = 12.0;
    let total: f64 = counts.iter().sum();
    let (mut chi_square, mut bins, mut few) = (0.0, 0.0, (0.0, 0.0));
    for (seen, share) in counts.iter().zip(shares) {
        let expected = share * total;
        if expected < LITTLE {
            few = (few.0 + seen, few.1 + expected);
        } else {
            chi_square += (seen - expected).powi(2) / expected;
            bins += 1.0;
        }
    }
    chi_square += (few.0 - few.1).powi(2) / few.1.max(1.0);
    bins += f64::from(few.1 > LITTLE);
    z_of_chi_square(chi_square, bins - 1.0)
}
