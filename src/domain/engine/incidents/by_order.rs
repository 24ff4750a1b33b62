//! What people do with incidents.

use super::told::send;
use super::{Live, entry};
use crate::domain::commit::Commit;
use crate::domain::engine::{Action, Command, Engine, Refused};
use crate::domain::id::IncidentId;
use crate::domain::incident::{Incident, IncidentState, Signature};
use crate::domain::message::MessageKind;
use crate::domain::time::Timestamp;

impl Engine {
    pub(in crate::domain::engine) fn command(
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

    pub(super) fn resolve(
        &mut self,
        id: &IncidentId,
        by: &str,
        why: String,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Option<Incident> {
        let mut live = self.live.remove(id)?;
        let incident = &mut live.incident;
        self.by_topic.remove(&incident.topic);
        incident.state = IncidentState::Resolved;
        incident.muted = None; // its history says by what, and when
        incident.resolved = Some(Signature { by: by.to_owned(), at: now });
        commit.timeline.push(entry(id, now, "resolved", by, why));
        let knowing = incident.told.receivers.clone();
        send(incident, MessageKind::Resolved, knowing, &self.receivers, &self.routes, now, commit);
        commit.record(incident.clone());
        let incident = incident.clone();
        if incident.may_begin_again(&self.routes.terms, now) {
            self.ended.insert(incident.topic.clone(), live);
        }
        Some(incident)
    }
}
