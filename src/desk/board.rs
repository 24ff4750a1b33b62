//! What a desk remembers: which incidents stand on the screen, and what the person did with them.
//!
//! Decisions only: showing and speaking is [`super::client`]'s. It is kept in a file, so that a new
//! process neither shows a thing twice nor forgets an acknowledgement that the daemon has not heard yet. The
//! file holds no words of anybody: what must be shown again is asked for again, and is then as it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::popups::Closed;
use super::protocol::{ACKNOWLEDGE, MAX_LAST, Show, State};
use crate::domain::time::Timestamp;

/// Opens the incident in the console.
pub const OPEN: &str = "open";
/// Shows it again later.
pub const SNOOZE: &str = "snooze";

/// All that a desk remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Board {
    /// By incident.
    cards: BTreeMap<String, Card>,
    /// The service whose numbers the popups have.
    service: Option<String>,
}

/// One incident.
#[derive(Debug, Serialize, Deserialize)]
struct Card {
    /// The newest revision that was on the screen; 0 before the first.
    shown: u32,
    /// The popup on the screen.
    popup: Option<u32>,
    phase: Phase,
    /// Its words, and the revision they are of.
    #[serde(skip)]
    show: Option<Show>,
    /// Whether the popup's buttons speak to this process.
    #[serde(skip)]
    live: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    /// It belongs on the screen.
    Up,
    /// The person closed it, or it expired.
    Dismissed,
    /// It returns at this time, in microseconds since 1970.
    Snoozed(i64),
    /// The person took charge, and the daemon has not said that it knows.
    Acknowledging,
}

/// What follows from something the daemon said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Show it.
    Pop,
    /// It was shown before.
    WasShown,
    /// Show once how it ended, in place of this popup, and forget it.
    Farewell(Option<u32>),
    /// Nothing.
    Nothing,
}

/// What a person wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Take charge of the incident.
    Acknowledge(String),
    /// Read about it.
    Open(String),
    /// Be left alone with it for a while.
    Snooze(String),
}

impl Board {
    /// Reads it; without a file it is empty. The popups in it are another process's.
    ///
    /// # Errors
    /// When the file cannot be read or is none of ours.
    pub fn read(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes it, wholly or not at all.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let draft = path.with_added_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    }

    /// For the hello: what was shown, and of what the words are needed again.
    pub fn last(&self) -> (BTreeMap<String, u32>, BTreeSet<String>) {
        let shown = || self.cards.iter().filter(|(_, card)| card.shown > 0);
        let again = shown().filter(|(_, card)| card.show.is_none() && card.phase != Phase::Dismissed);
        (
            shown().map(|(incident, card)| (incident.clone(), card.shown)).collect(),
            again.map(|(id, _)| id.clone()).collect(),
        )
    }

    /// The daemon says how an incident stands.
    pub fn heard(&mut self, show: Show, now: Timestamp) -> Next {
        if show.state != State::Open {
            return match self.cards.remove(&show.incident) {
                // What the person has closed, or never saw, is not worth a second look.
                None | Some(Card { phase: Phase::Dismissed, .. } | Card { shown: 0, .. }) => Next::Nothing,
                Some(card) => Next::Farewell(card.popup),
            };
        }
        self.make_room(&show.incident);
        let (incident, revision) = (show.incident.clone(), show.revision);
        let blank = Card { shown: 0, popup: None, phase: Phase::Up, show: None, live: false };
        let card = self.cards.entry(incident).or_insert(blank);
        if revision < card.shown {
            return Next::Nothing;
        }
        let is_news = revision > card.shown;
        card.show = Some(show);
        let rests = match card.phase {
            Phase::Up => card.live,
            Phase::Dismissed | Phase::Acknowledging => true,
            Phase::Snoozed(until) => until > now.micros(),
        };
        if !is_news && rests {
            return Next::WasShown;
        }
        // Also where the person has it in hand: of what it has become they know nothing.
        card.phase = Phase::Up;
        Next::Pop
    }

