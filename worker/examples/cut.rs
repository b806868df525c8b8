//! How even tiles are: a frame cut into a grid and the same frame cut by cost, judged by what every
//! block of it then took; and how near the probe came. `cargo xtask bench cut [SIZE SAMPLES]
//! PATH...`: scenes, each lit by the last environment (.hdr, .exr) named before it.

use anyhow::Context;
use farm::cut::Area;
use farm::digest::Digest;
use farm::job::Spec;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use worker::asset::Asset;
use worker::cut::even;
use worker::engine::{Assets, Engine, EngineError};
use worker::link::tile_spec;
use worker::probe::probe;
use worker::render::PathTracer;
use worker::render::scene::Bundle;
use worker::vulkan::{Device, devices};

/// Side of the grid's tiles, pixels.
const GRID: u32 = 64;
/// Adaptive sampling's threshold in the second look at each scene, millionths.
const NOISE: u32 = 20_000;

/// Files by digest.
#[derive(Default)]
struct Files {
    paths: BTreeMap<Digest, PathBuf>,
}

impl Assets for Files {
    fn asset(&self, digest: &Digest) -> Result<Asset, EngineError> {
        let path = self.paths.get(digest).cloned();
        path.map(Asset::from)
            .ok_or_else(|| EngineError::Scene(format!("nothing here has the digest {digest}")))
    }
}

fn main() -> anyhow::Result<()> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let (mut size, mut samples) = (512, 64);
    if let Some(Ok(asked)) = words.first().map(|word| word.parse()) {
        (size, samples) = (asked, words.get(1).context("SIZE SAMPLES")?.parse()?);
        words.drain(..2);
    }
    let device = Device::open(devices()?.first().context("no Vulkan device")?.index, None)?;
    println!("{} ({}), {size}x{size}, {samples} samples", device.info().name, device.info().driver);
    let mut engine = PathTracer::new(device)?;
    println!("{:34} {:>9} {:>7} {:>6}  grid 64: max/median, spread", "", "units", "quoted", "in");
    let folder = tempfile::tempdir()?;
    let mut sky = None;
    for word in words {
        let path = PathBuf::from(&word);
        if path.extension().is_some_and(|end| end == "hdr" || end == "exr") {
            sky = Some(path);
            continue;
        }
        for noise in [0, NOISE] {
            let (spec, files) =
                order(&path, sky.as_deref(), folder.path(), [size, samples, noise])?;
            let name = path.file_stem().context("a scene file")?.to_string_lossy();
            let name = format!("{name}{}", if noise > 0 { ", adaptive" } else { "" });
            measure(&name, &mut engine, &spec, &files)?;
        }
    }
    Ok(())
}

fn order(
    scene: &Path,
    sky: Option<&Path>,
    folder: &Path,
    [size, samples, noise]: [u32; 3],
) -> anyhow::Result<(Spec, Files)> {
    let (manifest, entries) = Bundle::open(scene)?.manifest()?;
    let mut files = Files::default();
    let digest = Digest::of(&manifest);
    let path = folder.join(digest.to_string());
    std::fs::write(&path, &manifest)?;
    files.paths.insert(digest, path);
    for entry in entries {
        files.paths.insert(entry.digest, entry.path);
    }
    let environment = sky.map(|sky| anyhow::Ok(Digest::of(&std::fs::read(sky)?))).transpose()?;
    files.paths.extend(environment.zip(sky.map(Path::to_owned)));
    let sizes = Spec { width: size, height: size, samples, depth: 8, ..Spec::default() };
    let frames = Spec { frame_first: 1, frame_last: 1, frame_step: 1, fps: 24, ..sizes };
    let aovs = proto::aov::with_noise(0, noise);
    let named = Spec { scene: digest, environment, aovs, noise, ..frames };
    Ok((Spec { tile_size: GRID, ..named }, files))
}

fn measure(name: &str, engine: &mut PathTracer, spec: &Spec, files: &Files) -> anyhow::Result<()> {
    let begun = Instant::now();
    let probe = probe(engine, files, spec)?;
    let (took, begun) = (begun.elapsed().as_secs_f64(), Instant::now());
    let even = even(spec, &probe.costs, spec.tiles_per_frame()).context("too many tiles")?;
    let cutting = begun.elapsed().as_secs_f64();
    let blocks = units(engine, spec, files)?;
    let all: u64 = blocks.iter().sum();
    let by_cost = Spec { tile_size: 0, cut: even.cut.clone(), ..spec.clone() };
    let [grid, cost] = [spec, &by_cost].map(|spec| Evenness::of(spec, &blocks));
    println!(
        "{name:34} {all:>9} {:>+6.1}% {took:>5.1}s  {grid}; {} tiles by cost: {cost} \
         (foretold {:.3}; cut in {cutting:.2} s)",
        (probe.units / all as f64 - 1.0) * 100.0,
        even.cut.tiles(),
        even.spread,
    );
    Ok(())
}

/// What each block of the first frame takes, row by row.
fn units(engine: &mut PathTracer, spec: &Spec, files: &Files) -> anyhow::Result<Vec<u64>> {
    let frame = Area::of_frame(spec.width, spec.height);
    let mut blocks = vec![0; (frame.width * frame.height) as usize];
    for index in 0..spec.tiles_per_frame() {
        let tile = tile_spec(spec, index);
        let output = engine.run(&tile, files, &|| false)?;
        let leaves = output.leaves.chunks_exact(tile.groups() as usize);
        for (block, leaves) in (0..).zip(leaves) {
            let across = tile.width.div_ceil(8);
            let (x, y) = (tile.x / 8 + block % across, tile.y / 8 + block / across);
            blocks[(y * frame.width + x) as usize] = leaves.iter().map(|leaf| leaf.units).sum();
        }
    }
    Ok(blocks)
}

/// How even the tiles of a frame are in what they take.
struct Evenness {
    max_over_median: f64,
    /// Standard deviation over mean.
    spread: f64,
}

impl Evenness {
    fn of(spec: &Spec, blocks: &[u64]) -> Self {
        let across = spec.width.div_ceil(8);
        let tiles = (0..spec.tiles_per_frame()).map(|index| {
            let tile = spec.tile(index);
            let rows = tile.y / 8..(tile.y + tile.height).div_ceil(8);
            let sum = rows.map(|y| {
                let row = &blocks[(y * across) as usize..][..across as usize];
                let (left, right) = (tile.x / 8, (tile.x + tile.width).div_ceil(8));
                row[left as usize..right as usize].iter().sum::<u64>()
            });
            sum.sum::<u64>() as f64
        });
        let mut tiles: Vec<f64> = tiles.collect();
        tiles.sort_by(f64::total_cmp);
        let (count, mean) = (tiles.len(), tiles.iter().sum::<f64>() / tiles.len() as f64);
        let apart = tiles.iter().map(|tile| (tile / mean - 1.0).powi(2)).sum::<f64>();
        Self {
            max_over_median: tiles[count - 1] / tiles[count / 2],
            spread: (apart / count as f64).sqrt(),
        }
    }
}

impl std::fmt::Display for Evenness {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:.2}, {:.3}", self.max_over_median, self.spread)
    }
}
