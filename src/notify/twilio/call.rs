//! Calls: the text is spoken twice, and the key 1 takes charge.
//!
//! That Twilio takes a call says nothing about whom it reaches: the message counts as delivered when somebody has
//! answered. So an attempt that has called ends with “nobody has answered yet”, and the next ones, seconds later,
//! look at the call instead of calling again. Looking needs nobody to reach us, as reports of Twilio's would, and works
//! while the hospital's own line is down. Who is engaged or does not answer is called three times; meanwhile the outbox
//! has told others that there is no receipt. A voicemail that answers counts as an answer: nobody takes charge there,
//! and the next step of the route is told.
//!
//! Sources: <https://www.twilio.com/docs/voice/api/call-resource>, <https://www.twilio.com/docs/voice/twiml/gather>.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use reqwest::Method;
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::{Account, Twilio};
use crate::domain::harmless::escape_html;
use crate::domain::id::DeliveryId;
use crate::domain::message::Leased;
use crate::domain::time::Timestamp;
use crate::notify::SendError;
use crate::notify::text::Parts;
use crate::notify::untrusted::{clip, sms};
use crate::wire::answer::{Phrases, locale};

/// A number is called so often about one message.
const CALLS: u32 = 3;
/// Calls remembered.
const REMEMBERED: usize = 1024;
/// Facts that are spoken, and characters of each: half a minute of speech.
const FACTS: usize = 3;
/// Facts that are for reading.
const UNSPOKEN: [&str; 3] = ["Rules", "Playbook", "Incident"];
const MAX_FACT: usize = 150;
/// Characters of the instructions that come with a call; Twilio takes so many.
const MAX_TWIML: usize = 4000;
/// Seconds for which a key is waited for at the end.
const PATIENCE: u32 = 10;

/// Calls under way.
#[derive(Default)]
pub(super) struct Calls(Mutex<VecDeque<Call>>);

#[derive(Clone)]
struct Call {
    message: DeliveryId,
    number: String,
    sid: String,
    /// How often the number was called about the message, this one included.
    count: u32,
}

#[derive(Deserialize)]
struct Created {
    sid: String,
}

#[derive(Deserialize)]
struct Looked {
    status: String,
}

/// How a call stands.
enum Standing {
    Answered,
    Ringing,
    Missed(&'static str),
}

impl Standing {
    /// By Twilio's word for it.
    fn of(status: &str) -> Self {
        match status {
            "in-progress" | "completed" => Self::Answered,
            "busy" => Self::Missed("the line is engaged"),
            "no-answer" => Self::Missed("nobody answers"),
            "failed" => Self::Missed("the call cannot be put through"),
            "canceled" => Self::Missed("the call was cancelled"),
            _ => Self::Ringing,
        }
    }
}

impl Calls {
    /// Calls the number, or looks how its call stands. Fine once somebody answered.
    pub(super) async fn ring(
        &self,
        twilio: &Twilio,
        usual: &str,
        number: &str,
        leased: &Leased,
        now: Timestamp,
    ) -> Result<(), SendError> {
        let waiting = |error: &str| Err(SendError::Retry { after: None, error: error.to_owned() });
        let before = self.of(&leased.delivery.id, number);
        if let Some(call) = &before {
            match twilio.account.look(&call.sid, now).await? {
                Standing::Answered => return Ok(()),
                Standing::Ringing => return waiting("the telephone rings, and nobody has answered yet"),
                Standing::Missed(why) if call.count >= CALLS => {
                    return Err(SendError::Permanent { error: format!("called {CALLS} times; {why}") });
                }
                Standing::Missed(_) => {}
            }
        }
        // What a restart forgot may have been answered.
        let again = before.is_none() && leased.attempt > 1;
        let twiml = twilio.instructions(usual, leased, again);
        let fields = [("From", twilio.account.from.as_str()), ("Twiml", &twiml)];
        let created = twilio.account.create("Calls.json", number, &fields, now).await?;
        let Ok(Created { sid }) = serde_json::from_slice(&created) else {
            return waiting("the call was taken, and not named"); // and may have been made
        };
        let count = before.map_or(1, |call| call.count + 1);
        self.remember(Call { message: leased.delivery.id.clone(), number: number.to_owned(), sid, count });
        waiting("called, and nobody has answered yet")
    }

