//! A rule file as read: keys and types are right, queries are still text.
//!
//! `config::rules` fills these values from TOML; compiling turns them into rules.
//! Everything a later step may complain about carries its bytes in the file, so
//! that a fault in a query is underlined where the user wrote it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::condition::{Condition, Hold};
use crate::domain::diagnostic::{Place, SourceText};
use crate::domain::id::Topic;
use crate::domain::incident::Severity;
use crate::domain::organization::Organization;
use crate::domain::post::PostKind;

/// A value and the bytes of the file it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its bytes; of a string the contents, without the quotes.
    pub span: Range<usize>,
}

/// One rule file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFile {
    /// The file's name and text.
    pub source: Arc<SourceText>,
    /// `[pack]`.
    pub pack: RawPack,
    /// `[lists]`, in the file's order.
    pub lists: Vec<RawList>,
    /// `[override.PACK]`, in the file's order; taken out when they are applied.
    pub overrides: Vec<RawOverride>,
    /// `[[rule]]`, in the file's order; rules that cannot be used are left out.
    pub rules: Vec<RawRule>,
    /// Whether any was left out.
    pub lacks_rules: bool,
    /// The hospital its tests speak of, when it brings its own.
    pub organization: Option<Organization>,
}

/// `[pack]`: what the rules of a file have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawPack {
    /// Its name; the topic of rules that name none.
    pub name: Spanned<String>,
    /// One line for people; the name when the file gives none.
    pub title: String,
    /// The author's version; `0` when the file gives none.
    pub version: String,
}

impl RawPack {
    /// The pack of a file that only changes the lists of others.
    pub fn site() -> Self {
        let name = Spanned { value: "site".to_owned(), span: 0..0 };
        Self { name, title: "site".to_owned(), version: "0".to_owned() }
    }
}

/// One entry of `[lists]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawList {
    /// What `$name` in a query refers to.
    pub name: String,
    /// The bytes of its name.
    pub span: Range<usize>,
    /// Words and phrases.
    pub entries: Vec<RawEntry>,
    /// Unusual spellings of its words are found too.
    pub fuzzy: bool,
    /// What the site made of it.
    pub changed: Option<Changed>,
}

/// One entry of a list, which a site may have added from a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    /// As written.
    pub value: String,
    /// The file it stands in.
    pub source: Arc<SourceText>,
    /// Its bytes there, without the quotes.
    pub span: Range<usize>,
}

/// Where and how a site changed a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The name of the list in the override.
    pub place: Place,
    /// How many were added.
    pub added: usize,
    /// How many were taken out.
    pub removed: usize,
}

/// One entry of `[override.PACK]`: a site's own words in a pack's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawOverride {
    /// The pack's name.
    pub pack: Spanned<String>,
    /// The list's name.
    pub list: Spanned<String>,
    /// What becomes of it.
    pub change: Change,
}

/// What becomes of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These entries and no others.
    Replace(Vec<RawEntry>),
    /// Some more, some less.
    Edit {
        /// Entries the list gets.
        add: Vec<RawEntry>,
        /// Entries it loses.
        remove: Vec<RawEntry>,
    },
}

/// One `[[rule]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRule {
    /// Stable and unique over all files: state, silences and history hang on it.
    pub id: Spanned<String>,
    /// One line for people.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
    /// How far it is trusted.
    pub status: Status,
    /// What its alerts are about.
    pub topic: Topic,
    /// What a post must satisfy; of a rule that joins others empty, with the place of its condition.
    pub query: Spanned<String>,
    /// What a post must not satisfy.
    pub excepts: Vec<RawExcept>,
    /// File the people on call should follow.
    pub playbook: Option<String>,
    /// When matching posts become an alert.
    pub condition: Condition,
    /// For how long it must be true, and counts as firing after that.
    pub hold: Hold,
    /// The posts of which a share is asked for.
    pub of: Option<Spanned<String>>,
    /// By what it counts separately.
    pub by: Option<Spanned<RawBy>>,
    /// The rules that its condition joins.
    pub joins: Vec<Spanned<String>>,
    /// Kinds of source whose posts it must not read.
    pub not_on: Vec<String>,
    /// `[[rule.test]]`.
    pub tests: Vec<RawTest>,
    /// The bytes of its header.
    pub span: Range<usize>,
}

