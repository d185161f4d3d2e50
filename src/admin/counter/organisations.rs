//! Organisations: the roots of the tree of accounts.

use axum::extract::State;
use axum::response::Response;
use serde_json::Value;

use super::Desk;
use super::accounts::{self, AccountBody, AccountPage, AccountView, Filter, On};
use super::asked::{Asked, Base, Numbered, Page, Said, Trial};
use crate::api::error::Error;
use crate::store::Level;

/// Organisations, by id.
#[utoipa::path(get, path = "/admin/v1/organisations", tag = "counter", params(Filter), responses((status = 200, body = AccountPage)))]
pub async fn list(
    State(desk): State<Desk>,
    Asked(filter): Asked<Filter>,
) -> Result<axum::Json<Page<AccountView>>, Error> {
    accounts::list(&desk, Level::Organisation, &filter)
}

/// Makes an organisation.
#[utoipa::path(post, path = "/admin/v1/organisations", tag = "counter", params(Trial), request_body = AccountBody,
    responses((status = 201, body = AccountView), (status = 400, description = "what is wrong with it"),
        (status = 409, description = "the name is taken")))]
pub async fn create(
    State(desk): State<Desk>,
    Asked(trial): Asked<Trial>,
    Said(body): Said<AccountBody>,
) -> Result<Response, Error> {
    accounts::create(&desk, Level::Organisation, body, trial.dry_run).await
}

/// An organisation, also one that has ended.
#[utoipa::path(get, path = "/admin/v1/organisations/{id}", tag = "counter", params(("id" = i64, Path)),
    responses((status = 200, body = AccountView), (status = 404, description = "there is none")))]
pub async fn one(State(desk): State<Desk>, Numbered(id): Numbered) -> Result<Response, Error> {
    accounts::one(&desk, Level::Organisation, id)
}

/// Changes what is set of an organisation: members that are left out stay, `null` takes
/// one away. In force for the next request.
#[utoipa::path(patch, path = "/admin/v1/organisations/{id}", tag = "counter",
    params(("id" = i64, Path), ("if-match" = String, Header, description = "its `ETag`"), Trial),
    request_body = AccountBody,
    responses((status = 200, body = AccountView), (status = 404, description = "there is none"),
        (status = 412, description = "it was changed meanwhile"), (status = 428, description = "`If-Match` is missing")))]
pub async fn alter(
    State(desk): State<Desk>,
    Numbered(id): Numbered,
    base: Base,
    Asked(Trial { dry_run }): Asked<Trial>,
    Said(patch): Said<Value>,
) -> Result<Response, Error> {
    accounts::alter(&desk, On { level: Level::Organisation, id, base, dry_run }, &patch).await
}

/// Deletes an organisation: none of its keys works any more. What was recorded stays.
#[utoipa::path(delete, path = "/admin/v1/organisations/{id}", tag = "counter",
    params(("id" = i64, Path), ("if-match" = String, Header, description = "its `ETag`"), Trial),
    responses((status = 200, body = AccountView), (status = 404, description = "there is none"),
        (status = 412, description = "it was changed meanwhile"), (status = 428, description = "`If-Match` is missing")))]
pub async fn end(
    State(desk): State<Desk>,
    Numbered(id): Numbered,
    base: Base,
    Asked(Trial { dry_run }): Asked<Trial>,
) -> Result<Response, Error> {
    accounts::end(&desk, On { level: Level::Organisation, id, base, dry_run }).await
}
