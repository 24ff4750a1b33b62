//! Who wrote what matters. Some streams name authors by nothing but a number; who that is, is
//! asked for once a post of theirs matters, and comes later.

use std::collections::HashMap;
use std::mem;

use super::Engine;
use crate::domain::commit::Commit;
use crate::domain::id::Topic;
use crate::domain::key::Key;
use crate::domain::post::Author;
use crate::domain::time::Timestamp;

/// What authors nobody knows yet spoke of; bounded as [`super::recent::Recent`] is.
pub(super) struct Spoke {
    capacity: usize,
    young: HashMap<Key, Vec<Topic>>,
    old: HashMap<Key, Vec<Topic>>,
}

impl Spoke {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, young: HashMap::new(), old: HashMap::new() }
    }

    pub(super) fn of(&mut self, author: Key, topic: &Topic) {
        if self.young.len() >= self.capacity {
            self.old = mem::take(&mut self.young);
        }
        let topics = self.young.entry(author).or_default();
        if !topics.contains(topic) {
            topics.push(topic.clone());
        }
    }

    /// Takes out what an author spoke of.
    fn take(&mut self, author: Key) -> Vec<Topic> {
        let mut topics = self.young.remove(&author).unwrap_or_default();
        topics.extend(self.old.remove(&author).unwrap_or_default());
        topics
    }
}

impl Engine {
    /// It is known now who an author is: evidence says so, and if their word spreads, so do the
    /// incidents they spoke of.
    pub(super) fn introduced(&mut self, author: Author, now: Timestamp, commit: &mut Commit) {
        if let Some(handle) = &author.handle {
            self.handles.insert(author.id.clone(), handle.clone());
        }
        let topics = self.spoke.take(Key::of(&author.id));
        if let Some(what) = self.routes.terms.notable(&author) {
            for topic in &topics {
                self.notice(topic, &author, &what, now, commit);
            }
            self.tell_changes(now, commit);
        }
        commit.authors.push(author);
    }
}
