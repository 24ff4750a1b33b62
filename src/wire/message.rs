//! What is said about an incident as JSON: the webhook payload, the incident of the
//! API, and the form in which the outbox keeps a message.
//!
//! The first two are promises to other programs and hold what people need; the stored
//! form is the program's own, holds everything, and is read back without loss.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use url::Url;

use super::post::PostJson;
use crate::domain::id::IncidentId;
use crate::domain::incident::{Escalation, Incident, IncidentState, Severity, Signature, Told};
use crate::domain::message::{self, Message, MessageKind};
use crate::domain::post::Post;
use crate::domain::time::Timestamp;

/// The webhook payload.
#[derive(Debug, Serialize)]
pub struct MessageJson<'a> {
    /// `incident.opened` and its like.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// RFC 3339.
    pub at: String,
    /// The incident as it then stood.
    pub incident: IncidentJson<'a>,
}

/// The JSON of an incident.
#[derive(Debug, Serialize)]
pub struct IncidentJson<'a> {
    /// Stable key.
    pub id: &'a str,
    /// One line for a person.
    pub title: &'a str,
    /// `critical`, `high`, `medium`, `low` or `info`.
    pub severity: &'static str,
    /// `open`, `acknowledged` or `resolved`.
    pub state: &'static str,
    /// What it is about.
    pub topic: &'a str,
    /// The rules that fired.
    pub rules: Vec<&'a str>,
    /// RFC 3339, wall time.
    pub opened_at: String,
    /// RFC 3339, event time.
    pub first_post_at: String,
    /// RFC 3339, event time.
    pub last_post_at: String,
    /// Matching posts so far.
    pub posts: u64,
    /// Their distinct authors.
    pub authors: u64,
    /// Counts and times in a sentence; no post's text.
    pub summary: String,
    /// The first alert's reason; no post's text.
    pub why: &'a str,
    /// What to follow; null without one.
    pub playbook: Option<&'a str>,
    /// Its page in the console; null without a console.
    pub url: Option<String>,
    /// A drill.
    pub exercise: bool,
    /// Learned long after it happened.
    pub late: bool,
    /// Who took charge, once somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<SignatureJson<'a>>,
    /// Who ended it, once somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<SignatureJson<'a>>,
    /// A few posts to show.
    pub sample: Vec<PostJson<'a>>,
}

/// Who did something, and when.
#[derive(Debug, Serialize)]
pub struct SignatureJson<'a> {
    /// A person, a receiver or `stormbell`.
    pub by: &'a str,
    /// RFC 3339, wall time.
    pub at: String,
}

impl<'a> MessageJson<'a> {
    /// The payload of a message; `console` is the address of the console, if there is one.
    pub fn new(message: &'a Message, sample: &'a [Post], console: Option<&Url>) -> Self {
        Self {
            kind: message.kind.as_str(),
            at: message.at.to_string(),
            incident: IncidentJson::new(&message.incident, sample, console),
        }
    }
}

impl<'a> IncidentJson<'a> {
    /// The incident as it stands, with the posts to show.
    pub fn new(incident: &'a Incident, sample: &'a [Post], console: Option<&Url>) -> Self {
        Self {
            id: incident.id.as_str(),
            title: &incident.title,
            severity: incident.severity.as_str(),
            state: incident.state.as_str(),
            topic: incident.topic.as_str(),
            rules: incident.rules.iter().map(crate::domain::id::RuleId::as_str).collect(),
            opened_at: incident.opened_at.to_string(),
            first_post_at: incident.first_post_at.to_string(),
            last_post_at: incident.last_post_at.to_string(),
            posts: incident.posts,
            authors: incident.authors,
            summary: message::summary(incident),
            why: &incident.why,
            playbook: incident.playbook.as_deref(),
            url: console.map(|console| incident_url(console, &incident.id)),
            exercise: incident.exercise,
            late: incident.late,
            acknowledged: incident.acknowledged.as_ref().map(SignatureJson::from),
            resolved: incident.resolved.as_ref().map(SignatureJson::from),
            sample: sample.iter().map(PostJson::from).collect(),
        }
    }
}

impl<'a> From<&'a Signature> for SignatureJson<'a> {
    fn from(signature: &'a Signature) -> Self {
        Self { by: &signature.by, at: signature.at.to_string() }
    }
}

/// An incident's page in the console at that address.
pub fn incident_url(console: &Url, id: &IncidentId) -> String {
    let mut url = console.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("incidents").push(id.as_str());
    }
    url.into()
}

