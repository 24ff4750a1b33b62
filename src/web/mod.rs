//! The console and the HTTP API of the daemon.
//!
//! It knows neither store nor engine: what it shows and does is behind [`Backend`], which
//! `app` fills. What is here is the manners of a server that hospital staff and strangers on
//! the same network can reach: who may ask, how much, and how long it may take.

mod api;
mod backend;
mod caller;
mod console;
mod desks;
mod drills;
mod gate;
mod guard;
mod handover;
mod hooks;
mod incidents;
mod inlets;
mod links;
mod listener;
mod live;
mod oidc;
mod openapi;
mod page;
mod pagerduty;
mod place;
mod privacy;
pub mod receipts;
pub mod report;
mod routes;
mod search;
mod sheet;
mod silences;
mod team;
mod tls;
mod token;
mod tokens;
mod twilio;
pub mod view;
mod workshop;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderName;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

pub use backend::{
    Action, ActionKind, Backend, BackendError, Growth, IncidentDetail, Live, Merge, Moment, Numbered, Story,
};
pub use desks::{Duplex, Visit};
pub use handover::{Failed, Note};
pub use oidc::Provider;
pub use openapi::document;
pub use privacy::{Erase, Privacy, Subject};
pub use routes::{Needs, Route};
pub use team::{Approve, Escalate, Evidence, HandOver, Team};
pub use tls::Tls;
pub use token::token;
pub use workshop::{
    Draft, Judgement, LastMessage, Missed, Past, Preview, Proposal, RuleDetail, RuleState, Tried, TriedPost, Workshop,
};

pub use crate::net::inlet::Inlets;

use gate::Gate;
use listener::{Bounded, Entrance, Peer};
use live::Seats;

use crate::config::secret::Secret;
use crate::domain::access::{Accounts, Role};
use crate::domain::id::ReceiverName;
use crate::telemetry::metrics::Metrics;
use crate::wire::link::Console;

/// Desks of other workstations at a time, whose connections last; the next ones are refused.
pub const DESKS: usize = 64;
/// Viewers at a time who are told what happens; the next ones ask now and then.
const VIEWERS: usize = 500;
/// Of one account or program: a few browsers with many pages each, and no more.
const VIEWERS_EACH: usize = 50;
/// Connections at a time; a further one gets the place of the one that got nothing done for longest.
const CONNECTIONS: usize = 64 + DESKS + VIEWERS;
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

/// A proxy on this machine that lets people in, and says in a header who they are.
#[derive(Debug)]
pub struct Trusted {
    /// Where it connects, and where alone it is believed.
    pub listener: UnixListener,
    /// The number of the user as whom it runs: nobody else gets in there.
    pub user: u32,
    /// The header.
    pub header: HeaderName,
    /// What those may do who have no account yet and get one; none means that they are refused.
    pub newcomers: Option<Role>,
}

/// By which ways one comes in.
#[derive(Debug)]
pub struct Doors {
    /// To the API.
    pub access: Access,
    /// What the server proves itself with; none means that it speaks in the clear.
    pub tls: Option<Tls>,
    /// Who says who is there.
    pub proxy: Option<Trusted>,
    /// Where people sign in already.
    pub oidc: Option<Provider>,
    /// Who may sign in.
    pub accounts: Accounts,
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

/// What the proxy says.
#[derive(Debug)]
struct Believed {
    header: HeaderName,
    newcomers: Option<Role>,
}

/// What every handler can reach.
#[derive(Debug)]
struct Shared<B> {
    backend: Arc<B>,
    metrics: Arc<Metrics>,
    access: Access,
    /// What is believed of a connection that comes from the proxy.
    believed: Option<Believed>,
    /// Where people sign in already.
    oidc: Option<Provider>,
    gate: Gate<B>,
    /// Places for viewers.
    viewers: Arc<Seats>,
    /// When streams of events end.
    stop: CancellationToken,
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
    let Doors { access, tls, proxy, oidc, accounts, console, hooks, inlets } = doors;
    let secret = match &access {
        Access::Token(token) => token.expose(),
        Access::Open => "",
    };
    let gate = Gate::new(Arc::clone(&backend), accounts, secret);
    let viewers = Arc::new(Seats::new(VIEWERS, VIEWERS_EACH));
    let believed = proxy.as_ref().map(|proxy| Believed { header: proxy.header.clone(), newcomers: proxy.newcomers });
    let shared = Arc::new(Shared {
        backend,
        metrics,
        access,
        believed,
        oidc,
        gate,
        viewers,
        stop: cancel.clone(),
        listen,
        console,
        hooks,
        inlets,
    });
    invite_the_first(&shared).await;
    let (router, _) = api::router(shared);
    let router = router.into_make_service_with_connect_info::<Peer>();
    let at = async |entrance| {
        let stop = cancel.clone();
        let served = axum::serve(Bounded::new(entrance, CONNECTIONS, PATIENCE), router.clone());
        served.with_graceful_shutdown(async move { stop.cancelled().await }).await
    };
    let behind = async {
        match proxy {
            Some(Trusted { listener, user, .. }) => at(Entrance::Unix(listener, user)).await,
            None => Ok(()),
        }
    };
    let server = async { tokio::try_join!(at(Entrance::Tcp(listener, tls)), behind).map(|_| ()) };
    let out_of_patience = async {
        cancel.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = server => result,
        () = out_of_patience => Ok(()),
    }
}

/// Every address of the server and what it takes, for whoever checks or documents it.
pub fn addresses<B: Backend>(backend: Arc<B>) -> Vec<Route> {
    let gate = Gate::new(Arc::clone(&backend), Accounts::default(), "");
    let (metrics, listen) = (Arc::default(), SocketAddr::from(([127, 0, 0, 1], 0)));
    let (access, hooks, inlets) = (Access::Open, BTreeMap::new(), Inlets::default());
    let (viewers, stop) = (Arc::new(Seats::new(VIEWERS, VIEWERS_EACH)), CancellationToken::new());
    let shared = Shared {
        backend,
        metrics,
        access,
        believed: None,
        oidc: None,
        gate,
        viewers,
        stop,
        listen,
        console: None,
        hooks,
        inlets,
    };
    api::router(Arc::new(shared)).1
}

/// While nobody has an account, whoever can read the journal makes the first.
async fn invite_the_first<B: Backend>(shared: &Shared<B>) {
    let (Access::Token(_), Some(console)) = (&shared.access, &shared.console) else { return };
    if let Some(secret) = shared.gate.first_link().await {
        shared.backend.first_account(&console.invitation_url(&secret));
    }
}
