//! What was seen of a feed: the bookmark it goes on from.
//!
//! Of each item three keys: of its id, of its page and title, of its words. Bounded by what the document shows, so that
//! whoever writes the feed cannot fill our disk.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::item::{Item, global_id};
use super::{Document, MAX_DOCUMENT_ITEMS};
use crate::domain::event::Bookmark;
use crate::domain::key::Key;
use crate::domain::time::Timestamp;

/// So many items are remembered after they left the document, because some come back.
const BEYOND: usize = 500;

/// What was seen, and how to ask for what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// The address in the configuration. Another one is another feed.
    url: String,
    /// Where the server says the feed lives now, for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) moved: Option<String>,
    /// The server's word for the version that was read last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    /// When it says that version is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) modified: Option<String>,
    /// Whether a document was ever read.
    #[serde(default)]
    pub(super) begun: bool,
    /// Where changes are subscribed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hub: Option<Hub>,
    /// What was pushed, ever: by it is known which of it is on disk.
    #[serde(default)]
    pub(super) pushed: u64,
    /// What was seen of the comments that are read beside it, in their reader's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) comments: Option<String>,
    /// Items, the ones seen last at the end.
    #[serde(default)]
    items: Vec<Seen>,
}

/// Where changes of a document are subscribed to, and by which name the hub knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hub {
    pub(super) url: String,
    pub(super) topic: String,
}

/// How much of a feed a document shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All that the server has to show.
    Window,
    /// What changed, as hubs push it. What it does not show is still there.
    Part,
}

/// An item that was seen: keys of its id, of its page and title, and of its words, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Seen {
    id: Key,
    twin: Option<Key>,
    words: Key,
}

impl From<Seen> for String {
    fn from(Seen { id, twin, words }: Seen) -> Self {
        format!("{:016x}{:016x}{:016x}", id.bits(), twin.map_or(0, Key::bits), words.bits())
    }
}

impl TryFrom<String> for Seen {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        let key = |from: usize| {
            let digits = text.get(from..from + 16)?;
            Some(Key::from_bits(u64::from_str_radix(digits, 16).ok()?))
        };
        let (Some(id), Some(twin), Some(words)) = (key(0), key(16), key(32)) else { return Err("no three keys") };
        Ok(Self { id, twin: Some(twin).filter(|twin| twin.bits() != 0), words })
    }
}

/// What is new in a document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News<'a> {
    /// Items that are new or say something else, the oldest first, with the ids of their posts.
    pub(super) items: Vec<(String, &'a Item)>,
    /// Which of them have ids that were never seen.
    pub(super) fresh: Vec<Key>,
    /// Posts that were taken back.
    pub(super) gone: Vec<(String, Option<Timestamp>)>,
    /// Whether nothing in it was known, so that there may have been more in between.
    pub(super) turned_over: bool,
}

impl Known {
    /// What an earlier run noted down of the feed at that address; nothing when it was of another.
    pub(super) fn resume(bookmark: Option<&Bookmark>, url: &str) -> Self {
        let noted = bookmark.and_then(|bookmark| serde_json::from_str::<Self>(&bookmark.0).ok());
        noted.filter(|known| known.url == url).unwrap_or_else(|| Self { url: url.to_owned(), ..Self::default() })
    }

    /// To note down.
    pub(super) fn bookmark(&self) -> Option<Bookmark> {
        serde_json::to_string(self).ok().map(Bookmark::from)
    }

    /// Takes in a document; says what is new in it. `read_to` is when it was read last: when all in it is unknown, what is
    /// dated before that is history under other names, and not news.
    pub(super) fn take_in<'a>(
        &mut self,
        document: &'a Document,
        extent: Extent,
        site: &str,
        read_to: Option<Timestamp>,
    ) -> News<'a> {
        let present: BTreeSet<Key> = document.items.iter().map(|item| Key::of(&*item.own_id())).collect();
        let mut by_id: BTreeMap<Key, usize> = BTreeMap::new();
        let mut by_twin: BTreeMap<Key, usize> = BTreeMap::new();
        for (place, seen) in self.items.iter().enumerate() {
            by_id.insert(seen.id, place);
            // One that is still there under its own id is not another one's earlier self.
            if let Some(twin) = seen.twin.filter(|_| !present.contains(&seen.id)) {
                by_twin.insert(twin, place);
            }
        }
        let mut news = News::default();
        let mut taken: BTreeSet<usize> = BTreeSet::new();
        let mut now: BTreeMap<Key, Seen> = BTreeMap::new();
        let mut order = Vec::new();
        for item in document.items.iter().rev() {
            let own = item.own_id();
            let (id, twin, words) = (Key::of(&*own), item.twin(), item.words());
            let namesake = || by_twin.get(&twin?).copied().filter(|place| !taken.contains(place));
            let (place, renamed) = match by_id.get(&id) {
                Some(place) => (Some(*place), false),
                None => (namesake(), true),
            };
            let before = place.and_then(|place| self.items.get(place));
            // Hubs leave out what is long (YouTube's push titles alone): the same title says nothing else.
            let short = extent == Extent::Part && item.content.is_empty() && item.media_text.is_empty();
            let words = before
                .filter(|seen| short && seen.twin.is_some() && seen.twin == twin)
                .map_or(words, |seen| seen.words);
            // The same id twice in one document: the later one in its order is the older, and both were looked at.
            let again = now.get(&id).map(|seen| seen.words);
            let is_news = before.map(|seen| seen.words).or(again) != Some(words) && again != Some(words);
            if is_news {
                let name = match twin.filter(|_| renamed && place.is_some()) {
                    Some(twin) => format!("feed:{site}/{:016x}", twin.bits()),
                    None => global_id(&own, site),
                };
                news.items.push((name, item));
                news.fresh.extend(Some(id).filter(|_| place.is_none()));
            }
            taken.extend(place);
            if now.insert(id, Seen { id, twin, words }).is_none() {
                order.push(id);
            }
        }
        // Nobody takes back what is not theirs, nor twice.
        let gone = document.gone.iter().map(|gone| (Key::of(&*gone.id), gone));
        let gone: BTreeMap<Key, _> = gone.filter(|(id, _)| by_id.contains_key(id) && !present.contains(id)).collect();
        news.gone = gone.values().map(|gone| (global_id(&gone.id, site), gone.at)).collect();
        // Of half a document nobody knows what the other half shows.
        let shows = extent == Extent::Window && document.is_whole && !document.items.is_empty();
        news.turned_over = shows && self.begun && taken.is_empty() && !self.items.is_empty();
        if news.turned_over {
            let is_history = |item: &Item| item.published.or(item.updated).is_some_and(|at| Some(at) < read_to);
            news.items.retain(|(_, item)| !is_history(item));
        }
        if !std::mem::replace(&mut self.begun, true) {
            news.items.clear();
            news.fresh.clear();
        }
        let mut place = 0..;
        self.items.retain(|seen| {
            let was_taken = place.next().is_some_and(|place| taken.contains(&place));
            !was_taken && !now.contains_key(&seen.id) && !gone.contains_key(&seen.id)
        });
        // Beside what a part shows there is all that the last window did.
        let most = if extent == Extent::Window { BEYOND } else { BEYOND + MAX_DOCUMENT_ITEMS };
        let surplus = self.items.len().saturating_sub(most);
        self.items.drain(..surplus);
        self.items.extend(order.iter().filter_map(|id| now.get(id).cloned()));
        news
    }
}
