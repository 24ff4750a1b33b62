//! What the daemon has to say about itself, as incidents.

use super::{Live, News, SELF, UNDELIVERED, blank, entry, incident_id};
use crate::domain::commit::Commit;
use crate::domain::engine::Engine;
use crate::domain::engine::telling::Unreached;
use crate::domain::id::{IncidentId, Topic};
use crate::domain::incident::{Alert, ConditionKind, Incident, IncidentState, Severity, Signature};
use crate::domain::message::{RECEIPT, Undelivered};
use crate::domain::time::{Timestamp, human};

/// Something the daemon has to say about itself.
pub(in crate::domain::engine) struct Notice {
    pub(in crate::domain::engine) rule: &'static str,
    pub(in crate::domain::engine) topic: String,
    pub(in crate::domain::engine) severity: Severity,
    pub(in crate::domain::engine) title: String,
    pub(in crate::domain::engine) why: String,
    /// Goes to everybody else instead of along the routes.
    pub(in crate::domain::engine) not_to: Option<Unreached>,
}

impl Engine {
    /// A delivery will never arrive: another receiver learns of it, with the incident it
    /// was about. A failure to tell that is not told again, or two dead receivers would
    /// tell each other for ever; nor is one about an incident that is over.
    pub(in crate::domain::engine) fn undelivered(
        &mut self,
        undelivered: Undelivered,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let Undelivered { id, receiver, person, incident, error } = undelivered;
        commit.told.push(id);
        let whom = Unreached { receiver, person, among_many: false };
        commit.timeline.push(entry(&incident, now, "undelivered", &whom.to_string(), error.clone()));
        self.tell_others(whom, &incident, "could not be told of", &error, now, commit);
    }

    /// A delivery about something critical has not arrived in time: others are told as if it never would, while
    /// it is tried on. Whoever has the incident has heard of it, unless it was handed to them.
    pub(in crate::domain::engine) fn overdue(&mut self, overdue: Undelivered, now: Timestamp, commit: &mut Commit) {
        let Undelivered { id, receiver, person, incident, error } = overdue;
        commit.overdue.push(id);
        let is_theirs = |owner: &Signature| person.as_ref().is_some_and(|person| owner.by == person.as_str());
        let is_waited_for = |live: &Live| {
            let Incident { state, muted, acknowledged, .. } = &live.incident;
            *state == IncidentState::Open && muted.is_none() || acknowledged.as_ref().is_some_and(is_theirs)
        };
        if !self.live.get(&incident).is_some_and(is_waited_for) {
            return;
        }
        let whom = Unreached { receiver, person, among_many: false };
        let because = if error.is_empty() { String::new() } else { format!(": {error}") };
        let why = format!("no receipt within {}{because}; it is tried on", human(RECEIPT));
        commit.timeline.push(entry(&incident, now, "overdue", &whom.to_string(), why.clone()));
        self.tell_others(whom, &incident, "has not received", &why, now, commit);
    }

    /// Somebody does not hear of an incident that lasts: all others do, and if nobody else knows, its next step is told.
    pub(in crate::domain::engine) fn tell_others(
        &mut self,
        mut whom: Unreached,
        incident: &IncidentId,
        how: &str,
        why: &str,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let Some(Live { incident: about, .. }) = self.live.get(incident) else { return };
        if about.topic.as_str().starts_with(UNDELIVERED) {
            return;
        }
        whom.among_many = self.many_are_unreached(&whom, incident);
        let notice = Notice {
            rule: "stormbell.undelivered",
            topic: whom.topic(incident),
            severity: about.severity.max(Severity::High),
            title: format!("{whom} {how} “{}”", about.title),
            why: format!("{why}; {}", whom.what_to_do()),
            not_to: Some(whom),
        };
        self.raise_notice(notice, now, commit);
        if self.nobody_knows(incident, now) {
            self.escalate(incident, now, commit);
        }
    }

    /// An incident begins again. Who could not be told of it before is told as anybody else; that this fails once more is
    /// news to the others, so what they were told of it ends.
    pub(super) fn tell_failures_anew(&mut self, id: &IncidentId, now: Timestamp, commit: &mut Commit) {
        let about = format!("{UNDELIVERED}{id}.");
        let topics = self.by_topic.iter().filter(|(topic, _)| topic.as_str().starts_with(&about));
        let mut notices: Vec<IncidentId> = topics.map(|(_, notice)| notice.clone()).collect();
        notices.sort_unstable();
        for notice in notices {
            self.resolve(&notice, SELF, format!("{id} began again, and whoever it concerns is told anew"), now, commit);
        }
    }

    /// Opens an incident about the daemon itself, unless one of that topic is open.
    pub(in crate::domain::engine) fn raise_notice(&mut self, notice: Notice, now: Timestamp, commit: &mut Commit) {
        let Notice { rule, topic, severity, title, why, not_to } = notice;
        let topic = Topic::from(topic);
        if self.by_topic.contains_key(&topic) {
            return;
        }
        let id = incident_id(&topic, "", now);
        let mut incident = blank(id.clone(), topic.clone(), severity, title, why.clone(), now);
        incident.rules.insert(rule.into());
        self.by_topic.insert(topic.clone(), id.clone());
        self.live.insert(id.clone(), Live::new(incident));
        let (condition, incident) = (ConditionKind::Match, id.clone());
        let alert = Alert {
            at: now,
            rule: rule.into(),
            severity,
            topic,
            condition,
            incident,
            new_incident: true,
            posts: 0,
            authors: 0,
            within: None,
            volume: None,
            figures: None,
            post: None,
            key: None,
            decided_by: Vec::new(),
            why,
        };
        commit.alerts.push(alert);
        self.tell_began(&id, News::Opened, not_to.as_ref(), now, commit);
        if let Some(live) = self.live.get(&id) {
            commit.record(live.incident.clone());
        }
    }

    /// Ends the daemon's own incident of that topic.
    pub(in crate::domain::engine) fn end_notice(&mut self, topic: &str, now: Timestamp, commit: &mut Commit) {
        if let Some(id) = self.by_topic.get(topic).cloned() {
            self.resolve(&id, SELF, String::new(), now, commit);
        }
    }
}
