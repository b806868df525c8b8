//! `girih quote`: draws a few pixels of the frames here, asks the farm what work costs and who
//! would do it, and says what to expect. Uploads nothing and orders nothing.

use crate::args::Quote;
use crate::config::{self, Access};
use crate::exit::{BadInput, Exit};
use crate::output::{Form, credits};
use crate::submit::{self, Bytes, Order};
use anyhow::Context;
use farm::digest::Digest;
use farm::job::Spec;
use farm::limit;
use farm::money::Price;
use proto::v1;
use proto::v1::jobs_client::JobsClient;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use worker::engine::{Assets, EngineError};
use worker::probe::{Probe, probe};

/// Standard errors to either side of what is expected: 19 of 20 jobs lie between them.
const INTERVAL: f64 = 1.96;
/// Newcomers' tiles are computed twice.
const AUDITS_MOST: f64 = 2.0;

/// `girih quote`.
pub async fn run(access: &Access, form: Form, what: Quote) -> anyhow::Result<Exit> {
    let address = access.address_with_key()?;
    let (private, spec) = (what.shot.private, submit::spec(&what.shot)?);
    let engine = spec.engine;
    let tried = tokio::task::spawn_blocking(move || try_out(&what, spec));
    let keyed = address.connect().await?;
    let ask = v1::GetMarketRequest { engine: engine.0.to_vec().into(), private };
    let market = JobsClient::new(keyed).get_market(ask).await?.into_inner();
    let (spec, tried) = tried.await??;
    let expected = Expected::of(&spec, &tried, &market);
    form.say(|| expected.lines(&market), || expected.to_json(&market))?;
    Ok(Exit::Ok)
}

/// What trying the frames on this machine showed.
struct Tried {
    probe: Probe,
    /// How much faster this scene is than the one by which workers measure themselves.
    ease: f64,
}

fn try_out(what: &Quote, spec: Spec) -> anyhow::Result<(Spec, Tried)> {
    let bundle = submit::open(&what.shot)?;
    let order = submit::gather(spec, &bundle, what.shot.env.as_deref())?;
    let devices: Vec<String> = what.device.iter().cloned().collect();
    let dir = config::data_dir().join("quote");
    let (mut engine, speed) = worker::machine::first(&devices, &dir)?;
    let files = Files::of(&order).context("the scene's manifest on disk")?;
    let probe = match probe(&mut engine, &files, &order.spec) {
        Err(EngineError::Scene(why)) => return Err(BadInput(why).into()),
        found => found?,
    };
    Ok((order.spec, Tried { probe, ease: probe.units_per_second / speed.max(1) as f64 }))
}

/// An order's files where they lie; what was made in memory is in a folder of its own.
struct Files {
    paths: BTreeMap<Digest, PathBuf>,
    _made: tempfile::TempDir,
}

impl Files {
    fn of(order: &Order) -> std::io::Result<Self> {
        let made = tempfile::tempdir()?;
        let mut paths = BTreeMap::new();
        for (digest, bytes) in &order.assets {
            let path = match bytes {
                Bytes::File(path, _) => path.clone(),
                Bytes::Memory(bytes) => {
                    let path = made.path().join(digest.to_string());
                    std::fs::write(&path, bytes)?;
                    path
                }
            };
            paths.insert(*digest, path);
        }
        Ok(Self { paths, _made: made })
    }
}

impl Assets for Files {
    fn path(&self, digest: &Digest) -> Result<PathBuf, EngineError> {
        let path = self.paths.get(digest).cloned();
        path.ok_or_else(|| EngineError::Scene(format!("nothing here has the digest {digest}")))
    }
}

/// The least, what is expected, and the most.
#[derive(Clone, Copy)]
struct Range {
    low: f64,
    middle: f64,
    high: f64,
}

impl Range {
    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self { low: f(self.low), middle: f(self.middle), high: f(self.high) }
    }

    fn to_json(self) -> serde_json::Value {
        let [low, expected, high] = [self.low, self.middle, self.high].map(|n| n.round() as u64);
        serde_json::json!({ "low": low, "expected": expected, "high": high })
    }
}

struct Expected {
    units: Range,
    /// Micro-credits.
    cost: Range,
    /// `None`: nobody is there.
    seconds: Option<(f64, f64)>,
    /// Micro-credits that the job should be allowed.
    max_spend: u64,
}

impl Expected {
    fn of(spec: &Spec, tried: &Tried, market: &v1::Market) -> Self {
        let Tried { probe, ease } = tried;
        let apart = INTERVAL * probe.error;
        let least = (spec.tiles() as f64).min(probe.units);
        let units = Range {
            low: (probe.units - apart).max(least),
            middle: probe.units,
            high: probe.units + apart,
        };
        let price = Price(market.price);
        let cost = units.map(|units| price.of(units as u64).0 as f64);
        let pace = market.units_per_second as f64 * ease;
        let seconds = (pace > 0.0).then(|| (units.low / pace, units.high * AUDITS_MOST / pace));
        // A tile is leased only while the cap covers the most that it could take.
        let tile_max = spec.tile_cost_max(price).0;
        let at_once = u64::from(market.slots.max(1)) * u64::from(limit::LEASES_PER_SLOT);
        let reserve = tile_max.saturating_mul(at_once.min(spec.tiles()));
        let most = tile_max.saturating_mul(spec.tiles());
        let max_spend = (cost.high as u64).saturating_add(reserve).min(most);
        Self { units, cost, seconds, max_spend }
    }

    fn lines(&self, market: &v1::Market) -> String {
        let [low, middle, high] =
            [self.cost.low, self.cost.middle, self.cost.high].map(|cost| credits(cost as u64));
        let off = (self.units.high / self.units.middle - 1.0) * 100.0;
        let time = match self.seconds {
            Some((soon, late)) => format!(
                "{} to {} on {} workers, if nothing else waits",
                lasting(soon),
                lasting(late),
                market.workers
            ),
            None => "nobody who could do it is here now".into(),
        };
        format!(
            "work      {:.0} units, ± {off:.1} %\n\
             cost      {middle} credits, {low} to {high}\n\
             time      {time}\n\
             order it with --max-spend {}; what is not spent returns",
            self.units.middle,
            credits(self.max_spend)
        )
    }

    fn to_json(&self, market: &v1::Market) -> serde_json::Value {
        let seconds =
            self.seconds.map(|(low, high)| serde_json::json!({ "low": low, "high": high }));
        serde_json::json!({
            "units": self.units.to_json(),
            "cost": self.cost.to_json(),
            "seconds": seconds,
            "max_spend": self.max_spend,
            "price_per_million_units": market.price,
            "workers": market.workers,
        })
    }
}

/// A time in words: two units at most.
fn lasting(seconds: f64) -> String {
    let whole = Duration::from_secs_f64(seconds.clamp(1.0, 1e9)).as_secs();
    let (hours, minutes) = (whole / 3600, whole / 60);
    match (hours, minutes) {
        (0, 0) => format!("{whole} s"),
        (0, _) => format!("{minutes} min {} s", whole % 60),
        (1..48, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}
