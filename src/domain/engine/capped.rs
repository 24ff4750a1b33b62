//! Receivers that get so many messages in a while and no more.
//!
//! What comes beyond the cap is folded into one message to each who would have got it, at the end of the while: about the gravest of
//! those incidents, with the others in its reason. It is a message about a real incident, so that a service which
//! keeps alarms has one that ends; a notice of its own would stay open there.
//!
//! Never folded: what is critical; what ends an alarm in somebody's service; that an incident outgrew whoever had it, was handed
//! over, or that whoever has it calls for help; what Stormbell says of itself. Whatever is folded leaves a line in its incident's history. What is over before its digest is
//! told to nobody who has not heard of it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Engine;
use super::incidents::{Live, SELF, entry, send};
use super::off_times::Telling;
use super::telling::Unreached;
use crate::domain::addressee::Addressee;
use crate::domain::cap::{Held, Quota};
use crate::domain::commit::Commit;
use crate::domain::id::{IncidentId, ReceiverName};
use crate::domain::incident::{Incident, IncidentState, Severity};
use crate::domain::message::{Delivery, Message, MessageKind, counted};
use crate::domain::time::{Timestamp, human};

/// Incidents named in a digest besides the one it is about.
const NAMED: usize = 5;

/// What becomes of a message.
enum Fate {
    Goes,
    /// Into the digest.
    Waits,
    /// It is about the end of what nobody there has heard of.
    Moot,
}

impl Engine {
    /// Takes out of a commit what its receivers get in a digest instead, and adds the digests that are due.
    pub(super) fn cap(&mut self, now: Timestamp, commit: &mut Commit) {
        if self.routes.caps.is_empty() && self.quotas.is_empty() {
            return;
        }
        for delivery in std::mem::take(&mut commit.outbox) {
            let fate = self.fate(&delivery, commit);
            let Message { kind, at, incident } = &delivery.message;
            let text = match fate {
                Fate::Goes => {
                    commit.outbox.push(delivery);
                    continue;
                }
                Fate::Waits => format!("{} has enough; “{}” waits for the digest", delivery.addressee(), kind.as_str()),
                Fate::Moot => format!("{} is not told: it was over before the digest", delivery.addressee()),
            };
            commit.timeline.push(entry(&incident.id, *at, "held", SELF, text));
        }
        let receivers: Vec<ReceiverName> = self.quotas.keys().cloned().collect();
        for receiver in receivers {
            if self.receivers.contains(&receiver) {
                self.tell_digests(&receiver, now, commit);
            } else {
                self.tell_of_lost_digests(&receiver, now, commit);
            }
        }
    }

    fn fate(&mut self, delivery: &Delivery, commit: &mut Commit) -> Fate {
        let Some(&cap) = self.routes.caps.get(&delivery.receiver) else { return Fate::Goes };
        let (message, to) = (&delivery.message, delivery.addressee());
        let new = || Quota::new(delivery.receiver.clone(), message.at);
        let quota = self.quotas.entry(delivery.receiver.clone()).or_insert_with(new);
        let id = &message.incident.id;
        let fate = match message.kind {
            MessageKind::Acknowledged | MessageKind::Resolved => {
                let untold = quota.kept(&to, id).is_some_and(|held| held.untold);
                let is_over = message.kind == MessageKind::Resolved;
                if is_over {
                    quota.forget(&to, id); // the end says more than what waits
                }
                match (untold, is_over) {
                    (false, _) => Fate::Goes,
                    (true, false) => Fate::Waits, // the digest says who has it
                    (true, true) => Fate::Moot,
                }
            }
            _ if message.is_never_held() => {
                quota.sent = quota.sent.saturating_add(1);
                quota.forget(&to, id);
                Fate::Goes
            }
            _ if quota.has_room(cap, message.at) => {
                quota.sent += 1;
                Fate::Goes
            }
            kind => {
                quota.hold(to, id, kind == MessageKind::Opened);
                Fate::Waits
            }
        };
        commit.quotas.insert(delivery.receiver.clone(), quota.clone());
        fate
    }

    /// One message to each for whom something waits, once the while is over.
    fn tell_digests(&mut self, receiver: &ReceiverName, now: Timestamp, commit: &mut Commit) {
        let cap = self.routes.caps.get(receiver).copied();
        let Some(quota) = self.quotas.get_mut(receiver).filter(|quota| !quota.held.is_empty()) else { return };
        if cap.is_some_and(|cap| now.since(quota.began) < cap.within) {
            return;
        }
        let within = human(cap.map_or(now.since(quota.began), |cap| cap.within));
        let mut sent = 0;
        for (to, held) in quota.take(now) {
            let waiting = self.still_to_tell(&to, held, now, commit);
            sent += u32::from(self.tell_digest(to, &waiting, &within, now, commit));
        }
        if let Some(quota) = self.quotas.get_mut(receiver) {
            quota.sent = sent;
            commit.quotas.insert(receiver.clone(), quota.clone());
        }
    }

