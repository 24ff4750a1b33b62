//! By which ways one comes in: the socket of the API, and the keys to it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket};
use url::Url;

use super::certificate::Certificate;
use super::daemon::Failure;
use crate::config::model::{Config, LocalUser, ReceiverConfig, ReceiverKind, TrustedProxy};
use crate::desk::socket::{listen, number_of};
use crate::domain::access::Accounts;
use crate::domain::id::ReceiverName;
use crate::web::{self, Access, Doors, Hook, Inlets, Provider, Trusted};
use crate::wire::link::Console;

/// What signs links, and what the secrets of subscriptions are made of, beside the database. Without this file all links
/// made so far are void, and a new one is made.
const LINK_KEY: &str = "link-key";
/// Connections that wait to be let in; Linux has room for as many unless told otherwise (`net.core.somaxconn`).
const QUEUE: u32 = 4096;

/// What listens, and to whom.
pub(super) struct Web {
    /// The socket.
    pub(super) listener: TcpListener,
    /// The keys.
    pub(super) doors: Doors,
    /// What the server proves itself with, if it does.
    pub(super) certificate: Option<Certificate>,
}

impl Web {
    /// Where people reach the daemon, and by which ways sources are called.
    pub(super) fn ways(&self) -> (Option<Console>, Inlets) {
        (self.doors.console.clone(), self.doors.inlets.clone())
    }
}

/// The API's socket and keys, taken before anything else runs.
pub(super) async fn bind(config: &Config, open_api: bool, accounts: Accounts) -> Result<Option<Web>, Failure> {
    let Some(web) = &config.web else { return Ok(None) };
    let listener = listening(web.listen)
        .with_context(|| format!("[web] listen = \"{}\"", web.listen))
        .map_err(Failure::Temporary)?;
    let kept = |path: &Path, what: &str| web::token(path).with_context(|| format!("{what} in {}", path.display()));
    let token = match &web.token {
        Some(token) => token.clone(),
        None => kept(&token_path(&config.store.path), "the API's token")?,
    };
    let (console, inlets) = if let Some(public) = &web.public_url {
        let key = kept(&config.store.path.with_file_name(LINK_KEY), "the key of links")?;
        (Some(Console::with_links(public.clone(), key.expose())), Inlets::at(public.clone(), key))
    } else {
        let scheme = if web.tls.is_some() { "https" } else { "http" };
        let address = format!("{scheme}://{}/", listener.local_addr().context("the address of the API")?);
        (Url::parse(&address).ok().map(Console::at), Inlets::default())
    };
    let tls = web.tls.as_ref().map(Certificate::new).transpose()?;
    let proxy = web.proxy.as_ref().map(trusted).transpose()?;
    let oidc = web.oidc.as_ref().zip(web.public_url.as_ref());
    let oidc = oidc.map(|(oidc, public)| Provider::new(oidc.clone(), public)).transpose().context("[web.oidc]")?;
    let access = if open_api { Access::Open } else { Access::Token(token) };
    let served = tls.as_ref().map(Certificate::served);
    let doors = Doors { access, tls: served, proxy, oidc, accounts, console, hooks: hooks(config), inlets };
    Ok(Some(Web { listener, doors, certificate: tls }))
}

/// Takes the address. Who comes while others are being let in waits in a queue of the kernel's; when that is full, their
/// browser tries again after seconds.
fn listening(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As after a restart, when old connections still end.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

/// The socket at which the proxy is believed. Whoever reaches the file may knock; the kernel says who is the proxy.
fn trusted(proxy: &TrustedProxy) -> anyhow::Result<Trusted> {
    let TrustedProxy { socket, user, user_header, role } = proxy;
    let user = match user {
        LocalUser::Numbered(number) => *number,
        LocalUser::Named(name) => number_of(name).with_context(|| {
            format!("[web] proxy: /etc/passwd has no user {name}; write its number, which `id -u {name}` prints")
        })?,
    };
    let header = user_header.parse().context("[web] proxy: user_header")?;
    let place = || format!("[web] proxy: the socket {}", socket.display());
    let listener = listen(socket).with_context(place)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).with_context(place)?;
    Ok(Trusted { listener, user, header, newcomers: *role })
}

/// Receivers that send back what people did.
fn hooks(config: &Config) -> BTreeMap<ReceiverName, Hook> {
    let hook = |receiver: &ReceiverConfig| {
        let hook = match &receiver.kind {
            ReceiverKind::PagerDuty { webhook_secret, .. } => Hook::PagerDuty(webhook_secret.clone()?),
            ReceiverKind::Twilio(twilio) if twilio.answers() => {
                Hook::Twilio { token: twilio.token.clone(), to: twilio.to.clone() }
            }
            _ => return None,
        };
        Some((receiver.name.clone(), hook))
    };
    config.receivers.iter().filter_map(hook).collect()
}

/// Where the daemon keeps the API's token unless the configuration names one.
pub fn token_path(database: &Path) -> PathBuf {
    database.with_file_name("api-token")
}
