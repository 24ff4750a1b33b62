//! What people do who cannot go on alone: give an incident to somebody else, or have the next step of its routes told now.
//!
//! Both ring somebody, so both are refused where nobody would be: an incident whose owner has not heard of it is worse than
//! one that nobody has. An order that comes twice, because an answer was lost, rings once.

use std::collections::BTreeSet;

use super::by_order::because;
use super::told::send;
use super::{Live, entry};
use crate::domain::addressee::Addressee;
use crate::domain::commit::Commit;
use crate::domain::engine::telling::in_words;
use crate::domain::engine::{Engine, Refused};
use crate::domain::id::{IncidentId, PersonName};
use crate::domain::incident::{Escalation, Incident, IncidentState, Signature};
use crate::domain::message::MessageKind;
use crate::domain::time::Timestamp;

/// Who orders it, and why; that may be empty.
pub(super) struct Orderer<'a> {
    pub(super) by: &'a str,
    pub(super) reason: &'a str,
}

impl Engine {
    /// Gives an incident that somebody has to somebody else, who is told; so is everybody who knows of it.
    pub(super) fn hand_over(
        &mut self,
        id: &IncidentId,
        to: &PersonName,
        orderer: &Orderer<'_>,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Result<Incident, Refused> {
        let Some(Live { incident, .. }) = self.live.get_mut(id) else { return Err(Refused::NoSuchIncident) };
        let owner = incident.acknowledged.as_ref().filter(|_| incident.state == IncidentState::Acknowledged);
        match owner {
            None => return Err(Refused::NotTaken),
            Some(owner) if owner.by == to.as_str() => return Ok(incident.clone()),
            Some(_) => {}
        }
        let contacts = self.routes.contacts(to).into_iter().filter(|at| self.receivers.contains(&at.receiver));
        let contacts: BTreeSet<Addressee> = contacts.collect();
        if contacts.is_empty() {
            return Err(Refused::NotReached);
        }
        if contacts.iter().all(|at| self.routes.quiet_until(at, incident.severity, now).is_some()) {
            return Err(Refused::Asleep);
        }
        incident.acknowledged = Some(Signature { by: to.to_string(), at: now });
        let text = because(format!("to {to}"), orderer.reason);
        commit.timeline.push(entry(id, now, "handed_over", orderer.by, text));
        let others = incident.told.receivers.difference(&contacts).cloned().collect();
        send(incident, MessageKind::Escalated, contacts, &self.receivers, &self.routes, now, commit);
        send(incident, MessageKind::Acknowledged, others, &self.receivers, &self.routes, now, commit);
        commit.record(incident.clone());
        Ok(incident.clone())
    }

    /// Tells the next step of an incident's routes, or the last one again. Whoever has it keeps it. `told`: so many steps had been
    /// told when this was ordered; if it is more by now, that was done already.
    pub(super) fn escalate_now(
        &mut self,
        id: &IncidentId,
        told: Option<usize>,
        orderer: &Orderer<'_>,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Result<Incident, Refused> {
        let Some(Live { incident, .. }) = self.live.get_mut(id) else { return Err(Refused::NoSuchIncident) };
        if incident.muted.is_some() {
            return Err(Refused::Muted);
        }
        if told.is_some_and(|told| told < incident.steps_told()) {
            return Ok(incident.clone());
        }
        // At its mute times a route tells nobody, whoever asks.
        let speaks = |taken: &&mut Escalation| !taken.muted && self.routes.off(taken.route, now).is_none();
        incident.escalations.iter_mut().filter(speaks).for_each(|taken| taken.due = Some(now));
        let Some((receivers, _)) = self.routes.escalate(incident, now) else { return Err(Refused::NoStep) };
        if incident.state == IncidentState::Acknowledged {
            incident.escalations.iter_mut().for_each(|taken| taken.due = None);
        }
        let text = because(format!("telling {}", in_words(&receivers)), orderer.reason);
        commit.timeline.push(entry(id, now, "escalated", orderer.by, text));
        send(incident, MessageKind::Escalated, receivers, &self.receivers, &self.routes, now, commit);
        commit.record(incident.clone());
        Ok(incident.clone())
    }
}

impl Incident {
    /// How many steps of its routes were told: grows with every next one, and tells an order that comes twice.
    pub fn steps_told(&self) -> usize {
        self.escalations.iter().map(|taken| taken.step + 1).sum()
    }
}
