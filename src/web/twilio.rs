//! `POST /hooks/twilio/{receiver}`: what people answer to a text message or a call.
//!
//! Twilio signs the address it was given and what it sends with the account's secret; that is the proof. A text message
//! takes charge for the person whose number it comes from, of what that person was told; a key pressed in a call for
//! the person who was called. Who is not first, or wrote something else, is told so. Whoever was told nothing gets no
//! answer at all: each costs money, and a stranger learns nothing.
//!
//! A repetition does nothing: each message has a name, which is written down with what it did.
//!
//! Source: <https://www.twilio.com/docs/usage/security#validating-requests>, and of the answer
//! <https://www.twilio.com/docs/messaging/twiml>.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use url::form_urlencoded;

use super::api::{Answer, App, Problem};
use super::backend::{Action, ActionKind, Backend, BackendError};
use super::routes::{Needs, Routes};
use super::{Hook, Shared};
use crate::config::secret::Secret;
use crate::domain::addressee::{Addressee, Recipient};
use crate::domain::harmless::{clean, clip, escape_html};
use crate::domain::id::{IncidentId, ReceiverName};
use crate::domain::incident::{Incident, IncidentState, Signature};
use crate::domain::lane::Sight;
use crate::domain::time::{Timestamp, human};
use crate::telemetry::metrics::Heard;
use crate::wire::answer::{Phrases, Said, number, read};

const SIGNATURE: HeaderName = HeaderName::from_static("x-twilio-signature");
/// Incidents that are looked through for what somebody was told: those under way, and the newest that are over.
const UNDER_WAY: usize = 1000;
const OVER: usize = 50;
/// Incidents of one person whose history is searched for a message that came before.
const SEARCHED: usize = 20;
/// Incidents named in an answer, and characters of each.
const NAMED: usize = 3;
const MAX_TITLE: usize = 80;
/// Characters of a name.
const MAX_NAME: usize = 100;

pub(super) fn routes<B: Backend>(routes: Routes<B>) -> Routes<B> {
    routes.post("/hooks/twilio/{receiver}", Needs::Nothing, take::<B>)
}

/// What Twilio sends, by name; of a name that comes twice the last value.
type Fields = BTreeMap<String, String>;

async fn take<B: Backend>(
    State(shared): App<B>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let Path(name) = path?;
    let receiver = ReceiverName::from(name);
    let hook = shared.console.as_ref().and_then(|console| console.hook_url("twilio", &receiver));
    let (Some(Hook::Twilio { token, to }), Some(mut url)) = (shared.hooks.get(&receiver), hook) else {
        let text = "there is no receiver of that name with `replies` or `voice`, or no public_url";
        return Err(Problem::new(StatusCode::NOT_FOUND, text));
    };
    if let Some(query) = &query {
        url = format!("{url}?{query}");
    }
    let body = body?;
    let pairs: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    if !is_signed(token, &url, pairs.clone(), &headers) {
        shared.metrics.answer(&receiver, Heard::Refused);
        let text = "no signature fits: the address at Twilio must begin with public_url, and token be the account's";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, text));
    }
    let fields: Fields = pairs.into_iter().collect();
    let query: Fields = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let asked = Asked { shared: &shared, receiver: &receiver, to };
    let (heard, says) = match (fields.get("MessageSid"), fields.get("CallSid")) {
        (Some(sid), _) if fields.contains_key("Body") => asked.message(sid, &fields).await,
        (None, Some(_)) => asked.key(&fields, &query).await,
        _ => (Heard::Ignored, String::new()),
    };
    shared.metrics.answer(&receiver, heard);
    let twiml = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{says}</Response>");
    Ok(([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], twiml).into_response())
}

/// Whether the signature is that of the address and the fields, which it takes in the order of their names, each once.
fn is_signed(token: &Secret, url: &str, mut pairs: Vec<(String, String)>, headers: &HeaderMap) -> bool {
    if token.expose().is_empty() {
        return false; // it would be everybody's
    }
    pairs.sort();
    pairs.dedup();
    let Ok(mac) = Hmac::<Sha1>::new_from_slice(token.expose().as_bytes()) else { return false };
    let mac = pairs.iter().fold(mac.chain_update(url), |mac, (name, value)| mac.chain_update(name).chain_update(value));
    let mut signatures = headers.get_all(SIGNATURE).iter();
    let (Some(signature), None) = (signatures.next(), signatures.next()) else { return false };
    BASE64_STANDARD.decode(signature).is_ok_and(|digest| mac.verify_slice(&digest).is_ok())
}

