//! What is said about an incident as JSON: the webhook payload and the incident of the
//! API. Both are promises to other programs and hold what people need.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use super::link::Console;
use super::post::PostJson;
use crate::domain::addressee::Recipient;
use crate::domain::id::{IncidentId, SilenceId, Topic};
use crate::domain::incident::{Incident, Muted, Signature};
use crate::domain::message::{self, Leased};
use crate::domain::post::Post;
use crate::domain::redact::redacted;

/// The webhook payload.
#[derive(Debug, Serialize)]
pub struct MessageJson<'a> {
    /// `incident.opened` and its like.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// RFC 3339.
    pub at: String,
    /// The person it is for, where it is for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<RecipientJson<'a>>,
    /// The incident as it then stood.
    pub incident: IncidentJson<'a>,
}

/// A person, and where to reach them.
#[derive(Debug, Serialize)]
pub struct RecipientJson<'a> {
    /// The name in the configuration.
    pub person: &'a str,
    /// What the person's `contact` has for this receiver.
    pub address: &'a str,
}

/// The JSON of an incident.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Incident)]
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
    /// Other topics whose alerts joined it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<&'a str>,
    /// The rules that fired.
    pub rules: Vec<&'a str>,
    /// RFC 3339, wall time.
    pub opened_at: String,
    /// RFC 3339, wall time: when it last began again after its end, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reopened_at: Option<String>,
    /// RFC 3339, event time.
    pub first_post_at: String,
    /// RFC 3339, event time.
    pub last_post_at: String,
    /// Matching posts so far.
    pub posts: u64,
    /// Their distinct authors.
    pub authors: u64,
    /// Distinct stories: a post and all that repeat it are one.
    pub stories: u64,
    /// Counts and times in a sentence; no post's text.
    pub summary: String,
    /// The first alert's reason; no post's text.
    pub why: Cow<'a, str>,
    /// What to follow; null without one.
    pub playbook: Option<&'a str>,
    /// Where to read about it; null when the daemon serves nothing.
    pub url: Option<String>,
    /// Where whoever reads this takes charge without signing in; only in messages, while nobody has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledge_url: Option<String>,
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
    /// Incidents that were merged into it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<&'a str>,
    /// The incident that it was merged into, and goes on as; `resolved` says by whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<&'a str>,
    /// Why nobody is told of it for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted: Option<MutedJson<'a>>,
    /// A few posts to show.
    pub sample: Vec<PostJson<'a>>,
}

/// Who did something, and when.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Signature)]
pub struct SignatureJson<'a> {
    /// A person, a receiver or `stormbell`.
    pub by: &'a str,
    /// RFC 3339, wall time.
    pub at: String,
}

/// Why nobody is told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Muted)]
pub struct MutedJson<'a> {
    /// RFC 3339, wall time.
    pub since: String,
    /// The silences.
    pub silences: Vec<&'a str>,
    /// The bigger incident that it comes with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<&'a str>,
}

impl<'a> MessageJson<'a> {
    /// The payload of a message; `console` is where people reach the daemon, if they can.
    pub fn of(leased: &'a Leased, console: Option<&Console>) -> Self {
        let Leased { delivery, sample, .. } = leased;
        let message = &delivery.message;
        let recipient = delivery.recipient.as_ref();
        Self {
            kind: message.kind.as_str(),
            at: message.at.to_string(),
            recipient: recipient
                .map(|Recipient { person, address }| RecipientJson { person: person.as_str(), address }),
            // It leaves for another program, often of another house.
            incident: IncidentJson {
                acknowledge_url: console.and_then(|console| console.acknowledge_url(delivery)),
                why: redacted(&message.incident.why),
                sample: sample.iter().map(|post| PostJson::from(post).redacted()).collect(),
                ..IncidentJson::new(&message.incident, &[], console)
            },
        }
    }
}

impl<'a> IncidentJson<'a> {
    /// The incident as it stands, with the posts to show.
    pub fn new(incident: &'a Incident, sample: &'a [Post], console: Option<&Console>) -> Self {
        Self {
            id: incident.id.as_str(),
            title: &incident.title,
            severity: incident.severity.as_str(),
            state: incident.state.as_str(),
            topic: incident.topic.as_str(),
            also: incident.also.keys().map(Topic::as_str).collect(),
            rules: incident.rules.iter().map(crate::domain::id::RuleId::as_str).collect(),
            opened_at: incident.opened_at.to_string(),
            reopened_at: incident.again.map(|again| again.at.to_string()),
            first_post_at: incident.first_post_at.to_string(),
            last_post_at: incident.last_post_at.to_string(),
            posts: incident.posts,
            authors: incident.authors,
            stories: incident.stories,
            summary: message::summary(incident),
            why: Cow::Borrowed(&incident.why),
            playbook: incident.playbook.as_deref(),
            url: console.map(|console| console.incident_url(&incident.id)),
            acknowledge_url: None,
            exercise: incident.exercise,
            late: incident.late,
            acknowledged: incident.acknowledged.as_ref().map(SignatureJson::from),
            resolved: incident.resolved.as_ref().map(SignatureJson::from),
            merged: incident.merged.iter().map(IncidentId::as_str).collect(),
            merged_into: incident.merged_into.as_ref().map(IncidentId::as_str),
            muted: incident.muted.as_ref().map(|Muted { since, silences, incident }| MutedJson {
                since: since.to_string(),
                silences: silences.iter().map(SilenceId::as_str).collect(),
                incident: incident.as_ref().map(IncidentId::as_str),
            }),
            sample: sample.iter().map(PostJson::from).collect(),
        }
    }
}

impl<'a> From<&'a Signature> for SignatureJson<'a> {
    fn from(signature: &'a Signature) -> Self {
        Self { by: &signature.by, at: signature.at.to_string() }
    }
}
