//! Alerts of another topic that are about the same.
//!
//! A post may be a threat, a lockdown and the press at once, and its copies the same: three topics, one matter. So what
//! would open an incident joins one of another topic instead if at least half of its posts are posts of that.
//! Nothing else joins: neither what is said at the same time, nor of the same hospital, nor in nearly the same words.
//!
//! What joins must not be swallowed by what it joins:
//! - What is as grave, or graver, joins only if the other is, in turn, at least by half about the same stories. A shooting that
//!   shares a post with two hundred complaints is an incident of its own.
//! - What is graver raises the incident: it gets the headline and the topic, it has to be taken anew, and of the topic that
//!   was its own before only what shares its posts belongs to it from then on. Two hundred complaints that follow
//!   do not make the shooting grow.
//! - What is as grave is told to all who know of it, and to the people of its routes; what is less grave only to those. Who is
//!   of its routes and knows of the incident already hears once what it is about by now; but not who was to be told
//!   of both by one route, to whom it is a smaller part of the same.
//! - Topics that not everybody may know of keep to themselves, see [`Terms::apart`].
//!
//! Rejected: to join what only resembles a post of the other (of “gunman at St. Brigid's” and “fire at St. Brigid's” four words
//! in five are the same; a true copy matches the rules of both, so its post is shared); to join by place (to a hospital with one site everything is at one place), by time alone, and to give
//! an incident all of a topic once an alert of it joined.
//!
//! [`Terms::apart`]: crate::domain::terms::Terms::apart

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::told::{first_told, send, take_routes};
use super::{Live, News, SELF, Weight, entry};
use crate::domain::commit::Commit;
use crate::domain::condition::Seen;
use crate::domain::engine::Engine;
use crate::domain::engine::alerts::Firing;
use crate::domain::engine::off_times::Telling;
use crate::domain::id::{IncidentId, RuleId};
use crate::domain::incident::{Also, Incident, IncidentState};
use crate::domain::message::{MessageKind, summary};
use crate::domain::rule::Rule;
use crate::domain::time::Timestamp;

impl Engine {
    /// The incident that a post of a rule counts for, if there is one: that of its topic, or one that some of the topic joined
    /// and that the post is about.
    pub(in crate::domain::engine) fn incident_of(&self, rule: &Rule, seen: &Seen) -> Option<IncidentId> {
        let is_about_it = |id: &&IncidentId| self.live.get(*id).is_some_and(|live| live.has(seen));
        let joined = || self.joined.get(&rule.topic)?.iter().find(is_about_it).cloned();
        let of_topic = self.by_topic.get(&rule.topic).filter(|id| !self.is_of_its_silence(rule, id));
        of_topic.cloned().or_else(joined)
    }

    /// The open incident of another topic that an alert belongs to by its posts; from now on it is about that, too.
    pub(super) fn of_another_topic(
        &mut self,
        rule: &Rule,
        firing: &Firing<'_>,
        now: Timestamp,
        commit: &mut Commit,
    ) -> Option<IncidentId> {
        let seen = &firing.fired.seen;
        if seen.is_empty() || self.routes.terms.is_apart(&rule.topic) {
            return None;
        }
        let terms = &self.routes.terms;
        let may_be = |live: &&Live| !live.incident.topics().any(|(topic, _)| terms.is_apart(topic));
        let shared = self.live.values().filter(may_be).filter_map(|live| Some((live.shared(rule, seen)?, live)));
        // Of several the one that has most of it; of equals the gravest, then the oldest.
        let best = shared.max_by_key(|(shared, Live { incident, .. })| {
            (*shared, incident.severity, Reverse((incident.opened_at, incident.id.clone())))
        });
        let id = best?.1.incident.id.clone();
        let live = self.live.get_mut(&id)?;
        let before = live.incident.topic.clone();
        let is_known = live.incident.also.contains_key(&rule.topic);
        live.head_to(rule);
        if live.incident.topic != before {
            self.by_topic.remove(&before);
        }
        if !is_known {
            let text = format!("also {}, {}: {}", rule.topic, rule.severity.as_str(), firing.why);
            commit.timeline.push(entry(&id, now, "joined", SELF, text));
        }
        Some(id)
    }

    /// People of routes that take the incident only now hear of it, and who has it, if somebody has; those who know of it for
    /// another reason hear what is new.
    pub(super) fn tell_newcomers(&mut self, id: &IncidentId, now: Timestamp, commit: &mut Commit) {
        let Some(Live { incident, .. }) = self.live.get_mut(id) else { return };
        self.routes.keep_back(incident, Telling::News, now, commit);
        let mut concerned = take_routes(incident, &self.routes, now);
        let mut fresh = first_told(incident, &self.routes, &self.receivers, now);
        fresh.extend(concerned.iter().cloned());
        fresh.retain(|to| !incident.told.receivers.contains(to) && !self.routes.spares(incident, to, now));
        concerned.retain(|to| incident.told.receivers.contains(to) && !self.routes.spares(incident, to, now));
        if !concerned.is_empty() {
            commit.timeline.push(entry(id, now, "updated", SELF, summary(incident)));
            send(incident, MessageKind::Updated, concerned, &self.receivers, &self.routes, now, commit);
        }
        send(incident, MessageKind::Opened, fresh.clone(), &self.receivers, &self.routes, now, commit);
        if incident.state == IncidentState::Acknowledged {
            send(incident, MessageKind::Acknowledged, fresh, &self.receivers, &self.routes, now, commit);
        }
    }
}

impl Live {
    /// Whether a post is one of its, as far as they are remembered.
    fn has(&self, seen: &Seen) -> bool {
        self.posts.contains(seen.post_key)
    }

    /// How many of an alert's posts are its, if they are so many that the alert is about the same.
    fn shared(&self, rule: &Rule, seen: &[Seen]) -> Option<usize> {
        let shared: Vec<&Seen> = seen.iter().filter(|seen| self.has(seen)).collect();
        let stories: BTreeSet<_> = shared.iter().map(|seen| seen.story).collect();
        let is_about_it = shared.len() * 2 >= seen.len();
        // Of one from before stories were counted nobody can say.
        let all = self.incident.stories;
        let is_all_about_it = all > 0 && stories.len() as u64 * 2 >= all;
        let is_less_grave = rule.severity < self.incident.severity;
        let joins = !shared.is_empty() && !self.incident.is_own() && is_about_it && (is_less_grave || is_all_about_it);
        joins.then_some(shared.len())
    }

    /// Of a topic that is not its own there is something, or something graver than before: its people are to hear.
    pub(super) fn hears_of(&mut self, rule: &Rule) {
        let Incident { topic, also, severity, .. } = &self.incident;
        let is_news = rule.topic != *topic && also.get(&rule.topic).is_none_or(|also| also.severity < rule.severity);
        if self.news == News::None && is_news {
            self.news = News::Joined(if rule.severity >= *severity { Weight::Equal } else { Weight::Less });
        }
    }

    /// An alert of another topic joins: what is graver gives the topic.
    fn head_to(&mut self, rule: &Rule) {
        let incident = &mut self.incident;
        if rule.severity > incident.severity {
            let own = |rule: &&RuleId| *incident.topic_of(rule) == incident.topic;
            let rules = incident.rules.iter().filter(own).cloned().collect();
            incident.also.remove(&rule.topic);
            // What somebody merged stays one.
            let also = Also { severity: incident.severity, rules, whole: !incident.merged.is_empty() };
            let before = std::mem::replace(&mut incident.topic, rule.topic.clone());
            incident.also.insert(before, also);
        }
    }
}
