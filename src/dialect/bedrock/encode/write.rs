//! Writes turns and tools.

use serde_json::{Value, json};

use super::{Notes, unsupported};
use crate::dialect::anthropic::encode::block::{Block, Cache, Content, Input, Source};
use crate::dialect::anthropic::encode::sheet::Sheet;
use crate::dialect::anthropic::encode::tools::{Choice, Parameters, Tool, Tools};
use crate::dialect::anthropic::encode::turns::{Conversation, Turn};
use crate::dialect::anthropic::reasoning::Thought;
use crate::json::Raw;
use crate::outcome::Failure;

/// What stands where a turn must have something to say.
const FILLER: &str = "(no text)";
/// What stands beside a document, which the API does not take alone.
const SEE: &str = "(A document is attached.)";

/// Writes what the plan says.
#[derive(Debug)]
pub(super) struct Writer<'b, 'n> {
    sheet: Sheet<'b>,
    /// Whether the model knows cache points.
    cache: bool,
    /// Whether calls and results are said as text, since there are no tools.
    flat: bool,
    /// Documents so far; no two may have the same name.
    documents: u32,
    /// Whether the innermost list has an element already.
    comma: bool,
    notes: &'n mut Notes,
}

impl<'b, 'n> Writer<'b, 'n> {
    pub(super) fn new(sheet: Sheet<'b>, cache: bool, notes: &'n mut Notes) -> Self {
        Writer { sheet, cache, flat: false, documents: 0, comma: false, notes }
    }

