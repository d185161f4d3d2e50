//! Which vendor of ours is which provider of each list: `config/books/vendors.toml`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

const TABLE: &str = include_str!("../../../../config/books/vendors.toml");

/// What the lists call one vendor.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Vendor {
    pub(super) genai_prices: Vec<String>,
    /// Providers whose models we know with a suffix.
    pub(super) genai_prices_suffixed: BTreeMap<String, String>,
    pub(super) models_dev: Vec<String>,
    pub(super) litellm: Vec<String>,
    pub(super) litellm_prefixes: Vec<String>,
}

/// All vendors, by slug.
pub(super) fn all() -> &'static BTreeMap<String, Vendor> {
    static ALL: OnceLock<BTreeMap<String, Vendor>> = OnceLock::new();
    ALL.get_or_init(|| {
        toml::from_str(TABLE).unwrap_or_else(|error| {
            // Cannot happen to a binary that passed its tests.
            tracing::error!(%error, "the table of vendors is damaged");
            BTreeMap::new()
        })
    })
}
