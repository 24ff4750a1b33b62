//! Incidents: opening, joining, growing, telling, ending.

use std::collections::BTreeSet;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::muted::{Occasion, Standing};
use super::storage::STORAGE;
use super::telling::{Unreached, in_words};
use super::{Action, Command, Engine, Refused};
use crate::domain::addressee::{Addressee, Recipient};
use crate::domain::commit::Commit;
use crate::domain::condition::{Fired, Seen};
use crate::domain::id::{DeliveryId, IncidentId, ReceiverName, Topic, hex, typeable};
use crate::domain::incident::{
    Alert, ConditionKind, Escalation, Incident, IncidentState, OWN, Severity, Signature, TimelineEntry, Told,
};
use crate::domain::key::{Key, Keys};
use crate::domain::message::{Delivery, Message, MessageKind, Undelivered};
use crate::domain::route::Routes;
use crate::domain::rule::Rule;
use crate::domain::tally::Tally;
use crate::domain::time::{Timestamp, human};

/// An incident ends by itself when its topic has been quiet for so long.
const QUIET: Duration = Duration::from_hours(6);
/// News this much older than its telling is marked late.
const LATE: Duration = Duration::from_mins(5);
/// A delivery is tried for so long; then it is parked and another receiver is told.
const GIVE_UP: Duration = Duration::from_mins(10);
/// A delivery is tried for so long when nobody would be told instead.
const LAST_RESORT: Duration = Duration::from_hours(24);
/// A present this much earlier than the last one means that somebody set the clock.
const CLOCK_SET_BACK: Duration = Duration::from_mins(2);
/// People are told again when so many times more authors joined.
const GROWTH: u64 = 3;
/// Topics of incidents about receivers that cannot be told. Nobody silences them.
pub(super) const UNDELIVERED: &str = "stormbell.undelivered.";
/// The name under which the daemon signs.
pub(super) const SELF: &str = "stormbell";

/// An incident that is not resolved, with what is needed to count on.
pub(super) struct Live {
    pub(super) incident: Incident,
    authors: Tally,
    stories: Tally,
    posts: Keys,
    /// Nobody has been told yet.
    new: bool,
}

/// Something the daemon has to say about itself.
pub(super) struct Notice {
    pub(super) rule: &'static str,
    pub(super) topic: String,
    pub(super) severity: Severity,
    pub(super) title: String,
    pub(super) why: String,
    /// Goes to everybody else instead of along the routes.
    pub(super) not_to: Option<Unreached>,
}

impl Live {
    /// Posts told apart; beyond it (a flood) every sighting counts as a post.
    const EXACT_POSTS: usize = 100_000;

    pub(super) fn new(incident: Incident) -> Self {
        Self { incident, authors: Tally::default(), stories: Tally::default(), posts: Keys::default(), new: false }
    }

    /// Counts a sighting that the incident's figures already hold.
    pub(super) fn remember(&mut self, seen: &Seen) {
        self.posts.insert(Key::of(&seen.post));
        self.authors.insert(Key::of(&seen.author));
        self.stories.insert(Key::of(&seen.story));
    }

    /// Counts a sighting, each post once; false when nothing changed.
    pub(super) fn add(&mut self, seen: &Seen) -> bool {
        let post = Key::of(&seen.post);
        if self.posts.contains(&post) {
            return false;
        }
        if self.posts.len() < Self::EXACT_POSTS {
            self.posts.insert(post);
        }
        self.authors.insert(Key::of(&seen.author));
        self.stories.insert(Key::of(&seen.story));
        let incident = &mut self.incident;
        if incident.posts == 0 {
            (incident.first_post_at, incident.last_post_at) = (seen.at, seen.at);
        }
        incident.posts += 1;
        incident.authors = self.authors.count().max(incident.authors);
        incident.stories = self.stories.count().max(incident.stories);
        incident.first_post_at = incident.first_post_at.min(seen.at);
        incident.last_post_at = incident.last_post_at.max(seen.at);
        if incident.sample.len() == 5 {
            incident.sample.remove(3); // the first three and the newest two
        }
        incident.sample.push(seen.post.clone());
        true
    }
}

