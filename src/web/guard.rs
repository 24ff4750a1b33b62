//! Who may ask, from which page, and how long an answer may take.
//!
//! A page in a browser on the same machine can reach loopback. Two checks keep it out even
//! from an open demo: the `Host` must name this server by address (a name could be the
//! attacker's, pointed here: DNS rebinding), and an `Origin`, which browsers add to all that
//! could change something, must be this server's own. Whoever sends the token is past the
//! first check: a browser that was lured here does not have it. The public name, where there is one, is
//! ours, too, but for what nobody signs in for. What is signed (hooks, what is sent to sources) may come by any name.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use url::Url;

use super::api::Problem;
use super::backend::Backend;
use super::caller::{Caller, Known, Pass, cookie};
use super::gate::Denied;
use super::listener::{Door, Peer};
use super::{Access, Shared, inlets};
use crate::wire::link::Console;

/// Reading the request and answering it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Nothing the API says is to be framed, sniffed, cached or referred to.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// For a year browsers come to this name by HTTPS alone (RFC 6797).
const ALWAYS_TLS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// How whoever asks has come here.
#[derive(Clone, Debug)]
pub(super) struct Way {
    /// Below which path the pages are for them: a proxy may have one of its own before ours. Ends with a slash.
    pub(super) root: String,
    /// Whether their browser came by HTTPS.
    pub(super) secure: bool,
    /// Whether our own TLS was asked by the public name, so that browsers may keep to it.
    strict: bool,
}

/// The middleware around everything.
pub(super) async fn guard<B: Backend>(
    State(shared): State<Arc<Shared<B>>>,
    mut request: Request,
    next: Next,
) -> Response {
    // Every connection of ours has it.
    let door = request.extensions().get().map_or(Door::Clear, |ConnectInfo(peer): &ConnectInfo<Peer>| peer.door);
    let way = way(&shared, door, request.headers());
    let strict = way.strict;
    let word = word_of_proxy(&shared, door, request.headers()).await;
    let answer = match admit(&shared, door, &request, &word) {
        Err(problem) => problem.into_response(),
        Ok(caller) => {
            if let Some(caller) = caller {
                shared.gate.used(caller.pass);
                request.extensions_mut().insert(caller);
            }
            if let Word::Refused(stranger) = word {
                request.extensions_mut().insert(stranger);
            }
            request.extensions_mut().insert(way);
            tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await.unwrap_or_else(|_| {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the answer took too long; try again").into_response()
            })
        }
    };
    with_manners(answer, strict)
}

/// What the proxy says of who is there.
enum Word {
    /// Nothing: it is not the proxy, or it lets some in whom it does not know.
    Nothing,
    /// Somebody with an account.
    Caller(Caller),
    /// Somebody who is not let in.
    Refused(Stranger),
}

/// Somebody whom the proxy knows, and why we do not let them in.
#[derive(Clone, Debug)]
pub(super) struct Stranger(pub(super) Denied);

async fn word_of_proxy<B: Backend>(shared: &Shared<B>, door: Door, headers: &HeaderMap) -> Word {
    let Some(believed) = shared.believed.as_ref().filter(|_| door == Door::Proxy) else { return Word::Nothing };
    if !headers.contains_key(&believed.header) {
        return Word::Nothing;
    }
    // Of two, one was sent by whoever is out there: neither is believed.
    let Some(name) = single(headers, &believed.header) else { return Word::Refused(Stranger(Denied::NoName)) };
    match shared.gate.by_proxy(name, believed.newcomers).await {
        Ok(caller) => Word::Caller(caller),
        Err(denied) => Word::Refused(Stranger(denied)),
    }
}

/// What a page says for itself counts.
fn with_manners(mut answer: Response, strict: bool) -> Response {
    if strict {
        answer.headers_mut().entry(header::STRICT_TRANSPORT_SECURITY).or_insert(ALWAYS_TLS);
    }
    for (name, value) in HEADERS {
        answer.headers_mut().entry(name).or_insert(value);
    }
    answer
}

fn way<B>(shared: &Shared<B>, door: Door, headers: &HeaderMap) -> Way {
    let public = shared.console.as_ref().and_then(Console::public_url);
    let asked = |public: &&Url| {
        let host = single(headers, &header::HOST).map(name_of);
        host.zip(public.host_str()).is_some_and(|(host, public)| host.eq_ignore_ascii_case(public))
    };
    let public = public.filter(asked);
    let path = public.map_or("/", Url::path);
    let root = if path.ends_with('/') { path.to_owned() } else { format!("{path}/") };
    let named = public.is_some_and(|public| public.scheme() == "https");
    Way { root, secure: named || door == Door::Tls, strict: named && door == Door::Tls }
}

