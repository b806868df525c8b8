//! Tiles have the same bits on every device, however the frame is cut, audited or accelerated.

use crate::devices::on_every_device;
use crate::procedural::{everything, layered, whole};
use farm::leaf::{Leaf, commit};
use proto::aov::Aov;
use shaders::Node;
use worker::engine::{Output, TileSpec};
use worker::render::scene::Scene;
use worker::render::stage::{Pipelines, Stage};
use worker::render::{draw, recompute};
use worker::vulkan::Device;

/// A device with a scene on it.
pub struct Studio {
    pub pipelines: Pipelines,
    pub stage: Stage,
}

impl Studio {
    pub fn new(device: &Device, scene: &Scene) -> Self {
        let stage = Stage::new(device, scene).expect("the scene fits the device");
        Self { pipelines: Pipelines::new(device), stage }
    }

    pub fn draw(&mut self, spec: &TileSpec) -> Output {
        draw(&mut self.stage, &mut self.pipelines, spec, &|| false).expect("the tile is drawn")
    }
}

#[test]
fn every_device_gives_the_same_tile_and_audits_alike() {
    on_every_device("tiles::every_device_gives_the_same_tile_and_audits_alike", |devices| {
        // Not a multiple of the block: edge blocks reach out of the frame.
        let spec = whole(44, 36, 8, 6);
        agree(
            &devices,
            &everything().finish(),
            &[spec.clone(), adaptive(TileSpec { samples: 64, depth: 2, ..spec })],
        );
    });
}

// One scene for all layers: SwiftShader takes minutes to compile any of them.
#[test]
fn every_device_gives_the_same_tile_of_every_layer() {
    on_every_device("tiles::every_device_gives_the_same_tile_of_every_layer", |devices| {
        agree(&devices, &layered().finish(), &[whole(24, 20, 4, 8)]);
    });
}

/// The same with adaptive sampling.
fn adaptive(spec: TileSpec) -> TileSpec {
    TileSpec { noise: 60_000, aovs: spec.aovs | Aov::Samples.bit(), ..spec }
}

/// Every device gives the same tiles, and audits of them agree with them.
pub fn agree(devices: &[Device], scene: &Scene, specs: &[TileSpec]) {
    let mut first: Vec<Option<Output>> = vec![None; specs.len()];
    for device in devices {
        let mut studio = Studio::new(device, scene);
        for (spec, first) in specs.iter().zip(&mut first) {
            agrees(&mut studio, device, spec, first);
        }
    }
}

fn agrees(studio: &mut Studio, device: &Device, spec: &TileSpec, first: &mut Option<Output>) {
    let output = studio.draw(spec);
    let asked = [0, 1, spec.leaves() - 1, spec.leaves() / 2, 7];
    let audited = recompute(&mut studio.stage, &mut studio.pipelines, spec, &asked);
    for (leaf, answer) in asked.iter().zip(audited.expect("audit")) {
        assert_eq!(answer, output.leaves[*leaf as usize], "{}", device.info().name);
    }
    let commitment = commit(&output.leaves).expect("leaves");
    println!("{}: {} rays, {:?}", device.info().name, commitment.units, commitment.root);
    if let Some(first) = first {
        let differ = output.leaves.iter().zip(&first.leaves).filter(|(a, b)| a != b);
        assert_eq!(differ.count(), 0, "leaves differ on {}", device.info().name);
        assert_eq!(output.bytes, first.bytes, "bytes differ on {}", device.info().name);
    }
    let lit = output.bytes.chunks_exact(12).filter(|pixel| pixel.iter().any(|b| *b != 0));
    let pixels = (spec.width * spec.height) as usize;
    assert!(lit.count() > pixels / 2, "the picture is mostly black");
    first.get_or_insert(output);
}

/// The frame's pixels, put together from tiles of `side` pixels, and its rays.
fn cut(studio: &mut Studio, frame: &TileSpec, side: u32) -> (Vec<u8>, u64) {
    let stride = frame.width as usize * 12;
    let mut pixels = vec![0; stride * frame.height as usize];
    let mut rays = 0;
    for y in (0..frame.height).step_by(side as usize) {
        for x in (0..frame.width).step_by(side as usize) {
            let (width, height) = (side.min(frame.width - x), side.min(frame.height - y));
            let output = studio.draw(&TileSpec { x, y, width, height, ..frame.clone() });
            rays += output.leaves.iter().map(|leaf| leaf.units).sum::<u64>();
            let light = &output.bytes[..(width * height) as usize * 12];
            for (row, line) in light.chunks_exact(width as usize * 12).enumerate() {
                let at = (y as usize + row) * stride + x as usize * 12;
                pixels[at..at + line.len()].copy_from_slice(line);
            }
        }
    }
    (pixels, rays)
}

