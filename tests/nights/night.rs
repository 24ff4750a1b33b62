//! One night: what happens, drawn from a seed, and the daemon that lives through it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stormbell::domain::cap::Cap;
use stormbell::domain::commit::Commit;
use stormbell::domain::condition::Condition;
use stormbell::domain::engine::{Action, Batch, Command, Engine, Exercise, Input, Item, Outcome, STORAGE};
use stormbell::domain::event::{Cursor, Decoded, Joint, SourceEvent};
use stormbell::domain::id::{IncidentId, PersonName, ReceiverName};
use stormbell::domain::incident::Severity;
use stormbell::domain::inhibit::Inhibition;
use stormbell::domain::matcher::Scratch;
use stormbell::domain::message::{Delivery, Leased, MessageKind, Undelivered};
use stormbell::domain::oncall::{Hours, Layer, People, Person, Schedule, Weekdays};
use stormbell::domain::route::{NamedTime, OffTimes, Route, Routes, Step, Target};
use stormbell::domain::rule::RuleSet;
use stormbell::domain::scenario;
use stormbell::domain::time::{ClockSet, Timestamp, Zone};
use stormbell::domain::turn::{Limit, Pace};
use stormbell::notify::SendError;
use stormbell::notify::dispatch::{LEASE, ending, room};
use stormbell::notify::receipts::Receipts;
use stormbell::store::{Keeper, Store};
use tempfile::TempDir;

use super::Dice;
use super::account::Account;
use super::service::{Answer, Mood, Service};
use super::support::sim::{authors, frame, minutes, post, rule};

/// Seconds of a night in which things go wrong, …
pub const NIGHT: i64 = 10 * 3600;
/// … and of the morning after, in which whatever waits must come to its end.
pub const MORNING: i64 = 2 * 3600;
/// How long somebody has to answer, step by step, in seconds; then everybody is told, hour after hour.
pub const STEPS: [i64; 3] = [600, 600, 900];
pub const REPEAT: i64 = 3600;
/// Seconds from one look at the clock to the next.
pub const LOOK: i64 = 10;

/// What a run of many nights has to have seen.
pub const EVERYTHING: [&str; 39] = [
    "died before the commit was written",
    "died after the commit was written",
    "died with messages taken out",
    "died after a message was sent",
    "died before others were told of an undelivered message",
    "died while starting",
    "clock set forward",
    "clock set back",
    "clock set while nothing ran",
    "a night on which clocks change",
    "call: Well",
    "call: Down",
    "call: Half",
    "call: Slow",
    "call: Overrun",
    "call: Mute",
    "call: Refuses",
    "given up",
    "overdue",
    "somebody answered",
    "nobody answered to the last resort",
    "taken twice",
    "incidents",
    "began again",
    "muted by a bigger one",
    "kept for a route's time",
    "more than mail takes",
    "told in a digest",
    "the disk refused",
    "the disk took everything again without a restart",
    "died while the disk refused",
    "what was accepted went out while the disk refused",
    "told from memory that the disk refuses",
    "told from memory what waits for the disk",
    "waited for the disk and was told",
    "drills",
    "a drill was told",
    "a drill beside a real one",
    "a drill went on after a restart",
];

/// Where the process may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    BeforeCommit,
    AfterCommit,
    AfterLease,
    AfterSend,
    BeforeTelling,
    Starting,
}

impl Death {
    const ALL: [Self; 6] =
        [Self::BeforeCommit, Self::AfterCommit, Self::AfterLease, Self::AfterSend, Self::BeforeTelling, Self::Starting];

    const fn words(self) -> &'static str {
        match self {
            Self::BeforeCommit => EVERYTHING[0],
            Self::AfterCommit => EVERYTHING[1],
            Self::AfterLease => EVERYTHING[2],
            Self::AfterSend => EVERYTHING[3],
            Self::BeforeTelling => EVERYTHING[4],
            Self::Starting => EVERYTHING[5],
        }
    }
}

/// The process is dead.
struct Dead;
type Lives = Result<(), Dead>;

