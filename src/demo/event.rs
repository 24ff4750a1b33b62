//! One event of the play and how it looks on Jetstream's v1 wire.
//!
//! An event knows everything but the moment it is sent: `time_us`, `rev` and the
//! author's `createdAt` are written when the frame is, so that the play can be shown at
//! any speed and times still agree with each other.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::domain::time::Timestamp;
use crate::rng::Rng;

/// The collection of posts.
pub(super) const POST: &str = "app.bsky.feed.post";
/// The collection of reposts.
pub(super) const REPOST: &str = "app.bsky.feed.repost";
/// The collection of likes.
pub(super) const LIKE: &str = "app.bsky.feed.like";
/// The collection of follows.
pub(super) const FOLLOW: &str = "app.bsky.graph.follow";
/// The collection of profiles, one a person.
pub(super) const PROFILE: &str = "app.bsky.actor.profile";

/// How wrong the wrong clocks are.
const YEARS_OFF: Duration = Duration::from_hours(24 * 900);

const BASE32: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
const BASE32_SORTED: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";

/// Something that happened on the simulated network.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    did: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    Create {
        collection: &'static str,
        rkey: String,
        cid: String,
        record: Map<String, Value>,
        /// How long before the event the author's clock claims to have written it.
        written_before: Duration,
    },
    Delete {
        collection: &'static str,
        rkey: String,
    },
    Identity {
        handle: String,
        seq: u64,
    },
    Account {
        status: Option<&'static str>,
        seq: u64,
    },
}

/// A record others can answer, quote, repeat, like or delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    did: String,
    rkey: String,
    cid: String,
}

/// What a post holds besides its author and its time.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) lang: &'static str,
    pub(super) reply_to: Option<Reference>,
    pub(super) quotes: Option<Reference>,
    /// The description of an attached picture.
    pub(super) alt: Option<String>,
    pub(super) card: Option<Card>,
}

/// A link card under a post.
#[derive(Clone, Debug)]
pub(super) struct Card {
    pub(super) uri: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
}

impl Event {
    /// The collection a commit is in; identity and account events have none.
    pub fn collection(&self) -> Option<&'static str> {
        match &self.what {
            What::Create { collection, .. } | What::Delete { collection, .. } => Some(collection),
            What::Identity { .. } | What::Account { .. } => None,
        }
    }

    /// The event as a JSON text frame of the v1 wire, stamped as seen at `sent`.
    pub fn frame(&self, sent: Timestamp) -> String {
        let mut frame = json!({ "did": self.did, "time_us": sent.micros(), "kind": self.kind() });
        if let Some(fields) = frame.as_object_mut() {
            fields.insert(self.kind().to_owned(), self.body(sent));
        }
        frame.to_string()
    }

    const fn kind(&self) -> &'static str {
        match self.what {
            What::Create { .. } | What::Delete { .. } => "commit",
            What::Identity { .. } => "identity",
            What::Account { .. } => "account",
        }
    }

    fn body(&self, sent: Timestamp) -> Value {
        match &self.what {
            What::Create { collection, rkey, cid, record, written_before } => {
                let mut record = record.clone();
                record.insert("$type".to_owned(), json!(collection));
                record.insert("createdAt".to_owned(), json!((sent - *written_before).to_string()));
                json!({ "rev": tid(sent, 0), "operation": "create", "collection": collection,
                        "rkey": rkey, "record": record, "cid": cid })
            }
            What::Delete { collection, rkey } => {
                json!({ "rev": tid(sent, 0), "operation": "delete", "collection": collection, "rkey": rkey })
            }
            What::Identity { handle, seq } => {
                json!({ "did": self.did, "handle": handle, "seq": seq, "time": sent.to_string() })
            }
            What::Account { status: None, seq } => {
                json!({ "active": true, "did": self.did, "seq": seq, "time": sent.to_string() })
            }
            What::Account { status: Some(status), seq } => {
                json!({ "active": false, "did": self.did, "seq": seq, "status": status, "time": sent.to_string() })
            }
        }
    }
}

/// Makes events; every key it gives is new, also to a database that saw an earlier play.
#[derive(Clone, Debug)]
pub(super) struct Press {
    rng: Rng,
    start: Timestamp,
    seq: u64,
}

impl Press {
    /// A press for a play that begins at `start`.
    pub(super) const fn new(seed: u64, start: Timestamp) -> Self {
        Self { rng: Rng::new(seed), start, seq: 30_000_000_000 }
    }

    /// A post of `handle`, written at `at` into the play.
    pub(super) fn post(&mut self, at: Duration, handle: &str, draft: Draft) -> (Event, Reference) {
        self.create(at, handle, POST, record(draft))
    }

    /// `handle` does something to a record: [`REPOST`] or [`LIKE`].
    pub(super) fn react(&mut self, at: Duration, handle: &str, collection: &'static str, to: &Reference) -> Event {
        self.create(at, handle, collection, fields(json!({ "subject": to.strong() }))).0
    }

