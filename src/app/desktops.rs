//! Desks: where they connect, and the daemon as they need it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::desk::Request;
use super::tasks::Stage;
use crate::config::model::{Config, ReceiverConfig, ReceiverKind};
use crate::desk::hub::{Hub, Standing};
use crate::desk::line::Line;
use crate::desk::protocol::MAX_LAST;
use crate::desk::session::{Office, Sessions, Who};
use crate::desk::socket::Socket;
use crate::domain::engine::{Action, Command, Refused};
use crate::domain::id::{IncidentId, ReceiverName};
use crate::domain::incident::{Incident, IncidentState};
use crate::domain::lane::Sight;
use crate::domain::message::{Message, MessageKind};
use crate::notify::desktop::show;
use crate::store::{Reader, StoreError};
use crate::telemetry::events;
use crate::telemetry::metrics::Metrics;
use crate::web::{self, Visit};
use crate::wire::link::Console;

/// Desks that have sent their handshake and are not served yet.
const ARRIVING: usize = 16;
/// Our answer to the handshake must have left by then.
const ARRIVES_WITHIN: Duration = Duration::from_secs(1);

/// The desks of a daemon that has a place for them.
pub(super) fn hub(config: &Config, metrics: &Arc<Metrics>) -> Option<Arc<Hub>> {
    config.desk.as_ref().map(|_| Arc::new(Hub::new(Arc::clone(metrics))))
}

/// Listens for desks, if there is a place for them; where those of other workstations are sent.
pub(super) fn start(
    stage: &mut Stage,
    config: &Config,
    hub: Option<&Arc<Hub>>,
    engine: &mpsc::Sender<Request>,
    console: Option<&Console>,
) -> anyhow::Result<Option<mpsc::Sender<Visit>>> {
    let (Some(desk), Some(hub)) = (&config.desk, hub) else { return Ok(None) };
    let is_desktop = |receiver: &&ReceiverConfig| matches!(receiver.kind, ReceiverKind::Desktop);
    let receivers = config.receivers.iter().filter(is_desktop).map(|receiver| receiver.name.clone()).collect();
    let office = Front { engine: engine.clone(), database: config.store.path.clone(), receivers };
    let base = console.map(|console| console.base().clone());
    let sessions = Sessions { hub: Arc::clone(hub), office: Arc::new(office), console: base };
    if let Some(path) = &desk.socket {
        let socket = Socket::bind(path).with_context(|| format!("the socket for desks, {}", path.display()))?;
        events::desks_welcome(path);
        let (sessions, stop) = (sessions.clone(), stage.stop.clone());
        stage.tasks.spawn("desks", async move {
            socket.serve(sessions, stop).await;
            Ok(())
        });
    }
    let (visits, arriving) = mpsc::channel(ARRIVING);
    let stop = stage.stop.clone();
    stage.tasks.spawn("desks elsewhere", async move {
        receive(arriving, sessions, stop).await;
        Ok(())
    });
    Ok(Some(visits))
}

/// Speaks with desks of other workstations until `cancel`.
async fn receive<O: Office>(mut arriving: mpsc::Receiver<Visit>, sessions: Sessions<O>, cancel: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = connections.join_next() => {} // how it ended is in the log
            Some(visit) = arriving.recv(), if connections.len() < web::DESKS => {
                let (sessions, cancel) = (sessions.clone(), cancel.clone());
                connections.spawn(async move {
                    if let Ok(Some(stream)) = timeout(ARRIVES_WITHIN, visit).await {
                        sessions.serve(Line::websocket(stream).await, Who::Trusted, cancel).await;
                    }
                });
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Engine and store, as desks need them.
pub(super) struct Front {
    engine: mpsc::Sender<Request>,
    database: PathBuf,
    /// Those whose messages desks show.
    receivers: Vec<ReceiverName>,
}

impl Office for Front {
    async fn acknowledge(&self, incident: IncidentId, seen: u32, by: &str) -> Result<(), String> {
        let stopping = || "the daemon is stopping; try again in a few seconds".to_owned();
        let (answer, answered) = oneshot::channel();
        let reason = "on a desk".to_owned();
        let command = Command { incident, by: by.to_owned(), action: Action::AcknowledgeSeen(seen), reason };
        self.engine.send(Request::Command(command, answer)).await.or(Err(stopping()))?;
        match answered.await.or(Err(stopping()))? {
            Ok(_) => Ok(()),
            Err(Refused::NoSuchIncident) => Err("the incident is over".to_owned()),
            Err(refused) => Err(refused.to_string()),
        }
    }

    async fn standing(&self) -> Result<Vec<Standing>, String> {
        let (database, receivers) = (self.database.clone(), self.receivers.clone());
        let read = move || standing(&Reader::open(&database)?, &receivers);
        let read = tokio::task::spawn_blocking(read).await.map_err(|panic| panic.to_string())?;
        read.map_err(|error: StoreError| error.to_string())
    }
}

/// How all stands that desks were told of and that is not over, with the posts that still exist.
fn standing(reader: &Reader, receivers: &[ReceiverName]) -> Result<Vec<Standing>, StoreError> {
    let mut stand = Vec::new();
    for (state, kind) in
        [(IncidentState::Open, MessageKind::Opened), (IncidentState::Acknowledged, MessageKind::Acknowledged)]
    {
        let was_told = |incident: &Incident| incident.told.receivers.iter().any(|to| receivers.contains(&to.receiver));
        for incident in reader.incidents(Some(state), None, MAX_LAST)?.into_iter().filter(was_told) {
            let posts = reader.incident(&incident.id, Sight::Veiled)?.map(|record| record.posts).unwrap_or_default();
            let muted = incident.muted.is_some();
            // What only others were told since is no news here.
            let told = reader.deliveries(&incident.id)?;
            let of_desks = told.iter().filter(|row| receivers.iter().any(|desks| desks.as_str() == row.receiver));
            let revision = of_desks.map(|row| row.revision).max().unwrap_or(incident.revision);
            let incident = Incident { revision, ..incident };
            stand.push(Standing { show: show(&Message { kind, at: incident.opened_at, incident }, &posts), muted });
        }
    }
    Ok(stand)
}
