//! Reductions, and the normalizations made of them.

use super::pointwise::converted;
use super::{Lowered, Lowering, refuse};
use crate::infer::ModelError;
use crate::infer::map::Function;
use crate::infer::reduction::Over;
use crate::infer::tensor::Type;

/// Whether the node is one of them.
pub fn lower(l: &mut Lowering<'_>) -> Result<bool, ModelError> {
    let operator = l.node.operator.clone();
    let made = match operator.as_str() {
        "ArgMax" => ranked(l, Over::PlaceOfGreatest)?,
        "ArgMin" => ranked(l, Over::PlaceOfLeast)?,
        "GlobalAveragePool" => global(l, Over::Mean)?,
        "GlobalMaxPool" => global(l, Over::Greatest)?,
        "Softmax" | "LogSoftmax" => softmax(l, operator == "LogSoftmax")?,
        "BatchNormalization" => batch(l)?,
        "InstanceNormalization" => instance(l)?,
        "GroupNormalization" => group(l)?,
        "LayerNormalization" => return layer(l),
        "RMSNormalization" => root_mean_square(l)?,
        "LpNormalization" => power_mean(l)?,
        "MeanVarianceNormalization" => {
            let x = l.input(0)?;
            let axes = l.ints("axes").unwrap_or_else(|| vec![0, 2, 3]);
            let axes = l.axes(&axes, l.rank(x))?;
            let (centred, variance) = moments(l, x, &axes)?;
            let spread = l.one(Function::Root, variance)?;
            let spread = l.affine(spread, 1.0, 1e-9)?;
            l.two(Function::Divide, centred, spread)?
        }
        "LRN" => local_response(l)?,
        _ => match operator.strip_prefix("Reduce") {
            Some(kind) => reduce(l, kind)?,
            None => return Ok(false),
        },
    };
    l.set(0, made)
}

fn reduce(l: &mut Lowering<'_>, kind: &str) -> Lowered {
    let mut x = l.input(0)?;
    let rank = l.rank(x);
    let axes = l.wholes("axes", 1)?.filter(|axes| !axes.is_empty());
    if axes.is_none() && l.int("noop_with_empty_axes", 0) == 1 {
        return Ok(x);
    }
    let axes = match axes {
        Some(axes) => l.axes(&axes, rank)?,
        None => (0..rank).collect(),
    };
    let keep = l.int("keepdims", 1) == 1;
    let is_float = l.is_float(x);
    let own = l.kind(x);
    if let Some(over) = plain(kind, is_float) {
        return l.reduce(x, over, &axes, keep);
    }
    if !is_float {
        x = converted(l, x, Type::Float)?;
    }
    let made = match kind {
        "L1" => {
            let size = l.one(Function::Absolute, x)?;
            l.reduce(size, Over::Sum, &axes, keep)?
        }
        "L2" | "SumSquare" => {
            let square = l.two(Function::Multiply, x, x)?;
            let sum = l.reduce(square, Over::Sum, &axes, keep)?;
            if kind == "L2" { l.one(Function::Root, sum)? } else { sum }
        }
        "LogSum" => {
            let sum = l.reduce(x, Over::Sum, &axes, keep)?;
            l.one(Function::Logarithm, sum)?
        }
        "LogSumExp" => {
            let most = l.reduce(x, Over::Greatest, &axes, true)?;
            let below = l.two(Function::Subtract, x, most)?;
            let powers = l.one(Function::Exponential, below)?;
            let sum = l.reduce(powers, Over::Sum, &axes, true)?;
            let logarithm = l.one(Function::Logarithm, sum)?;
            let made = l.two(Function::Add, logarithm, most)?;
            // One place long where it was reduced, so any reduction drops these dimensions.
            l.reduce(made, Over::Greatest, &axes, keep)?
        }
        "Mean" => {
            let mean = l.reduce(x, Over::Mean, &axes, keep)?;
            return converted(l, mean, own);
        }
        other => return Err(ModelError::unsupported(format!("reduces by `{other}`"))),
    };
    converted(l, made, own)
}

/// A reduction that needs nothing else.
fn plain(kind: &str, is_float: bool) -> Option<Over> {
    match (kind, is_float) {
        ("Sum", true) => Some(Over::Sum),
        ("Sum", false) => Some(Over::WholeSum),
        ("Mean", true) => Some(Over::Mean),
        ("Max", true) => Some(Over::Greatest),
        ("Max", false) => Some(Over::WholeGreatest),
        ("Min", true) => Some(Over::Least),
        ("Min", false) => Some(Over::WholeLeast),
        ("Prod", true) => Some(Over::Product),
        ("Prod", false) => Some(Over::WholeProduct),
        _ => None,
    }
}

