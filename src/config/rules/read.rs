//! One rule file: its text in, raw rules and findings out.

use std::sync::Arc;
use std::time::Duration;

use super::asked::{Asked, at_once, joined, joining, keeping, keyed, lasting, stands_in_a_condition, takes_no_posts};
use super::lists;
use crate::config::naming::{Letters, name};
use crate::config::organization::organization as organization_of;
use crate::config::source::KIND_NAMES;
use crate::config::table::{Checked, Table, TextKind, Value, all, quoted, read, suggestion};
use crate::domain::condition::joined::Order;
use crate::domain::condition::{Condition, Count, Distinct, NewTerm, Part, Quiet, Share, Spike};
use crate::domain::diagnostic::{Diagnostic, SourceText};
use crate::domain::id::Topic;
use crate::domain::incident::Severity;
use crate::domain::post::PostKind;
use crate::domain::quantity::{duration, offset, rate};
use crate::domain::rule::raw::{
    RawExcept, RawFile, RawHistory, RawPack, RawRule, RawTest, RawTestPost, Spanned, Status,
};
use crate::domain::volume::Promise;

/// Reads a file; `None` when it has no usable `[pack]`.
pub(super) fn file(source: &Arc<SourceText>) -> (Option<RawFile>, Vec<Diagnostic>) {
    let (file, findings) = read(source, TextKind::Rules, |root| file_of(root, source));
    (file.ok(), findings)
}

fn file_of(root: &Table<'_>, source: &Arc<SourceText>) -> Checked<RawFile> {
    root.allow_only(&["schema", "pack", "lists", "override", "rule", "organization"]);
    root.require_schema();
    let pack = match root.get("override") {
        // A site's file that only changes lists has no rules to name a pack for.
        Some(_) if ["pack", "rule", "lists"].iter().all(|key| root.get(key).is_none()) => Ok(RawPack::site()),
        _ => {
            let pack = root.require("pack", "`[pack]` with `name = \"…\"`");
            pack.and_then(|value| pack_of(&value.table("[pack]")?))
        }
    };
    let organization =
        root.table("organization").and_then(|table| table.map(|table| organization_of(&table)).transpose());
    let lists = root.table("lists").ok().flatten().map(|table| lists::lists(&table, source)).unwrap_or_default();
    let overrides =
        root.table("override").ok().flatten().map(|table| lists::overrides(&table, source)).unwrap_or_default();
    // Without a pack the rules are still read for their mistakes.
    let topic = pack.as_ref().map_or("", |pack| pack.name.value.as_str());
    let tables = root.tables("rule", "[[rule]]");
    let rules: Vec<RawRule> = tables.iter().filter_map(|table| rule(table, topic).ok()).collect();
    let lacks_rules = rules.len() < tables.len();
    let organization = organization.ok().flatten();
    Ok(RawFile { source: Arc::clone(source), pack: pack?, lists, overrides, rules, lacks_rules, organization })
}

fn spanned(value: &Value<'_>, text: &str) -> Spanned<String> {
    Spanned { value: text.to_owned(), span: value.contents() }
}

fn pack_of(table: &Table<'_>) -> Checked<RawPack> {
    table.allow_only(&["name", "title", "version"]);
    let text = |key, default| table.get(key).map_or(Ok(default), |value| value.filled());
    let value = table.require("name", "`name = \"my-hospital\"`");
    let name = value.clone().and_then(|value| own_name(&value));
    let (title, version) = (text("title", name.unwrap_or_default()), text("version", "0"));
    Ok(RawPack { name: spanned(&value?, name?), title: title?.to_owned(), version: version?.to_owned() })
}

/// A name that is not the daemon's: an incident of its own (blindness, gaps, dead receivers)
/// must not be joined, hidden or ended by one of a rule's.
pub(super) fn own_name<'d>(value: &Value<'d>) -> Checked<&'d str> {
    let name = name(value, Letters::Lower)?;
    if name == "stormbell" || name.starts_with("stormbell.") {
        let message = format!("`{}` cannot begin with `stormbell.`", value.key());
        return value.error("SB0205", message, "such names are the daemon's own; choose another");
    }
    Ok(name)
}

