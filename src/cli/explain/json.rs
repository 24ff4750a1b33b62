//! The answer for programs.

use serde::Serialize;

use super::page::segment_name;
use crate::domain::post::Post;
use crate::domain::query::explain::{Almost, Clause, Form};
use crate::domain::rule::Rule;
use crate::domain::rule::model::Verdict;

#[derive(Serialize)]
pub(super) struct VerdictJson<'a> {
    rule: &'a str,
    version: &'a str,
    matched: bool,
    terms: Vec<&'a str>,
    query: ClauseJson<'a>,
    /// Of a share the posts that are its whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<ClauseJson<'a>>,
    excepts: Vec<ExceptJson<'a>>,
}

#[derive(Serialize)]
struct ExceptJson<'a> {
    reason: &'a str,
    query: ClauseJson<'a>,
}

#[derive(Serialize)]
struct ClauseJson<'a> {
    clause: &'a str,
    form: &'static str,
    satisfied: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    found: Vec<FoundJson<'a>>,
    /// How near it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    almost: Option<AlmostJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Self>,
}

#[derive(Serialize)]
struct FoundJson<'a> {
    term: &'a str,
    /// `text`, `media 1`, `tag 1`.
    place: String,
    segment: usize,
    from: usize,
    to: usize,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum AlmostJson<'a> {
    /// Both sides of a NEAR are there, with so many words between.
    Apart { words: u32 },
    /// Both sides of an ONEAR are there, the second first.
    WrongOrder,
    /// These words of a phrase are there.
    Words { found: &'a [String] },
}

/// The answer as one object.
pub(super) fn verdict<'a>(rule: &'a Rule, verdict: &'a Verdict, post: &Post) -> VerdictJson<'a> {
    let excepts = verdict.excepts.iter().filter_map(|(index, clause)| {
        let except = rule.excepts.get(*index)?;
        Some(ExceptJson { reason: &except.reason, query: clause_json(clause, &except.query.text, post) })
    });
    VerdictJson {
        rule: rule.id.as_str(),
        version: &rule.version,
        matched: verdict.matched(),
        terms: verdict.query.terms(),
        query: clause_json(&verdict.query, &rule.query.text, post),
        of: verdict.of.as_ref().zip(rule.of.as_ref()).map(|(clause, of)| clause_json(clause, &of.query.text, post)),
        excepts: excepts.collect(),
    }
}

fn clause_json<'a>(clause: &'a Clause, query: &'a str, post: &Post) -> ClauseJson<'a> {
    let found = clause.found.iter();
    ClauseJson {
        clause: query.get(clause.span.clone()).unwrap_or_default(),
        form: match clause.form {
            Form::Term => "term",
            Form::List => "list",
            Form::Near => "near",
            Form::And => "and",
            Form::Or => "or",
            Form::Not => "not",
            Form::Field => "field",
            Form::Regex => "regex",
        },
        satisfied: clause.satisfied,
        found: found
            .map(|found| FoundJson {
                term: &found.term,
                place: segment_name(found.segment, post),
                segment: found.segment,
                from: found.original.start,
                to: found.original.end,
            })
            .collect(),
        almost: clause.almost.as_ref().map(almost_json),
        parts: clause.parts.iter().map(|part| clause_json(part, query, post)).collect(),
    }
}

fn almost_json(almost: &Almost) -> AlmostJson<'_> {
    match almost {
        Almost::Apart(words) => AlmostJson::Apart { words: *words },
        Almost::WrongOrder => AlmostJson::WrongOrder,
        Almost::Words(found) => AlmostJson::Words { found },
    }
}
