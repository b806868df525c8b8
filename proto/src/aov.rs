//! AOVs: what a frame may carry besides its light, which bits of a job's spec ask for it, and how
//! its words lie in a delivered tile. Both shells read it, and the farm carries the bits unread.
//! Knows no scenes and no files.

use crate::cryptomatte::RANKS;
use farm::limit;

/// One of them. Its number is its bit in [`farm::job::Spec::aovs`] and its place in a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aov {
    /// Base colour of the surface that is seen, linear; black where there is none.
    Albedo,
    /// Shading normal on the viewer's side, in the world of the scene file; zero where there is
    /// none.
    Normal,
    /// Metres along the camera's axis to the nearest surface of the pixel; 1e10 where there is
    /// none.
    Depth,
    /// Which objects cover the pixel, as Cryptomatte: ids of the names of the nodes that carry the
    /// meshes, and the share of samples that see each.
    ObjectId,
    /// The same of materials.
    MaterialId,
    /// How many pixels what is seen goes in the image, right and up, to the next frame and to the
    /// last one; without surface, what lies endlessly far away.
    Motion,
    /// How many samples the pixel has.
    Samples,
}

/// What a word of a pixel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// An f32 sum, to be divided by the pixel's number of samples.
    Sum,
    /// The least f32 among the samples.
    Least,
    /// An id whose bits are also those of an f32; 0 is none.
    Id,
    /// How many samples saw the id before it.
    Count,
    /// An f32: how many samples the pixel has.
    Samples,
}

/// A channel of the delivered frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// As OpenEXR names it.
    pub name: String,
    pub word: Word,
}

impl Aov {
    pub const ALL: [Aov; 7] = [
        Aov::Albedo,
        Aov::Normal,
        Aov::Depth,
        Aov::ObjectId,
        Aov::MaterialId,
        Aov::Motion,
        Aov::Samples,
    ];

    /// Its bit in a spec.
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Aov::Albedo => "albedo",
            Aov::Normal => "normal",
            Aov::Depth => "depth",
            Aov::ObjectId => "object-id",
            Aov::MaterialId => "material-id",
            Aov::Motion => "motion",
            Aov::Samples => "samples",
        }
    }

    /// Words of each pixel of a delivered tile.
    pub const fn words(self) -> u64 {
        match self {
            Aov::Albedo | Aov::Normal => 3,
            Aov::Depth | Aov::Samples => 1,
            Aov::ObjectId | Aov::MaterialId => RANKS * 2,
            Aov::Motion => 4,
        }
    }

    /// The name of its layer, if it is a Cryptomatte.
    pub fn cryptomatte(self) -> Option<&'static str> {
        match self {
            Aov::ObjectId => Some("CryptoObject"),
            Aov::MaterialId => Some("CryptoMaterial"),
            Aov::Albedo | Aov::Normal | Aov::Depth | Aov::Motion | Aov::Samples => None,
        }
    }

    /// Its channels, one for each word, in order.
    pub fn channels(self) -> Vec<Channel> {
        let named = |names: &[&str], word| {
            names.iter().map(|name| Channel { name: (*name).into(), word }).collect()
        };
        match self {
            Aov::Albedo => named(&["albedo.R", "albedo.G", "albedo.B"], Word::Sum),
            Aov::Normal => named(&["N.X", "N.Y", "N.Z"], Word::Sum),
            Aov::Depth => named(&["Z"], Word::Least),
            Aov::Motion => {
                named(&["forward.u", "forward.v", "backward.u", "backward.v"], Word::Sum)
            }
            Aov::Samples => named(&["samples"], Word::Samples),
            Aov::ObjectId | Aov::MaterialId => self.cryptomatte().map_or_else(Vec::new, ranks),
        }
    }
}

/// Two ranks in the four channels of each numbered layer: an id and its share, twice.
fn ranks(layer: &str) -> Vec<Channel> {
    let channel = |rank: u64, letters: [&str; 2], word| Channel {
        name: format!("{layer}{:02}.{}", rank / 2, letters[(rank % 2) as usize]),
        word,
    };
    let both = |rank| [channel(rank, ["r", "b"], Word::Id), channel(rank, ["g", "a"], Word::Count)];
    (0..RANKS).flat_map(both).collect()
}

/// Those whose bit is set, in the order in which a tile has them.
pub fn asked(bits: u32) -> impl Iterator<Item = Aov> {
    Aov::ALL.into_iter().filter(move |aov| bits & aov.bit() != 0)
}

/// These and what a noise threshold implies: where samples differ, how many there are is told.
pub fn with_noise(bits: u32, noise: u32) -> u32 {
    if noise == 0 { bits } else { bits | Aov::Samples.bit() }
}

/// Whether no bit is set that stands for nothing.
pub fn are_known(bits: u32) -> bool {
    bits >> Aov::ALL.len() == 0
}

/// Words of each pixel of a delivered tile: the three of its light, then those of its AOVs.
pub fn words(bits: u32) -> u64 {
    3 + asked(bits).map(Aov::words).sum::<u64>()
}

/// Bytes of a delivered tile of so many pixels: its light, pixel by pixel three little-endian f32
/// sums; then, one channel after the other, a word for each pixel.
pub fn tile_bytes(bits: u32, pixels: u64) -> u64 {
    pixels * words(bits) * 4
}

/// Bytes of the largest tile with every AOV.
pub const TILE_BYTES_MAX: u64 = {
    let (mut words, mut at) = (3, 0);
    while at < Aov::ALL.len() {
        words += Aov::ALL[at].words();
        at += 1;
    }
    limit::TILE_SIDE_MAX as u64 * limit::TILE_SIDE_MAX as u64 * words * 4
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_names_and_sizes_are_those_of_the_list() {
        for (place, aov) in Aov::ALL.into_iter().enumerate() {
            assert_eq!(aov.bit(), 1 << place, "{aov:?}");
            assert_eq!(aov.channels().len() as u64, aov.words(), "{aov:?}");
        }
        let all: u32 = Aov::ALL.into_iter().map(Aov::bit).sum();
        assert!(are_known(all) && are_known(0) && !are_known(all + 1));
        assert_eq!(asked(Aov::Depth.bit()).collect::<Vec<_>>(), [Aov::Depth]);
        assert_eq!((tile_bytes(0, 64), tile_bytes(Aov::Depth.bit(), 64)), (768, 1024));
        let side = u64::from(limit::TILE_SIDE_MAX);
        assert_eq!(TILE_BYTES_MAX, tile_bytes(all, side * side));
    }
}
