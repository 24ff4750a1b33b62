//! Strangers' text without what tells who a patient is or how to reach somebody: e-mail addresses, telephone numbers,
//! numbers of records, dates of birth.
//!
//! For what leaves the house. It knows forms, not meanings: a name is not found, nor a number in words. Where a form is
//! doubtful the digits go: a date or count that is missing in a chat can be read in the console, a patient's number that
//! is in it cannot be taken back. Accounts (`@ann@mastodon.example`) are not addresses and stay.

use std::borrow::Cow;
use std::sync::{LazyLock, Mutex, PoisonError};

use regex_automata::util::syntax;
use regex_automata::{Input, meta};

use super::harmless::is_hidden;

/// Each form and what stands in its place. Of two that begin at the same place the earlier counts. Every match has a digit,
/// an `@` or an `(at)` and no mark has, so that replacing ends.
const FORMS: [(&str, &str); 11] = [
    (
        r"\b(?:d\.? ?o\.? ?b\b\.?|dates? of birth|birth ?date|birthday|born(?: on)?|geb(?:oren|\.)?(?: am)?|geburtsdatum|née? le|date de naissance|nacid[oa](?: el)?|fecha de nacimiento)\W{0,4}(?:(?:is|was|on) )?(?:\p{Nd}{1,4}[./\- –]{1,2}\p{Nd}{1,2}[./\- –]{1,2}\p{Nd}{1,4}|\p{Nd}{1,2}(?:st|nd|rd|th)?\.? (?:of )?\p{L}{3,12}\.?,? \p{Nd}{2,4}|\p{L}{3,12}\.? \p{Nd}{1,2}(?:st|nd|rd|th)?,? \p{Nd}{2,4})",
        "[date of birth]",
    ),
    (
        r"\b(?:mrn|medical record(?: number| no\.?)?|(?:patient|chart|record|hospital|nhs|insurance)(?: |-)?(?:id|numbers?|no\.?|nr\.?|#)|patientennummer|fallnummer|versichertennummer|ssn|social security(?: number)?)[\s:#=.\-]{0,4}(?:(?:is|was) )?#?\p{L}{0,4}-?\p{Nd}(?:[ \-./]?\p{Nd}){3,15}",
        "[record number]",
    ),
    (r"[\p{L}\p{Nd}._%+\-]+[@＠][\p{L}\p{Nd}\-]+(?:\.[\p{L}\p{Nd}\-]+)+", EMAIL),
    // Written so that programs do not find it.
    (
        r"[\p{L}\p{Nd}._%+\-]*\p{L}[\p{L}\p{Nd}._%+\-]* ?[(\[]at[)\]] ?[\p{L}\p{Nd}\-]+(?: ?(?:\.|[(\[]dot[)\]]) ?[\p{L}\p{Nd}\-]+)+",
        EMAIL,
    ),
    (
        r"\b(?:\p{Nd}{1,2}[./\-]\p{Nd}{1,2}[./\-](?:19\p{Nd}{2}|200\p{Nd})|(?:19\p{Nd}{2}|200\p{Nd})[./\-]\p{Nd}{1,2}[./\-]\p{Nd}{1,2})",
        "[date]",
    ),
    (r"\p{Nd}{3}-\p{Nd}{2}-\p{Nd}{4}", "[record number]"),
    (r"\+\p{Nd}(?:[ .\-/()\u{a0}]{0,3}\p{Nd}){7,14}", PHONE),
    (r"\(?\p{Nd}{3}\)?[ .\-/\u{a0}]{0,2}\p{Nd}{3}[ .\-\u{a0}]\p{Nd}{4}", PHONE),
    (r"\(?0\p{Nd}{1,5}\)?(?: ?/ ?| ?- ?|[ \u{a0}])\p{Nd}{2,8}(?:[ \-\u{a0}]\p{Nd}{1,6}){0,4}", TRUNK),
    (
        r"\b(?:call|phone|tel|telephone|text|dial|cell|mobile|fon|handy|tél)\W{1,3}(?:(?:me |us )?(?:at|on) )?\p{Nd}{3}[ .\-]\p{Nd}{4}",
        PHONE,
    ),
    (r"\p{Nd}{9,}|\p{Nd}{4}(?:[ \-]\p{Nd}{4}){2,4}", "[number]"),
];
const EMAIL: &str = "[email]";
const PHONE: &str = "[phone]";
/// A number with its area code: only if it is long enough, and no date.
const TRUNK: &str = "[phone] ";
/// The fewest digits of a telephone number with its area code.
const LEAST_DIGITS: usize = 8;

