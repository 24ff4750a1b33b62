//! A session with Discord's gateway, held over several connections.
//!
//! Hello, identify or resume, a heartbeat that must be answered, and dispatches. The session and the number
//! of the last dispatch are the bookmark, so that a restart resumes, too.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use url::Url;

use crate::config::model::DiscordConfig;
use crate::config::secret::Secret;
use crate::domain::event::{Bookmark, DownReason, Joint, Rejected};
use crate::domain::id::SourceName;
use crate::net::retry::RetryAfter;
use crate::net::ws::{Connector, peer};
use crate::source::backoff::Jitter;
use crate::source::http::{Http, Request};
use crate::source::lenient::{Text, items, lenient, lenient_item, text};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure, Remedy, Wire};
use crate::source::talk::{Limits, Talk, Turn, converse};
use crate::telemetry::events;

/// READY of a bot in many guilds is long; a message is a few KiB.
const MAX_MESSAGE_BYTES: usize = 8 << 20;
/// Longer dispatches are counted and left out.
const MAX_FRAME_BYTES: usize = 1 << 20;
/// What is asked for: `GUILDS`, `GUILD_MESSAGES`, `MESSAGE_CONTENT`.
const INTENTS: u32 = 1 | 1 << 9 | 1 << 15;
/// For what nobody has to say at the beginning.
const HELLO_WITHIN: Duration = Duration::from_secs(20);
/// Messages in a row without a word or anything else to see: what people write is kept from us.
const EMPTY_MESSAGES: u32 = 10;
/// A code that keeps the session: 1000 and 1001 would end it.
const UNFINISHED: u16 = 4000;

/// A bot's view of Discord.
pub struct Discord {
    config: DiscordConfig,
    connector: Connector,
    /// A session that cannot be resumed any more.
    dead: Option<String>,
    told_empty: bool,
}

/// What resumes a session.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
struct Session {
    id: String,
    seq: u64,
    url: String,
    /// Who we are: our own messages are not news.
    me: String,
}

#[derive(Deserialize)]
struct Gateway {
    url: String,
    session_start_limit: Option<StartLimit>,
}

#[derive(Deserialize)]
struct StartLimit {
    remaining: u32,
    /// Milliseconds.
    reset_after: u64,
}

impl Discord {
    /// Not connected yet.
    pub fn new(config: DiscordConfig, line: &Line) -> Self {
        let connector = Connector::new(config.transport.clone(), line.timing.connect_within, MAX_MESSAGE_BYTES);
        Self { config, connector, dead: None, told_empty: false }
    }

    /// Where a new session begins.
    async fn gateway(&self, api: &Url, line: &Line) -> Result<String, End> {
        let mut url = api.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["gateway", "bot"]);
        }
        let unusable = |_| Failure::operator("the source's token has characters that no token has");
        let mut token = HeaderValue::try_from(format!("Bot {}", self.config.token.expose())).map_err(unusable)?;
        token.set_sensitive(true);
        let http = Http::new(&self.config.transport, api.scheme() == "http")?;
        let headers = HeaderMap::from_iter([(AUTHORIZATION, token)]);
        let answer = http.get(Request::get(url, headers, 1 << 16), line).await?;
        let unreadable = |_| Failure::retry("Discord's API answered what is no gateway");
        let gateway: Gateway = serde_json::from_slice(&answer.body).map_err(unreadable)?;
        match gateway.session_start_limit {
            Some(StartLimit { remaining: 0, reset_after }) => Err(End::Failed(Failure {
                error: "the bot has begun all sessions it may begin in a day".to_owned(),
                remedy: Remedy::Busy(Some(RetryAfter::In(Duration::from_millis(reset_after)))),
            })),
            _ => Ok(gateway.url),
        }
    }

    async fn connect(&mut self, api: &Url, line: &mut Line) -> Result<End, End> {
        let known = line.position.bookmark().and_then(|bookmark| serde_json::from_str::<Session>(&bookmark.0).ok());
        let known = known.filter(|session| self.dead.as_ref() != Some(&session.id));
        let gateway = match &known {
            Some(session) => session.url.clone(),
            None => self.gateway(api, line).await?,
        };
        let (url, host) = address(&gateway, api)?;
        let socket = match line.unless_stopped(self.connector.connect(&url)).await? {
            Ok(socket) => socket,
            Err(error) => {
                // Perhaps it is only this address that is gone: a new session finds another.
                self.dead = known.map(|session| session.id);
                return Err(error.into());
            }
        };
        let mut talk = Conversation {
            token: &self.config.token,
            channels: &self.config.channels,
            source: line.name.clone(),
            id: known.as_ref().map(|session| session.id.clone()),
            session: known,
            is_dead: false,
            stands: false,
            beat: None,
            identify_at: None,
            hello_by: Some(Instant::now() + HELLO_WITHIN),
            empty: 0,
            told_empty: self.told_empty,
            jitter: Jitter::from_system(),
        };
        let limits = Limits { max_frame_bytes: MAX_FRAME_BYTES, expect_message_within: None, pings: true };
        let end = converse(socket, &host, &mut talk, limits, line).await;
        self.told_empty = talk.told_empty;
        if talk.is_dead {
            self.dead = talk.id;
        }
        Ok(end)
    }
}

