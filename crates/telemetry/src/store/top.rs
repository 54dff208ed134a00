//! The first so many of a stream of entries, in bounded memory.

use std::collections::BTreeMap;

/// Which of the entries with equal keys comes first: the rows of one message have the same time and offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ties {
    /// What was inserted first.
    OldestFirst,
    /// What was inserted last.
    NewestFirst,
}

/// Keeps the `limit` entries with the smallest keys.
pub(crate) struct Top<K, V> {
    limit: usize,
    ties: Ties,
    inserted: i64,
    entries: BTreeMap<(K, i64), V>,
}

impl<K: Ord, V> Top<K, V> {
    pub fn new(limit: usize, ties: Ties) -> Self {
        Self { limit, ties, inserted: 0, entries: BTreeMap::new() }
    }

    /// Whether an entry with this key would be kept.
    pub fn wants(&self, key: &K) -> bool {
        let is_before = |last: &K| key < last || (self.ties == Ties::NewestFirst && key == last);
        self.entries.len() < self.limit || self.entries.last_key_value().is_some_and(|((last, _), _)| is_before(last))
    }

    pub fn insert(&mut self, key: K, value: impl FnOnce() -> V) {
        if !self.wants(&key) {
            return;
        }
        self.inserted += 1;
        let place = if self.ties == Ties::OldestFirst { self.inserted } else { -self.inserted };
        self.entries.insert((key, place), value());
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
    fn the_smallest_keys_stay_and_of_equal_ones_those_that_come_first() {
        for (limit, oldest_first, newest_first) in [
            (0, "", ""),
            (1, "1c", "1f"),
            (3, "1c 1f 2b", "1f 1c 2d"),
            (4, "1c 1f 2b 2d", "1f 1c 2d 2b"),
            (9, "1c 1f 2b 2d 3e 5a 5g", "1f 1c 2d 2b 3e 5g 5a"),
        ] {
            for (ties, expected) in [(Ties::OldestFirst, oldest_first), (Ties::NewestFirst, newest_first)] {
                let mut top = Top::new(limit, ties);
                for (key, name) in [5, 2, 1, 2, 3, 1, 5].into_iter().zip('a'..) {
                    top.insert(key, || format!("{key}{name}"));
                }
                assert_eq!(top.into_values().collect::<Vec<_>>().join(" "), expected, "limit {limit}, {ties:?}");
            }
        }
    }
}