/// Why a stored message cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NotAMessage {
    /// It is not the JSON this program writes.
    #[error("not a stored message")]
    Json(#[from] serde_json::Error),
    /// A word was written by a newer program.
    #[error("the stored message has an unknown {field} {word:?}; a newer stormbell wrote it")]
    Word {
        /// Which field.
        field: &'static str,
        /// What it says.
        word: String,
    },
}

/// A message as the outbox keeps it.
pub fn to_stored(message: &Message) -> String {
    // Writing strings, numbers and lists to memory cannot fail.
    serde_json::to_string(&StoredMessage::from(message)).unwrap_or_default()
}

/// The message the outbox kept.
///
/// # Errors
/// [`NotAMessage`] when the text was not written by [`to_stored`] of this version or an older one.
pub fn from_stored(text: &str) -> Result<Message, NotAMessage> {
    serde_json::from_str::<StoredMessage>(text)?.into_message()
}

#[derive(Serialize, Deserialize)]
struct StoredMessage {
    kind: String,
    at: i64,
    incident: StoredIncident,
}

/// Times are microseconds since 1970, so that every instant survives.
#[derive(Serialize, Deserialize)]
struct StoredIncident {
    id: String,
    topic: String,
    title: String,
    severity: String,
    state: String,
    rules: BTreeSet<String>,
    opened_at: i64,
    first_post_at: i64,
    last_post_at: i64,
    posts: u64,
    authors: u64,
    why: String,
    playbook: Option<String>,
    exercise: bool,
    late: bool,
    sample: Vec<String>,
    acknowledged: Option<StoredSignature>,
    resolved: Option<StoredSignature>,
    revision: u32,
    told: StoredTold,
    escalations: Vec<StoredEscalation>,
}