impl Wire for Discord {
    async fn read(&mut self, api: &Url, line: &mut Line) -> End {
        self.connect(api, line).await.unwrap_or_else(|end| end)
    }
}

/// The gateway with the encoding we read. It is given our token, so it must be as safe as the API.
fn address(gateway: &str, api: &Url) -> Result<(Url, String), End> {
    let url = Url::parse(gateway)
        .ok()
        .filter(|url| url.scheme() == "wss" || (url.scheme() == "ws" && api.scheme() == "http"));
    let Some(mut url) = url else { return Err(Failure::retry("the gateway's address is none")) };
    url.set_query(Some("v=10&encoding=json"));
    let host = peer(&url).unwrap_or_default();
    Ok((url, host))
}

/// Our side of a connection.
struct Conversation<'a> {
    token: &'a Secret,
    channels: &'a [String],
    source: SourceName,
    session: Option<Session>,
    /// The session that was begun or resumed last.
    id: Option<String>,
    is_dead: bool,
    stands: bool,
    beat: Option<Beat>,
    identify_at: Option<Instant>,
    hello_by: Option<Instant>,
    empty: u32,
    told_empty: bool,
    jitter: Jitter,
}

/// The heartbeat.
struct Beat {
    every: Duration,
    next: Instant,
    answered: bool,
}

#[derive(Deserialize)]
struct Payload<'a> {
    op: u8,
    s: Option<u64>,
    #[serde(borrow)]
    t: Option<Text<'a>>,
    #[serde(borrow)]
    d: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Hello {
    /// Milliseconds.
    heartbeat_interval: u64,
}

#[derive(Deserialize)]
struct Ready<'a> {
    session_id: String,
    resume_gateway_url: String,
    #[serde(borrow)]
    user: Me<'a>,
}

#[derive(Deserialize)]
struct Me<'a> {
    #[serde(borrow)]
    id: Text<'a>,
}

/// What of a message decides whether it is kept.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    channel_id: Option<&'a RawValue>,
    #[serde(borrow)]
    author: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    attachments: Option<&'a RawValue>,
    #[serde(borrow)]
    embeds: Option<&'a RawValue>,
    #[serde(borrow)]
    sticker_items: Option<&'a RawValue>,
    #[serde(borrow)]
    poll: Option<&'a RawValue>,
    #[serde(borrow)]
    message_snapshots: Option<&'a RawValue>,
    #[serde(rename = "type")]
    kind: Option<i64>,
}

#[derive(Deserialize)]
struct Bulk<'a> {
    #[serde(borrow)]
    ids: Vec<Text<'a>>,
    #[serde(borrow)]
    channel_id: Text<'a>,
}

