//! Jobs that exist: list, watch, cancel, explain.

use crate::config::Access;
use crate::exit::{BadUsage, Exit};
use crate::output::{Form, Progress, credits, hex, table};
use proto::v1;
use proto::v1::jobs_client::JobsClient;
use proto::v1::workers_client::WorkersClient;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use worker::channel::Keyed;

/// Attempts to take up a broken watch again before giving up.
const WATCH_ATTEMPTS_MAX: u32 = 8;

/// Where a job stands, as a word.
pub fn state(job: &v1::Job) -> &'static str {
    word(job.state())
}

/// A job's state as a word.
pub fn word(state: v1::JobState) -> &'static str {
    match state {
        v1::JobState::Unspecified => "unknown",
        v1::JobState::Open => "open",
        v1::JobState::Done => "done",
        v1::JobState::Cancelled => "cancelled",
        v1::JobState::Failed => "failed",
        v1::JobState::OutOfBudget => "out of budget",
    }
}

/// A job as JSON.
pub fn to_json(job: &v1::Job) -> Value {
    let frame = |frame: &v1::Frame| {
        json!({
            "frame": frame.frame,
            "exr": hex(&frame.exr),
            "png": hex(&frame.png),
            "proven": frame.proven,
            "settled": frame.settled,
            "marked": frame.marked,
        })
    };
    json!({
        "job_id": job.job_id,
        "state": state(job),
        "failure": job.failure,
        "tiles_total": job.tiles_total,
        "tiles_accepted": job.tiles_accepted,
        "tiles_leased": job.tiles_leased,
        "tiles_claimed": job.tiles_claimed,
        "tiles_refuted": job.tiles_refuted,
        "max_spend": job.max_spend,
        "spent": job.spent,
        "model_id": job.model_id,
        "royalty": job.royalty,
        "royalties": job.royalties,
        "units": job.units,
        "workers": job.workers,
        "create_time": job.create_time,
        "end_time": job.end_time,
        "priority": job.priority,
        "private": job.private,
        "sealed": job.sealed,
        "watermark": job.watermark,
        "upstream": upstream(job),
        "frames": job.frames.iter().map(frame).collect::<Vec<_>>(),
    })
}

/// The job that its frames are made of, if there is one.
pub fn upstream(job: &v1::Job) -> Option<u64> {
    Some(job.spec.as_ref()?.upstream.as_ref()?.job_id)
}

/// One line about a job that has ended, or not.
pub fn summary(job: &v1::Job) -> String {
    let mut line = format!(
        "job {} is {}: {} of {} tiles accepted, {} refuted, {} of {} credits spent",
        job.job_id,
        state(job),
        job.tiles_accepted,
        job.tiles_total,
        job.tiles_refuted,
        credits(job.spent),
        credits(job.max_spend)
    );
    if job.royalties > 0 {
        line.push_str(&format!(", {} of these as royalties", credits(job.royalties)));
    }
    if !job.failure.is_empty() {
        line.push_str(&format!("\nreason: {}", job.failure));
    }
    line
}

/// The exit code for a job's end.
pub fn exit(job: &v1::Job) -> Exit {
    match job.state() {
        v1::JobState::Open | v1::JobState::Done => Exit::Ok,
        _ => Exit::JobEnded,
    }
}

/// `girih jobs`.
pub async fn list(access: &Access, form: Form, most: u32) -> anyhow::Result<Exit> {
    let mut client = JobsClient::new(access.address_with_key()?.connect().await?);
    let mut jobs: Vec<v1::Job> = Vec::new();
    let mut page_token = String::new();
    while (jobs.len() as u64) < u64::from(most) {
        let left = most - jobs.len() as u32;
        let ask = v1::ListJobsRequest { page_size: left.min(1000), page_token };
        let page = client.list_jobs(ask).await?.into_inner();
        jobs.extend(page.jobs);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let lines = || {
        let mut rows = vec![
            ["job", "state", "tiles", "workers", "spent", "made of"].map(String::from).to_vec(),
        ];
        rows.extend(jobs.iter().map(|job| {
            vec![
                job.job_id.to_string(),
                state(job).to_owned(),
                format!("{}/{}", job.tiles_accepted, job.tiles_total),
                job.workers.to_string(),
                credits(job.spent),
                upstream(job).map(|job| format!("job {job}")).unwrap_or_default(),
            ]
        }));
        table(&rows)
    };
    form.say(lines, || json!({ "jobs": jobs.iter().map(to_json).collect::<Vec<_>>() }))?;
    Ok(Exit::Ok)
}

/// `girih watch`.
pub async fn watch(access: &Access, form: Form, job: u64) -> anyhow::Result<Exit> {
    let keyed = access.address_with_key()?.connect().await?;
    let job = follow(&keyed, form, job).await?;
    form.say(|| summary(&job), || to_json(&job))?;
    Ok(exit(&job))
}

/// Shows a job's progress until it has ended; takes up a broken stream again.
pub async fn follow(keyed: &Keyed, form: Form, job_id: u64) -> anyhow::Result<v1::Job> {
    let mut client = JobsClient::new(keyed.clone());
    let mut progress: Option<Progress> = None;
    let mut pace = Pace::default();
    let mut attempt = 0;
    loop {
        let outcome = async {
            let mut stream = client.watch_job(v1::WatchJobRequest { job_id }).await?.into_inner();
            while let Some(job) = stream.message().await? {
                attempt = 0;
                let bar = progress.get_or_insert_with(|| Progress::new(form, job.tiles_total));
                bar.at(job.tiles_accepted, &pace.message(&job));
                if job.state() != v1::JobState::Open {
                    bar.finish();
                    return Ok(Some(job));
                }
            }
            Ok::<_, tonic::Status>(None)
        };
        match outcome.await {
            Ok(Some(job)) => return Ok(job),
            Err(status) if !is_passing(&status) || attempt >= WATCH_ATTEMPTS_MAX => {
                return Err(status.into());
            }
            Ok(None) | Err(_) => attempt += 1,
        }
        tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
    }
}

fn is_passing(status: &tonic::Status) -> bool {
    use tonic::Code;
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled)
}

