//! Message texts that a hospital writes itself: Jinja templates (`minijinja`), one for a receiver
//! and language.
//!
//! A template makes words, never markup: its first line is the headline, every other line a fact, and each
//! receiver escapes them as it does with ours. So no template can open a hole. It sees only
//! what its receiver may read, and it cannot take the mark off an exercise. Where it fails, people are told in our
//! own words: no message is ever lost to one.
//!
//! The alternative, templates of whole bodies in each service's markup, is what rivals have; there
//! one forgotten filter lets a stranger's post ring everybody in a channel.

use std::fmt;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, State, UndefinedBehavior, Value};
use serde::Serialize;

use crate::domain::time::Timestamp;

/// Steps of the template's program. A message takes hundreds; an endless loop ends here.
const FUEL: u64 = 50_000;
/// How a time is shown when the template does not say.
const TIME: &str = "%Y-%m-%d %H:%M:%S %Z";
/// The only template of its environment.
const NAME: &str = "message";

/// What a template can speak of. Names are promises to those who write them; the texts are clean: without
/// hidden characters, strangers' links without their bite.
#[derive(Clone, Debug, Serialize)]
pub struct Words<'a> {
    /// `opened`, `updated`, `acknowledged`, `escalated` or `resolved`.
    pub kind: &'a str,
    /// Our own first line.
    pub headline: String,
    /// Our own facts.
    pub facts: Vec<Named>,
    /// The incident's id.
    pub id: &'a str,
    /// One line, without the mark of an exercise.
    pub title: String,
    /// `critical`, `high`, `medium`, `low` or `info`.
    pub severity: &'a str,
    /// `open`, `acknowledged` or `resolved`.
    pub state: &'a str,
    /// What it is about.
    pub topic: String,
    /// Other topics that joined it.
    pub also: Vec<String>,
    /// The rules that fired.
    pub rules: Vec<&'a str>,
    /// Matching posts.
    pub posts: u64,
    /// Their authors.
    pub authors: u64,
    /// Distinct stories.
    pub stories: u64,
    /// Counts and times in a sentence.
    pub summary: String,
    /// The first alert's reason; without strangers' words unless the receiver is cleared.
    pub why: String,
    /// What to follow.
    pub playbook: Option<String>,
    /// A drill.
    pub exercise: bool,
    /// Learned long after it happened.
    pub late: bool,
    /// RFC 3339.
    pub opened_at: String,
    /// RFC 3339.
    pub first_post_at: String,
    /// RFC 3339.
    pub last_post_at: String,
    /// Who took charge.
    pub acknowledged: Option<Signed>,
    /// Who ended it.
    pub resolved: Option<Signed>,
    /// The id of the incident that it goes on as, if it was merged into one; `resolved` says by whom.
    pub merged_into: Option<&'a str>,
    /// The person it is for.
    pub person: Option<&'a str>,
    /// What people wrote; empty unless the receiver is cleared.
    pub sample: Vec<Named>,
    /// IANA name; what the filter `local` shows times in.
    pub timezone: &'a str,
}

/// Something with a name before it: a fact, or a post with its author.
#[derive(Clone, Debug, Serialize)]
pub struct Named {
    /// The fact's name, the author's handle, or nothing.
    pub name: String,
    /// One line.
    pub text: String,
}

/// Who did something, and when.
#[derive(Clone, Debug, Serialize)]
pub struct Signed {
    /// By name.
    pub by: String,
    /// RFC 3339.
    pub at: String,
}

/// What a template made of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Its first line with anything on it.
    pub headline: String,
    /// The others.
    pub lines: Vec<String>,
}

/// A template that has been tried.
pub struct Template {
    environment: Environment<'static>,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{text}", line.map_or_else(String::new, |line| format!("line {line}: ")))]
pub struct Mistake {
    /// From 1.
    pub line: Option<usize>,
    /// In words.
    pub text: String,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`Mistake`] when it is none, or fails for a message that will come: every kind of message is
    /// tried, of a drill and not, with posts and without.
    pub fn new(source: &str) -> Result<Self, Mistake> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.add_filter("local", local);
        environment.add_template_owned(NAME, source.to_owned()).map_err(Mistake::from)?;
        let template = Self { environment };
        for words in examples() {
            template.render(&words).map_err(|mistake| Mistake {
                text: format!("{} (tried with “{}”)", mistake.text, words.kind),
                ..mistake
            })?;
        }
        Ok(template)
    }

    /// What it makes of a message.
    ///
    /// # Errors
    /// [`Mistake`] when it fails, or makes nothing at all.
    pub fn render(&self, words: &Words<'_>) -> Result<Rendered, Mistake> {
        let text =
            self.environment.get_template(NAME).and_then(|template| template.render(Value::from(Serde(words))))?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(ToOwned::to_owned);
        let Some(headline) = lines.next() else {
            return Err(Mistake { line: None, text: "it makes no text at all".to_owned() });
        };
        Ok(Rendered { headline, lines: lines.collect() })
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template")
    }
}

impl From<minijinja::Error> for Mistake {
    fn from(error: minijinja::Error) -> Self {
        let kind = error.kind();
        let text = match (kind, error.detail()) {
            (ErrorKind::OutOfFuel, _) => "it takes too long; is there an endless loop?".to_owned(),
            (_, Some(detail)) => format!("{kind}: {detail}"),
            (_, None) => kind.to_string(),
        };
        Self { line: error.line(), text }
    }
}

