//! Calendars: which hours of the last days were seen, and who has duty in the weeks to come.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::frame::Frame;
use super::now::percent;
use super::strip::{Day, Seen, cells, days};
use crate::domain::time::{Timestamp, Zone, human};
use crate::web::api::App;
use crate::web::backend::{Backend, BackendError};
use crate::web::workshop::{LastMessage, Missed};
use crate::wire::oncall::{Question, ScheduleJson, answer};

/// Weeks looked at from now on, and rows that need: the first one has begun.
const AHEAD: u16 = 4 * WEEK;
const WEEKS: usize = 5;
const WEEK: u16 = 7;
const DAY: Duration = Duration::from_hours(24);

/// The days of a source.
pub(super) struct Strip {
    pub(super) source: String,
    pub(super) says: String,
    /// In SVG; made of numbers and escaped words.
    pub(super) picture: String,
    /// Days that were not seen whole, for whoever cannot see the picture: newest first.
    pub(super) blind: Vec<String>,
    pub(super) blind_title: String,
}

/// What each source saw, day by day.
///
/// # Errors
/// What the daemon says.
pub(super) async fn strips<B: Backend>(backend: &B, f: &Frame) -> Result<Vec<Strip>, BackendError> {
    let days = days(f);
    let since = days.first().map_or(f.now, |(_, from, _)| *from);
    Ok(backend.missed(since).await?.iter().map(|missed| strip(f, &days, missed)).collect())
}

fn strip(f: &Frame, days: &[Day], missed: &Missed) -> Strip {
    let w = f.w;
    let seen: Vec<(Seen, Duration)> = days.iter().map(|day| seen(day, missed)).collect();
    let title = |((name, ..), (seen, lost)): (&Day, &(Seen, Duration))| match seen {
        Seen::Unknown => w.day_unknown.with([("day", name)]),
        Seen::Part(part) if lost.is_zero() => w.day_seen.with([("day", name), ("coverage", &percent(*part))]),
        Seen::Part(part) => w.day_missed.with([("day", name), ("coverage", &percent(*part)), ("span", &human(*lost))]),
    };
    let titles: Vec<String> = days.iter().zip(&seen).map(title).collect();
    let known = seen.iter().filter(|(seen, _)| *seen != Seen::Unknown).count();
    let blind: Vec<String> =
        titles.iter().zip(&seen).rev().filter(|(_, (_, lost))| !lost.is_zero()).map(|(text, _)| text.clone()).collect();
    let lost: Duration = seen.iter().map(|(_, lost)| *lost).sum();
    let says = w.strip_text.with([
        ("source", &missed.source),
        ("days", &f.number(known as u64)),
        ("blind", &f.number(blind.len() as u64)),
        ("span", &human(lost)),
    ]);
    let cells_of: Vec<Seen> = seen.iter().map(|(seen, _)| *seen).collect();
    Strip {
        source: missed.source.clone(),
        picture: cells(days, &cells_of, &says, &titles),
        says,
        blind_title: w.blind_days.with([("n", &f.number(blind.len() as u64))]),
        blind,
    }
}

/// How much of a day was seen, late or in time, and how long it was not.
fn seen((_, from, to): &Day, missed: &Missed) -> (Seen, Duration) {
    let begins = (*from).max(missed.known_since);
    let whole = to.since(begins);
    if whole.is_zero() {
        return (Seen::Unknown, Duration::ZERO);
    }
    let (mut lost, mut seen_until) = (Duration::ZERO, begins);
    for gap in missed.gaps.iter().filter(|gap| !gap.recovered) {
        let end = gap.to.unwrap_or(*to).min(*to);
        lost += end.since(gap.from.max(seen_until));
        seen_until = seen_until.max(end);
    }
    (Seen::Part(1.0 - lost.as_secs_f64() / whole.as_secs_f64()), lost)
}

/// When a receiver last took a message, a drill's apart.
pub(super) fn last_of(f: &Frame, last: &[LastMessage], receiver: &str, exercise: bool) -> String {
    let found = last.iter().filter(|one| one.receiver == receiver && one.exercise == exercise);
    match found.max_by_key(|one| one.at) {
        None => f.w.never.to_string(),
        Some(one) if one.delivered => f.time(one.at),
        Some(one) => f.w.not_delivered.with([("time", &f.time(one.at))]),
    }
}

#[derive(Template)]
#[template(path = "calendar.html")]
struct Page {
    f: Frame,
    schedules: Vec<Schedule>,
}

struct Schedule {
    name: String,
    says: String,
    gaps: Vec<String>,
    weeks: Vec<Vec<Cell>>,
    /// The days of the week, as the first row has them.
    heads: Vec<String>,
}

struct Cell {
    day: String,
    is_today: bool,
    duties: Vec<Duty>,
}

struct Duty {
    who: String,
    times: String,
    /// Whether nobody has it.
    gap: bool,
}

pub(super) async fn show<B: Backend>(State(shared): App<B>, f: Frame) -> Response {
    let f = f.at("people");
    let people = shared.backend.people();
    // From before the Monday of this week, whichever clocks hand over.
    let at = f.now.whole_second() - DAY * (u32::from(WEEK) + 1);
    let question = Question { name: None, at, days: Some(AHEAD + 3 * WEEK) };
    let schedules = answer(&people, &question).unwrap_or_default();
    let schedules = schedules.iter().map(|one| schedule(&f, one)).collect();
    Frame::show(StatusCode::OK, &Page { f, schedules })
}

