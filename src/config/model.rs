//! The checked configuration: a setting that exists is a setting that is valid.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::network::{Network, is_public};
use super::secret::Secret;
use crate::domain::diagnostic::Place;
use crate::domain::id::{ScheduleName, SourceName};
use crate::domain::oncall::Drill;
use crate::domain::organization::Organization;
use crate::domain::route::{Glob, Routes};
use crate::domain::volume::Promise;

mod chats;
mod documents;
mod egress;
mod forum;
mod mastodon;
mod nostr;
mod receiver;
mod web;
mod webhook;
mod websocket;
mod x;

pub use chats::{DiscordConfig, EventsubConfig, IrcConfig, IrcDialect, MatrixConfig, SlackConfig};
pub use documents::{EventForm, EventstreamsConfig, FeedConfig, Login};
pub use egress::{Egress, Egresses, NamedIn, Naming, Onward, Speaks};
pub use forum::{CommentsConfig, ForumConfig, ForumDialect, YoutubeConfig};
pub use mastodon::{Dialect, MastodonConfig, TimelineName};
pub use nostr::NostrConfig;
pub use receiver::{
    Chat, ChatKind, GoAlert, Mail, Matrix, Ntfy, NtfyLogin, Opsgenie, Pushover, ReceiverConfig, ReceiverKind, Syslog,
    SyslogWay, TlsMode, Twilio, TwilioWay, Voice,
};
pub use web::{LocalUser, OidcConfig, TlsFiles, TrustedProxy, WebConfig};
pub use webhook::{WebhookConfig, WebhookForm, WebhookSignature};
pub use websocket::{Fields, Mapping, Resume, Token, TokenPlace, WebsocketConfig};
pub use x::XConfig;

/// A whole `stormbell.toml`, without the rules it names.
#[derive(Clone, Debug)]
pub struct Config {
    /// The hospital.
    pub organization: Organization,
    /// Where rules come from.
    pub rules: Vec<RuleEntry>,
    /// False alarms of all spike rules together, at most.
    pub false_alarms: Option<Promise>,
    /// The database.
    pub store: StoreConfig,
    /// Streams to listen to; names are unique.
    pub sources: Vec<SourceConfig>,
    /// Who can be told; names are unique.
    pub receivers: Vec<ReceiverConfig>,
    /// Who is told of what; receivers and people they name exist.
    pub routes: Routes,
    /// Where each schedule is written.
    pub schedules: BTreeMap<ScheduleName, Place>,
    /// API and, later, console; none without the table.
    pub web: Option<WebConfig>,
    /// Who rings when the daemon falls silent.
    pub heartbeat: Option<HeartbeatConfig>,
    /// A place for desks; none means that the receiver `desktop` speaks to the daemon's own session.
    pub desk: Option<DeskConfig>,
    /// Exercises that begin by themselves.
    pub drills: Vec<Drill>,
}

/// One entry of `rules`, or one path given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleEntry {
    /// Where the rules are.
    pub origin: RuleOrigin,
    /// Where the configuration says so; none for the command line.
    pub place: Option<Place>,
}

/// Where rules come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleOrigin {
    /// `builtin:NAME`: packs in the binary.
    Builtin(String),
    /// A file, or a folder of `*.toml`.
    Path(PathBuf),
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// The database file.
    pub path: PathBuf,
    /// How long posts are kept.
    pub retention: Duration,
    /// How long those of topics are; of several that fit, the shortest counts.
    pub retention_by_topic: Vec<(Glob, Duration)>,
    /// Of the posts that no rule takes, one in so many is kept as well.
    pub sample_one_in: Option<NonZeroU64>,
}

impl StoreConfig {
    /// How long posts are kept unless the configuration says otherwise.
    pub const DEFAULT_RETENTION: Duration = Duration::from_hours(30 * 24);

    /// What is older may be missing: a post of several topics goes with the first of them.
    pub fn shortest_retention(&self) -> Duration {
        self.retention_by_topic.iter().map(|(_, kept)| *kept).fold(self.retention, Duration::min)
    }

