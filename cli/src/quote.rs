//! `girih quote`: draws a few pixels of the frames here, asks the farm what work costs and who
//! would do it, and says what to expect. Uploads nothing and orders nothing.

use crate::args::Quote;
use crate::chain::Added;
use crate::config::Access;
use crate::exit::Exit;
use crate::output::{Form, credits};
use crate::tried::Tried;
use crate::{chain, cut, submit};
use farm::digest::Digest;
use farm::job::Spec;
use farm::limit;
use farm::money::Price;
use proto::v1;
use proto::v1::jobs_client::JobsClient;
use std::time::Duration;
use worker::channel::Keyed;

/// Standard errors to either side of what is expected: 19 of 20 jobs lie between them.
const INTERVAL: f64 = 1.96;
/// Newcomers' tiles are computed twice.
const AUDITS_MOST: f64 = 2.0;

/// `girih quote`.
pub async fn run(access: &Access, form: Form, what: Quote) -> anyhow::Result<Exit> {
    let address = access.address_with_key()?;
    let (private, spec) = (what.shot.private, submit::spec(&what.shot)?);
    let (engine, is_by_cost) = (spec.engine, cut::is_by_cost(what.shot.tile_size, &spec));
    let steps = chain::steps(what.shot.denoise, what.shot.upscale);
    let tried = tokio::task::spawn_blocking(move || try_out(&what, spec));
    let keyed = address.connect().await?;
    let market = market(&keyed, &engine, private).await?;
    let (mut spec, tried) = tried.await??;
    let even = if is_by_cost { cut::by_cost(&mut spec, &tried, &market, None) } else { None };
    let mut expected = Expected::of(&spec, &tried, &market);
    let rendered = spec.clone();
    let stages = tokio::task::spawn_blocking(move || chain::stages(&steps, &rendered)).await??;
    let added = Added::of(&stages, Price(market.price));
    expected.max_spend = expected.max_spend.saturating_add(added.max_spend);
    let tiles = cut::said(&spec, even.as_ref());
    let said = || format!("tiles     {tiles}\n{}{}", added.lines(), expected.lines(&market));
    form.say(said, || {
        let mut value = expected.to_json(&market);
        value["cut"] = cut::to_json(&spec, even.as_ref());
        value["then"] = added.to_json();
        value
    })?;
    Ok(Exit::Ok)
}

/// What work costs on the farm now, and who would do it.
pub async fn market(
    keyed: &Keyed,
    engine: &Digest,
    private: bool,
) -> Result<v1::Market, tonic::Status> {
    let ask = v1::GetMarketRequest { engine: engine.0.to_vec().into(), private };
    Ok(JobsClient::new(keyed.clone()).get_market(ask).await?.into_inner())
}

fn try_out(what: &Quote, spec: Spec) -> anyhow::Result<(Spec, Tried)> {
    let bundle = submit::open(&what.shot)?;
    let order = submit::gather(spec, &bundle, what.shot.env.as_deref())?;
    let tried = Tried::of(&order, what.device.as_deref())?;
    Ok((order.spec, tried))
}

/// The least, what is expected, and the most.
#[derive(Clone, Copy)]
pub struct Range {
    pub low: f64,
    pub middle: f64,
    pub high: f64,
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

/// What a job is expected to take and to cost.
pub struct Expected {
    units: Range,
    /// Micro-credits.
    pub cost: Range,
    /// `None`: nobody is there.
    seconds: Option<(f64, f64)>,
    /// Micro-credits that the job should be allowed.
    pub max_spend: u64,
}

impl Expected {
    pub fn of(spec: &Spec, tried: &Tried, market: &v1::Market) -> Self {
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
