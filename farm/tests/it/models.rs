//! Stories of published models. A0 and A3 order; A1 publishes; A2 to A5 own workers.

use crate::chains;
use crate::money::follow;
use crate::table::{Table, play};
use farm::digest::Digest;
use farm::entry::{Book, Entry, Fact, Reason};
use farm::id::{AccountId, JobId, ModelId, WorkerId};
use farm::model::Licence;
use farm::money::{Amount, Price};
use farm::receipt::{Concern, Receipt};

const OPEN: &str = "
    secret x -> ok
    account a0 -> A0
    account a1 -> A1
    account a2 -> A2
    account a3 -> A3
    account a4 -> A4
    account a5 -> A5
    top-up A0 1000 -> 1000000000
    top-up A1 1000 -> 1000000000
    top-up A3 1000 -> 1000000000
    top-up audits 1 -> 1000000
";

fn story(rest: &str) -> Table {
    play(&format!("{OPEN}{rest}"))
}

fn royalties(table: &Table, account: u32) -> (u64, u64) {
    let balance = table.farm.balance(AccountId(account)).unwrap();
    (balance.royalties_held.0, balance.royalties.0)
}

#[test]
fn what_is_offered_is_judged() {
    let named = |count: usize| format!("publish A1 many for={}", vec!["A0"; count].join("+"));
    let table = story(&format!(
        "publish A9 style -> reject unknown_account
         publish A1 Style -> reject model_name_invalid
         publish A1 7style -> reject model_name_invalid
         publish A1 style{} -> reject model_name_invalid
         publish A1 style licence={} -> reject licence_invalid
         publish A1 style licence= -> reject licence_invalid
         publish A1 card -> reject model_is_text
         publish A1 facts -> reject model_is_text
         publish A1 style royalty=1099511627777 -> reject royalty_invalid
         publish A1 style for=A9 -> reject unknown_account
         publish A1 style owners=A9 -> reject unknown_account
         publish A1 style copies=A9 -> reject unknown_account
         publish A1 style workers=W0 -> reject unknown_worker
         {} -> reject rights_too_many
         {} -> M0
         publish A1 style -> M1
         publish A1 style -> M1
         publish A1 style royalty=1 -> reject model_published
         publish A2 other bytes=style -> reject model_taken
         publish A2 style bytes=other -> reject model_name_taken
         withdraw M1 by=A2 -> reject model_unknown
         withdraw M7 by=A1 -> reject model_unknown
         withdraw M1 by=A1 -> ok
         withdraw M1 by=A1 -> ok
         publish A2 other bytes=style -> reject model_taken
         publish A1 style royalty=1 -> M2",
        "x".repeat(64),
        "x".repeat(201),
        named(65),
        named(64),
    ));
    assert_eq!(table.farm.model_named("style"), Some(ModelId(2)));
    let withdrawn = |model| table.farm.model(ModelId(model)).unwrap().withdrawn.is_some();
    assert_eq!([0, 1, 2].map(withdrawn), [false, true, false]);
}

#[test]
fn an_account_offers_a_thousand_models() {
    let mut text = String::new();
    for model in 0..1_000 {
        text += &format!("publish A1 m{model} -> M{model}\n");
    }
    story(&format!(
        "{text}publish A1 another -> reject too_many_models
         withdraw M5 by=A1 -> ok
         publish A1 another -> M1000"
    ));
}

#[test]
fn only_who_may_orders_a_model_that_is_there() {
    story(
        "submit A0 model=M0 -> reject model_unknown
         publish A1 style for=A3 -> M0
         submit A0 model=M0 -> reject model_restricted
         submit A3 model=M0 private -> reject royalty_private
         submit A3 model=M0 cap=1 price=20000000 request=4 tiles=1 -> J0
         submit A3 model=M0 cap=1 price=20000000 request=4 tiles=1 -> J0
         submit A3 cap=1 price=20000000 request=4 tiles=1 -> reject request_reused
         submit A1 model=M0 private -> J1
         withdraw M0 by=A1 -> ok
         submit A3 model=M0 -> reject model_withdrawn
         submit A1 model=M0 -> reject model_withdrawn
         submit A3 model=M0 cap=1 price=20000000 request=4 tiles=1 -> J0",
    );
}

