//! HTTP as all parts of the program speak it: rustls, the configured proxy, no redirects.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Proxy, Response};
use tokio::time::timeout;

use super::reach::Guarded;
use crate::config::model::Transport;

/// For name, TCP, proxy and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there can be no connections at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The certificates cannot be read.
    #[error("ca_file {path:?} cannot be read")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// There are no certificates in the file.
    #[error("ca_file {path:?} holds no PEM certificate")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// TLS or the proxy is not fit for use.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
}

impl From<reqwest::Error> for SetupError {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        Self::Client(root_cause(&error).unwrap_or_else(|| error.to_string()))
    }
}

/// Prepares connections; none is made yet. Proxies in the environment are ignored: what leaves
/// the building is in the configuration. Redirects are never followed unasked: they would carry
/// what is sent, and its secrets, to a place nobody configured. `plain` connections do without
/// TLS, and so without the system's certificates, which small machines may not have.
///
/// # Errors
/// [`SetupError`].
pub fn client(transport: &Transport, plain: bool) -> Result<ClientBuilder, SetupError> {
    let mut builder = Client::builder()
        .user_agent(concat!("stormbell/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy();
    if let Some(proxy) = &transport.proxy {
        let mut target = Proxy::all(proxy.url.clone())?;
        if let Some((user, password)) = &proxy.login {
            target = target.basic_auth(user, password.expose());
        }
        builder = builder.proxy(target);
    }
    if let Some(guarded) = Guarded::of(transport) {
        builder = builder.dns_resolver(Arc::new(guarded));
    }
    Ok(match &transport.ca_file {
        Some(path) => builder.tls_certs_merge(read_certificates(path)?),
        None if plain => builder.tls_certs_only([]),
        None => builder,
    })
}

/// The innermost error, which names the cause ("Connection refused") and no address.
pub fn root_cause(error: &reqwest::Error) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause.to_string())
}

/// What went wrong with a request that got no answer, without its address.
pub fn no_answer(error: reqwest::Error) -> String {
    let error = error.without_url();
    let what = match (error.is_timeout(), error.is_connect()) {
        (true, true) => "no connection in time",
        (true, false) => "no answer in time",
        (false, true) => "cannot connect",
        (false, false) => "no answer",
    };
    root_cause(&error).map_or_else(|| what.to_owned(), |cause| format!("{what} ({cause})"))
}

/// The beginning of a body, at most `most` bytes after decompression; whatever else comes is not read.
/// A connection that breaks off ends it as well.
pub async fn beginning(response: Response, most: usize) -> Vec<u8> {
    let mut body = Vec::new();
    read(response, most, &mut body).await;
    body
}

/// The same, and what has not come within a time is not waited for.
pub async fn beginning_within(response: Response, most: usize, within: Duration) -> Vec<u8> {
    let mut body = Vec::new();
    timeout(within, read(response, most, &mut body)).await.unwrap_or_default();
    body
}

async fn read(mut response: Response, most: usize, body: &mut Vec<u8>) {
    while body.len() < most {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend(chunk.iter().take(most - body.len())),
            Ok(None) | Err(_) => break,
        }
    }
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate>, SetupError> {
    let pem = std::fs::read(path).map_err(|cause| SetupError::CaFile { path: path.to_owned(), cause })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(SetupError::NoCertificate { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_file_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let build = || client(&Transport { ca_file: Some(path.clone()), ..Transport::default() }, false).err();
        assert!(matches!(build(), Some(SetupError::CaFile { .. })));
        std::fs::write(&path, "not a certificate").unwrap();
        assert!(matches!(build(), Some(SetupError::NoCertificate { .. })));
    }
}
