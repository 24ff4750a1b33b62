//! Receivers: a message in, a person told. One file a receiver, and [`dispatch`],
//! which takes messages out of the durable outbox and tries until one is taken.
//!
//! A receiver only renders and sends once. It never retries, never waits for a better
//! moment and keeps no queue: all that is the outbox's, which survives a crash. What a
//! failed attempt means is its answer: [`SendError::Retry`] or [`SendError::Permanent`].
//!
//! A message may be for one person: then [`Delivery::address`](crate::domain::message::Delivery::address) is
//! where to send it, instead of the receiver's own address. Which kinds can do that, and what an address is
//! there, stands in the table of `config::contact`; no others are ever given one.

pub mod alertmanager;
pub mod chat;
pub mod desktop;
pub mod dispatch;
pub mod goalert;
pub mod heartbeat;
mod http;
mod log;
pub mod matrix;
pub mod ntfy;
pub mod opsgenie;
pub mod pagerduty;
pub mod pushover;
pub mod receipts;
pub mod smtp;
pub mod syslog;
mod taken;
mod text;
pub mod twilio;
pub mod untrusted;
pub mod webhook;
mod wording;

use std::time::Duration;

use self::wording::Wording;
use crate::config::model::{ReceiverConfig, ReceiverKind};
use crate::domain::message::Leased;
use crate::domain::time::Timestamp;
use crate::domain::turn::Limit;
use crate::net::http::SetupError;
use crate::wire::link::Console;

/// Somebody or something that can be told, ready to send.
pub enum Receiver {
    /// Any HTTP endpoint.
    Webhook(webhook::Webhook),
    /// `PagerDuty` Events API v2.
    PagerDuty(pagerduty::PagerDuty),
    /// Popups on people's desks, or in the session the daemon runs in.
    Desktop(desktop::Desktop),
    /// A line in the daemon's log.
    Log,
    /// Mail.
    Smtp(Box<smtp::Smtp>),
    /// Push messages by ntfy.
    Ntfy(ntfy::Ntfy),
    /// A chat's incoming webhook.
    Chat(chat::Chat),
    /// Prometheus' Alertmanager.
    Alertmanager(alertmanager::Alertmanager),
    /// Opsgenie and Jira Service Management.
    Opsgenie(opsgenie::Opsgenie),
    /// `GoAlert`.
    GoAlert(goalert::GoAlert),
    /// Push messages by Pushover.
    Pushover(pushover::Pushover),
    /// A room in Matrix.
    Matrix(matrix::Matrix),
    /// Text messages by Twilio.
    Twilio(twilio::Twilio),
    /// RFC 5424.
    Syslog(syslog::Syslog),
}

/// Why an attempt failed. Texts hold no secret, no post and of an address only the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It may work later. Whether the receiver took the message is unknown when its answer
    /// was lost; the delivery's id makes a repetition harmless.
    #[error("{error}")]
    Retry {
        /// Not before this long, when the receiver said so; at most an hour.
        after: Option<Duration>,
        /// What happened.
        error: String,
    },
    /// It will never work as things are.
    #[error("{error}")]
    Permanent {
        /// What happened, and what to do about it.
        error: String,
    },
}

/// Why a receiver cannot be made from its configuration.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A certificate file, TLS or the proxy.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// What the secret holds is no address.
    #[error("the heartbeat's url is not an address that begins with https:// or http://")]
    Heartbeat,
    /// `whsec_` is not followed by base64, or the secret is empty.
    #[error("the webhook secret is neither plain text nor `whsec_` followed by base64")]
    Secret,
    /// A line break or another character that no header may have.
    #[error("a secret holds a character that cannot be sent")]
    NotAHeader,
    /// The secret that is an address leads into the building, or to this machine.
    #[error("the address is {0}, a private one; if that is meant, list it in `allow_private`")]
    Private(std::net::IpAddr),
    /// The secret that is an address is none.
    #[error("the webhook's address is not a URL")]
    Address,
}

