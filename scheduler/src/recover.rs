//! Start-up: the farm from its journal, the public log brought level with it, and what is owed
//! before anybody is served. There is no second way to build a state.

use crate::auth::{self, Caller, Keys};
use crate::config::Config;
use crate::driver::{Door, Refusal};
use crate::journal::{Journal, Options};
use crate::secret;
use crate::tiles::Tiles;
use anyhow::{Context, bail};
use farm::digest::Digest;
use farm::entry::Entry;
use farm::id::AccountId;
use farm::{Command, Effect, Effects, Farm, Reject, Reply};
use std::path::Path;

/// Everything that recovery finds.
pub struct Recovered {
    pub farm: Farm,
    pub journal: Journal,
    pub tiles: Tiles,
}

/// Entries of the journal that the public log does not have yet. Nothing else is owed from a
/// replay: what is, [`Farm::outstanding`] says at its end.
struct Missing<'a> {
    tiles: &'a mut Tiles,
    published: u64,
    failed: Option<std::io::Error>,
}

impl Effects for Missing<'_> {
    fn push(&mut self, _effect: Effect) {}

    fn log(&mut self, number: u64, entry: impl FnOnce() -> Entry) {
        if number >= self.published && self.failed.is_none() {
            self.failed = self.tiles.append(&entry().to_bytes()).err();
        }
    }

    fn replayed(&self) -> bool {
        true
    }
}

/// Recovers what the state directory holds, or founds a farm there.
pub fn recover(config: &Config) -> anyhow::Result<Recovered> {
    let state = &config.state;
    std::fs::create_dir_all(state).with_context(|| state.display().to_string())?;
    let log = state.join("log");
    let mut tiles = Tiles::open(&log).with_context(|| log.display().to_string())?;
    let published = tiles.size();
    let mut missing = Missing { tiles: &mut tiles, published, failed: None };
    let segment_bytes = config.journal_segment_bytes;
    let options = Options { segment_bytes, bytes_max: config.journal_bytes_max };
    let dir = state.join("journal");
    let (journal, farm) =
        Journal::open(&dir, options, config.policy(), Some(published), &mut missing)?;
    if let Some(error) = missing.failed {
        bail!("{}: {error}", log.display());
    }
    Ok(Recovered { farm, journal, tiles })
}

/// Commands owed at every start: no stream has outlived the last one, and the secret that audits
/// are drawn from is new.
pub fn owed(farm: &Farm) -> anyhow::Result<Vec<Command>> {
    let workers = farm.workers(None, None, usize::MAX);
    let online = workers.into_iter().filter(|view| view.online);
    let mut owed: Vec<Command> =
        online.map(|view| Command::Disconnect { worker: view.worker }).collect();
    owed.push(new_secret()?);
    Ok(owed)
}

/// The command that begins a new audit epoch.
pub fn new_secret() -> anyhow::Result<Command> {
    let mut next = [0; 32];
    getrandom::fill(&mut next)?;
    Ok(Command::Secret { next })
}

/// Opens the first two accounts where they are missing: the farm itself, whose key nobody has, and
/// the operator, whose key is in the state directory before the account exists.
pub async fn found(state: &Path, door: &Door, keys: &Keys, accounts: usize) -> anyhow::Result<()> {
    if accounts < 1 {
        let key = auth::stored(&auth::new_key()?);
        open(door, key, false, "farm").await?;
    }
    if accounts < 2 {
        let path = state.join("operator.key");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(_) => {
                let text = auth::new_key()?;
                secret::write(&path, &text).with_context(|| path.display().to_string())?;
                text
            }
        };
        let key = auth::stored(text.trim());
        let account = open(door, key, true, "operator").await?;
        keys.insert(key, Caller { account, operator: true });
    }
    Ok(())
}

async fn open(door: &Door, key: Digest, operator: bool, name: &str) -> anyhow::Result<AccountId> {
    let command = Command::OpenAccount { key, operator, name: name.into() };
    match door.apply(command).await {
        Ok(Reply::Account(account)) => Ok(account),
        Ok(other) => bail!("opening the account `{name}` was answered with {other:?}"),
        Err(Refusal::Reject(Reject::KeyTaken)) => bail!("the key of `{name}` is taken already"),
        Err(refusal) => Err(refusal.into()),
    }
}
