//! What PagerDuty says in a V3 webhook, as far as it concerns us: a person acknowledged or resolved one of our incidents.
//!
//! What was done by a program is passed over, above all what we did ourselves by the Events API: it would come back as
//! an echo. So are `unacknowledged` (PagerDuty's own patience ran out: it rings again by itself) and `reopened`: an
//! incident that somebody took, or that is over, does not begin to ring everybody else because of a button pressed over
//! there.

use serde::Deserialize;

use super::backend::ActionKind;
use crate::domain::harmless::{clean, clip};
use crate::domain::id::IncidentId;
use crate::domain::time::Timestamp;

/// Before the incident's id, in the key that we gave it.
const OURS: &str = "stormbell/";
/// Characters of an id; ours have fewer.
const MAX_ID: usize = 200;
/// Characters of somebody's name.
const MAX_NAME: usize = 100;

/// A person did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// To which incident.
    pub(super) incident: IncidentId,
    /// What.
    pub(super) kind: ActionKind,
    /// Who, as PagerDuty names them; cleaned.
    pub(super) by: Option<String>,
    /// When, by PagerDuty's clock.
    pub(super) at: Timestamp,
}

#[derive(Deserialize)]
struct Body {
    event: Event,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "event_type")]
    kind: String,
    occurred_at: String,
    agent: Agent,
    data: Data,
}

#[derive(Deserialize)]
struct Agent {
    #[serde(rename = "type")]
    kind: String,
    summary: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    incident_key: String,
}

/// Reads one; none is not for us.
pub(super) fn read(body: &[u8]) -> Option<Told> {
    let Body { event: Event { kind, occurred_at, agent, data } } = serde_json::from_slice(body).ok()?;
    let kind = match kind.as_str() {
        "incident.acknowledged" => ActionKind::Acknowledge,
        "incident.resolved" => ActionKind::Resolve,
        _ => return None,
    };
    let id = data.incident_key.strip_prefix(OURS).filter(|id| !id.is_empty() && id.len() <= MAX_ID)?;
    if agent.kind != "user_reference" {
        return None;
    }
    let by = agent.summary.map(|name| clip(&clean(&name), MAX_NAME)).filter(|name| !name.is_empty());
    Some(Told { incident: IncidentId::from(id), kind, by, at: Timestamp::parse(&occurred_at).ok()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn event() -> Value {
        json!({ "event": {
            "id": "01ABCDEFGHJKMNPQRSTVWXYZ00", "event_type": "incident.acknowledged", "resource_type": "incident",
            "occurred_at": "2026-11-22T12:01:02.345Z",
            "agent": { "id": "PLH1HKV", "type": "user_reference", "summary": "Ann Example", "self": null },
            "client": { "name": "PagerDuty" },
            "data": { "id": "PGR0VU2", "type": "incident", "status": "acknowledged", "incident_key": "stormbell/inc-abc" },
        }})
    }

    fn with(pointer: &str, value: Value) -> Option<Told> {
        let mut event = event();
        *event.pointer_mut(pointer).unwrap() = value;
        read(event.to_string().as_bytes())
    }

    #[test]
    fn a_person_who_acknowledges_or_resolves_is_heard() {
        let told = read(event().to_string().as_bytes()).unwrap();
        assert_eq!((told.incident.as_str(), told.kind), ("inc-abc", ActionKind::Acknowledge));
        assert_eq!(
            (told.by.as_deref(), told.at.to_string()),
            (Some("Ann Example"), "2026-11-22T12:01:02.345Z".to_owned())
        );
        let told = with("/event/event_type", json!("incident.resolved")).unwrap();
        assert_eq!(told.kind, ActionKind::Resolve);
        assert_eq!(with("/event/agent/summary", Value::Null).unwrap().by, None);
        assert_eq!(with("/event/agent/summary", json!(" \u{202e}\u{200b} ")).unwrap().by, None);
        let hostile = with("/event/agent/summary", json!(format!("Ann\n\u{202e}\u{1b}[31m{}", "x".repeat(5000))));
        let name = hostile.unwrap().by.unwrap();
        assert!(name.starts_with("Ann [31mx") && name.chars().count() == MAX_NAME, "{name}");
    }

    #[test]
    fn everything_else_is_not_for_us() {
        for kind in [
            "incident.triggered",
            "incident.unacknowledged",
            "incident.reopened",
            "incident.annotated",
            "pagey.ping",
            "",
        ] {
            assert_eq!(with("/event/event_type", json!(kind)), None, "{kind}");
        }
        for key in [
            json!("inc-abc"),
            json!("stormbell/"),
            json!("other/inc-abc"),
            json!(7),
            Value::Null,
            json!("stormbell/".to_owned() + &"x".repeat(201)),
        ] {
            assert_eq!(with("/event/data/incident_key", key.clone()), None, "{key}");
        }
        for agent in [
            Value::Null,
            json!({}),
            json!({ "type": "service_reference", "summary": "Events API" }),
            json!({ "type": "integration_reference" }),
        ] {
            assert_eq!(with("/event/agent", agent.clone()), None, "an echo: {agent}");
        }
        for at in ["", "yesterday", "2026-11-22"] {
            assert_eq!(with("/event/occurred_at", json!(at)), None, "{at}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for body in ["", "{}", "[]", "null", "{\"event\":null}", "{\"event\":{}}", "\u{feff}{}", &deep] {
            assert_eq!(read(body.as_bytes()), None);
        }
    }

    /// JSON of any shape, rich in the names that are looked for.
    fn any_json() -> impl Strategy<Value = Value> {
        let word = || {
            prop_oneof![
                Just("stormbell/inc-abc".to_owned()),
                Just("incident.resolved".to_owned()),
                Just("user_reference".to_owned()),
                Just("2026-11-22T12:00:00Z".to_owned()),
                any::<String>(),
            ]
        };
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            word().prop_map(Value::from)
        ];
        let name = prop_oneof![
            Just("event"),
            Just("agent"),
            Just("data"),
            Just("type"),
            Just("summary"),
            Just("incident_key"),
            Just("event_type"),
            Just("occurred_at")
        ];
        leaf.prop_recursive(5, 60, 8, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((name.clone(), inner), 0..8).prop_map(|fields| {
                    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_body_stops_the_reader_or_names_anybody_elses(json in any_json(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            read(&bytes);
            for json in [json.clone(), json!({ "event": json })] {
                if let Some(told) = read(json.to_string().as_bytes()) {
                    let key = json.pointer("/event/data/incident_key").and_then(Value::as_str);
                    let ours = format!("stormbell/{}", told.incident);
                    prop_assert_eq!(key, Some(ours.as_str()));
                    prop_assert_eq!(json.pointer("/event/agent/type").and_then(Value::as_str), Some("user_reference"));
                }
            }
        }

        #[test]
        fn a_damaged_event_is_read_or_not(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = event().to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Some(told) = read(&bytes) {
                prop_assert!(told.by.is_none_or(|by| by == clean(&by)));
            }
            prop_assert_eq!(read(&bytes[..at]), None);
        }
    }
}
