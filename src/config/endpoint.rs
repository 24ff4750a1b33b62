//! Addresses, and how to get out of the building to them.

use std::fs::File;
use std::net::IpAddr;
use std::path::PathBuf;

use url::{Host, Url};

use super::model::{Proxy, Reach, Transport};
use super::reference::{Surroundings, secret};
use super::secret::Secret;
use super::table::{Checked, Table, Value, all, quoted};

/// Characters of a public address; with the longest token a link still fits where there is room for one.
const MAX_PUBLIC: usize = 120;
/// Networks within the building to which an address that is a secret may lead.
pub(super) const ALLOW_PRIVATE: &str = "allow_private";
/// The keys [`transport`] reads.
pub(super) const TRANSPORT_KEYS: [&str; 4] = ["proxy", "proxy_user", "proxy_password", "ca_file"];

/// A URL with one of `schemes`, a host, and no login in it.
pub(super) fn address(value: &Value<'_>, schemes: &[&str]) -> Checked<Url> {
    let text = value.string()?;
    if text.contains('@') {
        value.hide(); // perhaps a password, however wrong the rest is
    }
    let key = value.key();
    let example = schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(" or ");
    let help = format!("write an address that begins with {example}");
    let wrong = |message: String, help: &str| value.error("SB0406", message, help);
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
    Ok(url)
}

/// The address of this daemon as people's browsers know it: of a page, so without query and fragment, and
/// not in the clear, because whoever reads a link on its way can use it.
pub(super) fn public_address(value: &Value<'_>) -> Checked<Url> {
    let url = address(value, &["https", "http"])?;
    let key = value.key();
    if url.query().is_some() || url.fragment().is_some() {
        let help = "write it up to the path, such as https://stormbell.hospital.example";
        return value.error("SB0406", format!("`{key}` has a query or a fragment"), help);
    }
    if url.scheme() == "http" && !on_this_machine(&url) {
        let help = "use https://: whoever reads a link on its way can take charge by it; a proxy with a certificate in front of `listen` will do";
        return value.error("SB0406", format!("`{key}` is in the clear"), help);
    }
    if url.as_str().len() > MAX_PUBLIC {
        let help = "choose a shorter one: it is part of every text message";
        return value.error("SB0406", format!("`{key}` has more than {MAX_PUBLIC} characters"), help);
    }
    Ok(url)
}

/// Whether an address can only mean this machine.
pub(super) fn on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Proxy and authorities of one source or receiver.
pub(super) fn transport(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<Transport> {
    let proxy_url = table.get("proxy").map(|value| proxy(&value)).transpose();
    let login = login(table, around);
    let ca_file = table.get("ca_file").map(|value| ca_file(&value, around)).transpose();
    let (url, login) = (proxy_url?, login?);
    if url.is_none()
        && let Some(user) = table.get("proxy_user")
    {
        return user.absent("SB0406", "a login for a proxy, but no proxy", "add `proxy = \"http://host:port\"`");
    }
    Ok(Transport { proxy: url.map(|url| Proxy { url, login }), ca_file: ca_file?, reach: Reach::Anywhere })
}

/// Where an address may lead that `value` holds: anywhere if it stands here, and out if it is a secret, or to what
/// `allow_private` lists.
pub(super) fn reach(table: &Table<'_>, value: &Value<'_>, address: &Secret) -> Checked<Reach> {
    let private = table.get(ALLOW_PRIVATE).map_or(Ok(Vec::new()), |listed| {
        let network = |(item, text): &(Value<'_>, &str)| {
            let help = "write addresses such as 10.20.0.0/16 or fd00::/8; not names, which whoever owns them can lead anywhere";
            text.parse().or_else(|()| item.error("SB0406", format!("{} is no network", quoted(text)), help))
        };
        all(listed.one_or_more()?.iter().map(network))
    })?;
    if !value.is_table() {
        return Ok(Reach::Anywhere);
    }
    let reach = Reach::Public { private };
    let literal = Url::parse(address.expose()).ok().and_then(|url| match url.host() {
        Some(Host::Ipv4(ip)) => Some(IpAddr::from(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::from(ip)),
        _ => None,
    });
    match literal.filter(|address| !reach.holds(*address)) {
        Some(private) => {
            let help = format!("if that is meant, add `{ALLOW_PRIVATE} = [\"{private}\"]`");
            value.error("SB0406", format!("`{}`: the secret leads to a private address", value.key()), &help)
        }
        None => Ok(reach),
    }
}

pub(super) fn ca_file(value: &Value<'_>, around: &Surroundings<'_>) -> Checked<PathBuf> {
    let path = around.folder.join(value.filled()?);
    if let Err(error) = File::open(&path) {
        let message = format!("{} cannot be read: {error}", path.display());
        value.note(around.secrets.level(), "SB0412", message, "name a PEM file with certificate authorities");
    }
    Ok(path)
}

fn proxy(value: &Value<'_>) -> Checked<Url> {
    let url = address(value, &["http"])?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return value.error("SB0406", "`proxy` has more than host and port", "write \"http://host:port\"");
    }
    Ok(url)
}

fn login(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<Option<(String, Secret)>> {
    let user = table.get("proxy_user");
    let password = table.get("proxy_password");
    let (name, word) = (user.as_ref().map(Value::filled), password.as_ref().map(|value| secret(value, around)));
    match (user, password) {
        (Some(user), None) => {
            let help = "add `proxy_password = { credential = \"name\" }`";
            user.absent("SB0003", "`proxy_user` without `proxy_password`", help)
        }
        (None, Some(password)) => {
            password.absent("SB0003", "`proxy_password` without `proxy_user`", "add `proxy_user = \"…\"`")
        }
        _ => Ok(name.transpose()?.map(str::to_owned).zip(word.transpose()?)),
    }
}
