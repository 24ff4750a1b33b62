//! The decoder.

use super::*;

const SAID: &str = r#"{"envelope_id":"e1","type":"events_api","payload":{"team_id":"T1","event":{"type":"message","channel":"C1",
    "user":"U1","text":"smoke in the ER","ts":"1795361895.000200","event_ts":"1795361895.000200"}}}"#;
const NOW: Timestamp = Timestamp::from_seconds(1_795_361_900);

fn event(frame: &str) -> Result<SourceEvent, Rejected> {
    decode(&"work".into(), frame.as_bytes(), Some(NOW)).event
}

fn post(frame: &str) -> Post {
    match event(frame) {
        Ok(SourceEvent::Post(post)) => *post,
        other => panic!("{other:?}: {frame}"),
    }
}

fn with(from: &str, to: &str) -> String {
    assert!(SAID.contains(from), "{from}");
    SAID.replace(from, to)
}

#[test]
fn a_message_is_a_post() {
    let post = post(SAID);
    assert_eq!((post.id.as_str(), post.author.id.as_str()), ("slack:C1/1795361895.000200", "slack:T1/U1"));
    assert_eq!(
        post.url.as_deref(),
        Some("https://slack.com/app_redirect?team=T1&channel=C1&message_ts=1795361895.000200")
    );
    assert_eq!((post.text.as_str(), post.event_time.micros()), ("smoke in the ER", 1_795_361_895_000_200));
    let reply = with(r#""ts":"#, r#""thread_ts":"1795361890.000100","ts":"#);
    assert_eq!(self::post(&reply).reply_to, Some("slack:C1/1795361890.000100".into()));
    let bot = with(r#""user":"U1""#, r#""subtype":"bot_message","bot_id":"B1","username":"news""#);
    assert_eq!(
        (self::post(&bot).author.id.as_str(), self::post(&bot).author.name.as_deref()),
        ("slack:T1/B1", Some("news"))
    );
}

#[test]
fn markup_is_read_as_people_see_it() {
    for (written, said, links) in [
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c", &[][..]),
        ("<https://a.example/?x=1&amp;y=2|the page> now", "the page now", &["https://a.example/?x=1&y=2"]),
        ("<https://a.example/1>!", "https://a.example/1!", &["https://a.example/1"]),
        ("<@U1> <@U2|ann> <#C1|er> <!here> <!subteam^S1|@oncall>", "@U1 @ann #er @here @oncall", &[]),
        ("<mailto:a@b.example|a@b.example>", "a@b.example", &[]),
        ("3 < 4 <unclosed", "3 < 4 <unclosed", &[]),
    ] {
        let (text, found) = spoken(written);
        assert_eq!(text, said);
        assert_eq!(found, links, "{written}");
    }
}

#[test]
fn files_and_cards_are_read() {
    let more = r#""files":[{"title":"roof.jpg","alt_txt":"smoke above the roof"},3],"attachments":[{"title":"A page","title_link":"https://b.example/y"}],"ts":"#;
    let post = post(&with(r#""ts":"#, more));
    assert_eq!(post.media_text, ["roof.jpg", "smoke above the roof", "A page"]);
    assert_eq!((post.has_media, post.links), (true, vec!["https://b.example/y".to_owned()]));
}

#[test]
fn changes_and_deletions_name_the_message_they_are_about() {
    let changed = r#"{"type":"events_api","payload":{"team_id":"T1","event":{"type":"message","subtype":"message_changed","channel":"C1",
        "ts":"1795361899.000300","event_ts":"1795361899.000300","message":{"type":"message","user":"U1","text":"fire on 4","ts":"1795361895.000200","edited":{"ts":"1795361899.000000"}}}}}"#;
    let edit = post(changed);
    assert_eq!((edit.id.as_str(), edit.version.as_deref()), ("slack:C1/1795361895.000200", Some("1795361899.000000")));
    assert_eq!(edit.event_time.micros(), 1_795_361_899_000_300);
    let long_ago = post(&changed.replace(r#""ts":"1795361895.000200""#, r#""ts":"1795361.000200""#));
    assert_eq!(long_ago.created_at, long_ago.event_time, "a date that cannot be could not be read again");
    let preview = changed.replace(r#","edited":{"ts":"1795361899.000000"}"#, "");
    assert_eq!(post(&preview).version, None, "the same version as before");
    let tombstone = changed.replace(r#""user":"U1""#, r#""subtype":"tombstone","user":"USLACKBOT""#);
    let deleted = r#"{"payload":{"event":{"type":"message","subtype":"message_deleted","channel":"C1","event_ts":"1795361899.000300","deleted_ts":"1795361895.000200"}}}"#;
    for frame in [tombstone.as_str(), deleted] {
        let Ok(SourceEvent::PostDeleted { post, .. }) = event(frame) else { panic!("{frame}") };
        assert_eq!(post.as_str(), "slack:C1/1795361895.000200");
    }
}

#[test]
fn a_broken_message_is_rejected_and_never_a_deletion() {
    for (frame, reason) in [
        ("nonsense".to_owned(), Rejected::NotJson),
        (with(r#""user":"U1","#, ""), Rejected::MissingField),
        (with(r#""channel":"C1","#, ""), Rejected::MissingField),
        (with("1795361895.000200", "yesterday"), Rejected::AbsurdDate),
        (with("1795361895.000200", "9223372036854775807.9"), Rejected::AbsurdDate),
        (r#"{"payload":{}}"#.to_owned(), Rejected::MissingField),
    ] {
        assert_eq!(event(&frame), Err(reason), "{frame}");
    }
    for frame in [
        with(r#""user":"#, r#""subtype":"channel_join","user":"#),
        with(r#""type":"message""#, r#""type":"reaction_added""#),
        "{}".to_owned(),
    ] {
        assert_eq!(event(&frame), Ok(SourceEvent::Other), "{frame}");
    }
}
