//! What holds for every fault: it is an edit of the proper answer.

use std::time::Duration;

use proptest::prelude::*;

use super::{Brief, Gaps, compose};
use crate::catalog::Dialect;
use crate::sim::behaviour::Behaviour;
use crate::sim::script::{Script, Step};
use crate::sim::speech::{Ask, Consumed, Content, Tale, speech};
use crate::sim::texts;

fn script(behaviour: &str, stream: bool) -> Script {
    let behaviour: Behaviour = behaviour.parse().unwrap();
    let content = Content { text: texts::words(texts::GOOD[0], Some(20)), ..Content::default() };
    let consumed =
        Consumed { prompt_tokens: 5, completion_tokens: 20, reasoning_tokens: 0, cached_tokens: 0 };
    compose(Brief {
        speech: speech(Dialect::OpenAi),
        ask: &Ask { model: "m".to_owned(), stream, include_usage: true, choices: 1, ..Ask::default() },
        tale: &Tale { number: 1, content, consumed, cost_usd: 0.0 },
        behaviour: &behaviour,
        first: Duration::ZERO,
        gaps: Gaps { mean: Duration::from_millis(3), jitter: 0.5, rng: fastrand::Rng::with_seed(1) },
        credential: None,
    })
}

/// All bytes that would be written, without framing.
fn bytes(script: &Script) -> Vec<u8> {
    let mut all = Vec::new();
    for step in &script.steps {
        if let Step::Raw(bytes) | Step::Body { bytes, .. } = step {
            all.extend_from_slice(bytes);
        }
    }
    all
}

fn point() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("start".to_owned()),
        Just("head".to_owned()),
        Just("preamble".to_owned()),
        Just("mid-char".to_owned()),
        Just("mid-json".to_owned()),
        Just("end".to_owned()),
        (0_u32..30).prop_map(|count| format!("events:{count}")),
        (0_usize..9000).prop_map(|count| format!("bytes:{count}")),
    ]
}

proptest! {
    #[test]
    fn a_cut_answer_is_the_front_of_the_whole(point in point(), stream: bool, reset: bool) {
        let how = if reset { "rst" } else { "fin" };
        let cut = script(&format!("cut={point}&how={how}"), stream);
        prop_assert_eq!(cut.steps.last(), Some(if reset { &Step::Rst } else { &Step::Fin }));
        let (whole, cut) = (bytes(&script("normal", stream)), bytes(&cut));
        prop_assert!(whole.starts_with(&cut), "{} of {}", cut.len(), whole.len());
    }

    #[test]
    fn a_stalled_answer_hangs_where_a_cut_one_ends(point in point(), stream: bool) {
        let (stalled, cut) = (script(&format!("stall={point}"), stream), script(&format!("cut={point}"), stream));
        prop_assert_eq!(stalled.steps.last(), Some(&Step::Hang));
        prop_assert_eq!(bytes(&stalled), bytes(&cut));
    }

    #[test]
    fn junk_is_added_and_nothing_else_is_lost(point in point()) {
        let plain = bytes(&script("framing=chunked", true));
        let with = bytes(&script(&format!("inject=error@{point}"), true));
        let junk = b"data: {\"error\"";
        let at = memchr::memmem::find(&with, junk).unwrap();
        let end = at + memchr::memmem::find(&with[at..], b"\n\n").unwrap() + 2;
        prop_assert_eq!([&with[..at], &with[end..]].concat(), plain);
    }

    #[test]
    fn no_text_is_a_behaviour_that_panics(text in "(cut|status|deep|burst|big-event)-[0-9]{1,4}(\\?(gap|delay|words|pad|slice)=[0-9]{1,5})?") {
        if text.parse::<Behaviour>().is_ok() {
            prop_assert!(!script(&text, true).steps.is_empty());
        }
    }
}
