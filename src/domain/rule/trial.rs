//! A rule's own tests, run by the very engine that runs the daemon.

use std::sync::Arc;

use super::model::{Rule, RuleSet};
use super::raw::{RawFile, RawHistory, RawRule, RawTest, RawTestPost};
use crate::domain::condition::Condition;
use crate::domain::diagnostic::{Diagnostic, Level};
use crate::domain::engine::{Batch, Engine, Input, Item};
use crate::domain::event::{Decoded, SourceEvent};
use crate::domain::id::RuleId;
use crate::domain::matcher::Scratch;
use crate::domain::organization::Organization;
use crate::domain::post::{Author, Post, PostKind};
use crate::domain::route::Routes;
use crate::domain::time::Timestamp;

/// When every test begins: a Sunday at ten. Tests see no other clock.
pub const EPOCH: Timestamp = Timestamp::from_seconds(1_795_341_600);

/// How many tests ran, and those that failed.
#[derive(Debug, Default)]
pub struct Trials {
    /// Tests run.
    pub ran: usize,
    /// One finding for each failure.
    pub failures: Vec<Diagnostic>,
}

/// Runs the tests of a file's rules; a rule that joins others is tried with those of `all` files.
pub fn run(file: &RawFile, all: &[RawFile]) -> Trials {
    let rules = rules_of(file, all);
    let mut trials = Trials::default();
    for raw in &file.rules {
        for test in raw.tests.iter().filter(|_| rules.find(&raw.id.value).is_some()) {
            trials.ran += 1;
            trials.failures.extend(run_one(file, raw, test, &rules));
        }
    }
    trials
}

/// Runs the tests of one rule of a file: for each its name, and what is wrong if it failed.
pub fn run_of(file: &RawFile, all: &[RawFile], rule: &str) -> Vec<(String, Option<Diagnostic>)> {
    let rules = rules_of(file, all);
    let raw = file.rules.iter().find(|raw| raw.id.value == rule && rules.find(rule).is_some());
    let tests = raw.iter().flat_map(|raw| raw.tests.iter().map(move |test| (raw, test)));
    tests.map(|(raw, test)| (test.name.clone(), run_one(file, raw, test, &rules))).collect()
}

/// The rules of a file as its tests know them.
fn rules_of(file: &RawFile, all: &[RawFile]) -> Arc<RuleSet> {
    let example = Organization::example();
    let organization = file.organization.as_ref().unwrap_or(&example);
    let (mut rules, _) = super::compile(file, organization);
    add_joined(&mut rules, all, organization);
    Arc::new(RuleSet::new(rules))
}

/// Adds the rules of other files that some of `rules` join, and those that these join.
fn add_joined(rules: &mut Vec<Rule>, all: &[RawFile], organization: &Organization) {
    let mut next = 0;
    while let Some(rule) = rules.get(next) {
        next += 1;
        let absent = |id: &&RuleId| rules.iter().all(|rule| rule.id != **id);
        let absent: Vec<RuleId> = rule.joins.iter().filter(absent).cloned().collect();
        for id in absent {
            let file = all.iter().find(|file| file.rules.iter().any(|raw| raw.id.value == id.as_str()));
            let compiled = file.map(|file| super::compile(file, organization).0).unwrap_or_default();
            rules.extend(compiled.into_iter().find(|rule| rule.id == id));
        }
    }
}

