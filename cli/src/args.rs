//! The command line. Parses; does nothing.

mod log;
mod model;

pub use model::{Model, Publish};

use crate::config::Access;
use crate::output::Form;
use clap::{Args, Parser, Subcommand, ValueEnum};
use farm::money::CREDIT;
use proto::aov::Aov;
use std::path::PathBuf;
use worker::infer::color::Color;

pub use log::{Log, Validate, Verify, Witness};

/// A render farm of machines that do not trust each other: the same tile has the same bits on
/// every GPU.
#[derive(Debug, Parser)]
#[command(name = "girih", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub access: Access,
    /// Form of the output
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    pub output: Form,
}

const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 error, 2 usage, 3 no Vulkan device, 4 the job failed, was cancelled or ran out
of budget, 5 verify found a breach, 6 the farm cannot be reached, 7 the farm refused, 8 the scene
or another input file is not usable.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// A private farm in one command: a scheduler, and a worker on every local device
    Up(Up),
    /// The scheduler alone
    Scheduler(Scheduler),
    /// A worker on this machine's devices
    Worker(Worker),
    /// What frames of a scene would cost, and how long they would take
    Quote(Quote),
    /// Order frames of a scene
    Submit(Submit),
    /// Order a network over images: upscaling, denoising, style
    Infer(Infer),
    /// Networks that their owners publish for a royalty
    #[command(subcommand)]
    Model(Model),
    /// Follow a job until it ends
    Watch { job: u64 },
    /// The account's jobs, newest first
    Jobs {
        /// At most so many
        #[arg(long, default_value_t = 50)]
        most: u32,
    },
    /// Bring a job's finished frames here
    Fetch {
        job: u64,
        /// Folder for the images
        #[arg(long, default_value = ".", value_name = "DIR")]
        out: PathBuf,
    },
    /// End a job; what is not earned returns to the account
    Cancel { job: u64 },
    /// The account's money
    Balance,
    /// The transfers that touched the account, newest first
    Statement {
        /// At most so many
        #[arg(long, default_value_t = 50)]
        most: u32,
    },
    /// Why a tile is where it is: explain JOB TILE; or why a worker has what it has: explain
    /// worker ID
    Explain {
        /// A job, or the word `worker`
        #[arg(value_name = "JOB|worker")]
        what: String,
        /// A tile of the job, or the worker's id
        #[arg(value_name = "TILE|ID")]
        number: u64,
    },
    /// Have an arbiter of the farm decide again: appeal JOB TILE, a tile that you doubt; or appeal
    /// worker ID, a worker of yours that was refuted. Whoever is wrong pays for it
    Appeal {
        /// A job, or the word `worker`
        #[arg(value_name = "JOB|worker")]
        what: String,
        /// A tile of the job, or the worker's id
        #[arg(value_name = "TILE|ID")]
        number: u64,
    },
    /// Put credits behind a worker of yours, so that it gets more leases as a newcomer; they are
    /// lost if it is found lying
    Stake {
        /// The worker's id
        worker: u64,
        /// Credits, besides what is staked already
        #[arg(value_parser = credits, allow_negative_numbers = true)]
        credits: u64,
        /// A UUID: the same one never stakes twice
        #[arg(long, value_name = "UUID")]
        request_id: Option<String>,
    },
    /// Take a worker's stake back, once nothing that it said can turn out false any more
    Unstake {
        /// The worker's id
        worker: u64,
    },
    /// Put down credits to be a validator of workers
    Bond {
        /// Credits, besides what is put down already; 10 or more the first time
        #[arg(value_parser = credits, allow_negative_numbers = true)]
        credits: u64,
        /// A UUID: the same one never puts down twice
        #[arg(long, value_name = "UUID")]
        request_id: Option<String>,
    },
    /// Take them back, and be none any more
    Unbond,
    /// The round of scores, and who scores
    Validators,
    /// Score workers as a validator: follow the log, commit to a ballot each round, reveal the last
    Validate(Validate),
    /// The account's workers
    Workers {
        /// Those of every owner (operators only)
        #[arg(long)]
        all: bool,
    },
    /// Check the farm's public log, and every balance, without the farm's help
    Verify(Verify),
    /// Sign a farm's log beside the farm, and refuse to if it ever contradicts itself
    Witness(Witness),
    /// What is wrong here, and how to mend it
    Doctor(Doctor),
    /// Accounts and their keys
    #[command(subcommand)]
    Account(Account),
}

