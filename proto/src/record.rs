//! Journal records: a command and its time, to bytes and back.

use crate::convert::{Malformed, bytes32, digest, malformed, wire_digest};
use crate::frequent;
use crate::journal::{self as wire, record, report, scoring};
use bytes::Bytes;
use farm::Command;
use farm::appeal::Matter;
use farm::chain::Upstream;
use farm::command::{Connect, Outcome, RequestId, Submit};
use farm::cut::Cut;
use farm::digest::Digest;
use farm::id::{AccountId, JobId, LeaseId, ModelId, WorkerId};
use farm::job::Spec;
use farm::leaf::{Commitment, Leaf, Opening};
use farm::model::{Offer, Rights};
use farm::money::{Amount, Price};
use farm::scores::Scores;
use farm::time::Time;
use prost::Message;

/// Appends the record of a command to `out`.
pub fn encode(at: Time, command: &Command, out: &mut Vec<u8>) {
    let record = wire::Record { at: at.0, command: Some(to_wire(command)) };
    record.encode(out).expect("a Vec grows as needed");
}

/// Reads a record.
pub fn decode(bytes: &[u8]) -> Result<(Time, Command), Malformed> {
    read(bytes, |at, command| (at, command))
}

/// Reads a record and does something with it.
#[inline(always)]
pub fn read<R>(bytes: &[u8], mut then: impl FnMut(Time, Command) -> R) -> Result<R, Malformed> {
    match frequent::read(bytes, &mut then) {
        Some(done) => Ok(done),
        None => decode_any(bytes).map(|(at, command)| then(at, command)),
    }
}

fn decode_any(bytes: &[u8]) -> Result<(Time, Command), Malformed> {
    let record = wire::Record::decode(bytes).map_err(|_| malformed("record", "a protobuf"))?;
    let command = record.command.ok_or(malformed("record.command", "present"))?;
    Ok((Time(record.at), from_wire(command)?))
}

fn to_wire(command: &Command) -> record::Command {
    use record::Command as W;
    match command {
        Command::OpenAccount { key, operator, name } => W::OpenAccount(wire::OpenAccount {
            key: wire_digest(key),
            operator: *operator,
            name: name.clone(),
        }),
        Command::TopUp { account, amount, request } => {
            W::TopUp(top_up_to_wire(*account, *amount, *request))
        }
        Command::Submit(submit) => W::Submit(submit_to_wire(submit)),
        Command::Cancel { job } => W::Cancel(wire::Cancel { job: job.0 }),
        Command::Connect(connect) => W::Connect(connect_to_wire(connect)),
        Command::Disconnect { worker } => W::Disconnect(wire::Disconnect { worker: worker.0 }),
        Command::Report { worker, lease, outcome } => W::Report(wire::Report {
            worker: worker.0,
            lease: lease.to_u64(),
            outcome: Some(outcome_to_wire(outcome)),
        }),
        Command::Open { worker, lease, openings } => W::Open(wire::Open {
            worker: worker.0,
            lease: lease.to_u64(),
            openings: openings.iter().map(opening_to_wire).collect(),
        }),
        Command::Renew { worker, leases } => {
            W::Renew(wire::Renew { worker: worker.0, leases: lease_bits(leases) })
        }
        Command::Drain { worker } => W::Drain(wire::Drain { worker: worker.0 }),
        Command::Secret { next } => W::Secret(wire::Secret { next: Bytes::copy_from_slice(next) }),
        Command::Stored { job, frame, exr, png, made_of } => W::Stored(wire::Stored {
            job: job.0,
            frame: *frame,
            exr: wire_digest(exr),
            png: wire_digest(png),
            made_of: wire_digest(made_of),
        }),
        Command::Appeal { account, matter } => {
            W::Appeal(wire::Appeal { account: account.0, matter: Some(matter_to_wire(matter)) })
        }
        Command::Stake { account, worker, amount, request } => {
            W::Stake(stake_to_wire(*account, *worker, *amount, *request))
        }
        Command::Unstake { account, worker } => {
            W::Unstake(wire::Unstake { account: account.0, worker: worker.0 })
        }
        Command::Publish { account, offer } => W::Publish(offer_to_wire(*account, offer)),
        Command::Withdraw { account, model } => {
            W::Withdraw(wire::Withdraw { account: account.0, model: model.0 })
        }
        Command::Show { account, asset } => W::Show(show_to_wire(*account, asset)),
        Command::Bond { account, .. }
        | Command::Unbond { account }
        | Command::CommitScores { account, .. }
        | Command::RevealScores { account, .. } => {
            W::Scoring(wire::Scoring { account: account.0, does: scoring_to_wire(command) })
        }
        Command::Tick => W::Tick(wire::Tick {}),
    }
}

