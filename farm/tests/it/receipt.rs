//! Receipts: what a job's own entries prove, and what they do not let anybody change.

use crate::money::honest_farm;
use farm::digest::Digest;
use farm::entry::{Entry, Fact, Reason};
use farm::id::JobId;
use farm::job::Spec;
use farm::money::Amount;
use farm::receipt::{Account, Concern, Receipt};
use farm::view::JobState;

/// The entries that concern a job, and what was ordered.
fn receipt(job: JobId) -> (Spec, Vec<(u64, Entry)>) {
    let table = honest_farm();
    let mut concern = Concern::of(job);
    let entries = (0..).zip(table.entries).filter(|(_, entry)| concern.takes(&entry.fact));
    (table.farm.job(job).unwrap().spec, entries.collect())
}

fn follow(job: JobId, spec: &Spec, entries: &[(u64, Entry)]) -> Result<Account, String> {
    let mut receipt = Receipt::new(job, spec.clone());
    for (index, entry) in entries {
        receipt.follow(*index, entry).map_err(|breach| breach.to_string())?;
    }
    receipt.finish().map_err(str::to_owned)
}

#[test]
fn a_receipt_says_what_was_proven_paid_and_returned() {
    let (spec, entries) = receipt(JobId(0));
    let account = follow(JobId(0), &spec, &entries).unwrap();
    assert_eq!((account.state, account.accepted, account.tiles), (JobState::Done, 1, 1));
    assert_eq!((account.alone, account.frames.len()), (0, 1));
    assert!(account.frames[0].proven);
    assert_eq!(account.spent.0 + account.refunded.0, account.cap.0);
    let (spec, entries) = receipt(JobId(1));
    let account = follow(JobId(1), &spec, &entries).unwrap();
    assert_eq!((account.state, account.accepted), (JobState::Cancelled, 0));
    assert_eq!((account.spent, account.refunded), (Amount(0), account.cap));
}

#[test]
fn a_receipt_of_another_order_is_refused() {
    let (spec, entries) = receipt(JobId(0));
    let dearer = Spec { samples: spec.samples + 4, ..spec.clone() };
    let why = follow(JobId(0), &dearer, &entries).unwrap_err();
    assert!(why.contains("what was ordered is not what the receipt says"), "{why}");
    assert!(follow(JobId(1), &spec, &entries).is_err());
    assert!(follow(JobId(0), &spec, &[]).is_err());
}

#[test]
fn what_a_receipt_proves_cannot_be_altered() {
    for job in [JobId(0), JobId(1)] {
        let (spec, entries) = receipt(job);
        let due = follow(job, &spec, &entries).unwrap();
        for at in 0..entries.len() {
            let mut other = entries.clone();
            match &mut other[at].1.fact {
                Fact::Verdict { accepted, .. } => *accepted = !*accepted,
                Fact::Opinion { value, .. } => *value = Digest([9; 32]),
                Fact::Committed { output, .. } => *output = Digest([9; 32]),
                Fact::FrameStored { made_of, .. } => *made_of = Digest([9; 32]),
                Fact::Transfer { amount, reason: Reason::Tile(..) | Reason::Refund(_), .. } => {
                    amount.0 += 1;
                }
                _ => continue,
            }
            // What is refuted may have been anything.
            let refuted = matches!(entries[at].1.fact, Fact::Committed { .. }) && job == JobId(1);
            let said = follow(job, &spec, &other);
            assert!(refuted || said.as_ref() != Ok(&due), "{:?}", entries[at]);
        }
    }
}
