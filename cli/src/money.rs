//! The account and its money: balance, statement, create, top up; and its workers.

use crate::args;
use crate::config::Access;
use crate::exit::{BadUsage, Exit};
use crate::output::{Form, credits, hex, table};
use proto::v1;
use proto::v1::accounts_client::AccountsClient;
use proto::v1::ledger_client::LedgerClient;
use proto::v1::workers_client::WorkersClient;
use serde_json::{Value, json};

/// `girih balance`.
pub async fn balance(access: &Access, form: Form) -> anyhow::Result<Exit> {
    let mut client = LedgerClient::new(access.address_with_key()?.connect().await?);
    let balance = client.get_balance(v1::GetBalanceRequest {}).await?.into_inner();
    let lines = || {
        let rows = [
            ("available", balance.available, ""),
            ("on hold", balance.on_hold, "set aside for open jobs"),
            ("held", balance.held, "earned by your workers, waiting for maturity"),
            ("on probation", balance.probation, "the last that your workers have to lose"),
            ("payable", balance.payable, "earned by your workers, yours"),
            ("staked", balance.staked, "put behind your workers"),
            ("bond", balance.bond, "put down to be a validator"),
            ("royalties held", balance.royalties_held, "of your models, waiting for maturity"),
            ("royalties", balance.royalties, "of your models, yours"),
        ];
        let rows = rows.map(|(name, amount, what)| {
            vec![name.to_owned(), format!("{:>18}", credits(amount)), what.to_owned()]
        });
        table(&rows)
    };
    let value = || {
        json!({
            "available": balance.available,
            "on_hold": balance.on_hold,
            "held": balance.held,
            "probation": balance.probation,
            "payable": balance.payable,
            "staked": balance.staked,
            "bond": balance.bond,
            "royalties_held": balance.royalties_held,
            "royalties": balance.royalties,
        })
    };
    form.say(lines, value)?;
    Ok(Exit::Ok)
}

/// `girih statement`.
pub async fn statement(access: &Access, form: Form, most: u32) -> anyhow::Result<Exit> {
    let mut client = LedgerClient::new(access.address_with_key()?.connect().await?);
    let mut transfers: Vec<v1::Transfer> = Vec::new();
    let mut page_token = String::new();
    while (transfers.len() as u64) < u64::from(most) {
        let left = most - transfers.len() as u32;
        let ask = v1::ListTransfersRequest { page_size: left.min(1000), page_token };
        let page = client.list_transfers(ask).await?.into_inner();
        transfers.extend(page.transfers);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let lines = || {
        let head = ["entry", "from", "to", "credits", "why"].map(String::from).to_vec();
        let rows = transfers.iter().map(|transfer| {
            let why = match transfer.job_id {
                0 => transfer.reason.clone(),
                job => format!("{} (job {job}, tile {})", transfer.reason, transfer.tile),
            };
            vec![
                transfer.entry.to_string(),
                transfer.debit.clone(),
                transfer.credit.clone(),
                credits(transfer.amount),
                why,
            ]
        });
        table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
    };
    let value = |transfer: &v1::Transfer| {
        json!({
            "entry": transfer.entry,
            "time": transfer.time,
            "debit": transfer.debit,
            "credit": transfer.credit,
            "amount": transfer.amount,
            "reason": transfer.reason,
            "job_id": transfer.job_id,
            "tile": transfer.tile,
        })
    };
    form.say(lines, || json!({ "transfers": transfers.iter().map(value).collect::<Vec<_>>() }))?;
    Ok(Exit::Ok)
}

/// `girih account ...`.
pub async fn account(access: &Access, form: Form, what: args::Account) -> anyhow::Result<Exit> {
    let mut client = AccountsClient::new(access.address_with_key()?.connect().await?);
    match what {
        args::Account::Show => {
            let account = client.get_account(v1::GetAccountRequest {}).await?.into_inner();
            form.say(|| line(&account), || account_json(&account))?;
        }
        args::Account::Create { name, operator } => {
            let role = if operator { v1::Role::Operator } else { v1::Role::Client };
            let ask = v1::CreateAccountRequest { name, role: role.into() };
            let made = client.create_account(ask).await?.into_inner();
            let account = made.account.unwrap_or_default();
            let mut value = account_json(&account);
            value["api_key"] = Value::String(made.api_key.clone());
            let lines = || format!("{}\nkey, shown once: {}", line(&account), made.api_key);
            form.say(lines, || value)?;
        }
        args::Account::TopUp { credits: amount, account, request_id } => {
            let account_id = match account {
                Some(account) => account,
                None => client.get_account(v1::GetAccountRequest {}).await?.into_inner().account_id,
            };
            let request_id = request_id_or_new(request_id)?;
            let ask = v1::TopUpRequest { request_id, account_id, amount };
            let available = client.top_up(ask).await?.into_inner().available;
            let lines = || format!("{} credits available", credits(available));
            form.say(lines, || json!({ "account_id": account_id, "available": available }))?;
        }
    }
    Ok(Exit::Ok)
}

/// The request id given, or one that was never used.
pub fn request_id_or_new(given: Option<String>) -> Result<String, BadUsage> {
    given.map_or_else(|| Ok(uuid::Uuid::new_v4().to_string()), |id| request_id_of(&id))
}

/// A request id that the farm will take.
pub fn request_id_of(text: &str) -> Result<String, BadUsage> {
    match proto::convert::request_id(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(BadUsage(error.to_string())),
    }
}

fn line(account: &v1::Account) -> String {
    format!("account {} `{}`, {}", account.account_id, account.name, role(account))
}

fn role(account: &v1::Account) -> &'static str {
    match account.role() {
        v1::Role::Operator => "operator",
        v1::Role::Client | v1::Role::Unspecified => "client",
    }
}

