//! A `nostr` source: relays that are read together.

use url::Url;

use super::Transport;
use crate::config::secret::Secret;

/// A `nostr` source.
#[derive(Clone, Debug)]
pub struct NostrConfig {
    /// `ws://` or `wss://` addresses of relays, all of them read at once; at least one.
    pub relays: Vec<Url>,
    /// Only posts with one of these hashtags, in lower case and without `#`; all posts without any.
    pub hashtags: Vec<String>,
    /// The key that relays may ask for: 64 hexadecimal digits. Whoever has it can write in its name.
    pub secret_key: Option<Secret>,
    /// Longer frames are skipped and counted.
    pub max_frame_bytes: usize,
    /// How to get out of the hospital's network.
    pub transport: Transport,
}

impl NostrConfig {
    /// 1 MiB.
    pub const DEFAULT_MAX_FRAME_BYTES: usize = 1 << 20;
}
