//! The desks that are connected, what each was given and what was truly shown.
//!
//! No queue belongs to a desk. What is said lies here once, until every desk has been given it, and a newer
//! state of an incident takes the place of the older one: a slow desk gets less, not later. Whoever comes later
//! is given what is open from the store, so that nothing here outlives the erasure of a post.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::protocol::{Show, State, ToDesk};
use crate::telemetry::metrics::Metrics;

/// Desks at a time; the next one is told so.
pub const MOST_DESKS: usize = 128;
/// Incidents remembered of one desk, and of all together.
const MOST_KNOWN: usize = 1024;

/// All desks.
pub struct Hub {
    inner: Mutex<Inner>,
    /// Grows with what is said.
    news: watch::Sender<u64>,
    /// Grows with what is shown.
    seen: watch::Sender<u64>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Inner {
    said: u64,
    /// What not every desk was given yet, one for each incident, with its place among all that was said.
    pending: Vec<(u64, Show)>,
    /// The newest revision of each incident that any desk has shown.
    shown: BTreeMap<String, u32>,
    seats: BTreeMap<u64, Known>,
    next_seat: u64,
}

/// What is known of one desk.
struct Known {
    user: String,
    /// Everything said up to here was given to it, or is none of its business.
    taken: u64,
    /// The newest revision it was given of each incident.
    given: BTreeMap<String, u32>,
}

/// An incident that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// As it stands.
    pub show: Show,
    /// Nobody is told of it for now.
    pub muted: bool,
}

/// Nobody sat where it would have been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotShown {
    /// Desks that are connected.
    pub desks: usize,
    /// How long it was waited for.
    pub within: Duration,
}

impl fmt::Display for NotShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.within.as_secs();
        match self.desks {
            0 => write!(f, "no desk showed it: none is connected; is `stormbell desk` running in anybody's session?"),
            1 => write!(f, "no desk showed it within {seconds} s, though one is connected; its log says why"),
            n => write!(f, "no desk showed it within {seconds} s, though {n} are connected; their logs say why"),
        }
    }
}

impl Hub {
    /// Without desks.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { inner: Mutex::default(), news: watch::Sender::new(0), seen: watch::Sender::new(0), metrics }
    }

    /// Tells all desks. What somebody must see is done only when a desk has shown it; that somebody
    /// has it, or that it is over, takes popups down, and needs no eyes.
    ///
    /// # Errors
    /// [`NotShown`] when none has within that time. One that comes later will be given it.
    pub async fn show(&self, show: Show, within: Duration) -> Result<(), NotShown> {
        let (incident, revision, state) = (show.incident.clone(), show.revision, show.state);
        let mut seen = self.seen.subscribe();
        self.say(show);
        if state != State::Open {
            return Ok(());
        }
        let waiting = async {
            while self.lock().shown.get(&incident).is_none_or(|shown| *shown < revision) {
                if seen.changed().await.is_err() {
                    std::future::pending::<()>().await; // cannot be: we hold the sender
                }
            }
        };
        if timeout(within, waiting).await.is_ok() {
            return Ok(());
        }
        let desks = self.lock().seats.len();
        Err(NotShown { desks, within })
    }

    fn say(&self, show: Show) {
        let mut inner = self.lock();
        inner.said += 1;
        let place = inner.said;
        if show.state == State::Resolved {
            inner.shown.remove(&show.incident);
        }
        let newer =
            inner.pending.iter().any(|(_, known)| known.incident == show.incident && known.revision > show.revision);
        if !newer {
            inner.pending.retain(|(_, known)| known.incident != show.incident);
            inner.pending.push((place, show));
        }
        inner.forget_what_all_have();
        drop(inner);
        self.news.send_replace(place);
    }

    /// A place for a desk, which is given all that is said from now on; none when there are too many. `last` is what it
    /// has shown before, `again` what of that it must be given anew.
    pub fn join(self: &Arc<Self>, user: &str, last: &BTreeMap<String, u32>, again: &BTreeSet<String>) -> Option<Seat> {
        let mut inner = self.lock();
        if inner.seats.len() >= MOST_DESKS {
            return None;
        }
        for (incident, revision) in last {
            inner.shown(incident, *revision);
        }
        let has = |incident: &str, revision| if again.contains(incident) { 0 } else { revision };
        let given = last.iter().map(|(incident, revision)| (incident.clone(), has(incident, *revision))).collect();
        let (id, taken) = (inner.next_seat, inner.said);
        inner.next_seat += 1;
        inner.seats.insert(id, Known { user: user.to_owned(), taken, given });
        self.metrics.desks(inner.seats.len());
        drop(inner);
        self.seen.send_modify(|count| *count += 1);
        Some(Seat { hub: Arc::clone(self), id, news: self.news.subscribe() })
    }

    /// Whose desks are connected, in the order in which they came.
    pub fn users(&self) -> Vec<String> {
        self.lock().seats.values().map(|known| known.user.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("desks", &self.users().len()).finish_non_exhaustive()
    }
}

