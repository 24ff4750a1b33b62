//! The daemon: everything started in order, watched, and stopped in order.
//!
//! Stopping goes with the stream: sources first, then the engine once it has worked off
//! what they read, then the dispatchers, then the API, the store last. Each stage has
//! its share of the 20 seconds and is named when it is late.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::select_all;
use futures_util::stream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::audit;
use super::backend;
use super::clock::SteadyClock;
use super::desk::{Desk, Request};
use super::desktops;
use super::doors::{Web, bind};
use super::drill;
use super::forgetting::{forget_old, last_written, often};
use super::lessons;
use super::outbox::{self, Counter, StoreOutbox};
use super::pipeline;
use super::privacy;
use super::probe::Probe;
use super::readiness::{Pulse, Readiness};
use super::reload::{Again, Reload};
use super::service;
use super::sources::{self, Around, Sources};
use super::status::Statuses;
use super::tasks::{Ended, Stage, Tasks, completes, until};
use super::workshop::Shelf;
use crate::config::model::{Config, ReceiverConfig, ReceiverKind, SourceConfig};
use crate::desk::hub::Hub;
use crate::domain::commit::Restored;
use crate::domain::engine::{Engine, Exercise, Outcome};
use crate::domain::id::{ReceiverName, SourceName};
use crate::domain::message::Undelivered;
use crate::domain::rule::RuleSet;
use crate::domain::rule::raw::RawFile;
use crate::domain::time::{Clock, Timestamp};
use crate::notify::desktop::Desktop;
use crate::notify::dispatch::Dispatcher;
use crate::notify::heartbeat::Heartbeat;
use crate::notify::receipts::Receipts;
use crate::notify::{Receiver, SendError};
use crate::source::position::Position;
use crate::source::timing::Timing;
use crate::store::{Answered, Store, StoreError, StoreHandle};
use crate::telemetry::events;
use crate::telemetry::metrics::Metrics;
use crate::web::{self, Live};
use crate::wire::link::Console;

/// Batches of frames that may wait for a worker; then the sources wait. What a replay after
/// an outage piles up here decides how much memory the daemon ever needs; BENCHMARKS.md has
/// Orders that may wait for the engine.
const REQUESTS: usize = 64;
/// Events that whoever looks on may be behind; then they look again instead.
const LIVE: usize = 256;
const ENGINE_STOPS: Duration = Duration::from_secs(3);
const RECEIVERS_STOP: Duration = Duration::from_secs(8);
const REST_STOPS: Duration = Duration::from_secs(2);
const STORE_CLOSES: Duration = Duration::from_secs(2);
const STORE_ENDS: Duration = Duration::from_secs(1);

/// Receipts that should be here are asked for this often.
const RECEIPTS_EVERY: Duration = Duration::from_secs(1);

/// How far each source was processed.
pub(super) type Positions = BTreeMap<SourceName, Position>;

