//! Who is told what of an incident: that it began, that it grew.

use std::collections::BTreeSet;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{LATE, Live, News, SELF, UNDELIVERED, Weight, entry};
use crate::domain::addressee::{Addressee, Recipient};
use crate::domain::commit::Commit;
use crate::domain::engine::Engine;
use crate::domain::engine::muted::{Occasion, Standing};
use crate::domain::engine::off_times::Telling;
use crate::domain::engine::telling::{Unreached, in_words};
use crate::domain::id::{DeliveryId, IncidentId, ReceiverName, hex};
use crate::domain::incident::{Escalation, Incident, IncidentState, Severity};
use crate::domain::message::{Delivery, Message, MessageKind};
use crate::domain::route::Routes;
use crate::domain::time::Timestamp;

/// A delivery is tried for so long; then it is parked and another receiver is told.
const GIVE_UP: Duration = Duration::from_mins(10);
/// A delivery is tried for so long when nobody would be told instead.
const LAST_RESORT: Duration = Duration::from_hours(24);
/// People are told again when so many times more authors joined.
const GROWTH: u64 = 3;

impl Engine {
    /// Tells people what they need to know of incidents that changed.
    pub(in crate::domain::engine) fn tell_changes(&mut self, now: Timestamp, commit: &mut Commit) {
        for id in std::mem::take(&mut self.changed) {
            let Some(live) = self.live.get_mut(&id) else { continue };
            let Live { incident, .. } = live;
            let graver = incident.severity > incident.told.severity;
            // What is read up after an outage is told as a whole, see `tell_growth`.
            let grown = incident.has_grown() && now.since(incident.last_post_at) <= LATE;
            let news = std::mem::take(&mut live.news);
            match news {
                News::Opened | News::Reopened => self.tell_began(&id, news, None, now, commit),
                News::None | News::Joined(_) => {
                    if self.weigh(&id, Occasion::News, now, commit) != Standing::Told {
                    } else if graver || grown || news == News::Joined(Weight::Equal) {
                        self.tell_updated(&id, now, commit);
                    } else if news == News::Joined(Weight::Less) {
                        self.tell_newcomers(&id, now, commit);
                    }
                }
            }
            self.tell_kept_back(&id, Occasion::News, now, commit);
            self.unwritten.insert(id);
        }
    }

    /// Writes the incidents that posts changed, as they stand after the last of them.
    pub(in crate::domain::engine) fn record_changes(&mut self, commit: &mut Commit) {
        for id in std::mem::take(&mut self.unwritten) {
            // What ended meanwhile is written already.
            if let Some(live) = self.live.get(&id) {
                commit.record(live.incident.clone());
            }
        }
    }

    /// Tells that it began: to whom its routes say first, and if it began again, also to all who heard that it was over.
    pub(super) fn tell_began(
        &mut self,
        id: &IncidentId,
        news: News,
        not_to: Option<&Unreached>,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let others = not_to.map(|unreached| self.all_but(unreached));
        let Some(Live { incident, .. }) = self.live.get(id) else { return };
        let text = format!("{}: {}", incident.title, incident.why);
        let again = news == News::Reopened;
        if again {
            self.tell_failures_anew(id, now, commit);
        }
        commit.timeline.push(entry(id, now, if again { "reopened" } else { "opened" }, SELF, text));
        let line = commit.timeline.len().saturating_sub(1);
        let standing = self.weigh(id, Occasion::News, now, commit);
        let Some(Live { incident, .. }) = self.live.get_mut(id) else { return };
        if standing != Standing::Told {
            // Who heard that it was over hears of it again with the first step, should it still go on then.
            incident.told.receivers.clear();
            return;
        }
        let mut told = others.unwrap_or_else(|| {
            self.routes.keep_back(incident, Telling::News, now, commit);
            first_told(incident, &self.routes, &self.receivers, now)
        });
        let knowing = incident.told.receivers.iter().filter(|to| !self.routes.spares(incident, to, now));
        told.extend(knowing.cloned());
        if let Some(opened) = commit.timeline.get_mut(line) {
            let is_kept_back = told.is_empty() && incident.escalations.iter().any(|taken| taken.muted);
            let whom = if is_kept_back { "nobody for now".to_owned() } else { in_words(&told) };
            opened.text = format!("{}; telling {whom}", opened.text);
        }
        send(incident, MessageKind::Opened, told, &self.receivers, &self.routes, now, commit);
    }

