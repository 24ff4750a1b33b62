//! The conversation with one relay (NIP-01, NIP-42).
//!
//! A relay has no cursor. It is asked again for everything since the last moment it was heard, less a margin,
//! and page by page into the past, because a relay gives only the newest events of an answer and none says at
//! how many it stops. Whatever it repeats, the engine knows by name. It promises nothing: events that reach
//! it late, dated before the margin, are not found again.
//!
//! Rejected: to ask for a relay's limits first (NIP-11). We hold two subscriptions of two filters in a few kilobytes, less than
//! any limit that is in use; at how many events an answer stops, paging finds out; that a key is wanted, the relay says itself
//! (`AUTH`, `CLOSED`). The document may be missing or wrong, and then it would have us read less.
//!
//! Of what it hears the task reads only what an event is and when; whether it is genuine, the decoder finds
//! out. Two events are told apart into several frames: a deletion, one for each post it names, and a repost,
//! whose note is told as if the relay had it.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Bytes;
use url::Url;

use super::event::Key;
use super::kind;
use crate::config::model::NostrConfig;
use crate::domain::event::{Bookmark, DownReason, Joint, Rejected};
use crate::domain::harmless;
use crate::net::ws::{Connector, HARD_LIMIT_BYTES, peer};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure, Remedy, Wire};
use crate::source::talk::{Limits, Talk, Turn, converse};

/// What a resume repeats, in seconds: events reach relays late.
const MARGIN: i64 = 600;
/// Events asked for at once.
const PAGE: usize = 500;
/// Pages into the past after one outage.
const MOST_PAGES: usize = 1000;
/// A note in a repost is news for so long after it was written, in seconds.
const NEWS: i64 = 86_400;
/// Posts one deletion may name.
const MOST_TARGETS: usize = 500;
/// What the frames of one deletion may come to, in bytes.
const MOST_APART: usize = 4 << 20;
/// How long a relay that has enough of us is left alone in the middle of a page.
const PAUSE: Duration = Duration::from_secs(10);

const LIVE: &str = "live";
const PAST: &str = "past";

/// One relay.
pub(super) struct Relay {
    config: Arc<NostrConfig>,
    connector: Connector,
}

impl Relay {
    pub(super) fn new(config: Arc<NostrConfig>, line: &Line) -> Self {
        let most = config.max_frame_bytes.max(HARD_LIMIT_BYTES);
        let connector = Connector::new(config.transport.clone(), line.timing.connect_within, most);
        Self { config, connector }
    }
}

impl Wire for Relay {
    async fn read(&mut self, url: &Url, line: &mut Line) -> End {
        let host = peer(url).unwrap_or_default();
        let key = match &self.config.secret_key {
            Some(secret) => match Key::parse(secret.expose()) {
                Some(key) => Some(key),
                None => {
                    return Failure::operator(
                        "`secret_key` is no key: it has 64 hexadecimal digits, or begins with `nsec1`",
                    );
                }
            },
            None => None,
        };
        let socket = match line.unless_stopped(self.connector.connect(url)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return error.into(),
            Err(end) => return end,
        };
        let known = line.position.bookmark().and_then(|mark| mark.0.parse::<i64>().ok());
        let now = line.now().micros() / 1_000_000;
        let mut talk = Conversation {
            host: &host,
            relay: url.as_str().trim_end_matches('/'),
            config: &self.config,
            key,
            since: known.map_or(now, |known| known.min(now) - MARGIN),
            resumes: known.is_some(),
            answer_by: Some(Instant::now() + line.timing.connect_within),
            auth: Auth::None,
            page: Page::default(),
            pages: 0,
            pause: None,
            stage: Stage::Waiting,
            heard: None,
        };
        let limits = Limits { max_frame_bytes: self.config.max_frame_bytes, expect_message_within: None, pings: true };
        converse(socket, &host, &mut talk, limits, line).await
    }
}

/// How far a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The relay has not answered yet.
    Waiting,
    /// What is stored is on its way.
    Stored,
    /// All of it came.
    Present,
}

/// Who we are to the relay.
#[derive(Debug, PartialEq, Eq)]
enum Auth {
    None,
    Challenged(String),
    Answered,
    Accepted,
}

/// What the relay gave of one answer.
#[derive(Debug, Default)]
struct Page {
    events: usize,
    /// The second of the oldest that was asked for.
    oldest: Option<i64>,
    /// None was to be newer.
    until: Option<i64>,
}

struct Conversation<'a> {
    host: &'a str,
    relay: &'a str,
    config: &'a NostrConfig,
    key: Option<Key>,
    /// Seconds since 1970.
    since: i64,
    resumes: bool,
    /// Until when the relay has to say something of use.
    answer_by: Option<Instant>,
    auth: Auth,
    page: Page,
    pages: usize,
    /// When a page is asked for again.
    pause: Option<Instant>,
    stage: Stage,
    /// When it was heard, all before being known; seconds since 1970.
    heard: Option<i64>,
}

