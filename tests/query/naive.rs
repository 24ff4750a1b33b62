//! The definition of the query language: what a query asks of a post, evaluated by trying
//! everything.
//!
//! A post is a row of *tokens* in each of its *segments* (the text, each description of its
//! media, each tag it carries besides). A token covers one or more *positions*. A part of a
//! query *occurs* over a range of positions of one segment. Everything below is a loop over
//! all tokens, all ranges or all pairs: slow, and short enough to be checked by reading.
//! The fast matcher and `explain` have to agree with it; neither shares code with it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use stormbell::domain::post::{Excerpt, PostKind};
use stormbell::domain::text::{Sigil, Words};

use crate::slow;

/// What a query asks for.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Term(Term),
    /// One of a list's terms.
    List(String),
    Near {
        distance: usize,
        ordered: bool,
        sides: Box<[Ask; 2]>,
    },
    And(Vec<Ask>),
    Or(Vec<Ask>),
    Not(Box<Ask>),
    Field(Field),
    /// The pattern between the slashes, which ignores case.
    Regex(regex::Regex),
    /// `in:text`, beside the other parts of the outermost `AND`.
    InText,
}

/// Something with a place in a text.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    /// Between quotes, braces or after its sign, as a person writes it.
    pub written: String,
    pub means: Means,
}

#[derive(Clone, Debug)]
pub(crate) enum Means {
    /// Words that follow each other.
    Row(Vec<Word>),
    /// The same, also in unusual spellings.
    Fuzzy(Vec<Word>),
    /// Words near each other in any order, with so many positions to spare.
    Slack(Vec<Word>, usize),
    /// Words that follow each other, folded and as they are spelt.
    Exact(Vec<(String, String)>),
    Tag(Word),
    Mention(String),
}

/// A folded word, in which `?` is one character and a `*` at the end any ending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub String);

#[derive(Clone, Debug)]
pub(crate) enum Field {
    From(Vec<String>),
    /// `from:$list`
    FromList(String),
    Lang(Vec<String>),
    Source(Vec<String>),
    Link(Vec<String>),
    Kind(Vec<PostKind>),
    Has(Vec<&'static str>),
    MinFollowers(u64),
}

/// A regular expression, which ignores case.
pub(crate) fn regex(pattern: &str) -> Ask {
    Ask::Regex(regex::RegexBuilder::new(pattern).case_insensitive(true).build().unwrap())
}

/// The terms of each list, those of the lists it names among them.
pub(crate) type Lists = BTreeMap<String, Vec<Term>>;

impl Term {
    /// A word, or words between quotes.
    pub(crate) fn row(written: &str) -> Self {
        Self { written: written.to_owned(), means: Means::Row(phrase(written)) }
    }

    pub(crate) fn fuzzy(written: &str) -> Self {
        Self { written: written.to_owned(), means: Means::Fuzzy(phrase(written)) }
    }

    pub(crate) fn slack(written: &str, slack: usize) -> Self {
        Self { written: written.to_owned(), means: Means::Slack(phrase(written), slack) }
    }

    pub(crate) fn exact(written: &str) -> Self {
        let words = slow::words_and_originals(written).into_iter();
        let spelt = words.map(|(word, original)| (word, slow::spelling(&written[original])));
        Self { written: written.to_owned(), means: Means::Exact(spelt.collect()) }
    }

    /// A hashtag, without its sign.
    pub(crate) fn tag(written: &str) -> Self {
        let name = slow::tag(written).unwrap_or_else(|| panic!("{written} is no hashtag"));
        Self { written: written.to_owned(), means: Means::Tag(Word(name)) }
    }

    /// An account, without its sign.
    pub(crate) fn mention(written: &str) -> Self {
        Self { written: written.to_owned(), means: Means::Mention(written.to_lowercase()) }
    }

