//! The cheapest exception: which words would take out what people called noise, and nothing that was real.
//!
//! A proposal, never a change. Candidates are words, and two that follow each other, of the noise; whatever stands in a
//! post that was judged real is none, nor is what the rule itself asks for. Of those the fewest that together are in all
//! of the noise, and of equals what is in the fewest other posts of the rule. Looked for exactly while one or two will
//! do, and greedily after that: an exception of five words is no insight any more.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use crate::domain::condition::is_stop;
use crate::domain::post::{Excerpt, Post};
use crate::domain::text::{Sigil, Token, Words};

/// Posts of noise that are looked at: one bit each.
const MOST_NOISE: usize = 64;
/// Candidates that pairs are made of: those in most of the noise.
const PAIRED: usize = 200;
/// Words and phrases that an exception has at most.
const MOST: usize = 4;
/// Letters of a word.
const SHORTEST: usize = 3;

/// What would take the noise out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// As a query.
    pub query: String,
    /// Posts of noise, all of which it takes out.
    pub noise: usize,
    /// Other posts of the rule, of which nobody said what they were, that it takes out too.
    pub others: usize,
    /// How many of those were looked at.
    pub looked_at: usize,
}

/// What takes out all of the noise and nothing that is real; none when no few words do.
pub fn cheapest(rule: &Rule, noise: &[Post], real: &[Post], others: &[Post]) -> Option<Exclusion> {
    let noise = noise.get(..noise.len().min(MOST_NOISE)).unwrap_or_default();
    if noise.is_empty() {
        return None;
    }
    let asked: BTreeSet<String> =
        rule.asked().flat_map(|query| query.terms()).flat_map(|term| words(&term.text)).collect();
    let is_real: BTreeSet<String> = real.iter().flat_map(said).collect();
    let mut masks: BTreeMap<String, u64> = BTreeMap::new();
    for (place, post) in noise.iter().enumerate() {
        let found = marked(rule, post);
        for candidate in said(post) {
            let own = candidate.split(' ').any(|word| asked.contains(word) || found.contains(word));
            if !own && !is_real.contains(&candidate) {
                *masks.entry(candidate).or_default() |= 1 << place;
            }
        }
    }
    let mut elsewhere: BTreeMap<String, usize> = BTreeMap::new();
    for candidate in others.iter().flat_map(said).filter(|candidate| masks.contains_key(candidate)) {
        *elsewhere.entry(candidate).or_default() += 1;
    }
    let cost = |text: &str| (elsewhere.get(text).copied().unwrap_or(0), text.contains(' '));
    let mut candidates: Vec<(&str, u64)> = masks.iter().map(|(text, mask)| (text.as_str(), *mask)).collect();
    candidates.sort_by_key(|(text, mask)| (Reverse(mask.count_ones()), cost(text)));
    let all = u64::MAX >> (MOST_NOISE - noise.len());
    let chosen = chosen(&candidates, all, cost)?;
    let takes_out = |post: &&Post| said(post).iter().any(|text| chosen.contains(&text.as_str()));
    let others_out = others.iter().filter(takes_out).count();
    Some(Exclusion { query: query(&chosen), noise: noise.len(), others: others_out, looked_at: others.len() })
}

/// The fewest candidates that are in all of the noise; they come by how much of it they are in.
fn chosen<'a>(candidates: &[(&'a str, u64)], all: u64, cost: impl Fn(&str) -> (usize, bool)) -> Option<Vec<&'a str>> {
    let alone = candidates.iter().filter(|(_, mask)| *mask == all).min_by_key(|(text, _)| cost(text));
    if let Some((text, _)) = alone {
        return Some(vec![text]);
    }
    let paired = candidates.get(..candidates.len().min(PAIRED)).unwrap_or_default();
    let pairs = paired.iter().enumerate().flat_map(|(place, one)| {
        let later = paired.get(place + 1..).unwrap_or_default();
        later.iter().filter(|other| one.1 | other.1 == all).map(|other| (one.0, other.0))
    });
    let sum = |(one, other): &(&str, &str)| {
        let ((one, is_phrase), (other, also)) = (cost(one), cost(other));
        (one + other, is_phrase, also)
    };
    if let Some((one, other)) = pairs.min_by_key(sum) {
        return Some(vec![one, other]);
    }
    let (mut chosen, mut left) = (Vec::new(), all);
    while left != 0 && chosen.len() < MOST {
        let rank = |(text, mask): &&(&str, u64)| (Reverse((mask & left).count_ones()), cost(text));
        let (text, mask) = candidates.iter().min_by_key(rank).filter(|(_, mask)| mask & left != 0)?;
        chosen.push(*text);
        left &= !mask;
    }
    (left == 0).then_some(chosen)
}

