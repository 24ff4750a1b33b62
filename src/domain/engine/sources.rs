//! What each source has seen, and what it has not (invariant 2).

use std::collections::BTreeMap;
use std::time::Duration;

use super::Engine;
use super::flow::{Flow, Frame};
use super::incidents::Notice;
use crate::domain::commit::Commit;
use crate::domain::event::{Cursor, DownReason, Joint};
use crate::domain::id::SourceName;
use crate::domain::incident::{Gap, Severity};
use crate::domain::time::{ClockSet, Timestamp, human};

/// A source that is blind for so long is an alert itself.
const BLIND_AFTER: Duration = Duration::from_mins(5);
/// A gap that could not be read again and is longer than this is an alert itself.
const GAP_WORTH_TELLING: Duration = Duration::from_mins(1);
/// A source whose newest frame is older when it is read is still catching up.
const BEHIND: Duration = Duration::from_mins(5);
/// Connections in a row that fell silent without anything new: their repetitions of what
/// was known do not count as seeing.
const SILENT_CONNECTIONS: u32 = 2;
/// Hosts stamp events themselves; the same event may be this much later on another host.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5);

/// What to do about a source whose posts are paid for.
const SPENT: &str =
    "; this month's budget of posts is spent: raise `monthly_posts` and restart, or look by hand until the next month";
/// What to do about a source that may be asked only so much.
const QUOTA_SPENT: &str = "; the day's quota is used up and comments are read again at midnight on the Pacific coast: until then \
    look by hand; ask Google for a larger quota, or raise `daily_units` and restart if it is larger already";

/// Where a source stands.
#[derive(Default)]
pub(super) struct SourceState {
    cursor: Option<Cursor>,
    /// Its connection was lost, or there was none to be had. What comes all the same was sent to us (a hub's push), and does not show that the
    /// source is seen.
    is_away: bool,
    /// Since when nothing comes.
    blind_since: Option<Timestamp>,
    /// Connections that fell silent since the last frame that was new.
    silent: u32,
    /// What is read happened a while ago: there is more to come that has happened already.
    behind: bool,
    gap: Option<Gap>,
    /// A connection whose first frame has not come yet.
    fresh: Option<Connection>,
    /// Its posts, once a connection brought a frame.
    pub(super) flow: Option<Flow>,
}

/// How a connection goes on.
#[derive(Clone, Copy, Debug)]
struct Connection {
    joint: Joint,
}

impl Engine {
    pub(super) fn restore_sources(
        &mut self,
        cursors: BTreeMap<SourceName, Cursor>,
        open_gaps: Vec<Gap>,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        for gap in open_gaps {
            let source = gap.source.clone();
            self.sources.entry(source).or_default().gap = Some(gap);
        }
        for (source, cursor) in cursors {
            let state = self.sources.entry(source.clone()).or_default();
            state.cursor = Some(cursor);
            state.blind_since = Some(now);
            state.open_gap(&source, time(cursor), DownReason::NotRunning, commit);
        }
        self.spikes.exposure.sources = self.sources.len();
    }

    pub(super) fn connected(&mut self, source: SourceName, joint: Joint, now: Timestamp) {
        let state = self.sources.entry(source).or_default();
        state.blind_since.get_or_insert(now);
        state.is_away = false;
        state.fresh = Some(Connection { joint });
        self.spikes.exposure.sources = self.sources.len();
    }

    pub(super) fn down(&mut self, source: &SourceName, reason: DownReason, now: Timestamp, commit: &mut Commit) {
        let state = self.sources.entry(source.clone()).or_default();
        state.fresh = None;
        state.is_away = true;
        state.silent += u32::from(reason == DownReason::Stalled);
        state.blind_since.get_or_insert(now);
        let from = state.cursor.map_or(now, time);
        state.open_gap(source, from, reason, commit);
    }

    /// A source went on behind what was read, and what it was to read again in between is lost after all.
    pub(super) fn missed(
        &mut self,
        source: SourceName,
        from: Timestamp,
        to: Timestamp,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let gap = Gap { source, from, to: Some(to.max(from)), reason: DownReason::CursorTooOld, recovered: false };
        commit.gaps.push(gap.clone());
        self.sources.entry(gap.source.clone()).or_default().lost(&gap);
        self.spikes.exposure.ended(&gap);
        self.tell_gap(&gap, now, commit);
    }

    /// A frame came: the source sees. The first one after a connection tells whether the
    /// stream goes on where it was left: the event we resumed from must come again.
    pub(super) fn frame_seen(&mut self, source: &SourceName, frame: Frame, now: Timestamp, commit: &mut Commit) {
        if !self.sources.contains_key(source.as_str()) {
            self.sources.insert(source.clone(), SourceState::default());
            self.spikes.exposure.sources = self.sources.len();
        }
        let Some(state) = self.sources.get_mut(source.as_str()) else { return };
        let cursor = frame.cursor;
        let before = state.cursor;
        if before.is_none() {
            self.spikes.source_added(self.event_clock);
            self.quiets.source_added(self.event_clock);
            self.archived.source_added();
            self.follows.source_added(self.event_clock);
            self.vocabularies.change(|vocabulary| vocabulary.doubt(time(cursor)));
        }
        let newest = before.map_or(cursor, |before| before.max(cursor));
        state.cursor = Some(newest);
        state.behind = now.since(time(newest)) > BEHIND;
        let is_newest = before.is_none_or(|before| cursor > before);
        if is_newest {
            state.silent = 0;
        }
        let fresh = state.fresh.take();
        let sees_again = !state.is_away && state.silent < SILENT_CONNECTIONS && state.blind_since.take().is_some();
        if fresh.is_some() || sees_again {
            self.first_seen(source, fresh, cursor, before, now, commit);
        }
        if sees_again {
            self.end_notice(&blind_topic(source), now, commit);
        }
        let flows = |state: &mut SourceState| {
            frame.live && is_newest && state.flows(frame, time(cursor), &self.spikes.scale, self.rules.zone())
        };
        if self.sources.get_mut(source.as_str()).is_some_and(flows) {
            self.flows_again(source, now, commit);
        }
    }