    /// Nothing is kept for longer.
    pub fn longest_retention(&self) -> Duration {
        self.retention_by_topic.iter().map(|(_, kept)| *kept).fold(self.retention, Duration::max)
    }
}

/// One `[[source]]`.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Its name.
    pub name: SourceName,
    /// What it speaks.
    pub kind: SourceKind,
    /// Frames a second that are read at most.
    pub max_frames_per_second: Option<NonZeroU32>,
}

/// The kinds of source.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// Server-sent events.
    Eventstreams(EventstreamsConfig),
    /// RSS, Atom or JSON Feed.
    Feed(FeedConfig),
    /// A forum that is asked for what is new.
    Forum(Box<ForumConfig>),
    /// Discord's gateway.
    Discord(DiscordConfig),
    /// Twitch's chat by `EventSub`.
    Eventsub(EventsubConfig),
    /// IRC over WebSocket, Twitch's chat among it.
    Irc(IrcConfig),
    /// The AT Protocol's firehose.
    Atproto(AtprotoConfig),
    /// Bluesky's Jetstream, either wire.
    Jetstream(JetstreamConfig),
    /// The rooms of an account at a Matrix homeserver.
    Matrix(MatrixConfig),
    /// Slack's Socket Mode.
    Slack(SlackConfig),
    /// An instance of the fediverse.
    Mastodon(MastodonConfig),
    /// Relays of Nostr.
    Nostr(NostrConfig),
    /// What others send to our own web server.
    Webhook(Box<WebhookConfig>),
    /// JSON of any shape over a WebSocket.
    Websocket(Box<WebsocketConfig>),
    /// X's filtered stream.
    X(XConfig),
    /// Videos of a `YouTube` channel, and comments.
    Youtube(Box<YoutubeConfig>),
}

impl SourceKind {
    /// The word for it in the configuration.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Atproto(_) => "atproto",
            Self::Discord(_) => "discord",
            Self::Eventstreams(_) => "eventstreams",
            Self::Eventsub(_) | Self::Irc(IrcConfig { dialect: IrcDialect::Twitch, .. }) => "twitch",
            Self::Feed(_) => "feed",
            Self::Forum(_) => "forum",
            Self::Irc(IrcConfig { dialect: IrcDialect::Standard, .. }) => "irc",
            Self::Jetstream(_) => "jetstream",
            Self::Mastodon(_) => "mastodon",
            Self::Matrix(_) => "matrix",
            Self::Nostr(_) => "nostr",
            Self::Slack(_) => "slack",
            Self::Webhook(_) => "webhook",
            Self::Websocket(_) => "websocket",
            Self::X(_) => "x",
            Self::Youtube(_) => "youtube",
        }
    }

    /// Whose terms hold for what is read there: the kind's, or those of the forum.
    pub fn terms(&self) -> &'static str {
        match self {
            Self::Forum(forum) => forum.dialect.as_str(),
            kind => kind.as_str(),
        }
    }

    /// Who is asked about the authors that the stream does not name, and how.
    pub fn profiles(&self) -> Option<(Url, Transport)> {
        match self {
            Self::Atproto(config) => Some((config.profiles.clone()?, config.transport.clone())),
            Self::Jetstream(config) => Some((config.profiles.clone()?, config.transport.clone())),
            Self::Discord(_)
            | Self::Eventstreams(_)
            | Self::Eventsub(_)
            | Self::Feed(_)
            | Self::Forum(_)
            | Self::Irc(_)
            | Self::Mastodon(_)
            | Self::Matrix(_)
            | Self::Nostr(_)
            | Self::Slack(_)
            | Self::Webhook(_)
            | Self::Websocket(_)
            | Self::X(_)
            | Self::Youtube(_) => None,
        }
    }
}

