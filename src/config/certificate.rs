//! The certificate by which the web server proves itself: read for the first time, and again when its files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use super::file::read_text;
use super::model::TlsFiles;
use crate::domain::time::Timestamp;

/// No chain and no key is longer, in bytes.
const LIMIT: u64 = 256 << 10;

/// Why a certificate is of no use.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file is not there, or not text.
    #[error("{path} {why}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// What is in it is no PEM.
    #[error("{path} is damaged")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: pem::Error,
    },
    /// A file without any.
    #[error("{path} holds no certificate; it must be PEM, with the server's certificate first")]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// A file without any, or with one that is locked.
    #[error("{path} holds no private key that can be used; it must be PEM, without a passphrase")]
    NoKey {
        /// Which.
        path: PathBuf,
    },
    /// Perhaps only one of the two was renewed.
    #[error("the key in {key} does not belong to the first certificate in {certificate}")]
    Strangers {
        /// The certificates.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
}

impl CertificateError {
    /// Whether the files may be fine where the daemon runs.
    pub(super) fn is_of_this_machine(&self) -> bool {
        matches!(self, Self::Unreadable { .. })
    }

    /// Whether it is about the key's file.
    pub(super) fn is_of_key(&self, files: &TlsFiles) -> bool {
        match self {
            Self::Unreadable { path, .. } | Self::Damaged { path, .. } => *path == files.key,
            Self::NoKey { .. } => true,
            Self::NoCertificate { .. } | Self::Strangers { .. } => false,
        }
    }
}

/// Reads both files and sees whether they belong together. Blocks on files.
///
/// # Errors
/// [`CertificateError`] when a server could not prove itself with them.
pub fn certificate(files: &TlsFiles) -> Result<CertifiedKey, CertificateError> {
    let TlsFiles { certificate, key } = files;
    let damaged = |path: &Path| {
        let path = path.to_owned();
        move |source| CertificateError::Damaged { path, source }
    };
    let chain = text(certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let chain = chain.map_err(damaged(certificate))?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate { path: certificate.clone() });
    }
    let secret = match PrivateKeyDer::from_pem_slice(text(key)?.as_bytes()) {
        Ok(secret) => secret,
        Err(pem::Error::NoItemsFound) => return Err(CertificateError::NoKey { path: key.clone() }),
        Err(source) => return Err(damaged(key)(source)),
    };
    let provider = default_provider();
    let signing = provider.key_provider.load_private_key(secret);
    let signing = signing.or(Err(CertificateError::NoKey { path: key.clone() }))?;
    let certified = CertifiedKey::new(chain, Arc::clone(&signing));
    match certified.keys_match() {
        // Not every kind of key can tell.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(CertificateError::Strangers { certificate: certificate.clone(), key: key.clone() })
        }
        Err(_) => Err(CertificateError::NoCertificate { path: certificate.clone() }),
    }
}

/// When the server's certificate ends; none when it never does. The library says so only of one that is over: it is asked
/// as of the last day there is.
pub fn ends(certified: &CertifiedKey) -> Option<Timestamp> {
    /// The end of the year 9999, in seconds: `99991231235959Z` is no end (RFC 5280 §4.1.2.5).
    const LAST: u64 = 253_402_300_799;
    let parsed = ParsedCertificate::try_from(certified.cert.first()?).ok()?;
    let last = UnixTime::since_unix_epoch(Duration::from_secs(LAST));
    let algorithms = default_provider().signature_verification_algorithms.all;
    let over = verify_server_cert_signed_by_trust_anchor(&parsed, &RootCertStore::empty(), &[], last, algorithms);
    match over {
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::ExpiredContext { not_after, .. })) => {
            let micros = i64::try_from(not_after.as_secs()).ok()?.checked_mul(1_000_000)?;
            Some(Timestamp::from_micros(micros))
        }
        _ => None,
    }
}

fn text(path: &Path) -> Result<String, CertificateError> {
    read_text(path, LIMIT)
        .map_err(|error| CertificateError::Unreadable { path: path.to_owned(), why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_ends_when_it_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        for (end, told) in [
            (date_time_ymd(2027, 3, 1), Some("2027-03-01T00:00:00Z")),
            (date_time_ymd(2001, 3, 1), Some("2001-03-01T00:00:00Z")),
        ] {
            let key = KeyPair::generate().unwrap();
            let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            parameters.not_after = end;
            let own = parameters.self_signed(&key).unwrap();
            std::fs::write(&files.certificate, own.pem()).unwrap();
            std::fs::write(&files.key, key.serialize_pem()).unwrap();
            let ends = ends(&certificate(&files).unwrap());
            assert_eq!(ends.map(|end| end.to_string()).as_deref(), told);
        }
    }
}
