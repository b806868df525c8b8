//! Forgers: a worker of some standing forges a share of the leaves of every tile from now on, some
//! of its auditors say what it says, and others recompute. And what it costs to watch the honest.

use super::arena::{FORGER, Founded, LEAVES};
use super::formula::{Case, wilson};
use farm::digest::Digest;
use farm::money::Amount;

/// Tiles after which a forger has got away with it.
const TILES_MAX: u32 = 2_000;

/// What became of the forgers of one line.
#[derive(Debug)]
pub struct Line {
    pub case: Case,
    /// Forgers, and those of them whose first forged tile was their last.
    pub forgers: u64,
    pub at_once: u64,
    /// Of those that went on until they were caught: the tiles each forged, ascending.
    pub tiles: Vec<u32>,
    /// And what one kept, the work it saved, and what its ring was paid for audits that nobody
    /// computed, less what honest work had brought: in pay for a tile, the mean.
    pub gain: f64,
    /// Honest workers that were found lying, at forged tiles.
    pub wronged: u64,
}

impl Line {
    /// Of first forged tiles, those that were caught: between these, by 99.9 %.
    pub fn interval(&self) -> (f64, f64) {
        wilson(self.at_once, self.forgers)
    }

    pub fn rate(&self) -> f64 {
        self.at_once as f64 / self.forgers as f64
    }

    /// Whether the formula lies in the interval.
    pub fn agrees(&self) -> bool {
        let (low, high) = self.interval();
        let due = self.case.caught();
        low - 1e-9 <= due && due <= high + 1e-9
    }

    pub fn mean(&self) -> f64 {
        self.tiles.iter().map(|tiles| f64::from(*tiles)).sum::<f64>() / self.tiles.len() as f64
    }

    /// The tiles that 99 of 100 forgers did not get beyond.
    pub fn p99(&self) -> u32 {
        self.tiles[(self.tiles.len() * 99).div_ceil(100) - 1]
    }
}

/// Of how many tiles a worker forges which one, and so many of its leaves; it is honest besides.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub forges: usize,
    pub forged: u32,
    pub tiles: u32,
    /// Tiles' pay that its owner stakes.
    pub staked: u64,
}

impl Founded {
    /// Sends so many forgers; the first `runs` of them go on until they are caught.
    pub fn measure(
        &self,
        forges: usize,
        colluders: u32,
        (forgers, runs): (u64, u64),
    ) -> anyhow::Result<Line> {
        let (standing, arbiters) = (self.standing, self.arbiters);
        let case = Case { forges, standing, colluders, arbiters };
        let (tiles, at_once, gain, wronged) = (Vec::new(), 0, 0.0, 0);
        let mut line = Line { case, forgers, at_once, tiles, gain, wronged };
        for forger in 0..forgers {
            let words =
                [forger, forges as u64, u64::from(colluders), u64::from(arbiters), standing];
            let seed = Digest::of(words.map(u64::to_le_bytes).as_flattened());
            let seed = seed.0.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            let mut arena = self.arena(seed, forges, colluders)?;
            let before = arena.forger_earnings() as f64;
            arena.order(1)?;
            // Where others lose their tiles it may have forged some of those too.
            line.at_once += u64::from(arena.is_refuted(FORGER) && arena.counts.forged == 1);
            if forger >= runs {
                line.wronged += arena.wronged();
                continue;
            }
            while arena.counts.forged < TILES_MAX && !arena.is_refuted(FORGER) {
                arena.order(1)?;
            }
            let tiles = arena.counts.forged;
            let kept = arena.forger_earnings() as f64 - before - arena.counts.audit_pay as f64;
            let ring = arena.counts.vouching_pay as f64;
            let saved = f64::from(tiles) * forges as f64 / LEAVES as f64;
            line.gain += ((kept + ring) / self.pay + saved - f64::from(tiles)) / runs as f64;
            line.wronged += arena.wronged();
            line.tiles.push(tiles);
        }
        line.tiles.sort_unstable();
        Ok(line)
    }

