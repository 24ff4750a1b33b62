//! Tables and properties of the decoder.

use proptest::prelude::*;

use super::*;
use crate::domain::post::{Post, PostKind};

const NOW: i64 = 1_795_361_900_000_000;

/// A create with everything a post can have.
const FULL: &str = r##"{"did":"did:plc:nurse","time_us":1795361895314207,"kind":"commit","commit":{"rev":"3rev","operation":"create","collection":"app.bsky.feed.post","rkey":"3key","record":{"$type":"app.bsky.feed.post","createdAt":"2026-11-22T15:38:15.101Z","langs":["en"],"text":"6 hours in the ER \ud83d\ude02","facets":[{"index":{"byteStart":41,"byteEnd":44},"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"er"}]},{"index":{},"features":[{"$type":"app.bsky.richtext.facet#link","uri":"https://example.org/er"},{"$type":"app.bsky.richtext.facet#mention","did":"did:plc:x"}]}],"reply":{"root":{"cid":"c","uri":"at://did:plc:x/app.bsky.feed.post/3root"},"parent":{"cid":"c","uri":"at://did:plc:y/app.bsky.feed.post/3parent"}},"embed":{"$type":"app.bsky.embed.recordWithMedia","record":{"$type":"app.bsky.embed.record","record":{"cid":"c","uri":"at://did:plc:z/app.bsky.feed.post/3quoted"}},"media":{"$type":"app.bsky.embed.images","images":[{"alt":"Crowded waiting room","image":{}},{"alt":"","image":{}}]}},"tags":["northgate","#er"]},"cid":"bafycid"}}"##;

fn decoded(frame: &str) -> Decoded {
    decode(&SourceName::from("bluesky"), frame.as_bytes(), Some(Timestamp::from_micros(NOW)))
}

fn post(frame: &str) -> Post {
    match decoded(frame).event {
        Ok(SourceEvent::Post(post)) => *post,
        other => panic!("not a post but {other:?}: {frame}"),
    }
}

/// A create whose record is `record`.
fn create(record: &str) -> String {
    commit(&format!(
        r#""operation":"create","collection":"app.bsky.feed.post","rkey":"3key","cid":"c","record":{record}"#
    ))
}

