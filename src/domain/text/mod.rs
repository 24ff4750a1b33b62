//! Words: how text is folded and split before it is compared.
//!
//! A post and a query's terms go through the same pass, so that a term finds what a person
//! would call the same word: case, accents, full-width forms, apostrophes, zero-width
//! characters and soft hyphens make no difference. Scripts written without spaces
//! (Chinese, Japanese, Thai …) and emoji give one word per character; a term of them is
//! then a phrase, that is, a substring. Stemming is not done here: endings are the rule
//! author's decision, not ours.
//!
//! The pass leaves three things: the *normalised text* (folded letters, separators as they
//! are), which regular expressions read; *tokens*, each a stretch of it that covers one or
//! more *positions*; and where normalised and original text part ways, so that every find
//! can be shown marked in the original. Most tokens are words at one position. A hashtag
//! is split into words (`#StBrigidsER`: st, brigids, er) and is, over the same positions,
//! a tag and the joined word as well; a mention is its words and a mention.
//!
//! Everything is in buffers that are reused: reading a post allocates nothing.

mod block;
mod fold;
mod fuzzy;
mod pages;
mod read;

pub use fuzzy::skeleton;
pub(in crate::domain) use pages::{PAGE, Pages};

use std::ops::Range;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::post::Excerpt;
use read::Reader;

/// Positions between two segments: farther than any distance a query can ask for, so that
/// nothing is near or next to anything in another segment.
const SEGMENT_GAP: u32 = 10_000;

/// The tokens of one post (or one term), in order.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// The normalised text of all segments, then spellings that stand nowhere in it.
    folded: Vec<u8>,
    tokens: Vec<Token>,
    segments: Vec<Segment>,
    shifts: Vec<Shift>,
    /// The joined words of the hashtag being read.
    runs: Vec<Token>,
    /// The next word's position.
    position: u32,
}

/// The first [`HEAD`] bytes of a word as a number, the first one lowest; 0 behind its end.
pub(in crate::domain) type Head = u128;
/// Bytes in a [`Head`].
pub(in crate::domain) const HEAD: usize = 16;

/// The head of a word.
#[inline]
pub(in crate::domain) fn head(word: &[u8]) -> Head {
    if let Some(bytes) = word.first_chunk::<HEAD>() {
        return Head::from_le_bytes(*bytes);
    }
    let mut bytes = [0; HEAD];
    bytes.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
    Head::from_le_bytes(bytes)
}

/// The head of a word's first bytes.
#[inline]
pub(in crate::domain) fn first_of(head: Head, bytes: usize) -> Head {
    head & MASKS.get(bytes).copied().unwrap_or(Head::MAX)
}

/// The bits of so many bytes.
static MASKS: [Head; HEAD] = masks();

const fn masks() -> [Head; HEAD] {
    let mut masks = [0; HEAD];
    let mut bytes = 1;
    while bytes < HEAD {
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            masks[bytes] = Head::MAX >> (8 * (HEAD - bytes));
        }
        bytes += 1;
    }
    masks
}

/// A stretch of text that a term can find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Bytes of the normalised text.
    start: u32,
    end: u32,
    /// The first position it covers; words that follow each other differ by one.
    pub position: u32,
    /// How many positions it covers.
    pub span: u16,
    /// What kind of token it is.
    pub sigil: Sigil,
}

/// The kinds of tokens; a term finds only tokens of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sigil {
    /// A word, or a hashtag's words joined.
    Word,
    /// A hashtag, without `#`.
    Tag,
    /// An account that is mentioned, without `@`.
    Mention,
    /// What an unusual spelling (`sh00ter`) probably stands for, see [`skeleton`].
    Fuzzy,
}

/// One text of a post: 0 is its text, then the media descriptions, then its tags.
#[derive(Clone, Debug)]
struct Segment {
    /// Its first word's position.
    position: u32,
    folded: Range<u32>,
    tokens: Range<u32>,
    shifts: Range<u32>,
}

/// From here on, original and normalised text differ by another number of bytes.
#[derive(Clone, Copy, Debug)]
struct Shift {
    folded: u32,
    original: u32,
}

impl Words {
    /// Reads a post: its text, then each media description, then its tags, as segments of
    /// their own that no phrase crosses.
    pub fn read(&mut self, excerpt: &Excerpt) {
        self.clear();
        excerpt.texts.iter().for_each(|text| self.add_segment(text));
        excerpt.tags.iter().for_each(|tag| self.add_tag(tag));
    }

