//! `girih verify --receipt`: a job's receipt against the log's key, and the frames beside it,
//! without the farm.

use super::note::{Checkpoint, LogKey};
use super::{breach, say_breach};
use crate::exit::{BadInput, Exit};
use crate::jobs;
use crate::output::{Form, credits, hex};
use farm::digest::Digest;
use farm::entry::Entry;
use farm::excerpt;
use farm::id::{JobId, WorkerId};
use farm::job::Spec;
use farm::log::{Hash, leaf_hash};
use farm::model::Licence;
use farm::money::Amount;
use farm::receipt::{Account, Receipt};
use prost::Message;
use proto::v1;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Largest receipt: of a job of about two million tiles.
pub const RECEIPT_BYTES_MAX: u64 = 1 << 30;

/// What a receipt proves.
#[derive(Debug)]
pub struct Proven {
    pub job: u64,
    pub checkpoint: Checkpoint,
    pub account: Account,
    /// Files beside the receipt that are those the farm stored.
    pub files: Vec<PathBuf>,
}

/// `girih verify --receipt FILE`.
pub fn run(form: Form, key: &LogKey, path: &Path) -> anyhow::Result<Exit> {
    match check(key, path) {
        Ok(proven) => {
            say(form, &proven)?;
            Ok(Exit::Ok)
        }
        Err(error) => say_breach(form, error),
    }
}

/// Checks a receipt: the signature, the way of every entry to the signed root, what the entries
/// come to, and the frames that lie beside the file.
pub fn check(key: &LogKey, path: &Path) -> anyhow::Result<Proven> {
    let receipt = read(path)?;
    let checkpoint = key
        .open(&receipt.checkpoint)
        .map_err(|why| breach(format!("the receipt's checkpoint cannot be trusted: {why}")))?;
    let leaves: Vec<(u64, Hash)> =
        receipt.entries.iter().map(|entry| (entry.index, leaf_hash(&entry.entry))).collect();
    let hashes: Option<Vec<Hash>> =
        receipt.hashes.iter().map(|hash| Hash::try_from(&hash[..]).ok()).collect();
    let root = hashes.and_then(|hashes| excerpt::root(checkpoint.size, &leaves, &hashes));
    if root != Some(checkpoint.root) {
        return Err(breach("the receipt's entries do not lead to the signed root"));
    }
    let job = JobId(u32::try_from(receipt.job_id).unwrap_or(u32::MAX));
    let spec = Spec::read(&receipt.spec).filter(Spec::is_valid);
    let spec = spec.ok_or_else(|| breach("the order is malformed"))?;
    let mut following = Receipt::new(job, spec);
    for v1::LogEntry { index, entry } in &receipt.entries {
        let entry = Entry::from_bytes(entry)
            .ok_or_else(|| breach(format!("entry {index} is no entry at all")))?;
        following.follow(*index, &entry).map_err(|fault| breach(fault.to_string()))?;
    }
    let account = following.finish().map_err(breach)?;
    let files = files_agree(&account, path.parent().unwrap_or(Path::new("")))?;
    Ok(Proven { job: receipt.job_id, checkpoint, account, files })
}

fn read(path: &Path) -> anyhow::Result<v1::Receipt> {
    let name = path.display();
    let unusable = |why: String| BadInput(format!("{name}: {why}"));
    let about = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?;
    if about.len() > RECEIPT_BYTES_MAX {
        return Err(unusable("too large for a receipt".into()).into());
    }
    let bytes = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let whole = v1::Receipt::decode(bytes.as_slice());
    whole.map_err(|_| unusable("no receipt; `girih fetch JOB` brings one".into()).into())
}

/// Frames that lie beside the receipt under the names that `fetch` gives must be those the farm
/// stored; others may be anywhere.
fn files_agree(account: &Account, dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for stored in &account.frames {
        for (digest, end) in [(stored.exr, "exr"), (stored.png, "png")] {
            let path = dir.join(crate::fetch::frame_name(stored.frame, end));
            let Ok(bytes) = std::fs::read(&path) else { continue };
            if Digest::of(&bytes) != digest {
                let name = path.display();
                return Err(breach(format!("{name} is not what the farm stored for this job")));
            }
            files.push(path);
        }
    }
    Ok(files)
}

fn said_of(licence: Licence, royalties: Amount) -> String {
    let Licence { model, owner, royalty } = licence;
    format!(
        "of these {} as royalties to account {} for model {}: {} credits for a million work units \
         of each tile that stands",
        credits(royalties.0),
        owner.0,
        model.0,
        credits(royalty.0)
    )
}

/// Who could read the job's assets.
fn readers(account: &Account) -> Option<String> {
    let names: Vec<String> = account.readers.iter().map(WorkerId::to_string).collect();
    let names = if names.is_empty() { "none yet".into() } else { names.join(", ") };
    account.sealed.then(|| format!("its assets are sealed; workers that got the key: {names}"))
}

fn say(form: Form, proven: &Proven) -> anyhow::Result<()> {
    let Proven { job, checkpoint, account, files } = proven;
    let Account { state, tiles, accepted, alone, units, cap, spent, refunded, .. } = account;
    let held = cap.0 - spent.0 - refunded.0;
    let unproven = account.frames.iter().filter(|frame| !frame.proven).count();
    let state = jobs::word(proto::convert::wire_state(*state));
    let lines = || {
        let mut lines = vec![
            format!(
                "job {job}, {state}: {accepted} of {tiles} tiles accepted, {} of them by the \
                 opinion of others; {units} work units",
                accepted - alone
            ),
            format!(
                "{} of {} credits spent, {} returned, {} still on hold",
                credits(spent.0),
                credits(cap.0),
                credits(refunded.0),
                credits(held)
            ),
        ];
        let licensed = account.licence.map(|licence| said_of(licence, account.royalties));
        lines.extend(licensed.into_iter().chain(readers(account)));
        lines.extend(files.iter().map(|path| format!("{}: as stored", path.display())));
        if unproven > 0 {
            lines.push(format!("{unproven} frames were not proven yet; fetch again later"));
        }
        lines.push(format!(
            "verified: every entry is in the log of {} entries under the root {}",
            checkpoint.size,
            hex(&checkpoint.root)
        ));
        lines.join("\n")
    };
    let value = || {
        json!({
            "ok": true,
            "origin": checkpoint.origin,
            "entries": checkpoint.size,
            "root": hex(&checkpoint.root),
            "job_id": job,
            "state": state,
            "tiles": tiles,
            "accepted": accepted,
            "unaudited": alone,
            "work_units": units,
            "max_spend": cap.0,
            "spent": spent.0,
            "royalties": account.royalties.0,
            "model": account.licence.map(|licence| licence.model.0),
            "returned": refunded.0,
            "on_hold": held,
            "sealed": account.sealed,
            "readers": account.readers.iter().map(|worker| worker.0).collect::<Vec<_>>(),
            "unproven": unproven,
            "files": files,
        })
    };
    form.say(lines, value)
}
