//! `stormbell check`: everything that is wrong, at once.

use std::path::PathBuf;

use clap::Args;

use super::profile::profile;
use super::{ConfigArgs, Exit, counted, say, show};
use crate::app::clock::SystemClock;
use crate::app::rulebook::Rulebook;
use crate::config::environment::Environment;
use crate::config::load::{SecretPolicy, find, load};
use crate::config::model::{RuleEntry, RuleOrigin};
use crate::config::schedule::gaps;
use crate::domain::abroad::{Abroad, MOST_RULES};
use crate::domain::diagnostic::{Diagnostic, has_errors};
use crate::domain::id::{RuleId, SourceName};
use crate::domain::organization::Organization;
use crate::domain::rule::raw::Changed;
use crate::domain::rule::suggest;
use crate::domain::time::Clock as _;
use crate::report;

/// Check configuration and rules, and run the rules' own tests.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell check                                 ./stormbell.toml and all its rules
  stormbell check rules/                          these rules alone, for the example hospital
  stormbell check builtin:hospital --config FILE  a pack in the binary, for the hospital of FILE
  stormbell check rules/ --profile day.jsonl.zst  and what each rule costs on recorded posts
Exits 0 when nothing is wrong (warnings allowed) and 1 otherwise.")]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArgs,
    /// List the words that rules and names probably lack
    #[arg(long)]
    suggest: bool,
    /// Measure what each rule costs on the posts of a recording; may be given again
    #[arg(long, value_name = "FILE")]
    profile: Vec<PathBuf>,
    /// Rule files and folders to check instead of those the configuration names; `builtin:NAME` for packs in the binary
    paths: Vec<PathBuf>,
}

impl Check {
    pub(super) fn main(&self) -> anyhow::Result<Exit> {
        let environment = Environment::of_process();
        let file = find(self.config.config.as_deref(), &environment);
        // Rule files can be checked by themselves; a configuration that was named must be sound.
        let wanted = self.paths.is_empty() || self.config.config.is_some();
        let Some(path) = file.filter(|_| wanted) else {
            if self.paths.is_empty() {
                say("error: there is nothing to check: no configuration file was found, and no rule file is named");
                say("  name one of them: stormbell check --config FILE, or stormbell check rules/");
                return Ok(Exit::Failed);
            }
            return self.verdict(Rulebook::load(&entries(&self.paths), &Organization::example()), &[]);
        };
        let mut loaded = load(&path, &environment, SecretPolicy::MayBeAbsent);
        loaded.findings.extend(loaded.config.iter().flat_map(|config| gaps(config, SystemClock.now())));
        show(&loaded.findings);
        say(&format!("{}: {}", path.display(), report::summary(&loaded.findings)));
        let Some(config) = loaded.config.filter(|_| !has_errors(&loaded.findings)) else { return Ok(Exit::Failed) };
        let named = entries(&self.paths);
        let entries = if named.is_empty() { &config.rules } else { &named };
        let rulebook = Rulebook::load(entries, &config.organization).reading(&config.sources);
        let rulebook = rulebook.within(config.false_alarms);
        rulebook.abroad(&config.sources).iter().for_each(|(source, abroad)| say_abroad(source, abroad));
        self.verdict(rulebook, &suggest::names(&config.organization))
    }

    /// Tells everything found; `names` are proposals about the hospital's names.
    fn verdict(&self, mut rulebook: Rulebook, names: &[Diagnostic]) -> anyhow::Result<Exit> {
        let tests = rulebook.try_rules();
        show(&rulebook.findings);
        say_changes(&rulebook);
        rulebook.rules.budget_in_words().iter().for_each(|words| say(words));
        let proposals = [names, &rulebook.proposals()].concat();
        if self.suggest {
            show(&proposals);
        }
        let (rules, files) = (rulebook.rules.rules().len() as u64, rulebook.files.len() as u64);
        let (rules, files, tests) = (counted(rules, "rule"), counted(files, "file"), counted(tests as u64, "test"));
        say(&format!("{rules} in {files}, {tests} run: {}", report::summary(&rulebook.findings)));
        match proposals.len() as u64 {
            0 if self.suggest => say("no proposal"),
            0 => {}
            some if self.suggest => {
                say(&format!("{}: words that people may use and the rules lack", counted(some, "proposal")));
            }
            some => say(&format!("{} of words people may use; see them with --suggest", counted(some, "proposal"))),
        }
        if has_errors(&rulebook.findings) {
            return Ok(Exit::Failed);
        }
        if !self.profile.is_empty() {
            profile(&self.profile, &rulebook.rules)?;
        }
        Ok(Exit::Fine)
    }
}

/// Rule files and packs named on the command line.
pub(super) fn entries(paths: &[PathBuf]) -> Vec<RuleEntry> {
    let origin = |path: &PathBuf| match path.to_str().and_then(|path| path.strip_prefix("builtin:")) {
        Some(pack) => RuleOrigin::Builtin(pack.to_owned()),
        None => RuleOrigin::Path(path.clone()),
    };
    paths.iter().map(|path| RuleEntry { origin: origin(path), place: None }).collect()
}

/// What X is asked for, so that it sends what our rules take.
fn say_abroad(source: &SourceName, abroad: &Abroad) {
    const NAMED: usize = 5;
    let rules = counted(abroad.rules.len() as u64, "rule");
    say(&format!("{source}: X is asked for {rules} of its own, at most {MOST_RULES}"));
    if let [_, ..] = abroad.widened.as_slice() {
        let named: Vec<&str> = abroad.widened.iter().take(NAMED).map(RuleId::as_str).collect();
        let more = abroad.widened.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let first = named.join(", ");
        say(&format!(
            "{source}: more comes, and is paid for, than these take, for X cannot be asked for all of their words: {first}{more}"
        ));
    }
}

/// Which lists a site changed, and where.
fn say_changes(rulebook: &Rulebook) {
    for file in &rulebook.files {
        for list in &file.lists {
            if let Some(Changed { place, added, removed }) = &list.changed {
                let (place, pack) = (report::line_number(place), &file.pack.name.value);
                say(&format!("{place} changes ${} of {pack}: {added} added, {removed} removed", list.name));
            }
        }
    }
}
