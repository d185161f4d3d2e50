//! Usage: what was asked for, what it cost, and what was earned with it.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::asked::Asked;
use super::{Desk, Usd};
use crate::api::error::Error;
use crate::store::{Group, Id, Totals, UsageFilter};
use crate::units::NanoUsd;

/// What to add up.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Question {
    /// By what: `customer`, `key`, `model`, `provider` or `day`; without it all in
    /// one row.
    by: Option<String>,
    /// Of this customer.
    customer: Option<Id>,
    /// Of this key.
    key: Option<Id>,
    /// From then on: `YYYY-MM-DD` (UTC) or seconds since 1970.
    from: Option<String>,
    /// Until then, exclusive.
    to: Option<String>,
}

/// Usage, added up.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageRow {
    /// What it was added up by: a name, `-` where there is none, or a day.
    pub name: String,
    /// The customer's number, where it is by customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
    /// Attempts that were sent to providers.
    pub attempts: u64,
    /// Requests that were billed.
    pub requests: u64,
    /// Input tokens.
    pub input_tokens: u64,
    /// Input tokens from a cache.
    pub cached_input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// What providers charge.
    pub cost_usd: Usd,
    /// What customers owe, after allowances.
    pub revenue_usd: Usd,
    /// What is left of that.
    pub margin_usd: Usd,
}

/// All rows.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageTable {
    /// The rows, by name.
    pub data: Vec<UsageRow>,
}

/// Usage, cost, revenue and margin.
#[utoipa::path(get, path = "/admin/v1/usage", tag = "counter", params(Question),
    responses((status = 200, body = UsageTable), (status = 400, description = "what is wrong with the question")))]
pub async fn usage(
    State(desk): State<Desk>,
    Asked(question): Asked<Question>,
) -> Result<axum::Json<UsageTable>, Error> {
    let group = group(question.by.as_deref())?;
    let filter = UsageFilter {
        customer: question.customer,
        key: question.key,
        from: question.from.as_deref().map(|text| instant("from", text)).transpose()?,
        to: question.to.as_deref().map(|text| instant("to", text)).transpose()?,
    };
    let totals = desk.look(move |reader| reader.usage(&filter, group)).await?;
    let rows: Result<Vec<_>, _> = totals.into_iter().map(|totals| row(&desk, group, totals)).collect();
    Ok(axum::Json(UsageTable { data: rows? }))
}

fn group(by: Option<&str>) -> Result<Group, Error> {
    Ok(match by {
        None => Group::Nothing,
        Some("customer") => Group::Customer,
        Some("key") => Group::Key,
        Some("model") => Group::Model,
        Some("provider") => Group::Provider,
        Some("day") => Group::Day,
        Some(_) => {
            let message = "by is customer, key, model, provider or day";
            return Err(Error::invalid_request(message, Some("by".to_owned())));
        }
    })
}

fn row(desk: &Desk, group: Group, totals: Totals) -> Result<UsageRow, Error> {
    let id = if group == Group::Customer { totals.name.parse::<Id>().ok() } else { None };
    let customer = match id {
        Some(id) => desk.counter()?.directory.account(id),
        None => None,
    };
    Ok(UsageRow {
        name: customer.map_or(totals.name, |customer| customer.name),
        id,
        attempts: totals.attempts,
        requests: totals.requests,
        input_tokens: totals.input,
        cached_input_tokens: totals.cached_input,
        output_tokens: totals.output,
        cost_usd: Usd(totals.cost),
        revenue_usd: Usd(totals.revenue),
        margin_usd: Usd(NanoUsd::new(totals.revenue.get().saturating_sub(totals.cost.get()))),
    })
}

fn instant(name: &str, text: &str) -> Result<u64, Error> {
    let wrong = || {
        let message = format!("{name} is a day as in 2026-11-25, or seconds since 1970");
        Error::invalid_request(message, Some(name.to_owned()))
    };
    day(text).or_else(|| text.parse().ok().filter(|seconds| *seconds < 1 << 40)).ok_or_else(wrong)
}

/// Seconds from 1970 to the beginning of a day; after Howard Hinnant's
/// `days_from_civil`.
fn day(text: &str) -> Option<u64> {
    let mut parts = text.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let plausible = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !plausible || parts.next().is_some() {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468).map(|days| days * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read() {
        assert_eq!(day("1970-01-01"), Some(0));
        assert_eq!(day("2024-02-29"), Some(1_709_164_800));
        assert_eq!(day("2026-11-25"), Some(1_795_564_800));
        for wrong in ["2026-13-01", "2026-00-01", "2026-01-32", "1969-12-31", "2026-01", "x", "2026-01-01-1"]
        {
            assert_eq!(day(wrong), None, "{wrong}");
        }
        assert_eq!(instant("from", "1795564800").ok(), Some(1_795_564_800));
        assert!(instant("from", "' OR 1=1 --").is_err());
    }
}
