//! The task that writes down what is sent, and only then says so.
//!
//! Bookmarks count calls, and say when one came last: a sender that gave us up stays away over restarts. When the one of a
//! call is on disk, so is what it led to, and whoever sent it is answered. What takes longer, or is not kept because the
//! program stops, is answered with 503 and comes again; the engine knows it by its names.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use reqwest::StatusCode;
use reqwest::header::HeaderName;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite::Bytes;
use url::form_urlencoded;

use super::{discourse, meta};
use crate::config::model::{WebhookConfig, WebhookForm, WebhookSignature};
use crate::domain::event::{Bookmark, Cursor, DownReason, Joint, Reach, Rejected};
use crate::domain::time::{Clock, Timestamp};
use crate::net::inlet::{Admission, Call, Gate, Opened, Reply, Waiting};
use crate::source::called::{Refused, answer, answer_when_kept, tell_refusals, unless_full};
use crate::source::line::Line;
use crate::source::signature::{is_hub_signed, is_signed, is_standard_signed, same, single};
use crate::source::supervise::End;
use crate::source::websocket::apart;
use crate::source::{Frame, Incoming};
use crate::telemetry::events;

/// How often what was refused is told.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// How often the source says that it can be called.
const COVERED_EVERY: Duration = Duration::from_secs(15);
/// What is refused is told to people at most this often.
const NOTICED_EVERY: Duration = Duration::from_mins(10);
/// Meta repeats what was not taken for so long.
const META_REPEATS: Duration = Duration::from_hours(36);
/// The longest challenge, in bytes.
const LONGEST_CHALLENGE: usize = 1024;
const META_SIGNATURE: &str = "x-hub-signature-256";
const DISCOURSE_SIGNATURE: &str = "x-discourse-event-signature";
/// What connections are told to come from.
const HOST: &str = "own web server";

/// An open inlet, and what comes by it.
pub(crate) struct Webhook {
    config: Arc<WebhookConfig>,
    opened: Opened,
    /// Calls that were handed on, ever: no two bookmarks are the same.
    count: u64,
    /// Nothing came for longer than is normal.
    is_lost: bool,
    /// When something came last: on the wall; by this run's clock, and how long before this run.
    heard_at: Timestamp,
    heard: Instant,
    silent: Duration,
    covered: Option<Instant>,
    noticed: Option<Instant>,
}

impl Webhook {
    /// Opens the inlet at once, so that nothing that comes from now on is turned away.
    pub(crate) fn open(config: WebhookConfig, line: &Line) -> Self {
        let config = Arc::new(config);
        let gate = Box::new(Signed { config: Arc::clone(&config), clock: Arc::clone(&line.clock) });
        let opened = line.inlets.open(line.name.as_str(), gate);
        let Noted { count, heard, .. } = Noted::of(line);
        let now = line.now();
        let heard_at = heard.unwrap_or(now);
        let (silent, heard) = (now.since(heard_at), Instant::now());
        Self { config, opened, count, is_lost: false, heard_at, heard, silent, covered: None, noticed: None }
    }

    /// Reads for as long as the program runs.
    pub(crate) async fn read(mut self, mut line: Line) {
        // It only ends when it is told to.
        drop(self.take_calls(&mut line).await);
    }

