//! Silences: incidents that nobody is told of for a while, because a person said so.
//!
//! Not the silence of a stream, which `quiet` rules tell of. A silence here is an order with an author, a reason and an end. Its matchers are those of
//! Alertmanager cut down to what incidents have: a rule, a topic, a severity; all of them must
//! fit. Values are exact or globs (`cyber*`), several are divided by commas. Regular expressions
//! were left out: whoever reads `topic=cyber*` at 3 a.m. knows what is silent.
//!
//! A rule is silenced, not an incident: an incident is mute only while each of its rules is. So
//! "the printer rule is noisy" never hides what another rule finds on the same topic. Two things
//! nobody silences by the way: what is critical, and what Stormbell says of itself. A matcher must
//! name them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::id::{RuleId, SilenceId, Topic, typeable};
use super::incident::{Incident, OWN, Severity, Signature};
use super::route::Glob;
use super::time::Timestamp;

/// The longest time a silence lasts, and the furthest that one may begin ahead.
pub const LONGEST: Duration = Duration::from_hours(31 * 24);
/// The most silences that are in force or still to come.
pub const MOST: usize = 1000;
/// The longest reason, in characters.
const REASON: usize = 1000;
/// The most matchers, and values of one.
const PARTS: usize = 32;

/// A time in which some rules tell nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its name.
    pub id: SilenceId,
    /// What must fit; never empty.
    pub matchers: Vec<Matcher>,
    /// Whose order it is.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it was ordered (wall time).
    pub ordered: Timestamp,
    /// When it begins (wall time).
    pub from: Timestamp,
    /// When it ends (wall time).
    pub until: Timestamp,
    /// Who ended it before its time.
    pub ended: Option<Signature>,
}

/// What a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What must fit.
    pub matchers: Vec<Matcher>,
    /// Whose order it is.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it begins; none means now.
    pub from: Option<Timestamp>,
    /// When it ends.
    pub until: Timestamp,
}

/// An order about silences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// From now on, or from a time on.
    Add(Draft),
    /// Not any longer.
    End {
        /// Which.
        id: SilenceId,
        /// Who says so.
        by: String,
    },
}

/// Why an order could not be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It would silence everything.
    #[error("say what to silence: rule=…, topic=… or severity=…")]
    NothingNamed,
    /// Too much of it.
    #[error("a silence has at most {PARTS} matchers")]
    TooManyMatchers,
    /// Nobody to ask.
    #[error("say who silences it")]
    NoAuthor,
    /// Nobody will know why.
    #[error("say why: the reason is shown on every incident it mutes")]
    NoReason,
    /// A treatise.
    #[error("the reason must be at most {REASON} characters")]
    LongReason,
    /// It would be over before it begins.
    #[error("the silence must end after it begins, and after now")]
    Over,
    /// Somebody would forget it.
    #[error("a silence lasts at most 31 days and begins within 31 days; renew it if it is still needed")]
    TooLong,
    /// Somebody's program is at fault.
    #[error("there are {MOST} silences already; end some")]
    TooMany,
    /// It never existed, or it is over.
    #[error("no silence in force or to come has this id")]
    NoSuchSilence,
}

/// Where a silence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilenceState {
    /// In force.
    Active,
    /// Still to come.
    Pending,
    /// Over.
    Expired,
}

impl SilenceState {
    /// The word in JSON, as Alertmanager has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Expired => "expired",
        }
    }
}

impl Silence {
    /// The silence that a draft asks for.
    ///
    /// # Errors
    /// What is missing or too much, see [`Refused`].
    pub fn of(draft: Draft, now: Timestamp) -> Result<Self, Refused> {
        let Draft { matchers, by, reason, from, until } = draft;
        let from = from.unwrap_or(now).max(now);
        let (by, reason) = (by.trim().to_owned(), reason.trim().to_owned());
        let refused = [
            (matchers.is_empty(), Refused::NothingNamed),
            (matchers.len() > PARTS, Refused::TooManyMatchers),
            (by.is_empty(), Refused::NoAuthor),
            (reason.is_empty(), Refused::NoReason),
            (reason.chars().count() > REASON, Refused::LongReason),
            (until <= from, Refused::Over),
            (until.since(from) > LONGEST || from.since(now) > LONGEST, Refused::TooLong),
        ];
        if let Some((_, refused)) = refused.into_iter().find(|(applies, _)| *applies) {
            return Err(refused);
        }
        let words: Vec<String> = matchers.iter().map(ToString::to_string).collect();
        let times = [now, from, until].map(|time| time.micros().to_string());
        let id = typeable(&format!("{}\n{by}\n{reason}\n{}", words.join(" "), times.join("\n")));
        let id = SilenceId::from(format!("sil-{id}"));
        Ok(Self { id, matchers, by, reason, ordered: now, from, until, ended: None })
    }

