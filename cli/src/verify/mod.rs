//! `girih verify`: from the log's files alone, rebuilds the root, compares the hash tiles, checks
//! that the past is still the past, follows every entry, and prints every balance.

pub mod note;
pub mod receipt;
pub mod source;

use crate::args;
use crate::config::{self, Access};
use crate::exit::{BadUsage, Exit};
use crate::output::{Form, Progress, credits, hex, table};
use anyhow::Context;
use farm::entry::{Book, Entry};
use farm::log::{Frontier, Hash, leaf_hash};
use farm::money::Amount;
use farm::proof::{Books, Lie};
use note::{Checkpoint, LogKey, WitnessKey};
use serde_json::json;
use source::{Source, TILE};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Levels of hash tiles: 256^8 entries are more than a u64 counts.
const LEVELS_MAX: u32 = 8;

/// A way in which the log does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Breach(pub String);

/// What was verified.
#[derive(Debug)]
pub struct Verified {
    pub checkpoint: Checkpoint,
    pub balances: Vec<(Book, Amount)>,
    pub lies: Vec<Lie>,
    /// Size of the older checkpoint that the log still contains.
    pub since: Option<u64>,
}

/// An error that is a breach.
pub fn breach(why: impl Into<String>) -> anyhow::Error {
    Breach(why.into()).into()
}

/// Whether an error says that the log does not hold, not that it could not be read.
pub fn is_breach(error: &anyhow::Error) -> bool {
    error.is::<Breach>()
}

/// Says that the log does not hold, if that is what the error means.
pub fn say_breach(form: Form, error: anyhow::Error) -> anyhow::Result<Exit> {
    let Breach(why) = error.downcast()?;
    form.say(|| format!("BREACH: {why}"), || json!({ "ok": false, "breach": why }))?;
    Ok(Exit::Breach)
}

/// Verifies a log against its key and older checkpoints. Also gives the text of the checkpoint that
/// it holds to.
pub async fn check(
    source: &mut Source,
    key: &LogKey,
    older: &[Checkpoint],
    form: Form,
) -> anyhow::Result<(Verified, String)> {
    let note = String::from_utf8(source.read("checkpoint").await?)
        .map_err(|_| breach("the checkpoint is no text"))?;
    let head = key
        .open(&note)
        .map_err(|why| breach(format!("the checkpoint cannot be trusted: {why}")))?;
    if let Some(older) = older.iter().find(|older| older.size > head.size) {
        return Err(breach(format!(
            "the log was rolled back: it had {} entries, now it has {}",
            older.size, head.size
        )));
    }
    let mut reading = Reading::default();
    let mut progress = Progress::new(form, head.size);
    for bundle in 0..head.size.div_ceil(TILE) {
        let entries = source.entries(bundle, head.size).await;
        let entries = entries.map_err(|error| breach(format!("{error:#}")))?;
        for (bytes, index) in entries.iter().zip(bundle * TILE..) {
            reading.read(index, bytes, older)?;
        }
        progress.at(reading.frontier.size(), "entries");
    }
    progress.finish();
    let Reading { books, frontier, leaves, first_fault } = reading;
    if frontier.root() != head.root {
        let at = differs(source, &leaves).await;
        return Err(breach(format!(
            "the entries do not give the signed root{}",
            at.map(|index| format!("; the first to differ is entry {index}")).unwrap_or_default()
        )));
    }
    if let Some(fault) = first_fault {
        return Err(fault);
    }
    books.finish().map_err(|fault| breach(fault.to_string()))?;
    hash_tiles_agree(source, &leaves).await?;
    let since = older.iter().map(|older| older.size).max();
    let (balances, lies) = (books.balances(), books.lies().to_vec());
    Ok((Verified { checkpoint: head, balances, lies, since }, note))
}

/// The entries so far.
#[derive(Default)]
struct Reading {
    books: Books,
    frontier: Frontier,
    leaves: Vec<Hash>,
    /// Kept until the root is known: entries that the farm did not sign are another breach.
    first_fault: Option<anyhow::Error>,
}

impl Reading {
    fn read(&mut self, index: u64, bytes: &[u8], older: &[Checkpoint]) -> anyhow::Result<()> {
        let leaf = leaf_hash(bytes);
        self.leaves.push(leaf);
        self.frontier.push(leaf);
        let size = self.frontier.size();
        let due = older.iter().filter(|older| older.size == size);
        if let Some(older) = due.into_iter().find(|older| self.frontier.root() != older.root) {
            return Err(breach(format!(
                "the log was forked: its first {} entries are not those that were signed before",
                older.size
            )));
        }
        if self.first_fault.is_none() {
            self.first_fault = follow(&mut self.books, index, bytes).err();
        }
        Ok(())
    }
}

