//! Render layers from the order to the file that an artist opens.

use crate::farm::{Farm, has_device};
use exr::prelude::{AnyChannel, FlatSamples, ReadChannels, ReadLayers};
use std::collections::{BTreeMap, BTreeSet};

/// The channels of an OpenEXR file by name, as bits.
fn channels(file: &[u8]) -> BTreeMap<String, Vec<u32>> {
    let read = exr::prelude::read().no_deep_data().largest_resolution_level();
    let read = read.all_channels().first_valid_layer().all_attributes();
    let image = read.from_buffered(std::io::Cursor::new(file)).unwrap();
    let bits = |channel: AnyChannel<FlatSamples>| {
        let values = channel.sample_data.values_as_f32().map(f32::to_bits).collect();
        (channel.name.to_string(), values)
    };
    image.layer_data.channel_data.list.into_iter().map(bits).collect()
}

/// The names of a Cryptomatte's ids, read from the file's header as Cryptomatte 1.2 says: the
/// layer's key is where its name stands.
fn manifest(file: &[u8], layer: &str) -> BTreeMap<String, u32> {
    let read = exr::prelude::read().no_deep_data().largest_resolution_level();
    let read = read.all_channels().first_valid_layer().all_attributes();
    let image = read.from_buffered(std::io::Cursor::new(file)).unwrap();
    let texts: BTreeMap<String, String> = (image.layer_data.attributes.other.into_iter())
        .filter_map(|(name, value)| Some((name.to_string(), value.to_text().ok()?.to_string())))
        .collect();
    let own = |(key, name): (&String, &String)| {
        (name == layer).then(|| key.strip_suffix("/name").map(str::to_owned)).flatten()
    };
    let key = texts.iter().find_map(own).unwrap();
    let names: BTreeMap<String, String> =
        serde_json::from_str(&texts[&format!("{key}/manifest")]).unwrap();
    names.into_iter().map(|(name, id)| (name, u32::from_str_radix(&id, 16).unwrap())).collect()
}

/// Every id of a material that is seen stands for a name.
fn are_named(channels: &BTreeMap<String, Vec<u32>>, names: &BTreeMap<String, u32>) {
    let known: BTreeSet<u32> = names.values().copied().collect();
    let ranks = channels.iter().filter(|(name, _)| {
        name.starts_with("CryptoMaterial") && (name.ends_with(".r") || name.ends_with(".b"))
    });
    let seen: BTreeSet<u32> = ranks.flat_map(|(_, ids)| ids.iter().copied()).collect();
    assert!(seen.len() > 2 && seen.iter().all(|id| *id == 0 || known.contains(id)), "{names:?}");
}

#[test]
fn a_frame_has_the_layers_asked_for_and_the_same_picture() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start();
    let artist = farm.account("artist", "100");
    // Two owners, so that the newcomers' tiles are computed twice, layers and all.
    farm.start_owners(&["ada", "bob"]);
    let bare = farm.submit(&artist, &[]);
    let layered =
        farm.submit(&artist, &["--aov", "normal,depth", "--aov", "albedo,material-id,motion"]);
    let bare = channels(&farm.finish(&artist, bare)[0]);
    let layered_file = farm.finish(&artist, layered).remove(0);
    let layered = channels(&layered_file);
    let (ids, names): (Vec<&str>, Vec<&str>) =
        layered.keys().map(String::as_str).partition(|name| name.starts_with("Crypto"));
    assert_eq!(
        names,
        [
            "B",
            "G",
            "N.X",
            "N.Y",
            "N.Z",
            "R",
            "Z",
            "albedo.B",
            "albedo.G",
            "albedo.R",
            "backward.u",
            "backward.v",
            "forward.u",
            "forward.v"
        ]
    );
    assert_eq!(ids[..4], ["a", "b", "g", "r"].map(|letter| format!("CryptoMaterial00.{letter}")));
    assert_eq!(ids.len(), 12);
    are_named(&layered, &manifest(&layered_file, "CryptoMaterial"));
    let share = |at: usize| -> f32 {
        let ranks = ids.iter().filter(|name| name.ends_with(".g") || name.ends_with(".a"));
        ranks.map(|name| f32::from_bits(layered[*name][at])).sum()
    };
    assert!((0..96 * 64).all(|at| share(at) <= 1.0));
    assert!((0..96 * 64).any(|at| share(at) == 1.0));
    assert!(bare.keys().eq(["B", "G", "R"]));
    assert!(bare.iter().all(|(name, values)| layered[name] == *values), "the picture differs");
    let seen: Vec<bool> = (0..96 * 64).map(|at| layered["Z"][at] != 1e10_f32.to_bits()).collect();
    assert!(seen.iter().filter(|seen| **seen).count() > 96 * 64 / 4);
    for (at, seen) in seen.into_iter().enumerate() {
        let normal = ["N.X", "N.Y", "N.Z"].map(|name| f32::from_bits(layered[name][at]));
        let square: f32 = normal.iter().map(|x| x * x).sum();
        assert!(square < 1.001 && (square > 0.0) == seen, "{at}: {normal:?}");
    }
    farm.verify();
}

#[test]
fn an_adaptive_frame_is_proven_and_says_its_samples() {
    if !has_device() {
        return;
    }
    let mut farm = Farm::start();
    let artist = farm.account("artist", "100");
    farm.start_owners(&["ada", "bob"]);
    let full = farm.submit(&artist, &["--samples", "32"]);
    let adaptive = farm.submit(&artist, &["--samples", "32", "--noise", "0.2"]);
    let (full, adaptive) = (farm.finish(&artist, full), farm.finish(&artist, adaptive));
    let (full, adaptive) = (channels(&full[0]), channels(&adaptive[0]));
    assert!(adaptive.keys().eq(["B", "G", "R", "samples"]));
    let samples = adaptive["samples"].iter().map(|bits| f32::from_bits(*bits));
    let counts: BTreeSet<u32> = samples.map(|count| count as u32).collect();
    assert!(counts.first() == Some(&16) && counts.last() == Some(&32), "{counts:?}");
    for (at, samples) in adaptive["samples"].iter().enumerate() {
        // A block with all samples is as bright as without the threshold, bit by bit.
        assert!(*samples != 32.0_f32.to_bits() || adaptive["G"][at] == full["G"][at], "{at}");
    }
    let mean = |picture: &BTreeMap<String, Vec<u32>>| {
        picture["G"].iter().map(|bits| f64::from(f32::from_bits(*bits))).sum::<f64>()
    };
    assert!((mean(&adaptive) / mean(&full) - 1.0).abs() < 0.02);
    farm.verify();
}
