//! `[[route]]`: names in it are checked against the receivers there are.

use std::collections::BTreeSet;
use std::ops::Range;

use super::naming::{Letters, is_name};
use super::quantity::duration;
use super::table::{Checked, Table, Value, all, nearest, quoted, suggestion};
use crate::domain::id::ReceiverName;
use crate::domain::incident::Severity;
use crate::domain::route::{Glob, Route, Routes, Step};

/// A receiver as far as routes are concerned.
pub(super) struct Known<'d> {
    pub(super) name: &'d str,
    pub(super) span: Range<usize>,
}

/// Reads all of them. Without any, every receiver is told of every incident at once.
pub(super) fn routes(root: &Table<'_>, receivers: &[Known<'_>]) -> Checked<Routes> {
    let tables = root.tables("route", "[[route]]");
    if tables.is_empty() {
        let notify: Vec<_> = receivers.iter().map(|known| ReceiverName::from(known.name)).collect();
        let all = Route { steps: vec![Step { notify, ack_within: None }], ..Route::default() };
        return Ok(Routes(if receivers.is_empty() { Vec::new() } else { vec![all] }));
    }
    let mut reader = Reader { receivers, used: BTreeSet::new() };
    let routes: Vec<_> = tables.iter().map(|table| (table, reader.route(table))).collect();
    warn_of_unreachable(&routes);
    if root.is_whole() {
        for known in receivers.iter().filter(|known| !reader.used.contains(known.name)) {
            let message = format!("no route uses the receiver {}", quoted(known.name));
            let help = "name it in the `notify` of a route, or remove it";
            root.warning("SB0403", message, known.span.clone(), "is never told", help);
        }
    }
    all(routes.into_iter().map(|(_, route)| route)).map(Routes)
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
    receivers: &'d [Known<'d>],
    used: BTreeSet<&'d str>,
}

impl Reader<'_> {
    fn route(&mut self, table: &Table<'_>) -> Checked<Route> {
        table.allow_only(&["severity", "topics", "steps", "repeat_every", "continue"]);
        let severity = table.get("severity").map_or(Ok(Vec::new()), |value| severities(&value));
        let topics = table.get("topics").map_or(Ok(Vec::new()), |value| globs(&value));
        let steps = self.steps(table);
        let repeat_every = table.get("repeat_every").map(|value| value.parsed(duration)).transpose();
        let go_on = table.get("continue").map_or(Ok(false), |value| value.boolean());
        Ok(Route { severity: severity?, topics: topics?, steps: steps?, repeat_every: repeat_every?, go_on: go_on? })
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

    fn notify(&mut self, value: &Value<'_>) -> Checked<Vec<ReceiverName>> {
        let names = value.strings()?;
        if names.is_empty() {
            return value.error("SB0414", "the step tells nobody", "name at least one receiver");
        }
        all(names.iter().map(|(item, name)| self.receiver(item, name)))
    }

    fn receiver(&mut self, value: &Value<'_>, name: &str) -> Checked<ReceiverName> {
        let known: Vec<_> = self.receivers.iter().map(|known| known.name).collect();
        self.used.extend(nearest(name, known.iter().copied())); // a slip of the pen is one mistake, not two
        if known.contains(&name) {
            return Ok(ReceiverName::from(name));
        }
        let help = suggestion(name, &known, "receivers here");
        value.absent("SB0402", format!("there is no receiver {}", quoted(name)), &help)
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

fn glob(value: &Value<'_>, text: &str) -> Checked<Glob> {
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
