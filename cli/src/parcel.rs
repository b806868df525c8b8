//! What of an order leaves this machine: its assets, sealed under keys that only this user's secret
//! gives, unless they are to stay open; and how they get to the farm.

use crate::config;
use crate::exit::BadInput;
use crate::output::{Form, Progress};
use crate::submit::Bytes;
use anyhow::Context;
use farm::digest::Digest;
use proto::seal::{self, CHUNK_BYTES, Key, Keyring, Lock, Seal, TAG_BYTES};
use proto::v1;
use proto::v1::assets_client::AssetsClient;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use worker::channel::Keyed;

/// Bytes in one message of an upload.
const MESSAGE_BYTES: usize = 1 << 20;
/// Digests asked about in one call.
const DIGESTS_MAX: usize = 10_000;
/// Attempts at an upload that breaks off.
const ATTEMPTS_MAX: u32 = 5;

/// One asset as it is sent.
#[derive(Clone)]
struct Sent {
    bytes: Bytes,
    /// What it is sealed with.
    key: Option<Key>,
}

impl Sent {
    /// Bytes on the way.
    fn size(&self) -> u64 {
        match self.key {
            Some(_) => seal::sealed_bytes(self.bytes.size()),
            None => self.bytes.size(),
        }
    }

    /// Gives it to `each` in pieces of at most a message, from the first that has this offset.
    fn pieces(
        &self,
        offset: u64,
        mut each: impl FnMut(Vec<u8>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Some(key) = &self.key else {
            let mut reader = self.bytes.reader(offset)?;
            loop {
                let piece = take(&mut reader, MESSAGE_BYTES)?;
                if piece.is_empty() {
                    return Ok(());
                }
                each(piece)?;
            }
        };
        let seal = Seal::new(key, self.bytes.size());
        let sealed = (CHUNK_BYTES + TAG_BYTES) as u64;
        let first = offset / sealed;
        let mut skip = (offset % sealed) as usize;
        let mut reader = self.bytes.reader(first * CHUNK_BYTES as u64)?;
        let mut piece = Vec::with_capacity(MESSAGE_BYTES);
        for nth in first..seal.chunks() {
            let mut chunk = take(&mut reader, CHUNK_BYTES)?;
            seal.seal(nth, &mut chunk);
            piece.extend_from_slice(&chunk[skip.min(chunk.len())..]);
            skip = 0;
            if piece.len() + CHUNK_BYTES + TAG_BYTES > MESSAGE_BYTES {
                each(std::mem::replace(&mut piece, Vec::with_capacity(MESSAGE_BYTES)))?;
            }
        }
        if piece.is_empty() { Ok(()) } else { each(piece) }
    }
}

/// So many bytes, or what is left.
fn take(reader: &mut impl Read, count: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(count + TAG_BYTES);
    reader.take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Bytes {
    fn reader(&self, from: u64) -> std::io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Memory(bytes) => {
                let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
                Box::new(&bytes[from..])
            }
            Self::File(path, _) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(from))?;
                Box::new(file)
            }
        })
    }
}

/// An order's assets, ready to be sent.
#[derive(Default)]
pub struct Parcel {
    assets: BTreeMap<Digest, Sent>,
    /// What opens the list of the locks, if they are sealed.
    pub lock: Option<Lock>,
}

impl Parcel {
    /// The assets as they are.
    pub fn open(assets: &BTreeMap<Digest, Bytes>) -> Self {
        let sent = |bytes: &Bytes| Sent { bytes: bytes.clone(), key: None };
        let assets = assets.iter().map(|(digest, bytes)| (*digest, sent(bytes)));
        Self { assets: assets.collect(), lock: None }
    }

    /// The assets sealed, and the list of what opens them.
    pub fn sealed(secret: &Key, assets: &BTreeMap<Digest, Bytes>) -> anyhow::Result<Self> {
        let (mut parcel, mut keyring) = (Self::default(), Keyring::default());
        for (digest, bytes) in assets {
            let lock = parcel.add(secret, digest, bytes)?;
            keyring.0.insert(*digest, lock);
        }
        let keyring = bytes::Bytes::from(keyring.to_bytes());
        let digest = Digest::of(&keyring);
        parcel.lock = Some(parcel.add(secret, &digest, &Bytes::Memory(keyring))?);
        Ok(parcel)
    }

