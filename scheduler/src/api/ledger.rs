//! The books and the log: balance, statement, checkpoint.

use super::{Api, page_size, page_token, status};
use crate::receipt::Order;
use crate::tiles::{self, TILE};
use farm::Reject;
use farm::entry::{Book, Entry, Fact};
use farm::id::{AccountId, WorkerId};
use farm::time::Time;
use proto::{convert, v1};
use std::collections::BTreeSet;
use std::path::PathBuf;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

/// Bundles read for one page; a page may end there and go on with the next token.
const BUNDLES_PER_PAGE: u64 = 4096;
/// Parts of a receipt that may wait for their reader.
const PARTS_WAITING_MAX: usize = 4;

/// The books of a worker.
const OF_WORKERS: [fn(WorkerId) -> Book; 4] =
    [Book::Held, Book::Probation, Book::Payable, Book::Stake];

/// The books of an account: its own, its jobs' and its workers'.
async fn books(api: &Api, account: AccountId) -> Result<BTreeSet<Book>, Status> {
    api.read(move |farm| {
        let jobs = farm.jobs(Some(account), None, usize::MAX);
        let workers = farm.workers(Some(account), None, usize::MAX);
        let jobs = jobs.into_iter().map(|view| Book::Hold(view.job));
        let workers = workers.into_iter().flat_map(|view| OF_WORKERS.map(|of| of(view.worker)));
        let own = [Book::Available, Book::Deposit, Book::Bond, Book::RoyaltyHeld, Book::Royalty];
        jobs.chain(workers).chain(own.map(|of| of(account))).collect()
    })
    .await
}

/// What a page is made from.
struct Statement {
    dir: PathBuf,
    /// Entries of the log.
    size: u64,
    /// Entries from here on were on earlier pages.
    before: u64,
    most: usize,
    books: BTreeSet<Book>,
}

impl Statement {
    /// A page, newest first, and where the next one goes on.
    fn page(&self) -> std::io::Result<(Vec<v1::Transfer>, Option<u64>)> {
        let mut found = Vec::new();
        let mut before = self.before.min(self.size);
        for _ in 0..BUNDLES_PER_PAGE {
            let Some(newest) = before.checked_sub(1) else { return Ok((found, None)) };
            let first = newest / TILE * TILE;
            let bundle = tiles::read_bundle(&self.dir, first / TILE, self.size)?;
            let entries: Vec<&[u8]> = tiles::entries(&bundle).collect();
            for number in (first..before).rev() {
                if found.len() == self.most {
                    return Ok((found, Some(number + 1)));
                }
                let entry = entries.get((number - first) as usize).copied();
                found.extend(entry.and_then(Entry::from_bytes).and_then(|e| self.line(number, &e)));
            }
            before = first;
        }
        Ok((found, (before > 0).then_some(before)))
    }

    fn line(&self, number: u64, entry: &Entry) -> Option<v1::Transfer> {
        let Fact::Transfer { debit, credit, amount, reason } = &entry.fact else { return None };
        if !self.books.contains(debit) && !self.books.contains(credit) {
            return None;
        }
        let (reason, job_id, tile) = convert::reason_parts(*reason);
        Some(v1::Transfer {
            entry: number,
            time: entry.time.0,
            debit: convert::book_name(*debit),
            credit: convert::book_name(*credit),
            amount: amount.0,
            reason: reason.into(),
            job_id,
            tile,
        })
    }
}

#[tonic::async_trait]
impl v1::ledger_server::Ledger for Api {
    async fn get_balance(
        &self,
        request: Request<v1::GetBalanceRequest>,
    ) -> Result<Response<v1::Balance>, Status> {
        let account = self.caller(&request)?.account;
        let balance = self.read(move |farm| farm.balance(account)).await?;
        let balance = balance.ok_or_else(|| status::reject(Reject::UnknownAccount))?;
        Ok(Response::new(v1::Balance {
            available: balance.available.0,
            on_hold: balance.on_hold.0,
            held: balance.held.0,
            payable: balance.payable.0,
            staked: balance.staked.0,
            bond: balance.bond.0,
            royalties_held: balance.royalties_held.0,
            royalties: balance.royalties.0,
            probation: balance.probation.0,
        }))
    }

    async fn list_transfers(
        &self,
        request: Request<v1::ListTransfersRequest>,
    ) -> Result<Response<v1::ListTransfersResponse>, Status> {
        let caller = self.caller(&request)?;
        let before = page_token(&request.get_ref().page_token)?.unwrap_or(u64::MAX);
        let books = books(self, caller.account).await?;
        self.publisher.flush().await;
        let statement = Statement {
            dir: self.config.state.join("log"),
            size: self.newest.get().0,
            before,
            most: page_size(request.get_ref().page_size),
            books,
        };
        let page = tokio::task::spawn_blocking(move || statement.page()).await;
        let page = page.map_err(std::io::Error::other).flatten();
        let (transfers, next) = page.map_err(|error| {
            status::because(Code::Internal, "STORAGE_FAILED", format!("the log: {error}"))
        })?;
        let next_page_token = next.map(|next| next.to_string()).unwrap_or_default();
        Ok(Response::new(v1::ListTransfersResponse { transfers, next_page_token }))
    }
}

#[tonic::async_trait]
impl v1::log_server::Log for Api {
    type GetReceiptStream = ReceiverStream<Result<v1::Receipt, Status>>;

    async fn get_checkpoint(
        &self,
        _request: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<v1::Checkpoint>, Status> {
        Ok(Response::new(v1::Checkpoint { note: self.newest.get().1 }))
    }

    async fn get_receipt(
        &self,
        request: Request<v1::GetReceiptRequest>,
    ) -> Result<Response<Self::GetReceiptStream>, Status> {
        let caller = self.caller(&request)?;
        let job = self.own_job(caller, request.get_ref().job_id).await?;
        let reading = self.receipts.clone().try_acquire_owned().map_err(|_| {
            let message = "many receipts are being read; ask again in a moment";
            status::because(Code::ResourceExhausted, "RECEIPTS_BUSY", message)
        })?;
        self.publisher.flush().await;
        let (size, checkpoint) = self.newest.get();
        // Once nothing of the job waits for a verdict, nothing follows but maturity.
        let quiet = job.ended.filter(|_| job.tiles_claimed == 0);
        let matured_us = self.config.maturity_ms.saturating_mul(1000);
        let until = quiet.map(|ended| Time(ended.0.saturating_add(matured_us)));
        let dir = self.config.state.join("log");
        let order = Order { dir, size, checkpoint, job, until };
        let (sender, parts) = tokio::sync::mpsc::channel(PARTS_WAITING_MAX);
        tokio::task::spawn_blocking(move || {
            let _reading = reading;
            let written = order.write(|part| sender.blocking_send(Ok(part)).is_ok());
            if let Err(error) = written {
                let message = format!("the log: {error}");
                let status = status::because(Code::Internal, "STORAGE_FAILED", message);
                sender.blocking_send(Err(status)).ok();
            }
        });
        Ok(Response::new(ReceiverStream::new(parts)))
    }
}
