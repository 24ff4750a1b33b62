//! When matching posts become an alert.
//!
//! A [`Window`] holds one rule's recent sightings and says, for each new one,
//! whether the rule's count has just become true. It counts in event time: a late
//! post is put where it belongs, and the order of arrival does not matter to what a
//! window of time contains.
//!
//! A count that has become true stays true while posts keep completing it; it fires
//! again only after a whole window has passed in which none did. Without that, a
//! stream that hovers around the threshold would page at every swing.

pub mod by;
pub mod joined;
pub mod keyed;

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::id::{AuthorId, PostId};
use super::incident::ConditionKind;
use super::key::{Itself, Key, Keys};
use super::story::Story;
use super::time::Timestamp;
use super::volume::Promise;
use by::Named;
pub use held::{Held, Hold, Lasted, Truth};
use joined::Joined;
pub use new_term::{NewTerm, OwnWords, Vocabulary, is_stop, terms};
pub use share::{Part, Share, Whole};

mod episodes;
mod held;
mod new_term;
mod share;
mod stored;

/// When matching posts become an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Every matching post.
    Match,
    /// Enough of them within a window.
    Count(Count),
    /// Unusually many of them.
    Spike(Spike),
    /// Too large a part of what is said.
    Share(Share),
    /// Something that was not there before.
    NewTerm(NewTerm),
    /// None for long enough.
    Quiet(Quiet),
    /// Other rules fired.
    Joined(Joined),
}

impl Condition {
    /// The longest time that one looks back over: as long as the store usually keeps posts.
    pub const LONGEST: Duration = Duration::from_hours(30 * 24);

    /// The word for it in JSON.
    pub const fn kind(&self) -> ConditionKind {
        match self {
            Self::Match => ConditionKind::Match,
            Self::Count(_) => ConditionKind::Count,
            Self::Spike(_) => ConditionKind::Spike,
            Self::Share(_) => ConditionKind::Share,
            Self::NewTerm(_) => ConditionKind::NewTerm,
            Self::Quiet(_) => ConditionKind::Quiet,
            Self::Joined(joined) => joined.kind(),
        }
    }

    /// Its window, in event time; a spike has several.
    pub const fn within(&self) -> Option<Duration> {
        match self {
            Self::Match | Self::Spike(_) => None,
            Self::Count(count) => Some(count.within),
            Self::Share(share) => Some(share.within),
            Self::NewTerm(new_term) => Some(new_term.within),
            Self::Quiet(quiet) => Some(quiet.lasts),
            Self::Joined(joined) => Some(joined.within),
        }
    }
}

/// What a count counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distinct {
    /// Posts.
    #[default]
    Post,
    /// Authors, each once.
    Author,
    /// Stories: a post and all that repeat it, once.
    Story,
}

/// `count = { at_least, distinct, within }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub at_least: u64,
    /// Of what.
    pub distinct: Distinct,
    /// Within how long.
    pub within: Duration,
}

impl Count {
    /// The greatest `at_least`: of each rule four times as many posts are in memory.
    pub const MOST: u64 = 10_000;
}

/// `spike = { false_alarms, at_least, authors }`: more than is usual for the rule itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spike {
    /// How many false alarms are accepted.
    pub false_alarms: Promise,
    /// Posts in the window at least.
    pub at_least: u64,
    /// Distinct authors in it at least.
    pub authors: u64,
}

impl Spike {
    /// The greatest `authors`: of more posts the authors are not told apart.
    pub const MOST_AUTHORS: u64 = 256;
}

/// `quiet = { for }`: nothing matched for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// For how long.
    pub lasts: Duration,
}

/// One rule's recent sightings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// Ordered by time, then post.
    seen: Vec<Seen>,
    /// Times during which the count was true, oldest first.
    firing: Vec<(Timestamp, Timestamp)>,
    /// Sightings that went before their time.
    crowded_out: u64,
}

/// One sighting.
///
/// Every rule that takes a post remembers it, and busy rules remember hundreds: so what they
/// remember is when, and a handle of what is the same for all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Event time.
    pub at: Timestamp,
    what: Arc<SeenPost>,
}

/// What of a post rules remember.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenPost {
    /// The post.
    pub post: PostId,
    /// Its author.
    pub author: AuthorId,
    /// The story it is part of.
    pub story: Story,
    /// The post's name.
    pub post_key: Key,
    /// The author's.
    pub author_key: Key,
}

impl Deref for Seen {
    type Target = SeenPost;

    fn deref(&self) -> &SeenPost {
        &self.what
    }
}

