//! TLS in front of the pages, with a certificate that can be another one from one connection to the next.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// What the server proves itself with.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held(RwLock<Arc<CertifiedKey>>);

impl Tls {
    /// With that certificate, until another one comes.
    ///
    /// # Errors
    /// When the provider knows no version of TLS that is safe.
    pub fn new(certified: CertifiedKey) -> Result<Self, rustls::Error> {
        let held = Arc::new(Held(RwLock::new(Arc::new(certified))));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Held>::clone(&held);
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth();
        let mut config = config.with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), held })
    }

    /// Whoever connects from now on is shown this one.
    pub fn replace(&self, certified: CertifiedKey) {
        *self.held.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
    }

    /// A handshake that goes on as the connection is polled.
    pub(super) fn accept(&self, stream: TcpStream) -> Accept<TcpStream> {
        TlsAcceptor::from(Arc::clone(&self.config)).accept(stream)
    }
}

impl ResolvesServerCert for Held {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}
