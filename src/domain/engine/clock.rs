//! When the clock on the wall is set.
//!
//! Who waits for somebody's answer waits for so many minutes, whatever the clock says meanwhile: when it is set, all
//! deadlines are moved with it, and the outbox moves its own in the same commit. What is meant by the clock on the wall (hand-overs, quiet
//! hours, silences) stays where it is.
//!
//! Rejected: deadlines on a clock that nobody can set. They would mean nothing after a restart, and a
//! restart must not forget who is to be told next.

use super::Engine;
use super::incidents::Live;
use crate::domain::commit::Commit;
use crate::domain::time::{ClockSet, Timestamp};

impl Engine {
    /// Moves every deadline with the clock.
    pub(super) fn clock_set(&mut self, set: ClockSet, commit: &mut Commit) {
        for Live { incident, .. } in self.live.values_mut() {
            let waiting = incident.escalations.iter_mut().filter_map(|escalation| escalation.due.as_mut());
            let moved = waiting.map(|due| *due = set.moves(*due)).count();
            if moved > 0 {
                commit.record(incident.clone());
            }
        }
        for (receiver, quota) in &mut self.quotas {
            quota.began = set.moves(quota.began);
            commit.quotas.insert(receiver.clone(), quota.clone());
        }
        self.advanced = set.moves(self.advanced);
        self.clock_set_at = set.at;
        self.sources_clock_set(set);
        self.spikes.exposure.clock_set(set);
        commit.clock_set = Some(commit.clock_set.map_or(set, |before| before.and(set)));
    }

    /// After a restart: nobody waits longer than if they were told just now. The clock may have been set back while
    /// nothing ran.
    pub(super) fn bound_deadlines(&mut self, now: Timestamp, commit: &mut Commit) {
        for Live { incident, .. } in self.live.values_mut() {
            let mut moved = false;
            for escalation in &mut incident.escalations {
                let latest = self.routes.due(escalation, now);
                if escalation.due.is_some() && escalation.due > latest && latest.is_some() {
                    escalation.due = latest;
                    moved = true;
                }
            }
            if moved {
                commit.record(incident.clone());
            }
        }
    }
}
