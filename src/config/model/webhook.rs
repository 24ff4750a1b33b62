//! Sources that are pushed: whoever has something to tell calls us.

use std::sync::Arc;
use std::time::Duration;

use super::Mapping;
use crate::config::secret::Secret;
use crate::wire::pointer::Pointer;

/// A `webhook` source.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// What the sender signs with.
    pub secret: Secret,
    /// What it sends.
    pub form: WebhookForm,
    /// A sender that sends nothing for so long is taken for lost; none for quiet ones.
    pub expect_frame_within: Option<Duration>,
}

/// What a webhook sends.
#[derive(Clone, Debug)]
pub enum WebhookForm {
    /// Changes on Facebook pages and Instagram accounts.
    Meta {
        /// What Meta shows when it asks whether we are the ones it was told to send to.
        verify_token: Secret,
    },
    /// Posts of a Discourse forum.
    Discourse,
    /// JSON of any shape.
    Json {
        /// How it is signed.
        signed: WebhookSignature,
        /// The list in a body whose items are told one by one.
        items: Option<Pointer>,
        /// Where in it a post is.
        mapping: Arc<Mapping>,
    },
}

/// How JSON of any shape is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookSignature {
    /// By the headers of Standard Webhooks.
    Standard,
    /// HMAC-SHA256 over the body in hexadecimal, with or without `sha256=` before it, in a header of that name.
    Header(String),
}
