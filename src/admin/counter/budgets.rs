//! Budgets: what an account may spend, and how that stands.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::asked::{Asked, Base, Numbered, Page, Said, Trial, cursor, limit, patched, tried, versioned};
use super::{Desk, Usd};
use crate::accounts::counter::unix_ms;
use crate::api::error::Error;
use crate::store::{Budget, Id, Mode, Window};
use crate::units::NanoUsd;

/// What may be set of a budget.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetBody {
    /// The organisation, customer or key that it limits. Cannot be changed.
    pub account: Id,
    /// The most that may be spent in one window. It may be set below what is spent:
    /// then nothing more is, until the window ends.
    pub limit_usd: Usd,
    /// When it begins anew, in UTC: `hour`, `day`, `month`, or `total` for never.
    #[schema(value_type = String)]
    pub window: Window,
    /// When a request does not fit: `strict` refuses it, `fit` lowers its output
    /// limit, `soft` serves it as long as anything is left.
    #[serde(default)]
    #[schema(value_type = String)]
    pub mode: Mode,
    /// Only counts what it would have refused.
    #[serde(default)]
    pub shadow: bool,
}

/// A budget, and how it stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BudgetView {
    /// Its number; 0 in a dry run.
    pub id: Id,
    /// Counts changes; what `ETag` and `If-Match` carry.
    pub version: i64,
    /// What was set.
    #[serde(flatten)]
    pub body: BudgetBody,
    /// Spent in this window, what a crash set aside included.
    pub spent_usd: Usd,
    /// Held for requests under way.
    pub held_usd: Usd,
    /// What is left; negative after the limit was set below what is spent.
    pub left_usd: Usd,
    /// When the window began (milliseconds since 1970).
    pub started_unix_ms: u64,
    /// When it ends; `null` is never.
    pub resets_unix_ms: Option<u64>,
}

/// A page of budgets.
#[derive(Debug, Serialize, ToSchema)]
pub struct BudgetPage {
    /// The budgets, by id.
    pub data: Vec<BudgetView>,
    /// The cursor of the next page, if there may be one.
    pub next: Option<String>,
}

/// Money that was paid in.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreditBody {
    /// By so much the limit grows; negative takes it back.
    pub amount_usd: Usd,
    /// What for; kept in the audit log.
    #[serde(default)]
    pub note: String,
}

/// Which budgets to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Of this account.
    account: Option<Id>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 1000 (100).
    limit: Option<u32>,
}

impl BudgetBody {
    fn budget(&self, id: Id, version: i64) -> Budget {
        Budget {
            id,
            version,
            account: self.account,
            limit: self.limit_usd.0,
            window: self.window,
            mode: self.mode,
            shadow: self.shadow,
        }
    }

    fn of(budget: &Budget) -> Self {
        BudgetBody {
            account: budget.account,
            limit_usd: Usd(budget.limit),
            window: budget.window,
            mode: budget.mode,
            shadow: budget.shadow,
        }
    }
}

impl BudgetView {
    fn of(desk: &Desk, budget: &Budget) -> Result<Self, Error> {
        let view = desk.counter()?.vault.view(budget.id, unix_ms() / 1000);
        let (spent, held) =
            view.as_ref().map_or((NanoUsd::ZERO, NanoUsd::ZERO), |view| (view.spent, view.held));
        let left = budget.limit.get().saturating_sub(spent.get()).saturating_sub(held.get());
        Ok(BudgetView {
            id: budget.id,
            version: budget.version,
            body: BudgetBody::of(budget),
            spent_usd: Usd(spent),
            held_usd: Usd(held),
            left_usd: Usd(NanoUsd::new(left)),
            started_unix_ms: view.as_ref().map_or(0, |view| view.start.saturating_mul(1000)),
            resets_unix_ms: view.and_then(|view| view.resets).map(|resets| resets.saturating_mul(1000)),
        })
    }
}

fn find(desk: &Desk, id: Id) -> Result<Budget, Error> {
    let budgets = desk.counter()?.directory.budgets(None);
    budgets.into_iter().find(|budget| budget.id == id).ok_or_else(Error::not_found)
}

/// Budgets, by id, and how they stand.
#[utoipa::path(get, path = "/admin/v1/budgets", tag = "counter", params(Filter), responses((status = 200, body = BudgetPage)))]
pub async fn list(
    State(desk): State<Desk>,
    Asked(filter): Asked<Filter>,
) -> Result<axum::Json<Page<BudgetView>>, Error> {
    let limit = limit(filter.limit)?;
    let after = cursor(filter.cursor.as_deref())?.unwrap_or(0);
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let budgets = desk.counter()?.directory.budgets(filter.account);
    let page = budgets.iter().filter(|budget| budget.id > after).take(most);
    let views: Result<Vec<_>, _> = page.map(|budget| BudgetView::of(&desk, budget)).collect();
    Ok(axum::Json(Page::new(views?, limit, |view| view.id)))
}

/// Makes a budget.
#[utoipa::path(post, path = "/admin/v1/budgets", tag = "counter", params(Trial), request_body = BudgetBody,
    responses((status = 201, body = BudgetView), (status = 400, description = "what is wrong with it")))]
