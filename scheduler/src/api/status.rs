//! Refusals as gRPC statuses: a code, a sentence, and `ErrorInfo` with the reason (AIP-193).

use crate::auth::AuthError;
use crate::blobs::BlobError;
use crate::sealed::AssetError;
use farm::Reject;
use proto::convert::Malformed;
use std::collections::HashMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

const DOMAIN: &str = "girih.v1";

/// A status with its reason.
pub fn because(code: Code, reason: &str, message: impl Into<String>) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    Status::with_error_details(code, message, details)
}

/// A refusal of the farm.
pub fn reject(reject: Reject) -> Status {
    use Reject as R;
    let code = match reject {
        R::TimeNotRising => Code::Aborted,
        R::UnknownAccount | R::UnknownJob | R::UnknownWorker | R::LeaseUnknown => Code::NotFound,
        R::FrameUnknown => Code::NotFound,
        R::KeyTaken | R::RequestReused | R::ReportRepeated => Code::AlreadyExists,
        R::NameTooLong | R::SpecInvalid | R::PriorityInvalid | R::AmountInvalid => {
            Code::InvalidArgument
        }
        R::PriceInvalid | R::OfferInvalid | R::ReportMismatch | R::OpeningFalse => {
            Code::InvalidArgument
        }
        R::TooManyJobs => Code::ResourceExhausted,
        R::UpstreamUnknown => Code::NotFound,
        R::UpstreamMismatch | R::PlaneMissing | R::TooManyInputs => Code::InvalidArgument,
        R::UpstreamEnded | R::ChainTooLong => Code::FailedPrecondition,
        R::ModelUnknown => Code::NotFound,
        R::ModelRestricted | R::ModelTaken => Code::PermissionDenied,
        R::ModelWithdrawn | R::RoyaltyPrivate | R::ModelPublished => Code::FailedPrecondition,
        R::ModelNameInvalid
        | R::ModelIsText
        | R::LicenceInvalid
        | R::RoyaltyInvalid
        | R::RightsTooMany => Code::InvalidArgument,
        R::ModelNameTaken => Code::AlreadyExists,
        R::TooManyModels => Code::ResourceExhausted,
        R::BudgetTooSmall | R::InsufficientCredit | R::LeaseExpired => Code::FailedPrecondition,
        R::NotChallenged | R::FrameOutdated => Code::FailedPrecondition,
        R::NotRefuted | R::PayFinal | R::BeingReviewed | R::ArbiterHeard => {
            Code::FailedPrecondition
        }
        R::BondTooSmall | R::ScoresInvalid | R::BallotMismatch => Code::InvalidArgument,
        R::ValidatorsFull => Code::ResourceExhausted,
        R::BallotRepeated => Code::AlreadyExists,
        R::NoValidator | R::RoundOver | R::BallotUnknown => Code::FailedPrecondition,
        R::StakeTooLarge | R::NothingStaked | R::StakeBound => Code::FailedPrecondition,
        R::AppealLate | R::DepositTooSmall => Code::FailedPrecondition,
        R::NoArbiter => Code::Unavailable,
        R::WorkerOfAnother | R::WorkerRefuted => Code::PermissionDenied,
    };
    because(code, reject.reason(), reject.to_string())
}

/// A message whose form is wrong.
pub fn malformed(error: Malformed) -> Status {
    because(Code::InvalidArgument, "MALFORMED", error.to_string())
}

/// A call without a caller.
pub fn auth(error: AuthError) -> Status {
    because(Code::Unauthenticated, error.reason(), error.to_string())
}

/// A call that only operators may make.
pub fn operators_only() -> Status {
    because(Code::PermissionDenied, "OPERATORS_ONLY", "only an operator's key may do this")
}

/// A page token that this server did not give out.
pub fn page_token() -> Status {
    let message = "page_token must be empty or a next_page_token of an earlier answer";
    because(Code::InvalidArgument, "PAGE_TOKEN_INVALID", message)
}

/// The driver is gone.
pub fn stopped(failed: bool) -> Status {
    match failed {
        true => because(
            Code::Unavailable,
            "JOURNAL_FAILED",
            "the scheduler could not write its journal and stops; what was acknowledged is kept",
        ),
        false => because(Code::Unavailable, "STOPPING", "the scheduler is stopping; try again"),
    }
}

/// A stream whose worker has opened another one.
pub fn link_replaced() -> Status {
    let message = "another stream of this worker's key took over";
    because(Code::Aborted, "LINK_REPLACED", message)
}

/// A stream that leaves too much waiting.
pub fn link_too_slow() -> Status {
    let message = "the stream reads too slowly; connect again";
    because(Code::ResourceExhausted, "LINK_TOO_SLOW", message)
}

/// A frame that is not shown without a mark yet.
pub fn marked(frame: u32) -> Status {
    let message = format!(
        "frame {frame} carries a mark until the pay of its tiles is final; ask for it marked, or \
         again later"
    );
    because(Code::FailedPrecondition, "FRAME_MARKED", message)
}

/// An asset that cannot be read.
pub fn asset(error: AssetError) -> Status {
    match error {
        AssetError::Blob(error) => blob(error),
        AssetError::Sealed(..) => because(
            Code::InvalidArgument,
            "SEAL_INVALID",
            format!("{error}; submit again with the secret it was uploaded with"),
        ),
    }
}

/// A store that cannot take or give bytes.
pub fn blob(error: BlobError) -> Status {
    let (code, reason) = match &error {
        BlobError::Missing(_) => (Code::NotFound, "ASSET_MISSING"),
        BlobError::Busy(_) => (Code::Aborted, "UPLOAD_IN_PROGRESS"),
        BlobError::WrongOffset { .. } => (Code::FailedPrecondition, "OFFSET_MISMATCH"),
        BlobError::DigestMismatch(_) => (Code::InvalidArgument, "DIGEST_MISMATCH"),
        BlobError::SizeMismatch { .. } => (Code::InvalidArgument, "SIZE_MISMATCH"),
        BlobError::DiskFull { .. } => (Code::ResourceExhausted, "DISK_FULL"),
        BlobError::Damaged(..) | BlobError::Store(_) | BlobError::Io(_) => {
            (Code::Internal, "STORAGE_FAILED")
        }
    };
    because(code, reason, error.to_string())
}
