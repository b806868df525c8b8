//! AOVs: as exact as the picture, which they leave as it is, and right where geometry is known.

use crate::devices::{first, on_every_device};
use crate::procedural::{Sketch, camera, everything, material, sky, whole};
use crate::tiles::{Studio, agree};
use proto::aov::{self, Aov};
use shaders::{Camera, Material};
use std::collections::{BTreeMap, BTreeSet};
use worker::engine::TileSpec;
use worker::render::draw;
use worker::render::scene::{Environment, Moving, Scene};
use worker::render::stage::{Pipelines, Stage};

/// Ids of the materials and objects of the corner.
const RED: u32 = 0x3f00_0001;
const GREEN: u32 = 0x3f00_0002;
const WALL: u32 = 0x3f00_0003;
const ROOF: u32 = 0x3f00_0004;
const ALL: u32 = (1 << Aov::ALL.len()) - 1;

/// Everything, and where it was and will be.
fn everything_around() -> Scene {
    let Sketch { lights, moving, .. } = everything();
    let mut scene = everything().finish();
    // The keys that the shutter's time has also stand for the frames before and after.
    let keys = moving.keys.chunks_exact(3).flat_map(|keys| [keys, &[keys[0], keys[2]]].concat());
    scene.moving = Moving { keys: keys.collect(), each: 5, steps: 2 };
    scene.lights = [&lights[..], &lights[..3], &lights[6..]].concat();
    let cameras = scene.cameras.clone();
    scene.cameras.extend([cameras[0], cameras[2]]);
    scene
}

/// A frame's words by channel, put together from tiles of `side` pixels.
fn channels(studio: &mut Studio, frame: &TileSpec, side: u32) -> BTreeMap<String, Vec<u32>> {
    let names = ["R", "G", "B"].map(String::from).into_iter();
    let besides = aov::asked(frame.aovs).flat_map(Aov::channels).map(|channel| channel.name);
    let names: Vec<String> = names.chain(besides).collect();
    let area = (frame.width * frame.height) as usize;
    let mut channels = vec![vec![0; area]; names.len()];
    for y in (0..frame.height).step_by(side as usize) {
        for x in (0..frame.width).step_by(side as usize) {
            let (width, height) = (side.min(frame.width - x), side.min(frame.height - y));
            let output = studio.draw(&TileSpec { x, y, width, height, ..frame.clone() });
            let pixels = (width * height) as usize;
            let words = output.bytes.as_chunks::<4>().0;
            assert_eq!(words.len(), pixels * names.len());
            for (channel, plane) in channels.iter_mut().enumerate() {
                for at in 0..pixels {
                    let (column, row) = (at as u32 % width, at as u32 / width);
                    let word = if channel < 3 { at * 3 + channel } else { channel * pixels + at };
                    plane[((y + row) * frame.width + x + column) as usize] =
                        u32::from_le_bytes(words[word]);
                }
            }
        }
    }
    names.into_iter().zip(channels).collect()
}

#[test]
fn every_device_gives_the_same_aovs_and_audits_alike() {
    on_every_device("aov::every_device_gives_the_same_aovs_and_audits_alike", |devices| {
        // Not a multiple of the block: edge blocks reach out of the frame.
        let spec = TileSpec { aovs: ALL, ..whole(44, 36, 8, 2) };
        agree(&devices, &everything_around(), &[spec]);
    });
}

#[test]
fn the_cut_never_changes_an_aov() {
    let Some(device) = first() else { return };
    let mut studio = Studio::new(&device, &everything_around());
    let frame = TileSpec { aovs: ALL, ..whole(100, 36, 8, 1) };
    let small = channels(&mut studio, &frame, 32);
    assert_eq!(small, channels(&mut studio, &frame, 64));
    assert_eq!(small, channels(&mut studio, &frame, 128));
    let (albedo, z) = (&small["albedo.G"], &small["Z"]);
    assert!(albedo.iter().any(|word| *word != albedo[0]) && z.iter().any(|word| *word != z[0]));
}

#[test]
fn the_picture_is_the_same_with_aovs_and_each_the_same_alone() {
    let Some(device) = first() else { return };
    let mut studio = Studio::new(&device, &everything_around());
    let bare = whole(44, 36, 8, 4);
    let frame = TileSpec { aovs: ALL, ..bare.clone() };
    let whole = channels(&mut studio, &frame, 64);
    let mut alone = channels(&mut studio, &bare, 64);
    for aov in Aov::ALL {
        alone.extend(channels(&mut studio, &TileSpec { aovs: aov.bit(), ..bare.clone() }, 64));
    }
    assert_eq!(whole, alone);

    // One more ray for each sample, and never more than a tile may cost.
    let units = |spec: &TileSpec, studio: &mut Studio| {
        studio.draw(spec).leaves.iter().map(|leaf| leaf.units).sum::<u64>()
    };
    let samples = u64::from(44 * 36 * bare.samples);
    assert_eq!(units(&frame, &mut studio), units(&bare, &mut studio) + samples);
    let shallow = TileSpec { depth: 1, ..frame };
    assert_eq!(units(&shallow, &mut studio), samples * 2);
}