fn from_wire(command: record::Command) -> Result<Command, Malformed> {
    use record::Command as W;
    Ok(match command {
        W::OpenAccount(open) => Command::OpenAccount {
            key: digest("open_account.key", &open.key)?,
            operator: open.operator,
            name: open.name,
        },
        W::TopUp(top_up) => Command::TopUp {
            account: top_up.account.map(AccountId),
            amount: Amount(top_up.amount),
            request: request(&top_up.request)?,
        },
        W::Submit(submit) => Command::Submit(Box::new(submit_from_wire(submit)?)),
        W::Cancel(cancel) => Command::Cancel { job: JobId(cancel.job) },
        W::Connect(connect) => Command::Connect(Box::new(connect_from_wire(connect)?)),
        W::Disconnect(gone) => Command::Disconnect { worker: WorkerId(gone.worker) },
        W::Report(report) => Command::Report {
            worker: WorkerId(report.worker),
            lease: LeaseId::from_u64(report.lease),
            outcome: outcome_from_wire(
                report.outcome.ok_or(malformed("report.outcome", "present"))?,
            )?,
        },
        W::Open(open) => Command::Open {
            worker: WorkerId(open.worker),
            lease: LeaseId::from_u64(open.lease),
            openings: open.openings.iter().map(opening_from_wire).collect::<Result<_, _>>()?,
        },
        W::Renew(renew) => Command::Renew {
            worker: WorkerId(renew.worker),
            leases: renew.leases.into_iter().map(LeaseId::from_u64).collect(),
        },
        W::Drain(drain) => Command::Drain { worker: WorkerId(drain.worker) },
        W::Secret(secret) => Command::Secret { next: bytes32("secret.next", &secret.next)? },
        W::Stored(stored) => Command::Stored {
            job: JobId(stored.job),
            frame: stored.frame,
            exr: digest("stored.exr", &stored.exr)?,
            png: digest("stored.png", &stored.png)?,
            made_of: digest("stored.made_of", &stored.made_of)?,
        },
        W::Appeal(appeal) => Command::Appeal {
            account: AccountId(appeal.account),
            matter: matter_from_wire(appeal.matter.ok_or(malformed("appeal.matter", "present"))?),
        },
        W::Stake(stake) => stake_from_wire(&stake)?,
        W::Unstake(unstake) => Command::Unstake {
            account: AccountId(unstake.account),
            worker: WorkerId(unstake.worker),
        },
        W::Publish(publish) => publish_from_wire(publish)?,
        W::Withdraw(withdraw) => withdraw_from_wire(&withdraw),
        W::Show(show) => show_from_wire(&show)?,
        W::Scoring(scoring) => scoring_from_wire(scoring)?,
        W::Tick(_) => Command::Tick,
    })
}

fn stake_from_wire(stake: &wire::Stake) -> Result<Command, Malformed> {
    Ok(Command::Stake {
        account: AccountId(stake.account),
        worker: WorkerId(stake.worker),
        amount: Amount(stake.amount),
        request: request(&stake.request)?,
    })
}

