//! Popups by the desktop notifications specification, version 1.2
//! (<https://specifications.freedesktop.org/notification-spec/>).
//!
//! By zbus itself, and not by notify-rust, which stands on it: a service answers the connection that asked, and some
//! (GNOME Shell) take a program's popups away with its connection, so there must be one for all of them and for as long as
//! they stand. notify-rust opens one for each, and does not see that the service was replaced, with which every popup is gone.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt, select};
use tokio::time::timeout;
use zbus::Variant;

use super::protocol::{Show, State, Urgency};
use crate::domain::harmless::{clean, clip, escape_markup};

/// How long the session's bus and its notification service may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Some services draw whatever they get.
const MAX_TITLE: usize = 160;
const MAX_BODY_LINE: usize = 400;
const MAX_BODY_LINES: usize = 10;
/// Expires when the service thinks fit.
const USUAL_TIMEOUT: i32 = -1;
const NO_TIMEOUT: i32 = 0;

#[zbus::proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications"
)]
trait Service {
    #[allow(clippy::too_many_arguments, reason = "the specification's")]
    fn notify(
        &self,
        program: &str,
        replaces: u32,
        icon: &str,
        title: &str,
        body: &str,
        actions: &[&str],
        hints: HashMap<&str, Variant<'_>>,
        timeout: i32,
    ) -> zbus::Result<u32>;

    #[zbus(name = "CloseNotification")]
    fn close(&self, id: u32) -> zbus::Result<()>;

    fn get_capabilities(&self) -> zbus::Result<Vec<String>>;

    #[zbus(signal)]
    fn action_invoked(&self, id: u32, key: String) -> zbus::Result<()>;

    #[zbus(signal, name = "NotificationClosed")]
    fn closed(&self, id: u32, reason: u32) -> zbus::Result<()>;
}

/// The session's popups.
pub struct Popups {
    service: ServiceProxy<'static>,
}

/// Why there is no popup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPopup {
    /// The process is not in anybody's session.
    #[error("no desktop session ({0})")]
    NoSession(String),
    /// There is a session; its service may yet start.
    #[error("no notification service in the desktop session ({0}); start one, for instance dunst")]
    NoService(String),
    /// It hangs.
    #[error("the desktop's notification service does not answer")]
    Silent,
}

/// What happens to popups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A button was pressed.
    Action {
        /// The popup.
        popup: u32,
        /// The button.
        key: String,
    },
    /// It is gone.
    Closed {
        /// The popup.
        popup: u32,
        /// Why.
        reason: Closed,
    },
    /// Another service shows popups from now on, and none of ours; or none does.
    Replaced,
}

/// Why a popup is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It stood for as long as it was to.
    Expired,
    /// A person closed it.
    Dismissed,
    /// We did, or the service does not say.
    Otherwise,
}

impl Popups {
    /// Finds the session's bus.
    ///
    /// # Errors
    /// [`NoPopup::NoSession`] or [`NoPopup::Silent`]; whether a service listens there is not asked.
    pub async fn connect() -> Result<Self, NoPopup> {
        let connection = answered(zbus::Connection::session()).await?;
        let service = ServiceProxy::builder(&connection).cache_properties(zbus::proxy::CacheProperties::No);
        Ok(Self { service: answered(service.build()).await? })
    }

    /// Which service shows popups now, on which bus: the numbers of popups mean nothing to another one. None while
    /// there is none.
    ///
    /// # Errors
    /// [`NoPopup`].
    pub async fn service(&self) -> Result<Option<String>, NoPopup> {
        let connection = self.service.inner().connection();
        let bus = answered(zbus::fdo::DBusProxy::new(connection)).await?;
        let name = self.service.inner().destination().to_owned();
        let owner = timeout(ANSWER_TIMEOUT, bus.get_name_owner(name)).await.or(Err(NoPopup::Silent))?;
        Ok(owner.ok().map(|owner| format!("{} {owner}", connection.server_guid())))
    }

