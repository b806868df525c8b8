//! Swarm testing (Groce and others 2012): each seed turns whole kinds of faults and attackers on or
//! off and draws their rates, so that worlds differ in kind and not only in luck.

use crate::Chance;
use crate::actor::Conduct;

/// What goes wrong in one world, and who is in it.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// Of 10,000 messages, so many are lost, and so many come twice.
    pub lost: u64,
    pub doubled: u64,
    /// The longest way of a message, in microseconds; without order one may overtake another.
    pub delay: u64,
    pub ordered: bool,
    /// Streams cut and processes killed, for each worker at most.
    pub cuts: u64,
    pub crashes: u64,
    /// Times that part of the workers cannot reach the farm.
    pub partitions: u64,
    /// Times that the scheduler's process dies with what it had not synced.
    pub deaths: u64,
    /// Jumps of the scheduler's clock, and how far a worker's own may run wrong, per mille.
    pub jumps: u64,
    pub drift: u64,
    /// Of 100 tiles, so many take far too long.
    pub slow: u64,
    pub jobs: u64,
    /// Owner and conduct of every worker. Owner 0 operates the farm, 0 and 1 order.
    pub workers: Vec<(u32, Conduct)>,
}

/// Owners of honest workers only.
const HONEST: [u32; 5] = [0, 2, 3, 4, 5];
/// Accounts of the world: those of the honest, and the others.
pub const ACCOUNTS: u32 = 10;

impl Swarm {
    /// Draws a world; with `agents`, one of so many workers.
    pub fn draw(chance: &mut Chance, agents: Option<u32>) -> Self {
        let mut rate = |most: u64| match chance.percent(50) {
            true => 1 + chance.below(most),
            false => 0,
        };
        let (lost, doubled, delay) = (rate(100), rate(500), 50_000 + rate(500_000));
        let (cuts, crashes, partitions, deaths) = (rate(4), rate(3), rate(3), rate(3));
        let (jumps, drift, slow, jobs) = (rate(4), rate(200), rate(3), 1 + rate(4));
        let mut swarm = Self {
            lost,
            doubled,
            delay,
            ordered: chance.percent(50),
            cuts,
            crashes,
            partitions,
            deaths,
            jumps,
            drift,
            slow,
            jobs,
            workers: Vec::new(),
        };
        match agents {
            None => swarm.populate(chance),
            Some(agents) => swarm.crowd(chance, agents),
        }
        swarm
    }

    /// Whether several owners agree on false opinions, so that the honest may be outvoted.
    pub fn conspires(&self) -> bool {
        let ring = |how: &Conduct| matches!(how, Conduct::Accomplice | Conduct::Clan);
        let mut owners = self.workers.iter().filter(|(_, how)| ring(how));
        let first = owners.next().map(|(owner, _)| *owner);
        owners.any(|(owner, _)| first != Some(*owner))
    }

    /// Whether tiles may be lost so often that their job gives up.
    pub fn is_hard(&self) -> bool {
        self.lost + self.cuts + self.crashes + self.partitions + self.slow + self.deaths > 0
    }

    fn populate(&mut self, chance: &mut Chance) {
        for owner in HONEST {
            for _ in 0..1 + chance.below(3) {
                self.workers.push((owner, Conduct::Honest));
            }
        }
        let mut others = HONEST.len() as u32 + 1..ACCOUNTS;
        if chance.percent(20) {
            let ring = if chance.percent(50) { Conduct::Accomplice } else { Conduct::Clan };
            for owner in others.by_ref().take(3) {
                self.workers.extend([(owner, ring); 3]);
            }
        }
        for owner in others {
            if chance.percent(60) {
                self.attack(chance, owner);
            }
        }
    }

    /// An owner who is not honest, or only clumsy.
    fn attack(&mut self, chance: &mut Chance, owner: u32) {
        let conduct = Conduct::draw(chance);
        let identities = if conduct == Conduct::Colluder { 2 + chance.below(3) } else { 1 };
        for _ in 0..identities {
            self.workers.push((owner, conduct));
        }
    }

    /// Nine tenths are honest.
    fn crowd(&mut self, chance: &mut Chance, agents: u32) {
        for _ in 0..agents {
            let owner = HONEST[chance.below(5) as usize];
            if chance.percent(90) {
                self.workers.push((owner, Conduct::Honest));
            } else {
                let owner = 6 + chance.below(u64::from(ACCOUNTS) - 6) as u32;
                self.workers.push((owner, Conduct::draw(chance)));
            }
        }
    }
}
