//! Content parts, from the middle form's to Google's.

use crate::json::{Kind, Raw};
use crate::outcome::Failure;

use super::body::Text;
use super::{Warnings, cannot};

/// A piece of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// What it is.
    pub(super) what: What,
    /// The signature that came with it.
    pub(super) signature: Option<String>,
}

/// What a part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// `text`
    Text(Text),
    /// `inlineData`: media type and base64.
    Data(String, Text),
    /// `fileData`: media type, where it can be told, and address.
    File(Option<&'static str>, Text),
    /// `functionCall`
    Call {
        /// Its id, where the upstream takes ids.
        id: Option<String>,
        /// The function.
        name: String,
        /// A JSON object.
        arguments: String,
    },
    /// `functionResponse`
    Response {
        /// The id of its call.
        id: Option<String>,
        /// The function.
        name: String,
        /// What it gave.
        result: Outcome,
    },
}

/// What a tool gave; Google wants an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A JSON object as it is.
    Object(String),
    /// Another JSON value, which becomes the object's member `result`.
    Value(String),
    /// A text, likewise.
    Text(Text),
    /// There is none: `error` says so.
    Missing,
}

impl From<What> for Part {
    fn from(what: What) -> Self {
        Part { what, signature: None }
    }
}

/// Media types by what an address or a file's name ends with (Google's guides on
/// images, documents, audio and video).
const KINDS: [(&str, &str); 25] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("json", "application/json"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mp3"),
    ("aac", "audio/aac"),
    ("ogg", "audio/ogg"),
    ("flac", "audio/flac"),
    ("aiff", "audio/aiff"),
    ("m4a", "audio/m4a"),
    ("mp4", "video/mp4"),
    ("mpeg", "video/mpeg"),
    ("mov", "video/mov"),
    ("webm", "video/webm"),
    ("opus", "audio/opus"),
];

/// The parts of a message's `content`; nothing for what says nothing.
pub(super) fn read(content: &Raw<'_>, warnings: &mut Warnings) -> Result<Vec<Part>, Failure> {
    match content.kind {
        Kind::String => Ok(text(content).into_iter().collect()),
        Kind::Array => {
            let mut parts = Vec::new();
            for part in content.elements().filter_map(Result::ok) {
                parts.extend(one(&part, warnings)?);
            }
            Ok(parts)
        }
        _ => Ok(Vec::new()),
    }
}

/// A text that is not empty: Google refuses empty ones.
fn text(raw: &Raw<'_>) -> Option<Part> {
    Text::of(raw).filter(|text| !text.is_empty()).map(|text| What::Text(text).into())
}

/// One part, told by the members it has.
fn one(part: &Raw<'_>, warnings: &mut Warnings) -> Result<Option<Part>, Failure> {
    if part.kind == Kind::String {
        return Ok(text(part));
    }
    for (key, value) in part.members().filter_map(Result::ok) {
        match key.raw {
            b"text" | b"refusal" => return Ok(text(&value)),
            b"image_url" | b"video_url" => return link(&value, warnings).map(Some),
            b"input_audio" => return audio(&value).map(Some),
            b"file" => return file(&value).map(Some),
            _ => {}
        }
    }
    let kind = part.get(b"type").and_then(|kind| kind.as_str()).unwrap_or_default();
    Err(cannot(format!("a content part of type {:?}", short(&kind))))
}

/// An image or a video, in a data URL or behind a link.
fn link(value: &Raw<'_>, warnings: &mut Warnings) -> Result<Part, Failure> {
    let url = match value.kind {
        Kind::String => *value,
        _ => value.get(b"url").ok_or_else(|| cannot("an image without url"))?,
    };
    let detail = value.get(b"detail").and_then(|detail| detail.as_str());
    if detail.is_some_and(|detail| detail != "auto") {
        warnings.add("the detail of an image was left out");
    }
    address(&url)
}

/// Content at a URL. Links are passed on: it is Google who follows them. Names of
/// what only our own account can read (`gs:`, `files/…`) are not a caller's to
/// give.
fn address(url: &Raw<'_>) -> Result<Part, Failure> {
    let inner = url.inner().ok_or_else(|| cannot("a url that is not text"))?;
    if inner.starts_with(b"data:") {
        return data(url, inner);
    }
    let text = url.as_str().ok_or_else(|| cannot("a url that cannot be read"))?;
    if !text.starts_with("https:") {
        return Err(cannot("a link that is not https"));
    }
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let place = Text::of(url).ok_or_else(|| cannot("a url that is not text"))?;
    Ok(What::File(kind_of(path), place).into())
}

/// `data:TYPE;base64,DATA`; the data is not touched.
fn data(url: &Raw<'_>, inner: &[u8]) -> Result<Part, Failure> {
    let comma = memchr::memchr(b',', inner).ok_or_else(|| cannot("a data URL without data"))?;
    let head = inner.get(5..comma).and_then(|head| std::str::from_utf8(head).ok()).unwrap_or_default();
    // Some encoders write every slash of a string with an escape.
    let head = head.replace("\\/", "/");
    let Some(kind) = head.strip_suffix(";base64") else {
        return Err(cannot("a data URL that is not base64"));
    };
    let kind = kind.split(';').next().filter(|kind| kind.contains('/')).unwrap_or("application/octet-stream");
    let start = url.start + 1 + comma + 1;
    Ok(What::Data(kind.to_owned(), Text::Kept(start..url.end() - 1)).into())
}

fn audio(value: &Raw<'_>) -> Result<Part, Failure> {
    let data = value.get(b"data").as_ref().and_then(Text::of).ok_or_else(|| cannot("audio without data"))?;
    let format = value.get(b"format").and_then(|format| format.as_str()).unwrap_or_default();
    let kind = KINDS.iter().find(|(ending, kind)| *ending == format && kind.starts_with("audio/"));
    let (_, kind) = kind.ok_or_else(|| cannot(format!("audio of format {:?}", short(&format))))?;
    Ok(What::Data((*kind).to_owned(), data).into())
}

fn file(value: &Raw<'_>) -> Result<Part, Failure> {
    if let Some(id) = value.get(b"file_id") {
        return address(&id).map_err(|_| cannot("a file that was uploaded elsewhere"));
    }
    let data = value.get(b"file_data").ok_or_else(|| cannot("a file without data"))?;
    let inner = data.inner().ok_or_else(|| cannot("a file without data"))?;
    if inner.starts_with(b"data:") || inner.starts_with(b"https:") {
        return address(&data);
    }
    // Base64 alone: the name has to tell what it is.
    let name = value.get(b"filename").and_then(|name| name.as_str()).unwrap_or_default();
    let kind = kind_of(&name).ok_or_else(|| cannot("a file whose name does not tell its type"))?;
    let data = Text::of(&data).ok_or_else(|| cannot("a file without data"))?;
    Ok(What::Data(kind.to_owned(), data).into())
}

/// The media type that a path's ending stands for.
fn kind_of(path: &str) -> Option<&'static str> {
    let (_, ending) = path.rsplit_once('.')?;
    KINDS.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known)).map(|(_, kind)| *kind)
}

/// As much of a caller's word as is repeated to them.
pub(super) fn short(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(40).collect()
}
