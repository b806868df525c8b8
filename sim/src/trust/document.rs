//! The document: `docs/attacks.md` as `cargo xtask bench trust` prints it. Every figure in it was
//! measured a moment before.

use super::accuser::Accusations;
use super::arena::{AUDITORS, Founded, LEAVES};
use super::census::{self, Fate};
use super::forger::{Line, Plan};
use super::scorer::{self, Manner};
use crate::Conduct;
use std::fmt::Write;

/// Forgers of each line, and those of them that go on until they are caught; and of the lines that
/// a bar stands close to.
const FORGERS: (u64, u64) = (4_000, 1_000);
const MANY_FORGERS: (u64, u64) = (20_000, 1_000);
/// Clean tiles of a newcomer that throws its identity away, of one of whom not every tile is
/// computed in full again, and of a trusted worker.
const STANDINGS: [u64; 3] = [0, 11, 2_000];
/// Auditors that conspire: none, a fifth, three tenths.
const COLLUDERS: [u32; 3] = [0, 8, 12];
const AUDITS: u64 = 1_000_000;
const WORLDS: u64 = 2_000;
/// Tiles' pay that a newcomer's owner stakes.
const STAKED: u64 = 3;
/// Workers that follow one plan each; and how long a newcomer works on until all that it may get
/// is its own.
const PLANNERS: u64 = 1_000;
const TILES_TO_PAY: u32 = 13;
/// Its first tiles, each of which is computed twice.
const FIRST: u32 = 10;

const BENCH: &str = "`cargo xtask bench trust`";
const CHEATS: &str = "`cargo test -p cli --test it every_cheat_is_found_out`";
const NETWORKS: &str =
    "`cargo test -p cli --test it a_network_runs_as_a_job_and_cheats_are_found_out`";

/// Attacks on tiles: what they are, leaves of 256 that they make false, and where a real worker
/// does it to real pixels.
const FORGERIES: [(&str, usize, &str); 14] = [
    ("one leaf altered: one block in one group of samples", 1, BENCH),
    ("one block altered", 4, CHEATS),
    ("every tenth block interpolated", 26, BENCH),
    ("every fourth block interpolated", 64, BENCH),
    ("every other block skipped and interpolated", 128, CHEATS),
    ("copied samples: half of them, counted twice", 128, CHEATS),
    ("fewer samples: an eighth, scaled up", 224, BENCH),
    ("low resolution upscaled", 256, CHEATS),
    ("fewer samples, then denoised", 256, CHEATS),
    ("the previous frame", 256, CHEATS),
    ("another tile's bytes", 256, CHEATS),
    ("wrong seed", 256, CHEATS),
    ("random bytes", 256, CHEATS),
    ("model swapped, quantised or pruned", 256, NETWORKS),
];

/// Attacks on the protocol, by the simulator's actors.
const ACTORS: [(&str, Conduct); 16] = [
    ("honest, for comparison", Conduct::Honest),
    ("withholding after the commitment", Conduct::Withholder),
    ("late report after the lease moved", Conduct::Late),
    ("the same report twice", Conduct::Repeater),
    ("replayed signed message", Conduct::Replayer),
    ("reports leases of others as its own", Conduct::Thief),
    ("copying another worker's report", Conduct::Copier),
    ("more work claimed than done", Conduct::Inflator),
    ("lazy auditor", Conduct::LazyAuditor),
    ("false accuser", Conduct::FalseAccuser),
    ("false accusers of several owners, in a ring", Conduct::Accomplice),
    ("answers no audit", Conduct::Mute),
    ("colluding owner with several identities", Conduct::Colluder),
    ("a clan of several owners that forge alike", Conduct::Clan),
    ("turns bad after earning trust", Conduct::TurnsBad(0)),
    ("overstates its benchmark and slots", Conduct::Overstater),
];

/// Validators that do not say what they see.
const SCORERS: [(&str, Manner); 5] = [
    ("everybody is perfect", Manner::Lazy),
    ("what came out last", Manner::Copier),
    ("whatever chance gives", Manner::Random),
    ("its own are perfect, all others worth nothing", Manner::Booster),
    ("the same, once it is heard", Manner::Sleeper),
];
/// Hundredths of all bonds that are theirs.
const BONDS: [u64; 3] = [10, 30, 49];

