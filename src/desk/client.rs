//! The desk: between the daemon's connection and the session's screen.
//!
//! Either may be missing, and both come back by themselves: the daemon is dialled again and again,
//! the session's bus is waited for, and a notification service that starts anew is given everything that
//! stood before. Until an incident is truly on the screen the daemon hears nothing of it, and tells others.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::board::{Board, Next, OPEN, SNOOZE, Wish};
use super::line::Line;
use super::popups::{Event, NoPopup, Popups};
use super::protocol::{ACKNOWLEDGE, FromDesk, PING_EVERY, SILENT_FOR, Show, ToDesk, VERSION};
use crate::domain::id::IncidentId;
use crate::domain::time::{Clock, human};
use crate::telemetry::events;
use crate::wire::link::Console;

/// The first wait before dialling again, …
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// … doubled up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// What could not be shown is tried again.
const SHOW_AGAIN: Duration = Duration::from_secs(5);

/// How the daemon is reached.
pub trait Dial: Send + Sync + 'static {
    /// One attempt.
    ///
    /// # Errors
    /// Why not, in words.
    fn dial(&self) -> BoxFuture<'static, Result<Line, String>>;

    /// Where that is, for the log.
    fn whither(&self) -> String;

    /// Where its console is as seen from here, when that is known better than by the daemon.
    fn console(&self) -> Option<Url>;
}

/// A desk's settings.
pub struct Settings<D> {
    /// How the daemon is reached.
    pub dial: D,
    /// Who sits here.
    pub user: String,
    /// Where to remember what was shown.
    pub memory: PathBuf,
    /// How long a snoozed incident stays away.
    pub snooze: Duration,
    /// The present.
    pub clock: Arc<dyn Clock>,
}

impl<D: Dial> fmt::Debug for Settings<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("daemon", &self.dial.whither()).finish_non_exhaustive()
    }
}

/// Runs a desk until `cancel`.
pub async fn run<D: Dial>(settings: Settings<D>, cancel: CancellationToken) {
    let board = Board::read(&settings.memory).unwrap_or_else(|error| {
        events::desk_forgot(&error);
        Board::default()
    });
    let mut desk = Desk {
        daemon: Daemon::of(settings.dial),
        screen: Screen::default(),
        board,
        console: None,
        user: settings.user,
        memory: settings.memory,
        snooze: settings.snooze,
        clock: settings.clock,
    };
    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut again = interval(SHOW_AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let snoozed = desk.board.next_wake().map(|at| at.since(desk.clock.now()));
        tokio::select! {
            () = cancel.cancelled() => return,
            news = desk.daemon.next() => desk.heard(news).await,
            change = desk.screen.next() => desk.seen(change).await,
            _ = ping.tick() => desk.daemon.say(&FromDesk::Ping).await,
            _ = again.tick() => {}
            () = sleep(snoozed.unwrap_or_default()), if snoozed.is_some() => {}
        }
        desk.board.wake(desk.clock.now(), desk.snooze);
        desk.pop().await;
    }
}

struct Desk<D> {
    daemon: Daemon<D>,
    screen: Screen,
    board: Board,
    console: Option<Url>,
    user: String,
    memory: PathBuf,
    snooze: Duration,
    clock: Arc<dyn Clock>,
}

impl<D: Dial> Desk<D> {
    async fn heard(&mut self, news: News) {
        match news {
            News::Connected => {
                let (last, again) = self.board.last();
                let hello = FromDesk::Hello { version: VERSION, user: self.user.clone(), last, again };
                self.daemon.say(&hello).await;
            }
            News::Frame(ToDesk::Hello { user, console, .. }) => {
                self.daemon.is_well();
                events::desk_connected(&self.daemon.dial.whither(), &user);
                let theirs = console.and_then(|console| Url::parse(&console).ok());
                let console = self.daemon.dial.console().or(theirs);
                self.console = console.filter(|console| matches!(console.scheme(), "http" | "https"));
                for incident in self.board.acknowledging() {
                    self.acknowledge(incident).await;
                }
            }
            News::Frame(ToDesk::Show(show)) => self.show(show).await,
            News::Frame(ToDesk::Gone { incident }) => {
                if let (Some(popup), Some(popups)) = (self.board.gone(&incident), self.screen.popups()) {
                    popups.close(popup).await;
                }
                self.remember();
            }
            News::Frame(ToDesk::Refused { incident, error }) => {
                events::desk_refused(&incident, &error);
                self.board.refused(&incident, &error);
                self.remember();
            }
            News::Frame(ToDesk::Error { error }) => events::desk_turned_away(&error),
            News::Lost | News::Frame(ToDesk::Ping | ToDesk::Unknown) => {}
        }
    }