impl Inner {
    fn shown(&mut self, incident: &str, revision: u32) {
        let shown = self.shown.entry(incident.to_owned()).or_default();
        *shown = revision.max(*shown);
        while self.shown.len() > MOST_KNOWN {
            self.shown.pop_first();
        }
    }

    fn forget_what_all_have(&mut self) {
        let slowest = self.seats.values().map(|known| known.taken).min().unwrap_or(self.said);
        self.pending.retain(|(place, _)| *place > slowest);
    }
}

impl Known {
    /// Whether the desk should be given this, of which it then knows.
    fn wants(&mut self, show: &Show) -> bool {
        let given = self.given.get(&show.incident).copied();
        // Of what it never showed a desk need not hear that it is over.
        let concerns = show.state == State::Open || given.is_some();
        if !concerns || given.is_some_and(|given| given >= show.revision) {
            return false;
        }
        if show.state == State::Resolved {
            self.given.remove(&show.incident);
        } else {
            self.given.insert(show.incident.clone(), show.revision);
        }
        while self.given.len() > MOST_KNOWN {
            self.given.pop_first();
        }
        true
    }
}

/// The place of one desk, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    hub: Arc<Hub>,
    id: u64,
    news: watch::Receiver<u64>,
}

impl Seat {
    /// What to tell a desk that has just come, of how things `stand`: what it lacks, what somebody has taken meanwhile,
    /// and what is over of all that it remembers. What is muted is shown on no further desk.
    pub fn catch_up(&self, standing: Vec<Standing>) -> Vec<ToDesk> {
        let mut inner = self.hub.lock();
        let Some(known) = inner.seats.get_mut(&self.id) else { return Vec::new() };
        let stands = |incident: &str| standing.iter().any(|standing| standing.show.incident == incident);
        let over: Vec<String> = known.given.keys().filter(|incident| !stands(incident)).cloned().collect();
        known.given.retain(|incident, _| stands(incident));
        let gone = over.into_iter().map(|incident| ToDesk::Gone { incident });
        let has = |known: &Known, show: &Show| known.given.contains_key(&show.incident);
        let lacks =
            standing.into_iter().filter(|Standing { show, muted }| (!muted || has(known, show)) && known.wants(show));
        gone.chain(lacks.map(|standing| ToDesk::Show(standing.show))).collect()
    }

    /// What was said since the last call and is this desk's business.
    pub fn news(&self) -> Vec<Show> {
        let mut inner = self.hub.lock();
        let Inner { said, pending, seats, .. } = &mut *inner;
        let Some(known) = seats.get_mut(&self.id) else { return Vec::new() };
        let since = std::mem::replace(&mut known.taken, *said);
        let news = pending.iter().filter(|(place, show)| *place > since && known.wants(show));
        let news = news.map(|(_, show)| show.clone()).collect();
        inner.forget_what_all_have();
        news
    }

    /// Waits until something is said.
    pub async fn changed(&mut self) {
        if self.news.changed().await.is_err() {
            std::future::pending::<()>().await; // cannot be: the hub outlives its seats
        }
    }

