//! Finished results on disk, so that neither a lost stream nor a killed process loses work. One
//! file a lease: the work, the leaves, the output, and a BLAKE3 digest over it all, sealed under a
//! secret of the worker's.

use farm::agent::Work;
use farm::command::Outcome;
use farm::digest::Digest;
use farm::id::{JobId, LeaseId};
use farm::leaf::{self, Leaf};
use farm::limit;
use proto::seal::{Key, open_at_rest, seal_at_rest, sealed_bytes};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 16] = b"girih.result/1\r\n";
/// Largest result file read back: the largest tile, its leaves, a header.
const FILE_BYTES_MAX: u64 = proto::aov::TILE_BYTES_MAX + 44 * limit::LEAVES_MAX + 65_536;

/// What an engine made of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Product {
    /// A whole tile: its bytes and all leaves.
    Tile { output: Vec<u8>, leaves: Vec<Leaf> },
    /// The leaves of an audit.
    Audit(Vec<Leaf>),
    /// Nothing; whose fault, and why.
    Failed { scene: bool, why: String },
}

impl Product {
    /// What is reported of it. `None` if the leaves commit to nothing.
    pub fn outcome(&self) -> Option<Outcome> {
        Some(match self {
            Self::Tile { output, leaves } => {
                Outcome::Done { output: Digest::of(output), commitment: leaf::commit(leaves)? }
            }
            Self::Audit(leaves) => Outcome::Leaves(leaves.clone()),
            Self::Failed { scene, why } => Outcome::Failed { scene: *scene, why: why.clone() },
        })
    }
}

/// A directory of results.
#[derive(Clone, Debug)]
pub struct Results {
    dir: PathBuf,
    secret: Key,
}

