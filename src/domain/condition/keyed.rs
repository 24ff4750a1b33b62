//! Windows of a rule that counts by key, and what is forgotten first when there are too many.
//!
//! Each key has a [`Window`] of its own; all of a rule together hold at most so many
//! sightings. When they are more, what was not seen for two windows goes, then keys, until a
//! quarter is free:
//!
//! 1. keys of one author, of these the ones of whoever has the most such keys: a flood of
//!    invented links pushes out itself;
//! 2. keys of few authors before keys of many, of few posts before many, old ones before new.
//!
//! So a key that comes near to firing by several people is never lost to one person, however
//! much he writes. Rejected: counting keys in a sketch (it would not know the posts that
//! decided); forgetting the oldest (a flood forgets everything else); a limit on each author's
//! posts (people who are asked to post much, post much).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::{Count, Fired, Seen, Window};
use crate::domain::id::AuthorId;
use crate::domain::key::Key;
use crate::domain::time::Timestamp;

/// Sightings of one rule at least, over all keys.
const LEAST: usize = 2048;
/// And at most, unless a single key may have more.
const MOST: usize = 8192;
/// Sightings of one key at least, and how many such keys fit.
const LEAST_OF_KEY: usize = 64;
const KEYS: usize = 32;
const VERSION: u8 = 1;

/// One rule's recent sightings, by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Windows {
    /// By the bits of the key.
    keys: BTreeMap<u64, Window>,
    /// Sightings in all of them.
    held: usize,
    newest: Timestamp,
    /// The newest sighting when old ones were last dropped.
    swept: Timestamp,
    /// Sightings that went before their time.
    crowded_out: u64,
}

impl Windows {
    /// Adds a sighting under a key and says whether the key's count has just become true.
    pub fn add(&mut self, key: Key, new: Seen, count: &Count) -> Option<Fired> {
        let at = new.at;
        self.put(key, new, count);
        self.keys.get_mut(&key.bits())?.completed(at, count)
    }

    /// Adds a sighting under a key, whatever it completes.
    pub fn put(&mut self, key: Key, new: Seen, count: &Count) {
        let capacity = of_key(count);
        self.newest = self.newest.max(new.at);
        let window = self.keys.entry(key.bits()).or_default();
        let before = window.seen.len();
        window.insert(new);
        if window.seen.len() > capacity {
            window.thin(count, capacity);
            self.crowded_out += window.take_crowded_out();
        }
        self.held = (self.held + window.seen.len()).saturating_sub(before);
        if self.newest.since(self.swept) >= Window::HORIZON / 8 {
            self.swept = self.newest;
            self.forget_before(self.newest - horizon(count));
        }
        if self.held > of_rule(count) {
            self.make_room(key, count);
        }
    }

    /// How many sightings went before their time for lack of room, since this was asked last.
    pub fn take_crowded_out(&mut self) -> u64 {
        std::mem::take(&mut self.crowded_out)
    }

    /// What is remembered of a key, by time.
    pub fn of(&self, key: Key) -> &[Seen] {
        self.keys.get(&key.bits()).map_or(&[], |window| &window.seen)
    }

    /// Forgets a key.
    pub fn remove(&mut self, key: Key) {
        self.held -= self.keys.remove(&key.bits()).map_or(0, |window| window.seen.len());
    }

    /// How many sightings are remembered.
    pub fn held(&self) -> usize {
        self.held
    }

    fn forget_before(&mut self, oldest: Timestamp) {
        self.keys.retain(|_, window| {
            window.forget_before(oldest);
            !window.seen.is_empty()
        });
        self.count_held();
    }

    fn count_held(&mut self) {
        self.held = self.keys.values().map(|window| window.seen.len()).sum();
    }

    fn make_room(&mut self, new: Key, count: &Count) {
        let enough = of_rule(count) / 4 * 3;
        self.forget_before(self.newest - count.within * 2);
        if self.held <= enough {
            return;
        }
        for (_, key) in self.least_first(count) {
            if self.held <= enough {
                break;
            }
            if key != new.bits() {
                let gone = self.keys.remove(&key).map_or(0, |window| window.seen.len());
                self.held -= gone;
                self.crowded_out += gone as u64;
            }
        }
    }

