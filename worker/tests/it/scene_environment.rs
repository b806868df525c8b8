//! Environments: files that are read, the table over them, files that are refused.

use crate::scene_draft::{Draft, VIEW, refusal, write as write_scene};
use serde_json::json;
use std::path::PathBuf;
use tempfile::TempDir;
use worker::render::scene::environment::{luminance, solid_angle};
use worker::render::scene::notes::Notes;
use worker::render::scene::{Bundle, Environment, load};

/// A flat Radiance picture, its red from a function of x and y.
fn radiance(width: usize, height: usize, red: impl Fn(usize, usize) -> u8) -> Vec<u8> {
    let mut file = format!("#?RADIANCE\n\n-Y {height} +X {width}\n").into_bytes();
    for y in 0..height {
        for x in 0..width {
            file.extend([red(x, y), 64, 0, 129]);
        }
    }
    file
}

fn write(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn read(bytes: &[u8]) -> Result<Environment, String> {
    let (_folder, path) = write("sky.hdr", bytes);
    Environment::read(&path.into(), &mut Notes::default()).map_err(|error| error.to_string())
}

#[test]
fn a_constant_sky_has_the_density_of_the_sphere() {
    let sky = Environment::constant([0.5; 3]);
    assert_eq!((sky.width, sky.height, sky.texels.len()), (1, 1, 1));
    assert!((sky.texels[0].pdf - 1.0 / (4.0 * std::f32::consts::PI)).abs() < 1e-7);
    assert_eq!(sky.texels[0].alias, 0);
    assert!(Environment::constant([0.0; 3]).is_black());
}

#[test]
fn draws_follow_luminance_times_solid_angle() {
    let (width, height) = (8, 6);
    let sky = read(&radiance(width, height, |x, y| (x * 30 + y) as u8)).unwrap();
    let weight =
        |at: usize| luminance(sky.texels[at].radiance) * solid_angle(at / width, width, height);
    let total: f64 = (0..width * height).map(weight).sum();
    let mut drawn = vec![0.0; width * height];
    for (at, texel) in sky.texels.iter().enumerate() {
        let keep = f64::from(texel.threshold) / 4_294_967_296.0;
        drawn[at] += keep / (width * height) as f64;
        drawn[texel.alias as usize] += (1.0 - keep) / (width * height) as f64;
    }
    let mut density_total = 0.0;
    for (at, texel) in sky.texels.iter().enumerate() {
        assert!((drawn[at] - weight(at) / total).abs() < 1e-8);
        let angle = solid_angle(at / width, width, height);
        assert!((f64::from(texel.pdf) * angle - drawn[at]).abs() < 1e-7);
        density_total += f64::from(texel.pdf) * angle;
    }
    assert!((density_total - 1.0).abs() < 1e-6);
    let sphere: f64 = (0..height).map(|row| solid_angle(row, width, height) * width as f64).sum();
    assert!((sphere - 4.0 * std::f64::consts::PI).abs() < 1e-12);
}

#[test]
fn open_exr_is_read_and_cleaned() {
    let (_folder, path) = write("sky.exr", &[]);
    let pixel = |x: usize| match x {
        0 => (f32::NAN, 1.0f32, 2.0f32),
        1 => (-1.0, f32::INFINITY, 0.25),
        _ => (3.0, 4.0, 5.0),
    };
    exr::prelude::write_rgb_file(&path, 4, 2, |x, _| pixel(x)).unwrap();
    let mut notes = Notes::default();
    let sky = Environment::read(&path.into(), &mut notes).unwrap();
    assert_eq!((sky.width, sky.height), (4, 2));
    assert_eq!(sky.texels[0].radiance, [0.0, 1.0, 2.0]);
    assert_eq!(sky.texels[1].radiance, [0.0, 1e9, 0.25]);
    assert_eq!(sky.texels[7].radiance, [3.0, 4.0, 5.0]);
    let note = "environment `sky.exr`: 4 pixels below 0, above 1e9 or no number were cut";
    assert_eq!(notes.into_vec(), [note]);
}

#[test]
fn codecs_that_are_not_read_are_named() {
    let (_folder, path) = write("sky.exr", &[]);
    exr::prelude::write_rgb_file(&path, 2, 2, |_, _| (1.0f32, 1.0f32, 1.0f32)).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let name = b"compression\0compression\0";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at + name.len() + 4] = 9;
    let text = read(&bytes).unwrap_err();
    assert!(text.starts_with("environment `sky.hdr`: ") && text.contains("dwab"), "{text}");
    assert!(text.contains("save it with ZIP or PIZ compression"), "{text}");
}

#[test]
fn what_is_no_environment_is_refused() {
    for (bytes, words) in [
        (&b"hello"[..], "not a Radiance .hdr or OpenEXR .exr picture"),
        (b"", "not a Radiance .hdr"),
        (b"#?RADIANCE\n\n-Y 99999 +X 99999\n", "it has 99999×99999 pixels; at most 8192×4096"),
        (b"\x76\x2f\x31\x01\x02\0\0\0\0", "it cannot be decoded"),
    ] {
        let text = read(bytes).unwrap_err();
        assert!(text.starts_with("environment `sky.hdr`: ") && text.contains(words), "{text}");
    }
    let missing = Environment::read(&"/nowhere/a.hdr".into(), &mut Notes::default());
    assert!(missing.unwrap_err().to_string().starts_with("environment `a.hdr`: cannot be read"));
}

