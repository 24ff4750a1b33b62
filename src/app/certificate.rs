//! The web server's certificate: read at the start, and again when its files change or SIGHUP comes.
//!
//! Whoever renews it (certbot, a script of the hospital's authority) need not tell the daemon. Files that are wrong, or
//! only half of them renewed yet, change nothing: the one that is held goes on.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::certificate::{certificate, ends};
use crate::config::model::TlsFiles;
use crate::domain::time::{Clock, Timestamp};
use crate::telemetry::events;
use crate::telemetry::metrics::Metrics;
use crate::web::Tls;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(30);
/// How long before its end people are told, once a day.
const SOON: Duration = Duration::from_hours(14 * 24);
/// How often.
const DAILY: Duration = Duration::from_hours(24);

/// A certificate, and where it came from.
pub(super) struct Certificate {
    files: TlsFiles,
    tls: Tls,
    seen: Stamps,
    /// When it ends.
    ends: Option<Timestamp>,
    /// When people were last told that this is soon.
    told: Option<Timestamp>,
}

/// Which file each is (what renews may put another one in its place), when it was written, and how long it is.
type Stamps = [Option<(u64, i64, i64, u64)>; 2];

impl Certificate {
    /// Reads it for the first time. Blocks on files.
    pub(super) fn new(files: &TlsFiles) -> anyhow::Result<Self> {
        // Before they are read: what is written meanwhile is read again.
        let seen = stamps(files);
        let certified = certificate(files).context("[web] tls")?;
        let ends = ends(&certified);
        let tls = Tls::new(certified).context("[web] tls")?;
        Ok(Self { files: files.clone(), tls, seen, ends, told: None })
    }

    /// For the server.
    pub(super) fn served(&self) -> Tls {
        self.tls.clone()
    }

    /// Looks at the files until told to stop.
    pub(super) async fn follow(
        mut self,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut hang_up = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
        loop {
            self.warn(clock.now(), &metrics);
            let asked = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = hang_up.recv() => true,
                () = sleep(EVERY) => false,
            };
            let looked = tokio::task::spawn_blocking(move || {
                self.look(asked);
                self
            });
            self = looked.await.context("reading the certificate")?;
        }
    }

    /// Says that it ends soon, or has, for as long as that is so.
    fn warn(&mut self, now: Timestamp, metrics: &Metrics) {
        let Some(ends) = self.ends else { return };
        metrics.certificate(ends);
        // A clock that was set back is no reason to be silent.
        let lately = self.told.is_some_and(|told| told <= now && now.since(told) < DAILY);
        if ends < now + SOON && !lately {
            self.told = Some(now);
            events::certificate_ends(&self.files.certificate, ends);
        }
    }

    fn look(&mut self, asked: bool) {
        let now = stamps(&self.files);
        if now == self.seen && !asked {
            return;
        }
        self.seen = now;
        match certificate(&self.files) {
            Ok(certified) => {
                (self.ends, self.told) = (ends(&certified), None);
                self.tls.replace(certified);
                events::certificate_taken(&self.files.certificate);
            }
            Err(error) => events::certificate_refused(&error),
        }
    }
}

fn stamps(files: &TlsFiles) -> Stamps {
    let stamp = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some((found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
    };
    [stamp(&files.certificate), stamp(&files.key)]
}
