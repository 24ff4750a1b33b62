//! A `websocket` source: what to say to a server of any kind, and where in its JSON a post is.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::Transport;
use crate::config::secret::Secret;
use crate::wire::pointer::{Condition, Pointer};

/// A `websocket` source.
#[derive(Clone, Debug)]
pub struct WebsocketConfig {
    /// `ws://` or `wss://` addresses, tried in order; at least one.
    pub urls: Vec<Url>,
    /// What the server wants before it lets us read.
    pub token: Option<Token>,
    /// More headers of the handshake; none is secret.
    pub headers: Vec<(String, String)>,
    /// What to say once connected; `{token}` stands for the token.
    pub subscribe: Vec<String>,
    /// What to say now and then, for servers that do not count a WebSocket's own pings.
    pub ping: Option<String>,
    /// How often.
    pub ping_every: Duration,
    /// What the server answers to it when that is not JSON.
    pub pong: Option<String>,
    /// How to go on where it was left, when the server can.
    pub resume: Option<Resume>,
    /// The list in a message whose items are told one by one.
    pub items: Option<Pointer>,
    /// Messages by which the server takes a subscription; none when it does not say so.
    pub accepted: Option<Condition>,
    /// Messages by which it refuses one.
    pub refused: Option<Condition>,
    /// Messages that only say that it is there.
    pub heartbeat: Option<Condition>,
    /// What to answer to them.
    pub heartbeat_answer: Option<String>,
    /// Where in a message a post is.
    pub mapping: Arc<Mapping>,
    /// Longer frames are skipped and counted.
    pub max_frame_bytes: usize,
    /// A connection that sends nothing for so long is given up; none for quiet streams.
    pub expect_frame_within: Option<Duration>,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

impl WebsocketConfig {
    /// 1 MiB.
    pub const DEFAULT_MAX_FRAME_BYTES: usize = 1 << 20;
    /// Proxies forget connections that are silent for a minute.
    pub const DEFAULT_PING_EVERY: Duration = Duration::from_secs(30);
}

/// A secret, and where the server wants it.
#[derive(Clone, Debug)]
pub struct Token {
    /// It.
    pub secret: Secret,
    /// Where.
    pub place: TokenPlace,
}

/// Where a token goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// A header of that name; as `Bearer TOKEN` in `authorization`, as it is in others.
    Header(String),
    /// A parameter of the address.
    Parameter(String),
    /// `{token}` in what is said.
    Message,
}

/// How to go on where a connection was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Where a message has its place in the stream.
    pub token: Pointer,
    /// The parameter of the address that asks for what came after it.
    pub parameter: Option<String>,
    /// What to say instead of `subscribe`; `{resume}` stands for the place.
    pub subscribe: Vec<String>,
}

/// Where in a message a post is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Set before ids that are not addresses, so that no two sources share one.
    pub prefix: String,
    /// Messages that are posts; without it, those that have an id and a text.
    pub post: Option<Condition>,
    /// Messages by which a post is taken back.
    pub delete: Option<Condition>,
    /// What is where.
    pub fields: Fields,
}

/// The places of everything that is known of a post. Of several places the first that says something counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// A name of its own. Required.
    pub id: Vec<Pointer>,
    /// What it says; several are put together.
    pub text: Vec<Pointer>,
    /// A stable name of its author. Required.
    pub author: Vec<Pointer>,
    /// The name others mention.
    pub handle: Vec<Pointer>,
    /// The name shown.
    pub name: Vec<Pointer>,
    /// How many follow the author.
    pub followers: Vec<Pointer>,
    /// When the author says it was written.
    pub created_at: Vec<Pointer>,
    /// When the server says it came.
    pub event_time: Vec<Pointer>,
    /// A link for people.
    pub url: Vec<Pointer>,
    /// Languages.
    pub lang: Vec<Pointer>,
    /// Hashtags.
    pub tags: Vec<Pointer>,
    /// Addresses in it.
    pub links: Vec<Pointer>,
    /// Descriptions of media.
    pub media_text: Vec<Pointer>,
    /// The post it answers.
    pub reply_to: Vec<Pointer>,
    /// The post it quotes.
    pub quote_of: Vec<Pointer>,
    /// The post it repeats.
    pub repost_of: Vec<Pointer>,
    /// What changes with an edit; without one, the text itself.
    pub version: Vec<Pointer>,
}
