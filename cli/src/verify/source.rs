//! Where a log's files come from: a folder, or a farm over HTTP/2. Knows the layout (C2SP
//! tlog-tiles), not what entries say.

use crate::config::server_of;
use anyhow::Context;
use farm::log::{self, Hash};
use std::path::PathBuf;
use tower::{Service, ServiceExt};
use worker::channel::{Address, Keyed};

/// Entries and hashes in a full tile.
pub const TILE: u64 = 256;
/// Largest file read: a full entry bundle of largest entries.
const FILE_BYTES_MAX: u64 = TILE * (2 + 65_535);

/// A log's files.
pub enum Source {
    Folder(PathBuf),
    Farm { channel: Box<Keyed>, base: String },
}

impl Source {
    /// A folder if it is one, else a URL.
    pub async fn open(place: &str, address: Address) -> anyhow::Result<Self> {
        if !place.contains("://") {
            return Ok(Self::Folder(place.into()));
        }
        let server = server_of(place);
        let trust = match address.server.trim_end_matches('/') == server {
            true => address.trust,
            false => worker::channel::Trust::System,
        };
        let channel = Address { server: server.into(), key: None, trust }.connect().await?;
        let base = place.trim_end_matches('/').into();
        Ok(Self::Farm { channel: Box::new(channel), base })
    }

    /// One file of the log.
    pub async fn read(&mut self, name: &str) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Folder(dir) => {
                let path = dir.join(name);
                let about = std::fs::metadata(&path).with_context(|| path.display().to_string())?;
                anyhow::ensure!(about.len() <= FILE_BYTES_MAX, "{} is too large", path.display());
                std::fs::read(&path).with_context(|| path.display().to_string())
            }
            Self::Farm { channel, base } => get(channel, &format!("{base}/{name}")).await,
        }
    }

    /// A tile as it was when the log had `size` items at this level, and whether more may follow in
    /// it: the log may grow while it is read, and then the whole tile takes the place of its
    /// beginnings (C2SP tlog-tiles).
    async fn tile(&mut self, level: &str, n: u64, size: u64) -> anyhow::Result<(Vec<u8>, bool)> {
        let named = |width| format!("tile/{level}/{}", place(n, width));
        let width = width(n, size);
        match self.read(&named(width)).await {
            Err(error) if width < TILE => match self.read(&named(TILE)).await {
                Ok(whole) => Ok((whole, true)),
                Err(_) => Err(error),
            },
            read => Ok((read?, false)),
        }
    }

    /// The entries of bundle `n` of a tree of `size` entries.
    pub async fn entries(&mut self, n: u64, size: u64) -> anyhow::Result<Vec<Vec<u8>>> {
        let (bytes, more) = self.tile("entries", n, size).await?;
        let (expected, mut rest) = (width(n, size), bytes.as_slice());
        let mut entries = Vec::new();
        for at in 0..expected {
            let cut = || format!("bundle {n} ends within entry {at} of {expected}");
            let (length, after) = rest.split_first_chunk::<2>().with_context(cut)?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (entry, after) = after.split_at_checked(length).with_context(cut)?;
            entries.push(entry.to_vec());
            rest = after;
        }
        anyhow::ensure!(more || rest.is_empty(), "bundle {n} has more than {expected} entries");
        Ok(entries)
    }

    /// The hashes of tile `n` at `level`, where that level has `size` full nodes.
    pub async fn hashes(&mut self, level: u32, n: u64, size: u64) -> anyhow::Result<Vec<Hash>> {
        let (bytes, more) = self.tile(&level.to_string(), n, size).await?;
        let (expected, (hashes, rest)) = (width(n, size) as usize, bytes.as_chunks::<32>());
        let fits = more || rest.is_empty() && hashes.len() == expected;
        let wanted = hashes.get(..expected).filter(|_| fits);
        let wrong = || {
            format!("tile {n} of level {level} has {} bytes, not {expected} hashes", bytes.len())
        };
        Ok(wanted.with_context(wrong)?.to_vec())
    }

    /// The proof that the first `old` entries of the log of `size` are those that were there before
    /// (RFC 6962 §2.1.2), as its hash tiles have it.
    pub async fn consistency(&mut self, old: u64, size: u64) -> anyhow::Result<Vec<Hash>> {
        let mut proof = Vec::new();
        for subtree in log::consistency(old, size) {
            let mut peaks = Vec::new();
            for (level, index) in log::peaks(subtree) {
                peaks.push(self.node(level, index, size).await?);
            }
            proof.push(log::root_of_peaks(&peaks));
        }
        Ok(proof)
    }

    /// Root of the 2^level entries from `index << level` on, of a log of `size`.
    async fn node(&mut self, level: u32, index: u64, size: u64) -> anyhow::Result<Hash> {
        let (tier, span) = (level / 8, 1 << (level % 8));
        let first = index * span;
        let hashes = self.hashes(tier, first / TILE, size >> (8 * tier)).await?;
        let at = (first % TILE) as usize;
        let under = hashes.get(at..at + span as usize);
        under.map(log::root_of).context("a tile of hashes is too short")
    }
}

/// How many of a tile's places are taken.
fn width(n: u64, size: u64) -> u64 {
    size.saturating_sub(n * TILE).min(TILE)
}

/// A tile's path: groups of three digits, all but the last with an `x`; partial tiles by width.
fn place(n: u64, width: u64) -> String {
    let mut path = format!("{:03}", n % 1000);
    let mut rest = n / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    if width == TILE { path } else { format!("{path}.p/{width}") }
}

async fn get(channel: &mut Keyed, url: &str) -> anyhow::Result<Vec<u8>> {
    use http_body_util::{BodyExt, Limited};
    let request = http::Request::get(url).body(tonic::body::Body::empty())?;
    let service = channel.ready().await.with_context(|| url.to_owned())?;
    let answer = service.call(request).await.with_context(|| url.to_owned())?;
    anyhow::ensure!(answer.status().is_success(), "{url}: the farm answers {}", answer.status());
    let body = Limited::new(answer.into_body(), FILE_BYTES_MAX as usize);
    let body = body.collect().await.map_err(|error| anyhow::anyhow!("{url}: {error}"))?;
    Ok(body.to_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_placed_as_the_specification_says() {
        assert_eq!(place(5, TILE), "005");
        assert_eq!(place(1_234_067, TILE), "x001/x234/067");
        assert_eq!(place(273, 112), "273.p/112");
        assert_eq!((width(0, 300), width(1, 300), width(2, 300)), (256, 44, 0));
    }
}
