//! Outlines: a normalised text in one byte a character, as far as most regular
//! expressions can tell characters apart.
//!
//! Unicode's word boundaries are what makes expressions slow: the fast automata leave off
//! at the first character beyond ASCII, and six posts in ten have one. Yet hardly a rule
//! asks for more of such a character than whether it is a letter, a digit, a blank. So
//! each becomes one byte for its kind: a capital letter for what belongs to words, for
//! normalised text has none, and a byte beyond ASCII for the rest. An expression that
//! tells no two characters of a kind apart (all but those that name letters beyond ASCII
//! or other classes) is built over bytes, as a finished automaton whose word boundaries
//! are ASCII's; for the others there is Unicode's engine.
//!
//! Rejected: to build the automata over UTF-8 and fall back where they leave off, which is
//! the slow case.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, ClassUnicode, Hir, HirKind, Look, Repetition};

use crate::domain::text::{PAGE, Pages, Words};

/// Characters beyond ASCII, by what an expression can ask of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Letter,
    Digit,
    /// Part of words, neither letter nor digit: marks, joining signs.
    Joining,
    Blank,
    Other,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Letter, Self::Digit, Self::Joining, Self::Blank, Self::Other];

    /// The byte that stands for it.
    const fn byte(self) -> u8 {
        match self {
            Self::Letter => b'L',
            Self::Digit => b'D',
            Self::Joining => b'J',
            Self::Blank => 0x80,
            Self::Other => 0x81,
        }
    }

    /// All its characters but ſ and the Kelvin sign: ignoring case brings them in for s and k,
    /// and no normalised text has them.
    fn class(self) -> &'static ClassUnicode {
        static CLASSES: LazyLock<Vec<ClassUnicode>> = LazyLock::new(|| {
            let class = |pattern| match regex_syntax::parse(pattern).map(Hir::into_kind) {
                Ok(HirKind::Class(Class::Unicode(class))) => class,
                _ => ClassUnicode::empty(),
            };
            let patterns = [
                r"[\p{L}--\p{ASCII}--[\u{17F}\u{212A}]]",
                r"[\d--\p{ASCII}]",
                r"[\w--\p{L}--\d--\p{ASCII}]",
                r"[\s--\p{ASCII}]",
                r"[\W--\s--\p{ASCII}]",
            ];
            patterns.map(class).to_vec()
        });
        static NONE: LazyLock<ClassUnicode> = LazyLock::new(ClassUnicode::empty);
        CLASSES.get(self as usize).unwrap_or(&NONE)
    }

    fn has(self, character: char) -> bool {
        let ranges = self.class().ranges();
        let next = ranges.partition_point(|range| range.end() < character);
        ranges.get(next).is_some_and(|range| range.start() <= character)
    }
}

/// The outline of one text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outline<'t> {
    pub(super) text: &'t [u8],
    pub(super) has_digit: bool,
}

/// The outlines of a post's texts, each made when it is first asked for. Buffers are reused.
#[derive(Debug, Default)]
pub struct Outlines {
    bytes: Vec<u8>,
    /// Where each text ends, and whether it has a digit.
    ends: Vec<(usize, bool)>,
}

impl Outlines {
    /// Forgets the post.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The outline of a text of the post, whose words `words` are.
    pub(super) fn of(&mut self, words: &Words, segment: usize) -> Outline<'_> {
        while self.ends.len() <= segment {
            let begin = self.bytes.len();
            read(words.normalised(self.ends.len()), &mut self.bytes);
            let bytes = self.bytes.get(begin..).unwrap_or_default();
            let has_digit = bytes.iter().fold(false, |has, &byte| has | is_digit(byte));
            self.ends.push((self.bytes.len(), has_digit));
        }
        let begin = segment.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(end, _)| *end);
        let (end, has_digit) = self.ends.get(segment).copied().unwrap_or_default();
        Outline { text: self.bytes.get(begin..end).unwrap_or_default(), has_digit }
    }
}

const fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == Kind::Digit.byte()
}

fn read(normalised: &str, outline: &mut Vec<u8>) {
    if normalised.is_ascii() {
        return outline.extend_from_slice(normalised.as_bytes());
    }
    outline.extend(normalised.chars().map(|character| match u8::try_from(character) {
        Ok(byte) if byte.is_ascii() => byte,
        _ => kind(character).byte(),
    }));
}

/// Whether a class holds digits only.
pub(super) fn is_digits(class: &ClassUnicode) -> bool {
    let mut beyond = class.clone();
    beyond.difference(Kind::Digit.class());
    beyond.ranges().iter().all(|range| range.start().is_ascii_digit() && range.end().is_ascii_digit())
}

fn kind(character: char) -> Kind {
    static KINDS: Pages<[Kind; PAGE]> = Pages::new();
    let kind = |character: char| Kind::ALL.into_iter().find(|kind| kind.has(character)).unwrap_or(Kind::Other);
    let page = KINDS.page(character, |characters: &[Option<char>; PAGE]| {
        characters.map(|character| character.map_or(Kind::Other, kind))
    });
    page.and_then(|(page, place)| page.get(place)).copied().unwrap_or(Kind::Other)
}

/// An expression over outlines; none if it tells characters of a kind apart.
pub(super) fn narrowed(expression: &Hir) -> Option<Hir> {
    let all = |parts: &[Hir]| parts.iter().map(narrowed).collect::<Option<Vec<_>>>();
    Some(match expression.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => {
            literal.0.iter().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()).then(|| expression.clone())?
        }
        HirKind::Class(Class::Unicode(class)) => Hir::class(Class::Bytes(narrowed_class(class)?)),
        HirKind::Class(Class::Bytes(_)) => return None,
        HirKind::Look(look) => Hir::look(narrowed_look(*look)?),
        HirKind::Repetition(repetition) => {
            Hir::repetition(Repetition { sub: Box::new(narrowed(&repetition.sub)?), ..repetition.clone() })
        }
        HirKind::Capture(capture) => narrowed(&capture.sub)?,
        HirKind::Concat(parts) => Hir::concat(all(parts)?),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)?),
    })
}

fn narrowed_class(class: &ClassUnicode) -> Option<ClassBytes> {
    let ascii = class.ranges().iter().filter(|range| range.start().is_ascii());
    let mut bytes: Vec<u8> = ascii.flat_map(|range| range.start()..=range.end().min('\x7f')).map(|c| c as u8).collect();
    bytes.retain(|byte| !byte.is_ascii_uppercase());
    for kind in Kind::ALL {
        let mut some = class.clone();
        some.intersect(kind.class());
        if some == *kind.class() {
            bytes.push(kind.byte());
        } else if !some.ranges().is_empty() {
            return None;
        }
    }
    Some(ClassBytes::new(bytes.into_iter().map(|byte| ClassBytesRange::new(byte, byte))))
}

/// The same edge over bytes; none for ASCII's own edges, beside which letters beyond ASCII are none.
fn narrowed_look(look: Look) -> Option<Look> {
    Some(match look {
        Look::WordUnicode => Look::WordAscii,
        Look::WordUnicodeNegate => Look::WordAsciiNegate,
        Look::WordStartUnicode => Look::WordStartAscii,
        Look::WordEndUnicode => Look::WordEndAscii,
        Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
        Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
        Look::Start | Look::End | Look::StartLF | Look::EndLF | Look::StartCRLF | Look::EndCRLF => look,
        Look::WordAscii
        | Look::WordAsciiNegate
        | Look::WordStartAscii
        | Look::WordEndAscii
        | Look::WordStartHalfAscii
        | Look::WordEndHalfAscii => return None,
    })
}
