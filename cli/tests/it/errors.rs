//! Every way in which the command line refuses: the code, the sentence, and no money held.

use crate::farm::{Farm, program, scene, wait_for};
use std::process::Stdio;

fn available(farm: &Farm, key: &str) -> (u64, u64) {
    let balance = farm.ask(key, &["balance"]);
    (balance["available"].as_u64().unwrap(), balance["on_hold"].as_u64().unwrap())
}

#[test]
fn refusals_have_their_codes_and_say_the_way_out() {
    let farm = Farm::start();
    let artist = farm.account("artist", "1");
    let [scene, _] = scene();
    let scene = scene.to_str().unwrap();
    let expect = |key: &str, words: &[&str], code: i32, says: &str| {
        let (found, said) = farm.fail(key, words);
        assert_eq!(found, code, "girih {words:?}: {said}");
        assert!(said.contains(says), "girih {words:?}: {said}");
        assert!(!said.contains("Status {") && !said.contains("Error("), "a dump: {said}");
    };
    expect("", &["balance"], 2, "no API key");
    expect("girih_wrong", &["balance"], 7, "unknown");
    expect(&artist, &["watch", "99"], 7, "no such job");
    expect(&artist, &["frobnicate"], 2, "frobnicate");
    expect(&artist, &["submit", scene, "--max-spend", "-1"], 2, "credits");
    expect(&artist, &["submit", scene, "--max-spend", "1", "--samples", "3"], 2, "samples");
    let unknown = ["submit", scene, "--max-spend", "1", "--aov", "depth,shine"];
    expect(
        &artist,
        &unknown,
        2,
        "there are albedo, normal, depth, object-id, material-id, motion, samples",
    );
    expect(&artist, &["submit", scene, "--max-spend", "0.000001"], 7, "BUDGET_TOO_SMALL");
    expect(&artist, &["submit", scene, "--max-spend", "50"], 7, "INSUFFICIENT_CREDIT");
    expect(&artist, &["account", "create", "x"], 7, "operator");
    expect(&artist, &["explain", "nothing", "1"], 2, "neither");
    expect(&artist, &["--server", "http://farm.example", "balance"], 2, "use https");
    expect(&artist, &["--server", "http://127.0.0.1:1", "balance"], 6, "scheduler running");
    assert_eq!(available(&farm, &artist), (1_000_000, 0));
}

#[test]
fn a_bad_scene_is_refused_before_any_money_is_held() {
    let farm = Farm::start();
    let artist = farm.account("artist", "1");
    let missing = farm.path("missing.gltf");
    let text = r#"{"asset":{"version":"2.0"},"scene":0,"scenes":[{"nodes":[0]}],
        "nodes":[{"mesh":0}],"meshes":[{"primitives":[{"attributes":{"POSITION":0}}]}],
        "accessors":[{"bufferView":0,"componentType":5126,"count":3,"type":"VEC3"}],
        "bufferViews":[{"buffer":0,"byteLength":36}],
        "buffers":[{"uri":"wood.bin","byteLength":36}]}"#;
    std::fs::write(&missing, text).unwrap();
    let whole = std::fs::read(&scene()[0]).unwrap();
    let cut = farm.path("cut.glb");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    for (file, says) in [(&missing, "wood.bin"), (&cut, "cut.glb")] {
        let words = ["submit", file.to_str().unwrap(), "--max-spend", "1"];
        let (code, said) = farm.fail(&artist, &words);
        assert_eq!(code, 8, "{said}");
        assert!(said.contains(says), "{said}");
    }
    let (code, said) = farm.fail(&artist, &["submit", "nowhere.glb", "--max-spend", "1"]);
    assert_eq!((code, said.contains("nowhere.glb")), (8, true), "{said}");
    assert_eq!(available(&farm, &artist), (1_000_000, 0));
    assert!(farm.ask(&artist, &["jobs"])["jobs"].as_array().unwrap().is_empty());
}