/// How fast a job goes, measured from the first look.
#[derive(Default)]
struct Pace(Option<(Instant, u64)>);

impl Pace {
    fn message(&mut self, job: &v1::Job) -> String {
        let (since, before) = *self.0.get_or_insert((Instant::now(), job.tiles_accepted));
        let done = job.tiles_accepted.saturating_sub(before);
        let left = job.tiles_total.saturating_sub(job.tiles_accepted);
        let eta = match done {
            0 => "--:--".to_owned(),
            _ => {
                let seconds = since.elapsed().as_secs_f64() / done as f64 * left as f64;
                clock(seconds as u64)
            }
        };
        let refuted = match job.tiles_refuted {
            0 => String::new(),
            count => format!(", {count} refuted"),
        };
        format!(
            "tiles{refuted}, {} workers, {} of {} credits, ETA {eta}",
            job.workers,
            credits(job.spent),
            credits(job.max_spend)
        )
    }
}

fn clock(seconds: u64) -> String {
    match seconds / 3600 {
        0 => format!("{:02}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

/// `girih cancel`.
pub async fn cancel(access: &Access, form: Form, job_id: u64) -> anyhow::Result<Exit> {
    let mut client = JobsClient::new(access.address_with_key()?.connect().await?);
    let job = client.cancel_job(v1::CancelJobRequest { job_id }).await?.into_inner();
    form.say(|| summary(&job), || to_json(&job))?;
    Ok(Exit::Ok)
}

/// What `explain` and `appeal` are about.
enum About {
    Worker,
    Job(u64),
}

impl About {
    fn parse(what: &str) -> Result<Self, BadUsage> {
        match what {
            "worker" => Ok(Self::Worker),
            job => job.parse().map(Self::Job).map_err(|_| {
                BadUsage(format!("`{job}` is neither a job's number nor the word `worker`"))
            }),
        }
    }
}

/// `girih explain JOB TILE` and `girih explain worker ID`.
pub async fn explain(access: &Access, form: Form, what: &str, number: u64) -> anyhow::Result<Exit> {
    let about = About::parse(what)?;
    let keyed = access.address_with_key()?.connect().await?;
    let explanation = match about {
        About::Worker => {
            let ask = v1::ExplainWorkerRequest { worker_id: number };
            WorkersClient::new(keyed).explain_worker(ask).await?
        }
        About::Job(job_id) => {
            let ask = v1::ExplainTileRequest { job_id, tile: number };
            JobsClient::new(keyed).explain_tile(ask).await?
        }
    };
    let lines = explanation.into_inner().lines;
    form.say(|| lines.join("\n"), || json!({ "lines": lines }))?;
    Ok(Exit::Ok)
}

/// `girih appeal JOB TILE` and `girih appeal worker ID`.
pub async fn appeal(access: &Access, form: Form, what: &str, number: u64) -> anyhow::Result<Exit> {
    let about = About::parse(what)?;
    let keyed = access.address_with_key()?.connect().await?;
    let appeal = match about {
        About::Worker => {
            let ask = v1::AppealRefutationRequest { worker_id: number };
            WorkersClient::new(keyed).appeal_refutation(ask).await?
        }
        About::Job(job_id) => {
            let ask = v1::AppealTileRequest { job_id, tile: number };
            JobsClient::new(keyed).appeal_tile(ask).await?
        }
    };
    let deposit = appeal.into_inner().deposit;
    let line = || {
        format!(
            "an arbiter looks at it; {} credits are put down and come back if you are right (see \
             `girih statement`)",
            credits(deposit)
        )
    };
    form.say(line, || json!({ "deposit": deposit }))?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_job_has_its_own_exit_code() {
        let mut job = v1::Job::default();
        for (state, expected) in [
            (v1::JobState::Done, Exit::Ok),
            (v1::JobState::Cancelled, Exit::JobEnded),
            (v1::JobState::Failed, Exit::JobEnded),
            (v1::JobState::OutOfBudget, Exit::JobEnded),
        ] {
            job.set_state(state);
            assert_eq!(exit(&job), expected);
        }
    }

    #[test]
    fn time_left_reads_like_a_clock() {
        assert_eq!(clock(75), "01:15");
        assert_eq!(clock(3 * 3600 + 62), "3:01:02");
    }
}