fn schedule(f: &Frame, schedule: &ScheduleJson<'_>) -> Schedule {
    let zone = &schedule.of.zone;
    let clock = |at| zone.shows(at, "%H:%M");
    let first = monday(zone, f.now);
    let begins: Vec<Timestamp> =
        std::iter::successors(Some(first), |at| zone.day_after(*at)).take(WEEKS * usize::from(WEEK) + 1).collect();
    let days = begins.iter().zip(begins.iter().skip(1));
    let shifts = schedule.shifts.as_deref().unwrap_or_default();
    let cells: Vec<Cell> = days
        .map(|(from, to)| {
            let here = shifts.iter().filter(|shift| shift.shift.from < *to && shift.shift.to > *from);
            let duty = |shift: &crate::wire::oncall::ShiftJson<'_>| {
                let (begins, ends) = (shift.shift.from.max(*from), shift.shift.to.min(*to));
                let until = if ends == *to { "24:00".to_owned() } else { clock(ends) };
                let whole = begins == *from && ends == *to;
                Duty {
                    who: shift.person.map_or_else(|| f.w.nobody_has_it.to_string(), str::to_owned),
                    times: if whole { String::new() } else { format!("{}–{until}", clock(begins)) },
                    gap: shift.person.is_none(),
                }
            };
            Cell {
                day: zone.shows(*from, "%m-%d"),
                is_today: *from <= f.now && f.now < *to,
                duties: here.map(duty).collect(),
            }
        })
        .collect();
    let gap = |shift: &&crate::wire::oncall::ShiftJson<'_>| shift.person.is_none();
    let end = f.now + DAY * u32::from(AHEAD);
    let long = |at: Timestamp| zone.shows(at, "%Y-%m-%d %H:%M %:z");
    let gaps: Vec<String> = shifts
        .iter()
        .filter(gap)
        .filter(|shift| shift.shift.from < end && shift.shift.to > f.now)
        .map(|shift| {
            f.w.duty_gap.with([("from", &long(shift.shift.from.max(f.now))), ("to", &long(shift.shift.to.min(end)))])
        })
        .collect();
    let heads = begins.iter().take(usize::from(WEEK)).map(|at| weekday(f, &zone.shows(*at, "%u"))).collect();
    let says = if gaps.is_empty() {
        f.w.no_duty_gap.to_string()
    } else {
        f.w.duty_gaps.with([("n", &f.number(gaps.len() as u64))])
    };
    let mut weeks = Vec::new();
    let mut cells = cells.into_iter().peekable();
    while cells.peek().is_some() {
        weeks.push(cells.by_ref().take(usize::from(WEEK)).collect());
    }
    Schedule { name: format!("{} ({})", schedule.schedule, schedule.timezone), says, gaps, weeks, heads }
}

/// When the week of an instant began there.
fn monday(zone: &Zone, at: Timestamp) -> Timestamp {
    let days = zone.shows(at, "%u").parse::<u32>().unwrap_or(1).saturating_sub(1);
    // From noon, so that no clock that is set makes another day of it.
    let day = |at| zone.shows(at, "%Y-%m-%d");
    let noon = zone.day(&day(at)).unwrap_or(at) + DAY / 2;
    zone.day(&day(noon - DAY * days)).unwrap_or(at)
}

/// A day of the week by its number, Monday first.
fn weekday(f: &Frame, number: &str) -> String {
    let names = f.w.weekdays.to_string();
    let place = number.parse::<usize>().unwrap_or(1).saturating_sub(1);
    names.split(' ').nth(place).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::DownReason;
    use crate::domain::incident::Gap;

    #[test]
    fn a_day_knows_what_was_missed_of_it() {
        let at = Timestamp::from_seconds;
        let gap = |from, to: Option<i64>, recovered| Gap {
            source: "s".into(),
            from: at(from),
            to: to.map(at),
            reason: DownReason::Closed,
            recovered,
        };
        let of = |known_since, gaps| {
            let missed = Missed { source: "s".to_owned(), known_since: at(known_since), gaps };
            seen(&("d".to_owned(), at(100), at(200)), &missed)
        };
        let part = |part, lost| (Seen::Part(part), Duration::from_secs(lost));
        assert_eq!(of(0, vec![]), part(1.0, 0));
        assert_eq!(of(0, vec![gap(50, Some(125), false), gap(110, Some(120), false)]), part(0.75, 25));
        assert_eq!(of(0, vec![gap(150, None, false), gap(90, Some(300), true)]), part(0.5, 50));
        assert_eq!(of(150, vec![gap(100, Some(175), false)]), part(0.5, 25), "before it began nothing was missed");
        assert_eq!(of(200, vec![]), (Seen::Unknown, Duration::ZERO));
    }

    #[test]
    fn a_week_begins_on_monday_by_the_clocks_that_hand_over() {
        // 2026-11-29T19:26Z is a Sunday, there and in Auckland already Monday.
        let at = Timestamp::parse("2026-11-29T19:26:00Z").unwrap();
        let begins = |name: &str| {
            let zone = Zone::of(jiff::tz::TimeZone::get(name).unwrap());
            zone.shows(monday(&zone, at), "%Y-%m-%d %H:%M")
        };
        assert_eq!(begins("Europe/Berlin"), "2026-11-23 00:00");
        assert_eq!(begins("Pacific/Auckland"), "2026-11-30 00:00");
    }
}
