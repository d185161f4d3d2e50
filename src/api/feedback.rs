//! `POST /v1/feedback`: a caller says how good an answer was.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::Request;
use serde_json::{Value, json};
use uuid::Uuid;

use super::body;
use super::chat::authenticate;
use super::error::Error;
use super::respond;
use crate::accounts::{Caller, Expose};
use crate::app::App;
use crate::catalog::Dialect;
use crate::dispatch::record::Record;
use crate::dispatch::signals::Judged;
use crate::json::{self, Kind, Raw};
use crate::market::Kept;

/// A score, an id and a comment need no more.
const MOST_BODY: usize = 64 << 10;

/// Learns what the caller thinks of the answer to one of its own requests.
pub async fn give(State(app): State<App>, request: Request<Body>) -> Response {
    match learnt(&app, request).await {
        Ok(learnt) => Json(learnt).into_response(),
        Err((headers, error)) => {
            let ticket = app.arrive(&app.generation(), &headers);
            respond::error(ticket, &error, Dialect::OpenAi)
        }
    }
}

async fn learnt(app: &App, request: Request<Body>) -> Result<Value, (http::HeaderMap, Error)> {
    let (head, body) = request.into_parts();
    let generation = app.generation();
    let taught = async {
        let caller = authenticate(&generation, &head.headers)?;
        let bytes = body::read(&head.headers, body, MOST_BODY).await?;
        teach(app, &caller, &Feedback::read(&bytes)?)
    };
    match taught.await {
        Ok(learnt) => Ok(learnt),
        Err(error) => Err((head.headers, error)),
    }
}

/// What a caller says.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Feedback {
    id: Uuid,
    /// 0..1.
    score: f64,
}

impl Feedback {
    fn read(text: &[u8]) -> Result<Feedback, Error> {
        let bad = |error: json::JsonError| {
            Error::invalid_request(format!("the body is not valid JSON: {error}"), None)
        };
        if simdutf8::basic::from_utf8(text).is_err() {
            return Err(Error::invalid_request("the body is not UTF-8", None));
        }
        let whole = json::document(text).map_err(bad)?;
        if whole.kind != Kind::Object {
            let message = format!("the body must be a JSON object, not {}", whole.kind.name());
            return Err(Error::invalid_request(message, None));
        }
        let (mut id, mut score) = (None, None);
        for member in whole.members() {
            let (key, value) = member.map_err(bad)?;
            match key.decoded().as_ref() {
                "request_id" => id = Some(request_id(&value)?),
                "score" => score = Some(self::score(&value)?),
                "comment" if matches!(value.kind, Kind::String | Kind::Null) => {}
                "comment" => return Err(wrong("comment", "comment must be a string")),
                other => {
                    let message = format!(
                        "{other:?} is no member of feedback; there are request_id, score and comment"
                    );
                    return Err(Error::invalid_request(message, Some(other.to_owned())));
                }
            }
        }
        let missing = |name: &str| wrong(name, &format!("{name} is missing"));
        Ok(Feedback {
            id: id.ok_or_else(|| missing("request_id"))?,
            score: score.ok_or_else(|| missing("score"))?,
        })
    }
}

fn wrong(param: &str, message: &str) -> Error {
    Error::invalid_request(message, Some(param.to_owned()))
}

/// Any text may be asked about; one that cannot be ours is unknown like any other.
fn request_id(value: &Raw<'_>) -> Result<Uuid, Error> {
    let text = value.as_str().ok_or_else(|| wrong("request_id", "request_id must be a string"))?;
    Uuid::parse_str(&text).map_err(|_| Error::unknown_decision())
}

fn score(value: &Raw<'_>) -> Result<f64, Error> {
    let number = value.as_f64().ok_or_else(|| wrong("score", "score must be a number from 0 to 1"))?;
    match (0.0..=1.0).contains(&number) {
        true => Ok(number),
        false => Err(wrong("score", &format!("score must be from 0 to 1, not {number}"))),
    }
}

