//! The path tracer's speed and noise beside Mitsuba 3's (`scalar_rgb`) and Blender Cycles' on the
//! CPU, in one run: the same triangles, camera, lights, path length and samples, taking turns.
//! `cargo xtask bench render [SCENE [ENVIRONMENT|- [SIZE [SAMPLES [DEPTH]]]]]`, else three scenes
//! of the project; wants PYTHON, an interpreter with mitsuba, bpy and numpy. Textures, layers and
//! coverage are left out on all sides, lamps shine to one side, and the peers' materials are their
//! own `principled`.

use anyhow::{Context, ensure};
use farm::digest::Digest;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use worker::asset::Asset;
use worker::engine::TileSpec;
use worker::render::draw;
use worker::render::scene::{Bundle, Scene, View, load};
use worker::render::stage::{Pipelines, Stage};
use worker::vulkan::{Device, devices};

/// Renders of each side; the first of each warms up and is not counted.
const TURNS: u32 = 6;
/// Samples of a side's converged picture, as many times those of its renders.
const CONVERGED: u32 = 16;
/// Keeps dark pixels from deciding the relative error.
const DARKEST: f64 = 1e-2;
/// What is rendered beside us: the name of its pixels, its script.
const PEERS: [(&str, &str); 2] =
    [("mitsuba", "examples/speed_mitsuba.py"), ("cycles", "examples/speed_cycles.py")];

/// One render: what it took, and its pixels.
struct Render {
    wall: f64,
    cpu: f64,
    pixels: Vec<f32>,
}

fn main() -> anyhow::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, or: u32| words.get(at).map_or(Ok(or), |word| word.parse());
    let size = [number(2, 256)?, number(3, 16)?, number(4, 6)?];
    let device = Device::open(devices()?.first().context("no Vulkan device")?.index, None)?;
    println!("{} ({})", device.info().name, device.info().driver);
    let sky = words.get(1).filter(|word| *word != "-").map(Path::new);
    if let Some(path) = words.first() {
        return compare(&device, Path::new(path), sky, size);
    }
    let own = [
        ("tests/data/reference/cornell_box.glb", None),
        ("tests/data/reference/metal_box.glb", Some("../scenes/courtyard.hdr")),
        ("tests/data/reference/gems.glb", Some("tests/data/reference/sun.hdr")),
    ];
    own.into_iter().try_for_each(|(path, sky)| {
        compare(&device, &here.join(path), sky.map(|sky| here.join(sky)).as_deref(), size)
    })
}

/// Renders a scene on all sides by turns and says how they stand.
fn compare(
    device: &Device,
    path: &Path,
    sky: Option<&Path>,
    [size, samples, depth]: [u32; 3],
) -> anyhow::Result<()> {
    let view = View { frame: 0, fps: 24, width: size, height: size, neighbours: false };
    let mut scene = load(&Bundle::open(path)?, sky.map(Asset::from).as_ref(), view)?;
    strip(&mut scene)?;
    println!("\n{}: {} triangles", path.display(), scene.triangles.len());
    let folder = tempfile::tempdir()?;
    write_scene(&scene, sky, folder.path(), [size, depth])?;
    let mut stage = Stage::new(device, &scene)?;
    let mut pipelines = Pipelines::new(device);
    let mut rays = 0;
    let mut own = |seed: u32, samples: u32| {
        let (render, count) = trace(&mut stage, &mut pipelines, [size, samples, depth], seed)?;
        rays = count;
        anyhow::Ok(render)
    };
    let mut peers = Vec::new();
    for (name, script) in PEERS {
        peers.push(Peer::start(name, script, folder.path())?);
    }
    let mut sides: Vec<Vec<Render>> = (0..=peers.len()).map(|_| Vec::new()).collect();
    for seed in 0..TURNS {
        sides[0].push(own(seed, samples)?);
        for (peer, renders) in peers.iter_mut().zip(&mut sides[1..]) {
            renders.push(peer.render(seed, samples)?);
        }
    }
    let taken = f64::from(size) * f64::from(size) * f64::from(samples);
    let ours = Figures::of(&sides[0][1..], &own(TURNS, samples * CONVERGED)?, taken);
    let rays = rays as f64 / f64::from(CONVERGED);
    println!("girih:   {ours}, {:.3} million rays per CPU second", rays / ours.cpu / 1e6);
    for (peer, renders) in peers.iter_mut().zip(&sides[1..]) {
        let figures = Figures::of(&renders[1..], &peer.render(TURNS, samples * CONVERGED)?, taken);
        println!("{:8} {figures}", format!("{}:", peer.name));
        println!(
            "         we make {:.2} of its samples per CPU second; {:.2} of its CPU time to equal \
             relMSE; mean brightness {:.3} of its",
            figures.cpu / ours.cpu,
            ours.error * ours.cpu / (figures.error * figures.cpu),
            ours.mean / figures.mean,
        );
    }
    Ok(())
}

/// Takes away what the peers are not told of.
fn strip(scene: &mut Scene) -> anyhow::Result<()> {
    ensure!(scene.lights.is_empty(), "punctual lights are not handed to the peers");
    for material in &mut scene.materials {
        material.base_color_texture = shaders::NONE;
        material.metallic_roughness_texture = shaders::NONE;
        material.normal_texture = shaders::NONE;
        material.emissive_texture = shaders::NONE;
        material.alpha_mode = shaders::ALPHA_OPAQUE;
        material.layers = shaders::NONE;
        // Lamps of one side: Mitsuba has no others, and what hangs close under a ceiling and shines
        // on it too is much noisier.
        if (material.emissive).iter().any(|channel| *channel > 0.0) {
            material.double_sided = 0;
        }
    }
    scene.layers.clear();
    scene.textures.clear();
    Ok(())
}

