//! Words people forget: what a list or the hospital's names probably lack.
//!
//! Proposals, never changes: nothing is added that a person did not write. They come from
//! small tables of words that belong together, so that each is worth reading.

use std::collections::BTreeSet;

use super::compile::lists;
use super::raw::{RawFile, RawList};
use crate::domain::diagnostic::Diagnostic;
use crate::domain::organization::Organization;
use crate::domain::query::Term;
use crate::domain::query::term::TermForm;

mod names;
mod words;

pub use names::names;
use words::{ABBREVIATIONS, FAMILIES, LANGUAGES, TRANSLATIONS};

/// Terms named in one note.
const NAMED: usize = 12;
/// Terms of a language that show that it is meant.
const SPOKEN: usize = 2;

/// Notes about a file's lists.
pub fn suggest(file: &RawFile) -> Vec<Diagnostic> {
    // Mistakes in lists are told when the file is compiled.
    let all = lists(file, &Organization::named("x"), &mut Vec::new());
    let lists: Vec<(&RawList, Holds)> =
        file.lists.iter().filter_map(|raw| Some((raw, Holds::of(&all.get(&raw.name)?.terms)))).collect();
    let mut notes = Vec::new();
    let mut note = |raw: &RawList, code, what: String, terms: Vec<String>| {
        let more = terms.len().saturating_sub(NAMED);
        let shown = terms.iter().take(NAMED).map(|term| format!("{term:?}")).collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let finding = Diagnostic::note(code, format!("${} lacks {what}", raw.name));
        notes.push(finding.at(&file.source, raw.span.clone(), "here").help(format!("consider {shown}{more}")));
    };
    for (raw, holds) in &lists {
        let forms = forms(holds);
        if !forms.is_empty() {
            note(raw, "SB0270", "other forms of its words".to_owned(), forms);
        }
        for (long, short, also) in abbreviations(holds) {
            let what = match also {
                None => format!("a short form of \"{long}\""),
                Some(also) => {
                    format!("a short form of \"{long}\", which is also {also}: it needs another word beside it")
                }
            };
            note(raw, "SB0271", what, short);
        }
        for (place, language) in LANGUAGES.iter().enumerate().skip(1) {
            let elsewhere = lists.iter().any(|(_, holds)| spoken(holds, place) >= SPOKEN);
            if elsewhere && spoken(holds, place) == 0 {
                let missing = translations(holds, place);
                if missing.len() >= SPOKEN {
                    note(raw, "SB0273", format!("the {language} words that other lists have"), missing);
                }
            }
        }
    }
    notes
}

/// What a list finds.
struct Holds(BTreeSet<TermForm>);

impl Holds {
    fn of(terms: &[Term]) -> Self {
        Self(terms.iter().map(|term| term.form.clone()).collect())
    }

    /// Whether the list names a text as a term of its own.
    fn names(&self, text: &str) -> bool {
        let Ok(term) = Term::parse(text) else { return false };
        self.0.contains(&term.form) || self.0.contains(&term.fuzzy().form)
    }

    /// Whether the list finds every post with the text.
    fn finds(&self, text: &str) -> bool {
        let Ok(term) = Term::parse(text) else { return true };
        let words = term.words();
        self.names(text)
            || self.0.iter().any(|form| match form {
                TermForm::Phrase(patterns) => words
                    .windows(patterns.len())
                    .any(|row| patterns.iter().zip(row).all(|(pattern, word)| pattern.finds(word))),
                TermForm::Fuzzy(parts) => {
                    words.windows(parts.len()).any(|row| parts.iter().zip(row).all(|(part, word)| **part == **word))
                }
                TermForm::Sloppy { .. } | TermForm::Exact(_) | TermForm::Token(..) => false,
            })
    }
}

/// Forms of a list's words that it does not find.
fn forms(holds: &Holds) -> Vec<String> {
    let families = FAMILIES.iter().map(|family| family.split(' '));
    let known = families.filter(|family| family.clone().any(|form| holds.names(form)));
    known.flatten().filter(|form| !holds.finds(form)).map(str::to_owned).collect()
}

/// A long form of the list, its short forms that the list lacks, and what else they mean.
fn abbreviations(holds: &Holds) -> Vec<(&'static str, Vec<String>, Option<&'static str>)> {
    let mut found = Vec::new();
    for (long, short) in ABBREVIATIONS {
        let Some(long) = long.iter().find(|long| holds.names(long)) else { continue };
        let lacking = || short.iter().filter(|short| !holds.finds(short.text));
        let plain: Vec<String> =
            lacking().filter(|short| short.also.is_none()).map(|short| short.text.to_owned()).collect();
        if !plain.is_empty() {
            found.push((*long, plain, None));
        }
        let ambiguous = lacking().filter_map(|short| Some((*long, vec![short.text.to_owned()], Some(short.also?))));
        found.extend(ambiguous);
    }
    found
}

/// How many of a language's own words the list has.
fn spoken(holds: &Holds, language: usize) -> usize {
    TRANSLATIONS.iter().filter_map(|row| own(row, language)).filter(|text| holds.finds(text)).count()
}

/// The word of a language, when it is not English as well.
fn own(row: &[&'static str; 6], language: usize) -> Option<&'static str> {
    let form = |text: &str| Term::parse(text).ok().map(|term| term.form);
    let [english, ..] = row;
    row.get(language).copied().filter(|text| form(text) != form(english))
}

/// What the English words of a list are in a language; none when it has few.
fn translations(holds: &Holds, language: usize) -> Vec<String> {
    let known = TRANSLATIONS.iter().filter(|[english, ..]| holds.names(english));
    let words: BTreeSet<&str> = known.filter_map(|row| own(row, language)).collect();
    words.into_iter().map(str::to_owned).collect()
}
