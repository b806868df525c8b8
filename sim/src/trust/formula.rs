//! What detection should be: the formula for a forged tile, and the interval in which a share that
//! was measured lies.

use super::arena::{AUDITORS, LEAVES};
use farm::limit;
use std::cmp::Ordering;

/// One forger's position.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Leaves of a tile that are false, of [`LEAVES`].
    pub forges: usize,
    /// Its clean tiles so far.
    pub standing: u64,
    /// Auditors that conspire with it, of [`AUDITORS`], and arbiters, who never do.
    pub colluders: u32,
    pub arbiters: u32,
}

impl Case {
    /// Of its tiles, how many are computed in full again.
    pub fn replicas(&self) -> f64 {
        let least = limit::REPLICA_PARTS_MIN as f64 / 1e6;
        (limit::REPLICAS_FIRST as f64 / self.standing as f64).powi(2).clamp(least, 1.0)
    }

    /// Of the others, how many leaves are drawn.
    pub fn leaves(&self) -> u64 {
        let drawn = limit::LEAVES_DRAWN_MAX * 64 / (64 + self.standing);
        drawn.clamp(limit::LEAVES_DRAWN_MIN, limit::LEAVES_DRAWN_MAX)
    }

    /// How likely the question touches what is forged: the whole is asked for, or a forged leaf is
    /// among those drawn.
    fn touched(&self) -> f64 {
        // Leaves are drawn without putting back.
        let missed = (0..self.leaves() as usize).map(|at| {
            let honest = (LEAVES - self.forges).saturating_sub(at);
            honest as f64 / (LEAVES - at) as f64
        });
        1.0 - (1.0 - self.replicas()) * missed.product::<f64>()
    }

    /// How likely one forged tile makes an end of its forger: it is touched, an honest auditor is
    /// asked at first or as the second where two are, and where no arbiter decides the honest are
    /// not outvoted.
    pub fn caught(&self) -> f64 {
        // An arbiter holds no scene, so it is drawn only where opinions differ.
        let (bad, all) = (f64::from(self.colluders), f64::from(AUDITORS));
        let (first, both) = (bad / all, bad * (bad - 1.0) / (all * (all - 1.0)));
        let twice = f64::from(limit::TWICE_PARTS) / 1e6;
        // Who has nothing to lose is looked at again later instead.
        let parts = if self.standing == 0 { 0 } else { limit::RINGER_PARTS };
        let ringer = f64::from(parts) / 1e6;
        if self.arbiters > 0 {
            let (once, two) = (1.0 - first, 1.0 - both);
            return self.touched() * (once + (twice + ringer) * (two - once));
        }
        let honest = all - bad;
        let once = (1.0 - first) * outvotes(2, (1, 1), (bad, honest - 1.0));
        // Where two are asked at once an accomplice and the claim are two against one.
        let two = honest * (honest - 1.0) / (all * (all - 1.0));
        self.touched() * ((1.0 - twice) * once + twice * two)
    }
}

/// How likely the truth gets a majority in the end: `lies` and `truths` are the votes so far, `bad`
/// and `honest` those who were not asked yet; of them `asked` are next.
fn outvotes(asked: u32, (lies, truths): (u32, u32), (bad, honest): (f64, f64)) -> f64 {
    if asked > 0 {
        let lie = || outvotes(asked - 1, (lies + 1, truths), (bad - 1.0, honest));
        let truth = || outvotes(asked - 1, (lies, truths + 1), (bad, honest - 1.0));
        let lie = if bad > 0.0 { bad * lie() } else { 0.0 };
        return (lie + honest * truth()) / (bad + honest);
    }
    let heard = (lies + truths - 1) as usize;
    match lies.cmp(&truths) {
        Ordering::Less => 1.0,
        Ordering::Greater => 0.0,
        Ordering::Equal if heard + limit::ESCALATION > limit::OPINIONS_MAX => 0.0,
        Ordering::Equal => outvotes(limit::ESCALATION as u32, (lies, truths), (bad, honest)),
    }
}

/// The interval of Wilson (1927) for a share of which `hits` of `count` were seen, corrected for
/// continuity: 99.9 % of them hold what is true.
pub fn wilson(hits: u64, count: u64) -> (f64, f64) {
    let n = count as f64;
    let low = end(hits as f64 - 0.5, n, -1.0);
    let high = end(hits as f64 + 0.5, n, 1.0);
    (if hits == 0 { 0.0 } else { low }, if hits == count { 1.0 } else { high })
}

/// One end of the interval.
fn end(hits: f64, n: f64, side: f64) -> f64 {
    const Z: f64 = 3.290_526_731;
    let p = (hits / n).clamp(0.0, 1.0);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    (p + Z * Z / (2.0 * n) + side * half) / (1.0 + Z * Z / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_at_its_ends() {
        let case = Case { forges: LEAVES, standing: 2_000, colluders: 0, arbiters: 1 };
        assert_eq!((case.leaves(), case.replicas()), (4, 0.005));
        assert!((case.caught() - 1.0).abs() < 1e-9);
        let fifth = Case { colluders: 8, ..case };
        assert!((0.804..0.806).contains(&fifth.caught()), "{}", fifth.caught());
        let outvoted = Case { arbiters: 0, ..fifth };
        assert!((0.72..0.75).contains(&outvoted.caught()), "{}", outvoted.caught());
        let newcomer = Case { standing: 0, forges: 1, ..case };
        assert!((newcomer.caught() - 1.0).abs() < 1e-9);
        let least = Case { forges: 1, ..case };
        assert!((least.caught() - (0.005 + 0.995 * 4.0 / 256.0)).abs() < 1e-9);
    }

    #[test]
    fn an_interval_holds_the_share_and_never_leaves_one() {
        assert_eq!((wilson(0, 100).0, wilson(100, 100).1), (0.0, 1.0));
        // One of 4,000 missed is no wonder where a tenth of one is due.
        assert!(wilson(3_999, 4_000).1 > 1.0 - 0.1 / 4_000.0);
        assert!(wilson(0, 4_000).1 < 0.003 && wilson(4_000, 4_000).0 > 0.997);
        let (low, high) = wilson(500, 1_000);
        assert!(low < 0.46 && high > 0.54 && (low + high - 1.0).abs() < 1e-9);
    }
}