/// A call that has not been answered.
struct Flight {
    leased: Leased,
    known_at: i64,
    sent: Result<(), SendError>,
}

/// The worker of one receiver.
struct Worker {
    flights: Vec<Flight>,
    pace: Pace,
    /// When to look into the outbox, by the daemon's clock.
    look: Option<Timestamp>,
}

/// The process, while it lives.
struct Daemon {
    engine: Engine,
    exercise: Option<Exercise>,
    disk: Keeper,
    workers: BTreeMap<ReceiverName, Worker>,
    undelivered: Vec<Undelivered>,
    receipts: Receipts,
    next_frame: usize,
    /// What was decided while the disk refuses, and when.
    waiting: Vec<(i64, Commit)>,
    /// People were told that it refuses, and of so many incidents that wait for it.
    told: Option<usize>,
}

/// The world and the daemon in it.
pub struct Night {
    dice: Dice,
    folder: TempDir,
    began: Timestamp,
    /// Seconds since the night began, as they really pass.
    pub second: i64,
    /// By how many seconds the machine's clock is wrong.
    wrong: i64,
    rules: Arc<RuleSet>,
    routes: Routes,
    pub frames: Vec<Decoded>,
    pub services: BTreeMap<ReceiverName, Service>,
    /// What happens when, apart from frames.
    deaths: Vec<(i64, Death)>,
    clock_sets: Vec<(i64, i64)>,
    /// From when until when the disk refuses.
    pub troubles: Vec<(i64, i64)>,
    drills: Vec<i64>,
    answers: Vec<(i64, Command)>,
    answering: u64,
    doom: Option<Death>,
    daemon: Option<Daemon>,
    pub account: Account,
}

impl Night {
    /// Draws a night and lives through it.
    pub fn live(seed: u64) -> Self {
        let mut night = Self::drawn(seed);
        night.begin();
        night.until(NIGHT + MORNING);
        night
    }

    /// A night in which nothing goes wrong by itself: a post at each of these seconds, a disk that refuses, receivers
    /// that take nothing.
    pub fn staged(shots: &[i64], trouble: (i64, i64), down: &[&str]) -> Self {
        let mut night = Self::drawn(0);
        let mut posts: Vec<(i64, Option<&str>)> = (0..60).map(|minute| (60 * minute + 59, None)).collect();
        posts.extend(shots.iter().map(|second| (*second, Some("shots at St Brigids"))));
        posts.sort_unstable();
        let began = night.began;
        night.frames = posts.into_iter().map(|(second, text)| event(began, second, "ann", text)).collect();
        (night.deaths, night.clock_sets, night.drills, night.answering) = (Vec::new(), Vec::new(), Vec::new(), 0);
        night.troubles = vec![trouble];
        night.services = receivers().into_iter().map(|name| (name, Service::well())).collect();
        night.services.extend(down.iter().map(|name| ((*name).into(), Service::down(NIGHT))));
        night.begin();
        night
    }

    /// Lets time pass.
    pub fn until(&mut self, second: i64) {
        while self.second < second {
            self.second += LOOK;
            if self.look().is_err() {
                self.die();
            }
        }
    }

