//! Royalties, as the judge knows them: who offered what to whom, and what is owed for each tile.

use super::Model;
use anyhow::{Context, ensure};
use farm::entry::{Book, Fact, Reason};
use farm::id::{AccountId, JobId, ModelId, WorkerId};
use farm::model::Rights;

/// A model that somebody published.
#[derive(Debug)]
pub(super) struct Published {
    owner: AccountId,
    /// Micro-credits for a million work units.
    royalty: i128,
    rights: Rights,
    withdrawn: bool,
}

impl Model {
    /// What is on offer, and what jobs use of it; whether that was all that the entry says.
    pub(super) fn about_model(&mut self, fact: &Fact) -> anyhow::Result<bool> {
        match fact {
            Fact::AccountOpened { account, operator } => {
                self.operators.extend(Some(*account).filter(|_| *operator));
            }
            Fact::ModelPublished { model, owner, royalty, rights, .. } => {
                let (royalty, rights) = (i128::from(royalty.0), Rights::clone(rights));
                let found = Published { owner: *owner, royalty, rights, withdrawn: false };
                ensure!(self.models.insert(*model, found).is_none(), "published twice");
            }
            Fact::ModelWithdrawn { model } => {
                let found = self.models.get_mut(model).context("no such model")?;
                ensure!(!std::mem::replace(&mut found.withdrawn, true), "withdrawn twice");
            }
            Fact::ModelUsed { job, model, owner, royalty } => {
                ensure!(self.unused.take() == Some(*job), "{job} was opened before");
                self.used(*job, *model, *owner, i128::from(royalty.0))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The job was ordered with this model by somebody who may, and owes what was published.
    fn used(
        &mut self,
        job: JobId,
        model: ModelId,
        owner: AccountId,
        royalty: i128,
    ) -> anyhow::Result<()> {
        let found = self.jobs.get(&job).context("no such job")?;
        ensure!(found.model == Some(model), "another model was ordered");
        let offer = self.models.get(&model).context("no such model")?;
        let named = &offer.rights.orders;
        let own = found.account == offer.owner;
        ensure!(!offer.withdrawn, "{model} was withdrawn");
        ensure!(own || named.is_empty() || named.contains(&found.account), "not for this account");
        let due = if own { 0 } else { offer.royalty };
        ensure!((offer.owner, due) == (owner, royalty), "{due} was published");
        ensure!(due == 0 || !found.private, "nobody counts the work of {job}");
        Ok(())
    }

    /// Micro-credits that so many work units of a job owe a model's owner, rounded up.
    pub(super) fn royalty(&self, job: JobId, units: u64) -> Option<(AccountId, i128)> {
        let found = self.jobs.get(&job)?;
        let offer = self.models.get(&found.model?)?;
        let whole = offer.royalty * i128::from(units) + 999_999;
        let owes = found.account != offer.owner && offer.royalty > 0;
        owes.then_some((offer.owner, whole / 1_000_000))
    }

    /// Whether a model's owner lets this worker work on a job.
    pub(super) fn is_trusted(&self, worker: WorkerId, job: JobId) -> bool {
        let model = self.jobs.get(&job).and_then(|job| job.model);
        let Some(offer) = model.and_then(|model| self.models.get(&model)) else { return true };
        let (owners, workers) = (&offer.rights.owners, &offer.rights.workers);
        let Some(owner) = self.owners.get(&worker) else { return false };
        owners.is_empty() && workers.is_empty()
            || self.operators.contains(owner)
            || *owner == offer.owner
            || owners.contains(owner)
            || workers.contains(&worker)
    }

    /// A royalty moves; where to and from, says the reason.
    pub(super) fn moves_royalty(
        &mut self,
        (debit, credit): (Book, Book),
        amount: i128,
        reason: Reason,
    ) -> anyhow::Result<()> {
        let (Reason::Royalty(job, tile)
        | Reason::RoyaltyFinal(job, tile)
        | Reason::RoyaltyReturned(job, tile)) = reason
        else {
            anyhow::bail!("{reason:?} is about no royalty");
        };
        let units = self.tiles.entry((job, tile)).or_default().units;
        let (owner, due) = self.royalty(job, units).context("the job owes no royalty")?;
        let place = self.tiles.entry((job, tile)).or_default();
        let found = self.jobs.get_mut(&job).context("no such job")?;
        let (hold, held, own) = (Book::Hold(job), Book::RoyaltyHeld(owner), Book::Royalty(owner));
        match reason {
            Reason::Royalty(..) => {
                ensure!((debit, credit) == (hold, held), "it goes from somewhere else");
                ensure!(place.earned.is_some() && !place.paid_out, "before the tile's pay");
                ensure!(amount == due && !place.royalty_kept, "{due} is owed, once");
                ensure!(place.royalty.replace(amount).is_none(), "a royalty is paid twice");
                found.spent += amount;
                ensure!(found.spent <= found.cap, "{job} costs more than its cap");
            }
            Reason::RoyaltyFinal(..) => {
                ensure!((debit, credit) == (held, own), "it goes to somebody else");
                ensure!(place.paid_out, "final before the tile's pay is");
                ensure!(place.royalty.take() == Some(amount), "not what was held back");
                place.royalty_kept = true;
            }
            _ => {
                ensure!((debit, credit) == (held, hold), "it does not go back to its job");
                ensure!(!place.accepted && !place.royalty_kept, "the tile stands");
                ensure!(place.royalty.take() == Some(amount), "not what was held back");
                found.spent -= amount;
            }
        }
        Ok(())
    }
}