/// Before a black sky a red square at z = -2 that faces the camera at z = 1 and fills the left half
/// of the image, and a green roof at 45° that fills the rest of the lower half.
fn corner() -> Sketch {
    let mut sketch = Sketch::new(sky(2, 1, |_, _| [1.0; 3]), camera([0.0, 0.0, 1.0], 0.5));
    let red = Material { id: RED, ..material([0.75, 0.25, 0.125], 0.0, 0.5) };
    let green = Material { id: GREEN, ..material([0.0, 0.5, 0.25], 1.0, 0.5) };
    let [red, green] = [red, green].map(|material| sketch.add_material(material));
    sketch.object = WALL;
    sketch.quad([-9.0, -9.0, -2.0], [9.0, 0.0, 0.0], [0.0, 18.0, 0.0], red);
    sketch.object = ROOF;
    // From (y, z) = (0, -2) down and towards the camera: z = -2 - y.
    sketch.quad([0.0, -2.0, 0.0], [9.0, 0.0, 0.0], [0.0, 2.0, -2.0], green);
    sketch
}

#[test]
fn known_geometry_has_its_depth_normal_and_albedo() {
    let Some(device) = first() else { return };
    let mut studio = Studio::new(&device, &corner().finish());
    let frame = TileSpec { aovs: ALL, ..whole(32, 32, 8, 1) };
    let found = channels(&mut studio, &frame, 32);
    let at = |name: &str, x: usize, y: usize| f32::from_bits(found[name][y * 32 + x]);
    let mean = |names: [&str; 3], x, y| names.map(|name| at(name, x, y) / 8.0);
    let near = |found: [f32; 3], due: [f32; 3]| {
        assert!(found.iter().zip(due).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}, {due:?}");
    };
    let (albedo, normal) = (["albedo.R", "albedo.G", "albedo.B"], ["N.X", "N.Y", "N.Z"]);
    let half = 0.5_f32.sqrt();
    for (x, y) in [(0, 0), (14, 30), (8, 17)] {
        // The same depth in the corner as in the middle: it is no distance from the eye.
        assert!((at("Z", x, y) - 3.0).abs() < 1e-5, "{}", at("Z", x, y));
        near(mean(albedo, x, y), [0.75, 0.25, 0.125]);
        near(mean(normal, x, y), [0.0, 0.0, 1.0]);
    }
    for (x, y) in [(18, 20), (30, 31)] {
        // A ray down by t for each metre ahead meets the roof after 3 / (1 + t); the nearest of the
        // pixel's samples lies between its upper and lower edge.
        let depth = |y: f32| 3.0 / (1.0 + (y - 16.0) / 32.0);
        let (far, close) = (depth(y as f32), depth(y as f32 + 1.0));
        let found = at("Z", x, y);
        assert!((close..(far + close) / 2.0).contains(&found), "{close} {found} {far}");
        near(mean(albedo, x, y), [0.0, 0.5, 0.25]);
        near(mean(normal, x, y), [0.0, half, half]);
    }
    assert_eq!(at("Z", 30, 3), 1e10);
    assert_eq!(mean(albedo, 30, 3), [0.0; 3]);
    assert_eq!(mean(normal, 30, 3), [0.0; 3]);
}

/// Squares that glow in their own colour, one before the other and the nearer half see-through,
/// before a lens that is sharp at neither: albedo is what the picture shows, sample by sample.
#[test]
fn layers_see_through_the_same_lens_as_the_picture() {
    let Some(device) = first() else { return };
    let eye = Camera { lens_radius: 0.2, focus: 2.5, ..camera([0.0, 0.0, 1.0], 0.5) };
    let mut sketch = Sketch::new(Environment::constant([0.0; 3]), eye);
    for (colour, z, side) in [([0.75, 0.25, 0.125], -2.0, 1.2), ([0.0, 0.5, 0.25], -0.5, 0.3)] {
        let mut glowing = material(colour, 0.0, 0.5);
        glowing.emissive = colour;
        glowing.alpha_mode = shaders::ALPHA_BLEND;
        glowing.base_color[3] = 0.5;
        let glowing = sketch.add_material(glowing);
        let far = 2.0 * side;
        sketch.quad([-side, -side, z], [far, 0.0, 0.0], [0.0, far, 0.0], glowing);
    }
    let mut studio = Studio::new(&device, &sketch.finish());
    let frame = TileSpec { aovs: ALL, ..whole(64, 64, 16, 1) };
    let found = channels(&mut studio, &frame, 64);
    for (light, albedo) in ["R", "G", "B"].into_iter().zip(["albedo.R", "albedo.G", "albedo.B"]) {
        assert_eq!(found[light], found[albedo]);
    }
    let shades: BTreeSet<u32> = found["R"].iter().copied().collect();
    assert!(shades.len() > 12, "the lens blurs: {shades:?}");
}

