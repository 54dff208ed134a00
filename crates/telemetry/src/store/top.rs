//! The first so many of a stream of entries, in bounded memory.

use std::collections::BTreeMap;

/// Keeps the `limit` entries with the smallest keys. Equal keys are the same entry.
pub(crate) struct Top<K, V> {
    limit: usize,
    entries: BTreeMap<K, V>,
}

impl<K: Ord, V> Top<K, V> {
    pub fn new(limit: usize) -> Self {
        Self { limit, entries: BTreeMap::new() }
    }

    /// Whether an entry with this key would be kept.
    pub fn wants(&self, key: &K) -> bool {
        self.entries.len() < self.limit || self.entries.last_key_value().is_some_and(|(last, _)| key < last)
    }

    pub fn insert(&mut self, key: K, value: impl FnOnce() -> V) {
        if !self.wants(&key) {
            return;
        }
        self.entries.entry(key).or_insert_with(value);
        if self.entries.len() > self.limit {
            self.entries.pop_last();
        }
    }

    /// In ascending order of keys.
    pub fn into_values(self) -> impl Iterator<Item = V> {
        self.entries.into_values()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_smallest_keys_stay_once_each() {
        for (limit, expected) in [(0, vec![]), (1, vec![1]), (3, vec![1, 2, 3]), (9, vec![1, 2, 3, 5])] {
            let mut top = Top::new(limit);
            for key in [5, 2, 1, 2, 3, 1, 5] {
                top.insert(key, || key);
            }
            assert_eq!(top.into_values().collect::<Vec<_>>(), expected, "limit {limit}");
        }
    }
}
