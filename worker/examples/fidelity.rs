//! How close our pictures come to those of other renderers: renders each scenario of a folder of
//! scenarios (`scenarios.json`, scenes, environments and other renderers' pictures) at its camera,
//! and compares by the metric of Khronos' glTF-Render-Fidelity project:
//! `cargo xtask bench fidelity DATA OUT [SAMPLES] [WIDTH] [NAME]`.
//! Leaves our pictures in OUT and prints a table; more negative is closer.

use anyhow::Context;
use image::RgbaImage;
use serde_json::Value;
use std::path::{Path, PathBuf};
use worker::asset::Asset;
use worker::engine::TileSpec;
use worker::render::draw;
use worker::render::scene::{Bundle, Emission, Environment, Scene, View, load};
use worker::render::stage::{Pipelines, Stage};
use worker::vulkan::{Device, devices};

/// Longest path, in segments.
const DEPTH: u32 = 16;

/// Premultiplied colour over white and coverage, 0 to 255, rows from the top.
struct Picture {
    width: u32,
    height: u32,
    /// Blended over white.
    colors: Vec<[f64; 3]>,
    coverage: Vec<f64>,
}

/// What we drew, after the filmic curve and before its numbers are encoded for a screen, which
/// renderers do differently.
struct Drawn {
    width: u32,
    height: u32,
    /// Not multiplied by coverage, 0 to 1.
    colors: Vec<[f64; 3]>,
    coverage: Vec<f64>,
}

struct Renderer {
    device: Device,
    pipelines: Pipelines,
    samples: u32,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let data = PathBuf::from(arguments.first().context("where are the scenarios?")?);
    let out = PathBuf::from(arguments.get(1).context("where to put the pictures?")?);
    let number = |at: usize, or: u32| arguments.get(at).map_or(Ok(or), |text| text.parse());
    let (samples, width) = (number(2, 64)?, number(3, 256)?);
    std::fs::create_dir_all(&out)?;
    let text = std::fs::read_to_string(data.join("scenarios.json"))?;
    let scenarios: Value = serde_json::from_str(&text)?;
    let device = Device::open(devices()?.first().context("no Vulkan device")?.index, None)?;
    let mut renderer = Renderer { pipelines: Pipelines::new(&device), device, samples };
    println!("scenario | recommended | ours dB | at most | median of others | to all");
    for scenario in scenarios["scenarios"].as_array().context("no scenarios")? {
        let name = scenario["name"].as_str().context("a scenario has no name")?;
        if arguments.get(4).is_some_and(|wanted| !name.contains(wanted.as_str())) {
            continue;
        }
        match judge(&mut renderer, &data, &out, scenario, width) {
            Ok(line) => println!("{name} | {line}"),
            Err(error) => println!("{name} | {error:#}"),
        }
    }
    Ok(())
}

/// One row of the table.
fn judge(
    renderer: &mut Renderer,
    data: &Path,
    out: &Path,
    scenario: &Value,
    width: u32,
) -> anyhow::Result<String> {
    let ours = renderer.picture(data, scenario, width)?;
    let name = scenario["name"].as_str().unwrap_or("scenario");
    let best = scenario["recommended_golden"].as_str().context("no golden")?;
    ours.encoded_as(best).save(&out.join(name).with_extension("png"))?;
    let goldens = scenario["goldens"].as_object().context("no goldens")?;
    let mut pictures = Vec::new();
    for (golden, path) in goldens {
        let path = data.join(path.as_str().context("a golden has no file")?);
        pictures.push((golden.as_str(), Picture::read(&path, ours.width, ours.height)?));
    }
    let find = |wanted: &str| pictures.iter().find(|(golden, _)| *golden == wanted);
    let (_, truth) = find(best).context("the recommended golden is not there")?;
    let mut others: Vec<f64> = (pictures.iter())
        .filter(|(golden, _)| *golden != best)
        .map(|(_, picture)| picture.decibels_to(truth))
        .collect();
    others.sort_by(f64::total_cmp);
    let all: Vec<String> = (pictures.iter())
        .map(|(golden, picture)| {
            format!("{golden} {:.1}", ours.encoded_as(golden).decibels_to(picture))
        })
        .collect();
    let limit = scenario["recommended_max_dB"].as_f64().map_or("none".into(), |x| format!("{x}"));
    Ok(format!(
        "{best} | {:.2} | {limit} | {:.2} | {}",
        ours.encoded_as(best).decibels_to(truth),
        others[others.len() / 2],
        all.join(", ")
    ))
}

