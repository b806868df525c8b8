//! Operators over whole numbers that stand for others: value = (number - zero point) * scale.

use super::pointwise::converted;
use super::{Lowered, Lowering, matrix, windows};
use crate::infer::ModelError;
use crate::infer::map::{Function, Map};
use crate::infer::reduction::Over;
use crate::infer::tensor::Type;

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
        "MatMulInteger" => {
            let (a, b) = (above(l, 0, 2)?, above(l, 1, 3)?);
            matrix::product(l, a, b)?
        }
        "ConvInteger" => {
            let (x, weights) = (above(l, 0, 2)?, above(l, 1, 3)?);
            windows::convolution(l, x, weights, None)?
        }
        "QLinearMatMul" => {
            let (a, b) = (above(l, 0, 2)?, above(l, 3, 5)?);
            let sum = matrix::product(l, a, b)?;
            rescaled(l, sum, [l.input(1)?, l.input(4)?, l.input(6)?], l.input(7)?)?
        }
        "QLinearConv" => {
            let (x, weights, bias) = (above(l, 0, 2)?, above(l, 3, 5)?, l.optional(8));
            let sum = windows::convolution(l, x, weights, bias)?;
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
