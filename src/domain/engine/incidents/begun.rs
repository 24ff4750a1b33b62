//! An alert opens an incident, joins the one of its topic, or has the one begin again that ended lately.
//!
//! What flares up after its end is the same matter: the same people hear of it, with its history. It begins again as
//! grave as what flares up is, not as it once was: a rumour an hour after a crisis is a rumour. Who was told of the
//! crisis hears of it only if that is as grave.
//!
//! Only what came after its end has it begin again. A post from before it that is read late was nobody's reason to
//! believe that it was over, and begins an incident of its own, as it would have without the other.

use std::collections::BTreeSet;

use super::{LATE, Live, News, blank, incident_id};
use crate::domain::commit::Commit;
use crate::domain::engine::Engine;
use crate::domain::engine::alerts::Firing;
use crate::domain::engine::incidents::{SELF, entry};
use crate::domain::id::{IncidentId, Topic};
use crate::domain::incident::{Again, Also, Anew, Incident, IncidentState};
use crate::domain::key::Key;
use crate::domain::post::Author;
use crate::domain::rule::Rule;
use crate::domain::terms::Notable;
use crate::domain::time::Timestamp;

impl Engine {
    /// What ended lately may begin again after a restart, too.
    pub(in crate::domain::engine) fn restore_ended(&mut self, ended: Vec<Incident>, now: Timestamp) {
        for incident in ended {
            self.keep_ended(Live::new(incident), now);
        }
    }

    /// Remembers what ended, if it may begin again; of a topic the last one, by their names if they ended at once.
    pub(super) fn keep_ended(&mut self, live: Live, now: Timestamp) {
        if !live.incident.may_begin_again(&self.routes.terms, now) {
            return;
        }
        self.ended.insert(live.incident.id.clone(), live);
        let last: BTreeSet<IncidentId> = {
            let topics = self.ended.values().flat_map(|live| live.incident.whole_topics());
            topics.filter_map(|topic| self.ended_last(topic)).collect()
        };
        self.ended.retain(|id, _| last.contains(id));
    }

    /// The incident of a topic that ended last, of those that ended lately.
    fn ended_last(&self, topic: &Topic) -> Option<IncidentId> {
        let of_it = self.ended.values().map(|live| &live.incident).filter(|incident| incident.has(topic));
        of_it
            .max_by_key(|incident| (incident.resolved.as_ref().map(|over| over.at), &incident.id))
            .map(|one| one.id.clone())
    }

    /// An incident that is open, or ended lately.
    pub(in crate::domain::engine) fn known(&mut self, id: &IncidentId) -> Option<&mut Live> {
        self.live.get_mut(id).or_else(|| self.ended.get_mut(id))
    }

    /// What comes of an incident's topics from now on is its; of those that joined, what is about its posts.
    pub(in crate::domain::engine) fn claim(&mut self, incident: &Incident) {
        for topic in incident.whole_topics() {
            self.by_topic.insert(topic.clone(), incident.id.clone());
        }
        for (topic, _) in incident.also.iter().filter(|(_, also)| !also.whole) {
            self.joined.entry(topic.clone()).or_default().insert(incident.id.clone());
        }
    }

    /// The incident for an alert, and whether it is a new one. A rule is made to fire by
    /// the same only once: a post at its time, or a silence since then.
    pub(in crate::domain::engine) fn open_or_join(
        &mut self,
        rule: &Rule,
        firing: &Firing<'_>,
        now: Timestamp,
        commit: &mut Commit,
    ) -> (IncidentId, bool) {
        let known = self.by_topic.get(&rule.topic).cloned();
        let is_whole = known.is_some();
        let known = known.or_else(|| self.reopen(rule, firing, now));
        let known = known.or_else(|| self.of_another_topic(rule, firing, now, commit));
        let is_new = known.is_none();
        let id = known.unwrap_or_else(|| {
            // A rule takes a post once, so these two name one opening. The first post of
            // the window would not do: an earlier incident may have begun with it.
            let id = incident_id(&rule.topic, &format!("{}\n{}", rule.id, firing.opener), firing.opened);
            let (title, why) = (rule.title.clone(), firing.why.clone());
            let mut incident = blank(id.clone(), rule.topic.clone(), rule.severity, title, why, now);
            incident.playbook.clone_from(&rule.playbook);
            incident.late = firing.is_late(now);
            self.by_topic.insert(rule.topic.clone(), id.clone());
            self.live.insert(id.clone(), Live { news: News::Opened, ..Live::new(incident) });
            id
        });
        if let Some(live) = self.live.get_mut(&id) {
            for seen in &firing.fired.seen {
                live.add(seen);
            }
            live.hears_of(rule);
            let incident = &mut live.incident;
            if rule.severity > incident.severity {
                // The gravest rule gives the headline and the playbook.
                incident.headed_by(rule, &firing.why);
                incident.anew = Some(Anew { at: now, revision: incident.revision });
            }
            incident.takes_in(rule);
            if let Some(incident) = (!is_whole).then(|| incident.clone()) {
                self.claim(&incident);
            }
            self.changed.insert(id.clone());
        }
        (id, is_new)
    }

