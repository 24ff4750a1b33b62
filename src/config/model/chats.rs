//! Chats that people talk in.

use url::Url;

use super::Transport;
use crate::config::secret::Secret;

/// A `discord` source.
#[derive(Clone, Debug)]
pub struct DiscordConfig {
    /// The API, with its version.
    pub url: Url,
    /// Of the bot.
    pub token: Secret,
    /// Ids of the channels that are read; none means all that the bot may see.
    pub channels: Vec<String>,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

impl DiscordConfig {
    /// Discord's own.
    pub const DEFAULT_URL: &str = "https://discord.com/api/v10";
    /// What Discord's own names as its gateway; a session goes on at one below it.
    pub const GATEWAY: &str = "wss://gateway.discord.gg";
}

/// An `irc` or `twitch` source.
#[derive(Clone, Debug)]
pub struct IrcConfig {
    /// Which server it is.
    pub dialect: IrcDialect,
    /// `ws://` or `wss://`.
    pub url: Url,
    /// The name we go by.
    pub nick: String,
    /// The server's password; at Twitch the token.
    pub password: Option<Secret>,
    /// Channels with their `#`; at least one.
    pub channels: Vec<String>,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

impl IrcConfig {
    /// Twitch's own.
    pub const TWITCH_URL: &str = "wss://irc-ws.chat.twitch.tv:443";
    /// A name under which Twitch lets anybody read.
    pub const TWITCH_NICK: &str = "justinfan67421";
    /// A name that is free nearly everywhere.
    pub const NICK: &str = "stormbell";
}

/// A `twitch` source that is told by `EventSub`.
#[derive(Clone, Debug)]
pub struct EventsubConfig {
    /// `ws://` or `wss://`.
    pub url: Url,
    /// Where subscriptions are made.
    pub api: Url,
    /// The app that the token was made by.
    pub client_id: String,
    /// Of the account that reads, with `user:read:chat`.
    pub token: Secret,
    /// Logins of the channels, in lower case; at least one.
    pub channels: Vec<String>,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

impl EventsubConfig {
    /// Twitch's own.
    pub const DEFAULT_URL: &str = "wss://eventsub.wss.twitch.tv/ws";
    /// Twitch's own.
    pub const DEFAULT_API: &str = "https://api.twitch.tv/helix";
}

/// Whose IRC it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrcDialect {
    /// As in the standards: RFC 1459 and `IRCv3`.
    Standard,
    /// Twitch's.
    Twitch,
}

/// A `matrix` source.
#[derive(Clone, Debug)]
pub struct MatrixConfig {
    /// The homeserver.
    pub url: Url,
    /// Of the account that reads.
    pub token: Secret,
    /// Ids of the rooms that are read; none means all that the account has joined.
    pub rooms: Vec<String>,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

/// A `slack` source.
#[derive(Clone, Debug)]
pub struct SlackConfig {
    /// The API.
    pub url: Url,
    /// The app-level token (`xapp-`).
    pub token: Secret,
    /// Ids of the channels that are read; none means all that the app is told of.
    pub channels: Vec<String>,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

impl SlackConfig {
    /// Slack's own.
    pub const DEFAULT_URL: &str = "https://slack.com/api";
    /// What Slack's own names for a connection, as a rule.
    pub const SOCKETS: &str = "wss://wss-primary.slack.com";
}
