//! One device and the thread that drives it: takes a task, runs the engine, writes the result to
//! disk, says so. An engine that panics or loses its device is built anew, a few times.

use crate::assets::{Cache, Desk};
use crate::channel::Keyed;
use crate::engine::{Engine, EngineError, TileSpec};
use crate::results::{Product, Results};
use farm::agent::Work;
use farm::id::LeaseId;
use farm::limit::WHY_BYTES_MAX;
use proto::seal::Lock;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

/// Faults of a device in a row before it is given up.
pub const DEVICE_FAULTS_MAX: u32 = 3;

/// Builds the engine of one device, on the thread that will drive it.
pub type Maker = Arc<dyn Fn() -> Result<Box<dyn Engine>, EngineError> + Send + Sync>;

/// A lease to be computed.
pub struct Task {
    pub lease: LeaseId,
    pub work: Work,
    pub spec: TileSpec,
    /// What opens the list of the job's locks, if its assets are sealed.
    pub lock: Option<Lock>,
    /// Raised when the lease was taken back.
    pub stop: Arc<AtomicBool>,
}

/// What a slot says.
pub enum Event {
    /// The result is on disk; with `output`, bytes are to be uploaded.
    Finished { slot: usize, lease: LeaseId, output: bool },
    /// The lease was stopped; there is no result.
    Stopped { slot: usize, lease: LeaseId },
    /// The device failed too often. Its last lease is finished as failed.
    GivenUp { slot: usize, why: String },
}

/// What a slot needs besides its engine.
#[derive(Clone)]
pub struct Supplies {
    pub cache: Arc<Cache>,
    pub results: Results,
    pub farm: watch::Receiver<Option<Keyed>>,
    pub events: UnboundedSender<Event>,
}

/// A slot as the link sees it.
pub struct Slot {
    tasks: mpsc::Sender<Task>,
    /// The running lease and its stop flag.
    pub running: Option<(LeaseId, Arc<AtomicBool>)>,
    pub given_up: bool,
}

impl Slot {
    /// Starts the thread. `polite`: it yields the processor to everything else.
    pub fn start(
        number: usize,
        maker: Maker,
        polite: bool,
        supplies: Supplies,
    ) -> std::io::Result<Self> {
        let (tasks, inbox) = mpsc::channel();
        let runtime = tokio::runtime::Handle::current();
        let drive = move || {
            if polite {
                yield_processor();
            }
            Driver { number, maker, supplies, runtime, engine: None, faults: 0 }.drive(&inbox);
        };
        std::thread::Builder::new().name(format!("slot-{number}")).spawn(drive)?;
        Ok(Self { tasks, running: None, given_up: false })
    }

    /// Whether a task may be given.
    pub fn is_free(&self) -> bool {
        self.running.is_none() && !self.given_up
    }

    /// Gives a task to a free slot.
    pub fn give(&mut self, lease: LeaseId, work: Work, spec: TileSpec, lock: Option<Lock>) {
        let stop = Arc::new(AtomicBool::new(false));
        self.running = Some((lease, stop.clone()));
        if self.tasks.send(Task { lease, work, spec, lock, stop }).is_err() {
            self.running = None;
            self.given_up = true;
        }
    }

    /// Stops the task if it is this lease.
    pub fn stop(&self, lease: LeaseId) {
        if let Some((running, stop)) = &self.running
            && *running == lease
        {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Lowest priority for this thread and those it starts (a software device's own threads).
fn yield_processor() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), 19) {
        tracing::debug!("priority: {error}");
    }
}

struct Driver {
    number: usize,
    maker: Maker,
    supplies: Supplies,
    runtime: tokio::runtime::Handle,
    engine: Option<Box<dyn Engine>>,
    faults: u32,
}

impl Driver {
    fn drive(mut self, inbox: &mpsc::Receiver<Task>) {
        while let Ok(task) = inbox.recv() {
            let (slot, lease) = (self.number, task.lease);
            let event = match self.compute(&task) {
                None => Event::Stopped { slot, lease },
                Some(product) => self.store(&task, product),
            };
            if self.supplies.events.send(event).is_err() {
                return;
            }
            if self.faults >= DEVICE_FAULTS_MAX {
                let why = format!("{DEVICE_FAULTS_MAX} faults in a row; see the log above");
                let _ = self.supplies.events.send(Event::GivenUp { slot, why });
                return;
            }
        }
    }

    fn store(&self, task: &Task, product: Product) -> Event {
        let (slot, lease) = (self.number, task.lease);
        let output = matches!(product, Product::Tile { .. });
        let stored = self.supplies.results.put(lease, &task.work, &product);
        match stored {
            Ok(()) => Event::Finished { slot, lease, output },
            Err(error) => {
                tracing::error!("cannot store a result: {error}; is the disk full?");
                Event::Stopped { slot, lease }
            }
        }
    }

