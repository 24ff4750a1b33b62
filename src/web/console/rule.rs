//! One rule: what it does, what became of what it found, its tests; and a place to try a change of it.
//!
//! Rules are files, and stay so: what comes of trying is a diff to be applied there, by whoever may write the file.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::card;
use super::fields::Posted;
use super::frame::Frame;
use super::incident::{Said, said_by};
use super::strip::{bars, counted, days};
use super::{failed, nothing_of};
use crate::domain::condition::{Condition, Distinct};
use crate::domain::harmless::{clean, clip};
use crate::domain::id::RuleId;
use crate::domain::rule::Rule;
use crate::domain::time::{Timestamp, human};
use crate::web::api::App;
use crate::web::backend::{Backend, BackendError};
use crate::web::workshop::{Draft, Judgement, Preview, RuleDetail, RuleState, Tried, TriedPost};

/// Characters of a query, and of a text that is tried.
const MOST_QUERY: usize = 20_000;
const MOST_TEXT: usize = 5000;
/// Judgements shown.
const JUDGED: usize = 20;

#[derive(Template)]
#[template(path = "rule.html")]
struct Page {
    f: Frame,
    id: String,
    path: String,
    title: String,
    severity: &'static str,
    severity_word: String,
    about: String,
    state: String,
    /// Whether all is well with it.
    well: bool,
    state_text: String,
    query: String,
    excepts: Vec<(String, String)>,
    does: Vec<String>,
    joins: Vec<String>,
    record: Vec<String>,
    chart: String,
    judged: Vec<Line>,
    tests: Vec<Test>,
    tests_say: String,
    file_says: String,
    proposal: Option<Proposed>,
    draft: Draft,
    text: String,
    problem: Option<String>,
    tried: Option<Outcome>,
    preview: Option<Previewed>,
}

struct Line {
    at: String,
    when: String,
    path: String,
    incident: String,
    who: String,
    what: String,
    reason: String,
}

struct Test {
    name: String,
    passed: bool,
    problem: String,
}

struct Proposed {
    says: String,
    query: String,
    reason: String,
    diff: String,
}

struct Outcome {
    says: String,
    diff: String,
    text: Option<One>,
    groups: Vec<Group>,
}

struct Group {
    title: String,
    posts: Vec<One>,
}

struct One {
    said: Said,
    verdict: String,
    taken: bool,
    why: String,
}

struct Previewed {
    says: Vec<String>,
    chart: String,
}

type Name = Result<Path<String>, PathRejection>;

pub(super) async fn show<B: Backend>(State(shared): App<B>, f: Frame, id: Name) -> Response {
    let Ok(Path(id)) = id else { return nothing_of(f) };
    page(&*shared.backend, f, id, Form::default()).await
}

/// What was typed, and what came of it.
#[derive(Default)]
struct Form {
    draft: Option<Draft>,
    text: String,
    problem: Option<String>,
    tried: Option<Tried>,
    preview: Option<Preview>,
}

pub(super) async fn attempt<B: Backend>(State(shared): App<B>, id: Name, Posted(f, fields): Posted) -> Response {
    let Ok(Path(id)) = id else { return nothing_of(f) };
    let backend = &*shared.backend;
    let typed = |name, most| fields.get(name).chars().take(most).collect::<String>();
    let draft = Draft {
        query: typed("query", MOST_QUERY),
        reason: typed("reason", MOST_TEXT),
        except: typed("except", MOST_QUERY),
    };
    let mut form = Form { draft: Some(draft.clone()), text: typed("text", MOST_TEXT), ..Form::default() };
    let rule = RuleId::from(id.clone());
    let done = if fields.get("do") == "preview" {
        backend.preview_rule(rule, draft).await.map(|preview| form.preview = preview)
    } else {
        let tried = backend.try_rule(rule, draft, form.text.clone(), f.sight()).await;
        tried.map(|tried| form.tried = tried)
    };
    match done {
        Ok(()) => {}
        Err(BackendError::Invalid(why)) => form.problem = Some(why),
        Err(error) => return failed(f, &error),
    }
    page(backend, f, id, form).await
}

async fn page<B: Backend>(backend: &B, f: Frame, id: String, form: Form) -> Response {
    let f = f.at("rules");
    match backend.rule(RuleId::from(id), f.sight()).await {
        Ok(Some(detail)) => {
            let status = if form.problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
            Frame::show(status, &of(f, &detail, form))
        }
        Ok(None) => nothing_of(f),
        Err(error) => failed(f, &error),
    }
}

