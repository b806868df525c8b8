//! Operators over whole numbers that stand for others: value = (number - zero point) * scale.

use super::pointwise::converted;
use super::{Lowered, Lowering, matrix, windows};
use crate::infer::ModelError;
use crate::infer::bytes::{BYTES, Packing, word};
use crate::infer::map::{Function, Map};
use crate::infer::program::Operation;
use crate::infer::reduction::Over;
use crate::infer::tensor::{Tensor, Type};

/// Whether the node is one of them.
pub fn lower(l: &mut Lowering<'_>) -> Result<bool, ModelError> {
    let made = match l.node.operator.as_str() {
        "QuantizeLinear" => {
            let (x, scale) = (l.input(0)?, l.input(1)?);
            let (scale, zero) = (spread(l, x, scale)?, l.optional(2));
            let zero = zero.map(|zero| spread(l, x, zero)).transpose()?;
            quantize(l, x, scale, zero)?
        }
        "DequantizeLinear" => {
            let (x, scale, zero) = (l.input(0)?, l.input(1)?, l.optional(2));
            let scale = spread(l, x, scale)?;
            let zero = zero.map(|zero| spread(l, x, zero)).transpose()?;
            dequantize(l, x, scale, zero)?
        }
        "DynamicQuantizeLinear" => return dynamic(l),
        "MatMulInteger" => multiplied(l, [2, 1, 3])?,
        "ConvInteger" => convolved(l, [2, 1, 3], None)?,
        "QLinearMatMul" => {
            let sum = multiplied(l, [2, 3, 5])?;
            rescaled(l, sum, [l.input(1)?, l.input(4)?, l.input(6)?], l.input(7)?)?
        }
        "QLinearConv" => {
            let bias = l.optional(8);
            let sum = convolved(l, [2, 3, 5], bias)?;
            rescaled(l, sum, [l.input(1)?, l.input(4)?, l.input(6)?], l.input(7)?)?
        }
        _ => return Ok(false),
    };
    l.set(0, made)
}

/// A scale for each place along the axis, or one for all.
fn spread(l: &mut Lowering<'_>, x: usize, scale: usize) -> Lowered {
    let (rank, own) = (l.rank(x), l.shape(scale));
    if l.int("block_size", 0) != 0 || own.len() > 1 {
        return Err(ModelError::unsupported("has scales by blocks"));
    }
    let count: usize = own.iter().product();
    if count == 1 {
        return l.reshape(scale, &[]);
    }
    let axis = l.axis(l.int("axis", 1), rank)?;
    let mut shape = vec![1; rank];
    shape[axis] = count;
    l.reshape(scale, &shape)
}

fn range(kind: Type) -> Result<(i32, i32), ModelError> {
    match kind {
        Type::U8 => Ok((0, 255)),
        Type::I8 => Ok((-128, 127)),
        Type::U16 => Ok((0, 65_535)),
        Type::I16 => Ok((-32_768, 32_767)),
        _ => Err(ModelError::unsupported("quantizes to numbers of such a type")),
    }
}

fn quantize(l: &mut Lowering<'_>, x: usize, scale: usize, zero: Option<usize>) -> Lowered {
    let kind = zero.map_or(Type::U8, |zero| l.kind(zero));
    let (low, high) = range(kind)?;
    let x = converted(l, x, Type::Float)?;
    let steps = l.two(Function::Divide, x, scale)?;
    let steps = l.one(Function::Round, steps)?;
    let mut made = converted(l, steps, Type::I32)?;
    if let Some(zero) = zero {
        let limit =
            Map { function: Function::WholeClamp, alpha: -(1_i32 << 24) as u32, beta: 1 << 24 };
        made = l.mapped(limit, &[made], Type::I32)?;
        made = l.two(Function::WholeAdd, made, zero)?;
    }
    let clamp = Map { function: Function::WholeClamp, alpha: low as u32, beta: high as u32 };
    l.mapped(clamp, &[made], kind)
}

fn dequantize(l: &mut Lowering<'_>, x: usize, scale: usize, zero: Option<usize>) -> Lowered {
    let mut wide = converted(l, x, Type::I32)?;
    if let Some(zero) = zero {
        wide = l.two(Function::WholeSubtract, wide, zero)?;
    }
    let float = converted(l, wide, Type::Float)?;
    l.two(Function::Multiply, float, scale)
}

