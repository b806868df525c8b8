//! The GLB container (glTF 2.0 §4): finds the JSON and the binary chunk. Knows no JSON.

use super::fault::{SceneError, malformed, unsupported};

const MAGIC: u32 = 0x4654_6c67;
const JSON: u32 = 0x4e4f_534a;
const BIN: u32 = 0x004e_4942;

/// JSON text and, in a GLB that has one, the binary chunk.
pub fn split(file: &[u8]) -> Result<(&[u8], Option<&[u8]>), SceneError> {
    if word(file, 0) != Some(MAGIC) {
        return Ok((file, None));
    }
    let header = (word(file, 4), word(file, 8));
    let (Some(version), Some(length)) = header else {
        return Err(malformed("the GLB is cut off inside its header"));
    };
    if version != 2 {
        return Err(unsupported(format!("GLB version {version}; export it as glTF 2.0")));
    }
    let held = file.len();
    let Some(file) = file.get(..length as usize) else {
        return Err(malformed(format!(
            "the GLB is cut off: it says {length} bytes and has {held}; copy or export it again"
        )));
    };
    let (json, rest) = chunk(file.get(12..).unwrap_or_default(), 0)?;
    if json.0 != JSON {
        return Err(malformed("the first chunk of the GLB is not JSON"));
    }
    let mut rest = rest;
    let mut number = 1;
    while !rest.is_empty() {
        let (found, after) = chunk(rest, number)?;
        if found.0 == BIN {
            return Ok((json.1, Some(found.1)));
        }
        (rest, number) = (after, number + 1);
    }
    Ok((json.1, None))
}

type Chunk<'a> = (u32, &'a [u8]);

fn chunk(bytes: &[u8], number: usize) -> Result<(Chunk<'_>, &[u8]), SceneError> {
    let (Some(length), Some(kind)) = (word(bytes, 0), word(bytes, 4)) else {
        return Err(malformed(format!("the GLB is cut off in the header of chunk {number}")));
    };
    let body = &bytes[8..];
    let length = length as usize;
    if length > body.len() {
        return Err(malformed(format!(
            "chunk {number} of the GLB says {length} bytes where {} are left",
            body.len()
        )));
    }
    let (chunk, rest) = body.split_at(length);
    Ok(((kind, chunk), rest))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
