//! What the server answers: a sync, a page of a room, an error.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::source::lenient::{Text, lenient, lenient_item, text};

/// The longest event that is handed on, in bytes. Servers take no more than 65,536.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// `/sync`.
#[derive(Deserialize)]
pub(super) struct Sync<'a> {
    #[serde(borrow)]
    pub(super) next_batch: Text<'a>,
    #[serde(borrow)]
    pub(super) rooms: Option<Rooms<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Rooms<'a> {
    #[serde(borrow, default)]
    pub(super) join: BTreeMap<String, Joined<'a>>,
    #[serde(borrow, default)]
    pub(super) leave: BTreeMap<String, &'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Joined<'a> {
    #[serde(borrow)]
    pub(super) timeline: Option<Timeline<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Timeline<'a> {
    #[serde(borrow, default)]
    pub(super) events: Vec<&'a RawValue>,
    #[serde(default)]
    pub(super) limited: bool,
    #[serde(borrow)]
    pub(super) prev_batch: Option<Text<'a>>,
}

/// `/rooms/{id}/messages`.
#[derive(Deserialize)]
pub(super) struct Page<'a> {
    #[serde(borrow, default)]
    pub(super) chunk: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub(super) end: Option<Text<'a>>,
}

/// `/joined_rooms`.
#[derive(Deserialize)]
pub(super) struct JoinedRooms {
    pub(super) joined_rooms: Vec<String>,
}

/// `/account/whoami`.
#[derive(Deserialize)]
pub(super) struct WhoAmI {
    pub(super) user_id: String,
}

/// Any refusal.
#[derive(Default, Deserialize)]
pub(super) struct Refusal {
    #[serde(default)]
    pub(super) errcode: String,
    pub(super) retry_after_ms: Option<u64>,
}

/// What an event says of itself before it is decoded.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    sender: Option<&'a RawValue>,
    #[serde(borrow)]
    event_id: Option<&'a RawValue>,
    #[serde(borrow)]
    room_id: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, rename = "m.relates_to")]
    relates_to: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Relation<'a> {
    #[serde(borrow)]
    rel_type: Option<&'a RawValue>,
    #[serde(borrow)]
    event_id: Option<&'a RawValue>,
}

/// An event as it came.
pub(super) struct Raw<'a> {
    json: &'a RawValue,
    head: Option<Head<'a>>,
}

impl<'a> Raw<'a> {
    pub(super) fn new(json: &'a RawValue) -> Self {
        Self { json, head: lenient_item(json) }
    }

    pub(super) fn sender(&self) -> Option<String> {
        text(self.head.as_ref()?.sender).map(Cow::into_owned)
    }

    pub(super) fn id(&self) -> Option<String> {
        text(self.head.as_ref()?.event_id).map(Cow::into_owned)
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.head.as_ref().is_some_and(|head| text(head.kind).as_deref() == Some("m.room.encrypted"))
    }

    /// The event it says it replaces.
    pub(super) fn replaces(&self) -> Option<String> {
        let content = lenient::<Content<'_>>(self.head.as_ref()?.content)?;
        let relation = lenient::<Relation<'_>>(content.relates_to)?;
        let replaces = text(relation.rel_type).as_deref() == Some("m.replace");
        text(relation.event_id).filter(|_| replaces).map(Cow::into_owned)
    }

    /// The event with the room it stands in; none when it is too long for one.
    pub(super) fn frame(&self, room: &str) -> Option<String> {
        let json = self.json.get();
        if json.len() > MAX_EVENT_BYTES {
            return None;
        }
        let rest = json.strip_prefix('{').filter(|rest| !rest.trim_start().starts_with('}'));
        match (&self.head, rest) {
            (Some(head), Some(rest)) if head.room_id.is_none() => {
                let room = serde_json::Value::from(room);
                Some(format!("{{\"room_id\":{room},{rest}"))
            }
            _ => Some(json.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_given_its_room_once() {
        for (json, expected) in [
            (r#"{"type":"m"}"#, r#"{"room_id":"!r\"","type":"m"}"#),
            (r#"{"type":"m","room_id":"!s"}"#, r#"{"type":"m","room_id":"!s"}"#),
            ("{ }", "{ }"),
            ("[1]", "[1]"),
        ] {
            let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
            assert_eq!(Raw::new(&raw).frame("!r\"").as_deref(), Some(expected));
        }
    }
}
