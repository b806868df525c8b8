//! All automation of this repository: set-up, tests, checks, the demonstration, measurements.
#![forbid(unsafe_code)]

mod bench;
mod ci;
mod demo;
mod run;
mod setup;
mod shader;
mod tidy;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Automation of this repository")]
struct Xtask {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building and testing need, or say the line to type
    Setup,
    /// Three owners render a scene, one of them cheats; the log proves who earned what
    Demo(demo::Demo),
    /// Set up, then run every test
    Test,
    /// Everything that must pass before a change goes in
    Ci,
    /// The house rules that a program can check
    Tidy,
    /// Compile the shaders
    Shaders {
        /// Only say whether the committed SPIR-V is what the sources give
        #[arg(long)]
        check: bool,
    },
    /// Worlds of lost messages, torn disks and liars, each from one seed
    Sim {
        /// Worlds to run
        #[arg(long, default_value_t = 1_000)]
        seeds: u64,
        /// The first seed
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Workers in each world; a few if it is not said
        #[arg(long)]
        agents: Option<u32>,
    },
    /// Measurements, in release
    Bench {
        /// core, dispatch, exactness, fidelity, onnx, recovery, render or trust
        name: String,
        /// Passed on
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Xtask::parse().command {
        Command::Setup => setup::setup(),
        Command::Demo(what) => demo::demo(&what),
        Command::Test => ci::test(),
        Command::Ci => ci::ci(),
        Command::Tidy => tidy::tidy(),
        Command::Shaders { check } => shader::shaders(check),
        Command::Sim { seeds, from, agents } => bench::sim(seeds, from, agents),
        Command::Bench { name, rest } => bench::bench(&name, &rest),
    }
}
