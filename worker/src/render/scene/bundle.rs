//! A scene bundle: the main file (.gltf or .glb) and the files it names, listed in a manifest.
//! The scene digest is the BLAKE3 digest of the manifest. Knows no meshes, no network.
//!
//! Manifest: the line `girih-bundle 1`, then a line `set key value` for each setting, then a line
//! `id layer name` for each name that ids of a layer stand for (a JSON string; workers pass over
//! it), then a line `digest size path` for each file, the main file first, the others in the order
//! of their paths. UTF-8, `\n` after every line.

use super::fault::{SceneError, malformed, missing, too_large, unsupported};
use super::gltf::Document;
use super::settings::Settings;
use super::{glb, names, uri};
use crate::asset::{Asset, ReadError};
use farm::digest::Digest;
use proto::aov::Aov;
use proto::cryptomatte::IDS_BYTES_MAX;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Most files of one bundle.
pub const FILES_MAX: usize = 4096;
/// Largest file of a bundle, in bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 30;
/// Most bytes of all files of a bundle.
pub const BUNDLE_BYTES_MAX: u64 = 2 << 30;
/// Largest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 4 << 20;

const HEAD: &str = "girih-bundle 1";

/// A file of a bundle on the artist's machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub digest: Digest,
    pub path: PathBuf,
    pub bytes_total: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    asset: Asset,
    bytes_total: u64,
}

/// Where the files of a scene lie on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    main: String,
    files: BTreeMap<String, Held>,
    settings: Settings,
    /// Lines `id layer name`.
    ids: BTreeSet<String>,
}

impl Bundle {
    /// Follows every URI of a scene file. Gives the manifest and the files to send with it, the
    /// main file first.
    pub fn gather(main: &Path) -> Result<(Vec<u8>, Vec<Entry>), SceneError> {
        Self::open(main)?.manifest()
    }

    /// The manifest and the files to send with it, the main file first.
    pub fn manifest(&self) -> Result<(Vec<u8>, Vec<Entry>), SceneError> {
        let mut manifest = format!("{HEAD}\n");
        let lines = self.settings.lines();
        lines.iter().chain(&self.ids).for_each(|line| manifest.push_str(&format!("{line}\n")));
        let mut entries = Vec::new();
        let others = self.files.iter().filter(|(path, _)| **path != self.main);
        let first = self.files.get_key_value(&self.main);
        for (path, held) in first.into_iter().chain(others) {
            let bytes = read_whole(held, path).map_err(|error| error.within(&self.main))?;
            let digest = Digest::of(&bytes);
            manifest.push_str(&format!("{digest} {} {path}\n", held.bytes_total));
            let (path, bytes_total) = (held.asset.path().to_path_buf(), held.bytes_total);
            entries.push(Entry { digest, path, bytes_total });
        }
        Ok((manifest.into_bytes(), entries))
    }

    /// The same bundle drawn by other settings.
    pub fn with(mut self, settings: Settings) -> Result<Self, SceneError> {
        settings.check()?;
        self.settings = settings;
        Ok(self)
    }

    /// The same bundle, saying also which names the ids of these AOVs stand for. Too many names are
    /// left out, and a note says so.
    pub fn with_ids(mut self, aovs: u32) -> Result<(Self, Option<String>), SceneError> {
        let main = self.read_main()?;
        let within = |error: SceneError| error.within(&self.main);
        let document = glb::split(&main).and_then(|(json, _)| Document::parse(json));
        let document = document.map_err(within)?;
        for aov in proto::aov::asked(aovs) {
            let Some(layer) = aov.cryptomatte() else { continue };
            let line = |name: &str| format!("id {layer} {}", serde_json::Value::from(name));
            match aov {
                Aov::MaterialId => self.ids.extend(names::materials(&document).map(|n| line(&n))),
                _ => self.ids.extend(names::objects(&document).map(|n| line(&n))),
            }
        }
        if self.ids.iter().map(|line| line.len() + 1).sum::<usize>() <= IDS_BYTES_MAX {
            return Ok((self, None));
        }
        self.ids.clear();
        let note = format!(
            "names have more than {IDS_BYTES_MAX} bytes; Cryptomattes come without a manifest, \
             with ids only"
        );
        Ok((self, Some(note)))
    }

