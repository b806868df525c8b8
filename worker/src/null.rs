//! An engine that computes nothing: it measures dispatch alone. Needs no device.

use crate::engine::{Assets, Engine, EngineError, Forecast, Output, TileSpec};
use farm::digest::Digest;
use farm::leaf::{self, Leaf};

/// Gives every tile no bytes and one leaf of one work unit.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullEngine;

fn nothing() -> Leaf {
    Leaf { hash: leaf::payload(&[]), units: 1 }
}

impl Engine for NullEngine {
    fn name(&self) -> &'static str {
        "null"
    }

    fn digest(&self) -> Digest {
        Digest::of(b"girih null engine 1")
    }

    fn run(
        &mut self,
        _: &TileSpec,
        _: &dyn Assets,
        stop: &dyn Fn() -> bool,
    ) -> Result<Output, EngineError> {
        if stop() {
            return Err(EngineError::Stopped);
        }
        Ok(Output { bytes: Vec::new(), leaves: vec![nothing()] })
    }

    fn forecast(
        &mut self,
        spec: &TileSpec,
        leaves: &[u32],
        _: &dyn Assets,
    ) -> Result<Forecast, EngineError> {
        let units = leaves.iter().map(|_| u64::from(spec.groups())).collect();
        Ok(Forecast { units, spent: leaves.len() as u64 })
    }

    fn audit(
        &mut self,
        _: &TileSpec,
        leaves: &[u32],
        _: &dyn Assets,
    ) -> Result<Vec<Leaf>, EngineError> {
        Ok(leaves.iter().map(|_| nothing()).collect())
    }
}
