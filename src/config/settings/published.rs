//! Where published prices and statistics are looked for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::books::prices::SourceKind;
use crate::catalog::Secret;
use crate::config::check::Check;
use crate::config::raw::{self, Raw};
use crate::config::tree::Path;

/// What others publish, and where it is looked for. Nothing is asked that is not
/// listed here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Published {
    /// Price lists.
    pub prices: Vec<PriceSource>,
    /// A file with statistics of endpoints.
    pub statistics_file: Option<PathBuf>,
    /// Listings of statistics.
    pub statistics: Vec<StatisticsSource>,
    /// Vendors by provider: names that publishers may know a provider by.
    pub vendors: BTreeMap<String, String>,
}

/// A price list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceSource {
    /// Its form and its place.
    pub kind: SourceKind,
    /// Where it is.
    pub url: String,
    /// How often it is looked for; longer than nothing.
    pub every: Duration,
    /// Whose prices a provider's own listing tells.
    pub vendor: String,
}

/// A listing of one model's endpoints with their statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatisticsSource {
    /// The model, as callers ask for it.
    pub model: String,
    /// Where it is.
    pub url: String,
    /// How often it is looked for; longer than nothing.
    pub every: Duration,
    /// Presented as a bearer token.
    pub key: Option<Secret>,
}

pub(super) fn check(raw: &Raw, check: &mut Check<'_>) -> Published {
    let prices = Path::default().key("prices").key("sources");
    let statistics = Path::default().key("statistics").key("sources");
    let vendors = raw.providers.iter().filter_map(|(name, one)| Some((name.clone(), one.vendor.clone()?)));
    let mut published = Published {
        statistics_file: raw.statistics.published.clone(),
        vendors: vendors.collect(),
        ..Published::default()
    };
    for (index, source) in raw.prices.sources.iter().enumerate() {
        let source = price_source(source);
        let path = prices.index(index);
        positive(source.every, &path, check);
        let known = published.prices.iter();
        if known.clone().any(|other| (other.kind, &other.vendor) == (source.kind, &source.vendor)) {
            let message = format!("{} is listed twice", source.kind.name());
            check.error(&path.key("kind"), message, "remove one; for openrouter, give each its vendor");
        }
        published.prices.push(source);
    }
    for (index, source) in raw.statistics.sources.iter().enumerate() {
        let path = statistics.index(index);
        positive(source.every.0, &path, check);
        check.require(&path, "model", !source.model.is_empty());
        let key = source.key.as_ref().and_then(|key| key.resolve(&path.key("key"), check));
        let (model, url) = (source.model.clone(), source.url.clone());
        published.statistics.push(StatisticsSource { model, url, every: source.every.0, key });
    }
    published
}

fn price_source(raw: &raw::prices::PriceSource) -> PriceSource {
    let usual = || raw.kind.usual_url().to_owned();
    // All other lists name vendors themselves.
    let vendor = if raw.kind == SourceKind::OpenRouter { raw.vendor.clone() } else { String::new() };
    PriceSource { kind: raw.kind, url: raw.url.clone().unwrap_or_else(usual), every: raw.every.0, vendor }
}

fn positive(every: Duration, path: &Path, check: &mut Check<'_>) {
    if every.is_zero() {
        check.error(&path.key("every"), "must be longer than 0s", "for example \"1h\"");
    }
}