/// An incident that whoever writes was told of.
struct Told {
    incident: Incident,
    /// As whom; none: by the receiver itself.
    person: Option<Recipient>,
}

struct Asked<'a, B> {
    shared: &'a Shared<B>,
    receiver: &'a ReceiverName,
    to: &'a [String],
}

impl<B: Backend> Asked<'_, B> {
    /// A text message.
    async fn message(&self, sid: &str, fields: &Fields) -> (Heard, String) {
        let (Some(from), Some(body)) = (fields.get("From"), fields.get("Body")) else {
            return (Heard::Ignored, String::new());
        };
        let (heard, text) = match self.answer(sid, from, body).await {
            Ok(answered) => answered,
            Err(_) => (Heard::Failed, UNCERTAIN.to_owned()),
        };
        let says = format!("<Message>{}</Message>", escape_html(&text));
        (heard, if text.is_empty() { String::new() } else { says })
    }

    async fn answer(&self, sid: &str, from: &str, body: &str) -> Result<(Heard, String), BackendError> {
        let told = self.told(from).await?;
        if let Some(done) = self.done_before(sid, &told).await? {
            return Ok((Heard::Ignored, standing(&done.incident, &self.who(done, from), self.shared.backend.now())));
        }
        let open: Vec<&Told> = told.iter().filter(|told| told.incident.state == IncidentState::Open).collect();
        let ignored = |text: String| Ok((Heard::Ignored, text));
        let chosen = match (read(body), open.as_slice()) {
            (Said::Take(Some(wanted)), _) => {
                let named: Vec<&Told> = told.iter().filter(|told| number(&told.incident.id) == wanted).collect();
                match named.as_slice() {
                    [one] => *one,
                    [] => return ignored(format!("You were told of no incident {wanted}. {}", which(&open))),
                    _ => return ignored(format!("{wanted} is more than one incident. Take charge by the link.")),
                }
            }
            (Said::Take(None), [one]) => *one,
            // Somebody was faster, or it is over: that is what they want to know.
            (Said::Take(None), []) if !told.is_empty() => {
                return ignored(told.first().map_or_else(String::new, |newest| {
                    standing(&newest.incident, &self.who(newest, from), self.shared.backend.now())
                }));
            }
            (Said::Take(None), _) if !open.is_empty() => return ignored(which(&open)),
            (Said::Unclear, _) if !told.is_empty() => {
                return ignored(format!("Nobody reads what you write here. {}", which(&open)));
            }
            _ if self.knows(from) => return ignored(which(&open)),
            _ => return ignored(String::new()),
        };
        self.take(sid, chosen, from).await
    }

    async fn take(&self, sid: &str, chosen: &Told, from: &str) -> Result<(Heard, String), BackendError> {
        let Told { incident, person } = chosen;
        let (who, now) = (self.who(chosen, from), self.shared.backend.now());
        let text = format!("by text message to {} ({})", self.receiver, clip(&clean(sid), MAX_NAME));
        let action = Action { kind: ActionKind::Acknowledge, by: who.clone(), text };
        let knows = match person {
            // Others read what goes to the receiver itself, and must hear who has it.
            None if self.to.len() > 1 => None,
            person => Some(Addressee { receiver: self.receiver.clone(), recipient: person.clone() }),
        };
        let read_until = self.read_until(chosen).await?.unwrap_or(now);
        let done = self.shared.backend.answered(incident.id.clone(), action, knows, read_until).await?;
        let now = self.shared.backend.now();
        if let Some(incident) = done {
            return Ok((Heard::Done, standing(&incident, &who, now)));
        }
        let over = self.shared.backend.incident(incident.id.clone(), Sight::Veiled).await?;
        Ok((Heard::Ignored, over.map_or_else(String::new, |detail| standing(&detail.incident, &who, now))))
    }

    /// When the newest message of it reached them: what came later they have not read.
    async fn read_until(&self, told: &Told) -> Result<Option<Timestamp>, BackendError> {
        let deliveries = self.shared.backend.deliveries(told.incident.id.clone()).await?;
        let person = told.person.as_ref().map(|recipient| recipient.person.as_str());
        let theirs = deliveries.iter().filter(|delivery| match person {
            Some(_) => delivery.person.as_deref() == person,
            None => delivery.receiver == self.receiver.as_str() && delivery.person.is_none(),
        });
        let reached = theirs
            .filter(|delivery| delivery.state == "delivered")
            .filter_map(|delivery| Timestamp::parse(delivery.finished_at.as_deref()?).ok());
        Ok(reached.max())
    }

    /// A key pressed in a call.
    async fn key(&self, fields: &Fields, query: &Fields) -> (Heard, String) {
        let phrases = Phrases::of(query.get("language").map_or("en", String::as_str));
        let say = |text: &str| format!("<Say language=\"{}\">{}</Say>", phrases.locale, escape_html(text));
        let again = || format!("<Gather numDigits=\"1\" timeout=\"10\">{}</Gather>", say(phrases.press));
        let told = query.get("told").and_then(|told| told.parse().ok()).map(Timestamp::from_micros);
        let (Some(incident), Some(told)) = (query.get("incident"), told) else {
            return (Heard::Ignored, String::new());
        };
        if fields.get("Digits").map(String::as_str) != Some("1") {
            return (Heard::Ignored, format!("{}{}", again(), say(phrases.nothing_pressed)));
        }
        let who = query.get("person").map_or(self.receiver.as_str(), String::as_str).to_owned();
        let text = format!("by a key in a call by {}", self.receiver);
        let action = Action { kind: ActionKind::Acknowledge, by: who.clone(), text };
        let id = IncidentId::from(incident.as_str());
        // They heard what was said then, and nothing that was decided later.
        let heard_until = told + std::time::Duration::from_micros(1);
        match self.shared.backend.answered(id, action, None, heard_until).await {
            Ok(Some(incident)) => (Heard::Done, say(&spoken(&incident, &who, phrases))),
            Ok(None) => (Heard::Ignored, say(phrases.over)),
            Err(_) => (Heard::Failed, say(phrases.uncertain)),
        }
    }

    /// All that this number was told of: what is under way, then what is over, the newest first.
    async fn told(&self, from: &str) -> Result<Vec<Told>, BackendError> {
        let mut all = Vec::new();
        for (state, limit) in [
            (IncidentState::Open, UNDER_WAY),
            (IncidentState::Acknowledged, UNDER_WAY),
            (IncidentState::Resolved, OVER),
        ] {
            all.extend(self.shared.backend.incidents(Some(state), None, limit).await?);
        }
        let told = |incident: Incident| {
            let person = incident.told.receivers.iter().filter_map(|to| to.recipient.as_ref());
            let person = person.filter(|recipient| recipient.address == from).min().cloned();
            let by_itself = self.to.iter().any(|number| number == from)
                && incident.told.receivers.contains(&Addressee::from(self.receiver.clone()));
            (person.is_some() || by_itself).then_some(Told { incident, person })
        };
        Ok(all.into_iter().filter_map(told).collect())
    }

    /// The incident of which a message took charge when it came before.
    async fn done_before<'t>(&self, sid: &str, told: &'t [Told]) -> Result<Option<&'t Told>, BackendError> {
        let newest = {
            let mut newest: Vec<&Told> = told.iter().collect();
            newest.sort_by_key(|told| std::cmp::Reverse(told.incident.opened_at));
            newest.into_iter().take(SEARCHED)
        };
        for told in newest {
            let detail = self.shared.backend.incident(told.incident.id.clone(), Sight::Veiled).await?;
            let named = |text: &str| text.ends_with(&format!("({sid})"));
            if detail.is_some_and(|detail| detail.timeline.iter().any(|entry| named(&entry.text))) {
                return Ok(Some(told));
            }
        }
        Ok(None)
    }

    /// Whether it is anybody's number who may be told.
    fn knows(&self, from: &str) -> bool {
        let people = self.shared.backend.people();
        let theirs = people.persons.values().any(|person| person.contact.values().any(|address| address == from));
        theirs || self.to.iter().any(|number| number == from)
    }

    /// Who writes: the person, or the last digits of a number that has no name.
    fn who(&self, told: &Told, from: &str) -> String {
        if let Some(Recipient { person, .. }) = &told.person {
            return person.to_string();
        }
        let end: String = from.chars().skip(from.chars().count().saturating_sub(4)).collect();
        format!("{} …{end}", self.receiver)
    }
}