    /// Where it stands.
    pub fn state(&self, now: Timestamp) -> SilenceState {
        match () {
            () if now >= self.until => SilenceState::Expired,
            () if now >= self.from => SilenceState::Active,
            () => SilenceState::Pending,
        }
    }

    /// Whether it is for a rule's alerts while their incident is of that topic and severity.
    pub fn fits(&self, rule: &RuleId, topic: &Topic, severity: Severity) -> bool {
        let fit = self.matchers.iter().all(|matcher| matcher.fits(rule, topic, severity));
        fit && protection(&self.matchers, topic, severity).is_none()
    }

    /// Matchers, author, reason and end in a line.
    pub fn line(&self) -> String {
        let matchers: Vec<String> = self.matchers.iter().map(ToString::to_string).collect();
        let (id, until) = (&self.id, self.until.whole_second());
        format!("{id} ({}) by {} until {until}: {}", matchers.join(" "), self.by, self.reason)
    }
}

/// What keeps matchers from silencing what they fit.
pub(super) fn protection(matchers: &[Matcher], topic: &Topic, severity: Severity) -> Option<Because> {
    let own = topic.as_str().starts_with(OWN);
    if severity == Severity::Critical && !matchers.iter().any(Matcher::names_critical) {
        return Some(Because::Critical);
    }
    (own && !matchers.iter().any(Matcher::names_own)).then_some(Because::Own)
}

/// What a silence would have done to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Muted it.
    Muted,
    /// Not muted it, although its matchers fit a rule of it.
    Spared(Because),
    /// Had nothing to do with it.
    Other,
}

/// Why an incident would not have been muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Because {
    /// It is critical, and no matcher says so.
    #[error("critical: name severity=critical, or the rule or topic without *")]
    Critical,
    /// It is about Stormbell, and no matcher says so.
    #[error("about Stormbell itself: name a topic or rule that begins with stormbell")]
    Own,
    /// Another rule of it speaks on.
    #[error("another of its rules is not silenced")]
    OtherRule,
}

impl Verdict {
    /// What a silence with these matchers alone would have done to an incident as it is.
    pub fn of(matchers: &[Matcher], incident: &Incident) -> Self {
        let Incident { rules, topic, severity, .. } = incident;
        let fits = |rule| matchers.iter().all(|matcher| matcher.fits(rule, incident.topic_of(rule), *severity));
        if !rules.iter().any(fits) {
            return Self::Other;
        }
        match protection(matchers, topic, *severity) {
            Some(because) => Self::Spared(because),
            None if rules.iter().all(fits) => Self::Muted,
            None => Self::Spared(Because::OtherRule),
        }
    }
}

/// The silences among those that mute an incident: none unless each of its rules is silenced.
pub fn muting<'a>(silences: impl Iterator<Item = &'a Silence>, incident: &Incident) -> Vec<&'a Silence> {
    let Incident { rules, severity, .. } = incident;
    let fits = |silence: &Silence, rule| silence.fits(rule, incident.topic_of(rule), *severity);
    let fitting: Vec<_> = silences.filter(|silence| rules.iter().any(|rule| fits(silence, rule))).collect();
    let all = rules.iter().all(|rule| fitting.iter().any(|silence| fits(silence, rule)));
    if all { fitting } else { Vec::new() }
}

/// What a matcher looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The rule's id.
    Rule,
    /// The topic of an incident's rule.
    Topic,
    /// The incident's severity.
    Severity,
}

impl Field {
    const ALL: [(&'static str, Self); 3] = [("rule", Self::Rule), ("topic", Self::Topic), ("severity", Self::Severity)];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Topic => "topic",
            Self::Severity => "severity",
        }
    }
}

/// `topic=cyber*`, `severity=low,info`, `rule!=cyber.outage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    field: Field,
    /// `!=`: none of the values may fit.
    not: bool,
    values: Vec<Glob>,
}

/// Why a text is no matcher.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAMatcher {
    /// No operator in it.
    #[error("`{0}` is no matcher: write rule=…, topic=… or severity=…, with * for any characters")]
    NoOperator(String),
    /// A regular expression.
    #[error("`{0}`: regular expressions are not taken here; write globs such as topic=cyber*, several with commas")]
    Regex(String),
    /// Nothing incidents have.
    #[error("`{0}` cannot be matched: incidents have a rule, a topic and a severity")]
    NoSuchField(String),
    /// Not a value.
    #[error("`{0}` is no value: a name in lower-case letters, digits, `-`, `_` and `.`, with * for any characters")]
    NotAValue(String),
    /// Not a severity.
    #[error("`{0}` is no severity: critical, high, medium, low or info")]
    NoSuchSeverity(String),
}