    /// The receiver was taken out of the configuration: others hear of what waited for it.
    fn tell_of_lost_digests(&mut self, receiver: &ReceiverName, now: Timestamp, commit: &mut Commit) {
        let Some(mut quota) = self.quotas.remove(receiver) else { return };
        for (to, held) in quota.take(now) {
            for id in held.into_iter().filter(|(_, held)| held.untold).map(|(id, _)| id) {
                let person = to.person().cloned();
                let whom = Unreached { receiver: receiver.clone(), person, among_many: false };
                let why = format!("{receiver} is no longer configured");
                commit.timeline.push(entry(&id, now, "undelivered", &whom.to_string(), why.clone()));
                self.tell_others(whom, &id, "could not be told of", &why, now, commit);
            }
        }
        commit.quotas.insert(receiver.clone(), quota);
    }

    /// What of it is worth telling now. Of what is muted people hear when it no longer is.
    fn still_to_tell(
        &mut self,
        to: &Addressee,
        mut held: BTreeMap<IncidentId, Held>,
        now: Timestamp,
        commit: &mut Commit,
    ) -> BTreeMap<IncidentId, Held> {
        held.retain(|id, _| {
            let Some(Live { incident, .. }) = self.live.get_mut(id) else { return false };
            if self.routes.spares(incident, to, now) {
                self.routes.keep_back(incident, Telling::News, now, commit);
                commit.record(incident.clone());
                return false;
            }
            incident.muted.is_none()
        });
        held
    }

    /// Tells somebody of the gravest of those incidents, with the others in its reason. Whether there was one.
    fn tell_digest(
        &mut self,
        to: Addressee,
        waiting: &BTreeMap<IncidentId, Held>,
        within: &str,
        now: Timestamp,
        commit: &mut Commit,
    ) -> bool {
        let rank = |(id, held): &(&IncidentId, &Held)| {
            let incident = self.live.get(*id).map(|live| &live.incident);
            let rank = incident.map(|incident| (incident.state == IncidentState::Open, incident.severity));
            Reverse((rank, held.messages))
        };
        let mut ranked: Vec<(&IncidentId, &Held)> = waiting.iter().collect();
        ranked.sort_by_key(rank);
        let Some(&(id, held)) = ranked.first() else { return false };
        let list = ranked.iter().map(|(id, held)| (self.live.get(*id).map(|live| &live.incident), held.messages));
        let why = list_of(list, within);
        for (id, _) in &ranked {
            commit.timeline.push(entry(id, now, "digest", SELF, format!("{to} is told of it in a digest")));
        }
        let Some(Live { incident, .. }) = self.live.get_mut(id) else { return false };
        let kind = if held.untold { MessageKind::Opened } else { MessageKind::Updated };
        let before = commit.outbox.len();
        send(incident, kind, [to.clone()].into(), &self.receivers, &self.routes, now, commit);
        if incident.state == IncidentState::Acknowledged && kind == MessageKind::Opened {
            // Where it rings until somebody has it, somebody has.
            send(incident, MessageKind::Acknowledged, [to].into(), &self.receivers, &self.routes, now, commit);
        }
        commit.record(incident.clone());
        let messages: u32 = waiting.values().map(|held| held.messages).sum();
        // None, if the receiver is not there any more.
        let Some(Delivery { message, .. }) = commit.outbox.get_mut(before) else { return false };
        if messages > 1 {
            let digest = counted(messages.into(), "message");
            message.incident.title = format!("{} (digest of {digest})", message.incident.title);
            message.incident.why = format!("{why}; {}", message.incident.why);
        }
        true
    }
}

/// `12 messages within 1 h: 5 about “Outage”, 7 about others; see stormbell incidents`.
fn list_of<'a>(incidents: impl Iterator<Item = (Option<&'a Incident>, u32)>, within: &str) -> String {
    let (mut parts, mut all, mut rest) = (Vec::new(), 0, 0);
    for (incident, messages) in incidents {
        all += messages;
        match incident.filter(|_| parts.len() < NAMED) {
            Some(incident) => parts.push(format!("{messages} about “{}” ({})", incident.title, incident.id)),
            None => rest += messages,
        }
    }
    if rest > 0 {
        parts.push(format!("{rest} about others"));
    }
    let all = counted(all.into(), "message");
    format!("{all} within {within}, more than the receiver takes: {}; see `stormbell incidents`", parts.join(", "))
}

impl Message {
    fn is_never_held(&self) -> bool {
        let outgrew = self.kind == MessageKind::Updated && self.reopens();
        // Somebody called for them by name, or for help: of that nobody reads in a digest.
        let is_called = self.kind == MessageKind::Escalated && self.incident.state == IncidentState::Acknowledged;
        self.incident.severity == Severity::Critical || self.incident.is_own() || outgrew || is_called
    }
}

impl Delivery {
    fn addressee(&self) -> Addressee {
        Addressee { receiver: self.receiver.clone(), recipient: self.recipient.clone() }
    }
}
