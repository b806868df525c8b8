//! The worker's half of the lease protocol, sans I/O: which leases it has, which results are not
//! yet acknowledged, what to say on reconnect, when to renew. Knows no farm, no bytes, no network.

use crate::digest::Digest;
use crate::id::{JobId, LeaseId};
use crate::limit;
use crate::time::Time;
use std::collections::BTreeMap;

/// Renewals sent while a lease lasts: three chances before it expires.
const RENEWALS: u64 = 3;

/// What a lease asks for. No leaves: the whole tile; otherwise an audit of these leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    pub job: JobId,
    pub tile: u64,
    pub leaves: Vec<u32>,
    /// The outputs that the tile is made of where an upstream feeds its job.
    pub inputs: Vec<Digest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waits for an engine; the number keeps the order of arrival.
    Queued(u64),
    Running,
    /// The output is on disk here and not yet at the farm.
    Finished,
    /// May be reported.
    Ready,
    /// Reported on this stream, not acknowledged.
    Sent,
    /// Acknowledged; kept to answer challenges until settled.
    Kept,
}

/// What a worker holds. It outlives streams, and (through results on disk) the process.
#[derive(Debug)]
pub struct Agent {
    leases: BTreeMap<LeaseId, (Work, Phase)>,
    granted: u64,
    renewed: Time,
    /// How long the farm leases for.
    lease_ms: u64,
}

impl Default for Agent {
    fn default() -> Self {
        let (leases, renewed) = (BTreeMap::new(), Time(0));
        Self { leases, granted: 0, renewed, lease_ms: limit::LEASE_MS }
    }
}

impl Agent {
    /// A result found on disk after a restart.
    pub fn restore(&mut self, lease: LeaseId, work: Work) {
        self.leases.insert(lease, (work, Phase::Finished));
    }

    /// A lease arrived. False if it is known already, and nothing is to be done.
    pub fn grant(&mut self, lease: LeaseId, work: Work) -> bool {
        if self.leases.contains_key(&lease) {
            return false;
        }
        self.granted += 1;
        self.leases.insert(lease, (work, Phase::Queued(self.granted)));
        true
    }

    /// The lease to compute next, now running: audits first, for they are short and others wait
    /// for them; then in order of arrival.
    pub fn start(&mut self) -> Option<(LeaseId, Work)> {
        let queued = self.leases.iter().filter_map(|(lease, (work, phase))| match phase {
            Phase::Queued(order) => Some((work.leaves.is_empty(), *order, *lease)),
            _ => None,
        });
        let (_, _, lease) = queued.min()?;
        let (work, phase) = self.leases.get_mut(&lease)?;
        *phase = Phase::Running;
        Some((lease, work.clone()))
    }

    /// An engine is done. With `output`, bytes must reach the farm before the report. False if the
    /// lease was taken back meanwhile: forget the result.
    pub fn finish(&mut self, lease: LeaseId, output: bool) -> bool {
        match self.leases.get_mut(&lease) {
            Some((_, phase @ Phase::Running)) => {
                *phase = if output { Phase::Finished } else { Phase::Ready };
                true
            }
            _ => false,
        }
    }

    /// Results whose output has to be uploaded.
    pub fn uploads(&self) -> Vec<LeaseId> {
        self.in_phase(|phase| phase == Phase::Finished)
    }

    /// The output is at the farm.
    pub fn uploaded(&mut self, lease: LeaseId) {
        if let Some((_, phase @ Phase::Finished)) = self.leases.get_mut(&lease) {
            *phase = Phase::Ready;
        }
    }

    /// Results to report now. Each is named once a stream.
    pub fn reports(&mut self) -> Vec<LeaseId> {
        let ready = self.in_phase(|phase| phase == Phase::Ready);
        for lease in &ready {
            if let Some((_, phase)) = self.leases.get_mut(lease) {
                *phase = Phase::Sent;
            }
        }
        ready
    }

    /// The farm answered a report. True: forget the result. A refusal that says the report is
    /// already there keeps it, for the farm may still ask for openings.
    pub fn acknowledged(&mut self, lease: LeaseId, settled: bool, refused: &str) -> bool {
        let Some((_, phase)) = self.leases.get_mut(&lease) else { return false };
        if settled || !(refused.is_empty() || refused == "REPORT_REPEATED") {
            self.leases.remove(&lease);
            return true;
        }
        *phase = Phase::Kept;
        false
    }

    /// The farm took a lease back. True if it was here: stop it, forget its result.
    pub fn revoke(&mut self, lease: LeaseId) -> bool {
        self.leases.remove(&lease).is_some()
    }

    /// Whether this lease is one of ours.
    pub fn has(&self, lease: LeaseId) -> bool {
        self.leases.contains_key(&lease)
    }

    /// What to name in a hello: everything held.
    pub fn hello(&self) -> Vec<LeaseId> {
        self.leases.keys().copied().collect()
    }

    /// A new stream began, these leases are still ours, and each lasts `lease_ms` unless renewed.
    /// Answers with those that are not, to be stopped and forgotten. What was reported without an
    /// answer will be reported again.
    pub fn welcome(&mut self, live: &[LeaseId], lease_ms: u64, now: Time) -> Vec<LeaseId> {
        let gone: Vec<LeaseId> =
            self.leases.keys().filter(|lease| !live.contains(lease)).copied().collect();
        for lease in &gone {
            self.leases.remove(lease);
        }
        for (_, phase) in self.leases.values_mut() {
            if *phase == Phase::Sent {
                *phase = Phase::Ready;
            }
        }
        self.renewed = now;
        self.lease_ms = lease_ms;
        gone
    }