#[test]
fn the_cut_never_changes_a_pixel() {
    let Some(device) = crate::devices::first() else { return };
    let mut studio = Studio::new(&device, &everything().finish());
    let frame = whole(132, 36, 4, 4);
    let small = cut(&mut studio, &frame, 32);
    assert_eq!(small, cut(&mut studio, &frame, 64));
    assert_eq!(small, cut(&mut studio, &frame, 128));
    let frame = adaptive(TileSpec { samples: 64, depth: 2, ..frame });
    let small = cut(&mut studio, &frame, 32);
    assert_eq!(small, cut(&mut studio, &frame, 128));
}

#[test]
fn blocks_get_the_samples_that_their_first_ones_ask_for() {
    let Some(device) = crate::devices::first() else { return };
    let mut studio = Studio::new(&device, &everything().finish());
    let spec = adaptive(whole(44, 36, 64, 2));
    let output = studio.draw(&spec);
    let pixels = (spec.width * spec.height) as usize;
    let samples: Vec<f32> = (output.bytes.as_chunks::<4>().0[3 * pixels..].iter())
        .map(|word| f32::from_le_bytes(*word))
        .collect();
    assert_eq!(samples.len(), pixels);
    let audited: Vec<u32> = (0..spec.leaves()).rev().collect();
    let mut answers = recompute(&mut studio.stage, &mut studio.pipelines, &spec, &audited).unwrap();
    answers.reverse();
    assert_eq!(answers, output.leaves);
    let full = studio.draw(&TileSpec { noise: 0, aovs: 0, ..spec.clone() });
    let mut counts = std::collections::BTreeSet::new();
    for block in 0..spec.blocks() {
        let (x, y) = (block % 6 * 8, block / 6 * 8);
        let groups = samples[(y * spec.width + x) as usize] as u32 / 4;
        counts.insert(groups);
        for group in 0..spec.groups() {
            let at = (block * spec.groups() + group) as usize;
            // What is traced is traced alike.
            let due = if group < groups { full.leaves[at] } else { Leaf::default() };
            assert_eq!(output.leaves[at], due, "block {block}, group {group} of {groups}");
        }
    }
    println!("groups of blocks: {counts:?}");
    assert!(counts.len() > 4 && counts.first() == Some(&4) && counts.last() == Some(&16));
}

/// A poor hierarchy over the same triangles in file order: halves by count, single leaves.
fn halves(nodes: &mut Vec<Node>, first: u32, count: u32) -> (u32, u32) {
    if count <= 1 {
        return (first, count);
    }
    let at = nodes.len();
    nodes.push(bytemuck::Zeroable::zeroed());
    let half = count / 3 + u32::from(count < 3);
    let (left_first, left_count) = halves(nodes, first, half);
    let (right_first, right_count) = halves(nodes, first + half, count - half);
    nodes[at] =
        Node { left_first, left_count, right_first, right_count, ..bytemuck::Zeroable::zeroed() };
    (at as u32, 0)
}

#[test]
fn the_hierarchy_never_changes_a_pixel() {
    let Some(device) = crate::devices::first() else { return };
    let spec = whole(40, 32, 4, 5);
    let built = Studio::new(&device, &everything().finish()).draw(&spec);
    let sketch = everything();
    let mut nodes = Vec::new();
    halves(&mut nodes, 0, sketch.triangles.len() as u32);
    let mut triangles = sketch.triangles.clone();
    let other = sketch.with_hierarchy(nodes.clone(), triangles.clone());
    assert_eq!(built, Studio::new(&device, &other).draw(&spec));
    triangles.reverse();
    let other = everything().with_hierarchy(nodes, triangles);
    assert_eq!(built, Studio::new(&device, &other).draw(&spec));
}

#[test]
fn seed_frame_and_samples_change_the_picture() {
    let Some(device) = crate::devices::first() else { return };
    let mut studio = Studio::new(&device, &everything().finish());
    let spec = whole(32, 24, 4, 3);
    let honest = studio.draw(&spec);
    assert_eq!(honest, studio.draw(&spec));
    assert_ne!(honest.bytes, studio.draw(&TileSpec { seed: 8, ..spec.clone() }).bytes);
    assert_ne!(honest.bytes, studio.draw(&TileSpec { frame: 4, ..spec.clone() }).bytes);
    let more = studio.draw(&TileSpec { samples: 8, ..spec.clone() });
    for block in 0..spec.blocks() as usize {
        assert_eq!(more.leaves[block * 2], honest.leaves[block]);
    }
}
