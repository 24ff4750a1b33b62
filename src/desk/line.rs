//! A connection as lines of JSON, whatever carries them.
//!
//! Bounded both ways: a line by [`MAX_LINE`], what is said by a patience. A peer that does not read
//! loses its connection and nobody else's time.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{Sink, SinkExt, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::codec::{FramedRead, FramedWrite, LinesCodec, LinesCodecError};

use super::protocol::MAX_LINE;

/// How long the peer may take to make room for a line.
const PATIENCE: Duration = Duration::from_secs(10);

/// Both directions of a connection.
pub struct Line {
    heard: BoxStream<'static, io::Result<String>>,
    said: Pin<Box<dyn Sink<String, Error = io::Error> + Send>>,
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The peer hung up.
    #[error("the other end hung up")]
    HungUp,
    /// What came is not of this protocol.
    #[error("what came is not of this protocol: {0}")]
    Nonsense(#[source] serde_json::Error),
    /// The peer does not read.
    #[error("the other end has taken nothing for {} s", PATIENCE.as_secs())]
    Stuck,
    /// Anything else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Line {
    /// Lines over a stream of bytes.
    pub fn over(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (reads, writes) = tokio::io::split(stream);
        let heard = FramedRead::new(reads, LinesCodec::new_with_max_length(MAX_LINE));
        let said = FramedWrite::new(writes, LinesCodec::new());
        let said = SinkExt::<String>::sink_map_err(said, in_io);
        Self { heard: heard.map(|line| line.map_err(in_io)).boxed(), said: Box::pin(said) }
    }

    /// Lines as text messages of a WebSocket whose handshake, by somebody else, was its client's.
    pub async fn websocket(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self::messages(WebSocketStream::from_raw_socket(stream, Role::Server, Some(limits())).await)
    }

    /// The same at the client's end: says the handshake, too.
    ///
    /// # Errors
    /// What the server answers instead.
    pub async fn to_websocket(
        request: Request,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, tungstenite::Error> {
        let (socket, _) = client_async_with_config(request, stream, Some(limits())).await?;
        Ok(Self::messages(socket))
    }

    fn messages(socket: WebSocketStream<impl AsyncRead + AsyncWrite + Send + Unpin + 'static>) -> Self {
        let (said, heard) = socket.split();
        let heard = heard.filter_map(async |message| match message {
            Ok(Message::Text(text)) => Some(Ok(text.as_str().to_owned())),
            // A close ends the stream; of a binary message there is nothing to make.
            Ok(_) => None,
            Err(error) => Some(Err(io::Error::other(error))),
        });
        let said = said.with(async |text: String| Ok(Message::text(text)));
        let said = said.sink_map_err(|error: tungstenite::Error| io::Error::other(error));
        Self { heard: heard.boxed(), said: Box::pin(said) }
    }

    /// The next thing said. Nothing is lost when this is dropped half-way.
    ///
    /// # Errors
    /// [`Broken`]: there will be nothing more.
    pub async fn hear<T: DeserializeOwned>(&mut self) -> Result<T, Broken> {
        let text = self.heard.next().await.ok_or(Broken::HungUp)??;
        serde_json::from_str(&text).map_err(Broken::Nonsense)
    }

    /// Says something.
    ///
    /// # Errors
    /// [`Broken`]: the peer is gone, or does not read.
    pub async fn say(&mut self, what: &(impl Serialize + Sync)) -> Result<(), Broken> {
        self.say_within(PATIENCE, what).await
    }

    async fn say_within(&mut self, patience: Duration, what: &(impl Serialize + Sync)) -> Result<(), Broken> {
        let text = serde_json::to_string(what).map_err(Broken::Nonsense)?;
        timeout(patience, self.said.send(text)).await.or(Err(Broken::Stuck))??;
        Ok(())
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(MAX_LINE)).max_frame_size(Some(MAX_LINE))
}

fn in_io(error: LinesCodecError) -> io::Error {
    match error {
        LinesCodecError::MaxLineLengthExceeded => {
            io::Error::new(io::ErrorKind::InvalidData, format!("a line is longer than {MAX_LINE} bytes"))
        }
        LinesCodecError::Io(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::super::protocol::FromDesk;
    use super::*;

    #[tokio::test]
    async fn a_line_without_end_is_not_read_to_its_end() {
        let (ours, mut theirs) = tokio::io::duplex(2 * MAX_LINE);
        let mut line = Line::over(ours);
        theirs.write_all(b"{\"type\":\"ping\"}\n").await.unwrap();
        assert_eq!(line.hear::<FromDesk>().await.unwrap(), FromDesk::Ping);
        theirs.write_all(&vec![b'x'; MAX_LINE + 1]).await.unwrap();
        let error = line.hear::<FromDesk>().await.unwrap_err();
        assert!(error.to_string().contains("longer than 65536 bytes"), "{error}");
    }

    #[tokio::test]
    async fn who_does_not_read_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(8);
        let mut line = Line::over(ours);
        let said = line.say_within(Duration::from_millis(10), &FromDesk::Ping).await;
        assert!(matches!(said, Err(Broken::Stuck)), "{said:?}");
    }
}
