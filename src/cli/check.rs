//! `stormbell check`: everything that is wrong, at once.

use std::path::PathBuf;

use clap::Args;

use super::{ConfigArgs, Exit, say, show};
use crate::app::rulebook::Rulebook;
use crate::config::environment::Environment;
use crate::config::load::{SecretPolicy, find, load};
use crate::config::model::{RuleEntry, RuleOrigin};
use crate::domain::diagnostic::has_errors;
use crate::domain::organization::Organization;
use crate::report;

/// Check configuration and rules, and run the rules' own tests.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArgs,
    /// Rule files and folders to check instead of those the configuration names; `builtin:NAME` for packs in the binary
    paths: Vec<PathBuf>,
}

impl Check {
    pub(super) fn main(&self) -> Exit {
        let environment = Environment::of_process();
        let file = find(self.config.config.as_deref(), &environment);
        // Rule files can be checked by themselves; a configuration that was named must be sound.
        let wanted = self.paths.is_empty() || self.config.config.is_some();
        let Some(path) = file.filter(|_| wanted) else {
            if self.paths.is_empty() {
                say("error: there is no configuration file, and no rule file is named");
                return Exit::Failed;
            }
            return self.rules(&Organization::example());
        };
        let loaded = load(&path, &environment, SecretPolicy::MayBeAbsent);
        show(&loaded.findings);
        say(&format!("{}: {}", path.display(), report::summary(&loaded.findings)));
        let Some(config) = loaded.config else { return Exit::Failed };
        if self.paths.is_empty() {
            return verdict(Rulebook::load(&config.rules, &config.organization));
        }
        self.rules(&config.organization)
    }

    fn rules(&self, organization: &Organization) -> Exit {
        verdict(Rulebook::load(&entries(&self.paths), organization))
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

fn verdict(mut rulebook: Rulebook) -> Exit {
    let tests = rulebook.try_rules();
    show(&rulebook.findings);
    let (rules, files) = (rulebook.rules.rules().len(), rulebook.files.len());
    say(&format!("rules: {rules} in {files} files, {tests} tests: {}", report::summary(&rulebook.findings)));
    if has_errors(&rulebook.findings) { Exit::Failed } else { Exit::Fine }
}