#[test]
fn the_hold_covers_the_royalty() {
    // A tile may take 32,768 rays: 0.655360 credits, and with the royalty 1.015808.
    story(
        "publish A1 style royalty=11000000 -> M0
         submit A0 cap=1 price=20000000 tiles=1 -> J0
         submit A0 cap=1 price=20000000 tiles=1 model=M0 -> reject budget_too_small",
    );
}

/// Three tiles of W0, vouched for by W1: the first is final, the others' pay is held back.
pub fn paid() -> Table {
    story(
        "publish A1 style -> M0
         connect W0 owner=A2 slots=2 -> W0
         submit A0 tiles=3 cap=9 model=M0 -> J0: grant W0 J0/0, grant W0 J0/1, grant W0 J0/2
         connect W1 owner=A3 -> W1
         report W0 J0/0 -> kept: deliver J0/0, grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0
         report W0 J0/1 -> kept: deliver J0/1, grant W1 J0/1
         report W1 J0/1 -> settled: settle W0 J0/1
         report W0 J0/2 -> kept: deliver J0/2, store J0 frame 1, grant W1 J0/2
         report W1 J0/2 -> settled: settle W0 J0/2
         stored J0 1 -> ok
         secret yy -> ok",
    )
}

#[test]
fn a_royalty_goes_as_the_pay_of_its_tile() {
    let table = paid();
    // 640 work units a tile, and half a credit for a million.
    assert_eq!(royalties(&table, 1), (640, 320));
    let job = table.farm.job(JobId(0)).unwrap();
    assert_eq!((job.spent.0, job.royalties.0), (3 * 960, 3 * 320));
    let licence = Licence { model: ModelId(0), owner: AccountId(1), royalty: Price(500_000) };
    assert_eq!(job.licence, Some(licence));
    assert_eq!(table.farm.balance(AccountId(0)).unwrap().available.0, 1_000_000_000 - 3 * 960);
    let worker = table.farm.worker(WorkerId(0)).unwrap();
    let own = (worker.held.0, worker.probation.0);
    assert_eq!(own, (2 * 640, 608), "the farm's fee is the worker's");
}

#[test]
fn a_models_owner_owes_himself_nothing() {
    let table = story(
        "publish A1 style -> M0
         connect W0 owner=A1 -> W0
         submit A1 tiles=1 model=M0 private -> J0: grant W0 J0/0
         report W0 J0/0 -> settled: deliver J0/0, store J0 frame 1",
    );
    assert_eq!(royalties(&table, 1), (0, 0));
    assert_eq!(table.farm.job(JobId(0)).unwrap().spent.0, 640);
}

#[test]
fn who_owes_a_royalty_does_not_count_the_work_himself() {
    let table = story(
        "publish A1 style -> M0
         connect W0 owner=A0 -> W0
         submit A0 tiles=1 model=M0 -> J0: grant W0 J0/0
         report W0 J0/0 -> kept: deliver J0/0, store J0 frame 1
         connect W1 owner=A2 -> W1: grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0",
    );
    assert_eq!(royalties(&table, 1), (320, 0));
}

/// A0's second job is made of its first one's frames and uses the model; a tile of it was made of
/// a lie and is made again.
pub fn outdated() -> Table {
    let story = chains::outdated();
    let uses = "submit A0 tiles=2 after=0 cap=100 model=M0 -> J1";
    assert!(story.contains("submit A0 tiles=2 after=0 cap=100 -> J1"));
    play(&story.replace(
        "submit A0 tiles=2 after=0 cap=100 -> J1",
        &format!("publish A4 style -> M0\n{uses}"),
    ))
}

