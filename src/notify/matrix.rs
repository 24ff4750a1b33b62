//! The receiver `matrix`: a message in a room, by the client-server API.
//!
//! The transaction id is the delivery's: a server that has seen it answers with the event
//! it has, so that no repetition is ever seen. The room must not be encrypted; a bot that
//! holds keys would be a second program.
//!
//! Source: <https://spec.matrix.org/latest/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid>.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::http::{Endpoint, Refused, authorization};
use super::text::{Parts, Urgency, urgency};
use super::untrusted::{escape_html, unmentioned};
use super::wording::Wording;
use super::{BuildError, SendError};
use crate::config::model;
use crate::config::secret::Secret;
use crate::domain::message::Leased;
use crate::domain::time::Timestamp;

/// Bytes of the content. An event may have 65,536, signatures and other servers' additions included.
const MAX_CONTENT: usize = 32_000;
/// However long a server asks us to wait.
const MAX_WAIT: Duration = Duration::from_hours(1);

/// A room.
pub struct Matrix {
    endpoint: Endpoint,
    token: Secret,
    room: String,
    headers: HeaderMap,
    wording: Wording,
}

impl Matrix {
    pub(super) fn new(config: &model::Matrix, wording: Wording) -> Result<Self, BuildError> {
        Ok(Self {
            endpoint: Endpoint::new(config.url.clone(), &config.transport)?,
            token: config.token.clone(),
            room: config.room.clone(),
            headers: authorization("Bearer", config.token.expose())?,
            wording: wording.cleared(config.cleared),
        })
    }

    pub(super) async fn send(&self, to: Option<&str>, leased: &Leased, now: Timestamp) -> Result<(), SendError> {
        let parts = self.wording.parts(leased);
        let loudness = urgency(&leased.delivery.message);
        let body = parts.fitted(
            |parts| serde_json::to_vec(&content(parts, loudness)).unwrap_or_default(),
            |body| body.len() <= MAX_CONTENT,
        );
        let room = to.unwrap_or(&self.room);
        let id = leased.delivery.id.as_str();
        let url = self.endpoint.below(&["_matrix", "client", "v3", "rooms", room, "send", "m.room.message", id]);
        let sent = self.endpoint.call(Method::PUT, url, self.headers.clone(), body, now).await;
        let room = Secret::new(room.to_owned());
        sent.map_err(|refused| waiting(refused).explained(&["errcode", "error"], &[&self.token, &room]))
    }
}

/// Older servers say only in the body how long to wait.
fn waiting(refused: Refused) -> Refused {
    let Refused { error: SendError::Retry { after: None, error }, body } = refused else { return refused };
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let after = answer.get("retry_after_ms").and_then(Value::as_u64).map(Duration::from_millis);
    Refused { error: SendError::Retry { after: after.map(|after| after.min(MAX_WAIT)), error }, body }
}

fn content(parts: &Parts, loudness: Urgency) -> Value {
    // What is over or under control does not make telephones ring.
    let msgtype = if loudness <= Urgency::Normal { "m.notice" } else { "m.text" };
    let text = |text: &str| escape_html(&unmentioned(text));
    let facts = parts.facts.iter().map(|fact| fact.marked(|name| format!("<b>{name}</b>"), text) + "<br>");
    let ways = parts.links().map(|(says, link)| format!("<a href=\"{}\">{says}</a><br>", escape_html(link)));
    let posts = parts.posts.iter().map(|post| format!("<blockquote>{}</blockquote>", text(&post.line())));
    let lines: String = facts.chain(ways).chain(posts).collect();
    json!({
        "msgtype": msgtype,
        "body": unmentioned(&parts.plain()),
        "format": "org.matrix.custom.html",
        "formatted_body": format!("<strong>{}</strong><br>{lines}", text(&parts.headline)),
        "m.mentions": {},
    })
}
