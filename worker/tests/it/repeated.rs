//! Meshes that are drawn many times have the bits of triangles put there one by one.

use crate::devices::{first, on_every_device};
use crate::procedural::whole;
use crate::scene_draft::{Draft, VIEW, write};
use crate::tiles::{Studio, agree};
use proto::aov::Aov;
use serde_json::{Value, json};
use shaders::{Surface, Triangle};
use worker::engine::TileSpec;
use worker::render::exact::{cross3, scale, tame, unit};
use worker::render::grid;
use worker::render::scene::repeated::{Pattern, Place, Repeated, SAVED_MIN};
use worker::render::scene::{Bundle, Scene, Settings, View, bvh, load};

const ALL: u32 = (1 << Aov::ALL.len()) - 1;
/// Quads around and along the mesh.
const AROUND: u16 = 32;
const ALONG: u16 = 16;
const TRIANGLES: u64 = 2 * AROUND as u64 * ALONG as u64;
/// As many as make it worth keeping the mesh once, three of them nodes of their own.
const PLACES: u64 = SAVED_MIN / TRIANGLES + 1;

/// Numbers that look drawn, in -1 to 1.
struct Dice(u32);

impl Dice {
    fn roll(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        let word = ((self.0 >> ((self.0 >> 28) + 4)) ^ self.0).wrapping_mul(277_803_737);
        (word >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

fn attribute(draft: &mut Draft, kind: &str, values: &[f32]) -> usize {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let width = if kind == "SCALAR" { 1 } else { kind.as_bytes()[3] as usize - 48 };
    let view = draft.append(&bytes);
    let accessors = draft.json["accessors"].as_array_mut().unwrap();
    accessors.push(json!({"bufferView": view, "componentType": 5126, "type": kind,
        "count": values.len() / width}));
    accessors.len() - 1
}

/// A dented ball with coloured, partly see-through corners and a normal texture.
fn ball(draft: &mut Draft) -> Value {
    let (mut positions, mut normals, mut places, mut colors) = (vec![], vec![], vec![], vec![]);
    for v in 0..=ALONG {
        for u in 0..=AROUND {
            let (x, y) = (f32::from(u) / f32::from(AROUND), f32::from(v) / f32::from(ALONG));
            let (a, b) = (x * std::f32::consts::TAU, y * std::f32::consts::PI);
            let way = [a.cos() * b.sin(), b.cos(), a.sin() * b.sin()];
            let reach = 1.0 + 0.1 * (5.0 * a).sin() * b.sin();
            positions.extend(way.map(|c| c * reach));
            normals.extend(way);
            places.extend([x, y]);
            colors.extend([x, 1.0 - y, 0.5, if v % 4 == 0 { 0.3 } else { 1.0 }]);
        }
    }
    let row = AROUND + 1;
    let corners = (0..ALONG).flat_map(|v| (0..AROUND).map(move |u| v * row + u));
    let indices: Vec<u8> = corners
        .flat_map(|at| [at, at + 1, at + row + 1, at, at + row + 1, at + row])
        .flat_map(u16::to_le_bytes)
        .collect();
    let attributes = json!({
        "POSITION": attribute(draft, "VEC3", &positions),
        "NORMAL": attribute(draft, "VEC3", &normals),
        "TEXCOORD_0": attribute(draft, "VEC2", &places),
        "COLOR_0": attribute(draft, "VEC4", &colors),
    });
    let view = draft.append(&indices);
    let accessors = draft.json["accessors"].as_array_mut().unwrap();
    accessors.push(json!({"bufferView": view, "componentType": 5123, "type": "SCALAR",
        "count": indices.len() / 2}));
    json!({"primitives": [{"attributes": attributes, "indices": accessors.len() - 1,
        "material": 1}]})
}

/// Balls in a swarm before a lamp, seen by a camera that moves; many of them in mirrors or pressed
/// out of shape.
fn swarm(places: u64) -> Draft {
    let mut draft = Draft::quad();
    let mut picture = Vec::new();
    let texels: Vec<u8> = (0..48_u8).map(|at| 128 ^ (at.wrapping_mul(57) & 127)).collect();
    let encoder = image::codecs::png::PngEncoder::new(&mut picture);
    image::ImageEncoder::write_image(encoder, &texels, 4, 4, image::ExtendedColorType::Rgb8)
        .unwrap();
    let view = draft.append(&picture);
    draft.json["images"] = json!([{"bufferView": view, "mimeType": "image/png"}]);
    draft.json["textures"] = json!([{"source": 0}]);
    let stuff = json!({"normalTexture": {"index": 0}, "alphaMode": "BLEND",
        "pbrMetallicRoughness": {"metallicFactor": 0.3, "roughnessFactor": 0.4}});
    draft.json["materials"] = json!([{"emissiveFactor": [1, 1, 1]}, stuff]);
    let mesh = ball(&mut draft);
    draft.json["meshes"].as_array_mut().unwrap().push(mesh);
    let mut dice = Dice(7);
    let reach = 1.5 * (places as f32 / PLACES as f32).cbrt();
    let (mut moves, mut turns, mut sizes) = (vec![], vec![], vec![]);
    for _ in 0..places - 3 {
        let [x, y, z, a, b, c] = [(); 6].map(|()| dice.roll());
        moves.extend([x * reach, y * reach, z * reach - 1.0]);
        turns.extend([a, b, c, 0.4]);
        sizes.extend([0.1 + 0.05 * a, 0.1 + 0.08 * c, if b < 0.0 { 0.1 } else { -0.07 }]);
    }
    let attributes = json!({
        "TRANSLATION": attribute(&mut draft, "VEC3", &moves),
        "ROTATION": attribute(&mut draft, "VEC4", &turns),
        "SCALE": attribute(&mut draft, "VEC3", &sizes),
    });
    let times = attribute(&mut draft, "SCALAR", &[0.0, 0.1]);
    let path = attribute(&mut draft, "VEC3", &[-0.2, 0.1, 3.0, 0.3, 0.0, 3.1]);
    draft.json["nodes"] = json!([
        {"mesh": 0, "translation": [0, 0, -3], "scale": [4, 4, 1]},
        {"camera": 0, "translation": [0, 0, 3]},
        {"mesh": 1, "name": "swarm",
            "extensions": {"EXT_mesh_gpu_instancing": {"attributes": attributes}}},
        {"mesh": 1, "name": "near", "translation": [0.4, 0.3, 1], "scale": [0.3, 0.2, 0.3]},
        {"mesh": 1, "name": "mirrored", "translation": [-0.4, 0.2, 1], "scale": [-0.3, 0.3, 0.2]},
        {"mesh": 1, "name": "flat", "translation": [0, -0.4, 1], "scale": [0.4, 0.0, 0.3]},
    ]);
    draft.json["scenes"] = json!([{"nodes": [0, 1, 2, 3, 4, 5]}]);
    draft.json["animations"] = json!([{
        "samplers": [{"input": times, "output": path}],
        "channels": [{"sampler": 0, "target": {"node": 1, "path": "translation"}}],
    }]);
    draft.json["extensionsUsed"] = json!(["EXT_mesh_gpu_instancing"]);
    draft
}

fn loaded(draft: &Draft) -> Scene {
    loaded_with(draft, Settings::default(), false)
}

fn loaded_with(draft: &Draft, settings: Settings, neighbours: bool) -> Scene {
    let (_folder, path) = write(&draft.glb());
    let bundle = Bundle::open(&path).unwrap().with(settings).unwrap();
    load(&bundle, None, View { neighbours, ..VIEW }).unwrap()
}

/// The unit vector along any v, as in surface.glsl.
fn unit_of_any(v: [f32; 3]) -> [f32; 3] {
    let most = v.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    unit(shifted(v, 127 - (most.to_bits() >> 23) as i32))
}

fn shifted(v: [f32; 3], shift: i32) -> [f32; 3] {
    v.map(|x| tame(scale(x, shift)))
}

/// A surface of a pattern where it stands.
fn surface_at(place: &Place, own: &Surface) -> Surface {
    let [x, y, z, _] = place.columns;
    let most = [x, y, z].iter().flatten().fold(0.0_f32, |most, c| most.max(c.abs()));
    let [x, y, z] = [x, y, z].map(|c| shifted(c, 127 - (most.to_bits() >> 23) as i32));
    let side = if place.mirrors { -1.0 } else { 1.0 };
    let cofactor = |a, b| cross3(a, b).map(|c| tame(c * side));
    let cofactors = [cofactor(y, z), cofactor(z, x), cofactor(x, y)];
    let through = |[x, y, z]: [[f32; 3]; 3], v: [f32; 3]| {
        let v = v.map(tame);
        [0, 1, 2].map(|axis| (x[axis] * v[0] + y[axis] * v[1]) + z[axis] * v[2])
    };
    Surface {
        normal: own.normal.map(|normal| unit_of_any(through(cofactors, normal))),
        tangent: own.tangent.map(|tangent| unit_of_any(through([x, y, z], tangent))),
        object: place.object,
        ..*own
    }
}

/// The scene with every triangle in the world.
fn flattened(scene: &Scene) -> Scene {
    let mut flat = scene.clone();
    let Repeated { patterns, places } = std::mem::take(&mut flat.repeated);
    let count = flat.emission.densities.len();
    flat.surfaces.truncate(count);
    for place in &places {
        let Pattern { triangles, surface_first, .. } = &patterns[place.pattern as usize];
        assert_eq!(place.primitive_first as usize, flat.surfaces.len());
        let own = &scene.surfaces[*surface_first as usize..][..triangles.len()];
        flat.surfaces.extend(own.iter().map(|own| surface_at(place, own)));
        flat.triangles.extend(triangles.iter().map(|own| place.triangle(own)));
    }
    flat.emission.densities.resize(flat.surfaces.len(), 0.0);
    (flat.nodes, flat.triangles) = bvh::build(&flat.triangles, &flat.moving);
    flat
}

#[test]
fn every_device_draws_them_as_if_one_by_one() {
    on_every_device("repeated::every_device_draws_them_as_if_one_by_one", |devices| {
        let scene = loaded(&swarm(PLACES));
        assert_eq!(scene.repeated.places.len() as u64, PLACES);
        let spec = TileSpec { aovs: ALL, ..whole(28, 20, 4, 5) };
        agree(&devices, &scene, std::slice::from_ref(&spec));
        same_flat(&devices[0], &scene, &spec);
    });
}

fn same_flat(device: &worker::vulkan::Device, scene: &Scene, spec: &TileSpec) {
    let kept = Studio::new(device, scene).draw(spec);
    let flat = Studio::new(device, &flattened(scene)).draw(spec);
    let differ = kept.leaves.iter().zip(&flat.leaves).filter(|(a, b)| a != b).count();
    assert_eq!(differ, 0, "of {} leaves", kept.leaves.len());
    assert_eq!(kept.bytes, flat.bytes);
}

#[test]
fn instances_are_the_same_while_a_camera_moves() {
    let Some(device) = first() else { return };
    let settings = Settings { shutter: Some(0.5), motion_steps: Some(2), ..Settings::default() };
    let scene = loaded_with(&swarm(PLACES), settings, true);
    assert_eq!((scene.cameras.len(), scene.repeated.places.len() as u64), (5, PLACES));
    same_flat(&device, &scene, &TileSpec { aovs: ALL, ..whole(24, 20, 4, 3) });
}

#[test]
fn a_mesh_is_kept_once_only_where_that_saves_much() {
    let few = loaded(&swarm(PLACES - 1));
    assert_eq!(few.repeated.places.len(), 0);
    assert!(few.triangles.len() as u64 > TRIANGLES * (PLACES - 2) * 9 / 10);
    // What glows is drawn by its triangles.
    let mut glowing = swarm(PLACES);
    glowing.json["materials"][1]["emissiveFactor"] = json!([0.1, 0, 0]);
    let glowing = loaded(&glowing);
    assert_eq!(glowing.repeated.places.len(), 0);
}

#[test]
fn a_hundred_million_triangles_take_sixteen_mebibytes() {
    let Some(device) = first() else { return };
    let scene = loaded(&swarm(100_000));
    let Scene { nodes, triangles, materials, moving, repeated, surfaces, .. } = &scene;
    assert!(repeated.places.len() as u64 * TRIANGLES > 100_000_000);
    let laid = grid::lay(nodes, triangles, materials, moving, repeated).unwrap();
    let bytes =
        size_of_val(&*laid.nodes) + size_of_val(&*laid.triangles) + size_of_val(&**surfaces);
    println!("{bytes} bytes");
    assert!(bytes < 16 << 20, "{bytes}");
    let output = Studio::new(&device, &scene).draw(&whole(8, 8, 4, 2));
    assert!(output.bytes.iter().any(|byte| *byte != 0));
}

#[test]
fn what_would_be_too_many_triangles_is_kept_once_where_that_saves_less() {
    // Two meshes of which neither saves enough by itself.
    let mut draft = swarm(PLACES - 1);
    let primitive = draft.json["meshes"][1]["primitives"][0].clone();
    draft.json["meshes"][1]["primitives"] = json!([primitive, primitive, primitive]);
    let scene = loaded(&draft);
    assert_eq!(scene.repeated.places.len() as u64, 3 * (PLACES - 1));
    assert_eq!(scene.triangles.len(), 2);
}

#[test]
fn places_put_vertices_where_f64_does() {
    let scene = loaded(&swarm(PLACES));
    let Repeated { patterns, places } = &scene.repeated;
    assert_eq!(patterns.len(), 2, "as it is, and in a mirror");
    for place in places.iter().step_by(17) {
        let pattern = &patterns[place.pattern as usize];
        let around = place.around(&pattern.bounds);
        for own in pattern.triangles.iter().step_by(31) {
            let Triangle { corner, edge1, .. } = place.triangle(own);
            let [x, y, z, origin] = place.columns;
            for axis in 0..3 {
                let truth = |p: [f32; 3]| {
                    f64::from(x[axis]) * f64::from(p[0])
                        + f64::from(y[axis]) * f64::from(p[1])
                        + f64::from(z[axis]) * f64::from(p[2])
                        + f64::from(origin[axis])
                };
                assert!((f64::from(corner[axis]) - truth(own.corner)).abs() < 1e-6);
                let edge = truth(own.edge1) - truth(own.corner);
                assert!((f64::from(edge1[axis]) - edge).abs() < 1e-6);
                assert!(around.min[axis] <= corner[axis] && corner[axis] <= around.max[axis]);
            }
        }
    }
}
