//! Operators that compute element by element.

use super::{Lowered, Lowering, refuse};
use crate::infer::ModelError;
use crate::infer::map::{Function, Map};
use crate::infer::tensor::Type;

/// Whether the node is one of them.
pub fn lower(l: &mut Lowering<'_>) -> Result<bool, ModelError> {
    let operator = l.node.operator.clone();
    if let Some(function) = of_one(&operator) {
        let x = l.input(0)?;
        let made = unary(l, function, x)?;
        return l.set(0, made);
    }
    if let Some((float, whole)) = of_two(&operator) {
        let (x, y) = (l.input(0)?, l.input(1)?);
        let made = binary(l, float, whole, x, y)?;
        return l.set(0, made);
    }
    if let Some((float, whole)) = comparison(&operator) {
        let (x, y) = (l.input(0)?, l.input(1)?);
        let function = if l.is_float(x) { float } else { whole };
        let made = l.mapped(Map::plain(function), &[x, y], Type::Bool)?;
        return l.set(0, made);
    }
    let made = match operator.as_str() {
        "Cast" => cast(l)?,
        "CastLike" => {
            let (x, kind) = (l.input(0)?, l.kind(l.input(1)?));
            converted(l, x, kind)?
        }
        "Clip" => clip(l)?,
        "PRelu" => prelu(l)?,
        "Where" => {
            let inputs = [l.input(0)?, l.input(1)?, l.input(2)?];
            l.mapped(Map::plain(Function::Choose), &inputs, l.kind(inputs[1]))?
        }
        "Sum" | "Max" | "Min" | "Mean" => several(l, &operator)?,
        "And" | "Or" | "Xor" | "BitShift" => by_bits(l, &operator)?,
        "Mod" => modulo(l)?,
        _ => match activation(l, &operator)? {
            Some(made) => made,
            None => return Ok(false),
        },
    };
    l.set(0, made)
}

fn by_bits(l: &mut Lowering<'_>, operator: &str) -> Lowered {
    let function = match operator {
        "And" => Function::And,
        "Or" => Function::Or,
        "Xor" => Function::Xor,
        _ if l.text("direction", "LEFT") == "LEFT" => Function::ShiftLeft,
        _ => Function::ShiftRight,
    };
    let (x, y) = (l.input(0)?, l.input(1)?);
    let made = l.two(function, x, y)?;
    l.narrowed(made)
}

fn modulo(l: &mut Lowering<'_>) -> Lowered {
    let (x, y) = (l.input(0)?, l.input(1)?);
    let function = match (l.is_float(x), l.int("fmod", 0) == 1) {
        (true, true) => Function::Remainder,
        (true, false) => Function::Modulo,
        (false, true) => Function::WholeRemainder,
        (false, false) => Function::WholeModulo,
    };
    l.two(function, x, y)
}

fn of_one(operator: &str) -> Option<Function> {
    Some(match operator {
        "Neg" => Function::Negate,
        "Abs" => Function::Absolute,
        "Relu" => Function::Rectify,
        "Sigmoid" => Function::Logistic,
        "Tanh" => Function::Tanh,
        "Exp" => Function::Exponential,
        "Log" => Function::Logarithm,
        "Sqrt" => Function::Root,
        "Reciprocal" => Function::Reciprocal,
        "Floor" => Function::Floor,
        "Ceil" => Function::Ceiling,
        "Round" => Function::Round,
        "Erf" => Function::Erf,
        "Sign" => Function::Sign,
        "Sin" => Function::Sin,
        "Cos" => Function::Cos,
        "Tan" => Function::Tan,
        "Asin" => Function::Asin,
        "Acos" => Function::Acos,
        "Atan" => Function::Atan,
        "Sinh" => Function::Sinh,
        "Cosh" => Function::Cosh,
        "Asinh" => Function::Asinh,
        "Acosh" => Function::Acosh,
        "Atanh" => Function::Atanh,
        "Not" => Function::Not,
        "BitwiseNot" => Function::Complement,
        _ => return None,
    })
}

