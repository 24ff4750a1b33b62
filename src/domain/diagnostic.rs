//! What is wrong with a text a user wrote, and what to do about it.
//!
//! Every check collects these instead of stopping at the first; `crate::report`
//! renders them with the line underlined. Codes are stable: users search for them.
//!
//! | codes | about |
//! | --- | --- |
//! | `SB00xx` | TOML itself, keys, types of values |
//! | `SB01xx` | queries |
//! | `SB02xx` | rules: errors, then lints from `SB0250` |
//! | `SB03xx` | a rule's tests |
//! | `SB04xx` | configuration |

use std::ops::Range;
use std::sync::Arc;

/// A text with a name, shared by all findings in it.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceText {
    /// The path as the user would write it, or `<what it is>`.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Cannot be used.
    Error,
    /// Can be used, and is probably not what was meant.
    Warning,
}

/// A finding in a user's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code, `SB` and four digits.
    pub code: &'static str,
    /// Error or warning.
    pub level: Level,
    /// What happened, lower case, no full stop.
    pub message: String,
    /// Where; a finding about something absent has none.
    pub place: Option<Place>,
    /// What to do.
    pub help: Option<String>,
}

/// A stretch of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The text.
    pub source: Arc<SourceText>,
    /// Bytes of it.
    pub span: Range<usize>,
    /// A word or two shown at the underline.
    pub label: String,
}

impl Diagnostic {
    /// An error without a place.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, level: Level::Error, message: message.into(), place: None, help: None }
    }

    /// A warning without a place.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(code, message) }
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, source: &Arc<SourceText>, span: Range<usize>, label: impl Into<String>) -> Self {
        self.place = Some(Place { source: Arc::clone(source), span, label: label.into() });
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Whether any finding forbids use.
pub fn has_errors(findings: &[Diagnostic]) -> bool {
    findings.iter().any(|finding| finding.level == Level::Error)
}