    /// What the job asks beyond the files.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The bundle of a scene file on this machine, its files where they lie.
    pub fn open(main: &Path) -> Result<Self, SceneError> {
        let name = main_name(main)?;
        Self::follow(main, &name).map_err(|error| error.within(&name))
    }

    /// Reads a manifest; `resolve` says where the bytes of a digest lie, or why they do not.
    pub fn read(
        manifest: &[u8],
        mut resolve: impl FnMut(&Digest) -> Result<Asset, String>,
    ) -> Result<Self, SceneError> {
        if manifest.len() > MANIFEST_BYTES_MAX {
            return Err(too_large(format!("manifest: more than {MANIFEST_BYTES_MAX} bytes")));
        }
        let text = std::str::from_utf8(manifest).map_err(|_| malformed("manifest: not UTF-8"))?;
        let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
        if lines.next() != Some(HEAD) {
            return Err(malformed(format!("manifest: its first line is not `{HEAD}`")));
        }
        let mut main = None;
        let mut files = BTreeMap::new();
        let mut settings = Settings::default();
        let mut bytes_left = BUNDLE_BYTES_MAX;
        for (at, line) in lines.enumerate() {
            let thing = format!("manifest line {}", at + 2);
            if let Some(setting) = line.strip_prefix("set ") {
                settings.read(setting).map_err(|error| error.within(&thing))?;
                continue;
            }
            if line.starts_with("id ") {
                continue;
            }
            if files.len() == FILES_MAX {
                return Err(too_large(format!("{thing}: more than {FILES_MAX} files")));
            }
            let (digest, bytes_total, name) = parse_line(line, &thing)?;
            bytes_left = spend(bytes_left, bytes_total)?;
            let asset = resolve(&digest).map_err(|why| missing(format!("{name}: {why}")))?;
            if files.insert(name.clone(), Held { asset, bytes_total }).is_some() {
                return Err(malformed(format!("{thing}: `{name}` is listed twice")));
            }
            main.get_or_insert(name);
        }
        let main = main.ok_or_else(|| malformed("manifest: it lists no file"))?;
        Ok(Self { main, files, settings, ids: BTreeSet::new() })
    }

    /// Name of the main file.
    pub fn main(&self) -> &str {
        &self.main
    }

    /// Bytes of the main file.
    pub fn read_main(&self) -> Result<Vec<u8>, SceneError> {
        self.read_file(&self.main, "the scene file")
    }

    /// Bytes of a file by its path in the bundle; `thing` names who asks.
    pub fn read_file(&self, path: &str, thing: &str) -> Result<Vec<u8>, SceneError> {
        let held = self.files.get(path).ok_or_else(|| absent(path, thing))?;
        read_whole(held, path)
    }

    fn follow(main: &Path, name: &str) -> Result<Self, SceneError> {
        let folder = match main.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let unreadable = |error| missing(format!("cannot be read: {error}"));
        let root = folder.canonicalize().map_err(unreadable)?;
        let bytes_total = main.metadata().map_err(unreadable)?.len();
        let mut bytes_left = spend(BUNDLE_BYTES_MAX, bytes_total)?;
        let held = Held { asset: main.into(), bytes_total };
        let bytes = read_whole(&held, "the scene file")?;
        let (json, _) = glb::split(&bytes)?;
        let document = Document::parse(json)?;
        let mut files = BTreeMap::from([(name.to_owned(), held)]);
        for (path, thing) in named_files(&document)? {
            if files.contains_key(&path) {
                continue;
            }
            if files.len() == FILES_MAX {
                return Err(too_large(format!("it names more than {FILES_MAX} files")));
            }
            let held = locate(folder, &root, &path, &thing)?;
            bytes_left = spend(bytes_left, held.bytes_total)?;
            files.insert(path, held);
        }
        Ok(Self {
            main: name.to_owned(),
            files,
            settings: Settings::default(),
            ids: BTreeSet::new(),
        })
    }
}

