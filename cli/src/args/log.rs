//! Flags of those who read the public log.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Log {
    /// The log: a folder, or the URL under which the farm serves it [default: the farm's own]
    #[arg(long, value_name = "URL|DIR")]
    pub log: Option<String>,
    /// The log's public key as a note verifier key [default: the one first seen]
    #[arg(long, env = "GIRIH_LOG_KEY", value_name = "VKEY")]
    pub log_key: Option<String>,
}

#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    pub log: Log,
    /// An older checkpoint that the log must still contain [default: that of the last run]
    #[arg(long, value_name = "FILE")]
    pub since: Option<PathBuf>,
    /// Remember nothing of this run
    #[arg(long)]
    pub forget: bool,
    /// A witness of the log, whose last checkpoint the log must still contain
    #[arg(long, value_name = "URL|DIR", requires = "witness_key")]
    pub witness: Option<String>,
    /// The witness's public key as a note verifier key
    #[arg(long, value_name = "VKEY", requires = "witness")]
    pub witness_key: Option<String>,
    /// Check a job's receipt instead, and the frames beside it, without the farm
    #[arg(long, value_name = "FILE", conflicts_with = "since")]
    pub receipt: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Validate {
    #[command(flatten)]
    pub log: Log,
    /// Ballots that are not revealed yet [default: ~/.local/share/girih/validator]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Seconds between two looks at the log
    #[arg(long, default_value = "10", value_name = "SECONDS")]
    pub every: std::num::NonZeroU64,
    /// Look once and end
    #[arg(long)]
    pub once: bool,
}

#[derive(Debug, Args)]
pub struct Witness {
    /// The log: a folder, or the URL under which the farm serves it [default: the farm's own]
    #[arg(long, value_name = "URL|DIR")]
    pub log: Option<String>,
    /// The log's public key as a note verifier key
    #[arg(long, env = "GIRIH_LOG_KEY", value_name = "VKEY")]
    pub log_key: String,
    /// The witness's name in its signatures, like a URL without a scheme [default: girih.witness]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The witness's key and what it signed last [default: ~/.local/share/girih/witness]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Seconds between two looks at the log
    #[arg(long, default_value = "10", value_name = "SECONDS")]
    pub every: std::num::NonZeroU64,
    /// Look once and end
    #[arg(long)]
    pub once: bool,
    /// Serve what was signed last, and take checkpoints by C2SP tlog-witness, on this address
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<std::net::SocketAddr>,
    /// Write that address to this file once it listens
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub address_file: Option<PathBuf>,
}
