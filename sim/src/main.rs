//! Runs worlds: `sim --seeds N --from S`; or prints figures: `sim --bench core`,
//! `sim --bench trust`.

use anyhow::{Context, bail};

fn main() -> anyhow::Result<()> {
    let (mut seeds, mut from) = (1_000, 0);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a number"))?;
        match (word.as_str(), value.as_str()) {
            ("--bench", "core") => return sim::bench::core(),
            ("--bench", "trust") => return sim::trust::table(),
            _ => {}
        }
        let value: u64 = value.parse().with_context(|| format!("{value} is not a number"))?;
        match word.as_str() {
            "--seeds" => seeds = value,
            "--from" => from = value,
            _ => bail!("usage: sim [--seeds N] [--from S] | sim --bench core | sim --bench trust"),
        }
    }
    let (mut tiles, mut refuted) = (0, 0);
    for seed in from..from + seeds {
        let replay = || format!("seed {seed}; again: cargo run -p sim -- --from {seed} --seeds 1");
        let summary = sim::run(seed).with_context(replay)?;
        tiles += summary.tiles;
        refuted += summary.refuted;
    }
    println!("{seeds} worlds ended well: {tiles} tiles, {refuted} liars found");
    Ok(())
}