fn rule(table: &Table<'_>, pack: &str) -> Checked<RawRule> {
    table.allow_only(&[
        "id",
        "title",
        "severity",
        "status",
        "topic",
        "query",
        "except",
        "playbook",
        "count",
        "spike",
        "share",
        "new_term",
        "quiet",
        "all_of",
        "in_order",
        "not_on",
        "test",
        "for",
        "keep_firing_for",
    ]);
    let held = stands_in_a_condition(table);
    let id = table.require("id", "`id = \"my-hospital.closed\"`");
    let id = id.and_then(|value| Ok(spanned(&value, own_name(&value)?)));
    let title = table.require("title", "`title = \"What happened, in one line\"`").and_then(|value| value.filled());
    let severity = table.require("severity", "`severity = \"high\"`");
    let severity = severity.and_then(|value| value.word(&Severity::ALL.map(|one| (one.as_str(), one))));
    let status = table
        .get("status")
        .map_or(Ok(Status::default()), |value| value.word(&Status::ALL.map(|status| (status.as_str(), status))));
    let topic = table.get("topic").map_or(Ok(pack), |value| own_name(&value));
    let joining = joining(table);
    let query = joining.as_ref().map_or_else(
        || table.require("query", "`query = '$org (closed OR closing)'`").and_then(|value| query(&value)),
        |joining| takes_no_posts(table, joining),
    );
    let excepts = table.get("except").filter(|_| joining.is_none()).map_or(Ok(Vec::new()), |value| excepts(&value));
    let playbook = table.get("playbook").map(|value| value.filled().map(str::to_owned)).transpose();
    let not_on = table.get("not_on").map_or(Ok(Vec::new()), |value| kinds(&value));
    let asked = asked(table);
    let of = table.get("share").map_or(Ok(None), |value| of(&value));
    let tests = table.tables("test", "[[rule.test]]").iter().filter_map(|table| test(table).ok()).collect();
    let Asked { condition, by, joins, hold } = asked?;
    held?;
    Ok(RawRule {
        id: id?,
        title: title?.to_owned(),
        severity: severity?,
        status: status?,
        topic: Topic::from(topic?),
        query: query?,
        excepts: excepts?,
        playbook: playbook?,
        condition,
        hold,
        by,
        joins,
        of: of?,
        not_on: not_on?,
        tests,
        span: table.span(),
    })
}

/// Kinds of source.
fn kinds(value: &Value<'_>) -> Checked<Vec<String>> {
    let items = value.one_or_more()?;
    all(items.iter().map(|(item, text)| {
        if KIND_NAMES.contains(text) {
            return Ok((*text).to_owned());
        }
        let help = suggestion(text, &KIND_NAMES, "there are");
        item.error("SB0005", format!("{} is no kind of source", quoted(text)), &help)
    }))
}

fn query(value: &Value<'_>) -> Checked<Spanned<String>> {
    Ok(spanned(value, value.filled()?))
}

fn excepts(value: &Value<'_>) -> Checked<Vec<RawExcept>> {
    let items = value.list("a list of tables: [{ reason = \"…\", query = '…' }]")?;
    all(items.iter().map(except))
}

fn except(value: &Value<'_>) -> Checked<RawExcept> {
    let table = value.table("an entry of `except`")?;
    table.allow_only(&["reason", "query"]);
    let reason = table.require("reason", "`reason = \"announced drills\"`").and_then(|value| value.filled());
    let query = table.require("query", "`query = 'drill'`").and_then(|value| query(&value));
    Ok(RawExcept { reason: reason?.to_owned(), query: query? })
}

fn asked(table: &Table<'_>) -> Checked<Asked> {
    let conditions = ["count", "spike", "share", "new_term", "quiet", "all_of", "in_order"];
    let mut given: Vec<_> = conditions.into_iter().filter_map(|key| table.get(key)).collect();
    given.sort_by_key(|value| value.span().start);
    let checked = all(given.iter().enumerate().map(|(place, value)| {
        let asked = match value.key() {
            "spike" => value.table("`spike`").and_then(|table| keyed(&table, spike(&table))),
            "share" => value.table("`share`").and_then(|table| lasting(&table, share(&table).map(Asked::from))),
            "new_term" => value.table("`new_term`").and_then(|table| new_term(&table)).map(Asked::from),
            "quiet" => value.table("`quiet`").and_then(|table| keeping(&table, quiet(&table).map(Asked::from))),
            "all_of" => joined(value, Order::Any),
            "in_order" => joined(value, Order::Given),
            _ => value.table("`count`").and_then(|table| lasting(&table, keyed(&table, count(&table)))),
        };
        if place > 0 {
            return value.error("SB0204", "a rule has at most one condition", "make another rule for the other one");
        }
        asked
    }));
    Ok(checked?.into_iter().next().unwrap_or(Asked::from(Condition::Match)))
}

