//! Alias tables: drawing one of many by weight with one integer draw (M. D. Vose, "A linear
//! algorithm for generating random numbers with a given distribution", 1991). In f64 and in one
//! fixed order, so every machine builds the same table.

/// A row: keep this one if a 32-bit draw is below `threshold`, else take `alias`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub threshold: u32,
    pub alias: u32,
}

/// The table over weights that are finite and not negative; `None` if their sum is zero.
pub fn table(weights: &[f64]) -> Option<Vec<Row>> {
    let total: f64 = weights.iter().sum();
    if !(total > 0.0 && total.is_finite()) {
        return None;
    }
    let scale = weights.len() as f64 / total;
    let mut share: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
    let mut rows: Vec<Row> =
        (0..weights.len() as u32).map(|own| Row { threshold: u32::MAX, alias: own }).collect();
    let all = 0..weights.len() as u32;
    let (mut small, mut large): (Vec<u32>, Vec<u32>) =
        all.partition(|&at| share[at as usize] < 1.0);
    while let (Some(&low), Some(&high)) = (small.last(), large.last()) {
        small.pop();
        let (low, high) = (low as usize, high as usize);
        rows[low] = Row { threshold: (share[low] * 4_294_967_296.0) as u32, alias: high as u32 };
        share[high] = (share[high] + share[low]) - 1.0;
        if share[high] < 1.0 {
            large.pop();
            small.push(high as u32);
        }
    }
    // Rounding may strand a row of no weight: it must never be drawn.
    let heaviest = (0..weights.len()).max_by(|&a, &b| weights[a].total_cmp(&weights[b]))?;
    for at in small {
        if weights[at as usize] == 0.0 {
            rows[at as usize] = Row { threshold: 0, alias: heaviest as u32 };
        }
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frequencies(rows: &[Row]) -> Vec<f64> {
        let mut found = vec![0.0; rows.len()];
        for (own, row) in rows.iter().enumerate() {
            let keep = f64::from(row.threshold) / 4_294_967_296.0;
            found[own] += keep / rows.len() as f64;
            found[row.alias as usize] += (1.0 - keep) / rows.len() as f64;
        }
        found
    }

    proptest! {
        #[test]
        fn frequencies_are_the_weights(weights in proptest::collection::vec(0.0..1e6f64, 1..200)) {
            let total: f64 = weights.iter().sum();
            prop_assume!(total > 0.0);
            let rows = table(&weights).unwrap();
            for (found, weight) in frequencies(&rows).iter().zip(&weights) {
                prop_assert!((found - weight / total).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn weightless_rows_are_never_drawn() {
        let rows = table(&[0.0, 3.0, 0.0, 0.1, 0.0, 0.7]).unwrap();
        let found = frequencies(&rows);
        assert_eq!([found[0], found[2], found[4]], [0.0; 3]);
        assert_eq!(table(&[0.0, 0.0]), None);
    }
}
