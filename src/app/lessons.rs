//! What new rules learn from the archive before they are in force.
//!
//! A rule that asks what is usual knows nothing in its first days. The archive may have all that it
//! would have taken ([`crate::domain::engine::archived`] says when); then it hears that, alerts
//! nobody, and begins as if it had been in force. A reload does this before the rules are swapped,
//! while the old ones go on; a start does it before anything is read, which waits for it at the
//! sources. So what is learnt needs no merging with what is heard meanwhile, and goes to disk with
//! the first commit that the rule is part of; should the daemon die before, the next start learns again.
//!
//! At most 200,000 posts are heard, the newest: some seconds. What is not heard is not counted as
//! silence either; a rule that learns from fewer days says so in the log.
//!
//! Rejected: to learn beside the running engine (two pasts of one rule would have to become one, to
//! save a start seconds that cost no post).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::config::model::StoreConfig;
use crate::domain::commit::{Restored, VolumeState};
use crate::domain::engine::archived::Archived;
use crate::domain::engine::learning::{Pupils, known, learns};
use crate::domain::id::{PostId, RuleId};
use crate::domain::rule::{Rule, RuleSet};
use crate::domain::time::Timestamp;
use crate::store::{Kept, Reader, StoreError};
use crate::telemetry::events;

/// Posts that are heard at most.
const MOST: usize = 200_000;
/// Posts read at once.
const PAGE: usize = 500;
/// Less than this is no lesson.
const LEAST: Duration = Duration::from_hours(1);
/// Old posts are forgotten while others are read: what is nearly too old is not begun with.
const NEARLY_FORGOTTEN: Duration = Duration::from_hours(2);

/// For a start: rules that learn and left nothing in the last run, or something else, hear the archive.
pub fn at_start(store: &StoreConfig, rules: &RuleSet, restored: &mut Restored, now: Timestamp) {
    let states: HashMap<&RuleId, &VolumeState> = restored.volumes.iter().map(|state| (&state.rule, state)).collect();
    let is_new = |rule: &&Rule| states.get(&rule.id).is_none_or(|state| known(rule, state).is_none());
    let new: Vec<&Rule> = rules.rules().iter().filter(|rule| learns(rule)).filter(is_new).collect();
    let lessons = of(store, &new, &RuleSet::default(), rules, now);
    restored.volumes.extend(lessons);
}

/// For a reload: rules that learn and were not in force, or as something else, hear the archive.
pub fn at_reload(store: &StoreConfig, before: &RuleSet, rules: &RuleSet, now: Timestamp) -> Vec<VolumeState> {
    let is_new = |rule: &&Rule| {
        let was = before.find(rule.id.as_str()).map(|(_, was)| was);
        was.is_none_or(|was| was.condition.kind() != rule.condition.kind() || was.meaning() != rule.meaning())
    };
    let new: Vec<&Rule> = rules.rules().iter().filter(|rule| learns(rule)).filter(is_new).collect();
    of(store, &new, before, rules, now)
}

/// An archive that cannot be read is no reason to go on with old rules, or not to begin.
fn of(store: &StoreConfig, new: &[&Rule], before: &RuleSet, after: &RuleSet, now: Timestamp) -> Vec<VolumeState> {
    if new.is_empty() {
        return Vec::new();
    }
    let heard = Reader::open(&store.path)
        .and_then(|reader| hear(&reader, new, before, after, now - store.shortest_retention()));
    heard.unwrap_or_else(|error| {
        events::archive_unread(&store.path, &error);
        Vec::new()
    })
}

fn hear(
    reader: &Reader,
    new: &[&Rule],
    before: &RuleSet,
    after: &RuleSet,
    kept_since: Timestamp,
) -> Result<Vec<VolumeState>, StoreError> {
    let Some(row) = reader.volume(Archived::ROW)? else { return Ok(Vec::new()) };
    let whole = Archived::read(&[row]).of(new, before, after);
    let earliest = reader.newest_from(MOST)?.unwrap_or_default().max(kept_since + NEARLY_FORGOTTEN);
    let heard = reader.heard(earliest)?;
    let begins = |rule: &&Rule| Some((rule.id.clone(), whole.get(&rule.taking())?.max(&earliest).to_owned()));
    let mut from: BTreeMap<RuleId, Timestamp> = new.iter().filter_map(begins).collect();
    from.retain(|_, from| heard.until.since(*from) >= LEAST);
    let untaught = new.len() - from.len();
    if untaught > 0 {
        let example = new.iter().find(|rule| !from.contains_key(&rule.id));
        events::rules_begin_anew(untaught, example.map_or("", |rule| rule.id.as_str()));
    }
    let Some(first) = from.values().min() else { return Ok(Vec::new()) };
    let mut pupils = Pupils::new(after, &from, &heard.lost, heard.sources);
    let mut last = Kept { at: *first, id: PostId::from(""), json: String::new() };
    loop {
        let page = reader.kept_posts(Some(&last), PAGE)?;
        let posts =
            page.iter().take_while(|kept| kept.at <= heard.until).map(Kept::post).collect::<Result<Vec<_>, _>>()?;
        let is_last = posts.len() < PAGE;
        pupils.hear(posts);
        match page.into_iter().next_back() {
            Some(newest) if !is_last => last = newest,
            _ => break,
        }
    }
    let learnt = pupils.learnt(heard.until);
    for learnt in &learnt {
        events::rule_learnt(&learnt.rule, learnt.seen);
    }
    let since = whole.into_iter().collect();
    Ok(learnt.into_iter().flat_map(|learnt| learnt.states).chain([Archived::row(&since)]).collect())
}
