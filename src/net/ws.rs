//! The WebSocket transport: from an address to an open connection.
//!
//! TCP (or a tunnel through the hospital's proxy), TLS for `wss`, the WebSocket handshake,
//! all under one deadline. It knows nothing of any source's wire, and never retries: that
//! is for whoever asks. Errors name hosts, never queries or credentials.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, handshake::client::Response};
use url::{Host, Url};

use super::dial::{DialError, dial};
use super::proxy::{ProxyError, open_tunnel};
use super::retry::RetryAfter;
use super::socket::{Link, Socket};
use super::tls::{TlsError, client_config};
use crate::config::model::Transport;

/// The limit that protects memory, in bytes. A message beyond it ends the connection,
/// because the only way past it would be to read it.
pub const HARD_LIMIT_BYTES: usize = 16 << 20;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not an address this transport can use.
    #[error("not a ws:// or wss:// address with a host")]
    Address,
    /// The name is unknown, nobody listens, or the network is away.
    #[error("cannot reach {peer}")]
    Unreachable {
        /// `host:port` of the server or the proxy.
        peer: String,
        /// What the system says.
        #[source]
        source: DialError,
    },
    /// The way out of the building is closed.
    #[error("no way through the proxy {proxy}")]
    Proxy {
        /// `host:port`.
        proxy: String,
        /// Why.
        #[source]
        source: ProxyError,
    },
    /// Our side of TLS is not fit for use.
    #[error("TLS is not set up")]
    Tls(#[from] TlsError),
    /// The server's certificate, or its TLS, is not acceptable.
    #[error("no trusted TLS connection to {peer}; behind a proxy that inspects TLS, set ca_file to its authority")]
    Untrusted {
        /// `host:port`.
        peer: String,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// The server answered, but not with a WebSocket.
    #[error("{peer} refused with status {status}: {excerpt}")]
    Refused {
        /// `host:port`.
        peer: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of its answer, fit for a log.
        excerpt: String,
        /// When it wants to be asked again.
        retry_after: Option<RetryAfter>,
    },
    /// The server does not speak WebSocket.
    #[error("no WebSocket at {peer}")]
    Handshake {
        /// `host:port`.
        peer: String,
        /// What is wrong.
        #[source]
        source: Box<tungstenite::Error>,
    },
    /// All of it took too long.
    #[error("no connection within {0:?}")]
    Timeout(Duration),
}

/// Makes connections for one source.
pub struct Connector {
    transport: Transport,
    within: Duration,
    max_message_bytes: usize,
    // Reading the system's authorities takes tens of milliseconds: once, when needed.
    tls: OnceCell<Arc<ClientConfig>>,
}

impl Connector {
    /// Connections over `transport`, each made `within` a time, that carry messages of
    /// at most `max_message_bytes`.
    pub fn new(transport: Transport, within: Duration, max_message_bytes: usize) -> Self {
        Self { transport, within, max_message_bytes, tls: OnceCell::new() }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// [`ConnectError`], whose cause is in `source()`.
    pub async fn connect(&self, url: &Url) -> Result<Socket, ConnectError> {
        self.connect_with(url, &HeaderMap::new()).await
    }

    /// As [`Connector::connect`], with headers that the server wants. They are never printed.
    ///
    /// # Errors
    /// [`ConnectError`], whose cause is in `source()`.
    pub async fn connect_with(&self, url: &Url, headers: &HeaderMap) -> Result<Socket, ConnectError> {
        timeout(self.within, self.dial(url, headers)).await.unwrap_or(Err(ConnectError::Timeout(self.within)))
    }

    /// Opens what carries a connection: TCP, and TLS where the address says so.
    ///
    /// # Errors
    /// [`ConnectError`], whose cause is in `source()`.
    pub async fn link(&self, url: &Url) -> Result<Box<dyn Link>, ConnectError> {
        timeout(self.within, self.carry(url)).await.unwrap_or(Err(ConnectError::Timeout(self.within)))
    }

    async fn carry(&self, url: &Url) -> Result<Box<dyn Link>, ConnectError> {
        let secure = match url.scheme() {
            "ws" => false,
            "wss" => true,
            _ => return Err(ConnectError::Address),
        };
        let peer = peer(url).ok_or(ConnectError::Address)?;
        let tcp = self.reach(url, &peer).await?;
        Ok(if secure { Box::new(self.secure(tcp, url, &peer).await?) } else { Box::new(tcp) })
    }

    async fn dial(&self, url: &Url, headers: &HeaderMap) -> Result<Socket, ConnectError> {
        let peer = peer(url).ok_or(ConnectError::Address)?;
        let link = self.carry(url).await?;
        let mut request = url.as_str().into_client_request().or(Err(ConnectError::Address))?;
        let agent = HeaderValue::from_static(concat!("stormbell/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        request.headers_mut().extend(headers.clone());
        let limits = WebSocketConfig::default()
            .max_message_size(Some(self.max_message_bytes))
            .max_frame_size(Some(self.max_message_bytes));
        match Socket::open(request, link, limits).await {
            Ok(socket) => Ok(socket),
            Err(tungstenite::Error::Http(response)) => Err(refused(peer, &response)),
            Err(error) => Err(ConnectError::Handshake { peer, source: Box::new(error) }),
        }
    }

    /// A TCP connection to the server, or through the proxy.
    async fn reach(&self, url: &Url, target: &str) -> Result<TcpStream, ConnectError> {
        let Some(proxy) = &self.transport.proxy else {
            return self.tcp(url, target).await;
        };
        let address = peer(&proxy.url).ok_or(ConnectError::Address)?;
        let mut tcp = self.tcp(&proxy.url, &address).await?;
        let opened = open_tunnel(&mut tcp, proxy, target).await;
        opened.map_err(|source| ConnectError::Proxy { proxy: address, source })?;
        Ok(tcp)
    }

    /// Tries each address of the name; one that swallows packets may not eat the deadline.
    async fn tcp(&self, url: &Url, peer: &str) -> Result<TcpStream, ConnectError> {
        let host = bare_host(url).ok_or(ConnectError::Address)?;
        let port = url.port_or_known_default().ok_or(ConnectError::Address)?;
        let tcp = dial(&host, port, self.within / 3, None).await;
        tcp.map_err(|source| ConnectError::Unreachable { peer: peer.to_owned(), source })
    }

    async fn secure(&self, tcp: TcpStream, url: &Url, peer: &str) -> Result<impl Link + use<>, ConnectError> {
        let name = ServerName::try_from(bare_host(url).ok_or(ConnectError::Address)?).or(Err(ConnectError::Address))?;
        let config = self.tls.get_or_try_init(|| self.load_tls()).await?;
        let connected = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await;
        connected.map_err(|source| ConnectError::Untrusted { peer: peer.to_owned(), source })
    }

    async fn load_tls(&self) -> Result<Arc<ClientConfig>, ConnectError> {
        let ca_file = self.transport.ca_file.clone();
        let loaded = tokio::task::spawn_blocking(move || client_config(ca_file.as_deref())).await;
        // It only fails to be joined when the runtime is going down.
        Ok(loaded.unwrap_or(Err(TlsError::NobodyToTrust))?)
    }
}

/// `host:port`, as logs and `CONNECT` want it.
pub fn peer(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

/// The host as resolvers and certificates know it: IPv6 without brackets.
fn bare_host(url: &Url) -> Option<String> {
    Some(match url.host()? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    })
}

fn refused(peer: String, response: &Response) -> ConnectError {
    ConnectError::Refused {
        peer,
        status: response.status().as_u16(),
        excerpt: excerpt(response.body().as_deref().unwrap_or_default()),
        retry_after: retry_after(response.headers()),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<RetryAfter> {
    RetryAfter::parse(headers.get(RETRY_AFTER)?.to_str().ok()?)
}

/// The first words of a body, without control characters and without any word that could
/// be an address or a parameter, because those may carry secrets.
pub fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..1024).unwrap_or(body));
    let words = text.split_whitespace().filter(|word| !word.contains(['=', '?', '@', '/', '<']));
    let clean = words.map(|word| word.replace(char::is_control, "")).collect::<Vec<_>>().join(" ");
    clean.chars().take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_hold_no_secrets_and_no_escapes() {
        let body = b"<html>\nbad \x1b[31mtoken=abc123 https://u:p@h/x cursor\r\n too old";
        assert_eq!(excerpt(body), "bad cursor too old");
        assert_eq!(excerpt(&[b'x'; 5000]).len(), 160);
    }
}
