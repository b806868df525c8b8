//! The kernels of inference in plain Rust: the same parameters, the same order of additions, the
//! same bits as `shaders/glsl/infer`. Folds constants, and judges devices in tests. Knows no graph.

use super::functions as f;
use super::kernel::{Dispatch, Kernel};
use crate::render::exact::{arc_cosine_turns, div, rcp, root, tame};
use rayon::prelude::*;

/// What the tables of `view` and `resample` say of places outside.
pub const OUTSIDE: u32 = 0x8000_0000;
/// Elements that one task computes.
const CHUNK: usize = 4096;

/// Tensors as the kernels see them.
#[derive(Clone, Copy)]
struct Bound<'a> {
    p: &'a [u32],
    inputs: [&'a [u32]; 4],
}

impl Bound<'_> {
    fn n(&self, at: usize) -> usize {
        self.p[at] as usize
    }
    fn i(&self, at: usize) -> i64 {
        i64::from(self.p[at] as i32)
    }
    fn word(&self, input: usize, at: usize) -> u32 {
        self.inputs[input][at]
    }
    fn float(&self, input: usize, at: usize) -> f32 {
        f32::from_bits(self.inputs[input][at])
    }
}

/// Computes what a dispatch writes.
pub fn run(dispatch: &Dispatch, inputs: [&[u32]; 4], output: &mut [u32]) {
    let bound = Bound { p: &dispatch.parameters, inputs };
    let constant = |at: usize| dispatch.constants.get(at).copied().unwrap_or_default();
    match dispatch.kernel {
        Kernel::View => view(bound, output),
        Kernel::Map => each(bound, output, |at| map(bound, constant(0), at)),
        Kernel::Reduce => each(bound, output, |at| reduce(bound, constant(0), at)),
        Kernel::Product => each(bound, output, |at| product(bound, constant(0) == 1, at)),
        Kernel::Pool => each(bound, output, |at| pool(bound, constant(0), at)),
        Kernel::Resample => each(bound, output, |at| resample(bound, at)),
        Kernel::Spread => each(bound, output, |at| spread(bound, at)),
        Kernel::Convolve | Kernel::Bytes => super::convolution::twin(dispatch, inputs, output),
        Kernel::Pack => super::bytes::twin(&dispatch.parameters, inputs[0], output),
        Kernel::Gather => each(bound, output, |at| gather(bound, at)),
    }
}

fn each(bound: Bound<'_>, output: &mut [u32], of: impl Fn(usize) -> u32 + Sync) {
    let elements = bound.n(0);
    output[..elements].par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, words)| {
        for (at, word) in words.iter_mut().enumerate() {
            *word = of(chunk * CHUNK + at);
        }
    });
}

fn word(x: f32) -> u32 {
    tame(x).to_bits()
}

fn view(bound: Bound<'_>, output: &mut [u32]) {
    for at in 0..bound.n(0) {
        let (mut rest, mut from, mut to) = (at, bound.p[3], bound.n(4));
        let mut inside = true;
        for nth in (0..bound.n(1)).rev() {
            let d = 5 + nth * 3;
            let along = rest % bound.n(d);
            rest /= bound.n(d);
            let moved = bound.p[bound.n(d + 2) + along];
            inside &= moved != OUTSIDE;
            from = from.wrapping_add(moved);
            to += along * bound.n(d + 1);
        }
        output[to] = if inside { bound.word(0, from as usize) } else { bound.p[2] };
    }
}

/// A function of one number.
pub fn of_one(operation: u32, x: f32, alpha: f32, beta: f32) -> f32 {
    match operation {
        1 => -x,
        2 => x.abs(),
        3 => x.max(0.0),
        4 if x < 0.0 => alpha * x,
        5 => f::logistic(x),
        6 => f::hyperbolic_tangent(x),
        7 => f::exponential(x),
        8 => f::natural_logarithm(x),
        9 => root(x),
        10 => rcp(x),
        11 => x.floor(),
        12 => -(-x).floor(),
        13 => f::nearest(x),
        14 => f::error_function(x),
        15 if x > 0.0 => 1.0,
        15 if x < 0.0 => -1.0,
        15 => 0.0,
        16 => x.max(alpha).min(beta),
        17 => f::circle_of_radians(x).1,
        18 => f::circle_of_radians(x).0,
        19 => {
            let (cosine, sine) = f::circle_of_radians(x);
            div(sine, cosine)
        }
        20 => f::arc_sine(x),
        21 => arc_cosine_turns(x) * std::f32::consts::TAU,
        22 => f::arc_tangent(x),
        23 => f::hyperbolic_sine(x),
        24 => f::hyperbolic_cosine(x),
        25 => f::area_sine(x),
        26 => f::area_cosine(x),
        27 => f::area_tangent(x),
        28 => alpha * x + beta,
        _ => x,
    }
}