/// Follows the next entry from its bytes.
pub fn follow(books: &mut Books, index: u64, bytes: &[u8]) -> anyhow::Result<Entry> {
    let entry = Entry::from_bytes(bytes)
        .ok_or_else(|| breach(format!("entry {index} does not follow: it is no entry at all")))?;
    books.follow(index, &entry).map_err(|fault| breach(fault.to_string()))?;
    Ok(entry)
}

/// The first entry whose hash is not that of the hash tiles, if those are there to tell.
async fn differs(source: &mut Source, leaves: &[Hash]) -> Option<u64> {
    let size = leaves.len() as u64;
    for tile in 0..size.div_ceil(TILE) {
        let hashes = source.hashes(0, tile, size).await.ok()?;
        let ours = leaves[(tile * TILE) as usize..].iter();
        if let Some(at) = ours.zip(&hashes).position(|(ours, theirs)| ours != theirs) {
            return Some(tile * TILE + at as u64);
        }
    }
    None
}

/// Every hash tile must be what the entries give: others build their proofs from them.
async fn hash_tiles_agree(source: &mut Source, leaves: &[Hash]) -> anyhow::Result<()> {
    let mut nodes = leaves.to_vec();
    for level in 0..LEVELS_MAX {
        if nodes.is_empty() {
            break;
        }
        let size = nodes.len() as u64;
        for (tile, ours) in (0..).zip(nodes.chunks(TILE as usize)) {
            let theirs = source.hashes(level, tile, size).await;
            let theirs = theirs.map_err(|error| breach(format!("{error:#}")))?;
            if theirs != ours {
                return Err(breach(format!(
                    "hash tile {tile} of level {level} is not what the entries give"
                )));
            }
        }
        let full = nodes.chunks_exact(TILE as usize);
        nodes = full.map(farm::log::root_of).collect();
    }
    Ok(())
}

/// What `verify` remembers between runs.
struct Memory(PathBuf);

impl Memory {
    fn file(&self, what: &str) -> PathBuf {
        self.0.join(what)
    }

    fn read(&self, what: &str) -> Option<String> {
        std::fs::read_to_string(self.file(what)).ok()
    }

    fn write(&self, what: &str, text: &str) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.0)?;
        let fresh = self.file(&format!("{what}.new"));
        std::fs::write(&fresh, text)?;
        std::fs::rename(fresh, self.file(what))
    }
}

/// A log that can be read, the key that it is signed with, and what is remembered of it.
pub struct Known {
    pub source: Source,
    pub key: LogKey,
    text: String,
    memory: Memory,
}

/// Where a log is, what is remembered of it, and its key if that is known.
fn place(access: &Access, log: &args::Log) -> anyhow::Result<(String, Memory, Option<String>)> {
    let place = match &log.log {
        Some(place) => place.clone(),
        None => access.address_of(None)?.uri()?.to_string().trim_end_matches('/').to_owned(),
    };
    let name = farm::digest::Digest::of(place.as_bytes()).to_string();
    let memory = Memory(config::data_dir().join("logs").join(&name[..16]));
    let key = log_key(access, log, &memory)?;
    Ok((place, memory, key))
}

/// Opens a log; a key that nobody named and nobody has seen before is the one that the log shows.
pub async fn open(access: &Access, form: Form, log: &args::Log) -> anyhow::Result<Known> {
    let (place, memory, known) = place(access, log)?;
    let mut source = Source::open(&place, access.address_of(log.log.as_deref())?).await?;
    let text = match known {
        Some(text) => text,
        None => {
            let shown = source.read("vkey").await;
            let shown = shown.context("whose log is this? name its key with --log-key")?;
            form.remark("no key of this log is known yet; believing the one it shows");
            String::from_utf8_lossy(&shown).trim().to_owned()
        }
    };
    let key = parse_key(&text)?;
    Ok(Known { source, key, text, memory })
}

/// `girih verify`.
pub async fn run(access: &Access, form: Form, what: args::Verify) -> anyhow::Result<Exit> {
    if let Some(file) = &what.receipt {
        let (_, _, known) = place(access, &what.log)?;
        let text = known.ok_or_else(|| {
            BadUsage("whose log is this receipt of? name its key with --log-key".into())
        })?;
        return receipt::run(form, &parse_key(&text)?, file);
    }
    let Known { mut source, key, text, memory } = open(access, form, &what.log).await?;
    let since = match &what.since {
        Some(file) => Some(read_checkpoint(file)?),
        None => memory.read("checkpoint"),
    };
    let older = since.map(|text| key.open(&text)).transpose();
    let older = older.map_err(|why| BadUsage(format!("the older checkpoint: {why}")))?;
    let mut older: Vec<Checkpoint> = older.into_iter().collect();
    if let (Some(place), Some(witness)) = (&what.witness, &what.witness_key) {
        older.push(witnessed(access, form, place, witness, &key).await?);
    }
    match check(&mut source, &key, &older, form).await {
        Ok((verified, note)) => {
            if !what.forget {
                memory.write("vkey", &text)?;
                memory.write("checkpoint", &note)?;
            }
            say(form, &verified)?;
            Ok(Exit::Ok)
        }
        Err(error) => say_breach(form, error),
    }
}

