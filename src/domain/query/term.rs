//! Terms: what has a place in a text — words, phrases, hashtags, accounts.

use crate::domain::text::{Sigil, Words, spelling};

/// Letters that must stand before a `*`. A Korean syllable is two or three of them.
const BEFORE_STAR: usize = 3;

/// Something to look for in a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// As written, for people.
    pub text: Box<str>,
    /// What it finds.
    pub form: TermForm,
}

/// What a term finds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TermForm {
    /// The words one after the other, or the hashtag they make when joined; at least one.
    Phrase(Box<[Pattern]>),
    /// The same, and unusual spellings of each word.
    Fuzzy(Box<[Box<str>]>),
    /// All words in any order within a stretch of their number plus `slack` positions.
    Sloppy {
        /// At least one.
        words: Box<[Pattern]>,
        /// Positions more than there are words.
        slack: u32,
    },
    /// The words one after the other, each in exactly this spelling.
    Exact(Box<[Spelt]>),
    /// A hashtag or an account.
    Token(Sigil, Pattern),
}

/// A word, perhaps with wildcards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// The folded word.
    Word(Box<str>),
    /// Words of this shape.
    Wild(Wild),
}

/// A folded word with `?` for one character each, and perhaps any ending.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wild {
    /// Letters and `?`.
    shape: Box<str>,
    /// It ended in `*`.
    any_ending: bool,
}

/// A word in one spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spelt {
    /// Folded, to find it.
    pub word: Box<str>,
    /// As [`spelling`] gives it, to compare.
    pub spelling: Box<str>,
}

/// Why a text is no term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermError {
    /// No letter, digit or emoji is in it.
    #[error("there is nothing to look for")]
    Nothing,
    /// `*` after too few letters.
    #[error("`*` stands for any ending of a word and needs {BEFORE_STAR} letters before it")]
    Star,
    /// `*` inside a word or at its beginning.
    #[error("`*` stands for the ending of a word, nothing else")]
    InnerStar,
    /// `?` at the beginning, or with too few letters around it.
    #[error("`?` stands for one character of a word that begins with a letter and has two")]
    QuestionMark,
    /// Not a hashtag or an account.
    #[error("this cannot be a hashtag or an account")]
    NoToken,
}

