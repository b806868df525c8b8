//! Every refusal, in order of precedence. A refusal is a fact about the world; it changes nothing.

macro_rules! rejects {
    ($($(#[$doc:meta])* $name:ident => $reason:literal, $says:literal;)*) => {
        /// Why a command was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reject {
            $($(#[$doc])* $name,)*
        }

        impl Reject {
            /// The reason as it stands in `google.rpc.ErrorInfo`.
            pub fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason,)* }
            }
        }

        impl std::fmt::Display for Reject {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(match self { $(Self::$name => $says,)* })
            }
        }

        impl std::error::Error for Reject {}
    };
}

rejects! {
    TimeNotRising => "TIME_NOT_RISING", "time did not rise since the last command";
    UnknownAccount => "UNKNOWN_ACCOUNT", "there is no such account";
    KeyTaken => "KEY_TAKEN", "this key belongs to another account";
    NameTooLong => "NAME_TOO_LONG", "a name has at most 64 bytes";
    UnknownJob => "UNKNOWN_JOB", "there is no such job";
    UnknownWorker => "UNKNOWN_WORKER", "there is no such worker; connect first";
    SpecInvalid => "SPEC_INVALID",
        "the job's sizes are out of range: sides 1..=65536, tile a multiple of 8 up to 1024, \
         samples a multiple of 4 up to 65536, depth 1..=64, at most a million frames";
    PriorityInvalid => "PRIORITY_INVALID", "priority is 0..=9";
    AmountInvalid => "AMOUNT_INVALID", "an amount is 1..=2^60 micro-credits";
    PriceInvalid => "PRICE_INVALID", "a price is 1..=2^40 micro-credits per million work units";
    TooManyJobs => "TOO_MANY_JOBS", "the account has 10,000 open jobs; let some end first";
    UpstreamUnknown => "UPSTREAM_UNKNOWN", "the account has no job that this one could be made of";
    UpstreamEnded => "UPSTREAM_ENDED",
        "the job that this one is to be made of has ended; fetch its frames and use `girih infer`";
    UpstreamMismatch => "UPSTREAM_MISMATCH",
        "a job has the frames of the job that it is made of, and sides so many times as large";
    PlaneMissing => "PLANE_MISSING",
        "the job that this one is to be made of renders no such layer; order it with --aov";
    ChainTooLong => "CHAIN_TOO_LONG",
        "at most 8 jobs follow one another, and at most 8 are made of the same one";
    TooManyInputs => "TOO_MANY_INPUTS",
        "a tile would be made of more than 2048 tiles; make those larger with --tile-size";
    ModelUnknown => "MODEL_UNKNOWN",
        "there is no such model, or it is another account's; `girih model list` lists them";
    ModelWithdrawn => "MODEL_WITHDRAWN", "the model was withdrawn: no new job may use it";
    ModelRestricted => "MODEL_RESTRICTED",
        "the model's owner lets only named accounts order it; ask to be named";
    RoyaltyPrivate => "ROYALTY_PRIVATE",
        "a job that owes a royalty cannot be private: others must count its work";
    BudgetTooSmall => "BUDGET_TOO_SMALL",
        "max_spend is below what one tile may cost, royalty included; raise it or lower size, \
         samples or depth";
    InsufficientCredit => "INSUFFICIENT_CREDIT",
        "the account has less than max_spend available; top it up or lower max_spend";
    RequestReused => "REQUEST_REUSED", "this request_id was used for a different request";
    OfferInvalid => "OFFER_INVALID",
        "a worker offers 1..=256 slots and 1..=64 engines; a device name has at most 64 bytes";
    WorkerOfAnother => "WORKER_OF_ANOTHER", "this worker key is enrolled by another account";
    WorkerRefuted => "WORKER_REFUTED", "this worker was found lying and gets no more leases";
    LeaseUnknown => "LEASE_UNKNOWN", "there is no such lease, or it is another worker's";
    LeaseExpired => "LEASE_EXPIRED", "the lease was taken back; the tile is somebody else's now";
    ReportRepeated => "REPORT_REPEATED", "this lease was already reported";
    ReportMismatch => "REPORT_MISMATCH", "the report does not answer what the lease asked";
    NotChallenged => "NOT_CHALLENGED", "this lease was not challenged";
    OpeningFalse => "OPENING_FALSE", "an opening does not lead to the commitment";
    NotRefuted => "NOT_REFUTED", "this worker is not refuted; there is nothing to appeal against";
    PayFinal => "PAY_FINAL",
        "nothing is held back for this tile: it is not accepted yet, or its pay is final";
    BeingReviewed => "BEING_REVIEWED", "it is being looked at already; wait for the verdict";
    ArbiterHeard => "ARBITER_HEARD", "an arbiter has decided this already, and its word is final";
    AppealLate => "APPEAL_LATE", "a refutation can be appealed against for 14 days";
    NoArbiter => "NO_ARBITER",
        "no arbiter that could decide this is online; ask the farm's operator to run one";
    DepositTooSmall => "DEPOSIT_TOO_SMALL",
        "the account has less than what the arbiter's work costs; top it up";
    StakeTooLarge => "STAKE_TOO_LARGE",
        "the account has less than that available; top it up or stake less";
    NothingStaked => "NOTHING_STAKED", "nothing is staked for this worker";
    StakeBound => "STAKE_BOUND",
        "what the worker said may still turn out false: its stake is free once it has no leases, \
         no pay is held back about it, and it reported nothing for the maturity period";
    ModelTaken => "MODEL_TAKEN", "another account published these bytes before";
    ModelPublished => "MODEL_PUBLISHED",
        "these bytes are published on other terms; withdraw that model first";
    ModelNameInvalid => "MODEL_NAME_INVALID",
        "a model's name is a lowercase letter and up to 63 more, digits, dots, dashes or \
         underscores";
    ModelNameTaken => "MODEL_NAME_TAKEN", "another model on offer has this name";
    LicenceInvalid => "LICENCE_INVALID",
        "a licence is a text of 1 to 200 bytes; put more on the card";
    ModelIsText => "MODEL_IS_TEXT",
        "a model's card and facts are for everybody, so no model has the same bytes";
    RoyaltyInvalid => "ROYALTY_INVALID",
        "a royalty is at most 2^40 micro-credits per million work units";
    RightsTooMany => "RIGHTS_TOO_MANY",
        "a model's owner names at most 64 accounts or workers for each right";
    TooManyModels => "TOO_MANY_MODELS",
        "the account offers 1,000 models; withdraw some first";
    BondTooSmall => "BOND_TOO_SMALL", "a validator's bond is 10 credits or more";
    ValidatorsFull => "VALIDATORS_FULL",
        "there are 64 validators with at least that bond; put down more";
    NoValidator => "NO_VALIDATOR", "the account has no bond; put one down with `girih bond`";
    RoundOver => "ROUND_OVER",
        "ballots are committed to in the round that they are for and revealed in the next";
    BallotRepeated => "BALLOT_REPEATED", "the account has committed to another ballot already";
    BallotUnknown => "BALLOT_UNKNOWN", "the account committed to no ballot in the last round";
    BallotMismatch => "BALLOT_MISMATCH", "this is not the ballot that the account committed to";
    ScoresInvalid => "SCORES_INVALID",
        "a ballot scores at most 4096 workers of other owners from 0 to 1000, by rising id";
    FrameUnknown => "FRAME_UNKNOWN", "the job has no such frame";
    FrameOutdated => "FRAME_OUTDATED", "the frame has changed since; store it again";
}
