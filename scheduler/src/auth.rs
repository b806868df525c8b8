//! Who calls: API keys and what they may do. Keys are stored as BLAKE3 digests only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use farm::Farm;
use farm::digest::Digest;
use farm::id::AccountId;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use tonic::metadata::MetadataMap;

/// What every key starts with.
const PREFIX: &str = "girih_";

/// Who made a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub account: AccountId,
    pub operator: bool,
}

impl Caller {
    /// Whether the caller may see what belongs to this account.
    pub fn may_see(&self, account: AccountId) -> bool {
        self.operator || self.account == account
    }
}

/// Why a call has no caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("send the metadata `authorization: Bearer <api key>`")]
    Missing,
    #[error("this API key is unknown; ask the farm's operator for one")]
    Unknown,
}

impl AuthError {
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "KEY_MISSING",
            Self::Unknown => "KEY_UNKNOWN",
        }
    }
}

/// Every account's key digest.
#[derive(Debug, Default)]
pub struct Keys {
    callers: RwLock<HashMap<Digest, Caller>>,
}

impl Keys {
    /// The keys of a recovered farm.
    pub fn of(farm: &Farm) -> Self {
        let callers = farm
            .accounts()
            .into_iter()
            .map(|view| (view.key, Caller { account: view.account, operator: view.operator }));
        Self { callers: RwLock::new(callers.collect()) }
    }

    pub fn insert(&self, key: Digest, caller: Caller) {
        self.callers.write().unwrap_or_else(PoisonError::into_inner).insert(key, caller);
    }

    /// The caller whose key stands in the metadata.
    pub fn caller(&self, metadata: &MetadataMap) -> Result<Caller, AuthError> {
        let header = metadata.get("authorization").and_then(|value| value.to_str().ok());
        let key = header.and_then(|header| header.strip_prefix("Bearer ")).map(str::trim);
        let digest = Digest::of(key.ok_or(AuthError::Missing)?.as_bytes());
        let callers = self.callers.read().unwrap_or_else(PoisonError::into_inner);
        callers.get(&digest).copied().ok_or(AuthError::Unknown)
    }
}

/// A new API key: 32 random bytes in text form.
pub fn new_key() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// What the farm keeps of a key.
pub fn stored(key: &str) -> Digest {
    Digest::of(key.as_bytes())
}