fn ranked(l: &mut Lowering<'_>, over: Over) -> Lowered {
    let mut x = l.input(0)?;
    let axis = l.axis(l.int("axis", 0), l.rank(x))?;
    if !l.is_float(x) {
        x = converted(l, x, Type::Float)?;
    }
    let length = l.shape(x)[axis] as i64;
    let last = l.int("select_last_index", 0) == 1;
    if last {
        x = l.along(x, axis, (0..length).rev().map(Some).collect(), 0)?;
    }
    let made = l.reduce(x, over, &[axis], l.int("keepdims", 1) == 1)?;
    if !last {
        return Ok(made);
    }
    let end = l.whole(length - 1)?;
    l.two(Function::WholeSubtract, end, made)
}

/// Over all but the first two dimensions.
fn global(l: &mut Lowering<'_>, over: Over) -> Lowered {
    let x = l.input(0)?;
    let axes: Vec<usize> = (2..l.rank(x)).collect();
    l.reduce(x, over, &axes, true)
}

fn softmax(l: &mut Lowering<'_>, logarithmic: bool) -> Lowered {
    let x = l.input(0)?;
    let rank = l.rank(x);
    let old = l.opset < 13;
    let axis = l.axis(l.int("axis", if old { 1 } else { -1 }), rank)?;
    // Before operator set 13 all that follows the axis counts as one dimension.
    let axes: Vec<usize> = if old { (axis..rank).collect() } else { vec![axis] };
    let most = l.reduce(x, Over::Greatest, &axes, true)?;
    let below = l.two(Function::Subtract, x, most)?;
    let powers = l.one(Function::Exponential, below)?;
    let sum = l.reduce(powers, Over::Sum, &axes, true)?;
    if logarithmic {
        let sum = l.one(Function::Logarithm, sum)?;
        return l.two(Function::Subtract, below, sum);
    }
    l.two(Function::Divide, powers, sum)
}

/// What is left of x without its mean, and its variance.
fn moments(l: &mut Lowering<'_>, x: usize, axes: &[usize]) -> Result<(usize, usize), ModelError> {
    let mean = l.reduce(x, Over::Mean, axes, true)?;
    let centred = l.two(Function::Subtract, x, mean)?;
    let square = l.two(Function::Multiply, centred, centred)?;
    let variance = l.reduce(square, Over::Mean, axes, true)?;
    Ok((centred, variance))
}

/// `1 / sqrt(variance + epsilon)`.
fn inverse_spread(l: &mut Lowering<'_>, variance: usize, epsilon: f32) -> Lowered {
    let padded = l.affine(variance, 1.0, epsilon)?;
    let spread = l.one(Function::Root, padded)?;
    l.one(Function::Reciprocal, spread)
}

/// A list over channels, so that it is broadcast over what follows them.
fn by_channel(l: &mut Lowering<'_>, list: usize, rank: usize) -> Lowered {
    let count: usize = l.shape(list).iter().product();
    let mut shape = vec![1; rank.saturating_sub(1).max(1)];
    shape[0] = count;
    l.reshape(list, &shape)
}

fn scaled(l: &mut Lowering<'_>, x: usize, scale: usize, bias: Option<usize>) -> Lowered {
    let made = l.two(Function::Multiply, x, scale)?;
    match bias {
        Some(bias) => l.two(Function::Add, made, bias),
        None => Ok(made),
    }
}

fn batch(l: &mut Lowering<'_>) -> Lowered {
    if l.int("training_mode", 0) == 1 || l.node.outputs.iter().skip(1).any(|name| !name.is_empty())
    {
        return Err(ModelError::unsupported("is in training"));
    }
    let x = l.input(0)?;
    let rank = l.rank(x);
    let lists = [1, 2, 3, 4].map(|nth| l.input(nth));
    let mut shaped = [0; 4];
    for (to, list) in shaped.iter_mut().zip(lists) {
        *to = by_channel(l, list?, rank)?;
    }
    let [scale, bias, mean, variance] = shaped;
    let spread = inverse_spread(l, variance, l.float("epsilon", 1e-5))?;
    let factor = l.two(Function::Multiply, scale, spread)?;
    let centred = l.two(Function::Subtract, x, mean)?;
    scaled(l, centred, factor, Some(bias))
}