impl Seen {
    /// A post of an author, part of a story, at an event time.
    pub fn new(at: Timestamp, post: PostId, author: AuthorId, story: Story) -> Self {
        let (post_key, author_key) = (Key::of(&post), Key::of(&author));
        Self { at, what: Arc::new(SeenPost { post, author, story, post_key, author_key }) }
    }

    /// The name of what is counted.
    fn counted_as(&self, distinct: Distinct) -> Key {
        match distinct {
            Distinct::Post => self.post_key,
            Distinct::Author => self.author_key,
            Distinct::Story => Key::of(&self.story),
        }
    }
}

/// A condition became true.
#[derive(Clone, Debug, PartialEq)]
pub struct Fired {
    /// Everything in the window that made it true, by time.
    pub seen: Vec<Seen>,
    /// Distinct authors among it.
    pub authors: u64,
    /// Distinct stories among it.
    pub stories: u64,
    /// What was expected instead, of a spike.
    pub measured: Option<Measured>,
    /// When it became true, if that is not the time of the newest of `seen`.
    pub at: Option<Timestamp>,
    /// What was found, of a share or a new term.
    pub finding: Option<Finding>,
    /// Of a rule that counts by key.
    pub key: Option<Named>,
}

impl Fired {
    /// By these sightings.
    pub fn by(seen: Vec<Seen>) -> Self {
        let authors = seen.iter().map(|seen| seen.author_key).collect::<Keys>().len() as u64;
        let stories = seen.iter().map(|seen| seen.story).collect::<HashSet<_>>().len() as u64;
        Self { seen, authors, stories, measured: None, at: None, finding: None, key: None }
    }
}

/// What a condition found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// For programs.
    pub figures: Figures,
    /// The same in a sentence.
    pub words: String,
}

/// The figures that only one condition has.
#[derive(Clone, Debug, PartialEq)]
pub enum Figures {
    /// Of `share`.
    Share {
        /// Posts of the whole.
        of: u64,
        /// The part of them.
        share: f64,
    },
    /// Of `new_term`.
    NewTerm {
        /// The term, made harmless; of a link its host.
        term: String,
    },
}

/// A window against what is usual.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Posts in it, at most three of an author within a quarter of an hour.
    pub observed: u64,
    /// Posts expected.
    pub expected: f64,
    /// 19 times in 20 there are at most so many.
    pub upper: u64,
    /// The window.
    pub within: Duration,
    /// The same in a sentence.
    pub words: String,
}

/// Times in which a count was true that are remembered; the next one begins a window later at least.
const MOST_FIRING: usize = 64;

impl Window {
    /// Sightings this much older than the newest are forgotten: the longest catch-up.
    const HORIZON: Duration = Duration::from_hours(48);

    /// Adds a sighting (each post at most once) and says whether the count has just
    /// become true because of it.
    pub fn add(&mut self, new: Seen, count: &Count) -> Option<Fired> {
        let at = new.at;
        self.insert(new);
        self.forget(count);
        self.completed(at, count)
    }

    /// Adds a sighting and says when the count is true, in all windows that it is part of.
    pub fn admit(&mut self, new: Seen, count: &Count) -> Truth {
        let of = (new.at, new.at + count.within);
        self.insert(new);
        self.forget(count);
        Truth { of, spans: self.true_within(of, count) }
    }

    /// What is in the window that ends with an instant.
    pub fn until(&self, at: Timestamp, count: &Count) -> Vec<Seen> {
        let within = |seen: &&Seen| seen.at <= at && at < seen.at + count.within;
        self.seen.iter().filter(within).cloned().collect()
    }

    /// When the window that ends with an instant of a span holds enough: each post is in it from its time until it is
    /// as old as the window is long.
    fn true_within(&self, (from, to): (Timestamp, Timestamp), count: &Count) -> Vec<(Timestamp, Timestamp)> {
        let near = self.seen.partition_point(|seen| seen.at + count.within <= from);
        let near = self.seen.iter().skip(near).take_while(|seen| seen.at < to);
        let (mut coming, mut going) = (near.clone().peekable(), near.peekable());
        let mut inside = Inside::of(count.distinct);
        let (mut spans, mut began) = (Vec::new(), None);
        loop {
            let comes = coming.peek().map(|seen| seen.at);
            let goes = going.peek().map(|seen| seen.at + count.within);
            let Some(now) = comes.into_iter().chain(goes).min().filter(|now| *now < to) else { break };
            while let Some(gone) = going.next_if(|seen| seen.at + count.within <= now) {
                inside.leave(gone);
            }
            while let Some(new) = coming.next_if(|seen| seen.at <= now) {
                inside.enter(new);
            }
            match began {
                None if inside.counted() >= count.at_least => began = Some(now.max(from)),
                Some(since) if inside.counted() < count.at_least => {
                    began = None;
                    spans.push((since, now));
                }
                _ => {}
            }
        }
        spans.extend(began.map(|since| (since, to)));
        spans.retain(|(since, until)| since < until && *until > from);
        spans
    }

