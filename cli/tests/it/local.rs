//! `girih up`: one command, and from another terminal the others work at once.

use crate::farm::{has_device, scene, wait_for};
use std::process::{Command, Stdio};

#[test]
fn up_gives_a_farm_that_the_other_commands_find() {
    if !has_device() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let girih = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_girih"));
        for name in ["GIRIH_SERVER", "GIRIH_KEY", "GIRIH_CA", "GIRIH_PIN", "GIRIH_LOG_KEY"] {
            command.env_remove(name);
        }
        command.env("GIRIH_CONFIG", dir.path().join("config.toml"));
        command.env("XDG_DATA_HOME", dir.path().join("data")).stdin(Stdio::null());
        command
    };
    let file = dir.path().join("address");
    let log = std::fs::File::create(dir.path().join("up.log")).unwrap();
    let mut up = girih()
        .args(["up", "--listen", "127.0.0.1:0", "--address-file"])
        .arg(&file)
        .arg("--state")
        .arg(dir.path().join("state"))
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    wait_for("the farm to listen", || file.exists().then_some(()));
    let [scene, _] = scene();
    let out = dir.path().join("frames");
    let output = girih()
        .arg("submit")
        .arg(scene)
        .args(["--size", "48x32", "--samples", "4", "--max-spend", "1", "--private", "--wait"])
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let verified = girih().arg("verify").output().unwrap();
    let id = rustix::process::Pid::from_child(&up);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let left = wait_for("the farm to end", || up.try_wait().unwrap());
    let log = std::fs::read_to_string(dir.path().join("up.log")).unwrap();
    assert!(output.status.success(), "{said}\n{log}");
    assert!(out.join("frame_0001.exr").exists() && out.join("frame_0001.png").exists());
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    assert!(left.success(), "{log}");
}