#[derive(Debug, Args)]
pub struct Up {
    /// Everything the farm must remember [default: ~/.local/share/girih/up]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7447", value_name = "ADDRESS")]
    pub listen: std::net::SocketAddr,
    /// Write the address to this file once it listens
    #[arg(long, value_name = "FILE")]
    pub address_file: Option<PathBuf>,
    /// Credits in the new account
    #[arg(long, default_value = "1000", value_parser = credits, value_name = "CREDITS")]
    pub credits: u64,
    /// Keep the client configuration file as it is
    #[arg(long)]
    pub no_config: bool,
    #[command(flatten)]
    pub devices: Devices,
}

#[derive(Debug, Args)]
pub struct Scheduler {
    /// Everything the farm must remember
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:7447]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<std::net::SocketAddr>,
    /// Write the address to this file once it listens
    #[arg(long, value_name = "FILE")]
    pub address_file: Option<PathBuf>,
    /// TLS certificate chain (PEM); without it, one of its own off loopback addresses
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// TLS private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Micro-credits for a million rays
    #[arg(long, value_name = "PRICE")]
    pub price: Option<u64>,
    /// Name of the farm in its public log
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
    /// A TOML file with these and more settings
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// End when the process that started this one ends
    #[arg(long, hide = true)]
    pub with_parent: bool,
}

#[derive(Debug, Args)]
pub struct Devices {
    /// A device by index or part of its name; may be repeated [default: every GPU]
    #[arg(long = "device", value_name = "DEVICE")]
    pub devices: Vec<String>,
    /// Bytes that cached assets may take: 500M, 20G
    #[arg(long, default_value = "20G", value_parser = bytes, value_name = "BYTES")]
    pub cache: u64,
}

#[derive(Debug, Args)]
pub struct Worker {
    /// Key, results and cache [default: ~/.local/share/girih/worker]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub devices: Devices,
    /// End when the process that started this one ends
    #[arg(long, hide = true)]
    pub with_parent: bool,
    #[arg(long, hide = true, value_enum, default_value_t)]
    pub engine: EngineName,
    #[arg(long, hide = true, value_name = "KIND")]
    pub cheat: Option<String>,
}

/// Engines by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    #[default]
    Render,
    Null,
}

