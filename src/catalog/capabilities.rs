//! What endpoints can do and requests need.

use serde::{Deserialize, Serialize};

/// What a request can need and an endpoint can do, as a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capabilities(pub u32);

impl Capabilities {
    /// Function tools.
    pub const TOOLS: Capabilities = Capabilities(1);
    /// `response_format` with a JSON schema.
    pub const JSON_SCHEMA: Capabilities = Capabilities(1 << 1);
    /// Images in messages.
    pub const VISION: Capabilities = Capabilities(1 << 2);
    /// Audio in messages or answers.
    pub const AUDIO: Capabilities = Capabilities(1 << 3);
    /// Reasoning effort can be asked for.
    pub const REASONING: Capabilities = Capabilities(1 << 4);
    /// Log probabilities.
    pub const LOGPROBS: Capabilities = Capabilities(1 << 5);
    /// More than one choice per request.
    pub const N: Capabilities = Capabilities(1 << 6);
    /// Files (PDF) in messages.
    pub const FILES: Capabilities = Capabilities(1 << 7);
    /// Every capability: what is assumed of an endpoint whose table says nothing.
    pub const ALL: Capabilities = Capabilities(u32::MAX);

    /// Names in configuration and messages.
    pub const NAMES: [(&'static str, Capabilities); 8] = [
        ("tools", Self::TOOLS),
        ("json_schema", Self::JSON_SCHEMA),
        ("vision", Self::VISION),
        ("audio", Self::AUDIO),
        ("reasoning", Self::REASONING),
        ("logprobs", Self::LOGPROBS),
        ("n", Self::N),
        ("files", Self::FILES),
    ];

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    #[must_use]
    pub const fn has(self, other: Capabilities) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in `self` and not in `other`, by name.
    #[must_use]
    pub fn lacking_in(self, other: Capabilities) -> Vec<&'static str> {
        let missing = self.0 & !other.0;
        Self::NAMES.iter().filter(|(_, bit)| missing & bit.0 != 0).map(|(name, _)| *name).collect()
    }
}