impl Matcher {
    /// Whether it fits one of a topic's rules at a severity.
    pub fn fits(&self, rule: &RuleId, topic: &Topic, severity: Severity) -> bool {
        let text = match self.field {
            Field::Rule => rule.as_str(),
            Field::Topic => topic.as_str(),
            Field::Severity => severity.as_str(),
        };
        self.values.iter().any(|value| value.fits(text)) != self.not
    }

    /// Whether whoever wrote it knows that something critical may be meant.
    fn names_critical(&self) -> bool {
        let exact = |value: &Glob| !value.0.contains('*');
        match self.field {
            Field::Severity => !self.not && self.values.iter().any(|value| value.0 == Severity::Critical.as_str()),
            Field::Rule | Field::Topic => !self.not && self.values.iter().all(exact),
        }
    }

    /// Whether whoever wrote it knows that Stormbell's own troubles are meant.
    fn names_own(&self) -> bool {
        let own = |value: &Glob| value.0.starts_with(OWN.trim_end_matches('.'));
        self.field != Field::Severity && !self.not && self.values.iter().all(own)
    }
}

impl FromStr for Matcher {
    type Err = NotAMatcher;

    fn from_str(text: &str) -> Result<Self, NotAMatcher> {
        let text = text.trim();
        let Some((left, right)) = text.split_once('=') else { return Err(NotAMatcher::NoOperator(text.to_owned())) };
        if right.starts_with('~') {
            return Err(NotAMatcher::Regex(text.to_owned()));
        }
        let (name, not) = match left.strip_suffix('!') {
            Some(name) => (name.trim(), true),
            None => (left.trim(), false),
        };
        let field = Field::ALL.iter().find(|(known, _)| *known == name).map(|(_, field)| *field);
        let field = field.ok_or_else(|| NotAMatcher::NoSuchField(name.to_owned()))?;
        let right = right.trim();
        let right = right.strip_prefix('"').and_then(|right| right.strip_suffix('"')).unwrap_or(right);
        let values: Vec<Glob> =
            right.split(',').map(|value| Self::value(field, value.trim())).collect::<Result<_, _>>()?;
        if values.len() > PARTS {
            return Err(NotAMatcher::NotAValue(right.to_owned()));
        }
        Ok(Self { field, not, values })
    }
}

