//! Incidents over hours and days of virtual time: how they begin again, and whose word is news.

#![cfg(test)]
#![allow(missing_docs, unreachable_pub, clippy::missing_panics_doc, reason = "parts of one suite")]

#[path = "../support/mod.rs"]
mod support;

mod capped;
mod copies;
mod handed;
mod inhibited;
mod merged;
mod notable;
mod off_times;
mod reopened;
mod restarts;
mod shared;

use stormbell::domain::condition::Condition;
use stormbell::domain::id::IncidentId;
use stormbell::domain::incident::Incident;
use stormbell::domain::incident::Severity::{Critical, High, Low};
use stormbell::domain::message::{Message, MessageKind};
use stormbell::domain::route::{Route, Routes};
use stormbell::domain::rule::Rule;
use stormbell::domain::terms::Terms;
use support::sim::{Sim, authors, route, rule};

const RUMOUR: &str = "a rumour about St Brigids";
const OUTAGE: &str = "outage at St Brigids";
const RANSOM: &str = "ransom note at St Brigids";

/// Three rules of one topic.
fn rules() -> Vec<Rule> {
    vec![
        rule("cyber.rumour", "cyber", Low, "$org rumour", Condition::Match),
        rule("cyber.outage", "cyber", High, "$org outage", Condition::Match),
        rule("cyber.ransom", "cyber", Critical, "$org ransom", authors(2, 10)),
    ]
}

/// A pager, five minutes later a manager; what is low goes to the chat alone.
fn steps() -> Vec<Route> {
    let steps: &[(&[&str], Option<u64>)] = &[(&["pager"], Some(5)), (&["manager"], None)];
    vec![route(&[Low], &[], &[(&["chat"], None)], None), route(&[], &[], steps, None)]
}

fn sim(terms: Terms) -> Sim {
    let mut sim = Sim::with_people(rules(), Routes { terms, ..Routes::of(steps()) });
    sim.connect(None);
    sim
}

/// Messages of a kind, as the receivers have them.
fn told(sim: &Sim, kind: MessageKind) -> Vec<String> {
    sim.model.sent(kind).into_iter().filter(|(_, id)| !sim.model.incidents[id].is_own()).map(|(name, _)| name).collect()
}

fn messages(sim: &Sim) -> Vec<&Message> {
    let mut all: Vec<&Message> = sim.model.outbox.values().map(|delivery| &delivery.message).collect();
    all.sort_by_key(|message| (message.at, message.incident.revision));
    all
}

/// The only incident that rules opened.
fn only(sim: &Sim) -> &Incident {
    let mut incidents = sim.model.incidents.values().filter(|incident| !incident.is_own());
    let first = incidents.next().unwrap();
    assert!(incidents.next().is_none());
    first
}

fn history<'a>(sim: &'a Sim, id: &IncidentId) -> Vec<&'a str> {
    sim.model.history(id)
}
