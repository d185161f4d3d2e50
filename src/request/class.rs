//! What kind of task a request is: which models are good at it, and how long
//! their answers get, depends on little else that can be seen beforehand.
//!
//! No model is asked. Requests with tools or for JSON say so themselves; for the
//! others the words that occur in the last message of the user are looked up in a
//! table of weights, at about five microseconds for a kilobyte, of which at most
//! eight are read. The table was trained on public sets of prompts by
//! `config/books/build_classes.py`, which also says how it does on prompts that it
//! has not seen.

use std::sync::LazyLock;

use super::words::{WORDS_END, hash, scan};
use crate::json::{Kind, Raw};

/// Books have room for this many classes.
pub const CLASSES: usize = 24;

/// The classes' names by number: first those of the table's columns in their
/// order, then the one that is told by the request's form alone.
pub const NAMES: [&str; 23] = [
    "chat",
    "code",
    "arithmetic",
    "mathematics",
    "physics",
    "chemistry",
    "engineering",
    "computing",
    "biology",
    "health",
    "law",
    "history",
    "philosophy",
    "psychology",
    "economics",
    "business",
    "knowledge",
    "writing",
    "translation",
    "summary",
    "extraction",
    "puzzle",
    "tools",
];
/// Whatever is not told apart.
pub const CHAT: u8 = 0;
/// Requests for JSON, or for facts out of a text.
pub const EXTRACTION: u8 = 20;
/// Requests with tools.
pub const TOOLS: u8 = 22;
/// Classes that the table tells apart.
const TOLD: usize = 22;

/// Built by `config/books/build_classes.py`.
const TABLE: &str = include_str!("../../config/books/classes.csv");
/// Words that the table may have: one bit each while a text is read.
const MOST_WORDS: usize = 4096;
/// Places of the hash table: sparse, so that most words that it does not have
/// are known by one look.
const PLACES: usize = 4 * MOST_WORDS;

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| {
    Detector::parse(TABLE).unwrap_or_else(|problem| {
        // Cannot happen to a binary that passed its tests.
        tracing::error!(problem, "the embedded table of classes is damaged");
        Detector::default()
    })
});

/// The name of `class`.
#[must_use]
pub fn name(class: u8) -> &'static str {
    NAMES.get(usize::from(class)).copied().unwrap_or("unknown")
}

/// The class of a request by the `content` of the message that asks: a string,
/// or an array of parts of which the texts are read.
#[must_use]
pub fn of_content(content: &Raw<'_>) -> u8 {
    let mut found = Found::new(&DETECTOR);
    match content.kind {
        Kind::String => found.read(content.text),
        Kind::Array => {
            let parts = content.elements().flatten();
            for text in parts.filter_map(|part| part.get(b"text")).filter(|text| text.kind == Kind::String) {
                found.read(text.text);
            }
        }
        Kind::Null | Kind::Bool | Kind::Number | Kind::Object => {}
    }
    found.class()
}

/// The class of a request that consists of `text`.
#[must_use]
pub fn of_text(text: &str) -> u8 {
    let mut found = Found::new(&DETECTOR);
    found.read_plain(text.as_bytes());
    found.class()
}

/// Starts reading the table, which the first request would else wait for (a few
/// milliseconds).
pub fn prepare() {
    LazyLock::force(&DETECTOR);
}

/// A word's weights for each class, in 1/16.
type Weights = [i8; CLASSES];

/// The table, by the hashes of its words.
#[derive(Debug)]
struct Detector {
    /// Hashes of words and their numbers; open addressing. 0 is a free place.
    places: Vec<(u64, u16)>,
    weights: Vec<Weights>,
    /// What every class starts with.
    bias: Weights,
}

impl Default for Detector {
    fn default() -> Self {
        Detector { places: vec![(0, 0); PLACES], weights: Vec::new(), bias: [0; CLASSES] }
    }
}

