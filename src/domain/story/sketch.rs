//! What is kept of a post's words to know a near-copy of it.
//!
//! A sketch is the set of the post's words as 32-bit hashes: of scripts without spaces,
//! pairs of characters. Links, mentions and emoji are left out, for a copy changes them
//! first. A long post is judged by its smallest hashes, which are the same ones in a copy.
//! What has no words is known by its pictures' descriptions, its links, or its emoji.
//!
//! Words, not shingles of words: measured on real near-copies and on copies with words
//! replaced at random, pairs of words lose a copy that a fifth of its words tells apart, at
//! no gain against different posts about one topic. The order of words is not looked at.

use crate::domain::key::Key;
use crate::domain::post::Excerpt;
use crate::domain::text::{Sigil, Words};

/// Fewer words than this are the same only when all are.
const SHORT: usize = 5;
/// So many hashes are kept of one post.
const KEPT: usize = 96;
/// Near are posts that share so much of the longer one's words, in percent …
const ALIKE: usize = 70;
/// … or so much of the shorter one's, when that has [`LONG`] words at least: noise was
/// added, or the end cut off.
const INSIDE: usize = 90;
const LONG: usize = 10;
/// A text this many times longer than another is not a copy of it with noise.
const SWOLLEN: usize = 4;

/// The words of a post, as far as a near-copy shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    /// Ascending, each once; at most [`KEPT`].
    words: Box<[u32]>,
}

impl Sketch {
    /// The sketch of a post, whose words were read with [`Words::read`].
    pub fn of(post: &Excerpt, words: &Words) -> Self {
        let mut reader = Reader::default();
        reader.read(words, 0);
        if reader.words.is_empty() {
            (1..post.texts.len()).for_each(|segment| reader.read(words, segment));
        }
        let mut words: Vec<u32> = reader.words.iter().map(|&(_, word)| word).collect();
        order(&mut words);
        if words.len() < SHORT {
            // "Look at this" is the same only with the same thing to look at.
            if post.links.is_empty() {
                words.append(&mut reader.links);
            }
            words.extend(post.links.iter().map(|link| hash(link.as_bytes())));
            if words.is_empty() {
                words.append(&mut reader.emoji);
            }
            order(&mut words);
        }
        words.truncate(KEPT);
        Self { words: words.into() }
    }

    /// A sketch of these hashes, as it was kept.
    pub(super) const fn kept(words: Box<[u32]>) -> Self {
        Self { words }
    }

    /// The hashes, ascending.
    pub(super) const fn words(&self) -> &[u32] {
        &self.words
    }

    /// Nothing a copy could be known by.
    pub(super) const fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Too short for any difference.
    pub(super) const fn is_short(&self) -> bool {
        self.words.len() < SHORT
    }

    /// How alike two posts are, in thousandths of the longer one's words; none when they
    /// are different posts.
    pub(super) fn likeness(&self, other: &Self) -> Option<usize> {
        if self.is_short() || other.is_short() {
            return (self == other && !self.is_empty()).then_some(1000);
        }
        // Of two cut sketches only the part that both would have kept can be compared.
        let reach = self.reach().min(other.reach());
        let (mine, others) = (self.below(reach), other.below(reach));
        let (less, more) = (mine.len().min(others.len()), mine.len().max(others.len()));
        if less * SWOLLEN < more || more == 0 {
            return None;
        }
        let shared = shared(mine, others);
        let alike = shared * 100 >= more * ALIKE;
        let inside = less >= LONG && shared * 100 >= less * INSIDE;
        (alike || inside).then(|| shared * 1000 / more)
    }

    /// The greatest hash that would have been kept.
    fn reach(&self) -> u32 {
        if self.words.len() < KEPT { u32::MAX } else { self.words.last().copied().unwrap_or(u32::MAX) }
    }

    fn below(&self, reach: u32) -> &[u32] {
        if reach == u32::MAX {
            return &self.words; // as nearly always
        }
        self.words.get(..self.words.partition_point(|&word| word <= reach)).unwrap_or_default()
    }
}

