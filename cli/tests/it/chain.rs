//! Render, denoise, upscale: one submission, and the pixels are those of doing it by hand.

use crate::farm::{Farm, has_device, scene, wait_for};
use exr::prelude::{AnyChannel, FlatSamples, ReadChannels, ReadLayers, WritableImage};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SIZE: (usize, usize) = (96, 64);

fn model(name: &str) -> String {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    models.join(name).to_str().unwrap().to_owned()
}

/// An OpenEXR file's channels by name.
pub fn channels(file: &[u8]) -> BTreeMap<String, Vec<f32>> {
    let read = exr::prelude::read().no_deep_data().largest_resolution_level();
    let read = read.all_channels().first_valid_layer().all_attributes();
    let image = read.from_buffered(std::io::Cursor::new(file)).unwrap();
    let values = |channel: AnyChannel<FlatSamples>| {
        (channel.name.to_string(), channel.sample_data.values_as_f32().collect())
    };
    image.layer_data.channel_data.list.into_iter().map(values).collect()
}

/// Three channels of a frame as a picture of its own.
fn write_picture(farm: &Farm, name: &str, frame: &[u8], from: [&str; 3]) -> PathBuf {
    let (path, all) = (farm.path(name), channels(frame));
    let planes = from.map(|name| &all[name]);
    let at = |x: usize, y: usize| y * SIZE.0 + x;
    let pixels = exr::prelude::SpecificChannels::rgb(|at_: exr::prelude::Vec2<usize>| {
        let at = at(at_.x(), at_.y());
        (planes[0][at], planes[1][at], planes[2][at])
    });
    exr::prelude::Image::from_channels(SIZE, pixels).write().to_file(&path).unwrap();
    path
}

/// Orders frames of the scene and what follows them.
fn order(farm: &Farm, key: &str, more: &[&str]) -> Vec<u64> {
    let [scene, env] = scene();
    let mut words = vec!["submit", scene.to_str().unwrap(), "--env", env.to_str().unwrap()];
    words.extend(["--size", "96x64", "--depth", "4", "--samples", "8", "--tile-size", "32"]);
    words.extend(["--max-spend", "50"]);
    words.extend(more);
    let said = farm.ask(key, &words);
    let chain: Vec<u64> =
        said["chain"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
    assert_eq!(said["job_id"], *chain.last().unwrap());
    chain
}

/// A network over pictures, all in one piece; the frame's channels.
fn by_hand(farm: &Farm, key: &str, words: &[&str]) -> BTreeMap<String, Vec<f32>> {
    let all = [&["infer"], words, &["--tile-size", "256", "--max-spend", "20"]].concat();
    let job = farm.ask(key, &all)["job_id"].as_u64().unwrap();
    channels(&farm.finish(key, job)[0])
}

/// The receipt beside a job's frames holds without the farm.
fn verify_receipt(farm: &Farm, key: &str, job: u64) {
    let receipt = farm.path(&format!("job-{job}")).join(format!("job_{job}.receipt"));
    let log = std::fs::read_to_string(farm.path("state").join("log.vkey")).unwrap();
    let receipt = receipt.to_str().unwrap();
    let proven = farm.ask("", &["verify", "--receipt", receipt, "--log-key", log.trim()]);
    let known = farm.job(key, job);
    assert_eq!((&proven["ok"], &proven["spent"]), (&true.into(), &known["spent"]), "{proven}");
}

/// The mean squared error of the light, each relative to how bright the right value is.
fn error(frame: &BTreeMap<String, Vec<f32>>, right: &BTreeMap<String, Vec<f32>>) -> f64 {
    let of = |name: &str| -> f64 {
        let pairs = frame[name].iter().zip(&right[name]);
        let pairs = pairs.map(|(x, y)| (f64::from(*x), f64::from(*y)));
        pairs.map(|(x, y)| (x - y) * (x - y) / (y * y + 0.01)).sum()
    };
    ["R", "G", "B"].map(of).iter().sum::<f64>() / (3 * SIZE.0 * SIZE.1) as f64
}

/// The second frame with hardly any noise.
fn converged(farm: &Farm, key: &str) -> BTreeMap<String, Vec<f32>> {
    let [scene, env] = scene().map(|path| path.to_str().unwrap().to_owned());
    let many = ["--size", "96x64", "--samples", "512", "--seed", "9", "--frames", "2"];
    let many = [&["submit", &scene, "--env", &env, "--depth", "4"], &many[..]].concat();
    let job = farm.ask(key, &[&many[..], &["--max-spend", "50"]].concat());
    channels(&farm.finish(key, job["job_id"].as_u64().unwrap())[0])
}

fn explained(farm: &Farm, key: &str, job: u64) -> String {
    farm.ask(key, &["explain", &job.to_string(), "0"])["lines"].to_string()
}

#[test]
fn a_chain_gives_what_doing_it_by_hand_gives_and_less_noise() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start();
    let artist = farm.account("artist", "1000");
    let [scene, env] = scene().map(|path| path.to_str().unwrap().to_owned());
    let shot = ["--size", "96x64", "--depth", "4", "--samples", "8", "--tile-size", "32"];
    let follow = ["--frames", "1-2", "--denoise", "--upscale", "2"];
    let quote = [&["quote", &scene, "--env", &env], &shot[..], &follow].concat();
    let quote = farm.ask(&artist, &quote);
    let chain = order(&farm, &artist, &follow);
    let [render, denoise, upscale] = chain[..] else { panic!("{chain:?}") };
    let why = explained(&farm, &artist, denoise);
    assert!(why.contains(&format!("it waits for frame 1 of job J{render}")), "{why}");
    assert_eq!(farm.job(&artist, upscale)["upstream"], denoise);
    farm.kill_and_restart_scheduler();
    farm.start_owners(&["ada", "bob"]);

    let large = farm.finish(&artist, upscale);
    let smooth = farm.finish(&artist, denoise);
    let noisy = farm.finish(&artist, render);
    assert_eq!((large.len(), smooth.len(), noisy.len()), (2, 2, 2));
    for (step, job) in [denoise, upscale].into_iter().enumerate() {
        let (quoted, done) = (&quote["then"][step], farm.job(&artist, job));
        assert_eq!(quoted["units"], done["units"], "the work of a network is known exactly");
        verify_receipt(&farm, &artist, job);
    }
    let color = write_picture(&farm, "color.exr", &noisy[1], ["R", "G", "B"]);
    let albedo = ["albedo.R", "albedo.G", "albedo.B"];
    let albedo = write_picture(&farm, "albedo.exr", &noisy[1], albedo);
    let normal = write_picture(&farm, "normal.exr", &noisy[1], ["N.X", "N.Y", "N.Z"]);
    let due = by_hand(
        &farm,
        &artist,
        &[
            &model("oidn_rt_hdr_alb_nrm.onnx"),
            "--color",
            "pu",
            "--input",
            color.to_str().unwrap(),
            &format!("albedo={}", albedo.display()),
            &format!("normal={}", normal.display()),
        ],
    );
    let found = channels(&smooth[1]);
    assert!(found == due, "denoised otherwise than by hand");
    let input = write_picture(&farm, "smooth.exr", &smooth[1], ["R", "G", "B"]);
    let due =
        by_hand(&farm, &artist, &[&model("spanx2_ch48.onnx"), "--input", input.to_str().unwrap()]);
    assert!(channels(&large[1]) == due, "upscaled otherwise than by hand");
    assert_eq!(due["R"].len(), 4 * SIZE.0 * SIZE.1);

    let right = converged(&farm, &artist);
    let (before, after) = (error(&channels(&noisy[1]), &right), error(&found, &right));
    assert!(after < before / 4.0, "relMSE {before} before, {after} after");
    farm.verify();
}

