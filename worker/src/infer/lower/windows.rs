//! Convolutions and pools.

use super::{Lowered, Lowering, refuse};
use crate::infer::ModelError;
use crate::infer::convolution::{Convolution, block};
use crate::infer::map::Function;
use crate::infer::program::Operation;
use crate::infer::tensor::{Tensor, Type};
use crate::infer::view::{Axis, View};
use crate::infer::window::{Pool, Spread, Within};

/// Longest side of a window, greatest stride and dilation.
const WINDOW_MAX: i64 = 4096;

/// Whether the node is one of them.
pub fn lower(l: &mut Lowering<'_>) -> Result<bool, ModelError> {
    let made = match l.node.operator.as_str() {
        "Conv" => {
            let (x, weights) = (l.input(0)?, l.input(1)?);
            let bias = l.optional(2);
            convolution(l, x, weights, bias, None)?
        }
        "ConvTranspose" => transposed(l)?,
        "MaxPool" if l.node.outputs.len() > 1 => {
            return Err(ModelError::unsupported("also gives the places of the greatest"));
        }
        "MaxPool" => pool(l, Within::Greatest)?,
        "AveragePool" => pool(l, Within::Mean)?,
        "LpPool" => power_pool(l)?,
        _ => return Ok(false),
    };
    l.set(0, made)
}

/// A window over some dimensions: its size, stride, dilation, and the padding at both ends.
struct Window {
    kernel: Vec<usize>,
    stride: Vec<usize>,
    dilation: Vec<usize>,
    padding: Vec<[usize; 2]>,
    written: Vec<usize>,
}

fn list(l: &Lowering<'_>, name: &str, rank: usize, least: i64) -> Result<Vec<usize>, ModelError> {
    let values = l.ints(name).unwrap_or_else(|| vec![1; rank]);
    let fits = |value: &i64| (least..=WINDOW_MAX).contains(value);
    if values.len() != rank || !values.iter().all(fits) {
        return refuse(format!("has `{name}` of {values:?}"));
    }
    Ok(values.into_iter().map(|value| value as usize).collect())
}

fn window(l: &Lowering<'_>, sizes: &[usize], kernel: Vec<usize>) -> Result<Window, ModelError> {
    let rank = sizes.len();
    let (stride, dilation) = (list(l, "strides", rank, 1)?, list(l, "dilations", rank, 1)?);
    let own = match l.ints("pads") {
        Some(own)
            if own.len() == rank * 2 && own.iter().all(|at| (0..=WINDOW_MAX).contains(at)) =>
        {
            own
        }
        Some(own) if !own.is_empty() => return refuse(format!("has `pads` of {own:?}")),
        _ => vec![0; rank * 2],
    };
    let (auto, ceiling) = (l.text("auto_pad", "NOTSET"), l.int("ceil_mode", 0) == 1);
    let (mut padding, mut written) = (Vec::new(), Vec::new());
    for d in 0..rank {
        let reach = (kernel[d] - 1) * dilation[d] + 1;
        let mut both = [own[d] as usize, own[d + rank] as usize];
        if auto.starts_with("SAME") {
            let count = sizes[d].div_ceil(stride[d]);
            let needed = ((count - 1) * stride[d] + reach).saturating_sub(sizes[d]);
            let less = needed / 2;
            both = [less, needed - less];
            if auto == "SAME_LOWER" {
                both.reverse();
            }
        }
        let Some(room) = (sizes[d] + both[0] + both[1]).checked_sub(reach) else {
            return refuse("has a window that is larger than its tensor");
        };
        let mut count = room / stride[d] + 1;
        if ceiling && !room.is_multiple_of(stride[d]) && count * stride[d] < sizes[d] + both[0] {
            count += 1;
            both[1] = ((count - 1) * stride[d] + reach).saturating_sub(sizes[d] + both[0]);
        }
        padding.push(both);
        written.push(count);
    }
    Ok(Window { kernel, stride, dilation, padding, written })
}

/// One dimension becomes two, the first of them one long.
fn widened(l: &mut Lowering<'_>, x: usize) -> Lowered {
    let mut shape = l.shape(x);
    shape.insert(2, 1);
    l.reshape(x, &shape)
}

fn bias_or_zeros(
    l: &mut Lowering<'_>,
    bias: Option<usize>,
    channels: usize,
    kind: Type,
) -> Lowered {
    match bias {
        Some(bias) if l.shape(bias) == [channels] => Ok(bias),
        Some(_) => refuse("has no bias for each channel"),
        None => {
            let words = vec![0; channels];
            l.program.known(Tensor { kind, shape: vec![channels], words })
        }
    }
}