    /// Popups to show, with the popup each replaces: what is news, and what has lost its popup.
    pub fn to_pop(&self) -> Vec<(Show, Option<u32>)> {
        let waits = |card: &&Card| {
            let news = card.show.as_ref().is_some_and(|show| show.revision > card.shown);
            card.phase == Phase::Up && (!card.live || news)
        };
        let shows = self.cards.values().filter(waits);
        shows.filter_map(|card| Some((card.show.clone()?, card.popup))).collect()
    }

    /// What the person saw of an incident last; 0: nothing.
    pub fn shown(&self, incident: &str) -> u32 {
        self.cards.get(incident).map_or(0, |card| card.shown)
    }

    /// It is on the screen.
    pub fn popped(&mut self, incident: &str, revision: u32, popup: u32) {
        if let Some(card) = self.cards.get_mut(incident) {
            (card.shown, card.popup, card.live) = (revision, Some(popup), true);
        }
    }

    /// The daemon no longer knows it; the popup to take down.
    pub fn gone(&mut self, incident: &str) -> Option<u32> {
        self.cards.remove(incident)?.popup
    }

    /// The daemon did not follow. It belongs on the screen again, with the reason as its first line.
    pub fn refused(&mut self, incident: &str, error: &str) {
        let Some(card) = self.cards.get_mut(incident).filter(|card| card.phase == Phase::Acknowledging) else { return };
        (card.phase, card.live) = (Phase::Up, false);
        if let Some(show) = &mut card.show {
            show.body = format!("Not acknowledged: {error}\n{}", show.body);
        }
    }

    /// A button was pressed. Its popup has done its work, but for reading on.
    pub fn pressed(&mut self, popup: u32, key: &str, now: Timestamp, snooze: Duration) -> Option<Wish> {
        let (incident, card) = self.cards.iter_mut().find(|(_, card)| card.popup == Some(popup) && card.live)?;
        match key {
            OPEN => return Some(Wish::Open(incident.clone())),
            ACKNOWLEDGE => card.phase = Phase::Acknowledging,
            SNOOZE => card.phase = Phase::Snoozed((now + snooze).micros()),
            _ => return None,
        }
        (card.popup, card.live) = (None, false);
        let incident = incident.clone();
        Some(if key == ACKNOWLEDGE { Wish::Acknowledge(incident) } else { Wish::Snooze(incident) })
    }

    /// A popup is gone; the incident, and the word for the daemon.
    pub fn closed(&mut self, popup: u32, reason: Closed) -> Option<(String, &'static str)> {
        let (incident, card) = self.cards.iter_mut().find(|(_, card)| card.popup == Some(popup))?;
        (card.popup, card.live, card.phase) = (None, false, Phase::Dismissed);
        let word = match reason {
            Closed::Expired => "expired",
            Closed::Dismissed => "dismissed",
            Closed::Otherwise => "closed",
        };
        Some((incident.clone(), word))
    }

    /// Whether it is known who shows popups.
    pub fn knows_service(&self) -> bool {
        self.service.is_some()
    }

    /// The service that shows popups from now on, if there is one. If it is another, the popups are gone with the last.
    pub fn found_service(&mut self, service: Option<String>) {
        if self.service.is_none() || self.service != service {
            self.service = service;
            for card in self.cards.values_mut() {
                (card.popup, card.live) = (None, false);
            }
        }
    }

    /// Snoozed ones belong on the screen again when their time has come; or when the clock was set back, so that it would
    /// come later than anybody asked for.
    pub fn wake(&mut self, now: Timestamp, snooze: Duration) {
        let latest = (now + snooze).micros();
        for card in self.cards.values_mut() {
            if matches!(card.phase, Phase::Snoozed(until) if until <= now.micros() || until > latest) {
                card.phase = Phase::Up;
            }
        }
    }

