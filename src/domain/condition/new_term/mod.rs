//! `new_term`: something is spoken of that was not there before.
//!
//! A word, hashtag or link of a rule's posts is *new* while it is in none that the rule
//! took before the last day or so. It fires when enough posts by enough authors have it
//! within the window, once: from then on it was there. It also explains the posts that it
//! is in, so that the other words of the same news do not fire one after the other.
//!
//! One author makes no term: of one, three posts are read in a window, and of near-copies
//! one. What they write beyond that is neither counted nor learnt, or one account could
//! fill the memory with noise. A rule learns for a day before anything can be new to it.
//!
//! Three memories, 20 kB together: the recent posts with the terms that were new to them,
//! all older terms ([`memory`]), and what has fired lately. The recent posts are a day's, at
//! most [`RECENT`]; what leaves them is known. Of terms only names are kept, and when an
//! author takes a post back those go with it.
//!
//! Rejected: counting each term's usual rate (a spike rule does that for the words one has
//! thought of); calling new what is rare (a statement that nobody can check); one episode
//! for the whole rule, as `count` has it (a strike that is spoken of all day would hide an
//! outbreak at noon).

mod memory;
mod stop;
mod terms;

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::Duration;

use super::stored::{In, Out};
use super::{Figures, Finding, Fired, Seen};
use crate::domain::key::Key;
use crate::domain::message::counted;
use crate::domain::story::Story;
use crate::domain::time::{Timestamp, human};
use crate::domain::volume::Unreadable;
use memory::Memory;
pub use stop::is_stop;
use terms::Found;
pub use terms::{OwnWords, terms};

/// `new_term = { within, at_least, authors }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewTerm {
    /// Within how long.
    pub within: Duration,
    /// Posts with the term at least.
    pub at_least: u64,
    /// Authors of them at least.
    pub authors: u64,
}

impl NewTerm {
    /// The most that `at_least` can ask for.
    pub const MOST: u64 = 24;
    /// The longest `within`.
    pub const LONGEST: Duration = Duration::from_hours(24);
}

/// Nothing is new to a rule that has learnt for less.
const LEARNING: Duration = Duration::from_hours(24);
/// By then a new daemon has read something of each of its sources.
const FIRST_READ: Duration = Duration::from_hours(1);
/// Posts are recent for so long, and so many at most.
const KEPT: Duration = Duration::from_hours(24);
const RECENT: usize = 96;
/// New terms of one post, and of all recent ones.
const TERMS_OF_POST: usize = 24;
const TERMS: usize = 1024;
/// Of one author, so many posts are read in a window.
const CAP: usize = 3;
/// Terms that fired lately.
const TOLD: usize = 64;
/// Raised when old bytes mean something else.
const VERSION: u8 = 1;

/// What a rule with a new term remembers.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// It learns since.
    since: Timestamp,
    memory: Memory,
    /// By time, then post.
    recent: Vec<Recent>,
    /// The recent posts, in full.
    evidence: Vec<Seen>,
    /// Names of terms that fired, and when, oldest first.
    told: Vec<(u32, Timestamp)>,
    /// Posts up to here are recent no more.
    forgotten: Option<Timestamp>,
    /// It was learnt from a recording until then; what was said since it does not know.
    rests: Option<Timestamp>,
    /// When somebody began to read after that.
    woke: Option<Timestamp>,
}

/// A recent post.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Recent {
    at: Timestamp,
    post: Key,
    author: Key,
    story: Story,
    /// It has a term that fired, which explains it.
    is_told: bool,
    /// Names of its terms that were not there before.
    terms: Box<[u32]>,
}

/// Posts with one term in one window.
struct Heard {
    from: Timestamp,
    posts: u64,
    authors: u64,
}

impl Vocabulary {
    /// Of a rule that learns from now on.
    pub fn new(now: Timestamp) -> Self {
        let (recent, evidence, told) = (Vec::new(), Vec::new(), Vec::new());
        Self { since: now, memory: Memory::new(now), recent, evidence, told, forgotten: None, rests: None, woke: None }
    }

