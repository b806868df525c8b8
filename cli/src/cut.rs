//! How a job's frames are cut into tiles: by cost, as trying them here showed it and as the farm's
//! workers are many and fast, or into a grid. No pixel depends on it.

use crate::args::TileSize;
use crate::quote::Expected;
use crate::tried::Tried;
use farm::job::Spec;
use farm::limit;
use proto::v1;
use worker::cut::{Even, even};

/// Side of a tile where nothing was tried, in pixels.
pub const GRID: u32 = 64;
/// What a tile should take a worker: long beside handing it out, short beside losing it.
const SECONDS: f64 = 5.0;
/// Less is never worth a tile of its own.
const SECONDS_LEAST: f64 = 0.5;
/// Tiles of the job for each slot, so that all end at about the same time, and slots that are
/// counted on where fewer are there now.
const TILES_PER_SLOT: f64 = 4.0;
const SLOTS_LEAST: u32 = 8;
/// Samples of a job, at least, that trying its frames here is worth the seconds: fewer are drawn in
/// about as long.
const SAMPLES_WORTH: u64 = 1 << 24;

/// Whether the frames are tried here to be cut by cost.
pub fn is_by_cost(asked: Option<TileSize>, spec: &Spec) -> bool {
    let pixels = u64::from(spec.width) * u64::from(spec.height) * u64::from(spec.frames());
    match asked {
        Some(TileSize::Auto) => true,
        Some(TileSize::Side(_)) => false,
        None => pixels.saturating_mul(u64::from(spec.samples)) >= SAMPLES_WORTH,
    }
}

/// Cuts the order's frames by cost: into more tiles than else if the cap asks for it, since of
/// the cap the most that a tile may cost is set aside for each that is computed. `None`: the grid
/// stays.
pub fn by_cost(
    spec: &mut Spec,
    tried: &Tried,
    market: &v1::Market,
    cap: Option<u64>,
) -> Option<Even> {
    let mut tiles = wanted(spec, tried, market);
    loop {
        let found = even(spec, &tried.probe.costs, tiles)?;
        let cut = Spec { tile_size: 0, cut: found.cut.clone(), ..spec.clone() };
        let expected = Expected::of(&cut, tried, market);
        let is_tight = |cap| expected.cost.high < cap as f64 && expected.max_spend > cap;
        let finer = cap.is_some_and(is_tight).then(|| found.cut.tiles() * 2);
        match finer.filter(|tiles| *tiles <= limit::CUT_TILES_MAX) {
            Some(finer) => tiles = finer,
            None => {
                *spec = cut;
                return Some(found);
            }
        }
    }
}

/// Tiles of a frame.
fn wanted(spec: &Spec, tried: &Tried, market: &v1::Market) -> u64 {
    let frames = f64::from(spec.frames());
    let slots = f64::from(market.slots.max(1));
    let pace = match market.units_per_second as f64 * tried.ease / slots {
        pace if pace > 0.0 => pace,
        _ => tried.probe.units_per_second.max(1.0),
    };
    let seconds = tried.probe.units / frames / pace;
    let busy = TILES_PER_SLOT * f64::from(market.slots.max(SLOTS_LEAST)) / frames;
    // One tile would be no cut.
    (seconds / SECONDS).max(busy.min(seconds / SECONDS_LEAST)).ceil().max(2.0) as u64
}

/// How the frames are cut, for people.
pub fn said(spec: &Spec, even: Option<&Even>) -> String {
    let tiles = spec.tiles_per_frame();
    match even {
        Some(even) => format!(
            "{tiles} a frame, cut by cost: they take the same within {:.0} % (standard deviation)",
            even.spread * 100.0
        ),
        None => format!("{tiles} a frame, of up to {0}×{0} pixels", spec.tile_size),
    }
}

/// How the frames are cut, for programs.
pub fn to_json(spec: &Spec, even: Option<&Even>) -> serde_json::Value {
    serde_json::json!({
        "tiles_per_frame": spec.tiles_per_frame(),
        "by": if even.is_some() { "cost" } else { "grid" },
        "spread": even.map(|even| even.spread),
    })
}
