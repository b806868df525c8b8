//! Networks on this machine's Vulkan device beside onnxruntime and ncnn on its processors, in one
//! run and taking turns: the same model, the same numbers in; time, memory, and how far the results
//! lie apart. `cargo xtask bench infer [SIDE [MODEL|FOLDER...]]`, else a side of 512 and the
//! project's models; wants PYTHON, an interpreter with numpy, onnxruntime and ncnn. ncnn takes part
//! where its own package of the same weights is known (`infer_ncnn.py`).

use anyhow::{Context, bail, ensure};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use worker::infer::device::{RunError, Runner};
use worker::infer::model::Model;
use worker::infer::network::Network;
use worker::infer::plan::Plan;
use worker::infer::program::Program;
use worker::infer::region::{Span, whole};
use worker::vulkan::{Device, VulkanError};

/// Runs of each side; the first of each warms up and is not counted.
const TURNS: usize = 6;
/// Pixels that `girih infer` takes in one tile where nothing else is asked for.
const TILE: usize = 256;
/// Whom we are measured beside, and their scripts.
const PEERS: [(&str, &str); 2] =
    [("onnxruntime", "examples/infer_onnxruntime.py"), ("ncnn", "examples/infer_ncnn.py")];

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, model, side, folder, tile] = &words[..]
        && word == "serve"
    {
        return serve(Path::new(model), side.parse()?, Path::new(folder), tile.parse()?);
    }
    let side = words.first().map_or(Ok(512), |word| word.parse())?;
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let named = words.iter().skip(1).map(PathBuf::from);
    let mut models = Vec::new();
    for path in if words.len() > 1 { named.collect() } else { vec![own] } {
        find(&path, &mut models)?;
    }
    models.sort();
    ensure!(!models.is_empty(), "name ONNX files, or folders that hold some");
    println!("{}", Device::open(0, None)?.info().name);
    models.iter().try_for_each(|model| compare(model, side))
}

/// Models at or below a path.
fn find(path: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
            find(&entry?.path(), found)?;
        }
    } else if path.extension().is_some_and(|end| end == "onnx") {
        found.push(path.to_owned());
    }
    Ok(())
}

/// Runs a model on all sides by turns and says how they stand.
fn compare(model: &Path, side: usize) -> anyhow::Result<()> {
    println!("\n{}, {side}×{side}", model.display());
    let folder = tempfile::tempdir()?;
    let network = Network::new(&Model::read(&std::fs::read(model)?)?, side, side)?;
    write_inputs(&network, folder.path())?;
    let mut sides = Vec::new();
    for (name, tile) in [("girih", usize::MAX), ("girih, tiled", TILE)] {
        let mut command = Command::new(std::env::current_exe()?);
        let tile = tile.to_string();
        command.arg("serve").arg(model).args([&side.to_string()]).arg(folder.path()).arg(tile);
        sides.push(Side::start(name, &mut command, folder.path())?);
    }
    for (name, script) in PEERS {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let mut command = Command::new(python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script));
        sides.push(Side::start(name, command.arg(model).arg(folder.path()), folder.path())?);
    }
    for _ in 0..TURNS {
        sides.iter_mut().try_for_each(Side::run)?;
    }
    let tiled = &sides[1];
    ensure!(tiled.ends.is_none(), "nor does the device take tiles of {TILE}");
    // What is too large for one piece jobs run in tiles.
    let whole = sides.first().filter(|ours| ours.ends.is_none());
    ensure!(whole.is_none_or(|whole| whole.result == tiled.result), "tiles differ from the whole");
    for other in sides.iter().filter(|other| other.ends.is_none()) {
        let [wall, cpu] = [other.median(0), other.median(1)];
        print!("{:13} {wall:.3} s, {cpu:.3} CPU s, {:.0} MiB", other.name, other.peak);
        if other.name.starts_with("girih") {
            println!();
            continue;
        }
        for (ours, how) in [(whole, "in one piece"), (Some(tiled), "in tiles")] {
            let Some(ours) = ours else { continue };
            let times = [ours.median(0) / wall, ours.median(1) / cpu, ours.peak / other.peak];
            let [wall, cpu, memory] = times;
            print!("; {how} we take {wall:.2} of its time, {cpu:.2} of its CPU time, ");
            print!("{memory:.2} of its memory");
        }
        let (most, mean) = apart(&tiled.result, &other.result)?;
        println!("; results {most:.2e} apart at most, {mean:.2e} in the mean");
    }
    for other in &sides {
        if let Some(why) = &other.ends {
            println!("{:13} {why}", other.name);
        }
    }
    Ok(())
}

