//! One event of a stream, taken apart in one pass.

use crate::json::{Cursor, JsonError, Raw};

/// The members of an event that mean something.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::dialect) struct Event<'t> {
    /// `type`: what kind of event it is.
    pub(in crate::dialect) kind: Option<Raw<'t>>,
    /// `message`, of `message_start`.
    pub(in crate::dialect) message: Option<Raw<'t>>,
    /// `content_block`, of `content_block_start`.
    pub(in crate::dialect) block: Option<Raw<'t>>,
    /// `delta`, of `content_block_delta` and `message_delta`.
    pub(in crate::dialect) delta: Option<Raw<'t>>,
    /// `usage`, of `message_delta`.
    pub(in crate::dialect) usage: Option<Raw<'t>>,
    /// Whether there is an `error`.
    pub(in crate::dialect) error: bool,
}

impl<'t> Event<'t> {
    /// # Errors
    /// When `data` is not a JSON object.
    pub(in crate::dialect) fn read(data: &'t [u8]) -> Result<Self, JsonError> {
        let mut event = Event::default();
        let mut cursor = Cursor::new(data);
        cursor.members(|key, cursor| {
            let value = cursor.value()?;
            match key.raw {
                b"type" => event.kind = Some(value),
                b"message" => event.message = Some(value),
                b"content_block" => event.block = Some(value),
                b"delta" => event.delta = Some(value),
                b"usage" => event.usage = Some(value),
                b"error" => event.error = value.text != b"null",
                _ => {}
            }
            Ok::<(), JsonError>(())
        })?;
        cursor.end()?;
        Ok(event)
    }
}

/// The members of a block, or of a delta of one, that mean something. Both have
/// the same names, so an upstream may say in the one what others say in the other.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::dialect) struct Block<'t> {
    /// `type`, without quotes.
    pub(in crate::dialect) kind: &'t [u8],
    /// `text`
    pub(in crate::dialect) text: &'t [u8],
    /// `thinking`
    pub(in crate::dialect) thinking: &'t [u8],
    /// `signature`
    pub(in crate::dialect) signature: &'t [u8],
    /// `data`, of thinking that cannot be read.
    pub(in crate::dialect) data: &'t [u8],
    /// `partial_json`
    pub(in crate::dialect) partial_json: &'t [u8],
    /// `id`
    pub(in crate::dialect) id: &'t [u8],
    /// `name`
    pub(in crate::dialect) name: &'t [u8],
    /// `input`
    pub(in crate::dialect) input: Option<Raw<'t>>,
    /// Where the last of `text` and `thinking` begins in the event's data.
    pub(in crate::dialect) at: usize,
}

impl<'t> Block<'t> {
    /// Texts stand as between their quotes; what is missing or no text is empty.
    pub(in crate::dialect) fn read(object: &Raw<'t>) -> Self {
        let mut block = Block::default();
        for (key, value) in object.members().flatten() {
            let text = value.inner().unwrap_or_default();
            if matches!(key.raw, b"text" | b"thinking") {
                block.at = value.start + 1;
            }
            match key.raw {
                b"type" => block.kind = text,
                b"text" => block.text = text,
                b"thinking" => block.thinking = text,
                b"signature" => block.signature = text,
                b"data" => block.data = text,
                b"partial_json" => block.partial_json = text,
                b"id" => block.id = text,
                b"name" => block.name = text,
                b"input" => block.input = Some(value),
                _ => {}
            }
        }
        block
    }

    /// Every text of it.
    pub(in crate::dialect) fn texts(&self) -> [&'t [u8]; 7] {
        [self.text, self.thinking, self.signature, self.data, self.partial_json, self.id, self.name]
    }
}
