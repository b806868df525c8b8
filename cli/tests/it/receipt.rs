//! A job's receipt is checked without the farm, and nothing in it or beside it can be changed.

use crate::farm::{Farm, has_device};
use serde_json::{Value, json};
use std::path::Path;

#[test]
fn a_receipt_proves_a_job_without_the_farm() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start();
    let artist = farm.account("artist", "100");
    farm.ask(&farm.operator, &["account", "top-up", "10", "--account", "0"]);
    farm.start_owners(&["ada", "bob"]);
    let other = farm.submit(&artist, &["--tile-size", "64"]);
    let job = farm.submit(&artist, &["--tile-size", "32", "--frames", "1-2"]);
    farm.finish(&artist, other);
    farm.finish(&artist, job);
    let folder = farm.path(&format!("job-{job}"));
    let file = folder.join(format!("job_{job}.receipt"));
    let key = std::fs::read_to_string(farm.path("state").join("log.vkey")).unwrap();
    let verify = |key: &str| verify_offline(&farm, &file, key);
    let (code, proven) = verify(key.trim());
    assert_eq!((code, &proven["ok"]), (0, &json!(true)), "{proven}");
    let known = farm.job(&artist, job);
    for (ours, theirs) in [("accepted", "tiles_accepted"), ("spent", "spent"), ("state", "state")] {
        assert_eq!(proven[ours], known[theirs], "{proven}");
    }
    assert_eq!(proven["unaudited"], 0, "{proven}");
    assert_eq!(proven["files"].as_array().unwrap().len(), 4, "two frames, each as EXR and PNG");
    assert_eq!(proven["on_hold"], 0, "{proven}");

    let frame = folder.join("frame_0002.png");
    let picture = std::fs::read(&frame).unwrap();
    std::fs::write(&frame, [&picture[..], b"x"].concat()).unwrap();
    let (code, said) = verify(key.trim());
    assert_eq!(code, 5);
    assert!(
        said["breach"].as_str().unwrap().contains("frame_0002.png is not what the farm stored")
    );
    std::fs::write(&frame, picture).unwrap();

    // Whatever byte is changed, it is no receipt of this log any more.
    let bytes = std::fs::read(&file).unwrap();
    for at in (0..bytes.len()).step_by(bytes.len() / 12) {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        std::fs::write(&file, altered).unwrap();
        let (code, _) = verify(key.trim());
        assert!(code == 5 || code == 8, "byte {at} of {}: code {code}", bytes.len());
    }
    std::fs::write(&file, &bytes).unwrap();
    let stranger = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assert_eq!(verify(stranger).0, 5, "another log's key");
    a_witness_and_the_farm_show_the_same_log(&farm, key.trim());
}

/// The exit code and what is said where no farm can be reached.
fn verify_offline(farm: &Farm, receipt: &Path, key: &str) -> (i32, Value) {
    let mut command = farm.command("");
    command.env("GIRIH_SERVER", "http://127.0.0.1:1").args(["verify", "--receipt"]);
    let output = command.arg(receipt).args(["--log-key", key, "--output", "json"]).output();
    let output = output.unwrap();
    let said = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().unwrap(), said)
}

fn a_witness_and_the_farm_show_the_same_log(farm: &Farm, key: &str) {
    let state = farm.path("witness");
    let dir = state.to_str().unwrap();
    let name = ["--name", "witness.example/w1"];
    let signed = farm
        .ask("", &[&["witness", "--once", "--log-key", key, "--state", dir][..], &name].concat());
    assert!(signed["entries"].as_u64().unwrap() > 0, "{signed}");
    let witness = std::fs::read_to_string(state.join("witness.vkey")).unwrap();
    let words = ["verify", "--log-key", key, "--witness", dir, "--witness-key", witness.trim()];
    assert!(farm.ask("", &words)["since"].as_u64() >= signed["entries"].as_u64());
}
