//! `[[route]]`: names in it are checked against the receivers there are.

use std::collections::BTreeSet;
use std::ops::Range;

use super::naming::{Letters, is_name};
use super::quantity::duration;
use super::table::{Table, Value, nearest, quoted, suggestion};
use crate::domain::id::ReceiverName;
use crate::domain::incident::Severity;
use crate::domain::route::{Glob, Route, Routes, Step};

/// A receiver as far as routes are concerned.
pub(super) struct Known<'d> {
    pub(super) name: &'d str,
    pub(super) span: Range<usize>,
}

/// Reads all of them. Without any, every receiver is told of every incident at once.
pub(super) fn routes(root: &Table<'_>, receivers: &[Known<'_>]) -> Option<Routes> {
    let tables = root.tables("route");
    if tables.is_empty() {
        let notify: Vec<_> = receivers.iter().map(|known| ReceiverName::from(known.name)).collect();
        let all = Route { steps: vec![Step { notify, ack_within: None }], ..Route::default() };
        return Some(Routes(if receivers.is_empty() { Vec::new() } else { vec![all] }));
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
    routes.into_iter().map(|(_, route)| route).collect::<Option<Vec<_>>>().map(Routes)
}

fn warn_of_unreachable(routes: &[(&Table<'_>, Option<Route>)]) {
    let takes_all = |route: &Route| route.severity.is_empty() && route.topics.is_empty() && !route.go_on;
    let last = routes.iter().position(|(_, route)| route.as_ref().is_some_and(takes_all));
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
    fn route(&mut self, table: &Table<'_>) -> Option<Route> {
        table.allow_only(&["severity", "topics", "steps", "repeat_every", "continue"]);
        let severity = table.get("severity").map_or(Some(Vec::new()), |value| severities(&value));
        let topics = table.get("topics").map_or(Some(Vec::new()), |value| globs(&value));
        let steps = self.steps(table);
        let repeat_every = table.get("repeat_every").map(|value| value.parsed(duration));
        let go_on = table.get("continue").map_or(Some(false), |value| value.boolean());
        Some(Route {
            severity: severity?,
            topics: topics?,
            steps: steps?,
            repeat_every: repeat_every.map_or(Some(None), |every| every.map(Some))?,
            go_on: go_on?,
        })
    }

    fn steps(&mut self, table: &Table<'_>) -> Option<Vec<Step>> {
        let value = table.require("steps", "`steps = [{ notify = [\"receiver\"] }]`")?;
        let items = value.list("a list of tables: [{ notify = [\"receiver\"] }]")?;
        let Some(last) = items.len().checked_sub(1) else {
            value.error("SB0414", "the route has no step", "write [{ notify = [\"receiver\"] }]");
            return None;
        };
        let steps: Vec<_> = items.iter().enumerate().map(|(place, item)| self.step(item, place == last)).collect();
        steps.into_iter().collect()
    }

    fn step(&mut self, value: &Value<'_>, is_last: bool) -> Option<Step> {
        let table = value.table("a step")?;
        table.allow_only(&["notify", "ack_within"]);
        let ack_within = table.get("ack_within").map(|value| value.parsed(duration));
        if ack_within.is_none() && !is_last {
            let help = "say how long to wait for an acknowledgement: `ack_within = \"5m\"`";
            value.absent("SB0414", "the next step is never reached", help);
        }
        let notify = table.require("notify", "`notify = [\"receiver\"]`").and_then(|value| self.notify(&value));
        Some(Step { notify: notify?, ack_within: ack_within.map_or(Some(None), |within| within.map(Some))? })
    }

    fn notify(&mut self, value: &Value<'_>) -> Option<Vec<ReceiverName>> {
        let names = value.strings()?;
        if names.is_empty() {
            value.error("SB0414", "the step tells nobody", "name at least one receiver");
            return None;
        }
        let mut all_known = true;
        for (item, name) in &names {
            let known = || self.receivers.iter().map(|known| known.name);
            if let Some(near) = nearest(name, known()) {
                self.used.insert(near); // a slip of the pen is one mistake, not two
            }
            if !known().any(|known| known == *name) {
                all_known = false;
                let help = suggestion(name, &known().collect::<Vec<_>>(), "receivers here");
                item.absent("SB0402", format!("there is no receiver {}", quoted(name)), &help);
            }
        }
        all_known.then(|| names.iter().map(|(_, name)| ReceiverName::from(*name)).collect())
    }
}

fn severities(value: &Value<'_>) -> Option<Vec<Severity>> {
    let words = Severity::ALL.map(|severity| (severity.as_str(), severity));
    let items = value.list("a list such as [\"critical\", \"high\"]")?;
    not_empty(value, &items)?;
    let severities: Vec<_> = items.iter().map(|item| item.word(&words)).collect();
    severities.into_iter().collect()
}

fn globs(value: &Value<'_>) -> Option<Vec<Glob>> {
    let items = value.strings()?;
    not_empty(value, &items)?;
    let globs: Vec<_> = items.iter().map(|(item, text)| glob(item, text)).collect();
    globs.into_iter().collect()
}

fn glob(value: &Value<'_>, text: &str) -> Option<Glob> {
    if is_name(&text.replace('*', "x"), Letters::Lower) {
        return Some(Glob(text.to_owned()));
    }
    let help = "use lower-case letters, digits, `-`, `_` and `.`, and `*` for any of them";
    value.error("SB0005", format!("no topic can be like {}", quoted(text)), help);
    None
}

fn not_empty<T>(value: &Value<'_>, items: &[T]) -> Option<()> {
    if !items.is_empty() {
        return Some(());
    }
    let message = format!("`{}` is empty, so the route takes nothing", value.key());
    value.error("SB0414", message, "remove the key to take every one");
    None
}
