//! Accounts: create, look at, top up.

use super::{Api, id, status};
use crate::auth::{self, Caller};
use farm::id::AccountId;
use farm::money::Amount;
use farm::view::AccountView;
use farm::{Command, Reply};
use proto::{convert, v1};
use tonic::{Code, Request, Response, Status};

fn wire_account(view: &AccountView) -> v1::Account {
    let role = if view.operator { v1::Role::Operator } else { v1::Role::Client };
    v1::Account {
        account_id: u64::from(view.account.0),
        name: view.name.clone(),
        role: role.into(),
    }
}

#[tonic::async_trait]
impl v1::accounts_server::Accounts for Api {
    async fn create_account(
        &self,
        request: Request<v1::CreateAccountRequest>,
    ) -> Result<Response<v1::CreateAccountResponse>, Status> {
        self.operator(&request)?;
        let request = request.into_inner();
        let operator = request.role() == v1::Role::Operator;
        let api_key = auth::new_key()
            .map_err(|error| status::because(Code::Internal, "NO_ENTROPY", error.to_string()))?;
        let (key, name) = (auth::stored(&api_key), request.name);
        let command = Command::OpenAccount { key, operator, name: name.clone() };
        let Reply::Account(account) = self.apply(command).await? else {
            unreachable!("an opened account is answered with its id");
        };
        self.keys.insert(key, Caller { account, operator });
        let account = wire_account(&AccountView { account, key, operator, name });
        Ok(Response::new(v1::CreateAccountResponse { account: Some(account), api_key }))
    }

    async fn get_account(
        &self,
        request: Request<v1::GetAccountRequest>,
    ) -> Result<Response<v1::Account>, Status> {
        let caller = self.caller(&request)?;
        let accounts = self.read(|farm| farm.accounts()).await?;
        let own = accounts.iter().find(|view| view.account == caller.account);
        let own = own.ok_or_else(|| status::reject(farm::Reject::UnknownAccount))?;
        Ok(Response::new(wire_account(own)))
    }

    async fn top_up(
        &self,
        request: Request<v1::TopUpRequest>,
    ) -> Result<Response<v1::TopUpResponse>, Status> {
        self.operator(&request)?;
        let wire = request.into_inner();
        // Account 0 is the farm itself and has no key, so 0 can name the pot.
        let account = (wire.account_id != 0).then(|| AccountId(id(wire.account_id)));
        let request = convert::request_id(&wire.request_id).map_err(status::malformed)?;
        let command = Command::TopUp { account, amount: Amount(wire.amount), request };
        let Reply::Available(available) = self.apply(command).await? else {
            unreachable!("a top-up is answered with what is available");
        };
        Ok(Response::new(v1::TopUpResponse { available: available.0 }))
    }
}
