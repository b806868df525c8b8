//! The twin of `shaders/glsl/lib/functions.glsl` in plain Rust: same steps, same bits. Knows no
//! tensor.
// The digits are those of the shader, so that both round alike.
#![allow(clippy::excessive_precision, clippy::approx_constant)]

use crate::render::exact::{HUGEST, circle, direction_turns, div, logarithm, power};
use crate::render::exact::{power_of_two, root, scale};

const TURN: f32 = 6.283_185_307_18;

/// `a / b` as it would be rounded, but for ties that rounding twice would decide otherwise (Dekker
/// 1971).
pub fn ratio(a: f32, b: f32) -> f32 {
    let q = div(a, b);
    if b == 0.0 {
        return q;
    }
    let split = |x: f32| {
        let wide = x * 4097.0;
        let high = wide - (wide - x);
        (high, x - high)
    };
    let ((high_q, low_q), (high_b, low_b)) = (split(q), split(b));
    let whole = q * b;
    let mut part = high_q * high_b - whole;
    part += high_q * low_b;
    part += low_q * high_b;
    part += low_q * low_b;
    let left = (a - whole) - part;
    q + div(left, b)
}

/// `e^x`.
pub fn exponential(x: f32) -> f32 {
    if x < -87.0 {
        return 0.0;
    }
    if x > 88.0 {
        return f32::from_bits(HUGEST);
    }
    let whole = (x * 1.442_695_040_89 + 0.5).floor();
    let rest = (x - whole * 0.693_359_375) + whole * 2.121_944_400_55e-4;
    scale(power_of_two(rest * 1.442_695_040_89), whole as i32)
}

/// Natural logarithm; of 0 and negative numbers as low as numbers go.
pub fn natural_logarithm(x: f32) -> f32 {
    let l = logarithm(x);
    if l < -1.0e30 { l } else { l * 0.693_147_180_56 }
}

/// `1 / (1 + e^-x)`.
pub fn logistic(x: f32) -> f32 {
    let y = div(1.0, 1.0 + exponential(-x.abs()));
    if x < 0.0 { 1.0 - y } else { y }
}

fn odd(x: f32, of_magnitude: f32) -> f32 {
    if x < 0.0 { -of_magnitude } else { of_magnitude }
}

pub fn hyperbolic_tangent(x: f32) -> f32 {
    let a = x.abs();
    let y = if a < 0.1 {
        let s = a * a;
        let mut q = s * -0.053_968_253_97 + 0.133_333_333_33;
        q = q * s - 0.333_333_333_33;
        a + a * (s * q)
    } else {
        1.0 - div(2.0, exponential(a.min(20.0) * 2.0) + 1.0)
    };
    odd(x, y)
}

/// The error function (its series; Abramowitz and Stegun 7.1.26).
pub fn error_function(x: f32) -> f32 {
    let a = x.abs();
    let y = if a < 0.7 {
        let s = a * a;
        let mut q = s * 1.205_533_298_1e-4 - 8.548_327_023_4e-4;
        q = q * s + 5.223_977_625_4e-3;
        q = q * s - 2.686_617_064_5e-2;
        q = q * s + 1.128_379_167_1e-1;
        q = q * s - 3.761_263_890_3e-1;
        q = q * s + 1.128_379_167_1;
        a * q
    } else {
        let a = a.min(9.0);
        let t = div(1.0, 1.0 + 0.327_591_1 * a);
        let mut q = t * 1.061_405_429 - 1.453_152_027;
        q = q * t + 1.421_413_741;
        q = q * t - 0.284_496_736;
        q = q * t + 0.254_829_592;
        q *= t;
        1.0 - q * exponential(-(a * a))
    };
    odd(x, y)
}

/// Cosine and sine of x radians.
pub fn circle_of_radians(x: f32) -> (f32, f32) {
    let whole = (x * 0.159_154_943_09 + 0.5).floor();
    let mut rest = (x - whole * 6.281_25) - whole * 1.935_005_187_988_281_25e-3;
    rest -= whole * 3.019915981957e-7;
    circle(rest * 0.159_154_943_09)
}

pub fn arc_tangent(x: f32) -> f32 {
    direction_turns(x, 1.0) * TURN
}

pub fn arc_sine(x: f32) -> f32 {
    let c = x.clamp(-1.0, 1.0);
    direction_turns(c, root((1.0 - c) * (1.0 + c))) * TURN
}

pub fn hyperbolic_sine(x: f32) -> f32 {
    let a = x.abs();
    let y = if a < 0.5 {
        let s = a * a;
        let mut q = s * 1.984_126_98e-4 + 8.333_333_33e-3;
        q = q * s + 1.666_666_67e-1;
        a + a * (s * q)
    } else {
        let e = exponential(a);
        0.5 * (e - div(1.0, e))
    };
    odd(x, y)
}

pub fn hyperbolic_cosine(x: f32) -> f32 {
    let e = exponential(x.abs());
    0.5 * (e + div(1.0, e))
}

/// `ln(1 + x)`, also where x is small (Kahan's correction).
pub fn logarithm_beside_one(x: f32) -> f32 {
    let u = 1.0 + x;
    let d = u - 1.0;
    if d == 0.0 { x } else { div(natural_logarithm(u) * x, d) }
}

