//! What simulated providers say. The texts are our own; each has a character of
//! more than one byte among its first words, so that cuts inside one are possible.

/// Sound answers.
pub(super) const GOOD: &[&str] = &[
    "Briefly – the cheapest plant that can serve the next megawatt sets the price, and every dearer one waits its turn. \
     A gateway can treat language models the same way, request by request.",
    "Good question – start with what you can measure: the time to the first token, the tokens per second after it, and \
     what the answer cost. Everything else is opinion until a number stands beside it.",
    "Three steps – read the error, find the smallest input that still fails, and change one thing at a time. \
     When the failure moves you have learned something; when it vanishes, find out why before you move on.",
    "Zürich, Genève – both lie on a lake and both are dear. Take the early train, sit on the left side, and you will see \
     the vineyards before the sun is high.",
    "Naïve retries – each layer trying again three times – turn a small outage into a large one. Give the whole system \
     one budget for second tries and let it spend that where an answer is still likely.",
];

/// Answers of a provider on a bad day: fluent and of no use.
pub(super) const WEAK: &[&str] = &[
    "Well – it depends on many things, and there are many ways to look at it, and in the end it depends.",
    "As you said – that is what you said, and I could not agree more with what you have said.",
];

/// What reasoning looks like.
pub(super) const REASONING: &str =
    "The user wants a short answer – so name the rule first, then one example, then stop.";

/// What a refusal looks like.
pub(super) const REFUSAL: &str = "I’m sorry, but I cannot help with that.";

/// So many words of a text, repeated when it is shorter; each word but the
/// first begins with its blank, so that the pieces put together are the text.
#[must_use]
pub(super) fn words(text: &str, limit: Option<usize>) -> Vec<String> {
    let own = text.split_whitespace().count();
    text.split_whitespace()
        .cycle()
        .take(limit.unwrap_or(own))
        .enumerate()
        .map(|(at, word)| if at == 0 { word.to_owned() } else { format!(" {word}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_put_together_are_the_text() {
        for text in GOOD.iter().chain(WEAK) {
            assert_eq!(words(text, None).concat(), text.split_whitespace().collect::<Vec<_>>().join(" "));
            assert!(words(text, Some(4)).iter().any(|word| !word.is_ascii()), "{text}");
        }
        assert_eq!(words("a b", Some(5)).concat(), "a b a b a");
    }
}
