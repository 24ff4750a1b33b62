//! The engine with a virtual clock and a model of the store: days in milliseconds.

use std::sync::Arc;
use std::time::Duration;

use stormbell::domain::condition::{Condition, Count, Distinct, Hold, OwnWords};
use stormbell::domain::engine::{Action, Batch, Command, Engine, Input, Item, Refused};
use stormbell::domain::event::{Cursor, Decoded, DownReason, Joint, Rejected, SourceEvent};
use stormbell::domain::id::{IncidentId, ReceiverName, SourceName};
use stormbell::domain::incident::{Incident, Severity};
use stormbell::domain::matcher::Scratch;
use stormbell::domain::organization::Organization;
use stormbell::domain::post::Post;
use stormbell::domain::query::{Lists, parse};
use stormbell::domain::route::{Glob, OffTimes, Route, Routes, Step, Target};
use stormbell::domain::rule::raw::Status;
use stormbell::domain::rule::{Rule, RuleSet};
use stormbell::domain::silence::{Draft, Order, Refused as NotSilenced, Silence};
use stormbell::domain::time::{ClockSet, Timestamp};
use stormbell::domain::volume::Promise;

use super::model::Model;

/// Second 0 of every simulation.
pub const ZERO: Timestamp = Timestamp::from_seconds(1_795_341_600);

/// `at(90)` is a minute and a half into the simulation.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(ZERO.micros() + seconds * 1_000_000)
}

pub fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

pub fn rule(id: &str, topic: &str, severity: Severity, query: &str, condition: Condition) -> Rule {
    Rule {
        id: id.into(),
        pack: "test".to_owned(),
        title: format!("title of {id}"),
        severity,
        status: Status::Stable,
        topic: topic.into(),
        query: parse(query, &Lists::of(&Organization::example())).unwrap(),
        excepts: Vec::new(),
        playbook: None,
        condition,
        hold: Hold::default(),
        of: None,
        own_words: OwnWords::default(),
        by: None,
        joins: Vec::new(),
        not_on: Vec::new(),
        version: "1".to_owned(),
    }
}

pub fn authors(at_least: u64, minutes: u64) -> Condition {
    Condition::Count(Count { at_least, distinct: Distinct::Author, within: Duration::from_mins(minutes) })
}

pub fn stories(at_least: u64, minutes: u64) -> Condition {
    Condition::Count(Count { at_least, distinct: Distinct::Story, within: Duration::from_mins(minutes) })
}

pub fn post(id: &str, author: &str, at: Timestamp, text: &str) -> Post {
    Post::plain(id.into(), "stream".into(), author.into(), text.to_owned(), at)
}

/// A frame with its place in the stream.
pub fn frame(event: Result<SourceEvent, Rejected>, at: Timestamp) -> Decoded {
    Decoded { cursor: Some(Cursor(at.micros())), event }
}

pub fn posted(id: &str, author: &str, seconds: i64, text: &str) -> Decoded {
    frame(Ok(SourceEvent::Post(Box::new(post(id, author, at(seconds), text)))), at(seconds))
}

/// A route: severities, topics, steps of (receivers, minutes to acknowledge), minutes between repetitions.
pub fn route(severity: &[Severity], topics: &[&str], steps: &[(&[&str], Option<u64>)], repeat: Option<u64>) -> Route {
    Route {
        severity: severity.to_vec(),
        topics: topics.iter().map(|&topic| Glob(topic.to_owned())).collect(),
        steps: steps
            .iter()
            .map(|(notify, ack)| Step {
                notify: notify.iter().map(|&name| Target::from(ReceiverName::from(name))).collect(),
                ack_within: ack.map(minutes),
            })
            .collect(),
        repeat_every: repeat.map(minutes),
        go_on: false,
        last_resort: false,
        off: OffTimes::default(),
    }
}

pub struct Sim {
    pub engine: Engine,
    pub model: Model,
    pub now: Timestamp,
    rules: Arc<RuleSet>,
    routes: Routes,
    receivers: Vec<ReceiverName>,
}

impl Sim {
    pub fn new(rules: Vec<Rule>, routes: Vec<Route>) -> Self {
        Self::with_people(rules, Routes::of(routes))
    }

