//! Models: publish, look at, list, withdraw; and who may have the bytes of one.

use super::{Api, id, page_size, page_token, status};
use crate::auth::Caller;
use crate::bundle;
use crate::sealed::Assets;
use farm::digest::Digest;
use farm::id::{AccountId, ModelId};
use farm::job::Spec;
use farm::model::Model;
use farm::{Command, Farm, Reject, Reply};
use proto::{convert, v1};
use tonic::{Code, Request, Response, Status};

/// Most bytes of a model's card and of its facts.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// A file that an order names, and what the store calls it.
pub(super) struct Named {
    pub digest: Digest,
    pub stored: Digest,
    /// Its path in the bundle; none of scene and environment.
    pub path: String,
}

/// Everything that an order names.
pub(super) async fn named(
    assets: &Assets<'_>,
    scene: &Digest,
    environment: Option<Digest>,
) -> Result<Vec<Named>, Status> {
    let manifest = bundle::read(assets, scene).await.map_err(|error| {
        status::because(Code::InvalidArgument, "BUNDLE_MALFORMED", error.to_string())
    })?;
    let own = [Some(*scene), environment].into_iter().flatten();
    let own = own.map(|digest| (digest, String::new()));
    let named = own.chain(manifest.files.into_iter().map(|file| (file.digest, file.path)));
    let named =
        named.map(|(digest, path)| Named { digest, stored: *assets.stored(&digest).0, path });
    Ok(named.collect())
}

impl Api {
    /// Whether the account may have these bytes as far as models go, leases left aside.
    pub(super) async fn owns(&self, account: AccountId, digest: Digest) -> Result<bool, Status> {
        if !self.published.has(&digest) {
            return Ok(true);
        }
        self.read(move |farm| farm.may_have(account, &digest)).await
    }

    /// Refuses bytes that were published to whoever has no right to them: neither his own nor,
    /// while a worker of his holds a lease of a job that is made with them, that worker's.
    pub(super) async fn may_download(&self, caller: Caller, digest: Digest) -> Result<(), Status> {
        let account = caller.account;
        if self.owns(account, digest).await? {
            return Ok(());
        }
        let leased =
            move |farm: &Farm| (farm.computes_with(account, &digest), farm.scenes_at(account));
        let (computes_with, scenes) = self.read(leased).await?;
        if computes_with {
            return Ok(());
        }
        for (scene, environment, seal) in scenes {
            let lock = seal.and_then(|seal| self.vault.get(&seal));
            if lock.as_ref().is_some_and(|lock| lock.sealed == digest) {
                return Ok(());
            }
            let assets = Assets::of(&self.blobs, lock.as_ref()).await.map_err(status::asset)?;
            let named = named(&assets, &scene, environment).await?;
            if named.iter().any(|file| file.stored == digest) {
                return Ok(());
            }
        }
        Err(self.protected(digest, "").await)
    }

    /// An order uses the published model that it names, and no other that its account does not
    /// have itself.
    pub(super) async fn check_models(
        &self,
        account: AccountId,
        spec: &Spec,
        named: &[Named],
        model: Option<ModelId>,
    ) -> Result<(), Status> {
        let asset = match model {
            None => None,
            Some(model) => {
                let found = self.read(move |farm| farm.model(model).map(|m| m.offer.asset)).await?;
                Some(found.ok_or_else(|| status::reject(Reject::ModelUnknown))?)
            }
        };
        let uses = |file: &Named| Some(file.digest) == asset && !file.path.is_empty();
        if asset.is_some() && !(spec.work_per_pixel > 0 && named.iter().any(uses)) {
            let message = "the job's bundle does not have the model that it is to use; name its \
                           digest as model.onnx";
            return Err(status::because(Code::InvalidArgument, "MODEL_NOT_IN_BUNDLE", message));
        }
        // What the account has sealed itself is its own.
        for file in named {
            if Some(file.stored) != asset && !self.owns(account, file.stored).await? {
                return Err(self.protected(file.stored, &file.path).await);
            }
        }
        Ok(())
    }

