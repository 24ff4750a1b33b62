//! How far a connection comes on its way out, for whoever has to find out where it ends: name, TCP, the proxy's tunnel,
//! TLS. Nothing is said to the server itself.

use std::io;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::dial::{DialError, addresses, connect};
use super::proxy::{ProxyError, open_tunnel};
use super::reach::Guarded;
use super::tls::{TlsError, client_config};
use crate::config::model::{Egress, Speaks};

/// For one of several addresses.
const LEAST: Duration = Duration::from_secs(1);

/// Where a way ends before its time.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// On the first steps. Towards the proxy where there is one.
    #[error("{peer}")]
    Dial {
        /// `host:port` of the server or the proxy.
        peer: String,
        /// Why.
        #[source]
        source: DialError,
    },
    /// The proxy opens no tunnel.
    #[error("the proxy {peer}")]
    Proxy {
        /// `host:port`.
        peer: String,
        /// Why.
        #[source]
        source: ProxyError,
    },
    /// Our side of TLS is not fit for use.
    #[error(transparent)]
    Authorities(#[from] TlsError),
    /// The server does not prove itself.
    #[error("{peer} does not prove itself by TLS")]
    Untrusted {
        /// `host:port`.
        peer: String,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// It took the connection, and was silent.
    #[error("{peer} took the connection and said nothing")]
    Silent {
        /// `host:port` of the server or the proxy.
        peer: String,
    },
}

/// Goes the way, as far as it leads: each step has `within`. To mail servers it ends at TCP (what speaks to them
/// is another's), to those of datagrams at the name, and plain HTTP through a proxy at the proxy.
///
/// # Errors
/// [`Obstacle`]: where it ends instead.
pub async fn walk(to: &Egress, within: Duration) -> Result<(), Obstacle> {
    let peer = to.peer();
    if to.speaks == Speaks::Datagrams {
        let found = timeout(within, addresses(&to.host, to.port)).await;
        let found = found.unwrap_or_else(|late| Err(DialError::Unknown(late.into())));
        return found.map(drop).map_err(|source| Obstacle::Dial { peer, source });
    }
    let tcp = match &to.transport.proxy {
        None => reach(&to.host, to.port, within, Guarded::of(&to.transport).as_ref()).await?,
        Some(proxy) => {
            let host = proxy.url.host_str().unwrap_or_default();
            let port = proxy.url.port_or_known_default().unwrap_or_default();
            let mut tcp = reach(host.trim_matches(['[', ']']), port, within, None).await?;
            if to.speaks == Speaks::Requests {
                return Ok(());
            }
            let door = format!("{host}:{port}");
            match timeout(within, open_tunnel(&mut tcp, proxy, &peer)).await {
                Ok(opened) => opened.map_err(|source| Obstacle::Proxy { peer: door, source })?,
                Err(_) => return Err(Obstacle::Silent { peer: door }),
            }
            tcp
        }
    };
    if to.speaks == Speaks::Tls { secure(tcp, to, within).await } else { Ok(()) }
}

async fn reach(host: &str, port: u16, within: Duration, guarded: Option<&Guarded>) -> Result<TcpStream, Obstacle> {
    let late = io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
    let closed = |source| Obstacle::Dial { peer: format!("{host}:{port}"), source };
    let found = timeout(within, addresses(host, port)).await.unwrap_or(Err(DialError::Unknown(late)));
    let found = found.map_err(closed)?;
    let found = match guarded {
        Some(guarded) => guarded.choose(found).map_err(|private| closed(private.into()))?,
        None => found,
    };
    // The kernel asks a second time after a second.
    let each = (within / u32::try_from(found.len()).unwrap_or(1)).max(LEAST);
    connect(&found, each).await.map_err(closed)
}

async fn secure(tcp: TcpStream, to: &Egress, within: Duration) -> Result<(), Obstacle> {
    let ca_file = to.transport.ca_file.clone();
    let loaded = tokio::task::spawn_blocking(move || client_config(ca_file.as_deref())).await;
    // It only fails to be joined when the runtime is going down.
    let config = loaded.unwrap_or(Err(TlsError::NobodyToTrust))?;
    let untrusted = |source| Obstacle::Untrusted { peer: to.peer(), source };
    let name = ServerName::try_from(to.host.clone()).map_err(|error| untrusted(io::Error::other(error)))?;
    match timeout(within, TlsConnector::from(config).connect(name, tcp)).await {
        Ok(connected) => connected.map(drop).map_err(untrusted),
        Err(_) => Err(Obstacle::Silent { peer: to.peer() }),
    }
}
