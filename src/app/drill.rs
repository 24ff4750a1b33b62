//! `[[drill]]`: exercises that begin by themselves, at a time of day when people expect them.
//!
//! Nothing is remembered of what was held: an exercise that was opened since its time is this one, so a restart
//! neither holds it twice nor forgets it. What was missed for longer than [`GRACE`] is not made up for, as people expect no
//! exercise then; and none begins while something grave is real, whose people have other things to do.

use std::sync::Arc;
use std::time::Duration;

use super::backend::Daemon;
use crate::domain::id::IncidentId;
use crate::domain::incident::{Incident, IncidentState, Severity};
use crate::domain::lane::Sight;
use crate::domain::oncall::Drill;
use crate::domain::time::Timestamp;
use crate::telemetry::events;
use crate::web::{Action, ActionKind, Backend, BackendError};

/// So late a drill may still begin.
const GRACE: Duration = Duration::from_mins(10);
/// The clock may be set, and somebody may take charge: looked at so often.
const LOOK: Duration = Duration::from_secs(1);

/// Holds drills at their times, for as long as the daemon runs.
pub(super) async fn hold(daemon: Arc<Daemon>, drills: Vec<Drill>) -> anyhow::Result<()> {
    let mut since = daemon.now() - GRACE;
    loop {
        tokio::time::sleep(LOOK).await;
        let now = daemon.now();
        let due =
            drills.iter().filter_map(|drill| Some((drill.recurrence.next(since)?, drill))).min_by_key(|(at, _)| *at);
        let Some((at, drill)) = due.filter(|(at, _)| *at <= now) else { continue };
        since = at;
        match begin(&daemon, drill, at, now).await {
            Ok(incidents) => end(&daemon, drill, incidents).await,
            Err(why) => events::drill_not_held(&drill.scenario, at, &why),
        }
        // A second drill of the same instant, and of the time this one took, has its turn: or is told to be missed.
    }
}

/// Begins a drill, or goes on with it after a restart; or says why it is not held.
async fn begin(daemon: &Daemon, drill: &Drill, at: Timestamp, now: Timestamp) -> Result<Vec<Incident>, String> {
    let held = daemon.exercises(at).await.map_err(|error| error.to_string())?;
    if !held.is_empty() {
        let open: Vec<Incident> =
            held.into_iter().filter(|incident| incident.state != IncidentState::Resolved).collect();
        return if open.is_empty() { Err("an exercise was held since".to_owned()) } else { Ok(open) };
    }
    if now.since(at) > GRACE {
        return Err("the daemon did not run at its time".to_owned());
    }
    let mut real = Vec::new();
    for state in [IncidentState::Open, IncidentState::Acknowledged] {
        real.extend(daemon.incidents(Some(state), None, usize::MAX).await.map_err(|error| error.to_string())?);
    }
    let grave = |one: &&Incident| !one.exercise && !one.is_own() && one.severity >= Severity::High;
    if let Some(grave) = real.iter().find(grave) {
        return Err(format!("something real is under way: {}", grave.clone().seen_with(Sight::Veiled).title));
    }
    let begun = daemon.drill(drill.scenario.clone(), drill.by.clone()).await;
    begun.map_err(|error| match error {
        BackendError::Invalid(text) | BackendError::Conflict(text) | BackendError::Unavailable(text) => text,
    })
}

/// Waits for somebody to take charge, ends it, and says how it went.
async fn end(daemon: &Daemon, drill: &Drill, incidents: Vec<Incident>) {
    let began = incidents.iter().map(|incident| incident.opened_at).min().unwrap_or_else(|| daemon.now());
    let mut waiting: Vec<IncidentId> = incidents.iter().map(|incident| incident.id.clone()).collect();
    while !waiting.is_empty() && daemon.now().since(began) < drill.wait {
        tokio::time::sleep(LOOK).await;
        let Ok(open) = daemon.incidents(Some(IncidentState::Open), None, usize::MAX).await else { continue };
        waiting.retain(|id| open.iter().any(|incident| incident.id == *id));
    }
    for incident in &incidents {
        let text = if waiting.contains(&incident.id) { "NOBODY took charge in time" } else { "the exercise is over" };
        let action = Action { kind: ActionKind::Resolve, by: drill.by.clone(), text: text.to_owned() };
        // Whoever has ended it already was faster.
        drop(daemon.act(incident.id.clone(), action).await);
    }
    events::drill_held(&drill.scenario, incidents.len(), waiting.len(), daemon.now().since(began));
}

#[cfg(test)]
mod tests {
    use crate::app::rulebook::{Rulebook, default_rules};
    use crate::domain::engine::{Engine, Exercise};
    use crate::domain::incident::{EXERCISE, Severity};
    use crate::domain::organization::Organization;
    use crate::domain::route::{Route, Routes, Step, Target};
    use crate::domain::scenario::{names, posts};
    use crate::domain::time::Timestamp;

    #[test]
    fn the_packs_take_every_scenario_whatever_the_hospital_is_called() {
        for name in ["St. Brigid's Hospital", "Mercy General Hospital"] {
            let organization = Organization { name: name.to_owned(), ..Organization::example() };
            let rules = Rulebook::load(&default_rules(), &organization).rules;
            let route = Route {
                steps: vec![Step { notify: vec![Target::Receiver("pager".into())], ack_within: None }],
                ..Route::default()
            };
            let engine = Engine::new(rules, Routes::of(vec![route]), vec!["pager".into()]);
            let now = Timestamp::from_seconds(1_800_000_000);
            for scenario in names() {
                let posts = posts(scenario, name, now).unwrap();
                let (exercise, outcome) = Exercise::begin(posts, &engine, now);
                assert!(!exercise.is_over(), "no rule takes {scenario} at {name}");
                let commit = outcome.commit;
                assert!(commit.posts.is_empty() && commit.alerts.is_empty() && commit.sightings.is_empty());
                assert!(commit.outbox.iter().any(|delivery| delivery.message.incident.severity >= Severity::High));
                assert!(commit.outbox.iter().all(|delivery| delivery.message.incident.exercise));
                assert!(
                    commit.incidents.iter().all(|one| one.exercise && one.title.starts_with(EXERCISE) && !one.late)
                );
            }
        }
    }
}
