//! What messages need of an endpoint, and how many tokens they may be.

use std::ops::Range;

use super::BadRequest;
use super::control::wrong;
use crate::catalog::Capabilities;
use crate::json::{Cursor, Kind, Raw};

/// Bytes of text in a token: English prose and code have about four in every
/// current tokenizer; other scripts have fewer letters but more bytes a letter.
const BYTES_PER_TOKEN: u64 = 4;
/// Tokens around each message: its role and borders (OpenAI's cookbook says 3;
/// others one or two more).
const PER_MESSAGE: u64 = 4;
/// An image at high detail: what OpenAI charges for 1024 × 1024.
const PER_IMAGE: u64 = 765;
/// An image at low detail, of any size (OpenAI).
const PER_SMALL_IMAGE: u64 = 85;
/// A piece of audio: about a minute at OpenAI's ten tokens a second.
const PER_AUDIO: u64 = 600;
/// A file: about three pages.
const PER_FILE: u64 = 2_000;

/// What is found while messages are read.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// What the endpoint must be able to do.
    pub(super) needs: Capabilities,
    /// Bytes that become tokens as text.
    pub(super) text: u64,
    /// Tokens of what is not text.
    pub(super) other: u64,
    /// Where the content stands that says what is asked: the last of the user's,
    /// else of anybody's.
    pub(super) asked: Range<usize>,
    by_user: bool,
    /// Whether an answer of the model is among the messages.
    pub(super) continues: bool,
}

impl Tally {
    /// Input tokens, roughly.
    pub(super) fn tokens(&self) -> u32 {
        let tokens = self.text.div_ceil(BYTES_PER_TOKEN).saturating_add(self.other);
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }

    /// Counts a value whose text the model will see as it is written.
    pub(super) fn count(&mut self, value: &Raw<'_>) {
        self.text += value.text.len() as u64;
    }

    fn need(&mut self, capability: Capabilities) {
        self.needs = self.needs.with(capability);
    }

    /// Reads the array `messages`; the cursor stands before it.
    pub(super) fn messages(&mut self, cursor: &mut Cursor<'_>) -> Result<(), BadRequest> {
        if cursor.kind()? != Kind::Array {
            return Err(wrong("messages", "an array", &cursor.value()?));
        }
        let mut count = 0_usize;
        cursor.elements(|cursor| {
            if cursor.kind()? != Kind::Object {
                return Err(wrong(&format!("messages[{count}]"), "an object", &cursor.value()?));
            }
            self.other += PER_MESSAGE;
            let (mut by_user, mut written) = (false, None);
            cursor.members::<BadRequest>(|key, cursor| match key.raw {
                b"content" => {
                    let start = cursor.at();
                    self.content(count, cursor)?;
                    written = Some(start..cursor.at());
                    Ok(())
                }
                b"role" => {
                    let role = cursor.value()?.as_str();
                    by_user = role.as_deref() == Some("user");
                    self.continues |= role.as_deref() == Some("assistant");
                    Ok(())
                }
                b"tool_call_id" => cursor.value().map(drop).map_err(Into::into),
                _ => {
                    let value = cursor.value()?;
                    self.count(&value);
                    Ok(())
                }
            })?;
            if let Some(written) = written.filter(|_| by_user || !self.by_user) {
                (self.asked, self.by_user) = (written, by_user);
            }
            count += 1;
            Ok(())
        })?;
        match count {
            0 => Err(BadRequest::field("messages", "messages must not be empty")),
            _ => Ok(()),
        }
    }

    fn content(&mut self, message: usize, cursor: &mut Cursor<'_>) -> Result<(), BadRequest> {
        match cursor.kind()? {
            Kind::Null => cursor.value().map(drop).map_err(Into::into),
            Kind::Array => cursor.elements(|cursor| self.part(cursor)),
            Kind::String => {
                let text = cursor.value()?;
                self.count(&text);
                Ok(())
            }
            Kind::Bool | Kind::Number | Kind::Object => {
                let path = format!("messages[{message}].content");
                Err(wrong(&path, "a string or an array of parts", &cursor.value()?))
            }
        }
    }

    /// One content part. It is told by the members it has, not by its `type`
    /// alone, since upstreams differ in which of the two they look at.
    fn part(&mut self, cursor: &mut Cursor<'_>) -> Result<(), BadRequest> {
        if cursor.kind()? != Kind::Object {
            let value = cursor.value()?;
            self.count(&value);
            return Ok(());
        }
        cursor.members(|key, cursor| {
            let value = cursor.value()?;
            match key.raw {
                b"image_url" | b"image" | b"input_image" => {
                    self.need(Capabilities::VISION);
                    let low = value.get(b"detail").and_then(|detail| detail.as_str());
                    self.other += if low.as_deref() == Some("low") { PER_SMALL_IMAGE } else { PER_IMAGE };
                }
                b"input_audio" => {
                    self.need(Capabilities::AUDIO);
                    self.other += PER_AUDIO;
                }
                b"file" | b"input_file" => {
                    self.need(Capabilities::FILES);
                    self.other += PER_FILE;
                }
                b"type" => {}
                _ => self.count(&value),
            }
            Ok(())
        })
    }
}
