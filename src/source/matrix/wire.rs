//! A homeserver followed by long-polling `/sync`.
//!
//! The token of the last answer is the bookmark. Without one, or with one that the server does not
//! know any more, the first answer is a baseline: what was said before is not news.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Deserialize;
use tokio_tungstenite::tungstenite::Bytes;
use url::Url;

use super::pages::{JoinedRooms, Page, Raw, Refusal, Sync, Timeline, WhoAmI};
use crate::config::model::MatrixConfig;
use crate::domain::event::{Bookmark, DownReason, Joint, Reach, Rejected};
use crate::net::retry::RetryAfter;
use crate::net::ws::peer;
use crate::source::Frame;
use crate::source::http::{Answer, Http, Request, refused};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure, Remedy, Wire};
use crate::telemetry::events;

/// How long the server may wait for something to say; less than any request of ours may take.
const POLL: Duration = Duration::from_secs(20);
/// Events of one room in one answer; more come by pages. So an answer's size is bounded by the rooms.
const EVENTS: usize = 20;
/// The longest answer that is read, in bytes.
const MOST_BYTES: usize = 64 << 20;
/// Events on a page, and pages of one room that are turned back before the rest is given up for lost.
const PAGE: usize = 100;
const MOST_PAGES: usize = 100;
/// Bytes of the pages of one room that are held together.
const MOST_HELD: usize = 64 << 20;
/// Frames that are handed on together.
const TOGETHER: usize = 256;
/// Authors of the latest messages, so that most edits need no question.
const MOST_AUTHORS: usize = 5000;

/// What is followed, and where it stands.
pub struct Matrix {
    config: MatrixConfig,
    since: Since,
    /// Something was given up for lost: the next connection does not go on where the last one ended.
    lost: bool,
    authors: Authors,
    /// Rooms whose messages we were told we cannot read.
    encrypted: Vec<String>,
}

/// Where to go on.
#[derive(Clone)]
enum Since {
    /// Where the last run ended.
    Kept,
    /// Nowhere: the server knows our place no more.
    Nowhere,
    /// Behind all that was handed on.
    At(String),
}

impl Matrix {
    /// Not connected yet.
    pub fn new(config: MatrixConfig) -> Self {
        let authors = Authors::default();
        Self { config, since: Since::Kept, lost: false, authors, encrypted: Vec::new() }
    }

    async fn follow(&mut self, host: &Url, line: &mut Line) -> Result<Infallible, End> {
        let api = Api::new(&self.config, host)?;
        let own: WhoAmI = api.ask(api.url(&["account", "whoami"]), line).await?;
        self.check_rooms(&api, line).await?;
        let mut since = match &self.since {
            Since::Kept => line.position.bookmark().map(|bookmark| bookmark.0.to_string()),
            Since::Nowhere => None,
            Since::At(token) => Some(token.clone()),
        };
        let mut within = Duration::ZERO;
        loop {
            let answer = match api.send(api.sync(since.as_deref(), within, &self.config.rooms), line).await? {
                answer if answer.status == StatusCode::BAD_REQUEST && since.is_some() => {
                    (self.since, self.lost) = (Since::Nowhere, true);
                    events::source_down(
                        &line.name,
                        DownReason::CursorTooOld,
                        Some("the server does not know our token"),
                    );
                    return Err(End::Interrupted(DownReason::CursorTooOld));
                }
                answer => api.accepted(answer)?,
            };
            let now = line.now();
            let sync: Sync<'_> = parsed(&api.host, &answer.body)?;
            if within.is_zero() {
                let goes_on = since.is_some() && !std::mem::take(&mut self.lost);
                line.connected(&api.host, if goes_on { Joint::GoesOn } else { Joint::Live }).await?;
                within = POLL;
            }
            let mut frames = Frames { kept: Vec::new(), now };
            let mut lost = false;
            if let Some(since) = &since {
                lost = self.read(&api, &sync, &own.user_id, since, &mut frames, line).await?;
            }
            let next = sync.next_batch.0.into_owned();
            frames
                .hand_on(Reach { covered: Some(now), bookmark: Some(Bookmark::from(next.as_str())), paid: None }, line)
                .await?;
            self.since = Since::At(next.clone());
            since = Some(next);
            if lost {
                self.lost = true;
                return Err(End::Interrupted(DownReason::CursorTooOld));
            }
        }
    }

