//! `stormbell backtest`: what rules would have done, beside what the rules in force did.
//!
//! The past is played twice, with the rules in force and with the new ones in their place;
//! everything else is the same, so that every difference is the new rules' doing. What is
//! remembered grows with alerts, weeks and shifts, never with posts.

mod account;
mod print;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use super::check::entries;
use super::input::progress;
use super::listening::{Listening, ListeningArgs};
use super::replay::{FormatChoice, format, play};
use super::{Exit, say, show};
use crate::app::rulebook::Rulebook;
use crate::domain::id::RuleId;
use crate::domain::rule::RuleSet;
use crate::domain::time::Timestamp;
use account::{Account, Period};
use print::Printer;

/// Try rules on the past, beside the rules in force; notifies nobody.
#[derive(Debug, Args)]
#[command(after_help = "\
Rules of the same id take the place of those in force; others are added to them. Posts before --from
prepare the counts and raise nothing that is told.

Examples:
  stormbell backtest rules/new.toml --from 2026-10-01    what the daemon kept since October
  stormbell backtest rules/new.toml month.jsonl.zst --org \"Mercy General\" --json")]
pub(super) struct Backtest {
    /// The rules to try: a file, a folder or a pack (builtin:NAME)
    #[arg(value_name = "RULES")]
    candidate: PathBuf,
    /// Recordings, as `replay` reads them [default: the daemon's database]
    #[arg(value_name = "FILE", conflicts_with = "archive")]
    files: Vec<PathBuf>,
    /// Use what the daemon kept: the posts that its rules took
    #[arg(long)]
    archive: bool,
    /// Tell alerts from this time on, such as 2026-10-01 or 2026-10-01T06:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// Tell alerts before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    /// How frames are written: auto, posts or jetstream
    #[arg(long, value_name = "FMT", default_value = "auto", value_parser = format)]
    format: FormatChoice,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    listening: ListeningArgs,
}

/// A time, or the beginning of a day in UTC.
fn time(text: &str) -> Result<Timestamp, String> {
    let day = || Timestamp::parse(&format!("{text}T00:00:00Z"));
    Timestamp::parse(text).or_else(|_| day()).or(Err("write 2026-10-01 or 2026-10-01T06:00:00Z".to_owned()))
}

impl Backtest {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        if self.from.zip(self.to).is_some_and(|(from, to)| from >= to) {
            say("error: --to must be later than --from");
            return Ok(Exit::Usage);
        }
        if self.files.iter().any(|path| path.as_os_str() == "-") {
            say("error: the past is read twice, standard input can be read once; give a file");
            return Ok(Exit::Usage);
        }
        let Some(Listening { organization, rulebook, database }) = self.listening.resolve() else {
            return Ok(Exit::Config);
        };
        let candidate = Rulebook::load(&entries(std::slice::from_ref(&self.candidate)), &organization);
        for rulebook in [&rulebook, &candidate] {
            if !rulebook.is_sound() {
                show(&rulebook.findings);
                say("the rules cannot be used; nothing was tried");
                return Ok(Exit::Config);
            }
        }
        let files = match (self.files.as_slice(), database) {
            ([], Some(database)) => {
                say(
                    "the daemon kept the posts that its rules took (and the sample, if any); a wider query may find more in a recording of all",
                );
                vec![database]
            }
            ([], None) => {
                say("error: no configuration says where the daemon keeps its posts; give --config or a FILE");
                return Ok(Exit::Usage);
            }
            (files, _) => files.to_vec(),
        };
        let zone = jiff::tz::TimeZone::get(&organization.timezone).context(organization.timezone.clone())?;
        let period = Period { from: self.from, to: self.to, zone };
        let tried: BTreeSet<RuleId> = candidate.rules.rules().iter().map(|rule| rule.id.clone()).collect();
        let then = Arc::new(with(&rulebook.rules, &candidate.rules));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let bar = progress(&[files.as_slice(), &files].concat());

        let mut now = Account::new(&period, &tried);
        play(&files, self.format.0, &rulebook.rules, threads, &bar, |span, commit| now.took(span, commit, |_| Ok(())))?;
        let mut printer = Printer::new(self.json);
        let mut changed = Account::new(&period, &tried);
        play(&files, self.format.0, &then, threads, &bar, |span, commit| {
            changed.took(span, commit, |raised| printer.alert(raised, if now.raised(raised) { "same" } else { "new" }))
        })?;
        bar.finish_and_clear();
        for gone in now.alerts().filter(|gone| !changed.raised(gone)) {
            printer.alert(gone, "gone")?;
        }
        let in_force = |rule: &RuleId| rulebook.rules.find(rule.as_str()).is_some();
        printer.end(&tried, in_force, &now, &changed)?;
        Ok(Exit::Fine)
    }
}

/// The rules in force with the new ones in their place or beside them.
fn with(in_force: &RuleSet, new: &RuleSet) -> RuleSet {
    let kept = in_force.rules().iter().filter(|rule| new.find(rule.id.as_str()).is_none());
    let mut rules = RuleSet::new(kept.chain(new.rules()).cloned().collect()).in_zone(in_force.zone().clone());
    rules.keep_within(in_force.budget());
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Zone;

    #[test]
    fn rules_are_tried_by_the_clock_of_those_in_force() {
        let paris = Zone::of(jiff::tz::TimeZone::fixed(jiff::tz::offset(1)));
        let in_force = RuleSet::new(Vec::new()).in_zone(paris.clone());
        assert_eq!(with(&in_force, &RuleSet::new(Vec::new())).zone(), &paris);
    }
}
