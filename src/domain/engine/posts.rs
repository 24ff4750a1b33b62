//! From a batch of frames to sightings and alerts.

use std::sync::Arc;

use super::batch::What;
use super::flow::Frame;
use super::{Batch, Engine, Items};
use crate::domain::commit::{Commit, Erasure, Progress};
use crate::domain::condition::{Condition, Count, Distinct, Fired, Seen};
use crate::domain::event::{Glimpse, Ledger, Passing, Rejected, SourceEvent};
use crate::domain::id::IncidentId;
use crate::domain::incident::{Alert, Sighting, Volume};
use crate::domain::key::{Key, PostKeys};
use crate::domain::message::counted;
use crate::domain::post::{Excerpt, Post};
use crate::domain::rule::{Rule, RuleIndex};
use crate::domain::story::Story;
use crate::domain::time::{Timestamp, human};

impl Engine {
    pub(super) fn batch(&mut self, batch: Batch, now: Timestamp, commit: &mut Commit) {
        let Batch { source, rules, items: Items { read, frames } } = batch;
        if read.is_empty() {
            return;
        }
        let current = Arc::ptr_eq(&rules, &self.rules);
        let mut progress = Progress::default();
        for (place, item) in read.into_iter().enumerate() {
            if let Some(time) = item.event_time() {
                self.event_clock = self.event_clock.max(time);
            }
            // A recording has no wall clock but its own time.
            let now = item.received_at.map_or(self.event_clock, |_| now);
            self.advance(now, commit);
            if let Some(cursor) = item.cursor {
                let (carries_post, live) = (item.event_time().is_some(), item.received_at.is_some());
                self.frame_seen(&source, Frame { cursor, carries_post, live }, now, commit);
            }
            self.spikes.begin(&self.rules, self.event_clock);
            self.quiets.begin(&self.rules, &self.spikes.scale, self.event_clock);
            progress.cursor = progress.cursor.max(item.cursor);
            progress.ledger.frames += 1;
            let (glimpse, whole, hits) = match item.what {
                What::Passed(Passing::Post(glimpse)) => (glimpse, None, Vec::new()),
                What::Passed(Passing::Other) => {
                    progress.ledger.other += 1;
                    continue;
                }
                What::Passed(Passing::Deleted(post)) if self.is_kept(post) => {
                    self.event(frames.event(place), commit, &mut progress.ledger);
                    continue;
                }
                What::Passed(Passing::Deleted(post)) => {
                    self.deleted.insert(post);
                    progress.ledger.other += 1;
                    continue;
                }
                What::Event(Ok(SourceEvent::Post(post)), hits) => (Glimpse::of(&post), Some(post), hits),
                What::Event(event, _) => {
                    self.event(event, commit, &mut progress.ledger);
                    continue;
                }
            };
            let matters = !current || !hits.is_empty() || self.is_kept(glimpse.keys.post);
            if !self.is_news(glimpse.keys, &mut progress.ledger) || !matters {
                continue;
            }
            match whole.map_or_else(|| post(frames.event(place)), Ok) {
                Ok(post) => {
                    let hits = if current { hits } else { self.matches(&post) };
                    self.post(*post, glimpse.keys.post, &hits, now, commit);
                }
                Err(reason) => progress.ledger.reject_post(reason),
            }
        }
        self.spikes.record(commit);
        self.quiets.record(commit);
        self.record_flow(&source, commit);
        let known = commit.progress.entry(source).or_default();
        known.cursor = known.cursor.max(progress.cursor);
        known.ledger.add(&progress.ledger);
    }

    /// Counts a post; false when it was seen before, or taken back before we saw it.
    fn is_news(&mut self, keys: PostKeys, ledger: &mut Ledger) -> bool {
        let taken_back = self.deleted.contains(keys.post);
        let news = !taken_back && self.seen.insert(keys.version);
        let count = match (taken_back, news) {
            (true, _) => &mut ledger.other,
            (_, true) => &mut ledger.posts,
            (_, false) => &mut ledger.duplicates,
        };
        *count += 1;
        news
    }

    /// What carries no post.
    fn event(&mut self, event: Result<SourceEvent, Rejected>, commit: &mut Commit, ledger: &mut Ledger) {
        let Ok(event) = event.map_err(|reason| ledger.reject(reason)) else { return };
        ledger.other += 1;
        match event {
            SourceEvent::PostDeleted { post, .. } => {
                let key = Key::of(&post);
                self.deleted.insert(key);
                if self.is_kept(key) {
                    self.stories.forget_post(&post);
                    commit.erased.push(Erasure::Post(post));
                }
            }
            SourceEvent::AuthorDeleted { author, .. } => {
                if self.may_have_text_of(Key::of(&author)) {
                    self.stories.forget_author(&author);
                    commit.erased.push(Erasure::Author(author));
                }
            }
            SourceEvent::Handle { author, handle } => self.handles.insert(author, handle),
            SourceEvent::Other | SourceEvent::Post(_) => {}
        }
    }

