//! Jetstream on a host: where to begin, the frames, and the seam.
//!
//! By the v1 wire it resumes at the processed position less an overlap, by the v2 wire at the number of the
//! last processed event of that host. The only thing it reads in a frame is its place.

use std::sync::Arc;

use url::Url;

use super::packed::{Dictionaries, Dictionary, Unpacker};
use super::reader::Reader;
use super::resume::{Resume, Start};
use super::seam::{self, Seam};
use super::session::{Ended, Report, SeamWatch, Session};
use super::subscription::{Form, Place, subscription};
use crate::config::model::JetstreamConfig;
use crate::domain::event::{Cursor, DownReason, Joint};
use crate::net::socket::Socket;
use crate::net::ws::{ConnectError, Connector, HARD_LIMIT_BYTES};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure, Wire};
use crate::telemetry::events;

/// What is asked for, and where it stands.
pub struct Jetstream {
    config: JetstreamConfig,
    connector: Arc<Connector>,
    resume: Resume,
    dictionaries: Dictionaries,
}

/// A connection, and what was asked of it.
struct Connected {
    socket: Socket,
    start: Option<Start>,
    dictionary: Option<Dictionary>,
}

impl Jetstream {
    /// Not connected yet.
    pub fn new(config: JetstreamConfig, line: &Line) -> Self {
        let hard_limit = config.max_frame_bytes.max(HARD_LIMIT_BYTES);
        let connector = Connector::new(config.transport.clone(), line.timing.connect_within, hard_limit);
        let resume = Resume::new(line.position.clone());
        let dictionaries = Dictionaries::new(config.compression.clone(), config.transport.clone());
        Self { config, connector: Arc::new(connector), resume, dictionaries }
    }

    async fn connect(&mut self, base: &Url, place: &Place, line: &Line) -> Result<Connected, End> {
        let error = match self.dial(base, place, line).await? {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        // The number is too old for the server, or it has another dictionary: both are refused alike, and
        // a time and a new dictionary never are.
        let number = matches!(self.resume.start(place, &line.timing), Some(Start::Sequence(_)));
        let may_be_mended = place.form == Form::V2 && (number || self.config.compression.is_some());
        if !may_be_mended || !matches!(error, ConnectError::Refused { status: 400, .. }) {
            return Err(error.into());
        }
        self.resume.distrust_number();
        self.dictionaries.forget(place);
        Ok(self.dial(base, place, line).await??)
    }

    async fn dial(&mut self, base: &Url, place: &Place, line: &Line) -> Result<Result<Connected, ConnectError>, End> {
        let start = self.resume.start(place, &line.timing);
        let dictionary = self.dictionaries.of(base, place, line).await?;
        let packed = dictionary.as_ref().map(|dictionary| dictionary.id);
        let url = subscription(base, &self.config.wanted_collections, start, packed);
        let socket = line.unless_stopped(self.connector.connect(&url)).await?;
        Ok(socket.map(|socket| Connected { socket, start, dictionary }))
    }

    fn plan_seam(&self, base: &Url, line: &Line, handover: i64) -> Seam {
        let known = Cursor(handover);
        let start = Start::Time { ask: Cursor(seam::start(handover, &line.timing)), known };
        Seam {
            source: line.name.clone(),
            connector: Arc::clone(&self.connector),
            url: subscription(base, &self.config.wanted_collections, Some(start), None),
            max_frame_bytes: self.config.max_frame_bytes,
            timing: line.timing.clone(),
            out: line.out.clone(),
            clock: Arc::clone(&line.clock),
            handover,
        }
    }

    /// Only the legacy server loses events at the hand-over, and it speaks only the v1 wire.
    fn watch_seam<'a>(&'a self, base: &'a Url, form: Form, start: Option<Start>, line: &'a Line) -> SeamWatch<'a> {
        let Some(Start::Time { .. }) = start else { return SeamWatch::None };
        let plan: Option<Box<dyn Fn(i64) -> Seam + Send + Sync>> = match form {
            Form::V1 => Some(Box::new(move |handover| self.plan_seam(base, line, handover))),
            Form::V2 => None,
        };
        SeamWatch::CatchingUp { plan, from: self.resume.open_seam() }
    }

    fn end(&mut self, report: &Report, start: Option<Start>, line: &Line) {
        if let Some(first) = report.first {
            self.resume.saw(first);
            self.resume.trust_numbers();
        } else if let Some(Start::Sequence(_)) = start
            && matches!(report.end, Ended::By(End::Down(DownReason::Closed)))
        {
            // Taken and ended without an event: perhaps for the number's sake.
            self.resume.distrust_number();
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
        let place = Place::of(base);
        let Connected { socket, start, dictionary } = match self.connect(base, &place, line).await {
            Ok(connected) => connected,
            Err(end) => return end,
        };
        let joint = start.map_or(Joint::Live, Start::joint);
        if let Err(end) = line.connected(&place.host, joint).await {
            return end;
        }
        self.resume.connected(&place);
        let line = &*line;
        let most = self.config.max_frame_bytes;
        let unpacker = dictionary.as_ref().and_then(|dictionary| Unpacker::new(dictionary, most));
        let reader = Reader::new(socket, most, Arc::clone(&line.clock), unpacker);
        let seam = self.watch_seam(base, place.form, start, line);
        let expect_frame_within = self.config.expect_frame_within;
        let session = Session { line, place: &place, expect_frame_within, seam };
        let report = session.run(reader).await;
        self.end(&report, start, line);
        match report.end {
            Ended::By(end) => end,
            Ended::Unreadable(_) => End::Interrupted(DownReason::Closed),
            Ended::Foreign if place.form == Form::V2 => {
                self.dictionaries.forget(&place);
                End::Interrupted(DownReason::Closed)
            }
            Ended::Foreign => Failure::operator(format!(
                "{} packs its frames with another dictionary; give the source that of Jetstream's v1 wire",
                place.host
            )),
        }
    }
}
