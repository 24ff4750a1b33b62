//! From a condition that became true to its alert, in an incident.

use super::Engine;
use super::joins::Raised;
use crate::domain::commit::Commit;
use crate::domain::condition::by::By;
use crate::domain::condition::{Condition, Count, Distinct, Fired, Lasted};
use crate::domain::id::PostId;
use crate::domain::incident::{Alert, Sighting, Volume};
use crate::domain::message::counted;
use crate::domain::rule::Rule;
use crate::domain::time::{Timestamp, human};

/// Posts named that decided an alert.
const DECIDING: usize = 10;

/// What made a rule fire, and how that is told.
pub(super) struct Firing<'a> {
    /// What an incident is named by that this opens: a post's id, if a post did it.
    pub(super) opener: &'a str,
    /// Event time of that.
    pub(super) opened: Timestamp,
    /// Event time of the alert.
    pub(super) at: Timestamp,
    /// The rule's own post that made it fire.
    pub(super) post: Option<&'a PostId>,
    pub(super) fired: &'a Fired,
    /// The posts that made it fire; their rule and incident are filled in.
    pub(super) posts: Vec<Sighting>,
    pub(super) why: String,
}

/// Whether a post that made a rule fire is the rule's own.
#[derive(Clone, Copy)]
pub(super) enum Whose<'a> {
    /// The rule takes it, for these words, as [`Taken::words`] has them.
    ///
    /// [`Taken::words`]: crate::domain::rule::Taken::words
    Rules(&'a str),
    /// It is only counted, and kept nowhere.
    Others,
}

impl Engine {
    /// A rule's condition became true: an alert, in an incident, of which rules are told that join it.
    pub(super) fn raise(&mut self, rule: &Rule, firing: Firing<'_>, now: Timestamp, commit: &mut Commit) {
        let (incident, new_incident) = self.open_or_join(rule, &firing, now, commit);
        let Firing { at, post, fired, posts, why, .. } = firing;
        let of_rule = |sighting: &Sighting| Sighting {
            rule: rule.id.clone(),
            incident: Some(incident.clone()),
            ..sighting.clone()
        };
        commit.sightings.extend(posts.iter().map(of_rule));
        commit.alerts.push(Alert {
            at,
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
            figures: fired.finding.as_ref().map(|finding| finding.figures.clone()),
            post: post.cloned(),
            key: fired.key.as_ref().map(|key| key.text.clone()),
            decided_by: fired.seen.iter().take(DECIDING).map(|seen| seen.post.clone()).collect(),
            why,
        });
        self.join(&Raised { rule: &rule.id, at, post, posts }, now, commit);
    }
}

/// The decision in a sentence: counts, the rule's words, the rule and its version. The
/// words are the rule author's, never the post's, but for a key and a new term.
pub(super) fn why(rule: &Rule, whose: Whose<'_>, fired: &Fired) -> String {
    let by = format!("rule {} {}", rule.id, rule.version);
    let because = match whose {
        Whose::Rules(words) => format!("matched {words}; {by}"),
        Whose::Others => by,
    };
    match &rule.condition {
        // The others are never fired by a post.
        Condition::Match | Condition::Quiet(_) | Condition::Joined(_) => format!("a post {because}"),
        Condition::Spike(_) => {
            let measured = fired.measured.as_ref().map_or("unusually many posts", |measured| &measured.words);
            let on = on(rule, fired).map_or_else(String::new, |key| format!("on {key}: "));
            format!("{on}{measured}; the newest {because}")
        }
        Condition::Share(_) | Condition::NewTerm(_) => {
            let found = fired.finding.as_ref().map_or("something was found", |finding| &finding.words);
            match whose {
                Whose::Rules(_) => format!("{found}; the newest {because}"),
                Whose::Others => format!("{found}; {because}"),
            }
        }
        Condition::Count(count) => {
            let on = on(rule, fired).map_or_else(String::new, |key| format!(" on {key}"));
            format!("{}, the newest {because}", counting(count, fired, &on))
        }
    }
}

/// The decision in a sentence, of a condition that has held for as long as its rule asks.
pub(super) fn lasting(rule: &Rule, fired: &Fired, lasted: Lasted, blind: &[&str]) -> String {
    let (since, until) = (lasted.since.whole_second(), human(rule.hold.lasts));
    let what = match &rule.condition {
        Condition::Count(count) => counting(count, fired, ""),
        _ => fired.finding.as_ref().map_or_else(|| "it was so".to_owned(), |finding| finding.words.clone()),
    };
    let unseen = match (lasted.is_sure, blind) {
        (true, _) => String::new(),
        (false, []) => ", as far as was seen: part of that time was lost".to_owned(),
        (false, blind) => format!(", as far as was seen: nobody sees {}", blind.join(", ")),
    };
    format!("{what}; so without interruption for {until}, since {since}{unseen}; rule {} {}", rule.id, rule.version)
}

/// What was counted.
fn counting(count: &Count, fired: &Fired, on: &str) -> String {
    let Count { at_least, distinct, within } = count;
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
    format!("{n} within {}{on} (at least {at_least}){told}", human(*within))
}

/// The key that a rule fired on, as people read it: what strangers wrote stands between ‘ and ’.
fn on(rule: &Rule, fired: &Fired) -> Option<String> {
    let key = &fired.key.as_ref()?.shown;
    Some(match rule.by.as_ref()? {
        By::Author | By::Link | By::Tag => format!("‘{key}’"),
        By::Source | By::List(_) => format!("“{key}”"),
    })
}
