//! What is sought, as addresses say it, for the console and for programs: `GET /api/v1/search`.

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Serialize;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::api::{Answer, App, Problem};
use super::backend::Backend;
use super::caller::Caller;
use super::place::{place, place_of};
use crate::domain::id::{IncidentId, PostId, RuleId};
use crate::domain::incident::Severity;
use crate::domain::seek::{FoundPost, Seek};
use crate::domain::time::{Timestamp, Zone};
use crate::wire::message::IncidentJson;
use crate::wire::post::PostJson;

/// Posts in an answer.
pub(super) const POSTS: usize = 50;
/// Incidents in an answer.
pub(super) const INCIDENTS: usize = 20;
/// Characters of what is sought.
const MOST: usize = 500;
/// What can be asked for.
const KEYS: [&str; 10] = ["q", "author", "from", "to", "rule", "source", "lang", "severity", "before", "format"];

/// What is asked for, as it was written and as it is meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    fields: BTreeMap<&'static str, String>,
    pub(super) seek: Seek,
    /// Go on before this post.
    pub(super) before: Option<(Timestamp, PostId)>,
}

impl Asked {
    /// Reads the query of an address, for whose days begin in that zone.
    ///
    /// # Errors
    /// What cannot be asked, in words.
    pub(super) fn read(query: &str, zone: &Zone) -> Result<Self, String> {
        let mut fields = BTreeMap::new();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let Some(known) = KEYS.into_iter().find(|known| *known == key) else {
                let keys: Vec<&str> = KEYS.into_iter().filter(|key| *key != "format").collect();
                return Err(format!("what can be asked here is {}", keys.join(", ")));
            };
            let value: String = value.trim().chars().take(MOST).collect();
            if !value.is_empty() {
                fields.insert(known, value);
            }
        }
        let text = |key: &str| fields.get(key).cloned().unwrap_or_default();
        let time = |key: &str| -> Result<Option<Timestamp>, String> {
            let Some(text) = fields.get(key) else { return Ok(None) };
            let at = Timestamp::parse(text).ok().or_else(|| zone.day(text));
            at.map(Some)
                .ok_or_else(|| format!("{key} is a day such as 2026-11-29, or a time such as 2026-11-29T06:00:00Z"))
        };
        let severity = match fields.get("severity") {
            Some(word) => Some(Severity::parse(word).ok_or("severity is critical, high, medium, low or info")?),
            None => None,
        };
        let before = match fields.get("before") {
            Some(place) => Some(place_of(place).ok_or("before is what an earlier answer gave as next")?),
            None => None,
        };
        // A last day is meant with all its hours.
        let to = match fields.get("to") {
            Some(day) if Timestamp::parse(day).is_err() => time("to")?.and_then(|from| zone.day_after(from)),
            _ => time("to")?,
        };
        let seek = Seek {
            words: text("q"),
            author: text("author"),
            from: time("from")?,
            to,
            rule: text("rule"),
            source: text("source"),
            lang: text("lang"),
            severity,
        };
        Ok(Self { fields, seek, before })
    }

    /// A field as it was written.
    pub(super) fn field(&self, key: &str) -> &str {
        self.fields.get(key).map_or("", String::as_str)
    }

    /// What is sought, as part of an address: without the place where one is.
    pub(super) fn query(&self) -> String {
        let kept = self.fields.iter().filter(|(key, _)| !matches!(**key, "before" | "format"));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish()
    }

    /// Whether anything but words, times, a rule and a severity is sought, which incidents do not have.
    pub(super) fn is_of_posts(&self) -> bool {
        let Seek { author, source, lang, .. } = &self.seek;
        !(author.is_empty() && source.is_empty() && lang.is_empty())
    }
}

/// Where to go on after a post.
pub(super) fn next(found: &FoundPost) -> String {
    place(found.post.event_time, &found.post.id)
}