#[derive(Serialize, Deserialize)]
struct StoredSignature {
    by: String,
    at: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredTold {
    severity: String,
    authors: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredEscalation {
    route: usize,
    step: usize,
    due: Option<i64>,
}

impl From<&Message> for StoredMessage {
    fn from(message: &Message) -> Self {
        Self {
            kind: message.kind.as_str().to_owned(),
            at: message.at.micros(),
            incident: StoredIncident::from(&message.incident),
        }
    }
}

impl From<&Incident> for StoredIncident {
    fn from(incident: &Incident) -> Self {
        let signature = |signature: &Option<Signature>| {
            signature.as_ref().map(|signature| StoredSignature { by: signature.by.clone(), at: signature.at.micros() })
        };
        Self {
            id: incident.id.to_string(),
            topic: incident.topic.to_string(),
            title: incident.title.clone(),
            severity: incident.severity.as_str().to_owned(),
            state: incident.state.as_str().to_owned(),
            rules: incident.rules.iter().map(ToString::to_string).collect(),
            opened_at: incident.opened_at.micros(),
            first_post_at: incident.first_post_at.micros(),
            last_post_at: incident.last_post_at.micros(),
            posts: incident.posts,
            authors: incident.authors,
            why: incident.why.clone(),
            playbook: incident.playbook.clone(),
            exercise: incident.exercise,
            late: incident.late,
            sample: incident.sample.iter().map(ToString::to_string).collect(),
            acknowledged: signature(&incident.acknowledged),
            resolved: signature(&incident.resolved),
            revision: incident.revision,
            told: StoredTold { severity: incident.told.severity.as_str().to_owned(), authors: incident.told.authors },
            escalations: incident
                .escalations
                .iter()
                .map(|escalation| StoredEscalation {
                    route: escalation.route,
                    step: escalation.step,
                    due: escalation.due.map(Timestamp::micros),
                })
                .collect(),
        }
    }
}

impl StoredMessage {
    fn into_message(self) -> Result<Message, NotAMessage> {
        Ok(Message {
            kind: word("kind", self.kind, MessageKind::parse)?,
            at: Timestamp::from_micros(self.at),
            incident: self.incident.into_incident()?,
        })
    }
}

impl StoredIncident {
    fn into_incident(self) -> Result<Incident, NotAMessage> {
        let signature = |stored: Option<StoredSignature>| {
            stored.map(|stored| Signature { by: stored.by, at: Timestamp::from_micros(stored.at) })
        };
        Ok(Incident {
            id: self.id.into(),
            topic: self.topic.into(),
            title: self.title,
            severity: word("severity", self.severity, Severity::parse)?,
            state: word("state", self.state, IncidentState::parse)?,
            rules: self.rules.into_iter().map(Into::into).collect(),
            opened_at: Timestamp::from_micros(self.opened_at),
            first_post_at: Timestamp::from_micros(self.first_post_at),
            last_post_at: Timestamp::from_micros(self.last_post_at),
            posts: self.posts,
            authors: self.authors,
            why: self.why,
            playbook: self.playbook,
            exercise: self.exercise,
            late: self.late,
            sample: self.sample.into_iter().map(Into::into).collect(),
            acknowledged: signature(self.acknowledged),
            resolved: signature(self.resolved),
            revision: self.revision,
            told: Told {
                severity: word("severity told", self.told.severity, Severity::parse)?,
                authors: self.told.authors,
            },
            escalations: self
                .escalations
                .into_iter()
                .map(|stored| Escalation {
                    route: stored.route,
                    step: stored.step,
                    due: stored.due.map(Timestamp::from_micros),
                })
                .collect(),
        })
    }
}

fn word<T>(field: &'static str, word: String, parse: impl Fn(&str) -> Option<T>) -> Result<T, NotAMessage> {
    parse(&word).ok_or(NotAMessage::Word { field, word })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;

    use super::*;

    fn signature() -> impl Strategy<Value = Option<Signature>> {
        proptest::option::of(
            (any::<String>(), any::<i64>()).prop_map(|(by, at)| Signature { by, at: Timestamp::from_micros(at) }),
        )
    }

    fn escalation() -> impl Strategy<Value = Escalation> {
        (any::<usize>(), any::<usize>(), any::<Option<i64>>()).prop_map(|(route, step, due)| Escalation {
            route,
            step,
            due: due.map(Timestamp::from_micros),
        })
    }

    prop_compose! {
        fn incident()(
            names in (any::<String>(), any::<String>(), any::<String>(), any::<String>(), any::<Option<String>>()),
            severity in proptest::sample::select(&Severity::ALL[..]),
            told in proptest::sample::select(&Severity::ALL[..]),
            state in proptest::sample::select(&IncidentState::ALL[..]),
            lists in (any::<BTreeSet<String>>(), any::<Vec<String>>()),
            times in any::<[i64; 3]>(),
            counts in any::<[u64; 3]>(),
            flags in any::<[bool; 2]>(),
            acknowledged in signature(),
            resolved in signature(),
            revision in any::<u32>(),
            escalations in proptest::collection::vec(escalation(), 0..3),
        ) -> Incident {
            let (id, topic, title, why, playbook) = names;
            let (rules, sample) = lists;
            Incident {
                id: id.into(), topic: topic.into(), title, severity, state,
                rules: rules.into_iter().map(Into::into).collect(),
                opened_at: Timestamp::from_micros(times[0]),
                first_post_at: Timestamp::from_micros(times[1]),
                last_post_at: Timestamp::from_micros(times[2]),
                posts: counts[0], authors: counts[1], why, playbook,
                exercise: flags[0], late: flags[1],
                sample: sample.into_iter().map(Into::into).collect(),
                acknowledged, resolved, revision,
                told: Told { severity: told, authors: counts[2] },
                escalations,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_stored_message_reads_back_whole(
            incident in incident(), kind in proptest::sample::select(&MessageKind::ALL[..]), at in any::<i64>(),
        ) {
            let message = Message { kind, at: Timestamp::from_micros(at), incident };
            prop_assert_eq!(from_stored(&to_stored(&message)).unwrap(), message);
        }
    }

    #[test]
    fn a_word_of_a_newer_program_is_named() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let incident = incident().new_tree(&mut runner).unwrap().current();
        let message = Message { kind: MessageKind::Opened, at: Timestamp::from_micros(0), incident };
        let text = to_stored(&message).replace("incident.opened", "incident.split");
        let error = from_stored(&text).unwrap_err().to_string();
        assert_eq!(error, "the stored message has an unknown kind \"incident.split\"; a newer stormbell wrote it");
        assert!(matches!(from_stored("{}"), Err(NotAMessage::Json(_))));
    }

    #[test]
    fn an_incident_has_a_page_below_any_console() {
        let url = |base: &str| incident_url(&Url::parse(base).unwrap(), &IncidentId::from("a/b"));
        assert_eq!(url("http://h:8787"), "http://h:8787/incidents/a%2Fb");
        assert_eq!(url("https://h/bell/"), "https://h/bell/incidents/a%2Fb");
    }
}