    pub(super) fn finish(self) -> Sheet<'b> {
        self.sheet
    }

    /// `messages` and `system`; `flat` when there are no tools.
    ///
    /// # Errors
    /// For what cannot be said.
    pub(super) fn conversation(
        &mut self,
        conversation: &Conversation<'b>,
        instruction: Option<&str>,
        flat: bool,
    ) -> Result<(), Failure> {
        self.flat = flat;
        self.sheet.push("{\"messages\":[");
        for (position, turn) in conversation.turns.iter().enumerate() {
            if position > 0 {
                self.sheet.push(",");
            }
            self.turn(turn)?;
        }
        self.sheet.push("]");
        if !conversation.system.is_empty() || instruction.is_some() {
            self.sheet.push(",\"system\":[");
            self.comma = false;
            for block in &conversation.system {
                self.block(block)?;
            }
            if let Some(instruction) = instruction {
                self.words(instruction);
            }
            self.sheet.push("]");
        }
        Ok(())
    }

    fn turn(&mut self, turn: &Turn<'b>) -> Result<(), Failure> {
        let role = if turn.assistant { "assistant" } else { "user" };
        self.sheet.push(&format!("{{\"role\":\"{role}\",\"content\":["));
        self.comma = false;
        let blocks = || turn.first.iter().chain(&turn.rest);
        for block in blocks() {
            self.block(block)?;
        }
        let says = |block: &Block<'_>| match &block.content {
            Content::Text(text) => !is_blank(text),
            other => matches!(other, Content::Words(_)),
        };
        let document = |block: &Block<'_>| matches!(block.content, Content::Media { kind: "document", .. });
        if !self.comma {
            self.words(FILLER);
        } else if blocks().any(document) && !blocks().any(says) {
            self.words(SEE);
        }
        self.sheet.push("]}");
        Ok(())
    }

    /// The next element of a list.
    fn next(&mut self) {
        if std::mem::replace(&mut self.comma, true) {
            self.sheet.push(",");
        }
    }

    fn words(&mut self, words: &str) {
        self.next();
        self.sheet.push("{\"text\":");
        self.sheet.string(words);
        self.sheet.push("}");
    }

    fn block(&mut self, block: &Block<'b>) -> Result<(), Failure> {
        self.content(&block.content)?;
        self.point(block.cache.as_ref());
        Ok(())
    }

    fn content(&mut self, content: &Content<'b>) -> Result<(), Failure> {
        match content {
            // Blank texts are refused, and say nothing.
            Content::Text(text) if is_blank(text) => {}
            Content::Text(text) => {
                self.next();
                self.member("{\"text\":", text);
                self.sheet.push("}");
            }
            Content::Words(words) => self.words(words),
            Content::Media { kind, source, title } => self.media(kind, source, title.as_ref())?,
            Content::Thought(thought) => self.thought(thought),
            Content::Call { id, name, input } => self.call(id, name, input),
            Content::Result { id, content, failed } => self.result(id, content, *failed)?,
        }
        Ok(())
    }

    fn thought(&mut self, thought: &Thought<'b>) {
        self.next();
        match thought {
            Thought::Text { text, signature } => {
                self.sheet.push("{\"reasoningContent\":{\"reasoningText\":{\"text\":");
                match text {
                    Some(text) => self.sheet.raw(text),
                    None => self.sheet.push("\"\""),
                }
                self.member(",\"signature\":", signature);
                self.sheet.push("}}}");
            }
            Thought::Encrypted { data } => {
                self.member("{\"reasoningContent\":{\"redactedContent\":", data);
                self.sheet.push("}}");
            }
        }
    }

    fn call(&mut self, id: &str, name: &Raw<'b>, input: &Input<'b>) {
        if self.flat {
            let input = match input {
                Input::Object(object) => String::from_utf8_lossy(object.text).into_owned(),
                Input::Decoded(text) => text.clone(),
                Input::Unreadable(text) => text.as_str().unwrap_or_default().into_owned(),
            };
            let name = name.as_str().unwrap_or_default();
            self.words(&format!("[called the tool {name} with {input}]"));
            return;
        }
        self.next();
        self.sheet.push(&format!("{{\"toolUse\":{{\"toolUseId\":\"{}\"", short(id)));
        self.member(",\"name\":", name);
        self.sheet.push(",\"input\":");
        match input {
            Input::Object(object) => self.sheet.raw(object),
            Input::Decoded(object) => self.sheet.push(object),
            Input::Unreadable(text) => {
                self.notes.add("arguments of a tool call that are no JSON object were sent as text");
                self.member("{\"_raw\":", text);
                self.sheet.push("}");
            }
        }
        self.sheet.push("}}");
    }

    fn result(&mut self, id: &str, content: &[Block<'b>], failed: bool) -> Result<(), Failure> {
        if self.flat {
            self.words(if failed { "[the tool failed with]" } else { "[the tool gave]" });
            return content.iter().try_for_each(|block| self.block(block));
        }
        self.next();
        self.sheet.push(&format!("{{\"toolResult\":{{\"toolUseId\":\"{}\",\"content\":[", short(id)));
        self.comma = false;
        for block in content {
            // No cache point can stand inside a result.
            self.content(&block.content)?;
        }
        if !self.comma {
            self.words(FILLER);
        }
        self.comma = true;
        self.sheet.push("]");
        if failed {
            self.sheet.push(",\"status\":\"error\"");
        }
        self.sheet.push("}}");
        self.point(content.iter().rev().find_map(|block| block.cache.as_ref()));
        Ok(())
    }

    fn media(&mut self, kind: &str, source: &Source<'b>, title: Option<&Raw<'b>>) -> Result<(), Failure> {
        let Source::Inline { media_type, string, skip } = source else {
            return Err(unsupported("an image or file by link"));
        };
        let format = media_type.rsplit('/').next().unwrap_or_default();
        self.next();
        self.sheet.push(&format!("{{\"{kind}\":{{\"format\":\"{format}\""));
        if kind == "document" {
            self.documents += 1;
            let name = document_name(title, self.documents);
            self.sheet.push(&format!(",\"name\":\"{name}\""));
        }
        self.sheet.push(",\"source\":{\"bytes\":");
        self.sheet.tail(string, *skip);
        self.sheet.push("}}}");
        Ok(())
    }

    /// Caches the prompt up to here.
    fn point(&mut self, cache: Option<&Cache<'b>>) {
        let Some(cache) = cache else { return };
        if !self.cache {
            self.notes.add("cache breakpoints have no effect here");
            return;
        }
        self.next();
        self.sheet.push(&point(cache));
    }

    fn member(&mut self, before: &str, value: &Raw<'b>) {
        self.sheet.push(before);
        self.sheet.raw(value);
    }

    /// `toolConfig`.
    pub(super) fn tools(&mut self, tools: &Tools<'b>) {
        if tools.all.is_empty() {
            return;
        }
        self.sheet.push(",\"toolConfig\":{\"tools\":[");
        self.comma = false;
        for tool in &tools.all {
            self.tool(tool);
        }
        self.sheet.push("]");
        let choice = match &tools.choice {
            Choice::Unsaid | Choice::None => None,
            Choice::Auto => Some(json!({"auto": {}})),
            Choice::Any => Some(json!({"any": {}})),
            Choice::Named(name) => Some(json!({"tool": {"name": name}})),
        };
        if let Some(choice) = choice {
            self.sheet.push(&format!(",\"toolChoice\":{choice}"));
        }
        self.sheet.push("}");
    }

    fn tool(&mut self, tool: &Tool<'b>) {
        self.next();
        self.sheet.push("{\"toolSpec\":{\"name\":");
        self.sheet.string(&tool.name);
        if let Some(description) = &tool.description {
            self.member(",\"description\":", description);
        }
        self.sheet.push(",\"inputSchema\":{\"json\":");
        match &tool.parameters {
            Parameters::Given(schema) => self.sheet.raw(schema),
            Parameters::Made(schema) => self.sheet.push(&schema.to_string()),
        }
        self.sheet.push("}");
        if tool.strict {
            self.sheet.push(",\"strict\":true");
        }
        self.sheet.push("}}");
        self.point(tool.cache.as_ref());
    }
}

