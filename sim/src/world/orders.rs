//! What is ordered in the world, and the models on offer: for all or for some, and now and then
//! withdrawn.

use super::{ENGINE, Event, SECOND, TROUBLE, World};
use crate::cut;
use crate::shell::Asker;
use crate::swarm::ACCOUNTS;
use anyhow::ensure;
use farm::Command;
use farm::chain::Upstream;
use farm::command::Submit;
use farm::cut::Cut;
use farm::digest::Digest;
use farm::id::{AccountId, JobId, ModelId};
use farm::job::Spec;
use farm::model::{Offer, Rights};
use farm::money::{Amount, CREDIT, Price};

impl World {
    pub(super) fn submit(&mut self, request: u128, agents: u32) -> anyhow::Result<()> {
        let chance = &mut self.chance;
        let frames = 1 + chance.below(u64::from(3.max(agents / 8))) as u32;
        let mut spec = Spec {
            engine: ENGINE,
            scene: Digest::of(&[chance.below(3) as u8]),
            frame_first: 1,
            frame_last: frames,
            frame_step: 1,
            fps: 24,
            width: 8 * (1 + chance.below(8) as u32),
            height: 8 * (1 + chance.below(8) as u32),
            tile_size: 8 * (1 + chance.below(2) as u32),
            samples: 4 * (1 + chance.below(8) as u32),
            depth: 4,
            ..Spec::default()
        };
        if chance.percent(30) {
            let cut = cut::random(chance, spec.width, spec.height, 24);
            spec.tile_size = if cut.is_none() { spec.tile_size } else { 0 };
            spec.cut = cut;
        }
        let price = Price(1_000 + chance.below(100_000));
        let account = AccountId(chance.below(2) as u32);
        let (model, royalty) = self.model_for(account);
        let chance = &mut self.chance;
        let most = spec.tile_cost_max(price).0 + spec.tile_cost_max(royalty).0;
        let cap = Amount(most * (1 + chance.below(u64::from(200.max(agents)))));
        let priority = chance.below(3) as u8;
        let job = JobId(self.specs.len() as u32);
        self.specs.push(spec.clone());
        let (private, audit_own) = (false, self.chance.percent(20));
        let seal = self.chance.percent(50).then(|| Digest::of(&request.to_le_bytes()));
        let submit = Submit {
            account,
            request,
            spec,
            cap,
            price,
            priority,
            private,
            audit_own,
            model,
            seal,
            watermark: false,
        };
        self.must(Command::Submit(Box::new(submit.clone())))?;
        self.follow_up(submit, job)?;
        if self.chance.percent(10) {
            let at = self.now + self.chance.below(20 * SECOND);
            self.later(at, Event::Cancel(job));
        }
        Ok(())
    }

    /// Now and then jobs are made of a job's frames, and others of theirs.
    fn follow_up(&mut self, mut before: Submit, mut job: JobId) -> anyhow::Result<()> {
        for _ in 0..4 {
            if !self.chance.percent(40) {
                break;
            }
            let (model, royalty) = self.model_for(before.account);
            let chance = &mut self.chance;
            let from = &before.spec;
            let (scale, halo) = (1 + chance.below(2) as u32, chance.below(24) as u32);
            let spec = Spec {
                width: from.width * scale,
                height: from.height * scale,
                tile_size: 16 * (1 + chance.below(2) as u32),
                samples: 4,
                depth: 1,
                cut: Cut::default(),
                work_per_pixel: 20,
                upstream: Some(Upstream { job, scale, halo, planes: 0 }),
                ..from.clone()
            };
            let most = spec.tile_cost_max(before.price).0 + spec.tile_cost_max(royalty).0;
            let cap = Amount(most.saturating_mul(1 + chance.below(200)).min(1_000 * CREDIT));
            let (request, audit_own) = (before.request + 1_000, chance.percent(20));
            if cap.0 < most {
                break;
            }
            let own = JobId(self.specs.len() as u32);
            let branches = chance.percent(25);
            self.specs.push(spec.clone());
            let seal = before.seal.filter(|_| self.chance.percent(50));

            let submit = Submit { spec, cap, request, audit_own, model, seal, ..before.clone() };
            self.must(Command::Submit(Box::new(submit.clone())))?;
            // The next is made of this one, or of the same.
            if branches {
                before.request = request;
            } else {
                (before, job) = (submit, own);
            }
        }
        Ok(())
    }

    /// A few models come on offer. Where an owner trusts only some, an honest one is among them.
    pub(super) fn publish(&mut self) -> anyhow::Result<()> {
        for n in 0..self.chance.below(4) as u32 {
            let chance = &mut self.chance;
            let account = AccountId(1 + chance.below(3) as u32);
            let mut rights = Rights::default();
            if chance.percent(30) {
                rights.orders.push(AccountId(chance.below(2) as u32));
            }
            if chance.percent(30) {
                rights.owners.push(AccountId(2 + chance.below(4) as u32));
                rights.owners.push(AccountId(chance.below(u64::from(ACCOUNTS)) as u32));
            }
            let royalty = Price(if chance.percent(80) { 1 + chance.below(50_000) } else { 0 });
            let offer = Box::new(Offer {
                name: format!("m{n}"),
                asset: Digest::of(&n.to_le_bytes()),
                card: Digest::of(b"card"),
                facts: Digest::of(b"facts"),
                licence: "CC0-1.0".into(),
                royalty,
                rights,
            });
            self.must(Command::Publish { account, offer })?;
            if self.chance.percent(50) {
                let at = self.now + self.chance.below(TROUBLE);
                self.later(at, Event::Withdraw(account, ModelId(n)));
            }
        }
        Ok(())
    }

    /// A model that the account may order, now and then, and its royalty.
    pub(super) fn model_for(&mut self, account: AccountId) -> (Option<ModelId>, Price) {
        let offered = self.shell.farm.models(None, usize::MAX);
        let mut offered: Vec<_> = offered
            .into_iter()
            .filter(|(_, model)| {
                let named = &model.offer.rights.orders;
                model.owner == account || named.is_empty() || named.contains(&account)
            })
            .collect();
        if offered.is_empty() || !self.chance.percent(60) {
            return (None, Price(0));
        }
        let (id, model) = offered.swap_remove(self.chance.below(offered.len() as u64) as usize);
        (Some(id), model.offer.royalty)
    }

    /// No new job uses a model that was withdrawn, whoever orders it.
    pub(super) fn withdraw(&mut self, account: AccountId, model: ModelId) -> anyhow::Result<()> {
        self.must(Command::Withdraw { account, model })?;
        let Some(spec) = self.specs.first().cloned() else { return Ok(()) };
        let submit = Box::new(Submit {
            account: AccountId(self.chance.below(2) as u32),
            request: u128::from(self.chance.bits()),
            spec,
            cap: Amount(10 * CREDIT),
            price: Price(1_000),
            priority: 0,
            private: false,
            audit_own: false,
            model: Some(model),
            seal: None,
            watermark: false,
        });
        let accepted = self.command(Command::Submit(submit), Asker::Nobody)?;
        ensure!(!accepted, "{model} was withdrawn and is ordered");
        Ok(())
    }
}
