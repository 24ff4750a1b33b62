//! Routes that tell nobody at certain times.
//!
//! `mute_times` and `active_times` apply to all that a route takes, as those who know Alertmanager expect, also to what is critical:
//! whoever wants that told gives it a route of its own, and `check` says so. Such a route takes an incident as any other, or the
//! next route would wake whom this one spares; only its messages are not sent. What ends a matter still goes to
//! those who know of it.
//!
//! What was kept from its people is a mark on the incident, with a line in its history that names the time. When the time ends, they are
//! told once, from the first step on, if the matter goes on; if it fell asleep, with its next post: as when a silence
//! ends.

use std::collections::BTreeSet;

use super::Engine;
use super::incidents::{Live, SELF, entry, send};
use super::muted::Occasion;
use crate::domain::addressee::Addressee;
use crate::domain::commit::Commit;
use crate::domain::id::IncidentId;
use crate::domain::incident::{Escalation, Incident, IncidentState};
use crate::domain::message::MessageKind;
use crate::domain::route::Routes;
use crate::domain::time::Timestamp;

/// What is about to be told of an incident.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// Something for everybody who has it.
    News,
    /// Something for the next steps that are due.
    Steps,
}

impl Routes {
    /// Marks what is kept from the people of routes that tell nobody now. Whether anything was marked.
    pub(super) fn keep_back(
        &self,
        incident: &mut Incident,
        telling: Telling,
        now: Timestamp,
        commit: &mut Commit,
    ) -> bool {
        let before = commit.timeline.len();
        let mut kept = |escalation: &mut Escalation, off: &str| {
            (escalation.muted, escalation.due) = (true, None);
            let text = format!("route {} tells nobody: {off}", escalation.route + 1);
            commit.timeline.push(entry(&incident.id, now, "muted", SELF, text));
        };
        for escalation in incident.escalations.iter_mut().filter(|escalation| !escalation.muted) {
            let is_due = telling == Telling::News || escalation.due.is_some_and(|due| due <= now);
            if let Some(off) = self.off(escalation.route, now).filter(|_| is_due) {
                kept(escalation, &off);
            }
        }
        for route in self.taking(incident) {
            let is_taken = incident.escalations.iter().any(|taken| taken.route == route);
            if let Some(off) = self.off(route, now).filter(|_| !is_taken) {
                let mut escalation = Escalation { route, step: 0, due: None, muted: false };
                kept(&mut escalation, &off);
                incident.escalations.push(escalation);
            }
        }
        commit.timeline.len() > before
    }

    /// Whether an addressee is one of a route's people who has it from no other that tells people now.
    pub(super) fn spares(&self, incident: &Incident, to: &Addressee, now: Timestamp) -> bool {
        let mut naming = incident.escalations.iter().filter(|taken| self.names(taken.route, to)).peekable();
        naming.peek().is_some() && naming.all(|taken| self.off(taken.route, now).is_some())
    }

    /// Begins the routes anew that tell people again, of those from which something was kept; who is told.
    pub(super) fn take_up(&self, incident: &mut Incident, now: Timestamp, commit: &mut Commit) -> BTreeSet<Addressee> {
        let mut people = BTreeSet::new();
        for taken in &mut incident.escalations {
            if !taken.muted || self.off(taken.route, now).is_some() {
                continue;
            }
            (taken.muted, taken.step) = (false, 0);
            people.extend(self.reach(taken, incident.severity, now));
            taken.due = self.due(taken, now).filter(|_| incident.state == IncidentState::Open);
            let text = format!("route {} tells people again", taken.route + 1);
            commit.timeline.push(entry(&incident.id, now, "unmuted", SELF, text));
        }
        people
    }
}

impl Engine {
    /// Tells the people of routes whose time it is again what was kept from them, if it is worth telling now.
    pub(super) fn tell_kept_back(&mut self, id: &IncidentId, occasion: Occasion, now: Timestamp, commit: &mut Commit) {
        let Some(Live { incident, .. }) = self.live.get_mut(id) else { return };
        let waits = incident.muted.is_some() || occasion == Occasion::Time && !incident.is_going_on(now);
        let is_kept = |taken: &Escalation| taken.muted && self.routes.off(taken.route, now).is_none();
        if waits || !incident.escalations.iter().any(is_kept) {
            return;
        }
        let people = self.routes.take_up(incident, now, commit);
        let (knowing, fresh) = people.into_iter().partition(|one| incident.told.receivers.contains(one));
        send(incident, MessageKind::Updated, knowing, &self.receivers, &self.routes, now, commit);
        send(incident, MessageKind::Opened, fresh, &self.receivers, &self.routes, now, commit);
        commit.record(incident.clone());
    }
}
