//! `[[receiver]]`, checked. Who is told by default (`to`, `topic`, `user`, `room`) stands apart
//! from how to get there: a message may name somebody else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use lettre::message::Mailbox;
use url::Url;

use super::Transport;
use crate::config::secret::Secret;
use crate::domain::id::{PersonName, ReceiverName};
use crate::wire::template::Template;

/// One `[[receiver]]`.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// Its name.
    pub name: ReceiverName,
    /// What it speaks.
    pub kind: ReceiverKind,
    /// In whose words.
    pub voice: Voice,
}

impl ReceiverConfig {
    /// One that speaks in our words.
    pub fn new(name: impl Into<ReceiverName>, kind: ReceiverKind) -> Self {
        Self { name: name.into(), kind, voice: Voice::default() }
    }
}

/// In whose words a receiver speaks.
#[derive(Clone, Debug, Default)]
pub struct Voice {
    /// For everybody who has no language of their own here; none: the built-in words.
    pub usual: Option<Arc<Template>>,
    /// For persons by their language.
    pub by_language: BTreeMap<String, Arc<Template>>,
    /// Persons who said which.
    pub languages: Arc<BTreeMap<PersonName, String>>,
    /// The organization's zone, an IANA name.
    pub timezone: String,
}

impl Voice {
    /// The template for that person, or for whomever the receiver tells by itself.
    pub fn template(&self, person: Option<&PersonName>) -> Option<&Template> {
        let own = self.language(person).and_then(|language| self.by_language.get(language));
        own.or(self.usual.as_ref()).map(|template| &**template)
    }

    /// What that person speaks, if they said so.
    pub fn language(&self, person: Option<&PersonName>) -> Option<&str> {
        person.and_then(|person| self.languages.get(person)).map(String::as_str)
    }
}

/// The kinds of receiver.
#[derive(Clone, Debug)]
pub enum ReceiverKind {
    /// Any HTTP endpoint.
    Webhook {
        /// Where to post.
        url: Url,
        /// Signs with the Standard Webhooks headers.
        secret: Option<Secret>,
        /// How to get there.
        transport: Transport,
    },
    /// `PagerDuty` Events API v2.
    PagerDuty {
        /// The events endpoint.
        url: Url,
        /// The integration's key.
        routing_key: Secret,
        /// What it signs with when it says what people did there; none: it says nothing.
        webhook_secret: Option<Secret>,
        /// How to get there.
        transport: Transport,
    },
    /// A notification in the session the daemon runs in.
    Desktop,
    /// A line in the daemon's log.
    Log,
    /// Mail.
    Smtp(Mail),
    /// Push messages by ntfy.
    Ntfy(Ntfy),
    /// A chat's incoming webhook.
    Chat(Chat),
    /// Prometheus' Alertmanager.
    Alertmanager {
        /// The base address of every replica; at least one.
        urls: Vec<Url>,
        /// Whether it may read posts.
        cleared: bool,
        /// How to get there.
        transport: Transport,
    },
    /// Opsgenie, and what follows it, Jira Service Management.
    Opsgenie(Opsgenie),
    /// `GoAlert`'s generic API.
    GoAlert(GoAlert),
    /// Push messages by Pushover.
    Pushover(Pushover),
    /// A room in Matrix.
    Matrix(Matrix),
    /// Text messages or calls by Twilio.
    Twilio(Twilio),
    /// RFC 5424.
    Syslog(Syslog),
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// In the clear until STARTTLS, which is insisted on.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// In the clear; never with a login.
    Off,
}

/// An `smtp` receiver.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How to speak to it.
    pub tls: TlsMode,
    /// User and password.
    pub login: Option<(String, Secret)>,
    /// The sender.
    pub from: Mailbox,
    /// Who is told; at least one.
    pub to: Vec<Mailbox>,
    /// Whether posts may be in a mail.
    pub cleared: bool,
    /// PEM file of certificate authorities trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// An `ntfy` receiver.
