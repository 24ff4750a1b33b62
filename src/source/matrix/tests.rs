//! The decoder.

use super::*;

const EVENT: &str = r#"{"type":"m.room.message","room_id":"!er:lab.example","event_id":"$e1","sender":"@rita:lab.example",
    "origin_server_ts":1795361895123,"content":{"msgtype":"m.text","body":"fire in the ER"}}"#;
const NOW: Timestamp = Timestamp::from_seconds(1_795_361_900);

fn event(frame: &str) -> Result<SourceEvent, Rejected> {
    decode(&"rooms".into(), frame.as_bytes(), Some(NOW)).event
}

fn post(frame: &str) -> Post {
    match event(frame) {
        Ok(SourceEvent::Post(post)) => *post,
        other => panic!("{other:?}: {frame}"),
    }
}

fn with(from: &str, to: &str) -> String {
    assert!(EVENT.contains(from), "{from}");
    EVENT.replace(from, to)
}

#[test]
fn a_message_is_a_post() {
    let post = post(EVENT);
    assert_eq!(post.id.as_str(), "matrix:!er:lab.example/$e1");
    assert_eq!(post.url.as_deref(), Some("https://matrix.to/#/%21er%3Alab.example/%24e1?via=lab.example"));
    assert_eq!((post.text.as_str(), post.kind, post.version), ("fire in the ER", PostKind::Post, None));
    assert_eq!(post.event_time, Timestamp::from_micros(1_795_361_895_123_000));
}

#[test]
fn the_clock_of_a_stranger_s_server_counts_only_where_it_can_be_true() {
    for (stamp, expected) in [
        ("1795361895123", Timestamp::from_micros(1_795_361_895_123_000)),
        ("1895361895123", NOW),
        ("1000", NOW),
        ("-9223372036854775808", NOW),
    ] {
        let frame = with("1795361895123", stamp);
        let post = post(&frame);
        // Written down with a date that cannot be, it could not be read again.
        assert_eq!([post.event_time, post.created_at], [expected, expected.min(NOW)], "{stamp}");
        let cursor = decode(&"rooms".into(), frame.as_bytes(), Some(NOW)).cursor;
        assert_eq!(cursor, Some(Cursor::at(NOW)), "how far the rooms are read no sender says");
    }
}

#[test]
fn an_edit_replaces_and_what_it_repeats_does_not_count() {
    let edit = r#"{"msgtype":"m.text","body":"* fire on 4","m.new_content":{"msgtype":"m.text","body":"fire on 4"},
        "m.relates_to":{"rel_type":"m.replace","event_id":"$e0"}}"#;
    let post = post(&with(r#"{"msgtype":"m.text","body":"fire in the ER"}"#, edit));
    assert_eq!((post.id.as_str(), post.version.as_deref()), ("matrix:!er:lab.example/$e0", Some("$e1")));
    assert_eq!((post.text.as_str(), post.kind), ("fire on 4", PostKind::Post));
    // Without what it says anew it is a message of its own.
    let odd = edit.replace("m.new_content", "m.old_content");
    assert_eq!(
        self::post(&with(r#"{"msgtype":"m.text","body":"fire in the ER"}"#, &odd)).id.as_str(),
        "matrix:!er:lab.example/$e1"
    );
}

#[test]
fn an_answer_is_without_the_words_it_answers() {
    for (body, expected) in [
        (r"> <@ann:h> gunman\n> in the ER\n\nwhere?", "where?"),
        ("no quotation", "no quotation"),
        ("> all of it is quoted", "> all of it is quoted"),
    ] {
        let relation = r#""m.relates_to":{"m.in_reply_to":{"event_id":"$q"}}"#;
        let post = post(&with(r#""body":"fire in the ER""#, &format!(r#""body":"{body}",{relation}"#)));
        assert_eq!((post.text.as_str(), post.kind), (expected, PostKind::Reply));
        assert_eq!(post.reply_to.unwrap().as_str(), "matrix:!er:lab.example/$q");
    }
    let thread = r#""body":"x","m.relates_to":{"rel_type":"m.thread","event_id":"$root"}"#;
    assert_eq!(
        post(&with(r#""body":"fire in the ER""#, thread)).reply_to.unwrap().as_str(),
        "matrix:!er:lab.example/$root"
    );
}

#[test]
fn pictures_speak_by_their_captions_and_names() {
    for (content, text, media) in [
        (r#""msgtype":"m.image","body":"er.jpg""#, "", &["er.jpg"][..]),
        (r#""msgtype":"m.image","body":"look at this","filename":"er.jpg""#, "look at this", &[]),
        (r#""msgtype":"m.video","body":"er.mp4","filename":"er.mp4""#, "", &["er.mp4"]),
    ] {
        let post = post(&with(r#""msgtype":"m.text","body":"fire in the ER""#, content));
        assert_eq!((post.text.as_str(), post.has_media), (text, true), "{content}");
        assert_eq!(post.media_text, media, "{content}");
    }
}

#[test]
fn redactions_name_what_is_gone_above_or_inside() {
    let gone = |frame: &str| match event(frame) {
        Ok(SourceEvent::PostDeleted { post, .. }) => post.to_string(),
        other => panic!("{other:?}"),
    };
    let redaction = with("m.room.message", "m.room.redaction");
    let content = r#"{"msgtype":"m.text","body":"fire in the ER"}"#;
    assert_eq!(gone(&redaction.replace(content, r#"{},"redacts":"$e0""#)), "matrix:!er:lab.example/$e0");
    assert_eq!(gone(&redaction.replace(content, r#"{"redacts":"$e0"}"#)), "matrix:!er:lab.example/$e0");
    assert_eq!(event(&redaction), Err(Rejected::MissingField));
    let redacted = EVENT.replace(content, r#"{},"unsigned":{"redacted_because":{"sender":"@mod:h"}}"#);
    assert_eq!(gone(&redacted), "matrix:!er:lab.example/$e1");
}

#[test]
fn a_broken_message_is_rejected_and_never_a_deletion() {
    for (frame, reason) in [
        (String::new(), Rejected::NotJson),
        (with(r#""$e1""#, "5"), Rejected::WrongType),
        (with(r#""body":"fire in the ER""#, r#""body":7"#), Rejected::MissingField),
        (with(r#""sender":"@rita:lab.example","#, ""), Rejected::MissingField),
        (with(r#""room_id":"!er:lab.example","#, ""), Rejected::MissingField),
    ] {
        assert_eq!(event(&frame), Err(reason), "{frame}");
    }
    assert_eq!(event(&with("m.room.message", "m.room.encrypted")), Ok(SourceEvent::Other));
    // Parts that make no sense cost nothing else.
    let odd = with(r#""body":"fire in the ER""#, r#""body":"fire in the ER","m.relates_to":[1],"filename":{}"#);
    assert_eq!(post(&odd).text, "fire in the ER");
}
