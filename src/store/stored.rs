//! Domain values as JSON on disk, without loss, and back.
//!
//! Not the JSON of webhooks: that one leaves out what only the engine needs
//! (escalations, what people were told). Fields are only ever added, with a default,
//! so that a database from before an upgrade stays readable. What strangers wrote and
//! who they are is sealed in it (see [`super::keys`]); the rest can be asked for in SQL.

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::keys::{About, Keys};
use super::ring::Lane;
use crate::domain::addressee::{Addressee, Recipient};
use crate::domain::id::{PostId, RuleId, SourceName, Topic};
use crate::domain::incident::{
    Again, Also, Anew, Escalation, Incident, IncidentState, Muted, Severity, Signature, Told,
};
use crate::domain::key::Key;
use crate::domain::message::{Message, MessageKind};
use crate::domain::post::{Author, Post};
use crate::domain::terms::Notable;
use crate::domain::time::Timestamp;
use crate::wire::post::PostJson;

/// The JSON is not what this program writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// What stands where a key is destroyed.
const GONE: &str = "no longer kept";
/// What stands where something was changed in the database.
const BROKEN: &str = "cannot be read: it is not what was written";

/// What is sealed of an incident.
const INCIDENT: &str = "incident";

pub(super) fn incident_to_json(incident: &Incident, keys: &Keys) -> Result<String, StoreError> {
    Ok(json(&IncidentJson::sealed(incident, keys)?))
}

/// The incident of a row.
pub(super) fn incident_from_json(id: &str, text: &str, keys: &Keys) -> Result<Incident, StoreError> {
    let unreadable = || StoreError::Unreadable { table: INCIDENT, id: id.to_owned() };
    let opened = parse::<IncidentJson>(text).or(Err(unreadable()))?.opened(keys)?;
    opened.into_incident().or(Err(unreadable()))
}

/// Whether what is kept of an incident is for few.
pub(super) fn is_restricted(text: &str) -> bool {
    let incident = parse::<IncidentJson>(text).and_then(IncidentJson::into_incident);
    incident.is_ok_and(|incident| incident.is_restricted())
}

pub(super) fn message_to_json(message: &Message, keys: &Keys) -> Result<String, StoreError> {
    Ok(json(&MessageJson {
        kind: message.kind.as_str().to_owned(),
        at: message.at.micros(),
        incident: IncidentJson::sealed(&message.incident, keys)?,
    }))
}

/// The message of a row.
pub(super) fn message_from_json(id: &str, text: &str, keys: &Keys) -> Result<Message, StoreError> {
    let unreadable = || StoreError::Unreadable { table: "outbox", id: id.to_owned() };
    let MessageJson { kind, at, incident } = parse(text).or(Err(unreadable()))?;
    Ok(Message {
        kind: MessageKind::parse(&kind).ok_or_else(unreadable)?,
        at: Timestamp::from_micros(at),
        incident: incident.opened(keys)?.into_incident().or(Err(unreadable()))?,
    })
}

/// Words of a row that stays without its text once the key is destroyed.
pub(super) fn words_of(keys: &Keys, about: About<'_>, sealed: &str) -> Result<String, StoreError> {
    let opened = StoreError::or_absent(keys.open(about, sealed))?;
    Ok(opened.map_or_else(|| BROKEN.to_owned(), |text| text.unwrap_or_else(|| GONE.to_owned())))
}

/// Seals the text of a post.
pub(super) fn seal_post(keys: &Keys, lane: Lane, at: Timestamp, name: &str, json: &str) -> Result<String, StoreError> {
    keys.seal(lane, at, About::new("post", name), json)
}

/// The JSON of a post; none when its key is destroyed.
pub(super) fn open_post(keys: &Keys, name: &str, sealed: &str) -> Result<Option<String>, StoreError> {
    keys.open(About::new("post", name), sealed)
}

/// The post itself; none when its key is destroyed.
pub(super) fn read_post(keys: &Keys, name: &str, sealed: &str) -> Result<Option<Post>, StoreError> {
    let unreadable = || StoreError::Unreadable { table: "post", id: name.to_owned() };
    let post = open_post(keys, name, sealed)?.map(|json| post_from_json(&json));
    post.transpose().or(Err(unreadable()))
}