impl Results {
    /// Opens the directory, made if need be; half-written files of a killed process go.
    pub fn open(dir: PathBuf, secret: Key) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        for file in fs::read_dir(&dir)? {
            let path = file?.path();
            if path.extension().is_some_and(|end| end == "part") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { dir, secret })
    }

    fn file(&self, lease: LeaseId) -> PathBuf {
        self.dir.join(format!("{:016x}", lease.to_u64()))
    }

    /// Stores a result durably; afterwards it is there whole or, had this failed, not at all.
    pub fn put(&self, lease: LeaseId, work: &Work, product: &Product) -> io::Result<()> {
        let bytes = seal_at_rest(&self.secret, &encode(lease, work, product));
        let path = self.file(lease);
        let part = path.with_extension("part");
        let mut out = fs::File::create(&part)?;
        out.write_all(&bytes)?;
        out.sync_data()?;
        fs::rename(&part, &path)
    }

    /// The result of a lease. An error if it is missing or damaged.
    pub fn get(&self, lease: LeaseId) -> io::Result<(Work, Product)> {
        let path = self.file(lease);
        if fs::metadata(&path)?.len() > 32 + sealed_bytes(FILE_BYTES_MAX) {
            return Err(damaged(&path));
        }
        let sealed = fs::read(&path)?;
        let bytes = open_at_rest(&self.secret, &sealed).map_err(|_| damaged(&path))?;
        match decode(&bytes) {
            Some((found, work, product)) if found == lease => Ok((work, product)),
            _ => Err(damaged(&path)),
        }
    }

    /// Every whole result; damaged ones are removed, for they can never be handed in.
    pub fn all(&self) -> io::Result<Vec<(LeaseId, Work)>> {
        let mut found = Vec::new();
        for file in fs::read_dir(&self.dir)? {
            let path = file?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Ok(bits) = u64::from_str_radix(name, 16) else { continue };
            let lease = LeaseId::from_u64(bits);
            match self.get(lease) {
                Ok((work, _)) => found.push((lease, work)),
                Err(error) => {
                    tracing::warn!("{error}; removed");
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(found)
    }

    /// Forgets a result; it may be gone already.
    pub fn forget(&self, lease: LeaseId) -> io::Result<()> {
        match fs::remove_file(self.file(lease)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn damaged(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: damaged result", path.display()))
}

fn encode(lease: LeaseId, work: &Work, product: &Product) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&lease.to_u64().to_le_bytes());
    bytes.extend_from_slice(&work.job.0.to_le_bytes());
    bytes.extend_from_slice(&work.tile.to_le_bytes());
    count(&mut bytes, work.leaves.len());
    work.leaves.iter().for_each(|leaf| bytes.extend_from_slice(&leaf.to_le_bytes()));
    match product {
        Product::Tile { output, leaves } => {
            bytes.push(1);
            encode_leaves(&mut bytes, leaves);
            count(&mut bytes, output.len());
            bytes.extend_from_slice(output);
        }
        Product::Audit(leaves) => {
            bytes.push(2);
            encode_leaves(&mut bytes, leaves);
        }
        Product::Failed { scene, why } => {
            bytes.push(if *scene { 4 } else { 3 });
            count(&mut bytes, why.len());
            bytes.extend_from_slice(why.as_bytes());
        }
    }
    let digest = Digest::of(&bytes);
    bytes.extend_from_slice(&digest.0);
    bytes
}

fn count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend_from_slice(&(count as u64).to_le_bytes());
}

fn encode_leaves(bytes: &mut Vec<u8>, leaves: &[Leaf]) {
    count(bytes, leaves.len());
    for leaf in leaves {
        bytes.extend_from_slice(&leaf.hash.0);
        bytes.extend_from_slice(&leaf.units.to_le_bytes());
    }
}

fn decode(bytes: &[u8]) -> Option<(LeaseId, Work, Product)> {
    let (body, digest) = bytes.split_last_chunk::<32>()?;
    if Digest::of(body).0 != *digest {
        return None;
    }
    let mut rest = body.strip_prefix(MAGIC)?;
    let lease = LeaseId::from_u64(u64::from_le_bytes(take(&mut rest)?));
    let job = JobId(u32::from_le_bytes(take(&mut rest)?));
    let tile = u64::from_le_bytes(take(&mut rest)?);
    let asked = counted(&mut rest, 4)?;
    let leaves = asked
        .chunks_exact(4)
        .map(|four| u32::from_le_bytes(four.try_into().expect("chunks of 4 have 4 bytes")));
    // What it was made of nobody asks about a finished result.
    let work = Work { job, tile, leaves: leaves.collect(), inputs: Vec::new() };
    let [kind] = take::<1>(&mut rest)?;
    let product = match kind {
        1 => {
            let leaves = decode_leaves(&mut rest)?;
            Product::Tile { leaves, output: counted(&mut rest, 1)?.to_vec() }
        }
        2 => Product::Audit(decode_leaves(&mut rest)?),
        3 | 4 => {
            let why = String::from_utf8(counted(&mut rest, 1)?.to_vec()).ok()?;
            Product::Failed { scene: kind == 4, why }
        }
        _ => return None,
    };
    rest.is_empty().then_some((lease, work, product))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

/// A count and so many items of `size` bytes.
fn counted<'a>(rest: &mut &'a [u8], size: usize) -> Option<&'a [u8]> {
    let count = usize::try_from(u64::from_le_bytes(take(rest)?)).ok()?;
    let (items, after) = rest.split_at_checked(count.checked_mul(size)?)?;
    *rest = after;
    Some(items)
}

fn decode_leaves(rest: &mut &[u8]) -> Option<Vec<Leaf>> {
    let items = counted(rest, 40)?.chunks_exact(40);
    let leaf = |item: &[u8]| {
        let (hash, units) = item.split_first_chunk::<32>()?;
        let units = u64::from_le_bytes(units.try_into().ok()?);
        Some(Leaf { hash: Digest(*hash), units })
    };
    items.map(leaf).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Product> {
        let leaf = |n: u8| Leaf { hash: Digest([n; 32]), units: u64::from(n) << 40 };
        vec![
            Product::Tile { output: vec![7; 100], leaves: vec![leaf(1), leaf(2)] },
            Product::Audit(vec![leaf(3)]),
            Product::Failed { scene: true, why: "wood.png is missing".into() },
            Product::Failed { scene: false, why: String::new() },
        ]
    }

    #[test]
    fn results_survive_a_restart_until_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let secret = Key::random();
        let results = Results::open(dir.path().join("results"), secret.clone()).unwrap();
        let work = Work { job: JobId(4), tile: 1 << 40, leaves: vec![1, 5], inputs: vec![] };
        for (slot, product) in samples().iter().enumerate() {
            let lease = LeaseId { slot: slot as u32, epoch: 9 };
            results.put(lease, &work, product).unwrap();
            let again = Results::open(dir.path().join("results"), secret.clone()).unwrap();
            assert_eq!(again.get(lease).unwrap(), (work.clone(), product.clone()));
        }
        assert_eq!(results.all().unwrap().len(), 4);
        results.forget(LeaseId { slot: 0, epoch: 9 }).unwrap();
        results.forget(LeaseId { slot: 0, epoch: 9 }).unwrap();
        assert_eq!(results.all().unwrap().len(), 3);
    }

    #[test]
    fn a_damaged_result_is_never_handed_in() {
        let work = Work { job: JobId(4), tile: 2, leaves: vec![], inputs: vec![] };
        for product in samples() {
            let bytes = encode(LeaseId { slot: 1, epoch: 1 }, &work, &product);
            for cut in 0..bytes.len() {
                assert!(decode(&bytes[..cut]).is_none());
            }
            for at in 0..bytes.len() {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1;
                assert!(decode(&flipped).is_none());
            }
        }
    }
}