    /// Adds what unusual spellings probably stand for; after [`Words::read`] of the same post.
    pub fn read_fuzzy(&mut self, excerpt: &Excerpt) {
        excerpt.texts.iter().enumerate().for_each(|(segment, text)| fuzzy::read(self, segment, text));
    }

    /// All that can be read of a post: its words, and what unusual spellings probably stand for.
    pub fn of_post(excerpt: &Excerpt) -> Self {
        let mut words = Self::default();
        words.read(excerpt);
        words.read_fuzzy(excerpt);
        words
    }

    /// Reads one text, as segment 0.
    pub fn read_text(&mut self, text: &str) {
        self.clear();
        self.add_segment(text);
    }

    /// The words of one text.
    pub fn of(text: &str) -> Self {
        let mut words = Self::default();
        words.add_segment(text);
        words
    }

    /// All tokens: those of each segment in order, longer ones after the words they cover.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The words alone, with their folded forms; neither tags nor what is joined.
    pub fn words(&self) -> impl Iterator<Item = (&str, &Token)> {
        let words = self.tokens.iter().filter(|token| token.sigil == Sigil::Word && token.span == 1);
        words.map(|token| (self.folded(token), token))
    }

    /// A token's folded form.
    pub fn folded(&self, token: &Token) -> &str {
        std::str::from_utf8(self.bytes(token)).unwrap_or_default()
    }

    /// A token's folded form.
    pub fn bytes(&self, token: &Token) -> &[u8] {
        self.folded.get(token.start as usize..token.end as usize).unwrap_or_default()
    }

    /// The first bytes of a token's folded form.
    pub(in crate::domain) fn head(&self, token: &Token) -> Head {
        let rest = self.folded.get(token.start as usize..).unwrap_or_default();
        let length = (token.end - token.start) as usize;
        match rest.first_chunk::<HEAD>() {
            Some(bytes) => first_of(Head::from_le_bytes(*bytes), length),
            None => head(self.bytes(token)),
        }
    }

    /// How many segments there are.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The normalised text of a segment.
    pub fn normalised(&self, segment: usize) -> &str {
        std::str::from_utf8(self.normalised_bytes(segment)).unwrap_or_default()
    }

    /// The normalised text of a segment, in UTF-8.
    pub fn normalised_bytes(&self, segment: usize) -> &[u8] {
        let Some(Segment { folded, .. }) = self.segments.get(segment) else { return &[] };
        self.folded.get(folded.start as usize..folded.end as usize).unwrap_or_default()
    }

    /// The bytes of a segment's normalised text that a token of it covers.
    pub fn place(&self, segment: usize, token: &Token) -> Range<usize> {
        let from = self.segments.get(segment).map_or(0, |segment| segment.folded.start);
        token.start.saturating_sub(from) as usize..token.end.saturating_sub(from) as usize
    }

    /// The first position of a segment; of one that is not there, a position after all others.
    pub fn position_of(&self, segment: usize) -> u32 {
        self.segments.get(segment).map_or(self.position, |segment| segment.position)
    }

    /// The tokens of a segment.
    pub fn tokens_of(&self, segment: usize) -> &[Token] {
        let Some(Segment { tokens, .. }) = self.segments.get(segment) else { return &[] };
        self.tokens.get(tokens.start as usize..tokens.end as usize).unwrap_or_default()
    }

    /// The segment a position lies in.
    pub fn segment_at(&self, position: u32) -> usize {
        self.segments.partition_point(|segment| segment.position <= position).saturating_sub(1)
    }

    /// The bytes of a segment's original text that two tokens and all between them stand for.
    pub fn original(&self, segment: usize, first: &Token, last: &Token, original: &str) -> Range<usize> {
        let Some(Segment { folded, .. }) = self.segments.get(segment) else { return 0..0 };
        self.original_bytes(segment, first.start - folded.start..last.end - folded.start, original)
    }

