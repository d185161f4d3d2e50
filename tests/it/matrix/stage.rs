//! A gateway, its one upstream, and what both say of a request.

use merit::sim::Consumed;
use serde_json::{Value, json};

use crate::support::Fallible;
use crate::support::chat::with;
use crate::support::fake::Fake;
use crate::support::gateway::{CHAT, Gateway, Setup};
use crate::support::http::Events;
use crate::support::market::Market;

/// Where answers come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The simulator, and a server that gives tokens.
    Sim(Market, #[expect(dead_code, reason = "it answers as long as it lives")] Fake),
    /// A server that speaks Salesforce's Models API.
    Org(Fake),
}

/// What a row is played on.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) gateway: Gateway,
    pub(super) source: Source,
    config: String,
    /// The upstream's own manner, to which answers are added.
    pub(super) manner: &'static str,
}

/// An answer as the caller accumulated it.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// The message; of a stream, its deltas put together.
    pub(super) message: Value,
    /// The finish reason.
    pub(super) finish: Value,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was answered.
    Told(Told),
    /// It was refused with a reason, and nothing was sent.
    Refused,
}

impl Stage {
    /// With a gateway of that configuration.
    pub(super) fn start(config: String, source: Source, manner: &'static str) -> Fallible<Stage> {
        Ok(Stage { gateway: gateway(&config)?, source, config, manner })
    }

    /// Another gateway of the same configuration, which knows nothing yet.
    pub(super) fn another(&self) -> Fallible<Gateway> {
        gateway(&self.config)
    }

    /// From now on the upstream answers with `answer` (`tools:2`, `reasoning`, …).
    pub(super) fn answers(&self, answer: &str) -> Fallible<()> {
        let Source::Sim(market, _) = &self.source else { return Ok(()) };
        let joint = if self.manner.contains('?') { '&' } else { '?' };
        Ok(market.provider("sim")?.set(&format!("{}{joint}answer={answer}", self.manner))?)
    }

    /// From now on the upstream behaves so.
    pub(super) fn behaves(&self, behaviour: &str) -> Fallible<()> {
        let Source::Sim(market, _) = &self.source else { return Ok(()) };
        Ok(market.provider("sim")?.set(behaviour)?)
    }

    /// How many requests the upstream got.
    pub(super) fn asked(&self) -> usize {
        match &self.source {
            Source::Sim(market, _) => market.entries().len(),
            Source::Org(org) => org.asked().iter().filter(|asked| asked.line.contains("generations")).count(),
        }
    }

    /// The body of the last request that the upstream got.
    pub(super) fn sent(&self) -> Fallible<String> {
        match &self.source {
            Source::Sim(market, _) => Ok(market.entries().pop().ok_or("nothing was sent")?.body),
            Source::Org(org) => Ok(org.asked().pop().ok_or("nothing was sent")?.body),
        }
    }

    /// What the upstream says that its last answer consumed.
    pub(super) fn consumed(&self) -> Fallible<Consumed> {
        match &self.source {
            Source::Sim(market, _) => Ok(market.entries().pop().ok_or("nothing was sent")?.consumed),
            Source::Org(_) => Ok(Consumed { prompt_tokens: 5, completion_tokens: 2, ..Consumed::default() }),
        }
    }

    /// Asks for a whole answer, or for a stream; either way the usage must be the
    /// upstream's and the cost exact.
    pub(super) fn ask(&self, body: &Value, stream: bool) -> Fallible<Outcome> {
        let before = self.asked();
        if stream {
            let options = json!({ "include_usage": true });
            let body = with(with(body.clone(), "stream", json!(true)), "stream_options", options);
            // What is refused is refused alike, so it was tried as a whole before.
            let told = self.gathered(Events::open(self.gateway.api, CHAT, &[], body.to_string())?)?;
            return Ok(Outcome::Told(told));
        }
        let answer = self.gateway.chat(body)?;
        if answer.status != 200 {
            let code = answer.error_code()?;
            let plain = matches!(code.as_str(), "no_candidate" | "invalid_request");
            if plain && (400..500).contains(&answer.status) && self.asked() == before {
                return Ok(Outcome::Refused);
            }
            return Err(format!("{}: {}", answer.status, answer.body).into());
        }
        let said = answer.json()?;
        self.paid(&said, answer.must("x-merit-cost-usd")?)?;
        let at = |pointer: &str| said.pointer(pointer).cloned().unwrap_or_default();
        Ok(Outcome::Told(Told { message: at("/choices/0/message"), finish: at("/choices/0/finish_reason") }))
    }