    fn drawn(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let began = dice.pick(&["2026-11-01T00:30:00Z", "2027-03-14T02:00:00Z", "2026-11-25T22:00:00Z"]);
        let mut account = Account::default();
        if !began.starts_with("2026-11-25") {
            account.happened("a night on which clocks change");
        }
        let began = Timestamp::parse(began).unwrap();
        let frames = frames(&mut dice, began);
        let services = receivers().into_iter().map(|name| (name, Service::of(&mut dice, NIGHT))).collect();
        let mut deaths: Vec<(i64, Death)> =
            (0..dice.below(8)).map(|_| (dice.between(0, NIGHT), dice.pick(&Death::ALL))).collect();
        deaths.sort_by_key(|(at, _)| *at);
        let hours = if dice.percent(50) { 0 } else { dice.below(3) };
        let mut clock_sets: Vec<(i64, i64)> =
            (0..hours).map(|_| (dice.between(0, NIGHT), dice.between(-6 * 3600, 6 * 3600))).collect();
        clock_sets.sort_unstable();
        let mut troubles = Vec::new();
        if dice.percent(25) {
            // Mostly while something is about to happen.
            let crises: Vec<i64> = crises(&frames, began).filter(|at| *at > 900 && *at < NIGHT - 7200).collect();
            let from = match &crises[..] {
                [_, ..] if dice.percent(80) => dice.pick(&crises) - dice.between(10, 200),
                _ => dice.between(600, NIGHT - 7200),
            };
            let lasts = dice.pick(&[60, 300, 300, 1800]);
            troubles.push((from, from + dice.between(LOOK, lasts + LOOK)));
            // The clock is set while the disk refuses: one thing at a time.
            clock_sets.retain(|(at, _)| *at < from || *at > from + lasts + 2 * LOOK);
        }
        let drills: BTreeSet<i64> = (0..dice.below(4) / 3).map(|_| dice.between(0, NIGHT - 3600)).collect();
        Self {
            troubles,
            drills: drills.into_iter().collect(),
            answering: dice.pick(&[0, 0, 5, 30]),
            dice,
            // Nothing here depends on a disk: what is asked is what happens around it.
            folder: tempfile::tempdir_in(memory()).unwrap(),
            began,
            second: 0,
            wrong: 0,
            rules: Arc::new(RuleSet::new(rules())),
            routes: routes(),
            frames,
            services,
            deaths,
            clock_sets,
            answers: Vec::new(),
            doom: None,
            daemon: None,
            account,
        }
    }

    /// What the daemon takes for the present.
    fn now(&self) -> Timestamp {
        shifted(self.began, self.second + self.wrong)
    }

    /// Ten seconds, in which everybody does what is due.
    fn look(&mut self) -> Lives {
        self.recover()?;
        if let Some((_, by)) = self.clock_sets.pop_if_first(|(at, _)| *at <= self.second) {
            self.set_clock(by)?;
        }
        if let Some((_, death)) = self.deaths.pop_if_first(|(at, _)| *at <= self.second) {
            self.doom = Some(death);
            if death == Death::Starting {
                return Err(Dead); // and again, when the next one starts
            }
        }
        self.read()?;
        self.step(Input::Tick)?;
        if self.daemon().exercise.is_some() {
            self.step_of_drill(Input::Tick)?;
        }
        if let Some(at) = self.drills.first().copied().filter(|at| *at <= self.second) {
            self.drills.retain(|drill| *drill > at);
            self.drill()?;
        }
        self.watch_disk()?;
        while let Some((_, command)) = self.answers.pop_if_first(|(at, _)| *at <= self.second) {
            self.account.commanded(&command, self.second);
            self.step_of(&command.incident.clone(), Input::Command(command))?;
        }
        for receiver in receivers() {
            self.work(&receiver)?;
        }
        while let Some(undelivered) = self.daemon().undelivered.pop() {
            self.mortal(Death::BeforeTelling)?;
            self.step_of(&undelivered.incident.clone(), Input::Undelivered(undelivered))?;
        }
        let (now, refuses) = (self.now(), self.disk_refuses());
        if self.daemon().receipts.may_ask(refuses, now) {
            let overdue = self.daemon().disk.store().overdue(now).unwrap();
            for overdue in self.daemon().receipts.fresh(overdue) {
                self.account.happened("overdue");
                self.step_of(&overdue.incident.clone(), Input::Overdue(overdue))?;
            }
        }
        Ok(())
    }

    pub fn disk_refuses(&self) -> bool {
        self.troubles.iter().any(|(from, to)| (*from..*to).contains(&self.second))
    }