fn unary(l: &mut Lowering<'_>, function: Function, x: usize) -> Lowered {
    if l.is_float(x) {
        return l.one(function, x);
    }
    match function {
        Function::Negate => l.one(Function::WholeNegate, x),
        Function::Absolute => l.one(Function::WholeAbsolute, x),
        Function::Sign if l.kind(x) == Type::U32 => l.one(Function::IsSet, x),
        Function::Sign => l.one(Function::WholeSign, x),
        Function::Not => l.one(function, x),
        Function::Complement => {
            let made = l.one(function, x)?;
            l.narrowed(made)
        }
        Function::Rectify => {
            let zero = l.whole(0)?;
            l.two(Function::WholeGreatest, x, zero)
        }
        Function::Floor | Function::Ceiling | Function::Round => Ok(x),
        _ => Err(ModelError::unsupported("is for floating point only")),
    }
}

fn of_two(operator: &str) -> Option<(Option<Function>, Option<Function>)> {
    Some(match operator {
        "Add" => (Some(Function::Add), Some(Function::WholeAdd)),
        "Sub" => (Some(Function::Subtract), Some(Function::WholeSubtract)),
        "Mul" => (Some(Function::Multiply), Some(Function::WholeMultiply)),
        "Div" => (Some(Function::Divide), Some(Function::WholeDivide)),
        "Pow" => (Some(Function::Power), None),
        "BitwiseAnd" => (None, Some(Function::And)),
        "BitwiseOr" => (None, Some(Function::Or)),
        "BitwiseXor" => (None, Some(Function::Xor)),
        _ => return None,
    })
}

fn binary(
    l: &mut Lowering<'_>,
    float: Option<Function>,
    whole: Option<Function>,
    x: usize,
    mut y: usize,
) -> Lowered {
    let is_float = l.is_float(x);
    // The base and the exponent of a power may differ.
    if is_float && !l.is_float(y) {
        y = converted(l, y, Type::Float)?;
    }
    if let (false, Some(Function::Power)) = (is_float, float) {
        let (kind, base) = (l.kind(x), converted(l, x, Type::Float)?);
        let by = converted(l, y, Type::Float)?;
        let made = l.two(Function::Power, base, by)?;
        let made = l.one(Function::Round, made)?;
        return converted(l, made, kind);
    }
    match if is_float { float } else { whole } {
        Some(function) => {
            let made = l.two(function, x, y)?;
            l.narrowed(made)
        }
        None => Err(ModelError::unsupported("is not for elements of this type")),
    }
}

fn comparison(operator: &str) -> Option<(Function, Function)> {
    Some(match operator {
        "Equal" => (Function::Equal, Function::WholeEqual),
        "Less" => (Function::Less, Function::WholeLess),
        "Greater" => (Function::Greater, Function::WholeGreater),
        "LessOrEqual" => (Function::LessOrEqual, Function::WholeLessOrEqual),
        "GreaterOrEqual" => (Function::GreaterOrEqual, Function::WholeGreaterOrEqual),
        _ => return None,
    })
}

fn cast(l: &mut Lowering<'_>) -> Lowered {
    let to = l.int("to", 0);
    let kind = i32::try_from(to).ok().and_then(Type::of_onnx);
    let x = l.input(0)?;
    match kind {
        Some(kind) => converted(l, x, kind),
        None => Err(ModelError::unsupported(format!("casts to type {to}"))),
    }
}

/// A value as another type.
pub fn converted(l: &mut Lowering<'_>, x: usize, kind: Type) -> Lowered {
    let from = l.kind(x);
    let function = match (from, kind) {
        _ if from == kind => return Ok(x),
        (Type::Float, Type::Bool) => Function::IsNotZero,
        (Type::Float, _) => Function::ToWhole,
        (_, Type::Float) => Function::ToFloat,
        (_, Type::Bool) => Function::IsSet,
        _ => Function::Copy,
    };
    let made = l.mapped(Map::plain(function), &[x], kind)?;
    l.narrowed(made)
}

