//! A post that nobody wrote, sent through the running daemon at intervals: queue, worker, decoder, the engine's task, the
//! disk. Parts that each say they are well can still be stuck together; what came through the whole has come through.
//!
//! It is told to nobody and counted nowhere: the engine's task takes it out once it is there, and writes one row. What
//! becomes of an alert after that is seen in the outbox and by the receivers' workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::domain::commit::VolumeState;
use crate::domain::engine::Batch;
use crate::domain::event::Reach;
use crate::domain::time::{Clock, Timestamp};
use crate::source::{Frame, Incoming};

/// The source that it pretends to come from. No configuration can name one like that: it has a dot.
const SOURCE: &str = "stormbell.probe";
/// It takes milliseconds; a replay after an outage may hold it up for seconds.
const IN_TIME: Duration = Duration::from_secs(15);
const NEVER: i64 = i64::MIN;

/// The probe under way; cheap to clone, shared.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    sent: Arc<AtomicI64>,
    back: Arc<AtomicI64>,
}

impl Probe {
    /// Nothing came through yet.
    pub(super) fn starting(now: Timestamp) -> Self {
        Self { sent: Arc::new(AtomicI64::new(now.micros())), back: Arc::new(AtomicI64::new(NEVER)) }
    }

    /// Sends one each time, unless one is under way.
    pub(super) async fn run(self, every: Duration, out: mpsc::Sender<Incoming>, clock: Arc<dyn Clock>) {
        let mut tick = interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let (sent, back) = (self.sent.load(Ordering::Relaxed), self.back.load(Ordering::Relaxed));
            if back != sent && back != NEVER {
                continue; // it is late, and known to be
            }
            let now = clock.now();
            self.sent.store(now.micros(), Ordering::Relaxed);
            if out.send(post(now)).await.is_err() {
                return; // the daemon stops
            }
        }
    }

    /// Whether a batch is the probe; then what is to be written, after which [`Probe::came`] is due.
    pub(super) fn takes(batch: &Batch) -> Option<VolumeState> {
        let (_, at) = batch.span().filter(|_| batch.source.as_str() == SOURCE)?;
        Some(VolumeState { rule: SOURCE.into(), meaning: "probe".to_owned(), at, state: Vec::new() })
    }

    /// The one sent then came through.
    pub(super) fn came(&self, sent: Timestamp) {
        self.back.store(sent.micros(), Ordering::Relaxed);
    }

    /// What is wrong with it.
    pub(super) fn reason(&self, now: Timestamp) -> Option<String> {
        let (sent, back) = (self.sent.load(Ordering::Relaxed), self.back.load(Ordering::Relaxed));
        let under_way = now.since(Timestamp::from_micros(sent));
        match back {
            NEVER => Some("the probe post has not come through yet".to_owned()),
            back if back != sent && under_way > IN_TIME => {
                Some(format!("the probe post has not come through for {} s", under_way.as_secs()))
            }
            _ => None,
        }
    }
}

/// As the wire has it.
fn post(now: Timestamp) -> Incoming {
    let micros = now.micros();
    let frame = format!(
        r#"{{"did":"did:plc:stormbellprobe","time_us":{micros},"kind":"commit","commit":{{"rev":"{micros}","operation":"create","collection":"app.bsky.feed.post","rkey":"{micros}","record":{{"$type":"app.bsky.feed.post","createdAt":"{now}","langs":["en"],"text":"a probe of stormbell"}},"cid":"{micros}"}}}}"#
    );
    let frames = vec![Frame { received_at: Some(now), body: Ok(frame.into()) }];
    Incoming::Frames { source: SOURCE.into(), frames, reach: Reach::default() }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use tokio::sync::watch;

    use super::*;
    use crate::app::clock::Behind;
    use crate::app::pipeline;
    use crate::domain::engine::Input;
    use crate::domain::rule::RuleSet;
    use crate::source::Format;

    #[tokio::test]
    async fn the_probe_is_a_post_to_the_pipeline_and_known_to_the_engines_task() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let (_rules, rules) = watch::channel(Arc::new(RuleSet::default()));
        let frames = stream::iter([post(now)]);
        let arrived = pipeline::matched(frames, |_| Format::Jetstream, rules, 1, Behind::default());
        let arrived = Box::pin(arrived).next().await.unwrap();
        let Input::Batch(batch) = arrived.input else { panic!("no batch") };
        let written = Probe::takes(&batch).unwrap();
        assert_eq!(written.at, now);
    }

    #[test]
    fn one_that_is_late_is_a_reason_until_it_comes() {
        let at = Timestamp::from_seconds;
        let probe = Probe::starting(at(100));
        assert!(probe.reason(at(100)).is_some(), "nothing came yet");
        probe.came(at(100));
        assert_eq!(probe.reason(at(159)), None);
        probe.sent.store(at(160).micros(), Ordering::Relaxed);
        assert_eq!(probe.reason(at(175)), None);
        assert!(probe.reason(at(176)).unwrap().contains("for 16 s"));
        probe.came(at(160));
        assert_eq!(probe.reason(at(176)), None);
    }
}
