//! A WebSocket as far as a stream needs it: frames come in, pings are answered.
//!
//! Nearly all that comes is alike: a text, in one piece, not masked, not long. Such a frame
//! is handed out as a slice of the buffer it was read into. Everything else (pings, fragments,
//! long frames, whatever breaks the protocol) goes through tungstenite, which sees those
//! frames, each when its turn comes, and none of the others. So the library still decides
//! what the protocol means, and reading a replay costs a third of what it costs with the
//! library alone.
//!
//! Two things differ, and are meant to: that a text is UTF-8 is left to whoever decodes it,
//! so that a broken one is counted and costs no connection; and a text amid the fragments of
//! another is read.
//!
//! Rejected: a protocol of our own (fragments, closing and masks are where such code goes
//! wrong); a larger buffer for tungstenite (it saved a tenth).

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Bytes that are made room for at once.
const ROOM: usize = 1 << 16;
/// With less room than this more is made.
const LITTLE_ROOM: usize = 1 << 12;
/// The longest text that is waited for in the buffer.
const LONGEST: u64 = ROOM as u64;
/// The longest answer to the handshake that is waited for; the library's own limit.
const LONGEST_ANSWER: usize = 1 << 16;
/// The first byte of a text in one piece (RFC 6455 §5.2).
const WHOLE_TEXT: u8 = 0x81;

/// A stream of bytes both ways.
pub trait Link: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Link for T {}

/// An open connection, whatever lies below it.
pub struct Socket {
    library: WebSocketStream<Ahead>,
    /// The library was granted a frame and has not said yet what it is.
    asked: bool,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A text or binary message.
    Frame(Bytes),
    /// A ping, which is answered, or a pong.
    Control,
    /// The other side says goodbye, perhaps with a code (RFC 6455 §7.4).
    Closed(Option<u16>),
}

impl Socket {
    /// Opens a WebSocket over a link.
    pub(super) async fn open(
        request: impl IntoClientRequest + Unpin,
        link: Box<dyn Link>,
        limits: WebSocketConfig,
    ) -> Result<Self, tungstenite::Error> {
        let ahead = Ahead { link, buffer: BytesMut::new(), granted: Granted::Answer };
        let (library, _) = client_async_with_config(request, ahead, Some(limits)).await?;
        Ok(Self { library, asked: false })
    }

    /// Waits for what comes next; none at the end. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<Result<Received, tungstenite::Error>> {
        while !self.asked {
            match self.library.get_mut().look() {
                Look::Text(text) => return Some(Ok(Received::Frame(text))),
                Look::Granted => self.asked = true,
                Look::Short => match self.library.get_mut().fill().await {
                    Ok(0) => self.asked = true,
                    Ok(_) => {}
                    Err(error) => return Some(Err(error.into())),
                },
            }
        }
        let message = self.library.next().await;
        self.asked = false;
        let received = message?.map(|message| match message {
            Message::Text(text) => Received::Frame(text.into()),
            Message::Binary(bytes) => Received::Frame(bytes),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Received::Control,
            Message::Close(frame) => Received::Closed(frame.map(|frame| frame.code.into())),
        });
        if let Ok(Received::Control | Received::Closed(_)) = received {
            // The library has an answer. What cannot be sent now goes with the next.
            drop(self.library.flush().now_or_never());
        }
        Some(received)
    }

    /// Says something.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub async fn say(&mut self, text: String) -> Result<(), tungstenite::Error> {
        self.library.send(Message::text(text)).await
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub async fn ping(&mut self) -> Result<(), tungstenite::Error> {
        self.library.send(Message::Ping(Bytes::new())).await
    }

    /// Says goodbye, and waits for the answer.
    pub async fn close(&mut self, farewell: CloseFrame) {
        self.library.get_mut().granted = Granted::Bytes(u64::MAX);
        if self.library.close(Some(farewell)).await.is_ok() {
            while let Some(Ok(_)) = self.library.next().await {}
        }
    }
}

/// A link, what was read from it ahead, and how much of that the library may have.
struct Ahead {
    link: Box<dyn Link>,
    buffer: BytesMut,
    granted: Granted,
}

/// What the library may read.
#[derive(Clone, Copy)]
enum Granted {
    /// The answer to the handshake, and nothing behind it.
    Answer,
    /// So many bytes, which are whole frames.
    Bytes(u64),
}

