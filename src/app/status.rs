//! What the sources are doing right now, for the API and the service manager.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::kept::Kept;
use crate::domain::event::DownReason;
use crate::domain::id::SourceName;
use crate::domain::time::Timestamp;
use crate::source::unwatched::Unwatched;

/// One source.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    /// The host of the last connection.
    pub host: Option<String>,
    /// Why and since when nothing comes; before the first frame, that it never came.
    pub down: Option<(DownReason, Timestamp)>,
    /// The newest event.
    pub newest: Option<Timestamp>,
    /// What its server refuses for good.
    pub unwatched: Unwatched,
}

/// All sources; cheap to clone, shared.
#[derive(Clone, Debug, Default)]
pub(super) struct Statuses {
    sources: Arc<Mutex<BTreeMap<SourceName, Status>>>,
    kept: Option<Kept>,
}

impl Statuses {
    /// Sources that have not connected yet.
    pub(super) fn new(sources: impl IntoIterator<Item = SourceName>, now: Timestamp, kept: Option<Kept>) -> Self {
        let status = |source| (source, Status { down: Some((DownReason::NotRunning, now)), ..Status::default() });
        Self { sources: Arc::new(Mutex::new(sources.into_iter().map(status).collect())), kept }
    }

    /// Changes one.
    pub(super) fn set(&self, source: &SourceName, change: impl FnOnce(&mut Status)) {
        let mut statuses = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        change(statuses.entry(source.clone()).or_default());
    }

    /// All of them now.
    pub(super) fn all(&self) -> BTreeMap<SourceName, Status> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A line for `systemctl status`.
    pub(super) fn line(&self, open_incidents: usize) -> String {
        let all = self.all();
        let down: Vec<&str> = all.iter().filter(|(_, s)| s.down.is_some()).map(|(source, _)| source.as_str()).collect();
        let sources = match (all.len() - down.len(), down.as_slice()) {
            (seeing, []) => format!("{seeing} sources seen"),
            (_, down) => format!("BLIND on {}", down.join(", ")),
        };
        let old = if self.kept.as_ref().is_some_and(Kept::is_in_force) { "OLD CONFIGURATION; " } else { "" };
        format!("{old}{sources}; {open_incidents} open incidents")
    }
}