#[test]
fn what_was_made_of_a_lie_owes_its_royalty_once() {
    let table = outdated();
    assert_eq!(royalties(&table, 4), (320, 0));
    let job = table.farm.job(JobId(1)).unwrap();
    assert_eq!((job.tiles_accepted, job.spent.0, job.royalties.0), (1, 960, 320));
}

/// W0's two accepted tiles turn out false, the royalties with them; others compute them afresh.
pub fn returned() -> Table {
    story(
        "publish A1 style -> M0
         connect W0 owner=A2 slots=2 -> W0
         submit A0 tiles=3 cap=9 model=M0 -> J0: grant W0 J0/0, grant W0 J0/1, grant W0 J0/2
         connect W1 owner=A3 -> W1
         report W0 J0/0 -> kept: deliver J0/0, grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0
         report W0 J0/1 -> kept: deliver J0/1, grant W1 J0/1
         report W1 J0/1 -> settled: settle W0 J0/1
         connect W2 owner=A4 -> W2
         report W0 J0/2 as=lie -> kept: deliver J0/2, store J0 frame 1, grant W2 J0/2
         connect W3 owner=A5 -> W3
         report W2 J0/2 -> settled: grant W3 J0/2, grant W1 J0/2
         report W1 J0/2 -> settled
         report W3 J0/2 -> settled: settle W0 J0/2, grant W3 J0/0, grant W3 J0/1, grant W1 J0/2
         secret yy -> ok",
    )
}

#[test]
fn a_false_tiles_royalty_goes_back_to_its_job() {
    let table = returned();
    assert_eq!(royalties(&table, 1), (0, 0));
    let job = table.farm.job(JobId(0)).unwrap();
    assert_eq!((job.spent.0, job.royalties.0, job.tiles_accepted), (0, 0, 0));
    assert_eq!(table.farm.book(Book::Hold(JobId(0))).0, 9_000_000);
    let returned = |entry: &&Entry| {
        matches!(entry.fact, Fact::Transfer { reason: Reason::RoyaltyReturned(..), .. })
    };
    assert_eq!(table.entries.iter().filter(returned).count(), 2);
}

#[test]
fn only_workers_that_the_owner_trusts_compute_a_model() {
    let table = story(
        "account op operator -> A6
         connect W0 owner=A2 -> W0
         connect W1 owner=A3 -> W1
         connect W2 owner=A4 -> W2
         publish A1 style owners=A3 workers=W2 -> M0
         disconnect W1 -> ok
         disconnect W2 -> ok
         submit A0 tiles=1 model=M0 -> J0",
    );
    let why = table.farm.explain_tile(JobId(0), 0).join("; ");
    assert!(why.contains("1 workers are passed over: the owner of the model `style`"), "{why}");
    assert!(why.contains("none that the model's owner trusts is online"), "{why}");
    let why = table.farm.explain_worker(WorkerId(0)).join("; ");
    assert!(why.contains("use models whose owners do not let it compute them"), "{why}");
    let table = story(
        "account op operator -> A6
         connect W0 owner=A2 -> W0
         connect W1 owner=A3 -> W1
         connect W2 owner=A4 -> W2
         publish A1 style owners=A3 workers=W2 -> M0
         disconnect W2 -> ok
         submit A0 tiles=1 model=M0 -> J0: grant W1 J0/0
         report W1 J0/0 -> kept: deliver J0/0, store J0 frame 1",
    );
    let why = table.farm.explain_tile(JobId(0), 0).join("; ");
    assert!(why.contains("it waits for 1 auditors"), "{why}");
    assert!(why.contains("1 workers are passed over"), "{why}");
    story(
        "account op operator -> A6
         connect W0 owner=A2 -> W0
         connect W1 owner=A3 -> W1
         connect W2 owner=A4 -> W2
         publish A1 style owners=A3 workers=W2 -> M0
         disconnect W2 -> ok
         submit A0 tiles=1 cap=9 model=M0 -> J0: grant W1 J0/0
         report W1 J0/0 -> kept: deliver J0/0, store J0 frame 1
         connect W2 owner=A4 -> W2: grant W2 J0/0
         report W2 J0/0 -> settled: settle W1 J0/0
         submit A0 tiles=1 cap=9 model=M0 -> J1: grant W1 J1/0
         disconnect W2 -> ok
         report W1 J1/0 -> kept: deliver J1/0, store J1 frame 1
         connect W3 owner=A6 -> W3: grant W3 J1/0
         report W3 J1/0 -> settled: settle W1 J1/0",
    );
}

