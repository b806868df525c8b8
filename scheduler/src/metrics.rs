//! Metrics for Prometheus. One recorder serves the whole process, however many schedulers run
//! in it.

use farm::Reject;
use metrics::{Counter, Gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rustix::time::{ClockId, clock_gettime};
use std::sync::OnceLock;

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// The text that Prometheus reads. Empty if another recorder was installed first.
pub fn render() -> String {
    install().map(PrometheusHandle::render).unwrap_or_default()
}

/// Installs the recorder, once.
pub fn install() -> Option<&'static PrometheusHandle> {
    let recorder = RECORDER.get_or_init(|| {
        let seconds = [0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0];
        let builder = PrometheusBuilder::new().set_buckets(&seconds).ok()?;
        builder.install_recorder().ok()
    });
    recorder.as_ref()
}

/// What the driver counts; written once a batch.
pub struct DriverMetrics {
    pub grants: u64,
    pub reports: u64,
    commands_total: Counter,
    leases_total: Counter,
    tiles_total: Counter,
    entries_total: Counter,
    batch_commands: Gauge,
    batches_total: Counter,
    cpu_seconds: Gauge,
}

impl DriverMetrics {
    pub fn new() -> Self {
        Self {
            grants: 0,
            reports: 0,
            commands_total: metrics::counter!("girih_commands_total"),
            leases_total: metrics::counter!("girih_leases_total"),
            tiles_total: metrics::counter!("girih_tiles_reported_total"),
            entries_total: metrics::counter!("girih_log_entries_total"),
            batch_commands: metrics::gauge!("girih_batch_commands"),
            batches_total: metrics::counter!("girih_batches_total"),
            cpu_seconds: metrics::gauge!("girih_driver_cpu_seconds"),
        }
    }

    /// Counts a batch.
    pub fn batch(&mut self, commands: u32, entries: usize) {
        self.commands_total.increment(u64::from(commands));
        self.leases_total.increment(std::mem::take(&mut self.grants));
        self.tiles_total.increment(std::mem::take(&mut self.reports));
        self.entries_total.increment(entries as u64);
        self.batches_total.increment(1);
        self.batch_commands.set(f64::from(commands));
        let cpu = clock_gettime(ClockId::ThreadCPUTime);
        self.cpu_seconds.set(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
    }

    /// Counts a refusal by its reason.
    pub fn reject(&self, reject: Reject) {
        metrics::counter!("girih_rejects_total", "reason" => reject.reason()).increment(1);
    }
}
