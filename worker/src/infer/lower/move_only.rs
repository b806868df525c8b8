//! Operators that move elements, and those that only speak of shapes.

use super::{Lowered, Lowering, refuse, resize};
use crate::infer::ModelError;
use crate::infer::program::Operation;
use crate::infer::resampling::Gathering;
use crate::infer::tensor::{Tensor, Type, shape_of};
use crate::infer::view::{Axis, View};

/// Longest dimension that padding or repeating makes.
const LENGTH_MAX: i64 = 1 << 18;

/// Whether the node is one of them.
pub fn lower(l: &mut Lowering<'_>) -> Result<bool, ModelError> {
    let made = match l.node.operator.as_str() {
        "Identity" => l.input(0)?,
        "Dropout" => {
            let trains = match l.optional(2) {
                Some(value) => l.constant(value)?.words.first() == Some(&1),
                None => false,
            };
            if trains {
                return Err(ModelError::unsupported("is in training"));
            }
            l.input(0)?
        }
        "Constant" => constant(l)?,
        "ConstantOfShape" => constant_of_shape(l)?,
        "Shape" => shape(l)?,
        "Size" => {
            let count = l.shape(l.input(0)?).iter().product::<usize>();
            l.whole(count as i64)?
        }
        "Range" => range(l)?,
        "Reshape" => reshape(l)?,
        "Flatten" => flatten(l)?,
        "Squeeze" => squeeze(l)?,
        "Unsqueeze" => unsqueeze(l)?,
        "Transpose" => transpose(l)?,
        "Concat" => concat(l)?,
        "Slice" => slice(l)?,
        "Split" => return split(l),
        "Pad" => pad(l)?,
        "Expand" => {
            let (x, to) = (l.input(0)?, l.constant(l.input(1)?)?.to_wholes());
            match shape_of(&to) {
                Some(shape) => l.expand(x, &shape)?,
                None => return refuse("expands to a shape that is too large"),
            }
        }
        "Tile" => tile(l)?,
        "Gather" => gather(l)?,
        "GatherElements" => gather_elements(l)?,
        "DepthToSpace" => depth_to_space(l)?,
        "SpaceToDepth" => space_to_depth(l)?,
        "Trilu" => trilu(l)?,
        "EyeLike" => eye_like(l)?,
        "Resize" | "Upsample" => resize::lower(l)?,
        _ => return Ok(false),
    };
    l.set(0, made)
}

fn constant(l: &mut Lowering<'_>) -> Lowered {
    let own = |name: &str| l.attribute(name).cloned();
    let tensor = if let Some(value) = own("value").and_then(|value| value.tensor) {
        value
    } else if let Some(value) = own("value_float") {
        Tensor::floats(&[], &[value.float])
    } else if let Some(value) = own("value_floats") {
        Tensor::floats(&[value.floats.len()], &value.floats)
    } else if let Some(value) = own("value_int") {
        Tensor::wholes(&[], &[value.int])
    } else if let Some(value) = own("value_ints") {
        Tensor::wholes(&[value.ints.len()], &value.ints)
    } else {
        return Err(ModelError::unsupported("holds neither numbers nor a tensor"));
    };
    l.program.known(tensor)
}

fn constant_of_shape(l: &mut Lowering<'_>) -> Lowered {
    let wanted = l.constant(l.input(0)?)?.to_wholes();
    let Some(shape) = shape_of(&wanted) else { return refuse("makes a tensor that is too large") };
    let value = l.attribute("value").and_then(|own| own.tensor.clone());
    let value = value.unwrap_or_else(|| Tensor::floats(&[1], &[0.0]));
    let words = vec![value.words.first().copied().unwrap_or_default(); shape.iter().product()];
    l.program.known(Tensor { kind: value.kind, shape, words })
}