    /// Receivers are those that routes name and people are reached by.
    pub fn with_people(rules: Vec<Rule>, routes: Routes) -> Self {
        let rules = Arc::new(RuleSet::new(rules));
        let steps = routes.list.iter().flat_map(|route| &route.steps);
        let named = steps.flat_map(|step| &step.notify).filter_map(|target| match target {
            Target::Receiver(receiver) => Some(receiver.clone()),
            _ => None,
        });
        let contacts = routes.people.persons.values().flat_map(|person| person.contact.keys().cloned());
        let mut receivers: Vec<ReceiverName> = named.chain(contacts).collect();
        receivers.sort();
        receivers.dedup();
        let engine = Engine::new(Arc::clone(&rules), routes.clone(), receivers.clone());
        Self { engine, model: Model::default(), now: ZERO, rules, routes, receivers }
    }

    pub fn step(&mut self, input: Input) {
        let outcome = self.engine.step(input, self.now);
        self.model.apply(&outcome.commit);
    }

    /// Frames as one batch, received now (or, without a clock, from a recording).
    pub fn feed(&mut self, frames: Vec<Decoded>) {
        let now = self.now;
        self.feed_received(frames, Some(now));
    }

    pub fn feed_received(&mut self, frames: Vec<Decoded>, received_at: Option<Timestamp>) {
        let batch = self.batch(frames, received_at);
        self.step(Input::Batch(batch));
    }

    pub fn batch(&self, frames: Vec<Decoded>, received_at: Option<Timestamp>) -> Batch {
        self.batch_of("stream", frames, received_at)
    }

    pub fn batch_of(&self, source: &str, frames: Vec<Decoded>, received_at: Option<Timestamp>) -> Batch {
        let mut scratch = Scratch::default();
        let item = |decoded| Item::matched(decoded, received_at, &self.rules, &mut scratch);
        Batch::new(source.into(), Arc::clone(&self.rules), frames.into_iter().map(item).collect())
    }

    /// Frames of a recording, in batches of these sizes over and over.
    pub fn feed_in_batches(&mut self, frames: &[Decoded], sizes: &[usize]) {
        let mut rest = frames;
        for &size in sizes.iter().cycle() {
            if rest.is_empty() {
                return;
            }
            let (now, later) = rest.split_at(size.min(rest.len()));
            self.feed_received(now.to_vec(), None);
            rest = later;
        }
    }

    /// Each frame at its time. The process dies after so many frames, again and again, and then
    /// reads once more what lies up to `again` before its cursor.
    pub fn live_through(&mut self, frames: &[Decoded], crashes: &[usize], again: Duration) {
        let time = |frame: &Decoded| Timestamp::from_micros(frame.cursor.unwrap().0);
        let (mut next, mut crashes) = (0, crashes.iter().copied());
        let mut until_crash = crashes.next();
        while let Some(frame) = frames.get(next) {
            self.now = self.now.max(time(frame));
            self.feed_received(vec![frame.clone()], Some(time(frame)));
            next += 1;
            until_crash = match until_crash {
                Some(0) => {
                    self.crash();
                    let cursor = self.model.cursors.values().next().unwrap().0;
                    let resume = Timestamp::from_micros(cursor) - again;
                    next = frames.iter().position(|frame| time(frame) >= resume).unwrap();
                    crashes.next()
                }
                more => more.map(|more| more - 1),
            };
        }
    }

    /// A post that arrives the moment it is written.
    pub fn post(&mut self, id: &str, author: &str, seconds: i64, text: &str) {
        self.now = self.now.max(at(seconds));
        self.feed(vec![posted(id, author, seconds, text)]);
    }

    /// Lets time pass, a tick a second.
    pub fn run_until(&mut self, seconds: i64) {
        while self.now < at(seconds) {
            self.now = self.now + Duration::from_secs(1);
            self.step(Input::Tick);
        }
    }

    /// The clock on the wall is set to that second.
    pub fn set_clock(&mut self, seconds: i64) {
        let set = ClockSet { by: at(seconds).micros() - self.now.micros(), at: at(seconds) };
        self.now = set.at;
        self.step(Input::ClockSet(set));
    }