    /// `handle` follows `other`.
    pub(super) fn follow(&mut self, at: Duration, handle: &str, other: &str) -> Event {
        self.create(at, handle, FOLLOW, fields(json!({ "subject": did(other) }))).0
    }

    /// `handle` fills in a profile.
    pub(super) fn profile(&mut self, at: Duration, handle: &str, shown: &str, about: &str) -> Event {
        let (mut event, _) =
            self.create(at, handle, PROFILE, fields(json!({ "displayName": shown, "description": about })));
        if let What::Create { rkey, .. } = &mut event.what {
            "self".clone_into(rkey);
        }
        event
    }

    /// `handle` becomes known.
    pub(super) fn identity(&mut self, handle: &str) -> Event {
        self.seq += 1;
        Event { did: did(handle), what: What::Identity { handle: handle.to_owned(), seq: self.seq } }
    }

    /// The account of `handle` is fine (`None`) or not (`deactivated`, `deleted`, …).
    pub(super) fn account(&mut self, handle: &str, status: Option<&'static str>) -> Event {
        self.seq += 1;
        Event { did: did(handle), what: What::Account { status, seq: self.seq } }
    }

    fn create(
        &mut self,
        at: Duration,
        handle: &str,
        collection: &'static str,
        record: Map<String, Value>,
    ) -> (Event, Reference) {
        let did = did(handle);
        let rkey = tid(self.start + at, self.rng.below(1024));
        let cid = cid(&mut self.rng);
        let reference = Reference { did: did.clone(), rkey: rkey.clone(), cid: cid.clone() };
        // Now and then a clock in the wild is years off; nobody should count by it.
        let written_before = if self.rng.one_in(400) {
            YEARS_OFF
        } else {
            self.rng.between(Duration::from_millis(150), Duration::from_millis(1500))
        };
        (Event { did, what: What::Create { collection, rkey, cid, record, written_before } }, reference)
    }
}

impl Reference {
    /// The author takes the post back.
    pub(super) fn delete(&self) -> Event {
        Event { did: self.did.clone(), what: What::Delete { collection: POST, rkey: self.rkey.clone() } }
    }

    fn uri(&self) -> String {
        format!("at://{}/{POST}/{}", self.did, self.rkey)
    }

    fn strong(&self) -> Value {
        json!({ "cid": self.cid, "uri": self.uri() })
    }
}

/// The DID that belongs to a made-up handle.
pub(super) fn did(handle: &str) -> String {
    format!("did:plc:{}", Rng::of(handle).letters(BASE32, 24))
}

/// A timestamp identifier: 53 bits of microseconds, 10 bits to tell clocks apart.
fn tid(time: Timestamp, clock: u64) -> String {
    let bits = (time.micros().unsigned_abs() << 10 | (clock & 1023)) & (u64::MAX >> 1);
    let letter = |place: u32| usize::try_from(bits >> (5 * place) & 31).ok().and_then(|digit| BASE32_SORTED.get(digit));
    (0..13).rev().filter_map(letter).map(|&byte| char::from(byte)).collect()
}

/// A well-formed CID of DAG-CBOR under SHA-256. Its hash is of nothing.
fn cid(rng: &mut Rng) -> String {
    format!("bafyrei{}{}{}", rng.letters(b"abcdefgh", 1), rng.letters(BASE32, 50), rng.letters(b"aeimquy4", 1))
}

fn record(draft: Draft) -> Map<String, Value> {
    let mut record = Map::new();
    let facets = facets(&draft.text);
    let embed = embed(&draft);
    record.insert("text".to_owned(), Value::String(draft.text));
    record.insert("langs".to_owned(), json!([draft.lang]));
    if !facets.is_empty() {
        record.insert("facets".to_owned(), Value::Array(facets));
    }
    if let Some(parent) = draft.reply_to {
        record.insert("reply".to_owned(), json!({ "root": parent.strong(), "parent": parent.strong() }));
    }
    if let Some(embed) = embed {
        record.insert("embed".to_owned(), embed);
    }
    record
}

fn embed(draft: &Draft) -> Option<Value> {
    let quoted =
        draft.quotes.as_ref().map(|quoted| json!({ "$type": "app.bsky.embed.record", "record": quoted.strong() }));
    let media = draft.alt.as_ref().map(|alt| images(alt)).or_else(|| draft.card.as_ref().map(external));
    match (quoted, media) {
        (Some(record), Some(media)) => {
            Some(json!({ "$type": "app.bsky.embed.recordWithMedia", "record": record, "media": media }))
        }
        (quoted, media) => quoted.or(media),
    }
}

