//! Limits, sampling, effort and tier.

use serde_json::{Map, Value, json};

use super::Notes;
use crate::dialect::anthropic::encode::asked::Asked;
use crate::dialect::anthropic::encode::sheet::Sheet;
use crate::dialect::bedrock::models::{Effort, Family};
use crate::json::Raw;
use crate::outcome::Failure;

/// What is sent of `inferenceConfig`, `additionalModelRequestFields` and
/// `serviceTier`.
#[derive(Debug, Default)]
pub(super) struct Config<'b> {
    limit: Option<u32>,
    temperature: Option<f64>,
    top_p: Option<Raw<'b>>,
    stops: Vec<Raw<'b>>,
    /// What only some models know.
    fields: Map<String, Value>,
    tier: Option<&'static str>,
}

/// # Errors
/// When stop sequences are no strings.
pub(super) fn plan<'b>(
    asked: &Asked<'b>,
    wanted: Option<u32>,
    most: Option<u32>,
    family: &Family,
    notes: &mut Notes,
) -> Result<Config<'b>, Failure> {
    let mut config = Config { limit: limit(wanted, most, notes), ..Config::default() };
    config.sampling(asked, family, notes)?;
    config.effort(asked, family, notes);
    for (name, given) in [("top_k", asked.top_k), ("thinking", asked.thinking), ("user", asked.user)] {
        if given.is_some() {
            notes.no_effect(name);
        }
    }
    config.tier = match asked.service_tier.and_then(|tier| tier.as_str()).as_deref() {
        None | Some("auto") => None,
        Some("default") => Some("default"),
        Some("flex") => Some("flex"),
        Some("priority") => Some("priority"),
        Some(_) => {
            notes.no_effect("service_tier");
            None
        }
    };
    Ok(config)
}

/// What the caller asks for, at most what the endpoint gives.
fn limit(wanted: Option<u32>, most: Option<u32>, notes: &mut Notes) -> Option<u32> {
    let (Some(wanted), Some(most)) = (wanted, most) else { return wanted };
    if wanted > most {
        notes.add(format!("max_tokens was lowered to {most}"));
    }
    Some(wanted.min(most))
}

impl<'b> Config<'b> {
    fn sampling(&mut self, asked: &Asked<'b>, family: &Family, notes: &mut Notes) -> Result<(), Failure> {
        let stops = asked.stops(notes)?;
        if family.sampling {
            self.stops = stops;
            self.top_p = asked.top_p;
            self.temperature = asked.temperature.and_then(|value| value.as_f64());
            if self.temperature.is_some_and(|value| value > 1.0) {
                notes.add("temperature was lowered to 1");
                self.temperature = Some(1.0);
            }
            return Ok(());
        }
        let is_one = |value: Raw<'_>| value.as_f64() == Some(1.0);
        for (name, given) in [("temperature", asked.temperature), ("top_p", asked.top_p)] {
            if given.is_some_and(|value| !is_one(value)) {
                notes.no_effect(name);
            }
        }
        if !stops.is_empty() {
            notes.no_effect("stop");
        }
        Ok(())
    }

    fn effort(&mut self, asked: &Asked<'b>, family: &Family, notes: &mut Notes) {
        let Some(effort) = asked.effort.and_then(|effort| effort.as_str()) else { return };
        let level = match &*effort {
            "minimal" | "low" => Some("low"),
            "medium" => Some("medium"),
            "high" | "xhigh" | "max" => Some("high"),
            _ => None,
        };
        match (family.effort, level) {
            (Effort::Word, Some(level)) => {
                self.fields.insert("reasoning_effort".to_owned(), level.into());
            }
            (Effort::Config, Some(level)) => {
                let config = json!({"type": "enabled", "maxReasoningEffort": level});
                self.fields.insert("reasoningConfig".to_owned(), config);
                // The model insists on it.
                if level == "high" && self.limit.take().is_some() {
                    notes.add("max_tokens has no effect beside this reasoning_effort");
                }
            }
            (Effort::Config, None) if effort == "none" => {
                self.fields.insert("reasoningConfig".to_owned(), json!({"type": "disabled"}));
            }
            // What cannot think is not asked to.
            (Effort::None, None) if effort == "none" => {}
            _ => notes.no_effect("reasoning_effort"),
        }
    }

    pub(super) fn write(&self, sheet: &mut Sheet<'b>) {
        self.inference(sheet);
        if !self.fields.is_empty() {
            sheet.push(",\"additionalModelRequestFields\":");
            sheet.push(&Value::Object(self.fields.clone()).to_string());
        }
        if let Some(tier) = self.tier {
            sheet.push(&format!(",\"serviceTier\":{{\"type\":\"{tier}\"}}"));
        }
    }

    fn inference(&self, sheet: &mut Sheet<'b>) {
        let mut before = ",\"inferenceConfig\":{";
        let mut member = |sheet: &mut Sheet<'b>, name: &str| {
            sheet.push(std::mem::replace(&mut before, ","));
            sheet.push(&format!("\"{name}\":"));
        };
        if let Some(limit) = self.limit {
            member(sheet, "maxTokens");
            sheet.push(&limit.to_string());
        }
        if let Some(temperature) = self.temperature {
            member(sheet, "temperature");
            sheet.push(&Value::from(temperature).to_string());
        }
        if let Some(top_p) = &self.top_p {
            member(sheet, "topP");
            sheet.raw(top_p);
        }
        for (position, stop) in self.stops.iter().enumerate() {
            if position == 0 {
                member(sheet, "stopSequences");
            }
            sheet.push(if position == 0 { "[" } else { "," });
            sheet.raw(stop);
        }
        if !self.stops.is_empty() {
            sheet.push("]");
        }
        if before == "," {
            sheet.push("}");
        }
    }
}