/// Largest and mean difference.
fn apart(ours: &[f32], theirs: &[f32]) -> anyhow::Result<(f64, f64)> {
    ensure!(ours.len() == theirs.len(), "{} numbers, not {}", theirs.len(), ours.len());
    let pairs = ours.iter().zip(theirs);
    let differences = pairs.map(|(x, y)| (f64::from(*x) - f64::from(*y)).abs());
    let (most, sum) = differences.fold((0.0_f64, 0.0), |(most, sum), x| (most.max(x), sum + x));
    Ok((most, sum / ours.len() as f64))
}

/// A smooth picture with edges and a little grain, 0 to 1.
fn picture(channel: usize, y: usize, x: usize) -> f32 {
    let grain = ((x * 7919 + y * 104_729 + channel * 1_299_709) % 251) as f32 / 251.0;
    let wave = ((x as f32 * 0.11 + channel as f32).sin() + (y as f32 * 0.07).cos()) * 0.2;
    let edge = if (x / 24 + y / 40).is_multiple_of(2) { 0.2 } else { 0.0 };
    (0.4 + wave + edge + 0.05 * grain).clamp(0.0, 1.0)
}

/// Writes each input as `NAME.input` (f32, little-endian) and all shapes to `inputs.json`.
fn write_inputs(network: &Network, folder: &Path) -> anyhow::Result<()> {
    let mut shapes = serde_json::Map::new();
    for (name, value) in &network.program.inputs {
        let shape = network.program.shape(*value);
        let [_, channels, height, width] = shape[..] else { bail!("{name} is no image") };
        let mut bytes = Vec::with_capacity(channels * height * width * 4);
        for channel in 0..channels {
            for y in 0..height {
                let row = (0..width).flat_map(|x| picture(channel, y, x).to_le_bytes());
                bytes.extend(row);
            }
        }
        std::fs::write(folder.join(format!("{name}.input")), bytes)?;
        shapes.insert(name.clone(), serde_json::json!(shape));
    }
    let described = serde_json::json!({ "inputs": shapes, "output": output(&network.program).0 });
    Ok(std::fs::write(folder.join("inputs.json"), described.to_string())?)
}

fn output(program: &Program) -> (&str, usize) {
    let (name, value) = &program.outputs[0];
    (name, *value)
}

/// Somebody who runs the model whenever a line comes, and answers with seconds by the clock, of
/// all threads, and the MiB that it has come to since it was ready to load a model.
struct Side {
    name: &'static str,
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
    folder: PathBuf,
    times: Vec<[f64; 2]>,
    peak: f64,
    result: Vec<f32>,
    /// Why it takes no part.
    ends: Option<String>,
}

impl Side {
    fn start(name: &'static str, command: &mut Command, folder: &Path) -> anyhow::Result<Self> {
        let log = std::fs::File::create(folder.join(format!("{name}.log")))?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let answers = BufReader::new(child.stdout.take().context("no output")?);
        let (folder, times, result) = (folder.to_owned(), Vec::new(), Vec::new());
        Ok(Self { name, child, answers, folder, times, peak: 0.0, result, ends: None })
    }

