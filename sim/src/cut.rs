//! Cuts that nobody measured anything for: a frame parted at random.

use crate::Chance;
use farm::cut::{Area, Cut, Split};

/// Parts a frame of so many pixels into at most so many tiles.
pub fn random(chance: &mut Chance, width: u32, height: u32, tiles: u32) -> Cut {
    let mut splits = Vec::new();
    part(chance, Area::of_frame(width, height), tiles, &mut splits);
    Cut::of(splits)
}

/// Parts an area into as many of the tiles as it has blocks for; says how many.
fn part(chance: &mut Chance, area: Area, tiles: u32, splits: &mut Vec<Split>) -> u32 {
    if tiles < 2 || area.width * area.height == 1 {
        return 1;
    }
    let down = area.width == 1 || area.height > 1 && chance.percent(50);
    let whole = if down { area.height } else { area.width };
    let at = 1 + chance.below(u64::from(whole - 1)) as u32;
    let wished = 1 + chance.below(u64::from(tiles - 1)) as u32;
    let (near, far) = area.split(Split { down, at, near: wished });
    let place = splits.len();
    splits.push(Split { down, at, near: wished });
    splits[place].near = part(chance, near, wished, splits);
    splits[place].near + part(chance, far, tiles - wished, splits)
}
