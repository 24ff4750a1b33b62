//! In whose words a receiver speaks: ours, or a template of the hospital's.
//!
//! A template replaces the headline and the facts; links and posts are added as ever, and the receiver escapes all of
//! it. That it is an exercise is said whatever the template says. One that fails costs nobody a message: it is told in
//! our words, and the log says so.

use std::borrow::Cow;

use super::text::{Clearance, EXERCISE, Fact, MAX_FACT, MAX_TITLE, Parts, Quote};
use super::untrusted::{clean, clip, shown, without_terms};
use crate::config::model::Voice;
use crate::domain::id::{IncidentId, PersonName, ReceiverName, RuleId};
use crate::domain::incident::Signature;
use crate::domain::message::Leased;
use crate::domain::redact::redacted;
use crate::telemetry::events;
use crate::wire::link::Console;
use crate::wire::template::{Named, Rendered, Signed, Words};

/// Lines of a template's facts; what is longer is no message but a mistake.
const MAX_LINES: usize = 40;
/// Characters of what stands before the colon, to be a fact's name.
const MAX_NAME: usize = 24;

/// How a receiver speaks.
pub(super) struct Wording {
    console: Option<Console>,
    clearance: Clearance,
    voice: Voice,
    receiver: ReceiverName,
}

impl Wording {
    /// Of a receiver that may not read posts.
    pub(super) fn new(console: Option<Console>, voice: &Voice, receiver: &ReceiverName) -> Self {
        Self { console, clearance: Clearance::Thin, voice: voice.clone(), receiver: receiver.clone() }
    }

    /// The same of one that may, if `cleared` says so.
    pub(super) fn cleared(self, cleared: bool) -> Self {
        Self { clearance: Clearance::of(cleared), ..self }
    }

    /// What it says of a message.
    pub(super) fn parts(&self, leased: &Leased) -> Parts {
        let parts = Parts::of(leased, self.console.as_ref(), self.clearance);
        let person = leased.delivery.recipient.as_ref().map(|recipient| &recipient.person);
        let Some(template) = self.voice.template(person) else { return parts };
        match template.render(&self.words(leased, &parts)) {
            Ok(rendered) => in_these_words(parts, rendered, leased.delivery.message.incident.exercise),
            Err(mistake) => {
                events::template_failed(&self.receiver, mistake.line);
                parts
            }
        }
    }

    /// The language of those words, where it is known: a template's of the person's own language, or English, which
    /// ours are.
    pub(super) fn language(&self, person: Option<&PersonName>) -> Option<&str> {
        match (self.voice.language(person), &self.voice.usual) {
            (Some(language), _) if self.voice.by_language.contains_key(language) => Some(language),
            (_, None) => Some("en"),
            (_, Some(_)) => None,
        }
    }

    /// What that person speaks, if they said so.
    pub(super) fn speaks(&self, person: Option<&PersonName>) -> Option<&str> {
        self.voice.language(person)
    }

    /// Where a receiver of that kind sends back what people did.
    pub(super) fn hook_url(&self, kind: &str) -> Option<String> {
        self.console.as_ref()?.hook_url(kind, &self.receiver)
    }

    fn words<'a>(&'a self, leased: &'a Leased, parts: &Parts) -> Words<'a> {
        let message = &leased.delivery.message;
        let incident = &message.incident;
        let kind = message.kind.as_str();
        let why = match self.clearance {
            Clearance::Thin => without_terms(&incident.why),
            Clearance::Cleared => redacted(&incident.why).into_owned(),
        };
        let named = |quote: &Quote| Named { name: quote.by.clone(), text: quote.text.clone() };
        Words {
            kind: kind.strip_prefix("incident.").unwrap_or(kind),
            headline: parts.headline.clone(),
            facts: parts
                .facts
                .iter()
                .map(|fact| Named { name: fact.name.to_string(), text: fact.value.clone() })
                .collect(),
            id: incident.id.as_str(),
            title: clip(&clean(incident.unmarked_title()), MAX_TITLE),
            severity: incident.severity.as_str(),
            state: incident.state.as_str(),
            topic: clean(incident.topic.as_str()),
            also: incident.also.keys().map(|topic| clean(topic.as_str())).collect(),
            rules: incident.rules.iter().map(RuleId::as_str).collect(),
            posts: incident.posts,
            authors: incident.authors,
            stories: incident.stories,
            summary: self.clearance.summary(message),
            why: shown(&why, MAX_FACT),
            playbook: incident.playbook.as_deref().map(clean),
            exercise: incident.exercise,
            late: incident.late,
            opened_at: incident.opened_at.to_string(),
            first_post_at: incident.first_post_at.to_string(),
            last_post_at: incident.last_post_at.to_string(),
            acknowledged: incident.acknowledged.as_ref().map(signed),
            resolved: incident.resolved.as_ref().map(signed),
            merged_into: incident.merged_into.as_ref().map(IncidentId::as_str),
            person: leased.delivery.recipient.as_ref().map(|recipient| recipient.person.as_str()),
            sample: parts.posts.iter().map(named).collect(),
            timezone: &self.voice.timezone,
        }
    }
}

fn signed(signature: &Signature) -> Signed {
    Signed { by: shown(&signature.by, MAX_TITLE), at: signature.at.to_string() }
}

fn in_these_words(parts: Parts, rendered: Rendered, exercise: bool) -> Parts {
    let Rendered { headline, lines } = rendered;
    let mark = if exercise && !headline.starts_with(EXERCISE) { EXERCISE } else { "" };
    let facts = lines.iter().take(MAX_LINES).map(|line| fact(&clip(&clean(line), MAX_FACT))).collect();
    Parts { headline: clip(&clean(&format!("{mark}{headline}")), MAX_TITLE), facts, ..parts }
}

/// `Gesehen: 3 Beiträge` is a fact with a name; any other line stands for itself.
fn fact(line: &str) -> Fact {
    let is_name = |name: &str| {
        name.chars().count() <= MAX_NAME && name.chars().all(|c| c.is_alphanumeric() || c == ' ') && !name.is_empty()
    };
    match line.split_once(": ").filter(|(name, _)| is_name(name)) {
        Some((name, value)) => Fact { name: Cow::Owned(name.to_owned()), value: value.to_owned() },
        None => Fact { name: Cow::Borrowed(""), value: line.to_owned() },
    }
}