/// An input as whole numbers above its zero point.
fn above(l: &mut Lowering<'_>, nth: usize, zero: usize) -> Lowered {
    let x = l.input(nth)?;
    let wide = converted(l, x, Type::I32)?;
    match l.optional(zero) {
        None => Ok(wide),
        Some(zero) => {
            let count: usize = l.shape(zero).iter().product();
            let rank = l.rank(x);
            // A list goes along the first matrix's rows, weights' channels, the second's columns.
            let shape = match (count, l.node.operator.as_str(), nth) {
                (1, ..) => vec![],
                (_, "ConvInteger" | "QLinearConv", _) => {
                    let mut shape = vec![1; rank];
                    shape[0] = count;
                    shape
                }
                (_, _, 0) => vec![count, 1],
                _ => vec![count],
            };
            let zero = if l.rank(zero) > 1 { zero } else { l.reshape(zero, &shape)? };
            l.two(Function::WholeSubtract, wide, zero)
        }
    }
}

/// A convolution of numbers above their zero points; which inputs the image's zero point, the
/// weights and theirs are.
fn convolved(
    l: &mut Lowering<'_>,
    [zero, weights, weights_zero]: [usize; 3],
    bias: Option<usize>,
) -> Lowered {
    let weights = above(l, weights, weights_zero)?;
    let x = l.input(0)?;
    match in_bytes(l, x, zero, weights, bias) {
        Some(bytes) => of_bytes(l, x, &bytes),
        None => {
            let x = above(l, 0, zero)?;
            windows::convolution(l, x, weights, bias, None)
        }
    }
}

/// A product of such matrices: where the second one is known, as a convolution over one place that
/// reads a channel for each term.
fn multiplied(l: &mut Lowering<'_>, [zero, b, b_zero]: [usize; 3]) -> Lowered {
    let b = above(l, b, b_zero)?;
    let (a, shape) = (l.input(0)?, l.shape(l.input(0)?));
    if let (&[terms, columns], Some((last, before))) = (&l.shape(b)[..], shape.split_last())
        && *last == terms
        && !before.is_empty()
        && l.constant(b).is_ok()
    {
        let rows: usize = before.iter().product();
        let turned = l.transpose(b, &[1, 0])?;
        let weights = l.reshape(turned, &[columns, terms, 1, 1])?;
        if let Some(bytes) = in_bytes(l, a, zero, weights, None) {
            let flat = l.reshape(a, &[rows, terms])?;
            let turned = l.transpose(flat, &[1, 0])?;
            let image = l.reshape(turned, &[1, terms, 1, rows])?;
            let made = of_bytes(l, image, &bytes)?;
            let made = l.reshape(made, &[columns, rows])?;
            let made = l.transpose(made, &[1, 0])?;
            return l.reshape(made, &[before, &[columns]].concat());
        }
    }
    let a = above(l, 0, zero)?;
    matrix::product(l, a, b)
}

/// What a convolution of bytes takes beside its image.
struct InBytes {
    /// What makes signed bytes of the image's numbers.
    offset: u32,
    /// The zero point after that.
    zero: i32,
    /// Known weights, four channels to a word.
    weights: Tensor,
    /// With what the zero point adds to each channel.
    bias: Tensor,
}

