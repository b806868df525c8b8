//! Worlds of many seeds; a failing one is seen again by the command that its error names.

#[test]
fn worlds_end_well() {
    let summary = sim::run_all(0..1_000, None).unwrap_or_else(|fault| panic!("{fault:?}"));
    assert!(summary.tiles > 10_000, "the worlds did work: {summary:?}");
    assert!(summary.refuted > 500 && summary.deaths > 300, "things happened: {summary:?}");
}

#[test]
fn a_seed_gives_the_same_world_again() {
    assert_eq!(sim::run(7, None).unwrap(), sim::run(7, None).unwrap());
}