fn count(table: &Table<'_>) -> Checked<Condition> {
    table.allow_only(&["at_least", "distinct", "within", "by", "for", "keep_firing_for"]);
    let at_least = table.require("at_least", "`at_least = 2`").and_then(|value| at_most(&value, Count::MOST));
    let distinct = table.get("distinct").map_or(Ok(Distinct::default()), |value| distinct(&value));
    let within = table.require("within", "`within = \"10m\"`").and_then(|value| span(&value));
    Ok(Condition::Count(Count { at_least: at_least?, distinct: distinct?, within: within? }))
}

fn spike(table: &Table<'_>) -> Checked<Condition> {
    table.allow_only(&["false_alarms", "at_least", "authors", "by", "for", "keep_firing_for"]);
    let refused = at_once(
        table,
        "has no meaning for a spike",
        "it looks at up to half a day, and after an alert says nothing for as long; a stricter promise in `false_alarms` waits longer",
    );
    let false_alarms = table.get("false_alarms").map_or(Ok(Promise::MONTHLY), |value| value.parsed(rate));
    let at_least = table.get("at_least").map_or(Ok(5), |value| value.count(1));
    let authors = table.get("authors").map_or(Ok(3), |value| at_most(&value, Spike::MOST_AUTHORS));
    refused?;
    Ok(Condition::Spike(Spike { false_alarms: false_alarms?, at_least: at_least?, authors: authors? }))
}

fn share(table: &Table<'_>) -> Checked<Condition> {
    table.allow_only(&["of", "above", "at_least", "within", "for", "keep_firing_for"]);
    let above = table.require("above", "`above = 0.30`").and_then(|value| part(&value));
    let at_least = table.require("at_least", "`at_least = 20`").and_then(|value| share_of(&value));
    let within = table.require("within", "`within = \"1h\"`").and_then(|value| span(&value));
    Ok(Condition::Share(Share { above: above?, at_least: at_least?, within: within? }))
}

/// A time that a condition looks back over.
pub(super) fn span(value: &Value<'_>) -> Checked<Duration> {
    let span = value.parsed(duration)?;
    if span > Condition::LONGEST {
        let message = format!("`{}` is at most 30 days", value.key());
        return value.error("SB0005", message, "what takes longer is no crisis: `backtest` and `tune` look at months");
    }
    Ok(span)
}

/// A number from which on a condition is true.
fn at_most(value: &Value<'_>, most: u64) -> Checked<u64> {
    let number = value.count(1)?;
    if number > most {
        let message = format!("`{}` is at most {most}", value.key());
        return value.error("SB0005", message, "what so many say is noticed long before; write a smaller number");
    }
    Ok(number)
}

fn part(value: &Value<'_>) -> Checked<Part> {
    match Part::new(value.number()?) {
        Some(part) => Ok(part),
        None => value.error(
            "SB0005",
            format!("`{}` is a part of a whole, between 0 and 1", value.key()),
            "write 0.30 for more than 30 in a hundred",
        ),
    }
}

fn share_of(value: &Value<'_>) -> Checked<u64> {
    let at_least = value.count(1)?;
    if at_least > Share::MOST {
        let message = format!("`{}` is at most {}", value.key(), Share::MOST);
        return value.error("SB0005", message, "a share of so many is as sure as one of more");
    }
    Ok(at_least)
}

/// The query of a share's whole; what else is wrong with the table is told elsewhere.
fn of(value: &Value<'_>) -> Checked<Option<Spanned<String>>> {
    if !value.is_table() {
        return Ok(None);
    }
    let of = value.table("`share`")?.require("of", "`of = '$org'`")?;
    query(&of).map(Some)
}

fn new_term(table: &Table<'_>) -> Checked<Condition> {
    table.allow_only(&["within", "at_least", "authors", "for", "keep_firing_for"]);
    let refused =
        at_once(table, "has no meaning for a new term", "a term is new once; `within` says how long people may take");
    let within = table.require("within", "`within = \"1h\"`").and_then(|value| {
        let within = value.parsed(duration)?;
        let help = "what is spoken of for longer is no news; write \"1h\"";
        if within > NewTerm::LONGEST { value.error("SB0005", "`within` is a day at most", help) } else { Ok(within) }
    });
    let at_least = table.get("at_least").map_or(Ok(5), |value| {
        let at_least = value.count(2)?;
        let message = format!("`at_least` is at most {}", NewTerm::MOST);
        let help = "a word is new only once: so many posts with it come later than people want to know";
        if at_least > NewTerm::MOST { value.error("SB0005", message, help) } else { Ok(at_least) }
    });
    let authors = table.get("authors").map_or(Ok(3), |value| match value.count(1)? {
        1 => value.error("SB0005", "`authors` must be at least 2", "what one author writes is no news, however often"),
        authors => Ok(authors),
    });
    refused?;
    Ok(Condition::NewTerm(NewTerm { within: within?, at_least: at_least?, authors: authors? }))
}

