//! The log lines, one function each: lower case, fields instead of prose.
//!
//! `event` is stable (namespace.noun.verb) for those who search the journal; the words
//! may change. Errors that arrive here hold no secret; texts of posts never arrive.

use std::path::Path;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use crate::domain::event::{DownReason, Rejected};
use crate::domain::id::{DeliveryId, IncidentId, ReceiverName, RuleId, SilenceId, SourceName};
use crate::domain::incident::{Gap, Incident};
use crate::domain::lane::RESTRICTED;
use crate::domain::time::{ClockSet, Timestamp, human};

/// The target of lines about incidents, for those who read of them elsewhere.
pub const INCIDENTS: &str = "stormbell::incident";
/// The target of lines about messages to receivers.
pub const DELIVERIES: &str = "stormbell::delivery";

/// A drill that began by itself is over.
pub fn drill_held(scenario: &str, incidents: usize, untaken: usize, took: Duration) {
    let took = human(took);
    if untaken == 0 {
        info!(event = "drill.held", scenario, incidents, took, "exercise over, somebody took charge");
    } else {
        warn!(event = "drill.held", scenario, incidents, untaken, took, "exercise over, nobody took charge");
    }
}

/// A drill's time came, and it is not held.
pub fn drill_not_held(scenario: &str, at: Timestamp, why: &str) {
    warn!(event = "drill.skipped", scenario, %at, why, "no exercise at its time");
}

/// A connection to a source stands.
pub fn source_connected(source: &SourceName, host: &str, resumed: bool) {
    info!(event = "source.connection.opened", %source, host, resumed, "source connected");
}

/// No connection could be made; its task tries again after `wait`.
pub fn source_unreachable(source: &SourceName, host: &str, error: &str, wait: Duration) {
    warn!(event = "source.connection.failed", %source, host, error, "no connection, next try after {}", human(wait));
}

/// Something about a source that its operator should see to, while it goes on.
pub fn source_notice(source: &SourceName, notice: &str) {
    warn!(event = "source.notice", %source, notice, "the source does not see all");
}

/// A hub pushes what changes from now on, for so long.
pub fn source_hub(source: &SourceName, hub: &str, lease: Duration) {
    info!(event = "source.hub.subscribed", %source, hub, lease = human(lease), "a hub pushes what changes");
}

/// A connection ended; its task goes on trying.
pub fn source_down(source: &SourceName, reason: DownReason, error: Option<&str>) {
    warn!(event = "source.connection.lost", %source, reason = reason.as_str(), error, "source down");
}

/// A frame that ends every connection is skipped.
pub fn source_stepped_over(source: &SourceName, reason: Rejected) {
    warn!(event = "source.frame.skipped", %source, reason = reason.as_str(), "stepping over a frame that cannot be read");
}

/// A server says something about its stream, which goes on.
pub fn source_said(source: &SourceName, name: &str) {
    warn!(event = "source.server.said", %source, name, "the server says something about the stream");
}

/// A server that was asked for packed frames cannot say with what; they come as they are.
pub fn source_uncompressed(source: &SourceName, host: &str, error: &str) {
    warn!(event = "source.uncompressed", %source, host, error, "no dictionary, frames come uncompressed");
}

/// A replay has reached the present; the hand-over will be read a second time.
pub fn source_caught_up(source: &SourceName, handover: i64) {
    debug!(event = "source.replay.caught_up", %source, handover, "replay caught up");
}

/// The hand-over could not be read a second time.
pub fn source_seam_unread(source: &SourceName, error: &str) {
    warn!(event = "source.seam.unread", %source, error, "the hand-over from replay to live could not be read again");
}

/// A service did not say who the authors of posts that matter are.
pub fn source_profiles_unanswered(source: &SourceName, host: &str, error: &str) {
    warn!(event = "source.profiles.unanswered", %source, host, error, "authors stay without handle and followers");
}

/// A stretch of time a source did not see, or saw late.
pub fn source_gap(gap: &Gap) {
    let Gap { source, from, to, reason, recovered } = gap;
    let to = to.map(tracing::field::display);
    let reason = reason.as_str();
    if *recovered {
        info!(event = "source.gap.recovered", %source, %from, to, reason, "source read again what it had missed");
    } else {
        warn!(event = "source.gap.recorded", %source, %from, to, reason, "source did not see everything");
    }
}

