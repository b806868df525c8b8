//! How the program ends: the exit codes, and the sentence for what went wrong.

use tonic_types::StatusExt;
use worker::WorkerError;
use worker::channel::ChannelError;

/// The exit codes; they are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// Something failed that has no code of its own.
    Error = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// No Vulkan device to work on.
    NoDevice = 3,
    /// The job failed, was cancelled or ran out of budget.
    JobEnded = 4,
    /// `verify` found an entry that does not follow, or a log that changed its past.
    Breach = 5,
    /// The farm cannot be reached.
    Unreachable = 6,
    /// The farm refused: the key, the credit, or the order.
    Refused = 7,
    /// The scene, or another input file, is not usable.
    Input = 8,
}

/// An input file that cannot be used; says which and the way out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// A command line that clap lets pass and that still means nothing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadUsage(pub String);

/// The code of an error.
pub fn code(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(status) = cause.downcast_ref::<tonic::Status>() {
            return of_status(status);
        }
        if let Some(error) = cause.downcast_ref::<ChannelError>() {
            return match error {
                ChannelError::Unreachable { .. }
                | ChannelError::Untrusted { .. }
                | ChannelError::Fingerprint { .. } => Exit::Unreachable,
                ChannelError::Address(_) | ChannelError::Key | ChannelError::Authority { .. } => {
                    Exit::Usage
                }
            };
        }
        if let Some(error) = cause.downcast_ref::<WorkerError>() {
            return match error {
                WorkerError::NoDevice(_) | WorkerError::DevicesGivenUp => Exit::NoDevice,
                WorkerError::Refused(_) => Exit::Refused,
                WorkerError::Config(_) => Exit::Usage,
                WorkerError::Disk { .. } => Exit::Error,
            };
        }
        if cause.is::<BadInput>() {
            return Exit::Input;
        }
        if cause.is::<BadUsage>() {
            return Exit::Usage;
        }
    }
    Exit::Error
}

fn of_status(status: &tonic::Status) -> Exit {
    use tonic::Code;
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded => Exit::Unreachable,
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::InvalidArgument
        | Code::ResourceExhausted
        | Code::AlreadyExists
        | Code::NotFound => Exit::Refused,
        _ => Exit::Error,
    }
}

/// The sentence of an error: what, and the way out; never a dump.
pub fn sentence(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = match cause.downcast_ref::<tonic::Status>() {
            Some(status) => of_farm(status),
            None => cause.to_string(),
        };
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

fn of_farm(status: &tonic::Status) -> String {
    use tonic::Code;
    let reason = status.get_details_error_info().map(|info| format!(" [{}]", info.reason));
    let reason = reason.unwrap_or_default();
    let way_out = match status.code() {
        Code::Unauthenticated => {
            "; give the account's key with --key, GIRIH_KEY or the configuration file"
        }
        Code::Unavailable => "; is the scheduler running? `girih doctor` looks closer",
        Code::Unimplemented => "; the farm is older than this program",
        _ => "",
    };
    format!("{}{reason}{way_out}", status.message())
}

/// Whether the reader of our output went away: then there is nobody left to tell.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_decide_the_code_however_deep() {
        let status = tonic::Status::unauthenticated("no such key");
        let error = anyhow::Error::new(status).context("balance");
        assert_eq!(code(&error), Exit::Refused);
        assert!(sentence(&error).starts_with("balance: no such key; give the account's key"));
        let unreachable =
            ChannelError::Unreachable { server: "https://x".into(), why: "refused".into() };
        assert_eq!(code(&unreachable.into()), Exit::Unreachable);
        assert_eq!(code(&WorkerError::NoDevice("none".into()).into()), Exit::NoDevice);
        assert_eq!(code(&anyhow::anyhow!("other")), Exit::Error);
        assert_eq!(code(&BadInput("scene.glb".into()).into()), Exit::Input);
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let io = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&anyhow::Error::new(io).context("write")));
        assert!(!is_broken_pipe(&anyhow::anyhow!("x")));
    }
}
