//! The receiver `syslog`: one RFC 5424 line an event, for the security team's collector.
//!
//! What programs read is structured data; the message is for people. No post's text: a log is kept
//! for years and read by many. A datagram is not answered, and a stream is not either: over
//! `tcp` and `tls` the sender's end is closed and the collector's awaited a moment, so that at least a
//! refusal is heard. Who must be sure uses another receiver beside it.
//!
//! The structured data's id ends in 32473, the enterprise number reserved for documentation: the
//! project has none of its own.
//!
//! Source: RFC 5424, RFC 5425, RFC 6587 (octet counting).

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::text::{Parts, Urgency, urgency};
use super::untrusted::structured_data;
use super::wording::Wording;
use super::{BuildError, SendError};
use crate::config::model::{self, SyslogWay};
use crate::domain::message::{Leased, Message};
use crate::net::http::SetupError;

/// Bytes that every collector should take.
const MAX_MESSAGE: usize = 2048;
/// `local0`.
const FACILITY: u8 = 16;
/// For the whole of an attempt.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to listen for a refusal.
const LISTEN: Duration = Duration::from_millis(500);

/// A collector.
pub struct Syslog {
    way: SyslogWay,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    wording: Wording,
}

impl Syslog {
    pub(super) fn new(config: &model::Syslog, wording: Wording) -> Result<Self, BuildError> {
        let tls = (config.way == SyslogWay::Tls).then(|| connector(config)).transpose()?;
        Ok(Self { way: config.way, host: config.host.clone(), port: config.port, tls, wording })
    }

    pub(super) async fn send(&self, leased: &Leased) -> Result<(), SendError> {
        let parts = self.wording.parts(leased).repeated(leased.attempt);
        let message = &leased.delivery.message;
        let id = leased.delivery.id.as_str();
        let line = parts.fitted(|parts| line(message, id, parts), |line| line.len() <= MAX_MESSAGE);
        let again = |error: String| SendError::Retry { after: None, error: format!("{}: {error}", self.host) };
        match timeout(TOTAL_TIMEOUT, self.write(line.as_bytes())).await {
            Ok(written) => written.map_err(|error| again(error.to_string())),
            Err(_) => Err(again("no connection in time".to_owned())),
        }
    }

    async fn write(&self, line: &[u8]) -> io::Result<()> {
        match &self.tls {
            None if self.way == SyslogWay::Udp => {
                let nobody = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                let there = lookup_host((self.host.as_str(), self.port)).await?.next().ok_or_else(nobody)?;
                let here: SocketAddr = if there.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
                let socket = UdpSocket::bind(here).await?;
                socket.connect(there).await?;
                socket.send(line).await.map(drop)
            }
            None => counted(self.connect().await?, line).await,
            Some((connector, name)) => {
                counted(connector.connect(name.clone(), self.connect().await?).await?, line).await
            }
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect((self.host.as_str(), self.port)).await
    }
}

/// Writes one frame and listens whether it is refused. A collector says nothing: to hear nothing is well.
async fn counted(mut stream: impl AsyncRead + AsyncWrite + Unpin, line: &[u8]) -> io::Result<()> {
    let mut frame = format!("{} ", line.len()).into_bytes();
    frame.extend_from_slice(line);
    stream.write_all(&frame).await?;
    stream.flush().await?;
    stream.shutdown().await?;
    match timeout(LISTEN, stream.read(&mut [0; 1])).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => Err(error),
        _ => Ok(()),
    }
}

fn connector(config: &model::Syslog) -> Result<(TlsConnector, ServerName<'static>), BuildError> {
    let failed = |error: &dyn std::fmt::Display| SetupError::Client(error.to_string());
    let mut roots = RootCertStore::empty();
    // Certificates of the system that cannot be read are not trusted, and no reason to stop.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &config.ca_file {
        let pem = fs::read(path).map_err(|cause| SetupError::CaFile { path: path.clone(), cause })?;
        let own = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
        if roots.add_parsable_certificates(own).0 == 0 {
            return Err(SetupError::NoCertificate { path: path.clone() }.into());
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(config.host.clone()).map_err(|error| failed(&error))?;
    Ok((TlsConnector::from(Arc::new(tls)), name))
}

/// One line. Of the structured data what a program needs stays; the text gives way.
fn line(message: &Message, id: &str, parts: &Parts) -> String {
    let incident = &message.incident;
    let severity = match urgency(message) {
        Urgency::Wake => 2,   // critical
        Urgency::High => 3,   // error
        Urgency::Normal => 4, // warning
        Urgency::Quiet => 6,  // informational
    };
    let pri = FACILITY * 8 + severity;
    let data = [
        ("event", message.kind.as_str().to_owned()),
        ("delivery", id.to_owned()),
        ("incident", incident.id.as_str().to_owned()),
        ("severity", incident.severity.as_str().to_owned()),
        ("state", incident.state.as_str().to_owned()),
        ("topic", incident.topic.as_str().to_owned()),
        ("posts", incident.posts.to_string()),
        ("authors", incident.authors.to_string()),
        ("exercise", incident.exercise.to_string()),
        ("late", incident.late.to_string()),
    ];
    let data: Vec<String> = data.iter().map(|(name, value)| format!("{name}=\"{}\"", structured_data(value))).collect();
    let msgid = message.kind.as_str();
    let text = parts.plain().replace('\n', " | ");
    let process = std::process::id();
    format!("<{pri}>1 {} - stormbell {process} {msgid} [stormbell@32473 {}] \u{feff}{text}", message.at, data.join(" "))
}
