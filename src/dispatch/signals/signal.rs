//! What may be found in an answer, and what it counts.

/// Something found in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Nothing is wrong with its form.
    Sound,
    /// JSON was asked for and this is none.
    NotJson,
    /// The JSON is not what the request's schema says.
    SchemaMismatch,
    /// It calls a tool that was not offered.
    ToolUnknown,
    /// The arguments of a call are no JSON.
    ToolNotJson,
    /// The arguments of a call are not what the tool's schema says.
    ToolMismatch,
    /// There is nothing in it.
    Empty,
    /// It ends at a limit that the caller has not set.
    CutShort,
    /// The model refuses.
    Refused,
    /// The caller has asked the same again.
    AskedAgain,
}

impl Signal {
    /// All of them, each with its word and with how useless it makes an answer, from
    /// 0 to 1.
    ///
    /// Who asked for JSON can do nothing with an answer that is none, and who offered
    /// tools nothing with a call of another: such answers are useless. A refusal or an
    /// end at a limit may be the prompt's doing, so they count half; and whoever asks
    /// the same again may have many reasons, so that counts a quarter. What is the
    /// prompt's doing happens to all endpoints of a model alike and changes nothing
    /// between them.
    pub const TABLE: [(Signal, &'static str, f64); 10] = [
        (Signal::Sound, "sound", 0.0),
        (Signal::NotJson, "not_json", 1.0),
        (Signal::SchemaMismatch, "schema_mismatch", 1.0),
        (Signal::ToolUnknown, "tool_unknown", 1.0),
        (Signal::ToolNotJson, "tool_not_json", 1.0),
        (Signal::ToolMismatch, "tool_schema_mismatch", 1.0),
        (Signal::Empty, "empty", 1.0),
        (Signal::CutShort, "cut_short", 0.5),
        (Signal::Refused, "refused", 0.5),
        (Signal::AskedAgain, "asked_again", 0.25),
    ];

    fn row(self) -> (&'static str, f64) {
        let row = Self::TABLE.iter().find(|(signal, ..)| *signal == self);
        row.map_or(("sound", 0.0), |(_, label, defect)| (*label, *defect))
    }

    /// The word in metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.row().0
    }

    /// How useless it makes an answer, from 0 to 1.
    #[must_use]
    pub fn defect(self) -> f64 {
        self.row().1
    }
}