pub(super) fn post_to_json(post: &Post) -> String {
    json(&PostJson::from(post))
}

/// A post with what is known of its author: what is not, stays.
pub(super) fn with_author(post: Post, author: &Author) -> Post {
    let Author { handle, name, followers, .. } = author.clone();
    let was = post.author;
    let author = Author {
        id: was.id,
        handle: handle.or(was.handle),
        name: name.or(was.name),
        followers: followers.or(was.followers),
    };
    Post { author, ..post }
}

pub(super) fn post_from_json(text: &str) -> Result<Post, Unreadable> {
    // The post names its source itself; the name here only stands in for a missing one.
    parse::<PostJson<'_>>(text)?.into_post(&SourceName::from("unknown")).or(Err(Unreadable))
}

/// Seals the hashes of a post's words: whoever has a dictionary can read them.
pub(super) fn seal_words(
    keys: &Keys,
    lane: Lane,
    at: Timestamp,
    name: &str,
    words: &[u32],
) -> Result<Vec<u8>, StoreError> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    Ok(keys.seal(lane, at, About::new("telling", name), bytes)?.into_bytes())
}

/// Those of a row; none of a text that is gone.
pub(super) fn open_words(keys: &Keys, name: &str, sealed: &[u8]) -> Result<Box<[u32]>, StoreError> {
    let Ok(sealed) = str::from_utf8(sealed) else { return Ok(Box::default()) };
    if sealed.is_empty() {
        return Ok(Box::default());
    }
    let bytes = keys.open_bytes(About::new("telling", name), sealed)?.unwrap_or_default();
    Ok(bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect())
}

/// Structs of strings and numbers always have a JSON form; were that ever wrong, the
/// empty text is refused when it is read.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Unreadable> {
    serde_json::from_str(text).or(Err(Unreadable))
}

#[derive(Serialize, Deserialize)]
struct MessageJson {
    kind: String,
    at: i64,
    incident: IncidentJson,
}

#[derive(Serialize, Deserialize)]
struct IncidentJson {
    id: String,
    topic: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    also: Vec<AlsoJson>,
    title: String,
    severity: String,
    state: String,
    rules: Vec<String>,
    opened_at: i64,
    first_post_at: i64,
    last_post_at: i64,
    posts: u64,
    authors: u64,
    #[serde(default)]
    stories: u64,
    why: String,
    playbook: Option<String>,
    exercise: bool,
    late: bool,
    sample: Vec<String>,
    acknowledged: Option<SignatureJson>,
    resolved: Option<SignatureJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    merged: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    merged_into: Option<String>,
    #[serde(default)]
    reopened: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    again: Option<AgainJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notable: Vec<NotableJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anew: Option<(i64, u32)>,
    #[serde(default)]
    muted: Option<MutedJson>,
    revision: u32,
    told: ToldJson,
    escalations: Vec<EscalationJson>,
}

#[derive(Serialize, Deserialize)]
struct AlsoJson {
    topic: String,
    severity: String,
    rules: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    whole: bool,
}

#[derive(Serialize, Deserialize)]
struct AgainJson {
    at: i64,
    times: u32,
}

#[derive(Serialize, Deserialize)]
struct NotableJson {
    author: u64,
    what: String,
}

#[derive(Serialize, Deserialize)]
struct SignatureJson {
    by: String,
    at: i64,
}

