//! When nothing can be written: people have to know, for nobody is told of anything new.

use super::Engine;
use super::incidents::{Live, Notice};
use crate::domain::commit::Commit;
use crate::domain::incident::Severity;
use crate::domain::time::Timestamp;

/// The topic of the incident about that.
pub const STORAGE: &str = "stormbell.storage";

impl Engine {
    /// Opens the incident, tells what is new of it, or ends it.
    pub(super) fn storage(&mut self, why: Option<String>, now: Timestamp, commit: &mut Commit) {
        let Some(why) = why else { return self.end_notice(STORAGE, now, commit) };
        let Some(id) = self.by_topic.get(STORAGE).cloned() else {
            let notice = Notice {
                rule: STORAGE,
                topic: STORAGE.to_owned(),
                severity: Severity::Critical,
                title: "Storage is full or fails: stormbell can page nothing new".to_owned(),
                why,
                not_to: None,
            };
            return self.raise_notice(notice, now, commit);
        };
        if let Some(Live { incident, .. }) = self.live.get_mut(&id) {
            incident.why = why;
        }
        self.tell_updated(&id, now, commit);
        if let Some(Live { incident, .. }) = self.live.get(&id) {
            commit.record(incident.clone());
        }
    }
}
