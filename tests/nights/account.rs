//! What really happened in a night, and what must be true of it.

use std::collections::{BTreeMap, BTreeSet};

use stormbell::domain::addressee::Addressee;
use stormbell::domain::commit::Commit;
use stormbell::domain::engine::{Action, Command};
use stormbell::domain::event::SourceEvent;
use stormbell::domain::id::{DeliveryId, IncidentId};
use stormbell::domain::incident::{Alert, Incident, IncidentState, TimelineEntry};
use stormbell::domain::message::{Attempt, Delivery, Leased, MessageKind, RECEIPT};
use stormbell::domain::time::Timestamp;

use super::night::{LOOK, MORNING, NIGHT, Night, REPEAT, STEPS};

/// Seconds within which a message comes to its end while all is well, whatever it went through before.
const TRIED: i64 = 900;

/// A message that a service has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub second: i64,
    pub id: DeliveryId,
    pub incident: IncidentId,
    pub kind: MessageKind,
}

/// Everything that happened.
#[derive(Default)]
pub struct Account {
    pub taken: Vec<Taken>,
    /// The clock was set while nothing ran: nobody can know how long it was.
    pub clock_lost: bool,
    events: BTreeMap<&'static str, u64>,
    messages: BTreeMap<DeliveryId, (i64, Delivery)>,
    /// Messages that were written down as ended, and how.
    ended: BTreeMap<DeliveryId, Attempt>,
    ended_at: BTreeMap<DeliveryId, i64>,
    /// Calls that nobody wrote down the end of, or whose answer was no yes.
    unsure: BTreeSet<DeliveryId>,
    alerts: Vec<Alert>,
    incidents: BTreeMap<IncidentId, Incident>,
    timeline: Vec<(i64, TimelineEntry)>,
    downtimes: Vec<(i64, i64)>,
    /// Of each line (receiver, incident, person) the newest message sent.
    sent: BTreeMap<String, u32>,
    told_by: BTreeMap<IncidentId, i64>,
    /// Messages about the disk that are not on it yet.
    aside: BTreeSet<DeliveryId>,
    aside_timeline: Vec<TimelineEntry>,
    aside_incidents: BTreeSet<IncidentId>,
    /// Incidents about the disk that only a process knew which died.
    orphans: BTreeSet<IncidentId>,
    /// What became of messages while the disk refused, and only memory knows.
    in_memory: BTreeSet<DeliveryId>,
    /// What memory knew of them died with it.
    forgotten: BTreeSet<DeliveryId>,
    /// When the disk refused, until when, and when somebody was first called about that.
    troubles: Vec<Refusal>,
    decided: BTreeMap<DeliveryId, i64>,
}

/// A time in which the disk refused, as somebody noticed it.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    from: i64,
    /// It took everything again, or the process died.
    to: Option<i64>,
    called: Option<i64>,
}

impl Account {
    pub fn happened(&mut self, what: &'static str) {
        *self.events.entry(what).or_default() += 1;
    }

    pub fn down(&mut self, from: i64, to: i64) {
        self.downtimes.push((from, to));
    }

    /// When the history has that of an incident, by when it was decided.
    pub fn said(&self, what: &str, text: &str) -> Vec<i64> {
        let of_it = |(_, entry): &&(i64, TimelineEntry)| {
            entry.what == what && (entry.by.contains(text) || entry.text.contains(text))
        };
        self.timeline.iter().filter(of_it).map(|(second, _)| *second).collect()
    }

    pub fn commanded(&mut self, command: &Command, second: i64) {
        if command.action == Action::Acknowledge {
            self.told_by.entry(command.incident.clone()).or_insert(second);
            self.happened("somebody answered");
        }
    }

    /// The disk begins to refuse.
    pub fn refused(&mut self, second: i64) {
        self.happened("the disk refused");
        self.troubles.push(Refusal { from: second, to: None, called: None });
    }

    /// It takes everything again.
    pub fn recovered(&mut self, second: i64) {
        self.in_memory.clear();
        self.aside_incidents.clear();
        if let Some(refusal) = self.troubles.last_mut().filter(|refusal| refusal.to.is_none()) {
            refusal.to = Some(second);
        }
    }

