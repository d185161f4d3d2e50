//! Writes tools, system and turns.

use super::Notes;
use super::block::{Block, Cache, Content, Input, Source};
use super::sheet::Sheet;
use super::tools::{Choice, Parameters, Tool, Tools};
use super::turns::{Conversation, Turn};
use crate::dialect::anthropic::reasoning::Thought;
use crate::json::Raw;

/// Most cache breakpoints in a request.
const MOST_BREAKPOINTS: usize = 4;

/// How many breakpoints there are too many.
pub(super) fn spare_breakpoints(conversation: &Conversation<'_>, tools: &Tools<'_>) -> usize {
    fn count(block: &Block<'_>) -> usize {
        let inner = match &block.content {
            Content::Result { content, .. } => content.iter().map(count).sum(),
            _ => 0,
        };
        usize::from(block.cache.is_some()) + inner
    }
    let turns = conversation.turns.iter().flat_map(|turn| turn.first.iter().chain(&turn.rest));
    let blocks: usize = conversation.system.iter().chain(turns).map(count).sum();
    let tools = tools.all.iter().filter(|tool| tool.cache.is_some()).count();
    (blocks + tools).saturating_sub(MOST_BREAKPOINTS)
}

/// Writes what the plan says.
#[derive(Debug)]
pub(super) struct Writer<'b, 'n> {
    sheet: Sheet<'b>,
    /// Breakpoints still to be left out: the first ones, since a later one
    /// covers what is before it as well.
    spare: usize,
    notes: &'n mut Notes,
}

impl<'b, 'n> Writer<'b, 'n> {
    pub(super) fn new(sheet: Sheet<'b>, spare: usize, notes: &'n mut Notes) -> Self {
        if spare > 0 {
            notes.add("only the last four cache breakpoints have an effect here");
        }
        Writer { sheet, spare, notes }
    }

    pub(super) fn finish(self) -> Sheet<'b> {
        self.sheet
    }

    /// `tools` and `tool_choice`.
    pub(super) fn tools(&mut self, tools: &Tools<'b>) {
        if tools.all.is_empty() {
            return;
        }
        self.sheet.push(",\"tools\":[");
        for (position, tool) in tools.all.iter().enumerate() {
            self.comma(position);
            self.tool(tool);
        }
        self.sheet.push("]");
        let kind = match &tools.choice {
            Choice::Unsaid => return,
            Choice::Auto => "auto",
            Choice::None => "none",
            Choice::Any => "any",
            Choice::Named(_) => "tool",
        };
        self.sheet.push(&format!(",\"tool_choice\":{{\"type\":\"{kind}\""));
        if let Choice::Named(name) = &tools.choice {
            self.sheet.push(",\"name\":");
            self.sheet.string(name);
        }
        if tools.alone && tools.choice != Choice::None {
            self.sheet.push(",\"disable_parallel_tool_use\":true");
        }
        self.sheet.push("}");
    }

    fn tool(&mut self, tool: &Tool<'b>) {
        self.sheet.push("{\"name\":");
        self.sheet.string(&tool.name);
        if let Some(description) = &tool.description {
            self.sheet.push(",\"description\":");
            self.sheet.raw(description);
        }
        self.sheet.push(",\"input_schema\":");
        match &tool.parameters {
            Parameters::Given(schema) => self.sheet.raw(schema),
            Parameters::Made(schema) => self.sheet.push(&schema.to_string()),
        }
        if tool.strict {
            self.sheet.push(",\"strict\":true");
        }
        self.close(tool.cache.as_ref());
    }

    /// `system` and `messages`.
    pub(super) fn conversation(
        &mut self,
        conversation: &Conversation<'b>,
        instruction: Option<&'static str>,
    ) {
        let instruction = instruction.map(|words| Block::new(Content::Words(words)));
        if !conversation.system.is_empty() || instruction.is_some() {
            self.sheet.push(",\"system\":[");
            self.blocks(conversation.system.iter().chain(&instruction));
            self.sheet.push("]");
        }
        self.sheet.push(",\"messages\":[");
        for (position, turn) in conversation.turns.iter().enumerate() {
            self.comma(position);
            self.turn(turn);
        }
        self.sheet.push("]");
    }

    fn turn(&mut self, turn: &Turn<'b>) {
        let role = if turn.assistant { "assistant" } else { "user" };
        self.sheet.push(&format!("{{\"role\":\"{role}\",\"content\":["));
        self.blocks(turn.first.iter().chain(&turn.rest));
        self.sheet.push("]}");
    }

    fn blocks<'x>(&mut self, blocks: impl Iterator<Item = &'x Block<'b>>)
    where
        'b: 'x,
    {
        for (position, block) in blocks.enumerate() {
            self.comma(position);
            self.block(block);
        }
    }

    fn block(&mut self, block: &Block<'b>) {
        match &block.content {
            Content::Text(text) => self.member("{\"type\":\"text\",\"text\":", text),
            Content::Words(words) => {
                self.sheet.push("{\"type\":\"text\",\"text\":");
                self.sheet.string(words);
            }
            Content::Media { kind, source, title } => self.media(kind, source, title.as_ref()),
            Content::Thought(Thought::Text { text, signature }) => {
                self.sheet.push("{\"type\":\"thinking\",\"thinking\":");
                match text {
                    Some(text) => self.sheet.raw(text),
                    None => self.sheet.push("\"\""),
                }
                self.member(",\"signature\":", signature);
            }
            Content::Thought(Thought::Encrypted { data }) => {
                self.member("{\"type\":\"redacted_thinking\",\"data\":", data);
            }
            Content::Call { id, name, input } => {
                self.sheet.push(&format!("{{\"type\":\"tool_use\",\"id\":\"{id}\""));
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
            }
            Content::Result { id, content, failed } => {
                self.sheet.push(&format!("{{\"type\":\"tool_result\",\"tool_use_id\":\"{id}\""));
                if !content.is_empty() {
                    self.sheet.push(",\"content\":[");
                    self.blocks(content.iter());
                    self.sheet.push("]");
                }
                if *failed {
                    self.sheet.push(",\"is_error\":true");
                }
            }
        }
        self.close(block.cache.as_ref());
    }

    fn media(&mut self, kind: &str, source: &Source<'b>, title: Option<&Raw<'b>>) {
        self.sheet.push(&format!("{{\"type\":\"{kind}\",\"source\":"));
        match source {
            Source::Link(url) => self.member("{\"type\":\"url\",\"url\":", url),
            Source::Inline { media_type, string, skip } => {
                self.sheet.push(&format!("{{\"type\":\"base64\",\"media_type\":\"{media_type}\",\"data\":"));
                self.sheet.tail(string, *skip);
            }
        }
        self.sheet.push("}");
        if let Some(title) = title {
            self.member(",\"title\":", title);
        }
    }

    fn member(&mut self, before: &str, value: &Raw<'b>) {
        self.sheet.push(before);
        self.sheet.raw(value);
    }

    fn comma(&mut self, position: usize) {
        if position > 0 {
            self.sheet.push(",");
        }
    }

    /// Closes a block or tool, with its breakpoint.
    fn close(&mut self, cache: Option<&Cache<'b>>) {
        if let Some(cache) = cache {
            if self.spare > 0 {
                self.spare -= 1;
            } else {
                match cache {
                    Cache::Given(given) => self.member(",\"cache_control\":", given),
                    Cache::Usual => self.sheet.push(",\"cache_control\":{\"type\":\"ephemeral\"}"),
                }
            }
        }
        self.sheet.push("}");
    }
}
