//! Where connections may lead: out to the internet, or into the building as well.

use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::config::model::{Reach, Transport};

/// Finds only addresses that may be connected to. It is asked for each connection, so that a name which leads
/// elsewhere the second time (DNS rebinding) is not followed.
#[derive(Clone)]
pub struct Guarded(Reach);

/// A name leads into the building.
#[derive(Debug, thiserror::Error)]
#[error("{0} is a private address; if that is meant, list it in `allow_private`")]
pub struct Private(IpAddr);

impl Guarded {
    /// The one that a transport needs; none where it may lead anywhere, or a proxy looks names up.
    pub fn of(transport: &Transport) -> Option<Self> {
        let guarded = transport.reach != Reach::Anywhere && transport.proxy.is_none();
        guarded.then(|| Self(transport.reach.clone()))
    }

    /// Those of the addresses found that may be connected to.
    ///
    /// # Errors
    /// [`Private`] when there are some, and none may be.
    pub fn choose(&self, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Private> {
        let first = found.first().map(SocketAddr::ip);
        let open: Vec<SocketAddr> = found.into_iter().filter(|address| self.0.holds(address.ip())).collect();
        match first.filter(|_| open.is_empty()) {
            Some(private) => Err(Private(private)),
            None => Ok(open),
        }
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let guarded = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let open: Addrs = Box::new(guarded.choose(found)?.into_iter());
            Ok(open)
        })
    }
}

/// The address that a URL names itself, in whatever spelling.
pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network::Network;

    #[test]
    fn of_several_addresses_only_those_that_are_allowed_are_used() {
        let found = ["10.1.2.3:443", "93.184.216.34:443", "[::1]:443", "10.9.9.9:443"];
        let found: Vec<SocketAddr> = found.iter().map(|text| text.parse().unwrap()).collect();
        let used = |private: &[&str]| {
            let private = private.iter().map(|text| text.parse::<Network>().unwrap()).collect();
            Guarded(Reach::Public { private }).choose(found.clone())
        };
        assert_eq!(used(&[]).unwrap(), [found[1]]);
        assert_eq!(used(&["10.1.0.0/16"]).unwrap(), [found[0], found[1]]);
        let inside = Guarded(Reach::Public { private: Vec::new() }).choose(vec![found[0], found[2]]).unwrap_err();
        assert!(inside.to_string().starts_with("10.1.2.3 is a private address"), "{inside}");
        assert_eq!(Guarded(Reach::Public { private: Vec::new() }).choose(Vec::new()).unwrap(), []);
    }
}
