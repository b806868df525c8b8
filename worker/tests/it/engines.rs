//! Engines through their trait: a scene out of an asset store, cheats that only an audit can tell.

use crate::devices::first;
use crate::scene_draft::{Draft, write};
use farm::digest::Digest;
use farm::leaf::{commit, open, verify};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use tempfile::TempDir;
use worker::asset::Asset;
use worker::engine::{Assets, Engine, EngineError, TileSpec};
use worker::null::NullEngine;
use worker::render::PathTracer;
use worker::render::cheat::{Cheat, Cheater};
use worker::render::scene::Bundle;

/// Files by digest, and how often they were asked for.
struct Shelf {
    paths: BTreeMap<Digest, PathBuf>,
    asked: AtomicU32,
}

impl Assets for Shelf {
    fn asset(&self, digest: &Digest) -> Result<Asset, EngineError> {
        self.asked.fetch_add(1, Relaxed);
        let path = self.paths.get(digest).cloned();
        path.map(Asset::from)
            .ok_or_else(|| EngineError::Device(format!("asset {digest} is not here")))
    }
}

impl Shelf {
    fn asked(&self) -> u32 {
        self.asked.load(Relaxed)
    }
}

fn shelf() -> (Shelf, TileSpec, TempDir) {
    let mut draft = Draft::quad();
    // Lit by the sky alone, so that every sample differs.
    draft.json["materials"] = serde_json::json!([{}]);
    let (folder, main) = write(&draft.glb());
    let (manifest, entries) = Bundle::gather(&main).expect("the draft is a scene");
    let at = folder.path().join("manifest");
    std::fs::write(&at, &manifest).expect("the folder can be written");
    let mut paths: BTreeMap<_, _> =
        entries.into_iter().map(|entry| (entry.digest, entry.path)).collect();
    let scene = Digest::of(&manifest);
    paths.insert(scene, at);
    let spec = TileSpec { scene, ..crate::procedural::whole(32, 24, 8, 3) };
    (Shelf { paths, asked: AtomicU32::new(0) }, spec, folder)
}

#[test]
fn a_scene_is_loaded_once_and_audits_agree() {
    let Some(device) = first() else { return };
    let (shelf, spec, _folder) = shelf();
    let mut engine = PathTracer::new(device).expect("the shader compiles");
    let output = engine.run(&spec, &shelf, &|| false).expect("the tile is drawn");
    assert_eq!(output.bytes.len(), 32 * 24 * 12);
    let asked = shelf.asked();
    let all: Vec<u32> = (0..spec.leaves()).rev().collect();
    let mut audit = engine.audit(&spec, &all, &shelf).expect("the leaves are drawn");
    audit.reverse();
    assert_eq!(audit, output.leaves);
    assert_eq!(shelf.asked(), asked, "the scene is kept on the device");
    assert!(matches!(engine.run(&spec, &shelf, &|| true), Err(EngineError::Stopped)));
    let beyond = engine.audit(&spec, &[spec.leaves()], &shelf);
    assert!(matches!(beyond, Err(EngineError::Scene(_))));
}

#[test]
fn impossible_tiles_and_absent_scenes_are_refused() {
    let Some(device) = first() else { return };
    let (shelf, spec, _folder) = shelf();
    let mut engine = PathTracer::new(device).expect("the shader compiles");
    for wrong in [
        TileSpec { samples: 6, ..spec.clone() },
        TileSpec { samples: 0, ..spec.clone() },
        TileSpec { depth: 0, ..spec.clone() },
        TileSpec { x: 4, width: 8, ..spec.clone() },
        TileSpec { width: 40, ..spec.clone() },
        TileSpec { x: u32::MAX - 7, ..spec.clone() },
        TileSpec { width: 0, ..spec.clone() },
    ] {
        let refused = engine.run(&wrong, &shelf, &|| false);
        assert!(matches!(refused, Err(EngineError::Scene(_))), "{wrong:?}: {refused:?}");
    }
    let absent = TileSpec { scene: Digest::of(b"nowhere"), ..spec };
    assert!(matches!(engine.run(&absent, &shelf, &|| false), Err(EngineError::Device(_))));
}

#[test]
fn cheats_are_consistent_in_themselves_and_differ_from_the_audit() {
    let Some(device) = first() else { return };
    let (shelf, spec, _folder) = shelf();
    let mut honest = PathTracer::new(device.clone()).expect("the shader compiles");
    let truth = honest.run(&spec, &shelf, &|| false).expect("the tile is drawn");
    let cheats = [("fewer-samples", 12), ("random-bytes", 24), ("one-block", 2)];
    for (name, forged) in cheats {
        let engine = PathTracer::new(device.clone()).expect("the shader compiles");
        let cheat: Cheat = name.parse().expect("the cheat has this name");
        let mut cheater = Cheater::new(engine, cheat);
        let output = cheater.run(&spec, &shelf, &|| false).expect("the cheat answers");
        assert_eq!(output.bytes.len(), truth.bytes.len());
        assert_ne!(output.bytes, truth.bytes, "{name}");
        let commitment = commit(&output.leaves).expect("leaves");
        let opening = open(&output.leaves, &[5]).expect("leaf 5").remove(0);
        assert!(verify(&commitment, spec.leaves(), 5, &opening));
        let differ = output.leaves.iter().zip(&truth.leaves).filter(|(a, b)| a.hash != b.hash);
        assert_eq!(differ.count(), forged, "{name}");
        assert_eq!(cheater.audit(&spec, &[3], &shelf).expect("audit"), [truth.leaves[3]]);
    }
}

#[test]
fn the_null_engine_needs_nothing() {
    let (shelf, spec, _folder) = shelf();
    let output = NullEngine.run(&spec, &shelf, &|| false).expect("nothing can go wrong");
    assert_eq!((output.bytes.len(), output.leaves.len(), output.leaves[0].units), (0, 1, 1));
    assert_eq!(NullEngine.audit(&spec, &[0], &shelf).expect("audit"), output.leaves);
}