/// One line a manner.
fn scorers() -> String {
    let mut text = String::new();
    for (name, manner) in SCORERS {
        let all = BONDS.map(|percent| scorer::measure(manner, percent));
        let heard = all.map(|of| format!("{:.0}", 100.0 * of.heard)).join(" / ");
        let pay = all.map(|of| format!("{:.0}", 100.0 * of.pay)).join(" / ");
        let moved = all.map(|of| format!("{:.1}", of.moved)).join(" / ");
        let _ = writeln!(text, "| {name} | {heard} % | {pay} % | {moved} | {BENCH} |");
    }
    text
}

/// All that was measured.
struct Figures {
    /// With an arbiter online, then without.
    lines: Vec<Line>,
    accusations: [Accusations; 2],
    fates: Vec<Fate>,
    /// Audits' share in the work on a trusted worker's tiles of 256 samples, and on the first
    /// hundred of a newcomer.
    trusted: f64,
    newcomer: f64,
    plans: Plans,
}

/// What workers gain that forge one tile and wait for its pay, three tenths of the auditors on
/// their side: the most, with an arbiter online or without.
struct Plans {
    /// By a newcomer's first tile, if it leaves then: without a stake and with one.
    leaves: f64,
    staked: f64,
    /// By any of its first, if it works on until it is paid, and which that is.
    works_on: f64,
    forged: u32,
    /// By a trusted worker that waits until it is paid before it forges one, and the leaves of it.
    patient: f64,
    forges: usize,
}

impl Plans {
    fn measure() -> anyhow::Result<Self> {
        let least = f64::MIN;
        let mut most = Self {
            leaves: least,
            staked: least,
            works_on: least,
            forged: 0,
            patient: least,
            forges: 0,
        };
        for arbiters in [1, 0] {
            let newcomer = Founded::new(0, arbiters)?;
            let gain = |forged, tiles, staked| {
                let plan = Plan { forges: LEAVES, forged, tiles, staked };
                newcomer.gain(plan, COLLUDERS[2], PLANNERS)
            };
            most.leaves = most.leaves.max(gain(1, 1, 0)?);
            most.staked = most.staked.max(gain(1, 1, STAKED)?);
            for forged in 1..=FIRST {
                let gain = gain(forged, TILES_TO_PAY, 0)?;
                if gain > most.works_on {
                    (most.works_on, most.forged) = (gain, forged);
                }
            }
            let trusted = Founded::new(STANDINGS[2], arbiters)?;
            for forges in shares() {
                let plan = Plan { forges, forged: 1, tiles: 1, staked: 0 };
                let gain = trusted.gain(plan, COLLUDERS[2], PLANNERS)?;
                if gain > most.patient {
                    (most.patient, most.forges) = (gain, forges);
                }
            }
        }
        Ok(most)
    }
}

/// Measures everything and prints the document.
pub fn print() -> anyhow::Result<()> {
    let figures = Figures::measure()?;
    print!("{}", figures.document());
    Ok(())
}

/// The shares that are forged, each once.
fn shares() -> Vec<usize> {
    let mut shares: Vec<usize> = FORGERIES.iter().map(|(_, forges, _)| *forges).collect();
    shares.dedup();
    shares
}

/// The lines of one standing, with so many arbiters.
fn lines_of(standing: u64, arbiters: u32) -> anyhow::Result<Vec<Line>> {
    let founded = Founded::new(standing, arbiters)?;
    let shares = if standing == 0 { vec![LEAVES] } else { shares() };
    let mut lines = Vec::new();
    for forges in shares {
        for colluders in COLLUDERS {
            let close = arbiters > 0 && standing > 1_000 && forges >= LEAVES / 4;
            let forgers = if close { MANY_FORGERS } else { FORGERS };
            lines.push(founded.measure(forges, colluders, forgers)?);
        }
    }
    Ok(lines)
}