fn of(f: Frame, detail: &RuleDetail, form: Form) -> Page {
    let RuleDetail { rule, judged, tests, proposal, .. } = detail;
    let w = f.w;
    let id = rule.id.to_string();
    let (state, state_text) = state(&f, &detail.state);
    let passed = tests.iter().filter(|(_, problem)| problem.is_none()).count();
    let (good, all) = (f.number(passed as u64), f.number(tests.len() as u64));
    let test = |(name, problem): &(String, Option<String>)| Test {
        name: name.clone(),
        passed: problem.is_none(),
        problem: problem.clone().unwrap_or_default(),
    };
    let file = if detail.built_in { &w.rule_built_in } else { &w.rule_file };
    let proposed = proposal.as_ref().map(|proposal| {
        let exclusion = &proposal.exclusion;
        let says = w.proposal_text.with([
            ("noise", &f.number(exclusion.noise as u64)),
            ("others", &f.number(exclusion.others as u64)),
            ("looked", &f.number(exclusion.looked_at as u64)),
        ]);
        let reason = clip(&clean(&proposal.reason), 500);
        Proposed { says, query: exclusion.query.clone(), reason, diff: proposal.diff.clone() }
    });
    let usual = Draft { query: rule.query.text.trim().to_owned(), ..Draft::default() };
    Page {
        path: path(&id),
        title: rule.title.clone(),
        severity: rule.severity.as_str(),
        severity_word: f.severity(rule.severity).to_string(),
        about: format!("{} · {} · {} · {}", rule.topic, rule.pack, rule.status.as_str(), rule.version),
        state,
        well: matches!(detail.state, RuleState::InForce | RuleState::Learning(_)),
        state_text,
        query: rule.query.text.trim().to_owned(),
        excepts: rule.excepts.iter().map(|one| (one.reason.clone(), one.query.text.trim().to_owned())).collect(),
        does: does(&f, rule),
        joins: rule.joins.iter().map(ToString::to_string).collect(),
        record: record(&f, detail),
        chart: history(&f, &detail.fired),
        judged: judged.iter().take(JUDGED).map(|one| line(&f, one)).collect(),
        tests: tests.iter().map(test).collect(),
        tests_say: if tests.is_empty() {
            w.no_tests.to_string()
        } else {
            w.tests_pass.with([("good", &good), ("all", &all)])
        },
        file_says: file.with([("file", &detail.file)]),
        proposal: proposed,
        draft: form.draft.unwrap_or(usual),
        text: form.text,
        problem: form.problem,
        tried: form.tried.map(|tried| outcome(&f, &tried)),
        preview: form.preview.map(|preview| previewed(&f, &preview)),
        id,
        f,
    }
}

/// The address of a rule's page below the root.
pub(super) fn path(id: &str) -> String {
    let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    format!("rules/{id}")
}

/// How it is doing, in a word and in a sentence.
fn state(f: &Frame, state: &RuleState) -> (String, String) {
    let w = f.w;
    let (word, text) = match state {
        RuleState::InForce => (&w.rule_in_force, w.rule_in_force_text.to_string()),
        RuleState::Learning(seen) => (&w.rule_learning, w.rule_learning_text.with([("span", &human(*seen))])),
        RuleState::Blind => (&w.rule_blind, w.rule_blind_text.to_string()),
        RuleState::Refused(why) => (&w.rule_refused, w.rule_refused_text.with([("why", why)])),
    };
    (word.to_string(), text)
}

/// When it fires, a sentence each.
fn does(f: &Frame, rule: &Rule) -> Vec<String> {
    let w = f.w;
    let n = |number| f.number(number);
    let mut does = vec![match &rule.condition {
        Condition::Match => w.when_match.to_string(),
        Condition::Count(count) => {
            let phrase = match count.distinct {
                Distinct::Post => &w.when_posts,
                Distinct::Author => &w.when_authors,
                Distinct::Story => &w.when_stories,
            };
            phrase.with([("n", &n(count.at_least)), ("span", &human(count.within))])
        }
        Condition::Spike(spike) => w.when_spike.with([
            ("posts", &n(spike.at_least)),
            ("authors", &n(spike.authors)),
            ("alarms", &n(u64::from(spike.false_alarms.alarms))),
            ("span", &human(spike.false_alarms.within)),
        ]),
        Condition::Share(share) => w.when_share.with([
            ("percent", &share.above.percent().to_string()),
            ("posts", &n(share.at_least)),
            ("span", &human(share.within)),
        ]),
        Condition::NewTerm(term) => w.when_new_term.with([
            ("posts", &n(term.at_least)),
            ("authors", &n(term.authors)),
            ("span", &human(term.within)),
        ]),
        Condition::Quiet(quiet) => w.when_quiet.with([("span", &human(quiet.lasts))]),
        Condition::Joined(joined) => w.when_joined.with([("span", &human(joined.within))]),
    }];
    if !rule.hold.lasts.is_zero() {
        does.push(w.when_held.with([("span", &human(rule.hold.lasts))]));
    }
    does.extend(rule.by.as_ref().map(|by| w.when_by.with([("key", by.word())])));
    does.extend(rule.playbook.as_ref().map(|file| w.playbook.with([("file", file)])));
    does
}