impl Term {
    /// A term as it stands in a list: a word or a phrase with or without wildcards,
    /// `{Exact}`, `#tag` or `@account`.
    ///
    /// # Errors
    /// [`TermError`] when nothing could ever be found by it.
    pub fn parse(text: &str) -> Result<Self, TermError> {
        let text = text.trim();
        if let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            return Self::exact(inner);
        }
        // Several words with a tag among them are a phrase.
        let whole = !text.contains(char::is_whitespace);
        match text.chars().next() {
            Some('#' | '＃') if whole => Self::tag(text.trim_start_matches(['#', '＃'])),
            Some('@') if whole => Self::mention(text.trim_start_matches('@')),
            _ => Self::phrase(text),
        }
    }

    /// Words that follow each other.
    ///
    /// # Errors
    /// As [`Term::parse`].
    pub fn phrase(text: &str) -> Result<Self, TermError> {
        Ok(Self { text: text.trim().into(), form: TermForm::Phrase(patterns(text)?) })
    }

    /// Words near each other in any order.
    ///
    /// # Errors
    /// As [`Term::parse`].
    pub fn sloppy(text: &str, slack: u32) -> Result<Self, TermError> {
        let form = TermForm::Sloppy { words: patterns(text)?, slack };
        Ok(Self { text: format!("\"{}\"~{slack}", text.trim()).into(), form })
    }

    /// Words in exactly this spelling.
    ///
    /// # Errors
    /// As [`Term::parse`].
    pub fn exact(text: &str) -> Result<Self, TermError> {
        let words = Words::of(text);
        let spelt = words.words().map(|(word, token)| {
            let original = text.get(words.original(0, token, token, text)).unwrap_or_default();
            Spelt { word: word.into(), spelling: spelling(original).into() }
        });
        let spelt: Box<[Spelt]> = spelt.collect();
        if spelt.is_empty() {
            return Err(TermError::Nothing);
        }
        Ok(Self { text: format!("{{{}}}", text.trim()).into(), form: TermForm::Exact(spelt) })
    }

    /// A hashtag, given without `#`.
    ///
    /// # Errors
    /// As [`Term::parse`].
    pub fn tag(name: &str) -> Result<Self, TermError> {
        let is_wildcard = |c: char| c == '*' || c == '?';
        let text = format!("#{}", name.replace(is_wildcard, ""));
        let words = Words::of(&text);
        let token = words.tokens().iter().find(|token| token.sigil == Sigil::Tag).ok_or(TermError::NoToken)?;
        if words.original(0, token, token, &text) != (1..text.len()) {
            return Err(TermError::NoToken);
        }
        let pattern = if name.contains(is_wildcard) {
            let pieces = name.split_inclusive(is_wildcard);
            let folded: String = pieces.map(|piece| Words::of(piece).normalised(0).to_owned()).collect();
            Pattern::wild(&folded)?
        } else {
            Pattern::Word(words.folded(token).into())
        };
        Ok(Self { text: format!("#{name}").into(), form: TermForm::Token(Sigil::Tag, pattern) })
    }

    /// An account, given without `@`.
    ///
    /// # Errors
    /// As [`Term::parse`].
    pub fn mention(name: &str) -> Result<Self, TermError> {
        let text = format!("@{name}");
        let words = Words::of(&text);
        let token = words.tokens().iter().find(|token| token.sigil == Sigil::Mention).ok_or(TermError::NoToken)?;
        if words.original(0, token, token, &text) != (1..text.len()) {
            return Err(TermError::NoToken);
        }
        let pattern = Pattern::Word(words.folded(token).into());
        Ok(Self { text: text.as_str().into(), form: TermForm::Token(Sigil::Mention, pattern) })
    }

    /// The same term, finding unusual spellings too; only phrases without wildcards have any.
    #[must_use]
    pub fn fuzzy(self) -> Self {
        let TermForm::Phrase(words) = &self.form else { return self };
        let plain = |pattern: &Pattern| match pattern {
            Pattern::Word(word) => Some(word.clone()),
            Pattern::Wild(_) => None,
        };
        match words.iter().map(plain).collect() {
            Some(words) => Self { form: TermForm::Fuzzy(words), ..self },
            None => self,
        }
    }

    /// Its words, tags and accounts, one after the other, for people and for lints.
    pub fn words(&self) -> Vec<&str> {
        match &self.form {
            TermForm::Phrase(words) | TermForm::Sloppy { words, .. } => words.iter().map(Pattern::as_str).collect(),
            TermForm::Fuzzy(words) => words.iter().map(AsRef::as_ref).collect(),
            TermForm::Exact(words) => words.iter().map(|spelt| spelt.word.as_ref()).collect(),
            TermForm::Token(_, pattern) => vec![pattern.as_str()],
        }
    }

    /// The hashtag that a phrase of several words makes when they are joined.
    pub fn joined(&self) -> Option<String> {
        let words = match &self.form {
            TermForm::Phrase(words) if words.len() > 1 => {
                words.iter().map(Pattern::word).collect::<Option<Vec<_>>>()?
            }
            TermForm::Fuzzy(words) if words.len() > 1 => words.iter().map(AsRef::as_ref).collect(),
            _ => return None,
        };
        Some(words.concat())
    }
}

impl Pattern {
    /// A folded word in which `?` and `*` are wildcards.
    fn wild(text: &str) -> Result<Self, TermError> {
        let any_ending = text.ends_with('*');
        let shape = text.strip_suffix('*').unwrap_or(text);
        let letters = |c: char| if matches!(c, '가'..='힣') { 2 } else { usize::from(c != '?') };
        let letters: usize = shape.chars().map(letters).sum();
        if shape.contains('*') {
            return Err(TermError::InnerStar);
        }
        if any_ending && letters < BEFORE_STAR {
            return Err(TermError::Star);
        }
        if shape.starts_with('?') || letters < 2 {
            return Err(TermError::QuestionMark);
        }
        Ok(Self::Wild(Wild { shape: shape.into(), any_ending }))
    }

    /// Words that begin so; for what needs no three letters because a machine wrote it.
    pub fn stem(text: &str) -> Self {
        Self::Wild(Wild { shape: text.into(), any_ending: true })
    }

    /// The word, when there are no wildcards in it.
    pub fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            Self::Wild(_) => None,
        }
    }

    /// The word, or the shape without its ending.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Wild(wild) => &wild.shape,
        }
    }

    /// Whether a folded word is meant.
    pub fn finds(&self, word: &str) -> bool {
        match self {
            Self::Word(wanted) => **wanted == *word,
            Self::Wild(wild) => wild.finds(word),
        }
    }
}

impl Wild {
    /// The letters before the first wildcard.
    pub fn stem(&self) -> &str {
        self.shape.split('?').next().unwrap_or_default()
    }

    /// Whether it ended in `*`.
    pub fn any_ending(&self) -> bool {
        self.any_ending
    }

    /// Whether the stem and any ending is all there is.
    pub fn is_stem(&self) -> bool {
        self.any_ending && self.stem().len() == self.shape.len()
    }

    /// Whether a folded word has this shape.
    pub fn finds(&self, word: &str) -> bool {
        let mut letters = word.chars();
        let fits =
            self.shape.chars().all(|wanted| letters.next().is_some_and(|letter| wanted == '?' || wanted == letter));
        fits && (self.any_ending || letters.next().is_none())
    }
}

