//! What moves while the shutter is open: the scene at a number of moments (keys), between which the
//! path tracer takes everything to go straight. The shutter opens half of its time before the
//! frame's moment and closes half after it. Knows no files.

use super::View;
use super::fault::{SceneError, too_large};
use super::settings::{MOTION_STEPS, Settings};
use super::triangle::Geometry;
use shaders::{MotionKey, Surface, TRIANGLE_MOTION_SHIFT, Triangle};

/// Most keys of all triangles that move: they fill a 128 MiB storage buffer, but for the cameras.
pub const KEYS_MAX: usize = (127 << 20) / size_of::<MotionKey>();

/// The moments at which a frame's scene is looked at, in seconds: the frame's own, or the first and
/// the last of the shutter's time and those that cut it in steps.
pub fn moments(settings: &Settings, view: View) -> Vec<f64> {
    let (frame, fps) = (f64::from(view.frame), f64::from(view.fps));
    let Some(shutter) = settings.shutter.map(f64::from) else { return vec![frame / fps] };
    let steps = settings.motion_steps.unwrap_or(MOTION_STEPS);
    let at = |key| frame + shutter * (f64::from(key) / f64::from(steps) - 0.5);
    (0..=steps).map(|key| at(key) / fps).collect()
}

/// The triangles that move, each at all keys.
#[derive(Clone, Debug, Default)]
pub struct Moving {
    /// Triangle by triangle.
    pub keys: Vec<MotionKey>,
    /// Keys of each triangle.
    pub each: usize,
}

impl Moving {
    /// A triangle at all keys; empty if it stands still.
    pub fn way(&self, triangle: &Triangle) -> &[MotionKey] {
        triangle.motion().map_or(&[], |at| &self.keys[at * self.each..(at + 1) * self.each])
    }
}

/// Makes one of the geometries of all keys: that of the first, whose triangles know which of those
/// that move they are. Leaves out what has no area at any key, and counts it.
pub fn join(mut keys: Vec<Geometry>) -> Result<(Geometry, Moving, u64), SceneError> {
    let mut lost = keys.first().map(|first| first.degenerate.clone()).unwrap_or_default();
    for other in keys.iter().skip(1) {
        lost.retain(|primitive| other.degenerate.binary_search(primitive).is_ok());
    }
    if !lost.is_empty() {
        keys.iter_mut().for_each(|key| key.leave_out(&lost));
    }
    let mut moving = Moving { keys: Vec::new(), each: keys.len() };
    let mut keys = keys.into_iter();
    let mut first = keys.next().unwrap_or_default();
    let later: Vec<Geometry> = keys.collect();
    later.iter().for_each(|key| first.bounds.join(&key.bounds));
    for at in 0..first.triangles.len() {
        let opening = key_of(&first, at);
        if later.iter().all(|key| key_of(key, at) == opening) {
            continue;
        }
        if moving.keys.len() + moving.each > KEYS_MAX {
            return Err(too_large(format!(
                "more than {} triangles move while the shutter is open; take fewer motion steps",
                KEYS_MAX / moving.each
            )));
        }
        let place = moving.keys.len() / moving.each;
        first.triangles[at].flags = (place as u32 + 1) << TRIANGLE_MOTION_SHIFT;
        moving.keys.push(opening);
        moving.keys.extend(later.iter().map(|key| key_of(key, at)));
    }
    Ok((first, moving, lost.len() as u64))
}

fn key_of(geometry: &Geometry, at: usize) -> MotionKey {
    let Triangle { corner, edge1, edge2, .. } = geometry.triangles[at];
    let Surface { normal, tangent, .. } = geometry.surfaces[at];
    MotionKey { corner, edge1, edge2, normal, tangent, pad: 0 }
}
