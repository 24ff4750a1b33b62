//! `share`: which part of what is said is about this.
//!
//! The whole are the posts that satisfy the rule's `of`; the part are those of them that
//! the rule takes. Both are counted over the window that ends with a post, in event time,
//! each post once. Every post of the whole is a moment at which the share is looked at, so
//! the part can become large enough with a post of its own, or with one that makes the
//! whole large enough to be judged.
//!
//! One loud author must not move a share. Of one author, three posts count in a window, and
//! the share must be exceeded twice: by posts, and by authors. Somebody who writes a hundred
//! times is one of the authors, and one author alone is never a share.
//!
//! Of the whole a time and two names are kept, of the part the posts as well, which are an
//! alert's evidence. Of more than [`CAPACITY`] the newest are the window: with three hundred
//! posts a share is known to three in a hundred, and a flood is judged sooner.
//!
//! Rejected: counters for slices of time (they cannot tell a post that is read again after a
//! crash, nor how many authors there are); three posts of an author in a quarter of an hour,
//! as a spike has it (twelve of one author in an hour are a third of what is said at night).

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::time::Duration;

use super::episodes::Episodes;
use super::stored::{In, Out};
use super::{Figures, Finding, Fired, Seen, Truth, grow};
use crate::domain::id::PostId;
use crate::domain::key::{Itself, Key};
use crate::domain::message::counted;
use crate::domain::story::Story;
use crate::domain::time::{Timestamp, human};
use crate::domain::volume::Unreadable;

/// `share = { of, above, at_least, within }`; `of` is a query of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The part must be larger.
    pub above: Part,
    /// Posts of the whole at least.
    pub at_least: u64,
    /// Within how long.
    pub within: Duration,
}

impl Share {
    /// The most that `at_least` can ask for.
    pub const MOST: u64 = 300;
}

/// A part of a whole, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part(u32);

impl Part {
    /// A part between nothing and everything, neither of them.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a million")]
    pub fn new(part: f64) -> Option<Self> {
        let millionths = (part * 1e6).round();
        (millionths > 0.0 && millionths < 1e6).then_some(Self(millionths as u32))
    }

    /// Whether `part` of `whole` is more.
    fn is_exceeded(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 1_000_000 > u128::from(self.0) * u128::from(whole)
    }

    /// In hundredths.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 1e4
    }
}

/// Of one author, so many posts count in a window.
const CAP: u32 = 3;
/// Posts of the whole that are remembered.
const CAPACITY: usize = 310;
/// Posts this much older than the newest are forgotten: the longest catch-up.
const HORIZON: Duration = Duration::from_hours(48);

/// What a share rule remembers.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// Posts of the whole, by time.
    heard: Vec<Heard>,
    /// Those that are of the part, in full.
    part: Vec<Seen>,
    episodes: Episodes,
    /// Nothing is known up to here.
    forgotten: Option<Timestamp>,
}

/// A post of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heard {
    at: Timestamp,
    post: Key,
    author: Key,
    is_part: bool,
}

impl Whole {
    /// Counts a post of the whole, which may be of the part; says whether the share has
    /// just become too large.
    pub fn add(&mut self, new: &Seen, is_part: bool, share: &Share) -> Option<Fired> {
        let at = self.admit(new, is_part, share.within)?;
        let (first, last, counts) = self.exceeded_around(at, share)?;
        if !self.episodes.begin(first, last, share.within) {
            return None;
        }
        Some(self.fired_at(first, counts, share))
    }

    /// Counts a post likewise and says when the share was too large, in all windows that the post is part of. Between two
    /// posts of the whole it is what it was at the first, for as long as its window.
    pub fn learn(&mut self, new: &Seen, is_part: bool, share: &Share) -> Option<Truth> {
        let at = self.admit(new, is_part, share.within)?;
        let to = at + share.within;
        let judged = self.judged(at, to, share);
        let next = self.heard.iter().find(|heard| heard.at >= to).map(|heard| heard.at);
        let ends = judged.iter().skip(1).map(|(at, _)| Some(*at)).chain([next]);
        let until = |from: Timestamp, next: Option<Timestamp>| next.unwrap_or(from + share.within);
        let span = |(from, next): (Timestamp, Option<Timestamp>)| (from, until(from, next).min(from + share.within));
        let exceeded = judged.iter().zip(ends).filter(|((_, counts), _)| counts.exceed(share));
        let spans: Vec<_> = exceeded.map(|((from, _), next)| span((*from, next))).collect();
        // Of what follows the last of them something is said until the next.
        let said = judged.last().map_or(to, |(last, _)| span((*last, next)).1);
        Some(Truth { of: (at, said), spans })
    }