    /// What waited for the disk is written once it takes everything again.
    fn recover(&mut self) -> Lives {
        if self.disk_refuses() || self.daemon().waiting.is_empty() && self.daemon().told.is_none() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.daemon().waiting);
        let (decided, commits): (Vec<i64>, Vec<Commit>) = waiting.into_iter().unzip();
        self.daemon().disk.commit(&commits).unwrap();
        for (decided, commit) in decided.into_iter().zip(&commits) {
            self.account.waited(commit);
            self.account.committed(commit, decided, self.second);
        }
        self.account.happened("the disk took everything again without a restart");
        self.account.recovered(self.second);
        self.ring();
        if self.daemon().told.take().is_some() {
            self.step(Input::Storage(None))?;
        }
        Ok(())
    }

    /// People are told that nothing can be written, and of what is critical and waits for it.
    fn watch_disk(&mut self) -> Lives {
        if !self.disk_refuses() {
            return Ok(());
        }
        let began = |commit: &Commit| {
            let own = |incident: &IncidentId| commit.incidents.iter().any(|one| one.id == *incident && one.is_own());
            let critical = |incident: &IncidentId| {
                commit.incidents.iter().any(|one| one.id == *incident && one.severity == Severity::Critical)
            };
            let opened = commit.timeline.iter().filter(|entry| matches!(entry.what, "opened" | "reopened"));
            opened.filter(|entry| !own(&entry.incident) && critical(&entry.incident)).count()
        };
        let waits: usize = self.daemon().waiting.iter().map(|(_, commit)| began(commit)).sum();
        let told = self.daemon().told.replace(waits);
        if told.is_none_or(|told| waits > told) {
            if told.is_none() {
                self.account.refused(self.second);
            }
            if waits > 0 {
                self.account.happened("told from memory what waits for the disk");
            }
            self.step(Input::Storage(Some(format!("the disk is full; {waits} wait"))))?;
        }
        Ok(())
    }

    fn drill(&mut self) -> Lives {
        if self.daemon().exercise.as_ref().is_some_and(|exercise| !exercise.is_over()) {
            return Ok(());
        }
        let now = self.now();
        let mut posts = scenario::posts("active-threat", "St Brigids", now).unwrap();
        for post in &mut posts {
            "shots at St Brigids".clone_into(&mut post.text);
        }
        let daemon = self.daemon();
        let beside = daemon.engine.incidents().any(|incident| incident.topic.as_str() == "threat");
        let (exercise, outcome) = Exercise::begin(posts, &daemon.engine, now);
        daemon.exercise = Some(exercise);
        self.account.happened("drills");
        if beside {
            self.account.happened("a drill beside a real one");
        }
        self.commit(outcome.commit)
    }

    fn step_of_drill(&mut self, input: Input) -> Lives {
        let now = self.now();
        let Some(exercise) = self.daemon().exercise.as_mut() else { return Ok(()) };
        let outcome = exercise.step(input, now);
        self.daemon().exercise.take_if(|exercise| exercise.is_over());
        self.commit(outcome.commit)
    }

    /// A step about an incident, by the engine that has it.
    fn step_of(&mut self, incident: &IncidentId, input: Input) -> Lives {
        if self.daemon().exercise.as_ref().is_some_and(|exercise| exercise.knows(incident)) {
            return self.step_of_drill(input);
        }
        self.step(input)
    }

    fn ring(&mut self) {
        let now = self.now();
        self.daemon().workers.values_mut().for_each(|worker| worker.look = Some(now));
    }

    fn set_clock(&mut self, by: i64) -> Lives {
        self.wrong += by;
        self.account.happened(if by > 0 { "clock set forward" } else { "clock set back" });
        let set = ClockSet { by: by * 1_000_000, at: self.now() };
        self.step_of_drill(Input::ClockSet(set))?;
        self.step(Input::ClockSet(set))
    }

    /// Reads the frames that came meanwhile.
    fn read(&mut self) -> Lives {
        let (second, began) = (self.second, self.began);
        let first = self.daemon().next_frame;
        let came = |frame: &&Decoded| frame.cursor.unwrap().0 <= shifted(began, second).micros();
        let frames: Vec<Decoded> = self.frames[first..].iter().take_while(came).cloned().collect();
        self.daemon().next_frame += frames.len();
        if frames.is_empty() {
            return Ok(());
        }
        let (mut scratch, received) = (Scratch::default(), Some(self.now()));
        let item = |decoded| Item::matched(decoded, received, &self.rules, &mut scratch);
        let items = frames.into_iter().map(item).collect();
        self.step(Input::Batch(Batch::new("stream".into(), Arc::clone(&self.rules), items)))
    }

    fn step(&mut self, input: Input) -> Lives {
        let now = self.now();
        let Outcome { commit, .. } = self.daemon().engine.step(input, now);
        self.commit(commit)
    }

    fn commit(&mut self, commit: Commit) -> Lives {
        if commit.is_empty() {
            return Ok(());
        }
        if self.disk_refuses() {
            self.set_aside(&commit);
            let second = self.second;
            self.daemon().waiting.push((second, commit));
            return Ok(());
        }
        if commit.is_urgent() {
            self.mortal(Death::BeforeCommit)?;
        }
        self.daemon().disk.commit(std::slice::from_ref(&commit)).unwrap();
        self.account.committed(&commit, self.second, self.second);
        if !commit.outbox.is_empty() || commit.clock_set.is_some() {
            self.mortal(Death::AfterCommit)?;
            self.ring();
        }
        Ok(())
    }

    /// What is about the disk goes out before it is on it.
    fn set_aside(&mut self, commit: &Commit) {
        let about = |delivery: &&Delivery| delivery.message.incident.topic.as_str() == STORAGE;
        let urgent: Vec<Delivery> = commit.outbox.iter().filter(about).cloned().collect();
        if !urgent.is_empty() {
            self.account.set_aside(&urgent, commit);
            self.daemon().disk.set_aside(urgent);
            self.ring();
        }
    }

    /// The worker of a receiver: what was answered is written down, what is due is sent.
    fn work(&mut self, receiver: &ReceiverName) -> Lives {
        let (second, now) = (self.second, self.now());
        let worker = self.daemon().workers.get_mut(receiver).unwrap();
        let (answered, flying): (Vec<_>, Vec<_>) = worker.flights.drain(..).partition(|one| one.known_at <= second);
        worker.flights = flying;
        let due = worker.look.is_some_and(|look| look <= now);
        if !due && answered.is_empty() {
            return Ok(());
        }
        for Flight { leased, sent, .. } in answered {
            self.mortal(Death::AfterSend)?;
            if let Err(SendError::Retry { after: Some(after), .. }) = &sent {
                self.daemon().workers.get_mut(receiver).unwrap().pace.hold(now, *after);
            }
            let attempt = ending(&leased.delivery, leased.attempt, now, sent);
            let (refuses, id) = (self.disk_refuses(), leased.delivery.id.clone());
            let disk = &mut self.daemon().disk;
            let told =
                if refuses { disk.finish_without_disk(&id, &attempt, now) } else { disk.finish(&id, &attempt, now) };
            let told = told.unwrap();
            if refuses {
                self.account.ended_in_memory(&id);
            }
            self.account.finished(&leased, &attempt, second);
            self.daemon().undelivered.extend(told);
        }
        loop {
            let refuses = self.disk_refuses();
            let daemon = self.daemon.as_mut().unwrap();
            let worker = daemon.workers.get_mut(receiver).unwrap();
            let room = room(worker.flights.len(), &mut worker.pace, now);
            let leased = match room {
                room if room.is_none() => Vec::new(),
                room if refuses => daemon.disk.lease_without_disk(receiver, now, LEASE, room).unwrap(),
                room => daemon.disk.lease(receiver, now, LEASE, room).unwrap(),
            };
            worker.pace.sent(leased.len());
            if leased.is_empty() {
                // What it says of memory nobody knows: it is asked again soon.
                let next = if refuses { Some(now) } else { daemon.disk.store().next_due(receiver).unwrap() };
                worker.look = next.map(|next| next.max(now + Duration::from_secs(5)));
                return Ok(());
            }
            self.mortal(Death::AfterLease)?;
            for leased in leased {
                self.call(receiver, leased);
            }
        }
    }

    fn call(&mut self, receiver: &ReceiverName, leased: Leased) {
        let service = self.services.get_mut(receiver).unwrap();
        let mood = service.mood(self.second);
        let Answer { sent, after, taken } = service.call(&leased, self.second, &mut self.dice);
        self.account.happened(mood_word(mood));
        if self.disk_refuses() {
            self.account.called_in_trouble(&leased, self.second);
        }
        self.account.called(&leased, taken, self.second);
        if taken && self.dice.percent(self.answering) {
            self.will_answer(&leased);
        }
        let known_at = self.second + after;
        self.daemon().workers.get_mut(receiver).unwrap().flights.push(Flight { leased, known_at, sent });
    }

    /// Somebody who was told takes charge, and perhaps ends it, in their own time.
    fn will_answer(&mut self, leased: &Leased) {
        let message = &leased.delivery.message;
        if !matches!(message.kind, MessageKind::Opened | MessageKind::Updated | MessageKind::Escalated) {
            return;
        }
        let acknowledged = self.second + self.dice.between(10, 3000);
        let mut order = |at, action| {
            let (incident, by) = (message.incident.id.clone(), "somebody".to_owned());
            self.answers.push((at, Command { incident, by, action, reason: String::new() }));
        };
        order(acknowledged, Action::Acknowledge);
        if self.dice.percent(50) {
            order(acknowledged + self.dice.between(60, 7200), Action::Resolve);
        }
        self.answers.sort_by_key(|(at, _)| *at);
    }

    fn mortal(&mut self, at: Death) -> Lives {
        // A death that found no moment in the night is not for the morning.
        if self.doom == Some(at) && self.second < NIGHT {
            self.doom = None;
            self.account.happened(at.words());
            return Err(Dead);
        }
        Ok(())
    }

    /// Nothing of the process is left; after a while another one starts.
    fn die(&mut self) {
        self.daemon = None;
        if self.disk_refuses() {
            self.account.memory_lost(self.second);
        }
        let pause = if self.dice.percent(70) { LOOK } else { self.dice.between(LOOK, 1800) };
        self.account.down(self.second, self.second + pause);
        self.second += pause;
        // One that cannot write at all does not start: the disk refuses until it does.
        while self.disk_refuses() {
            self.account.down(self.second, self.second + LOOK);
            self.second += LOOK;
        }
        if self.dice.percent(5) {
            let by = self.dice.between(-3 * 3600, 3 * 3600);
            self.wrong += by;
            self.account.happened("clock set while nothing ran");
            self.account.clock_lost = true;
        }
        self.begin();
    }

    fn begin(&mut self) {
        while self.start().is_err() {
            self.daemon = None;
        }
    }

    fn start(&mut self) -> Lives {
        let now = self.now();
        let mut store = Store::open(&self.database()).unwrap();
        store.hurry(now).unwrap();
        let mut restored = store.restore(Timestamp::default()).unwrap();
        restored.ended = store.ended_since(now - self.routes.terms.reopen_within).unwrap();
        let cursor = restored.cursors.values().next().copied();
        let mut engine = Engine::new(Arc::clone(&self.rules), self.routes.clone(), receivers());
        let (exercise, begun) = Exercise::resume(&mut restored, &engine, now).unzip();
        if exercise.is_some() {
            self.account.happened("a drill went on after a restart");
        }
        let first = engine.restore(restored, now);
        let resume = cursor.map(|cursor| Cursor(cursor.0 - 5_000_000));
        let next_frame = resume.map_or(0, |resume| {
            self.frames.iter().position(|frame| frame.cursor.unwrap() >= resume).unwrap_or(self.frames.len())
        });
        let slow = Limit { burst: 5, every: Duration::from_secs(1) };
        let worker = |name: &ReceiverName| Worker {
            flights: Vec::new(),
            pace: Pace::new(Some(slow).filter(|_| name.as_str() == "sms")),
            look: Some(now),
        };
        let workers = receivers().into_iter().map(|name| (name.clone(), worker(&name))).collect();
        self.daemon = Some(Daemon {
            engine,
            exercise,
            disk: Keeper::of(store),
            workers,
            undelivered: Vec::new(),
            receipts: Receipts::default(),
            next_frame,
            waiting: Vec::new(),
            told: None,
        });
        self.mortal(Death::Starting)?;
        self.commit(first.commit)?;
        if let Some(begun) = begun {
            self.commit(begun.commit)?;
        }
        self.step(Input::Connected { source: "stream".into(), joint: cursor.map_or(Joint::Live, Joint::Repeats) })
    }

    fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().unwrap()
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("stormbell.db")
    }

    /// How the outbox has a message, for those who look for a mistake.
    pub fn row(&self, id: &stormbell::domain::id::DeliveryId) -> String {
        let sql = rusqlite::Connection::open(self.folder.path().join("stormbell.db")).unwrap();
        let columns = "state || ' due ' || (due - ?2) || ' leased until ' || coalesce(leased_until - ?2, 'never')
                       || ' attempts ' || attempts || ' ' || coalesce(error, '')";
        let now = self.now().micros();
        let query = format!("SELECT {columns} FROM outbox WHERE id = ?1");
        sql.query_row(&query, rusqlite::params![id.as_str(), now], |row| row.get(0)).unwrap()
    }

    /// What the last process left.
    pub fn store(&self) -> &Store {
        self.daemon.as_ref().unwrap().disk.store()
    }
}

