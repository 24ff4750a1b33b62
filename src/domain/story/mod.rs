//! Stories: a post, with all that repeat it.
//!
//! A thousand people who pass on one post are one story with a thousand tellers; two who
//! write of the same fire in their own words are two. Reposts and quotes belong to what
//! they point at. Near-copies are found by their words, on whatever source they appear.
//!
//! A story is named by its first post, or by the post that everybody repeats though no
//! rule took it. A post is compared with what was told within two days, at most the last
//! `FILED` different tellings, and joins the story of the most alike. Stories are never
//! joined afterwards: a count that people were told of does not shrink.
//!
//! What a telling decided is written to disk with everything else of its step, and read
//! back as it was; nothing is worked out again. When an author takes a post back, the
//! hashes of its words go with it, here and on disk: who has a dictionary can read them.
//!
//! Rejected: to work stories out again from kept posts (posts are edited and deleted, so a
//! restart would decide otherwise); to compare with a story's first post only (a copy of a
//! copy would be lost); `SimHash` (made for pages, on posts of ten words it takes one word
//! for another too often).

mod bands;
mod sketch;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::time::Duration;

use super::id::{AuthorId, PostId};
use super::key::{Itself, Key};
use super::post::{Post, PostKind};
use super::time::Timestamp;
use bands::{Bands, Spots};
pub use sketch::Sketch;

/// Posts farther apart in time are not compared.
const WITHIN: Duration = Duration::from_hours(48);
/// So many different tellings are compared with.
const FILED: usize = 1 << 14;
/// So many posts are known to belong to a story.
const NAMED: usize = 1 << 16;

/// The name of a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Story(pub u64);

impl Story {
    /// The story that a post begins.
    pub fn begun_by(post: &PostId) -> Self {
        Self(Key::of(post).bits())
    }
}

/// A post became part of a story: what is kept to know its copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// The post.
    pub post: PostId,
    /// Its author.
    pub author: AuthorId,
    /// Its event time.
    pub at: Timestamp,
    /// The story it is part of.
    pub story: Story,
    /// The post it repeats or quotes.
    pub original: Option<PostId>,
    /// Hashes of its words, when copies are to be compared with it; empty once the author
    /// took it back.
    pub words: Option<Box<[u32]>>,
}

/// What was told lately.
#[derive(Debug, Default)]
pub struct Stories {
    names: HashMap<Key, Named, BuildHasherDefault<Itself>>,
    /// The order in which names are forgotten.
    order: VecDeque<Key>,
    /// The newest [`FILED`], oldest first.
    filed: VecDeque<Filed>,
    /// Filed before the first of `filed`.
    before: u32,
    bands: Bands,
}

#[derive(Clone, Copy, Debug)]
struct Named {
    story: Story,
    at: Timestamp,
    /// The post itself was seen, not only what points at it.
    told: bool,
}

#[derive(Debug)]
struct Filed {
    sketch: Sketch,
    story: Story,
    at: Timestamp,
    post: Key,
    author: Key,
}

impl Stories {
    /// The story of a post with that sketch, and the telling to be written when the post is new.
    pub fn tell(&mut self, post: &Post, sketch: Sketch) -> (Story, Option<Telling>) {
        let known = self.named(&post.id, post.event_time);
        if let Some(Named { story, told: true, .. }) = known {
            return (story, None);
        }
        let original = original(post);
        let spots = Spots::of(&sketch);
        let nearest = self.nearest(&sketch, &spots, post.event_time);
        let pointed_at = original.and_then(|original| self.named(original, post.event_time));
        let story = known
            .or(pointed_at)
            .map(|named| named.story)
            .or(nearest.map(|(story, _)| story))
            .unwrap_or_else(|| Story::begun_by(original.unwrap_or(&post.id)));
        // A flood of one text is filed once; again when it is about to be forgotten.
        let is_news = nearest.is_none_or(|(_, is_covered)| !is_covered) && !sketch.is_empty();
        let telling = Telling {
            post: post.id.clone(),
            author: post.author.id.clone(),
            at: post.event_time,
            story,
            original: original.cloned(),
            words: is_news.then(|| sketch.words().into()),
        };
        self.name(&telling);
        if is_news {
            self.file(&telling, sketch, &spots);
        }
        (story, Some(telling))
    }

