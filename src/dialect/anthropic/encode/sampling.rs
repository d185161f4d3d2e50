//! `temperature`, `top_p` and `top_k`, as far as a model accepts them.

use super::Notes;
use super::asked::Asked;
use super::sheet::Sheet;
use crate::dialect::anthropic::models::{Family, Sampling};
use crate::json::Raw;

/// What is sent.
#[derive(Debug, Default)]
pub(super) struct Plan<'b> {
    temperature: Option<Raw<'b>>,
    /// The temperature was above Anthropic's highest.
    clamped: bool,
    top_p: Option<Raw<'b>>,
    top_k: Option<Raw<'b>>,
}

/// Thinking excludes all three; a value that changes nothing is not missed.
pub(super) fn plan<'b>(asked: &Asked<'b>, family: &Family, thinks: bool, notes: &mut Notes) -> Plan<'b> {
    let refused = thinks || family.sampling == Sampling::None;
    let mut plan = Plan { temperature: asked.temperature, top_p: asked.top_p, ..Plan::default() };
    let is_one = |value: &Raw<'_>| value.as_f64() == Some(1.0);
    for (name, slot) in [("temperature", &mut plan.temperature), ("top_p", &mut plan.top_p)] {
        if let Some(value) = slot.take_if(|_| refused)
            && !is_one(&value)
        {
            notes.no_effect(name);
        }
    }
    if family.sampling == Sampling::One && plan.temperature.is_some() && plan.top_p.take().is_some() {
        notes.add("top_p has no effect beside temperature here");
    }
    plan.clamped = plan.temperature.is_some_and(|value| value.as_f64().is_some_and(|value| value > 1.0));
    if plan.clamped {
        notes.add("temperature was lowered to 1");
    }
    plan.top_k = asked.top_k;
    if plan.top_k.take_if(|_| refused).is_some() {
        notes.no_effect("top_k");
    }
    plan
}

impl<'b> Plan<'b> {
    pub(super) fn write(&self, sheet: &mut Sheet<'b>) {
        let temperature = self.temperature.filter(|_| !self.clamped);
        if self.clamped {
            sheet.push(",\"temperature\":1");
        }
        for (name, value) in
            [(",\"temperature\":", temperature), (",\"top_p\":", self.top_p), (",\"top_k\":", self.top_k)]
        {
            if let Some(value) = value {
                sheet.push(name);
                sheet.raw(&value);
            }
        }
    }
}
