//! Cryptomatte 1.2 (Friedman and Jones 2015): names of objects and materials as 32-bit ids that are
//! also finite f32. Knows no files.

use std::collections::BTreeSet;

/// Ranks of ids that a pixel keeps, the widest first.
pub const RANKS: u64 = 6;

/// Bytes of what a scene bundle says of the names that ids stand for.
pub const IDS_BYTES_MAX: usize = 1 << 20;

/// MurmurHash3_x86_32 (Appleby 2008), seed 0.
pub fn hash(bytes: &[u8]) -> u32 {
    let mixed =
        |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (words, tail) = bytes.as_chunks::<4>();
    let mut state = words.iter().fold(0_u32, |state, word| {
        let state = (state ^ mixed(u32::from_le_bytes(*word))).rotate_left(13);
        state.wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    let last = tail.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    state ^= mixed(last) ^ bytes.len() as u32;
    state = (state ^ state >> 16).wrapping_mul(0x85eb_ca6b);
    state = (state ^ state >> 13).wrapping_mul(0xc2b2_ae35);
    state ^ state >> 16
}

/// A name's id: its hash, with a bit of the exponent turned where the f32 of these bits would be 0,
/// denormal, infinite or not a number. So it is never 0.
pub fn id(name: &str) -> u32 {
    let hash = hash(name.as_bytes());
    match hash >> 23 & 255 {
        0 | 255 => hash ^ 1 << 23,
        _ => hash,
    }
}

/// What an OpenEXR header says of a layer of ids, as names and texts of attributes: what it is, and
/// which names its ids stand for, if any are known.
pub fn attributes(layer: &str, names: &BTreeSet<String>) -> Vec<(String, String)> {
    let key = format!("{:08x}", hash(layer.as_bytes()));
    let of = |name, text: &str| (format!("cryptomatte/{}/{name}", &key[..7]), text.to_owned());
    let mut attributes = vec![
        of("name", layer),
        of("hash", "MurmurHash3_32"),
        of("conversion", "uint32_to_float32"),
    ];
    if !names.is_empty() {
        attributes.push(of("manifest", &manifest(names)));
    }
    attributes
}

/// A JSON object of names and their ids, eight hexadecimal digits each; in ASCII, since attributes
/// know no encoding.
fn manifest(names: &BTreeSet<String>) -> String {
    let mut text = String::from("{");
    for name in names {
        text.push_str(if text.len() > 1 { ",\"" } else { "\"" });
        for unit in name.encode_utf16() {
            match u8::try_from(unit) {
                Ok(plain @ (b' '..=b'~')) if !b"\"\\".contains(&plain) => text.push(plain.into()),
                _ => text.push_str(&format!("\\u{unit:04x}")),
            }
        }
        text.push_str(&format!("\":\"{:08x}\"", id(name)));
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_reference() {
        // Published vectors of the reference implementation.
        assert_eq!(hash(b""), 0);
        assert_eq!(hash(b"test"), 0xba6b_d213);
        assert_eq!(hash(b"Hello, world!"), 0xc036_3e43);
        assert_eq!(hash(b"The quick brown fox jumps over the lazy dog"), 0x2e4f_f723);
    }

    #[test]
    fn every_id_is_a_number_that_is_kept_and_never_nothing() {
        assert_eq!(id("test"), 0xba6b_d213);
        for n in 0..20_000 {
            let number = f32::from_bits(id(&format!("node {n}")));
            assert!(number.is_normal(), "{n}");
        }
        assert_eq!(id(""), 1 << 23);
        let names = BTreeSet::from(["a".to_owned()]);
        assert!(attributes("CryptoObject", &names).iter().all(|(name, _)| name.len() < 32));
    }

    #[test]
    fn a_manifest_is_json_of_any_names() {
        let names = ["Wall", "say \"hi\"\\", "Würfel ❤\u{1f600}\n"].map(str::to_owned);
        let attributes = attributes("CryptoObject", &names.clone().into());
        let (key, text) = attributes.last().unwrap();
        assert_eq!(key, "cryptomatte/3ae39a5/manifest");
        assert_eq!(
            text,
            &format!(
                "{{\"Wall\":\"{:08x}\",\"W\\u00fcrfel \\u2764\\ud83d\\ude00\\u000a\":\"{:08x}\",\
                 \"say \\u0022hi\\u0022\\u005c\":\"{:08x}\"}}",
                id(&names[0]),
                id(&names[2]),
                id(&names[1]),
            )
        );
    }
}
