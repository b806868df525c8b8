//! Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint), read and judged.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use farm::log::Hash;
use sha2::Digest;

/// Signatures looked at in one note.
const SIGNATURES_MAX: usize = 64;

/// A verifier key: `name+hash+base64(0x01 || public key)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

/// A tree head, its signature checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

impl LogKey {
    /// Reads a verifier key. `None` if it is malformed or its hash does not fit.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().splitn(3, '+');
        let (name, hash, body) = (parts.next()?, parts.next()?, parts.next()?);
        let body = STANDARD.decode(body).ok()?;
        let (1, key) = body.split_first().map(|(kind, key)| (*kind, key))? else { return None };
        let id = key_id(name, key);
        let claimed = u32::from_str_radix(hash, 16).ok()?;
        let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
        (claimed.to_be_bytes() == id && !name.is_empty()).then(|| Self {
            name: name.to_owned(),
            id,
            key,
        })
    }

    /// Opens a checkpoint. An error says what is wrong with it.
    pub fn open(&self, note: &str) -> Result<Checkpoint, &'static str> {
        let (text, signatures) = note.rsplit_once("\n\n").ok_or("it is no signed note")?;
        let text = format!("{text}\n");
        let signed = signatures.lines().take(SIGNATURES_MAX).any(|line| self.signed(&text, line));
        if !signed {
            return Err("it is not signed by the log's key");
        }
        let mut lines = text.lines();
        let origin = lines.next().unwrap_or_default().to_owned();
        if origin != self.name {
            return Err("it is the checkpoint of another log");
        }
        let size = lines.next().and_then(decimal).ok_or("its size is malformed")?;
        let root = lines.next().and_then(|line| STANDARD.decode(line).ok());
        let root =
            root.and_then(|root| Hash::try_from(root).ok()).ok_or("its root is malformed")?;
        Ok(Checkpoint { origin, size, root })
    }

    fn signed(&self, text: &str, line: &str) -> bool {
        let Some(rest) = line.strip_prefix("\u{2014} ") else { return false };
        let Some((name, body)) = rest.split_once(' ') else { return false };
        let Ok(body) = STANDARD.decode(body) else { return false };
        let Some((id, signature)) = body.split_first_chunk::<4>() else { return false };
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        name == self.name
            && *id == self.id
            && self.key.verify_strict(text.as_bytes(), &signature).is_ok()
    }
}

/// First four bytes of SHA-256 of `name \n 0x01 key`.
fn key_id(name: &str, key: &[u8]) -> [u8; 4] {
    let hash = sha2::Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', 1])
        .chain_update(key)
        .finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

fn decimal(text: &str) -> Option<u64> {
    let plain = text == "0" || (!text.starts_with('0') && !text.starts_with('+'));
    text.parse().ok().filter(|_| plain)
}

/// Signs as a log would; for tests.
#[cfg(test)]
pub mod testing {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    pub fn verifier(name: &str, key: &SigningKey) -> String {
        let public = key.verifying_key().to_bytes();
        let id = u32::from_be_bytes(key_id(name, &public));
        let mut body = vec![1];
        body.extend_from_slice(&public);
        format!("{name}+{id:08x}+{}", STANDARD.encode(body))
    }

    pub fn checkpoint(name: &str, key: &SigningKey, size: u64, root: &Hash) -> String {
        let text = format!("{name}\n{size}\n{}\n", STANDARD.encode(root));
        let mut body = key_id(name, &key.verifying_key().to_bytes()).to_vec();
        body.extend_from_slice(&key.sign(text.as_bytes()).to_bytes());
        format!("{text}\n\u{2014} {name} {}\n", STANDARD.encode(body))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{checkpoint, verifier};
    use super::*;
    use ed25519_dalek::SigningKey;

    #[test]
    fn a_checkpoint_opens_with_its_logs_key_only() {
        let signer = SigningKey::from_bytes(&[7; 32]);
        let key = LogKey::parse(&verifier("farm.example/log", &signer)).unwrap();
        let note = checkpoint("farm.example/log", &signer, 12, &[3; 32]);
        let opened = key.open(&note).unwrap();
        assert_eq!((opened.size, opened.root), (12, [3; 32]));
        assert!(key.open(&note.replace("\n12\n", "\n13\n")).is_err());
        let other = SigningKey::from_bytes(&[8; 32]);
        assert!(key.open(&checkpoint("farm.example/log", &other, 12, &[3; 32])).is_err());
        assert!(key.open(&checkpoint("other", &signer, 12, &[3; 32])).is_err());
        assert!(key.open("").is_err());
    }

    /// The example key of the C2SP signed-note specification.
    #[test]
    fn the_specifications_example_key_is_read() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(LogKey::parse(text).unwrap().name, "PeterNeumann");
        assert!(LogKey::parse(&text.replace("c74f20a3", "c74f20a4")).is_none());
    }
}
