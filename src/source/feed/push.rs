//! Being told instead of asking: a hub is asked to push what changes (`WebSub`, `PubSubHubbub` before it).
//!
//! What it promises: little. Hubs take a subscription and deliver nothing; they refuse to renew one for days while the old
//! one still works; they deliver twice, or not at all while we are away. So polling goes on, more slowly while the hub
//! proves itself, and what polling finds and the hub does not bring is told. A push is signed with a secret of its own,
//! and goes the way of what was polled.
//!
//! Secrets and paths are made of the daemon's own key, the source's name and the topic: after a restart they are the
//! same. So nothing of a subscription is kept but where it is; it is asked for anew at every start, and until then, or
//! where the hub does not answer, the old one goes on.
//!
//! Source: <https://www.w3.org/TR/websub/>; for what `YouTube`'s hub adds,
//! <https://developers.google.com/youtube/v3/guides/push_notifications>.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use tokio::sync::Notify;
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use super::known::Hub;
use crate::domain::key::Key;
use crate::domain::time::human;
use crate::net::inlet::{Admission, Call, Gate, Inlets, Opened, Reply};
use crate::source::backoff::{Backoff, Jitter};
use crate::source::http::{Answer, Request, refused};
use crate::source::line::Line;
use crate::source::signature::{is_hub_signed, same, single};
use crate::source::supervise::{End, Failure, Remedy};
use crate::source::timing::Timing;
use crate::telemetry::events;

/// How long a subscription is asked for, in seconds: the most that `YouTube`'s hub gives.
const LEASE: u64 = 864_000;
/// What a hub may say of it.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);
const LONGEST_LEASE: Duration = Duration::from_hours(30 * 24);
/// A hub that said no is asked again after so long.
const AFTER_NO: Duration = Duration::from_hours(24);
/// The first wait after a hub did not take a subscription.
const FIRST_REST: Duration = Duration::from_secs(30);
/// Trouble that lasts is told again after so long.
const TOLD_AGAIN: Duration = Duration::from_hours(24);
/// The longest challenge or reason, in bytes.
const LONGEST_WORD: usize = 1024;
/// Entries that a hub has yet to bring.
const MOST_AWAITED: usize = 1000;
/// The longest answer of a hub, in bytes.
const MOST_ANSWER: usize = 64 << 10;
/// The header that has the signature.
const SIGNATURE: &str = "x-hub-signature";
/// What W3C's recommendation names.
const METHODS: [&str; 4] = ["sha1", "sha256", "sha384", "sha512"];

/// A subscription and its hub, as seen by the task.
pub(super) struct Push {
    name: String,
    inlets: Inlets,
    pub(super) opened: Opened,
    desk: Arc<Mutex<Desk>>,
    /// Rung when a hub asked or said something.
    pub(super) rung: Arc<Notify>,
    /// Whether the operator wants one.
    is_wanted: bool,
    /// Where it is wanted; none before the document names a hub.
    hub: Option<Hub>,
    /// One that is to end.
    leaving: Option<Hub>,
    /// When the hub is asked next.
    due: Instant,
    /// It took a subscription, and has yet to ask whether that was us.
    is_unverified: bool,
    /// When it gave its last lease.
    lease: Option<(Instant, Duration)>,
    backoff: Backoff,
    told: Option<Instant>,
    trust: Trust,
    /// What polling found and it has yet to bring, and since when.
    awaited: Vec<(Key, Instant)>,
}

/// What a hub is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// It brought nothing yet, to this run: subscriptions outlive a hub's will to deliver.
    Unproven,
    /// It brought all that polling found.
    Proven,
    /// It said that there is something: what is polled next is what it brought.
    Rang,
    /// It did not bring what polling found.
    Doubted,
}

/// What the gate knows, and what it heard.
#[derive(Default)]
struct Desk {
    topics: Vec<Topic>,
}

/// A subscription, as the gate knows it.
struct Topic {
    hub: Hub,
    place: String,
    secret: String,
    is_wanted: bool,
    heard: Option<Heard>,
}

/// What a hub said of a subscription.
enum Heard {
    Verified(Duration),
    Ended,
    Denied(String),
}

/// What is asked of a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    Subscribe,
    Unsubscribe,
}

