//! Strangers' text made fit to be shown: posts are attacker-written (invariant 6).
//!
//! The order matters and [`shown`] keeps it: first characters that hide or reorder
//! text go, then links lose their bite, then the length is bounded. What is special to
//! one receiver's markup is escaped last, by that receiver: [`escape_markup`], [`mrkdwn`],
//! [`markdown`], [`structured_data`], [`sms`]. Mentions are defused by [`unmentioned`], which every
//! chat's form goes through: a stranger must not be able to ring a whole channel.

pub use crate::domain::harmless::{clean, clip, escape_markup};

/// One line of plain text of at most `max_chars` characters, without hidden characters
/// and with links that cannot be clicked.
pub fn shown(text: &str, max_chars: usize) -> String {
    clip(&defang(&clean(text)), max_chars)
}

/// Shows links as hosts that cannot be clicked: `https://evil.example/login` becomes
/// `hxxps://evil[.]example/…`; letters that are not ASCII are shown as punycode.
fn defang(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (place, word) in text.split(' ').enumerate() {
        if place > 0 {
            out.push(' ');
        }
        match link_in(word) {
            Some(link) => link.write(&mut out),
            None => out.push_str(word),
        }
    }
    out
}

/// A word taken apart at its link.
struct Link<'a> {
    before: &'a str,
    scheme: &'a str,
    host: &'a str,
    more: bool,
    after: &'a str,
}

/// The first link of a word. What follows it in the same word counts as its path.
fn link_in(word: &str) -> Option<Link<'_>> {
    let www = word.to_ascii_lowercase().find("www.").unwrap_or(word.len());
    let (before, scheme, rest) = match word.split_once("://") {
        Some((head, rest)) if head.len() <= www => {
            let scheme = head.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            (head.strip_suffix(scheme).unwrap_or(head), scheme, rest)
        }
        _ if www < word.len() => {
            let (before, rest) = word.split_at_checked(www)?;
            (before, "", rest)
        }
        _ => return None,
    };
    let path = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(path)?;
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let ends_word = |c: char| !c.is_alphanumeric() && c != ']';
    let trimmed = if path.is_empty() { host.trim_end_matches(ends_word) } else { host };
    let after = host.strip_prefix(trimmed).unwrap_or_default();
    Some(Link { before, scheme, host: trimmed, more: !path.is_empty(), after })
}

impl Link<'_> {
    fn write(&self, out: &mut String) {
        out.push_str(self.before);
        match self.scheme.to_ascii_lowercase().as_str() {
            "" => {}
            "http" | "hxxp" => out.push_str("hxxp://"),
            "https" | "hxxps" => out.push_str("hxxps://"),
            other => {
                out.push_str(other);
                out.push_str("[:]//");
            }
        }
        let (name, port) = match self.host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => (name, Some(port)),
            _ => (self.host, None),
        };
        match url::Host::parse(&name.replace("[.]", ".")) {
            Ok(host) => out.push_str(&host.to_string().replace('.', "[.]")),
            Err(_) => out.push_str("[unreadable]"),
        }
        if let Some(port) = port {
            out.push(':');
            out.push_str(port);
        }
        if self.more {
            out.push_str("/…");
        }
        out.push_str(self.after);
    }
}

/// Escapes for HTML, also between double quotes.
pub fn escape_html(text: &str) -> String {
    escape_markup(text).replace('"', "&quot;").replace('\'', "&#39;")
}

/// Text that mentions nobody: `@everyone` becomes `＠everyone`, which looks the same and rings nobody.
/// A zero-width character in between would do, too, and is what [`clean`] takes out.
pub fn unmentioned(text: &str) -> String {
    text.replace('@', "＠")
}

/// Text for Slack's markup. `& < >` are its control characters, so that `<!channel>` is text;
/// what would be emphasis or code has no escape there and is replaced by its double.
pub fn mrkdwn(text: &str) -> String {
    let replaced = unmentioned(text).replace('*', "∗").replace('_', "＿").replace('~', "∼").replace('`', "ˋ");
    escape_markup(&replaced)
}

/// Text for Markdown (Mattermost, Discord) within a line: emphasis, code, links, tags, entities and the
/// names of emoji stand behind a backslash. What means something at the beginning of a line only does not
/// need one, and every needless one is seen by whoever reads the message on a lock screen.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let text = unmentioned(text);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let emoji =
            c == ':' && chars.peek().is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, '+' | '-'));
        if emoji || "\\`*_~[]<>#|&$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A value of RFC 5424 structured data, without its quotation marks.
pub fn structured_data(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]")
}

/// Text for SMS: typographic characters become those of the telephone's own alphabet,
/// because a single other one halves what fits into a message.
pub fn sms(text: &str) -> String {
    text.replace(['“', '”'], "\"").replace(['‘', '’'], "'").replace(['·', '–', '—'], "-").replace('…', "...")
}

