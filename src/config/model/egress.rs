//! Where a configuration leads: each host that the daemon connects to, on which port, how, and for whom.

use url::{Host, Url};

use super::{
    Chat, Config, Dialect, DiscordConfig, FeedConfig, ForumConfig, ReceiverKind, SlackConfig, SourceKind, Syslog,
    SyslogWay, TlsMode, Transport,
};
use crate::config::secret::Secret;

/// A place that the daemon connects to.
#[derive(Clone, Debug, PartialEq)]
pub struct Egress {
    /// A name, or an address without brackets.
    pub host: String,
    /// TCP's, or UDP's for datagrams.
    pub port: u16,
    /// How it is spoken to.
    pub speaks: Speaks,
    /// How to get there.
    pub transport: Transport,
    /// Which sources, receivers and so on need it; at least one.
    pub wanted_by: Vec<String>,
}

/// How a place is spoken to, as far as its way matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// TLS from the first byte.
    Tls,
    /// In the clear. A proxy opens a tunnel.
    Clear,
    /// HTTP in the clear. A proxy is handed the requests.
    Requests,
    /// SMTP, which becomes TLS when the server was greeted.
    StartTls,
    /// UDP.
    Datagrams,
}

impl Egress {
    /// `host:port`.
    pub fn peer(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Where a whole configuration leads.
#[derive(Debug, Default)]
pub struct Egresses {
    /// In the order of the file; each place once.
    pub known: Vec<Egress>,
    /// Whose place is a secret that is not there.
    pub secret: Vec<String>,
    /// Who is sent on by a server.
    pub onward: Vec<Onward>,
}

/// Somebody who is sent on by a server to hosts that it names only then.
#[derive(Clone, Debug)]
pub struct Onward {
    /// As in [`Egress::wanted_by`].
    pub whose: String,
    /// Which hosts these are.
    pub hosts: &'static str,
    /// What names them, where anybody may ask for it.
    pub named_in: Option<NamedIn>,
}

/// A document that names hosts.
#[derive(Clone, Debug)]
pub struct NamedIn {
    /// What kind of document it is.
    pub document: Naming,
    /// Where it is; of an instance, where the instance is.
    pub url: Url,
    /// How to get there, and to the hosts it names.
    pub transport: Transport,
}

/// What names hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// What an `OpenID` provider says of itself: where its tokens and keys are.
    Provider,
    /// What an instance of Mastodon says of itself: where its streams are.
    Instance,
    /// A feed: where it is pushed from.
    Feed,
}

impl Config {
    /// Each host that the daemon connects to by itself.
    pub fn egresses(&self) -> Egresses {
        let mut found = Egresses::default();
        for source in &self.sources {
            found.source(&format!("source {}", source.name), &source.kind);
        }
        for receiver in &self.receivers {
            found.receiver(&format!("receiver {}", receiver.name), &receiver.kind);
        }
        if let Some(beat) = &self.heartbeat {
            found.hidden("heartbeat", &beat.url, &beat.transport);
        }
        if let Some(oidc) = self.web.as_ref().and_then(|web| web.oidc.as_ref()) {
            found.url("sign-in", &oidc.issuer, &oidc.transport);
            let hosts = "where the provider's discovery document says that tokens and keys are";
            if let Ok(document) = Url::parse(&oidc.discovery()) {
                found.named_in("sign-in", hosts, Naming::Provider, (&document, &oidc.transport));
            }
        }
        found
    }
}

impl Egresses {
    fn source(&mut self, whose: &str, kind: &SourceKind) {
        if let Some((url, transport)) = kind.profiles() {
            self.url(whose, &url, &transport);
        }
        let (urls, transport) = match kind {
            SourceKind::Atproto(config) => (config.urls.as_slice(), &config.transport),
            SourceKind::Jetstream(config) => (config.urls.as_slice(), &config.transport),
            SourceKind::Eventstreams(config) => (config.urls.as_slice(), &config.transport),
            SourceKind::Nostr(config) => (config.relays.as_slice(), &config.transport),
            SourceKind::Websocket(config) => (config.urls.as_slice(), &config.transport),
            SourceKind::Irc(config) => (std::slice::from_ref(&config.url), &config.transport),
            SourceKind::Matrix(config) => (std::slice::from_ref(&config.url), &config.transport),
            SourceKind::X(config) => (std::slice::from_ref(&config.url), &config.transport),
            SourceKind::Eventsub(config) => {
                self.url(whose, &config.api, &config.transport);
                (std::slice::from_ref(&config.url), &config.transport)
            }
            SourceKind::Discord(config) => {
                self.leads_on(
                    whose,
                    &config.url,
                    (DiscordConfig::DEFAULT_URL, DiscordConfig::GATEWAY),
                    &config.transport,
                );
                self.later(whose, "the gateway that Discord names, gateway.discord.gg or below it");
                (std::slice::from_ref(&config.url), &config.transport)
            }
            SourceKind::Slack(config) => {
                self.leads_on(whose, &config.url, (SlackConfig::DEFAULT_URL, SlackConfig::SOCKETS), &config.transport);
                self.later(whose, "the host that Slack names for each connection, below slack.com");
                (std::slice::from_ref(&config.url), &config.transport)
            }
            SourceKind::Mastodon(config) => {
                if config.dialect == Dialect::Mastodon {
                    let hosts = "the host of its streams, where the instance names another than its own";
                    self.named_in(whose, hosts, Naming::Instance, (&config.url, &config.transport));
                }
                (std::slice::from_ref(&config.url), &config.transport)
            }
            SourceKind::Feed(config) => return self.feed(whose, config),
            SourceKind::Forum(config) => return self.forum(whose, config),
            SourceKind::Youtube(config) => {
                if let Some(feed) = &config.videos {
                    self.feed(whose, feed);
                }
                if let Some(comments) = &config.comments {
                    self.url(whose, &comments.url, &comments.transport);
                }
                return;
            }
            // It is called, and calls nobody.
            SourceKind::Webhook(_) => return,
        };
        self.urls(whose, urls, transport);
    }