/// What is read of an event before it is known to be genuine.
#[derive(Deserialize)]
struct Glance {
    kind: u64,
    created_at: i64,
}

#[derive(Deserialize)]
struct Inside {
    #[serde(default)]
    tags: Vec<Vec<String>>,
    #[serde(default)]
    content: String,
}

impl Talk for Conversation<'_> {
    fn begin(&mut self, turn: &mut Turn) {
        turn.say(self.request(LIVE, None));
    }

    fn hear(&mut self, message: &Bytes, turn: &mut Turn) -> Result<(), End> {
        let Ok(parts) = serde_json::from_slice::<Vec<&RawValue>>(message) else {
            turn.keep(message.clone()); // the decoder says what is wrong with it
            return Ok(());
        };
        let word = |place: usize| {
            let text = parts.get(place).and_then(|part| serde_json::from_str::<String>(part.get()).ok());
            text.unwrap_or_default()
        };
        let outcome = match word(0).as_str() {
            "EVENT" => {
                self.event(message, &word(1), parts.get(2).map_or("", |event| event.get()), turn);
                Ok(())
            }
            "EOSE" => {
                self.end_of_stored(&word(1), turn);
                Ok(())
            }
            "CLOSED" => self.closed_by_relay(&word(1), &word(2), turn),
            "NOTICE" => self.notice(&word(1)),
            "AUTH" => {
                self.auth = Auth::Challenged(word(1));
                self.answer_challenge(turn);
                Ok(())
            }
            "OK" => self.answered(parts.get(2).is_some_and(|taken| taken.get() == "true"), &word(3), turn),
            _ => Ok(()),
        };
        if self.stage == Stage::Present {
            self.heard = Some(turn.now().micros() / 1_000_000);
        }
        outcome
    }

    fn alarm(&self) -> Option<Instant> {
        self.answer_by.or(self.pause)
    }

    fn wake(&mut self, turn: &mut Turn) -> Result<(), End> {
        if self.answer_by.is_some() {
            return Err(End::Down(DownReason::Stalled));
        }
        if self.pause.take().is_some() {
            turn.say(self.request(PAST, self.page.until));
        }
        Ok(())
    }

    fn bookmark(&self) -> Option<Bookmark> {
        self.heard.map(|heard| heard.to_string().into())
    }
}

