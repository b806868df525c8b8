//! A scene bundle's manifest as far as the scheduler reads it: the digests of its files, and names
//! that ids stand for. Knows nothing of what is in the files, nor of what has the names.

use crate::sealed::{AssetError, Assets};
use farm::digest::Digest;
use proto::cryptomatte::IDS_BYTES_MAX;
use std::collections::{BTreeMap, BTreeSet};

/// First line of a manifest.
const FIRST_LINE: &[u8] = b"girih-bundle 1\n";
/// What a line begins with that says how the scene is drawn.
const SETTING: &[u8] = b"set ";
/// And one that says which name an id of a layer stands for.
const ID: &[u8] = b"id ";
/// Bytes of a manifest.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// Files of a bundle.
const FILES_MAX: usize = 100_000;

/// A file that a bundle names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleFile {
    pub digest: Digest,
    pub path: String,
}

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("line {0} of the bundle's manifest is not `<digest> <size> <path>`")]
    Line(usize),
    #[error("line {0} of the bundle's manifest is not `id <layer> <name>`, the name in JSON")]
    Name(usize),
    #[error("names of a bundle's ids have at most {IDS_BYTES_MAX} bytes")]
    TooManyNames,
    #[error("a bundle has at most {FILES_MAX} files")]
    TooManyFiles,
    #[error(transparent)]
    Asset(#[from] AssetError),
}

/// What a bundle's manifest lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listed {
    pub files: Vec<BundleFile>,
    /// By layer.
    pub names: BTreeMap<String, BTreeSet<String>>,
}

/// What the scene asset lists; nothing if it is not a bundle.
pub async fn read(assets: &Assets<'_>, scene: &Digest) -> Result<Listed, BundleError> {
    if assets.head(scene, FIRST_LINE.len() as u64).await? != FIRST_LINE {
        return Ok(Listed::default());
    }
    parse(&assets.get(scene, MANIFEST_BYTES_MAX).await?)
}

fn parse(manifest: &[u8]) -> Result<Listed, BundleError> {
    let lines = manifest.split(|byte| *byte == b'\n').enumerate().skip(1);
    let mut listed = Listed::default();
    let mut left = IDS_BYTES_MAX;
    for (nth, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(SETTING)) {
        if line.starts_with(ID) {
            left = left.checked_sub(line.len() + 1).ok_or(BundleError::TooManyNames)?;
            let (layer, name) = named(line).ok_or(BundleError::Name(nth + 1))?;
            listed.names.entry(layer).or_default().insert(name);
            continue;
        }
        if listed.files.len() == FILES_MAX {
            return Err(BundleError::TooManyFiles);
        }
        listed.files.push(file(line).ok_or(BundleError::Line(nth + 1))?);
    }
    Ok(listed)
}

fn named(line: &[u8]) -> Option<(String, String)> {
    let (layer, name) = std::str::from_utf8(line.strip_prefix(ID)?).ok()?.split_once(' ')?;
    Some((layer.to_owned(), serde_json::from_str(name).ok()?))
}

fn file(line: &[u8]) -> Option<BundleFile> {
    let mut parts = std::str::from_utf8(line).ok()?.splitn(3, ' ');
    let digest = Digest::parse(parts.next()?)?;
    parts.next()?.parse::<u64>().ok()?;
    Some(BundleFile { digest, path: parts.next()?.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_a_list_of_digests() {
        let digest = Digest::of(b"x");
        let text = format!(
            "girih-bundle 1\nset clip Run\nid CryptoObject \"A \\n\"\n{digest} 1 a b.png\n"
        );
        let listed = parse(text.as_bytes()).unwrap();
        assert_eq!(listed.files, [BundleFile { digest, path: "a b.png".into() }]);
        let names = BTreeSet::from(["A \n".to_owned()]);
        assert_eq!(listed.names, BTreeMap::from([("CryptoObject".to_owned(), names)]));
    }

    #[test]
    fn names_have_a_limit_and_are_json() {
        let error = parse(b"girih-bundle 1\nid CryptoObject Wall\n").unwrap_err();
        assert!(matches!(error, BundleError::Name(2)), "{error}");
        let line = "id CryptoObject \"0123456789abcdef0123456789abcde\"\n";
        let most = IDS_BYTES_MAX / line.len();
        assert!(parse(format!("x\n{}", line.repeat(most)).as_bytes()).is_ok());
        let error = parse(format!("x\n{}", line.repeat(most + 1)).as_bytes()).unwrap_err();
        assert!(matches!(error, BundleError::TooManyNames), "{error}");
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = parse(b"girih-bundle 1\nzz 1 a\n").unwrap_err();
        assert!(matches!(error, BundleError::Line(2)), "{error}");
    }
}