    /// The term as it stands in a list.
    pub(crate) fn in_list(&self) -> String {
        match self.means {
            Means::Row(_) | Means::Fuzzy(_) => self.written.clone(),
            Means::Slack(..) => panic!("a list has no slack"),
            Means::Exact(_) => format!("{{{}}}", self.written),
            Means::Tag(_) => format!("#{}", self.written),
            Means::Mention(_) => format!("@{}", self.written),
        }
    }
}

fn phrase(written: &str) -> Vec<Word> {
    let chunk = |chunk| if written.contains(['*', '?']) { slow::shapes(chunk) } else { slow::words(chunk) };
    written.split_whitespace().flat_map(chunk).map(Word).collect()
}

impl Word {
    fn is_plain(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    /// `infect*` is `infect` and any ending, `colo?r` has one character in place of the `?`.
    fn is(&self, word: &str) -> bool {
        let (shape, any_ending) = match self.0.strip_suffix('*') {
            Some(shape) => (shape, true),
            None => (self.0.as_str(), false),
        };
        let (shape, word): (Vec<char>, Vec<char>) = (shape.chars().collect(), word.chars().collect());
        let long_enough = if any_ending { word.len() >= shape.len() } else { word.len() == shape.len() };
        long_enough && shape.iter().zip(&word).all(|(&wanted, &letter)| wanted == '?' || wanted == letter)
    }
}

/// A token of a post.
#[derive(Clone, Debug)]
struct Token {
    segment: usize,
    sigil: Sigil,
    word: String,
    start: usize,
    end: usize,
    spelling: String,
}

/// A post as queries see it.
pub(crate) struct Post {
    excerpt: Excerpt,
    whole: Read,
    /// Without the descriptions of media.
    text: Read,
}

/// What is read of a post.
#[derive(Clone)]
struct Read {
    tokens: Vec<Token>,
    normalised: Vec<String>,
}

/// Positions of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    segment: usize,
    start: usize,
    end: usize,
}

impl Post {
    /// A post, with its words as `domain::text` reads them.
    pub(crate) fn new(excerpt: &Excerpt) -> Self {
        let mut words = Words::default();
        words.read(excerpt);
        words.read_fuzzy(excerpt);
        let mut tokens = Vec::new();
        for token in words.tokens() {
            let segment = words.segment_at(token.position);
            let first = words.tokens_of(segment).first().map_or(token.position, |first| first.position);
            let start = (token.position - first.min(token.position)) as usize;
            let spelling = match excerpt.texts.get(segment) {
                Some(text) if token.sigil == Sigil::Word => {
                    slow::spelling(&text[words.original(segment, token, token, text)])
                }
                _ => String::new(),
            };
            let (word, end) = (words.folded(token).to_owned(), start + usize::from(token.span));
            tokens.push(Token { segment, sigil: token.sigil, word, start, end, spelling });
        }
        let normalised = (0..excerpt.texts.len()).map(|segment| words.normalised(segment).to_owned()).collect();
        let whole = Read { tokens, normalised };
        let mut text = whole.clone();
        // The tags, which come after the descriptions, are read all the same.
        text.tokens.retain(|token| token.segment == 0 || token.segment >= excerpt.texts.len());
        text.normalised.truncate(1);
        Self { excerpt: excerpt.clone(), whole, text }
    }

    /// Whether the post is what the query asks for.
    pub(crate) fn satisfies(&self, ask: &Ask, lists: &Lists) -> bool {
        let in_text = matches!(ask, Ask::And(parts) if parts.iter().any(|part| matches!(part, Ask::InText)));
        let read = if in_text { &self.text } else { &self.whole };
        Evaluator { post: &self.excerpt, read, lists }.holds(ask)
    }
}

struct Evaluator<'a> {
    post: &'a Excerpt,
    read: &'a Read,
    lists: &'a Lists,
}

