//! What is known of one incident, for the meeting afterwards.
//!
//! One pure function makes the report out of what is on record; the page, the file and `stormbell report` only show it. Times are
//! those of the first time something happened: an incident that began again has been taken and ended before.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::backend::Growth;
use super::receipts::{Receipt, seconds_between};
use super::team::Evidence;
use super::view::{AlertView, DeliveryView, TimelineView};
use crate::domain::id::hex;
use crate::domain::message::counted;
use crate::domain::playbook::{Followed, Mark, Playbook};
use crate::domain::time::Timestamp;

/// Under which name the daemon signs.
const SELF: &str = "stormbell";

/// What is on record.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The incident with its history and alerts, as the API shows it.
    pub incident: Value,
    /// Every message about it.
    pub deliveries: Vec<DeliveryView>,
    /// Its posts, or some of them.
    pub evidence: Vec<Evidence>,
    /// Where the others begin.
    pub evidence_next: Option<String>,
    /// How it grew.
    pub growth: Growth,
    /// What people follow, if that is known.
    pub playbook: Option<Arc<Playbook>>,
    /// How they did.
    pub followed: Followed,
    /// Whom the daemon listens for.
    pub organization: String,
    /// Their zone, an IANA name.
    pub timezone: String,
    /// When the report is written.
    pub now: Timestamp,
    /// Whether what people wrote is in it.
    pub with_posts: bool,
}

/// The report; as JSON a promise to other programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// `report`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How long everything took.
    pub seconds: Spans,
    /// The incident as the API shows it, without its posts unless they are asked for.
    pub incident: Value,
    /// What became of each message.
    pub receipts: Vec<Receipt>,
    /// Whom the daemon listens for.
    pub organization: String,
    /// Whose clocks people have on the wall, an IANA name.
    pub timezone: String,
    /// RFC 3339.
    pub written_at: String,
    /// What people were not told, and why.
    pub suppressed: Vec<Suppressed>,
    /// Who did what.
    pub people: Vec<Did>,
    /// How the playbook was followed; null when there is none.
    pub playbook: Option<PlaybookView>,
    /// How it grew; null when no post is kept.
    pub growth: Option<GrowthView>,
    /// Its posts, oldest first, 500 at most.
    pub evidence: Vec<EvidenceView>,
    /// What to give as `after` for the posts that follow; null where these are all.
    #[serde(default)]
    pub evidence_next: Option<String>,
}

/// How long everything took, in seconds from the first step named to the second, the first time it happened; null while it has not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Spans {
    /// Null, too, for an incident without posts.
    pub first_post_to_opened: Option<f64>,
    /// Until a receiver took a message.
    pub opened_to_first_receipt: Option<f64>,
    /// Until somebody took charge.
    pub opened_to_acknowledged: Option<f64>,
    /// Until it was over.
    pub opened_to_resolved: Option<f64>,
    /// Until something was said in public.
    pub opened_to_first_statement: Option<f64>,
}

/// Something that people were not told at once, or one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Suppressed {
    /// RFC 3339; null where it is about all of the incident.
    pub at: Option<String>,
    /// `muted`, `held` or `grouped`.
    pub what: String,
    /// Why, in a sentence.
    pub why: String,
}

/// What one person did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PersonsDeeds)]
pub struct Did {
    /// Who.
    pub who: String,
    /// What, oldest first.
    pub did: Vec<TimelineView>,
}

/// How a playbook was followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PlaybookFollowed)]
pub struct PlaybookView {
    /// Its name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Who had which role.
    pub roles: Vec<MarkView>,
    /// What was to be done.
    pub steps: Vec<MarkView>,
    /// How soon something had to be said, seconds.
    pub first_statement_within_seconds: Option<u64>,
    /// What was said first: null while nothing was.
    pub first_statement: Option<MarkView>,
}

/// A step, a role or a statement, and who it is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PlaybookMark)]
pub struct MarkView {
    /// What.
    pub what: String,
    /// Who has the role; of a step null.
    pub person: Option<String>,
    /// Who said so; null while nobody did.
    pub by: Option<String>,
    /// When it was so, RFC 3339.
    pub at: Option<String>,
}

/// How an incident grew, in stretches of equal length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Growth)]
pub struct GrowthView {
    /// Where the first begins, RFC 3339, event time.
    pub from: String,
    /// How long each is, seconds.
    pub every_seconds: u64,
    /// Posts of each.
    pub posts: Vec<u64>,
    /// Their distinct authors.
    pub authors: Vec<u64>,
}

