//! What `stormbell doctor` found, for people and for programs.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::{Part, State, Stop, Unnamed, Walked};
use crate::config::model::{Egress, Speaks};
use crate::domain::message::counted;
use crate::net::dial::DialError;
use crate::net::proxy::ProxyError;
use crate::net::way::Obstacle;
use crate::net::ws::peer;
use crate::notify::SendError;

/// All of it.
pub(super) struct Seen<'a> {
    pub(super) file: &'a Path,
    pub(super) walked: &'a [Walked],
    /// Whose host is a secret that is not there.
    pub(super) secret: &'a [String],
    /// Who is sent on to hosts that a server names, and did not.
    pub(super) unnamed: &'a [Unnamed],
    pub(super) parts: &'a [Part],
}

impl Seen<'_> {
    fn closed(&self) -> u64 {
        self.walked.iter().filter(|walked| walked.end.is_err()).count() as u64
    }

    fn wrong(&self) -> u64 {
        self.parts.iter().filter(|part| part.state == State::Failed).count() as u64
    }

    /// Whether the daemon can do its work here.
    pub(super) fn is_fit(&self) -> bool {
        self.closed() == 0 && self.wrong() == 0
    }
}

/// A page.
pub(super) fn write(out: &mut impl Write, seen: &Seen<'_>) -> io::Result<()> {
    writeln!(out, "{}: {} out of here; nobody was told anything", seen.file.display(), ways(seen.walked.len()))?;
    for walked in seen.walked {
        let Walked { egress, end } = walked;
        let state = if end.is_ok() { State::Fine } else { State::Failed };
        writeln!(out, "{} {}, for {}", mark(state), way(egress), egress.wanted_by.join(", "))?;
        if let Err(stop) = end {
            below(out, &words(stop, egress), advice(stop, egress).as_deref())?;
        }
    }
    for whose in seen.secret {
        writeln!(out, "{} a host that is a secret, for {whose}", mark(State::Warning))?;
        below(out, "the secret is not there, so nobody knows which host it is", None)?;
    }
    writeln!(out, "\nthis machine")?;
    for part in seen.parts {
        writeln!(out, "{} {}: {}", mark(part.state), part.name, part.words)?;
        if let Some(advice) = &part.advice {
            writeln!(out, "{INDENT}{advice}")?;
        }
    }
    writeln!(out, "\nto open, from this machine outwards")?;
    let mut lines: Vec<String> = Vec::new();
    for line in seen.walked.iter().map(|walked| opening(&walked.egress)) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
    for Unnamed { onward, why } in seen.unnamed {
        let why = why.as_ref().map_or_else(String::new, |why| format!(" (asked: {why})"));
        writeln!(out, "  TCP 443   for {}: {}{why}", onward.whose, onward.hosts)?;
    }
    let mut allowed: Vec<String> = Vec::new();
    for Walked { egress, .. } in seen.walked {
        let line = proxy(egress).map(|proxy| format!("  {} by the proxy {proxy}", egress.peer()));
        allowed.extend(line.filter(|line| !allowed.contains(line)));
    }
    if !allowed.is_empty() {
        writeln!(out, "\nto allow, at the proxy")?;
    }
    allowed.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    writeln!(out, "\n{}", verdict(seen))
}

/// What is found is indented below what it is about.
const INDENT: &str = "          ";

fn mark(state: State) -> &'static str {
    match state {
        State::Fine => "  ok     ",
        State::Warning => "  warning",
        State::Failed => "  FAILED ",
    }
}

fn below(out: &mut impl Write, words: &str, advice: Option<&str>) -> io::Result<()> {
    writeln!(out, "{INDENT}{words}")?;
    advice.map_or(Ok(()), |advice| writeln!(out, "{INDENT}{advice}"))
}

fn ways(count: usize) -> String {
    if count == 1 { "1 way".to_owned() } else { format!("{count} ways") }
}

fn verdict(seen: &Seen<'_>) -> String {
    let wrong = match seen.wrong() {
        0 => String::new(),
        some => format!("{} on this machine in the way", counted(some, "thing")),
    };
    let closed = match seen.closed() {
        0 => String::new(),
        some => format!("{some} of {} closed", ways(seen.walked.len())),
    };
    match (closed.as_str(), wrong.as_str()) {
        ("", "") => "all ways are open".to_owned(),
        ("", wrong) => format!("all ways are open; {wrong}"),
        (closed, "") => closed.to_owned(),
        (closed, wrong) => format!("{closed}; {wrong}"),
    }
}

/// A line of the list for whoever keeps the firewall.
fn opening(egress: &Egress) -> String {
    let (kind, port, host) = match &egress.transport.proxy {
        Some(proxy) => {
            ("TCP", proxy.url.port_or_known_default().unwrap_or_default(), proxy.url.host_str().unwrap_or_default())
        }
        None if egress.speaks == Speaks::Datagrams => ("UDP", egress.port, egress.host.as_str()),
        None => ("TCP", egress.port, egress.host.as_str()),
    };
    let proxy = if egress.transport.proxy.is_some() { " (the proxy)" } else { "" };
    format!("{kind} {port:<5} {host}{proxy}")
}

fn way(egress: &Egress) -> String {
    let how = match (egress.speaks, &egress.transport.proxy) {
        (Speaks::Tls, _) => "TLS",
        (Speaks::Clear, _) => "in the clear",
        (Speaks::Requests, None) => "HTTP in the clear",
        (Speaks::Requests, Some(_)) => "HTTP in the clear, seen as far as the proxy",
        (Speaks::StartTls, _) => "STARTTLS",
        (Speaks::Datagrams, _) => "UDP, which never answers: its name was looked up",
    };
    let proxy = proxy(egress).map_or_else(String::new, |proxy| format!(", through the proxy {proxy}"));
    format!("{} ({how}{proxy})", egress.peer())
}