    /// Takes what a sync brought; whether something is lost.
    async fn read(
        &mut self,
        api: &Api,
        sync: &Sync<'_>,
        own: &str,
        since: &str,
        frames: &mut Frames,
        line: &Line,
    ) -> Result<bool, End> {
        let Some(rooms) = &sync.rooms else { return Ok(false) };
        let is_wanted =
            |room: &str| self.config.rooms.is_empty() || self.config.rooms.iter().any(|wanted| wanted == room);
        for room in rooms.leave.keys().filter(|room| is_wanted(room)) {
            events::source_notice(&line.name, &format!("the account is in {room} no more, nobody reads it"));
        }
        let mut lost = false;
        let wanted: Vec<_> = rooms.join.iter().filter(|(room, _)| is_wanted(room)).collect();
        for (room, joined) in wanted {
            let Some(timeline) = &joined.timeline else { continue };
            let (missed, all) = api.missed(room, timeline, since, line).await?;
            lost |= !all;
            for body in missed.iter().rev() {
                let page: Page<'_> = parsed(&api.host, body)?;
                for event in page.chunk.iter().rev() {
                    self.event(api, room, &Raw::new(event), own, frames, line).await?;
                }
            }
            for event in &timeline.events {
                self.event(api, room, &Raw::new(event), own, frames, line).await?;
            }
        }
        Ok(lost)
    }

    /// Keeps an event, unless it is our own word (a receiver may use the same account) or an edit by
    /// somebody else than the author, which the server lets pass.
    async fn event(
        &mut self,
        api: &Api,
        room: &str,
        event: &Raw<'_>,
        own: &str,
        frames: &mut Frames,
        line: &Line,
    ) -> Result<(), End> {
        let sender = event.sender();
        if sender.as_deref() == Some(own) {
            return Ok(());
        }
        if event.is_encrypted() {
            self.tell_encrypted(room, line);
        }
        if let (Some(sender), Some(first)) = (&sender, event.replaces()) {
            let author = match self.authors.get(room, &first) {
                Some(author) => Some(author.to_owned()),
                None => api.author(room, &first, line).await?,
            };
            if author.as_ref() != Some(sender) {
                frames.push(Err(Rejected::WrongType));
                return Ok(());
            }
            self.authors.insert(room, &first, sender.clone());
        } else if let (Some(sender), Some(id)) = (sender, event.id()) {
            self.authors.insert(room, &id, sender);
        }
        frames.push(event.frame(room).map(Bytes::from).ok_or(Rejected::TooLarge));
        Ok(())
    }

    fn tell_encrypted(&mut self, room: &str, line: &Line) {
        if self.encrypted.len() < 1000 && !self.encrypted.iter().any(|known| known == room) {
            self.encrypted.push(room.to_owned());
            events::source_notice(&line.name, &format!("{room} is encrypted, what is said there cannot be read"));
        }
    }

    /// Rooms the account is not in are not read, and nobody would notice.
    async fn check_rooms(&self, api: &Api, line: &Line) -> Result<(), End> {
        let joined: JoinedRooms = api.ask(api.url(&["joined_rooms"]), line).await?;
        let wanted = self.config.rooms.iter();
        let absent: Vec<&String> = wanted.filter(|room| !joined.joined_rooms.contains(room)).collect();
        if joined.joined_rooms.is_empty() || (!absent.is_empty() && absent.len() == self.config.rooms.len()) {
            return Err(Failure::operator("the account is in none of the rooms; join them with it"));
        }
        for room in absent {
            events::source_notice(&line.name, &format!("the account is not in {room}, join it; nobody reads it"));
        }
        Ok(())
    }
}

impl Wire for Matrix {
    async fn read(&mut self, host: &Url, line: &mut Line) -> End {
        match self.follow(host, line).await {
            Err(end) => end,
        }
    }
}

/// Frames on their way out.
struct Frames {
    kept: Vec<Frame>,
    now: crate::domain::time::Timestamp,
}

impl Frames {
    fn push(&mut self, body: Result<Bytes, Rejected>) {
        self.kept.push(Frame { received_at: Some(self.now), body });
    }

    /// Hands them on, and with the last of them how far the rooms are read.
    async fn hand_on(self, reach: Reach, line: &Line) -> Result<(), End> {
        let mut rest = self.kept;
        while rest.len() > TOGETHER {
            let later = rest.split_off(TOGETHER);
            line.hand_on(std::mem::replace(&mut rest, later), Reach::default()).await?;
        }
        line.hand_on(rest, reach).await
    }
}

/// Who wrote the latest messages.
#[derive(Default)]
struct Authors {
    known: HashMap<String, String>,
    order: VecDeque<String>,
}

impl Authors {
    fn get(&self, room: &str, event: &str) -> Option<&str> {
        self.known.get(&format!("{room}/{event}")).map(String::as_str)
    }

    fn insert(&mut self, room: &str, event: &str, author: String) {
        let key = format!("{room}/{event}");
        if self.known.insert(key.clone(), author).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MOST_AUTHORS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// The server's client-server API.
struct Api {
    http: Http,
    base: Url,
    host: String,
    headers: HeaderMap,
}

impl Api {
    fn new(config: &MatrixConfig, base: &Url) -> Result<Self, End> {
        let unusable = |_| Failure::operator("the source's token has characters that no token has");
        let mut token = HeaderValue::try_from(format!("Bearer {}", config.token.expose())).map_err(unusable)?;
        token.set_sensitive(true);
        let http = Http::new(&config.transport, base.scheme() == "http")?;
        let host = peer(base).unwrap_or_default();
        Ok(Self { http, base: base.clone(), host, headers: HeaderMap::from_iter([(AUTHORIZATION, token)]) })
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["_matrix", "client", "v3"]).extend(path);
        }
        url
    }