fn run_one(file: &RawFile, raw: &RawRule, test: &RawTest, rules: &Arc<RuleSet>) -> Option<Diagnostic> {
    let posts: Vec<Post> = test.posts.iter().enumerate().map(|(index, raw)| post(index, raw)).collect();
    let mut engine = Engine::new(Arc::clone(rules), Routes::default(), Vec::new());
    for rule in rules.with_joined(&raw.id.value) {
        // A quiet rule that knows nothing goes by its time alone.
        let usual = (!matches!(rule.condition, Condition::Quiet(_))).then_some(RawHistory::SILENT);
        let Some(RawHistory { per_day, lasts }) = test.history.or(usual) else { continue };
        engine.teach(rule, per_day, EPOCH - lasts, EPOCH);
    }
    let mut scratch = Scratch::default();
    let items = posts.into_iter().map(|post| {
        let event = Ok(SourceEvent::Post(Box::new(post)));
        Item::matched(Decoded { cursor: None, event }, None, rules, &mut scratch)
    });
    let batch = Batch::new("test".into(), Arc::clone(rules), items.collect());
    let outcome = engine.step(Input::Batch(batch), EPOCH);
    let alerts = outcome.commit.alerts.iter().filter(|alert| alert.rule.as_str() == raw.id.value).count() as u64;
    // Explaining is slow, and few tests fail.
    (alerts != test.alerts).then(|| {
        let reasons = explain_misses(test, raw, rules);
        let s = if alerts == 1 { "" } else { "s" };
        let message = format!("`{}`: {:?} raised {alerts} alert{s}, not {}", raw.id.value, test.name, test.alerts);
        let finding = Diagnostic::error("SB0301", message);
        // A pack's tests show that its own lists work; with others they may well differ.
        let changed = file.lists.iter().any(|list| list.changed.is_some());
        let level = if changed { Level::Warning } else { finding.level };
        Diagnostic { level, ..finding }
            .at(&file.source, test.span.clone(), format!("{alerts} instead of {}", test.alerts))
            .help(format!("{reasons}; `stormbell explain {} --text …` shows each clause", raw.id.value))
    })
}

/// Which posts of the test the rule took.
fn explain_misses(test: &RawTest, raw: &RawRule, rules: &RuleSet) -> String {
    let Some((_, rule)) = rules.find(&raw.id.value) else { return String::new() };
    if !rule.joins.is_empty() {
        return explain_joined(test, &raw.id.value, rules);
    }
    let of = |post: &Post| {
        let verdict = rule.explain(post);
        let except = verdict.excepts.iter().find(|(_, clause)| clause.satisfied);
        match except.and_then(|(index, _)| rule.excepts.get(*index)) {
            Some(except) if verdict.query.satisfied => format!("excepted ({})", except.reason),
            _ if verdict.matched() => "matched".to_owned(),
            _ => "not matched".to_owned(),
        }
    };
    let posts = test.posts.iter().enumerate();
    let posts: Vec<String> = posts.map(|(n, raw)| format!("post {} {}", n + 1, of(&post(n, raw)))).collect();
    posts.join(", ")
}

/// Which of the joined rules took each post.
fn explain_joined(test: &RawTest, id: &str, rules: &RuleSet) -> String {
    let posts = test.posts.iter().enumerate().map(|(index, raw)| {
        let post = post(index, raw);
        let takes = |rule: &&Rule| rule.joins.is_empty() && rule.explain(&post).matched();
        let by: Vec<&str> = rules.with_joined(id).into_iter().filter(takes).map(|rule| rule.id.as_str()).collect();
        let by = if by.is_empty() { "none".to_owned() } else { by.join(" and ") };
        format!("post {} taken by {by}", index + 1)
    });
    posts.collect::<Vec<_>>().join(", ")
}

fn post(index: usize, raw: &RawTestPost) -> Post {
    let at = EPOCH + raw.at;
    let author = raw.author.clone().unwrap_or_else(|| format!("author {}", index + 1));
    let source = raw.source.as_deref().unwrap_or("test");
    let id = raw.id.clone().unwrap_or_else(|| format!("post {}", index + 1));
    Post {
        lang: raw.lang.clone(),
        kind: raw.kind.unwrap_or(if raw.reply_to.is_some() { PostKind::Reply } else { PostKind::Post }),
        reply_to: raw.reply_to.clone().map(Into::into),
        tags: raw.tags.clone(),
        media_text: raw.media_text.clone(),
        has_media: raw.has_media.unwrap_or(!raw.media_text.is_empty()),
        links: raw.links.clone(),
        author: Author { id: author.as_str().into(), handle: raw.handle.clone(), name: None, followers: raw.followers },
        ..Post::plain(id.into(), source.into(), author.clone().into(), raw.text.clone(), at)
    }
}
