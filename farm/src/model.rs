//! Models: networks that their owners publish for a royalty. Who may order one, whose workers may
//! compute it, who may have its bytes. Knows no tensors and moves no money.

use crate::digest::Digest;
use crate::effect::{Effects, Reply};
use crate::entry::Fact;
use crate::farm::Farm;
use crate::id::{AccountId, JobId, ModelId, WorkerId};
use crate::money::{Amount, Price};
use crate::reject::Reject;
use crate::time::Time;
use crate::{layout_struct, limit};
use std::collections::{BTreeMap, BTreeSet};

/// No royalty is higher.
const ROYALTY_MAX: u64 = 1 << 40;

/// What others than its owner may do with a model.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Rights {
    /// Accounts that may order it; where none is named, all may.
    pub orders: Vec<AccountId>,
    /// Whose workers may compute it, and which besides; where neither is named, all may.
    pub owners: Vec<AccountId>,
    pub workers: Vec<WorkerId>,
    /// Accounts that may have its bytes.
    pub copies: Vec<AccountId>,
}

/// A model as its owner offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub name: String,
    /// BLAKE3 digests of its bytes, of its card, and of what a client must know to order it.
    pub asset: Digest,
    pub card: Digest,
    pub facts: Digest,
    pub licence: String,
    /// Micro-credits for a million work units, to its owner.
    pub royalty: Price,
    pub rights: Rights,
}

/// A published model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    pub owner: AccountId,
    pub offer: Offer,
    pub published: Time,
    pub withdrawn: Option<Time>,
}

/// What a job owes for the model that it uses; its owner owes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Licence {
    pub model: ModelId,
    pub owner: AccountId,
    pub royalty: Price,
}

/// What a tile owes a model's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Royalty {
    pub owner: AccountId,
    pub amount: Amount,
}

/// Bytes that were ever published.
#[derive(Debug)]
struct Known {
    owner: AccountId,
    /// What they were published as last.
    model: ModelId,
    /// Accounts that have shown the farm that they have them.
    holders: BTreeSet<AccountId>,
}

/// All models.
#[derive(Debug, Default)]
pub struct Models {
    list: Vec<Model>,
    assets: BTreeMap<Digest, Known>,
    /// Those on offer.
    names: BTreeMap<String, ModelId>,
}

layout_struct!(Rights { orders, owners, workers, copies });
layout_struct!(Offer { name, asset, card, facts, licence, royalty, rights });
layout_struct!(Model { owner, offer, published, withdrawn });
layout_struct!(Licence { model, owner, royalty });
layout_struct!(Royalty { owner, amount });
layout_struct!(Known { owner, model, holders });
layout_struct!(Models { list, assets, names });

impl Rights {
    /// Whether an account other than the model's owner may order it.
    pub fn let_order(&self, account: AccountId) -> bool {
        self.orders.is_empty() || self.orders.contains(&account)
    }

    /// Whether this worker of an owner may compute it, unless it is the model's owner's.
    pub fn let_compute(&self, worker: WorkerId, owner: AccountId) -> bool {
        let all = self.owners.is_empty() && self.workers.is_empty();
        all || self.owners.contains(&owner) || self.workers.contains(&worker)
    }

    fn is_within_limits(&self) -> bool {
        let accounts = [&self.orders, &self.owners, &self.copies];
        let longest = accounts.iter().map(|list| list.len()).max().unwrap_or(0);
        longest.max(self.workers.len()) <= limit::RIGHTS_MAX
    }
}

impl Offer {
    fn is_named_well(&self) -> bool {
        let letter = |byte: u8| byte.is_ascii_lowercase();
        let other = |byte: u8| letter(byte) || byte.is_ascii_digit() || b"-_.".contains(&byte);
        self.name.len() <= limit::NAME_BYTES_MAX
            && self.name.bytes().next().is_some_and(letter)
            && self.name.bytes().all(other)
    }
}

impl Licence {
    /// What the account owes the owner of a model with this royalty.
    pub fn of(model: ModelId, owner: AccountId, royalty: Price, account: AccountId) -> Self {
        let royalty = if owner == account { Price(0) } else { royalty };
        Self { model, owner, royalty }
    }
}

impl Models {
    pub fn get(&self, id: ModelId) -> Option<&Model> {
        self.list.get(id.0 as usize)
    }
}

impl Farm {
    /// Offers a model to others. The same offer gives the same model.
    pub(crate) fn publish(
        &mut self,
        owner: AccountId,
        offer: Offer,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        self.accounts.get(owner.0 as usize).ok_or(Reject::UnknownAccount)?;
        if let Some(known) = self.models.assets.get(&offer.asset) {
            if known.owner != owner {
                return Err(Reject::ModelTaken);
            }
            let last = &self.models.list[known.model.0 as usize];
            match last.withdrawn {
                None if last.offer == offer => return Ok(Reply::Model(known.model)),
                None => return Err(Reject::ModelPublished),
                Some(_) => {}
            }
        }
        self.judge_offer(owner, &offer)?;
        let model = ModelId(self.models.list.len() as u32);
        let fresh = || Known { owner, model, holders: BTreeSet::new() };
        self.models.assets.entry(offer.asset).or_insert_with(fresh).model = model;
        self.models.names.insert(offer.name.clone(), model);
        let published = Fact::ModelPublished {
            model,
            owner,
            asset: Box::new(Digest::of(&offer.asset.0)),
            card: Box::new(offer.card),
            licence: Box::new(Digest::of(offer.licence.as_bytes())),
            royalty: offer.royalty,
            rights: Box::new(offer.rights.clone()),
        };
        self.log(published, effects);
        let (published, withdrawn) = (self.now, None);
        self.models.list.push(Model { owner, offer, published, withdrawn });
        Ok(Reply::Model(model))
    }

