//! What the program says of itself has an entry where people look for it.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use stormbell::domain::event::{DownReason, Rejected};

use super::book::{Document, documents, files, page, pages, read};

/// Source text without its unit tests.
fn code(path: &str) -> String {
    let text = read(path);
    text.split("#[cfg(test)]").next().unwrap().to_owned()
}

/// The function's text, up to the line that closes it.
fn function<'a>(text: &'a str, head: &str) -> &'a str {
    text.split_once(head).unwrap().1.split_once("\n    }\n").unwrap().0
}

#[test]
fn every_incident_about_stormbell_itself_is_in_the_runbook() {
    let literal = Regex::new(r#""(stormbell\.[a-z]+)"#).unwrap();
    let mut topics = BTreeSet::new();
    for file in files("src/domain/engine", ".rs").iter().filter(|file| !file.to_str().unwrap().contains("test")) {
        topics.extend(literal.captures_iter(&code(file.to_str().unwrap())).map(|found| found[1].to_owned()));
    }
    // Rows of what is usual for a source, which nobody is told of.
    for row in ["stormbell.posts", "stormbell.usual"] {
        assert!(topics.remove(row), "{row} is gone: take it out here");
    }
    assert!(topics.contains("stormbell.blind") && topics.len() >= 4, "{topics:?}");
    let runbook = page("runbook.md");
    for topic in topics {
        assert!(runbook.contains(&format!("\n### `{topic}`\n")), "the runbook has no entry for {topic}");
    }
}

#[test]
fn every_reason_of_readyz_is_in_the_runbook() {
    let (readiness, probe) = (code("src/app/readiness.rs"), code("src/app/probe.rs"));
    let bodies = [
        function(&readiness, "pub(super) fn reasons(&self)"),
        function(&probe, "pub(super) fn reason(&self, now: Timestamp)"),
    ];
    let (literal, hole) = (Regex::new(r#""([^"]+)""#).unwrap(), Regex::new(r"\{[^}]*\}").unwrap());
    let runbook = page("runbook.md");
    let mut reasons = 0;
    for found in bodies.iter().flat_map(|body| literal.captures_iter(body)) {
        let reason = hole.replace_all(&found[1], "…");
        assert!(runbook.contains(&format!("\n### `{reason}`\n")), "the runbook has no entry for “{reason}”");
        reasons += 1;
    }
    assert!(reasons >= 7, "only {reasons} reasons were found");
}

#[test]
fn every_reason_of_a_source_and_of_a_rejection_is_in_the_runbook() {
    let runbook = page("runbook.md");
    let reasons = DownReason::ALL.map(DownReason::as_str).into_iter().chain(Rejected::ALL.map(Rejected::as_str));
    for reason in reasons {
        assert!(runbook.contains(&format!("\n| `{reason}` | ")), "the runbook has no line for {reason}");
    }
}

#[test]
fn every_exit_code_is_in_the_runbook() {
    let code = Regex::new(r"Exit::\w+ => (\d+),").unwrap();
    let program = read("src/cli/mod.rs");
    let codes: Vec<&str> = code.captures_iter(&program).map(|found| found.get(1).unwrap().as_str()).collect();
    assert!(codes.len() >= 5, "{codes:?}");
    let runbook = page("runbook.md");
    for code in codes {
        assert!(runbook.contains(&format!("\n| {code} | ")), "the runbook has no line for exit code {code}");
    }
}

#[test]
fn every_table_is_on_the_page_for_data_protection() {
    let table = Regex::new(r"(?m)^CREATE (?:VIRTUAL )?TABLE (\w+)").unwrap();
    let privacy = page("privacy.md");
    let rows: String = privacy.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next()).collect();
    let schema: String = documents(files("src/store/schema", ".sql")).into_iter().map(|script| script.text).collect();
    let gone = Regex::new(r"(?m)^DROP TABLE (\w+)").unwrap();
    let gone: BTreeSet<&str> = gone.captures_iter(&schema).map(|found| found.get(1).unwrap().as_str()).collect();
    let tables = table.captures_iter(&schema).map(|found| found.get(1).unwrap().as_str());
    let tables: Vec<&str> = tables.filter(|table| !gone.contains(table)).collect();
    assert!(tables.len() >= 15, "{tables:?}");
    for table in tables {
        assert!(format!("`{rows}").contains(&format!("`{table}`")), "data protection has no row for {table}");
    }
}

#[test]
fn every_host_that_no_configuration_names_is_on_the_page_for_the_network() {
    let host = Regex::new(r#"(?:const .*|address_or\(.*|Kind::.*|get_or.*)"(?:https|wss)://([a-z0-9.-]+)"#).unwrap();
    let network = page("admin/network.md");
    let mut hosts = BTreeSet::new();
    for file in files("src/config", ".rs").iter().filter(|file| !file.to_str().unwrap().contains("test")) {
        hosts.extend(host.captures_iter(&code(file.to_str().unwrap())).map(|found| found[1].to_owned()));
    }
    assert!(hosts.len() >= 10, "{hosts:?}");
    for host in hosts {
        assert!(network.contains(&format!("`{host}`")), "the page has no {host}");
    }
}

#[test]
fn every_event_that_the_book_asks_the_journal_for_is_logged() {
    let (asked, events) = (Regex::new(r"STORMBELL_EVENT=([a-z_.]+)").unwrap(), code("src/telemetry/events.rs"));
    let text: String = pages().iter().map(Document::whole).collect();
    let asked: BTreeSet<&str> = asked.captures_iter(&text).map(|found| found.get(1).unwrap().as_str()).collect();
    assert!(asked.len() >= 3, "{asked:?}");
    for event in asked {
        assert!(events.contains(&format!("event = \"{event}\"")), "nothing logs {event}");
    }
}

#[test]
fn every_quirk_of_a_server_has_a_test_with_its_number() {
    let row = Regex::new(r"(?m)^\| (\d+) \|").unwrap();
    let numbers: Vec<u32> = row.captures_iter(&read("GOTCHAS.md")).map(|found| found[1].parse().unwrap()).collect();
    assert_eq!(numbers, (1..=17).collect::<Vec<_>>());
    let tests: String = ["tests", "src/source"]
        .iter()
        .flat_map(|folder| files(folder, ".rs"))
        .map(|file| read(file.to_str().unwrap()))
        .collect();
    for number in numbers {
        let test = Regex::new(&format!(r"#\[(tokio::)?test[^\n]*\n(async )?fn quirk_{number}_")).unwrap();
        assert!(test.is_match(&tests), "quirk {number} has no test");
    }
}

/// What CONTRIBUTING says of how little a source takes: within a tenth, so that not every change has to count anew.
#[test]
fn the_lines_that_each_source_takes_are_what_contributing_says() {
    let text = read("CONTRIBUTING.md");
    let text = text.split_once("What the existing ones take").unwrap().1.split_once("The short ones").unwrap().0;
    let said: BTreeMap<String, usize> = Regex::new(r"`(\w+)` (\d+)")
        .unwrap()
        .captures_iter(text)
        .map(|found| (found[1].to_owned(), found[2].parse().unwrap()))
        .collect();
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for file in files("src/source", ".rs").iter().map(|file| file.to_str().unwrap()) {
        let parts: Vec<&str> = file.split('/').collect();
        if let ["src", "source", kind, .., _] = parts[..]
            && parts.len() > 3
            && !file.ends_with("tests.rs")
        {
            *lines.entry(kind.to_owned()).or_default() += read(file).lines().count();
        }
    }
    assert_eq!(said.keys().collect::<Vec<_>>(), lines.keys().collect::<Vec<_>>(), "each kind of source once");
    for (kind, lines) in lines {
        let said = said[&kind];
        assert!(said.abs_diff(lines) * 10 <= lines, "{kind} has {lines} lines, and CONTRIBUTING says {said}");
    }
}