/// A function of two numbers.
pub fn of_two(operation: u32, x: f32, y: f32) -> f32 {
    match operation {
        40 => x + y,
        41 => x - y,
        42 => x * y,
        43 => f::ratio(x, y),
        44 => f::real_power(x, y),
        45 => x.min(y),
        46 => x.max(y),
        47 if x < 0.0 => x * y,
        48 => f::remainder_of(x, y, false),
        49 => f::remainder_of(x, y, true),
        _ => x,
    }
}

fn holds(operation: u32, x: f32, y: f32) -> bool {
    match operation {
        60 => x == y,
        61 => x < y,
        62 => x > y,
        63 => x <= y,
        64 => x >= y,
        _ => false,
    }
}

fn whole_remainder(x: i32, y: i32, like_dividend: bool) -> i32 {
    if y == 0 {
        return 0;
    }
    let r = x.wrapping_rem(y);
    if !like_dividend && r != 0 && (r < 0) != (y < 0) { r + y } else { r }
}

fn of_wholes(operation: u32, u: u32, v: u32) -> u32 {
    let (x, y) = (u as i32, v as i32);
    match operation {
        80 => u.wrapping_add(v),
        81 => u.wrapping_sub(v),
        82 => u.wrapping_mul(v),
        83 => (if y == 0 { 0 } else { x.wrapping_div(y) }) as u32,
        84 => x.min(y) as u32,
        85 => x.max(y) as u32,
        86 => whole_remainder(x, y, false) as u32,
        87 => whole_remainder(x, y, true) as u32,
        88 => u & v,
        89 => u | v,
        90 => u ^ v,
        91 => u.checked_shl(v).unwrap_or(0),
        92 => u.checked_shr(v).unwrap_or(0),
        93 => u32::from(x == y),
        94 => u32::from(x < y),
        95 => u32::from(x > y),
        96 => u32::from(x <= y),
        97 => u32::from(x >= y),
        _ => u,
    }
}

fn of_whole(operation: u32, u: u32, alpha: u32, beta: u32) -> u32 {
    let x = u as i32;
    match operation {
        110 => u.wrapping_neg(),
        111 => x.unsigned_abs(),
        112 => u32::from(u == 0),
        113 => !u,
        114 => x.signum() as u32,
        115 => u32::from(u != 0),
        116 => word(x as f32),
        117 => (u & alpha) | if u & beta != 0 { !alpha } else { 0 },
        118 => x.max(alpha as i32).min(beta as i32) as u32,
        _ => u,
    }
}

fn map(bound: Bound<'_>, operation: u32, at: usize) -> u32 {
    let mut rest = at;
    let (mut i, mut j, mut k) = (bound.n(4), bound.n(5), bound.n(6));
    for nth in (0..bound.n(1)).rev() {
        let d = 7 + nth * 4;
        let along = rest % bound.n(d);
        rest /= bound.n(d);
        i += along * bound.n(d + 1);
        j += along * bound.n(d + 2);
        k += along * bound.n(d + 3);
    }
    let (alpha, beta) = (bound.p[2], bound.p[3]);
    let float = |input: usize, at: usize| bound.float(input, at);
    match operation {
        0 => bound.word(0, i),
        1..40 => word(of_one(operation, float(0, i), f32::from_bits(alpha), f32::from_bits(beta))),
        40..60 => word(of_two(operation, float(0, i), float(1, j))),
        60..80 => u32::from(holds(operation, float(0, i), float(1, j))),
        80..110 => of_wholes(operation, bound.word(0, i), bound.word(1, j)),
        110..120 => of_whole(operation, bound.word(0, i), alpha, beta),
        120 if bound.word(0, i) != 0 => bound.word(1, j),
        120 => bound.word(2, k),
        121 => float(0, i).clamp(-2_147_483_520.0, 2_147_483_520.0) as i32 as u32,
        122 => u32::from(float(0, i) != 0.0),
        _ => 0,
    }
}

