//! The rules reference says what is true: its table of codes, and every example.

use std::path::Path;

use super::support::Desk;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    text.split_once(from).unwrap().1.split_once(to).unwrap().0
}

/// The TOML blocks of a chapter.
fn blocks(chapter: &str) -> Vec<&str> {
    chapter.split("```toml\n").skip(1).map(|block| block.split_once("```").unwrap().0).collect()
}

#[test]
fn the_table_of_codes_is_the_programs_own() {
    let table = read("src/domain/diagnostic.rs");
    let about_rules =
        |line: &&str| ["SB00", "SB01", "SB02", "SB03"].iter().any(|code| line.starts_with(&format!("| `{code}")));
    let rows = table.lines().filter_map(|line| line.strip_prefix("//! ")).filter(about_rules);
    let expected = ["| code | means |", "| --- | --- |"].into_iter().chain(rows).collect::<Vec<_>>().join("\n");
    let document = read("RULES.md");
    let written = between(&document, "tests/cli/reference.rs -->\n", "\n<!-- end of codes");
    assert_eq!(written, expected, "copy this into RULES.md:\n{expected}");
}

#[test]
fn every_recipe_of_the_cookbook_passes_check() {
    let document = read("RULES.md");
    let (_, cookbook) = document.split_once("\n## Cookbook").unwrap();
    let recipes = blocks(cookbook);
    assert_eq!(recipes.len(), cookbook.matches("\n### ").count());
    assert_eq!(recipes.len(), 30);
    let desk = Desk::new();
    for (place, recipe) in recipes.iter().enumerate() {
        desk.file(&format!("book/{:02}.toml", place + 1), format!("schema = 1\n[pack]\nname = \"cookbook\"\n{recipe}"));
    }
    let ran = desk.run(&["check", "book"]);
    let summary = format!("{0} rules in {0} files, {1} tests run: no problems\n", recipes.len(), 2 * recipes.len());
    assert!(ran.err.starts_with(&summary), "{}", ran.err);
}

#[test]
fn the_other_examples_are_rule_files() {
    let document = read("RULES.md");
    let (reference, _) = document.split_once("\n## Cookbook").unwrap();
    for block in blocks(reference) {
        let read = block.parse::<toml::Table>();
        assert!(read.is_ok(), "{block}\n{read:?}");
    }
    // Those that show a rule with its tests pass them.
    let shown =
        blocks(reference).into_iter().filter(|block| block.starts_with("[[rule]]") && block.contains("[[rule.test]]"));
    for rule in shown {
        let file = format!("schema = 1\n[pack]\nname = \"shown\"\n{rule}");
        let ran = Desk::new().file("shown.toml", &file).run(&["check", "shown.toml"]);
        assert!(ran.err.ends_with("2 tests run: no problems\n"), "{rule}\n{}", ran.err);
    }
    // Those that are a whole file can be used as they are.
    let whole: Vec<&str> = blocks(reference).into_iter().filter(|block| block.contains("[pack]")).collect();
    assert!(whole.len() >= 2);
    for file in whole {
        let ran = Desk::new().file("whole.toml", file).run(&["check", "whole.toml"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
    }
}
