//! Two incidents that somebody knows to be one.
//!
//! One ends as part of the other, which goes on with all that both have: posts and people (who is in both counts once),
//! topics and what comes of them from now on, the routes where they stand, whoever was told. What was written before stays
//! where it is; the one that goes on names those that it holds, and a second reading after a crash finds their posts by
//! that.
//!
//! Merging changes who knows and who has it, never how many are rung for nothing. Whoever took charge of the graver part
//! has the whole. If nobody did, it waits to be taken; those who were rung for the part that ended are told of the one that goes
//! on instead, and if nobody answers their routes go on where they stood.

use std::collections::HashMap;

use super::by_order::because;
use super::handed::Orderer;
use super::told::{first_told, send};
use super::{Live, entry};
use crate::domain::addressee::Addressee;
use crate::domain::commit::Commit;
use crate::domain::engine::off_times::Telling;
use crate::domain::engine::{Engine, Refused};
use crate::domain::id::{IncidentId, RuleId};
use crate::domain::incident::{Also, Anew, Escalation, Incident, IncidentState, Severity, Signature};
use crate::domain::message::{MessageKind, counted};
use crate::domain::time::Timestamp;

impl Engine {
    /// Merges an incident into another, and answers with that one. Once more, and nothing changes.
    pub(super) fn merge(
        &mut self,
        id: &IncidentId,
        into: &IncidentId,
        orderer: &Orderer<'_>,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Result<Incident, Refused> {
        if id == into {
            return Err(Refused::Itself);
        }
        let Some(Live { incident: stays, .. }) = self.live.get(into) else { return Err(Refused::NoSuchIncident) };
        if stays.merged.contains(id) {
            return Ok(stays.clone());
        }
        let Some(Live { incident: goes, .. }) = self.live.get(id) else { return Err(Refused::NoSuchIncident) };
        if stays.is_own() || goes.is_own() {
            return Err(Refused::Own);
        }
        let title = stays.title.clone();
        let Some(mut goes) = self.live.remove(id) else { return Err(Refused::NoSuchIncident) };
        let told = goes.incident.told.receivers.clone();
        let before = goes.incident.clone();
        goes.incident.merged_into = Some(into.clone());
        let Orderer { by, reason } = orderer;
        self.end(&mut goes.incident, by, because(format!("merged into {into} “{title}”"), reason), now, commit);
        let Some(stays) = self.live.get_mut(into) else { return Err(Refused::NoSuchIncident) };
        let owner = taken_over(&stays.incident, &before);
        let text = format!("{id} “{}” with {}", before.title, counted(before.posts, "post"));
        commit.timeline.push(entry(into, now, "merged", by, because(text, reason)));
        stays.take_in(Live { incident: before, ..goes }, now);
        let united = stays.incident.clone();
        self.claim(&united);
        self.take_over(into, id, owner, now, commit);
        // As grown, or graver than before: those who know of it hear so.
        self.changed.insert(into.clone());
        self.tell_changes(now, commit);
        self.tell_instead(into, told, now, commit);
        self.live.get(into).map(|live| live.incident.clone()).ok_or(Refused::NoSuchIncident)
    }

    /// Whoever had the graver part has the whole.
    fn take_over(
        &mut self,
        into: &IncidentId,
        id: &IncidentId,
        owner: Option<Signature>,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let Some(Live { incident, .. }) = self.live.get_mut(into) else { return };
        let is_taken = owner.is_some() || incident.state == IncidentState::Acknowledged;
        for escalation in incident.escalations.iter_mut().filter(|escalation| !escalation.muted) {
            escalation.due = if is_taken { None } else { escalation.due.or_else(|| self.routes.due(escalation, now)) };
        }
        let Some(owner) = owner else { return };
        let text = format!("had {id}, which is part of this");
        commit.timeline.push(entry(into, now, "acknowledged", &owner.by, text));
        (incident.state, incident.acknowledged) = (IncidentState::Acknowledged, Some(owner));
        let knowing = incident.told.receivers.clone();
        send(incident, MessageKind::Acknowledged, knowing, &self.receivers, &self.routes, now, commit);
    }

    /// Those who were told of the part that ended know of the whole: by a message while nobody has it, for theirs
    /// is gone.
    fn tell_instead(
        &mut self,
        into: &IncidentId,
        told: impl IntoIterator<Item = Addressee>,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let Some(Live { incident, .. }) = self.live.get_mut(into) else { return };
        if incident.state == IncidentState::Open && incident.muted.is_none() {
            self.routes.keep_back(incident, Telling::News, now, commit);
            let mut fresh = first_told(incident, &self.routes, &self.receivers, now);
            fresh.extend(told);
            fresh.retain(|to| !incident.told.receivers.contains(to) && !self.routes.spares(incident, to, now));
            send(incident, MessageKind::Opened, fresh, &self.receivers, &self.routes, now, commit);
        } else {
            incident.told.receivers.extend(told);
        }
        commit.record(incident.clone());
    }