#[test]
fn ids_cover_a_pixel_by_its_samples() {
    let Some(device) = first() else { return };
    let mut studio = Studio::new(&device, &corner().finish());
    // 33 pixels, so that the wall ends in the middle of one; four groups of samples.
    let frame = TileSpec { aovs: ALL, ..whole(33, 32, 16, 1) };
    let found = channels(&mut studio, &frame, 64);
    let ranks = |layer: &str, x: usize, y: usize| {
        let at = |channel: String| found[&channel][y * 33 + x];
        let ranks = (0..6).map(|rank| {
            let name = |letters: [&str; 2]| format!("{layer}{:02}.{}", rank / 2, letters[rank % 2]);
            (at(name(["r", "b"])), at(name(["g", "a"])))
        });
        ranks.filter(|rank| *rank != (0, 0)).collect::<Vec<_>>()
    };
    assert_eq!(ranks("CryptoObject", 4, 4), [(WALL, 16)]);
    assert_eq!(ranks("CryptoMaterial", 4, 4), [(RED, 16)]);
    assert_eq!(ranks("CryptoObject", 30, 28), [(ROOF, 16)]);
    assert_eq!(ranks("CryptoMaterial", 30, 28), [(GREEN, 16)]);
    assert_eq!(ranks("CryptoObject", 30, 3), []);
    for y in 18..32 {
        let edge = ranks("CryptoObject", 16, y);
        let [(one, most), (other, least)] = edge[..] else { panic!("{edge:?}") };
        assert_eq!((one.min(other), one.max(other)), (WALL, ROOF));
        assert!(most + least == 16 && most >= least, "{edge:?}");
    }
    let mut against_sky = (0..14).map(|y| ranks("CryptoObject", 16, y));
    assert!(against_sky.all(|edge| matches!(edge[..], [(WALL, 1..16)])));
}

#[test]
fn cutouts_are_passed_and_what_blends_by_its_coverage() {
    let Some(device) = first() else { return };
    let mut sketch = corner();
    let see_through = Material { alpha_mode: shaders::ALPHA_MASK, ..material([1.0; 3], 0.0, 0.5) };
    let mut hole = see_through;
    hole.base_color[3] = 0.25;
    let mut veil = Material { alpha_mode: shaders::ALPHA_BLEND, ..see_through };
    veil.base_color[3] = 0.5;
    let (hole, veil) = (sketch.add_material(hole), sketch.add_material(veil));
    sketch.quad([-9.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0], hole);
    sketch.quad([-9.0, -9.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0], veil);
    let mut studio = Studio::new(&device, &sketch.finish());
    let frame = TileSpec { aovs: ALL, ..whole(32, 32, 16, 1) };
    let found = channels(&mut studio, &frame, 32);
    let at = |name: &str, x: usize, y: usize| f32::from_bits(found[name][y * 32 + x]);
    assert!((at("Z", 4, 4) - 3.0).abs() < 1e-5);
    assert!((at("albedo.G", 4, 4) / 16.0 - 0.25).abs() < 1e-5);
    let lower = (17..32).flat_map(|y| (0..15).map(move |x| (x, y)));
    let mean: f32 = lower.map(|(x, y)| at("albedo.G", x, y) / 16.0).sum::<f32>() / (15.0 * 15.0);
    assert!((mean - (0.25 + 1.0) / 2.0).abs() < 0.03, "{mean}");
}

#[test]
fn what_stands_for_no_aov_is_refused() {
    let Some(device) = first() else { return };
    let mut stage = Stage::new(&device, &corner().finish()).expect("the scene fits the device");
    let spec = TileSpec { aovs: ALL + 1, ..whole(8, 8, 4, 1) };
    let refused = draw(&mut stage, &mut Pipelines::new(&device), &spec, &|| false);
    assert!(refused.is_err_and(|error| error.to_string().contains("AOVs")));
}