/// What is to be drawn, and how.
#[derive(Debug, Args)]
pub struct Shot {
    /// A .gltf or .glb file
    pub scene: PathBuf,
    /// Frames: 7, 1-48, or every second one 1-48x2
    #[arg(long, default_value = "1", value_parser = frames, value_name = "FRAMES")]
    pub frames: Frames,
    /// Size of a frame in pixels
    #[arg(long, default_value = "1920x1080", value_parser = size, value_name = "SIZE")]
    pub size: (u32, u32),
    /// Samples per pixel: a multiple of 4; with --noise the most of them
    #[arg(long, default_value_t = 64, value_name = "COUNT")]
    pub samples: u32,
    /// Adaptive sampling: the noise at which pixels get no more samples, on the scale of Blender's
    /// noise threshold, such as 0.01 [default: every pixel gets all samples]
    #[arg(long, value_parser = noise, value_name = "THRESHOLD")]
    pub noise: Option<u32>,
    /// Light from all around: a .hdr or .exr file
    #[arg(long, value_name = "FILE")]
    pub env: Option<PathBuf>,
    /// Render layers in the frames' OpenEXR files, exact too: albedo,normal,depth,object-id,
    /// material-id,motion,samples
    #[arg(long = "aov", value_delimiter = ',', value_parser = aov, value_name = "NAMES")]
    pub aovs: Vec<Aov>,
    #[command(flatten)]
    pub draw: SceneSettings,
    /// `auto`: a few pixels are tried here, and frames are cut into tiles that all take about as
    /// long. Else the side of each tile in pixels, a multiple of 8. No pixel depends on it
    /// [default: auto if the job is large, else 64]
    #[arg(long, value_parser = tile_size, value_name = "auto|PIXELS")]
    pub tile_size: Option<TileSize>,
    /// Longest path in segments
    #[arg(long, default_value_t = 8, value_name = "COUNT")]
    pub depth: u32,
    #[arg(long, default_value_t = 0)]
    pub seed: u32,
    #[arg(long, default_value_t = 24)]
    pub fps: u32,
    /// Only on workers of this account
    #[arg(long)]
    pub private: bool,
    /// Denoise the frames with Open Image Denoise's network, tile by tile as they are proven; their
    /// albedo and normals are rendered for it
    #[arg(long)]
    pub denoise: bool,
    /// Make the frames, denoised or not, so many times as large: 2
    #[arg(long, value_parser = upscale, value_name = "TIMES")]
    pub upscale: Option<u32>,
}

#[derive(Debug, Args)]
pub struct Quote {
    #[command(flatten)]
    pub shot: Shot,
    /// The local device to try a few pixels on, by index or part of its name [default: the first
    /// GPU]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
}

#[derive(Debug, Args)]
pub struct Submit {
    #[command(flatten)]
    pub shot: Shot,
    /// The most this job may cost, in credits; held at once, the rest returns
    #[arg(long, value_parser = credits, value_name = "CREDITS", allow_negative_numbers = true)]
    pub max_spend: u64,
    /// 0..=9, higher first
    #[arg(long, default_value_t = 0)]
    pub priority: u32,
    /// Audit this account's own workers too
    #[arg(long)]
    pub audit_own: bool,
    /// Stay until the job ends, then fetch its frames
    #[arg(long)]
    pub wait: bool,
    /// Folder for the frames
    #[arg(long, default_value = ".", value_name = "DIR", requires = "wait")]
    pub out: PathBuf,
    /// A UUID: the same one never orders twice
    #[arg(long, value_name = "UUID")]
    pub request_id: Option<String>,
    /// Send the assets as they are: farm and workers keep them unencrypted
    #[arg(long)]
    pub unsealed: bool,
    /// Frames carry a mark until their pay is final
    #[arg(long)]
    pub watermark: bool,
}

/// A network over images.
#[derive(Clone, Debug, Args)]
pub struct Infer {
    /// The model: an ONNX file, or a published one as model:NAME or model:ID, whose owner gets a
    /// royalty
    pub model: PathBuf,
    /// Images (PNG, JPEG, OpenEXR), as files or a pattern like 'frames/*.png', one frame each, or
    /// batches of them (.npy, .npz, .safetensors); those of a named input as
    /// 'albedo=albedo/*.exr'
    #[arg(long, required = true, num_args = 1.., value_name = "[NAME=]FILES")]
    pub input: Vec<String>,
    /// What the network's numbers mean: srgb (0 to 1), srgb255, linear, pu (HDR networks of Open
    /// Image Denoise), normal [default: srgb; of tensors with floats linear, that is as they are]
    #[arg(long, value_name = "COLOR")]
    pub color: Option<Color>,
    /// The same of its output [default: that of the first input]
    #[arg(long, value_name = "COLOR")]
    pub output_color: Option<Color>,
    /// Side of a tile of the output in pixels: a multiple of 16 [default: what wastes little]
    #[arg(long, value_name = "PIXELS")]
    pub tile_size: Option<u32>,
    /// The most this job may cost, in credits; held at once, the rest returns. Without it only the
    /// price is said
    #[arg(long, value_parser = credits, value_name = "CREDITS", allow_negative_numbers = true)]
    pub max_spend: Option<u64>,
    /// 0..=9, higher first
    #[arg(long, default_value_t = 0)]
    pub priority: u32,
    /// Only on workers of this account
    #[arg(long)]
    pub private: bool,
    /// Audit this account's own workers too
    #[arg(long)]
    pub audit_own: bool,
    /// Stay until the job ends, then fetch its frames
    #[arg(long, requires = "max_spend")]
    pub wait: bool,
    /// Folder for the frames
    #[arg(long, default_value = ".", value_name = "DIR", requires = "wait")]
    pub out: PathBuf,
    /// A UUID: the same one never orders twice
    #[arg(long, value_name = "UUID")]
    pub request_id: Option<String>,
    /// Send the assets as they are: farm and workers keep them unencrypted
    #[arg(long)]
    pub unsealed: bool,
    /// Frames carry a mark until their pay is final
    #[arg(long)]
    pub watermark: bool,
}

