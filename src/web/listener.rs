//! Connections, bounded in number and in patience.
//!
//! A connection costs memory and a file; strangers must not be able to take all of them.
//! So there are at most so many, and each must get something done: the clock of a connection
//! starts anew only when a part of an answer leaves, not when another byte of a request drips in.
//! When all places are taken, whoever comes gets the place of the one that has gone longest without a part of an
//! answer: ten thousand clients that drip push out each other, and nobody who asks and goes. A handshake of TLS is part
//! of its connection and bounded with it, in number, and by a shorter patience.

mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::{Instant, Sleep, sleep};

use self::wire::{Ready, Wire};
use super::tls::Tls;

/// A handshake that takes longer is none.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Where a proxy on this machine is.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What connections come to.
#[derive(Debug)]
pub(super) enum Entrance {
    /// An address, in the clear or not.
    Tcp(TcpListener, Option<Tls>),
    /// A socket of this machine, for the user of that number alone: the proxy that is trusted.
    Unix(UnixListener, u32),
}

/// A listener with a bound.
#[derive(Debug)]
pub(super) struct Bounded {
    entrance: Entrance,
    places: Arc<Places>,
    patience: Duration,
}

impl Bounded {
    /// At most so many connections at a time, each with so much time from one part of an answer to the next.
    pub(super) fn new(entrance: Entrance, connections: usize, patience: Duration) -> Self {
        let places = Places { most: connections, next: AtomicU64::new(0), taken: Mutex::default() };
        Self { entrance, places: Arc::new(places), patience }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (wire, peer) = match &mut self.entrance {
            Entrance::Tcp(listener, tls) => {
                let (stream, address) = Listener::accept(listener).await;
                let address = address.ip();
                match tls {
                    None => (Wire::Tcp(stream), Peer { address, door: Door::Clear }),
                    Some(tls) => (Wire::Arriving(Box::new(tls.accept(stream))), Peer { address, door: Door::Tls }),
                }
            }
            Entrance::Unix(listener, user) => {
                let stream = loop {
                    let (stream, _) = Listener::accept(listener).await;
                    // The kernel says who connects; anybody else who could would be whoever they like.
                    if stream.peer_cred().is_ok_and(|peer| peer.uid() == *user) {
                        break stream;
                    }
                };
                (Wire::Unix(stream), Peer { address: HERE, door: Door::Proxy })
            }
        };
        let patience = self.patience;
        let first = if peer.door == Door::Tls { patience.min(HANDSHAKE) } else { patience };
        let (deadline, place) = (Box::pin(sleep(first)), Places::take(&self.places));
        (Connection { wire, deadline, patience, place }, peer)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(match &self.entrance {
            Entrance::Tcp(listener, _) => Peer { address: listener.local_addr()?.ip(), door: Door::Clear },
            Entrance::Unix(..) => Peer { address: HERE, door: Door::Proxy },
        })
    }
}

/// Who is connected, by how long ago each got something done.
#[derive(Debug)]
struct Places {
    most: usize,
    /// Also of two that got something done at once one was first.
    next: AtomicU64,
    taken: Mutex<BTreeMap<u64, Arc<Notice>>>,
}

/// Whether somebody else has the place now.
#[derive(Debug, Default)]
struct Notice {
    given: AtomicBool,
    reader: AtomicWaker,
}

/// A place, until it is given to somebody else.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    turn: u64,
    notice: Arc<Notice>,
}

impl Places {
    fn take(places: &Arc<Self>) -> Place {
        let (turn, notice) = (places.next.fetch_add(1, Ordering::Relaxed), Arc::new(Notice::default()));
        let mut taken = places.taken();
        let over = (taken.len() >= places.most).then(|| taken.pop_first()).flatten();
        taken.insert(turn, Arc::clone(&notice));
        drop(taken);
        if let Some((_, over)) = over {
            over.given.store(true, Ordering::Release);
            over.reader.wake();
        }
        Place { places: Arc::clone(places), turn, notice }
    }

