//! The network between workers and farm: messages are late, lost, doubled, overtake one another,
//! and while a worker is cut off none arrives. Knows no contents.

use crate::Chance;
use crate::swarm::Swarm;

/// Shortest way of a message, in microseconds.
const WAY_MIN: u64 = 500;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Up,
    Down,
}

/// When the last message of each worker and way arrives.
#[derive(Debug, Default)]
pub struct Network {
    last: Vec<[u64; 2]>,
}

impl Network {
    /// When copies of a message sent now arrive; none if it is lost.
    pub fn send(
        &mut self,
        chance: &mut Chance,
        swarm: &Swarm,
        trouble: bool,
        now: u64,
        (worker, way): (usize, Way),
    ) -> Vec<u64> {
        let mut copies = 1;
        if trouble && chance.below(10_000) < swarm.lost {
            copies = 0;
        } else if trouble && chance.below(10_000) < swarm.doubled {
            copies = 2;
        }
        if self.last.len() <= worker {
            self.last.resize(worker + 1, [0; 2]);
        }
        let last = &mut self.last[worker][usize::from(way == Way::Down)];
        let mut arrivals = Vec::with_capacity(copies);
        for _ in 0..copies {
            let mut at = now + WAY_MIN + chance.below(swarm.delay);
            if swarm.ordered {
                at = at.max(*last + 1);
            }
            *last = at.max(*last);
            arrivals.push(at);
        }
        arrivals
    }
}
