//! Element by element, with broadcasting (ONNX, "Multidirectional Broadcasting").

use super::kernel::{Dispatch, Kernel, in_a_row};
use super::region::{Held, Region, Span, elements, lengths};
use super::tensor::RANK_MAX;

/// What is computed of each element; the numbers are those of `shaders/glsl/infer/map.comp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Function {
    Copy = 0,
    Negate = 1,
    Absolute = 2,
    Rectify = 3,
    /// Negative ones times alpha.
    Leak = 4,
    Logistic = 5,
    Tanh = 6,
    Exponential = 7,
    Logarithm = 8,
    Root = 9,
    Reciprocal = 10,
    Floor = 11,
    Ceiling = 12,
    Round = 13,
    Erf = 14,
    Sign = 15,
    /// From alpha to beta.
    Clamp = 16,
    Sin = 17,
    Cos = 18,
    Tan = 19,
    Asin = 20,
    Acos = 21,
    Atan = 22,
    Sinh = 23,
    Cosh = 24,
    Asinh = 25,
    Acosh = 26,
    Atanh = 27,
    /// Times alpha, then plus beta.
    Affine = 28,
    Add = 40,
    Subtract = 41,
    Multiply = 42,
    Divide = 43,
    Power = 44,
    Least = 45,
    Greatest = 46,
    /// The first, times the second where negative.
    Slope = 47,
    Modulo = 48,
    Remainder = 49,
    Equal = 60,
    Less = 61,
    Greater = 62,
    LessOrEqual = 63,
    GreaterOrEqual = 64,
    WholeAdd = 80,
    WholeSubtract = 81,
    WholeMultiply = 82,
    WholeDivide = 83,
    WholeLeast = 84,
    WholeGreatest = 85,
    WholeModulo = 86,
    WholeRemainder = 87,
    And = 88,
    Or = 89,
    Xor = 90,
    ShiftLeft = 91,
    ShiftRight = 92,
    WholeEqual = 93,
    WholeLess = 94,
    WholeGreater = 95,
    WholeLessOrEqual = 96,
    WholeGreaterOrEqual = 97,
    WholeNegate = 110,
    WholeAbsolute = 111,
    Not = 112,
    Complement = 113,
    WholeSign = 114,
    IsSet = 115,
    ToFloat = 116,
    /// Keeps the bits alpha, and extends the bit beta as a sign.
    Narrow = 117,
    WholeClamp = 118,
    /// The second where the first is set, else the third.
    Choose = 120,
    ToWhole = 121,
    IsNotZero = 122,
}

/// A function with its two numbers, as words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Map {
    pub function: Function,
    pub alpha: u32,
    pub beta: u32,
}

impl Map {
    pub fn plain(function: Function) -> Self {
        Self { function, alpha: 0, beta: 0 }
    }

    /// What of an input is needed.
    pub fn needs(shape: &[usize], out: &[Span]) -> Region {
        let missing = out.len() - shape.len();
        let own = shape.iter().zip(&out[missing..]);
        own.map(|(length, span)| if *length == 1 { Span::whole(1) } else { *span }).collect()
    }

    pub fn dispatch(&self, inputs: &[Held<'_>], out: Held<'_>) -> Dispatch {
        let (dimensions, bases) = laid(inputs, out.region);
        let mut parameters =
            vec![elements(out.region) as u32, dimensions.len() as u32, self.alpha, self.beta];
        parameters.extend(bases);
        parameters.extend(dimensions.iter().flatten());
        let per = in_a_row(dimensions.last().map_or(1, |row| row[0] as usize));
        let constants = vec![self.function as u32, per];
        let reads = (0..inputs.len()).collect();
        Dispatch { kernel: Kernel::Map, constants, parameters, reads }
    }
}

/// Length and three strides of each dimension, as few dimensions as will do; and three bases.
fn laid(inputs: &[Held<'_>], out: &[Span]) -> (Vec<[u32; 4]>, [u32; 3]) {
    let mut bases = [0; 3];
    let mut rows = vec![[0_u32; 4]; out.len()];
    for (row, length) in rows.iter_mut().zip(lengths(out)) {
        row[0] = length as u32;
    }
    for (nth, input) in inputs.iter().enumerate() {
        let missing = out.len() - input.shape.len();
        for (at, stride) in input.strides().into_iter().enumerate() {
            if input.shape[at] != 1 {
                rows[missing + at][nth + 1] = stride as u32;
                let ahead = out[missing + at].first - input.region[at].first;
                bases[nth] += (ahead * stride) as u32;
            }
        }
    }
    let mut merged: Vec<[u32; 4]> = Vec::with_capacity(RANK_MAX);
    for row in rows.into_iter().filter(|row| row[0] != 1) {
        match merged.last_mut() {
            Some(last) if (1..4).all(|at| last[at] == row[at].wrapping_mul(row[0])) => {
                *last = [last[0] * row[0], row[1], row[2], row[3]];
            }
            _ => merged.push(row),
        }
    }
    (merged, bases)
}
