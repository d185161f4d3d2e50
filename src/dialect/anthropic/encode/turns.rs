//! From messages to turns, which alternate between user and assistant.

use super::block::{Block, Content, Input};
use super::{Notes, unsupported};
use crate::dialect::anthropic::reasoning;
use crate::json::Raw;
use crate::outcome::Failure;

/// All that one side says before the other does.
#[derive(Debug)]
pub(in crate::dialect) struct Turn<'b> {
    /// Whose it is.
    pub(in crate::dialect) assistant: bool,
    /// What must come first: results of tools, which may come late in chat.
    pub(in crate::dialect) first: Vec<Block<'b>>,
    /// All else, in order.
    pub(in crate::dialect) rest: Vec<Block<'b>>,
}

/// A conversation as Messages has it.
#[derive(Debug, Default)]
pub(in crate::dialect) struct Conversation<'b> {
    pub(in crate::dialect) system: Vec<Block<'b>>,
    pub(in crate::dialect) turns: Vec<Turn<'b>>,
    /// The names of tools that were called.
    pub(in crate::dialect) called: Vec<Raw<'b>>,
    /// Ids of calls of the last turn that have no result yet.
    pending: Vec<String>,
}

impl<'b> Conversation<'b> {
    /// # Errors
    /// For what cannot be said.
    pub(in crate::dialect) fn read(messages: Option<Raw<'b>>, notes: &mut Notes) -> Result<Self, Failure> {
        let mut conversation = Conversation::default();
        for message in messages.into_iter().flat_map(|list| list.elements().flatten()) {
            if message.get(b"name").is_some_and(|name| name.text != b"null") {
                notes.no_effect("name");
            }
            match message.get(b"role").and_then(|role| role.as_str()).as_deref() {
                Some("system" | "developer") => conversation.system(&message, notes)?,
                Some("user") => {
                    let blocks = Block::all(&message)?;
                    conversation.user(blocks);
                }
                Some("assistant") => conversation.assistant(&message, notes)?,
                Some("tool") => conversation.result(&message, notes)?,
                Some("function") => return Err(unsupported("functions in their old form")),
                _ => return Err(unsupported("a message of an unknown role")),
            }
        }
        conversation.complete(notes);
        Ok(conversation)
    }

    /// Whether it is in the middle of an assistant's turn whose thinking did not
    /// come back: such a turn cannot be gone on with thinking.
    pub(in crate::dialect) fn lacks_thoughts(&self) -> bool {
        let [.., turn, results] = self.turns.as_slice() else { return false };
        let thinks = turn.rest.first().is_some_and(|block| matches!(block.content, Content::Thought(_)));
        !results.assistant && !results.first.is_empty() && !thinks
    }

    /// Whether something in it would have to be fetched.
    pub(in crate::dialect) fn has_links(&self) -> bool {
        self.turns.iter().flat_map(|turn| turn.first.iter().chain(&turn.rest)).any(Block::has_link)
    }

    fn system(&mut self, message: &Raw<'b>, notes: &mut Notes) -> Result<(), Failure> {
        let blocks = Block::all(message)?;
        if blocks.iter().any(|block| !matches!(block.content, Content::Text(_))) {
            return Err(unsupported("a system message that is not text"));
        }
        if self.turns.is_empty() {
            self.system.extend(blocks);
        } else {
            notes.add("a system message inside the conversation was sent as the user's");
            self.user(blocks);
        }
        Ok(())
    }

    fn user(&mut self, blocks: Vec<Block<'b>>) {
        if !blocks.is_empty() {
            self.add(false, blocks);
        }
    }