    /// Why these bytes are not to be had.
    async fn protected(&self, digest: Digest, path: &str) -> Status {
        let found = self.read(move |farm| {
            let id = farm.published_as(&digest)?;
            Some((id, farm.model(id)?.owner))
        });
        let (id, owner) = match found.await {
            Ok(found) => found.unwrap_or_default(),
            Err(status) => return status,
        };
        let file = if path.is_empty() { String::new() } else { format!("`{path}`: ") };
        let message = format!(
            "{file}{digest} is model {}, published by account {}; order it as `model:{}`, or, if \
             you have its bytes yourself, upload them first",
            id.0, owner.0, id.0
        );
        status::because(Code::PermissionDenied, "MODEL_PROTECTED", message)
    }

    async fn found(&self, id: ModelId) -> Result<v1::Model, Status> {
        let found = self.read(move |farm| farm.model(id).cloned()).await?;
        let found = found.ok_or_else(|| status::reject(Reject::ModelUnknown))?;
        Ok(convert::wire_model(id, &found))
    }

    /// A text that comes with a model is here.
    async fn check_text(&self, digest: &Digest, what: &str) -> Result<(), Status> {
        let size = self.blobs.size(digest).await.map_err(status::blob)?;
        if size > TEXT_BYTES_MAX {
            let message =
                format!("a model's {what} has at most {TEXT_BYTES_MAX} bytes, not {size}");
            return Err(status::because(Code::InvalidArgument, "TOO_LARGE", message));
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl v1::models_server::Models for Api {
    async fn publish_model(
        &self,
        request: Request<v1::PublishModelRequest>,
    ) -> Result<Response<v1::Model>, Status> {
        let account = self.caller(&request)?.account;
        self.still_open()?;
        let wire = request.into_inner().offer;
        let missing = "offer must be present";
        let wire =
            wire.ok_or_else(|| status::because(Code::InvalidArgument, "MALFORMED", missing))?;
        let offer = convert::offer(&wire).map_err(status::malformed)?;
        self.blobs.size(&offer.asset).await.map_err(status::blob)?;
        self.check_text(&offer.card, "card").await?;
        self.check_text(&offer.facts, "facts").await?;
        self.published.insert(offer.asset);
        let command = Command::Publish { account, offer: Box::new(offer) };
        let Reply::Model(model) = self.apply(command).await? else {
            unreachable!("an offer is answered with its model");
        };
        self.found(model).await.map(Response::new)
    }

    async fn get_model(
        &self,
        request: Request<v1::GetModelRequest>,
    ) -> Result<Response<v1::Model>, Status> {
        use v1::get_model_request::Model as Asked;
        self.caller(&request)?;
        let model = match request.into_inner().model {
            Some(Asked::ModelId(model)) => Some(ModelId(id(model))),
            Some(Asked::Name(name)) => self.read(move |farm| farm.model_named(&name)).await?,
            None => None,
        };
        let model = model.ok_or_else(|| status::reject(Reject::ModelUnknown))?;
        self.found(model).await.map(Response::new)
    }

    async fn list_models(
        &self,
        request: Request<v1::ListModelsRequest>,
    ) -> Result<Response<v1::ListModelsResponse>, Status> {
        self.caller(&request)?;
        let size = page_size(request.get_ref().page_size);
        let before = page_token(&request.get_ref().page_token)?.map(ModelId);
        let found: Vec<(ModelId, Model)> = self.read(move |farm| farm.models(before, size)).await?;
        let next_page_token = match found.last() {
            Some((last, _)) if found.len() == size && last.0 > 0 => last.0.to_string(),
            _ => String::new(),
        };
        let models = found.iter().map(|(id, model)| convert::wire_model(*id, model)).collect();
        Ok(Response::new(v1::ListModelsResponse { models, next_page_token }))
    }

    async fn withdraw_model(
        &self,
        request: Request<v1::WithdrawModelRequest>,
    ) -> Result<Response<v1::Model>, Status> {
        let account = self.caller(&request)?.account;
        let model = ModelId(id(request.get_ref().model_id));
        self.apply(Command::Withdraw { account, model }).await?;
        self.found(model).await.map(Response::new)
    }
}