fn trace(
    stage: &mut Stage,
    pipelines: &mut Pipelines,
    [size, samples, depth]: [u32; 3],
    seed: u32,
) -> anyhow::Result<(Render, u64)> {
    let spec = TileSpec {
        scene: Digest::default(),
        environment: None,
        frame: 0,
        fps: 24,
        frame_width: size,
        frame_height: size,
        x: 0,
        y: 0,
        width: size,
        height: size,
        samples,
        depth,
        seed,
        aovs: 0,
        noise: 0,
        work_per_pixel: 0,
        feed: None,
    };
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let output = draw(stage, pipelines, &spec, &|| false)?;
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let words = output.bytes.as_chunks::<4>().0.iter();
    let pixels = words.map(|word| f32::from_le_bytes(*word) / samples as f32).collect();
    let rays = output.leaves.iter().map(|leaf| leaf.units).sum();
    Ok((Render { wall, cpu, pixels }, rays))
}

fn cpu_seconds() -> f64 {
    let own = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    own.tv_sec as f64 + own.tv_nsec as f64 * 1e-9
}

/// Medians of renders with different seeds, and their relative mean squared error against a
/// converged picture of the same renderer.
struct Figures {
    wall: f64,
    cpu: f64,
    samples_per_cpu_second: f64,
    mean: f64,
    error: f64,
}

impl Figures {
    fn of(renders: &[Render], converged: &Render, samples: f64) -> Self {
        let median = |of: &dyn Fn(&Render) -> f64| {
            let mut all: Vec<f64> = renders.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let truth = || converged.pixels.iter().copied().map(f64::from);
        let values = converged.pixels.len() as f64;
        let error = |render: &Render| {
            let pairs = render.pixels.iter().copied().map(f64::from).zip(truth());
            let all = pairs.map(|(x, true_)| (x - true_).powi(2) / (true_ * true_ + DARKEST));
            // The converged picture errs too, as much less as it has samples more.
            all.sum::<f64>() / values / (1.0 + 1.0 / f64::from(CONVERGED))
        };
        let cpu = median(&|render| render.cpu);
        Self {
            wall: median(&|render| render.wall),
            cpu,
            samples_per_cpu_second: samples / cpu,
            mean: truth().sum::<f64>() / values,
            error: median(&error),
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "{:.2} s, {:.2} CPU s, {:.3} million samples per CPU second, relMSE {:.5}",
            self.wall,
            self.cpu,
            self.samples_per_cpu_second / 1e6,
            self.error
        )
    }
}

/// Another renderer, waiting for seeds.
struct Peer {
    name: &'static str,
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
    pixels: PathBuf,
}

impl Peer {
    fn start(name: &'static str, script: &str, folder: &Path) -> anyhow::Result<Self> {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.join(format!("{name}.log")))?)
            .spawn()
            .context("the peers' interpreter, PYTHON")?;
        let answers = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self { name, child, answers, pixels: folder.join(name) })
    }

    fn render(&mut self, seed: u32, samples: u32) -> anyhow::Result<Render> {
        writeln!(self.child.stdin.as_mut().context("no input")?, "{seed} {samples}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let Some((wall, cpu)) = line.trim().split_once(' ') else {
            let log = std::fs::read_to_string(self.pixels.with_extension("log"))?;
            anyhow::bail!("{} stopped: {log}", self.name);
        };
        let bytes = std::fs::read(&self.pixels)?;
        let pixels = bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word));
        Ok(Render { wall: wall.parse()?, cpu: cpu.parse()?, pixels: pixels.collect() })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Err(error) = self.child.wait() {
            eprintln!("{}: {error}", self.name);
        }
    }
}

/// Writes what the peers read: `scene.json`, and for each material `N.bin` with the corners, then
/// the normals, of its triangles (f32, little-endian).
fn write_scene(
    scene: &Scene,
    sky: Option<&Path>,
    folder: &Path,
    [size, depth]: [u32; 2],
) -> anyhow::Result<()> {
    for (at, _) in scene.materials.iter().enumerate() {
        let (mut corners, mut normals) = (Vec::new(), Vec::new());
        for triangle in scene.triangles.iter().filter(|t| t.material as usize == at) {
            let corner = triangle.corner;
            let add = |edge: [f32; 3]| [0, 1, 2].map(|axis| corner[axis] + edge[axis]);
            corners.extend([corner, add(triangle.edge1), add(triangle.edge2)]);
            normals.extend(scene.surfaces[triangle.primitive as usize].normal);
        }
        corners.append(&mut normals);
        std::fs::write(folder.join(format!("{at}.bin")), bytemuck::cast_slice(&corners))?;
    }
    let materials = scene.materials.iter().map(|material| {
        serde_json::json!({
            "base": &material.base_color[..3], "metallic": material.metallic,
            "roughness": material.roughness, "emissive": material.emissive,
        })
    });
    let materials: Vec<_> = materials.collect();
    let camera = &scene.cameras[0];
    let described = serde_json::json!({
        "size": size, "depth": depth, "sky": sky,
        "camera": { "position": camera.position, "forward": camera.forward, "up": camera.up },
        "materials": materials,
    });
    Ok(std::fs::write(folder.join("scene.json"), described.to_string())?)
}
