//! The blocks that turns consist of, and what content parts become.

use super::unsupported;
use crate::dialect::anthropic::reasoning::Thought;
use crate::json::{Kind, Raw};
use crate::outcome::Failure;

/// One block, borrowing from the request's body.
#[derive(Debug)]
pub(in crate::dialect) struct Block<'b> {
    pub(in crate::dialect) content: Content<'b>,
    /// Whether the prompt up to here is to be cached.
    pub(in crate::dialect) cache: Option<Cache<'b>>,
}

/// How long what precedes a block is to be cached.
#[derive(Debug, Clone, Copy)]
pub(in crate::dialect) enum Cache<'b> {
    /// As the caller worded it.
    Given(Raw<'b>),
    /// As long as is usual.
    Usual,
}

/// What a block is.
#[derive(Debug)]
pub(in crate::dialect) enum Content<'b> {
    /// The caller's text.
    Text(Raw<'b>),
    /// Our own.
    Words(&'static str),
    /// An image or a document.
    Media { kind: &'static str, source: Source<'b>, title: Option<Raw<'b>> },
    /// Thinking that came back.
    Thought(Thought<'b>),
    /// A tool was called.
    Call { id: String, name: Raw<'b>, input: Input<'b> },
    /// What it gave.
    Result { id: String, content: Vec<Block<'b>>, failed: bool },
}

/// Where an image or document is.
#[derive(Debug)]
pub(in crate::dialect) enum Source<'b> {
    /// The provider is to fetch it.
    Link(Raw<'b>),
    /// In the string, behind `skip` bytes.
    Inline { media_type: &'static str, string: Raw<'b>, skip: usize },
}

/// The arguments of a call.
#[derive(Debug)]
pub(in crate::dialect) enum Input<'b> {
    /// An object, as the caller wrote it.
    Object(Raw<'b>),
    /// An object, taken out of a string.
    Decoded(String),
    /// What a model wrote that is no object; a string.
    Unreadable(Raw<'b>),
}

/// What inline content may be: its type, and the block it goes into.
const MEDIA: [(&str, &str, &str); 6] = [
    ("image/png", "image/png", "image"),
    ("image/jpeg", "image/jpeg", "image"),
    ("image/jpg", "image/jpeg", "image"),
    ("image/gif", "image/gif", "image"),
    ("image/webp", "image/webp", "image"),
    ("application/pdf", "application/pdf", "document"),
];

impl<'b> Block<'b> {
    /// A block of which nothing is to be remembered.
    pub(in crate::dialect) fn new(content: Content<'b>) -> Self {
        Block { content, cache: None }
    }

    /// The blocks of a message's `content`. Texts without anything in them are
    /// refused by the API and say nothing, so they are left out.
    ///
    /// # Errors
    /// For content that cannot be said.
    pub(in crate::dialect) fn all(message: &Raw<'b>) -> Result<Vec<Self>, Failure> {
        let mut blocks = Vec::new();
        let content = message.get(b"content");
        match content.map(|content| content.kind) {
            Some(Kind::String) => blocks.extend(content.and_then(text)),
            Some(Kind::Array) => {
                for part in content.into_iter().flat_map(|parts| parts.elements().flatten()) {
                    blocks.extend(Self::part(&part)?);
                }
            }
            _ => {}
        }
        if let (Some(last), Some(cache)) = (blocks.last_mut(), cache(message)) {
            last.cache = Some(cache);
        }
        Ok(blocks)
    }

    /// Whether something in it would have to be fetched.
    pub(super) fn has_link(&self) -> bool {
        match &self.content {
            Content::Media { source: Source::Link(_), .. } => true,
            Content::Result { content, .. } => content.iter().any(Block::has_link),
            _ => false,
        }
    }

    fn part(part: &Raw<'b>) -> Result<Option<Self>, Failure> {
        if part.kind == Kind::String {
            return Ok(text(*part));
        }
        let kind = part.get(b"type").and_then(|kind| kind.as_str());
        let member = |name: &[u8]| part.get(name);
        let inner = |outer: &[u8], name: &[u8]| part.get(outer).and_then(|outer| outer.get(name));
        let block = match kind.as_deref() {
            Some("text") => member(b"text").and_then(text),
            Some("refusal") => member(b"refusal").and_then(text),
            Some("image_url") => {
                let url = inner(b"image_url", b"url").or_else(|| member(b"image_url"));
                Some(Self::new(media(url, "image", None)?))
            }
            Some("file") => {
                let data = inner(b"file", b"file_data");
                if data.is_none() && inner(b"file", b"file_id").is_some() {
                    return Err(unsupported("a file that was uploaded elsewhere"));
                }
                Some(Self::new(media(data, "document", inner(b"file", b"filename"))?))
            }
            Some("input_audio") => return Err(unsupported("audio input")),
            Some(other) => {
                let kind: String = other.chars().take(40).collect();
                return Err(unsupported(format!("content of the type {kind}")));
            }
            None => return Err(unsupported("content without a type")),
        };
        Ok(block.map(|block| Block { cache: cache(part), ..block }))
    }
}

fn text(text: Raw<'_>) -> Option<Block<'_>> {
    let filled = text.inner().is_some_and(|inner| !inner.is_empty());
    filled.then(|| Block::new(Content::Text(text)))
}

/// Whether the prompt is to be cached up to this part or message.
pub(in crate::dialect) fn cache<'b>(object: &Raw<'b>) -> Option<Cache<'b>> {
    let given = object.get(b"cache_control").filter(|given| given.kind == Kind::Object).map(Cache::Given);
    given.or_else(|| {
        let point = object.get(b"prompt_cache_breakpoint")?;
        (!matches!(point.text, b"null" | b"false")).then_some(Cache::Usual)
    })
}

/// A link, or a data URL, whose content is not decoded: only its head is read.
fn media<'b>(
    url: Option<Raw<'b>>,
    usual: &'static str,
    title: Option<Raw<'b>>,
) -> Result<Content<'b>, Failure> {
    let string = url.filter(|url| url.kind == Kind::String);
    let (Some(string), Some(inner)) = (string, string.and_then(|string| string.inner())) else {
        return Err(unsupported("an image or file without content"));
    };
    let title = title.filter(|title| title.inner().is_some_and(|title| !title.is_empty()));
    let Some(behind) = inner.strip_prefix(b"data:") else {
        let link = string.as_str();
        let scheme = link.as_deref().and_then(|link| link.split_once(':'));
        return match scheme {
            Some(("http" | "https", rest)) if rest.starts_with("//") => {
                Ok(Content::Media { kind: usual, source: Source::Link(string), title })
            }
            _ => Err(unsupported("an image or file that is neither a data URL nor a link")),
        };
    };
    let comma = memchr::memchr(b',', behind).unwrap_or(behind.len());
    // Some languages write every slash as an escape.
    let head = String::from_utf8_lossy(behind.get(..comma).unwrap_or_default()).replace("\\/", "/");
    let Some(head) = head.strip_suffix(";base64") else {
        return Err(unsupported("a data URL that is not base64"));
    };
    let named = head.split(';').next().unwrap_or_default().to_ascii_lowercase();
    let Some((_, media_type, kind)) = MEDIA.iter().find(|(name, ..)| *name == named) else {
        let named: String = named.chars().take(60).collect();
        return Err(unsupported(format!("content of the type {named}")));
    };
    let skip = b"data:".len() + comma + 1;
    let title = title.filter(|_| *kind == "document");
    Ok(Content::Media { kind, source: Source::Inline { media_type, string, skip }, title })
}

impl<'b> Input<'b> {
    /// From a call's `arguments`: JSON in a string. What a model got wrong must
    /// not fail every later request of that conversation.
    pub(in crate::dialect) fn read(arguments: Option<Raw<'b>>) -> Self {
        let empty = || Input::Decoded("{}".to_owned());
        let Some(arguments) = arguments else { return empty() };
        match arguments.kind {
            Kind::Object => Input::Object(arguments),
            Kind::String => {
                let Some(text) = arguments.as_str() else { return Input::Unreadable(arguments) };
                let text = text.trim();
                let whole = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
                match text.is_empty() {
                    true => empty(),
                    false if whole && text.starts_with('{') => Input::Decoded(text.to_owned()),
                    false => Input::Unreadable(arguments),
                }
            }
            _ => empty(),
        }
    }
}
