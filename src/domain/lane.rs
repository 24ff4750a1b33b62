//! The duty-of-care lane: what not everybody may read.
//!
//! Topics that begin with `restricted` or `duty-of-care` are for a few trained people: somebody near us may be about to
//! hurt themselves. Accounts that may read it are named one by one; everybody and everything else
//! (lists, search, exports, screens on a wall, streams of events, messages through third parties) learns that something
//! is there, how grave it is and who has it, and nothing that anybody wrote.
//!
//! By the name alone, and not by a key of the configuration: what is forgotten there must not lay it open. And by how
//! the name begins, not by its first part: `duty-of-care-staff` is meant for the few as well, and a name that is
//! veiled by chance (`restrictedness`) is the lesser harm.

use std::collections::BTreeSet;

use super::id::Topic;
use super::incident::Incident;
use super::rule::Rule;

/// How such topics and rules begin.
pub const RESTRICTED: [&str; 2] = ["restricted", "duty-of-care"];

/// What is said of such an incident to those who may not read it.
const VEIL: &str = "Restricted: sign in to the console to read it, if you may";
const VEIL_TITLE: &str = "Restricted incident";

/// How much somebody may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Everything.
    Whole,
    /// All but what is restricted.
    Veiled,
}

/// Whether a topic, or a rule by its id, belongs to the lane.
pub fn is_restricted(name: &str) -> bool {
    RESTRICTED.iter().any(|beginning| name.starts_with(beginning))
}

impl Rule {
    /// Whether what it takes belongs to the lane.
    pub fn is_restricted(&self) -> bool {
        is_restricted(self.topic.as_str()) || is_restricted(self.id.as_str())
    }
}

impl Incident {
    /// Whether anything in it belongs to the lane.
    pub fn is_restricted(&self) -> bool {
        self.topics().any(|(topic, _)| is_restricted(topic.as_str()))
            || self.rules.iter().any(|rule| is_restricted(rule.as_str()))
    }

    /// As somebody may see it.
    #[must_use]
    pub fn seen_with(self, sight: Sight) -> Self {
        if sight == Sight::Veiled && self.is_restricted() { self.veiled() } else { self }
    }

    /// What everybody may know of an incident of the lane: that it is there, since when, how grave, and who has it.
    #[must_use]
    pub fn veiled(self) -> Self {
        let mark = if self.exercise { self.title.strip_suffix(self.unmarked_title()).unwrap_or_default() } else { "" };
        Self {
            title: format!("{mark}{VEIL_TITLE}"),
            topic: Topic::from(RESTRICTED[0]),
            also: [].into(),
            rules: BTreeSet::new(),
            why: VEIL.to_owned(),
            playbook: None,
            posts: 0,
            authors: 0,
            stories: 0,
            notable: Vec::new(),
            sample: Vec::new(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lane_is_known_by_how_a_name_begins() {
        for (name, restricted) in [
            ("duty-of-care.self-harm", true),
            ("duty-of-care", true),
            ("duty-of-care-staff", true),
            ("duty-of-care_staff.self-harm", true),
            ("restricted.vip", true),
            ("restricted-hr", true),
            ("restrictedness", true),
            ("duty-of", false),
            ("duty.of-care", false),
            ("service.duty-of-care", false),
            ("", false),
        ] {
            assert_eq!(is_restricted(name), restricted, "{name}");
        }
    }
}