    fn judge_offer(&self, owner: AccountId, offer: &Offer) -> Result<(), Reject> {
        if !offer.is_named_well() {
            return Err(Reject::ModelNameInvalid);
        }
        if self.models.names.contains_key(&offer.name) {
            return Err(Reject::ModelNameTaken);
        }
        if offer.licence.is_empty() || offer.licence.len() > limit::LICENCE_BYTES_MAX {
            return Err(Reject::LicenceInvalid);
        }
        let texts = |model: &Model| [model.offer.card, model.offer.facts];
        let known = |digest: &Digest| self.models.assets.contains_key(digest);
        if [offer.card, offer.facts].iter().any(|text| *text == offer.asset || known(text))
            || self.models.list.iter().any(|model| texts(model).contains(&offer.asset))
        {
            return Err(Reject::ModelIsText);
        }
        if offer.royalty.0 > ROYALTY_MAX {
            return Err(Reject::RoyaltyInvalid);
        }
        let rights = &offer.rights;
        if !rights.is_within_limits() {
            return Err(Reject::RightsTooMany);
        }
        let mut accounts = rights.orders.iter().chain(&rights.owners).chain(&rights.copies);
        if !accounts.all(|account| self.accounts.get(account.0 as usize).is_some()) {
            return Err(Reject::UnknownAccount);
        }
        if !rights.workers.iter().all(|worker| self.roster.get(*worker).is_some()) {
            return Err(Reject::UnknownWorker);
        }
        let own = |model: &&Model| model.owner == owner && model.withdrawn.is_none();
        if self.models.list.iter().filter(own).count() >= limit::MODELS_MAX {
            return Err(Reject::TooManyModels);
        }
        Ok(())
    }

    /// No job uses the model from now on but those that do already.
    pub(crate) fn withdraw_model(
        &mut self,
        account: AccountId,
        id: ModelId,
        effects: &mut impl Effects,
    ) -> Result<Reply, Reject> {
        let model = self.models.list.get_mut(id.0 as usize).ok_or(Reject::ModelUnknown)?;
        if model.owner != account {
            return Err(Reject::ModelUnknown);
        }
        if model.withdrawn.is_none() {
            model.withdrawn = Some(self.now);
            self.models.names.remove(&model.offer.name);
            self.log(Fact::ModelWithdrawn { model: id }, effects);
        }
        Ok(Reply::Done)
    }

    /// An account has shown that it has published bytes itself, by sending all of them.
    pub(crate) fn show(&mut self, account: AccountId, asset: Digest) -> Result<Reply, Reject> {
        self.accounts.get(account.0 as usize).ok_or(Reject::UnknownAccount)?;
        let known = self.models.assets.get_mut(&asset).ok_or(Reject::ModelUnknown)?;
        known.holders.insert(account);
        Ok(Reply::Done)
    }

    /// On which terms an order uses the model that it names.
    pub(crate) fn licence(
        &self,
        account: AccountId,
        model: Option<ModelId>,
        private: bool,
    ) -> Result<Option<Licence>, Reject> {
        let Some(id) = model else { return Ok(None) };
        let found = self.models.get(id).ok_or(Reject::ModelUnknown)?;
        if found.withdrawn.is_some() {
            return Err(Reject::ModelWithdrawn);
        }
        if found.owner != account && !found.offer.rights.let_order(account) {
            return Err(Reject::ModelRestricted);
        }
        let licence = Licence::of(id, found.owner, found.offer.royalty, account);
        if private && licence.royalty.0 > 0 {
            return Err(Reject::RoyaltyPrivate);
        }
        Ok(Some(licence))
    }

    /// Whether the owner of the model that a job uses lets this worker compute it. The farm's own
    /// have its bytes anyway.
    pub(crate) fn may_compute(&self, worker: WorkerId, job: JobId) -> bool {
        let Some(licence) = &self.jobs[job.0 as usize].licence else { return true };
        let (found, rights) =
            (&self.roster[worker], &self.models.list[licence.model.0 as usize].offer.rights);
        found.arbiter || found.owner == licence.owner || rights.let_compute(worker, found.owner)
    }

    /// A published model.
    pub fn model(&self, id: ModelId) -> Option<&Model> {
        self.models.get(id)
    }

    /// The model on offer under this name.
    pub fn model_named(&self, name: &str) -> Option<ModelId> {
        self.models.names.get(name).copied()
    }

    /// Models, newest first, older than `before`.
    pub fn models(&self, before: Option<ModelId>, most: usize) -> Vec<(ModelId, Model)> {
        let end = self.models.list.len();
        let end = before.map_or(end, |before| end.min(before.0 as usize));
        let newest = (0..end).rev().take(most);
        newest.map(|at| (ModelId(at as u32), self.models.list[at].clone())).collect()
    }

    /// The model that these bytes were published as last.
    pub fn published_as(&self, asset: &Digest) -> Option<ModelId> {
        self.models.assets.get(asset).map(|known| known.model)
    }

    /// Whether the account may have these bytes, as far as models go: they were never published, or
    /// it published them, has shown that it has them, or was given the right.
    pub fn may_have(&self, account: AccountId, asset: &Digest) -> bool {
        let Some(known) = self.models.assets.get(asset) else { return true };
        let rights = &self.models.list[known.model.0 as usize].offer.rights;
        known.owner == account
            || known.holders.contains(&account)
            || rights.copies.contains(&account)
    }
}
