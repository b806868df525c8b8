//! The public log's files: C2SP tlog-tiles below one directory. Grows by opaque entries; anything
//! not yet known to be on disk is derived again from the journal.

use farm::log::{Hash, empty_root, leaf_hash, node_hash, root_of};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Hashes in a tile, entries in a bundle.
pub const TILE: u64 = 256;

/// Path of a tile or of an entry bundle (`entries`), whole or with `width` items, as in
/// C2SP tlog-tiles: three digits a step, all but the last after an `x`.
pub fn path(level: &str, index: u64, width: u64) -> String {
    let mut steps = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        steps.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    steps.reverse();
    let partial = if width < TILE { format!(".p/{width}") } else { String::new() };
    format!("tile/{level}/{}{partial}", steps.join("/"))
}

/// The growing log.
#[derive(Debug)]
pub struct Tiles {
    dir: PathBuf,
    size: u64,
    /// By level, the hashes of the tile that is not yet whole.
    levels: Vec<Vec<Hash>>,
    /// The bundle that is not yet whole.
    bundle: Vec<u8>,
    /// Up to this size there may be files of tiles that are not whole.
    partial: u64,
}

impl Tiles {
    /// Opens the log as it was last known to be on disk; empty if that cannot be read back.
    pub fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let fresh = Self::empty(dir);
        let Ok(synced) = std::fs::read_to_string(dir.join("synced")) else { return Ok(fresh) };
        let Some((size, root)) = synced.trim_end().split_once('\n') else { return Ok(fresh) };
        let Ok(size) = size.parse() else { return Ok(fresh) };
        match fresh.load(size) {
            Some(loaded) if hex(&loaded.root()) == root => Ok(loaded),
            _ => {
                tracing::warn!("{}: not as it was synced; written again", dir.display());
                Ok(fresh)
            }
        }
    }

    /// What an earlier process left is not known before the first [`Self::write_partial`].
    fn empty(dir: &Path) -> Self {
        let (levels, bundle) = (vec![Vec::new()], Vec::new());
        Self { dir: dir.into(), size: 0, levels, bundle, partial: u64::MAX }
    }

    fn load(&self, size: u64) -> Option<Self> {
        let read = |level: &str, count: u64| {
            let (index, width) = (count / TILE, count % TILE);
            if width == 0 {
                return Some(Vec::new());
            }
            let whole = std::fs::read(self.dir.join(path(level, index, TILE)));
            whole.or_else(|_| std::fs::read(self.dir.join(path(level, index, width)))).ok()
        };
        let (mut levels, mut count) = (Vec::new(), size);
        loop {
            let bytes = read(&levels.len().to_string(), count)?;
            let bytes = bytes.get(..(count % TILE) as usize * 32)?;
            levels.push(bytes.chunks_exact(32).filter_map(|h| h.try_into().ok()).collect());
            count /= TILE;
            if count == 0 {
                break;
            }
        }
        let mut bundle = read("entries", size)?;
        let ends: Option<usize> = (0..size % TILE).try_fold(0, |at, _| {
            let length = bundle.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))?;
            Some(at + 2 + usize::from(length)).filter(|end| *end <= bundle.len())
        });
        bundle.truncate(ends?);
        Some(Self { size, levels, bundle, ..Self::empty(&self.dir) })
    }

    /// Entries so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root over all entries: the complete subtrees of the tiles at hand, folded from the right.
    pub fn root(&self) -> Hash {
        let mut peaks = Vec::new();
        for hashes in self.levels.iter().rev() {
            let mut rest = &hashes[..];
            while !rest.is_empty() {
                let (head, tail) = rest.split_at(1 << rest.len().ilog2());
                peaks.push(root_of(head));
                rest = tail;
            }
        }
        let mut peaks = peaks.into_iter().rev();
        let Some(last) = peaks.next() else { return empty_root() };
        peaks.fold(last, |right, left| node_hash(&left, &right))
    }

    /// Appends an entry; whole tiles are written as they fill. At most 65,535 bytes.
    pub fn append(&mut self, entry: &[u8]) -> io::Result<()> {
        let length = u16::try_from(entry.len()).map_err(io::Error::other)?;
        self.bundle.extend_from_slice(&length.to_be_bytes());
        self.bundle.extend_from_slice(entry);
        let index = self.size / TILE;
        self.size += 1;
        if self.size.is_multiple_of(TILE) {
            self.write_whole("entries", index, index * TILE, &self.bundle)?;
            self.bundle.clear();
        }
        let (mut hash, mut level, mut count, mut span) = (leaf_hash(entry), 0, self.size, TILE);
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(hash);
            if !count.is_multiple_of(TILE) {
                return Ok(());
            }
            let hashes = std::mem::take(&mut self.levels[level]);
            let (index, first) = (count / TILE - 1, self.size - span);
            self.write_whole(&level.to_string(), index, first, hashes.as_flattened())?;
            hash = root_of(&hashes);
            count /= TILE;
            span = span.saturating_mul(TILE);
            level += 1;
        }
    }

    /// Writes a whole tile over the entries from `first` to the newest; it takes the place of
    /// those that were not whole.
    fn write_whole(&self, level: &str, index: u64, first: u64, bytes: &[u8]) -> io::Result<()> {
        let path = self.dir.join(path(level, index, TILE));
        match create_new(&path) {
            Ok(mut file) => file.write_all(bytes)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if std::fs::read(&path)? != bytes {
                    replace(&path, bytes)?;
                }
            }
            Err(error) => return Err(error),
        }
        if self.partial <= first {
            return Ok(());
        }
        let mut partial = path.into_os_string();
        partial.push(".p");
        match std::fs::remove_dir_all(&partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes the tiles that are not whole, as far as they are.
    pub fn write_partial(&mut self) -> io::Result<()> {
        self.partial = self.size;
        let mut count = self.size;
        for (level, hashes) in self.levels.iter().enumerate() {
            if !hashes.is_empty() {
                let path = path(&level.to_string(), count / TILE, hashes.len() as u64);
                replace(&self.dir.join(path), hashes.as_flattened())?;
            }
            count /= TILE;
        }
        let width = self.size % TILE;
        if width > 0 {
            let path = path("entries", self.size / TILE, width);
            replace(&self.dir.join(path), &self.bundle)?;
        }
        Ok(())
    }

    /// Makes all files durable and notes how far that is.
    pub fn sync(&mut self) -> io::Result<()> {
        self.write_partial()?;
        rustix::fs::syncfs(File::open(&self.dir)?)?;
        let synced = format!("{}\n{}\n", self.size, hex(&self.root()));
        replace(&self.dir.join("synced"), synced.as_bytes())
    }
}