impl Conversation<'_> {
    fn hello(&mut self, payload: &Payload<'_>, turn: &mut Turn) -> Result<(), End> {
        let hello = lenient::<Hello>(payload.d).ok_or_else(|| Failure::retry("the gateway's hello says nothing"))?;
        let every = Duration::from_millis(hello.heartbeat_interval.clamp(100, 600_000));
        let now = Instant::now();
        // The first one somewhere within the interval: thousands reconnect at once.
        self.beat = Some(Beat { every, next: now + self.jitter.below(every), answered: true });
        self.hello_by = Some(now + HELLO_WITHIN);
        match &self.session {
            Some(session) => {
                let resume = json!({ "token": self.token.expose(), "session_id": session.id, "seq": session.seq });
                turn.say(json!({ "op": 6, "d": resume }).to_string());
            }
            None => self.identify(turn),
        }
        Ok(())
    }

    fn identify(&mut self, turn: &mut Turn) {
        let us = json!({ "os": std::env::consts::OS, "browser": "stormbell", "device": "stormbell" });
        let identify = json!({ "token": self.token.expose(), "intents": INTENTS, "properties": us });
        turn.say(json!({ "op": 2, "d": identify }).to_string());
        self.identify_at = None;
        self.hello_by = Some(Instant::now() + HELLO_WITHIN);
    }

    fn beat(&mut self, turn: &mut Turn) {
        let seq = self.session.as_ref().map(|session| session.seq);
        turn.say(json!({ "op": 1, "d": seq }).to_string());
    }

    /// A session that cannot be resumed: begin another, in a moment (the server asks for 1 to 5 s).
    fn invalid(&mut self) {
        (self.session, self.is_dead) = (None, true);
        let wait = Duration::from_secs(1) + self.jitter.below(Duration::from_secs(4));
        self.identify_at = Some(Instant::now() + wait);
        self.hello_by = None;
    }

    fn dispatch(&mut self, payload: &Payload<'_>, message: &Bytes, turn: &mut Turn) -> Result<(), End> {
        let kind = payload.t.as_ref().map(|Text(kind)| kind.as_ref()).unwrap_or_default();
        match kind {
            "READY" => {
                let ready = lenient::<Ready<'_>>(payload.d).ok_or_else(|| Failure::retry("READY cannot be read"))?;
                let (id, url) = (ready.session_id, ready.resume_gateway_url);
                self.id = Some(id.clone());
                let seq = payload.s.unwrap_or_default();
                self.session = Some(Session { id, seq, url, me: ready.user.id.0.into_owned() });
                self.is_dead = false;
                self.is_in(Joint::Live, turn);
            }
            "RESUMED" => self.is_in(Joint::GoesOn, turn),
            "MESSAGE_CREATE" | "MESSAGE_UPDATE" | "MESSAGE_DELETE"
                if self.is_wanted(payload.d, kind == "MESSAGE_CREATE") =>
            {
                turn.keep(message.clone());
            }
            "MESSAGE_DELETE_BULK" => self.bulk(payload.d, turn),
            _ => {}
        }
        Ok(())
    }

    fn is_in(&mut self, joint: Joint, turn: &mut Turn) {
        (self.stands, self.hello_by) = (true, None);
        turn.stands(joint);
        turn.is_alive();
    }

    fn is_wanted(&mut self, raw: Option<&RawValue>, is_new: bool) -> bool {
        // What cannot be read is for the decoder to reject.
        let Some(head) = lenient::<Head<'_>>(raw) else { return true };
        let author = lenient::<Me<'_>>(head.author);
        let me = self.session.as_ref().map(|session| session.me.as_str());
        if author.is_some_and(|author| Some(author.id.0.as_ref()) == me)
            || !self.is_read(text(head.channel_id).as_deref())
        {
            return false;
        }
        if is_new && matches!(head.kind, None | Some(0 | 19)) {
            self.watch_words(&head);
        }
        true
    }

    fn is_read(&self, channel: Option<&str>) -> bool {
        self.channels.is_empty() || channel.is_some_and(|channel| self.channels.iter().any(|read| read == channel))
    }

    /// Without the intent `MESSAGE_CONTENT` messages come without a word, and nothing else tells.
    fn watch_words(&mut self, head: &Head<'_>) {
        let shows = [head.attachments, head.embeds, head.sticker_items, head.message_snapshots];
        let is_empty = text(head.content).is_none()
            && shows.into_iter().all(|list| items(list).next().is_none())
            && head.poll.is_none();
        self.empty = if is_empty { self.empty + 1 } else { 0 };
        if self.empty == EMPTY_MESSAGES && !self.told_empty {
            self.told_empty = true;
            let notice = "messages come without their text; allow the bot the MESSAGE CONTENT intent in Discord's developer portal";
            events::source_notice(&self.source, notice);
        }
    }

    /// One frame for each deleted message.
    fn bulk(&self, raw: Option<&RawValue>, turn: &mut Turn) {
        let Some(bulk) = raw.and_then(lenient_item::<Bulk<'_>>) else { return turn.reject(Rejected::WrongType) };
        if self.is_read(Some(&bulk.channel_id.0)) {
            for Text(id) in &bulk.ids {
                let frame =
                    json!({ "op": 0, "t": "MESSAGE_DELETE", "d": { "id": id, "channel_id": bulk.channel_id.0 } });
                turn.keep(Bytes::from(frame.to_string()));
            }
        }
    }
}