/// What is in the buffer.
enum Look {
    /// A text.
    Text(Bytes),
    /// Something else, which the library was granted.
    Granted,
    /// Not all of a frame.
    Short,
}

impl Ahead {
    /// Takes a text out of the buffer, or grants the library what is there instead.
    fn look(&mut self) -> Look {
        let Some(header) = Header::of(&self.buffer) else { return Look::Short };
        let in_buffer = usize::try_from(header.payload).ok().filter(|_| header.payload <= LONGEST);
        let Some(payload) = in_buffer.filter(|_| header.first == WHOLE_TEXT && !header.masked) else {
            self.granted = Granted::Bytes(header.frame());
            return Look::Granted;
        };
        if self.buffer.len() < header.size + payload {
            return Look::Short;
        }
        self.buffer.advance(header.size);
        Look::Text(self.buffer.split_to(payload).freeze())
    }

    /// Reads what is there, or waits for some. At the end all that is left is the library's.
    async fn fill(&mut self) -> io::Result<usize> {
        std::future::poll_fn(|context| self.poll_fill(context)).await
    }

    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() - self.buffer.len() < LITTLE_ROOM {
            self.buffer.reserve(ROOM);
        }
        let read = ready!(pin!(self.link.read_buf(&mut self.buffer)).poll(context))?;
        if read == 0 {
            self.granted = Granted::Bytes(u64::MAX);
        }
        Poll::Ready(Ok(read))
    }

    /// How much the library may read now; if nothing was granted, the next frame.
    fn poll_granted(&mut self, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
        loop {
            let granted = match self.granted {
                Granted::Bytes(0) => Header::of(&self.buffer).map(|header| header.frame()),
                Granted::Bytes(bytes) => Some(bytes),
                Granted::Answer => answer(&self.buffer),
            };
            if let Some(granted) = granted {
                self.granted = Granted::Bytes(granted);
                return Poll::Ready(Ok(granted));
            }
            ready!(self.poll_fill(context))?;
        }
    }
}

/// The length of the answer to a handshake, once it is known. Of a refusal all is of interest.
fn answer(buffer: &[u8]) -> Option<u64> {
    match memchr::memmem::find(buffer, b"\r\n\r\n") {
        Some(end) if buffer.starts_with(b"HTTP/1.1 101 ") => Some(end as u64 + 4),
        Some(_) => Some(u64::MAX),
        None => (buffer.len() > LONGEST_ANSWER).then_some(u64::MAX),
    }
}

impl AsyncRead for Ahead {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let granted = ready!(this.poll_granted(context))?;
        let most = usize::try_from(granted).map_or(into.remaining(), |granted| granted.min(into.remaining()));
        let read = if this.buffer.is_empty() {
            let mut rest = ReadBuf::new(into.initialize_unfilled_to(most));
            ready!(Pin::new(&mut this.link).poll_read(context, &mut rest))?;
            let read = rest.filled().len();
            into.advance(read);
            read
        } else {
            let piece = this.buffer.split_to(most.min(this.buffer.len()));
            into.put_slice(&piece);
            piece.len()
        };
        this.granted = Granted::Bytes(if granted == u64::MAX { granted } else { granted - read as u64 });
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Ahead {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().link).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().link).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().link).poll_shutdown(context)
    }
}

/// The header of a frame (RFC 6455 §5.2).
struct Header {
    /// Whether it is the last of its message, and its kind.
    first: u8,
    masked: bool,
    /// Its own length.
    size: usize,
    payload: u64,
}

impl Header {
    fn of(bytes: &[u8]) -> Option<Self> {
        let [first, second, rest @ ..] = bytes else { return None };
        let (size, payload) = match second & 0x7f {
            126 => (4, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
            127 => (10, u64::from_be_bytes(*rest.first_chunk()?)),
            short => (2, u64::from(short)),
        };
        let masked = second & 0x80 != 0;
        Some(Self { first: *first, masked, size: if masked { size + 4 } else { size }, payload })
    }

    /// The length of the frame. One that a header cannot even say is the library's to refuse.
    const fn frame(&self) -> u64 {
        self.payload.saturating_add(self.size as u64)
    }
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
