//! Sources that are asked again and again, and those that are pushed.

use std::time::Duration;

use url::Url;

use super::Transport;

/// A `feed` source.
#[derive(Clone, Debug)]
pub struct FeedConfig {
    /// `http://` or `https://` address of the document.
    pub url: Url,
    /// How often it is asked for; none means as often as it says it changes, within limits.
    pub poll_every: Option<Duration>,
    /// Whether the document's hub is asked to push (`WebSub`).
    pub push: bool,
    /// Whether transcripts of recordings are fetched from where the document says they are.
    pub transcripts: bool,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

impl FeedConfig {
    /// How often without a setting, at most.
    pub const USUAL: Duration = Duration::from_mins(10);
    /// How often without a setting while a hub pushes.
    pub const PUSHED: Duration = Duration::from_mins(30);
    /// Asking more often is not polite.
    pub const LEAST: Duration = Duration::from_mins(1);
}

/// An `eventstreams` source.
#[derive(Clone, Debug)]
pub struct EventstreamsConfig {
    /// `http://` or `https://` addresses, tried in order; at least one.
    pub urls: Vec<Url>,
    /// What its events say.
    pub events: EventForm,
    /// Where whoever runs the server can reach us; sent with every request.
    pub contact: String,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

/// What server-sent events say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventForm {
    /// Changes of a wiki's pages.
    Recentchange,
    /// Posts in our own form.
    Posts,
}