    /// What each merged incident goes on as, of those that are open or ended lately.
    pub(in crate::domain::engine) fn goes_on_as(&self) -> HashMap<IncidentId, IncidentId> {
        let known = self.live.values().chain(self.ended.values()).map(|live| &live.incident);
        known.flat_map(|one| one.merged.iter().map(|merged| (merged.clone(), one.id.clone()))).collect()
    }
}

impl Live {
    /// Counts what another counted.
    fn take_in(&mut self, other: Self, now: Timestamp) {
        let Self { incident: from, authors, stories, posts, .. } = other;
        // Counted before any is added: what is added may push out what both have.
        let shared = posts.iter().filter(|&post| self.posts.contains(post)).count() as u64;
        for post in posts.iter() {
            self.posts.insert(post);
        }
        self.authors.unite(&authors);
        self.stories.unite(&stories);
        let incident = &mut self.incident;
        // What is not known any more, after a restart, is in the figures.
        let posts = incident.posts + from.posts.saturating_sub(shared);
        incident.authors = self.authors.count().max(incident.authors).max(from.authors);
        incident.stories = self.stories.count().max(incident.stories).max(from.stories);
        incident.take_in(from, now);
        incident.posts = posts;
    }
}

impl Incident {
    /// All of another but its counts.
    fn take_in(&mut self, from: Self, now: Timestamp) {
        let is_own = |rule: &&RuleId| *from.topic_of(rule) == from.topic;
        let own =
            Also { severity: from.severity, rules: from.rules.iter().filter(is_own).cloned().collect(), whole: true };
        if from.severity > self.severity {
            // The gravest gives the headline and the playbook.
            self.severity = from.severity;
            (self.title, self.why, self.playbook) = (from.title, from.why, from.playbook);
            self.anew = Some(Anew { at: now, revision: self.revision });
        }
        if from.posts > 0 {
            let is_first = self.posts == 0 || from.first_post_at < self.first_post_at;
            let (first, last) = if is_first { (&from.sample, &self.sample) } else { (&self.sample, &from.sample) };
            let mut sample: Vec<_> = first.iter().take(3).cloned().collect();
            sample.extend(
                last.iter().rev().take(2).rev().filter(|post| !sample.contains(post)).cloned().collect::<Vec<_>>(),
            );
            self.sample = sample;
            if self.posts == 0 {
                (self.first_post_at, self.last_post_at) = (from.first_post_at, from.last_post_at);
            }
            self.first_post_at = self.first_post_at.min(from.first_post_at);
            self.last_post_at = self.last_post_at.max(from.last_post_at);
        }
        let new = from.notable.into_iter().filter(|one| self.notable.iter().all(|known| known.author != one.author));
        let new: Vec<_> = new.take(Self::NOTABLE.saturating_sub(self.notable.len())).collect();
        self.notable.extend(new);
        for (topic, also) in from.also.into_iter().chain([(from.topic, own)]).filter(|(topic, _)| *topic != self.topic)
        {
            let known = self.also.entry(topic).or_insert_with(|| also.clone());
            known.severity = known.severity.max(also.severity);
            known.rules.extend(also.rules);
            known.whole |= also.whole;
        }
        self.rules.extend(from.rules);
        let taken = |route: &Escalation, all: &[Escalation]| all.iter().any(|known| known.route == route.route);
        let new: Vec<_> = from.escalations.into_iter().filter(|route| !taken(route, &self.escalations)).collect();
        self.escalations.extend(new);
        self.merged.extend(from.merged.into_iter().chain([from.id]));
    }

    /// Who took charge of it, and of what severity.
    fn taken(&self) -> Option<(Severity, Signature)> {
        let is_taken = self.state == IncidentState::Acknowledged;
        // What nobody was told of because it is muted, nobody took charge of.
        self.acknowledged.clone().filter(|_| is_taken).map(|by| (self.told.severity.min(self.severity), by))
    }
}

/// Who has the whole because of the part that ends: whoever has that, if nobody has as grave a thing in the other, and there is
/// nothing graver in either.
fn taken_over(stays: &Incident, goes: &Incident) -> Option<Signature> {
    let (severity, by) = goes.taken()?;
    let is_gravest = severity >= stays.severity.max(goes.severity);
    Some(by).filter(|_| is_gravest && stays.taken().is_none_or(|(other, _)| other < severity))
}

#[cfg(test)]
mod tests {
    use super::super::blank;
    use super::*;
    use crate::domain::condition::Seen;
    use crate::domain::story::Story;

    #[test]
    fn what_both_have_counts_once_also_where_more_comes_than_is_remembered() {
        let now = Timestamp::from_seconds(0);
        let with = |posts: &mut dyn Iterator<Item = String>| {
            let mut live =
                Live::new(blank("i".into(), "fire".into(), Severity::High, String::new(), String::new(), now));
            for post in posts {
                live.add(&Seen::new(now, post.into(), "ann".into(), Story::begun_by(&"p".into())));
            }
            live
        };
        let mut live = with(&mut (0..10_000).map(|number| format!("p{number}")));
        let own = (0..7000).map(|number| format!("q{number}"));
        live.take_in(with(&mut own.chain((0..5000).map(|number| format!("p{number}")))), now);
        assert_eq!(live.incident.posts, 17_000);
    }
}
