//! The lists as they are stored: one JSON object a line, found by vendor and model.

use std::collections::HashMap;

use serde::Deserialize;

use super::bounds::{self, Figures};
use super::pattern;
use super::span::Span;
use crate::catalog::Capabilities;
use crate::units::{PicoUsd, Rates, Tier};

/// Capabilities that no list speaks of, so that their absence means nothing.
pub(super) const UNLISTED: Capabilities = Capabilities::LOGPROBS.with(Capabilities::N);

/// All lists.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// In order of precedence.
    pub(super) origins: Vec<Origin>,
    /// How many quotes there are.
    pub(super) len: usize,
    /// From every name of a vendor to its slug.
    slugs: HashMap<String, String>,
    /// By slug; one part per origin.
    vendors: HashMap<String, Vec<Part>>,
}

/// Where a list comes from.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Origin {
    pub(super) name: String,
    /// `YYYY-MM-DD`.
    pub(super) date: String,
    /// Whether it was fetched by this process, rather than compiled in.
    #[serde(skip)]
    pub(super) live: bool,
}

/// What one list has of one vendor.
#[derive(Debug, Default)]
struct Part {
    quotes: Vec<Quote>,
    /// From a model's name to its index in `quotes`.
    names: HashMap<String, usize>,
    /// Patterns in the list's order, with an index in `quotes`.
    rules: Vec<(String, usize)>,
}

/// What one list says of one model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quote {
    pub(super) context: Option<u32>,
    pub(super) max_output: Option<u32>,
    /// `None` when the list does not speak of them.
    pub(super) capabilities: Option<Capabilities>,
    usual: Priced,
    /// Other prices at some times; the last that holds is in force.
    when: Vec<(Span, Priced)>,
}

/// Figures as listed, believed or not.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub(super) struct Priced {
    pub(super) rates: Figures,
    #[serde(default)]
    pub(super) tiers: Vec<TierLine>,
}

/// Figures for inputs longer than `above` tokens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct TierLine {
    pub(super) above: u64,
    #[serde(flatten)]
    pub(super) figures: Figures,
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "format", deserialize_with = "known_format")]
    _format: u32,
    lists: Vec<Origin>,
    vendors: HashMap<String, Vec<String>>,
}

/// The format that this code reads.
const FORMAT: u32 = 1;

fn known_format<'de, D: serde::Deserializer<'de>>(value: D) -> Result<u32, D::Error> {
    let format = u32::deserialize(value)?;
    if format == FORMAT {
        Ok(format)
    } else {
        Err(serde::de::Error::custom(format!("unknown format {format}")))
    }
}

/// What one list says of one model, as it is stored.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Line {
    pub(super) vendor: String,
    pub(super) list: usize,
    #[serde(default)]
    pub(super) names: Vec<String>,
    #[serde(default)]
    pub(super) rules: Vec<String>,
    pub(super) rates: Figures,
    #[serde(default)]
    pub(super) tiers: Vec<TierLine>,
    #[serde(default)]
    pub(super) when: Vec<WhenLine>,
    pub(super) context: Option<u64>,
    pub(super) max_output: Option<u64>,
    pub(super) capabilities: Option<Vec<String>>,
}

/// Other prices at some times.
#[derive(Debug, Deserialize)]
pub(super) struct WhenLine {
    #[serde(flatten)]
    pub(super) span: Span,
    #[serde(flatten)]
    pub(super) priced: Priced,
}