    async fn show(&mut self, show: Show) {
        let (incident, revision) = (show.incident.clone(), show.revision);
        match self.board.heard(show.clone(), self.clock.now()) {
            Next::WasShown => self.daemon.say(&FromDesk::Shown { incident, revision }).await,
            Next::Farewell(popup) => {
                let Some(popups) = self.screen.popups() else { return self.remember() };
                match popups.show(&show, &[], popup).await {
                    Ok(_) => events::desk_shown(&incident, revision),
                    Err(error) => self.screen.complain(&error),
                }
            }
            Next::Pop | Next::Nothing => {}
        }
        self.remember();
    }

    async fn seen(&mut self, change: Change) {
        match change {
            Change::Lost | Change::Closed => self.board.found_service(None),
            Change::Opened | Change::Event(Event::Replaced) => self.look_for_service().await,
            Change::Event(Event::Closed { popup, reason }) => {
                if let Some((incident, reason)) = self.board.closed(popup, reason) {
                    self.remember();
                    self.daemon.say(&FromDesk::Closed { incident, reason: reason.to_owned() }).await;
                }
            }
            Change::Event(Event::Action { popup, key }) => {
                let Some(wish) = self.board.pressed(popup, &key, self.clock.now(), self.snooze) else { return };
                // On disk before anybody is told: what the person pressed is not lost.
                self.remember();
                match wish {
                    Wish::Open(incident) => self.open(&incident),
                    Wish::Snooze(_) => self.take_down(popup).await,
                    Wish::Acknowledge(incident) => {
                        self.acknowledge(incident).await;
                        self.take_down(popup).await;
                    }
                }
            }
        }
    }

    /// Shows all that waits to be shown, and says what was.
    async fn pop(&mut self) {
        let snooze = format!("Snooze {}", human(self.snooze));
        let mut buttons = vec![(ACKNOWLEDGE, "Acknowledge"), (SNOOZE, snooze.as_str())];
        if self.console.is_some() {
            buttons.insert(1, (OPEN, "Open"));
        }
        for (show, replaces) in self.board.to_pop() {
            let Some(popups) = self.screen.popups() else { return };
            match popups.show(&show, &buttons, replaces).await {
                Ok(popup) => {
                    self.screen.content();
                    if !self.board.knows_service() {
                        self.look_for_service().await; // the bus has just started one for this
                    }
                    self.board.popped(&show.incident, show.revision, popup);
                    self.remember();
                    let Show { incident, revision, .. } = show;
                    events::desk_shown(&incident, revision);
                    self.daemon.say(&FromDesk::Shown { incident, revision }).await;
                }
                Err(error) => return self.screen.complain(&error),
            }
        }
    }

    async fn look_for_service(&mut self) {
        if let Some(popups) = self.screen.popups() {
            self.board.found_service(popups.service().await.unwrap_or_default());
        }
    }

    /// Some services leave a popup with its buttons standing.
    async fn take_down(&self, popup: u32) {
        if let Some(popups) = self.screen.popups() {
            popups.close(popup).await;
        }
    }

    /// Told again with the next connection, if the daemon cannot hear it now.
    async fn acknowledge(&mut self, incident: String) {
        let revision = self.board.shown(&incident);
        self.daemon.say(&FromDesk::Action { incident, revision, key: ACKNOWLEDGE.to_owned() }).await;
    }

    /// The console's address and no other: nothing that a post or a message names is opened.
    fn open(&self, incident: &str) {
        let Some(console) = &self.console else { return };
        let url = Console::at(console.clone()).incident_url(&IncidentId::from(incident));
        let opening = move || {
            let quiet = (Stdio::null(), Stdio::null(), Stdio::null());
            let opened = Command::new("xdg-open").arg(url).stdin(quiet.0).stdout(quiet.1).stderr(quiet.2).status();
            if let Err(error) = opened {
                events::desk_opens_nothing(&error);
            }
        };
        drop(tokio::task::spawn_blocking(opening)); // it may last as long as a browser does
    }

    fn remember(&self) {
        if let Err(error) = self.board.write(&self.memory) {
            events::desk_remembers_nothing(&self.memory, &error);
        }
    }
}

