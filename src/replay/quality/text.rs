//! The nearest prompts by their words: the router that is hardest to beat in
//! published comparisons, here with TF-IDF weights in place of embeddings.

use std::collections::{BTreeMap, HashMap};

use super::super::grid::Each;

/// Words that more than this share of the prompts have tell nothing apart.
const COMMON: f64 = 0.25;

/// Which prompts have a word, and its weight in each.
type Postings = Vec<(usize, f32)>;

/// Prompts that were seen, to be found by their words.
#[derive(Debug)]
pub struct Index {
    /// By word: which prompts have it, and its weight in each.
    postings: HashMap<String, Postings>,
    rarity: HashMap<String, f32>,
    count: usize,
}

fn words(text: &str) -> BTreeMap<String, f32> {
    let mut words = BTreeMap::new();
    for word in text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *words.entry(word.to_lowercase()).or_insert(0.0_f32) += 1.0;
    }
    for count in words.values_mut() {
        *count = 1.0 + count.ln();
    }
    words
}

impl Index {
    /// An index of `texts`, which are numbered in their order.
    #[must_use]
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "counts of prompts")]
    pub fn new<'t>(texts: impl Iterator<Item = &'t String>) -> Self {
        let documents: Vec<BTreeMap<String, f32>> = texts.map(|text| words(text)).collect();
        let count = documents.len();
        let mut having: HashMap<&String, usize> = HashMap::new();
        documents.iter().flat_map(BTreeMap::keys).for_each(|word| *having.entry(word).or_default() += 1);
        let rare = |having: usize| having as f64 <= COMMON * count as f64 || count < 8;
        let rarity: HashMap<String, f32> = having
            .into_iter()
            .filter(|(_, having)| rare(*having))
            .map(|(word, having)| (word.clone(), (count as f64 / having as f64).ln() as f32 + 0.1))
            .collect();
        let mut index = Index { postings: HashMap::new(), rarity, count };
        for (number, document) in documents.iter().enumerate() {
            for (word, weight) in index.weighed(document) {
                index.postings.entry(word).or_default().push((number, weight));
            }
        }
        index
    }

    /// Words with their weights, of length 1 together.
    fn weighed(&self, words: &BTreeMap<String, f32>) -> Vec<(String, f32)> {
        let known = words.iter().filter_map(|(word, count)| Some((word, count * self.rarity.get(word)?)));
        let weighed: Vec<(String, f32)> = known.map(|(word, weight)| (word.clone(), weight)).collect();
        let length = weighed.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt().max(1e-6);
        weighed.into_iter().map(|(word, weight)| (word, weight / length)).collect()
    }

    /// The `count` prompts that are most like `text`.
    #[must_use]
    pub fn nearest(&self, text: &str, count: usize) -> Vec<usize> {
        let mut likeness: Each<f32> = Each::new(0.0, self.count);
        for (word, weight) in self.weighed(&words(text)) {
            for (number, other) in self.postings.get(&word).into_iter().flatten() {
                likeness[*number] += weight * other;
            }
        }
        let mut numbers: Vec<usize> = (0..self.count).collect();
        let count = count.min(self.count);
        if count < numbers.len() && count > 0 {
            numbers.select_nth_unstable_by(count - 1, |a, b| {
                likeness[*b].total_cmp(&likeness[*a]).then(a.cmp(b))
            });
        }
        numbers.truncate(count);
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_with_the_same_rare_words_are_near() {
        let texts = ["the red fox", "the blue whale", "the red ant", "a green tree"].map(String::from);
        let mut nearest = Index::new(texts.iter()).nearest("one RED thing", 2);
        nearest.sort_unstable();
        assert_eq!(nearest, [0, 2]);
    }
}