#[derive(Clone, Debug)]
pub struct Ntfy {
    /// The server's root.
    pub url: Url,
    /// The topic. Whoever knows it can read and write it, so it is a secret.
    pub topic: Secret,
    /// Who we are, where the server asks.
    pub login: Option<NtfyLogin>,
    /// Whether it may read posts.
    pub cleared: bool,
    /// How to get there.
    pub transport: Transport,
}

/// How ntfy knows us.
#[derive(Clone, Debug)]
pub enum NtfyLogin {
    /// An access token.
    Token(Secret),
    /// A user and a password.
    User(String, Secret),
}

/// A chat with an incoming webhook.
#[derive(Clone, Debug)]
pub struct Chat {
    /// Whose.
    pub kind: ChatKind,
    /// The webhook's address: whoever knows it can write there.
    pub hook: Secret,
    /// Another channel than the webhook's own.
    pub channel: Option<String>,
    /// Whether it may read posts.
    pub cleared: bool,
    /// How to get there.
    pub transport: Transport,
}

/// The chats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatKind {
    /// Slack.
    Slack,
    /// Microsoft Teams, a workflow's webhook.
    Teams,
    /// Mattermost.
    Mattermost,
    /// Discord.
    Discord,
}

/// An `opsgenie` or `jsm` receiver.
#[derive(Clone, Debug)]
pub struct Opsgenie {
    /// The address of alerts.
    pub url: Url,
    /// The integration's key.
    pub key: Secret,
    /// The team that is told, unless the integration has one of its own.
    pub team: Option<String>,
    /// Whether it may read posts.
    pub cleared: bool,
    /// How to get there.
    pub transport: Transport,
}

/// A `goalert` receiver.
#[derive(Clone, Debug)]
pub struct GoAlert {
    /// The address of the generic API.
    pub url: Url,
    /// The integration key of a service.
    pub token: Secret,
    /// Whether it may read posts.
    pub cleared: bool,
    /// How to get there.
    pub transport: Transport,
}

/// A `pushover` receiver.
#[derive(Clone, Debug)]
pub struct Pushover {
    /// The address of the API, without `/messages.json`.
    pub url: Url,
    /// The application's token.
    pub token: Secret,
    /// The key of a user or group.
    pub user: Secret,
    /// Whether it may read posts.
    pub cleared: bool,
    /// How to get there.
    pub transport: Transport,
}

/// A `matrix` receiver.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// The homeserver.
    pub url: Url,
    /// The bot's access token.
    pub token: Secret,
    /// The room's id, `!id:server`.
    pub room: String,
    /// Whether it may read posts.
    pub cleared: bool,
    /// How to get there.
    pub transport: Transport,
}

/// A `twilio` receiver. Never cleared: text messages are stored by everybody they pass, and calls are overheard.
#[derive(Clone, Debug)]
pub struct Twilio {
    /// The root of the API.
    pub url: Url,
    /// `AC` and 32 digits.
    pub account: String,
    /// The account's secret.
    pub token: Secret,
    /// Our number, or `MG` and 32 digits of a messaging service.
    pub from: String,
    /// Who is told; at least one number such as `+15551234567`.
    pub to: Vec<String>,
    /// By text message or by call.
    pub way: TwilioWay,
    /// How to get there.
    pub transport: Transport,
}

impl Twilio {
    /// Whether it sends back what people did.
    pub fn answers(&self) -> bool {
        match &self.way {
            TwilioWay::Text { replies } => *replies,
            TwilioWay::Call { .. } => true,
        }
    }
}

/// How Twilio reaches a telephone.
#[derive(Clone, Debug)]
pub enum TwilioWay {
    /// Messages.
    Text {
        /// Whether Twilio hands on what people write back.
        replies: bool,
    },
    /// Calls, in which a key takes charge.
    Call {
        /// What is spoken to whoever has no language of their own: `en`, `de-at`.
        language: String,
    },
}

/// A `syslog` receiver. Never cleared: no post's text in logs.
#[derive(Clone, Debug)]
pub struct Syslog {
    /// How to speak to it.
    pub way: SyslogWay,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// PEM file of certificate authorities trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// What syslog travels by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyslogWay {
    /// A datagram a message.
    Udp,
    /// A stream with octet counts.
    Tcp,
    /// The same within TLS (RFC 5425).
    Tls,
}
