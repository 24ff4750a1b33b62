//! `[web]`: where the console and the API listen, and what keeps others from reading along.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use url::Url;

use super::certificate::certificate;
use super::endpoint::{TRANSPORT_KEYS, address, on_this_machine, public_address, transport};
use super::model::{LocalUser, OidcConfig, TlsFiles, TrustedProxy, WebConfig};
use super::reference::{Surroundings, secret, secret_file};
use super::table::{Checked, Table, Value, all, quoted};
use crate::domain::access::Role;
use crate::domain::diagnostic::Level;

/// The table.
pub(super) fn web(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<WebConfig> {
    table.allow_only(&["listen", "token", "public_url", "tls", "proxy", "oidc"]);
    let public_url = table.get("public_url").map(|value| public_address(&value)).transpose();
    let token = table.get("token").map(|value| secret(&value, around)).transpose();
    let tls = table.get("tls").map(|value| tls(&value, around)).transpose();
    let proxy = table.get("proxy").map(|value| proxy(&value, table, around)).transpose();
    let oidc = table.get("oidc").map(|value| oidc(&value, table, around)).transpose();
    let listen = table.require("listen", "`listen = \"127.0.0.1:8787\"`")?;
    let address = listen.parsed(|text| {
        text.parse::<SocketAddr>().or(Err("write an IP address and a port, such as 127.0.0.1:8787 or [::1]:8787"))
    })?;
    let (public_url, token, tls, proxy, oidc) = (public_url?, token?, tls?, proxy?, oidc?);
    if tls.is_none() && !address.ip().to_canonical().is_loopback() {
        let message = "`listen` lets other machines in, in the clear";
        let help = "add `tls = { certificate = \"chain.pem\", key = { file = \"key.pem\" } }`; or listen on 127.0.0.1, behind a proxy with a certificate on this machine";
        return listen.absent("SB0450", message, help);
    }
    Ok(WebConfig { listen: address, token, public_url, tls, proxy, oidc })
}

fn tls(value: &Value<'_>, around: &Surroundings<'_>) -> Checked<TlsFiles> {
    let table = value.table("`tls`")?;
    table.allow_only(&["certificate", "key"]);
    let chain = table.require("certificate", "`certificate = \"chain.pem\"`");
    let key = table.require("key", "`key = { file = \"key.pem\" }`");
    let path = chain.as_ref().map_err(|noted| *noted).and_then(|value| Ok(around.folder.join(value.filled()?)));
    let secret = key.as_ref().map_err(|noted| *noted).and_then(|value| secret_file(value, around));
    let (chain, key, path, secret) = (chain?, key?, path?, secret?);
    let Some(secret) = secret else {
        // On another machine, where there is no credential; nothing to look at.
        return Ok(TlsFiles { certificate: path, key: PathBuf::new() });
    };
    let files = TlsFiles { certificate: path, key: secret };
    if let Err(error) = certificate(&files) {
        let place = if error.is_of_key(&files) { &key } else { &chain };
        let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
        let help = "name the files that the authority gave you, as the user the daemon runs as can read them; the chain has the server's certificate first";
        let level = if error.is_of_this_machine() { around.secrets.level() } else { Level::Error };
        place.note(level, "SB0451", format!("{error}{cause}"), help);
    }
    Ok(files)
}

/// Headers that mean something else already.
const TAKEN: [&str; 10] = [
    "accept",
    "accept-language",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "origin",
    "user-agent",
];

fn proxy(value: &Value<'_>, web: &Table<'_>, around: &Surroundings<'_>) -> Checked<TrustedProxy> {
    let table = value.table("`proxy`")?;
    table.allow_only(&["socket", "user", "user_header", "role"]);
    let socket = table.require("socket", "`socket = \"/run/stormbell/web.sock\"`").and_then(|value| value.filled());
    let user =
        table.require("user", "`user = \"www-data\"`, as whom the proxy runs").and_then(|value| local_user(&value));
    let header = table.require("user_header", "`user_header = \"X-Remote-User\"`").and_then(|value| header(&value));
    let role = table.get("role").map(|value| newcomers(&value)).transpose();
    if web.get("public_url").is_none() {
        let help = "add `public_url = \"https://…\"` to [web]: the name by which people reach the proxy";
        return value.absent("SB0415", "a proxy that people come through, and no name for it", help);
    }
    Ok(TrustedProxy { socket: around.folder.join(socket?), user: user?, user_header: header?, role: role? })
}

const OIDC_KEYS: [&str; 7] = ["issuer", "name", "client_id", "client_secret", "scope", "claim", "roles"];

fn oidc(value: &Value<'_>, web: &Table<'_>, around: &Surroundings<'_>) -> Checked<OidcConfig> {
    let table = value.table("[web.oidc]")?;
    table.allow_only(&[&OIDC_KEYS[..], &TRANSPORT_KEYS].concat());
    let issuer = table.require("issuer", "`issuer = \"https://login.hospital.example/realms/staff\"`");
    let issuer = issuer.and_then(|value| Ok((issuer_address(&value)?, value.string()?)));
    let id = table.require("client_id", "`client_id = \"stormbell\"`").and_then(|value| value.filled());
    let word = table.require("client_secret", "`client_secret = { credential = \"oidc\" }`");
    let word = word.and_then(|value| secret(&value, around));
    let roles =
        table.require("roles", "`roles = { \"crisis-team\" = \"responder\" }`").and_then(|value| groups(&value));
    let filled = |key, usual: &str| table.get(key).map_or(Ok(usual.to_owned()), |value| Ok(value.filled()?.to_owned()));
    let (name, claim) = (filled("name", ""), filled("claim", OidcConfig::DEFAULT_CLAIM));
    let scope = table.get("scope").map(|value| scope(&value)).transpose();
    let transport = transport(&table, around);
    if web.get("public_url").is_none() {
        let help = "add `public_url = \"https://…\"` to [web]: the address to which people are sent back";
        return value.absent("SB0415", "people sign in elsewhere, and there is no address to come back to", help);
    }
    let (issuer, written_issuer) = issuer?;
    let name = name?;
    Ok(OidcConfig {
        name: if name.is_empty() { issuer.host_str().unwrap_or_default().to_owned() } else { name },
        issuer,
        written_issuer: written_issuer.to_owned(),
        client_id: id?.to_owned(),
        client_secret: word?,
        scope: scope?.unwrap_or_else(|| OidcConfig::DEFAULT_SCOPE.to_owned()),
        claim: claim?,
        roles: roles?,
        transport: transport?,
    })
}

fn issuer_address(value: &Value<'_>) -> Checked<Url> {
    let url = address(value, &["https", "http"])?;
    if url.scheme() == "http" && !on_this_machine(&url) {
        let help = "use https://: whoever sits between could say who people are";
        return value.error("SB0406", "`issuer` is in the clear", help);
    }
    if url.query().is_some() || url.fragment().is_some() {
        let help = "write it as the provider does, up to what comes before /.well-known/openid-configuration";
        return value.error("SB0406", "`issuer` has a query or a fragment", help);
    }
    Ok(url)
}

fn scope(value: &Value<'_>) -> Checked<String> {
    let scope = value.filled()?;
    if scope.split_ascii_whitespace().any(|word| word == "openid") {
        return Ok(scope.to_owned());
    }
    value.error(
        "SB0005",
        "`scope` does not have `openid`",
        "write \"openid profile email\", and what your provider needs for groups",
    )
}

/// Which group may do what.
fn groups(value: &Value<'_>) -> Checked<BTreeMap<String, Role>> {
    let words = Role::ALL.map(|role| (role.as_str(), role));
    let entries = value.table("`roles`")?.in_order();
    if entries.is_empty() {
        let help = "name groups of the provider's, such as { \"crisis-team\" = \"responder\" }";
        return value.error("SB0005", "`roles` lets nobody in", help);
    }
    let role = |(group, _, value): &(&str, _, Value<'_>)| Ok(((*group).to_owned(), value.word(&words)?));
    Ok(all(entries.iter().map(role))?.into_iter().collect())
}

fn local_user(value: &Value<'_>) -> Checked<LocalUser> {
    if !value.is_integer() {
        return Ok(LocalUser::Named(value.filled()?.to_owned()));
    }
    match u32::try_from(value.integer()?) {
        Ok(number) => Ok(LocalUser::Numbered(number)),
        Err(_) => {
            value.error("SB0005", "`user` is no number of a user", "write the name, or the number `id -u` prints")
        }
    }
}

fn header(value: &Value<'_>) -> Checked<String> {
    let name = value.filled()?.to_ascii_lowercase();
    if name.chars().any(|c| !c.is_ascii_alphanumeric() && c != '-') {
        let help = "use letters, digits and `-`, such as X-Remote-User; proxies drop other signs";
        return value.error("SB0005", format!("{} is no name of a header", quoted(&name)), help);
    }
    if TAKEN.contains(&name.as_str()) {
        let help = "name one that the proxy sets anew in every request, such as X-Remote-User";
        return value.error("SB0005", format!("`{name}` says something else already"), help);
    }
    Ok(name)
}

/// What those may do who were never invited.
fn newcomers(value: &Value<'_>) -> Checked<Role> {
    let words = Role::ALL.map(|role| (role.as_str(), role));
    let role = value.word(&words)?;
    if role == Role::Admin {
        let help = "choose viewer, responder or editor; an admin can make others one";
        return value.error("SB0005", "`role` would let everybody decide who may do what", help);
    }
    Ok(role)
}
