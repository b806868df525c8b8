//! The path tracer's speed beside Mitsuba 3's (`scalar_rgb`), in one run: the same triangles,
//! camera, lights, path length and samples, taking turns. `cargo xtask bench render [SCENE
//! [ENVIRONMENT|- [SIZE [SAMPLES [DEPTH]]]]]`; wants PYTHON, an interpreter with mitsuba and numpy.
//! Textures are left out of the peer's scene, and its materials are its own `principled`.

use anyhow::{Context, ensure};
use farm::digest::Digest;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use worker::engine::TileSpec;
use worker::render::draw;
use worker::render::scene::{Bundle, Scene, View, load};
use worker::render::stage::{Pipelines, Stage};
use worker::vulkan::{Device, devices};

/// Renders of each side; the first of each warms up and is not counted.
const TURNS: u32 = 6;

/// One render: what it took, and its pixels.
struct Render {
    wall: f64,
    cpu: f64,
    pixels: Vec<f32>,
}

fn main() -> anyhow::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let words: Vec<String> = std::env::args().skip(1).collect();
    let own = here.join("tests/data/reference/cornell_box.glb");
    let path = words.first().map_or(own.as_path(), Path::new);
    let sky = words.get(1).filter(|word| *word != "-").map(Path::new);
    let number = |at: usize, or: u32| words.get(at).map_or(Ok(or), |word| word.parse());
    let (size, samples, depth) = (number(2, 256)?, number(3, 16)?, number(4, 6)?);
    let view = View { frame: 0, fps: 24, width: size, height: size, neighbours: false };
    let scene = load(&Bundle::open(path)?, sky, view)?;
    let folder = tempfile::tempdir()?;
    write_scene(&scene, sky, folder.path(), [size, samples, depth])?;
    let mut peer = Peer::start(&here.join("examples/speed_peer.py"), folder.path())?;
    let device = Device::open(devices()?.first().context("no Vulkan device")?.index, None)?;
    println!("{} ({}), {} triangles", device.info().name, device.info().driver, {
        scene.triangles.len()
    });
    let mut stage = Stage::new(&device, &scene)?;
    let mut pipelines = Pipelines::new(&device);
    let (mut ours, mut theirs, mut rays) = (Vec::new(), Vec::new(), 0);
    for seed in 0..TURNS {
        let (render, count) = trace(&mut stage, &mut pipelines, [size, samples, depth], seed)?;
        let other = peer.render(seed)?;
        if seed > 0 {
            rays = count;
            ours.push(render);
            theirs.push(other);
        }
    }
    let taken = f64::from(size) * f64::from(size) * f64::from(samples);
    let (own, other) = (Figures::of(&ours, taken), Figures::of(&theirs, taken));
    println!("girih:   {own}, {:.3} million rays per CPU second", rays as f64 / own.cpu / 1e6);
    println!("mitsuba: {other}");
    println!(
        "ratio:   {:.2} of its samples per CPU second; {:.2} of its time to equal noise; mean \
         brightness {:.3} of its",
        other.cpu / own.cpu,
        own.noise * own.cpu / (other.noise * other.cpu),
        own.mean / other.mean,
    );
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

/// Medians of renders with different seeds, and their noise: the variance between them over the
/// square of the mean.
struct Figures {
    wall: f64,
    cpu: f64,
    samples_per_cpu_second: f64,
    mean: f64,
    noise: f64,
}

impl Figures {
    fn of(renders: &[Render], samples: f64) -> Self {
        let median = |of: fn(&Render) -> f64| {
            let mut all: Vec<f64> = renders.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let values = renders[0].pixels.len();
        let count = renders.len() as f64;
        let (mut mean, mut noise) = (0.0, 0.0);
        for at in 0..values {
            let each = renders.iter().map(|render| f64::from(render.pixels[at]));
            let middle = each.clone().sum::<f64>() / count;
            noise += each.map(|x| (x - middle).powi(2)).sum::<f64>() / (count - 1.0);
            mean += middle;
        }
        let (mean, noise) = (mean / values as f64, noise / values as f64);
        let cpu = median(|render| render.cpu);
        Self {
            wall: median(|render| render.wall),
            cpu,
            samples_per_cpu_second: samples / cpu,
            mean,
            noise: noise / (mean * mean),
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "{:.2} s, {:.2} CPU s, {:.3} million samples per CPU second, noise {:.4}",
            self.wall,
            self.cpu,
            self.samples_per_cpu_second / 1e6,
            self.noise
        )
    }
}

/// The other renderer, waiting for seeds.
struct Peer {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
    pixels: std::path::PathBuf,
}

impl Peer {
    fn start(script: &Path, folder: &Path) -> anyhow::Result<Self> {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let mut child = Command::new(python)
            .arg(script)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the peer's interpreter, PYTHON")?;
        let answers = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self { child, answers, pixels: folder.join("pixels") })
    }

    fn render(&mut self, seed: u32) -> anyhow::Result<Render> {
        writeln!(self.child.stdin.as_mut().context("no input")?, "{seed}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let (wall, cpu) = line.trim().split_once(' ').context("the peer stopped")?;
        let bytes = std::fs::read(&self.pixels)?;
        let pixels = bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word));
        Ok(Render { wall: wall.parse()?, cpu: cpu.parse()?, pixels: pixels.collect() })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Err(error) = self.child.wait() {
            eprintln!("the peer: {error}");
        }
    }
}

/// Writes what the peer reads: `scene.json`, and for each material `N.bin` with the corners, then
/// the normals, of its triangles (f32, little-endian).
fn write_scene(
    scene: &Scene,
    sky: Option<&Path>,
    folder: &Path,
    [size, samples, depth]: [u32; 3],
) -> anyhow::Result<()> {
    ensure!(scene.lights.is_empty(), "punctual lights are not handed to the peer");
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
        "size": size, "samples": samples, "depth": depth, "sky": sky,
        "camera": { "position": camera.position, "forward": camera.forward, "up": camera.up },
        "materials": materials,
    });
    Ok(std::fs::write(folder.join("scene.json"), described.to_string())?)
}
