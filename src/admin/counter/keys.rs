//! Keys: what callers present. A key is shown once, when it is made or rotated.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::Desk;
use super::accounts::{self, AccountBody, AccountPage, AccountView, Filter, On};
use super::asked::{Asked, Base, Numbered, Page, Said, Trial, tried, versioned};
use crate::api::error::Error;
use crate::store::Level;

/// Keys, by id.
#[utoipa::path(get, path = "/admin/v1/keys", tag = "counter", params(Filter), responses((status = 200, body = AccountPage)))]
pub async fn list(
    State(desk): State<Desk>,
    Asked(filter): Asked<Filter>,
) -> Result<axum::Json<Page<AccountView>>, Error> {
    accounts::list(&desk, Level::Key, &filter)
}

/// Makes a key, and shows its text, this once.
#[utoipa::path(post, path = "/admin/v1/keys", tag = "counter", params(Trial), request_body = AccountBody,
    responses((status = 201, body = AccountView), (status = 400, description = "what is wrong with it"),
        (status = 409, description = "the name is taken")))]
pub async fn create(
    State(desk): State<Desk>,
    Asked(trial): Asked<Trial>,
    Said(body): Said<AccountBody>,
) -> Result<Response, Error> {
    accounts::create_key(&desk, body, trial.dry_run).await
}

/// A key, also one that has ended.
#[utoipa::path(get, path = "/admin/v1/keys/{id}", tag = "counter", params(("id" = i64, Path)),
    responses((status = 200, body = AccountView), (status = 404, description = "there is none")))]
pub async fn one(State(desk): State<Desk>, Numbered(id): Numbered) -> Result<Response, Error> {
    accounts::one(&desk, Level::Key, id)
}

/// Changes what is set of a key: members that are left out stay, `null` takes
/// one away. In force for the next request.
#[utoipa::path(patch, path = "/admin/v1/keys/{id}", tag = "counter",
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
    accounts::alter(&desk, On { level: Level::Key, id, base, dry_run }, &patch).await
}

/// Revokes a key: it is refused from the next request on. What was recorded stays.
#[utoipa::path(delete, path = "/admin/v1/keys/{id}", tag = "counter",
    params(("id" = i64, Path), ("if-match" = String, Header, description = "its `ETag`"), Trial),
    responses((status = 200, body = AccountView), (status = 404, description = "there is none"),
        (status = 412, description = "it was changed meanwhile"), (status = 428, description = "`If-Match` is missing")))]
pub async fn revoke(
    State(desk): State<Desk>,
    Numbered(id): Numbered,
    base: Base,
    Asked(Trial { dry_run }): Asked<Trial>,
) -> Result<Response, Error> {
    accounts::end(&desk, On { level: Level::Key, id, base, dry_run }).await
}

/// How a key is rotated.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Overlap {
    /// Seconds for which the old text goes on working (0).
    overlap_seconds: Option<u64>,
    /// `1`: changes nothing.
    #[serde(default, deserialize_with = "super::asked::yes")]
    #[param(value_type = Option<String>)]
    dry_run: bool,
}

/// Gives a key a new text, and shows it, this once.
#[utoipa::path(post, path = "/admin/v1/keys/{id}/rotate", tag = "counter",
    params(("id" = i64, Path), ("if-match" = String, Header, description = "its `ETag`"), Overlap),
    responses((status = 200, body = AccountView), (status = 404, description = "there is none"),
        (status = 412, description = "it was changed meanwhile"), (status = 428, description = "`If-Match` is missing")))]
pub async fn rotate(
    State(desk): State<Desk>,
    Numbered(id): Numbered,
    base: Base,
    Asked(overlap): Asked<Overlap>,
) -> Result<Response, Error> {
    let account = accounts::find(&desk, Level::Key, id)?;
    let version = base.on(account.version)?;
    if account.ended.is_some() {
        return Err(Error::not_found());
    }
    if overlap.dry_run {
        return Ok(tried(&AccountView::known(&desk, &account)?));
    }
    let milliseconds = overlap.overlap_seconds.unwrap_or(0).saturating_mul(1000);
    let rotated =
        desk.change(|counter, actor| async move { counter.rotate(actor, id, version, milliseconds).await });
    let (account, text) = rotated.await?;
    let view = AccountView { key: Some(text.expose().to_owned()), ..AccountView::known(&desk, &account)? };
    Ok(versioned(StatusCode::OK, account.version, &view))
}