#[test]
fn who_cheats_in_a_chain_is_found_out_and_the_frames_are_right() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start();
    let artist = farm.account("artist", "1000");
    farm.ask(&farm.operator, &["account", "top-up", "10", "--account", "0"]);
    farm.start_owners(&["ada", "bob"]);
    let run = |farm: &Farm| {
        let chain = order(farm, &artist, &["--frames", "1-2", "--upscale", "2"]);
        farm.finish(&artist, chain[1])
    };
    let due = run(&farm);
    for (found, cheat) in ["upscaled", "quantized"].into_iter().enumerate() {
        farm.start_worker(cheat, &farm.account(cheat, "0"), &["--cheat", cheat]);
        farm.wait_for_workers(3);
        wait_for(cheat, || {
            assert!(run(&farm) == due, "{cheat} spoilt a frame");
            let workers = farm.ask(&farm.operator, &["workers", "--all"]);
            let all = workers["workers"].as_array().unwrap();
            let out = all.iter().filter(|worker| worker["refuted"] == true).count();
            (out > found).then_some(())
        });
        farm.kill_worker(cheat);
    }
    farm.verify();
}

#[test]
fn a_cancelled_render_ends_what_follows_and_the_money_returns() {
    let farm = Farm::start();
    let artist = farm.account("artist", "100");
    let money = |farm: &Farm| -> Value { farm.ask(&artist, &["balance"])["available"].clone() };
    let before = money(&farm);
    let [scene, _] = scene();
    let cheap = ["submit", scene.to_str().unwrap(), "--size", "96x64", "--denoise"];
    let (code, said) = farm.fail(&artist, &[&cheap[..], &["--max-spend", "0.000001"]].concat());
    assert!(code == 2 && said.contains("raise --max-spend"), "{code}: {said}");
    let (code, said) = farm.fail(&artist, &[&cheap[..], &["--max-spend", "5000"]].concat());
    assert!(code == 7 && said.contains("INSUFFICIENT_CREDIT"), "{code}: {said}");
    assert_eq!(money(&farm), before);

    let chain = order(&farm, &artist, &["--denoise", "--upscale", "2"]);
    assert_ne!(money(&farm), before);
    farm.ask(&artist, &["cancel", &chain[0].to_string()]);
    let ended = farm.job(&artist, chain[1]);
    assert_eq!(ended["state"], "failed");
    let why = format!("job {}, whose frames it is made of, was cancelled", chain[0]);
    assert_eq!(ended["failure"], why);
    let why = format!("job {}, whose frames it is made of, failed", chain[1]);
    assert_eq!(farm.job(&artist, chain[2])["failure"], why);
    assert_eq!(money(&farm), before);
    farm.verify();
}
