//! Times during which a condition was true.
//!
//! What has become true fires once, and again only after it was untrue for a whole window:
//! a stream that hovers around the threshold would page at every swing.

use std::time::Duration;

use super::stored::{In, Out};
use crate::domain::time::Timestamp;
use crate::domain::volume::Unreadable;

/// So many are remembered; older ones can only matter to very late posts.
const MOST: usize = 32;

/// Spans of time, each with the window that follows it, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Episodes(Vec<(Timestamp, Timestamp)>);

impl Episodes {
    /// The condition is true from `first` to `last`; says whether that is news.
    pub(super) fn begin(&mut self, first: Timestamp, last: Timestamp, within: Duration) -> bool {
        let (mut from, mut through, mut is_news) = (first, last + within, true);
        self.0.retain(|&(began, ends)| {
            let apart = first > ends || last + within < began;
            if !apart {
                (from, through, is_news) = (from.min(began), through.max(ends), false);
            }
            apart
        });
        self.0.push((from, through));
        self.0.sort_unstable();
        self.0.drain(..self.0.len().saturating_sub(MOST));
        is_news
    }

    /// Nothing will be asked about times before.
    pub(super) fn forget(&mut self, before: Timestamp) {
        self.0.retain(|&(_, ends)| ends >= before);
    }

    pub(super) fn write(&self, out: &mut Out) {
        out.number(self.0.len() as u64);
        for (began, ends) in &self.0 {
            out.time(*began);
            out.time(*ends);
        }
    }

    pub(super) fn read(bytes: &mut In<'_>) -> Result<Self, Unreadable> {
        let many = bytes.length(MOST)?;
        let spans = (0..many).map(|_| Ok((bytes.time()?, bytes.time()?)));
        Ok(Self(spans.collect::<Result<_, _>>()?))
    }
}
