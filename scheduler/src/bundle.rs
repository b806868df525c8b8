//! A scene bundle's manifest as far as the scheduler reads it: the digests of its files. Knows
//! nothing of what is in them.

use crate::blobs::{BlobError, Blobs};
use farm::digest::Digest;

/// First line of a manifest.
const FIRST_LINE: &[u8] = b"girih-bundle 1\n";
/// What a line begins with that says how the scene is drawn.
const SETTING: &[u8] = b"set ";
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
    #[error("a bundle has at most {FILES_MAX} files")]
    TooManyFiles,
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// The files that the scene asset names; none if it is not a bundle.
pub async fn read(blobs: &Blobs, scene: &Digest) -> Result<Vec<BundleFile>, BundleError> {
    let size = blobs.size(scene).await?;
    let first = FIRST_LINE.len() as u64;
    if size < first || blobs.part(scene, 0, first).await? != FIRST_LINE {
        return Ok(Vec::new());
    }
    parse(&blobs.get(scene, MANIFEST_BYTES_MAX).await?)
}

fn parse(manifest: &[u8]) -> Result<Vec<BundleFile>, BundleError> {
    let lines = manifest.split(|byte| *byte == b'\n').enumerate().skip(1);
    let mut files = Vec::new();
    let files_only = |line: &[u8]| !line.is_empty() && !line.starts_with(SETTING);
    for (nth, line) in lines.filter(|(_, line)| files_only(line)) {
        if files.len() == FILES_MAX {
            return Err(BundleError::TooManyFiles);
        }
        files.push(file(line).ok_or(BundleError::Line(nth + 1))?);
    }
    Ok(files)
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
        let text = format!("girih-bundle 1\nset clip Run\n{digest} 1 a b.png\n");
        let files = parse(text.as_bytes()).unwrap();
        assert_eq!(files, [BundleFile { digest, path: "a b.png".into() }]);
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = parse(b"girih-bundle 1\nzz 1 a\n").unwrap_err();
        assert!(matches!(error, BundleError::Line(2)), "{error}");
    }
}
