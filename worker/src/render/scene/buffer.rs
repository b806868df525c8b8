//! Buffers (glTF 2.0 §3.6.1): their bytes, and what compressed parts of them become. Knows no
//! element types.

use super::bundle::{BUNDLE_BYTES_MAX, Bundle};
use super::decoder::guarded;
use super::draco::{self, Decoded};
use super::fault::{SceneError, malformed, too_large};
use super::gltf::{self, Document, MeshoptView, item};
use super::meshopt;
use super::uri::{self, Target};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Most bytes of all decoded buffer views and accessors.
pub const DECODED_BYTES_MAX: u64 = 1 << 30;

/// The bytes of every buffer of a document, and of everything decoded.
#[derive(Debug)]
pub struct Buffers<'a> {
    files: Vec<Cow<'a, [u8]>>,
    /// Decoded buffer views, by their numbers.
    views: BTreeMap<u32, Vec<u8>>,
    /// Decoded accessors, by their numbers, tightly packed.
    accessors: Decoded,
}

impl<'a> Buffers<'a> {
    /// Reads all buffers: the GLB chunk, data URIs and files of the bundle; then decodes.
    pub fn read(
        document: &Document,
        chunk: Option<&'a [u8]>,
        bundle: &Bundle,
    ) -> Result<Self, SceneError> {
        let mut bytes_left = BUNDLE_BYTES_MAX;
        let mut files = Vec::new();
        for (index, buffer) in document.buffers.iter().enumerate() {
            let bytes = bytes_of(buffer, index, chunk, bundle)?;
            let absent = bytes.is_empty() && buffer.extensions.meshopt.fallback;
            if (bytes.len() as u64) < buffer.byte_length && !absent {
                return Err(malformed(format!(
                    "buffer {index} is cut off: it says {} bytes and has {}",
                    buffer.byte_length,
                    bytes.len()
                )));
            }
            bytes_left = bytes_left.checked_sub(bytes.len() as u64).ok_or_else(|| {
                too_large(format!("its buffers hold more than {BUNDLE_BYTES_MAX} bytes"))
            })?;
            files.push(bytes);
        }
        let mut buffers = Self { files, views: BTreeMap::new(), accessors: Decoded::new() };
        let mut decoded_left = DECODED_BYTES_MAX;
        buffers.decode_views(document, &mut decoded_left)?;
        buffers.decode_primitives(document, &mut decoded_left)?;
        Ok(buffers)
    }

    /// The bytes of a buffer view and its stride, if it says one.
    pub fn view(
        &self,
        document: &Document,
        index: u32,
        owner: &str,
    ) -> Result<(&[u8], Option<u64>), SceneError> {
        let view = item(&document.buffer_views, index, "buffer view", owner)?;
        if let Some(decoded) = self.views.get(&index) {
            return Ok((decoded, view.byte_stride));
        }
        let place = (view.buffer, view.byte_offset, view.byte_length);
        Ok((self.part(place, &format!("buffer view {index}"))?, view.byte_stride))
    }

    /// The bytes of an accessor that was decoded by itself.
    pub fn decoded(&self, accessor: u32) -> Option<&[u8]> {
        self.accessors.get(&accessor).map(Vec::as_slice)
    }

    fn part(
        &self,
        (buffer, offset, length): (u32, u64, u64),
        owner: &str,
    ) -> Result<&[u8], SceneError> {
        let bytes = item(&self.files, buffer, "buffer", owner)?;
        slice(bytes, offset, length).ok_or_else(|| {
            malformed(format!(
                "{owner} reaches beyond buffer {buffer}, which has {} bytes",
                bytes.len()
            ))
        })
    }

    fn decode_views(&mut self, document: &Document, left: &mut u64) -> Result<(), SceneError> {
        for (index, view) in document.buffer_views.iter().enumerate() {
            let Some(compressed) = &view.extensions.meshopt else { continue };
            let owner = format!("buffer view {index}");
            let MeshoptView { buffer, byte_offset, byte_length, .. } = *compressed;
            let bytes = self.part((buffer, byte_offset, byte_length), &owner)?;
            let size = meshopt::decoded_bytes(compressed, byte_length, &owner)?;
            *left = left.checked_sub(size).ok_or_else(|| too_much(&owner))?;
            let decoded = guarded(&owner, || meshopt::decode(compressed, bytes, &owner))?;
            self.views.insert(index as u32, decoded);
        }
        Ok(())
    }

    fn decode_primitives(&mut self, document: &Document, left: &mut u64) -> Result<(), SceneError> {
        for (mesh, entry) in document.meshes.iter().enumerate() {
            for (at, primitive) in entry.primitives.iter().enumerate() {
                let Some(compressed) = &primitive.extensions.draco else { continue };
                let owner = format!("mesh {mesh} primitive {at}");
                let (bytes, _) = self.view(document, compressed.buffer_view, &owner)?;
                let decoded = draco::decode(document, primitive, compressed, bytes, &owner, left)?;
                self.accessors.extend(decoded);
            }
        }
        Ok(())
    }
}

fn too_much(owner: &str) -> SceneError {
    too_large(format!("{owner}: its data would decode to more than {DECODED_BYTES_MAX} bytes"))
}

fn bytes_of<'a>(
    buffer: &gltf::Buffer,
    index: usize,
    chunk: Option<&'a [u8]>,
    bundle: &Bundle,
) -> Result<Cow<'a, [u8]>, SceneError> {
    let thing = format!("buffer {index}");
    match (&buffer.uri, chunk) {
        (Some(uri), _) => match uri::resolve(uri, &thing)? {
            Target::Embedded(bytes) => Ok(Cow::Owned(bytes)),
            Target::File(path) => bundle.read_file(&path, &thing).map(Cow::Owned),
        },
        (None, Some(chunk)) if index == 0 => Ok(Cow::Borrowed(chunk)),
        (None, _) if buffer.extensions.meshopt.fallback => Ok(Cow::Borrowed(&[])),
        (None, _) => Err(malformed(format!("{thing} has neither a URI nor a GLB chunk"))),
    }
}

/// Bytes from an offset; `None` beyond the end.
pub fn slice(bytes: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let end = offset.checked_add(length)?;
    bytes.get(usize::try_from(offset).ok()?..usize::try_from(end).ok()?)
}