/// What to run.
pub struct Setup {
    /// The configuration.
    pub config: Config,
    /// The rules, checked.
    pub rules: Arc<RuleSet>,
    /// Their files.
    pub files: Vec<RawFile>,
    /// Where SIGHUP reads rules and routes again; none where there is no file.
    pub reload: Option<Reload>,
    /// Whether the API asks for a token.
    pub open_api: bool,
    /// How patient the sources are.
    pub timing: Timing,
    /// Ends the daemon as SIGTERM does.
    pub stop: CancellationToken,
    /// Learns where the API listens.
    pub listening: Option<oneshot::Sender<SocketAddr>>,
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

/// What every part is given.
#[derive(Clone)]
struct Parts {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    store: StoreHandle,
    /// What receivers said that they have.
    answered: Answered,
    /// Where desks are, if there is a place for them.
    desks: Option<Arc<Hub>>,
    /// What happens, for whoever looks on.
    live: broadcast::Sender<Live>,
}

impl Parts {
    fn new(
        config: &Config,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
        store: StoreHandle,
        answered: Answered,
    ) -> Self {
        let (desks, (live, _)) = (desktops::hub(config, metrics), broadcast::channel(LIVE));
        Self { clock: Arc::clone(clock), metrics: Arc::clone(metrics), store, answered, desks, live }
    }
}

/// Runs until told to stop.
///
/// # Errors
/// [`Failure`] when it cannot start or go on.
pub async fn run(setup: Setup) -> Result<(), Failure> {
    let Setup { config, rules, files, reload, open_api, timing, stop, listening } = setup;
    let mut signals = Signals::listen()?;
    let (steady, clock, written) = clocks(&config.store.path);
    let (started, metrics) = (clock.now(), counters(&rules));
    let (database, restored) = open_database(&config, &rules, started)?;
    let web = bind(&config, open_api, database.access().context("reading who may sign in")?).await?;
    let (console, inlets) = web.as_ref().map(Web::ways).unwrap_or_default();
    let (store, requests) = crate::store::channel(Arc::clone(&clock), Arc::clone(&metrics));
    let parts = Parts::new(&config, &clock, &metrics, store.clone(), database.answered());
    let mut storing = Tasks::default();
    storing.spawn_blocking("store", move || Ok(crate::store::run(database, requests)?));

    let receivers: Vec<ReceiverName> = config.receivers.iter().map(|receiver| receiver.name.clone()).collect();
    let (mut engine, positions) = (engine(&config, &rules, &receivers), positions(&config, &restored));
    let (exercise, first) = restore(&mut engine, restored, started);
    let (rules_in_force, rules) = watch::channel(rules);
    let (shelves, files) = watch::channel(Arc::new(Shelf { files, refused: Vec::new() }));
    let (people_in_force, people) = watch::channel(Arc::clone(&config.routes.people));
    let statuses = Statuses::new(positions.keys().cloned(), started, reload.as_ref().and_then(Reload::kept));
    let (to_engine, engine_requests) = mpsc::channel(REQUESTS);

    let (mut rest, undelivered) = start_rest(&config, &receivers, &to_engine, &rules, &parts, written).await;
    let Sending { stage: sending, bells, workers: at_work } =
        start_receivers(&config, console.as_ref(), &undelivered, &parts).await?;
    let (pulse, probe) = (Pulse::starting(started), Probe::starting(started));
    let readiness = readiness(&parts, &statuses, &pulse, at_work, &probe);
    start_heartbeat(&mut rest, &config, &readiness)?;
    let visits = desktops::start(&mut rest, &config, parts.desks.as_ref(), &to_engine, console.as_ref())?;
    let around = Around { inlets: &inlets, rules: &rules, statuses: &statuses };
    let Sources { stage: reading, frames, formats, lookups } =
        sources::start(&config, &timing, &positions, &clock, &probe, &around)?;

    let frames = stream::unfold(frames, |mut frames| async move { Some((frames.recv().await?, frames)) });
    let arrived =
        pipeline::matched(frames, move |source| formats.of(source), rules.clone(), workers(), steady.behind());
    let desk = Desk {
        engine,
        first,
        store: store.clone(),
        bells,
        positions,
        lookups,
        rules: rules_in_force,
        people: people_in_force,
        clock: steady,
        metrics: Arc::clone(&metrics),
        statuses: statuses.clone(),
        pulse,
        trouble: None,
        probe,
        exercise,
        live: parts.live.clone(),
    };
    let mut working = Stage::new("engine", ENGINE_STOPS);
    working.tasks.spawn("engine", desk.run(arrived, engine_requests));

    let daemon = Arc::new(backend::Daemon {
        known: backend::Known::of(&config, receivers),
        readiness,
        engine: to_engine.clone(),
        rules: rules.clone(),
        files,
        people,
        statuses,
        desks: parts.desks.clone(),
        visits,
        turns: backend::Turns::default(),
        live: parts.live.clone(),
        store: store.clone(),
        started,
        clock: Arc::clone(&clock),
    });
    serve_api(&mut rest, &config, reload.as_ref(), web, daemon, metrics, listening)?;

    service::ready();
    let mut stages = [reading, working, sending, rest];
    let again = reload.map(|reload| Again { reload, engine: to_engine.clone(), rules, shelves });
    let ended = watch_over(&mut signals, &stop, again, &mut stages, &mut storing).await;
    service::stopping();
    drop(to_engine);
    stop_in_order(stages, &store, storing, clock.as_ref(), &mut signals, ended).await?;
    events::shutdown_done();
    Ok(())
}

/// An engine without a past.
fn engine(config: &Config, rules: &Arc<RuleSet>, receivers: &[ReceiverName]) -> Engine {
    let mut engine = Engine::new(Arc::clone(rules), config.routes.clone(), receivers.to_vec());
    engine.keep_sample(config.store.sample_one_in);
    engine
}

/// Counters, with what is counted already.
fn counters(rules: &RuleSet) -> Arc<Metrics> {
    let metrics = Metrics::default();
    metrics.rules(rules.rules().len());
    Arc::new(metrics)
}

/// One clock: as the engine's task sets it, and as everybody reads it; and when the database was written to last.
fn clocks(database: &Path) -> (Arc<SteadyClock>, Arc<dyn Clock>, Option<Timestamp>) {
    let steady = Arc::new(SteadyClock::start());
    let written = last_written(database);
    if let Some(written) = written {
        steady.was_at(written);
    }
    let clock = Arc::<SteadyClock>::clone(&steady);
    (steady, clock, written)
}

/// The database, with what the last run left in it.
fn open_database(config: &Config, rules: &RuleSet, now: Timestamp) -> Result<(Store, Restored), Failure> {
    let mut database = open_store(&config.store.path)?;
    database.hurry(now).context("hurrying what the last run could not send")?;
    let mut restored = what_the_last_run_left(&database, config, now)?;
    lessons::at_start(&config.store, rules, &mut restored, now);
    Ok((database, restored))
}

/// Match workers: one core is left for the rest.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1))
}

