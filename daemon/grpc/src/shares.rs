//! How many of something each of many has at the same moment.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// Counts by key; whoever has none costs nothing. Clones share them.
#[derive(Debug)]
pub(crate) struct Shares<K> {
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

/// One of them; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share<K: Eq + Hash> {
    key: K,
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Self { taken: Arc::default() }
    }
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// One more for `key`; `None`: it has `most`.
    pub(crate) fn take(&self, key: K, most: usize) -> Option<Share<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.get(&key).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        taken.insert(key.clone(), count + 1);
        Some(Share { key, taken: self.taken.clone() })
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}
