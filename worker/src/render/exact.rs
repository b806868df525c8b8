//! The twin of `shaders/glsl/lib/exact.glsl` in plain Rust: same name, same steps, same bits.
//! What the functions promise is said there. Knows no scene.
// The digits are those of the shader, so that both round alike.
#![allow(clippy::excessive_precision)]

/// Bits of the largest finite number.
pub const HUGEST: u32 = 0x7f7f_ffff;
const SIGN: u32 = 0x8000_0000;
const MANTISSA: u32 = 0x7f_ffff;

fn exponent(bits: u32) -> i32 {
    ((bits >> 23) & 255) as i32
}

/// Any bit pattern as a normal finite number or +0.
pub fn tidy(x: f32) -> f32 {
    let bits = x.to_bits();
    match exponent(bits) {
        0 => 0.0,
        255 if bits & MANTISSA != 0 => 0.0,
        255 => f32::from_bits((bits & SIGN) | HUGEST),
        _ => x,
    }
}

/// +0, or a magnitude in 2^-40 to 2^40.
pub fn tame(x: f32) -> f32 {
    let bits = x.to_bits();
    match exponent(bits) {
        ..87 => 0.0,
        87..167 => x,
        255 if bits & MANTISSA != 0 => 0.0,
        _ => f32::from_bits((bits & SIGN) | 0x5380_0000),
    }
}

/// `x * 2^shift` for a normal x or 0; saturates, and gives +0 below the normal range.
pub fn scale(x: f32, shift: i32) -> f32 {
    let bits = x.to_bits();
    match exponent(bits) + shift {
        _ if exponent(bits) == 0 => 0.0,
        ..=0 => 0.0,
        255.. => f32::from_bits((bits & SIGN) | HUGEST),
        exponent => f32::from_bits((bits & (SIGN | MANTISSA)) | ((exponent as u32) << 23)),
    }
}

fn rcp_mantissa(m: f32) -> f32 {
    let mut y = f32::from_bits(0x7ef3_11c7 - m.to_bits());
    y *= 2.0 - m * y;
    y *= 2.0 - m * y;
    y + y * (1.0 - m * y)
}

/// `1 / x`; `rcp(0)` is the largest finite number.
pub fn rcp(x: f32) -> f32 {
    let bits = tidy(x).to_bits();
    let exponent = exponent(bits);
    if exponent == 0 {
        return f32::from_bits(HUGEST);
    }
    let y = rcp_mantissa(f32::from_bits((bits & MANTISSA) | 0x3f80_0000));
    let magnitude = scale(y, 127 - exponent);
    if magnitude == 0.0 { 0.0 } else { f32::from_bits(magnitude.to_bits() | (bits & SIGN)) }
}

/// `a / b`; 0/0 is 0, a/0 is the largest finite number with the sign of a.
pub fn div(a: f32, b: f32) -> f32 {
    let (top, bottom) = (tidy(a).to_bits(), tidy(b).to_bits());
    let sign = (top ^ bottom) & SIGN;
    if exponent(top) == 0 {
        return 0.0;
    }
    if exponent(bottom) == 0 {
        return f32::from_bits((top & SIGN) | HUGEST);
    }
    let m = f32::from_bits((bottom & MANTISSA) | 0x3f80_0000);
    let n = f32::from_bits((top & MANTISSA) | 0x3f80_0000);
    let magnitude = scale(n * rcp_mantissa(m), exponent(top) - exponent(bottom));
    if magnitude == 0.0 { 0.0 } else { f32::from_bits(magnitude.to_bits() | sign) }
}

fn rsqrt_mantissa(m: f32) -> f32 {
    let mut y = f32::from_bits(0x5f37_5a86 - (m.to_bits() >> 1));
    let h = 0.5 * m;
    y *= 1.5 - h * (y * y);
    y *= 1.5 - h * (y * y);
    y + y * (0.5 - h * (y * y))
}

fn even_mantissa(bits: u32) -> (f32, i32) {
    let exponent = exponent(bits) - 127;
    let odd = exponent & 1;
    let m = f32::from_bits((bits & MANTISSA) | (((127 + odd) as u32) << 23));
    (m, (exponent - odd) >> 1)
}

/// Square root; of negative numbers 0.
pub fn root(x: f32) -> f32 {
    let bits = tidy(x).to_bits();
    if bits == 0 || bits & SIGN != 0 {
        return 0.0;
    }
    let (m, half_exponent) = even_mantissa(bits);
    let y = rsqrt_mantissa(m);
    let s = m * y;
    scale(s + (0.5 * y) * (m - s * s), half_exponent)
}

/// `1 / sqrt(x)`; of 0 the largest finite number, of negative numbers 0.
pub fn rsqrt(x: f32) -> f32 {
    let bits = tidy(x).to_bits();
    if bits == 0 {
        return f32::from_bits(HUGEST);
    }
    if bits & SIGN != 0 {
        return 0.0;
    }
    let (m, half_exponent) = even_mantissa(bits);
    scale(rsqrt_mantissa(m), -half_exponent)
}

