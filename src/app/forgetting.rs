//! What is older than the configuration allows is removed, hour by hour or more often, and by a clock that is believed:
//! posts that were forgotten by one a year ahead are gone, also once it is put right.
//!
//! A clock that leaps ahead by more than a day is believed when it has stood for a day; until then time goes on evenly from
//! where it was. So nothing is kept for longer than that day. What was last written before a start says where it was: a
//! machine whose battery is empty leaps while nothing runs.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::domain::key::Key;
use crate::domain::time::{Clock, Timestamp};
use crate::store::{Retention, StoreHandle};

/// How often at most and at least.
const EVERY: RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(1);
/// What is too old stands for this part of its time at most.
const PART: u32 = 10;

/// Further than this no clock drifts, and no sleeping machine is believed at once.
const LEAP: Duration = Duration::from_hours(24);
/// So long somebody may need to see that a clock is wrong.
const STANDS: Duration = Duration::from_hours(24);

/// How often what is kept so long is looked through.
pub(super) fn often(shortest_retention: Duration) -> Duration {
    (shortest_retention / PART).clamp(*EVERY.start(), *EVERY.end())
}

/// Removes what is too old, so `often`, until told to stop, and tells `gone` the names after each round, also one
/// that ends halfway. Not sooner: of what is on its way to the disk just then, the disk does not know, and who hears of
/// the next portion at once takes it for gone. `written` is when the database was written to before this start.
pub(super) async fn forget_old(
    store: StoreHandle,
    clock: Arc<dyn Clock>,
    written: Option<Timestamp>,
    often: Duration,
    retention: impl Fn(Timestamp) -> Retention,
    gone: impl AsyncFn(Vec<Key>),
) -> anyhow::Result<()> {
    let (began, mut timer, mut believed) = (Instant::now(), interval(often), Believed::since(written));
    // After a sleep once is enough.
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let now = believed.now(clock.now(), began.elapsed());
        if believed.doubts() {
            tracing::warn!(by = %now, "the clock leapt ahead by more than a day: nothing is forgotten by it before it has stood for one");
        }
        let (retention, mut names) = (retention(now), Vec::new());
        loop {
            match store.forget(retention.clone()).await {
                Ok(portion) => {
                    names.extend(portion.gone);
                    if !portion.more {
                        break;
                    }
                }
                // A full disk or a backup that holds the database is no reason to stop listening.
                Err(error) if error.is_passing() => {
                    tracing::warn!(%error, "old posts are kept until the next round");
                    break;
                }
                Err(error) => return Err(error).context("forgetting old posts"),
            }
        }
        gone(names).await;
    }
}

/// Whether the clock is believed.
#[derive(Debug)]
pub(super) struct Believed {
    /// What was believed last, and how long after the start that was. None: there is nothing to lose yet.
    last: Option<(Timestamp, Duration)>,
    doubted_since: Option<Duration>,
}

impl Believed {
    /// From a time at which the clock was right, as far as anybody knows.
    pub(super) fn since(known: Option<Timestamp>) -> Self {
        Self { last: known.map(|known| (known, Duration::ZERO)), doubted_since: None }
    }

    /// The present; the clock says `clock`, and so much has gone by since the start, evenly.
    pub(super) fn now(&mut self, clock: Timestamp, since_start: Duration) -> Timestamp {
        let expected = self.last.map(|(at, then)| at + since_start.saturating_sub(then));
        let believed = match expected.filter(|expected| clock > *expected + LEAP) {
            Some(expected) => {
                let doubted_since = *self.doubted_since.get_or_insert(since_start);
                if since_start.saturating_sub(doubted_since) < STANDS { expected } else { clock }
            }
            None => clock,
        };
        if believed == clock {
            self.doubted_since = None;
        }
        self.last = Some((believed, since_start));
        believed
    }

    /// Whether it is not now.
    pub(super) const fn doubts(&self) -> bool {
        self.doubted_since.is_some()
    }
}