/// Weights and zero point as bytes; `None` where they are not known beforehand or fit in none.
fn in_bytes(
    l: &Lowering<'_>,
    x: usize,
    zero: usize,
    weights: usize,
    bias: Option<usize>,
) -> Option<InBytes> {
    let offset = match l.kind(x) {
        Type::I8 => 0,
        Type::U8 => -128,
        _ => return None,
    };
    let zero = l.optional(zero).map(|zero| l.constant(zero).ok()).map_or(Some(0), |zero| {
        let zero = zero?;
        (zero.words.len() == 1).then(|| zero.words[0] as i32)
    })?;
    let known = l.constant(weights).ok()?;
    let (&[channels, each, ..], rank) = (&known.shape[..], known.shape.len()) else { return None };
    let fits = known.words.iter().all(|word| i8::try_from(*word as i32).is_ok());
    let places: usize = known.shape[2..].iter().product();
    let divides = each.is_multiple_of(BYTES) || l.int("group", 1) == 1;
    if !fits || !divides || !(3..=4).contains(&rank) || each * places == 0 {
        return None;
    }
    let zero = zero + offset;
    let bias = match bias.map(|bias| l.constant(bias).ok()) {
        None => vec![0; channels],
        Some(bias) => bias?.words.clone(),
    };
    let own = known.words.chunks_exact(each * places);
    let sums = own.clone().map(|own| own.iter().fold(0_u32, |sum, word| sum.wrapping_add(*word)));
    let added = sums.zip(&bias).map(|(sum, bias)| bias.wrapping_sub(sum.wrapping_mul(zero as u32)));
    let words = own.flat_map(|own| {
        let number = move |at: usize| own.get(at).copied().unwrap_or_default();
        let four = move |at: usize| {
            let first = at / places * BYTES * places + at % places;
            [0, 1, 2, 3].map(|k| number(first + k * places))
        };
        (0..each.div_ceil(BYTES) * places).map(move |at| word(four(at)))
    });
    let mut shape = known.shape.clone();
    shape[1] = each.div_ceil(BYTES);
    let weights = Tensor { kind: Type::I32, shape, words: words.collect() };
    let words: Vec<u32> = added.collect();
    let bias = Tensor { kind: Type::I32, shape: vec![bias.len()], words };
    Some(InBytes { offset: offset as u32, zero, weights, bias })
}

/// A convolution of bytes: what stands outside is the zero point.
fn of_bytes(l: &mut Lowering<'_>, x: usize, bytes: &InBytes) -> Lowered {
    let mut shape = l.shape(x);
    if shape.len() < 3 {
        return super::refuse("has no channels");
    }
    shape[1] = shape[1].div_ceil(BYTES);
    let packing = Operation::Pack(Packing { offset: bytes.offset });
    let image = l.program.add(packing, &[x], Type::I32, &shape)?;
    let weights = l.program.known(bytes.weights.clone())?;
    let bias = l.program.known(bytes.bias.clone())?;
    let outside = word([bytes.zero as u32; BYTES]);
    windows::convolution(l, image, weights, Some(bias), Some(outside))
}

/// A sum of products as the numbers of another scale.
fn rescaled(l: &mut Lowering<'_>, sum: usize, scales: [usize; 3], zero: usize) -> Lowered {
    let [first, second, written] = scales;
    let rank = l.rank(sum);
    let by_channel = |l: &mut Lowering<'_>, scale: usize| {
        let count: usize = l.shape(scale).iter().product();
        match count {
            1 => l.reshape(scale, &[]),
            _ if rank == 4 => l.reshape(scale, &[count, 1, 1]),
            _ => Ok(scale),
        }
    };
    let (first, second) = (by_channel(l, first)?, by_channel(l, second)?);
    let (written, zero) = (by_channel(l, written)?, by_channel(l, zero)?);
    let scale = l.two(Function::Multiply, first, second)?;
    let scale = l.two(Function::Divide, scale, written)?;
    let float = converted(l, sum, Type::Float)?;
    let value = l.two(Function::Multiply, float, scale)?;
    let one = l.scalar(1.0)?;
    quantize(l, value, one, Some(zero))
}

/// To bytes, by the range that is there.
fn dynamic(l: &mut Lowering<'_>) -> Result<bool, ModelError> {
    let x = l.input(0)?;
    let axes: Vec<usize> = (0..l.rank(x)).collect();
    let (most, least) =
        (l.reduce(x, Over::Greatest, &axes, false)?, l.reduce(x, Over::Least, &axes, false)?);
    let most = l.one(Function::Rectify, most)?;
    let least = l.numbered(Function::Clamp, least, -1e12, 0.0)?;
    let range = l.two(Function::Subtract, most, least)?;
    let steps = l.scalar(255.0)?;
    let scale = l.two(Function::Divide, range, steps)?;
    let zero = l.two(Function::Divide, least, scale)?;
    let zero = l.affine(zero, -1.0, 0.0)?;
    let zero = l.numbered(Function::Clamp, zero, 0.0, 255.0)?;
    let zero = l.one(Function::Round, zero)?;
    let zero = converted(l, zero, Type::U8)?;
    let made = quantize(l, x, scale, Some(zero))?;
    l.set(1, scale)?;
    l.set(2, zero)?;
    l.set(0, made)
}