fn account_json(account: &v1::Account) -> Value {
    json!({ "account_id": account.account_id, "name": account.name, "role": role(account) })
}

/// `girih stake WORKER CREDITS`.
pub async fn stake(
    access: &Access,
    form: Form,
    worker_id: u64,
    amount: u64,
    request_id: Option<String>,
) -> anyhow::Result<Exit> {
    let request_id = request_id_or_new(request_id)?;
    let mut client = WorkersClient::new(access.address_with_key()?.connect().await?);
    let ask = v1::StakeWorkerRequest { request_id, worker_id, amount };
    let stake = client.stake_worker(ask).await?.into_inner().stake;
    let line = || format!("{} credits are staked for worker {worker_id}", credits(stake));
    form.say(line, || json!({ "worker_id": worker_id, "stake": stake }))?;
    Ok(Exit::Ok)
}

/// `girih unstake WORKER`.
pub async fn unstake(access: &Access, form: Form, worker_id: u64) -> anyhow::Result<Exit> {
    let mut client = WorkersClient::new(access.address_with_key()?.connect().await?);
    let ask = v1::UnstakeWorkerRequest { worker_id };
    let returned = client.unstake_worker(ask).await?.into_inner().returned;
    let line =
        || format!("{} credits of worker {worker_id} are available again", credits(returned));
    form.say(line, || json!({ "worker_id": worker_id, "returned": returned }))?;
    Ok(Exit::Ok)
}

/// `girih workers`.
pub async fn workers(access: &Access, form: Form, all: bool) -> anyhow::Result<Exit> {
    let mut client = WorkersClient::new(access.address_with_key()?.connect().await?);
    let mut workers: Vec<v1::Worker> = Vec::new();
    let mut page_token = String::new();
    loop {
        let ask = v1::ListWorkersRequest { page_size: 1000, page_token, all };
        let page = client.list_workers(ask).await?.into_inner();
        workers.extend(page.workers);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let lines = || {
        let head = [
            "worker",
            "account",
            "state",
            "clean",
            "score",
            "held",
            "on probation",
            "payable",
            "staked",
            "device",
        ];
        let rows = workers.iter().map(|worker| {
            let state = match (worker.refuted, worker.online) {
                (true, _) => "refuted",
                (false, true) => "online",
                (false, false) => "away",
            };
            vec![
                worker.worker_id.to_string(),
                worker.account_id.to_string(),
                state.to_owned(),
                worker.tiles_clean.to_string(),
                worker.score.map_or("-".into(), |score| score.to_string()),
                credits(worker.held),
                credits(worker.probation),
                credits(worker.payable),
                credits(worker.stake),
                worker.device.clone(),
            ]
        });
        let head = head.map(String::from).to_vec();
        table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
    };
    form.say(lines, || json!({ "workers": workers.iter().map(worker_json).collect::<Vec<_>>() }))?;
    Ok(Exit::Ok)
}

fn worker_json(worker: &v1::Worker) -> Value {
    json!({
        "worker_id": worker.worker_id,
        "account_id": worker.account_id,
        "key": hex(&worker.key),
        "device": worker.device,
        "online": worker.online,
        "tiles_clean": worker.tiles_clean,
        "faults": worker.faults,
        "refuted": worker.refuted,
        "leases": worker.leases,
        "held": worker.held,
        "probation": worker.probation,
        "payable": worker.payable,
        "stake": worker.stake,
        "score": worker.score,
    })
}