    fn run(&mut self) -> anyhow::Result<()> {
        if self.ends.is_some() {
            return Ok(());
        }
        writeln!(self.child.stdin.as_mut().context("no input")?, "run")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if let Some(why) = line.strip_prefix("no: ") {
            self.ends = Some(why.trim().to_owned());
            return Ok(());
        }
        let numbers: Vec<f64> = line.split_whitespace().flat_map(str::parse).collect();
        let [wall, cpu, peak] = numbers[..] else {
            let log = std::fs::read_to_string(self.folder.join(format!("{}.log", self.name)))?;
            bail!("{} stopped: {line}{log}", self.name);
        };
        self.times.push([wall, cpu]);
        self.peak = peak;
        let bytes = std::fs::read(self.folder.join("result"))?;
        let words = bytes.as_chunks::<4>().0.iter();
        self.result = words.map(|word| f32::from_le_bytes(*word)).collect();
        Ok(())
    }

    fn median(&self, which: usize) -> f64 {
        let mut all: Vec<f64> = self.times.iter().skip(1).map(|times| times[which]).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Err(error) = self.child.wait() {
            eprintln!("{}: {error}", self.name);
        }
    }
}

/// Our side: runs the model on the first device, in tiles of a side.
fn serve(model: &Path, side: usize, folder: &Path, tile: usize) -> anyhow::Result<()> {
    let mut runner = Runner::new(&Device::open(0, None)?)?;
    let before = resident_mib("VmRSS")?;
    let network = Network::new(&Model::read(&std::fs::read(model)?)?, side, side)?;
    let program = &network.program;
    let (_, output) = output(program);
    let weights = runner.load(program)?;
    let mut inputs = Vec::new();
    for (name, value) in &program.inputs {
        let bytes = std::fs::read(folder.join(format!("{name}.input")))?;
        let words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        inputs.push((*value, words.collect::<Vec<u32>>()));
    }
    let shape = program.shape(output);
    let [_, planes, height, width] = shape[..] else { bail!("the result is no image") };
    for line in std::io::stdin().lines() {
        line?;
        let (began, cpu) = (Instant::now(), cpu_seconds());
        let mut result = vec![0_u32; planes * height * width];
        for y in (0..height).step_by(tile.min(height)) {
            for x in (0..width).step_by(tile.min(width)) {
                let mut region = whole(shape);
                region[2] = Span::new(y, height.min(y.saturating_add(tile)));
                region[3] = Span::new(x, width.min(x.saturating_add(tile)));
                let plan = Plan::new(program, output, region.clone())?;
                let parts = inputs.iter().filter(|(value, _)| plan.regions[*value].is_some());
                let parts: Vec<_> = parts
                    .map(|(value, words)| (*value, plan.cut(program, *value, words)))
                    .collect();
                let made = runner.run(program, &weights, &plan, output, &parts, &|| false);
                if let Err(RunError::Vulkan(error @ VulkanError::TooLarge { .. })) = &made {
                    println!("no: {error}");
                    return Ok(());
                }
                let words = made?;
                place(&words, &plan, output, [x, y, width, height], &mut result);
            }
        }
        let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        let bytes: Vec<u8> = result.iter().flat_map(|word| word.to_le_bytes()).collect();
        drop(result);
        std::fs::write(folder.join("result"), bytes)?;
        println!("{wall} {cpu} {}", resident_mib("VmHWM")? - before);
    }
    Ok(())
}

/// Puts a tile where it belongs.
fn place(
    words: &[u32],
    plan: &Plan,
    output: usize,
    [x, y, width, height]: [usize; 4],
    result: &mut [u32],
) {
    let Some(region) = &plan.regions[output] else { return };
    let (rows, columns) = (region[2].len(), region[3].len());
    for (nth, row) in words.chunks_exact(columns).enumerate() {
        let (plane, line) = (nth / rows, nth % rows);
        result[(plane * height + y + line) * width + x..][..columns].copy_from_slice(row);
    }
}

fn cpu_seconds() -> f64 {
    let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    own.tv_sec as f64 + own.tv_nsec as f64 * 1e-9
}

/// A line of this process's memory (Linux, proc(5)), MiB.
fn resident_mib(line: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|own| own.strip_prefix(line)?.strip_prefix(':'));
    let kib: f64 = found.context("no such line")?.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