static ENGINE: LazyLock<Option<Engine>> = LazyLock::new(|| {
    let syntax = syntax::Config::new().case_insensitive(true);
    let forms = meta::Builder::new().syntax(syntax).build_many(&FORMS.map(|(form, _)| form)).ok()?;
    let memory = Mutex::new(forms.create_cache());
    Some(Engine { forms, memory })
});

/// The forms, and what a search needs: megabytes, so whoever searches waits for the one before. The expression itself would
/// keep that for every thread.
struct Engine {
    forms: meta::Regex,
    memory: Mutex<meta::Cache>,
}

/// The text with a mark such as `[phone]` in place of each of those. What is hidden between the digits of one goes with it.
pub fn redacted(text: &str) -> Cow<'_, str> {
    // A form that does not build is a mistake of ours, which a test finds. Until then nothing leaves.
    let Some(engine) = &*ENGINE else { return Cow::Borrowed("[…]") };
    if !text.contains(|c: char| c.is_numeric() || matches!(c, '@' | '＠' | '[' | '(')) {
        return Cow::Borrowed(text);
    }
    let seen = seen(text);
    let found = replaced(engine, &seen).or_else(|| replaced(engine, text).map(|_| seen.clone().into_owned()));
    let Some(mut found) = found else { return Cow::Borrowed(text) };
    // What stood apart may stand together now.
    while let Some(further) = replaced(engine, &found) {
        found = further;
    }
    Cow::Owned(found)
}

/// Without what nobody sees, line breaks aside.
fn seen(text: &str) -> Cow<'_, str> {
    let is_gone = |c: char| is_hidden(c) && !c.is_whitespace();
    if text.contains(is_gone) { Cow::Owned(text.replace(is_gone, "")) } else { Cow::Borrowed(text) }
}

/// The text with what was found in it replaced once; none when there is nothing.
fn replaced(engine: &Engine, text: &str) -> Option<String> {
    let mut out = String::new();
    let (mut done, mut any) = (0, false);
    let mut memory = engine.memory.lock().unwrap_or_else(PoisonError::into_inner);
    let mut rest = Input::new(text);
    while let Some(found) = engine.forms.search_with(&mut memory, &rest) {
        rest.set_start(found.end()); // no match is empty
        let Some((_, mark)) = FORMS.get(found.pattern().as_usize()) else { continue };
        let (Some(before), Some(matched)) = (text.get(..found.start()), text.get(found.range())) else { continue };
        if !counts(mark, before, matched) {
            continue;
        }
        out.push_str(text.get(done..found.start()).unwrap_or_default());
        out.push_str(mark.trim_end());
        (done, any) = (found.end(), true);
    }
    any.then(|| {
        out.push_str(text.get(done..).unwrap_or_default());
        out
    })
}