/// The last checkpoint that a witness signed beside the log.
async fn witnessed(
    access: &Access,
    form: Form,
    place: &str,
    witness: &str,
    log: &LogKey,
) -> anyhow::Result<Checkpoint> {
    let witness = WitnessKey::parse(witness)
        .ok_or_else(|| BadUsage(format!("`{witness}` is no witness's key: name+hash+key")))?;
    let bytes = Source::open(place, access.address()?).await?.read("checkpoint").await?;
    let note = String::from_utf8_lossy(&bytes);
    let head = log.open(&note).map_err(|why| breach(format!("what the witness shows: {why}")))?;
    let time = witness.cosigned(&note).ok_or_else(|| {
        breach(format!("{place} shows a checkpoint that {} did not sign", witness.name()))
    })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    form.remark(&format!(
        "{} saw {} entries {} seconds ago",
        witness.name(),
        head.size,
        now.saturating_sub(time)
    ));
    Ok(head)
}

fn parse_key(text: &str) -> Result<LogKey, BadUsage> {
    let wrong = || BadUsage(format!("`{text}` is no verifier key: name+hash+key"));
    LogKey::parse(text).ok_or_else(wrong)
}

/// The log's key: named, seen before, of the configured farm, or beside a scheduler's own folder.
fn log_key(access: &Access, log: &args::Log, memory: &Memory) -> anyhow::Result<Option<String>> {
    let named = log.log_key.clone().filter(|text| !text.is_empty());
    if let Some(text) = named.or_else(|| memory.read("vkey")) {
        return Ok(Some(text.trim().to_owned()));
    }
    let Some(place) = &log.log else { return access.log_key() };
    let beside = Path::new(place).parent().map(|dir| dir.join("log.vkey"));
    let text = beside.and_then(|file| std::fs::read_to_string(file).ok());
    Ok(text.map(|text| text.trim().to_owned()))
}

fn read_checkpoint(file: &Path) -> anyhow::Result<String> {
    Ok(std::fs::read_to_string(file)
        .map_err(|error| BadUsage(format!("{}: {error}", file.display())))?)
}

fn say(form: Form, verified: &Verified) -> anyhow::Result<()> {
    let Verified { checkpoint, balances, lies, since } = verified;
    let lines = || {
        let rows: Vec<_> = balances
            .iter()
            .map(|(book, amount)| {
                vec![proto::convert::book_name(*book), format!("{:>18}", credits(amount.0))]
            })
            .collect();
        let past = since.map(|size| format!(" and still begins with the {size} seen before"));
        let lies: String = lies.iter().map(|lie| format!("\n{}", of_lie(lie))).collect();
        format!(
            "{}{lies}\nverified: every one of the {} entries follows{}; the root is {}",
            table(&rows),
            checkpoint.size,
            past.unwrap_or_default(),
            hex(&checkpoint.root)
        )
    };
    let value = || {
        let balance = |(book, amount): &(Book, Amount)| {
            let name = proto::convert::book_name(*book);
            json!({ "book": name, "amount": amount.0 })
        };
        let lie = |lie: &Lie| {
            json!({
                "entry": lie.entry,
                "worker_id": lie.worker.0,
                "job_id": lie.job.0,
                "tile": lie.tile,
                "own_tile": lie.claimed,
                "against": lie.against,
            })
        };
        json!({
            "ok": true,
            "origin": checkpoint.origin,
            "entries": checkpoint.size,
            "root": hex(&checkpoint.root),
            "since": since,
            "lies": lies.iter().map(lie).collect::<Vec<_>>(),
            "balances": balances.iter().map(balance).collect::<Vec<_>>(),
        })
    };
    form.say(lines, value)
}

fn of_lie(lie: &Lie) -> String {
    let Lie { entry, worker, job, tile, claimed, against } = lie;
    let what = if *claimed { "delivered a false tile" } else { "spoke falsely about tile" };
    format!(
        "entry {entry}: worker {} {what} {tile} of job {}; {against} others computed the same \
         result against it",
        worker.0, job.0
    )
}

#[cfg(test)]
pub mod tests;