/// `{{ opened_at | local("%H:%M") }}`: a time as clocks in the organization's zone show it.
fn local(state: &State<'_, '_>, time: &str, format: Option<&str>) -> Result<String, minijinja::Error> {
    let bad = |text: String| minijinja::Error::new(ErrorKind::InvalidOperation, text);
    let at = Timestamp::parse(time).map_err(|_not_a_time| bad("local takes times, such as opened_at".to_owned()))?;
    let instant = jiff::Timestamp::from_microsecond(at.micros()).map_err(|error| bad(error.to_string()))?;
    let zone = state.lookup("timezone").and_then(|zone| jiff::tz::TimeZone::get(zone.as_str()?).ok());
    let zoned = instant.to_zoned(zone.unwrap_or(jiff::tz::TimeZone::UTC));
    let format = format.unwrap_or(TIME);
    jiff::fmt::strtime::format(format, &zoned)
        .map_err(|error| bad(format!("the format of local cannot be used: {error}")))
}

/// Messages such as will come, for trying.
fn examples() -> Vec<Words<'static>> {
    let time = || "2026-11-22T10:04:10Z".to_owned();
    let named = |name: &str, text: &str| Named { name: name.to_owned(), text: text.to_owned() };
    let signed = || Some(Signed { by: "Ann".to_owned(), at: time() });
    let example = |kind: &'static str, full: bool| Words {
        kind,
        headline: "CRITICAL: Gunman or shots reported at our site".to_owned(),
        facts: vec![named("Seen", "1 story · 2 authors · 2 posts")],
        id: "inc-qionaw3lqq",
        title: "Gunman or shots reported at our site".to_owned(),
        severity: "critical",
        state: match kind {
            "acknowledged" | "resolved" => kind,
            _ => "open",
        },
        topic: "active-threat".to_owned(),
        also: if full { vec!["cyber".to_owned()] } else { Vec::new() },
        rules: if full { vec!["active-threat.gunman"] } else { Vec::new() },
        posts: u64::from(full) * 2,
        authors: u64::from(full) * 2,
        stories: u64::from(full),
        summary: "1 story · 2 authors · 2 posts".to_owned(),
        why: "2 authors within 10 min".to_owned(),
        playbook: full.then(|| "playbooks/active-threat.md".to_owned()),
        exercise: full,
        late: full,
        opened_at: time(),
        first_post_at: time(),
        last_post_at: time(),
        acknowledged: if kind == "acknowledged" || full { signed() } else { None },
        resolved: if kind == "resolved" { signed() } else { None },
        merged_into: if kind == "resolved" && full { Some("inc-b7koqi2mza") } else { None },
        person: full.then_some("Ann"),
        sample: if full { vec![named("ann.example", "gunman at the entrance")] } else { Vec::new() },
        timezone: "America/New_York",
    };
    let kinds = ["opened", "updated", "acknowledged", "escalated", "resolved"];
    kinds.iter().flat_map(|kind| [example(kind, false), example(kind, true)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(source: &str) -> String {
        Template::new(source).unwrap_err().to_string()
    }

    #[test]
    fn the_first_line_is_the_headline_and_the_others_are_facts() {
        let template = Template::new(
            "\n{{ severity | upper }}: {{ title }}\n{% if acknowledged %}\n  Hat: {{ acknowledged.by }}\n{% endif %}\n\
             Seit {{ opened_at | local('%H:%M') }}\n{% for post in sample %}{{ post.name }}: {{ post.text }}\n{% endfor %}",
        )
        .unwrap();
        let words = examples();
        let rendered = template.render(words.iter().find(|words| words.kind == "acknowledged").unwrap()).unwrap();
        assert_eq!(rendered.headline, "CRITICAL: Gunman or shots reported at our site");
        assert_eq!(rendered.lines, ["Hat: Ann", "Seit 05:04"]);
    }

    #[test]
    fn what_will_fail_one_day_is_found_when_it_is_read() {
        for (source, says) in [
            ("{{ title", "line 1: syntax error: unexpected end of input, expected end of variable block"),
            ("a\n{{ titel }}", "line 2: undefined value (tried with “opened”)"),
            ("a\n{{ acknowledged.by }}", "line 2: undefined value (tried with “opened”)"),
            ("a {{ resolved.by if kind == 'resolved' }}\n{{ sample[0].text }}", "line 2: undefined value"),
            ("{% if kind == 'resolved' %}{% else %}a{% endif %}", "it makes no text at all (tried with “resolved”)"),
            (
                "{% for a in range(9999) %}{% for a in range(9999) %}{{ a }}{% endfor %}{% endfor %}",
                "it takes too long",
            ),
            ("{{ title | local }}", "local takes times"),
            ("{{ opened_at | local('%!') }}", "the format of local cannot be used"),
            ("{% include 'etc' %}", "unknown statement include"),
        ] {
            let mistake = mistake(source);
            assert!(mistake.contains(says), "{source}: {mistake}");
        }
    }

    #[test]
    fn nothing_is_escaped_here_and_nothing_is_run() {
        let template = Template::new("{{ title }} {{ why }}").unwrap();
        let mut words = examples().remove(0);
        words.title = "{{ id }} <b>".to_owned();
        assert_eq!(template.render(&words).unwrap().headline, "{{ id }} <b> 2 authors within 10 min");
    }
}
