//! The log lines, one function each: lower case, fields instead of prose.
//!
//! `event` is stable (namespace.noun.verb) for those who search the journal; the words
//! may change. Errors that arrive here hold no secret; texts of posts never arrive.

use std::time::Duration;

use tracing::{debug, error, info, warn};

use crate::domain::event::DownReason;
use crate::domain::id::{DeliveryId, IncidentId, ReceiverName, SourceName};
use crate::domain::incident::{Gap, Incident};
use crate::domain::time::{Timestamp, human};

/// A connection to a source stands.
pub fn source_connected(source: &SourceName, host: &str) {
    info!(event = "source.connection.opened", %source, host, "source connected");
}

/// A source is gone; its task goes on trying.
pub fn source_down(source: &SourceName, reason: DownReason) {
    warn!(event = "source.connection.lost", %source, reason = reason.as_str(), "source down");
}

/// A source was read again from where it had stopped: late, not lost.
pub fn source_resumed(source: &SourceName, gap: Duration) {
    info!(event = "source.stream.resumed", %source, seconds = gap.as_secs_f64(), "source resumed without loss");
}

/// A stretch of time a source did not see.
pub fn source_gap(gap: &Gap) {
    let Gap { source, from, to, reason, recovered } = gap;
    let to = to.map(tracing::field::display);
    warn!(event = "source.gap.recorded", %source, %from, to, reason = reason.as_str(), recovered, "source did not see everything");
}

/// An incident began.
pub fn incident_opened(incident: &Incident) {
    let Incident { id, topic, severity, exercise, late, .. } = incident;
    warn!(event = "incident.state.opened", incident = %id, %topic, severity = severity.as_str(), exercise, late, "incident opened");
}

/// An incident grew.
pub fn incident_updated(incident: &Incident) {
    let Incident { id, topic, severity, posts, authors, .. } = incident;
    info!(event = "incident.state.updated", incident = %id, %topic, severity = severity.as_str(), posts, authors, "incident updated");
}

/// Somebody took charge of an incident.
pub fn incident_acknowledged(id: &IncidentId, by: &str) {
    info!(event = "incident.state.acknowledged", incident = %id, by, "incident acknowledged");
}

/// An incident ended.
pub fn incident_resolved(id: &IncidentId, by: &str) {
    info!(event = "incident.state.resolved", incident = %id, by, "incident resolved");
}

/// A receiver took a message.
pub fn delivery_delivered(id: &DeliveryId, receiver: &ReceiverName, attempt: u32) {
    info!(event = "delivery.message.delivered", delivery = %id, %receiver, attempt, "message delivered");
}

/// A receiver did not take a message now.
pub fn delivery_retried(id: &DeliveryId, receiver: &ReceiverName, attempt: u32, due: Timestamp, error: &str) {
    warn!(event = "delivery.message.retried", delivery = %id, %receiver, attempt, %due, error, "message not delivered, will try again");
}

/// A receiver will never take a message; another one is told.
pub fn delivery_parked(id: &DeliveryId, receiver: &ReceiverName, error: &str) {
    error!(event = "delivery.message.parked", delivery = %id, %receiver, error, "message given up, another receiver is told");
}

/// New rules and routes are in force.
pub fn reload_done(rules: usize) {
    info!(event = "config.reload.done", rules, "configuration reloaded");
}

/// A new configuration has errors; the old one stays in force (invariant 7).
pub fn reload_refused(errors: usize) {
    error!(event = "config.reload.refused", errors, "configuration refused, the old one stays; run stormbell check");
}

/// A transaction took long.
pub fn store_slow(took: Duration) {
    warn!(event = "store.commit.slow", seconds = took.as_secs_f64(), "the disk is slow");
}

/// A transaction failed in a way that may pass; it is tried again and nothing is lost meanwhile.
pub fn store_held_up(error: &(dyn std::error::Error + 'static)) {
    error!(event = "store.commit.held", error, "the database does not take commits, trying again");
}

/// The database takes commits again.
pub fn store_recovered(after: Duration) {
    info!(event = "store.commit.recovered", seconds = after.as_secs_f64(), "the database takes commits again");
}

/// The daemon was asked to stop.
pub fn shutdown_begun(why: &str) {
    info!(event = "process.shutdown.begun", why, "stopping");
}

/// A stage of stopping is done.
pub fn shutdown_stage(stage: &str, took: Duration) {
    debug!(event = "process.shutdown.stage", stage, seconds = took.as_secs_f64(), "stage done");
}

/// A stage of stopping used up its share of time.
pub fn shutdown_late(stage: &str, allowed: Duration) {
    warn!(event = "process.shutdown.late", stage, "stage not done after {}, going on", human(allowed));
}

/// All is closed.
pub fn shutdown_done() {
    info!(event = "process.shutdown.done", "stopped");
}