impl Engine {
    /// The incident for an alert, and whether it is a new one. A rule is made to fire `by`
    /// the same only once: a post at its time, or a silence since then.
    pub(super) fn open_or_join(
        &mut self,
        rule: &Rule,
        by: &str,
        at: Timestamp,
        fired: &Fired,
        why: &str,
        now: Timestamp,
    ) -> (IncidentId, bool) {
        let known = self.by_topic.get(&rule.topic).cloned();
        let is_new = known.is_none();
        let id = known.unwrap_or_else(|| {
            // A rule takes a post once, so these two name one opening. The first post of
            // the window would not do: an earlier incident may have begun with it.
            let id = incident_id(&rule.topic, &format!("{}\n{by}", rule.id), at);
            let mut incident =
                blank(id.clone(), rule.topic.clone(), rule.severity, rule.title.clone(), why.to_owned(), now);
            incident.playbook.clone_from(&rule.playbook);
            // By its newest post: that a count's window began long ago makes nothing late.
            incident.late = fired.seen.last().is_some_and(|newest| now.since(newest.at) > LATE);
            self.by_topic.insert(rule.topic.clone(), id.clone());
            self.live.insert(id.clone(), Live { new: true, ..Live::new(incident) });
            id
        });
        if let Some(live) = self.live.get_mut(&id) {
            for seen in &fired.seen {
                live.add(seen);
            }
            let incident = &mut live.incident;
            if rule.severity > incident.severity {
                // The gravest rule gives the headline and the playbook.
                incident.severity = rule.severity;
                incident.title.clone_from(&rule.title);
                why.clone_into(&mut incident.why);
                incident.playbook.clone_from(&rule.playbook);
            }
            incident.rules.insert(rule.id.clone());
            self.changed.insert(id.clone());
        }
        (id, is_new)
    }

    /// Tells people what they need to know of incidents that changed.
    pub(super) fn tell_changes(&mut self, now: Timestamp, commit: &mut Commit) {
        for id in std::mem::take(&mut self.changed) {
            let Some(live) = self.live.get_mut(&id) else { continue };
            let Live { incident, .. } = live;
            let graver = incident.severity > incident.told.severity;
            // What is read up after an outage is told as a whole, see `tell_growth`.
            let grown = incident.has_grown() && now.since(incident.last_post_at) <= LATE;
            if std::mem::take(&mut live.new) {
                self.tell_opened(&id, None, now, commit);
            } else if self.weigh(&id, Occasion::News, now, commit) == Standing::Told && (graver || grown) {
                self.tell_updated(&id, now, commit);
            }
            self.unwritten.insert(id);
        }
    }

    /// Writes the incidents that posts changed, as they stand after the last of them.
    pub(super) fn record_changes(&mut self, commit: &mut Commit) {
        for id in std::mem::take(&mut self.unwritten) {
            // What ended meanwhile is written already.
            if let Some(live) = self.live.get(&id) {
                commit.record(live.incident.clone());
            }
        }
    }

    fn tell_opened(&mut self, id: &IncidentId, not_to: Option<&Unreached>, now: Timestamp, commit: &mut Commit) {
        let others = not_to.map(|unreached| self.all_but(unreached));
        let Some(Live { incident, .. }) = self.live.get(id) else { return };
        let text = format!("{}: {}", incident.title, incident.why);
        let line = commit.timeline.len();
        commit.timeline.push(entry(id, now, "opened", SELF, text));
        if self.weigh(id, Occasion::News, now, commit) != Standing::Told {
            return;
        }
        let Some(Live { incident, .. }) = self.live.get_mut(id) else { return };
        let told = others.unwrap_or_else(|| first_told(incident, &self.routes, &self.receivers, now));
        if let Some(opened) = commit.timeline.get_mut(line) {
            opened.text = format!("{}; telling {}", opened.text, in_words(&told));
        }
        send(incident, MessageKind::Opened, told, &self.receivers, &self.routes, now, commit);
    }

