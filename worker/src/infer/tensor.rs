//! Tensors: a type, a shape, and a 32-bit word for each element, as the devices have them. Floating
//! point of any width is f32 and tame; whole numbers are 32 bits. Knows no operator.

use super::ModelError;
use super::onnx::{TensorProto, tensor_proto::DataType};
use crate::render::exact::tame;

/// Most dimensions of a tensor.
pub const RANK_MAX: usize = 8;
/// Most elements of a tensor that is held as a whole.
pub const ELEMENTS_MAX: usize = 1 << 28;
/// Most of one that only parts are computed of, as whole images are: kernels count in 31 bits.
pub const PARTED_MAX: usize = 1 << 31;

/// Types of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    Float,
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
}

impl Type {
    pub fn is_float(self) -> bool {
        self == Self::Float
    }

    /// ONNX's number of the type; wide and narrow floats are all `Float`.
    pub fn of_onnx(number: i32) -> Option<Self> {
        Some(match DataType::try_from(number).ok()? {
            DataType::Float | DataType::Float16 | DataType::Double | DataType::Bfloat16 => {
                Self::Float
            }
            DataType::Bool => Self::Bool,
            DataType::Int8 => Self::I8,
            DataType::Uint8 => Self::U8,
            DataType::Int16 => Self::I16,
            DataType::Uint16 => Self::U16,
            DataType::Int32 => Self::I32,
            DataType::Uint32 => Self::U32,
            DataType::Int64 | DataType::Uint64 => Self::I64,
            DataType::Undefined => return None,
        })
    }
}

/// A tensor in memory, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub kind: Type,
    pub shape: Vec<usize>,
    pub words: Vec<u32>,
}

impl Tensor {
    pub fn floats(shape: &[usize], values: &[f32]) -> Self {
        let words = values.iter().map(|value| tame(*value).to_bits()).collect();
        Self { kind: Type::Float, shape: shape.to_vec(), words }
    }

    pub fn wholes(shape: &[usize], values: &[i64]) -> Self {
        let words = values.iter().map(|value| saturated(*value)).collect();
        Self { kind: Type::I64, shape: shape.to_vec(), words }
    }

    /// The elements as numbers.
    pub fn to_floats(&self) -> Vec<f32> {
        match self.kind {
            Type::Float => self.words.iter().map(|word| f32::from_bits(*word)).collect(),
            Type::U32 => self.words.iter().map(|word| *word as f32).collect(),
            _ => self.words.iter().map(|word| *word as i32 as f32).collect(),
        }
    }

    /// The elements as whole numbers.
    pub fn to_wholes(&self) -> Vec<i64> {
        match self.kind {
            Type::Float => self.words.iter().map(|word| f32::from_bits(*word) as i64).collect(),
            Type::U32 => self.words.iter().map(|word| i64::from(*word)).collect(),
            _ => self.words.iter().map(|word| i64::from(*word as i32)).collect(),
        }
    }

    /// Reads a tensor of a file; `name` is said where it is refused.
    pub fn read(proto: &TensorProto, name: &str) -> Result<Self, ModelError> {
        let refuse = |why: &str| ModelError::new(format!("tensor `{name}` {why}"));
        if !proto.external_data.is_empty() || proto.data_location == 1 {
            return Err(refuse("lies in another file; save the model with its weights inside"));
        }
        let shape = shape_of(&proto.dims).ok_or_else(|| {
            refuse(&format!("is too large: up to {RANK_MAX} dimensions are meant"))
        })?;
        let count: usize = shape.iter().product();
        let kind = Type::of_onnx(proto.data_type)
            .ok_or_else(|| refuse(&format!("has elements of type {}", proto.data_type)))?;
        let words = match proto.raw_data.is_empty() {
            true => listed(proto),
            false => raw(proto),
        };
        let words = words.ok_or_else(|| {
            refuse(
                "has a number that is infinite, not a number, or \
             beyond 32 bits",
            )
        })?;
        if words.len() != count {
            return Err(refuse(&format!("holds {} elements, not {count}", words.len())));
        }
        Ok(Self { kind, shape, words })
    }
}

