//! Links between documents lead to something that is there, and so do their anchors.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use regex::Regex;

use super::book::{Document, PAGES, documents, files, page, pages, read, root};

/// Without code, in which nothing is a link and no line a heading.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// What a heading is called in an address, as GitHub and mdbook have it.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for heading in prose(text).lines().filter(|line| line.starts_with('#')) {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|sign| sign.is_alphanumeric() || matches!(sign, ' ' | '-' | '_'));
        let name: String = kept.map(|sign| if sign == ' ' { '-' } else { sign }).collect();
        let mut candidates = std::iter::once(name.clone()).chain((1..).map(|number| format!("{name}-{number}")));
        known.insert(candidates.find(|candidate| !known.contains(candidate)).unwrap());
    }
    known
}

/// Where links lead, those out of the repository left out.
fn targets(text: &str) -> Vec<String> {
    let code = Regex::new("`[^`]*`").unwrap();
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let prose = prose(text);
    let bare = code.replace_all(&prose, "");
    let targets = link.captures_iter(&bare).map(|found| found[1].to_owned());
    targets.filter(|target| !target.starts_with("http")).collect()
}

/// A path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(plain.pop(), "{} leads out of the repository", path.display()),
            part => plain.push(part),
        }
    }
    plain
}

/// What is wrong with the links of a document; those of the book stay in the book.
fn dead(document: &Document, text: &str, home: &str) -> Vec<String> {
    let mut dead = Vec::new();
    for target in targets(text) {
        let (file, anchor) = target.split_once('#').map_or((&*target, None), |(file, anchor)| (file, Some(anchor)));
        let path =
            if file.is_empty() { document.path.clone() } else { plain(&document.path.parent().unwrap().join(file)) };
        let is_there = file.is_empty() || path.starts_with(home) && root().join(&path).try_exists().unwrap();
        let has_anchor = |anchor: &str| {
            let text = if file.is_empty() {
                text.to_owned()
            } else {
                Document { text: read(&path), path: path.clone() }.whole()
            };
            anchors(&text).contains(anchor)
        };
        if !is_there || !anchor.is_none_or(has_anchor) {
            dead.push(format!("{}: {target}", document.path.display()));
        }
    }
    dead
}

#[test]
fn every_link_of_the_documents_is_alive() {
    let in_root = fs::read_dir(root()).unwrap().map(|entry| PathBuf::from(entry.unwrap().file_name()));
    let mut paths: Vec<PathBuf> = in_root.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    assert!(paths.len() >= 9, "{paths:?}");
    paths.extend(files("rules", ".md"));
    let dead: Vec<String> = documents(paths).iter().flat_map(|document| dead(document, &document.text, "")).collect();
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn every_link_of_the_book_is_alive_and_stays_in_it() {
    let dead: Vec<String> = pages().iter().flat_map(|document| dead(document, &document.whole(), PAGES)).collect();
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let listed: BTreeSet<PathBuf> =
        targets(&page("SUMMARY.md")).iter().map(|target| Path::new(PAGES).join(target)).collect();
    let written = pages().into_iter().map(|page| page.path).filter(|path| !path.ends_with("SUMMARY.md"));
    assert_eq!(listed, written.collect());
}

#[test]
fn every_playbook_is_a_page_without_what_stands_before_its_markdown() {
    for playbook in files("rules/playbooks", ".md") {
        let begins = read(&playbook).lines().position(|line| line.starts_with("# ")).unwrap() + 1;
        let part = if begins == 1 { String::new() } else { format!(":{begins}:") };
        let include = format!("{{{{#include ../../../../{}{part}}}}}\n", playbook.display());
        let name = playbook.file_name().unwrap().to_str().unwrap();
        assert_eq!(page(&format!("playbooks/{name}")), include);
    }
}

#[test]
fn every_alert_of_prometheus_leads_to_its_entry() {
    let rules = read("deploy/prometheus/stormbell.rules.yml");
    let runbook = page("runbook.md");
    let known = anchors(&runbook);
    let leads: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("runbook: \"runbook.html#")).collect();
    assert_eq!(leads.len(), rules.matches("- alert: ").count());
    for anchor in leads {
        assert!(known.contains(anchor.trim_end_matches('"')), "the runbook has no {anchor}");
    }
}

#[test]
fn dead_links_are_noticed() {
    let text = "# One & two\n## One\n## One\n```\n# no heading [a](b.md)\n```\n[a](#one-1) `[b](c.md)` [d](../gone.md) [e](#no-heading-ab) [f](https://x.example)";
    assert_eq!(anchors(text).into_iter().collect::<Vec<_>>(), ["one", "one--two", "one-1"]);
    let document = Document { path: PathBuf::from("rules/x.md"), text: text.to_owned() };
    assert_eq!(dead(&document, text, ""), ["rules/x.md: ../gone.md", "rules/x.md: #no-heading-ab"]);
}
