//! A program: what a model does to inputs of one size, as operations of few kinds over values with
//! known shapes. What depends on weights alone is computed while it is put together.

use super::ModelError;
use super::bytes::Packing;
use super::convolution::Convolution;
use super::kernel::Dispatch;
use super::map::Map;
use super::reduction::{Product, Reduction};
use super::region::{Held, Region, Span, elements, whole};
use super::resampling::{Gathering, Resampling};
use super::tensor::{ELEMENTS_MAX, PARTED_MAX, Tensor, Type, is_within};
use super::view::{Axis, View, divides, reshaped};
use super::window::{Pool, Spread};
use super::{map, twin};
use std::sync::Arc;

/// Most steps of a program.
pub const STEPS_MAX: usize = 200_000;
/// Most words of all values that are known beforehand.
pub const CONSTANT_WORDS_MAX: usize = 1 << 28;

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    Map(Map),
    View(View),
    /// The same elements in the same order.
    Reshape,
    /// Inputs one after the other along a dimension.
    Concat(usize),
    Reduce(Reduction),
    Product(Product),
    Convolve(Convolution),
    Pack(Packing),
    Spread(Spread),
    Pool(Pool),
    Resample(Resampling),
    Gather(Gathering),
}

impl Operation {
    /// The part that is computed where this one is wanted.
    pub fn widen(&self, inputs: &[&[usize]], shape: &[usize], out: &mut Region) {
        match self {
            // Channels are computed together.
            Self::Convolve(_) => {
                out[1] = Span::whole(shape[1]);
                out[3] = Convolution::widened(out[3], shape[3]);
            }
            Self::Spread(_) | Self::Pool(_) => out[1] = Span::whole(shape[1]),
            Self::Gather(_) => *out = whole(shape),
            Self::Reshape if !divides(inputs[0], shape) => *out = whole(shape),
            _ => {}
        }
    }

    /// The part of an input that this part of the output needs; `None`: nothing of it.
    pub fn needs(&self, nth: usize, shapes: &[&[usize]], out: Held<'_>) -> Option<Region> {
        let (shape, wanted) = (shapes[nth], out.region);
        Some(match self {
            Self::Map(_) => Map::needs(shape, wanted),
            Self::View(view) => return view.needs(shape, wanted),
            Self::Reshape if out.is_whole() => whole(shape),
            Self::Reshape => return reshaped(shape, out.shape)?.needs(shape, wanted),
            Self::Concat(axis) => {
                let before: usize = shapes[..nth].iter().map(|shape| shape[*axis]).sum();
                let span = wanted[*axis];
                let first = span.first.clamp(before, before + shape[*axis]);
                let end = span.end.clamp(before, before + shape[*axis]);
                if first >= end {
                    return None;
                }
                let mut region = wanted.to_vec();
                region[*axis] = Span::new(first - before, end - before);
                region
            }
            Self::Reduce(reduction) => reduction.needs(shape, wanted),
            Self::Product(_) => Product::needs(nth, shape, wanted),
            Self::Convolve(convolution) => convolution.needs(nth, shape, wanted),
            Self::Pack(_) => Packing::needs(shape, wanted),
            Self::Spread(spread) => spread.needs(nth, shape, wanted),
            Self::Pool(pool) => pool.needs(shape, wanted),
            Self::Resample(resampling) => resampling.needs(shape, wanted),
            Self::Gather(_) => whole(shape),
        })
    }

    /// Multiply-adds for this part of the output; one for each element of what only moves.
    pub fn work(&self, shapes: &[&[usize]], out: &[Span]) -> u64 {
        match self {
            Self::Convolve(convolution) => convolution.work(shapes[0], out),
            Self::Spread(spread) => spread.work(shapes[0], out),
            Self::Pool(pool) => pool.work(out),
            Self::Resample(resampling) => resampling.work(out),
            Self::Product(_) => elements(out) as u64 * shapes[0][shapes[0].len() - 1] as u64,
            Self::Reduce(reduction) => {
                let terms: usize = reduction.axes.iter().map(|axis| shapes[0][*axis]).product();
                elements(out) as u64 * terms as u64
            }
            _ => elements(out) as u64,
        }
    }

