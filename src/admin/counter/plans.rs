//! Plans: what customers pay.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::asked::{Asked, Base, Numbered, Said, Trial, patched, tried, versioned};
use super::{Desk, Usd};
use crate::api::error::Error;
use crate::store::{Id, Plan};
use crate::units::{PicoUsd, Rates};

/// What may be set of a plan.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanBody {
    /// Unique.
    pub name: String,
    /// Added to what a request costs at its provider, in percent with at most two
    /// decimals; 0 passes the list price on.
    #[serde(default)]
    pub margin_percent: f64,
    /// Prices of your own by model or route, in USD per million tokens. For these
    /// the provider's price does not matter.
    #[serde(default)]
    pub flat: BTreeMap<String, FlatBody>,
    /// The least that an answered request is charged.
    #[serde(default)]
    pub minimum_usd: Usd,
    /// So much in each calendar month is free, for each account with this plan.
    #[serde(default)]
    pub allowance_usd: Usd,
}

/// Prices of your own.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlatBody {
    /// USD per million input tokens.
    pub input: f64,
    /// USD per million input tokens from a cache (as `input`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<f64>,
    /// USD per million output tokens.
    pub output: f64,
}

/// A plan.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlanView {
    /// Its number; 0 in a dry run.
    pub id: Id,
    /// Counts changes; what `ETag` and `If-Match` carry.
    pub version: i64,
    /// What was set.
    #[serde(flatten)]
    pub body: PlanBody,
}

/// All plans.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanPage {
    /// The plans, by id.
    pub data: Vec<PlanView>,
}

impl PlanBody {
    fn plan(&self, id: Id, version: i64) -> Result<Plan, Error> {
        let hundredths = (self.margin_percent * 100.0).round();
        let exact = (hundredths / 100.0 - self.margin_percent).abs() < 1e-9;
        if !exact || !(0.0..=f64::from(u32::MAX)).contains(&hundredths) {
            let message = "margin_percent is 0 to 9900 with at most two decimals";
            return Err(Error::invalid_request(message, Some("margin_percent".to_owned())));
        }
        let flat = self.flat.iter().map(|(name, flat)| Ok((name.clone(), flat.rates(name)?)));
        Ok(Plan {
            id,
            version,
            name: self.name.clone(),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range is checked"
            )]
            margin: hundredths as u32,
            flat: flat.collect::<Result<_, Error>>()?,
            minimum: self.minimum_usd.0,
            allowance: self.allowance_usd.0,
        })
    }

    fn of(plan: &Plan) -> Self {
        PlanBody {
            name: plan.name.clone(),
            margin_percent: f64::from(plan.margin) / 100.0,
            flat: plan.flat.iter().map(|(name, rates)| (name.clone(), FlatBody::of(rates))).collect(),
            minimum_usd: Usd(plan.minimum),
            allowance_usd: Usd(plan.allowance),
        }
    }
}

impl FlatBody {
    fn rates(&self, name: &str) -> Result<Rates, Error> {
        let price = |usd: f64| {
            PicoUsd::from_usd_per_mtok(usd).ok_or_else(|| {
                let message = format!("the price of {name:?} is no amount of USD per million tokens");
                Error::invalid_request(message, Some("flat".to_owned()))
            })
        };
        let cached_input = self.cached_input.map(price).transpose()?;
        Ok(Rates { input: price(self.input)?, output: price(self.output)?, cached_input, ..Rates::default() })
    }

    fn of(rates: &Rates) -> Self {
        FlatBody {
            input: rates.input.usd_per_mtok(),
            cached_input: rates.cached_input.map(PicoUsd::usd_per_mtok),
            output: rates.output.usd_per_mtok(),
        }
    }
}

impl PlanView {
    fn of(plan: &Plan) -> Self {
        PlanView { id: plan.id, version: plan.version, body: PlanBody::of(plan) }
    }
}

fn find(desk: &Desk, id: Id) -> Result<Arc<Plan>, Error> {
    desk.counter()?.directory.plans().into_iter().find(|plan| plan.id == id).ok_or_else(Error::not_found)
}

/// All plans, by id.
#[utoipa::path(get, path = "/admin/v1/plans", tag = "counter", responses((status = 200, body = PlanPage)))]
pub async fn list(State(desk): State<Desk>) -> Result<axum::Json<PlanPage>, Error> {
    let plans = desk.counter()?.directory.plans();
    Ok(axum::Json(PlanPage { data: plans.iter().map(|plan| PlanView::of(plan)).collect() }))
}

/// Makes a plan.
#[utoipa::path(post, path = "/admin/v1/plans", tag = "counter", params(Trial), request_body = PlanBody,
    responses((status = 201, body = PlanView), (status = 400, description = "what is wrong with it"),
        (status = 409, description = "the name is taken")))]
pub async fn create(
    State(desk): State<Desk>,
    Asked(trial): Asked<Trial>,
    Said(body): Said<PlanBody>,
) -> Result<Response, Error> {
    save(&desk, body.plan(0, 0)?, trial).await
}

/// A plan.
#[utoipa::path(get, path = "/admin/v1/plans/{id}", tag = "counter", params(("id" = i64, Path)),
    responses((status = 200, body = PlanView), (status = 404, description = "there is none")))]
pub async fn one(State(desk): State<Desk>, Numbered(id): Numbered) -> Result<Response, Error> {
    let plan = find(&desk, id)?;
    Ok(versioned(StatusCode::OK, plan.version, &PlanView::of(&plan)))
}

/// Changes a plan: members that are left out stay, `null` takes one away. In force
/// for the next request; what was charged before stays as it was.
#[utoipa::path(patch, path = "/admin/v1/plans/{id}", tag = "counter",
    params(("id" = i64, Path), ("if-match" = String, Header, description = "its `ETag`"), Trial),
    request_body = PlanBody,
    responses((status = 200, body = PlanView), (status = 404, description = "there is none"),
        (status = 412, description = "it was changed meanwhile"), (status = 428, description = "`If-Match` is missing")))]
pub async fn alter(
    State(desk): State<Desk>,
    Numbered(id): Numbered,
    base: Base,
    Asked(trial): Asked<Trial>,
    Said(patch): Said<Value>,
) -> Result<Response, Error> {
    let plan = find(&desk, id)?;
    let version = base.on(plan.version)?;
    let body: PlanBody = patched(&PlanBody::of(&plan), &patch)?;
    save(&desk, body.plan(id, version)?, trial).await
}

async fn save(desk: &Desk, plan: Plan, trial: Trial) -> Result<Response, Error> {
    desk.counter()?.check_new_plan(&plan).map_err(|error| Error::from_store(&error))?;
    if trial.dry_run {
        return Ok(tried(&PlanView::of(&plan)));
    }
    let status = if plan.id == 0 { StatusCode::CREATED } else { StatusCode::OK };
    let saved = desk.change(|counter, actor| async move { counter.save_plan(actor, plan).await }).await?;
    Ok(versioned(status, saved.version, &PlanView::of(&saved)))
}
