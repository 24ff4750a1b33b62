//! New rules and the archive: what they learn from it, and that they learn nothing from one with holes.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use crate::support::daemon::{Config, HOOK, Place, now, say, word_rule};
use crate::support::jetstream::{Script, SimJetstream};
use crate::support::sim::{at, authors, frame, post, rule};
use crate::support::sink::SimSink;
use proptest::prelude::*;
use stormbell::app::lessons;
use stormbell::config::model::StoreConfig;
use stormbell::domain::commit::{Commit, VolumeState};
use stormbell::domain::condition::by::By;
use stormbell::domain::condition::{Condition, NewTerm, Quiet, Spike};
use stormbell::domain::engine::archived::Archived;
use stormbell::domain::engine::{Batch, Engine, Input, Item};
use stormbell::domain::event::{DownReason, Joint, SourceEvent};
use stormbell::domain::id::RuleId;
use stormbell::domain::incident::Severity;
use stormbell::domain::matcher::Scratch;
use stormbell::domain::route::Routes;
use stormbell::domain::rule::{Rule, RuleSet};
use stormbell::domain::time::Timestamp;
use stormbell::domain::volume::Promise;
use stormbell::store::Store;
use tempfile::TempDir;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn spike() -> Condition {
    Condition::Spike(Spike { false_alarms: Promise::MONTHLY, at_least: 5, authors: 3 })
}

fn counted(id: &str, query: &str) -> Rule {
    rule(id, "talk", Severity::Low, query, authors(3, 10))
}

fn spiking(id: &str, query: &str) -> Rule {
    rule(id, "talk", Severity::High, query, spike())
}

/// Of everything that learns, one that asks for the same as [`counted`] `$org`, or for less.
fn pupils() -> Vec<Rule> {
    let less = "$org AND (strike OR soup)";
    let new_term = NewTerm { within: Duration::from_hours(6), at_least: 4, authors: 3 };
    vec![
        spiking("spike.same", "$org"),
        spiking("spike.less", less),
        Rule { by: Some(By::Tag), ..spiking("spike.tag", "$org") },
        rule("quiet.less", "silence", Severity::Low, less, Condition::Quiet(Quiet { lasts: Duration::from_hours(1) })),
        rule("new.same", "news", Severity::Low, "$org", Condition::NewTerm(new_term)),
    ]
}

/// A daemon's engine and its disk.
struct Past {
    folder: TempDir,
    store: Store,
    engine: Engine,
    rules: Arc<RuleSet>,
    now: Timestamp,
    sample: Option<NonZeroU64>,
    alerts: Vec<(RuleId, Timestamp)>,
}

impl Past {
    fn of(rules: Vec<Rule>) -> Self {
        Self::sampling(rules, None)
    }

