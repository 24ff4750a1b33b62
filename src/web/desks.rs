//! `/api/v1/desk`: a WebSocket for desks on other workstations (RFC 6455).
//!
//! Only the handshake is here; what is said on it, the daemon knows. Without axum's own feature for
//! this, which brings a second, older WebSocket library into the program.

use std::pin::Pin;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::api::{Answer, App, ErrorView, Problem};
use super::backend::Backend;
use super::routes::{Needs, Routes};
use crate::domain::access::Role;

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection that has become a WebSocket, once its answer has left; nothing when it broke before.
pub type Visit = Pin<Box<dyn Future<Output = Option<Box<dyn Duplex>>> + Send>>;

pub(super) fn routes<B: Backend>(routes: Routes<B>) -> Routes<B> {
    // Desks acknowledge for whoever sits there.
    routes.get("/api/v1/desk", Needs::Role(Role::Admin), desk::<B>)
}

/// A WebSocket for desks on other workstations: `stormbell desk --url`.
#[utoipa::path(
    get,
    path = "/api/v1/desk",
    tag = "state",
    operation_id = "connectDesk",
    responses(
        (status = 101, description = "What desks say goes over it"),
        (status = 422, description = "This daemon has no place for desks", body = ErrorView<'static>),
        (status = 426, description = "The request is no handshake of a WebSocket", body = ErrorView<'static>),
    ),
)]
pub(super) async fn desk<B: Backend>(State(shared): App<B>, mut request: Request) -> Answer {
    let Some(accept) = accept_key(request.headers()) else {
        return Err(Problem::new(
            StatusCode::UPGRADE_REQUIRED,
            "desks speak WebSocket here: use `stormbell desk --url`",
        ));
    };
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Err(Problem::new(StatusCode::UPGRADE_REQUIRED, "this connection cannot become a WebSocket"));
    };
    shared.backend.desk(Box::pin(async move {
        let upgraded = TokioIo::new(upgrade.await.ok()?);
        Some(Box::new(upgraded) as Box<dyn Duplex>)
    }))?;
    let headers =
        [(header::UPGRADE, "websocket"), (header::CONNECTION, "Upgrade"), (header::SEC_WEBSOCKET_ACCEPT, &accept)];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// The key for the answer, of a request that is a WebSocket's handshake.
fn accept_key(headers: &HeaderMap) -> Option<String> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
    let upgrades = text(&header::UPGRADE)?.eq_ignore_ascii_case("websocket")
        && text(&header::CONNECTION)?.split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
        && text(&header::SEC_WEBSOCKET_VERSION)? == "13";
    let key = headers.get(&header::SEC_WEBSOCKET_KEY)?;
    upgrades.then(|| derive_accept_key(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_handshake_is_answered() {
        let whole = [
            (header::UPGRADE, "WebSocket"),
            (header::CONNECTION, "keep-alive, Upgrade"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
            (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let headers = |without: usize| -> HeaderMap {
            let kept = whole.iter().enumerate().filter(|(place, _)| *place != without);
            kept.map(|(_, (name, value))| (name.clone(), value.parse().unwrap())).collect()
        };
        // The example of RFC 6455 §1.3.
        assert_eq!(accept_key(&headers(9)).as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        for missing in 0..whole.len() {
            assert_eq!(accept_key(&headers(missing)), None);
        }
    }
}
