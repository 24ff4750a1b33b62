//! What time does to incidents: steps fall due, and what fell quiet ends.

use std::time::Duration;

use super::told::send;
use super::{Live, SELF, UNDELIVERED, entry};
use crate::domain::commit::Commit;
use crate::domain::engine::Engine;
use crate::domain::engine::muted::Occasion;
use crate::domain::engine::off_times::Telling;
use crate::domain::id::IncidentId;
use crate::domain::incident::{Incident, IncidentState};
use crate::domain::message::MessageKind;
use crate::domain::time::{Timestamp, human};

/// A present this much earlier than the last one means that somebody set the clock.
const CLOCK_SET_BACK: Duration = Duration::from_mins(2);

impl Engine {
    /// Ends incidents whose topic fell quiet, and goes on to the next steps of those
    /// that nobody took charge of. Looks once a second at most.
    pub(in crate::domain::engine) fn advance(&mut self, now: Timestamp, commit: &mut Commit) {
        // A batch may be stamped a little before the last tick; a clock that was set back is
        // not waited for.
        if now < self.advanced + Duration::from_secs(1) && self.advanced < now + CLOCK_SET_BACK {
            return;
        }
        self.advanced = now;
        self.watch_silence(now, commit);
        self.watch_held(now, commit);
        self.review(None, now, commit);
        self.ended.retain(|_, live| live.incident.may_begin_again(&self.routes.terms, now));
        let ids: Vec<IncidentId> = self.live.keys().cloned().collect();
        for id in ids {
            if self.is_quiet(&id, now) {
                self.end_quiet(&id, now, commit);
            } else {
                self.tell_growth(&id, now, commit);
                self.tell_kept_back(&id, Occasion::Time, now, commit);
                self.escalate(&id, now, commit);
            }
        }
    }

    /// The clock of a recording goes from post to post. Ends and escalations that were due in
    /// between are given their own time, as the ticks of a daemon would have.
    pub(in crate::domain::engine) fn catch_up(&mut self, now: Timestamp, commit: &mut Commit) {
        if now < self.advanced + Duration::from_secs(1) {
            return; // as `advance`
        }
        for (lasted, rule) in self.lasted(now) {
            self.catch_up_incidents(lasted.at, commit);
            self.raise_lasted(lasted, rule, lasted.at, commit);
        }
        self.catch_up_incidents(now, commit);
    }

    fn catch_up_incidents(&mut self, now: Timestamp, commit: &mut Commit) {
        while let Some((due, id)) = self.next_due().filter(|(due, _)| *due < now) {
            if self.is_quiet(&id, due) {
                self.end_quiet(&id, due, commit);
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
            let end = self.last_of(incident) + self.routes.terms.quiet_for(incident) + Duration::from_micros(1);
            escalations.chain(Some(end).filter(|_| all_see && !incident.is_of_blindness())).min()
        };
        let dues = self.live.iter().filter_map(|(id, live)| Some((due(live)?, id)));
        dues.min().map(|(due, id)| (due, id.clone()))
    }

    /// Silence counts as the end only while every source sees (invariant 2).
    fn is_quiet(&self, id: &IncidentId, now: Timestamp) -> bool {
        let Some(Live { incident, .. }) = self.live.get(id) else { return false };
        let newest = self.last_of(incident).max(self.clock_set_at);
        !incident.is_of_blindness() && self.all_see() && now.since(newest) > self.routes.terms.quiet_for(incident)
    }

    /// When it was last spoken of, or a rule of it ceases to count as firing.
    fn last_of(&self, incident: &Incident) -> Timestamp {
        incident.newest().max(self.fires_until(incident).unwrap_or_default())
    }

    fn end_quiet(&mut self, id: &IncidentId, now: Timestamp, commit: &mut Commit) {
        let Some(Live { incident, .. }) = self.live.get(id) else { return };
        let why = format!("nothing new for {}", human(self.routes.terms.quiet_for(incident)));
        self.resolve(id, SELF, why, now, commit);
    }

    pub(super) fn escalate(&mut self, id: &IncidentId, now: Timestamp, commit: &mut Commit) {
        let Some(Live { incident, .. }) = self.live.get_mut(id) else { return };
        let takes_no_route = incident.topic.as_str().starts_with(UNDELIVERED);
        if incident.state != IncidentState::Open || incident.muted.is_some() || takes_no_route {
            return;
        }
        if self.routes.keep_back(incident, Telling::Steps, now, commit) {
            commit.record(incident.clone());
        }
        let Some((receivers, text)) = self.routes.escalate(incident, now) else { return };
        if !receivers.is_empty() {
            commit.timeline.push(entry(id, now, "escalated", SELF, text));
            send(incident, MessageKind::Escalated, receivers, &self.receivers, &self.routes, now, commit);
        }
        commit.record(incident.clone());
    }
}

impl Incident {
    /// When it was last spoken of, or began.
    pub(in crate::domain::engine) fn newest(&self) -> Timestamp {
        self.last_post_at.max(self.opened_at).max(self.again.map_or(self.opened_at, |again| again.at))
    }
}