    /// Puts a stream together, which must be canonical.
    fn gathered(&self, events: Events) -> Fallible<Told> {
        let status = events.answer.status;
        let mut all: Vec<String> = events.rest()?.into_iter().filter(|data| !data.starts_with(':')).collect();
        if status != 200 || all.pop().as_deref() != Some("[DONE]") {
            return Err(format!("a stream without its end: {status} {all:?}").into());
        }
        let chunks = all.iter().map(|data| serde_json::from_str(data)).collect::<Result<Vec<Value>, _>>()?;
        let (last, chunks) = chunks.split_last().ok_or("an empty stream")?;
        let cost =
            last.pointer("/merit/cost_usd").and_then(Value::as_str).ok_or("a stream without its cost")?;
        self.paid(last, cost)?;
        let (mut told, mut roles, mut ends) = (Told { message: json!({}), ..Told::default() }, 0, 0);
        for chunk in chunks {
            let choice =
                chunk.pointer("/choices/0").ok_or_else(|| format!("a chunk without a choice: {chunk}"))?;
            let delta = choice.get("delta").ok_or("a choice without a delta")?;
            roles += usize::from(delta.get("role").is_some_and(|role| !role.is_null()));
            if let Some(reason) = choice.get("finish_reason").filter(|reason| !reason.is_null()) {
                ends += 1;
                told.finish = reason.clone();
            }
            add(&mut told.message, delta)?;
        }
        if (roles, ends) != (1, 1) {
            return Err(format!("{roles} roles and {ends} ends: {chunks:?}").into());
        }
        Ok(told)
    }

    /// That usage and cost are the upstream's own.
    fn paid(&self, said: &Value, cost: &str) -> Fallible<()> {
        let consumed = self.consumed()?;
        let tokens = |pointer: &str| said.pointer(&format!("/usage/{pointer}")).and_then(Value::as_u64);
        let stated = (tokens("prompt_tokens"), tokens("completion_tokens"));
        if stated != (Some(consumed.prompt_tokens), Some(consumed.completion_tokens)) {
            return Err(format!("usage {stated:?} of {consumed:?}: {said}").into());
        }
        let reasoning = tokens("completion_tokens_details/reasoning_tokens").unwrap_or_default();
        let cached = tokens("prompt_tokens_details/cached_tokens").unwrap_or_default();
        // Where a dialect has no word for reasoning, it is among the output.
        if cached != consumed.cached_tokens || ![0, consumed.reasoning_tokens].contains(&reasoning) {
            return Err(format!("details of {consumed:?}: {said}").into());
        }
        // USD per million tokens, in nano-USD a token: 3, 0.3 and 15.
        let fresh = consumed.prompt_tokens - consumed.cached_tokens;
        let nano = fresh * 3_000 + consumed.cached_tokens * 300 + consumed.completion_tokens * 15_000;
        let exact = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
        if cost != exact {
            return Err(format!("charged {cost} instead of {exact}").into());
        }
        Ok(())
    }
}

fn gateway(config: &str) -> Fallible<Gateway> {
    let environment =
        [("SECRET", "s3cret"), ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "aws-s3cret")];
    Gateway::start_with(&Setup { config, environment: &environment, ..Setup::default() })
}

/// Adds a delta to a message as clients do.
fn add(message: &mut Value, delta: &Value) -> Fallible<()> {
    for name in ["content", "reasoning_content"] {
        if let Some(text) = delta.get(name).and_then(Value::as_str) {
            let so_far = message.get(name).and_then(Value::as_str).unwrap_or_default();
            let both = format!("{so_far}{text}");
            message[name] = json!(both);
        }
    }
    for call in delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        let index = call.get("index").and_then(Value::as_u64).ok_or("a call without an index")?;
        let index = usize::try_from(index)?;
        if !message["tool_calls"].is_array() {
            message["tool_calls"] = json!([]);
        }
        let calls = message["tool_calls"].as_array_mut().ok_or("no calls")?;
        if index == calls.len() {
            calls.push(call.clone());
            continue;
        }
        let known = calls.get_mut(index).ok_or("a gap among the indexes of calls")?;
        if call.get("id").is_some() {
            return Err(format!("an id twice: {call}").into());
        }
        let text = |call: &Value| call["function"]["arguments"].as_str().unwrap_or_default().to_owned();
        known["function"]["arguments"] = json!(text(known) + &text(call));
    }
    Ok(())
}
