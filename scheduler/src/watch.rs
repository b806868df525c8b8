//! Watchers of jobs: one look at the farm serves all who watch the same job, at most ten a second.

use crate::driver::Door;
use farm::id::JobId;
use farm::view::{JobState, JobView};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Between two looks at a job that changes.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Between two looks at a job of which nothing is heard.
const LOOK_ANYWAY: Duration = Duration::from_secs(2);

/// What a watcher sees: the job as it was last looked at; `None` if it could not be.
pub type Seen = watch::Receiver<Option<Arc<JobView>>>;

#[derive(Debug)]
struct Watched {
    seen: watch::Receiver<Option<Arc<JobView>>>,
    news: Arc<Notify>,
}

/// All watched jobs.
#[derive(Debug, Default)]
pub struct Watchers {
    jobs: Mutex<BTreeMap<JobId, Watched>>,
}

impl Watchers {
    /// Says that a job changed.
    pub fn changed(&self, job: JobId) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = jobs.get(&job) {
            watched.news.notify_one();
        }
    }

    /// Starts to watch a job.
    pub fn watch(self: &Arc<Self>, job: JobId, door: &Door) -> Seen {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = jobs.get(&job).filter(|watched| watched.seen.has_changed().is_ok()) {
            return watched.seen.clone();
        }
        let (sender, seen) = watch::channel(None);
        let news = Arc::new(Notify::new());
        jobs.insert(job, Watched { seen: seen.clone(), news: Arc::clone(&news) });
        let (watchers, door) = (Arc::clone(self), door.clone());
        tokio::spawn(async move {
            look(job, &door, &sender, &news).await;
            watchers.forget(job, &news);
        });
        seen
    }

    fn forget(&self, job: JobId, news: &Arc<Notify>) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.get(&job).is_some_and(|watched| Arc::ptr_eq(&watched.news, news)) {
            jobs.remove(&job);
        }
    }
}

/// Looks at the job until it has ended or nobody but the table watches.
async fn look(
    job: JobId,
    door: &Door,
    sender: &watch::Sender<Option<Arc<JobView>>>,
    news: &Notify,
) {
    while let Ok(Some(view)) = door.read(move |farm| farm.job(job)).await {
        let ended = view.state != JobState::Open;
        sender.send_if_modified(|seen| {
            let differs = seen.as_deref() != Some(&view);
            *seen = Some(Arc::new(view));
            differs
        });
        if ended || sender.receiver_count() <= 1 {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        tokio::time::timeout(LOOK_ANYWAY, news.notified()).await.ok();
    }
}
