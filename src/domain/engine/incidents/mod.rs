//! Incidents: how they begin and grow, who is told, and how they end.
//!
//! One file for each of the four that change them: posts ([`begun`], and [`shared`] where they are of another topic's incident),
//! time ([`in_time`]), people ([`by_order`], [`handed`] where they need others, and [`merged`] where they make two one) and the daemon itself ([`by_daemon`]). What any of them has to say goes out through [`told`].

mod begun;
mod by_daemon;
mod by_order;
mod handed;
mod in_time;
mod merged;
mod shared;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) use by_daemon::Notice;
pub(super) use told::send;

use super::recent::Recent;
use super::storage::STORAGE;
use crate::domain::condition::Seen;
use crate::domain::id::{IncidentId, Topic, typeable};
use crate::domain::incident::{Incident, IncidentState, OWN, Severity, Signature, TimelineEntry, Told};
use crate::domain::key::Key;
use crate::domain::tally::Tally;
use crate::domain::terms::Terms;
use crate::domain::time::Timestamp;

/// News this much older than its telling is marked late.
const LATE: Duration = Duration::from_mins(5);
/// Topics of incidents about receivers that cannot be told. Nobody silences them.
pub(super) const UNDELIVERED: &str = "stormbell.undelivered.";
/// The name under which the daemon signs.
pub(super) const SELF: &str = "stormbell";

/// An incident, with what is needed to count on.
pub(super) struct Live {
    pub(super) incident: Incident,
    authors: Tally,
    stories: Tally,
    posts: Recent,
    news: News,
}

/// What people have not been told yet, beyond that it grew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum News {
    #[default]
    None,
    /// It began.
    Opened,
    /// It began again after its end.
    Reopened,
    /// It is about another topic as well: as grave as it is, or less.
    Joined(Weight),
}

/// How grave something is that joined an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// As grave as all of it.
    Equal,
    /// Less.
    Less,
}

impl Live {
    /// Of that many posts, the last ones, it knows that it counted them: a table of 2^13 is filled, and kept twice. A post
    /// that comes again after a flood of more, for another rule, counts as another one.
    const REMEMBERED: usize = 7000;

    pub(super) fn new(incident: Incident) -> Self {
        Self {
            incident,
            authors: Tally::default(),
            stories: Tally::default(),
            posts: Recent::new(Self::REMEMBERED),
            news: News::None,
        }
    }

    /// Whether people are told of it: they have been, or are in this step.
    pub(super) fn is_told_of(&self) -> bool {
        self.incident.muted.is_none() && (self.news != News::None || !self.incident.told.receivers.is_empty())
    }

    /// Counts a sighting that the incident's figures already hold.
    pub(super) fn remember(&mut self, seen: &Seen) {
        self.posts.insert(Key::of(&seen.post));
        self.authors.insert(Key::of(&seen.author));
        self.stories.insert(Key::of(&seen.story));
    }

    /// Whether that author spoke of it; false, too, where so many did that it does not know any more.
    pub(super) fn has_author(&self, author: Key) -> bool {
        self.authors.has(author)
    }

    /// Counts a sighting, each post once; false when nothing changed.
    pub(super) fn add(&mut self, seen: &Seen) -> bool {
        if !self.posts.insert(Key::of(&seen.post)) {
            return false;
        }
        self.authors.insert(Key::of(&seen.author));
        self.stories.insert(Key::of(&seen.story));
        let incident = &mut self.incident;
        if incident.posts == 0 {
            (incident.first_post_at, incident.last_post_at) = (seen.at, seen.at);
        }
        incident.posts += 1;
        incident.authors = self.authors.count().max(incident.authors);
        incident.stories = self.stories.count().max(incident.stories);
        incident.first_post_at = incident.first_post_at.min(seen.at);
        incident.last_post_at = incident.last_post_at.max(seen.at);
        if incident.sample.len() == 5 {
            incident.sample.remove(3); // the first three and the newest two
        }
        incident.sample.push(seen.post.clone());
        true
    }
}

impl Incident {
    /// Whether it is about the daemon itself.
    pub fn is_own(&self) -> bool {
        self.topic.as_str().starts_with(OWN)
    }

    /// Whether it ended, and what flares up now would have it begin again: nothing that the daemon says of itself,
    /// never an exercise, and nothing that goes on as another.
    pub(super) fn may_begin_again(&self, terms: &Terms, now: Timestamp) -> bool {
        let lately = |over: &Signature| now.since(over.at) <= terms.reopen_within;
        !terms.reopen_within.is_zero()
            && !self.is_own()
            && !self.exercise
            && self.merged_into.is_none()
            && self.resolved.as_ref().is_some_and(lately)
    }

    /// Whether it is about a source that is not seen, or a disk that cannot be written: it lasts until that is over.
    fn is_of_blindness(&self) -> bool {
        self.topic.as_str().starts_with("stormbell.blind.") || self.topic.as_str() == STORAGE
    }
}

fn blank(id: IncidentId, topic: Topic, severity: Severity, title: String, why: String, now: Timestamp) -> Incident {
    Incident {
        id,
        topic,
        also: BTreeMap::new(),
        title,
        severity,
        state: IncidentState::Open,
        rules: BTreeSet::new(),
        opened_at: now,
        first_post_at: now,
        last_post_at: now,
        posts: 0,
        authors: 0,
        stories: 0,
        why,
        playbook: None,
        exercise: false,
        late: false,
        sample: Vec::new(),
        acknowledged: None,
        resolved: None,
        merged: BTreeSet::new(),
        merged_into: None,
        reopened: None,
        again: None,
        notable: Vec::new(),
        anew: None,
        muted: None,
        revision: 0,
        told: Told { severity, authors: 0, notable: 0, receivers: BTreeSet::new() },
        escalations: Vec::new(),
    }
}

pub(super) fn entry(incident: &IncidentId, at: Timestamp, what: &'static str, by: &str, text: String) -> TimelineEntry {
    TimelineEntry { incident: incident.clone(), at, what, by: by.to_owned(), text }
}

fn incident_id(topic: &Topic, opened_by: &str, at: Timestamp) -> IncidentId {
    IncidentId::from(format!("inc-{}", typeable(&format!("{topic}\n{opened_by}\n{}", at.micros()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::story::Story;

    #[test]
    fn in_a_flood_a_post_of_two_rules_counts_once_and_memory_is_bounded() {
        let (now, title) = (Timestamp::from_seconds(0), String::new);
        let mut live = Live::new(blank("i".into(), "fire".into(), Severity::High, title(), title(), now));
        for number in 0..100_000_u64 {
            let (post, author) = (format!("p{number}").into(), format!("a{number}").into());
            let seen = Seen::new(now, post, author, Story::begun_by(&"p0".into()));
            assert_eq!([live.add(&seen), live.add(&seen)], [true, false]);
        }
        assert_eq!((live.incident.posts, live.incident.stories), (100_000, 1));
        assert!(live.posts.iter().count() <= 2 * Live::REMEMBERED);
    }
}
