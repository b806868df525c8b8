//! Products of matrices.

use super::{Lowered, Lowering, broadcast, refuse};
use crate::infer::ModelError;
use crate::infer::map::Function;
use crate::infer::program::Operation;
use crate::infer::reduction::Product;
use crate::infer::tensor::{Tensor, Type};

/// Whether the node is one of them.
pub fn lower(l: &mut Lowering<'_>) -> Result<bool, ModelError> {
    let made = match l.node.operator.as_str() {
        "MatMul" => {
            let (a, b) = (l.input(0)?, l.input(1)?);
            product(l, a, b)?
        }
        "Gemm" => gemm(l)?,
        "CumSum" => running_sum(l)?,
        _ => return Ok(false),
    };
    l.set(0, made)
}

/// A product as numpy's `matmul` has it.
pub fn product(l: &mut Lowering<'_>, a: usize, b: usize) -> Lowered {
    let (left, right) = (l.shape(a), l.shape(b));
    if left.is_empty() || right.is_empty() {
        return refuse("multiplies a number as a matrix");
    }
    let (row, column) = (left.len() == 1, right.len() == 1);
    let left = if row { vec![1, left[0]] } else { left };
    let right = if column { vec![right[0], 1] } else { right };
    let (rows, terms) = (left[left.len() - 2], left[left.len() - 1]);
    let columns = right[right.len() - 1];
    if terms != right[right.len() - 2] {
        return refuse(format!("multiplies {left:?} by {right:?} elements"));
    }
    let batch = broadcast(&left[..left.len() - 2], &right[..right.len() - 2])?;
    let ranked = |shape: &[usize]| {
        let missing = batch.len() + 2 - shape.len();
        [&vec![1; missing][..], shape].concat()
    };
    let (left, right) = (l.reshape(a, &ranked(&left))?, l.reshape(b, &ranked(&right))?);
    let shape = [&batch[..], &[rows, columns]].concat();
    let whole = !l.is_float(a);
    let kind = if whole { Type::I32 } else { Type::Float };
    let operation = Operation::Product(Product { whole });
    let made = l.program.add(operation, &[left, right], kind, &shape)?;
    let mut kept = batch;
    kept.extend((!row).then_some(rows));
    kept.extend((!column).then_some(columns));
    l.reshape(made, &kept)
}

fn gemm(l: &mut Lowering<'_>) -> Lowered {
    let (mut a, mut b) = (l.input(0)?, l.input(1)?);
    if l.rank(a) != 2 || l.rank(b) != 2 || !l.is_float(a) {
        return Err(ModelError::unsupported("needs matrices of floating point"));
    }
    if l.int("transA", 0) == 1 {
        a = l.transpose(a, &[1, 0])?;
    }
    if l.int("transB", 0) == 1 {
        b = l.transpose(b, &[1, 0])?;
    }
    let mut made = product(l, a, b)?;
    let (alpha, beta) = (l.float("alpha", 1.0), l.float("beta", 1.0));
    if alpha != 1.0 {
        made = l.affine(made, alpha, 0.0)?;
    }
    if let Some(mut c) = l.optional(2) {
        if beta != 1.0 {
            c = l.affine(c, beta, 0.0)?;
        }
        made = l.two(Function::Add, made, c)?;
    }
    Ok(made)
}

/// As a product with a triangle of ones.
fn running_sum(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let rank = l.rank(x);
    let axis = l.constant(l.input(1)?)?.to_wholes().first().copied().unwrap_or_default();
    let axis = l.axis(axis, rank)?;
    let length = l.shape(x)[axis];
    if length > 4096 {
        return Err(ModelError::unsupported("runs over more than 4096 elements"));
    }
    let (exclusive, reverse) = (l.int("exclusive", 0) == 1, l.int("reverse", 0) == 1);
    let counts = |from: usize, to: usize| {
        let (from, to) = if reverse { (to, from) } else { (from, to) };
        if exclusive { from < to } else { from <= to }
    };
    let kind = l.kind(x);
    let one = if kind.is_float() { 1.0_f32.to_bits() } else { 1 };
    let pairs = (0..length).flat_map(|from| (0..length).map(move |to| (from, to)));
    let words = pairs.map(|(from, to)| if counts(from, to) { one } else { 0 }).collect();
    let triangle = l.program.known(Tensor { kind, shape: vec![length, length], words })?;
    let mut order: Vec<usize> = (0..rank).filter(|at| *at != axis).collect();
    order.push(axis);
    let turned = l.transpose(x, &order)?;
    let summed = product(l, turned, triangle)?;
    let mut back: Vec<usize> = (0..rank - 1).collect();
    back.insert(axis, rank - 1);
    l.transpose(summed, &back)
}
