//! Whom a TLS connection trusts: the system's certificate authorities, and a private one.
//!
//! Hospitals break TLS open at their border with an authority of their own, so a file can
//! add to the system's list; nothing can switch the checks off. Commands on the daemon's own machine trust the
//! certificate in the daemon's file, and no other. The cryptography provider
//! is named here, so that no process-wide default has to be installed by anybody.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of certificate authorities is missing or damaged.
    #[error("the file of certificate authorities {path} cannot be read")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// A file without any certificate is a mistake, not a wish to trust nobody.
    #[error("the file of certificate authorities {path} holds no certificate; it must be PEM")]
    EmptyCaFile {
        /// The file.
        path: PathBuf,
    },
    /// Neither the system nor a file names an authority.
    #[error("no certificate authority is known on this system; install ca-certificates or set ca_file")]
    NobodyToTrust,
    /// The provider refused.
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

/// Reads whom to trust. Blocks on files.
pub(super) fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    // A damaged certificate among the system's hundred is no reason to hear nothing.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        for certificate in private_authorities(path)? {
            roots.add(certificate)?;
        }
    }
    if roots.is_empty() {
        return Err(TlsError::NobodyToTrust);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Trusts the one server that shows the first certificate of that file, by whatever name it is called: for a program on
/// the same machine, which reads the file that the server reads. Blocks on files.
///
/// # Errors
/// When the file cannot be read.
pub fn only(certificate: &Path) -> Result<ClientConfig, TlsError> {
    let expected = private_authorities(certificate)?.into_iter().next();
    let expected = expected.ok_or_else(|| TlsError::EmptyCaFile { path: certificate.to_owned() })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let only = Arc::new(Only { expected, algorithms: provider.signature_verification_algorithms });
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(only).with_no_client_auth())
}

/// Asks for one certificate and the key that belongs to it.
#[derive(Debug)]
struct Only {
    expected: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *shown == self.expected {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, shown, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, shown, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn private_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |source| TlsError::CaFile { path: path.to_owned(), source };
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect();
    let found = found.map_err(unreadable)?;
    if found.is_empty() {
        return Err(TlsError::EmptyCaFile { path: path.to_owned() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_useless_file_of_authorities_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.pem");
        assert!(matches!(client_config(Some(&missing)), Err(TlsError::CaFile { .. })));
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "not PEM").unwrap();
        assert!(matches!(client_config(Some(&empty)), Err(TlsError::EmptyCaFile { .. })));
    }
}