const UNCERTAIN: &str = "It is not certain that you have it: stormbell could not write it down. Reply again in a minute, \
                         or tell whoever is next that you have it.";

/// What to reply.
fn which(open: &[&Told]) -> String {
    let line = |told: &&Told| format!("OK {}: {}", number(&told.incident.id), title(&told.incident));
    match open {
        [] => "Nothing is open that you were told of.".to_owned(),
        [one] => format!("To take charge, reply {}", line(one)),
        _ => {
            let lines: Vec<String> = open.iter().take(NAMED).map(line).collect();
            let more = if open.len() > NAMED { "; and more" } else { "" };
            format!("{} are open. Reply with the number of one. {}{more}", open.len(), lines.join("; "))
        }
    }
}

/// Where it stands, to `who` asks.
fn standing(incident: &Incident, who: &str, now: Timestamp) -> String {
    let by = |signature: &Signature| clip(&clean(&signature.by), MAX_NAME);
    let ago = |signature: &Signature| human(now.since(signature.at));
    let title = title(incident);
    match (incident.state, &incident.acknowledged, &incident.resolved) {
        (IncidentState::Resolved, _, Some(ended)) => {
            format!("It is over: {} ended it {} ago. {title}", by(ended), ago(ended))
        }
        (IncidentState::Acknowledged, Some(taken), _) if taken.by == who => {
            format!("You have it. Nobody else is rung. {title}")
        }
        (IncidentState::Acknowledged, Some(taken), _) => {
            format!("{} has it, since {}. Nothing to do here. {title}", by(taken), ago(taken))
        }
        _ => format!(
            "Nobody has it yet: there is newer news of it. Read the newest message, then reply OK {}. {title}",
            number(&incident.id)
        ),
    }
}

