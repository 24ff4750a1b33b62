//! What a connection goes over: TCP, TLS once its handshake is done, or a socket of this machine.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::Accept;
use tokio_rustls::server::TlsStream;

use crate::web::desks::Duplex;

/// One way or another. The handshake belongs to the connection's own task, so that a slow one holds up nobody else.
pub(super) enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
    Arriving(Box<Accept<TcpStream>>),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Whether bytes of the application can go over it, and whether that has just begun.
pub(super) enum Ready {
    Now,
    Already,
}

impl Wire {
    /// Goes on with the handshake, if one is under way.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        let Self::Arriving(handshake) = self else { return Poll::Ready(Ok(Ready::Already)) };
        let stream = ready!(Pin::new(handshake.as_mut()).poll(context))?;
        *self = Self::Tls(Box::new(stream));
        Poll::Ready(Ok(Ready::Now))
    }

    /// Both ways, once it is ready.
    pub(super) fn both(&mut self) -> io::Result<Pin<&mut dyn Duplex>> {
        Ok(match self {
            Self::Tcp(stream) => Pin::new(stream),
            Self::Unix(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(stream.as_mut()),
            Self::Arriving(_) => return Err(io::ErrorKind::NotConnected.into()),
        })
    }

    pub(super) fn is_write_vectored(&self) -> bool {
        !matches!(self, Self::Arriving(_) | Self::Tls(_))
    }
}
