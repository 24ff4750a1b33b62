//! A drill: posts that nobody wrote, through the same rules, routes and people as real ones.
//!
//! An exercise has an engine of its own, which lives as long as its incidents. So there is nothing that it could join,
//! mute, teach or be counted in, and no real incident can join it; and all that leaves it passes through one function,
//! [`marked`], which says that it is an exercise (invariant 9) and lets nothing through but incidents, their history and
//! messages. Rejected: a flag on posts that every window, baseline, silence and count would have to heed for ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Action, Batch, Command, Engine, Input, Item, Outcome};
use crate::domain::commit::{Commit, Restored};
use crate::domain::event::{Cursor, Decoded, SourceEvent};
use crate::domain::id::IncidentId;
use crate::domain::incident::{EXERCISE, Incident};
use crate::domain::matcher::Scratch;
use crate::domain::message::Undelivered;
use crate::domain::post::Post;
use crate::domain::route::Routes;
use crate::domain::time::Timestamp;

/// An exercise that nobody ends is over after so long: people must not be called all night for one.
const LONGEST: Duration = Duration::from_hours(1);

/// A drill under way.
pub struct Exercise {
    engine: Engine,
}

impl Exercise {
    /// Lets the rules see these posts, now; what they raise is an exercise. Nothing is under way when no rule fired.
    pub fn begin(posts: Vec<Post>, beside: &Engine, now: Timestamp) -> (Self, Outcome) {
        let (mut engine, rules) = (empty(beside), &beside.rules);
        let mut scratch = Scratch::default();
        let item = |post: Post| {
            let decoded = Decoded {
                cursor: Some(Cursor(post.event_time.micros())),
                event: Ok(SourceEvent::Post(Box::new(post))),
            };
            Item::matched(decoded, Some(now), rules, &mut scratch)
        };
        let items = posts.into_iter().map(item).collect();
        let batch = Batch::new("exercise".into(), Arc::clone(rules), items);
        let outcome = engine.step(Input::Batch(batch), now);
        (Self { engine }, marked(outcome))
    }

    /// Goes on after a restart, if the last run left an exercise: takes what belongs to it out of what is restored.
    pub fn resume(restored: &mut Restored, beside: &Engine, now: Timestamp) -> Option<(Self, Outcome)> {
        let of_it = |id: &IncidentId, incidents: &[Incident]| incidents.iter().any(|incident| incident.id == *id);
        let incidents: Vec<Incident> = restored.incidents.extract_if(.., |incident| incident.exercise).collect();
        if incidents.is_empty() {
            return None;
        }
        let undelivered: Vec<Undelivered> =
            restored.undelivered.extract_if(.., |undelivered| of_it(&undelivered.incident, &incidents)).collect();
        let mut engine = empty(beside);
        let outcome = engine.restore(Restored { incidents, undelivered, ..Restored::default() }, now);
        Some((Self { engine }, marked(outcome)))
    }

    /// As [`Engine::step`].
    pub fn step(&mut self, mut input: Input, now: Timestamp) -> Outcome {
        if let Input::Swap { routes, .. } = &mut input {
            routes.inhibitions.clear();
            routes.caps.clear();
        }
        let is_tick = matches!(input, Input::Tick);
        let mut outcome = self.engine.step(input, now);
        if is_tick {
            let too_long = |incident: &&Incident| now.since(incident.opened_at) >= LONGEST;
            let over: Vec<IncidentId> = self.engine.incidents().filter(too_long).map(|one| one.id.clone()).collect();
            for incident in over {
                let reason = "an exercise ends by itself after an hour".to_owned();
                let command = Command { incident, by: "stormbell".to_owned(), action: Action::Resolve, reason };
                outcome.commit.append(self.engine.step(Input::Command(command), now).commit);
            }
        }
        marked(outcome)
    }

    /// Whether an incident belongs to it.
    pub fn knows(&self, id: &IncidentId) -> bool {
        self.engine.incidents().any(|incident| incident.id == *id)
    }

    /// Whether all of it has ended.
    pub fn is_over(&self) -> bool {
        self.engine.open_incidents() == 0
    }
}

/// An engine that knows nothing, with the rules, routes and people of another. That people are told is what a drill is
/// for: none of its incidents mutes another, and no cap holds any back.
fn empty(beside: &Engine) -> Engine {
    let routes = Routes { inhibitions: Vec::new(), caps: BTreeMap::new(), ..beside.routes.clone() };
    Engine::new(Arc::clone(&beside.rules), routes, beside.receivers.clone())
}

/// What may leave an exercise, and that it is one.
fn marked(outcome: Outcome) -> Outcome {
    let Outcome { commit, mut reply, .. } = outcome;
    let Commit { mut incidents, timeline, mut outbox, told, overdue, .. } = commit;
    incidents.iter_mut().for_each(mark);
    for delivery in &mut outbox {
        mark(&mut delivery.message.incident);
    }
    if let Some(Ok(incident)) = &mut reply {
        mark(incident);
    }
    Outcome { commit: Commit { incidents, timeline, outbox, told, overdue, ..Commit::default() }, reply, silence: None }
}

fn mark(incident: &mut Incident) {
    incident.exercise = true;
    if !incident.title.starts_with(EXERCISE) {
        incident.title = format!("{EXERCISE}{}", incident.title);
    }
    incident.sample.clear(); // nobody wrote them, and they are kept nowhere
}