fn spoken(incident: &Incident, who: &str, phrases: &Phrases) -> String {
    match (incident.state, &incident.acknowledged) {
        (IncidentState::Acknowledged, Some(taken)) if taken.by == who => phrases.yours.to_owned(),
        (IncidentState::Acknowledged, Some(taken)) => phrases.taken.replace("{}", &clip(&clean(&taken.by), MAX_NAME)),
        (IncidentState::Resolved, _) => phrases.over.to_owned(),
        _ => phrases.outdated.to_owned(),
    }
}

/// Severity and title; that it is an exercise stands in the title.
fn title(incident: &Incident) -> String {
    let incident = incident.clone().seen_with(Sight::Veiled);
    let severity = incident.severity.as_str().to_uppercase();
    clip(&clean(&format!("{severity} {}", incident.title)), MAX_TITLE)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// As Twilio's own library (`twilio` of `PyPI`, `RequestValidator`) signs it.
    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
    const RIGHT: &str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";

    fn fields() -> Vec<(String, String)> {
        let fields = [
            ("To", "+18005551212"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("Caller", "+14158675309"),
            ("CallSid", "CA1234567890ABCDE"),
        ];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    fn signed(token: &str, url: &str, fields: Vec<(String, String)>, signature: &str) -> bool {
        let value = HeaderValue::from_str(signature).unwrap();
        is_signed(&Secret::new(token.to_owned()), url, fields, &[(SIGNATURE, value)].into_iter().collect())
    }

    #[test]
    fn the_signature_is_of_the_address_and_every_field() {
        assert!(signed("12345", URL, fields(), RIGHT));
        let mut twice = fields();
        twice.extend(fields());
        assert!(signed("12345", URL, twice, RIGHT), "a field that comes twice counts once");
        for (token, url) in [("54321", URL), ("", URL), ("12345", "http://mycompany.com/myapp.php?foo=1&bar=2")] {
            assert!(!signed(token, url, fields(), RIGHT), "{token} {url}");
        }
        for place in 0..fields().len() {
            let mut touched = fields();
            touched[place].1.push('1');
            assert!(!signed("12345", URL, touched, RIGHT));
            let mut missing = fields();
            missing.remove(place);
            assert!(!signed("12345", URL, missing, RIGHT));
        }
        for wrong in ["", "RSOYDt4T1cUTdK1PDd93/VVr8B8", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "%%"] {
            assert!(!signed("12345", URL, fields(), wrong), "{wrong}");
        }
        assert!(!is_signed(&Secret::new("12345".to_owned()), URL, fields(), &HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn no_signature_stops_the_reader(signature in "[ -~]{0,100}") {
            prop_assert!(!signed("12345", URL, fields(), &signature));
        }
    }
}