impl Push {
    /// Opens the way by which hubs call. `before` is what was subscribed to earlier.
    pub(super) fn open(is_wanted: bool, before: Option<&Hub>, line: &Line, now: Instant) -> Self {
        let (desk, rung) = (Arc::new(Mutex::new(Desk::default())), Arc::new(Notify::new()));
        let gate = Box::new(HubGate { desk: Arc::clone(&desk), rung: Arc::clone(&rung) });
        let name = line.name.as_str().to_owned();
        let opened = line.inlets.open(&name, gate);
        let Timing { hub_rest, .. } = line.timing;
        let backoff = Backoff::new(Jitter::from_system(), FIRST_REST.min(hub_rest), hub_rest);
        let inlets = line.inlets.clone();
        let mut push = Self {
            name,
            inlets,
            opened,
            desk,
            rung,
            is_wanted,
            hub: None,
            leaving: None,
            due: now,
            is_unverified: false,
            lease: None,
            backoff,
            told: None,
            trust: Trust::Unproven,
            awaited: Vec::new(),
        };
        // What an earlier run subscribed to still comes.
        push.is_at(before, now);
        if !is_wanted {
            push.is_at(None, now);
        }
        push
    }

    /// Where the document says that changes can be subscribed to; another place than before is another subscription.
    pub(super) fn is_at(&mut self, hub: Option<&Hub>, now: Instant) {
        if self.hub.as_ref() == hub {
            return;
        }
        if let Some(before) = std::mem::replace(&mut self.hub, hub.cloned()) {
            self.leaving = Some(before);
        }
        (self.lease, self.due, self.trust) = (None, now, Trust::Unproven);
        self.awaited.clear();
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = |hub: &Hub, is_wanted| self.topic(hub, is_wanted);
        desk.topics = self.leaving.iter().filter_map(|hub| topic(hub, false)).collect();
        desk.topics.extend(self.hub.iter().filter_map(|hub| topic(hub, true)));
    }

    /// Whether a hub is wanted.
    pub(super) const fn wants_hub(&self) -> bool {
        self.is_wanted
    }

    /// Told once: there is none.
    pub(super) fn finds_no_hub(&mut self, line: &Line, now: Instant) {
        if self.told.replace(now).is_none() {
            events::source_notice(&line.name, "the feed names no hub that could push; it is polled");
        }
    }

    /// Told once: whoever reads along on the way to it could push in its name.
    pub(super) fn finds_hub_without_tls(&mut self, line: &Line, now: Instant) {
        if self.told.replace(now).is_none() {
            let notice = "the feed names a hub without https, and what is pushed is signed with a secret that would go \
                          there in clear; the feed is polled";
            events::source_notice(&line.name, notice);
        }
    }

    fn topic(&self, hub: &Hub, is_wanted: bool) -> Option<Topic> {
        let place = self.inlets.secret("place", &self.name, &hub.topic)?;
        let secret = self.inlets.secret("secret", &self.name, &hub.topic)?;
        Some(Topic { hub: hub.clone(), place, secret, is_wanted, heard: None })
    }

    /// Whether it can be relied on that changes are pushed.
    pub(super) fn is_reliable(&self, now: Instant) -> bool {
        matches!(self.trust, Trust::Proven | Trust::Rang) && self.is_active(now)
    }

    fn is_active(&self, now: Instant) -> bool {
        self.lease.is_some_and(|(since, lease)| now - since < lease)
    }

    /// What is to be asked of a hub now, and how.
    pub(super) fn request(&mut self, line: &Line, now: Instant) -> Option<(Asking, Request)> {
        if let Some(hub) = self.leaving.take() {
            return Some((Asking::Unsubscribe, self.asked("unsubscribe", &hub)?));
        }
        if now < self.due || !self.is_wanted {
            return None;
        }
        let hub = self.hub.clone()?;
        if std::mem::take(&mut self.is_unverified) {
            let what = "the hub took the subscription and did not ask whether it was us; can it reach `public_url`?";
            self.trouble(what, line, now);
        }
        // Until it answers, and asks whether that was us.
        self.due = now + LONGEST_LEASE;
        Some((Asking::Subscribe, self.asked("subscribe", &hub)?))
    }