fn matter_to_wire(matter: &Matter) -> wire::appeal::Matter {
    match *matter {
        Matter::Tile(job, tile) => wire::appeal::Matter::Tile(wire::TilePlace { job: job.0, tile }),
        Matter::Refutation(worker) => wire::appeal::Matter::Refuted(worker.0),
    }
}

fn matter_from_wire(matter: wire::appeal::Matter) -> Matter {
    match matter {
        wire::appeal::Matter::Tile(place) => Matter::Tile(JobId(place.job), place.tile),
        wire::appeal::Matter::Refuted(worker) => Matter::Refutation(WorkerId(worker)),
    }
}

fn request(bytes: &[u8]) -> Result<u128, Malformed> {
    let bytes = bytes.try_into().map_err(|_| malformed("request", "16 bytes"))?;
    Ok(u128::from_le_bytes(bytes))
}

fn lease_bits(leases: &[LeaseId]) -> Vec<u64> {
    leases.iter().map(|lease| lease.to_u64()).collect()
}

fn top_up_to_wire(account: Option<AccountId>, amount: Amount, request: RequestId) -> wire::TopUp {
    let request = Bytes::copy_from_slice(&request.to_le_bytes());
    wire::TopUp { account: account.map(|account| account.0), amount: amount.0, request }
}

fn stake_to_wire(
    account: AccountId,
    worker: WorkerId,
    amount: Amount,
    request: RequestId,
) -> wire::Stake {
    let request = Bytes::copy_from_slice(&request.to_le_bytes());
    wire::Stake { account: account.0, worker: worker.0, amount: amount.0, request }
}

fn scoring_to_wire(command: &Command) -> Option<scoring::Does> {
    Some(match command {
        Command::Bond { amount, request, .. } => scoring::Does::Bond(wire::Bond {
            amount: amount.0,
            request: Bytes::copy_from_slice(&request.to_le_bytes()),
        }),
        Command::Unbond { .. } => scoring::Does::Unbond(wire::Unbond {}),
        Command::CommitScores { round, commitment, .. } => {
            let (round, commitment) = (*round, wire_digest(commitment));
            scoring::Does::Commit(wire::CommitScores { round, commitment })
        }
        Command::RevealScores { round, salt, scores, .. } => {
            scoring::Does::Reveal(wire::RevealScores {
                round: *round,
                salt: Bytes::copy_from_slice(salt),
                workers: scores.iter().map(|(worker, _)| worker.0).collect(),
                scores: scores.iter().map(|(_, score)| u32::from(*score)).collect(),
            })
        }
        _ => return None,
    })
}

fn scoring_from_wire(scoring: wire::Scoring) -> Result<Command, Malformed> {
    let account = AccountId(scoring.account);
    Ok(match scoring.does.ok_or(malformed("scoring.does", "present"))? {
        scoring::Does::Bond(bond) => {
            let (amount, request) = (Amount(bond.amount), request(&bond.request)?);
            Command::Bond { account, amount, request }
        }
        scoring::Does::Unbond(_) => Command::Unbond { account },
        scoring::Does::Commit(commit) => {
            let commitment = digest("commit.commitment", &commit.commitment)?;
            Command::CommitScores { account, round: commit.round, commitment }
        }
        scoring::Does::Reveal(reveal) => {
            let (round, salt) = (reveal.round, bytes32("reveal.salt", &reveal.salt)?);
            Command::RevealScores { account, round, salt, scores: scores_from_wire(&reveal)? }
        }
    })
}

fn scores_from_wire(reveal: &wire::RevealScores) -> Result<Scores, Malformed> {
    let wrong = malformed("reveal.scores", "as many 16-bit scores as workers");
    if reveal.workers.len() != reveal.scores.len() {
        return Err(wrong);
    }
    let pair =
        |(worker, score): (&u32, &u32)| Some((WorkerId(*worker), u16::try_from(*score).ok()?));
    let pairs = reveal.workers.iter().zip(&reveal.scores);
    pairs.map(pair).collect::<Option<Scores>>().ok_or(wrong)
}

