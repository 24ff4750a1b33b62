//! What is remembered of statuses, so that a deletion can be named: an instance tells of one by its own number
//! alone, and everybody else knows the status by its `uri`.
//!
//! Bounded: the number of a status that is older than the last hundred thousand, or than the program's start,
//! is not known any more, and its deletion goes unnoticed until the post's retention ends.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::key::{Itself, Key};

/// Statuses remembered.
const MOST: usize = 100_000;
/// Deletions remembered whose status has not come: one can overtake the other.
const MOST_GONE: usize = 10_000;

type ByKey<V> = HashMap<Key, V, std::hash::BuildHasherDefault<Itself>>;

/// See above. Shared by the two that read one instance: the stream, and what it missed.
#[derive(Default)]
pub(super) struct Memory(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    uris: ByKey<Box<str>>,
    order: VecDeque<Key>,
    gone: HashSet<Key, std::hash::BuildHasherDefault<Itself>>,
    gone_order: VecDeque<Key>,
    newest: Option<String>,
}

impl Memory {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A status came. Whether it was deleted before it came.
    pub(super) fn came(&self, id: &str, uri: &str) -> bool {
        let mut inside = self.inside();
        let key = Key::of(id);
        if inside.newest.as_deref().is_none_or(|newest| is_newer(id, newest)) {
            inside.newest = Some(id.to_owned());
        }
        if !uri.is_empty() && inside.uris.insert(key, uri.into()).is_none() {
            inside.order.push_back(key);
            if inside.order.len() > MOST
                && let Some(oldest) = inside.order.pop_front()
            {
                inside.uris.remove(&oldest);
            }
        }
        inside.gone.contains(&key)
    }

    /// A status is gone: its `uri`, where that is known.
    pub(super) fn went(&self, id: &str) -> Option<String> {
        let mut inside = self.inside();
        let key = Key::of(id);
        let uri = inside.uris.get(&key).map(ToString::to_string);
        if uri.is_none() && inside.gone.insert(key) {
            inside.gone_order.push_back(key);
            if inside.gone_order.len() > MOST_GONE
                && let Some(oldest) = inside.gone_order.pop_front()
            {
                inside.gone.remove(&oldest);
            }
        }
        uri
    }

    /// The newest number that came.
    pub(super) fn newest(&self) -> Option<String> {
        self.inside().newest.clone()
    }
}

/// Whether an instance gave one number after another: numbers, ULIDs and flake ids grow.
pub(super) fn is_newer(id: &str, than: &str) -> bool {
    (id.len(), id) > (than.len(), than)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_is_named_by_what_came_and_one_that_overtakes_is_remembered() {
        let memory = Memory::default();
        assert!(!memory.came("9", "https://h/9"));
        assert_eq!(memory.went("9").as_deref(), Some("https://h/9"));
        assert_eq!(memory.went("10"), None);
        assert!(memory.came("10", "https://h/10"));
        assert_eq!(memory.newest().as_deref(), Some("10"), "10 is behind 9");
    }

    #[test]
    fn it_forgets_the_oldest() {
        let memory = Memory::default();
        for id in 0..=MOST {
            memory.came(&id.to_string(), "u");
        }
        assert_eq!((memory.went("0"), memory.went("1").as_deref()), (None, Some("u")));
        (0..=MOST_GONE + 1).for_each(|id| drop(memory.went(&format!("x{id}"))));
        assert!(!memory.came("0", "u") && memory.came("x5", "u"));
    }
}
