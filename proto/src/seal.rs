//! Seals: assets encrypted where they come from, and the keys to them. Knows no job and no lease
//! but by number.
//!
//! A sealed asset is its bytes in chunks of 64 KiB, each encrypted by AES-256-GCM under the nonce
//! `0^7 || chunk (32 bits, big-endian) || last (0 or 1)`, as STREAM has it (Hoang, Reyhanitabar,
//! Rogaway, Vizár 2015), so that no chunk can be altered, moved, dropped or added. A key encrypts
//! one plaintext only: it is derived (HKDF-SHA256, RFC 5869) from a secret and the plaintext's
//! digest, so that the same bytes of the same artist are the same sealed asset, and nobody else can
//! tell.
//!
//! A job's **keyring** is an asset too, sealed in the same way: for each asset its digest, that of
//! the sealed asset, and the key. Its own key opens all of them.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand::SystemRandom;
use farm::digest::Digest;
use std::collections::BTreeMap;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a chunk before it is sealed.
pub const CHUNK_BYTES: usize = 64 << 10;
/// Bytes that a seal adds to each chunk.
pub const TAG_BYTES: usize = 16;
/// Bytes of a wrapped key.
pub const WRAPPED_BYTES: usize = 32 + TAG_BYTES;
/// Assets in a keyring.
pub const KEYS_MAX: usize = 100_000;
/// Bytes of the largest keyring, before it is sealed.
pub const KEYRING_BYTES_MAX: u64 = (KEYRING_HEAD.len() + KEYS_MAX * ENTRY_BYTES) as u64;

const KEYRING_HEAD: &[u8; 16] = b"girih.keyring/1\n";
/// An asset's digest, its sealed digest, its key.
const ENTRY_BYTES: usize = 96;

/// Why something sealed cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("chunk {0} does not open: it was altered, cut or moved, or the key is another")]
    Chunk(u64),
    #[error("it has no size that something sealed can have")]
    Size,
    #[error("its key opens it, and it is something else than it is said to be")]
    Content,
    #[error("it is no list of keys")]
    Keyring,
}

/// 32 secret bytes. Wiped when dropped, and never shown.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Key(..)")
    }
}

impl Key {
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    /// A new secret.
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).expect("the system has random bytes");
        Self(bytes)
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key that this secret has for what has this digest.
    pub fn of(&self, digest: &Digest) -> Self {
        self.derived(b"girih.v1 asset", &[&digest.0])
    }

    /// The secret that this secret has for some purpose.
    pub fn secret_for(&self, purpose: &str) -> Self {
        self.derived(b"girih.v1 secret", &[purpose.as_bytes()])
    }

    fn derived(&self, salt: &[u8], info: &[&[u8]]) -> Self {
        let mut bytes = [0; 32];
        let secret = Salt::new(HKDF_SHA256, salt).extract(&self.0);
        let drawn = secret.expand(info, HKDF_SHA256).and_then(|out| out.fill(&mut bytes));
        drawn.expect("32 bytes are within what HKDF gives");
        Self(bytes)
    }
}

/// How many chunks so many bytes make, each of at most `chunk` bytes: nothing is one, too.
fn chunks(bytes: u64, chunk: usize) -> u64 {
    bytes.div_ceil(chunk as u64).max(1)
}

/// Bytes of the sealed asset of so many bytes.
pub fn sealed_bytes(bytes: u64) -> u64 {
    bytes + chunks(bytes, CHUNK_BYTES) * TAG_BYTES as u64
}

/// One plaintext and its sealed asset, chunk by chunk in any order.
pub struct Seal {
    key: LessSafeKey,
    chunks: u64,
}

impl Seal {
    /// `bytes`: of the plaintext.
    pub fn new(key: &Key, bytes: u64) -> Self {
        Self { key: cipher(key), chunks: chunks(bytes, CHUNK_BYTES) }
    }

