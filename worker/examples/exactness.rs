//! Exactness on scenes and networks from anywhere: one small frame of each scene, render layers and
//! all, and one small image through each network, on every Vulkan device here, and whether the bits
//! are the same; of networks also whether tiles of every size are the untiled image. Ends with an
//! error if any differs.
//! `cargo xtask bench exactness PATH...`: glTF and ONNX files or folders; a .hdr or .exr lights
//! scenes.

use anyhow::{Context, bail};
use farm::digest::Digest;
use farm::leaf;
use proto::aov::Aov;
use std::path::{Path, PathBuf};
use worker::asset::Asset;
use worker::engine::TileSpec;
use worker::infer::color::Color;
use worker::infer::device::Runner;
use worker::infer::image::{Image, Samples};
use worker::infer::model::Model;
use worker::infer::network::Network;
use worker::render::draw;
use worker::render::scene::{Bundle, Scene, View, load};
use worker::render::stage::{Pipelines, Stage};
use worker::vulkan::{self, Device};

const SIZE: (u32, u32) = (96, 54);
const SAMPLES: u32 = 8;
const DEPTH: u32 = 6;
/// Of the image that networks get.
const IMAGE: (u32, u32) = (288, 80);
const TILES: [usize; 3] = [64, 128, 256];

/// A device and what is compiled for it.
struct Held {
    device: Device,
    pipelines: Pipelines,
    runner: Runner,
}

fn main() -> anyhow::Result<()> {
    let (mut scenes, mut sky) = (Vec::new(), None);
    for path in std::env::args().skip(1).map(PathBuf::from) {
        match has_ending(&path, &["hdr", "exr"]) {
            true => sky = Some(path),
            false => find(&path, &mut scenes)?,
        }
    }
    if scenes.is_empty() {
        bail!("name scenes, networks or folders that hold some");
    }
    scenes.sort();
    let mut devices = Vec::new();
    for info in vulkan::devices()? {
        println!("device {}: {} ({})", devices.len(), info.name, info.driver);
        let device = Device::open(info.index, None)?;
        let (pipelines, runner) = (Pipelines::new(&device), Runner::new(&device)?);
        devices.push(Held { device, pipelines, runner });
    }
    let (mut same, mut differ, mut refused) = (0, 0, 0);
    for path in &scenes {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let found = match has_ending(path, &["onnx"]) {
            true => inferred(path, &mut devices),
            false => drawn(path, sky.as_deref(), &mut devices),
        };
        match found {
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
        "{same} of {} have the same bits on {} devices, {refused} were refused",
        scenes.len(),
        devices.len()
    );
    if differ > 0 {
        bail!("{differ} differ");
    }
    Ok(())
}

fn has_ending(path: &Path, known: &[&str]) -> bool {
    path.extension().and_then(|end| end.to_str()).is_some_and(|end| known.contains(&end))
}

/// Scenes and networks at or below a path.
fn find(path: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
            find(&entry?.path(), found)?;
        }
    } else if has_ending(path, &["gltf", "glb", "onnx"]) {
        found.push(path.to_owned());
    }
    Ok(())
}

/// The frame's digest on every device: of its bytes and of every leaf.
fn drawn(path: &Path, sky: Option<&Path>, devices: &mut [Held]) -> anyhow::Result<Vec<Digest>> {
    let view = View { frame: 12, fps: 24, width: SIZE.0, height: SIZE.1, neighbours: true };
    let scene = load(&Bundle::open(path)?, sky.map(Asset::from).as_ref(), view)?;
    devices.iter_mut().map(|held| frame(&mut held.pipelines, &held.device, &scene)).collect()
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

/// The digest of what a network makes of an image on every device, then that of its tiles, size by
/// size, on the last.
fn inferred(path: &Path, devices: &mut [Held]) -> anyhow::Result<Vec<Digest>> {
    let model = Model::read(&std::fs::read(path)?)?;
    let network = Network::new(&model, IMAGE.0 as usize, IMAGE.1 as usize)?;
    let whole = network.size().into_iter().max().unwrap_or_default();
    let mut found = Vec::new();
    for held in devices.iter_mut() {
        found.push(tiled(&network, &mut held.runner, whole)?);
    }
    if let Some(held) = devices.last_mut() {
        for side in TILES {
            found.push(tiled(&network, &mut held.runner, side)?);
        }
    }
    Ok(found)
}

/// The digest of a network's image that was computed tile by tile.
fn tiled(network: &Network, runner: &mut Runner, side: usize) -> anyhow::Result<Digest> {
    let images = (network.program.inputs.iter())
        .map(|(name, _)| (name.clone(), Color::Srgb, picture(name.len() as u32)));
    let images: Vec<_> = images.collect();
    let weights = runner.load(&network.program)?;
    let [width, height] = network.size();
    let mut pixels = vec![0.0_f32; width * height * 3];
    for y in (0..height).step_by(side) {
        for x in (0..width).step_by(side) {
            let (columns, rows) = (side.min(width - x), side.min(height - y));
            let plan = network.plan(x, y, columns, rows)?;
            let inputs = network.inputs(&plan, &images)?;
            let (program, output) = (&network.program, network.output);
            let words = runner.run(program, &weights, &plan, output, &inputs, &|| false)?;
            let tile = network.written(&plan, &words, Color::Linear, [x, y, columns, rows]);
            for (row, line) in tile.chunks_exact(columns * 3).enumerate() {
                pixels[((y + row) * width + x) * 3..][..columns * 3].copy_from_slice(line);
            }
        }
    }
    Ok(Digest::of(bytemuck::cast_slice(&pixels)))
}

/// Noise over a slope.
fn picture(seed: u32) -> Image {
    let (width, height) = IMAGE;
    let byte = |n: u32| {
        let grain = (n ^ seed).wrapping_mul(2_654_435_761) >> 26;
        (n / 3 % width * 190 / width + grain) as u8
    };
    let samples = Samples::Bytes((0..width * height * 3).map(byte).collect());
    Image { width, height, samples }
}