    /// The uses of kernels that write this part of the output. Inputs that it needs nothing of may
    /// be anything.
    pub fn dispatches(&self, inputs: &[Held<'_>], out: Held<'_>) -> Vec<Dispatch> {
        vec![match self {
            Self::Map(map) => map.dispatch(inputs, out),
            Self::View(view) => view.dispatch(inputs[0], out),
            Self::Reshape if inputs[0].is_whole() && out.is_whole() => copied(out),
            Self::Reshape => match reshaped(inputs[0].shape, out.shape) {
                Some(view) => view.dispatch(inputs[0], out),
                // Such a change is made as a whole (`widen`).
                None => copied(out),
            },
            Self::Concat(axis) => return concatenated(*axis, inputs, out),
            Self::Reduce(reduction) => reduction.dispatch(inputs[0], out),
            Self::Product(product) => product.dispatch(inputs, out),
            Self::Convolve(convolution) => convolution.dispatch(inputs, out),
            Self::Pack(packing) => packing.dispatch(inputs[0], out),
            Self::Spread(spread) => spread.dispatch(inputs, out),
            Self::Pool(pool) => pool.dispatch(inputs[0], out),
            Self::Resample(resampling) => resampling.dispatch(inputs[0], out),
            Self::Gather(gathering) => gathering.dispatch(inputs, out),
        }]
    }
}

fn copied(out: Held<'_>) -> Dispatch {
    let flat = [elements(out.region)];
    let region = whole(&flat);
    let held = Held { shape: &flat, region: &region };
    Map::plain(map::Function::Copy).dispatch(&[held], held)
}

fn concatenated(axis: usize, inputs: &[Held<'_>], out: Held<'_>) -> Vec<Dispatch> {
    let (steps, mut before, mut dispatches) = (out.strides(), 0, Vec::new());
    for (nth, input) in inputs.iter().enumerate() {
        let length = input.shape[axis];
        let first = out.region[axis].first.clamp(before, before + length);
        let end = out.region[axis].end.clamp(before, before + length);
        if first < end {
            let axes = (input.shape.iter().enumerate()).map(|(at, length)| Axis::same(at, *length));
            let mut part = out.region.to_vec();
            part[axis] = Span::new(first - before, end - before);
            let base = (first - out.region[axis].first) * steps[axis];
            let view = View::new(input.shape.len(), axes.collect());
            let mut dispatch = view.placed(*input, &part, &steps, base);
            dispatch.reads = vec![nth];
            dispatches.push(dispatch);
        }
        before += length;
    }
    dispatches
}

/// A value, known beforehand or not.
#[derive(Clone, Debug)]
pub struct Value {
    pub kind: Type,
    pub shape: Vec<usize>,
    pub known: Option<Arc<Tensor>>,
}

/// One operation with the numbers of its values.
#[derive(Clone, Debug)]
pub struct Step {
    pub operation: Operation,
    pub inputs: Vec<usize>,
    pub output: usize,
    /// The node that it belongs to.
    pub node: usize,
}

/// Steps in order.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub values: Vec<Value>,
    pub steps: Vec<Step>,
    pub inputs: Vec<(String, usize)>,
    pub outputs: Vec<(String, usize)>,
    /// The node whose steps are being added.
    pub node: usize,
    known_words: usize,
}

impl Program {
    /// Adds a value that is known.
    pub fn known(&mut self, tensor: Tensor) -> Result<usize, ModelError> {
        self.known_words = self.known_words.saturating_add(tensor.words.len());
        if self.known_words > CONSTANT_WORDS_MAX {
            return Err(ModelError::new("what the weights alone decide takes too much memory"));
        }
        let (kind, shape) = (tensor.kind, tensor.shape.clone());
        self.values.push(Value { kind, shape, known: Some(Arc::new(tensor)) });
        Ok(self.values.len() - 1)
    }

    /// Adds an input.
    pub fn input(&mut self, name: &str, kind: Type, shape: &[usize]) -> usize {
        self.values.push(Value { kind, shape: shape.to_vec(), known: None });
        self.inputs.push((name.to_owned(), self.values.len() - 1));
        self.values.len() - 1
    }

    pub fn shape(&self, value: usize) -> &[usize] {
        &self.values[value].shape
    }

    pub fn kind(&self, value: usize) -> Type {
        self.values[value].kind
    }

    /// The value's elements, which must be known beforehand.
    pub fn constant(&self, value: usize) -> Result<Arc<Tensor>, ModelError> {
        self.values[value].known.clone().ok_or_else(|| {
            let input = self.inputs.iter().find(|(_, input)| *input == value);
            let mut error = ModelError::new("needs a value that only running it would give");
            error.wants = input.map(|(name, _)| name.clone());
            error
        })
    }

    /// Adds a step and gives its output; computes it at once if it depends on nothing else.
    pub fn add(
        &mut self,
        operation: Operation,
        inputs: &[usize],
        kind: Type,
        shape: &[usize],
    ) -> Result<usize, ModelError> {
        let known: Option<Vec<_>> =
            inputs.iter().map(|input| self.values[*input].known.clone()).collect();
        if !is_within(shape, if known.is_some() { ELEMENTS_MAX } else { PARTED_MAX }) {
            return Err(ModelError::new(format!(
                "gives a tensor of {shape:?}, which is too large"
            )));
        }
        if self.steps.len() >= STEPS_MAX {
            let what = format!("is more than the {STEPS_MAX} steps that a program may have");
            return Err(ModelError::new(what));
        }
        if let Some(known) = known {
            let words = computed(&operation, &known, shape);
            return self.known(Tensor { kind, shape: shape.to_vec(), words });
        }
        self.values.push(Value { kind, shape: shape.to_vec(), known: None });
        let output = self.values.len() - 1;
        let (inputs, node) = (inputs.to_vec(), self.node);
        self.steps.push(Step { operation, inputs, output, node });
        Ok(output)
    }
}

/// An operation over whole tensors, in plain Rust.
fn computed(operation: &Operation, inputs: &[Arc<Tensor>], shape: &[usize]) -> Vec<u32> {
    let regions: Vec<Region> = inputs.iter().map(|input| whole(&input.shape)).collect();
    let held: Vec<Held<'_>> = (inputs.iter().zip(&regions))
        .map(|(input, region)| Held { shape: &input.shape, region })
        .collect();
    let region = whole(shape);
    let mut words = vec![0; elements(&region)];
    if words.is_empty() {
        return words;
    }
    for dispatch in operation.dispatches(&held, Held { shape, region: &region }) {
        let read = |nth: usize| dispatch.reads.get(nth).map_or(&[][..], |at| &inputs[*at].words);
        twin::run(&dispatch, [0, 1, 2, 3].map(read), &mut words);
    }
    words
}
