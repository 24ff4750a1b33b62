//! Incidents that nobody is told of for now.
//!
//! A muted incident lives as any other: it is opened, counts, can be taken charge of, ends. Only
//! its messages are not sent, and its history says by which silence, with author and reason, or by which bigger
//! incident. What
//! ends a matter still goes to those who know of it: an alarm in somebody's service must not stay
//! open because it was silenced afterwards.
//!
//! When nothing mutes an incident any more, people are told once, of all that came meanwhile.
//! A matter that fell asleep in the meantime waits for its next post: nobody wants a page at
//! eight about what was over at three. Considered and rejected: to keep the muted messages and
//! send them later, which is a storm at the end of every silence.

use std::cmp::Reverse;
use std::time::Duration;

use super::Engine;
use super::incidents::{Live, SELF, UNDELIVERED, entry};
use crate::domain::commit::Commit;
use crate::domain::id::{IncidentId, SilenceId};
use crate::domain::incident::{Incident, IncidentState, Muted, Signature};
use crate::domain::inhibit::Inhibition;
use crate::domain::silence::{MOST, Order, Refused, Silence, SilenceState, muting};
use crate::domain::time::Timestamp;

/// An incident whose newest post is older is not going on.
const GOING_ON: Duration = Duration::from_mins(30);

/// Why an incident is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// It grew, or somebody ended a silence.
    News,
    /// Time passed.
    Time,
}

/// Whether people are told of an incident.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// They are.
    Told,
    /// They were not, and have been just now.
    CaughtUp,
    /// They are not.
    Muted,
}

impl Engine {
    /// Follows an order about silences; it is in force at once.
    pub(super) fn silence(&mut self, order: Order, now: Timestamp, commit: &mut Commit) -> Result<Silence, Refused> {
        self.silences.retain(|_, silence| silence.state(now) != SilenceState::Expired);
        let silence = match order {
            Order::Add(_) if self.silences.len() >= MOST => return Err(Refused::TooMany),
            Order::Add(draft) => {
                let silence = Silence::of(draft, now)?;
                self.silences.insert(silence.id.clone(), silence.clone());
                silence
            }
            Order::End { id, by } => {
                let mut silence = self.silences.remove(&id).ok_or(Refused::NoSuchSilence)?;
                silence.until = now;
                silence.ended = Some(Signature { by, at: now });
                silence
            }
        };
        commit.silences.push(silence.clone());
        self.review(silence.ended.as_ref().map(|_| &silence.id), now, commit);
        Ok(silence)
    }

    /// Mutes incidents that are silenced now, and lets those speak that are not any longer. Of what
    /// a silence muted that somebody `ended`, that person wants to hear now.
    pub(super) fn review(&mut self, ended: Option<&SilenceId>, now: Timestamp, commit: &mut Commit) {
        let may_mute =
            |live: &Live| self.routes.inhibitions.iter().any(|inhibition| inhibition.may_be_by(&live.incident));
        let nothing_mutes = self.silences.is_empty() && !self.live.values().any(may_mute);
        if nothing_mutes && self.live.values().all(|live| live.incident.muted.is_none()) {
            return;
        }
        let mut ids: Vec<IncidentId> = self.live.keys().cloned().collect();
        // The gravest first: whether they speak decides whether smaller ones may.
        ids.sort_by_key(|id| {
            self.live.get(id).map(|Live { incident, .. }| Reverse((incident.severity, Reverse(incident.opened_at))))
        });
        for id in ids {
            let muted = self.live.get(&id).and_then(|live| live.incident.muted.as_ref());
            let is_ended = ended.zip(muted).is_some_and(|(ended, muted)| muted.silences.contains(ended));
            let occasion = if is_ended { Occasion::News } else { Occasion::Time };
            self.weigh(&id, occasion, now, commit);
        }
        self.silences.retain(|_, silence| silence.state(now) != SilenceState::Expired);
    }