    /// Tells everybody who knows of the incident, and those of whom its routes say so: a graver
    /// one may take new ones, and of a muted one nobody was told.
    pub(super) fn tell_updated(&mut self, id: &IncidentId, now: Timestamp, commit: &mut Commit) {
        let Some(Live { incident, .. }) = self.live.get_mut(id) else { return };
        let graver = incident.severity > incident.told.severity;
        let knowing = incident.told.receivers.clone();
        if graver && let Some(before) = incident.acknowledged.take() {
            // Whoever took charge of a rumour has not taken charge of a crisis yet.
            (incident.state, incident.reopened) = (IncidentState::Open, Some(now));
            self.routes.wait_anew(&mut incident.escalations, now);
            let text = format!("graver than when {} acknowledged it", before.by);
            commit.timeline.push(entry(id, now, "updated", SELF, text));
        }
        let mut fresh = first_told(incident, &self.routes, &self.receivers, now);
        fresh.retain(|receiver| !knowing.contains(receiver));
        let text = crate::domain::message::summary(incident);
        commit.timeline.push(entry(id, now, "updated", SELF, text));
        send(incident, MessageKind::Updated, knowing, &self.receivers, &self.routes, now, commit);
        send(incident, MessageKind::Opened, fresh, &self.receivers, &self.routes, now, commit);
    }

    /// Fits incidents to the routes there are now: a place among the old ones may stand for
    /// other people. Whoever is to be told first, and has not been told yet, is.
    pub(super) fn reroute(&mut self, now: Timestamp, commit: &mut Commit) {
        for Live { incident, .. } in self.live.values_mut() {
            if incident.topic.as_str().starts_with(UNDELIVERED) {
                continue; // never took a route
            }
            let before = incident.escalations.clone();
            let mut kept = before.clone();
            kept.retain(|escalation| self.routes.may_stand(escalation, incident));
            incident.escalations = kept;
            if incident.muted.is_some() || incident.state != IncidentState::Open {
                continue; // takes its routes when it is told
            }
            let mut fresh = take_routes(incident, &self.routes, now);
            if incident.escalations == before {
                continue;
            }
            fresh.retain(|receiver| !incident.told.receivers.contains(receiver));
            send(incident, MessageKind::Opened, fresh, &self.receivers, &self.routes, now, commit);
            commit.record(incident.clone());
        }
    }

    /// Ends incidents whose topic fell quiet, and goes on to the next steps of those
    /// that nobody took charge of. Looks once a second at most.
    pub(super) fn advance(&mut self, now: Timestamp, commit: &mut Commit) {
        // A batch may be stamped a little before the last tick; a clock that was set back is
        // not waited for.
        if now < self.advanced + Duration::from_secs(1) && self.advanced < now + CLOCK_SET_BACK {
            return;
        }
        self.advanced = now;
        self.watch_silence(now, commit);
        self.review(None, now, commit);
        let ids: Vec<IncidentId> = self.live.keys().cloned().collect();
        for id in ids {
            if self.is_quiet(&id, now) {
                self.resolve(&id, SELF, fell_quiet(), now, commit);
            } else {
                self.tell_growth(&id, now, commit);
                self.escalate(&id, now, commit);
            }
        }
    }

    /// Growth that was read up after an outage is told once all of it is read, not step by step.
    fn tell_growth(&mut self, id: &IncidentId, now: Timestamp, commit: &mut Commit) {
        let all_see = self.all_see();
        let Some(Live { incident, .. }) = self.live.get(id) else { return };
        if all_see && incident.muted.is_none() && incident.has_grown() {
            self.tell_updated(id, now, commit);
            if let Some(live) = self.live.get(id) {
                commit.record(live.incident.clone());
            }
        }
    }

