//! The v2 wire, `network.bsky.jetstream.subscribeEvents`: a message's payload to a domain event,
//! and what the server says about the stream itself.
//!
//! A commit says what it says on the v1 wire, with a text for its time and a sequence number of
//! its own server. `#sync` (a repository that was replaced) tells of no post. Unknown kinds,
//! and fields that came later (`witnessedAt`, `isResync`), are let pass.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::head::{number, plain};
use super::{Commit, Text, account, commit, cursor, identity, rejected, required};
use crate::domain::event::{Cursor, Decoded, Rejected, SourceEvent};
use crate::domain::id::SourceName;
use crate::domain::time::Timestamp;
use crate::source::sanity::{event_time, parse_object_of};

/// How every message about a repository begins.
const MESSAGE: &[u8] = br#"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#"#;
/// The longest name of an error or a piece of information that is repeated in a log.
const MAX_NAME: usize = 40;

/// What a server says about the stream itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// Something to know; the stream goes on.
    Info(String),
    /// Why it ends.
    Error(String),
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "$type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    did: Option<Text<'a>>,
    #[serde(borrow)]
    time: Option<Text<'a>>,
    #[serde(borrow)]
    operation: Option<Text<'a>>,
    #[serde(borrow)]
    collection: Option<Text<'a>>,
    #[serde(borrow)]
    rkey: Option<Text<'a>>,
    #[serde(borrow)]
    rev: Option<Text<'a>>,
    #[serde(borrow)]
    cid: Option<Text<'a>>,
    #[serde(borrow)]
    record: Option<&'a RawValue>,
    #[serde(borrow)]
    identity: Option<&'a RawValue>,
    #[serde(borrow)]
    account: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Place<'a> {
    #[serde(borrow)]
    time: Option<Text<'a>>,
    seq: Option<u64>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    error: Option<Text<'a>>,
    #[serde(borrow)]
    payload: Option<Info<'a>>,
}

#[derive(Deserialize)]
struct Info<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

/// Decodes what a message carries; an error carries nothing.
pub(super) fn decode(source: &SourceName, payload: Option<&RawValue>, received_at: Option<Timestamp>) -> Decoded {
    let Some(payload) = payload else { return Decoded { cursor: None, event: Ok(SourceEvent::Other) } };
    let place = || place_of(payload, received_at);
    let event: Event<'_> = match parse_object_of(payload.get()) {
        Ok(event) => event,
        Err(reason) => return rejected(place(), reason),
    };
    let time = match (event.kind(), &event.time) {
        (Some("info"), _) => return Decoded { cursor: None, event: Ok(SourceEvent::Other) },
        (None, _) | (_, None) => return rejected(place(), Rejected::MissingField),
        (Some(_), Some(Text(time))) => time,
    };
    let Ok(stamp) = Timestamp::parse(time) else { return rejected(None, Rejected::AbsurdDate) };
    match event_time(stamp, received_at) {
        Ok(at) => Decoded { cursor: Some(cursor(stamp, received_at)), event: event.told(source, at) },
        Err(reason) => rejected(None, reason),
    }
}

impl Event<'_> {
    /// The last part of its type.
    fn kind(&self) -> Option<&str> {
        let Text(kind) = self.kind.as_ref()?;
        kind.rsplit_once('#').map(|(_, kind)| kind)
    }

    fn told(self, source: &SourceName, at: Timestamp) -> Result<SourceEvent, Rejected> {
        let did = required(self.did.as_ref())?;
        match self.kind() {
            Some("commit") => {
                let Self { operation, collection, rkey, rev, cid, record, .. } = self;
                commit(source, did, &Commit { operation, collection, rkey, rev, cid, record }, at)
            }
            Some("identity") => identity(did, self.identity.ok_or(Rejected::MissingField)?),
            Some("account") => account(did, self.account.ok_or(Rejected::MissingField)?, at),
            _ => Ok(SourceEvent::Other),
        }
    }
}

