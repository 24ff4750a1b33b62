//! What a rule's condition asks for beside its numbers: keys to count by, rules to join.

use std::time::Duration;

use super::read::{own_name, span};
use crate::config::table::{Checked, Table, Value, all, quoted, suggestion};
use crate::domain::condition::joined::{Joined, Order};
use crate::domain::condition::{Condition, Hold};
use crate::domain::rule::raw::{RawBy, Spanned};

/// How long a condition must be true, and counts as firing.
pub(super) const HOLD: [&str; 2] = ["for", "keep_firing_for"];
/// The words for `by`; `place` stands for the list `$places`.
const KEYS: [&str; 5] = ["place", "author", "link", "tag", "source"];

/// A condition, and by what it counts or which rules it joins.
pub(super) struct Asked {
    pub(super) condition: Condition,
    pub(super) by: Option<Spanned<RawBy>>,
    pub(super) joins: Vec<Spanned<String>>,
    pub(super) hold: Hold,
}

impl From<Condition> for Asked {
    fn from(condition: Condition) -> Self {
        Self { condition, by: None, joins: Vec::new(), hold: Hold::default() }
    }
}

/// A condition that may count by key.
pub(super) fn keyed(table: &Table<'_>, condition: Checked<Condition>) -> Checked<Asked> {
    let by = table.get("by").map(|value| by(&value)).transpose();
    Ok(Asked { by: by?, ..condition?.into() })
}

/// A condition that may have to hold, or count as firing, for a while.
pub(super) fn lasting(table: &Table<'_>, asked: Checked<Asked>) -> Checked<Asked> {
    let lasts = time(table, "for");
    let by_key = HOLD.into_iter().filter_map(|key| table.get(key)).filter(|_| table.get("by").is_some());
    let by_key = all(by_key.map(|value| {
        no_while::<()>(&value, "is not asked of each key", "take out `by`, or make another rule for the whole of it")
    }));
    let asked = keeping(table, asked)?;
    by_key?;
    Ok(Asked { hold: Hold { lasts: lasts?, ..asked.hold }, ..asked })
}

/// A condition that may count as firing for a while after it ceased.
pub(super) fn keeping(table: &Table<'_>, asked: Checked<Asked>) -> Checked<Asked> {
    let keep = time(table, "keep_firing_for")?;
    Ok(Asked { hold: Hold { keep, ..Hold::default() }, ..asked? })
}

fn time(table: &Table<'_>, key: &'static str) -> Checked<Duration> {
    table.get(key).map_or(Ok(Duration::ZERO), |value| span(&value))
}

/// Of a condition that nothing can hold for: says why.
pub(super) fn at_once(table: &Table<'_>, why: &str, help: &str) -> Checked<()> {
    all(HOLD.into_iter().filter_map(|key| table.get(key)).map(|value| no_while::<()>(&value, why, help))).map(|_| ())
}

/// Both stand in a condition, not beside it.
pub(super) fn stands_in_a_condition(rule: &Table<'_>) -> Checked<()> {
    let conditions = ["count", "share", "quiet"];
    let own = conditions.into_iter().find(|key| rule.get(key).is_some());
    all(HOLD.into_iter().filter_map(|key| rule.get(key)).map(|value| match own {
        Some("quiet") if value.key() == "for" => {
            no_while::<()>(&value, "stands in `quiet`", "write quiet = { for = \"30m\" }")
        }
        Some(own) => {
            let help = format!("write {own} = {{ …, {} = \"10m\" }}", value.key());
            no_while(&value, &format!("stands in `{own}`, not beside it"), &help)
        }
        None => no_while(
            &value,
            "has nothing to hold here",
            "such a rule alerts the moment it fires; `count`, `share` and `quiet` are true for a while",
        ),
    }))
    .map(|_| ())
}

fn no_while<T>(value: &Value<'_>, why: &str, help: &str) -> Checked<T> {
    value.error("SB0219", format!("`{}` {why}", value.key()), help)
}

fn by(value: &Value<'_>) -> Checked<Spanned<RawBy>> {
    let text = value.filled()?;
    let by = match (text, text.strip_prefix('$')) {
        (_, Some(list)) => RawBy::List(list.to_owned()),
        ("place", _) => RawBy::List("places".to_owned()),
        ("author", _) => RawBy::Author,
        ("link", _) => RawBy::Link,
        ("tag", _) => RawBy::Tag,
        ("source", _) => RawBy::Source,
        _ => {
            let help = suggestion(text, &KEYS, "write a list, as in by = \"$wards\", or one of");
            return value.error("SB0005", format!("`by` cannot be {}", quoted(text)), &help);
        }
    };
    Ok(Spanned { value: by, span: value.contents() })
}

/// The condition that makes a rule join others, when it has one.
pub(super) fn joining<'d>(table: &Table<'d>) -> Option<Value<'d>> {
    table.get("all_of").or_else(|| table.get("in_order"))
}

/// Such a rule takes no posts itself: it is told of alerts.
pub(super) fn takes_no_posts(table: &Table<'_>, joining: &Value<'_>) -> Checked<Spanned<String>> {
    let own = ["query", "except"].into_iter().filter_map(|key| table.get(key));
    all(own.map(|value| {
        let message = format!("a rule with `{}` has no `{}` of its own", joining.key(), value.key());
        let help = "it fires when the rules it names have fired: put this into a rule of its own and name that one";
        value.error::<()>("SB0215", message, help)
    }))?;
    Ok(Spanned { value: String::new(), span: joining.span() })
}

/// `all_of` and `in_order`. Whether the rules exist, all files together decide.
pub(super) fn joined(value: &Value<'_>, order: Order) -> Checked<Asked> {
    let table = value.table(format!("`{}`", value.key()))?;
    table.allow_only(&["rules", "within"]);
    let rules = table.require("rules", "`rules = [\"my-hospital.outage\", \"my-hospital.ransom-note\"]`");
    let rules = rules.and_then(|rules| names(&rules));
    let within = table.require("within", "`within = \"30m\"`").and_then(|value| span(&value));
    let condition = Condition::Joined(Joined { order, within: within? });
    Ok(Asked { joins: rules?, ..Asked::from(condition) })
}

fn names(value: &Value<'_>) -> Checked<Vec<Spanned<String>>> {
    let items = value.strings()?;
    let mut names: Vec<Spanned<String>> = Vec::new();
    let read = all(items.iter().map(|(item, _)| {
        let name = own_name(item)?;
        if names.iter().any(|known| known.value == name) {
            let help = "name it once; that a rule fires twice, `count` can ask";
            return item.error("SB0218", format!("{} is joined twice", quoted(name)), help);
        }
        names.push(Spanned { value: name.to_owned(), span: item.contents() });
        Ok(())
    }));
    read?;
    if names.len() < 2 {
        let help = "name two rules or more; one rule alone needs no other to repeat it";
        return value.error("SB0218", "fewer than two rules are joined", help);
    }
    Ok(names)
}
