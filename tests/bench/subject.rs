//! What is measured: the program's own way from a frame's bytes to the rules that take
//! the post, and the slow evaluation it must agree with.
//!
//! Everything here that reads a frame, asks a query or explains one does it through this file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use stormbell::app::rulebook::Rulebook;
use stormbell::config::model::{RuleEntry, RuleOrigin};
use stormbell::domain::event::{Passing, SourceEvent};
use stormbell::domain::id::SourceName;
use stormbell::domain::matcher::{Matcher, Scratch};
use stormbell::domain::organization::Organization;
use stormbell::domain::post::Excerpt;
use stormbell::domain::query::{Lists, Query, explain, parse};
pub use stormbell::domain::rule::RuleSet as Rules;
use stormbell::domain::text::Words;
use stormbell::source::{Buffers, Format};

use super::corpus::HOSPITAL;
use super::corpus::rules::{Set, Sort, Writer, Written};

/// Gives up when the parser refuses so many in a row.
const PATIENCE: usize = 10_000;

/// Queries that the parser took.
pub struct Queries {
    pub parsed: Vec<Query>,
    /// As written, in the same order.
    pub written: Vec<Written>,
    /// How many of each sort it refused, replaced by others.
    refused: BTreeMap<Sort, usize>,
}

impl Queries {
    /// So many of a set.
    pub fn new(set: Set, count: usize, seed: u64) -> Self {
        let lists = lists();
        let mut all = Self { parsed: Vec::new(), written: Vec::new(), refused: BTreeMap::new() };
        let mut in_a_row = 0;
        for written in Writer::new(set, seed) {
            if all.parsed.len() == count {
                break;
            }
            match parse(&written.query, &lists) {
                Ok(query) => {
                    all.parsed.push(query);
                    all.written.push(written);
                    in_a_row = 0;
                }
                Err(mistakes) => {
                    *all.refused.entry(written.sort).or_default() += 1;
                    in_a_row += 1;
                    assert!(in_a_row < PATIENCE, "{}: {mistakes:?}", written.query);
                }
            }
        }
        all
    }

    /// What the parser refused, in words; nothing when it took everything.
    pub fn refused(&self) -> String {
        let refused: Vec<String> =
            self.refused.iter().map(|(sort, count)| format!("{count} {}", sort.plural())).collect();
        if refused.is_empty() {
            return String::new();
        }
        format!("refused by the parser and replaced by others: {}", refused.join(", "))
    }
}

/// One query, or why the parser refuses it.
pub fn query(text: &str) -> Result<Query, String> {
    parse(text, &lists()).map_err(|mistakes| {
        let told: Vec<String> =
            mistakes.iter().map(|mistake| format!("{} {}", mistake.code, mistake.message)).collect();
        told.join("; ")
    })
}

fn lists() -> Lists {
    Lists::of(&Organization::named(HOSPITAL))
}

/// All rules of some files, ready for the daemon, as a reload makes them.
pub fn load(files: &[PathBuf]) -> Rulebook {
    let entry = |file: &PathBuf| RuleEntry { origin: RuleOrigin::Path(file.clone()), place: None };
    let entries: Vec<RuleEntry> = files.iter().map(entry).collect();
    let rulebook = Rulebook::load(&entries, &Organization::named(HOSPITAL));
    assert!(rulebook.is_sound(), "{:?}", rulebook.findings);
    rulebook
}

/// One thread's buffers.
pub struct Reader {
    source: SourceName,
    excerpt: Excerpt,
    buffers: Buffers,
    scratch: Scratch,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            source: "bench".into(),
            excerpt: Excerpt::default(),
            buffers: Buffers::default(),
            scratch: Scratch::default(),
        }
    }
}

impl Reader {
    /// Reads a frame as a worker does. False when it carries no post.
    pub fn read(&mut self, frame: &[u8]) -> bool {
        let skimmed = Format::Jetstream.skim(&self.source, frame, None, &mut self.excerpt, &mut self.buffers);
        if let Some(skimmed) = skimmed {
            return matches!(skimmed.passing, Passing::Post(_));
        }
        let decoded = Format::Jetstream.decode(&self.source, frame, None);
        let Ok(SourceEvent::Post(post)) = decoded.event else { return false };
        self.excerpt.read(&post);
        true
    }

    /// The queries that the post just read satisfies.
    pub fn matches(&mut self, matcher: &Matcher) -> Vec<usize> {
        matcher.matches(&self.excerpt, &mut self.scratch)
    }

    /// From a frame to how many queries take its post; none without a post.
    pub fn frame(&mut self, frame: &[u8], matcher: &Matcher) -> Option<usize> {
        self.read(frame).then(|| self.matches(matcher).len())
    }

    /// The same with whole rules; 0 without a post.
    pub fn rules(&mut self, frame: &[u8], rules: &Rules) -> usize {
        if self.read(frame) { rules.matches(&self.excerpt, &mut self.scratch).len() } else { 0 }
    }

    /// What the slow evaluation says of the post just read, of each query.
    pub fn slowly<'a>(&self, queries: impl Iterator<Item = &'a Query>) -> Vec<bool> {
        let mut words = Words::default();
        words.read(&self.excerpt);
        words.read_fuzzy(&self.excerpt);
        queries.map(|query| explain::explain(query, &words, &self.excerpt).satisfied).collect()
    }
}