/// A post that was found, with what is known of it.
#[derive(Serialize, ToSchema)]
#[schema(as = FoundPost)]
pub(super) struct FoundView<'a> {
    #[serde(flatten)]
    post: PostJson<'a>,
    /// Rules that took it.
    rules: Vec<&'a str>,
    /// Incidents it counts for.
    incidents: Vec<&'a str>,
}

impl<'a> From<&'a FoundPost> for FoundView<'a> {
    fn from(found: &'a FoundPost) -> Self {
        let FoundPost { post, rules, incidents } = found;
        Self {
            post: PostJson::from(post),
            rules: rules.iter().map(RuleId::as_str).collect(),
            incidents: incidents.iter().map(IncidentId::as_str).collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Found)]
pub(super) struct SearchView<'a> {
    /// 50 at most.
    posts: Vec<FoundView<'a>>,
    /// 20 at most, on the first page.
    incidents: Vec<IncidentJson<'a>>,
    /// What to give as `before` for older ones; null at the end.
    next: Option<String>,
}

/// Searches kept posts and incidents, the newest first.
///
/// Incidents have no author, source or language: who asks for one of those is answered with posts alone.
#[utoipa::path(
    get,
    path = "/api/v1/search",
    tag = "search",
    operation_id = "search",
    params(
        ("q" = Option<String>, Query, description = "Words: `\"a phrase\"`, `begin*`, `-not`"),
        ("author" = Option<String>, Query, description = "Whose posts, by handle or id"),
        ("from" = Option<String>, Query, description = "A day, or a time of RFC 3339"),
        ("to" = Option<String>, Query, description = "A day, with all its hours, or a time of RFC 3339"),
        ("rule" = Option<String>, Query, description = "What that rule took"),
        ("source" = Option<String>, Query, description = "Where it was read"),
        ("lang" = Option<String>, Query, description = "In which language"),
        ("severity" = Option<String>, Query, description = "`critical`, `high`, `medium`, `low` or `info`"),
        ("before" = Option<String>, Query, description = "Go on: what an earlier answer gave as `next`"),
    ),
    responses((status = 200, description = "What was found", body = SearchView<'static>)),
)]
pub(super) async fn search<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    let (_, zone) = shared.backend.organization();
    let asked = Asked::read(&query.unwrap_or_default(), &zone);
    let asked = asked.map_err(|text| Problem::new(StatusCode::BAD_REQUEST, text))?;
    let sight = caller.sight;
    let mut posts = shared.backend.find(asked.seek.clone(), sight, asked.before.clone(), POSTS + 1).await?;
    let more = posts.len() > POSTS;
    posts.truncate(POSTS);
    let incidents = if asked.is_of_posts() || asked.before.is_some() {
        Vec::new()
    } else {
        shared.backend.find_incidents(asked.seek, sight, INCIDENTS).await?
    };
    let console = shared.console.as_ref();
    let next = posts.last().filter(|_| more).map(next);
    let view = SearchView {
        posts: posts.iter().map(FoundView::from).collect(),
        incidents: incidents.iter().map(|incident| IncidentJson::new(incident, &[], console)).collect(),
        next,
    };
    Ok(Json(view).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_is_sought_and_is_written_as_it_was_read() {
        let zone = Zone::default();
        let asked =
            Asked::read("q=%22a+b%22&from=2026-11-28&to=2026-11-28&severity=high&before=5~at%3A%2F%2F1&lang=", &zone);
        let asked = asked.unwrap();
        assert_eq!(asked.seek.words, "\"a b\"");
        assert_eq!(asked.seek.from, zone.day("2026-11-28"));
        assert_eq!(asked.seek.to, zone.day("2026-11-29"), "with all hours of the last day");
        assert_eq!(asked.before, Some((Timestamp::from_micros(5), "at://1".into())));
        assert_eq!(asked.query(), "from=2026-11-28&q=%22a+b%22&severity=high&to=2026-11-28");
        for wrong in ["x=1", "from=yesterday", "to=2026-13-01", "severity=grave", "before=x", "before=x~y"] {
            Asked::read(wrong, &zone).unwrap_err();
        }
    }
}
