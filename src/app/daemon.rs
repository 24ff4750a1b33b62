//! The daemon: everything started in order, watched, and stopped in order.
//!
//! Stopping goes with the stream: sources first, then the engine once it has worked off
//! what they read, then the dispatchers, then the API, the store last. Each stage has
//! its share of the 20 seconds and is named when it is late.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::backend;
use super::clock::SystemClock;
use super::desk::{Desk, Request};
use super::outbox::{Counter, StoreOutbox};
use super::pipeline;
use super::reload::Reload;
use super::service::Service;
use super::status::Statuses;
use super::tasks::{Ended, Tasks};
use crate::config::model::{Config, SourceKind};
use crate::domain::engine::Engine;
use crate::domain::id::{ReceiverName, SourceName};
use crate::domain::rule::RuleSet;
use crate::domain::time::{Clock, Timestamp};
use crate::notify::Receiver;
use crate::notify::dispatch::Dispatcher;
use crate::source::position::Position;
use crate::source::supervise::Supervisor;
use crate::source::timing::Timing;
use crate::source::{Format, Incoming};
use crate::store::{Store, StoreError};
use crate::telemetry::events;
use crate::telemetry::metrics::Metrics;
use crate::web::{self, Access};

/// Batches of frames that may wait for a worker; then the sources wait.
const INCOMING: usize = 64;
/// Orders that may wait for the engine.
const REQUESTS: usize = 64;
const SOURCES_STOP: Duration = Duration::from_secs(3);
const ENGINE_STOPS: Duration = Duration::from_secs(5);
const DISPATCHERS_STOP: Duration = Duration::from_secs(9);
const REST_STOPS: Duration = Duration::from_secs(2);
/// Old posts are looked for this often.
const RETENTION_EVERY: Duration = Duration::from_hours(1);

/// What to run.
pub struct Setup {
    /// The configuration.
    pub config: Config,
    /// The rules, checked.
    pub rules: Arc<RuleSet>,
    /// Where SIGHUP reads rules and routes again; none where there is no file.
    pub reload: Option<Reload>,
    /// Whether the API asks for a token.
    pub open_api: bool,
    /// How patient the sources are.
    pub timing: Timing,
    /// Ends the daemon as SIGTERM does.
    pub stop: CancellationToken,
    /// Learns where the API listens.
    pub listening: Option<tokio::sync::oneshot::Sender<SocketAddr>>,
}

/// Why the daemon ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Another start may succeed: a port or the database is taken.
    #[error("{0:#}")]
    Temporary(anyhow::Error),
    /// Anything else.
    #[error("{0:#}")]
    Fatal(#[from] anyhow::Error),
}

