//! What a leaf of the public log says, in a fixed byte layout: eight bytes time, one byte kind,
//! then the fields in order as `layout.rs` puts them. No private names.

use crate::digest::Digest;
use crate::id::{AccountId, JobId, LeaseId, ModelId, WorkerId};
use crate::layout::{self, Layout};
use crate::leaf::Indices;
use crate::model::Rights;
use crate::money::{Amount, Price};
use crate::scores::Scores;
use crate::time::Time;
use crate::{layout_enum, layout_struct, limit};
use arrayvec::ArrayVec;

/// An entry of the public log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub time: Time,
    pub fact: Fact,
}

/// An account of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Book {
    Available(AccountId),
    Hold(JobId),
    Held(WorkerId),
    Payable(WorkerId),
    /// Of tiles that are final for their jobs: what a worker has to lose if it is found lying.
    Probation(WorkerId),
    /// What an account put down with its appeals.
    Deposit(AccountId),
    /// What its owner put behind a worker.
    Stake(WorkerId),
    /// Royalties of an owner's models: for tiles that may still turn out false, and its own.
    RoyaltyHeld(AccountId),
    Royalty(AccountId),
    /// What an account put down to be a validator.
    Bond(AccountId),
    Fees,
    Audits,
    Outside,
}

/// Why money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    TopUp,
    Submit(JobId),
    /// An accepted tile: hold to held.
    Tile(JobId, u64),
    /// Held to payable.
    Maturity(JobId, u64),
    /// A tile is final for its job, and its worker has little else to lose: held to probation ...
    Probation(JobId, u64),
    /// ... and once it has more, payable; or, if it was found lying or has left, to audits.
    Released(JobId, u64),
    Lapsed(JobId, u64),
    /// The farm's share of a matured tile.
    Fee(JobId, u64),
    /// An auditor's pay; what it is paid for vouching for a whole tile is held back.
    Audit(JobId, u64),
    /// A liar's held tile back to its job.
    Forfeit(JobId, u64),
    /// The rest of an ended job's hold.
    Refund(JobId),
    /// Put down with an appeal about this tile; back to whoever was right, or kept for audits.
    Deposit(JobId, u64),
    Returned(JobId, u64),
    Kept(JobId, u64),
    /// An ended job goes on since a tile of it was false: what was refunded is held again.
    Reopen(JobId),
    /// To a worker wrongly refuted about this tile: what it had forfeited.
    Amends(JobId, u64),
    /// A tile was made of something false: what it was paid goes back to its job ...
    Outdated(JobId, u64),
    /// ... and the farm pays its worker.
    Spoilt(JobId, u64),
    /// A tile's pay is final: what was held back goes to an auditor who had vouched for what it is
    /// now, or back, to the pot for audits.
    Vouched(JobId, u64),
    Unvouched(JobId, u64),
    /// Put behind a worker by its owner, and withdrawn ...
    Staked,
    Unstaked,
    /// ... or lost, as it lied about this tile.
    StakeLost(JobId, u64),
    /// A tile's royalty goes as its pay goes: held back when it is accepted, the owner's own once
    /// that is final, on hold again if the tile is taken back.
    Royalty(JobId, u64),
    RoyaltyFinal(JobId, u64),
    RoyaltyReturned(JobId, u64),
    /// Put down to be a validator, and taken back.
    Bonded,
    Unbonded,
    /// A validator's pay for a round.
    Scored(u32),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    AccountOpened {
        account: AccountId,
        /// Its workers are arbiters.
        operator: bool,
    },
    WorkerEnrolled {
        worker: WorkerId,
        owner: AccountId,
        key: [u8; 32],
    },
    JobOpened {
        job: JobId,
        account: AccountId,
        cap: Amount,
        price: Price,
        tiles: u64,
        spec: Digest,
        engine: Box<Digest>,
        /// Digest of the scene's digest: the same for the same scene, and nobody's key to it.
        scene: Box<Digest>,
        private: bool,
    },
    JobEnded {
        job: JobId,
        state: u8,
    },
    Leased {
        lease: LeaseId,
        worker: WorkerId,
        job: JobId,
        tile: u64,
        /// The claim that this lease is an audit of.
        audit: Option<LeaseId>,
    },
    /// A report: what the worker binds itself to.
    Committed {
        lease: LeaseId,
        job: JobId,
        tile: u64,
        output: Digest,
        root: Digest,
        units: u64,
    },
    /// What is to be computed a second time: these leaves, or (none) the whole tile. It follows
    /// from the epoch's secret and the clean tiles of the worker so far (none, if it has too little
    /// to lose), and so does what is done besides.
    AuditDrawn {
        lease: LeaseId,
        epoch: u32,
        clean: u64,
        count: u32,
        leaves: Indices,
        extra: Extra,
    },
    /// An auditor's opinion, the claim's own answer to the same question, and the work units that
    /// the auditor is paid for if it spoke the truth. An arbiter's decides.
    Opinion {
        lease: LeaseId,
        auditor: WorkerId,
        value: Digest,
        claim: Digest,
        units: u64,
        decides: bool,
    },
    Verdict {
        lease: LeaseId,
        worker: WorkerId,
        job: JobId,
        tile: u64,
        accepted: bool,
        units: u64,
    },
    /// A worker gave a false opinion or claim and is out.
    Refuted {
        worker: WorkerId,
        lease: LeaseId,
    },
    Transfer {
        debit: Book,
        credit: Book,
        amount: Amount,
        reason: Reason,
    },
    SecretCommitted {
        epoch: u32,
        commitment: Digest,
    },
    SecretRevealed {
        epoch: u32,
        secret: [u8; 32],
    },
    /// A frame's images, and the digest over the outputs of its tiles in order: what they are made
    /// of. A frame of which a tile is computed again is stored again.
    FrameStored {
        job: JobId,
        frame: u32,
        exr: Digest,
        png: Digest,
        made_of: Digest,
    },
    /// A worker takes leases from now on: what it offers, and the groups of workers it belongs to.
    WorkerOnline {
        worker: WorkerId,
        /// A digest of its device's name: on another one its standing begins anew.
        device: Digest,
        engines: Vec<Digest>,
        groups: Vec<Digest>,
    },
    WorkerOffline {
        worker: WorkerId,
    },
    /// A claim ends without a verdict.
    ClaimDropped {
        lease: LeaseId,
    },
    /// Who is asked: the places in the list of those who take leases that were drawn, up to the
    /// one that decided.
    AuditorDrawn {
        lease: LeaseId,
        epoch: u32,
        ask: u32,
        auditor: WorkerId,
        tried: Tried,
    },
    /// An auditor gave no answer under this lease.
    AuditMissed {
        audit: LeaseId,
    },
    /// An accepted tile whose pay is held back is put before auditors once more.
    ReviewOpened {
        lease: LeaseId,
        worker: WorkerId,
        job: JobId,
        tile: u64,
        cause: Cause,
    },
    /// The review under this lease found that a refuted worker had told the truth.
    Reinstated {
        worker: WorkerId,
        lease: LeaseId,
    },
    /// The job just opened is made of the frames of another one of its account.
    JobChained {
        job: JobId,
        upstream: JobId,
    },
    /// The tile just leased is made of these tiles of its job's upstream, in runs of a first one
    /// and a count, and the digest over their outputs in order.
    Fed {
        lease: LeaseId,
        tiles: Vec<(u64, u64)>,
        made_of: Digest,
    },
    /// An accepted tile is accepted no longer: another output has taken the place of one that it
    /// was made of.
    Outdated {
        job: JobId,
        tile: u64,
    },
    /// A model is on offer: digests of its bytes' digest, of its card and of its licence; what its
    /// owner gets for a million work units; who may do what with it.
    ModelPublished {
        model: ModelId,
        owner: AccountId,
        asset: Box<Digest>,
        card: Box<Digest>,
        licence: Box<Digest>,
        royalty: Price,
        rights: Box<Rights>,
    },
    ModelWithdrawn {
        model: ModelId,
    },
    /// The job just opened uses a model and owes its owner this royalty.
    ModelUsed {
        job: JobId,
        model: ModelId,
        owner: AccountId,
        royalty: Price,
    },
    /// The assets of the job just opened are sealed; `seal` commits to the list of them and to the
    /// key that opens it.
    JobSealed {
        job: JobId,
        seal: Digest,
    },
    /// With the lease just given its worker got that key, wrapped to one that it has signed.
    KeyWrapped {
        lease: LeaseId,
        worker: WorkerId,
        seal: Digest,
    },
    /// A validator binds itself to its ballot of this round ...
    ScoresCommitted {
        account: AccountId,
        round: u32,
        commitment: Digest,
    },
    /// ... and shows it in the next.
    ScoresRevealed {
        account: AccountId,
        round: u32,
        salt: [u8; 32],
        scores: Scores,
    },
    /// What the ballots revealed in this round come to, and how far each validator agreed.
    RoundEnded {
        round: u32,
        scores: Scores,
        agreed: Vec<(AccountId, u16)>,
    },
}

