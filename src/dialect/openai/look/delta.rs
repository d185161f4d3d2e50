//! What a canonical delta says.

use std::ops::Range;

use super::{Deviates, ensure, once, plain};
use crate::json::{Cursor, Key, Kind, Raw};

/// What a delta has.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each tells of another member")]
pub(super) struct Delta<'t> {
    pub(super) role: bool,
    pub(super) content: bool,
    pub(super) says: bool,
    pub(super) text: u64,
    /// How many texts there are, and where the last is.
    pub(super) texts: u32,
    pub(super) said: Range<usize>,
    pub(super) reasoning: Option<(usize, Raw<'t>)>,
    pub(super) reasoning_content: bool,
    pub(super) call: Option<Call<'t>>,
}

/// The one element of `tool_calls`.
#[derive(Default)]
pub(super) struct Call<'t> {
    pub(super) index: Option<u64>,
    pub(super) id: Option<Raw<'t>>,
    pub(super) named: bool,
    pub(super) function: bool,
    pub(super) typed: bool,
    pub(super) arguments: Option<Raw<'t>>,
}

impl<'t> Delta<'t> {
    /// Takes the next member.
    pub(super) fn member(&mut self, key: &Key<'t>, cursor: &mut Cursor<'t>) -> Result<(), Deviates> {
        match key.raw {
            b"role" => {
                ensure(cursor.value()?.text == b"\"assistant\"" && !std::mem::replace(&mut self.role, true))
            }
            b"content" => {
                ensure(!std::mem::replace(&mut self.content, true))?;
                self.text(&cursor.value()?)
            }
            b"refusal" => self.text(&cursor.value()?),
            b"reasoning_content" => {
                self.reasoning_content = true;
                self.text(&cursor.value()?)
            }
            b"reasoning" => {
                let value = cursor.value()?;
                if value.kind != Kind::Null {
                    self.says |= !value.inner().ok_or(Deviates)?.is_empty();
                    once(&mut self.reasoning, (key.start, value))?;
                    // It may have to be said twice.
                    self.texts += 2;
                }
                Ok(())
            }
            b"tool_calls" => {
                cursor.elements(|cursor| {
                    let mut call = Call::default();
                    cursor.members(|key, cursor| call.member(&key, cursor))?;
                    if let Some(arguments) = &call.arguments {
                        self.tell(arguments);
                    }
                    once(&mut self.call, call)
                })?;
                self.says = true;
                ensure(self.call.is_some())
            }
            b"function_call" | b"audio" => {
                let value = cursor.value()?;
                self.says |= value.kind == Kind::Object;
                self.text += if value.kind == Kind::Object { value.text.len() as u64 } else { 0 };
                Ok(())
            }
            // Names of the choice that some put into the delta.
            b"index" | b"finish_reason" => Err(Deviates),
            _ => {
                plain(key)?;
                let value = cursor.value()?;
                ensure(value.elements().flatten().all(|element| {
                    element.kind != Kind::Object
                        || element.get(b"index").is_some_and(|at| at.as_u64().is_some())
                }))
            }
        }
    }

    /// A text that may be null.
    fn text(&mut self, value: &Raw<'t>) -> Result<(), Deviates> {
        ensure(matches!(value.kind, Kind::String | Kind::Null))?;
        self.says |= value.inner().is_some_and(|text| !text.is_empty());
        if value.kind == Kind::String {
            self.tell(value);
        }
        Ok(())
    }

    fn tell(&mut self, text: &Raw<'t>) {
        self.text += text.inner().map_or(0, <[u8]>::len) as u64;
        self.texts += 1;
        self.said = text.start + 1..text.end().saturating_sub(1);
    }
}

impl<'t> Call<'t> {
    fn member(&mut self, key: &Key<'t>, cursor: &mut Cursor<'t>) -> Result<(), Deviates> {
        match key.raw {
            b"index" => once(&mut self.index, cursor.value()?.as_u64().ok_or(Deviates)?),
            b"id" => once(&mut self.id, cursor.value()?),
            b"type" => {
                self.typed = true;
                ensure(cursor.value()?.text == b"\"function\"")
            }
            b"function" => {
                ensure(!std::mem::replace(&mut self.function, true))?;
                cursor.members(|key, cursor| match key.raw {
                    b"name" => {
                        let value = cursor.value()?;
                        ensure(value.inner().is_some_and(|name| !name.is_empty()))?;
                        ensure(!std::mem::replace(&mut self.named, true))
                    }
                    b"arguments" => {
                        let value = cursor.value()?;
                        ensure(value.kind == Kind::String)?;
                        once(&mut self.arguments, value)
                    }
                    _ => {
                        plain(&key)?;
                        cursor.value()?;
                        Ok(())
                    }
                })
            }
            _ => {
                plain(key)?;
                cursor.value()?;
                Ok(())
            }
        }
    }
}
