//! Sources whose lists are asked for again and again: forums, and the comments of `YouTube`.

use std::time::Duration;

use url::Url;

use super::{FeedConfig, Transport};
use crate::config::secret::Secret;

/// A `forum` source.
#[derive(Clone, Debug)]
pub struct ForumConfig {
    /// `http://` or `https://` address of the forum or its API.
    pub url: Url,
    /// What it speaks, and what is read of it.
    pub dialect: ForumDialect,
    /// How often it is asked.
    pub poll_every: Duration,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

/// What a forum speaks.
#[derive(Clone, Debug)]
pub enum ForumDialect {
    /// Discourse: all that is public, and what an API key may see.
    Discourse {
        /// The key, and the name of the user it is used as.
        login: Option<(Secret, String)>,
    },
    /// Hacker News, whole.
    HackerNews,
    /// Lemmy.
    Lemmy {
        /// Of a user, for instances that show nothing without.
        token: Option<Secret>,
        /// `name` or `name@instance`; none means all that the instance knows.
        communities: Vec<String>,
    },
    /// Lobsters, and sites of its software.
    Lobsters,
    /// Reddit; at least one community or search.
    Reddit {
        /// The app's id.
        client_id: String,
        /// The app's secret.
        secret: Secret,
        /// Whom Reddit can write to; sent with every request.
        contact: String,
        /// Names without `r/`.
        communities: Vec<String>,
        /// What is searched for, in Reddit's own words.
        searches: Vec<String>,
    },
}

impl ForumDialect {
    /// The word for it in the configuration.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Discourse { .. } => "discourse",
            Self::HackerNews => "hackernews",
            Self::Lemmy { .. } => "lemmy",
            Self::Lobsters => "lobsters",
            Self::Reddit { .. } => "reddit",
        }
    }
}

impl ForumConfig {
    /// How often a forum is asked without a setting.
    pub const USUAL: Duration = Duration::from_mins(2);
    /// Hacker News' API.
    pub const HACKER_NEWS: &str = "https://hacker-news.firebaseio.com";
    /// Lobsters.
    pub const LOBSTERS: &str = "https://lobste.rs";
    /// Reddit's API.
    pub const REDDIT: &str = "https://oauth.reddit.com";
    /// Where Reddit hands out tokens.
    pub const REDDIT_TOKENS: &str = "https://www.reddit.com";
}

/// A `youtube` source; it has videos to tell of, comments to read, or both.
#[derive(Clone, Debug)]
pub struct YoutubeConfig {
    /// The channel's feed of videos; none when only the comments of some videos are read.
    pub videos: Option<FeedConfig>,
    /// Comments; none without a key.
    pub comments: Option<CommentsConfig>,
}

/// Which comments of `YouTube` are read, and how.
#[derive(Clone, Debug)]
pub struct CommentsConfig {
    /// The Data API.
    pub url: Url,
    /// Of a project at Google.
    pub key: Secret,
    /// The channel on all of whose videos comments are read.
    pub channel: Option<String>,
    /// Other videos whose comments are read.
    pub videos: Vec<String>,
    /// So many units of quota are used in a day, which ends at midnight on the Pacific coast.
    pub daily_units: u64,
    /// How often comments are asked for, when the quota allows it.
    pub poll_every: Duration,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

impl CommentsConfig {
    /// The Data API, version 3.
    pub const DEFAULT_URL: &str = "https://www.googleapis.com/youtube/v3";
    /// What Google gives a project.
    pub const DEFAULT_UNITS: u64 = 10_000;
    /// For so long may be kept what was read without a user's consent (`YouTube`'s Developer Policies, III.E.4.d).
    pub const KEPT_AT_MOST: Duration = Duration::from_hours(30 * 24);
}
