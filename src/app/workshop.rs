//! Work on rules for the console: tried on what was kept, judged, explained; and what was, sought and counted.
//!
//! All of it reads. It runs on threads that may block, two at a time, for some seconds at most, and beside the reads that
//! a night needs: somebody who tries queries must not keep others from an incident.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::backend::{Daemon, stopping};
use crate::config::rules::{Edit, edited, parse_rules};
use crate::domain::diagnostic::{Diagnostic, Level, SourceText};
use crate::domain::engine::learning::{known, learns};
use crate::domain::engine::{Batch, Engine, Input, Item};
use crate::domain::event::{Decoded, SourceEvent};
use crate::domain::id::{IncidentId, PostId, RuleId};
use crate::domain::incident::Incident;
use crate::domain::lane::Sight;
use crate::domain::matcher::Scratch;
use crate::domain::post::Post;
use crate::domain::query::explain::{Clause, Form};
use crate::domain::query::missing::missing;
use crate::domain::route::Routes;
use crate::domain::rule::exclusion::cheapest;
use crate::domain::rule::model::Verdict;
use crate::domain::rule::raw::{RawExcept, RawFile, Spanned};
use crate::domain::rule::{Rule, RuleSet, compile, trial};
use crate::domain::seek::{FoundPost, Seek};
use crate::domain::time::Timestamp;
use crate::report;
use crate::store::{Judged, Kept, Reader, StoreError};
use crate::web::{
    BackendError, Draft, Judgement, LastMessage, Missed, Past, Preview, Proposal, RuleDetail, RuleState, Tried,
    TriedPost, Workshop,
};

/// It waits so long for others …
const TURN: Duration = Duration::from_secs(2);
/// … and takes so long at most: a request has 10 s.
const MOST: Duration = Duration::from_secs(6);
/// Newest posts a query is tried on: all, and those its rule took.
const TRIED: usize = 500;
const TRIED_OWN: usize = 60;
/// Posts shown of each kind.
const SHOWN: usize = 20;
/// Newest posts a preview plays.
const PLAYED: usize = 50_000;
/// Posts read at once.
const PAGE: usize = 500;
/// Alerts and judgements of a rule's history.
const HISTORY: usize = 100;
/// Judged posts, and others, that a proposal looks at.
const JUDGED: usize = 500;
/// A rule that asks what is usual knows little before.
const LEARNT: Duration = Duration::from_hours(7 * 24);
/// Searches that somebody may save.
const SAVED: u32 = 50;

/// The rule files in force, and what was wrong with those that a reload refused.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// As they were read.
    pub(super) files: Vec<RawFile>,
    /// Mistakes of the last reload, if it was refused.
    pub(super) refused: Vec<Diagnostic>,
}

impl Shelf {
    fn of(&self, rule: &RuleId) -> Option<&RawFile> {
        self.files.iter().find(|file| file.rules.iter().any(|raw| raw.id.value == rule.as_str()))
    }
}

/// A rule as it would be.
struct Drafted {
    rules: Arc<RuleSet>,
    diff: String,
}