    /// `bytes`: of the sealed asset.
    pub fn of_sealed(key: &Key, bytes: u64) -> Result<Self, SealError> {
        let chunks = chunks(bytes, CHUNK_BYTES + TAG_BYTES);
        let least = (chunks - 1) * (CHUNK_BYTES + TAG_BYTES) as u64 + TAG_BYTES as u64;
        match bytes >= least && chunks <= u64::from(u32::MAX) {
            true => Ok(Self { key: cipher(key), chunks }),
            false => Err(SealError::Size),
        }
    }

    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    fn nonce(&self, nth: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[7..11].copy_from_slice(&(nth as u32).to_be_bytes());
        nonce[11] = u8::from(nth + 1 == self.chunks);
        Nonce::assume_unique_for_key(nonce)
    }

    /// Seals the plaintext's n-th chunk in place.
    pub fn seal(&self, nth: u64, chunk: &mut Vec<u8>) {
        let sealed = self.key.seal_in_place_append_tag(self.nonce(nth), Aad::empty(), chunk);
        sealed.expect("a chunk is short enough to be sealed");
    }

    /// Opens the sealed asset's n-th chunk in place.
    pub fn open<'a>(&self, nth: u64, chunk: &'a mut [u8]) -> Result<&'a mut [u8], SealError> {
        let opened = self.key.open_in_place(self.nonce(nth), Aad::empty(), chunk);
        opened.map_err(|_| SealError::Chunk(nth))
    }
}

fn cipher(key: &Key) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key.0).expect("a key of 32 bytes"))
}

/// Seals what is in memory.
pub fn seal(key: &Key, bytes: &[u8]) -> Vec<u8> {
    let seal = Seal::new(key, bytes.len() as u64);
    let mut sealed = Vec::with_capacity(bytes.len() + seal.chunks as usize * TAG_BYTES);
    for nth in 0..seal.chunks {
        let rest = &bytes[nth as usize * CHUNK_BYTES..];
        let mut chunk = rest[..rest.len().min(CHUNK_BYTES)].to_vec();
        seal.seal(nth, &mut chunk);
        sealed.extend_from_slice(&chunk);
    }
    sealed
}

/// Opens what is in memory.
pub fn open(key: &Key, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let seal = Seal::of_sealed(key, sealed.len() as u64)?;
    let mut bytes = Vec::with_capacity(sealed.len());
    for (nth, chunk) in (0..).zip(sealed.chunks(CHUNK_BYTES + TAG_BYTES)) {
        bytes.extend_from_slice(seal.open(nth, &mut chunk.to_vec())?);
    }
    Ok(bytes)
}

/// Seals bytes for whoever has the secret: a name that only the secret gives, then the bytes under
/// the key of that name.
pub fn seal_at_rest(secret: &Key, bytes: &[u8]) -> Vec<u8> {
    let name = Digest(*secret.of(&Digest::of(bytes)).secret_for("name").bytes());
    [&name.0[..], &seal(&secret.of(&name), bytes)].concat()
}

/// The bytes again.
pub fn open_at_rest(secret: &Key, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let (name, sealed) = sealed.split_first_chunk::<32>().ok_or(SealError::Size)?;
    open(&secret.of(&Digest(*name)), sealed)
}

/// Where a sealed asset is, and what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Digest of the sealed asset.
    pub sealed: Digest,
    pub key: Key,
}

impl Lock {
    /// What commits to the keyring and its key in public, and says nothing of either.
    pub fn commitment(&self) -> Digest {
        Digest::of(&[b"girih.v1 seal", &self.sealed.0[..], &self.key.0].concat())
    }
}

/// The locks of a job's assets, by what is behind them. Others are not sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring(pub BTreeMap<Digest, Lock>);

impl Keyring {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = KEYRING_HEAD.to_vec();
        for (digest, lock) in &self.0 {
            bytes.extend([digest.0, lock.sealed.0, lock.key.0].as_flattened());
        }
        bytes
    }

    /// Opens a keyring and reads it.
    pub fn open(key: &Key, sealed: &[u8]) -> Result<Self, SealError> {
        if sealed.len() as u64 > sealed_bytes(KEYRING_BYTES_MAX) {
            return Err(SealError::Keyring);
        }
        let bytes = Zeroizing::new(open(key, sealed)?);
        let body = bytes.strip_prefix(KEYRING_HEAD).ok_or(SealError::Keyring)?;
        let (words, rest) = body.as_chunks::<32>();
        if !rest.is_empty() || !words.len().is_multiple_of(3) {
            return Err(SealError::Keyring);
        }
        let lock = |words: &[[u8; 32]]| {
            (Digest(words[0]), Lock { sealed: Digest(words[1]), key: Key(words[2]) })
        };
        Ok(Self(words.chunks_exact(3).map(lock).collect()))
    }
}