fn place_of(bound: Bound<'_>, n: usize, first: usize, count: usize, base: usize) -> usize {
    let (mut rest, mut at) = (n, base);
    for nth in (0..count).rev() {
        let d = first + nth * 2;
        at += rest % bound.n(d) * bound.n(d + 1);
        rest /= bound.n(d);
    }
    at
}

/// A term, or what came of several, and the place of the one that stood out.
#[derive(Clone, Copy)]
struct Partial {
    word: u32,
    place: u32,
}

fn joined(operation: u32, so_far: Partial, term: Partial) -> Partial {
    let (x, y) = (f32::from_bits(so_far.word), f32::from_bits(term.word));
    let word = match operation {
        0 | 1 => (x + y).to_bits(),
        2 => word(x * y),
        3 => x.max(y).to_bits(),
        4 => x.min(y).to_bits(),
        5 | 6 => {
            let further = if operation == 5 { y > x } else { y < x };
            let takes = further || x == y && term.place < so_far.place;
            return if takes { term } else { so_far };
        }
        7 => so_far.word.wrapping_add(term.word),
        8 => (so_far.word as i32).max(term.word as i32) as u32,
        9 => (so_far.word as i32).min(term.word as i32) as u32,
        10 => so_far.word.wrapping_mul(term.word),
        _ => so_far.word,
    };
    Partial { word, ..so_far }
}

fn reduce(bound: Bound<'_>, operation: u32, at: usize) -> u32 {
    let base = place_of(bound, at, 5, bound.n(2), bound.n(4));
    let begun = match operation {
        2 => 1.0_f32.to_bits(),
        3 | 5 => (-3.0e38_f32).to_bits(),
        4 | 6 => 3.0e38_f32.to_bits(),
        8 => 0x8000_0000,
        9 => 0x7fff_ffff,
        10 => 1,
        _ => 0,
    };
    let lane = |lane: usize| {
        let begun = Partial { word: begun, place: u32::MAX };
        (lane..bound.n(1)).step_by(64).fold(begun, |sum, n| {
            let from = place_of(bound, n, 5 + bound.n(2) * 2, bound.n(3), base);
            joined(operation, sum, Partial { word: bound.word(0, from), place: n as u32 })
        })
    };
    let sum = (1..64).fold(lane(0), |sum, n| joined(operation, sum, lane(n)));
    match operation {
        0 => word(f32::from_bits(sum.word)),
        1 => word(div(f32::from_bits(sum.word), bound.n(1) as f32)),
        5 | 6 => sum.place,
        _ => sum.word,
    }
}

fn product(bound: Bound<'_>, whole: bool, at: usize) -> u32 {
    let n = at % bound.n(1);
    let m = at / bound.n(1) % bound.n(10);
    let mut rest = at / bound.n(1) / bound.n(10);
    let mut i = bound.n(3) + m * bound.n(5);
    let mut j = bound.n(4) + n * bound.n(8);
    for nth in (0..bound.n(9)).rev() {
        let d = 11 + nth * 3;
        let along = rest % bound.n(d);
        rest /= bound.n(d);
        i += along * bound.n(d + 1);
        j += along * bound.n(d + 2);
    }
    let (mut sum, mut total) = (0.0_f32, 0_u32);
    for k in 0..bound.n(2) {
        let (i, j) = (i + k * bound.n(6), j + k * bound.n(7));
        if whole {
            total = total.wrapping_add(bound.word(0, i).wrapping_mul(bound.word(1, j)));
        } else {
            sum += bound.float(0, i) * bound.float(1, j);
        }
    }
    if whole { total } else { word(sum) }
}