/// A post as evidence: whoever kept a copy can be checked by its hash, also when the text is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Evidence)]
pub struct EvidenceView {
    /// The post.
    pub id: String,
    /// RFC 3339, event time.
    pub at: String,
    /// The SHA-256 of its JSON as Stormbell kept it.
    pub sha256: String,
    /// Where it was read; null once the text is gone.
    pub source: Option<String>,
    /// Where it stands, or stood; null as above, or when it has no address.
    pub url: Option<String>,
    /// Who wrote it, by handle or id; only when posts are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// What they wrote; only when posts are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether the text is gone: taken back, or kept long enough.
    pub erased: bool,
}

/// As much of an incident as a report shows.
#[derive(Clone, Debug, Deserialize)]
pub struct Told {
    /// Its id.
    pub id: String,
    /// One line for a person.
    pub title: String,
    /// How grave.
    pub severity: String,
    /// Where it stands.
    pub state: String,
    /// What it is about.
    pub topic: String,
    /// Other topics.
    #[serde(default)]
    pub also: Vec<String>,
    /// The rules that fired.
    pub rules: Vec<String>,
    /// RFC 3339.
    pub opened_at: String,
    /// RFC 3339, event time.
    pub first_post_at: String,
    /// Posts so far.
    pub posts: u64,
    /// Authors so far.
    #[serde(default)]
    pub authors: u64,
    /// Counts and times in a sentence.
    pub summary: String,
    /// The first alert's reason.
    pub why: String,
    /// What to follow.
    pub playbook: Option<String>,
    /// A drill.
    pub exercise: bool,
    /// Learned long after it happened.
    pub late: bool,
    /// Who has it.
    pub acknowledged: Option<Signed>,
    /// Who ended it.
    pub resolved: Option<Signed>,
    /// What was merged into it.
    #[serde(default)]
    pub merged: Vec<String>,
    /// What it goes on as.
    pub merged_into: Option<String>,
    /// When it began again.
    pub reopened_at: Option<String>,
    /// A few posts; none when they were not asked for.
    #[serde(default)]
    pub sample: Vec<Sample>,
    /// Its history.
    pub timeline: Vec<TimelineView>,
    /// Its alerts.
    pub alerts: Vec<AlertView>,
}

/// Who did something.
#[derive(Clone, Debug, Deserialize)]
pub struct Signed {
    /// A person, a receiver or the daemon.
    pub by: String,
}

/// A post of the sample.
#[derive(Clone, Debug, Deserialize)]
pub struct Sample {
    /// The post.
    pub id: String,
    /// As its author claims.
    pub created_at: String,
    /// Who wrote it.
    pub author: SampleAuthor,
    /// What.
    pub text: String,
}

/// Who wrote a post.
#[derive(Clone, Debug, Deserialize)]
pub struct SampleAuthor {
    /// Their id.
    pub id: String,
    /// Their handle.
    pub handle: Option<String>,
}

impl Told {
    /// The first line of history that says so.
    pub fn first(&self, what: &str) -> Option<&TimelineView> {
        self.timeline.iter().find(|entry| entry.what == what)
    }
}

impl Report {
    /// The incident, as reports show it; an error when it is of another version.
    ///
    /// # Errors
    /// When the JSON lacks what every incident has.
    pub fn told(&self) -> serde_json::Result<Told> {
        Told::deserialize(&self.incident)
    }
}

/// Writes the report.
///
/// # Errors
/// When the incident's JSON lacks what every incident has.
pub fn of(facts: &Facts) -> serde_json::Result<Report> {
    let Facts { incident, deliveries, evidence, growth, followed, organization, timezone, now, with_posts, .. } = facts;
    let told = Told::deserialize(incident)?;
    let mut incident = incident.clone();
    if !with_posts && let Some(incident) = incident.as_object_mut() {
        incident.remove("sample");
    }
    let receipts = deliveries.iter().map(|delivery| Receipt::of(delivery.clone(), &told.opened_at));
    let receipts: Vec<Receipt> = receipts.collect();
    let playbook = facts.playbook.as_deref();
    Ok(Report {
        kind: "report".to_owned(),
        seconds: spans(&told, &receipts, followed),
        suppressed: suppressed(&told, &receipts),
        people: people(&told),
        playbook: playbook.map(|playbook| playbook_view(playbook, followed)),
        growth: growth_view(growth),
        evidence: evidence.iter().map(|one| evidence_view(one, *with_posts)).collect(),
        evidence_next: facts.evidence_next.clone(),
        organization: organization.clone(),
        timezone: timezone.clone(),
        written_at: now.to_string(),
        incident,
        receipts,
    })
}