/// The inverse of the hyperbolic sine.
pub fn area_sine(x: f32) -> f32 {
    let a = x.abs();
    let s = a * a;
    odd(x, logarithm_beside_one(a + div(s, 1.0 + root(1.0 + s))))
}

/// The inverse of the hyperbolic cosine; below 1 it is 0.
pub fn area_cosine(x: f32) -> f32 {
    let t = (x - 1.0).max(0.0);
    logarithm_beside_one(t + root(2.0 * t + t * t))
}

/// The inverse of the hyperbolic tangent.
pub fn area_tangent(x: f32) -> f32 {
    let a = x.abs().min(0.999_999_94);
    odd(x, 0.5 * logarithm_beside_one(div(2.0 * a, 1.0 - a)))
}

/// To the nearest whole number, halves to the even one.
pub fn nearest(x: f32) -> f32 {
    if x.abs() >= 8_388_608.0 {
        return x;
    }
    let whole = (x + 0.5).floor();
    let between = whole - x == 0.5 && (whole * 0.5).floor() * 2.0 != whole;
    if between { whole - 1.0 } else { whole }
}

/// The remainder of a by b with the sign of b, or of a if `like_dividend`; 0 for b = 0.
pub fn remainder_of(a: f32, b: f32, like_dividend: bool) -> f32 {
    if b == 0.0 {
        return 0.0;
    }
    let q = div(a, b);
    let whole = if like_dividend && q < 0.0 { -(-q).floor() } else { q.floor() };
    let r = a - whole * b;
    let size = b.abs();
    let sign = if (if like_dividend { a } else { b }) < 0.0 { -1.0 } else { 1.0 };
    let mut along = r * sign;
    if along < 0.0 {
        along += size;
    }
    if along >= size {
        along -= size;
    }
    along * sign
}

/// `x^y` of any x: of a negative one by whole y only, else 0.
pub fn real_power(x: f32, y: f32) -> f32 {
    if x >= 0.0 {
        return power(x, y);
    }
    if y.floor() != y {
        return 0.0;
    }
    let magnitude = power(-x, y);
    if (y * 0.5).floor() * 2.0 == y { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_close_to_those_of_the_library() {
        let close = |got: f32, truth: f64, what: &str, x: f32| {
            let error = (f64::from(got) - truth).abs();
            assert!(error <= 1e-6 + 2e-6 * truth.abs(), "{what}({x}): {got}, not {truth}");
        };
        for n in -40_000..40_000 {
            let x = n as f32 / 5_000.0;
            let wide = f64::from(x);
            close(exponential(x), wide.exp(), "exp", x);
            close(logistic(x), 1.0 / (1.0 + (-wide).exp()), "logistic", x);
            close(hyperbolic_tangent(x), wide.tanh(), "tanh", x);
            close(error_function(x), libm::erf(wide), "erf", x);
            let angle = x * 20.0;
            close(circle_of_radians(angle).1, f64::from(angle).sin(), "sin", angle);
            close(circle_of_radians(angle).0, f64::from(angle).cos(), "cos", angle);
            close(arc_tangent(x), wide.atan(), "atan", x);
            close(arc_sine(x / 8.0), (wide / 8.0).asin(), "asin", x / 8.0);
            close(hyperbolic_sine(x), wide.sinh(), "sinh", x);
            close(hyperbolic_cosine(x), wide.cosh(), "cosh", x);
            close(area_sine(x), wide.asinh(), "asinh", x);
            close(area_tangent(x / 8.1), (wide / f64::from(8.1_f32)).atanh(), "atanh", x);
            close(nearest(x), wide.round_ties_even(), "round", x);
            if x > 0.0 {
                close(natural_logarithm(x), wide.ln(), "ln", x);
                let beside = 1.0 + x;
                close(area_cosine(beside), f64::from(beside).acosh(), "acosh", beside);
            }
        }
    }

    #[test]
    fn ratios_are_rounded_as_the_processor_does() {
        let mut bits = 1_u32;
        let mut next = || {
            bits = bits.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            f32::from_bits((bits & 0x807f_ffff) | ((107 + (bits >> 8) % 40) << 23))
        };
        let pairs = (0..200_000).map(|_| (next(), next()));
        let wrong = pairs.filter(|(a, b)| ratio(*a, *b) != a / b).count();
        assert!(wrong < 20, "{wrong} of 200000");
        assert_eq!((ratio(127.5, 1.0), ratio(0.0, 3.0)), (127.5, 0.0));
    }

    #[test]
    fn remainders_and_powers_have_the_right_signs() {
        assert_eq!(remainder_of(5.5, -3.0, false), -0.5);
        assert_eq!(remainder_of(-5.5, 3.0, false), 0.5);
        assert_eq!(remainder_of(-5.5, 3.0, true), -2.5);
        assert_eq!(remainder_of(6.0, 3.0, true), 0.0);
        assert!((real_power(-2.0, 3.0) + 8.0).abs() < 1e-5);
        assert!((real_power(-2.0, 2.0) - 4.0).abs() < 1e-5);
        assert_eq!(real_power(-2.0, 0.5), 0.0);
    }
}
