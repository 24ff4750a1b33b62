//! Who wrote lately: the posts of a spike rule that counted, by time.
//!
//! Asked with every post, and ten thousand rules do not fit into a cache: so what is looked
//! through is two bytes a post, and nearly always that is enough to say that its author did
//! not write before.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::condition::Seen;
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
    /// Of their authors' names, in the same places.
    marks: VecDeque<u16>,
}

impl Lately {
    /// Puts a post among the recent ones; false when its author said enough already.
    pub(super) fn remember(&mut self, new: &Seen) -> bool {
        let mark = mark(new);
        let mut place = match self.seen.back() {
            Some(newest) if newest > new => self.seen.partition_point(|seen| seen < new),
            _ => self.seen.len(),
        };
        if self.marked(mark) >= CAP && self.near(new).filter(|seen| seen.author_key == new.author_key).count() >= CAP {
            return false;
        }
        if self.seen.len() == MOST_REMEMBERED {
            let Some(earlier) = place.checked_sub(1) else { return true };
            self.forget_oldest();
            place = earlier;
        }
        self.seen.insert(place, new.clone());
        self.marks.insert(place, mark);
        let newest = self.seen.back().map_or(new.at, |newest| newest.at);
        while self.seen.front().is_some_and(|oldest| oldest.at + REMEMBERED < newest) {
            self.forget_oldest();
        }
        true
    }

    fn forget_oldest(&mut self) {
        self.seen.pop_front();
        self.marks.pop_front();
    }

    /// How many have that mark: no fewer than the author has posts here.
    fn marked(&self, mark: u16) -> usize {
        let (older, newer) = self.marks.as_slices();
        // Sixteen bits hold `MOST_REMEMBERED`, and are added eight at a time.
        let marked = |marks: &[u16]| marks.iter().map(|&other| u16::from(other == mark)).sum::<u16>();
        usize::from(marked(older)) + usize::from(marked(newer))
    }

    /// Those less than [`CAP_WITHIN`] before or after a post.
    fn near(&self, new: &Seen) -> impl Iterator<Item = &Seen> {
        let from = self.seen.partition_point(|seen| seen.at + CAP_WITHIN <= new.at);
        let to = self.seen.partition_point(|seen| seen.at < new.at + CAP_WITHIN);
        self.seen.range(from..to.max(from))
    }

    /// All of them.
    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = &Seen> {
        self.seen.iter()
    }

    /// What [`Lately::all`] gave.
    pub(super) fn of(seen: Vec<Seen>) -> Self {
        let marks = seen.iter().map(mark).collect();
        Self { seen: seen.into(), marks }
    }

    /// Keeps the newest, at most so many.
    pub(super) fn keep(&mut self, most: usize) {
        let old = self.seen.len().saturating_sub(most);
        self.seen.drain(..old);
        self.marks.drain(..old);
    }

    /// What [`Lately::remember`] begins with, see [`super::spikes::Spikes::look_ahead`].
    pub(super) fn ends_with(&self) -> u16 {
        let newest = self.seen.back().map_or(0, |newest| newest.at.micros());
        self.marks.back().map_or(0, |mark| mark ^ u16::from(newest < 0))
    }

    /// Those from one instant to before another.
    pub(super) fn between(&self, from: Timestamp, to: Timestamp) -> Vec<Seen> {
        self.seen.iter().filter(|seen| seen.at >= from && seen.at < to).cloned().collect()
    }
}

/// A part of an author's name.
fn mark(seen: &Seen) -> u16 {
    (seen.author_key.bits() >> 48) as u16
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
                prop_assert_eq!(lately.remember(&Seen::new(at, post, name.into(), story)), counts);
                taken.extend(counts.then_some((author, second)));
            }
            prop_assert!(lately.seen.iter().is_sorted());
            prop_assert!(lately.seen.iter().map(mark).eq(lately.marks.iter().copied()));
        }
    }
}