/// A reason without words of strangers, which stand between ‘ and ’.
pub fn without_terms(why: &str) -> String {
    let mut parts = why.split('‘');
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str("‘…’");
        kept.push_str(part.split_once('’').map_or("", |(_, rest)| rest));
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::harmless::is_hidden;

    #[test]
    fn hidden_characters_go_and_words_stay() {
        for (text, expected) in [
            ("  two\n\twords  ", "two words"),
            ("\u{1b}[31mred\u{7}", "[31mred"),
            ("a\u{9b}31mb", "a31mb"),
            ("\u{202e}live\u{202c}", "live"),
            ("\u{2066}x\u{2069}", "x"),
            ("pass\u{200b}word\u{feff}", "password"),
            ("hi\u{e0068}\u{e0069}", "hi"),
            ("line\u{2028}break", "line break"),
            ("café ñ 病院 🚑", "café ñ 病院 🚑"),
            ("z\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}", "z\u{300}\u{301}\u{302}\u{303}"),
        ] {
            assert_eq!(clean(text), expected);
        }
    }

    #[test]
    fn links_are_shown_as_hosts_nobody_can_click() {
        for (text, expected) in [
            ("see https://evil.example/login?x=1 now", "see hxxps://evil[.]example/… now"),
            ("HTTP://Evil.example.", "hxxp://evil[.]example."),
            ("(https://evil.example)", "(hxxps://evil[.]example)"),
            ("http://bank.example@evil.example:8080/", "hxxp://evil[.]example:8080/…"),
            ("https://bücher.example", "hxxps://xn--bcher-kva[.]example"),
            ("https://раураl.example/x", "hxxps://xn--l-7sba6dbr[.]example/…"),
            ("www.evil.example/a", "www[.]evil[.]example/…"),
            ("ftp://evil.example", "ftp[:]//evil[.]example"),
            ("file:///etc/passwd", "file[:]//[unreadable]/…"),
            ("http://[::1]:80/", "hxxp://[::1]:80/…"),
            ("hxxps://evil[.]example/…", "hxxps://evil[.]example/…"),
            ("mean 3.5 or e.g. a/b: fine", "mean 3.5 or e.g. a/b: fine"),
            ("病院https://evil.example", "病院hxxps://evil[.]example"),
        ] {
            assert_eq!(defang(text), expected);
        }
    }

    #[test]
    fn long_text_says_that_it_was_cut() {
        assert_eq!(clip("hospital", 8), "hospital");
        assert_eq!(clip("hospitals", 8), "hospita…");
        assert_eq!(clip("病院 病院", 4), "病院…");
    }

    #[test]
    fn words_of_strangers_are_taken_out_of_a_reason() {
        for (why, logged) in [
            ("a post matched “gunman”", "a post matched “gunman”"),
            ("a link to ‘evil[.]example’ in 5 posts; matched “don’t”", "a link to ‘…’ in 5 posts; matched “don’t”"),
            ("‘a‘b’ in ‘c", "‘…’‘…’ in ‘…’"),
        ] {
            assert_eq!(without_terms(why), logged);
        }
    }

    #[test]
    fn each_markup_reads_it_as_text() {
        let text = "<!channel> @everyone *b* _i_ ~s~ `c` :skull: [x](y) # h \"q\" & \\ ]";
        assert_eq!(mrkdwn(text), "&lt;!channel&gt; ＠everyone ∗b∗ ＿i＿ ∼s∼ ˋcˋ :skull: [x](y) # h \"q\" &amp; \\ ]");
        assert_eq!(
            markdown(text),
            "\\<!channel\\> ＠everyone \\*b\\* \\_i\\_ \\~s\\~ \\`c\\` \\:skull: \\[x\\](y) \\# h \"q\" \\& \\\\ \\]"
        );
        assert_eq!(structured_data("a\\b \"c\" ]"), "a\\\\b \\\"c\\\" \\]");
        assert_eq!(escape_html("<a href='\"'>"), "&lt;a href=&#39;&quot;&#39;&gt;");
        assert_eq!(sms("“it’s” — so…"), "\"it's\" - so...");
    }

    /// Text rich in what attackers use.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<String>(),
            Just("http://".to_owned()),
            Just("hTTps://".to_owned()),
            Just("www.".to_owned()),
            Just("evil.example".to_owned()),
            Just("\u{202e}".to_owned()),
            Just("\u{200b}".to_owned()),
            Just("\u{1b}]8;;".to_owned()),
            Just("<a href='x'>&amp;</a>".to_owned()),
            Just("ht\u{ad}tp://".to_owned()),
            Just("@everyone <!channel> <@U1> *_~`[](){}#|:\\\"]".to_owned()),
            Just(" ".to_owned()),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_hidden_survives(text in hostile()) {
            let clean = clean(&text);
            prop_assert!(!clean.chars().any(is_hidden));
            prop_assert!(!clean.contains("  ") && clean.trim() == clean);
            prop_assert_eq!(super::clean(&clean), clean);
        }

        #[test]
        fn no_link_survives(text in hostile()) {
            let shown = shown(&text, 10_000).to_lowercase();
            prop_assert!(!shown.contains("http://") && !shown.contains("https://"));
            let named = |after_www: &str| after_www.starts_with(char::is_alphanumeric);
            prop_assert!(!shown.split("www.").skip(1).any(named), "{}", shown);
        }

        #[test]
        fn no_text_is_longer_than_asked(text in hostile(), max in 1_usize..40) {
            prop_assert!(shown(&text, max).chars().count() <= max);
        }

        #[test]
        fn escaped_text_is_no_markup(text in hostile()) {
            let escaped = escape_markup(&text);
            prop_assert!(!escaped.contains(['<', '>']));
            let back = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            prop_assert_eq!(back, text);
        }

        #[test]
        fn no_chat_is_made_to_ring_anybody(text in hostile()) {
            for escaped in [mrkdwn(&text), markdown(&text)] {
                prop_assert!(!escaped.contains('@') && !escaped.replace("\\<", "").contains('<'), "{}", escaped);
            }
            let bare = markdown(&text).replace("\\\\", "");
            for special in ['*', '_', '`', '[', ']', '<', '>', '~', '|'] {
                prop_assert!(!bare.replace(&format!("\\{special}"), "").contains(special), "{}", bare);
            }
        }

        #[test]
        fn structured_data_cannot_be_left(text in hostile()) {
            let escaped = structured_data(&text).replace("\\\\", "");
            let bare = escaped.replace("\\\"", "").replace("\\]", "");
            prop_assert!(!bare.contains(['"', ']']));
        }
    }
}