impl Daemon {
    /// Does what takes longer than a read: in turns, and ended when it takes too long.
    async fn at_length<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader, Timestamp) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let busy = || {
            let text = "others try rules or search just now; try again in a few seconds";
            BackendError::Unavailable(text.to_owned())
        };
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.turns.at_length).acquire_owned()).await;
        let Ok(turn) = turn else { return Err(busy()) };
        let turn = turn.or(Err(stopping()))?;
        let (database, until) = (self.known.database.clone(), self.clock.now() + MOST);
        let (tell, interrupter) = oneshot::channel();
        let mut done = tokio::task::spawn_blocking(move || {
            let result = Reader::open(&database).and_then(|reader| {
                drop(tell.send(reader.interrupter()));
                work(&reader, until)
            });
            drop(turn);
            result
        });
        let Ok(result) = tokio::time::timeout(MOST, &mut done).await else {
            if let Ok(interrupter) = interrupter.await {
                interrupter.interrupt();
            }
            let text = "it took too long; ask for less, or for a shorter time";
            return Err(BackendError::Unavailable(text.to_owned()));
        };
        let unavailable = |error: &dyn std::error::Error| BackendError::Unavailable(error.to_string());
        result.map_err(|error| unavailable(&error))?.map_err(|error| unavailable(&error))
    }

    /// Rules in force whose topic, or id, is of the lane.
    fn restricted_rules(&self) -> Vec<String> {
        let rules = Arc::clone(&self.rules.borrow());
        let restricted = rules.rules().iter().filter(|rule| rule.is_restricted());
        restricted.map(|rule| rule.id.to_string()).collect()
    }

    /// A rule with what is asked to be different.
    fn drafted(&self, rule: &Rule, draft: &Draft) -> Result<Drafted, BackendError> {
        let in_force = Arc::clone(&self.rules.borrow());
        let joined = in_force.with_joined(rule.id.as_str()).into_iter().skip(1).cloned();
        let of = |changed: Rule, diff| {
            let set = RuleSet::new(std::iter::once(changed).chain(joined).collect()).in_zone(in_force.zone().clone());
            Drafted { rules: Arc::new(set.reading(&self.known.sources)), diff }
        };
        if draft == &Draft::default() {
            return Ok(of(rule.clone(), String::new()));
        }
        let files = Arc::clone(&self.files.borrow());
        let id = rule.id.as_str();
        let file =
            files.of(&rule.id).ok_or_else(|| invalid("the file of this rule was read anew; load the page again"))?;
        let mut changed = file.clone();
        changed.rules.retain(|raw| raw.id.value == id);
        let edit = edit(rule, draft);
        for raw in &mut changed.rules {
            let placed = |value: &str| Spanned { value: value.to_owned(), span: raw.query.span.clone() };
            if let Some((reason, query)) = &edit.except {
                raw.excepts.push(RawExcept { reason: reason.clone(), query: placed(query) });
            }
            if let Some(query) = &edit.query {
                raw.query = placed(query);
            }
        }
        let (rules, findings) = compile(&changed, &self.known.organization);
        let mistakes: Vec<String> =
            findings.iter().filter(|finding| finding.level == Level::Error).map(mistake).collect();
        match rules.into_iter().next() {
            Some(rule) if mistakes.is_empty() => Ok(of(rule, difference(file, id, &edit))),
            _ => Err(invalid(&mistakes.join("\n"))),
        }
    }

    fn found(&self, id: &RuleId) -> Option<Rule> {
        let rules = Arc::clone(&self.rules.borrow());
        rules.find(id.as_str()).map(|(_, rule)| rule.clone())
    }

    fn state(&self, rule: &Rule, file: &RawFile, refused: &[Diagnostic], seen: Option<Duration>) -> RuleState {
        let of_it = |finding: &&Diagnostic| {
            let place = finding.place.as_ref();
            place.is_some_and(|place| place.source.name == file.source.name)
        };
        if let Some(finding) = refused.iter().find(of_it) {
            return RuleState::Refused(in_words(finding));
        }
        let sources = self.statuses.all();
        if sources.iter().all(|(_, status)| status.down.is_some()) {
            return RuleState::Blind;
        }
        match seen {
            Some(seen) if learns(rule) && seen < LEARNT => RuleState::Learning(seen),
            _ => RuleState::InForce,
        }
    }
}

impl Workshop for Daemon {
    async fn rule(&self, id: RuleId, sight: Sight) -> Result<Option<RuleDetail>, BackendError> {
        let files = Arc::clone(&self.files.borrow());
        let Some((rule, file)) = self.found(&id).zip(files.of(&id).cloned()) else { return Ok(None) };
        let veiled = sight == Sight::Veiled && rule.is_restricted();
        let (known_rule, all) = (rule.clone(), Arc::clone(&files));
        let (record, proposal, tests, seen) = self
            .at_length(move |reader, _| {
                let record = reader.rule_record(&known_rule.id, HISTORY)?;
                let proposal = if veiled || record.noise.0 == 0 { None } else { proposal(reader, &known_rule, &all)? };
                let tests = all.of(&known_rule.id).map(|file| trial::run_of(file, &all.files, known_rule.id.as_str()));
                let state = reader.volume(known_rule.id.as_str())?;
                let seen = state.as_ref().and_then(|state| known(&known_rule, state));
                Ok((record, proposal, tests.unwrap_or_default(), seen))
            })
            .await?;
        let hidden = |judged: Judged| {
            let reason = if veiled { String::new() } else { judged.reason };
            judgement_of(Judged { reason, ..judged })
        };
        // One that learns and has left nothing yet has heard nothing.
        let seen = seen.or(learns(&rule).then_some(Duration::ZERO));
        Ok(Some(RuleDetail {
            state: self.state(&rule, &file, &files.refused, seen),
            built_in: file.source.name.starts_with("builtin:"),
            file: file.source.name.clone(),
            fired: record.fired,
            alerts: record.alerts,
            real: record.real,
            noise: record.noise,
            judged: record.judged.into_iter().map(hidden).collect(),
            tests: tests.into_iter().map(|(name, wrong)| (name, wrong.as_ref().map(in_words))).collect(),
            proposal,
            rule,
        }))
    }

