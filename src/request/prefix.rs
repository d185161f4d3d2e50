//! A prompt's beginnings, as hashes: by them a provider's prompt cache is
//! remembered without keeping a word of the prompt.
//!
//! The hash at each mark covers everything before it, so two prompts that agree
//! at a mark agree up to there. Marks stand where they stand whatever follows,
//! which is what lets a conversation be recognised that has gone on.

/// Bytes between marks at first: about 64 tokens.
const BLOCK: usize = 256;
/// Later, a block is this share of what stands before it: so that the longest
/// prompt (32 MiB) has about 800 marks, and a length is still known to 1.6 %.
const SHARE: usize = 64;

/// The beginnings of one prompt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prefix {
    marks: Vec<Mark>,
    length: u64,
}

/// One beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Of all that stands before it.
    pub hash: u64,
    /// How much that is, in the unit of the prompt's length.
    pub end: u64,
}

impl Prefix {
    /// The beginnings of the text that `parts` are together, in bytes.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Prefix {
        let mut prefix = Prefix::default();
        let (mut hash, mut open, mut left) = (Chain::default(), 0_u64, BLOCK);
        for part in parts {
            let mut rest = *part;
            while let Some((block, after)) = rest.split_at_checked(left) {
                hash.add(block);
                open += block.len() as u64;
                prefix.marks.push(Mark { hash: hash.0, end: open });
                left = usize::try_from(open).map_or(usize::MAX, |open| (open / SHARE).max(BLOCK));
                rest = after;
            }
            hash.add(rest);
            open += rest.len() as u64;
            left -= rest.len();
        }
        prefix.length = open;
        prefix
    }

    /// The beginnings of a prompt of `length` tokens that is known only by the
    /// numbers of its blocks of `block` tokens each, as in a trace.
    #[must_use]
    pub fn of_blocks(numbers: &[u64], block: u64, length: u64) -> Prefix {
        let mut hash = Chain::default();
        let ends = (1..).map(|count: u64| (count * block).min(length));
        let mark = |(number, end): (&u64, u64)| {
            hash.word(*number);
            Mark { hash: hash.0, end }
        };
        Prefix { marks: numbers.iter().zip(ends).map(mark).collect(), length }
    }

    /// All beginnings, the shortest first.
    #[must_use]
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Which share of the prompt stands before a mark at `end` (0..1).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
    pub fn share(&self, end: u64) -> f64 {
        if self.length == 0 { 0.0 } else { (end as f64 / self.length as f64).min(1.0) }
    }
}

/// A hash that goes on: multiplied and folded, eight bytes at a time. It resists
/// accidents, not attacks: whoever makes two of its own prompts collide is told
/// wrong prices of its own, and tenants are told apart elsewhere.
#[derive(Debug, Default)]
struct Chain(u64);

impl Chain {
    fn add(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.word(u64::from_le_bytes(last));
        }
    }

    fn word(&mut self, word: u64) {
        /// Digits of π, odd: any such number would do.
        const FACTOR: u64 = 0x2437_54A3_0888_D313;
        let mixed = self.0 ^ word ^ FACTOR;
        let high = (u128::from(mixed) * u128::from(FACTOR)) >> 64;
        let high = u64::try_from(high).unwrap_or(0);
        self.0 = mixed.wrapping_mul(FACTOR) ^ high.rotate_left(23) ^ self.0.rotate_left(5);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn common(one: &Prefix, other: &Prefix) -> u64 {
        let alike = one.marks.iter().zip(&other.marks).take_while(|(one, other)| one == other);
        alike.last().map_or(0, |(mark, _)| mark.end)
    }

    #[test]
    fn a_conversation_that_goes_on_keeps_its_marks() {
        let before = vec![b'a'; 10_000];
        let after = [before.as_slice(), &[b'b'; 3_000]].concat();
        let (before, after) = (Prefix::of(&[&before]), Prefix::of(&[&after]));
        let common = common(&before, &after);
        assert!((9_700..=10_000).contains(&common), "{common}");
        assert!((before.share(common) - 1.0).abs() < 0.03);
    }

    #[test]
    fn the_longest_prompt_has_few_marks() {
        let prefix = Prefix::of(&[&vec![b' '; 32 << 20]]);
        assert!((500..900).contains(&prefix.marks.len()), "{}", prefix.marks.len());
    }

    #[test]
    fn blocks_of_a_trace_are_marks() {
        let one = Prefix::of_blocks(&[1, 2, 3], 512, 1100);
        let other = Prefix::of_blocks(&[1, 2, 9], 512, 1100);
        assert_eq!(common(&one, &other), 1024);
        assert!((one.share(one.marks[2].end) - 1.0).abs() < 1e-12);
        assert!(Prefix::default().share(1) < 1e-12);
    }

    proptest! {
        #[test]
        fn marks_agree_exactly_where_texts_do(
            shared in prop::collection::vec(any::<u8>(), 0..5_000),
            one in prop::collection::vec(any::<u8>(), 0..2_000),
            other in prop::collection::vec(any::<u8>(), 0..2_000),
        ) {
            let texts = [[&*shared, &*one].concat(), [&*shared, &*other].concat()];
            let alike = texts[0].iter().zip(&texts[1]).take_while(|(a, b)| a == b).count() as u64;
            let [one, other] = [&texts[0], &texts[1]].map(|text| Prefix::of(&[text]));
            let common = common(&one, &other);
            prop_assert!(common <= alike && alike - common < 256 + alike / 32, "{common} of {alike}");
        }
    }
}
