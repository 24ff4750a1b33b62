//! From a batch of frames to sightings and alerts.

use std::borrow::Cow;
use std::sync::Arc;

use super::alerts::{Firing, Whose, why};
use super::batch::What;
use super::copies::counted_author;
use super::flow::Frame;
use super::spikes::LOOKED_AHEAD;
use super::{Batch, Engine, Items};
use crate::domain::commit::{Commit, Erasure, Progress};
use crate::domain::condition::{Condition, Fired, Seen, Window, terms};
use crate::domain::erasure::Account;
use crate::domain::event::{Cursor, Glimpse, Ledger, Passing, Rejected, SourceEvent};
use crate::domain::id::{AuthorId, IncidentId, PostId};
use crate::domain::incident::Sighting;
use crate::domain::key::{Key, PostKeys};
use crate::domain::post::{Excerpt, Post};
use crate::domain::rule::{Rule, RuleIndex, Taken};
use crate::domain::story::Story;
use crate::domain::time::Timestamp;

impl Engine {
    pub(super) fn batch(&mut self, batch: Batch, now: Timestamp, commit: &mut Commit) {
        let Batch { source, rules, items: Items { read, frames }, reach } = batch;
        if read.is_empty() && reach.is_empty() {
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
            if item.received_at.is_none() {
                self.catch_up(now, commit);
            }
            self.advance(now, commit);
            if let Some(cursor) = item.cursor {
                let (carries_post, live) = (item.event_time().is_some(), item.received_at.is_some());
                self.frame_seen(&source, Frame { cursor, carries_post, live }, now, commit);
            }
            self.begin_learning(self.event_clock);
            self.archived.begin(&self.rules, self.sample, self.event_clock);
            progress.cursor = progress.cursor.max(item.cursor);
            progress.ledger.frames += 1;
            let (glimpse, whole, taken) = match item.what {
                What::Passed(Passing::Post(glimpse)) => (glimpse, None, None),
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
                What::Event(Ok(SourceEvent::Post(post)), taken) => (Glimpse::of(&post), Some(post), taken),
                What::Event(event, _) => {
                    self.event(event, commit, &mut progress.ledger);
                    continue;
                }
            };
            let matters = !current || taken.is_some() || self.is_kept(glimpse.keys.post);
            if !self.is_news(glimpse.keys, &mut progress.ledger) || !matters {
                continue;
            }
            match whole.map_or_else(|| post(frames.event(place)), Ok) {
                Ok(post) => {
                    let taken = if current { taken } else { self.take(&post) };
                    self.post(*post, glimpse.keys.post, taken, now, commit);
                }
                Err(reason) => progress.ledger.reject_post(reason),
            }
        }
        if let Some(cursor) = reach.covered.map(Cursor::at) {
            self.frame_seen(&source, Frame { cursor, carries_post: false, live: true }, now, commit);
            progress.cursor = progress.cursor.max(Some(cursor));
        }
        self.keyed.record(commit);
        self.spikes.record(&self.rules, commit);
        self.shares.record(commit);
        self.vocabularies.record(commit);
        self.follows.record(commit);
        self.quiets.record(commit);
        self.holds.record(commit);
        self.joins.record(commit);
        self.archived.record(commit);
        self.record_flow(&source, commit);
        progress.bookmark = reach.bookmark;
        commit.progress.entry(source).or_default().add(progress);
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
                    self.forget_post(&post);
                    commit.erased.push(Erasure::Post(post));
                }
            }
            SourceEvent::AuthorDeleted { author, .. } => {
                if self.may_have_text_of(Key::of(&author)) {
                    self.forget_author(&author);
                    commit.erased.push(Erasure::Author(author));
                }
            }
            SourceEvent::Handle { author, handle } => self.handles.insert(author, handle.into_boxed_str()),
            SourceEvent::Other | SourceEvent::Post(_) => {}
        }
    }

    /// A person has something erased: memory forgets it as what its author took back, and what was said of the account.
    /// The store erases it itself, and says what it was.
    pub(super) fn erase(&mut self, what: &Erasure, account: Option<&Account>, commit: &mut Commit) {
        match what {
            Erasure::Post(post) => {
                self.deleted.insert(Key::of(post));
                self.forget_post(post);
            }
            Erasure::Author(author) => {
                self.forget_author(author);
                self.handles.forget(author);
            }
        }
        if let Some(account) = account {
            for live in self.live.values_mut().chain(self.ended.values_mut()) {
                account.leave(&mut live.incident);
            }
        }
        self.vocabularies.record(commit);
    }

    fn forget_post(&mut self, post: &PostId) {
        let key = Key::of(post);
        self.stories.forget_post(post);
        self.vocabularies.change(|vocabulary| vocabulary.erase(|post, _| post == key));
    }

    fn forget_author(&mut self, author: &AuthorId) {
        let key = Key::of(author);
        self.stories.forget_author(author);
        self.vocabularies.change(|vocabulary| vocabulary.erase(|_, author| author == key));
    }

    /// What a post is to the rules in force.
    fn take(&mut self, post: &Post) -> Option<Box<Taken>> {
        self.rules.take(&Excerpt::of(post), &mut self.scratch)
    }

    /// A new post, or a new version of one, with what it is to the rules.
    fn post(&mut self, mut post: Post, key: Key, taken: Option<Box<Taken>>, now: Timestamp, commit: &mut Commit) {
        let mut taken = taken.map_or_else(Taken::default, |taken| *taken);
        let wholes = self.rules.taken_and_counted(&taken.hits).1;
        let wholes = taken.hits.split_off(taken.hits.len() - wholes.len());
        if !wholes.is_empty() {
            self.counted(&post, &taken.hits, &wholes, now, commit);
        }
        // What is kept of a post is what its author says now, matching or not.
        if taken.hits.is_empty() && !self.is_kept(key) {
            return;
        }
        if post.author.handle.is_none() {
            post.author.handle = self.handles.get(&post.author.id).map(ToString::to_string);
        }
        if !taken.hits.is_empty() {
            self.evidence.insert(key);
            self.evidence.insert(Key::of(&post.author.id));
            self.sightings(&post, taken, now, commit);
        }
        commit.posts.push(post);
        self.tell_changes(now, commit);
    }

    /// Rules take a post, some of them perhaps not for the first time.
    fn sightings(&mut self, post: &Post, mut taken: Taken, now: Timestamp, commit: &mut Commit) {
        let rules = Arc::clone(&self.rules);
        let (story, telling) = self.stories.tell(post, std::mem::take(&mut taken.sketch));
        commit.tellings.extend(telling);
        let seen = seen(post, story);
        let halves = self.copies.halves(post, story, &self.stories);
        let notable = self.routes.terms.notable(&post.author);
        let of_lane = taken.hits.iter().filter_map(|&hit| rules.get(hit)).any(Rule::is_restricted);
        if of_lane {
            commit.restricted.insert(post.id.clone());
        }
        let mut news = taken.hits.clone();
        self.sighted.leave_new(seen.post_key, &mut news, |rule| rules.name(rule));
        if news.len() > 1 && !self.live.is_empty() {
            // Those of open incidents first: then what the others open is known to share the post.
            news.sort_by_key(|&hit| rules.get(hit).is_none_or(|rule| !self.by_topic.contains_key(&rule.topic)));
        }
        commit.sightings.reserve(news.len());
        for some in news.chunks(LOOKED_AHEAD) {
            self.spikes.look_ahead(&rules, some);
            for (hit, rule) in some.iter().filter_map(|&hit| Some((hit, rules.get(hit)?))) {
                match halves.iter().find(|half| self.sighted.took(Key::of(*half), rules.name(hit))) {
                    Some(half) => {
                        let copy_of = Some(half.clone());
                        commit.sightings.push(Sighting { copy_of, ..sighting(rule, post, &seen, None) });
                    }
                    None => self.sighting((hit, rule), post, taken.words(hit), &seen, now, commit),
                }
                // Who wrote what the lane took is told of in the lane alone.
                if let Some(what) = &notable
                    && (!of_lane || rule.is_restricted())
                    && let Some(id) = self.incident_of(rule, &seen)
                {
                    self.notice(&id, &post.author, what, now, commit);
                }
            }
        }
    }

    /// Rules that ask for a share count a post that they do not take. It is nobody's evidence.
    fn counted(&mut self, post: &Post, hits: &[RuleIndex], wholes: &[RuleIndex], now: Timestamp, commit: &mut Commit) {
        let rules = Arc::clone(&self.rules);
        let counting = wholes.iter().filter_map(|&whole| rules.counting(whole));
        let seen = seen(post, Story::begun_by(&post.id));
        let others = counting.filter(|rule| !hits.contains(rule));
        for (index, rule) in others.filter_map(|index| Some((index, rules.get(index)?))) {
            let Condition::Share(share) = &rule.condition else { continue };
            if let Some(fired) = self.share((index, rule), share, (&seen, false), &post.source) {
                self.alert(rule, post, Whose::Others, &fired, now, commit);
                self.tell_changes(now, commit);
            }
        }
    }

    /// A rule takes a post for the first time, for these words if they are known already.
    fn sighting(
        &mut self,
        (index, rule): (RuleIndex, &Rule),
        post: &Post,
        words: Option<&str>,
        seen: &Seen,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let fired = self.count((index, rule), post, seen, now, commit);
        if fired.is_empty() {
            let incident = self.incident_of(rule, seen);
            commit.sightings.push(sighting(rule, post, seen, incident.as_ref()));
            if let Some(id) = incident
                && self.live.get_mut(&id).is_some_and(|live| live.add(seen))
            {
                self.changed.insert(id);
            }
            return;
        }
        let words = words.map_or_else(|| rule.words_in(post).into(), Cow::Borrowed);
        for fired in fired {
            self.alert(rule, post, Whose::Rules(&words), &fired, now, commit);
        }
    }

    /// Counts a post for a rule; says what fires because of it: of a rule that counts by key
    /// several may.
    fn count(
        &mut self,
        (index, rule): (RuleIndex, &Rule),
        post: &Post,
        seen: &Seen,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Vec<Fired> {
        let keys = rule.by.as_ref().map(|by| by.keys(post));
        let fired = match (&rule.condition, keys) {
            (Condition::Match, _) => Some(Fired::by(vec![seen.clone()])),
            (Condition::Count(count), Some(keys)) => return self.keyed.add(rule, count, keys, seen),
            (Condition::Count(count), None) if rule.hold.is_asked() => {
                self.count_held((index, rule), count, (seen, &post.source), commit)
            }
            (Condition::Count(count), None) => {
                let window = self.windows.get_or_insert_with(index, Window::default);
                window.and_then(|window| {
                    let fired = window.add(seen.clone(), count);
                    commit.crowded_out(&rule.id, window.take_crowded_out());
                    fired
                })
            }
            (Condition::Quiet(_), _) => {
                self.heard(rule, post.event_time, now, commit);
                None
            }
            (Condition::Share(share), _) => self.share((index, rule), share, (seen, true), &post.source),
            (Condition::NewTerm(new_term), _) => {
                let found = terms(post, rule.query.text_only);
                self.vocabularies.of(rule, seen.at).add(seen, &found, &rule.own_words, new_term)
            }
            (Condition::Spike(spike), Some(keys)) => {
                return self.follows.add(&self.rules, rule, spike, keys, seen, &self.spikes.exposure);
            }
            (Condition::Spike(spike), None) => self.spikes.add(&self.rules, (index, rule), spike, seen),
            (Condition::Joined(_), _) => None, // takes no posts
        };
        fired.into_iter().collect()
    }

    /// A post made a rule fire.
    fn alert(
        &mut self,
        rule: &Rule,
        post: &Post,
        whose: Whose<'_>,
        fired: &Fired,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let newest = fired.seen.last();
        let firing = Firing {
            opener: post.id.as_str(),
            opened: post.event_time,
            at: fired.at.or(newest.map(|newest| newest.at)).unwrap_or(post.event_time),
            post: match whose {
                Whose::Rules(_) => Some(&post.id),
                Whose::Others => newest.map(|newest| &newest.post),
            },
            fired,
            posts: fired.seen.iter().map(|seen| sighting(rule, post, seen, None)).collect(),
            why: why(rule, whose, fired),
        };
        self.raise(rule, firing, now, commit);
    }
}

fn seen(post: &Post, story: Story) -> Seen {
    Seen::new(post.event_time, post.id.clone(), counted_author(post).clone(), story)
}

fn sighting(rule: &Rule, post: &Post, seen: &Seen, incident: Option<&IncidentId>) -> Sighting {
    Sighting {
        rule: rule.id.clone(),
        seen: seen.clone(),
        source: post.source.clone(),
        incident: incident.cloned(),
        copy_of: None,
    }
}

/// The post that was seen in a frame.
fn post(event: Result<SourceEvent, Rejected>) -> Result<Box<Post>, Rejected> {
    match event? {
        SourceEvent::Post(post) => Ok(post),
        _ => Err(Rejected::Poison),
    }
}
