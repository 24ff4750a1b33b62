//! How far a source has been processed, shared by its task, which resumes there, and whoever
//! processes, who moves it on.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::event::{Bookmark, Cursor};

/// Cursors below are not microseconds of this century: by some mistake they are seconds,
/// milliseconds or a sequence number, and would mean another place altogether.
const SMALLEST_CURSOR: i64 = 1_000_000_000_000_000;

/// Where a source is. Cheap to clone, shared.
#[derive(Clone, Debug)]
pub struct Position(Arc<watch::Sender<Place>>);

#[derive(Clone, Debug, Default)]
struct Place {
    cursor: Option<Cursor>,
    bookmark: Option<Bookmark>,
    kept: Option<Bookmark>,
}

impl Default for Position {
    fn default() -> Self {
        Self::at(None, None)
    }
}

impl Position {
    /// Starts where an earlier run ended.
    pub fn at(cursor: Option<Cursor>, bookmark: Option<Bookmark>) -> Self {
        let kept = bookmark.clone();
        let position = Self(Arc::new(watch::Sender::new(Place { cursor: None, bookmark, kept })));
        if let Some(cursor) = cursor {
            position.advance(cursor);
        }
        position
    }

    /// All up to `cursor` has been processed. An earlier cursor changes nothing.
    pub fn advance(&self, cursor: Cursor) {
        if cursor.0 >= SMALLEST_CURSOR {
            self.0.send_if_modified(|place| {
                let newer = place.cursor.is_none_or(|before| before < cursor);
                if newer {
                    place.cursor = Some(cursor);
                }
                newer
            });
        }
    }

    /// All before the bookmark has been processed.
    pub fn mark(&self, bookmark: Bookmark) {
        self.0.send_modify(|place| place.bookmark = Some(bookmark));
    }

    /// All before the bookmark is on disk.
    pub fn keep(&self, bookmark: Bookmark) {
        self.0.send_modify(|place| place.kept = Some(bookmark));
    }

    /// The newest event processed; none before the first.
    pub fn get(&self) -> Option<Cursor> {
        self.0.borrow().cursor
    }

    /// Where to resume; none before the first.
    pub fn bookmark(&self) -> Option<Bookmark> {
        self.0.borrow().bookmark.clone()
    }

    /// Waits until what is on disk reaches a bookmark that `is_behind` what the caller waits for.
    pub async fn kept(&self, is_behind: impl Fn(&Bookmark) -> bool) {
        let mut changes = self.0.subscribe();
        // It only fails when the sender is gone, which `self` holds.
        drop(changes.wait_for(|place| place.kept.as_ref().is_some_and(&is_behind)).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 1_795_361_895_000_000;

    #[test]
    fn a_position_never_goes_back_and_never_means_a_sequence_number() {
        let position = Position::default();
        assert_eq!(position.get(), None);
        for cursor in [T, T - 1, 17, -1] {
            position.advance(Cursor(cursor));
            assert_eq!(position.get(), Some(Cursor(T)));
        }
        assert_eq!(Position::at(Some(Cursor(1_795_361_895)), None).get(), None);
    }

    #[tokio::test]
    async fn a_bookmark_is_kept_only_once_it_is_on_disk() {
        let position = Position::at(None, Some("1".into()));
        assert_eq!(position.bookmark(), Some("1".into()));
        position.mark("2".into());
        let second = |kept: &Bookmark| *kept == "2".into();
        assert_eq!(futures_util::FutureExt::now_or_never(position.kept(second)), None);
        position.keep("2".into());
        position.kept(second).await;
    }
}
