//! Whether a chunk already has the canonical form, told in one cheap pass.
//!
//! This may say no to a chunk that is fine (it is then rebuilt, at the price of
//! some microseconds), but never yes to one that is not. What it says yes to goes
//! out as the bytes that came, with at most a few places spliced: the model's
//! name, `"usage":null`, and `reasoning` offered by its other name too.

use std::ops::Range;

use bytes::Bytes;

use super::calls::MOST_CALLS;
use super::state::{Envelope, State, shown, shown_id};
use super::{finish, hide};
use crate::dialect::Style;
use crate::dialect::splice::Edit;
use crate::json::{Cursor, JsonError, Key, Kind, Raw};
use crate::outcome::FinishReason;

mod delta;

use delta::Delta;

/// Not canonical, or not certainly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deviates;

impl From<JsonError> for Deviates {
    fn from(_: JsonError) -> Self {
        Deviates
    }
}

/// A canonical chunk: what must change for this caller, and what it says.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// In order.
    pub(super) edits: Vec<Edit>,
    /// Set by a stream's first chunk.
    pub(super) envelope: Option<Envelope>,
    /// The choice it is about.
    pub(super) index: usize,
    /// Whether it opens that choice.
    pub(super) opens: bool,
    /// The id of a tool call that it opens.
    pub(super) call: Option<String>,
    /// Why the choice ends, if it does.
    pub(super) finish: Option<FinishReason>,
    /// Whether it carries content.
    pub(super) content: bool,
    /// Bytes of generated text.
    pub(super) text: u64,
    /// Where its text is, when it has one and does nothing but say that.
    pub(super) said: Option<Range<usize>>,
    /// Whether that text is part of a tool call, which counts as content even
    /// when it is empty.
    pub(super) is_call: bool,
}

/// Looks at one chunk.
pub(super) fn look(text: &[u8], state: &State, style: &Style) -> Result<Look, Deviates> {
    let mut looker = Looker {
        state,
        style,
        found: Look::default(),
        chunk: Chunk { hides: style.hides_upstream(), ..Chunk::default() },
    };
    let mut cursor = Cursor::new(text);
    cursor.members(|key, cursor| looker.member(&key, cursor))?;
    cursor.end()?;
    looker.finish()
}

struct Looker<'s, 't> {
    state: &'s State,
    style: &'s Style,
    found: Look,
    chunk: Chunk<'t>,
}

/// Values of one chunk, before they are judged.
#[derive(Default)]
struct Chunk<'t> {
    id: Option<Raw<'t>>,
    created: Option<Raw<'t>>,
    model: Option<Raw<'t>>,
    object: bool,
    choices: bool,
    /// `"usage":null` with the comma before it.
    usage: Option<Range<usize>>,
    /// Where the last member ends.
    end: usize,
    /// Whether only what is known may be shown, and what must be cut then.
    hides: bool,
    cuts: Vec<Range<usize>>,
    /// Where the choice's last member ends.
    choice_end: usize,
    index: Option<u64>,
    finish: Option<Raw<'t>>,
    delta: Option<Delta<'t>>,
}

/// A member that may be there once.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Deviates> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Deviates),
    }
}

fn ensure(condition: bool) -> Result<(), Deviates> {
    if condition { Ok(()) } else { Err(Deviates) }
}

/// A name written with escapes could be any of those that matter.
fn plain(key: &Key<'_>) -> Result<(), Deviates> {
    ensure(memchr::memchr(b'\\', key.raw).is_none())
}