impl Figures {
    fn measure() -> anyhow::Result<Self> {
        std::thread::scope(|scope| {
            let plans = scope.spawn(Plans::measure);
            let others = scope.spawn(|| {
                let accusations = [1, 0].map(|arbiters| {
                    Founded::new(2_000, arbiters)?.accusations(AUDITS, COLLUDERS[1])
                });
                let [with, without] = accusations;
                let newcomer = Founded::new(0, 1)?.redundancy(256, 100, 20)?;
                let trusted = Founded::new(2_000, 1)?.redundancy(256, 2_000, 4)?;
                let fates = census::count(0..WORLDS, &ACTORS.map(|(_, conduct)| conduct))?;
                anyhow::Ok(([with?, without?], newcomer, trusted, fates))
            });
            let mut lines = Vec::new();
            for arbiters in [1, 0] {
                for standing in STANDINGS {
                    lines.extend(lines_of(standing, arbiters)?);
                }
            }
            let panicked = |_| anyhow::anyhow!("a measurement panicked");
            let (others, plans) = (others.join(), plans.join());
            let (accusations, newcomer, trusted, fates) = others.map_err(panicked)??;
            let plans = plans.map_err(panicked)??;
            Ok(Self { lines, accusations, fates, trusted, newcomer, plans })
        })
    }

    fn find(&self, forges: usize, colluders: u32, standing: u64, arbiters: u32) -> &Line {
        let same = |line: &&Line| {
            let case = line.case;
            (case.forges, case.colluders) == (forges, colluders)
                && (case.standing, case.arbiters) == (standing, arbiters)
        };
        self.lines.iter().find(same).expect("every line was measured")
    }

    /// The template, filled in.
    fn document(&self) -> String {
        let [with, without] = self.accusations;
        let filled = [
            ("{forgeries}", self.forgeries()),
            ("{actors}", self.actors()),
            ("{scorers}", scorers()),
            ("{honest_moved}", format!("{:.1}", scorer::measure(Manner::Honest, BONDS[1]).moved)),
            ("{bars}", self.bars()),
            ("{found_out}", with.found_out.to_string()),
            ("{audits}", without.audits.to_string()),
            ("{wronged}", without.wronged.to_string()),
            ("{lines}", self.every_line()),
            ("{worst}", self.plans.forged.to_string()),
            ("{share}", format!("{:.1}", self.plans.forges as f64 / 2.56)),
        ];
        let fill = |text: String, (mark, with): (&str, String)| text.replace(mark, with.trim_end());
        filled.into_iter().fold(include_str!("attacks.md").to_string(), fill)
    }

    /// One line an attack: a trusted worker turns bad, an arbiter is online.
    fn forgeries(&self) -> String {
        let mut text = String::new();
        for (name, forges, command) in FORGERIES {
            let lines = COLLUDERS.map(|bad| self.find(forges, bad, STANDINGS[2], 1));
            let caught = lines.map(|line| format!("{:.2}", 100.0 * line.rate())).join(" / ");
            let due = lines.map(|line| format!("{:.2}", 100.0 * line.case.caught())).join(" / ");
            let tiles = lines.map(|line| format!("{:.1}, {}", line.mean(), line.p99()));
            let gain = lines.map(|line| format!("{:.1}", line.gain)).join(" / ");
            let wronged: u64 = lines.iter().map(|line| line.wronged).sum();
            let (share, tiles) = (forges as f64 / 2.56, tiles.join(" / "));
            let _ = writeln!(
                text,
                "| {name} | {share:.1} % | {caught} % | {due} % | {tiles} | {gain} | {wronged} | \
                 {command} |"
            );
        }
        text
    }

    /// One line an actor of the simulator.
    fn actors(&self) -> String {
        let mut text = String::new();
        let honest = self.fates[0].mean_earned();
        for ((name, _), fate) in ACTORS.iter().zip(&self.fates) {
            let liars = fate.lies.len();
            let found = match liars {
                0 => "it tells no lie".to_string(),
                _ => format!("{:.1} % of {liars}", 100.0 * fate.found_out as f64 / liars as f64),
            };
            let mean = fate.lies.iter().sum::<u64>() as f64 / liars.max(1) as f64;
            let lies = match fate.lies.get((liars * 99).div_ceil(100).saturating_sub(1)) {
                Some(most) => format!("{mean:.1}, {most}"),
                None => "-".into(),
            };
            let gain = 100.0 * fate.mean_earned() / honest - 100.0;
            let _ = writeln!(
                text,
                "| {name} | {found} | {lies} | {gain:+.0} % | {} | \
                 `cargo xtask sim --seeds {WORLDS}` |",
                fate.wronged
            );
        }
        text
    }