impl Matcher {
    fn value(field: Field, text: &str) -> Result<Glob, NotAMatcher> {
        let letters = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '-' | '_' | '.' | '*');
        match field {
            Field::Severity if Severity::parse(text).is_none() => Err(NotAMatcher::NoSuchSeverity(text.to_owned())),
            _ if text.is_empty() || text.len() > 200 || !text.chars().all(letters) => {
                Err(NotAMatcher::NotAValue(text.to_owned()))
            }
            _ => Ok(Glob(text.to_owned())),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<&str> = self.values.iter().map(|value| value.0.as_str()).collect();
        let operator = if self.not { "!=" } else { "=" };
        write!(f, "{}{operator}{}", self.field.as_str(), values.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Severity::{High, Info, Low};

    fn silence(matchers: &[&str]) -> Silence {
        let draft = Draft {
            matchers: matchers.iter().map(|text| text.parse().unwrap()).collect(),
            by: "ann".to_owned(),
            reason: "maintenance".to_owned(),
            from: None,
            until: Timestamp::from_seconds(60),
        };
        Silence::of(draft, Timestamp::default()).unwrap()
    }

    #[test]
    fn every_matcher_must_fit() {
        let fits = |matchers: &[&str], rule: &str, topic: &str, severity| {
            silence(matchers).fits(&rule.into(), &topic.into(), severity)
        };
        assert!(fits(&["topic=cyber*"], "cyber.outage", "cyber-attack", High));
        assert!(!fits(&["topic=cyber*"], "cyber.outage", "a-cyber-attack", High));
        assert!(fits(&["topic=cyber*", "severity=low,info"], "r", "cyber", Info));
        assert!(!fits(&["topic=cyber*", "severity=low,info"], "r", "cyber", High));
        assert!(fits(&["severity!=high,critical"], "r", "t", Low));
        assert!(!fits(&["severity!=high,critical"], "r", "t", High));
        assert!(fits(&["rule!=cyber.outage", "topic=cyber"], "cyber.ransom", "cyber", High));
        assert!(!fits(&["rule!=cyber.outage", "topic=cyber"], "cyber.outage", "cyber", High));
        assert!(fits(&[" topic = \"cyber\" "], "r", "cyber", High), "as amtool's users write it");
    }

    #[test]
    fn a_critical_must_be_named() {
        for (matchers, silences) in [
            (&["topic=*"][..], false),
            (&["topic=active*"], false),
            (&["rule=active-threat.*"], false),
            (&["severity!=low"], false),
            (&["topic!=cyber"], false),
            (&["topic=active-threat,cyber*"], false),
            (&["topic=active-threat"], true),
            (&["rule=active-threat.gunman"], true),
            (&["topic=active*", "severity=critical"], true),
            (&["topic=active*", "severity=critical,high"], true),
        ] {
            let (rule, topic) = ("active-threat.gunman".into(), "active-threat".into());
            assert_eq!(silence(matchers).fits(&rule, &topic, Severity::Critical), silences, "{matchers:?}");
        }
    }

    #[test]
    fn what_stormbell_says_of_itself_must_be_named() {
        for (matchers, silences) in [
            (&["topic=*"][..], false),
            (&["severity=high"], false),
            (&["topic=s*"], false),
            (&["topic=stormbell.blind.*"], true),
            (&["rule=stormbell.blind"], true),
            (&["topic=stormbell.blind.bluesky", "severity=high"], true),
        ] {
            let (rule, topic) = ("stormbell.blind".into(), "stormbell.blind.bluesky".into());
            assert_eq!(silence(matchers).fits(&rule, &topic, High), silences, "{matchers:?}");
        }
    }

    #[test]
    fn matchers_are_read_and_written_alike() {
        for text in ["topic=cyber*", "severity=low,info", "rule!=cyber.outage"] {
            assert_eq!(text.parse::<Matcher>().unwrap().to_string(), text);
        }
        for (text, wrong) in [
            ("cyber", "is no matcher"),
            ("topic=~cyber.*", "regular expressions"),
            ("topic!~cyber", "is no matcher"),
            ("alertname=x", "incidents have a rule"),
            ("topic=", "is no value"),
            ("topic=a,,b", "is no value"),
            ("topic=Cyber", "is no value"),
            ("severity=urgent", "is no severity"),
            ("severity=*", "is no severity"),
        ] {
            let error = text.parse::<Matcher>().unwrap_err().to_string();
            assert!(error.contains(wrong), "{text}: {error}");
        }
    }

    #[test]
    fn a_silence_needs_an_author_a_reason_and_an_end() {
        let now = Timestamp::from_seconds(1_000_000);
        let day = Duration::from_hours(24);
        let good = Draft {
            matchers: vec!["topic=cyber".parse().unwrap()],
            by: "ann".to_owned(),
            reason: "patch night".to_owned(),
            from: None,
            until: now + day,
        };
        let refused = |change: &dyn Fn(&mut Draft)| {
            let mut draft = good.clone();
            change(&mut draft);
            Silence::of(draft, now).unwrap_err()
        };
        assert_eq!(refused(&|draft| draft.matchers.clear()), Refused::NothingNamed);
        assert_eq!(refused(&|draft| draft.by = " ".to_owned()), Refused::NoAuthor);
        assert_eq!(refused(&|draft| draft.reason = "\n".to_owned()), Refused::NoReason);
        assert_eq!(refused(&|draft| draft.reason = "x".repeat(1001)), Refused::LongReason);
        assert_eq!(refused(&|draft| draft.until = now), Refused::Over);
        assert_eq!(refused(&|draft| draft.until = now + 32 * day), Refused::TooLong);
        let far = |draft: &mut Draft| (draft.from, draft.until) = (Some(now + 40 * day), now + 41 * day);
        assert_eq!(refused(&far), Refused::TooLong);

        let later = Draft { from: Some(now + Duration::from_hours(1)), ..good.clone() };
        let later = Silence::of(later, now).unwrap();
        let state = |seconds| later.state(now + Duration::from_secs(seconds));
        assert_eq!(state(3599), SilenceState::Pending);
        assert_eq!(state(3600), SilenceState::Active);
        assert_eq!(state(86_400), SilenceState::Expired);
        let past = Draft { from: Some(Timestamp::default()), ..good.clone() };
        assert_eq!(Silence::of(past, now).unwrap().from, now, "nobody rewrites the past");
        assert_eq!(Silence::of(good.clone(), now), Silence::of(good, now), "the same order, the same name");
    }
}
