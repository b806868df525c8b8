//! Validators: `girih bond`, `unbond` and `validators`; and `girih validate`, which follows the
//! whole log as `girih verify` does, scores workers by what it shows, commits to that once in a
//! round and reveals it in the next.

use crate::args;
use crate::config::{self, Access};
use crate::exit::{BadUsage, Exit};
use crate::local;
use crate::money::request_id_or_new;
use crate::output::{Form, credits, table};
use crate::verify::source::TILE;
use crate::verify::{self, Known, breach, is_breach, say_breach};
use anyhow::Context;
use farm::id::{AccountId, WorkerId};
use farm::log::{Frontier, leaf_hash};
use farm::proof::Books;
use farm::scores::{Scores, commitment};
use farm::watcher::Watcher;
use proto::v1;
use proto::v1::accounts_client::AccountsClient;
use proto::v1::validators_client::ValidatorsClient;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use worker::channel::Keyed;

type Client = ValidatorsClient<Keyed>;

async fn client(access: &Access) -> anyhow::Result<Client> {
    Ok(ValidatorsClient::new(access.address_with_key()?.connect().await?))
}

/// `girih bond CREDITS`.
pub async fn bond(
    access: &Access,
    form: Form,
    amount: u64,
    request_id: Option<String>,
) -> anyhow::Result<Exit> {
    let ask = v1::BondRequest { request_id: request_id_or_new(request_id)?, amount };
    let bond = client(access).await?.bond(ask).await?.into_inner().bond;
    let line = || format!("{} credits are put down; score with `girih validate`", credits(bond));
    form.say(line, || json!({ "bond": bond }))?;
    Ok(Exit::Ok)
}

/// `girih unbond`.
pub async fn unbond(access: &Access, form: Form) -> anyhow::Result<Exit> {
    let returned = client(access).await?.unbond(v1::UnbondRequest {}).await?.into_inner().returned;
    let line = || format!("{} credits are available again", credits(returned));
    form.say(line, || json!({ "returned": returned }))?;
    Ok(Exit::Ok)
}

/// `girih validators`.
pub async fn validators(access: &Access, form: Form) -> anyhow::Result<Exit> {
    let round = client(access).await?.get_round(v1::GetRoundRequest {}).await?.into_inner();
    let lines = || {
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        let row = |validator: &v1::Validator| {
            vec![
                format!("A{}", validator.account_id),
                credits(validator.bond),
                validator.trust.to_string(),
                yes(validator.admitted),
                yes(validator.committed),
                yes(validator.revealed),
            ]
        };
        let head = ["account", "bond", "trust", "heard", "committed", "revealed"];
        let head = vec![head.map(str::to_owned).to_vec()];
        let rows: Vec<_> = head.into_iter().chain(round.validators.iter().map(row)).collect();
        format!("{}\nround {} of scores", table(&rows), round.round)
    };
    let value = || {
        let validator = |validator: &v1::Validator| {
            json!({
                "account_id": validator.account_id,
                "bond": validator.bond,
                "trust": validator.trust,
                "admitted": validator.admitted,
                "committed": validator.committed,
                "revealed": validator.revealed,
            })
        };
        let validators: Vec<Value> = round.validators.iter().map(validator).collect();
        let (began, ends) = (round.began, round.ends);
        json!({ "round": round.round, "began": began, "ends": ends, "validators": validators })
    };
    form.say(lines, value)?;
    Ok(Exit::Ok)
}

/// The log as far as it was followed.
#[derive(Default)]
struct Follower {
    books: Books,
    frontier: Frontier,
    watcher: Watcher,
}

impl Follower {
    /// Follows what the log's newest checkpoint adds.
    async fn catch_up(&mut self, log: &mut Known) -> anyhow::Result<()> {
        let note = String::from_utf8(log.source.read("checkpoint").await?)
            .map_err(|_| breach("the checkpoint is no text"))?;
        let head = log.key.open(&note).map_err(|why| breach(format!("the checkpoint: {why}")))?;
        let size = self.frontier.size();
        if head.size < size {
            let now = head.size;
            return Err(breach(format!("the log was rolled back: {size} entries, now {now}")));
        }
        for bundle in size / TILE..head.size.div_ceil(TILE) {
            let entries = log.source.entries(bundle, head.size).await?;
            let known = (self.frontier.size() - bundle * TILE) as usize;
            for bytes in entries.iter().skip(known) {
                let entry = verify::follow(&mut self.books, self.frontier.size(), bytes)?;
                self.watcher.follow(&entry);
                self.frontier.push(leaf_hash(bytes));
            }
        }
        match self.frontier.root() == head.root {
            true => Ok(()),
            false => Err(breach("the entries do not give the signed root")),
        }
    }
}

/// A ballot, kept from the time that it is committed to until it is revealed.
#[derive(Debug, Serialize, Deserialize)]
struct Ballot {
    round: u32,
    salt: [u8; 32],
    scores: Vec<(u32, u16)>,
}

impl Ballot {
    fn scores(&self) -> Scores {
        self.scores.iter().map(|(worker, score)| (WorkerId(*worker), *score)).collect()
    }
}

/// Ballots on disk.
struct Ballots(PathBuf);