/// `2^x`.
pub fn power_of_two(x: f32) -> f32 {
    let t = tidy(x);
    if t < -126.5 {
        return 0.0;
    }
    if t >= 128.0 {
        return f32::from_bits(HUGEST);
    }
    let whole = (t + 0.5).floor();
    let f = t - whole;
    let mut p = 1.545_316_293_9e-4_f32;
    p = p * f + 1.339_086_336_5e-3;
    p = p * f + 9.618_082_557_3e-3;
    p = p * f + 5.550_357_114_2e-2;
    p = p * f + 2.402_265_076_1e-1;
    p = p * f + 6.931_471_880_3e-1;
    p = p * f + 1.0;
    scale(p, whole as i32)
}

/// `log2(x)`; of 0 and negative numbers minus the largest finite number.
pub fn logarithm(x: f32) -> f32 {
    let bits = tidy(x).to_bits();
    if bits == 0 || bits & SIGN != 0 {
        return f32::from_bits(SIGN | HUGEST);
    }
    let mantissa = bits & MANTISSA;
    let up = i32::from(mantissa > 0x35_04f3);
    let m = f32::from_bits(mantissa | (((127 - up) as u32) << 23));
    let t = div(m - 1.0, m + 1.0);
    let s = t * t;
    let mut p = 0.336_650_211_88_f32;
    p = p * s + 0.411_898_148_79;
    p = p * s + 0.577_079_818_66;
    p = p * s + 0.961_796_692_15;
    let tail = (t * s) * p;
    tidy((exponent(bits) - 127 + up) as f32 + (t * 2.885_390_081_7 + tail))
}

/// The linear value of an sRGB byte (IEC 61966-2-1).
pub fn linear(byte: u8) -> f32 {
    let encoded = f32::from(byte) / 255.0;
    if encoded <= 0.04045 { encoded / 12.92 } else { power((encoded + 0.055) / 1.055, 2.4) }
}

/// `x^y` for x >= 0; negative x counts as 0. 0^0 is 1.
pub fn power(x: f32, y: f32) -> f32 {
    let (base, by) = (tidy(x), tidy(y));
    if by == 0.0 {
        return 1.0;
    }
    if base <= 0.0 {
        return if by > 0.0 { 0.0 } else { f32::from_bits(HUGEST) };
    }
    let l = logarithm(base);
    if l == 0.0 {
        return 1.0;
    }
    power_of_two(by.clamp(-4.0e9, 4.0e9) * l)
}

/// Cosine and sine of x turns.
pub fn circle(x: f32) -> (f32, f32) {
    let turn = tidy(x);
    if turn.abs() >= 4_194_304.0 {
        return (1.0, 0.0);
    }
    let quarters = turn * 4.0;
    let nearest = (quarters + 0.5).floor();
    let a = (quarters - nearest) * std::f32::consts::FRAC_PI_2;
    let b = a * a;
    let mut s = b * 2.724_942_417_8e-6 - 1.984_008_133_1e-4;
    s = s * b + 8.333_331_858_1e-3;
    s = s * b - 1.666_666_666_7e-1;
    s = a + a * (b * s);
    let mut c = b * -2.729_680_994_9e-7 + 2.480_055_531_5e-5;
    c = c * b - 1.388_888_753_2e-3;
    c = c * b + 4.166_666_666_7e-2;
    c = c * b - 0.5;
    c = c * b + 1.0;
    let (sine, cosine) = (tidy(s), tidy(c));
    let quadrant = nearest as i32 & 3;
    let (u, v) = if quadrant & 1 == 0 { (cosine, sine) } else { (sine, cosine) };
    let negate = |x: f32, yes: bool| if yes && x != 0.0 { -x } else { x };
    (negate(u, quadrant == 1 || quadrant == 2), negate(v, quadrant >= 2))
}

fn arc(t: f32) -> f32 {
    let (u, shifted) = if t > 0.414_213_56 { (div(t - 1.0, t + 1.0), 0.125) } else { (t, 0.0) };
    let s = u * u;
    let mut p = s * -1.024_765_190_4e-2 + 1.709_107_009_0e-2;
    p = p * s - 2.270_073_936_6e-2;
    p = p * s + 3.183_020_657_7e-2;
    p = p * s - 5.305_164_452_7e-2;
    p *= s;
    shifted + (u * 0.159_154_943_09 + u * p)
}

/// Direction of (x, y) in turns, -1/2 to 1/2; of (0, 0) it is 0.
pub fn direction_turns(y: f32, x: f32) -> f32 {
    let (v, u) = (tidy(y), tidy(x));
    if u == 0.0 && v == 0.0 {
        return 0.0;
    }
    let (high, low) = (u.abs().max(v.abs()), u.abs().min(v.abs()));
    let mut turns = arc(div(low, high));
    if v.abs() > u.abs() {
        turns = 0.25 - turns;
    }
    if u < 0.0 {
        turns = 0.5 - turns;
    }
    turns = tidy(turns);
    if v < 0.0 && turns != 0.0 { -turns } else { turns }
}

