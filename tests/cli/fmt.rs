//! `fmt`: one layout, and nothing said otherwise.

use std::path::Path;
use std::sync::Arc;

use stormbell::config::rules::{format, parse_rules, rule_files};
use stormbell::domain::diagnostic::SourceText;
use stormbell::domain::organization::Organization;
use stormbell::domain::rule::compile;

use super::support::Desk;

const UNTIDY: &str =
    "schema=1\n[pack]\nname=\"p\"\n[[rule]]\nquery='soup'\nid=\"p.a\"\ntitle=\"A\"\nseverity=\"low\"\n";
const TIDY: &str = "schema = 1\n\n[pack]\nname = \"p\"\n\n[[rule]]\nid       = \"p.a\"\ntitle    = \"A\"\nseverity = \"low\"\nquery    = 'soup'\n";

#[test]
fn files_are_rewritten_once_and_only_when_asked() {
    let desk = Desk::new();
    desk.file("rules/a.toml", UNTIDY).file("rules/b.toml", TIDY);
    let read = |name: &str| std::fs::read_to_string(desk.path().join(name)).unwrap();
    let ran = desk.run(&["fmt", "--check", "rules"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, "rules/a.toml\n2 files, 1 to be changed\n"));
    assert_eq!(read("rules/a.toml"), UNTIDY);
    let ran = desk.run(&["fmt", "rules"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, "rules/a.toml\n2 files, 1 changed\n"));
    assert_eq!(read("rules/a.toml"), TIDY);
    assert_eq!(desk.run(&["fmt", "--check", "rules"]).code, 0);
    let files: Vec<_> = std::fs::read_dir(desk.path().join("rules")).unwrap().collect();
    assert_eq!(files.len(), 2, "{files:?}");
}

#[test]
fn standard_input_goes_to_standard_output() {
    let ran = Desk::new().feed(&["fmt", "-"], UNTIDY.as_bytes());
    assert_eq!((ran.code, ran.out.as_str()), (0, TIDY));
    assert_eq!(Desk::new().feed(&["fmt", "--check", "-"], UNTIDY.as_bytes()).code, 1);
}

#[test]
fn every_key_of_a_rule_has_its_place() {
    let after =
        "query = 'soup'\nid = \"p.a\"\nplaybook = \"a.md\"\nnot_on = [\"x\"]\nseverity = \"low\"\ntitle = \"A\"\n";
    let shown = format(&format!("schema = 1\n[pack]\nname = \"p\"\n[[rule]]\n{after}")).unwrap();
    let keys: Vec<&str> = shown.lines().skip(6).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(keys, ["id", "title", "severity", "query", "not_on", "playbook"]);
}

#[test]
fn what_is_not_toml_is_left_as_it_is() {
    let ran = Desk::new().file("a.toml", "a = ").run(&["fmt", "a.toml"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("a.toml: it is not TOML; `stormbell check` says where; left as it is"), "{}", ran.err);
}

#[test]
fn the_rules_of_the_project_mean_the_same_in_the_usual_layout() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = rule_files(&root.join("rules")).unwrap();
    files.push(root.join("tests/golden/sample-rules.toml"));
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let once = format(&text).unwrap();
        assert_eq!(format(&once).unwrap(), once, "{}", path.display());
        let rules = |text: &str| {
            let source = Arc::new(SourceText { name: "a".to_owned(), text: text.to_owned() });
            let file = parse_rules(&source).0.unwrap();
            let tests: Vec<_> = file.rules.iter().flat_map(|rule| &rule.tests).map(|test| test.posts.clone()).collect();
            let (rules, findings) = compile(&file, &Organization::example());
            (format!("{rules:?} {tests:?}"), findings.len())
        };
        assert_eq!(rules(&text), rules(&once), "{}", path.display());
        let comments = |text: &str| text.matches('#').count();
        assert_eq!(comments(&text), comments(&once), "{}", path.display());
    }
}