/// Places that were drawn for an auditor.
pub type Tried = ArrayVec<u32, { limit::AUDITOR_DRAWS }>;

/// What is done at a claim besides asking one auditor about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extra {
    Nothing,
    /// A second auditor is asked at once.
    Twice,
    /// Once it is accepted, it tries another auditor.
    Ringer,
}

/// Why an accepted tile is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Its answer is known: the auditor is tried.
    Ringer,
    /// A liar had vouched for it.
    Vouched,
    /// When it was reported its worker had little to lose, and now has more.
    Unsecured,
    /// The artist does not believe it.
    Disputed,
    /// The tile of a trial in which this worker was refuted; it appeals.
    Appealed(WorkerId),
}

layout_enum!(Extra { 0 = Nothing, 1 = Twice, 2 = Ringer });
layout_enum!(Cause { 0 = Ringer, 1 = Vouched, 2 = Disputed, 3 = Appealed(worker), 4 = Unsecured });

layout_struct!(Entry { time, fact });
layout_enum!(Book {
    0 = Available(account),
    1 = Hold(job),
    2 = Held(worker),
    3 = Payable(worker),
    4 = Fees,
    5 = Audits,
    6 = Outside,
    7 = Deposit(account),
    8 = Stake(worker),
    9 = RoyaltyHeld(account),
    10 = Royalty(account),
    11 = Bond(account),
    12 = Probation(worker),
});
layout_enum!(Reason {
    0 = TopUp,
    1 = Submit(job),
    2 = Tile(job, tile),
    3 = Maturity(job, tile),
    4 = Fee(job, tile),
    5 = Audit(job, tile),
    6 = Forfeit(job, tile),
    7 = Refund(job),
    8 = Deposit(job, tile),
    9 = Returned(job, tile),
    10 = Kept(job, tile),
    11 = Amends(job, tile),
    12 = Reopen(job),
    13 = Outdated(job, tile),
    14 = Spoilt(job, tile),
    15 = Vouched(job, tile),
    16 = Unvouched(job, tile),
    17 = Staked,
    18 = Unstaked,
    19 = StakeLost(job, tile),
    20 = Royalty(job, tile),
    21 = RoyaltyFinal(job, tile),
    22 = RoyaltyReturned(job, tile),
    23 = Bonded,
    24 = Unbonded,
    25 = Scored(round),
    26 = Probation(job, tile),
    27 = Released(job, tile),
    28 = Lapsed(job, tile),
});
layout_enum!(Fact {
    0 = AccountOpened { account, operator },
    1 = WorkerEnrolled { worker, owner, key },
    2 = JobOpened { job, account, cap, price, tiles, spec, engine, scene, private },
    3 = JobEnded { job, state },
    4 = Leased { lease, worker, job, tile, audit },
    5 = Committed { lease, job, tile, output, root, units },
    6 = AuditDrawn { lease, epoch, clean, count, leaves, extra },
    7 = Opinion { lease, auditor, value, claim, units, decides },
    8 = Verdict { lease, worker, job, tile, accepted, units },
    9 = Refuted { worker, lease },
    10 = Transfer { debit, credit, amount, reason },
    11 = SecretCommitted { epoch, commitment },
    12 = SecretRevealed { epoch, secret },
    13 = FrameStored { job, frame, exr, png, made_of },
    14 = WorkerOnline { worker, device, engines, groups },
    15 = WorkerOffline { worker },
    16 = ClaimDropped { lease },
    17 = AuditorDrawn { lease, epoch, ask, auditor, tried },
    18 = AuditMissed { audit },
    19 = ReviewOpened { lease, worker, job, tile, cause },
    20 = Reinstated { worker, lease },
    21 = JobChained { job, upstream },
    22 = Fed { lease, tiles, made_of },
    23 = Outdated { job, tile },
    24 = ModelPublished { model, owner, asset, card, licence, royalty, rights },
    25 = ModelWithdrawn { model },
    26 = ModelUsed { job, model, owner, royalty },
    27 = JobSealed { job, seal },
    28 = KeyWrapped { lease, worker, seal },
    29 = ScoresCommitted { account, round, commitment },
    30 = ScoresRevealed { account, round, salt, scores },
    31 = RoundEnded { round, scores, agreed },
});

impl Entry {
    /// The entry's bytes, as they stand in the log.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(112);
        self.put(&mut bytes);
        bytes
    }

    /// Reads an entry; `None` if the bytes are not one, to the last byte.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        layout::read(bytes)
    }
}
