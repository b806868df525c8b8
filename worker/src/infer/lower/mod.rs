//! From a model's operators to a program, for inputs of given sizes. Each operator becomes a few
//! operations of `program.rs`; ONNX's Operators.md says what it means.

mod matrix;
mod move_only;
mod pointwise;
mod quantized;
mod resize;
mod statistics;
mod windows;

use super::ModelError;
use super::map::{Function, Map};
use super::model::{Attribute, Model, Node};
use super::program::{Operation, Program};
use super::reduction::{Over, Reduction};
use super::tensor::{Tensor, Type};
use super::view::{Axis, View, divides};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of something that goes in.
#[derive(Clone, Debug)]
pub enum Given {
    Shape(Vec<usize>),
    /// Its elements too: they may decide shapes.
    Known(Tensor),
}

/// Puts the program together.
pub fn lower(model: &Model, given: &BTreeMap<String, Given>) -> Result<Program, ModelError> {
    let mut lowering = Lowering {
        program: Program::default(),
        values: BTreeMap::new(),
        opset: model.opset,
        node: &Node {
            name: String::new(),
            operator: String::new(),
            inputs: vec![],
            outputs: vec![],
            attributes: BTreeMap::new(),
        },
    };
    for (name, tensor) in &model.weights {
        let value = lowering.program.known(tensor.clone())?;
        lowering.values.insert(name.clone(), value);
    }
    for input in &model.inputs {
        let value = match given.get(&input.name) {
            Some(Given::Known(tensor)) => lowering.program.known(tensor.clone())?,
            Some(Given::Shape(shape)) => lowering.program.input(&input.name, input.kind, shape),
            None => {
                let what = format!("input `{}` is not given", input.name);
                return Err(ModelError::new(what));
            }
        };
        lowering.values.insert(input.name.clone(), value);
    }
    for (at, node) in model.nodes.iter().enumerate() {
        lowering.node = node;
        lowering.program.node = at;
        lowering.lower().map_err(|error| error.at(&node.name, &node.operator))?;
    }
    let outputs = model.outputs.iter().map(|name| (name.clone(), lowering.values[name]));
    lowering.program.outputs = outputs.collect();
    super::fusion::fuse(&mut lowering.program);
    Ok(lowering.program)
}

/// The program so far, and the node at hand.
pub(crate) struct Lowering<'a> {
    pub program: Program,
    values: BTreeMap<String, usize>,
    pub opset: i64,
    pub node: &'a Node,
}

type Lowered = Result<usize, ModelError>;

pub(crate) fn refuse<T>(what: impl Into<String>) -> Result<T, ModelError> {
    Err(ModelError::new(what))
}

