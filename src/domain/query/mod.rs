//! The query language: what a post must say.
//!
//! `parse` turns text into a [`Query`], a tree over folded words; [`explain`]
//! evaluates it slowly and says why; `crate::domain::matcher` evaluates many of
//! them fast. The three agree because they share [`ast`] and `domain::text`.
//! Nothing here knows of rule files, alerts or posts' authors.
//!
//! This version has words, phrases, `AND`, `OR`, `NOT`, parentheses and `$lists`;
//! what it lacks is refused by name, never taken for a word.

pub mod ast;
pub mod explain;
mod lex;
mod parse;

pub use ast::{Lists, Query, Term};
pub use parse::{Mistake, parse};
