//! Resize and Upsample, dimension by dimension: places of the nearest kind are moved, linear and
//! cubic ones summed.

use super::{Lowered, Lowering, refuse};
use crate::infer::ModelError;
use crate::infer::program::Operation;
use crate::infer::resampling::Resampling;

/// How one dimension is resized.
struct Way {
    mode: String,
    coordinates: String,
    rounding: String,
    cubic: f64,
    exclude_outside: bool,
    antialias: bool,
    outside: f32,
}

/// One dimension: its length, the length it gets, the scale, and where the region of interest lies.
#[derive(Clone, Copy)]
struct Along {
    length: usize,
    wanted: usize,
    scale: f64,
    interest: [f64; 2],
}

pub fn lower(l: &mut Lowering<'_>) -> Lowered {
    let mut x = l.input(0)?;
    let is_upsample = l.node.operator == "Upsample" || l.opset == 10;
    let default = if is_upsample { "asymmetric" } else { "half_pixel" };
    let way = Way {
        mode: l.text("mode", "nearest"),
        coordinates: l.text("coordinate_transformation_mode", default),
        rounding: l.text("nearest_mode", if is_upsample { "floor" } else { "round_prefer_floor" }),
        cubic: f64::from(l.float("cubic_coeff_a", -0.75)),
        exclude_outside: l.int("exclude_outside", 0) == 1,
        antialias: l.int("antialias", 0) == 1,
        outside: l.float("extrapolation_value", 0.0),
    };
    for (axis, along) in wanted(l, x, is_upsample)? {
        if along.wanted == 0 || along.wanted > 1 << 18 || along.length == 0 {
            return refuse("resizes to nothing, or to too much");
        }
        let is_crop = way.coordinates == "tf_crop_and_resize";
        if along.wanted == along.length && along.scale == 1.0 && !is_crop {
            continue;
        }
        x = match way.mode.as_str() {
            "nearest" => {
                let places = (0..along.wanted).map(|at| nearest(&way, along, at)).collect();
                l.along(x, axis, places, way.outside.to_bits())?
            }
            "linear" | "cubic" => {
                let lists = (0..along.wanted).map(|at| list(&way, along, at)).collect();
                let resampling = Resampling { axis, outside: way.outside, lists };
                let mut shape = l.shape(x);
                shape[axis] = along.wanted;
                let kind = l.kind(x);
                if !kind.is_float() {
                    return Err(ModelError::unsupported("is for floating point only"));
                }
                l.program.add(Operation::Resample(padded(resampling)), &[x], kind, &shape)?
            }
            other => return Err(ModelError::unsupported(format!("resizes in the way `{other}`"))),
        };
    }
    Ok(x)
}

/// All lists as long as the longest, unless they are empty.
fn padded(mut resampling: Resampling) -> Resampling {
    let longest = resampling.lists.iter().map(Vec::len).max().unwrap_or_default();
    for list in resampling.lists.iter_mut().filter(|list| !list.is_empty()) {
        let last = list[list.len() - 1].0;
        list.resize(longest, (last, 0.0));
    }
    resampling
}

/// The dimensions that change, and how.
fn wanted(
    l: &Lowering<'_>,
    x: usize,
    is_upsample: bool,
) -> Result<Vec<(usize, Along)>, ModelError> {
    let shape = l.shape(x);
    let known = |nth: usize| l.optional(nth).map(|value| l.constant(value)).transpose();
    let axes: Vec<usize> = match l.ints("axes") {
        Some(axes) => {
            axes.iter().map(|axis| l.axis(*axis, shape.len())).collect::<Result<_, _>>()?
        }
        None => (0..shape.len()).collect(),
    };
    let listed = l.attribute("scales").map(|own| own.floats.clone());
    let at = if is_upsample { 1 } else { 2 };
    let scales = match listed {
        Some(scales) => scales,
        None => known(at)?.map(|scales| scales.to_floats()).unwrap_or_default(),
    };
    let sizes = if is_upsample { None } else { known(3)? };
    let interest = if is_upsample { None } else { known(1)? }.map(|own| own.to_floats());
    let interest = interest.filter(|own| own.len() == axes.len() * 2);
    let mut found = Vec::new();
    let sizes = sizes.map(|sizes| sizes.to_wholes()).filter(|sizes| !sizes.is_empty());
    if sizes.as_ref().map_or(scales.len(), Vec::len) != axes.len() {
        return refuse("has no scale or size for each axis");
    }
    let common = common_scale(l, &axes, sizes.as_deref(), &shape);
    for (nth, axis) in axes.iter().enumerate() {
        let length = shape[*axis];
        let whole = |own: &Vec<f32>| [nth, nth + axes.len()].map(|at| f64::from(own[at]));
        let interest = interest.as_ref().map_or([0.0, 1.0], whole);
        let (wanted, scale) = match &sizes {
            Some(sizes) => {
                let size = usize::try_from(sizes[nth]).unwrap_or_default();
                let scale = common.unwrap_or(size as f64 / length as f64);
                let kept = common.map(|scale| (scale * length as f64 + 0.5).floor() as usize);
                (kept.unwrap_or(size), scale)
            }
            None => {
                let scale = f64::from(scales[nth]);
                let span = if l.text("coordinate_transformation_mode", "") == "tf_crop_and_resize" {
                    interest[1] - interest[0]
                } else {
                    1.0
                };
                ((length as f64 * span * scale).floor() as usize, scale)
            }
        };
        found.push((*axis, Along { length, wanted, scale, interest }));
    }
    Ok(found)
}

