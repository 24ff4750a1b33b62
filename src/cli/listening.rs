//! For whom and with which rules `explain`, `replay` and `backtest` listen.

use std::path::PathBuf;

use clap::Args;

use super::check::entries;
use super::{ConfigArgs, organization_name, say};
use crate::app::rulebook::{Rulebook, default_rules};
use crate::config::environment::Environment;
use crate::config::model::{RuleEntry, SourceConfig};
use crate::domain::id::ReceiverName;
use crate::domain::organization::Organization;
use crate::domain::route::Routes;

/// The configuration, or what stands in for it.
#[derive(Debug, Args)]
pub(super) struct ListeningArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Rule files, folders or packs (builtin:NAME), instead of the configuration's
    #[arg(long, value_name = "PATH", num_args = 1..)]
    rules: Vec<PathBuf>,
    /// Name of the hospital, instead of the configuration's
    #[arg(long, value_name = "NAME", value_parser = organization_name)]
    org: Option<String>,
}

/// An organisation and the rules that listen for it.
pub(super) struct Listening {
    pub(super) organization: Organization,
    pub(super) rulebook: Rulebook,
    /// Where the daemon keeps its posts, when a configuration says so.
    pub(super) database: Option<PathBuf>,
    /// Whom a configuration tells of incidents.
    pub(super) routes: Routes,
    /// Every receiver of it.
    pub(super) receivers: Vec<ReceiverName>,
    /// What the daemon reads: some rules read not all of it.
    pub(super) sources: Vec<SourceConfig>,
}

impl ListeningArgs {
    /// None when the configuration cannot be used; people have been told why.
    pub(super) fn resolve(&self) -> Option<Listening> {
        let environment = Environment::of_process();
        let config = match self.config.load(&environment) {
            Some(found) => Some(found.config("`stormbell check` shows all of them")?),
            None => None,
        };
        let organization = match (&self.org, &config) {
            (Some(name), _) => Organization::named(name.as_str()),
            (None, Some(config)) => config.organization.clone(),
            (None, None) => {
                let example = Organization::example();
                say(&format!("no configuration and no --org: listening for the example, {}", example.name));
                example
            }
        };
        let budget = config.as_ref().and_then(|config| config.false_alarms);
        let database = config.as_ref().map(|config| config.store.path.clone());
        let routes = config.as_ref().map(|config| config.routes.clone()).unwrap_or_default();
        let receivers =
            config.iter().flat_map(|config| &config.receivers).map(|receiver| receiver.name.clone()).collect();
        let sources = config.as_ref().map(|config| config.sources.clone()).unwrap_or_default();
        let origins: Vec<RuleEntry> = match (self.rules.as_slice(), config) {
            ([], Some(config)) if !config.rules.is_empty() => config.rules,
            ([], _) => default_rules(),
            (paths, _) => entries(paths),
        };
        let rulebook = Rulebook::load(&origins, &organization).within(budget).reading(&sources);
        Some(Listening { organization, rulebook, database, routes, receivers, sources })
    }
}