    async fn take_calls(&mut self, line: &mut Line) -> Result<(), End> {
        self.begin(line).await?;
        let mut tick = interval(TOLD_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut keeping = FuturesUnordered::new();
        let stop = line.cancel.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(End::Stopped),
                Some(()) = keeping.next(), if !keeping.is_empty() => {}
                Some(waiting) = self.opened.calls.recv() => {
                    if let Some((count, waiting)) = self.hand_on(waiting, line).await? {
                        let is_kept = move |kept: &Bookmark| Noted::read(kept).is_some_and(|kept| kept.count >= count);
                        keeping.push(answer_when_kept(waiting, line.beside(), is_kept));
                    }
                }
                _ = tick.tick() => self.tick(keeping.is_empty(), line).await?,
            }
        }
    }

    /// Goes on with what an earlier run knew: a sender that was lost does not come back by a restart of ours.
    async fn begin(&mut self, line: &mut Line) -> Result<(), End> {
        let noted = Noted::of(line);
        if self.is_silent() {
            return self.lose(!noted.is_lost, line).await;
        }
        line.connected(HOST, self.joint(noted.is_lost, line)).await?;
        if noted.heard.is_some() && !noted.is_lost {
            return Ok(());
        }
        self.note(line).await
    }

    fn is_silent(&self) -> bool {
        self.config.expect_frame_within.is_some_and(|within| self.silent + self.heard.elapsed() > within)
    }

    /// Tells that nothing came for too long; since when, where that was not told before.
    async fn lose(&mut self, is_news: bool, line: &Line) -> Result<(), End> {
        self.is_lost = true;
        let error = "nothing came for `expect_frame_within`; look at the sender whether it still sends here";
        events::source_down(&line.name, DownReason::Stalled, Some(error));
        // Until then it was said that all was read; from there on it is a gap in any case.
        let read_to = line.position.get().map_or_else(|| line.now(), Cursor::time);
        if is_news && read_to > self.heard_at {
            line.missed(self.heard_at, read_to).await?;
        }
        let (source, reason) = (line.name.clone(), DownReason::Stalled);
        line.tell(Incoming::Down { source, reason, at: line.now() }).await?;
        self.note(line).await
    }

    /// Notes down what the next run is to know.
    async fn note(&self, line: &Line) -> Result<(), End> {
        unless_full(line.hand_on(Vec::new(), Reach { bookmark: Some(self.bookmark()), ..Reach::default() }).await)
    }

    fn bookmark(&self) -> Bookmark {
        Noted { count: self.count, heard: Some(self.heard_at), is_lost: self.is_lost }.bookmark()
    }

    /// What the sender repeats by its own word was not lost while we were away, if it had not given us up.
    fn joint(&self, was_lost: bool, line: &Line) -> Joint {
        let away = line.position.get().map(|cursor| line.now().since(cursor.time()));
        match (&self.config.form, away) {
            (WebhookForm::Meta { .. }, Some(away)) if away < META_REPEATS && !was_lost => Joint::GoesOn,
            _ => Joint::Live,
        }
    }

    /// Hands a call on; the number by which it is known when it is kept. Where there is no room it comes again.
    async fn hand_on(&mut self, waiting: Waiting, line: &mut Line) -> Result<Option<(u64, Waiting)>, End> {
        if std::mem::take(&mut self.is_lost) {
            line.connected(HOST, Joint::Live).await?;
        }
        let now = line.now();
        (self.heard_at, self.heard, self.silent) = (now, Instant::now(), Duration::ZERO);
        let frames = frames(&self.config.form, &waiting.call).into_iter();
        let frames = frames.map(|body| Frame { received_at: Some(now), body }).collect();
        self.count += 1;
        let reach = Reach { covered: None, bookmark: Some(self.bookmark()), paid: None };
        match line.hand_on(frames, reach).await {
            Ok(()) => Ok(Some((self.count, waiting))),
            Err(End::Stopped) => Err(End::Stopped),
            Err(_) => {
                answer(waiting, Reply::try_again());
                Ok(None)
            }
        }
    }

    /// Tells what was refused, and that the source can be called.
    async fn tick(&mut self, all_kept: bool, line: &mut Line) -> Result<(), End> {
        if let Some(refused) = tell_refusals(&self.opened.refusals, line).await? {
            self.notice(refused, line);
        }
        if self.is_silent() && !self.is_lost {
            self.lose(true, line).await?;
        }
        // While something is not kept yet, what came is not read.
        let is_due = self.covered.is_none_or(|covered| covered.elapsed() >= COVERED_EVERY);
        if is_due && all_kept && !self.is_lost {
            let now = line.now();
            self.covered = Some(Instant::now());
            unless_full(line.hand_on(Vec::new(), Reach { covered: Some(now), ..Reach::default() }).await)?;
        }
        Ok(())
    }

    fn notice(&mut self, refused: Refused, line: &Line) {
        if self.noticed.is_some_and(|noticed| noticed.elapsed() < NOTICED_EVERY) {
            return;
        }
        self.noticed = Some(Instant::now());
        let notice = if refused.forged > 0 {
            "somebody sends what is not signed with this source's `secret`: a stranger, or the secret is not the sender's; it is refused"
        } else {
            "somebody sends more than 4 MiB at once; it is refused"
        };
        events::source_notice(&line.name, notice);
    }
}

/// What a bookmark says: `COUNT MICROSECONDS`, and `lost` behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Noted {
    count: u64,
    /// When something came last, or was begun to be waited for. Earlier versions did not note it.
    heard: Option<Timestamp>,
    /// That nothing came was told.
    is_lost: bool,
}

impl Noted {
    fn of(line: &Line) -> Self {
        line.position.bookmark().and_then(|bookmark| Self::read(&bookmark)).unwrap_or_default()
    }

    fn read(bookmark: &Bookmark) -> Option<Self> {
        let mut words = bookmark.0.split(' ');
        let count = words.next()?.parse().ok()?;
        let heard = words.next().and_then(|micros| micros.parse().ok()).map(Timestamp::from_micros);
        Some(Self { count, heard, is_lost: words.next() == Some("lost") })
    }

    fn bookmark(self) -> Bookmark {
        let Self { count, heard, is_lost } = self;
        let heard = heard.map_or_else(String::new, |heard| format!(" {}", heard.micros()));
        Bookmark::from(format!("{count}{heard}{}", if is_lost { " lost" } else { "" }))
    }
}

