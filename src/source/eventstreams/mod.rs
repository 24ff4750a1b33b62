//! `eventstreams`: what servers send as events over one long answer (server-sent events, WHATWG HTML §9.2): Wikimedia's
//! `recentchange`, and any server that sends posts in our own form.
//!
//! The protocol promises little, Wikimedia more: each event has an id, and whoever sends it back as `Last-Event-ID` goes
//! on right behind it, for about seven days, at least once. So that id is the bookmark, word for word; without one,
//! `since` names the time. Connections are cut after a quarter of an hour by design, which is no failure. A server that is
//! there says so with comments; one that says nothing for a minute is not. What is silently lost: what the server no
//! longer has.
//!
//! The text of an edit is not in its event: page, summary and author are.

mod sse;
mod wire;

use serde::Deserialize;

pub use self::sse::{Event, Events};
pub(super) use self::wire::Eventstreams;
use super::sanity::{MAX_TAG_BYTES, cut, event_time, parse_object};
use crate::domain::event::{Cursor, Decoded, Rejected, SourceEvent};
use crate::domain::id::SourceName;
use crate::domain::post::{Author, Post};
use crate::domain::time::Timestamp;

/// One change, as `mediawiki/recentchange/1.0.0` has it. A wiki that sends it by itself leaves `meta` out.
#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    meta: Option<Meta>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    timestamp: Option<i64>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    revision: Option<Revision>,
    #[serde(default)]
    server_url: Option<String>,
    #[serde(default)]
    server_script_path: Option<String>,
    #[serde(default)]
    log_id: Option<i64>,
    #[serde(default)]
    log_type: Option<String>,
    #[serde(default)]
    log_action: Option<String>,
    #[serde(default)]
    log_params: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    dt: Option<String>,
    #[serde(default)]
    domain: Option<String>,
}

#[derive(Deserialize)]
struct Revision {
    #[serde(default)]
    new: Option<i64>,
}

/// Decodes one change.
pub fn decode(source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
    match parse_object::<Change>(frame) {
        Ok(change) => change.decoded(source, received_at),
        Err(reason) => Decoded { cursor: None, event: Err(reason) },
    }
}

impl Change {
    fn decoded(self, source: &SourceName, received_at: Option<Timestamp>) -> Decoded {
        let at = self.stamp().and_then(|stamp| event_time(stamp, received_at));
        let cursor = at.ok().map(Cursor::at);
        Decoded { cursor, event: at.and_then(|at| self.event(source, at)) }
    }

    /// When the server has it. `meta.dt` is of the stream, `timestamp` of the wiki.
    fn stamp(&self) -> Result<Timestamp, Rejected> {
        let of_stream = self.meta.as_ref().and_then(|meta| Timestamp::parse(meta.dt.as_deref()?).ok());
        of_stream.or_else(|| self.timestamp.map(Timestamp::from_seconds)).ok_or(Rejected::MissingField)
    }

