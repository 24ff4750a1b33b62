//! Where a configuration leads: each host that the daemon connects to, on which port, how, and for whom.

use url::{Host, Url};

use super::{
    Chat, Config, DiscordConfig, FeedConfig, ForumConfig, ReceiverKind, SlackConfig, SourceKind, Syslog, SyslogWay,
    TlsMode, Transport,
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
    /// Who is sent on by a server to hosts that it names only then, and which.
    pub named_there: Vec<(String, &'static str)>,
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
            let where_to = "where the provider's discovery document says that tokens and keys are";
            found.named_there.push(("sign-in".to_owned(), where_to));
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
                self.later(whose, "the host of its streams, where the instance names another than its own");
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
            self.later(whose, "the hub that the feed names");
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
        self.named_there.push((whose.to_owned(), hosts));
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

    fn url(&mut self, whose: &str, url: &Url, transport: &Transport) {
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
