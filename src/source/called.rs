//! What sources have in common that others call: answers that wait for the disk, and what was turned away.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::timeout;

use super::Frame;
use super::line::Line;
use super::supervise::End;
use crate::domain::event::{Bookmark, Reach, Rejected};
use crate::net::inlet::{Refusals, Reply, Waiting};

/// Whoever sent something waits so long for its answer: less than a request may take.
const KEPT_WITHIN: Duration = Duration::from_secs(8);
/// Refusals told at a time: a flood of them is counted, and delays nothing.
const MOST_REFUSALS: u64 = 1000;

/// What was turned away, by its reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub(super) forged: u64,
    pub(super) too_large: u64,
}

/// Answers once what a call led to is on disk, which `is_kept` knows by the bookmark; or that it is to come again.
pub(super) async fn answer_when_kept(waiting: Waiting, line: Line, is_kept: impl Fn(&Bookmark) -> bool) {
    let reply = match timeout(KEPT_WITHIN, line.position.kept(is_kept)).await {
        Ok(()) => Reply::new(StatusCode::OK, "kept"),
        Err(_) => Reply::try_again(),
    };
    answer(waiting, reply);
}

/// Answers; whoever waited may be gone.
pub(super) fn answer(waiting: Waiting, reply: Reply) {
    drop(waiting.answer.send(reply));
}

/// Hands on what was turned away, so that it is in the account; says how much, if any.
pub(super) async fn tell_refusals(refusals: &Refusals, line: &Line) -> Result<Option<Refused>, End> {
    let refused =
        Refused { forged: refusals.take_forged(MOST_REFUSALS), too_large: refusals.take_too_large(MOST_REFUSALS) };
    let now = line.now();
    let frames = |count: u64, reason| (0..count).map(move |_| Frame { received_at: Some(now), body: Err(reason) });
    let frames: Vec<Frame> =
        frames(refused.forged, Rejected::Forged).chain(frames(refused.too_large, Rejected::TooLarge)).collect();
    if frames.is_empty() {
        return Ok(None);
    }
    unless_full(line.hand_on(frames, Reach::default()).await)?;
    Ok(Some(refused))
}

/// No room is no reason to end: what is sent comes again.
pub(super) fn unless_full(handed: Result<(), End>) -> Result<(), End> {
    handed.or_else(|end| if matches!(end, End::Stopped) { Err(end) } else { Ok(()) })
}
