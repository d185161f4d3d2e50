//! Where the members of a request stand that may change on their way upstream.

use std::ops::Range;

/// A top-level member that encoding may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// `model`: the endpoint's own name for it goes upstream.
    Model,
    /// `stream_options`: usage is always asked for.
    StreamOptions,
    /// `max_tokens`: renamed for upstreams that know only the other name.
    MaxTokens,
    /// `max_completion_tokens`: likewise.
    MaxCompletionTokens,
    /// `temperature`, `top_p`, the penalties, `logit_bias`, `logprobs` and
    /// `top_logprobs`: left out for upstreams that refuse them.
    Sampling,
    /// `reasoning_effort`: on which that may depend.
    Effort,
    /// `merit`, `provider` and `models`: meant for us, removed.
    Control,
}

/// One such member: byte offsets in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which.
    pub name: Name,
    /// How many members stand before it in the object.
    pub position: usize,
    /// Its name, with the quotes.
    pub key: Range<usize>,
    /// Its value.
    pub value: Range<usize>,
    /// Where the member before it ends; where the object begins when there is none.
    pub before: usize,
    /// Where the member behind it begins; its own end when there is none.
    pub next: usize,
}

/// All that encoding needs to know of a body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spans {
    /// Offset just behind the opening brace.
    pub open: usize,
    /// In the order of the body.
    pub members: Vec<Member>,
    /// The array `messages`.
    pub messages: Range<usize>,
    /// `response_format`, when it asks for JSON.
    pub json_format: Option<Range<usize>>,
    /// `tools`, or the older `functions`, when there are any.
    pub tools: Option<Range<usize>>,
    /// The value of `stream_options.include_usage`.
    pub include_usage: Option<Range<usize>>,
    /// Whether `stream_options` has any member.
    pub options_empty: bool,
}

impl Spans {
    /// The member of that name, if the body has it.
    #[must_use]
    pub fn find(&self, name: Name) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// The bytes to leave out so that no member for which `gone` holds is left
    /// and commas still stand only between members; in order, not overlapping.
    #[must_use]
    pub fn cuts(&self, gone: impl Fn(&Member) -> bool) -> Vec<Range<usize>> {
        let mut leading = 0;
        let mut cuts = Vec::new();
        for member in self.members.iter().filter(|member| gone(member)) {
            // A member takes the comma before it along; where nothing is left
            // before it, the one behind it.
            cuts.push(match member.position == leading {
                true => member.key.start..member.next,
                false => member.before..member.value.end,
            });
            leading += usize::from(member.position == leading);
        }
        cuts
    }
}
