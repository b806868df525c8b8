//! Exactness on scenes from anywhere: one small frame of each, render layers and all, on every
//! Vulkan device here, and whether the bits are the same. Ends with an error if any differs.
//! `cargo xtask bench exactness PATH...`: scene files or folders; a .hdr or .exr lights them.

use anyhow::{Context, bail};
use farm::digest::Digest;
use farm::leaf;
use proto::aov::Aov;
use std::path::{Path, PathBuf};
use worker::engine::TileSpec;
use worker::render::draw;
use worker::render::scene::{Bundle, Scene, View, load};
use worker::render::stage::{Pipelines, Stage};
use worker::vulkan::{self, Device};

const SIZE: (u32, u32) = (96, 54);
const SAMPLES: u32 = 8;
const DEPTH: u32 = 6;

fn main() -> anyhow::Result<()> {
    let (mut scenes, mut sky) = (Vec::new(), None);
    for path in std::env::args().skip(1).map(PathBuf::from) {
        match has_ending(&path, &["hdr", "exr"]) {
            true => sky = Some(path),
            false => find(&path, &mut scenes)?,
        }
    }
    if scenes.is_empty() {
        bail!("name scene files, or folders that hold some");
    }
    scenes.sort();
    let mut devices = Vec::new();
    for info in vulkan::devices()? {
        println!("device {}: {} ({})", devices.len(), info.name, info.driver);
        let device = Device::open(info.index, None)?;
        devices.push((Pipelines::new(&device), device));
    }
    let (mut same, mut differ, mut refused) = (0, 0, 0);
    for path in &scenes {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match drawn(path, sky.as_deref(), &mut devices) {
            Ok(found) => {
                let agree = found.iter().all(|digest| *digest == found[0]);
                *if agree { &mut same } else { &mut differ } += 1;
                let shown: Vec<String> = found.iter().map(|d| d.to_string()[..16].into()).collect();
                println!(
                    "{} | {name} | {}",
                    if agree { "same" } else { "DIFFER" },
                    shown.join(" ")
                );
            }
            Err(error) => {
                refused += 1;
                println!("refused | {name} | {error:#}");
            }
        }
    }
    println!(
        "{same} of {} scenes have the same bits on {} devices, {refused} were refused",
        scenes.len(),
        devices.len()
    );
    if differ > 0 {
        bail!("{differ} scenes differ");
    }
    Ok(())
}

fn has_ending(path: &Path, known: &[&str]) -> bool {
    path.extension().and_then(|end| end.to_str()).is_some_and(|end| known.contains(&end))
}

/// Scene files at or below a path.
fn find(path: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
            find(&entry?.path(), found)?;
        }
    } else if has_ending(path, &["gltf", "glb"]) {
        found.push(path.to_owned());
    }
    Ok(())
}

/// The frame's digest on every device: of its bytes and of every leaf.
fn drawn(
    path: &Path,
    sky: Option<&Path>,
    devices: &mut [(Pipelines, Device)],
) -> anyhow::Result<Vec<Digest>> {
    let view = View { frame: 12, fps: 24, width: SIZE.0, height: SIZE.1, neighbours: true };
    let scene = load(&Bundle::open(path)?, sky, view)?;
    devices.iter_mut().map(|(pipelines, device)| frame(pipelines, device, &scene)).collect()
}

fn frame(pipelines: &mut Pipelines, device: &Device, scene: &Scene) -> anyhow::Result<Digest> {
    let spec = TileSpec {
        scene: Digest::default(),
        environment: None,
        frame: 12,
        fps: 24,
        frame_width: SIZE.0,
        frame_height: SIZE.1,
        x: 0,
        y: 0,
        width: SIZE.0,
        height: SIZE.1,
        samples: SAMPLES,
        depth: DEPTH,
        seed: 1,
        aovs: Aov::ALL.iter().fold(0, |bits, aov| bits | aov.bit()),
        noise: 0,
        work_per_pixel: 0,
        feed: None,
    };
    let output = draw(&mut Stage::new(device, scene)?, pipelines, &spec, &|| false)?;
    let commitment = leaf::commit(&output.leaves).context("no leaves")?;
    Ok(Digest::of(&[&output.bytes[..], &commitment.root.0].concat()))
}
