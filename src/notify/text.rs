//! What is said about an incident, in parts and in no receiver's form yet.
//!
//! Everybody is told the same: marks and title, how many, who has it, why, where to read
//! on. A receiver arranges these parts, escapes them for its own markup, and has [`Parts::fitted`]
//! leave out what matters least until its limit holds. The alternative, one text cut at
//! the limit, cuts the link off first.
//!
//! Most receivers are somebody else's machine. What they get is thin: of what strangers wrote
//! nothing, not even the term or link that an alert was counted by. Posts go only to a
//! receiver whose configuration says `cleared = true`, and without what [`redacted`] finds; nor does it stand on
//! screens that passers-by see. The console shows all.

use std::borrow::Cow;

use super::untrusted::{clean, clip, shown, without_terms};
use crate::domain::id::{RuleId, Topic};
use crate::domain::incident::{IncidentState, Severity};
use crate::domain::message::{Leased, Message, MessageKind};
use crate::domain::post::Post;
use crate::domain::redact::redacted;
use crate::wire::link::Console;

/// Characters of each part; what is longer is no message but an attack or a mistake.
pub(super) const MAX_TITLE: usize = 200;
pub(super) const MAX_FACT: usize = 600;
const MAX_LINK: usize = 400;
const MAX_POST: usize = 500;
const MAX_HANDLE: usize = 40;
/// What a link or button says by which somebody takes charge.
const TAKE_CHARGE: &str = "Take charge";
/// The same of one that shows the incident.
const OPEN: &str = "Open in stormbell";
/// The mark of a drill.
pub(super) const EXERCISE: &str = "EXERCISE ";
/// Posts shown.
const MAX_POSTS: usize = 3;

/// Whether a receiver may read what people wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clearance {
    /// Counts, rules and a link.
    Thin,
    /// Posts, too.
    Cleared,
}

impl Clearance {
    /// What `cleared` in the configuration means.
    pub(super) fn of(cleared: bool) -> Self {
        if cleared { Self::Cleared } else { Self::Thin }
    }

    /// Counts and times, as far as the receiver may know them.
    pub(super) fn summary(self, message: &Message) -> String {
        match self {
            Self::Thin => message.thin_summary(),
            Self::Cleared => message.summary(),
        }
    }
}

/// How loudly a receiver should speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// For the record: it is over, or it can wait.
    Quiet,
    /// Somebody has it, or look at it today.
    Normal,
    /// Look at it now.
    High,
    /// Wake people.
    Wake,
}

/// A message in parts: clean, without hidden characters, not escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// Marks, what happened, title: one line.
    pub(super) headline: String,
    /// The most important first.
    pub(super) facts: Vec<Fact>,
    /// Where whoever reads it takes charge, while nobody has.
    pub(super) acknowledge: Option<String>,
    /// Where to read on.
    pub(super) link: Option<String>,
    /// What people wrote; empty unless the receiver is cleared.
    pub(super) posts: Vec<Quote>,
}

/// One thing to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    /// One of our own words, or a template's; or nothing.
    pub(super) name: Cow<'static, str>,
    /// One line.
    pub(super) value: String,
}

/// A stranger's words, links without their bite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quote {
    /// The author's handle, or nothing.
    pub(super) by: String,
    /// One line.
    pub(super) text: String,
}

impl Parts {
    /// The parts of a message.
    pub(super) fn of(leased: &Leased, console: Option<&Console>, clearance: Clearance) -> Self {
        let Leased { delivery, sample, .. } = leased;
        let short = |link: &String| link.chars().count() <= MAX_LINK;
        let link = console.map(|console| console.incident_url(&delivery.message.incident.id));
        let acknowledge = console.and_then(|console| console.acknowledge_url(delivery));
        Self {
            acknowledge: acknowledge.filter(short),
            link: link.filter(short),
            ..Self::of_message(&delivery.message, sample, clearance)
        }
    }

