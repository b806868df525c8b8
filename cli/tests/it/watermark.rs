//! Frames carry a mark until their pay is final, and nothing takes them for proven meanwhile.

use crate::farm::{Farm, has_device, wait_for};
use farm::digest::Digest;
use serde_json::Value;
use std::path::Path;

/// What is fetched of a job, and the names of the files.
fn fetch(farm: &Farm, key: &str, job: u64, out: &Path) -> (Value, Vec<String>) {
    let fetched = farm.ask(key, &["fetch", &job.to_string(), "--out", out.to_str().unwrap()]);
    let names = std::fs::read_dir(out).unwrap().map(|file| file.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    (fetched, names)
}

/// The files that the receipt in this folder proves.
fn proven(farm: &Farm, job: u64, out: &Path) -> Value {
    let receipt = out.join(format!("job_{job}.receipt"));
    let log = std::fs::read_to_string(farm.path("state").join("log.vkey")).unwrap();
    let words = ["verify", "--receipt", receipt.to_str().unwrap(), "--log-key", log.trim()];
    farm.ask("", &words)["files"].clone()
}

#[test]
fn a_frame_carries_a_mark_until_its_pay_is_final() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start_with("maturity_ms = 20000\n");
    let artist = farm.account("artist", "100");
    farm.ask(&farm.operator, &["account", "top-up", "10", "--account", "0"]);
    farm.start_owners(&["ada", "bob"]);
    let out = farm.path("out");
    let job = farm.submit(&artist, &["--tile-size", "64", "--aov", "depth", "--watermark"]);
    wait_for("the job to end", || (farm.job(&artist, job)["state"] == "done").then_some(()));
    let known = farm.job(&artist, job);
    let frame = &known["frames"][0];
    assert_eq!((&frame["marked"], &frame["proven"]), (&true.into(), &true.into()), "{known}");
    let (fetched, names) = fetch(&farm, &artist, job, &out);
    assert_eq!((&fetched["marked"], fetched["files"].as_array().unwrap().len()), (&1.into(), 2));
    let receipt = format!("job_{job}.receipt");
    assert_eq!(names, ["frame_0001.marked.exr", "frame_0001.marked.png", receipt.as_str()]);
    assert_eq!(proven(&farm, job, &out).as_array().unwrap().len(), 0);
    let marked = std::fs::read(out.join("frame_0001.marked.exr")).unwrap();
    assert_ne!(Digest::of(&marked).to_string(), frame["exr"].as_str().unwrap());
    // The log names the clean image, which does not help.
    let refused = crate::sealed::image(&farm, &artist, frame["exr"].as_str().unwrap(), job);
    assert!(refused.unwrap_err().message().contains("carries a mark until the pay"));
    farm.kill_and_restart_scheduler();

    wait_for("the pay to be final", || {
        (farm.job(&artist, job)["frames"][0]["settled"] == true).then_some(())
    });
    let (fetched, names) = fetch(&farm, &artist, job, &out);
    assert_eq!(fetched["marked"], 0);
    assert_eq!(names, ["frame_0001.exr", "frame_0001.png", receipt.as_str()]);
    assert_eq!(proven(&farm, job, &out).as_array().unwrap().len(), 2);
    let clean = std::fs::read(out.join("frame_0001.exr")).unwrap();
    assert_eq!(Digest::of(&clean).to_string(), frame["exr"].as_str().unwrap());
    let plain = farm.submit(&artist, &["--tile-size", "64", "--aov", "depth"]);
    assert!(farm.finish(&artist, plain)[0] == clean, "the mark changes nothing below it");
    let (clean, marked) = (crate::chain::channels(&clean), crate::chain::channels(&marked));
    for (name, values) in &clean {
        let gone = values.iter().zip(&marked[name]).filter(|(clean, marked)| clean != marked);
        assert!(gone.count() * 5 > values.len(), "{name} is hardly marked");
    }
    farm.verify();
}
