//! What organisations, customers and keys have in common.

use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Desk;
use super::asked::{Base, Page, cursor, limit, patched, tried, versioned};
use crate::accounts::counter::unix_ms;
use crate::accounts::directory::Wanted;
use crate::api::error::Error;
use crate::catalog::Expose;
use crate::store::{Account, Id, Level, Terms};

/// What may be set of an organisation, a customer or a key. What is left out is
/// as with its parent, and never grants more than that.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountBody {
    /// Unique among the living of the same parent; 1 to 120 bytes.
    pub name: String,
    /// The account above: an organisation's id for a customer, a customer's or an
    /// organisation's for a key. Cannot be changed.
    #[serde(default)]
    pub parent: Option<Id>,
    /// Models and routes it may use.
    #[serde(default)]
    pub models: Option<Vec<String>>,
    /// What it may see of providers: `full`, `model` or `none`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub expose: Option<Expose>,
    /// The id of the plan by which it pays.
    #[serde(default)]
    pub plan: Option<Id>,
    /// Requests per minute.
    #[serde(default)]
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute: input and the most output that is asked for.
    #[serde(default)]
    pub tokens_per_minute: Option<u32>,
    /// Requests at once.
    #[serde(default)]
    pub concurrency: Option<u32>,
    /// Valid until then (milliseconds since 1970).
    #[serde(default)]
    pub valid_until_unix_ms: Option<u64>,
}

impl AccountBody {
    fn terms(&self) -> Terms {
        Terms {
            models: self.models.clone(),
            expose: self.expose,
            plan: self.plan,
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            concurrency: self.concurrency,
            until: self.valid_until_unix_ms,
        }
    }

    fn of(account: &Account) -> Self {
        let terms = account.terms.clone();
        AccountBody {
            name: account.name.clone(),
            parent: account.parent,
            models: terms.models,
            expose: terms.expose,
            plan: terms.plan,
            requests_per_minute: terms.requests_per_minute,
            tokens_per_minute: terms.tokens_per_minute,
            concurrency: terms.concurrency,
            valid_until_unix_ms: terms.until,
        }
    }
}

/// A text of a key, which is not stored: what is left to recognise it by.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Hint {
    /// Its last four characters.
    pub ends_with: String,
    /// Valid until then (milliseconds since 1970): it is being replaced.
    pub valid_until_unix_ms: Option<u64>,
}

/// An organisation, a customer or a key.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AccountView {
    /// Its number; 0 in a dry run.
    pub id: Id,
    /// Counts changes; what `ETag` and `If-Match` carry.
    pub version: i64,
    /// What was set.
    #[serde(flatten)]
    pub body: AccountBody,
    /// When it was made (milliseconds since 1970).
    pub created_unix_ms: u64,
    /// When it was revoked or deleted.
    pub ended_unix_ms: Option<u64>,
    /// The texts that a key has: two while it is being rotated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<Hint>,
    /// The key itself. Shown once: when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl AccountView {
    /// An account without any text.
    pub fn of(account: &Account) -> Self {
        AccountView {
            id: account.id,
            version: account.version,
            body: AccountBody::of(account),
            created_unix_ms: account.created,
            ended_unix_ms: account.ended,
            texts: Vec::new(),
            key: None,
        }
    }

    /// An account with what its texts are recognised by.
    pub fn known(desk: &Desk, account: &Account) -> Result<Self, Error> {
        let now = unix_ms();
        let digests = desk.counter()?.directory.digests(account.id);
        let good = digests.into_iter().filter(|digest| digest.until.is_none_or(|until| until > now));
        let texts = good.map(|digest| Hint { ends_with: digest.hint, valid_until_unix_ms: digest.until });
        Ok(AccountView { texts: texts.collect(), ..AccountView::of(account) })
    }
}

/// A page of accounts.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountPage {
    /// The accounts, by id.
    pub data: Vec<AccountView>,
    /// The cursor of the next page, if there may be one.
    pub next: Option<String>,
}

/// Which accounts to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Of exactly this name.
    name: Option<String>,
    /// Directly below this account.
    parent: Option<Id>,
    /// `1`: those that were revoked or deleted, too.
    #[serde(default, deserialize_with = "super::asked::yes")]
    #[param(value_type = Option<String>)]
    ended: bool,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 1000 (100).
    limit: Option<u32>,
}