fn commit(fields: &str) -> String {
    frame(&format!(r#""kind":"commit","commit":{{"rev":"3rev",{fields}}}"#))
}

fn frame(fields: &str) -> String {
    format!(r#"{{"did":"did:plc:nurse","time_us":1795361895314207,{fields}}}"#)
}

#[test]
fn a_post_with_everything_is_read_in_full() {
    let post = post(FULL);
    assert_eq!(post.id.as_str(), "at://did:plc:nurse/app.bsky.feed.post/3key");
    assert_eq!(post.url.as_deref(), Some("https://bsky.app/profile/did:plc:nurse/post/3key"));
    assert_eq!(post.version.as_deref(), Some("bafycid"));
    assert_eq!(post.text, "6 hours in the ER 😂");
    assert_eq!(post.author.id.as_str(), "did:plc:nurse");
    assert_eq!(post.created_at.to_string(), "2026-11-22T15:38:15.101Z");
    assert_eq!(post.event_time.micros(), 1_795_361_895_314_207);
    assert_eq!(post.kind, PostKind::Reply, "an answer that quotes is still an answer");
    assert_eq!(post.reply_to.as_ref().map(PostId::as_str), Some("at://did:plc:y/app.bsky.feed.post/3parent"));
    assert_eq!(post.quote_of.as_ref().map(PostId::as_str), Some("at://did:plc:z/app.bsky.feed.post/3quoted"));
    assert_eq!(post.lang, ["en"]);
    assert_eq!(post.links, ["https://example.org/er"]);
    assert_eq!(post.tags, ["er", "northgate"]);
    assert_eq!(post.media_text, ["Crowded waiting room"]);
    assert_eq!(decoded(FULL).cursor, Some(Cursor(1_795_361_895_314_207)));
}

#[test]
fn what_bridgy_fed_carried_here_says_where_it_is_from() {
    let original = |value: &str| post(&create(&format!(r#"{{"bridgyOriginalUrl":{value},"text":"t"}}"#))).copy_of;
    let said = original(r#""https://social.example/@ann/1""#).unwrap();
    assert_eq!((said.post.as_str(), said.author), ("https://social.example/@ann/1", None), "anybody can write that");
    for value in ["null", "7", r#""""#, r#""ann""#, r#"["https://social.example/@ann/1"]"#] {
        assert_eq!(original(value), None, "{value}");
    }
}

#[test]
fn media_are_searched_by_their_words() {
    for (embed, words, links) in [
        (r#"{"$type":"app.bsky.embed.images","images":[{"alt":"a"},{"alt":"b"}]}"#, vec!["a", "b"], vec![]),
        (r#"{"$type":"app.bsky.embed.gallery","items":[{"alt":"a"},{"image":{}}]}"#, vec!["a"], vec![]),
        (r#"{"$type":"app.bsky.embed.video","video":{},"alt":"a film"}"#, vec!["a film"], vec![]),
        (
            r#"{"$type":"app.bsky.embed.external","external":{"uri":"https://n.example","title":"t","description":"d"}}"#,
            vec!["t", "d"],
            vec!["https://n.example"],
        ),
        (
            r#"{"$type":"app.bsky.embed.external","external":{"uri":5,"title":"t","description":null}}"#,
            vec!["t"],
            vec![],
        ),
        (r#"{"$type":"app.bsky.embed.images","images":[5,{"alt":7},{"alt":"b"}]}"#, vec!["b"], vec![]),
        (r#"{"$type":"app.bsky.embed.images","images":"none"}"#, vec![], vec![]),
        (r#"{"$type":"of.the.future","alt":"a"}"#, vec![], vec![]),
        (r#"{"alt":"a"}"#, vec![], vec![]),
        ("[1,2]", vec![], vec![]),
        ("null", vec![], vec![]),
    ] {
        let post = post(&create(&format!(r#"{{"embed":{embed}}}"#)));
        assert_eq!((post.text.as_str(), post.kind), ("", PostKind::Post), "{embed}");
        assert_eq!(
            (post.media_text, post.links),
            (words.iter().map(ToString::to_string).collect(), links.iter().map(ToString::to_string).collect()),
            "{embed}"
        );
    }
}

#[test]
fn only_a_post_can_be_quoted() {
    for (uri, kind) in [
        ("at://did:plc:z/app.bsky.feed.post/3q", PostKind::Quote),
        ("at://did:plc:z/app.bsky.graph.starterpack/3q", PostKind::Post),
        ("", PostKind::Post),
    ] {
        let record = format!(r#"{{"embed":{{"$type":"app.bsky.embed.record","record":{{"uri":"{uri}"}}}}}}"#);
        assert_eq!(post(&create(&record)).kind, kind, "{uri}");
    }
}

#[test]
fn one_bad_part_does_not_lose_the_post() {
    let record = r##"{"text":"help","langs":["en",7,"de"],"tags":[null,"#a",{}],"reply":"none","facets":[5,{"features":{}},{"features":["x",{"$type":"app.bsky.richtext.facet#link","uri":3},{"$type":"app.bsky.richtext.facet#link","uri":"https://ok.example"}]}]}"##;
    let post = post(&create(record));
    assert_eq!((post.text.as_str(), post.kind), ("help", PostKind::Post));
    assert_eq!(
        (post.lang, post.tags, post.links),
        (vec!["en".into(), "de".into()], vec!["a".into()], vec!["https://ok.example".to_owned()])
    );
}

#[test]
fn what_is_no_post_is_told_apart() {
    let author = || "did:plc:nurse".into();
    let at = Timestamp::from_micros(1_795_361_895_314_207);
    let deleted = SourceEvent::PostDeleted { post: "at://did:plc:nurse/app.bsky.feed.post/3k".into(), at };
    let account = |fields: &str| frame(&format!(r#""kind":"account","account":{{{fields}}}"#));
    for (frame, expected) in [
        (commit(r#""operation":"delete","collection":"app.bsky.feed.post","rkey":"3k""#), deleted),
        (commit(r#""operation":"delete","collection":"app.bsky.feed.like","rkey":"3k""#), SourceEvent::Other),
        (
            commit(r#""operation":"create","collection":"app.bsky.feed.like","rkey":"3k","record":5"#),
            SourceEvent::Other,
        ),
        (commit(r#""operation":"merge","collection":"app.bsky.feed.post","rkey":"3k""#), SourceEvent::Other),
        (account(r#""active":false,"status":"deleted""#), SourceEvent::AuthorDeleted { author: author(), at }),
        (account(r#""active":false,"status":"takendown""#), SourceEvent::AuthorDeleted { author: author(), at }),
        (account(r#""active":false,"status":"suspended""#), SourceEvent::Other),
        (account(r#""active":true"#), SourceEvent::Other),
        (
            frame(r#""kind":"identity","identity":{"handle":"n.example"}"#),
            SourceEvent::Handle { author: author(), handle: "n.example".into() },
        ),
        (frame(r#""kind":"identity","identity":{"did":"did:plc:nurse"}"#), SourceEvent::Other),
        (frame(r#""kind":"sync","sync":[[[[]]]]"#), SourceEvent::Other),
    ] {
        assert_eq!(decoded(&frame).event, Ok(expected), "{frame}");
        assert_eq!(decoded(&frame).cursor, Some(Cursor(at.micros())), "{frame}");
    }
}

#[test]
fn an_update_is_a_post_with_another_version() {
    let update = FULL.replace(r#""create""#, r#""update""#).replace(r#","cid":"bafycid""#, "");
    assert_eq!(post(&update).version.as_deref(), Some("3rev"));
}

#[test]
fn every_refusal_has_its_reason_and_never_becomes_a_delete() {
    let deep = "[".repeat(200_000);
    for (frame, reason) in [
        (String::new(), Rejected::NotJson),
        ("\u{0}".into(), Rejected::NotJson),
        (FULL.split_at(500).0.into(), Rejected::NotJson),
        (format!("{FULL}x"), Rejected::NotJson),
        (deep.clone(), Rejected::NotJson),
        (create(&deep), Rejected::NotJson),
        (format!("[{FULL}]"), Rejected::WrongType),
        ("5".into(), Rejected::WrongType),
        (FULL.replace("1795361895314207", r#""1795361895314207""#), Rejected::WrongType),
        (FULL.replace("1795361895314207", "1795361895314207.5"), Rejected::WrongType),
        (FULL.replace("1795361895314207", "99999999999999999999"), Rejected::WrongType),
        (FULL.replace(r#""did":"did:plc:nurse""#, r#""did":7"#), Rejected::WrongType),
        (FULL.replace(r#""rkey":"3key""#, r#""rkey":[]"#), Rejected::WrongType),
        (create("7"), Rejected::WrongType),
        (create("[]"), Rejected::WrongType),
        (create(r#"{"text":7}"#), Rejected::WrongType),
        (create(r#"{"text":["a"]}"#), Rejected::WrongType),
        (create(r#"{"createdAt":7}"#), Rejected::WrongType),
        (create("null"), Rejected::MissingField),
        (FULL.replace(r#""time_us":1795361895314207,"#, ""), Rejected::MissingField),
        (FULL.replace(r#""did":"did:plc:nurse","#, ""), Rejected::MissingField),
        (FULL.replace("did:plc:nurse", ""), Rejected::MissingField),
        (FULL.replace(r#""rkey":"3key","#, ""), Rejected::MissingField),
        (FULL.replace(r#""operation":"create","#, ""), Rejected::MissingField),
        (FULL.replace(r#""kind":"commit","#, ""), Rejected::MissingField),
        (frame(r#""kind":"commit""#), Rejected::MissingField),
        (frame(r#""kind":"account","account":{}"#), Rejected::MissingField),
        (create(r#"{"text":"\ud83d"}"#), Rejected::LoneSurrogate),
        (create(r#"{"text":"a\ude02b"}"#), Rejected::LoneSurrogate),
        (FULL.replace("did:plc:nurse", r"did:\udc00"), Rejected::LoneSurrogate),
        (create(r#"{"createdAt":"lately"}"#), Rejected::AbsurdDate),
        (create(r#"{"createdAt":"1970-01-01T00:00:00Z"}"#), Rejected::AbsurdDate),
        (create(r#"{"createdAt":"2099-01-01T00:00:00Z"}"#), Rejected::AbsurdDate),
        (FULL.replace("1795361895314207", "1795361895"), Rejected::AbsurdDate),
        (FULL.replace("1795361895314207", "-1"), Rejected::AbsurdDate),
        (FULL.replace("1795361895314207", "1795461895314207"), Rejected::AbsurdDate),
        (FULL.replace("1795361895314207", "9223372036854775807"), Rejected::AbsurdDate),
    ] {
        let head: String = frame.chars().take(300).collect();
        assert_eq!(decoded(&frame).event, Err(reason), "{head}");
    }
    let broken = decode(&SourceName::from("b"), &[b'{', 0xff, b'}'], None);
    assert_eq!(broken.event, Err(Rejected::NotJson));
}

#[test]
fn depth_in_parts_nobody_reads_costs_nothing() {
    let depth = 200_000;
    let record = format!(r#"{{"text":"deep","odd":{}{},"embed":{0}{1}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert_eq!(post(&create(&record)).text, "deep");
}

#[test]
fn a_rejected_frame_still_moves_the_cursor_on() {
    assert_eq!(decoded(&create(r#"{"text":7}"#)).cursor, Some(Cursor(1_795_361_895_314_207)));
    assert_eq!(decoded(&FULL.replace(r#""did:plc:nurse""#, "7")).cursor, Some(Cursor(1_795_361_895_314_207)));
    assert_eq!(decoded(&FULL.replace("1795361895314207", "1")).cursor, None, "an absurd stamp is no place");
}

#[test]
fn a_server_whose_clock_is_ahead_cannot_push_us_into_the_future() {
    let ahead = |micros: i64| decoded(&FULL.replace("1795361895314207", &(NOW + micros).to_string()));
    assert_eq!(ahead(60_000_000).cursor, Some(Cursor(NOW + 60_000_000)));
    assert_eq!(ahead(3_600_000_000).cursor, Some(Cursor(NOW)));
    let Ok(SourceEvent::Post(post)) = ahead(60_000_000).event else { panic!("no post") };
    assert_eq!(post.event_time.micros(), NOW);
}

#[test]
fn dates_of_authors_are_read_with_and_without_a_zone() {
    for (claim, read) in [
        (r#""2026-11-22T15:38:15.101Z""#, "2026-11-22T15:38:15.101Z"),
        (r#""2026-11-22T16:38:15+01:00""#, "2026-11-22T15:38:15Z"),
        (r#""2026-11-22T15:38:15""#, "2026-11-22T15:38:15Z"),
        (r#""2001-01-01T00:00:00Z""#, "2001-01-01T00:00:00Z"),
        ("null", "2026-11-22T15:38:15.314207Z"),
    ] {
        assert_eq!(post(&create(&format!(r#"{{"createdAt":{claim}}}"#))).created_at.to_string(), read, "{claim}");
    }
}

#[test]
fn thousands_of_facets_are_bounded() {
    let facets: Vec<_> = (0..5000)
        .map(|n| format!(r#"{{"features":[{{"$type":"app.bsky.richtext.facet#tag","tag":"t{n}"}}]}}"#))
        .collect();
    let record = format!(r#"{{"text":"{}","facets":[{}]}}"#, "é".repeat(100_000), facets.join(","));
    let post = post(&create(&record));
    assert_eq!((post.tags.len(), post.text.len()), (64, 65_536));
}

#[test]
fn the_time_of_a_frame_is_found_without_reading_it() {
    assert_eq!(peek_time_us(FULL.as_bytes()), Some(1_795_361_895_314_207));
    let reordered = r#"{"commit":{"record":{"time_us":1}},"did":"d","time_us": 17}"#;
    assert_eq!(peek_time_us(reordered.as_bytes()), Some(17));
    for frame in ["", "{", "null", r#"{"time_us":"#, r#"{"time_us":5"#, r#"{"time_us":"5"}"#, r#"{"x":{"time_us":5}}"#]
    {
        assert_eq!(peek_time_us(frame.as_bytes()), None, "{frame}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_rejected_and_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let result = decode(&SourceName::from("b"), &bytes, None);
        prop_assert!(matches!(result.event, Err(Rejected::NotJson | Rejected::WrongType)));
        peek_time_us(&bytes);
    }

    #[test]
    fn a_damaged_frame_is_read_or_rejected(
        changes in proptest::collection::vec((0..FULL.len(), any::<u8>()), 1..6),
        end in 0..=FULL.len(),
    ) {
        let mut bytes = FULL.as_bytes().to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        let whole = decode(&SourceName::from("b"), &bytes, None);
        let became_a_delete = matches!(whole.event, Ok(SourceEvent::PostDeleted { .. } | SourceEvent::AuthorDeleted { .. }));
        prop_assert!(!became_a_delete);
        bytes.truncate(end);
        decode(&SourceName::from("b"), &bytes, None);
        peek_time_us(&bytes);
    }
}