    /// One line a bar, and whether it holds.
    fn bars(&self) -> String {
        let rate = |forges, bad, standing| 100.0 * self.find(forges, bad, standing, 1).rate();
        let off = self.lines.iter().filter(|line| !line.agrees()).count();
        let gain = |thrown: bool| {
            let lines = self.lines.iter().filter(|line| (line.case.standing == 0) == thrown);
            lines.map(|line| line.gain).fold(f64::MIN, f64::max)
        };
        let least = |what, figure: f64, bar| {
            (what, format!("{figure:.2} %"), format!("≥ {bar} %"), figure >= bar)
        };
        let most = |what, figure: f64, bar| {
            (what, format!("{figure:.2} %"), format!("≤ {bar} %"), figure <= bar)
        };
        let nothing = |what, gain: f64| (what, format!("{gain:.2}"), "≤ 0".into(), gain <= 0.0);
        let below = |what, gain: f64| (what, format!("{gain:.2}"), "< 0".into(), gain < 0.0);
        let ([with, _], plans) = (self.accusations, &self.plans);
        let (heard, none) = (format!("{} in {}", with.wronged, with.audits), with.wronged == 0);
        let bars = [
            (
                "lines whose formula lies outside the 99.9 % interval",
                off.to_string(),
                "0".into(),
                off == 0,
            ),
            least("wholly forged, honest auditors", rate(256, 0, 2_000), 99.9),
            least("wholly forged, 20 % colluding", rate(256, 8, 2_000), 80.0),
            least("a quarter forged, 13 leaves or all of a newcomer's tile", rate(64, 0, 11), 98.0),
            least("a quarter forged, 4 leaves", rate(64, 0, 2_000), 68.0),
            below("greatest gain of any line with a standing, in pay for a tile", gain(false)),
            nothing("greatest gain of a newcomer that forges until it is found out", gain(true)),
            nothing("of one that forges its first tile, waits two hours and leaves", plans.leaves),
            below("the same with three tiles' pay staked", plans.staked),
            below(
                "of one that forges any of its first ten tiles and works on until it is paid",
                plans.works_on,
            ),
            below(
                "of a trusted worker that waits for its pay, forges a tile and waits again",
                plans.patient,
            ),
            (
                "honest workers found lying in so many audits, 20 % malicious, an arbiter online",
                heard,
                "0 in 1000000".into(),
                none && with.audits >= AUDITS,
            ),
            most(
                "audits' share in the work on a trusted worker's tiles",
                100.0 * self.trusted,
                1.0,
            ),
            most("and on a newcomer's first hundred", 100.0 * self.newcomer, 25.0),
        ];
        let mut text = String::new();
        for (what, measured, bar, holds) in bars {
            let holds = if holds { "yes" } else { "**no**" };
            let _ = writeln!(text, "| {what} | {measured} | {bar} | {holds} | {BENCH} |");
        }
        text
    }

    /// Every line that was measured.
    fn every_line(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let case = line.case;
            let (low, high) = line.interval();
            let _ = writeln!(
                text,
                "| {:.1} % | {} | {}, {:.1} % | {:.0} % | {} | {:.2} % ({:.2} to {:.2}) | \
                 {:.2} % | {:.1}, {} | {:.2} | {} |",
                case.forges as f64 / 2.56,
                case.standing,
                case.leaves(),
                100.0 * case.replicas(),
                100.0 * f64::from(case.colluders) / f64::from(AUDITORS),
                case.arbiters,
                100.0 * line.rate(),
                100.0 * low.max(0.0),
                100.0 * high.min(1.0),
                100.0 * case.caught(),
                line.mean(),
                line.p99(),
                line.gain,
                line.wronged,
            );
        }
        text
    }
}