/// A convolution of floating point, or of whole numbers; or, where it is said what word stands
/// outside, of bytes, four channels to a word.
pub fn convolution(
    l: &mut Lowering<'_>,
    x: usize,
    weights: usize,
    bias: Option<usize>,
    bytes: Option<u32>,
) -> Lowered {
    let (image, shape) = (l.shape(x), l.shape(weights));
    if image.len() == 3 && shape.len() == 3 {
        return over_one(l, x, weights, bias, bytes);
    }
    let (&[_, read, ..], &[channels, each, rows, columns]) = (&image[..], &shape[..]) else {
        return Err(ModelError::unsupported("is over neither one dimension nor two"));
    };
    let groups = usize::try_from(l.int("group", 1)).unwrap_or_default();
    let fits = image.len() == 4
        && groups > 0
        && each * groups == read
        && channels.is_multiple_of(groups)
        && rows * columns > 0;
    if !fits {
        return refuse(format!("reads {image:?} with weights of {shape:?} in {groups} groups"));
    }
    let window = window(l, &image[2..], vec![rows, columns])?;
    let bias = bias_or_zeros(l, bias, channels, l.kind(x))?;
    let packed = packed(l, weights, groups)?;
    let whole = !l.is_float(x);
    let convolution = Convolution {
        groups,
        channels,
        kernel: [rows, columns],
        stride: [window.stride[0], window.stride[1]],
        dilation: [window.dilation[0], window.dilation[1]],
        padding: [window.padding[0][0], window.padding[1][0]],
        followers: Vec::new(),
        whole,
        bytes,
    };
    let kind = if whole { Type::I32 } else { Type::Float };
    let shape = [image[0], channels, window.written[0], window.written[1]];
    let operation = Operation::Convolve(convolution);
    l.program.add(operation, &[x, packed, bias], kind, &shape)
}

/// Over one dimension: the other is one long.
fn over_one(
    l: &mut Lowering<'_>,
    x: usize,
    weights: usize,
    bias: Option<usize>,
    bytes: Option<u32>,
) -> Lowered {
    let (image, kernel) = (widened(l, x)?, widened(l, weights)?);
    let node = l.node;
    let mut wide = node.clone();
    for (name, first) in [("strides", 1), ("dilations", 1), ("kernel_shape", 1)] {
        if let Some(own) = wide.attributes.get_mut(name) {
            own.ints.insert(0, first);
        }
    }
    if let Some(own) = wide.attributes.get_mut("pads").filter(|own| own.ints.len() == 2) {
        own.ints = vec![0, own.ints[0], 0, own.ints[1]];
    }
    let mut inner = Lowering {
        program: std::mem::take(&mut l.program),
        values: Default::default(),
        opset: l.opset,
        node: &wide,
    };
    let made = convolution(&mut inner, image, kernel, bias, bytes);
    l.program = inner.program;
    let made = made?;
    let mut shape = l.shape(made);
    shape.remove(2);
    l.reshape(made, &shape)
}

/// Weights as `convolve` reads them: `[group][channels / block][channel read][row][column][block]`.
fn packed(l: &mut Lowering<'_>, weights: usize, groups: usize) -> Lowered {
    let shape = l.shape(weights);
    let (own, each, rows, columns) = (shape[0] / groups, shape[1], shape[2], shape[3]);
    let parted = l.reshape(weights, &[groups, own, each, rows, columns])?;
    let block = block(own);
    let filled = own.next_multiple_of(block);
    let places = (0..filled as i64).map(|at| (at < own as i64).then_some(at)).collect();
    let parted = if filled == own { parted } else { l.along(parted, 1, places, 0)? };
    let step = |along: usize, count: usize, by: usize| {
        Axis::of(along, (0..count).map(|at| Some((at * by) as i64)))
    };
    let axes = vec![
        step(0, groups, 1),
        step(1, filled / block, block),
        step(2, each, 1),
        step(3, rows, 1),
        step(4, columns, 1),
        step(1, block, 1),
    ];
    l.view(parted, View::new(5, axes), &[groups, filled / block, each, rows, columns, block])
}

fn transposed(l: &mut Lowering<'_>) -> Lowered {
    let (mut x, mut weights) = (l.input(0)?, l.input(1)?);
    let flat = l.rank(x) == 3 && l.rank(weights) == 3;
    if flat {
        (x, weights) = (widened(l, x)?, widened(l, weights)?);
    }
    let (image, shape) = (l.shape(x), l.shape(weights));
    let groups = usize::try_from(l.int("group", 1)).unwrap_or_default();
    let (&[images, read, ..], &[own, each, rows, columns]) = (&image[..], &shape[..]) else {
        return Err(ModelError::unsupported("is over neither one dimension nor two"));
    };
    let fits = image.len() == 4 && own == read && groups > 0 && read.is_multiple_of(groups);
    if !fits || rows * columns == 0 || !l.is_float(x) {
        return refuse(format!("reads {image:?} with weights of {shape:?} in {groups} groups"));
    }
    let kernel = [rows, columns];
    let (stride, dilation) = (pair(l, "strides", flat)?, pair(l, "dilations", flat)?);
    let (padding, written) = transposed_size(l, &image[2..], kernel, [stride, dilation], flat)?;
    let channels = each * groups;
    let bias = bias_or_zeros(l, l.optional(2), channels, Type::Float)?;
    let spread = Spread { groups, channels, kernel, stride, dilation, padding };
    let shape = [images, channels, written[0], written[1]];
    let inputs = [x, weights, bias];
    let made = l.program.add(Operation::Spread(spread), &inputs, Type::Float, &shape)?;
    match flat {
        true => l.reshape(made, &[images, channels, written[1]]),
        false => Ok(made),
    }
}

