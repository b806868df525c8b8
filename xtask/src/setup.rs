//! What the machine needs beyond Rust: a C compiler, a Vulkan loader, two Vulkan drivers that need
//! no GPU, a shader compiler. Installs them where it may, otherwise says the exact line.

use crate::run::{exists, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A thing needed, and the package that has it on each family of systems.
struct Need {
    what: &'static str,
    here: fn() -> bool,
    debian: &'static str,
    fedora: &'static str,
    arch: &'static str,
    /// Without it some tests say that they were skipped; nothing else breaks.
    optional: bool,
}

const NEEDS: [Need; 5] = [
    Need {
        what: "a C compiler",
        here: || exists("cc", "--version"),
        debian: "gcc libc6-dev",
        fedora: "gcc",
        arch: "gcc",
        optional: false,
    },
    Need {
        what: "the Vulkan loader",
        here: || library("libvulkan.so.1").is_some(),
        debian: "libvulkan1",
        fedora: "vulkan-loader",
        arch: "vulkan-icd-loader",
        optional: false,
    },
    Need {
        what: "a Vulkan driver (lavapipe needs no GPU)",
        here: || !drivers().is_empty(),
        debian: "mesa-vulkan-drivers",
        fedora: "mesa-vulkan-drivers",
        arch: "vulkan-swrast",
        optional: false,
    },
    Need {
        what: "the shader compiler (for checking that the committed shaders are fresh)",
        here: || exists("glslangValidator", "--version"),
        debian: "glslang-tools",
        fedora: "glslang",
        arch: "glslang",
        optional: true,
    },
    Need {
        what: "SwiftShader, a second Vulkan driver (for the tests of exactness)",
        here: || swiftshader().is_some(),
        debian: "chromium",
        fedora: "chromium",
        arch: "chromium",
        optional: true,
    },
];

/// Installs what is missing for everything, or stops with the line to type.
pub fn setup() -> anyhow::Result<()> {
    provide(NEEDS.iter().collect())
}

/// Installs what is missing for building and running a farm, or stops with the line to type.
pub fn setup_to_run() -> anyhow::Result<()> {
    provide(NEEDS.iter().filter(|need| !need.optional).collect())
}

fn provide(needs: Vec<&'static Need>) -> anyhow::Result<()> {
    let missing: Vec<&Need> = needs.into_iter().filter(|need| !(need.here)()).collect();
    if missing.is_empty() {
        eprintln!("setup: everything is here");
        return Ok(());
    }
    for need in &missing {
        eprintln!("setup: missing {}", need.what);
    }
    if let Err(error) = install(&missing) {
        eprintln!("setup: {error:#}");
    }
    let still: Vec<&Need> = missing.into_iter().filter(|need| !(need.here)()).collect();
    let (optional, needed): (Vec<&Need>, Vec<&Need>) =
        still.into_iter().partition(|need| need.optional);
    for need in optional {
        eprintln!("setup: going on without {}; to have it, type one of these:", need.what);
        eprintln!("{}", lines(&[need]));
    }
    anyhow::ensure!(
        needed.is_empty(),
        "some system packages are missing; type one of these, then try again:\n{}",
        lines(&needed)
    );
    Ok(())
}

/// What to type on each family of systems.
fn lines(needs: &[&Need]) -> String {
    let all = |package: fn(&Need) -> &'static str| {
        needs.iter().map(|need| package(need)).collect::<Vec<_>>().join(" ")
    };
    format!(
        "  Debian, Ubuntu: sudo apt-get install {}\n  Fedora: sudo dnf install {}\n  \
         Arch: sudo pacman -S {}",
        all(|need| need.debian),
        all(|need| need.fedora),
        all(|need| need.arch)
    )
}

/// With apt, as root or through a sudo that asks nothing. One package at a time where all at once
/// fails, so that an optional one does not keep the others away.
fn install(missing: &[&Need]) -> anyhow::Result<()> {
    if !exists("apt-get", "--version") {
        return Ok(());
    }
    let root = is_root();
    if !root && !exists("sudo", "-nv") {
        anyhow::bail!("installing packages needs root, and sudo would ask for a password");
    }
    let apt = |words: &[&str]| {
        let mut command = if root {
            Command::new("env")
        } else {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "env"]);
            sudo
        };
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]);
        run(command.args(words).stdout(std::process::Stdio::null()))
    };
    apt(&["update"])?;
    for need in missing {
        let mut words = vec!["install", "-y", "--no-install-recommends"];
        words.extend(need.debian.split(' '));
        if let Err(error) = apt(&words) {
            eprintln!("setup: {error:#}");
        }
    }
    Ok(())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.starts_with(b"0\n"))
}

fn library(name: &str) -> Option<PathBuf> {
    let mut places: Vec<PathBuf> =
        ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib"].map(PathBuf::from).to_vec();
    places.push(format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH).into());
    if let Some(more) = std::env::var_os("LD_LIBRARY_PATH") {
        places.extend(std::env::split_paths(&more));
    }
    places.into_iter().map(|place| place.join(name)).find(|path| path.exists())
}

fn drivers() -> Vec<PathBuf> {
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].iter().find_map(std::env::var_os);
    if let Some(list) = named {
        return std::env::split_paths(&list).filter(|path| path.exists()).collect();
    }
    let places = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let files = places.iter().filter_map(|place| std::fs::read_dir(place).ok()).flatten();
    files.flatten().map(|file| file.path()).collect()
}

/// The driver manifest of SwiftShader.
pub fn swiftshader() -> Option<PathBuf> {
    let places = ["/usr/lib/chromium", "/usr/lib64/chromium-browser", "/usr/lib64/chromium"];
    let files = places.iter().map(|place| Path::new(place).join("vk_swiftshader_icd.json"));
    files.into_iter().find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_the_line_for_each_system() {
        let all: Vec<&Need> = NEEDS.iter().collect();
        let text = lines(&all);
        for wanted in ["apt-get install gcc libc6-dev libvulkan1", "dnf install", "pacman -S gcc"] {
            assert!(text.contains(wanted), "{text}");
        }
    }
}