    /// The same, without links, of a message that is in no outbox.
    pub(super) fn of_message(message: &Message, sample: &[Post], clearance: Clearance) -> Self {
        let posts = match clearance {
            Clearance::Cleared => sample.iter().take(MAX_POSTS).map(Quote::of).collect(),
            Clearance::Thin => Vec::new(),
        };
        let (headline, facts) = (headline(message), facts(message, clearance));
        Self { headline, facts, acknowledge: None, link: None, posts }
    }

    /// Says so when it may have been heard before. For receivers that cannot tell a
    /// repetition from news themselves: an attempt whose answer was lost may have arrived.
    pub(super) fn repeated(mut self, attempt: u32) -> Self {
        if attempt > 1 {
            // A drill says so before anything else.
            let (mark, rest) = match self.headline.strip_prefix(EXERCISE) {
                Some(rest) => (EXERCISE, rest),
                None => ("", self.headline.as_str()),
            };
            self.headline = format!("{mark}(repeat?) {rest}");
            let value = format!("attempt {attempt}; an earlier one may have reached you");
            self.facts.insert(self.facts.len().min(1), Fact { name: "Repeat".into(), value });
        }
        self
    }

    /// What `render` makes of it, with less and less in it until `fits` is content. The
    /// headline stays to the last; then even it is shortened.
    pub(super) fn fitted<T>(mut self, render: impl Fn(&Self) -> T, fits: impl Fn(&T) -> bool) -> T {
        loop {
            let rendered = render(&self);
            if fits(&rendered) || !self.lighten() {
                return rendered;
            }
        }
    }

    /// Leaves out what matters least: posts from the last, facts from the last down to the first,
    /// where to read on if there is where to take charge, the first fact, the other link, half of the
    /// headline. Whether there was anything.
    fn lighten(&mut self) -> bool {
        if self.posts.pop().is_some() {
            return true;
        }
        if self.facts.len() > 1 {
            self.facts.pop();
            return true;
        }
        if self.acknowledge.is_some() && self.link.take().is_some() || self.facts.pop().is_some() {
            return true;
        }
        if self.link.take().is_some() || self.acknowledge.take().is_some() {
            return true;
        }
        let length = self.headline.chars().count();
        self.headline = clip(&self.headline, length / 2);
        length > 8
    }

    /// Both links with what is written on them, the more urgent first.
    pub(super) fn links(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let acknowledge = self.acknowledge.as_deref().map(|link| (TAKE_CHARGE, link));
        acknowledge.into_iter().chain(self.link.as_deref().map(|link| (OPEN, link)))
    }

    /// Plain text: a line a part, without the headline; posts in quotation marks.
    pub(super) fn plain_body(&self) -> String {
        let facts = self.facts.iter().map(Fact::line);
        let posts = self.posts.iter().map(Quote::line);
        let acknowledge = self.acknowledge.iter().map(|link| format!("{TAKE_CHARGE}: {link}"));
        let lines: Vec<String> = facts.chain(acknowledge).chain(self.link.iter().cloned()).chain(posts).collect();
        lines.join("\n")
    }

    /// The same with the headline as its first line.
    pub(super) fn plain(&self) -> String {
        let body = self.plain_body();
        if body.is_empty() { self.headline.clone() } else { format!("{}\n{body}", self.headline) }
    }
}

impl Fact {
    /// `Name: value`.
    pub(super) fn line(&self) -> String {
        self.marked(str::to_owned, str::to_owned)
    }

    /// The same in a markup: how it escapes, and how it marks what stands before the value.
    pub(super) fn marked(&self, mark: impl Fn(&str) -> String, escape: impl Fn(&str) -> String) -> String {
        if self.name.is_empty() {
            return escape(&self.value);
        }
        format!("{} {}", mark(&format!("{}:", escape(&self.name))), escape(&self.value))
    }
}

