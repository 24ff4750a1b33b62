//! Who is on call, as JSON: what the API answers and `stormbell oncall --json` prints.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::id::{PersonName, ScheduleName};
use crate::domain::oncall::{People, Schedule, Shift};
use crate::domain::time::Timestamp;

/// How far ahead the next one is looked for.
const AHEAD: Duration = Duration::from_hours(400 * 24);
/// Days that can be asked for.
pub const MOST_DAYS: u16 = 400;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Of this schedule, person or team; none means of all schedules.
    pub name: Option<&'a str>,
    /// At this instant.
    pub at: Timestamp,
    /// And all shifts of so many days from then on.
    pub days: Option<u16>,
}

/// One schedule.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Schedule)]
pub struct ScheduleJson<'a> {
    /// Its name.
    pub schedule: &'a str,
    /// Whose clocks hand over.
    pub timezone: &'a str,
    /// The instant asked for, RFC 3339.
    pub at: String,
    /// Who has it then; null for nobody, or for somebody else than was asked for.
    pub now: Option<ShiftJson<'a>>,
    /// Who has it next, or when whoever was asked for has it next; null when that never changes.
    pub next: Option<ShiftJson<'a>>,
    /// All shifts, when days were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shifts: Option<Vec<ShiftJson<'a>>>,
    /// The same in the words of the domain, for whoever prints it.
    #[serde(skip)]
    pub of: &'a Schedule,
}

/// A time in which one person has it.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Shift)]
pub struct ShiftJson<'a> {
    /// Who; null for nobody.
    pub person: Option<&'a str>,
    /// Since when, RFC 3339; not before the instant asked for.
    pub from: String,
    /// Until when, RFC 3339; null when no end is in sight.
    pub until: Option<String>,
    /// Until when only what is critical reaches them, if that is so when it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_until: Option<String>,
    /// The same in the words of the domain.
    #[serde(skip)]
    pub shift: Shift<'a>,
}

/// Answers; none when there is neither schedule, person nor team of that name.
pub fn answer<'a>(people: &'a People, question: &Question<'_>) -> Option<Vec<ScheduleJson<'a>>> {
    let Some(name) = question.name else {
        return Some(people.schedules.iter().map(|one| schedule(people, one, None, question)).collect());
    };
    if let Some(one) = people.schedules.get_key_value(name) {
        return Some(vec![schedule(people, one, None, question)]);
    }
    let only: BTreeSet<&PersonName> = match (people.persons.get_key_value(name), people.teams.get(name)) {
        (Some((person, _)), _) => [person].into(),
        (None, Some(team)) => team.iter().collect(),
        (None, None) => return None,
    };
    let theirs = people.schedules.iter().filter(|(_, one)| one.persons().any(|person| only.contains(person)));
    Some(theirs.map(|one| schedule(people, one, Some(&only), question)).collect())
}

fn schedule<'a>(
    people: &'a People,
    (name, of): (&'a ScheduleName, &'a Schedule),
    only: Option<&BTreeSet<&PersonName>>,
    question: &Question<'_>,
) -> ScheduleJson<'a> {
    let Question { at, days, .. } = *question;
    let wanted = |shift: &Shift<'_>| only.is_none_or(|only| shift.person.is_some_and(|person| only.contains(person)));
    let shown = |shift| shown(people, shift, at + AHEAD);
    let mut ahead = of.shifts(at, at + AHEAD).filter(wanted).peekable();
    let now = ahead.next_if(|shift| shift.from == at).filter(|shift| shift.person.is_some());
    let next = ahead.next();
    let end = days.map(|days| at + Duration::from_hours(24 * u64::from(days)));
    ScheduleJson {
        schedule: name.as_str(),
        timezone: of.zone.name(),
        at: at.to_string(),
        now: now.map(shown),
        next: next.map(shown),
        shifts: end.map(|end| of.shifts(at, end).filter(wanted).map(shown).collect()),
        of,
    }
}

fn shown<'a>(people: &People, shift: Shift<'a>, horizon: Timestamp) -> ShiftJson<'a> {
    let person = shift.person.and_then(|person| people.persons.get(person));
    ShiftJson {
        person: shift.person.map(PersonName::as_str),
        from: shift.from.to_string(),
        until: Some(shift.to).filter(|to| *to < horizon).map(|to| to.to_string()),
        quiet_until: person.and_then(|person| person.quiet_until(shift.from)).map(|until| until.to_string()),
        shift,
    }
}
