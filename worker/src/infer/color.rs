//! Between the colours of pictures and those that networks are trained on. All of it in exact
//! arithmetic: it decides bits.

use super::functions::{exponential, natural_logarithm};
use crate::render::exact::{div, linear, power, tame};
use std::str::FromStr;

/// What a network's numbers mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// 0 to 1, encoded by sRGB (IEC 61966-2-1).
    #[default]
    Srgb,
    /// 0 to 255, encoded by sRGB.
    Srgb255,
    /// Linear radiance.
    Linear,
    /// Linear radiance through the transfer of Open Image Denoise's networks (its color.h).
    Pu,
    /// Directions: -1 to 1 becomes 0 to 1.
    Normal,
}

impl Color {
    /// All of them, as they are called.
    pub const ALL: [(&str, Self); 5] = [
        ("srgb", Self::Srgb),
        ("srgb255", Self::Srgb255),
        ("linear", Self::Linear),
        ("pu", Self::Pu),
        ("normal", Self::Normal),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, own)| *own == self).map_or("srgb", |(name, _)| name)
    }

    /// A byte of a picture as the network takes it.
    pub fn of_byte(self, byte: u8) -> f32 {
        match self {
            Self::Srgb | Self::Normal => f32::from(byte) / 255.0,
            Self::Srgb255 => f32::from(byte),
            Self::Linear | Self::Pu => self.of_linear(linear(byte)),
        }
    }

    /// A linear number as the network takes it.
    pub fn of_linear(self, x: f32) -> f32 {
        let x = tame(x);
        tame(match self {
            Self::Srgb => encoded(x),
            Self::Srgb255 => encoded(x) * 255.0,
            Self::Linear => x,
            Self::Pu => div(perceived(x.max(0.0)), perceived(PU_MAX)),
            Self::Normal => x * 0.5 + 0.5,
        })
    }

    /// What the network gave, as a linear number.
    pub fn to_linear(self, y: f32) -> f32 {
        tame(match self {
            Self::Srgb => decoded(y),
            Self::Srgb255 => decoded(div(y, 255.0)),
            Self::Linear => y,
            Self::Pu => radiance(y.max(0.0) * perceived(PU_MAX)),
            Self::Normal => y * 2.0 - 1.0,
        })
    }
}

impl FromStr for Color {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(own, _)| *own == name);
        found.map(|(_, color)| *color).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name).join(", ");
            format!("`{name}` is no colour; there are {names}")
        })
    }
}

fn encoded(x: f32) -> f32 {
    let x = x.clamp(0.0, 1.0);
    if x <= 0.003_130_8 { x * 12.92 } else { 1.055 * power(x, 1.0 / 2.4) - 0.055 }
}

fn decoded(y: f32) -> f32 {
    let y = y.clamp(0.0, 1.0);
    if y <= 0.040_45 { y / 12.92 } else { power((y + 0.055) / 1.055, 2.4) }
}

const PU_MAX: f32 = 65_504.0;
const PU_LOW: f32 = 1.579_457_6e-6;
const PU_HIGH: f32 = 0.032_208_763;

fn perceived(y: f32) -> f32 {
    if y <= PU_LOW {
        1_412.837_6 * y
    } else if y <= PU_HIGH {
        1.645_931_7 * power(y, 0.431_384_98) - 0.002_941_396
    } else {
        0.192_653_25 * natural_logarithm(y + 0.006_260_26) + 0.998_620_15
    }
}

fn radiance(x: f32) -> f32 {
    if x <= perceived(PU_LOW) {
        x / 1_412.837_6
    } else if x <= perceived(PU_HIGH) {
        power((x + 0.002_941_396) / 1.645_931_7, 1.0 / 0.431_384_98)
    } else {
        exponential((x - 0.998_620_15) / 0.192_653_25) - 0.006_260_26
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_come_back() {
        for (name, color) in Color::ALL {
            assert_eq!(name.parse::<Color>(), Ok(color));
            for n in 0..=255 {
                let x = linear(n);
                let back = color.to_linear(color.of_byte(n));
                let due = if color == Color::Normal { f32::from(n) / 127.5 - 1.0 } else { x };
                assert!(
                    (back - due).abs() < 2e-5 * due.abs().max(1.0),
                    "{name} {n}: {back}, {due}"
                );
            }
        }
        for x in [1e-7, 1e-3, 0.02, 0.5, 7.0, 3_000.0] {
            let back = Color::Pu.to_linear(Color::Pu.of_linear(x));
            assert!((back / x - 1.0).abs() < 1e-4, "{x}: {back}");
        }
        assert!("cmyk".parse::<Color>().is_err_and(|said| said.contains("srgb, srgb255, linear")));
    }
}
