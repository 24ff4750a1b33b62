//! Misskey's own protocol (Misskey, Sharkey, Firefish): a socket with channels, notes in a markup of their own.
//!
//! A note is named as the rest of the fediverse names it: by its `uri`, or on its own instance by the address
//! it has there. The server tells of deletions only for notes that were captured, so the newest are. Missed
//! notes are asked for by number, beside the stream.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{Either, select};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio_tungstenite::tungstenite::Bytes;
use url::Url;

use super::memory::{Memory, is_newer};
use super::talk::deletion;
use super::{MAX_ID_BYTES, items, link, text};
use crate::config::model::{MastodonConfig, TimelineName};
use crate::domain::event::{Bookmark, Joint, Reach, Rejected, SourceEvent};
use crate::domain::harmless::{clean, clip};
use crate::domain::id::{PostId, SourceName};
use crate::domain::post::{Author, Post, PostKind};
use crate::domain::time::Timestamp;
use crate::net::ws::{Connector, HARD_LIMIT_BYTES, peer};
use crate::source::Frame;
use crate::source::bridge::carried;
use crate::source::http::{Http, Request, refused};
use crate::source::line::Line;
use crate::source::plain::links;
use crate::source::sanity::{
    MAX_LINK_BYTES, MAX_TAG_BYTES, claimed_or, claimed_or_received, cut, keep, parse_object_of, within_budget,
};
use crate::source::supervise::{End, Failure, Wire};
use crate::source::talk::{Limits, Talk, Turn, converse};

/// Notes whose deletion is told.
const CAPTURED: usize = 5000;
/// Notes asked for at once; servers give no more.
const PAGE: usize = 100;
/// Pages of one timeline after one outage.
const MOST_PAGES: usize = 500;
/// The longest answer that is read, in bytes.
const MOST_BYTES: usize = 8 << 20;

/// A note, with the host of the instance that told of it where that is known.
pub(super) fn note(
    source: &SourceName,
    note: &RawValue,
    host: Option<&str>,
    received_at: Option<Timestamp>,
) -> Result<SourceEvent, Rejected> {
    let note: Map<String, Value> = parse_object_of(note.get())?;
    if !matches!(text(&note, "visibility"), None | Some("public" | "home")) {
        return Ok(SourceEvent::Other);
    }
    let id = PostId::from(name(&note, host).ok_or(Rejected::MissingField)?);
    let user = note.get("user").and_then(Value::as_object).ok_or(Rejected::MissingField)?;
    let author = author(user, host).ok_or(Rejected::MissingField)?;
    let said = match note.get("text") {
        Some(Value::String(text)) => cut(text),
        None | Some(Value::Null) => "",
        Some(_) => return Err(Rejected::WrongType),
    };
    let claim = text(&note, "createdAt").and_then(|time| Timestamp::parse(time).ok());
    let edited = text(&note, "updatedAt").and_then(|time| Timestamp::parse(time).ok());
    let at = claimed_or_received(edited.or(claim), received_at)?;
    let local = |key: &str| text(&note, key).map(|id| local_name(id, host).into());
    let renoted = note.get("renote").and_then(Value::as_object);
    let other: Option<PostId> =
        renoted.and_then(|note| name(note, host)).map(PostId::from).or_else(|| local("renoteId"));
    let has_own = !said.is_empty() || items(&note, "files").next().is_some();
    let (quote_of, repost_of) = if has_own { (other, None) } else { (None, other) };
    let reply_to: Option<PostId> = local("replyId");
    let kind = match (&repost_of, &reply_to, &quote_of) {
        (Some(_), ..) => PostKind::Repost,
        (None, Some(_), _) => PostKind::Reply,
        (None, None, Some(_)) => PostKind::Quote,
        (None, None, None) => PostKind::Post,
    };
    let shown = if repost_of.is_some() { renoted.unwrap_or(&note) } else { &note };
    let plain = text(shown, "text").map_or(said, cut).to_owned();
    let url = text(&note, "url").and_then(link).or_else(|| link(id.as_str()));
    let mut post = Post {
        version: edited.map(|edited| edited.to_string()),
        url,
        created_at: claimed_or(claim, at),
        copy_of: carried(id.as_str(), &author),
        author,
        kind,
        reply_to,
        quote_of,
        repost_of,
        ..Post::plain(id, source.clone(), String::new().into(), plain, at)
    };
    for link in links(&post.text) {
        keep(&mut post.links, &link, MAX_LINK_BYTES);
    }
    for tag in shown.get("tags").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        keep(&mut post.tags, tag.trim_start_matches('#'), MAX_TAG_BYTES);
    }
    let mut media_text = Vec::new();
    keep(&mut media_text, text(shown, "cw").map_or("", cut), usize::MAX);
    for file in items(shown, "files") {
        post.has_media = true;
        keep(&mut media_text, text(file, "comment").map_or("", cut), usize::MAX);
    }
    post.media_text = within_budget(media_text);
    Ok(SourceEvent::Post(Box::new(post)))
}

