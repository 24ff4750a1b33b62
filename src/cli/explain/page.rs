//! The answer for people.

use std::ops::Range;

use crate::cli::counted;
use crate::domain::condition::{Condition, Distinct, Spike};
use crate::domain::organization::Organization;
use crate::domain::post::Post;
use crate::domain::query::explain::{Clause, Form};
use crate::domain::query::missing::{almost, missing, source};
use crate::domain::query::names::is_doubtful;
use crate::domain::rule::Rule;
use crate::domain::rule::model::Verdict;
use crate::domain::time::human;
use crate::report::{self, Mark};

/// The answer, what is missing, the tree with a mark at each clause, and of the
/// exceptions those that have to do with the post; then the post with what was found marked.
pub(super) fn page(rule: &Rule, verdict: &Verdict, organization: &Organization, post: &Post) -> String {
    let answer = if verdict.matched() { "takes the post" } else { "does not take the post" };
    let mut lines = vec![format!("{} {answer} (version {}, for {})", rule.id, rule.version, organization.name)];
    if !verdict.query.satisfied {
        lines.push(format!("missing: {}", missing(&verdict.query, &rule.query.text)));
        if rule.query.lists().contains(&"org_guarded") && is_doubtful(organization, post) {
            let hint =
                "the hospital's name is there, but may mean something else: $org_guarded takes it only in company";
            lines.push(format!("{hint}, as “{} ER” or “at {0}”", organization.name));
        }
    }
    lines.push("query".to_owned());
    tree(&verdict.query, &rule.query.text, 1, &mut lines);
    if let (Some(clause), Some(of)) = (&verdict.of, &rule.of) {
        lines.push(format!("a share of such posts, of which it is {}one", if clause.satisfied { "" } else { "not " }));
        tree(clause, &of.query.text, 1, &mut lines);
    }
    let excepts = verdict.excepts.iter().filter_map(|(index, clause)| Some((rule.excepts.get(*index)?, clause)));
    let (near, far): (Vec<_>, Vec<_>) = excepts.partition(|(except, clause)| touched(clause, &except.query.text));
    for (except, clause) in &near {
        let effect = if clause.satisfied { "takes the post out" } else { "does not apply" };
        lines.push(format!("except “{}”: {effect}", except.reason));
        tree(clause, &except.query.text, 1, &mut lines);
    }
    if !far.is_empty() {
        let other = if near.is_empty() { "" } else { "other " };
        let far = counted(far.len() as u64, &format!("{other}exception"));
        lines.push(format!("{far} without a word in the post"));
    }
    if let (Condition::Count(count), true) = (&rule.condition, verdict.matched()) {
        let what = match count.distinct {
            Distinct::Post => "post",
            Distinct::Author => "author",
            Distinct::Story => "story",
        };
        let enough = counted(count.at_least, what);
        lines.push(format!("the alert needs {enough} within {}{}; this is one", human(count.within), of_key(rule)));
    }
    if let (Condition::Spike(spike), true) = (&rule.condition, verdict.matched()) {
        let Spike { at_least, authors, .. } = *spike;
        let (posts, authors) = (counted(at_least, "post"), counted(authors, "author"));
        let of_key = of_key(rule);
        lines.push(format!("the alert needs unusually many{of_key}: at least {posts} by {authors}; this is one"));
    }
    if let (Condition::Share(share), true) = (&rule.condition, verdict.matched()) {
        let (posts, within) = (counted(share.at_least, "post"), human(share.within));
        let above = share.above.percent();
        lines.push(format!("the alert needs more than {above} % of at least {posts} within {within}; this is one"));
    }
    if let (Condition::NewTerm(new_term), true) = (&rule.condition, verdict.matched()) {
        let (posts, authors) = (counted(new_term.at_least, "post"), counted(new_term.authors, "author"));
        let within = human(new_term.within);
        lines.push(format!("the alert needs a word, tag or link that is new in {posts} by {authors} within {within}"));
    }
    if let (Condition::Quiet(quiet), true) = (&rule.condition, verdict.matched()) {
        lines.push(format!("the alert needs {} without such a post; this is one", human(quiet.lasts)));
    }
    if verdict.matched() && !rule.hold.lasts.is_zero() {
        lines.push(format!("and that without interruption for {}", human(rule.hold.lasts)));
    }
    if let (Some(by), true) = (&rule.by, verdict.matched()) {
        let keys: Vec<String> = by.keys(post).into_iter().map(|key| format!("“{}”", key.shown)).collect();
        lines.push(match keys.as_slice() {
            [] => format!("but the post has no {}, so it does not count", noun(by.word())),
            keys => format!("it counts under {}", keys.join(" and ")),
        });
    }
    lines.join("\n") + "\n" + &marked(verdict, post)
}

/// What the condition is asked of separately.
fn of_key(rule: &Rule) -> String {
    rule.by.as_ref().map_or_else(String::new, |by| format!(" of one {}", noun(by.word())))
}

fn noun(word: &str) -> String {
    if word.starts_with('$') { format!("entry of {word}") } else { word.to_owned() }
}

/// The texts and tags in which something was found.
fn marked(verdict: &Verdict, post: &Post) -> String {
    let mut found = Vec::new();
    collect(&verdict.query, Mark::Found, &mut found);
    verdict.excepts.iter().for_each(|(_, clause)| collect(clause, Mark::Excepted, &mut found));
    let texts = std::iter::once(&post.text).chain(&post.media_text);
    let mut page = String::new();
    for (segment, text) in texts.enumerate() {
        let marks: Vec<_> =
            found.iter().filter(|(at, ..)| *at == segment).map(|(_, place, mark)| (place.clone(), *mark)).collect();
        if !marks.is_empty() {
            page.push_str(&report::marked(&segment_name(segment, post), text, &marks));
            page.push('\n');
        }
    }
    let tags = post
        .tags
        .iter()
        .enumerate()
        .filter(|(place, _)| found.iter().any(|(segment, ..)| *segment == 1 + post.media_text.len() + place));
    let tags: Vec<String> = tags.map(|(_, tag)| format!("#{tag}")).collect();
    if !tags.is_empty() {
        page.extend(["tags found: ", &report::harmless_line(&tags.join(", ")), "\n"]);
    }
    page
}

fn collect(clause: &Clause, mark: Mark, found: &mut Vec<(usize, Range<usize>, Mark)>) {
    found.extend(clause.found.iter().map(|one| (one.segment, one.original.clone(), mark)));
    clause.parts.iter().for_each(|part| collect(part, mark, found));
}

/// What people call a segment.
pub(super) fn segment_name(segment: usize, post: &Post) -> String {
    match segment.checked_sub(1 + post.media_text.len()) {
        Some(tag) => format!("tag {}", tag + 1),
        None if segment == 0 => "text".to_owned(),
        None => format!("media {segment}"),
    }
}

/// Whether anything of what the clause asks for is in the post, the hospital's name aside.
fn touched(clause: &Clause, query: &str) -> bool {
    let is_name = clause.form == Form::List && source(clause, query).starts_with("$org");
    let touched = |part| touched(part, query);
    clause.form != Form::Not && (!clause.found.is_empty() && !is_name || clause.parts.iter().any(touched))
}

fn tree(clause: &Clause, query: &str, depth: usize, lines: &mut Vec<String>) {
    let mark = if clause.satisfied { '✓' } else { '✗' };
    let what = match clause.form {
        Form::Term | Form::List | Form::Near | Form::Field | Form::Regex => source(clause, query) + &almost(clause),
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
