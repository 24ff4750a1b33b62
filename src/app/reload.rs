//! New rules and routes without a restart, all or nothing (invariant 7).

use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::clock::SystemClock;
use super::desk::Request;
use super::kept::Kept;
use super::lessons;
use super::rulebook::Rulebook;
use super::service;
use super::workshop::Shelf;
use crate::config::environment::Environment;
use crate::config::load::{SecretPolicy, load};
use crate::config::model::StoreConfig;
use crate::config::schedule::gaps;
use crate::domain::commit::VolumeState;
use crate::domain::diagnostic::{Diagnostic, Level};
use crate::domain::id::ReceiverName;
use crate::domain::route::Routes;
use crate::domain::rule::RuleSet;
use crate::domain::rule::raw::RawFile;
use crate::domain::time::Clock as _;
use crate::report;
use crate::telemetry::events;

/// Where to read again.
#[derive(Clone, Debug)]
pub struct Reload {
    /// The configuration file.
    pub path: PathBuf,
    /// The environment it was read in.
    pub environment: Environment,
    /// Receivers that have a dispatcher; new ones need a restart.
    pub receivers: Vec<ReceiverName>,
    /// Where posts are kept; another place needs a restart.
    pub store: StoreConfig,
    /// Where what works is kept, if anywhere.
    pub kept: Option<Kept>,
    /// What a restart alone changes.
    pub standing: Standing,
}

/// The tables of the configuration that only a start takes over, as they were at this one.
#[derive(Clone, Debug)]
pub struct Standing(toml::Table);

impl Standing {
    const KEYS: [&str; 7] = ["desk", "drill", "heartbeat", "receiver", "source", "store", "web"];

    /// Those of a file. Whether it can be used is for others to say.
    pub fn of(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut all: toml::Table = text.parse().unwrap_or_default();
        all.retain(|key, _| Self::KEYS.contains(&key));
        Self(all)
    }

    /// The tables that are other ones in a file.
    fn changed(&self, path: &Path) -> Vec<&'static str> {
        let new = Self::of(path);
        Self::KEYS.into_iter().filter(|key| self.0.get(*key) != new.0.get(*key)).collect()
    }
}

/// What a reload changes.
pub(super) struct Again {
    /// Where to read.
    pub reload: Reload,
    /// Who swaps.
    pub engine: mpsc::Sender<Request>,
    /// The rules in force.
    pub rules: watch::Receiver<Arc<RuleSet>>,
    /// Their files, for whoever works on them.
    pub shelves: watch::Sender<Arc<Shelf>>,
}

/// What a reload read.
struct Read {
    rules: Arc<RuleSet>,
    files: Vec<RawFile>,
    routes: Routes,
    lessons: Vec<VolumeState>,
    /// Tables that changed, and wait for a restart.
    waiting: Vec<&'static str>,
}

impl Again {
    /// Reads, checks and tries everything; then swaps, or keeps the old and says why.
    pub(super) async fn run(&self) {
        let Self { engine, shelves, .. } = self;
        service::reloading();
        let (reload, before) = (self.reload.clone(), Arc::clone(&self.rules.borrow()));
        let read = tokio::task::spawn_blocking(move || reload.read(&before)).await;
        match read.unwrap_or_else(|_| Err(vec![Diagnostic::error("SB0417", "reading the configuration panicked")])) {
            Ok(Read { rules, files, routes, lessons, waiting }) => {
                let (count, receivers) = (rules.rules().len(), self.reload.receivers.clone());
                let (done, swapped) = oneshot::channel();
                // An engine that is stopping takes no new rules; the next start reads them.
                let sent = engine.send(Request::Swap { rules, routes, receivers, lessons, done }).await;
                if sent.is_ok() && swapped.await.is_ok() {
                    shelves.send_replace(Arc::new(Shelf { files, refused: Vec::new() }));
                    events::reload_done(count);
                    if !waiting.is_empty() {
                        events::reload_not_all(&waiting.join(", "));
                    }
                    self.reload.keep().await;
                }
            }
            Err(findings) => {
                // Warnings are for `stormbell check`; here they would only hide why.
                let errors: Vec<_> = findings.iter().filter(|finding| finding.level == Level::Error).collect();
                events::reload_refused(errors.len());
                for finding in &errors {
                    events::reload_finding(finding.code, &report::line(finding));
                }
                let refused = findings.iter().filter(|finding| finding.level == Level::Error).cloned().collect();
                let files = shelves.borrow().files.clone();
                shelves.send_replace(Arc::new(Shelf { files, refused }));
            }
        }
        service::ready();
    }
}

impl Reload {
    /// Where what works is kept, if anywhere.
    pub(super) fn kept(&self) -> Option<Kept> {
        self.kept.clone()
    }

    /// The daemon is up. Where what was kept stands in for it, the configuration on disk has proven nothing.
    pub(super) async fn started(&self) -> anyhow::Result<()> {
        match &self.kept {
            Some(kept) if kept.is_in_force() => events::config_stands_in(&self.path),
            _ => self.keep().await,
        }
        // A task that ends is one that failed.
        pending().await
    }

    async fn keep(&self) {
        let (kept, store) = (self.kept.clone(), self.store.clone());
        let keeping = tokio::task::spawn_blocking(move || kept.iter().for_each(|kept| kept.keep(&store)));
        // It cannot panic; and if it did, only the copy would be missing.
        keeping.await.unwrap_or_default();
    }

    fn read(&self, before: &RuleSet) -> Result<Read, Vec<Diagnostic>> {
        let loaded = load(&self.path, &self.environment, SecretPolicy::Required);
        let Some(config) = loaded.config else { return Err(loaded.findings) };
        let gaps = gaps(&config, SystemClock.now());
        if !gaps.is_empty() {
            return Err(gaps);
        }
        let mut rulebook = Rulebook::load(&config.rules, &config.organization).reading(&config.sources);
        rulebook = rulebook.within(config.false_alarms);
        rulebook.try_rules();
        for receiver in &config.receivers {
            if !self.receivers.contains(&receiver.name) {
                let message = format!("receiver {} is new", receiver.name);
                rulebook.findings.push(
                    Diagnostic::error("SB0416", message)
                        .help("restart the daemon: receivers and sources are not reloaded"),
                );
            }
        }
        if !rulebook.is_sound() {
            return Err(rulebook.findings);
        }
        let lessons = lessons::at_reload(&self.store, before, &rulebook.rules, SystemClock.now());
        let Rulebook { rules, files, .. } = rulebook;
        Ok(Read { rules, files, routes: config.routes, lessons, waiting: self.standing.changed(&self.path) })
    }
}
