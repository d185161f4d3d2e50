//! Says a request as a body for Converse, or for `InvokeModel` where the model is
//! Claude.

use crate::dialect::Encoded;
use crate::dialect::anthropic::encode::asked::Asked;
use crate::dialect::anthropic::encode::sheet::Sheet;
use crate::dialect::anthropic::encode::turns::Conversation;
use crate::dialect::anthropic::encode::{self as messages, Envelope, Notes, unsupported};
use crate::json;
use crate::outcome::Failure;
use crate::request::ChatRequest;

use super::models::{Api, Family};

mod config;
mod format;
mod tools;
mod write;

/// What `anthropic_version` is on Bedrock.
const VERSION: &str = "bedrock-2023-05-31";

/// The request for an endpoint whose provider calls the model `upstream`.
///
/// # Errors
/// [`Failure::Unsupported`] when it cannot be said.
pub(crate) fn encode(
    request: &ChatRequest,
    upstream: &str,
    max_output: Option<u32>,
) -> Result<Encoded, Failure> {
    let family = Family::of(upstream);
    match family.api {
        Api::Messages => {
            let envelope =
                Envelope { version: Some(VERSION), no_schemas: !family.json_schema, no_links: true };
            let encoded = messages::encode_in(request, upstream, max_output, envelope)?;
            let method = if request.stream { "invoke-with-response-stream" } else { "invoke" };
            Ok(Encoded { path: path(upstream, method), ..encoded })
        }
        Api::Converse => converse(request, upstream, max_output, family),
    }
}

fn converse(
    request: &ChatRequest,
    upstream: &str,
    max_output: Option<u32>,
    family: &Family,
) -> Result<Encoded, Failure> {
    // The body was read once, so it is JSON.
    let body = json::document(&request.body).map_err(|_| unsupported("a body that is not JSON"))?;
    let mut notes = Notes::default();
    let asked = Asked::read(&body, request, &mut notes)?;
    let conversation = Conversation::read(asked.messages, &mut notes)?;
    let form = format::plan(asked.format, family, &mut notes)?;
    let tools = tools::plan(&asked, &conversation, &form, family, &mut notes)?;
    let config = config::plan(&asked, request.max_output_tokens, max_output, family, &mut notes)?;

    let mut writer = write::Writer::new(Sheet::new(&request.body), family.cache, &mut notes);
    writer.conversation(&conversation, form.instruction(), tools.all.is_empty())?;
    writer.tools(&tools);
    let mut sheet = writer.finish();
    config.write(&mut sheet);
    form.write(&mut sheet);
    sheet.push("}");
    let method = if request.stream { "converse-stream" } else { "converse" };
    Ok(Encoded { path: path(upstream, method), body: sheet.finish(), warnings: notes.0 })
}

/// Where the request goes. The model's id is one segment, encoded as AWS's own
/// clients do it: of an ARN the colons and slashes too (RFC 3986: all but the
/// unreserved).
fn path(upstream: &str, method: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    let model: String = upstream.bytes().map(one).collect();
    format!("/model/{model}/{method}")
}
