//! Words people forget: what a list or the hospital's names probably lack.
//!
//! Proposals, never changes: nothing is added that a person did not write. They come from
//! small tables of words that belong together, so that each is worth reading.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::compile::lists;
use super::raw::{RawFile, RawList};
use crate::domain::diagnostic::Diagnostic;
use crate::domain::organization::Organization;
use crate::domain::query::Term;
use crate::domain::query::term::{Pattern, TermForm};

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
    let in_use = |language: &usize| lists.iter().any(|(_, holds)| spoken(holds, *language) >= SPOKEN);
    let in_use: Vec<usize> = (1..LANGUAGES.len()).filter(in_use).collect();
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
            if in_use.contains(&place) && spoken(holds, place) == 0 {
                let missing = translations(holds, place);
                if missing.len() >= SPOKEN {
                    note(raw, "SB0273", format!("the {language} words that other lists have"), missing);
                }
            }
        }
    }
    notes
}

/// A table's term, read once: there are some thousand lookups in each file.
struct Entry {
    text: &'static str,
    form: TermForm,
}

impl Entry {
    fn of(text: &'static str) -> Option<Self> {
        Some(Self { text, form: Term::parse(text).ok()?.form })
    }
}

static FORMS: LazyLock<Vec<Vec<Entry>>> =
    LazyLock::new(|| FAMILIES.iter().map(|family| family.split(' ').filter_map(Entry::of).collect()).collect());
static ROWS: LazyLock<Vec<Vec<Entry>>> =
    LazyLock::new(|| TRANSLATIONS.iter().map(|row| row.iter().copied().filter_map(Entry::of).collect()).collect());

/// What a list finds.
struct Holds {
    forms: BTreeSet<TermForm>,
    /// Those with wildcards and those that find unusual spellings.
    loose: Vec<TermForm>,
}

impl Holds {
    fn of(terms: &[Term]) -> Self {
        let forms: BTreeSet<TermForm> = terms.iter().map(|term| term.form.clone()).collect();
        let is_loose = |form: &&TermForm| match form {
            TermForm::Phrase(words) => words.iter().any(|word| word.word().is_none()),
            TermForm::Fuzzy(_) => true,
            _ => false,
        };
        let loose = forms.iter().filter(is_loose).cloned().collect();
        Self { forms, loose }
    }

    /// Whether the list finds every post with what the form finds.
    fn finds(&self, form: &TermForm) -> bool {
        if self.forms.contains(form) {
            return true;
        }
        let TermForm::Phrase(words) = form else { return false };
        let lengths = 1..=words.len();
        let mut stretches = lengths.flat_map(|length| words.windows(length));
        let in_loose = |row: &[Pattern]| self.loose.iter().any(|loose| is_found_by(row, loose));
        stretches.any(|row| self.forms.contains(&TermForm::Phrase(row.into())) || in_loose(row))
    }
}

/// Whether a form finds exactly these words.
fn is_found_by(words: &[Pattern], form: &TermForm) -> bool {
    let mut words = words.iter().map(Pattern::as_str);
    match form {
        TermForm::Phrase(patterns) => {
            patterns.len() == words.len() && patterns.iter().zip(words).all(|(pattern, word)| pattern.finds(word))
        }
        TermForm::Fuzzy(parts) => parts.len() == words.len() && parts.iter().all(|part| words.next() == Some(part)),
        _ => false,
    }
}

/// Forms of a list's words that it does not find.
fn forms(holds: &Holds) -> Vec<String> {
    let known = FORMS.iter().filter(|family| family.iter().any(|entry| holds.forms.contains(&entry.form)));
    known.flatten().filter(|entry| !holds.finds(&entry.form)).map(|entry| entry.text.to_owned()).collect()
}

/// A long form of the list, its short forms that the list lacks, and what else they mean.
fn abbreviations(holds: &Holds) -> Vec<(&'static str, Vec<String>, Option<&'static str>)> {
    let finds = |text: &'static str| Entry::of(text).is_none_or(|entry| holds.finds(&entry.form));
    let names = |text: &'static str| Entry::of(text).is_some_and(|entry| holds.forms.contains(&entry.form));
    let mut found = Vec::new();
    for (long, short) in ABBREVIATIONS {
        let Some(long) = long.iter().find(|long| names(long)) else { continue };
        let lacking = || short.iter().filter(|short| !finds(short.text));
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
    ROWS.iter().filter_map(|row| own(row, language)).filter(|entry| holds.finds(&entry.form)).count()
}

/// The word of a language, when it is not English as well.
fn own(row: &[Entry], language: usize) -> Option<&Entry> {
    let english = row.first()?;
    row.get(language).filter(|entry| entry.form != english.form)
}

/// What the English words of a list are in a language; none when it has few.
fn translations(holds: &Holds, language: usize) -> Vec<String> {
    let is_known = |row: &&Vec<Entry>| row.first().is_some_and(|english| holds.forms.contains(&english.form));
    let words: BTreeSet<&str> =
        ROWS.iter().filter(is_known).filter_map(|row| own(row, language)).map(|entry| entry.text).collect();
    words.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_of_the_tables_is_a_term() {
        assert!(ROWS.iter().all(|row| row.len() == LANGUAGES.len()));
        let forms: usize = FORMS.iter().map(Vec::len).sum();
        assert_eq!(forms, FAMILIES.iter().map(|family| family.split(' ').count()).sum::<usize>());
    }

    #[test]
    fn a_list_finds_what_its_wildcards_and_phrases_find() {
        let terms = |texts: &[&str]| texts.iter().map(|text| Term::parse(text).unwrap()).collect::<Vec<_>>();
        let holds = Holds::of(&terms(&["evacuat*", "gun", "emergency room"]));
        for (text, found) in [("evacuated", true), ("a gun", true), ("room", false), ("the emergency room", true)] {
            assert_eq!(holds.finds(&Term::parse(text).unwrap().form), found, "{text}");
        }
        let fuzzy = Holds::of(&[Term::parse("gun man").unwrap().fuzzy()]);
        assert!(fuzzy.finds(&Term::parse("gun man").unwrap().form));
    }
}
