//! `girih model`: publish a network for a royalty, look at what others offer, withdraw. And what an
//! order of a published model must know of it.

use crate::args::{self, Publish};
use crate::config::Access;
use crate::exit::{BadInput, BadUsage, Exit};
use crate::facts::Facts;
use crate::fetch;
use crate::infer::unusable;
use crate::output::{Form, credits, hex, table};
use crate::parcel::Parcel;
use crate::submit::Bytes;
use farm::digest::Digest;
use farm::money::Price;
use proto::v1;
use proto::v1::accounts_client::AccountsClient;
use proto::v1::get_model_request::Model as Asked;
use proto::v1::models_client::ModelsClient;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use worker::channel::Keyed;
use worker::infer::model::Model;

/// Most bytes of a card, and of the facts.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// A published model as an order needs it.
pub struct Published {
    pub id: u64,
    pub name: String,
    pub owner: u64,
    pub licence: String,
    /// What the caller owes for a million work units.
    pub royalty: Price,
    pub asset: Digest,
    pub facts: Facts,
}

impl Published {
    /// What an order of so much work owes, in words.
    pub fn royalty_said(&self, work: u64) -> String {
        format!(
            "{} credits of royalty to account {} for the model `{}` ({})",
            credits(self.royalty.of(work).0),
            self.owner,
            self.name,
            self.licence
        )
    }
}

/// The published model that `model:NAME` or `model:ID` names; `None`: it is a file's path.
pub fn named(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix("model:")
}

/// `girih model ...`.
pub async fn run(access: &Access, form: Form, what: args::Model) -> anyhow::Result<Exit> {
    let keyed = access.address_with_key()?.connect().await?;
    match what {
        args::Model::Publish(what) => publish(&keyed, form, what).await?,
        args::Model::List { most } => list(&keyed, form, most).await?,
        args::Model::Show { model } => show(&keyed, form, &model).await?,
        args::Model::Withdraw { model } => {
            let model_id = look_up(&keyed, &model).await?.model_id;
            let ask = v1::WithdrawModelRequest { model_id };
            let model = ModelsClient::new(keyed).withdraw_model(ask).await?.into_inner();
            let line =
                || format!("model {model_id} is withdrawn: jobs that use it go on, no new one may");
            form.say(line, || to_json(&model))?;
        }
    }
    Ok(Exit::Ok)
}

async fn publish(keyed: &Keyed, form: Form, what: Publish) -> anyhow::Result<()> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| unusable(path, error));
    let (bytes, card) = (read(&what.file)?, read(&what.card)?);
    if card.is_empty() || card.len() as u64 > TEXT_BYTES_MAX || std::str::from_utf8(&card).is_err()
    {
        return Err(unusable(&what.card, "a card is a text of up to 1 MiB").into());
    }
    let name = match &what.name {
        Some(name) => name.clone(),
        None => name_of(&what.file),
    };
    let (path, size) = (what.file.clone(), what.size);
    let (bytes, facts) = tokio::task::spawn_blocking(move || {
        let model = Model::read(&bytes).map_err(|error| unusable(&path, error))?;
        let facts = Facts::of(&model, bytes.len() as u64, size, &path)?;
        anyhow::Ok((bytes, facts.to_json().to_string().into_bytes()))
    })
    .await??;
    let mut assets = BTreeMap::new();
    let [asset, card, facts] = [bytes, card, facts].map(|bytes| {
        let digest = Digest::of(&bytes);
        assets.insert(digest, Bytes::Memory(bytes.into()));
        proto::convert::wire_digest(&digest)
    });
    // Who orders it has no key to it: it is the farm that lets nobody else have it.
    Parcel::open(&assets).upload(keyed, form).await?;
    let offer = v1::Offer {
        name,
        asset,
        card,
        facts,
        licence: what.licence,
        royalty: what.price,
        order_accounts: what.for_accounts,
        compute_accounts: what.workers_of,
        compute_workers: what.workers,
        copy_accounts: what.download,
    };
    let ask = v1::PublishModelRequest { offer: Some(offer) };
    let model = ModelsClient::new(keyed.clone()).publish_model(ask).await?.into_inner();
    let lines = || {
        let name = &offer_of(&model).name;
        format!("{}\norder it with: girih infer model:{name} --input FILES", line(&model))
    };
    form.say(lines, || to_json(&model))
}

/// A name that the farm takes, from a file's.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase());
    let kept = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    stem.unwrap_or_default().chars().map(kept).collect()
}