    fn sampling(rules: Vec<Rule>, sample: Option<u64>) -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("bell.db")).unwrap();
        let (rules, sample) = (Arc::new(RuleSet::new(rules)), sample.and_then(NonZeroU64::new));
        let mut engine = Engine::new(Arc::clone(&rules), Routes::default(), Vec::new());
        engine.keep_sample(sample);
        Self { folder, store, engine, rules, now: at(0), sample, alerts: Vec::new() }
    }

    fn config(&self) -> StoreConfig {
        let path = self.folder.path().join("bell.db");
        StoreConfig {
            path,
            retention: StoreConfig::DEFAULT_RETENTION,
            retention_by_topic: Vec::new(),
            sample_one_in: self.sample,
        }
    }

    fn step(&mut self, input: Input) -> Commit {
        let commit = self.engine.step(input, self.now).commit;
        self.store.commit(std::slice::from_ref(&commit)).unwrap();
        self.alerts.extend(commit.alerts.iter().map(|alert| (alert.rule.clone(), alert.at)));
        commit
    }

    /// Posts of a source: who, when, what.
    fn hear_on(&mut self, source: &str, posts: &[(u16, i64, String)]) {
        for some in posts.chunks(100) {
            let mut scratch = Scratch::default();
            let items = some.iter().map(|(author, second, text)| {
                let mut post = post(&format!("{source} {second} {author}"), &format!("a{author}"), at(*second), text);
                post.source = source.into();
                post.tags = text.split(' ').filter_map(|word| word.strip_prefix('#')).map(ToOwned::to_owned).collect();
                let decoded = frame(Ok(SourceEvent::Post(Box::new(post))), at(*second));
                Item::matched(decoded, None, &self.rules, &mut scratch)
            });
            let items = items.collect();
            self.now = some.last().map_or(self.now, |(_, second, _)| self.now.max(at(*second)));
            self.step(Input::Batch(Batch::new(source.into(), Arc::clone(&self.rules), items)));
        }
    }

    fn hear(&mut self, posts: &[(u16, i64, String)]) {
        self.hear_on("stream", posts);
    }

    /// Time passes, and nothing is said that a rule asks for.
    fn wait(&mut self, second: i64) {
        self.hear(&[(9999, second, "nothing".to_owned())]);
    }

    fn lessons_for(&self, rules: &[Rule]) -> Vec<VolumeState> {
        lessons::at_reload(&self.config(), &self.rules, &RuleSet::new(rules.to_vec()), self.now)
    }

    fn reload(&mut self, rules: Vec<Rule>) {
        let lessons = self.lessons_for(&rules);
        self.rules = Arc::new(RuleSet::new(rules));
        let (rules, receivers) = (Arc::clone(&self.rules), Vec::new());
        self.step(Input::Swap { rules, routes: Routes::default(), receivers, lessons });
    }

    /// The process dies, and begins again with other rules.
    fn restart(&mut self, rules: Vec<Rule>) {
        self.rules = Arc::new(RuleSet::new(rules));
        self.engine = Engine::new(Arc::clone(&self.rules), Routes::default(), Vec::new());
        self.engine.keep_sample(self.sample);
        let mut restored = self.store.restore(Timestamp::default()).unwrap();
        lessons::at_start(&self.config(), &self.rules, &mut restored, self.now);
        let commit = self.engine.restore(restored, self.now).commit;
        self.store.commit(&[commit]).unwrap();
        self.step(Input::Connected { source: "stream".into(), joint: Joint::GoesOn });
    }
}

/// So many posts a day by as many people, evenly.
fn steady(per_day: i64, from: i64, to: i64, text: &str) -> Vec<(u16, i64, String)> {
    let step = DAY / per_day;
    let of = |n: i64| (u16::try_from(n % 5000).unwrap(), n * step, text.to_owned());
    ((from + step - 1) / step..(to + step - 1) / step).map(of).collect()
}

/// So many people within ten minutes.
fn burst(from: i64, people: u16, text: &str) -> Vec<(u16, i64, String)> {
    (0..people).map(|one| (10_000 + one, from + i64::from(one) * 600 / i64::from(people), text.to_owned())).collect()
}

