//! Characters: what each becomes when text is folded.
//!
//! Compatibility form (NFKC), lower case, accents off; letters that Unicode does not
//! decompose are spelt as people type them. Each character folds by itself, so what becomes
//! of it is worked out once and then looked up. Rejected: asking Unicode's tables every time, which cost
//! more than all the rest of reading a post.

use std::iter;

use unicode_normalization::char::{compose, is_combining_mark};
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfkd_quick};

use super::pages::{PAGE, Pages};

/// What a folded character does to the word it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Not part of any word.
    Separator,
    /// A letter or digit.
    Word,
    /// A word by itself: scripts without spaces, emoji.
    Alone,
    /// Part of the word it follows, never its beginning: vowel signs of Indic scripts.
    Mark,
    /// Makes a voiced kana of the one before.
    Voicing,
    /// A Korean letter, put together with the one before.
    Jamo,
    /// Invisible, or a mark that makes no other word.
    Ignored,
    /// Becomes several characters of different classes, see [`folded`].
    Several,
}

/// A folded character.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    bytes: [u8; 6],
    length: u8,
    pub(super) class: Class,
}

impl Entry {
    const NOTHING: Self = Self { bytes: [0; 6], length: 0, class: Class::Ignored };

    /// What stands for it in folded text, all of its class.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Appends what stands for it: all there is room for, and what is too much off again,
    /// which is faster than to copy a number of bytes that is not known before.
    #[inline]
    pub(super) fn append_to(self, text: &mut Vec<u8>) {
        let length = text.len() + usize::from(self.length);
        text.extend_from_slice(&self.bytes);
        text.truncate(length);
    }
}

/// Neighbouring characters.
pub(super) struct Page {
    entries: [Entry; PAGE],
    long: Vec<(char, Vec<(char, Class)>)>,
}

/// A folded character, and its parts if its class is [`Class::Several`].
pub(super) fn folded(character: char) -> (Entry, &'static [(char, Class)]) {
    static FOLDED: Pages<Page> = Pages::new();
    let Some((page, place)) = FOLDED.page(character, Page::work_out) else { return (Entry::NOTHING, &[]) };
    let entry = page.entries.get(place).copied().unwrap_or(Entry::NOTHING);
    if entry.class == Class::Several {
        let parts = page.long.iter().find(|(of, _)| *of == character);
        return (entry, parts.map_or(&[], |(_, parts)| parts));
    }
    (entry, &[])
}

impl Page {
    fn work_out(characters: &[Option<char>; PAGE]) -> Self {
        let mut long = Vec::new();
        let entries = characters.map(|character| {
            let Some(character) = character else { return Entry::NOTHING };
            let parts = fold(character);
            entry(&parts).unwrap_or_else(|| {
                long.push((character, parts));
                Entry { class: Class::Several, ..Entry::NOTHING }
            })
        });
        Self { entries, long }
    }
}

/// Parts of one class, short enough for the table.
fn entry(parts: &[(char, Class)]) -> Option<Entry> {
    let Some(&(_, class)) = parts.first() else { return Some(Entry::NOTHING) };
    let mut entry = Entry { class, ..Entry::NOTHING };
    let alike = parts.iter().all(|(_, other)| *other == class) && (parts.len() == 1 || class == Class::Word);
    let mut length = 0;
    for (part, _) in parts.iter().filter(|_| alike) {
        part.encode_utf8(entry.bytes.get_mut(length..length + part.len_utf8())?);
        length += part.len_utf8();
    }
    entry.length = u8::try_from(length).ok()?;
    alike.then_some(entry)
}

/// What a character becomes, worked out from Unicode's tables.
fn fold(character: char) -> Vec<(char, Class)> {
    let mut parts = Vec::new();
    if is_invisible(character) {
        return parts;
    }
    if let Some(folded) = without_decomposition(character) {
        parts.extend(folded.chars().map(|part| (part, Class::Word)));
        return parts;
    }
    // Compatibility forms first (full-width, ligatures, squared), then accents.
    for whole in character.nfkc() {
        if matches!(whole, '가'..='힣') {
            parts.push((whole, Class::Word)); // what its letters would be put together to
        } else if class(whole) == Class::Word && is_nfkd_quick(iter::once(whole)) != IsNormalized::Yes {
            whole.nfkd().for_each(|part| fold_part(part, &mut parts));
        } else {
            fold_part(whole, &mut parts);
        }
    }
    parts
}