/// By what a rule counts separately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawBy {
    /// `author`.
    Author,
    /// `link`.
    Link,
    /// `tag`.
    Tag,
    /// `source`.
    Source,
    /// `$list`, without the sign; `place` is the list `places`.
    List(String),
}

/// How far a rule is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Just written.
    Experimental,
    /// Being tried out.
    Test,
    /// Trusted.
    #[default]
    Stable,
    /// To be removed.
    Deprecated,
}

impl Status {
    /// All of them, in the order of a rule's life.
    pub const ALL: [Self; 4] = [Self::Experimental, Self::Test, Self::Stable, Self::Deprecated];

    /// The word in rule files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Experimental => "experimental",
            Self::Test => "test",
            Self::Stable => "stable",
            Self::Deprecated => "deprecated",
        }
    }
}

/// One entry of `except`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawExcept {
    /// Why posts like these do not count.
    pub reason: String,
    /// What they satisfy.
    pub query: Spanned<String>,
}

/// One `[[rule.test]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawTest {
    /// What it shows.
    pub name: String,
    /// The bytes of its header.
    pub span: Range<usize>,
    /// What a spike or quiet rule saw before; when nothing is said, [`RawHistory::SILENT`] and nothing.
    pub history: Option<RawHistory>,
    /// Posts to feed, in the file's order; at least one.
    pub posts: Vec<RawTestPost>,
    /// How many alerts the rule must raise.
    pub alerts: u64,
}

/// Ordinary life before a rule test, for rules that ask what is usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawHistory {
    /// Posts that the rule took, each day, evenly.
    pub per_day: u32,
    /// For how long.
    pub lasts: Duration,
}

impl RawHistory {
    /// How long, unless something else is said.
    pub const USUAL: Duration = Duration::from_hours(14 * 24);
    /// Of a spike rule, when nothing is said.
    pub const SILENT: Self = Self { per_day: 0, lasts: Self::USUAL };
    /// As far back as a season reaches.
    pub const LONGEST: Duration = Duration::from_hours(8 * 7 * 24);
}

/// A post of a rule test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawTestPost {
    /// Time since the test began.
    pub at: Duration,
    /// Who wrote it; posts without one have authors of their own.
    pub author: Option<String>,
    /// What it says.
    pub text: String,
    /// Its key, when another post refers to it.
    pub id: Option<String>,
    /// Languages declared, as BCP 47 tags.
    pub lang: Vec<String>,
    /// Hashtags without `#`.
    pub tags: Vec<String>,
    /// Descriptions of pictures.
    pub media_text: Vec<String>,
    /// The key of the post it answers.
    pub reply_to: Option<String>,
    /// How it relates to others; an answer when it says what it answers.
    pub kind: Option<PostKind>,
    /// Addresses it links to.
    pub links: Vec<String>,
    /// The configured source it came from.
    pub source: Option<String>,
    /// Its author's handle.
    pub handle: Option<String>,
    /// Its author's followers.
    pub followers: Option<u64>,
    /// Whether it carries pictures; it does when it describes some.
    pub has_media: Option<bool>,
}

impl Spanned<String> {
    /// The file's bytes of a part of the value. Exact when the file holds the value
    /// as it is; with escapes in between, the whole string: an escape is always longer
    /// than what it stands for, so equal lengths mean that there are none.
    pub fn part(&self, part: Range<usize>) -> Range<usize> {
        if self.span.len() != self.value.len() || part.end > self.value.len() || part.start > part.end {
            return self.span.clone();
        }
        self.span.start + part.start..self.span.start + part.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_string_is_found_in_the_file_unless_escapes_shift_it() {
        let plain = Spanned { value: "gun OR".to_owned(), span: 10..16 };
        assert_eq!(plain.part(4..6), 14..16);
        assert_eq!(plain.part(6..6), 16..16);
        assert_eq!(plain.part(6..7), 10..16);
        let escaped = Spanned { value: "\"gun\"".to_owned(), span: 10..17 };
        assert_eq!(escaped.part(1..4), 10..17);
    }
}