/// An `atproto` source.
#[derive(Clone, Debug)]
pub struct AtprotoConfig {
    /// `ws://` or `wss://` addresses of relays or servers, tried in order; at least one.
    pub urls: Vec<Url>,
    /// Longer records are skipped and counted.
    pub max_frame_bytes: usize,
    /// A connection that sends nothing for so long is given up; none for quiet servers.
    pub expect_frame_within: Option<Duration>,
    /// Who is asked for the handle, name and followers of authors whose posts matter, which the stream
    /// does not tell; nobody by default.
    pub profiles: Option<Url>,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

impl AtprotoConfig {
    /// 1 MiB, a hundred times the longest post.
    pub const DEFAULT_MAX_FRAME_BYTES: usize = 1 << 20;
}

/// A `jetstream` source.
#[derive(Clone, Debug)]
pub struct JetstreamConfig {
    /// `ws://` or `wss://` addresses, tried in order; at least one.
    pub urls: Vec<Url>,
    /// Collections asked for; by default `app.bsky.feed.post` alone.
    pub wanted_collections: Vec<String>,
    /// Longer frames are skipped and counted.
    pub max_frame_bytes: usize,
    /// A connection that sends nothing for so long is given up; none for quiet feeds.
    pub expect_frame_within: Option<Duration>,
    /// Who is asked for the handle, name and followers of authors whose posts matter, which the stream
    /// does not tell; nobody by default.
    pub profiles: Option<Url>,
    /// Whether frames shall come packed.
    pub compression: Option<Compression>,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

impl JetstreamConfig {
    /// The collection of posts.
    pub const DEFAULT_COLLECTIONS: [&str; 1] = ["app.bsky.feed.post"];
    /// 1 MiB, a hundred times the longest post.
    pub const DEFAULT_MAX_FRAME_BYTES: usize = 1 << 20;
    /// The end of an address's path by which the v2 wire is known; the newer servers speak both.
    pub const SECOND_WIRE: &str = "/xrpc/network.bsky.jetstream.subscribeEvents";

    /// Whether an address means the v2 wire.
    pub fn is_second_wire(url: &Url) -> bool {
        url.path().ends_with(Self::SECOND_WIRE)
    }
}

/// How frames of Jetstream are packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// The zstd dictionary of the v1 wire, which no server hands out; none when all hosts speak v2.
    pub dictionary: Option<PathBuf>,
}

/// How a connection leaves the building.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transport {
    /// HTTP proxy for CONNECT (`http://host:port`), with user and password when it wants them.
    pub proxy: Option<Proxy>,
    /// PEM file of certificate authorities trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Where it may lead.
    pub reach: Reach,
}

/// Where a connection may lead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Anywhere: whoever wrote `stormbell.toml` wrote the address into it.
    #[default]
    Anywhere,
    /// Out to the internet: the address came as a secret, from whoever made it, and nobody who reads `stormbell.toml`
    /// sees where it leads.
    Public {
        /// And to these.
        private: Vec<Network>,
    },
}

impl Reach {
    /// Whether it may lead to that address.
    pub fn holds(&self, address: IpAddr) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Public { private } => is_public(address) || private.iter().any(|network| network.contains(address)),
        }
    }
}

/// An HTTP proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    /// `http://host:port`; holds no credentials.
    pub url: Url,
    /// User name and password.
    pub login: Option<(String, Secret)>,
}

/// `[heartbeat]`.
#[derive(Clone, Debug)]
pub struct HeartbeatConfig {
    /// Where to post: whoever knows it can pretend that the daemon lives.
    pub url: Secret,
    /// How often.
    pub every: Duration,
    /// How to get there.
    pub transport: Transport,
}

impl HeartbeatConfig {
    /// Services outside allow no more than five in a minute.
    pub const LEAST: Duration = Duration::from_secs(12);
    /// How often without a setting.
    pub const USUAL: Duration = Duration::from_mins(1);
}

/// `[desk]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeskConfig {
    /// Where desks of this machine connect; those of others come by `[web]`.
    pub socket: Option<PathBuf>,
}
