//! Our rules on X's server: those that are missing are added, those of ours that nobody wants any more deleted. Rules
//! without our mark are somebody else's, those of another installation that reads with the same token among them.

use std::collections::BTreeSet;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::wire::{Access, harmless};
use crate::domain::key::Key;
use crate::source::http::refused;
use crate::source::line::Line;
use crate::source::supervise::{End, Failure};
use crate::telemetry::events;

/// Begins the tag of each rule of any installation.
const MARK: &str = "stormbell:";
/// Rules that are sent in one request.
const TOGETHER: usize = 100;
/// The longest list of rules, in bytes.
const MOST_BYTES: usize = 8 << 20;
/// Pages of such a list.
const MOST_PAGES: usize = 20;
/// Refused rules that are named in the log.
const NAMED: usize = 3;

/// A rule on X's server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Known {
    id: String,
    value: String,
    #[serde(default)]
    tag: Option<String>,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    data: Vec<Known>,
    #[serde(default)]
    errors: Vec<Problem>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default)]
    next_token: Option<String>,
}

/// What X says of a rule that it does not take.
#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    value: String,
}

/// What to change.
#[derive(Debug, PartialEq, Eq)]
struct Change<'a> {
    add: Vec<&'a str>,
    delete: Vec<&'a str>,
    /// What is wanted and watched already, by whomever.
    stay: usize,
}

/// Makes X's server watch what is wanted, and nothing more of ours.
///
/// # Errors
/// [`End`]: no answer, a refusal, or that nothing would be watched.
pub(super) async fn reconcile(access: &Access, wanted: &[String], line: &Line) -> Result<(), End> {
    let known = list(access, line).await?;
    let ours = mark(&line.installation);
    let Change { add, delete, stay } = change(&known, wanted, &ours);
    // First what is missing, so that nothing is unwatched in between; unless there is no room for both.
    let is_full = known.len() + add.len() > crate::domain::abroad::MOST_RULES;
    if is_full {
        remove(access, &delete, line).await?;
    }
    let taken = put(access, &add, &ours, line).await?;
    if !is_full {
        remove(access, &delete, line).await?;
    }
    if stay + taken == 0 {
        return Err(Failure::operator(
            "X has no rule to watch by; write rules that X can be asked for (`stormbell check` names those that it cannot), or `queries` in the source",
        ));
    }
    Ok(())
}

/// Begins the tag of each rule of an installation.
fn mark(installation: &str) -> String {
    if installation.is_empty() { MARK.to_owned() } else { format!("{MARK}{installation}:") }
}

fn change<'a>(known: &'a [Known], wanted: &'a [String], ours: &str) -> Change<'a> {
    let is_ours = |rule: &Known| rule.tag.as_deref().is_some_and(|tag| tag.starts_with(ours));
    let watched: BTreeSet<&str> = known.iter().map(|rule| rule.value.as_str()).collect();
    let asked: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    let stale = |rule: &&Known| is_ours(rule) && !asked.contains(rule.value.as_str());
    let delete: Vec<&str> = known.iter().filter(stale).map(|rule| rule.id.as_str()).collect();
    let mut added = BTreeSet::new();
    let missing = wanted.iter().map(String::as_str).filter(|value| !watched.contains(value));
    let add = missing.filter(|value| added.insert(*value)).collect();
    Change { add, stay: asked.intersection(&watched).count(), delete }
}

fn address(access: &Access) -> Url {
    access.at("2/tweets/search/stream/rules")
}

async fn list(access: &Access, line: &Line) -> Result<Vec<Known>, End> {
    let mut known = Vec::new();
    let mut next: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let mut url = address(access);
        if let Some(next) = &next {
            url.query_pairs_mut().append_pair("pagination_token", next);
        }
        let list = asked(access, Method::GET, url, Vec::new(), line).await?;
        known.extend(list.data);
        next = list.meta.next_token;
        if next.is_none() {
            break;
        }
    }
    Ok(known)
}

/// Adds rules; says how many are watched then.
async fn put(access: &Access, rules: &[&str], ours: &str, line: &Line) -> Result<usize, End> {
    let mut refused = Vec::new();
    for some in rules.chunks(TOGETHER) {
        let rule = |value: &&str| json!({ "value": value, "tag": format!("{ours}{:016x}", Key::of(*value).bits()) });
        let body = json!({ "add": some.iter().map(rule).collect::<Vec<_>>() });
        let answer = asked(access, Method::POST, address(access), body.to_string().into_bytes(), line).await?;
        // That a rule is there already is fine.
        refused.extend(answer.errors.into_iter().filter(|problem| problem.title != "DuplicateRule"));
    }
    tell_refused(line, &refused);
    Ok(rules.len().saturating_sub(refused.len()))
}

fn tell_refused(line: &Line, refused: &[Problem]) {
    let name = |problem: &Problem| format!("{} ({})", harmless(&problem.value, 80), harmless(&problem.title, 40));
    let named: Vec<String> = refused.iter().map(name).collect();
    let before = line.unwatched.list();
    let told: Vec<String> = named.iter().map(|rule| format!("X does not take the rule {rule}")).collect();
    let is_news = told != before;
    line.unwatched.are(told);
    if !refused.is_empty() && is_news {
        let some = named.get(..NAMED).unwrap_or(&named).join("; ");
        let notice = format!("X does not take {} of our rules, nobody watches them: {some}", refused.len());
        events::source_notice(&line.name, &notice);
    }
}

async fn remove(access: &Access, ids: &[&str], line: &Line) -> Result<(), End> {
    for some in ids.chunks(TOGETHER) {
        let body = json!({ "delete": { "ids": some } });
        asked(access, Method::POST, address(access), body.to_string().into_bytes(), line).await?;
    }
    Ok(())
}

async fn asked(access: &Access, method: Method, url: Url, body: Vec<u8>, line: &Line) -> Result<List, End> {
    let answer = access.ask(method, url, body, MOST_BYTES, line).await?;
    // Rules with mistakes come back with 400, and what is wrong with each.
    let list = serde_json::from_slice::<List>(&answer.body);
    match list {
        Ok(list) if answer.status.is_success() || (answer.status == 400 && !list.errors.is_empty()) => Ok(list),
        Err(_) if answer.status.is_success() => {
            Err(Failure::retry(format!("{} answered with no list of rules", access.host)))
        }
        _ => Err(access
            .limited(&answer.headers)
            .unwrap_or_else(|| refused(&access.host, answer.status, &answer.headers))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(id: &str, value: &str, tag: Option<&str>) -> Known {
        Known { id: id.to_owned(), value: value.to_owned(), tag: tag.map(str::to_owned) }
    }

    #[test]
    fn what_is_missing_is_added_and_only_what_is_ours_deleted() {
        let server = [
            known("1", "fire", Some("stormbell:a1:0011")),
            known("2", "old", Some("stormbell:a1:0022")),
            known("5", "theirs", Some("stormbell:b2:0022")),
            known("6", "of before there were marks", Some("stormbell:0022")),
            known("3", "cats", Some("marketing")),
            known("4", "smoke", None),
        ];
        let wanted = ["fire", "smoke", "gas", "gas"].map(str::to_owned);
        let Change { add, delete, stay } = change(&server, &wanted, &mark("a1"));
        assert_eq!((add, delete, stay), (vec!["gas"], vec!["2"], 2), "somebody else watches smoke for us");
        assert_eq!(change(&[], &[], MARK), Change { add: Vec::new(), delete: Vec::new(), stay: 0 });
    }
}
