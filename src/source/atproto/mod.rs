//! The AT Protocol's firehose, `com.atproto.sync.subscribeRepos`, which relays and every PDS speak:
//! what Jetstream is made from, without Jetstream.
//!
//! A message is a header and a body in DAG-CBOR; a commit holds up to 200 changes, and their
//! records as blocks of a CAR. Here each change becomes a frame of Jetstream's v1 wire, as
//! Jetstream's own server would write it, so that one decoder reads both, and the same post by
//! either way is the same post. Pure: bytes in, frames out; the source's task and `replay` use
//! the same function. Signatures are not checked: the relay does, and the connection to it is.
//!
//! The cursor is a number of the host's own and exclusive; a relay keeps about three days. Too old
//! a cursor is announced and reading starts later; one that is ahead is refused. Nothing says
//! how far a repository that was replaced (`#sync`) differs, and it is not fetched.
//!
//! Rejected: reading CBOR straight to posts. It is twice as fast, and a second reading of records,
//! with limits of its own, that would have to be kept like the first for ever.

mod car;
mod wire;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};
use ipld_core::cid::Cid;
use ipld_core::ipld::Ipld;
use serde::de::IgnoredAny;
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Deserialize, Serialize, Serializer};
use serde_ipld_dagcbor::de::from_reader_once;
use serde_ipld_dagcbor::from_slice;

use crate::domain::event::Rejected;
use crate::domain::time::Timestamp;
use crate::source::jetstream::POSTS;

pub use self::wire::Atproto;

/// The longest name of an error or a piece of information that is repeated in a log.
const MAX_NAME: usize = 40;

/// One message of the firehose.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// Something happened in a repository.
    Events {
        /// Its number at this host.
        seq: u64,
        /// When the host saw it.
        at: Timestamp,
        /// At least one frame of Jetstream's v1 wire, or what made one impossible.
        frames: Vec<Result<Vec<u8>, Rejected>>,
    },
    /// What the host says about the stream, which goes on.
    Info(String),
    /// Why the host ends the stream.
    Error(String),
    /// A kind that came later.
    Unknown,
}

/// Reads a message.
///
/// # Errors
/// Why nobody can.
pub fn read(message: &[u8]) -> Result<Message, Rejected> {
    let mut rest = message;
    let header: Header = from_reader_once(&mut rest).or(Err(Rejected::NotJson))?;
    let body: Body<'_> = match from_slice(rest) {
        Ok(body) => body,
        Err(_) if from_slice::<IgnoredAny>(rest).is_ok() => return Err(Rejected::WrongType),
        Err(_) => return Err(Rejected::NotJson),
    };
    match (header.op, header.t.as_deref()) {
        (-1, _) => Ok(Message::Error(name(body.error.as_deref()))),
        (1, Some("#info")) => Ok(Message::Info(name(body.name.as_deref()))),
        (1, Some(kind @ ("#commit" | "#identity" | "#account" | "#sync"))) => events(kind, &body),
        _ => Ok(Message::Unknown),
    }
}

/// Reads a message written in a line of a recording: base64, or hexadecimal digits.
///
/// # Errors
/// Why nobody can.
pub fn read_line(line: &[u8]) -> Result<Message, Rejected> {
    read(&unwritten(line).ok_or(Rejected::NotJson)?)
}

/// Whether a line of a recording can only be a message.
pub fn is_line(line: &[u8]) -> bool {
    unwritten(line).is_some_and(|message| from_reader_once::<Header, _>(&mut message.as_slice()).is_ok())
}

/// A message always begins with a small map, `a1` or `a2`, which is `o` in base64.
fn unwritten(line: &[u8]) -> Option<Vec<u8>> {
    const ANY_PADDING: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const BASE64: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, ANY_PADDING);
    if !line.starts_with(b"a") {
        return BASE64.decode(line).ok();
    }
    let (pairs, odd) = line.as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |&[high, low]: &[u8; 2]| Some(digit(high)? << 4 | digit(low)?);
    odd.is_empty().then(|| pairs.iter().map(byte).collect()).flatten()
}

#[derive(Deserialize)]
struct Header {
    op: i64,
    t: Option<String>,
}

/// Every body; which fields count depends on the kind.
#[derive(Deserialize)]
struct Body<'a> {
    seq: Option<u64>,
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
    /// Whose repository, in a commit.
    #[serde(borrow)]
    repo: Option<Cow<'a, str>>,
    /// And in all others.
    #[serde(borrow)]
    did: Option<Cow<'a, str>>,
    #[serde(borrow)]
    rev: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ops: Option<Vec<Op<'a>>>,
    #[serde(borrow)]
    blocks: Option<&'a [u8]>,
    #[serde(borrow)]
    handle: Option<Cow<'a, str>>,
    active: Option<bool>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Op<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    path: Cow<'a, str>,
    cid: Option<Cid>,
}