fn pool(bound: Bound<'_>, operation: u32, at: usize) -> u32 {
    let of = |d: usize, word: usize| bound.i(4 + d * 8 + word);
    let (mut rest, mut first) = (at, [0_i64; 3]);
    for d in (0..3).rev() {
        let along = rest % of(d, 1) as usize;
        rest /= of(d, 1) as usize;
        first[d] = along as i64 * of(d, 3) + of(d, 5);
    }
    let plane = bound.n(3) + rest * bound.n(28);
    let mut sum = if operation == 0 { -3.0e38_f32 } else { 0.0 };
    let mut count = 0;
    for u in 0..of(0, 2) {
        for v in 0..of(1, 2) {
            for w in 0..of(2, 2) {
                let window = [u, v, w];
                let place = [0, 1, 2].map(|d| first[d] + window[d] * of(d, 4));
                let inside = (0..3).all(|d| (0..of(d, 0)).contains(&place[d]));
                let counts = (0..3).all(|d| (of(d, 6)..of(d, 7)).contains(&place[d]));
                count += u32::from(if bound.p[1] == 1 { counts } else { inside });
                if inside {
                    let [z, y, x] = place;
                    let value =
                        bound.float(0, plane + ((z * of(1, 0) + y) * of(2, 0) + x) as usize);
                    sum = if operation == 0 { sum.max(value) } else { sum + value };
                }
            }
        }
    }
    word(if operation == 1 { div(sum, count as f32) } else { sum })
}

fn resample(bound: Bound<'_>, at: usize) -> u32 {
    let (mut rest, mut from, mut row) = (at, bound.n(3), 0);
    for nth in (0..bound.n(1)).rev() {
        let d = 9 + nth * 2;
        let along = rest % bound.n(d);
        rest /= bound.n(d);
        from += along * bound.n(d + 1);
        if nth == bound.n(4) {
            row = along * bound.n(2);
        }
    }
    let places = &bound.p[bound.n(6) + row..][..bound.n(2)];
    if places.first() == Some(&OUTSIDE) {
        return bound.p[8];
    }
    let weights = &bound.p[bound.n(7) + row..][..bound.n(2)];
    let terms = places.iter().zip(weights).map(|(place, weight)| {
        bound.float(0, from + *place as usize * bound.n(5)) * f32::from_bits(*weight)
    });
    word(terms.fold(0.0, |sum: f32, term| sum + term))
}

fn spread(bound: Bound<'_>, at: usize) -> u32 {
    let channels = bound.n(1);
    let (x, y, channel) =
        (at % bound.n(7), at / bound.n(7) % bound.n(6), at / bound.n(7) / bound.n(6));
    let written = bound.n(2) * bound.n(3);
    let (image, channel) = (channel / written, channel % written);
    let group = channel / bound.n(2);
    let plane = bound.n(4) * bound.n(5);
    let from = bound.n(18) + (image * bound.n(3) + group) * channels * plane;
    let weight = group * channels * bound.n(2) + channel % bound.n(2);
    // Which row or column stored meets a row or column of the kernel, if one does.
    let met = |at: usize, kernel: usize, d: usize| {
        let v = at as i64 + bound.i(14 + d) - kernel as i64 * bound.i(12 + d);
        let stored = v / bound.i(10 + d) - bound.i(16 + d);
        let there = v >= 0 && v % bound.i(10 + d) == 0 && stored >= 0 && stored < bound.i(4 + d);
        there.then_some(stored as usize)
    };
    let mut sum = bound.float(2, channel);
    for i in 0..channels {
        for ky in 0..bound.n(8) {
            let Some(row) = met(y, ky, 0) else { continue };
            for kx in 0..bound.n(9) {
                let Some(column) = met(x, kx, 1) else { continue };
                let value = bound.float(0, from + i * plane + row * bound.n(5) + column);
                let at = ((weight + i * bound.n(2)) * bound.n(8) + ky) * bound.n(9) + kx;
                sum += value * bound.float(1, at);
            }
        }
    }
    word(sum)
}

fn gather(bound: Bound<'_>, at: usize) -> u32 {
    let inner = at % bound.n(1);
    let nth = at / bound.n(1) % bound.n(2);
    let outer = at / bound.n(1) / bound.n(2);
    let indices = if bound.p[4] == 1 { at } else { nth };
    let length = bound.n(3) as i64;
    let index = i64::from(bound.word(1, indices) as i32);
    let index = if index < 0 { index + length } else { index };
    let index = index.clamp(0, length - 1) as usize;
    bound.word(0, (outer * bound.n(3) + index) * bound.n(1) + inner)
}