    /// Ends a source's gap with the first frame of a connection, or the first after a silence.
    fn first_seen(
        &mut self,
        source: &SourceName,
        fresh: Option<Connection>,
        cursor: Cursor,
        before: Option<Cursor>,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let Some(state) = self.sources.get_mut(source.as_str()) else { return };
        let (recovered, lost) = match fresh.map(|connection| connection.joint) {
            Some(Joint::Repeats(from)) if time(cursor) > time(from) + CLOCKS_DIFFER => (false, Some(from)),
            Some(Joint::Repeats(_) | Joint::GoesOn) => (true, None),
            Some(Joint::Live) | None => (false, None),
        };
        if let Some(from) = lost {
            let from = before.map_or(from, |before| before.min(from));
            state.open_gap(source, time(from), DownReason::CursorTooOld, commit);
        }
        let Some(mut gap) = state.gap.take() else { return };
        gap.to = Some(time(cursor).max(gap.from));
        gap.recovered = recovered;
        if lost.is_some() {
            gap.reason = DownReason::CursorTooOld;
        }
        commit.gaps.push(gap.clone());
        state.lost(&gap);
        self.spikes.exposure.ended(&gap);
        self.tell_gap(&gap, now, commit);
    }

    /// Raises an alert for every source that has been blind too long.
    pub(super) fn watch_sources(&mut self, now: Timestamp, commit: &mut Commit) {
        let blind: Vec<(SourceName, Timestamp, &str)> = self
            .sources
            .iter()
            .filter_map(|(source, state)| Some((source.clone(), state.blind_since?, state.advice())))
            .filter(|(_, since, _)| now.since(*since) >= BLIND_AFTER)
            .collect();
        for (source, since, advice) in blind {
            let title = format!("Stormbell does not see {source}");
            let since = since.whole_second();
            let why = format!(
                "nothing new since {since}; posts on {source} are not being read, quiet may be blindness{advice}"
            );
            let notice = Notice {
                rule: "stormbell.blind",
                topic: blind_topic(&source),
                severity: Severity::High,
                title,
                why,
                not_to: None,
            };
            self.raise_notice(notice, now, commit);
        }
        self.watch_flows(now, commit);
    }

    /// A source is blind for as long as before.
    pub(super) fn sources_clock_set(&mut self, set: ClockSet) {
        for state in self.sources.values_mut() {
            state.blind_since = state.blind_since.map(|since| set.moves(since));
        }
    }

    /// Whether every source sees the present; quiet means something only then.
    pub(super) fn all_see(&self) -> bool {
        self.sources.values().all(SourceState::sees)
    }

    /// Whether a source has no connection, and what comes of it was sent to us.
    pub fn is_away(&self, source: &SourceName) -> bool {
        self.sources.get(source.as_str()).is_some_and(|state| state.is_away)
    }

    /// Those that do not see the present.
    pub(super) fn blind(&self) -> Vec<&str> {
        self.sources.iter().filter(|(_, state)| !state.sees()).map(|(source, _)| source.as_str()).collect()
    }

    fn tell_gap(&mut self, gap: &Gap, now: Timestamp, commit: &mut Commit) {
        let Some(to) = gap.to else { return };
        let length = to.since(gap.from);
        if gap.recovered || length < GAP_WORTH_TELLING {
            return;
        }
        let (source, from, to) = (&gap.source, gap.from.whole_second(), to.whole_second());
        let notice = Notice {
            rule: "stormbell.gap",
            topic: format!("stormbell.gap.{source}"),
            severity: Severity::Medium,
            title: format!("Stormbell missed {} of {source}", human(length)),
            why: format!(
                "nothing was read between {from} and {to} and the source no longer has it ({}); look by hand",
                gap.reason.as_str()
            ),
            not_to: None,
        };
        self.raise_notice(notice, now, commit);
    }
}

impl SourceState {
    /// Whether it sees the present.
    pub(super) const fn sees(&self) -> bool {
        self.blind_since.is_none() && !self.behind
    }

    /// What to do about it beyond looking by hand, where the reason says that.
    fn advice(&self) -> &'static str {
        match self.gap.as_ref().map(|gap| gap.reason) {
            Some(DownReason::Spent) => SPENT,
            Some(DownReason::QuotaSpent) => QUOTA_SPENT,
            _ => "",
        }
    }

    /// How far it was read.
    pub(super) fn read_to(&self) -> Option<Timestamp> {
        self.cursor.map(time)
    }

    /// Opens a gap unless one is open.
    fn open_gap(&mut self, source: &SourceName, from: Timestamp, reason: DownReason, commit: &mut Commit) {
        if self.gap.is_none() {
            let gap = Gap { source: source.clone(), from, to: None, reason, recovered: false };
            commit.gaps.push(gap.clone());
            self.gap = Some(gap);
        }
    }
}

fn blind_topic(source: &SourceName) -> String {
    format!("stormbell.blind.{source}")
}

const fn time(cursor: Cursor) -> Timestamp {
    cursor.time()
}