    fn event(self, source: &SourceName, at: Timestamp) -> Result<SourceEvent, Rejected> {
        // Wikimedia's own test events, and changes that only sort pages.
        let is_canary = self.meta.as_ref().is_some_and(|meta| meta.domain.as_deref() == Some("canary"));
        if is_canary || !matches!(self.kind.as_str(), "edit" | "new" | "log") {
            return Ok(SourceEvent::Other);
        }
        let server = self.server_url.as_deref().ok_or(Rejected::MissingField)?.trim_end_matches('/');
        let wiki = server.split_once("://").map_or(server, |(_, host)| host).trim_start_matches('/');
        if let Some(hidden) = self.hidden() {
            return Ok(SourceEvent::PostDeleted { post: format!("wiki:{wiki}/{hidden}").into(), at });
        }
        let revision = self.revision.as_ref().and_then(|revision| revision.new);
        let scheme = if server.starts_with("//") { "https:" } else { "" };
        let script = format!("{scheme}{server}{}/index.php", self.server_script_path.as_deref().unwrap_or("/w"));
        let (id, url) = match (revision, self.log_id) {
            (Some(revision), _) => (format!("wiki:{wiki}/{revision}"), format!("{script}?diff={revision}")),
            (None, Some(log)) => (format!("wiki:{wiki}/log/{log}"), format!("{script}?title=Special:Log&logid={log}")),
            (None, None) => return Err(Rejected::MissingField),
        };
        let title = self.title.unwrap_or_default();
        let comment = self.comment.unwrap_or_default();
        let text = if comment.is_empty() { title } else { format!("{title}\n{comment}") };
        let user = self.user.filter(|user| !user.is_empty()).ok_or(Rejected::MissingField)?;
        let user = user.get(..user.floor_char_boundary(MAX_TAG_BYTES)).unwrap_or_default().to_owned();
        let author = format!("wiki:{wiki}/{user}");
        let language = wiki.split_once('.').map(|(language, _)| language).filter(|_| wiki.ends_with(".wikipedia.org"));
        Ok(SourceEvent::Post(Box::new(Post {
            url: Some(url),
            author: Author { id: author.as_str().into(), handle: None, name: Some(user), followers: None },
            lang: language.map(str::to_owned).into_iter().collect(),
            ..Post::plain(id.into(), source.clone(), author.into(), cut(&text).to_owned(), at)
        })))
    }

    /// The revision that somebody hid: the only one, or the first of several that its task did not part.
    fn hidden(&self) -> Option<String> {
        let is_hiding = self.log_type.as_deref() == Some("delete") && self.log_action.as_deref() == Some("revision");
        let ids = self.log_params.as_ref().filter(|_| is_hiding)?.get("ids")?;
        match ids.get(0).unwrap_or(ids) {
            serde_json::Value::String(id) => Some(id.clone()).filter(|id| id.bytes().all(|byte| byte.is_ascii_digit())),
            serde_json::Value::Number(id) => Some(id.to_string()),
            _ => None,
        }
    }
}

/// One frame for each revision that an event hides; all other events are one.
fn parted(data: &str) -> Vec<Vec<u8>> {
    let whole = || vec![data.as_bytes().to_vec()];
    if !data.contains("\"log_action\":\"revision\"") {
        return whole();
    }
    let Ok(event) = serde_json::from_str::<serde_json::Value>(data) else { return whole() };
    let ids = event.pointer("/log_params/ids").and_then(serde_json::Value::as_array);
    let Some(ids) = ids.filter(|ids| ids.len() > 1) else { return whole() };
    let one = |id: &serde_json::Value| {
        let mut event = event.clone();
        *event.pointer_mut("/log_params/ids")? = serde_json::json!([id]);
        serde_json::to_vec(&event).ok()
    };
    ids.iter().take(MOST_HIDDEN).filter_map(one).collect()
}