    /// The process died while the disk refused: what only memory knew is as if it had not been.
    pub fn memory_lost(&mut self, second: i64) {
        self.happened("died while the disk refused");
        for id in std::mem::take(&mut self.in_memory) {
            self.ended.remove(&id);
            self.ended_at.remove(&id);
            self.forgotten.insert(id);
        }
        let orphans = std::mem::take(&mut self.aside_incidents);
        self.orphans.extend(orphans);
        self.aside.clear();
        if let Some(refusal) = self.troubles.last_mut().filter(|refusal| refusal.to.is_none()) {
            // What was decided meanwhile is decided anew.
            self.downtimes.push((refusal.from, second));
            refusal.to = Some(refusal.from);
        }
    }

    /// Messages about the disk, before they are on it.
    pub fn set_aside(&mut self, urgent: &[Delivery], commit: &Commit) {
        self.aside.extend(urgent.iter().map(|delivery| delivery.id.clone()));
        self.aside_timeline.extend(commit.timeline.iter().cloned());
        self.aside_incidents.extend(urgent.iter().map(|delivery| delivery.message.incident.id.clone()));
    }

    /// A service is called while the disk refuses.
    pub fn called_in_trouble(&mut self, leased: &Leased, second: i64) {
        let id = &leased.delivery.id;
        self.in_memory.insert(id.clone());
        if self.aside.contains(id) {
            self.happened("told from memory that the disk refuses");
            if let Some(refusal) = self.troubles.last_mut() {
                refusal.called.get_or_insert(second);
            }
        } else {
            assert!(self.messages.contains_key(id), "new, and not on disk: {leased:?}");
            self.happened("what was accepted went out while the disk refused");
        }
    }

    /// Only memory knows how it ended.
    pub fn ended_in_memory(&mut self, id: &DeliveryId) {
        self.in_memory.insert(id.clone());
    }

    /// Something waited for the disk.
    pub fn waited(&mut self, commit: &Commit) {
        let told = commit.outbox.iter().any(|delivery| !self.aside.contains(&delivery.id));
        if told {
            self.happened("waited for the disk and was told");
        }
    }

    /// The disk has what was decided a while ago, or just now.
    pub fn committed(&mut self, commit: &Commit, decided: i64, second: i64) {
        self.alerts.extend(commit.alerts.iter().cloned());
        self.incidents.extend(commit.incidents.iter().map(|incident| (incident.id.clone(), incident.clone())));
        self.timeline.extend(commit.timeline.iter().map(|entry| (decided, entry.clone())));
        for entry in &commit.timeline {
            match entry.what {
                "reopened" => self.happened("began again"),
                "muted" if entry.text.starts_with("route ") => self.happened("kept for a route's time"),
                "muted" => self.happened("muted by a bigger one"),
                "held" => self.happened("more than mail takes"),
                "digest" => self.happened("told in a digest"),
                _ => {}
            }
        }
        for delivery in &commit.outbox {
            self.aside.remove(&delivery.id);
            self.decided.insert(delivery.id.clone(), decided);
            let known = self.messages.insert(delivery.id.clone(), (second, delivery.clone()));
            assert!(known.is_none(), "written twice: {delivery:?}");
        }
    }

    /// A service is called.
    pub fn called(&mut self, leased: &Leased, taken: bool, second: i64) {
        let Delivery { id, receiver, recipient, message, .. } = &leased.delivery;
        let is_known = self.messages.contains_key(id) || self.aside.contains(id);
        assert!(is_known, "told before it was committed: {leased:?}");
        assert!(!self.ended.contains_key(id), "sent again after its end was written: {leased:?}");
        let before = self.taken.iter().any(|taken| taken.id == *id);
        assert!(!before || self.unsure.contains(id), "sent again for no reason: {leased:?}");
        if before && taken {
            self.happened("taken twice");
            assert!(
                leased.attempt > 1 || self.forgotten.contains(id),
                "a repetition has to be known as one: {leased:?}"
            );
        }
        let line = format!("{receiver} {} {recipient:?}", message.incident.id);
        let newest = self.sent.entry(line).or_default();
        let is_newest = *newest <= message.incident.revision;
        assert!(is_newest || self.forgotten.contains(id), "overtaken: {leased:?}");
        *newest = message.incident.revision;
        self.explained(&leased.delivery);
        self.unsure.insert(id.clone());
        if taken && message.incident.exercise {
            self.happened("a drill was told");
        }
        if taken {
            let (id, incident, kind) = (id.clone(), message.incident.id.clone(), message.kind);
            self.taken.push(Taken { second, id, incident, kind });
        }
    }

