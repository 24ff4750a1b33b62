//! The query language: what a post must say.
//!
//! [`parse`] turns text into a [`Query`], a tree over folded words; [`explain`]
//! evaluates it slowly and says why; `crate::domain::matcher` evaluates many of
//! them fast. The three agree because they share [`ast`] and `domain::text`; a naive
//! evaluator in the tests defines what they have to agree on.
//! Nothing here knows of rule files or alerts.

pub mod ast;
pub mod explain;
pub mod field;
mod fields;
mod lex;
pub mod missing;
pub mod names;
mod occur;
mod parse;
pub mod regex;
pub mod term;

pub use ast::{Lists, Query};
pub(in crate::domain) use parse::nearest;
pub use parse::{Mistake, parse};
pub use term::Term;