    /// All keys, those that matter least first.
    fn least_first(&self, count: &Count) -> Vec<(Rank, u64)> {
        let mut ranked: Vec<(Rank, u64)> = Vec::with_capacity(self.keys.len());
        let mut alone: HashMap<&AuthorId, Vec<(Timestamp, usize)>> = HashMap::new();
        for (&key, window) in &self.keys {
            let authors: HashSet<&AuthorId> = window.seen.iter().map(|seen| &seen.author).collect();
            let counted: HashSet<Key> = window.seen.iter().map(|seen| seen.counted_as(count.distinct)).collect();
            let newest = window.seen.last().map(|seen| seen.at).unwrap_or_default();
            if let (1, Some(only)) = (authors.len(), authors.iter().next()) {
                alone.entry(only).or_default().push((newest, ranked.len()));
            }
            ranked.push((Rank { authors: authors.len(), others: 0, counted: counted.len(), newest }, key));
        }
        for mut of_author in alone.into_values() {
            of_author.sort_unstable();
            for (younger, (_, place)) in of_author.into_iter().rev().enumerate() {
                if let Some((rank, _)) = ranked.get_mut(place) {
                    rank.others = -i64::try_from(younger).unwrap_or(i64::MAX);
                }
            }
        }
        ranked.sort_unstable();
        ranked
    }

    /// All of it, for [`Windows::from_bytes`]; posts by their names.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        let mut number = |number: u64| bytes.extend(number.to_le_bytes());
        number(self.newest.micros().cast_unsigned());
        number(self.swept.micros().cast_unsigned());
        for (&key, window) in &self.keys {
            number(key);
            number(window.firing.len() as u64);
            for (from, to) in &window.firing {
                number(from.micros().cast_unsigned());
                number(to.micros().cast_unsigned());
            }
            number(window.seen.len() as u64);
            for seen in &window.seen {
                number(seen.post_key.bits());
            }
        }
        bytes
    }

    /// Reads what [`Windows::to_bytes`] wrote; `seen` knows the posts by their names. A post
    /// that is not known any more is left out.
    pub fn from_bytes(bytes: &[u8], seen: impl Fn(u64) -> Option<Seen>) -> Option<Self> {
        let mut input = Numbers::after_version(bytes, VERSION)?;
        let mut windows = Self { newest: input.time()?, swept: input.time()?, ..Self::default() };
        while !input.is_empty() {
            let key = input.next()?;
            let mut window = Window::default();
            for _ in 0..input.next()? {
                window.firing.push((input.time()?, input.time()?));
            }
            for _ in 0..input.next()? {
                window.seen.extend(seen(input.next()?));
            }
            window.seen.sort_unstable();
            windows.keys.insert(key, window);
        }
        windows.keys.retain(|_, window| !window.seen.is_empty());
        windows.count_held();
        Some(windows)
    }
}

/// What makes a key matter, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    authors: usize,
    /// Of a key with one author: how many younger ones he has, as a negative number.
    others: i64,
    counted: usize,
    newest: Timestamp,
}

fn of_key(count: &Count) -> usize {
    usize::try_from(count.at_least.saturating_mul(4)).unwrap_or(usize::MAX).max(LEAST_OF_KEY)
}

fn of_rule(count: &Count) -> usize {
    of_key(count).saturating_mul(KEYS).min(MOST).max(of_key(count)).max(LEAST)
}

fn horizon(count: &Count) -> Duration {
    Window::HORIZON.max(count.within * 2)
}