/// Who asks, as far as that can be told; what they may do, their route says.
fn admit<B: Backend>(
    shared: &Shared<B>,
    door: Door,
    request: &Request,
    word: &Word,
) -> Result<Option<Caller>, Problem> {
    let (method, path, headers) = (request.method(), request.uri().path(), request.headers());
    let Shared { access, listen, console, gate, .. } = shared;
    let host = single(headers, &header::HOST);
    let public = console.as_ref().and_then(Console::public_url);
    let origin = single(headers, &header::ORIGIN);
    // Behind a proxy the Host may be what the proxy calls us; the page knows only the public name.
    let own = own_origin(origin, host, door) || public.is_some_and(|public| public_origin(origin, public));
    if headers.contains_key(header::ORIGIN) && !own {
        return Err(Problem::new(StatusCode::FORBIDDEN, "the request comes from a page of another site"));
    }
    let protected = path == "/api" || path.starts_with("/api/");
    let presented = single(headers, &header::AUTHORIZATION).and_then(bearer);
    let caller = match access {
        Access::Open => Some(Caller::anybody()),
        Access::Token(token) if presented.is_some_and(|presented| same(presented, token.expose())) => {
            Some(Caller::with_token())
        }
        Access::Token(_) => {
            // Tokens that people made are for programs: they open the API, and none of the pages.
            let program = presented.filter(|_| protected).and_then(|presented| gate.program(presented));
            program.or_else(|| match word {
                Word::Nothing => cookie(headers).and_then(|cookie| gate.caller(cookie)),
                Word::Caller(caller) => Some(caller.clone()),
                Word::Refused(_) => None,
            })
        }
    };
    let with_token =
        caller.as_ref().is_some_and(|caller| caller.known == Known::Token || matches!(caller.pass, Pass::Token(_)));
    // What nobody signs in for stays inside, and so does all of an open demo.
    let inside = matches!(path, "/metrics" | "/readyz") || matches!(access, Access::Open) && !path.starts_with("/a/");
    let public = public.filter(|_| !inside).and_then(Url::host_str);
    let named =
        |host: &str| names_us(host, *listen) || public.is_some_and(|public| public.eq_ignore_ascii_case(name_of(host)));
    let by_hook = path.starts_with("/hooks/") || path.starts_with(inlets::PATH);
    if !with_token && !by_hook && !host.is_some_and(named) {
        let text = "the Host header must be the address this server listens on, or a loopback address";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, text));
    }
    let signed_in = caller.as_ref().is_some_and(Caller::is_person);
    if signed_in && !method.is_safe() && origin.is_none() {
        // Browsers name it with all that could change something; without it nothing shows that it was our page.
        return Err(Problem::new(StatusCode::FORBIDDEN, "the request does not say from which page it comes"));
    }
    if protected && caller.is_none() {
        if let Word::Refused(Stranger(denied)) = word {
            return Err(Problem::new(StatusCode::FORBIDDEN, denied.to_string()));
        }
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "send the header Authorization: Bearer TOKEN"));
    }
    Ok(caller)
}

/// The header's value, unless there are several or it is not text.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// A page that came in the clear is none of ours where we speak TLS: whoever sits between could have written it.
fn own_origin(origin: Option<&str>, host: Option<&str>, door: Door) -> bool {
    let (Some(origin), Some(host)) = (origin, host) else { return false };
    let clear = origin.strip_prefix("http://").filter(|_| door != Door::Tls);
    let authority = clear.or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

fn public_origin(origin: Option<&str>, public: &Url) -> bool {
    origin.is_some_and(|origin| origin.eq_ignore_ascii_case(&public.origin().ascii_serialization()))
}

/// The Host without its port; of an IPv6 address what is between the brackets.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

/// Whether the Host is an address of this server (or `localhost`), on any port: a tunnel may change it.
fn names_us(host: &str, listen: SocketAddr) -> bool {
    let name = name_of(host);
    match name.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback() || listen.ip().is_unspecified() || ip == listen.ip(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares digests: how long it takes tells nothing about the token.
fn same(presented: &str, token: &str) -> bool {
    Sha256::digest(presented) == Sha256::digest(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_server_are_its_name() {
        let loopback = "127.0.0.1:8787".parse().unwrap();
        let lan = "10.0.0.5:8787".parse().unwrap();
        let all = "0.0.0.0:8787".parse().unwrap();
        for (host, listen, ours) in [
            ("127.0.0.1:8787", loopback, true),
            ("localhost:8787", loopback, true),
            ("LOCALHOST", loopback, true),
            ("[::1]:8787", loopback, true),
            ("127.0.0.1", loopback, true),
            ("10.0.0.5:8787", lan, true),
            ("127.0.0.1:9", lan, true),
            ("10.0.0.6:8787", lan, false),
            ("10.0.0.6:8787", all, true),
            ("evil.example", all, false),
            ("evil.example:8787", loopback, false),
            ("localhost.evil.example", loopback, false),
            ("127.0.0.1.evil.example:8787", loopback, false),
            ("[::1", loopback, false),
            ("", loopback, false),
        ] {
            assert_eq!(names_us(host, listen), ours, "{host} {listen}");
        }
    }

    #[test]
    fn only_the_servers_own_pages_are_its_origin() {
        let host = Some("127.0.0.1:8787");
        assert!(own_origin(Some("http://127.0.0.1:8787"), host, Door::Clear));
        for origin in
            ["null", "http://127.0.0.1:9999", "http://evil.example", "127.0.0.1:8787", "file://127.0.0.1:8787"]
        {
            assert!(!own_origin(Some(origin), host, Door::Clear), "{origin}");
        }
        assert!(!own_origin(None, host, Door::Clear) && !own_origin(Some("http://a"), None, Door::Clear));
        assert!(own_origin(Some("https://127.0.0.1:8787"), host, Door::Tls));
        assert!(!own_origin(Some("http://127.0.0.1:8787"), host, Door::Tls));
    }
}