/// A list of two; of one dimension the first is 1.
fn pair(l: &Lowering<'_>, name: &str, flat: bool) -> Result<[usize; 2], ModelError> {
    let own = list(l, name, if flat { 1 } else { 2 }, 1)?;
    Ok(if flat { [1, own[0]] } else { [own[0], own[1]] })
}

/// What is cut off at the beginning, and the size that is left (ONNX, ConvTranspose).
fn transposed_size(
    l: &Lowering<'_>,
    sizes: &[usize],
    kernel: [usize; 2],
    [stride, dilation]: [[usize; 2]; 2],
    flat: bool,
) -> Result<([usize; 2], [usize; 2]), ModelError> {
    let rank = if flat { 1 } else { 2 };
    let of = |name: &str, count: usize| {
        l.ints(name).filter(|own| own.len() == count).unwrap_or_else(|| vec![0; count])
    };
    let (pads, extra, wished) =
        (of("pads", rank * 2), of("output_padding", rank), of("output_shape", rank));
    let auto = l.text("auto_pad", "NOTSET");
    let (mut padding, mut written) = ([0; 2], [1; 2]);
    for d in 0..2 {
        let Some(own) = (d + rank).checked_sub(2) else { continue };
        let reach = ((kernel[d] - 1) * dilation[d] + 1) as i64;
        let full = (stride[d] * (sizes[d] - 1)) as i64 + reach + extra[own];
        let (mut first, mut last) = (pads[own], pads[own + rank]);
        let wished = match auto.starts_with("SAME") {
            true if wished[own] == 0 => (sizes[d] * stride[d]) as i64,
            _ => wished[own],
        };
        if wished > 0 {
            let cut = full - wished;
            first = if auto == "SAME_UPPER" { cut / 2 } else { cut - cut / 2 };
            if cut < 0 {
                first = 0;
            }
            last = cut - first;
        }
        let size = full - first - last;
        if first < 0 || size <= 0 || first > WINDOW_MAX || extra[own] < 0 {
            return refuse("has paddings that leave nothing");
        }
        (padding[d], written[d]) = (first as usize, size as usize);
    }
    Ok((padding, written))
}

fn pool(l: &mut Lowering<'_>, within: Within) -> Lowered {
    let x = l.input(0)?;
    if !l.is_float(x) {
        let kind = l.kind(x);
        let float = super::pointwise::converted(l, x, Type::Float)?;
        let made = pooled(l, float, within)?;
        return super::pointwise::converted(l, made, kind);
    }
    pooled(l, x, within)
}

fn pooled(l: &mut Lowering<'_>, x: usize, within: Within) -> Lowered {
    let shape = l.shape(x);
    let rank = shape.len().saturating_sub(2);
    if !(1..=3).contains(&rank) || l.attribute("kernel_shape").is_none() {
        return Err(ModelError::unsupported("is over neither one, two nor three dimensions"));
    }
    let kernel = list(l, "kernel_shape", rank, 1)?;
    let window = window(l, &shape[2..], kernel)?;
    let missing = 3 - rank;
    let three = |own: &[usize]| -> [usize; 3] {
        let mut all = [1; 3];
        all[missing..].copy_from_slice(own);
        all
    };
    let mut padding = [[0; 2]; 3];
    padding[missing..].copy_from_slice(&window.padding);
    let pool = Pool {
        within,
        kernel: three(&window.kernel),
        stride: three(&window.stride),
        dilation: three(&window.dilation),
        padding,
        counts_padding: l.int("count_include_pad", 0) == 1,
    };
    let wide = |own: &[usize]| [&shape[..2], &three(own)].concat();
    let (read, written) = (wide(&shape[2..]), wide(&window.written));
    let deep = l.reshape(x, &read)?;
    let made = l.program.add(Operation::Pool(pool), &[deep], Type::Float, &written)?;
    l.reshape(made, &[&shape[..2], &window.written].concat())
}

/// The p-th root of the sum of p-th powers.
fn power_pool(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let p = l.int("p", 2);
    let size = l.one(Function::Absolute, x)?;
    let (by, back) = (l.scalar(p as f32)?, l.scalar(1.0 / p as f32)?);
    let powers = match p {
        1 => size,
        2 => l.two(Function::Multiply, x, x)?,
        _ => l.two(Function::Power, size, by)?,
    };
    let sum = pooled(l, powers, Within::Sum)?;
    match p {
        1 => Ok(sum),
        2 => l.one(Function::Root, sum),
        _ => l.two(Function::Power, sum, back),
    }
}