    /// Reads a post; says whether one of its terms has just become news.
    pub fn add(&mut self, new: &Seen, terms: &[Found], own: &OwnWords, asked: &NewTerm) -> Option<Fired> {
        let said_enough = {
            let (from, to) = (new.at - asked.within, new.at + asked.within);
            let near = self.recent.iter().filter(|recent| recent.at > from && recent.at < to);
            near.filter(|recent| recent.author == new.author_key).count() >= CAP
        };
        if said_enough {
            return None;
        }
        let names: Vec<(u32, &Found)> = terms.iter().map(|term| (term.name(), term)).collect();
        let is_late = self.forgotten.is_some_and(|forgotten| new.at <= forgotten);
        let mut fresh = Vec::new();
        for &(name, term) in &names {
            if !is_late && fresh.len() < TERMS_OF_POST && !self.memory.knows(name) && !own.has(term) {
                fresh.push((name, term));
            } else {
                self.memory.learn(name, new.at);
            }
        }
        if is_late {
            return None;
        }
        let is_told = names.iter().any(|(name, _)| self.told.iter().any(|(told, _)| told == name));
        let (post, author) = (new.post_key, new.author_key);
        let recent = Recent {
            at: new.at,
            post,
            author,
            story: new.story,
            is_told,
            terms: fresh.iter().map(|(name, _)| *name).collect(),
        };
        let place = self.recent.partition_point(|known| (known.at, known.post.bits()) < (new.at, post.bits()));
        self.recent.insert(place, recent);
        self.remember(new);
        self.forget();
        if is_told { None } else { self.judge(new.at, &fresh, asked) }
    }

    /// Puts a recent post among the evidence.
    pub fn remember(&mut self, seen: &Seen) {
        let post = seen.post_key;
        if self.recent.iter().any(|recent| recent.post == post)
            && let Err(place) = self.evidence.binary_search(seen)
        {
            self.evidence.insert(place, seen.clone());
        }
    }

    /// The best of a post's terms that are news now.
    fn judge(&mut self, at: Timestamp, fresh: &[(u32, &Found)], asked: &NewTerm) -> Option<Fired> {
        let news = fresh.iter().filter_map(|&(name, term)| Some((self.heard(name, at, asked)?, name, term)));
        let (heard, name, term) = news.min_by_key(|(heard, _, term)| {
            (Reverse(heard.posts), Reverse(heard.authors), term.kind, Reverse(term.text.len()), term.text.as_str())
        })?;
        let to = heard.from + asked.within;
        let has = |recent: &&Recent| recent.terms.contains(&name);
        let first = self.recent.iter().find(has).map_or(at, |recent| recent.at);
        let inside = |recent: &&Recent| recent.at >= heard.from && recent.at < to && !recent.is_told;
        let posts: HashSet<Key> = self.recent.iter().filter(has).filter(inside).map(|recent| recent.post).collect();
        let seen = self.evidence.iter().filter(|seen| posts.contains(&seen.post_key)).cloned().collect();
        for recent in self.recent.iter_mut().filter(|recent| recent.terms.contains(&name)) {
            recent.is_told = true;
        }
        self.told.push((name, at));
        self.told.drain(..self.told.len().saturating_sub(TOLD));
        let (shown, kind) = (term.shown(), if term.kind == terms::Kind::Link { "a link to " } else { "" });
        let before = first.since(self.memory.from()).as_secs();
        let whole = [86_400, 3600, 60].into_iter().find(|unit| before >= *unit * 2).unwrap_or(1);
        let before = Duration::from_secs(before / whole * whole);
        let words = format!(
            "{kind}‘{shown}’ in {} by {} within {}, not seen in this rule's posts in {} before",
            counted(heard.posts, "post"),
            counted(heard.authors, "author"),
            human(asked.within),
            human(before),
        );
        Some(Fired { finding: Some(Finding { figures: Figures::NewTerm { term: shown }, words }), ..Fired::by(seen) })
    }

    /// The first window around a time in which a term is news.
    fn heard(&self, name: u32, at: Timestamp, asked: &NewTerm) -> Option<Heard> {
        let having: Vec<&Recent> = self.recent.iter().filter(|recent| recent.terms.contains(&name)).collect();
        if having.first()?.at < self.since + LEARNING {
            return None;
        }
        let untold: Vec<&Recent> = having.into_iter().filter(|recent| !recent.is_told).collect();
        let starts = untold.iter().map(|recent| recent.at).filter(|from| *from <= at && at < *from + asked.within);
        starts.into_iter().find_map(|from| {
            let to = from + asked.within;
            let inside = untold.iter().filter(|recent| recent.at >= from && recent.at < to);
            let voices: HashSet<(Key, Story)> = inside.map(|recent| (recent.author, recent.story)).collect();
            let authors: HashSet<Key> = voices.iter().map(|(author, _)| *author).collect();
            let (posts, authors) = (voices.len() as u64, authors.len() as u64);
            (posts >= asked.at_least && authors >= asked.authors).then_some(Heard { from, posts, authors })
        })
    }

