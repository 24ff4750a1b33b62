//! The way out: commits a second, and ten thousand messages that waited for a receiver.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use stormbell::app::clock::SteadyClock;
use stormbell::config::model::{ReceiverConfig, ReceiverKind, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::commit::Commit;
use stormbell::domain::id::{DeliveryId, ReceiverName};
use stormbell::domain::incident::{Severity, TimelineEntry};
use stormbell::domain::message::{Attempt, Delivery, Leased, MessageKind};
use stormbell::domain::time::{Clock, Timestamp};
use stormbell::domain::turn::Room;
use stormbell::notify::Receiver;
use stormbell::notify::dispatch::{Dispatcher, Observer, Outbox, Outcome};
use stormbell::store::{Store, StoreHandle, channel, run};
use stormbell::telemetry::metrics::Metrics;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::machine::folder;
use super::measure::Spread;
use super::message::delivery;
use super::sink::Sink;

#[derive(Debug, Parser)]
pub struct Deliveries {
    /// Messages that wait, each about an incident of its own
    #[arg(long, default_value_t = 10_000)]
    messages: usize,
    /// Commits to time
    #[arg(long, default_value_t = 2000)]
    commits: usize,
    /// Seconds for which a receiver with a limit is watched
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

impl Deliveries {
    /// As without arguments.
    pub fn all() -> Self {
        Self::parse_from(["deliveries"])
    }

    pub fn run(self) {
        self.commits_a_second();
        let (took, sent, late) = self.drain("hook", |sink| ReceiverKind::Webhook {
            url: sink.url().parse().unwrap(),
            secret: None,
            transport: Transport::default(),
        });
        println!(
            "drained   {sent} messages in {:.1} s, {:.0} a second; a critical one that came when half was sent: {:.0} ms",
            took.as_secs_f64(),
            sent as f64 / took.as_secs_f64(),
            late.map_or(f64::NAN, |late| late.as_secs_f64() * 1000.0)
        );
        let (took, sent, _) = self.drain("pager", |sink| ReceiverKind::PagerDuty {
            url: sink.url().parse().unwrap(),
            routing_key: Secret::new("0123456789abcdef0123456789abcdef".to_owned()),
            webhook_secret: None,
            transport: Transport::default(),
        });
        let most = 60 + took.as_secs() as usize * 2 + 2;
        assert!(sent <= most, "{sent} messages in {} s are more than the {most} that PagerDuty allows", took.as_secs());
        println!("limited   {sent} messages to PagerDuty in {:.1} s: 60 at once, then 2 a second", took.as_secs_f64());
    }

    /// An incident, its history and two messages at a time, as a lone alert is written, to a disk that is waited for.
    fn commits_a_second(&self) {
        let folder = folder();
        let mut store = Store::open(&folder.path().join("stormbell.db")).unwrap();
        let took: Vec<Duration> = (0..self.commits)
            .map(|number| {
                let commit = commit(number, ["hook", "pager"].map(ReceiverName::from).as_slice());
                let began = Instant::now();
                store.commit(&[commit]).unwrap();
                began.elapsed()
            })
            .collect();
        let a_second = self.commits as f64 / took.iter().sum::<Duration>().as_secs_f64();
        println!("commits   one alert each, durable: {a_second:.0} a second; {}", Spread::of(took));
        let together: Vec<Commit> =
            (self.commits..2 * self.commits).map(|number| commit(number, &["hook".into()])).collect();
        let began = Instant::now();
        together.chunks(32).for_each(|group| store.commit(group).unwrap());
        let a_second = self.commits as f64 / began.elapsed().as_secs_f64();
        println!("commits   in groups of 32, as under a flood: {a_second:.0} a second");
    }

    /// Sends what waits for a receiver, or as much as its limit lets through in some seconds. How long it took, how many
    /// went, and how long a critical one took that came in the middle.
    fn drain(&self, name: &str, kind: impl Fn(&Sink) -> ReceiverKind) -> (Duration, usize, Option<Duration>) {
        let folder = folder();
        let sink = Sink::open();
        let receiver = ReceiverName::from(name);
        let mut store = Store::open(&folder.path().join("stormbell.db")).unwrap();
        let waiting: Vec<Commit> =
            (0..self.messages).map(|number| commit(number, std::slice::from_ref(&receiver))).collect();
        waiting.chunks(500).for_each(|group| store.commit(group).unwrap());
        let clock: Arc<dyn Clock> = Arc::new(SteadyClock::start());
        let (handle, requests) = channel(Arc::clone(&clock), Arc::new(Metrics::default()));
        let config = ReceiverConfig::new(receiver.clone(), kind(&sink));
        let (undelivered, _nobody) = mpsc::channel(1);
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let sent = Arc::new(Sent::default());
        let dispatcher = Dispatcher {
            name: receiver.clone(),
            receiver: Receiver::build(&config, None).unwrap(),
            outbox: OnDisk { store: handle.clone(), clock: Arc::clone(&clock) },
            wake: Arc::clone(&wake),
            clock,
            observer: Arc::<Sent>::clone(&sent),
            undelivered,
        };
        let limited = name == "pager";
        Runtime::new().unwrap().block_on(async {
            let writer = tokio::task::spawn_blocking(move || run(store, requests));
            let began = Instant::now();
            let worker = tokio::spawn(dispatcher.run(stop.clone()));
            let mut late = None;
            let sink = Arc::new(std::sync::Mutex::new(sink));
            if limited {
                tokio::time::sleep(Duration::from_secs(self.seconds)).await;
            } else {
                sent.reaches(self.messages / 2).await;
                let mut grave = commit(self.messages, std::slice::from_ref(&receiver));
                grave.outbox.iter_mut().for_each(|one| one.message.incident.severity = Severity::Critical);
                let id = grave.outbox[0].message.incident.id.to_string();
                let asked = Instant::now();
                handle.commit(grave).await.unwrap();
                wake.notify_one();
                let listens = Arc::clone(&sink);
                late = tokio::task::spawn_blocking(move || {
                    loop {
                        let taken = listens.lock().unwrap().next();
                        if taken.message["incident"]["id"] == id.as_str() {
                            return taken.at - asked;
                        }
                    }
                })
                .await
                .ok();
                sent.reaches(self.messages + 1).await;
            }
            let (took, count) = (began.elapsed(), sent.count.load(Ordering::SeqCst));
            stop.cancel();
            worker.await.unwrap();
            handle.close().await.unwrap();
            writer.await.unwrap().unwrap();
            (took, count, late)
        })
    }
}

/// What an alert writes: an incident, a line of its history, a message to each receiver.
fn commit(number: usize, receivers: &[ReceiverName]) -> Commit {
    let message = delivery(&format!("inc-{number:06}"), MessageKind::Opened);
    let mut incident = message.message.incident.clone();
    incident.severity = Severity::High;
    let entry = TimelineEntry {
        incident: incident.id.clone(),
        at: incident.opened_at,
        what: "opened",
        by: "stormbell".to_owned(),
        text: incident.why.clone(),
    };
    let to = |receiver: &ReceiverName| {
        let mut one = Delivery { receiver: receiver.clone(), ..message.clone() };
        one.id = format!("{}.{receiver}", one.id).as_str().into();
        one.message.incident.severity = Severity::High;
        one.due = Timestamp::default();
        one.give_up = Timestamp::from_seconds(1 << 33);
        one
    };
    Commit {
        outbox: receivers.iter().map(to).collect(),
        incidents: vec![incident],
        timeline: vec![entry],
        ..Commit::default()
    }
}

/// The store as the daemon's dispatchers see it.
struct OnDisk {
    store: StoreHandle,
    clock: Arc<dyn Clock>,
}

impl Outbox for OnDisk {
    async fn lease(&self, receiver: &ReceiverName, now: Timestamp, lease: Duration, room: Room) -> Vec<Leased> {
        self.store.lease(receiver, now, lease, room).await.unwrap()
    }

    async fn finish(&self, id: &DeliveryId, attempt: Attempt) {
        self.store.finish(id, attempt, self.clock.now()).await.unwrap();
    }
}

#[derive(Default)]
struct Sent {
    count: AtomicUsize,
    more: Notify,
}

impl Sent {
    async fn reaches(&self, count: usize) {
        loop {
            let more = self.more.notified();
            if self.count.load(Ordering::SeqCst) >= count {
                return;
            }
            more.await;
        }
    }
}

impl Observer for Sent {
    fn sent(&self, _receiver: &ReceiverName, outcome: Outcome, _post_to_delivery: Option<Duration>) {
        assert_eq!(outcome, Outcome::Delivered);
        self.count.fetch_add(1, Ordering::SeqCst);
        self.more.notify_waiters();
    }
}
