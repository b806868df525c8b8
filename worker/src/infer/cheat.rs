//! Cheats of inference, for tests and demonstrations only: their answers are consistent in
//! themselves, so that nothing but an audit can tell.

use super::color::Color;
use super::engine::{Networks, committed};
use super::image::Samples;
use super::network::Network;
use crate::engine::{Assets, Engine, EngineError, Forecast, Output, TileSpec};
use crate::render::exact::{linear, tame};
use farm::digest::Digest;
use farm::leaf::Leaf;
use std::str::FromStr;
use std::sync::Arc;

/// What the cheat does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cheat {
    /// Weights rounded to eight bits.
    Quantized,
    /// Weights of a model that was trained a little otherwise.
    Swapped,
    /// Weights that matter little left out.
    Pruned,
    /// No network: the image, enlarged.
    Enlarged,
}

impl Cheat {
    /// All of them, as they are called.
    pub const ALL: [(&str, Self); 4] = [
        ("quantized", Self::Quantized),
        ("model-swapped", Self::Swapped),
        ("pruned", Self::Pruned),
        ("enlarged", Self::Enlarged),
    ];
}

impl FromStr for Cheat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(own, _)| *own == name);
        found.map(|(_, cheat)| *cheat).ok_or_else(|| format!("`{name}` is no way to cheat"))
    }
}

/// An engine that cheats; asked for leaves it is honest.
pub struct Cheater {
    networks: Networks,
    cheat: Cheat,
}

impl Cheater {
    pub fn new(networks: Networks, cheat: Cheat) -> Self {
        Self { networks, cheat }
    }
}

impl Engine for Cheater {
    fn name(&self) -> &'static str {
        self.networks.name()
    }

    fn digest(&self) -> Digest {
        self.networks.digest()
    }

    fn run(
        &mut self,
        spec: &TileSpec,
        assets: &dyn Assets,
        stop: &dyn Fn() -> bool,
    ) -> Result<Output, EngineError> {
        if self.cheat == Cheat::Enlarged {
            let (images, units) = self.networks.images(spec, assets)?;
            let Some((_, color, image)) = images.first() else { return Err(EngineError::Stopped) };
            let scale = (spec.frame_width / image.width).max(1);
            let mut pixels = Vec::new();
            for y in spec.y..spec.y + spec.height {
                for x in spec.x..spec.x + spec.width {
                    let at = ((y / scale) * image.width + x / scale) as usize * 3;
                    pixels.extend((at..at + 3).map(|at| sample(&image.samples, *color, at)));
                }
            }
            return Ok(committed(spec, &pixels, units));
        }
        let cheat = self.cheat;
        self.networks.forget();
        let output =
            self.networks.run_altered(spec, assets, stop, &|network| alter(network, cheat));
        self.networks.forget();
        output
    }

    fn forecast(
        &mut self,
        spec: &TileSpec,
        leaves: &[u32],
        assets: &dyn Assets,
    ) -> Result<Forecast, EngineError> {
        self.networks.forecast(spec, leaves, assets)
    }

    fn audit(
        &mut self,
        spec: &TileSpec,
        leaves: &[u32],
        assets: &dyn Assets,
    ) -> Result<Vec<Leaf>, EngineError> {
        self.networks.audit(spec, leaves, assets)
    }
}

fn sample(samples: &Samples, color: Color, at: usize) -> f32 {
    match samples {
        Samples::Bytes(bytes) => linear(bytes[at]),
        Samples::Floats(floats) => color.to_linear(color.of_linear(floats[at])),
    }
}

/// Alters the weights that the network's steps read.
fn alter(network: &mut Network, cheat: Cheat) {
    for value in &mut network.program.values {
        let Some(known) = value.known.as_mut().filter(|known| known.kind.is_float()) else {
            continue;
        };
        if known.words.len() < 16 {
            continue;
        }
        let floats = known.to_floats();
        let most = floats.iter().fold(0.0_f32, |most, x| most.max(x.abs())).max(1e-9);
        let altered = |x: f32| match cheat {
            Cheat::Quantized => (x / most * 127.0).round() * most / 127.0,
            Cheat::Swapped => x * 1.01,
            Cheat::Pruned if x.abs() < most * 0.01 => 0.0,
            Cheat::Pruned | Cheat::Enlarged => x,
        };
        let words = floats.into_iter().map(|x| tame(altered(x)).to_bits()).collect();
        Arc::make_mut(known).words = words;
    }
}