    fn feed(&mut self, whose: &str, config: &FeedConfig) {
        self.url(whose, &config.url, &config.transport);
        if config.push
            && !self.leads_on(whose, &config.url, (FeedConfig::YOUTUBE, FeedConfig::YOUTUBE_HUB), &config.transport)
        {
            self.named_in(whose, "the hub that the feed names", Naming::Feed, (&config.url, &config.transport));
        }
        if config.transcripts {
            self.later(whose, "the hosts on which transcripts of its recordings are");
        }
    }

    fn forum(&mut self, whose: &str, config: &ForumConfig) {
        self.url(whose, &config.url, &config.transport);
        self.leads_on(whose, &config.url, (ForumConfig::REDDIT, ForumConfig::REDDIT_TOKENS), &config.transport);
    }

    fn receiver(&mut self, whose: &str, kind: &ReceiverKind) {
        match kind {
            ReceiverKind::Webhook { url, transport, .. } | ReceiverKind::PagerDuty { url, transport, .. } => {
                self.url(whose, url, transport);
            }
            ReceiverKind::Alertmanager { urls, transport, .. } => self.urls(whose, urls, transport),
            ReceiverKind::Ntfy(ntfy) => self.url(whose, &ntfy.url, &ntfy.transport),
            ReceiverKind::Opsgenie(opsgenie) => self.url(whose, &opsgenie.url, &opsgenie.transport),
            ReceiverKind::GoAlert(goalert) => self.url(whose, &goalert.url, &goalert.transport),
            ReceiverKind::Pushover(pushover) => self.url(whose, &pushover.url, &pushover.transport),
            ReceiverKind::Matrix(matrix) => self.url(whose, &matrix.url, &matrix.transport),
            ReceiverKind::Twilio(twilio) => self.url(whose, &twilio.url, &twilio.transport),
            ReceiverKind::Chat(Chat { hook, transport, .. }) => self.hidden(whose, hook, transport),
            ReceiverKind::Smtp(mail) => {
                let speaks = match mail.tls {
                    TlsMode::StartTls => Speaks::StartTls,
                    TlsMode::Tls => Speaks::Tls,
                    TlsMode::Off => Speaks::Clear,
                };
                let transport = Transport { ca_file: mail.ca_file.clone(), ..Transport::default() };
                self.add(whose, mail.host.clone(), mail.port, speaks, transport);
            }
            ReceiverKind::Syslog(Syslog { way, host, port, ca_file }) => {
                let speaks = match way {
                    SyslogWay::Udp => Speaks::Datagrams,
                    SyslogWay::Tcp => Speaks::Clear,
                    SyslogWay::Tls => Speaks::Tls,
                };
                let transport = Transport { ca_file: ca_file.clone(), ..Transport::default() };
                self.add(whose, host.clone(), *port, speaks, transport);
            }
            ReceiverKind::Desktop | ReceiverKind::Log => {}
        }
    }

    /// Of a public service it is known where it sends us on to, before it says so. Whether it was that service.
    fn leads_on(&mut self, whose: &str, url: &Url, (service, to): (&str, &str), transport: &Transport) -> bool {
        let (service, to) = (Url::parse(service).ok(), Url::parse(to).ok());
        match (service, to) {
            (Some(service), Some(to)) if service.origin() == url.origin() => {
                self.url(whose, &to, transport);
                true
            }
            _ => false,
        }
    }

    fn later(&mut self, whose: &str, hosts: &'static str) {
        self.onward.push(Onward { whose: whose.to_owned(), hosts, named_in: None });
    }

    fn named_in(&mut self, whose: &str, hosts: &'static str, document: Naming, (url, transport): (&Url, &Transport)) {
        let named_in = NamedIn { document, url: url.clone(), transport: transport.clone() };
        self.onward.push(Onward { whose: whose.to_owned(), hosts, named_in: Some(named_in) });
    }

    /// An address that is a secret. Of it no more than the host is told.
    fn hidden(&mut self, whose: &str, address: &Secret, transport: &Transport) {
        match Url::parse(address.expose()) {
            Ok(url) if url.has_host() => self.url(whose, &url, transport),
            _ => self.secret.push(whose.to_owned()),
        }
    }

    fn urls(&mut self, whose: &str, urls: &[Url], transport: &Transport) {
        for url in urls {
            self.url(whose, url, transport);
        }
    }

    /// Adds where an address leads.
    pub fn url(&mut self, whose: &str, url: &Url, transport: &Transport) {
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return,
        };
        let speaks = match url.scheme() {
            "https" | "wss" => Speaks::Tls,
            "http" => Speaks::Requests,
            _ => Speaks::Clear,
        };
        self.add(whose, host, url.port_or_known_default().unwrap_or_default(), speaks, transport.clone());
    }

    fn add(&mut self, whose: &str, host: String, port: u16, speaks: Speaks, transport: Transport) {
        let new = Egress { host, port, speaks, transport, wanted_by: Vec::new() };
        let same = |known: &Egress| {
            (&known.host, known.port, known.speaks, &known.transport)
                == (&new.host, new.port, new.speaks, &new.transport)
        };
        let place = self.known.iter().position(same).unwrap_or(self.known.len());
        if place == self.known.len() {
            self.known.push(new);
        }
        let Some(known) = self.known.get_mut(place) else { return };
        if !known.wanted_by.iter().any(|known| known == whose) {
            known.wanted_by.push(whose.to_owned());
        }
    }
}