/// The name of a note that all instances share.
fn name(note: &Map<String, Value>, host: Option<&str>) -> Option<String> {
    let name = match text(note, "uri") {
        Some(uri) => uri.to_owned(),
        None => local_name(text(note, "id")?, host),
    };
    (name.len() <= MAX_ID_BYTES).then_some(name)
}

fn local_name(id: &str, host: Option<&str>) -> String {
    host.map_or_else(|| format!("misskey:{id}"), |host| format!("https://{host}/notes/{id}"))
}

fn author(user: &Map<String, Value>, host: Option<&str>) -> Option<Author> {
    let id = text(user, "id").filter(|id| id.len() <= MAX_ID_BYTES)?;
    let home = text(user, "host").or(host);
    let handle =
        text(user, "username").map(|name| home.map_or_else(|| name.to_owned(), |home| format!("{name}@{home}")));
    Some(Author {
        id: host.map_or_else(|| format!("misskey:{id}"), |host| format!("https://{host}/users/{id}")).into(),
        handle: handle.map(|handle| cut(&handle).to_owned()),
        name: text(user, "name").map(|name| cut(name).to_owned()),
        followers: user.get("followersCount").and_then(Value::as_u64),
    })
}

/// What is asked for, and where it stands.
pub struct Misskey {
    config: MastodonConfig,
    connector: Connector,
    http: Option<Http>,
    memory: Memory,
}

impl Misskey {
    /// Not connected yet.
    pub fn new(config: MastodonConfig, line: &Line) -> Self {
        let most = config.max_frame_bytes.max(HARD_LIMIT_BYTES);
        let connector = Connector::new(config.transport.clone(), line.timing.connect_within, most);
        Self { config, connector, http: None, memory: Memory::default() }
    }

