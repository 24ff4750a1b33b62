//! The certificate by which the web server proves itself: read for the first time, and again when its files change.

mod end;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

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

/// Until when the server can prove itself with it; none where that cannot be read out of it.
pub fn ends(certified: &CertifiedKey) -> Option<Timestamp> {
    certified.cert.first().and_then(|certificate| end::end(certificate))
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

fn text(path: &Path) -> Result<String, CertificateError> {
    read_text(path, LIMIT)
        .map_err(|error| CertificateError::Unreadable { path: path.to_owned(), why: error.to_string() })
}
