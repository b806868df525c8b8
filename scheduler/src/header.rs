//! The header of an OpenEXR file of one part: its attributes in the order of their names, so that
//! the same picture gives the same bytes; the library writes them in the order of a hash map that
//! differs from run to run. Readers take any order. Knows no pixels.

use anyhow::{Context, ensure};

/// Magic number and version.
const PREAMBLE: usize = 8;

/// Sorts the attributes of a file where they stand.
pub fn sort(file: &mut [u8]) -> anyhow::Result<()> {
    let header = file.get(PREAMBLE..).context("it is cut")?;
    let mut rest = header;
    let mut attributes = Vec::new();
    while rest.first().context("it has no end")? != &0 {
        let (attribute, later) = rest.split_at_checked(length(rest)?).context("it is cut")?;
        attributes.push(attribute);
        rest = later;
    }
    // Names end in 0, so that comparing the whole compares the names first.
    attributes.sort_unstable();
    let sorted = attributes.concat();
    file[PREAMBLE..PREAMBLE + sorted.len()].copy_from_slice(&sorted);
    Ok(())
}

/// Bytes of the attribute at the start: name and type, each up to a 0; the value's size, the value.
fn length(bytes: &[u8]) -> anyhow::Result<usize> {
    let mut ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at + 1);
    let size_at = ends.nth(1).context("an attribute has no type")?;
    let size = bytes[size_at..].first_chunk::<4>().context("an attribute has no size")?;
    let size = i32::from_le_bytes(*size);
    ensure!(size >= 0, "an attribute has the size {size}");
    Ok(size_at + 4 + size as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(name: &str, value: &[u8]) -> Vec<u8> {
        let size = (value.len() as i32).to_le_bytes();
        [name.as_bytes(), b"\0string\0", &size, value].concat()
    }

    #[test]
    fn attributes_are_sorted_and_what_follows_stays() {
        let (a, b, c) = (attribute("a", b"zz"), attribute("ab", b""), attribute("b", &[0, 1]));
        let file = |parts: [&Vec<u8>; 3]| {
            [b"magicver", parts.map(|part| &part[..]).concat().as_slice(), &[0, 9, 9]].concat()
        };
        let mut found = file([&c, &b, &a]);
        sort(&mut found).unwrap();
        assert_eq!(found, file([&a, &b, &c]));
        for end in 0..found.len() - 2 {
            assert!(sort(&mut found[..end].to_vec()).is_err(), "cut at {end}");
        }
    }
}