    /// The incident of that topic that ended lately, open again, if this is news since its end.
    fn reopen(&mut self, rule: &Rule, firing: &Firing<'_>, now: Timestamp) -> Option<IncidentId> {
        let id = self.ended_last(&rule.topic)?;
        let before = &self.ended.get(&id)?.incident;
        let ended = before.resolved.as_ref()?.at;
        // What came of its own topic meanwhile, of before its end, is another incident.
        if firing.at <= ended
            || now.since(ended) > self.routes.terms.reopen_within
            || self.by_topic.contains_key(&before.topic)
        {
            return None;
        }
        let Live { mut incident, authors, stories, posts, .. } = self.ended.remove(&id)?;
        incident.also.retain(|topic, also| !also.whole || !self.by_topic.contains_key(topic));
        incident.also.values_mut().for_each(|also| also.severity = also.severity.min(rule.severity));
        if rule.severity < incident.severity {
            incident.told.receivers.clear();
        }
        incident.headed_by(rule, &firing.why);
        // What was told before the end is no measure of how it grows from here.
        (incident.told.severity, incident.told.authors) = (rule.severity, incident.authors);
        incident.told.notable = incident.notable.len();
        incident.state = IncidentState::Open;
        incident.anew = Some(Anew { at: now, revision: incident.revision });
        (incident.acknowledged, incident.resolved) = (None, None);
        incident.again =
            Some(Again { at: now, times: incident.again.map_or(0, |again| again.times).saturating_add(1) });
        incident.late = firing.is_late(now);
        incident.escalations.clear();
        self.claim(&incident);
        self.live.insert(id.clone(), Live { incident, authors, stories, posts, news: News::Reopened });
        Some(id)
    }

    /// Somebody speaks of an incident; if their word spreads, people are told so, once of each.
    pub(in crate::domain::engine) fn notice(
        &mut self,
        id: &IncidentId,
        author: &Author,
        what: &str,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let Some(Live { incident, .. }) = self.live.get_mut(id) else { return };
        let author = Key::of(&author.id);
        let is_known = incident.notable.iter().any(|notable| notable.author == author);
        if is_known || incident.notable.len() >= Incident::NOTABLE {
            return;
        }
        incident.notable.push(Notable { author, what: what.to_owned() });
        commit.timeline.push(entry(id, now, "joined", SELF, Notable::speaks(what)));
        self.changed.insert(id.clone());
    }
}

impl Firing<'_> {
    /// By its newest post: that a count's window began long ago makes nothing late.
    fn is_late(&self, now: Timestamp) -> bool {
        self.fired.seen.last().is_some_and(|newest| now.since(newest.at) > LATE)
    }
}

impl Incident {
    fn has(&self, topic: &Topic) -> bool {
        self.whole_topics().any(|of_it| of_it == topic)
    }

    /// A rule's alert is its.
    fn takes_in(&mut self, rule: &Rule) {
        self.rules.insert(rule.id.clone());
        if rule.topic != self.topic {
            let new = || Also { severity: rule.severity, rules: BTreeSet::new(), whole: false };
            let also = self.also.entry(rule.topic.clone()).or_insert_with(new);
            also.severity = also.severity.max(rule.severity);
            also.rules.insert(rule.id.clone());
        }
    }

    fn headed_by(&mut self, rule: &Rule, why: &str) {
        self.severity = rule.severity;
        self.title.clone_from(&rule.title);
        why.clone_into(&mut self.why);
        self.playbook.clone_from(&rule.playbook);
    }
}
