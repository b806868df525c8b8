//! Double entry in whole micro-credits. Knows neither tiles nor verdicts.

use crate::entry::Book;
use crate::layout_struct;
use crate::money::Amount;

/// All books. Ids are dense, so each kind of book is a list by id.
#[derive(Debug, Default)]
pub struct Ledger {
    available: Vec<i64>,
    hold: Vec<i64>,
    held: Vec<i64>,
    payable: Vec<i64>,
    probation: Vec<i64>,
    deposit: Vec<i64>,
    stake: Vec<i64>,
    royalty_held: Vec<i64>,
    royalty: Vec<i64>,
    bond: Vec<i64>,
    fees: i64,
    audits: i64,
    outside: i64,
}

layout_struct!(Ledger {
    available,
    hold,
    held,
    payable,
    probation,
    deposit,
    stake,
    royalty_held,
    royalty,
    bond,
    fees,
    audits,
    outside,
});

impl Ledger {
    fn slot(&mut self, book: Book) -> &mut i64 {
        let (list, at) = match book {
            Book::Available(account) => (&mut self.available, account.0),
            Book::Hold(job) => (&mut self.hold, job.0),
            Book::Held(worker) => (&mut self.held, worker.0),
            Book::Payable(worker) => (&mut self.payable, worker.0),
            Book::Probation(worker) => (&mut self.probation, worker.0),
            Book::Deposit(account) => (&mut self.deposit, account.0),
            Book::Stake(worker) => (&mut self.stake, worker.0),
            Book::RoyaltyHeld(account) => (&mut self.royalty_held, account.0),
            Book::Royalty(account) => (&mut self.royalty, account.0),
            Book::Bond(account) => (&mut self.bond, account.0),
            Book::Fees => return &mut self.fees,
            Book::Audits => return &mut self.audits,
            Book::Outside => return &mut self.outside,
        };
        if list.len() <= at as usize {
            list.resize(at as usize + 1, 0);
        }
        &mut list[at as usize]
    }

    /// Balance of a book; `outside` is what the world has paid in, so never negative here either.
    pub fn balance(&self, book: Book) -> Amount {
        let of = |list: &Vec<i64>, at: u32| list.get(at as usize).copied().unwrap_or(0);
        let balance = match book {
            Book::Available(account) => of(&self.available, account.0),
            Book::Hold(job) => of(&self.hold, job.0),
            Book::Held(worker) => of(&self.held, worker.0),
            Book::Payable(worker) => of(&self.payable, worker.0),
            Book::Probation(worker) => of(&self.probation, worker.0),
            Book::Deposit(account) => of(&self.deposit, account.0),
            Book::Stake(worker) => of(&self.stake, worker.0),
            Book::RoyaltyHeld(account) => of(&self.royalty_held, account.0),
            Book::Royalty(account) => of(&self.royalty, account.0),
            Book::Bond(account) => of(&self.bond, account.0),
            Book::Fees => self.fees,
            Book::Audits => self.audits,
            Book::Outside => -self.outside,
        };
        Amount(u64::try_from(balance).unwrap_or(0))
    }

    /// Moves money. The caller has checked that the debited book has it; only `outside` may owe.
    pub fn post(&mut self, debit: Book, credit: Book, amount: Amount) {
        let amount = i64::try_from(amount.0).expect("amounts are at most 2^60");
        let from = self.slot(debit);
        *from -= amount;
        assert!(debit == Book::Outside || *from >= 0, "{debit:?} overdrawn by {amount}");
        let to = self.slot(credit);
        *to = to.checked_add(amount).expect("all money there is fits an i64");
    }

    /// Everything adds up to nothing and nobody but `outside` owes.
    pub fn check(&self) {
        let Self { available, hold, held, payable, deposit, stake, .. } = self;
        let Self { royalty_held, royalty, bond, probation, .. } = self;
        let own = [available, hold, held, payable, deposit, stake, probation];
        let lists = own.into_iter().chain([royalty_held, royalty, bond]);
        let sum: i128 = lists.clone().flatten().map(|b| i128::from(*b)).sum();
        let own = [self.fees, self.audits, self.outside].map(i128::from);
        let own: i128 = own.iter().sum();
        assert_eq!(sum + own, 0, "debits equal credits");
        assert!(lists.flatten().all(|balance| *balance >= 0));
        assert!(self.fees >= 0 && self.audits >= 0);
    }
}
