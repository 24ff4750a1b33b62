//! Other ways to write a hospital's name.

use std::collections::BTreeSet;

use crate::domain::diagnostic::Diagnostic;
use crate::domain::organization::Organization;
use crate::domain::query::Lists;
use crate::domain::query::names::Doubt;
use crate::domain::query::term::{Pattern, Term, TermForm};
use crate::domain::text::Words;

/// Words of names that people replace.
const REPLACED: &[(&[&str], &[&str])] = &[
    (&["st"], &["Saint"]),
    (&["saint"], &["St"]),
    (&["ste"], &["Sainte"]),
    (&["sainte"], &["Ste"]),
    (&["mount"], &["Mt"]),
    (&["mt"], &["Mount"]),
    (&["medical", "center"], &["Med Center", "Medical Centre"]),
    (&["medical", "centre"], &["Med Centre", "Medical Center"]),
    (&["university"], &["Uni", "Univ"]),
    (&["hospital"], &["Hosp"]),
];
/// Words that say what kind of house it is, and without which the name may be another's.
const KINDS: &[&[&str]] =
    &[&["hospital"], &["medical", "center"], &["medical", "centre"], &["health", "system"], &["clinic"]];
/// Initials shorter than this are in every post.
const INITIALS: usize = 3;

/// A note about the ways of writing the name that `$org` does not find, and one about
/// those that others have, too.
pub fn names(organization: &Organization) -> Vec<Diagnostic> {
    let lists = Lists::of(organization);
    let known: Vec<Vec<String>> =
        lists.get("org").map(|org| org.terms.iter().filter_map(phrase).collect()).unwrap_or_default();
    let is_found =
        |words: &[String]| known.iter().any(|name| words.windows(name.len()).any(|row| row == name.as_slice()));
    let (mut sure, mut doubtful) = (BTreeSet::new(), BTreeSet::new());
    for name in organization.names() {
        let written: Vec<&str> = name.split_whitespace().collect();
        sure.extend(replaced(&written));
        doubtful.extend(shortened(&written));
    }
    let initials = initials(&organization.name);
    doubtful.extend(initials);
    let missing = |names: BTreeSet<String>| -> Vec<String> {
        let words = |name: &String| Term::parse(name).ok().and_then(|term| phrase(&term)).unwrap_or_default();
        let mut seen = BTreeSet::new();
        names.into_iter().filter(|name| !is_found(&words(name)) && seen.insert(words(name))).collect()
    };
    let (sure, doubtful) = (missing(sure), missing(doubtful));
    let mut notes = Vec::new();
    let quoted = |names: &[String]| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    if !sure.is_empty() {
        let note = Diagnostic::note("SB0272", format!("people may write {} otherwise", organization.name));
        notes.push(note.help(format!("consider {} for `aliases` in [organization]", quoted(&sure))));
    }
    if !doubtful.is_empty() {
        let message = format!("people may shorten {} to a name that others have, too", organization.name);
        let help = format!("{}: add to `aliases` only what nobody else near you is called", quoted(&doubtful));
        notes.push(Diagnostic::note("SB0272", message).help(help));
    }
    notes.extend(organization.names().filter_map(doubt));
    notes
}

/// A name that may be somebody else's, or nobody's.
fn doubt(name: &str) -> Option<Diagnostic> {
    let kinds = KINDS.iter().map(|kind| kind.join(" "));
    let folded = Words::of(name).normalised(0).to_owned();
    let bare = kinds.filter_map(|kind| folded.strip_suffix(&kind)).map(str::trim).find(|bare| !bare.is_empty());
    let (message, help) = match (Doubt::about(name), bare.and_then(Doubt::about)) {
        (Some(_), _) => (
            format!("{name} is a word that people use for other things, too"),
            "$org takes it everywhere; $org_guarded, which the built-in packs ask for, only where it must be the \
             hospital, as in \"NAME hospital\" or \"at NAME\": fuller names in `aliases` are found more often",
        ),
        (None, Some(Doubt::Generic)) => (
            format!("many hospitals are called {name}"),
            "posts about all of them are taken: name it as people elsewhere do, with its town",
        ),
        (None, _) => return None,
    };
    Some(Diagnostic::note("SB0274", message).help(help.replace("NAME", name)))
}