async fn list(keyed: &Keyed, form: Form, most: u32) -> anyhow::Result<()> {
    let mut client = ModelsClient::new(keyed.clone());
    let (mut models, mut page_token) = (Vec::new(), String::new());
    while (models.len() as u64) < u64::from(most) {
        let left = most - models.len() as u32;
        let ask = v1::ListModelsRequest { page_size: left.min(1000), page_token };
        let page = client.list_models(ask).await?.into_inner();
        models.extend(page.models);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let lines = || {
        let head = ["model", "name", "owner", "royalty", "licence", "for"];
        let mut rows = vec![head.map(String::from).to_vec()];
        rows.extend(models.iter().map(|model| {
            let offer = offer_of(model);
            vec![
                model.model_id.to_string(),
                offer.name.clone(),
                model.account_id.to_string(),
                credits(offer.royalty),
                offer.licence.clone(),
                whom(model),
            ]
        }));
        table(&rows)
    };
    form.say(lines, || json!({ "models": models.iter().map(to_json).collect::<Vec<_>>() }))
}

async fn show(keyed: &Keyed, form: Form, model: &str) -> anyhow::Result<()> {
    let model = look_up(keyed, model).await?;
    let offer = offer_of(&model);
    let card = proto::convert::digest("offer.card", &offer.card)?;
    let card = fetch::bytes(keyed, &card, TEXT_BYTES_MAX).await?;
    let card = String::from_utf8_lossy(&card).into_owned();
    let named = |ids: &[u64]| ids.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let lines = || {
        let mut lines = vec![line(&model), format!("licence: {}", offer.licence)];
        lines.push(format!("who may order it: {}", whom(&model)));
        for (what, ids) in [
            ("computed by workers of accounts", &offer.compute_accounts),
            ("computed by workers", &offer.compute_workers),
            ("downloaded by accounts", &offer.copy_accounts),
        ] {
            if !ids.is_empty() {
                lines.push(format!("{what} {}", named(ids)));
            }
        }
        lines.push(format!("\n{card}"));
        lines.join("\n")
    };
    let value = || {
        let mut value = to_json(&model);
        value["card"] = json!(card);
        value
    };
    form.say(lines, value)
}

fn offer_of(model: &v1::Model) -> v1::Offer {
    model.offer.clone().unwrap_or_default()
}

fn line(model: &v1::Model) -> String {
    let offer = offer_of(model);
    format!(
        "model {} `{}` of account {}: {} credits for a million work units",
        model.model_id,
        offer.name,
        model.account_id,
        credits(offer.royalty)
    )
}

fn whom(model: &v1::Model) -> String {
    let accounts = offer_of(model).order_accounts;
    match (model.withdraw_time, &accounts[..]) {
        (0, []) => "everybody".into(),
        (0, some) => {
            let named: Vec<String> = some.iter().map(u64::to_string).collect();
            format!("accounts {}", named.join(", "))
        }
        _ => "nobody: withdrawn".into(),
    }
}

fn to_json(model: &v1::Model) -> Value {
    let offer = offer_of(model);
    json!({
        "model_id": model.model_id,
        "account_id": model.account_id,
        "name": offer.name,
        "asset": hex(&offer.asset),
        "licence": offer.licence,
        "royalty": offer.royalty,
        "order_accounts": offer.order_accounts,
        "compute_accounts": offer.compute_accounts,
        "compute_workers": offer.compute_workers,
        "copy_accounts": offer.copy_accounts,
        "publish_time": model.publish_time,
        "withdraw_time": model.withdraw_time,
    })
}

async fn look_up(keyed: &Keyed, name: &str) -> anyhow::Result<v1::Model> {
    let asked = name.parse().map_or_else(|_| Asked::Name(name.into()), Asked::ModelId);
    let ask = v1::GetModelRequest { model: Some(asked) };
    Ok(ModelsClient::new(keyed.clone()).get_model(ask).await?.into_inner())
}

/// What an order of the published model needs, and what the caller owes for it.
pub async fn find(keyed: &Keyed, name: &str) -> anyhow::Result<Published> {
    let model = look_up(keyed, name).await?;
    let mut accounts = AccountsClient::new(keyed.clone());
    let own = accounts.get_account(v1::GetAccountRequest {}).await?.into_inner().account_id;
    let offer = offer_of(&model);
    if model.withdraw_time > 0 {
        return Err(BadUsage(format!("model {} was withdrawn", model.model_id)).into());
    }
    let facts = proto::convert::digest("offer.facts", &offer.facts)?;
    let facts = Facts::read(&fetch::bytes(keyed, &facts, TEXT_BYTES_MAX).await?);
    let facts = facts.ok_or_else(|| {
        BadInput(format!("what its owner says of model `{}` cannot be", offer.name))
    })?;
    Ok(Published {
        id: model.model_id,
        owner: model.account_id,
        royalty: Price(if own == model.account_id { 0 } else { offer.royalty }),
        asset: proto::convert::digest("offer.asset", &offer.asset)?,
        name: offer.name,
        licence: offer.licence,
        facts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_models_are_named_apart_from_files() {
        assert_eq!(named(Path::new("model:style")), Some("style"));
        assert_eq!(named(Path::new("./model.onnx")), None);
        assert_eq!(name_of(Path::new("a/Span X2.onnx")), "span-x2");
    }
}