    fn add(&mut self, secret: &Key, digest: &Digest, bytes: &Bytes) -> anyhow::Result<Lock> {
        // Under a key no other bytes may be sealed than those it was made for.
        let mut plain = blake3::Hasher::new();
        let mut reader = bytes.reader(0)?;
        loop {
            let piece = take(&mut reader, MESSAGE_BYTES)?;
            if piece.is_empty() {
                break;
            }
            plain.update(&piece);
        }
        drop(reader);
        if Digest(*plain.finalize().as_bytes()) != *digest {
            let name = match bytes {
                Bytes::File(path, _) => path.display().to_string(),
                Bytes::Memory(_) => digest.to_string(),
            };
            let what = format!("{name} was changed while it was being ordered; order again");
            return Err(BadInput(what).into());
        }
        let key = secret.of(digest);
        let sent = Sent { bytes: bytes.clone(), key: Some(key.clone()) };
        let mut hasher = blake3::Hasher::new();
        sent.pieces(0, |piece| {
            hasher.update(&piece);
            Ok(())
        })?;
        let sealed = Digest(*hasher.finalize().as_bytes());
        self.assets.insert(sealed, sent);
        Ok(Lock { sealed, key })
    }

    /// Uploads what the farm lacks, going on where an earlier upload broke off.
    pub async fn upload(&self, keyed: &Keyed, form: Form) -> anyhow::Result<()> {
        let total = self.assets.values().map(Sent::size).sum();
        let mut progress = Progress::new(form, total);
        let mut attempt = 0;
        loop {
            let missing = self.missing(keyed).await?;
            let rest = |(digest, offset): &(Digest, u64)| {
                self.assets.get(digest).map_or(0, |sent| sent.size().saturating_sub(*offset))
            };
            let mut done = total.saturating_sub(missing.iter().map(rest).sum::<u64>());
            let mut broken = None;
            for (digest, offset) in &missing {
                let Some(sent) = self.assets.get(digest) else { continue };
                progress.at(done, "bytes uploaded");
                match send(keyed, digest, sent, *offset).await {
                    Ok(()) => done += sent.size().saturating_sub(*offset),
                    Err(error) => broken = Some(error),
                }
            }
            attempt += 1;
            match broken {
                None => break,
                Some(error) if attempt >= ATTEMPTS_MAX || !is_passing(&error) => return Err(error),
                Some(error) => form.remark(&format!("upload broke off ({error:#}); going on")),
            }
        }
        progress.finish();
        Ok(())
    }

    async fn missing(&self, keyed: &Keyed) -> anyhow::Result<Vec<(Digest, u64)>> {
        let digests: Vec<_> = self.assets.keys().map(proto::convert::wire_digest).collect();
        let mut client = AssetsClient::new(keyed.clone());
        let mut missing = Vec::new();
        for part in digests.chunks(DIGESTS_MAX) {
            let ask = v1::FindMissingRequest { digests: part.to_vec() };
            for asset in client.find_missing(ask).await?.into_inner().missing {
                missing.push((proto::convert::digest("digest", &asset.digest)?, asset.offset));
            }
        }
        Ok(missing)
    }
}

fn is_passing(error: &anyhow::Error) -> bool {
    let status = error.downcast_ref::<tonic::Status>();
    status.is_some_and(|status| {
        matches!(status.code(), tonic::Code::Unavailable | tonic::Code::Unknown)
    })
}

/// Sends one asset from an offset.
async fn send(keyed: &Keyed, digest: &Digest, sent: &Sent, offset: u64) -> anyhow::Result<()> {
    let (say, outbox) = tokio::sync::mpsc::channel(4);
    let head = v1::UploadRequest {
        digest: proto::convert::wire_digest(digest),
        size: sent.size(),
        offset,
        data: bytes::Bytes::new(),
    };
    let sent = sent.clone();
    let feed = tokio::task::spawn_blocking(move || {
        let ended = |_| anyhow::Error::from(std::io::Error::from(ErrorKind::BrokenPipe));
        say.blocking_send(head).map_err(ended)?;
        sent.pieces(offset, |piece| {
            let message = v1::UploadRequest { data: piece.into(), ..Default::default() };
            say.blocking_send(message).map_err(ended)
        })
    });
    let mut client = AssetsClient::new(keyed.clone());
    let outbox = tokio_stream::wrappers::ReceiverStream::new(outbox);
    let (fed, answer) = tokio::join!(feed, client.upload(outbox));
    // Where the farm broke off, it says why.
    answer?;
    fed?
}