impl Renderer {
    /// The scenario as its goldens are shown: tone-mapped, its background left out unless it asks.
    fn picture(&mut self, data: &Path, scenario: &Value, width: u32) -> anyhow::Result<Drawn> {
        let golden = numbers::<2>(&scenario["golden_size"])?;
        let height = (f64::from(width) * golden[1] / golden[0]).round() as u32;
        let path = |key: &str| scenario[key].as_str().map(|path| data.join(path));
        let bundle = Bundle::open(&path("scene").context("no scene")?)?;
        let view = View { frame: 0, fps: 24, width, height, neighbours: false };
        let mut scene = load(&bundle, path("env").map(Asset::from).as_ref(), view)?;
        scene.notes.iter().for_each(|note| eprintln!("note: {note}"));
        scene.cameras = vec![orbit(scenario, f64::from(width) / f64::from(height))?];
        let whole = self.render(&scene, width, height, DEPTH)?;
        let skybox = scenario["render_skybox"].as_bool().unwrap_or(false);
        let (behind, free) = if skybox {
            (vec![[0.0; 3]; whole.len()], vec![[0.0; 3]; whole.len()])
        } else {
            // Without lights, paths of one segment bring what is seen past everything.
            scene.lights.clear();
            scene.emission = Emission::default();
            scene.materials.iter_mut().for_each(|material| material.emissive = [0.0; 3]);
            scene.layers.clear();
            scene.materials.iter_mut().for_each(|material| material.layers = shaders::NONE);
            let behind = self.render(&scene, width, height, 1)?;
            scene.environment = Environment::constant([1.0; 3]);
            (behind, self.render(&scene, width, height, 1)?)
        };
        let coverage: Vec<f64> = free.iter().map(|free| (1.0 - free[0]).clamp(0.0, 1.0)).collect();
        let colors = (0..whole.len()).map(|at| {
            let alpha = coverage[at];
            let own = |c: usize| (whole[at][c] - behind[at][c]).max(0.0) / alpha.max(1e-6);
            filmic([own(0), own(1), own(2)])
        });
        Ok(Drawn { width, height, colors: colors.collect(), coverage: coverage.clone() })
    }

    /// Mean radiance of each pixel.
    fn render(
        &mut self,
        scene: &Scene,
        width: u32,
        height: u32,
        depth: u32,
    ) -> anyhow::Result<Vec<[f64; 3]>> {
        let spec = TileSpec {
            scene: farm::digest::Digest::default(),
            environment: None,
            frame: 0,
            fps: 24,
            frame_width: width,
            frame_height: height,
            x: 0,
            y: 0,
            width,
            height,
            samples: self.samples,
            depth,
            seed: 1,
            aovs: 0,
            noise: 0,
            work_per_pixel: 0,
            feed: None,
        };
        let mut stage = Stage::new(&self.device, scene)?;
        let output = draw(&mut stage, &mut self.pipelines, &spec, &|| false)?;
        let (words, _) = output.bytes.as_chunks::<4>();
        let values: Vec<f64> =
            words.iter().map(|word| f64::from(f32::from_le_bytes(*word))).collect();
        let (pixels, _) = values.as_chunks::<3>();
        Ok(pixels.iter().map(|sums| sums.map(|sum| sum / f64::from(self.samples))).collect())
    }
}

fn numbers<const N: usize>(value: &Value) -> anyhow::Result<[f64; N]> {
    let list = value.as_array().context("a list of numbers is missing")?;
    let numbers: Vec<f64> = list.iter().filter_map(Value::as_f64).collect();
    numbers.try_into().ok().context("a list of numbers has another length")
}

/// The scenario's camera: on a sphere around its target, upright.
fn orbit(scenario: &Value, aspect: f64) -> anyhow::Result<shaders::Camera> {
    let place = &scenario["orbit_deg"];
    let angle = |key: &str| place[key].as_f64().map(f64::to_radians).context("no orbit");
    let (theta, phi) = (angle("theta")?, angle("phi")?);
    let radius = place["radius"].as_f64().context("no radius")?;
    let back = [phi.sin() * theta.sin(), phi.cos(), phi.sin() * theta.cos()];
    let target = numbers::<3>(&scenario["target"])?;
    let right = [theta.cos(), 0.0, -theta.sin()];
    let up = [-phi.cos() * theta.sin(), phi.sin(), -phi.cos() * theta.cos()];
    let field = scenario["vfov_deg"].as_f64().context("no field of view")?.to_radians();
    let half = (field / 2.0).tan();
    let single = |v: [f64; 3], by: f64| v.map(|c| (c * by) as f32);
    Ok(shaders::Camera {
        position: [0, 1, 2].map(|axis| (target[axis] + radius * back[axis]) as f32),
        forward: single(back, -1.0),
        right: single(right, half * aspect),
        up: single(up, half),
        ..bytemuck::Zeroable::zeroed()
    })
}

