//! Worlds of many seeds; a failing seed is replayed by `cargo run -p sim -- --from SEED --seeds 1`.

#[test]
fn worlds_end_well() {
    let mut tiles = 0;
    let mut refuted = 0;
    for seed in 0..300 {
        let summary = sim::run(seed).unwrap_or_else(|fault| panic!("seed {seed}: {fault:?}"));
        tiles += summary.tiles;
        refuted += summary.refuted;
    }
    assert!(tiles > 1_000, "the worlds did work: {tiles} tiles");
    assert!(refuted > 50, "liars were found: {refuted}");
}

#[test]
fn a_seed_gives_the_same_world_again() {
    assert_eq!(sim::run(7).unwrap(), sim::run(7).unwrap());
}