/// Runs until told to stop.
///
/// # Errors
/// [`Failure`] when it cannot start or go on.
pub async fn run(setup: Setup) -> Result<(), Failure> {
    let Setup { config, rules, reload, open_api, timing, stop, listening } = setup;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let started = clock.now();
    let metrics = Arc::new(Metrics::default());
    metrics.rules(rules.rules().len());
    let service = Service::default();

    let store = open_store(&config.store.path)?;
    // Everything that is still kept: windows reach back hours, erasures as far as the evidence.
    let restored = store.restore(Timestamp::default()).context("reading what the last run left")?;
    let web = bind(&config).await?;
    let console = web.as_ref().and_then(|(listener, _)| console_url(listener));

    let (handle, requests) = crate::store::channel(Arc::clone(&clock), Arc::clone(&metrics));
    let mut storing = Tasks::default();
    storing.spawn_blocking("store", move || Ok(crate::store::run(store, requests)?));

    let receivers: Vec<ReceiverName> = config.receivers.iter().map(|receiver| receiver.name.clone()).collect();
    let mut engine = Engine::new(Arc::clone(&rules), config.routes.clone(), receivers.clone());
    let positions: BTreeMap<SourceName, Position> = config
        .sources
        .iter()
        .map(|source| (source.name.clone(), Position::at(restored.cursors.get(&source.name).copied())))
        .collect();
    let first = engine.restore(restored, started);

    let (to_engine, engine_requests) = mpsc::channel(REQUESTS);
    let (undelivered, undelivered_queue) = mpsc::channel(REQUESTS);
    let (rules_in_force, rules) = watch::channel(rules);
    let statuses = Statuses::new(config.sources.iter().map(|source| source.name.clone()), started);

    let stop_sending = CancellationToken::new();
    let mut sending = Tasks::default();
    let mut bells = Vec::new();
    for receiver in &config.receivers {
        let bell = Arc::new(Notify::new());
        bells.push(Arc::clone(&bell));
        let built =
            Receiver::build(receiver, console.as_ref()).with_context(|| format!("receiver {}", receiver.name))?;
        if let Err(error) = built.probe().await {
            tracing::warn!(receiver = %receiver.name, %error, "receiver not reachable now");
        }
        let dispatcher = Dispatcher {
            name: receiver.name.clone(),
            receiver: built,
            outbox: StoreOutbox { store: handle.clone(), clock: Arc::clone(&clock) },
            wake: bell,
            clock: Arc::clone(&clock),
            observer: Arc::new(Counter(Arc::clone(&metrics))),
            undelivered: undelivered.clone(),
        };
        sending.spawn(format!("receiver {}", receiver.name), completes(dispatcher.run(stop_sending.clone())));
    }
    drop(undelivered);

    let stop_sources = CancellationToken::new();
    let (incoming, frames) = mpsc::channel::<Incoming>(INCOMING);
    let mut reading = Tasks::default();
    for source in &config.sources {
        let SourceKind::Jetstream(jetstream) = &source.kind;
        let supervisor = Supervisor {
            name: source.name.clone(),
            config: jetstream.clone(),
            timing: timing.clone(),
            position: positions.get(&source.name).cloned().unwrap_or_default(),
            out: incoming.clone(),
            clock: Arc::clone(&clock),
        };
        reading.spawn(format!("source {}", source.name), completes(supervisor.run(stop_sources.clone())));
    }
    drop(incoming);

    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1));
    let frames = stream::unfold(frames, |mut frames| async move { Some((frames.recv().await?, frames)) });
    let arrived = pipeline::matched(frames, |_| Format::Jetstream, rules.clone(), workers);
    let desk = Desk {
        engine,
        first,
        store: handle.clone(),
        bells,
        positions,
        rules: rules_in_force,
        clock: Arc::clone(&clock),
        metrics: Arc::clone(&metrics),
        statuses: statuses.clone(),
        service: Service::default(),
    };
    let mut working = Tasks::default();
    working.spawn("engine", desk.run(arrived, engine_requests));

    let stop_rest = CancellationToken::new();
    let mut rest = Tasks::default();
    rest.spawn("undelivered", tell_engine(undelivered_queue, to_engine.clone()));
    let (store, retention, now) = (handle.clone(), config.store.retention, Arc::clone(&clock));
    rest.spawn(
        "retention",
        until(stop_rest.clone(), async move {
            let mut timer = tokio::time::interval(RETENTION_EVERY);
            loop {
                timer.tick().await;
                store.forget(now.now() - retention).await.context("forgetting old posts")?;
            }
        }),
    );
    if let Some((listener, token)) = web {
        let address = listener.local_addr().context("the address of the API")?;
        let daemon = backend::Daemon {
            database: config.store.path.clone(),
            store: handle.clone(),
            engine: to_engine.clone(),
            rules,
            statuses,
            receivers: receivers.clone(),
            organization: config.organization.name.clone(),
            started,
            clock: Arc::clone(&clock),
        };
        let access = if open_api { Access::Open } else { token };
        let (metrics, cancel) = (Arc::clone(&metrics), stop_rest.clone());
        rest.spawn("web", async move {
            web::serve(listener, Arc::new(daemon), access, metrics, cancel).await.context("the API")
        });
        tracing::info!(%address, "api listens");
        if let Some(listening) = listening {
            drop(listening.send(address));
        }
    }

    service.ready();
    let stopped = watch_over(
        &stop,
        reload.as_ref(),
        &to_engine,
        &mut [&mut storing, &mut sending, &mut reading, &mut working, &mut rest],
    )
    .await;
    service.stopping();
    drop(to_engine);
    stop_sources.cancel();
    let mut result = stopped;
    for (stage, tasks, token, within) in [
        ("sources", &mut reading, &stop_sources, SOURCES_STOP),
        ("engine", &mut working, &stop_sources, ENGINE_STOPS),
        ("receivers", &mut sending, &stop_sending, DISPATCHERS_STOP),
        ("rest", &mut rest, &stop_rest, REST_STOPS),
    ] {
        let began = clock.now();
        token.cancel();
        result = result.and(tasks.finish(stage, within).await);
        events::shutdown_stage(stage, clock.now().since(began));
    }
    if handle.close().await.is_ok() {
        result = result.and(storing.finish("store", REST_STOPS).await);
    }
    result?;
    events::shutdown_done();
    Ok(())
}

