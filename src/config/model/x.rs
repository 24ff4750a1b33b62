//! X.

use url::Url;

use super::Transport;
use crate::config::secret::Secret;

/// An `x` source.
#[derive(Clone, Debug)]
pub struct XConfig {
    /// The API.
    pub url: Url,
    /// Of the app.
    pub token: Secret,
    /// So many posts of a calendar month (UTC) are read; each is paid for.
    pub monthly_posts: u64,
    /// What is asked for in X's own language; none means what our rules ask for.
    pub queries: Vec<String>,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

impl XConfig {
    /// X's own.
    pub const DEFAULT_URL: &str = "https://api.x.com";
}