    /// The clock of a recording goes from post to post. Ends and escalations that were due in
    /// between are given their own time, as the ticks of a daemon would have.
    pub(super) fn catch_up(&mut self, now: Timestamp, commit: &mut Commit) {
        if now < self.advanced + Duration::from_secs(1) {
            return; // as `advance`
        }
        while let Some((due, id)) = self.next_due().filter(|(due, _)| *due < now) {
            if self.is_quiet(&id, due) {
                self.resolve(&id, SELF, fell_quiet(), due, commit);
            } else {
                self.escalate(&id, due, commit);
            }
        }
    }

    /// The incident that ends or escalates next if nothing happens.
    fn next_due(&self) -> Option<(Timestamp, IncidentId)> {
        let all_see = self.all_see();
        let due = |Live { incident, .. }: &Live| {
            let open = incident.state == IncidentState::Open && incident.muted.is_none();
            let escalations = incident.escalations.iter().filter(|_| open).filter_map(|escalation| escalation.due);
            let end = incident.last_post_at.max(incident.opened_at) + QUIET + Duration::from_micros(1);
            escalations.chain(Some(end).filter(|_| all_see && !incident.is_of_blindness())).min()
        };
        let dues = self.live.iter().filter_map(|(id, live)| Some((due(live)?, id)));
        dues.min().map(|(due, id)| (due, id.clone()))
    }

    /// Silence counts as the end only while every source sees (invariant 2).
    fn is_quiet(&self, id: &IncidentId, now: Timestamp) -> bool {
        let Some(Live { incident, .. }) = self.live.get(id) else { return false };
        let newest = incident.last_post_at.max(incident.opened_at).max(self.clock_set_at);
        !incident.is_of_blindness() && self.all_see() && now.since(newest) > QUIET
    }

    fn escalate(&mut self, id: &IncidentId, now: Timestamp, commit: &mut Commit) {
        let Some(Live { incident, .. }) = self.live.get_mut(id) else { return };
        if incident.state != IncidentState::Open || incident.muted.is_some() {
            return;
        }
        let Some((receivers, text)) = self.routes.escalate(incident, now) else { return };
        if !receivers.is_empty() {
            commit.timeline.push(entry(id, now, "escalated", SELF, text));
            send(incident, MessageKind::Escalated, receivers, &self.receivers, &self.routes, now, commit);
        }
        commit.record(incident.clone());
    }