    fn asked(&self, mode: &str, hub: &Hub) -> Option<Request> {
        let Topic { place, secret, .. } = self.topic(hub, true)?;
        let callback = self.inlets.address(&self.name, &place)?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("hub.mode", mode).append_pair("hub.topic", &hub.topic);
        // Hubs from before the recommendation want to be told how they may ask.
        form.append_pair("hub.callback", callback.as_str()).append_pair("hub.verify", "async");
        if mode == "subscribe" {
            form.append_pair("hub.secret", &secret).append_pair("hub.lease_seconds", &LEASE.to_string());
        }
        let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))];
        let (url, body) = (Url::parse(&hub.url).ok()?, form.finish().into_bytes());
        let headers = HeaderMap::from_iter(headers);
        Some(Request { method: Method::POST, url, headers, body, most: MOST_ANSWER })
    }

    /// When something is to be done without anybody saying so.
    pub(super) fn alarm(&self, now: Instant) -> Option<Instant> {
        if self.leaving.is_some() { Some(now) } else { self.hub.as_ref().map(|_| self.due) }
    }

    /// What a hub answered.
    pub(super) fn answered(&mut self, asking: Asking, answer: Result<Answer, End>, line: &Line, now: Instant) {
        if asking == Asking::Unsubscribe {
            return; // it hears 410 from us in any case
        }
        let failure = match answer {
            // It may have asked and heard us already.
            Ok(answer) if answer.status.is_success() => {
                let by = now + line.timing.hub_verifies_within;
                if self.lease.is_none_or(|(since, _)| now - since > line.timing.hub_verifies_within) {
                    (self.due, self.is_unverified) = (by, true);
                }
                return;
            }
            Ok(answer) => refused(&self.hub_host(), answer.status, &answer.headers),
            Err(end) => end,
        };
        let End::Failed(Failure { error, remedy }) = failure else { return };
        let wait = match remedy {
            Remedy::Busy(Some(after)) => after.from(line.now()).min(line.timing.hub_rest),
            _ => self.backoff.after_failure(),
        };
        self.due = now + wait;
        self.trouble(&format!("the hub does not take the subscription: {error}"), line, now);
    }

    fn hub_host(&self) -> String {
        let url = self.hub.as_ref().and_then(|hub| Url::parse(&hub.url).ok());
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    fn trouble(&mut self, what: &str, line: &Line, now: Instant) {
        if self.told.is_none_or(|told| now - told >= TOLD_AGAIN) {
            self.told = Some(now);
            let goes_on = "what is pushed all the same is read, and the feed is polled as if there were no hub";
            events::source_notice(&line.name, &format!("{what}; {goes_on}"));
        }
    }

    /// Takes over what the gate heard since.
    pub(super) fn hear(&mut self, line: &Line, now: Instant) {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let heard: Vec<_> = desk.topics.iter_mut().filter_map(|topic| topic.heard.take()).collect();
        desk.topics.retain(|topic| topic.is_wanted || !heard.iter().any(|heard| matches!(heard, Heard::Ended)));
        drop(desk);
        for heard in heard {
            match heard {
                Heard::Verified(lease) => {
                    if self.lease.is_none() {
                        events::source_hub(&line.name, &self.hub_host(), lease);
                    }
                    // At half-time: if that fails there is as much time again to try. No hub makes us hurry.
                    let renewed_after = (lease / 2).max(line.timing.hub_renewed_after);
                    (self.lease, self.due) = (Some((now, lease)), now + renewed_after);
                    self.backoff.reset();
                    self.is_unverified = false;
                    if renewed_after < lease {
                        self.told = None;
                    } else {
                        let (lease, after) = (human(lease), human(renewed_after));
                        self.trouble(
                            &format!("the hub pushes for {lease} only, and is asked again after {after}"),
                            line,
                            now,
                        );
                    }
                }
                Heard::Denied(reason) => {
                    (self.lease, self.due, self.is_unverified) = (None, now + AFTER_NO, false);
                    self.trouble(&format!("{} refuses the subscription: {reason:?}", self.hub_host()), line, now);
                }
                Heard::Ended => {}
            }
        }
    }

    /// The hub brought these, or said at least that there is something.
    pub(super) fn brought(&mut self, items: Option<&[Key]>) {
        if let Some(items) = items {
            self.awaited.retain(|(key, _)| !items.contains(key));
            if matches!(self.trust, Trust::Unproven | Trust::Doubted) {
                self.trust = Trust::Proven;
            }
        } else {
            self.awaited.clear();
            self.trust = Trust::Rang;
        }
    }

    /// Polling found these, which were not pushed. The hub may be slow; what it does not bring is told.
    pub(super) fn found(&mut self, fresh: &[Key], line: &Line, now: Instant) {
        let late = |(_, since): &(Key, Instant)| now - *since >= line.timing.hub_brings_within;
        if self.awaited.iter().any(late) {
            self.awaited.clear();
            if std::mem::replace(&mut self.trust, Trust::Doubted) != Trust::Doubted {
                let host = self.hub_host();
                events::source_notice(
                    &line.name,
                    &format!(
                        "{host} took the subscription and did not bring what polling found; the feed is polled as if there were no hub"
                    ),
                );
            }
        }
        if self.trust == Trust::Rang {
            self.trust = Trust::Proven;
        } else if self.is_active(now) {
            let room = MOST_AWAITED.saturating_sub(self.awaited.len());
            self.awaited.extend(fresh.iter().take(room).map(|key| (*key, now)));
        }
    }
}

