//! Queries as they come out of a rule file, whose lists name each other and find unusual
//! spellings, mean what the definition says.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::strategy::{Strategy as _, ValueTree as _};
use stormbell::config::rules::parse_rules;
use stormbell::domain::diagnostic::SourceText;
use stormbell::domain::matcher::{Matcher, Scratch};
use stormbell::domain::organization::Organization;
use stormbell::domain::rule::compile;

use crate::naive::{self, Ask, Lists, Post, Term};
use crate::{cases, invent, inventor, written};

const RULES: usize = 40;
const POSTS: usize = 25;

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn file(lists: &Lists, queries: &[Ask]) -> String {
    let entries = |terms: &[Term]| terms.iter().map(|term| quoted(&term.in_list())).collect::<Vec<_>>().join(", ");
    let (plain, nesting) = (&lists["plain"], &lists["nesting"]);
    let own = &nesting[..nesting.len() - plain.len()];
    let mut file = format!(
        "schema = 1\n[pack]\nname = \"made-up\"\n[lists]\nnesting = [{}, \"$plain\"]\nplain = [{}]\nfuzzy = {{ terms = [{}], fuzzy = true }}\n",
        entries(own),
        entries(plain),
        entries(&lists["fuzzy"]),
    )
    .replace("[, ", "[");
    for (place, ask) in queries.iter().enumerate() {
        let query = quoted(&written::write(ask, place as u64));
        write!(file, "[[rule]]\nid = \"r{place}\"\ntitle = \"t\"\nseverity = \"low\"\nquery = {query}\n").unwrap();
    }
    file
}

#[test]
fn rules_of_a_file_find_what_the_definition_says() {
    let mut runner = inventor();
    let mut pairs = 0;
    while pairs < cases(2000) {
        let lists = invent::lists().new_tree(&mut runner).unwrap().current();
        // In a file, `$` names another list.
        if lists.values().flatten().any(|term| term.written.starts_with('$')) {
            continue;
        }
        let queries: Vec<Ask> = std::iter::repeat_with(|| invent::query().new_tree(&mut runner).unwrap().current())
            .filter(naive::is_selective)
            .take(RULES)
            .collect();
        let text = file(&lists, &queries);
        let (file, findings) =
            parse_rules(&Arc::new(SourceText { name: "made-up.toml".to_owned(), text: text.clone() }));
        let file = file.unwrap_or_else(|| panic!("{findings:?} in {text}"));
        let (rules, findings) = compile(&file, &Organization::example());
        assert_eq!(rules.len(), RULES, "{findings:?} in {text}");
        let matcher = Matcher::new(rules.iter().map(|rule| &rule.query));
        let mut scratch = Scratch::default();
        for _ in 0..POSTS {
            let post = invent::post().new_tree(&mut runner).unwrap().current();
            let naive = Post::new(&post);
            let expected = (0..RULES).filter(|&place| naive.satisfies(&queries[place], &lists)).collect::<Vec<_>>();
            assert_eq!(matcher.matches(&post, &mut scratch), expected, "{post:?} in {text}");
            pairs += RULES;
        }
    }
}