#[derive(Serialize, Deserialize)]
struct MutedJson {
    since: i64,
    silences: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    incident: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ToldJson {
    severity: String,
    authors: u64,
    #[serde(default)]
    notable: usize,
    /// Told as a whole.
    receivers: Vec<String>,
    /// Told in person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    recipients: Vec<RecipientJson>,
}

#[derive(Serialize, Deserialize)]
struct RecipientJson {
    receiver: String,
    person: String,
    address: String,
}

impl From<&Told> for ToldJson {
    fn from(told: &Told) -> Self {
        let Told { severity, authors, notable, receivers: addressees } = told;
        let mut receivers = Vec::new();
        let mut recipients = Vec::new();
        for Addressee { receiver, recipient } in addressees {
            match recipient {
                None => receivers.push(receiver.to_string()),
                Some(Recipient { person, address }) => recipients.push(RecipientJson {
                    receiver: receiver.to_string(),
                    person: person.to_string(),
                    address: address.clone(),
                }),
            }
        }
        Self { severity: severity.as_str().to_owned(), authors: *authors, notable: *notable, receivers, recipients }
    }
}

impl ToldJson {
    fn into_told(self) -> Result<Told, Unreadable> {
        let in_person = |RecipientJson { receiver, person, address }| Addressee {
            receiver: receiver.into(),
            recipient: Some(Recipient { person: person.into(), address }),
        };
        let receivers = self.receivers.into_iter().map(|receiver| Addressee::from(receiver.as_str()));
        Ok(Told {
            severity: Severity::parse(&self.severity).ok_or(Unreadable)?,
            authors: self.authors,
            notable: self.notable,
            receivers: receivers.chain(self.recipients.into_iter().map(in_person)).collect(),
        })
    }
}

impl From<(&Topic, &Also)> for AlsoJson {
    fn from((topic, Also { severity, rules, whole }): (&Topic, &Also)) -> Self {
        let rules = rules.iter().map(ToString::to_string).collect();
        Self { topic: topic.to_string(), severity: severity.as_str().to_owned(), rules, whole: *whole }
    }
}

impl AlsoJson {
    fn into_also(self) -> Result<(Topic, Also), Unreadable> {
        let severity = Severity::parse(&self.severity).ok_or(Unreadable)?;
        let rules = self.rules.into_iter().map(RuleId::from).collect();
        Ok((self.topic.into(), Also { severity, rules, whole: self.whole }))
    }
}

#[derive(Serialize, Deserialize)]
struct EscalationJson {
    route: usize,
    step: usize,
    due: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    muted: bool,
}

impl IncidentJson {
    /// Under the key of its newest day.
    fn sealed(incident: &Incident, keys: &Keys) -> Result<Self, StoreError> {
        let Self { why, sample, notable, .. } = Self::from(incident);
        let (lane, at) = (Lane::of(incident.is_restricted()), incident.opened_at.max(incident.last_post_at));
        let about = About::new(INCIDENT, incident.id.as_str());
        let seal = |text: &str| keys.seal(lane, at, about, text);
        let named = |NotableJson { author, what }| Ok(NotableJson { author, what: seal(&what)? });
        Ok(Self {
            why: seal(&why)?,
            sample: sample.iter().map(|id| keys.name(id)).collect::<Result<_, _>>()?,
            notable: notable.into_iter().map(named).collect::<Result<_, StoreError>>()?,
            ..Self::from(incident)
        })
    }

