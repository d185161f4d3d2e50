//! What others have measured of endpoints and published.
//!
//! Two forms are read: our own (a CSV file, `docs/routing.md`) and the answer of
//! OpenRouter's `GET /models/{author}/{slug}/endpoints`. Providers are known
//! there by names of their own: names are compared without regard to capitals and
//! punctuation, and nothing else is tried.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// Published figures of one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Who offers it, as the publisher writes it.
    pub provider: String,
    /// The model, likewise; `None` where the listing is of one model.
    pub model: Option<String>,
    /// Median seconds to the first token.
    pub ttft_seconds: f64,
    /// Median seconds between tokens.
    pub itl_seconds: f64,
    /// Share of attempts that succeed, 0..1.
    pub uptime: Option<f64>,
    /// When the time ended over which this was measured (seconds since 1970);
    /// `None` is just now.
    pub as_of: Option<u64>,
}

/// Why a text has no figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoFigures {
    /// It has another form; with the place.
    Garbage(String),
    /// It has the right form, and no endpoint with figures.
    Empty,
}

impl std::fmt::Display for NoFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoFigures::Garbage(what) => f.write_str(what),
            NoFigures::Empty => f.write_str("no endpoint with statistics"),
        }
    }
}

impl std::error::Error for NoFigures {}

/// One line of the file.
#[derive(Deserialize)]
struct Row {
    provider: String,
    model: String,
    as_of: String,
    ttft_p50_ms: f64,
    tokens_per_second_p50: f64,
    uptime_pct: Option<f64>,
}

impl Figures {
    /// Whether they are of the provider with one of these names.
    #[must_use]
    pub fn is_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| bare(name) == bare(&self.provider))
    }

    /// How old they are.
    #[must_use]
    pub fn age(&self, now_unix_s: u64) -> Duration {
        Duration::from_secs(now_unix_s.saturating_sub(self.as_of.unwrap_or(now_unix_s)))
    }

    /// `None` where a figure is absent or cannot be right.
    fn checked(self) -> Option<Self> {
        let time = |seconds: f64| (1e-5..=1e4).contains(&seconds);
        let share = self.uptime.is_none_or(|share| (0.0..=1.0).contains(&share));
        (time(self.ttft_seconds) && time(self.itl_seconds) && share).then_some(self)
    }
}