/// A page of a level.
pub fn list(desk: &Desk, level: Level, filter: &Filter) -> Result<axum::Json<Page<AccountView>>, Error> {
    let limit = limit(filter.limit)?;
    let wanted = Wanted {
        level,
        parent: filter.parent,
        name: filter.name.as_deref(),
        ended: filter.ended,
        after: cursor(filter.cursor.as_deref())?.unwrap_or(0),
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let accounts = desk.counter()?.directory.page(&wanted);
    let views: Result<Vec<_>, _> = accounts.iter().map(|account| AccountView::known(desk, account)).collect();
    Ok(axum::Json(Page::new(views?, limit, |view| view.id)))
}

/// An account of a level, also one that has ended.
pub fn find(desk: &Desk, level: Level, id: Id) -> Result<Account, Error> {
    let account = desk.counter()?.directory.account(id);
    account.filter(|account| account.level == level).ok_or_else(Error::not_found)
}

/// One, as it is.
pub fn one(desk: &Desk, level: Level, id: Id) -> Result<Response, Error> {
    let account = find(desk, level, id)?;
    Ok(versioned(StatusCode::OK, account.version, &AccountView::known(desk, &account)?))
}

/// An unknown parent is the request's fault, not a path that leads nowhere.
pub fn proposed(desk: &Desk, level: Level, body: &AccountBody) -> Result<Account, Error> {
    let counter = desk.counter()?;
    if let Some(parent) = body.parent.filter(|parent| counter.directory.account(*parent).is_none()) {
        let message = format!("there is no account {parent} to belong to");
        return Err(Error::invalid_request(message, Some("parent".to_owned())));
    }
    let proposed = counter.proposed(level, body.parent, &body.name, body.terms());
    proposed.map_err(|error| Error::from_store(&error))
}

/// Makes one that is not a key.
pub async fn create(desk: &Desk, level: Level, body: AccountBody, dry_run: bool) -> Result<Response, Error> {
    let proposed = proposed(desk, level, &body)?;
    if dry_run {
        return Ok(tried(&AccountView::of(&proposed)));
    }
    let made = desk.change(|counter, actor| async move {
        counter.create(actor, level, body.parent, &body.name, body.terms()).await
    });
    let account = made.await?;
    Ok(versioned(StatusCode::CREATED, account.version, &AccountView::of(&account)))
}

/// Makes a key, and shows its text.
pub async fn create_key(desk: &Desk, body: AccountBody, dry_run: bool) -> Result<Response, Error> {
    let proposed = proposed(desk, Level::Key, &body)?;
    if dry_run {
        return Ok(tried(&AccountView::of(&proposed)));
    }
    let made = desk.change(|counter, actor| async move {
        counter.create_key(actor, body.parent, &body.name, body.terms()).await
    });
    let (account, text) = made.await?;
    let view = AccountView { key: Some(text.expose().to_owned()), ..AccountView::known(desk, &account)? };
    Ok(versioned(StatusCode::CREATED, account.version, &view))
}

/// A change and what it is based on.
#[derive(Debug, Clone, Copy)]
pub struct On {
    /// The level that the path is of.
    pub level: Level,
    /// The account.
    pub id: Id,
    /// The version that is changed.
    pub base: Base,
    /// Whether it is only tried.
    pub dry_run: bool,
}

/// Changes what is set.
pub async fn alter(desk: &Desk, on: On, patch: &Value) -> Result<Response, Error> {
    let account = find(desk, on.level, on.id)?;
    let version = on.base.on(account.version)?;
    let body = patched(&AccountBody::of(&account), patch)?;
    if body.parent != account.parent {
        let message = "an account stays where it is; make another one there";
        return Err(Error::invalid_request(message, Some("parent".to_owned())));
    }
    let counter = desk.counter()?;
    let altered = counter.altered(on.id, version, &body.name, body.terms());
    let altered = altered.map_err(|error| Error::from_store(&error))?;
    if on.dry_run {
        return Ok(tried(&AccountView::of(&altered)));
    }
    let changed = desk.change(|counter, actor| async move {
        counter.alter(actor, on.id, version, &body.name, body.terms()).await
    });
    let account = changed.await?;
    Ok(versioned(StatusCode::OK, account.version, &AccountView::known(desk, &account)?))
}

/// Revokes or deletes.
pub async fn end(desk: &Desk, on: On) -> Result<Response, Error> {
    let account = find(desk, on.level, on.id)?;
    let version = on.base.on(account.version)?;
    if account.ended.is_some() {
        return Err(Error::not_found());
    }
    if on.dry_run {
        return Ok(tried(&AccountView::of(&Account { ended: Some(unix_ms()), ..account })));
    }
    let ended = desk.change(|counter, actor| async move { counter.end(actor, on.id, version).await });
    let account = ended.await?;
    Ok(versioned(StatusCode::OK, account.version, &AccountView::of(&account)))
}