/// The folded words of a name.
fn phrase(term: &Term) -> Option<Vec<String>> {
    let TermForm::Phrase(words) = &term.form else { return None };
    words.iter().map(|pattern| Pattern::word(pattern).map(str::to_owned)).collect()
}

/// The name with one of its words written otherwise.
fn replaced(written: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    for (from, to) in REPLACED {
        for at in places(written, from) {
            names.extend(to.iter().map(|to| with(written, at, from.len(), Some(to))));
        }
    }
    names
}

/// The name without what kind of house it is, and without its possessive.
fn shortened(written: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    for kind in KINDS {
        let without = places(written, kind).map(|at| with(written, at, kind.len(), None));
        // One word alone is a word, not a name.
        names.extend(without.filter(|name| name.split(' ').count() > 1));
    }
    let possessive = |word: &&&str| ["'s", "’s"].iter().any(|end| word.ends_with(end));
    if let Some(word) = written.iter().find(possessive) {
        let plain = word.trim_end_matches("'s").trim_end_matches("’s");
        let plain = written.iter().map(|one| if one == word { plain } else { one });
        names.push(plain.collect::<Vec<_>>().join(" "));
    }
    names
}

fn initials(name: &str) -> Option<String> {
    let small = ["of", "the", "and", "de", "la", "del", "di", "der", "für", "at", "for"];
    let words = name.split_whitespace().filter(|word| !small.contains(&word.to_lowercase().as_str()));
    let letters: String = words.filter_map(|word| word.chars().find(|c| c.is_alphabetic())).collect();
    let letters = letters.to_uppercase();
    (letters.chars().count() >= INITIALS).then_some(letters)
}

/// Where folded words stand in a row.
fn places<'a>(written: &'a [&'a str], words: &'a [&'a str]) -> impl Iterator<Item = usize> + 'a {
    let fits = move |row: &[&str]| {
        row.iter().zip(words).all(|(written, word)| {
            let folded = Words::of(written);
            let mut folded = folded.words();
            folded.next().is_some_and(|(first, _)| first == *word) && folded.next().is_none()
        })
    };
    written.windows(words.len()).enumerate().filter(move |(_, row)| fits(row)).map(|(at, _)| at)
}

/// The words with a stretch of them replaced.
fn with(written: &[&str], at: usize, length: usize, by: Option<&str>) -> String {
    let (before, rest) = written.split_at(at.min(written.len()));
    let after = rest.get(length..).unwrap_or_default();
    before.iter().copied().chain(by).chain(after.iter().copied()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(name: &str, aliases: &[&str]) -> Vec<String> {
        let aliases = aliases.iter().map(|&alias| alias.to_owned()).collect();
        let organization = Organization { aliases, ..Organization::named(name) };
        names(&organization).into_iter().filter_map(|note| note.help).collect()
    }

    #[test]
    fn names_are_written_in_many_ways() {
        assert_eq!(
            help("St. Brigid's Hospital", &[]),
            [
                "consider \"Saint Brigid's Hospital\", \"St. Brigid's Hosp\" for `aliases` in [organization]",
                "\"SBH\", \"St. Brigid Hospital\", \"St. Brigid's\": add to `aliases` only what nobody else near you is called",
            ]
        );
        assert_eq!(help("Mercy General", &[]), [""; 0]);
    }

    #[test]
    fn a_name_that_says_little_is_told_of() {
        let codes = |name: &str| names(&Organization::named(name)).iter().filter(|note| note.code == "SB0274").count();
        for (name, notes) in [("Mercy", 1), ("A", 1), ("Children's Hospital", 1), ("Mercy General", 0), ("Charité", 0)]
        {
            assert_eq!(codes(name), notes, "{name}");
        }
    }

    #[test]
    fn what_an_alias_finds_is_not_proposed() {
        assert_eq!(
            help("St. Brigid's Hospital", &["St Brigids", "Saint Brigid's"]),
            [
                "\"SBH\", \"Saint Brigid\", \"St. Brigid Hospital\": add to `aliases` only what nobody else near you is called"
            ]
        );
    }
}