    /// Leases to renew, if it is time: all that are not yet acknowledged.
    pub fn renewals(&mut self, now: Time) -> Vec<LeaseId> {
        if now < self.renewed.after_ms(self.lease_ms / RENEWALS) {
            return Vec::new();
        }
        self.renewed = now;
        self.in_phase(|phase| phase != Phase::Kept)
    }

    /// Whether all that was leased has been computed, reported and acknowledged.
    pub fn is_idle(&self) -> bool {
        self.leases.values().all(|(_, phase)| *phase == Phase::Kept)
    }

    /// Whether nothing at all is held.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    fn in_phase(&self, wanted: impl Fn(Phase) -> bool) -> Vec<LeaseId> {
        let chosen = self.leases.iter().filter(|(_, (_, phase))| wanted(*phase));
        chosen.map(|(lease, _)| *lease).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(slot: u32) -> LeaseId {
        LeaseId { slot, epoch: 1 }
    }

    fn names(leases: &[LeaseId]) -> String {
        let names: Vec<String> = leases.iter().map(|lease| lease.slot.to_string()).collect();
        if names.is_empty() { "-".into() } else { names.join(" ") }
    }

    /// Plays a line such as `grant 1` and says what the agent answered.
    fn play(agent: &mut Agent, line: &str) -> String {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap();
        let rest: Vec<&str> = words.collect();
        let ids = || rest.iter().filter_map(|word| word.parse().ok()).map(lease).collect();
        let ids: Vec<LeaseId> = ids();
        let work = |leaves| Work { job: JobId(1), tile: 0, leaves, inputs: vec![] };
        match verb {
            "grant" => agent.grant(ids[0], work(vec![])).to_string(),
            "audit" => agent.grant(ids[0], work(vec![3, 9])).to_string(),
            "restore" => {
                agent.restore(ids[0], work(vec![]));
                "-".into()
            }
            "start" => agent.start().map_or("-".into(), |(lease, _)| lease.slot.to_string()),
            "finish" => agent.finish(ids[0], true).to_string(),
            "fail" => agent.finish(ids[0], false).to_string(),
            "uploads" => names(&agent.uploads()),
            "uploaded" => {
                agent.uploaded(ids[0]);
                "-".into()
            }
            "reports" => names(&agent.reports()),
            "ack" => agent.acknowledged(ids[0], false, "").to_string(),
            "settled" => agent.acknowledged(ids[0], true, "").to_string(),
            "refused" => agent.acknowledged(ids[0], false, rest[1]).to_string(),
            "revoke" => agent.revoke(ids[0]).to_string(),
            "hello" => names(&agent.hello()),
            "welcome" => names(&agent.welcome(&ids, 30_000, Time(0))),
            "welcome-briefly" => names(&agent.welcome(&ids, 3_000, Time(0))),
            "renew" => names(&agent.renewals(Time(rest[0].parse::<u64>().unwrap() * 1000))),
            "idle" => agent.is_idle().to_string(),
            "empty" => agent.is_empty().to_string(),
            other => panic!("no such verb: {other}"),
        }
    }

    fn table(lines: &str) {
        let mut agent = Agent::default();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (verb, expected) = line.split_once("->").unwrap();
            assert_eq!(play(&mut agent, verb.trim()), expected.trim(), "{line}");
        }
    }

    #[test]
    fn a_tile_is_computed_uploaded_reported_and_kept_until_settled() {
        table(
            "grant 1 -> true
             grant 1 -> false
             idle -> false
             start -> 1
             start -> -
             finish 1 -> true
             reports -> -
             uploads -> 1
             uploaded 1 -> -
             uploads -> -
             reports -> 1
             reports -> -
             ack 1 -> false
             idle -> true
             empty -> false
             settled 1 -> true
             settled 1 -> false
             empty -> true",
        );
    }

    #[test]
    fn audits_overtake_tiles_which_keep_their_order() {
        table(
            "grant 5 -> true
             grant 2 -> true
             audit 9 -> true
             start -> 9
             start -> 5
             start -> 2
             fail 9 -> true
             uploads -> -
             reports -> 9",
        );
    }

    #[test]
    fn a_lost_stream_loses_no_result() {
        table(
            "grant 1 -> true
             grant 2 -> true
             grant 3 -> true
             grant 4 -> true
             start -> 1
             finish 1 -> true
             uploaded 1 -> -
             reports -> 1
             start -> 2
             finish 2 -> true
             start -> 3
             hello -> 1 2 3 4
             welcome 1 2 3 -> 4
             reports -> 1
             uploads -> 2
             finish 3 -> true
             refused 1 REPORT_REPEATED -> false
             hello -> 1 2 3",
        );
    }

    #[test]
    fn a_restarted_process_hands_in_what_it_finds() {
        table(
            "restore 7 -> -
             restore 8 -> -
             hello -> 7 8
             welcome 7 -> 8
             uploads -> 7
             uploaded 7 -> -
             reports -> 7
             refused 7 LEASE_EXPIRED -> true
             empty -> true",
        );
    }

    #[test]
    fn a_revoked_lease_is_forgotten_whatever_its_phase() {
        table(
            "grant 1 -> true
             revoke 1 -> true
             revoke 1 -> false
             start -> -
             grant 2 -> true
             start -> 2
             revoke 2 -> true
             finish 2 -> false
             empty -> true",
        );
    }

    #[test]
    fn leases_are_renewed_until_they_are_acknowledged() {
        table(
            "grant 1 -> true
             grant 2 -> true
             welcome 1 2 -> -
             renew 9999 -> -
             renew 10000 -> 1 2
             renew 10001 -> -
             start -> 1
             fail 1 -> true
             reports -> 1
             ack 1 -> false
             renew 20000 -> 2",
        );
        table(
            "grant 1 -> true
             welcome-briefly 1 -> -
             renew 999 -> -
             renew 1000 -> 1",
        );
    }
}
