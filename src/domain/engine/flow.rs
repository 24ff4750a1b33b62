//! Sources that go on speaking, but no longer of posts.
//!
//! A connection can stand, pings be answered and likes and deletions stream in while posts
//! fail to come: a collection that was renamed, a filter that was set, half of a server that
//! broke. By the sockets all is well, so [`super::sources`] sees nothing; by the forecast of
//! this source's own posts it is a silence like that of a rule, and means blindness.
//!
//! Its clock is what was read: the newest event of any kind. So nothing is said while nothing
//! comes (that is blindness of the other kind), while one is catching up, of what was lost,
//! or of a source that was seen for less than a week.
//!
//! Two rows are kept of a source, because the larger one changes only with the minute.

use std::time::Duration;

use super::Engine;
use super::exposure::Exposure;
use super::incidents::Notice;
use super::minutes::Surroundings;
use super::silence::{Heard, Silence};
use super::sources::SourceState;
use crate::domain::commit::{Commit, VolumeState};
use crate::domain::event::Cursor;
use crate::domain::id::SourceName;
use crate::domain::incident::{Gap, Severity};
use crate::domain::time::{Timestamp, Zone};
use crate::domain::volume::{Scale, rounded};

/// A source without posts is told after so long at the earliest, as a blind one is.
const AT_LEAST: Duration = Duration::from_mins(5);
/// Nobody asked for this alert, so it waits until every hour of the week was seen once.
const LEARNT_DAYS: f64 = 7.0;
/// Names of the rows; of rules they are none, for those do not begin like this.
const OPEN: &str = "stormbell.posts.";
const USUAL: &str = "stormbell.usual.";
/// Whoever changes what is written calls it differently.
const MEANING: &str = "posts of a source 1";

/// A frame of a source, as far as it matters here.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) cursor: Cursor,
    pub(super) carries_post: bool,
    /// Off a connection; recordings are often parts.
    pub(super) live: bool,
}

/// The posts of one source.
pub(super) struct Flow {
    silence: Silence,
    exposure: Exposure,
    changed: bool,
    new_minute: bool,
}

impl Flow {
    fn new(silence: Silence) -> Self {
        Self { silence, exposure: Exposure::of_one(), changed: false, new_minute: true }
    }
}

impl SourceState {
    /// A frame that is newer than all before; true when it ends a silence that was told.
    pub(super) fn flows(&mut self, frame: Frame, at: Timestamp, scale: &Scale, zone: &Zone) -> bool {
        let flow = self.flow.get_or_insert_with(|| Flow::new(Silence::new(scale, at)));
        if !frame.carries_post {
            return false;
        }
        let around = Surroundings { scale, zone, exposure: &flow.exposure };
        let Heard { ended, new_minute } = flow.silence.heard(at, &around);
        flow.changed = true;
        flow.new_minute |= new_minute;
        ended
    }

    /// What a gap took away is no silence.
    pub(super) fn lost(&mut self, gap: &Gap) {
        if let Some(flow) = &mut self.flow {
            flow.exposure.ended(gap);
        }
    }
}

impl Engine {
    /// What was learnt of sources; a silence says nothing once one of them is gone.
    pub(super) fn restore_flows(&mut self, volumes: &[VolumeState], lost: &[Gap], commit: &mut Commit) {
        let rows = || volumes.iter().filter(|row| row.meaning == MEANING && !row.state.is_empty());
        for open in rows() {
            let Some(source) = open.rule.as_str().strip_prefix(OPEN) else { continue };
            let usual = rows().find(|row| row.rule.as_str().strip_prefix(USUAL) == Some(source));
            let Some(state) = self.sources.get_mut(source) else {
                self.quiets.source_removed();
                self.quiets.record(commit);
                for gone in std::iter::once(open).chain(usual) {
                    commit.record_volume(VolumeState { state: Vec::new(), ..gone.clone() });
                }
                continue;
            };
            let bytes = usual.map(|usual| [open.state.as_slice(), &usual.state].concat()).unwrap_or_default();
            if let Ok(silence) = Silence::from_bytes(&self.spikes.scale, &bytes) {
                state.flow = Some(Flow { new_minute: false, ..Flow::new(silence) });
                lost.iter().filter(|gap| gap.source.as_str() == source).for_each(|gap| state.lost(gap));
            }
        }
    }

    /// Puts what changed of a source into a commit.
    pub(super) fn record_flow(&mut self, source: &SourceName, commit: &mut Commit) {
        let Some(flow) = self.sources.get_mut(source.as_str()).and_then(|state| state.flow.as_mut()) else { return };
        if !std::mem::take(&mut flow.changed) {
            return;
        }
        let mut row = |kind: &str, state| {
            let rule = format!("{kind}{source}").into();
            commit.record_volume(VolumeState { rule, meaning: MEANING.to_owned(), at: flow.silence.since, state });
        };
        row(OPEN, flow.silence.open_to_bytes());
        if std::mem::take(&mut flow.new_minute) {
            row(USUAL, flow.silence.baseline_to_bytes());
        }
    }

    /// Raises an alert for every source that sees the present, but unusually long no post.
    pub(super) fn watch_flows(&mut self, now: Timestamp, commit: &mut Commit) {
        let mut silent = Vec::new();
        for (source, state) in &mut self.sources {
            let (true, Some(read_to)) = (state.sees(), state.read_to()) else { continue };
            let Some(flow) = state.flow.as_mut().filter(|flow| !flow.silence.told) else { continue };
            let since = flow.silence.since;
            let learnt = flow.silence.days_seen(&self.spikes.scale) >= LEARNT_DAYS;
            if !learnt || read_to.since(since) < AT_LEAST {
                continue;
            }
            let around = Surroundings { scale: &self.spikes.scale, zone: self.rules.zone(), exposure: &flow.exposure };
            let lull = flow.silence.lull(read_to, &around);
            if let Some(lull) = lull.filter(|lull| flow.silence.is_unusual(lull, read_to)) {
                flow.silence.told = true;
                flow.changed = true;
                silent.push((source.clone(), since, lull));
            }
        }
        for (source, since, lull) in silent {
            let (since, expected) = (since.whole_second(), rounded(lull.expected));
            let notice = Notice {
                rule: "stormbell.blind",
                topic: topic(&source),
                severity: Severity::High,
                title: format!("Stormbell sees no posts of {source}"),
                why: format!(
                    "connected, but no posts since {since}; {expected} expected; {source} sends other events only, so \
                     rules may be blind: look there by hand, and whether it still sends what `[[source]]` asks for"
                ),
                not_to: None,
            };
            self.raise_notice(notice, now, commit);
            self.record_flow(&source, commit);
        }
    }

    /// Posts come again.
    pub(super) fn flows_again(&mut self, source: &SourceName, now: Timestamp, commit: &mut Commit) {
        self.end_notice(&topic(source), now, commit);
    }
}

/// No source's name has a slash.
fn topic(source: &SourceName) -> String {
    format!("stormbell.blind.{source}/posts")
}