/// Paths that a document names, each with the words for who names it.
fn named_files(document: &Document) -> Result<Vec<(String, String)>, SceneError> {
    let mut found = Vec::new();
    for (index, buffer) in document.buffers.iter().enumerate() {
        let thing = format!("buffer {index}");
        if let Some(uri) = &buffer.uri
            && let Some(path) = uri::file(uri, &thing)?
        {
            found.push((path, thing));
        }
    }
    let mut textures = BTreeMap::new();
    for (index, texture) in document.textures.iter().enumerate() {
        if let Some(image) = texture.image() {
            textures.entry(image as usize).or_insert(index);
        }
    }
    for (index, image) in document.images.iter().enumerate() {
        let thing = match textures.get(&index) {
            Some(texture) => format!("texture {texture}"),
            None => format!("image {index}"),
        };
        if let Some(uri) = &image.uri
            && let Some(path) = uri::file(uri, &thing)?
        {
            found.push((path, thing));
        }
    }
    Ok(found)
}

fn locate(folder: &Path, root: &Path, path: &str, thing: &str) -> Result<Held, SceneError> {
    let place = folder.join(path);
    let real = place.canonicalize().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => absent(path, thing),
        _ => missing(format!("{thing} (`{path}`) cannot be read: {error}")),
    })?;
    if !real.starts_with(root) {
        return Err(unsupported(format!(
            "{thing} (`{path}`) is a link out of the scene's folder; copy the file there"
        )));
    }
    let about = real
        .metadata()
        .map_err(|error| missing(format!("{thing} (`{path}`) cannot be read: {error}")))?;
    if !about.is_file() {
        return Err(missing(format!("{thing} (`{path}`) is not a file")));
    }
    Ok(Held { asset: real.into(), bytes_total: about.len() })
}

fn absent(path: &str, thing: &str) -> SceneError {
    let path = path.escape_debug();
    missing(format!("{thing} (`{path}`) is missing; add it beside the .gltf or pack a .glb"))
}

fn main_name(main: &Path) -> Result<String, SceneError> {
    let shown = main.display();
    let name = main
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| missing(format!("{shown}: not the name of a scene file")))?;
    uri::relative(name, "the scene file").map_err(|error| error.within(name))
}

fn parse_line(line: &str, thing: &str) -> Result<(Digest, u64, String), SceneError> {
    let wrong = || malformed(format!("{thing}: not `digest size path`"));
    let mut parts = line.splitn(3, ' ');
    let (digest, size, path) = (parts.next(), parts.next(), parts.next());
    let digest = digest.and_then(Digest::parse).ok_or_else(wrong)?;
    let bytes_total = size.and_then(|size| size.parse().ok()).ok_or_else(wrong)?;
    let path = path.ok_or_else(wrong)?;
    if uri::relative(path, thing)? != path {
        return Err(wrong());
    }
    Ok((digest, bytes_total, path.to_owned()))
}

fn spend(bytes_left: u64, bytes: u64) -> Result<u64, SceneError> {
    if bytes > FILE_BYTES_MAX {
        return Err(too_large(format!("a file has {bytes} bytes, more than {FILE_BYTES_MAX}")));
    }
    bytes_left
        .checked_sub(bytes)
        .ok_or_else(|| too_large(format!("its files have more than {BUNDLE_BYTES_MAX} bytes")))
}

/// Reads a file that must have the size it was listed with.
fn read_whole(held: &Held, name: &str) -> Result<Vec<u8>, SceneError> {
    let other = || {
        let listed = held.bytes_total;
        malformed(format!("`{name}` does not have the {listed} bytes it was listed with"))
    };
    let bytes = held.asset.read(held.bytes_total).map_err(|error| match error {
        ReadError::TooLarge { .. } => other(),
        error => missing(format!("`{name}` cannot be read: {error}")),
    })?;
    if bytes.len() as u64 == held.bytes_total { Ok(bytes) } else { Err(other()) }
}
