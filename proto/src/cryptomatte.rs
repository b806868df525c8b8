//! Cryptomatte 1.2 (Friedman and Jones 2015): names of objects and materials as 32-bit ids that are
//! also finite f32. Knows no files.

/// Ranks of ids that a pixel keeps, the widest first.
pub const RANKS: u64 = 6;

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

/// What an OpenEXR header says of a layer of ids, as names and texts of attributes.
pub fn attributes(layer: &str) -> [(String, String); 3] {
    let key = format!("{:08x}", hash(layer.as_bytes()));
    let of = |name, text: &str| (format!("cryptomatte/{}/{name}", &key[..7]), text.to_owned());
    [of("name", layer), of("hash", "MurmurHash3_32"), of("conversion", "uint32_to_float32")]
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
        assert!(attributes("CryptoObject").iter().all(|(name, _)| name.len() < 32));
    }
}