    /// What a worker gains by a plan, with so many conspirators: in what a tile brings its worker,
    /// the mean. It waits for its pay before it begins and after each tile, and leaves in the end.
    pub fn gain(&self, plan: Plan, colluders: u32, runs: u64) -> anyhow::Result<f64> {
        let tile = Amount(self.pay as u64).after_fee().0 as f64;
        let stake = (tile * plan.staked as f64) as u64;
        let mut gain = 0.0;
        for run in 0..runs {
            let mut arena = self.arena(run, 0, colluders)?;
            arena.rest()?;
            if stake > 0 {
                arena.stake(Amount(stake))?;
            }
            let before = arena.forger_earnings() as f64;
            let mut tiles = 0;
            while tiles < plan.tiles && !arena.is_refuted(FORGER) {
                tiles += 1;
                arena.forges = if tiles == plan.forged { plan.forges } else { 0 };
                arena.order(1)?;
                arena.rest()?;
            }
            arena.leave()?;
            let lost = if arena.is_refuted(FORGER) { stake } else { 0 };
            let ring = arena.counts.vouching_pay as f64;
            let kept = arena.forger_earnings() as f64 - before - arena.counts.audit_pay as f64;
            let saved = plan.forges as f64 / LEAVES as f64;
            gain += (kept + ring - lost as f64) / tile + saved - f64::from(tiles);
        }
        Ok(gain / runs as f64)
    }

    /// The share of audits in the work on the watched worker's next tiles of so many samples while
    /// it is honest.
    pub fn redundancy(&self, samples: u32, tiles: u32, times: u64) -> anyhow::Result<f64> {
        let (mut audits, mut work) = (0, 0);
        for time in 0..times {
            let mut arena = self.arena(time, 0, 0)?;
            arena.sample(samples);
            for _ in 0..tiles {
                arena.order(1)?;
            }
            audits += arena.counts.audit_units;
            work += arena.counts.tile_units;
        }
        Ok(audits as f64 / work as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgers_are_caught_as_often_as_the_formula_says_and_lose() {
        for (colluders, arbiters, forges) in [(0, 0, 13), (8, 0, 64), (12, 1, 64)] {
            let founded = Founded::new(300, arbiters).unwrap();
            let line = founded.measure(forges, colluders, (400, 60)).unwrap();
            assert!(line.agrees(), "{:?} for {}", line.interval(), line.case.caught());
            assert!(line.tiles[59] < TILES_MAX && line.gain < -30.0, "{line:?}");
            let safe = colluders == 0 || arbiters > 0;
            assert!(!safe || line.wronged == 0, "honest auditors were accused");
        }
    }

    #[test]
    fn a_newcomer_gains_by_no_forged_tile_wherever_it_stands_among_its_first() {
        for arbiters in [0, 1] {
            let founded = Founded::new(0, arbiters).unwrap();
            let line = founded.measure(LEAVES, 12, (200, 200)).unwrap();
            assert!(line.gain <= 0.0, "until it is found out: {}", line.gain);
            let gain = |forged, tiles, staked| {
                let plan = Plan { forges: LEAVES, forged, tiles, staked };
                founded.gain(plan, 12, 200).unwrap()
            };
            assert_eq!(gain(1, 1, 0), 0.0, "who leaves has neither worked nor is paid");
            for forged in [1, 2, 4, 5, 10] {
                let gain = gain(forged, 13, 0);
                println!("{arbiters} arbiters, {forged} forged: {gain}");
                assert!(gain < -0.3, "tile {forged}: {gain}");
            }
            assert!(gain(1, 1, 3) < -0.3, "a stake is lost");
        }
    }

    #[test]
    fn a_trusted_worker_that_has_its_pay_has_still_enough_to_lose() {
        for (arbiters, forges) in [(0, LEAVES), (1, LEAVES), (0, 4)] {
            let founded = Founded::new(300, arbiters).unwrap();
            let gain = founded.gain(Plan { forges, forged: 1, tiles: 1, staked: 0 }, 12, 300);
            println!("{arbiters} arbiters, {forges}: {gain:?}");
            assert!(gain.unwrap() < 0.0);
        }
    }

    #[test]
    fn a_newcomers_first_tiles_cost_little_to_watch_and_a_trusted_ones_less() {
        let newcomer = Founded::new(0, 1).unwrap().redundancy(16, 100, 3).unwrap();
        let trusted = Founded::new(2_000, 1).unwrap().redundancy(16, 1_000, 2).unwrap();
        assert!((0.1..0.25).contains(&newcomer), "{newcomer}");
        assert!((0.01..0.03).contains(&trusted), "{trusted}");
    }
}