impl Talk for Conversation<'_> {
    fn begin(&mut self, _turn: &mut Turn) {}

    fn hear(&mut self, message: &Bytes, turn: &mut Turn) -> Result<(), End> {
        let Ok(payload) = serde_json::from_slice::<Payload<'_>>(message) else {
            turn.reject(Rejected::NotJson);
            return Ok(());
        };
        if let (Some(seq), Some(session)) = (payload.s, &mut self.session) {
            session.seq = session.seq.max(seq);
        }
        match payload.op {
            0 => self.dispatch(&payload, message, turn)?,
            1 => self.beat(turn),
            7 => return Err(End::Renewed),
            9 if lenient::<bool>(payload.d) == Some(true) => return Err(End::Interrupted(DownReason::Closed)),
            9 => self.invalid(),
            10 => self.hello(&payload, turn)?,
            11 => {
                if let Some(beat) = &mut self.beat {
                    beat.answered = true;
                }
                if self.stands {
                    turn.is_alive();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn alarm(&self) -> Option<Instant> {
        let beat = self.beat.as_ref().map(|beat| beat.next);
        [beat, self.identify_at, self.hello_by].into_iter().flatten().min()
    }

    fn wake(&mut self, turn: &mut Turn) -> Result<(), End> {
        let now = Instant::now();
        if self.hello_by.is_some_and(|by| by <= now) {
            return Err(End::Down(DownReason::Stalled));
        }
        if self.identify_at.is_some_and(|at| at <= now) {
            self.identify(turn);
        }
        let Some(beat) = self.beat.as_mut().filter(|beat| beat.next <= now) else { return Ok(()) };
        if !beat.answered {
            return Err(End::Down(DownReason::Stalled));
        }
        (beat.answered, beat.next) = (false, now + beat.every);
        self.beat(turn);
        Ok(())
    }

    fn bookmark(&self) -> Option<Bookmark> {
        serde_json::to_string(self.session.as_ref()?).ok().map(Bookmark::from)
    }

    fn farewell(&self) -> CloseCode {
        UNFINISHED.into()
    }

    /// What the codes mean (<https://discord.com/developers/docs/topics/opcodes-and-status-codes>).
    fn closed(&mut self, code: Option<u16>) -> End {
        match code {
            Some(4004) => Failure::operator("Discord refuses the bot's token; check the source's token"),
            Some(4010 | 4011) => Failure::operator(
                "the bot is in so many servers that Discord wants it in shards, which is not done here; use a bot of your own",
            ),
            Some(code @ (4012 | 4013)) => Failure::operator(format!(
                "Discord closed with {code}: it does not take this version any more; look for a newer one of Stormbell"
            )),
            Some(4014) => Failure::operator(
                "Discord does not allow the bot the MESSAGE CONTENT intent; turn it on in the developer portal",
            ),
            Some(1000 | 1001 | 4007 | 4009) => {
                self.is_dead = true;
                End::Interrupted(DownReason::Closed)
            }
            Some(4008) => End::Failed(Failure {
                error: "Discord says that we send too much".to_owned(),
                remedy: Remedy::Busy(None),
            }),
            _ => End::Down(DownReason::Closed),
        }
    }
}