    pub(super) fn command(
        &mut self,
        command: Command,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Result<Incident, Refused> {
        let Command { incident: id, by, action, reason } = command;
        if action == Action::Resolve {
            return self.resolve(&id, &by, reason, now, commit).ok_or(Refused::NoSuchIncident);
        }
        let Some(Live { incident, .. }) = self.live.get_mut(&id) else { return Err(Refused::NoSuchIncident) };
        match action {
            Action::Note(text) => commit.timeline.push(entry(&id, now, "note", &by, text)),
            Action::Acknowledge if incident.state == IncidentState::Open => {
                incident.state = IncidentState::Acknowledged;
                incident.acknowledged = Some(Signature { by: by.clone(), at: now });
                incident.escalations.iter_mut().for_each(|escalation| escalation.due = None);
                commit.timeline.push(entry(&id, now, "acknowledged", &by, reason));
                let knowing = incident.told.receivers.clone();
                send(incident, MessageKind::Acknowledged, knowing, &self.receivers, &self.routes, now, commit);
                commit.record(incident.clone());
            }
            Action::Acknowledge | Action::Resolve => {} // somebody was faster; nothing to add
        }
        Ok(incident.clone())
    }

    fn resolve(
        &mut self,
        id: &IncidentId,
        by: &str,
        why: String,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Option<Incident> {
        let Live { mut incident, .. } = self.live.remove(id)?;
        self.by_topic.remove(&incident.topic);
        incident.state = IncidentState::Resolved;
        incident.muted = None; // its history says by what, and when
        incident.resolved = Some(Signature { by: by.to_owned(), at: now });
        commit.timeline.push(entry(id, now, "resolved", by, why));
        let knowing = incident.told.receivers.clone();
        send(&mut incident, MessageKind::Resolved, knowing, &self.receivers, &self.routes, now, commit);
        commit.record(incident.clone());
        Some(incident)
    }

    /// A delivery will never arrive: another receiver learns of it, with the incident it
    /// was about. A failure to tell that is not told again, or two dead receivers would
    /// tell each other for ever; nor is one about an incident that is over.
    pub(super) fn undelivered(&mut self, undelivered: Undelivered, now: Timestamp, commit: &mut Commit) {
        let Undelivered { id, receiver, person, incident, error } = undelivered;
        let mut whom = Unreached { receiver, person, among_many: false };
        commit.told.push(id);
        commit.timeline.push(entry(&incident, now, "undelivered", &whom.to_string(), error.clone()));
        let Some(Live { incident: about, .. }) = self.live.get(&incident) else { return };
        if about.topic.as_str().starts_with(UNDELIVERED) {
            return;
        }
        whom.among_many = self.many_are_unreached(&whom, &incident);
        let notice = Notice {
            rule: "stormbell.undelivered",
            topic: whom.topic(&incident),
            severity: about.severity.max(Severity::High),
            title: format!("{whom} could not be told of “{}”", about.title),
            why: format!("{error}; {}", whom.what_to_do()),
            not_to: Some(whom),
        };
        self.raise_notice(notice, now, commit);
        if self.nobody_knows(&incident, now) {
            self.escalate(&incident, now, commit);
        }
    }

    /// Opens an incident about the daemon itself, unless one of that topic is open.
    pub(super) fn raise_notice(&mut self, notice: Notice, now: Timestamp, commit: &mut Commit) {
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
        self.tell_opened(&id, not_to.as_ref(), now, commit);
        if let Some(live) = self.live.get(&id) {
            commit.record(live.incident.clone());
        }
    }

    /// Ends the daemon's own incident of that topic.
    pub(super) fn end_notice(&mut self, topic: &str, now: Timestamp, commit: &mut Commit) {
        if let Some(id) = self.by_topic.get(topic).cloned() {
            self.resolve(&id, SELF, String::new(), now, commit);
        }
    }
}

impl Incident {
    /// Whether it is about the daemon itself.
    pub fn is_own(&self) -> bool {
        self.topic.as_str().starts_with(OWN)
    }

    /// Whether so many more people speak of it than when it was last told, that it is news.
    fn has_grown(&self) -> bool {
        self.authors >= self.told.authors.max(1) * GROWTH
    }

    /// Whether it is about a source that is not seen, or a disk that cannot be written: it lasts until that is over.
    fn is_of_blindness(&self) -> bool {
        self.topic.as_str().starts_with("stormbell.blind.") || self.topic.as_str() == STORAGE
    }
}

fn fell_quiet() -> String {
    format!("nothing new for {}", human(QUIET))
}

/// One message to each receiver that is still `configured`, with ids that a repetition of
/// this step gives again.
fn send(
    incident: &mut Incident,
    kind: MessageKind,
    mut receivers: BTreeSet<Addressee>,
    configured: &[ReceiverName],
    routes: &Routes,
    now: Timestamp,
    commit: &mut Commit,
) {
    receivers.retain(|addressee| configured.contains(&addressee.receiver) && routes.knows(addressee));
    incident.told.severity = incident.severity;
    incident.told.authors = incident.authors;
    incident.told.receivers.extend(receivers.iter().cloned());
    if receivers.is_empty() {
        return;
    }
    incident.revision += 1;
    let mut message = Message { kind, at: now, incident: incident.clone() };
    // Not to each of a hundred people the addresses of all.
    message.incident.told.receivers.clear();
    let about_receivers = incident.topic.as_str().starts_with(UNDELIVERED);
    // Of a person others can be told, also where there is one receiver.
    let nobody_instead = |to: &Addressee| about_receivers || configured.len() == 1 && to.recipient.is_none();
    commit.outbox.extend(receivers.into_iter().map(|addressee| Delivery {
        id: delivery_id(incident, &addressee),
        give_up: now + if nobody_instead(&addressee) { LAST_RESORT } else { GIVE_UP },
        receiver: addressee.receiver,
        recipient: addressee.recipient,
        message: message.clone(),
        due: now,
    }));
}

/// Whoever is told first of an incident that takes its routes now; and whoever its routes stand
/// at, for they may have been taken while somebody had it and nobody else was told.
fn first_told(
    incident: &mut Incident,
    routes: &Routes,
    configured: &[ReceiverName],
    now: Timestamp,
) -> BTreeSet<Addressee> {
    let mut receivers = take_routes(incident, routes, now);
    if incident.state == IncidentState::Open {
        receivers.extend(incident.escalations.iter().flat_map(|escalation| routes.addressees(escalation, now)));
    }
    let unknown = receivers.is_empty() && incident.told.receivers.is_empty();
    if unknown && incident.is_own() && incident.severity >= Severity::High {
        // Routes name the topics of rules; that the daemon is blind concerns everybody.
        return configured.iter().cloned().map(Addressee::from).collect();
    }
    receivers
}

/// Starts the routes that fit the incident and have not taken it yet; returns who is
/// told first.
fn take_routes(incident: &mut Incident, routes: &Routes, now: Timestamp) -> BTreeSet<Addressee> {
    let mut receivers = BTreeSet::new();
    for route in routes.taking(incident) {
        if incident.escalations.iter().any(|escalation| escalation.route == route) {
            continue;
        }
        let mut escalation = Escalation { route, step: 0, due: None };
        receivers.extend(routes.reach(&mut escalation, incident.severity, now));
        escalation.due = routes.due(&escalation, now).filter(|_| incident.state == IncidentState::Open);
        incident.escalations.push(escalation);
    }
    receivers
}

fn blank(id: IncidentId, topic: Topic, severity: Severity, title: String, why: String, now: Timestamp) -> Incident {
    Incident {
        id,
        topic,
        title,
        severity,
        state: IncidentState::Open,
        rules: BTreeSet::new(),
        opened_at: now,
        first_post_at: now,
        last_post_at: now,
        posts: 0,
        authors: 0,
        stories: 0,
        why,
        playbook: None,
        exercise: false,
        late: false,
        sample: Vec::new(),
        acknowledged: None,
        resolved: None,
        reopened: None,
        muted: None,
        revision: 0,
        told: Told { severity, authors: 0, receivers: BTreeSet::new() },
        escalations: Vec::new(),
    }
}

pub(super) fn entry(incident: &IncidentId, at: Timestamp, what: &'static str, by: &str, text: String) -> TimelineEntry {
    TimelineEntry { incident: incident.clone(), at, what, by: by.to_owned(), text }
}

fn incident_id(topic: &Topic, opened_by: &str, at: Timestamp) -> IncidentId {
    IncidentId::from(format!("inc-{}", typeable(&format!("{topic}\n{opened_by}\n{}", at.micros()))))
}

fn delivery_id(incident: &Incident, addressee: &Addressee) -> DeliveryId {
    let mut name = format!("{}\n{}\n{}", incident.id, incident.revision, addressee.receiver);
    if let Some(Recipient { person, address }) = &addressee.recipient {
        name = format!("{name}\n{person}\n{address}");
    }
    let digest = Sha256::digest(name);
    DeliveryId::from(format!("msg_{}", hex(&digest, 12)))
}