/// Dimensions within the limits.
pub fn shape_of(dims: &[i64]) -> Option<Vec<usize>> {
    let shape: Option<Vec<usize>> = dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    shape.filter(|shape| is_within(shape, ELEMENTS_MAX))
}

/// Whether a shape is within the limits, with so many elements at most.
pub fn is_within(shape: &[usize], most: usize) -> bool {
    let product = shape.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim));
    shape.len() <= RANK_MAX && product.is_some_and(|product| product <= most)
}

/// Steps of each dimension, row-major.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for at in (1..shape.len()).rev() {
        strides[at - 1] = strides[at] * shape[at];
    }
    strides
}

fn float_word(x: f64) -> Option<u32> {
    let narrow = x as f32;
    x.is_finite().then(|| tame(if narrow.is_finite() { narrow } else { 1e30 }).to_bits())
}

/// 32 bits of a whole number; those that mean "to the end" stay the extremes.
fn saturated(value: i64) -> u32 {
    value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32 as u32
}

fn whole_word(value: i64) -> Option<u32> {
    let fits = i32::try_from(value).is_ok() || value.unsigned_abs() >= 1 << 62;
    fits.then(|| saturated(value))
}

fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => mantissa * 2_f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + mantissa / 1024.0) * 2_f64.powi(exponent - 15),
    }
}

fn raw(proto: &TensorProto) -> Option<Vec<u32>> {
    let bytes = &proto.raw_data[..];
    match DataType::try_from(proto.data_type).ok()? {
        DataType::Float => each(bytes, |b: [u8; 4]| float_word(f64::from(f32::from_le_bytes(b)))),
        DataType::Double => each(bytes, |b| float_word(f64::from_le_bytes(b))),
        DataType::Float16 => each(bytes, |b| float_word(half(u16::from_le_bytes(b)))),
        DataType::Bfloat16 => each(bytes, |b: [u8; 2]| {
            float_word(f64::from(f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)))
        }),
        DataType::Bool | DataType::Uint8 => each(bytes, |[b]: [u8; 1]| Some(u32::from(b))),
        DataType::Int8 => each(bytes, |b| Some(i32::from(i8::from_le_bytes(b)) as u32)),
        DataType::Int16 => each(bytes, |b| Some(i32::from(i16::from_le_bytes(b)) as u32)),
        DataType::Uint16 => each(bytes, |b| Some(u32::from(u16::from_le_bytes(b)))),
        DataType::Int32 | DataType::Uint32 => each(bytes, |b| Some(u32::from_le_bytes(b))),
        DataType::Int64 | DataType::Uint64 => each(bytes, |b| whole_word(i64::from_le_bytes(b))),
        DataType::Undefined => None,
    }
}

/// A word of each so many bytes; none may be left over.
fn each<const N: usize>(bytes: &[u8], of: impl Fn([u8; N]) -> Option<u32>) -> Option<Vec<u32>> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() { chunks.iter().map(|chunk| of(*chunk)).collect() } else { None }
}

fn listed(proto: &TensorProto) -> Option<Vec<u32>> {
    match DataType::try_from(proto.data_type).ok()? {
        DataType::Float => proto.float_data.iter().map(|x| float_word(f64::from(*x))).collect(),
        DataType::Double => proto.double_data.iter().map(|x| float_word(*x)).collect(),
        DataType::Float16 => {
            proto.int32_data.iter().map(|bits| float_word(half(*bits as u16))).collect()
        }
        DataType::Bfloat16 => {
            let wide = |bits: &i32| float_word(f64::from(f32::from_bits((*bits as u32) << 16)));
            proto.int32_data.iter().map(wide).collect()
        }
        DataType::Int64 => proto.int64_data.iter().map(|x| whole_word(*x)).collect(),
        DataType::Uint32 => proto.uint64_data.iter().map(|x| u32::try_from(*x).ok()).collect(),
        DataType::Uint64 => proto.uint64_data.iter().map(|x| whole_word(*x as i64)).collect(),
        DataType::Undefined => None,
        _ => Some(proto.int32_data.iter().map(|x| *x as u32).collect()),
    }
}
