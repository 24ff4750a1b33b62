//! `stormbell.toml`: from a path to a [`Config`], or to everything that is wrong with it.
//!
//! One broken source does not hide the mistakes of the next: each part is read on
//! its own, and only at the end does any error withhold the configuration.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::drill;
use super::environment::Environment;
use super::file::{TEXT_LIMIT, read_text};
use super::incidents::terms;
use super::inhibit::inhibitions;
use super::model::{
    CommentsConfig, Config, DeskConfig, ReceiverConfig, ReceiverKind, RuleEntry, RuleOrigin, SourceConfig, SourceKind,
    StoreConfig,
};
use super::naming::{names, names_beside};
use super::organization::organization as organization_of;
use super::people::{Way, people};
use super::reference::Surroundings;
pub use super::reference::{ABSENT, OPEN_TO_ALL, SecretPolicy};
use super::route::{Known, routes};
use super::table::{Checked, Noted, Table, TextKind, Value, all, read};
use super::web::web;
use super::{heartbeat, receiver, source};
use crate::domain::cap::Cap;
use crate::domain::diagnostic::{Diagnostic, Level, SourceText, has_errors};
use crate::domain::id::ReceiverName;
use crate::domain::quantity::{duration, rate};
use crate::domain::route::{Glob, Routes, Target};
use crate::domain::time::Zone;
use crate::domain::volume::Promise;

const KEYS: [&str; 18] = [
    "schema",
    "rules",
    "organization",
    "volume",
    "store",
    "source",
    "receiver",
    "person",
    "team",
    "schedule",
    "time",
    "route",
    "inhibit",
    "incidents",
    "web",
    "heartbeat",
    "desk",
    "drill",
];

/// What became of a configuration.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, unless there are errors.
    pub config: Option<Config>,
    /// Everything found, in the order of the file.
    pub findings: Vec<Diagnostic>,
}

/// The file to load: the one given, `$STORMBELL_CONFIG`, `./stormbell.toml`,
/// `/etc/stormbell/stormbell.toml`. The first two need not exist: whoever names a
/// file wants to hear that it is not there. `None` when nothing is named or found.
pub fn find(given: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
    let named = given.map(Path::to_owned).or_else(|| environment.path("STORMBELL_CONFIG"));
    named.or_else(|| first_there(&["stormbell.toml".as_ref(), "/etc/stormbell/stormbell.toml".as_ref()]))
}

/// A file that cannot be looked at counts as there: loading it will say why.
fn first_there(candidates: &[&Path]) -> Option<PathBuf> {
    candidates.iter().find(|path| path.try_exists().unwrap_or(true)).map(|&path| path.to_owned())
}

/// Loads a configuration file. Relative paths in it begin at its folder.
pub fn load(path: &Path, environment: &Environment, secrets: SecretPolicy) -> Loaded {
    let name = path.display().to_string();
    match read_text(path, TEXT_LIMIT) {
        Ok(text) => {
            let folder = path.parent().unwrap_or(Path::new(""));
            parse(&Arc::new(SourceText { name, text }), folder, environment, secrets)
        }
        Err(error) => {
            let finding = Diagnostic::error("SB0008", format!("{name} {error}"));
            let help = "name the configuration with --config or $STORMBELL_CONFIG; `stormbell demo` needs none";
            Loaded { config: None, findings: vec![finding.help(help)] }
        }
    }
}

/// Reads a configuration from its text. Relative paths in it begin at `folder`.
pub fn parse(source: &Arc<SourceText>, folder: &Path, environment: &Environment, secrets: SecretPolicy) -> Loaded {
    let around = Surroundings { environment, folder, secrets };
    let (config, findings) = read(source, TextKind::Settings, |root| config(root, &around));
    Loaded { config: config.ok().filter(|_| !has_errors(&findings)), findings }
}