/// Lets in what the sender signed.
struct Signed {
    config: Arc<WebhookConfig>,
    clock: Arc<dyn Clock>,
}

impl Gate for Signed {
    fn before(&self, call: &Call) -> Admission {
        if call.place.is_some() {
            return nothing_here();
        }
        let is_signed = single(&call.headers, signed_by(&self.config)).is_some();
        if is_signed { Admission::Admitted } else { unsigned() }
    }

    fn admit(&self, call: &Call) -> Admission {
        if call.place.is_some() {
            return nothing_here();
        }
        let Some(body) = &call.body else { return asked(&self.config, call) };
        if is_senders(&self.config, call, body, self.clock.now()) { Admission::Admitted } else { unsigned() }
    }
}

fn nothing_here() -> Admission {
    Admission::Answered(Reply::new(StatusCode::NOT_FOUND, "there is nothing at this address"))
}

fn unsigned() -> Admission {
    let text = "no signature fits: `secret` of the source must be the one that the sender signs with";
    Admission::Refused(Reply::new(StatusCode::UNAUTHORIZED, text))
}

/// The header that has the signature.
fn signed_by(config: &WebhookConfig) -> &str {
    match &config.form {
        WebhookForm::Meta { .. } => META_SIGNATURE,
        WebhookForm::Discourse => DISCOURSE_SIGNATURE,
        WebhookForm::Json { signed: WebhookSignature::Standard, .. } => "webhook-signature",
        WebhookForm::Json { signed: WebhookSignature::Header(name), .. } => name,
    }
}

fn is_senders(config: &WebhookConfig, call: &Call, body: &[u8], now: Timestamp) -> bool {
    let (secret, headers) = (config.secret.expose(), &call.headers);
    let hub = |name| {
        single(headers, name).is_some_and(|signature| is_hub_signed(signature, &["sha256"], secret.as_bytes(), body))
    };
    match &config.form {
        WebhookForm::Meta { .. } => hub(META_SIGNATURE),
        WebhookForm::Discourse => hub(DISCOURSE_SIGNATURE),
        WebhookForm::Json { signed: WebhookSignature::Standard, .. } => is_standard_signed(headers, secret, body, now),
        WebhookForm::Json { signed: WebhookSignature::Header(name), .. } => {
            HeaderName::try_from(name).is_ok_and(|name| is_signed(headers, &name, secret.as_bytes(), body))
        }
    }
}

/// Meta asks, before it sends anything, whether it is to send here.
fn asked(config: &WebhookConfig, call: &Call) -> Admission {
    let WebhookForm::Meta { verify_token } = &config.form else {
        let text = "what is sent here is posted";
        return Admission::Answered(Reply::new(StatusCode::METHOD_NOT_ALLOWED, text));
    };
    let query = call.query.as_deref().unwrap_or_default();
    let get = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    };
    let (mode, token, challenge) = (get("hub.mode"), get("hub.verify_token"), get("hub.challenge"));
    let expected = verify_token.expose();
    let is_meta = token.is_some_and(|token| same(&token, expected)) && !expected.is_empty();
    match challenge.filter(|challenge| challenge.len() <= LONGEST_CHALLENGE) {
        Some(challenge) if is_meta && mode.as_deref() == Some("subscribe") => {
            Admission::Answered(Reply::new(StatusCode::OK, challenge))
        }
        _ => Admission::Refused(Reply::new(
            StatusCode::FORBIDDEN,
            "`verify_token` of the source must be the one typed in beside this address",
        )),
    }
}

/// What a call says, one event a frame.
fn frames(form: &WebhookForm, call: &Call) -> Vec<Result<Bytes, Rejected>> {
    let body = call.body.clone().unwrap_or_default();
    match form {
        WebhookForm::Meta { .. } => meta::split(&body).into_iter().map(|frame| frame.map(Bytes::from)).collect(),
        WebhookForm::Discourse => {
            let header = |name| single(&call.headers, name).unwrap_or_default();
            let (event, instance) = (header("x-discourse-event"), header("x-discourse-instance"));
            vec![discourse::frame(event, instance, &body).map(Bytes::from)]
        }
        WebhookForm::Json { items: Some(items), .. } => match serde_json::from_slice::<Value>(&body) {
            Ok(read) => apart(items, read, &body),
            Err(_) => vec![Ok(body)], // the decoder says what is wrong with it
        },
        WebhookForm::Json { items: None, .. } => vec![Ok(body)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bookmark_says_what_was_noted_and_those_of_before_are_read() {
        for is_lost in [false, true] {
            let noted = Noted { count: 17, heard: Some(Timestamp::from_seconds(1_795_361_895)), is_lost };
            assert_eq!(Noted::read(&noted.bookmark()), Some(noted));
        }
        assert_eq!(Noted::read(&"17".into()), Some(Noted { count: 17, ..Noted::default() }));
        assert_eq!(Noted::read(&"a cursor".into()), None);
    }
}
