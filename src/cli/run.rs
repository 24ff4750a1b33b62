//! `stormbell run`: the daemon.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{ConfigArgs, Exit, organization_name, say, show};
use crate::app::clock::SystemClock;
use crate::app::daemon::{self, Failure, Setup};
use crate::app::kept::Kept;
use crate::app::reload::{Reload, Standing};
use crate::app::rulebook::{Rulebook, default_rules};
use crate::config::environment::Environment;
use crate::config::load::{SecretPolicy, find, load};
use crate::config::model::{
    Config, JetstreamConfig, ReceiverConfig, ReceiverKind, SourceConfig, SourceKind, StoreConfig, Transport, WebConfig,
};
use crate::config::schedule::gaps;
use crate::domain::diagnostic::has_errors;
use crate::domain::incident::Severity;
use crate::domain::organization::Organization;
use crate::domain::route::{Route, Routes, Step, Target};
use crate::domain::rule::RuleSet;
use crate::domain::rule::raw::RawFile;
use crate::domain::time::Clock as _;
use crate::report;
use crate::source::timing::Timing;
use crate::telemetry::log;

/// Run the daemon.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell run                                   with ./stormbell.toml
  stormbell run --org \"St. Brigid's Hospital\"     without any configuration
Stops cleanly on SIGTERM and Ctrl-C; reads rules and routes again on SIGHUP.")]
pub(super) struct Run {
    #[command(flatten)]
    config: ConfigArgs,
    /// Listen to the public Jetstream for this name, with the built-in packs and no configuration file
    #[arg(long, value_name = "NAME", conflicts_with = "config", value_parser = organization_name)]
    org: Option<String>,
}

/// Public hosts of the Jetstream network, the new servers first.
const PUBLIC_JETSTREAM: [&str; 4] = [
    "wss://jetstream.us-east.bsky.network/subscribe",
    "wss://jetstream.us-west.bsky.network/subscribe",
    "wss://jetstream2.us-east.bsky.network/subscribe",
    "wss://jetstream1.us-west.bsky.network/subscribe",
];

impl Run {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let environment = Environment::of_process();
        let (sound, path, kept) = if let Some(name) = &self.org {
            (Sound::of(without_file(name, &environment)?), None, None)
        } else {
            let Some(path) = find(self.config.config.as_deref(), &environment) else {
                say("error: there is no configuration file");
                say(
                    "  `stormbell run --org \"Name of the hospital\"` works without one, `stormbell demo` without anything;",
                );
                say("  otherwise `stormbell init` writes one to begin from, and --config names one that is elsewhere");
                return Ok(Exit::Config);
            };
            let kept = Kept::of(&path, &environment);
            let sound = Sound::read(&path, &environment).or_else(|why| {
                let Some((kept, file)) = kept.as_ref().and_then(|kept| Some((kept, kept.file()?))) else {
                    return Err(why);
                };
                say(&format!("{why}; the configuration that worked last is used: {}", file.display()));
                kept.stands_in();
                Sound::read(&file, &environment)
            });
            (sound, Some(path), kept)
        };
        let Sound { config, rules, files } = match sound {
            Ok(sound) => sound,
            Err(why) => {
                say(&format!("{why}; not started"));
                return Ok(Exit::Config);
            }
        };
        let filter = if path.is_some() { log::DEFAULT_FILTER } else { STANDING_FILTER };
        to_the_end(filter, async move {
            let config = if path.is_some() { config } else { with_desktop(config).await };
            let reload = path.map(|path| reload(path, environment, &config, kept));
            Box::pin(daemon::run(Setup {
                reload,
                config,
                rules,
                files,
                open_api: false,
                timing: Timing::default(),
                stop: CancellationToken::new(),
                listening: None,
            }))
            .await
        })
    }
}

/// What a daemon can run by.
struct Sound {
    config: Config,
    rules: Arc<RuleSet>,
    files: Vec<RawFile>,
}

impl Sound {
    /// What the files say. What is wrong with them is shown, and how much that is comes back.
    fn read(path: &Path, environment: &Environment) -> Result<Self, String> {
        let mut loaded = load(path, environment, SecretPolicy::Required);
        loaded.findings.extend(loaded.config.iter().flat_map(|config| gaps(config, SystemClock.now())));
        show(&loaded.findings);
        let Some(config) = loaded.config.filter(|_| !has_errors(&loaded.findings)) else {
            return Err(format!("{}: {}", path.display(), report::summary(&loaded.findings)));
        };
        Self::of(config)
    }

