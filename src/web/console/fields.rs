//! What a form sends.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use super::frame::Frame;
use super::said;
use crate::web::Shared;
use crate::web::backend::Backend;

/// A form's fields; of two with one name the last.
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// What is in a field, without blanks around it; empty when there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }

    /// A password, as it was typed.
    pub(super) fn secret(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn read(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let body = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        Ok(Self::read(&body))
    }
}

/// The fields of a form that was on a page of this very session: no other site can know its key.
pub(super) struct Posted(pub(super) Frame, pub(super) Fields);

impl<B: Backend> FromRequest<Arc<Shared<B>>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Arc<Shared<B>>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Ok(f) = Frame::from_request_parts(&mut parts, shared).await;
        let fields = Fields::from_request(Request::from_parts(parts, body), shared).await?;
        if f.form_key() == fields.get("key") {
            return Ok(Self(f, fields));
        }
        let (says, text) = (f.w.stale_form.to_string(), f.w.stale_form_text.to_string());
        Err(said(f, StatusCode::FORBIDDEN, says, vec![text]))
    }
}
