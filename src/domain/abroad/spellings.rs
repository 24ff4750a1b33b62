//! How a word of ours may stand in a post over there.
//!
//! Here `brigids` finds “Brigid’s”, because apostrophes vanish; there a word ends at one. Here `medecin` finds
//! “médecin”; there it does not. So a word is asked for as it was written, without its accents, and with the
//! apostrophes that people put into it.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::widen::Wide;
use crate::domain::text::Words;

/// What people contract.
const CONTRACTED: &str = "ain't aren't can't couldn't didn't doesn't don't hadn't hasn't haven't isn't mustn't needn't \
    shouldn't wasn't weren't won't wouldn't i'm i've i'll i'd you're you've you'll you'd we're we've we'll we'd \
    they're they've they'll they'd he'll he'd she'll she'd it'll it'd that'll who're who've";
/// Ways to write a phrase that are asked for one by one; with more, its words are asked for.
const MOST_WAYS: usize = 8;
/// Words that X would take for its own.
const RESERVED: [&str; 3] = ["or", "and", "not"];

/// All ways in which words may stand one after the other, and the hashtag they make. `words` are folded, `written` is
/// the same by its author.
pub(super) fn spellings(words: &[&str], written: &str, joined: Option<&str>) -> Wide {
    let written = as_written(written).filter(|written| written.len() == words.len());
    let ways: Vec<Vec<String>> = words
        .iter()
        .enumerate()
        .map(|(place, word)| ways_of(word, written.as_ref().and_then(|written| written.get(place))))
        .collect();
    let count = ways.iter().fold(1_usize, |count, ways| count.saturating_mul(ways.len()));
    let tag = joined.map(|joined| Wide::word(format!("#{joined}")));
    if count > MOST_WAYS {
        let each = ways.into_iter().map(|ways| Wide::any(ways.into_iter().map(|way| Wide::word(quoted(&way)))));
        return Wide::any([Some(Wide::all(each.collect::<Vec<_>>())), tag].into_iter().flatten());
    }
    let phrases = ways.into_iter().fold(vec![String::new()], |phrases, ways| {
        let longer = |phrase: &String| ways.iter().map(|way| format!("{phrase} {way}")).collect::<Vec<_>>();
        phrases.iter().flat_map(longer).collect()
    });
    Wide::any(phrases.iter().map(|phrase| Wide::word(quoted(phrase.trim_start()))).chain(tag))
}

/// The words as their author wrote them, in lower case and with straight apostrophes.
fn as_written(text: &str) -> Option<Vec<String>> {
    let words = Words::of(text);
    let original = |token| text.get(words.original(0, token, token, text));
    let written = words.words().map(|(_, token)| Some(straight(original(token)?)));
    written.collect()
}

fn straight(word: &str) -> String {
    let kept = word.nfc().filter_map(|c| match c {
        '`' | '´' | '\u{2BB}' | '\u{2BC}' | '\u{2018}' | '\u{2019}' | '\u{201B}' | '\u{2032}' | '\u{FF07}' => {
            Some('\'')
        }
        c => (c.is_alphanumeric() || is_combining_mark(c) || c == '\'').then_some(c),
    });
    kept.collect::<String>().to_lowercase()
}

fn ways_of(word: &str, written: Option<&String>) -> Vec<String> {
    let mut ways = vec![word.to_owned()];
    let accented = written.map(|written| written.replace('\'', ""));
    ways.extend(accented);
    ways.extend(written.cloned().filter(|written| written.contains('\'')));
    for known in ways.clone() {
        // “patient’s”, as somebody's own or as “patient is”.
        let own = known.strip_suffix('s').filter(|owner| owner.chars().count() > 1 && !owner.ends_with(['s', '\'']));
        ways.extend(own.map(|owner| format!("{owner}'s")));
        ways.extend(CONTRACTED.split_whitespace().find(|full| full.replace('\'', "") == known).map(str::to_owned));
    }
    let mut seen = std::collections::BTreeSet::new();
    ways.retain(|way| !way.is_empty() && seen.insert(way.clone()));
    ways
}

fn quoted(phrase: &str) -> String {
    let is_plain = phrase.chars().all(|c| c.is_ascii_alphanumeric());
    if is_plain && !RESERVED.contains(&phrase) { phrase.to_owned() } else { format!("\"{phrase}\"") }
}