/// Half of an agreement on a secret between a worker and a scheduler, for one stream (X25519,
/// RFC 7748).
pub struct Half {
    own: EphemeralPrivateKey,
    /// What the other side is told.
    pub public: [u8; 32],
}

impl Half {
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let own = EphemeralPrivateKey::generate(&X25519, &random);
        let own = own.expect("the system has random bytes");
        let public = own.compute_public_key().expect("a key just made has its public half");
        let public = public.as_ref().try_into().expect("a public key of X25519 has 32 bytes");
        Self { own, public }
    }

    /// The secret, from what the other side told. `None` if that is no key.
    pub fn agree(self, other: &[u8]) -> Option<Wrapper> {
        let mut publics = [self.public.to_vec(), other.to_vec()];
        publics.sort();
        let other = UnparsedPublicKey::new(&X25519, other);
        let shared =
            agree_ephemeral(self.own, other, (), |shared| Key::from_bytes(shared).ok_or(()));
        let both = publics.concat();
        shared.ok().map(|shared| Wrapper(shared.derived(b"girih.v1 wrap", &[&both])))
    }
}

impl Default for Half {
    fn default() -> Self {
        Self::new()
    }
}

/// Wraps keys for the other side of a stream.
#[derive(Debug)]
pub struct Wrapper(Key);

impl Wrapper {
    /// What wraps the key of a lease; it is used for nothing else.
    fn of(&self, lease: u64) -> Seal {
        Seal::new(&self.0.derived(b"girih.v1 lease", &[&lease.to_le_bytes()]), 32)
    }

    pub fn wrap(&self, lease: u64, key: &Key) -> Vec<u8> {
        let mut wrapped = key.0.to_vec();
        self.of(lease).seal(0, &mut wrapped);
        wrapped
    }

