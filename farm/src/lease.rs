//! Leases: dated rights to a tile, in slots whose epoch only grows. Knows no money.

use crate::audit::Claim;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::reject::Reject;
use crate::time::Time;
use crate::{layout_enum, layout_struct};

/// A live lease.
#[derive(Debug)]
pub struct Lease {
    pub worker: WorkerId,
    pub job: JobId,
    pub tile: u64,
    pub granted: Time,
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
    /// An accepted tile that is put before auditors once more; its worker has nothing to do.
    Reviewed(Box<Claim>),
}

#[derive(Debug, Default)]
struct Slot {
    epoch: u32,
    lease: Option<Lease>,
}

/// No deadline.
const NEVER: Time = Time(u64::MAX);

/// All leases.
#[derive(Debug, Default)]
pub struct Leases {
    slots: Vec<Slot>,
    /// When each slot's lease is taken back unless renewed; [`NEVER`] while nothing is asked of its
    /// worker. Apart from the slots, so that looking for what is due reads little.
    deadlines: Vec<Time>,
    free: Vec<u32>,
}

layout_enum!(Role { 0 = Computing, 1 = Claimed(claim), 2 = Audit(of), 3 = Reviewed(claim) });
layout_struct!(Lease { worker, job, tile, granted, role });
layout_struct!(Slot { epoch, lease });
layout_struct!(Leases { slots, deadlines, free });

impl Leases {
    /// Grants a lease in a free slot, with the slot's next epoch.
    pub fn grant(&mut self, lease: Lease, deadline: Option<Time>) -> LeaseId {
        let deadline = deadline.unwrap_or(NEVER);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.deadlines.push(NEVER);
            (self.slots.len() - 1) as u32
        });
        self.deadlines[slot as usize] = deadline;
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

    /// The claim under this lease, if a tile is reported or looked at again there.
    pub fn claim(&self, id: LeaseId) -> Option<&Claim> {
        match &self.get(id)?.role {
            Role::Claimed(claim) | Role::Reviewed(claim) => Some(claim),
            Role::Computing | Role::Audit(_) => None,
        }
    }

    /// The same, to be changed.
    pub fn claim_mut(&mut self, id: LeaseId) -> Option<&mut Claim> {
        match &mut self.get_mut(id)?.role {
            Role::Claimed(claim) | Role::Reviewed(claim) => Some(claim),
            Role::Computing | Role::Audit(_) => None,
        }
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
        self.deadlines[id.slot as usize] = NEVER;
        self.free.push(id.slot);
        Some(lease)
    }

    /// Moves a lease's deadline, or lifts it.
    pub fn set_deadline(&mut self, id: LeaseId, deadline: Option<Time>) {
        if self.get(id).is_some() {
            self.deadlines[id.slot as usize] = deadline.unwrap_or(NEVER);
        }
    }

    pub fn has_deadline(&self, id: LeaseId) -> bool {
        self.get(id).is_some() && self.deadlines[id.slot as usize] != NEVER
    }

    /// Leases whose deadline has passed, the longest overdue first.
    pub fn overdue(&self, now: Time) -> Vec<LeaseId> {
        let due = self.deadlines.iter().enumerate().filter(|(_, deadline)| **deadline <= now);
        let mut due: Vec<_> = due.map(|(slot, deadline)| (*deadline, slot as u32)).collect();
        due.sort_unstable();
        let id = |slot: u32| LeaseId { slot, epoch: self.slots[slot as usize].epoch };
        due.into_iter().map(|(_, slot)| id(slot)).collect()
    }

    /// All live leases, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (LeaseId, &Lease)> {
        self.slots.iter().enumerate().filter_map(|(at, slot)| {
            let id = LeaseId { slot: at as u32, epoch: slot.epoch };
            slot.lease.as_ref().map(|lease| (id, lease))
        })
    }
}