/// Nobody hides more revisions at once (`MediaWiki`'s limit for those who may hide most is 5,000).
const MOST_HIDDEN: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const EDIT: &str = r#"{"$schema":"/mediawiki/recentchange/1.0.0","meta":{"uri":"https://en.wikipedia.org/wiki/Northgate_Hospital","id":"0b1c","dt":"2026-11-22T15:38:18Z","domain":"en.wikipedia.org","stream":"mediawiki.recentchange"},"id":1800000001,"type":"edit","namespace":0,"title":"Northgate Hospital","comment":"waiting times","timestamp":1795361898,"user":"Rita","bot":false,"length":{"old":5200,"new":5260},"revision":{"old":1200,"new":1201},"server_url":"https://en.wikipedia.org","server_name":"en.wikipedia.org","server_script_path":"/w","wiki":"enwiki"}"#;
    const NOW: Timestamp = Timestamp::from_seconds(1_795_361_900);

    fn event(frame: &str) -> Result<SourceEvent, Rejected> {
        decode(&"wiki".into(), frame.as_bytes(), Some(NOW)).event
    }

    #[test]
    fn an_edit_is_a_post_of_its_page_and_summary() {
        let Ok(SourceEvent::Post(post)) = event(EDIT) else { panic!("no post") };
        assert_eq!(
            (post.id.as_str(), post.text.as_str()),
            ("wiki:en.wikipedia.org/1201", "Northgate Hospital\nwaiting times")
        );
        assert_eq!(post.url.as_deref(), Some("https://en.wikipedia.org/w/index.php?diff=1201"));
        assert_eq!((post.author.id.as_str(), post.lang), ("wiki:en.wikipedia.org/Rita", vec!["en".to_owned()]));
        assert_eq!(post.event_time.to_string(), "2026-11-22T15:38:18Z");
        assert_eq!(decode(&"wiki".into(), EDIT.as_bytes(), Some(NOW)).cursor, Some(Cursor::at(post.event_time)));
    }

    #[test]
    fn a_wiki_that_sends_by_itself_has_no_meta() {
        let (_, own) = EDIT.split_once("\"id\":1800000001").unwrap();
        let own =
            format!("{{\"id\":1800000001{own}").replace("https://en.wikipedia.org", "http://wiki.hospital.example");
        let Ok(SourceEvent::Post(post)) = event(&own) else { panic!("no post") };
        assert_eq!((post.id.as_str(), post.lang.len()), ("wiki:wiki.hospital.example/1201", 0));
        assert_eq!(post.event_time, Timestamp::from_seconds(1_795_361_898));
    }

    #[test]
    fn what_is_no_edit_is_what_it_is() {
        assert_eq!(
            event(&EDIT.replace("\"domain\":\"en.wikipedia.org\"", "\"domain\":\"canary\"")),
            Ok(SourceEvent::Other)
        );
        assert_eq!(event(&EDIT.replace("\"edit\"", "\"categorize\"")), Ok(SourceEvent::Other));
        assert_eq!(event(&EDIT.replace("\"edit\"", "\"a kind of the future\"")), Ok(SourceEvent::Other));
        let log = EDIT.replace("\"edit\"", "\"log\"").replace("{\"old\":1200,\"new\":1201}", "null");
        let log = log.replace(
            "\"bot\"",
            "\"log_id\":77,\"log_type\":\"protect\",\"log_action\":\"protect\",\"log_params\":[],\"bot\"",
        );
        let Ok(SourceEvent::Post(post)) = event(&log) else { panic!("no post") };
        assert_eq!(post.id.as_str(), "wiki:en.wikipedia.org/log/77");
        assert_eq!(event(&log.replace("\"log_id\":77,", "")), Err(Rejected::MissingField));
        assert_eq!(event(&EDIT.replace("\"user\":\"Rita\",", "")), Err(Rejected::MissingField));
        assert_eq!(event(&EDIT.replace("2026-11-22T15:38:18Z", "2036-11-22T15:38:18Z")), Err(Rejected::AbsurdDate));
        assert_eq!(event("{}"), Err(Rejected::MissingField));
        assert_eq!(event("[]"), Err(Rejected::WrongType));
    }

    #[test]
    fn revisions_that_are_hidden_are_taken_back_one_by_one() {
        let log = EDIT.replace("\"edit\"", "\"log\"").replace(
            "\"bot\"",
            "\"log_id\":78,\"log_type\":\"delete\",\"log_action\":\"revision\",\"log_params\":{\"type\":\"revision\",\"ids\":[\"1200\",\"1201\"]},\"bot\"",
        );
        let gone: Vec<_> =
            parted(&log).iter().map(|frame| event(std::str::from_utf8(frame).unwrap()).unwrap()).collect();
        let ids: Vec<_> = gone
            .iter()
            .map(|event| match event {
                SourceEvent::PostDeleted { post, .. } => post.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(ids, ["wiki:en.wikipedia.org/1200", "wiki:en.wikipedia.org/1201"]);
        assert_eq!(parted(EDIT), [EDIT.as_bytes()]);
    }
}