fn fold_part(part: char, parts: &mut Vec<(char, Class)>) {
    match class(part) {
        Class::Ignored => {}
        Class::Word if part.is_alphanumeric() => {
            for lower in part.to_lowercase().filter(|lower| class(*lower) == Class::Word) {
                match without_decomposition(lower) {
                    Some(folded) => parts.extend(folded.chars().map(|part| (part, Class::Word))),
                    None if is_combining_mark(lower) => parts.push((lower, Class::Mark)),
                    None => parts.push((lower, Class::Word)),
                }
            }
        }
        Class::Word if is_combining_mark(part) => parts.push((part, Class::Mark)),
        Class::Word => parts.push((part, Class::Separator)),
        class => parts.push((part, class)),
    }
}

/// Ranges by the Unicode Character Database's blocks; `Word` stands for all that is decided
/// by the character itself.
fn class(character: char) -> Class {
    if is_invisible(character) {
        return Class::Ignored;
    }
    match u32::from(character) {
        // accents of Latin, Greek, Cyrillic; points of Hebrew and Arabic; Arabic tatweel
        0x300..=0x36F | 0x483..=0x487 | 0x591..=0x5BD | 0x5BF | 0x5C1 | 0x5C2 | 0x5C4 | 0x5C5 | 0x5C7
        | 0x610..=0x61A | 0x640 | 0x64B..=0x65F | 0x670 | 0x6D6..=0x6DC | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF
        | 0x20D0..=0x20FF | 0xFE20..=0xFE2F => Class::Ignored,
        // Thai, Lao, Myanmar, Khmer, kana, Han
        0xE01..=0xE5B | 0xE81..=0xEDF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3005..=0x3007 | 0x3041..=0x3098 | 0x309B..=0x30FA
        | 0x30FC..=0x30FF | 0x31F0..=0x31FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0xFF66..=0xFF9F
        | 0x20000..=0x3FFFF
        // emoji and pictographs
        | 0x2300..=0x23FF | 0x2600..=0x27BF | 0x2B00..=0x2BFF | 0x1F000..=0x1F0FF | 0x1F18E | 0x1F1E6..=0x1FAFF => Class::Alone,
        0x3099 | 0x309A => Class::Voicing,
        0x1100..=0x11FF | 0xD7B0..=0xD7FF => Class::Jamo,
        _ => Class::Word,
    }
}

/// Characters nobody sees or means: they change neither a word nor how it is spelt.
pub(super) fn is_invisible(character: char) -> bool {
    match u32::from(character) {
        // soft hyphen, grapheme joiner, zero-width and direction marks, variation selectors, tags, skin tones
        0xAD
        | 0x34F
        | 0x61C
        | 0x180B..=0x180F
        | 0x200B..=0x200F
        | 0x202A..=0x202E
        | 0x2060..=0x206F
        | 0xFE00..=0xFE0F
        | 0xFEFF
        | 0x1F3FB..=0x1F3FF
        | 0xE0000..=0xE0FFF => true,
        _ => is_apostrophe(character),
    }
}

/// The apostrophes people type, straight, curly and wrong.
pub(super) const fn is_apostrophe(character: char) -> bool {
    matches!(
        character,
        '\'' | '`' | '´' | '\u{2BB}' | '\u{2BC}' | '\u{2018}' | '\u{2019}' | '\u{201B}' | '\u{2032}' | '\u{FF07}'
    )
}

/// The most written characters that stand for themselves alone: kana and Han.
pub(super) const fn is_plain_alone(character: char) -> bool {
    matches!(character, 'ぁ'..='ゖ' | 'ァ'..='ヺ' | '一'..='鿿')
}

/// What two characters that follow each other are together.
pub(super) fn join(last: char, character: char) -> Option<char> {
    compose(last, character)
}

/// Letters that Unicode does not decompose and people type without.
fn without_decomposition(character: char) -> Option<&'static str> {
    Some(match character {
        'ß' | 'ẞ' => "ss",
        'ø' | 'Ø' => "o",
        'đ' | 'Đ' | 'ð' | 'Ð' => "d",
        'ł' | 'Ł' => "l",
        'ħ' | 'Ħ' => "h",
        'ı' => "i",
        'þ' | 'Þ' => "th",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'ς' => "σ",
        _ => return None,
    })
}
