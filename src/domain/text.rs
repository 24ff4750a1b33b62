//! Words: how text is folded before it is compared.
//!
//! A post and a query's terms go through the same function, so that a term finds
//! what a person would call the same word: case, accents, full-width forms,
//! apostrophes, zero-width characters and soft hyphens make no difference.
//! Scripts written without spaces (Chinese, Japanese, Thai …) and emoji give one
//! word per character; a term of them is then a phrase, that is, a substring.
//!
//! Every word keeps its place in the original, so that it can be shown marked.
//! Stemming is not done here: endings are the rule author's decision, not ours.

use std::iter;
use std::ops::Range;

use unicode_normalization::char::{compose, is_combining_mark};
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfkc_quick, is_nfkd_quick};

use super::post::Excerpt;

/// The words of one post (or one term), in order. Buffers are reused.
#[derive(Clone, Debug, Default)]
pub struct Words {
    folded: String,
    list: Vec<Word>,
    segments: usize,
}

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its folded form, in the buffer of [`Words`].
    folded: Range<usize>,
    /// Its bytes in the segment it comes from.
    pub original: Range<usize>,
    /// 0 is the text, then the media descriptions in order.
    pub segment: usize,
}

impl Words {
    /// Reads a post: its text, then each media description, as segments of their own
    /// that no phrase crosses.
    pub fn read(&mut self, excerpt: &Excerpt) {
        self.clear();
        excerpt.texts.iter().for_each(|text| self.add_segment(text));
    }

    /// The words of one text.
    pub fn of(text: &str) -> Self {
        let mut words = Self::default();
        words.add_segment(text);
        words
    }

    /// Forgets everything but the buffers.
    pub fn clear(&mut self) {
        self.folded.clear();
        self.list.clear();
        self.segments = 0;
    }

    /// The words in order, with their folded forms.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Word)> {
        self.list.iter().map(|word| (self.folded.get(word.folded.clone()).unwrap_or_default(), word))
    }

    /// Appends a text after all others.
    pub fn add_segment(&mut self, text: &str) {
        let mut folder = Folder { segment: self.segments, words: self, open: None };
        for (at, character) in text.char_indices() {
            folder.read(at, character);
        }
        folder.close();
        self.segments += 1;
    }
}

/// Builds words one character at a time.
struct Folder<'a> {
    segment: usize,
    words: &'a mut Words,
    /// The word being read: where it began in the buffer, and its original so far.
    open: Option<(usize, Range<usize>)>,
}