/// Numbers of eight bytes.
pub struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    /// Those that follow the version; none when it is another one.
    pub fn after_version(bytes: &'a [u8], version: u8) -> Option<Self> {
        let (found, rest) = bytes.split_first()?;
        (*found == version).then_some(Self(rest))
    }

    /// The next one.
    #[expect(clippy::should_implement_trait, reason = "the end is a broken state, not the end of a loop")]
    pub fn next(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    /// The next one as a time.
    pub fn time(&mut self) -> Option<Timestamp> {
        Some(Timestamp::from_micros(self.next()?.cast_signed()))
    }

    /// So many bytes as they are.
    pub fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// All that is left, as it is.
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Whether none is left.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::condition::Distinct;
    use crate::domain::id::PostId;
    use crate::domain::story::Story;

    const FOUR: Count = Count { at_least: 4, distinct: Distinct::Author, within: Duration::from_mins(10) };

    fn seen(post: usize, author: &str, second: i64) -> Seen {
        let post = PostId::from(format!("post {post:06}"));
        let story = Story::begun_by(&post);
        Seen::new(Timestamp::from_seconds(1_000_000 + second), post, author.into(), story)
    }

    fn key(name: &str) -> Key {
        Key::of(name)
    }

    #[test]
    fn each_key_is_counted_by_itself_and_fires_once() {
        let mut windows = Windows::default();
        let mut fired = Vec::new();
        for (post, (name, author)) in
            [("x", "a"), ("y", "b"), ("x", "c"), ("y", "a"), ("x", "b"), ("x", "d"), ("x", "e"), ("y", "f"), ("y", "g")]
                .into_iter()
                .enumerate()
        {
            let found = windows.add(key(name), seen(post, author, 10), &FOUR);
            fired.extend(found.map(|found| (post, found.authors)));
        }
        assert_eq!(fired, [(5, 4), (8, 4)]);
    }

    /// The adversary of the issue: one author, so many different links.
    #[test]
    fn a_flood_of_invented_keys_pushes_out_none_that_people_share() {
        let mut windows = Windows::default();
        for (post, author) in ["ann", "bob", "eve"].into_iter().enumerate() {
            assert!(windows.add(key("real"), seen(post, author, 0), &FOUR).is_none());
        }
        // Somebody says something once, while the flood begins.
        windows.add(key("lone"), seen(3, "dan", 1), &FOUR);
        let mut most = 0;
        for junk in 0..100_000 {
            let second = i64::try_from(junk / 200).unwrap();
            assert!(windows.add(key(&format!("junk {junk}")), seen(10 + junk, "flooder", second), &FOUR).is_none());
            most = most.max(windows.held());
        }
        assert!(most <= LEAST + 1, "{most}");
        assert_eq!((windows.of(key("real")).len(), windows.of(key("lone")).len()), (3, 1));
        assert!(windows.add(key("real"), seen(200_000, "fay", 500), &FOUR).is_some());
    }

    #[test]
    fn a_crowd_of_flooders_leaves_what_more_people_share() {
        let mut windows = Windows::default();
        for (post, author) in ["ann", "bob", "eve"].into_iter().enumerate() {
            windows.add(key("real"), seen(post, author, 0), &FOUR);
        }
        for junk in 0..100_000 {
            let (name, author) = (format!("junk {junk}"), format!("puppet {}", junk % 1000));
            windows.add(key(&name), seen(10 + junk, &author, i64::try_from(junk / 200).unwrap()), &FOUR);
            assert!(windows.held() <= LEAST + 1);
        }
        assert!(windows.add(key("real"), seen(200_000, "fay", 500), &FOUR).is_some());
    }

    #[test]
    fn one_loud_key_does_not_take_the_room_of_the_others() {
        let mut windows = Windows::default();
        windows.add(key("real"), seen(0, "ann", 0), &FOUR);
        for post in 0..50_000 {
            let author = format!("author {}", post % 5000);
            windows.add(key("loud"), seen(1 + post, &author, i64::try_from(post / 100).unwrap()), &FOUR);
            assert!(windows.held() <= LEAST_OF_KEY + 2);
        }
        assert_eq!(windows.of(key("real")).len(), 1);
    }

    #[test]
    fn keys_of_long_ago_are_forgotten() {
        let mut windows = Windows::default();
        for day in 0..400 {
            let name = format!("link {day}");
            windows.add(key(&name), seen(day, "ann", 86_400 * i64::try_from(day).unwrap()), &FOUR);
            assert!(windows.keys.len() <= 4);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_key_fires_as_its_own_window_does(
            posts in prop::collection::vec((0u8..4, 0u8..6, 0i64..3600), 1..60),
        ) {
            let mut windows = Windows::default();
            let mut alone: HashMap<u8, Window> = HashMap::new();
            for (post, (name, author, second)) in posts.into_iter().enumerate() {
                let seen = seen(post, &author.to_string(), second);
                let expected = alone.entry(name).or_default().add(seen.clone(), &FOUR);
                prop_assert_eq!(windows.add(Key::of(&name), seen, &FOUR), expected);
            }
        }

        /// Killed anywhere, it goes on as if it had not been.
        #[test]
        fn what_is_written_is_read_again(
            posts in prop::collection::vec((0u16..3000, 0u8..9, 0i64..90_000), 1..60),
            stretch in 1usize..40,
        ) {
            let mut windows = Windows::default();
            let mut all = HashMap::new();
            for copy in 0..stretch {
                for (place, (name, author, second)) in posts.iter().enumerate() {
                    let post = copy * posts.len() + place;
                    let seen = seen(post, &author.to_string(), second + i64::try_from(copy * 300).unwrap());
                    all.insert(seen.post_key.bits(), seen.clone());
                    windows.add(Key::of(&(name, copy)), seen, &FOUR);
                }
            }
            windows.take_crowded_out();
            let read = Windows::from_bytes(&windows.to_bytes(), |post| all.get(&post).cloned());
            prop_assert_eq!(read, Some(windows));
        }
    }
}