    fn sync(&self, since: Option<&str>, within: Duration, rooms: &[String]) -> Url {
        let types = types();
        let limit = if since.is_some() { EVENTS } else { 1 };
        let mut filter = serde_json::json!({
            "presence": { "types": [] },
            "account_data": { "types": [] },
            "room": {
                "account_data": { "types": [] },
                "ephemeral": { "types": [] },
                "state": { "types": [] },
                "timeline": { "types": types, "limit": limit },
            },
        });
        if let (false, Some(room)) = (rooms.is_empty(), filter.get_mut("room")) {
            // The names of a map's entries: `include_leave` is not asked for, leaving is told all the same.
            room["rooms"] = rooms.into();
        }
        let mut url = self.url(&["sync"]);
        let millis = within.as_millis().to_string();
        url.query_pairs_mut().append_pair("timeout", &millis).append_pair("filter", &filter.to_string());
        if let Some(since) = since {
            url.query_pairs_mut().append_pair("since", since);
        }
        url
    }

    /// What was said in a room between `since` and what the sync tells, newest page first, and whether it is all.
    async fn missed(
        &self,
        room: &str,
        timeline: &Timeline<'_>,
        since: &str,
        line: &Line,
    ) -> Result<(Vec<Vec<u8>>, bool), End> {
        let (mut pages, mut held) = (Vec::new(), 0);
        let first = timeline.prev_batch.as_ref().filter(|_| timeline.limited);
        let Some(mut from) = first.map(|token| token.0.to_string()) else { return Ok((pages, true)) };
        while pages.len() < MOST_PAGES && held < MOST_HELD {
            let mut url = self.url(&["rooms", room, "messages"]);
            let filter = serde_json::json!({ "types": types() }).to_string();
            url.query_pairs_mut()
                .append_pair("dir", "b")
                .append_pair("from", &from)
                .append_pair("to", since)
                .append_pair("limit", &PAGE.to_string())
                .append_pair("filter", &filter);
            let answer = self.accepted(self.send(url, line).await?)?;
            held += answer.body.len();
            let page: Page<'_> = parsed(&self.host, &answer.body)?;
            let end = page.end.as_ref().map(|token| token.0.to_string()).filter(|end| *end != from);
            let is_empty = page.chunk.is_empty();
            pages.push(answer.body);
            match end {
                Some(end) if !is_empty => from = end,
                _ => return Ok((pages, true)),
            }
        }
        Ok((pages, false))
    }

    /// Who wrote a message; none when it cannot be seen.
    async fn author(&self, room: &str, event: &str, line: &Line) -> Result<Option<String>, End> {
        let answer = self.send(self.url(&["rooms", room, "event", event]), line).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST) {
            return Ok(None);
        }
        let answer = self.accepted(answer)?;
        let event: &serde_json::value::RawValue = parsed(&self.host, &answer.body)?;
        Ok(Raw::new(event).sender())
    }

    async fn ask<T: for<'a> Deserialize<'a>>(&self, url: Url, line: &Line) -> Result<T, End> {
        let answer = self.accepted(self.send(url, line).await?)?;
        parsed(&self.host, &answer.body)
    }

    async fn send(&self, url: Url, line: &Line) -> Result<Answer, End> {
        self.http.ask(Request::get(url, self.headers.clone(), MOST_BYTES), line).await
    }

    /// The answer, or what it means that it is a refusal (client-server API, "Standard error response").
    fn accepted(&self, answer: Answer) -> Result<Answer, End> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
        let End::Failed(mut failure) = refused(&self.host, answer.status, &answer.headers) else {
            return Err(Failure::retry(format!("{} answered {}", self.host, answer.status)));
        };
        if let (Remedy::Busy(None), Some(millis)) = (failure.remedy, refusal.retry_after_ms) {
            failure.remedy = Remedy::Busy(Some(RetryAfter::In(Duration::from_millis(millis))));
        }
        let is_code = |c: char| c.is_ascii_uppercase() || c == '_';
        if (1..=40).contains(&refusal.errcode.len()) && refusal.errcode.chars().all(is_code) {
            failure.error = format!("{} ({})", failure.error, refusal.errcode);
        }
        Err(End::Failed(failure))
    }
}

/// What is asked for: encrypted messages, too, because that they cannot be read must be told.
fn types() -> serde_json::Value {
    serde_json::json!(["m.room.message", "m.sticker", "m.room.redaction", "m.room.encrypted"])
}

/// Reads an answer. What is wrong with it is not repeated: it may hold what people wrote.
fn parsed<'a, T: Deserialize<'a>>(host: &str, body: &'a [u8]) -> Result<T, End> {
    serde_json::from_slice(body).or(Err(Failure::retry(format!("{host} answered what is no answer of Matrix"))))
}
