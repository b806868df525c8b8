//! Leases: dated rights to a tile, in slots whose epoch only grows. Knows no money.

use crate::audit::Claim;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::reject::Reject;
use crate::time::Time;
use crate::{layout_enum, layout_struct};
use std::collections::BTreeSet;

/// A live lease.
#[derive(Debug)]
pub struct Lease {
    pub worker: WorkerId,
    pub job: JobId,
    pub tile: u64,
    pub granted: Time,
    /// When it is taken back unless renewed; none while nothing is asked of the worker.
    pub deadline: Option<Time>,
    pub role: Role,
}

/// What a lease is for, and how far it is.
#[derive(Debug)]
pub enum Role {
    /// A tile being computed.
    Computing,
    /// A reported tile: its openings or its audit are awaited.
    Claimed(Box<Claim>),
    /// A second opinion on another lease's claim.
    Audit(LeaseId),
}

#[derive(Debug, Default)]
struct Slot {
    epoch: u32,
    lease: Option<Lease>,
}

/// All leases.
#[derive(Debug, Default)]
pub struct Leases {
    slots: Vec<Slot>,
    free: Vec<u32>,
    due: BTreeSet<(Time, u32)>,
}

layout_enum!(Role { 0 = Computing, 1 = Claimed(claim), 2 = Audit(of) });
layout_struct!(Lease { worker, job, tile, granted, deadline, role });
layout_struct!(Slot { epoch, lease });
layout_struct!(Leases { slots, free, due });

impl Leases {
    /// Grants a lease in a free slot, with the slot's next epoch.
    pub fn grant(&mut self, lease: Lease) -> LeaseId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        if let Some(deadline) = lease.deadline {
            self.due.insert((deadline, slot));
        }
        let place = &mut self.slots[slot as usize];
        place.epoch += 1;
        place.lease = Some(lease);
        LeaseId { slot, epoch: place.epoch }
    }

    pub fn get(&self, id: LeaseId) -> Option<&Lease> {
        let slot = self.slots.get(id.slot as usize)?;
        slot.lease.as_ref().filter(|_| slot.epoch == id.epoch)
    }

    pub fn get_mut(&mut self, id: LeaseId) -> Option<&mut Lease> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        slot.lease.as_mut().filter(|_| slot.epoch == id.epoch)
    }

    /// The worker's own live lease; says whether a lease never was or is no more.
    pub fn own(&self, worker: WorkerId, id: LeaseId) -> Result<&Lease, Reject> {
        let slot = self.slots.get(id.slot as usize).ok_or(Reject::LeaseUnknown)?;
        if id.epoch == 0 || id.epoch > slot.epoch {
            return Err(Reject::LeaseUnknown);
        }
        let lease = self.get(id).ok_or(Reject::LeaseExpired)?;
        if lease.worker == worker { Ok(lease) } else { Err(Reject::LeaseUnknown) }
    }

    /// Ends a lease and frees its slot.
    pub fn end(&mut self, id: LeaseId) -> Option<Lease> {
        self.get(id)?;
        let lease = self.slots[id.slot as usize].lease.take()?;
        if let Some(deadline) = lease.deadline {
            self.due.remove(&(deadline, id.slot));
        }
        self.free.push(id.slot);
        Some(lease)
    }

    /// Moves a lease's deadline, or lifts it.
    pub fn set_deadline(&mut self, id: LeaseId, deadline: Option<Time>) {
        let Some(lease) = self.get_mut(id) else { return };
        let before = std::mem::replace(&mut lease.deadline, deadline);
        if let Some(before) = before {
            self.due.remove(&(before, id.slot));
        }
        if let Some(deadline) = deadline {
            self.due.insert((deadline, id.slot));
        }
    }

    /// A lease whose deadline has passed.
    pub fn overdue(&self, now: Time) -> Option<LeaseId> {
        let (deadline, slot) = self.due.first()?;
        (*deadline <= now).then(|| LeaseId { slot: *slot, epoch: self.slots[*slot as usize].epoch })
    }

    /// All live leases, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (LeaseId, &Lease)> {
        self.slots.iter().enumerate().filter_map(|(at, slot)| {
            let id = LeaseId { slot: at as u32, epoch: slot.epoch };
            slot.lease.as_ref().map(|lease| (id, lease))
        })
    }
}
