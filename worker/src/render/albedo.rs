//! How much light a layer of facets or a sheen reflects of an even sky, by viewing angle and
//! roughness: what the layers below do not get, and what single scattering loses. Tables for the
//! shader, the same on every machine: f64 `+ - * /`, `sqrt` and the `libm` crate only.

use std::f64::consts::{PI, TAU};
use std::sync::OnceLock;

/// Columns: cosine of the viewing angle, 0 to 1.
pub const COSINES: usize = 32;
/// Rows: roughness, 0 to 1.
pub const ROUGHNESSES: usize = 16;
const CELLS: usize = COSINES * ROUGHNESSES;
/// Steps of the quadrature along each axis.
const STEPS: u32 = 32;
/// Covers what interpolation between rows may lose, so that energy is never created.
const MARGIN: f64 = 1.01;
/// Least roughness of a sheen; below, its fit is none.
const SHEEN_ROUGHNESS_MIN: f64 = 0.1;

/// Two numbers a cell: facets reflect `f0 x + f90 y`. All x row by row, then all y.
pub fn facets() -> &'static [f32; 2 * CELLS] {
    static TABLE: OnceLock<[f32; 2 * CELLS]> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = [0.0; 2 * CELLS];
        for at in 0..CELLS {
            let (cosine, roughness) = place(at);
            let [x, y] = facet_albedo(cosine, roughness);
            (table[at], table[CELLS + at]) = (x as f32, y as f32);
        }
        table
    })
}

/// What a white sheen reflects, row by row.
pub fn sheens() -> &'static [f32; CELLS] {
    static TABLE: OnceLock<[f32; CELLS]> = OnceLock::new();
    TABLE.get_or_init(|| {
        std::array::from_fn(|at| {
            let (cosine, roughness) = place(at);
            sheen_albedo(cosine, roughness).min(1.0) as f32
        })
    })
}

/// Cosine and roughness of a cell.
fn place(at: usize) -> (f64, f64) {
    let cosine = (at % COSINES) as f64 / (COSINES - 1) as f64;
    (cosine.max(0.01), (at / COSINES) as f64 / (ROUGHNESSES - 1) as f64)
}

/// A table at a cosine and a roughness, interpolated as the shader does.
pub fn interpolated(table: &[f32], cosine: f64, roughness: f64) -> f64 {
    let (x, y) = (cosine * (COSINES - 1) as f64, roughness * (ROUGHNESSES - 1) as f64);
    let (column, row) = ((x as usize).min(COSINES - 2), (y as usize).min(ROUGHNESSES - 2));
    let (s, t) = (x - column as f64, y - row as f64);
    let at = |row: usize, column: usize| f64::from(table[row * COSINES + column]);
    let line = |row: usize| at(row, column) + (at(row, column + 1) - at(row, column)) * s;
    line(row) + (line(row + 1) - line(row)) * t
}

/// What multiple scattering gives back to facets that reflect f0 (Turquin 2019), as a factor.
pub fn given_back(cosine: f64, roughness: f64, f0: f64) -> f64 {
    let [x, y] = [0, CELLS].map(|from| interpolated(&facets()[from..], cosine, roughness));
    1.0 + f0 * (1.0 / (x + y).max(0.05) - 1.0).max(0.0)
}

/// The share of light that facets leave to what is below them.
pub fn left_by(cosine: f64, roughness: f64, f0: f64, f90: f64) -> f64 {
    let [x, y] = [0, CELLS].map(|from| interpolated(&facets()[from..], cosine, roughness));
    let taken = (f0 * x + f90 * y) * given_back(cosine, roughness, f0);
    (1.0 - taken * MARGIN).clamp(0.0, 1.0)
}

fn unit(v: [f64; 3]) -> [f64; 3] {
    let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
    v.map(|x| x / length)
}

