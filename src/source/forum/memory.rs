//! What was seen of one list, as far as it matters: part of the bookmark from which reading goes on.
//!
//! Of each item its name, its time and a key of its words. Bounded: the items seen last are kept, whatever the forum's
//! users do.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Item, Said};
use crate::domain::key::Key;
use crate::domain::time::Timestamp;

/// Lists are not in strict order, and some items appear late: held back by a moderator, or by another server.
const MARGIN: Duration = Duration::from_mins(10);
/// What appears so late is news; what is dated before is history that came back.
const LATE: Duration = Duration::from_hours(24);
/// The key of what was taken back.
const GONE: u64 = 0;

/// See above.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::source) struct Memory {
    /// How new the newest was at the first look, in microseconds since 1970: what is older is history.
    #[serde(skip_serializing_if = "Option::is_none")]
    begun: Option<i64>,
    /// All up to then was read, by the forum's dates.
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<i64>,
    /// Those seen last at the end.
    seen: VecDeque<Seen>,
}

/// An item that was seen: its name, its second since 1970, the key of its words, and whether it stands nowhere in the
/// list though it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen(String, i64, u64, #[serde(default)] bool);

/// What an item is to whoever saw what is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// To be told.
    News,
    /// Known, or history.
    Old,
}

impl Memory {
    /// Whether the list was never looked at.
    pub(super) const fn is_new(&self) -> bool {
        self.begun.is_none()
    }

    /// Whether it was.
    pub(in crate::source) const fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// All up to then was read.
    pub(super) fn read_to(&self) -> Option<Timestamp> {
        self.mark.map(Timestamp::from_micros)
    }

    /// Whether an item of that name was seen.
    pub(in crate::source) fn knows(&self, name: &str) -> bool {
        self.seen.iter().any(|seen| seen.0 == name)
    }

    /// How many of a page are known, or older than what was read.
    pub(super) fn settled(&self, items: &[Item]) -> usize {
        let names = self.names();
        let old = self.read_to().map(|mark| mark - MARGIN);
        let is_old = |item: &&Item| names.contains(item.name.as_str()) || item.at.is_some_and(|at| Some(at) < old);
        items.iter().filter(|item| item.in_order).filter(is_old).count()
    }

    fn names(&self) -> HashSet<&str> {
        self.seen.iter().map(|seen| seen.0.as_str()).collect()
    }

    /// A machine's clock that was ahead may have been believed: nothing was read, or begun, after now.
    pub(super) fn correct(&mut self, now: Timestamp) {
        for noted in [&mut self.begun, &mut self.mark] {
            *noted = noted.map(|noted| noted.min(now.micros()));
        }
    }

    /// Takes in what a round found, the oldest first; what each item is.
    pub(super) fn take_in(&mut self, items: &[Item], now: Timestamp, most: usize) -> Vec<Verdict> {
        let places: HashMap<&str, usize> =
            self.seen.iter().enumerate().map(|(at, seen)| (seen.0.as_str(), at)).collect();
        let was_new = self.is_new();
        let newest = items.iter().filter_map(|item| item.at).max().map_or(now, |newest| newest.min(now));
        let begun = *self.begun.get_or_insert(newest.micros());
        // Servers show a page for a while as it was: what they had just then is no history.
        let begun = Timestamp::from_micros(begun) - MARGIN;
        let since = self.read_to().map_or(begun, |mark| begun.max(mark - LATE));
        let mut taken = HashSet::new();
        let mut fresh = Vec::new();
        let mut verdicts = Vec::new();
        for item in items {
            let before = places.get(item.name.as_str()).copied();
            let seen = before.and_then(|place| self.seen.get(place));
            let known = seen.map(|seen| seen.2);
            let words = words(&item.said, known);
            // What is gone before it was seen, or says nothing, is no news.
            let says = matches!(item.said, Said::Broken(_)) || words != GONE || known.is_some();
            let is_recent = known.is_some() || item.at.is_none_or(|at| at >= since);
            let is_news = !was_new && says && is_recent && known != Some(words) && !matches!(item.said, Said::Other);
            verdicts.push(if is_news { Verdict::News } else { Verdict::Old });
            taken.extend(before);
            let at = item
                .at
                .map_or_else(|| seen.map_or(now.micros() / 1_000_000, |seen| seen.1), |at| at.micros() / 1_000_000);
            fresh.push(Seen(item.name.clone(), at, words, false));
        }
        let mut place = 0..;
        self.seen.retain(|_| place.next().is_some_and(|place| !taken.contains(&place)));
        self.seen.extend(fresh);
        let surplus = self.seen.len().saturating_sub(most);
        self.seen.drain(..surplus);
        verdicts
    }

    /// All up to the newest of these was read. What is dated ahead of our clock is not believed.
    pub(super) fn mark(&mut self, items: &[Item], now: Timestamp) {
        let newest = items.iter().filter(|item| item.in_order).filter_map(|item| item.at).max();
        let newest = newest.map(|newest| newest.min(now).micros());
        self.mark = self.mark.max(newest);
    }

    /// Names of items that stood behind that time and are not among those shown.
    pub(super) fn missing(&self, shown: &[Item], since: Timestamp, most: usize) -> Vec<String> {
        let shown: HashSet<&str> = shown.iter().map(|item| item.name.as_str()).collect();
        let since = since.micros() / 1_000_000;
        let is_missing = |seen: &&Seen| {
            let Seen(name, at, words, is_aside) = seen;
            *at > since && *words != GONE && !is_aside && !name.starts_with('!') && !shown.contains(name.as_str())
        };
        self.seen.iter().filter(is_missing).take(most).map(|seen| seen.0.clone()).collect()
    }

    /// These are there, though the list does not show them: they are not asked for again.
    pub(super) fn set_aside(&mut self, names: &[String]) {
        for seen in self.seen.iter_mut().filter(|seen| names.contains(&seen.0)) {
            seen.3 = true;
        }
    }
}

/// The key of what an item says; of one that says nothing now, what it said before.
fn words(said: &Said, before: Option<u64>) -> u64 {
    let key = |post: &crate::domain::post::Post| Key::of(&(&post.text, &post.media_text)).bits().max(GONE + 1);
    match said {
        Said::Post(post) => key(post),
        Said::Gone(_) => GONE,
        Said::Other => before.unwrap_or(GONE + 1),
        Said::Broken(_) => GONE + 1,
    }
}