/// Goes on where the last run was, a drill apart from what is real.
fn restore(engine: &mut Engine, mut restored: Restored, now: Timestamp) -> (Option<Exercise>, Vec<Outcome>) {
    let (exercise, begun) = Exercise::resume(&mut restored, engine, now).unzip();
    (exercise, [Some(engine.restore(restored, now)), begun].into_iter().flatten().collect())
}

/// What is done by the clock, or once all is up.
fn start_habits(stage: &mut Stage, config: &Config, daemon: &Arc<backend::Daemon>, reload: Option<&Reload>) {
    if let Some(reload) = reload.cloned() {
        stage.tasks.spawn("configuration", until(stage.stop.clone(), async move { reload.started().await }));
    }
    let drills = drill::hold(Arc::clone(daemon), config.drills.clone());
    stage.tasks.spawn("drills", until(stage.stop.clone(), drills));
    stage.tasks.spawn("audit", until(stage.stop.clone(), audit::tell_head(config.store.path.clone())));
}

/// Everything that is still kept, of sources that are still read: windows reach back hours,
/// erasures as far as the evidence.
fn what_the_last_run_left(database: &Store, config: &Config, now: Timestamp) -> anyhow::Result<Restored> {
    let mut restored = database.restore(Timestamp::default()).context("reading what the last run left")?;
    let ended = database.ended_since(now - config.routes.terms.reopen_within);
    restored.ended = ended.context("reading which incidents ended lately")?;
    let is_read = |name: &SourceName| config.sources.iter().any(|source| source.name == *name);
    restored.cursors.retain(|source, _| is_read(source));
    restored.open_gaps.retain(|gap| is_read(&gap.source));
    Ok(restored)
}

/// Where each source resumes.
fn positions(config: &Config, restored: &Restored) -> Positions {
    let position = |source: &SourceConfig| {
        let (cursor, bookmark) = (restored.cursors.get(&source.name), restored.bookmarks.get(&source.name));
        Position::at(cursor.copied(), bookmark.cloned())
    };
    config.sources.iter().map(|source| (source.name.clone(), position(source))).collect()
}

/// What is done by the clock and what people ask for. Whoever wants to know where the API listens may have gone away by
/// then.
fn serve_api(
    stage: &mut Stage,
    config: &Config,
    reload: Option<&Reload>,
    web: Option<Web>,
    daemon: Arc<backend::Daemon>,
    metrics: Arc<Metrics>,
    listening: Option<oneshot::Sender<SocketAddr>>,
) -> anyhow::Result<()> {
    start_habits(stage, config, &daemon, reload);
    let Some(Web { listener, doors, certificate }) = web else { return Ok(()) };
    if let Some(certificate) = certificate {
        stage.tasks.spawn(
            "certificate",
            certificate.follow(Arc::clone(&daemon.clock), Arc::clone(&metrics), stage.stop.clone()),
        );
    }
    let address = listener.local_addr().context("the address of the API")?;
    let served = web::serve(listener, daemon, doors, metrics, stage.stop.clone());
    stage.tasks.spawn("web", async move { served.await.context("the API") });
    events::api_listens(address);
    if let Some(listening) = listening {
        listening.send(address).unwrap_or_default();
    }
    Ok(())
}

