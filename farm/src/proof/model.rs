//! Models: who may order one and whose workers compute it, and royalties, each of which goes as the
//! pay of its tile goes, in the entry after that.

use super::{Books, Follows, Job, demand};
use crate::entry::{Book, Fact, Reason};
use crate::id::{AccountId, JobId, ModelId, WorkerId};
use crate::model::{Licence, Rights};
use crate::money::{Amount, Price};

#[derive(Debug)]
struct Model {
    owner: AccountId,
    royalty: Price,
    rights: Rights,
    withdrawn: bool,
}

/// What is known of models.
#[derive(Debug, Default)]
pub(super) struct Models {
    list: Vec<Model>,
    /// The transfer of a royalty that the next entry must be.
    due: Option<Fact>,
}

impl Models {
    /// Whether this is the royalty that is due, if it may be the next entry at all.
    pub(super) fn expects(&mut self, fact: &Fact) -> Result<bool, &'static str> {
        let royalty = |fact: &Fact| match fact {
            Fact::Transfer { reason, .. } => matches!(
                reason,
                Reason::Royalty(..) | Reason::RoyaltyFinal(..) | Reason::RoyaltyReturned(..)
            ),
            _ => false,
        };
        match self.due.take() {
            Some(due) if *fact == due => Ok(true),
            Some(_) if royalty(fact) => Err("not the royalty that the model's owner is due"),
            Some(_) => Err("the model's owner is due a royalty, and it was not moved"),
            None if royalty(fact) => Err("no royalty is due"),
            None => Ok(false),
        }
    }

    fn get(&self, id: ModelId) -> Result<&Model, &'static str> {
        self.list.get(id.0 as usize).ok_or("it names a model that was not published")
    }

    pub(super) fn finish(&self) -> Follows {
        demand(self.due.is_none(), "a royalty that was due was not moved")
    }
}

impl Job {
    /// What a tile of so many work units costs, royalty included.
    pub(super) fn cost_of(&self, units: u64) -> u64 {
        self.price.of(units).0 + self.royalty_of(units)
    }

    pub(super) fn royalty_of(&self, units: u64) -> u64 {
        self.licence.map_or(0, |licence| licence.royalty.of(units).0)
    }
}

impl Books {
    pub(super) fn about_model(&mut self, fact: &Fact) -> Follows {
        match fact {
            Fact::ModelPublished { model, owner, royalty, rights, .. } => {
                self.published(*model, *owner, *royalty, rights)
            }
            Fact::ModelWithdrawn { model } => self.withdrawn(*model),
            Fact::ModelUsed { job, model, owner, royalty } => {
                let (model, owner, royalty) = (*model, *owner, *royalty);
                self.model_used(*job, Licence { model, owner, royalty })
            }
            _ => Ok(()),
        }
    }

    fn published(
        &mut self,
        model: ModelId,
        owner: AccountId,
        royalty: Price,
        rights: &Rights,
    ) -> Follows {
        demand(model.0 as usize == self.models.list.len(), "models are numbered in order")?;
        demand(self.operators.get(owner.0 as usize).is_some(), "its owner has no account")?;
        let rights = rights.clone();
        self.models.list.push(Model { owner, royalty, rights, withdrawn: false });
        Ok(())
    }

    fn withdrawn(&mut self, model: ModelId) -> Follows {
        self.models.get(model)?;
        let found = &mut self.models.list[model.0 as usize];
        demand(!std::mem::replace(&mut found.withdrawn, true), "it was withdrawn before")
    }

    /// The job just opened uses a model.
    fn model_used(&mut self, job: JobId, licence: Licence) -> Follows {
        let found = self.models.get(licence.model)?;
        let last = job.0 as usize + 1 == self.jobs.len();
        let fresh = self.jobs.last().is_some_and(|job| job.licence.is_none() && !job.leased);
        demand(last && fresh, "a job uses a model from its start")?;
        demand(!found.withdrawn, "the model was withdrawn")?;
        let Job { account, private, .. } = self.jobs[job.0 as usize];
        let may = found.owner == account || found.rights.let_order(account);
        demand(may, "the model's owner does not let this account order it")?;
        let due = Licence::of(licence.model, found.owner, found.royalty, account);
        demand(licence == due, "not the royalty that was published")?;
        demand(!private || due.royalty.0 == 0, "a private job owes a royalty")?;
        self.jobs[job.0 as usize].licence = Some(licence);
        Ok(())
    }

    /// Whether the owner of the model that a job uses lets this worker compute it.
    pub(super) fn may_compute(&self, worker: WorkerId, job: &Job) -> bool {
        let Some(licence) = &job.licence else { return true };
        let (found, model) =
            (&self.workers[worker.0 as usize], &self.models.list[licence.model.0 as usize]);
        found.arbiter || found.owner == model.owner || model.rights.let_compute(worker, found.owner)
    }

    /// Where a job's royalties lie that may have to come back, and whose they are.
    fn royalties_of(&self, job: JobId) -> (Book, Book) {
        let licence = self.jobs.get(job.0 as usize).and_then(|job| job.licence);
        let owner = licence.map_or(AccountId(u32::MAX), |licence| licence.owner);
        (Book::RoyaltyHeld(owner), Book::Royalty(owner))
    }

    fn royalty_due(&mut self, debit: Book, credit: Book, amount: u64, reason: Reason) {
        let amount = Amount(amount);
        let due = Fact::Transfer { debit, credit, amount, reason };
        self.models.due = Some(due).filter(|_| amount.0 > 0);
    }

    /// The tile was paid: so is its royalty, held back.
    pub(super) fn royalty_earned(&mut self, (job, tile): (JobId, u64), amount: u64) -> Follows {
        let (held, _) = self.royalties_of(job);
        self.royalty_due(Book::Hold(job), held, amount, Reason::Royalty(job, tile));
        let found = self.job(job)?;
        found.spent = found.spent.saturating_add(amount);
        demand(found.spent <= found.cap.0, "more than the job's cap")
    }

    /// The tile's pay is final.
    pub(super) fn royalty_final(&mut self, (job, tile): (JobId, u64), amount: u64) {
        let (held, own) = self.royalties_of(job);
        self.royalty_due(held, own, amount, Reason::RoyaltyFinal(job, tile));
    }

    /// The tile was taken back.
    pub(super) fn royalty_returns(&mut self, (job, tile): (JobId, u64), amount: u64) {
        let (held, _) = self.royalties_of(job);
        self.royalty_due(held, Book::Hold(job), amount, Reason::RoyaltyReturned(job, tile));
    }
}
