//! A conversation with an IRC server: register, join, answer pings, and keep what people say.

use std::time::Duration;

use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::http::header::{HeaderMap, HeaderValue, ORIGIN};
use url::Url;

use super::line::Line as Parsed;
use crate::config::model::{IrcConfig, IrcDialect};
use crate::domain::event::{DownReason, Joint};
use crate::domain::id::SourceName;
use crate::net::ws::{Connector, peer};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure, Wire};
use crate::source::talk::{Limits, Talk, Turn, converse};
use crate::telemetry::events;

/// A line has at most 8,191 bytes of tags and 512 of the rest (`IRCv3`); one message may hold many.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// How long the server may take to let us in, and to answer what we asked to join.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Twitch lets 20 channels be joined in ten seconds.
const JOINS: usize = 15;
const JOINS_EVERY: Duration = Duration::from_secs(10);
/// Names that are tried when ours is taken.
const MOST_NICKS: usize = 4;
/// What makes lines more than a nick and words. Each is asked for by itself: one that a server lacks costs
/// only itself.
const CAPABILITIES: [&str; 4] = ["message-tags", "server-time", "account-tag", "draft/message-redaction"];

/// An IRC server and what is read there.
pub struct Irc {
    config: IrcConfig,
    connector: Connector,
}

impl Irc {
    /// Not connected yet.
    pub fn new(config: IrcConfig, line: &Line) -> Self {
        let connector = Connector::new(config.transport.clone(), line.timing.connect_within, MAX_MESSAGE_BYTES);
        Self { config, connector }
    }
}

impl Wire for Irc {
    async fn read(&mut self, url: &Url, line: &mut Line) -> End {
        let socket = match line.unless_stopped(self.connector.connect_with(url, &origin(url))).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return error.into(),
            Err(end) => return end,
        };
        let host = peer(url).unwrap_or_default();
        let mut chat = Chat::new(&self.config, line.name.clone(), Instant::now());
        let limits = Limits { max_frame_bytes: MAX_MESSAGE_BYTES, expect_message_within: None, pings: true };
        converse(socket, &host, &mut chat, limits, line).await
    }
}

/// Some servers (`InspIRCd`) let nobody in who does not say where they come from.
fn origin(url: &Url) -> HeaderMap {
    let scheme = if url.scheme() == "wss" { "https" } else { "http" };
    let origin = format!("{scheme}://{}", url.host_str().unwrap_or_default());
    HeaderValue::try_from(origin).map(|origin| HeaderMap::from_iter([(ORIGIN, origin)])).unwrap_or_default()
}

/// Our side of a connection.
struct Chat<'a> {
    config: &'a IrcConfig,
    source: SourceName,
    nick: String,
    nicks: usize,
    /// Channels that were not asked for yet, and those asked for that were not answered.
    to_join: Vec<String>,
    unanswered: Vec<String>,
    joined: Vec<String>,
    /// When to ask for more channels.
    next_joins: Option<Instant>,
    /// By when it must stand.
    deadline: Option<Instant>,
}

impl<'a> Chat<'a> {
    fn new(config: &'a IrcConfig, source: SourceName, now: Instant) -> Self {
        Self {
            config,
            source,
            nick: config.nick.clone(),
            nicks: 1,
            to_join: config.channels.iter().rev().cloned().collect(),
            unanswered: Vec::new(),
            joined: Vec::new(),
            next_joins: None,
            deadline: Some(now + ANSWER_WITHIN),
        }
    }

    fn line(&mut self, text: &str, turn: &mut Turn) -> Result<bool, End> {
        let Some(line) = Parsed::parse(text) else { return Ok(true) };
        match line.command {
            "PING" => {
                turn.say(format!("PONG :{}", line.last()));
                if !self.joined.is_empty() {
                    turn.is_alive();
                }
            }
            "001" => {
                self.nick = line.parameter(0).unwrap_or(&self.nick).to_owned();
                self.join(turn);
            }
            "433" => self.next_nick(turn)?,
            "464" | "465" => {
                let error = format!("the server refused us ({}); check the source's password", harmless(line.last()));
                return Err(Failure::operator(error));
            }
            "JOIN" if self.is_us(line.user) => self.has_joined(line.parameter(0).unwrap_or_default(), turn),
            "403" | "405" | "437" | "471" | "473" | "474" | "475" | "476" | "477" | "489" => {
                self.is_refused(line.parameter(1).unwrap_or_default(), line.last())?;
            }
            "KICK" if self.is_us(line.parameter(1)) => self.is_out(line.parameter(0).unwrap_or_default())?,
            "PART" if self.is_us(line.user) => self.is_out(line.parameter(0).unwrap_or_default())?,
            "NOTICE" if line.user.is_none() => self.notice(&line)?,
            // What is said until we are back is lost, which goes on record.
            "RECONNECT" => return Err(End::Interrupted(DownReason::Closed)),
            "ERROR" => {
                events::source_down(&self.source, DownReason::Closed, Some(&harmless(line.last())));
                return Err(End::Down(DownReason::Closed));
            }
            "PRIVMSG" | "NOTICE" => return Ok(!self.is_us(line.user)),
            "USERNOTICE" | "CLEARMSG" | "CLEARCHAT" | "REDACT" => return Ok(true),
            _ => {}
        }
        Ok(false)
    }

    /// Whether that is our name here.
    fn is_us(&self, name: Option<&str>) -> bool {
        name.is_some_and(|name| name.eq_ignore_ascii_case(&self.nick))
    }