impl Ballots {
    fn path(&self, round: u32) -> PathBuf {
        self.0.join(format!("ballot-{round}.json"))
    }

    /// The ballot of a round, if there is one.
    fn read(&self, round: u32) -> anyhow::Result<Option<Ballot>> {
        let path = self.path(round);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context(path.display().to_string()),
        };
        let wrong = || BadUsage(format!("{}: not a ballot; remove it", path.display()));
        Ok(Some(serde_json::from_slice(&text).map_err(|_| wrong())?))
    }

    /// Keeps a ballot; earlier ones than that before it can be revealed no more.
    fn write(&self, ballot: &Ballot) -> anyhow::Result<()> {
        let path = self.path(ballot.round);
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, serde_json::to_vec(ballot)?)?;
        std::fs::File::open(&fresh)?.sync_all()?;
        std::fs::rename(fresh, path)?;
        for file in std::fs::read_dir(&self.0)? {
            let name = file?.file_name().into_string().unwrap_or_default();
            let round = name.strip_prefix("ballot-").and_then(|rest| rest.strip_suffix(".json"));
            let round = round.and_then(|round| round.parse::<u32>().ok());
            if round.is_some_and(|round| round + 1 < ballot.round) {
                std::fs::remove_file(self.0.join(name))?;
            }
        }
        Ok(())
    }
}

/// Who scores, and from what.
struct Validator {
    account: AccountId,
    client: Client,
    log: Known,
    follower: Follower,
    ballots: Ballots,
}

impl Validator {
    async fn open(access: &Access, form: Form, what: &args::Validate) -> anyhow::Result<Self> {
        let dir = what.state.clone().unwrap_or_else(|| config::data_dir().join("validator"));
        std::fs::create_dir_all(&dir).map_err(|error| {
            BadUsage(format!("{}: {error}; name another --state", dir.display()))
        })?;
        let mut accounts = AccountsClient::new(access.address_with_key()?.connect().await?);
        let own = accounts.get_account(v1::GetAccountRequest {}).await?.into_inner();
        Ok(Self {
            account: AccountId(u32::try_from(own.account_id)?),
            client: client(access).await?,
            log: verify::open(access, form, &what.log).await?,
            follower: Follower::default(),
            ballots: Ballots(dir),
        })
    }

    /// One look: reveals the last round's ballot and commits to this one's, where that is not done.
    async fn look(&mut self, form: Form) -> anyhow::Result<()> {
        self.follower.catch_up(&mut self.log).await?;
        let scoring = self.follower.books.scoring();
        let standings = scoring.standings();
        let own = standings.iter().find(|standing| standing.account == self.account);
        let own = own.ok_or_else(|| {
            BadUsage("the log shows no bond of this account: put one down with `girih bond`".into())
        })?;
        let (round, committed, revealed) = (scoring.round(), own.committed, own.revealed);
        let last = self.ballots.read(round - 1)?;
        if let Some(ballot) = last.filter(|_| !revealed) {
            self.reveal(form, &ballot).await?;
        }
        if !committed {
            self.commit(form, round).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, form: Form, round: u32) -> anyhow::Result<()> {
        let ballot = match self.ballots.read(round)? {
            Some(ballot) => ballot,
            None => {
                let scores = self.follower.watcher.ballot(self.account);
                if scores.is_empty() {
                    return Ok(());
                }
                let mut salt = [0; 32];
                getrandom::fill(&mut salt)?;
                let scores = scores.into_iter().map(|(worker, score)| (worker.0, score)).collect();
                let ballot = Ballot { round, salt, scores };
                self.ballots.write(&ballot)?;
                ballot
            }
        };
        let seal = commitment(self.account, round, &ballot.salt, &ballot.scores());
        let ask = v1::CommitScoresRequest { round, commitment: seal.0.to_vec().into() };
        self.client.commit_scores(ask).await?;
        say(form, "committed to", &ballot)
    }

    async fn reveal(&mut self, form: Form, ballot: &Ballot) -> anyhow::Result<()> {
        let score = |(worker, score): &(u32, u16)| v1::Score {
            worker_id: u64::from(*worker),
            score: u32::from(*score),
        };
        let ask = v1::RevealScoresRequest {
            round: ballot.round,
            salt: ballot.salt.to_vec().into(),
            scores: ballot.scores.iter().map(score).collect(),
        };
        self.client.reveal_scores(ask).await?;
        say(form, "revealed", ballot)
    }
}

fn say(form: Form, what: &str, ballot: &Ballot) -> anyhow::Result<()> {
    let Ballot { round, scores, .. } = ballot;
    let line = || format!("{what} the ballot of round {round}: {} workers", scores.len());
    form.say(line, || json!({ "did": what, "round": round, "workers": scores.len() }))
}

/// `girih validate`.
pub async fn run(access: &Access, form: Form, what: args::Validate) -> anyhow::Result<Exit> {
    let mut validator = Validator::open(access, form, &what).await?;
    let mut stop = local::shutdown()?;
    loop {
        match validator.look(form).await {
            Ok(()) => {}
            Err(error) if is_breach(&error) => return say_breach(form, error),
            Err(error) if what.once || error.is::<BadUsage>() => return Err(error),
            // The round may have turned since the log was read.
            Err(error) => tracing::warn!("nothing is scored now: {error:#}"),
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
