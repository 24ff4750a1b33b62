//! What every page has around it: who reads it, in which language, by which clock, and from where.

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::assets;
use super::words::{Phrase, Words};
use crate::domain::access::Role;
use crate::domain::incident::{Incident, Severity};
use crate::domain::lane::Sight;
use crate::domain::time::{Timestamp, Zone, human};
use crate::web::Shared;
use crate::web::backend::Backend;
use crate::web::caller::Caller;
use crate::web::guard::Way;

/// Its own style, script, pictures and events; forms lead here.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

/// What is around a page.
#[derive(Clone)]
pub(in crate::web) struct Frame {
    /// What the console says.
    pub(super) w: &'static Words,
    /// Whom the daemon listens for.
    pub(super) organization: String,
    /// Whose clocks are shown.
    pub(super) zone: Zone,
    /// The present.
    pub(super) now: Timestamp,
    /// Who reads it.
    pub(super) caller: Option<Caller>,
    /// The page in the navigation.
    pub(super) here: &'static str,
    /// Whether it can be asked for again.
    pub(super) live: bool,
    /// Whether their browser came by HTTPS.
    pub(super) secure: bool,
    root: String,
}

/// An entry of a navigation.
pub(super) struct Entry {
    /// Below the root.
    pub(super) path: String,
    /// What it is called.
    pub(super) name: String,
    /// Whether one is there.
    pub(super) here: bool,
}

impl<B: Backend> FromRequestParts<Arc<Shared<B>>> for Frame {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared<B>>) -> Result<Self, Infallible> {
        let accepted = parts.headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let (organization, zone) = shared.backend.organization();
        Ok(Self {
            w: Words::of(accepted.unwrap_or_default()),
            organization,
            zone,
            now: shared.backend.now(),
            caller: parts.extensions.get().cloned(),
            here: "",
            live: parts.method == Method::GET,
            root: parts.extensions.get().map_or("/", |way: &Way| way.root.as_str()).to_owned(),
            secure: parts.extensions.get().is_some_and(|way: &Way| way.secure),
        })
    }
}

impl Frame {
    /// The page with its frame around it.
    pub(super) fn show(status: StatusCode, page: &impl Template) -> Response {
        match page.render() {
            Ok(html) => {
                let headers = [
                    (header::CONTENT_SECURITY_POLICY, POLICY),
                    // Forms must say from which page they come; other sites learn nothing.
                    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
                ];
                (status, headers, Html(html)).into_response()
            }
            // Writing to a string fails only when a value cannot be written.
            Err(error) => {
                (StatusCode::INTERNAL_SERVER_ERROR, format!("the page cannot be shown: {error}\n")).into_response()
            }
        }
    }

    /// As that page of the navigation.
    #[must_use]
    pub(super) fn at(self, here: &'static str) -> Self {
        Self { here, ..self }
    }

    /// The address of a page.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }

    pub(super) fn asset(&self, name: &str) -> String {
        self.url(&format!("assets/{}", assets::address(name)))
    }

    /// Where events come from; nowhere for whoever may not see them.
    pub(super) fn events(&self) -> String {
        if self.caller.is_some() { self.url("api/v1/events") } else { String::new() }
    }

    pub(super) fn nav(&self) -> Vec<Entry> {
        let w = self.w;
        let mut all = vec![
            ("now", "", &w.now),
            ("incidents", "incidents", &w.incidents),
            ("search", "search", &w.search),
            ("sources", "sources", &w.sources),
            ("rules", "rules", &w.rules),
            ("people", "people", &w.people),
            ("silences", "silences", &w.silences),
            ("playbooks", "playbooks", &w.playbooks),
            ("handover", "handover", &w.handover),
        ];
        if self.may(Role::Admin) {
            all.extend([("access", "access", &w.access), ("audit", "audit", &w.audit)]);
        }
        let entry = |(page, path, name): (&str, &str, &Phrase)| Entry {
            path: path.to_owned(),
            name: name.to_string(),
            here: page == self.here,
        };
        all.into_iter().map(entry).collect()
    }

    pub(super) fn may(&self, role: Role) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.role >= role)
    }

    /// What they may read.
    pub(super) fn sight(&self) -> Sight {
        self.caller.as_ref().map_or(Sight::Veiled, |caller| caller.sight)
    }

    /// Whether they may read of an incident.
    pub(super) fn may_see(&self, incident: &Incident) -> bool {
        self.sight() == Sight::Whole || !incident.is_restricted()
    }

    pub(super) fn may_edit(&self) -> bool {
        self.may(Role::Editor)
    }

    pub(super) fn may_respond(&self) -> bool {
        self.may(Role::Responder)
    }

    pub(super) fn form_key(&self) -> &str {
        self.caller.as_ref().map_or("", |caller| caller.form_key.as_str())
    }

    /// `2026-11-29 03:12 +01:00`: the present.
    pub(super) fn clock(&self) -> String {
        self.zone.shows(self.now, "%Y-%m-%d %H:%M %:z")
    }

    /// Of today without the day.
    pub(super) fn time(&self, at: Timestamp) -> String {
        let day = |at| self.zone.shows(at, "%Y-%m-%d");
        self.zone.shows(at, if day(at) == day(self.now) { "%H:%M" } else { "%Y-%m-%d %H:%M" })
    }

    /// `2026-11-29 03:12:45 +01:00`: for what is kept.
    pub(super) fn full(&self, at: Timestamp) -> String {
        self.zone.shows(at, "%Y-%m-%d %H:%M:%S %:z")
    }

    /// `12 min ago`
    pub(super) fn ago(&self, at: Timestamp) -> String {
        let span = self.now.since(at);
        if span.as_secs() < 1 { self.w.just_now.to_string() } else { self.w.ago.with([("span", &human(span))]) }
    }

    pub(super) fn severity(&self, severity: Severity) -> &'static Phrase {
        let w = self.w;
        match severity {
            Severity::Critical => &w.critical,
            Severity::High => &w.high,
            Severity::Medium => &w.medium,
            Severity::Low => &w.low,
            Severity::Info => &w.info,
        }
    }

    pub(super) fn role(&self, role: Role) -> &'static Phrase {
        let w = self.w;
        match role {
            Role::Viewer => &w.viewer,
            Role::Responder => &w.responder,
            Role::Editor => &w.editor,
            Role::Admin => &w.admin,
        }
    }

    /// `1 post`, `12,034 posts`
    pub(super) fn counted(&self, number: u64, one: &Phrase, many: &Phrase) -> String {
        if number == 1 { one.to_string() } else { many.with([("n", &self.number(number))]) }
    }

    /// With a narrow space between thousands, which every language reads (ISO 80000-1).
    #[allow(clippy::unused_self, reason = "pages write it as they write everything of the frame")]
    pub(super) fn number(&self, number: u64) -> String {
        let digits = number.to_string();
        let mut text = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push('\u{202F}');
            }
            text.push(digit);
        }
        text
    }
}