impl Conversation<'_> {
    fn request(&self, name: &str, until: Option<i64>) -> String {
        let filter = |kinds: Value, more: &[(&str, Value)]| {
            let common = [("kinds", kinds), ("since", json!(self.since)), ("limit", json!(PAGE))];
            let until = until.map(|until| ("until", json!(until)));
            let parts = common.into_iter().chain(until).chain(more.iter().cloned());
            parts.map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>()
        };
        let posts = if self.config.hashtags.is_empty() {
            filter(json!([&kind::POSTS[..], &[kind::REPOST, kind::GENERIC_REPOST]].concat()), &[])
        } else {
            filter(json!(kind::POSTS), &[("#t", json!(self.config.hashtags))])
        };
        let others = filter(json!([kind::DELETION]), &[]);
        json!(["REQ", name, posts, others]).to_string()
    }

    /// The relay lets us read.
    fn stands(&mut self, turn: &mut Turn) {
        if self.stage == Stage::Waiting {
            self.stage = Stage::Stored;
            self.answer_by = None;
            turn.stands(if self.resumes { Joint::GoesOn } else { Joint::Live });
        }
    }

    fn event(&mut self, message: &Bytes, name: &str, event: &str, turn: &mut Turn) {
        self.stands(turn);
        let Ok(glance) = serde_json::from_str::<Glance>(event) else {
            turn.keep(message.clone());
            return;
        };
        let asked = if self.page.until.is_some() { PAST } else { LIVE };
        let in_page = glance.created_at >= self.since && self.page.until.is_none_or(|until| glance.created_at <= until);
        if self.stage == Stage::Stored && name == asked && in_page {
            self.page.events += 1;
            let oldest = self.page.oldest.map_or(glance.created_at, |oldest| oldest.min(glance.created_at));
            self.page.oldest = Some(oldest);
        }
        match glance.kind {
            kind::DELETION => apart(message, event, turn),
            kind::REPOST | kind::GENERIC_REPOST => {
                turn.keep(message.clone());
                reposted(event, glance.created_at, turn);
            }
            _ => turn.keep(message.clone()),
        }
    }

    fn end_of_stored(&mut self, name: &str, turn: &mut Turn) {
        let asked = if self.page.until.is_some() { PAST } else { LIVE };
        if self.stage == Stage::Present || name != asked {
            return;
        }
        self.stands(turn);
        if name == PAST {
            turn.say(json!(["CLOSE", PAST]).to_string());
        }
        let page = std::mem::take(&mut self.page);
        self.pages += 1;
        let goes_back = page.oldest.filter(|&oldest| page.until.is_none_or(|until| oldest < until));
        match goes_back.filter(|_| self.resumes && page.events > 0 && self.pages < MOST_PAGES) {
            Some(oldest) => {
                self.page.until = Some(oldest);
                turn.say(self.request(PAST, Some(oldest)));
            }
            None => self.stage = Stage::Present,
        }
        turn.is_alive();
    }

    fn closed_by_relay(&mut self, name: &str, why: &str, turn: &mut Turn) -> Result<(), End> {
        let (prefix, _) = why.split_once(':').unwrap_or((why, ""));
        match prefix {
            "auth-required" if self.auth == Auth::Accepted => Err(self.refused(why)),
            "auth-required" if self.key.is_none() => {
                let host = self.host;
                Err(Failure::operator(format!("{host} wants to know who reads: configure `secret_key`")))
            }
            "auth-required" => {
                // Asked again once the relay takes the answer.
                self.answer_challenge(turn);
                Ok(())
            }
            "restricted" | "blocked" | "pow" | "invalid" | "unsupported" | "mute" => Err(self.refused(why)),
            _ if name == PAST => {
                self.pause = Some(Instant::now() + PAUSE);
                Ok(())
            }
            _ => {
                let error = format!("{} ended the subscription: {}", self.host, said(why));
                Err(End::Failed(Failure { error, remedy: Remedy::Busy(None) }))
            }
        }
    }

    /// Older relays refuse with nothing but a notice.
    fn notice(&self, text: &str) -> Result<(), End> {
        let refuses = ["restricted", "auth-required", "blocked"].iter().any(|prefix| text.starts_with(prefix));
        if refuses && self.stage == Stage::Waiting { Err(self.refused(text)) } else { Ok(()) }
    }

    fn refused(&self, why: &str) -> End {
        Failure::operator(format!(
            "{} does not let us read; check the relay's terms and `secret_key`: {}",
            self.host,
            said(why)
        ))
    }

    fn answer_challenge(&mut self, turn: &mut Turn) {
        let (Some(key), Auth::Challenged(challenge)) = (&self.key, &self.auth) else { return };
        if let Some(answer) = key.answer(self.relay, challenge, turn.now()) {
            turn.say(format!(r#"["AUTH",{answer}]"#));
            self.auth = Auth::Answered;
        }
    }

    /// The relay took, or did not take, the only event we ever send it.
    fn answered(&mut self, taken: bool, why: &str, turn: &mut Turn) -> Result<(), End> {
        if !taken {
            return Err(self.refused(why));
        }
        self.auth = Auth::Accepted;
        match self.stage {
            Stage::Waiting => turn.say(self.request(LIVE, None)),
            Stage::Stored if self.page.until.is_some() => turn.say(self.request(PAST, self.page.until)),
            Stage::Stored | Stage::Present => {}
        }
        Ok(())
    }
}

/// A stranger's words, fit for a log line.
fn said(text: &str) -> String {
    harmless::clip(&harmless::clean(text), 160)
}

/// Keeps a deletion once for each post it names, with the number of that post behind the event.
fn apart(message: &Bytes, event: &str, turn: &mut Turn) {
    let Ok(Inside { tags, .. }) = serde_json::from_str::<Inside>(event) else {
        turn.keep(message.clone());
        return;
    };
    let is_target = |tag: &&Vec<String>| tag.first().is_some_and(|name| name == "e" || name == "a");
    let targets = tags.iter().filter(is_target).count().clamp(1, MOST_TARGETS);
    if targets.saturating_mul(event.len()) > MOST_APART {
        turn.reject(Rejected::TooLarge);
        return;
    }
    for place in 0..targets {
        turn.keep(format!(r#"["EVENT","{LIVE}",{event},{place}]"#).into());
    }
}

/// Keeps the note in a repost, when it is news.
fn reposted(event: &str, at: i64, turn: &mut Turn) {
    let Ok(Inside { content, .. }) = serde_json::from_str::<Inside>(event) else { return };
    let note = serde_json::from_str::<Glance>(&content);
    if note.is_ok_and(|note| kind::POSTS.contains(&note.kind) && note.created_at > at.saturating_sub(NEWS))
        && let Ok(Value::Object(note)) = serde_json::from_str(&content)
    {
        turn.keep(json!(["EVENT", "repost", note]).to_string().into());
    }
}