impl Evaluator<'_> {
    /// `AND`, `OR` and `NOT` are of truth, over the whole post.
    fn holds(&self, ask: &Ask) -> bool {
        match ask {
            Ask::Term(_) | Ask::List(_) | Ask::Near { .. } => !self.places(ask).is_empty(),
            Ask::And(parts) => parts.iter().all(|part| self.holds(part)),
            Ask::Or(parts) => parts.iter().any(|part| self.holds(part)),
            Ask::Not(part) => !self.holds(part),
            Ask::Field(field) => self.has(field),
            Ask::Regex(regex) => self.read.normalised.iter().any(|text| regex.is_match(text)),
            Ask::InText => true,
        }
    }

    /// Where something occurs.
    fn places(&self, ask: &Ask) -> Vec<Place> {
        match ask {
            Ask::Term(term) => self.places_of_term(term),
            Ask::List(name) => self.lists[name].iter().flat_map(|term| self.places_of_term(term)).collect(),
            Ask::Or(parts) => parts.iter().flat_map(|part| self.places(part)).collect(),
            Ask::Near { distance, ordered, sides } => self.near(*distance, *ordered, sides),
            Ask::And(_) | Ask::Not(_) | Ask::Field(_) | Ask::Regex(_) | Ask::InText => {
                panic!("{ask:?} has no place in a text")
            }
        }
    }

    fn places_of_term(&self, term: &Term) -> Vec<Place> {
        match &term.means {
            Means::Row(words) => {
                let mut places = self.row(words, |word, token| token.sigil == Sigil::Word && word.is(&token.word));
                places.extend(self.joined(words));
                places
            }
            Means::Fuzzy(words) => {
                let mut places = self.row(words, |Word(word), token| match token.sigil {
                    Sigil::Word => token.word == *word,
                    Sigil::Fuzzy => token.word == slow::skeleton(word),
                    Sigil::Tag | Sigil::Mention => false,
                });
                places.extend(self.joined(words));
                places
            }
            Means::Slack(words, slack) => self.stretches(words, *slack),
            Means::Exact(words) => self.row(words, |(word, spelling), token| {
                token.sigil == Sigil::Word && token.word == *word && token.spelling == *spelling
            }),
            Means::Tag(name) => self.all(|token| token.sigil == Sigil::Tag && name.is(&token.word)),
            Means::Mention(name) => self.all(|token| token.sigil == Sigil::Mention && token.word == *name),
        }
    }

    fn all(&self, fits: impl Fn(&Token) -> bool) -> Vec<Place> {
        let place = |token: &Token| Place { segment: token.segment, start: token.start, end: token.end };
        self.read.tokens.iter().filter(|token| fits(token)).map(place).collect()
    }

    /// Every choice of a token for each word, in which each begins where the one before ends.
    fn row<W>(&self, words: &[W], fits: impl Fn(&W, &Token) -> bool) -> Vec<Place> {
        let mut rows: Option<Vec<Place>> = None;
        for word in words {
            let next = self.all(|token| fits(word, token));
            rows = Some(match rows {
                None => next,
                Some(rows) => {
                    let pairs = rows.iter().flat_map(|row| next.iter().map(move |place| (row, place)));
                    let follow = pairs.filter(|(row, place)| row.segment == place.segment && row.end == place.start);
                    follow.map(|(row, place)| Place { end: place.end, ..*row }).collect()
                }
            });
        }
        rows.unwrap_or_default()
    }

    /// A phrase of several words is also the hashtag that they make when they are joined.
    fn joined(&self, words: &[Word]) -> Vec<Place> {
        if words.len() < 2 || !words.iter().all(Word::is_plain) {
            return Vec::new();
        }
        let name: String = words.iter().map(|Word(word)| word.as_str()).collect();
        self.all(|token| token.sigil == Sigil::Tag && token.word == name)
    }

    /// From where each word begins, the shortest stretch in which every word lies whole, of at
    /// most as many positions as there are words and `slack` more.
    fn stretches(&self, words: &[Word], slack: usize) -> Vec<Place> {
        let tokens = |word: &Word| self.all(|token| token.sigil == Sigil::Word && word.is(&token.word));
        let places: Vec<Vec<Place>> = words.iter().map(tokens).collect();
        let mut found = Vec::new();
        for begin in places.iter().flatten() {
            let stretch = |length| Place { end: begin.start + length, ..*begin };
            let lies_in = |whole: Place, part: &Place| {
                part.segment == whole.segment && whole.start <= part.start && part.end <= whole.end
            };
            let holds_all = |stretch: &Place| places.iter().all(|word| word.iter().any(|part| lies_in(*stretch, part)));
            found.extend((1..=words.len() + slack).map(stretch).find(holds_all));
        }
        found
    }

    /// The occurrences of each side that have one of the other near: with at most `distance`
    /// positions between them, not overlapping, the first side before the second if `ordered`.
    fn near(&self, distance: usize, ordered: bool, [first, second]: &[Ask; 2]) -> Vec<Place> {
        let (first, second) = (self.places(first), self.places(second));
        let before = |a: &Place, b: &Place| a.end <= b.start && b.start - a.end <= distance;
        let mut found = Vec::new();
        for a in &first {
            for b in &second {
                if a.segment == b.segment && (before(a, b) || !ordered && before(b, a)) {
                    found.extend([*a, *b]);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn has(&self, field: &Field) -> bool {
        let post = self.post;
        match field {
            Field::From(accounts) => accounts.iter().any(|account| self.is_from(account)),
            Field::FromList(name) => self.lists[name].iter().any(|term| match &term.means {
                Means::Mention(account) => self.is_from(account),
                _ => false,
            }),
            Field::Lang(wanted) => post.lang.iter().any(|lang| wanted.iter().any(|wanted| speaks(lang, wanted))),
            Field::Source(wanted) => wanted.contains(&post.source),
            Field::Link(domains) => hosts(post).iter().any(|host| domains.iter().any(|domain| is_below(host, domain))),
            Field::Kind(kinds) => kinds.contains(&post.kind),
            Field::Has(things) => things.iter().any(|thing| match *thing {
                "link" => !hosts(post).is_empty(),
                "media" => post.has_media,
                _ => post.has_media && post.texts.iter().skip(1).any(|text| !text.is_empty()),
            }),
            Field::MinFollowers(least) => post.followers >= Some(*least),
        }
    }

    fn is_from(&self, account: &str) -> bool {
        let account = account.trim_start_matches('@').to_lowercase();
        self.post.author.to_lowercase() == account || self.post.handle.to_lowercase() == account
    }
}

/// `en` is `en` and `en-US`.
fn speaks(lang: &str, wanted: &str) -> bool {
    let (lang, wanted) = (lang.to_lowercase(), wanted.to_lowercase());
    lang == wanted || lang.strip_prefix(&wanted).is_some_and(|region| region.starts_with(['-', '_']))
}

/// A domain is itself and everything below it.
fn is_below(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_lowercase(), domain.to_lowercase());
    host == domain || host.ends_with(&format!(".{domain}"))
}

static WRITTEN: LazyLock<regex::Regex> =
    LazyLock::new(|| regex::Regex::new(r"(?i)^https?://([\p{Alphabetic}\p{N}._~%+:@-]*)").unwrap());
static LINKED: LazyLock<regex::Regex> =
    LazyLock::new(|| regex::Regex::new(r"^(?:.*?://)?([\p{Alphabetic}\p{N}._~%+:@-]*)").unwrap());
static HOST: LazyLock<regex::Regex> = LazyLock::new(|| regex::Regex::new(r"^[\p{Alphabetic}\p{N}._-]*").unwrap());

/// Where a post links to: the hosts of its links and of the addresses in its text. A host is
/// letters, digits, `.`, `-` and `_` after the scheme and the user, if there is one.
fn hosts(post: &Excerpt) -> Vec<String> {
    let text = post.texts.get(0).unwrap_or_default();
    let addresses = text.char_indices().filter_map(|(at, _)| WRITTEN.captures(&text[at..]));
    let all = addresses.chain(post.links.iter().filter_map(|link| LINKED.captures(link)));
    let hosts = all.map(|found| {
        let (whole, user) = (found.get(1).unwrap().as_str(), found[1].rfind('@').map_or(0, |at| at + 1));
        HOST.find(&whole[user..]).unwrap().as_str().trim_end_matches(['.', '-']).to_owned()
    });
    hosts.filter(|host| !host.is_empty()).collect()
}

/// Whether a query is one: it asks for something in particular. One that an empty post
/// satisfies, or one of filters alone, would take nearly every post.
pub(crate) fn is_selective(ask: &Ask) -> bool {
    !may_hold_of_anything(ask, true)
}

/// Whether a part may come out as `wanted` of a post that has none of the words, links and
/// authors asked for, whatever the filters say of it.
fn may_hold_of_anything(ask: &Ask, wanted: bool) -> bool {
    let parts = |parts: &[Ask], all: bool| {
        let mut each = parts.iter().map(|part| may_hold_of_anything(part, wanted));
        if all { each.all(|may| may) } else { each.any(|may| may) }
    };
    match ask {
        Ask::Term(_)
        | Ask::List(_)
        | Ask::Near { .. }
        | Ask::Regex(_)
        | Ask::Field(Field::From(_) | Field::FromList(_) | Field::Link(_)) => !wanted,
        Ask::Field(_) | Ask::InText => true,
        Ask::Not(part) => may_hold_of_anything(part, !wanted),
        Ask::And(all) => parts(all, wanted),
        Ask::Or(any) => parts(any, !wanted),
    }
}