fn of_rules(states: &[VolumeState]) -> Vec<&str> {
    states.iter().map(|state| state.rule.as_str()).filter(|rule| !rule.contains('#')).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever was said, with whatever was lost in between: the same bytes as of rules that heard it live.
    #[test]
    fn a_new_rule_knows_what_it_would_know_had_it_been_in_force(
        said in prop::collection::vec((0u16..40, 0i64..5 * DAY, 0usize..5), 20..120),
        lost in prop::option::of((1i64..4 * DAY, 1i64..DAY)),
    ) {
        let texts = ["St Brigids again", "St Brigids strike #strike", "St Brigids soup #soup today", "weather", "soup"];
        let mut said: Vec<(u16, i64, String)> =
            said.into_iter().map(|(author, second, text)| (author, second, texts[text].to_owned())).collect();
        said.sort_by_key(|(_, second, _)| *second);
        said.dedup_by_key(|(_, second, _)| *second);
        let all = [vec![counted("all", "$org")], pupils()].concat();
        let mut with_all = Past::of(all.clone());
        let mut without = Past::of(vec![counted("all", "$org")]);
        for past in [&mut with_all, &mut without] {
            past.wait(0);
            let (before, after) = match lost {
                None => (said.clone(), Vec::new()),
                Some((from, length)) => {
                    let seen: Vec<_> = said.iter().filter(|(_, second, _)| *second < from || *second > from + length).cloned().collect();
                    seen.into_iter().partition(|(_, second, _)| *second < from)
                }
            };
            past.hear(&before);
            if let Some((from, length)) = lost {
                past.wait(from);
                past.step(Input::Down { source: "stream".into(), reason: DownReason::Closed });
                past.now = at(from + length + 1);
                past.step(Input::Connected { source: "stream".into(), joint: Joint::Live });
                past.wait(from + length + 1);
            }
            past.hear(&after);
            past.wait(5 * DAY);
        }
        let mut live: Vec<VolumeState> = with_all.engine.learnt().into_iter().flat_map(|learnt| learnt.states).collect();
        let mut learnt = without.lessons_for(&all);
        let is_row = |state: &VolumeState| state.rule.as_str().starts_with('#');
        prop_assert!(learnt.iter().filter(|state| is_row(state)).count() == 1);
        learnt.retain(|state| !is_row(state));
        live.sort_by(|one, other| one.rule.cmp(&other.rule));
        learnt.sort_by(|one, other| one.rule.cmp(&other.rule));
        prop_assert_eq!(of_rules(&learnt).len(), pupils().len());
        prop_assert_eq!(learnt.len(), live.len());
        for (learnt, live) in learnt.iter().zip(&live) {
            prop_assert!(learnt == live, "{}: {} and {}", live.rule, learnt.at, live.at);
        }
    }
}

#[test]
fn a_rule_that_was_added_today_alarms_like_one_that_was_always_there() {
    let (busy, text) = (720, "St Brigids strike");
    let all = || [vec![counted("all", "$org")], pupils()].concat();
    let alarms = |mut past: Past, begin: fn(&mut Past, Vec<Rule>)| {
        past.hear(&steady(busy, 0, 20 * DAY, text));
        begin(&mut past, all());
        past.alerts.clear();
        past.hear(&steady(busy, 20 * DAY, 20 * DAY + 2 * HOUR, text));
        past.hear(&burst(20 * DAY + 2 * HOUR, 8, text));
        assert_eq!(past.alerts, [], "30 an hour are usual, and 8 more nothing");
        past.hear(&burst(20 * DAY + 3 * HOUR, 80, text));
        // It is kept: after another start nothing has to be learnt, and nothing is told again.
        past.restart(all());
        past.hear(&steady(busy, 20 * DAY + 4 * HOUR, 20 * DAY + 12 * HOUR, text));
        past.alerts.retain(|(rule, _)| rule.as_str() != "all");
        past.alerts
    };
    let always_there = alarms(Past::of(all()), |_, _| ());
    assert!(
        ["spike.same", "spike.less"].iter().all(|rule| always_there.iter().any(|(alarm, _)| alarm.as_str() == *rule))
    );
    for begin in [Past::reload, Past::restart] {
        assert_eq!(alarms(Past::of(vec![counted("all", "$org")]), begin), always_there);
    }
}

#[test]
fn rules_that_were_in_force_for_a_moment_leave_a_hole_that_the_disk_does_not_know_of_yet() {
    let all = || counted("all", "$org");
    let learner = || spiking("spike.same", "$org");
    let mut past = Past::of(vec![all()]);
    past.hear(&steady(240, 0, 10 * DAY, "St Brigids"));
    // What the disk says before the next rules are on it.
    let stale = past.lessons_for(&[all(), learner()]);
    assert!(!of_rules(&stale).is_empty());
    past.reload(vec![counted("other", "soup")]);
    past.hear(&steady(240, 10 * DAY, 10 * DAY + 600, "St Brigids"));
    past.rules = Arc::new(RuleSet::new(vec![all(), learner()]));
    let (rules, routes, receivers) = (Arc::clone(&past.rules), Routes::default(), Vec::new());
    past.step(Input::Swap { rules, routes, receivers, lessons: stale });
    past.wait(10 * DAY + 1200);
    let later = past.lessons_for(&[all(), learner(), spiking("spike.too", "$org")]);
    assert_eq!(of_rules(&later), [] as [&str; 0], "nobody kept what was said in that moment");
}

