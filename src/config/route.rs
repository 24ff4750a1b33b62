//! `[[route]]`: names in it are checked against the receivers, people and schedules there are.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::naming::{Letters, is_name};
use super::table::{Checked, Table, Value, all, nearest, quoted, suggestion};
use super::times::{Times, warn_of_nights_without_anybody};
use crate::domain::id::{PersonName, ReceiverName};
use crate::domain::incident::Severity;
use crate::domain::oncall::People;
use crate::domain::quantity::duration;
use crate::domain::route::{Glob, Route, Routes, Step, Target};
use crate::domain::time::Zone;

/// A receiver, person, team or schedule as far as routes are concerned.
pub(super) struct Known<'d> {
    pub(super) name: &'d str,
    pub(super) span: Range<usize>,
    pub(super) target: Target,
}

impl Known<'_> {
    const fn what(&self) -> &'static str {
        match self.target {
            Target::Receiver(_) => "receiver",
            Target::Person(_) => "person",
            Target::Team(_) => "team",
            Target::Schedule(_) => "schedule",
        }
    }
}

/// Reads all of them. Without any, every receiver is told of every incident at once.
pub(super) fn routes(root: &Table<'_>, known: &[Known<'_>], people: Checked<People>, home: &Zone) -> Checked<Routes> {
    let tables = root.tables("route", "[[route]]");
    let mut reader = Reader { known, used: BTreeSet::new(), times: Times::read(root, home) };
    let list = if tables.is_empty() {
        let receivers = known.iter().filter(|known| matches!(known.target, Target::Receiver(_)));
        reader.used.extend(receivers.clone().map(|known| known.name));
        let notify: Vec<_> = receivers.map(|known| known.target.clone()).collect();
        let all = Route { steps: vec![Step { notify, ack_within: None }], ..Route::default() };
        Ok(vec![all].into_iter().filter(|all| all.steps.iter().any(|step| !step.notify.is_empty())).collect())
    } else {
        let routes: Vec<_> = tables.iter().map(|table| (table, reader.route(table))).collect();
        warn_of_unreachable(&routes);
        warn_of_nights_without_anybody(&routes);
        all(routes.into_iter().map(|(_, route)| route))
    };
    if let Some(people) = people.as_ref().ok().filter(|_| root.is_whole()) {
        reader.warn_of_unused(root, people);
    }
    let times = reader.times.close(root);
    times?;
    Ok(Routes { list: list?, people: Arc::new(people?), ..Routes::default() })
}

fn warn_of_unreachable(routes: &[(&Table<'_>, Checked<Route>)]) {
    let takes_all = |route: &Route| route.severity.is_empty() && route.topics.is_empty() && !route.go_on;
    let last = routes.iter().position(|(_, route)| route.as_ref().is_ok_and(takes_all));
    let Some(last) = last else { return };
    for (table, _) in routes.iter().skip(last + 1) {
        let help = "move the route without `severity` and `topics` to the end, or let it `continue = true`";
        table.warning("SB0418", "this route is never reached", table.span(), "an earlier one takes all", help);
    }
}

struct Reader<'d> {
    known: &'d [Known<'d>],
    used: BTreeSet<&'d str>,
    times: Times<'d>,
}

