//! A service behind a receiver, in virtual time: its moods over the night, and what it makes of messages.

use std::collections::BTreeMap;
use std::time::Duration;

use stormbell::domain::message::{Leased, MessageKind};
use stormbell::notify::SendError;

use super::Dice;

const HOUR: i64 = 3600;

/// How a service treats whoever calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Takes everything at once.
    Well,
    /// Nobody answers.
    Down,
    /// Takes about half.
    Half,
    /// Takes everything after many seconds, often too many.
    Slow,
    /// 429, and when to come again.
    Overrun,
    /// Takes everything, and the answer is lost.
    Mute,
    /// Refuses for good: a wrong key.
    Refuses,
}

/// What became of one call.
pub struct Answer {
    pub sent: Result<(), SendError>,
    /// Seconds until the caller knows.
    pub after: i64,
    /// Whether the service has the message.
    pub taken: bool,
}

/// An alert as `PagerDuty` keeps it, by its dedup key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alarm {
    pub open: bool,
    pub opened: u32,
}

/// One service.
pub struct Service {
    /// Until which second of the night it is in which mood.
    moods: Vec<(i64, Mood)>,
    pub alarms: BTreeMap<String, Alarm>,
}

impl Service {
    /// A night of its own; whatever is wrong is mended when the night ends.
    pub fn of(dice: &mut Dice, night: i64) -> Self {
        let mut moods = Vec::new();
        let mut at = 0;
        while at < night {
            let (mood, lasts) = match dice.below(12) {
                0 => (Mood::Down, 8 * HOUR),
                1 => (Mood::Down, dice.between(30, 2 * HOUR)),
                2 => (Mood::Half, dice.between(600, 3 * HOUR)),
                3 => (Mood::Slow, dice.between(600, 2 * HOUR)),
                4 => (Mood::Overrun, dice.between(60, HOUR)),
                5 => (Mood::Mute, dice.between(60, 2 * HOUR)),
                6 if dice.percent(30) => (Mood::Refuses, dice.between(60, HOUR)),
                _ => (Mood::Well, dice.between(HOUR, 6 * HOUR)),
            };
            at += lasts;
            moods.push((at.min(night), mood));
        }
        Self { moods, alarms: BTreeMap::new() }
    }

    /// One that takes everything all night.
    pub const fn well() -> Self {
        Self { moods: Vec::new(), alarms: BTreeMap::new() }
    }

    /// One that nobody reaches until then.
    pub fn down(until: i64) -> Self {
        Self { moods: vec![(until, Mood::Down)], ..Self::well() }
    }

    pub fn mood(&self, at: i64) -> Mood {
        self.moods.iter().find(|(until, _)| at < *until).map_or(Mood::Well, |(_, mood)| *mood)
    }

    /// One call.
    pub fn call(&mut self, leased: &Leased, at: i64, dice: &mut Dice) -> Answer {
        let retry = |after: Option<u64>, error: &str| {
            Err(SendError::Retry { after: after.map(Duration::from_secs), error: error.to_owned() })
        };
        let (sent, after, taken) = match self.mood(at) {
            Mood::Well => (Ok(()), 0, true),
            Mood::Down => (retry(None, "connection refused"), dice.between(0, 10), false),
            Mood::Half if dice.percent(50) => (Ok(()), dice.between(0, 3), true),
            Mood::Half => (retry(None, "503"), dice.between(0, 3), false),
            Mood::Slow if dice.percent(50) => (Ok(()), dice.between(5, 20), true),
            Mood::Slow => (retry(None, "not sent within 20 s"), 20, dice.percent(50)),
            Mood::Overrun => (retry(Some(dice.below(900)), "429"), 0, false),
            Mood::Mute => (retry(None, "the answer was lost"), dice.between(0, 20), true),
            Mood::Refuses => (Err(SendError::Permanent { error: "401".to_owned() }), 0, false),
        };
        if taken {
            self.take(leased);
        }
        Answer { sent, after, taken }
    }

    fn take(&mut self, leased: &Leased) {
        let message = &leased.delivery.message;
        let alarm = self.alarms.entry(message.incident.id.to_string()).or_default();
        match message.kind {
            MessageKind::Resolved => alarm.open = false,
            MessageKind::Acknowledged => {}
            MessageKind::Opened | MessageKind::Updated | MessageKind::Escalated if alarm.open => {}
            MessageKind::Opened | MessageKind::Updated | MessageKind::Escalated => {
                (alarm.open, alarm.opened) = (true, alarm.opened + 1);
            }
        }
    }
}