    /// The bytes of a segment's original text that bytes of its normalised text stand for.
    pub fn original_bytes(&self, segment: usize, normalised: Range<u32>, original: &str) -> Range<usize> {
        let Some(Segment { folded, shifts, .. }) = self.segments.get(segment) else { return 0..0 };
        let shifts = self.shifts.get(shifts.start as usize..shifts.end as usize).unwrap_or_default();
        let (start, end) = (folded.start + normalised.start, folded.start + normalised.end);
        let from = |shift: Option<&Shift>, at: u32| match shift {
            Some(shift) => (shift.original + (at - shift.folded)) as usize,
            None => (at - folded.start) as usize,
        };
        // What was left out before a stretch or after it does not belong to it.
        let before_start = shifts.partition_point(|shift| shift.folded <= start);
        let before_end = shifts.partition_point(|shift| shift.folded < end);
        let first = from(before_start.checked_sub(1).and_then(|last| shifts.get(last)), start);
        // Inside a character that became longer: the character itself.
        let first = shifts.get(before_start).map_or(first, |next| first.min(next.original.saturating_sub(1) as usize));
        let last = match shifts.get(before_end) {
            Some(shift) if shift.folded == end => shift.original as usize,
            _ => from(before_end.checked_sub(1).and_then(|last| shifts.get(last)), end),
        };
        let last = original.ceil_char_boundary(last.min(original.len()));
        let mut first = original.floor_char_boundary(first.min(last));
        // Inside the accents of such a character, too.
        while first > 0 && original.get(first..).is_some_and(|rest| rest.starts_with(is_combining_mark)) {
            first = original.floor_char_boundary(first - 1);
        }
        first..last
    }

    fn clear(&mut self) {
        self.folded.clear();
        self.tokens.clear();
        self.segments.clear();
        self.shifts.clear();
        self.position = 0;
    }

    fn add_segment(&mut self, text: &str) {
        let from = self.here();
        Reader::new(self, text).read();
        self.end_segment(&from);
    }

    /// A tag that the post carries beside its text: found as a tag only.
    fn add_tag(&mut self, tag: &str) {
        let from = self.here();
        Reader::new(self, tag).read();
        self.tokens.truncate(from.tokens.start as usize);
        let (start, end) = (from.folded.start, length(&self.folded));
        if start < end {
            self.tokens.push(Token { start, end, position: self.position, span: 1, sigil: Sigil::Tag });
        }
        self.end_segment(&from);
    }

    /// A segment that begins here.
    fn here(&self) -> Segment {
        let (folded, tokens, shifts) = (length(&self.folded), length(&self.tokens), length(&self.shifts));
        Segment { position: self.position, folded: folded..folded, tokens: tokens..tokens, shifts: shifts..shifts }
    }

    fn end_segment(&mut self, from: &Segment) {
        let here = self.here();
        self.segments.push(Segment {
            position: from.position,
            folded: from.folded.start..here.folded.end,
            tokens: from.tokens.start..here.tokens.end,
            shifts: from.shifts.start..here.shifts.end,
        });
        self.position += SEGMENT_GAP;
    }
}

/// How a word is spelt, case and accents included, for comparing exactly.
pub fn spelling(text: &str) -> String {
    text.chars().filter(|&character| !fold::is_invisible(character)).nfc().collect()
}