    pub fn unwrap(&self, lease: u64, wrapped: &[u8]) -> Option<Key> {
        let mut wrapped = Zeroizing::new(wrapped.to_vec());
        let opened = self.of(lease).open(0, &mut wrapped).ok()?;
        Key::from_bytes(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(bytes: usize) -> (Key, Vec<u8>, Vec<u8>) {
        let plain: Vec<u8> = (0..bytes).map(|at| (at * 7 / 3) as u8).collect();
        let key = Key([7; 32]).of(&Digest::of(&plain));
        let sealed = seal(&key, &plain);
        (key, plain, sealed)
    }

    #[test]
    fn what_is_sealed_opens_again_and_has_the_size_that_is_said() {
        for bytes in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let (key, plain, sealed) = asset(bytes);
            assert_eq!(sealed.len() as u64, sealed_bytes(bytes as u64));
            assert_eq!(open(&key, &sealed), Ok(plain.clone()));
            assert_eq!(seal(&key, &plain), sealed);
            assert_eq!(open(&Key([1; 32]), &sealed), Err(SealError::Chunk(0)));
        }
        let secrets = [Key([1; 32]), Key([2; 32])].map(|secret| secret.of(&Digest::of(b"x")));
        assert_ne!(secrets[0], secrets[1]);
    }

    #[test]
    fn a_chunk_that_is_altered_cut_moved_or_added_is_named() {
        const SEALED: usize = CHUNK_BYTES + TAG_BYTES;
        let (key, _, sealed) = asset(3 * CHUNK_BYTES + 5);
        let fault = |change: fn(&mut Vec<u8>)| {
            let mut sealed = sealed.clone();
            change(&mut sealed);
            open(&key, &sealed).unwrap_err()
        };
        assert_eq!(fault(|sealed| sealed[SEALED + 9] ^= 1), SealError::Chunk(1));
        assert_eq!(fault(|sealed| sealed.truncate(2 * SEALED)), SealError::Chunk(1));
        assert_eq!(fault(|sealed| sealed.truncate(3 * SEALED + 20)), SealError::Chunk(3));
        assert_eq!(fault(|sealed| sealed.truncate(3 * SEALED + 15)), SealError::Size);
        assert_eq!(fault(Vec::clear), SealError::Size);
        assert_eq!(fault(|sealed| drop(sealed.drain(..SEALED))), SealError::Chunk(0));
        assert_eq!(
            fault(|sealed| {
                let (one, two) = sealed.split_at_mut(SEALED);
                one.swap_with_slice(&mut two[..SEALED]);
            }),
            SealError::Chunk(0)
        );
        assert_eq!(fault(|sealed| sealed.extend([0; SEALED])), SealError::Chunk(3));
    }

    #[test]
    fn a_keyring_opens_with_its_key_only() {
        let lock = |byte: u8| Lock { sealed: Digest([byte; 32]), key: Key([byte + 1; 32]) };
        let locks = [(Digest([5; 32]), lock(1)), (Digest([4; 32]), lock(3))];
        let keyring = Keyring(BTreeMap::from(locks));
        let (bytes, key) = (keyring.to_bytes(), Key([9; 32]));
        let read = |bytes: &[u8]| Keyring::open(&key, &seal(&key, bytes));
        assert_eq!(read(&bytes), Ok(keyring.clone()));
        assert_eq!(read(&bytes[..bytes.len() - 1]), Err(SealError::Keyring));
        assert_eq!(read(&bytes[..bytes.len() - 32]), Err(SealError::Keyring));
        assert_eq!(read(&bytes[1..]), Err(SealError::Keyring));
        let huge = vec![0; sealed_bytes(KEYRING_BYTES_MAX) as usize + 1];
        assert_eq!(Keyring::open(&key, &huge), Err(SealError::Keyring));
        let sealed = seal(&key, &bytes);
        assert_eq!(Keyring::open(&Key([8; 32]), &sealed), Err(SealError::Chunk(0)));
        assert_ne!(lock(1).commitment(), lock(2).commitment());
    }

    #[test]
    fn a_wrapped_key_is_for_one_lease_of_one_stream() {
        let (worker, scheduler, stranger) = (Half::new(), Half::new(), Half::new());
        let publics = [worker.public, scheduler.public];
        let [worker, scheduler] =
            [worker.agree(&publics[1]), scheduler.agree(&publics[0])].map(Option::unwrap);
        let key = Key([3; 32]);
        let wrapped = scheduler.wrap(17, &key);
        assert_eq!(wrapped.len(), WRAPPED_BYTES);
        assert_eq!(worker.unwrap(17, &wrapped), Some(key));
        assert_eq!(worker.unwrap(18, &wrapped), None);
        assert_eq!(worker.unwrap(17, &wrapped[1..]), None);
        assert_eq!(worker.unwrap(17, &[]), None);
        assert_eq!(stranger.agree(&publics[1]).unwrap().unwrap(17, &wrapped), None);
        assert!(Half::new().agree(&[0; 32]).is_none() && Half::new().agree(&[1; 31]).is_none());
    }

    #[test]
    fn what_rests_opens_with_its_secret() {
        let (secret, other) = (Key([1; 32]), Key([2; 32]));
        let sealed = seal_at_rest(&secret, b"pixels");
        assert_eq!(open_at_rest(&secret, &sealed), Ok(b"pixels".to_vec()));
        assert_eq!(open_at_rest(&other, &sealed), Err(SealError::Chunk(0)));
        assert_eq!(open_at_rest(&secret, &sealed[..31]), Err(SealError::Size));
        assert_ne!(seal_at_rest(&secret, b"pixelt")[..32], sealed[..32]);
    }

    #[test]
    fn keys_are_not_shown() {
        assert_eq!(format!("{:?}", Key([1; 32])), "Key(..)");
    }
}
