//! What a request to the counter says, read strictly: a filter or member that is
//! misspelt is an error, not the whole list or a limit that is not set.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_MATCH};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::error::Error;
use crate::store::Id;

/// Says that nothing was changed.
const DRY_RUN: HeaderName = HeaderName::from_static("x-merit-dry-run");
/// Rows of a page when nobody says how many.
const USUAL: u32 = 100;
/// Most rows of a page.
const MOST: u32 = 1000;

/// A query string without unknown members.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let read = Query::<T>::try_from_uri(&parts.uri);
        let wrong = |error: axum::extract::rejection::QueryRejection| {
            Error::invalid_request(format!("the query: {}", error.body_text()), None)
        };
        read.map(|Query(read)| Asked(read)).map_err(wrong)
    }
}

/// A JSON body.
#[derive(Debug)]
pub struct Said<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Said<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|_| Error::invalid_request("the body is too large or broke off", None))?;
        serde_json::from_slice(&bytes).map(Said).map_err(|error| bad_body(&error))
    }
}

fn bad_body(error: &serde_json::Error) -> Error {
    Error::invalid_request(format!("the body: {error}"), None)
}

/// The number in a path.
#[derive(Debug, Clone, Copy)]
pub struct Numbered(pub Id);

impl<S: Send + Sync> FromRequestParts<S> for Numbered {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let text = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Error::not_found())?;
        text.parse().map(Numbered).map_err(|_| Error::not_found())
    }
}

/// The version that a change is based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Whatever it is now.
    Any,
    /// This one.
    Version(i64),
    /// None that ever was: what was sent is not one of our tags.
    Foreign,
}

impl Base {
    /// The version to change, where `current` is the one that is there.
    ///
    /// # Errors
    /// 412 when that cannot be it.
    pub fn on(self, current: i64) -> Result<i64, Error> {
        match self {
            Base::Any => Ok(current),
            Base::Version(version) if version == current => Ok(version),
            Base::Version(_) | Base::Foreign => Err(Error::precondition_failed()),
        }
    }

    fn read(text: &str) -> Base {
        match text.trim() {
            "*" => Base::Any,
            tag => tag.trim_matches('"').parse().map_or(Base::Foreign, Base::Version),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Base {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let header = parts.headers.get(IF_MATCH).ok_or_else(Error::precondition_required)?;
        Ok(header.to_str().map_or(Base::Foreign, Base::read))
    }
}

/// Whether a change is only tried.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Trial {
    /// `1`: checks everything and says what would be, but changes nothing.
    #[serde(default, deserialize_with = "flag")]
    #[param(value_type = Option<String>)]
    pub dry_run: bool,
}

fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        other => Err(serde::de::Error::custom(format!("{other:?} is neither 1 nor 0"))),
    }
}

/// What [`Trial::dry_run`] and other yes-or-no members are read with.
pub(super) fn yes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    flag(deserializer)
}

/// How many rows, checked.
///
/// # Errors
/// 400 unless it is between 1 and 1000.
pub fn limit(asked: Option<u32>) -> Result<u32, Error> {
    let limit = asked.unwrap_or(USUAL);
    let wrong = || Error::invalid_request(format!("limit is 1 to {MOST}"), Some("limit".to_owned()));
    (1..=MOST).contains(&limit).then_some(limit).ok_or_else(wrong)
}

/// Where the page before has ended.
///
/// # Errors
/// 400 when it is not what was given as `next`.
pub fn cursor(asked: Option<&str>) -> Result<Option<Id>, Error> {
    let wrong = || Error::invalid_request("cursor is the next of an earlier page", Some("cursor".to_owned()));
    asked.map(|text| text.parse().map_err(|_| wrong())).transpose()
}

/// One page.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    data: Vec<T>,
    /// The cursor of the next page, if there may be one.
    next: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` rows: a full one may have a next.
    #[must_use]
    pub fn new(data: Vec<T>, limit: u32, id: impl Fn(&T) -> Id) -> Self {
        let full = u32::try_from(data.len()).is_ok_and(|length| length >= limit);
        let next = data.last().filter(|_| full).map(|last| id(last).to_string());
        Page { data, next }
    }
}

/// An answer with the version of what it shows.
pub fn versioned<T: Serialize>(status: StatusCode, version: i64, body: &T) -> Response {
    let mut response = (status, axum::Json(body)).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// An answer to a change that was only tried.
pub fn tried<T: Serialize>(body: &T) -> Response {
    let mut response = axum::Json(body).into_response();
    response.headers_mut().insert(DRY_RUN, HeaderValue::from_static("1"));
    response
}

/// `current` with the members of `patch` put in place of its own; `null` takes
/// one away (RFC 7396).
///
/// # Errors
/// 400 when what results is not possible.
pub fn patched<T: Serialize + DeserializeOwned>(current: &T, patch: &Value) -> Result<T, Error> {
    let mut value = serde_json::to_value(current).map_err(|error| bad_body(&error))?;
    if !patch.is_object() {
        return Err(Error::invalid_request("the body: an object with the members to change", None));
    }
    merge(&mut value, patch, 0);
    serde_json::from_value(value).map_err(|error| bad_body(&error))
}

/// Deepest that members are merged; below, they are replaced.
const DEPTH: u32 = 4;

fn merge(value: &mut Value, patch: &Value, depth: u32) {
    match (value, patch) {
        (Value::Object(members), Value::Object(changes)) if depth < DEPTH => {
            for (name, change) in changes {
                match change {
                    Value::Null => drop(members.shift_remove(name)),
                    change => merge(members.entry(name).or_insert(Value::Null), change, depth + 1),
                }
            }
        }
        (value, patch) => *value = patch.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_replaces_takes_away_and_leaves() {
        let current = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "e": [1] });
        let patch = json!({ "a": null, "b": { "c": 4 }, "e": [] });
        assert_eq!(patched(&current, &patch).unwrap(), json!({ "b": { "c": 4, "d": 3 }, "e": [] }));
        assert!(patched(&current, &json!([])).is_err());
    }

    #[test]
    fn only_our_own_tags_match() {
        for (text, on_three) in
            [("\"3\"", true), ("3", true), ("*", true), ("\"2\"", false), ("W/\"3\"", false)]
        {
            assert_eq!(Base::read(text).on(3).is_ok(), on_three, "{text}");
        }
    }
}
