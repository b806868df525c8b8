//! Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint), read and judged.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use farm::log::Hash;
use sha2::Digest;

/// Signatures looked at in one note.
const SIGNATURES_MAX: usize = 64;

/// Algorithm byte of an Ed25519 key that signs notes as they are.
const ED25519: u8 = 1;
/// That of one that signs when it saw a checkpoint (C2SP tlog-cosignature).
const COSIGNATURE: u8 = 4;

/// A verifier key: `name+hash+base64(algorithm || public key)`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NoteKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

/// A log's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKey(NoteKey);

/// A witness's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessKey(NoteKey);

/// A tree head, its signature checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

impl NoteKey {
    fn parse(text: &str, algorithm: u8) -> Option<Self> {
        let mut parts = text.trim().splitn(3, '+');
        let (name, hash, body) = (parts.next()?, parts.next()?, parts.next()?);
        let body = STANDARD.decode(body).ok()?;
        let key = body.split_first().filter(|(kind, _)| **kind == algorithm)?.1;
        let id = key_id(name, algorithm, key);
        let claimed = u32::from_str_radix(hash, 16).ok()?;
        let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
        (claimed.to_be_bytes() == id && !name.is_empty()).then(|| Self {
            name: name.to_owned(),
            id,
            key,
        })
    }

    /// What this key's signature lines hold after the key's id.
    fn signatures<'a>(&'a self, lines: &'a str) -> impl Iterator<Item = Vec<u8>> + 'a {
        lines.lines().take(SIGNATURES_MAX).filter_map(|line| {
            let (name, body) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            let body = STANDARD.decode(body).ok()?;
            let (id, signature) = body.split_first_chunk::<4>()?;
            (name == self.name && *id == self.id).then(|| signature.to_vec())
        })
    }

    fn signed(&self, text: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.key.verify_strict(text, &signature).is_ok())
    }
}

/// A note's text with its last newline, and its signature lines.
fn parts(note: &str) -> Option<(&str, &str)> {
    let end = note.rfind("\n\n")?;
    Some((&note[..=end], &note[end + 2..]))
}

/// The first line of a checkpoint: whose it says it is.
pub fn origin(note: &str) -> &str {
    note.lines().next().unwrap_or_default()
}

impl WitnessKey {
    /// Reads a verifier key. `None` if it is malformed or its hash does not fit.
    pub fn parse(text: &str) -> Option<Self> {
        NoteKey::parse(text, COSIGNATURE).map(Self)
    }

    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// When the witness signed the checkpoint, in seconds since 1970; `None` if it never did.
    pub fn cosigned(&self, note: &str) -> Option<u64> {
        let (text, signatures) = parts(note)?;
        self.0.signatures(signatures).find_map(|body| {
            let (time, signature) = body.split_first_chunk()?;
            let time = u64::from_be_bytes(*time);
            self.0.signed(cosigned_text(time, text).as_bytes(), signature).then_some(time)
        })
    }
}

