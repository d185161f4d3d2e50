//! The paths below `/__` of every provider: for those who drive the simulator
//! from another process.
//!
//! | request | does |
//! |---|---|
//! | `GET /__journal[?since=N]` | the journal of all providers as a JSON array |
//! | `DELETE /__journal` | empties it |
//! | `POST /__behaviour` | `{"default": "…"}`, `{"next": ["…"]}` or both |
//! | `GET /__behaviours` | every named behaviour and what it does |

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::faults::FAULTS;
use super::inbound::Inbound;
use super::provider::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    default: Option<Behaviour>,
    #[serde(default)]
    next: Vec<Behaviour>,
}

/// The whole response to a control request.
pub(super) fn answer(shared: &Shared, inbound: &Inbound) -> Bytes {
    let (path, query) = inbound.path.split_once('?').unwrap_or((&inbound.path, ""));
    match (inbound.method.as_str(), path) {
        ("GET", "/__journal") => {
            let since = query.strip_prefix("since=").and_then(|number| number.parse().ok()).unwrap_or(0);
            match serde_json::to_vec(&shared.journal.since(since)) {
                Ok(entries) => json(200, &entries),
                Err(error) => problem(500, &error.to_string()),
            }
        }
        ("DELETE", "/__journal") => {
            shared.journal.clear();
            json(200, b"{}")
        }
        ("POST", "/__behaviour") => match serde_json::from_slice::<Change>(&inbound.body) {
            Ok(change) => {
                change.default.into_iter().for_each(|behaviour| shared.set(behaviour));
                shared.next(change.next);
                json(200, b"{}")
            }
            Err(error) => problem(400, &error.to_string()),
        },
        ("GET", "/__behaviours") => {
            let rows = FAULTS
                .iter()
                .map(|(name, knobs, meaning)| json!({"name": name, "knobs": knobs, "does": meaning}));
            json(200, rows.collect::<Value>().to_string().as_bytes())
        }
        _ => problem(404, "no such control path"),
    }
}

fn problem(status: u16, message: &str) -> Bytes {
    json(status, json!({"error": message}).to_string().as_bytes())
}

/// A plain JSON response.
pub(super) fn json(status: u16, body: &[u8]) -> Bytes {
    let head = format!(
        "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat().into()
}
