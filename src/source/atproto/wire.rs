//! The firehose of a host: where to begin, and what its own words mean.

use std::time::Duration;

use tokio_tungstenite::tungstenite::Bytes;
use url::Url;

use super::{Message, read};
use crate::config::model::AtprotoConfig;
use crate::domain::event::{Bookmark, Cursor, DownReason, Joint};
use crate::domain::id::SourceName;
use crate::net::ws::{Connector, HARD_LIMIT_BYTES, peer};
use crate::source::line::Line;
use crate::source::position::Position;
use crate::source::supervise::{End, Wire};
use crate::source::talk::{Limits, Talk, Turn, converse};
use crate::telemetry::events;

/// The stream's path, for addresses that name only a host.
const STREAM: &str = "/xrpc/com.atproto.sync.subscribeRepos";
/// A host that does not know our number is read from its oldest message on if that is no older than this before
/// what was read; a relay keeps days, and reading those would be blindness for hours.
const MOST_READ_AGAIN: Duration = Duration::from_hours(1);

/// What is asked for, and where it stands.
pub struct Atproto {
    config: AtprotoConfig,
    connector: Connector,
    /// What was learnt of the host to read next, where its numbers do not help.
    next: Option<Start>,
}

/// Where a connection starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Right behind that message.
    Behind(u64),
    /// With all that the host still has.
    Everything,
    /// With the present.
    Live,
}

impl Atproto {
    /// Not connected yet.
    pub fn new(config: AtprotoConfig, line: &Line) -> Self {
        let hard_limit = config.max_frame_bytes.max(HARD_LIMIT_BYTES);
        let connector = Connector::new(config.transport.clone(), line.timing.connect_within, hard_limit);
        Self { config, connector, next: None }
    }
}

impl Wire for Atproto {
    async fn read(&mut self, base: &Url, line: &mut Line) -> End {
        let host = peer(base).unwrap_or_default();
        let start = self.next.take().unwrap_or_else(|| start(&line.position, &host));
        let url = subscription(base, start);
        let socket = match line.unless_stopped(self.connector.connect(&url)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return error.into(),
            Err(end) => return end,
        };
        let known = line.position.get();
        let source = line.name.clone();
        let mut listening = Listening { source, host: &host, start, known, seq: None, next: None };
        let limits = Limits {
            max_frame_bytes: self.config.max_frame_bytes,
            expect_message_within: self.config.expect_frame_within,
            pings: true,
        };
        let end = converse(socket, &host, &mut listening, limits, line).await;
        self.next = listening.next;
        end
    }
}

/// Where to start at a host of which nothing special is known. A number of another host means nothing here.
fn start(position: &Position, host: &str) -> Start {
    let known_here = position.bookmark().and_then(|Bookmark(text)| {
        let (seq, at) = text.split_once(' ')?;
        (at == host).then(|| seq.parse().ok()).flatten()
    });
    match (known_here, position.get()) {
        (Some(seq), _) => Start::Behind(seq),
        (None, Some(_)) => Start::Everything,
        (None, None) => Start::Live,
    }
}

/// The address to connect to.
fn subscription(base: &Url, start: Start) -> Url {
    let mut url = base.clone();
    if url.path() == "/" {
        url.set_path(STREAM);
    }
    let cursor = match start {
        Start::Behind(seq) => seq,
        Start::Everything => 0,
        Start::Live => return url,
    };
    url.query_pairs_mut().append_pair("cursor", &cursor.to_string());
    url
}

/// Our side, on which nothing is ever said.
struct Listening<'a> {
    source: SourceName,
    host: &'a str,
    start: Start,
    /// How far the source was read before.
    known: Option<Cursor>,
    /// The newest message.
    seq: Option<u64>,
    /// What the next connection needs to know.
    next: Option<Start>,
}

impl Talk for Listening<'_> {
    fn begin(&mut self, turn: &mut Turn) {
        turn.stands(match (self.start, self.known) {
            (Start::Behind(_), _) => Joint::GoesOn,
            (Start::Everything, Some(known)) => Joint::Repeats(known),
            (Start::Live, _) | (Start::Everything, None) => Joint::Live,
        });
    }

    fn hear(&mut self, message: &Bytes, turn: &mut Turn) -> Result<(), End> {
        match read(message) {
            Ok(Message::Events { seq, at, frames }) => {
                let known = self.known.map(Cursor::time);
                let is_first = self.seq.is_none() && self.start == Start::Everything;
                if is_first && known.is_some_and(|known| known.since(at) > MOST_READ_AGAIN) {
                    self.next = Some(Start::Live);
                    return Err(End::Interrupted(DownReason::CursorTooOld));
                }
                self.seq = Some(seq);
                for frame in frames {
                    match frame {
                        Ok(frame) => turn.keep(frame.into()),
                        Err(reason) => turn.reject(reason),
                    }
                }
            }
            Ok(Message::Info(name)) => {
                // Whether something is missing shows in the first event, which is compared with what was known.
                if let ("OutdatedCursor", Some(known)) = (name.as_str(), self.known) {
                    turn.stands(Joint::Repeats(known));
                }
                events::source_said(&self.source, &name);
            }
            Ok(Message::Error(name)) => return Err(self.refused(&name)),
            Ok(Message::Unknown) => {}
            Err(reason) => turn.reject(reason),
        }
        Ok(())
    }

    fn bookmark(&self) -> Option<Bookmark> {
        self.seq.map(|seq| format!("{seq} {}", self.host).into())
    }
}

impl Listening<'_> {
    fn refused(&mut self, name: &str) -> End {
        events::source_said(&self.source, name);
        match name {
            // The host was set back, or is another one: it has no message of that number yet.
            "FutureCursor" => {
                self.next = Some(if self.known.is_some() { Start::Everything } else { Start::Live });
                End::Interrupted(DownReason::Refused)
            }
            // No other host would wait for us.
            "ConsumerTooSlow" => End::Interrupted(DownReason::Overrun),
            _ => End::Down(DownReason::Refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_used_at_its_own_host_only() {
        let known = Some(Cursor(1_795_361_895_000_000));
        for (cursor, bookmark, expected) in [
            (None, None, Start::Live),
            (known, None, Start::Everything),
            (known, Some("7 a.example:443"), Start::Behind(7)),
            (None, Some("7 a.example:443"), Start::Behind(7)),
            (known, Some("7 b.example:443"), Start::Everything),
            (known, Some("x a.example:443"), Start::Everything),
            (known, Some("7"), Start::Everything),
        ] {
            let position = Position::at(cursor, bookmark.map(Into::into));
            assert_eq!(start(&position, "a.example:443"), expected, "{bookmark:?}");
        }
    }

    #[test]
    fn a_host_is_enough_of_an_address() {
        let asked = |base: &str, start| subscription(&base.parse().unwrap(), start).to_string();
        let stream = "wss://h/xrpc/com.atproto.sync.subscribeRepos";
        assert_eq!(asked("wss://h", Start::Live), stream);
        assert_eq!(asked(stream, Start::Behind(3)), format!("{stream}?cursor=3"));
        assert_eq!(asked("wss://h/front", Start::Everything), "wss://h/front?cursor=0");
    }
}
