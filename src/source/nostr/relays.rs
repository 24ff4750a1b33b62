//! Several relays as one source: each has its own connection and its own place to resume at; what they say
//! comes together here. The source sees while any of them does, and a note that several have is dropped by
//! the engine, which knows it by its name.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::{join, join_all};
use futures_util::stream::{self, select_all};
use tokio::sync::mpsc;
use url::Url;

use super::wire::Relay;
use crate::config::model::NostrConfig;
use crate::domain::event::Bookmark;
use crate::source::Incoming;
use crate::source::line::Line;
use crate::source::position::Position;
use crate::source::supervise::Supervisor;

/// What one relay may have on its way to the others.
const ROOM: usize = 2;

/// Reads all relays for as long as the program runs.
pub async fn read(config: NostrConfig, line: Line) {
    let config = Arc::new(config);
    let marks = Marks::of(&config.relays, line.position.bookmark());
    let (mut supervisors, mut incoming, mut positions) = (Vec::new(), Vec::new(), Vec::new());
    for (place, (url, mark)) in marks.0.iter().enumerate() {
        let (out, inbox) = mpsc::channel(ROOM);
        let position = Position::at(line.position.get(), mark.clone());
        positions.push(position.clone());
        let (timing, clock, cancel) = (line.timing.clone(), Arc::clone(&line.clock), line.cancel.clone());
        let mut own = Line::new(line.name.clone(), timing, position, out, clock, cancel);
        own.throttle.clone_from(&line.throttle);
        supervisors.push(Supervisor::new(Relay::new(Arc::clone(&config), &own), vec![url.clone()], own).run());
        let said = stream::unfold(inbox, |mut inbox| async move { Some((inbox.recv().await?, inbox)) });
        incoming.push(said.map(move |said| (place, said)).boxed());
    }
    let mut merged = Merged { up: vec![false; marks.0.len()], marks, positions, line };
    let merge = async {
        let mut incoming = select_all(incoming);
        while let Some((place, said)) = incoming.next().await {
            if !merged.pass_on(place, said).await {
                return;
            }
        }
    };
    join(join_all(supervisors), merge).await;
}

struct Merged {
    up: Vec<bool>,
    marks: Marks,
    /// Where each relay's own connection resumes: at what is on its way to be processed, which either is
    /// processed or read again from what is on disk.
    positions: Vec<Position>,
    line: Line,
}

impl Merged {
    /// False when nobody listens any more.
    async fn pass_on(&mut self, place: usize, mut said: Incoming) -> bool {
        let others_see = self.up.iter().enumerate().any(|(other, up)| *up && other != place);
        match &mut said {
            Incoming::Connected { .. } | Incoming::Down { .. } => {
                if let Some(up) = self.up.get_mut(place) {
                    *up = matches!(said, Incoming::Connected { .. });
                }
                if others_see {
                    return true;
                }
            }
            Incoming::Author { .. } | Incoming::Missed { .. } => {}
            Incoming::Frames { reach, .. } => {
                if let Some(mark) = reach.bookmark.take() {
                    if let Some(position) = self.positions.get(place) {
                        position.mark(mark.clone());
                    }
                    self.marks.set(place, mark);
                    reach.bookmark = Some(self.marks.bookmark());
                }
            }
        }
        self.line.tell(said).await.is_ok()
    }
}

/// Where each relay is, as one bookmark: a line for each.
struct Marks(Vec<(Url, Option<Bookmark>)>);

impl Marks {
    fn of(relays: &[Url], bookmark: Option<Bookmark>) -> Self {
        let text = bookmark.map(|bookmark| bookmark.0).unwrap_or_default();
        let mark = |url: &Url| {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(of, _)| *of == url.as_str()).map(|(_, mark)| mark.into())
        };
        Self(relays.iter().map(|url| (url.clone(), mark(url))).collect())
    }

    fn set(&mut self, place: usize, mark: Bookmark) {
        if let Some((_, known)) = self.0.get_mut(place) {
            *known = Some(mark);
        }
    }

    fn bookmark(&self) -> Bookmark {
        let lines = self.0.iter().filter_map(|(url, mark)| Some(format!("{url} {}", mark.as_ref()?.0)));
        lines.collect::<Vec<_>>().join("\n").into()
    }
}
