//! Playbooks: Markdown, and before it what Markdown has no form for.
//!
//! ```text
//! +++
//! roles = ["Incident Commander", "Public Information Officer"]
//! first_statement_within = "15m"
//!
//! [[statement]]
//! id = "first"
//! title = "What we know, what to do, when we speak next"
//! version = 1
//! text = "There is an emergency at $org. …"
//! +++
//! # The Markdown
//! ```
//!
//! A rule names its playbook by a path. It is looked for in the folders of the site's own rules, in their order, and then in the
//! binary: so a hospital that puts a file under the same name beside its rules has its own playbook, also for rules of ours.
//! A name that leads out of those folders, or is no Markdown, is a document elsewhere, and people follow it there.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::file::{Unreadable, read_text};
use super::model::{RuleEntry, RuleOrigin};
use super::table::{Checked, Table, TextKind, read};
use crate::domain::diagnostic::{Diagnostic, SourceText};
use crate::domain::playbook::{Playbook, Statement};
use crate::domain::quantity::duration;

/// No playbook is longer: people read it at 3 a.m.
const LONGEST: u64 = 256 * 1024;
/// What is before and after the part that is no Markdown.
const FENCE: &str = "+++";

/// Reads the playbooks of these names that there are; what cannot be used of them is noted.
pub fn load_playbooks(
    names: &BTreeSet<&str>,
    entries: &[RuleEntry],
    builtin: &[(&'static str, &'static str)],
) -> (Vec<Playbook>, Vec<Diagnostic>) {
    let folders: Vec<&Path> = entries.iter().filter_map(folder).collect();
    let (mut playbooks, mut findings) = (Vec::new(), Vec::new());
    for name in names.iter().filter(|name| is_ours(name)) {
        let own = folders.iter().map(|folder| folder.join(name)).find(|path| path.try_exists().unwrap_or(true));
        let source = match own {
            Some(path) => match own_text(&path) {
                Ok(text) => SourceText { name: path.display().to_string(), text },
                Err(error) => {
                    let finding = Diagnostic::error("SB0220", format!("the playbook {} {error}", path.display()));
                    findings.push(finding.help("a playbook is UTF-8 text and readable by the daemon"));
                    continue;
                }
            },
            None => match builtin.iter().find(|(known, _)| known == name) {
                Some((_, text)) => SourceText { name: format!("builtin:{name}"), text: (*text).to_owned() },
                None => continue,
            },
        };
        let (playbook, wrong) = playbook(name, &Arc::new(source));
        findings.extend(wrong);
        playbooks.push(playbook);
    }
    (playbooks, findings)
}

fn own_text(path: &Path) -> Result<String, Unreadable> {
    read_text(path, LONGEST)
}

/// Where an entry's playbooks are.
fn folder(entry: &RuleEntry) -> Option<&Path> {
    match &entry.origin {
        RuleOrigin::Builtin(_) => None,
        RuleOrigin::Path(path) if path.is_dir() => Some(path),
        RuleOrigin::Path(path) => path.parent(),
    }
}

fn is_ours(name: &str) -> bool {
    let path = PathBuf::from(name);
    let inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    inside && path.extension().is_some_and(|extension| extension == "md")
}

/// One playbook, and what is wrong with it; what is right of it can be used all the same.
fn playbook(name: &str, source: &Arc<SourceText>) -> (Playbook, Vec<Diagnostic>) {
    let Some(rest) = source.text.strip_prefix(FENCE).and_then(|rest| rest.trim_start_matches('\r').strip_prefix('\n'))
    else {
        return (Playbook::of(name, &source.text), Vec::new());
    };
    let Some((front, markdown)) = split(rest) else {
        let finding = Diagnostic::error("SB0220", "what stands before the Markdown does not end".to_owned());
        let finding = finding.at(source, 0..FENCE.len(), "begins here");
        return (Playbook::of(name, rest), vec![finding.help("write a line of +++ before the Markdown")]);
    };
    // Its first line is empty, so that every other one has the number that people see.
    let front = Arc::new(SourceText { name: source.name.clone(), text: format!("\n{front}") });
    let (front, findings) = read(&front, TextKind::Rules, |root| front_of(root, name));
    let playbook = Playbook::of(name, markdown);
    match front {
        Ok(front) => {
            let Playbook { name, title, blocks, .. } = playbook;
            (Playbook { name, title, blocks, ..front }, findings)
        }
        Err(_) => (playbook, findings),
    }
}

/// At the line that is a fence.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let after = at + line.len();
        if line.trim_end() == FENCE {
            return Some((text.get(..at)?, text.get(after..)?));
        }
        at = after;
    }
    None
}