/// Whether it is what its form says.
fn counts(mark: &str, before: &str, matched: &str) -> bool {
    match mark {
        EMAIL => !before.ends_with(['@', '＠']),
        TRUNK if before.ends_with(char::is_numeric) => false,
        TRUNK => {
            let digits = matched.chars().filter(|c| c.is_numeric()).count();
            let parts = matched.split(|c: char| !c.is_numeric()).filter(|part| !part.is_empty());
            let is_date = parts.map(|part| part.chars().count()).eq([2, 2, 4]);
            digits >= LEAST_DIGITS && !is_date
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_tells_who_or_how_to_reach_them_goes() {
        for (text, left) in [
            ("write to jane.roe+x@mail.example.org, now", "write to [email], now"),
            ("Jane.Roe＠exämple.org", "[email]"),
            ("jane (at) mail (dot) example", "[email]"),
            ("jane[at]mail.example", "[email]"),
            ("mailto:jane@mail.example?subject=x", "mailto:[email]?subject=x"),
            ("call +1 (555) 010-4477 now", "call [phone] now"),
            ("(555) 010-4477, 555.010.4477, 555 010 4477, 5550104477", "[phone], [phone], [phone], [number]"),
            ("Tel. +49 711 1234-567", "Tel. [phone]"),
            ("0711/1234567 oder 0711 12345-67", "[phone] oder [phone]"),
            ("020 7946 0958; 01 42 68 53 00", "[phone]; [phone]"),
            ("text me at 555-0100", "[phone]"),
            ("５５５-０１０-４４７７", "[phone]"),
            ("555\u{200b}-010-44\u{2060}77", "[phone]"),
            ("MRN: 00-12345 was read out", "[record number] was read out"),
            ("mrn#A1234567", "[record number]"),
            ("Medical record number is 445566", "[record number]"),
            ("patient id 4455-667, Patientennummer 99 88 77", "[record number], [record number]"),
            ("SSN 078-05-1120 and 078-05-1121", "[record number] and [record number]"),
            ("DOB 3/4/61", "[date of birth]"),
            ("D.O.B.: 1961-04-03.", "[date of birth]."),
            ("born on 3rd of April 1961 here", "[date of birth] here"),
            ("born April 3, 1961", "[date of birth]"),
            ("geb. am 03.04.1961", "[date of birth]"),
            ("née le 3 avril 1961", "[date of birth]"),
            ("Jane, 03/04/1961, bed 4", "Jane, [date], bed 4"),
            ("card 4111 1111 1111 1111", "card [number]"),
        ] {
            assert_eq!(redacted(text), left, "{text}");
        }
    }

    #[test]
    fn what_a_crisis_is_told_by_stays() {
        for text in [
            "",
            "Gunman at St Brigids ER, 2 shot, 500-1000 people outside",
            "since 10:04 on 2026-11-22 (05-11-2026, 05/11/2026), room 4.12, bed 7",
            "@ann@mastodon.example says so, @brigids too",
            "at 1200 Harbor Street, 90210; ICD-10 F32.1; 3,901 posts; $1,000,000 in 24 h",
            "bus 12 34 56 leaves; level 4 (at the gate)",
            "patient no 1 is fine, 911 was called, call 911",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    /// Text rich in what the forms are made of.
    fn rich() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<String>(),
            "[0-9]{1,5}",
            "[ ./()+@:#-]{1,3}",
            "[a-c]{1,3}",
            prop::sample::select(vec![
                "MRN ",
                "DOB ",
                "born ",
                "[at]",
                "[phone]",
                "\u{200b}",
                "@",
                "jane@mail.example",
                "é",
                "٣"
            ])
            .prop_map(str::to_owned),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_is_left_that_would_be_found(text in rich()) {
            let once = redacted(&text).into_owned();
            prop_assert_eq!(redacted(&once), once.as_str());
            let engine = ENGINE.as_ref().unwrap();
            prop_assert_eq!(replaced(engine, &once), None);
            prop_assert_eq!(replaced(engine, &seen(&once)), None);
        }

        #[test]
        fn a_planted_number_or_address_is_in_nothing_that_leaves(before in "[a-zA-Z ,.!]{0,20}", after in "[ ,.!][a-zA-Z ]{0,20}") {
            for planted in ["jane.roe@mail.example", "+1 555 010 4477", "555-010-4477", "078-05-1120"] {
                let left = redacted(&format!("{before} {planted}{after}")).into_owned();
                prop_assert!(!left.contains(planted), "{left}");
            }
        }
    }
}