    fn assistant(&mut self, message: &Raw<'b>, notes: &mut Notes) -> Result<(), Failure> {
        let mut blocks: Vec<Block<'b>> = reasoning::read(message)
            .into_iter()
            .map(|thought| Block::new(Content::Thought(thought)))
            .collect();
        blocks.extend(Block::all(message)?);
        let refused =
            message.get(b"refusal").filter(|text| text.inner().is_some_and(|text| !text.is_empty()));
        blocks.extend(refused.map(|text| Block::new(Content::Text(text))));
        if message.get(b"function_call").is_some_and(|call| call.text != b"null") {
            return Err(unsupported("functions in their old form"));
        }
        let mut ids = Vec::new();
        for call in message.get(b"tool_calls").into_iter().flat_map(|calls| calls.elements().flatten()) {
            let function = call.get(b"function").ok_or_else(|| unsupported("a call of a custom tool"))?;
            let (id, name) = (call.get(b"id"), function.get(b"name"));
            let name = name.filter(|name| name.inner().is_some_and(|name| !name.is_empty()));
            let name = name.ok_or_else(|| unsupported("a tool call without a name"))?;
            let id = id.and_then(|id| id.as_str()).unwrap_or_default();
            let input = Input::read(function.get(b"arguments"));
            blocks.push(Block::new(Content::Call { id: acceptable(&id), name, input }));
            ids.push(id.into_owned());
            self.called.push(name);
        }
        if blocks.is_empty() {
            return Ok(());
        }
        self.settle(notes);
        self.add(true, blocks);
        self.pending = ids;
        Ok(())
    }

    fn result(&mut self, message: &Raw<'b>, notes: &mut Notes) -> Result<(), Failure> {
        let content = Block::all(message)?;
        let id = message.get(b"tool_call_id").and_then(|id| id.as_str()).unwrap_or_default();
        let Some(at) = self.pending.iter().position(|pending| *pending == id) else {
            // Agents that shorten their history leave such ones over.
            notes.add("the result of a tool call that is not there was sent as the user's text");
            let mut blocks = vec![Block::new(Content::Words("Result of a tool call that is not shown:"))];
            blocks.extend(content);
            self.user(blocks);
            return Ok(());
        };
        self.pending.remove(at);
        let failed = message.get(b"is_error").and_then(|failed| failed.as_bool()).unwrap_or(false);
        let cache = super::block::cache(message);
        let content = Content::Result { id: acceptable(&id), content, failed };
        self.turn(false, |turn| turn.first.push(Block { content, cache }));
        Ok(())
    }

    /// Adds to the turn of that side; to a new one when the other has spoken.
    fn add(&mut self, assistant: bool, blocks: impl IntoIterator<Item = Block<'b>>) {
        self.turn(assistant, |turn| turn.rest.extend(blocks));
    }

    fn turn(&mut self, assistant: bool, change: impl FnOnce(&mut Turn<'b>)) {
        let new = || Turn { assistant, first: Vec::new(), rest: Vec::new() };
        let mut turn = self.turns.pop_if(|turn| turn.assistant == assistant).unwrap_or_else(new);
        change(&mut turn);
        self.turns.push(turn);
    }

    /// Gives every call that has no result one: the API insists.
    fn settle(&mut self, notes: &mut Notes) {
        for id in std::mem::take(&mut self.pending) {
            notes.add("a tool call without a result was given one");
            let content = vec![Block::new(Content::Words("No result was given."))];
            let result = Content::Result { id: acceptable(&id), content, failed: true };
            self.turn(false, |turn| turn.first.push(Block::new(result)));
        }
    }

    /// Sees to it that the user speaks first.
    fn complete(&mut self, notes: &mut Notes) {
        self.settle(notes);
        if self.turns.is_empty() {
            let blocks = std::mem::take(&mut self.system);
            if !blocks.is_empty() {
                notes.add("the system message was sent as the user's");
            }
            self.user(blocks);
        } else if self.turns.first().is_some_and(|turn| turn.assistant) {
            notes.add("a message of the user was put before the assistant's");
            let words = Block::new(Content::Words("(The conversation begins.)"));
            self.turns.insert(0, Turn { assistant: false, first: Vec::new(), rest: vec![words] });
        }
    }
}

/// An id as the API accepts it (`^[a-zA-Z0-9_-]+$`): itself, or a digest of it.
/// Both a call and its result come here, so they still belong together.
fn acceptable(id: &str) -> String {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !id.is_empty() && id.bytes().all(good) {
        return id.to_owned();
    }
    let digest = blake3::hash(id.as_bytes()).to_hex();
    format!("toolu_{}", digest.get(..24).unwrap_or_default())
}