    /// The desk has shown it, if it was given it.
    pub fn shown(&self, incident: &str, revision: u32) {
        let mut inner = self.hub.lock();
        let given = inner.seats.get(&self.id).and_then(|known| known.given.get(incident).copied());
        if given.is_some_and(|given| revision <= given) {
            inner.shown(incident, revision);
            drop(inner);
            self.hub.seen.send_modify(|count| *count += 1);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inner = self.hub.lock();
        inner.seats.remove(&self.id);
        inner.forget_what_all_have();
        self.hub.metrics.desks(inner.seats.len());
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::Urgency;
    use super::*;

    const SOON: Duration = Duration::from_mins(1);
    const AT_ONCE: Duration = Duration::from_millis(20);

    fn show(incident: &str, revision: u32, state: State) -> Show {
        let (title, body) = (format!("{incident} {revision}"), String::new());
        Show { incident: incident.to_owned(), revision, state, urgency: Urgency::Normal, title, body }
    }

    fn hub() -> Arc<Hub> {
        Arc::new(Hub::new(Arc::default()))
    }

    fn join(hub: &Arc<Hub>, last: &[(&str, u32)], again: &[&str]) -> Seat {
        let last = last.iter().map(|(incident, revision)| ((*incident).to_owned(), *revision)).collect();
        hub.join("ann", &last, &again.iter().map(|incident| (*incident).to_owned()).collect()).unwrap()
    }

    #[tokio::test]
    async fn connected_is_not_shown() {
        let hub = hub();
        let open = |within| hub.show(show("a", 1, State::Open), within);
        assert!(open(AT_ONCE).await.unwrap_err().to_string().contains("none is connected"));
        let seat = join(&hub, &[], &[]);
        assert_eq!(open(AT_ONCE).await, Err(NotShown { desks: 1, within: AT_ONCE }));
        let shows = async {
            assert_eq!(seat.news().len(), 1);
            seat.shown("a", 2);
            tokio::task::yield_now().await;
            seat.shown("a", 1);
        };
        let (told, ()) = tokio::join!(open(SOON), shows);
        told.unwrap();
        // Tried again after a crash of the daemon's, say: it was shown.
        drop(seat);
        open(AT_ONCE).await.unwrap();
    }

    #[tokio::test]
    async fn an_end_takes_popups_down_and_needs_no_eyes() {
        let hub = hub();
        let (has_it, never_had_it) = (join(&hub, &[("a", 1)], &[]), join(&hub, &[], &[]));
        hub.show(show("a", 2, State::Acknowledged), SOON).await.unwrap();
        assert_eq!(has_it.news(), [show("a", 2, State::Acknowledged)]);
        assert!(never_had_it.news().is_empty());
        assert!(hub.lock().pending.is_empty(), "kept though everybody has it");
    }

    #[tokio::test]
    async fn a_slow_desk_gets_the_newest_state_and_holds_up_nobody() {
        let hub = hub();
        let (slow, quick) = (join(&hub, &[], &[]), join(&hub, &[], &[]));
        for revision in 1..=1000 {
            let told = hub.show(show("a", revision, State::Open), SOON);
            let shows = async {
                assert_eq!(quick.news().len(), 1);
                quick.shown("a", revision);
            };
            tokio::join!(told, shows).0.unwrap();
        }
        assert_eq!(hub.lock().pending.len(), 1);
        assert_eq!(slow.news(), [show("a", 1000, State::Open)]);
        hub.say(show("a", 999, State::Open));
        assert!(slow.news().is_empty() && quick.news().is_empty(), "an old state came after a new one");
    }

    #[test]
    fn who_comes_back_is_told_what_changed_and_nothing_twice() {
        let hub = hub();
        let last = [("same", 3), ("grown", 3), ("taken", 3), ("over", 3), ("lost", 3), ("muted", 3)];
        let seat = join(&hub, &last, &["lost"]);
        let shows = [
            show("grown", 4, State::Open),
            show("taken", 4, State::Acknowledged),
            show("lost", 3, State::Open),
            show("new", 1, State::Open),
        ];
        let others = [show("same", 3, State::Open), show("new-and-taken", 2, State::Acknowledged)];
        let muted = [show("muted", 3, State::Open), show("new-and-muted", 1, State::Open)];
        let all =
            |shows: &[Show], muted| shows.iter().map(move |show| Standing { show: show.clone(), muted }).collect();
        let standing: Vec<Vec<Standing>> = vec![all(&others, false), all(&muted, true), all(&shows, false)];
        let mut told = seat.catch_up(standing.concat());
        assert_eq!(told.remove(0), ToDesk::Gone { incident: "over".to_owned() });
        assert_eq!(told, shows.map(ToDesk::Show));
    }

    #[test]
    fn desks_are_bounded_and_leave() {
        let hub = hub();
        let mut seats: Vec<Seat> = (0..MOST_DESKS).map(|_| join(&hub, &[], &[])).collect();
        let nothing = (BTreeMap::new(), BTreeSet::new());
        assert!(hub.join("bob", &nothing.0, &nothing.1).is_none());
        seats.pop();
        assert!(hub.join("bob", &nothing.0, &nothing.1).is_some());
        drop(seats);
        assert!(hub.users().is_empty());
    }
}