/// Reads the nodes of the tree over the first `size` entries of a log; keeps of each level the tile
/// read last.
#[derive(Debug)]
pub struct Nodes<'a> {
    dir: &'a Path,
    size: u64,
    held: BTreeMap<u32, (u64, Vec<Hash>)>,
}

impl<'a> Nodes<'a> {
    pub fn new(dir: &'a Path, size: u64) -> Self {
        Self { dir, size, held: BTreeMap::new() }
    }

    /// Root of the 2^level entries from `index << level` on, all of them below `size`.
    pub fn node(&mut self, level: u32, index: u64) -> io::Result<Hash> {
        let (tier, span) = (level / 8, 1 << (level % 8));
        let first = index * span;
        let tile = first / TILE;
        if self.held.get(&tier).is_none_or(|(held, _)| *held != tile) {
            let count = self.size >> (8 * tier);
            let bytes = read_tile(self.dir, &tier.to_string(), tile, count)?;
            self.held.insert(tier, (tile, bytes.as_chunks().0.to_vec()));
        }
        let hashes = &self.held[&tier].1;
        let at = (first % TILE) as usize;
        let under = hashes.get(at..at + span as usize);
        under.map(root_of).ok_or_else(|| io::Error::other("a tile of hashes is too short"))
    }
}

fn hex(hash: &Hash) -> String {
    farm::digest::Digest(*hash).to_string()
}

fn create_new(path: &Path) -> io::Result<File> {
    let open = || File::options().write(true).create_new(true).open(path);
    match open() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            open()
        }
        opened => opened,
    }
}

/// Puts bytes in a file's place, so that a reader sees the old or the new.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    std::fs::remove_file(&fresh).ok();
    create_new(&fresh)?.write_all(bytes)?;
    std::fs::rename(&fresh, path)
}

