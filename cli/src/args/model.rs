//! `girih model`: its command line.

use super::{credits, size};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Model {
    /// Offer a model to others: its bytes go to no account but those named with --download, and to
    /// workers while they compute a job with it
    Publish(Publish),
    /// Every account's models, newest first
    List {
        /// At most so many
        #[arg(long, default_value_t = 50)]
        most: u32,
    },
    /// A model's owner, licence, royalty, rights and card
    Show {
        /// Its name or number
        model: String,
    },
    /// Let no new job use a model of yours; those that do go on
    Withdraw {
        /// Its name or number
        model: String,
    },
}

#[derive(Debug, Args)]
pub struct Publish {
    /// The model: an ONNX file
    pub file: PathBuf,
    /// How others name it [default: from the file's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The licence's name or text, up to 200 bytes
    #[arg(long, value_name = "TEXT")]
    pub licence: String,
    /// A text about it: what it was made of, what it is good for
    #[arg(long, value_name = "FILE")]
    pub card: PathBuf,
    /// The royalty: credits for a million work units, beside what workers get
    #[arg(long, value_parser = credits, value_name = "CREDITS", allow_negative_numbers = true)]
    pub price: u64,
    /// Accounts that may order it [default: all]
    #[arg(long = "for", num_args = 1.., value_name = "ACCOUNT")]
    pub for_accounts: Vec<u64>,
    /// Accounts whose workers may compute it [default: all, if no worker is named either]; name two
    /// owners or more, since each other's tiles are audited
    #[arg(long, num_args = 1.., value_name = "ACCOUNT")]
    pub workers_of: Vec<u64>,
    /// Workers that may compute it besides
    #[arg(long, num_args = 1.., value_name = "WORKER")]
    pub workers: Vec<u64>,
    /// Accounts that may download it [default: none]
    #[arg(long, num_args = 1.., value_name = "ACCOUNT")]
    pub download: Vec<u64>,
    /// The size of its images, if it takes no others or looks at all of an image for each tile
    #[arg(long, value_parser = size, value_name = "WxH")]
    pub size: Option<(u32, u32)>,
}