fn images(alt: &str) -> Value {
    // "bafkrei" names raw bytes, as a picture is.
    let link = cid(&mut Rng::of(alt)).replacen("bafyrei", "bafkrei", 1);
    json!({ "$type": "app.bsky.embed.images", "images": [{
        "alt": alt, "aspectRatio": { "width": 4, "height": 3 },
        "image": { "$type": "blob", "ref": { "$link": link }, "mimeType": "image/jpeg", "size": 204_800 } }] })
}

fn external(card: &Card) -> Value {
    json!({ "$type": "app.bsky.embed.external",
            "external": { "uri": card.uri, "title": card.title, "description": card.description } })
}

/// Marks the tags, links and mentions in a text, in bytes of UTF-8 as the protocol wants.
fn facets(text: &str) -> Vec<Value> {
    let mut facets = Vec::new();
    let mut end = 0;
    for piece in text.split_inclusive(char::is_whitespace) {
        let start = end;
        end += piece.len();
        let word = piece.trim_end_matches(|c: char| c.is_whitespace() || ",.!?:;)…".contains(c));
        let feature = if let Some(tag) = word.strip_prefix('#').filter(|tag| !tag.is_empty()) {
            json!({ "$type": "app.bsky.richtext.facet#tag", "tag": tag })
        } else if let Some(handle) = word.strip_prefix('@').filter(|handle| handle.contains('.')) {
            json!({ "$type": "app.bsky.richtext.facet#mention", "did": did(handle) })
        } else if word.starts_with("https://") {
            json!({ "$type": "app.bsky.richtext.facet#link", "uri": word })
        } else {
            continue;
        };
        facets.push(json!({ "index": { "byteStart": start, "byteEnd": start + word.len() }, "features": [feature] }));
    }
    facets
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(event: &Event) -> Value {
        serde_json::from_str(&event.frame(Timestamp::from_seconds(1_795_341_600))).unwrap()
    }

    #[test]
    fn a_post_looks_as_on_the_wire() {
        let mut press = Press::new(1, Timestamp::from_seconds(1_795_341_600));
        let (event, reference) =
            press.post(Duration::ZERO, "ann.example", Draft { text: "hi".into(), lang: "en", ..Draft::default() });
        let frame = parsed(&event);
        assert_eq!(frame["kind"], "commit");
        assert_eq!(frame["time_us"], 1_795_341_600_000_000_i64);
        assert_eq!(frame["commit"]["operation"], "create");
        assert_eq!(frame["commit"]["record"]["text"], "hi");
        assert_eq!(frame["commit"]["record"]["$type"], POST);
        let created = Timestamp::parse(frame["commit"]["record"]["createdAt"].as_str().unwrap()).unwrap();
        assert!(created < Timestamp::from_seconds(1_795_341_600));
        let delete = parsed(&reference.delete());
        assert_eq!(delete["commit"]["rkey"], frame["commit"]["rkey"]);
        assert!(delete["commit"].get("record").is_none() && delete["commit"].get("cid").is_none());
    }

    #[test]
    fn facets_cut_the_text_exactly() {
        let text = "Señal 🚨 #emergency, see https://news.example/a. cc @stbrigids.example";
        let cut: Vec<&str> = facets(text)
            .iter()
            .map(|facet| {
                let byte = |key: &str| usize::try_from(facet["index"][key].as_u64().unwrap()).unwrap();
                text.get(byte("byteStart")..byte("byteEnd")).unwrap()
            })
            .collect();
        assert_eq!(cut, ["#emergency", "https://news.example/a", "@stbrigids.example"]);
    }

    #[test]
    fn keys_have_the_shapes_of_the_protocol_and_sort_by_time() {
        let early = tid(Timestamp::from_seconds(1_795_341_600), 3);
        let late = tid(Timestamp::from_seconds(1_795_341_601), 1);
        assert!(early < late && early.len() == 13, "{early} {late}");
        // Known pair: 2026-07-04T14:38:08.089Z or so is written 3mpt…
        assert!(tid(Timestamp::from_micros(1_783_175_888_085_434), 0).starts_with("3mptby"));
        assert_eq!(cid(&mut Rng::new(5)).len(), 59);
        assert_eq!(did("ann.example").len(), "did:plc:".len() + 24);
    }

    #[test]
    fn a_picture_beside_a_quote_keeps_both() {
        let mut press = Press::new(1, Timestamp::from_seconds(1_795_341_600));
        let (_, quoted) = press.post(Duration::ZERO, "a.example", Draft::default());
        let draft = Draft { quotes: Some(quoted.clone()), alt: Some("smoke".into()), ..Draft::default() };
        let embed = parsed(&press.post(Duration::ZERO, "b.example", draft).0)["commit"]["record"]["embed"].clone();
        assert_eq!(embed["$type"], "app.bsky.embed.recordWithMedia");
        assert_eq!(embed["record"]["record"]["uri"], quoted.uri());
        assert_eq!(embed["media"]["images"][0]["alt"], "smoke");
    }
}
