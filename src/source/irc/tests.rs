//! The decoder.

use super::*;

const SAID: &str = "@badge-info=;display-name=Rita;id=u1;room-id=55;tmi-sent-ts=1795361895123;user-id=77 \
    :rita!rita@rita.tmi.twitch.tv PRIVMSG #er :smoke in the ER";
const NOW: Timestamp = Timestamp::from_seconds(1_795_361_900);

fn event(line: &[u8]) -> Result<SourceEvent, Rejected> {
    decode(&"chat".into(), line, Some(NOW)).event
}

fn post(line: &[u8]) -> Post {
    match event(line) {
        Ok(SourceEvent::Post(post)) => *post,
        other => panic!("{other:?}: {}", String::from_utf8_lossy(line)),
    }
}

#[test]
fn a_line_of_twitch_is_a_post() {
    let said = post(SAID.as_bytes());
    assert_eq!((said.id.as_str(), said.author.id.as_str()), ("twitch:u1", "twitch:77"));
    assert_eq!((said.author.handle.as_deref(), said.author.name.as_deref()), (Some("rita"), Some("Rita")));
    assert_eq!((said.text.as_str(), said.event_time.micros()), ("smoke in the ER", 1_795_361_895_123_000));
    let reply = SAID.replace("room-id", "reply-parent-msg-id=u0;room-id");
    assert_eq!(
        (post(reply.as_bytes()).kind, post(reply.as_bytes()).reply_to),
        (PostKind::Reply, Some("twitch:u0".into()))
    );
    let announced = "@id=u2;login=rita;tmi-sent-ts=1795361895123;user-id=77 :tmi.twitch.tv USERNOTICE #er :hear hear";
    assert_eq!(
        (post(announced.as_bytes()).text.as_str(), post(announced.as_bytes()).author.handle.as_deref()),
        ("hear hear", Some("rita"))
    );
}

#[test]
fn formats_do_not_hide_words_and_programs_do_not_speak() {
    for (said, expected) in [
        ("\u{3}4bo\u{2}mb\u{f}", Some("bomb")),
        ("\u{3}04,12red\u{3} 1,2", Some("red 1,2")),
        ("\u{3}4,five", Some(",five")),
        ("\u{4}FF0000hex\u{1d}!", Some("hex!")),
        ("\u{1}ACTION runs\u{1}", Some("runs")),
        ("\u{1}VERSION\u{1}", None),
    ] {
        assert_eq!(spoken(said).as_deref(), expected, "{said:?}");
    }
}

#[test]
fn text_in_another_encoding_is_read_with_marks_in_it() {
    let line = b":rita!r@h PRIVMSG #er :fire in the caf\xe9";
    assert_eq!(post(line).text, "fire in the caf\u{fffd}");
    assert_eq!(post(line).id, post(line).id, "the same line has the same name");
    assert_eq!(decode(&"chat".into(), line, None).event, Err(Rejected::MissingField), "a recording has no time for it");
}

#[test]
fn deletions_name_what_is_gone_and_a_wiped_screen_deletes_nothing() {
    for (line, expected) in [
        ("@target-msg-id=u1;tmi-sent-ts=1795361895123 :tmi.twitch.tv CLEARMSG #er :x", Ok("twitch:u1")),
        ("@msgid=r1 :mod!m@h REDACT #er abc :spam", Ok("irc:chat/abc")),
        ("@tmi-sent-ts=1795361895123 :tmi.twitch.tv CLEARMSG #er :x", Err(Rejected::MissingField)),
    ] {
        let gone = event(line.as_bytes()).map(|event| match event {
            SourceEvent::PostDeleted { post, .. } => post,
            other => panic!("{other:?}"),
        });
        assert_eq!(gone.as_ref().map(PostId::as_str).map_err(|reason| *reason), expected, "{line}");
    }
    let wiped = "@room-id=55;tmi-sent-ts=1795361895123 :tmi.twitch.tv CLEARCHAT #er";
    assert_eq!(event(wiped.as_bytes()), Ok(SourceEvent::Other));
    let banned = "@target-user-id=77;tmi-sent-ts=1795361895123 :tmi.twitch.tv CLEARCHAT #er :rita";
    assert!(
        matches!(event(banned.as_bytes()), Ok(SourceEvent::AuthorDeleted { author, .. }) if author.as_str() == "twitch:77")
    );
}

#[test]
fn what_is_no_message_is_other_and_what_is_no_line_is_rejected() {
    for line in [
        "PING :x",
        ":irc.lab 001 bell :Welcome",
        ":rita!r@h JOIN #er",
        ":rita!r@h PRIVMSG bell :psst",
        ":irc.lab NOTICE * :hm",
    ] {
        assert_eq!(event(line.as_bytes()), Ok(SourceEvent::Other), "{line}");
    }
    assert_eq!(event(b"@a=b"), Err(Rejected::WrongType));
    let absurd = SAID.replace("1795361895123", "1000");
    assert_eq!(event(absurd.as_bytes()), Err(Rejected::AbsurdDate));
}
