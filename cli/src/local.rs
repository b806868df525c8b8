//! What runs on this machine until it is told to stop: a scheduler, a worker, or both.

use crate::args::{EngineName, Scheduler, Up, Worker};
use crate::config::{self, Access};
use crate::exit::Exit;
use crate::output::Form;
use proto::v1;
use scheduler::Running;
use serde_json::json;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use worker::WorkerConfig;
use worker::channel::{Address, Trust, parse_fingerprint};
use worker::machine::EngineKind;

/// What `up` puts into the pot that audits are paid from, in micro-credits.
const AUDIT_POT: u64 = 100 * farm::money::CREDIT;

/// Turns true at the first SIGTERM or SIGINT; the second ends the process at once.
pub fn shutdown() -> anyhow::Result<watch::Receiver<bool>> {
    let (say, heard) = watch::channel(false);
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        for again in [false, true] {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if again {
                std::process::exit(Exit::Error as i32);
            }
            tracing::info!("finishing what is under way; a second signal stops at once");
            say.send_replace(true);
        }
    });
    Ok(heard)
}

/// The system ends this process when the one that started it ends, however that ends.
fn die_with_parent() -> anyhow::Result<()> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// `girih worker`.
pub async fn worker(access: &Access, what: Worker) -> anyhow::Result<Exit> {
    if what.with_parent {
        die_with_parent()?;
    }
    let config = WorkerConfig {
        address: access.address_with_key()?,
        data_dir: what.data_dir.unwrap_or_else(|| config::data_dir().join("worker")),
        cache_bytes: what.devices.cache,
        devices: what.devices.devices,
        engine: match what.engine {
            EngineName::Render => EngineKind::Render,
            EngineName::Null => EngineKind::Null,
        },
        cheat: what.cheat,
    };
    worker::run(config, shutdown()?).await?;
    Ok(Exit::Ok)
}

/// `girih scheduler`.
pub async fn scheduler(form: Form, what: Scheduler) -> anyhow::Result<Exit> {
    if what.with_parent {
        die_with_parent()?;
    }
    let mut config = scheduler::Config::load(what.settings.as_deref())?;
    config.state = what.state.unwrap_or(config.state);
    config.listen = what.listen.unwrap_or(config.listen);
    config.tls_certificate = what.tls_cert.or(config.tls_certificate);
    config.tls_key = what.tls_key.or(config.tls_key);
    config.price_per_million_units = what.price.unwrap_or(config.price_per_million_units);
    config.origin = what.origin.unwrap_or(config.origin);
    let state = config.state.clone();
    let mut shutdown = shutdown()?;
    let mut running = Running::start(config).await?;
    announce(form, &running, &state)?;
    write_address(what.address_file.as_deref(), &running.url)?;
    tokio::select! {
        _ = shutdown.wait_for(|stop| *stop) => {}
        () = running.failed() => {}
    }
    running.stop().await?;
    Ok(Exit::Ok)
}

fn announce(form: Form, running: &Running, state: &Path) -> anyhow::Result<()> {
    let fingerprint = running.fingerprint.clone();
    let lines = || {
        let mut lines = format!("the farm listens at {}", running.url);
        if let Some(pin) = &fingerprint {
            lines.push_str(&format!("\nits certificate, for --pin: {pin}"));
        }
        lines.push_str(&format!("\nits log's key, for verify --log-key: {}", running.verifier));
        lines.push_str(&format!(
            "\nthe operator's key lies in {}",
            state.join("operator.key").display()
        ));
        lines
    };
    let value = || {
        json!({
            "server": running.url,
            "pin": fingerprint,
            "log_key": running.verifier,
            "operator_key_file": state.join("operator.key"),
        })
    };
    form.say(lines, value)
}

/// Appears whole or not at all: somebody waits for it.
pub fn write_address(file: Option<&Path>, url: &str) -> anyhow::Result<()> {
    if let Some(file) = file {
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, url)?;
        std::fs::rename(&fresh, file)?;
    }
    Ok(())
}

/// `girih up`.
pub async fn up(access: &Access, form: Form, what: Up) -> anyhow::Result<Exit> {
    let state = what.state.clone().unwrap_or_else(|| config::data_dir().join("up"));
    let mut settings = scheduler::Config::load(None)?;
    settings.state = state.join("farm");
    settings.listen = what.listen;
    let mut stop = shutdown()?;
    let mut running = Running::start(settings).await?;
    let address = own_account(&running, &state, what.credits).await?;
    if !what.no_config {
        let file = config::File {
            server: Some(address.server.clone()),
            key: address.key.clone(),
            pin: running.fingerprint.clone(),
            log_key: Some(running.verifier.clone()),
            ca: None,
        };
        file.write(&access.file())?;
        form.remark(&format!("wrote {}: other commands find this farm", access.file().display()));
    }
    announce(form, &running, &state.join("farm"))?;
    write_address(what.address_file.as_deref(), &running.url)?;
    let worker = WorkerConfig {
        address,
        data_dir: state.join("worker"),
        cache_bytes: what.devices.cache,
        devices: what.devices.devices,
        engine: EngineKind::Render,
        cheat: None,
    };
    let worker = tokio::spawn(worker::run(worker, stop.clone()));
    let outcome = tokio::select! {
        outcome = worker => outcome?.map_err(anyhow::Error::from),
        () = running.failed() => Ok(()),
    };
    if outcome.is_ok() {
        let _ = stop.wait_for(|stop| *stop).await;
    }
    running.stop().await?;
    outcome.map(|()| Exit::Ok)
}

/// The account that `up` works for: made, and given credits, the first time.
async fn own_account(running: &Running, state: &Path, credits: u64) -> anyhow::Result<Address> {
    let trust = match running.fingerprint.as_deref().and_then(parse_fingerprint) {
        Some(pin) => Trust::Pinned(pin),
        None => Trust::System,
    };
    let at =
        |key: String| Address { server: running.url.clone(), key: Some(key), trust: trust.clone() };
    let file = state.join("account.key");
    if let Ok(key) = std::fs::read_to_string(&file) {
        return Ok(at(key.trim().to_owned()));
    }
    let operator = std::fs::read_to_string(state.join("farm").join("operator.key"))?;
    let keyed = at(operator.trim().to_owned()).connect().await?;
    let mut client = v1::accounts_client::AccountsClient::new(keyed);
    let ask = v1::CreateAccountRequest { name: "me".into(), role: v1::Role::Client.into() };
    let made = client.create_account(ask).await?.into_inner();
    let account_id = made.account.map(|account| account.account_id).unwrap_or_default();
    for (account_id, amount) in [(account_id, credits), (0, AUDIT_POT)] {
        let request_id = uuid::Uuid::new_v4().to_string();
        client.top_up(v1::TopUpRequest { request_id, account_id, amount }).await?;
    }
    let mut options = std::fs::OpenOptions::new();
    let mut out = options.write(true).create_new(true).mode(0o600).open(&file)?;
    out.write_all(made.api_key.as_bytes())?;
    Ok(at(made.api_key))
}
