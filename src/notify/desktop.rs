//! The receiver `desktop`: popups on the screens of people.
//!
//! Two ways to one text. A daemon that has a place for desks ([`crate::desk`]) tells those, and what none of them
//! showed was not delivered. Without one it speaks to the session it runs in: for a newcomer at a screen and for
//! the demo. A system service has no session and cannot join anybody's; it says so instead of failing silently.
//! News of an incident replaces its popup, so that a crisis is one popup and not fifty.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::SendError;
use super::text::{self, Clearance, Fact, Parts, Quote};
use crate::desk::hub::Hub;
use crate::desk::popups::{NoPopup, Popups};
use crate::desk::protocol::{Show, State, Urgency};
use crate::domain::id::IncidentId;
use crate::domain::incident::IncidentState;
use crate::domain::message::{Leased, Message};
use crate::domain::post::Post;

/// Incidents whose popups are remembered; an older one gets a popup of its own again.
const REMEMBERED: usize = 64;
/// Whatever no desk has shown by then was not delivered.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
/// A popup is small.
const QUOTES: usize = 2;

/// People at their screens.
pub struct Desktop(Way);

enum Way {
    /// The session the daemon runs in.
    Session(Mutex<Session>),
    /// Desks that have dialled the daemon.
    Desks(Arc<Hub>),
}

#[derive(Default)]
struct Session {
    popups: Option<Popups>,
    /// Popups by incident, the oldest first.
    standing: VecDeque<(IncidentId, u32)>,
}

impl Desktop {
    /// In the daemon's own session.
    pub(super) fn of_session() -> Self {
        Self(Way::Session(Mutex::default()))
    }

    /// On the desks that are connected.
    pub fn of_desks(hub: Arc<Hub>) -> Self {
        Self(Way::Desks(hub))
    }

    /// Whether there is a session with a notification service. Desks may come at any time.
    pub(super) async fn probe(&self) -> Result<(), SendError> {
        match &self.0 {
            Way::Session(session) => session.lock().await.probe().await,
            Way::Desks(_) => Ok(()),
        }
    }

    pub(super) async fn send(&self, leased: &Leased) -> Result<(), SendError> {
        let message = &leased.delivery.message;
        let show = show(message, &leased.sample);
        match &self.0 {
            Way::Desks(hub) => hub
                .show(show, SHOWN_WITHIN)
                .await
                .map_err(|not_shown| SendError::Retry { after: None, error: not_shown.to_string() }),
            Way::Session(session) => session.lock().await.show(&message.incident.id, &show).await,
        }
    }
}

impl Session {
    /// One connection for all popups: some services take them away with it.
    async fn popups(&mut self) -> Result<&Popups, SendError> {
        let popups = match self.popups.take() {
            Some(popups) => popups,
            None => Popups::connect().await.map_err(|error| why(&error))?,
        };
        Ok(self.popups.insert(popups))
    }

    async fn probe(&mut self) -> Result<(), SendError> {
        let asked = self.popups().await?.capabilities().await;
        asked.map(drop).map_err(|error| why(&error))
    }

    async fn show(&mut self, incident: &IncidentId, show: &Show) -> Result<(), SendError> {
        let replaces = self.standing.iter().find(|(known, _)| known == incident).map(|&(_, popup)| popup);
        let mut shown = self.popups().await?.show(show, &[], replaces).await;
        if let Err(NoPopup::NoSession(_)) = shown {
            // The session has ended since; another may have begun.
            self.popups = None;
            shown = self.popups().await?.show(show, &[], None).await;
        }
        let popup = shown.map_err(|error| why(&error))?;
        self.standing.retain(|(known, _)| known != incident);
        self.standing.push_back((incident.clone(), popup));
        if self.standing.len() > REMEMBERED {
            self.standing.pop_front();
        }
        Ok(())
    }
}

fn why(error: &NoPopup) -> SendError {
    match error {
        NoPopup::NoSession(_) => SendError::Permanent {
            error: format!(
                "{error}: nobody sees this popup; run the daemon in a user session, give it desks, or use another receiver"
            ),
        },
        NoPopup::NoService(_) | NoPopup::Silent => SendError::Retry { after: None, error: error.to_string() },
    }
}

/// A message as a popup has it: what people say first, then how many and who has it, then why it was raised.
pub fn show(message: &Message, sample: &[Post]) -> Show {
    let Parts { headline, facts, posts, .. } = Parts::of_message(message, sample, Clearance::Cleared);
    // Not by the kind of message: news of what somebody has offers nobody to take it.
    let state = match message.incident.state {
        IncidentState::Open => State::Open,
        IncidentState::Acknowledged => State::Acknowledged,
        IncidentState::Resolved => State::Resolved,
    };
    let quotes = posts.iter().take(QUOTES).filter(|_| state == State::Open).map(Quote::line);
    let mut facts: Vec<&Fact> = facts.iter().filter(|fact| tells(fact, state)).collect();
    // Once somebody has it, that is the news.
    facts.sort_by_key(|fact| state != State::Open && fact.name == "Seen");
    let facts = facts.into_iter().map(Fact::line);
    Show {
        incident: message.incident.id.to_string(),
        revision: message.incident.revision,
        state,
        urgency: urgency(message),
        title: headline,
        body: quotes.chain(facts).collect::<Vec<_>>().join("\n"),
    }
}

/// What a glance should take in. The rest is behind the button that opens the incident.
fn tells(fact: &Fact, state: State) -> bool {
    match fact.name.as_ref() {
        "Exercise" | "Seen" | "Taken by" | "Ended by" | "Merged by" | "Goes on as" => true,
        "Why" | "Playbook" => state == State::Open,
        _ => false,
    }
}

fn urgency(message: &Message) -> Urgency {
    match text::urgency(message) {
        text::Urgency::Quiet => Urgency::Low,
        text::Urgency::Normal => Urgency::Normal,
        text::Urgency::High | text::Urgency::Wake => Urgency::Critical,
    }
}