impl Lists {
    /// Reads the header and then every line that is understood.
    pub(super) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let mut lines = text.lines();
        let header: Header = serde_json::from_str(lines.next().unwrap_or_default())?;
        let mut lists = Lists { origins: header.lists, ..Lists::default() };
        for (slug, others) in header.vendors {
            for name in others {
                lists.slugs.insert(name, slug.clone());
            }
            lists.slugs.insert(slug.clone(), slug);
        }
        for line in lines {
            match serde_json::from_str(line) {
                Ok(line) => lists.add(line),
                Err(error) => tracing::debug!(%error, "a line of the price lists is not understood"),
            }
        }
        Ok(lists)
    }

    /// Puts a list that was fetched before those that are there, with what it
    /// says of each vendor. Lists that are added later come before it.
    pub(super) fn put_first(&mut self, origin: Origin, lines: Vec<Line>) {
        self.origins.insert(0, origin);
        for parts in self.vendors.values_mut() {
            parts.insert(0, Part::default());
        }
        for line in lines {
            // A vendor that only a fetched list knows is known by its own name.
            self.slugs.entry(line.vendor.clone()).or_insert_with(|| line.vendor.clone());
            self.add(Line { list: 0, ..line });
        }
    }

    fn add(&mut self, line: Line) {
        let count = self.origins.len();
        let parts = self.vendors.entry(line.vendor).or_default();
        parts.resize_with(count, Part::default);
        let Some(part) = parts.get_mut(line.list) else { return };
        let index = part.quotes.len();
        // The first to claim a name has it, as in the lists themselves.
        for name in line.names {
            part.names.entry(name).or_insert(index);
        }
        part.rules.extend(line.rules.into_iter().map(|rule| (rule, index)));
        part.quotes.push(Quote {
            context: line.context.and_then(positive),
            max_output: line.max_output.and_then(positive),
            capabilities: line.capabilities.as_deref().map(capabilities),
            usual: Priced { rates: line.rates, tiers: line.tiers },
            when: line.when.into_iter().map(|when| (when.span, when.priced)).collect(),
        });
        self.len += 1;
    }

    /// What each list says of a model, in order of precedence: the list, and
    /// whether it names the model rather than a pattern.
    pub(super) fn quotes(&self, vendor: &str, model: &str) -> impl Iterator<Item = (usize, bool, &Quote)> {
        let parts = self.slugs.get(vendor).and_then(|slug| self.vendors.get(slug));
        parts.into_iter().flatten().enumerate().filter_map(move |(list, part)| {
            let (literal, index) = part.find(model)?;
            Some((list, literal, part.quotes.get(index)?))
        })
    }

    /// Every vendor's slug with every model that is named literally.
    #[cfg(test)]
    pub(super) fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        self.vendors.iter().flat_map(|(slug, parts)| {
            parts.iter().flat_map(|part| part.names.keys()).map(|name| (slug.as_str(), name.as_str()))
        })
    }
}

impl Part {
    fn find(&self, model: &str) -> Option<(bool, usize)> {
        let named = self.names.get(model).map(|index| (true, *index));
        named.or_else(|| {
            self.rules.iter().find(|(rule, _)| pattern::fits(rule, model)).map(|(_, index)| (false, *index))
        })
    }
}

impl Quote {
    /// The prices in force; `None` when they, or those of a tier, cannot be right.
    pub(super) fn rates_at(&self, now_unix_s: u64) -> Option<Rates> {
        let in_force = self.when.iter().rev().find(|(span, _)| span.holds_at(now_unix_s));
        in_force.map_or(&self.usual, |(_, priced)| priced).rates()
    }

    /// The prices (of input, output and a request) that it states for any time and
    /// any length of input, as far as they can be right.
    pub(super) fn prices(&self) -> Vec<[PicoUsd; 3]> {
        let every = std::iter::once(&self.usual).chain(self.when.iter().map(|(_, priced)| priced));
        let figures = every.flat_map(|priced| {
            std::iter::once(&priced.rates).chain(priced.tiers.iter().map(|tier| &tier.figures))
        });
        figures.filter_map(bounds::believed).map(|rates| [rates.input, rates.output, rates.request]).collect()
    }

    /// When other prices than those of now may be in force, in seconds since
    /// 1970; `None` when they hold for good.
    pub(super) fn changes_at(&self, now_unix_s: u64) -> Option<u64> {
        self.when.iter().filter_map(|(span, _)| span.border_after(now_unix_s)).min()
    }
}

impl Priced {
    fn rates(&self) -> Option<Rates> {
        let mut rates = bounds::believed(&self.rates)?;
        for tier in &self.tiers {
            rates.tiers.push(Tier { above: tier.above, rates: bounds::believed(&tier.figures)? });
        }
        rates.tiers.sort_by_key(|tier| tier.above);
        Some(rates)
    }
}

fn positive(tokens: u64) -> Option<u32> {
    u32::try_from(tokens).ok().filter(|tokens| *tokens > 0)
}

fn capabilities(names: &[String]) -> Capabilities {
    Capabilities::NAMES
        .iter()
        .filter(|(name, _)| names.iter().any(|listed| listed == name))
        .fold(Capabilities::default(), |all, (_, one)| all.with(*one))
}
