//! Examples of configuration and rules in the book pass `stormbell check`.

use super::book::{PAGES, documents, pages};
use super::world::{ONE_RULE, World};

/// A rule file in the world.
const RULE: &str = "rule.toml";

/// A configuration of which the block is a part.
fn configuration(block: &str) -> String {
    // One rule of our own instead of a hundred: what is tried here is the rest.
    let block = block.replace("builtin:hospital", RULE);
    if block.contains("schema = 1") {
        let rules = format!("schema = 1\nrules = [\"{RULE}\"]\n");
        return if block.contains("\nrules ") { block } else { block.replacen("schema = 1\n", &rules, 1) };
    }
    let mut whole = format!("schema = 1\nrules = [\"{RULE}\"]\n");
    let mut lacks = |table: &str, text: &str| {
        if !block.contains(table) {
            whole.push_str(text);
        }
    };
    lacks("[organization]", "[organization]\nname = \"St. Brigid's Hospital\"\n");
    lacks("[web]", "[web]\nlisten = \"127.0.0.1:8787\"\n");
    lacks("\"journal\"\nkind", "[[receiver]]\nname = \"journal\"\nkind = \"log\"\n");
    whole + &block
}

#[test]
fn every_example_of_the_book_passes_check() {
    let (mut rules, mut configurations) = (0, 0);
    for page in pages() {
        for (line, block) in page.blocks("toml") {
            let world = World::new();
            world.file(&format!("home/{RULE}"), ONE_RULE);
            let (file, arguments) = if block.contains("[[rule]]") {
                rules += 1;
                (world.file("home/own.toml", &block), vec!["check"])
            } else {
                configurations += 1;
                (world.file("home/stormbell.toml", &configuration(&block)), vec!["check", "--config"])
            };
            let arguments: Vec<&str> = arguments.into_iter().chain([file.to_str().unwrap()]).collect();
            let output = world.program(&arguments);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}:{line}\n{said}", page.path.display());
        }
    }
    assert!(rules >= 1 && configurations >= 8, "{rules} rules, {configurations} configurations");
}

#[test]
fn the_cookbook_is_the_one_that_is_tried() {
    let cookbook = documents(vec![format!("{PAGES}/rules/cookbook.md").into()]).remove(0).whole();
    assert_eq!(cookbook.matches("\n### ").count(), 30);
    assert_eq!(cookbook.matches("[[rule.test]]").count(), 60);
}