impl<'t> Looker<'_, 't> {
    fn member(&mut self, key: &Key<'t>, cursor: &mut Cursor<'t>) -> Result<(), Deviates> {
        let chunk = &mut self.chunk;
        match key.raw {
            b"id" => once(&mut chunk.id, cursor.value()?)?,
            b"created" => once(&mut chunk.created, cursor.value()?)?,
            b"model" => once(&mut chunk.model, cursor.value()?)?,
            b"object" => {
                chunk.object = true;
                ensure(cursor.value()?.text == b"\"chat.completion.chunk\"")?;
            }
            b"choices" => {
                ensure(!std::mem::replace(&mut chunk.choices, true))?;
                let mut count = 0;
                cursor.elements(|cursor| {
                    count += 1;
                    ensure(count == 1)?;
                    cursor.members(|key, cursor| chunk.choice(&key, cursor))
                })?;
                ensure(count == 1)?;
            }
            b"usage" => {
                ensure(cursor.value()?.kind == Kind::Null && chunk.end > 0)?;
                once(&mut chunk.usage, chunk.end..cursor.at())?;
            }
            b"error" => return Err(Deviates),
            name => {
                plain(key)?;
                let value = cursor.value()?;
                // Groq states its usage inside.
                ensure(name != b"x_groq" || value.get(b"usage").is_none())?;
                if chunk.hides && !hide::shows(name) {
                    chunk.cut(chunk.end..cursor.at())?;
                }
            }
        }
        self.chunk.end = cursor.at();
        Ok(())
    }

    fn finish(mut self) -> Result<Look, Deviates> {
        ensure(self.chunk.object)?;
        let envelope = self.envelope()?;
        self.judge()?;
        let delta = self.chunk.delta.take().ok_or(Deviates)?;
        if let Some((at, value)) = delta.reasoning
            && !delta.reasoning_content
        {
            let mut again = br#""reasoning_content":"#.to_vec();
            again.extend_from_slice(value.text);
            again.push(b',');
            self.found.edits.push(Edit::insert(at, again));
        }
        self.found.edits.extend(envelope);
        self.found.edits.extend(self.chunk.cuts.drain(..).map(Edit::cut));
        match (self.chunk.usage.take(), self.style.include_usage) {
            (None, true) => self.found.edits.push(Edit::insert(self.chunk.end, r#","usage":null"#)),
            (Some(range), false) => self.found.edits.push(Edit::cut(range)),
            (Some(_), true) | (None, false) => {}
        }
        self.found.edits.sort_by_key(|edit| edit.range.start);
        Ok(self.found)
    }

    /// `id`, `created` and `model` are there, and the same as before. Gives the
    /// edits that show the caller another id and another model's name.
    fn envelope(&mut self) -> Result<impl Iterator<Item = Edit> + use<>, Deviates> {
        let Chunk { id: Some(id), created: Some(created), model: Some(model), .. } = self.chunk else {
            return Err(Deviates);
        };
        let known = if let Some(known) = &self.state.envelope {
            ensure(id.text == known.id && created.text == known.created && model.text == known.model)?;
            known
        } else {
            ensure(id.inner().is_some_and(|id| !id.is_empty()) && created.as_u64().is_some())?;
            ensure(model.kind == Kind::String)?;
            let (upstream_id, upstream) =
                (Bytes::copy_from_slice(id.text), Bytes::copy_from_slice(model.text));
            let envelope = Envelope {
                shown_id: shown_id(self.style, &upstream_id),
                id: upstream_id,
                created: Bytes::copy_from_slice(created.text),
                shown: shown(self.style, &upstream),
                model: upstream,
            };
            self.found.envelope.insert(envelope)
        };
        let changed = [(id, &known.shown_id), (model, &known.shown)].map(|(value, shown)| {
            (value.text != shown).then(|| Edit::replace(value.start..value.end(), shown.clone()))
        });
        Ok(changed.into_iter().flatten())
    }

    /// Whether the choice may say this now.
    fn judge(&mut self) -> Result<(), Deviates> {
        let (Some(delta), Some(index)) = (&self.chunk.delta, self.chunk.index) else { return Err(Deviates) };
        let index = usize::try_from(index).map_err(|_| Deviates)?;
        let choice = self.state.choices.get(index);
        let opens = choice.is_none();
        ensure(!opens || index == self.state.choices.len() && index < super::state::MOST_CHOICES)?;
        // Role and content come first, and the role only then.
        ensure(delta.role == opens && (delta.content || !opens))?;
        ensure(choice.is_none_or(|choice| !choice.finished))?;
        if let Some(call) = &delta.call {
            let calls = choice.map(|choice| &choice.calls);
            let next = calls.map_or(0, super::calls::Calls::len);
            let at = call.index.and_then(|index| usize::try_from(index).ok()).ok_or(Deviates)?;
            if at == next {
                let id = call.id.and_then(|id| id.as_str()).filter(|id| !id.is_empty()).ok_or(Deviates)?;
                ensure(calls.is_none_or(|calls| calls.is_new(at, &id)))?;
                ensure(call.named && call.typed && call.arguments.is_some() && at < MOST_CALLS)?;
                self.found.call = Some(id.into_owned());
            } else {
                ensure(calls.is_some_and(|calls| calls.is_straight(at)))?;
                ensure(call.id.is_none() && !call.named && call.function)?;
            }
        }
        let finish = self.chunk.finish.ok_or(Deviates)?;
        if finish.kind != Kind::Null {
            let word = finish.inner().and_then(|word| std::str::from_utf8(word).ok()).ok_or(Deviates)?;
            self.found.finish = Some(finish::canonical(word).ok_or(Deviates)?);
            ensure(!delta.says)?;
        }
        (self.found.index, self.found.opens) = (index, opens);
        // Reasoning under both names is one text.
        let other = delta.reasoning.filter(|_| !delta.reasoning_content);
        let other = other.and_then(|(_, text)| text.inner()).map_or(0, <[u8]>::len);
        (self.found.content, self.found.text) = (delta.says, delta.text + other as u64);
        let only = delta.texts == 1 && !opens && self.found.call.is_none() && self.found.finish.is_none();
        self.found.is_call = delta.call.is_some();
        self.found.said = only.then(|| delta.said.clone());
        Ok(())
    }
}

impl<'t> Chunk<'t> {
    /// What stands at `range`, from the end of the member before, is not shown.
    fn cut(&mut self, range: Range<usize>) -> Result<(), Deviates> {
        ensure(range.start > 0)?;
        self.cuts.push(range);
        Ok(())
    }

    fn choice(&mut self, key: &Key<'t>, cursor: &mut Cursor<'t>) -> Result<(), Deviates> {
        match key.raw {
            b"index" => once(&mut self.index, cursor.value()?.as_u64().ok_or(Deviates)?)?,
            b"finish_reason" => once(&mut self.finish, cursor.value()?)?,
            b"delta" => {
                let mut delta = Delta::default();
                cursor.members(|key, cursor| delta.member(&key, cursor))?;
                once(&mut self.delta, delta)?;
            }
            name => {
                plain(key)?;
                cursor.value()?;
                if self.hides && !hide::shows_of_choice(name) {
                    self.cut(self.choice_end..cursor.at())?;
                }
            }
        }
        self.choice_end = cursor.at();
        Ok(())
    }
}
