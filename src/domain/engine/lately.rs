//! Who wrote lately: the posts of a spike rule that counted, by time.
//!
//! Asked with every post, so it is made for those that come in order: a search for where the
//! last quarter of an hour begins, and a look through its authors' names, eight bytes each.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::condition::Seen;
use crate::domain::key::Key;
use crate::domain::time::Timestamp;

/// Of one author, so many posts count within [`CAP_WITHIN`]: floods are not many people.
const CAP: usize = 3;
const CAP_WITHIN: Duration = Duration::from_mins(15);
/// Posts remembered, to know their authors: those of the longest window, and at most so many.
const REMEMBERED: Duration = Duration::from_hours(12);
const MOST_REMEMBERED: usize = 512;

/// Posts by time.
#[derive(Clone, Default)]
pub(super) struct Lately {
    seen: VecDeque<Seen>,
    /// Names of their authors, in the same places.
    authors: VecDeque<Key>,
}

impl Lately {
    /// Puts a post among the recent ones; false when its author said enough already.
    pub(super) fn remember(&mut self, new: &Seen) -> bool {
        let author = Key::of(&new.author);
        let from = self.seen.partition_point(|seen| seen.at + CAP_WITHIN <= new.at);
        let in_order = self.seen.back().is_none_or(|newest| newest < new);
        let (to, place) = if in_order {
            (self.seen.len(), self.seen.len())
        } else {
            let to = self.seen.partition_point(|seen| seen.at < new.at + CAP_WITHIN);
            (to, self.seen.partition_point(|seen| seen < new))
        };
        if self.authors.range(from..to.max(from)).filter(|known| **known == author).count() >= CAP {
            return false;
        }
        self.seen.insert(place, new.clone());
        self.authors.insert(place, author);
        let newest = self.seen.back().map_or(new.at, |newest| newest.at);
        while self.seen.len() > MOST_REMEMBERED
            || self.seen.front().is_some_and(|oldest| oldest.at + REMEMBERED < newest)
        {
            self.seen.pop_front();
            self.authors.pop_front();
        }
        true
    }

    /// All of them.
    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = &Seen> {
        self.seen.iter()
    }

    /// What [`Lately::all`] gave.
    pub(super) fn of(seen: Vec<Seen>) -> Self {
        let authors = seen.iter().map(|seen| Key::of(&seen.author)).collect();
        Self { seen: seen.into(), authors }
    }

    /// Keeps the newest, at most so many.
    pub(super) fn keep(&mut self, most: usize) {
        let old = self.seen.len().saturating_sub(most);
        self.seen.drain(..old);
        self.authors.drain(..old);
    }

    /// Those from one instant to before another.
    pub(super) fn between(&self, from: Timestamp, to: Timestamp) -> Vec<Seen> {
        self.seen.iter().filter(|seen| seen.at >= from && seen.at < to).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::id::PostId;
    use crate::domain::story::Story;

    proptest! {
        /// What a plain list of posts would say.
        #[test]
        fn it_counts_three_of_an_author_in_any_order(posts in prop::collection::vec((0u8..6, 0i64..7200), 1..80)) {
            let mut lately = Lately::default();
            let mut taken: Vec<(u8, i64)> = Vec::new();
            for (number, (author, second)) in posts.into_iter().enumerate() {
                let post = PostId::from(format!("post {number}"));
                let story = Story::begun_by(&post);
                let (at, name) = (Timestamp::from_seconds(second), format!("author {author}"));
                let near = |(other, at): &&(u8, i64)| *other == author && (at - second).abs() < 900;
                let counts = taken.iter().filter(near).count() < CAP;
                prop_assert_eq!(lately.remember(&Seen { at, post, author: name.into(), story }), counts);
                taken.extend(counts.then_some((author, second)));
            }
            prop_assert!(lately.seen.iter().is_sorted());
            prop_assert!(lately.seen.iter().map(|seen| Key::of(&seen.author)).eq(lately.authors.iter().copied()));
        }
    }
}