    fn of(&self, message: &DeliveryId, number: &str) -> Option<Call> {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().rev().find(|call| call.message == *message && call.number == number).cloned()
    }

    fn remember(&self, call: Call) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.retain(|other| (&other.message, &other.number) != (&call.message, &call.number));
        calls.push_back(call);
        if calls.len() > REMEMBERED {
            calls.pop_front();
        }
    }
}

impl Account {
    async fn look(&self, sid: &str, now: Timestamp) -> Result<Standing, SendError> {
        let looked = self.ask(Method::GET, &["Calls", &format!("{sid}.json")], Vec::new(), now).await;
        // A call that Twilio does not know is none; that it cannot say is not the call's end.
        match looked.map_err(|refused| refused.error) {
            Ok(answer) => {
                Ok(serde_json::from_slice(&answer).map_or(Standing::Ringing, |Looked { status }| Standing::of(&status)))
            }
            Err(SendError::Permanent { .. }) => Ok(Standing::Missed("the call is not known any more")),
            Err(error) => Err(error),
        }
    }
}

impl Twilio {
    /// What Twilio does in the call, in its markup; `usual` is the language of whoever has none of their own.
    fn instructions(&self, usual: &str, leased: &Leased, again: bool) -> String {
        let person = leased.delivery.recipient.as_ref().map(|recipient| &recipient.person);
        let voice = locale(self.wording.language(person).unwrap_or(usual));
        let speaks = self.wording.speaks(person).unwrap_or(usual);
        let phrases = Phrases::of(speaks);
        let message = &leased.delivery.message;
        let answer = self.wording.hook_url("twilio").map(|hook| {
            let mut query = Serializer::new(String::new());
            query.append_pair("incident", message.incident.id.as_str());
            query.append_pair("told", &message.at.micros().to_string());
            query.append_pair("language", speaks);
            if let Some(person) = person {
                query.append_pair("person", person.as_str());
            }
            format!("{hook}?{}", query.finish())
        });
        let parts = self.wording.parts(leased).repeated(if again { leased.attempt } else { 1 });
        parts.fitted(
            |parts| instructions(&spoken(parts), voice, phrases, answer.as_deref()),
            |twiml| twiml.chars().count() <= MAX_TWIML,
        )
    }
}

fn instructions(text: &str, voice: Option<&str>, phrases: &Phrases, answer: Option<&str>) -> String {
    let text = say(text, voice);
    let body = match answer {
        None => format!("{text}{text}"),
        Some(answer) => {
            let press = say(phrases.press, Some(phrases.locale));
            let (action, nothing) = (escape_html(answer), say(phrases.nothing_pressed, Some(phrases.locale)));
            format!(
                "<Gather numDigits=\"1\" timeout=\"{PATIENCE}\" action=\"{action}\">{text}{press}{text}{press}</Gather>{nothing}"
            )
        }
    };
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{body}</Response>")
}

fn say(text: &str, voice: Option<&str>) -> String {
    let language = voice.map(|voice| format!(" language=\"{voice}\"")).unwrap_or_default();
    format!("<Say{language}>{}</Say>", escape_html(text))
}

/// What is said first of all.
fn spoken(parts: &Parts) -> String {
    let facts = parts
        .facts
        .iter()
        .filter(|fact| !UNSPOKEN.contains(&&*fact.name))
        .take(FACTS)
        .map(|fact| clip(&fact.line(), MAX_FACT));
    let sentences: Vec<String> = std::iter::once(parts.headline.clone()).chain(facts).collect();
    sms(&sentences.join(". "))
}
