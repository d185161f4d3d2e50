//! The ledger's records, the proof that they are right, and who changed what.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::asked::{Asked, Page, cursor, limit};
use super::{Desk, Usd};
use crate::api::error::Error;
use crate::store::sqlite::{Audited, Found};

/// Where to go on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Place {
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Rows of a page, 1 to 1000 (100).
    limit: Option<u32>,
}

/// A record of the ledger: an attempt that was sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordView {
    /// Its number, which grows.
    pub id: i64,
    /// The request.
    pub request_id: String,
    /// Number of the attempt, from 1.
    pub attempt: u16,
    /// `settled`, or `recovered` when the process died during it.
    pub kind: &'static str,
    /// When the request arrived (milliseconds since 1970).
    pub at_unix_ms: u64,
    /// The organisation's number.
    pub organisation: Option<i64>,
    /// The customer's number.
    pub customer: Option<i64>,
    /// The key's number.
    pub key: Option<i64>,
    /// The key's name.
    pub key_name: String,
    /// The name that was asked for.
    pub route: String,
    /// Who was asked.
    pub provider: String,
    /// Which model.
    pub model: String,
    /// The plan's name.
    pub plan: Option<String>,
    /// Everything that was consumed, in tokens.
    pub usage: Value,
    /// The provider's prices at that time, in pico-USD.
    pub prices: Value,
    /// What the provider charges.
    pub cost_usd: Usd,
    /// The plan's price.
    pub charged_usd: Usd,
    /// What of that was free.
    pub free_usd: Usd,
    /// What the customer owes.
    pub revenue_usd: Usd,
    /// Whether the customer pays for this attempt.
    pub billed: bool,
    /// `ok`, or why it failed.
    pub result: String,
    /// Whether a stream was asked for.
    pub stream: bool,
}

/// A page of records.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordPage {
    /// The records, oldest first.
    pub data: Vec<RecordView>,
    /// The cursor of the next page, if there may be one.
    pub next: Option<String>,
}

/// What a verification came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Proof {
    /// Records computed again.
    pub records: u64,
    /// Attempts under way.
    pub open: u64,
    /// What does not agree; 0 is what it must be.
    pub wrong: u64,
    /// The first 100 of them.
    pub problems: Vec<String>,
}

/// A change that an operator made.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditView {
    /// Its number, which grows.
    pub id: i64,
    /// When (milliseconds since 1970).
    pub at_unix_ms: u64,
    /// Over which way: the `admin` API, or a `command` while no gateway ran.
    pub actor: String,
    /// What kind of thing.
    pub action: String,
    /// What it was made into.
    pub row: Value,
}

/// A page of changes.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditPage {
    /// The changes, newest first.
    pub data: Vec<AuditView>,
    /// The cursor of the next page, if there may be one.
    pub next: Option<String>,
}

impl RecordView {
    fn of(found: Found) -> Self {
        let entry = found.entry;
        RecordView {
            id: found.id,
            request_id: entry.request.to_string(),
            attempt: entry.attempt,
            kind: entry.kind.name(),
            at_unix_ms: entry.at,
            organisation: entry.organisation,
            customer: entry.customer,
            key: entry.key,
            key_name: entry.key_name.to_string(),
            route: entry.route.to_string(),
            provider: entry.provider.to_string(),
            model: entry.model.to_string(),
            plan: entry.plan.as_ref().map(|plan| plan.name.clone()),
            usage: json!(entry.usage),
            prices: json!(entry.rates),
            cost_usd: Usd(entry.cost),
            charged_usd: Usd(entry.charged),
            free_usd: Usd(entry.free),
            revenue_usd: Usd(entry.revenue()),
            billed: entry.billed,
            result: entry.result,
            stream: entry.stream,
        }
    }
}

impl AuditView {
    fn of(audited: Audited) -> Self {
        AuditView {
            id: audited.id,
            at_unix_ms: audited.at,
            actor: audited.actor,
            action: audited.action,
            row: serde_json::from_str(&audited.body).unwrap_or(Value::Null),
        }
    }
}

/// Records, oldest first: for exports, page by page.
#[utoipa::path(get, path = "/admin/v1/ledger", tag = "counter", params(Place), responses((status = 200, body = RecordPage)))]
pub async fn records(
    State(desk): State<Desk>,
    Asked(place): Asked<Place>,
) -> Result<axum::Json<Page<RecordView>>, Error> {
    let (limit, after) = (limit(place.limit)?, cursor(place.cursor.as_deref())?.unwrap_or(0));
    let found = desk.look(move |reader| reader.page(after, limit)).await?;
    let records = found.into_iter().map(RecordView::of).collect();
    Ok(axum::Json(Page::new(records, limit, |record| record.id)))
}

/// Computes every amount of the ledger again and adds up every sum. Takes some
/// seconds for a million records.
#[utoipa::path(get, path = "/admin/v1/ledger/verify", tag = "counter", responses((status = 200, body = Proof)))]
pub async fn verify(State(desk): State<Desk>) -> Result<axum::Json<Proof>, Error> {
    let verified = desk.look(crate::store::sqlite::Reader::verify).await?;
    Ok(axum::Json(Proof {
        records: verified.records,
        open: verified.open,
        wrong: verified.wrong,
        problems: verified.problems,
    }))
}

/// What operators changed, newest first.
#[utoipa::path(get, path = "/admin/v1/audit", tag = "counter", params(Place), responses((status = 200, body = AuditPage)))]
pub async fn audit(
    State(desk): State<Desk>,
    Asked(place): Asked<Place>,
) -> Result<axum::Json<Page<AuditView>>, Error> {
    let (limit, before) = (limit(place.limit)?, cursor(place.cursor.as_deref())?);
    let found = desk.look(move |reader| reader.audit(before, limit)).await?;
    let changes = found.into_iter().map(AuditView::of).collect();
    Ok(axum::Json(Page::new(changes, limit, |change| change.id)))
}
