//! How much light a dielectric's specular layer reflects, by viewing angle and roughness: what the
//! base under it does not get. A table for the shader, the same on every machine: f64 `+ - * /`,
//! `sqrt` and the `libm` crate only.

use std::f64::consts::TAU;
use std::sync::OnceLock;

/// Columns: cosine of the viewing angle, 0 to 1.
pub const COSINES: usize = 32;
/// Rows: roughness, 0 to 1.
pub const ROUGHNESSES: usize = 16;
/// Steps of the quadrature along each axis.
const STEPS: u32 = 32;
/// Covers what interpolation between rows may lose, so that energy is never created.
const MARGIN: f64 = 1.01;
const F0: f64 = 0.04;

/// The table, row by row.
pub fn table() -> &'static [f32; COSINES * ROUGHNESSES] {
    static TABLE: OnceLock<[f32; COSINES * ROUGHNESSES]> = OnceLock::new();
    TABLE.get_or_init(|| {
        std::array::from_fn(|at| {
            let cosine = (at % COSINES) as f64 / (COSINES - 1) as f64;
            let roughness = (at / COSINES) as f64 / (ROUGHNESSES - 1) as f64;
            (specular_albedo(cosine.max(0.01), roughness, F0) * MARGIN).min(1.0) as f32
        })
    })
}

/// The share of light that the layer leaves to the base, interpolated as the shader does.
pub fn base_share(cosine: f64, roughness: f64) -> f64 {
    let (x, y) = (cosine * (COSINES - 1) as f64, roughness * (ROUGHNESSES - 1) as f64);
    let (column, row) = ((x as usize).min(COSINES - 2), (y as usize).min(ROUGHNESSES - 2));
    let (s, t) = (x - column as f64, y - row as f64);
    let at = |row: usize, column: usize| f64::from(table()[row * COSINES + column]);
    let line = |row: usize| at(row, column) + (at(row, column + 1) - at(row, column)) * s;
    1.0 - (line(row) + (line(row + 1) - line(row)) * t)
}

fn unit(v: [f64; 3]) -> [f64; 3] {
    let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
    v.map(|x| x / length)
}

/// Directional albedo of single-scattering GGX with Schlick's Fresnel: the mean of F G2 / G1 over
/// visible normals, which are drawn by spherical caps (Dupuy and Benyoub 2023).
pub fn specular_albedo(cosine: f64, roughness: f64, f0: f64) -> f64 {
    let alpha = (roughness * roughness).max(1.0 / 1024.0);
    let out = [(1.0 - cosine * cosine).max(0.0).sqrt(), 0.0, cosine];
    let view = unit([out[0] * alpha, out[1] * alpha, out[2]]);
    let root = |z: f64| (alpha * alpha + (1.0 - alpha * alpha) * z * z).sqrt();
    let middle = |step: u32| (f64::from(step) + 0.5) / f64::from(STEPS);
    let mut sum = 0.0;
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
            let fresnel = f0 + (1.0 - f0) * (m * m * m * m * m);
            let seen = in_z * (cosine + root(cosine));
            sum += fresnel * seen / (in_z * root(cosine) + cosine * root(in_z));
        }
    }
    sum / f64::from(STEPS * STEPS)
}