    /// The story of a post that was told.
    pub fn story_of(&self, post: &PostId, at: Timestamp) -> Option<Story> {
        self.named(post, at).filter(|named| named.told).map(|named| named.story)
    }

    /// Takes back a telling that was written; they come in the order they were made.
    pub fn restore(&mut self, telling: &Telling) {
        self.name(telling);
        if let Some(words) = &telling.words {
            let sketch = Sketch::kept(words.clone());
            let spots = Spots::of(&sketch);
            self.file(telling, sketch, &spots);
        }
    }

    /// Forgets the words of a post that its author took back.
    pub fn forget_post(&mut self, post: &PostId) {
        let post = Key::of(post);
        self.filed.iter_mut().filter(|filed| filed.post == post).for_each(Filed::forget);
    }

    /// Forgets the words of all posts of an author.
    pub fn forget_author(&mut self, author: &AuthorId) {
        let author = Key::of(author);
        self.filed.iter_mut().filter(|filed| filed.author == author).for_each(Filed::forget);
    }

    /// The story of the most alike post; and whether an equal one will be there for a while.
    fn nearest(&self, sketch: &Sketch, spots: &Spots, at: Timestamp) -> Option<(Story, bool)> {
        let filed = |place| self.filed(place).filter(|filed| apart(filed.at, at) <= WITHIN);
        if let Some((place, filed)) = self.bands.equal(spots).find_map(|place| {
            let filed = filed(place).filter(|filed| filed.sketch == *sketch && !sketch.is_empty())?;
            Some((place, filed))
        }) {
            let later = self.before as usize + self.filed.len() - place as usize;
            return Some((filed.story, later < FILED / 2 && apart(filed.at, at) <= WITHIN / 2));
        }
        let near = self.bands.near(spots).filter_map(|place| {
            let filed = filed(place)?;
            Some((filed.sketch.likeness(sketch)?, place, filed.story))
        });
        let (_, _, story) = near.max()?;
        Some((story, false))
    }

    fn named(&self, post: &PostId, at: Timestamp) -> Option<Named> {
        self.names.get(&Key::of(post)).copied().filter(|named| apart(named.at, at) <= WITHIN)
    }

    fn filed(&self, place: u32) -> Option<&Filed> {
        self.filed.get(place.checked_sub(self.before + 1)? as usize)
    }

    fn file(&mut self, telling: &Telling, sketch: Sketch, spots: &Spots) {
        if self.filed.len() == FILED {
            self.filed.pop_front();
            self.before += 1;
        }
        let place = self.before + u32::try_from(self.filed.len()).unwrap_or(0) + 1;
        self.bands.file(spots, place);
        let (post, author) = (Key::of(&telling.post), Key::of(&telling.author));
        self.filed.push_back(Filed { sketch, story: telling.story, at: telling.at, post, author });
    }

    /// Remembers the story of a post, and of what it points at.
    fn name(&mut self, telling: &Telling) {
        let &Telling { ref post, at, story, ref original, .. } = telling;
        let names = std::iter::once((post, true)).chain(original.iter().map(|original| (original, false)));
        for (post, told) in names {
            let key = Key::of(post);
            match self.names.get_mut(&key) {
                Some(known) if apart(known.at, at) <= WITHIN => known.told |= told,
                _ => {
                    if self.names.insert(key, Named { story, at, told }).is_none() {
                        self.order.push_back(key);
                    }
                }
            }
        }
        while self.order.len() > NAMED {
            if let Some(oldest) = self.order.pop_front() {
                self.names.remove(&oldest);
            }
        }
    }
}

impl Filed {
    fn forget(&mut self) {
        self.sketch = Sketch::default();
    }
}

fn apart(one: Timestamp, other: Timestamp) -> Duration {
    one.since(other).max(other.since(one))
}

/// The post that another one passes on.
fn original(post: &Post) -> Option<&PostId> {
    match post.kind {
        PostKind::Repost => post.repost_of.as_ref(),
        PostKind::Quote => post.quote_of.as_ref(),
        PostKind::Post | PostKind::Reply => post.quote_of.as_ref().or(post.repost_of.as_ref()),
    }
}