/// `host:port` of the proxy that is in between.
fn proxy(egress: &Egress) -> Option<String> {
    egress.transport.proxy.as_ref().and_then(|proxy| peer(&proxy.url))
}

fn words(stop: &Stop, egress: &Egress) -> String {
    let obstacle = match stop {
        Stop::Obstacle(obstacle) => obstacle,
        Stop::Mail(error) => return error.to_string(),
    };
    let mut words = match obstacle {
        // The line above names it, unless that is the proxy.
        Obstacle::Dial { peer, .. } if *peer == egress.peer() => Vec::new(),
        Obstacle::Dial { peer, .. } => vec![format!("the proxy {peer}")],
        Obstacle::Proxy { .. } => Vec::new(),
        obstacle => vec![obstacle.to_string()],
    };
    let mut cause = std::error::Error::source(obstacle);
    while let Some(deeper) = cause {
        words.push(deeper.to_string());
        cause = deeper.source();
    }
    words.join(": ")
}

/// The step at which it ended.
fn step(stop: &Stop) -> &'static str {
    match stop {
        Stop::Obstacle(Obstacle::Dial { source: DialError::Unknown(_), .. }) => "name",
        Stop::Obstacle(Obstacle::Dial { .. }) => "tcp",
        Stop::Obstacle(Obstacle::Proxy { .. }) => "proxy",
        Stop::Obstacle(Obstacle::Silent { .. }) => "silent",
        Stop::Obstacle(Obstacle::Authorities(_) | Obstacle::Untrusted { .. }) => "tls",
        Stop::Mail(_) => "smtp",
    }
}

/// What to do, in words that whoever keeps the network knows; none where what happened says it.
fn advice(stop: &Stop, egress: &Egress) -> Option<String> {
    let plain = |text: &str| Some(text.to_owned());
    let obstacle = match stop {
        Stop::Obstacle(obstacle) => obstacle,
        Stop::Mail(SendError::Permanent { .. }) => return None,
        Stop::Mail(SendError::Retry { .. }) => return plain(PROVE),
    };
    match obstacle {
        Obstacle::Dial { source: DialError::Unknown(_), .. } => plain(
            "let this machine's resolver (/etc/resolv.conf) answer for it, or go by a proxy, which looks names up itself",
        ),
        Obstacle::Dial { source: DialError::Private(_), .. } => None,
        Obstacle::Dial { source: DialError::Closed { at, source }, peer } => match source.kind() {
            io::ErrorKind::ConnectionRefused => {
                Some(format!("something there says no: nobody listens, or a firewall rejects; open TCP to {peer}"))
            }
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable if at.is_ipv6() => {
                plain("it has addresses of IPv6 alone, and there is no way by which these are reached")
            }
            _ => {
                Some(format!("a firewall that swallows what it does not let pass looks like this; open TCP to {peer}"))
            }
        },
        Obstacle::Proxy { source: ProxyError::LoginNeeded | ProxyError::LoginRefused, .. } => {
            plain("look at `proxy_user` and `proxy_password`")
        }
        Obstacle::Proxy { source: ProxyError::Refused { .. }, .. } => {
            Some(format!("the proxy's administrators let this machine connect to {}", egress.peer()))
        }
        Obstacle::Proxy { .. } => plain("look at `proxy`"),
        Obstacle::Silent { .. } => plain(
            "something between looks into connections and holds them back, or what listens there speaks something else",
        ),
        Obstacle::Authorities(_) => plain("install ca-certificates, or name a PEM file with authorities: `ca_file`"),
        Obstacle::Untrusted { .. } => plain(PROVE),
    }
}

/// Of servers that are not believed.
const PROVE: &str = "where TLS is broken open at the border, or the server is the hospital's own, name its authority in \
                     `ca_file`; of a certificate that is not valid yet or no longer, look at the clock";

/// One object a line.
pub(super) fn json(out: &mut impl Write, seen: &Seen<'_>) -> io::Result<()> {
    for Walked { egress, end } in seen.walked {
        let stop = end.as_ref().err();
        let line = json!({
            "type": "way",
            "host": egress.host,
            "port": egress.port,
            "proxy": proxy(egress),
            "for": egress.wanted_by,
            "state": if end.is_ok() { State::Fine } else { State::Failed },
            "ends_at": stop.map(step),
            "words": stop.map(|stop| words(stop, egress)),
            "advice": stop.and_then(|stop| advice(stop, egress)),
        });
        writeln!(out, "{line}")?;
    }
    for part in seen.parts {
        let (name, state, words, advice) = (part.name, part.state, &part.words, &part.advice);
        let line = json!({ "type": "machine", "name": name, "state": state, "words": words, "advice": advice });
        writeln!(out, "{line}")?;
    }
    let line = json!({
        "type": "summary",
        "fit": seen.is_fit(),
        "closed": seen.closed(),
        "wrong": seen.wrong(),
        "unknown": seen.secret,
        "named_there": seen.unnamed.iter().map(unnamed).collect::<Vec<_>>(),
    });
    writeln!(out, "{line}")
}

fn unnamed(Unnamed { onward, why }: &Unnamed) -> serde_json::Value {
    json!({ "for": onward.whose, "hosts": onward.hosts, "words": why })
}