    fn insert(&mut self, new: Seen) {
        let place = self.seen.partition_point(|seen| *seen < new);
        grow(&mut self.seen);
        self.seen.insert(place, new);
    }

    /// How many sightings went before their time for lack of room, since this was asked last.
    pub fn take_crowded_out(&mut self) -> u64 {
        std::mem::take(&mut self.crowded_out)
    }

    /// Whether the count has just become true because of what was seen at that time.
    fn completed(&mut self, at: Timestamp, count: &Count) -> Option<Fired> {
        let (from, to) = self.satisfied_around(at, count)?;
        if !newly_true(&mut self.firing, from, to + count.within) {
            return None;
        }
        let seen: Vec<Seen> = self.seen.iter().filter(|seen| seen.at >= from && seen.at <= to).cloned().collect();
        Some(Fired::by(seen))
    }

    /// The span of sightings within one window of time that holds `at` and enough of
    /// what is counted; of several, the earliest.
    fn satisfied_around(&self, at: Timestamp, count: &Count) -> Option<(Timestamp, Timestamp)> {
        let reach = at - count.within;
        let first = self.seen.partition_point(|seen| seen.at <= reach);
        let last = self.seen.partition_point(|seen| seen.at < at + count.within);
        let near = self.seen.get(first..last)?;
        let mut inside = Inside::of(count.distinct);
        let mut end = near.iter().peekable();
        for start in near.iter().take_while(|start| start.at <= at) {
            let ends = start.at + count.within;
            while inside.counted() < count.at_least
                && let Some(next) = end.next_if(|next| next.at < ends)
            {
                inside.enter(next);
            }
            if inside.counted() >= count.at_least {
                let newest = near.partition_point(|seen| seen.at < ends).checked_sub(1)?;
                return Some((start.at, near.get(newest)?.at));
            }
            end.peek()?; // nothing follows: later windows only hold less
            inside.leave(start);
        }
        None
    }

    /// Drops what can matter no more, and keeps memory bounded.
    fn forget(&mut self, count: &Count) {
        let Some(newest) = self.seen.last().map(|seen| seen.at) else { return };
        self.forget_before(newest - Self::HORIZON.max(count.within * 2));
        let capacity = Self::capacity(count);
        if self.seen.len() > capacity {
            self.thin(count, capacity);
        }
    }

    fn forget_before(&mut self, oldest: Timestamp) {
        self.seen.drain(..self.seen.partition_point(|seen| seen.at < oldest));
        self.firing.retain(|(_, ends)| *ends >= oldest);
        let old = self.firing.len().saturating_sub(MOST_FIRING);
        self.firing.drain(..old);
    }

    /// How many sightings are kept exactly; beyond it a flood is thinned.
    fn capacity(count: &Count) -> usize {
        usize::try_from(count.at_least.saturating_mul(4)).unwrap_or(usize::MAX).max(1024)
    }

    /// Under a flood: of one author's (or story's) posts in one sixty-fourth of the window, only the
    /// first stays, so that a flooder cannot push out the others. Then the oldest go.
    fn thin(&mut self, count: &Count, capacity: usize) {
        let slot = i64::try_from(count.within.as_micros() / 64).unwrap_or(i64::MAX).max(1);
        let before = self.seen.len();
        let mut kept = HashSet::new();
        self.seen.retain(|seen| kept.insert((seen.counted_as(count.distinct), seen.at.micros() / slot)));
        if self.seen.len() > capacity / 2 {
            self.seen.drain(..self.seen.len() - capacity / 2);
        }
        self.crowded_out += (before - self.seen.len()) as u64;
    }
}

/// Makes room for one more: not twice as much as there was, once that is a lot.
fn grow<T>(kept: &mut Vec<T>) {
    if kept.len() == kept.capacity() {
        kept.reserve_exact(kept.len().clamp(4, 128));
    }
}

/// Whether a condition that is true from one time through another (one window after the last
/// that completed it) has just become so. Otherwise it goes on being true.
fn newly_true(firing: &mut Vec<(Timestamp, Timestamp)>, from: Timestamp, through: Timestamp) -> bool {
    if let Some((began, ends)) = firing.iter_mut().find(|(began, ends)| from <= *ends && through >= *began) {
        (*began, *ends) = ((*began).min(from), (*ends).max(through));
        return false;
    }
    grow(firing);
    firing.push((from, through));
    firing.sort_unstable();
    true
}

