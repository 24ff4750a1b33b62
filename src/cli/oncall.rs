//! `stormbell oncall`: who is on call, from the configuration alone.

use std::io::{BufWriter, Write};

use clap::Args;

use super::replay::line;
use super::{ConfigArgs, Exit, say};
use crate::app::clock::SystemClock;
use crate::config::environment::Environment;
use crate::config::schedule::instant;
use crate::domain::id::{PersonName, ScheduleName, TeamName};
use crate::domain::oncall::{People, WallTime};
use crate::domain::time::{Clock as _, Timestamp, Zone};
use crate::wire::oncall::{MOST_DAYS, Question, ScheduleJson, ShiftJson, answer};

/// Say who is on call now and next, or at another time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell oncall                                 who is on call now, and next, in every schedule
  stormbell oncall press --days 14                 the next two weeks of one schedule
  stormbell oncall ann --at 2026-12-24             whether Ann has it that day, and when next
  stormbell oncall --at \"2026-12-24 22:00\" --json
Reads the configuration; needs no daemon. The running daemon answers the same at /api/v1/oncall.")]
pub(super) struct Oncall {
    /// A schedule, or a person or team whose shifts are wanted
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Date, or date and time by the organization's clocks, or RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// List all shifts of so many days [default: 1 for a date, otherwise none]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_DAYS)))]
    days: Option<u16>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Oncall {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let environment = Environment::of_process();
        let Some(found) = self.config.load(&environment) else {
            say("error: there is no configuration file, so there is no schedule; name one with --config");
            return Ok(Exit::Config);
        };
        let path = found.path.clone();
        let Some(config) = found.config("nobody can be told who is on call") else { return Ok(Exit::Config) };
        let home = jiff::tz::TimeZone::get(&config.organization.timezone).map_or_else(|_| Zone::default(), Zone::of);
        let (at, days) = match self.at.as_deref().map(|text| moment(text, &home)).transpose() {
            Ok(Some((at, days))) => (at, self.days.or(days)),
            Ok(None) => (SystemClock.now().whole_second(), self.days),
            Err(why) => {
                say(&format!("error: --at: {why}"));
                return Ok(Exit::Usage);
            }
        };
        let people = &config.routes.people;
        let question = Question { name: self.name.as_deref(), at, days };
        let Some(schedules) = answer(people, &question) else {
            say(&format!("error: {}", unknown(people, self.name.as_deref().unwrap_or_default())));
            return Ok(Exit::Failed);
        };
        if schedules.is_empty() {
            let whose = self.name.as_ref().map_or_else(String::new, |name| format!(" of {name}"));
            say(&format!("{} has no [[schedule]]{whose}", path.display()));
            return Ok(Exit::Failed);
        }
        let mut out = BufWriter::new(std::io::stdout());
        for (place, schedule) in schedules.iter().enumerate() {
            if self.json {
                line(&mut out, schedule)?;
                continue;
            }
            if place > 0 {
                writeln!(out)?;
            }
            page(&mut out, schedule, at, self.at.is_some())?;
        }
        out.flush()?;
        Ok(Exit::Fine)
    }
}

/// A day as a whole, or a moment.
fn moment(text: &str, home: &Zone) -> Result<(Timestamp, Option<u16>), &'static str> {
    if let Ok(date) = text.parse::<jiff::civil::Date>()
        && text.len() == "2026-12-24".len()
    {
        return Ok((home.first(WallTime::from(date.at(0, 0, 0, 0))), Some(1)));
    }
    let how = "write a date and perhaps a time of day, such as 2026-12-24 or \"2026-12-24 22:00\"";
    instant(text, home).map(|at| (at, None)).or(Err(how))
}

fn unknown(people: &People, name: &str) -> String {
    let schedules = people.schedules.keys().map(ScheduleName::as_str);
    let persons = people.persons.keys().map(PersonName::as_str);
    let known: Vec<&str> = schedules.chain(persons).chain(people.teams.keys().map(TeamName::as_str)).collect();
    let help = crate::config::table::suggestion(name, &known, "known are");
    format!("there is no schedule, person or team `{name}`; {help}")
}

/// One schedule, its times as its own clocks show them.
fn page(out: &mut impl Write, schedule: &ScheduleJson<'_>, at: Timestamp, then: bool) -> std::io::Result<()> {
    let clock = |at: Timestamp| schedule.of.zone.reads(at);
    writeln!(out, "{} ({}), {}", schedule.schedule, schedule.timezone, clock(at))?;
    let who = |shift: &ShiftJson<'_>| shift.person.unwrap_or("NOBODY").to_owned();
    let until = |shift: &ShiftJson<'_>| shift.until.as_ref().map(|_| clock(shift.shift.to));
    let now = if then { "then" } else { "now" };
    match &schedule.now {
        Some(shift) => {
            let end = until(shift).map_or_else(|| "with no end in sight".to_owned(), |end| format!("until {end}"));
            let quiet = shift.quiet_until.as_ref().map_or("", |_| "; quiet hours: only what is critical reaches them");
            writeln!(out, "  {now:<4}  {}, {end}{quiet}", who(shift))?;
        }
        None => match schedule.of.at(at) {
            Some(other) => writeln!(out, "  {now:<4}  not on call; {other} is")?,
            None => writeln!(out, "  {now:<4}  NOBODY")?,
        },
    }
    if let Some(shift) = &schedule.next {
        let end = until(shift).map_or_else(String::new, |end| format!(" until {end}"));
        writeln!(out, "  next  {}, from {}{end}", who(shift), clock(shift.shift.from))?;
    }
    for shift in schedule.shifts.iter().flatten() {
        writeln!(out, "        {}  {}", clock(shift.shift.from), who(shift))?;
    }
    Ok(())
}