#[test]
fn cut_files_never_panic() {
    let (_folder, path) = write("sky.exr", &[]);
    exr::prelude::write_rgb_file(&path, 5, 3, |x, y| (x as f32, y as f32, 1.0f32)).unwrap();
    let exr = std::fs::read(&path).unwrap();
    for whole in [radiance(9, 3, |x, _| x as u8), exr] {
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length} of {}", whole.len());
        }
    }
}

/// A quad in the light of six faces of one colour each, red bright beyond 1 by its alpha.
fn lit_by_a_cube() -> Draft {
    let mut draft = Draft::quad();
    let colours =
        [[255, 0, 0, 51], [0, 255, 0, 255], [0, 0, 255, 255], [255; 4], [0, 0, 0, 255], [0; 4]];
    let mut images = Vec::new();
    for colour in colours {
        let picture = image::RgbaImage::from_pixel(4, 4, image::Rgba(colour));
        let mut png = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
        let view = draft.append(&png.into_inner());
        images.push(json!({"bufferView": view, "mimeType": "image/png"}));
    }
    draft.json["images"] = json!(images);
    draft.json["extensionsRequired"] = json!(["EXT_lights_image_based"]);
    draft.json["extensions"] = json!({"EXT_lights_image_based": {"lights": [{
        "intensity": 2, "irradianceCoefficients": [], "specularImageSize": 4,
        "specularImages": [[0, 1, 2, 3, 4, 5]],
    }]}});
    draft.json["scenes"][0]["extensions"] = json!({"EXT_lights_image_based": {"light": 0}});
    draft
}

/// The radiance that comes from a direction.
fn from(sky: &Environment, [x, y, z]: [f64; 3]) -> [f32; 3] {
    use std::f64::consts::PI;
    let (u, v) = (0.5 + z.atan2(x) / (2.0 * PI), y.acos() / PI);
    let column = ((u * f64::from(sky.width)) as u32).min(sky.width - 1);
    let row = ((v * f64::from(sky.height)) as u32).min(sky.height - 1);
    sky.texels[(row * sky.width + column) as usize].radiance
}

#[test]
fn a_scene_brings_its_light_as_a_cube() {
    let mut draft = lit_by_a_cube();
    let sky = draft.load().unwrap().environment;
    assert_eq!((sky.width, sky.height), (16, 8));
    let close = |found: [f32; 3], due: [f32; 3]| {
        assert!(found.iter().zip(due).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {due:?}");
    };
    close(from(&sky, [1.0, 0.0, 0.0]), [10.0, 0.0, 0.0]);
    close(from(&sky, [-1.0, 0.0, 0.0]), [0.0, 2.0, 0.0]);
    close(from(&sky, [0.0, 1.0, 0.0]), [0.0, 0.0, 2.0]);
    close(from(&sky, [0.0, -1.0, 0.0]), [2.0; 3]);
    // A quarter turn about Y brings what was at +X to -Z.
    let half = 0.5_f32.sqrt();
    draft.json["extensions"]["EXT_lights_image_based"]["lights"][0]["rotation"] =
        json!([0, half, 0, half]);
    let sky = draft.load().unwrap().environment;
    close(from(&sky, [0.0, 0.0, -1.0]), [10.0, 0.0, 0.0]);
    close(from(&sky, [0.0, 0.0, 1.0]), [0.0, 2.0, 0.0]);
    // One that is given counts instead.
    let (_folder, path) = write("sky.hdr", &radiance(4, 2, |_, _| 64));
    let (_other, scene) = write_scene(&draft.glb());
    let given = load(&Bundle::open(&scene).unwrap(), Some(&path.into()), VIEW).unwrap();
    assert_eq!(given.environment.width, 4);
    assert!(given.notes.iter().any(|note| note.contains("not the scene's image-based light")));
}

#[test]
fn a_cube_that_is_none_is_refused() {
    let mut draft = lit_by_a_cube();
    draft.json["scenes"][0]["extensions"]["EXT_lights_image_based"]["light"] = json!(1);
    assert!(refusal(draft.load()).contains("image-based light"));
    let mut draft = lit_by_a_cube();
    draft.json["extensions"]["EXT_lights_image_based"]["lights"][0]["specularImages"] = json!([]);
    assert!(draft.refusal().contains("image-based light 0 has no images"));
    let mut draft = lit_by_a_cube();
    let tall = image::RgbaImage::new(4, 5);
    let mut png = std::io::Cursor::new(Vec::new());
    tall.write_to(&mut png, image::ImageFormat::Png).unwrap();
    let view = draft.append(&png.into_inner());
    draft.json["images"][3] = json!({"bufferView": view, "mimeType": "image/png"});
    assert!(draft.refusal().contains("image-based light 0, face 3 is not square"));
}