impl Detector {
    /// Reads a table: a row for each word, the empty word's weights are the bias.
    fn parse(text: &str) -> Result<Detector, &'static str> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().map_err(|_| "no header")?;
        if !header.iter().skip(1).eq(NAMES.into_iter().take(TOLD)) {
            return Err("other classes than the code's");
        }
        let mut detector = Detector::default();
        for record in reader.records() {
            let record = record.map_err(|_| "a row of another length")?;
            let mut weights = [0; CLASSES];
            for (weight, field) in weights.iter_mut().zip(record.iter().skip(1)) {
                *weight = field.parse().map_err(|_| "a weight that is no number within -127..127")?;
            }
            match record.get(0).unwrap_or_default() {
                "" => detector.bias = weights,
                word => detector.add(word, weights)?,
            }
        }
        Ok(detector)
    }

    fn add(&mut self, word: &str, weights: Weights) -> Result<(), &'static str> {
        let number = u16::try_from(self.weights.len()).ok().filter(|n| usize::from(*n) < MOST_WORDS);
        let number = number.ok_or("too many words")?;
        let own = hash(word.as_bytes());
        let free = probes(own).find(|place| self.places.get(*place).is_some_and(|(hash, _)| *hash == 0));
        let place = free.and_then(|place| self.places.get_mut(place)).ok_or("too many words")?;
        *place = (own, number);
        self.weights.push(weights);
        Ok(())
    }

    /// The number of the word with that hash.
    fn find(&self, own: u64) -> Option<u16> {
        for place in probes(own) {
            match self.places.get(place) {
                Some((hash, number)) if *hash == own => return Some(*number),
                Some((0, _)) | None => return None,
                Some(_) => {}
            }
        }
        None
    }
}

/// Where a word may stand, in the order of looking.
#[expect(clippy::cast_possible_truncation, reason = "only the low bits count")]
fn probes(hash: u64) -> impl Iterator<Item = usize> {
    (0..PLACES).map(move |step| (hash as usize).wrapping_add(step) % PLACES)
}

/// What has been read of a text.
struct Found<'d> {
    detector: &'d Detector,
    seen: [u64; MOST_WORDS / 64],
    /// Words of the table that occur.
    words: u16,
    sums: [i32; CLASSES],
    bytes: usize,
    lines: usize,
}

impl<'d> Found<'d> {
    fn new(detector: &'d Detector) -> Self {
        Found { detector, seen: [0; MOST_WORDS / 64], words: 0, sums: [0; CLASSES], bytes: 0, lines: 0 }
    }

    /// Reads a JSON string, with or without its quotes.
    fn read(&mut self, quoted: &[u8]) {
        let text = quoted.strip_prefix(b"\"").unwrap_or(quoted);
        let text = text.strip_suffix(b"\"").unwrap_or(text);
        self.scanned(text, true);
    }

    fn read_plain(&mut self, text: &[u8]) {
        self.scanned(text, false);
    }

    fn scanned(&mut self, text: &[u8], escaped: bool) {
        let most = WORDS_END.saturating_sub(self.bytes);
        let size = scan(text, escaped, most, |hash| self.word(hash));
        self.bytes += size.bytes;
        self.lines += size.lines;
    }

    /// Counts a word, once.
    fn word(&mut self, hash: u64) {
        let Some(number) = self.detector.find(hash) else { return };
        let bit = 1_u64 << (number % 64);
        let Some(seen) = self.seen.get_mut(usize::from(number / 64)).filter(|seen| **seen & bit == 0) else {
            return;
        };
        *seen |= bit;
        self.words += 1;
        if let Some(weights) = self.detector.weights.get(usize::from(number)) {
            for (sum, weight) in self.sums.iter_mut().zip(weights) {
                *sum += i32::from(*weight);
            }
        }
    }

    /// The class with the greatest sum, after length and number of lines have
    /// had their say.
    fn class(mut self) -> u8 {
        if self.bytes == 0 {
            return CHAT;
        }
        self.word(hash(format!("length{}", bits(self.bytes)).as_bytes()));
        self.word(hash(format!("lines{}", bits(self.lines.min(15))).as_bytes()));
        let scale = f32::from(self.words.max(1)).sqrt().recip();
        #[expect(clippy::cast_precision_loss, reason = "sums of a few thousand small numbers")]
        let total = |(sum, bias): (&i32, &i8)| *sum as f32 * scale + f32::from(*bias);
        let totals = self.sums.iter().zip(&self.detector.bias).map(total);
        let best = (0_u8..).zip(totals.take(TOLD)).max_by(|a, b| a.1.total_cmp(&b.1));
        best.map_or(CHAT, |(class, _)| class)
    }
}

/// Bits needed to write `number`.
fn bits(number: usize) -> u32 {
    usize::BITS - number.leading_zeros()
}

#[cfg(test)]
mod tests;
