//! An alert opens an incident, or joins the one of its topic.

use super::{LATE, Live, blank, incident_id};
use crate::domain::condition::Fired;
use crate::domain::engine::Engine;
use crate::domain::id::IncidentId;
use crate::domain::rule::Rule;
use crate::domain::time::Timestamp;

impl Engine {
    /// The incident for an alert, and whether it is a new one. A rule is made to fire `by`
    /// the same only once: a post at its time, or a silence since then.
    pub(in crate::domain::engine) fn open_or_join(
        &mut self,
        rule: &Rule,
        by: &str,
        at: Timestamp,
        fired: &Fired,
        why: &str,
        now: Timestamp,
    ) -> (IncidentId, bool) {
        let known = self.by_topic.get(&rule.topic).cloned();
        let is_new = known.is_none();
        let id = known.unwrap_or_else(|| {
            // A rule takes a post once, so these two name one opening. The first post of
            // the window would not do: an earlier incident may have begun with it.
            let id = incident_id(&rule.topic, &format!("{}\n{by}", rule.id), at);
            let mut incident =
                blank(id.clone(), rule.topic.clone(), rule.severity, rule.title.clone(), why.to_owned(), now);
            incident.playbook.clone_from(&rule.playbook);
            // By its newest post: that a count's window began long ago makes nothing late.
            incident.late = fired.seen.last().is_some_and(|newest| now.since(newest.at) > LATE);
            self.by_topic.insert(rule.topic.clone(), id.clone());
            self.live.insert(id.clone(), Live { new: true, ..Live::new(incident) });
            id
        });
        if let Some(live) = self.live.get_mut(&id) {
            for seen in &fired.seen {
                live.add(seen);
            }
            let incident = &mut live.incident;
            if rule.severity > incident.severity {
                // The gravest rule gives the headline and the playbook.
                incident.severity = rule.severity;
                incident.title.clone_from(&rule.title);
                why.clone_into(&mut incident.why);
                incident.playbook.clone_from(&rule.playbook);
            }
            incident.rules.insert(rule.id.clone());
            self.changed.insert(id.clone());
        }
        (id, is_new)
    }
}