fn quiet(table: &Table<'_>) -> Checked<Condition> {
    table.allow_only(&["for", "keep_firing_for"]);
    let lasts = table.require("for", "`for = \"30m\"`").and_then(|value| span(&value));
    Ok(Condition::Quiet(Quiet { lasts: lasts? }))
}

fn distinct(value: &Value<'_>) -> Checked<Distinct> {
    value.word(&[("post", Distinct::Post), ("author", Distinct::Author), ("story", Distinct::Story)])
}

fn test(table: &Table<'_>) -> Checked<RawTest> {
    table.allow_only(&["name", "history", "posts", "alerts"]);
    let name = table.require("name", "`name = \"what it shows\"`").and_then(|value| value.filled());
    let posts = table.require("posts", "`posts = [{ text = \"…\" }]`").and_then(|value| posts(&value));
    let alerts = table.require("alerts", "`alerts = 1`").and_then(|value| value.count(0));
    let history = table.get("history").map(|value| history(&value)).transpose();
    Ok(RawTest { name: name?.to_owned(), span: table.span(), history: history?, posts: posts?, alerts: alerts? })
}

fn history(value: &Value<'_>) -> Checked<RawHistory> {
    let table = value.table("`history`")?;
    table.allow_only(&["posts_per_day", "for"]);
    let per_day = table.require("posts_per_day", "`posts_per_day = 3`").and_then(|value| value.count(0));
    let lasts = table.get("for").map_or(Ok(RawHistory::USUAL), |value| value.parsed(duration));
    let (per_day, lasts) = (per_day?, lasts?);
    if lasts > RawHistory::LONGEST {
        return value.error("SB0303", "a history is at most eight weeks long", "that is as far as rules remember");
    }
    let per_day = u32::try_from(per_day).unwrap_or(u32::MAX);
    Ok(RawHistory { per_day, lasts })
}

fn posts(value: &Value<'_>) -> Checked<Vec<RawTestPost>> {
    let items = value.list("a list of tables: [{ text = \"…\" }]")?;
    if items.is_empty() {
        return value.error("SB0302", "a test without posts shows nothing", "write at least { text = \"…\" }");
    }
    all(items.iter().map(post))
}

fn post(value: &Value<'_>) -> Checked<RawTestPost> {
    let table = value.table("a post")?;
    table.allow_only(&[
        "at",
        "author",
        "text",
        "id",
        "lang",
        "tags",
        "media_text",
        "reply_to",
        "kind",
        "links",
        "source",
        "handle",
        "followers",
        "has_media",
    ]);
    let text = |key| table.get(key).map(|value| value.filled().map(str::to_owned)).transpose();
    let texts = |key| {
        let items = table.get(key).map_or(Ok(Vec::new()), |value| value.one_or_more())?;
        Ok(items.into_iter().map(|(_, text)| text.to_owned()).collect())
    };
    let at = table.get("at").map_or(Ok(Duration::ZERO), |value| value.parsed(offset));
    let (author, id, reply_to) = (text("author"), text("id"), text("reply_to"));
    let (source, handle) = (text("source"), text("handle"));
    let (lang, tags, media_text, links) = (texts("lang"), texts("tags"), texts("media_text"), texts("links"));
    let kinds = PostKind::ALL.map(|kind| (kind.as_str(), kind));
    let kind = table.get("kind").map(|value| value.word(&kinds)).transpose();
    let followers = table.get("followers").map(|value| value.count(0)).transpose();
    let has_media = table.get("has_media").map(|value| value.boolean()).transpose();
    // A post may be only a picture, so its text may be empty.
    let text = table.require("text", "`text = \"…\"`").and_then(|value| value.string());
    Ok(RawTestPost {
        at: at?,
        author: author?,
        text: text?.to_owned(),
        id: id?,
        lang: lang?,
        tags: tags?,
        media_text: media_text?,
        reply_to: reply_to?,
        kind: kind?,
        links: links?,
        source: source?,
        handle: handle?,
        followers: followers?,
        has_media: has_media?,
    })
}