fn clip(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let (least, greatest) = match l.is_float(x) {
        true => (Function::Least, Function::Greatest),
        false => (Function::WholeLeast, Function::WholeGreatest),
    };
    let known = |l: &Lowering<'_>, name: &str, nth: usize, otherwise: f32| {
        if let Some(own) = l.attribute(name) {
            return Some(own.float);
        }
        match l.optional(nth) {
            None => Some(otherwise),
            Some(value) => {
                l.constant(value).ok().and_then(|limit| limit.to_floats().first().copied())
            }
        }
    };
    let limits = (known(l, "min", 1, -1e12), known(l, "max", 2, 1e12));
    if let (true, (Some(low), Some(high))) = (l.is_float(x), limits) {
        return l.numbered(Function::Clamp, x, low, high);
    }
    let mut made = x;
    if let Some(low) = l.optional(1) {
        made = l.two(greatest, made, low)?;
    }
    if let Some(high) = l.optional(2) {
        made = l.two(least, made, high)?;
    }
    Ok(made)
}

/// The slope is broadcast to the tensor, one way.
fn prelu(l: &mut Lowering<'_>) -> Lowered {
    let (x, slope) = (l.input(0)?, l.input(1)?);
    if super::broadcast(&l.shape(x), &l.shape(slope))? != l.shape(x) {
        return refuse("has a slope that is larger than its tensor");
    }
    if !l.is_float(x) {
        return Err(ModelError::unsupported("is for floating point only"));
    }
    l.two(Function::Slope, x, slope)
}

fn several(l: &mut Lowering<'_>, operator: &str) -> Lowered {
    let inputs = (0..l.node.inputs.len()).map(|nth| l.input(nth)).collect::<Result<Vec<_>, _>>()?;
    let Some((first, rest)) = inputs.split_first() else { return refuse("has no input") };
    let is_float = l.is_float(*first);
    let function = match (operator, is_float) {
        ("Max", true) => Function::Greatest,
        ("Max", false) => Function::WholeGreatest,
        ("Min", true) => Function::Least,
        ("Min", false) => Function::WholeLeast,
        (_, true) => Function::Add,
        (_, false) => Function::WholeAdd,
    };
    let mut made = *first;
    for next in rest {
        made = l.two(function, made, *next)?;
    }
    if operator == "Mean" {
        let count = l.scalar(inputs.len() as f32)?;
        return l.two(Function::Divide, made, count);
    }
    Ok(made)
}

/// Functions made of several.
fn activation(l: &mut Lowering<'_>, operator: &str) -> Result<Option<usize>, ModelError> {
    const NAMES: [&str; 13] = [
        "LeakyRelu",
        "HardSigmoid",
        "HardSwish",
        "Elu",
        "Celu",
        "Selu",
        "Softplus",
        "Softsign",
        "Mish",
        "Gelu",
        "ThresholdedRelu",
        "Shrink",
        "Swish",
    ];
    if !NAMES.contains(&operator) {
        return Ok(None);
    }
    let x = l.input(0)?;
    if !l.is_float(x) {
        return Err(ModelError::unsupported("is for floating point only"));
    }
    Ok(Some(match operator {
        "LeakyRelu" => {
            let alpha = l.float("alpha", 0.01);
            l.numbered(Function::Leak, x, alpha, 0.0)?
        }
        "HardSigmoid" => {
            let (alpha, beta) = (l.float("alpha", 0.2), l.float("beta", 0.5));
            hard_sigmoid(l, x, alpha, beta)?
        }
        "HardSwish" => {
            let share = hard_sigmoid(l, x, 1.0 / 6.0, 0.5)?;
            l.two(Function::Multiply, x, share)?
        }
        "Elu" => exponential_unit(l, x, [l.float("alpha", 1.0), 1.0, 1.0])?,
        "Celu" => {
            let alpha = l.float("alpha", 1.0);
            exponential_unit(l, x, [alpha, 1.0 / alpha, 1.0])?
        }
        "Selu" => {
            let alpha = l.float("alpha", 1.673_263_2);
            exponential_unit(l, x, [alpha, 1.0, l.float("gamma", 1.050_701)])?
        }
        "Softplus" => softplus(l, x)?,
        "Softsign" => {
            let size = l.one(Function::Absolute, x)?;
            let below = l.affine(size, 1.0, 1.0)?;
            l.two(Function::Divide, x, below)?
        }
        "Gelu" => gelu(l, x)?,
        "Mish" | "Swish" => gated(l, x, operator)?,
        "ThresholdedRelu" => thresholded(l, x)?,
        "Shrink" => shrink(l, x)?,
        _ => return Ok(None),
    }))
}

