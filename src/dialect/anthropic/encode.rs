//! Says a request as a body for `POST /messages`.

use std::borrow::Cow;

use crate::dialect::Encoded;
use crate::json;
use crate::outcome::Failure;
use crate::request::ChatRequest;

use super::models::Family;
use asked::Asked;
use sheet::Sheet;
use turns::Conversation;

pub(in crate::dialect) mod asked;
pub(in crate::dialect) mod block;
mod format;
mod limit;
mod sampling;
pub(in crate::dialect) mod schema;
pub(in crate::dialect) mod sheet;
mod thinking;
pub(in crate::dialect) mod tools;
pub(in crate::dialect) mod turns;
mod write;

/// What the caller is told, each thing once.
#[derive(Debug, Default)]
pub(in crate::dialect) struct Notes(pub(in crate::dialect) Vec<String>);

impl Notes {
    pub(in crate::dialect) fn add(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    /// A member that changes nothing here.
    pub(in crate::dialect) fn no_effect(&mut self, name: &str) {
        // It ends up in a header.
        let name: String = name.chars().filter(char::is_ascii_graphic).take(40).collect();
        self.add(format!("{name} has no effect here"));
    }
}

/// What cannot be said here; another provider may be able to.
pub(in crate::dialect) fn unsupported(what: impl Into<String>) -> Failure {
    Failure::Unsupported { what: what.into() }
}

/// How a platform wants the same body.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::dialect) struct Envelope {
    /// `anthropic_version`, on platforms that have it in the body. Model and kind
    /// of answer then are in the path, and tiers are the platform's own business.
    pub(in crate::dialect) version: Option<&'static str>,
    /// Schemas cannot be asked for as such, whatever the model could elsewhere.
    pub(in crate::dialect) no_schemas: bool,
    /// The platform fetches no links.
    pub(in crate::dialect) no_links: bool,
}

/// The request for an endpoint whose provider calls the model `upstream`.
///
/// # Errors
/// [`Failure::Unsupported`] when it cannot be said.
pub(crate) fn encode(
    request: &ChatRequest,
    upstream: &str,
    max_output: Option<u32>,
) -> Result<Encoded, Failure> {
    encode_in(request, upstream, max_output, Envelope::default())
}

/// The same in an envelope; the path is for the platform to say.
///
/// # Errors
/// As [`encode`].
pub(in crate::dialect) fn encode_in(
    request: &ChatRequest,
    upstream: &str,
    max_output: Option<u32>,
    envelope: Envelope,
) -> Result<Encoded, Failure> {
    // The body was read once, so it is JSON.
    let body = json::document(&request.body).map_err(|_| unsupported("a body that is not JSON"))?;
    let mut family = Cow::Borrowed(Family::of(upstream));
    if envelope.no_schemas && family.json_schema {
        family.to_mut().json_schema = false;
    }
    let family = &*family;
    let mut notes = Notes::default();
    let asked = Asked::read(&body, request, &mut notes)?;
    let conversation = Conversation::read(asked.messages, &mut notes)?;
    if envelope.no_links && conversation.has_links() {
        return Err(unsupported("an image or file by link"));
    }
    let form = format::plan(asked.format, family, &mut notes)?;
    let tools = tools::plan(&asked, &conversation, &form, family, &mut notes)?;
    let limit = limit::plan(request.max_output_tokens, max_output, family, &mut notes);
    let thinking = thinking::plan(&asked, &conversation, &tools, (family, limit), &mut notes);
    let sampling = sampling::plan(&asked, family, thinking.active, &mut notes);

    let mut sheet = Sheet::new(&request.body);
    if let Some(version) = envelope.version {
        sheet.push(&format!("{{\"anthropic_version\":\"{version}\""));
    } else {
        sheet.push("{\"model\":");
        sheet.string(upstream);
    }
    sheet.push(&format!(",\"max_tokens\":{limit}"));
    if request.stream && envelope.version.is_none() {
        sheet.push(",\"stream\":true");
    }
    let spare = write::spare_breakpoints(&conversation, &tools);
    let mut writer = write::Writer::new(sheet, spare, &mut notes);
    writer.tools(&tools);
    writer.conversation(&conversation, form.instruction);
    let mut sheet = writer.finish();
    form.write(thinking.effort, &mut sheet);
    thinking.write(&mut sheet);
    sampling.write(&mut sheet);
    asked.write_rest(&mut sheet, &mut notes)?;
    asked.write_tier(envelope.version.is_none(), &mut sheet, &mut notes);
    sheet.push("}");
    Ok(Encoded { path: "/messages".to_owned(), body: sheet.finish(), warnings: notes.0 })
}