    /// The store knows how a call ended.
    pub fn finished(&mut self, leased: &Leased, attempt: &Attempt, second: i64) {
        let id = &leased.delivery.id;
        match attempt {
            Attempt::Retry { .. } => return,
            Attempt::Parked { .. } => self.happened("given up"),
            Attempt::Delivered => {}
        }
        self.ended.insert(id.clone(), attempt.clone());
        self.ended_at.insert(id.clone(), second);
    }

    /// Whoever is woken can be told why: by the incident, its rule, and a line of its history of that moment.
    fn explained(&self, delivery: &Delivery) {
        let (message, incident) = (&delivery.message, &delivery.message.incident);
        assert!(!incident.why.is_empty() && !incident.rules.is_empty() && !incident.title.is_empty(), "{delivery:?}");
        self.is_no_other(incident);
        let of_that_moment = |entry: &TimelineEntry| entry.incident == incident.id && entry.at == message.at;
        let told = self.timeline.iter().map(|(_, entry)| entry).chain(&self.aside_timeline).any(of_that_moment);
        assert!(told, "nothing in the history says why: {delivery:?}");
    }

    /// A drill says so in every message, and nothing real does.
    fn is_no_other(&self, incident: &Incident) {
        let known = self.incidents.get(&incident.id);
        assert!(known.is_none_or(|known| known.exercise == incident.exercise), "{incident:?}");
        assert_eq!(incident.exercise, incident.title.starts_with("EXERCISE: "), "{incident:?}");
    }

