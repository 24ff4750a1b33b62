//! TCP: from a name to an open connection, address by address.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::reach::{Guarded, Private};

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address, or nobody could be asked for one.
    #[error("no address is known of it")]
    Unknown(#[source] io::Error),
    /// It leads where it may not.
    #[error(transparent)]
    Private(#[from] Private),
    /// No address took the connection.
    #[error("no connection to {at}")]
    Closed {
        /// The address that says most.
        at: SocketAddr,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// Connects to the first address of the name that lets us. One that swallows what is sent to it has no more than `each`,
/// or it would eat the time of those that do not.
pub(super) async fn dial(
    host: &str,
    port: u16,
    each: Duration,
    guarded: Option<&Guarded>,
) -> Result<TcpStream, DialError> {
    let found = addresses(host, port).await?;
    let found = guarded.map_or(Ok(found.clone()), |guarded| guarded.choose(found))?;
    connect(&found, each).await
}

/// What the name stands for; at least one address.
pub(super) async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    let found: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(DialError::Unknown)?.collect();
    if found.is_empty() {
        return Err(DialError::Unknown(io::ErrorKind::NotFound.into()));
    }
    Ok(found)
}

/// Of several failures that of an address counts to which there is a way: without IPv6, names with both kinds of address
/// would else always end in “network unreachable”.
pub(super) async fn connect(found: &[SocketAddr], each: Duration) -> Result<TcpStream, DialError> {
    let mut failure: Option<(SocketAddr, io::Error)> = None;
    for &at in found {
        let error = match timeout(each, TcpStream::connect(at)).await {
            Ok(Ok(tcp)) => {
                tcp.set_nodelay(true).map_err(|source| DialError::Closed { at, source })?;
                return Ok(tcp);
            }
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, "no answer in time"),
        };
        if failure.as_ref().is_none_or(|(_, before)| before.kind() == io::ErrorKind::NetworkUnreachable) {
            failure = Some((at, error));
        }
    }
    Err(failure.map_or_else(
        || DialError::Unknown(io::ErrorKind::NotFound.into()),
        |(at, source)| DialError::Closed { at, source },
    ))
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// Nobody has it (RFC 3849), whether there is IPv6 or not.
    const NOWHERE: &str = "[2001:db8::1]:9";

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[tokio::test]
    async fn without_ipv6_a_name_with_both_kinds_of_address_is_reached_by_the_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let tcp = connect(&[at(NOWHERE), there], Duration::from_millis(200)).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), there);
        drop(listener);
        for order in [[at(NOWHERE), there], [there, at(NOWHERE)]] {
            let refused = connect(&order, Duration::from_millis(200)).await.unwrap_err();
            let DialError::Closed { source, .. } = refused else { panic!("{refused}") };
            // Where there is a way for IPv6, that nothing came back is the first thing that was heard.
            let heard = [io::ErrorKind::ConnectionRefused, io::ErrorKind::TimedOut];
            assert!(heard.contains(&source.kind()), "{source}");
        }
    }

    #[tokio::test]
    async fn an_address_that_swallows_everything_is_left_for_the_next() {
        // The kernel drops what comes beyond a full queue, as a firewall does.
        let full = TcpSocket::new_v4().unwrap();
        full.bind(at("127.0.0.1:0")).unwrap();
        let full = full.listen(1).unwrap();
        let hole = full.local_addr().unwrap();
        let mut fillers = Vec::new();
        while let Ok(Ok(one)) = timeout(Duration::from_millis(200), TcpStream::connect(hole)).await {
            fillers.push(one);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let tcp = connect(&[hole, there], Duration::from_millis(200)).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), there);
        let swallowed = connect(&[hole], Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(swallowed, DialError::Closed { source, .. } if source.kind() == io::ErrorKind::TimedOut));
    }
}
