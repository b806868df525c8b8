//! Compiles the protos without protoc and keeps the descriptor set for reflection.

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "girih/v1/jobs.proto",
        "girih/v1/assets.proto",
        "girih/v1/workers.proto",
        "girih/v1/accounts.proto",
        "girih/v1/validators.proto",
        "girih/v1/models.proto",
        "journal/v1/journal.proto",
    ];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let set = protox::compile(files, ["."])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), set.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").compile_fds(set)?;
    Ok(())
}