/// The machine's clock was set; deadlines went with it.
pub fn clock_set(set: &ClockSet) {
    let seconds = set.by / 1_000_000;
    warn!(event = "service.clock.set", seconds, now = %set.at, "the clock was set; deadlines are kept");
}

/// Nobody can sign in yet; whoever reads this can make the first account, once.
pub fn first_account(url: &str) {
    // In the words, too: people read the journal without its fields.
    warn!(
        event = "web.account.first",
        url, "nobody has an account yet; this link makes the first one, an admin: {url}"
    );
}

/// The end of the audit log: what was done before this line is never changed without a trace.
pub fn audit_head(number: i64, head: &str) {
    info!(event = "audit.head", number, head, "audit log");
}

/// What the journal calls an incident's topic: many read the journal who may not see the lane.
fn topic_of(incident: &Incident) -> &str {
    if incident.is_restricted() { RESTRICTED[0] } else { incident.topic.as_str() }
}

/// An incident began.
pub fn incident_opened(incident: &Incident) {
    let Incident { id, severity, exercise, late, .. } = incident;
    warn!(target: INCIDENTS, event = "incident.state.opened", incident = %id, topic = topic_of(incident), severity = severity.as_str(), exercise, late, "incident opened");
}

/// An incident began again after its end.
pub fn incident_reopened(incident: &Incident) {
    let Incident { id, severity, late, .. } = incident;
    warn!(target: INCIDENTS, event = "incident.state.reopened", incident = %id, topic = topic_of(incident), severity = severity.as_str(), late, "incident reopened");
}

/// An incident grew.
pub fn incident_updated(incident: &Incident) {
    let Incident { id, severity, posts, authors, .. } = incident;
    info!(target: INCIDENTS, event = "incident.state.updated", incident = %id, topic = topic_of(incident), severity = severity.as_str(), posts, authors, "incident updated");
}

/// Somebody took charge of an incident.
pub fn incident_acknowledged(id: &IncidentId, by: &str) {
    info!(target: INCIDENTS, event = "incident.state.acknowledged", incident = %id, by, "incident acknowledged");
}

/// An incident goes on, and nobody is told for now.
pub fn incident_muted(incident: &Incident) {
    let Incident { id, severity, .. } = incident;
    let silences = incident.muted.iter().flat_map(|muted| &muted.silences).map(SilenceId::as_str);
    let bigger = incident.muted.iter().filter_map(|muted| muted.incident.as_ref()).map(IncidentId::as_str);
    let by: Vec<&str> = silences.chain(bigger).collect();
    warn!(target: INCIDENTS, event = "incident.state.muted", incident = %id, topic = topic_of(incident), severity = severity.as_str(), by = by.join(" "), "incident muted");
}

/// Nothing mutes an incident any more.
pub fn incident_unmuted(id: &IncidentId) {
    info!(target: INCIDENTS, event = "incident.state.unmuted", incident = %id, "incident no longer muted");
}

/// An incident ended.
pub fn incident_resolved(id: &IncidentId, by: &str) {
    info!(target: INCIDENTS, event = "incident.state.resolved", incident = %id, by, "incident resolved");
}

/// A receiver took a message.
pub fn delivery_delivered(id: &DeliveryId, receiver: &ReceiverName, attempt: u32) {
    info!(target: DELIVERIES, event = "delivery.message.delivered", delivery = %id, %receiver, attempt, "message delivered");
}

/// A receiver did not take a message now.
pub fn delivery_retried(id: &DeliveryId, receiver: &ReceiverName, attempt: u32, due: Timestamp, error: &str) {
    warn!(target: DELIVERIES, event = "delivery.message.retried", delivery = %id, %receiver, attempt, %due, error, "message not delivered, will try again");
}

/// A receiver will never take a message; another one is told.
pub fn delivery_parked(id: &DeliveryId, receiver: &ReceiverName, error: &str) {
    error!(target: DELIVERIES, event = "delivery.message.parked", delivery = %id, %receiver, error, "message given up, another receiver is told");
}