impl Receiver {
    /// A receiver ready to send; `console` is where people reach the daemon. Links to take charge go to
    /// those where somebody reads the message. Services with an acknowledgement of their own have none
    /// beside it, a log is read by too many, and a popup has a button. Of the kind `desktop` it is
    /// the daemon's own session; [`desktop::Desktop::of_desks`] is the other.
    ///
    /// # Errors
    /// [`BuildError`] when a certificate file, a proxy or a secret cannot be used.
    pub fn build(config: &ReceiverConfig, console: Option<&Console>) -> Result<Self, BuildError> {
        let bare = console.map(Console::without_links);
        let wording = |console: Option<&Console>| Wording::new(console.cloned(), &config.voice, &config.name);
        Ok(match &config.kind {
            ReceiverKind::Webhook { url, secret, transport } => {
                Self::Webhook(webhook::Webhook::new(url.clone(), secret.as_ref(), transport, console.cloned())?)
            }
            ReceiverKind::PagerDuty { url, routing_key, transport, .. } => {
                Self::PagerDuty(pagerduty::PagerDuty::new(url.clone(), routing_key.clone(), transport, bare)?)
            }
            ReceiverKind::Desktop => Self::Desktop(desktop::Desktop::of_session()),
            ReceiverKind::Log => Self::Log,
            ReceiverKind::Smtp(mail) => Self::Smtp(Box::new(smtp::Smtp::new(mail, wording(console))?)),
            ReceiverKind::Ntfy(ntfy) => Self::Ntfy(ntfy::Ntfy::new(ntfy, wording(console))?),
            ReceiverKind::Chat(chat) => Self::Chat(chat::Chat::new(chat, wording(console))?),
            ReceiverKind::Alertmanager { urls, cleared, transport } => {
                Self::Alertmanager(alertmanager::Alertmanager::new(urls, *cleared, transport, wording(bare.as_ref()))?)
            }
            ReceiverKind::Opsgenie(opsgenie) => {
                Self::Opsgenie(opsgenie::Opsgenie::new(opsgenie, wording(bare.as_ref()))?)
            }
            ReceiverKind::GoAlert(goalert) => Self::GoAlert(goalert::GoAlert::new(goalert, wording(bare.as_ref()))?),
            ReceiverKind::Pushover(pushover) => Self::Pushover(pushover::Pushover::new(pushover, wording(console))?),
            ReceiverKind::Matrix(matrix) => Self::Matrix(matrix::Matrix::new(matrix, wording(console))?),
            ReceiverKind::Twilio(sms) => Self::Twilio(twilio::Twilio::new(sms, wording(console))?),
            ReceiverKind::Syslog(syslog) => Self::Syslog(syslog::Syslog::new(syslog, wording(bare.as_ref()))?),
        })
    }

    /// Tries once; `now` is the time of the attempt. A message for a person goes to that person's
    /// address instead of the configured `to`, `topic`, `user`, `room` or `channel`.
    ///
    /// # Errors
    /// [`SendError`]: the message was not taken, or nobody knows whether it was. An address that the
    /// receiver cannot use is permanent.
    pub async fn send(&self, leased: &Leased, now: Timestamp) -> Result<(), SendError> {
        let to = leased.delivery.address();
        match self {
            Self::Smtp(smtp) => smtp.send(to, leased, now).await,
            Self::Ntfy(ntfy) => ntfy.send(to, leased, now).await,
            Self::Chat(chat) => chat.send(to, leased, now).await,
            Self::Opsgenie(opsgenie) => opsgenie.send(to, leased, now).await,
            Self::Pushover(pushover) => pushover.send(to, leased, now).await,
            Self::Matrix(matrix) => matrix.send(to, leased, now).await,
            Self::Twilio(twilio) => twilio.send(to, leased, now).await,
            Self::Alertmanager(alertmanager) => alertmanager.send(leased, now).await,
            Self::GoAlert(goalert) => goalert.send(leased, now).await,
            Self::Syslog(syslog) => syslog.send(leased).await,
            Self::Webhook(webhook) => webhook.send(leased, now).await,
            Self::PagerDuty(pagerduty) => pagerduty.send(leased, now).await,
            Self::Desktop(desktop) => desktop.send(leased).await,
            Self::Log => {
                log::write(&leased.delivery.message);
                Ok(())
            }
        }
    }

    /// Looks whether a mail server becomes a trusted one when it is greeted, which no look at its port tells. Of other kinds
    /// there is nothing to greet.
    ///
    /// # Errors
    /// [`SendError`]: what a mail would have met.
    pub async fn greet(&self) -> Result<(), SendError> {
        match self {
            Self::Smtp(smtp) => smtp.greet().await,
            _ => Ok(()),
        }
    }

    /// How often the service lets itself be called, where it says so and answers 429 beyond.
    pub(crate) fn limit(&self) -> Option<Limit> {
        let limit = |burst, millis| Some(Limit { burst, every: Duration::from_millis(millis) });
        match self {
            Self::PagerDuty(_) => limit(60, 500), // 120 a minute for an integration
            Self::Ntfy(_) => limit(60, 5000),     // 60, then one each 5 s
            Self::Chat(_) => limit(5, 1000),      // Slack: one a second; others allow more
            Self::Twilio(_) => limit(10, 1000),   // one a second for a number; the rest waits there
            _ => None,
        }
    }

    /// Looks at start-up whether the receiver can work at all, without telling anybody
    /// anything. Only the desktop can know before it is needed, and a chat whether its address leads into the building.
    ///
    /// # Errors
    /// [`SendError`] as [`Receiver::send`] would give it.
    pub async fn probe(&self) -> Result<(), SendError> {
        match self {
            Self::Desktop(desktop) => desktop.probe().await,
            Self::Chat(chat) => chat.probe().await,
            _ => Ok(()),
        }
    }
}
