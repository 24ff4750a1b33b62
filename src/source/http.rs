//! HTTP as sources speak it: one request, an answer of bounded size, and what a refusal means.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode};
use url::Url;

use super::line::Line;
use super::supervise::{End, Failure, Remedy};
use crate::config::model::{Login, Transport};
use crate::net::http::{beginning, client, no_answer};
use crate::net::retry::RetryAfter;

/// For the whole of a request; a stream is not one.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes requests for one source. It decompresses what it reads, and bounds what comes out.
pub struct Http {
    client: Client,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// 2xx, or what the caller asked to see.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body after decompression.
    pub body: Vec<u8>,
}

/// What to ask.
pub struct Request {
    /// How.
    pub method: Method,
    /// Where.
    pub url: Url,
    /// With what; credentials marked as sensitive.
    pub headers: HeaderMap,
    /// And what.
    pub body: Vec<u8>,
    /// The longest answer that is read, in bytes after decompression. A longer one is a failure.
    pub most: usize,
}

/// The header by which a server knows us, marked as a secret; none without a login.
///
/// # Errors
/// A failure for the operator: what is configured cannot stand in a header.
pub fn authorization(login: Option<&Login>) -> Result<Option<HeaderValue>, End> {
    let text = match login {
        None => return Ok(None),
        Some(Login::Basic { user, password }) => {
            format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose())))
        }
        Some(Login::Bearer(token)) => format!("Bearer {}", token.expose().trim()),
    };
    let unusable = |_| Failure::operator("the source's token has characters that no token has");
    let mut value = HeaderValue::try_from(text).map_err(unusable)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

impl Request {
    /// Asks for what is there.
    pub fn get(url: Url, headers: HeaderMap, most: usize) -> Self {
        Self { method: Method::GET, url, headers, body: Vec::new(), most }
    }
}

impl Http {
    /// Prepares connections; none is made yet. `plain` as in [`client`].
    ///
    /// # Errors
    /// A failure for the operator, when a certificate file or the proxy cannot be used.
    pub fn new(transport: &Transport, plain: bool) -> Result<Self, End> {
        let client = client(transport, plain).and_then(|builder| Ok(builder.build()?));
        client.map(|client| Self { client }).map_err(|error| Failure::operator(super::chain(&error)))
    }

    /// One request and its answer, whatever its status.
    ///
    /// # Errors
    /// [`End::Stopped`], or a [`Failure`]: no answer, or one that is too long.
    pub async fn ask(&self, request: Request, line: &Line) -> Result<Answer, End> {
        let most = request.most;
        let answer = async {
            let response = self.send(request, Some(TOTAL_TIMEOUT)).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let host = response.url().host_str().unwrap_or_default().to_owned();
            let body = beginning(response, most.saturating_add(1)).await;
            if body.len() > most {
                return Err(Failure::operator(format!("{host} answered with more than {most} bytes")));
            }
            Ok(Answer { status, headers, body })
        };
        line.unless_stopped(answer).await?
    }

    /// As [`Http::ask`], for which every status but 2xx is a failure.
    ///
    /// # Errors
    /// As there.
    pub async fn get(&self, request: Request, line: &Line) -> Result<Answer, End> {
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let answer = self.ask(request, line).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(refused(&host, answer.status, &answer.headers)) }
    }

    /// Opens an answer that is read as it comes, and goes on for ever.
    ///
    /// # Errors
    /// [`End::Stopped`], or a [`Failure`].
    pub async fn open(&self, request: Request, line: &Line) -> Result<Response, End> {
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let response = self.begin(request, line).await?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(refused(&host, response.status(), response.headers()))
        }
    }

    /// As [`Http::open`], whatever the status.
    ///
    /// # Errors
    /// As there.
    pub async fn begin(&self, request: Request, line: &Line) -> Result<Response, End> {
        let within = line.timing.connect_within;
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let opened = async {
            let response = tokio::time::timeout(within, self.send(request, None)).await;
            response.unwrap_or_else(|_| Err(Failure::retry(format!("{host}: no answer within {within:?}"))))
        };
        line.unless_stopped(opened).await?
    }

    async fn send(&self, request: Request, within: Option<Duration>) -> Result<Response, End> {
        let Request { method, url, headers, body, .. } = request;
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut asked = self.client.request(method, url).headers(headers).body(body);
        if let Some(within) = within {
            asked = asked.timeout(within);
        }
        asked.send().await.map_err(|error| Failure::retry(format!("{host}: {}", no_answer(error))))
    }
}

/// What a status other than 2xx means.
pub fn refused(host: &str, status: StatusCode, headers: &HeaderMap) -> End {
    let after = || headers.get(RETRY_AFTER).and_then(|value| RetryAfter::parse(value.to_str().ok()?));
    let (remedy, advice) = match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => (Remedy::Busy(after()), ""),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            (Remedy::Operator, "; check the source's token and its rights")
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => (Remedy::Operator, "; check the source's url"),
        _ if status.is_redirection() => {
            (Remedy::Operator, "; redirects are not followed here: configure the final address")
        }
        _ if status.is_client_error() => (Remedy::Operator, "; check the source's url and settings"),
        _ => (Remedy::Refused, ""),
    };
    End::Failed(Failure { error: format!("{host} answered {status}{advice}"), remedy })
}