    async fn try_rule(
        &self,
        id: RuleId,
        draft: Draft,
        text: String,
        sight: Sight,
    ) -> Result<Option<Tried>, BackendError> {
        let Some(rule) = self.found(&id) else { return Ok(None) };
        if !rule.joins.is_empty() {
            return Err(invalid("this rule takes no posts itself: it joins others; try those"));
        }
        let Drafted { rules, diff } = self.drafted(&rule, &draft)?;
        let (restricted, clock) = (self.restricted_rules(), Arc::clone(&self.clock));
        let tried = self
            .at_length(move |reader, until| {
                let restricted: Vec<&str> = restricted.iter().map(String::as_str).collect();
                let own = Seek { rule: rule.id.to_string(), ..Seek::default() };
                let mut found = reader.search(&own, sight, &restricted, None, TRIED_OWN)?;
                found.extend(reader.search(&Seek::default(), sight, &restricted, None, TRIED)?);
                let (mut seen, mut tried) = (BTreeSet::new(), Tried { diff, ..Tried::default() });
                let Some(changed) = rules.get(0) else { return Ok(tried) };
                tried.text = (!text.trim().is_empty()).then(|| {
                    let post = Post::plain("text".into(), "console".into(), "text".into(), text, clock.now());
                    explained(changed, &rule, post).0
                });
                found.retain(|found| seen.insert(found.post.id.clone()));
                found.sort_by_key(|found| Reverse(found.post.event_time));
                let mut near = Vec::new();
                for FoundPost { post, .. } in found.into_iter().take_while(|_| clock.now() < until) {
                    tried.looked_at += 1;
                    let (post, verdict) = explained(changed, &rule, post);
                    tried.takes += usize::from(post.taken);
                    if post.before && !post.taken && tried.lost.len() < SHOWN {
                        tried.lost.push(post);
                    } else if post.taken && tried.taken.len() < SHOWN {
                        tried.taken.push(post);
                    } else if let Some(far) = farness(&verdict).filter(|_| !post.taken) {
                        near.push((far, post));
                    }
                }
                near.sort_by_key(|(far, _)| *far);
                tried.near = near.into_iter().take(SHOWN).map(|(_, post)| post).collect();
                Ok(tried)
            })
            .await?;
        Ok(Some(tried))
    }

    async fn preview_rule(&self, id: RuleId, draft: Draft) -> Result<Option<Preview>, BackendError> {
        let Some(rule) = self.found(&id) else { return Ok(None) };
        let before = self.drafted(&rule, &Draft::default())?.rules;
        let after = self.drafted(&rule, &draft)?.rules;
        let clock = Arc::clone(&self.clock);
        let preview = self.at_length(move |reader, until| {
            let earliest = reader.newest_from(PLAYED)?;
            let heard = reader.heard(earliest.unwrap_or_default())?;
            let mut played = [&before, &after].map(|rules| Played::new(rules, &id));
            for one in &mut played {
                one.engine.lost(&heard.lost, heard.sources);
            }
            let mut preview = Preview { cut: earliest.is_some(), ..Preview::default() };
            let mut last = earliest.map(|at| Kept { at, id: PostId::from(""), json: String::new() });
            loop {
                let page = reader.kept_posts(last.as_ref(), PAGE)?;
                let posts = page.iter().map(Kept::post).collect::<Result<Vec<_>, _>>()?;
                let times = posts.first().zip(posts.last()).map(|(first, last)| (first.event_time, last.event_time));
                let Some((first, newest)) = times else { break };
                preview.span = Some((preview.span.map_or(first, |(from, _)| from), newest));
                preview.posts += posts.len();
                for one in &mut played {
                    one.hear(&posts);
                }
                last = page.into_iter().next_back();
                if clock.now() >= until - Duration::from_secs(1) {
                    preview.cut = true;
                    break;
                }
            }
            let [before, after] = played.map(|one| one.fired);
            Ok(Preview { before, after, ..preview })
        });
        Ok(Some(preview.await?))
    }

    async fn judge(&self, judgement: Judgement) -> Result<Option<()>, BackendError> {
        let id = judgement.incident.clone();
        let Some(incident) = self.read(move |reader| reader.standing(&id)).await? else { return Ok(None) };
        let Judgement { at, by, real, reason, .. } = judgement;
        let judged = Judged { incident: incident.id.clone(), at, by, real, reason };
        let written = self.store.judge(&incident, judged).await;
        written.map(Some).map_err(|error| BackendError::Unavailable(error.to_string()))
    }