/// When a database was written to last, by the clock of then: before anybody opens it.
pub(super) fn last_written(database: &Path) -> Option<Timestamp> {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let written = |path: &Path| {
        let written = path.metadata().ok()?.modified().ok()?;
        let since_epoch = written.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).ok()?))
    };
    [written(database), written(Path::new(&log))].into_iter().flatten().max()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;
    use crate::app::clock::SteadyClock;
    use crate::app::tasks::Tasks;
    use crate::domain::commit::Commit;
    use crate::domain::post::Post;
    use crate::store::{Forgotten, Store};
    use crate::telemetry::metrics::Metrics;

    const HOUR: Duration = Duration::from_hours(1);
    const YEAR: Duration = Duration::from_hours(365 * 24);

    fn start() -> Timestamp {
        Timestamp::parse("2026-11-22T10:00:00Z").unwrap()
    }

    #[test]
    fn a_clock_a_year_ahead_is_believed_when_it_has_stood_for_a_day_and_not_before() {
        let mut believed = Believed::since(Some(start()));
        assert_eq!(believed.now(start() + HOUR, HOUR), start() + HOUR);
        for hour in 2..26 {
            assert_eq!(believed.now(start() + YEAR + HOUR * hour, HOUR * hour), start() + HOUR * hour);
            assert!(believed.doubts());
        }
        assert_eq!(believed.now(start() + YEAR + HOUR * 26, HOUR * 26), start() + YEAR + HOUR * 26);
        assert!(!believed.doubts());
    }

    #[test]
    fn one_that_is_put_right_in_time_was_never_believed() {
        let mut believed = Believed::since(Some(start()));
        assert_eq!(believed.now(start() + YEAR, HOUR), start() + HOUR);
        assert_eq!(believed.now(start() + HOUR * 2, HOUR * 2), start() + HOUR * 2);
        // The day begins anew.
        assert_eq!(believed.now(start() + YEAR, HOUR * 20), start() + HOUR * 20);
        assert_eq!(believed.now(start() + YEAR, HOUR * 43), start() + HOUR * 43);
    }

    #[test]
    fn hours_and_whatever_lies_behind_are_believed_at_once() {
        let mut believed = Believed::since(Some(start()));
        for at in [start() + HOUR * 12, start(), Timestamp::from_seconds(0)] {
            assert_eq!(believed.now(at, HOUR), at);
        }
        // From 1970 to the present is a leap like any other.
        assert_eq!(believed.now(start(), HOUR * 2), Timestamp::from_seconds(3600));
        assert_eq!(Believed::since(None).now(start(), HOUR), start(), "a new database");
    }

    #[test]
    fn what_is_kept_for_less_than_hours_is_not_kept_for_an_hour_more() {
        let minutes = |minutes| often(Duration::from_mins(minutes)).as_secs();
        assert_eq!([1, 10, 60, 600, 60 * 24 * 30].map(minutes), [60, 60, 360, 3600, 3600]);
    }

    #[test]
    fn what_was_written_last_says_when_that_was() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("stormbell.db");
        assert_eq!(last_written(&database), None);
        for (name, seconds) in [("stormbell.db", 1000), ("stormbell.db-wal", 2000)] {
            let file = std::fs::File::create(folder.path().join(name)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        }
        assert_eq!(last_written(&database), Some(Timestamp::from_seconds(2000)));
    }

    #[tokio::test]
    async fn a_database_that_is_held_for_long_does_not_end_the_daemon_with_its_old_posts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let database = Store::open(&path).unwrap();
        let (clock, metrics): (Arc<dyn Clock>, _) = (Arc::new(SteadyClock::start()), Arc::new(Metrics::default()));
        let (store, requests) = crate::store::channel(Arc::clone(&clock), metrics);
        let mut storing = Tasks::default();
        let backup = rusqlite::Connection::open(&path).unwrap();
        backup.execute_batch("BEGIN IMMEDIATE").unwrap();
        storing.spawn_blocking("store", move || Ok(crate::store::run(database, requests)?));
        // The writer's own patience ends after 5 s.
        let forgetting = forget_old(store.clone(), clock, None, HOUR, Retention::from, async |_| ());
        let forgetting = timeout(Duration::from_secs(7), forgetting).await;
        assert!(forgetting.is_err(), "{forgetting:?}");
        backup.execute_batch("ROLLBACK").unwrap();
        assert_eq!(store.forget(Timestamp::default()).await.unwrap(), Forgotten::default(), "the writer goes on");
    }

    #[tokio::test]
    async fn what_goes_in_several_portions_is_told_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut database = Store::open(&folder.path().join("a.db")).unwrap();
        let name = |number| format!("p{number}");
        let old = |number| Post::plain(name(number).into(), "sky".into(), "ann".into(), "old".to_owned(), start());
        database.commit(&[Commit { posts: (0..1200).map(old).collect(), ..Commit::default() }]).unwrap();
        let (clock, metrics): (Arc<dyn Clock>, _) = (Arc::new(SteadyClock::start()), Arc::new(Metrics::default()));
        let (store, requests) = crate::store::channel(Arc::clone(&clock), metrics);
        let mut storing = Tasks::default();
        storing.spawn_blocking("store", move || Ok(crate::store::run(database, requests)?));
        let (told, mut heard) = mpsc::channel(1);
        let gone = async |names: Vec<Key>| told.send(names).await.unwrap();
        let forgetting = forget_old(store, clock, None, HOUR, |_| Retention::from(start() + HOUR), gone);
        let first = tokio::select! {
            first = heard.recv() => first.unwrap(),
            ended = forgetting => panic!("{ended:?}"),
        };
        let names: HashSet<Key> = (0..1200).map(name).chain(["ann".to_owned()]).map(|name| Key::of(&*name)).collect();
        assert_eq!(first.into_iter().collect::<HashSet<Key>>(), names);
    }
}