/// Directional albedo of facets that scatter once, with Schlick's Fresnel, as factors of f0 and of
/// f90: means of G2 / G1 over visible normals, which are drawn by spherical caps (Dupuy and Benyoub
/// 2023).
pub fn facet_albedo(cosine: f64, roughness: f64) -> [f64; 2] {
    let alpha = (roughness * roughness).max(1.0 / 1024.0);
    let out = [(1.0 - cosine * cosine).max(0.0).sqrt(), 0.0, cosine];
    let view = unit([out[0] * alpha, out[1] * alpha, out[2]]);
    let root = |z: f64| (alpha * alpha + (1.0 - alpha * alpha) * z * z).sqrt();
    let middle = |step: u32| (f64::from(step) + 0.5) / f64::from(STEPS);
    let mut sums = [0.0; 2];
    for (u, v) in (0..STEPS).flat_map(|i| (0..STEPS).map(move |j| (middle(i), middle(j)))) {
        let z = (1.0 - v) * (1.0 + view[2]) - view[2];
        let radius = (1.0 - z * z).max(0.0).sqrt();
        let (sine, cosine_u) = libm::sincos(TAU * u);
        let cap = [radius * cosine_u + view[0], radius * sine + view[1], z + view[2]];
        let h = unit([cap[0] * alpha, cap[1] * alpha, cap[2]]);
        let out_h = out[0] * h[0] + out[1] * h[1] + out[2] * h[2];
        let in_z = 2.0 * out_h * h[2] - out[2];
        if in_z > 0.0 {
            let m = (1.0 - out_h).max(0.0);
            let grazing = m * m * m * m * m;
            let seen = in_z * (cosine + root(cosine));
            let seen = seen / (in_z * root(cosine) + cosine * root(in_z));
            sums[0] += (1.0 - grazing) * seen;
            sums[1] += grazing * seen;
        }
    }
    sums.map(|sum| sum / f64::from(STEPS * STEPS))
}

/// Directional albedo of a white sheen (`sheen.glsl`).
pub fn sheen_albedo(cosine: f64, roughness: f64) -> f64 {
    let alpha = roughness.max(SHEEN_ROUGHNESS_MIN) * roughness.max(SHEEN_ROUGHNESS_MIN);
    let out = [(1.0 - cosine * cosine).max(0.0).sqrt(), 0.0, cosine];
    let middle = |step: u32| (f64::from(step) + 0.5) / f64::from(STEPS);
    let out_lambda = sheen_lambda(cosine, alpha);
    let mut sum = 0.0;
    for in_z in (0..STEPS).map(middle) {
        let flat = (1.0 - in_z * in_z).sqrt();
        let shadow = 1.0 + out_lambda + sheen_lambda(in_z, alpha);
        let v = (1.0 / (shadow * 4.0 * cosine * in_z)).min(1.0);
        for turn in (0..STEPS).map(middle) {
            let (sine, cosine_u) = libm::sincos(PI * turn);
            let h = unit([out[0] + flat * cosine_u, flat * sine, cosine + in_z]);
            let sine2 = (h[0] * h[0] + h[1] * h[1]).min(1.0);
            sum += (2.0 + 1.0 / alpha) / TAU * libm::pow(sine2, 0.5 / alpha) * v * in_z;
        }
    }
    sum * TAU / f64::from(STEPS * STEPS)
}

/// Smith's lambda of the "Charlie" distribution, as fitted by Estevez and Kulla (2017).
fn sheen_lambda(cosine: f64, alpha: f64) -> f64 {
    let by = (1.0 - alpha) * (1.0 - alpha);
    let mix = |rough: f64, smooth: f64| rough + (smooth - rough) * by;
    let [a, b, c] = [mix(21.5473, 25.3245), mix(3.82987, 3.32435), mix(0.19823, 0.16801)];
    let [d, e] = [mix(-1.97760, -1.27393), mix(-4.32054, -4.85967)];
    let fit = |x: f64| a / (1.0 + b * libm::pow(x, c)) + d * x + e;
    libm::exp(if cosine < 0.5 { fit(cosine) } else { 2.0 * fit(0.5) - fit(1.0 - cosine) })
}
