//! Rules over the corpus's words: mixed as people write them, and sets of one kind.

use std::fmt::Write;

use super::super::rng::Rng;
use super::draft::capitalised;
use super::tongue::{Tongue, rank, rule_rank};

/// What sort of rules to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Words 40 %, phrases 20 %, Boolean 23 %, proximity 10 %, wildcards 2 %, regexes 5 %.
    Mixed,
    /// Words alone.
    Words,
    /// Words two thirds, phrases one third: what every keyword search can express.
    WordsAndPhrases,
    /// The same with one regex in twenty: what every set of regexes can express.
    WordsPhrasesRegexes,
    /// Phrases of the words met most, and Japanese words of two to four characters.
    Common,
}

/// A sort of rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    Word,
    Phrase,
    Boolean,
    Near,
    Wildcard,
    Regex,
}

/// A rule's query, as somebody typed it, and in the forms that other programs read.
pub struct Written {
    pub sort: Sort,
    /// In our language.
    pub query: String,
    /// A word or phrase without its quotation marks, a regex without its slashes; of other
    /// sorts there is none.
    pub plain: String,
}

/// Writes rules without end.
pub struct Writer {
    set: Set,
    rng: Rng,
}

impl Writer {
    pub const fn new(set: Set, seed: u64) -> Self {
        Self { set, rng: Rng(seed ^ 0xa_11ce) }
    }

    fn mixed(&mut self) -> Written {
        match self.rng.below(100) {
            0..40 => self.word(),
            40..60 => self.phrase(),
            60..83 => self.of(Sort::Boolean, Self::boolean),
            83..93 => self.of(Sort::Near, Self::near),
            93..95 => self.of(Sort::Wildcard, Self::wildcard),
            _ => self.regex(),
        }
    }

    fn of(&mut self, sort: Sort, write: fn(&mut Self) -> String) -> Written {
        Written { sort, query: write(self), plain: String::new() }
    }

    fn word(&mut self) -> Written {
        let tongue = Tongue::pick_for_rule(&mut self.rng);
        let plain = self.term(tongue);
        Written { sort: Sort::Word, query: quoted(&plain), plain }
    }

    fn phrase(&mut self) -> Written {
        let tongue = Tongue::pick_for_rule(&mut self.rng);
        let first = rule_rank(&mut self.rng);
        let length = self.rng.between(2, 3);
        // Two in three are phrases that people do use.
        let used = self.rng.below(3) > 0;
        let ranks = std::iter::successors(Some(first), |&rank| {
            Some(if used { Tongue::partner(rank) } else { rule_rank(&mut self.rng) })
        });
        let mut ranks: Vec<u64> = ranks.take(length as usize).collect();
        if self.rng.below(3) == 0 {
            ranks[1] = rank(&mut self.rng);
        }
        let words: Vec<String> = ranks.into_iter().map(|rank| self.typed(&tongue.word(rank))).collect();
        let plain = words.join(tongue.space);
        Written { sort: Sort::Phrase, query: quoted(&plain), plain }
    }

    fn boolean(&mut self) -> String {
        let tongue = Tongue::pick_for_rule(&mut self.rng);
        if self.rng.below(100) < 3 {
            let length = self.rng.between(8, 40);
            let either: Vec<String> = (0..length).map(|_| self.quoted_term(tongue)).collect();
            return either.join(" OR ");
        }
        let [a, b, c, d] = std::array::from_fn(|_| self.quoted_term(tongue));
        match self.rng.below(6) {
            0 => format!("{a} AND ({b} OR {c})"),
            1 => format!("({a} OR {b}) AND NOT {c}"),
            2 => format!("{a} {b}"),
            3 => format!("({a} OR {b}) AND ({c} OR {d})"),
            4 => format!("$org AND ({a} OR {b} OR {c})"),
            _ => format!("{a} NOT ({b} OR {c} {d})"),
        }
    }

    fn near(&mut self) -> String {
        let tongue = Tongue::pick_for_rule(&mut self.rng);
        let first = rule_rank(&mut self.rng);
        let (word, partner) = (tongue.word(first), tongue.word(Tongue::partner(first)));
        let a = quoted(&self.typed(&word));
        // Half of them are of words that people do put together.
        let b = if self.rng.below(2) == 0 { quoted(&self.typed(&partner)) } else { self.quoted_term(tongue) };
        let (c, distance) = (self.quoted_term(tongue), self.rng.between(2, 10));
        match self.rng.below(4) {
            0 | 1 => format!("{a} NEAR/{distance} {b}"),
            2 => format!("{a} ONEAR/{distance} {b}"),
            _ => format!("({a} OR {c}) NEAR/{distance} {b}"),
        }
    }

    /// A word without its last letters, or with one letter open.
    fn wildcard(&mut self) -> String {
        loop {
            let word = self.spaced_word();
            let letters: Vec<char> = word.chars().collect();
            if letters.len() < 6 || !letters.iter().all(|letter| letter.is_alphabetic()) {
                continue;
            }
            let mut open = letters.clone();
            if self.rng.below(4) == 0 {
                open[letters.len() / 2] = '?';
                return open.into_iter().collect();
            }
            open.truncate(letters.len() - self.rng.index(2));
            return self.typed(&open.into_iter().collect::<String>()) + "*";
        }
    }

