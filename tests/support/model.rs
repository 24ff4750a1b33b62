//! A store that is a few maps: what the real one must amount to, and a past for the engine.

use std::collections::{BTreeMap, BTreeSet};

use stormbell::domain::cap::Quota;
use stormbell::domain::commit::{Carried, Commit, Erasure, OpenMinute, Restored, VolumeState};
use stormbell::domain::event::{Cursor, Ledger};
use stormbell::domain::id::{DeliveryId, IncidentId, PostId, ReceiverName, RuleId, SilenceId, SourceName};
use stormbell::domain::incident::{Alert, Gap, Incident, IncidentState, Sighting, TimelineEntry};
use stormbell::domain::message::{Delivery, MessageKind};
use stormbell::domain::silence::Silence;
use stormbell::domain::story::Telling;
use stormbell::domain::time::Timestamp;

/// Everything committed so far.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub posts: BTreeSet<PostId>,
    pub tellings: Vec<Telling>,
    pub carried: Vec<Carried>,
    pub sightings: Vec<Sighting>,
    pub alerts: Vec<Alert>,
    pub incidents: BTreeMap<IncidentId, Incident>,
    pub silences: BTreeMap<SilenceId, Silence>,
    pub timeline: Vec<TimelineEntry>,
    pub outbox: BTreeMap<DeliveryId, Delivery>,
    pub gaps: BTreeMap<(SourceName, Timestamp), Gap>,
    pub cursors: BTreeMap<SourceName, Cursor>,
    pub volumes: BTreeMap<RuleId, VolumeState>,
    pub quotas: BTreeMap<ReceiverName, Quota>,
    pub ledger: Ledger,
    pub erased: Vec<Erasure>,
}

impl Model {
    /// Writes a commit as its documentation says.
    pub fn apply(&mut self, commit: &Commit) {
        if let Some(set) = commit.clock_set {
            for delivery in self.outbox.values_mut().filter(|delivery| delivery.held_until().is_none()) {
                (delivery.due, delivery.give_up) = (set.moves(delivery.due), set.moves(delivery.give_up));
            }
        }
        self.posts.extend(commit.posts.iter().map(|post| post.id.clone()));
        self.carried.extend(commit.posts.iter().map(|post| Carried {
            post: post.id.clone(),
            url: post.url.clone(),
            copy_of: post.copy_of.clone(),
        }));
        for new in &commit.tellings {
            assert!(self.tellings.iter().all(|old| old.post != new.post), "{} told twice", new.post);
            self.tellings.push(new.clone());
        }
        for new in &commit.sightings {
            let counts = |one: &&Sighting| (&one.rule, Some(&one.seen.post)) == (&new.rule, new.copy_of.as_ref());
            let beside = self.sightings.iter().find(counts).and_then(|one| one.incident.clone());
            let new = Sighting { incident: new.incident.clone().or(beside), ..new.clone() };
            let copies = self.sightings.iter_mut().filter(|one| one.copy_of.as_ref() == Some(&new.seen.post));
            for copy in copies.filter(|copy| copy.rule == new.rule) {
                copy.incident = new.incident.clone().or(copy.incident.take());
            }
            match self.sightings.iter_mut().find(|old| (&old.rule, &old.seen.post) == (&new.rule, &new.seen.post)) {
                Some(old) => old.incident = new.incident.clone().or(old.incident.take()),
                None => self.sightings.push(new.clone()),
            }
        }
        for erasure in &commit.erased {
            let gone = self.tellings.iter_mut().filter(|telling| match erasure {
                Erasure::Post(post) => telling.post == *post,
                Erasure::Author(author) => telling.author == *author,
            });
            gone.for_each(|telling| telling.words = telling.words.take().map(|_| Box::default()));
        }
        self.erased.extend(commit.erased.iter().cloned());
        self.alerts.extend(commit.alerts.iter().cloned());
        self.incidents.extend(commit.incidents.iter().map(|incident| (incident.id.clone(), incident.clone())));
        self.silences.extend(commit.silences.iter().map(|silence| (silence.id.clone(), silence.clone())));
        self.timeline.extend(commit.timeline.iter().cloned());
        for delivery in &commit.outbox {
            self.outbox.entry(delivery.id.clone()).or_insert_with(|| delivery.clone());
        }
        for gap in &commit.gaps {
            self.gaps.insert((gap.source.clone(), gap.from), gap.clone());
        }
        self.volumes.extend(commit.volumes.clone());
        let minutes = commit.open_minutes.iter().map(OpenMinute::to_row);
        self.volumes.extend(minutes.map(|minute| (minute.rule.clone(), minute)));
        self.quotas.extend(commit.quotas.clone());
        for (source, progress) in &commit.progress {
            if let Some(cursor) = progress.cursor {
                let known = self.cursors.entry(source.clone()).or_insert(cursor);
                *known = cursor.max(*known);
            }
            self.ledger.add(&progress.ledger);
        }
    }

    /// What an engine that starts after a crash is given.
    pub fn restored(&self) -> Restored {
        Restored {
            cursors: self.cursors.clone(),
            bookmarks: BTreeMap::new(), // the engine never reads them
            open_gaps: self.gaps.values().filter(|gap| gap.to.is_none()).cloned().collect(),
            lost_gaps: self.gaps.values().filter(|gap| gap.to.is_some() && !gap.recovered).cloned().collect(),
            volumes: self.volumes.values().cloned().collect(),
            kept: Vec::new(), // all posts of the model have sightings
            tellings: self.tellings.clone(),
            sightings: self.sightings.clone(),
            carried: self.carried.clone(),
            incidents: self.incidents.values().filter(|i| i.state != IncidentState::Resolved).cloned().collect(),
            ended: self.ended(),
            quotas: self.quotas.values().cloned().collect(),
            silences: self.silences.values().cloned().collect(),
            undelivered: Vec::new(),
        }
    }

    fn ended(&self) -> Vec<Incident> {
        let mut ended: Vec<Incident> = self.incidents.values().filter(|one| one.resolved.is_some()).cloned().collect();
        ended.sort_by_key(|one| (one.resolved.as_ref().map(|over| over.at), one.id.clone()));
        ended
    }

    /// The alerts that matter to people: which rule fired at which post.
    pub fn fired(&self) -> Vec<(RuleId, Option<PostId>)> {
        self.alerts.iter().map(|alert| (alert.rule.clone(), alert.post.clone())).collect()
    }

    /// The words of an incident's history.
    pub fn history(&self, id: &IncidentId) -> Vec<&str> {
        self.timeline.iter().filter(|entry| entry.incident == *id).map(|entry| entry.what).collect()
    }

    /// Messages of a kind, as (receiver, incident).
    pub fn sent(&self, kind: MessageKind) -> Vec<(String, IncidentId)> {
        let of_kind = self.outbox.values().filter(|delivery| delivery.message.kind == kind);
        let mut sent: Vec<_> = of_kind.map(|d| (d.receiver.to_string(), d.message.incident.id.clone())).collect();
        sent.sort();
        sent
    }
}
