//! From a batch of frames to sightings and alerts.

use std::sync::Arc;

use super::recent::key;
use super::{Batch, Engine, Item};
use crate::domain::commit::{Commit, Erasure};
use crate::domain::condition::{Condition, Count, Distinct, Fired, Seen};
use crate::domain::event::SourceEvent;
use crate::domain::id::{IncidentId, SourceName};
use crate::domain::incident::{Alert, Sighting};
use crate::domain::post::{Excerpt, Post};
use crate::domain::rule::{Rule, RuleIndex};
use crate::domain::time::{Timestamp, human};

impl Engine {
    pub(super) fn batch(&mut self, batch: Batch, now: Timestamp, commit: &mut Commit) {
        let current = Arc::ptr_eq(&batch.rules, &self.rules);
        for item in batch.items {
            self.item(&batch.source, item, current, now, commit);
        }
    }

    fn item(&mut self, source: &SourceName, item: Item, current: bool, now: Timestamp, commit: &mut Commit) {
        let Item { decoded, received_at, hits } = item;
        if let Ok(SourceEvent::Post(post)) = &decoded.event {
            self.event_clock = self.event_clock.max(post.event_time);
        }
        // A recording has no wall clock but its own time.
        let now = received_at.map_or(self.event_clock, |_| now);
        self.advance(now, commit);
        if let Some(cursor) = decoded.cursor {
            self.frame_seen(source, cursor, now, commit);
        }
        let progress = commit.progress.entry(source.clone()).or_default();
        progress.cursor = progress.cursor.max(decoded.cursor);
        let ledger = &mut progress.ledger;
        ledger.frames += 1;
        match decoded.event {
            Err(reason) => ledger.reject(reason),
            Ok(SourceEvent::Post(post)) => {
                if self.deleted.contains(key(&post.id)) {
                    ledger.other += 1;
                } else if self.seen.insert(key(&(&post.id, &post.version))) {
                    ledger.posts += 1;
                    let hits = if current { hits } else { self.rules.matches(&Excerpt::of(&post), &mut self.scratch) };
                    self.post(*post, &hits, now, commit);
                } else {
                    ledger.duplicates += 1;
                }
            }
            Ok(SourceEvent::PostDeleted { post, .. }) => {
                ledger.other += 1;
                self.deleted.insert(key(&post));
                if self.is_evidence(key(&post)) {
                    commit.erased.push(Erasure::Post(post));
                }
            }
            Ok(SourceEvent::AuthorDeleted { author, .. }) => {
                ledger.other += 1;
                if self.is_evidence(super::author_key(&author)) {
                    commit.erased.push(Erasure::Author(author));
                }
            }
            Ok(SourceEvent::Handle { author, handle }) => {
                ledger.other += 1;
                self.handles.insert(author, handle);
            }
            Ok(SourceEvent::Other) => ledger.other += 1,
        }
    }

    /// A new post, or a new version of one, with the rules that take it.
    fn post(&mut self, mut post: Post, hits: &[RuleIndex], now: Timestamp, commit: &mut Commit) {
        // What is kept of a post is what its author says now, matching or not.
        if hits.is_empty() && !self.is_evidence(key(&post.id)) {
            return;
        }
        if post.author.handle.is_none() {
            post.author.handle = self.handles.get(&post.author.id).map(ToOwned::to_owned);
        }
        self.evidence.insert(key(&post.id));
        self.evidence.insert(super::author_key(&post.author.id));
        let rules = Arc::clone(&self.rules);
        for rule in hits.iter().filter_map(|&hit| rules.get(hit)) {
            if self.sighted.insert(key(&(&rule.id, &post.id))) {
                self.sighting(rule, &post, now, commit);
            }
        }
        commit.posts.push(post);
        self.tell_changes(now, commit);
    }

    /// A rule takes a post for the first time.
    fn sighting(&mut self, rule: &Rule, post: &Post, now: Timestamp, commit: &mut Commit) {
        let seen = Seen { at: post.event_time, post: post.id.clone(), author: post.author.id.clone() };
        let fired = match &rule.condition {
            Condition::Match => Some(Fired { seen: vec![seen.clone()], authors: 1 }),
            Condition::Count(count) => self.windows.entry(rule.id.clone()).or_default().add(seen.clone(), count),
        };
        let sighting = |seen: &Seen, incident: Option<&IncidentId>| Sighting {
            rule: rule.id.clone(),
            post: seen.post.clone(),
            source: post.source.clone(),
            author: seen.author.clone(),
            at: seen.at,
            incident: incident.cloned(),
        };
        let Some(fired) = fired else {
            let incident = self.by_topic.get(&rule.topic).cloned();
            commit.sightings.push(sighting(&seen, incident.as_ref()));
            if let Some(live) = incident.and_then(|id| self.live.get_mut(&id)) {
                live.add(&seen);
            }
            return;
        };
        let why = why(rule, post, &fired);
        let (incident, new_incident) = self.open_or_join(rule, post, &fired, &why, now);
        commit.sightings.extend(fired.seen.iter().map(|seen| sighting(seen, Some(&incident))));
        commit.alerts.push(Alert {
            at: fired.seen.last().map_or(post.event_time, |newest| newest.at),
            rule: rule.id.clone(),
            severity: rule.severity,
            topic: rule.topic.clone(),
            condition: rule.condition.kind(),
            incident,
            new_incident,
            posts: fired.seen.len() as u64,
            authors: fired.authors,
            within: rule.condition.within(),
            post: Some(post.id.clone()),
            why,
        });
    }
}

/// The decision in a sentence: counts, the rule's words, the rule and its version. The
/// words are the rule author's, never the post's.
fn why(rule: &Rule, post: &Post, fired: &Fired) -> String {
    let verdict = rule.explain(post);
    let words: Vec<String> = verdict.query.terms().iter().take(6).map(|term| format!("“{term}”")).collect();
    let words = words.join(", ");
    let by = format!("rule {} {}", rule.id, rule.version);
    match &rule.condition {
        Condition::Match => format!("a post matched {words}; {by}"),
        Condition::Count(Count { at_least, distinct, within }) => {
            let (n, what) = match distinct {
                Distinct::Post => (fired.seen.len() as u64, "post"),
                Distinct::Author => (fired.authors, "author"),
            };
            let s = if n == 1 { "" } else { "s" };
            format!("{n} {what}{s} within {} (at least {at_least}), the newest matched {words}; {by}", human(*within))
        }
    }
}