/// x times a function of it between 0 and 1.
fn gated(l: &mut Lowering<'_>, x: usize, operator: &str) -> Lowered {
    let share = if operator == "Mish" {
        let soft = softplus(l, x)?;
        l.one(Function::Tanh, soft)?
    } else {
        let scaled = l.affine(x, l.float("alpha", 1.0), 0.0)?;
        l.one(Function::Logistic, scaled)?
    };
    l.two(Function::Multiply, x, share)
}

fn thresholded(l: &mut Lowering<'_>, x: usize) -> Lowered {
    let threshold = l.scalar(l.float("alpha", 1.0))?;
    let above = l.mapped(Map::plain(Function::Greater), &[x, threshold], Type::Bool)?;
    let zero = l.scalar(0.0)?;
    l.mapped(Map::plain(Function::Choose), &[above, x, zero], Type::Float)
}

fn hard_sigmoid(l: &mut Lowering<'_>, x: usize, alpha: f32, beta: f32) -> Lowered {
    let line = l.affine(x, alpha, beta)?;
    l.numbered(Function::Clamp, line, 0.0, 1.0)
}

/// `gamma * (max(x, 0) + alpha * (e^(min(x, 0) * by) - 1))`.
fn exponential_unit(l: &mut Lowering<'_>, x: usize, [alpha, by, gamma]: [f32; 3]) -> Lowered {
    let above = l.one(Function::Rectify, x)?;
    let below = l.numbered(Function::Clamp, x, -1e12, 0.0)?;
    let below = l.affine(below, by, 0.0)?;
    let below = l.one(Function::Exponential, below)?;
    let below = l.affine(below, alpha, -alpha)?;
    let sum = l.two(Function::Add, above, below)?;
    l.affine(sum, gamma, 0.0)
}

/// `max(x, 0) + ln(1 + e^-|x|)`.
fn softplus(l: &mut Lowering<'_>, x: usize) -> Lowered {
    let size = l.one(Function::Absolute, x)?;
    let falling = l.affine(size, -1.0, 0.0)?;
    let falling = l.one(Function::Exponential, falling)?;
    let falling = l.affine(falling, 1.0, 1.0)?;
    let falling = l.one(Function::Logarithm, falling)?;
    let above = l.one(Function::Rectify, x)?;
    l.two(Function::Add, above, falling)
}

fn gelu(l: &mut Lowering<'_>, x: usize) -> Lowered {
    let share = if l.text("approximate", "none") == "tanh" {
        let square = l.two(Function::Multiply, x, x)?;
        let cubic = l.affine(square, 0.044_715, 1.0)?;
        let inner = l.two(Function::Multiply, x, cubic)?;
        let inner = l.affine(inner, 0.797_884_6, 0.0)?;
        l.one(Function::Tanh, inner)?
    } else {
        let inner = l.affine(x, std::f32::consts::FRAC_1_SQRT_2, 0.0)?;
        l.one(Function::Erf, inner)?
    };
    let share = l.affine(share, 0.5, 0.5)?;
    l.two(Function::Multiply, x, share)
}

fn shrink(l: &mut Lowering<'_>, x: usize) -> Lowered {
    let (bias, lambda) = (l.float("bias", 0.0), l.float("lambd", 0.5));
    let (high, low, zero) = (l.scalar(lambda)?, l.scalar(-lambda)?, l.scalar(0.0)?);
    let (less, more) = (l.affine(x, 1.0, -bias)?, l.affine(x, 1.0, bias)?);
    let above = l.mapped(Map::plain(Function::Greater), &[x, high], Type::Bool)?;
    let below = l.mapped(Map::plain(Function::Less), &[x, low], Type::Bool)?;
    let choose = Map::plain(Function::Choose);
    let inner = l.mapped(choose, &[below, more, zero], Type::Float)?;
    l.mapped(choose, &[above, less, inner], Type::Float)
}
