//! `stormbell backtest`: what rules would have done, beside what the rules in force did.
//!
//! The past is played through two engines, with the rules in force and with the new ones in
//! their place; everything else is the same, so that every difference is the new rules' doing.
//! What is remembered grows with rules, weeks and shifts, never with posts or alerts.

mod account;
mod print;

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use super::archive::past;
use super::check::entries;
use super::listening::{Listening, ListeningArgs};
use super::player::Player;
use super::replay::{FormatChoice, format};
use super::{Exit, say, show};
use crate::app::rulebook::Rulebook;
use crate::domain::id::RuleId;
use crate::domain::incident::Alert;
use crate::domain::rule::RuleSet;
use crate::domain::time::Timestamp;
use account::{Account, Period, key};
use print::Printer;

/// Try rules on the past, beside the rules in force; notifies nobody.
#[derive(Debug, Args)]
#[command(after_help = "\
Rules of the same id take the place of those in force; others are added to them. Posts before --from
prepare the counts and raise nothing that is told. With a configuration the pages of each receiver
are counted as its routes send them, steps and repetitions included, as if nobody took charge.

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
    /// How frames are written: auto, posts, or a wire such as jetstream
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
        let Some(listening) = self.listening.resolve() else { return Ok(Exit::Config) };
        let Listening { organization, rulebook, database, routes, receivers, sources } = listening;
        let candidate =
            Rulebook::load_beside(&entries(std::slice::from_ref(&self.candidate)), &organization, &rulebook.rules)
                .reading(&sources);
        for rulebook in [&rulebook, &candidate] {
            if !rulebook.is_sound() {
                show(&rulebook.findings);
                say("the rules cannot be used; nothing was tried");
                return Ok(Exit::Config);
            }
        }
        let Some(files) = past(&self.files, database) else { return Ok(Exit::Usage) };
        let zone = jiff::tz::TimeZone::get(&organization.timezone).context(organization.timezone.clone())?;
        let period = Period { from: self.from, to: self.to, zone };
        let tried: BTreeSet<RuleId> = candidate.rules.rules().iter().map(|rule| rule.id.clone()).collect();
        let in_force = |rule: &RuleId| rulebook.rules.find(rule.as_str()).is_some();
        let then = Arc::new(with(&rulebook.rules, &candidate.rules));

        let (mut now, mut changed) = (Account::new(&period, &tried), Account::new(&period, &tried));
        let mut printer = Printer::new(self.json);
        let player = Player { routes, receivers, ..Player::of(&files, self.format.0) };
        player.play([&rulebook.rules, &then], |span, [before, after]| {
            for (alert, change) in compared(now.took(span, &before), changed.took(span, &after)) {
                printer.alert(&alert, change)?;
            }
            Ok(())
        })?;
        printer.end(&tried, in_force, &now, &changed)?;
        Ok(Exit::Fine)
    }
}

/// What became of each alert of a batch, by time. Both sets of rules saw the same posts, so an
/// alert that both raised is in the same batch.
fn compared(now: Vec<Alert>, then: Vec<Alert>) -> Vec<(Alert, &'static str)> {
    let keys = |alerts: &[Alert]| alerts.iter().map(key).collect::<HashSet<_>>();
    let (known, kept) = (keys(&now), keys(&then));
    let then =
        then.into_iter().map(|alert| if known.contains(&key(&alert)) { (alert, "same") } else { (alert, "new") });
    let gone = now.into_iter().filter(|alert| !kept.contains(&key(alert))).map(|alert| (alert, "gone"));
    let mut alerts: Vec<_> = then.chain(gone).collect();
    alerts.sort_by_key(|(alert, _)| alert.at);
    alerts
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