fn submit_to_wire(submit: &Submit) -> wire::Submit {
    wire::Submit {
        account: submit.account.0,
        request: Bytes::copy_from_slice(&submit.request.to_le_bytes()),
        spec: Some(spec_to_wire(&submit.spec)),
        cap: submit.cap.0,
        price: submit.price.0,
        priority: u32::from(submit.priority),
        private: submit.private,
        audit_own: submit.audit_own,
        model: submit.model.map(|model| model.0),
        seal: submit.seal.as_ref().map(wire_digest).unwrap_or_default(),
        watermark: submit.watermark,
    }
}

fn submit_from_wire(submit: wire::Submit) -> Result<Submit, Malformed> {
    let spec = submit.spec.ok_or(malformed("submit.spec", "present"))?;
    Ok(Submit {
        account: AccountId(submit.account),
        request: request(&submit.request)?,
        spec: spec_from_wire(&spec)?,
        cap: Amount(submit.cap),
        price: Price(submit.price),
        priority: u8::try_from(submit.priority).map_err(|_| malformed("priority", "a byte"))?,
        private: submit.private,
        audit_own: submit.audit_own,
        model: submit.model.map(ModelId),
        seal: match submit.seal.is_empty() {
            true => None,
            false => Some(digest("submit.seal", &submit.seal)?),
        },
        watermark: submit.watermark,
    })
}

fn offer_to_wire(account: AccountId, offer: &Offer) -> wire::Publish {
    let ids = |list: &[AccountId]| list.iter().map(|account| account.0).collect();
    let Rights { orders, owners, workers, copies } = &offer.rights;
    wire::Publish {
        account: account.0,
        name: offer.name.clone(),
        asset: wire_digest(&offer.asset),
        card: wire_digest(&offer.card),
        facts: wire_digest(&offer.facts),
        licence: offer.licence.clone(),
        royalty: offer.royalty.0,
        orders: ids(orders),
        owners: ids(owners),
        workers: workers.iter().map(|worker| worker.0).collect(),
        copies: ids(copies),
    }
}

fn publish_from_wire(publish: wire::Publish) -> Result<Command, Malformed> {
    let ids = |list: Vec<u32>| list.into_iter().map(AccountId).collect();
    let account = AccountId(publish.account);
    let offer = Box::new(Offer {
        name: publish.name,
        asset: digest("publish.asset", &publish.asset)?,
        card: digest("publish.card", &publish.card)?,
        facts: digest("publish.facts", &publish.facts)?,
        licence: publish.licence,
        royalty: Price(publish.royalty),
        rights: Rights {
            orders: ids(publish.orders),
            owners: ids(publish.owners),
            workers: publish.workers.into_iter().map(WorkerId).collect(),
            copies: ids(publish.copies),
        },
    });
    Ok(Command::Publish { account, offer })
}

fn withdraw_from_wire(withdraw: &wire::Withdraw) -> Command {
    Command::Withdraw { account: AccountId(withdraw.account), model: ModelId(withdraw.model) }
}

fn show_to_wire(account: AccountId, asset: &Digest) -> wire::Show {
    wire::Show { account: account.0, asset: wire_digest(asset) }
}

fn show_from_wire(show: &wire::Show) -> Result<Command, Malformed> {
    let asset = digest("show.asset", &show.asset)?;
    Ok(Command::Show { account: AccountId(show.account), asset })
}

fn spec_to_wire(spec: &Spec) -> wire::Spec {
    wire::Spec {
        engine: wire_digest(&spec.engine),
        scene: wire_digest(&spec.scene),
        environment: spec.environment.as_ref().map(wire_digest).unwrap_or_default(),
        frame_first: spec.frame_first,
        frame_last: spec.frame_last,
        frame_step: spec.frame_step,
        fps: spec.fps,
        width: spec.width,
        height: spec.height,
        tile_size: spec.tile_size,
        samples: spec.samples,
        depth: spec.depth,
        seed: spec.seed,
        aovs: spec.aovs,
        noise: spec.noise,
        cut: spec.cut.words().to_vec(),
        work_per_pixel: spec.work_per_pixel,
        upstream: spec.upstream.map(|link| wire::Upstream {
            job: link.job.0,
            scale: link.scale,
            halo: link.halo,
            planes: link.planes,
        }),
    }
}