trait PopIfFirst<T> {
    fn pop_if_first(&mut self, is_due: impl Fn(&T) -> bool) -> Option<T>;
}

impl<T> PopIfFirst<T> for Vec<T> {
    fn pop_if_first(&mut self, is_due: impl Fn(&T) -> bool) -> Option<T> {
        self.first().is_some_and(is_due).then(|| self.remove(0))
    }
}

const fn mood_word(mood: Mood) -> &'static str {
    match mood {
        Mood::Well => "call: Well",
        Mood::Down => "call: Down",
        Mood::Half => "call: Half",
        Mood::Slow => "call: Slow",
        Mood::Overrun => "call: Overrun",
        Mood::Mute => "call: Mute",
        Mood::Refuses => "call: Refuses",
    }
}

fn memory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

pub fn shifted(from: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_micros(from.micros() + seconds * 1_000_000)
}

pub fn receivers() -> Vec<ReceiverName> {
    ["log", "mail", "pager", "sms"].map(ReceiverName::from).to_vec()
}

fn rules() -> Vec<stormbell::domain::rule::Rule> {
    vec![
        rule("threat.shots", "threat", Severity::Critical, "$org shots", Condition::Match),
        rule("talk.rumour", "talk", Severity::High, "$org rumour", authors(2, 10)),
        rule("service.queue", "service", Severity::Medium, "$org queue", Condition::Match),
    ]
}