    /// Nobody panics while holding it.
    fn taken(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Notice>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Last in the order of those whose place is given away.
    fn got_something_done(&mut self) {
        let turn = self.places.next.fetch_add(1, Ordering::Relaxed);
        let mut taken = self.places.taken();
        if taken.remove(&self.turn).is_some() {
            taken.insert(turn, Arc::clone(&self.notice));
            drop(taken);
            self.turn = turn;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().remove(&self.turn);
    }
}

/// By which way a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// In the clear: from this machine, or from a proxy.
    Clear,
    /// By TLS of our own.
    Tls,
    /// From the proxy that says who is there.
    Proxy,
}

/// Who is at the other end of a connection; behind a proxy, the proxy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Where they are.
    pub(super) address: IpAddr,
    /// How they came.
    pub(super) door: Door,
}

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        *stream.remote_addr()
    }
}

/// A connection with a deadline.
pub(super) struct Connection {
    wire: Wire,
    deadline: Pin<Box<Sleep>>,
    patience: Duration,
    place: Place,
}

impl Connection {
    /// Fails once the deadline has passed or the place is somebody else's, and otherwise wakes the task when it does.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.place.notice.reader.register(context.waker());
        if self.place.notice.given.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if self.deadline.as_mut().poll(context).is_ready() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    /// Ready for the application's bytes; a handshake that is done gives the usual patience for the first request.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        if matches!(ready!(self.wire.poll_ready(context))?, Ready::Now) {
            let deadline = Instant::now() + self.patience;
            self.deadline.as_mut().reset(deadline);
            // So that it wakes this task.
            self.in_time(context)?;
        }
        Poll::Ready(Ok(()))
    }

    fn got_something_done(&mut self, written: usize) {
        if written > 0 {
            let deadline = Instant::now() + self.patience;
            self.deadline.as_mut().reset(deadline);
            self.place.got_something_done();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_ready(context))?;
        self.wire.both()?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_ready(context))?;
        let written = ready!(self.wire.both()?.poll_write(context, bytes))?;
        self.got_something_done(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_ready(context))?;
        let written = ready!(self.wire.both()?.poll_write_vectored(context, slices))?;
        self.got_something_done(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ready(context))?;
        self.wire.both()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.wire.both() {
            Ok(both) => both.poll_shutdown(context),
            // Nothing was said yet, so there is nothing to end.
            Err(_) => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn a_client_that_drips_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut bounded = Bounded::new(Entrance::Tcp(listener, None), 1, Duration::from_millis(100));
        let mut slow = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = bounded.accept().await;
        let mut byte = [0];
        let error = loop {
            slow.write_all(b"x").await.unwrap();
            match connection.read_exact(&mut byte).await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn whoever_comes_gets_the_place_of_the_one_that_got_nothing_done_for_longest() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut bounded = Bounded::new(Entrance::Tcp(listener, None), 2, Duration::from_mins(10));
        let mut clients = Vec::new();
        let mut come = async || {
            clients.push(TcpStream::connect(address).await.unwrap());
            bounded.accept().await.0
        };
        let mut busy = come().await;
        let mut idle = come().await;
        busy.write_all(b"answer").await.unwrap();
        let mut byte = [0];
        let (waited, third) = tokio::join!(idle.read_exact(&mut byte), come());
        assert_eq!(waited.unwrap_err().kind(), io::ErrorKind::ConnectionAborted, "while it waited");
        busy.write_all(b"more").await.unwrap();
        drop(third);
        // A place that became free is free: nobody is pushed out.
        let _fourth = come().await;
        busy.write_all(b"more").await.unwrap();
        let _fifth = come().await;
        let _sixth = come().await;
        assert_eq!(busy.write_all(b"more").await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn an_answer_that_leaves_renews_the_patience() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut bounded = Bounded::new(Entrance::Tcp(listener, None), 1, Duration::from_secs(30));
        let _client = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = bounded.accept().await;
        let before = connection.deadline.deadline();
        connection.write_all(b"answer").await.unwrap();
        assert!(connection.deadline.deadline() > before);
    }
}
