//! Jetstream's v1 wire on a host: where to begin, the frames, and the seam.
//!
//! It resumes at the processed position less an overlap. The only thing it reads in a frame is its time.

use std::sync::Arc;

use url::Url;

use super::reader::Reader;
use super::resume::{Resume, Start};
use super::seam::{self, Seam};
use super::session::{Ended, Report, SeamWatch, Session};
use crate::config::model::JetstreamConfig;
use crate::domain::event::{Cursor, DownReason, Joint};
use crate::net::ws::{Connector, HARD_LIMIT_BYTES, peer};
use crate::source::line::Line;
use crate::source::supervise::{End, Wire};
use crate::telemetry::events;

/// What is asked for, and where it stands.
pub struct Jetstream {
    config: JetstreamConfig,
    connector: Arc<Connector>,
    resume: Resume,
    last_host: Option<String>,
}

impl Jetstream {
    /// Not connected yet.
    pub fn new(config: JetstreamConfig, line: &Line) -> Self {
        let hard_limit = config.max_frame_bytes.max(HARD_LIMIT_BYTES);
        let connector = Connector::new(config.transport.clone(), line.timing.connect_within, hard_limit);
        let resume = Resume::new(line.position.clone());
        Self { config, connector: Arc::new(connector), resume, last_host: None }
    }

    fn start(&self, host: &str, line: &Line) -> Option<Start> {
        let timing = &line.timing;
        let same = self.last_host.as_deref().is_none_or(|last| last == host);
        self.resume.start(if same { timing.overlap } else { timing.overlap_other_host })
    }

    fn plan_seam(&self, base: &Url, line: &Line, handover: i64) -> Seam {
        let start = Cursor(seam::start(handover, &line.timing));
        Seam {
            source: line.name.clone(),
            connector: Arc::clone(&self.connector),
            url: subscription(base, &self.config.wanted_collections, Some(start)),
            max_frame_bytes: self.config.max_frame_bytes,
            timing: line.timing.clone(),
            out: line.out.clone(),
            clock: Arc::clone(&line.clock),
            handover,
        }
    }

    fn end(&mut self, report: &Report, start: Option<Start>, line: &Line) {
        if let Some(first) = report.first {
            self.resume.saw(first);
        }
        self.resume.leave_seam(report.open_seam);
        if let Ended::Unreadable(reason) = report.end {
            events::source_stepped_over(&line.name, reason);
            self.resume.step_over(start, report.newest, line.now().micros());
        }
    }
}

impl Wire for Jetstream {
    async fn read(&mut self, base: &Url, line: &mut Line) -> End {
        let host = peer(base).unwrap_or_default();
        let start = self.start(&host, line);
        let url = subscription(base, &self.config.wanted_collections, start.map(|start| start.ask));
        let socket = match line.unless_stopped(self.connector.connect(&url)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return error.into(),
            Err(end) => return end,
        };
        let joint = start.map_or(Joint::Live, |start| Joint::Repeats(start.known));
        if let Err(end) = line.connected(&host, joint).await {
            return end;
        }
        self.last_host = Some(host);
        let line = &*line;
        let reader = Reader::new(socket, self.config.max_frame_bytes, Arc::clone(&line.clock));
        let seam = match start {
            Some(_) => SeamWatch::CatchingUp {
                plan: Box::new(|handover| self.plan_seam(base, line, handover)),
                from: self.resume.open_seam(),
            },
            None => SeamWatch::None,
        };
        let session = Session { line, expect_frame_within: self.config.expect_frame_within, seam };
        let report = session.run(reader).await;
        self.end(&report, start, line);
        match report.end {
            Ended::By(end) => end,
            Ended::Unreadable(_) => End::Interrupted(DownReason::Closed),
        }
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