    /// Tells everybody who knows of the incident, and those of whom its routes say so: a graver
    /// one may take new ones, and of a muted one nobody was told.
    pub(in crate::domain::engine) fn tell_updated(&mut self, id: &IncidentId, now: Timestamp, commit: &mut Commit) {
        let Some(Live { incident, .. }) = self.live.get_mut(id) else { return };
        let graver = incident.severity > incident.told.severity;
        let mut knowing = incident.told.receivers.clone();
        if graver && let Some(before) = incident.acknowledged.take() {
            // Whoever took charge of a rumour has not taken charge of a crisis yet.
            (incident.state, incident.reopened) = (IncidentState::Open, Some(now));
            self.routes.wait_anew(&mut incident.escalations, now);
            let text = format!("graver than when {} acknowledged it", before.by);
            commit.timeline.push(entry(id, now, "updated", SELF, text));
        }
        self.routes.keep_back(incident, Telling::News, now, commit);
        let mut fresh = first_told(incident, &self.routes, &self.receivers, now);
        fresh.extend(self.routes.take_up(incident, now, commit));
        fresh.retain(|receiver| !knowing.contains(receiver));
        knowing.retain(|to| !self.routes.spares(incident, to, now));
        let text = crate::domain::message::summary(incident);
        commit.timeline.push(entry(id, now, "updated", SELF, text));
        send(incident, MessageKind::Updated, knowing, &self.receivers, &self.routes, now, commit);
        send(incident, MessageKind::Opened, fresh, &self.receivers, &self.routes, now, commit);
    }

    /// Fits incidents to the routes there are now: a place among the old ones may stand for
    /// other people. Whoever is to be told first, and has not been told yet, is.
    pub(in crate::domain::engine) fn reroute(&mut self, now: Timestamp, commit: &mut Commit) {
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
            self.routes.keep_back(incident, Telling::Steps, now, commit);
            let mut fresh = take_routes(incident, &self.routes, now);
            if incident.escalations == before {
                continue;
            }
            fresh.retain(|receiver| !incident.told.receivers.contains(receiver));
            send(incident, MessageKind::Opened, fresh, &self.receivers, &self.routes, now, commit);
            commit.record(incident.clone());
        }
    }

    /// Growth that was read up after an outage is told once all of it is read, not step by step.
    pub(super) fn tell_growth(&mut self, id: &IncidentId, now: Timestamp, commit: &mut Commit) {
        let all_see = self.all_see();
        let Some(Live { incident, .. }) = self.live.get(id) else { return };
        if all_see && incident.muted.is_none() && incident.has_grown() {
            self.tell_updated(id, now, commit);
            if let Some(live) = self.live.get(id) {
                commit.record(live.incident.clone());
            }
        }
    }
}

impl Incident {
    /// Whether so many more people speak of it than when it was last told, or somebody whose word spreads, that it
    /// is news.
    fn has_grown(&self) -> bool {
        self.authors >= self.told.authors.max(1) * GROWTH || self.notable.len() > self.told.notable
    }
}

/// One message to each receiver that is still `configured`, with ids that a repetition of
/// this step gives again.
pub(in crate::domain::engine) fn send(
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
    incident.told.notable = incident.notable.len();
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
pub(super) fn first_told(
    incident: &mut Incident,
    routes: &Routes,
    configured: &[ReceiverName],
    now: Timestamp,
) -> BTreeSet<Addressee> {
    let mut receivers = take_routes(incident, routes, now);
    if incident.state == IncidentState::Open {
        let speaking = incident.escalations.iter().filter(|escalation| !escalation.muted);
        receivers.extend(speaking.flat_map(|escalation| routes.addressees(escalation, now)));
    }
    let spared = incident.escalations.iter().any(|escalation| escalation.muted);
    let unknown = receivers.is_empty() && incident.told.receivers.is_empty() && !spared;
    if unknown && incident.is_own() && incident.severity >= Severity::High {
        // Routes name the topics of rules; that the daemon is blind concerns everybody.
        return configured.iter().cloned().map(Addressee::from).collect();
    }
    receivers
}

/// Starts the routes that fit the incident and have not taken it yet; returns who is
/// told first.
pub(super) fn take_routes(incident: &mut Incident, routes: &Routes, now: Timestamp) -> BTreeSet<Addressee> {
    let mut receivers = BTreeSet::new();
    for route in routes.taking(incident) {
        if incident.escalations.iter().any(|escalation| escalation.route == route) {
            continue;
        }
        let mut escalation = Escalation { route, step: 0, due: None, muted: false };
        receivers.extend(routes.reach(&mut escalation, incident.severity, now));
        escalation.due = routes.due(&escalation, now).filter(|_| incident.state == IncidentState::Open);
        incident.escalations.push(escalation);
    }
    receivers
}

fn delivery_id(incident: &Incident, addressee: &Addressee) -> DeliveryId {
    let mut name = format!("{}\n{}\n{}", incident.id, incident.revision, addressee.receiver);
    if let Some(Recipient { person, address }) = &addressee.recipient {
        name = format!("{name}\n{person}\n{address}");
    }
    let digest = Sha256::digest(name);
    DeliveryId::from(format!("msg_{}", hex(&digest, 12)))
}
