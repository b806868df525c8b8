//! The one program: `girih`.
#![forbid(unsafe_code)]

mod args;
mod chain;
mod config;
mod cut;
mod doctor;
mod exit;
mod facts;
mod fetch;
mod infer;
mod jobs;
mod local;
mod model;
mod money;
mod output;
mod parcel;
mod quote;
mod submit;
mod tried;
mod validate;
mod verify;
mod witness;

use args::{Cli, Command};
use clap::Parser;
use exit::Exit;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            return ExitCode::from(exit as u8);
        }
    };
    start_tracing();
    worker::channel::install_provider();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let outcome = runtime.block_on(run(cli));
    runtime.shutdown_background();
    match outcome {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    if exit::is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(std::io::stderr().lock(), "girih: {}", exit::sentence(error));
    ExitCode::from(exit::code(error) as u8)
}

/// Logs go to standard error; `GIRIH_LOG` chooses what.
fn start_tracing() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("GIRIH_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour && terminal)
        .with_target(false);
    subscriber.init();
}

async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let (access, form) = (&cli.access, cli.output);
    match cli.command {
        Command::Up(what) => local::up(access, form, what).await,
        Command::Scheduler(what) => local::scheduler(form, what).await,
        Command::Worker(what) => local::worker(access, what).await,
        Command::Quote(what) => quote::run(access, form, what).await,
        Command::Submit(what) => submit::run(access, form, what).await,
        Command::Infer(what) => infer::run(access, form, what).await,
        Command::Model(what) => model::run(access, form, what).await,
        Command::Watch { job } => jobs::watch(access, form, job).await,
        Command::Jobs { most } => jobs::list(access, form, most).await,
        Command::Fetch { job, out } => fetch::run(access, form, job, &out).await,
        Command::Cancel { job } => jobs::cancel(access, form, job).await,
        Command::Balance => money::balance(access, form).await,
        Command::Statement { most } => money::statement(access, form, most).await,
        Command::Explain { what, number } => jobs::explain(access, form, &what, number).await,
        Command::Appeal { what, number } => jobs::appeal(access, form, &what, number).await,
        Command::Stake { worker, credits, request_id } => {
            money::stake(access, form, worker, credits, request_id).await
        }
        Command::Unstake { worker } => money::unstake(access, form, worker).await,
        Command::Bond { credits, request_id } => {
            validate::bond(access, form, credits, request_id).await
        }
        Command::Unbond => validate::unbond(access, form).await,
        Command::Validators => validate::validators(access, form).await,
        Command::Validate(what) => validate::run(access, form, what).await,
        Command::Workers { all } => money::workers(access, form, all).await,
        Command::Verify(what) => verify::run(access, form, what).await,
        Command::Witness(what) => witness::run(access, form, what).await,
        Command::Doctor(what) => doctor::run(access, form, what).await,
        Command::Account(what) => money::account(access, form, what).await,
    }
}
