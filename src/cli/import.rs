//! `stormbell import`: queries of other programs as a rule file, and what was lost on the way.
//!
//! Nothing is lost silently: every operator, field or wildcard that means something else
//! here, or nothing, is reported with its place. A query widened or narrowed by accident is
//! a false page or a missed crisis.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::{Exit, counted, say};
use crate::domain::incident::Severity;
use crate::domain::organization::Organization;
use crate::domain::query::{Lists, parse};
use crate::domain::rule::raw::Status;
use crate::report::harmless_line;

mod boolean;
mod fields;
mod sigma;
mod tree;

use boolean::Dialect;

/// Turn queries of other programs into a rule file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell import --from x queries.txt > rules/imported.toml      one query a line
  stormbell import --from brandwatch query.txt                     one query a file
  stormbell import --from sigma rule.yml
What cannot be carried over is told on standard error, with its place. Exits 0 when at least
one query came through and 1 otherwise. Then add $org and tests, and run `stormbell check`.")]
pub(super) struct Import {
    /// The language of the queries
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    from: From,
    /// A file with queries; - is standard input
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum From {
    /// X search and filtered streams
    X,
    /// Brandwatch
    Brandwatch,
    /// Web of Science
    WebOfScience,
    /// GDELT
    Gdelt,
    /// Sigma
    Sigma,
}

/// A rule on its way into our language.
struct Imported {
    title: String,
    severity: Severity,
    status: Status,
    /// None when nothing of it could be carried over.
    query: Option<String>,
}

/// What could not be carried over as it was: where, and what became of it.
struct Loss {
    place: String,
    what: String,
}

impl Import {
    pub(super) fn main(&self) -> anyhow::Result<Exit> {
        let name = self.file.display().to_string();
        let text = if name == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        } else {
            std::fs::read_to_string(&self.file)
        };
        let text = text.with_context(|| name.clone())?;
        let mut losses = Vec::new();
        let rules = match self.from {
            From::X => boolean::import(&text, Dialect::X, &mut losses),
            From::Brandwatch => boolean::import(&text, Dialect::Brandwatch, &mut losses),
            From::WebOfScience => boolean::import(&text, Dialect::WebOfScience, &mut losses),
            From::Gdelt => boolean::import(&text, Dialect::Gdelt, &mut losses),
            From::Sigma => sigma::import(&text, &mut losses).with_context(|| name.clone())?,
        };
        let found = rules.len() as u64;
        let lists = Lists::of(&Organization::example());
        let mut whole = Vec::new();
        for rule in rules {
            match rule.query.as_deref().map(|query| parse(query, &lists)) {
                Some(Ok(_)) => whole.push(rule),
                Some(Err(mistakes)) => {
                    let why = mistakes.into_iter().next().map(|mistake| mistake.message).unwrap_or_default();
                    losses.push(Loss { place: rule.title, what: format!("the whole query is left out: {why}") });
                }
                None => losses.push(Loss { place: rule.title, what: "nothing of the query is left".to_owned() }),
            }
        }
        for loss in &losses {
            say(&harmless_line(&format!("{name}:{}: {}", loss.place, loss.what)));
        }
        let carried = whole.len() as u64;
        say(&format!("{carried} of {} carried over; {}", counted(found, "query"), differences(losses.len())));
        if whole.is_empty() {
            return Ok(Exit::Failed);
        }
        std::io::stdout().write_all(file(&whole).as_bytes())?;
        Ok(Exit::Fine)
    }
}

fn differences(count: usize) -> String {
    match count {
        0 => "nothing was lost".to_owned(),
        1 => "1 difference is named above".to_owned(),
        many => format!("{many} differences are named above"),
    }
}

/// The rules as a file.
fn file(rules: &[Imported]) -> String {
    let mut text = "schema = 1\n\n[pack]\nname = \"imported\"\n".to_owned();
    for (place, rule) in rules.iter().enumerate() {
        let query = rule.query.as_deref().unwrap_or_default();
        // A string in single quotes is taken as it is, but cannot hold them.
        let query = match (query.contains('\''), query.contains("'''") || query.ends_with('\'')) {
            (false, _) => format!("'{query}'"),
            (true, false) => format!("'''{query}'''"),
            (true, true) => toml::Value::String(query.to_owned()).to_string(),
        };
        let title = toml::Value::String(harmless_line(&rule.title)).to_string();
        let (severity, status) = (rule.severity.as_str(), rule.status.as_str());
        let id = place + 1;
        let rule = format!(
            "\n[[rule]]\nid       = \"imported.{id}\"\ntitle    = {title}\nseverity = \"{severity}\"\nstatus   = \"{status}\"\nquery    = {query}\n"
        );
        text.push_str(&rule);
    }
    text
}