    pub fn connect(&mut self, resumed_from: Option<i64>) {
        let joint = resumed_from.map_or(Joint::Live, |seconds| Joint::Repeats(Cursor::at(at(seconds))));
        self.step(Input::Connected { source: SourceName::from("stream"), joint });
    }

    pub fn cut(&mut self) {
        self.step(Input::Down { source: SourceName::from("stream"), reason: DownReason::Closed });
    }

    pub fn command(&mut self, incident: &IncidentId, action: Action) -> Result<Incident, Refused> {
        let command = Command {
            incident: incident.clone(),
            by: "ann".to_owned(),
            action,
            reason: "it is our own drill".to_owned(),
        };
        let outcome = self.engine.step(Input::Command(command), self.now);
        self.model.apply(&outcome.commit);
        outcome.reply.unwrap()
    }

    /// Somebody does that at the pager, at that second; it comes back now.
    pub fn at_the_pager(&mut self, incident: &IncidentId, action: Action, seconds: i64) -> Result<Incident, Refused> {
        let (by, reason) = ("Ann Example".to_owned(), "in PagerDuty".to_owned());
        let command = Command { incident: incident.clone(), by, action, reason };
        let answered = Input::Answered { command, knows: Some("pager".into()), at: at(seconds) };
        let outcome = self.engine.step(answered, self.now);
        self.model.apply(&outcome.commit);
        outcome.reply.unwrap()
    }

    /// Silences what fits, for so many seconds from now on.
    pub fn silence(&mut self, matchers: &[&str], seconds: i64) -> Result<Silence, NotSilenced> {
        let matchers = matchers.iter().map(|text| text.parse().unwrap()).collect();
        let until = Timestamp::from_micros(self.now.micros() + seconds * 1_000_000);
        let draft = Draft { matchers, by: "ann".to_owned(), reason: "patch night".to_owned(), from: None, until };
        self.order(Order::Add(draft))
    }

    pub fn order(&mut self, order: Order) -> Result<Silence, NotSilenced> {
        let outcome = self.engine.step(Input::Silence(order), self.now);
        self.model.apply(&outcome.commit);
        outcome.silence.unwrap()
    }

    /// New routes, and the receivers they name besides those there are.
    pub fn reload(&mut self, routes: Vec<Route>) {
        self.reload_people(Routes::of(routes));
    }

    /// New routes and people.
    pub fn reload_people(&mut self, routes: Routes) {
        self.routes = routes;
        let (rules, routes, receivers) = (Arc::clone(&self.rules), self.routes.clone(), self.receivers.clone());
        self.step(Input::Swap { rules, routes, receivers, lessons: Vec::new() });
    }

    /// Other rules, as after a reload.
    pub fn swap_rules(&mut self, rules: Vec<Rule>) {
        self.rules = Arc::new(RuleSet::new(rules));
        self.reload_people(self.routes.clone());
    }

    /// The same rules with so many false alarms in all, as after a reload.
    pub fn keep_within(&mut self, budget: Option<Promise>) {
        let mut rules = RuleSet::new(self.rules.rules().to_vec());
        rules.keep_within(budget);
        self.rules = Arc::new(rules);
        self.reload_people(self.routes.clone());
    }

    /// The process dies; a new one starts from what was committed.
    pub fn crash(&mut self) {
        self.engine = Engine::new(Arc::clone(&self.rules), self.routes.clone(), self.receivers.clone());
        let outcome = self.engine.restore(self.model.restored(), self.now);
        self.model.apply(&outcome.commit);
    }

    /// The only incident there is.
    pub fn incident(&self) -> &Incident {
        assert_eq!(self.model.incidents.len(), 1, "{:#?}", self.model.incidents);
        self.model.incidents.values().next().unwrap()
    }

    pub fn gaps(&self) -> Vec<String> {
        let seconds = |time: Timestamp| (time.micros() - ZERO.micros()) / 1_000_000;
        let gaps = self.model.gaps.values();
        gaps.map(|gap| {
            let to = gap.to.map_or("…".to_owned(), |to| seconds(to).to_string());
            let how = if gap.recovered { "recovered" } else { "lost" };
            format!("{}-{to} {} {how}", seconds(gap.from), gap.reason.as_str())
        })
        .collect()
    }
}
