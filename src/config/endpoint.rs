//! Addresses, and how to get out of the building to them.

use std::fs::File;

use url::Url;

use super::model::{Proxy, Transport};
use super::reference::{Surroundings, secret};
use super::table::{Table, Value};

/// The keys [`transport`] reads.
pub(super) const TRANSPORT_KEYS: [&str; 4] = ["proxy", "proxy_user", "proxy_password", "ca_file"];

/// A URL with one of `schemes`, a host, and no login in it.
pub(super) fn address(value: &Value<'_>, schemes: &[&str]) -> Option<Url> {
    let text = value.string()?;
    if text.contains('@') {
        value.hide(); // perhaps a password, however wrong the rest is
    }
    let key = value.key();
    let example = schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(" or ");
    let help = format!("write an address that begins with {example}");
    let wrong = |message: String, help: &str| {
        value.error("SB0406", message, help);
        None
    };
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return wrong(format!("`{key}` is not a URL: {error}"), &help),
    };
    if !schemes.contains(&url.scheme()) {
        return wrong(format!("`{key}` cannot begin with `{}:`", url.scheme()), &help);
    }
    if !url.has_host() {
        return wrong(format!("`{key}` names no host"), &help);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong(format!("`{key}` holds a login"), "take the part before `@` out; secrets are never in this file");
    }
    Some(url)
}

/// Proxy and authorities of one source or receiver; `None` when something is wrong.
pub(super) fn transport(table: &Table<'_>, around: &Surroundings<'_>) -> Option<Transport> {
    let proxy = table.get("proxy").map(|value| proxy(&value));
    let login = login(table, around);
    let ca_file = table.get("ca_file").map(|value| {
        let path = around.folder.join(value.filled()?);
        if let Err(error) = File::open(&path) {
            let message = format!("{} cannot be read: {error}", path.display());
            value.note(around.secrets.level(), "SB0412", message, "name a PEM file with certificate authorities");
        }
        Some(path)
    });
    if proxy.is_none()
        && let Some(user) = table.get("proxy_user")
    {
        user.absent("SB0406", "a login for a proxy, but no proxy", "add `proxy = \"http://host:port\"`");
    }
    let (login, ca_file) = (login?, ca_file.map_or(Some(None), |path| path.map(Some))?);
    let proxy = match proxy {
        None => None,
        Some(url) => Some(Proxy { url: url?, login }),
    };
    Some(Transport { proxy, ca_file })
}

fn proxy(value: &Value<'_>) -> Option<Url> {
    let url = address(value, &["http"])?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        value.error("SB0406", "`proxy` has more than host and port", "write \"http://host:port\"");
        return None;
    }
    Some(url)
}

/// `Some(None)` without a login, `None` when it is wrong.
fn login(table: &Table<'_>, around: &Surroundings<'_>) -> Option<Option<(String, super::secret::Secret)>> {
    let password = table.get("proxy_password").map(|value| (secret(&value, around), value));
    match (table.get("proxy_user"), password) {
        (None, None) => Some(None),
        (Some(user), Some((password, _))) => Some(Some((user.filled()?.to_owned(), password?))),
        (Some(user), None) => {
            let help = "add `proxy_password = { credential = \"name\" }`";
            user.absent("SB0003", "`proxy_user` without `proxy_password`", help);
            None
        }
        (None, Some((_, password))) => {
            password.absent("SB0003", "`proxy_password` without `proxy_user`", "add `proxy_user = \"…\"`");
            None
        }
    }
}
