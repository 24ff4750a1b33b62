//! What receivers got that take only so much in a while, and what waits for their digests.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::stored::Unreadable;
use crate::domain::addressee::{Addressee, Recipient};
use crate::domain::cap::{Held, Quota};
use crate::domain::time::Timestamp;

#[derive(Serialize, Deserialize)]
struct QuotaJson {
    receiver: String,
    began: i64,
    sent: u32,
    held: Vec<HeldJson>,
}

/// What waits for somebody about one incident.
#[derive(Serialize, Deserialize)]
struct HeldJson {
    /// Person and address; none: whomever the receiver tells by itself.
    recipient: Option<(String, String)>,
    incident: String,
    messages: u32,
    untold: bool,
}

pub(super) fn all(sql: &Connection) -> Result<Vec<Quota>, StoreError> {
    let mut select = sql.prepare("SELECT receiver, detail FROM quota ORDER BY receiver")?;
    let mut rows = select.query(())?;
    let mut quotas = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, detail): (String, String) = (row.get(0)?, row.get(1)?);
        quotas.push(from_json(&detail).or(Err(StoreError::Unreadable { table: "quota", id }))?);
    }
    Ok(quotas)
}

/// A struct of strings and numbers always has a JSON form.
pub(super) fn to_json(quota: &Quota) -> String {
    let Quota { receiver, began, sent, held } = quota;
    let mut waiting = Vec::new();
    for (to, incidents) in held {
        let recipient = to.recipient.as_ref().map(|to| (to.person.to_string(), to.address.clone()));
        for (incident, Held { messages, untold }) in incidents {
            waiting.push(HeldJson {
                recipient: recipient.clone(),
                incident: incident.to_string(),
                messages: *messages,
                untold: *untold,
            });
        }
    }
    let json = QuotaJson { receiver: receiver.to_string(), began: began.micros(), sent: *sent, held: waiting };
    serde_json::to_string(&json).unwrap_or_default()
}

fn from_json(text: &str) -> Result<Quota, Unreadable> {
    let QuotaJson { receiver, began, sent, held } = serde_json::from_str(text).or(Err(Unreadable))?;
    let mut quota = Quota { sent, ..Quota::new(receiver.into(), Timestamp::from_micros(began)) };
    for HeldJson { recipient, incident, messages, untold } in held {
        let recipient = recipient.map(|(person, address)| Recipient { person: person.into(), address });
        let to = Addressee { receiver: quota.receiver.clone(), recipient };
        quota.held.entry(to).or_default().insert(incident.into(), Held { messages, untold });
    }
    Ok(quota)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_comes_back_as_it_was() {
        let mut quota = Quota::new("sms".into(), Timestamp::from_micros(-5));
        quota.sent = u32::MAX;
        let recipient = Recipient { person: "ann".into(), address: "+1 555".to_owned() };
        for to in [Addressee { receiver: "sms".into(), recipient: Some(recipient) }, "sms".into()] {
            quota.hold(to.clone(), &"inc-a".into(), true);
            quota.hold(to.clone(), &"inc-a".into(), false);
            quota.hold(to, &"inc-b".into(), false);
        }
        assert_eq!(from_json(&to_json(&quota)), Ok(quota));
        assert_eq!(from_json("{}"), Err(Unreadable));
    }
}
