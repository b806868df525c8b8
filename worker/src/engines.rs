//! Every engine of one device as one: a tile says by itself whom it is for. Knows no job.

use crate::engine::{Assets, Engine, EngineError, Forecast, Output, TileSpec};
use crate::infer::cheat as infer_cheat;
use crate::infer::engine::Networks;
use crate::render::PathTracer;
use crate::render::cheat::{Cheat, Cheater};
use crate::vulkan::Device;
use farm::digest::Digest;
use farm::leaf::Leaf;

/// A way to lie, of either engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    Render(Cheat),
    Infer(infer_cheat::Cheat),
}

impl std::str::FromStr for Lie {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name.parse() {
            Ok(cheat) => Ok(Self::Infer(cheat)),
            Err(_) => name.parse().map(Self::Render),
        }
    }
}

/// The renderer and the networks of one device.
pub struct Engines {
    render: Box<dyn Engine>,
    infer: Box<dyn Engine>,
}

impl Engines {
    pub fn new(device: Device, lie: Option<Lie>) -> Result<Self, EngineError> {
        let networks = Networks::new(&device)?;
        let tracer = PathTracer::new(device)?;
        Ok(Self {
            render: match lie {
                Some(Lie::Render(cheat)) => Box::new(Cheater::new(tracer, cheat)),
                _ => Box::new(tracer),
            },
            infer: match lie {
                Some(Lie::Infer(cheat)) => Box::new(infer_cheat::Cheater::new(networks, cheat)),
                _ => Box::new(networks),
            },
        })
    }

    /// What the device can be asked for.
    pub fn digests() -> [Digest; 2] {
        [shaders::spirv::render_digest(), shaders::spirv::infer_digest()].map(Digest)
    }

    fn of(&mut self, spec: &TileSpec) -> &mut dyn Engine {
        if spec.work_per_pixel == 0 { self.render.as_mut() } else { self.infer.as_mut() }
    }
}

impl Engine for Engines {
    fn name(&self) -> &'static str {
        "render, infer"
    }

    /// The renderer's, whose speed is measured.
    fn digest(&self) -> Digest {
        self.render.digest()
    }

    fn run(
        &mut self,
        spec: &TileSpec,
        assets: &dyn Assets,
        stop: &dyn Fn() -> bool,
    ) -> Result<Output, EngineError> {
        self.of(spec).run(spec, assets, stop)
    }

    fn forecast(
        &mut self,
        spec: &TileSpec,
        leaves: &[u32],
        assets: &dyn Assets,
    ) -> Result<Forecast, EngineError> {
        self.of(spec).forecast(spec, leaves, assets)
    }

    fn audit(
        &mut self,
        spec: &TileSpec,
        leaves: &[u32],
        assets: &dyn Assets,
    ) -> Result<Vec<Leaf>, EngineError> {
        self.of(spec).audit(spec, leaves, assets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lies_are_found_by_name_whoever_tells_them() {
        assert_eq!("pruned".parse(), Ok(Lie::Infer(infer_cheat::Cheat::Pruned)));
        assert_eq!("upscaled".parse(), Ok(Lie::Render(Cheat::Upscaled)));
        assert!("honest".parse::<Lie>().is_err());
    }
}
