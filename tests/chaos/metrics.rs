//! The gateway's metrics, read as an operator's Prometheus does.

use super::caller::Sure;

/// One scrape.
#[derive(Debug)]
pub(crate) struct Metrics(String);

impl Metrics {
    pub(crate) fn read(text: String) -> Metrics {
        Metrics(text)
    }

    /// The sum of a metric's series that carry all these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Sure<f64> {
        let mut found = 0.0;
        for line in self.0.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let (known, rest) = series.split_once('{').unwrap_or((series, ""));
            let has = |(label, value): &(&str, &str)| rest.contains(&format!("{label}=\"{value}\""));
            if known == name && labels.iter().all(has) {
                found += value.parse::<f64>().map_err(|error| format!("{line}: {error}"))?;
            }
        }
        Ok(found)
    }
}
