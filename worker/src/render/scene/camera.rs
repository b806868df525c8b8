//! The camera (glTF 2.0 §3.10): the first of the scene, or a view of everything. Knows no lens.

use super::View;
use super::fault::{SceneError, malformed, unsupported};
use super::gltf::{Document, item};
use super::matrix::{self, Affine, Vec3};
use super::node::Placed;
use super::notes::Notes;
use super::triangle::Bounds;
use shaders::Camera;
use std::f64::consts::PI;

/// Narrowest and widest vertical angle of view, in radians.
const YFOV_MIN: f64 = 1e-4;
const YFOV_MAX: f64 = PI - 1e-3;
/// Vertical angle of the default view.
const DEFAULT_YFOV: f64 = 40.0 * PI / 180.0;
/// Where the default view stands as seen from the middle of the scene.
const DEFAULT_SIDE: Vec3 = [0.55, 0.4, 1.0];

/// The first camera in the order of the nodes; without one, a view of everything, said aloud.
pub fn find(
    document: &Document,
    placed: &[Placed],
    bounds: &Bounds,
    view: View,
    notes: &mut Notes,
) -> Result<Camera, SceneError> {
    let aspect = f64::from(view.width) / f64::from(view.height);
    let mut found = None;
    let mut count = 0;
    for place in placed {
        if let Some(camera) = item(&document.nodes, place.node, "node", "the scene")?.camera {
            found.get_or_insert((camera, place));
            count += 1;
        }
    }
    let Some((index, place)) = found else {
        notes.say("the scene has no camera: a view of everything was chosen");
        return Ok(overview(bounds, aspect));
    };
    if count > 1 {
        notes.say(format!("the scene has {count} cameras: camera {index} is used"));
    }
    let owner = format!("node {}", place.node);
    let entry = item(&document.cameras, index, "camera", &owner)?;
    let lens = match (entry.kind.as_str(), &entry.perspective) {
        ("perspective", Some(lens)) => lens,
        ("orthographic", _) => {
            return Err(unsupported(format!(
                "camera {index} is orthographic, which is not supported; make it perspective"
            )));
        }
        _ => return Err(malformed(format!("camera {index} is of no known kind"))),
    };
    if !(lens.yfov >= YFOV_MIN && lens.yfov <= YFOV_MAX) {
        return Err(malformed(format!(
            "camera {index} sees a zero or impossible area: its yfov is {}; it must lie between \
             0 and π",
            lens.yfov
        )));
    }
    if let Some(own) = lens.aspect_ratio
        && (own / aspect - 1.0).abs() > 0.01
    {
        notes.say(format!(
            "camera {index} has the aspect {own:.3}, the frame {aspect:.3}: its height is kept"
        ));
    }
    aim(&place.world, lens.yfov, aspect).ok_or_else(|| {
        malformed(format!("camera {index} sees a zero area: the matrix of {owner} is singular"))
    })
}

/// A camera looking down the local −Z with +Y up; scale does not count.
fn aim(world: &Affine, yfov: f64, aspect: f64) -> Option<Camera> {
    let forward = matrix::unit(matrix::scale(world.z, -1.0))?;
    let up = matrix::unit(world.y)?;
    let right = matrix::cross(forward, up);
    if matrix::dot(right, right) < 1e-12 || matrix::unit(world.x).is_none() {
        return None;
    }
    let right = matrix::unit(right)?;
    let up = matrix::cross(right, forward);
    Some(pinhole(world.origin, [forward, right, up], yfov, aspect))
}

fn pinhole(position: Vec3, [forward, right, up]: [Vec3; 3], yfov: f64, aspect: f64) -> Camera {
    let half = libm::tan(yfov / 2.0);
    Camera {
        position: matrix::single3(position),
        pad0: 0,
        forward: matrix::single3(forward),
        pad1: 0,
        right: matrix::single3(matrix::scale(right, half * aspect)),
        pad2: 0,
        up: matrix::single3(matrix::scale(up, half)),
        pad3: 0,
    }
}

/// A view from the front, right and above that holds the ball around the box.
fn overview(bounds: &Bounds, aspect: f64) -> Camera {
    let (min, max) = (matrix::double3(bounds.min), matrix::double3(bounds.max));
    let middle = matrix::scale(matrix::add(min, max), 0.5);
    let diagonal = matrix::sub(max, min);
    let radius = (matrix::dot(diagonal, diagonal).sqrt() / 2.0).max(1e-6);
    let back = matrix::unit(DEFAULT_SIDE).unwrap_or([0.0, 0.0, 1.0]);
    let half_height = libm::tan(DEFAULT_YFOV / 2.0);
    let narrow = libm::atan(half_height * aspect.min(1.0));
    let position = matrix::add(middle, matrix::scale(back, radius / libm::sin(narrow)));
    let forward = matrix::scale(back, -1.0);
    let right = matrix::unit(matrix::cross(forward, [0.0, 1.0, 0.0])).unwrap_or([1.0, 0.0, 0.0]);
    let up = matrix::cross(right, forward);
    pinhole(position, [forward, right, up], DEFAULT_YFOV, aspect)
}
