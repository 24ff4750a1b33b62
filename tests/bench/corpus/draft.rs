//! What people write, and what hangs on it.

use std::fmt::Write;

use unicode_normalization::UnicodeNormalization as _;

use super::super::rng::Rng;
use super::HOSPITAL;
use super::frames::{cid, did, reference};
use super::tongue::{Tongue, rank};

/// What a post holds.
#[derive(Default)]
pub struct Draft {
    pub text: String,
    pub lang: &'static str,
    /// JSON fields of the record besides text and language, each with a comma behind.
    pub extras: String,
}

impl Draft {
    /// Just a text.
    pub fn english(text: &str) -> Self {
        Self { text: text.to_owned(), lang: "en", extras: String::new() }
    }

    /// Somebody's post.
    pub fn new(rng: &mut Rng) -> Self {
        let tongue = Tongue::pick(rng);
        let mut draft = Self { lang: tongue.code, ..Self::default() };
        // Between four words and sixty, half of the posts below sixteen.
        let length = rng.log_uniform(4.0, 60.0) as usize;
        draft.text = sentence(tongue, length, rng);
        draft.decorate(rng);
        draft.embed(rng);
        draft.facets(rng);
        if rng.below(100) < 45 {
            let (parent, root) = (reference(rng), reference(rng));
            write!(draft.extras, r#""reply":{{"parent":{parent},"root":{root}}},"#).unwrap();
        }
        draft
    }

    /// Emoji, the hospital's name, and hands that do not type what we expect.
    fn decorate(&mut self, rng: &mut Rng) {
        if rng.below(6) == 0 {
            self.text.push_str(rng.pick(&[" 😂", " ❤️", " 🔥🔥", " 🙏🏽", " ✨", " 👩‍⚕️", " 🏥"]));
        }
        if rng.below(1500) == 0 {
            write!(self.text, " at {HOSPITAL}").unwrap();
        }
        match rng.below(400) {
            0..2 => self.text = self.text.nfd().collect(),
            2..4 => self.text = self.text.chars().map(bold).collect(),
            4..12 => self.text = self.text.to_uppercase(),
            _ => {}
        }
    }

    fn embed(&mut self, rng: &mut Rng) {
        let extras = &mut self.extras;
        match rng.below(100) {
            0..22 => {
                let (tongue, blob) = (Tongue::pick(rng), cid(rng));
                let alt = serde_json::to_string(&sentence(tongue, 8, rng)).unwrap();
                write!(extras, r#""embed":{{"$type":"app.bsky.embed.images","images":[{{"alt":{alt},"aspectRatio":{{"height":1350,"width":1080}},"image":{{"$type":"blob","ref":{{"$link":"{blob}"}},"mimeType":"image/jpeg","size":204800}}}}]}},"#)
            }
            22..36 => {
                let blob = cid(rng);
                write!(extras, r#""embed":{{"$type":"app.bsky.embed.external","external":{{"description":"What happened, who says so, and what comes next.","thumb":{{"$type":"blob","ref":{{"$link":"{blob}"}},"mimeType":"image/jpeg","size":119635}},"title":"The day in brief","uri":"https://news.example/2026/11/22/brief"}}}},"#)
            }
            36..46 => write!(extras, r#""embed":{{"$type":"app.bsky.embed.record","record":{}}},"#, reference(rng)),
            _ => Ok(()),
        }
        .unwrap();
    }

    /// A hashtag, a mention or a link at the end, shown in the text and told to programs.
    fn facets(&mut self, rng: &mut Rng) {
        let (shown, feature) = match rng.below(100) {
            0..12 => {
                let tag = tag(rng);
                (format!("#{tag}"), format!(r#"{{"$type":"app.bsky.richtext.facet#tag","tag":"{tag}"}}"#))
            }
            12..17 => {
                let (name, did) = (Tongue::of("en").word(rank(rng)).replace('\'', ""), did(rng));
                (format!("@{name}.example"), format!(r#"{{"$type":"app.bsky.richtext.facet#mention","did":"{did}"}}"#))
            }
            17..28 => (
                "news.example/brief".to_owned(),
                r#"{"$type":"app.bsky.richtext.facet#link","uri":"https://news.example/brief"}"#.to_owned(),
            ),
            _ => return,
        };
        let start = self.text.len() + 1;
        write!(self.text, " {shown}").unwrap();
        let end = self.text.len();
        write!(
            self.extras,
            r#""facets":[{{"features":[{feature}],"index":{{"byteEnd":{end},"byteStart":{start}}}}}],"#
        )
        .unwrap();
    }
}

/// So many words, of which one in five is followed by the one that belongs to it.
fn sentence(tongue: &Tongue, length: usize, rng: &mut Rng) -> String {
    let mut text = String::new();
    let mut next = rank(rng);
    for place in 0..length {
        if place > 0 {
            text.push_str(tongue.space);
        }
        let word = tongue.word(next);
        text.push_str(&if place == 0 || rng.below(12) == 0 { capitalised(&word) } else { word });
        match rng.below(60) {
            0..3 => text.push(if tongue.has_spaces() { ',' } else { '。' }),
            3..5 => text.push_str("!\n"),
            5 => text.push_str(" \"quoted\""),
            6 => write!(text, " {}", rng.below(2000)).unwrap(),
            _ => {}
        }
        next = if rng.below(5) == 0 { Tongue::partner(next) } else { rank(rng) };
    }
    text
}

/// `photo`, `code_silver`, `StBrigidsER`.
fn tag(rng: &mut Rng) -> String {
    let english = Tongue::of("en");
    let mut word = || english.word(rank(rng)).replace('\'', "");
    let (first, second) = (word(), word());
    match rng.below(3) {
        0 => first,
        1 => format!("{first}_{second}"),
        _ => format!("{}{}", capitalised(&first), capitalised(&second)),
    }
}

/// With a large letter in front, where the script has one.
pub fn capitalised(word: &str) -> String {
    let mut rest = word.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// Mathematical bold, as people who want to be noticed write.
fn bold(letter: char) -> char {
    let base = match letter {
        'a'..='z' => 0x1d41a - u32::from('a'),
        'A'..='Z' => 0x1d400 - u32::from('A'),
        _ => return letter,
    };
    char::from_u32(base + u32::from(letter)).unwrap_or(letter)
}
