//! The receiver `desktop`: a popup in the session the daemon runs in.
//!
//! For a newcomer at a screen and for the demo. A system service has no session and
//! cannot join anybody's; it says so instead of failing silently. News of an incident
//! replaces its popup, so that a crisis is one popup and not fifty.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify_rust::{Hint, Notification, Timeout, Urgency};

use super::SendError;
use super::untrusted::{clean, clip, escape_markup, shown};
use crate::domain::id::IncidentId;
use crate::domain::incident::{Severity, Signature};
use crate::domain::message::{Leased, Message, MessageKind};
use crate::domain::post::Post;

/// Incidents whose popups are remembered; an older one gets a popup of its own again.
const REMEMBERED: usize = 64;
/// How long the session's bus and its notification service may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Characters shown; popups are small, and some servers draw whatever they get.
const MAX_TITLE: usize = 120;
const MAX_WHY: usize = 240;
const MAX_POST: usize = 200;
const MAX_HANDLE: usize = 40;
const SAMPLE: usize = 2;

/// The session's notification service.
pub struct Desktop {
    /// Popups by incident, the oldest first.
    popups: Mutex<VecDeque<(IncidentId, u32)>>,
    /// Held while the service is asked what it can do; see [`Desktop::capabilities`].
    asking: Arc<tokio::sync::Mutex<()>>,
}

impl Desktop {
    pub(super) fn new() -> Self {
        Self { popups: Mutex::default(), asking: Arc::default() }
    }

    /// Whether there is a session with a notification service.
    pub(super) async fn probe(&self) -> Result<(), SendError> {
        self.capabilities().await.map(drop)
    }

    pub(super) async fn send(&self, leased: &Leased) -> Result<(), SendError> {
        let markup = self.capabilities().await?.iter().any(|word| word == "body-markup");
        let incident = &leased.delivery.message.incident.id;
        let popup = popup(leased, markup, self.remembered(incident));
        let shown = answered(popup.show_async()).await?;
        self.remember(incident, shown.id());
        Ok(())
    }

    /// What the service can do; asked for every popup, because the service can be replaced
    /// while the session lasts. notify-rust has no async form of this call, so it blocks a
    /// thread. The lock travels with it: a service that hangs takes one thread, not one an attempt.
    async fn capabilities(&self) -> Result<Vec<String>, SendError> {
        answered(async {
            let asking = Arc::clone(&self.asking).lock_owned().await;
            let asked = tokio::task::spawn_blocking(move || {
                let answer = notify_rust::get_capabilities();
                drop(asking);
                answer
            });
            asked.await.unwrap_or_else(|panic| Err(panic.to_string().as_str().into()))
        })
        .await
    }

    fn remembered(&self, incident: &IncidentId) -> Option<u32> {
        let popups = self.popups.lock().unwrap_or_else(PoisonError::into_inner);
        popups.iter().find(|(known, _)| known == incident).map(|&(_, popup)| popup)
    }

    fn remember(&self, incident: &IncidentId, popup: u32) {
        let mut popups = self.popups.lock().unwrap_or_else(PoisonError::into_inner);
        popups.retain(|(known, _)| known != incident);
        popups.push_back((incident.clone(), popup));
        if popups.len() > REMEMBERED {
            popups.pop_front();
        }
    }
}

async fn answered<T>(asking: impl Future<Output = notify_rust::error::Result<T>>) -> Result<T, SendError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(refusal(&error.to_string())),
        Err(_) => Err(SendError::Retry {
            after: None,
            error: "the desktop's notification service does not answer".to_owned(),
        }),
    }
}

/// An error of the bus itself proves that there is a session: its service may yet start.
fn refusal(error: &str) -> SendError {
    let error = clip(&clean(error), 200);
    if error.contains("org.freedesktop.") {
        return SendError::Retry {
            after: None,
            error: format!("no notification service in the desktop session ({error}); start one, for instance dunst"),
        };
    }
    SendError::Permanent {
        error: format!(
            "no desktop session ({error}): nobody sees this popup; run the daemon in a user session or use another receiver"
        ),
    }
}

fn popup(leased: &Leased, markup: bool, replaces: Option<u32>) -> Notification {
    let message = &leased.delivery.message;
    let body = body(message, &leased.sample);
    let mut popup = Notification::new();
    popup
        .appname("stormbell")
        .summary(&title(message))
        .body(&if markup { escape_markup(&body) } else { body })
        .icon(icon(message))
        .urgency(urgency(message))
        // Where the daemon's memory was lost in a restart, dunst still knows which popup it is.
        .hint(Hint::Custom("x-dunst-stack-tag".to_owned(), format!("stormbell/{}", message.incident.id)))
        .hint(Hint::Category("im.received".to_owned()))
        .timeout(if urgency(message) == Urgency::Critical { Timeout::Never } else { Timeout::Default });
    if let Some(id) = replaces {
        popup.id(id);
    }
    popup
}

fn title(message: &Message) -> String {
    let incident = &message.incident;
    let mark = if incident.exercise { "EXERCISE " } else { "" };
    let severity = incident.severity.as_str();
    let state = match message.kind {
        MessageKind::Opened if message.begins_again() => format!("{} · again", severity.to_uppercase()),
        MessageKind::Opened | MessageKind::Updated => severity.to_uppercase(),
        MessageKind::Acknowledged => "Acknowledged".to_owned(),
        MessageKind::Escalated => format!("{} · still open", severity.to_uppercase()),
        MessageKind::Resolved => "Resolved".to_owned(),
    };
    // The title of an incident is a rule's, but a notification is one line whoever wrote it.
    clip(&clean(&format!("{mark}{state}: {}", incident.unmarked_title())), MAX_TITLE)
}

/// What people say first, then how many, then why it was raised.
fn body(message: &Message, sample: &[Post]) -> String {
    let incident = &message.incident;
    let summary = clean(&message.summary());
    let signed = |signature: Option<&Signature>| {
        let by = signature.map(|signature| format!("By {}.", shown(&signature.by, MAX_TITLE)));
        by.into_iter().chain([summary.clone()]).collect()
    };
    let lines: Vec<String> = match message.kind {
        MessageKind::Acknowledged => signed(incident.acknowledged.as_ref()),
        MessageKind::Resolved => signed(incident.resolved.as_ref()),
        MessageKind::Opened | MessageKind::Updated | MessageKind::Escalated => {
            let mut lines: Vec<String> = sample.iter().take(SAMPLE).map(quotation).collect();
            lines.extend([summary, format!("Why: {}", shown(&incident.why, MAX_WHY))]);
            lines
        }
    };
    lines.join("\n")
}

fn quotation(post: &Post) -> String {
    let text = shown(&post.text, MAX_POST);
    match &post.author.handle {
        Some(handle) => format!("“{text}” @{}", shown(handle, MAX_HANDLE)),
        None => format!("“{text}”"),
    }
}

fn urgency(message: &Message) -> Urgency {
    match (message.kind, message.incident.severity) {
        (MessageKind::Resolved, _) | (_, Severity::Low | Severity::Info) => Urgency::Low,
        (MessageKind::Acknowledged, _) | (_, Severity::Medium) => Urgency::Normal,
        (_, Severity::Critical | Severity::High) => Urgency::Critical,
    }
}

/// Names of the freedesktop.org icon naming specification, which every theme has.
fn icon(message: &Message) -> &'static str {
    match urgency(message) {
        Urgency::Critical => "dialog-error",
        Urgency::Normal => "dialog-warning",
        Urgency::Low => "dialog-information",
    }
}