/// What became of what it found.
fn record(f: &Frame, detail: &RuleDetail) -> Vec<String> {
    let w = f.w;
    let when = |last: Option<Timestamp>| last.map_or_else(|| w.never.to_string(), |at| f.time(at));
    let of = |phrase: &super::words::Phrase, count: u64, last: Option<Timestamp>| {
        phrase.with([("n", &f.number(count)), ("time", &when(last))])
    };
    vec![
        of(&w.rule_fired, detail.alerts, detail.fired.first().copied()),
        of(&w.rule_real, detail.real.0, detail.real.1),
        of(&w.rule_noise, detail.noise.0, detail.noise.1),
    ]
}

fn history(f: &Frame, fired: &[Timestamp]) -> String {
    let days = days(f);
    let numbers = counted(&days, fired);
    let sum: u64 = numbers.iter().sum();
    let says = f.w.fired_by_day.with([("n", &f.number(sum)), ("days", &f.number(days.len() as u64))]);
    bars(&days, &[("bar", numbers)], &says)
}

fn line(f: &Frame, judgement: &Judgement) -> Line {
    let Judgement { incident, at, by, real, reason } = judgement;
    let what = if *real { &f.w.it_was_real } else { &f.w.it_was_noise };
    Line {
        at: at.to_string(),
        when: f.time(*at),
        path: card::path(incident.as_str()),
        incident: incident.to_string(),
        who: clip(&clean(by), 100),
        what: what.to_string(),
        reason: clip(&clean(reason), 500),
    }
}

fn outcome(f: &Frame, tried: &Tried) -> Outcome {
    let w = f.w;
    let (takes, looked) = (f.number(tried.takes as u64), f.number(tried.looked_at as u64));
    let group = |title: &super::words::Phrase, posts: &[TriedPost]| Group {
        title: title.to_string(),
        posts: posts.iter().map(|post| one(f, post)).collect(),
    };
    let groups =
        [group(&w.no_longer_taken, &tried.lost), group(&w.nearly_taken, &tried.near), group(&w.taken, &tried.taken)];
    Outcome {
        says: w.tried_on.with([("takes", &takes), ("looked", &looked)]),
        diff: tried.diff.clone(),
        text: tried.text.as_ref().map(|post| one(f, post)),
        groups: groups.into_iter().filter(|group| !group.posts.is_empty()).collect(),
    }
}

fn one(f: &Frame, post: &TriedPost) -> One {
    let verdict = if post.taken { &f.w.takes_it } else { &f.w.takes_it_not };
    One {
        said: said_by(f, &post.post, &post.marks),
        verdict: verdict.to_string(),
        taken: post.taken,
        why: clip(&clean(&post.why), 1000),
    }
}

fn previewed(f: &Frame, preview: &Preview) -> Previewed {
    let w = f.w;
    let Preview { span, posts, cut, before, after } = preview;
    let n = |number: usize| f.number(number as u64);
    let Some((from, to)) = span else {
        return Previewed { says: vec![w.preview_nothing.to_string()], chart: String::new() };
    };
    let would = w.preview_text.with([
        ("after", &n(after.len())),
        ("before", &n(before.len())),
        ("posts", &n(*posts)),
        ("from", &f.time(*from)),
        ("to", &f.time(*to)),
    ]);
    let days = days(f);
    let chart = bars(&days, &[("bar", counted(&days, before)), ("bar-2", counted(&days, after))], &would);
    let mut says = vec![would, w.preview_rows.to_string(), w.preview_archive.to_string()];
    if *cut {
        says.push(w.preview_cut.to_string());
    }
    Previewed { says, chart }
}
