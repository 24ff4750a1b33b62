//! `stormbell explain`: why a rule takes a text, or what is missing.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::listening::{Listening, ListeningArgs};
use super::{Exit, say, show};
use crate::app::clock::SystemClock;
use crate::config::table::nearest;
use crate::domain::id::SourceName;
use crate::domain::post::Post;
use crate::domain::rule::RuleSet;
use crate::domain::time::Clock as _;
use crate::wire::post::PostJson;

mod joined;
mod json;
mod page;

/// Say which words of a text a rule takes, or what is missing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell explain active-threat.gunman --text \"Gunman at St Brigids\"
  stormbell explain my-rule --rules rules/ --org \"Mercy General\" --post post.json
Under the text, ^ marks what the query found and - what an exception found. Exits 0 when the
rule takes the post and 1 when it does not. $org, $people and $places
stand for the hospital's names, people and places in the configuration.")]
pub(super) struct Explain {
    /// The rule's id
    rule: String,
    /// The text of a post
    #[arg(long, required_unless_present = "post", conflicts_with = "post")]
    text: Option<String>,
    /// A file with a post as JSON
    #[arg(long, value_name = "FILE")]
    post: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    listening: ListeningArgs,
}

impl Explain {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let post = self.read_post()?;
        let Some(Listening { organization, rulebook, .. }) = self.listening.resolve() else { return Ok(Exit::Config) };
        let Some((_, rule)) = rulebook.rules.find(&self.rule) else {
            show(&rulebook.findings);
            if !rulebook.is_sound() {
                say(&format!(
                    "error: {} is not among the rules that can be used; mend the mistakes above first",
                    self.rule
                ));
                return Ok(Exit::Config);
            }
            say(&unknown(&self.rule, &rulebook.rules));
            return Ok(Exit::Usage);
        };
        if !rule.joins.is_empty() {
            let joined = joined::Joined::of(rule, &rulebook.rules, &post);
            let mut out = std::io::stdout().lock();
            if self.json {
                serde_json::to_writer(&mut out, &joined)?;
                writeln!(out)?;
            } else {
                write!(out, "{}", joined.page(rule))?;
            }
            return Ok(if joined.matched { Exit::Fine } else { Exit::Failed });
        }
        let verdict = rule.explain(&post);
        let mut out = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, &json::verdict(rule, &verdict, &post))?;
            writeln!(out)?;
        } else {
            write!(out, "{}", page::page(rule, &verdict, &organization, &post))?;
        }
        Ok(if verdict.matched() { Exit::Fine } else { Exit::Failed })
    }

    fn read_post(&self) -> anyhow::Result<Post> {
        let source = SourceName::from("explain");
        if let Some(path) = &self.post {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let json: PostJson<'_> =
                serde_json::from_str(&text).with_context(|| format!("{} is not a post", path.display()))?;
            return json.into_post(&source).with_context(|| path.display().to_string());
        }
        let now = SystemClock.now();
        let text = self.text.clone().unwrap_or_default();
        Ok(Post::plain("explain".into(), source, "explain".into(), text, now))
    }
}

/// What to write instead of a rule that does not exist.
pub(super) fn unknown(rule: &str, rules: &RuleSet) -> String {
    let ids: Vec<&str> = rules.rules().iter().map(|rule| rule.id.as_str()).collect();
    let help = match nearest(rule, ids.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are {}", ids.join(", ")),
    };
    format!("error: there is no rule {rule}; {help}")
}