/// The scale of all axes where the proportions are kept.
fn common_scale(
    l: &Lowering<'_>,
    axes: &[usize],
    sizes: Option<&[i64]>,
    shape: &[usize],
) -> Option<f64> {
    let scales = sizes?.iter().zip(axes).map(|(size, axis)| *size as f64 / shape[*axis] as f64);
    match l.text("keep_aspect_ratio_policy", "stretch").as_str() {
        "not_larger" => scales.reduce(f64::min),
        "not_smaller" => scales.reduce(f64::max),
        _ => None,
    }
}

/// Where a place written lies among those read (ONNX, Resize).
fn coordinate(way: &Way, along: Along, at: usize) -> f64 {
    let (x, length, wanted) = (at as f64, along.length as f64, along.wanted as f64);
    match way.coordinates.as_str() {
        "asymmetric" => x / along.scale,
        "align_corners" if along.wanted == 1 => 0.0,
        "align_corners" => x * (length - 1.0) / (along.scale * length - 1.0),
        "pytorch_half_pixel" if along.wanted == 1 => 0.0,
        "half_pixel_symmetric" => {
            let exact = along.scale * length;
            let offset = length / 2.0 * (1.0 - wanted / exact);
            offset + (x + 0.5) / along.scale - 0.5
        }
        "tf_crop_and_resize" => {
            let [first, last] = along.interest;
            if along.wanted > 1 {
                first * (length - 1.0) + x * (last - first) * (length - 1.0) / (wanted - 1.0)
            } else {
                0.5 * (first + last) * (length - 1.0)
            }
        }
        _ => (x + 0.5) / along.scale - 0.5,
    }
}

fn is_outside(way: &Way, along: Along, x: f64) -> bool {
    way.coordinates == "tf_crop_and_resize" && (x < 0.0 || x > along.length as f64 - 1.0)
}

fn nearest(way: &Way, along: Along, at: usize) -> Option<i64> {
    let x = coordinate(way, along, at);
    if is_outside(way, along, x) {
        return None;
    }
    let place = match way.rounding.as_str() {
        "floor" => x.floor(),
        "ceil" => x.ceil(),
        "round_prefer_ceil" => (x + 0.5).floor(),
        _ => (x - 0.5).ceil(),
    };
    Some((place as i64).clamp(0, along.length as i64 - 1))
}

/// Weight of a place so far away.
fn weight(way: &Way, distance: f64) -> f64 {
    let (d, a) = (distance.abs(), way.cubic);
    match way.mode.as_str() {
        "linear" => (1.0 - d).max(0.0),
        // Keys 1981.
        _ if d <= 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
        _ if d < 2.0 => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
        _ => 0.0,
    }
}

/// The places that make up one, with their weights.
fn list(way: &Way, along: Along, at: usize) -> Vec<(usize, f32)> {
    let x = coordinate(way, along, at);
    if is_outside(way, along, x) {
        return Vec::new();
    }
    let shrink = if way.antialias { along.scale.min(1.0) } else { 1.0 };
    let reach = if way.mode == "linear" { 1.0 } else { 2.0 } / shrink;
    let (first, last) = ((x - reach).floor() as i64 + 1, (x + reach).ceil() as i64 - 1);
    let last = last.max(first);
    let mut terms: Vec<(usize, f64)> = Vec::new();
    let top = along.length as i64 - 1;
    for place in first..=last {
        let inside = (0..=top).contains(&place);
        if way.exclude_outside && !inside {
            continue;
        }
        let own = place.clamp(0, top) as usize;
        let weight = weight(way, (place as f64 - x) * shrink);
        match terms.last_mut() {
            Some((last, sum)) if *last == own => *sum += weight,
            _ => terms.push((own, weight)),
        }
    }
    let sum: f64 = terms.iter().map(|(_, weight)| weight).sum();
    let by = if sum == 0.0 { 1.0 } else { 1.0 / sum };
    terms
        .into_iter()
        .map(|(place, weight)| (place, crate::render::exact::tame((weight * by) as f32)))
        .collect()
}