fn shape(l: &mut Lowering<'_>) -> Lowered {
    let shape = l.shape(l.input(0)?);
    let rank = shape.len() as i64;
    let place = |at: i64| (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize;
    let (start, end) = (place(l.int("start", 0)), place(l.int("end", rank)));
    let lengths: Vec<i64> =
        shape[start..end.max(start)].iter().map(|length| *length as i64).collect();
    l.program.known(Tensor::wholes(&[lengths.len()], &lengths))
}

fn range(l: &mut Lowering<'_>) -> Lowered {
    let inputs = [l.constant(l.input(0)?)?, l.constant(l.input(1)?)?, l.constant(l.input(2)?)?];
    let [start, end, step] =
        [0, 1, 2].map(|n| inputs[n].to_floats().first().map_or(0.0, |x| f64::from(*x)));
    let count = ((end - start) / step).ceil();
    if !(0.0..=(1 << 24) as f64).contains(&count) {
        return refuse("is a range that is too long, or endless");
    }
    let floats: Vec<f32> = (0..count as usize).map(|n| (start + n as f64 * step) as f32).collect();
    let tensor = Tensor::floats(&[floats.len()], &floats);
    if inputs[0].kind.is_float() {
        return l.program.known(tensor);
    }
    let wholes: Vec<i64> = floats.iter().map(|x| *x as i64).collect();
    l.program.known(Tensor { kind: inputs[0].kind, ..Tensor::wholes(&[wholes.len()], &wholes) })
}

fn reshape(l: &mut Lowering<'_>) -> Lowered {
    let (x, wanted) = (l.input(0)?, l.constant(l.input(1)?)?.to_wholes());
    let (from, keeps_zeros) = (l.shape(x), l.int("allowzero", 0) == 1);
    let count: usize = from.iter().product();
    let mut shape = Vec::new();
    for (at, length) in wanted.iter().enumerate() {
        shape.push(match *length {
            0 if !keeps_zeros => match from.get(at) {
                Some(length) => *length as i64,
                None => return refuse("copies a dimension that is not there"),
            },
            other => other,
        });
    }
    if let Some(at) = shape.iter().position(|length| *length == -1) {
        let rest: i64 = shape.iter().filter(|length| **length != -1).product();
        if rest <= 0 || count as i64 % rest != 0 {
            return refuse(format!("makes {shape:?} of {from:?}, which has other elements"));
        }
        shape[at] = count as i64 / rest;
    }
    match shape_of(&shape) {
        Some(shape) => l.reshape(x, &shape),
        None => refuse(format!("makes {shape:?}, which is no shape")),
    }
}

fn flatten(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let (shape, axis) = (l.shape(x), l.int("axis", 1));
    let rank = shape.len() as i64;
    let axis = (if axis < 0 { axis + rank } else { axis }).clamp(0, rank) as usize;
    let (left, right) = shape.split_at(axis);
    l.reshape(x, &[left.iter().product(), right.iter().product()])
}

fn squeeze(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let shape = l.shape(x);
    let axes = match l.wholes("axes", 1)? {
        Some(axes) => l.axes(&axes, shape.len())?,
        None => (0..shape.len()).filter(|at| shape[*at] == 1).collect(),
    };
    let kept = shape.iter().enumerate().filter(|(at, _)| !axes.contains(at));
    let kept: Vec<usize> = kept.map(|(_, length)| *length).collect();
    l.reshape(x, &kept)
}

fn unsqueeze(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let axes = l.wholes("axes", 1)?.unwrap_or_default();
    let mut shape = l.shape(x);
    for axis in l.axes(&axes, shape.len() + axes.len())? {
        shape.insert(axis.min(shape.len()), 1);
    }
    l.reshape(x, &shape)
}

fn transpose(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let rank = l.rank(x);
    let order = match l.ints("perm") {
        None => (0..rank).rev().collect(),
        Some(order) => {
            let found: Vec<usize> =
                order.iter().map(|at| l.axis(*at, rank)).collect::<Result<_, _>>()?;
            if found.len() != rank || l.axes(&order, rank)?.len() != rank {
                return refuse("has an order that is none");
            }
            found
        }
    };
    l.transpose(x, &order)
}

fn concat(l: &mut Lowering<'_>) -> Lowered {
    let values = (0..l.node.inputs.len()).map(|nth| l.input(nth)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = values.first() else { return refuse("joins nothing") };
    let axis = l.axis(l.int("axis", 1), l.rank(*first))?;
    l.concat(&values, axis)
}

fn slice(l: &mut Lowering<'_>) -> Lowered {
    let mut x = l.input(0)?;
    let rank = l.rank(x);
    let starts = l.wholes("starts", 1)?.unwrap_or_default();
    let ends = l.wholes("ends", 2)?.unwrap_or_default();
    let axes = l.wholes("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = match l.optional(4) {
        Some(value) => l.constant(value)?.to_wholes(),
        None => vec![1; starts.len()],
    };
    if [ends.len(), axes.len(), steps.len()].iter().any(|count| *count != starts.len()) {
        return refuse("has unlike numbers of starts, ends, axes and steps");
    }
    for (((start, end), axis), step) in starts.iter().zip(ends).zip(axes).zip(steps) {
        let axis = l.axis(axis, rank)?;
        let length = l.shape(x)[axis] as i64;
        let place = |at: i64| if at < 0 { at + length } else { at };
        if step == 0 {
            return refuse("has a step of 0");
        }
        let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
        let (start, end) = (place(*start).clamp(low, high), place(end).clamp(low, high));
        let places: Vec<Option<i64>> = match step > 0 {
            true => (start..end).step_by(step as usize).map(Some).collect(),
            false => (end + 1..start + 1).rev().step_by(-step as usize).map(Some).collect(),
        };
        if places.len() as i64 != length || step < 0 {
            x = l.along(x, axis, places, 0)?;
        }
    }
    Ok(x)
}

fn split(l: &mut Lowering<'_>) -> Result<bool, ModelError> {
    let x = l.input(0)?;
    let axis = l.axis(l.int("axis", 0), l.rank(x))?;
    let length = l.shape(x)[axis] as i64;
    let parts = match l.wholes("split", 1)? {
        Some(parts) => parts,
        None => {
            let count = l.int("num_outputs", l.node.outputs.len() as i64).clamp(1, 1024);
            let each = (length + count - 1) / count;
            (0..count).map(|n| (length - n * each).clamp(0, each)).collect()
        }
    };
    if parts.iter().any(|part| *part < 0) || parts.iter().sum::<i64>() != length {
        return refuse("has parts that do not make the whole");
    }
    let mut first = 0;
    for (nth, part) in parts.into_iter().enumerate() {
        let made = l.along(x, axis, (first..first + part).map(Some).collect(), 0)?;
        l.set(nth, made)?;
        first += part;
    }
    Ok(true)
}

fn pad(l: &mut Lowering<'_>) -> Lowered {
    let mut x = l.input(0)?;
    let rank = l.rank(x);
    let pads = l.wholes("pads", 1)?.unwrap_or_default();
    let axes = match l.optional(3) {
        Some(value) => l.constant(value)?.to_wholes(),
        None => (0..rank as i64).collect(),
    };
    if pads.len() != axes.len() * 2 {
        return refuse("has no two paddings for each axis");
    }
    let outside = match l.optional(2) {
        Some(value) => l.constant(value)?.words.first().copied().unwrap_or_default(),
        None => crate::render::exact::tame(l.float("value", 0.0)).to_bits(),
    };
    let mode = l.text("mode", "constant");
    for (nth, axis) in axes.iter().enumerate() {
        let axis = l.axis(*axis, rank)?;
        let (before, after) = (pads[nth], pads[nth + axes.len()]);
        let length = l.shape(x)[axis] as i64;
        if (before, after) == (0, 0) {
            continue;
        }
        let end = length.saturating_add(after);
        if before.abs() > LENGTH_MAX || end > LENGTH_MAX || (mode != "constant" && length == 0) {
            return refuse("pads by too much");
        }
        let place = |at: i64| match mode.as_str() {
            "constant" => (0..length).contains(&at).then_some(at),
            "edge" => Some(at.clamp(0, length - 1)),
            "wrap" => Some(at.rem_euclid(length)),
            _ => {
                let turn = (2 * (length - 1)).max(1);
                let at = at.rem_euclid(turn);
                Some(if at < length { at } else { turn - at })
            }
        };
        if !["constant", "edge", "wrap", "reflect"].contains(&mode.as_str()) {
            return Err(ModelError::unsupported(format!("pads in the way `{mode}`")));
        }
        x = l.along(x, axis, (-before..end).map(place).collect(), outside)?;
    }
    Ok(x)
}

fn tile(l: &mut Lowering<'_>) -> Lowered {
    let (mut x, repeats) = (l.input(0)?, l.constant(l.input(1)?)?.to_wholes());
    if repeats.len() != l.rank(x) {
        return refuse("has no number for each axis");
    }
    for (axis, times) in repeats.into_iter().enumerate() {
        let length = l.shape(x)[axis] as i64;
        if !(0..LENGTH_MAX).contains(&times) || length.saturating_mul(times) > LENGTH_MAX {
            return refuse("repeats too often");
        }
        if times != 1 {
            x = l.along(x, axis, (0..length * times).map(|at| Some(at % length)).collect(), 0)?;
        }
    }
    Ok(x)
}

fn gather(l: &mut Lowering<'_>) -> Lowered {
    let (x, indices) = (l.input(0)?, l.input(1)?);
    let (shape, chosen) = (l.shape(x), l.shape(indices));
    let axis = l.axis(l.int("axis", 0), shape.len())?;
    let count: usize = chosen.iter().product();
    let mut flat = shape.clone();
    flat[axis] = count;
    let result = [&shape[..axis], &chosen, &shape[axis + 1..]].concat();
    let made = if let Ok(known) = l.constant(indices) {
        let length = shape[axis] as i64;
        let place = |at: &i64| if *at < 0 { at + length } else { *at };
        let places: Vec<i64> = known.to_wholes().iter().map(place).collect();
        if places.iter().any(|at| !(0..length).contains(at)) {
            return refuse("chooses an element that is not there");
        }
        l.along(x, axis, places.into_iter().map(Some).collect(), 0)?
    } else {
        let gathering = Gathering { axis, each: false };
        let kind = l.kind(x);
        l.program.add(Operation::Gather(gathering), &[x, indices], kind, &flat)?
    };
    l.reshape(made, &result)
}

fn gather_elements(l: &mut Lowering<'_>) -> Lowered {
    let (x, indices) = (l.input(0)?, l.input(1)?);
    let (shape, chosen) = (l.shape(x), l.shape(indices));
    let axis = l.axis(l.int("axis", 0), shape.len())?;
    let alike = shape.len() == chosen.len()
        && (0..shape.len()).all(|at| at == axis || shape[at] == chosen[at]);
    if !alike {
        return Err(ModelError::unsupported("chooses from a part of the other dimensions"));
    }
    let (kind, gathering) = (l.kind(x), Gathering { axis, each: true });
    l.program.add(Operation::Gather(gathering), &[x, indices], kind, &chosen)
}

/// The block size, and the shape, of four dimensions.
fn block(l: &Lowering<'_>) -> Result<(usize, usize, [usize; 4]), ModelError> {
    let x = l.input(0)?;
    let size = usize::try_from(l.int("blocksize", 0)).unwrap_or_default();
    match <[usize; 4]>::try_from(l.shape(x)) {
        Ok(shape) if (1..=1024).contains(&size) => Ok((x, size, shape)),
        _ => refuse("needs four dimensions and a block size"),
    }
}

fn depth_to_space(l: &mut Lowering<'_>) -> Lowered {
    let (x, size, [images, depth, height, width]) = block(l)?;
    if !depth.is_multiple_of(size * size) {
        return refuse("has channels that make no whole blocks");
    }
    let channels = depth / (size * size);
    // How far a channel, a row and a column of the block move among the channels read.
    let (own, row, column) = match l.text("mode", "DCR").as_str() {
        "CRD" => (size * size, size, 1),
        _ => (1, size * channels, channels),
    };
    let spread = |along: usize, length: usize, step: usize| Axis {
        along: vec![along, 1],
        places: (0..length * size)
            .map(|at| Some(vec![(at / size) as i64, (at % size * step) as i64]))
            .collect(),
    };
    let axes = vec![
        Axis::same(0, images),
        Axis::of(1, (0..channels).map(|at| Some((at * own) as i64))),
        spread(2, height, row),
        spread(3, width, column),
    ];
    l.view(x, View::new(4, axes), &[images, channels, height * size, width * size])
}

fn space_to_depth(l: &mut Lowering<'_>) -> Lowered {
    let (x, size, [images, channels, height, width]) = block(l)?;
    if !height.is_multiple_of(size) || !width.is_multiple_of(size) {
        return refuse("has a height or width that makes no whole blocks");
    }
    let place = |at: usize| {
        let (block, channel) = (at / channels, at % channels);
        Some(vec![channel as i64, (block / size) as i64, (block % size) as i64])
    };
    let steps = |along: usize, length: usize| {
        Axis::of(along, (0..length / size).map(|at| Some((at * size) as i64)))
    };
    let depth = channels * size * size;
    let axes = vec![
        Axis::same(0, images),
        Axis { along: vec![1, 2, 3], places: (0..depth).map(place).collect() },
        steps(2, height),
        steps(3, width),
    ];
    l.view(x, View::new(4, axes), &[images, depth, height / size, width / size])
}

fn trilu(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let shape = l.shape(x);
    let by = match l.optional(1) {
        Some(value) => l.constant(value)?.to_wholes().first().copied().unwrap_or_default(),
        None => 0,
    };
    let &[.., rows, columns] = &shape[..] else { return refuse("needs two dimensions") };
    let upper = l.int("upper", 1) == 1;
    let keeps = |row: usize, column: usize| {
        let ahead = (column as i64).saturating_sub(row as i64);
        if upper { ahead >= by } else { ahead <= by }
    };
    let words = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    let words = words.map(|(row, column)| u32::from(keeps(row, column))).collect();
    let mask = Tensor { kind: Type::Bool, shape: vec![rows, columns], words };
    let (mask, kind) = (l.program.known(mask)?, l.kind(x));
    let zero = l.program.known(Tensor { kind, shape: vec![], words: vec![0] })?;
    let choose = crate::infer::map::Map::plain(crate::infer::map::Function::Choose);
    l.mapped(choose, &[mask, x, zero], kind)
}

fn eye_like(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let (shape, ahead) = (l.shape(x), l.int("k", 0));
    let &[rows, columns] = &shape[..] else { return refuse("needs two dimensions") };
    let to = l.attribute("dtype").map(|own| own.int);
    let kind = match to {
        Some(to) => i32::try_from(to).ok().and_then(Type::of_onnx),
        None => Some(l.kind(x)),
    };
    let Some(kind) = kind else { return Err(ModelError::unsupported("makes such a type")) };
    let one = if kind.is_float() { 1.0_f32.to_bits() } else { 1 };
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    let on = |(row, column): (usize, usize)| row as i64 + ahead == column as i64;
    let words = places.map(|place| if on(place) { one } else { 0 }).collect();
    l.program.known(Tensor { kind, shape, words })
}