/// Teaches the books what the caller says, once for each answer.
fn teach(app: &App, caller: &Caller, feedback: &Feedback) -> Result<Value, Error> {
    // Somebody else's request does not exist.
    let record = app.shared.decisions.find(feedback.id).filter(|record| record.key == caller.name);
    let record = record.ok_or_else(Error::unknown_decision)?;
    let answered = matches!(record.outcome, "ok" | "truncated");
    let (Some(served), Some(decision)) = (record.served.filter(|_| answered), record.decision.as_ref())
    else {
        return Err(Error::conflict("nobody answered that request, so there is nothing to judge"));
    };
    let first = record.feedback.set(feedback.score).is_ok();
    let said = record.feedback.get().copied().unwrap_or(feedback.score);
    if said.to_bits() != feedback.score.to_bits() {
        let message = format!(
            "that answer was judged already, with the score {said}; what was learnt cannot be unlearnt"
        );
        return Err(Error::conflict(message));
    }
    let endpoint = record.catalog.endpoint(served);
    let model = &record.catalog.model(endpoint.model).name;
    let live = app.books.live(&endpoint.identity, model);
    let now = app.shared.now();
    #[expect(clippy::cast_possible_truncation, reason = "a score within 0..1")]
    let score = said as f32;
    let judged = Judged { endpoint, model, live: &live, class: decision.class(), score };
    let quality = if first {
        app.shared.metrics.judgements.with_label_values(&["feedback"]).inc();
        judged.learn(&app.shared.metrics, now)
    } else {
        judged.believed(now)
    };
    Ok(shown(&record, caller, said, first, quality))
}

/// What was learnt, as far as the caller may see whom it is about.
fn shown(record: &Record, caller: &Caller, score: f64, first: bool, quality: f64) -> Value {
    let mut learnt = json!({
        "request_id": record.request_id,
        "score": score,
        "learnt": first,
    });
    let Some(members) = learnt.as_object_mut() else { return learnt };
    if caller.expose != Expose::None {
        members.insert("model".to_owned(), json!(record.model));
    }
    if caller.expose == Expose::Full {
        members.insert("provider".to_owned(), json!(record.provider.as_ref().map(|provider| &provider.name)));
        members.insert("class".to_owned(), json!(record.decision.as_ref().map(Kept::class)));
        members.insert("quality".to_owned(), json!(quality));
    }
    learnt
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0193b6a0-0000-7000-8000-000000000001";

    fn read(score: &str) -> Result<Feedback, Error> {
        Feedback::read(format!(r#"{{"request_id":"{ID}","score":{score},"comment":"x"}}"#).as_bytes())
    }

    #[test]
    fn scores_are_numbers_from_0_to_1() {
        for (text, score) in [("0", 0.0), ("1", 1.0), ("1.0", 1.0), ("2.5e-1", 0.25), ("-0", 0.0)] {
            assert!((read(text).unwrap().score - score).abs() < 1e-9, "{text}");
        }
        for text in ["1.01", "-0.1", "1e999", "NaN", "\"0.5\"", "null", "true", "[1]"] {
            let error = read(text).unwrap_err();
            assert_eq!((error.status.as_u16(), error.code), (400, "invalid_request"), "{text}");
        }
        assert_eq!(read("2").unwrap_err().param.as_deref(), Some("score"));
    }

    #[test]
    fn what_is_missing_or_too_much_is_named() {
        let error = |text: &str| Feedback::read(text.as_bytes()).unwrap_err();
        assert_eq!(error(r#"{"score":1}"#).param.as_deref(), Some("request_id"));
        assert_eq!(error(&format!(r#"{{"request_id":"{ID}"}}"#)).param.as_deref(), Some("score"));
        assert_eq!(error(r#"{"scores":1}"#).param.as_deref(), Some("scores"));
        assert_eq!(error(r#"{"request_id":"x","score":1}"#).status.as_u16(), 404);
        assert_eq!(error(r#"{"request_id":7,"score":1}"#).status.as_u16(), 400);
        for text in ["", "[]", "{", "\"x\""] {
            assert_eq!(error(text).status.as_u16(), 400, "{text}");
        }
    }
}
