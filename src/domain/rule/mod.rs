//! Rules: what to look for, when it is an alert, and the tests that come with them.

pub mod budget;
pub mod compile;
pub mod cost;
pub mod exclusion;
pub mod lint;
pub mod model;
pub mod raw;
pub mod suggest;
mod taken;
pub mod trial;
mod within;

pub use compile::compile;
pub use model::{Rule, RuleIndex, RuleSet};
pub use taken::Taken;
