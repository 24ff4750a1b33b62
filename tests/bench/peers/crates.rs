//! Programs that people write in an afternoon with the crates everybody knows.

use std::borrow::Cow;
use std::collections::HashMap;

use daachorse::CharwiseDoubleArrayAhoCorasick;
use regex::RegexSetBuilder;
use serde::Deserialize;
use serde_json::Value;

use super::table::Figure;
use super::{Task, in_memory, off_a_socket};
use crate::corpus::rules::{Sort, Written};

/// Memory that a set of regexes may take.
const ROOM: usize = 4 << 30;

/// Every rule a regex, every frame a `Value`.
pub fn regex_set(task: &Task<'_>) -> Result<Figure, String> {
    let patterns = task.queries.written.iter().map(pattern);
    let set = RegexSetBuilder::new(patterns).case_insensitive(true).size_limit(ROOM).dfa_size_limit(ROOM).build();
    let set = set.map_err(|error| format!("cannot be built: {error}"))?;
    Ok(off_a_socket(task, |frame| {
        let frame: Value = serde_json::from_slice(frame).ok()?;
        let commit = &frame["commit"];
        if commit["collection"] != "app.bsky.feed.post" {
            return None;
        }
        let text = commit["record"]["text"].as_str()?;
        Some(set.matches(text).iter().count())
    }))
}

fn pattern(written: &Written) -> String {
    match written.sort {
        Sort::Regex => written.plain.clone(),
        _ => format!(r"\b{}\b", regex::escape(&written.plain)),
    }
}

/// One automaton for all terms, over text in small letters; whole words only.
pub fn daachorse(task: &Task<'_>) -> Result<Figure, String> {
    // It wants each term once.
    let mut rules: HashMap<String, Vec<u32>> = HashMap::new();
    for (written, rule) in task.queries.written.iter().zip(0..) {
        rules.entry(written.plain.to_lowercase()).or_default().push(rule);
    }
    let (terms, rules): (Vec<String>, Vec<Vec<u32>>) = rules.into_iter().unzip();
    let automaton: CharwiseDoubleArrayAhoCorasick<u32> =
        CharwiseDoubleArrayAhoCorasick::new(&terms).map_err(|error| format!("cannot be built: {error}"))?;
    let mut found: Vec<u32> = Vec::new();
    Ok(in_memory(task, |frame| {
        let text = text(frame)?.to_lowercase();
        found.clear();
        let whole = automaton.find_overlapping_iter(&text).filter(|hit| is_whole(&text, hit.start(), hit.end()));
        found.extend(whole.flat_map(|hit| &rules[hit.value() as usize]));
        found.sort_unstable();
        found.dedup();
        Some(found.len())
    }))
}

/// Whether no letter or digit touches it.
fn is_whole(text: &str, start: usize, end: usize) -> bool {
    let (before, after) = (text[..start].chars().next_back(), text[end..].chars().next());
    !before.into_iter().chain(after).any(char::is_alphanumeric)
}

/// The text of a frame's post.
fn text(frame: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Frame<'a> {
        #[serde(borrow)]
        commit: Option<Commit<'a>>,
    }
    #[derive(Deserialize)]
    struct Commit<'a> {
        collection: &'a str,
        #[serde(borrow)]
        record: Option<Record<'a>>,
    }
    #[derive(Deserialize)]
    struct Record<'a> {
        #[serde(borrow, default)]
        text: Cow<'a, str>,
    }
    let commit = serde_json::from_slice::<Frame<'_>>(frame).ok()?.commit?;
    (commit.collection == "app.bsky.feed.post").then_some(commit.record?.text)
}
