//! Shell 3: the real farm and real agents in a world of lost messages, torn disks, crashes and
//! liars, all of it from one seed. Knows no sockets and no pixels: what a tile is, is a hash of its
//! place.
#![forbid(unsafe_code)]

mod actor;
pub mod bench;
mod cut;
mod disk;
mod model;
mod network;
mod rounds;
mod shell;
mod swarm;
pub mod trust;
mod validators;
mod world;

pub use actor::Conduct;
pub use world::{Seen, Summary, census, run};

use anyhow::Context;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Runs the worlds of these seeds on all processors and sums up what they came to. The error is
/// that of the lowest seed that failed, and says how to see it again.
pub fn run_all(seeds: Range<u64>, agents: Option<u32>) -> anyhow::Result<Summary> {
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new((Summary::default(), None::<(u64, anyhow::Error)>));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let result = run(seed, agents);
            let mut total = total.lock().expect("no thread panics while it holds this");
            match result {
                Ok(summary) => total.0 += summary,
                Err(error) => {
                    next.store(seeds.end, Ordering::Relaxed);
                    if total.1.as_ref().is_none_or(|(other, _)| seed < *other) {
                        total.1 = Some((seed, error));
                    }
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (summary, failed) = total.into_inner().expect("no thread panicked");
    let Some((seed, error)) = failed else { return Ok(summary) };
    let crowd = agents.map_or(String::new(), |agents| format!(" --agents {agents}"));
    Err(error).with_context(|| {
        format!("seed {seed}; see it again: cargo xtask sim --seeds 1 --from {seed}{crowd}")
    })
}

impl std::ops::AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.entries += other.entries;
        self.tiles += other.tiles;
        self.refuted += other.refuted;
        self.appeals += other.appeals;
        self.reinstated += other.reinstated;
        self.unstaked += other.unstaked;
        self.stakes_lost += other.stakes_lost;
        self.looked += other.looked;
        self.released += other.released;
        self.lapsed += other.lapsed;
        self.royalties += other.royalties;
        self.royalties_returned += other.royalties_returned;
        self.outdated += other.outdated;
        self.scored += other.scored;
        self.deaths += other.deaths;
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): all chance in the world.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// True in so many cases of a hundred.
    pub fn percent(&mut self, of_hundred: u64) -> bool {
        self.below(100) < of_hundred
    }
}