impl Lowering<'_> {
    fn lower(&mut self) -> Result<(), ModelError> {
        let found = pointwise::lower(self)?
            || move_only::lower(self)?
            || statistics::lower(self)?
            || matrix::lower(self)?
            || windows::lower(self)?
            || quantized::lower(self)?;
        if !found {
            return Err(ModelError::unsupported("is an operator without a kernel"));
        }
        let made = |name: &&String| !name.is_empty() && !self.values.contains_key(*name);
        match self.node.outputs.iter().find(made) {
            Some(name) => Err(ModelError::unsupported(format!("has no output `{name}` here"))),
            None => Ok(()),
        }
    }

    /// The node's n-th input, which must be there.
    pub fn input(&self, nth: usize) -> Lowered {
        match self.optional(nth) {
            Some(value) => Ok(value),
            None => refuse(format!("lacks its input {nth}")),
        }
    }

    pub fn optional(&self, nth: usize) -> Option<usize> {
        self.node.inputs.get(nth).and_then(|name| self.values.get(name)).copied()
    }

    /// Names the node's n-th output.
    pub fn set(&mut self, nth: usize, value: usize) -> Result<bool, ModelError> {
        if let Some(name) = self.node.outputs.get(nth).filter(|name| !name.is_empty()) {
            self.values.insert(name.clone(), value);
        }
        Ok(true)
    }

    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.node.attributes.get(name)
    }
    pub fn int(&self, name: &str, otherwise: i64) -> i64 {
        self.attribute(name).map_or(otherwise, |own| own.int)
    }
    pub fn float(&self, name: &str, otherwise: f32) -> f32 {
        self.attribute(name).map_or(otherwise, |own| own.float)
    }
    pub fn text(&self, name: &str, otherwise: &str) -> String {
        self.attribute(name).map_or(otherwise.to_owned(), |own| own.text.clone())
    }
    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|own| own.ints.clone())
    }

    pub fn shape(&self, value: usize) -> Vec<usize> {
        self.program.shape(value).to_vec()
    }
    pub fn rank(&self, value: usize) -> usize {
        self.program.shape(value).len()
    }
    pub fn kind(&self, value: usize) -> Type {
        self.program.kind(value)
    }
    pub fn is_float(&self, value: usize) -> bool {
        self.kind(value).is_float()
    }
    pub fn constant(&self, value: usize) -> Result<Arc<Tensor>, ModelError> {
        self.program.constant(value)
    }
    /// Whole numbers that must be known: an attribute of old operator sets, later an input.
    pub fn wholes(&self, name: &str, nth: usize) -> Result<Option<Vec<i64>>, ModelError> {
        if let Some(own) = self.ints(name) {
            return Ok(Some(own));
        }
        self.optional(nth).map(|value| Ok(self.constant(value)?.to_wholes())).transpose()
    }

    /// An axis that may count from the end.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, ModelError> {
        let at = if axis < 0 { axis + rank as i64 } else { axis };
        match usize::try_from(at).ok().filter(|at| *at < rank) {
            Some(at) => Ok(at),
            None => refuse(format!("names axis {axis} of a tensor of {rank} dimensions")),
        }
    }
    pub fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>, ModelError> {
        let mut found =
            axes.iter().map(|axis| self.axis(*axis, rank)).collect::<Result<Vec<_>, _>>()?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    pub fn scalar(&mut self, value: f32) -> Lowered {
        self.program.known(Tensor::floats(&[], &[value]))
    }
    pub fn whole(&mut self, value: i64) -> Lowered {
        self.program.known(Tensor::wholes(&[], &[value]))
    }

    /// A function of one value.
    pub fn one(&mut self, function: Function, x: usize) -> Lowered {
        self.mapped(Map::plain(function), &[x], self.kind(x))
    }
    /// Times `alpha`, plus `beta`.
    pub fn affine(&mut self, x: usize, alpha: f32, beta: f32) -> Lowered {
        self.numbered(Function::Affine, x, alpha, beta)
    }
    pub fn numbered(&mut self, function: Function, x: usize, alpha: f32, beta: f32) -> Lowered {
        let [alpha, beta] = [alpha, beta].map(|x| crate::render::exact::tame(x).to_bits());
        self.mapped(Map { function, alpha, beta }, &[x], self.kind(x))
    }
    /// A function of two values, broadcast.
    pub fn two(&mut self, function: Function, x: usize, y: usize) -> Lowered {
        self.mapped(Map::plain(function), &[x, y], self.kind(x))
    }
    pub fn mapped(&mut self, map: Map, inputs: &[usize], kind: Type) -> Lowered {
        let mut shape = Vec::new();
        for input in inputs {
            shape = broadcast(&shape, self.program.shape(*input))?;
        }
        self.program.add(Operation::Map(map), inputs, kind, &shape)
    }
    /// Whole numbers brought back to the range of their type.
    pub fn narrowed(&mut self, x: usize) -> Lowered {
        let (mask, sign) = match self.kind(x) {
            Type::I8 => (0x7f, 0x80),
            Type::U8 => (0xff, 0),
            Type::I16 => (0x7fff, 0x8000),
            Type::U16 => (0xffff, 0),
            Type::Float | Type::Bool | Type::I32 | Type::U32 | Type::I64 => return Ok(x),
        };
        let map = Map { function: Function::Narrow, alpha: mask, beta: sign };
        self.mapped(map, &[x], self.kind(x))
    }

    pub fn view(&mut self, x: usize, view: View, shape: &[usize]) -> Lowered {
        let kind = self.kind(x);
        self.program.add(Operation::View(view), &[x], kind, shape)
    }

    /// The same elements under another shape; through a flat one where parts could not be told.
    pub fn reshape(&mut self, x: usize, shape: &[usize]) -> Lowered {
        let from = self.shape(x);
        if from == shape {
            return Ok(x);
        }
        let (old, new): (usize, usize) = (from.iter().product(), shape.iter().product());
        if old != new {
            return refuse(format!("makes {shape:?} of {from:?}, which has other elements"));
        }
        let kind = self.kind(x);
        if !divides(&from, shape) && from.len() > 1 && shape.len() > 1 {
            let flat = self.program.add(Operation::Reshape, &[x], kind, &[old])?;
            return self.program.add(Operation::Reshape, &[flat], kind, shape);
        }
        self.program.add(Operation::Reshape, &[x], kind, shape)
    }

    /// Dimension n of the result is dimension `order[n]`.
    pub fn transpose(&mut self, x: usize, order: &[usize]) -> Lowered {
        let from = self.shape(x);
        if order.iter().enumerate().all(|(at, of)| at == *of) {
            return Ok(x);
        }
        let axes = order.iter().map(|of| Axis::same(*of, from[*of])).collect();
        let shape: Vec<usize> = order.iter().map(|of| from[*of]).collect();
        self.view(x, View::new(from.len(), axes), &shape)
    }

    /// Other places along one dimension; `None` is outside and gets the word.
    pub fn along(
        &mut self,
        x: usize,
        axis: usize,
        places: Vec<Option<i64>>,
        outside: u32,
    ) -> Lowered {
        let mut shape = self.shape(x);
        let mut axes: Vec<Axis> =
            shape.iter().enumerate().map(|(at, length)| Axis::same(at, *length)).collect();
        shape[axis] = places.len();
        axes[axis] = Axis::of(axis, places);
        self.view(x, View { outside, ..View::new(shape.len(), axes) }, &shape)
    }

    pub fn expand(&mut self, x: usize, shape: &[usize]) -> Lowered {
        let from = self.shape(x);
        let shape = broadcast(&from, shape)?;
        if from == shape {
            return Ok(x);
        }
        let missing = shape.len() - from.len();
        let axis = |(at, length): (usize, &usize)| match at.checked_sub(missing) {
            Some(own) if from[own] != 1 => Axis::same(own, *length),
            _ => Axis::still(*length),
        };
        let axes = shape.iter().enumerate().map(axis).collect();
        self.view(x, View::new(from.len(), axes), &shape)
    }

    pub fn concat(&mut self, values: &[usize], axis: usize) -> Lowered {
        let mut shape = self.shape(values[0]);
        shape[axis] = 0;
        for value in values {
            let own = self.shape(*value);
            let fits = own.len() == shape.len()
                && own.iter().enumerate().all(|(at, n)| at == axis || *n == shape[at]);
            if !fits {
                return refuse("joins tensors of unlike shapes");
            }
            shape[axis] += own[axis];
        }
        let kind = self.kind(values[0]);
        self.program.add(Operation::Concat(axis), values, kind, &shape)
    }

    pub fn reduce(&mut self, x: usize, over: Over, axes: &[usize], keep: bool) -> Lowered {
        let mut shape = self.shape(x);
        let ranked = matches!(over, Over::PlaceOfGreatest | Over::PlaceOfLeast);
        let kind = if ranked { Type::I64 } else { self.kind(x) };
        if axes.iter().any(|axis| shape[*axis] == 0) {
            return Err(ModelError::unsupported("reduces nothing to something"));
        }
        axes.iter().for_each(|axis| shape[*axis] = 1);
        let operation = Operation::Reduce(Reduction { over, axes: axes.to_vec() });
        let reduced = self.program.add(operation, &[x], kind, &shape)?;
        if keep {
            return Ok(reduced);
        }
        let kept = shape.iter().enumerate().filter(|(at, _)| !axes.contains(at));
        let kept: Vec<usize> = kept.map(|(_, length)| *length).collect();
        self.reshape(reduced, &kept)
    }
}

/// The shape that both become (ONNX, "Multidirectional Broadcasting").
pub(crate) fn broadcast(left: &[usize], right: &[usize]) -> Result<Vec<usize>, ModelError> {
    let rank = left.len().max(right.len());
    let at = |shape: &[usize], at: usize| {
        (at + shape.len()).checked_sub(rank).map_or(1, |own| shape[own])
    };
    (0..rank)
        .map(|n| match (at(left, n), at(right, n)) {
            (a, b) if a == b || b == 1 => Ok(a),
            (1, b) => Ok(b),
            _ => refuse(format!("joins tensors of {left:?} and {right:?} elements")),
        })
        .collect()
}