impl Reader<'_> {
    /// Told are also the people of a team or schedule that is, and the receivers they are reached by.
    fn warn_of_unused(&self, root: &Table<'_>, people: &People) {
        let mut told: BTreeSet<&str> = self.used.iter().copied().collect();
        let teams = people.teams.iter().filter(|(team, _)| self.used.contains(team.as_str()));
        told.extend(teams.flat_map(|(_, members)| members).map(PersonName::as_str));
        let schedules = people.schedules.iter().filter(|(schedule, _)| self.used.contains(schedule.as_str()));
        told.extend(schedules.flat_map(|(_, schedule)| schedule.persons()).map(PersonName::as_str));
        for (name, person) in &people.persons {
            if told.contains(name.as_str()) {
                told.extend(person.contact.keys().map(ReceiverName::as_str));
            }
        }
        for known in self.known.iter().filter(|known| !told.contains(known.name)) {
            let message = format!("no route uses the {} {}", known.what(), quoted(known.name));
            let help = "name it in the `notify` of a route, or remove it";
            root.warning("SB0403", message, known.span.clone(), "is never told", help);
        }
    }

    fn route(&mut self, table: &Table<'_>) -> Checked<Route> {
        table.allow_only(&[
            "severity",
            "topics",
            "steps",
            "last_resort",
            "repeat_every",
            "continue",
            "mute_times",
            "active_times",
        ]);
        let severity = table.get("severity").map_or(Ok(Vec::new()), |value| severities(&value));
        let topics = table.get("topics").map_or(Ok(Vec::new()), |value| globs(&value));
        let last_resort = table.get("last_resort").map(|value| Ok((value.parsed(duration)?, value))).transpose();
        let steps = match &last_resort {
            Ok(last_resort) => self.steps(table).and_then(|steps| self.and_everybody(steps, last_resort.as_ref())),
            Err(_) => self.steps(table),
        };
        let repeat_every = table.get("repeat_every").map(|value| value.parsed(duration)).transpose();
        let go_on = table.get("continue").map_or(Ok(false), |value| value.boolean());
        let off = self.times.off(table);
        Ok(Route {
            off: off?,
            severity: severity?,
            topics: topics?,
            steps: steps?,
            repeat_every: repeat_every?,
            go_on: go_on?,
            last_resort: last_resort?.is_some(),
        })
    }

    /// The last resort is one more step, which names everybody there is.
    fn and_everybody(
        &mut self,
        mut steps: Vec<Step>,
        last_resort: Option<&(Duration, Value<'_>)>,
    ) -> Checked<Vec<Step>> {
        let (Some((after, value)), Some(last)) = (last_resort, steps.last_mut()) else { return Ok(steps) };
        if last.ack_within.is_some() {
            let help = "keep one of them: both say how long to wait after the last step";
            return value.error("SB0414", "`last_resort`, and `ack_within` in the last step", help);
        }
        last.ack_within = Some(*after);
        let everybody =
            self.known.iter().filter(|known| matches!(known.target, Target::Receiver(_) | Target::Person(_)));
        steps.push(Step { notify: everybody.map(|known| known.target.clone()).collect(), ack_within: None });
        self.used.extend(self.known.iter().map(|known| known.name));
        Ok(steps)
    }

    fn steps(&mut self, table: &Table<'_>) -> Checked<Vec<Step>> {
        let value = table.require("steps", "`steps = [{ notify = [\"receiver\"] }]`")?;
        let items = value.list("a list of tables: [{ notify = [\"receiver\"] }]")?;
        let Some(last) = items.len().checked_sub(1) else {
            return value.error("SB0414", "the route has no step", "write [{ notify = [\"receiver\"] }]");
        };
        let steps: Vec<_> = items.iter().map(|item| self.step(item)).collect();
        let waits_forever = |step: &Checked<Step>| step.as_ref().is_ok_and(|step| step.ack_within.is_none());
        if let Some((item, _)) = items.iter().zip(&steps).take(last).find(|(_, step)| waits_forever(step)) {
            let help = "say how long to wait for an acknowledgement: `ack_within = \"5m\"`";
            return item.absent("SB0414", "the steps after this one are never reached", help);
        }
        all(steps.into_iter())
    }

    fn step(&mut self, value: &Value<'_>) -> Checked<Step> {
        let table = value.table("a step")?;
        table.allow_only(&["notify", "ack_within"]);
        let ack_within = table.get("ack_within").map(|value| value.parsed(duration)).transpose();
        let notify = table.require("notify", "`notify = [\"receiver\"]`").and_then(|value| self.notify(&value));
        Ok(Step { notify: notify?, ack_within: ack_within? })
    }

    fn notify(&mut self, value: &Value<'_>) -> Checked<Vec<Target>> {
        let names = value.strings()?;
        if names.is_empty() {
            return value.error("SB0414", "the step tells nobody", "name at least one receiver");
        }
        all(names.iter().map(|(item, name)| self.target(item, name)))
    }

    fn target(&mut self, value: &Value<'_>, name: &str) -> Checked<Target> {
        let names: Vec<_> = self.known.iter().map(|known| known.name).collect();
        self.used.extend(nearest(name, names.iter().copied())); // a slip of the pen is one mistake, not two
        if let Some(known) = self.known.iter().find(|known| known.name == name) {
            return Ok(known.target.clone());
        }
        let help = suggestion(name, &names, "known here");
        value.absent("SB0402", format!("there is no receiver, person, team or schedule {}", quoted(name)), &help)
    }
}

fn severities(value: &Value<'_>) -> Checked<Vec<Severity>> {
    let words = Severity::ALL.map(|severity| (severity.as_str(), severity));
    let items = value.list("a list such as [\"critical\", \"high\"]")?;
    not_empty(value, &items)?;
    all(items.iter().map(|item| item.word(&words)))
}

fn globs(value: &Value<'_>) -> Checked<Vec<Glob>> {
    let items = value.strings()?;
    not_empty(value, &items)?;
    all(items.iter().map(|(item, text)| glob(item, text)))
}

/// A topic, with `*` for any characters.
pub(super) fn glob(value: &Value<'_>, text: &str) -> Checked<Glob> {
    if is_name(&text.replace('*', "x"), Letters::Lower) {
        return Ok(Glob(text.to_owned()));
    }
    let help = "use lower-case letters, digits, `-`, `_` and `.`, and `*` for any of them";
    value.error("SB0005", format!("no topic can be like {}", quoted(text)), help)
}

fn not_empty<T>(value: &Value<'_>, items: &[T]) -> Checked<()> {
    if !items.is_empty() {
        return Ok(());
    }
    let message = format!("`{}` is empty, so the route takes nothing", value.key());
    value.error("SB0414", message, "remove the key to take every one")
}
