//! The book as its sources have it.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Where the book's pages are.
pub(crate) const PAGES: &str = "deploy/docs/src";

/// A document, by its path from the root.
pub(crate) struct Document {
    pub(crate) path: PathBuf,
    /// As it is written: includes are not taken in.
    pub(crate) text: String,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files below a folder whose names end like that, in order.
pub(crate) fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(end) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Every page of the book.
pub(crate) fn pages() -> Vec<Document> {
    let pages = documents(files(PAGES, ".md"));
    assert!(pages.len() > 50, "only {} pages", pages.len());
    pages
}

pub(crate) fn documents(paths: Vec<PathBuf>) -> Vec<Document> {
    paths.into_iter().map(|path| Document { text: read(&path), path }).collect()
}

/// A page, by its path in the book.
pub(crate) fn page(name: &str) -> String {
    read(Path::new(PAGES).join(name))
}

impl Document {
    /// With what it includes, as the book's readers see it.
    pub(crate) fn whole(&self) -> String {
        expanded(&self.text, self.path.parent().unwrap())
    }

    /// The blocks of a language with the line each begins on, and with what they include.
    pub(crate) fn blocks(&self, language: &str) -> Vec<(usize, String)> {
        let mut blocks = Vec::new();
        let mut open: Option<(usize, String)> = None;
        let fence = format!("```{language}");
        for (number, line) in (1..).zip(self.text.lines()) {
            match open.as_mut() {
                Some(_) if line == "```" => blocks.extend(open.take()),
                Some((_, body)) => {
                    body.push_str(line);
                    body.push('\n');
                }
                None if line == fence => open = Some((number, String::new())),
                None => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", self.path.display());
        let folder = self.path.parent().unwrap();
        blocks.into_iter().map(|(line, body)| (line, expanded(&body, folder))).collect()
    }
}

/// Takes in what `{{#include FILE}}`, `{{#include FILE:FIRST:LAST}}` and `{{#include FILE:ANCHOR}}` name, as mdbook does.
fn expanded(text: &str, folder: &Path) -> String {
    let include = Regex::new(r"\{\{#include ([^}:]+)(?::([^}]*))?\}\}").unwrap();
    let taken = include.replace_all(text, |found: &regex::Captures<'_>| {
        let file = read(folder.join(&found[1]));
        match found.get(2).map(|part| part.as_str()) {
            None => lines(&file, 1, usize::MAX),
            Some(range) if range.contains(':') => {
                let (first, last) = range.split_once(':').unwrap();
                lines(&file, first.parse().unwrap(), last.parse().unwrap_or(usize::MAX))
            }
            Some(anchor) => {
                let (begin, end) = (format!("<!-- ANCHOR: {anchor} -->\n"), format!("<!-- ANCHOR_END: {anchor} -->"));
                let part = file.split_once(&begin).and_then(|(_, rest)| Some(rest.split_once(&end)?.0.to_owned()));
                part.unwrap_or_else(|| panic!("{} has no part {anchor}", &found[1]))
            }
        }
    });
    assert!(!taken.contains("{{#"), "something that is not taken in: {taken}");
    taken.into_owned()
}

fn lines(text: &str, first: usize, last: usize) -> String {
    let chosen = (1..).zip(text.lines()).filter(|(number, _)| (first..=last).contains(number));
    chosen.flat_map(|(_, line)| [line, "\n"]).collect()
}