    /// The account at the end of the night.
    pub fn close(&self, night: &Night) -> BTreeMap<&'static str, u64> {
        self.every_crisis_was_found_once(night);
        self.every_message_came_to_an_end(night);
        self.every_failure_was_told();
        self.every_missing_receipt_was_told_in_time();
        self.somebody_learnt_of_every_crisis();
        self.services_show_how_things_stand(night);
        self.what_waits_for_a_digest_is_told_or_over();
        self.whoever_is_there_hears_of_the_disk();
        self.a_drill_hides_nothing();
        let mut events = self.events.clone();
        events.insert("incidents", self.incidents.len() as u64);
        *events.entry("nobody answered to the last resort").or_default() += self.escalations_came_in_time();
        events
    }

    fn every_crisis_was_found_once(&self, night: &Night) {
        for (rule, word) in [("threat.shots", "shots"), ("service.queue", "queue")] {
            let mut found: Vec<&str> = self
                .alerts
                .iter()
                .filter(|alert| alert.rule.as_str() == rule)
                .map(|a| a.post.as_ref().unwrap().as_str())
                .collect();
            found.sort_unstable();
            let mut written: Vec<&str> = night
                .frames
                .iter()
                .filter_map(|frame| match &frame.event {
                    Ok(SourceEvent::Post(post)) if post.text.contains(word) => Some(post.id.as_str()),
                    _ => None,
                })
                .collect();
            written.sort_unstable();
            assert_eq!(found, written, "{rule}");
        }
    }

    fn every_message_came_to_an_end(&self, night: &Night) {
        let in_time = self.messages.iter().filter(|(_, (second, _))| *second < NIGHT + MORNING - TRIED);
        for (id, (second, delivery)) in in_time {
            assert!(
                self.ended.contains_key(id),
                "without an end since {second}, now {:?}: {delivery:?}",
                night.row(id)
            );
        }
        let restored = night.store().restore(Timestamp::default()).unwrap();
        assert!(restored.undelivered.is_empty(), "nobody was told: {:?}", restored.undelivered);
    }

    /// What was given up stands in the incident's history, and if the incident lasts, somebody else is told.
    fn every_failure_was_told(&self) {
        let parked = self.ended.iter().filter(|(_, attempt)| matches!(attempt, Attempt::Parked { .. }));
        for (id, _) in parked {
            let delivery = &self.messages[id].1;
            let incident = &delivery.message.incident;
            let entry =
                self.timeline.iter().find(|(_, entry)| entry.incident == incident.id && entry.what == "undelivered");
            let (second, _) = entry.unwrap_or_else(|| panic!("given up in silence: {delivery:?}"));
            let over = self.timeline.iter().any(|(_, e)| e.incident == incident.id && e.what == "resolved");
            let about = |topic: &str| {
                topic.starts_with(&format!("stormbell.undelivered.{}.{}", incident.id, delivery.receiver))
            };
            let others_know = self.incidents.values().any(|incident| about(incident.topic.as_str()));
            let own = incident.topic.as_str().starts_with("stormbell.undelivered.");
            assert!(own || over || others_know, "given up at {second}, and nobody else was told: {delivery:?}");
        }
    }

    /// Who is to be woken has it within three quarters of a minute, or somebody else is told that they do not.
    fn every_missing_receipt_was_told_in_time(&self) {
        let awaited = self.messages.iter().filter(|(_, (_, delivery))| {
            delivery.receipt_by().is_some() && !delivery.message.incident.topic.as_str().starts_with("stormbell.")
        });
        for (id, (second, delivery)) in awaited {
            let by = second + i64::try_from(RECEIPT.as_secs()).unwrap() + 2 * LOOK;
            let incident = &delivery.message.incident.id;
            let to = Addressee { receiver: delivery.receiver.clone(), recipient: delivery.recipient.clone() };
            let since =
                |(at, entry): &&(i64, TimelineEntry)| (*second..=by).contains(at) && entry.incident == *incident;
            let said = |what: &str| {
                self.timeline.iter().filter(since).filter(|(_, entry)| entry.what == what).collect::<Vec<_>>()
            };
            let is_told = said("overdue").iter().any(|(_, entry)| entry.by == to.to_string());
            let has_it = self.ended_at.get(id).is_some_and(|ended| *ended <= by);
            // While the disk refuses nobody asks, nor for as long as a receipt may take after that.
            let refused = self.troubles.iter().filter(|one| one.from <= by && one.to.is_none_or(|to| *second <= to));
            let refused = refused.count() > 0;
            let nobody_waits = !said("acknowledged").is_empty() || !said("resolved").is_empty();
            let other_world = self.clock_lost || by > NIGHT + MORNING || self.down_between(*second, by) > 0 || refused;
            assert!(has_it || nobody_waits || other_world || is_told, "no receipt, and nobody told: {delivery:?}");
        }
    }

    /// Somebody has heard of every crisis, or at least that somebody could not be told of it.
    fn somebody_learnt_of_every_crisis(&self) {
        let real = |incident: &&Incident| incident.topic.as_str() == "threat" && !incident.exercise;
        for incident in self.incidents.values().filter(real) {
            let of_it = |taken: &Taken| taken.incident == incident.id && taken.kind != MessageKind::Resolved;
            let about = format!("stormbell.undelivered.{}.", incident.id);
            let notices: BTreeSet<&IncidentId> = self
                .incidents
                .values()
                .filter(|notice| notice.topic.as_str().starts_with(&about))
                .map(|n| &n.id)
                .collect();
            let learnt = self.taken.iter().any(|taken| of_it(taken) || notices.contains(&taken.incident));
            assert!(learnt, "nobody ever heard of {incident:?}");
        }
    }

    /// That nothing can be written is said to somebody at once, whoever is there to hear it.
    fn whoever_is_there_hears_of_the_disk(&self) {
        for Refusal { from, to, called } in &self.troubles {
            let long = to.is_none_or(|to| to - from > 6 * LOOK);
            let at_once = called.is_some_and(|called| called - from <= 6 * LOOK);
            assert!(!long || at_once, "since {from} until {to:?}, and nobody called until {called:?}");
        }
    }

    /// What is real is neither muted by a drill nor part of one.
    fn a_drill_hides_nothing(&self) {
        let drills: BTreeSet<&IncidentId> =
            self.incidents.values().filter(|incident| incident.exercise).map(|one| &one.id).collect();
        for incident in self.incidents.values().filter(|incident| !incident.exercise) {
            let muted = incident.muted.as_ref().map(|muted| format!("{muted:?}")).unwrap_or_default();
            assert!(drills.iter().all(|drill| !muted.contains(drill.as_str())), "{incident:?}");
        }
        for alert in &self.alerts {
            assert!(!drills.contains(&alert.incident), "{alert:?}");
            let posts = alert.decided_by.iter().chain(&alert.post);
            assert!(posts.into_iter().all(|post| !post.as_str().starts_with("exercise/")), "{alert:?}");
        }
    }

    /// What is more than a receiver takes in an hour is told at its end, unless the matter is over or muted by then.
    fn what_waits_for_a_digest_is_told_or_over(&self) {
        let waiting =
            self.timeline.iter().enumerate().filter(|(_, (_, entry))| entry.text.ends_with("waits for the digest"));
        for (place, (second, entry)) in waiting.filter(|(_, (second, _))| *second < NIGHT + MORNING - 2 * REPEAT) {
            let ends = ["digest", "resolved", "muted"];
            let end = self
                .timeline
                .iter()
                .skip(place)
                .find(|(_, later)| later.incident == entry.incident && ends.contains(&later.what));
            let Some((end, _)) = end else { panic!("forgotten since {second}: {entry:?}") };
            let late = end - second > REPEAT + 2 * LOOK + self.down_between(*second, *end);
            let is_muted = self.incidents[&entry.incident].muted.is_some();
            assert!(!late || is_muted || self.clock_lost, "told {} s later: {entry:?}", end - second);
        }
    }

    /// Behind the pager an alarm is open exactly while its incident is; and it rings anew only when that begins again.
    fn services_show_how_things_stand(&self, night: &Night) {
        let pager = &night.services[&stormbell::domain::id::ReceiverName::from("pager")];
        for (incident, alarm) in &pager.alarms {
            // What only memory knew died with it; its alarm is for people to end.
            let died = self.orphans.contains(incident.as_str());
            let Some(incident) = self.incidents.get(incident.as_str()) else {
                assert!(died, "an alarm of an incident that never was: {incident}");
                continue;
            };
            let gave_up = |(id, attempt): (&DeliveryId, &Attempt)| {
                let delivery = &self.messages[id].1;
                matches!(attempt, Attempt::Parked { .. })
                    && delivery.message.incident.id == incident.id
                    && delivery.receiver.as_str() == "pager"
            };
            let is_under_way = |(id, (_, delivery)): (&DeliveryId, &(i64, Delivery))| {
                delivery.message.incident.id == incident.id && !self.ended.contains_key(id)
            };
            // What is kept from people for now rings nowhere either.
            let is_kept = incident.muted.is_some() || incident.escalations.iter().any(|taken| taken.muted);
            if !is_kept && !self.ended.iter().any(gave_up) && !self.messages.iter().any(is_under_way) {
                assert_eq!(alarm.open, incident.state != IncidentState::Resolved, "{incident:?}");
                let told = self.messages.values().map(|(_, delivery)| delivery).filter(|delivery| {
                    let news = !matches!(delivery.message.kind, MessageKind::Resolved | MessageKind::Acknowledged);
                    news && delivery.message.incident.id == incident.id && delivery.receiver.as_str() == "pager"
                });
                let lives: BTreeSet<u32> =
                    told.map(|told| told.message.incident.again.map_or(0, |again| again.times)).collect();
                assert_eq!(alarm.opened as usize, lives.len(), "{incident:?}");
            }
        }
    }

    /// Whoever does not answer has as many minutes as the route says, by a clock nobody sets; how many incidents
    /// went to the last resort.
    fn escalations_came_in_time(&self) -> u64 {
        let mut to_the_end = 0;
        for incident in self.incidents.values().filter(|incident| incident.topic.as_str() == "threat") {
            let history = self.timeline.iter().filter(|(_, entry)| entry.incident == incident.id);
            let history: Vec<(i64, &str)> = history.map(|(second, entry)| (*second, entry.what)).collect();
            let (mut step, mut before, mut taken_care) = (0, i64::MIN, false);
            for &(then, what) in &history {
                match what {
                    // Whoever is told anew has all the time there is once more.
                    "opened" | "reopened" => {
                        to_the_end += u64::from(step >= STEPS.len());
                        (step, before, taken_care) = (0, then, false);
                    }
                    "acknowledged" | "resolved" => taken_care = true,
                    "escalated" => {
                        assert!(!taken_care, "told though somebody has it: {incident:?}");
                        let wait = STEPS.get(step).copied().unwrap_or(REPEAT);
                        let early = then - before < wait - LOOK;
                        let late = then - before > wait + 2 * LOOK + self.down_between(before, then);
                        let unreached = |(second, what): &(i64, &str)| {
                            matches!(*what, "undelivered" | "overdue") && (before..=then).contains(second)
                        };
                        let nobody_there = history.iter().any(unreached);
                        let after = then - before;
                        assert!(
                            !early || nobody_there || self.clock_lost,
                            "step {step} of {incident:?} after {after} s"
                        );
                        assert!(!late || self.clock_lost, "step {step} of {incident:?} after {after} s");
                        (step, before) = (step + 1, then);
                    }
                    _ => {}
                }
            }
            to_the_end += u64::from(step >= STEPS.len());
        }
        to_the_end
    }

    fn down_between(&self, from: i64, to: i64) -> i64 {
        let overlap = |(begin, end): &(i64, i64)| (to.min(*end) - from.max(*begin)).max(0);
        self.downtimes.iter().map(overlap).sum()
    }
}