    /// Regexes see folded text, so only letters that folding leaves alone are of use.
    fn regex(&mut self) -> Written {
        let [a, b] = std::array::from_fn(|_| {
            loop {
                let word = self.spaced_word();
                if word.len() > 3 && word.bytes().all(|letter| letter.is_ascii_lowercase()) {
                    break word;
                }
            }
        });
        let plain = match self.rng.below(125) {
            // No literal to look for: the dearest rules there are.
            0 => format!(r"\b[{}-{}]\d{{3,4}}[x-z]\b", &a[..1], 'z'),
            1..40 => format!(r"\b{a}(s|es|ed|ing)?\b"),
            40..70 => format!(r"{a}\W+{b}"),
            70..100 => format!(r"\b({a}|{b})\s+\d+"),
            _ => format!(r"{a}\w{{0,3}}\b"),
        };
        Written { sort: Sort::Regex, query: format!("/{plain}/"), plain }
    }

    fn common(&mut self) -> Written {
        if self.rng.below(2) == 0 {
            let plain = Tongue::of("ja").word(rule_rank(&mut self.rng));
            return Written { sort: Sort::Word, query: quoted(&plain), plain };
        }
        let tongue = Tongue::of(self.rng.pick(&["en", "en", "en", "pt", "de", "es", "fr"]));
        let length = self.rng.between(3, 5);
        let words: Vec<String> = (0..length).map(|_| tongue.word(self.rng.between(1, 60))).collect();
        let plain = words.join(" ");
        Written { sort: Sort::Phrase, query: quoted(&plain), plain }
    }

    fn spaced_word(&mut self) -> String {
        loop {
            let tongue = Tongue::pick_for_rule(&mut self.rng);
            if tongue.has_spaces() {
                return tongue.word(rule_rank(&mut self.rng));
            }
        }
    }

    fn quoted_term(&mut self, tongue: &Tongue) -> String {
        quoted(&self.term(tongue))
    }

    fn term(&mut self, tongue: &Tongue) -> String {
        let word = tongue.word(rule_rank(&mut self.rng));
        self.typed(&word)
    }

    /// In some case or other.
    fn typed(&mut self, word: &str) -> String {
        match self.rng.below(20) {
            0..12 => word.to_owned(),
            12..17 => capitalised(word),
            _ => word.to_uppercase(),
        }
    }
}

impl Iterator for Writer {
    type Item = Written;

    fn next(&mut self) -> Option<Written> {
        Some(match self.set {
            Set::Mixed => self.mixed(),
            Set::WordsAndPhrases if self.rng.below(3) == 0 => self.phrase(),
            Set::Words | Set::WordsAndPhrases => self.word(),
            Set::WordsPhrasesRegexes => match self.rng.below(60) {
                0..3 => self.regex(),
                3..22 => self.phrase(),
                _ => self.word(),
            },
            Set::Common => self.common(),
        })
    }
}

impl Sort {
    /// For people.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Word => "words",
            Self::Phrase => "phrases",
            Self::Boolean => "Boolean",
            Self::Near => "proximity",
            Self::Wildcard => "wildcards",
            Self::Regex => "regexes",
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// Of so many rules in a file the first counts.
pub const ONE_COUNTS: usize = 5;

/// A file of rules with those queries; some count.
pub fn file<'a>(queries: impl Iterator<Item = &'a str>, first: usize) -> String {
    let mut file = "schema = 1\n[pack]\nname = \"bench\"\n".to_owned();
    for (place, query) in queries.enumerate() {
        let rule = first + place;
        let query = toml::Value::from(query);
        write!(file, "[[rule]]\nid = \"bench.{rule}\"\ntitle = \"Rule {rule}\"\nseverity = \"low\"\ntopic = \"bench-{rule}\"\nquery = {query}\n")
            .unwrap();
        if rule.is_multiple_of(ONE_COUNTS) {
            file.push_str("count = { at_least = 3, distinct = \"author\", within = \"10m\" }\n");
        }
    }
    file
}

/// Rules that open an incident each, topics `alarm-0` and on.
pub fn alarms(count: usize) -> String {
    let head = "schema = 1\n[pack]\nname = \"bench\"\n".to_owned();
    head + &(0..count).map(alarm_rule).collect::<String>()
}

/// The rule of an alarm.
pub fn alarm_rule(number: usize) -> String {
    format!(
        "[[rule]]\nid = \"alarm.{number}\"\ntitle = \"Alarm {number}\"\nseverity = \"critical\"\ntopic = \"alarm-{number}\"\nquery = '{}'\n",
        word_of_alarm(number)
    )
}

/// What somebody writes who raises it.
pub fn alarm(number: usize) -> String {
    format!("Something is wrong here: {}", word_of_alarm(number))
}

fn word_of_alarm(number: usize) -> String {
    format!("zqalarm{number}")
}