fn config(root: &Table<'_>, around: &Surroundings<'_>) -> Checked<Config> {
    root.allow_only(&KEYS);
    root.require_schema();
    let rules = root.get("rules").map_or(Ok(Vec::new()), |value| rules(&value, around));
    let organization = root.require("organization", "`[organization]` with `name = \"…\"`");
    let organization = organization.and_then(|value| organization_of(&value.table("[organization]")?));
    let false_alarms = false_alarms(root);
    let store = store(root, around);
    let sources = sources(root, around);
    if let (Ok(store), Ok(sources)) = (&store, &sources) {
        kept_within_terms(root, store, sources);
    }
    let mut taken = HashSet::new();
    let Receivers { checked: receivers, caps, mut known, ways } = receivers(root, around, &mut taken);
    let home = organization.as_ref().ok().and_then(|organization| TimeZone::get(&organization.timezone).ok());
    let home = home.map_or_else(Zone::default, Zone::of);
    let found = people(root, &ways, &home, &mut taken);
    known.extend(found.known);
    let (terms, inhibitions) = (terms(root), inhibitions(root));
    let routes = routes(root, &known, found.people, &home)
        .and_then(|routes| Ok(Routes { terms: terms?, inhibitions: inhibitions?, caps: caps?, ..routes }));
    let web = root.get("web").map(|value| web(&value.table("[web]")?, around)).transpose();
    let beat =
        root.table("heartbeat").and_then(|table| table.map(|table| heartbeat::heartbeat(&table, around)).transpose());
    let receivers = receivers.and_then(|receivers| Ok(speaking(receivers, routes.as_ref().or(Err(Noted))?, &home)));
    let desk = desk(root, around, receivers.as_deref().ok());
    let drills = drill::drills(root, &home);
    warn_of_absences(root);
    Ok(Config {
        organization: organization?,
        rules: rules?,
        false_alarms: false_alarms?,
        store: store?,
        sources: sources?,
        receivers: receivers?,
        routes: routes?,
        schedules: found.places,
        web: web?,
        heartbeat: beat?,
        desk: desk?,
        drills: drills?,
    })
}

/// Who speaks to whom in which language, and of which clocks.
fn speaking(mut receivers: Vec<ReceiverConfig>, routes: &Routes, home: &Zone) -> Vec<ReceiverConfig> {
    let persons = routes.people.persons.iter();
    let languages = persons.filter_map(|(name, person)| Some((name.clone(), person.language.clone()?))).collect();
    let languages = Arc::new(languages);
    for receiver in &mut receivers {
        receiver.voice.languages = Arc::clone(&languages);
        home.name().clone_into(&mut receiver.voice.timezone);
    }
    receivers
}

fn sources(root: &Table<'_>, around: &Surroundings<'_>) -> Checked<Vec<SourceConfig>> {
    let tables = root.tables("source", "[[source]]");
    let names = names(&tables, "`name = \"bluesky\"`");
    let checked = all(tables.iter().zip(names).map(|(table, name)| source::source(table, name, around)));
    let heard = pushes_lead_somewhere(root, &tables, checked.as_deref().unwrap_or_default());
    heard.and(checked)
}

/// Of what some sources say their terms let nobody keep more than so long.
fn kept_within_terms(root: &Table<'_>, store: &StoreConfig, sources: &[SourceConfig]) {
    let has_term =
        |source: &&SourceConfig| matches!(&source.kind, SourceKind::Youtube(youtube) if youtube.comments.is_some());
    let Some(source) =
        sources.iter().find(has_term).filter(|_| store.longest_retention() > CommentsConfig::KEPT_AT_MOST)
    else {
        return;
    };
    let Some(value) = root.table("store").ok().flatten().and_then(|table| table.get("retention")) else { return };
    let message = format!("`retention` keeps what {} reads for longer than YouTube's terms allow", source.name);
    let help = "write \"30d\" or less, or ask your counsel; the clause is III.E.4.d of YouTube's Developer Policies \
                (developers.google.com/youtube/terms/developer-policies, read in November 2026)";
    value.note(Level::Warning, "SB0419", message, help);
}

/// What others are to send to a source must find somebody who listens.
fn pushes_lead_somewhere(root: &Table<'_>, tables: &[Table<'_>], read: &[SourceConfig]) -> Checked<()> {
    let web = root.get("web");
    let key = |key: &'static str, is_pushed: fn(&SourceKind) -> bool| {
        let mut pushed = tables.iter().zip(read).filter(move |(_, read)| is_pushed(&read.kind));
        pushed.find_map(|(table, _)| table.get(key))
    };
    if let Some(kind) = key("kind", |kind| matches!(kind, SourceKind::Webhook(_))).filter(|_| web.is_none()) {
        let message = "a webhook, but nothing listens for what is sent to it";
        let help = "add [web] with `listen = \"127.0.0.1:8787\"`, and a proxy with a certificate that passes on /in/";
        return kind.absent("SB0415", message, help);
    }
    let is_public = web.and_then(|web| web.table("[web]").ok()).is_some_and(|web| web.get("public_url").is_some());
    let pushes = |kind: &SourceKind| match kind {
        SourceKind::Feed(feed) => feed.push,
        SourceKind::Youtube(youtube) => youtube.videos.as_ref().is_some_and(|feed| feed.push),
        _ => false,
    };
    if let Some(push) = key("push", pushes).filter(|_| !is_public) {
        let message = "`push`, but no hub can reach this daemon";
        let help = "add `public_url = \"https://…\"` to [web]: hubs send to /in/ below that address";
        return push.absent("SB0415", message, help);
    }
    Ok(())
}