fn front_of(root: &Table<'_>, name: &str) -> Checked<Playbook> {
    root.allow_only(&["roles", "first_statement_within", "statement"]);
    let roles = root.get("roles").map_or(Ok(Vec::new()), |value| value.one_or_more());
    let within = root.get("first_statement_within").map(|value| value.parsed(duration)).transpose();
    let tables = root.tables("statement", "[[statement]]");
    let statements: Vec<Statement> = tables.iter().filter_map(|table| statement(table, name).ok()).collect();
    for (table, statement) in tables.iter().zip(&statements) {
        if statements.iter().filter(|other| other.id == statement.id).count() > 1 {
            let message = format!("there are two statements `{}`", statement.id);
            let help = "give each statement of a playbook its own id".to_owned();
            table.error("SB0220", message, table.span(), "one of them", help);
            break;
        }
    }
    let roles = roles?.into_iter().map(|(_, role)| role.to_owned()).collect();
    Ok(Playbook { roles, first_statement_within: within?, statements, ..Playbook::default() })
}

fn statement(table: &Table<'_>, playbook: &str) -> Checked<Statement> {
    table.allow_only(&["id", "title", "version", "text"]);
    let id = table.require("id", "`id = \"first\"`").and_then(|value| value.filled());
    let title = table.require("title", "`title = \"What it is for\"`").and_then(|value| value.filled());
    let version = table.require("version", "`version = 1`").and_then(|value| value.count(1));
    let text = table.require("text", "`text = \"…\"`").and_then(|value| value.filled());
    let (id, title, text) = (id?.to_owned(), title?.to_owned(), text?.trim().to_owned());
    Ok(Statement::new(playbook, id, title, u32::try_from(version?).unwrap_or(u32::MAX), text))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read_text(text: &str) -> (Playbook, Vec<String>) {
        let source = Arc::new(SourceText { name: "playbooks/fire.md".to_owned(), text: text.to_owned() });
        let (playbook, findings) = playbook("playbooks/fire.md", &source);
        (playbook, findings.iter().map(crate::report::line).collect())
    }

    const WHOLE: &str = "\
+++
roles = [\"Legal\"]
first_statement_within = \"15m\"

[[statement]]
id = \"first\"
title = \"First\"
version = 3
text = \"\"\"
We know.
\"\"\"
+++
# Fire
1. Call.
";

    #[test]
    fn markdown_and_what_stands_before_it_make_a_playbook() {
        let (playbook, findings) = read_text(WHOLE);
        assert_eq!(findings, [""; 0]);
        assert_eq!((playbook.title.as_str(), playbook.steps().count()), ("Fire", 1));
        assert_eq!(playbook.roles, ["Legal"]);
        assert_eq!(playbook.first_statement_within, Some(Duration::from_mins(15)));
        let [first] = playbook.statements.as_slice() else { panic!("{playbook:?}") };
        assert_eq!((first.named().as_str(), first.text.as_str()), ("first, version 3", "We know."));
        let (plain, findings) = read_text("# Fire\n1. Call.\n");
        assert_eq!((plain.steps().count(), plain.roles.len(), findings.len()), (1, 0, 0));
    }

    #[test]
    fn mistakes_are_named_at_their_line_and_the_steps_stay() {
        for (was, is, said) in [
            ("15m", "soon", "playbooks/fire.md:3"),
            ("roles", "role", "did you mean `roles`?"),
            ("version = 3", "version = 0", "playbooks/fire.md:8"),
            ("\n+++\n#", "\n#", "does not end"),
            (
                "+++\n# Fire",
                "[[statement]]\nid = \"first\"\ntitle = \"t\"\nversion = 1\ntext = \"t\"\n+++\n# Fire",
                "two statements",
            ),
        ] {
            let (playbook, findings) = read_text(&WHOLE.replacen(was, is, 1));
            assert!(findings.iter().any(|finding| finding.contains(said)), "{said}: {findings:?}");
            assert_eq!(playbook.steps().count(), 1, "{said}");
        }
    }

    #[test]
    fn the_sites_own_playbook_goes_before_ours_and_names_lead_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("playbooks")).unwrap();
        std::fs::write(folder.path().join("playbooks/fire.md"), "# Ours alone").unwrap();
        std::fs::write(folder.path().join("secret.md"), "# Secret").unwrap();
        let entries = [RuleEntry { origin: RuleOrigin::Path(folder.path().join("playbooks/..")), place: None }];
        let names = ["playbooks/fire.md", "playbooks/flood.md", "../secret.md", "https://wiki.example/p.md", "none.md"];
        let builtin = [("playbooks/fire.md", "# Built in"), ("playbooks/flood.md", "# Flood")];
        let (found, findings) = load_playbooks(&names.into(), &entries, &builtin);
        let titles: Vec<&str> = found.iter().map(|playbook| playbook.title.as_str()).collect();
        assert_eq!((titles, findings.len()), (vec!["Ours alone", "Flood"], 0));
    }
}
