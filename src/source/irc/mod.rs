//! IRC over WebSocket, Twitch's chat among it: one line (RFC 1459, with `IRCv3` message tags) to a domain event.
//!
//! What the wire promises: nothing. There is no cursor and no repetition; what was said while nobody was
//! connected is gone, and the engine is told so (`Joint::Live`). A WebSocket message holds one line, at Twitch
//! several; a frame is one line.
//!
//! Stamps are the server's: Twitch's `tmi-sent-ts`, elsewhere `time`; without either it is ours. IRC has no
//! encoding, so what is no UTF-8 is read with marks in it rather than left out.

mod line;
mod wire;

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use self::line::Line;
use super::plain;
use super::sanity::{MAX_TAG_BYTES, cut, event_time};
use crate::domain::event::{Cursor, Decoded, Rejected, SourceEvent};
use crate::domain::id::{AuthorId, PostId, SourceName};
use crate::domain::post::{Post, PostKind};
use crate::domain::time::Timestamp;

pub use self::wire::Irc;

/// Decodes one line. `received_at` is absent when it comes from a file.
pub fn decode(source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
    let text = String::from_utf8_lossy(frame);
    let at_ours = received_at.map(Cursor::at);
    let Some(line) = Line::parse(&text) else { return Decoded { cursor: at_ours, event: Err(Rejected::WrongType) } };
    let at = match stamp(&line) {
        Some(stamp) => event_time(stamp, received_at),
        None => received_at.ok_or(Rejected::MissingField),
    };
    match at {
        Ok(at) => Decoded { cursor: Some(Cursor::at(at)), event: event(source, &line, at) },
        // A line that needs no time can do without.
        Err(_) if !says_something(&line) => Decoded { cursor: at_ours, event: Ok(SourceEvent::Other) },
        Err(reason) => Decoded { cursor: at_ours, event: Err(reason) },
    }
}

/// Whether a line carries a post or takes one back.
fn says_something(line: &Line<'_>) -> bool {
    match line.command {
        "PRIVMSG" | "USERNOTICE" | "CLEARMSG" | "CLEARCHAT" | "REDACT" => true,
        "NOTICE" => line.user.is_some(),
        _ => false,
    }
}

fn stamp(line: &Line<'_>) -> Option<Timestamp> {
    if let Some(millis) = line.tag("tmi-sent-ts") {
        return Some(Timestamp::from_micros(millis.parse::<i64>().ok()?.saturating_mul(1000)));
    }
    Timestamp::parse(&line.tag("time")?).ok()
}

fn event(source: &SourceName, line: &Line<'_>, at: Timestamp) -> Result<SourceEvent, Rejected> {
    if !says_something(line) {
        return Ok(SourceEvent::Other);
    }
    let names = Names { source, is_twitch: line.tag("tmi-sent-ts").is_some() };
    match line.command {
        "CLEARMSG" => {
            let gone = line.tag("target-msg-id").ok_or(Rejected::MissingField)?;
            Ok(SourceEvent::PostDeleted { post: names.post(&gone), at })
        }
        "REDACT" => {
            let gone = line.parameter(1).ok_or(Rejected::MissingField)?;
            Ok(SourceEvent::PostDeleted { post: names.post(gone), at })
        }
        // Without a user it is the whole chat that was wiped from screens: nobody took anything back.
        "CLEARCHAT" => Ok(match line.tag("target-user-id") {
            Some(user) => SourceEvent::AuthorDeleted { author: names.author(&user), at },
            None => SourceEvent::Other,
        }),
        _ => message(&names, line, at),
    }
}