    async fn judgement(&self, id: IncidentId) -> Result<Option<Judgement>, BackendError> {
        Ok(self.read(move |reader| reader.judgement(&id)).await?.map(judgement_of))
    }
}

impl Past for Daemon {
    async fn find(
        &self,
        seek: Seek,
        sight: Sight,
        before: Option<(Timestamp, PostId)>,
        limit: usize,
    ) -> Result<Vec<FoundPost>, BackendError> {
        let restricted = self.restricted_rules();
        self.at_length(move |reader, _| {
            let restricted: Vec<&str> = restricted.iter().map(String::as_str).collect();
            let before = before.as_ref().map(|(at, id)| (*at, id.as_str()));
            reader.search(&seek, sight, &restricted, before, limit)
        })
        .await
    }

    async fn find_incidents(&self, seek: Seek, sight: Sight, limit: usize) -> Result<Vec<Incident>, BackendError> {
        self.at_length(move |reader, _| reader.search_incidents(&seek, sight, limit)).await
    }

    async fn saved_searches(&self, account: String) -> Result<Vec<(String, String)>, BackendError> {
        self.read(move |reader| reader.saved_searches(&account)).await
    }

    async fn save_search(&self, account: String, name: String, query: Option<String>) -> Result<bool, BackendError> {
        let saved = self.store.save_search(account, name, query, SAVED).await;
        saved.map_err(|error| BackendError::Unavailable(error.to_string()))
    }

    async fn missed(&self, since: Timestamp) -> Result<Vec<Missed>, BackendError> {
        let kept_since = self.clock.now() - self.known.retention;
        let started = self.started;
        let records = self.read(move |reader| reader.sources(since)).await?;
        let is_there = |name: &str| self.statuses.all().iter().any(|(known, _)| known.as_str() == name);
        let missed = records.into_iter().filter(|record| is_there(record.name.as_str())).map(|record| {
            // Gaps go when retention ends; before the first of them, or the first start, nobody knows.
            let first = record.gaps.first().map_or(started, |gap| gap.from.min(started));
            let known_since = first.max(kept_since).max(since);
            Missed { source: record.name.to_string(), known_since, gaps: record.gaps }
        });
        Ok(missed.collect())
    }

    async fn last_messages(&self) -> Result<Vec<LastMessage>, BackendError> {
        let rows = self.read(Reader::last_messages).await?;
        let last = |(receiver, exercise, state, at): (String, bool, String, Timestamp)| LastMessage {
            receiver,
            exercise,
            delivered: state == "delivered",
            at,
        };
        Ok(rows.into_iter().map(last).collect())
    }
}

/// A set of rules that hears the past.
struct Played {
    engine: Engine,
    rules: Arc<RuleSet>,
    scratch: Scratch,
    rule: RuleId,
    fired: Vec<Timestamp>,
}

impl Played {
    fn new(rules: &Arc<RuleSet>, rule: &RuleId) -> Self {
        let mut engine = Engine::new(Arc::clone(rules), Routes::default(), Vec::new());
        engine.without_store();
        Self { engine, rules: Arc::clone(rules), scratch: Scratch::default(), rule: rule.clone(), fired: Vec::new() }
    }

    fn hear(&mut self, posts: &[Post]) {
        let items = posts.iter().map(|post| {
            let event = Ok(SourceEvent::Post(Box::new(post.clone())));
            Item::matched(Decoded { cursor: None, event }, None, &self.rules, &mut self.scratch)
        });
        let batch = Batch::new("archive".into(), Arc::clone(&self.rules), items.collect());
        let commit = self.engine.step(Input::Batch(batch), Timestamp::default()).commit;
        self.fired.extend(commit.alerts.iter().filter(|alert| alert.rule == self.rule).map(|alert| alert.at));
    }
}

fn invalid(text: &str) -> BackendError {
    BackendError::Invalid(text.to_owned())
}

/// What is really different.
fn edit(rule: &Rule, draft: &Draft) -> Edit {
    let query = draft.query.trim();
    let except = draft.except.trim();
    Edit {
        query: (!query.is_empty() && query != rule.query.text.trim()).then(|| query.to_owned()),
        except: (!except.is_empty()).then(|| {
            let reason = draft.reason.trim();
            (if reason.is_empty() { "judged noise" } else { reason }.to_owned(), except.to_owned())
        }),
    }
}