/// Who is on call, ten minutes later who is then, then Meg, then everybody each hour; the rest goes to mail and chat.
fn routes() -> Routes {
    let zone = || Zone::of(jiff::tz::TimeZone::get("America/New_York").unwrap());
    let person = |contact: &[(&str, &str)]| Person {
        contact: contact.iter().map(|(receiver, at)| ((*receiver).into(), (*at).to_owned())).collect(),
        zone: zone(),
        quiet: Vec::new(),
        language: None,
    };
    let persons = [
        ("ann", person(&[("sms", "+1555001"), ("mail", "ann@h.example")])),
        ("bob", person(&[("sms", "+1555002")])),
        ("meg", person(&[("sms", "+1555003"), ("mail", "meg@h.example")])),
    ];
    let start: jiff::civil::DateTime = "2026-10-31T01:30".parse().unwrap();
    let rotation = ["ann", "bob"].map(PersonName::from).to_vec();
    let layer = Layer { rotation, start: start.into(), every: Duration::from_hours(24), only: Vec::new() };
    let people = People {
        persons: persons.map(|(name, person)| (name.into(), person)).into(),
        teams: BTreeMap::new(),
        schedules: [("press".into(), Schedule { zone: zone(), layers: vec![layer], overrides: Vec::new() })].into(),
    };
    let receiver = |name: &str| Target::Receiver(name.into());
    let on_call = || vec![Target::Schedule("press".into()), receiver("pager")];
    let everybody = ["ann", "bob", "meg"].map(|name| Target::Person(name.into()));
    let last = everybody.into_iter().chain(receivers().into_iter().map(Target::Receiver)).collect();
    let wait = |seconds: i64| Some(Duration::from_secs(seconds.unsigned_abs()));
    let step = |notify, ack_within| Step { notify, ack_within };
    let grave = Route {
        severity: vec![Severity::Critical],
        steps: vec![
            step(on_call(), wait(STEPS[0])),
            step(on_call(), wait(STEPS[1])),
            step(vec![Target::Person("meg".into())], wait(STEPS[2])),
            step(last, None),
        ],
        repeat_every: wait(REPEAT),
        last_resort: true,
        ..Route::default()
    };
    let other = Route {
        steps: vec![step(vec![receiver("mail")], Some(minutes(15))), step(vec![receiver("pager")], None)],
        off: OffTimes { mute: vec![small_hours(zone())], active: Vec::new() },
        ..Route::default()
    };
    let matchers = |text: &str| vec![text.parse().unwrap()];
    let inhibition =
        Inhibition { source: matchers("topic=threat"), target: matchers("topic=service"), same_family: false };
    Routes {
        list: vec![grave, other],
        people: Arc::new(people),
        inhibitions: vec![inhibition],
        caps: [("mail".into(), Cap { most: 2, within: minutes(60) })].into(),
        ..Routes::default()
    }
}