/// Something does not move, and the heartbeat to the outside waits until it does; or it moves again.
pub fn heartbeat_withheld(reasons: &[String]) {
    if reasons.is_empty() {
        info!(target: DELIVERIES, event = "delivery.heartbeat.resumed", "all is well: the heartbeat goes on");
    } else {
        let reasons = reasons.join("; ");
        warn!(target: DELIVERIES, event = "delivery.heartbeat.withheld", reasons, "no heartbeat goes out until this is over");
    }
}

/// Nobody outside heard a beat; the next one follows at its time.
pub fn heartbeat_unheard(error: &str) {
    warn!(target: DELIVERIES, event = "delivery.heartbeat.unheard", error, "the heartbeat was not heard");
}

/// Sends under way were ended because the daemon stops; they are repeated after the restart.
pub fn delivery_cut_off(receiver: &ReceiverName, unfinished: usize) {
    warn!(target: DELIVERIES, event = "delivery.message.cut_off", %receiver, unfinished, "sends cut off, repeated after the restart");
}

/// The end of a delivery is not on disk; its lease runs out and it is repeated with the same id.
pub fn delivery_unwritten(id: &DeliveryId, error: &(dyn std::error::Error + 'static)) {
    warn!(target: DELIVERIES, event = "delivery.end.unwritten", delivery = %id, error, "end of a delivery not written, it will be repeated");
}

/// A receiver cannot be reached as things are; messages for it will be given up.
pub fn receiver_unreachable(receiver: &ReceiverName, error: &(dyn std::error::Error + 'static)) {
    warn!(event = "receiver.probe.failed", %receiver, error, "receiver cannot be reached now");
}

/// A template failed at some line. Why is not said: it could hold what a post says.
pub fn template_failed(receiver: &ReceiverName, line: Option<usize>) {
    warn!(target: DELIVERIES, event = "delivery.template.failed", %receiver, line, "template failed, told in the built-in words; `stormbell check` tries templates");
}

/// Somebody's desk is connected.
pub fn desk_joined(user: &str) {
    info!(event = "desk.session.opened", user, "desk connected");
}

/// Somebody's desk is gone.
pub fn desk_left(user: &str, reason: &(dyn std::error::Error + 'static)) {
    info!(event = "desk.session.closed", user, reason, "desk disconnected");
}

/// A popup is gone from somebody's screen.
pub fn desk_closed(user: &str, incident: &str, reason: &str) {
    info!(event = "desk.popup.closed", user, incident, reason, "popup closed");
}

/// Desks of this machine can connect.
pub fn desks_welcome(socket: &Path) {
    info!(event = "desk.socket.opened", socket = %socket.display(), "desks can connect");
}

/// This desk found its daemon.
pub fn desk_connected(daemon: &str, user: &str) {
    info!(event = "desk.daemon.found", daemon, user, "connected to the daemon");
}

/// This desk has no daemon now.
pub fn desk_disconnected(daemon: &str, error: &str) {
    warn!(event = "desk.daemon.lost", daemon, error, "no connection to the daemon; trying again every few seconds");
}

/// The daemon does not want this desk.
pub fn desk_turned_away(error: &str) {
    error!(event = "desk.daemon.refused", error, "the daemon turned this desk away");
}

/// An acknowledgement did not work.
pub fn desk_refused(incident: &str, error: &str) {
    warn!(event = "desk.order.refused", incident, error, "not acknowledged");
}

/// This desk has shown how an incident stands.
pub fn desk_shown(incident: &str, revision: u32) {
    info!(event = "desk.popup.shown", incident, revision, "shown");
}

/// Nothing can be shown here.
pub fn desk_sees_nothing(error: &(dyn std::error::Error + 'static)) {
    warn!(event = "desk.screen.lost", error, "nothing can be shown; waiting for the desktop");
}

/// Something was shown again.
pub fn desk_sees_again() {
    info!(event = "desk.screen.found", "the desktop shows popups");
}

/// What this desk had shown is not known; what is open may be shown again.
pub fn desk_forgot(error: &(dyn std::error::Error + 'static)) {
    warn!(
        event = "desk.memory.unread",
        error, "what was shown before cannot be read; open incidents may be shown again"
    );
}

/// What this desk has shown cannot be written down.
pub fn desk_remembers_nothing(path: &Path, error: &(dyn std::error::Error + 'static)) {
    warn!(event = "desk.memory.unwritten", path = %path.display(), error, "what was shown cannot be written down; a restart may show it again");
}

/// The console could not be opened.
pub fn desk_opens_nothing(error: &(dyn std::error::Error + 'static)) {
    warn!(event = "desk.console.unopened", error, "xdg-open does not start, so the console cannot be opened");
}

/// The API listens.
pub fn api_listens(address: std::net::SocketAddr) {
    info!(event = "api.socket.opened", %address, "api listens");
}

/// Whoever connects from now on is shown another certificate.
pub fn certificate_taken(path: &Path) {
    info!(event = "api.certificate.taken", path = %path.display(), "certificate read");
}

/// The certificate's files cannot be used; the one that is held goes on.
pub fn certificate_refused(error: &(dyn std::error::Error + 'static)) {
    error!(
        event = "api.certificate.refused",
        error, "certificate refused, the old one stays; mend the files of [web] tls"
    );
}

/// The certificate is good for some days still, or is over.
pub fn certificate_ends(path: &Path, ends: Timestamp) {
    warn!(
        event = "api.certificate.ends",
        path = %path.display(), %ends,
        "the certificate of [web] tls ends soon, and then nobody reaches the console; renew it"
    );
}

/// New rules and routes are in force.
pub fn reload_done(rules: usize) {
    info!(event = "config.reload.done", rules, "configuration reloaded");
}

/// A new rule heard the archive, and knows what was usual in that time.
pub fn rule_learnt(rule: &RuleId, seen: Duration) {
    let from = human(Duration::from_mins(seen.as_secs() / 60));
    info!(event = "rule.archive.learnt", %rule, from, "rule learned what is usual from the archive");
}

/// Of new rules the archive does not hold all posts, so they learn from now on.
pub fn rules_begin_anew(rules: usize, example: &str) {
    warn!(
        event = "rule.archive.none",
        rules,
        example,
        "no rule kept all posts that new rules take: they learn from now on; stormbell volume learn can teach them"
    );
}

/// The archive cannot be read, and new rules learn from now on.
pub fn archive_unread(path: &Path, error: &(dyn std::error::Error + 'static)) {
    let path = path.display();
    warn!(event = "rule.archive.unread", %path, error, "archive not read: new rules learn from now on");
}

/// A reload left out what only a restart takes over.
pub fn reload_not_all(tables: &str) {
    warn!(event = "config.reload.incomplete", tables, "not taken over until a restart: what was changed in {tables}");
}

/// A new configuration has errors; the old one stays in force (invariant 7).
pub fn reload_refused(errors: usize) {
    error!(event = "config.reload.refused", errors, "configuration refused, the old one stays; run stormbell check");
}

/// One finding of a refused configuration.
pub fn reload_finding(code: &str, line: &str) {
    error!(event = "config.reload.finding", code, "{line}");
}

/// The configuration works, and was kept for a start at which it does not.
pub fn config_kept() {
    debug!(event = "config.copy.kept", "configuration kept for a start at which it is broken");
}

/// The configuration works, and could not be kept.
pub fn config_not_kept(error: &(dyn std::error::Error + 'static)) {
    warn!(event = "config.copy.failed", error, "configuration not kept: the next start depends on its files alone");
}

/// The configuration on disk is broken; the daemon runs by the one that worked last.
pub fn config_stands_in(path: &Path) {
    let path = path.display();
    error!(
        event = "config.copy.used",
        %path,
        "configuration refused, the one that worked last is used; run stormbell check, then reload"
    );
}

/// SIGHUP came, and there is nothing to read again.
pub fn reload_pointless() {
    warn!(event = "config.reload.pointless", "nothing to reload: there is no configuration file");
}

/// The service manager could not be told something.
pub fn manager_untold(error: &(dyn std::error::Error + 'static)) {
    debug!(event = "process.manager.untold", error, "service manager not told");
}

/// A transaction took long.
pub fn store_slow(took: Duration) {
    warn!(event = "store.commit.slow", seconds = took.as_secs_f64(), "the disk is slow");
}

/// A transaction failed in a way that may pass; it is tried again and nothing is lost meanwhile.
pub fn store_held_up(error: &(dyn std::error::Error + 'static)) {
    error!(
        event = "store.commit.held",
        error, "the database does not take commits, trying again; what was accepted still goes out"
    );
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
