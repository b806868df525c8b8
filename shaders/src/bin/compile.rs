//! Compiles every shader of `shaders::spirv::SOURCES` with `glslangValidator` and pins its float
//! arithmetic. `cargo run -p shaders` writes `shaders/spirv`; with `--check` it only compares.

use std::path::Path;
use std::process::{Command, ExitCode};

fn compile(root: &Path, source: &str, defines: &[&str]) -> Result<Vec<u8>, String> {
    let output = std::env::temp_dir().join(format!("girih-{}.spv", std::process::id()));
    let run = Command::new("glslangValidator")
        .current_dir(root.join("glsl"))
        .args(["--target-env", "vulkan1.1", "-V", "-I."])
        .args(defines.iter().map(|define| format!("-D{define}")))
        .arg(source)
        .arg("-o")
        .arg(&output)
        .output()
        .map_err(|error| format!("glslangValidator: {error}; install glslang-tools"))?;
    if !run.status.success() {
        return Err(format!("{source}:\n{}", String::from_utf8_lossy(&run.stdout)));
    }
    let bytes = std::fs::read(&output).map_err(|error| format!("{}: {error}", output.display()))?;
    std::fs::remove_file(&output).map_err(|error| format!("{}: {error}", output.display()))?;
    let pinned = shaders::spirv::pinned(&shaders::spirv::words(&bytes))
        .ok_or_else(|| format!("{source}: glslangValidator wrote broken SPIR-V"))?;
    Ok(bytemuck::cast_slice(&pinned).to_vec())
}

fn main() -> ExitCode {
    let check = std::env::args().any(|argument| argument == "--check");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (source, defines, output) in shaders::spirv::SOURCES {
        let path = root.join("spirv").join(output);
        let done = compile(root, source, defines).and_then(|fresh| {
            if std::fs::read(&path).is_ok_and(|old| old == fresh) {
                Ok(())
            } else if check {
                Err(format!("{output} is stale; run `cargo xtask shaders`"))
            } else {
                std::fs::write(&path, fresh).map_err(|error| format!("{output}: {error}"))
            }
        });
        if let Err(text) = done {
            eprintln!("{text}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
