//! The seam between replay and live, read a second time.
//!
//! Legacy Jetstream servers drop and reorder events at the moment a replay catches up and
//! the connection goes live (bluesky-social/jetstream-legacy#42), without a sign. So about
//! a minute later, when those events are safely in the server's store, a second short
//! connection asks for the seconds around the hand-over again. What had arrived the first
//! time is dropped as duplicates by the engine; what had not is late, but not lost.
//!
//! The alternative, two hosts read side by side all the time, costs twice the stream for a
//! fault that only shows after a reconnection.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::timeout;
use url::Url;

use super::reader::Reader;
use super::resume::micros;
use crate::domain::event::Reach;
use crate::domain::id::SourceName;
use crate::domain::time::Clock;
use crate::net::ws::{ConnectError, Connector};
use crate::source::Incoming;
use crate::source::timing::Timing;

/// How often a hand-over is tried to be read again.
const TRIES: u32 = 3;

/// Everything the second connection needs, so that it can outlast the call that planned it.
pub(super) struct Seam {
    pub(super) source: SourceName,
    pub(super) connector: Arc<Connector>,
    /// Asks for the stream from [`Seam::start`] on.
    pub(super) url: Url,
    pub(super) max_frame_bytes: usize,
    pub(super) timing: Timing,
    pub(super) out: mpsc::Sender<Incoming>,
    pub(super) clock: Arc<dyn Clock>,
    /// The time of the frame with which the replay had caught up, in microseconds.
    pub(super) handover: i64,
}

/// Why a hand-over could not be read again.
#[derive(Debug, thiserror::Error)]
pub(super) enum SeamError {
    #[error("no second connection")]
    Connect(#[from] ConnectError),
    #[error("the second connection ended before the hand-over was read")]
    CutShort,
    #[error("reading it took too long")]
    TooSlow,
}

/// From where on a hand-over is read again.
pub(super) fn start(handover: i64, timing: &Timing) -> i64 {
    handover.saturating_sub(micros(timing.seam_margin))
}

impl Seam {
    /// Waits until the hand-over is history and reads it again, a few times if need be.
    /// Ends early when nobody listens any more.
    pub(super) async fn read_again(self) -> Result<(), SeamError> {
        let mut tries_left = TRIES;
        loop {
            tokio::time::sleep(self.timing.seam_delay).await;
            tries_left -= 1;
            match timeout(self.timing.seam_within, self.read()).await.unwrap_or(Err(SeamError::TooSlow)) {
                Err(_) if tries_left > 0 => {}
                outcome => return outcome,
            }
        }
    }

    async fn read(&self) -> Result<(), SeamError> {
        let socket = self.connector.connect(&self.url).await?;
        let mut reader = Reader::new(socket, self.max_frame_bytes, Arc::clone(&self.clock), None);
        let end = self.handover.saturating_add(micros(self.timing.seam_margin));
        // On a quiet stream no frame may ever lie behind the seam; silence says as much,
        // since what is stored comes without pauses.
        while let Ok(batch) = timeout(self.timing.seam_silence, reader.batch()).await {
            let past = batch.newest.is_some_and(|newest| newest > end);
            let incoming =
                Incoming::Frames { source: self.source.clone(), frames: batch.frames, reach: Reach::default() };
            if !incoming.is_empty() && self.out.send(incoming).await.is_err() {
                return Ok(());
            }
            if past {
                break;
            }
            if batch.end.is_some() {
                return Err(SeamError::CutShort);
            }
        }
        reader.goodbye(self.timing.stop_within).await;
        Ok(())
    }
}
