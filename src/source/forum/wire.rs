//! Asking a forum again and again.

use std::time::Duration;

use tokio::time::sleep;
use url::Url;

use super::round::{Board, Reader, Round};
use crate::config::model::{FeedConfig, ForumConfig};
use crate::domain::event::{Bookmark, Joint, Reach};
use crate::domain::time::Timestamp;
use crate::source::backoff::Jitter;
use crate::source::line::Line;
use crate::source::supervise::{End, Supervisor, Wire};
use crate::telemetry::events;

/// Frames handed on at once after an outage.
const TOGETHER: usize = 500;

/// A board that is read.
pub(in crate::source) struct Forum<B> {
    reader: Reader<B>,
    every: Duration,
    jitter: Jitter,
}

/// Reads a board for as long as the program runs.
pub(super) async fn run<B: Board + Sync + 'static>(board: B, config: &ForumConfig, url: Url, line: Line) {
    let of = format!("{} {}", config.dialect.as_str(), config.url);
    let forum = Forum::new(board, &of, config.poll_every);
    Supervisor::new(forum, vec![url], line).run().await;
}

impl<B: Board> Forum<B> {
    /// A board as the place called `of`, looked at that often.
    pub(in crate::source) fn new(board: B, of: &str, every: Duration) -> Self {
        Self { reader: Reader::new(board, of), every, jitter: Jitter::from_system() }
    }

    async fn go_on(&mut self, host: &Url, line: &mut Line) -> Result<(), End> {
        let host = host.host_str().unwrap_or_default().to_owned();
        let noted = line.position.bookmark();
        let goes_on = self.reader.resume(noted.as_ref().map(|noted| &*noted.0));
        let mut is_first = true;
        loop {
            let began = line.now();
            let round = self.reader.round(line).await?;
            if std::mem::take(&mut is_first) {
                line.connected(&host, if goes_on { Joint::GoesOn } else { Joint::Live }).await?;
            }
            let is_busy = round.is_busy;
            hand_on(&round, began, round.noted().map(Bookmark::from), line).await?;
            self.reader.took(round);
            let every = if is_busy { (self.every / 2).max(self.every.min(FeedConfig::LEAST)) } else { self.every };
            let wait = self.reader.board().pace(every, line.now());
            line.unless_stopped(sleep(wait + self.jitter.below(wait / 10))).await?;
        }
    }
}

/// Hands on what a round brought, which covers all until it began.
pub(in crate::source) async fn hand_on(
    round: &Round,
    began: Timestamp,
    bookmark: Option<Bookmark>,
    line: &Line,
) -> Result<(), End> {
    if let Some((from, to)) = round.missed {
        let notice = format!("what was said from {from} to {to} lies further back than can be read");
        events::source_notice(&line.name, &notice);
        line.missed(from, to).await?;
    }
    let mut rest = round.frames.as_slice();
    while rest.len() > TOGETHER {
        let (some, others) = rest.split_at(TOGETHER);
        line.hand_on(some.to_vec(), Reach::default()).await?;
        rest = others;
    }
    line.hand_on(rest.to_vec(), Reach { covered: Some(began), bookmark, paid: None }).await
}

impl<B: Board + Sync> Wire for Forum<B> {
    async fn read(&mut self, host: &Url, line: &mut Line) -> End {
        match self.go_on(host, line).await {
            Err(end) => end,
            Ok(()) => End::Renewed,
        }
    }
}