impl Folder<'_> {
    fn read(&mut self, at: usize, character: char) {
        if character.is_ascii() {
            match character {
                'a'..='z' | '0'..='9' => self.push(at, 1, character),
                'A'..='Z' => self.push(at, 1, character.to_ascii_lowercase()),
                '\'' | '`' => {} // don't = dont
                _ => self.close(),
            }
            return;
        }
        let length = character.len_utf8();
        if let Some(folded) = without_decomposition(character) {
            folded.chars().for_each(|piece| self.push(at, length, piece));
        } else if is_plain(character) || is_nfkc_quick(iter::once(character)) == IsNormalized::Yes {
            self.read_whole(at, length, character);
        } else {
            // Compatibility forms first (full-width, ligatures, squared), then accents.
            character.nfkc().for_each(|whole| self.read_whole(at, length, whole));
        }
    }

    /// Reads a character that is its own compatibility form.
    fn read_whole(&mut self, at: usize, length: usize, whole: char) {
        if class(whole) == Class::Other && is_nfkd_quick(iter::once(whole)) != IsNormalized::Yes {
            whole.nfkd().for_each(|piece| self.read_piece(at, length, piece));
        } else {
            self.read_piece(at, length, whole);
        }
    }

    /// Reads one piece of a character, decomposed where that matters.
    fn read_piece(&mut self, at: usize, length: usize, piece: char) {
        match class(piece) {
            Class::Ignored => {}
            Class::Alone => {
                self.close();
                self.push(at, length, piece);
                self.close();
            }
            Class::Voicing => self.voice(at + length, piece),
            Class::Hangul => self.push_hangul(at, length, piece),
            Class::Other if piece.is_alphanumeric() => {
                for lower in piece.to_lowercase() {
                    match without_decomposition(lower) {
                        Some(folded) => folded.chars().for_each(|piece| self.push(at, length, piece)),
                        None => self.push(at, length, lower),
                    }
                }
            }
            // Vowel signs of Indic scripts are part of the word, never its beginning.
            Class::Other if is_combining_mark(piece) => {
                if self.open.is_some() {
                    self.push(at, length, piece);
                }
            }
            Class::Other => self.close(),
        }
    }

    /// A voicing mark after half-width kana belongs to the kana before it.
    fn voice(&mut self, end: usize, mark: char) {
        self.close();
        if self.words.list.last().is_none_or(|word| word.segment != self.segment) {
            return;
        }
        let Some(voiced) = self.words.folded.chars().next_back().and_then(|last| compose(last, mark)) else { return };
        self.words.folded.pop();
        self.words.folded.push(voiced);
        if let Some(word) = self.words.list.last_mut() {
            word.original.end = end;
        }
    }

    /// Hangul stays as it is; conjoining letters are put together first.
    fn push_hangul(&mut self, at: usize, length: usize, character: char) {
        let joined = self.open.is_some().then(|| self.words.folded.chars().next_back()).flatten();
        match joined.and_then(|last| compose(last, character)) {
            Some(syllable) => {
                self.words.folded.pop();
                self.push(at, length, syllable);
            }
            None => self.push(at, length, character),
        }
    }

    fn push(&mut self, at: usize, length: usize, folded: char) {
        let (_, original) = self.open.get_or_insert((self.words.folded.len(), at..at));
        original.end = at + length;
        self.words.folded.push(folded);
    }

    fn close(&mut self) {
        if let Some((start, original)) = self.open.take() {
            let folded = start..self.words.folded.len();
            self.words.list.push(Word { folded, original, segment: self.segment });
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Invisible, or a mark that makes no other word.
    Ignored,
    /// A word by itself.
    Alone,
    /// Makes a voiced kana of the one before.
    Voicing,
    /// Korean syllables and their letters.
    Hangul,
    /// Decided after decomposition.
    Other,
}

/// Ranges by the Unicode Character Database's blocks.
fn class(character: char) -> Class {
    match u32::from(character) {
        // soft hyphen, grapheme joiner, zero-width and direction marks, variation selectors, tags, skin tones
        0xAD | 0x34F | 0x61C | 0x180B..=0x180F | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F
        | 0xFE00..=0xFE0F | 0xFEFF | 0x1F3FB..=0x1F3FF | 0xE0000..=0xE0FFF
        // curly and other apostrophes
        | 0xB4 | 0x2BB | 0x2BC | 0x2018 | 0x2019 | 0x201B | 0x2032 | 0xFF07
        // accents of Latin, Greek, Cyrillic; points of Hebrew and Arabic; Arabic tatweel
        | 0x300..=0x36F | 0x483..=0x487 | 0x591..=0x5BD | 0x5BF | 0x5C1 | 0x5C2 | 0x5C4 | 0x5C5 | 0x5C7
        | 0x610..=0x61A | 0x640 | 0x64B..=0x65F | 0x670 | 0x6D6..=0x6DC | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF
        | 0x20D0..=0x20FF | 0xFE20..=0xFE2F => Class::Ignored,
        // Thai, Lao, Myanmar, Khmer, kana, Han
        0xE01..=0xE5B | 0xE81..=0xEDF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3005..=0x3007 | 0x3041..=0x3098 | 0x309B..=0x30FA
        | 0x30FC..=0x30FF | 0x31F0..=0x31FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0xFF66..=0xFF9F
        | 0x20000..=0x3FFFF
        // emoji and pictographs
        | 0x2600..=0x27BF | 0x2B00..=0x2BFF | 0x1F000..=0x1F0FF | 0x1F18E | 0x1F1E6..=0x1FAFF => Class::Alone,
        0x3099 | 0x309A => Class::Voicing,
        0x1100..=0x11FF | 0xAC00..=0xD7FF => Class::Hangul,
        _ => Class::Other,
    }
}

/// The most written characters that are their own compatibility forms: kana, Han, Hangul.
/// Asking Unicode's tables costs more than all the rest of reading one.
const fn is_plain(character: char) -> bool {
    matches!(character, 'ぁ'..='ゖ' | 'ァ'..='ヺ' | '一'..='鿿' | '가'..='힣')
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        Words::of(text).iter().map(|(word, _)| word.to_owned()).collect()
    }

    #[test]
    fn what_people_call_the_same_word_is_the_same() {
        for (text, expected) in [
            ("St. Brigid's ER", vec!["st", "brigids", "er"]),
            ("ST BRIGID’S", vec!["st", "brigids"]),
            ("don't don’t dont", vec!["dont", "dont", "dont"]),
            ("Café CAFE\u{301}", vec!["cafe", "cafe"]),
            ("straße STRASSE Łódź", vec!["strasse", "strasse", "lodz"]),
            ("ｇｕｎｍａｎ 𝐠𝐮𝐧𝐦𝐚𝐧 gun\u{200b}man gun\u{ad}man", vec!["gunman", "gunman", "gunman", "gunman"]),
            ("İstanbul ISTANBUL", vec!["istanbul", "istanbul"]),
            ("covid-19 #code_silver", vec!["covid", "19", "code", "silver"]),
            ("ΟΔΟΣ οδός", vec!["οδοσ", "οδοσ"]),
            ("病院で", vec!["病", "院", "で"]),
            ("ｶﾞﾗｽ ガラス", vec!["ガ", "ラ", "ス", "ガ", "ラ", "ス"]),
            ("fire🔥🔥", vec!["fire", "🔥", "🔥"]),
            ("👮🏽\u{200d}♀\u{fe0f}", vec!["👮", "♀"]),
            ("한국 한국", vec!["한국", "한국"]),
            ("हिन्दी में", vec!["हिन्दी", "में"]),
            ("…!? —", vec![]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn every_word_points_at_its_original() {
        let text = "At St. Brigid’s: GUNMAN 🔥";
        let words = Words::of(text);
        let originals: Vec<_> = words.iter().filter_map(|(_, word)| text.get(word.original.clone())).collect();
        assert_eq!(originals, ["At", "St", "Brigid’s", "GUNMAN", "🔥"]);
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing_and_places_are_valid(text in "\\PC{0,60}") {
            let once = words(&text);
            let twice = words(&once.join(" "));
            prop_assert_eq!(&once, &twice);
            for (folded, word) in Words::of(&text).iter() {
                prop_assert!(!folded.is_empty());
                prop_assert!(text.get(word.original.clone()).is_some_and(|original| !original.is_empty()));
            }
        }
    }
}