/// The connection to the daemon, which comes back.
struct Daemon<D> {
    dial: D,
    link: Link,
    failures: u32,
    /// What was last complained of, so that the log has it once.
    complaint: Option<String>,
}

enum Link {
    Dialling(BoxFuture<'static, Result<Line, String>>),
    Up { line: Line, heard: Instant },
}

enum News {
    Connected,
    Frame(ToDesk),
    Lost,
}

impl<D: Dial> Daemon<D> {
    fn of(dial: D) -> Self {
        let link = Link::Dialling(dial.dial());
        Self { dial, link, failures: 0, complaint: None }
    }

    /// What happens next. Nothing is lost when this is dropped half-way.
    async fn next(&mut self) -> News {
        let lost = match &mut self.link {
            Link::Dialling(dialling) => match dialling.await {
                Ok(line) => {
                    self.link = Link::Up { line, heard: Instant::now() };
                    return News::Connected;
                }
                Err(error) => error,
            },
            Link::Up { line, heard } => tokio::select! {
                frame = line.hear() => match frame {
                    Ok(frame) => {
                        *heard = Instant::now();
                        return News::Frame(frame);
                    }
                    Err(broken) => broken.to_string(),
                },
                () = sleep_until(*heard + SILENT_FOR) => format!("it said nothing for {} s", SILENT_FOR.as_secs()),
            },
        };
        self.lost(&lost);
        News::Lost
    }

    async fn say(&mut self, what: &FromDesk) {
        let Link::Up { line, .. } = &mut self.link else { return };
        if let Err(broken) = line.say(what).await {
            self.lost(&broken.to_string());
        }
    }

    fn lost(&mut self, error: &str) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(10)).min(LONGEST_WAIT);
        self.failures += 1;
        if self.complaint.as_deref() != Some(error) {
            events::desk_disconnected(&self.dial.whither(), error);
            self.complaint = Some(error.to_owned());
        }
        let dialling = self.dial.dial();
        self.link = Link::Dialling(Box::pin(async move {
            sleep(wait).await;
            dialling.await
        }));
    }

    fn is_well(&mut self) {
        (self.failures, self.complaint) = (0, None);
    }
}

/// The session's screen, which may not be there yet.
struct Screen {
    view: View,
    /// What was last complained of, so that the log has it once.
    complaint: Option<NoPopup>,
}

enum View {
    Opening(BoxFuture<'static, Result<(Popups, BoxStream<'static, Event>), NoPopup>>),
    Open { popups: Popups, events: BoxStream<'static, Event> },
}

enum Change {
    Opened,
    Closed,
    Event(Event),
    Lost,
}

impl Default for Screen {
    fn default() -> Self {
        Self { view: View::Opening(Box::pin(look(Duration::ZERO))), complaint: None }
    }
}

async fn look(wait: Duration) -> Result<(Popups, BoxStream<'static, Event>), NoPopup> {
    sleep(wait).await;
    let popups = Popups::connect().await?;
    let events = popups.events().await?;
    Ok((popups, events))
}

impl Screen {
    /// What happens next. Nothing is lost when this is dropped half-way.
    async fn next(&mut self) -> Change {
        match &mut self.view {
            View::Opening(opening) => match opening.await {
                Ok((popups, events)) => {
                    self.view = View::Open { popups, events };
                    Change::Opened
                }
                Err(error) => {
                    self.complain(&error);
                    self.view = View::Opening(Box::pin(look(SHOW_AGAIN)));
                    Change::Closed
                }
            },
            View::Open { events, .. } => {
                if let Some(event) = events.next().await {
                    return Change::Event(event);
                }
                self.complain(&NoPopup::NoSession("the session's bus hung up".to_owned()));
                self.view = View::Opening(Box::pin(look(SHOW_AGAIN)));
                Change::Lost
            }
        }
    }

    fn popups(&self) -> Option<&Popups> {
        match &self.view {
            View::Open { popups, .. } => Some(popups),
            View::Opening(_) => None,
        }
    }

    fn complain(&mut self, error: &NoPopup) {
        if self.complaint.as_ref() != Some(error) {
            events::desk_sees_nothing(error);
            self.complaint = Some(error.clone());
        }
    }

    /// It shows.
    fn content(&mut self) {
        if self.complaint.take().is_some() {
            events::desk_sees_again();
        }
    }
}
