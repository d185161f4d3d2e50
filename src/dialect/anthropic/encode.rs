//! Says a request as a body for `POST /messages`.

use crate::dialect::Encoded;
use crate::json;
use crate::outcome::Failure;
use crate::request::ChatRequest;

use super::models::Family;
use asked::Asked;
use sheet::Sheet;
use turns::Conversation;

mod asked;
mod block;
mod format;
mod limit;
mod sampling;
mod schema;
mod sheet;
mod thinking;
mod tools;
mod turns;
mod write;

/// What the caller is told, each thing once.
#[derive(Debug, Default)]
struct Notes(Vec<String>);

impl Notes {
    fn add(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    /// A member that changes nothing here.
    fn no_effect(&mut self, name: &str) {
        // It ends up in a header.
        let name: String = name.chars().filter(char::is_ascii_graphic).take(40).collect();
        self.add(format!("{name} has no effect here"));
    }
}

/// What cannot be said here; another provider may be able to.
fn unsupported(what: impl Into<String>) -> Failure {
    Failure::Unsupported { what: what.into() }
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
    // The body was read once, so it is JSON.
    let body = json::document(&request.body).map_err(|_| unsupported("a body that is not JSON"))?;
    let family = Family::of(upstream);
    let mut notes = Notes::default();
    let asked = Asked::read(&body, request, &mut notes)?;
    let conversation = Conversation::read(asked.messages, &mut notes)?;
    let form = format::plan(asked.format, family, &mut notes)?;
    let tools = tools::plan(&asked, &conversation, &form, family, &mut notes)?;
    let limit = limit::plan(request.max_output_tokens, max_output, family, &mut notes);
    let thinking = thinking::plan(&asked, &conversation, &tools, (family, limit), &mut notes);
    let sampling = sampling::plan(&asked, family, thinking.active, &mut notes);

    let mut sheet = Sheet::new(&request.body);
    sheet.push("{\"model\":");
    sheet.string(upstream);
    sheet.push(&format!(",\"max_tokens\":{limit}"));
    if request.stream {
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
    sheet.push("}");
    Ok(Encoded { path: "/messages".to_owned(), body: sheet.finish(), warnings: notes.0 })
}
