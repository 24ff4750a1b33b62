//! The page behind a link, as HTML: one file that loads nothing, runs nothing and works on a telephone.
//!
//! It shows an incident thin: what the rule says of it, how many and since when, never what a stranger wrote.
//! Whoever has the link is not asked who they are, so it holds nothing that the message did not.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::domain::harmless::{clean, clip, escape_html};
use crate::domain::incident::Incident;
use crate::domain::message::summary;
use crate::domain::time::{Timestamp, human};

/// Characters of anything on the page.
const MAX_TEXT: usize = 400;
const STYLE: &str = include_str!("page.css");

/// What it may load (its own style) and where its button may lead (here).
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// One page.
pub(super) struct Page<'a> {
    /// How well it went.
    pub(super) status: StatusCode,
    /// What is to be known, in a few words.
    pub(super) says: String,
    /// What it means and what to do, a paragraph each.
    pub(super) explains: Vec<String>,
    /// What it is about.
    pub(super) about: Option<About<'a>>,
    /// What pressing the button does, where there is one: it asks for this address again, with POST.
    pub(super) button: Option<&'static str>,
}

/// The incident of a page.
pub(super) struct About<'a> {
    /// As it stands.
    pub(super) incident: &'a Incident,
    /// To whom the message with the link went.
    pub(super) sent_to: String,
    /// The present.
    pub(super) now: Timestamp,
}

impl IntoResponse for Page<'_> {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
            // With `no-referrer` a browser would send the button's request as from nowhere (`Origin: null`).
            (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
            (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex, nofollow, noarchive")),
        ];
        (self.status, headers, Html(self.html())).into_response()
    }
}

impl Page<'_> {
    fn html(&self) -> String {
        let exercise = self.about.as_ref().is_some_and(|about| about.incident.exercise);
        let about = self.about.as_ref().map(About::html).unwrap_or_default();
        let explains: Vec<String> =
            self.explains.iter().map(|text| format!("<p>{}</p>\n", escape_html(text))).collect();
        let explains = explains.concat();
        let button =
            self.button.map(|does| format!("<form method=\"post\"><button>{}</button></form>\n", escape_html(does)));
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"robots\" content=\"noindex, nofollow\">\n<title>{}{} · Stormbell</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<main>\n{about}<p class=\"says\">{1}</p>\n{explains}{}</main>\n</body>\n</html>\n",
            if exercise { "EXERCISE: " } else { "" },
            escape_html(&self.says),
            button.unwrap_or_default(),
        )
    }
}

impl About<'_> {
    fn html(&self) -> String {
        let Self { incident, sent_to, now } = self;
        let exercise = if incident.exercise {
            "<p class=\"exercise\">EXERCISE: this is a drill, nothing happened</p>\n"
        } else {
            ""
        };
        let opened = ago(incident.opened_at, *now);
        let mut facts = vec![("Opened", opened), ("Seen", summary(incident)), ("Sent to", sent_to.clone())];
        facts.extend(incident.playbook.clone().map(|playbook| ("Playbook", playbook)));
        let facts: Vec<String> =
            facts.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>\n", harmless(value))).collect();
        let facts = facts.concat();
        let severity = incident.severity.as_str().to_uppercase();
        let title = harmless(incident.unmarked_title());
        format!("{exercise}<p class=\"mark\">{severity}</p>\n<h1>{title}</h1>\n<dl>\n{facts}</dl>\n")
    }
}

/// `12 min ago (2026‑11‑22 12:00:00 UTC)`, with hyphens at which no line breaks.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let span = now.since(at);
    let ago = if span.as_secs() == 0 { "just now".to_owned() } else { format!("{} ago", human(span)) };
    let stamp = at.whole_second().to_string().replace('T', " ").replace('Z', " UTC").replace('-', "\u{2011}");
    format!("{ago} ({stamp})")
}

fn harmless(text: &str) -> String {
    escape_html(&clip(&clean(text), MAX_TEXT))
}