fn events(kind: &str, body: &Body<'_>) -> Result<Message, Rejected> {
    let seq = body.seq.ok_or(Rejected::MissingField)?;
    let at = body.time.as_deref().ok_or(Rejected::MissingField)?;
    let at = Timestamp::parse(at).or(Err(Rejected::AbsurdDate))?;
    let did = body.repo.as_deref().or(body.did.as_deref()).ok_or(Rejected::MissingField)?;
    let frame = Frame { did, at };
    let frames = match kind {
        "#commit" => frame.commits(body),
        "#identity" => vec![frame.around("identity", &Identity { did, handle: body.handle.as_deref() })],
        "#account" => {
            let account = Account { active: body.active, did, status: body.status.as_deref() };
            vec![frame.around("account", &account)]
        }
        _ => vec![frame.around("sync", &Nothing {})],
    };
    Ok(Message::Events { seq, at, frames })
}

/// What frames of one message have in common.
struct Frame<'a> {
    did: &'a str,
    at: Timestamp,
}

#[derive(Serialize)]
struct Identity<'a> {
    did: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<&'a str>,
}

#[derive(Serialize)]
struct Account<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
    did: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
}

#[derive(Serialize)]
struct Nothing {}

/// In the order in which Jetstream writes it.
#[derive(Serialize)]
struct Commit<'a> {
    rev: &'a str,
    operation: &'a str,
    collection: &'a str,
    rkey: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Json<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cid: Option<String>,
}

impl Frame<'_> {
    /// One frame for every change; one that says nothing for a commit without any.
    fn commits(&self, body: &Body<'_>) -> Vec<Result<Vec<u8>, Rejected>> {
        let ops = body.ops.as_deref().unwrap_or_default();
        let Some(rev) = body.rev.as_deref() else { return vec![Err(Rejected::MissingField)] };
        if ops.is_empty() {
            return vec![self.around("sync", &Nothing {})];
        }
        // Most commits are likes, of which nobody reads the record.
        let has_posts = ops.iter().any(|op| op.path.starts_with(POSTS));
        let blocks = body.blocks.filter(|_| has_posts).map(car::blocks).unwrap_or_default();
        ops.iter().map(|op| self.commit(rev, op, &blocks)).collect()
    }

    fn commit(&self, rev: &str, op: &Op<'_>, blocks: &HashMap<Cid, &[u8]>) -> Result<Vec<u8>, Rejected> {
        let (collection, rkey) = op.path.split_once('/').ok_or(Rejected::MissingField)?;
        let operation = op.action.as_ref();
        let mut commit = Commit { rev, operation, collection, rkey, record: None, cid: None };
        // What is no deletion and has no record is rejected, and never becomes a deletion.
        if collection != POSTS || operation == "delete" {
            return self.around("commit", &commit);
        }
        let cid = op.cid.ok_or(Rejected::MissingField)?;
        let block = blocks.get(&cid).ok_or(Rejected::MissingField)?;
        let record: Ipld = from_slice(block).or(Err(Rejected::NotJson))?;
        commit.record = Some(Json(&record));
        commit.cid = Some(cid.to_string());
        self.around("commit", &commit)
    }

    /// A frame of that kind around its content.
    fn around(&self, kind: &str, content: &impl Serialize) -> Result<Vec<u8>, Rejected> {
        let mut frame = br#"{"did":"#.to_vec();
        let written = serde_json::to_writer(&mut frame, self.did)
            .map_err(std::io::Error::from)
            .and_then(|()| write!(frame, r#","time_us":{},"kind":"{kind}","{kind}":"#, self.at.micros()))
            .and_then(|()| Ok(serde_json::to_writer(&mut frame, content)?));
        // Memory takes whatever is written; only content can refuse, and none of ours does.
        written.or(Err(Rejected::WrongType))?;
        frame.push(b'}');
        Ok(frame)
    }
}

/// A record as JSON (<https://atproto.com/specs/data-model>).
struct Json<'a>(&'a Ipld);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let one = |to: S, key: &str, value: &str| {
            let mut map = to.serialize_map(Some(1))?;
            map.serialize_entry(key, value)?;
            map.end()
        };
        match self.0 {
            Ipld::Null => to.serialize_unit(),
            Ipld::Bool(value) => to.serialize_bool(*value),
            Ipld::Integer(value) => to.serialize_i128(*value),
            Ipld::Float(value) => to.serialize_f64(*value),
            Ipld::String(text) => to.serialize_str(text),
            Ipld::Bytes(bytes) => one(to, "$bytes", &STANDARD_NO_PAD.encode(bytes)),
            Ipld::Link(cid) => one(to, "$link", &cid.to_string()),
            Ipld::List(items) => {
                let mut list = to.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Json(item))?;
                }
                list.end()
            }
            Ipld::Map(entries) => {
                let mut map = to.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, &Json(value))?;
                }
                map.end()
            }
        }
    }
}

/// A name that is fit for a log.
fn name(said: Option<&str>) -> String {
    let is_name =
        |name: &&str| (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    said.filter(is_name).unwrap_or("something without a name").to_owned()
}