    fn join(&mut self, turn: &mut Turn) {
        let first = self.to_join.len().saturating_sub(JOINS);
        let asked: Vec<String> = self.to_join.drain(first..).rev().collect();
        if !asked.is_empty() {
            turn.say(format!("JOIN {}", asked.join(",")));
        }
        self.unanswered.extend(asked);
        let now = Instant::now();
        self.next_joins = (!self.to_join.is_empty()).then_some(now + JOINS_EVERY);
        self.deadline = Some(now + ANSWER_WITHIN);
    }

    fn has_joined(&mut self, channel: &str, turn: &mut Turn) {
        if self.joined.is_empty() {
            turn.stands(Joint::Live);
            turn.is_alive();
        }
        let is_it = |asked: &String| asked.eq_ignore_ascii_case(channel);
        self.unanswered.retain(|asked| !is_it(asked));
        if !self.joined.iter().any(is_it) && self.config.channels.iter().any(is_it) {
            self.joined.push(channel.to_owned());
        }
    }

    fn is_refused(&mut self, channel: &str, why: &str) -> Result<(), End> {
        let asked = self.unanswered.len();
        self.unanswered.retain(|asked| !asked.eq_ignore_ascii_case(channel));
        if self.unanswered.len() == asked {
            return Ok(()); // it is about something else
        }
        let notice = format!("{} cannot be joined, nobody reads it: {}", harmless(channel), harmless(why));
        events::source_notice(&self.source, &notice);
        self.must_be_somewhere()
    }

    fn is_out(&mut self, channel: &str) -> Result<(), End> {
        self.joined.retain(|joined| !joined.eq_ignore_ascii_case(channel));
        let notice = format!("we were put out of {}, nobody reads it", harmless(channel));
        events::source_notice(&self.source, &notice);
        self.must_be_somewhere()
    }

    fn must_be_somewhere(&self) -> Result<(), End> {
        if self.joined.is_empty() && self.unanswered.is_empty() && self.to_join.is_empty() {
            return Err(Failure::operator("none of the source's channels lets us in; check `channels`"));
        }
        Ok(())
    }

    /// What Twitch has to say of us.
    fn notice(&mut self, line: &Parsed<'_>) -> Result<(), End> {
        let login = ["Login authentication failed", "Login unsuccessful", "Improperly formatted auth"];
        if login.iter().any(|refusal| line.last().starts_with(refusal)) {
            let error = format!("the server says: {}; make a new token for the source", harmless(line.last()));
            return Err(Failure::operator(error));
        }
        let refused = ["msg_channel_suspended", "msg_banned", "tos_ban", "msg_room_not_found"];
        match line.tag("msg-id") {
            Some(id) if refused.contains(&&*id) => self.is_refused(line.parameter(0).unwrap_or_default(), line.last()),
            _ => Ok(()),
        }
    }

    fn next_nick(&mut self, turn: &mut Turn) -> Result<(), End> {
        self.nicks += 1;
        if self.nicks > MOST_NICKS {
            return Err(Failure::operator(format!("the name {} is taken; choose another `nick`", self.config.nick)));
        }
        self.nick.push('_');
        turn.say(format!("NICK {}", self.nick));
        Ok(())
    }
}

impl Talk for Chat<'_> {
    fn begin(&mut self, turn: &mut Turn) {
        let password = self.config.password.as_ref().map(|password| password.expose().trim());
        match self.config.dialect {
            IrcDialect::Twitch => {
                turn.say("CAP REQ :twitch.tv/tags twitch.tv/commands");
                if let Some(token) = password {
                    turn.say(format!("PASS oauth:{}", token.trim_start_matches("oauth:")));
                }
                turn.say(format!("NICK {}", self.nick));
            }
            IrcDialect::Standard => {
                for capability in CAPABILITIES {
                    turn.say(format!("CAP REQ :{capability}"));
                }
                if let Some(password) = password {
                    turn.say(format!("PASS :{password}"));
                }
                turn.say(format!("NICK {}", self.nick));
                turn.say(format!("USER {} 0 * :stormbell", self.config.nick));
                turn.say("CAP END");
            }
        }
    }

    fn hear(&mut self, message: &Bytes, turn: &mut Turn) -> Result<(), End> {
        for bytes in message.split(|&byte| byte == b'\n') {
            let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
            if !bytes.is_empty() && self.line(&String::from_utf8_lossy(bytes), turn)? {
                turn.keep(message.slice_ref(bytes));
            }
        }
        Ok(())
    }

    fn alarm(&self) -> Option<Instant> {
        [self.next_joins, self.deadline].into_iter().flatten().min()
    }

    fn wake(&mut self, turn: &mut Turn) -> Result<(), End> {
        let now = Instant::now();
        if self.next_joins.is_some_and(|at| at <= now) {
            self.join(turn);
        }
        if self.deadline.is_none_or(|at| at > now) {
            return Ok(());
        }
        self.deadline = None;
        if self.joined.is_empty() && self.unanswered.is_empty() {
            return Err(Failure::retry(format!("no welcome within {ANSWER_WITHIN:?}")));
        }
        // Twitch says nothing of channels that do not exist.
        for channel in std::mem::take(&mut self.unanswered) {
            let notice = format!("{channel} was not joined within {ANSWER_WITHIN:?}, nobody reads it; does it exist?");
            events::source_notice(&self.source, &notice);
        }
        self.must_be_somewhere()
    }
}

/// A server's words as a log may hold them.
fn harmless(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}
