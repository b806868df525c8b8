//! Validators: bonds, ballots, and who scores.

use super::{Api, status};
use farm::money::Amount;
use farm::{Command, Reply};
use proto::{convert, v1};
use tonic::{Request, Response, Status};

impl Api {
    /// What is put down after the command, and what returned.
    async fn bonded(&self, command: Command) -> Result<(u64, u64), Status> {
        match self.apply(command).await? {
            Reply::Staked { stake, returned } => Ok((stake.0, returned.0)),
            other => unreachable!("{other:?} is no answer to a bond"),
        }
    }
}

#[tonic::async_trait]
impl v1::validators_server::Validators for Api {
    async fn bond(
        &self,
        request: Request<v1::BondRequest>,
    ) -> Result<Response<v1::BondResponse>, Status> {
        let account = self.caller(&request)?.account;
        let wire = request.into_inner();
        let request = convert::request_id(&wire.request_id).map_err(status::malformed)?;
        let command = Command::Bond { account, amount: Amount(wire.amount), request };
        let (bond, _) = self.bonded(command).await?;
        Ok(Response::new(v1::BondResponse { bond }))
    }

    async fn unbond(
        &self,
        request: Request<v1::UnbondRequest>,
    ) -> Result<Response<v1::UnbondResponse>, Status> {
        let account = self.caller(&request)?.account;
        let (_, returned) = self.bonded(Command::Unbond { account }).await?;
        Ok(Response::new(v1::UnbondResponse { returned }))
    }

    async fn commit_scores(
        &self,
        request: Request<v1::CommitScoresRequest>,
    ) -> Result<Response<v1::CommitScoresResponse>, Status> {
        let account = self.caller(&request)?.account;
        let wire = request.into_inner();
        let commitment = convert::digest("commitment", &wire.commitment);
        let commitment = commitment.map_err(status::malformed)?;
        self.apply(Command::CommitScores { account, round: wire.round, commitment }).await?;
        Ok(Response::new(v1::CommitScoresResponse {}))
    }

    async fn reveal_scores(
        &self,
        request: Request<v1::RevealScoresRequest>,
    ) -> Result<Response<v1::RevealScoresResponse>, Status> {
        let account = self.caller(&request)?.account;
        let wire = request.into_inner();
        let salt = convert::bytes32("salt", &wire.salt).map_err(status::malformed)?;
        let scores = convert::scores(&wire.scores).map_err(status::malformed)?;
        let round = wire.round;
        self.apply(Command::RevealScores { account, round, salt, scores }).await?;
        Ok(Response::new(v1::RevealScoresResponse {}))
    }

    async fn get_round(
        &self,
        request: Request<v1::GetRoundRequest>,
    ) -> Result<Response<v1::Round>, Status> {
        self.caller(&request)?;
        let round = self.read(|farm| convert::wire_round(&farm.round(), farm.policy())).await?;
        Ok(Response::new(round))
    }
}