/// Waits for a signal, or for a task that ends though nobody told it to.
async fn watch_over(
    stop: &CancellationToken,
    reload: Option<&Reload>,
    engine: &mpsc::Sender<Request>,
    tasks: &mut [&mut Tasks],
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut hang_up = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
    loop {
        let ended = futures_util::future::select_all(tasks.iter_mut().map(|tasks| Box::pin(tasks.ended())));
        tokio::select! {
            () = stop.cancelled() => break,
            _ = terminate.recv() => { events::shutdown_begun("SIGTERM"); break }
            _ = interrupt.recv() => { events::shutdown_begun("SIGINT"); break }
            _ = hang_up.recv() => match reload {
                Some(reload) => reload.run(engine).await,
                None => tracing::warn!("nothing to reload: there is no configuration file"),
            },
            (Ended { task, result }, ..) = ended => {
                return Err(match result {
                    Ok(()) => anyhow::anyhow!("{task} ended by itself"),
                    Err(error) => error.context(format!("{task} failed")),
                });
            }
        }
    }
    Ok(())
}

async fn completes(task: impl Future<Output = ()>) -> anyhow::Result<()> {
    task.await;
    Ok(())
}

async fn until(cancel: CancellationToken, task: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::select! {
        () = cancel.cancelled() => Ok(()),
        result = task => result,
    }
}

/// Parked deliveries become incidents. What is lost here on the way down is found again
/// at the next start: the outbox remembers who has not been told.
async fn tell_engine(
    mut undelivered: mpsc::Receiver<crate::domain::message::Undelivered>,
    engine: mpsc::Sender<Request>,
) -> anyhow::Result<()> {
    while let Some(undelivered) = undelivered.recv().await {
        if engine.send(Request::Undelivered(undelivered)).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn open_store(path: &Path) -> Result<Store, Failure> {
    Store::open(path).map_err(|error| {
        let locked = matches!(error, StoreError::Locked { .. });
        let error = anyhow::Error::new(error);
        if locked { Failure::Temporary(error) } else { Failure::Fatal(error) }
    })
}

/// The API's socket and key, taken before anything else runs.
async fn bind(config: &Config) -> Result<Option<(TcpListener, Access)>, Failure> {
    let Some(web) = &config.web else { return Ok(None) };
    let listener = TcpListener::bind(web.listen).await;
    let listener =
        listener.with_context(|| format!("[web] listen = \"{}\"", web.listen)).map_err(Failure::Temporary)?;
    let token = match &web.token {
        Some(token) => token.clone(),
        None => {
            let path = token_path(&config.store.path);
            web::token(&path).with_context(|| format!("the API's token in {}", path.display()))?
        }
    };
    Ok(Some((listener, Access::Token(token))))
}

/// Where the daemon keeps the API's token unless the configuration names one.
pub fn token_path(database: &Path) -> PathBuf {
    database.with_file_name("api-token")
}

fn console_url(listener: &TcpListener) -> Option<Url> {
    Url::parse(&format!("http://{}/", listener.local_addr().ok()?)).ok()
}
