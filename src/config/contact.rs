//! Which kinds of receiver reach a person by an address, and what an address there looks like.
//!
//! One table, so that a kind is added in one place. What is not in it tells a place (a channel, a
//! service, a screen) and cannot be a person's contact. The checks find slips of the pen; whether a number
//! exists, only a test message tells.

/// What a kind of receiver does with an address.
#[derive(Clone, Copy)]
pub(super) enum Addressing {
    /// Sends there what is for that person; the check says what is wrong with one.
    ByPerson(fn(&str) -> Result<(), &'static str>),
    /// Nothing: it reaches nobody in particular. Says what to do instead.
    None(&'static str),
}

const TABLE: [(&str, Addressing); 10] = [
    ("webhook", Addressing::ByPerson(line)),
    ("smtp", Addressing::ByPerson(mail)),
    ("twilio", Addressing::ByPerson(telephone)),
    ("ntfy", Addressing::ByPerson(topic)),
    ("pushover", Addressing::ByPerson(user_key)),
    ("mattermost", Addressing::ByPerson(mattermost_name)),
    ("matrix", Addressing::ByPerson(room)),
    ("pagerduty", Addressing::None("PagerDuty finds the person itself: name the receiver in a route's step")),
    ("desktop", Addressing::None("a popup is for whoever sits there: name the receiver in a route's step")),
    ("log", Addressing::None("a line in the log wakes nobody: give the person another contact")),
];

/// What receivers of a kind do with an address.
pub(super) fn addressing(kind: &str) -> Addressing {
    let known = TABLE.iter().find(|(name, _)| *name == kind);
    let place = Addressing::None("it tells a place and not a person: name the receiver in a route's step");
    known.map_or(place, |(_, addressing)| *addressing)
}

/// Anything: whoever takes the webhook knows what to do with it.
fn line(address: &str) -> Result<(), &'static str> {
    let fits = address.chars().count() <= 256 && !address.contains(char::is_control);
    if fits { Ok(()) } else { Err("write one line of at most 256 characters") }
}

fn mail(address: &str) -> Result<(), &'static str> {
    const WRONG: Result<(), &str> = Err("write a mail address, such as ann@hospital.example");
    let Some((name, host)) = address.rsplit_once('@') else { return WRONG };
    let strange = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';' | '@');
    let dots = |host: &str| host.split('.').all(|label| !label.is_empty());
    if name.is_empty() || address.len() > 254 || address.matches(strange).count() != 1 || !dots(host) {
        return WRONG;
    }
    Ok(())
}

/// E.164: what every carrier takes.
fn telephone(address: &str) -> Result<(), &'static str> {
    let digits = address.strip_prefix('+').unwrap_or_default();
    let fits = (8..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    if fits && !digits.starts_with('0') { Ok(()) } else { Err("write + and digits only, country first: +15551234567") }
}

fn topic(address: &str) -> Result<(), &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let fits = (1..=64).contains(&address.len()) && address.chars().all(fits);
    if fits { Ok(()) } else { Err("write the topic's name: up to 64 letters, digits, `-` and `_`") }
}

fn user_key(address: &str) -> Result<(), &'static str> {
    let fits = address.len() == 30 && address.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { Ok(()) } else { Err("write the person's user key: 30 letters and digits") }
}

fn mattermost_name(address: &str) -> Result<(), &'static str> {
    let name = address.strip_prefix('@').unwrap_or_default();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let fits = (1..=64).contains(&name.len()) && name.chars().all(fits);
    if fits { Ok(()) } else { Err("write @ and the person's user name, such as @ann") }
}

/// A message goes into a room, also one that only the person and we are in.
fn room(address: &str) -> Result<(), &'static str> {
    let fits = address.starts_with('!') && address.len() <= 255 && !address.contains(char::is_whitespace);
    if fits { Ok(()) } else { Err("write the id of a room that the person is in, such as !abc:hospital.example") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_look_as_their_kind_has_them() {
        let key = "u".repeat(30);
        for (kind, right, wrong) in [
            ("webhook", &["anything at all", "+1 (555) 0100"][..], &["two\nlines"][..]),
            (
                "smtp",
                &["ann@hospital.example", "a.b+c@localhost"],
                &["ann", "@x", "a@", "a b@x", "a@b@c", "a@x..y", "<a@x>"],
            ),
            (
                "twilio",
                &["+15551234567"],
                &["5551234567", "+1 555 123 4567", "+0155512345", "+1555", "+1555123456789012"],
            ),
            ("ntfy", &["ann-phone"], &["", "a/b", "ann phone"]),
            ("pushover", &[key.as_str()], &["short", ""]),
            ("mattermost", &["@ann", "@a.b-c_1"], &["ann", "@", "@Ann", "@all here", "town-square"]),
            ("matrix", &["!abc:hospital.example"], &["#room:h", "!a b:h", ""]),
        ] {
            let Addressing::ByPerson(check) = addressing(kind) else { panic!("{kind} reaches persons") };
            for address in right {
                assert_eq!(check(address), Ok(()), "{kind} {address}");
            }
            for address in wrong {
                assert!(check(address).is_err(), "{kind} {address}");
            }
        }
        for kind in ["pagerduty", "desktop", "log", "slack"] {
            assert!(matches!(addressing(kind), Addressing::None(_)), "{kind}");
        }
    }
}
