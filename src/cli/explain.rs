//! `stormbell explain`: why a rule takes a text, or what is missing.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::check::entries;
use super::{ConfigArgs, Exit, say, show};
use crate::app::clock::SystemClock;
use crate::app::rulebook::{Rulebook, default_rules};
use crate::config::environment::Environment;
use crate::config::load::{SecretPolicy, find, load};
use crate::config::table::nearest;
use crate::domain::id::SourceName;
use crate::domain::organization::Organization;
use crate::domain::post::{Author, Post, PostKind};
use crate::domain::query::explain::{Clause, Form};
use crate::domain::rule::Rule;
use crate::domain::rule::model::Verdict;
use crate::domain::time::Clock as _;
use crate::wire::post::PostJson;

/// Say which words of a text a rule takes, or what is missing.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The rule's id
    rule: String,
    /// The text of a post
    #[arg(long, required_unless_present = "post", conflicts_with = "post")]
    text: Option<String>,
    /// A file with a post as JSON
    #[arg(long, value_name = "FILE")]
    post: Option<PathBuf>,
    /// Rule files, folders or packs to look in, instead of the configuration's
    #[arg(long, value_name = "PATH", num_args = 1..)]
    rules: Vec<PathBuf>,
    /// Name of the hospital, instead of the configuration's
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Explain {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let post = self.read_post()?;
        let environment = Environment::of_process();
        let config = match find(self.config.config.as_deref(), &environment) {
            Some(path) => {
                let loaded = load(&path, &environment, SecretPolicy::MayBeAbsent);
                if loaded.config.is_none() {
                    show(&loaded.findings);
                    return Ok(Exit::Config);
                }
                loaded.config
            }
            None => None,
        };
        let organization = match (&self.org, &config) {
            (Some(name), _) => Organization::named(name.as_str()),
            (None, Some(config)) => config.organization.clone(),
            (None, None) => Organization::example(),
        };
        let origins = match (self.rules.as_slice(), config) {
            ([], Some(config)) => config.rules,
            ([], None) => default_rules(),
            (paths, _) => entries(paths),
        };
        let rulebook = Rulebook::load(&origins, &organization);
        let Some((_, rule)) = rulebook.rules.find(&self.rule) else {
            show(&rulebook.findings);
            let ids: Vec<&str> = rulebook.rules.rules().iter().map(|rule| rule.id.as_str()).collect();
            let help = nearest(&self.rule, ids.iter().copied()).map(|near| format!("; did you mean {near}?"));
            say(&format!("error: there is no rule {}{}", self.rule, help.unwrap_or_default()));
            return Ok(Exit::Usage);
        };
        let verdict = rule.explain(&post);
        let mut out = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, &json(rule, &verdict))?;
            writeln!(out)?;
        } else {
            write!(out, "{}", text(rule, &verdict))?;
        }
        Ok(if verdict.matched() { Exit::Fine } else { Exit::Failed })
    }

    fn read_post(&self) -> anyhow::Result<Post> {
        let source = SourceName::from("explain");
        if let Some(path) = &self.post {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let json: PostJson<'_> =
                serde_json::from_str(&text).with_context(|| format!("{} is not a post", path.display()))?;
            return json.into_post(&source).with_context(|| path.display().to_string());
        }
        let now = SystemClock.now();
        Ok(Post {
            id: "explain".into(),
            version: None,
            source,
            url: None,
            created_at: now,
            event_time: now,
            author: Author { id: "explain".into(), handle: None, name: None, followers: None },
            text: self.text.clone().unwrap_or_default(),
            lang: Vec::new(),
            kind: PostKind::Post,
            reply_to: None,
            quote_of: None,
            repost_of: None,
            links: Vec::new(),
            tags: Vec::new(),
            media_text: Vec::new(),
        })
    }
}

#[derive(Serialize)]
struct VerdictJson<'a> {
    rule: &'a str,
    version: &'a str,
    matched: bool,
    terms: Vec<&'a str>,
    query: ClauseJson<'a>,
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Self>,
}

#[derive(Serialize)]
struct FoundJson<'a> {
    term: &'a str,
    segment: usize,
    from: usize,
    to: usize,
}

fn json<'a>(rule: &'a Rule, verdict: &'a Verdict) -> VerdictJson<'a> {
    let excepts = verdict.excepts.iter().filter_map(|(index, clause)| {
        let except = rule.excepts.get(*index)?;
        Some(ExceptJson { reason: &except.reason, query: clause_json(clause, &except.query.text) })
    });
    VerdictJson {
        rule: rule.id.as_str(),
        version: &rule.version,
        matched: verdict.matched(),
        terms: verdict.query.terms(),
        query: clause_json(&verdict.query, &rule.query.text),
        excepts: excepts.collect(),
    }
}

fn clause_json<'a>(clause: &'a Clause, query: &'a str) -> ClauseJson<'a> {
    let found = clause.found.iter();
    ClauseJson {
        clause: query.get(clause.span.clone()).unwrap_or_default(),
        form: match clause.form {
            Form::Term => "term",
            Form::List => "list",
            Form::And => "and",
            Form::Or => "or",
            Form::Not => "not",
        },
        satisfied: clause.satisfied,
        found: found
            .map(|found| FoundJson {
                term: &found.term,
                segment: found.segment,
                from: found.original.start,
                to: found.original.end,
            })
            .collect(),
        parts: clause.parts.iter().map(|part| clause_json(part, query)).collect(),
    }
}

/// The tree with a mark at each clause.
fn text(rule: &Rule, verdict: &Verdict) -> String {
    let answer = if verdict.matched() { "takes the post" } else { "does not take the post" };
    let mut lines = vec![format!("{} {answer} ({})", rule.id, rule.version)];
    tree(&verdict.query, &rule.query.text, 1, &mut lines);
    for (index, clause) in &verdict.excepts {
        let Some(except) = rule.excepts.get(*index) else { continue };
        let effect = if clause.satisfied { "takes it out again" } else { "does not apply" };
        lines.push(format!("except “{}”: {effect}", except.reason));
        tree(clause, &except.query.text, 1, &mut lines);
    }
    lines.join("\n") + "\n"
}

fn tree(clause: &Clause, query: &str, depth: usize, lines: &mut Vec<String>) {
    let mark = if clause.satisfied { '✓' } else { '✗' };
    let source = query.get(clause.span.clone()).unwrap_or_default();
    let source = source.split_whitespace().collect::<Vec<_>>().join(" ");
    let what = match clause.form {
        Form::Term | Form::List => source,
        Form::And => "all of".to_owned(),
        Form::Or => "one of".to_owned(),
        Form::Not => "not".to_owned(),
    };
    let mut terms: Vec<&str> = clause.found.iter().map(|found| found.term.as_str()).collect();
    terms.dedup();
    let found = match (clause.form, terms.as_slice()) {
        (Form::List, terms @ [_, ..]) => format!(": “{}”", terms.join("”, “")),
        _ => String::new(),
    };
    lines.push(format!("{}{mark} {what}{found}", "  ".repeat(depth)));
    clause.parts.iter().for_each(|part| tree(part, query, depth + 1, lines));
}