    fn opened(self, keys: &Keys) -> Result<Self, StoreError> {
        let about = About::new(INCIDENT, &self.id);
        let named = |NotableJson { author, what }| Ok(NotableJson { author, what: words_of(keys, about, &what)? });
        // Retention leaves nothing of it.
        let why = if self.why.is_empty() { GONE.to_owned() } else { words_of(keys, about, &self.why)? };
        let notable = self.notable.into_iter().map(named).collect::<Result<_, StoreError>>()?;
        let mut sample = Vec::with_capacity(self.sample.len());
        for name in self.sample {
            // From before the keys were lost: nothing else knows the post either.
            sample.extend(StoreError::or_absent(keys.named(&name))?);
        }
        Ok(Self { why, sample, notable, ..self })
    }
}

impl From<&Incident> for IncidentJson {
    fn from(incident: &Incident) -> Self {
        // Taken apart, so that a field added to the domain cannot be forgotten here.
        let Incident {
            id,
            topic,
            also,
            title,
            severity,
            state,
            rules,
            opened_at,
            first_post_at,
            last_post_at,
            posts,
            authors,
            stories,
            why,
            playbook,
            exercise,
            late,
            sample,
            acknowledged,
            resolved,
            merged,
            merged_into,
            reopened,
            again,
            notable,
            anew,
            muted,
            revision,
            told,
            escalations,
        } = incident;
        let signature = |signature: &Option<Signature>| {
            signature.as_ref().map(|Signature { by, at }| SignatureJson { by: by.clone(), at: at.micros() })
        };
        let escalation = |&Escalation { route, step, due, muted }: &Escalation| EscalationJson {
            route,
            step,
            due: due.map(Timestamp::micros),
            muted,
        };
        Self {
            id: id.to_string(),
            topic: topic.to_string(),
            also: also.iter().map(AlsoJson::from).collect(),
            title: title.clone(),
            severity: severity.as_str().to_owned(),
            state: state.as_str().to_owned(),
            rules: rules.iter().map(ToString::to_string).collect(),
            opened_at: opened_at.micros(),
            first_post_at: first_post_at.micros(),
            last_post_at: last_post_at.micros(),
            posts: *posts,
            authors: *authors,
            stories: *stories,
            why: why.clone(),
            playbook: playbook.clone(),
            exercise: *exercise,
            late: *late,
            sample: sample.iter().map(ToString::to_string).collect(),
            acknowledged: signature(acknowledged),
            resolved: signature(resolved),
            merged: merged.iter().map(ToString::to_string).collect(),
            merged_into: merged_into.as_ref().map(ToString::to_string),
            reopened: reopened.map(Timestamp::micros),
            again: again.map(|Again { at, times }| AgainJson { at: at.micros(), times }),
            notable: notable
                .iter()
                .map(|Notable { author, what }| NotableJson { author: author.bits(), what: what.clone() })
                .collect(),
            anew: anew.map(|Anew { at, revision }| (at.micros(), revision)),
            muted: muted.as_ref().map(|Muted { since, silences, incident }| MutedJson {
                since: since.micros(),
                silences: silences.iter().map(ToString::to_string).collect(),
                incident: incident.as_ref().map(ToString::to_string),
            }),
            revision: *revision,
            told: told.into(),
            escalations: escalations.iter().map(escalation).collect(),
        }
    }
}

impl IncidentJson {
    fn into_incident(self) -> Result<Incident, Unreadable> {
        let severity = |text: &str| Severity::parse(text).ok_or(Unreadable);
        let time = Timestamp::from_micros;
        let signature = |signature: SignatureJson| Signature { by: signature.by, at: time(signature.at) };
        Ok(Incident {
            id: self.id.into(),
            topic: self.topic.into(),
            also: self.also.into_iter().map(AlsoJson::into_also).collect::<Result<_, _>>()?,
            title: self.title,
            severity: severity(&self.severity)?,
            state: IncidentState::parse(&self.state).ok_or(Unreadable)?,
            rules: self.rules.into_iter().map(RuleId::from).collect(),
            opened_at: time(self.opened_at),
            first_post_at: time(self.first_post_at),
            last_post_at: time(self.last_post_at),
            posts: self.posts,
            authors: self.authors,
            stories: self.stories,
            why: self.why,
            playbook: self.playbook,
            exercise: self.exercise,
            late: self.late,
            sample: self.sample.into_iter().map(PostId::from).collect(),
            acknowledged: self.acknowledged.map(signature),
            resolved: self.resolved.map(signature),
            merged: self.merged.into_iter().map(Into::into).collect(),
            merged_into: self.merged_into.map(Into::into),
            reopened: self.reopened.map(time),
            again: self.again.map(|AgainJson { at, times }| Again { at: time(at), times }),
            notable: self
                .notable
                .into_iter()
                .map(|NotableJson { author, what }| Notable { author: Key::from_bits(author), what })
                .collect(),
            anew: self.anew.map(|(at, revision)| Anew { at: time(at), revision }),
            muted: self.muted.map(|MutedJson { since, silences, incident }| Muted {
                since: time(since),
                silences: silences.into_iter().map(Into::into).collect(),
                incident: incident.map(Into::into),
            }),
            revision: self.revision,
            told: self.told.into_told()?,
            escalations: self
                .escalations
                .into_iter()
                .map(|EscalationJson { route, step, due, muted }| Escalation { route, step, due: due.map(time), muted })
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::post::{Author, Original, PostKind};

    fn incident() -> Incident {
        let at = Timestamp::from_micros(1_795_341_600_123_456);
        let recipient = Recipient { person: "ann".into(), address: "+1 555".to_owned() };
        let in_person = Addressee { receiver: "sms".into(), recipient: Some(recipient) };
        Incident {
            id: "i1".into(),
            topic: "active-threat".into(),
            also: [("cyber".into(), Also { severity: Severity::Low, rules: ["b".into()].into(), whole: true })].into(),
            title: "Gunman \"reported\"\n".to_owned(),
            severity: Severity::Critical,
            state: IncidentState::Resolved,
            rules: ["b".into(), "a".into()].into(),
            opened_at: at,
            first_post_at: Timestamp::from_micros(-5),
            last_post_at: at,
            posts: u64::MAX,
            authors: 2,
            stories: 1,
            why: "because".to_owned(),
            playbook: Some("p.md".to_owned()),
            exercise: true,
            late: true,
            sample: vec!["at://1".into()],
            acknowledged: Some(Signature { by: "ann".to_owned(), at }),
            resolved: Some(Signature { by: "stormbell".to_owned(), at }),
            merged: ["i2".into(), "i3".into()].into(),
            merged_into: Some("i4".into()),
            reopened: Some(at),
            again: Some(Again { at, times: 2 }),
            notable: vec![Notable { author: Key::from_bits(u64::MAX), what: "the journalist @ann.example".to_owned() }],
            anew: Some(Anew { at: Timestamp::from_micros(7), revision: 3 }),
            muted: Some(Muted { since: at, silences: ["sil-a".into()].into(), incident: Some("i0".into()) }),
            revision: 7,
            told: Told {
                severity: Severity::High,
                authors: 1,
                notable: 1,
                receivers: ["on-call".into(), in_person].into(),
            },
            escalations: vec![
                Escalation { route: 1, step: 2, due: Some(at), muted: false },
                Escalation { route: 0, step: 0, due: None, muted: true },
            ],
        }
    }

    #[test]
    fn messages_come_back_as_they_were() {
        let keys = Keys::anew(std::path::Path::new("a.db")).unwrap();
        for kind in MessageKind::ALL {
            let message = Message { kind, at: Timestamp::from_micros(1), incident: incident() };
            let json = message_to_json(&message, &keys).unwrap();
            assert_eq!(message_from_json("m", &json, &keys).unwrap(), message);
            for word in ["because", "journalist", "ann.example", "at://1"] {
                assert!(!json.contains(word), "{word} is in {json}");
            }
        }
        let json = incident_to_json(&incident(), &keys).unwrap();
        assert_eq!(incident_from_json("i1", &json, &keys).unwrap(), incident());
    }

    #[test]
    fn what_is_known_of_an_author_leaves_the_rest_as_it_was() {
        let author = |handle: Option<&str>, followers| Author {
            id: "a".into(),
            handle: handle.map(str::to_owned),
            name: Some("Ann".to_owned()),
            followers,
        };
        let post = Post::plain("p".into(), "s".into(), "a".into(), "t".to_owned(), Timestamp::default());
        let post = with_author(post, &author(Some("ann"), Some(5)));
        assert_eq!(post.author, author(Some("ann"), Some(5)));
        assert_eq!(with_author(post, &author(None, Some(6))).author, author(Some("ann"), Some(6)));
    }

    #[test]
    fn posts_come_back_to_the_microsecond() {
        let post = Post {
            id: "at://1".into(),
            version: Some("cid".to_owned()),
            source: "bluesky".into(),
            url: None,
            created_at: Timestamp::from_micros(1_795_341_600_000_001),
            event_time: Timestamp::from_micros(1_795_341_600_999_999),
            author: Author {
                id: "did:1".into(),
                handle: None,
                name: Some("Ann \u{1F6A8}".to_owned()),
                followers: Some(0),
            },
            text: "a \"quote\"\u{0}\n".to_owned(),
            lang: vec!["en".to_owned()],
            kind: PostKind::Reply,
            reply_to: Some("at://0".into()),
            quote_of: None,
            repost_of: None,
            copy_of: Some(Original { post: "https://a.example/1".into(), author: Some("did:0".into()) }),
            links: vec!["https://l.example".to_owned()],
            tags: vec![],
            media_text: vec!["a picture".to_owned()],
            has_media: true,
        };
        assert_eq!(post_from_json(&post_to_json(&post)), Ok(post));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "{}", "[]", r#"{"kind":"incident.eaten","at":1,"incident":{}}"#] {
            let read = message_from_json("m", text, &Keys::none());
            assert!(matches!(read, Err(StoreError::Unreadable { table: "outbox", .. })), "{text}");
        }
    }
}