/// A frame's time in microseconds since 1970 and its sequence number, where it is laid out as usual.
pub(super) fn peek(frame: &[u8]) -> Option<(i64, u64)> {
    let (_, rest) = plain(frame.strip_prefix(MESSAGE)?)?;
    let (seq, rest) = number(rest.strip_prefix(br#","seq":"#)?)?;
    let (_, rest) = plain(rest.strip_prefix(br#","did":""#)?)?;
    let (time, _) = plain(rest.strip_prefix(br#","time":""#)?)?;
    let time = Timestamp::parse(std::str::from_utf8(time).ok()?).ok()?;
    Some((time.micros(), u64::try_from(seq).ok()?))
}

/// The same of a payload that is laid out in any way.
pub(super) fn place(payload: &RawValue) -> Option<(i64, Option<u64>)> {
    let Place { time, seq } = serde_json::from_str(payload.get()).ok()?;
    let Text(time) = time?;
    Some((Timestamp::parse(&time).ok()?.micros(), seq))
}

/// What a server says about the stream itself, if that is what a frame is.
pub(super) fn notice(frame: &[u8]) -> Option<Notice> {
    let said: Said<'_> = serde_json::from_slice(frame).ok()?;
    let name = |name: Option<Text<'_>>| {
        let name = name.map(|Text(name)| name.into_owned()).unwrap_or_default();
        let is_name = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_name { name } else { "something without a name".to_owned() }
    };
    match (said.error, said.payload) {
        (error @ Some(_), None) => Some(Notice::Error(name(error))),
        (None, Some(Info { name: info @ Some(_) })) => Some(Notice::Info(name(info))),
        _ => None,
    }
}

/// A message that is JSON with something wrong in it still moves the stream on.
fn place_of(payload: &RawValue, received_at: Option<Timestamp>) -> Option<Cursor> {
    let stamp = Timestamp::from_micros(place(payload)?.0);
    event_time(stamp, received_at).ok()?;
    Some(cursor(stamp, received_at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::jetstream;

    const NOW: i64 = 1_795_361_900_000_000;
    const AT: i64 = 1_795_361_895_314_207;
    const RECORD: &str = r##"{"$type":"app.bsky.feed.post","createdAt":"2026-11-22T15:38:15.101Z","langs":["en"],"text":"6 hours in the ER \ud83d\ude02","reply":{"parent":{"cid":"c","uri":"at://did:plc:y/app.bsky.feed.post/3parent"}},"tags":["#er"]}"##;

    fn decoded(frame: &str) -> Decoded {
        jetstream::decode(&SourceName::from("bluesky"), frame.as_bytes(), Some(Timestamp::from_micros(NOW)))
    }

    /// A message of that kind, in the servers' layout.
    fn message(kind: &str, body: &str) -> String {
        format!(
            r#"{{"$type":"message","payload":{{"$type":"network.bsky.jetstream.subscribeEvents#{kind}","seq":812345,"did":"did:plc:nurse","time":"2026-11-22T15:38:15.314207Z",{body}}}}}"#
        )
    }

    fn commit(operation: &str, collection: &str, rest: &str) -> String {
        format!(r#""rev":"3rev","operation":"{operation}","collection":"{collection}","rkey":"3key"{rest}"#)
    }

    #[test]
    fn a_message_says_what_a_frame_of_the_first_wire_says() {
        let with_record = format!(r#","record":{RECORD},"cid":"c""#);
        let account = |active: bool, status: &str| {
            format!(r#""account":{{"active":{active},"did":"did:plc:nurse","seq":3,"status":"{status}"}}"#)
        };
        for (kind, body) in [
            ("commit", commit("create", "app.bsky.feed.post", &with_record)),
            ("commit", commit("update", "app.bsky.feed.post", &with_record)),
            ("commit", commit("delete", "app.bsky.feed.post", "")),
            ("commit", commit("create", "app.bsky.feed.post", "")),
            ("commit", commit("create", "app.bsky.feed.post", r#","record":{"text":7}"#)),
            ("commit", commit("create", "app.bsky.feed.like", r#","record":{}"#)),
            ("commit", commit("resync", "app.bsky.feed.post", "")),
            ("identity", r#""identity":{"did":"did:plc:nurse","handle":"ann.example"}"#.to_owned()),
            ("account", account(false, "deleted")),
            ("account", account(false, "deactivated")),
            ("account", account(true, "")),
            ("account", r#""account":{}"#.to_owned()),
        ] {
            let body_of_first = if kind == "commit" { format!(r#""commit":{{{body}}}"#) } else { body.clone() };
            let first = format!(r#"{{"did":"did:plc:nurse","time_us":{AT},"kind":"{kind}",{body_of_first}}}"#);
            assert_eq!(decoded(&message(kind, &body)), decoded(&first), "{body}");
        }
    }

    #[test]
    fn what_came_later_and_what_is_unknown_is_let_pass() {
        let later = commit("delete", "app.bsky.feed.post", r#","witnessedAt":"2026-11-22T15:38:15Z","isResync":true"#);
        let Decoded { cursor, event: Ok(SourceEvent::PostDeleted { post, .. }) } = decoded(&message("commit", &later))
        else {
            panic!("no deletion")
        };
        assert_eq!((cursor, post.as_str()), (Some(Cursor(AT)), "at://did:plc:nurse/app.bsky.feed.post/3key"));
        for kind in ["sync", "poem"] {
            let expected = Decoded { cursor: Some(Cursor(AT)), event: Ok(SourceEvent::Other) };
            assert_eq!(decoded(&message(kind, r#""sync":{"rev":"3rev"}"#)), expected);
        }
        let nothing = Decoded { cursor: None, event: Ok(SourceEvent::Other) };
        let info = r#"{"$type":"message","payload":{"$type":"network.bsky.jetstream.subscribeEvents#info","name":"OutdatedCursor","message":"m"}}"#;
        let error = r#"{"$type":"error","error":"ConsumerTooSlow","message":"m"}"#;
        assert_eq!((decoded(info), decoded(error)), (nothing.clone(), nothing));
        assert_eq!(notice(info.as_bytes()), Some(Notice::Info("OutdatedCursor".into())));
        assert_eq!(notice(error.as_bytes()), Some(Notice::Error("ConsumerTooSlow".into())));
        let forged = error.replace("ConsumerTooSlow", r"Bad\nsource down");
        assert_eq!(notice(forged.as_bytes()), Some(Notice::Error("something without a name".into())));
        assert_eq!(notice(message("commit", &later).as_bytes()), None);
    }

    #[test]
    fn what_cannot_be_read_is_rejected_with_its_reason() {
        let sound = message("commit", &commit("create", "app.bsky.feed.post", &format!(r#","record":{RECORD}"#)));
        for (from, to, reason, has_place) in [
            (r#","time":"2026-11-22T15:38:15.314207Z""#, "", Rejected::MissingField, false),
            ("2026-11-22T15:38:15.314207Z", "yesterday", Rejected::AbsurdDate, false),
            ("2026-11-22T15:38:15.314207Z", "2029-11-22T15:38:15Z", Rejected::AbsurdDate, false),
            (r#""did":"did:plc:nurse","#, "", Rejected::MissingField, true),
            (r#""rkey":"3key""#, r#""rkey":7"#, Rejected::WrongType, true),
            (r#""$type":"network.bsky.jetstream.subscribeEvents#commit","#, "", Rejected::MissingField, true),
            (r#""payload":{"#, r#""payload":[{"#, Rejected::NotJson, false),
        ] {
            let frame = sound.replacen(from, to, 1);
            let expected = Decoded { cursor: has_place.then_some(Cursor(AT)), event: Err(reason) };
            assert_eq!(decoded(&frame), expected, "{frame}");
        }
    }

    #[test]
    fn a_place_is_found_in_any_layout() {
        let usual = message("identity", r#""identity":{}"#);
        let spread = usual.replace(r#":{"$type""#, r#": { "$type""#);
        let turned =
            r#"{"payload":{"time":"2026-11-22T15:38:15.314207Z","seq":812345,"$type":"x#identity"},"$type":"message"}"#
                .to_owned();
        assert_eq!((peek(usual.as_bytes()), peek(spread.as_bytes())), (Some((AT, 812_345)), None));
        for frame in [usual, spread, turned] {
            assert_eq!(jetstream::peek(frame.as_bytes()), Some((AT, Some(812_345))), "{frame}");
        }
    }
}