fn is_blank(text: &Raw<'_>) -> bool {
    // A long text is not looked through for this.
    text.text.len() < 256 && text.as_str().is_some_and(|text| text.trim().is_empty())
}

/// A cache point, for as long as the caller says if that is an hour.
fn point(cache: &Cache<'_>) -> String {
    let ttl = match cache {
        Cache::Given(given) => given.get(b"ttl").and_then(|ttl| ttl.as_str()),
        Cache::Usual => None,
    };
    let mut point = json!({"cachePoint": {"type": "default"}});
    if let (Some("1h" | "5m"), Some(Value::Object(members))) = (ttl.as_deref(), point.get_mut("cachePoint")) {
        members.insert("ttl".to_owned(), ttl.as_deref().into());
    }
    point.to_string()
}

/// An id of at most 64 characters, as the API has it; longer ones become a digest.
/// Both a call and its result come here, so they still belong together.
fn short(id: &str) -> String {
    if id.len() <= 64 {
        return id.to_owned();
    }
    let digest = blake3::hash(id.as_bytes()).to_hex();
    format!("tooluse_{}", digest.get(..24).unwrap_or_default())
}

/// A name of letters, digits, single spaces, hyphens and brackets, which alone are
/// accepted, and unlike any other.
fn document_name(title: Option<&Raw<'_>>, number: u32) -> String {
    let title = title.and_then(Raw::as_str).unwrap_or_default();
    let stem = title.rsplit_once('.').map_or(&*title, |(stem, _)| stem);
    let word = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).take(40).collect::<String>();
    let words = stem.split(|c: char| !c.is_ascii_alphanumeric()).filter(|text| !text.is_empty());
    let name = words.take(8).map(word).collect::<Vec<_>>().join(" ");
    match name.as_str() {
        "" => format!("document {number}"),
        name => format!("{name} {number}"),
    }
}