/// The change of a rule's file as a diff; empty where it would not say just that.
fn difference(file: &RawFile, rule: &str, edit: &Edit) -> String {
    if edit == &Edit::default() {
        return String::new();
    }
    let SourceText { name, text } = &*file.source;
    let after = edited(text, rule, edit).unwrap_or_else(|| text.clone());
    let source = Arc::new(SourceText { name: name.clone(), text: after.clone() });
    let says = parse_rules(&source).0.and_then(|file| file.rules.into_iter().find(|raw| raw.id.value == rule));
    let same = says.is_some_and(|raw| {
        let query = edit.query.as_ref().is_none_or(|query| raw.query.value.trim() == query);
        query && edit.except.as_ref().is_none_or(|(_, except)| raw.excepts.iter().any(|one| one.query.value == *except))
    });
    // For `patch -p1 -d /` where the name is a whole path.
    if same { report::diff(name.trim_start_matches('/'), text, &after) } else { String::new() }
}

/// The exception that would take out what people called noise.
fn proposal(reader: &Reader, rule: &Rule, files: &Shelf) -> Result<Option<Proposal>, StoreError> {
    let noise = reader.judged_posts(&rule.id, false, JUDGED)?;
    let real = reader.judged_posts(&rule.id, true, JUDGED)?;
    let own = Seek { rule: rule.id.to_string(), ..Seek::default() };
    let others = reader.search(&own, Sight::Whole, &[], None, JUDGED)?;
    let judged: BTreeSet<&PostId> = noise.iter().chain(&real).map(|post| &post.id).collect();
    let others: Vec<Post> =
        others.into_iter().map(|found| found.post).filter(|post| !judged.contains(&post.id)).collect();
    let Some(exclusion) = cheapest(rule, &noise, &real, &others) else { return Ok(None) };
    let reasons = reader.rule_record(&rule.id, JUDGED)?.judged;
    let reason = reasons.into_iter().filter(|one| !one.real).map(|one| one.reason).find(|reason| !reason.is_empty());
    let reason = reason.unwrap_or_else(|| "judged noise".to_owned());
    let edit = Edit { query: None, except: Some((reason.clone(), exclusion.query.clone())) };
    let diff = files.of(&rule.id).map(|file| difference(file, rule.id.as_str(), &edit)).unwrap_or_default();
    Ok(Some(Proposal { exclusion, reason, diff }))
}

fn judgement_of(judged: Judged) -> Judgement {
    let Judged { incident, at, by, real, reason } = judged;
    Judgement { incident, at, by, real, reason }
}

/// What is wrong and what to do, on one line.
fn in_words(finding: &Diagnostic) -> String {
    report::line(finding)
}

/// Of a draft, whose lines are nobody's.
fn mistake(finding: &Diagnostic) -> String {
    let help = finding.help.as_ref().map(|help| format!(" ({help})"));
    report::harmless_line(&format!("{}{}", finding.message, help.unwrap_or_default()))
}

/// What the rules make of a post.
fn explained(rule: &Rule, in_force: &Rule, post: Post) -> (TriedPost, Verdict) {
    let verdict = rule.explain(&post);
    let mut marks = verdict.query.places(0);
    let mut why = String::new();
    if !verdict.query.satisfied {
        marks = found(&verdict.query);
        why = missing(&verdict.query, &rule.query.text);
    } else if let Some((except, clause)) = excepted(rule, &verdict) {
        marks.extend(clause.places(0));
        why = format!("except “{except}”");
    }
    marks.sort_by_key(|mark| (mark.start, mark.end));
    let (taken, before) = (verdict.matched(), in_force.explain(&post).matched());
    (TriedPost { post, taken, before, marks, why }, verdict)
}

fn excepted<'a>(rule: &'a Rule, verdict: &'a Verdict) -> Option<(&'a str, &'a Clause)> {
    let (place, clause) = verdict.excepts.iter().find(|(_, clause)| clause.satisfied)?;
    Some((&rule.excepts.get(*place)?.reason, clause))
}

/// Where whatever was found of a query stands, satisfied or not.
fn found(clause: &Clause) -> Vec<Range<usize>> {
    if clause.form == Form::Not {
        return Vec::new();
    }
    let own = clause.found.iter().filter(|found| found.segment == 0).map(|found| found.original.clone());
    own.chain(clause.parts.iter().flat_map(found)).collect()
}

/// How much was missing; none where nothing was there at all.
fn farness(verdict: &Verdict) -> Option<usize> {
    let query = &verdict.query;
    if query.satisfied {
        return Some(0); // an exception took it out, or it is none of a share's whole
    }
    if found(query).is_empty() {
        return None;
    }
    let open = query.parts.iter().filter(|part| !part.satisfied && found(part).is_empty()).count();
    Some(1 + open)
}