    /// What was found at the last post of the whole until an instant.
    pub fn until(&self, at: Timestamp, share: &Share) -> Option<Fired> {
        let last = self.heard.iter().rev().find(|heard| heard.at <= at)?.at;
        let (_, counts) = self.judged(last, last + Duration::from_micros(1), share).pop()?;
        Some(self.fired_at(last, counts, share))
    }

    fn fired_at(&self, at: Timestamp, counts: Counts, share: &Share) -> Fired {
        let within = |seen: &&Seen| seen.at > at - share.within && seen.at <= at;
        let fired = Fired::by(self.part.iter().filter(within).cloned().collect());
        Fired { at: Some(at), finding: Some(counts.finding(share)), ..fired }
    }

    /// Learns so many posts a day that are not of the part, each by another author, until `to`.
    pub fn learn_evenly(&mut self, per_day: u32, from: Timestamp, to: Timestamp, share: &Share) {
        let step = Duration::from_hours(24) / per_day.max(1);
        let most = if per_day == 0 { 0 } else { CAPACITY };
        let times = (1..).map(|n| to - step * n).take(most).take_while(|at| *at >= from);
        for (n, at) in times.enumerate() {
            let post: PostId = format!("history {n}").into();
            let (author, story) = (post.as_str().into(), Story::begun_by(&post));
            self.admit(&Seen::new(at, post, author, story), false, share.within);
        }
    }

    /// Takes a post in; gives the time from which windows hold more than they did.
    fn admit(&mut self, new: &Seen, is_part: bool, within: Duration) -> Option<Timestamp> {
        let (post, author) = (new.post_key, new.author_key);
        if let Some(known) = self.heard.iter_mut().find(|heard| heard.post == post) {
            // Read again, or edited: then it is a post of its time still.
            if !is_part || known.is_part {
                return None;
            }
            known.is_part = true;
            let at = known.at;
            self.remember(new);
            return Some(at);
        }
        let is_known = |known: &Heard| known.author == author && known.is_part == is_part;
        let from = self.heard.partition_point(|heard| heard.at + within <= new.at);
        let near = self.heard.iter().skip(from).take_while(|heard| heard.at < new.at + within);
        let said_enough = near.filter(|known| is_known(known)).count() >= CAP as usize;
        if said_enough || self.forgotten.is_some_and(|forgotten| new.at <= forgotten) {
            return None;
        }
        let place = self.heard.partition_point(|heard| (heard.at, heard.post.bits()) < (new.at, post.bits()));
        grow(&mut self.heard);
        self.heard.insert(place, Heard { at: new.at, post, author, is_part });
        if is_part {
            self.remember(new);
        }
        self.forget(within);
        Some(new.at)
    }

    /// Puts a post that was counted as one of the part among the evidence.
    pub fn remember(&mut self, seen: &Seen) {
        let post = seen.post_key;
        let Some(heard) = self.heard.iter().find(|heard| heard.post == post && heard.is_part) else { return };
        let seen = Seen { at: heard.at, ..seen.clone() };
        if let Err(place) = self.part.binary_search(&seen) {
            grow(&mut self.part);
            self.part.insert(place, seen);
        }
    }

    fn forget(&mut self, within: Duration) {
        let Some(newest) = self.heard.last().map(|heard| heard.at) else { return };
        let oldest = newest - HORIZON.max(within * 2);
        let old = self.heard.partition_point(|heard| heard.at < oldest);
        let gone = old.max(self.heard.len().saturating_sub(CAPACITY));
        if let Some(last) = self.heard.drain(..gone).next_back() {
            self.forgotten = self.forgotten.max(Some(last.at));
        }
        let first = self.heard.first().map_or(newest, |heard| heard.at);
        self.part.drain(..self.part.partition_point(|seen| seen.at < first));
        self.episodes.forget(first);
    }

    /// The first and the last moment at which the share is exceeded, of those that a post at
    /// that time counts for; and what is counted at the first.
    fn exceeded_around(&self, at: Timestamp, share: &Share) -> Option<(Timestamp, Timestamp, Counts)> {
        let judged = self.judged(at, at + share.within, share);
        let mut exceeded = judged.iter().filter(|(_, counts)| counts.exceed(share));
        let &(first, counts) = exceeded.next()?;
        Some((first, exceeded.next_back().map_or(first, |(last, _)| *last), counts))
    }

