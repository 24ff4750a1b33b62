//! The query language: its definition, and proof that what decides and what explains agree
//! with it, on made-up queries and posts and on those of ../shared/data.
//!
//! `STORMBELL_CASES=2000000 cargo test --release --test query` tries so many pairs of a
//! query and a post instead of the few thousand of an ordinary run.

#![cfg(test)]
#![allow(clippy::string_slice, reason = "positions were found in the same text; a wrong one fails the test")]

use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

mod agree;
mod file;
mod hostile;
mod invent;
mod naive;
mod real;
mod slow;
mod translate;
mod words;
mod written;

/// How many pairs of a query and a post each property tries.
fn cases(usual: usize) -> usize {
    std::env::var("STORMBELL_CASES").map_or(usual, |cases| cases.parse().expect("STORMBELL_CASES is a number"))
}

/// The same series of inventions at every run; more cases go further along it.
fn inventor() -> TestRunner {
    TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Simplifies while the property fails.
fn shrink<T: ValueTree>(tree: &mut T, fails: impl Fn(&T::Value) -> bool) {
    while tree.simplify() {
        while !fails(&tree.current()) {
            if !tree.complicate() {
                return;
            }
        }
    }
}