#[test]
fn a_job_is_ordered_once_and_cancelled_with_its_money_back() {
    let farm = Farm::start();
    let artist = farm.account("artist", "10");
    let id = ["--request-id", "0b4f6a52-3a0e-4f7e-9d1c-5a1c2b3d4e5f"];
    let first = farm.submit(&artist, &id);
    assert_eq!(farm.submit(&artist, &id), first, "the same request is the same job");
    assert_eq!(available(&farm, &artist), (8_000_000, 2_000_000));
    assert_eq!(farm.ask(&artist, &["cancel", &first.to_string()])["state"], "cancelled");
    assert_eq!(available(&farm, &artist), (10_000_000, 0));
    assert_eq!(farm.run(&artist, &["watch", &first.to_string()]).status.code(), Some(4));
    let transfers = farm.ask(&artist, &["statement"]);
    let reasons: Vec<_> = transfers["transfers"].as_array().unwrap().iter().collect();
    let reasons: Vec<_> = reasons.iter().map(|row| row["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["refund", "submit", "top-up"]);
    farm.verify();
}

#[test]
fn without_a_device_a_worker_says_so_and_ends() {
    let farm = Farm::start();
    let key = farm.account("ada", "0");
    let mut command = farm.command(&key);
    command.env("VK_DRIVER_FILES", farm.path("none.json"));
    command.env("VK_ICD_FILENAMES", farm.path("none.json"));
    let output = command.arg("worker").arg("--data-dir").arg(farm.path("ada")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("Vulkan"), "{said}");
    let mut command = farm.command(&key);
    command.env("VK_DRIVER_FILES", farm.path("none.json"));
    let output = command.args(["doctor", "--local"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stdout).contains("mend:"));
}

#[test]
fn a_tampered_log_is_a_breach() {
    let farm = Farm::start();
    farm.account("artist", "5");
    wait_for("the log to tell of it", || {
        (farm.verify()["entries"].as_u64().unwrap() >= 3).then_some(())
    });
    let state = farm.path("state");
    let log = state.join("log");
    let words = ["verify", "--forget", "--log", log.to_str().unwrap()];
    farm.ask("", &words);
    let bundle = log.join("tile/entries");
    let newest = std::fs::read_dir(bundle.join("000.p")).unwrap().flatten();
    for file in newest {
        let mut bytes = std::fs::read(file.path()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(file.path(), bytes).unwrap();
    }
    let (code, said) = farm.fail("", &words);
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("differ"), "{said}");
}

#[test]
fn a_reader_who_leaves_early_is_no_error() {
    let farm = Farm::start();
    let mut command = farm.command(&farm.operator);
    let mut child = command.arg("statement").stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

/// A scheduler with a certificate of its own, and what it says of itself when it starts.
struct Strange {
    dir: tempfile::TempDir,
    scheduler: std::process::Child,
    /// Held to the end: a scheduler that nobody reads any more ends.
    told: std::io::BufReader<std::process::ChildStdout>,
    said: Vec<String>,
}

impl Strange {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut scheduler = program()
            .args(["scheduler", "--with-parent", "--listen", "0.0.0.0:0", "--state"])
            .arg(dir.path().join("state"))
            .env("GIRIH_TLS_NAMES", r#"["farm.example"]"#)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = std::io::BufReader::new(scheduler.stdout.take().unwrap());
        let mut said = Vec::new();
        for line in std::io::BufRead::lines(&mut told) {
            said.push(line.unwrap());
            if said.last().unwrap().starts_with("the operator's key") {
                break;
            }
        }
        Self { dir, scheduler, told, said }
    }

    /// The end of the line that has these words before it.
    fn after(&self, words: &str) -> &str {
        self.said.iter().find_map(|line| line.split_once(words)).unwrap().1
    }

    /// Under an address that the certificate does not name.
    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.after("listens at https://0.0.0.0:"))
    }

    fn ask(&self, words: &[&str]) -> (bool, String) {
        let mut command = program();
        command.env("XDG_DATA_HOME", self.dir.path()).env("XDG_CONFIG_HOME", self.dir.path());
        let output = command.args(words).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Drop for Strange {
    fn drop(&mut self) {
        self.scheduler.kill().unwrap();
        self.scheduler.wait().unwrap();
        let _ = std::io::Read::read_to_end(&mut self.told, &mut Vec::new());
    }
}

#[test]
fn the_pin_that_a_scheduler_prints_is_the_one_that_clients_want() {
    let farm = Strange::start();
    let (url, pin) = (farm.url(), farm.after("for --pin: "));
    let key = std::fs::read_to_string(farm.dir.path().join("state/operator.key")).unwrap();
    let ask = |trust: &[&str]| {
        farm.ask(&[&["balance", "--server", &url, "--key", key.trim()], trust].concat())
    };
    assert_eq!(ask(&["--pin", pin]), (true, String::new()));
    let (right, said) = ask(&["--pin", &"0".repeat(64)]);
    assert!(!right && said.contains("not the pinned one"), "{said}");
    let (right, said) = ask(&[]);
    assert!(!right && said.contains("--pin") && !said.contains("firewall"), "{said}");
}

#[test]
fn a_pin_holds_for_the_log_that_is_named_beside_it() {
    let farm = Strange::start();
    let (url, pin) = (farm.url(), farm.after("for --pin: "));
    let (right, said) = farm.ask(&["verify", "--log", &url, "--pin", pin]);
    assert!(right, "{said}");
    let state = farm.dir.path().join("witness");
    let mut words = vec!["witness", "--once", "--log", &url, "--pin", pin];
    words.extend(["--log-key", farm.after("verify --log-key: ")]);
    words.extend(["--state", state.to_str().unwrap()]);
    let (right, said) = farm.ask(&words);
    assert!(right, "{said}");
    words.extend(["--server", "https://farm.example"]);
    let (right, said) = farm.ask(&words);
    assert!(!right && said.contains("--pin"), "another server's pin: {said}");
}
