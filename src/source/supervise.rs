//! Keeps one Jetstream source connected, and resumes it where it was.
//!
//! Connect, read, and when it ends say so, wait and begin again: with the next host after
//! a failure, at the processed position less an overlap. It never gives up and never hurries
//! a server. At least once, never exactly once: repetitions are for the engine to drop.
//!
//! It decodes nothing. The only thing it reads in a frame is its time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::backoff::{Backoff, Hosts, Jitter};
use super::position::{Position, Resume, Start};
use super::reader::Reader;
use super::seam::{self, Seam};
use super::session::{End, Report, SeamWatch, Session};
use super::socket::Socket;
use super::timing::Timing;
use super::ws::{ConnectError, Connector, HARD_LIMIT_BYTES, peer};
use super::{Incoming, chain};
use crate::config::model::JetstreamConfig;
use crate::domain::event::{Cursor, DownReason};
use crate::domain::id::SourceName;
use crate::domain::time::Clock;
use crate::telemetry::events;

/// One source and what it needs.
pub struct Supervisor {
    /// Its name.
    pub name: SourceName,
    /// Where to connect and what to ask for.
    pub config: JetstreamConfig,
    /// How patient to be.
    pub timing: Timing,
    /// Where it is; moved on by whoever commits what the frames led to.
    pub position: Position,
    /// Where frames go. When it is full, the source waits.
    pub out: mpsc::Sender<Incoming>,
    /// What stamps the frames.
    pub clock: Arc<dyn Clock>,
}

impl Supervisor {
    /// Runs until cancelled, or until nobody listens any more.
    pub async fn run(self, cancel: CancellationToken) {
        let hard_limit = self.config.max_frame_bytes.max(HARD_LIMIT_BYTES);
        let connector = Connector::new(self.config.transport.clone(), self.timing.connect_within, hard_limit);
        let backoff = Backoff::new(Jitter::from_system(), self.timing.first_backoff, self.timing.longest_backoff);
        let run = Run {
            connector: Arc::new(connector),
            hosts: Hosts::new(self.config.urls.clone()),
            backoff,
            resume: Resume::new(self.position.clone()),
            last_host: None,
            supervisor: self,
            cancel,
        };
        run.keep_connected().await;
    }
}

/// The program stops.
struct Stop;

/// What changes from one connection to the next.
struct Run {
    supervisor: Supervisor,
    connector: Arc<Connector>,
    hosts: Hosts,
    backoff: Backoff,
    resume: Resume,
    last_host: Option<String>,
    cancel: CancellationToken,
}

impl Run {
    async fn keep_connected(mut self) {
        let mut wait = Duration::ZERO;
        loop {
            match self.connect_and_read(wait).await {
                Ok(next_wait) => wait = next_wait,
                Err(Stop) => return,
            }
        }
    }

    /// One attempt, after a wait; returns the wait before the next.
    async fn connect_and_read(&mut self, wait: Duration) -> Result<Duration, Stop> {
        let now = Instant::now();
        let rest = self.hosts.choose(now).map_or(Duration::ZERO, |until| until - now);
        self.unless_cancelled(sleep(rest + wait)).await?;
        let Some(base) = self.hosts.current().cloned() else { return Err(Stop) };
        let host = peer(&base).unwrap_or_default();
        let start = self.start(&host);
        let url = subscription(&base, &self.supervisor.config.wanted_collections, start.map(|start| start.ask));
        let connector = Arc::clone(&self.connector);
        match self.unless_cancelled(connector.connect(&url)).await? {
            Ok(socket) => self.read(socket, base, host, start).await,
            Err(error) => {
                let wait = self.after_refusal(&host, &error);
                let refused = matches!(error, ConnectError::Refused { .. });
                self.down(if refused { DownReason::Refused } else { DownReason::ConnectFailed }).await?;
                Ok(wait)
            }
        }
    }

    fn start(&self, host: &str) -> Option<Start> {
        let timing = &self.supervisor.timing;
        let same = self.last_host.as_deref().is_none_or(|last| last == host);
        self.resume.start(if same { timing.overlap } else { timing.overlap_other_host })
    }

    async fn read(&mut self, socket: Socket, base: Url, host: String, start: Option<Start>) -> Result<Duration, Stop> {
        events::source_connected(&self.supervisor.name, &host, start.is_some());
        let connected = Incoming::Connected {
            source: self.supervisor.name.clone(),
            host: host.clone(),
            resumed_from: start.map(|start| start.known),
            at: self.supervisor.clock.now(),
        };
        self.tell(connected).await?;
        self.last_host = Some(host);
        let since = Instant::now();
        let report = self.session(socket, base, start).await;
        let healthy = since.elapsed() >= self.supervisor.timing.healthy_after;
        self.after_session(report, start, healthy).await
    }

