//! URIs inside a glTF file (glTF 2.0 §2.8): what is embedded, what is a file beside it, what is
//! refused. Knows no file system.

use super::fault::{SceneError, malformed, too_large, unsupported};
use base64::Engine;
use percent_encoding::percent_decode_str;

/// Longest path of a file in a bundle, in bytes.
pub const PATH_BYTES_MAX: usize = 1024;

/// What a URI points at.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// Bytes in the URI itself.
    Embedded(Vec<u8>),
    /// A normal relative path with `/` between its parts.
    File(String),
}

/// Reads a URI; `thing` names its owner in errors.
pub fn resolve(uri: &str, thing: &str) -> Result<Target, SceneError> {
    if let Some(data) = uri.get(..5).filter(|head| head.eq_ignore_ascii_case("data:")) {
        return embedded(&uri[data.len()..], thing).map(Target::Embedded);
    }
    if let Some(scheme) = scheme(uri) {
        return Err(unsupported(format!(
            "{thing} is at `{scheme}:…`; only files beside the .gltf are read: download it there"
        )));
    }
    let path = percent_decode_str(uri)
        .decode_utf8()
        .map_err(|_| malformed(format!("{thing}: its URI is not UTF-8")))?;
    relative(&path, thing).map(Target::File)
}

/// A file's URI or nothing if the bytes are in the URI.
pub fn file(uri: &str, thing: &str) -> Result<Option<String>, SceneError> {
    if uri.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("data:")) {
        return Ok(None);
    }
    match resolve(uri, thing)? {
        Target::File(path) => Ok(Some(path)),
        Target::Embedded(_) => Ok(None),
    }
}

/// Checks that a path stays beside the main file, and drops `.` parts.
pub fn relative(path: &str, thing: &str) -> Result<String, SceneError> {
    if path.len() > PATH_BYTES_MAX {
        return Err(too_large(format!("{thing}: its path has more than {PATH_BYTES_MAX} bytes")));
    }
    let shown = path.escape_debug();
    let outside = path.starts_with('/')
        || path.contains('\\')
        || scheme(path).is_some()
        || path.split('/').any(|part| part == "..");
    if outside {
        return Err(unsupported(format!(
            "{thing} (`{shown}`) points outside the scene's folder; move it beside the .gltf"
        )));
    }
    if path.chars().any(char::is_control) {
        return Err(malformed(format!("{thing} (`{shown}`) has a control character in its name")));
    }
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() {
        return Err(malformed(format!("{thing}: its URI names no file")));
    }
    Ok(parts.join("/"))
}

/// The scheme of an absolute URI (RFC 3986 §3.1); a Windows drive letter counts as one.
fn scheme(uri: &str) -> Option<&str> {
    let (scheme, _) = uri.split_once(':')?;
    let mut letters = scheme.bytes();
    let first = letters.next()?.is_ascii_alphabetic();
    let rest = letters.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    (first && rest).then_some(scheme)
}

fn embedded(data: &str, thing: &str) -> Result<Vec<u8>, SceneError> {
    let (kind, body) = data
        .split_once(',')
        .ok_or_else(|| malformed(format!("{thing}: its data URI has no comma")))?;
    if !kind.ends_with(";base64") {
        return Ok(percent_decode_str(body).collect());
    }
    let lenient = base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent);
    base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, lenient)
        .decode(body)
        .map_err(|error| malformed(format!("{thing}: its base64 is damaged: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_beside_the_scene_are_normalised() {
        for (uri, path) in [
            ("wood.png", "wood.png"),
            ("./a//b/./wood.png", "a/b/wood.png"),
            ("Box%20With%20Spaces.bin", "Box With Spaces.bin"),
            ("Unicode%E2%9D%A4%E2%99%BBTexture.png", "Unicode❤♻Texture.png"),
            ("sub/odd:name.png", "sub/odd:name.png"),
        ] {
            assert_eq!(resolve(uri, "x").unwrap(), Target::File(path.into()), "{uri}");
        }
    }

    #[test]
    fn whatever_leaves_the_folder_is_refused() {
        for uri in [
            "/etc/passwd",
            "../a.png",
            "a/../../b.png",
            "%2e%2e/a.png",
            "a%2F..%2F..%2Fb",
            "..%5Ca",
            "C:/a.png",
            "c:\\a.png",
            "file:///etc/passwd",
            "http://example.com/a",
            "//host/a",
            "a\\..\\b",
            "%2Fetc/passwd",
        ] {
            let error = resolve(uri, "texture 0").unwrap_err().to_string();
            assert!(error.starts_with("texture 0"), "{uri}: {error}");
        }
        assert!(resolve("a%00.png", "x").unwrap_err().to_string().contains("control character"));
        assert!(resolve("", "x").unwrap_err().to_string().contains("names no file"));
        assert!(resolve(&"a".repeat(1025), "x").unwrap_err().to_string().contains("1024"));
    }

    #[test]
    fn data_uris_are_decoded() {
        let embedded = |uri| resolve(uri, "x").unwrap();
        assert_eq!(embedded("data:a/b;base64,AQID"), Target::Embedded(vec![1, 2, 3]));
        assert_eq!(embedded("DATA:,a%20b"), Target::Embedded(b"a b".to_vec()));
        assert!(resolve("data:;base64,@@", "x").unwrap_err().to_string().contains("base64"));
    }
}