    /// What the window holds that ends with each moment of a span at which posts of the whole came.
    fn judged(&self, from: Timestamp, to: Timestamp, share: &Share) -> Vec<(Timestamp, Counts)> {
        let first = self.heard.partition_point(|heard| heard.at + share.within <= from);
        let until = self.heard.partition_point(|heard| heard.at < to);
        let near = self.heard.get(first..until).unwrap_or_default();
        let mut inside = Inside::default();
        let mut oldest = near.iter().peekable();
        let mut judged = Vec::new();
        let mut later = near.iter().peekable();
        while let Some(heard) = later.next() {
            inside.enter(heard);
            // What is of one moment counts together.
            if heard.at < from || later.peek().is_some_and(|next| next.at == heard.at) {
                continue;
            }
            while let Some(old) = oldest.next_if(|old| old.at + share.within <= heard.at) {
                inside.leave(old);
            }
            judged.push((heard.at, inside.counts));
        }
        judged
    }

    /// The newest post that counted.
    pub fn newest(&self) -> Timestamp {
        self.heard.last().map(|heard| heard.at).unwrap_or_default()
    }

    /// All but the evidence, which the sightings tell.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { heard, part: _, episodes, forgotten } = self;
        let mut out = Out::default();
        out.0.push(VERSION);
        out.bit(forgotten.is_some());
        out.time(forgotten.unwrap_or_default());
        episodes.write(&mut out);
        out.number(heard.len() as u64);
        for Heard { at, post, author, is_part } in heard {
            out.time(*at);
            out.key(*post);
            out.key(*author);
            out.bit(*is_part);
        }
        out.0
    }

    /// Reads what [`Whole::to_bytes`] wrote.
    ///
    /// # Errors
    /// The bytes are of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut bytes = In(bytes);
        if bytes.bytes(1)? != [VERSION] {
            return Err(Unreadable);
        }
        let is_forgetful = bytes.bit()?;
        let forgotten = Some(bytes.time()?).filter(|_| is_forgetful);
        let episodes = Episodes::read(&mut bytes)?;
        let many = bytes.length(CAPACITY)?;
        let heard = (0..many).map(|_| {
            let (at, post, author) = (bytes.time()?, bytes.key()?, bytes.key()?);
            Ok(Heard { at, post, author, is_part: bytes.bit()? })
        });
        let heard = heard.collect::<Result<_, _>>()?;
        bytes.end()?;
        Ok(Self { heard, part: Vec::new(), episodes, forgotten })
    }
}

/// Raised when old bytes mean something else.
const VERSION: u8 = 1;

/// What a window holds.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    posts: Pair,
    authors: Pair,
}

/// A part and its whole.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    part: u64,
    whole: u64,
}

impl Counts {
    fn exceed(&self, share: &Share) -> bool {
        let Self { posts, authors } = self;
        posts.whole >= share.at_least
            && authors.part > 1
            && share.above.is_exceeded(posts.part, posts.whole)
            && share.above.is_exceeded(authors.part, authors.whole)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of posts")]
    fn finding(&self, share: &Share) -> Finding {
        let Self { posts, authors } = self;
        let part = posts.part as f64 / posts.whole as f64;
        let words = format!(
            "{:.0} % of what was said within {} (above {} %): {} of {}, by {} of {}",
            part * 100.0,
            human(share.within),
            share.above.percent(),
            posts.part,
            counted(posts.whole, "post"),
            authors.part,
            counted(authors.whole, "author"),
        );
        Finding { figures: Figures::Share { of: posts.whole, share: part }, words }
    }
}

/// The authors of a sliding window, and what is counted of them.
#[derive(Default)]
struct Inside {
    counts: Counts,
    /// Posts of the part, and of the whole.
    authors: HashMap<Key, (u32, u32), BuildHasherDefault<Itself>>,
}

impl Inside {
    fn enter(&mut self, heard: &Heard) {
        let (part, whole) = self.authors.entry(heard.author).or_default();
        let Counts { posts, authors } = &mut self.counts;
        if heard.is_part {
            *part += 1;
            posts.part += u64::from(*part <= CAP);
            authors.part += u64::from(*part == 1);
        }
        *whole += 1;
        posts.whole += u64::from(*whole <= CAP);
        authors.whole += u64::from(*whole == 1);
    }

    fn leave(&mut self, heard: &Heard) {
        let Some((part, whole)) = self.authors.get_mut(&heard.author) else { return };
        let Counts { posts, authors } = &mut self.counts;
        if heard.is_part {
            posts.part -= u64::from(*part <= CAP);
            authors.part -= u64::from(*part == 1);
            *part -= 1;
        }
        posts.whole -= u64::from(*whole <= CAP);
        authors.whole -= u64::from(*whole == 1);
        *whole -= 1;
    }
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;
