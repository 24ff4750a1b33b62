//! A tunnel through an HTTP proxy: `CONNECT` of RFC 9110 §9.3.6, with Basic credentials
//! of RFC 7617 when the proxy has a login.
//!
//! Written here because it is forty lines, and because what goes wrong at a hospital's
//! proxy has to be said in words its network team understands. The answer is read byte
//! by byte, so that nothing that belongs to the tunnel is swallowed, and is bounded.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::config::model::Proxy;

/// Longest answer read from a proxy before it counts as no proxy, in bytes.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// Why there is no tunnel. No variant holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It answered 407 to a request without credentials.
    #[error("the proxy wants a user name and a password (407); give this source's proxy a login")]
    LoginNeeded,
    /// It answered 407 to a request with credentials.
    #[error("the proxy does not accept the user name or the password (407)")]
    LoginRefused,
    /// It will not connect to the host.
    #[error("the proxy refused to connect to {target} (status {status}); ask for this host to be allowed")]
    Refused {
        /// `host:port`.
        target: String,
        /// The HTTP status.
        status: u16,
    },
    /// It speaks something else.
    #[error("what answers at the proxy's address is not an HTTP proxy")]
    NotAProxy,
    /// It could not be spoken to.
    #[error("the connection to the proxy broke")]
    Io(#[from] io::Error),
}

/// Asks the proxy at the other end of `stream` for a tunnel to `target` (`host:port`).
pub(super) async fn open_tunnel<S>(stream: &mut S, proxy: &Proxy, target: &str) -> Result<(), ProxyError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some((user, password)) = &proxy.login {
        let credentials = STANDARD.encode(format!("{user}:{}", password.expose()));
        request.push_str("Proxy-Authorization: Basic ");
        request.push_str(&credentials);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    match status_of(&read_head(stream).await?).ok_or(ProxyError::NotAProxy)? {
        200..=299 => Ok(()),
        407 if proxy.login.is_none() => Err(ProxyError::LoginNeeded),
        407 => Err(ProxyError::LoginRefused),
        status => Err(ProxyError::Refused { target: target.to_owned(), status }),
    }
}

/// Reads up to and with the empty line that ends the headers.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, ProxyError> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_ANSWER_BYTES {
            return Err(ProxyError::NotAProxy);
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

fn status_of(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|&byte| byte == b'\r').next()?).ok()?;
    let (version, rest) = line.split_once(' ')?;
    version.starts_with("HTTP/1.").then_some(())?;
    rest.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::secret::Secret;

    async fn ask(answer: &[u8], login: Option<(&str, &str)>) -> (Result<(), ProxyError>, String) {
        let login = login.map(|(user, password)| (user.to_owned(), Secret::new(password.to_owned())));
        let proxy = Proxy { url: "http://proxy.example:3128".parse().unwrap(), login };
        let (mut ours, mut theirs) = tokio::io::duplex(64 * 1024);
        theirs.write_all(answer).await.unwrap();
        let outcome = open_tunnel(&mut ours, &proxy, "host.example:443").await;
        drop(ours);
        let mut request = String::new();
        theirs.read_to_string(&mut request).await.unwrap();
        (outcome, request)
    }

    #[tokio::test]
    async fn the_request_names_the_target_and_carries_the_login() {
        let (outcome, request) = ask(b"HTTP/1.1 200 Connection established\r\n\r\n", Some(("ann", "s3:cret"))).await;
        assert!(outcome.is_ok());
        assert_eq!(
            request,
            "CONNECT host.example:443 HTTP/1.1\r\nHost: host.example:443\r\nProxy-Authorization: Basic YW5uOnMzOmNyZXQ=\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn refusals_say_what_to_do() {
        let endless = vec![b'x'; MAX_ANSWER_BYTES + 1];
        for (answer, login, words) in [
            (&b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..], None, "wants a user name"),
            (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Some(("a", "b")), "does not accept"),
            (b"HTTP/1.0 403 Forbidden\r\nX: y\r\n\r\n", None, "host.example:443 (status 403)"),
            (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", None, "not an HTTP proxy"),
            (b"HTTP/1.1 x\r\n\r\n", None, "not an HTTP proxy"),
            (&endless, None, "not an HTTP proxy"),
        ] {
            let error = ask(answer, login).await.0.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