/// A name without capitals and punctuation.
fn bare(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Reads our own form: CSV with the columns `provider, model, as_of` (a day),
/// `ttft_p50_ms, tokens_per_second_p50`, and if wanted `uptime_pct`; others are
/// passed over.
///
/// # Errors
/// When a column is missing or a figure cannot be right; with line and column.
pub fn read_file(text: &str) -> Result<Vec<Figures>, NoFigures> {
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(text.as_bytes());
    let mut all = Vec::new();
    for row in reader.deserialize::<Row>() {
        let row = row.map_err(|error| NoFigures::Garbage(error.to_string()))?;
        let line = || format!("{} of {}", row.model, row.provider);
        let as_of = super::prices::unix_midnight(&row.as_of)
            .ok_or_else(|| NoFigures::Garbage(format!("{}: as_of is no date such as 2026-09-01", line())))?;
        let figures = Figures {
            provider: row.provider.clone(),
            model: Some(row.model.clone()),
            ttft_seconds: row.ttft_p50_ms / 1e3,
            itl_seconds: 1.0 / row.tokens_per_second_p50,
            uptime: row.uptime_pct.map(|percent| percent / 100.0),
            as_of: Some(as_of),
        };
        let wrong = || NoFigures::Garbage(format!("{}: a figure is out of range", line()));
        all.push(figures.checked().ok_or_else(wrong)?);
    }
    if all.is_empty() { Err(NoFigures::Empty) } else { Ok(all) }
}

/// Reads OpenRouter's list of a model's endpoints: medians of the last half hour,
/// latency in milliseconds. Endpoints without figures are passed over (there are
/// none for whoever has no key), and where a provider has several the first counts.
///
/// # Errors
/// When it is none, or has no figures at all.
pub fn read_listing(body: &[u8]) -> Result<Vec<Figures>, NoFigures> {
    let listing: Value = serde_json::from_slice(body)
        .map_err(|error| NoFigures::Garbage(format!("not a listing: {error}")))?;
    let endpoints = listing
        .pointer("/data/endpoints")
        .and_then(Value::as_array)
        .ok_or_else(|| NoFigures::Garbage("not a listing: no endpoints under data".to_owned()))?;
    let mut all: Vec<Figures> = Vec::new();
    for figures in endpoints.iter().filter_map(listed) {
        if !all.iter().any(|other| other.is_of(&[&figures.provider])) {
            all.push(figures);
        }
    }
    if all.is_empty() { Err(NoFigures::Empty) } else { Ok(all) }
}

fn listed(endpoint: &Value) -> Option<Figures> {
    let number = |pointer: &str| endpoint.pointer(pointer).and_then(Value::as_f64);
    let provider = endpoint.get("provider_name").and_then(Value::as_str)?;
    Figures {
        provider: provider.to_owned(),
        model: None,
        ttft_seconds: number("/latency_last_30m/p50")? / 1e3,
        itl_seconds: 1.0 / number("/throughput_last_30m/p50")?,
        uptime: number("/uptime_last_30m")
            .or_else(|| number("/uptime_last_1d"))
            .map(|percent| percent / 100.0),
        as_of: None,
    }
    .checked()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "provider,model,as_of,ttft_p50_ms,tokens_per_second_p50,uptime_pct\n";

    #[test]
    fn a_file_is_read_or_refused_with_its_place() {
        let text = format!(
            "# from our own probes\n{HEAD}deepinfra, m ,2026-08-22,400,50,99.5\nx,m,2026-08-22,1000,10,\n"
        );
        let all = read_file(&text).unwrap();
        assert_eq!(all.len(), 2);
        assert!((all[0].ttft_seconds - 0.4).abs() < 1e-12 && (all[0].itl_seconds - 0.02).abs() < 1e-12);
        assert_eq!((all[0].uptime, all[1].uptime), (Some(0.995), None));
        assert_eq!(all[0].age(all[0].as_of.unwrap() + 60), Duration::from_secs(60));
        for (bad, told) in [
            ("a,m,2026-08-22,fast,50,\n", "ttft_p50_ms"),
            ("a,m,yesterday,400,50,\n", "as_of"),
            ("a,m,2026-08-22,-4,50,\n", "out of range"),
            ("a,m,2026-08-22,400,0,\n", "out of range"),
            ("a,m,2026-08-22,400,50,140\n", "out of range"),
        ] {
            let NoFigures::Garbage(message) = read_file(&format!("{HEAD}{bad}")).unwrap_err() else {
                panic!("{bad}")
            };
            assert!(message.contains(told) || message.contains("field 3"), "{message}");
        }
        assert_eq!(read_file(HEAD), Err(NoFigures::Empty));
        assert!(read_file("provider,model\na,b\n").is_err());
    }

    #[test]
    fn a_listing_tells_medians_by_provider() {
        let body = serde_json::json!({"data": {"endpoints": [
            {"provider_name": "Together AI", "latency_last_30m": {"p50": 350}, "throughput_last_30m": {"p50": 80}, "uptime_last_30m": 98},
            {"provider_name": "Together AI", "latency_last_30m": {"p50": 999}, "throughput_last_30m": {"p50": 1}},
            {"provider_name": "Silent", "latency_last_30m": null, "throughput_last_30m": null},
        ]}});
        let all = read_listing(body.to_string().as_bytes()).unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(all[0].is_of(&["elsewhere", "together-ai"]) && !all[0].is_of(&["together"]));
        assert!((all[0].ttft_seconds - 0.35).abs() < 1e-12 && all[0].uptime == Some(0.98));
        assert_eq!(read_listing(br#"{"data":{"endpoints":[]}}"#), Err(NoFigures::Empty));
        assert!(matches!(read_listing(b"<html>"), Err(NoFigures::Garbage(_))));
    }

    proptest! {
        #[test]
        fn nothing_that_is_read_is_out_of_range(ttft in any::<f64>(), speed in any::<f64>(), uptime in any::<f64>(), junk in "\\PC{0,60}") {
            let body = serde_json::json!({"data": {"endpoints": [{"provider_name": junk, "latency_last_30m": {"p50": ttft}, "throughput_last_30m": {"p50": speed}, "uptime_last_30m": uptime}]}});
            let row = format!("{HEAD}a,m,2026-08-22,{ttft},{speed},{uptime}\n{junk}\n");
            let read = [read_listing(body.to_string().as_bytes()), read_file(&row), read_file(&junk), read_listing(junk.as_bytes())];
            for figures in read.into_iter().flatten().flatten() {
                prop_assert!(figures.ttft_seconds > 0.0 && figures.ttft_seconds.is_finite());
                prop_assert!(figures.itl_seconds > 0.0 && figures.itl_seconds.is_finite());
            }
        }
    }
}
