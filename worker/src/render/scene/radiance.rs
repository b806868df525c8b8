//! Radiance RGBE pictures (.hdr; G. Ward, "Real Pixels", Graphics Gems II): flat, old and new
//! run lengths. Knows no environment.

use super::fault::{SceneError, malformed, unsupported};

/// Longest header, in bytes.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Linear RGB rows from the top.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<[f32; 3]>,
}

/// Decodes a picture; `allow` sees its width and height before memory is taken.
pub fn decode(
    bytes: &[u8],
    allow: impl Fn(u64, u64) -> Result<(), SceneError>,
) -> Result<Picture, SceneError> {
    let mut rest = bytes;
    let (width, height) = header(&mut rest)?;
    allow(u64::from(width), u64::from(height))?;
    let mut pixels = Vec::new();
    let mut row = vec![[0; 4]; width as usize];
    for _ in 0..height {
        read_row(&mut rest, &mut row)?;
        pixels.extend(row.iter().map(|rgbe| linear(*rgbe)));
    }
    Ok(Picture { width, height, pixels })
}

fn header(rest: &mut &[u8]) -> Result<(u32, u32), SceneError> {
    let limit = rest.len().min(HEADER_BYTES_MAX);
    let mut left = &rest[..limit];
    let first = line(&mut left)?;
    if !first.starts_with("#?") {
        return Err(malformed("not a Radiance picture: it does not start with `#?`"));
    }
    loop {
        match line(&mut left)? {
            "" => break,
            "FORMAT=32-bit_rle_xyze" => {
                return Err(unsupported("its colours are XYZ; save it as RGB"));
            }
            _ => {}
        }
    }
    let size = line(&mut left)?;
    *rest = &rest[limit - left.len()..];
    let parts: Vec<_> = size.split_ascii_whitespace().collect();
    let [y, height, x, width] = parts[..] else {
        return Err(malformed("its size line is not four words"));
    };
    if (y, x) != ("-Y", "+X") {
        return Err(unsupported(format!(
            "its rows run `{}`; save it with rows from the top (-Y +X)",
            size.escape_debug()
        )));
    }
    let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n > 0);
    match (number(width), number(height)) {
        (Some(width), Some(height)) => Ok((width, height)),
        _ => Err(malformed("its size is not two positive numbers")),
    }
}

fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a str, SceneError> {
    let cut = || malformed("it is cut off in its header");
    let end = rest.iter().position(|&b| b == b'\n').ok_or_else(cut)?;
    let text = &rest[..end];
    *rest = &rest[end + 1..];
    let text = std::str::from_utf8(text).map_err(|_| malformed("its header is not text"))?;
    Ok(text.trim_end_matches('\r'))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], SceneError> {
    let (head, tail) =
        rest.split_first_chunk::<N>().ok_or_else(|| malformed("it is cut off in its pixels"))?;
    *rest = tail;
    Ok(*head)
}

fn read_row(rest: &mut &[u8], row: &mut [[u8; 4]]) -> Result<(), SceneError> {
    let width = row.len();
    let marked = match rest {
        [2, 2, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])) == width,
        _ => false,
    };
    let new = marked && (8..32768).contains(&width);
    if !new {
        return read_old_row(rest, row);
    }
    take::<4>(rest)?;
    (0..4).try_for_each(|channel| read_runs(rest, row, channel))
}

/// One channel of a row: runs of equal values (count above 128) and of literal ones.
fn read_runs(rest: &mut &[u8], row: &mut [[u8; 4]], channel: usize) -> Result<(), SceneError> {
    let mut left = row;
    while !left.is_empty() {
        let [count] = take(rest)?;
        let (count, equal) = if count > 128 { (count - 128, true) } else { (count, false) };
        let count = usize::from(count);
        if count == 0 || count > left.len() {
            return Err(malformed("a run of pixels does not fit its row"));
        }
        let (run, after) = left.split_at_mut(count);
        let mut value = 0;
        for (step, pixel) in run.iter_mut().enumerate() {
            if step == 0 || !equal {
                [value] = take(rest)?;
            }
            pixel[channel] = value;
        }
        left = after;
    }
    Ok(())
}

/// Flat pixels; (1, 1, 1, n) repeats the last one, n shifted by 8 more for each in a row.
fn read_old_row(rest: &mut &[u8], row: &mut [[u8; 4]]) -> Result<(), SceneError> {
    let mut x = 0;
    let mut shift = 0;
    while x < row.len() {
        let pixel: [u8; 4] = take(rest)?;
        if pixel[..3] != [1, 1, 1] {
            row[x] = pixel;
            x += 1;
            shift = 0;
            continue;
        }
        let count = if shift < 32 { usize::from(pixel[3]) << shift } else { usize::MAX };
        if x == 0 || count > row.len() - x || shift >= 32 {
            return Err(malformed("a run of pixels does not fit its row"));
        }
        let last = row[x - 1];
        row[x..x + count].fill(last);
        x += count;
        shift += 8;
    }
    Ok(())
}

/// Mantissas times 2^(e − 136), exact.
fn linear([r, g, b, e]: [u8; 4]) -> [f32; 3] {
    if e == 0 {
        return [0.0; 3];
    }
    let scale = libm::ldexp(1.0, i32::from(e) - 136);
    [r, g, b].map(|mantissa| (f64::from(mantissa) * scale) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: &str, body: &[u8]) -> Vec<u8> {
        let head = format!("#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n{size}\n");
        [head.as_bytes(), body].concat()
    }

    fn decode_all(bytes: &[u8]) -> Result<Picture, SceneError> {
        decode(bytes, |_, _| Ok(()))
    }

    #[test]
    fn the_three_encodings_agree() {
        let one = [128, 64, 32, 129];
        let flat = decode_all(&file("-Y 1 +X 8", &one.repeat(8))).unwrap();
        let old = decode_all(&file("-Y 1 +X 8", &[&one[..], &[1, 1, 1, 7]].concat())).unwrap();
        let mut runs = vec![2, 2, 0, 8];
        for value in one {
            runs.extend([128 + 5, value, 3, value, value, value]);
        }
        let new = decode_all(&file("-Y 1 +X 8", &runs)).unwrap();
        assert_eq!(flat.pixels, vec![[1.0, 0.5, 0.25]; 8]);
        assert_eq!((&flat, &flat), (&old, &new));
    }

    #[test]
    fn damage_is_named() {
        for (bytes, words) in [
            (b"PNG".to_vec(), "cut off in its header"),
            (b"hello\n\n".to_vec(), "#?"),
            (file("-Y 1 +X 8", &[2, 2, 0, 8, 128 + 9, 1]), "does not fit"),
            (file("-Y 1 +X 2", &[1, 1, 1, 9]), "does not fit"),
            (file("-Y 2 +X 2", &[9, 9, 9, 9]), "cut off in its pixels"),
            (file("+Y 2 +X 2", &[]), "rows from the top"),
            (file("-Y 0 +X 2", &[]), "positive"),
        ] {
            let error = decode_all(&bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
