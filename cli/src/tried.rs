//! Frames tried on this machine before they are ordered: what they will take, and how fast. Uploads
//! nothing and orders nothing.

use crate::config;
use crate::exit::BadInput;
use crate::submit::{Bytes, Order};
use anyhow::Context;
use farm::digest::Digest;
use std::collections::BTreeMap;
use std::path::PathBuf;
use worker::asset::Asset;
use worker::engine::{Assets, EngineError};
use worker::probe::{Probe, probe};

/// What trying the frames showed.
pub struct Tried {
    pub probe: Probe,
    /// How much faster this scene is than the one by which workers measure themselves.
    pub ease: f64,
}

impl Tried {
    /// Draws a few pixels on the device named, or on the first GPU.
    pub fn of(order: &Order, device: Option<&str>) -> anyhow::Result<Self> {
        let devices: Vec<String> = device.map(str::to_owned).into_iter().collect();
        let dir = config::data_dir().join("quote");
        let (mut engine, speed) = worker::machine::first(&devices, &dir)?;
        let files = Files::of(order).context("the scene's manifest on disk")?;
        let probe = match probe(&mut engine, &files, &order.spec) {
            Err(EngineError::Scene(why)) => return Err(BadInput(why).into()),
            found => found?,
        };
        let ease = probe.units_per_second / speed.max(1) as f64;
        Ok(Self { probe, ease })
    }
}

/// An order's files where they lie; what was made in memory is in a folder of its own.
struct Files {
    paths: BTreeMap<Digest, PathBuf>,
    _made: tempfile::TempDir,
}

impl Files {
    fn of(order: &Order) -> std::io::Result<Self> {
        let made = tempfile::tempdir()?;
        let mut paths = BTreeMap::new();
        for (digest, bytes) in &order.assets {
            let path = match bytes {
                Bytes::File(path, _) => path.clone(),
                Bytes::Memory(bytes) => {
                    let path = made.path().join(digest.to_string());
                    std::fs::write(&path, bytes)?;
                    path
                }
            };
            paths.insert(*digest, path);
        }
        Ok(Self { paths, _made: made })
    }
}

impl Assets for Files {
    fn asset(&self, digest: &Digest) -> Result<Asset, EngineError> {
        let path = self.paths.get(digest).cloned();
        path.map(Asset::from)
            .ok_or_else(|| EngineError::Scene(format!("nothing here has the digest {digest}")))
    }
}
