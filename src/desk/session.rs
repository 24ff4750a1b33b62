//! The daemon's end of one desk's connection.
//!
//! A desk may show things and acknowledge; nothing else it says changes anything. Who it is, the
//! system says where it can: of a socket on this machine the kernel knows the user.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::hub::{Hub, MOST_DESKS, Seat, Standing};
use super::line::{Broken, Line};
use super::protocol::{ACKNOWLEDGE, FromDesk, MAX_LAST, PING_EVERY, SILENT_FOR, ToDesk, VERSION};
use crate::domain::harmless::{clean, clip};
use crate::domain::id::IncidentId;
use crate::telemetry::events;

/// A connection that does not say who it is by then is none.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Orders of one desk under way; a person has two hands.
const MOST_ORDERS: usize = 8;
/// Characters of a name.
const MAX_NAME: usize = 64;

/// The daemon, as desks need it.
pub trait Office: Send + Sync + 'static {
    /// Takes charge of an incident for a person; done, and on disk, when it answers.
    ///
    /// # Errors
    /// Why not, in words for that person.
    fn acknowledge(&self, incident: IncidentId, seen: u32, by: &str)
    -> impl Future<Output = Result<(), String>> + Send;

    /// The incidents desks were told of that are not over.
    ///
    /// # Errors
    /// Why the store does not say so now.
    fn standing(&self) -> impl Future<Output = Result<Vec<Standing>, String>> + Send;
}

/// Who sits at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The system knows the name.
    Named(String),
    /// The system knows the number only; users of a directory service have no line in `/etc/passwd`.
    Numbered(u32),
    /// The system does not say: users of the machine have no numbers here (`PrivateUsers=` in systemd.exec(5)).
    Untold,
    /// Somebody who has the token, by the name the desk gives.
    Trusted,
}

impl Who {
    /// The name under which acknowledgements are written down.
    pub fn name(&self, claimed: &str) -> String {
        let claimed = clip(&clean(claimed), MAX_NAME);
        match self {
            Self::Named(name) => clip(&clean(name), MAX_NAME),
            Self::Numbered(uid) if claimed.is_empty() => format!("uid {uid}"),
            Self::Numbered(uid) => format!("{claimed} (uid {uid})"),
            Self::Untold if claimed.is_empty() => "desk of this machine".to_owned(),
            Self::Untold => format!("{claimed} (the desk's word)"),
            Self::Trusted if claimed.is_empty() => "desk".to_owned(),
            Self::Trusted => claimed,
        }
    }
}

/// What all sessions share.
pub struct Sessions<O> {
    /// The desks.
    pub hub: Arc<Hub>,
    /// The daemon.
    pub office: Arc<O>,
    /// Where people can open incidents.
    pub console: Option<Url>,
}

impl<O> Clone for Sessions<O> {
    fn clone(&self) -> Self {
        Self { hub: Arc::clone(&self.hub), office: Arc::clone(&self.office), console: self.console.clone() }
    }
}

impl<O> fmt::Debug for Sessions<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("hub", &self.hub).finish_non_exhaustive()
    }
}

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
enum Over {
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("it said nothing for {} s", SILENT_FOR.as_secs())]
    Silent,
    #[error("it did not say who it is within {} s", HELLO_WITHIN.as_secs())]
    Nameless,
    /// The desk is told so.
    #[error("{0}")]
    Refused(String),
}

impl<O: Office> Sessions<O> {
    /// Speaks with one desk until either end has enough.
    pub async fn serve(self, mut line: Line, who: Who, cancel: CancellationToken) {
        let mut name = who.name("");
        let over = tokio::select! {
            () = cancel.cancelled() => return,
            over = self.hold(&mut line, &who, &mut name) => over,
        };
        if let Over::Refused(error) = &over {
            // It may be gone already; the log has it.
            line.say(&ToDesk::Error { error: error.clone() }).await.unwrap_or_default();
        }
        events::desk_left(&name, &over);
    }

    async fn hold(&self, line: &mut Line, who: &Who, name: &mut String) -> Over {
        match self.welcome(line, who, name).await {
            Ok(seat) => match self.talk(line, seat, name).await {
                Ok(never) => match never {},
                Err(over) => over,
            },
            Err(over) => over,
        }
    }

