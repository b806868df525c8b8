//! The camera (glTF 2.0 §3.10): the first of the scene, or a view of everything.

use super::View;
use super::fault::{SceneError, malformed, missing};
use super::gltf::{self, Document, item};
use super::matrix::{self, Affine, Vec3};
use super::node::Placed;
use super::notes::Notes;
use super::settings::{self, Settings};
use super::triangle::Bounds;
use shaders::Camera;
use std::f64::consts::PI;

/// Narrowest and widest vertical angle of view, in radians.
const YFOV_MIN: f64 = 1e-4;
const YFOV_MAX: f64 = PI - 1e-3;
/// Least and most half heights of an orthographic view, in metres.
const HALF_HEIGHT_MIN: f64 = 1e-6;
const HALF_HEIGHT_MAX: f64 = 1e6;
/// Vertical angle of the default view.
const DEFAULT_YFOV: f64 = 40.0 * PI / 180.0;
/// The longer side of the sensor behind the lens, in metres: full frame, as Blender has it.
const SENSOR_SIDE: f64 = 0.036;
/// Where the default view stands as seen from the middle of the scene.
const DEFAULT_SIDE: Vec3 = [0.55, 0.4, 1.0];

/// The first camera in the order of the nodes; without one, a view of everything, said aloud.
pub fn find(
    document: &Document,
    placed: &[Placed],
    settings: &Settings,
    bounds: &Bounds,
    view: View,
    notes: &mut Notes,
) -> Result<Camera, SceneError> {
    let aspect = f64::from(view.width) / f64::from(view.height);
    let Some((index, place)) = chosen(document, placed, settings, notes)? else {
        notes.say("the scene has no camera: a view of everything was chosen");
        return through_lens(overview(bounds, aspect), settings);
    };
    let owner = format!("node {}", place.node);
    let entry = item(&document.cameras, index, "camera", &owner)?;
    let (lens, own) = lens(entry, index)?;
    if let Some(own) = own
        && (own / aspect - 1.0).abs() > 0.01
    {
        notes.say(format!(
            "camera {index} has the aspect {own:.3}, the frame {aspect:.3}: its height is kept"
        ));
    }
    let axes = axes(&place.world).ok_or_else(|| {
        malformed(format!("camera {index} sees a zero area: the matrix of {owner} is singular"))
    })?;
    let camera = match lens {
        Lens::Perspective { yfov } => pinhole(place.world.origin, axes, yfov, aspect),
        Lens::Orthographic { half } => parallel(place.world.origin, axes, half, aspect),
    };
    through_lens(camera, settings)
}

/// The camera with a lens as wide as the settings ask for.
fn through_lens(camera: Camera, settings: &Settings) -> Result<Camera, SceneError> {
    let Some(f_stop) = settings.f_stop else { return Ok(camera) };
    let Some(focus) = settings.focus else {
        return Err(missing(
            "with an f-stop the picture is sharp at one distance only; set the focus, in metres",
        ));
    };
    let length = |v: [f32; 3]| matrix::dot(matrix::double3(v), matrix::double3(v)).sqrt();
    let half = length(camera.right).max(length(camera.up));
    if half == 0.0 {
        return Err(malformed(
            "the camera is orthographic and has no lens; leave out the f-stop, or choose another",
        ));
    }
    let focal_length = SENSOR_SIDE / 2.0 / half;
    let lens_radius = (focal_length / f64::from(f_stop) / 2.0) as f32;
    Ok(Camera { lens_radius, focus, ..camera })
}

/// The camera that is used and where it stands. A setting names a camera, its node, or its place
/// among the cameras of the scene.
fn chosen<'a>(
    document: &Document,
    placed: &'a [Placed],
    settings: &Settings,
    notes: &mut Notes,
) -> Result<Option<(u32, &'a Placed)>, SceneError> {
    let mut all = Vec::new();
    for place in placed {
        let node = item(&document.nodes, place.node, "node", "the scene")?;
        if let Some(camera) = node.camera {
            let entry = item(&document.cameras, camera, "camera", "a node")?;
            all.push((camera, place, [node.name.as_str(), entry.name.as_str()]));
        }
    }
    let at = match settings.camera.as_deref() {
        None => 0,
        Some(wanted) => match all.iter().position(|(_, _, names)| names[1] == wanted) {
            Some(at) => at,
            None => settings::find(wanted, "camera", all.iter().map(|(_, _, names)| names[0]))?,
        },
    };
    let found = all.get(at).map(|(camera, place, _)| (*camera, *place));
    if let Some((camera, _)) = found
        && all.len() > 1
    {
        notes.say(format!("the scene has {} cameras: camera {camera} is used", all.len()));
    }
    Ok(found)
}

/// How wide a camera sees: the vertical angle in radians, or half the height in metres.
enum Lens {
    Perspective { yfov: f64 },
    Orthographic { half: f64 },
}

/// A camera's lens, and its aspect if it has one.
fn lens(entry: &gltf::Camera, index: u32) -> Result<(Lens, Option<f64>), SceneError> {
    match (entry.kind.as_str(), &entry.perspective, &entry.orthographic) {
        ("perspective", Some(lens), _) => {
            let yfov = lens.yfov;
            if !(YFOV_MIN..=YFOV_MAX).contains(&yfov) {
                return Err(malformed(format!(
                    "camera {index} sees a zero or impossible area: its yfov is {yfov}; it must \
                     lie between 0 and π"
                )));
            }
            Ok((Lens::Perspective { yfov }, lens.aspect_ratio))
        }
        ("orthographic", _, Some(lens)) => {
            // Some exporters write negative ones for a mirrored view.
            let (x, y) = (lens.xmag.abs(), lens.ymag.abs());
            if !((HALF_HEIGHT_MIN..=HALF_HEIGHT_MAX).contains(&y) && x > 0.0) {
                return Err(malformed(format!(
                    "camera {index} sees a zero or impossible area: its xmag is {} and its ymag {}",
                    lens.xmag, lens.ymag
                )));
            }
            Ok((Lens::Orthographic { half: y }, Some(x / y)))
        }
        _ => Err(malformed(format!("camera {index} is of no known kind"))),
    }
}

/// Forward, right and up of a camera looking down the local −Z with +Y up; scale does not count.
fn axes(world: &Affine) -> Option<[Vec3; 3]> {
    let forward = matrix::unit(matrix::scale(world.z, -1.0))?;
    let up = matrix::unit(world.y)?;
    let right = matrix::cross(forward, up);
    if matrix::dot(right, right) < 1e-12 || matrix::unit(world.x).is_none() {
        return None;
    }
    let right = matrix::unit(right)?;
    Some([forward, right, matrix::cross(right, forward)])
}

fn pinhole(position: Vec3, [forward, right, up]: [Vec3; 3], yfov: f64, aspect: f64) -> Camera {
    let half = libm::tan(yfov / 2.0);
    Camera {
        position: matrix::single3(position),
        forward: matrix::single3(forward),
        right: matrix::single3(matrix::scale(right, half * aspect)),
        up: matrix::single3(matrix::scale(up, half)),
        ..bytemuck::Zeroable::zeroed()
    }
}

/// Rays side by side through an image of `half` the height, in metres.
fn parallel(position: Vec3, [forward, right, up]: [Vec3; 3], half: f64, aspect: f64) -> Camera {
    Camera {
        position: matrix::single3(position),
        forward: matrix::single3(forward),
        across: matrix::single3(matrix::scale(right, half * aspect)),
        rise: matrix::single3(matrix::scale(up, half)),
        ..bytemuck::Zeroable::zeroed()
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