/// Which parts of a scene file are drawn, by their names or numbers, and what its numbers mean.
#[derive(Debug, Default, Args)]
pub struct SceneSettings {
    /// What candela and lux of the file's lights are [default: lumens for Blender's files]
    #[arg(long, value_name = "UNIT")]
    pub light_unit: Option<LightUnitName>,
    /// The material variant that is drawn [default: the file's own materials]
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// The only clip that plays [default: all of them together]
    #[arg(long, value_name = "NAME")]
    pub clip: Option<String>,
    /// The camera, or the node that carries it [default: the first of the scene]
    #[arg(long, value_name = "NAME")]
    pub camera: Option<String>,
    /// The scene of the file [default: the one that the file names]
    #[arg(long = "scene-name", value_name = "NAME")]
    pub scene_name: Option<String>,
    /// Depth of field: the lens's f-number before a full-frame sensor [default: all is sharp]
    #[arg(long, value_name = "NUMBER", requires = "focus")]
    pub f_stop: Option<f32>,
    /// How far ahead of the camera the picture is sharp, with --f-stop
    #[arg(long, value_name = "METRES", requires = "f_stop")]
    pub focus: Option<f32>,
    /// The most radiance one path may bring over several surfaces: less noise, and less light
    /// [default: no limit]
    #[arg(long, value_name = "RADIANCE")]
    pub clamp: Option<f32>,
    /// Motion blur: how long the shutter is open, in frames, half of it before the frame's moment;
    /// 0.5 is a film camera's [default: nothing moves meanwhile]
    #[arg(long, value_name = "FRAMES")]
    pub shutter: Option<f32>,
    /// Straight pieces that motion is made of while the shutter is open [default: 2]
    #[arg(long, value_name = "COUNT", requires = "shutter")]
    pub motion_steps: Option<u32>,
}

/// Units of light.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LightUnitName {
    /// W/sr and W/m² under photometric names
    Watts,
    /// Divided by 683 lm/W
    Lumens,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Only this machine, not the farm
    #[arg(long)]
    pub local: bool,
    /// The worker's folder [default: ~/.local/share/girih/worker]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Account {
    /// A new account; its key is shown once (operators only)
    Create {
        name: String,
        /// May create accounts and top up
        #[arg(long)]
        operator: bool,
    },
    /// The account of the key
    Show,
    /// Credits bought outside enter the ledger (operators only)
    TopUp {
        #[arg(value_parser = credits)]
        credits: u64,
        /// [default: the caller's own; 0 is the pot that audits are paid from]
        #[arg(long)]
        account: Option<u64>,
        /// A UUID: the same one never books twice
        #[arg(long, value_name = "UUID")]
        request_id: Option<String>,
    },
}

/// Frames `first, first + step, ...` up to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frames {
    pub first: u32,
    pub last: u32,
    pub step: u32,
}