#[test]
fn a_tile_that_failed_where_its_owner_is_trusted_alone_goes_there_again() {
    story(
        "connect W0 owner=A2 -> W0
         connect W1 owner=A3 -> W1
         publish A1 style owners=A3 -> M0
         submit A0 tiles=1 model=M0 -> J0: grant W1 J0/0
         fail W1 J0/0 -> settled: grant W1 J0/0",
    );
}

#[test]
fn withdrawal_lets_running_jobs_end() {
    let table = story(
        "publish A1 style -> M0
         connect W0 owner=A2 -> W0
         connect W1 owner=A3 -> W1
         submit A0 tiles=2 model=M0 cap=9 -> J0: grant W0 J0/0, grant W0 J0/1
         withdraw M0 by=A1 -> ok
         submit A0 model=M0 -> reject model_withdrawn
         report W0 J0/0 -> kept: deliver J0/0, grant W1 J0/0
         report W1 J0/0 -> settled: settle W0 J0/0
         report W0 J0/1 -> kept: deliver J0/1, store J0 frame 1, grant W1 J0/1
         report W1 J0/1 -> settled: settle W0 J0/1
         stored J0 1 -> ok",
    );
    assert_eq!(royalties(&table, 1), (640, 0));
}

#[test]
fn who_may_have_a_models_bytes() {
    let table = story(
        "show A0 style -> reject model_unknown
         publish A1 style copies=A3 -> M0
         show A9 style -> reject unknown_account
         show A4 style -> ok
         show A4 style -> ok",
    );
    let may = |account| table.farm.may_have(AccountId(account), &Digest::of(b"style"));
    assert_eq!([0, 1, 2, 3, 4].map(may), [false, true, false, true, true]);
    assert!(table.farm.may_have(AccountId(0), &Digest::of(b"other")));
    let table = story(
        "publish A1 style copies=A3 -> M0
         show A4 style -> ok
         withdraw M0 by=A1 -> ok
         publish A1 again bytes=style -> M1",
    );
    let may = |account| table.farm.may_have(AccountId(account), &Digest::of(b"style"));
    assert_eq!([0, 1, 2, 3, 4].map(may), [false, true, false, false, true]);
    assert_eq!(table.farm.published_as(&Digest::of(b"style")), Some(ModelId(1)));
}

#[test]
fn a_receipt_says_what_was_owed_for_the_model() {
    let table = paid();
    let mut concern = Concern::of(JobId(0));
    let spec = table.farm.job(JobId(0)).unwrap().spec;
    let own: Vec<&Entry> = table.entries.iter().filter(|e| concern.takes(&e.fact)).collect();
    let follow = |entries: &[&Entry]| {
        let mut receipt = Receipt::new(JobId(0), spec.clone());
        for entry in entries {
            receipt.follow(0, entry).map_err(|breach| breach.why)?;
        }
        receipt.finish()
    };
    let account = follow(&own).unwrap();
    assert_eq!((account.spent, account.royalties), (Amount(3 * 960), Amount(3 * 320)));
    assert_eq!(account.licence.unwrap().model, ModelId(0));
    let royalty =
        |entry: &&Entry| matches!(entry.fact, Fact::Transfer { reason: Reason::Royalty(..), .. });
    let at = own.iter().position(royalty).unwrap();
    let without: Vec<&Entry> = [&own[..at], &own[at + 1..]].concat();
    assert_eq!(follow(&without), Err("a royalty did not go as the pay of its tile"));
    let twice: Vec<&Entry> = [&own[..=at], &own[at..]].concat();
    assert_eq!(follow(&twice), Err("the royalty was paid before"));
    let mut more = own[at].clone();
    if let Fact::Transfer { amount, .. } = &mut more.fact {
        amount.0 += 1;
    }
    let altered: Vec<&Entry> = [&own[..at], &[&more], &own[at + 1..]].concat();
    assert_eq!(follow(&altered), Err("not the tile's royalty"));
}

