//! The decoder.

use super::*;

const CREATE: &str = r#"{"op":0,"s":2,"t":"MESSAGE_CREATE","d":{"id":"1234567890123456789","channel_id":"20","guild_id":"10","type":0,
    "author":{"id":"7","username":"rita","global_name":"Rita"},"content":"smoke in the ER","timestamp":"2026-11-22T15:38:15.123000+00:00",
    "edited_timestamp":null,"mentions":[],"attachments":[],"embeds":[]}}"#;
const NOW: Timestamp = Timestamp::from_seconds(1_795_361_900);

fn event(frame: &str) -> Result<SourceEvent, Rejected> {
    decode(&"guild".into(), frame.as_bytes(), Some(NOW)).event
}

fn post(frame: &str) -> Post {
    match event(frame) {
        Ok(SourceEvent::Post(post)) => *post,
        other => panic!("{other:?}: {frame}"),
    }
}

fn with(from: &str, to: &str) -> String {
    assert!(CREATE.contains(from), "{from}");
    CREATE.replace(from, to)
}

#[test]
fn a_message_is_a_post() {
    let post = post(CREATE);
    assert_eq!(post.id.as_str(), "discord:20/1234567890123456789");
    assert_eq!(post.url.as_deref(), Some("https://discord.com/channels/10/20/1234567890123456789"));
    assert_eq!((post.author.id.as_str(), post.author.handle.as_deref()), ("discord:7", Some("rita")));
    assert_eq!((post.text.as_str(), post.version.as_deref()), ("smoke in the ER", None));
    assert_eq!(post.event_time.micros(), 1_795_361_895_123_000);
    let cursor = decode(&"guild".into(), CREATE.as_bytes(), Some(NOW)).cursor;
    assert_eq!(cursor, Some(Cursor(1_795_361_895_123_000)));
}

#[test]
fn people_are_named_and_what_hangs_on_a_message_is_read() {
    let said = with(r#""smoke in the ER""#, r#""<@8> <@!9> <@&1> <@8: see https://a.example/x""#)
        .replace(r#""mentions":[]"#, r#""mentions":[{"id":"8","username":"ann"},{"id":"9","username":"bob"},5]"#)
        .replace(r#""attachments":[]"#, r#""attachments":[{"description":"smoke above the roof"},{"description":7}]"#)
        .replace(r#""embeds":[]"#, r#""embeds":[{"title":"A page","url":"https://b.example/y"},"odd"]"#);
    let post = post(&said);
    assert_eq!(post.text, "@ann @bob <@&1> <@8: see https://a.example/x");
    assert_eq!(post.media_text, ["smoke above the roof", "A page"]);
    assert_eq!(
        (post.has_media, post.links),
        (true, vec!["https://a.example/x".to_owned(), "https://b.example/y".to_owned()])
    );
}

#[test]
fn answers_and_forwards_name_what_they_are_about() {
    let answer = post(&with(r#""mentions":[]"#, r#""message_reference":{"message_id":"5","channel_id":"20"}"#));
    assert_eq!((answer.kind, answer.reply_to), (PostKind::Reply, Some("discord:20/5".into())));
    let forward = r#""message_reference":{"type":1,"message_id":"5","channel_id":"30"},
        "message_snapshots":[{"message":{"content":"fire on 4","attachments":[{"description":"flames"}]}}]"#;
    let forward = post(&with(r#""mentions":[]"#, forward).replace("smoke in the ER", ""));
    assert_eq!((forward.kind, forward.repost_of), (PostKind::Repost, Some("discord:30/5".into())));
    assert_eq!((forward.text.as_str(), forward.media_text), ("fire on 4", vec!["flames".to_owned()]));
}

#[test]
fn an_edit_counts_when_it_was_made_and_a_preview_is_no_edit() {
    let update = with("MESSAGE_CREATE", "MESSAGE_UPDATE");
    assert_eq!(post(&update).version, None, "the same version as before");
    let edited = update.replace(r#""edited_timestamp":null"#, r#""edited_timestamp":"2026-11-22T15:38:17+00:00""#);
    assert_eq!(post(&edited).version.as_deref(), Some("2026-11-22T15:38:17+00:00"));
    assert_eq!(post(&edited).event_time.micros(), 1_795_361_897_000_000);
    let long_ago = post(&edited.replace("2026-11-22T15:38:15.123000", "1012-11-22T15:38:15.123000"));
    assert_eq!(long_ago.created_at, long_ago.event_time, "a date that cannot be could not be read again");
    let partial = r#"{"op":0,"t":"MESSAGE_UPDATE","d":{"id":"1","channel_id":"20","embeds":[]}}"#;
    assert_eq!(event(partial), Ok(SourceEvent::Other));
}

#[test]
fn deletions_name_what_is_gone() {
    let frame = r#"{"op":0,"t":"MESSAGE_DELETE","d":{"id":"1234567890123456789","channel_id":"20"}}"#;
    let gone = SourceEvent::PostDeleted { post: "discord:20/1234567890123456789".into(), at: NOW };
    assert_eq!(event(frame), Ok(gone));
    let recorded = decode(&"guild".into(), frame.as_bytes(), None).event;
    let made = made_at("1234567890123456789").unwrap();
    assert_eq!(made.to_string().get(..10), Some("2024-04-29"));
    assert!(matches!(recorded, Ok(SourceEvent::PostDeleted { at, .. }) if at == made));
}

#[test]
fn a_broken_message_is_rejected_and_never_a_deletion() {
    for (frame, reason) in [
        ("{".to_owned(), Rejected::NotJson),
        (with(r#""id":"1234567890123456789","#, ""), Rejected::MissingField),
        (with(r#""channel_id":"20""#, r#""channel_id":20"#), Rejected::WrongType),
        (with(r#"{"id":"7","username":"rita","global_name":"Rita"}"#, "null"), Rejected::MissingField),
        (with("2026-11-22T15:38:15", "soon"), Rejected::AbsurdDate),
        (with("2026-11-22T15:38:15", "1999-11-22T15:38:15"), Rejected::AbsurdDate),
        (r#"{"op":0,"t":"MESSAGE_CREATE"}"#.to_owned(), Rejected::MissingField),
    ] {
        assert_eq!(event(&frame), Err(reason), "{frame}");
    }
    assert_eq!(event(r#"{"op":0,"t":"TYPING_START","d":{}}"#), Ok(SourceEvent::Other));
}