fn upscale(text: &str) -> Result<u32, String> {
    match text {
        "2" => Ok(2),
        _ => Err("the upscaler makes frames 2 times as large".into()),
    }
}

fn frames(text: &str) -> Result<Frames, String> {
    let wrong = || "frames are like 7, 1-48 or 1-48x2".to_owned();
    let number = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong());
    let (range, step) = match text.split_once('x') {
        Some((range, step)) => (range, number(step)?),
        None => (text, 1),
    };
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(range)?, number(range)?),
    };
    if first > last || step == 0 {
        return Err(wrong());
    }
    Ok(Frames { first, last, step })
}

fn aov(text: &str) -> Result<Aov, String> {
    Aov::ALL.into_iter().find(|aov| aov.name() == text).ok_or_else(|| {
        let names = Aov::ALL.map(Aov::name).join(", ");
        format!("there is no such AOV; there are {names}")
    })
}

/// A noise threshold, as millionths.
fn noise(text: &str) -> Result<u32, String> {
    let millionths = text.parse::<f64>().map(|noise| (noise * 1e6).round());
    let fits = |millionths: &f64| (1.0..=f64::from(farm::limit::NOISE_MAX)).contains(millionths);
    let found = millionths.ok().filter(fits).map(|millionths| millionths as u32);
    found.ok_or_else(|| "a noise threshold is like 0.01: from 0.000001 to 1".to_owned())
}

/// How frames are cut into tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TileSize {
    /// By what their parts cost.
    Auto,
    /// Into a grid of this side in pixels.
    Side(u32),
}

fn tile_size(text: &str) -> Result<TileSize, String> {
    match text.parse() {
        Ok(side) => Ok(TileSize::Side(side)),
        Err(_) if text == "auto" => Ok(TileSize::Auto),
        Err(_) => Err("a tile size is `auto` or a number of pixels like 64".to_owned()),
    }
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(width, height)| {
        Some((width.parse::<u32>().ok()?, height.parse::<u32>().ok()?))
    });
    sides.ok_or_else(|| "a size is like 1920x1080".to_owned())
}

/// Credits with up to six decimals, as micro-credits.
fn credits(text: &str) -> Result<u64, String> {
    let wrong = || "credits are like 5 or 2.50, with at most six decimals".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 6 || !digits(whole) || !digits(part) {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let micro: u64 = format!("{part:0<6}").parse().map_err(|_| wrong())?;
    whole.checked_mul(CREDIT).and_then(|whole| whole.checked_add(micro)).ok_or_else(wrong)
}

fn bytes(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        Some((at, 'T' | 't')) => (&text[..at], 1u64 << 40),
        _ => (text, 1),
    };
    let count = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    count.ok_or_else(|| "bytes are like 500M or 20G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn frames_sizes_credits_and_bytes_are_read() {
        assert_eq!(frames("7"), Ok(Frames { first: 7, last: 7, step: 1 }));
        assert_eq!(frames("1-48x2"), Ok(Frames { first: 1, last: 48, step: 2 }));
        for wrong in ["", "8-1", "1-4x0", "a", "-1", "1-2-3"] {
            assert!(frames(wrong).is_err(), "{wrong}");
        }
        assert_eq!(size("96x64"), Ok((96, 64)));
        assert_eq!(aov("depth"), Ok(Aov::Depth));
        assert!(aov("beauty").is_err_and(|said| said.ends_with("material-id, motion, samples")));
        assert!(size("96").is_err() && size("x").is_err() && size("-1x4").is_err());
        assert_eq!(credits("5"), Ok(5_000_000));
        assert_eq!(credits("0.000001"), Ok(1));
        for wrong in ["", ".5", "-1", "1.0000001", "99999999999999999999", "1e3"] {
            assert!(credits(wrong).is_err(), "{wrong}");
        }
        assert_eq!(bytes("20G"), Ok(20 << 30));
        assert_eq!(bytes("17"), Ok(17));
        assert!(bytes("G").is_err() && bytes("99999999999T").is_err());
    }
}