fn is_royalty(entry: &Entry) -> bool {
    let Fact::Transfer { reason, .. } = entry.fact else { return false };
    matches!(reason, Reason::Royalty(..) | Reason::RoyaltyFinal(..) | Reason::RoyaltyReturned(..))
}

#[test]
fn no_royalty_can_be_wrong_missing_doubled_or_anothers() {
    for (log, count) in [(paid(), 4), (returned(), 4), (outdated(), 3)] {
        let log = log.entries;
        follow(&log).unwrap();
        let royalties: Vec<usize> = (0..log.len()).filter(|at| is_royalty(&log[*at])).collect();
        assert_eq!(royalties.len(), count);
        let breach = |log: &[Entry]| {
            let breach = follow(log).unwrap_err();
            (breach.entry, breach.why)
        };
        for at in royalties {
            let entry = at as u64;
            let wrong = (entry, "not the royalty that the model's owner is due");
            for more in [1, u64::MAX] {
                let mut other = log.clone();
                if let Fact::Transfer { amount, .. } = &mut other[at].fact {
                    amount.0 = amount.0.wrapping_add(more);
                }
                assert_eq!(breach(&other), wrong);
            }
            let mut other = log.clone();
            if let Fact::Transfer { credit, .. } = &mut other[at].fact {
                *credit = Book::Payable(WorkerId(1));
            }
            assert_eq!(breach(&other), wrong);
            let mut twice = log.clone();
            twice.insert(at, log[at].clone());
            assert_eq!(breach(&twice), (entry + 1, "no royalty is due"));
            let mut without = log.clone();
            without.remove(at);
            let missing = "the model's owner is due a royalty, and it was not moved";
            assert_eq!(breach(&without), (entry, missing));
        }
    }
}

#[test]
fn no_log_lets_a_job_or_a_worker_use_a_model_against_its_owners_will() {
    let log = paid().entries;
    let with = |alter: fn(&mut Fact)| {
        let mut other = log.clone();
        other.iter_mut().for_each(|entry| alter(&mut entry.fact));
        follow(&other).unwrap_err().why
    };
    let restricted = with(|fact| {
        if let Fact::ModelPublished { rights, .. } = fact {
            rights.orders.push(AccountId(3));
        }
    });
    assert_eq!(restricted, "the model's owner does not let this account order it");
    let trusted = with(|fact| {
        if let Fact::ModelPublished { rights, .. } = fact {
            rights.owners.push(AccountId(3));
        }
    });
    assert_eq!(trusted, "the model's owner does not let this worker compute it");
    let secret = with(|fact| {
        if let Fact::JobOpened { private, .. } = fact {
            *private = true;
        }
    });
    assert_eq!(secret, "a private job owes a royalty");
    let mut withdrawn = log.clone();
    let used = |entry: &Entry| matches!(entry.fact, Fact::ModelUsed { .. });
    let at = withdrawn.iter().position(used).unwrap();
    let time = withdrawn[at].time;
    withdrawn.insert(at, Entry { time, fact: Fact::ModelWithdrawn { model: ModelId(0) } });
    assert_eq!(follow(&withdrawn).unwrap_err().why, "the model was withdrawn");
    let mut unused = log.clone();
    unused.remove(at);
    assert_eq!(follow(&unused).unwrap_err().why, "no royalty is due");
}