/// Ascending, each once.
fn order(hashes: &mut Vec<u32>) {
    hashes.sort_unstable();
    hashes.dedup();
}

/// How many hashes two ascending lists share. Which list goes on is added, not asked: hashes are
/// chance, and a question whose answer cannot be foreseen costs more than both steps.
fn shared(mine: &[u32], others: &[u32]) -> usize {
    let (mut mine_at, mut other_at, mut shared) = (0, 0, 0);
    while let (Some(my), Some(other)) = (mine.get(mine_at), others.get(other_at)) {
        shared += usize::from(my == other);
        mine_at += usize::from(my <= other);
        other_at += usize::from(other <= my);
    }
    shared
}

/// 32 bits of `SipHash`: whoever finds two words of one hash only folds posts of their own.
fn hash(bytes: &[u8]) -> u32 {
    (Key::of(bytes).bits() >> 32) as u32
}

/// Collects the words of texts.
#[derive(Debug, Default)]
struct Reader {
    /// With their positions, since a mention is told after its words.
    words: Vec<(u32, u32)>,
    links: Vec<u32>,
    emoji: Vec<u32>,
}

/// A character that is a word by itself, the last one read.
#[derive(Clone, Copy)]
struct Alone {
    hash: u32,
    position: u32,
    /// Already part of a pair with the one before.
    paired: bool,
}

impl Reader {
    fn read(&mut self, words: &Words, segment: usize) {
        let folded = words.normalised(segment);
        let mut run = Run::default();
        let mut alone = None;
        for token in words.tokens_of(segment) {
            match token.sigil {
                Sigil::Mention => while self.words.pop_if(|(position, _)| *position >= token.position).is_some() {},
                Sigil::Word if token.span == 1 => {
                    let start = words.place(segment, token).start;
                    if start >= run.end {
                        run = Run::of(folded, start);
                        self.links.extend(run.link);
                    }
                    if run.link.is_none() {
                        alone = self.word(words.bytes(token), token.position, alone);
                    }
                }
                _ => {}
            }
        }
    }

    fn word(&mut self, word: &[u8], position: u32, before: Option<Alone>) -> Option<Alone> {
        let hash = hash(word);
        let Some(single) = single(word) else {
            if word != b"rt" {
                self.words.push((position, hash));
            }
            return None;
        };
        if !single.is_alphanumeric() {
            self.emoji.push(hash);
            return None;
        }
        let before = before.filter(|before| before.position + 1 == position);
        if let Some(before) = before {
            if !before.paired {
                self.words.pop(); // in company it is half of a pair
            }
            self.words.push((position, before.hash.rotate_left(16) ^ hash));
        } else {
            self.words.push((position, hash));
        }
        Some(Alone { hash, position, paired: before.is_some() })
    }
}

/// What stands together without blanks, in Latin letters and signs.
#[derive(Default)]
struct Run {
    end: usize,
    /// The hash of it, when it is a link.
    link: Option<u32>,
}

impl Run {
    /// The run that begins at a word.
    fn of(folded: &str, start: usize) -> Self {
        let rest = folded.as_bytes().get(start..).unwrap_or_default();
        // Hardly any run is a link, and these two signs say so at the first look.
        let mut sign = false;
        let blank = rest.iter().position(|byte| {
            sign |= matches!(byte, b'.' | b':');
            !byte.is_ascii_graphic()
        });
        let run = folded.get(start..start + blank.unwrap_or(rest.len())).unwrap_or_default();
        let host = run.split('/').next().unwrap_or_default();
        let is_link =
            sign && (run.contains("://") || run.starts_with("www.") || (host.len() < run.len() && host.contains('.')));
        Self { end: start + run.len(), link: is_link.then(|| hash(run.as_bytes())) }
    }
}

/// The one character that a word is, beyond ASCII.
fn single(word: &[u8]) -> Option<char> {
    if word.first()?.is_ascii() {
        return None;
    }
    let mut characters = std::str::from_utf8(word).ok()?.chars();
    characters.next().filter(|_| characters.next().is_none())
}
