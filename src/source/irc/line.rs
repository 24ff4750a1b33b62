//! A line of IRC taken apart: tags, who says it, command, parameters.

use std::borrow::Cow;

/// More parameters no line has (RFC 1459 §2.3).
const MOST_PARAMETERS: usize = 15;

/// One line.
pub(super) struct Line<'a> {
    tags: &'a str,
    /// The nick of the person who says it; none when a server does.
    pub(super) user: Option<&'a str>,
    /// In capitals, as servers write it, or three digits.
    pub(super) command: &'a str,
    parameters: Vec<&'a str>,
}

impl<'a> Line<'a> {
    /// Takes a line apart; none when it has no command.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut rest = text.trim_end_matches(['\r', '\n']).trim_start_matches(' ');
        let mut tags = "";
        if let Some(tagged) = rest.strip_prefix('@') {
            (tags, rest) = tagged.split_once(' ')?;
            rest = rest.trim_start_matches(' ');
        }
        let mut user = None;
        if let Some(prefixed) = rest.strip_prefix(':') {
            let prefix;
            (prefix, rest) = prefixed.split_once(' ')?;
            user = prefix.split_once('!').map(|(nick, _)| nick).filter(|nick| !nick.is_empty());
            rest = rest.trim_start_matches(' ');
        }
        let (command, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
        if command.is_empty() || !command.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let mut parameters = Vec::new();
        while !rest.is_empty() {
            if let Some(last) = rest.strip_prefix(':') {
                parameters.push(last);
                break;
            }
            if parameters.len() + 1 == MOST_PARAMETERS {
                parameters.push(rest);
                break;
            }
            let (parameter, after) = rest.split_once(' ').unwrap_or((rest, ""));
            if !parameter.is_empty() {
                parameters.push(parameter);
            }
            rest = after;
        }
        Some(Self { tags, user, command, parameters })
    }

    /// A parameter, counted from zero.
    pub(super) fn parameter(&self, place: usize) -> Option<&'a str> {
        self.parameters.get(place).copied()
    }

    /// The last parameter, which is what people read.
    pub(super) fn last(&self) -> &'a str {
        self.parameters.last().copied().unwrap_or_default()
    }

    /// The value of a tag, when there is one. Of a tag given twice the last counts (`IRCv3` message tags).
    pub(super) fn tag(&self, name: &str) -> Option<Cow<'a, str>> {
        let tags = self.tags.rsplit(';').filter_map(|tag| tag.split_once('='));
        let (_, value) = tags.into_iter().find(|(key, _)| *key == name)?;
        Some(unescaped(value))
    }
}

/// A tag's value as it was meant (`IRCv3`, "Escaping values").
fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        let meant = if c == '\\' { rest.next() } else { Some(c) };
        text.extend(match (c, meant) {
            ('\\', Some(':')) => Some(';'),
            ('\\', Some('s')) => Some(' '),
            ('\\', Some('r')) => Some('\r'),
            ('\\', Some('n')) => Some('\n'),
            (_, meant) => meant,
        });
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_apart_as_the_standards_say() {
        let line = Line::parse("@a=1;b=x\\s\\:\\\\y\\q;a=2;c :rita!r@h PRIVMSG #er :all of  this\r\n").unwrap();
        assert_eq!((line.user, line.command), (Some("rita"), "PRIVMSG"));
        assert_eq!((line.parameter(0), line.last()), (Some("#er"), "all of  this"));
        assert_eq!(line.tag("a").as_deref(), Some("2"));
        assert_eq!(line.tag("b").as_deref(), Some("x ;\\yq"));
        assert_eq!(line.tag("c"), None);
        let line = Line::parse(":irc.example 001 bell Welcome").unwrap();
        assert_eq!((line.user, line.command, line.last()), (None, "001", "Welcome"));
        assert_eq!(Line::parse("PING :tmi.twitch.tv").unwrap().last(), "tmi.twitch.tv");
        assert_eq!(Line::parse("RECONNECT").unwrap().last(), "");
        let many = format!("X{}", " p".repeat(100));
        assert_eq!(Line::parse(&many).unwrap().parameters.len(), MOST_PARAMETERS);
        for broken in ["", "@a=1", ":only", "@a :b", "<html>", "@a=1 :x  "] {
            assert!(Line::parse(broken).is_none(), "{broken}");
        }
    }
}
