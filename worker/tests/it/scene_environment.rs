//! Environments: files that are read, the table over them, files that are refused.

use std::path::PathBuf;
use tempfile::TempDir;
use worker::render::scene::Environment;
use worker::render::scene::environment::{luminance, solid_angle};
use worker::render::scene::notes::Notes;

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
    Environment::read(&path, &mut Notes::default()).map_err(|error| error.to_string())
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
    let sky = Environment::read(&path, &mut notes).unwrap();
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
    let missing = Environment::read(&PathBuf::from("/nowhere/a.hdr"), &mut Notes::default());
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
