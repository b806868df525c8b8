//! A network over an image, as a job of a real farm: tiles on workers of several owners, audits by
//! blocks, and every way to cheat found out.

use crate::farm::{Farm, has_device, wait_for};
use serde_json::json;
use std::path::{Path, PathBuf};
use worker::infer::cheat::Cheat;

/// SPAN, twice as large (see `models/ATTRIBUTION.md`).
pub fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/spanx2_ch48.onnx")
}

/// A small picture, as PNG.
pub fn write_picture(farm: &Farm, name: &str, seed: u32) -> PathBuf {
    let path = farm.path(name);
    let (width, height) = (40_u32, 24_u32);
    let file = std::fs::File::create(&path).unwrap();
    let mut encoder = png::Encoder::new(file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let pixel = |at: u32| {
        let (x, y) = (at % width, at / width);
        [(x * 6 + seed) as u8, (y * 10) as u8, ((x ^ y) * 8) as u8]
    };
    let bytes: Vec<u8> = (0..width * height).flat_map(pixel).collect();
    encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
    path
}

/// Orders and gives the job's number.
fn order(farm: &Farm, key: &str, input: &str, more: &[&str]) -> u64 {
    let model = model();
    let mut words = vec!["infer", model.to_str().unwrap(), "--input", input];
    words.extend(["--tile-size", "32", "--max-spend", "20"]);
    words.extend(more);
    farm.ask(key, &words)["job_id"].as_u64().unwrap()
}

/// The same as a NumPy array of bytes, `[1, H, W, 3]` (NumPy's format specification).
fn write_batch(farm: &Farm, name: &str, png: &Path) -> PathBuf {
    let picture = worker::infer::picture::open(png).unwrap();
    let worker::infer::image::Samples::Bytes(samples) = picture.samples else { panic!("no bytes") };
    let shape = format!("(1, {}, {}, 3)", picture.height, picture.width);
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{header:<117}\n").as_bytes());
    bytes.extend(samples);
    let path = farm.path(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn refuted(farm: &Farm) -> usize {
    let workers = farm.ask(&farm.operator, &["workers", "--all"]);
    let all = workers["workers"].as_array().unwrap();
    all.iter().filter(|worker| worker["refuted"] == true).count()
}

#[test]
fn a_network_runs_as_a_job_and_cheats_are_found_out() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start();
    let artist = farm.account("artist", "1000");
    farm.ask(&farm.operator, &["account", "top-up", "10", "--account", "0"]);
    write_picture(&farm, "a1.png", 0);
    write_picture(&farm, "a2.png", 90);
    let pattern = farm.path("a*.png");
    let pattern = pattern.to_str().unwrap();
    farm.start_worker("ada", &farm.account("ada", "0"), &[]);
    farm.start_worker("bob", &farm.account("bob", "0"), &[]);
    farm.wait_for_workers(2);

    let quote = farm.ask(&artist, &["infer", model().to_str().unwrap(), "--input", pattern]);
    assert_eq!(quote["frames"], 2, "{quote}");
    let out = farm.path("out");
    let job = order(&farm, &artist, pattern, &["--wait", "--out", out.to_str().unwrap()]);
    let due = farm.finish(&artist, job);
    assert!(due.len() == 2 && due[0] != due[1]);
    assert_eq!(size(&out.join("frame_0002.png")), (80, 48), "twice the picture's");

    let batch = write_batch(&farm, "a1.npy", &farm.path("a1.png"));
    let job = order(&farm, &artist, batch.to_str().unwrap(), &[]);
    assert!(farm.finish(&artist, job)[0] == due[0], "a tensor's bytes are a picture's");

    let input = farm.path("a1.png");
    for (found, (name, _)) in Cheat::ALL.into_iter().enumerate() {
        farm.start_worker(name, &farm.account(name, "0"), &["--cheat", name]);
        farm.wait_for_workers(3);
        // It may come too late for a small frame.
        wait_for(name, || {
            let job = order(&farm, &artist, input.to_str().unwrap(), &[]);
            assert!(farm.finish(&artist, job)[0] == due[0], "{name} spoilt the frame");
            (refuted(&farm) > found).then_some(())
        });
        farm.kill_worker(name);
    }
    assert_eq!(refuted(&farm), Cheat::ALL.len(), "and nobody else");
    farm.verify();
}

fn size(png: &Path) -> (u32, u32) {
    let file = std::io::BufReader::new(std::fs::File::open(png).unwrap());
    let reader = png::Decoder::new(file).read_info().unwrap();
    (reader.info().width, reader.info().height)
}

#[test]
fn what_cannot_be_run_is_refused_before_money_is_held() {
    let farm = Farm::start();
    let artist = farm.account("artist", "10");
    let input = write_picture(&farm, "a.png", 0);
    let input = input.to_str().unwrap();
    let broken = farm.path("broken.onnx");
    std::fs::write(&broken, b"no model").unwrap();
    let fail = |words: &[&str]| farm.fail(&artist, &[&["infer"], words].concat());
    let (code, said) = fail(&[broken.to_str().unwrap(), "--input", input]);
    assert_eq!(code, 8, "{said}");
    assert!(said.contains("broken.onnx"), "{said}");
    let model = model();
    let model = model.to_str().unwrap();
    let (code, said) = fail(&[model, "--input", "albedo=nothing*.png"]);
    assert!(code == 8 && said.contains("names no file"), "{code}: {said}");
    let tensor = farm.path("no.npz");
    std::fs::write(&tensor, b"no archive").unwrap();
    let (code, said) = fail(&[model, "--input", tensor.to_str().unwrap()]);
    assert!(code == 8 && said.contains("no.npz"), "{code}: {said}");
    let (code, said) = fail(&[model, "--input", input, "--color", "cmyk"]);
    assert!(code == 2 && said.contains("srgb255"), "{code}: {said}");
    assert_eq!(farm.ask(&artist, &["balance"])["held"], json!(0));
}