fn message(names: &Names<'_>, line: &Line<'_>, at: Timestamp) -> Result<SourceEvent, Rejected> {
    let channel = line.parameter(0).ok_or(Rejected::MissingField)?;
    let Some(said) = line.parameter(1).filter(|_| channel.starts_with(['#', '&'])) else {
        return Ok(SourceEvent::Other); // to us alone, or an announcement without words
    };
    let Some(text) = spoken(said) else { return Ok(SourceEvent::Other) };
    let login = line.tag("login").or_else(|| line.user.map(Into::into)).ok_or(Rejected::MissingField)?;
    let account = if names.is_twitch { line.tag("user-id") } else { line.tag("account") };
    let author = names.author(account.as_deref().unwrap_or(&login));
    let id = match line.tag(if names.is_twitch { "id" } else { "msgid" }).filter(|id| !id.is_empty()) {
        Some(id) => names.post(&id),
        None => names.post(&derived(&[channel, &login, said, &at.micros().to_string()])),
    };
    let mut post = Post::plain(id, names.source.clone(), author, String::new(), at);
    post.text = String::from(cut(&text));
    post.links = plain::links(&post.text);
    post.url = names.is_twitch.then(|| format!("https://www.twitch.tv/{}", channel.trim_start_matches('#')));
    post.author.name = line.tag("display-name").filter(|name| is_short(name)).map(std::borrow::Cow::into_owned);
    post.author.handle = Some(login.into_owned()).filter(|login| is_short(login));
    let answered = line.tag("reply-parent-msg-id").or_else(|| line.tag("+draft/reply"));
    post.reply_to = answered.filter(|id| !id.is_empty() && is_short(id)).map(|id| names.post(&id));
    post.kind = if post.reply_to.is_some() { PostKind::Reply } else { PostKind::Post };
    Ok(SourceEvent::Post(Box::new(post)))
}

fn is_short(text: &str) -> bool {
    text.len() <= MAX_TAG_BYTES
}

/// How posts and authors are called: Twitch's ids are its own, those of other networks are the network's.
struct Names<'a> {
    source: &'a SourceName,
    is_twitch: bool,
}

impl Names<'_> {
    fn post(&self, id: &str) -> PostId {
        PostId::from(self.name(id))
    }

    fn author(&self, id: &str) -> AuthorId {
        AuthorId::from(self.name(id))
    }

    fn name(&self, id: &str) -> String {
        if self.is_twitch { format!("twitch:{id}") } else { format!("irc:{}/{id}", self.source) }
    }
}

/// A name for what has none: who said what, where and when.
fn derived(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let mut name = String::new();
    for byte in hash.finalize().iter().take(16) {
        write!(name, "{byte:02x}").unwrap_or_default();
    }
    name
}

/// What a message says, without colours and other formats (<https://modern.ircdocs.horse/formatting>), which
/// may stand amid a word. None for what programs say to programs (CTCP), except `/me`.
fn spoken(said: &str) -> Option<String> {
    let words = match said.strip_prefix('\u{1}') {
        Some(inner) => inner.strip_prefix("ACTION ")?.trim_end_matches('\u{1}'),
        None => said,
    };
    let mut text = String::with_capacity(words.len());
    let mut rest = words.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{2}' | '\u{f}' | '\u{11}' | '\u{16}' | '\u{1d}' | '\u{1e}' | '\u{1f}' => {}
            '\u{3}' => skip_colours(&mut rest, 2, |c| c.is_ascii_digit()),
            '\u{4}' => skip_colours(&mut rest, 6, |c| c.is_ascii_hexdigit()),
            _ => text.push(c),
        }
    }
    Some(text)
}

/// A colour, and after a comma perhaps another.
fn skip_colours(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    longest: usize,
    is_part: impl Fn(char) -> bool + Copy,
) {
    let is_there = |rest: &mut std::iter::Peekable<std::str::Chars<'_>>| {
        let mut length = 0;
        while length < longest && rest.next_if(|&c| is_part(c)).is_some() {
            length += 1;
        }
        length > 0
    };
    if is_there(rest) {
        let mut ahead = rest.clone();
        if ahead.next() == Some(',') && ahead.next().is_some_and(is_part) {
            rest.next();
            is_there(rest);
        }
    }
}

#[cfg(test)]
mod tests;