#[test]
fn what_came_in_the_second_of_a_reload_is_not_said_to_be_kept_whole() {
    let learner = spiking("spike.same", "$org");
    let mut past = Past::of(vec![counted("other", "soup")]);
    past.hear(&[(1, DAY, "St Brigids".to_owned())]);
    past.reload(vec![counted("all", "$org")]);
    past.hear(&[(2, DAY, "St Brigids".to_owned())]);
    past.wait(DAY + 2 * HOUR);
    let lessons = past.lessons_for(std::slice::from_ref(&learner));
    let none = RuleSet::default();
    let since = Archived::read(&lessons).of(&[&learner], &none, &none);
    assert_eq!(since.into_values().collect::<Vec<_>>(), [at(DAY) + Duration::from_micros(1)]);
}

#[test]
fn a_silence_of_the_past_is_not_told_when_a_rule_begins() {
    let quiet = |id: &str| {
        rule(id, "silence", Severity::Low, "$org", Condition::Quiet(Quiet { lasts: Duration::from_hours(1) }))
    };
    for begin in [Past::reload, Past::restart] {
        let mut past = Past::of(vec![counted("all", "$org")]);
        past.hear(&steady(240, 0, 10 * DAY, "St Brigids"));
        past.wait(10 * DAY + 5 * HOUR);
        begin(&mut past, vec![counted("all", "$org"), quiet("quiet")]);
        past.alerts.clear();
        past.step(Input::Tick);
        past.now = at(12 * DAY);
        past.step(Input::Tick);
        let told = |past: &Past| past.alerts.iter().filter(|(rule, _)| rule.as_str() == "quiet").count();
        assert_eq!(told(&past), 0, "nothing was read since the rule is there");
        past.wait(12 * DAY);
        past.wait(12 * DAY + 5 * HOUR);
        past.step(Input::Tick);
        assert_eq!(told(&past), 1, "but five hours without one of ten an hour");
    }
}

#[test]
fn without_an_archive_it_says_nothing_for_hours() {
    let mut past = Past::of(vec![counted("other", "weather")]);
    past.hear(&steady(720, 0, 20 * DAY, "St Brigids strike"));
    past.reload(vec![counted("other", "weather"), spiking("spike", "$org")]);
    past.hear(&steady(720, 20 * DAY, 20 * DAY + 2 * HOUR, "St Brigids strike"));
    past.hear(&burst(20 * DAY + 3 * HOUR, 80, "St Brigids strike"));
    assert_eq!(past.alerts, []);
}

#[test]
fn an_archive_with_holes_teaches_nothing() {
    let mut past = Past::of(vec![counted("strikes", "$org AND strike")]);
    past.hear(&steady(720, 0, 9 * DAY, "St Brigids strike"));
    let learnt = |past: &Past, query: &str| of_rules(&past.lessons_for(&[spiking("spike", query)])).len();
    assert_eq!(learnt(&past, "$org AND strike"), 1);
    assert_eq!(learnt(&past, "$org AND strike AND soup"), 1, "less is known, too: nobody said it");
    assert_eq!(learnt(&past, "$org"), 0, "of what else was said nothing is kept");
    assert_eq!(learnt(&past, "$org AND (strike OR walkout)"), 0);
    // Once the other rule is gone, nothing is kept any more, and an hour later nobody knows.
    past.reload(vec![counted("other", "weather")]);
    past.hear(&steady(720, 9 * DAY, 10 * DAY, "St Brigids strike"));
    assert_eq!(learnt(&past, "$org AND strike"), 0);
}

