//! Tiles have the same bits on every device, however the frame is cut, audited or accelerated.

use crate::devices::on_every_device;
use crate::procedural::{everything, layered, whole};
use farm::leaf::commit;
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
        agree(&devices, &everything().finish(), &whole(44, 36, 8, 6));
    });
}

// One scene for all layers: SwiftShader takes minutes to compile any of them.
#[test]
fn every_device_gives_the_same_tile_of_every_layer() {
    on_every_device("tiles::every_device_gives_the_same_tile_of_every_layer", |devices| {
        agree(&devices, &layered().finish(), &whole(24, 20, 4, 8));
    });
}

/// Every device gives the same tile, and audits of it agree with it.
pub fn agree(devices: &[Device], scene: &Scene, spec: &TileSpec) {
    let mut first: Option<Output> = None;
    for device in devices {
        let mut studio = Studio::new(device, scene);
        let output = studio.draw(spec);
        let asked = [0, 1, spec.leaves() - 1, spec.leaves() / 2, 7];
        let audited = recompute(&mut studio.stage, &mut studio.pipelines, spec, &asked);
        for (leaf, answer) in asked.iter().zip(audited.expect("audit")) {
            assert_eq!(answer, output.leaves[*leaf as usize], "{}", device.info().name);
        }
        let commitment = commit(&output.leaves).expect("leaves");
        println!("{}: {} rays, {:?}", device.info().name, commitment.units, commitment.root);
        if let Some(first) = &first {
            let differ = output.leaves.iter().zip(&first.leaves).filter(|(a, b)| a != b);
            assert_eq!(differ.count(), 0, "leaves differ on {}", device.info().name);
            assert_eq!(output.bytes, first.bytes, "bytes differ on {}", device.info().name);
        }
        let lit = output.bytes.chunks_exact(12).filter(|pixel| pixel.iter().any(|b| *b != 0));
        let pixels = (spec.width * spec.height) as usize;
        assert!(lit.count() > pixels / 2, "the picture is mostly black");
        first.get_or_insert(output);
    }
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
            for (row, line) in output.bytes.chunks_exact(width as usize * 12).enumerate() {
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
