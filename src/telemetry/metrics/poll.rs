//! What came of asking for something that others publish, as a label.

/// What came of asking once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollResult {
    /// Something new that is used from now on.
    Changed,
    /// What it was.
    Unchanged,
    /// Nobody answered, or not to the end.
    Unreachable,
    /// An answer that says no.
    Status,
    /// More than is read.
    TooLarge,
    /// Not what it should be.
    Garbage,
    /// Nothing in it.
    Empty,
    /// Less than half of what there was.
    Shrunk,
}

impl PollResult {
    /// All of them.
    pub const ALL: [PollResult; 8] = [
        PollResult::Changed,
        PollResult::Unchanged,
        PollResult::Unreachable,
        PollResult::Status,
        PollResult::TooLarge,
        PollResult::Garbage,
        PollResult::Empty,
        PollResult::Shrunk,
    ];

    /// The label's value.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            PollResult::Changed => "changed",
            PollResult::Unchanged => "unchanged",
            PollResult::Unreachable => "unreachable",
            PollResult::Status => "status",
            PollResult::TooLarge => "too_large",
            PollResult::Garbage => "garbage",
            PollResult::Empty => "empty",
            PollResult::Shrunk => "shrunk",
        }
    }

    /// Whether the source works.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, PollResult::Changed | PollResult::Unchanged)
    }
}
