//! What people do with incidents.

use super::handed::Orderer;
use super::told::send;
use super::{Live, entry};
use crate::domain::addressee::Addressee;
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
        knows: Option<&Addressee>,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Result<Incident, Refused> {
        let Command { incident: id, by, action, reason } = command;
        let orderer = Orderer { by: &by, reason: &reason };
        match &action {
            Action::Resolve => return self.resolve(&id, &by, reason, now, commit).ok_or(Refused::NoSuchIncident),
            Action::Merge(into) => return self.merge(&id, into, &orderer, now, commit),
            Action::HandOver(to) => return self.hand_over(&id, to, &orderer, now, commit),
            Action::Escalate(told) => return self.escalate_now(&id, *told, &orderer, now, commit),
            _ => {}
        }
        let Some(Live { incident, .. }) = self.live.get_mut(&id) else { return Err(Refused::NoSuchIncident) };
        match action {
            Action::Note(text) => commit.timeline.push(entry(&id, now, "note", &by, text)),
            Action::AcknowledgeSeen(seen) if incident.anew.is_some_and(|anew| seen <= anew.revision) => {
                return Err(Refused::Outdated);
            }
            Action::AcknowledgeSeen(_) if incident.acknowledged.as_ref().is_some_and(|owner| owner.by != by) => {
                return Err(Refused::Taken);
            }
            Action::Acknowledge | Action::AcknowledgeSeen(_) if incident.state == IncidentState::Open => {
                incident.state = IncidentState::Acknowledged;
                incident.acknowledged = Some(Signature { by: by.clone(), at: now });
                incident.escalations.iter_mut().for_each(|escalation| escalation.due = None);
                commit.timeline.push(entry(&id, now, "acknowledged", &by, reason));
                let others = incident.told.receivers.iter().filter(|told| Some(*told) != knows);
                let others = others.cloned().collect();
                send(incident, MessageKind::Acknowledged, others, &self.receivers, &self.routes, now, commit);
                commit.record(incident.clone());
            }
            // Somebody was faster, or it is done above; nothing to add.
            _ => {}
        }
        Ok(incident.clone())
    }

    /// What a person did at a receiver. That somebody has it, the others are told; that it is over, the receiver, too:
    /// there it changes nothing, unless news of the incident is still on its way there, which would begin it anew.
    ///
    /// Of before the incident became graver, or began again, it is outdated: a late repetition must not take it from
    /// those who are rung for what it is now. That it names this incident at all shows that it was not before it began, whatever the clock
    /// there says.
    pub(in crate::domain::engine) fn answered(
        &mut self,
        command: Command,
        knows: Option<&Addressee>,
        at: Timestamp,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Result<Incident, Refused> {
        let live = self.live.get(&command.incident).map(|live| &live.incident);
        let began_anew = |incident: &Incident| incident.reopened.max(incident.anew.map(|anew| anew.at));
        match live.filter(|incident| began_anew(incident).is_some_and(|began| at <= began)) {
            Some(outdated) => Ok(outdated.clone()),
            None => self.command(command, knows, now, commit),
        }
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
        self.end(&mut live.incident, by, why, now, commit);
        let incident = live.incident.clone();
        self.keep_ended(live, now);
        Some(incident)
    }

    /// It is over, or goes on as another: those who know of it hear so.
    pub(super) fn end(&mut self, incident: &mut Incident, by: &str, why: String, now: Timestamp, commit: &mut Commit) {
        for topic in incident.whole_topics() {
            self.by_topic.remove(topic);
        }
        self.joined.retain(|_, ids| {
            ids.remove(&incident.id);
            !ids.is_empty()
        });
        incident.state = IncidentState::Resolved;
        incident.muted = None; // its history says by what, and when
        incident.resolved = Some(Signature { by: by.to_owned(), at: now });
        commit.timeline.push(entry(&incident.id, now, "resolved", by, why));
        let knowing = incident.told.receivers.clone();
        send(incident, MessageKind::Resolved, knowing, &self.receivers, &self.routes, now, commit);
        commit.record(incident.clone());
    }
}

/// What was done, and why, if that is said.
pub(super) fn because(text: String, reason: &str) -> String {
    if reason.is_empty() { text } else { format!("{text}: {reason}") }
}