    /// The configuration with its rules, tried.
    fn of(config: Config) -> Result<Self, String> {
        if config.sources.is_empty() {
            return Err("error: there is no [[source]], so nothing would ever be heard".to_owned());
        }
        let mut rulebook = Rulebook::load(&config.rules, &config.organization).reading(&config.sources);
        rulebook = rulebook.within(config.false_alarms);
        rulebook.try_rules();
        show(&rulebook.findings);
        if !rulebook.is_sound() {
            return Err(format!("rules: {}", report::summary(&rulebook.findings)));
        }
        Ok(Self { config, rules: rulebook.rules, files: rulebook.files })
    }
}

fn reload(path: PathBuf, environment: Environment, config: &Config, kept: Option<Kept>) -> Reload {
    let receivers = config.receivers.iter().map(|receiver| receiver.name.clone()).collect();
    let standing = Standing::of(&path);
    Reload { path, environment, receivers, store: config.store.clone(), kept, standing }
}

/// Runs a daemon in this process until it ends.
pub(super) fn to_the_end(filter: &str, daemon: impl Future<Output = Result<(), Failure>>) -> anyhow::Result<Exit> {
    log::init(filter)?;
    no_dumps();
    let runtime = Runtime::new()?;
    let result = runtime.block_on(daemon);
    // A notification service that hangs may hold a thread; it must not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Ok(()) => Ok(Exit::Fine),
        Err(Failure::Temporary(error)) => {
            say(&format!("error: {error:#}"));
            Ok(Exit::Temporary)
        }
        Err(Failure::Fatal(error)) => Err(error),
    }
}

/// What the process holds of posts and secrets goes to no file when it crashes, whoever started it. systemd-coredump,
/// which is handed dumps whatever the limit, heeds it as well.
fn no_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // Less is always allowed.
    setrlimit(Resource::Core, none).unwrap_or_default();
}

/// What `--org` stands for.
fn without_file(name: &str, environment: &Environment) -> anyhow::Result<Config> {
    let path = environment
        .store_path()
        .ok_or_else(|| anyhow::anyhow!("$HOME is not set; where should data go? Set XDG_STATE_HOME"))?;
    let jetstream = JetstreamConfig {
        urls: PUBLIC_JETSTREAM.iter().map(|url| Url::parse(url)).collect::<Result<_, _>>()?,
        wanted_collections: JetstreamConfig::DEFAULT_COLLECTIONS.iter().map(ToString::to_string).collect(),
        max_frame_bytes: JetstreamConfig::DEFAULT_MAX_FRAME_BYTES,
        profiles: None,
        expect_frame_within: Some(Duration::from_mins(1)),
        compression: None,
        transport: Transport::default(),
    };
    let kind = SourceKind::Jetstream(jetstream);
    let source = SourceConfig { name: "bluesky".into(), kind, max_frames_per_second: None };
    Ok(standing(Organization::named(name), source, &path))
}

/// What is logged where the receiver `log` tells of incidents anyway.
pub(super) const STANDING_FILTER: &str = "info,stormbell::incident=off,stormbell::delivery=warn";

/// A configuration nobody wrote: one source, the built-in packs, the log.
pub(super) fn standing(organization: Organization, source: SourceConfig, database: &Path) -> Config {
    Config {
        organization,
        rules: default_rules(),
        false_alarms: None,
        store: StoreConfig {
            path: database.to_owned(),
            retention: StoreConfig::DEFAULT_RETENTION,
            retention_by_topic: Vec::new(),
            sample_one_in: None,
        },
        sources: vec![source],
        receivers: vec![ReceiverConfig::new("log", ReceiverKind::Log)],
        routes: Routes::of(vec![
            Route { severity: DISTURBS.to_vec(), steps: vec![to_log()], ..Route::default() },
            // Praise, parking, cold soup: for whoever reads the log, not for whoever is at work.
            Route { steps: vec![to_log()], ..Route::default() },
        ]),
        schedules: BTreeMap::new(),
        heartbeat: None,
        drills: Vec::new(),
        desk: None,
        web: Some(WebConfig {
            listen: ([127, 0, 0, 1], 8787).into(),
            token: None,
            public_url: None,
            tls: None,
            proxy: None,
            oidc: None,
        }),
    }
}

/// What a desktop is told of in a configuration nobody wrote.
const DISTURBS: [Severity; 3] = [Severity::Critical, Severity::High, Severity::Medium];

fn to_log() -> Step {
    Step { notify: vec![Target::Receiver("log".into())], ack_within: None }
}

/// Adds the desktop to a configuration nobody wrote, where there is one to show anything.
pub(super) async fn with_desktop(mut config: Config) -> Config {
    if !daemon::desktop_shows().await {
        say("  No desktop session was found: incidents are told in this log only.");
        return config;
    }
    let desktop = ReceiverConfig::new("desktop", ReceiverKind::Desktop);
    for route in config.routes.list.iter_mut().filter(|route| !route.severity.is_empty()) {
        route.steps.iter_mut().for_each(|step| step.notify.push(desktop.name.clone().into()));
    }
    config.receivers.push(desktop);
    config
}