    /// Notes of a timeline, in their order: those behind `after`, or the newest.
    async fn look(
        &self,
        base: &Url,
        name: &TimelineName,
        after: Option<&str>,
        line: &Line,
    ) -> Result<Vec<(String, Frame)>, End> {
        let Some(http) = &self.http else { return Ok(Vec::new()) };
        let (path, question) = endpoint(name);
        let mut question = question.as_object().cloned().unwrap_or_default();
        question.insert("limit".into(), json!(if after.is_some() { PAGE } else { 1 }));
        if let Some(after) = after {
            question.insert("sinceId".into(), json!(after));
        }
        if let Some(token) = &self.config.token {
            question.insert("i".into(), json!(token.expose()));
        }
        let mut url = base.clone();
        url.set_path(&format!("/api/{path}"));
        let headers: HeaderMap = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))].into_iter().collect();
        let body = Value::Object(question).to_string().into_bytes();
        let answer = http.ask(Request { method: Method::POST, url, headers, body, most: MOST_BYTES }, line).await?;
        let host = base.host_str().unwrap_or_default();
        if !answer.status.is_success() {
            return Err(refused(host, answer.status, &answer.headers));
        }
        let Ok(list) = serde_json::from_slice::<Vec<Map<String, Value>>>(&answer.body) else {
            return Err(Failure::operator(format!(
                "{host} does not answer as Misskey does; check `url` and `dialect`"
            )));
        };
        let now = line.now();
        let mut notes: Vec<_> = list
            .iter()
            .filter_map(|note| {
                let id = text(note, "id")?.to_owned();
                self.memory.came(&id, &self::name(note, Some(host))?);
                Some((id, Frame { received_at: Some(now), body: Ok(framed(note, host)) }))
            })
            .collect();
        notes.sort_by(|(one, _), (other, _)| (one.len(), one).cmp(&(other.len(), other)));
        Ok(notes)
    }

    async fn catch_up(&self, base: &Url, known: &str, line: &Line) -> Result<(), End> {
        for name in &self.config.streams {
            let mut after = known.to_owned();
            for _ in 0..MOST_PAGES {
                let notes = self.look(base, name, Some(&after), line).await?;
                let Some(newest) = notes.last().map(|(id, _)| id.clone()).filter(|id| is_newer(id, &after)) else {
                    break;
                };
                line.hand_on(notes.into_iter().map(|(_, frame)| frame).collect(), Reach::default()).await?;
                after = newest;
            }
        }
        Ok(())
    }
}

/// A note as the decoder reads it.
fn framed(note: &Map<String, Value>, host: &str) -> Bytes {
    json!({"note": note, "host": host}).to_string().into()
}

impl Wire for Misskey {
    async fn read(&mut self, base: &Url, line: &mut Line) -> End {
        if self.http.is_none() {
            match Http::new(&self.config.transport, base.scheme() == "http") {
                Ok(http) => self.http = Some(http),
                Err(end) => return end,
            }
        }
        let (host, peer) = (base.host_str().unwrap_or_default().to_owned(), peer(base).unwrap_or_default());
        let Ok(mut url) = Url::parse(&base.as_str().replacen("http", "ws", 1)) else {
            return Failure::operator("the source's `url` is no address");
        };
        url.set_path("/streaming");
        if let Some(token) = &self.config.token {
            url.query_pairs_mut().append_pair("i", token.expose());
        }
        let socket = match line.unless_stopped(self.connector.connect(&url)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return error.into(),
            Err(end) => return end,
        };
        let known = line.position.bookmark();
        let mut open = false;
        for name in &self.config.streams {
            match self.look(base, name, None, line).await {
                Ok(notes) => open |= !name.is_public() || !notes.is_empty(),
                Err(end) => return end,
            }
        }
        let caught_up = AtomicBool::new(known.is_none());
        let joint = if known.is_some() { Joint::GoesOn } else { Joint::Live };
        let (memory, streams) = (&self.memory, &self.config.streams[..]);
        let mut talk = Conversation {
            host: &host,
            streams,
            memory,
            caught_up: &caught_up,
            joint,
            sees: open,
            captured: VecDeque::new(),
        };
        let limits = Limits { max_frame_bytes: self.config.max_frame_bytes, expect_message_within: None, pings: true };
        let beside = line.beside();
        let missed = Box::pin(async {
            match &known {
                Some(known) => self.catch_up(base, &known.0, &beside).await,
                None => Ok(()),
            }
        });
        let talking = Box::pin(converse(socket, &peer, &mut talk, limits, line));
        match select(missed, talking).await {
            Either::Right((end, _)) | Either::Left((Err(end), _)) => end,
            Either::Left((Ok(()), talking)) => {
                caught_up.store(true, Ordering::Relaxed);
                talking.await
            }
        }
    }
}

struct Conversation<'a> {
    host: &'a str,
    streams: &'a [TimelineName],
    memory: &'a Memory,
    caught_up: &'a AtomicBool,
    joint: Joint,
    sees: bool,
    captured: VecDeque<String>,
}

