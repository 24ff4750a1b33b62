//! What is wrong with a text a user wrote, and what to do about it.
//!
//! Every check collects these instead of stopping at the first; `crate::report`
//! renders them with the line underlined. Codes are stable: users search for them.
//!
//! Each code means one thing and belongs to one module; `tests/architecture.rs` compares
//! this table with the code. `SB00xx` is about any TOML text, `SB01xx` queries, `SB02xx`
//! rules (lints from `SB0250`, proposals from `SB0270`, lints of conditions from `SB0280`),
//! `SB03xx` a rule's tests, `SB04xx` configuration.
//!
//! | code | means |
//! | --- | --- |
//! | `SB0001` | not TOML |
//! | `SB0002` | an unknown key |
//! | `SB0003` | a key is missing |
//! | `SB0004` | a value of the wrong type |
//! | `SB0005` | a value that cannot be used |
//! | `SB0008` | a file that cannot be read |
//! | `SB0101` | a phrase, exact word or regular expression is not closed |
//! | `SB0102` | a distance or slack that is no number of words |
//! | `SB0103` | a parenthesis without its partner |
//! | `SB0104` | the query is empty or ends too early |
//! | `SB0105` | an operator has nothing to work on |
//! | `SB0106` | a term that nothing could be found by |
//! | `SB0107` | an undefined list |
//! | `SB0108` | a query that asks for nothing in particular |
//! | `SB0109` | too deep a query |
//! | `SB0110` | an empty list |
//! | `SB0111` | a list with a term that finds nothing |
//! | `SB0112` | an unknown field |
//! | `SB0113` | a value that a field does not take |
//! | `SB0114` | a wildcard that cannot be looked for |
//! | `SB0115` | nearness to something without a place |
//! | `SB0116` | a regular expression that cannot be used |
//! | `SB0117` | lists that name each other |
//! | `SB0119` | `in:text` not at the top |
//! | `SB0120` | too many terms |
//! | `SB0201` | a rule's id is taken |
//! | `SB0202` | a list's name cannot be used |
//! | `SB0204` | more than one condition |
//! | `SB0205` | a name that is the daemon's own |
//! | `SB0206` | an unknown built-in pack |
//! | `SB0207` | there is no rule at all |
//! | `SB0208` | an override of a pack or list that is not there |
//! | `SB0209` | a list is overridden twice |
//! | `SB0215` | a rule that joins others and has a query of its own |
//! | `SB0216` | a joined rule that is not there |
//! | `SB0217` | rules that join themselves or each other |
//! | `SB0218` | too few rules joined, or one twice |
//! | `SB0219` | `for` or `keep_firing_for` where nothing lasts |
//! | `SB0220` | a playbook that cannot be used as it is |
//! | `SB0250` | no test in which the rule fires |
//! | `SB0251` | no test in which the rule stays quiet |
//! | `SB0252` | a very short word is enough to match |
//! | `SB0253` | what looks like an operator is searched as a word |
//! | `SB0254` | an unused list |
//! | `SB0255` | two rules ask the same |
//! | `SB0256` | a list holds a term twice |
//! | `SB0257` | a rule does not ask for the organisation |
//! | `SB0258` | a deprecated rule |
//! | `SB0259` | a count of one |
//! | `SB0260` | a folder without rule files |
//! | `SB0261` | an override removes what a list does not hold |
//! | `SB0262` | an alternative that another one covers |
//! | `SB0263` | a query that can never match |
//! | `SB0264` | a very frequent word is enough to match |
//! | `SB0265` | a regular expression that every post must be searched for |
//! | `SB0266` | a distance wider than a post |
//! | `SB0267` | `in:text` where no text is read |
//! | `SB0268` | a handle where only keys are told |
//! | `SB0269` | a rule that looks for very much |
//! | `SB0270` | a list lacks forms of its words |
//! | `SB0271` | a list lacks what people shorten its words to |
//! | `SB0272` | the hospital's name is written in other ways, too |
//! | `SB0273` | a list lacks a language that others of its pack have |
//! | `SB0274` | a name that says little by itself |
//! | `SB0280` | a spike whose numbers make no sense |
//! | `SB0281` | a share that makes no sense |
//! | `SB0282` | a new term whose numbers make no sense |
//! | `SB0283` | a critical rule that must hold before it pages |
//! | `SB0290` | a key that makes a condition impossible |
//! | `SB0291` | a rule that a source's terms seem to forbid |
//! | `SB0292` | a rule that cannot be watched on a source which sends only what it is asked for |
//! | `SB0301` | a rule's test fails |
//! | `SB0302` | a rule's test without posts |
//! | `SB0303` | a rule's test with a history that is too long |
//! | `SB0401` | a name is taken |
//! | `SB0402` | an unknown receiver, person, team or schedule |
//! | `SB0403` | somebody or something that is never told |
//! | `SB0404` | an unknown kind of source or receiver |
//! | `SB0406` | an address or a proxy that cannot be used |
//! | `SB0407` | a secret written into the file |
//! | `SB0408` | a secret's place cannot be understood |
//! | `SB0409` | a secret is not where it should be |
//! | `SB0410` | others may read a secret's file |
//! | `SB0411` | an unknown time zone |
//! | `SB0412` | certificates that cannot be read |
//! | `SB0413` | nowhere to keep data |
//! | `SB0414` | a route or a step that can do nothing |
//! | `SB0415` | a part is absent without which nothing is heard or told |
//! | `SB0416` | a new receiver needs a restart |
//! | `SB0417` | reading the configuration panicked |
//! | `SB0418` | a route that is never reached |
//! | `SB0419` | what is kept for longer than a source's terms allow |
//! | `SB0430` | nobody where somebody must be: no contact, no member, no layer |
//! | `SB0431` | a contact that its receiver cannot use |
//! | `SB0432` | a time when nobody is on call |
//! | `SB0440` | a language that is none |
//! | `SB0441` | a template that cannot be used |
//! | `SB0450` | a way in that others can read along |
//! | `SB0451` | a certificate of `[web]` that cannot be used |
//! | `SB0433` | a matcher of `[[inhibit]]` that takes nothing, or everything |
//! | `SB0434` | a time of routes that is never, or always |
//! | `SB0435` | what is critical told to nobody at times |

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
    /// Is fine, and could be better.
    Note,
}

/// A finding in a user's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code, `SB` and four digits.
    pub code: &'static str,
    /// Error, warning or note.
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

    /// A note without a place.
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Self { level: Level::Note, ..Self::error(code, message) }
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
