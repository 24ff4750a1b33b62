//! Style, script and icon, in the program itself, under names that change with what is in them.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use crate::domain::id::hex;

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
    /// With the hash of its text.
    address: String,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let all = [
        ("console.css", "text/css; charset=utf-8", include_str!("assets/console.css")),
        ("live.js", "text/javascript; charset=utf-8", include_str!("assets/live.js")),
        ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
    ];
    let asset = |(name, kind, text)| {
        let address = format!("{}-{name}", hex(&Sha256::digest(text), 6));
        Asset { name, kind, text, address }
    };
    all.into_iter().map(asset).collect()
});

/// The address of an asset below `/assets/`.
pub(super) fn address(name: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.name == name).map_or("", |asset| asset.address.as_str())
}

/// The text of an asset.
pub(super) fn text(name: &str) -> &'static str {
    ASSETS.iter().find(|asset| asset.name == name).map_or("", |asset| asset.text)
}

pub(super) async fn asset(address: Result<Path<String>, PathRejection>) -> Response {
    let found = address.ok().and_then(|Path(address)| ASSETS.iter().find(|asset| asset.address == address));
    let Some(Asset { kind, text, .. }) = found else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    (headers, *text).into_response()
}