impl Talk for Conversation<'_> {
    fn begin(&mut self, turn: &mut Turn) {
        for (place, stream) in self.streams.iter().enumerate() {
            let (channel, params) = channel(stream);
            let body = json!({"channel": channel, "id": place.to_string(), "params": params});
            turn.say(json!({"type": "connect", "body": body}).to_string());
        }
        turn.stands(self.joint);
        if self.sees {
            turn.is_alive();
        }
    }

    fn hear(&mut self, message: &Bytes, turn: &mut Turn) -> Result<(), End> {
        match message.as_ref() {
            b"h" => turn.is_alive(),
            b"ping" => turn.say("pong"),
            _ => return self.message(message, turn),
        }
        Ok(())
    }

    fn bookmark(&self) -> Option<Bookmark> {
        let newest = self.caught_up.load(Ordering::Relaxed).then(|| self.memory.newest());
        newest.flatten().map(Into::into)
    }
}

impl Conversation<'_> {
    fn message(&mut self, message: &Bytes, turn: &mut Turn) -> Result<(), End> {
        let Ok(heard) = serde_json::from_slice::<Value>(message) else {
            turn.keep(message.clone()); // the decoder says what is wrong with it
            return Ok(());
        };
        let at = |place: &str| heard.pointer(place).and_then(Value::as_str);
        match (at("/type"), at("/body/type")) {
            (Some("channel"), Some("note")) => match heard.pointer("/body/body").and_then(Value::as_object) {
                Some(note) => self.note(note, turn),
                None => turn.keep(message.clone()),
            },
            (Some("noteUpdated"), Some("deleted")) => {
                let named = at("/body/id").and_then(|id| Some((id, self.memory.went(id)?)));
                match named {
                    Some((id, uri)) => turn.keep(deletion(id, &uri)),
                    None => turn.keep(message.clone()),
                }
            }
            (Some("error"), _) => {
                let said = clip(&clean(&heard.to_string()), 160);
                return Err(Failure::operator(format!(
                    "{} refused a channel; check `streams` and the token: {said}",
                    self.host
                )));
            }
            _ => turn.keep(message.clone()),
        }
        Ok(())
    }

    fn note(&mut self, note: &Map<String, Value>, turn: &mut Turn) {
        if let (Some(id), Some(uri)) = (text(note, "id"), name(note, Some(self.host))) {
            self.memory.came(id, &uri);
            let say = |kind: &str, id: &str| json!({"type": kind, "body": {"id": id}}).to_string();
            turn.say(say("subNote", id));
            self.captured.push_back(id.to_owned());
            if self.captured.len() > CAPTURED
                && let Some(oldest) = self.captured.pop_front()
            {
                turn.say(say("unsubNote", &oldest));
            }
        }
        turn.keep(framed(note, self.host));
    }
}

fn channel(stream: &TimelineName) -> (&'static str, Value) {
    match stream {
        // Misskey has no stream of the others alone.
        TimelineName::Public | TimelineName::Remote => ("globalTimeline", json!({"withRenotes": false})),
        TimelineName::Local => ("localTimeline", json!({"withRenotes": false})),
        TimelineName::Hashtag(tag) => ("hashtag", json!({"q": [[tag]]})),
        TimelineName::List(id) => ("userList", json!({"listId": id})),
        TimelineName::Home => ("homeTimeline", json!({})),
    }
}

fn endpoint(stream: &TimelineName) -> (&'static str, Value) {
    match stream {
        TimelineName::Public | TimelineName::Remote => ("notes/global-timeline", json!({"withRenotes": false})),
        TimelineName::Local => ("notes/local-timeline", json!({"withRenotes": false})),
        TimelineName::Hashtag(tag) => ("notes/search-by-tag", json!({"tag": tag})),
        TimelineName::List(id) => ("notes/user-list-timeline", json!({"listId": id})),
        TimelineName::Home => ("notes/timeline", json!({})),
    }
}
