//! TLS on loopback, with an authority of its own.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A server that calls itself `localhost` and `127.0.0.1`, and the PEM of whom its clients trust.
pub fn acceptor() -> (TlsAcceptor, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

/// The PEM of a server's certificate and of its key, and of whom its clients trust.
pub struct Certified {
    pub chain: String,
    pub key: String,
    pub authority: String,
}

/// Another one at each call, for `localhost` and `127.0.0.1`.
pub fn certified() -> Certified {
    certified_with(|_| ())
}

/// One that was over long ago.
pub fn ended() -> Certified {
    certified_with(|params| params.not_after = date_time_ymd(2020, 1, 1))
}

fn certified_with(change: impl FnOnce(&mut CertificateParams)) -> Certified {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let certificate = params.signed_by(&key, &authority).unwrap();
    Certified { chain: certificate.pem(), key: key.serialize_pem(), authority: authority.pem() }
}

/// Takes TLS off and passes the rest on to a port of this machine, as a reverse proxy does; ends with the task.
pub async fn relay(listener: TcpListener, acceptor: TlsAcceptor, port: u16) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        connections.spawn(async move {
            let Ok(mut inside) = acceptor.accept(socket).await else { return };
            let Ok(mut behind) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            drop(copy_bidirectional(&mut inside, &mut behind).await);
        });
    }
}