/// What nobody waits for, and where messages go that will never arrive.
async fn start_rest(
    config: &Config,
    receivers: &[ReceiverName],
    engine: &mpsc::Sender<Request>,
    rules: &watch::Receiver<Arc<RuleSet>>,
    parts: &Parts,
    written: Option<Timestamp>,
) -> (Stage, mpsc::Sender<Undelivered>) {
    let mut rest = Stage::new("rest", REST_STOPS);
    let (undelivered, queue) = mpsc::channel(REQUESTS);
    let now = parts.clock.now();
    let abandoned = outbox::abandon_unknown(&parts.store, &config.store.path, receivers, now).await;
    let telling = tell_engine(abandoned, queue, engine.clone(), parts.clone());
    rest.tasks.spawn("undelivered", until(rest.stop.clone(), telling));
    let (store, rules) = (config.store.clone(), rules.clone());
    let often = often(store.shortest_retention());
    let retention = move |now| privacy::retention(&store, &rules.borrow(), now);
    let engine = engine.clone();
    // An engine that is gone has nothing to forget.
    let gone = async move |gone| engine.send(Request::Forgotten(gone)).await.unwrap_or_default();
    let forgetting = forget_old(parts.store.clone(), Arc::clone(&parts.clock), written, often, retention, gone);
    rest.tasks.spawn("retention", until(rest.stop.clone(), forgetting));
    (rest, undelivered)
}

/// All that must move.
fn readiness(
    parts: &Parts,
    statuses: &Statuses,
    engine: &Pulse,
    workers: Vec<(ReceiverName, Pulse)>,
    probe: &Probe,
) -> Readiness {
    let Parts { clock, store, .. } = parts.clone();
    Readiness { statuses: statuses.clone(), store, engine: engine.clone(), workers, probe: probe.clone(), clock }
}

/// Tells the outside that all is well, if somebody there listens.
fn start_heartbeat(stage: &mut Stage, config: &Config, readiness: &Readiness) -> anyhow::Result<()> {
    if let Some(config) = &config.heartbeat {
        let heartbeat = Heartbeat::new(config).context("[heartbeat]")?;
        stage.tasks.spawn("heartbeat", until(stage.stop.clone(), readiness.clone().beat(heartbeat, config.every)));
    }
    Ok(())
}

/// Workers, one for each receiver.
struct Sending {
    stage: Stage,
    bells: Vec<Arc<Notify>>,
    workers: Vec<(ReceiverName, Pulse)>,
}

/// One worker for each receiver, its bell and its pulse.
async fn start_receivers(
    config: &Config,
    console: Option<&Console>,
    undelivered: &mpsc::Sender<Undelivered>,
    parts: &Parts,
) -> anyhow::Result<Sending> {
    let mut stage = Stage::new("receivers", RECEIVERS_STOP);
    let (mut bells, mut workers) = (Vec::new(), Vec::new());
    for receiver in &config.receivers {
        let built = match (&receiver.kind, &parts.desks) {
            (ReceiverKind::Desktop, Some(hub)) => Receiver::Desktop(Desktop::of_desks(Arc::clone(hub))),
            _ => Receiver::build(receiver, console).with_context(|| format!("receiver {}", receiver.name))?,
        };
        if let Err(error) = built.probe().await {
            events::receiver_unreachable(&receiver.name, &error);
        }
        let wake = Arc::new(Notify::new());
        bells.push(Arc::clone(&wake));
        let pulse = Pulse::starting(parts.clock.now());
        workers.push((receiver.name.clone(), pulse.clone()));
        let dispatcher = Dispatcher {
            name: receiver.name.clone(),
            receiver: built,
            outbox: StoreOutbox {
                store: parts.store.clone(),
                clock: Arc::clone(&parts.clock),
                answered: parts.answered.clone(),
                pulse,
            },
            wake,
            clock: Arc::clone(&parts.clock),
            observer: Arc::new(Counter(Arc::clone(&parts.metrics))),
            undelivered: undelivered.clone(),
        };
        stage.tasks.spawn(format!("receiver {}", receiver.name), completes(dispatcher.run(stage.stop.clone())));
    }
    Ok(Sending { stage, bells, workers })
}

/// What the daemon listens for, from its first moment: a signal nobody listens for would
/// end it, and a service manager may send SIGHUP as soon as it hears that all is ready.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("listening for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("listening for SIGINT")?,
            hang_up: signal(SignalKind::hangup()).context("listening for SIGHUP")?,
        })
    }
}

