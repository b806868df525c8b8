//! What moves: the scene at a number of moments (keys). While the shutter is open the path tracer
//! takes everything to go straight between them. It opens half of its time before the frame's
//! moment and closes half after it. Knows no files.

use super::View;
use super::fault::{SceneError, too_large};
use super::settings::{MOTION_STEPS, Settings};
use super::triangle::Geometry;
use shaders::{MotionKey, Surface, TRIANGLE_MOTION_SHIFT, Triangle};

/// Most keys of all triangles that move: they fill a 128 MiB storage buffer, but for the cameras.
pub const KEYS_MAX: usize = (127 << 20) / size_of::<MotionKey>();

/// The moments at which a frame's scene is looked at, in seconds.
pub struct Moments {
    /// Those of the shutter's time: the frame's own, or the first, the last and those that cut it
    /// in steps. Then, if they are asked for, the frames before and after.
    pub times: Vec<f64>,
    pub steps: usize,
}

impl Moments {
    pub fn of(settings: &Settings, view: View) -> Self {
        let (frame, fps) = (f64::from(view.frame), f64::from(view.fps));
        let steps = settings.motion_steps.unwrap_or(MOTION_STEPS);
        let (shutter, steps) = settings.shutter.map_or((0.0, 0), |time| (f64::from(time), steps));
        let along = |key| f64::from(key) / f64::from(steps.max(1)) - 0.5;
        let meanwhile = (0..=steps).map(|key| frame + shutter * along(key));
        let around = [frame - 1.0, frame + 1.0].into_iter().filter(|_| view.neighbours);
        let times = meanwhile.chain(around).map(|frame| frame / fps).collect();
        Self { times, steps: steps as usize }
    }
}

/// The triangles that move, each at all keys.
#[derive(Clone, Debug, Default)]
pub struct Moving {
    /// Triangle by triangle.
    pub keys: Vec<MotionKey>,
    /// Keys of each triangle.
    pub each: usize,
    /// Straight pieces of the way while the shutter is open; 0: nothing moves meanwhile.
    pub steps: usize,
}

impl Moving {
    /// A triangle at the keys of the shutter's time; empty if it stands still.
    pub fn way(&self, triangle: &Triangle) -> &[MotionKey] {
        let keys = |at| &self.keys[at * self.each..at * self.each + self.steps + 1];
        triangle.motion().map_or(&[], keys)
    }
}

/// Makes one of the geometries of all keys: that of the first, whose triangles know which of those
/// that move they are. Leaves out what has no area at any key, and counts it.
pub fn join(mut keys: Vec<Geometry>, steps: usize) -> Result<(Geometry, Moving, u64), SceneError> {
    let mut lost = keys.first().map(|first| first.degenerate.clone()).unwrap_or_default();
    for other in keys.iter().skip(1) {
        lost.retain(|primitive| other.degenerate.binary_search(primitive).is_ok());
    }
    if !lost.is_empty() {
        keys.iter_mut().for_each(|key| key.leave_out(&lost));
    }
    let mut moving = Moving { keys: Vec::new(), each: keys.len(), steps };
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