/// What a witness signs (C2SP tlog-cosignature, Ed25519 signed message).
fn cosigned_text(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// A witness's name and secret key.
pub struct WitnessSigner {
    name: String,
    key: SigningKey,
}

impl WitnessSigner {
    /// The signer of this name; `None` if a note cannot bear such a name.
    pub fn new(name: &str, key: SigningKey) -> Option<Self> {
        let bad = |c: char| c == '+' || c.is_whitespace();
        (!name.is_empty() && !name.contains(bad)).then(|| Self { name: name.to_owned(), key })
    }

    /// The verifier key, as [`WitnessKey::parse`] reads it.
    pub fn verifier(&self) -> String {
        verifier(&self.name, COSIGNATURE, &self.key)
    }

    /// The signature line for a checkpoint seen at this time, in seconds since 1970.
    pub fn cosign(&self, note: &str, time: u64) -> Option<String> {
        let (text, _) = parts(note)?;
        let signature = self.key.sign(cosigned_text(time, text).as_bytes());
        let body = [&time.to_be_bytes()[..], &signature.to_bytes()].concat();
        Some(signature_line(&self.name, COSIGNATURE, &self.key, &body))
    }
}

fn verifier(name: &str, algorithm: u8, key: &SigningKey) -> String {
    let public = key.verifying_key().to_bytes();
    let id = u32::from_be_bytes(key_id(name, algorithm, &public));
    format!("{name}+{id:08x}+{}", STANDARD.encode([&[algorithm], &public[..]].concat()))
}

fn signature_line(name: &str, algorithm: u8, key: &SigningKey, body: &[u8]) -> String {
    let id = key_id(name, algorithm, &key.verifying_key().to_bytes());
    format!("\u{2014} {name} {}\n", STANDARD.encode([&id[..], body].concat()))
}

impl LogKey {
    /// Reads a verifier key. `None` if it is malformed or its hash does not fit.
    pub fn parse(text: &str) -> Option<Self> {
        NoteKey::parse(text, ED25519).map(Self)
    }

    /// The log's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Opens a checkpoint. An error says what is wrong with it.
    pub fn open(&self, note: &str) -> Result<Checkpoint, &'static str> {
        let (text, signatures) = parts(note).ok_or("it is no signed note")?;
        if !self.0.signatures(signatures).any(|body| self.0.signed(text.as_bytes(), &body)) {
            return Err("it is not signed by the log's key");
        }
        let mut lines = text.lines();
        let origin = lines.next().unwrap_or_default().to_owned();
        if origin != self.0.name {
            return Err("it is the checkpoint of another log");
        }
        let size = lines.next().and_then(decimal).ok_or("its size is malformed")?;
        let root = lines.next().and_then(|line| STANDARD.decode(line).ok());
        let root =
            root.and_then(|root| Hash::try_from(root).ok()).ok_or("its root is malformed")?;
        Ok(Checkpoint { origin, size, root })
    }
}

/// First four bytes of SHA-256 of `name \n algorithm key`.
fn key_id(name: &str, algorithm: u8, key: &[u8]) -> [u8; 4] {
    let hash = sha2::Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', algorithm])
        .chain_update(key)
        .finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// A decimal number without leading zeroes or sign.
pub fn decimal(text: &str) -> Option<u64> {
    let plain = text == "0" || (!text.starts_with('0') && !text.starts_with('+'));
    text.parse().ok().filter(|_| plain)
}

/// Signs as a log would; for tests.
#[cfg(test)]
pub mod testing {
    use super::*;

    pub fn verifier(name: &str, key: &SigningKey) -> String {
        super::verifier(name, ED25519, key)
    }

    pub fn checkpoint(name: &str, key: &SigningKey, size: u64, root: &Hash) -> String {
        let text = format!("{name}\n{size}\n{}\n", STANDARD.encode(root));
        let line = signature_line(name, ED25519, key, &key.sign(text.as_bytes()).to_bytes());
        format!("{text}\n{line}")
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{checkpoint, verifier};
    use super::*;

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
        assert_eq!(LogKey::parse(text).unwrap().name(), "PeterNeumann");
        assert!(LogKey::parse(&text.replace("c74f20a3", "c74f20a4")).is_none());
    }

    #[test]
    fn a_cosignature_says_when_and_holds_for_one_checkpoint_only() {
        let log = SigningKey::from_bytes(&[7; 32]);
        let note = checkpoint("farm.example/log", &log, 12, &[3; 32]);
        let signer = WitnessSigner::new("witness.example/w1", SigningKey::from_bytes(&[8; 32]));
        let signer = signer.unwrap();
        let key = WitnessKey::parse(&signer.verifier()).unwrap();
        assert_eq!(key.cosigned(&note), None);
        let cosigned = note.clone() + &signer.cosign(&note, 1_679_315_147).unwrap();
        assert_eq!(key.cosigned(&cosigned), Some(1_679_315_147));
        let log = LogKey::parse(&verifier("farm.example/log", &log)).unwrap();
        assert_eq!(log.open(&cosigned).unwrap().size, 12);
        assert_eq!(key.cosigned(&cosigned.replace("\n12\n", "\n13\n")), None);
        assert!(LogKey::parse(&signer.verifier()).is_none(), "a witness is no log");
        assert!(WitnessSigner::new("a b", SigningKey::from_bytes(&[8; 32])).is_none());
    }
}