    /// Lets posts be recent no more; their terms are known from now on.
    fn forget(&mut self) {
        let Some(newest) = self.recent.last().map(|recent| recent.at) else { return };
        let mut terms: usize = self.recent.iter().map(|recent| recent.terms.len()).sum();
        let mut gone = 0;
        for recent in &self.recent {
            if recent.at + KEPT >= newest && self.recent.len() - gone <= RECENT && terms <= TERMS {
                break;
            }
            terms -= recent.terms.len();
            gone += 1;
        }
        let leaving: Vec<Recent> = self.recent.drain(..gone).collect();
        for recent in &leaving {
            self.forgotten = self.forgotten.max(Some(recent.at));
            recent.terms.iter().for_each(|&term| self.memory.learn(term, newest));
        }
        if let Some(first) = self.recent.first().map(|recent| recent.at) {
            self.evidence.drain(..self.evidence.partition_point(|seen| seen.at < first));
        }
        self.told.retain(|(_, at)| *at + KEPT >= newest);
    }

    /// A source begins: its words are no news for as long as a rule learns. False when it is one of the
    /// recordings that it was taught with, which a new daemon reads for the first time.
    pub fn doubt(&mut self, now: Timestamp) -> bool {
        if self.rests.is_some() || self.woke.is_some_and(|woke| now <= woke + FIRST_READ) {
            return false;
        }
        self.since = self.since.max(now);
        true
    }

    /// What is said from now on it does not hear.
    pub fn rest(&mut self, now: Timestamp) {
        self.rests = Some(now);
    }

    /// It hears again; false when it always did. What came up in more than a day that it did not hear would
    /// all be news, so it learns for a day again.
    pub fn wake(&mut self, now: Timestamp) -> bool {
        let Some(rested) = self.rests.take() else { return false };
        if now.since(rested) > LEARNING {
            self.since = self.since.max(now);
        }
        self.woke = Some(now);
        true
    }

    /// For how long it has learnt.
    pub fn seen(&self) -> Duration {
        self.rests.unwrap_or_else(|| self.newest()).since(self.since)
    }

    /// An author took posts back: the names of their words go.
    pub fn erase(&mut self, is_gone: impl Fn(Key, Key) -> bool) -> bool {
        let mut erased = false;
        for recent in self.recent.iter_mut().filter(|recent| is_gone(recent.post, recent.author)) {
            erased |= !std::mem::take(&mut recent.terms).is_empty();
        }
        erased
    }

    /// The newest post it knows, or since when it learns.
    pub fn newest(&self) -> Timestamp {
        self.recent.last().map_or(self.since, |recent| recent.at)
    }

    /// All but the evidence, which the sightings tell.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { since, memory, recent, evidence: _, told, forgotten, rests, woke: _ } = self;
        let mut out = Out::default();
        out.0.push(VERSION);
        out.time(*since);
        out.0.push(u8::from(forgotten.is_some()) | u8::from(rests.is_some()) << 1);
        out.time(forgotten.unwrap_or_default());
        if let Some(rests) = rests {
            out.time(*rests);
        }
        memory.write(&mut out);
        out.number(told.len() as u64);
        for (name, at) in told {
            out.name(*name);
            out.time(*at);
        }
        out.number(recent.len() as u64);
        for Recent { at, post, author, story, is_told, terms } in recent {
            out.time(*at);
            out.key(*post);
            out.key(*author);
            out.number(story.0);
            out.bit(*is_told);
            out.number(terms.len() as u64);
            for name in terms {
                out.name(*name);
            }
        }
        out.0
    }

    /// Reads what [`Vocabulary::to_bytes`] wrote.
    ///
    /// # Errors
    /// The bytes are of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut bytes = In(bytes);
        if bytes.bytes(1)? != [VERSION] {
            return Err(Unreadable);
        }
        let since = bytes.time()?;
        let flags = bytes.bytes(1)?.first().copied().unwrap_or_default();
        let forgotten = Some(bytes.time()?).filter(|_| flags & 1 != 0);
        let rests = if flags & 2 == 0 { None } else { Some(bytes.time()?) };
        let memory = Memory::read(&mut bytes)?;
        let told = (0..bytes.length(TOLD)?).map(|_| Ok((bytes.name()?, bytes.time()?)));
        let told = told.collect::<Result<_, _>>()?;
        let recent = (0..bytes.length(RECENT)?).map(|_| {
            let (at, post, author) = (bytes.time()?, bytes.key()?, bytes.key()?);
            let (story, is_told) = (Story(bytes.number()?), bytes.bit()?);
            let terms = (0..bytes.length(TERMS_OF_POST)?).map(|_| bytes.name()).collect::<Result<_, _>>()?;
            Ok(Recent { at, post, author, story, is_told, terms })
        });
        let recent = recent.collect::<Result<_, _>>()?;
        bytes.end()?;
        Ok(Self { since, memory, recent, evidence: Vec::new(), told, forgotten, rests, woke: None })
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