    async fn session(&self, socket: Socket, base: Url, start: Option<Start>) -> Report {
        let supervisor = &self.supervisor;
        let reader = Reader::new(socket, supervisor.config.max_frame_bytes, Arc::clone(&supervisor.clock));
        let seam = match start {
            Some(_) => SeamWatch::CatchingUp {
                plan: Box::new(move |handover| self.plan_seam(&base, handover)),
                from: self.resume.open_seam(),
            },
            None => SeamWatch::None,
        };
        let session = Session {
            source: &supervisor.name,
            timing: &supervisor.timing,
            expect_frame_within: supervisor.config.expect_frame_within,
            out: &supervisor.out,
            clock: &supervisor.clock,
            cancel: &self.cancel,
            seam,
        };
        session.run(reader).await
    }

    fn plan_seam(&self, base: &Url, handover: i64) -> Seam {
        let supervisor = &self.supervisor;
        let start = Cursor(seam::start(handover, &supervisor.timing));
        Seam {
            source: supervisor.name.clone(),
            connector: Arc::clone(&self.connector),
            url: subscription(base, &supervisor.config.wanted_collections, Some(start)),
            max_frame_bytes: supervisor.config.max_frame_bytes,
            timing: supervisor.timing.clone(),
            out: supervisor.out.clone(),
            clock: Arc::clone(&supervisor.clock),
            handover,
        }
    }

    async fn after_session(&mut self, report: Report, start: Option<Start>, healthy: bool) -> Result<Duration, Stop> {
        if let Some(first) = report.first {
            self.resume.saw(first);
        }
        self.resume.leave_seam(report.open_seam);
        if healthy {
            self.backoff.reset();
        }
        let reason = match report.end {
            End::Stopped => return Err(Stop),
            End::Unreadable(reason) => {
                events::source_stepped_over(&self.supervisor.name, reason);
                self.resume.step_over(start, report.newest, self.supervisor.clock.now().micros());
                DownReason::Closed
            }
            End::Down(reason) => {
                // A long healthy connection that ends is a restart; our own queue is not
                // the host's fault. All else is a reason to try another.
                if (!healthy && reason != DownReason::Overrun) || reason == DownReason::Stalled {
                    self.hosts.fail_over();
                }
                reason
            }
        };
        self.down(reason).await?;
        Ok(self.backoff.after_failure())
    }

    fn after_refusal(&mut self, host: &str, error: &ConnectError) -> Duration {
        if let ConnectError::Refused { status: 429 | 503, retry_after, .. } = error {
            let now = self.supervisor.clock.now();
            let rest = retry_after.map_or_else(|| self.backoff.after_busy(), |after| after.from(now));
            self.hosts.rest(Instant::now() + rest.min(self.supervisor.timing.longest_rest));
        }
        self.hosts.fail_over();
        let wait = self.backoff.after_failure();
        events::source_unreachable(&self.supervisor.name, host, &chain(error), wait);
        wait
    }

    async fn down(&self, reason: DownReason) -> Result<(), Stop> {
        // The other reasons have been told with their errors where they were met.
        if matches!(reason, DownReason::Stalled | DownReason::Overrun) {
            events::source_down(&self.supervisor.name, reason, None);
        }
        let at = self.supervisor.clock.now();
        self.tell(Incoming::Down { source: self.supervisor.name.clone(), reason, at }).await
    }

    /// Waits for room as long as it takes: without room there is no use in a connection.
    async fn tell(&self, incoming: Incoming) -> Result<(), Stop> {
        self.unless_cancelled(self.supervisor.out.send(incoming)).await?.or(Err(Stop))
    }

    async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        self.cancel.run_until_cancelled(work).await.ok_or(Stop)
    }
}

/// The address of a subscription: what the user wrote, what is wanted, and from where.
fn subscription(base: &Url, wanted_collections: &[String], from: Option<Cursor>) -> Url {
    let mut url = base.clone();
    {
        let mut query = url.query_pairs_mut();
        for collection in wanted_collections {
            query.append_pair("wantedCollections", collection);
        }
        if let Some(Cursor(micros)) = from {
            query.append_pair("cursor", &micros.to_string());
        }
    }
    if url.query() == Some("") {
        url.set_query(None);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_keeps_what_the_user_wrote() {
        let wanted = ["app.bsky.feed.post".to_owned(), "app.bsky.feed.like".to_owned()];
        for (base, wanted, from, expected) in [
            ("ws://h/subscribe", &wanted[..0], None, "ws://h/subscribe"),
            (
                "ws://h/subscribe?wantedDids=did:plc:a&compress=false",
                &wanted[..],
                Some(Cursor(1_795_361_895_314_207)),
                "ws://h/subscribe?wantedDids=did:plc:a&compress=false&wantedCollections=app.bsky.feed.post&wantedCollections=app.bsky.feed.like&cursor=1795361895314207",
            ),
        ] {
            assert_eq!(subscription(&base.parse().unwrap(), wanted, from).as_str(), expected);
        }
    }
}
