//! The HTTP API of the daemon: health, metrics, incidents.
//!
//! It knows neither store nor engine: what it shows and does is behind [`Backend`], which
//! `app` fills. What is here is the manners of a server that hospital staff and strangers on
//! the same network can reach: who may ask, how much, and how long it may take.

mod api;
mod backend;
mod desks;
mod drills;
mod guard;
mod hooks;
mod inlets;
mod links;
mod listener;
mod page;
mod pagerduty;
mod silences;
mod token;
mod twilio;
pub mod view;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use backend::{Action, ActionKind, Backend, BackendError, IncidentDetail, Merge};
pub use desks::{Duplex, Visit};
pub use token::token;

pub use crate::net::inlet::Inlets;

use listener::Bounded;

use crate::config::secret::Secret;
use crate::domain::id::ReceiverName;
use crate::telemetry::metrics::Metrics;
use crate::wire::link::Console;

/// Desks of other workstations at a time, whose connections last; the next ones are refused.
pub const DESKS: usize = 64;
/// Connections at a time; the next ones wait in the system's queue.
const CONNECTIONS: usize = 64 + DESKS;
/// How long a connection may go without a part of an answer. Longer than a request may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Answers under way get so long to finish when the daemon stops.
const GRACE: Duration = Duration::from_millis(1500);

/// Who may use what lies under `/api`.
#[derive(Clone, Debug)]
pub enum Access {
    /// Whoever sends `Authorization: Bearer` with this.
    Token(Secret),
    /// Everybody who can connect: a demo on loopback.
    Open,
}

/// By which ways one comes in.
#[derive(Clone, Debug)]
pub struct Doors {
    /// To the API.
    pub access: Access,
    /// By links: the address that answers name, and what knows the links that messages carry.
    pub console: Option<Console>,
    /// By what a receiver sends back.
    pub hooks: BTreeMap<ReceiverName, Hook>,
    /// By what others send to sources.
    pub inlets: Inlets,
}

/// What is known of a receiver that sends back what people did.
#[derive(Clone, Debug)]
pub enum Hook {
    /// The secret that `PagerDuty` signs with.
    PagerDuty(Secret),
    /// Text messages and keys pressed in calls.
    Twilio {
        /// The account's secret, which signs.
        token: Secret,
        /// Numbers that are told by the receiver itself.
        to: Vec<String>,
    },
}

/// What every handler can reach.
#[derive(Debug)]
struct Shared<B> {
    backend: Arc<B>,
    metrics: Arc<Metrics>,
    access: Access,
    listen: SocketAddr,
    /// Where people reach this server.
    console: Option<Console>,
    hooks: BTreeMap<ReceiverName, Hook>,
    inlets: Inlets,
}

/// Serves until `cancel`, then finishes the answers under way.
///
/// # Errors
/// When the listener has no address; a connection's trouble is its own.
pub async fn serve<B: Backend>(
    listener: TcpListener,
    backend: Arc<B>,
    doors: Doors,
    metrics: Arc<Metrics>,
    cancel: CancellationToken,
) -> io::Result<()> {
    let listen = listener.local_addr()?;
    let Doors { access, console, hooks, inlets } = doors;
    let router = api::router(Arc::new(Shared { backend, metrics, access, listen, console, hooks, inlets }));
    let stop = cancel.clone();
    let server = axum::serve(Bounded::new(listener, CONNECTIONS, PATIENCE), router)
        .with_graceful_shutdown(async move { stop.cancelled().await });
    let out_of_patience = async {
        cancel.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = server => result,
        () = out_of_patience => Ok(()),
    }
}
