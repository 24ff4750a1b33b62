//! A `mastodon` source: an instance, and which of its streams are read.

use std::time::Duration;

use url::Url;

use super::Transport;
use crate::config::secret::Secret;

/// A `mastodon` source.
#[derive(Clone, Debug)]
pub struct MastodonConfig {
    /// `https://` address of the instance; where its streams are, it says itself.
    pub url: Url,
    /// What its server speaks.
    pub dialect: Dialect,
    /// The token of a user of the instance. Most give no stream without.
    pub token: Option<Secret>,
    /// What is read; at least one.
    pub streams: Vec<TimelineName>,
    /// How often an instance without streams is asked.
    pub poll_every: Duration,
    /// Longer frames are skipped and counted.
    pub max_frame_bytes: usize,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

impl MastodonConfig {
    /// 1 MiB.
    pub const DEFAULT_MAX_FRAME_BYTES: usize = 1 << 20;
    /// Instances allow 300 requests in 5 minutes.
    pub const DEFAULT_POLL_EVERY: Duration = Duration::from_secs(20);
}

/// What a server of the fediverse speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Mastodon's API: Mastodon, `GoToSocial`, Pleroma, Akkoma, Pixelfed and others.
    Mastodon,
    /// Misskey's: Misskey, Sharkey, Firefish.
    Misskey,
}

/// A stream of an instance, which is also a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimelineName {
    /// All public posts it knows.
    Public,
    /// Those of its own users.
    Local,
    /// Those of all others.
    Remote,
    /// Public posts with a hashtag, without `#`.
    Hashtag(String),
    /// Posts of the accounts in a list of the token's user, by its id.
    List(String),
    /// What the token's user sees at home.
    Home,
}
