//! Runs worlds: `sim --seeds N --from S`; or prints figures: `sim --bench core`,
//! `sim --bench trust`.

use anyhow::{Context, bail};

fn main() -> anyhow::Result<()> {
    let (mut seeds, mut from, mut agents) = (1_000, 0, None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a number"))?;
        match (word.as_str(), value.as_str()) {
            ("--bench", "core") => return sim::bench::core(),
            ("--bench", "trust") => return sim::trust::print(),
            _ => {}
        }
        let value: u64 = value.parse().with_context(|| format!("{value} is not a number"))?;
        match word.as_str() {
            "--seeds" => seeds = value,
            "--from" => from = value,
            "--agents" => agents = Some(u32::try_from(value).context("--agents is at most 2^32")?),
            _ => bail!(
                "usage: sim [--seeds N] [--from S] [--agents A] | sim --bench core | sim --bench \
                 trust"
            ),
        }
    }
    let total = sim::run_all(from..from + seeds, agents)?;
    let sim::Summary { events, entries, tiles, refuted, appeals, reinstated, outdated, .. } = total;
    let sim::Summary { unstaked, stakes_lost, royalties, royalties_returned, .. } = total;
    let sim::Summary { scored, deaths, looked, released, lapsed, .. } = total;
    println!(
        "{seeds} worlds ended well: {events} events, {entries} log entries, {tiles} tiles, \
         {refuted} liars found, {appeals} appeals, {reinstated} workers reinstated, \
         {unstaked} stakes withdrawn and {stakes_lost} lost, {royalties} royalties owed and \
         {royalties_returned} returned, {outdated} tiles made again, {looked} of newcomers looked \
         at again, pay on probation released {released} times and lost {lapsed} times, \
         validators paid {scored} times, {deaths} schedulers died and came back"
    );
    Ok(())
}
