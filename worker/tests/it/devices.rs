//! Vulkan devices for tests: all that are present, SwiftShader too where Chromium brings it.

use std::path::Path;
use worker::vulkan::{Device, devices};

const SWIFTSHADER: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";

/// Runs `body` on every device. Where SwiftShader's driver file exists but is not loaded, the test
/// `name` is run again in a child process that loads it beside the others, since a process chooses
/// its drivers through the environment when Vulkan starts.
pub fn on_every_device(name: &str, body: impl FnOnce(Vec<Device>)) {
    if Path::new(SWIFTSHADER).exists() && std::env::var_os("VK_ADD_DRIVER_FILES").is_none() {
        let program = std::env::current_exe().expect("the test knows its own program");
        let child = std::process::Command::new(program)
            .args([name, "--exact", "--nocapture"])
            .env("VK_ADD_DRIVER_FILES", SWIFTSHADER)
            .output()
            .expect("the test program can be started again");
        print!("{}", String::from_utf8_lossy(&child.stdout));
        eprint!("{}", String::from_utf8_lossy(&child.stderr));
        assert!(child.status.success(), "{name} failed with SwiftShader loaded");
        let ran = String::from_utf8_lossy(&child.stdout).contains("1 passed");
        assert!(ran, "no test is called {name}");
        return;
    }
    let open = open_all();
    if open.is_empty() {
        println!("skipped: no Vulkan device");
        return;
    }
    body(open);
    let messages = worker::vulkan::validation_messages();
    assert!(messages.is_empty(), "validation layer: {messages:#?}");
}

/// The first device, on which single-device tests run.
pub fn first() -> Option<Device> {
    let device = open_all().into_iter().next();
    if device.is_none() {
        println!("skipped: no Vulkan device");
    }
    device
}

fn open_all() -> Vec<Device> {
    let found = devices().unwrap_or_default();
    found.iter().map(|info| Device::open(info.index, None).expect("device opens")).collect()
}
