//! What form an answer must have to be of use to who asked.

use serde::{Deserialize, Serialize};

use super::ChatRequest;

/// The form an answer must have. Endpoints that are sound in one form may not be
/// in another (a host without constrained decoding), so they are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Demand {
    /// Text for people: anything but nothing.
    #[default]
    Plain,
    /// JSON, of a schema or of any form; also when tools are offered besides.
    Structured,
    /// Calls of tools, where the model chooses to call some.
    Tools,
}

impl Demand {
    /// How many there are.
    pub const COUNT: usize = 3;
    /// All of them, in the order of [`Demand::index`].
    pub const ALL: [Demand; Self::COUNT] = [Demand::Plain, Demand::Structured, Demand::Tools];

    /// The word in metrics and messages.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Demand::Plain => "plain",
            Demand::Structured => "structured",
            Demand::Tools => "tools",
        }
    }

    /// Its place in [`Demand::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Demand::Plain => 0,
            Demand::Structured => 1,
            Demand::Tools => 2,
        }
    }
}

impl ChatRequest {
    /// What form the answer must have.
    #[must_use]
    pub fn demand(&self) -> Demand {
        match (&self.spans.json_format, &self.spans.tools) {
            (Some(_), _) => Demand::Structured,
            (None, Some(_)) => Demand::Tools,
            (None, None) => Demand::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_told_by_what_is_asked_for() {
        let demand = |members: &str| {
            let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{members}}}"#);
            ChatRequest::read(body.into()).unwrap().demand()
        };
        assert_eq!(demand(""), Demand::Plain);
        assert_eq!(demand(r#","response_format":{"type":"text"}"#), Demand::Plain);
        assert_eq!(demand(r#","tools":[],"response_format":null"#), Demand::Plain);
        assert_eq!(demand(r#","tools":[{"type":"function"}]"#), Demand::Tools);
        assert_eq!(demand(r#","functions":[{"name":"f"}]"#), Demand::Tools);
        let both = r#","tools":[{}],"response_format":{"type":"json_object"}"#;
        assert_eq!(demand(both), Demand::Structured);
        for (place, demand) in Demand::ALL.into_iter().enumerate() {
            assert_eq!(demand.index(), place);
        }
    }

    #[test]
    fn where_the_forms_are_described_is_remembered() {
        let body = r#"{"model":"m","functions":[{"name":"old"}], "tools" : [{"a":1}],"messages": [ {"role":"user","content":"x"} ],
            "response_format":{"type":"json_schema","json_schema":{}}}"#;
        let request = ChatRequest::read(body.into()).unwrap();
        let at = |range: &std::ops::Range<usize>| body.get(range.clone()).unwrap();
        assert_eq!(request.spans.tools.as_ref().map(at), Some(r#"[{"a":1}]"#));
        assert_eq!(
            request.spans.json_format.as_ref().map(at),
            Some(r#"{"type":"json_schema","json_schema":{}}"#)
        );
        assert_eq!(at(&request.spans.messages), r#"[ {"role":"user","content":"x"} ]"#);
    }
}
