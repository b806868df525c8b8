//! Bundles: what is gathered, what the manifest says, what is refused.

use crate::scene_draft::{Draft, VIEW, write};
use farm::digest::Digest;
use serde_json::json;
use worker::render::scene::{Bundle, load};

/// A .gltf with an external buffer whose name has spaces and a heart.
fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
    let mut draft = Draft::quad();
    draft.json["buffers"][0]["uri"] = json!("my%20data/quad%E2%9D%A4.bin");
    let (folder, path) = write(draft.json.to_string().as_bytes());
    std::fs::create_dir(folder.path().join("my data")).unwrap();
    std::fs::write(folder.path().join("my data/quad❤.bin"), &draft.bytes).unwrap();
    (folder, path)
}

#[test]
fn a_bundle_travels_by_digest() {
    let (_folder, path) = folder();
    let (manifest, entries) = Bundle::gather(&path).unwrap();
    let lines: Vec<_> = std::str::from_utf8(&manifest).unwrap().lines().collect();
    assert_eq!(lines[0], "girih-bundle 1");
    assert_eq!(lines[1], format!("{} {} scene.gltf", entries[0].digest, entries[0].bytes_total));
    assert_eq!(lines[2], format!("{} 140 my data/quad❤.bin", entries[1].digest));
    assert_eq!((lines.len(), entries.len()), (3, 2));

    let cache = tempfile::tempdir().unwrap();
    for entry in &entries {
        let bytes = std::fs::read(&entry.path).unwrap();
        assert_eq!(Digest::of(&bytes), entry.digest);
        std::fs::write(cache.path().join(entry.digest.to_string()), bytes).unwrap();
    }
    let bundle = Bundle::read(&manifest, |digest| Ok(cache.path().join(digest.to_string()).into()));
    let there = load(&bundle.unwrap(), None, VIEW).unwrap();
    let here = load(&Bundle::open(&path).unwrap(), None, VIEW).unwrap();
    assert_eq!(format!("{there:?}"), format!("{here:?}"));
}

#[test]
fn the_same_files_give_the_same_manifest() {
    let (_one, first) = folder();
    let (_two, second) = folder();
    assert_eq!(Bundle::gather(&first).unwrap().0, Bundle::gather(&second).unwrap().0);
}

#[test]
fn missing_files_and_folders_are_named() {
    let (folder, path) = folder();
    std::fs::remove_file(folder.path().join("my data/quad❤.bin")).unwrap();
    assert_eq!(
        Bundle::gather(&path).unwrap_err().to_string(),
        "scene.gltf: buffer 0 (`my data/quad❤.bin`) is missing; add it beside the .gltf or pack a \
         .glb"
    );
    std::fs::create_dir(folder.path().join("my data/quad❤.bin")).unwrap();
    assert!(Bundle::gather(&path).unwrap_err().to_string().contains("is not a file"));
    assert!(
        Bundle::gather(&folder.path().join("none.glb"))
            .unwrap_err()
            .to_string()
            .contains("none.glb: cannot be read")
    );
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_refused() {
    let (folder, path) = folder();
    let outside = tempfile::NamedTempFile::new().unwrap();
    let inside = folder.path().join("my data/quad❤.bin");
    std::fs::remove_file(&inside).unwrap();
    std::os::unix::fs::symlink(outside.path(), &inside).unwrap();
    let text = Bundle::gather(&path).unwrap_err().to_string();
    assert!(text.contains("is a link out of the scene's folder; copy the file there"), "{text}");
}

#[test]
fn bad_manifests_are_named() {
    let digest = Digest::of(b"x");
    for (manifest, words) in [
        (String::new(), "its first line is not `girih-bundle 1`"),
        ("girih-bundle 2\n".into(), "its first line"),
        ("girih-bundle 1\n".into(), "manifest: it lists no file"),
        ("girih-bundle 1\nabc 1 a.glb\n".into(), "line 2: not `digest size path`"),
        (format!("girih-bundle 1\n{digest} -1 a.glb\n"), "line 2: not `digest size path`"),
        (format!("girih-bundle 1\n{digest} 1 ../a.glb\n"), "points outside"),
        (format!("girih-bundle 1\n{digest} 1 a//b.glb\n"), "line 2: not `digest size path`"),
        (format!("girih-bundle 1\n{digest} 1 a\n{digest} 1 a\n"), "line 3: `a` is listed twice"),
        (format!("girih-bundle 1\n{digest} 99999999999 a\n"), "more than 1073741824"),
        (format!("girih-bundle 1{}", format!("\n{digest} 0 a").repeat(4097)), "listed twice"),
    ] {
        let text = Bundle::read(manifest.as_bytes(), |_| Ok("x".into())).unwrap_err().to_string();
        assert!(text.contains(words), "{text}");
    }
    let mut long = "girih-bundle 1".to_owned();
    (0..4097).for_each(|at| long.push_str(&format!("\n{digest} 0 {at}")));
    let text = Bundle::read(long.as_bytes(), |_| Ok("x".into())).unwrap_err().to_string();
    assert!(text.contains("more than 4096 files"), "{text}");
}

#[test]
fn a_file_of_another_size_is_refused() {
    let (_folder, path) = folder();
    let (manifest, entries) = Bundle::gather(&path).unwrap();
    let other = tempfile::NamedTempFile::new().unwrap();
    let bundle = Bundle::read(&manifest, |digest| {
        let main = *digest == entries[0].digest;
        Ok(if main { entries[0].path.as_path().into() } else { other.path().into() })
    });
    let text = load(&bundle.unwrap(), None, VIEW).unwrap_err().to_string();
    assert!(text.contains("does not have the 140 bytes it was listed with"), "{text}");
}