    /// The two hellos, and all that the desk has missed.
    async fn welcome(&self, line: &mut Line, who: &Who, name: &mut String) -> Result<Seat, Over> {
        let hello = timeout(HELLO_WITHIN, line.hear()).await.or(Err(Over::Nameless))??;
        let refused = |error: String| Err(Over::Refused(error));
        let FromDesk::Hello { version, user, last, again } = hello else {
            return refused("the first word must be hello".to_owned());
        };
        if version != VERSION {
            return refused(format!(
                "this daemon speaks version {VERSION} of the desk's protocol and not {version}; install the same release of stormbell on both sides"
            ));
        }
        if last.len() > MAX_LAST || again.len() > MAX_LAST {
            return refused(format!("a desk may remember {MAX_LAST} incidents"));
        }
        *name = who.name(&user);
        let Some(seat) = self.hub.join(name, &last, &again) else {
            return refused(format!("there are {MOST_DESKS} desks already"));
        };
        events::desk_joined(name);
        let console = self.console.as_ref().map(ToString::to_string);
        line.say(&ToDesk::Hello { version: VERSION, user: name.clone(), console }).await?;
        // A store that does not answer now is one more reason to try again.
        let standing = self.office.standing().await;
        let unknown = |error| Over::Refused(format!("the daemon cannot say what is going on: {error}"));
        let standing = standing.map_err(unknown)?;
        for frame in seat.catch_up(standing) {
            line.say(&frame).await?;
        }
        Ok(seat)
    }

    async fn talk(&self, line: &mut Line, mut seat: Seat, name: &str) -> Result<std::convert::Infallible, Over> {
        let mut ping = interval(PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut orders = FuturesUnordered::new();
        loop {
            for show in seat.news() {
                line.say(&ToDesk::Show(show)).await?;
            }
            tokio::select! {
                frame = line.hear() => {
                    heard = Instant::now();
                    match frame? {
                        FromDesk::Shown { incident, revision } => seat.shown(&incident, revision),
                        FromDesk::Action { incident, revision, key } if key == ACKNOWLEDGE && orders.len() < MOST_ORDERS => {
                            orders.push(self.follow(incident, revision, name));
                        }
                        FromDesk::Action { incident, key, .. } => {
                            let error = format!("the daemon cannot {} now", clip(&clean(&key), MAX_NAME));
                            line.say(&ToDesk::Refused { incident, error }).await?;
                        }
                        FromDesk::Closed { incident, reason } => {
                            events::desk_closed(name, &clip(&incident, MAX_NAME), &clip(&reason, MAX_NAME));
                        }
                        FromDesk::Hello { .. } | FromDesk::Ping | FromDesk::Unknown => {}
                    }
                }
                Some(refused) = orders.next(), if !orders.is_empty() => if let Some(refused) = refused {
                    line.say(&refused).await?;
                },
                () = seat.changed() => {}
                _ = ping.tick() => {
                    if heard.elapsed() > SILENT_FOR {
                        return Err(Over::Silent);
                    }
                    line.say(&ToDesk::Ping).await?;
                }
            }
        }
    }

    /// An acknowledgement that worked needs no answer: all desks are told who has the incident.
    async fn follow(&self, incident: String, seen: u32, name: &str) -> Option<ToDesk> {
        let answer = self.office.acknowledge(IncidentId::from(incident.as_str()), seen, name).await;
        answer.err().map(|error| ToDesk::Refused { incident, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_believed_before_the_desk() {
        for (who, claimed, name) in [
            (Who::Named("ann".to_owned()), "root", "ann"),
            (Who::Numbered(1000), "ann", "ann (uid 1000)"),
            (Who::Numbered(1000), "", "uid 1000"),
            (Who::Untold, "ann\n", "ann (the desk's word)"),
            (Who::Untold, "", "desk of this machine"),
            (Who::Trusted, "ann\u{202e}\n", "ann"),
            (Who::Trusted, "", "desk"),
        ] {
            assert_eq!(who.name(claimed), name);
        }
        assert_eq!(Who::Trusted.name(&"x".repeat(1000)).chars().count(), MAX_NAME);
    }
}