#[test]
fn what_a_new_source_says_was_never_heard_before() {
    let mut past = Past::of(vec![counted("all", "$org")]);
    past.hear(&steady(720, 0, 9 * DAY, "St Brigids"));
    past.hear_on("another", &steady(720, 9 * DAY, 9 * DAY + HOUR / 2, "St Brigids"));
    assert_eq!(past.lessons_for(&[spiking("spike", "$org")]), []);
    past.hear(&steady(720, 9 * DAY + HOUR / 2, 10 * DAY, "St Brigids"));
    assert_eq!(of_rules(&past.lessons_for(&[spiking("spike", "$org")])), ["spike"], "a day of both is a lesson");
}

#[test]
fn a_sample_of_every_post_teaches_any_rule_and_one_of_some_teaches_none() {
    for (sample, rules) in [(Some(1), 1), (Some(2), 0), (None, 0)] {
        let mut past = Past::sampling(vec![counted("other", "weather")], sample);
        past.hear(&steady(240, 0, 3 * DAY, "St Brigids"));
        assert_eq!(of_rules(&past.lessons_for(&[spiking("spike", "$org")])).len(), rules, "{sample:?}");
    }
}

#[test]
fn what_retention_ended_is_no_silence() {
    let mut past = Past::of(vec![counted("all", "$org")]);
    past.hear(&steady(48, 0, 40 * DAY, "St Brigids"));
    while past.store.forget(at(10 * DAY)).unwrap().more {}
    let new = [spiking("spike", "$org")];
    let lessons = past.lessons_for(&new);
    let state = lessons.iter().find(|state| state.rule.as_str() == "spike").unwrap();
    let seen = stormbell::domain::engine::learning::known(&new[0], state).unwrap();
    assert!((29..30).contains(&(seen.as_secs() / 86_400)), "{seen:?}");
}

/// The program itself: a rule is added by SIGHUP, and others while it is down.
#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_says_what_new_rules_learned() {
    const MINUTE: i64 = 60_000_000;
    let unusual = |topic: &str, word: &str| format!("{}\nspike = {{}}\n\n", word_rule(topic, word, "high").trim_end());
    let (stream, hook) = (SimJetstream::start(Script::default()).await, SimSink::start().await);
    let config = Config::new(&stream.url(), "").webhook("hook", &hook.url(HOOK));
    let lunch = word_rule("lunch", "lunch", "low");
    let place = Place::new(&config, std::slice::from_ref(&lunch));
    let daemon = place.start().await;
    daemon.says("source connected").await;
    let began = now() - 400 * MINUTE;
    for n in 0..40 {
        stream.push(say(began + n * 10 * MINUTE, &format!("did:plc:a{n}"), &format!("k{n}"), "lunch was fine"));
    }
    daemon.read_frames(40).await;
    // What is read is written within a second, and only what is written can be learnt from.
    daemon.until(async || daemon.source().await, |source| source["ledger"]["frames"].as_u64() >= Some(40)).await;

    place.rules(&[lunch.clone(), unusual("soup", "lunch AND fine")]);
    daemon.signal("HUP");
    let line = daemon.says("rule learned what is usual from the archive").await;
    assert!(line.contains("soup.rule") && line.contains("6 h"), "{line}");
    daemon.says("configuration reloaded").await;
    stream.push(say(now(), "did:plc:b", "k40", "lunch was fine"));
    daemon.read_frames(41).await;
    daemon.stop().await;

    let all = [lunch, unusual("soup", "lunch AND fine"), unusual("weather", "weather"), unusual("meal", "lunch")];
    place.rules(&all);
    let daemon = place.start().await;
    let line = daemon.says("no rule kept all posts").await;
    assert!(line.contains("weather.rule") && line.contains("rules=1"), "{line}");
    let line = daemon.says("rule learned what is usual from the archive").await;
    assert!(line.contains("meal.rule"), "what the other one learned is kept: {line}");
    daemon.says("source connected").await;
    assert_eq!(daemon.said("rule learned"), 1);
    daemon.stop().await;
}