    /// The rules in force that take a post.
    fn matches(&mut self, post: &Post) -> Vec<RuleIndex> {
        self.rules.matches(&Excerpt::of(post), &mut self.scratch)
    }

    /// A new post, or a new version of one, with the rules that take it.
    fn post(&mut self, mut post: Post, key: Key, hits: &[RuleIndex], now: Timestamp, commit: &mut Commit) {
        // What is kept of a post is what its author says now, matching or not.
        if hits.is_empty() && !self.is_kept(key) {
            return;
        }
        if post.author.handle.is_none() {
            post.author.handle = self.handles.get(&post.author.id).map(ToOwned::to_owned);
        }
        if !hits.is_empty() {
            self.evidence.extend([key, Key::of(&post.author.id)]);
            self.sightings(&post, hits, now, commit);
        }
        commit.posts.push(post);
        self.tell_changes(now, commit);
    }

    /// Rules take a post, some of them perhaps not for the first time.
    fn sightings(&mut self, post: &Post, hits: &[RuleIndex], now: Timestamp, commit: &mut Commit) {
        let rules = Arc::clone(&self.rules);
        let (story, telling) = self.stories.tell(post);
        commit.tellings.extend(telling);
        for rule in hits.iter().filter_map(|&hit| rules.get(hit)) {
            if self.sighted.insert(Key::of(&(&rule.id, &post.id))) {
                self.sighting(rule, post, story, now, commit);
            }
        }
    }

    /// A rule takes a post for the first time.
    fn sighting(&mut self, rule: &Rule, post: &Post, story: Story, now: Timestamp, commit: &mut Commit) {
        let seen = Seen { at: post.event_time, post: post.id.clone(), author: post.author.id.clone(), story };
        let fired = match &rule.condition {
            Condition::Match => Some(Fired::by(vec![seen.clone()])),
            Condition::Count(count) => self.windows.entry(rule.id.clone()).or_default().add(seen.clone(), count),
            Condition::Quiet(_) => {
                self.heard(rule, post.event_time, now, commit);
                None
            }
            Condition::Spike(spike) => self.spikes.add(&self.rules, rule, spike, &seen),
        };
        let sighting = |seen: &Seen, incident: Option<&IncidentId>| Sighting {
            rule: rule.id.clone(),
            post: seen.post.clone(),
            source: post.source.clone(),
            author: seen.author.clone(),
            story: seen.story,
            at: seen.at,
            incident: incident.cloned(),
        };
        let Some(fired) = fired else {
            let incident = self.by_topic.get(&rule.topic).cloned();
            commit.sightings.push(sighting(&seen, incident.as_ref()));
            if let Some(id) = incident
                && self.live.get_mut(&id).is_some_and(|live| live.add(&seen))
            {
                self.changed.insert(id);
            }
            return;
        };
        let why = why(rule, post, &fired);
        let (incident, new_incident) = self.open_or_join(rule, post.id.as_str(), post.event_time, &fired, &why, now);
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
            within: rule.condition.within().or(fired.measured.as_ref().map(|measured| measured.within)),
            volume: fired.measured.as_ref().map(|measured| Volume {
                observed: measured.observed,
                expected: measured.expected,
                upper: measured.upper,
            }),
            post: Some(post.id.clone()),
            why,
        });
    }
}

/// The post that was seen in a frame.
fn post(event: Result<SourceEvent, Rejected>) -> Result<Box<Post>, Rejected> {
    match event? {
        SourceEvent::Post(post) => Ok(post),
        _ => Err(Rejected::Poison),
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
        // A quiet rule is never fired by a post.
        Condition::Match | Condition::Quiet(_) => format!("a post matched {words}; {by}"),
        Condition::Spike(_) => {
            let measured = fired.measured.as_ref().map_or("unusually many posts", |measured| &measured.words);
            format!("{measured}; the newest matched {words}; {by}")
        }
        Condition::Count(Count { at_least, distinct, within }) => {
            let posts = fired.seen.len() as u64;
            let (n, what) = match distinct {
                Distinct::Post => (posts, "post"),
                Distinct::Author => (fired.authors, "author"),
                Distinct::Story => (fired.stories, "story"),
            };
            let n = counted(n, what);
            let told = match distinct {
                Distinct::Story => format!(" by {}", counted(fired.authors, "author")),
                _ if fired.stories < posts => format!(", {} in all", counted(fired.stories, "story")),
                _ => String::new(),
            };
            format!("{n} within {} (at least {at_least}){told}, the newest matched {words}; {by}", human(*within))
        }
    }
}
