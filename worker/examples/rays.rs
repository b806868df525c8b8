//! Renders a scene file on the first Vulkan device and says how fast:
//! `cargo run --release -p worker --example rays -- SCENE [ENVIRONMENT|-] [SIZE] [SAMPLES]
//! [DEPTH]`.
//! Leaves `rays.png` (sRGB) in the current folder.

use anyhow::Context;
use farm::digest::Digest;
use std::path::Path;
use std::time::Instant;
use worker::asset::Asset;
use worker::engine::TileSpec;
use worker::render::draw;
use worker::render::scene::{Bundle, View, load};
use worker::render::stage::{Pipelines, Stage};
use worker::vulkan::{Device, devices};

fn cpu_seconds() -> f64 {
    let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    own.tv_sec as f64 + own.tv_nsec as f64 * 1e-9
}

fn encode(linear: f32) -> u8 {
    let x = linear.clamp(0.0, 1.0);
    let y = if x <= 0.003_130_8 { x * 12.92 } else { 1.055 * x.powf(1.0 / 2.4) - 0.055 };
    (y * 255.0 + 0.5) as u8
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let scene = arguments.first().context("which scene?")?;
    let environment = arguments.get(1).filter(|path| *path != "-");
    let environment = environment.map(|path| Asset::from(path.as_str()));
    let number = |at: usize, or: u32| arguments.get(at).map_or(Ok(or), |text| text.parse());
    let (size, samples, depth) = (number(2, 256)?, number(3, 16)?, number(4, 6)?);
    let view = View { frame: 0, fps: 24, width: size, height: size, neighbours: false };
    let scene = load(&Bundle::open(Path::new(scene))?, environment.as_ref(), view)?;
    scene.notes.iter().for_each(|note| println!("note: {note}"));
    let device = Device::open(devices()?[0].index, None)?;
    println!("{} ({})", device.info().name, device.info().driver);
    let began = Instant::now();
    let mut pipelines = Pipelines::new(&device);
    let mut on_device = Stage::new(&device, &scene)?;
    on_device.prepare(&mut pipelines)?;
    println!("prepared in {:.2} s", began.elapsed().as_secs_f64());
    let spec = TileSpec {
        scene: Digest::default(),
        environment: None,
        frame: 0,
        fps: 24,
        frame_width: size,
        frame_height: size,
        x: 0,
        y: 0,
        width: size,
        height: size,
        samples,
        depth,
        seed: 1,
        aovs: 0,
        noise: 0,
        work_per_pixel: 0,
        feed: None,
    };
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let output = draw(&mut on_device, &mut pipelines, &spec, &|| false)?;
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let rays: u64 = output.leaves.iter().map(|leaf| leaf.units).sum();
    println!(
        "{} triangles, {rays} rays, {wall:.2} s, {cpu:.2} CPU s, {:.3} million rays per CPU second",
        scene.triangles.len(),
        rays as f64 / cpu / 1e6
    );
    let linear = output
        .bytes
        .chunks_exact(4)
        .map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]) / samples as f32);
    let pixels: Vec<u8> = linear.map(encode).collect();
    image::save_buffer("rays.png", &pixels, size, size, image::ColorType::Rgb8)?;
    Ok(())
}