/// A post's buffers stay far below 4 GiB.
fn length<T>(buffer: &[T]) -> u32 {
    u32::try_from(buffer.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        Words::of(text).words().map(|(word, _)| word.to_owned()).collect()
    }

    /// Tokens that are more than words, with a sign for their kind and what they cover.
    fn longer(text: &str) -> Vec<String> {
        let words = Words::of(text);
        let longer = words.tokens().iter().filter(|token| token.sigil != Sigil::Word || token.span > 1);
        let shown = longer.map(|token| {
            let sign = match token.sigil {
                Sigil::Word => "",
                Sigil::Tag => "#",
                Sigil::Mention => "@",
                Sigil::Fuzzy => "~",
            };
            format!("{sign}{} {}+{}", words.folded(token), token.position, token.span)
        });
        shown.collect()
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
            ("½ ㎏ ﬁre", vec!["1", "2", "kg", "fire"]),
            ("…!? —", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn hashtags_are_split_where_people_would() {
        for (text, expected, tokens) in [
            (
                "at #StBrigidsER now",
                vec!["at", "st", "brigids", "er", "now"],
                vec!["#stbrigidser 1+3", "stbrigidser 1+3"],
            ),
            ("#COVID19", vec!["covid", "19"], vec!["#covid19 0+2", "covid19 0+2"]),
            ("#activeshooter", vec!["activeshooter"], vec!["#activeshooter 0+1"]),
            ("#ERDoctor", vec!["er", "doctor"], vec!["#erdoctor 0+2", "erdoctor 0+2"]),
            ("#Code_Silver!", vec!["code", "silver"], vec!["#code_silver 0+2"]),
            ("#BigFire_now", vec!["big", "fire", "now"], vec!["#bigfire_now 0+3", "bigfire 0+2"]),
            ("＃ÉtéIndien", vec!["ete", "indien"], vec!["#eteindien 0+2", "eteindien 0+2"]),
            ("#病院火災", vec!["病", "院", "火", "災"], vec!["#病院火災 0+4"]),
            ("#1 in the state, C#5 a##b", vec!["1", "in", "the", "state", "c", "5", "a", "b"], vec!["#b 7+1"]),
        ] {
            assert_eq!(words(text), expected, "{text}");
            assert_eq!(longer(text), tokens, "{text}");
        }
    }

    #[test]
    fn mentions_are_accounts_and_addresses_are_not() {
        for (text, tokens) in [
            ("hey @stbrigids.example.", vec!["@stbrigids.example 1+2"]),
            ("@Ann@Social.Example hi", vec!["@ann@social.example 0+3", "@ann 0+1"]),
            ("mail info@stbrigids.example", vec![]),
            ("(@a_b-c): @ @@", vec!["@a_b-c 0+3"]),
        ] {
            assert_eq!(longer(text), tokens, "{text}");
        }
    }

    #[test]
    fn every_token_points_at_its_original() {
        let text = "At St. Brigid’s: ‘GUN\u{200b}MAN’ 🔥 #StBrigidsER ﬁre! don't' é病";
        let words = Words::of(text);
        let place = |token: &Token| text.get(words.original(0, token, token, text));
        let originals: Vec<_> = words.words().filter_map(|(_, token)| place(token)).collect();
        assert_eq!(
            originals,
            ["At", "St", "Brigid’s", "GUN\u{200b}MAN", "🔥", "St", "Brigids", "ER", "ﬁre", "don't", "é", "病"]
        );
        assert_eq!(words.normalised(0), "at st. brigids: gunman 🔥 #stbrigidser fire! dont e病");
    }

    #[test]
    fn what_is_shown_as_one_with_a_letter_belongs_to_it() {
        for text in ["\u{1112}\u{1161}\u{11AB}\u{1100}\u{1173}\u{11AF}", "👍🏽", "e\u{301}", "か\u{3099}"] {
            let around = format!("x {text} y");
            let words = Words::of(&around);
            let (_, token) = words.words().nth(1).unwrap();
            assert_eq!(around.get(words.original(0, token, token, &around)), Some(text));
        }
    }

    #[test]
    fn segments_do_not_touch_and_tags_are_only_tags() {
        let mut excerpt = Excerpt::default();
        for text in ["Fire", "", "at the ER"] {
            excerpt.texts.push(text);
        }
        excerpt.tags.push("StBrigidsER");
        let mut words = Words::default();
        words.read(&excerpt);
        let found: Vec<_> = words.words().map(|(word, token)| (word, words.segment_at(token.position))).collect();
        assert_eq!(found, [("fire", 0), ("at", 2), ("the", 2), ("er", 2)]);
        let tag = words.tokens().last().unwrap();
        assert_eq!((words.folded(tag), tag.sigil, words.segment_at(tag.position)), ("stbrigidser", Sigil::Tag, 3));
    }

    #[test]
    fn a_flood_of_marks_is_bounded() {
        let flood = format!("ह{}x gunm{}an", "\u{93e}".repeat(10_000), "\u{335}\u{20d2}".repeat(10_000));
        let words = words(&flood);
        assert_eq!(words[1], "gunman");
        assert!(words[0].chars().count() < 20);
    }

    #[test]
    fn marks_are_counted_from_letter_to_letter() {
        let letter = format!("t{}", "\u{7f0}".repeat(5));
        assert_eq!(words(&letter.repeat(3)), [letter.repeat(3)]);
        // An accent is left out, and so does not hide a flood.
        let flood = format!("t{}", "\u{7f0}\u{670}".repeat(100));
        assert_eq!(words(&flood), [format!("t{}", "\u{7f0}".repeat(8))]);
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing_and_places_are_valid(text in "\\PC{0,60}|[#@_.a-zA-Z0-9éЖ病\u{200b}' ]{0,40}") {
            let once = words(&text);
            let twice = words(&once.join(" "));
            prop_assert_eq!(&once, &twice);
            let words = Words::of(&text);
            for token in words.tokens() {
                prop_assert!(!words.folded(token).is_empty());
                let original = words.original(0, token, token, &text);
                prop_assert!(text.get(original).is_some_and(|original| !original.is_empty()));
            }
        }
    }
}