    /// When the next snoozed one returns.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let until = |card: &Card| match card.phase {
            Phase::Snoozed(until) => Some(Timestamp::from_micros(until)),
            _ => None,
        };
        self.cards.values().filter_map(until).min()
    }

    /// What the person acknowledged and the daemon may not know.
    pub fn acknowledging(&self) -> Vec<String> {
        let waits = self.cards.iter().filter(|(_, card)| card.phase == Phase::Acknowledging);
        waits.map(|(incident, _)| incident.clone()).collect()
    }

    /// The daemon is told of so many at most; what the person has dealt with goes first.
    fn make_room(&mut self, incident: &str) {
        if self.cards.len() < MAX_LAST || self.cards.contains_key(incident) {
            return;
        }
        let done =
            self.cards.iter().find(|(_, card)| card.phase == Phase::Dismissed).map(|(incident, _)| incident.clone());
        match done {
            Some(done) => drop(self.cards.remove(&done)),
            None => drop(self.cards.pop_first()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::Urgency;
    use super::*;

    const TEN: Duration = Duration::from_mins(10);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn show(revision: u32, state: State) -> Show {
        let (incident, title) = ("a".to_owned(), format!("title {revision}"));
        Show { incident, revision, state, urgency: Urgency::Critical, title, body: "body".to_owned() }
    }

    fn open(revision: u32) -> Show {
        show(revision, State::Open)
    }

    /// Shown once, as popup 7.
    fn board() -> Board {
        let mut board = Board::default();
        board.found_service(Some("bus :1.7".to_owned()));
        assert_eq!(board.heard(open(1), at(0)), Next::Pop);
        assert_eq!(board.to_pop(), [(open(1), None)]);
        board.popped("a", 1, 7);
        assert!(board.to_pop().is_empty());
        board
    }

    /// As a new process finds it.
    fn restarted(board: &Board) -> Board {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("desk.json");
        board.write(&path).unwrap();
        assert!(!fs::read_to_string(&path).unwrap().contains("body"), "words on disk");
        Board::read(&path).unwrap()
    }

    #[test]
    fn news_replaces_the_popup_and_repetitions_do_not() {
        let mut board = board();
        assert_eq!(board.heard(open(1), at(1)), Next::WasShown);
        assert_eq!(board.heard(open(2), at(2)), Next::Pop);
        assert_eq!(board.to_pop(), [(open(2), Some(7))]);
        board.popped("a", 2, 7);
        assert_eq!(board.heard(open(1), at(3)), Next::Nothing, "an old state came late");
    }

    #[test]
    fn what_a_person_closed_returns_only_with_news() {
        let mut board = board();
        assert_eq!(board.closed(7, Closed::Dismissed), Some(("a".to_owned(), "dismissed")));
        assert_eq!(board.heard(open(1), at(1)), Next::WasShown);
        let mut after = restarted(&board);
        assert_eq!(after.last(), (BTreeMap::from([("a".to_owned(), 1)]), BTreeSet::new()));
        assert_eq!(after.heard(open(1), at(1)), Next::WasShown);
        assert_eq!(after.heard(open(2), at(2)), Next::Pop);
        assert_eq!(board.heard(show(2, State::Resolved), at(3)), Next::Nothing);
    }

    #[test]
    fn what_never_reached_the_screen_is_not_called_shown() {
        let mut board = Board::default();
        board.heard(open(1), at(0));
        assert!(board.last().0.is_empty());
        assert_eq!(board.to_pop().len(), 1, "waits for a service");
        assert_eq!(board.heard(show(2, State::Acknowledged), at(1)), Next::Nothing);
    }

    #[test]
    fn a_new_process_asks_for_the_words_and_takes_over_the_popup() {
        let mut after = restarted(&board());
        after.found_service(Some("bus :1.7".to_owned()));
        assert!(after.to_pop().is_empty(), "there are no words yet");
        assert!(after.pressed(7, ACKNOWLEDGE, at(1), TEN).is_none(), "its buttons spoke to another process");
        assert_eq!(after.last().1, BTreeSet::from(["a".to_owned()]));
        assert_eq!(after.heard(open(1), at(1)), Next::Pop);
        assert_eq!(after.to_pop(), [(open(1), Some(7))]);
        after.popped("a", 1, 7);
        assert!(after.last().1.is_empty());
        assert_eq!(restarted(&after).heard(show(2, State::Resolved), at(2)), Next::Farewell(Some(7)));
        assert_eq!(restarted(&after).gone("a"), Some(7));
        let mut in_another_session = restarted(&after);
        in_another_session.found_service(Some("bus2 :1.7".to_owned()));
        in_another_session.heard(open(1), at(1));
        assert_eq!(in_another_session.to_pop(), [(open(1), None)], "7 is somebody else's popup there");
    }

    #[test]
    fn a_snoozed_one_returns_after_its_time_also_in_a_new_process() {
        let mut board = board();
        assert_eq!(board.pressed(7, SNOOZE, at(0), TEN), Some(Wish::Snooze("a".to_owned())));
        assert_eq!((board.closed(7, Closed::Dismissed), board.next_wake()), (None, Some(at(600))));
        let mut after = restarted(&board);
        assert_eq!(after.heard(open(1), at(5)), Next::WasShown);
        after.wake(at(599), TEN);
        assert!(after.to_pop().is_empty());
        after.wake(at(600), TEN);
        assert_eq!(after.to_pop(), [(open(1), None)]);
        assert_eq!(board.heard(open(2), at(5)), Next::Pop, "news does not wait");
        assert_eq!(board.next_wake(), None);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_hide_a_crisis_for_hours() {
        let mut board = board();
        board.pressed(7, SNOOZE, at(36_000), TEN).unwrap();
        board.wake(at(36_000), TEN);
        assert!(board.to_pop().is_empty());
        board.wake(at(0), TEN);
        assert_eq!(board.to_pop().len(), 1);
    }

    #[test]
    fn an_acknowledgement_waits_for_the_daemon() {
        let mut board = board();
        assert_eq!(board.pressed(7, ACKNOWLEDGE, at(0), TEN), Some(Wish::Acknowledge("a".to_owned())));
        assert_eq!((board.heard(open(1), at(1)), board.shown("a")), (Next::WasShown, 1));
        let mut after = restarted(&board);
        assert_eq!(after.acknowledging(), ["a"]);
        assert_eq!(after.heard(open(1), at(1)), Next::WasShown);
        after.refused("a", "the disk is full");
        assert!(after.acknowledging().is_empty());
        assert_eq!(after.to_pop()[0].0.body, "Not acknowledged: the disk is full\nbody");
        assert_eq!(board.heard(show(3, State::Acknowledged), at(2)), Next::Farewell(None));
        assert!(board.acknowledging().is_empty());
    }

    #[test]
    fn news_of_what_somebody_has_in_hand_is_shown_and_not_taken_for_them() {
        let mut board = board();
        board.pressed(7, ACKNOWLEDGE, at(0), TEN).unwrap();
        assert_eq!(board.heard(open(2), at(1)), Next::Pop);
        assert!(board.acknowledging().is_empty(), "nothing is sent for what was not seen");
        assert_eq!(board.to_pop().len(), 1);
    }

    #[test]
    fn a_new_service_is_given_everything_that_stood() {
        let mut board = board();
        board.found_service(Some("bus :1.7".to_owned()));
        assert!(board.to_pop().is_empty());
        board.found_service(Some("bus :1.9".to_owned()));
        assert_eq!(board.to_pop(), [(open(1), None)]);
        assert!(board.last().1.is_empty(), "the words are still here");
    }

    #[test]
    fn memory_is_bounded() {
        let mut board = Board::default();
        for n in 0..2 * MAX_LAST {
            let incident = format!("inc-{n:04}");
            board.heard(Show { incident: incident.clone(), ..open(1) }, at(0));
            board.popped(&incident, 1, u32::try_from(n).unwrap());
        }
        assert_eq!(board.last().0.len(), MAX_LAST);
    }
}