pub async fn create(
    State(desk): State<Desk>,
    Asked(trial): Asked<Trial>,
    Said(body): Said<BudgetBody>,
) -> Result<Response, Error> {
    save(&desk, body.budget(0, 0), trial).await
}

/// A budget, and how it stands.
#[utoipa::path(get, path = "/admin/v1/budgets/{id}", tag = "counter", params(("id" = i64, Path)),
    responses((status = 200, body = BudgetView), (status = 404, description = "there is none")))]
pub async fn one(State(desk): State<Desk>, Numbered(id): Numbered) -> Result<Response, Error> {
    let budget = find(&desk, id)?;
    Ok(versioned(StatusCode::OK, budget.version, &BudgetView::of(&desk, &budget)?))
}

/// Changes a budget: members that are left out stay. In force for the next request.
#[utoipa::path(patch, path = "/admin/v1/budgets/{id}", tag = "counter",
    params(("id" = i64, Path), ("if-match" = String, Header, description = "its `ETag`"), Trial),
    request_body = BudgetBody,
    responses((status = 200, body = BudgetView), (status = 404, description = "there is none"),
        (status = 412, description = "it was changed meanwhile"), (status = 428, description = "`If-Match` is missing")))]
pub async fn alter(
    State(desk): State<Desk>,
    Numbered(id): Numbered,
    base: Base,
    Asked(trial): Asked<Trial>,
    Said(patch): Said<Value>,
) -> Result<Response, Error> {
    let budget = find(&desk, id)?;
    let version = base.on(budget.version)?;
    let body: BudgetBody = patched(&BudgetBody::of(&budget), &patch)?;
    if body.account != budget.account {
        let message = "a budget stays with its account; make another one";
        return Err(Error::invalid_request(message, Some("account".to_owned())));
    }
    save(&desk, body.budget(id, version), trial).await
}

async fn save(desk: &Desk, budget: Budget, trial: Trial) -> Result<Response, Error> {
    desk.counter()?.check_budget(&budget).map_err(|error| Error::from_store(&error))?;
    if trial.dry_run {
        return Ok(tried(&BudgetView::of(desk, &budget)?));
    }
    let status = if budget.id == 0 { StatusCode::CREATED } else { StatusCode::OK };
    let saved = desk.change(|counter, actor| async move { counter.save_budget(actor, budget).await }).await?;
    Ok(versioned(status, saved.version, &BudgetView::of(desk, &saved)?))
}

/// Deletes a budget: its account is not limited by it any more.
#[utoipa::path(delete, path = "/admin/v1/budgets/{id}", tag = "counter",
    params(("id" = i64, Path), ("if-match" = String, Header, description = "its `ETag`"), Trial),
    responses((status = 200, body = BudgetView), (status = 404, description = "there is none"),
        (status = 412, description = "it was changed meanwhile"), (status = 428, description = "`If-Match` is missing")))]
pub async fn remove(
    State(desk): State<Desk>,
    Numbered(id): Numbered,
    base: Base,
    Asked(trial): Asked<Trial>,
) -> Result<Response, Error> {
    let budget = find(&desk, id)?;
    base.on(budget.version)?;
    let view = BudgetView::of(&desk, &budget)?;
    if trial.dry_run {
        return Ok(tried(&view));
    }
    desk.change(|counter, actor| async move { counter.remove_budget(actor, id).await }).await?;
    Ok(versioned(StatusCode::OK, budget.version, &view))
}

/// Money was paid in: the budget grows by it.
#[utoipa::path(post, path = "/admin/v1/budgets/{id}/credit", tag = "counter",
    params(("id" = i64, Path), Trial), request_body = CreditBody,
    responses((status = 200, body = BudgetView), (status = 400, description = "it would become negative"),
        (status = 404, description = "there is none")))]
pub async fn credit(
    State(desk): State<Desk>,
    Numbered(id): Numbered,
    Asked(trial): Asked<Trial>,
    Said(CreditBody { amount_usd: Usd(amount), note }): Said<CreditBody>,
) -> Result<Response, Error> {
    let budget = find(&desk, id)?;
    if trial.dry_run {
        let limit = NanoUsd::new(budget.limit.get().saturating_add(amount.get()));
        let grown = Budget { limit, ..budget };
        desk.counter()?.check_budget(&grown).map_err(|error| Error::from_store(&error))?;
        return Ok(tried(&BudgetView::of(&desk, &grown)?));
    }
    let grown = desk.change(|counter, actor| async move { counter.credit(actor, id, amount, &note).await });
    let grown = grown.await?;
    Ok(versioned(StatusCode::OK, grown.version, &BudgetView::of(&desk, &grown)?))
}

/// Gives back what a crash has set aside of a budget: money that may have been
/// spent and is on no bill.
#[utoipa::path(post, path = "/admin/v1/budgets/{id}/forgive", tag = "counter", params(("id" = i64, Path)),
    responses((status = 200, body = BudgetView), (status = 404, description = "nothing is set aside")))]
pub async fn forgive(State(desk): State<Desk>, Numbered(id): Numbered) -> Result<Response, Error> {
    let budget = find(&desk, id)?;
    desk.change(|counter, actor| async move { counter.forgive(actor, id).await }).await?;
    Ok(versioned(StatusCode::OK, budget.version, &BudgetView::of(&desk, &budget)?))
}