/// What a sliding window holds, of what is counted.
struct Inside {
    distinct: Distinct,
    posts: u64,
    /// Posts of each author, or of each story.
    of: HashMap<Key, u32, BuildHasherDefault<Itself>>,
}

impl Inside {
    fn of(distinct: Distinct) -> Self {
        Self { distinct, posts: 0, of: HashMap::default() }
    }

    fn enter(&mut self, seen: &Seen) {
        match self.distinct {
            Distinct::Post => self.posts += 1,
            Distinct::Author | Distinct::Story => *self.of.entry(seen.counted_as(self.distinct)).or_default() += 1,
        }
    }

    fn leave(&mut self, seen: &Seen) {
        if self.distinct == Distinct::Post {
            self.posts -= 1;
            return;
        }
        let key = seen.counted_as(self.distinct);
        if let Some(posts) = self.of.get_mut(&key) {
            *posts -= 1;
            if *posts == 0 {
                self.of.remove(&key);
            }
        }
    }

    fn counted(&self) -> u64 {
        match self.distinct {
            Distinct::Post => self.posts,
            Distinct::Author | Distinct::Story => self.of.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = 60;

    fn seen(post: usize, author: u8, seconds: i64) -> Seen {
        let author = AuthorId::from(format!("author {author}"));
        let post = PostId::from(format!("post {post:04}"));
        let story = Story::begun_by(&post);
        Seen::new(Timestamp::from_seconds(1_000_000 + seconds), post, author, story)
    }

    fn count(at_least: u64, distinct: Distinct) -> Count {
        Count { at_least, distinct, within: Duration::from_mins(10) }
    }

    /// Feeds (author, second) and tells at which posts (by place) the count fired.
    fn fires(count: &Count, posts: &[(u8, i64)]) -> Vec<usize> {
        let mut window = Window::default();
        let add =
            |(place, &(author, at)): (usize, &(u8, i64))| window.add(seen(place, author, at), count).map(|_| place);
        posts.iter().enumerate().filter_map(add).collect()
    }

    #[test]
    fn a_second_author_within_ten_minutes_fires_once() {
        let two_authors = count(2, Distinct::Author);
        assert_eq!(fires(&two_authors, &[(1, 0), (2, 90)]), [1]);
        assert_eq!(fires(&two_authors, &[(1, 0), (1, 90), (1, 100)]), [0; 0]);
        assert_eq!(fires(&two_authors, &[(1, 0), (2, 10 * MINUTE)]), [0; 0], "the window is half open");
        assert_eq!(fires(&two_authors, &[(1, 0), (2, 90), (3, 100), (4, 8 * MINUTE)]), [1]);
    }

    #[test]
    fn it_fires_again_after_a_quiet_window() {
        let two = count(2, Distinct::Post);
        assert_eq!(fires(&two, &[(1, 0), (1, 60), (1, 40 * MINUTE), (1, 41 * MINUTE)]), [1, 3]);
    }

    #[test]
    fn a_late_post_completes_the_window_it_belongs_to() {
        let two_authors = count(2, Distinct::Author);
        assert_eq!(fires(&two_authors, &[(1, 0), (3, 300 * MINUTE), (2, 60)]), [2]);
    }

    #[test]
    fn a_flood_by_one_author_does_not_hide_another() {
        let mut posts = vec![(1, 0)];
        posts.extend((0..20_000).map(|n| (2, 1 + n / 200)));
        let three = count(3, Distinct::Author);
        assert_eq!(fires(&three, &posts), [0; 0]);
        posts.push((3, 200));
        assert_eq!(fires(&three, &posts), [20_001]);
    }

    proptest! {
        #[test]
        fn it_fires_exactly_when_a_naive_count_says_so_first(
            posts in prop::collection::vec((0u8..4, 0i64..3600), 1..40),
            at_least in 2u64..4,
            by_author: bool,
        ) {
            let count = count(at_least, if by_author { Distinct::Author } else { Distinct::Post });
            let naive = |upto: usize| posts[..=upto].iter().any(|&(_, start)| {
                let within: Vec<u8> = posts[..=upto].iter().filter(|(_, at)| (start..start + 600).contains(at)).map(|p| p.0).collect();
                let distinct = within.iter().collect::<HashSet<_>>().len();
                (if by_author { distinct } else { within.len() }) as u64 >= at_least
            });
            let first = (0..posts.len()).find(|&upto| naive(upto));
            prop_assert_eq!(fires(&count, &posts).first().copied(), first);
        }
    }
}
