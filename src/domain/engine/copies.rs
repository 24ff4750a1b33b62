//! Posts that a bridge carried from one network to another: the same post is read twice, and counts once.
//!
//! Which of the two comes first is chance, so whichever comes second counts for no rule that counted the other. It is kept
//! and shown beside it, for it has an address of its own, and its author may take it back by itself.
//!
//! Whoever writes a post can write that it is a copy of any other. So what a copy says of itself only ever takes that copy
//! out of the count. A post that nobody has heard yet loses nothing by being claimed: it counts when it comes, though a copy
//! counted before it. Only where a bridge's own word is to be had, the original is the one that does not count again: of
//! posts that the bridge's host named ([`Original::author`]), which count as their author's, and of accounts that the bridge
//! holds, by their network's word, for somebody on the original's host. And both must say the same: a threat must not hide
//! behind somebody's greeting, and a bridge that fell into wrong hands knows no words that were not said yet.
//!
//! Rejected: to believe a claim in any order once both texts are the same (whoever is faster than our reading would make a
//! thousand people's posts one author's); to make both one record (either can be deleted alone).

use super::recent::Latest;
use crate::domain::commit::{CARRIED, Carried};
use crate::domain::id::{AuthorId, PostId};
use crate::domain::key::Key;
use crate::domain::post::{Author, Original, Post};
use crate::domain::story::{Stories, Story};

/// Longer names, in bytes, are not remembered: real ones have a hundred.
const LONGEST: usize = 512;
/// How handles of accounts end that Bridgy Fed holds for authors of the fediverse; before it stands their own host.
const HELD: &str = ".ap.brid.gy";

/// What was read that may be the other half of what comes.
pub(super) struct Copies {
    /// Posts by the address at which people read them, where that is not their id.
    by_address: Latest<Key, PostId>,
    /// The first copy of a post, by the word of a bridge.
    first: Latest<Key, PostId>,
    /// Whose account a bridge holds: the name and the host of the author whose words it carries, with a point between.
    held: Latest<Key, Box<str>>,
}

impl Copies {
    pub(super) fn new() -> Self {
        Self { by_address: Latest::new(CARRIED), first: Latest::new(CARRIED), held: Latest::new(CARRIED) }
    }

    /// It is known now who an author is, by the word of their network.
    pub(super) fn introduced(&mut self, author: &Author) {
        let whose = author.handle.as_deref().and_then(|handle| handle.strip_suffix(HELD));
        if let Some(whose) = whose.filter(|_| author.id.as_str().starts_with("did:")) {
            self.held.insert(Key::of(&author.id), whose.into());
        }
    }

    /// Whether a bridge says so. Where it only holds the account, the address is its author's word: of no other host's.
    fn vouches(&self, author: &AuthorId, original: &Original) -> bool {
        let is_theirs = |whose: &str| {
            let host = host(original.post.as_str()).and_then(|host| whose.strip_suffix(host));
            host.is_some_and(|name| name.ends_with('.') && name.len() > 1)
        };
        original.author.is_some() || self.held.get(&Key::of(author)).is_some_and(|whose| is_theirs(whose))
    }

    /// Posts that count already if this one does: a rule that took one of them does not count it again. Remembers it.
    pub(super) fn halves(&mut self, post: &Post, story: Story, stories: &Stories) -> Vec<PostId> {
        self.name(&post.id, post.url.as_deref());
        let mut halves: Vec<&PostId> = self.first.get(&Key::of(&post.id)).into_iter().collect();
        let mut vouched = false;
        if let Some(original) = &post.copy_of {
            vouched = self.vouches(&post.author.id, original);
            // A quotation is of one story with what it quotes, whatever it says.
            if vouched || post.quote_of.is_none() && post.repost_of.is_none() {
                let original = self.named(&original.post);
                halves.push(original);
                halves.extend(self.first.get(&Key::of(original)));
            }
        }
        let says_the_same = |other: &PostId| stories.story_of(other, post.event_time) == Some(story);
        let halves = halves.into_iter().filter(|other| **other != post.id && says_the_same(other)).cloned().collect();
        if let Some(original) = post.copy_of.as_ref().filter(|_| vouched) {
            self.copied(original, &post.id);
        }
        halves
    }

    /// Remembers what was kept. Which accounts a bridge holds is asked anew.
    pub(super) fn restore(&mut self, carried: &Carried) {
        self.name(&carried.post, carried.url.as_deref());
        if let Some(original) = carried.copy_of.as_ref().filter(|original| original.author.is_some()) {
            self.copied(original, &carried.post);
        }
    }

    /// The post at an address; what names none is taken for a name.
    fn named<'a>(&'a self, address: &'a PostId) -> &'a PostId {
        self.by_address.get(&Key::of(address)).unwrap_or(address)
    }

    /// A bridge says that this is a copy of that.
    fn copied(&mut self, original: &Original, copy: &PostId) {
        let key = Key::of(self.named(&original.post));
        if copy.as_str().len() <= LONGEST && self.first.get(&key).is_none() {
            self.first.insert(key, copy.clone());
        }
    }

    /// A post is read at that address. Whoever names it may choose any, but only their own host's is believed.
    fn name(&mut self, post: &PostId, url: Option<&str>) {
        let is_its = |url: &&str| *url != post.as_str() && host(url).is_some() && host(url) == host(post.as_str());
        let Some(address) = url.filter(is_its).map(Key::of) else { return };
        if post.as_str().len() <= LONGEST && self.by_address.get(&address).is_none() {
            self.by_address.insert(address, post.clone());
            // What was said to be a copy of what is there, is one of the post.
            if let Some(copy) = self.first.get(&address).cloned()
                && self.first.get(&Key::of(post)).is_none()
            {
                self.first.insert(Key::of(post), copy);
            }
        }
    }
}

/// By whose word it is a copy, its author is the one of the original.
pub(super) fn counted_author(post: &Post) -> &AuthorId {
    post.copy_of.as_ref().and_then(|original| original.author.as_ref()).unwrap_or(&post.author.id)
}

/// The host of a web address.
fn host(address: &str) -> Option<&str> {
    address.strip_prefix("https://")?.split(['/', '?', '#']).next().filter(|host| !host.is_empty())
}