/// Half of it is skipped on one night, and comes twice on another.
fn small_hours(zone: Zone) -> NamedTime {
    let hours = vec![Hours { days: Weekdays::ALL, from: 60, to: 150 }];
    NamedTime { name: "small-hours".to_owned(), zone, hours }
}

/// When somebody wrote of shots, in seconds of the night.
fn crises(frames: &[Decoded], began: Timestamp) -> impl Iterator<Item = i64> {
    let of_shots = frames.iter().filter(|frame| match &frame.event {
        Ok(SourceEvent::Post(post)) => post.text.contains("shots"),
        _ => false,
    });
    of_shots.map(move |frame| (frame.cursor.unwrap().0 - began.micros()) / 1_000_000)
}

/// What is heard at a second: a post, or something else.
fn event(began: Timestamp, second: i64, author: &str, text: Option<&str>) -> Decoded {
    let at = shifted(began, second);
    let event = text
        .map_or(SourceEvent::Other, |text| SourceEvent::Post(Box::new(post(&format!("p{second}"), author, at, text))));
    frame(Ok(event), at)
}

/// A night's posts: crises, rumours, queues, and other events all the time.
fn frames(dice: &mut Dice, began: Timestamp) -> Vec<Decoded> {
    let mut posts: BTreeMap<i64, Decoded> = BTreeMap::new();
    let mut add = |second: i64, author: &str, text: Option<&str>| {
        posts.insert(second, event(began, second, author, text));
    };
    for minute in 0..(NIGHT + MORNING) / 60 {
        add(60 * minute + 59, "nobody", None);
    }
    let mut talk = |times: u64, text: &str| {
        for _ in 0..dice.below(times) {
            let from = dice.between(0, NIGHT);
            for _ in 0..=dice.below(4) {
                let second = from + dice.between(0, 400);
                add(second, &format!("author{}", dice.below(9)), Some(text));
            }
        }
    };
    talk(4, "shots at St Brigids");
    talk(3, "a rumour about St Brigids");
    talk(3, "the queue at St Brigids is long");
    posts.into_values().collect()
}