/// Lets in what a hub signed.
struct HubGate {
    desk: Arc<Mutex<Desk>>,
    rung: Arc<Notify>,
}

impl Gate for HubGate {
    fn before(&self, call: &Call) -> Admission {
        self.heard(self.desk.lock().unwrap_or_else(PoisonError::into_inner).before(call))
    }

    fn admit(&self, call: &Call) -> Admission {
        self.heard(self.desk.lock().unwrap_or_else(PoisonError::into_inner).admit(call))
    }
}

impl HubGate {
    fn heard(&self, admission: Admission) -> Admission {
        let is_heard = match &admission {
            Admission::Answered(reply) => reply.status.is_success(),
            Admission::Refused(_) => true,
            Admission::Admitted => false, // it is handed over
        };
        if is_heard {
            self.rung.notify_one();
        }
        admission
    }
}

/// To a hub this means that nobody subscribes any more.
fn gone() -> Admission {
    Admission::Answered(Reply::new(StatusCode::GONE, "nothing is read here any more"))
}

fn ended() -> Admission {
    Admission::Answered(Reply::new(StatusCode::GONE, "this subscription ended"))
}

/// By the recommendation it is taken, and ignored: who forges learns nothing.
fn ignored() -> Admission {
    Admission::Refused(Reply::new(StatusCode::ACCEPTED, ""))
}

impl Desk {
    fn topic(&mut self, call: &Call) -> Option<&mut Topic> {
        let place = call.place.as_deref().unwrap_or_default();
        self.topics.iter_mut().find(|topic| same(&topic.place, place))
    }

    fn before(&mut self, call: &Call) -> Admission {
        let is_signed = single(&call.headers, SIGNATURE).is_some();
        match self.topic(call) {
            None => gone(),
            Some(topic) if !topic.is_wanted => ended(),
            Some(_) if !is_signed => ignored(),
            Some(_) => Admission::Admitted,
        }
    }

    fn admit(&mut self, call: &Call) -> Admission {
        let Some(topic) = self.topic(call) else { return gone() };
        let Some(body) = &call.body else { return topic.asked(call.query.as_deref().unwrap_or_default()) };
        if !topic.is_wanted {
            return ended();
        }
        let signature = single(&call.headers, SIGNATURE).unwrap_or_default();
        if is_hub_signed(signature, &METHODS, topic.secret.as_bytes(), body) {
            return Admission::Admitted;
        }
        ignored()
    }
}

impl Topic {
    /// A hub asks whether that was us, or says no.
    fn asked(&mut self, query: &str) -> Admission {
        let get = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            let value = pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()));
            value.filter(|value| value.len() <= LONGEST_WORD)
        };
        let no = || Admission::Answered(Reply::new(StatusCode::NOT_FOUND, "nobody asked for this"));
        if get("hub.topic").as_deref() != Some(&self.hub.topic) {
            return no();
        }
        let (mode, challenge) = (get("hub.mode"), get("hub.challenge"));
        match (mode.as_deref(), challenge, self.is_wanted) {
            (Some("subscribe"), Some(challenge), true) => {
                let seconds = get("hub.lease_seconds").and_then(|lease| lease.parse().ok()).unwrap_or(LEASE);
                let lease = Duration::from_secs(seconds).clamp(SHORTEST_LEASE, LONGEST_LEASE);
                self.heard = Some(Heard::Verified(lease));
                Admission::Answered(Reply::new(StatusCode::OK, challenge))
            }
            (Some("unsubscribe"), Some(challenge), false) => {
                self.heard = Some(Heard::Ended);
                Admission::Answered(Reply::new(StatusCode::OK, challenge))
            }
            (Some("denied"), _, true) => {
                self.heard = Some(Heard::Denied(get("hub.reason").unwrap_or_default()));
                Admission::Answered(Reply::new(StatusCode::OK, ""))
            }
            _ => no(),
        }
    }
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
