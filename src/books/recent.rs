//! A map that forgets what has not been touched for longest, in bounded memory.
//!
//! Two maps: what is touched goes into the young one; when that is half of what
//! may be kept, the old one is dropped and the young one becomes old. No lists,
//! no clocks, and forgetting costs nothing per entry.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Values by keys that are hashes already.
#[derive(Debug)]
pub(super) struct Recent<V> {
    young: ByHash<V>,
    old: ByHash<V>,
    most: usize,
}

type ByHash<V> = HashMap<u64, V, BuildHasherDefault<Given>>;

/// Passes on a key that is a hash already.
#[derive(Debug, Default)]
struct Given(u64);

impl Hasher for Given {
    fn write(&mut self, bytes: &[u8]) {
        // Not called for numbers; correct, if slow, all the same.
        self.0 = bytes.iter().fold(self.0, |hash, byte| super::mixed(hash ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl<V: Default> Recent<V> {
    /// Keeps at most `most` values.
    pub(super) fn new(most: usize) -> Self {
        Recent { young: ByHash::default(), old: ByHash::default(), most }
    }

    /// The value of that key, if it is remembered.
    pub(super) fn get(&self, key: u64) -> Option<&V> {
        self.young.get(&key).or_else(|| self.old.get(&key))
    }

    /// The value of that key, which counts as touched; a new one if there is none.
    pub(super) fn touch(&mut self, key: u64) -> &mut V {
        if self.young.len() >= (self.most / 2).max(1) && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        let Recent { young, old, .. } = self;
        young.entry(key).or_insert_with(|| old.remove(&key).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_touched_stays() {
        let mut recent = Recent::new(100);
        *recent.touch(7) = 70;
        for key in 1000..9000 {
            *recent.touch(key) = 1;
            assert_eq!(*recent.touch(7), 70, "{key}");
        }
        assert_eq!((recent.get(1000), recent.get(8999)), (None, Some(&1)));
    }

    proptest! {
        #[test]
        fn never_more_than_allowed_and_the_latest_half_always(keys in prop::collection::vec(0..200_u64, 0..600), most in 2..64_usize) {
            let mut recent = Recent::new(most);
            for (n, key) in keys.iter().enumerate() {
                *recent.touch(*key) = n;
                prop_assert!(recent.young.len() + recent.old.len() <= most);
            }
            for key in keys.iter().rev().take(most / 2) {
                prop_assert!(recent.get(*key).is_some());
            }
        }
    }
}