impl Quote {
    fn of(post: &Post) -> Self {
        let by = post.author.handle.as_deref().map(|handle| shown(handle, MAX_HANDLE));
        // Before it is cut: half of a number is none, and still too much.
        Self { by: by.unwrap_or_default(), text: shown(&redacted(&clean(&post.text)), MAX_POST) }
    }

    /// `“text” — handle`.
    pub(super) fn line(&self) -> String {
        if self.by.is_empty() { format!("“{}”", self.text) } else { format!("“{}” — {}", self.text, self.by) }
    }
}

/// How loudly to say it.
pub(super) fn urgency(message: &Message) -> Urgency {
    match (message.kind, message.incident.severity) {
        (MessageKind::Resolved, _) | (_, Severity::Low | Severity::Info) => Urgency::Quiet,
        (MessageKind::Acknowledged, _) | (_, Severity::Medium) => Urgency::Normal,
        (_, Severity::High) => Urgency::High,
        (_, Severity::Critical) => Urgency::Wake,
    }
}

/// A drill says so before anything else, in whatever small space a receiver has.
fn headline(message: &Message) -> String {
    let incident = &message.incident;
    let severity = incident.severity.as_str().to_uppercase();
    let what = match message.kind {
        MessageKind::Opened if message.begins_again() => format!("{severity} · again"),
        MessageKind::Opened => severity,
        MessageKind::Updated => format!("{severity} · grows"),
        MessageKind::Acknowledged => "Acknowledged".to_owned(),
        MessageKind::Escalated if message.hands_over() => format!("{severity} · yours now"),
        MessageKind::Escalated if incident.state == IncidentState::Acknowledged => format!("{severity} · help wanted"),
        MessageKind::Escalated => format!("{severity} · still open"),
        // Not over: it goes on under another name.
        MessageKind::Resolved => match &incident.merged_into {
            Some(into) => format!("Merged into {into}"),
            None => "Resolved".to_owned(),
        },
    };
    let exercise = if incident.exercise { EXERCISE } else { "" };
    let late = if incident.late { "LATE " } else { "" };
    clip(&clean(&format!("{exercise}{late}{what}: {}", incident.unmarked_title())), MAX_TITLE)
}

fn facts(message: &Message, clearance: Clearance) -> Vec<Fact> {
    let incident = &message.incident;
    let mut facts = Vec::new();
    let mut say = |name, value: &str| {
        if !value.is_empty() {
            facts.push(Fact { name: Cow::Borrowed(name), value: shown(value, MAX_FACT) });
        }
    };
    if incident.exercise {
        say("Exercise", "this is a drill, nothing happened");
    }
    say("Seen", &clearance.summary(message));
    let signed = match message.kind {
        MessageKind::Resolved if incident.merged_into.is_some() => {
            incident.resolved.as_ref().map(|signature| ("Merged by", signature))
        }
        MessageKind::Resolved => incident.resolved.as_ref().map(|signature| ("Ended by", signature)),
        _ => incident.acknowledged.as_ref().map(|signature| ("Taken by", signature)),
    };
    if let Some((name, signature)) = signed {
        say(name, &format!("{} at {}", signature.by, signature.at.whole_second()));
    }
    if let Some(into) = &incident.merged_into {
        say("Goes on as", into.as_str());
    }
    let also: Vec<&str> = incident.also.keys().map(Topic::as_str).collect();
    say("Also", &also.join(", "));
    match clearance {
        Clearance::Thin => say("Why", &without_terms(&incident.why)),
        Clearance::Cleared => say("Why", &redacted(&incident.why)),
    }
    say("Rules", &incident.rules.iter().map(RuleId::as_str).collect::<Vec<_>>().join(", "));
    // The rule's author wrote it: where it is an address, it may be clicked.
    let playbook = clip(&clean(incident.playbook.as_deref().unwrap_or_default()), MAX_FACT);
    if !playbook.is_empty() {
        facts.push(Fact { name: "Playbook".into(), value: playbook });
    }
    facts.push(Fact { name: "Incident".into(), value: clip(&clean(incident.id.as_str()), MAX_FACT) });
    facts
}
