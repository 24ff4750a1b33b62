//! Keeps one source connected, whatever wire it speaks.
//!
//! Connect, read, and when it ends say so, wait and begin again: with the next host after a
//! failure. It never gives up and never hurries a server. At least once, never exactly once:
//! repetitions are for the engine to drop. It decodes nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use url::Url;

use super::backoff::{Backoff, Hosts, Jitter};
use super::chain;
use super::line::Line;
use crate::domain::event::DownReason;
use crate::domain::time::Timestamp;
use crate::net::retry::RetryAfter;
use crate::net::ws::{ConnectError, peer};
use crate::telemetry::events;

/// One kind of source: how it is connected to, and read.
pub trait Wire: Send {
    /// Connects to a host and reads until that ends. Tells `line` once the connection stands,
    /// and hands on what comes; where to begin, `line.position` says.
    fn read(&mut self, host: &Url, line: &mut Line) -> impl Future<Output = End> + Send;

    /// Waits before the next attempt. Whoever is also called by others listens to them meanwhile.
    fn pause(&mut self, wait: Duration, line: &mut Line) -> impl Future<Output = Result<(), End>> + Send {
        line.unless_stopped(sleep(wait))
    }
}

/// Why a connection is no longer read.
#[derive(Debug)]
pub enum End {
    /// The program stops, or nobody listens any more.
    Stopped,
    /// There was no connection.
    Failed(Failure),
    /// It is of no more use, and the host may be to blame.
    Down(DownReason),
    /// It is of no more use, through no fault of the host.
    Interrupted(DownReason),
    /// The server wants it made anew, as it does now and then. Nothing is wrong or lost.
    Renewed,
}

/// Why there was no connection.
#[derive(Debug)]
pub struct Failure {
    /// For the log: what happened and what to do, without secrets.
    pub error: String,
    /// What to do.
    pub remedy: Remedy,
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Try again soon.
    Retry,
    /// The server answered, and refused: try another soon.
    Refused,
    /// The server has enough of us for a while, perhaps it says for how long.
    Busy(Option<RetryAfter>),
    /// What the server gives us for a while is used up, until then.
    Spent(Timestamp),
    /// Somebody must do something first (a token, a right, an address): try again now and then.
    Operator,
}

impl Failure {
    /// A failure that only somebody can mend.
    pub fn operator(error: impl Into<String>) -> End {
        End::Failed(Self { error: error.into(), remedy: Remedy::Operator })
    }

    /// A failure that may pass.
    pub fn retry(error: impl Into<String>) -> End {
        End::Failed(Self { error: error.into(), remedy: Remedy::Retry })
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let remedy = match &error {
            ConnectError::Refused { status: 429 | 503, retry_after, .. } => Remedy::Busy(*retry_after),
            ConnectError::Refused { status: 401 | 403, .. } => Remedy::Operator,
            ConnectError::Refused { .. } => Remedy::Refused,
            _ => Remedy::Retry,
        };
        Self { error: chain(&error), remedy }
    }
}

impl From<ConnectError> for End {
    fn from(error: ConnectError) -> Self {
        Self::Failed(error.into())
    }
}

/// One source and what it needs.
pub struct Supervisor<W> {
    wire: W,
    line: Line,
    hosts: Hosts,
    backoff: Backoff,
    /// It was told that a quota is used up.
    is_spent: bool,
}

impl<W: Wire> Supervisor<W> {
    /// Reads `wire` at the first of `urls` that will do.
    pub fn new(wire: W, urls: Vec<Url>, line: Line) -> Self {
        let backoff = Backoff::new(Jitter::from_system(), line.timing.first_backoff, line.timing.longest_backoff);
        Self { wire, line, hosts: Hosts::new(urls), backoff, is_spent: false }
    }

    /// Runs until cancelled, or until nobody listens any more.
    pub async fn run(mut self) {
        let mut wait = Duration::ZERO;
        while let Ok(next) = self.connect_and_read(wait).await {
            wait = next;
        }
    }

    /// One attempt, after a wait; returns the wait before the next.
    async fn connect_and_read(&mut self, wait: Duration) -> Result<Duration, End> {
        let now = Instant::now();
        let rest = self.hosts.choose(now).map_or(Duration::ZERO, |until| until - now);
        self.wire.pause(rest + wait, &mut self.line).await?;
        let Some(host) = self.hosts.current().cloned() else { return Err(End::Stopped) };
        let end = self.wire.read(&host, &mut self.line).await;
        let healthy = self.line.was_healthy();
        if healthy {
            self.is_spent = false;
            self.backoff.reset();
        }
        match end {
            End::Stopped => Err(End::Stopped),
            // A server that wants nothing but new connections is none to be hurried.
            End::Renewed => Ok(if healthy { Duration::ZERO } else { self.backoff.after_failure() }),
            End::Failed(failure) => {
                let wait = self.after_refusal(&host, &failure);
                let reason = match failure.remedy {
                    Remedy::Retry => DownReason::ConnectFailed,
                    Remedy::Spent(_) => DownReason::QuotaSpent,
                    Remedy::Refused | Remedy::Busy(_) | Remedy::Operator => DownReason::Refused,
                };
                self.line.down(reason).await?;
                Ok(wait)
            }
            End::Interrupted(reason) => {
                self.line.down(reason).await?;
                Ok(self.backoff.after_failure())
            }
            End::Down(reason) => {
                // A long healthy connection that ends is a restart. All else is a reason to try another.
                if !healthy || reason == DownReason::Stalled {
                    self.hosts.fail_over();
                }
                // The other reasons have been told with their errors where they were met.
                if reason == DownReason::Stalled {
                    events::source_down(&self.line.name, reason, None);
                }
                self.line.down(reason).await?;
                Ok(self.backoff.after_failure())
            }
        }
    }

    fn after_refusal(&mut self, host: &Url, failure: &Failure) -> Duration {
        let timing = &self.line.timing;
        let rest = match failure.remedy {
            Remedy::Retry | Remedy::Refused => None,
            Remedy::Busy(Some(after)) => Some(after.from(self.line.now())),
            Remedy::Busy(None) => Some(self.backoff.after_busy()),
            Remedy::Operator => Some(timing.operator_rest),
            Remedy::Spent(until) => Some(until.since(self.line.now())),
        };
        if let Some(rest) = rest {
            self.hosts.rest(Instant::now() + rest.min(timing.longest_rest));
        }
        self.hosts.fail_over();
        let wait = self.backoff.after_failure();
        let was_spent = std::mem::replace(&mut self.is_spent, matches!(failure.remedy, Remedy::Spent(_)));
        if self.is_spent {
            if !was_spent {
                events::source_down(&self.line.name, DownReason::QuotaSpent, Some(&failure.error));
            }
            return wait;
        }
        let name = peer(host).unwrap_or_default();
        events::source_unreachable(&self.line.name, &name, &failure.error, wait + rest.unwrap_or_default());
        wait
    }
}
