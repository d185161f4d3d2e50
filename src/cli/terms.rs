//! What commands can set of a customer or a key, and the budget that comes with
//! it.

use clap::Args;
use http::Method;
use serde_json::{Map, Value, json};

use super::desk::{Desk, Failed, number};

/// Terms of an account.
#[derive(Debug, Clone, Args)]
pub struct Terms {
    /// Models and routes it may use, e.g. auto,gpt-4o-mini; without it all that its parent may
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    models: Option<Vec<String>>,
    /// The plan by which it pays
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    /// What it may spend, in USD
    #[arg(long, value_name = "USD")]
    budget: Option<String>,
    /// When the budget begins anew
    #[arg(long, value_name = "WINDOW", default_value = "month", value_parser = ["hour", "day", "month", "total"])]
    per: String,
    /// Requests per minute
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u32>,
    /// Tokens per minute
    #[arg(long, value_name = "N")]
    tokens_per_minute: Option<u32>,
    /// Requests at once
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
}

impl Terms {
    /// Whether anything is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let numbers = [self.requests_per_minute, self.tokens_per_minute, self.concurrency];
        self.models.is_none()
            && self.plan.is_none()
            && self.budget.is_none()
            && numbers.iter().all(Option::is_none)
    }

    /// What is set, as the admin API wants it.
    ///
    /// # Errors
    /// When there is no such plan.
    pub async fn members(&self, desk: &Desk) -> Result<Map<String, Value>, Failed> {
        let plan = desk.id("plans", self.plan.as_deref()).await?;
        let members = [
            ("models", self.models.as_ref().map(|models| json!(models))),
            ("plan", plan.map(|plan| json!(plan))),
            ("requests_per_minute", self.requests_per_minute.map(|limit| json!(limit))),
            ("tokens_per_minute", self.tokens_per_minute.map(|limit| json!(limit))),
            ("concurrency", self.concurrency.map(|limit| json!(limit))),
        ];
        let set = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Ok(set.collect())
    }

    /// The budget that was asked for, for an account.
    #[must_use]
    pub fn budget(&self, account: i64) -> Option<Value> {
        let limit = self.budget.as_ref()?;
        Some(json!({ "account": account, "limit_usd": limit, "window": self.per }))
    }

    /// Makes the budget that was asked for. Where that fails the account, which
    /// would be without a limit, is ended again.
    ///
    /// # Errors
    /// When the amount is none, or the desk does not answer.
    pub async fn limit(&self, desk: &Desk, path: &str, account: &Value) -> Result<(), Failed> {
        let (id, version) = (number(account, "id"), number(account, "version"));
        let Some(body) = self.budget(id) else { return Ok(()) };
        if let Err(failed) = desk.ask(Method::POST, "budgets", Some(&body), None).await {
            desk.ask(Method::DELETE, &format!("{path}/{id}"), None, Some(version)).await?;
            return Err(failed);
        }
        Ok(())
    }
}
