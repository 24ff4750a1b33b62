//! Sources that are asked again and again, and those that are pushed.

use std::time::Duration;

use std::sync::Arc;

use url::Url;

use super::{Mapping, Transport};
use crate::config::secret::Secret;
use crate::wire::pointer::Pointer;

/// A `feed` source.
#[derive(Clone, Debug)]
pub struct FeedConfig {
    /// `http://` or `https://` address of the document.
    pub url: Url,
    /// How often it is asked for; none means as often as it says it changes, within limits.
    pub poll_every: Option<Duration>,
    /// Whether the document's hub is asked to push (`WebSub`).
    pub push: bool,
    /// Who we are to its server.
    pub login: Option<Login>,
    /// Whether transcripts of recordings are fetched from where the document says they are.
    pub transcripts: bool,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

impl FeedConfig {
    /// Where `YouTube`'s feeds are.
    pub const YOUTUBE: &str = "https://www.youtube.com";
    /// The hub of `YouTube`'s feeds, which do not name it; its documentation does.
    pub const YOUTUBE_HUB: &str = "https://pubsubhubbub.appspot.com/subscribe";
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
    /// Who we are to its server.
    pub login: Option<Login>,
    /// Where whoever runs the server can reach us; sent with every request.
    pub contact: String,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

/// How a server knows us that does not let everybody read.
#[derive(Clone, Debug)]
pub enum Login {
    /// A name and a password (RFC 7617).
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token (RFC 6750).
    Bearer(Secret),
}

/// What server-sent events say.
#[derive(Clone, Debug)]
pub enum EventForm {
    /// Changes of a wiki's pages.
    Recentchange,
    /// Posts in our own form.
    Posts,
    /// JSON of any shape.
    Json {
        /// The list in an event whose items are told one by one.
        items: Option<Pointer>,
        /// Where in it a post is.
        mapping: Arc<Mapping>,
    },
}