/// Waits for a signal, or for a task that ends though nobody told it to.
async fn watch_over(
    signals: &mut Signals,
    stop: &CancellationToken,
    reload: Option<Again>,
    stages: &mut [Stage],
    storing: &mut Tasks,
) -> anyhow::Result<()> {
    let Signals { terminate, interrupt, hang_up } = signals;
    loop {
        let tasks = stages.iter_mut().map(|stage| &mut stage.tasks).chain([&mut *storing]);
        let ended = select_all(tasks.map(|tasks| Box::pin(tasks.ended())));
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = terminate.recv() => { events::shutdown_begun("SIGTERM"); return Ok(()) }
            _ = interrupt.recv() => { events::shutdown_begun("SIGINT"); return Ok(()) }
            _ = hang_up.recv() => if let Some(reload) = &reload { reload.run().await } else { events::reload_pointless() },
            (Ended { task, result }, ..) = ended => {
                return Err(match result {
                    Ok(()) => anyhow::anyhow!("{task} ended by itself"),
                    Err(error) => error.context(format!("{task} failed")),
                });
            }
        }
    }
}

/// Stops stage after stage, the store last. A second signal does not wait.
async fn stop_in_order(
    stages: impl IntoIterator<Item = Stage>,
    store: &StoreHandle,
    mut storing: Tasks,
    clock: &dyn Clock,
    signals: &mut Signals,
    mut result: anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Signals { terminate, interrupt, .. } = signals;
    let in_order = async {
        for Stage { name, mut tasks, stop, within } in stages {
            let began = clock.now();
            stop.cancel();
            result = std::mem::replace(&mut result, Ok(())).and(tasks.finish(name, within).await);
            events::shutdown_stage(name, clock.now().since(began));
        }
        match timeout(STORE_CLOSES, store.close()).await {
            Ok(Ok(())) => {
                result = std::mem::replace(&mut result, Ok(())).and(storing.finish("store", STORE_ENDS).await);
            }
            Ok(Err(_)) => {} // a writer that has ended already said why
            // A disk that does not answer: the next start resumes from the last commit.
            Err(_) => events::shutdown_late("store", STORE_CLOSES),
        }
    };
    tokio::select! {
        () = in_order => {}
        _ = terminate.recv() => anyhow::bail!("forced by a second SIGTERM; the next start resumes from the last commit"),
        _ = interrupt.recv() => anyhow::bail!("forced by a second SIGINT; the next start resumes from the last commit"),
    }
    result
}

/// Parked deliveries become incidents, and so do overdue ones. What is lost here on the way down is found again
/// at the next start: the outbox remembers who has not been told.
async fn tell_engine(
    abandoned: Vec<Undelivered>,
    mut queue: mpsc::Receiver<Undelivered>,
    engine: mpsc::Sender<Request>,
    Parts { clock, store, .. }: Parts,
) -> anyhow::Result<()> {
    let mut waiting: VecDeque<Request> = abandoned.into_iter().map(Request::Undelivered).collect();
    let mut tick = tokio::time::interval(RECEIPTS_EVERY);
    let mut receipts = Receipts::default();
    loop {
        while let Some(request) = waiting.pop_front() {
            if engine.send(request).await.is_err() {
                return Ok(()); // the daemon stops
            }
        }
        tokio::select! {
            Some(undelivered) = queue.recv() => waiting.push_back(Request::Undelivered(undelivered)),
            _ = tick.tick() => {
                if !receipts.may_ask(store.trouble().is_some(), clock.now()) {
                    continue;
                }
                let Ok(overdue) = store.overdue(clock.now()).await else { continue };
                waiting.extend(receipts.fresh(overdue).into_iter().map(Request::Overdue));
            }
        }
    }
}

fn open_store(path: &Path) -> Result<Store, Failure> {
    Store::open(path).map_err(|error| {
        let locked = matches!(error, StoreError::Locked { .. });
        let error = anyhow::Error::new(error);
        if locked { Failure::Temporary(error) } else { Failure::Fatal(error) }
    })
}

/// Whether popups can be seen here. A session whose service is late may yet show them;
/// without a session each would only be one more thing that could not be told.
pub async fn desktop_shows() -> bool {
    let config = ReceiverConfig::new("desktop", ReceiverKind::Desktop);
    let Ok(desktop) = Receiver::build(&config, None) else { return false };
    !matches!(desktop.probe().await, Err(SendError::Permanent { .. }))
}