fn spec_from_wire(spec: &wire::Spec) -> Result<Spec, Malformed> {
    let environment = match spec.environment.is_empty() {
        true => None,
        false => Some(digest("spec.environment", &spec.environment)?),
    };
    Ok(Spec {
        engine: digest("spec.engine", &spec.engine)?,
        scene: digest("spec.scene", &spec.scene)?,
        environment,
        frame_first: spec.frame_first,
        frame_last: spec.frame_last,
        frame_step: spec.frame_step,
        fps: spec.fps,
        width: spec.width,
        height: spec.height,
        tile_size: spec.tile_size,
        samples: spec.samples,
        depth: spec.depth,
        seed: spec.seed,
        aovs: spec.aovs,
        noise: spec.noise,
        cut: Cut::of_words(spec.cut.clone()),
        work_per_pixel: spec.work_per_pixel,
        upstream: spec.upstream.map(|link| Upstream {
            job: JobId(link.job),
            scale: link.scale,
            halo: link.halo,
            planes: link.planes,
        }),
    })
}

fn connect_to_wire(connect: &Connect) -> wire::Connect {
    wire::Connect {
        key: Bytes::copy_from_slice(&connect.key),
        owner: connect.owner.0,
        engines: connect.engines.iter().map(wire_digest).collect(),
        device: connect.device.clone(),
        slots: connect.slots,
        units_per_second: connect.units_per_second,
        leases: lease_bits(&connect.leases),
        groups: connect.groups.iter().map(wire_digest).collect(),
    }
}

fn connect_from_wire(connect: wire::Connect) -> Result<Connect, Malformed> {
    let engines = connect.engines.iter().map(|engine| digest("connect.engine", engine));
    let groups = connect.groups.iter().map(|group| digest("connect.group", group));
    Ok(Connect {
        key: bytes32("connect.key", &connect.key)?,
        owner: AccountId(connect.owner),
        engines: engines.collect::<Result<_, _>>()?,
        device: connect.device,
        slots: connect.slots,
        units_per_second: connect.units_per_second,
        leases: connect.leases.into_iter().map(LeaseId::from_u64).collect(),
        groups: groups.collect::<Result<_, _>>()?,
    })
}

fn leaf_to_wire(leaf: &Leaf) -> wire::Leaf {
    wire::Leaf { hash: wire_digest(&leaf.hash), units: leaf.units }
}

fn leaf_from_wire(leaf: &wire::Leaf) -> Result<Leaf, Malformed> {
    Ok(Leaf { hash: digest("leaf.hash", &leaf.hash)?, units: leaf.units })
}

fn opening_to_wire(opening: &Opening) -> wire::Opening {
    wire::Opening {
        leaf: Some(leaf_to_wire(&opening.leaf)),
        path: opening.path.iter().map(leaf_to_wire).collect(),
    }
}

fn opening_from_wire(opening: &wire::Opening) -> Result<Opening, Malformed> {
    let leaf = opening.leaf.as_ref().ok_or(malformed("opening.leaf", "present"))?;
    Ok(Opening {
        leaf: leaf_from_wire(leaf)?,
        path: opening.path.iter().map(leaf_from_wire).collect::<Result<_, _>>()?,
    })
}