/// The words of a phrase, with their wildcards.
fn patterns(text: &str) -> Result<Box<[Pattern]>, TermError> {
    let mut patterns = Vec::new();
    for chunk in text.split_whitespace() {
        if chunk.contains(['*', '?']) {
            wildcards(chunk, &mut patterns)?;
        } else {
            patterns.extend(Words::of(chunk).words().map(|(word, _)| Pattern::Word(word.into())));
        }
    }
    if patterns.is_empty() { Err(TermError::Nothing) } else { Ok(patterns.into()) }
}

/// The words of a text without spaces that has wildcards: `covid-1*` is two.
fn wildcards(chunk: &str, patterns: &mut Vec<Pattern>) -> Result<(), TermError> {
    let mut open = String::new();
    let mut close = |open: &mut String| -> Result<(), TermError> {
        let word = std::mem::take(open);
        if word.contains(['*', '?']) {
            patterns.push(Pattern::wild(&word)?);
        } else if !word.is_empty() {
            patterns.push(Pattern::Word(word.into()));
        }
        Ok(())
    };
    let mut rest = chunk;
    while !rest.is_empty() {
        let length = rest.find(['*', '?']).unwrap_or(rest.len());
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        let words = Words::of(piece);
        let mut end = 0;
        for (place, (word, token)) in words.words().enumerate() {
            let original = words.original(0, token, token, piece);
            if place > 0 || original.start > 0 {
                close(&mut open)?;
            }
            open.push_str(word);
            end = original.end;
        }
        if end < piece.len() {
            close(&mut open)?;
        }
        let wildcard = after.chars().next();
        open.extend(wildcard);
        rest = after.get(wildcard.map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    close(&mut open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let pattern = |pattern: &Pattern| match pattern {
            Pattern::Word(word) => word.to_string(),
            Pattern::Wild(wild) => format!("{}{}", wild.shape, if wild.any_ending { "*" } else { "" }),
        };
        let patterns = |words: &[Pattern]| words.iter().map(pattern).collect::<Vec<_>>().join("_");
        match Term::parse(text).map(|term| term.form) {
            Ok(TermForm::Phrase(words)) => patterns(&words),
            Ok(TermForm::Fuzzy(words)) => format!("~{}", words.join("_")),
            Ok(TermForm::Sloppy { words, slack }) => format!("{}~{slack}", patterns(&words)),
            Ok(TermForm::Exact(words)) => {
                words.iter().map(|spelt| format!("{{{}}}", spelt.spelling)).collect::<Vec<_>>().join("_")
            }
            Ok(TermForm::Token(Sigil::Tag, word)) => format!("#{}", pattern(&word)),
            Ok(TermForm::Token(_, word)) => format!("@{}", pattern(&word)),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn terms_are_read_as_people_write_them() {
        for (text, expected) in [
            ("Gunman", "gunman"),
            ("covid-19", "covid_19"),
            ("St. Brigid’s  ER", "st_brigids_er"),
            ("infect*", "infect*"),
            ("colo?r", "colo?r"),
            ("planned pregnanc*", "planned_pregnanc*"),
            ("fight* against", "fight*_against"),
            ("covid-19?a", "covid_19?a"),
            ("Médec?n*", "medec?n*"),
            ("{AIDS}", "{AIDS}"),
            ("{St Brigid's}", "{St}_{Brigids}"),
            ("#StBrigidsER", "#stbrigidser"),
            ("#covid*", "#covid*"),
            ("#Co?id_1é*", "#co?id_1e*"),
            ("#losangeles airport", "losangeles_airport"),
            ("@StBrigids.example", "@stbrigids.example"),
            ("病院", "病_院"),
            ("🔥", "🔥"),
            ("!!!", "Nothing"),
            ("", "Nothing"),
            ("in*", "Star"),
            ("*sarcoma", "InnerStar"),
            ("h*globin", "InnerStar"),
            ("병원*", "병원*"),
            ("불*", "Star"),
            ("병?", "병?"),
            ("病院*", "Star"),
            ("?at", "QuestionMark"),
            ("a?", "QuestionMark"),
            ("#1", "NoToken"),
            ("#a-b", "NoToken"),
            ("@", "NoToken"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn wildcards_find_words_of_their_shape() {
        for (pattern, word, finds) in [
            ("infect*", "infection", true),
            ("infect*", "infect", true),
            ("infect*", "infec", false),
            ("colo?r", "colour", true),
            ("colo?r", "color", false),
            ("wom?n*", "womens", true),
            ("wom?n*", "womn", false),
        ] {
            let Ok(Pattern::Wild(wild)) = Pattern::wild(pattern) else { panic!("{pattern}") };
            assert_eq!(wild.finds(word), finds, "{pattern} {word}");
        }
    }
}
