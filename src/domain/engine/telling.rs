//! Who is told when a step is due: names become addressees, quiet hours are kept.
//!
//! A step is settled at the moment it is told, once, and what was settled is on disk with the incident:
//! a hand-over a minute later changes the next step, not who hears of this one's end.
//!
//! What quiet hours keep from a person is not lost: the message lies in the outbox until they end, and the
//! incident's history says so. But nobody waits for the answer of somebody who was not asked: a step that
//! reaches nobody goes on to the next at once. Rejected: to leave such messages out (the morning would
//! not know of the night), and to have duty overrule a person's quiet (a route that must wake people is for
//! what is critical, which nothing holds back).
//!
//! The same holds when nobody who was told could be reached: the next step is told at once.

use std::collections::BTreeSet;
use std::fmt;

use super::Engine;
use super::incidents::{Live, UNDELIVERED};
use crate::domain::addressee::Addressee;
use crate::domain::commit::Commit;
use crate::domain::id::{IncidentId, PersonName, ReceiverName};
use crate::domain::incident::{Escalation, Incident, Severity, TimelineEntry};
use crate::domain::route::Routes;
use crate::domain::time::Timestamp;

/// Who could not be told.
pub(super) struct Unreached {
    pub(super) receiver: ReceiverName,
    /// The person there, if it was for one.
    pub(super) person: Option<PersonName>,
    /// Two others at the receiver could not be told of the same incident, and everybody has heard so.
    pub(super) among_many: bool,
}

impl Unreached {
    /// The topic of the incident about that.
    pub(super) fn topic(&self, incident: &IncidentId) -> String {
        match &self.person {
            Some(person) => format!("{UNDELIVERED}{incident}.{}.{person}", self.receiver),
            None => format!("{UNDELIVERED}{incident}.{}", self.receiver),
        }
    }

    pub(super) fn what_to_do(&self) -> String {
        match &self.person {
            Some(person) => format!("see to it that {person} knows, and mend the address or {}", self.receiver),
            None => format!("see to it that the people behind {0} know, and mend it", self.receiver),
        }
    }
}

/// As [`Addressee`] is shown.
impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.person {
            Some(person) => write!(f, "{person} ({})", self.receiver),
            None => self.receiver.fmt(f),
        }
    }
}

/// Who is told, as history has it: without addresses.
pub(super) fn in_words(addressees: &BTreeSet<Addressee>) -> String {
    let names: Vec<String> = addressees.iter().map(ToString::to_string).collect();
    if names.is_empty() { "nobody: no route names anybody".to_owned() } else { names.join(", ") }
}

impl Routes {
    /// Who is told at this point of the route. When that is nobody who may be told now, the steps
    /// that follow are told as well, up to the first that reaches somebody.
    pub(super) fn reach(&self, escalation: &mut Escalation, severity: Severity, now: Timestamp) -> BTreeSet<Addressee> {
        let waits = |addressee: &Addressee| self.quiet_until(addressee, severity, now).is_some();
        let mut reached = self.addressees(escalation, now);
        while reached.iter().all(waits) && self.has_next(escalation) && !self.next_is_last_resort(escalation) {
            self.go_on(escalation, now);
            reached.extend(self.addressees(escalation, now));
        }
        reached
    }

    /// Takes every route that is due to its next step; who is told, and how history has it. None
    /// when no route was due.
    pub(super) fn escalate(&self, incident: &mut Incident, now: Timestamp) -> Option<(BTreeSet<Addressee>, String)> {
        let mut due: Vec<&mut Escalation> =
            incident.escalations.iter_mut().filter(|escalation| escalation.due.is_some_and(|due| due <= now)).collect();
        if due.is_empty() {
            return None;
        }
        let mut reached = BTreeSet::new();
        let mut last_resort = false;
        for escalation in &mut due {
            self.go_on(escalation, now);
            reached.extend(self.reach(escalation, incident.severity, now));
            last_resort |= self.is_last_resort(escalation);
        }
        // Who sleeps and has a message waiting needs no second one each time the step repeats.
        let has_it = |addressee: &Addressee| incident.told.receivers.contains(addressee);
        reached.retain(|to| !has_it(to) || self.quiet_until(to, incident.severity, now).is_none());
        let whom = if last_resort { "everybody: the last resort".to_owned() } else { in_words(&reached) };
        let text = format!("nobody took charge; telling {whom}");
        Some((reached, text))
    }
}

impl Engine {
    /// Everybody who may learn that somebody could not be told: every other receiver; the one that
    /// failed, too, if it failed for one person only; and that person's other contacts.
    pub(super) fn all_but(&self, unreached: &Unreached) -> BTreeSet<Addressee> {
        let Unreached { receiver: failed, person, among_many } = unreached;
        let receivers = self.receivers.iter().filter(|_| !among_many);
        let receivers = receivers.filter(|receiver| person.is_some() || *receiver != failed);
        let contacts = person.iter().flat_map(|person| self.routes.contacts(person));
        let contacts = contacts.filter(|contact| contact.receiver != *failed);
        receivers.cloned().map(Addressee::from).chain(contacts).collect()
    }

    /// Whether two at a receiver could not be told of an incident before: then it is the receiver, and
    /// a storm of thirty notices would not say more.
    pub(super) fn many_are_unreached(&self, whom: &Unreached, incident: &IncidentId) -> bool {
        let those = format!("{UNDELIVERED}{incident}.{}.", whom.receiver);
        whom.person.is_some() && self.by_topic.keys().filter(|topic| topic.as_str().starts_with(&those)).count() >= 2
    }

    /// Whether of all who were told of an incident nobody could be reached. Its routes are then due, where
    /// there is a next step: there is no answer to wait for.
    pub(super) fn nobody_knows(&mut self, id: &IncidentId, now: Timestamp) -> bool {
        let Some(Live { incident, .. }) = self.live.get_mut(id) else { return false };
        let severity = incident.severity;
        // Who sleeps has not been asked yet.
        let is_unreached = |told: &Addressee| {
            let (receiver, person) = (told.receiver.clone(), told.person().cloned());
            let unreached = Unreached { receiver, person, among_many: false };
            self.by_topic.contains_key(unreached.topic(id).as_str())
                || self.routes.quiet_until(told, severity, now).is_some()
        };
        if !incident.told.receivers.iter().all(is_unreached) {
            return false;
        }
        let waiting = incident.escalations.iter_mut().filter(|escalation| escalation.due.is_some());
        let mut goes_on = false;
        for escalation in waiting.filter(|escalation| self.routes.has_next(escalation)) {
            escalation.due = Some(now);
            goes_on = true;
        }
        goes_on
    }

    /// Puts off what quiet hours keep from people, and says so in the incident's history.
    pub(super) fn hold_back(&self, commit: &mut Commit) {
        for delivery in &mut commit.outbox {
            let (incident, at) = (&delivery.message.incident, delivery.message.at);
            let Some(recipient) = &delivery.recipient else { continue };
            let to = Addressee { receiver: delivery.receiver.clone(), recipient: Some(recipient.clone()) };
            let Some(until) = self.routes.quiet_until(&to, incident.severity, at) else { continue };
            delivery.give_up = until + delivery.give_up.since(delivery.due);
            delivery.due = until;
            let text = format!("{to} wants quiet; “{}” waits until {until}", delivery.message.kind.as_str());
            let (incident, by) = (incident.id.clone(), recipient.person.to_string());
            commit.timeline.push(TimelineEntry { incident, at, what: "held", by, text });
        }
    }
}