    /// What the service can do. Asked for every popup, because the service can be replaced while the session lasts.
    ///
    /// # Errors
    /// [`NoPopup`].
    pub async fn capabilities(&self) -> Result<Vec<String>, NoPopup> {
        answered(self.service.get_capabilities()).await
    }

    /// Shows an incident in place of the popup `replaces`, and gives the popup's number. `buttons` are keys and labels.
    ///
    /// # Errors
    /// [`NoPopup`].
    pub async fn show(&self, show: &Show, buttons: &[(&str, &str)], replaces: Option<u32>) -> Result<u32, NoPopup> {
        let capabilities = self.capabilities().await?;
        let can = |word: &str| capabilities.iter().any(|known| known == word);
        let title = clip(&clean(&show.title), MAX_TITLE);
        let lines = show.body.lines().take(MAX_BODY_LINES).map(|line| clip(&clean(line), MAX_BODY_LINE));
        let body = lines.collect::<Vec<_>>().join("\n");
        let body = if can("body-markup") { escape_markup(&body) } else { body };
        let buttons = if can("actions") { buttons } else { &[] };
        let actions: Vec<&str> = buttons.iter().flat_map(|(key, label)| [*key, *label]).collect();
        // Where its number was lost with a service or in a crash, dunst still knows which popup it is.
        let tag = format!("stormbell/{}", show.incident);
        let hints = HashMap::from([
            ("urgency", Variant::from(level(show.urgency))),
            ("category", Variant::from("im.received")),
            ("x-dunst-stack-tag", Variant::from(tag.as_str())),
        ]);
        let stays = show.state == State::Open && show.urgency == Urgency::Critical;
        let timeout = if stays { NO_TIMEOUT } else { USUAL_TIMEOUT };
        let (icon, replaces) = (icon(show.urgency), replaces.unwrap_or_default());
        let shown = self.service.notify("stormbell", replaces, icon, &title, &body, &actions, hints, timeout);
        answered(shown).await
    }

    /// Takes a popup down; one that is not there is as good.
    pub async fn close(&self, popup: u32) {
        answered(self.service.close(popup)).await.unwrap_or_default();
    }

    /// What happens from now on; ends with the bus.
    ///
    /// # Errors
    /// [`NoPopup`].
    pub async fn events(&self) -> Result<BoxStream<'static, Event>, NoPopup> {
        let pressed = answered(self.service.receive_action_invoked()).await?.filter_map(async |signal| {
            let pressed = signal.args().ok()?;
            Some(Event::Action { popup: pressed.id, key: pressed.key })
        });
        let closed = answered(self.service.receive_closed()).await?.filter_map(async |signal| {
            let closed = signal.args().ok()?;
            let reason = match closed.reason {
                1 => Closed::Expired,
                2 => Closed::Dismissed,
                _ => Closed::Otherwise,
            };
            Some(Event::Closed { popup: closed.id, reason })
        });
        let owners = answered(self.service.inner().receive_owner_changed()).await?;
        let replaced = owners.map(|_| Event::Replaced);
        Ok(select(select(pressed, closed), replaced).boxed())
    }
}

impl fmt::Debug for Popups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Popups").finish_non_exhaustive()
    }
}

async fn answered<T>(asking: impl Future<Output = zbus::Result<T>>) -> Result<T, NoPopup> {
    match timeout(ANSWER_TIMEOUT, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(refusal(&error)),
        Err(_) => Err(NoPopup::Silent),
    }
}

/// An answer of the bus itself proves that there is a session.
fn refusal(error: &zbus::Error) -> NoPopup {
    let words = clip(&clean(&error.to_string()), 200);
    match error {
        zbus::Error::MethodError(..) | zbus::Error::FDO(_) => NoPopup::NoService(words),
        _ => NoPopup::NoSession(words),
    }
}

fn level(urgency: Urgency) -> u8 {
    match urgency {
        Urgency::Low => 0,
        Urgency::Normal => 1,
        Urgency::Critical => 2,
    }
}

/// Names of the freedesktop.org icon naming specification, which every theme has.
fn icon(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::Critical => "dialog-error",
        Urgency::Normal => "dialog-warning",
        Urgency::Low => "dialog-information",
    }
}
