//! `girih witness`: signs a log's checkpoints beside the log, each after it has seen that the log
//! only grew since the last one; refuses forks and keeps what proves them. One witness that the
//! farm does not run is enough to know that everybody sees the same log. Follows no entries.

use crate::args;
use crate::config::{self, Access};
use crate::exit::{BadUsage, Exit};
use crate::local;
use crate::output::Form;
use crate::verify::note::{self, Checkpoint, LogKey, WitnessSigner};
use crate::verify::source::Source;
use crate::verify::{breach, is_breach, say_breach};
use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use farm::log::{Hash, is_consistent};
use serde_json::json;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Lines of a consistency proof (C2SP tlog-witness).
const PROOF_LINES_MAX: usize = 63;

/// Why a checkpoint is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    #[error("this witness does not watch that log")]
    UnknownLog,
    #[error("{0}")]
    Untrusted(&'static str),
    #[error("the last checkpoint signed here is of {0} entries")]
    Outdated(u64),
    #[error("the log was forked: {0} entries were signed here under another root")]
    Forked(u64),
    #[error("the log does not begin with the {0} entries that were signed here")]
    Inconsistent(u64),
    #[error("the checkpoint could not be kept: {0}")]
    Disk(String),
}

/// What a witness remembers: the last checkpoint that it signed.
pub struct Witness {
    dir: PathBuf,
    signer: WitnessSigner,
    log: LogKey,
    last: Option<(Checkpoint, String)>,
}

impl Witness {
    /// Opens or founds the witness of one log in its folder.
    pub fn open(dir: &Path, name: Option<&str>, log: LogKey) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).map_err(|error| {
            BadUsage(format!("{}: {error}; name another --state", dir.display()))
        })?;
        let signer = signer(&dir.join("witness.key"), name)?;
        std::fs::write(dir.join("witness.vkey"), format!("{}\n", signer.verifier()))?;
        let path = dir.join("checkpoint");
        let last = match std::fs::read_to_string(&path) {
            Ok(note) => {
                let head = log.open(&note).map_err(|why| {
                    BadUsage(format!("{}: {why}; name another --state", path.display()))
                })?;
                Some((head, note))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).context(path.display().to_string()),
        };
        Ok(Self { dir: dir.into(), signer, log, last })
    }

    /// Entries of the last checkpoint signed.
    pub fn size(&self) -> u64 {
        self.last.as_ref().map_or(0, |(head, _)| head.size)
    }

    /// Signs a checkpoint that goes on where the last of `old` entries ended, as the proof shows.
    /// The signature line leaves only after the checkpoint is kept.
    pub fn cosign(&mut self, note: &str, old: u64, proof: &[Hash]) -> Result<String, Refusal> {
        if note::origin(note) != self.log.name() {
            return Err(Refusal::UnknownLog);
        }
        let head = self.log.open(note).map_err(Refusal::Untrusted)?;
        if old > head.size {
            return Err(Refusal::Malformed("the old size is above the new one"));
        }
        if old != self.size() {
            return Err(Refusal::Outdated(self.size()));
        }
        if self.last.is_none() && !proof.is_empty() {
            return Err(Refusal::Malformed("there is nothing to prove yet"));
        }
        if let Some((last, _)) = &self.last {
            if last.size == head.size && last.root != head.root {
                self.keep_evidence(note);
                return Err(Refusal::Forked(last.size));
            }
            if !is_consistent((old, &last.root), (head.size, &head.root), proof) {
                self.keep_evidence(note);
                return Err(Refusal::Inconsistent(last.size));
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let no_note = Refusal::Malformed("it is no signed note");
        let line = self.signer.cosign(note, now).ok_or(no_note)?;
        let cosigned = format!("{note}{line}");
        self.keep("checkpoint", &cosigned).map_err(|error| Refusal::Disk(error.to_string()))?;
        self.last = Some((head, cosigned));
        Ok(line)
    }

    /// A checkpoint that its log signed and that does not go with what was signed here.
    fn keep_evidence(&self, note: &str) {
        let kept = self.keep("contradiction", note);
        let path = self.dir.join("contradiction");
        match kept {
            Ok(()) => tracing::error!("the log contradicts itself: see {}", path.display()),
            Err(error) => tracing::error!("the log contradicts itself; not kept: {error}"),
        }
    }

    fn keep(&self, name: &str, text: &str) -> std::io::Result<()> {
        let fresh = self.dir.join(format!("{name}.new"));
        let mut file = std::fs::File::create(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(fresh, self.dir.join(name))?;
        std::fs::File::open(&self.dir)?.sync_all()
    }
}

/// Reads the witness's name and key, or founds them.
fn signer(path: &Path, name: Option<&str>) -> anyhow::Result<WitnessSigner> {
    let broken = || BadUsage(format!("{}: not a witness's key", path.display()));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed)?;
            let text = format!("{} {}\n", name.unwrap_or("girih.witness"), STANDARD.encode(seed));
            let mut options = std::fs::OpenOptions::new();
            let mut out = options.write(true).create_new(true).mode(0o600).open(path)?;
            out.write_all(text.as_bytes())?;
            out.sync_all()?;
            text
        }
        Err(error) => return Err(error).context(path.display().to_string()),
    };
    let (known, seed) = text.trim().split_once(' ').ok_or_else(broken)?;
    if name.is_some_and(|name| name != known) {
        return Err(BadUsage(format!("the witness in {} is called {known}", path.display())).into());
    }
    let seed = STANDARD.decode(seed).ok().and_then(|seed| seed.try_into().ok());
    let key = SigningKey::from_bytes(&seed.ok_or_else(broken)?);
    let unusable = || BadUsage(format!("`{known}`: a name without spaces and plus is meant"));
    Ok(WitnessSigner::new(known, key).ok_or_else(unusable)?)
}

