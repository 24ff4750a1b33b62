//! `[[person]]`, `[[team]]` and `[[schedule]]`: who can be told besides receivers.
//!
//! Findings reach the journal, which many read. So where people are reached is hidden in all of them, also where it
//! stands under a wrong key, and no message quotes it.

use std::collections::{BTreeMap, HashSet};

use super::contact::{Addressing, addressing};
use super::naming::names_beside;
use super::organization::zone;
use super::route::Known;
use super::schedule::{hours_of, schedule};
use super::table::{Checked, Table, Value, all, quoted, suggestion};
use super::template::language;
use crate::domain::diagnostic::Place;
use crate::domain::id::{PersonName, ReceiverName, ScheduleName};
use crate::domain::oncall::{People, Person, cover_the_week};
use crate::domain::route::Target;
use crate::domain::time::Zone;

/// A receiver as far as contacts are concerned: its name and its kind.
pub(super) type Way<'d> = (&'d str, &'d str);

/// What was read.
pub(super) struct Found<'d> {
    pub(super) people: Checked<People>,
    /// Where each schedule is written.
    pub(super) places: BTreeMap<ScheduleName, Place>,
    /// The names routes may use: those of broken tables, too.
    pub(super) known: Vec<Known<'d>>,
}

/// Reads all of them. `taken` are the names that receivers have; `home` is the organisation's zone.
pub(super) fn people<'d>(root: &Table<'d>, ways: &[Way<'_>], home: &Zone, taken: &mut HashSet<&'d str>) -> Found<'d> {
    let persons = root.tables("person", "[[person]]");
    let teams = root.tables("team", "[[team]]");
    let schedules = root.tables("schedule", "[[schedule]]");
    let mut known = Vec::new();
    know(&persons, &mut known, |name| Target::Person(name.into()));
    let names: Vec<&str> = known.iter().map(|person| person.name).collect();
    know(&teams, &mut known, |name| Target::Team(name.into()));
    know(&schedules, &mut known, |name| Target::Schedule(name.into()));
    let persons = {
        let titles = names_beside(&persons, "`name = \"ann\"`", taken);
        let read = |(table, name): (_, Checked<&str>)| {
            let person = person(table, ways, home);
            Ok((PersonName::from(name?), person?))
        };
        all(persons.iter().zip(titles).map(read))
    };
    let teams = {
        let titles = names_beside(&teams, "`name = \"press-office\"`", taken);
        let read = |(table, name): (&Table<'_>, Checked<&str>)| {
            table.allow_only(&["name", "members"]);
            let members = table.require("members", "`members = [\"ann\", \"bob\"]`");
            let members = members.and_then(|value| members_of(&value, &names));
            Ok((name?.into(), members?))
        };
        all(teams.iter().zip(titles).map(read))
    };
    let mut places = BTreeMap::new();
    let schedules = {
        let titles = names_beside(&schedules, "`name = \"press-on-call\"`", taken);
        let read = |(table, name): (&Table<'_>, Checked<&str>)| {
            let schedule = schedule(table, &names, home);
            let name = ScheduleName::from(name?);
            if let Some(value) = table.get("name") {
                places.insert(name.clone(), value.place());
            }
            Ok((name, schedule?))
        };
        all(schedules.iter().zip(titles).map(read))
    };
    let people = persons.and_then(|persons| {
        let (persons, teams, schedules) = (persons.into_iter(), teams?.into_iter(), schedules?.into_iter());
        Ok(People { persons: persons.collect(), teams: teams.collect(), schedules: schedules.collect() })
    });
    Found { people, places, known }
}

fn know<'d>(tables: &[Table<'d>], known: &mut Vec<Known<'d>>, target: impl Fn(&str) -> Target) {
    let given = tables.iter().filter_map(|table| table.get("name"));
    let known_by =
        |value: Value<'d>| value.as_str().map(|name| Known { name, span: value.span(), target: target(name) });
    known.extend(given.filter_map(known_by));
}

fn person(table: &Table<'_>, ways: &[Way<'_>], home: &Zone) -> Checked<Person> {
    const KEYS: [&str; 5] = ["name", "contact", "quiet", "timezone", "language"];
    table.allow_only(&KEYS);
    table.in_order().iter().filter(|(key, _, _)| !KEYS.contains(key)).for_each(|(_, _, value)| value.hide());
    let who = table.get("name").and_then(|name| name.as_str()).map_or_else(|| "this person".to_owned(), quoted);
    let contact = table.require("contact", "`contact = { receiver = \"address\" }`");
    let contact = contact.and_then(|value| contacts(&value, &who, ways));
    let zone = table.get("timezone").map_or_else(|| Ok(home.clone()), |value| zone(&value));
    let quiet = table.get("quiet").map_or(Ok(Vec::new()), |value| {
        let hours = hours_of(&value)?;
        if cover_the_week(&hours) {
            let help = "leave some hours; or name the person only in routes with `severity = [\"critical\"]`";
            return value.error("SB0005", "quiet hours that never end", help);
        }
        Ok(hours)
    });
    let language = table.get("language").map(|value| language(&value)).transpose();
    Ok(Person { contact: contact?, zone: zone?, quiet: quiet?, language: language? })
}

fn contacts(value: &Value<'_>, who: &str, ways: &[Way<'_>]) -> Checked<BTreeMap<ReceiverName, String>> {
    if !value.is_table() {
        value.hide();
    }
    let table = value.table("`contact`")?;
    let entries = table.in_order();
    for (_, _, address) in &entries {
        address.hide();
    }
    if entries.is_empty() {
        let help = "write where to reach them: contact = { receiver = \"address\" }";
        return value.error("SB0430", "this person cannot be reached", help);
    }
    let contact = |(receiver, span, address): &(&str, std::ops::Range<usize>, Value<'_>)| {
        let Some((_, kind)) = ways.iter().find(|(name, _)| name == receiver) else {
            let known: Vec<&str> = ways.iter().map(|(name, _)| *name).collect();
            let message = format!("there is no receiver {}", quoted(receiver));
            let help = suggestion(receiver, &known, "receivers here");
            return table.absent("SB0402", message, span.clone(), &help);
        };
        let check = match addressing(kind) {
            Addressing::ByPerson(check) => check,
            Addressing::None(instead) => {
                let message = format!("the receiver `{receiver}` ({kind}) cannot be told whom to reach");
                return table.refuse("SB0431", message, span.clone(), instead);
            }
        };
        let text = address.filled()?;
        if let Err(help) = check(text) {
            let message = format!("the contact of {who} is no address for `{receiver}` ({kind})");
            return address.error("SB0431", message, help);
        }
        Ok((ReceiverName::from(*receiver), text.to_owned()))
    };
    Ok(all(entries.iter().map(contact))?.into_iter().collect())
}

/// Persons by their names, at least one.
pub(super) fn members_of(value: &Value<'_>, persons: &[&str]) -> Checked<Vec<PersonName>> {
    let names = value.strings()?;
    if names.is_empty() {
        return value.error("SB0430", format!("`{}` names nobody", value.key()), "name at least one person");
    }
    all(names.iter().map(|(item, name)| one_of(item, name, persons)))
}

/// A person by their name.
pub(super) fn one_of(value: &Value<'_>, name: &str, persons: &[&str]) -> Checked<PersonName> {
    if persons.contains(&name) {
        return Ok(name.into());
    }
    let help = suggestion(name, persons, "persons here");
    value.absent("SB0402", format!("there is no person {}", quoted(name)), &help)
}