/// The receivers, and the names that routes and contacts may use: those of broken receivers too.
struct Receivers<'d> {
    checked: Checked<Vec<ReceiverConfig>>,
    caps: Checked<BTreeMap<ReceiverName, Cap>>,
    known: Vec<Known<'d>>,
    ways: Vec<Way<'d>>,
}

fn receivers<'d>(root: &Table<'d>, around: &Surroundings<'_>, taken: &mut HashSet<&'d str>) -> Receivers<'d> {
    let tables = root.tables("receiver", "[[receiver]]");
    let names = names_beside(&tables, "`name = \"on-call\"`", taken);
    let receivers = tables.iter().zip(names).map(|(table, name)| receiver::receiver(table, name, around));
    let checked = all(receivers);
    let heard = hooks_lead_somewhere(root, &tables, checked.as_deref().unwrap_or_default());
    let checked = heard.and(checked);
    let caps = all(tables.iter().map(receiver::cap)).map(|caps| caps.into_iter().flatten().collect());
    let (mut known, mut ways) = (Vec::new(), Vec::new());
    for table in &tables {
        let Some((value, name)) = table.get("name").and_then(|value| Some((value.clone(), value.as_str()?))) else {
            continue;
        };
        known.push(Known { name, span: value.span(), target: Target::Receiver(name.into()) });
        ways.push((name, table.get("kind").and_then(|kind| kind.as_str()).unwrap_or_default()));
    }
    Receivers { checked, caps, known, ways }
}

/// What a receiver is to send back must find somebody who listens.
fn hooks_lead_somewhere(root: &Table<'_>, receivers: &[Table<'_>], read: &[ReceiverConfig]) -> Checked<()> {
    let web = root.get("web");
    if let Some(secret) = receivers.iter().find_map(|table| table.get("webhook_secret")).filter(|_| web.is_none()) {
        let message = "`webhook_secret`, but nothing listens for what PagerDuty sends back";
        let help = "add [web] with `listen = \"127.0.0.1:8787\"`, and a proxy that PagerDuty can reach";
        return secret.absent("SB0415", message, help);
    }
    // What Twilio signs begins with the address that it was given.
    let is_public = web.and_then(|web| web.table("[web]").ok()).is_some_and(|web| web.get("public_url").is_some());
    let answers = |read: &ReceiverConfig| matches!(&read.kind, ReceiverKind::Twilio(twilio) if twilio.answers());
    let mut asking = receivers.iter().zip(read).filter(|(_, read)| answers(read));
    let key = asking.find_map(|(table, _)| table.get("voice").or_else(|| table.get("replies")));
    if let Some(key) = key.filter(|_| !is_public) {
        let message = format!("`{}`, but Twilio cannot hand on what people answer", key.key());
        let help = "add `public_url = \"https://…\"` to [web]: the address by which Twilio reaches this daemon";
        return key.absent("SB0415", message, help);
    }
    Ok(())
}

/// A configuration without these is whole, and of little use.
fn warn_of_absences(root: &Table<'_>) {
    for (key, message, help) in [
        ("rules", "no rules: nothing can raise an alert", "add `rules = [\"builtin:hospital\"]`"),
        ("source", "no [[source]]: nothing is listened to", "add a [[source]] with `kind = \"jetstream\"`"),
        ("receiver", "no [[receiver]]: nobody is told", "add a [[receiver]] such as `kind = \"desktop\"`"),
    ] {
        if root.get(key).is_none() {
            root.missing(key, root.at_top(Diagnostic::warning("SB0415", message)).help(help));
        }
    }
}