/// The filmic curve of ACES as three.js has it (Stephen Hill's fit); 0 to 1.
fn filmic(color: [f64; 3]) -> [f64; 3] {
    let times =
        |m: [[f64; 3]; 3], v: [f64; 3]| m.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2]);
    let into =
        [[0.59719, 0.35458, 0.04823], [0.07600, 0.90834, 0.01566], [0.02840, 0.13383, 0.83777]];
    let out = [
        [1.60475, -0.53108, -0.07367],
        [-0.10208, 1.10813, -0.00605],
        [-0.00327, -0.07276, 1.07602],
    ];
    let fitted = times(into, color.map(|c| c / 0.6))
        .map(|v| (v * (v + 0.0245786) - 0.000090537) / (v * (0.983729 * v + 0.4329510) + 0.238081));
    times(out, fitted).map(|c| c.clamp(0.0, 1.0))
}

impl Drawn {
    /// Over white, its numbers as this renderer's pictures have them: Blender's have gamma 2.2, the
    /// others IEC 61966-2-1.
    fn encoded_as(&self, renderer: &str) -> Picture {
        let encode = |c: f64| match renderer {
            "blender-cycles" => c.powf(1.0 / 2.2),
            _ if c <= 0.0031308 => c * 12.92,
            _ => 1.055 * c.powf(1.0 / 2.4) - 0.055,
        };
        let over = |(color, alpha): (&[f64; 3], &f64)| {
            color.map(|c| 255.0 + (255.0 * encode(c) - 255.0) * alpha)
        };
        Picture {
            width: self.width,
            height: self.height,
            colors: self.colors.iter().zip(&self.coverage).map(over).collect(),
            coverage: self.coverage.clone(),
        }
    }
}

impl Picture {
    /// Another renderer's picture, made smaller by means over areas.
    fn read(path: &Path, width: u32, height: u32) -> anyhow::Result<Self> {
        let image = image::open(path).with_context(|| path.display().to_string())?.to_rgba8();
        let mut picture = Self { width, height, colors: Vec::new(), coverage: Vec::new() };
        for y in 0..height {
            for x in 0..width {
                let mean = area_mean(&image, (x, width), (y, height));
                let alpha = mean[3] / 255.0;
                picture.colors.push([0, 1, 2].map(|c| mean[c] + 255.0 * (1.0 - alpha)));
                picture.coverage.push(alpha);
            }
        }
        Ok(picture)
    }

    fn save(&self, path: &Path) -> anyhow::Result<()> {
        let bytes = self.colors.iter().flatten().map(|c| (c + 0.5) as u8).collect();
        let image = image::RgbImage::from_raw(self.width, self.height, bytes);
        Ok(image.context("the picture has no size")?.save(path)?)
    }

    /// Root of the mean square of YIQ differences where this picture has something.
    fn decibels_to(&self, other: &Self) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for (at, (a, b)) in self.colors.iter().zip(&other.colors).enumerate() {
            if self.coverage[at] <= 0.0 {
                continue;
            }
            let d = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
            let row = |r: f64, g: f64, b: f64| r * d[0] + g * d[1] + b * d[2];
            let y = row(0.29889531, 0.58662247, 0.11448223);
            let i = row(0.59597799, -0.27417610, -0.32180189);
            let q = row(0.21147017, -0.52261711, 0.31114694);
            let difference: f64 = 0.5053 * y * y + 0.299 * i * i + 0.1957 * q * q;
            sum += difference * difference;
            count += 1.0;
        }
        10.0 * ((sum / f64::max(count, 1.0)).sqrt() / 35215.0).max(1e-12).log10()
    }
}

/// Mean of the premultiplied pixels under a pixel of a smaller picture.
fn area_mean(image: &RgbaImage, (x, width): (u32, u32), (y, height): (u32, u32)) -> [f64; 4] {
    let run = |at: u32, of: u32, whole: u32| {
        let first = u64::from(at) * u64::from(whole) / u64::from(of);
        let end = (u64::from(at) + 1) * u64::from(whole) / u64::from(of);
        first as u32..end.max(first + 1) as u32
    };
    let (mut sums, mut count) = ([0.0; 4], 0.0);
    for row in run(y, height, image.height()) {
        for column in run(x, width, image.width()) {
            let [r, g, b, a] = image.get_pixel(column, row).0.map(f64::from);
            let alpha = a / 255.0;
            for (sum, value) in sums.iter_mut().zip([r * alpha, g * alpha, b * alpha, a]) {
                *sum += value;
            }
            count += 1.0;
        }
    }
    sums.map(|sum| sum / count)
}
