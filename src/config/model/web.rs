//! The console and the API: where they listen, and by which doors one comes in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use url::Url;

use super::Transport;
use crate::config::secret::Secret;
use crate::domain::access::Role;

/// `[web]`.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The bearer token of `/api`; none means the daemon makes one beside the database.
    pub token: Option<Secret>,
    /// Where people who are told reach the daemon; without it messages carry no links to take charge by.
    pub public_url: Option<Url>,
    /// What `listen` proves itself with; none means plain HTTP, which stays on this machine.
    pub tls: Option<TlsFiles>,
    /// A proxy on this machine that says who is there.
    pub proxy: Option<TrustedProxy>,
    /// Where people sign in already.
    pub oidc: Option<OidcConfig>,
}

/// `[web.oidc]`: a provider of `OpenID` Connect.
#[derive(Clone, Debug)]
pub struct OidcConfig {
    /// Its address.
    pub issuer: Url,
    /// The same as it was written: the provider must call itself exactly so.
    pub written_issuer: String,
    /// What people call it.
    pub name: String,
    /// As whom it knows us.
    pub client_id: String,
    /// What shows that it is us.
    pub client_secret: Secret,
    /// What it is asked for.
    pub scope: String,
    /// The claim that says in which groups somebody is: its name, or a JSON pointer.
    pub claim: String,
    /// What the members of a group may do; never empty.
    pub roles: BTreeMap<String, Role>,
    /// How to get there.
    pub transport: Transport,
}

impl OidcConfig {
    /// What it is asked for without a setting.
    pub const DEFAULT_SCOPE: &str = "openid profile email";
    /// The claim without a setting.
    pub const DEFAULT_CLAIM: &str = "groups";

    /// Its address as it calls itself.
    pub fn issuer(&self) -> &str {
        &self.written_issuer
    }

    /// Where it says what it is (`OpenID` Connect Discovery 1.0, §4).
    pub fn discovery(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.written_issuer.trim_end_matches('/'))
    }
}

/// A proxy that lets people in and says who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxy {
    /// Where it connects, and where alone it is believed.
    pub socket: PathBuf,
    /// As whom it runs; the kernel says so.
    pub user: LocalUser,
    /// The header with the name, in small letters.
    pub user_header: String,
    /// What those may do who have no account yet and get one; none means that they are refused.
    pub role: Option<Role>,
}

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalUser {
    /// By the name in `/etc/passwd`.
    Named(String),
    /// By number.
    Numbered(u32),
}

/// Where a certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's certificate first, then what leads to an authority.
    pub certificate: PathBuf,
    /// PEM: the private key.
    pub key: PathBuf,
}