type Shared = Arc<Mutex<Witness>>;

fn lock(shared: &Shared) -> MutexGuard<'_, Witness> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at the log once and signs what it shows; whether that was new.
async fn look(source: &mut Source, shared: &Shared) -> anyhow::Result<bool> {
    let note = String::from_utf8(source.read("checkpoint").await?)
        .map_err(|_| breach("the checkpoint is no text"))?;
    let log = lock(shared).log.clone();
    let head = log.open(&note).map_err(|why| breach(format!("the checkpoint: {why}")))?;
    let old = lock(shared).size();
    if head.size < old {
        lock(shared).keep_evidence(&note);
        let now = head.size;
        return Err(breach(format!("the log was rolled back: it had {old} entries, now {now}")));
    }
    let grown = head.size > old || old == 0;
    let proof = source.consistency(old, head.size).await?;
    let signed = lock(shared).cosign(&note, old, &proof);
    match signed {
        Ok(_) => Ok(grown),
        // Another checkpoint came in between, through the door.
        Err(Refusal::Outdated(_)) => Ok(false),
        Err(Refusal::Disk(why)) => Err(anyhow::anyhow!(Refusal::Disk(why))),
        Err(refusal) => Err(breach(refusal.to_string())),
    }
}

/// The door: the protocol of C2SP tlog-witness, and what was signed last.
pub fn door(shared: Shared) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/checkpoint", get(checkpoint))
        .with_state(shared)
}

async fn checkpoint(State(shared): State<Shared>) -> Response {
    let note = lock(&shared).last.as_ref().map(|(_, note)| note.clone());
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    note.map_or(StatusCode::NOT_FOUND.into_response(), |note| (kind, note).into_response())
}

async fn add_checkpoint(State(shared): State<Shared>, body: String) -> Response {
    let asked = request(&body).map_err(Refusal::Malformed);
    let signed = asked.and_then(|(old, proof, note)| lock(&shared).cosign(note, old, &proof));
    let refusal = match signed {
        Ok(line) => return line.into_response(),
        Err(refusal) => refusal,
    };
    let code = match &refusal {
        Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
        Refusal::UnknownLog => StatusCode::NOT_FOUND,
        Refusal::Untrusted(_) => StatusCode::FORBIDDEN,
        Refusal::Outdated(size) => {
            let kind = [(header::CONTENT_TYPE, "text/x.tlog.size")];
            return (StatusCode::CONFLICT, kind, format!("{size}\n")).into_response();
        }
        Refusal::Forked(_) => StatusCode::CONFLICT,
        Refusal::Inconsistent(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Disk(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (code, format!("{refusal}\n")).into_response()
}

/// An old size, the proof's lines, an empty line, the checkpoint.
fn request(body: &str) -> Result<(u64, Vec<Hash>, &str), &'static str> {
    let (head, note) = body.split_once("\n\n").ok_or("there is no empty line")?;
    let mut lines = head.lines();
    let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(note::decimal);
    let old = old.ok_or("the first line is not `old SIZE`")?;
    let hash = |line: &str| Hash::try_from(STANDARD.decode(line).ok()?).ok();
    let proof = lines.take(PROOF_LINES_MAX + 1).map(hash).collect::<Option<Vec<Hash>>>();
    let proof = proof.ok_or("a line of the proof is no hash")?;
    match proof.len() > PROOF_LINES_MAX {
        true => Err("the proof is too long"),
        false => Ok((old, proof, note)),
    }
}

/// `girih witness`.
pub async fn run(access: &Access, form: Form, what: args::Witness) -> anyhow::Result<Exit> {
    let address = access.address_of(what.log.as_deref())?;
    let place = match &what.log {
        Some(place) => place.clone(),
        None => address.uri()?.to_string().trim_end_matches('/').to_owned(),
    };
    let key = LogKey::parse(&what.log_key)
        .ok_or_else(|| BadUsage(format!("`{}` is no verifier key", what.log_key)))?;
    let dir = what.state.unwrap_or_else(|| config::data_dir().join("witness"));
    let witness = Witness::open(&dir, what.name.as_deref(), key)?;
    form.remark(&format!("witness {}", witness.signer.verifier()));
    let shared = Arc::new(Mutex::new(witness));
    let mut stop = local::shutdown()?;
    if let Some(listen) = what.listen {
        let socket = tokio::net::TcpListener::bind(listen).await.context(listen.to_string())?;
        let url = format!("http://{}", socket.local_addr()?);
        local::write_address(what.address_file.as_deref(), &url)?;
        let router = door(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(socket, router).await });
    }
    let mut source = Source::open(&place, address).await?;
    loop {
        match look(&mut source, &shared).await {
            Ok(grown) => {
                let size = lock(&shared).size();
                if grown {
                    let line = || format!("signed: {size} entries");
                    form.say(line, || json!({ "ok": true, "entries": size }))?;
                }
            }
            Err(error) if is_breach(&error) => return say_breach(form, error),
            Err(error) if what.once => return Err(error),
            Err(error) => tracing::warn!("the log cannot be read now: {error:#}"),
        }
        if what.once {
            return Ok(Exit::Ok);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(what.every.get())) => {}
            _ = stop.wait_for(|stop| *stop) => return Ok(Exit::Ok),
        }
    }
}

#[cfg(test)]
mod tests;