fn instance(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let rank = l.rank(x);
    let axes: Vec<usize> = (2..rank).collect();
    let (centred, variance) = moments(l, x, &axes)?;
    let spread = inverse_spread(l, variance, l.float("epsilon", 1e-5))?;
    let (scale, bias) = (l.input(1)?, l.input(2)?);
    let (scale, bias) = (by_channel(l, scale, rank)?, by_channel(l, bias, rank)?);
    let even = l.two(Function::Multiply, centred, spread)?;
    scaled(l, even, scale, Some(bias))
}

fn group(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let shape = l.shape(x);
    let groups = usize::try_from(l.int("num_groups", 1)).unwrap_or_default();
    if shape.len() < 2 || groups == 0 || !shape[1].is_multiple_of(groups) {
        return refuse("has channels that make no whole groups");
    }
    let mut split = shape.clone();
    split[1] = groups;
    split.insert(2, shape[1] / groups);
    let parted = l.reshape(x, &split)?;
    let axes: Vec<usize> = (2..split.len()).collect();
    let (centred, variance) = moments(l, parted, &axes)?;
    let spread = inverse_spread(l, variance, l.float("epsilon", 1e-5))?;
    let mut even = l.two(Function::Multiply, centred, spread)?;
    let (scale, bias) = (l.input(1)?, l.input(2)?);
    // Before operator set 21 there was a scale for each group.
    let by_group = l.shape(scale).iter().product::<usize>() == groups && groups != shape[1];
    if by_group {
        let (scale, bias) = (by_channel(l, scale, split.len())?, by_channel(l, bias, split.len())?);
        even = scaled(l, even, scale, Some(bias))?;
        return l.reshape(even, &shape);
    }
    let even = l.reshape(even, &shape)?;
    let (scale, bias) = (by_channel(l, scale, shape.len())?, by_channel(l, bias, shape.len())?);
    scaled(l, even, scale, Some(bias))
}

fn layer(l: &mut Lowering<'_>) -> Result<bool, ModelError> {
    let x = l.input(0)?;
    let rank = l.rank(x);
    let first = l.axis(l.int("axis", -1), rank)?;
    let axes: Vec<usize> = (first..rank).collect();
    let mean = l.reduce(x, Over::Mean, &axes, true)?;
    let (centred, variance) = moments(l, x, &axes)?;
    let spread = inverse_spread(l, variance, l.float("epsilon", 1e-5))?;
    let even = l.two(Function::Multiply, centred, spread)?;
    let made = scaled(l, even, l.input(1)?, l.optional(2))?;
    l.set(1, mean)?;
    l.set(2, spread)?;
    l.set(0, made)
}

fn root_mean_square(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let rank = l.rank(x);
    let axes: Vec<usize> = (l.axis(l.int("axis", -1), rank)?..rank).collect();
    let square = l.two(Function::Multiply, x, x)?;
    let mean = l.reduce(square, Over::Mean, &axes, true)?;
    let spread = inverse_spread(l, mean, l.float("epsilon", 1e-5))?;
    let even = l.two(Function::Multiply, x, spread)?;
    scaled(l, even, l.input(1)?, None)
}

fn power_mean(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let axis = l.axis(l.int("axis", -1), l.rank(x))?;
    let size = if l.int("p", 2) == 1 {
        let size = l.one(Function::Absolute, x)?;
        l.reduce(size, Over::Sum, &[axis], true)?
    } else {
        let square = l.two(Function::Multiply, x, x)?;
        let sum = l.reduce(square, Over::Sum, &[axis], true)?;
        l.one(Function::Root, sum)?
    };
    l.two(Function::Divide, x, size)
}

/// Local response normalization over neighbouring channels.
fn local_response(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let shape = l.shape(x);
    let size = l.int("size", 1);
    if shape.len() < 2 || !(1..=1024).contains(&size) {
        return refuse("has no channels, or no size");
    }
    let square = l.two(Function::Multiply, x, x)?;
    let (before, channels) = ((size - 1) / 2, shape[1] as i64);
    let mut sum = None;
    for offset in -before..size - before {
        let place = |at: i64| (0..channels).contains(&at).then_some(at);
        let moved = l.along(square, 1, (0..channels).map(|at| place(at + offset)).collect(), 0)?;
        sum = Some(match sum {
            None => moved,
            Some(sum) => l.two(Function::Add, sum, moved)?,
        });
    }
    let alpha = l.float("alpha", 1e-4) / size as f32;
    let base = l.affine(sum.unwrap_or(square), alpha, l.float("bias", 1.0))?;
    let beta = l.scalar(l.float("beta", 0.75))?;
    let below = l.two(Function::Power, base, beta)?;
    l.two(Function::Divide, x, below)
}