/// `acos(x)` in turns, 0 to 1/2; x is clamped to -1..1.
pub fn arc_cosine_turns(x: f32) -> f32 {
    let c = tidy(x).clamp(-1.0, 1.0);
    direction_turns(root((1.0 - c) * (1.0 + c)), c)
}

/// Scalar product; components are tame.
pub fn dot3(a: [f32; 3], b: [f32; 3]) -> f32 {
    (a[0] * b[0] + a[1] * b[1]) + a[2] * b[2]
}

/// Vector product; components are tame.
pub fn cross3(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// The unit vector along v, tame; of the zero vector the zero vector.
pub fn unit(v: [f32; 3]) -> [f32; 3] {
    let r = rsqrt(dot3(v, v));
    v.map(|component| tame(component * r))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance from the true value in units of the last place.
    fn ulps(got: f32, truth: f64) -> f64 {
        let place = f64::from(f32::from_bits((truth as f32).abs().to_bits() + 1))
            - f64::from((truth as f32).abs());
        (f64::from(got) - truth).abs() / place
    }

    fn worst(range: std::ops::Range<u32>, of: impl Fn(f32) -> (f32, f64)) -> f64 {
        let step = ((range.end - range.start) / 400_000).max(1) as usize;
        let inputs = range.step_by(step).map(f32::from_bits);
        inputs.map(of).map(|(got, truth)| ulps(got, truth)).fold(0.0, f64::max)
    }

    #[test]
    fn reciprocals_and_roots_are_within_two_units() {
        let normal = 0x0080_0000..0x7e80_0000;
        assert!(worst(normal.clone(), |x| (rcp(x), 1.0 / f64::from(x))) < 2.0);
        assert!(worst(normal.clone(), |x| (root(x), f64::from(x).sqrt())) < 2.0);
        assert!(worst(normal.clone(), |x| (rsqrt(x), 1.0 / f64::from(x).sqrt())) < 2.0);
        assert!(
            worst(0x2000_0000..0x5f00_0000, |x| (div(7.3, x), 7.3_f32 as f64 / x as f64)) < 2.0
        );
    }

    #[test]
    fn transcendental_functions_are_close() {
        let exp = worst(0x3a00_0000..0x42fc_0000, |x| (power_of_two(x), f64::from(x).exp2()));
        let log = worst(0x0080_0000..0x7f00_0000, |x| (logarithm(x), f64::from(x).log2()));
        assert!(exp < 3.0, "{exp}");
        assert!(log < 4.0, "{log}");
        for n in -20_000..20_000 {
            let x = n as f32 / 7919.0;
            let (cosine, sine) = circle(x);
            let angle = f64::from(x) * std::f64::consts::TAU;
            assert!((f64::from(cosine) - angle.cos()).abs() < 1.5e-7, "cos {x}");
            assert!((f64::from(sine) - angle.sin()).abs() < 1.5e-7, "sin {x}");
            let turns = direction_turns(sine, cosine);
            let truth = f64::from(sine).atan2(f64::from(cosine)) / std::f64::consts::TAU;
            assert!((f64::from(turns) - truth).abs() < 6e-8, "atan {x}");
            let c = n as f32 / 20_000.0;
            let truth = f64::from(c).acos() / std::f64::consts::TAU;
            assert!((f64::from(arc_cosine_turns(c)) - truth).abs() < 6e-8, "acos {c}");
        }
        assert!((power(0.5, 2.4) - 0.5_f32.powf(2.4)).abs() < 1e-6);
    }

    #[test]
    fn special_inputs_have_the_promised_results() {
        let huge = f32::from_bits(HUGEST);
        for zero in [0.0, -0.0, 1e-40, -1e-40, f32::NAN] {
            assert_eq!(tidy(zero).to_bits(), 0);
            assert_eq!(rcp(zero), huge);
            assert_eq!(root(zero).to_bits(), 0);
            assert_eq!(rsqrt(zero), huge);
            assert_eq!(div(zero, zero).to_bits(), 0);
            assert_eq!(div(-1.0, zero), -huge);
            assert_eq!(logarithm(zero), -huge);
            assert_eq!(power_of_two(zero), 1.0);
            assert_eq!(power(zero, 1.0), 0.0);
            assert_eq!(circle(zero), (1.0, 0.0));
        }
        assert_eq!(rcp(f32::INFINITY).to_bits(), 0);
        assert_eq!(rcp(f32::NEG_INFINITY).to_bits(), 0);
        assert_eq!(root(-4.0).to_bits(), 0);
        assert_eq!((root(4.0), rcp(4.0), rsqrt(4.0)), (2.0, 0.25, 0.5));
        assert_eq!(power_of_two(f32::NEG_INFINITY).to_bits(), 0);
        assert_eq!(unit([0.0; 3]), [0.0; 3]);
    }
}
