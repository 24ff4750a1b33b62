//! `stormbell explain`: why a rule takes a text, or what is missing.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::listening::{Listening, ListeningArgs};
use super::{Exit, counted, say, show};
use crate::app::clock::SystemClock;
use crate::config::table::nearest;
use crate::domain::condition::{Condition, Distinct};
use crate::domain::id::SourceName;
use crate::domain::organization::Organization;
use crate::domain::post::Post;
use crate::domain::query::explain::{Clause, Form};
use crate::domain::rule::model::Verdict;
use crate::domain::rule::{Rule, RuleSet};
use crate::domain::time::{Clock as _, human};
use crate::wire::post::PostJson;

/// Say which words of a text a rule takes, or what is missing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell explain active-threat.gunman --text \"Gunman at St Brigids\"
  stormbell explain my-rule --rules rules/ --org \"Mercy General\" --post post.json
Exits 0 when the rule takes the post and 1 when it does not. $org, $people and $places
stand for the hospital's names, people and places in the configuration.")]
pub(super) struct Explain {
    /// The rule's id
    rule: String,
    /// The text of a post
    #[arg(long, required_unless_present = "post", conflicts_with = "post")]
    text: Option<String>,
    /// A file with a post as JSON
    #[arg(long, value_name = "FILE")]
    post: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    listening: ListeningArgs,
}

impl Explain {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let post = self.read_post()?;
        let Some(Listening { organization, rulebook }) = self.listening.resolve() else { return Ok(Exit::Config) };
        let Some((_, rule)) = rulebook.rules.find(&self.rule) else {
            show(&rulebook.findings);
            say(&unknown(&self.rule, &rulebook.rules));
            return Ok(Exit::Usage);
        };
        let verdict = rule.explain(&post);
        let mut out = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, &json(rule, &verdict))?;
            writeln!(out)?;
        } else {
            write!(out, "{}", text(rule, &verdict, &organization))?;
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
        let text = self.text.clone().unwrap_or_default();
        Ok(Post::plain("explain".into(), source, "explain".into(), text, now))
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

/// What to write instead of a rule that does not exist.
fn unknown(rule: &str, rules: &RuleSet) -> String {
    let ids: Vec<&str> = rules.rules().iter().map(|rule| rule.id.as_str()).collect();
    let help = match nearest(rule, ids.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are {}", ids.join(", ")),
    };
    format!("error: there is no rule {rule}; {help}")
}

/// The answer, what is missing, the tree with a mark at each clause, and of the
/// exceptions those that have to do with the post.
fn text(rule: &Rule, verdict: &Verdict, organization: &Organization) -> String {
    let answer = if verdict.matched() { "takes the post" } else { "does not take the post" };
    let mut lines = vec![format!("{} {answer} (version {}, for {})", rule.id, rule.version, organization.name)];
    if !verdict.query.satisfied {
        lines.push(format!("missing: {}", missing(&verdict.query, &rule.query.text)));
    }
    lines.push("query".to_owned());
    tree(&verdict.query, &rule.query.text, 1, &mut lines);
    let (near, far): (Vec<_>, Vec<_>) = verdict.excepts.iter().partition(|(_, clause)| touched(clause));
    for (index, clause) in &near {
        let Some(except) = rule.excepts.get(*index) else { continue };
        let effect = if clause.satisfied { "takes the post out" } else { "does not apply" };
        lines.push(format!("except “{}”: {effect}", except.reason));
        tree(clause, &except.query.text, 1, &mut lines);
    }
    if !far.is_empty() {
        let other = if near.is_empty() { "" } else { "other " };
        lines
            .push(format!("{} of which the post has no word", counted(far.len() as u64, &format!("{other}exception"))));
    }
    if let (Condition::Count(count), true) = (&rule.condition, verdict.matched()) {
        let what = match count.distinct {
            Distinct::Post => "post",
            Distinct::Author => "author",
        };
        let enough = counted(count.at_least, what);
        lines.push(format!("the alert needs {enough} within {}; this is one", human(count.within)));
    }
    lines.join("\n") + "\n"
}

/// What would have to be in the post, or out of it.
fn missing(clause: &Clause, query: &str) -> String {
    let open = clause.parts.iter().filter(|part| !part.satisfied);
    match clause.form {
        Form::And => open.map(|part| missing(part, query)).collect::<Vec<_>>().join(", and "),
        Form::Or => open.map(|part| missing(part, query)).collect::<Vec<_>>().join(" or "),
        Form::Term | Form::List => source(clause, query),
        Form::Not => {
            let unwanted = clause.parts.first().map(|part| source(part, query));
            format!("nothing of {}", unwanted.unwrap_or_default())
        }
    }
}

/// Whether anything of what the clause asks for is in the post.
fn touched(clause: &Clause) -> bool {
    clause.form != Form::Not && (!clause.found.is_empty() || clause.parts.iter().any(touched))
}

fn tree(clause: &Clause, query: &str, depth: usize, lines: &mut Vec<String>) {
    let mark = if clause.satisfied { '✓' } else { '✗' };
    let what = match clause.form {
        Form::Term | Form::List => source(clause, query),
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

/// The clause as the rule's author wrote it, in one line.
fn source(clause: &Clause, query: &str) -> String {
    let source = query.get(clause.span.clone()).unwrap_or_default();
    source.split_whitespace().collect::<Vec<_>>().join(" ")
}
