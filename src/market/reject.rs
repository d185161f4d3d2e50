//! Why an endpoint cannot serve a request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::books::Why;
use crate::catalog::{Capabilities, EndpointId};

/// An endpoint that cannot serve a request, and the constraint that binds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// Its index in the generation of the decision.
    pub id: EndpointId,
    /// Its identity.
    pub endpoint: Arc<str>,
    /// The first constraint that it fails.
    pub reject: Reject,
}

/// A constraint that an endpoint fails.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reject {
    /// Its dialect is not built into this version.
    NotSpoken,
    /// It is on the request's `ignore` list.
    Ignored,
    /// It is not among those that the request allows (`only`, or `order`
    /// without fallbacks).
    NotAllowed,
    /// It cannot do what the request needs.
    Capability {
        /// What it lacks.
        lacks: Capabilities,
    },
    /// Prompt and answer do not fit its context.
    Context {
        /// Tokens needed, estimated.
        needs: u64,
        /// Tokens it has.
        has: u32,
    },
    /// It does not write as many tokens as asked for.
    MaxOutput {
        /// Tokens asked for.
        needs: u32,
        /// Tokens it writes at most.
        has: u32,
    },
    /// It runs in none of the regions that the request names, or nobody knows where.
    Region,
    /// It may keep what it is sent, and the request forbids that.
    Retention,
    /// Models may be trained on what it is sent, and the request forbids that.
    Training,
    /// It does not understand every parameter, and the request insists on that.
    Parameters,
    /// Nobody knows what it charges, or what it would cost is not a number.
    Unpriced,
    /// Its list price is above the ceiling (USD per million tokens).
    MaxPrice {
        /// Its price.
        price: f64,
        /// The ceiling.
        most: f64,
    },
    /// The request is expected to cost more than allowed (USD).
    MaxCost {
        /// Expected cost.
        cost: f64,
        /// The ceiling.
        most: f64,
    },
    /// Its quality is below the floor.
    MinQuality {
        /// Expected quality, 0..1.
        quality: f64,
        /// Judgements of its model behind that.
        judgements: f64,
        /// The floor.
        least: f64,
    },
    /// Its first token is not likely enough to come in time.
    Ttft {
        /// The probability that it does.
        probability: f64,
        /// The probability that is asked for.
        least: f64,
    },
    /// It is too likely to miss the deadline.
    Deadline {
        /// The probability that it does.
        probability: f64,
    },
    /// It rests: too many requests, an exhausted account, a refused credential.
    Resting {
        /// Why.
        why: Why,
        /// Until when (since the process started).
        until: Duration,
    },
    /// By its own account its limits do not leave enough for this request.
    Headroom {
        /// When they are whole again (since the process started).
        until: Duration,
    },
    /// It has been failing and its circuit is open, or half-open with a probe
    /// under way (`until` is unknown then).
    CircuitOpen {
        /// Until when (since the process started).
        until: Option<Duration>,
    },
}

impl Reject {
    /// The word in answers, logs and metrics; a closed set.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Reject::NotSpoken => "not_spoken",
            Reject::Ignored => "ignored",
            Reject::NotAllowed => "not_allowed",
            Reject::Capability { .. } => "capability",
            Reject::Context { .. } => "context",
            Reject::MaxOutput { .. } => "max_output",
            Reject::Region => "region",
            Reject::Retention => "retention",
            Reject::Training => "training",
            Reject::Parameters => "parameters",
            Reject::Unpriced => "unpriced",
            Reject::MaxPrice { .. } => "max_price",
            Reject::MaxCost { .. } => "max_cost",
            Reject::MinQuality { .. } => "min_quality",
            Reject::Ttft { .. } => "ttft",
            Reject::Deadline { .. } => "deadline",
            Reject::Resting { .. } => "resting",
            Reject::Headroom { .. } => "headroom",
            Reject::CircuitOpen { .. } => "circuit_open",
        }
    }

    /// Whether only another request or configuration would help; otherwise it
    /// passes by itself.
    #[must_use]
    pub const fn lasts(&self) -> bool {
        match self {
            Reject::Resting { .. } | Reject::Headroom { .. } | Reject::CircuitOpen { .. } => false,
            Reject::NotSpoken
            | Reject::Ignored
            | Reject::NotAllowed
            | Reject::Capability { .. }
            | Reject::Context { .. }
            | Reject::MaxOutput { .. }
            | Reject::Region
            | Reject::Retention
            | Reject::Training
            | Reject::Parameters
            | Reject::Unpriced
            | Reject::MaxPrice { .. }
            | Reject::MaxCost { .. }
            | Reject::MinQuality { .. }
            | Reject::Ttft { .. }
            | Reject::Deadline { .. } => true,
        }
    }

    /// Whether it misses a limit to price, quality or time, which an endpoint could
    /// keep another time or for another request, rather than a need.
    #[must_use]
    pub const fn is_goal(&self) -> bool {
        matches!(
            self,
            Reject::MaxPrice { .. }
                | Reject::MaxCost { .. }
                | Reject::MinQuality { .. }
                | Reject::Ttft { .. }
                | Reject::Deadline { .. }
        )
    }

    /// When it passes, if that is known (since the process started).
    #[must_use]
    pub const fn until(&self) -> Option<Duration> {
        match self {
            Reject::Resting { until, .. } | Reject::Headroom { until } => Some(*until),
            Reject::CircuitOpen { until } => *until,
            _ => None,
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reject::NotSpoken => f.write_str("its dialect is not supported yet"),
            Reject::Ignored => f.write_str("the request ignores it"),
            Reject::NotAllowed => f.write_str("the request does not allow it"),
            Reject::Capability { lacks } => {
                write!(f, "it lacks {}", lacks.lacking_in(Capabilities::default()).join(", "))
            }
            Reject::Context { needs, has } => {
                write!(f, "about {needs} tokens do not fit its context of {has}")
            }
            Reject::MaxOutput { needs, has } => {
                write!(f, "{needs} output tokens were asked for and it writes at most {has}")
            }
            Reject::Region => f.write_str("it is not known to run in a region that the request names"),
            Reject::Retention => f.write_str("it is not known to keep nothing"),
            Reject::Training => f.write_str("it is not known not to train on what it is sent"),
            Reject::Parameters => f.write_str("it does not understand every parameter of the request"),
            Reject::Unpriced => f.write_str("its price is unknown"),
            Reject::MaxPrice { price, most } => {
                write!(f, "its price of {price} USD per million tokens is above the ceiling of {most}")
            }
            Reject::MaxCost { cost, most } => {
                write!(f, "the expected cost of {cost:.9} USD is above the ceiling of {most:.9}")
            }
            Reject::MinQuality { quality, judgements, least } => {
                write!(
                    f,
                    "its quality of {quality:.3} ({judgements:.0} judgements) is below the floor of {least}"
                )
            }
            Reject::Ttft { probability, least } => {
                write!(f, "its first token is in time with probability {probability:.3}, not {least}")
            }
            Reject::Deadline { probability } => {
                write!(f, "it misses the deadline with probability {probability:.3}")
            }
            Reject::Resting { why: Why::RateLimit, .. } => {
                f.write_str("it asked for fewer requests and rests")
            }
            Reject::Resting { why: Why::Quota, .. } => f.write_str("its account is exhausted"),
            Reject::Resting { why: Why::Key, .. } => f.write_str("it refused our credential"),
            Reject::Headroom { .. } => f.write_str("its limits do not leave enough for this request"),
            Reject::CircuitOpen { .. } => f.write_str("it has been failing and its circuit is open"),
        }
    }
}