/// The secret that this user's assets are sealed with, made the first time. The same secret gives
/// the same sealed assets, which a farm and its workers then have already.
pub fn secret() -> anyhow::Result<Key> {
    let file = config::data_dir().join("seal.key");
    read_or_make(&file).with_context(|| file.display().to_string())
}

fn read_or_make(file: &Path) -> anyhow::Result<Key> {
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let digits = Digest::parse(text.trim());
            let digits = digits.context("not 64 hexadecimal digits; remove it to make another")?;
            Ok(Key::from_bytes(&digits.0).context("no key of 32 bytes")?)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(dir) = file.parent() {
                std::fs::create_dir_all(dir)?;
            }
            let key = Key::random();
            let dir = file.parent().unwrap_or(Path::new("."));
            let fresh = dir.join(format!("seal.{}.new", std::process::id()));
            let mut options = File::options();
            let mut out =
                options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            out.write_all(Digest(*key.bytes()).to_string().as_bytes())?;
            out.sync_all()?;
            // Whoever else makes one at the same time: one of the two counts.
            let made = std::fs::hard_link(&fresh, file);
            std::fs::remove_file(&fresh)?;
            match made {
                Ok(()) => Ok(key),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => read_or_make(file),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(sent: &Sent, offset: u64) -> Vec<u8> {
        let mut all = Vec::new();
        sent.pieces(offset, |piece| {
            assert!(piece.len() <= MESSAGE_BYTES);
            all.extend(piece);
            Ok(())
        })
        .unwrap();
        all
    }

    #[test]
    fn an_upload_goes_on_anywhere_and_is_what_sealing_at_once_gives() {
        let plain: Vec<u8> = (0..2_500_000_u32).map(|at| (at / 7) as u8).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("asset");
        std::fs::write(&path, &plain).unwrap();
        let key = Key::random();
        let whole = seal::seal(&key, &plain);
        let size = plain.len() as u64;
        for bytes in [Bytes::Memory(plain.clone().into()), Bytes::File(path, size)] {
            let sealed = Sent { bytes: bytes.clone(), key: Some(key.clone()) };
            assert_eq!(sealed.size(), whole.len() as u64);
            let open = Sent { bytes, key: None };
            for offset in [0, 1, 65_551, 65_552, 65_553, 1_000_000, whole.len() as u64] {
                assert!(pieces(&sealed, offset) == whole[offset as usize..], "{offset}");
                let rest = &plain[plain.len().min(offset as usize)..];
                assert!(pieces(&open, offset) == rest, "{offset}");
            }
        }
    }

    #[test]
    fn the_same_secret_gives_the_same_parcel_and_it_opens() {
        let bytes = |text: &'static str| Bytes::Memory(bytes::Bytes::from(text));
        let digests = ["", "a scene"].map(|text| Digest::of(text.as_bytes()));
        let assets = BTreeMap::from([(digests[0], bytes("")), (digests[1], bytes("a scene"))]);
        let (own, other) = (Key::random(), Key::random());
        let parcel = Parcel::sealed(&own, &assets).unwrap();
        let again = Parcel::sealed(&own, &assets).unwrap();
        assert_eq!(parcel.lock, again.lock);
        assert_ne!(parcel.lock, Parcel::sealed(&other, &assets).unwrap().lock);
        let lock = parcel.lock.unwrap();
        let keyring = Keyring::open(&lock.key, &pieces(&parcel.assets[&lock.sealed], 0)).unwrap();
        let inner = &keyring.0[&digests[1]];
        let sealed = pieces(&parcel.assets[&inner.sealed], 0);
        assert_eq!(seal::open(&inner.key, &sealed).unwrap(), b"a scene");
        let false_name = BTreeMap::from([(digests[0], bytes("a scene"))]);
        let said = Parcel::sealed(&own, &false_name).err().unwrap().to_string();
        assert!(said.contains("was changed while it was being ordered"), "{said}");
    }

    #[test]
    fn a_secret_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("girih").join("seal.key");
        let made = read_or_make(&file).unwrap();
        assert!(read_or_make(&file).unwrap() == made);
        assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
        std::fs::write(&file, "x").unwrap();
        assert!(read_or_make(&file).is_err());
    }
}