fn rules(value: &Value<'_>, around: &Surroundings<'_>) -> Checked<Vec<RuleEntry>> {
    let origin = |text: &str| match text.strip_prefix("builtin:") {
        Some(name) => RuleOrigin::Builtin(name.to_owned()),
        None => RuleOrigin::Path(around.folder.join(text)),
    };
    let entry = |(item, text): &(Value<'_>, &str)| RuleEntry { origin: origin(text), place: Some(item.place()) };
    Ok(value.strings()?.iter().map(entry).collect())
}

/// `[volume]`: what all rules that ask for the unusual have in common.
fn false_alarms(root: &Table<'_>) -> Checked<Option<Promise>> {
    let Some(table) = root.table("volume")? else { return Ok(None) };
    table.allow_only(&["false_alarms"]);
    table.get("false_alarms").map(|value| value.parsed(rate)).transpose()
}

fn store(root: &Table<'_>, around: &Surroundings<'_>) -> Checked<StoreConfig> {
    let table = root.table("store")?;
    if let Some(table) = &table {
        table.allow_only(&["path", "retention", "retention_by_topic", "sample_one_in"]);
    }
    let get = |key| table.as_ref().and_then(|table| table.get(key));
    let retention = get("retention").map_or(Ok(StoreConfig::DEFAULT_RETENTION), |value| value.parsed(duration));
    let by_topic = get("retention_by_topic").map_or(Ok(Vec::new()), |value| retention_by_topic(&value));
    let path = match get("path") {
        Some(value) => value.filled().map(|path| around.folder.join(path)),
        None => default_store_path(root, around),
    };
    let sample_one_in = get("sample_one_in").map(|value| value.count(1)).transpose();
    let sample_one_in = sample_one_in.map(|sample| sample.and_then(NonZeroU64::new));
    let (path, retention, retention_by_topic, sample_one_in) = (path?, retention?, by_topic?, sample_one_in?);
    Ok(StoreConfig { path, retention, retention_by_topic, sample_one_in })
}

/// `{ "duty-of-care*" = "7d" }`: globs of topics, and how long what is theirs is kept.
fn retention_by_topic(value: &Value<'_>) -> Checked<Vec<(Glob, Duration)>> {
    let table = value.table("[store.retention_by_topic]")?;
    all(table.in_order().into_iter().map(|(topic, span, value)| {
        if topic.trim().is_empty() {
            let help = "write a topic of your rules, or several by a glob such as \"duty-of-care*\"";
            return table.refuse("SB0005", "a topic has a name".to_owned(), span, help);
        }
        Ok((Glob(topic.to_owned()), value.parsed(duration)?))
    }))
}

fn default_store_path(root: &Table<'_>, around: &Surroundings<'_>) -> Checked<PathBuf> {
    around.environment.store_path().ok_or_else(|| {
        let message = "nowhere to keep the database: $STATE_DIRECTORY, $XDG_STATE_HOME and $HOME are not set";
        let help = "add [store] with `path = \"/var/lib/stormbell/stormbell.db\"`";
        root.missing("store", root.at_top(Diagnostic::error("SB0413", message)).help(help));
        Noted
    })
}

/// A place for desks: where the table says so, or where a service manager gives one and somebody is told there.
fn desk(
    root: &Table<'_>,
    around: &Surroundings<'_>,
    receivers: Option<&[ReceiverConfig]>,
) -> Checked<Option<DeskConfig>> {
    let usual = around.environment.desk_socket();
    let is_desktop = |receiver: &ReceiverConfig| matches!(receiver.kind, ReceiverKind::Desktop);
    // Where a receiver is wrong, nobody knows.
    let is_told = receivers.is_none_or(|receivers| receivers.iter().any(is_desktop));
    let Some(value) = root.get("desk") else {
        return Ok(usual.filter(|_| is_told).map(|socket| DeskConfig { socket: Some(socket) }));
    };
    let table = value.table("[desk]")?;
    table.allow_only(&["socket"]);
    let socket = table.get("socket").map(|value| value.filled().map(|path| around.folder.join(path))).transpose()?;
    let socket = socket.or(usual);
    if !is_told {
        let message = "desks are told nothing: there is no [[receiver]] with `kind = \"desktop\"`";
        table.warning("SB0415", message, table.span(), "has nothing to show", "add one, and name it in a route");
    }
    if socket.is_none() && root.get("web").is_none() {
        let message = "no desk can connect: there is neither a socket nor [web]".to_owned();
        let help = "add `socket = \"/run/stormbell/desk.sock\"` for this machine, or [web] for others";
        return table.absent("SB0415", message, table.span(), help);
    }
    Ok(Some(DeskConfig { socket }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_that_is_there_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let [absent, near, far] = ["absent", "near", "far"].map(|name| folder.path().join(name));
        std::fs::write(&near, "").unwrap();
        std::fs::write(&far, "").unwrap();
        assert_eq!(first_there(&[&absent, &near, &far]), Some(near));
        assert_eq!(first_there(&[&absent]), None);
    }
}