/// The words and pairs of words of a post that could be an exception.
fn said(post: &Post) -> BTreeSet<String> {
    let excerpt = Excerpt::of(post);
    let words = Words::of_post(&excerpt);
    let mut said = BTreeSet::new();
    let mut before: Option<(u32, &str)> = None;
    for (word, Token { position, .. }) in
        words.words().filter(|(_, token)| token.sigil == Sigil::Word && token.span == 1)
    {
        let is_word = word.chars().count() >= SHORTEST && word.chars().all(char::is_alphabetic);
        if is_word && !is_stop(word) {
            said.insert(word.to_owned());
        }
        if let Some((last, first)) = before.filter(|_| is_word)
            && last + 1 == *position
        {
            said.insert(format!("{first} {word}"));
        }
        before = is_word.then_some((*position, word));
    }
    said
}

/// The words by which the rule took a post.
fn marked(rule: &Rule, post: &Post) -> BTreeSet<String> {
    let places = rule.explain(post).query.places(0);
    places.into_iter().filter_map(|place| post.text.get(place)).flat_map(words).collect()
}

fn words(text: impl AsRef<str>) -> Vec<String> {
    let words = Words::of(text.as_ref());
    words.words().map(|(word, _)| word.to_owned()).collect()
}

/// Two folded words are a phrase.
fn query(chosen: &[&str]) -> String {
    let terms: Vec<String> =
        chosen.iter().map(|text| if text.contains(' ') { format!("\"{text}\"") } else { (*text).to_owned() }).collect();
    terms.join(" OR ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::rules::parse_rules;
    use crate::domain::diagnostic::SourceText;
    use crate::domain::organization::Organization;
    use crate::domain::rule::compile;
    use crate::domain::time::Timestamp;

    fn rule(query: &str) -> Rule {
        let text = format!(
            "schema = 1\n[pack]\nname = \"p\"\n[[rule]]\nid = \"p.a\"\ntitle = \"A\"\nseverity = \"low\"\nquery = '{query}'\n"
        );
        let (file, _) = parse_rules(&Arc::new(SourceText { name: "f".to_owned(), text }));
        compile(&file.unwrap(), &Organization::example()).0.remove(0)
    }

    fn posts(texts: &[&str]) -> Vec<Post> {
        let post = |(n, text): (usize, &&str)| {
            let id = format!("p{n}");
            Post::plain(id.as_str().into(), "s".into(), id.as_str().into(), (*text).to_owned(), Timestamp::default())
        };
        texts.iter().enumerate().map(post).collect()
    }

    /// As a query, and how many others it takes out.
    fn found(noise: &[&str], real: &[&str], others: &[&str]) -> Option<(String, usize)> {
        let found = cheapest(&rule("gunman OR shots"), &posts(noise), &posts(real), &posts(others))?;
        assert_eq!((found.noise, found.looked_at), (noise.len(), others.len()));
        Some((found.query, found.others))
    }

    /// One that takes out nothing else.
    fn query(text: &str) -> (String, usize) {
        (text.to_owned(), 0)
    }

    #[test]
    fn the_fewest_words_take_out_all_noise_and_nothing_real() {
        let noise = ["Gunman movie tonight", "new gunman MOVIE trailer"];
        assert_eq!(found(&noise, &[], &[]), Some(query("movie")));
        // A word that is in something real is none, however often noise has it.
        let real = ["gunman near the movie theatre"];
        let (words, _) = found(&noise, &real, &[]).unwrap();
        assert!(!words.split(" OR ").any(|word| word == "movie"), "{words}");
        assert_eq!(words.split(" OR ").count(), 2, "{words}");
    }

    #[test]
    fn of_equals_what_is_in_the_fewest_others_is_proposed() {
        let noise = ["gunman lasertag arena", "shots lasertag arena"];
        assert_eq!(found(&noise, &[], &["gunman at the arena"]), Some(query("lasertag")));
        assert_eq!(
            found(&noise, &[], &["gunman lasertag", "gunman lasertag", "shots arena"]),
            Some(query("\"lasertag arena\""))
        );
    }

    #[test]
    fn what_the_rule_asks_for_is_no_exception() {
        assert_eq!(found(&["gunman"], &[], &[]), None);
        assert_eq!(found(&["shots and gunman"], &[], &[]), None, "nor are words that are everywhere");
        assert_eq!(found(&[], &["gunman"], &[]), None);
        assert_eq!(found(&["gunman 123 <b> =1"], &[], &[]), None, "numbers and signs are no words");
    }

    #[test]
    fn two_words_in_a_row_where_each_alone_is_real() {
        let real = ["gunman in the escape hatch", "shots in the emergency room"];
        assert_eq!(
            found(&["gunman escape room fun"], &real, &["gunman fun", "shots fun"]),
            Some(query("\"escape room\""))
        );
    }

    #[test]
    fn every_proposal_takes_out_what_it_says() {
        let texts =
            ["gunman alpha beta", "gunman beta gamma", "gunman gamma delta", "gunman delta alpha", "gunman omega"];
        let real = ["gunman beta", "gunman delta"];
        let found = cheapest(&rule("gunman"), &posts(&texts), &posts(&real), &[]).unwrap();
        let out = rule(&found.query);
        assert!(posts(&texts).iter().all(|post| out.explain(post).matched()), "{}", found.query);
        assert!(!posts(&real).iter().any(|post| out.explain(post).matched()), "{}", found.query);
    }
}