    /// Mutes an incident or lets it speak, as the silences and the bigger incidents of this moment ask, and leaves a line
    /// in its history either way.
    pub(super) fn weigh(
        &mut self,
        id: &IncidentId,
        occasion: Occasion,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Standing {
        let Some(Live { incident, .. }) = self.live.get(id) else { return Standing::Told };
        if incident.topic.as_str().starts_with(UNDELIVERED) {
            return Standing::Told; // whom it is to reach instead, what mutes it could not say
        }
        let active = self.silences.values().filter(|silence| silence.state(now) == SilenceState::Active);
        let silences: Vec<(SilenceId, String)> =
            muting(active, incident).into_iter().map(|silence| (silence.id.clone(), silence.line())).collect();
        let bigger = self.bigger(incident).map(|bigger| (bigger.id.clone(), bigger.title.clone()));
        if silences.is_empty() && bigger.is_none() {
            return self.unmute(id, occasion, now, commit);
        }
        let Some(Live { incident, .. }) = self.live.get_mut(id) else { return Standing::Told };
        let before = incident.muted.take();
        let known = |id: &SilenceId| before.as_ref().is_some_and(|muted| muted.silences.contains(id));
        for (_, line) in silences.iter().filter(|(silence, _)| !known(silence)) {
            commit.timeline.push(entry(id, now, "muted", SELF, format!("nobody is told: silence {line}")));
        }
        let known = before.as_ref().and_then(|muted| muted.incident.as_ref());
        if let Some((bigger, title)) = bigger.as_ref().filter(|(bigger, _)| known != Some(bigger)) {
            let text = format!("nobody is told while {bigger} is open, which is bigger: {title}");
            commit.timeline.push(entry(id, now, "muted", SELF, text));
        }
        let since = before.as_ref().map_or(now, |muted| muted.since);
        let silences = silences.into_iter().map(|(silence, _)| silence).collect();
        incident.muted = Some(Muted { since, silences, incident: bigger.map(|(bigger, _)| bigger) });
        if incident.muted != before {
            commit.record(incident.clone());
        }
        Standing::Muted
    }

    /// The bigger incident that mutes one, the biggest if several do.
    fn bigger(&self, small: &Incident) -> Option<&Incident> {
        let mut taking = self.routes.inhibitions.iter().filter(|inhibition| inhibition.takes(small)).peekable();
        taking.peek()?;
        let taking: Vec<&Inhibition> = taking.collect();
        let by = self.live.values().filter(|live| live.is_told_of()).map(|live| &live.incident);
        let by = by.filter(|big| taking.iter().any(|inhibition| inhibition.is_by(big, small)));
        by.max_by(|one, other| {
            (one.severity, other.opened_at, &other.id).cmp(&(other.severity, one.opened_at, &one.id))
        })
    }

    /// Nothing mutes the incident now: whoever has not heard of it while something did, hears.
    fn unmute(&mut self, id: &IncidentId, occasion: Occasion, now: Timestamp, commit: &mut Commit) -> Standing {
        let Some(Live { incident, .. }) = self.live.get_mut(id) else { return Standing::Told };
        let Some(muted) = &incident.muted else { return Standing::Told };
        if occasion == Occasion::Time && !incident.is_going_on(now) {
            return Standing::Muted;
        }
        let bigger = muted.incident.iter().map(IncidentId::as_str);
        let by: Vec<&str> = muted.silences.iter().map(SilenceId::as_str).chain(bigger).collect();
        let text = format!("no longer muted by {}", by.join(", "));
        commit.timeline.push(entry(id, now, "unmuted", SELF, text));
        incident.muted = None;
        let graver = incident.severity > incident.told.severity;
        if incident.state == IncidentState::Open || graver {
            self.routes.wait_anew(&mut incident.escalations, now);
            self.tell_updated(id, now, commit);
        }
        if let Some(live) = self.live.get(id) {
            commit.record(live.incident.clone());
        }
        Standing::CaughtUp
    }
}

impl Incident {
    /// Whether it is worth telling now. What the daemon has to say about itself lasts until it ends.
    pub(super) fn is_going_on(&self, now: Timestamp) -> bool {
        // One without posts is about a silence, which the next post ends.
        self.is_own() || self.posts == 0 || now.since(self.newest()) <= GOING_ON
    }
}