fn spans(told: &Told, receipts: &[Receipt], followed: &Followed) -> Spans {
    let since_opened = |at: Option<&str>| seconds_between(&told.opened_at, at?);
    let first = |what: &str| since_opened(told.first(what).map(|entry| entry.at.as_str()));
    let taken = receipts.iter().filter(|receipt| receipt.is_taken()).filter_map(|receipt| receipt.after_seconds);
    let said = followed.statement().map(|mark| mark.at.to_string());
    Spans {
        first_post_to_opened: seconds_between(&told.first_post_at, &told.opened_at).filter(|_| told.posts > 0),
        opened_to_first_receipt: taken.reduce(f64::min),
        opened_to_acknowledged: first("acknowledged"),
        opened_to_resolved: first("resolved"),
        opened_to_first_statement: since_opened(said.as_deref()),
    }
}

/// What history says was kept from people; and that many alerts and posts were one incident to them.
fn suppressed(told: &Told, receipts: &[Receipt]) -> Vec<Suppressed> {
    let kept = told.timeline.iter().filter(|entry| matches!(entry.what.as_str(), "muted" | "held"));
    let mut all: Vec<Suppressed> = kept
        .map(|entry| Suppressed { at: Some(entry.at.clone()), what: entry.what.clone(), why: entry.text.clone() })
        .collect();
    let alerts = told.alerts.len() as u64;
    if alerts > 1 || told.posts > 1 {
        let (alerts, posts) = (counted(alerts, "alert"), counted(told.posts, "post"));
        let messages = counted(receipts.len() as u64, "message");
        let why = format!("told as one incident: {alerts} and {posts} in {messages}");
        all.push(Suppressed { at: None, what: "grouped".to_owned(), why });
    }
    all
}

/// In the order of the first thing each did.
fn people(told: &Told) -> Vec<Did> {
    let mut people: Vec<Did> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let by_people = |entry: &&TimelineView| {
        // What fails is signed with whom it failed to reach, and they did nothing.
        entry.by != SELF && !matches!(entry.what.as_str(), "undelivered" | "overdue" | "held")
    };
    for entry in told.timeline.iter().filter(by_people) {
        let place = *places.entry(&entry.by).or_insert_with(|| {
            people.push(Did { who: entry.by.clone(), did: Vec::new() });
            people.len() - 1
        });
        if let Some(person) = people.get_mut(place) {
            person.did.push(entry.clone());
        }
    }
    people
}

fn playbook_view(playbook: &Playbook, followed: &Followed) -> PlaybookView {
    let view = |what: String, mark: Option<&Mark>, names: bool| MarkView {
        what,
        person: mark.filter(|_| names).map(|mark| mark.value.clone()),
        by: mark.map(|mark| mark.by.clone()),
        at: mark.map(|mark| mark.at.to_string()),
    };
    let role = |role: &String| view(role.clone(), followed.role(role), true);
    let steps = playbook.steps().map(|step| view(step.text.replace("**", ""), followed.step(&step.key), false));
    PlaybookView {
        name: playbook.name.clone(),
        title: playbook.title.clone(),
        roles: playbook.roles.iter().map(role).collect(),
        steps: steps.collect(),
        first_statement_within_seconds: playbook.first_statement_within.map(|within| within.as_secs()),
        first_statement: followed.statement().map(|mark| view(mark.value.clone(), Some(mark), false)),
    }
}

fn growth_view(growth: &Growth) -> Option<GrowthView> {
    let Growth { from, every, moments } = growth;
    (!moments.is_empty()).then(|| GrowthView {
        from: from.to_string(),
        every_seconds: every.as_secs(),
        posts: moments.iter().map(|moment| moment.posts).collect(),
        authors: moments.iter().map(|moment| moment.authors).collect(),
    })
}

fn evidence_view(evidence: &Evidence, with_posts: bool) -> EvidenceView {
    let Evidence { id, at, hash, post } = evidence;
    let post = post.as_ref();
    let shown = post.filter(|_| with_posts);
    EvidenceView {
        id: id.to_string(),
        at: at.to_string(),
        sha256: hex(hash, 32),
        source: post.map(|post| post.source.to_string()),
        url: post.and_then(|post| post.url.clone()),
        author: shown.map(|post| post.author.handle.clone().unwrap_or_else(|| post.author.id.to_string())),
        text: shown.map(|post| post.text.clone()),
        erased: post.is_none(),
    }
}
