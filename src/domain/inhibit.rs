//! Inhibition: while a bigger incident is open, people are not told of smaller ones that come with it.
//!
//! As in Alertmanager, with the matchers of silences: a source, targets, and what must be equal. Cut down to what incidents
//! have. Alerts of one topic are one incident already, so what can be equal is the family of a topic: what stands before its first
//! dot. A bigger incident is a graver one, or an older one as grave: so no two mute each other.
//!
//! What protects from silences protects here: what is critical, and what Stormbell says of itself, must be named to be muted. And only
//! what people are told of mutes anything: whoever silences the big one is not deaf to the small ones as well. (Alertmanager
//! has silenced alerts inhibit others.)

use super::id::RuleId;
use super::incident::Incident;
use super::silence::{Matcher, protection};

/// One `[[inhibit]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inhibition {
    /// What the bigger incident is: all of them fit one of its rules; never empty.
    pub source: Vec<Matcher>,
    /// What the smaller ones are: all of them fit each of its rules; never empty.
    pub target: Vec<Matcher>,
    /// Only of one family of topics: of `service.question` that is `service`.
    pub same_family: bool,
}

impl Inhibition {
    /// Whether a smaller incident is one that it mutes.
    pub fn takes(&self, incident: &Incident) -> bool {
        protection(&self.target, &incident.topic, incident.severity).is_none()
            && incident.rules.iter().all(|rule| fit(&self.target, rule, incident))
    }

    /// Whether `big` is such a bigger incident, for the smaller one.
    pub fn is_by(&self, big: &Incident, small: &Incident) -> bool {
        big.outweighs(small) && (!self.same_family || big.is_of_the_families_of(small)) && self.may_be_by(big)
    }

    /// Whether an incident mutes those that are smaller. What Stormbell says of itself does not: that a pager is dead
    /// must not silence the hospital.
    pub fn may_be_by(&self, big: &Incident) -> bool {
        !big.is_own() && big.rules.iter().any(|rule| fit(&self.source, rule, big))
    }
}

impl Incident {
    /// Whether it is bigger than another: graver, or as grave and older.
    fn outweighs(&self, other: &Self) -> bool {
        let is_older = (self.opened_at, &self.id) < (other.opened_at, &other.id);
        self.severity > other.severity || self.severity == other.severity && is_older
    }

    /// Whether each topic of another is of a family that this has a topic of.
    fn is_of_the_families_of(&self, other: &Self) -> bool {
        let has = |family: &str| self.topics().any(|(topic, _)| topic.family() == family);
        other.topics().all(|(topic, _)| has(topic.family()))
    }
}

fn fit(matchers: &[Matcher], rule: &RuleId, incident: &Incident) -> bool {
    matchers.iter().all(|matcher| matcher.fits(rule, incident.topic_of(rule), incident.severity))
}