/// The entries of a bundle's bytes, up to the first that does not fit.
pub fn entries(bundle: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bundle;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        rest = after;
        Some(entry)
    })
}

/// Reads the bundle `index` of a log with `size` entries.
pub fn read_bundle(dir: &Path, index: u64, size: u64) -> io::Result<Vec<u8>> {
    read_tile(dir, "entries", index, size)
}

/// Reads the tile `index` of a level with `count` items. One that is not whole may become so, and
/// vanish, between two looks.
fn read_tile(dir: &Path, level: &str, index: u64, count: u64) -> io::Result<Vec<u8>> {
    let width = (count - index * TILE).min(TILE);
    let read = |width| std::fs::read(dir.join(path(level, index, width)));
    read(TILE).or_else(|_| read(width)).or_else(|_| read(TILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_tlog_tiles() {
        assert_eq!(path("0", 1_234_067, TILE), "tile/0/x001/x234/067");
        assert_eq!(path("entries", 0, 5), "tile/entries/000.p/5");
    }

    #[test]
    fn root_and_files_follow_rfc_6962_across_a_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let mut tiles = Tiles::open(dir.path()).unwrap();
        let mut hashes = Vec::new();
        for n in 0..66_000u32 {
            tiles.append(&n.to_be_bytes()).unwrap();
            hashes.push(leaf_hash(&n.to_be_bytes()));
            if n % 9_999 == 0 || n == 65_535 {
                assert_eq!(tiles.root(), root_of(&hashes), "size {}", n + 1);
                tiles.sync().unwrap();
                tiles = Tiles::open(dir.path()).unwrap();
                assert_eq!(tiles.size(), u64::from(n) + 1);
            }
        }
        assert_eq!(tiles.root(), root_of(&hashes));
        tiles.write_partial().unwrap();
        let last = read_bundle(dir.path(), 257, 66_000).unwrap();
        assert_eq!(entries(&last).last(), Some(&65_999u32.to_be_bytes()[..]));
    }

    #[test]
    fn every_node_of_the_tree_is_read_from_the_tiles() {
        let dir = tempfile::tempdir().unwrap();
        let mut tiles = Tiles::open(dir.path()).unwrap();
        let hashes: Vec<Hash> = (0..70_000u32)
            .map(|n| {
                tiles.append(&n.to_be_bytes()).unwrap();
                leaf_hash(&n.to_be_bytes())
            })
            .collect();
        tiles.write_partial().unwrap();
        let mut nodes = Nodes::new(dir.path(), 70_000);
        for (level, index) in [(0, 0), (0, 69_999), (3, 8_749), (8, 272), (11, 33), (16, 0)] {
            let first = index as usize * (1 << level);
            let due = root_of(&hashes[first..first + (1 << level)]);
            assert_eq!(nodes.node(level, index).unwrap(), due, "{index} of level {level}");
        }
    }

    #[test]
    fn a_whole_tile_takes_the_place_of_its_beginnings() {
        let dir = tempfile::tempdir().unwrap();
        let mut tiles = Tiles::open(dir.path()).unwrap();
        for n in 0..1_500u32 {
            tiles.append(&n.to_be_bytes()).unwrap();
            if n % 100 == 0 || n == 511 {
                tiles.write_partial().unwrap();
            }
            if n == 700 {
                tiles.sync().unwrap();
                tiles = Tiles::open(dir.path()).unwrap();
            }
        }
        for level in ["0", "entries"] {
            let names = std::fs::read_dir(dir.path().join("tile").join(level)).unwrap();
            let mut names: Vec<_> = names.map(|file| file.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, ["000", "001", "002", "003", "004", "005.p"], "{level}");
        }
    }

    #[test]
    fn a_log_that_is_not_as_synced_starts_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut tiles = Tiles::open(dir.path()).unwrap();
        (0..300u32).for_each(|n| tiles.append(&n.to_be_bytes()).unwrap());
        tiles.sync().unwrap();
        std::fs::write(dir.path().join("tile/0/001.p/44"), [0; 44 * 32]).unwrap();
        assert_eq!(Tiles::open(dir.path()).unwrap().size(), 0);
    }
}