fn outcome_to_wire(outcome: &Outcome) -> report::Outcome {
    match outcome {
        Outcome::Done { output, commitment } => report::Outcome::Done(wire::Done {
            output: wire_digest(output),
            root: wire_digest(&commitment.root),
            units: commitment.units,
        }),
        Outcome::Leaves(leaves) => report::Outcome::Leaves(wire::Leaves {
            leaves: leaves.iter().map(leaf_to_wire).collect(),
        }),
        Outcome::Failed { scene, why } => {
            report::Outcome::Failed(wire::Failed { scene: *scene, why: why.clone() })
        }
    }
}

fn outcome_from_wire(outcome: report::Outcome) -> Result<Outcome, Malformed> {
    Ok(match outcome {
        report::Outcome::Done(done) => Outcome::Done {
            output: digest("done.output", &done.output)?,
            commitment: Commitment { root: digest("done.root", &done.root)?, units: done.units },
        },
        report::Outcome::Leaves(leaves) => {
            Outcome::Leaves(leaves.leaves.iter().map(leaf_from_wire).collect::<Result<_, _>>()?)
        }
        report::Outcome::Failed(failed) => Outcome::Failed { scene: failed.scene, why: failed.why },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(n: u64) -> Leaf {
        Leaf { hash: Digest([n as u8; 32]), units: n }
    }

    /// Reports and openings of every shape, zeros and large numbers among them; models.
    fn commands() -> Vec<Command> {
        let mut commands = Vec::new();
        for n in [0, 1, 127, 128, 1 << 40, u64::MAX / 2, u64::MAX] {
            let (worker, lease) = (WorkerId(n as u32), LeaseId::from_u64(n));
            let commitment = Commitment { root: Digest([5; 32]), units: n };
            let leaves = (0..n % 70).map(leaf).chain([leaf(n)]).collect();
            for outcome in [
                Outcome::Done { output: Digest([n as u8; 32]), commitment },
                Outcome::Leaves(leaves),
                Outcome::Leaves(Vec::new()),
                Outcome::Failed { scene: n == 1, why: "no".into() },
            ] {
                commands.push(Command::Report { worker, lease, outcome });
            }
            let path = (0..n % 9).map(leaf).collect();
            let openings = vec![Opening { leaf: leaf(n), path }, Opening::default()];
            commands.push(Command::Open { worker, lease, openings });
        }
        let (account, digest) = (AccountId(3), |n| Digest([n; 32]));
        let (workers, orders) = (vec![WorkerId(0), WorkerId(1 << 20)], vec![AccountId(0)]);
        let rights = Rights { orders, workers, copies: vec![AccountId(7)], owners: Vec::new() };
        let offer = Offer {
            name: "style".into(),
            asset: digest(1),
            card: digest(2),
            facts: digest(3),
            licence: "CC-BY-4.0".into(),
            royalty: Price(7),
            rights,
        };
        commands.push(Command::Publish { account, offer: Box::new(offer) });
        commands.push(Command::Withdraw { account, model: ModelId(9) });
        commands.push(Command::Show { account, asset: digest(4) });
        for model in [None, Some(ModelId(0)), Some(ModelId(9))] {
            let (spec, cap, price) = (Spec::default(), Amount(5), Price(6));
            let (request, priority, private, audit_own) = (8, 1, true, false);
            let (seal, watermark) = (model.map(|_| digest(5)), model.is_none());
            commands.push(Command::Submit(Box::new(Submit {
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
                watermark,
            })));
        }
        commands
    }

    #[test]
    fn frequent_records_read_as_the_generated_types_read_them() {
        for command in commands() {
            let mut bytes = Vec::new();
            encode(Time(77), &command, &mut bytes);
            assert_eq!(decode_any(&bytes), Ok((Time(77), command.clone())));
            assert_eq!(decode(&bytes), Ok((Time(77), command.clone())));
            for at in 0..bytes.len() {
                let cut = &bytes[..at];
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                for odd in [cut, &flipped] {
                    if let Some(read) = frequent::read(odd, |at, command| (at, command)) {
                        assert_eq!(decode_any(odd), Ok(read), "{command:?}, byte {at}");
                    }
                }
            }
        }
    }
}