    /// The product of a task; `None` if it was stopped.
    fn compute(&mut self, task: &Task) -> Option<Product> {
        let supplies = &self.supplies;
        let (cache, farm) = (supplies.cache.clone(), supplies.farm.clone());
        let desk = Desk::new(cache, farm, self.runtime.clone(), task.lock.clone());
        let (maker, held) = (&self.maker, &mut self.engine);
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            let engine = match held {
                Some(engine) => engine,
                None => held.insert(maker()?),
            };
            run(engine.as_mut(), task, &desk)
        }));
        let error = match attempt {
            Ok(Ok(product)) => {
                self.faults = 0;
                return Some(product);
            }
            Ok(Err(EngineError::Stopped)) => return None,
            Ok(Err(EngineError::Scene(why))) => {
                return Some(Product::Failed { scene: true, why: shortened(why) });
            }
            Ok(Err(EngineError::Device(why))) => why,
            Err(panic) => format!("the engine panicked: {}", words_of(panic.as_ref())),
        };
        tracing::error!(
            "slot {}: tile {} of {}: {error}",
            self.number,
            task.work.tile,
            task.work.job
        );
        if !desk.starved() {
            self.engine = None;
            self.faults += 1;
        }
        Some(Product::Failed { scene: false, why: shortened(error) })
    }
}

fn run(engine: &mut dyn Engine, task: &Task, desk: &Desk) -> Result<Product, EngineError> {
    if !task.work.leaves.is_empty() {
        return Ok(Product::Audit(engine.audit(&task.spec, &task.work.leaves, desk)?));
    }
    let stop = || task.stop.load(Ordering::Relaxed);
    let output = engine.run(&task.spec, desk, &stop)?;
    Ok(Product::Tile { output: output.bytes, leaves: output.leaves })
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// At most [`WHY_BYTES_MAX`] bytes, cut between characters.
fn shortened(mut text: String) -> String {
    let cut = (0..=WHY_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(cut.unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Assets, Forecast, Output};
    use farm::digest::Digest;
    use farm::id::JobId;
    use farm::leaf::Leaf;
    use proto::seal::Key;

    /// Panics on odd frames.
    struct Moody;

    impl Engine for Moody {
        fn name(&self) -> &'static str {
            "moody"
        }
        fn digest(&self) -> Digest {
            Digest::default()
        }
        fn run(
            &mut self,
            spec: &TileSpec,
            _: &dyn Assets,
            _: &dyn Fn() -> bool,
        ) -> Result<Output, EngineError> {
            assert!(spec.frame.is_multiple_of(2), "an odd frame");
            Ok(Output { bytes: vec![1], leaves: vec![Leaf::default()] })
        }
        fn forecast(
            &mut self,
            _: &TileSpec,
            leaves: &[u32],
            _: &dyn Assets,
        ) -> Result<Forecast, EngineError> {
            Ok(Forecast { units: vec![1; leaves.len()], spent: 0 })
        }
        fn audit(
            &mut self,
            _: &TileSpec,
            _: &[u32],
            _: &dyn Assets,
        ) -> Result<Vec<Leaf>, EngineError> {
            Ok(vec![Leaf::default()])
        }
    }

    fn spec(frame: u32) -> TileSpec {
        TileSpec {
            scene: Digest::default(),
            environment: None,
            frame,
            fps: 24,
            frame_width: 8,
            frame_height: 8,
            x: 0,
            y: 0,
            width: 8,
            height: 8,
            samples: 4,
            depth: 1,
            seed: 0,
            aovs: 0,
            noise: 0,
            work_per_pixel: 0,
            feed: None,
        }
    }

    #[tokio::test]
    async fn a_device_that_keeps_failing_is_given_up_and_its_leases_are_answered() {
        let dir = tempfile::tempdir().unwrap();
        let results = Results::open(dir.path().join("results"), Key::random()).unwrap();
        let cache = Arc::new(Cache::open(dir.path().join("assets"), 0, Key::random()).unwrap());
        let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let (_farm, farm) = watch::channel(None);
        let supplies = Supplies { cache, results: results.clone(), farm, events };
        let maker: Maker = Arc::new(|| Ok(Box::new(Moody)));
        let mut slot = Slot::start(0, maker, true, supplies).unwrap();
        let mut said = String::new();
        for (number, frame) in [1, 2, 3, 5, 7].into_iter().enumerate() {
            let lease = LeaseId { slot: number as u32, epoch: 1 };
            slot.give(
                lease,
                Work { job: JobId(1), tile: 0, leaves: vec![], inputs: vec![] },
                spec(frame),
                None,
            );
            let Some(Event::Finished { output, .. }) = heard.recv().await else { panic!() };
            let failed = matches!(results.get(lease).unwrap().1, Product::Failed { .. });
            assert_eq!(output, !failed);
            said.push(if failed { 'x' } else { '.' });
        }
        assert_eq!(said, "x.xxx");
        assert!(matches!(heard.recv().await, Some(Event::GivenUp { .. })));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(shortened("é".repeat(400)).len(), 500);
        assert_eq!(shortened("short".into()), "short");
    }
}
