//! What the API answers, as JSON. The command line reads the same structs back.
//!
//! The incident's fields are those of the webhook payload, so that a program written for
//! one understands the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::message::IncidentJson;

/// An incident with its history and evidence.
#[derive(Serialize, Debug, ToSchema)]
#[schema(as = IncidentDetail)]
pub(super) struct IncidentDetailView<'a> {
    #[serde(flatten)]
    pub(super) incident: IncidentJson<'a>,
    pub(super) timeline: &'a [TimelineView],
    pub(super) alerts: &'a [AlertView],
}

/// One line of an incident's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TimelineEntry)]
pub struct TimelineView {
    /// RFC 3339.
    pub at: String,
    /// What happened, in one word.
    pub what: String,
    /// Who did it.
    pub by: String,
    /// In words.
    pub text: String,
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryView {
    /// The message.
    pub id: String,
    /// The receiver.
    pub receiver: String,
    /// The person there, if it was for one.
    pub person: Option<String>,
    /// What it says: `incident.opened` and so on.
    pub kind: String,
    /// When it was decided, RFC 3339.
    pub at: String,
    /// `pending`, `leased`, `delivered` or `parked` (given up).
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When the receiver took it, or it was given up.
    pub finished_at: Option<String>,
    /// What went wrong last.
    pub error: Option<String>,
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Alert)]
pub struct AlertView {
    /// Event time, RFC 3339.
    pub at: String,
    /// The rule.
    pub rule: String,
    /// The rule's severity.
    pub severity: String,
    /// Which condition.
    pub condition: String,
    /// Posts that made it true.
    pub posts: u64,
    /// Their authors.
    pub authors: u64,
    /// The post that made it fire.
    pub post: Option<String>,
    /// What a rule that counts by key counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Of a rule with a forecast: posts expected within `within_seconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<f64>,
    /// 19 times in 20 there are at most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<f64>,
    /// The window of a count or a forecast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_seconds: Option<u64>,
    /// Why.
    pub why: String,
}

/// A silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Silence)]
pub struct SilenceView {
    /// Its name.
    pub id: String,
    /// `active`, `pending` or `expired`.
    pub state: String,
    /// What must fit: `topic=cyber*`.
    pub matchers: Vec<String>,
    /// Whose order it is.
    pub by: String,
    /// Why.
    pub reason: String,
    /// RFC 3339.
    pub from: String,
    /// RFC 3339.
    pub until: String,
    /// Who ended it before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
}

/// What a silence would have muted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SilencePreview)]
pub struct PreviewView {
    /// Kept incidents that were looked at.
    pub looked_at: u64,
    /// Those it would have muted, newest first.
    pub muted: Vec<PreviewedView>,
    /// Those of which it fits some rules, or all but their severity, and which it would not have muted.
    pub spared: Vec<PreviewedView>,
}

/// An incident in a preview.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PreviewedIncident)]
pub struct PreviewedView {
    /// The incident.
    pub id: String,
    /// One line for a person.
    pub title: String,
    /// Its severity.
    pub severity: String,
    /// Its topic.
    pub topic: String,
    /// RFC 3339.
    pub opened_at: String,
    /// Why it would not have been muted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// A source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Source)]
pub struct SourceView {
    /// Its name.
    pub name: String,
    /// Whether it is connected.
    pub up: bool,
    /// The host it is connected to.
    pub host: Option<String>,
    /// Why it is down.
    pub reason: Option<String>,
    /// Present minus event time of the newest frame, seconds.
    pub lag_seconds: Option<f64>,
    /// Where it can resume.
    pub cursor: Option<i64>,
    /// Share of the last 24 hours that was seen, 0 to 1.
    pub coverage: f64,
    /// The account of its frames.
    pub ledger: LedgerView,
    /// What its server refuses for good, so that nobody watches it, in words for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unwatched: Vec<String>,
    /// Recent gaps, oldest first.
    pub gaps: Vec<GapView>,
}

/// The account of a source's frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Ledger)]
pub struct LedgerView {
    /// Frames received.
    pub frames: u64,
    /// Posts handed to the rules.
    pub posts: u64,
    /// Frames that carry no post.
    pub other: u64,
    /// Frames that could not be used, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Posts seen before.
    pub duplicates: u64,
    /// Frames given up.
    pub dropped: u64,
}

/// Time a source did not see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Gap)]
pub struct GapView {
    /// RFC 3339.
    pub from: String,
    /// RFC 3339; none while it lasts.
    pub to: Option<String>,
    /// Why.
    pub reason: String,
    /// Read later: late, not lost.
    pub recovered: bool,
}

/// A rule in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Rule)]
pub struct RuleView {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its severity.
    pub severity: String,
    /// Its topic.
    pub topic: String,
    /// The pack it came in.
    pub pack: String,
    /// Its query as written; of a rule that joins others empty.
    pub query: String,
    /// The rules it joins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joins: Vec<String>,
}

/// What `stormbell status` shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Status)]
pub struct StatusView {
    /// The running program.
    pub version: String,
    /// Whom it listens for.
    pub organization: String,
    /// Its zone, an IANA name: what its clocks show.
    pub timezone: String,
    /// RFC 3339.
    pub started_at: String,
    /// Whether sources and store are fine.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<String>,
    /// Rules in force.
    pub rules: u64,
    /// Incidents nobody has.
    pub open: u64,
    /// Incidents somebody has.
    pub acknowledged: u64,
    /// Every source.
    pub sources: Vec<SourceView>,
    /// Every receiver.
    pub receivers: Vec<ReceiverView>,
    /// Whose desks are connected; absent where there is no place for desks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desks: Option<Vec<String>>,
}

/// A receiver's line of messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Receiver)]
pub struct ReceiverView {
    /// Its name.
    pub name: String,
    /// Messages that wait.
    pub pending: u64,
    /// Messages being sent.
    pub leased: u64,
    /// Messages given up.
    pub parked: u64,
    /// When the oldest that waits was due, RFC 3339.
    pub oldest_due: Option<String>,
}

/// `/readyz`.
#[derive(Serialize, Debug, ToSchema)]
#[schema(as = Readiness)]
pub(super) struct ReadyView {
    pub(super) ready: bool,
    pub(super) reasons: Vec<String>,
}

/// What an order erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ErasureReceipt)]
pub struct ReceiptView {
    /// RFC 3339.
    pub at: String,
    /// Who ordered it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The SHA-256 of the author's or post's id, in hexadecimal.
    pub subject: String,
    /// The same of each post whose text is gone.
    pub posts: Vec<String>,
    /// How many rows were changed, by table.
    pub rows: BTreeMap<String, u64>,
    /// Receivers that took messages about these posts.
    pub told: Vec<String>,
    /// The number of its entry in the audit log.
    pub audit_entry: i64,
    /// That entry's hash, in hexadecimal.
    pub audit_hash: String,
}

/// An incident whose evidence is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Hold)]
pub struct HoldView {
    /// The incident.
    pub incident: String,
    /// Who answers for it.
    pub approved_by: String,
    /// Why.
    pub reason: String,
    /// Who put it down.
    pub by: String,
    /// RFC 3339.
    pub at: String,
}
